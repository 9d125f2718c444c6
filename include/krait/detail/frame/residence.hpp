// SPDX-License-Identifier: BSL-1.0
#pragma once

// A frame moves onto a stack, where dump_generators(), debuggers and the reports of overflows find it, and
// moves out again.

#include "krait/detail/frame/frame.hpp"
#include "krait/detail/resident.hpp"
#include "krait/stack.hpp"

namespace krait::detail {

/// enlist() and delist() for a stack that is not the default pool's: from another pool, or a user's own
/// source.
void enlist_at(frame& self, const stack_source& source);
void delist_from(frame& self, const stack_source& source) noexcept;

/// dump_generators() knows of `self` from now on, or no longer.
inline void enlist(frame& self) {
  if (self.rest().source != nullptr) [[unlikely]] {
    enlist_at(self, *self.rest().source);
  } else {
    move_in(self.rest().memory.top(), &self);
  }
}
inline void delist(frame& self) noexcept {
  if (self.rest().source != nullptr) [[unlikely]] {
    delist_from(self, *self.rest().source);
  } else {
    move_out(self.rest().memory.top());
  }
}

stack allocate_stack_from(stack_source& source);

inline stack allocate_stack(stack_source* source) {
  return source == nullptr ? allocate_default_stack() : allocate_stack_from(*source);
}

/// Gives the memory of a frame, already destroyed, back to where it came from.
inline void release_stack(stack memory, stack_source* source) noexcept {
  if (source == nullptr) [[likely]] {
    deallocate_default_stack(memory);
  } else {
    source->deallocate(memory);
  }
}

}  // namespace krait::detail
