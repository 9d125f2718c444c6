// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <concepts>
#include <exception>
#include <memory>
#include <optional>
#include <ranges>
#include <type_traits>
#include <utility>

#include "krait/detail/frame.hpp"
#include "krait/detail/none.hpp"
#include "krait/exceptions.hpp"

namespace krait {
inline namespace KRAIT_BACKEND {

// Whatever stands between a user's code and a switch is always_inline, here and in generator.hpp: a function
// that is called on one side of a switch and returns on the other is mispredicted, which costs more than the
// switch.

template <class Yield, class Send, class Return>
class generator;
template <class Yield, class Send, class Return>
class coroutine;

}  // namespace KRAIT_BACKEND

namespace detail {

/// What a resumption sends to the innermost frame of a chain, as one word:
///   null              None
///   the frame itself  raise what rarely_used::exception says
///   anything else     the address of a Send, alive until the frame yields
inline namespace KRAIT_BACKEND {

/// Runs a chain until it yields (the address of the yielded object) or has ended (null).
/// Throws value_error if it is running.
///
/// `last` is a guess at the chain's leaf, updated. To check a guess costs nothing, as the processor goes on
/// with it meanwhile; to load the leaf is a step in the chain of loads that each item has to wait for. The
/// last jump has left the address in a register.
[[gnu::always_inline]] inline void* advance(frame& self, void* word, context*& last) {
  // The compiler must not see that `leaf` is self.leaf either way, or it loads that.
  context* leaf = last;
  asm("" : "+r"(leaf));
  if (self.leaf != last) [[unlikely]] {
    leaf = self.leaf;
    asm("" : "+r"(leaf));
  }
  if (!leaf->resumable()) [[unlikely]] {
    if (self.stage == stage::started) {
      throw_already_executing(self);
    }
    check_reuse(self);
    return nullptr;
  }
  return resume(*leaf, word, last);
}

/// Raises `exception`, which is no generator_exit, where the chain is suspended.
inline void* raise_in_leaf(frame& self, std::exception_ptr exception) noexcept {
  frame& leaf = *self.leaf;
  leaf.rest().exception = std::move(exception);
  return resume(leaf, &leaf);
}

/// Raises generator_exit (`given`, or a new one) in a suspended generator, after it has closed its delegate.
inline void* raise_exit(frame& self, std::exception_ptr given = nullptr) noexcept {
  if (self.leaf != &self) {
    self.detach_delegate();
  }
  self.rest().exception = std::move(given);
  return resume(self, &self);
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
    suspend(self, nullptr);
  }
}

/// Destroys a body that has not started, with all that it owns, on its own stack: what it owns may be
/// discarded likewise, to any depth. Meanwhile it looks running, and may become an orphan.
inline void discard(frame& self) noexcept {
  self.discarded = true;
  self.stage = stage::started;
  resume(self, nullptr);
}

/// To yield or to delegate, one must be on the frame's own stack.
[[gnu::always_inline]] inline void check_stack(frame& self) {
  if (!self.runs_here()) [[unlikely]] {
    yield_elsewhere(self);
  }
}

/// Suspends the frame with the address of what it yields. Returns the word it is resumed with.
[[gnu::always_inline]] inline void* yield_word(frame& self, void* yielded) {
  check_stack(self);
  return suspend(self, yielded);
}

/// The last thing that runs on a stack, called with its frame ended and its body destroyed.
[[noreturn]] inline void leave_for_good(frame& self) noexcept {
  if (frame* const heir = self.rest().delegator) {
    self.root->leaf = heir;
    self.rest().delegator = nullptr;
    finish_into(self, *heir, &self);
  }
  finish(self, nullptr);
}

}  // namespace KRAIT_BACKEND

template <class T>
inline constexpr bool is_generator = false;
template <class Y, class S, class R>
inline constexpr bool is_generator<generator<Y, S, R>> = true;

/// Duck typing, as PEP 380 has it: anything with a `next()`. It ends by throwing stop_iteration; with a
/// member `return_type`, the value of a stop_iteration<return_type> is what the delegation evaluates to.
template <class T>
concept next_iterator = !is_generator<std::remove_cvref_t<T>> && requires(T & object) {
  object.next();
};

template <class T>
struct return_type_of : std::type_identity<void> {};
template <class T>
requires requires {
  typename T::return_type;
}
struct return_type_of<T> : std::type_identity<typename T::return_type> {};

template <class Body, class Yielder>
using body_result = decltype(std::declval<std::decay_t<Body>&>()(std::declval<Yielder&>()));

/// A callable that can be the body of a generator. That it can be called is asked first: to ask whether just
/// any type can be copied or moved may lead back to the question whether a generator can be made from it.
template <class Body, class Yielder, class Return>
concept body_of = !is_generator<std::remove_cvref_t<Body>> && requires {
  typename body_result<Body, Yielder>;
}
&&(std::is_void_v<Return> ? std::is_void_v<body_result<Body, Yielder>>
                          : std::convertible_to<body_result<Body, Yielder>,
                                                Return>)&&std::constructible_from<std::decay_t<Body>, Body>;

/// What the body of a Handle would be if its parameter were no reference: is given a copy.
template <class Handle>
struct passed_by_value : Handle {
  passed_by_value(const passed_by_value&);
  ~passed_by_value();
};

template <class Body>
concept takes_nothing = requires(std::decay_t<Body>& body) {
  body();
};
template <class Body, class Handle>
concept takes_by_value = requires(std::decay_t<Body>& body, passed_by_value<Handle>& handle) {
  body(handle);
};

/// Was surely meant to be a body, and is none.
///
/// What has a body has a private constructor for such, which refuses it by a static_assert with the reason.
/// As it is private, it is no answer to std::is_constructible or std::convertible_to. It does take part in
/// overload resolution: given `[] {}`, f(generator<int>) and f(std::function<void()>) are ambiguous. So it
/// takes no more than the mistakes that are common.
template <class Body, class Handle, class Return>
concept misfit =
    !is_generator<std::remove_cvref_t<Body>> && !body_of<Body, Handle, Return> &&
    (requires { typename body_result<Body, Handle>; } || takes_nothing<Body> || takes_by_value<Body, Handle>);

/// Does not compile, and says why a misfit is no body.
template <class Object, class Handle, class Return, class Body>
Object refused(Body&) {
  if constexpr (requires { typename body_result<Body, Handle>; }) {
    using returned = body_result<Body, Handle>;
    if constexpr (std::is_void_v<Return>) {
      static_assert(std::is_void_v<returned>,
                    "this body returns a value, and Return is void: return nothing, or make Return its type");
    } else if constexpr (std::is_void_v<returned>) {
      static_assert(!std::is_void_v<returned>,
                    "this body returns nothing, and Return is not void: return a value on every path");
    } else {
      static_assert(
          std::is_convertible_v<returned, Return>,
          "this body returns what does not convert to Return: make that its type, or say which type "
          "it returns, `-> type`");
    }
    static_assert(std::constructible_from<std::decay_t<Body>, Body&&>,
                  "this body cannot be copied: give it away with std::move");
  } else {
    static_assert(!takes_nothing<Body>,
                  "this body takes nothing: it takes by reference what it yields or awaits with, as in "
                  "[](auto& yield) { ... }");
    static_assert(takes_nothing<Body> || !takes_by_value<Body, Handle>,
                  "this body takes by value what it yields or awaits with: write [](auto& yield), with &");
  }
  throw;
}

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

}  // namespace detail

