// One position a row on the CPU: norm, turning, cache and attention in one call each.
//
// Between two products of a one-token step there is almost nothing to compute, but libtorch's operators for it (some 25 a
// layer) are found cold each time, since the weights have streamed through the caches: 5 to 10 microseconds each, a third of
// the whole step where it was measured. The same arithmetic here is one call. Prompts and other devices use libtorch's own.

#include <ATen/ATen.h>
#include <ATen/Parallel.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <vector>

#include "guard.h"

// One body, compiled for each generation of vector units; the loader picks the fitting one.
#if defined(__GNUC__) && !defined(__clang__) && defined(__x86_64__) && defined(__linux__)
#define FOR_EACH_CPU __attribute__((target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default")))
#else
#define FOR_EACH_CPU
#endif
#define INLINE inline __attribute__((always_inline))

namespace {

using at::Tensor;

// Keys that one task looks at: long enough to pay for its start, short enough to spread one long row over the threads.
constexpr int64_t SPAN = 256;

template <class T>
INLINE float square_sum(const T* x, int64_t n) {
  float sum = 0;
#pragma omp simd reduction(+ : sum)
  for (int64_t i = 0; i < n; ++i) {
    const float value = static_cast<float>(x[i]);
    sum += value * value;
  }
  return sum;
}

// As transformers rounds: after the division, then after the factor; `W` is float where the factor is applied before.
template <class T, class W>
INLINE void rms(const T* x, const W* weight, float eps, int64_t n, T* out) {
  const float scale = 1.0f / std::sqrt(square_sum(x, n) / static_cast<float>(n) + eps);
#pragma omp simd
  for (int64_t i = 0; i < n; ++i) {
    if constexpr (std::is_same_v<W, float>) {
      out[i] = static_cast<T>(static_cast<float>(x[i]) * scale * weight[i]);
    } else {
      const T normal = static_cast<T>(static_cast<float>(x[i]) * scale);
      out[i] = static_cast<T>(static_cast<float>(normal) * static_cast<float>(weight[i]));
    }
  }
}

FOR_EACH_CPU void rms_float(const float* x, const float* w, float eps, int64_t n, float* out) { rms(x, w, eps, n, out); }
FOR_EACH_CPU void rms_bf16(const at::BFloat16* x, const at::BFloat16* w, float eps, int64_t n, at::BFloat16* out) {
  rms(x, w, eps, n, out);
}

// A row's norm whatever the formats.
template <class T>
void normalise(const T* x, const Tensor& weight, float eps, int64_t n, T* out) {
  if constexpr (std::is_same_v<T, float>) {
    rms_float(x, weight.const_data_ptr<float>(), eps, n, out);
  } else if (weight.scalar_type() == at::kFloat) {
    rms(x, weight.const_data_ptr<float>(), eps, n, out);
  } else if constexpr (std::is_same_v<T, at::BFloat16>) {
    rms_bf16(x, weight.const_data_ptr<T>(), eps, n, out);
  } else {
    rms(x, weight.const_data_ptr<T>(), eps, n, out);
  }
}

// Value i turns with value i + n / 2; the sines' first half is negative.
template <class T>
INLINE void turn(const T* x, const T* cosines, const T* sines, int64_t n, T* out) {
  const int64_t half = n / 2;
#pragma omp simd
  for (int64_t i = 0; i < half; ++i) {
    const float first = static_cast<float>(x[i]), second = static_cast<float>(x[i + half]);
    const float below = first * static_cast<float>(cosines[i]) + second * static_cast<float>(sines[i]);
    const float above = second * static_cast<float>(cosines[i + half]) + first * static_cast<float>(sines[i + half]);
    out[i] = static_cast<T>(below);
    out[i + half] = static_cast<T>(above);
  }
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

// Scores become powers of their distance from the largest, which comes back with their sum.
FOR_EACH_CPU void soften(float* one, int64_t count, float* peak, float* sum) {
  float largest = -std::numeric_limits<float>::infinity();
#pragma omp simd reduction(max : largest)
  for (int64_t key = 0; key < count; ++key) largest = std::max(largest, one[key]);
  const float from = std::isinf(largest) ? 0.0f : largest;
  float total = 0;
#pragma omp simd reduction(+ : total)
  for (int64_t key = 0; key < count; ++key) {
    one[key] = power(one[key] - from);
    total += one[key];
  }
  *peak = largest;
  *sum = total;
}

// Products of `group` queries with `count` keys; `out` is [group, stride].
template <class T>
INLINE void scores(const float* queries, int64_t group, const T* keys, int64_t count, int64_t n, int64_t stride, float* out) {
  for (int64_t key = 0; key < count; ++key, keys += n) {
    for (int64_t query = 0; query < group; ++query) {
      const float* one = queries + query * n;
      float sum = 0;
#pragma omp simd reduction(+ : sum)
      for (int64_t i = 0; i < n; ++i) sum += one[i] * static_cast<float>(keys[i]);
      out[query * stride + key] = sum;
    }
  }
}

// Adds `count` weighted values to `group` sums of width n.
template <class T>
INLINE void mix(const float* weights, int64_t group, const T* values, int64_t count, int64_t n, int64_t stride, float* out) {
  for (int64_t key = 0; key < count; ++key, values += n) {
    for (int64_t query = 0; query < group; ++query) {
      const float weight = weights[query * stride + key];
      float* sum = out + query * n;
#pragma omp simd
      for (int64_t i = 0; i < n; ++i) sum[i] += weight * static_cast<float>(values[i]);
    }
  }
}

#define FOR_FORMAT(NAME, T)                                                                                               \
  FOR_EACH_CPU void scores_##NAME(const float* q, int64_t g, const T* k, int64_t c, int64_t n, int64_t s, float* out) {   \
    scores(q, g, k, c, n, s, out);                                                                                        \
  }                                                                                                                       \
  FOR_EACH_CPU void mix_##NAME(const float* w, int64_t g, const T* v, int64_t c, int64_t n, int64_t s, float* out) {      \
    mix(w, g, v, c, n, s, out);                                                                                           \
  }                                                                                                                       \
  void scores_of(const float* q, int64_t g, const T* k, int64_t c, int64_t n, int64_t s, float* out) {                    \
    scores_##NAME(q, g, k, c, n, s, out);                                                                                 \
  }                                                                                                                       \
  void mix_of(const float* w, int64_t g, const T* v, int64_t c, int64_t n, int64_t s, float* out) {                       \
    mix_##NAME(w, g, v, c, n, s, out);                                                                                    \
  }
