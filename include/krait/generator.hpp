// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <concepts>
#include <cstddef>
#include <iterator>
#include <memory>
#include <ranges>
#include <string>
#include <type_traits>
#include <utility>

#include "krait/detail/body.hpp"
#include "krait/detail/config.hpp"
#include "krait/detail/forward.hpp"
#include "krait/detail/lazy_iterator.hpp"
#include "krait/detail/resumable.hpp"
#include "krait/detail/void.hpp"
#include "krait/exceptions.hpp"
#include "krait/inspect.hpp"
#include "krait/none.hpp"
#include "krait/stack.hpp"
#include "krait/step.hpp"
#include "krait/yielder.hpp"

namespace krait {
inline namespace KRAIT_BACKEND {

/// A function that can be suspended in the midst of its work, on a stack of its own. Python: a generator
/// object, typing.Generator[Yield, Send, Return], with `void` for None.
///
/// * Yield: what the body yields; a value (also move-only), `T&`, `const T&` or `void`.
/// * Send: what `send` takes and `yield` returns. `next()` sends None, which a Send must be able to say to be
///   used beyond the first item: void, std::optional, a pointer, std::monostate, or a type with none_traits.
/// * Return: what the body returns.
///
/// Made from a callable that takes a `yielder<Yield, Send>&`; none of it runs before the first `next`, `send`
/// or loop. Move-only, an input range and a view. It may be resumed by any thread, but by one at a time.
/// Whatever is called on it while it runs (by its own body) throws value_error `generator already executing`,
/// and on one that was moved from, value_error; both change nothing. So does assigning to one that runs.
///
/// Dropped (destroyed, or assigned to), it is closed. What `close` would throw goes to the unraisable hook instead.
/// If the body yields in answer, that is reported, and the stack is not reused, as its frames are alive. If it is
/// running, that is reported, its next `yield` raises generator_exit, and it is freed when it ends. Python:
/// finalisation.
template <class Yield, class Send = void, class Return = void>
class [[nodiscard]] generator
    : public detail::resumable<yielder<Yield, Send>, Return, detail::kind::generator> {
  using base = detail::resumable<yielder<Yield, Send>, Return, detail::kind::generator>;
  using typename base::owner_type;

  static_assert(!std::is_reference_v<Send> && !std::is_reference_v<Return>,
                "a generator sends and returns values: use a pointer or std::reference_wrapper");

 public:
  class iterator;

  /// Makes a generator that will run `body(yielder)`. `name` is for messages; it must outlive the generator,
  /// and is by default the name of the function that this constructor is used in.
  ///
  /// Throws std::bad_alloc when there is no stack; value_error when `body` (with its captures) is too large
  /// for the stack it is to live on; what moving `body` throws.
  template <class Body>
    requires detail::body_of<Body, yielder<Yield, Send>, Return>
  generator(Body&& body, const char* name = __builtin_FUNCTION())  // NOLINT(google-explicit-constructor)
      : base(nullptr, std::forward<Body>(body), name) {}

  /// On a stack from `where`: a stack_source&, which must outlive the generator, or stack_options, for a
  /// stack from a pool that all generators with these options share.
  ///
  /// Throws, besides, what the source throws; value_error when the options are beyond the address space.
  template <stack_choice Stack = stack_options, class Body>
    requires detail::body_of<Body, yielder<Yield, Send>, Return>
  generator(std::allocator_arg_t, Stack&& where, Body&& body, const char* name = __builtin_FUNCTION())
      : base(&detail::source_of(where), std::forward<Body>(body), name) {}

  generator(const generator&) = delete;  // it cannot be copied: std::move it, or refer to it
  generator(generator&&) noexcept = default;
  generator& operator=(generator&&) = default;

  /// Runs the body to the next `yield` and returns what that yields. Python: `next(g)`.
  ///
  /// Throws stop_iteration<Return> when the body returns (without a value if it had ended before); what
  /// leaves the body; runtime_error if that is a stop_iteration or another language's exception; type_error,
  /// with nothing changed, at a `yield` that cannot be sent None.
  KRAIT_ALWAYS_INLINE Yield next() { return owner_type::yielded(this->owner_.advance()); }

  /// Resumes the pending `yield`, which returns `value`. Python: `g.send(value)`.
  ///
  /// Throws as next(); type_error if the generator has not started (only None can be sent then).
  template <class S = Send>
    requires(!std::is_void_v<S>)
  KRAIT_ALWAYS_INLINE Yield send(std::type_identity_t<S> value) {
    return owner_type::yielded(this->owner_.advance_with_value(value));
  }

  /// A loop goes on where the generator stands. The body runs when the iterator is compared or read, not
  /// before: breaking off, or `std::views::take(n)`, computes no item too many. Python: `for x in g`.
  iterator begin()
    requires(!std::is_void_v<Yield> && detail::has_none<Send>)
  {
    return iterator(this->owner_.checked());
  }
  // clang-format off
  iterator begin() requires(!std::is_void_v<Yield> && !detail::has_none<Send>) = delete;  // a loop sends None, which this Send cannot say: send(), or a Send of std::optional
  // clang-format on

  std::default_sentinel_t end() const noexcept
    requires(!std::is_void_v<Yield>)
  {
    return std::default_sentinel;
  }

  /// Is it suspended within a `yield.from`? Python: `g.gi_yieldfrom is not None`.
  bool yielding_from() const { return this->owner_.checked().delegating(); }

 private:
  template <detail::misfit<yielder<Yield, Send>, Return> Body>
  generator(Body&& body, const char* = "")  // NOLINT(google-explicit-constructor)
      : generator(detail::refused<generator, yielder<Yield, Send>, Return, Body>(body)) {}
};

/// Move-only, and lazy: see generator::begin(). What is looked at throws what leaves the body.
template <class Yield, class Send, class Return>
class generator<Yield, Send, Return>::iterator
    : public detail::lazy_iterator<
          iterator, std::remove_cv_t<detail::object_of<Yield>>,
          std::conditional_t<std::is_void_v<Yield>, std::byte&, std::add_rvalue_reference_t<Yield>>> {
  using object = detail::object_of<Yield>;

 public:
  /// Of no generator, and at its end: for views that make their iterators before they have one.
  iterator() noexcept : due_(false) {}
  explicit iterator(detail::frame& self) noexcept : frame_(&self) {}
  iterator(iterator&& other) noexcept = default;
  iterator& operator=(iterator&& other) noexcept = default;

 private:
  friend typename iterator::lazy_iterator;
  KRAIT_ALWAYS_INLINE bool& due() const noexcept { return due_; }
  KRAIT_ALWAYS_INLINE object* look() const {
    if (due_) {
      due_ = false;
      const auto came = owner_type::advance(*frame_);
      frame_ = came.of;
      item_ = static_cast<object*>(came.item.bits());
      if (item_ == nullptr) [[unlikely]] {
        owner_type::take_end(*came.of);
      }
    }
    return item_;
  }

  mutable detail::frame* frame_ = nullptr;
  mutable object* item_ = nullptr;
  mutable bool due_ = true;
};

/// Python: `next(g)`.
template <class Y, class S, class R>
Y next(generator<Y, S, R>& self) {
  return self.next();
}

/// The next item, or `fallback` at the end. Python: `next(g, fallback)`. Throws what leaves the body.
template <class Y, class S, class R>
  requires(!std::is_void_v<Y>)
Y next(generator<Y, S, R>& self, std::type_identity_t<Y> fallback) {
  auto step = self.resume();
  return step.yielded() ? static_cast<Y>(*step) : static_cast<Y>(static_cast<Y&&>(fallback));
}

/// The same of a generator that is closed with that, so of values only: `next(words())`.
template <class Y, class S, class R>
  requires(!std::is_reference_v<Y>)
Y next(generator<Y, S, R>&& self) {
  return self.next();
}
template <class Y, class S, class R>
  requires(!std::is_void_v<Y> && !std::is_reference_v<Y>)
Y next(generator<Y, S, R>&& self, std::type_identity_t<Y> fallback) {
  return next(self, std::move(fallback));
}

/// The generator, advanced to its first `yield`, whose value is dropped: so that it can be sent to. Throws as
/// next(). Python: the decorator that calls next() on a generator made to be sent to.
template <class Y, class S, class R>
generator<Y, S, R> primed(generator<Y, S, R> made) {
  static_cast<void>(made.next());
  return made;
}

// A view owns the generator, so it is given away. Only what takes it then, and no lvalue, is refused here:
// the standard library's adaptors.
// clang-format off
template <class Y, class S, class R, class Adaptor>
requires(std::invocable<Adaptor, generator<Y, S, R>> && !std::invocable<Adaptor, generator<Y, S, R>&>)
void operator|(generator<Y, S, R>& self, Adaptor&& adaptor) = delete;  // give it away, `std::move(g) | ...`, or keep it and lend it, `std::ranges::ref_view(g) | ...`
// clang-format on

}  // namespace KRAIT_BACKEND

}  // namespace krait

template <class Y, class S, class R>
inline constexpr bool std::ranges::enable_view<krait::generator<Y, S, R>> = true;
