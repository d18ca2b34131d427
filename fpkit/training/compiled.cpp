// Training of fully connected networks, a member after the other, without a call or a pass over memory that is not needed.
// fpkit/training/compiled.py compiles and calls it, and says what lies where.
//
// All three products of a layer (forward; backward to the inputs; to the weights) are C (rows, columns) += A B with rows
// of B and C that are whole vectors: every row of a matrix is padded with zeros to a multiple of PAD numbers. Samples are
// taken some at a time, so that their activations stay in the cache. Members share nothing, so a member's bits depend on
// no other member. They depend on no thread either: every number is one sum, over samples or units in their order, whoever
// computes it and however many samples are taken at a time.

#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <deque>
#include <exception>
#include <new>
#include <thread>
#include <utility>
#include <vector>

#if defined(__AVX512F__)
constexpr int LANES = 16, WIDEST = 4, TALLEST[] = {0, 12, 12, 8, 6};  // 32 registers of 16 numbers
#elif defined(__AVX__)
constexpr int LANES = 8, WIDEST = 2, TALLEST[] = {0, 10, 6};  // 16 registers of 8 numbers
#else
constexpr int LANES = 4, WIDEST = 4, TALLEST[] = {0, 12, 12, 8, 6};
#endif
constexpr int64_t PAD = 16, CACHE_NUMBERS = 1 << 17;

typedef float vec __attribute__((vector_size(4 * LANES), aligned(4), may_alias));
typedef int32_t ivec __attribute__((vector_size(4 * LANES), aligned(4), may_alias));

static inline vec &at(float *p) { return *reinterpret_cast<vec *>(p); }
static inline const vec &at(const float *p) { return *reinterpret_cast<const vec *>(p); }
static inline vec all(float number) { return vec{} + number; }
static inline int64_t padded(int64_t n) { return (n + PAD - 1) / PAD * PAD; }

// --- products ---------------------------------------------------------------------------------------------------------

struct Product {
    const float *a;  // element (row, k) at a[row * a_row + k * a_inner]
    int64_t a_row, a_inner;
    const float *b;  // row k at b + k * b_row
    int64_t b_row;
    float *c;
    int64_t c_row;
    const float *bias;  // added to each row, or null
    bool accumulate;
};

template <int ROWS, int VECTORS>
static void tile(const Product &p, int64_t row, int64_t column, int64_t inner) {
    vec sum[ROWS][VECTORS];
    float *c = p.c + row * p.c_row + column;
#pragma GCC unroll 16
    for (int i = 0; i < ROWS; ++i)
#pragma GCC unroll 16
        for (int j = 0; j < VECTORS; ++j)
            sum[i][j] = p.bias         ? at(p.bias + column + j * LANES)
                        : p.accumulate ? at(c + i * p.c_row + j * LANES)
                                       : vec{};
    const float *a = p.a + row * p.a_row, *b = p.b + column;
    for (int64_t k = 0; k < inner; ++k, a += p.a_inner, b += p.b_row) {
        vec right[VECTORS];
#pragma GCC unroll 16
        for (int j = 0; j < VECTORS; ++j) right[j] = at(b + j * LANES);
#pragma GCC unroll 16
        for (int i = 0; i < ROWS; ++i) {
            const vec left = all(a[i * p.a_row]);
#pragma GCC unroll 16
            for (int j = 0; j < VECTORS; ++j) sum[i][j] += left * right[j];
        }
    }
#pragma GCC unroll 16
    for (int i = 0; i < ROWS; ++i)
#pragma GCC unroll 16
        for (int j = 0; j < VECTORS; ++j) at(c + i * p.c_row + j * LANES) = sum[i][j];
}

using Tile = void (*)(const Product &, int64_t, int64_t, int64_t);

template <int VECTORS, int ROWS = TALLEST[VECTORS]>
static Tile tile_of(int64_t rows) {
    if constexpr (ROWS > 1)
        if (rows < ROWS) return tile_of<VECTORS, ROWS - 1>(rows);
    return tile<ROWS, VECTORS>;
}