FOR_FORMAT(float, float)
FOR_FORMAT(bf16, at::BFloat16)
FOR_FORMAT(half, at::Half)

// What a step's attention is about.
struct Attend {
  int64_t rows, heads, kv_heads, width, capacity, first, count;
  float scale, cap;

  int64_t group() const { return heads / kv_heads; }
  int64_t spans() const { return (count + SPAN - 1) / SPAN; }
};

// A softmax over some keys, not yet divided: the largest score, the sum, and the weighted values of each query.
template <class T>
void attend_span(const Attend& of, int64_t task, const T* queries, const T* keys, const T* values, const T* mask,
                 float* peak, float* sum, float* mixed) {
  const int64_t group = of.group(), head = task / of.spans(), span = task % of.spans();
  const int64_t row = head / of.kv_heads, first = of.first + span * SPAN;
  const int64_t count = std::min(SPAN, of.first + of.count - first);
  std::vector<float> asked(group * of.width), weights(group * SPAN);
  for (int64_t i = 0; i < group * of.width; ++i) {
    asked[i] = static_cast<float>(queries[head * group * of.width + i]) * of.scale;
  }
  const int64_t place = (head * of.capacity + first) * of.width;
  scores_of(asked.data(), group, keys + place, count, of.width, SPAN, weights.data());
  for (int64_t query = 0; query < group; ++query) {
    float* one = weights.data() + query * SPAN;
    if (of.cap > 0) {
      for (int64_t key = 0; key < count; ++key) one[key] = of.cap * std::tanh(one[key] / of.cap);
    }
    if (mask != nullptr) {
      const T* hidden = mask + row * of.capacity + first;
      for (int64_t key = 0; key < count; ++key) one[key] += static_cast<float>(hidden[key]);
    }
    soften(one, count, peak + query, sum + query);
  }
  std::fill(mixed, mixed + group * of.width, 0.0f);
  mix_of(weights.data(), group, values + place, count, of.width, SPAN, mixed);
}

