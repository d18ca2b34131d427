// Algorithms: how an update changes the parameters. To add one is to write it down here, once: a function, and its row in
// ALGORITHMS.
#pragma once

#include <cmath>

#include "vectors.hpp"

struct Algorithm;

struct Update {
    const Algorithm *algorithm;
    int64_t nesterov;
    double learning_rate, momentum;
};

struct Algorithm {
    const char *name;  // in the configuration
    // What it keeps beside the parameters, two at most: names, as in a checkpoint, with spaces between.
    const char *(*buffers)(const Update &);
    // Update number `step`, from 1 on; without a buffer, first or second is null.
    void (*update)(const Update &, int64_t step, int64_t numbers, float *parameter, const float *gradient, float *first,
                   float *second);
};

static const char *buffers_of_sgd(const Update &u) { return u.momentum ? "velocity" : ""; }

static void sgd(const Update &u, int64_t, int64_t numbers, float *parameter, const float *gradient, float *first,
                float *) {
    const float rate = float(u.learning_rate), momentum = float(u.momentum);
    for (int64_t i = 0; i < numbers; i += LANES) {
        vec direction = at(gradient + i);
        if (first) {
            const vec velocity = at(first + i) = at(first + i) * momentum + direction;
            direction = u.nesterov ? direction + momentum * velocity : velocity;
        }
        at(parameter + i) -= rate * direction;
    }
}

static inline vec root(vec numbers) {
    for (int i = 0; i < LANES; ++i) numbers[i] = __builtin_sqrtf(numbers[i]);
    return numbers;
}

static const char *buffers_of_adam(const Update &) { return "mean square"; }

static void decaying(const Update &u, int64_t step, int64_t numbers, float *parameter, const float *gradient, float *first,
                     float *second, double weight_decay) {
    const double correction = 1 - std::pow(0.9, double(step)), root_of_it = std::sqrt(1 - std::pow(0.999, double(step)));
    const float size = float(u.learning_rate / correction), keep = float(1 - u.learning_rate * weight_decay);
    const float inverse_root = float(1 / root_of_it);
    for (int64_t i = 0; i < numbers; i += LANES) {
        const vec g = at(gradient + i);
        const vec mean = at(first + i) += (g - at(first + i)) * 0.1f;
        const vec square = at(second + i) = at(second + i) * 0.999f + g * g * 0.001f;
        at(parameter + i) = at(parameter + i) * keep - size * mean / (root(square) * inverse_root + 1e-8f);
    }
}

static void adam(const Update &u, int64_t step, int64_t numbers, float *parameter, const float *gradient, float *first,
                 float *second) {
    decaying(u, step, numbers, parameter, gradient, first, second, 0);
}

static void adamw(const Update &u, int64_t step, int64_t numbers, float *parameter, const float *gradient, float *first,
                  float *second) {
    decaying(u, step, numbers, parameter, gradient, first, second, 0.01);
}

// Of those below what is kept has torch's own names.

static const char *buffers_of_rmsprop(const Update &) { return "square_avg"; }

static void rmsprop(const Update &u, int64_t, int64_t numbers, float *parameter, const float *gradient, float *first,
                    float *) {
    const float rate = float(u.learning_rate);
    for (int64_t i = 0; i < numbers; i += LANES) {
        const vec g = at(gradient + i);
        const vec square = at(first + i) = at(first + i) * 0.99f + g * g * 0.01f;
        at(parameter + i) -= rate * g / (root(square) + 1e-8f);
    }
}

static const char *buffers_of_adagrad(const Update &) { return "sum"; }

static void adagrad(const Update &u, int64_t, int64_t numbers, float *parameter, const float *gradient, float *first,
                    float *) {
    const float rate = float(u.learning_rate);
    for (int64_t i = 0; i < numbers; i += LANES) {
        const vec g = at(gradient + i);
        const vec sum = at(first + i) += g * g;
        at(parameter + i) -= rate * g / (root(sum) + 1e-10f);
    }
}

static const char *buffers_of_adadelta(const Update &) { return "square_avg acc_delta"; }

static void adadelta(const Update &u, int64_t, int64_t numbers, float *parameter, const float *gradient, float *first,
                     float *second) {
    const float rate = float(u.learning_rate);
    for (int64_t i = 0; i < numbers; i += LANES) {
        const vec g = at(gradient + i);
        const vec square = at(first + i) = at(first + i) * 0.9f + g * g * 0.1f;
        const vec delta = root(at(second + i) + 1e-6f) / root(square + 1e-6f) * g;
        at(second + i) = at(second + i) * 0.9f + delta * delta * 0.1f;
        at(parameter + i) -= rate * delta;
    }
}

constexpr Algorithm ALGORITHMS[] = {
    {"sgd", buffers_of_sgd, sgd},
    {"adam", buffers_of_adam, adam},
    {"adamw", buffers_of_adam, adamw},
    {"rmsprop", buffers_of_rmsprop, rmsprop},
    {"adagrad", buffers_of_adagrad, adagrad},
    {"adadelta", buffers_of_adadelta, adadelta},
};