// The parts of `whole` cut into as few nearly equal ones as are at most `largest`: part i begins at begin(i). And a part
// cut into so many.
struct Parts {
    int64_t whole, count, first = 0;
    Parts(int64_t whole, int64_t largest) : whole(whole), count((whole + largest - 1) / largest) {}
    int64_t begin(int64_t i) const { return first + whole * i / count; }
    Parts part(int64_t i, int64_t count) const {
        Parts parts = *this;
        parts.first = begin(i), parts.whole = begin(i + 1) - begin(i), parts.count = count;
        return parts;
    }
};

template <int VECTORS>
static void columns(const Product &p, int64_t rows, int64_t column, int64_t inner) {
    const Parts parts(rows, TALLEST[VECTORS]);
    for (int64_t i = 0; i < parts.count; ++i) {
        const int64_t row = parts.begin(i);
        tile_of<VECTORS>(parts.begin(i + 1) - row)(p, row, column, inner);
    }
}

// C (rows, columns) = A (rows, inner) B (inner, columns), columns being padded.
static void multiply(const Product &p, int64_t rows, int64_t inner, int64_t width) {
    const Parts parts(width / LANES, WIDEST);
    for (int64_t i = 0; i < parts.count; ++i) {
        const int64_t first = parts.begin(i), column = first * LANES;
        switch (parts.begin(i + 1) - first) {
            case 1: columns<1>(p, rows, column, inner); break;
            case 2: columns<2>(p, rows, column, inner); break;
            case 3: columns<std::min(3, WIDEST)>(p, rows, column, inner); break;
            default: columns<WIDEST>(p, rows, column, inner);
        }
    }
}

static inline float total(vec v) {
    float parts[LANES];
    std::memcpy(parts, &v, sizeof v);
    for (int width = LANES / 2; width; width /= 2)
        for (int i = 0; i < width; ++i) parts[i] += parts[i + width];
    return parts[0];
}

#if defined(__has_builtin)
#if __has_builtin(__builtin_shufflevector)
#define SHUFFLE(a, b, ...) __builtin_shufflevector(a, b, __VA_ARGS__)
#endif
#endif
#if !defined(SHUFFLE)
#define SHUFFLE(a, b, ...) __builtin_shuffle(a, b, ivec{__VA_ARGS__})
#endif

// Of a and b side by side, lanes whose number has the bit D trade places with those that have not.
template <int D, int... J>
static inline void trade(vec &a, vec &b, std::integer_sequence<int, J...>) {
    const vec first = SHUFFLE(a, b, (J & D ? LANES + J - D : J)...), second = SHUFFLE(a, b, (J & D ? LANES + J : J + D)...);
    a = first, b = second;
}

template <int D>
static inline void transpose_square(vec *rows) {
    if constexpr (D > 0) {
#pragma GCC unroll 16
        for (int i = 0; i < LANES; ++i)
            if (!(i & D)) trade<D>(rows[i], rows[i + D], std::make_integer_sequence<int, LANES>());
        transpose_square<D / 2>(rows);
    }
}

// Columns `first` to `last` of from (rows, columns) as rows of to, which are padded; `first` is a multiple of LANES.
static void transpose(const float *from, int64_t rows, int64_t first, int64_t last, int64_t from_row, float *to,
                      int64_t to_row) {
    for (int64_t c = first; c < last; c += LANES)
        for (int64_t r = 0; r < to_row; r += LANES) {
            vec square[LANES];
            for (int i = 0; i < LANES; ++i) square[i] = r + i < rows ? at(from + (r + i) * from_row + c) : vec{};
            transpose_square<LANES / 2>(square);
            for (int i = 0; i < LANES && c + i < last; ++i) at(to + (c + i) * to_row + r) = square[i];
        }
}

// --- activations: value in place of the input, derivative beside it where the value does not give it --------------------

// 2^x = 2^whole (1 + fraction), the fraction within 2e-7 of its size, also near zero.
struct Power {
    vec fraction;
    ivec whole;  // where a float has its exponent

    explicit Power(vec x) {
        x = x < -126.f ? all(-126.f) : x;  // NaN stays
        x = x > 126.f ? all(126.f) : x;
        const vec shift = all(12582912.f), shifted = x + shift;  // 1.5 * 2^23: the last bits hold the nearest integer
        const vec f = x - (shifted - shift);
        vec p = all(1.5403512e-4f);  // of (2^f - 1) / f, the largest relative error as small as can be
        p = p * f + 1.3390735e-3f;
        p = p * f + 9.6182375e-3f;
        p = p * f + 5.5503574e-2f;
        p = p * f + 2.4022650e-1f;
        p = p * f + 6.9314719e-1f;
        fraction = p * f;
        whole = (ivec)shifted << 23;
    }
};

