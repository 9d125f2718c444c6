// SPDX-License-Identifier: BSL-1.0
#include "counted_memory.hpp"

#include <atomic>
#include <cstddef>
#include <cstdlib>
#include <limits>
#include <new>

namespace counted_memory {
namespace {

constexpr long never = std::numeric_limits<long>::max();

std::atomic<long> all_taken = 0;
std::atomic<long> all_given = 0;
thread_local long here = 0;
thread_local long first_failing = never;
thread_local long last_failing = never;

void* take(std::size_t size, std::size_t alignment = __STDCPP_DEFAULT_NEW_ALIGNMENT__) {
  ++all_taken;
  ++here;
  size = size == 0 ? 1 : size;
  void* const memory = here >= first_failing && here <= last_failing ? nullptr
                       : alignment <= __STDCPP_DEFAULT_NEW_ALIGNMENT__
                           ? std::malloc(size)
                           : std::aligned_alloc(alignment, (size + alignment - 1) / alignment * alignment);
  if (memory == nullptr) {
    ++all_given;
    throw std::bad_alloc();
  }
  return memory;
}
void give(void* memory) noexcept {
  all_given += memory != nullptr;
  std::free(memory);
}

}  // namespace

long taken() noexcept {
  return all_taken;
}
long blocks() noexcept {
  return all_taken - all_given;
}

shortage::shortage(long n, long more) noexcept {
  first_failing = here + n;
  last_failing = first_failing + more;
}
shortage::~shortage() {
  first_failing = last_failing = never;
}
bool shortage::reached() const noexcept {
  return here >= first_failing;
}

}  // namespace counted_memory

// GCC takes the standard library's operators for those that are called.
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic ignored "-Wmismatched-new-delete"
#endif

void* operator new(std::size_t size) {
  return counted_memory::take(size);
}
void* operator new[](std::size_t size) {
  return counted_memory::take(size);
}
void* operator new(std::size_t size, std::align_val_t alignment) {
  return counted_memory::take(size, static_cast<std::size_t>(alignment));
}
void* operator new[](std::size_t size, std::align_val_t alignment) {
  return counted_memory::take(size, static_cast<std::size_t>(alignment));
}
void operator delete(void* memory) noexcept {
  counted_memory::give(memory);
}
void operator delete[](void* memory) noexcept {
  counted_memory::give(memory);
}
void operator delete(void* memory, std::size_t) noexcept {
  counted_memory::give(memory);
}
void operator delete[](void* memory, std::size_t) noexcept {
  counted_memory::give(memory);
}
void operator delete(void* memory, std::align_val_t) noexcept {
  counted_memory::give(memory);
}
void operator delete[](void* memory, std::align_val_t) noexcept {
  counted_memory::give(memory);
}
void operator delete(void* memory, std::size_t, std::align_val_t) noexcept {
  counted_memory::give(memory);
}
void operator delete[](void* memory, std::size_t, std::align_val_t) noexcept {
  counted_memory::give(memory);
}
