// SPDX-License-Identifier: BSL-1.0
#pragma once

// What generators and coroutines have in common: the protocol but for what starts it, and what can be asked.

#include <cstddef>
#include <exception>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>

#include "krait/detail/config.hpp"
#include "krait/detail/forward.hpp"
#include "krait/detail/frame/owner.hpp"
#include "krait/inspect.hpp"
#include "krait/stack.hpp"

namespace krait::detail {

/// What can be thrown, as what is thrown.
template <class Exception>
std::exception_ptr to_exception_ptr(Exception&& exception) {
  if constexpr (std::is_convertible_v<Exception, std::exception_ptr>) {
    return std::forward<Exception>(exception);
  } else {
    return std::make_exception_ptr(std::forward<Exception>(exception));
  }
}

inline namespace KRAIT_BACKEND {

/// The public base of whoever owns a frame. `Handle`: what the frame itself is.
template <class Handle, class Return, kind which>
class resumable {
  using Yield = typename Handle::yield_type;
  using Send = typename Handle::send_type;

 protected:
  using owner_type = owner<Handle, Return, which>;

 public:
  using yield_type = Yield;
  using send_type = Send;
  using return_type = Return;
  using step_type = typename owner_type::step_type;
  using close_type = typename owner_type::close_type;

  /// Raises `exception`, a std::exception_ptr or an exception itself, at the pending `yield` or in what is
  /// awaited, and runs on to the next. Python: `g.throw(exception)`.
  ///
  /// Throws as next(). Before the start and after the end nothing of the body runs: it is closed, and
  /// `exception` itself comes out (but a coroutine that has ended throws runtime_error). type_error if it is
  /// null.
  template <class Exception>
  Yield throw_(Exception&& exception) {
    return owner_type::yielded(owner_.raise(to_exception_ptr(std::forward<Exception>(exception))));
  }

  /// Raises generator_exit at the pending `yield` or in what is awaited, then in the body, for all to clean
  /// up and end. Returns what the body returned, if it did: in a std::optional, unless Return is one. Python:
  /// `g.close()`.
  ///
  /// Throws runtime_error `generator ignored GeneratorExit` if the body yields instead; it stays suspended
  /// there, and usable. Whatever else leaves the body comes out.
  close_type close() { return owner_.close(); }

  /// As next(), send() and throw_(), but the end is a result and no exception. Python: PyIter_Send.
  KRAIT_ALWAYS_INLINE step_type resume() { return owner_type::stepped(owner_.advance()); }

  template <class S = Send>
    requires(!std::is_void_v<S>)
  KRAIT_ALWAYS_INLINE step_type resume(std::type_identity_t<S> value) {
    return owner_type::stepped(owner_.advance_with_value(value));
  }

  template <class Exception>
  step_type resume_with(Exception&& exception) {
    return owner_type::stepped(owner_.raise(to_exception_ptr(std::forward<Exception>(exception))));
  }

  /// Python: inspect.getgeneratorstate(g), inspect.getcoroutinestate(c).
  generator_state state() const { return owner_.checked().state(); }
  bool running() const { return state() == generator_state::running; }
  bool suspended() const { return state() == generator_state::suspended; }
  bool done() const { return state() == generator_state::closed; }

  /// What the body returned; null if it has not. Stays valid until this is moved to or destroyed. A Return
  /// that cannot be copied is no longer here after next(), send(), throw_() or close() have delivered it.
  const Return* result() const
    requires(!std::is_void_v<Return>)
  {
    const auto& result = owner_type::result_of(owner_.checked());
    return result.has_value() ? &*result : nullptr;
  }

  /// How many bytes of its stack this has used at the deepest, with its frame and captures: what of
  /// stack_options::size it takes, but for the up to 1 KiB that spreads stacks. Found by looking for what is
  /// not zero, so never less than was written to; but a stack that is used again shows its former users, too,
  /// unless KRAIT_STACK_USED=exact is in the environment (then each stack is cleared before it is used, which
  /// takes time), or it is of a source of one's own. Asked while it runs, it is what it has been so far.
  std::size_t stack_used() const { return used_of(owner_.checked().rest().memory); }

  /// Python: `g.__name__`.
  std::string_view name() const { return owner_.checked().rest().name; }

  /// Throws std::bad_alloc.
  void set_name(std::string_view name) { owner_.checked().rename(name); }

  /// "<generator object NAME at 0x...>". Python: repr(g).
  std::string repr() const { return owner_.checked().repr(); }

 protected:
  template <class Body>
  resumable(stack_source* source, Body&& body, const char* name)
      : owner_(source, std::forward<Body>(body), name) {}
  resumable(resumable&&) noexcept = default;
  resumable& operator=(resumable&&) = default;
  ~resumable() = default;

  owner_type owner_;

 private:
  friend access;
};

}  // namespace KRAIT_BACKEND
}  // namespace krait::detail
