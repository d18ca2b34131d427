// Activations: value in place of the input, and derivative, kept beside it if there is memory for it, or by the value. To
// add one is to write it down here, once: a struct, and its row in ACTIVATIONS.
#pragma once

#include <cmath>

#include "exponentials.hpp"
#include "sines.hpp"

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

struct Softplus {
    static vec value(vec z, vec *derivative) {
        const vec u = exp_of(z < 0.f ? z : -z), s = u / (u + 2.f), t = s * s;
        // log(1 + u) = 2 artanh(s), within 4e-9 of its size
        const vec p = ((((1.4089197e-1f * t + 1.3980294e-1f) * t + 2.0012456e-1f) * t + 3.3333157e-1f) * t + 1.f) * 2.f;
        if (derivative) *derivative = (z < 0.f ? u : all(1.f)) / (1.f + u);
        return (z < 0.f ? vec{} : z) + s * p;
    }
    static double exactly(double z) { return std::max(z, 0.) + std::log1p(std::exp(-std::abs(z))); }
};

// z times the normal distribution function, of which the part beyond |z| is exp(-z^2 / 2) times a polynomial in
// 1 / (1 + 0.3 |z| / sqrt(2)), within 2e-8 of its size.
struct Gelu {
    static vec value(vec z, vec *derivative) {
        const vec size = z < 0.f ? -z : z, t = 1.f / (1.f + 2.1213203e-1f * size), g = exp_of(-0.5f * z * z);
        vec p = all(-6.4703997e-2f);
        p = p * t + 2.4247961e-1f;
        p = p * t - 2.5545843e-1f;
        p = p * t + 2.7300221e-1f;
        p = p * t - 4.6665095e-2f;
        p = p * t + 1.0714568e-1f;
        p = p * t + 7.4262455e-2f;
        p = p * t + 8.5342505e-2f;
        p = p * t + 8.4595048e-2f;
        const vec beyond = g * t * p, distribution = z < 0.f ? beyond : 1.f - beyond;
        if (derivative) *derivative = distribution + z * (3.9894228e-1f * g);
        return z * distribution;
    }
    static double exactly(double z) { return z / 2 * std::erfc(-z / std::sqrt(2.)); }
};

struct Sine {
    static vec value(vec z, vec *derivative) { return sine(z, derivative); }
    static double exactly(double z) { return std::sin(z); }
};

static void multiply_by(float *gradient, const float *derivative, int64_t numbers) {
    for (int64_t i = 0; i < numbers; i += LANES) at(gradient + i) *= at(derivative + i);
}

template <class A>
struct ByValue {
    static void apply(float *h, float *derivative, int64_t numbers) {
        for (int64_t i = 0; i < numbers; i += LANES) at(h + i) = A::value(at(h + i));
        if (!derivative) return;
        for (int64_t i = 0; i < numbers; i += LANES) at(derivative + i) = A::derivative(at(h + i));
    }
    static void differentiate(float *gradient, const float *h, const float *derivative, int64_t numbers) {
        if (derivative) return multiply_by(gradient, derivative, numbers);
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
        multiply_by(gradient, derivative, numbers);
    }
    static constexpr Activation named(const char *name) { return {name, true, apply, differentiate, A::exactly}; }
};

constexpr Activation ACTIVATIONS[] = {
    ByValue<Tanh>::named("tanh"), ByValue<Relu>::named("relu"),      ByValue<Sigmoid>::named("sigmoid"),
    ByValue<Elu>::named("elu"),   Kept<Silu>::named("silu"),         Kept<Gaussian>::named("gaussian"),
    Kept<Ricker>::named("ricker"), Kept<Softplus>::named("softplus"), Kept<Gelu>::named("gelu"),
    Kept<Sine>::named("sin"),
};
