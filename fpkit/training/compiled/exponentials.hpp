// Exponential functions of vectors.
#pragma once

#include "vectors.hpp"

// 2^x = 2^whole (1 + fraction), the fraction within 2e-7 of its size, also near zero.
struct Power {
    vec fraction;
    ivec whole;  // where a float has its exponent

    explicit Power(vec x) {
        x = x < -126.f ? all(-126.f) : x;  // NaN stays
        x = x > 126.f ? all(126.f) : x;
        const vec shift = all(12582912.f), shifted = x + shift;  // 1.5 * 2^23: the last bits hold the nearest integer
        const vec f = x - (shifted - shift);
        vec p = all(1.5403512e-4f);  // of (2^f - 1) / f, the largest relative error as small as can be
        p = p * f + 1.3390735e-3f;
        p = p * f + 9.6182375e-3f;
        p = p * f + 5.5503574e-2f;
        p = p * f + 2.4022650e-1f;
        p = p * f + 6.9314719e-1f;
        fraction = p * f;
        whole = (ivec)shifted << 23;
    }
};

static inline vec exp2_of(vec x) {
    const Power power(x);
    return (vec)((ivec)(1.f + power.fraction) + power.whole);
}

// 2^x - 1, near zero within a few units of its last place.
static inline vec exp2_less_1_of(vec x) {
    const Power power(x);
    const vec whole = (vec)(power.whole + (127 << 23));
    return whole * power.fraction + (whole - 1.f);
}

static inline vec exp_of(vec x) { return exp2_of(x * 1.44269504f); }
