// What tch does not bind: oneDNN's linear layer over weights that were laid out once for it, and inference mode.
//
// Operators are looked up by name when they are first wanted, so that a libtorch without oneDNN still loads; each function
// then says so. No exception leaves this file: an error comes back as text that the caller frees.

#include <ATen/ATen.h>
#include <ATen/core/List.h>
#include <ATen/core/dispatch/Dispatcher.h>
#include <c10/core/CachingDeviceAllocator.h>
#include <c10/core/InferenceMode.h>
#include <torch/headeronly/version.h>

#include <cstdint>
#include <cstring>
#include <exception>
#include <optional>
#include <string_view>

#include "guard.h"

namespace {

using at::Tensor;
using Bias = std::optional<Tensor>;
using Text = std::string_view;

using Reorder = Tensor(const Tensor&, std::optional<int64_t>);
using Pointwise = Tensor(const Tensor&, const Tensor&, const Bias&, Text, c10::List<std::optional<at::Scalar>>,
                         std::optional<Text>);
using Binary = Tensor(const Tensor&, const Tensor&, const Tensor&, const Bias&, Text);

template <class Signature>
c10::TypedOperatorHandle<Signature> find(const char* name, const char* overload) {
  return c10::Dispatcher::singleton().findSchemaOrThrow(name, overload).typed<Signature>();
}

Bias optional(const Tensor* bias) { return bias == nullptr ? Bias() : Bias(*bias); }

}  // namespace

extern "C" {

Tensor* ai_energy_prepack(const Tensor* weight, char** error) {
  return guarded(error, [&] {
    return find<Reorder>("mkldnn::_reorder_linear_weight", "").call(*weight, std::nullopt);
  });
}

Tensor* ai_energy_linear(const Tensor* input, const Tensor* weight, const Tensor* bias, const char* activation,
                         const char* algorithm, char** error) {
  return guarded(error, [&] {
    static const auto op = find<Pointwise>("mkldnn::_linear_pointwise", "");
    static const auto no_scalars = c10::List<std::optional<at::Scalar>>();
    auto how = algorithm == nullptr ? std::optional<Text>() : std::optional<Text>(algorithm);
    return op.call(*input, *weight, optional(bias), activation, no_scalars, how);
  });
}

Tensor* ai_energy_linear_binary(const Tensor* input, const Tensor* other, const Tensor* weight, const Tensor* bias,
                                const char* operation, char** error) {
  return guarded(error, [&] {
    static const auto op = find<Binary>("mkldnn::_linear_pointwise", "binary");
    return op.call(*input, *other, *weight, optional(bias), operation);
  });
}

// Free bytes, bytes in all, and the most that libtorch held at once, of a CUDA device.
int ai_energy_gpu_memory(int index, uint64_t* figures, char** error) {
  try {
    auto* allocator = at::getDeviceAllocator(c10::kCUDA);
    const auto [free, total] = allocator->getMemoryInfo(static_cast<c10::DeviceIndex>(index));
    const auto stats = allocator->getDeviceStats(static_cast<c10::DeviceIndex>(index));
    figures[0] = free;
    figures[1] = total;
    figures[2] = static_cast<uint64_t>(stats.allocated_bytes[0].peak);
    return 1;
  } catch (const std::exception& problem) {
    *error = strdup(problem.what());
  } catch (...) {
    *error = strdup("unknown exception");
  }
  return 0;
}

const char* ai_energy_torch_version() { return TORCH_VERSION; }

void* ai_energy_inference_enter() { return new c10::InferenceMode(true); }

void ai_energy_inference_leave(void* guard) { delete static_cast<c10::InferenceMode*>(guard); }

}  // extern "C"
