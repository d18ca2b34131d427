// Vectors of the processor, and rows that are padded to whole ones.
#pragma once

#include <cstdint>
#include <utility>

#if defined(__AVX512F__)
constexpr int LANES = 16, WIDEST = 4, TALLEST[] = {0, 12, 12, 8, 6};  // 32 registers of 16 numbers
#elif defined(__AVX__)
constexpr int LANES = 8, WIDEST = 2, TALLEST[] = {0, 10, 6};  // 16 registers of 8 numbers
#else
constexpr int LANES = 4, WIDEST = 4, TALLEST[] = {0, 12, 12, 8, 6};
#endif
constexpr int64_t PAD = 16;

typedef float vec __attribute__((vector_size(4 * LANES), aligned(4), may_alias));
typedef int32_t ivec __attribute__((vector_size(4 * LANES), aligned(4), may_alias));

static inline vec &at(float *p) { return *reinterpret_cast<vec *>(p); }
static inline const vec &at(const float *p) { return *reinterpret_cast<const vec *>(p); }
// Less zero, not more: 0 + x is no x where that is -0, and would be computed, on the ports that the products need.
static inline vec all(float number) { return number - vec{}; }
static inline int64_t padded(int64_t n) { return (n + PAD - 1) / PAD * PAD; }

#if defined(__has_builtin)
#if __has_builtin(__builtin_shufflevector)
#define SHUFFLE(a, b, ...) __builtin_shufflevector(a, b, __VA_ARGS__)
#endif
#endif
#if !defined(SHUFFLE)
#define SHUFFLE(a, b, ...) __builtin_shuffle(a, b, ivec{__VA_ARGS__})
#endif

template <int WIDTH, int... J>
static inline vec folded(vec v, std::integer_sequence<int, J...>) {
    return v + SHUFFLE(v, v, ((J + WIDTH) % LANES)...);
}

// The sum of all numbers: first of those half a vector apart.
template <int WIDTH = LANES / 2>
static inline float total(vec v) {
    if constexpr (WIDTH > 0) return total<WIDTH / 2>(folded<WIDTH>(v, std::make_integer_sequence<int, LANES>()));
    return v[0];
}
