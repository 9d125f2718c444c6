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

#include <concepts>
#include <exception>
#include <memory>
#include <ranges>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>

#include "krait/generator.hpp"
#include "krait/warnings.hpp"

namespace krait {
inline namespace KRAIT_BACKEND {

template <class Yield, class Send, class Return>
class awaitable_generator;
template <class Yield, class Send>
class awaiter;

}  // namespace KRAIT_BACKEND

namespace detail {

template <class T>
inline constexpr bool is_coroutine = false;
template <class Y, class S, class R>
inline constexpr bool is_coroutine<coroutine<Y, S, R>> = true;

template <class T>
inline constexpr bool is_awaitable_generator = false;
template <class Y, class S, class R>
inline constexpr bool is_awaitable_generator<awaitable_generator<Y, S, R>> = true;
template <class Y, class S, class R>
inline constexpr bool is_generator<awaitable_generator<Y, S, R>> = true;

/// krait's own awaitables, which need no iterator: they are told in which frame they are awaited.
template <class T>
concept awaits_itself = std::is_void_v<typename std::remove_cvref_t<T>::awaits_itself>;

/// A function by the same name as the member that asks for it hides others.
namespace free_function {
template <class T>
requires requires(T&& object) {
  await(std::forward<T>(object));
}
decltype(auto) call_await(T&& object) {
  return await(std::forward<T>(object));
}
}  // namespace free_function

template <class T>
concept has_await = requires(T&& object) {
  std::forward<T>(object).await();
}
|| requires(T&& object) {
  free_function::call_await(std::forward<T>(object));
};

/// What an object's `await()` gives.
template <class T>
decltype(auto) call_await(T&& object) {
  if constexpr (requires { std::forward<T>(object).await(); }) {
    return std::forward<T>(object).await();
  } else {
    return free_function::call_await(std::forward<T>(object));
  }
}

template <class T>
concept can_be_delegated_to =
    is_generator<std::remove_cvref_t<T>> || next_iterator<T> || std::ranges::input_range<T>;

template <class T>
struct dependent_false : std::false_type {};

}  // namespace detail

/// Can be awaited: a coroutine, a generator marked as awaitable, or an object with a member `await()`
/// (or a free function of that name, found by argument-dependent lookup) that gives a generator, an
/// object with `next()`, or a range. Python: collections.abc.Awaitable.
template <class T>
concept awaitable = detail::is_coroutine<std::remove_cvref_t<T>> ||
    detail::is_awaitable_generator<std::remove_cvref_t<T>> || detail::awaits_itself<T> ||
    (detail::has_await<T>&& requires(T&& object) {
      requires detail::can_be_delegated_to<decltype(detail::call_await(std::forward<T>(object)))>;
    });

inline namespace KRAIT_BACKEND {

/// What a coroutine's body is given: its `await`. It is passed by reference to whatever function may
/// want to await.
///
/// Made from a generator's yielder it lets that generator await too. Python: a function marked by
/// types.coroutine may `yield from` coroutines.
template <class Yield, class Send = void>
class awaiter {
 public:
  explicit awaiter(yielder<Yield, Send>& yield) noexcept : yield_(yield) {}
  awaiter(const awaiter&) = delete;
  awaiter& operator=(const awaiter&) = delete;

  /// Waits for `object`: what it yields goes to whoever drives this coroutine, and what they send or
  /// throw goes to it. Returns what it returned. A coroutine or generator given away (`co.await(f())`)
  /// costs the same at any depth; by reference, one resumption per level. Python: `await object`.
  ///
  /// Throws what leaves the object. Of a coroutine: runtime_error `coroutine is being awaited already`
  /// if it is suspended, `cannot reuse already awaited coroutine` if it has ended, value_error if it is
  /// running or was moved from; then it is not taken. runtime_error when called on another stack than
  /// its coroutine's.
  template <class T>
  decltype(auto) await(T&& object) {
    using type = std::remove_cvref_t<T>;
    if constexpr (detail::is_coroutine<type>) {
      return yield_.from(std::forward<T>(object).to_await());
    } else if constexpr (detail::is_awaitable_generator<type>) {
      return yield_.from(std::forward<T>(object));
    } else if constexpr (detail::awaits_itself<T>) {
      return std::forward<T>(object).await_in(yield_);
    } else if constexpr (detail::has_await<T>) {
      using made = decltype(detail::call_await(std::forward<T>(object)));
      static_assert(
          !detail::is_coroutine<std::remove_cvref_t<made>>,
          "await: the object's await() returned a coroutine: return an iterator of it, `c.await()`");
      static_assert(
          detail::is_coroutine<std::remove_cvref_t<made>> || detail::can_be_delegated_to<made>,
          "await: the object's await() returned a non-iterator: a generator, an object with next() or a "
          "range is wanted");
      return yield_.from(detail::call_await(std::forward<T>(object)));
    } else {
      static_assert(
          detail::dependent_false<T>(),
          "await: this object can't be awaited: it is no coroutine, no awaitable_generator, and has no "
          "await(); a plain generator is not awaitable");
    }
  }

 private:
  yielder<Yield, Send>& yield_;
};

}  // namespace KRAIT_BACKEND

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

/// A generator marked as awaitable, in all else a generator: how a value gets out to whoever drives a
/// chain of coroutines. Python: a generator function decorated with types.coroutine.
///
///     krait::awaitable_generator<std::string> manual_sleep(int seconds) {
///       return [seconds](auto& yield) { yield("wait for " + std::to_string(seconds) + " seconds"); };
///     }
template <class Yield, class Send = void, class Return = void>
class [[nodiscard]] awaitable_generator : public generator<Yield, Send, Return> {
 public:
  using generator<Yield, Send, Return>::generator;
  explicit awaitable_generator(generator<Yield, Send, Return>&& given) noexcept
      : generator<Yield, Send, Return>(std::move(given)) {}
};

/// An iterator marked as awaitable: to await it is to delegate to what it holds. Made by
/// as_awaitable().
template <class Iterator>
class awaitable_iterator {
 public:
  explicit awaitable_iterator(Iterator&& iterator) : iterator_(std::forward<Iterator>(iterator)) {}

