// Samples on their way through a network, forwards and backwards.
#pragma once

#include <algorithm>

#include "gathering.hpp"
#include "network.hpp"
#include "products.hpp"

// The last layer, whose weights are transposed: each output (sample, output) is a product of two rows.
static void outputs_of(Values input, const float *weight, int64_t row, const float *bias, int64_t samples, int64_t outputs,
                       float *output) {
    for (int64_t s = 0; s < samples; ++s)
        for (int64_t o = 0; o < outputs; ++o) {
            vec sum = {};
            for (int64_t k = 0; k < row; k += LANES) sum += at(input.numbers + s * input.row + k) * at(weight + o * row + k);
            output[s * outputs + o] = total(sum) + bias[o];
        }
}

// Output (sample, output) of some samples. On the way it leaves hidden values, layer after layer, what was gathered for
// them, and, if asked for, derivatives.
static void forward(const Pass &pass, const float *parameters, bool derivatives, float *output) {
    const Chain &net = pass.net;
    for (int64_t l = 0; l < net.layers; ++l) {
        const Layer &layer = net.layer[l];
        const Values input = pass.input(l);
        if (layer.table) gather(layer, pass.below(l), net.places(l), pass.samples, input, l + 1 == net.layers);
        const float *weight = parameters + net.weight(l), *bias = parameters + net.bias(l);
        if (l + 1 == net.layers) return outputs_of(input, weight, net.row(l), bias, pass.samples, net.outputs(), output);
        const Values above = pass.below(l + 1);
        const int64_t numbers = pass.samples * layer.width();
        multiply({input.numbers, input.row, 1, weight, above.row, above.numbers, above.row, bias, false}, pass.rows(l),
                 layer.inputs(), above.row);
        if (layer.skips == 2) add(pass.below(l - 1).numbers, numbers, above.numbers);
        if (layer.activated) net.activation->apply(above.numbers, derivatives ? pass.derivative(l) : nullptr, numbers);
        if (layer.skips == 1) add(pass.below(l).numbers, numbers, above.numbers);
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

// The gradient (input, unit) by the weights of a layer with fewer units than a vector has lanes: by way of (unit, input),
// where vectors are full. The same sums.
static void turned_gradient(Values input, Values error, int64_t inputs, int64_t units, int64_t inner, float *turned,
                            float *gradient, bool accumulate) {
    if (accumulate) transpose(gradient, inputs, 0, units, PAD, turned, input.row);
    multiply({error.numbers, 1, error.row, input.numbers, input.row, turned, input.row, nullptr, accumulate}, units, inner,
             input.row);
    transpose(turned, units, 0, inputs, input.row, gradient, PAD);
}

// The gradient of some samples' share of the loss by the parameters of a layer, as far as they are those from `low` to
// `high`, multiples of PAD; added to what is there if `accumulate`.
static void layer_gradient(const Pass &pass, int64_t l, float *gradient, int64_t low, int64_t high, bool accumulate) {
    const Chain &net = pass.net;
    const Values input = pass.input(l), error = pass.error(l);
    const bool last = l + 1 == net.layers;
    const int64_t begin = net.weight(l), rows = net.rows(l), row = net.row(l), bias = net.bias(l), inner = pass.rows(l);
    const Values left = last ? error : input, right = last ? input : error;
    if (net.turned(l) && !pass.shared)
        turned_gradient(input, error, rows, net.layer[l].units, inner, pass.w.turned, gradient + begin, accumulate);
    else
        multiply_between({left.numbers, 1, left.row, right.numbers, right.row, gradient + begin, row, nullptr, accumulate},
                         rows, inner, low - begin, high - begin);
    if (last) {
        // Not every activation is zero at zero, but what pads the weights stays so.
        const int64_t inputs = net.layer[l].inputs();
        for (int64_t o = 0; o < rows; ++o)
            for (int64_t i = std::max(low, begin + o * row + inputs); i < std::min(high, begin + (o + 1) * row); ++i)
                gradient[i] = 0;
        for (int64_t i = std::max(low, bias); i < std::min(high, bias + net.outputs()); ++i) {
            float sum = accumulate ? gradient[i] : 0;
            for (int64_t s = 0; s < inner; ++s) sum += error.numbers[s * error.row + i - bias];
            gradient[i] = sum;
        }
        return;
    }
    for (int64_t i = std::max(low, bias); i < std::min(high, bias + row); i += LANES) {
        vec sum = accumulate ? at(gradient + i) : vec{};
        for (int64_t s = 0; s < inner; ++s) sum += at(error.numbers + s * error.row + i - bias);
        at(gradient + i) = sum;
    }
}

// The weights between hidden layers, transposed, one matrix after the other: thread `self` of `count` does its part of each.
static void transpose_weights(const Chain &net, const float *parameter, float *to, int64_t self, int64_t count) {
    for (int64_t l = 1; l + 1 < net.layers; ++l) {
        const int64_t inputs = net.layer[l].inputs(), row = padded(inputs), columns = net.layer[l].units;
        const int64_t squares = padded(columns) / PAD;
        transpose(parameter + net.weight(l), inputs, squares * self / count * PAD,
                  std::min(columns, squares * (self + 1) / count * PAD), net.row(l), to, row);
        to += columns * row;
    }
}

// The gradient by what lies below layer l, from that by what comes out of its weights; `transposed` are those of layer l.
static void backward_through(const Pass &pass, int64_t l, const float *transposed) {
    const Chain &net = pass.net;
    const Layer &layer = net.layer[l], &under = net.layer[l - 1];
    const Values error = pass.error(l), upstream = pass.error(l - 1);
    const int64_t numbers = pass.samples * under.width(), row = padded(layer.inputs());
    // What the layer above adds goes past this one. The gradient by it lies in the same place, unless all are kept.
    const bool past = l + 1 < net.layers && net.layer[l + 1].skips == 2;
    if (past && pass.shared) std::copy_n(pass.error(l + 1).numbers, numbers, upstream.numbers);
    float *below = layer.table ? pass.w.scattered : upstream.numbers;
    multiply({error.numbers, error.row, 1, transposed, row, below, row, nullptr, past && !layer.table},
             pass.rows(l), layer.units, row);
    if (layer.table) scatter(layer, {pass.w.scattered, row}, net.places(l), pass.samples, upstream, past);
    if (layer.skips == 1) add(pass.w.past, numbers, upstream.numbers);
    if (under.skips == 1) std::copy_n(upstream.numbers, numbers, pass.w.past);
    if (under.activated)
        net.activation->differentiate(upstream.numbers, pass.below(l).numbers, pass.derivative(l - 1), numbers);
}

// From the gradient by the outputs those by the hidden layers; and, if asked for, by all parameters, layer by layer while
// what it is made of is in the cache. `transposed` holds the weights between hidden layers.
static void backward(const Pass &pass, const float *parameters, const float *transposed, float *gradient, bool accumulate) {
    const Chain &net = pass.net;
    const int64_t last = net.layers - 1;
    const float *right = parameters + net.weight(last);
    transposed += net.transposed();
    for (int64_t l = last;; --l) {
        if (gradient) layer_gradient(pass, l, gradient, 0, net.parameters(), accumulate);
        if (l == 0) return;
        if (l < last) right = transposed -= net.layer[l].units * padded(net.layer[l].inputs());
        backward_through(pass, l, right);
    }
}
