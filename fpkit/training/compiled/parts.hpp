// Numbers that are cut into nearly equal parts.
#pragma once

#include <algorithm>
#include <cstdint>
#include <type_traits>

// The parts of `whole` cut into as few nearly equal ones as are at most `largest`: part i begins at begin(i). And a part
// cut into so many. Each but the last has a multiple of `grain`, as `largest` is; so some may be empty.
struct Parts {
    int64_t whole, count, grain, first = 0;
    Parts(int64_t whole, int64_t largest, int64_t grain = 1)
        : whole(whole), count((whole + largest - 1) / largest), grain(grain) {}
    static Parts between(int64_t first, int64_t last, int64_t largest) {
        Parts parts(last - first, largest);
        parts.first = first;
        return parts;
    }
    int64_t begin(int64_t i) const { return first + std::min(whole, (whole + grain - 1) / grain * i / count * grain); }
    Parts part(int64_t i, int64_t count) const {
        Parts parts = *this;
        parts.first = begin(i), parts.whole = begin(i + 1) - begin(i), parts.count = count;
        return parts;
    }
};

// What `make` makes of a count that is known when compiled, the one of 1, ..., MOST that `count` is.
template <int MOST, class Make>
static auto with_count(int64_t count, Make make) {
    if constexpr (MOST > 1)
        if (count < MOST) return with_count<MOST - 1>(count, make);
    return make(std::integral_constant<int, MOST>());
}