  std::remove_reference_t<Iterator>& await() noexcept { return iterator_; }

 private:
  Iterator iterator_;
};

/// Marks what can be delegated to (a generator, an object with `next()`, a range) as awaitable: what is
/// given away is kept, of an lvalue a reference. What is awaitable already is returned as it is.
/// Python: types.coroutine, for what a function returns.
template <class T>
requires(awaitable<T> || detail::can_be_delegated_to<T>) decltype(auto) as_awaitable(T&& object) {
  if constexpr (awaitable<T>) {
    return static_cast<T>(std::forward<T>(object));
  } else if constexpr (detail::is_generator<T>) {
    return awaitable_generator<typename T::yield_type, typename T::send_type, typename T::return_type>(
        std::forward<T>(object));
  } else {
    return awaitable_iterator<T>(std::forward<T>(object));
  }
}

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
class [[nodiscard]] coroutine {
  using generator_type = generator<Yield, Send, Return>;

 public:
  using yield_type = Yield;
  using send_type = Send;
  using return_type = Return;
  using step_type = typename generator_type::step_type;
  using close_type = typename generator_type::close_type;

  /// Makes a coroutine that will run `body(awaiter)`. `name` as for a generator. Throws what making a
  /// generator throws.
  template <detail::body_of<awaiter<Yield, Send>, Return> Body>
  coroutine(Body&& body, const char* name = __builtin_FUNCTION())  // NOLINT(google-explicit-constructor)
      : generator_(wrapped(std::forward<Body>(body)), name) {
    mark();
  }

  /// On a stack from `where`, as for a generator.
  template <stack_choice Stack = stack_options, detail::body_of<awaiter<Yield, Send>, Return> Body>
  coroutine(std::allocator_arg_t, Stack&& where, Body&& body, const char* name = __builtin_FUNCTION())
      : generator_(std::allocator_arg, std::forward<Stack>(where), wrapped(std::forward<Body>(body)), name) {
    mark();
  }

  /// Runs to where something awaited yields, and returns that. Python: `c.send(None)`.
  ///
  /// Throws stop_iteration<Return> when the body returns; what leaves the body; runtime_error
  /// `coroutine raised StopIteration` if that is a stop_iteration; runtime_error if it has ended
  /// before.
  Yield send() { return checked().next(); }

  /// The same, and what is awaited receives `value`. Python: `c.send(value)`.
  ///
  /// Throws as send(); type_error if the coroutine has not started (only None can be sent then).
  template <class S = Send>
  requires(!std::is_void_v<S>) Yield send(std::type_identity_t<S> value) {
    return checked().send(std::move(value));
  }

