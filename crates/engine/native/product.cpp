// A few rows times a matrix, which is what decoding does: it takes as long as the matrix takes to come from memory.
//
// libtorch multiplies one row on one thread in single precision, and oneDNN over its own layout reached two thirds of the
// memory's speed where it was measured. Here the rows of the matrix are read in pairs as they lie, each thread its own
// stretch, with the next kilobyte asked for ahead: the processor's own look-ahead stops at the end of a small page.

#include <ATen/ATen.h>
#include <ATen/Parallel.h>

#include <algorithm>
#include <cmath>
#include <vector>

#include "guard.h"
#include "kernels.h"
#include "vector.h"

namespace {

using at::Tensor;

// Weights that pay for another thread's start.
constexpr int64_t GRAIN = 1 << 14;

// Two rows of the matrix with R rows of input that were dealt.
template <int R, class T>
INLINE void pair(const float* x, const T* first, const T* second, int64_t n, float* out, int64_t stride) {
  Lanes sums[2][R] = {};
  int64_t i = 0;
  for (; i + DEAL <= n; i += DEAL) {
    ask_ahead(first + i);
    ask_ahead(second + i);
    if (sizeof(T) == 4) {
      ask_ahead(first + i + LANES);
      ask_ahead(second + i + LANES);
    }
    Lanes one[2], two[2], in[2];
    load_dealt(first + i, one[0], one[1]);
    load_dealt(second + i, two[0], two[1]);
    for (int row = 0; row < R; ++row) {
      load_dealt(x + row * n + i, in[0], in[1]);
      sums[0][row] += one[0] * in[0];
      sums[1][row] += two[0] * in[0];
      sums[0][row] += one[1] * in[1];
      sums[1][row] += two[1] * in[1];
    }
  }
  for (int row = 0; row < R; ++row) {
    float one = total(sums[0][row]), two = total(sums[1][row]);
    for (int64_t rest = i; rest < n; ++rest) {
      one += x[row * n + rest] * static_cast<float>(first[rest]);
      two += x[row * n + rest] * static_cast<float>(second[rest]);
    }
    out[row * stride] = one;
    if (second != first) out[row * stride + 1] = two;
  }
}

// Outputs `begin` to `end`; the last of an odd number is computed as a pair with itself.
template <int R, class T>
INLINE void stretch(const float* x, const T* weights, int64_t n, int64_t begin, int64_t end, float* out, int64_t outputs) {
  for (int64_t output = begin; output < end; output += 2) {
    const T* first = weights + output * n;
    pair<R>(x, first, output + 1 < end ? first + n : first, n, out + output, outputs);
  }
}

}  // namespace

#define FOR_ROWS(R, NAME, T)                                                                                              \
  FOR_EACH_CPU static void stretch_##NAME##_##R(const float* x, const T* w, int64_t n, int64_t b, int64_t e, float* o, int64_t s) { \
    stretch<R>(x, w, n, b, e, o, s);                                                                                      \
  }
