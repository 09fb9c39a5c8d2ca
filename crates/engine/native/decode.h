// What a whole step over one position a row is made of, as the Rust side describes it.

#pragma once

#include <ATen/ATen.h>

#include <cstdint>

extern "C" {

// Pointers that are null mean that the part is not there. The Rust side has the same structures.
struct NormParts {
  const at::Tensor* weight;
  const at::Tensor* bias;
  double eps;
  int64_t layer_norm;
};

struct LinearParts {
  const at::Tensor* weight;
  const at::Tensor* bias;
};

struct LayerParts {
  NormParts before_attention, after_attention, before_feed_forward, after_feed_forward, query_norm, key_norm;
  LinearParts qkv, output, up, down;
  const at::Tensor* sinks;
  // `window` 0 is none; `rope` below 0 is none.
  int64_t heads, kv_heads, head_dim, window, rope;
  double scale, cap, residual_scale;
  int64_t activation, gated, parallel;
};

// Where a step is: keys and values by layer, angles by rope, what hides keys, the place in the cache.
struct StepParts {
  const at::Tensor* x;
  const at::Tensor* const* keys;
  const at::Tensor* const* values;
  const at::Tensor* const* cosines;
  const at::Tensor* const* sines;
  const at::Tensor* mask;
  int64_t layers, ropes, place;
};
}
