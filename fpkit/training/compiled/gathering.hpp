// What goes into each place of a layer, gathered from the places below, and its gradient on the way back: so that a
// convolution is a product, whose rows are pixels.
#pragma once

#include <algorithm>

#include "network.hpp"

static void add(const float *from, int64_t numbers, float *to) {
    for (int64_t i = 0; i < numbers; i += LANES) at(to + i) += at(from + i);
}

// By vectors V: halves where runs are no longer, as whole ones, one every few numbers, would lie in two cache lines each. The
// layer is a copy, as it stays in registers then: what is written could be part of any other.
template <class V>
static void gather_by(const Layer layer, Values below, int64_t places, int64_t samples, Values to, bool ends) {
    using floats = typename V::floats;
    const int64_t inputs = layer.inputs();
    for (int64_t s = 0; s < samples; ++s, below.numbers += places * below.row) {
        const int32_t *from = layer.table;
        for (int64_t p = 0; p < layer.places; ++p, to.numbers += to.row) {
            float *run = to.numbers;
            for (int64_t r = 0; r < layer.runs; ++r, ++from, run += layer.length)
                for (int64_t i = 0; i < layer.length; i += V::COUNT)
                    *(floats *)(run + i) =
                        *from < 0 ? floats{} : *(const floats *)(below.numbers + *from * below.row + i);
            if (ends) std::fill(to.numbers + inputs, to.numbers + to.row, 0.f);
        }
    }
}

// `to` (sample and place, input) from `below` (sample and place, unit), of which a sample has so many places. Runs are
// written as whole vectors, one after the other: what is too much of one is overwritten by the next, and of the last one by
// zeros if `ends`.
static void gather(const Layer &layer, Values below, int64_t places, int64_t samples, Values to, bool ends) {
    const auto by = layer.length <= LANES / 2 ? gather_by<Half> : gather_by<Whole>;
    by(layer, below, places, samples, to, ends);
}

// What `gather` took from each number, summed up, and added to what is there if `accumulate`: the same the other way.
static void scatter(const Layer layer, Values from, int64_t places, int64_t samples, Values below, bool accumulate) {
    for (int64_t i = 0; i < below.row; i += LANES) {
        ivec inside;  // not the next run
        for (int lane = 0; lane < LANES; ++lane) inside[lane] = i + lane < layer.length ? -1 : 0;
        const float *run = from.numbers + i;
        float *sums = below.numbers + i;
        for (int64_t s = 0; s < samples; ++s, run += layer.places * from.row)
            for (int64_t p = 0; p < places; ++p, sums += below.row) {
                vec sum = accumulate ? at(sums) : vec{};
                for (int32_t taker = layer.first_taker[p]; taker < layer.first_taker[p + 1]; ++taker)
                    sum += at(run + layer.taker[taker]);
                at(sums) = (vec)((ivec)sum & inside);
            }
    }
}
