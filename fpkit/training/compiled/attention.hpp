// Parts of a transformer's layer, forwards and backwards: norms over the numbers of a token, and self-attention.
#pragma once

#include <algorithm>
#include <cmath>

#include "encoder.hpp"
#include "exponentials.hpp"
#include "products.hpp"

constexpr float NORM_EPSILON = 1e-5f;

// Numbers i, i + 1, ... of a row, and zeros in place of what pads it.
static inline vec within(vec numbers, int64_t i, int64_t width) {
    ivec kept;
    for (int j = 0; j < LANES; ++j) kept[j] = i + j < width ? -1 : 0;
    return (vec)((ivec)numbers & kept);
}

// Rows of x with mean 0 and variance 1 (`hat`), and these times gain, plus bias (`value`). One over the deviation is kept.
static void normalize(const float *x, int64_t rows, int64_t width, const float *gain, const float *bias, float *hat,
                      float *value, float *inverse) {
    const int64_t row = padded(width);
    for (int64_t r = 0; r < rows; ++r, x += row, hat += row, value += row) {
        vec sum = {}, squares = {};
        for (int64_t i = 0; i < row; i += LANES) sum += at(x + i);
        const float mean = total(sum) / float(width);
        for (int64_t i = 0; i < row; i += LANES) {
            const vec centred = at(hat + i) = within(at(x + i) - mean, i, width);
            squares += centred * centred;
        }
        inverse[r] = 1.f / std::sqrt(total(squares) / float(width) + NORM_EPSILON);
        for (int64_t i = 0; i < row; i += LANES) {
            const vec scaled = at(hat + i) *= inverse[r];
            at(value + i) = scaled * at(gain + i) + at(bias + i);
        }
    }
}

// The gradient by x, added to `by_x`, from that by `value`; those by gain and bias, added to what is there.
static void normalize_back(const float *by_value, int64_t rows, int64_t width, const float *gain, const float *hat,
                           const float *inverse, float *by_x, float *by_gain, float *by_bias) {
    const int64_t row = padded(width);
    for (int64_t r = 0; r < rows; ++r, by_value += row, hat += row, by_x += row) {
        vec sum = {}, along = {};
        for (int64_t i = 0; i < row; i += LANES) {
            const vec g = at(by_value + i), h = at(hat + i), scaled = g * at(gain + i);
            at(by_gain + i) += g * h, at(by_bias + i) += g;
            sum += scaled, along += scaled * h;
        }
        const float mean = total(sum) / float(width), slope = total(along) / float(width);
        for (int64_t i = 0; i < row; i += LANES) {
            const vec back = at(by_value + i) * at(gain + i) - mean - at(hat + i) * slope;
            at(by_x + i) += within(back * inverse[r], i, width);
        }
    }
}

// Of one sample. Queries, keys and values lie with tokens last, (3 width, token), so that all of a head's products have
// whole vectors of tokens, and sums over keys go from row to row.
struct Attention {
    const Encoder &net;
    const float *heads;  // queries, keys, values
    float *weights;      // (head, key, query)
    float *memory;

    int64_t row() const { return net.tokens_row(); }
    int64_t size() const { return net.width / net.heads; }
    float scale() const { return 1.f / std::sqrt(float(size())); }
    int64_t place(int64_t part, int64_t head) const { return (part * net.width + head * size()) * row(); }
    const float *of(int64_t part, int64_t head) const { return heads + place(part, head); }
    float *weights_of(int64_t head) const { return weights + head * net.tokens * row(); }

    // (number, token) of a head = (number, token) times (token, token).
    void product(const float *a, const float *b, float *c) const {
        multiply({a, row(), 1, b, row(), c, row(), nullptr, false}, size(), net.tokens, row());
    }

    // What each token takes up: `mixed` (token, width).
    void forward(float *mixed) const {
        for (int64_t h = 0; h < net.heads; ++h) {
            float *p = weights_of(h);
            multiply({of(1, h), 1, row(), of(0, h), row(), p, row(), nullptr, false}, net.tokens, size(), row());
            for (int64_t i = 0; i < row(); i += LANES) {
                vec largest = at(p + i), sum = {};
                for (int64_t k = 1; k < net.tokens; ++k) {
                    const vec score = at(p + k * row() + i);
                    largest = score > largest ? score : largest;
                }
                for (int64_t k = 0; k < net.tokens; ++k) {
                    vec &score = at(p + k * row() + i);
                    sum += score = exp_of((score - largest) * scale());
                }
                for (int64_t k = 0; k < net.tokens; ++k) at(p + k * row() + i) /= sum;
            }
            product(of(2, h), p, memory + place(0, h));
        }
        transpose(memory, net.width, 0, net.tokens, row(), mixed, net.row());
    }

    // From the gradient by `mixed` that by queries, keys and values (token, 3 width).
    void backward(const float *by_mixed, float *by_heads) const {
        float *by = memory, *ours = by + 3 * net.width * row(), *by_score = ours + net.width * row(),
              *turned = by_score + net.tokens * row();
        transpose(by_mixed, net.tokens, 0, net.width, net.row(), ours, row());
        for (int64_t h = 0; h < net.heads; ++h) {
            const float *p = weights_of(h), *error = ours + place(0, h);
            multiply({of(2, h), 1, row(), error, row(), by_score, row(), nullptr, false}, net.tokens, size(), row());
            transpose(p, net.tokens, 0, net.tokens, row(), turned, row());
            product(error, turned, by + place(2, h));
            for (int64_t i = 0; i < row(); i += LANES) {
                vec along = {};
                for (int64_t k = 0; k < net.tokens; ++k) along += at(p + k * row() + i) * at(by_score + k * row() + i);
                for (int64_t k = 0; k < net.tokens; ++k) {
                    vec &score = at(by_score + k * row() + i);
                    score = at(p + k * row() + i) * (score - along) * scale();
                }
            }
            product(of(1, h), by_score, by + place(0, h));
            transpose(by_score, net.tokens, 0, net.tokens, row(), turned, row());
            product(of(0, h), turned, by + place(1, h));
        }
        transpose(by, 3 * net.width, 0, net.tokens, row(), by_heads, padded(3 * net.width));
    }
};