static inline vec exp2_of(vec x) {
    const Power power(x);
    return (vec)((ivec)(1.f + power.fraction) + power.whole);
}

// 2^x - 1, near zero within a few units of its last place.
static inline vec exp2_less_1_of(vec x) {
    const Power power(x);
    const vec whole = (vec)(power.whole + (127 << 23));
    return whole * power.fraction + (whole - 1.f);
}

static inline vec exp_of(vec x) { return exp2_of(x * 1.44269504f); }

enum Activation { TANH, RELU, SIGMOID, ELU, SILU, GAUSSIAN, RICKER };

static bool keeps_derivative(int activation) { return activation >= SILU; }

template <int ACTIVATION>
static inline void activate(vec &h, vec *derivative) {
    const vec z = h;
    if constexpr (ACTIVATION == TANH) {
        const vec e = exp2_less_1_of(z * 2.88539008f);
        h = e / (e + 2.f);
    }
    if constexpr (ACTIVATION == RELU) h = z < 0.f ? vec{} : z;
    if constexpr (ACTIVATION == SIGMOID) h = 1.f / (1.f + exp_of(-z));
    if constexpr (ACTIVATION == ELU) h = z < 0.f ? exp2_less_1_of(z * 1.44269504f) : z;
    if constexpr (ACTIVATION == SILU) {
        const vec s = 1.f / (1.f + exp_of(-z));
        h = z * s;
        if (derivative) *derivative = s * (1.f + z * (1.f - s));
    }
    if constexpr (ACTIVATION == GAUSSIAN) {
        h = exp_of(-0.5f * z * z);
        if (derivative) *derivative = -z * h;
    }
    if constexpr (ACTIVATION == RICKER) {
        const vec g = exp_of(-0.5f * z * z);
        h = (1.f - z * z) * g;
        if (derivative) *derivative = z * (z * z - 3.f) * g;
    }
}

template <int ACTIVATION>
static inline vec derivative_of(vec h) {
    if constexpr (ACTIVATION == TANH) return 1.f - h * h;
    if constexpr (ACTIVATION == SIGMOID) return h * (1.f - h);
    if constexpr (ACTIVATION == ELU) return h < 0.f ? h + 1.f : all(1.f);
    return h <= 0.f ? vec{} : all(1.f);
}

template <int ACTIVATION>
static void activate_all(float *h, float *derivative, int64_t numbers) {
    for (int64_t i = 0; i < numbers; i += LANES) activate<ACTIVATION>(at(h + i), derivative ? &at(derivative + i) : nullptr);
}

template <int ACTIVATION>
static void differentiate_all(float *gradient, const float *h, const float *derivative, int64_t numbers) {
    for (int64_t i = 0; i < numbers; i += LANES)
        at(gradient + i) *= keeps_derivative(ACTIVATION) ? at(derivative + i) : derivative_of<ACTIVATION>(at(h + i));
}

#define FOR_ACTIVATION(call)                  \
    switch (activation) {                     \
        case TANH: call(TANH); break;         \
        case RELU: call(RELU); break;         \
        case SIGMOID: call(SIGMOID); break;   \
        case ELU: call(ELU); break;           \
        case SILU: call(SILU); break;         \
        case GAUSSIAN: call(GAUSSIAN); break; \
        default: call(RICKER);                \
    }

// --- losses: gradient of the mean over samples, by the outputs -----------------------------------------------------------

enum Loss { MSE, MAE, HUBER, CROSS_ENTROPY };

static void loss_gradient(int loss, const float *y, float *output, int64_t samples, int64_t outputs, int64_t all_samples) {
    const float share = 1.f / float(all_samples * outputs);
    for (int64_t s = 0; s < samples; ++s, y += outputs, output += outputs) {
        if (loss == CROSS_ENTROPY) {
            float largest = output[0], sum = 0, mass = 0;
            for (int64_t o = 1; o < outputs; ++o) largest = output[o] > largest ? output[o] : largest;
            for (int64_t o = 0; o < outputs; ++o) {
                sum += output[o] = std::exp(output[o] - largest);
                mass += y[o];
            }
            for (int64_t o = 0; o < outputs; ++o) output[o] = (output[o] * (mass / sum) - y[o]) / float(all_samples);
            continue;
        }
        for (int64_t o = 0; o < outputs; ++o) {
            const float error = output[o] - y[o];
            if (loss == MSE) output[o] = 2 * share * error;
            if (loss == MAE) output[o] = error == 0 ? 0 * error : std::isnan(error) ? error : std::copysign(share, error);
            if (loss == HUBER) output[o] = share * (error > 1 ? 1 : error < -1 ? -1 : error);
        }
    }
}

