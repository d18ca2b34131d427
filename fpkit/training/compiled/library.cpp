// Training of fully connected and convolutional networks, a member after the other, without a call or a pass over memory
// that is not needed: what is called from outside. fpkit/training/compiled/library.py compiles and calls it, as one with
// all that it includes.
//
// Every row of a matrix is padded with zeros to a multiple of PAD numbers. Samples are taken some at a time, so that their
// activations stay in the cache. Members share nothing, so a member's bits depend on no other member. They depend on no
// thread either: every number is one sum, over samples or units in their order, whoever computes it and however many
// samples are taken at a time; of a convolution's weight one for each lane, in which are the same samples always.

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

template <class Net>
static int64_t advance(const Net &net, const Work &todo) try {
    std::vector<Piece> pieces;
    for (int64_t m = 0; m < todo.members; ++m)
        for (int64_t e = 0; e < todo.count; ++e) {
            const Parts parts(todo.evaluations[e].samples, net.together());
            for (int64_t i = 0; i < parts.count; ++i)
                pieces.push_back({todo.evaluations[e], m, parts.begin(i), parts.begin(i + 1) - parts.begin(i)});
        }
    int64_t teams = todo.teams, share = std::min(todo.share, todo.taken());  // of each thread at least a sample
    std::vector<typename Net::Workspace> workspaces;
    for (int64_t i = 0; i < teams * share; ++i)
        workspaces.emplace_back(net, todo.most, todo.memory + i * net.workspace(todo.most));
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
        const int64_t team = i / share, begin = todo.members * team / teams, end = todo.members * (team + 1) / teams;
        work(net, todo, begin, end, &workspaces[team * share], i % share, all[team], pieces);
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

// Of each kind of network: its parameters, and the numbers that a thread's memory holds for so many samples.
int64_t chain_parameters(const Chain *net) { return net->parameters(); }
int64_t encoder_parameters(const Encoder *net) { return net->parameters(); }
int64_t chain_workspace(const Chain *net, int64_t samples) { return net->workspace(samples); }
int64_t encoder_workspace(const Encoder *net, int64_t samples) { return net->workspace(samples); }

// Do the work. Returns how many threads worked: fewer than were asked for where the system starts no more. None: out of
// memory, and nothing was done.
int64_t chain_advance(const Chain *net, const Work *work) { return advance(*net, *work); }
int64_t encoder_advance(const Encoder *net, const Work *work) { return advance(*net, *work); }
}
