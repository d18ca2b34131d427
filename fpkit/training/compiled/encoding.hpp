// Samples on their way through a transformer encoder, forwards and backwards.
#pragma once

#include "attention.hpp"
#include "passes.hpp"

static void add_to_rows(const float *numbers, int64_t rows, int64_t row, float *to) {
    for (int64_t r = 0; r < rows; ++r, to += row) add(numbers, row, to);
}

static void add_rows(const float *from, int64_t rows, int64_t row, float *to) {
    for (int64_t r = 0; r < rows; ++r, from += row) add(from, row, to);
}

// Rows of x, of so many numbers each, through a map: in place of what is there, or added to it.
static void through(const Map &map, const float *parameters, const float *x, int64_t x_row, int64_t rows, float *to,
                    bool added = false) {
    const float *bias = parameters + map.bias;
    if (added) add_to_rows(bias, rows, map.row(), to);
    multiply({x, x_row, 1, parameters + map.weight, map.row(), to, map.row(), added ? nullptr : bias, added}, rows,
             map.inputs, map.row());
}

// The gradient by a map's parameters, added to what is there, from that by what came out.
static void map_gradient(const Map &map, const float *x, int64_t x_row, const float *error, int64_t rows, float *gradient) {
    multiply({x, 1, x_row, error, map.row(), gradient + map.weight, map.row(), nullptr, true}, map.inputs, rows, map.row());
    add_rows(error, rows, map.row(), gradient + map.bias);
}

// That by what went in, by the transposed weights.
static void back_through(const Map &map, const float *transposed, const float *error, int64_t rows, float *to) {
    const int64_t row = padded(map.inputs);
    multiply({error, map.row(), 1, transposed, row, to, row, nullptr, false}, rows, map.units, row);
}

// The maps of layers, each transposed: by one thread.
static void transpose_weights(const Encoder &net, const float *parameter, float *to, int64_t, int64_t) {
    for (int64_t l = 0; l < net.layers; ++l) {
        const Attending layer = net.layer(l);
        for (const Map &map : {layer.attend, layer.project, layer.wide, layer.narrow}) {
            transpose(parameter + map.weight, map.inputs, 0, map.units, map.row(), to, padded(map.inputs));
            to += map.units * padded(map.inputs);
        }
    }
}

static void forward(const Encoding &pass, const float *parameters, bool derivatives, float *output) {
    const Encoder &net = pass.net;
    const int64_t rows = pass.rows(), row = net.row(), width = net.width, tokens = net.tokens;
    through(net.embed(), parameters, pass.x, net.numbers(), rows, pass.stream);
    for (int64_t s = 0; s < pass.samples; ++s)
        add(parameters + net.position(), tokens * row, pass.stream + s * tokens * row);
    for (int64_t l = 0; l < net.layers; ++l) {
        const Attending layer = net.layer(l);
        const Left left = pass.left(l);
        normalize(pass.stream, rows, width, parameters + layer.before.gain, parameters + layer.before.bias, left.before_hat,
                  left.before_value, left.before_inverse);
        through(layer.attend, parameters, left.before_value, row, rows, pass.wide);
        for (int64_t s = 0; s < pass.samples; ++s) {
            float *heads = left.heads + s * 3 * width * net.tokens_row();
            transpose(pass.wide + s * tokens * layer.attend.row(), tokens, 0, 3 * width, layer.attend.row(), heads,
                      net.tokens_row());
            float *weights = left.weights + s * net.heads * tokens * net.tokens_row();
            Attention{net, heads, weights, pass.w.attending}.forward(left.mixed + s * tokens * row);
        }
        through(layer.project, parameters, left.mixed, row, rows, pass.stream, true);
        normalize(pass.stream, rows, width, parameters + layer.between.gain, parameters + layer.between.bias,
                  left.between_hat, left.between_value, left.between_inverse);
        through(layer.wide, parameters, left.between_value, row, rows, left.hidden);
        net.activation->apply(left.hidden, derivatives ? left.derivative : nullptr, rows * layer.wide.row());
        through(layer.narrow, parameters, left.hidden, layer.wide.row(), rows, pass.stream, true);
    }
    const Norm norm = net.norm();
    normalize(pass.stream, rows, width, parameters + norm.gain, parameters + norm.bias, pass.hat, pass.some, pass.inverse);
    std::fill_n(pass.pooled, pass.samples * row, 0.f);
    for (int64_t s = 0; s < pass.samples; ++s) {
        add_rows(pass.some + s * tokens * row, tokens, row, pass.pooled + s * row);
        for (int64_t i = 0; i < row; i += LANES) at(pass.pooled + s * row + i) /= float(tokens);
    }
    outputs_of({pass.pooled, row}, parameters + net.read(), row, parameters + net.read_bias(), pass.samples, net.units,
               output);
}

