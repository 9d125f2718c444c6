// SPDX-License-Identifier: BSL-1.0
#pragma once

// `yield.from`: PEP 380, in three forms.
//
// * A generator given away has no other owner, so it joins the delegator's chain (frame.hpp): what it yields
//   goes straight to the root's resumer, and the delegator is not heard of until the delegate ends or
//   generator_exit is to be raised in the delegator.
// * A generator that is lent may be advanced by others too, so each item is fetched and passed on.
// * Anything with next(), and ranges, likewise.

#include <concepts>
#include <exception>
#include <memory>
#include <optional>
#include <ranges>
#include <type_traits>
#include <typeinfo>
#include <utility>

#include "krait/detail/config.hpp"
#include "krait/detail/forward.hpp"
#include "krait/detail/frame/chain.hpp"
#include "krait/detail/frame/errors.hpp"
#include "krait/detail/frame/owner.hpp"
#include "krait/exceptions.hpp"
#include "krait/none.hpp"

namespace krait::detail {

/// Duck typing, as PEP 380 has it: anything with a `next()`. It ends by throwing stop_iteration; with a
/// member `return_type`, the value of a stop_iteration<return_type> is what the delegation evaluates to.
template <class T>
concept next_iterator = !is_generator<std::remove_cvref_t<T>> && requires(T& object) { object.next(); };

template <class T>
struct return_type_of : std::type_identity<void> {};
template <class T>
  requires requires { typename T::return_type; }
struct return_type_of<T> : std::type_identity<typename T::return_type> {};

/// Can a delegate's items and a delegator's sends be passed by address, as they are? It has to hold between
/// any two frames of a chain, as what is sent to the root goes to the leaf: so below a frame that is sent
/// nothing there are only such.
template <class Y, class S, class DelegateY, class DelegateS>
concept passes_through =
    std::same_as<Y, DelegateY> && (std::is_void_v<DelegateS> || std::same_as<S, DelegateS>);

/// Does what an optional holds convert, though the optional does not?
template <class S, class To>
inline constexpr bool holds_convertible = false;
template <class T, class To>
inline constexpr bool holds_convertible<std::optional<T>, To> =
    !std::convertible_to<std::optional<T>, To> && std::convertible_to<T, To>;

/// Can what is sent to a delegator be sent on?
template <class S, class DelegateS>
concept can_send_on =
    std::is_void_v<DelegateS> || (std::is_void_v<S> && has_none<DelegateS>) ||
    (!std::is_void_v<S> && (std::convertible_to<S, DelegateS> || holds_convertible<S, DelegateS>));

/// What is sent on of what was sent and is not None.
template <class DelegateS, class S>
DelegateS sent_on(S& sent) {
  if constexpr (holds_convertible<S, DelegateS>) {
    return static_cast<DelegateS>(std::move(*sent));
  } else {
    return static_cast<DelegateS>(std::move(sent));
  }
}

/// What was sent, or what it holds.
template <bool as_it_is, class S>
auto& part_sent(S& sent) {
  if constexpr (as_it_is) {
    return sent;
  } else {
    return *sent;
  }
}

/// Has T such a member, whatever it takes? (Not asked of templates and overloads.)
template <class T>
concept has_member_send = requires { &T::send; };
template <class T>
concept has_member_throw = requires { &T::throw_; };

/// Can a delegate's items be yielded on?
template <class Y, class DelegateY>
constexpr bool can_yield_on() {
  if constexpr (std::is_void_v<Y> || std::is_void_v<DelegateY>) {
    return has_none<Y>;
  } else {
    return std::is_constructible_v<Y, DelegateY>;
  }
}

/// A delegate's item as what its delegator yields, or that is made of.
template <class Y, class DelegateY>
decltype(auto) passed_on(word item) {
  if constexpr (!std::is_void_v<DelegateY>) {
    return item.as<DelegateY>();
  } else if constexpr (!std::is_void_v<Y>) {
    return none_traits<Y>::none();
  }
}

/// A container, whose elements are const where it is; not a view of what belongs to others. Given away, its
/// elements are moved out of it.
template <class Range>
concept owns_elements =
    !std::ranges::view<Range> && !std::ranges::borrowed_range<Range> && std::ranges::range<const Range> &&
    std::is_const_v<std::remove_reference_t<std::ranges::range_reference_t<const Range>>>;

/// What a delegation evaluates to that a stop_iteration ends.
template <class R>
R value_of_stop([[maybe_unused]] stop_iteration<>& stop) {
  if constexpr (!std::is_void_v<R>) {
    if (std::optional<R> value = stop_value::take<R>(stop)) {
      return std::move(*value);
    }
    return none_or_throw<R>();
  }
}

/// The same of an exception; throws any other.
template <class R>
R value_of_stop(std::exception_ptr exception) {
  try {
    std::rethrow_exception(std::move(exception));
  } catch (stop_iteration<>& stop) {
    return value_of_stop<R>(stop);
  }
}

/// Holds an item between the delegate that made it and the `yield` that passes it on: where it is no object
/// of the delegate's already.
template <class Y>
class item_slot {
  using object = std::remove_reference_t<Y>;
  static constexpr bool never_holds = (std::is_lvalue_reference_v<Y> && !std::is_const_v<object>) ||
                                      !std::is_destructible_v<object> || std::is_abstract_v<object>;

