// Sixteen numbers at a time, whatever the processor calls them: the compiler makes one, two or four registers of each.

#pragma once

#include <ATen/ATen.h>

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <type_traits>
#include <vector>

// One body, compiled for each generation of vector units; the loader picks the fitting one.
#if defined(__GNUC__) && !defined(__clang__) && defined(__x86_64__) && defined(__linux__)
#define FOR_EACH_CPU __attribute__((target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default")))
#else
#define FOR_EACH_CPU
#endif
#define INLINE inline __attribute__((always_inline))

constexpr int64_t LANES = 16;
// Bytes that are asked for ahead of a stream's reading: the best of 512 to 9,216 where it was measured, within a tenth of
// each other.
constexpr int64_t AHEAD = 1024;

typedef float Lanes __attribute__((vector_size(64)));
typedef uint32_t Words __attribute__((vector_size(64)));
typedef uint16_t Halves __attribute__((vector_size(32)));

// Two vectors of weights, in the order that `deal` puts what they meet into.
INLINE void load_dealt(const float* from, Lanes& first, Lanes& second) {
  std::memcpy(&first, from, sizeof first);
  std::memcpy(&second, from + LANES, sizeof second);
}

// A bf16 is the upper half of a float, so thirty-two of them are sixteen words with an even one below and an odd one above.
INLINE void load_dealt(const at::BFloat16* from, Lanes& first, Lanes& second) {
  Words words;
  std::memcpy(&words, from, sizeof words);
  const Words even = words << 16, odd = words & 0xffff0000u;
  std::memcpy(&first, &even, sizeof first);
  std::memcpy(&second, &odd, sizeof second);
}

INLINE void load_dealt(const at::Half* from, Lanes& first, Lanes& second) {
  float wide[2 * LANES];
  for (int64_t i = 0; i < 2 * LANES; ++i) wide[i] = static_cast<float>(from[i]);
  load_dealt(wide, first, second);
}

// Values that are dealt in one go: a cache line of the narrower formats.
constexpr int64_t DEAL = 2 * LANES;

// One deal's values in the order of `load_dealt`, and back.
template <class T>
INLINE void deal_one(const float* from, float* to) {
  constexpr bool APART = std::is_same_v<T, at::BFloat16>;
  for (int64_t lane = 0; lane < LANES; ++lane) {
    to[lane] = from[APART ? 2 * lane : lane];
    to[LANES + lane] = from[APART ? 2 * lane + 1 : LANES + lane];
  }
}

template <class T>
INLINE void gather_one(const float* from, float* to) {
  constexpr bool APART = std::is_same_v<T, at::BFloat16>;
  for (int64_t lane = 0; lane < LANES; ++lane) {
    to[APART ? 2 * lane : lane] = from[lane];
    to[APART ? 2 * lane + 1 : LANES + lane] = from[LANES + lane];
  }
}

// Rows of input in the order of `load_dealt`: for bf16, the even values of each deal before the odd ones.
template <class T>
const float* deal(const float* x, int64_t rows, int64_t n, std::vector<float>& room) {
  if constexpr (!std::is_same_v<T, at::BFloat16>) return x;
  room.resize(rows * n);
  for (int64_t row = 0; row < rows; ++row, x += n) {
    float* out = room.data() + row * n;
    int64_t i = 0;
    for (; i + DEAL <= n; i += DEAL) deal_one<T>(x + i, out + i);
    std::copy(x + i, x + n, out + i);
  }
  return room.data();
}

template <class T>
INLINE void ask_ahead(const T* from) {
  __builtin_prefetch(reinterpret_cast<const char*>(from) + AHEAD);
}

INLINE void load(const float* from, Lanes& to) { std::memcpy(&to, from, sizeof to); }

// The upper half of a float is the bf16.
INLINE void load(const at::BFloat16* from, Lanes& to) {
  Halves halves;
  std::memcpy(&halves, from, sizeof halves);
  const Words words = __builtin_convertvector(halves, Words) << 16;
  std::memcpy(&to, &words, sizeof to);
}

