// Threads that are begun once and wait for work: to begin one takes as long as a small update, and where calls are short,
// the system leaves new threads on the processor of the one that began them.
#pragma once

#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <exception>
#include <functional>
#include <mutex>
#include <thread>

class Pool {
  public:
    // This process's: after a fork the child has none of its parent's threads. Never destroyed, as its threads never end.
    static Pool &own() {
        static std::mutex guard;
        static Pool *pool = nullptr;
        static pid_t process = 0;
        const std::lock_guard<std::mutex> lock(guard);
        if (process != getpid()) pool = new Pool, process = getpid();
        return *pool;
    }

    // As many of so many threads as there can be, this one counted.
    int64_t threads(int64_t wanted) {
        try {
            for (; waiting + 1 < wanted; ++waiting) std::thread(&Pool::wait, this, waiting + 1, round.load()).detach();
        } catch (const std::exception &) {  // the system starts no more, or has no memory for another
        }
        return std::min(wanted, waiting + 1);
    }

    // Do work(0), ..., work(count - 1) side by side, of which there are at most `threads`; this thread does the first.
    void run(int64_t count, const std::function<void(int64_t)> &work) {
        if (count == 1) return work(0);
        {
            const std::lock_guard<std::mutex> lock(sleep);
            task = &work, tasks = count, left.store(waiting), round.fetch_add(1);
        }
        wake.notify_all();
        work(0);
        while (left.load()) std::this_thread::yield();
    }

    std::mutex busy;  // with one call

  private:
    static constexpr int AWAKE = 200;  // times that a thread yields before it sleeps: calls follow each other

    void wait(int64_t self, int64_t seen) {
        for (;;) {
            for (int i = 0; i < AWAKE && round.load() == seen; ++i) std::this_thread::yield();
            if (round.load() == seen) {
                std::unique_lock<std::mutex> lock(sleep);
                wake.wait(lock, [&] { return round.load() != seen; });
            }
            ++seen;
            if (self < tasks) (*task)(self);
            left.fetch_sub(1);
        }
    }

    int64_t waiting = 0, tasks = 0;
    const std::function<void(int64_t)> *task = nullptr;
    std::atomic<int64_t> round{0}, left{0};
    std::mutex sleep;
    std::condition_variable wake;
};
