// Activations: value in place of the input, and derivative, by the value or kept beside it. To add one is to write it
// down here, once: a struct, and its row in ACTIVATIONS.
#pragma once

#include <cmath>

#include "exponentials.hpp"

struct Activation {
    const char *name;  // in the configuration
    bool keeps_derivative;
    void (*apply)(float *h, float *derivative, int64_t numbers);  // derivative may be null
    void (*differentiate)(float *gradient, const float *h, const float *derivative, int64_t numbers);
    double (*exactly)(double z);  // what a trial compares with
};

// --- whose value gives the derivative -------------------------------------------------------------------------------

struct Tanh {
    static vec value(vec z) {
        const vec e = exp2_less_1_of(z * 2.88539008f);
        return e / (e + 2.f);
    }
    static vec derivative(vec h) { return 1.f - h * h; }
    static double exactly(double z) { return std::tanh(z); }
};

struct Relu {
    static vec value(vec z) { return z < 0.f ? vec{} : z; }
    static vec derivative(vec h) { return h <= 0.f ? vec{} : all(1.f); }
    static double exactly(double z) { return z < 0 ? 0 : z; }
};

struct Sigmoid {
    static vec value(vec z) { return 1.f / (1.f + exp_of(-z)); }
    static vec derivative(vec h) { return h * (1.f - h); }
    static double exactly(double z) { return 1 / (1 + std::exp(-z)); }
};

struct Elu {
    static vec value(vec z) { return z < 0.f ? exp2_less_1_of(z * 1.44269504f) : z; }
    static vec derivative(vec h) { return h < 0.f ? h + 1.f : all(1.f); }
    static double exactly(double z) { return z < 0 ? std::expm1(z) : z; }
};

// --- whose derivative is kept ---------------------------------------------------------------------------------------

struct Silu {
    static vec value(vec z, vec *derivative) {
        const vec s = 1.f / (1.f + exp_of(-z));
        if (derivative) *derivative = s * (1.f + z * (1.f - s));
        return z * s;
    }
    static double exactly(double z) { return z / (1 + std::exp(-z)); }
};

struct Gaussian {
    static vec value(vec z, vec *derivative) {
        const vec h = exp_of(-0.5f * z * z);
        if (derivative) *derivative = -z * h;
        return h;
    }
    static double exactly(double z) { return std::exp(-z * z / 2); }
};

struct Ricker {
    static vec value(vec z, vec *derivative) {
        const vec g = exp_of(-0.5f * z * z);
        if (derivative) *derivative = z * (z * z - 3.f) * g;
        return (1.f - z * z) * g;
    }
    static double exactly(double z) { return (1 - z * z) * std::exp(-z * z / 2); }
};

template <class A>
struct ByValue {
    static void apply(float *h, float *, int64_t numbers) {
        for (int64_t i = 0; i < numbers; i += LANES) at(h + i) = A::value(at(h + i));
    }
    static void differentiate(float *gradient, const float *h, const float *, int64_t numbers) {
        for (int64_t i = 0; i < numbers; i += LANES) at(gradient + i) *= A::derivative(at(h + i));
    }
    static constexpr Activation named(const char *name) { return {name, false, apply, differentiate, A::exactly}; }
};

template <class A>
struct Kept {
    static void apply(float *h, float *derivative, int64_t numbers) {
        for (int64_t i = 0; i < numbers; i += LANES)
            at(h + i) = A::value(at(h + i), derivative ? &at(derivative + i) : nullptr);
    }
    static void differentiate(float *gradient, const float *, const float *derivative, int64_t numbers) {
        for (int64_t i = 0; i < numbers; i += LANES) at(gradient + i) *= at(derivative + i);
    }
    static constexpr Activation named(const char *name) { return {name, true, apply, differentiate, A::exactly}; }
};

constexpr Activation ACTIVATIONS[] = {
    ByValue<Tanh>::named("tanh"), ByValue<Relu>::named("relu"),      ByValue<Sigmoid>::named("sigmoid"),
    ByValue<Elu>::named("elu"),   Kept<Silu>::named("silu"),         Kept<Gaussian>::named("gaussian"),
    Kept<Ricker>::named("ricker"),
};
