// The arithmetic between two reads of memory that the step's calls share.

#pragma once

#include <ATen/ATen.h>

#include <cstdint>

// Rows of input up to which a matrix is read once for all of them.
constexpr int64_t MOST_ROWS = 4;

// Outputs `begin` to `end` of `rows` rows of `n` values times a matrix [outputs, n]; `out` is [rows, outputs].
void stretch_of(int64_t rows, const float* x, const float* weights, int64_t n, int64_t begin, int64_t end, float* out,
                int64_t outputs);
void stretch_of(int64_t rows, const float* x, const at::BFloat16* weights, int64_t n, int64_t begin, int64_t end, float* out,
                int64_t outputs);

// `silu(gate) * up`, written to where the gate was.
void swiglu(float* gate, const float* up, int64_t n);

// What an activation does to its values. The numbers are the Rust side's.
enum class Activation : int32_t { None = 0, Silu = 1, Gelu = 2, GeluTanh = 3, Relu = 4 };
void activate(Activation how, float* x, int64_t n);

// `x / sqrt(mean(x²) + eps) * weight`, and `(x - mean) / sqrt(variance + eps) * weight + bias`.
void rms_of(const float* x, const float* weight, float eps, int64_t n, float* out);
void layer_norm_of(const float* x, const float* weight, const float* bias, float eps, int64_t n, float* out);

// Value i turns with value i + n / 2; the sines' first half is negative.
void turn_of(const float* x, const float* cosines, const float* sines, int64_t n, float* out);
