// SPDX-License-Identifier: BSL-1.0
#pragma once

// Who lives on a stack. A pool keeps a word above each of its stacks for the address of its resident, so
// there is no list to keep: who wants to know who is alive looks at each stack. What a resident is, stacks do
// not know: it introduces itself.

#include <cstddef>

namespace krait::detail {

/// The word above a stack that ends at `top`.
inline const void*& resident_above(std::byte* top) noexcept {
  return *reinterpret_cast<const void**>(top);
}

inline void move_in(std::byte* top, const void* resident) noexcept {
  __atomic_store_n(&resident_above(top), resident, __ATOMIC_RELEASE);
}
inline void move_out(std::byte* top) noexcept {
  __atomic_store_n(&resident_above(top), nullptr, __ATOMIC_RELAXED);
}

/// Null: nobody.
inline const void* resident_of(std::byte* top) noexcept {
  return __atomic_load_n(&resident_above(top), __ATOMIC_ACQUIRE);
}

/// Writes "<generator object NAME at 0x...>" or the like into `text`, of which there are `size` bytes, and
/// returns how many that took; what is too long is cut. Takes no lock and no memory, as a signal handler
/// asks. For the layer that puts residents on stacks to define (src/frame/frame.cpp).
std::size_t introduce(const void* resident, char* text, std::size_t size) noexcept;

}  // namespace krait::detail
