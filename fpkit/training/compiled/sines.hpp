// Sine and cosine of vectors.
#pragma once

#include <cmath>
#include <cstring>

#include "vectors.hpp"

// Up to here a multiple of pi, in three parts of few bits, is taken away without a rounding error.
constexpr float REDUCED = 2e4f;

static inline vec sine(vec x, vec *cosine) {
    const vec shift = all(12582912.f), shifted = x * 3.1830989e-1f + shift;  // 1.5 * 2^23: the last bits hold an integer
    const vec multiple = shifted - shift;
    const vec f = ((x - multiple * 3.140625f) - multiple * 9.6750259e-4f) - multiple * 1.5099580e-7f;
    const ivec sign = (ivec)shifted << 31;  // of odd multiples
    const vec t = f * f;
    vec s = ((2.6057806e-6f * t - 1.9809603e-4f) * t + 8.3330662e-3f) * t - 1.6666660e-1f;
    s = (vec)((ivec)(f + f * t * s) ^ sign);
    if (cosine) {
        vec c = (((-2.6077105e-7f * t + 2.4761886e-5f) * t - 1.3888404e-3f) * t + 4.1666641e-2f) * t - 5.0000000e-1f;
        *cosine = (vec)((ivec)(1.f + t * c) ^ sign);
    }
    const ivec near = (x < REDUCED) & (x > -REDUCED);
    int64_t all_near[LANES / 2], together = -1;
    std::memcpy(all_near, &near, sizeof near);
    for (const int64_t two : all_near) together &= two;
    if (together == -1) return s;
    for (int i = 0; i < LANES; ++i)
        if (!near[i]) {  // far out, or no number
            s[i] = std::sin(x[i]);
            if (cosine) (*cosine)[i] = std::cos(x[i]);
        }
    return s;
}
