// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cstddef>

namespace krait::detail {

/// What is kept of a flow of control that has been left, and all that is needed to go on with it. Nobody
/// else's registers are saved: the code that leaves declares them clobbered, so the compiler spills what is
/// live.
///
/// The first two words are a frame record as frame-pointer walkers expect it (caller's frame pointer, return
/// address). asm/x86_64_sysv.S and docs/internals.md rely on this order. fcontext uses `resume_at` for its
/// fcontext_t, and two other words as noted in detail/fcontext.hpp.
struct registers {
  void* frame_pointer = nullptr;
  void* resume_at = nullptr;  ///< where to continue; null: there is nothing to continue
  void* stack_pointer = nullptr;
  void* base = nullptr;  ///< rbx: LLVM addresses realigned frames by it and does not notice a clobber
};

/// What is known when a jump has come back.
struct arrival {
  void* word;  ///< what was sent
  void*
      from;  ///< what the other side passed as its `load`; fcontext: this side. Within one object, that is the same
};

static_assert(offsetof(registers, frame_pointer) == 0 && offsetof(registers, resume_at) == 8 &&
                  offsetof(registers, stack_pointer) == 16 && offsetof(registers, base) == 24,
              "the assembly names these offsets");

}  // namespace krait::detail