// From the gradient by the outputs, in `w.output`, those by all parameters; `transposed` holds the weights of layers.
static void backward(const Encoding &pass, const float *parameters, const float *transposed, float *gradient,
                     bool begins, bool) {
    const Encoder &net = pass.net;
    const int64_t rows = pass.rows(), row = net.row(), width = net.width, tokens = net.tokens, samples = pass.samples;
    if (begins) std::fill_n(gradient, net.parameters(), 0.f);
    const float *error = pass.w.output;
    multiply({error, 1, net.units, pass.pooled, row, gradient + net.read(), row, nullptr, true}, net.units, samples, row);
    for (int64_t s = 0; s < samples; ++s)
        for (int64_t o = 0; o < net.units; ++o) gradient[net.read_bias() + o] += error[s * net.units + o];
    multiply({error, net.units, 1, parameters + net.read(), row, pass.by_pooled, row, nullptr, false}, samples, net.units,
             row);
    for (int64_t s = 0; s < samples; ++s) {
        float *by_pooled = pass.by_pooled + s * row;
        for (int64_t i = 0; i < row; i += LANES) at(by_pooled + i) /= float(tokens);
        for (int64_t t = 0; t < tokens; ++t) std::copy_n(by_pooled, row, pass.some + (s * tokens + t) * row);
    }
    float *by_stream = pass.stream;  // which has done its work
    std::fill_n(by_stream, rows * row, 0.f);
    const Norm norm = net.norm();
    normalize_back(pass.some, rows, width, parameters + norm.gain, pass.hat, pass.inverse, by_stream, gradient + norm.gain,
                   gradient + norm.bias);
    for (int64_t l = net.layers - 1; l >= 0; --l) {
        const Attending layer = net.layer(l);
        const Left left = pass.left(l);
        const float *attend = transposed + l * net.transposed_layer(), *project = attend + 3 * width * row,
                    *wide = project + width * row, *narrow = wide + 4 * width * row;
        map_gradient(layer.narrow, left.hidden, layer.wide.row(), by_stream, rows, gradient);
        back_through(layer.narrow, narrow, by_stream, rows, pass.wide);
        net.activation->differentiate(pass.wide, left.hidden, left.derivative, rows * layer.wide.row());
        map_gradient(layer.wide, left.between_value, row, pass.wide, rows, gradient);
        back_through(layer.wide, wide, pass.wide, rows, pass.some);
        normalize_back(pass.some, rows, width, parameters + layer.between.gain, left.between_hat, left.between_inverse,
                       by_stream, gradient + layer.between.gain, gradient + layer.between.bias);
        map_gradient(layer.project, left.mixed, row, by_stream, rows, gradient);
        back_through(layer.project, project, by_stream, rows, pass.some);
        for (int64_t s = 0; s < samples; ++s) {
            const float *heads = left.heads + s * 3 * width * net.tokens_row();
            float *weights = left.weights + s * net.heads * tokens * net.tokens_row();
            Attention{net, heads, weights, pass.w.attending}.backward(pass.some + s * tokens * row,
                                                                      pass.wide + s * tokens * layer.attend.row());
        }
        map_gradient(layer.attend, left.before_value, row, pass.wide, rows, gradient);
        back_through(layer.attend, attend, pass.wide, rows, pass.some);
        normalize_back(pass.some, rows, width, parameters + layer.before.gain, left.before_hat, left.before_inverse,
                       by_stream, gradient + layer.before.gain, gradient + layer.before.bias);
    }
    map_gradient(net.embed(), pass.x, net.numbers(), by_stream, rows, gradient);
    for (int64_t s = 0; s < samples; ++s) add(by_stream + s * tokens * row, tokens * row, gradient + net.position());
}
