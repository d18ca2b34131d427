// Losses, means over samples and members' own. To add one is to write it down here, once: a struct, and its row in LOSSES.
#pragma once

#include <cmath>
#include <cstdint>

struct Loss {
    const char *name;  // in the configuration
    // In place of the outputs (sample, output) of some samples, the gradient by them of the mean over `all_samples`.
    void (*gradient)(const float *y, float *output, int64_t samples, int64_t outputs, int64_t all_samples);
    // The loss of some samples, not yet divided by the number of all of them.
    double (*sum)(const float *y, const float *output, int64_t samples, int64_t outputs);
};

// --- means over samples and outputs of a function of the error ------------------------------------------------------

struct Square {
    static float slope(float error, float share) { return 2 * share * error; }
    static double value(double error) { return error * error; }
};

struct Absolute {
    static float slope(float error, float share) {
        return error == 0 ? 0 * error : std::isnan(error) ? error : std::copysign(share, error);
    }
    static double value(double error) { return std::abs(error); }
};

struct Huber {
    static float slope(float error, float share) { return share * (error > 1 ? 1 : error < -1 ? -1 : error); }
    static double value(double error) {
        const double size = std::abs(error);
        return size < 1 ? error * error / 2 : size - 0.5;
    }
};

template <class L>
struct OfErrors {
    static void gradient(const float *y, float *output, int64_t samples, int64_t outputs, int64_t all_samples) {
        const float share = 1.f / float(all_samples * outputs);
        for (int64_t i = 0; i < samples * outputs; ++i) output[i] = L::slope(output[i] - y[i], share);
    }
    static double sum(const float *y, const float *output, int64_t samples, int64_t outputs) {
        double sum = 0;
        for (int64_t s = 0; s < samples; ++s, y += outputs, output += outputs) {
            double of_sample = 0;
            for (int64_t o = 0; o < outputs; ++o) of_sample += L::value(output[o] - y[o]);
            sum += of_sample / double(outputs);
        }
        return sum;
    }
    static constexpr Loss named(const char *name) { return {name, gradient, sum}; }
};

// --- of logits and class probabilities ------------------------------------------------------------------------------

struct CrossEntropy {
    static void gradient(const float *y, float *output, int64_t samples, int64_t outputs, int64_t all_samples) {
        for (int64_t s = 0; s < samples; ++s, y += outputs, output += outputs) {
            float largest = output[0], sum = 0, mass = 0;
            for (int64_t o = 1; o < outputs; ++o) largest = output[o] > largest ? output[o] : largest;
            for (int64_t o = 0; o < outputs; ++o) {
                sum += output[o] = std::exp(output[o] - largest);
                mass += y[o];
            }
            for (int64_t o = 0; o < outputs; ++o) output[o] = (output[o] * (mass / sum) - y[o]) / float(all_samples);
        }
    }
    static double sum(const float *y, const float *output, int64_t samples, int64_t outputs) {
        double sum = 0;
        for (int64_t s = 0; s < samples; ++s, y += outputs, output += outputs) {
            float largest = output[0], mass = 0;
            for (int64_t o = 1; o < outputs; ++o) largest = output[o] > largest ? output[o] : largest;
            for (int64_t o = 0; o < outputs; ++o) mass += std::exp(output[o] - largest);
            const float norm = largest + std::log(mass);
            for (int64_t o = 0; o < outputs; ++o) sum -= y[o] * double(output[o] - norm);
        }
        return sum;
    }
};

constexpr Loss LOSSES[] = {
    OfErrors<Square>::named("mse"),
    OfErrors<Absolute>::named("mae"),
    OfErrors<Huber>::named("huber"),
    {"cross_entropy", CrossEntropy::gradient, CrossEntropy::sum},
};
