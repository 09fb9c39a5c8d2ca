// No exception leaves the C++ files: an error comes back as text that the caller frees.

#pragma once

#include <ATen/core/Tensor.h>

#include <cstring>
#include <exception>

// The result of a computation on the heap, or nothing and the error's text.
template <class Compute>
at::Tensor* guarded(char** error, Compute compute) {
  try {
    return new at::Tensor(compute());
  } catch (const std::exception& problem) {
    *error = strdup(problem.what());
  } catch (...) {
    *error = strdup("unknown exception");
  }
  return nullptr;
}