 public:
  template <class Make>
  word fill(Make make) {
    using fetched = decltype(make());
    if constexpr (std::is_reference_v<Y> && std::is_reference_v<fetched> &&
                  std::is_convertible_v<fetched, Y> &&
                  std::is_convertible_v<std::remove_reference_t<fetched>*, object*>) {
      fetched&& item = make();
      object& base = item;
      return word::of(base);
    } else {
      static_assert(!never_holds, "yield.from, await: there is no object that this item could refer to");
      item_.emplace(make());
      return word::of(*item_);
    }
  }

 private:
  std::conditional_t<never_holds, char, std::optional<std::remove_cv_t<object>>> item_{};
};

template <>
class item_slot<void> {
 public:
  template <class Make>
  word fill(Make make) {
    make();
    return word::of(*this);
  }
};

inline namespace KRAIT_BACKEND {

/// What a frame that yields Yield and is sent Send was resumed with, as the value of its `yield`.
template <class Send>
KRAIT_ALWAYS_INLINE inline Send received(frame& self, word sent) {
  if (sent.raises()) [[unlikely]] {
    raise_pending(self);
  }
  if constexpr (!std::is_void_v<Send>) {
    if constexpr (has_none<Send>) {
      if (sent.is_none()) {
        return none_traits<Send>::none();
      }
    }
    return sent.as<Send>();
  }
}

/// Has somebody sent a value that is not None?
template <class Send>
bool is_sent(word sent) noexcept {
  return !sent.is_none() && !is_none(sent.as<Send&>());
}

/// Suspends `self` with an item of a delegate's, as what it yields itself. Returns what it is resumed with.
template <class Yield, class DelegateYield>
word pass_on(frame& self, word item) {
  if constexpr (std::same_as<Yield, DelegateYield>) {
    return yield_word(self, item);
  } else {
    // Converted where it is, as the result may refer to it.
    item_slot<Yield> slot;
    return yield_word(self,
                      slot.fill([&]() -> decltype(auto) { return passed_on<Yield, DelegateYield>(item); }));
  }
}

/// To a generator or coroutine that others may own.
template <class Yield, class Send, class Handle, class Return, kind which>
Return delegate_to_lent(frame& self, owner<Handle, Return, which>& inner) {
  using Y = typename Handle::yield_type;
  using S = typename Handle::send_type;
  static_assert(can_send_on<Send, S>,
                "yield.from, await: what is sent to this generator or coroutine cannot be sent on to what it "
                "delegates to or awaits: make its Send the same");
  static_assert(can_yield_on<Yield, Y>(),
                "yield.from, await: what is delegated to or awaited yields what this generator or coroutine "
                "cannot yield: make its Yield the same");
  static_cast<void>(inner.checked());
  const delegation_scope scope(self, inner.place());

  // What this generator was resumed with, sent on.
  const auto advance = [&](word sent) {
    if constexpr (std::is_void_v<S> || std::is_void_v<Send>) {
      return inner.advance();
    } else {
      if (!is_sent<Send>(sent)) {
        return inner.advance();
      }
      if constexpr (std::same_as<Send, S>) {
        return inner.advance_with_value(sent.as<Send&>());
      } else {
        S value = sent_on<S>(sent.as<Send&>());
        return inner.advance_with_value(value);
      }
    }
  };

  auto came = inner.advance();
  for (;;) {
    if (came.ended()) {
      // Else somebody else has been told, or nobody is there any more.
      const bool fresh = came.of->end_untold && !came.of->orphaned;
      inner.take_end(*came.of);
      return inner.delegated_value(*came.of, fresh);
    }
    const word sent = pass_on<Yield, Y>(self, came.item);
    if (!sent.raises()) {
      came = advance(sent);
      continue;
    }
    std::exception_ptr thrown = take_thrown(self);
    if (thrown == nullptr || is_generator_exit(thrown)) {
      static_cast<void>(inner.close());
      raise_pending(self, std::move(thrown));
    }
    if (inner.checked().state() == generator_state::closed) {
      check_reuse(inner.checked());
      // Its throw_() would raise just that, and a stop_iteration that is raised here ends the delegation.
      return value_of_stop<Return>(std::move(thrown));
    }
    came = inner.raise(std::move(thrown));
  }
}

/// To a generator or coroutine given away.
template <class Yield, class Send, class Handle, class Return, kind which>
Return delegate_to_given(frame& self, owner<Handle, Return, which>& given) {
  using Y = typename Handle::yield_type;
  using S = typename Handle::send_type;
  frame& child = given.checked();
  check_stack(self);
  if (child.state() == generator_state::running) {
    throw_already_executing(child);
  }
  if constexpr (!has_none<S>) {
    if (child.state() == generator_state::suspended) {
      throw_cannot_send_none(child);
    }
  }
  owner<Handle, Return, which> owned = std::move(given);

  if constexpr (!passes_through<Yield, Send, Y, S>) {
    return delegate_to_lent<Yield, Send>(self, owned);
  } else {
    if (child.state() == generator_state::closed) {
      return owned.delegated_value(child, false);
    }
    self.attach_delegate(child, owned.place());
    const word sent = resume(child, nullptr);
    self.rest().delegate = nullptr;
    if (sent.raises()) {
      // generator_exit, given or new; raise_exit() has made `owned` a root of its own again.
      std::exception_ptr thrown = take_thrown(self);
      static_cast<void>(owned.close());
      raise_pending(self, std::move(thrown));
    }
    owned.take_end(child);
    if constexpr (!std::is_void_v<Return>) {
      return std::move(*owned.result_of(child));
    }
  }
}

/// To an object with next().
template <class Yield, class Send, class T>
auto delegate_to_iterator(frame& self, T& iterator) -> typename return_type_of<std::remove_cvref_t<T>>::type {
  using object = std::remove_cvref_t<T>;
  using result_type = typename return_type_of<object>::type;
  check_stack(self);
  const delegation_scope scope(self, frameless_delegate);
  item_slot<Yield> slot;
  std::conditional_t<std::is_void_v<result_type>, char, std::optional<result_type>> result{};
  word item;

  // Calls the iterator; false if that ended it.
  const auto goes_on = [&](auto operation) {
    try {
      item = operation();
      return true;
    } catch (stop_iteration<>& stop) {
      if constexpr (!std::is_void_v<result_type>) {
        if (auto value = stop_value::take<result_type>(stop)) {
          result.emplace(std::move(*value));
        }
      }
      return false;
    }
  };
  const auto next = [&] { return slot.fill([&]() -> decltype(auto) { return iterator.next(); }); };

  for (bool more = goes_on(next); more;) {
    const word sent = yield_word(self, item);
    if (sent.raises()) {
      std::exception_ptr thrown = take_thrown(self);
      if (thrown == nullptr || is_generator_exit(thrown)) {
        if constexpr (requires { iterator.close(); }) {
          more = goes_on([&] {
            iterator.close();
            return item;
          });
        }
        if (more) {
          raise_pending(self, std::move(thrown));
        }
      } else if constexpr (requires { iterator.throw_(thrown); }) {
        more =
            goes_on([&] { return slot.fill([&]() -> decltype(auto) { return iterator.throw_(thrown); }); });
      } else {
        static_assert(!has_member_throw<object>,
                      "yield.from: the object's throw_() cannot be called with a std::exception_ptr");
        // A stop_iteration raised here ends the delegation, whoever raised it.
        more = goes_on([&]() -> word { std::rethrow_exception(std::move(thrown)); });
      }
      continue;
    }
    if constexpr (!std::is_void_v<Send>) {
      if (is_sent<Send>(sent)) {
        Send& object_sent = sent.as<Send&>();
        // As it is, or what an optional holds.
        constexpr bool as_it_is = requires { iterator.send(std::move(object_sent)); };
        constexpr bool as_held = is_optional<Send> && requires { iterator.send(std::move(*object_sent)); };
        if constexpr (as_it_is || as_held) {
          auto& value = part_sent<as_it_is>(object_sent);
          more = goes_on(
              [&] { return slot.fill([&]() -> decltype(auto) { return iterator.send(std::move(value)); }); });
        } else {
          static_assert(!has_member_send<object>,
                        "yield.from: the object's send() does not take what is sent to this generator");
          throw_has_no_send(typeid(object));
        }
        continue;
      }
    }
    more = goes_on(next);
  }

  if constexpr (!std::is_void_v<result_type>) {
    if (result.has_value()) {
      return std::move(*result);
    }
    return none_or_throw<result_type>();
  }
}

/// To the elements of a range: moved out of it, if it was given away and owns them.
template <class Yield, class Send, class Range>
void delegate_to_range(frame& self, Range&& range) {
  static_assert(
      has_none<Send>,
      "yield.from: a range takes only None, which this generator's Send cannot say: yield its items "
      "one by one, or make Send a std::optional");
  check_stack(self);
  const delegation_scope scope(self, frameless_delegate);
  constexpr bool given_away = !std::is_reference_v<Range> && owns_elements<Range>;
  for (auto&& element : range) {
    item_slot<Yield> slot;
    const word sent = yield_word(self, slot.fill([&]() -> decltype(auto) {
      if constexpr (given_away && !std::is_reference_v<Yield>) {
        return std::move(element);
      } else {
        return std::forward<decltype(element)>(element);
      }
    }));
    if (sent.raises()) {
      try {
        raise_pending(self);
      } catch (const stop_iteration<>&) {
        return;  // ends the delegation, whoever raised it
      }
    }
    if constexpr (!std::is_void_v<Send>) {
      if (is_sent<Send>(sent)) {
        throw_has_no_send(typeid(Range));
      }
    }
  }
}

}  // namespace KRAIT_BACKEND
}  // namespace krait::detail
