// Attention of one position over the keys before it, in spans, so that threads share one long row.

#pragma once

#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <vector>

// What a step's attention is about; lengths in values, keys counted from the cache's start.
struct Attend {
  int64_t rows, heads, kv_heads, width, capacity, first, count;
  float scale, cap;

  int64_t group() const { return heads / kv_heads; }
  // Keys that one task looks at: long enough to pay for its start, short enough to share out evenly.
  int64_t span() const { return count > 512 ? 512 : 64; }
  int64_t spans() const { return (count + span() - 1) / span(); }
  int64_t tasks() const { return rows * kv_heads * spans(); }
};

// Memory of one thread.
struct Scratch {
  std::vector<float> weights, result;
};

// Products of `group` queries with `count` keys of `n` values; `out` is [group, stride].
void scores_of(const float* queries, int64_t group, const float* keys, int64_t count, int64_t n, int64_t stride, float* out);
void scores_of(const float* queries, int64_t group, const at::BFloat16* keys, int64_t count, int64_t n, int64_t stride,
               float* out);
void scores_of(const float* queries, int64_t group, const at::Half* keys, int64_t count, int64_t n, int64_t stride, float* out);

// Adds `count` weighted values to `group` sums of width `n`.
void mix_of(const float* weights, int64_t group, const float* values, int64_t count, int64_t n, int64_t stride, float* out);
void mix_of(const float* weights, int64_t group, const at::BFloat16* values, int64_t count, int64_t n, int64_t stride,
            float* out);
void mix_of(const float* weights, int64_t group, const at::Half* values, int64_t count, int64_t n, int64_t stride, float* out);

// Scores become powers of their distance from the largest, which comes back with their sum.
void soften(float* one, int64_t count, float* peak, float* sum);

// Asks for the first lines of what is read next, so that they are on their way meanwhile.
template <class T>
inline void ask_for(const T* first) {
  constexpr int64_t BYTES = 4096;
  for (int64_t byte = 0; byte < BYTES; byte += 64) __builtin_prefetch(reinterpret_cast<const char*>(first) + byte);
}

// A softmax over the keys of one task, not yet divided: the largest score, the sum, and the weighted values of each query.
// `queries` are those of the task's group, already scaled.
template <class T>
void attend_span(const Attend& of, int64_t task, const float* queries, const T* keys, const T* values, const T* mask,
                 Scratch& scratch, float* peak, float* sum, float* mixed) {
  const int64_t group = of.group(), head = task / of.spans(), span = of.span();
  const int64_t row = head / of.kv_heads, first = of.first + task % of.spans() * span;
  const int64_t count = std::min(span, of.first + of.count - first);
  scratch.weights.resize(group * span);
  float* weights = scratch.weights.data();
  const int64_t place = (head * of.capacity + first) * of.width;
  scores_of(queries, group, keys + place, count, of.width, span, weights);
  ask_for(values + place);
  for (int64_t query = 0; query < group; ++query) {
    float* one = weights + query * span;
    if (of.cap > 0) {
      for (int64_t key = 0; key < count; ++key) one[key] = of.cap * std::tanh(one[key] / of.cap);
    }
    if (mask != nullptr) {
      const T* hidden = mask + row * of.capacity + first;
      for (int64_t key = 0; key < count; ++key) one[key] += static_cast<float>(hidden[key]);
    }
    soften(one, count, peak + query, sum + query);
  }
  // The next task's keys lie behind this one's.
  ask_for(keys + place + count * of.width);
  std::fill(mixed, mixed + group * of.width, 0.0f);
  mix_of(weights, group, values + place, count, of.width, span, mixed);
}

// Puts the spans of one query together; a sink is one more score that gives nothing.
template <class T>
void join_spans(const Attend& of, int64_t query, const float* sink, const float* peak, const float* sum, const float* mixed,
                Scratch& scratch, T* out) {
  const int64_t group = of.group(), head = query / group, within = query % group;
  float largest = sink != nullptr ? *sink : -std::numeric_limits<float>::infinity();
  for (int64_t span = 0; span < of.spans(); ++span) {
    largest = std::max(largest, peak[(head * of.spans() + span) * group + within]);
  }
  float total = sink != nullptr ? std::exp(*sink - largest) : 0.0f;
  scratch.result.assign(of.width, 0.0f);
  float* result = scratch.result.data();
  for (int64_t span = 0; span < of.spans(); ++span) {
    const int64_t part = (head * of.spans() + span) * group + within;
    const float factor = std::exp(peak[part] - largest);
    total += factor * sum[part];
    for (int64_t i = 0; i < of.width; ++i) result[i] += factor * mixed[part * of.width + i];
  }
  for (int64_t i = 0; i < of.width; ++i) out[i] = static_cast<T>(result[i] / total);
}
