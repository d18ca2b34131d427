// A network's shape, where its parameters lie, and the memory for its updates.
#pragma once

#include <algorithm>

#include "activations.hpp"
#include "losses.hpp"

constexpr int64_t CACHE_NUMBERS = 1 << 17;

struct Network {
    const int64_t *units;  // features, widths of the hidden layers, outputs
    int64_t layers;        // of weights
    const Activation *activation;
    const Loss *loss;

    int64_t features() const { return units[0]; }
    int64_t outputs() const { return units[layers]; }
    // Of a layer's weights: (inputs, units), of the last one (outputs, inputs); biases behind all weights.
    int64_t rows(int64_t l) const { return l + 1 < layers ? units[l] : units[layers]; }
    int64_t row(int64_t l) const { return padded(l + 1 < layers ? units[l + 1] : units[l]); }
    int64_t weight(int64_t l) const {
        int64_t begin = 0;
        for (int64_t i = 0; i < l; ++i) begin += rows(i) * row(i);
        return begin;
    }
    int64_t bias(int64_t l) const {
        int64_t begin = weight(layers);
        for (int64_t i = 0; i < l; ++i) begin += padded(units[i + 1]);
        return begin;
    }
    int64_t parameters() const { return bias(layers); }

    int64_t widest() const {
        int64_t width = 0;
        for (int64_t l = 1; l < layers; ++l) width = std::max(width, padded(units[l]));
        return width;
    }
    // Numbers of a sample in the hidden layers before the one that goes into layer l.
    int64_t before(int64_t l) const {
        int64_t width = 0;
        for (int64_t i = 1; i < l; ++i) width += padded(units[i]);
        return width;
    }
    int64_t hidden() const { return before(layers); }
    int64_t transposed() const {
        int64_t numbers = 0;
        for (int64_t l = 1; l + 1 < layers; ++l) numbers += units[l + 1] * padded(units[l]);
        return numbers;
    }
    // Numbers of a sample's gradients by hidden layers: of all where threads share an update, as each needs those of the
    // others; else of two in turn, as a layer's is used up by the one below.
    int64_t errors() const { return std::max(hidden(), 2 * widest()); }
    // Samples whose activations and gradients fit into the cache.
    int64_t together() const { return std::max<int64_t>(128, CACHE_NUMBERS / (hidden() + errors())); }
    int64_t workspace(int64_t samples) const {
        const int64_t some = std::min(samples, together());
        const int64_t kept = activation->keeps_derivative ? 2 : 1;
        return parameters() + transposed() + some * (kept * hidden() + errors()) + padded(some * outputs()) +
               padded(some * outputs()) + padded(some * features());
    }
};

// The memory of one thread's part of an update. Of threads that share one, `gradient` and `transposed` of the first are all
// theirs.
struct Workspace {
    float *gradient, *transposed, *hidden, *derivative, *error, *output, *target, *input;
    Workspace(const Network &net, int64_t samples, float *begin) {
        const int64_t some = std::min(samples, net.together());
        auto take = [&begin](int64_t numbers) { return (begin += numbers) - numbers; };
        gradient = take(net.parameters());
        transposed = take(net.transposed());
        hidden = take(some * net.hidden());
        derivative = net.activation->keeps_derivative ? take(some * net.hidden()) : nullptr;
        error = take(some * net.errors());
        output = take(padded(some * net.outputs()));
        target = take(padded(some * net.outputs()));
        input = take(padded(some * net.features()));
    }
};

// Numbers (sample, unit) of some samples.
struct Values {
    float *numbers;
    int64_t row;
};

// Some samples on their way through a network, in the memory of one thread.
struct Pass {
    const Network &net;
    const Workspace &w;
    const float *x;
    int64_t samples;
    bool shared;  // with other threads

    // Of a layer, what goes into it, and the gradient by what comes out of its weights.
    Values input(int64_t l) const {
        if (l == 0) return {const_cast<float *>(x), net.features()};
        return {w.hidden + samples * net.before(l), padded(net.units[l])};
    }
    Values error(int64_t l) const {
        if (l + 1 == net.layers) return {w.output, net.outputs()};
        return {w.error + samples * (shared ? net.before(l + 1) : l % 2 * net.widest()), padded(net.units[l + 1])};
    }
    float *derivative(int64_t l) const { return w.derivative ? w.derivative + samples * net.before(l) : nullptr; }
};
