// What goes into each place of a layer, gathered from the places below, and its gradient on the way back: so that a
// convolution is a product, whose rows are pixels.
#pragma once

#include <algorithm>

#include "network.hpp"

static void add(const float *from, int64_t numbers, float *to) {
    for (int64_t i = 0; i < numbers; i += LANES) at(to + i) += at(from + i);
}

// `to` (sample and place, input) from `below` (sample and place, unit), of which a sample has so many places. Runs are
// written as whole vectors, one after the other: what is too much of one is overwritten by the next.
static void gather(const Layer &layer, Values below, int64_t places, int64_t samples, Values to) {
    const int64_t inputs = layer.inputs();
    for (int64_t s = 0; s < samples; ++s, below.numbers += places * below.row) {
        const int32_t *from = layer.table;
        for (int64_t p = 0; p < layer.places; ++p, to.numbers += to.row) {
            float *run = to.numbers;
            for (int64_t r = 0; r < layer.runs; ++r, ++from, run += layer.length)
                if (*from < 0)
                    for (int64_t i = 0; i < layer.length; i += LANES) at(run + i) = vec{};
                else
                    for (int64_t i = 0; i < layer.length; i += LANES) at(run + i) = at(below.numbers + *from * below.row + i);
            std::fill(to.numbers + inputs, to.numbers + to.row, 0.f);
        }
    }
}

// What `gather` took from each number, added to it: the same the other way.
static void scatter(const Layer &layer, Values from, int64_t places, int64_t samples, Values below) {
    const int64_t whole = layer.length / LANES * LANES;
    ivec rest;
    for (int i = 0; i < LANES; ++i) rest[i] = whole + i < layer.length ? -1 : 0;
    for (int64_t s = 0; s < samples; ++s, below.numbers += places * below.row) {
        const int32_t *to = layer.table;
        for (int64_t p = 0; p < layer.places; ++p, from.numbers += from.row) {
            const float *run = from.numbers;
            for (int64_t r = 0; r < layer.runs; ++r, ++to, run += layer.length) {
                if (*to < 0) continue;
                float *sum = below.numbers + *to * below.row;
                for (int64_t i = 0; i < whole; i += LANES) at(sum + i) += at(run + i);
                if (whole < layer.length) at(sum + whole) += (vec)((ivec)at(run + whole) & rest);
            }
        }
    }
}
