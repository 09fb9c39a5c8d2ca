// Memory for what is read over and over: weights, keys and values.
//
// The allocator's memory lies in pages of 4 KiB. A step walks through all of it, so that each page is looked up anew, and the
// processor's look-ahead stops at its end: large pages gave a sixth more bytes a second where it was measured. The system
// gives them to those who ask for whole ones, so tensors are put side by side into pieces of many.

#include <ATen/ATen.h>

#include <algorithm>
#include <cstdlib>
#include <memory>
#include <new>

#if defined(__linux__)
#include <sys/mman.h>
#endif

#include "guard.h"

namespace {

using at::Tensor;

constexpr size_t LARGE_PAGE = size_t{2} << 20;
constexpr size_t PIECE = size_t{64} << 20;
// As libtorch aligns tensors, and whole cache lines.
constexpr size_t ALIGNMENT = 64;

size_t rounded(size_t bytes, size_t to) { return (bytes + to - 1) / to * to; }

// Some memory of zeros that many tensors share; it goes with the last of them.
struct Piece {
  char* memory = nullptr;
  size_t size = 0, used = 0;

#if defined(__linux__)
  explicit Piece(size_t bytes) : size(rounded(bytes, LARGE_PAGE)) {
    void* all = mmap(nullptr, size + LARGE_PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (all == MAP_FAILED) throw std::bad_alloc();
    const auto start = reinterpret_cast<size_t>(all), aligned = rounded(start, LARGE_PAGE);
    if (aligned != start) munmap(all, aligned - start);
    const size_t rest = start + LARGE_PAGE - aligned;
    memory = reinterpret_cast<char*>(aligned);
    if (rest > 0) munmap(memory + size, rest);
    // Where the system refuses, small pages do.
    madvise(memory, size, MADV_HUGEPAGE);
  }
  ~Piece() { munmap(memory, size); }
#else
  explicit Piece(size_t bytes) : size(bytes), memory(static_cast<char*>(std::calloc(bytes + ALIGNMENT, 1))) {
    if (memory == nullptr) throw std::bad_alloc();
    used = rounded(reinterpret_cast<size_t>(memory), ALIGNMENT) - reinterpret_cast<size_t>(memory);
    size += used;
  }
  ~Piece() { std::free(memory); }
#endif
  Piece(const Piece&) = delete;
  Piece& operator=(const Piece&) = delete;
};

struct Room {
  std::shared_ptr<Piece> piece;

  // Zeros in the form of a tensor.
  Tensor take(at::IntArrayRef sizes, const at::TensorOptions& options) {
    size_t bytes = options.dtype().itemsize();
    for (int64_t size : sizes) bytes *= static_cast<size_t>(size);
    bytes = rounded(std::max<size_t>(bytes, 1), ALIGNMENT);
    if (piece == nullptr || piece->size - piece->used < bytes) piece = std::make_shared<Piece>(std::max(bytes, PIECE));
    char* place = piece->memory + piece->used;
    piece->used += bytes;
    return at::from_blob(place, sizes, [kept = piece](void*) {}, options);
  }
};

}  // namespace

extern "C" {

void* ai_energy_room_new() { return new Room(); }

void ai_energy_room_delete(void* room) { delete static_cast<Room*>(room); }

// Zeros of a tensor's form and format.
Tensor* ai_energy_room_take(void* room, const Tensor* like, char** error) {
  return guarded(error, [&] {
    TORCH_CHECK(like->is_cpu(), "this memory is the processor's");
    return static_cast<Room*>(room)->take(like->sizes(), like->options());
  });
}

}  // extern "C"
