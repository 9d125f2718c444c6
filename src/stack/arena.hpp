// SPDX-License-Identifier: BSL-1.0
#pragma once

// Where all stacks are, for those who may take no lock: the handler of stack overflows, and a debugger, which
// finds the list by the name of the symbol `krait_arenas`.
//
//      krait_arenas -> arena -> arena -> ... -> null        grows at its head; nothing is ever unlinked
//
//      base   [guard|size][guard|size] ... [guard|size]     slots; the first `used` have been handed out
//
//      a slot [guard|    stack    |the address of the frame that lives here, or null|colour]
//                   ^limit        ^top                                       (stack_in(), below)
//
// A record is complete before it is linked. Later only `base` and `used` change: when a pool is destroyed its
// records are dead, that is without a base, until another pool needs an arena of the same shape.

#include <cstddef>

#include "krait/stack.hpp"

namespace krait::detail {

/// All members are words.
struct arena {
  std::byte* base;   ///< null: dead
  std::size_t used;  ///< slots that hold, or held, a stack
  std::size_t slots;
  std::size_t guard;  ///< bytes
  std::size_t size;   ///< bytes
  arena* next;
  const void* pool;  ///< the owner's; null: gone, though stacks are still in use

  std::size_t stride() const noexcept { return guard + size; }

  bool same_shape(const arena& other) const noexcept {
    return slots == other.slots && guard == other.guard && size == other.size;
  }

  /// The tops of neighbours lie at different offsets in their pages: at the same one, they would all compete
  /// for the same sets of the cache. Above each is a whole line of the cache, as tops are aligned so.
  stack stack_in(std::size_t slot) const noexcept {
    const std::size_t colour = slot % 16 * 64;
    return {base + slot * stride() + guard, size - colour - 64};
  }
};

}  // namespace krait::detail

extern "C" {
extern krait::detail::arena* krait_arenas;
}
