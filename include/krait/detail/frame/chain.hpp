// SPDX-License-Identifier: BSL-1.0
#pragma once

// A chain of frames is resumed, yields, grows and shrinks: all that switches stacks is in here. The drawing
// is in frame.hpp.

#include <exception>
#include <utility>

#include "krait/detail/config.hpp"
#include "krait/detail/frame/errors.hpp"
#include "krait/detail/frame/frame.hpp"
#include "krait/detail/switch/context.hpp"
#include "krait/exceptions.hpp"

namespace krait::detail {

/// Takes what is to be raised in `self`, which is its chain's innermost frame: null for a new generator_exit.
inline std::exception_ptr take_thrown(frame& self) noexcept {
  return std::exchange(self.root->rest().exception, nullptr);
}

/// The same, with the generator_exit made.
std::exception_ptr take_pending(frame& self);

#if defined(KRAIT_HAS_ASSEMBLY)
/// Called on the stack of `self`, which is going to raise what is pending. If that is a new generator_exit and nobody
/// would see it (src/frame/dropping.cpp), returns what is to be called instead: rarely_used::leave. Who would is known by
/// this call: so it must stand where the exception is going to be raised.
extern "C" auto krait_way_out(frame& self) -> decltype(rarely_used::leave);
#endif

/// Raises it, on the frame's own stack. Inlined, as every frame that an exception leaves costs as much as ten
/// switches.
[[noreturn]] KRAIT_ALWAYS_INLINE inline void raise_pending(frame& self) {
#if defined(KRAIT_HAS_ASSEMBLY)
  if (const auto leave = krait_way_out(self)) {
    call_for_good(leave, self);
  }
#endif
  std::rethrow_exception(take_pending(self));
}

/// The same of what was taken.
[[noreturn]] inline void raise_pending(frame& self, std::exception_ptr thrown) {
  self.root->rest().exception = std::move(thrown);
  raise_pending(self);
}

/// `self`, which runs, belongs to nobody any more. From the frame that runs up to this one, nobody is to
/// yield again; it frees itself at its end.
void abandon(frame& self) noexcept;

inline namespace KRAIT_BACKEND {

/// Runs a chain until it yields (the yielded object) or has ended (none). Throws value_error if it is
/// running. `self`, its root, is the same afterwards: see resume().
KRAIT_ALWAYS_INLINE inline word advance(frame*& self, word sent) {
  if (!self->resumable()) [[unlikely]] {
    if (self->stage == stage::started) {
      throw_already_executing(*self);
    }
    check_reuse(*self);
    return nullptr;
  }
  context* resumed = self;
  const word came = resume(resumed, sent);
  self = static_cast<frame*>(resumed);
  return came;
}

/// Raises `exception` (null: a new generator_exit) where the chain is suspended.
inline word raise_in_leaf(frame& self, std::exception_ptr exception) noexcept {
  self.rest().exception = std::move(exception);
  return resume(self, word::raise());
}

/// Raises generator_exit (`given`, or a new one) in a suspended generator, after it has closed its delegate.
/// Inlined always, for backtraces: see frame_with_body::enter().
[[gnu::always_inline]] inline word raise_exit(frame& self, std::exception_ptr given = nullptr) noexcept {
  if (frame* const child = self.given_delegate()) {
    self.detach_delegate(*child);
  }
  return raise_in_leaf(self, std::move(given));
}

/// Destroys a body that has not started, with all that it owns, on its own stack: what it owns may be
/// discarded likewise, to any depth. Meanwhile it looks running, and may become an orphan.
inline void discard(frame& self) noexcept {
  self.discarded = true;
  self.stage = stage::started;
  resume(self, nullptr);
}

/// A `yield` or `from` on a stack that is not its frame's, or no longer. Throws, unless its stack is to be
/// left for good.
[[gnu::noinline, gnu::cold]] inline void yield_elsewhere(frame& self) {
  if (!self.evicted_here()) {
    throw_yield_elsewhere();
  }
  if (self.eviction == eviction::due) {
    self.eviction = eviction::raised;
    throw generator_exit();
  }
  report_ignored_while_closing(self, ignored_exit(self));
  for (;;) {
    suspend(*self.root, nullptr);
  }
}

/// To yield or to delegate, one must be on the frame's own stack.
KRAIT_ALWAYS_INLINE inline void check_stack(frame& self) {
  if (!self.runs_here()) [[unlikely]] {
    yield_elsewhere(self);
  }
}

/// Suspends the frame, and so its chain, with what it yields. Returns what it is resumed with.
KRAIT_ALWAYS_INLINE inline word yield_word(frame& self, word yielded) {
  check_stack(self);
  return suspend(*self.root, yielded);
}

}  // namespace KRAIT_BACKEND

/// While alive: `self` delegates to the frame whose address stands at `place`, by reference.
class delegation_scope {
 public:
  delegation_scope(frame& self, frame* const& place) noexcept : self_(self) { self.rest().delegate = &place; }
  ~delegation_scope() { self_.rest().delegate = nullptr; }
  delegation_scope(const delegation_scope&) = delete;
  delegation_scope& operator=(const delegation_scope&) = delete;

 private:
  frame& self_;
};

}  // namespace krait::detail
