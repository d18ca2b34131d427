// A network's shape, where its parameters lie, and the memory for its updates.
#pragma once

#include <algorithm>

#include "activations.hpp"
#include "losses.hpp"

constexpr int64_t CACHE_NUMBERS = 1 << 17;

// Samples, each of so many numbers, that go through a network at a time: as many as the cache takes. Where it does not take
// the parameters, which come from memory then each time, more: with twice as many numbers as there are of those.
static int64_t samples_together(int64_t numbers, int64_t parameters) {
    return std::max<int64_t>(1, std::max(CACHE_NUMBERS, 2 * parameters) / std::max<int64_t>(1, numbers));
}

// Weights that are used at one place or at many: of a fully connected layer at one, of a convolution at every pixel of the
// image that it makes. What goes into one place is gathered from some runs of numbers, one after the other, as `table` says.
struct Layer {
    int64_t units, places;  // what comes out: units of each place
    int64_t runs, length;   // what goes into a place: so many runs of so many numbers
    // (place, run): the place below where a run begins, or -1 for zeros; null: all numbers below, as they lie.
    const int32_t *table;
    // Of each place below where among `taker` those begin that take it, each the number from which on its run lies among all
    // that is gathered for a sample; null where nothing is below but inputs.
    const int32_t *first_taker, *taker;
    // To what comes out is added, 1: what goes in, behind the activation; 2: what goes into the layer before, ahead of it.
    int64_t skips;
    int64_t activated;  // what comes out

    int64_t inputs() const { return runs * length; }
    int64_t row() const { return padded(units); }
    int64_t width() const { return places * row(); }
};

struct Workspace;
struct Pass;

struct Chain {
    using Workspace = ::Workspace;
    using Pass = ::Pass;
    static constexpr bool shares = true;  // an update with other threads

    const Layer *layer;
    int64_t layers;
    int64_t features, step;  // numbers of an input, and of each of its places
    const Activation *activation;
    const Loss *loss;

    // Below a layer, of which `step`, or the units there, are the numbers.
    int64_t places(int64_t l) const { return l ? layer[l - 1].places : features / step; }
    int64_t outputs() const { return layer[layers - 1].units; }
    bool copied() const { return layer[0].table; }  // inputs, before they go in: vectors may end behind them
    // Of a layer's weights: (inputs, units), of the last one (outputs, inputs); biases behind all weights.
    int64_t rows(int64_t l) const { return l + 1 < layers ? layer[l].inputs() : outputs(); }
    int64_t row(int64_t l) const { return padded(l + 1 < layers ? layer[l].units : layer[l].inputs()); }
    int64_t weight(int64_t l) const {
        int64_t begin = 0;
        for (int64_t i = 0; i < l; ++i) begin += rows(i) * row(i);
        return begin;
    }
    int64_t bias(int64_t l) const {
        int64_t begin = weight(layers);
        for (int64_t i = 0; i < l; ++i) begin += layer[i].row();
        return begin;
    }
    int64_t parameters() const { return bias(layers); }

