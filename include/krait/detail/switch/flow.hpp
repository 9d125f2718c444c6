// SPDX-License-Identifier: BSL-1.0
#pragma once

// One flow of control, where it was left. A context (context.hpp) is a pair of these, of which one resumes the
// other and is come back to. A scheduler knows no resumers: each flow leaves for whichever is next.
//
//      switch_to(here, there) ------------> `there` goes on, where it was left
//                             <------------ when somebody switches to `here`
//      leave_for_good(there)  ------------> nobody comes back: the stack may be freed
//
// A flow is a place to leave notes, not a stack: whatever stack switch_to() is called on is the one that goes on
// when `here` is switched to. So a task is parked with all the generators that it is in the midst of.

#include <cstddef>

#include "krait/detail/config.hpp"
#include "krait/detail/switch/exception_state.hpp"
#include "krait/detail/switch/registers.hpp"
#include "krait/detail/switch/sanitizers.hpp"
#include "krait/stack.hpp"

#if defined(KRAIT_NATIVE)
#include "krait/detail/switch/native.hpp"
#else
#include "krait/detail/switch/fcontext.hpp"
#endif

namespace krait::detail {

/// Where a flow of control was left, and how the sanitizers know the stack that it was left on. Of a thread's own
/// stack nothing need be known before it is left.
struct flow {
  registers at;
  own_stack_identity known;

  flow() noexcept {}
  flow(const flow&) = delete;
  flow& operator=(const flow&) = delete;
};

inline namespace KRAIT_BACKEND {

[[gnu::always_inline]] inline void announced_switch(flow& from, flow& to) noexcept {
  void* const target = to.at.resume_at;
  switch_announcement announcement(&from.known, to.known);
  jump<0, 0>(&from.at, &to.at, target, nullptr);
  announcement.returned();
}

/// The rare case: this stack is left inside a handler, or while it unwinds. Hidden: see jump_with_exceptions().
[[gnu::noinline, gnu::cold, gnu::visibility("hidden")]] inline void switch_with_exceptions(
    flow& from, flow& to) noexcept {
  const exception_state mine = set_exceptions_aside();
  announced_switch(from, to);
  put_exceptions_back(mine);
}

/// Leaves here, to be continued through `from`, and continues `to`, which has been left or prepared.
[[gnu::always_inline]] inline void switch_to(flow& from, flow& to) noexcept {
  if (exceptions_active()) [[unlikely]] {
    return switch_with_exceptions(from, to);
  }
  announced_switch(from, to);
}

/// Continues `to`, and nobody comes back. `scratch` must outlive this stack: the other side writes to it.
[[noreturn, gnu::always_inline]] inline void leave_for_good(flow& to, registers& scratch) noexcept {
  void* const target = to.at.resume_at;
  switch_announcement announcement(nullptr, to.known);
  jump_for_good(scratch, to.at, target, nullptr);
}

/// Makes `self` such that the first switch to it calls `entry`, which must not return, with a reference to
/// `above`: nobody(), where backtraces end, or a copy of where another flow was left, where they go on; it outlives the flow. `entry` must call
/// sanitizers_entered(self.known) first. `top` must be 16-byte aligned and lie within `memory`. Returns what
/// sanitizers_release() is to be told in the end.
inline void* prepare(flow& self, registers& above, const stack& memory, void* top,
                     void (*entry)(registers&)) noexcept {
  prepare(self.at, above, top, static_cast<std::size_t>(static_cast<std::byte*>(top) - memory.limit), entry);
  return sanitizers_acquire(memory, self.known);
}

}  // namespace KRAIT_BACKEND
}  // namespace krait::detail
