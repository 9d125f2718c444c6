// SPDX-License-Identifier: BSL-1.0
#pragma once

// What can be awaited, and what awaits. `await` is `yield.from`: however deep the chain, whoever drives the
// outermost coroutine talks to the innermost awaitable, at the cost of one switch.

#include <concepts>
#include <ranges>
#include <type_traits>
#include <utility>

#include "krait/detail/delegation.hpp"
#include "krait/detail/forward.hpp"
#include "krait/generator.hpp"
#include "krait/yielder.hpp"

namespace krait {

namespace detail {

/// krait's own awaitables, which need no iterator: they are told in which frame they are awaited.
template <class T>
concept awaits_itself = std::is_void_v<typename std::remove_cvref_t<T>::awaits_itself>;

/// A function by the same name as the member that asks for it hides others.
namespace free_function {
template <class T>
  requires requires(T&& object) { await(std::forward<T>(object)); }
decltype(auto) call_await(T&& object) {
  return await(std::forward<T>(object));
}
}  // namespace free_function

template <class T>
concept has_await = requires(T&& object) { std::forward<T>(object).await(); } ||
                    requires(T&& object) { free_function::call_await(std::forward<T>(object)); };

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
concept awaitable =
    detail::is_coroutine<std::remove_cvref_t<T>> || detail::is_awaitable_generator<std::remove_cvref_t<T>> ||
    detail::awaits_itself<T> || (detail::has_await<T> && requires(T&& object) {
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
      auto& owner = detail::access::owner_of(object);
      detail::check_not_begun(owner.checked());
      detail::frame& self = detail::access::frame_of(yield_);
      if constexpr (std::is_lvalue_reference_v<T>) {
        detail::check_stack(self);
        return detail::delegate_to_lent<Yield, Send>(self, owner);
      } else {
        return detail::delegate_to_given<Yield, Send>(self, owner);
      }
    } else if constexpr (detail::is_awaitable_generator<type>) {
      return yield_.from(std::forward<T>(object));
    } else if constexpr (detail::awaits_itself<T>) {
      return std::forward<T>(object).await_in(yield_);
    } else if constexpr (detail::has_await<T>) {
      using iterator_type = decltype(detail::call_await(std::forward<T>(object)));
      static_assert(
          !detail::is_coroutine<std::remove_cvref_t<iterator_type>>,
          "await: the object's await() returned a coroutine: return an iterator of it, `c.await()`");
      static_assert(
          detail::is_coroutine<std::remove_cvref_t<iterator_type>> ||
              detail::can_be_delegated_to<iterator_type>,
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

 protected:
  yielder<Yield, Send>& yield_;
};

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
  requires(awaitable<T> || detail::can_be_delegated_to<T>)
decltype(auto) as_awaitable(T&& object) {
  if constexpr (awaitable<T>) {
    return static_cast<T>(std::forward<T>(object));
  } else if constexpr (detail::is_generator<T>) {
    return awaitable_generator<typename T::yield_type, typename T::send_type, typename T::return_type>(
        std::forward<T>(object));
  } else {
    return awaitable_iterator<T>(std::forward<T>(object));
  }
}

}  // namespace KRAIT_BACKEND
}  // namespace krait

template <class Y, class S, class R>
inline constexpr bool std::ranges::enable_view<krait::awaitable_generator<Y, S, R>> = true;
