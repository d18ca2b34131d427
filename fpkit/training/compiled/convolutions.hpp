// Convolutions of some samples, which lie side by side in the lanes of vectors: numbers (group, place, unit, lane), where a
// group is LANES samples. So a weight is multiplied with whole vectors, at whatever place, and nothing is copied, padded or
// gathered for it. The gradient by a weight is summed up in vectors too, and over their lanes at last.
#pragma once

#include <algorithm>
#include <utility>

#include "network.hpp"

// Sums that stay in registers: of so many rows, for a pair of groups; of so many inputs, and of units with as many as that.
#if defined(__AVX512F__)
constexpr int PAIR = 2, ROWS_MOST = 12, INPUTS_MOST = 4, UNITS_MOST[] = {8, 8, 8, 8, 6};
#else
constexpr int PAIR = 2, ROWS_MOST = 6, INPUTS_MOST = 3, UNITS_MOST[] = {8, 6, 4, 3};
#endif

// A convolution, or the gradient by what goes into one: of each row (unit, or input) at each place a sum over its taps, and
// of each over `inner` numbers at the tap's place.
struct Convolution {
    const Taps &taps;
    int64_t places;
    const float *weight;  // element (run, k, row) at weight[run * of_run + k * of_inner + row]
    int64_t of_run, of_inner, inner;
    Image from, to;
    int64_t rows;
    const float *bias;  // of each row, or null
    bool accumulate;
};

template <int ROWS, int GROUPS>
static void convolve(const Convolution &c, int64_t row, int64_t group) {
    const float *from = c.from.numbers + group * c.from.group;
    float *to = c.to.numbers + group * c.to.group + row * LANES;
    for (int64_t p = 0; p < c.places; ++p, to += c.rows * LANES) {
        vec sum[ROWS][GROUPS];
#pragma GCC unroll 16
        for (int i = 0; i < ROWS; ++i)
#pragma GCC unroll 4
            for (int g = 0; g < GROUPS; ++g)
                sum[i][g] = c.bias         ? all(c.bias[row + i])
                            : c.accumulate ? at(to + g * c.to.group + i * LANES)
                                           : vec{};
        for (int32_t each = c.taps.first[p]; each < c.taps.first[p + 1]; ++each) {
            const float *a = c.weight + c.taps.one[each] * c.of_run + row;
            const float *b = from + c.taps.other[each] * c.from.place;
            for (int64_t k = 0; k < c.inner; ++k, a += c.of_inner, b += LANES) {
                vec right[GROUPS];
#pragma GCC unroll 4
                for (int g = 0; g < GROUPS; ++g) right[g] = at(b + g * c.from.group);
#pragma GCC unroll 16
                for (int i = 0; i < ROWS; ++i) {
                    const vec left = all(a[i]);
#pragma GCC unroll 4
                    for (int g = 0; g < GROUPS; ++g) sum[i][g] += left * right[g];
                }
            }
        }
#pragma GCC unroll 16
        for (int i = 0; i < ROWS; ++i)
#pragma GCC unroll 4
            for (int g = 0; g < GROUPS; ++g) at(to + g * c.to.group + i * LANES) = sum[i][g];
    }
}

template <int GROUPS>
static auto convolve_of(int64_t rows) {
    return with_count<ROWS_MOST>(rows, [](auto count) { return convolve<decltype(count)::value, GROUPS>; });
}

static void convolve_all(const Convolution &c, int64_t groups) {
    const Parts parts(c.rows, ROWS_MOST);
    for (int64_t g = 0; g < groups; g += PAIR)
        for (int64_t i = 0; i < parts.count; ++i) {
            const int64_t row = parts.begin(i), rows = parts.begin(i + 1) - row;
            (g + PAIR <= groups ? convolve_of<PAIR>(rows) : convolve_of<1>(rows))(c, row, g);
        }
}

// Products of what goes into a convolution and the gradient by what comes out, summed up over samples and places: `sums`
// (run, input, unit, lane), and behind them (unit, lane), of the gradient alone.
struct Gradient {
    const Layer &layer;
    Image below, error;
    float *sums;
    bool accumulate;
};

template <int INPUTS, int UNITS>
static void correlate(const Gradient &c, int64_t groups, int64_t run, int64_t input, int64_t unit) {
    const int64_t units = c.layer.units;
    float *sums = c.sums + ((run * c.layer.length + input) * units + unit) * LANES;
    vec sum[INPUTS][UNITS];
#pragma GCC unroll 4
    for (int i = 0; i < INPUTS; ++i)
#pragma GCC unroll 8
        for (int u = 0; u < UNITS; ++u) sum[i][u] = c.accumulate ? at(sums + (i * units + u) * LANES) : vec{};
    const Taps &of_runs = c.layer.of_runs;
    for (int64_t g = 0; g < groups; ++g) {
        const float *error = c.error.numbers + g * c.error.group + unit * LANES;
        const float *below = c.below.numbers + g * c.below.group + input * LANES;
        for (int32_t each = of_runs.first[run]; each < of_runs.first[run + 1]; ++each) {
            const float *a = below + of_runs.other[each] * c.below.place, *b = error + of_runs.one[each] * c.error.place;
            vec right[UNITS];
#pragma GCC unroll 8
            for (int u = 0; u < UNITS; ++u) right[u] = at(b + u * LANES);
#pragma GCC unroll 4
            for (int i = 0; i < INPUTS; ++i) {
                const vec left = at(a + i * LANES);
#pragma GCC unroll 8
                for (int u = 0; u < UNITS; ++u) sum[i][u] += left * right[u];
            }
        }
    }
#pragma GCC unroll 4
    for (int i = 0; i < INPUTS; ++i)
#pragma GCC unroll 8
        for (int u = 0; u < UNITS; ++u) at(sums + (i * units + u) * LANES) = sum[i][u];
}