// Puts the spans of one query together; a sink is one more score that gives nothing.
template <class T>
void join_spans(const Attend& of, int64_t query, const T* sinks, const float* peak, const float* sum, const float* mixed,
                T* out) {
  const int64_t group = of.group(), head = query / group, within = query % group;
  const bool sink = sinks != nullptr;
  const float sunk = sink ? static_cast<float>(sinks[query % of.heads]) : 0.0f;
  float largest = sink ? sunk : -std::numeric_limits<float>::infinity();
  for (int64_t span = 0; span < of.spans(); ++span) {
    largest = std::max(largest, peak[(head * of.spans() + span) * group + within]);
  }
  float total = sink ? std::exp(sunk - largest) : 0.0f;
  std::vector<float> result(of.width, 0.0f);
  for (int64_t span = 0; span < of.spans(); ++span) {
    const int64_t part = (head * of.spans() + span) * group + within;
    const float factor = std::exp(peak[part] - largest);
    total += factor * sum[part];
    for (int64_t i = 0; i < of.width; ++i) result[i] += factor * mixed[part * of.width + i];
  }
  for (int64_t i = 0; i < of.width; ++i) out[query * of.width + i] = static_cast<T>(result[i] / total);
}

template <class T>
Tensor attend(const Attend& of, const Tensor& queries, const Tensor& keys, const Tensor& values, const Tensor* mask,
              const Tensor* sinks) {
  auto out = at::empty({of.rows, of.heads * of.width}, queries.options());
  const int64_t tasks = of.rows * of.kv_heads * of.spans(), group = of.group();
  std::vector<float> peak(tasks * group), sum(tasks * group), mixed(tasks * group * of.width);
  const T* hidden = mask == nullptr ? nullptr : mask->const_data_ptr<T>();
  // A short row is done before another thread has woken.
  const int64_t grain = of.count * of.kv_heads * of.rows < 2 * SPAN ? tasks : 1;
  at::parallel_for(0, tasks, grain, [&](int64_t begin, int64_t end) {
    for (int64_t task = begin; task < end; ++task) {
      attend_span(of, task, queries.const_data_ptr<T>(), keys.const_data_ptr<T>(), values.const_data_ptr<T>(), hidden,
                  &peak[task * group], &sum[task * group], &mixed[task * group * of.width]);
    }
  });
  const T* sunk = sinks == nullptr ? nullptr : sinks->const_data_ptr<T>();
  for (int64_t query = 0; query < of.rows * of.heads; ++query) {
    join_spans(of, query, sunk, peak.data(), sum.data(), mixed.data(), out.mutable_data_ptr<T>());
  }
  return out;
}

// Queries turned; keys turned and values as they are into the cache. With norms, queries and keys are normalised first.
template <class T>
Tensor turn_and_store(const Tensor& qkv, int64_t heads, const Tensor* cosines, const Tensor* sines, const Tensor* query_norm,
                      const Tensor* key_norm, float eps, Tensor& keys, Tensor& values, int64_t place) {
  const int64_t rows = keys.size(0), kv_heads = keys.size(1), capacity = keys.size(2), width = keys.size(3);
  auto queries = at::empty({rows, heads * width}, qkv.options());
  const T* given = qkv.const_data_ptr<T>();
  const bool own_angles = cosines != nullptr && cosines->size(0) > 1;
  std::vector<T> normal(width);
  for (int64_t row = 0; row < rows; ++row) {
    const T* cosine = cosines == nullptr ? nullptr : cosines->const_data_ptr<T>() + (own_angles ? row * width : 0);
    const T* sine = sines == nullptr ? nullptr : sines->const_data_ptr<T>() + (own_angles ? row * width : 0);
    for (int64_t head = 0; head < heads + 2 * kv_heads; ++head, given += width) {
      const bool query = head < heads, value = head >= heads + kv_heads;
      const int64_t cached = (row * kv_heads + (head - heads) % kv_heads) * capacity + place;
      T* out = query   ? queries.mutable_data_ptr<T>() + (row * heads + head) * width
               : value ? values.mutable_data_ptr<T>() + cached * width
                       : keys.mutable_data_ptr<T>() + cached * width;
      const Tensor* norm = query ? query_norm : key_norm;
      const T* from = given;
      if (!value && norm != nullptr) {
        normalise(given, *norm, eps, width, normal.data());
        from = normal.data();
      }
      if (value || cosine == nullptr) {
        std::copy(from, from + width, out);
      } else {
        turn(from, cosine, sine, width, out);
      }
    }
  }
  return queries;
}