inline namespace KRAIT_BACKEND {

/// What a generator's body is given: call it to yield. Python: the `yield` keyword.
///
/// It is passed by reference to the body, and by the body to whatever function may want to yield. It belongs
/// to one generator and works only on that generator's stack.
template <class Yield, class Send = void>
class yielder : private detail::frame {
 public:
  yielder(const yielder&) = delete;
  yielder& operator=(const yielder&) = delete;

  /// Suspends the generator; `value` is what its resumer receives, without a copy. Returns what is sent:
  /// `send(v)`'s value, or None after `next()`. Python: `yield value`.
  ///
  /// Throws what `throw_` and `close` raise here, and runtime_error when called on another stack than its
  /// generator's.
  template <class Y = Yield>
  requires(!std::is_void_v<Y>) [[gnu::always_inline]] Send operator()(std::type_identity_t<Y> value) {
    return received(yield_object(value));
  }

  /// Python: `yield`.
  template <class Y = Yield>
  requires std::is_void_v<Y>
  [[gnu::always_inline]] Send operator()() { return received(detail::yield_word(*this, this)); }

  /// Delegates to a generator given away: `yield.from(inner())`. Every item goes straight to the resumer, at
  /// the same cost through any number of such levels. Returns what the generator returned. Python: `yield
  /// from`.
  ///
  /// Throws what leaves the generator; value_error if it is running or was moved from, then it is not taken;
  /// type_error if it had finished, so that there is no value, and Return cannot say None.
  template <class Y, class S, class R>
  R from(generator<Y, S, R>&& given);

  /// Delegates to a generator that others keep, and may advance meanwhile. It must outlive the delegation.
  /// Costs one resumption per level and item. Errors as above.
  template <class Y, class S, class R>
  R from(generator<Y, S, R>& inner);

  /// Delegates to any object with `next()` and, optionally, `send(v)`, `throw_(std::exception_ptr)` and
  /// `close()`. Returns the value of the stop_iteration that ends it as a T::return_type (void without that
  /// member type); see stop_iteration<>::value_as() on what converts. What is sent goes to `send` as it is,
  /// or as what an optional holds.
  ///
  /// Throws what leaves the object; attribute_error when a value is sent to an object without `send`;
  /// type_error if the value of the end does not convert, or there is none and return_type cannot say None.
  template <class T>
  requires detail::next_iterator<T>
  auto from(T&& iterator) -> typename detail::return_type_of<std::remove_cvref_t<T>>::type;

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
  requires(!detail::is_generator<std::remove_cvref_t<Range>> &&
           !detail::next_iterator<Range>) void from(Range&& range);

 protected:
  explicit yielder(void* place) noexcept : frame(place) {}
  ~yielder() = default;

 private:
  template <class, class, class>
  friend class generator;
  template <class, class>
  friend class yielder;
  template <class, class, class, class>
  friend class async_yielder;
  template <class, detail::async_method>
  friend class async_operation;

  template <class Y>
  [[gnu::always_inline]] void* yield_object(Y& value) {
    return detail::yield_word(*this, const_cast<void*>(static_cast<const void*>(std::addressof(value))));
  }

  [[gnu::always_inline]] Send received(void* word) {
    if (word == static_cast<void*>(this)) [[unlikely]] {
      detail::raise_pending(*this);
    }
    if constexpr (std::is_void_v<Send>) {
      return;
    } else {
      if constexpr (detail::has_none<Send>) {
        if (word == nullptr) {
          return none_traits<Send>::none();
        }
      }
      return std::move(*static_cast<Send*>(word));
    }
  }

  template <class Y, class S, class R>
  R delegate_by_steps(generator<Y, S, R>& inner);
};

}  // namespace KRAIT_BACKEND
}  // namespace krait