// The loss of some samples, not yet divided by the number of all of them.
static double summed_loss(int loss, const float *y, const float *output, int64_t samples, int64_t outputs) {
    double sum = 0;
    for (int64_t s = 0; s < samples; ++s, y += outputs, output += outputs) {
        if (loss == CROSS_ENTROPY) {
            float largest = output[0], mass = 0;
            for (int64_t o = 1; o < outputs; ++o) largest = output[o] > largest ? output[o] : largest;
            for (int64_t o = 0; o < outputs; ++o) mass += std::exp(output[o] - largest);
            const float norm = largest + std::log(mass);
            for (int64_t o = 0; o < outputs; ++o) sum -= y[o] * double(output[o] - norm);
            continue;
        }
        double of_sample = 0;
        for (int64_t o = 0; o < outputs; ++o) {
            const double error = output[o] - y[o], size = std::abs(error);
            of_sample += loss == MSE ? error * error : loss == MAE ? size : size < 1 ? error * error / 2 : size - 0.5;
        }
        sum += of_sample / double(outputs);
    }
    return sum;
}

// The place of the largest number; of the first one that is no number, where there is one.
static int64_t largest_of(const float *numbers, int64_t count) {
    int64_t place = 0;
    for (int64_t i = 1; i < count; ++i)
        if (!(numbers[i] <= numbers[place]) && numbers[place] == numbers[place]) place = i;
    return place;
}

// --- a network ------------------------------------------------------------------------------------------------------------

