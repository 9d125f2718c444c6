// SPDX-License-Identifier: BSL-1.0
#pragma once

// Who lives on a stack. A pool keeps a word above each of its stacks for the address of its resident, so
// there is no list to keep: who wants to know who is alive looks at each stack. What a resident is, stacks do
// not know: it introduces itself. A generator's frame is one; others are lodgers, which the lowest bit of the word says.

#include <cstddef>
#include <cstdint>
#include <string>

#include "krait/stack.hpp"

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

/// A resident that is no frame: it belongs to a layer above that of frames.
struct lodger {
  struct manners {
    /// As introduce() below.
    std::size_t (*introduce)(const lodger& self, char* text, std::size_t size) noexcept;
    /// What it is doing; empty: there is nothing to tell of it.
    std::string (*state)(const lodger& self);
    /// While it runs, the stack to which its thread goes back: for LeakSanitizer.
    stack (*waits_for)(const lodger& self) noexcept;
  };

  const manners* has;
  stack memory;  ///< where it lives
};

inline void move_in(std::byte* top, const lodger& resident) noexcept {
  move_in(top, reinterpret_cast<const void*>(reinterpret_cast<std::uintptr_t>(&resident) + 1));
}

/// Null: it is a frame.
inline const lodger* as_lodger(const void* resident) noexcept {
  const auto word = reinterpret_cast<std::uintptr_t>(resident);
  return (word & 1) == 0 ? nullptr : reinterpret_cast<const lodger*>(word - 1);
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
