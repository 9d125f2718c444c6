// SPDX-License-Identifier: BSL-1.0
#pragma once

// Asio takes the memory for what it keeps of a handler from that handler's allocator, and gives it back before it calls
// the handler. So whoever has one at a time need not ask for memory.

#include <cstddef>
#include <new>

namespace krait::asyncio::detail {

/// Memory for handlers, one at a time, within what they are of.
class handler_memory {
 public:
  void* allocate(std::size_t size) {
    if (!taken_ && size <= sizeof(place_)) {
      taken_ = true;
      return place_;
    }
    return ::operator new(size);
  }
  void deallocate(void* at) noexcept {
    if (at == place_) {
      taken_ = false;
    } else {
      ::operator delete(at);
    }
  }

 private:
  alignas(std::max_align_t) std::byte place_[256];
  bool taken_ = false;
};

template <class T>
struct handler_allocator {
  using value_type = T;
  handler_memory* memory;

  explicit handler_allocator(handler_memory& from) noexcept : memory(&from) {}
  template <class U>
  handler_allocator(const handler_allocator<U>& other) noexcept  // NOLINT(google-explicit-constructor)
      : memory(other.memory) {}

  T* allocate(std::size_t count) {
    static_assert(alignof(T) <= alignof(std::max_align_t));
    return static_cast<T*>(memory->allocate(count * sizeof(T)));
  }
  void deallocate(T* at, std::size_t) noexcept { memory->deallocate(at); }
  template <class U>
  bool operator==(const handler_allocator<U>& other) const noexcept {
    return memory == other.memory;
  }
};

}  // namespace krait::asyncio::detail
