// What a step's layers consist of, read once from the tensors that describe them and checked against each other.

#pragma once

#include <ATen/ATen.h>

#include <algorithm>
#include <cstdint>
#include <vector>

#include "decode.h"
#include "kernels.h"

namespace whole_step {

using at::Tensor;

inline std::vector<float> floats(const Tensor* tensor) {
  if (tensor == nullptr) return {};
  const Tensor wide = tensor->to(at::kFloat).contiguous();
  const float* first = wide.const_data_ptr<float>();
  return {first, first + wide.numel()};
}

struct Norm {
  std::vector<float> weight, bias;
  float eps = 0;
  bool layer = false;

  Norm() = default;
  explicit Norm(const NormParts& parts)
      : weight(floats(parts.weight)), bias(floats(parts.bias)), eps(static_cast<float>(parts.eps)), layer(parts.layer_norm != 0) {}

  bool there() const { return !weight.empty(); }

  // Over the last `n` values of each row.
  void apply(const float* x, int64_t rows, int64_t n, float* out) const {
    for (int64_t row = 0; row < rows; ++row, x += n, out += n) {
      if (!there()) {
        std::copy(x, x + n, out);
      } else if (layer) {
        layer_norm_of(x, weight.data(), bias.empty() ? nullptr : bias.data(), eps, n, out);
      } else {
        rms_of(x, weight.data(), eps, n, out);
      }
    }
  }
};

struct Linear {
  Tensor weight;
  std::vector<float> bias;
  int64_t outputs = 0, inputs = 0;

  Linear() = default;
  explicit Linear(const LinearParts& parts) : weight(*parts.weight), bias(floats(parts.bias)) {
    TORCH_CHECK(weight.dim() == 2, "a weight has two axes");
    outputs = weight.size(0);
    inputs = weight.size(1);
    TORCH_CHECK(bias.empty() || static_cast<int64_t>(bias.size()) == outputs, "a bias does not fit");
  }
};

struct Layer {
  Norm before_attention, after_attention, before_feed_forward, after_feed_forward, query_norm, key_norm;
  Linear qkv, output, up, down;
  std::vector<float> sinks;
  int64_t heads, kv_heads, head_dim, window, rope;
  float scale, cap, residual_scale;
  Activation activation;
  bool gated, parallel;

  explicit Layer(const LayerParts& of)
      : before_attention(of.before_attention), after_attention(of.after_attention),
        before_feed_forward(of.before_feed_forward), after_feed_forward(of.after_feed_forward), query_norm(of.query_norm),
        key_norm(of.key_norm), qkv(of.qkv), output(of.output), up(of.up), down(of.down), sinks(floats(of.sinks)),
        heads(of.heads), kv_heads(of.kv_heads), head_dim(of.head_dim), window(of.window), rope(of.rope),
        scale(static_cast<float>(of.scale)), cap(static_cast<float>(of.cap)),
        residual_scale(static_cast<float>(of.residual_scale)), activation(static_cast<Activation>(of.activation)),
        gated(of.gated != 0), parallel(of.parallel != 0) {
    TORCH_CHECK(heads > 0 && kv_heads > 0 && heads % kv_heads == 0, "heads do not share keys evenly");
    TORCH_CHECK(qkv.outputs == (heads + 2 * kv_heads) * head_dim && output.inputs == heads * head_dim, "heads do not fit");
    TORCH_CHECK(output.outputs == qkv.inputs && up.inputs == qkv.inputs && down.outputs == qkv.inputs, "widths do not fit");
    TORCH_CHECK(up.outputs == down.inputs * (gated ? 2 : 1), "widths do not fit");
    TORCH_CHECK(sinks.empty() || static_cast<int64_t>(sinks.size()) == heads, "there is a sink a head");
  }
};

}  // namespace whole_step
