// No exception leaves the C++ files: an error comes back as text that the caller frees.

#pragma once

#include <ATen/ATen.h>

#include <cstring>
#include <exception>

// Runs something; `false` leaves the error's text.
template <class Compute>
bool attempted(char** error, Compute compute) {
  try {
    compute();
    return true;
  } catch (const std::exception& problem) {
    *error = strdup(problem.what());
  } catch (...) {
    *error = strdup("unknown exception");
  }
  return false;
}

// The result of a computation on the heap, or nothing and the error's text.
template <class Compute>
at::Tensor* guarded(char** error, Compute compute) {
  at::Tensor* result = nullptr;
  attempted(error, [&] { result = new at::Tensor(compute()); });
  return result;
}

// What every tensor that these files read must be: in the processor's memory, in one piece, of one of three formats, and of
// its companions'. Absent ones pass.
inline void check_step(const at::Tensor* tensor, const at::Tensor& like) {
  if (tensor == nullptr) return;
  TORCH_CHECK(tensor->is_cpu() && tensor->is_contiguous(), "a step's tensors must lie in one piece in the processor's memory");
  TORCH_CHECK(tensor->scalar_type() == like.scalar_type(), "a step's tensors must be of one format");
  const auto format = tensor->scalar_type();
  TORCH_CHECK(format == at::kFloat || format == at::kBFloat16 || format == at::kHalf, "a step's tensors are not of this format");
}
