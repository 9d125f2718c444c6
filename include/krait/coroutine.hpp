// SPDX-License-Identifier: BSL-1.0
#pragma once

// Coroutine objects: what `async def` makes. They are generators' frames with other manners: no loop
// runs over one, its body awaits instead of yielding, it can be driven to its end once, and to forget
// it is worth a warning.
//
//      driver                     outer                      inner                   manual_sleep
//        | send() --------------->| co.await(inner()) ------>| co.await(sleep) ----->|
//        |<------------------------------------------------------------ yield(...) --|
//        | send(v) ------------------------------------------------ returned there ->|
//
// `await` is `yield.from`: however deep the chain, whoever drives the outermost coroutine talks to the
// innermost awaitable, at the cost of one switch.

#include <memory>
#include <string>
#include <type_traits>
#include <utility>

#include "krait/awaitable.hpp"
#include "krait/detail/body.hpp"
#include "krait/detail/config.hpp"
#include "krait/detail/forward.hpp"
#include "krait/detail/resumable.hpp"
#include "krait/stack.hpp"
#include "krait/yielder.hpp"

namespace krait {

namespace detail {

/// A coroutine's body as that of a generator.
template <class Handle, class Body>
struct awaiting_body {
  Body body;

  template <class Yielder>
  decltype(auto) operator()(Yielder& yield) {
    Handle co(yield);
    return body(co);
  }
};

}  // namespace detail

inline namespace KRAIT_BACKEND {

template <class Yield, class Send, class Return>
class coroutine_wrapper;

/// A function that awaits, not yet run to its end: driven by `send()`, or awaited by another one.
/// Python: a coroutine object, typing.Coroutine[Yield, Send, Return], with `void` for None.
///
/// * Yield: what those yield that are awaited in it, in the end an awaitable_generator or an `await()`.
/// * Send: what its driver sends, and those receive.
/// * Return: what it returns to whoever awaits it; a driver receives it in a stop_iteration<Return>.
///
/// Made from a callable that takes an `awaiter<Yield, Send>&`; none of it runs before the first
/// `send()` or `await`. Move-only, and not iterable. It may be resumed by any thread, but by one at a
/// time. It runs to its end once: afterwards, whatever would resume it throws runtime_error `cannot
/// reuse already awaited coroutine`. While it runs (called by its own body), everything throws
/// value_error `coroutine already executing`, and after it was moved from, value_error; all these
/// change nothing.
///
/// Dropped before it has started, it warns that it was never awaited (set_warning_hook). Dropped while
/// suspended, it is closed as a generator is.
template <class Yield = void, class Send = void, class Return = void>
class [[nodiscard]] coroutine
    : public detail::resumable<yielder<Yield, Send>, Return, detail::kind::coroutine> {
  using base = detail::resumable<yielder<Yield, Send>, Return, detail::kind::coroutine>;
  using typename base::owner_type;

 public:
  /// Makes a coroutine that will run `body(awaiter)`. `name` as for a generator. Throws what making a
  /// generator throws.
  template <detail::body_of<awaiter<Yield, Send>, Return> Body>
  coroutine(Body&& body, const char* name = __builtin_FUNCTION())  // NOLINT(google-explicit-constructor)
      : base(nullptr, wrapped(std::forward<Body>(body)), name) {}

  /// On a stack from `where`, as for a generator.
  template <stack_choice Stack = stack_options, detail::body_of<awaiter<Yield, Send>, Return> Body>
  coroutine(std::allocator_arg_t, Stack&& where, Body&& body, const char* name = __builtin_FUNCTION())
      : base(&detail::source_of(where), wrapped(std::forward<Body>(body)), name) {}

  coroutine(const coroutine&) = delete;  // it cannot be copied: std::move it, or refer to it
  coroutine(coroutine&&) noexcept = default;
  coroutine& operator=(coroutine&&) = default;

  /// Runs to where something awaited yields, and returns that. Python: `c.send(None)`.
  ///
  /// Throws stop_iteration<Return> when the body returns; what leaves the body; runtime_error
  /// `coroutine raised StopIteration` if that is a stop_iteration; runtime_error if it has ended
  /// before.
  KRAIT_ALWAYS_INLINE Yield send() { return owner_type::yielded(this->owner_.advance()); }

  /// The same, and what is awaited receives `value`. Python: `c.send(value)`.
  ///
  /// Throws as send(); type_error if the coroutine has not started (only None can be sent then).
  template <class S = Send>
    requires(!std::is_void_v<S>)
  KRAIT_ALWAYS_INLINE Yield send(std::type_identity_t<S> value) {
    return owner_type::yielded(this->owner_.advance_with_value(value));
  }

  /// What it is suspended in, as that prints: "<coroutine object NAME at 0x...>", or "<iterator>" of
  /// what is neither coroutine nor generator. Empty if it is not suspended. Python: `c.cr_await`.
  std::string awaiting() const { return this->owner_.checked().delegate_repr(); }

  /// An iterator that drives this coroutine, which must outlive it. Python: `c.__await__()`.
  coroutine_wrapper<Yield, Send, Return> await() & { return coroutine_wrapper<Yield, Send, Return>(*this); }

 private:
  template <detail::misfit<awaiter<Yield, Send>, Return> Body>
  coroutine(Body&& body, const char* = "")  // NOLINT(google-explicit-constructor)
      : coroutine(detail::refused<coroutine, awaiter<Yield, Send>, Return, Body>(body)) {}

  template <class Body>
  static auto wrapped(Body&& body) {
    return detail::awaiting_body<awaiter<Yield, Send>, std::decay_t<Body>>{std::forward<Body>(body)};
  }
};

/// Drives a coroutine as an iterator does: for what is to be awaitable by handing on to a coroutine.
/// Python: coroutine_wrapper, what a coroutine's `__await__()` returns.
///
/// It refers to the coroutine. Its functions are the coroutine's; there may be several of one.
/// Move-only.
template <class Yield, class Send, class Return>
class coroutine_wrapper {
 public:
  using return_type = Return;

  explicit coroutine_wrapper(coroutine<Yield, Send, Return>& wrapped) noexcept
      : wrapped_(std::addressof(wrapped)) {}
  coroutine_wrapper(coroutine_wrapper&&) noexcept = default;
  coroutine_wrapper& operator=(coroutine_wrapper&&) noexcept = default;

  Yield next() { return wrapped_->send(); }
  Yield send() { return wrapped_->send(); }
  template <class S = Send>
    requires(!std::is_void_v<S>)
  Yield send(std::type_identity_t<S> value) {
    return wrapped_->send(std::move(value));
  }
  template <class Exception>
  Yield throw_(Exception&& exception) {
    return wrapped_->throw_(std::forward<Exception>(exception));
  }
  auto close() { return wrapped_->close(); }

 private:
  coroutine<Yield, Send, Return>* wrapped_;
};

}  // namespace KRAIT_BACKEND
}  // namespace krait
