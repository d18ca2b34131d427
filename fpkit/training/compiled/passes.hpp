// Samples on their way through a network, forwards and backwards.
#pragma once

#include <algorithm>

#include "convolutions.hpp"
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

// From (sample, number) to (group, number, lane), with zeros for what samples lack to whole groups.
static void to_lanes(const float *from, int64_t samples, int64_t numbers, int64_t from_row, float *to) {
    for (int64_t s = 0; s < samples; s += LANES, from += LANES * from_row, to += numbers * LANES)
        transpose(from, std::min<int64_t>(LANES, samples - s), 0, numbers, from_row, to, LANES);
}

// And back: rows are padded with zeros.
static void from_lanes(const float *from, int64_t samples, int64_t numbers, float *to, int64_t to_row) {
    for (int64_t s = 0; s < samples; s += LANES, from += numbers * LANES, to += LANES * to_row)
        transpose(from, numbers, 0, std::min<int64_t>(LANES, samples - s), LANES, to, to_row);
}

static void add(const float *from, int64_t numbers, float *to) {
    for (int64_t i = 0; i < numbers; i += LANES) at(to + i) += at(from + i);
}

// Output (sample, output) of some samples. On the way it leaves hidden values, layer after layer, and, if asked for,
// derivatives.
static void forward(const Pass &pass, const float *parameters, bool derivatives, float *output) {
    const Chain &net = pass.net;
    if (net.convolutions()) to_lanes(pass.x, pass.samples, net.features, net.features, pass.w.image);
    for (int64_t l = 0; l < net.layers; ++l) {
        const Layer &layer = net.layer[l];
        const float *weight = parameters + net.weight(l), *bias = parameters + net.bias(l);
        const Values input = pass.input(l);
        if (l && !layer.convolution && net.layer[l - 1].convolution)
            from_lanes(pass.hidden(l - 1), pass.samples, layer.inputs(), input.numbers, input.row);
        if (l + 1 == net.layers) return outputs_of(input, weight, net.row(l), bias, pass.samples, net.outputs(), output);
        float *above = pass.hidden(l);
        if (layer.convolution)
            convolve_all({layer.of_places, layer.places, weight, layer.length * layer.row(), layer.row(), layer.length,
                          pass.image_below(l), pass.image(l, above), layer.units, bias, false},
                         pass.groups());
        else
            multiply({input.numbers, input.row, 1, weight, layer.row(), above, layer.row(), bias, false}, pass.samples,
                     layer.inputs(), layer.row());
        const int64_t numbers = pass.numbers(l);
        if (layer.skips == 2) add(pass.hidden(l - 2), numbers, above);
        if (layer.activated) net.activation->apply(above, derivatives ? pass.derivative(l) : nullptr, numbers);
        if (layer.skips == 1) add(pass.hidden(l - 1), numbers, above);
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
// `high`, multiples of PAD; added to that of samples before, unless it begins. Convolutions have it when it ends.
static void layer_gradient(const Pass &pass, int64_t l, float *gradient, int64_t low, int64_t high, bool begins, bool ends,
                           float *sums) {
    const Chain &net = pass.net;
    const bool last = l + 1 == net.layers, accumulate = !begins;
    const int64_t begin = net.weight(l), rows = net.rows(l), row = net.row(l), bias = net.bias(l), inner = pass.samples;
    if (net.layer[l].convolution)
        return convolution_gradient({net.layer[l], pass.image_below(l), pass.image(l, pass.by_hidden(l)),
                                     sums + net.sums(l), accumulate},
                                    pass.groups(), begin, bias, low, high, ends, gradient);
    const Values input = pass.input(l), error = pass.error(l), left = last ? error : input, right = last ? input : error;
    multiply_between({left.numbers, 1, left.row, right.numbers, right.row, gradient + begin, row, nullptr, accumulate}, rows,
                     inner, low - begin, high - begin);
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
    const int64_t numbers = pass.numbers(l - 1), row = padded(layer.inputs());
    float *upstream = pass.by_hidden(l - 1);
    // What the layer above adds goes past this one. The gradient by it lies in the same place, unless all are kept.
    const bool past = l + 1 < net.layers && net.layer[l + 1].skips == 2;
    if (past && pass.shared) std::copy_n(pass.by_hidden(l + 1), numbers, upstream);
    if (layer.convolution)
        convolve_all({layer.of_places_below, under.places, transposed, layer.length, row, layer.units,
                      pass.image(l, pass.by_hidden(l)), pass.image(l - 1, upstream), under.units, nullptr, past},
                     pass.groups());
    else {
        const Values error = pass.error(l);
        float *below = under.convolution ? pass.w.by_flat : upstream;
        multiply({error.numbers, error.row, 1, transposed, row, below, row, nullptr, past}, pass.samples, layer.units, row);
        if (under.convolution) to_lanes(below, pass.samples, layer.inputs(), row, upstream);
    }
    if (layer.skips == 1) add(pass.w.past, numbers, upstream);
    if (under.skips == 1) std::copy_n(upstream, numbers, pass.w.past);
    if (under.activated) net.activation->differentiate(upstream, pass.hidden(l - 1), pass.derivative(l - 1), numbers);
}

// From the gradient by the outputs those by the hidden layers; and, if asked for, by all parameters, layer by layer while
// what it is made of is in the cache. `transposed` holds the weights between hidden layers.
static void backward(const Pass &pass, const float *parameters, const float *transposed, float *gradient, bool begins,
                     bool ends) {
    const Chain &net = pass.net;
    const int64_t last = net.layers - 1;
    const float *right = parameters + net.weight(last);
    transposed += net.transposed();
    for (int64_t l = last;; --l) {
        if (gradient) layer_gradient(pass, l, gradient, 0, net.parameters(), begins, ends, pass.w.sums);
        if (l == 0) return;
        if (l < last) right = transposed -= net.layer[l].units * padded(net.layer[l].inputs());
        backward_through(pass, l, right);
    }
}
