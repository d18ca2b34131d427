// A network's shape, where its parameters lie, and the memory for its updates.
#pragma once

#include <algorithm>

#include "activations.hpp"
#include "losses.hpp"
#include "parts.hpp"

constexpr int64_t CACHE_NUMBERS = 1 << 17;

// Samples, each of so many numbers, that go through a network at a time: as many as the cache takes. Where it does not take
// the parameters, which come from memory then each time, more: with twice as many numbers as there are of those.
static int64_t samples_together(int64_t numbers, int64_t parameters) {
    return std::max<int64_t>(1, std::max(CACHE_NUMBERS, 2 * parameters) / std::max<int64_t>(1, numbers));
}

// Where the runs of a kernel lie in images: of each place of one image, or of each run, the two others of (run, place,
// place below), those of number i from one[first[i]] and other[first[i]] on.
struct Taps {
    const int32_t *first, *one, *other;
};

// Weights that are used at one place, of a fully connected layer, or of a convolution at every pixel of the image that it
// makes. What goes into one place are some runs of numbers, each of which begins at a place below.
struct Layer {
    int64_t units, places;  // what comes out: units of each place
    int64_t runs, length;   // what goes into a place: so many runs of so many numbers
    int64_t convolution;
    // Of a convolution. Of each place (run, place below where it begins); of each place below (run, place); of each run
    // (place, place below).
    Taps of_places, of_places_below, of_runs;
    // To what comes out is added, 1: what goes in, behind the activation; 2: what goes into the layer before, ahead of it.
    int64_t skips;
    int64_t activated;  // what comes out

    int64_t inputs() const { return runs * length; }
    int64_t row() const { return padded(units); }  // of weights
    int64_t width() const { return convolution ? places * units : row(); }
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

    int64_t outputs() const { return layer[layers - 1].units; }
    // The first layers, as many as are convolutions.
    int64_t convolutions() const {
        return std::find_if(layer, layer + layers, [](const Layer &one) { return !one.convolution; }) - layer;
    }
    // So many samples go together through a convolution.
    int64_t grain() const { return convolutions() ? LANES : 1; }
    bool copied() const { return convolutions(); }  // inputs, before they go in: vectors may end behind them
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
    // Numbers of a sample as an image, and as what goes into the layer behind the convolutions.
    int64_t image() const { return convolutions() ? features : 0; }
    int64_t flat() const { return convolutions() ? padded(layer[convolutions()].inputs()) : 0; }
    // Numbers of the sums that become the gradients of convolutions, those of layer l from sums(l) on.
    int64_t sums(int64_t l) const {
        int64_t numbers = 0;
        for (int64_t i = 0; i < l; ++i) numbers += (layer[i].inputs() + 1) * layer[i].units * LANES;
        return numbers;
    }
    int64_t transposed() const {
        int64_t numbers = 0;
        for (int64_t l = 1; l + 1 < layers; ++l) numbers += layer[l].units * padded(layer[l].inputs());
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
    int64_t of_sample() const {
        return (keeps_derivative() ? 2 : 1) * hidden() + errors() + past() + image() + 2 * flat();
    }
    int64_t together() const {
        if (!convolutions()) return std::max<int64_t>(128, samples_together(hidden() + errors() + past(), parameters()));
        return std::max<int64_t>(1, samples_together(of_sample(), parameters()) / (2 * LANES)) * 2 * LANES;
    }
    // Of so many samples, with those that fill up the last vector.
    int64_t filled(int64_t samples) const { return (samples + grain() - 1) / grain() * grain(); }
    int64_t workspace(int64_t samples) const {
        const int64_t some = filled(std::min(samples, together()));
        return parameters() + transposed() + sums(convolutions()) + some * of_sample() + padded(some * outputs()) +
               padded(some * outputs()) + padded(some * features) + 2 * PAD;
    }
};

// The memory of one thread's part of an update. Of threads that share one, `gradient`, `transposed` and `sums` of the first
// are all theirs. Vectors may end up to PAD numbers behind inputs.
struct Workspace {
    float *gradient, *transposed, *sums, *hidden, *derivative, *error, *past, *image, *flat, *by_flat;
    float *output, *target, *input;
    Workspace(const Chain &net, int64_t samples, float *begin) {
        const int64_t some = net.filled(std::min(samples, net.together()));
        auto take = [&begin](int64_t numbers) { return (begin += numbers) - numbers; };
        gradient = take(net.parameters());
        transposed = take(net.transposed());
        sums = take(net.sums(net.convolutions()));
        hidden = take(some * net.hidden());
        derivative = net.keeps_derivative() ? take(some * net.hidden()) : nullptr;
        error = take(some * net.errors());
        past = take(some * net.past());
        image = take(some * net.image());
        flat = take(some * net.flat());
        by_flat = take(some * net.flat());
        output = take(padded(some * net.outputs()));
        target = take(padded(some * net.outputs()));
        input = take(padded(some * net.features) + PAD);
    }
};

// Numbers (sample, unit) of some samples.
struct Values {
    float *numbers;
    int64_t row;
};

// Numbers (group, place, unit, lane) of some samples: how many each group has, and each place.
struct Image {
    float *numbers;
    int64_t group, place;
};

// Some samples on their way through a network, in the memory of one thread.
struct Pass {
    const Chain &net;
    const Workspace &w;
    const float *x;
    int64_t samples;
    bool shared;  // with other threads

    int64_t groups() const { return net.filled(samples) / LANES; }  // of a network with convolutions
    int64_t numbers(int64_t l) const { return net.filled(samples) * net.layer[l].width(); }
    // What comes out of a hidden layer.
    float *hidden(int64_t l) const { return w.hidden + net.filled(samples) * net.before(l + 1); }
    Image image(int64_t l, float *numbers) const {
        return {numbers, net.layer[l].width() * LANES, net.layer[l].units * LANES};
    }
    // What goes into a convolution, and into another layer.
    Image image_below(int64_t l) const {
        return l ? image(l - 1, hidden(l - 1)) : Image{w.image, net.features * LANES, net.step * LANES};
    }
    Values input(int64_t l) const {
        if (l == 0) return {const_cast<float *>(x), net.features};
        return net.layer[l - 1].convolution ? Values{w.flat, net.flat()} : Values{hidden(l - 1), net.layer[l - 1].row()};
    }
    // The gradient by what comes out of the weights of a hidden layer, and of the last one.
    float *by_hidden(int64_t l) const {
        return w.error + net.filled(samples) * (shared ? net.before(l + 1) : l % 2 * net.widest());
    }
    Values error(int64_t l) const {
        return l + 1 < net.layers ? Values{by_hidden(l), net.layer[l].row()} : Values{w.output, net.outputs()};
    }
    // Of the activation behind it.
    float *derivative(int64_t l) const {
        return w.derivative ? w.derivative + net.filled(samples) * net.before(l + 1) : nullptr;
    }
};
