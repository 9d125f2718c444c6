// SPDX-License-Identifier: BSL-1.0
#pragma once

// The other side of every switch in the generated tests: generators and contexts that leave junk in all
// registers before each switch. And the switches themselves with nothing around them, for functions that are
// to call nothing at all.

#include <cstddef>
#include <cstdint>
#include <exception>
#include <krait/krait.hpp>
#include <utility>

#include "machine.hpp"

namespace clobbers {

using generator = krait::generator<long>;
using yielder = krait::yielder<long>;

typedef long long vector16 __attribute__((vector_size(16)));
typedef long long vector32 __attribute__((vector_size(32)));
typedef long long vector64 __attribute__((vector_size(64)));
typedef int vector8 __attribute__((vector_size(8)));

/// What both sides of a switch write to and read, each seeing what the other wrote.
inline long shared_number = 0;

/// Yields for ever, whatever is thrown in; ends when closed.
inline void wrecker(yielder& yield) {
  try {
    for (;;) {
      wreck();
      ++shared_number;
      try {
        yield(1);
      } catch (int) {
        wreck();
      }
    }
  } catch (const krait::generator_exit&) {
    wreck();
    ++shared_number;
    throw;
  }
}

/// Ends after an item.
inline void brief_wrecker(yielder& yield) {
  wreck();
  yield(1);
  wreck();
  ++shared_number;
}

/// A generator that ends when it is next resumed, started where registers were others.
[[gnu::noinline]] inline generator started_wrecker() {
  generator made(&brief_wrecker);
  wreck();
  made.next();
  return made;
}

/// What the bodies of generators found wrong.
inline long wrong_in_body = 0;

/// Runs a body to its end, with junk in all registers whenever it is resumed. Every second resumption throws
/// an int into it, if it is to be thrown at.
inline long drive(void (*body)(yielder&), bool throwing = false) {
  wrong_in_body = 0;
  const std::exception_ptr thrown = throwing ? std::make_exception_ptr(1) : nullptr;
  generator g(body);
  for (bool more = true, turn = false; more; turn = !turn) {
    wreck();
    ++shared_number;
    more = (turn && throwing ? g.resume_with(thrown) : g.resume()).yielded();
    wreck();
  }
  return wrong_in_body;
}

namespace layer = krait::detail;

/// A context with a stack.
class flow : public layer::context {
 public:
  explicit flow(void (*entry)(layer::registers&)) : context(identities_), memory_(pool().allocate()) {
    fiber_ = layer::prepare(*this, memory_, memory_.top(), entry);
  }
  ~flow() {
    layer::sanitizers_release(memory_, fiber_);
    pool().deallocate(memory_);
  }
  flow(const flow&) = delete;
  flow& operator=(const flow&) = delete;

  flow* heir = nullptr;  ///< who goes on when this one ends
  long (*function)(flow& self, flow& other) = nullptr;
  long wrong = 0;
  bool ended = false;

 private:
  static krait::stack_pool& pool() {
    static krait::stack_pool all;
    return all;
  }

  layer::stack_identities identities_;
  const krait::stack memory_;
  void* fiber_;
};

inline flow& entered(layer::registers& caller) noexcept {
  auto& self = static_cast<flow&>(layer::context_of(caller));
  layer::sanitizers_entered(self.identities->own);
  return self;
}

[[gnu::always_inline]] inline void bare_resume(layer::context& self) noexcept {
  layer::announced_jump<layer::side::caller, layer::side::own>(self, self.own.resume_at, nullptr);
}
[[gnu::always_inline]] inline void bare_suspend(layer::context& self) noexcept {
  layer::announced_jump<layer::side::own, layer::side::caller>(self, self.caller.resume_at, nullptr);
}

/// Between records of two objects.
[[gnu::always_inline]] inline void bare_jump(layer::context& from, layer::context& to) noexcept {
  layer::switch_announcement announcement(&from.identities->own, to.identities->own);
  constexpr std::size_t own = layer::offset_of<layer::side::own>;
  layer::jump<own, own>(&from, &to, to.own.resume_at, nullptr);
  announcement.returned();
}

/// Suspends for ever.
inline void suspending_flow(layer::registers& caller) {
  flow& self = entered(caller);
  for (;;) {
    wreck();
    ++shared_number;
    bare_suspend(self);
  }
}

/// Goes to its heir and back, then there for good.
inline void ending_flow(layer::registers& caller) {
  flow& self = entered(caller);
  wreck();
  ++shared_number;
  bare_jump(self, *self.heir);
  wreck();
  ++shared_number;
  layer::switch_announcement announcement(nullptr, self.heir->identities->own);
  layer::jump_for_good(self.caller, self.heir->own, self.heir->own.resume_at, nullptr);
}

/// Runs its function and ends.
inline void calling_flow(layer::registers& caller) {
  flow& self = entered(caller);
  flow other(&ending_flow);
  other.heir = &self;
  self.wrong = self.function(self, other);
  self.ended = true;
  layer::finish(self, nullptr);
}

/// Runs `function` on a stack of its own, with junk in all registers whenever it is resumed. It is given a
/// flow to jump to, twice, which jumps back.
[[gnu::noinline]] inline long on_own_stack(long (*function)(flow& self, flow& other)) {
  flow self(&calling_flow);
  self.function = function;
  while (!self.ended) {
    wreck();
    ++shared_number;
    bare_resume(self);
  }
  return self.wrong;
}

}  // namespace clobbers