  /// Raises `exception` in what is awaited. Python: `c.throw(exception)`.
  ///
  /// Throws as send(). Before the start nothing of the body runs: the coroutine is closed, and
  /// `exception` comes out.
  Yield throw_(std::exception_ptr exception) { return checked().throw_(std::move(exception)); }

  template <class Exception>
  requires(!std::convertible_to<Exception, std::exception_ptr>) Yield throw_(Exception&& exception) {
    return throw_(std::make_exception_ptr(std::forward<Exception>(exception)));
  }

  /// Raises generator_exit in what is awaited, then in the body, for all to clean up and end. Returns
  /// what the body returned, if it did, as generator::close(). Not an error on a coroutine that has ended.
  /// Python: `c.close()`.
  ///
  /// Throws runtime_error `coroutine ignored GeneratorExit` if something yields instead. What else
  /// leaves the body comes out.
  close_type close() { return checked().close(); }

  /// As send() and throw_(), but the end is a result and no exception.
  step_type resume() { return checked().resume(); }

  template <class S = Send>
  requires(!std::is_void_v<S>) step_type resume(std::type_identity_t<S> value) {
    return checked().resume(std::move(value));
  }

  step_type resume_with(std::exception_ptr exception) { return checked().resume_with(std::move(exception)); }

  template <class Exception>
  requires(!std::convertible_to<Exception, std::exception_ptr>) step_type resume_with(Exception&& exception) {
    return resume_with(std::make_exception_ptr(std::forward<Exception>(exception)));
  }

  /// Python: inspect.getcoroutinestate(c).
  generator_state state() const { return checked().state(); }
  bool running() const { return checked().running(); }
  bool suspended() const { return checked().suspended(); }
  bool done() const { return checked().done(); }

  /// As generator::result().
  const Return* result() const requires(!std::is_void_v<Return>) { return checked().result(); }

  /// What it is suspended in, as that prints: "<coroutine object NAME at 0x...>", or "<iterator>" of
  /// what is neither coroutine nor generator. Empty if it is not suspended. Python: `c.cr_await`.
  std::string awaiting() const { return checked().delegate_repr(); }

  /// As generator::stack_used().
  std::size_t stack_used() const { return checked().stack_used(); }

  std::string_view name() const { return checked().name(); }
  /// Throws std::bad_alloc.
  void set_name(std::string_view name) { checked().set_name(name); }
  /// "<coroutine object NAME at 0x...>". Python: repr(c).
  std::string repr() const { return checked().repr(); }

  /// An iterator that drives this coroutine, which must outlive it. Python: `c.__await__()`.
  coroutine_wrapper<Yield, Send, Return> await() & { return coroutine_wrapper<Yield, Send, Return>(*this); }

 private:
  template <detail::misfit<awaiter<Yield, Send>, Return> Body>
  coroutine(Body&& body, const char* = "")  // NOLINT(google-explicit-constructor)
      : coroutine(detail::refused<coroutine, awaiter<Yield, Send>, Return, Body>(body)) {}

  template <class, class>
  friend class awaiter;

  template <class Body>
  static auto wrapped(Body&& body) {
    return detail::awaiting_body<awaiter<Yield, Send>, std::decay_t<Body>>{std::forward<Body>(body)};
  }

  void mark() noexcept { generator_.set_kind(detail::kind::coroutine); }

  generator_type& checked() {
    generator_.check_moved_from(detail::kind::coroutine);
    return generator_;
  }
  const generator_type& checked() const {
    generator_.check_moved_from(detail::kind::coroutine);
    return generator_;
  }

  /// The generator to delegate to. A coroutine is awaited from its beginning.
  generator_type& to_await() & {
    switch (checked().state()) {
      case generator_state::suspended:
        detail::throw_being_awaited();
      case generator_state::closed:
        detail::throw_cannot_reuse_coroutine();
      case generator_state::running:  // yield.from() says so
      case generator_state::created:
        break;
    }
    return generator_;
  }
  generator_type&& to_await() && { return std::move(to_await()); }

  generator_type generator_;
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
  requires(!std::is_void_v<S>) Yield send(std::type_identity_t<S> value) {
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

template <class Y, class S, class R>
inline constexpr bool std::ranges::enable_view<krait::awaitable_generator<Y, S, R>> = true;
