// SPDX-License-Identifier: BSL-1.0
#pragma once

// What a generator's body yields with, and delegates.

#include <ranges>
#include <type_traits>
#include <utility>

#include "krait/detail/config.hpp"
#include "krait/detail/delegation.hpp"
#include "krait/detail/forward.hpp"
#include "krait/detail/frame/chain.hpp"
#include "krait/detail/frame/frame.hpp"
#include "krait/none.hpp"

namespace krait {
inline namespace KRAIT_BACKEND {

/// What a generator's body is given: call it to yield. Python: the `yield` keyword.
///
/// It is passed by reference to the body, and by the body to whatever function may want to yield. It belongs
/// to one generator and works only on that generator's stack.
template <class Yield, class Send = void>
class yielder : protected detail::frame {
 public:
  using yield_type = Yield;
  using send_type = Send;

  yielder(const yielder&) = delete;
  yielder& operator=(const yielder&) = delete;

  /// Suspends the generator; `value` is what its resumer receives, without a copy. Returns what is sent:
  /// `send(v)`'s value, or None after `next()`. Python: `yield value`.
  ///
  /// Throws what `throw_` and `close` raise here, and runtime_error when called on another stack than its
  /// generator's.
  template <class Y = Yield>
    requires(!std::is_void_v<Y>)
  KRAIT_ALWAYS_INLINE Send operator()(std::type_identity_t<Y> value) {
    return detail::received<Send>(*this, detail::yield_word(*this, detail::word::of(value)));
  }

  /// Python: `yield`.
  template <class Y = Yield>
    requires std::is_void_v<Y>
  KRAIT_ALWAYS_INLINE Send operator()() {
    return detail::received<Send>(*this, detail::yield_word(*this, detail::word::of(*this)));
  }

  /// Delegates to a generator given away: `yield.from(inner())`. Every item goes straight to the resumer, at
  /// the same cost through any number of such levels. Returns what the generator returned. Python: `yield
  /// from`.
  ///
  /// Throws what leaves the generator; value_error if it is running or was moved from, then it is not taken;
  /// type_error if it had finished, so that there is no value, and Return cannot say None.
  template <class Y, class S, class R>
  R from(generator<Y, S, R>&& given) {
    return detail::delegate_to_given<Yield, Send>(*this, detail::access::owner_of(given));
  }

  /// Delegates to a generator that others keep, and may advance meanwhile. It must outlive the delegation.
  /// Costs one resumption per level and item. Errors as above.
  template <class Y, class S, class R>
  R from(generator<Y, S, R>& inner) {
    detail::check_stack(*this);
    return detail::delegate_to_lent<Yield, Send>(*this, detail::access::owner_of(inner));
  }

  /// Delegates to any object with `next()` and, optionally, `send(v)`, `throw_(std::exception_ptr)` and
  /// `close()`. Returns the value of the stop_iteration that ends it as a T::return_type (void without that
  /// member type); see stop_iteration<>::value_as() on what converts. What is sent goes to `send` as it is,
  /// or as what an optional holds.
  ///
  /// Throws what leaves the object; attribute_error when a value is sent to an object without `send`;
  /// type_error if the value of the end does not convert, or there is none and return_type cannot say None.
  template <class T>
    requires detail::next_iterator<T>
  auto from(T&& iterator) -> typename detail::return_type_of<std::remove_cvref_t<T>>::type {
    return detail::delegate_to_iterator<Yield, Send>(*this, iterator);
  }

  // clang-format off
  template <class Y, class S, class R>
  void from(const generator<Y, S, R>& inner) = delete;  // a const generator cannot be advanced: if a lambda has captured it, make that mutable
  // clang-format on
  template <class Y, class S, class R>
  void from(coroutine<Y, S, R>&& given) = delete;  // a coroutine is awaited, or delegated to by its await()
  template <class Y, class S, class R>
  void from(coroutine<Y, S, R>& given) = delete;  // a coroutine is awaited, or delegated to by its await()

  /// Yields every element of a range.
  template <std::ranges::input_range Range>
    requires(!detail::is_generator<std::remove_cvref_t<Range>> && !detail::next_iterator<Range>)
  void from(Range&& range) {
    detail::delegate_to_range<Yield, Send>(*this, std::forward<Range>(range));
  }

 protected:
  explicit yielder(void* place) noexcept : frame(place) {}
  ~yielder() = default;

 private:
  friend detail::access;
};

}  // namespace KRAIT_BACKEND
}  // namespace krait
