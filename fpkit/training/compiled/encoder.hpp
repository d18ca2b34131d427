// A transformer encoder's shape (fpkit/training/transformer.py has it in words), where its parameters lie, and the memory
// for its updates.
#pragma once

#include <algorithm>

#include "activations.hpp"
#include "losses.hpp"
#include "network.hpp"

// Parameters, one after the other; each of a map is (inputs, units), with rows padded.
struct Map {
    int64_t weight, bias, inputs, units;
    int64_t row() const { return padded(units); }
};
struct Norm {
    int64_t gain, bias;
};
struct Attending {  // one layer of the encoder
    Norm before, between;
    Map attend, project, wide, narrow;
};

struct Cursor {
    int64_t at = 0;
    int64_t take(int64_t numbers) { return (at += numbers) - numbers; }
    Map map(int64_t inputs, int64_t units) {
        const int64_t weight = take(inputs * padded(units));
        return {weight, take(padded(units)), inputs, units};
    }
    Norm norm(int64_t width) {
        const int64_t gain = take(padded(width));
        return {gain, take(padded(width))};
    }
};

struct EncoderWorkspace;
struct Encoding;

struct Encoder {
    using Workspace = EncoderWorkspace;
    using Pass = Encoding;
    static constexpr bool shares = false;  // an update with other threads

    int64_t tokens, features;  // numbers of an input: of one token after the other
    int64_t width, heads, layers, units;
    const Activation *activation;
    const Loss *loss;

    int64_t outputs() const { return units; }
    bool copied() const { return false; }  // inputs, before they go in
    int64_t grain() const { return 1; }

    int64_t numbers() const { return features / tokens; }  // of a token, as it comes
    int64_t row() const { return padded(width); }
    int64_t tokens_row() const { return padded(tokens); }

    int64_t position() const { return 0; }  // (tokens, width)
    Map embed() const { return Cursor{tokens * row()}.map(numbers(), width); }
    Attending layer(int64_t l) const {
        Cursor cursor{embed().bias + row()};
        Attending found;
        for (int64_t i = 0; i <= l; ++i) {
            const Norm before = cursor.norm(width), between = cursor.norm(width);
            const Map attend = cursor.map(width, 3 * width), project = cursor.map(width, width);
            const Map wide = cursor.map(width, 4 * width), narrow = cursor.map(4 * width, width);
            found = {before, between, attend, project, wide, narrow};
        }
        return found;
    }
    Norm norm() const { return Cursor{layer(layers - 1).narrow.bias + row()}.norm(width); }
    // (outputs, width), unlike the others
    int64_t read() const { return norm().bias + row(); }
    int64_t read_bias() const { return read() + units * row(); }
    int64_t parameters() const { return read_bias() + padded(units); }

    // Weights of a layer, transposed: one map after the other.
    int64_t transposed_layer() const { return (3 + 1 + 4) * width * row() + width * padded(4 * width); }
    int64_t transposed() const { return layers * transposed_layer(); }

    // What a sample leaves in a layer on its way through, for the way back.
    int64_t kept() const {
        const int64_t hidden = (activation->keeps_derivative ? 2 : 1) * padded(4 * width);
        return tokens * (5 * row() + hidden) + (3 * width + heads * tokens + 2) * tokens_row();
    }
    // Of a sample, behind that of all layers: the stream, the last norm, the mean over tokens, and what is used in turn.
    int64_t passing() const { return tokens * (3 * row() + padded(4 * width)) + tokens_row() + 2 * row(); }
    // Of one sample's attention on its way.
    int64_t attending() const { return (4 * width + 2 * tokens) * tokens_row(); }
    int64_t together() const { return samples_together(layers * kept() + passing(), parameters()); }
    int64_t workspace(int64_t samples) const {
        const int64_t some = std::min(samples, together());
        return parameters() + transposed() + some * (layers * kept() + passing()) + attending() + 2 * padded(some * units) +
               padded(some * features) + 2 * PAD;
    }
};

// The memory of one thread.
struct EncoderWorkspace {
    float *gradient, *transposed, *kept, *passing, *attending, *output, *target, *input;
    EncoderWorkspace(const Encoder &net, int64_t samples, float *begin) {
        const int64_t some = std::min(samples, net.together());
        auto take = [&begin](int64_t numbers) { return (begin += numbers) - numbers; };
        gradient = take(net.parameters());
        transposed = take(net.transposed());
        kept = take(some * net.layers * net.kept());
        passing = take(some * net.passing());
        attending = take(net.attending());
        output = take(padded(some * net.units));
        target = take(padded(some * net.units));
        input = take(padded(some * net.features) + PAD);
    }
};

// What some samples leave in a layer; rows are tokens, but for `heads` (3 width, token) of each sample, and `weights`
// (head, key, query) of each.
struct Left {
    float *before_hat, *before_value, *between_hat, *between_value, *mixed, *hidden, *derivative, *heads, *weights,
        *before_inverse, *between_inverse;
};

// Some samples on their way through an encoder, in the memory of one thread.
struct Encoding {
    const Encoder &net;
    const EncoderWorkspace &w;
    const float *x;
    int64_t samples;
    float *stream, *hat, *some, *wide, *inverse, *pooled, *by_pooled;  // `some` and `wide` are used in turn

    Encoding(const Encoder &net, const EncoderWorkspace &w, const float *x, int64_t samples, bool)
        : net(net), w(w), x(x), samples(samples) {
        float *at = w.passing;
        auto take = [&](int64_t numbers) { return (at += samples * numbers) - samples * numbers; };
        stream = take(net.tokens * net.row()), hat = take(net.tokens * net.row()), some = take(net.tokens * net.row());
        wide = take(net.tokens * padded(4 * net.width)), inverse = take(net.tokens_row());
        pooled = take(net.row()), by_pooled = take(net.row());
    }
    int64_t rows() const { return samples * net.tokens; }
    Left left(int64_t l) const {
        float *at = w.kept + l * samples * net.kept();
        auto take = [&](int64_t numbers) { return (at += samples * numbers) - samples * numbers; };
        const int64_t row = net.tokens * net.row(), hidden = net.tokens * padded(4 * net.width);
        Left left;
        left.before_hat = take(row), left.before_value = take(row), left.between_hat = take(row);
        left.between_value = take(row), left.mixed = take(row), left.hidden = take(hidden);
        left.derivative = net.activation->keeps_derivative ? take(hidden) : nullptr;
        left.heads = take(3 * net.width * net.tokens_row());
        left.weights = take(net.heads * net.tokens * net.tokens_row());
        left.before_inverse = take(net.tokens_row()), left.between_inverse = take(net.tokens_row());
        return left;
    }
};
