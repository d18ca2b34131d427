// Samples on their way through a network, forwards and backwards.
#pragma once

#include <algorithm>

#include "network.hpp"
#include "products.hpp"

// Output (sample, output) for x (sample, feature); hidden values, and derivatives if asked for, layer after layer.
static void forward(const Network &net, const float *parameters, const float *x, int64_t samples, float *hidden,
                    float *derivative, float *output) {
    const float *below = x;
    int64_t below_row = net.features();
    for (int64_t l = 0; l + 1 < net.layers; ++l) {
        const int64_t row = net.row(l);
        multiply({below, below_row, 1, parameters + net.weight(l), row, hidden, row, parameters + net.bias(l), false},
                 samples, net.units[l], row);
        net.activation->apply(hidden, derivative, samples * row);
        below = hidden, below_row = row;
        hidden += samples * row;
        if (derivative) derivative += samples * row;
    }
    const int64_t last = net.layers - 1, row = net.row(last), outputs = net.outputs();
    const float *weight = parameters + net.weight(last), *bias = parameters + net.bias(last);
    for (int64_t s = 0; s < samples; ++s)
        for (int64_t o = 0; o < outputs; ++o) {
            vec sum = {};
            for (int64_t k = 0; k < row; k += LANES) sum += at(below + s * row + k) * at(weight + o * row + k);
            output[s * outputs + o] = total(sum) + bias[o];
        }
}

// Those numbers of C (rows, columns) = A B that are its numbers `low` to `high`: part of a row, whole rows, part of a row.
static void multiply_between(const Product &p, int64_t rows, int64_t inner, int64_t low, int64_t high) {
    low = std::max<int64_t>(low, 0), high = std::min(high, rows * p.c_row);
    while (low < high) {
        const int64_t row = low / p.c_row, column = low % p.c_row, width = std::min(p.c_row - column, high - low);
        const int64_t count = width == p.c_row ? (high - low) / width : 1;
        Product part = p;
        part.a += row * p.a_row, part.b += column, part.c += low;
        multiply(part, count, inner, width);
        low += count * width;
    }
}

// The gradient of some samples' share of the loss by the parameters of a layer, as far as they are those from `low` to
// `high`, multiples of PAD; added to what is there if `accumulate`.
static void layer_gradient(const Pass &pass, int64_t l, float *gradient, int64_t low, int64_t high, bool accumulate) {
    const Network &net = pass.net;
    const Values input = pass.input(l), error = pass.error(l);
    const bool last = l + 1 == net.layers;
    const int64_t begin = net.weight(l), rows = net.rows(l), row = net.row(l), bias = net.bias(l);
    const Values left = last ? error : input, right = last ? input : error;
    multiply_between({left.numbers, 1, left.row, right.numbers, right.row, gradient + begin, row, nullptr, accumulate}, rows,
                     pass.samples, low - begin, high - begin);
    if (last) {
        // Not every activation is zero at zero, but what pads the weights stays so.
        for (int64_t o = 0; o < rows; ++o)
            for (int64_t i = std::max(low, begin + o * row + net.units[l]); i < std::min(high, begin + (o + 1) * row); ++i)
                gradient[i] = 0;
        for (int64_t i = std::max(low, bias); i < std::min(high, bias + net.outputs()); ++i) {
            float sum = accumulate ? gradient[i] : 0;
            for (int64_t s = 0; s < pass.samples; ++s) sum += error.numbers[s * error.row + i - bias];
            gradient[i] = sum;
        }
        return;
    }
    for (int64_t i = std::max(low, bias); i < std::min(high, bias + row); i += LANES) {
        vec sum = accumulate ? at(gradient + i) : vec{};
        for (int64_t s = 0; s < pass.samples; ++s) sum += at(error.numbers + s * error.row + i - bias);
        at(gradient + i) = sum;
    }
}

// From the gradient by the outputs those by the hidden layers; and, if asked for, by all parameters, layer by layer while
// what it is made of is in the cache. `transposed` holds the weights between hidden layers.
static void backward(const Pass &pass, const float *parameters, const float *transposed, float *gradient, bool accumulate) {
    const Network &net = pass.net;
    const int64_t last = net.layers - 1;
    const float *right = parameters + net.weight(last);
    transposed += net.transposed();
    for (int64_t l = last;; --l) {
        if (gradient) layer_gradient(pass, l, gradient, 0, net.parameters(), accumulate);
        if (l == 0) return;
        const Values input = pass.input(l), error = pass.error(l), upstream = pass.error(l - 1);
        if (l < last) right = transposed -= net.units[l + 1] * input.row;
        multiply({error.numbers, error.row, 1, right, input.row, upstream.numbers, upstream.row, nullptr, false}, pass.samples,
                 net.units[l + 1], input.row);
        net.activation->differentiate(upstream.numbers, input.numbers, pass.derivative(l), pass.samples * input.row);
    }
}