    // Numbers of a sample in the hidden layers before the one that goes into layer l.
    int64_t before(int64_t l) const {
        int64_t width = 0;
        for (int64_t i = 0; i + 1 < l; ++i) width += layer[i].width();
        return width;
    }
    int64_t hidden() const { return before(layers); }
    int64_t widest() const {
        int64_t width = 0;
        for (int64_t l = 0; l + 1 < layers; ++l) width = std::max(width, layer[l].width());
        return width;
    }
    // Numbers of a sample that are gathered for the layers before layer l.
    int64_t gathered_before(int64_t l) const {
        int64_t numbers = 0;
        for (int64_t i = 0; i < l; ++i)
            if (layer[i].table) numbers += layer[i].places * padded(layer[i].inputs());
        return numbers;
    }
    int64_t gathered() const { return gathered_before(layers); }
    // Numbers of a sample's gradient by what was gathered for one layer.
    int64_t scattered() const {
        int64_t numbers = 0;
        for (int64_t l = 1; l < layers; ++l)
            if (layer[l].table) numbers = std::max(numbers, layer[l].places * padded(layer[l].inputs()));
        return numbers;
    }
    int64_t transposed() const {
        int64_t numbers = 0;
        for (int64_t l = 1; l + 1 < layers; ++l) numbers += layer[l].units * padded(layer[l].inputs());
        return numbers;
    }
    // Whether the gradient by a layer's weights is less work the other way round, since its units fill no vector.
    bool turned(int64_t l) const {
        const Layer &one = layer[l];
        return one.table && l + 1 < layers && one.row() == PAD && one.units * padded(one.inputs()) < one.inputs() * PAD;
    }
    int64_t turned() const {
        int64_t numbers = 0;
        for (int64_t l = 0; l < layers; ++l)
            if (turned(l)) numbers = std::max(numbers, layer[l].units * padded(layer[l].inputs()));
        return numbers;
    }
    // Numbers of a sample's gradients by hidden layers: of all where threads share an update, as each needs those of the
    // others; else of two in turn, as a layer's is used up by the one below.
    int64_t errors() const { return std::max(hidden(), 2 * widest()); }
    bool skips_one() const {
        return std::any_of(layer, layer + layers, [](const Layer &one) { return one.skips == 1; });
    }
    // Where to a value something is added, it no longer tells the derivative.
    bool keeps_derivative() const { return activation->keeps_derivative || skips_one(); }
    // Numbers of a sample's gradient that go past a layer.
    int64_t past() const { return skips_one() ? widest() : 0; }
    int64_t together() const {
        const int64_t least = gathered() ? 1 : 128;
        return std::max(least, samples_together(hidden() + errors() + past() + gathered() + scattered(), parameters()));
    }
    int64_t workspace(int64_t samples) const {
        const int64_t some = std::min(samples, together());
        const int64_t kept = keeps_derivative() ? 2 : 1;
        return parameters() + transposed() + turned() + 2 * PAD +
               some * (kept * hidden() + errors() + past() + gathered() + scattered()) +
               padded(some * outputs()) + padded(some * outputs()) + padded(some * features) + PAD;
    }
};

// The memory of one thread's part of an update. Of threads that share one, `gradient` and `transposed` of the first are all
// theirs. Vectors may end up to PAD numbers behind what is gathered, or gathered from.
struct Workspace {
    float *gradient, *transposed, *turned, *hidden, *derivative, *error, *past, *gathered, *scattered;
    float *output, *target, *input;
    Workspace(const Chain &net, int64_t samples, float *begin) {
        const int64_t some = std::min(samples, net.together());
        auto take = [&begin](int64_t numbers) { return (begin += numbers) - numbers; };
        gradient = take(net.parameters());
        transposed = take(net.transposed());
        turned = take(net.turned());
        hidden = take(some * net.hidden());
        derivative = net.keeps_derivative() ? take(some * net.hidden()) : nullptr;
        error = take(some * net.errors());
        past = take(some * net.past());
        gathered = take(some * net.gathered() + PAD);
        scattered = take(some * net.scattered() + PAD);
        output = take(padded(some * net.outputs()));
        target = take(padded(some * net.outputs()));
        input = take(padded(some * net.features) + PAD);
    }
};

// Numbers (sample and place, unit) of some samples.
struct Values {
    float *numbers;
    int64_t row;
};

// Some samples on their way through a network, in the memory of one thread.
struct Pass {
    const Chain &net;
    const Workspace &w;
    const float *x;
    int64_t samples;
    bool shared;  // with other threads

    // Rows of a layer's products.
    int64_t rows(int64_t l) const { return samples * net.layer[l].places; }
    // What lies below a layer, place by place.
    Values below(int64_t l) const {
        if (l == 0) return {const_cast<float *>(x), net.step};
        return {w.hidden + samples * net.before(l), net.layer[l - 1].row()};
    }
    // What goes into its weights.
    Values input(int64_t l) const {
        const Layer &layer = net.layer[l];
        if (layer.table) return {w.gathered + samples * net.gathered_before(l), padded(layer.inputs())};
        return l == 0 ? Values{const_cast<float *>(x), net.features} : below(l);
    }
    // The gradient by what comes out of its weights.
    Values error(int64_t l) const {
        if (l + 1 == net.layers) return {w.output, net.outputs()};
        return {w.error + samples * (shared ? net.before(l + 1) : l % 2 * net.widest()), net.layer[l].row()};
    }
    // Of the activation behind it.
    float *derivative(int64_t l) const { return w.derivative ? w.derivative + samples * net.before(l + 1) : nullptr; }
};