struct Network {
    const int64_t *units;  // features, widths of the hidden layers, outputs
    int64_t layers;        // of weights
    int64_t activation, loss;

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
        const int64_t kept = keeps_derivative(activation) ? 2 : 1;
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
        derivative = keeps_derivative(net.activation) ? take(some * net.hidden()) : nullptr;
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

// Output (sample, output) for x (sample, feature); hidden values, and derivatives if asked for, layer after layer.
static void forward(const Network &net, const float *parameters, const float *x, int64_t samples, float *hidden,
                    float *derivative, float *output) {
    const int64_t activation = net.activation;
    const float *below = x;
    int64_t below_row = net.features();
    for (int64_t l = 0; l + 1 < net.layers; ++l) {
        const int64_t row = net.row(l);
        multiply({below, below_row, 1, parameters + net.weight(l), row, hidden, row, parameters + net.bias(l), false},
                 samples, net.units[l], row);
#define CALL(A) activate_all<A>(hidden, derivative, samples *row)
        FOR_ACTIVATION(CALL)
#undef CALL
        below = hidden, below_row = row;
        hidden += samples * row;
        if (derivative) derivative += samples * row;
    }
    const int64_t last = net.layers - 1, row = net.row(last), outputs = net.outputs();
    const float *weight = parameters + net.weight(last), *bias = parameters + net.bias(last);
    for (int64_t s = 0; s < samples; ++s)
        for (int64_t o = 0; o < outputs; ++o) {
            vec sum = {};
            for (int64_t k = 0; k < row; k += LANES) sum += at(below + s * row + k) * at(weight + o * row + k);
            output[s * outputs + o] = total(sum) + bias[o];
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
// `high`, multiples of PAD; added to what is there if `accumulate`.
static void layer_gradient(const Pass &pass, int64_t l, float *gradient, int64_t low, int64_t high, bool accumulate) {
    const Network &net = pass.net;
    const Values input = pass.input(l), error = pass.error(l);
    const bool last = l + 1 == net.layers;
    const int64_t begin = net.weight(l), rows = net.rows(l), row = net.row(l), bias = net.bias(l);
    const Values left = last ? error : input, right = last ? input : error;
    multiply_between({left.numbers, 1, left.row, right.numbers, right.row, gradient + begin, row, nullptr, accumulate}, rows,
                     pass.samples, low - begin, high - begin);
    if (last) {
        // Not every activation is zero at zero, but what pads the weights stays so.
        for (int64_t o = 0; o < rows; ++o)
            for (int64_t i = std::max(low, begin + o * row + net.units[l]); i < std::min(high, begin + (o + 1) * row); ++i)
                gradient[i] = 0;
        for (int64_t i = std::max(low, bias); i < std::min(high, bias + net.outputs()); ++i) {
            float sum = accumulate ? gradient[i] : 0;
            for (int64_t s = 0; s < pass.samples; ++s) sum += error.numbers[s * error.row + i - bias];
            gradient[i] = sum;
        }
        return;
    }
    for (int64_t i = std::max(low, bias); i < std::min(high, bias + row); i += LANES) {
        vec sum = accumulate ? at(gradient + i) : vec{};
        for (int64_t s = 0; s < pass.samples; ++s) sum += at(error.numbers + s * error.row + i - bias);
        at(gradient + i) = sum;
    }
}

// From the gradient by the outputs those by the hidden layers; and, if asked for, by all parameters, layer by layer while
// what it is made of is in the cache. `transposed` holds the weights between hidden layers.
static void backward(const Pass &pass, const float *parameters, const float *transposed, float *gradient, bool accumulate) {
    const Network &net = pass.net;
    const int64_t activation = net.activation, last = net.layers - 1;
    const float *right = parameters + net.weight(last);
    transposed += net.transposed();
    for (int64_t l = last;; --l) {
        if (gradient) layer_gradient(pass, l, gradient, 0, net.parameters(), accumulate);
        if (l == 0) return;
        const Values input = pass.input(l), error = pass.error(l), upstream = pass.error(l - 1);
        if (l < last) right = transposed -= net.units[l + 1] * input.row;
        multiply({error.numbers, error.row, 1, right, input.row, upstream.numbers, upstream.row, nullptr, false}, pass.samples,
                 net.units[l + 1], input.row);
#define CALL(A) differentiate_all<A>(upstream.numbers, input.numbers, pass.derivative(l), pass.samples *input.row)
        FOR_ACTIVATION(CALL)
#undef CALL
    }
}

// --- algorithms -----------------------------------------------------------------------------------------------------------

enum Algorithm { SGD, ADAM };

struct Update {
    int64_t algorithm, nesterov;
    double learning_rate, momentum, weight_decay;
};

static void update(const Update &u, int64_t step, int64_t numbers, float *parameter, const float *gradient, float *first,
                   float *second) {
    if (u.algorithm == ADAM) {
        const double correction = 1 - std::pow(0.9, double(step)), root = std::sqrt(1 - std::pow(0.999, double(step)));
        const float size = float(u.learning_rate / correction), keep = float(1 - u.learning_rate * u.weight_decay);
        const float inverse_root = float(1 / root);
        for (int64_t i = 0; i < numbers; i += LANES) {
            const vec g = at(gradient + i);
            const vec mean = at(first + i) += (g - at(first + i)) * 0.1f;
            const vec square = at(second + i) = at(second + i) * 0.999f + g * g * 0.001f;
            vec root_of;
            for (int j = 0; j < LANES; ++j) root_of[j] = __builtin_sqrtf(square[j]);
            at(parameter + i) = at(parameter + i) * keep - size * mean / (root_of * inverse_root + 1e-8f);
        }
        return;
    }
    const float rate = float(u.learning_rate), momentum = float(u.momentum);
    for (int64_t i = 0; i < numbers; i += LANES) {
        vec direction = at(gradient + i);
        if (first) {
            const vec velocity = at(first + i) = at(first + i) * momentum + direction;
            direction = u.nesterov ? direction + momentum * velocity : velocity;
        }
        at(parameter + i) -= rate * direction;
    }
}

// --- threads ----------------------------------------------------------------------------------------------------------------

// Threads that wait for each other: for microseconds, so that they do not sleep.
struct Team {
    int64_t count;
    std::atomic<int64_t> arrived{0}, round{0};
    explicit Team(int64_t count) : count(count) {}
    void wait() {
        if (count == 1) return;
        const int64_t now = round.load();
        if (arrived.fetch_add(1) + 1 == count) {
            arrived.store(0);
            round.fetch_add(1);
        } else
            while (round.load() == now) std::this_thread::yield();
    }
};

// Samples on which networks are evaluated, and the results.
struct Evaluation {
    const float *x, *y;  // (sample, feature) and (sample, output), or null
    int64_t samples;
    float *output;           // (member, sample, output)
    float *loss, *accuracy;  // (member,), of y
};

// One member's evaluation on some of the samples; sums of its loss, and of right answers.
struct Piece {
    const Evaluation &of;
    int64_t member, begin, samples;
    double loss = 0, right = 0;
};

static void evaluate(const Network &net, const float *parameter, const Workspace &w, Piece &piece) {
    const Evaluation &e = piece.of;
    const int64_t outputs = net.outputs();
    float *output = e.output + (piece.member * e.samples + piece.begin) * outputs;
    forward(net, parameter, e.x + piece.begin * net.features(), piece.samples, w.hidden, nullptr, output);
    if (!e.y) return;
    const float *y = e.y + piece.begin * outputs;
    piece.loss = summed_loss(net.loss, y, output, piece.samples, outputs);
    for (int64_t s = 0; s < piece.samples; ++s, output += outputs, y += outputs)
        piece.right += largest_of(output, outputs) == largest_of(y, outputs);
}

struct Task {
    const Network &net;
    const Update &how;
    int64_t members;
    float *parameter, *first, *second;
    const float *x, *y;
    int64_t samples;
    const int64_t *order;
    int64_t order_row, batch, step, steps;
};

// One thread's part of the updates of some members: of each, some of the samples forwards and backwards, then some of the
// parameters, whose gradient it takes of all samples; at last some of the pieces, of which every member has
// `pieces.size() / members`.
static void work(const Task &task, int64_t first_member, int64_t last_member, const Workspace *memory, int64_t self,
                 Team &team, std::vector<Piece> &pieces) {
    const Network &net = task.net;
    const Workspace &w = memory[self];
    const bool shared = team.count > 1;
    const int64_t numbers = net.parameters(), features = net.features(), outputs = net.outputs();
    const int64_t taken = task.order ? task.batch : task.samples;
    const int64_t low = numbers / PAD * self / team.count * PAD, high = numbers / PAD * (self + 1) / team.count * PAD;
    const Parts rounds(taken, team.count * net.together());
    float *gradient = memory[0].gradient;
    std::fill(gradient + low, gradient + high, 0.f);  // what pads the rows stays zero
    const int64_t of_member = int64_t(pieces.size()) / task.members;
    for (int64_t m = first_member; m < last_member; ++m) {
        float *parameter = task.parameter + m * numbers;
        float *first = task.first ? task.first + m * numbers : nullptr;
        float *second = task.second ? task.second + m * numbers : nullptr;
        for (int64_t t = 0; t < task.steps; ++t) {
            float *transposed = memory[0].transposed;
            for (int64_t l = 1; l + 1 < net.layers; ++l) {
                const int64_t row = padded(net.units[l]), columns = net.units[l + 1], squares = padded(columns) / PAD;
                transpose(parameter + net.weight(l), net.units[l], squares * self / team.count * PAD,
                          std::min(columns, squares * (self + 1) / team.count * PAD), net.row(l), transposed, row);
                transposed += columns * row;
            }
            team.wait();
            for (int64_t r = 0; r < rounds.count; ++r) {
                const Parts parts = rounds.part(r, team.count);
                const auto pass_of = [&](int64_t i) {
                    const float *x = task.order ? memory[i].input : task.x + parts.begin(i) * features;
                    return Pass{net, memory[i], x, parts.begin(i + 1) - parts.begin(i), shared};
                };
                const Pass pass = pass_of(self);
                const float *targets = task.y + parts.begin(self) * outputs;
                if (task.order) {
                    const int64_t *chosen = task.order + m * task.order_row + t * task.batch + parts.begin(self);
                    for (int64_t s = 0; s < pass.samples; ++s) {
                        std::copy_n(task.x + chosen[s] * features, features, w.input + s * features);
                        std::copy_n(task.y + chosen[s] * outputs, outputs, w.target + s * outputs);
                    }
                    targets = w.target;
                }
                forward(net, parameter, pass.x, pass.samples, w.hidden, w.derivative, w.output);
                loss_gradient(net.loss, targets, w.output, pass.samples, outputs, taken);
                backward(pass, parameter, memory[0].transposed, shared ? nullptr : gradient, r > 0);
                if (!shared) continue;
                team.wait();
                for (int64_t i = 0; i < team.count; ++i)
                    for (int64_t l = 0; l < net.layers; ++l) layer_gradient(pass_of(i), l, gradient, low, high, r + i > 0);
                if (r + 1 < rounds.count) team.wait();
            }
            update(task.how, task.step + t + 1, high - low, parameter + low, gradient + low, first ? first + low : nullptr,
                   second ? second + low : nullptr);
            team.wait();
        }
        for (int64_t i = self; i < of_member; i += team.count) evaluate(net, parameter, w, pieces[m * of_member + i]);
    }
}

// --- what is called from outside --------------------------------------------------------------------------------------------

extern "C" {

int64_t parameters(const Network *net) { return net->parameters(); }

int64_t workspace(const Network *net, int64_t samples) { return net->workspace(samples); }

// Take `steps` updates of each of `members` networks, whose parameters, and buffers of the algorithm, lie one after the
// other. Of x (sample, feature) and y (sample, output) each takes all samples, or, step after step, the next `batch` of
// those listed in its `order` (member, order_row). Then evaluate them. The members are dealt out to `teams` of `share`
// threads each, which share every update. `memory` has for each thread a workspace for the most samples of all.
//
// Returns how many threads worked: fewer than were asked for where the system starts no more. None: out of memory, and
// nothing was done.
int64_t advance(const Network *net, const Update *how, int64_t members, float *parameter, float *first, float *second,
                const float *x, const float *y, int64_t samples, const int64_t *order, int64_t order_row, int64_t batch,
                int64_t step, int64_t steps, const Evaluation *evaluations, int64_t count, int64_t teams, int64_t share,
                int64_t most, float *memory) try {
    const Task task{*net, *how, members, parameter, first, second, x, y, samples, order, order_row, batch, step, steps};
    std::vector<Piece> pieces;
    for (int64_t m = 0; m < members; ++m)
        for (int64_t e = 0; e < count; ++e) {
            const Parts parts(evaluations[e].samples, net->together());
            for (int64_t i = 0; i < parts.count; ++i)
                pieces.push_back({evaluations[e], m, parts.begin(i), parts.begin(i + 1) - parts.begin(i)});
        }
    share = std::min(share, order ? batch : samples);  // of each thread at least a sample
    std::vector<Workspace> workspaces;
    for (int64_t i = 0; i < teams * share; ++i) workspaces.emplace_back(*net, most, memory + i * net->workspace(most));
    std::deque<Team> all;
    for (int64_t i = 0; i < teams; ++i) all.emplace_back(share);
    const auto thread = [&](int64_t i) {
        if (i >= teams * share) return;
        const int64_t team = i / share, begin = members * team / teams, end = members * (team + 1) / teams;
        work(task, begin, end, &workspaces[team * share], i % share, all[team], pieces);
    };
    // Threads of a team wait for each other: how many there are is known before any begins.
    std::atomic<bool> counted{false};
    std::vector<std::thread> others;
    others.reserve(teams * share);
    try {
        for (int64_t i = 1; i < teams * share; ++i)
            others.emplace_back([&, i] {
                while (!counted.load()) std::this_thread::yield();
                thread(i);
            });
    } catch (const std::exception &) {  // the system starts no more, or has no memory for another
        const int64_t there = int64_t(others.size()) + 1;
        teams = std::min(teams, there), share = std::max<int64_t>(1, std::min(share, there / teams));
        for (auto &team : all) team.count = share;
    }
    counted.store(true);
    thread(0);
    for (auto &other : others) other.join();

    double loss = 0, right = 0;
    for (const Piece &piece : pieces) {  // in one order, whatever the threads
        loss += piece.loss, right += piece.right;
        const Evaluation &of = piece.of;
        if (piece.begin + piece.samples < of.samples) continue;
        if (of.y) of.loss[piece.member] = float(loss / double(of.samples));
        if (of.y) of.accuracy[piece.member] = float(right / double(of.samples));
        loss = right = 0;
    }
    return teams * share;
} catch (const std::bad_alloc &) {
    return 0;
}
}
