// What tch does not bind: inference mode, the memory of a GPU, the version.

#include <ATen/ATen.h>
#include <c10/core/CachingDeviceAllocator.h>
#include <c10/core/InferenceMode.h>
#include <torch/headeronly/version.h>

#include <cstdint>

#include "guard.h"

extern "C" {

// Free bytes, bytes in all, and the most that libtorch held at once, of a CUDA device.
int ai_energy_gpu_memory(int index, uint64_t* figures, char** error) {
  return attempted(error, [&] {
    auto* allocator = at::getDeviceAllocator(c10::kCUDA);
    const auto [free, total] = allocator->getMemoryInfo(static_cast<c10::DeviceIndex>(index));
    const auto stats = allocator->getDeviceStats(static_cast<c10::DeviceIndex>(index));
    figures[0] = free;
    figures[1] = total;
    figures[2] = static_cast<uint64_t>(stats.allocated_bytes[0].peak);
  });
}

const char* ai_energy_torch_version() { return TORCH_VERSION; }

void* ai_energy_inference_enter() { return new c10::InferenceMode(true); }

void ai_energy_inference_leave(void* guard) { delete static_cast<c10::InferenceMode*>(guard); }

}  // extern "C"