void check(const Tensor& tensor, const Tensor& like) {
  TORCH_CHECK(tensor.is_cpu() && tensor.is_contiguous(), "a step's tensors must lie in one piece in the processor's memory");
  TORCH_CHECK(tensor.scalar_type() == like.scalar_type(), "a step's tensors must be of one format");
}

void check_optional(const Tensor* tensor, const Tensor& like) {
  if (tensor != nullptr) check(*tensor, like);
}

}  // namespace

extern "C" {

Tensor* ai_energy_rms_norm(const Tensor* x, const Tensor* weight, double eps, char** error) {
  return guarded(error, [&] {
    check(*x, *x);
    const int64_t width = weight->numel();
    TORCH_CHECK(weight->is_contiguous() && x->numel() % width == 0, "a norm's width does not fit");
    auto out = at::empty_like(*x);
    AT_DISPATCH_FLOATING_TYPES_AND2(at::kBFloat16, at::kHalf, x->scalar_type(), "rms_norm", [&] {
      if constexpr (!std::is_same_v<scalar_t, double>) {
        for (int64_t at = 0; at < x->numel(); at += width) {
          normalise(x->const_data_ptr<scalar_t>() + at, *weight, static_cast<float>(eps), width,
                    out.template mutable_data_ptr<scalar_t>() + at);
        }
      }
    });
    return out;
  });
}

Tensor* ai_energy_turn_and_store(const Tensor* qkv, int64_t heads, const Tensor* cosines, const Tensor* sines,
                                 const Tensor* query_norm, const Tensor* key_norm, double eps, Tensor* keys,
                                 Tensor* values, int64_t place, char** error) {
  return guarded(error, [&] {
    for (const Tensor* tensor : {qkv, static_cast<const Tensor*>(keys), static_cast<const Tensor*>(values)}) {
      check(*tensor, *qkv);
    }
    check_optional(cosines, *qkv);
    check_optional(sines, *qkv);
    TORCH_CHECK(qkv->numel() == keys->size(0) * (heads + 2 * keys->size(1)) * keys->size(3), "heads do not fit");
    TORCH_CHECK(place >= 0 && place < keys->size(2), "there is no such place in the cache");
    Tensor queries;
    AT_DISPATCH_FLOATING_TYPES_AND2(at::kBFloat16, at::kHalf, qkv->scalar_type(), "turn_and_store", [&] {
      if constexpr (!std::is_same_v<scalar_t, double>) {
        queries = turn_and_store<scalar_t>(*qkv, heads, cosines, sines, query_norm, key_norm, static_cast<float>(eps),
                                           *keys, *values, place);
      }
    });
    return queries;
  });
}

Tensor* ai_energy_attend(const Tensor* queries, const Tensor* keys, const Tensor* values, const Tensor* mask,
                         const Tensor* sinks, int64_t first, int64_t count, double scale, double cap, char** error) {
  return guarded(error, [&] {
    for (const Tensor* tensor : {queries, keys, values}) check(*tensor, *queries);
    check_optional(mask, *queries);
    check_optional(sinks, *queries);
    const int64_t rows = keys->size(0), width = keys->size(3);
    const Attend of{rows, queries->numel() / rows / width, keys->size(1), width, keys->size(2), first, count,
                    static_cast<float>(scale), static_cast<float>(cap)};
    TORCH_CHECK(first >= 0 && count > 0 && first + count <= of.capacity, "there are no such places in the cache");
    TORCH_CHECK(of.heads % of.kv_heads == 0, "heads do not share keys evenly");
    TORCH_CHECK(mask == nullptr || mask->numel() == rows * of.capacity, "a mask must cover the cache");
    Tensor out;
    AT_DISPATCH_FLOATING_TYPES_AND2(at::kBFloat16, at::kHalf, queries->scalar_type(), "attend", [&] {
      if constexpr (!std::is_same_v<scalar_t, double>) {
        out = attend<scalar_t>(of, *queries, *keys, *values, mask, sinks);
      }
    });
    return out;
  });
}

}  // extern "C"