#define FOR_FORMAT(NAME, T)                                                                                               \
  FOR_ROWS(1, NAME, T)                                                                                                    \
  FOR_ROWS(2, NAME, T)                                                                                                    \
  FOR_ROWS(3, NAME, T)                                                                                                    \
  FOR_ROWS(4, NAME, T)                                                                                                    \
  void stretch_of(int64_t rows, const float* x, const T* w, int64_t n, int64_t b, int64_t e, float* o, int64_t s) {       \
    constexpr decltype(&stretch_##NAME##_1) BY_ROWS[] = {stretch_##NAME##_1, stretch_##NAME##_2, stretch_##NAME##_3,      \
                                                         stretch_##NAME##_4};                                             \
    thread_local std::vector<float> room;                                                                                 \
    BY_ROWS[rows - 1](deal<T>(x, rows, n, room), w, n, b, e, o, s);                                                       \
  }
FOR_FORMAT(float, float)
FOR_FORMAT(bf16, at::BFloat16)

namespace {

template <class T>
INLINE void finish(const float* sums, const T* bias, const T* residual, int64_t n, T* out) {
#pragma omp simd
  for (int64_t i = 0; i < n; ++i) {
    float sum = sums[i];
    if (bias != nullptr) sum += static_cast<float>(bias[i]);
    if (residual != nullptr) sum += static_cast<float>(residual[i]);
    out[i] = static_cast<T>(sum);
  }
}
FOR_EACH_CPU void finish_of(const float* s, const float* b, const float* r, int64_t n, float* o) { finish(s, b, r, n, o); }
FOR_EACH_CPU void finish_of(const float* s, const at::BFloat16* b, const at::BFloat16* r, int64_t n, at::BFloat16* o) {
  finish(s, b, r, n, o);
}

template <class T>
const T* values(const Tensor* tensor) {
  return tensor == nullptr ? nullptr : tensor->const_data_ptr<T>();
}

template <class T>
Tensor product(const Tensor& x, const Tensor& weight, const Tensor* bias, const Tensor* residual, bool gated) {
  const int64_t rows = x.size(0), n = x.size(1), outputs = weight.size(0), kept = gated ? outputs / 2 : outputs;
  auto out = at::empty({rows, kept}, x.options());
  // Kept from call to call: the allocator's own book-keeping costs more than a small product.
  thread_local std::vector<float> wide, sums;
  sums.resize(rows * outputs);
  const float* in = nullptr;
  if constexpr (std::is_same_v<T, float>) {
    in = x.const_data_ptr<float>();
  } else {
    wide.assign(x.const_data_ptr<T>(), x.const_data_ptr<T>() + rows * n);
    in = wide.data();
  }
  float* to = sums.data();
  const T* weights = weight.const_data_ptr<T>();
  const int64_t pairs = (outputs + 1) / 2, grain = std::max<int64_t>(1, GRAIN / (2 * n));
  at::parallel_for(0, pairs, grain, [&](int64_t begin, int64_t end) {
    stretch_of(rows, in, weights, n, 2 * begin, std::min(2 * end, outputs), to, outputs);
  });
  for (int64_t row = 0; row < rows; ++row) {
    float* sum = to + row * outputs;
    if (gated) swiglu(sum, sum + kept, kept);
    const T* added = residual == nullptr ? nullptr : values<T>(residual) + row * kept;
    finish_of(sum, gated ? nullptr : values<T>(bias), added, kept, out.template mutable_data_ptr<T>() + row * kept);
  }
  return out;
}

}  // namespace

extern "C" {

// `x Wᵀ + bias + residual`; gated, the first half of the outputs is a gate: `silu(gate) * rest`.
Tensor* ai_energy_product(const Tensor* x, const Tensor* weight, const Tensor* bias, const Tensor* residual, int gated,
                          char** error) {
  return guarded(error, [&] {
    for (const Tensor* tensor : {x, weight, bias, residual}) check_step(tensor, *x);
    TORCH_CHECK(x->dim() == 2 && weight->dim() == 2 && x->size(1) == weight->size(1), "a product's widths do not fit");
    TORCH_CHECK(x->size(0) > 0 && x->size(0) <= MOST_ROWS, "a product of so many rows is not for this function");
    const int64_t outputs = weight->size(0), kept = gated ? outputs / 2 : outputs;
    TORCH_CHECK(!gated || (outputs % 2 == 0 && bias == nullptr), "a gate has no bias here, and as many outputs as the rest");
    TORCH_CHECK(bias == nullptr || bias->numel() == outputs, "a bias does not fit");
    TORCH_CHECK(residual == nullptr || residual->numel() == x->size(0) * kept, "what is added does not fit");
    if (x->scalar_type() == at::kFloat) return product<float>(*x, *weight, bias, residual, gated != 0);
    TORCH_CHECK(x->scalar_type() == at::kBFloat16, "a product of this format is not for this function");
    return product<at::BFloat16>(*x, *weight, bias, residual, gated != 0);
  });
}

}  // extern "C"
