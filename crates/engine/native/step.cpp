// One position a row on the CPU: norm, turning and cache in one call each.
//
// Between two products of a one-token step there is almost nothing to compute, but libtorch's operators for it (some 25 a
// layer) are found cold each time, since the weights have streamed through the caches: 5 to 10 microseconds each, a third of
// the whole step where it was measured. The same arithmetic here is one call. Prompts and other devices use libtorch's own.

#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>
#include <vector>

#include "guard.h"
#include "vector.h"

namespace {

using at::Tensor;

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

}  // namespace

extern "C" {

Tensor* ai_energy_rms_norm(const Tensor* x, const Tensor* weight, double eps, char** error) {
  return guarded(error, [&] {
    check_step(x, *x);
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
    for (const Tensor* tensor : {qkv, static_cast<const Tensor*>(keys), static_cast<const Tensor*>(values), cosines, sines}) {
      check_step(tensor, *qkv);
    }
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

}  // extern "C"
