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

static const char *buffers_of_adam(const Update &) { return "mean square"; }

static void decaying(const Update &u, int64_t step, int64_t numbers, float *parameter, const float *gradient, float *first,
                     float *second, double weight_decay) {
    const double correction = 1 - std::pow(0.9, double(step)), root = std::sqrt(1 - std::pow(0.999, double(step)));
    const float size = float(u.learning_rate / correction), keep = float(1 - u.learning_rate * weight_decay);
    const float inverse_root = float(1 / root);
    for (int64_t i = 0; i < numbers; i += LANES) {
        const vec g = at(gradient + i);
        const vec mean = at(first + i) += (g - at(first + i)) * 0.1f;
        const vec square = at(second + i) = at(second + i) * 0.999f + g * g * 0.001f;
        vec root_of;
        for (int j = 0; j < LANES; ++j) root_of[j] = __builtin_sqrtf(square[j]);
        at(parameter + i) = at(parameter + i) * keep - size * mean / (root_of * inverse_root + 1e-8f);
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

constexpr Algorithm ALGORITHMS[] = {
    {"sgd", buffers_of_sgd, sgd},
    {"adam", buffers_of_adam, adam},
    {"adamw", buffers_of_adam, adamw},
};
