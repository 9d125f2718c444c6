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
//      hand_over(d, c, word): d leaves its stack for c's, and c inherits d's resumer: what c suspends with
//      goes straight there. This is what makes delegation cost the same at any depth.
//
// A context is a place to leave notes, not a stack: suspend(c, ...) may be called from a deeper stack than
// the one c was first entered on (a coroutine that c's own code has resumed), and resume(c, ...) then goes on
// there. An event loop parks a task with all the generators it is in the midst of this way.

#include "krait/detail/config.hpp"
#include "krait/detail/exception_state.hpp"
#include "krait/detail/registers.hpp"
#include "krait/detail/sanitizers.hpp"
#include "krait/stack.hpp"

#if defined(KRAIT_NATIVE)
#include "krait/detail/native_x86_64.hpp"
#else
#include "krait/detail/fcontext.hpp"
#endif

namespace krait::detail {

/// Two flows of control, of which one has been left: the coroutine (`own`) or, while that runs, its resumer
/// (`caller`). own.resume_at is null while there is nothing to resume: the coroutine runs or has finished.
struct alignas(64) context {
  registers caller;
  registers own;
  stack_identity caller_stack;
  stack_identity own_stack;

  bool resumable() const noexcept { return own.resume_at != nullptr; }
};

/// The stack pointer of the caller, good enough to tell which stack it runs on.
[[gnu::always_inline]] inline const void* current_stack_pointer() noexcept {
#if defined(__x86_64__)
  const void* sp;
  asm volatile("movq %%rsp, %0" : "=r"(sp));
  return sp;
#else
  return __builtin_frame_address(0);
#endif
}

inline namespace KRAIT_BACKEND {

/// A jump with the sanitizers told, but exceptions not looked after.
[[gnu::always_inline]] inline void* announced_jump(registers& save, stack_identity& from,
                                                   const registers& load, const stack_identity& to,
                                                   void* target, void* word) noexcept {
  switch_announcement announcement(&from, to);
  word = jump(save, load, target, word);
  announcement.returned();
  return word;
}

/// The rare case: this stack is left inside a handler, or while it unwinds.
[[gnu::noinline, gnu::cold]] inline void* jump_with_exceptions(registers& save, stack_identity& from,
                                                               const registers& load,
                                                               const stack_identity& to, void* target,
                                                               void* word) noexcept {
  const exception_state mine = set_exceptions_aside();
  word = announced_jump(save, from, load, to, target, word);
  put_exceptions_back(mine);
  return word;
}

[[gnu::always_inline]] inline void* leave(registers& save, stack_identity& from, const registers& load,
                                          const stack_identity& to, void* target, void* word) noexcept {
  if (exceptions_active()) [[unlikely]] {
    return jump_with_exceptions(save, from, load, to, target, word);
  }
  return announced_jump(save, from, load, to, target, word);
}

/// Runs `self`, which must be resumable, until it suspends or finishes, and returns the word it did so with.
[[gnu::always_inline]] inline void* resume(context& self, void* word) noexcept {
  void* const target = self.own.resume_at;
  self.own.resume_at = nullptr;
  return leave(self.caller, self.caller_stack, self.own, self.own_stack, target, word);
}

/// Goes back to the resumer, and returns the word of the next resume.
[[gnu::always_inline]] inline void* suspend(context& self, void* word) noexcept {
  return leave(self.own, self.own_stack, self.caller, self.caller_stack, self.caller.resume_at, word);
}

/// Suspends `self`, which runs here, and runs `heir` with self's resumer as its own. Returns when somebody
/// resumes `self` (or hands over to it), with their word.
inline void* hand_over(context& self, context& heir, void* word) noexcept {
  heir.caller = self.caller;
  heir.caller_stack = self.caller_stack;
  void* const target = heir.own.resume_at;
  heir.own.resume_at = nullptr;
  return leave(self.own, self.own_stack, heir.own, heir.own_stack, target, word);
}

/// The last switch away from a stack: to the resumer. Afterwards the stack may be freed.
[[noreturn]] inline void finish(context& self, void* word) noexcept {
  switch_announcement announcement(nullptr, self.caller_stack);
  jump_for_good(self.caller, self.caller.resume_at, word);
}

/// The last switch away from a stack: `heir` goes on, with self's resumer as its own.
[[noreturn]] inline void finish_into(context& self, context& heir, void* word) noexcept {
  heir.caller = self.caller;
  heir.caller_stack = self.caller_stack;
  void* const target = heir.own.resume_at;
  heir.own.resume_at = nullptr;
  switch_announcement announcement(nullptr, heir.own_stack);
  jump_for_good(heir.own, target, word);
}

/// Makes `self` resumable: the first resume calls `entry`, which must not return, with a reference to
/// self.caller, the first member of `self`. `top` must be 16-byte aligned and lie within `memory`.
inline void prepare(context& self, const stack& memory, void* top, void (*entry)(registers&)) noexcept {
  self.own_stack = sanitizers_acquire(memory);
  prepare(self.own, self.caller, top, static_cast<std::size_t>(static_cast<std::byte*>(top) - memory.limit),
          entry);
}

}  // namespace KRAIT_BACKEND
}  // namespace krait::detail
