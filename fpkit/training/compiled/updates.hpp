// Algorithms: how an update changes the parameters. To add one is to write it down here, once: a function, and its row in
// ALGORITHMS.
#pragma once

#include <algorithm>
#include <cmath>

#include "vectors.hpp"

struct Algorithm;

struct Update {
    const Algorithm *algorithm;
    int64_t nesterov;
    double momentum;
    double weight_decay;  // below zero: the algorithm's own
    double clip_norm;     // zero: gradients stay as long as they are

    double decay() const;
    double penalty() const;
};

struct Algorithm {
    const char *name;  // in the configuration
    double weight_decay;
    bool decoupled;  // which is then no penalty, but a part of the update
    // What it keeps beside the parameters, two at most: names, as in a checkpoint, with spaces between.
    const char *(*buffers)(const Update &);
    // Update number `step`, from 1 on, by this learning rate; without a buffer, first or second is null.
    void (*update)(const Update &, double learning_rate, int64_t step, int64_t numbers, float *parameter,
                   const float *gradient, float *first, float *second);
};

inline double Update::decay() const { return weight_decay < 0 ? algorithm->weight_decay : weight_decay; }
inline double Update::penalty() const { return algorithm->decoupled ? 0 : decay(); }

// By what one network's gradient is multiplied to be no longer than `clip_norm`, as torch.nn.utils.clip_grad_norm_ has it.
static float clipped(const Update &u, int64_t numbers, const float *gradient) {
    constexpr int64_t SOME = 1024;  // in single precision
    double squares = 0;
    for (int64_t begin = 0; begin < numbers; begin += SOME) {
        vec sum = {};
        for (int64_t i = begin; i < std::min(begin + SOME, numbers); i += LANES) sum += at(gradient + i) * at(gradient + i);
        squares += total(sum);
    }
    const double factor = u.clip_norm / (std::sqrt(squares) + 1e-6);
    return float(factor > 1 ? 1 : factor);  // NaN stays
}

// What an algorithm takes for the gradient: so many times that of the loss, and that of a penalty on the parameters.
static void change(float factor, float penalty, int64_t numbers, const float *parameter, float *gradient) {
    for (int64_t i = 0; i < numbers; i += LANES) at(gradient + i) = factor * at(gradient + i) + penalty * at(parameter + i);
}

static const char *buffers_of_sgd(const Update &u) { return u.momentum ? "velocity" : ""; }

static void sgd(const Update &u, double learning_rate, int64_t, int64_t numbers, float *parameter, const float *gradient,
                float *first, float *) {
    const float rate = float(learning_rate), momentum = float(u.momentum);
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

static void decaying(double learning_rate, int64_t step, int64_t numbers, float *parameter, const float *gradient,
                     float *first, float *second, double weight_decay) {
    const double correction = 1 - std::pow(0.9, double(step)), root_of_it = std::sqrt(1 - std::pow(0.999, double(step)));
    const float size = float(learning_rate / correction), keep = float(1 - learning_rate * weight_decay);
    const float inverse_root = float(1 / root_of_it);
    for (int64_t i = 0; i < numbers; i += LANES) {
        const vec g = at(gradient + i);
        const vec mean = at(first + i) += (g - at(first + i)) * 0.1f;
        const vec square = at(second + i) = at(second + i) * 0.999f + g * g * 0.001f;
        at(parameter + i) = at(parameter + i) * keep - size * mean / (root(square) * inverse_root + 1e-8f);
    }
}

static void adam(const Update &, double learning_rate, int64_t step, int64_t numbers, float *parameter,
                 const float *gradient, float *first, float *second) {
    decaying(learning_rate, step, numbers, parameter, gradient, first, second, 0);
}

static void adamw(const Update &u, double learning_rate, int64_t step, int64_t numbers, float *parameter,
                  const float *gradient, float *first, float *second) {
    decaying(learning_rate, step, numbers, parameter, gradient, first, second, u.decay());
}

// Of those below what is kept has torch's own names.

static const char *buffers_of_rmsprop(const Update &) { return "square_avg"; }

static void rmsprop(const Update &, double learning_rate, int64_t, int64_t numbers, float *parameter, const float *gradient,
                    float *first, float *) {
    const float rate = float(learning_rate);
    for (int64_t i = 0; i < numbers; i += LANES) {
        const vec g = at(gradient + i);
        const vec square = at(first + i) = at(first + i) * 0.99f + g * g * 0.01f;
        at(parameter + i) -= rate * g / (root(square) + 1e-8f);
    }
}

static const char *buffers_of_adagrad(const Update &) { return "sum"; }

static void adagrad(const Update &, double learning_rate, int64_t, int64_t numbers, float *parameter, const float *gradient,
                    float *first, float *) {
    const float rate = float(learning_rate);
    for (int64_t i = 0; i < numbers; i += LANES) {
        const vec g = at(gradient + i);
        const vec sum = at(first + i) += g * g;
        at(parameter + i) -= rate * g / (root(sum) + 1e-10f);
    }
}

static const char *buffers_of_adadelta(const Update &) { return "square_avg acc_delta"; }

static void adadelta(const Update &, double learning_rate, int64_t, int64_t numbers, float *parameter, const float *gradient,
                     float *first, float *second) {
    const float rate = float(learning_rate);
    for (int64_t i = 0; i < numbers; i += LANES) {
        const vec g = at(gradient + i);
        const vec square = at(first + i) = at(first + i) * 0.9f + g * g * 0.1f;
        const vec delta = root(at(second + i) + 1e-6f) / root(square + 1e-6f) * g;
        at(second + i) = at(second + i) * 0.9f + delta * delta * 0.1f;
        at(parameter + i) -= rate * delta;
    }
}

constexpr Algorithm ALGORITHMS[] = {
    {"sgd", 0, false, buffers_of_sgd, sgd},
    {"adam", 0, false, buffers_of_adam, adam},
    {"adamw", 0.01, true, buffers_of_adam, adamw},
    {"rmsprop", 0, false, buffers_of_rmsprop, rmsprop},
    {"adagrad", 0, false, buffers_of_adagrad, adagrad},
    {"adadelta", 0, false, buffers_of_adadelta, adadelta},
};
