// The arithmetic between two reads of memory, compiled for each generation of vector units.

#include "kernels.h"

#include <algorithm>
#include <cmath>

#include "vector.h"

namespace {

// The error function within 1.5e-7: Abramowitz and Stegun, 7.1.26. The library's own takes one value at a time.
INLINE float error_function(float x) {
  const float size = std::abs(x), t = 1.0f / (1.0f + 0.3275911f * size);
  const float sum = ((((1.061405429f * t - 1.453152027f) * t + 1.421413741f) * t - 0.284496736f) * t + 0.254829592f) * t;
  const float rest = 1.0f - sum * power(-size * size);
  return x < 0 ? -rest : rest;
}

INLINE float hyperbolic_tangent(float x) {
  const float small = power(-2.0f * std::abs(x)), rest = (1.0f - small) / (1.0f + small);
  return x < 0 ? -rest : rest;
}

INLINE float sigmoid_times(float x) {
  const float small = power(-std::abs(x));
  return x * (x < 0 ? small : 1.0f) / (1.0f + small);
}

}  // namespace

FOR_EACH_CPU void swiglu(float* gate, const float* up, int64_t n) {
#pragma omp simd
  for (int64_t i = 0; i < n; ++i) gate[i] = sigmoid_times(gate[i]) * up[i];
}

FOR_EACH_CPU static void silu(float* x, int64_t n) {
#pragma omp simd
  for (int64_t i = 0; i < n; ++i) x[i] = sigmoid_times(x[i]);
}

FOR_EACH_CPU static void gelu(float* x, int64_t n) {
#pragma omp simd
  for (int64_t i = 0; i < n; ++i) x[i] = 0.5f * x[i] * (1.0f + error_function(x[i] * 0.70710678f));
}

FOR_EACH_CPU static void gelu_tanh(float* x, int64_t n) {
#pragma omp simd
  for (int64_t i = 0; i < n; ++i) {
    x[i] = 0.5f * x[i] * (1.0f + hyperbolic_tangent(0.79788456f * (x[i] + 0.044715f * x[i] * x[i] * x[i])));
  }
}

void activate(Activation how, float* x, int64_t n) {
  switch (how) {
    case Activation::None:
      return;
    case Activation::Silu:
      return silu(x, n);
    case Activation::Gelu:
      return gelu(x, n);
    case Activation::GeluTanh:
      return gelu_tanh(x, n);
    case Activation::Relu:
      for (int64_t i = 0; i < n; ++i) x[i] = std::max(x[i], 0.0f);
  }
}

FOR_EACH_CPU void rms_of(const float* x, const float* weight, float eps, int64_t n, float* out) {
  float squares = 0;
#pragma omp simd reduction(+ : squares)
  for (int64_t i = 0; i < n; ++i) squares += x[i] * x[i];
  const float scale = 1.0f / std::sqrt(squares / static_cast<float>(n) + eps);
#pragma omp simd
  for (int64_t i = 0; i < n; ++i) out[i] = x[i] * scale * weight[i];
}

FOR_EACH_CPU void layer_norm_of(const float* x, const float* weight, const float* bias, float eps, int64_t n, float* out) {
  float sum = 0, squares = 0;
#pragma omp simd reduction(+ : sum)
  for (int64_t i = 0; i < n; ++i) sum += x[i];
  const float mean = sum / static_cast<float>(n);
#pragma omp simd reduction(+ : squares)
  for (int64_t i = 0; i < n; ++i) squares += (x[i] - mean) * (x[i] - mean);
  const float scale = 1.0f / std::sqrt(squares / static_cast<float>(n) + eps);
  for (int64_t i = 0; i < n; ++i) out[i] = (x[i] - mean) * scale * weight[i] + (bias == nullptr ? 0.0f : bias[i]);
}

FOR_EACH_CPU void turn_of(const float* x, const float* cosines, const float* sines, int64_t n, float* out) {
  const int64_t half = n / 2;
#pragma omp simd
  for (int64_t i = 0; i < half; ++i) {
    const float first = x[i], second = x[i + half];
    out[i] = first * cosines[i] + second * sines[i];
    out[i + half] = second * cosines[i + half] + first * sines[i + half];
  }
}
