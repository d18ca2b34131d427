// What each thread does: its part of the updates of some members, and of their evaluations.
#pragma once

#include <algorithm>
#include <atomic>
#include <thread>
#include <vector>

#include "encoding.hpp"
#include "passes.hpp"
#include "rounding.hpp"
#include "updates.hpp"

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

// The place of the largest number; of the first one that is no number, where there is one.
static int64_t largest_of(const float *numbers, int64_t count) {
    int64_t place = 0;
    for (int64_t i = 1; i < count; ++i)
        if (!(numbers[i] <= numbers[place]) && numbers[place] == numbers[place]) place = i;
    return place;
}

template <class Net>
static void evaluate(const Net &net, const float *parameter, const typename Net::Workspace &w, Piece &piece) {
    const Evaluation &e = piece.of;
    const int64_t outputs = net.outputs();
    float *output = e.output + (piece.member * e.samples + piece.begin) * outputs;
    const float *x = e.x + piece.begin * net.features;
    if (net.copied()) x = std::copy_n(x, piece.samples * net.features, w.input) - piece.samples * net.features;
    forward(typename Net::Pass{net, w, x, piece.samples, false}, parameter, false, output);
    if (!e.y) return;
    const float *y = e.y + piece.begin * outputs;
    piece.loss = net.loss->sum(y, output, piece.samples, outputs);
    for (int64_t s = 0; s < piece.samples; ++s, output += outputs, y += outputs)
        piece.right += largest_of(output, outputs) == largest_of(y, outputs);
}

// Take `steps` updates of each of `members` networks, whose parameters, and buffers of the algorithm, lie one after the
// other. Of x (sample, feature) and y (sample, output) each takes all samples, or, step after step, the next `batch` of
// those listed in its `order` (member, order_row). Then evaluate them. The members are dealt out to `teams` of `share`
// threads each, which share every update. `memory` has for each thread a workspace for the most samples of all.
struct Work {
    const Update *how;
    int64_t members;
    float *parameter, *first, *second;
    const float *x, *y;
    int64_t samples;
    const int64_t *order;
    int64_t order_row, batch, step, steps;
    const double *rates;  // learning rates (steps,)
    const Evaluation *evaluations;
    int64_t count, teams, share, most;
    float *memory;

    int64_t taken() const { return order ? batch : samples; }  // by an update
};

// One thread's part of the updates of some members: of each, some of the samples forwards and backwards, then some of the
// parameters, whose gradient it takes of all samples; at last some of the pieces, of which every member has
// `pieces.size() / members`.
template <class Net>
static void work(const Net &net, const Work &task, int64_t first_member, int64_t last_member,
                 const typename Net::Workspace *memory, int64_t self, Team &team, std::vector<Piece> &pieces) {
    const NoDenormals none;
    const typename Net::Workspace &w = memory[self];
    const Update &how = *task.how;
    const bool shared = team.count > 1;
    const int64_t numbers = net.parameters(), features = net.features, outputs = net.outputs();
    const bool copied = task.order || net.copied();
    const int64_t taken = task.taken();
    const int64_t low = numbers / PAD * self / team.count * PAD, high = numbers / PAD * (self + 1) / team.count * PAD;
    const Parts rounds(taken, team.count * net.together(), net.grain());
    float *gradient = memory[0].gradient;
    std::fill(gradient + low, gradient + high, 0.f);  // what pads the rows stays zero
    const int64_t of_member = int64_t(pieces.size()) / task.members;
    for (int64_t m = first_member; m < last_member; ++m) {
        float *parameter = task.parameter + m * numbers;
        float *first = task.first ? task.first + m * numbers : nullptr;
        float *second = task.second ? task.second + m * numbers : nullptr;
        for (int64_t t = 0; t < task.steps; ++t) {
            transpose_weights(net, parameter, memory[0].transposed, self, team.count);
            team.wait();
            for (int64_t r = 0; r < rounds.count; ++r) {
                const Parts parts = rounds.part(r, team.count);
                const auto pass_of = [&](int64_t i) {
                    const float *x = copied ? memory[i].input : task.x + parts.begin(i) * features;
                    return typename Net::Pass{net, memory[i], x, parts.begin(i + 1) - parts.begin(i), shared};
                };
                const auto pass = pass_of(self);
                const float *targets = task.y + parts.begin(self) * outputs;
                if (task.order) {
                    const int64_t *chosen = task.order + m * task.order_row + t * task.batch + parts.begin(self);
                    for (int64_t s = 0; s < pass.samples; ++s) {
                        std::copy_n(task.x + chosen[s] * features, features, w.input + s * features);
                        std::copy_n(task.y + chosen[s] * outputs, outputs, w.target + s * outputs);
                    }
                    targets = w.target;
                } else if (copied)
                    std::copy_n(task.x + parts.begin(self) * features, pass.samples * features, w.input);
                forward(pass, parameter, true, w.output);
                net.loss->gradient(targets, w.output, pass.samples, outputs, taken);
                backward(pass, parameter, memory[0].transposed, shared ? nullptr : gradient, r == 0,
                         r + 1 == rounds.count);
                if constexpr (Net::shares) {
                    if (!shared) continue;
                    team.wait();
                    for (int64_t i = 0; i < team.count; ++i)
                        for (int64_t l = 0; l < net.layers; ++l)
                            layer_gradient(pass_of(i), l, gradient, low, high, r + i == 0,
                                           r + 1 == rounds.count && i + 1 == team.count, memory[0].sums);
                    if (r + 1 < rounds.count) team.wait();
                }
            }
            float factor = 1;
            if (how.clip_norm > 0) {
                team.wait();
                factor = clipped(how, numbers, gradient);  // by each thread, in the same order
                team.wait();
            }
            if (factor != 1 || how.penalty() > 0)
                change(factor, float(how.penalty()), high - low, parameter + low, gradient + low);
            how.algorithm->update(how, task.rates[t], task.step + t + 1, high - low, parameter + low, gradient + low,
                                       first ? first + low : nullptr, second ? second + low : nullptr);
            team.wait();
        }
        for (int64_t i = self; i < of_member; i += team.count) evaluate(net, parameter, w, pieces[m * of_member + i]);
    }
}
