// Where the threads of one step wait for each other.

#pragma once

#include <atomic>
#include <cstdint>

#if defined(__x86_64__)
#include <immintrin.h>
#endif
#if defined(__unix__) || defined(__APPLE__)
#include <sched.h>
#endif

namespace whole_step {

// In a loop, since it is for microseconds, and politely, should one have no processor.
class Meeting {
 public:
  // Before the first of them comes.
  void expect(int64_t threads) { threads_ = threads; }

  void meet() {
    const int64_t turn = turn_.load(std::memory_order_relaxed);
    if (arrived_.fetch_add(1, std::memory_order_acq_rel) + 1 == threads_) {
      arrived_.store(0, std::memory_order_relaxed);
      turn_.store(turn + 1, std::memory_order_release);
      return;
    }
    for (int64_t waited = 0; turn_.load(std::memory_order_acquire) == turn; ++waited) pause(waited);
  }

 private:
  static void pause(int64_t waited) {
#if defined(__unix__) || defined(__APPLE__)
    if (waited > 20000) {
      sched_yield();
      return;
    }
#endif
#if defined(__x86_64__)
    _mm_pause();
#endif
  }

  alignas(64) std::atomic<int64_t> arrived_{0};
  alignas(64) std::atomic<int64_t> turn_{0};
  int64_t threads_ = 1;
};

}  // namespace whole_step
