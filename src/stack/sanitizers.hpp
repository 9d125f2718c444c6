// SPDX-License-Identifier: BSL-1.0
#pragma once

// What AddressSanitizer and LeakSanitizer must be told about memory that is a stack, or free, or a stack
// again. Decided when the program runs, by what is in it: the library may have been built without a
// sanitizer, and -fsanitize=leak is nothing that a GCC tells the program it compiles. Switches are told of in
// krait/detail/switch/sanitizers.hpp.

#include <cstddef>

#include "krait/stack.hpp"

// Theirs, where they are there. Declared by hand, as their headers may not be.
// NOLINTBEGIN(bugprone-reserved-identifier)
extern "C" {
[[gnu::weak]] void __asan_poison_memory_region(const volatile void* start, std::size_t size);
[[gnu::weak]] void __asan_unpoison_memory_region(const volatile void* start, std::size_t size);
[[gnu::weak]] void __lsan_register_root_region(const void* start, std::size_t size);
[[gnu::weak]] void __lsan_unregister_root_region(const void* start, std::size_t size);
}
// NOLINTEND(bugprone-reserved-identifier)

namespace krait::sanitizers {

/// Is there one that must be told of every stack that is handed out or comes back?
inline bool watching() noexcept {
  return &__asan_poison_memory_region != nullptr || &__lsan_register_root_region != nullptr;
}

/// Does one make frames several times larger?
inline bool with_large_frames() noexcept {
  return &__asan_poison_memory_region != nullptr;
}

/// What lies here may point to what lives.
inline void add_root(const void* start, std::size_t size) noexcept {
  if (&__lsan_register_root_region != nullptr) {
    __lsan_register_root_region(start, size);
  }
}
inline void remove_root(const void* start, std::size_t size) noexcept {
  if (&__lsan_unregister_root_region != nullptr) {
    __lsan_unregister_root_region(start, size);
  }
}

/// Nobody may touch this memory until the next allow().
inline void forbid(const void* start, std::size_t size) noexcept {
  if (&__asan_poison_memory_region != nullptr) {
    __asan_poison_memory_region(start, size);
  }
}
inline void allow(const void* start, std::size_t size) noexcept {
  if (&__asan_unpoison_memory_region != nullptr) {
    __asan_unpoison_memory_region(start, size);
  }
}

}  // namespace krait::sanitizers
