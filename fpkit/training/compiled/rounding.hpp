// Denormal numbers, below 1e-38, count as zero: some processors take a hundred times as long for each. Adam's means of a
// unit that died end in them: 0.9 times the smallest is rounded to the smallest, for ever.
#pragma once

#if defined(__SSE__)
#include <xmmintrin.h>
#endif

// While it lives, of this thread, which is the user's and may want them again.
class NoDenormals {
  public:
    NoDenormals(const NoDenormals &) = delete;
#if defined(__SSE__)
    NoDenormals() : before(_mm_getcsr()) { _mm_setcsr(before | 0x8040); }  // those that result, those that are given
    ~NoDenormals() { _mm_setcsr(before); }

  private:
    unsigned before;
#elif defined(__aarch64__)
    NoDenormals() {
        __asm__ volatile("mrs %0, fpcr" : "=r"(before));
        __asm__ volatile("msr fpcr, %0" : : "r"(before | 1ull << 24));
    }
    ~NoDenormals() { __asm__ volatile("msr fpcr, %0" : : "r"(before)); }

  private:
    unsigned long long before;
#else
    NoDenormals() {}
#endif
};
