// SPDX-License-Identifier: BSL-1.0
#pragma once

// `yield.from`: PEP 380, in three forms. Included at the end of generator.hpp.
//
// * A generator moved in has no other owner, so the chain of frames can be short-circuited
// (detail/frame.hpp):
//   from() hands its stack's place over to the delegate's and is not heard of until the delegate ends or
//   generator_exit is to be raised here.
// * A generator passed by reference may be advanced by others too, so each item is fetched and passed on.
// * Anything with next(), and ranges, likewise.

#include "krait/generator.hpp"

namespace krait {

namespace detail {

/// What a delegation evaluates to that ends without a value.
template <class R>
R none_or_throw() {
  if constexpr (std::is_void_v<R>) {
    return;
  } else if constexpr (has_none<R>) {
    return none_traits<R>::none();
  } else {
    throw_no_value();
  }
}

/// Can a delegate's items and a delegator's sends be passed by address, as they are? It has to hold between
/// any two frames of a chain, as what is sent to the root goes to the leaf: so below a frame that is sent
/// nothing there are only such.
template <class Y, class S, class DelegateY, class DelegateS>
concept passes_through = std::same_as<Y, DelegateY> &&
    (std::is_void_v<DelegateS> || std::same_as<S, DelegateS>);

/// Does what an optional holds convert, though the optional does not?
template <class S, class To>
inline constexpr bool holds_convertible = false;
template <class T, class To>
inline constexpr bool holds_convertible<std::optional<T>, To> =
    !std::convertible_to<std::optional<T>, To> && std::convertible_to<T, To>;

/// Can what is sent to a delegator be sent on?
template <class S, class DelegateS>
concept can_send_on = std::is_void_v<DelegateS> ||(std::is_void_v<S>&& has_none<DelegateS>) ||
                      (!std::is_void_v<S> &&
                       (std::convertible_to<S, DelegateS> || holds_convertible<S, DelegateS>));

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
concept has_member_send = requires {
  &T::send;
};
template <class T>
concept has_member_throw = requires {
  &T::throw_;
};

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
decltype(auto) passed_on(void* item) {
  if constexpr (!std::is_void_v<DelegateY>) {
    return static_cast<DelegateY&&>(*static_cast<std::remove_reference_t<DelegateY>*>(item));
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
  void* fill(Make make) {
    using made = decltype(make());
    if constexpr (std::is_reference_v<Y> && std::is_reference_v<made> && std::is_convertible_v<made, Y> &&
                  std::is_convertible_v<std::remove_reference_t<made>*, object*>) {
      made&& item = make();
      object* const base = std::addressof(item);
      return const_cast<void*>(static_cast<const void*>(base));
    } else {
      static_assert(!never_holds, "yield.from, await: there is no object that this item could refer to");
      item_.emplace(make());
      return std::addressof(*item_);
    }
  }

 private:
  std::conditional_t<never_holds, char, std::optional<std::remove_cv_t<object>>> item_{};
};

template <>
class item_slot<void> {
 public:
  template <class Make>
  void* fill(Make make) {
    make();
    return this;
  }
};

}  // namespace detail

inline namespace KRAIT_BACKEND {

template <class Yield, class Send>
template <class Y, class S, class R>
R yielder<Yield, Send>::from(generator<Y, S, R>&& given) {
  auto& child = given.checked();
  detail::check_stack(*this);
  if (child.state() == generator_state::running) {
    detail::throw_already_executing(child);
  }
  if constexpr (!detail::has_none<S>) {
    if (child.state() == generator_state::suspended) {
      detail::throw_cannot_send_none(child);
    }
  }
  generator<Y, S, R> owned = std::move(given);

  if constexpr (!detail::passes_through<Yield, Send, Y, S>) {
    return delegate_by_steps(owned);
  } else {
    if (child.state() == generator_state::closed) {
      return owned.delegated_value(child, false);
    }
    this->attach_delegate(child, owned.frame_);
    void* const word = detail::hand_over(*this, *child.leaf, nullptr);
    this->rest().delegate = nullptr;
    if (word == static_cast<void*>(this)) {
      // generator_exit, given or new; raise_exit() has made `owned` a root of its own again.
      std::exception_ptr thrown = std::exchange(this->rest().exception, nullptr);
      static_cast<void>(owned.close());
      this->rest().exception = std::move(thrown);
      detail::raise_pending(*this);
    }
    owned.take_end(child);
    if constexpr (!std::is_void_v<R>) {
      return std::move(*child.result);
    }
  }
}

template <class Yield, class Send>
template <class Y, class S, class R>
R yielder<Yield, Send>::from(generator<Y, S, R>& inner) {
  detail::check_stack(*this);
  return delegate_by_steps(inner);
}

template <class Yield, class Send>
template <class Y, class S, class R>
R yielder<Yield, Send>::delegate_by_steps(generator<Y, S, R>& inner) {
  static_assert(detail::can_send_on<Send, S>,
                "yield.from, await: what is sent to this generator or coroutine cannot be sent on to what it "
                "delegates to or awaits: make its Send the same");
  static_assert(detail::can_yield_on<Yield, Y>(),
                "yield.from, await: what is delegated to or awaited yields what this generator or coroutine "
                "cannot yield: make its Yield the same");
  static_cast<void>(inner.checked());
  const detail::delegation_scope scope(*this, inner.frame_);

  // What this generator was resumed with, passed on.
  const auto advance = [&](void* word) {
    if constexpr (std::is_void_v<S> || std::is_void_v<Send>) {
      return inner.advance();
    } else {
      Send* const sent = static_cast<Send*>(word);
      if (sent == nullptr || detail::is_none(*sent)) {
        return inner.advance();
      }
      if constexpr (std::same_as<Send, S>) {
        return inner.advance_with_value(*sent);
      } else {
        S value = detail::sent_on<S>(*sent);
        return inner.advance_with_value(value);
      }
    }
  };

  auto made = inner.advance();
  for (;;) {
    if (made.item == nullptr) {
      // Else somebody else has been told, or nobody is there any more.
      const bool fresh = made.self->outcome_pending && !made.self->orphaned;
      inner.take_end(*made.self);
      return inner.delegated_value(*made.self, fresh);
    }
    void* word;
    if constexpr (std::same_as<Yield, Y>) {
      word = detail::yield_word(*this, made.item);
    } else {
      // Converted where it is, as the result may refer to it.
      detail::item_slot<Yield> slot;
      word = detail::yield_word(
          *this, slot.fill([&]() -> decltype(auto) { return detail::passed_on<Yield, Y>(made.item); }));
    }
    if (word != static_cast<void*>(this)) {
      made = advance(word);
      continue;
    }
    std::exception_ptr thrown = std::exchange(this->rest().exception, nullptr);
    if (thrown == nullptr || detail::is_generator_exit(thrown)) {
      static_cast<void>(inner.close());
      this->rest().exception = std::move(thrown);
      detail::raise_pending(*this);
    }
    if (inner.done()) {
      detail::check_reuse(inner.checked());
      // Its throw_() would raise just that, and a stop_iteration that is raised here ends the delegation.
      return detail::value_of_stop<R>(std::move(thrown));
    }
    made = inner.raise(std::move(thrown));
  }
}

template <class Yield, class Send>
template <class T>
requires detail::next_iterator<T>
auto yielder<Yield, Send>::from(T&& iterator) ->
    typename detail::return_type_of<std::remove_cvref_t<T>>::type {
  using object = std::remove_cvref_t<T>;
  using result_type = typename detail::return_type_of<object>::type;
  detail::check_stack(*this);
  const detail::delegation_scope scope(*this, detail::foreign_delegate);
  detail::item_slot<Yield> slot;
  std::conditional_t<std::is_void_v<result_type>, char, std::optional<result_type>> result{};
  void* item = nullptr;

  // Calls the iterator; false if that ended it.
  const auto goes_on = [&](auto operation) {
    try {
      item = operation();
      return true;
    } catch (stop_iteration<>& stop) {
      if constexpr (!std::is_void_v<result_type>) {
        if (auto value = detail::stop_value::take<result_type>(stop)) {
          result.emplace(std::move(*value));
        }
      }
      return false;
    }
  };
  const auto next = [&] { return slot.fill([&]() -> decltype(auto) { return iterator.next(); }); };

  for (bool more = goes_on(next); more;) {
    void* const word = detail::yield_word(*this, item);
    if (word == static_cast<void*>(this)) {
      std::exception_ptr thrown = std::exchange(this->rest().exception, nullptr);
      if (thrown == nullptr || detail::is_generator_exit(thrown)) {
        if constexpr (requires { iterator.close(); }) {
          more = goes_on([&] {
            iterator.close();
            return item;
          });
        }
        if (more) {
          this->rest().exception = std::move(thrown);
          detail::raise_pending(*this);
        }
      } else if constexpr (requires { iterator.throw_(thrown); }) {
        more =
            goes_on([&] { return slot.fill([&]() -> decltype(auto) { return iterator.throw_(thrown); }); });
      } else {
        static_assert(!detail::has_member_throw<object>,
                      "yield.from: the object's throw_() cannot be called with a std::exception_ptr");
        // A stop_iteration raised here ends the delegation, whoever raised it.
        more = goes_on([&]() -> void* { std::rethrow_exception(std::move(thrown)); });
      }
      continue;
    }
    if constexpr (!std::is_void_v<Send>) {
      Send* const sent = static_cast<Send*>(word);
      if (sent != nullptr && !detail::is_none(*sent)) {
        // As it is, or what an optional holds.
        constexpr bool as_it_is = requires {
          iterator.send(std::move(*sent));
        };
        constexpr bool as_held = detail::is_optional<Send> && requires {
          iterator.send(std::move(**sent));
        };
        if constexpr (as_it_is || as_held) {
          auto& value = detail::part_sent<as_it_is>(*sent);
          more = goes_on(
              [&] { return slot.fill([&]() -> decltype(auto) { return iterator.send(std::move(value)); }); });
        } else {
          static_assert(!detail::has_member_send<object>,
                        "yield.from: the object's send() does not take what is sent to this generator");
          detail::throw_has_no_send(typeid(object));
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
    return detail::none_or_throw<result_type>();
  }
}

template <class Yield, class Send>
template <std::ranges::input_range Range>
requires(!detail::is_generator<std::remove_cvref_t<Range>> &&
         !detail::next_iterator<Range>) void yielder<Yield, Send>::from(Range&& range) {
  static_assert(
      detail::has_none<Send>,
      "yield.from: a range takes only None, which this generator's Send cannot say: yield its items "
      "one by one, or make Send a std::optional");
  detail::check_stack(*this);
  const detail::delegation_scope scope(*this, detail::foreign_delegate);
  constexpr bool given_away = !std::is_reference_v<Range> && detail::owns_elements<Range>;
  for (auto&& element : range) {
    detail::item_slot<Yield> slot;
    void* const word = detail::yield_word(*this, slot.fill([&]() -> decltype(auto) {
      if constexpr (given_away && !std::is_reference_v<Yield>) {
        return std::move(element);
      } else {
        return std::forward<decltype(element)>(element);
      }
    }));
    if (word == static_cast<void*>(this)) {
      try {
        detail::raise_pending(*this);
      } catch (const stop_iteration<>&) {
        return;  // ends the delegation, whoever raised it
      }
    }
    if constexpr (!std::is_void_v<Send>) {
      if (word != nullptr && !detail::is_none(*static_cast<Send*>(word))) {
        detail::throw_has_no_send(typeid(Range));
      }
    }
  }
}

}  // namespace KRAIT_BACKEND
}  // namespace krait
