// SPDX-License-Identifier: BSL-1.0
#pragma once

// The context layer: the only one that knows a machine. Stacks are switched here and nowhere else.
//
//      resumer's stack                         coroutine's stack
//      ---------------                         -----------------
//      resume(c, word) ----------------------> first time: entry(c)
//                                              later: suspend() returns word
//      resume() returns word <---------------- suspend(c, word)
//                      <---------------------- finish(c, word)           never comes back
//
// A context is a place to leave notes, not a stack: suspend(c, ...) may be called from a deeper stack than
// the one c was first entered on (a coroutine that c's own code has resumed), and resume(c, ...) then goes on
// there. An event loop parks a task with all the generators it is in the midst of this way.

#include <cstddef>
#include <utility>

#include "krait/detail/config.hpp"
#include "krait/detail/switch/exception_state.hpp"
#include "krait/detail/switch/machine.hpp"
#include "krait/detail/switch/registers.hpp"
#include "krait/detail/switch/sanitizers.hpp"
#include "krait/detail/switch/word.hpp"
#include "krait/stack.hpp"

#if defined(KRAIT_NATIVE)
#include "krait/detail/switch/native.hpp"
#else
#include "krait/detail/switch/fcontext.hpp"
#endif

namespace krait::detail {

/// Two flows of control, of which one has been left: the coroutine (`own`) or, while that runs, its resumer
/// (`caller`). own.resume_at is null while there is nothing to resume: the coroutine runs or has finished.
///
/// `caller` comes first: who is entered is handed its address, and knows by that which context it is. The
/// first line of the cache is what a switch needs, the second is for what derives from a context and needs
/// something with every switch. With many coroutines, an item costs as much as the lines it touches.
struct alignas(64) context {
  registers caller;
  registers own;
  stack_identities* identities;  ///< of both; with them lies what else is rarely used

  explicit context(stack_identities& known) noexcept : identities(&known) {}

  bool resumable() const noexcept { return own.resume_at != nullptr; }
};

template <side which>
inline constexpr std::size_t offset_of =
    which == side::own ? offsetof(context, own) : offsetof(context, caller);

static_assert(offset_of<side::caller> == 0, "context_of() relies on it");

/// Whose `caller` it is.
inline context& context_of(registers& caller) noexcept {
  return reinterpret_cast<context&>(caller);
}

inline namespace KRAIT_BACKEND {

/// A jump with the sanitizers told, but exceptions not looked after.
template <side save, side load>
[[gnu::always_inline]] inline arrival announced_jump(context& self, void* target, word sent) noexcept {
  switch_announcement announcement(&self.identities->of<save>(), self.identities->of<load>());
  const arrival back = jump<offset_of<save>, offset_of<load>>(&self, &self, target, sent.bits());
  announcement.returned();
  return back;
}

/// The rare case: this stack is left inside a handler, or while it unwinds. Hidden: another module's would
/// find the exception state for that module only.
template <side save, side load>
[[gnu::noinline, gnu::cold, gnu::visibility("hidden")]] arrival jump_with_exceptions(context& self,
                                                                                     void* target,
                                                                                     word sent) noexcept {
  const exception_state mine = set_exceptions_aside();
  const arrival back = announced_jump<save, load>(self, target, sent);
  put_exceptions_back(mine);
  return back;
}

/// Leaves here, to be continued through one side of `self`, and continues the other at `target`.
template <side save, side load>
[[gnu::always_inline]] inline arrival leave(context& self, void* target, word sent) noexcept {
  if (exceptions_active()) [[unlikely]] {
    return jump_with_exceptions<save, load>(self, target, sent);
  }
  return announced_jump<save, load>(self, target, sent);
}

/// Runs `self`, which must be resumable, until it suspends or finishes, and returns the word it did so with.
/// `self` is the same afterwards, but out of a register that the jump leaves it in: nobody need keep it.
[[gnu::always_inline]] inline word resume(context*& self, word sent) noexcept {
  void* const target = std::exchange(self->own.resume_at, nullptr);
  const arrival back = leave<side::caller, side::own>(*self, target, sent);
  self = static_cast<context*>(back.from);
  return word::from_bits(back.word);
}
[[gnu::always_inline]] inline word resume(context& self, word sent) noexcept {
  context* resumed = &self;
  return resume(resumed, sent);
}

/// Goes back to the resumer, and returns the word of the next resume.
[[gnu::always_inline]] inline word suspend(context& self, word sent) noexcept {
  return word::from_bits(leave<side::own, side::caller>(self, self.caller.resume_at, sent).word);
}

/// The last switch away from a stack: to the resumer. Afterwards the stack may be freed.
[[noreturn, gnu::always_inline]] inline void finish(context& self, word sent) noexcept {
  void* const bits = sent.bits();  // AddressSanitizer may have `sent` where nothing is after the announcement
  switch_announcement announcement(nullptr, self.identities->caller);
  jump_for_good(self.caller, self.caller, self.caller.resume_at, bits);
}

/// Makes `self` resumable: the first resume calls `entry`, which must not return, with a reference to
/// self.caller, the first member of `self`. `top` must be 16-byte aligned and lie within `memory`.
/// Returns what sanitizers_release() is to be told in the end.
inline void* prepare(context& self, const stack& memory, void* top, void (*entry)(registers&)) noexcept {
  prepare(self.own, self.caller, top, static_cast<std::size_t>(static_cast<std::byte*>(top) - memory.limit),
          entry);
  return sanitizers_acquire(memory, self.identities->own);
}

}  // namespace KRAIT_BACKEND
}  // namespace krait::detail
