// SPDX-License-Identifier: BSL-1.0
#pragma once

// A frame moves onto a stack, where dump_generators(), debuggers and the reports of overflows find it, and
// moves out again.

#include <cstddef>
#include <cstdint>

#include "krait/detail/config.hpp"
#include "krait/detail/frame/errors.hpp"
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

/// The frame on whose stack an address lies; null: there is none. Looks at all stacks.
const frame* frame_around(const void* address) noexcept;

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

inline namespace KRAIT_BACKEND {

/// Where a frame is going to live: at the top of a new stack, which is given back unless it moves in.
class site {
 public:
  /// Throws what the source throws; value_error if it gives too small a stack, or one that is not aligned.
  site(stack_source* source, std::size_t size, std::size_t alignment)
      : source_(source), memory_(allocate_stack(source)) {
    // For the body's own frames. Closing it takes nearly 4 KiB, if that is the first exception of the process.
    constexpr std::size_t least_room = 8192;
    const std::size_t overhead = alignment + size + least_room;
    const auto top = reinterpret_cast<std::uintptr_t>(memory_.top());
    if (memory_.size < overhead || top % 16 != 0) [[unlikely]] {
      release_stack(memory_, source_);
      throw_unusable_stack(overhead, memory_);
    }
    place_ = memory_.top() - size - (top - size) % alignment;
  }
  site(const site&) = delete;
  site& operator=(const site&) = delete;
  ~site() {
    if (place_ != nullptr) [[unlikely]] {
      release_stack(memory_, source_);
    }
  }

  void* place() const noexcept { return place_; }

  /// `self`, made here, moves in. Throws std::bad_alloc: then it has not.
  void settle(frame& self, kind which, const char* name, void (*entry)(registers&),
              void (*leave)(frame&) noexcept) {
    rarely_used& rest = self.rest();
    self.room = static_cast<std::size_t>(place_ - memory_.limit);
    rest.kind = which;
    rest.name = name;
    rest.memory = memory_;
    rest.source = source_;
    rest.leave = leave;
    enlist(self);
    rest.fiber = prepare(self, memory_, place_, entry);
    place_ = nullptr;
  }

 private:
  stack_source* source_;
  stack memory_;
  std::byte* place_;
};

}  // namespace KRAIT_BACKEND

}  // namespace krait::detail