INLINE void load(const at::Half* from, Lanes& to) {
  float wide[LANES];
  for (int64_t i = 0; i < LANES; ++i) wide[i] = static_cast<float>(from[i]);
  std::memcpy(&to, wide, sizeof to);
}

// Lanes of two vectors by number, the second's from sixteen on.
#if defined(__clang__)
#define PICK(ONE, TWO, ...) __builtin_shufflevector(ONE, TWO, __VA_ARGS__)
#else
typedef int32_t Places __attribute__((vector_size(64)));
#define PICK(ONE, TWO, ...) __builtin_shuffle(ONE, TWO, Places{__VA_ARGS__})
#endif

// The totals of sixteen vectors, a lane each, in the first: halves of two are folded together until one vector is left.
INLINE void totals(Lanes* of) {
  for (int i = 0; i < 8; ++i) {
    of[i] = PICK(of[i], of[i + 8], 0, 1, 2, 3, 4, 5, 6, 7, 16, 17, 18, 19, 20, 21, 22, 23) +
            PICK(of[i], of[i + 8], 8, 9, 10, 11, 12, 13, 14, 15, 24, 25, 26, 27, 28, 29, 30, 31);
  }
  for (int i = 0; i < 4; ++i) {
    of[i] = PICK(of[i], of[i + 4], 0, 1, 2, 3, 16, 17, 18, 19, 8, 9, 10, 11, 24, 25, 26, 27) +
            PICK(of[i], of[i + 4], 4, 5, 6, 7, 20, 21, 22, 23, 12, 13, 14, 15, 28, 29, 30, 31);
  }
  for (int i = 0; i < 2; ++i) {
    of[i] = PICK(of[i], of[i + 2], 0, 1, 16, 17, 4, 5, 20, 21, 8, 9, 24, 25, 12, 13, 28, 29) +
            PICK(of[i], of[i + 2], 2, 3, 18, 19, 6, 7, 22, 23, 10, 11, 26, 27, 14, 15, 30, 31);
  }
  of[0] = PICK(of[0], of[1], 0, 16, 2, 18, 4, 20, 6, 22, 8, 24, 10, 26, 12, 28, 14, 30) +
          PICK(of[0], of[1], 1, 17, 3, 19, 5, 21, 7, 23, 9, 25, 11, 27, 13, 29, 15, 31);
}

INLINE float total(const Lanes& lanes) {
  float parts[LANES];
  std::memcpy(parts, &lanes, sizeof parts);
  for (int64_t width = LANES / 2; width > 0; width /= 2) {
    for (int64_t i = 0; i < width; ++i) parts[i] += parts[i + width];
  }
  return parts[0];
}

// e to the x, x at most 0, within two units in the last place: the library's own takes one value at a time. After Cody and
// Waite: 2 to a whole number times a polynomial of the rest.
INLINE float power(float x) {
  const float bounded = std::max(x, -87.0f);
  const float rounder = 12582912.0f;  // 1.5 * 2^23: adding it rounds to a whole number
  const float whole = (bounded * 1.44269504f + rounder) - rounder;
  const float rest = (bounded - whole * 0.693145752f) - whole * 1.42860677e-6f;
  float sum = 1.98756915e-4f;
  sum = sum * rest + 1.39819995e-3f;
  sum = sum * rest + 8.33345205e-3f;
  sum = sum * rest + 4.16657962e-2f;
  sum = sum * rest + 1.66666656e-1f;
  sum = sum * rest + 5.0e-1f;
  sum = sum * rest * rest + rest + 1.0f;
  const int32_t bits = (static_cast<int32_t>(whole) + 127) << 23;
  float scale;
  std::memcpy(&scale, &bits, sizeof scale);
  return x < -87.0f ? 0.0f : sum * scale;
}
