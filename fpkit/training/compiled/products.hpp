// The three products of a layer (forward; backward to the inputs; to the weights): C (rows, columns) += A B with rows of B
// and C that are whole vectors. Every number is one sum, over samples or units in their order.
#pragma once

#include <algorithm>

#include "parts.hpp"
#include "vectors.hpp"

struct Product {
    const float *a;  // element (row, k) at a[row * a_row + k * a_inner]
    int64_t a_row, a_inner;
    const float *b;  // row k at b + k * b_row
    int64_t b_row;
    float *c;
    int64_t c_row;
    const float *bias;  // added to each row, or null
    bool accumulate;
};

template <int ROWS, int VECTORS>
static void tile(const Product &p, int64_t row, int64_t column, int64_t inner) {
    vec sum[ROWS][VECTORS];
    float *c = p.c + row * p.c_row + column;
#pragma GCC unroll 16
    for (int i = 0; i < ROWS; ++i)
#pragma GCC unroll 16
        for (int j = 0; j < VECTORS; ++j)
            sum[i][j] = p.bias         ? at(p.bias + column + j * LANES)
                        : p.accumulate ? at(c + i * p.c_row + j * LANES)
                                       : vec{};
    const float *a = p.a + row * p.a_row, *b = p.b + column;
    for (int64_t k = 0; k < inner; ++k, a += p.a_inner, b += p.b_row) {
        vec right[VECTORS];
#pragma GCC unroll 16
        for (int j = 0; j < VECTORS; ++j) right[j] = at(b + j * LANES);
#pragma GCC unroll 16
        for (int i = 0; i < ROWS; ++i) {
            const vec left = all(a[i * p.a_row]);
#pragma GCC unroll 16
            for (int j = 0; j < VECTORS; ++j) sum[i][j] += left * right[j];
        }
    }
#pragma GCC unroll 16
    for (int i = 0; i < ROWS; ++i)
#pragma GCC unroll 16
        for (int j = 0; j < VECTORS; ++j) at(c + i * p.c_row + j * LANES) = sum[i][j];
}

template <int VECTORS>
static void columns(const Product &p, int64_t rows, int64_t column, int64_t inner) {
    const Parts parts(rows, TALLEST[VECTORS]);
    for (int64_t i = 0; i < parts.count; ++i) {
        const int64_t row = parts.begin(i);
        const auto chosen = with_count<TALLEST[VECTORS]>(
            parts.begin(i + 1) - row, [](auto rows) { return tile<decltype(rows)::value, VECTORS>; });
        chosen(p, row, column, inner);
    }
}

// C (rows, columns) = A (rows, inner) B (inner, columns), columns being padded.
static void multiply(const Product &p, int64_t rows, int64_t inner, int64_t width) {
    const Parts parts(width / LANES, WIDEST);
    for (int64_t i = 0; i < parts.count; ++i) {
        const int64_t first = parts.begin(i), column = first * LANES;
        switch (parts.begin(i + 1) - first) {
            case 1: columns<1>(p, rows, column, inner); break;
            case 2: columns<2>(p, rows, column, inner); break;
            case 3: columns<std::min(3, WIDEST)>(p, rows, column, inner); break;
            default: columns<WIDEST>(p, rows, column, inner);
        }
    }
}

// Of a and b side by side, lanes whose number has the bit D trade places with those that have not.
template <int D, int... J>
static inline void trade(vec &a, vec &b, std::integer_sequence<int, J...>) {
    const vec first = SHUFFLE(a, b, (J & D ? LANES + J - D : J)...), second = SHUFFLE(a, b, (J & D ? LANES + J : J + D)...);
    a = first, b = second;
}

template <int D>
static inline void transpose_square(vec *rows) {
    if constexpr (D > 0) {
#pragma GCC unroll 16
        for (int i = 0; i < LANES; ++i)
            if (!(i & D)) trade<D>(rows[i], rows[i + D], std::make_integer_sequence<int, LANES>());
        transpose_square<D / 2>(rows);
    }
}

// Columns `first` to `last` of from (rows, columns) as rows of to, which are padded; `first` is a multiple of LANES.
static void transpose(const float *from, int64_t rows, int64_t first, int64_t last, int64_t from_row, float *to,
                      int64_t to_row) {
    for (int64_t c = first; c < last; c += LANES)
        for (int64_t r = 0; r < to_row; r += LANES) {
            vec square[LANES];
            for (int i = 0; i < LANES; ++i) square[i] = r + i < rows ? at(from + (r + i) * from_row + c) : vec{};
            transpose_square<LANES / 2>(square);
            for (int i = 0; i < LANES && c + i < last; ++i) at(to + (c + i) * to_row + r) = square[i];
        }
}