static auto correlate_of(int64_t inputs, int64_t units) {
    return with_count<INPUTS_MOST>(inputs, [units](auto inputs) {
        constexpr int INPUTS = decltype(inputs)::value;
        return with_count<UNITS_MOST[INPUTS]>(units, [](auto units) { return correlate<INPUTS, decltype(units)::value>; });
    });
}

// Of the inputs from `first` to `last`, counted through all runs, and of some units.
static void correlate_between(const Gradient &c, int64_t groups, int64_t first, int64_t last, int64_t first_unit,
                              int64_t last_unit) {
    const int64_t length = c.layer.length;
    const auto units = Parts::between(first_unit, last_unit, UNITS_MOST[std::min<int64_t>(length, INPUTS_MOST)]);
    for (int64_t u = 0; u < units.count; ++u)
        for (int64_t run = first / length; run * length < last; ++run) {
            const int64_t begin = std::max<int64_t>(first - run * length, 0), end = std::min(last - run * length, length);
            const auto inputs = Parts::between(begin, end, INPUTS_MOST);
            for (int64_t i = 0; i < inputs.count; ++i)
                correlate_of(inputs.begin(i + 1) - inputs.begin(i), units.begin(u + 1) - units.begin(u))(
                    c, groups, run, inputs.begin(i), units.begin(u));
        }
}

template <int UNITS>
static void sum_up(const Gradient &c, int64_t groups, int64_t unit) {
    float *sums = c.sums + (c.layer.inputs() * c.layer.units + unit) * LANES;
    vec sum[UNITS];
#pragma GCC unroll 8
    for (int u = 0; u < UNITS; ++u) sum[u] = c.accumulate ? at(sums + u * LANES) : vec{};
    for (int64_t g = 0; g < groups; ++g) {
        const float *error = c.error.numbers + g * c.error.group + unit * LANES;
        for (int64_t p = 0; p < c.layer.places; ++p, error += c.error.place)
#pragma GCC unroll 8
            for (int u = 0; u < UNITS; ++u) sum[u] += at(error + u * LANES);
    }
#pragma GCC unroll 8
    for (int u = 0; u < UNITS; ++u) at(sums + u * LANES) = sum[u];
}

// Over all places and samples, for some units.
static void sum_between(const Gradient &c, int64_t groups, int64_t first_unit, int64_t last_unit) {
    const auto units = Parts::between(first_unit, last_unit, UNITS_MOST[0]);
    for (int64_t u = 0; u < units.count; ++u) {
        const auto chosen = with_count<UNITS_MOST[0]>(
            units.begin(u + 1) - units.begin(u), [](auto count) { return sum_up<decltype(count)::value>; });
        chosen(c, groups, units.begin(u));
    }
}

// The gradient of some samples' share of the loss by those of a convolution's parameters that are numbers `low` to `high`,
// multiples of PAD, of all: its weights (input, unit) begin at `weight`, its biases at `bias`. If `ends`, no samples follow.
static void convolution_gradient(const Gradient &c, int64_t groups, int64_t weight, int64_t bias, int64_t low, int64_t high,
                                 bool ends, float *gradient) {
    const int64_t units = c.layer.units, row = c.layer.row(), inputs = c.layer.inputs();
    const auto finish = [&](int64_t begin, int64_t input, int64_t first, int64_t last) {
        for (int64_t u = first; u < last; ++u) gradient[begin + u] = total(at(c.sums + (input * units + u) * LANES));
    };
    for (int64_t first = 0; first < units; first += PAD) {  // of each row either all of these units, or none
        const int64_t last = std::min(first + PAD, units), begin = weight + first;
        const auto rows_until = [&](int64_t number) {
            return std::clamp<int64_t>((number - begin + row - 1) / row, 0, inputs);
        };
        const int64_t from = low <= begin ? 0 : rows_until(low), to = high <= begin ? 0 : rows_until(high);
        if (from < to) correlate_between(c, groups, from, to, first, last);
        if (ends)
            for (int64_t input = from; input < to; ++input) finish(weight + input * row, input, first, last);
        if (bias + first < low || bias + first >= high) continue;
        sum_between(c, groups, first, last);
        if (ends) finish(bias, inputs, first, last);
    }
}
