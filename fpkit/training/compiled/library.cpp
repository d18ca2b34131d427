// Training of fully connected and convolutional networks, a member after the other, without a call or a pass over memory
// that is not needed: what is called from outside. fpkit/training/compiled/library.py compiles and calls it, as one with
// all that it includes.
//
// Every row of a matrix is padded with zeros to a multiple of PAD numbers. Samples are taken some at a time, so that their
// activations stay in the cache. Members share nothing, so a member's bits depend on no other member. They depend on no
// thread either: every number is one sum, over samples or units in their order, whoever computes it and however many
// samples are taken at a time.

#include <cstring>
#include <deque>
#include <mutex>
#include <new>
#include <string>
#include <vector>

#include "pool.hpp"
#include "threads.hpp"

template <class Entry, size_t COUNT>
static const Entry *entry_of(const Entry (&entries)[COUNT], const char *name) {
    for (const Entry &entry : entries)
        if (!std::strcmp(entry.name, name)) return &entry;
    return nullptr;
}

extern "C" {

// What this library can do, by its name in the configuration; null where it cannot.
const Activation *activation(const char *name) { return entry_of(ACTIVATIONS, name); }
const Loss *loss(const char *name) { return entry_of(LOSSES, name); }
const Algorithm *algorithm(const char *name) { return entry_of(ALGORITHMS, name); }

// The names of all activations, with spaces between.
const char *activations() {
    static const std::string names = [] {
        std::string names;
        for (const Activation &activation : ACTIVATIONS) names += std::string(activation.name) + " ";
        return names;
    }();
    return names.c_str();
}

// The values of an activation, exact to double precision.
void exactly(const Activation *activation, const double *z, double *h, int64_t numbers) {
    for (int64_t i = 0; i < numbers; ++i) h[i] = activation->exactly(z[i]);
}

// The names of the buffers of an algorithm, with spaces between.
const char *buffers(const Update *how) { return how->algorithm->buffers(*how); }

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
    Pool &pool = Pool::own();
    const std::lock_guard<std::mutex> alone(pool.busy);
    // Threads of a team wait for each other: how many there are is known before any begins.
    const int64_t there = pool.threads(teams * share);
    if (there < teams * share) {
        teams = std::min(teams, there), share = std::max<int64_t>(1, there / teams);
        for (auto &team : all) team.count = share;
    }
    pool.run(teams * share, [&](int64_t i) {
        const int64_t team = i / share, begin = members * team / teams, end = members * (team + 1) / teams;
        work(task, begin, end, &workspaces[team * share], i % share, all[team], pieces);
    });

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
