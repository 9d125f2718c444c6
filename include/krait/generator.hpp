// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <iosfwd>
#include <iterator>
#include <memory>
#include <new>
#include <optional>
#include <ranges>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>

#include "krait/detail/frame.hpp"
#include "krait/detail/none.hpp"
#include "krait/exceptions.hpp"
#include "krait/stack.hpp"
#include "krait/step.hpp"
#include "krait/yielder.hpp"

namespace krait {

namespace detail {

/// What close() returns: perhaps a Return. One that is optional need not be wrapped again.
template <class Return>
struct close_type_of : std::type_identity<std::optional<Return>> {};
template <>
struct close_type_of<void> : std::type_identity<void> {};
template <class T>
struct close_type_of<std::optional<T>> : std::type_identity<std::optional<T>> {};

}  // namespace detail

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
/// and on one that was moved from, value_error; both change nothing.
template <class Yield, class Send = void, class Return = void>
class [[nodiscard]] generator {
  static_assert(!std::is_reference_v<Send> && !std::is_reference_v<Return>,
                "a generator sends and returns values: use a pointer or std::reference_wrapper");

 public:
  class iterator;
  using yield_type = Yield;
  using send_type = Send;
  using return_type = Return;
  using step_type = krait::step<Yield, Return>;
  using close_type = typename detail::close_type_of<Return>::type;

  /// Makes a generator that will run `body(yielder)`. `name` is for messages; it must outlive the generator,
  /// and is by default the name of the function that this constructor is used in.
  ///
  /// Throws std::bad_alloc when there is no stack; value_error when `body` (with its captures) is too large
  /// for the stack it is to live on; what moving `body` throws.
  template <class Body>
  requires detail::body_of<Body, yielder<Yield, Send>, Return> generator(
      Body&& body, const char* name = __builtin_FUNCTION())  // NOLINT(google-explicit-constructor)
      : frame_(make(nullptr, std::forward<Body>(body), name)) {}

  /// On a stack from `where`: a stack_source&, which must outlive the generator, or stack_options, for a
  /// stack from a pool that all generators with these options share.
  ///
  /// Throws, besides, what the source throws; value_error when the options are beyond the address space.
  template <stack_choice Stack = stack_options, class Body>
  requires detail::body_of<Body, yielder<Yield, Send>, Return> generator(
      std::allocator_arg_t, Stack&& where, Body&& body, const char* name = __builtin_FUNCTION())
      : frame_(make(&detail::source_of(where), std::forward<Body>(body), name)) {}

  generator(const generator&) = delete;  // it cannot be copied: std::move it, or refer to it
  generator(generator&& other) noexcept : frame_(std::exchange(other.frame_, nullptr)) {}

  /// Destroys what this was before. Throws value_error, with nothing moved, if that is running.
  generator& operator=(generator&& other) {
    if (this != &other) {
      if (frame_ != nullptr && frame_->state() == generator_state::running) {
        detail::throw_already_executing(*frame_);
      }
      const generator old(std::move(*this));  // what that runs when it is dropped may assign to this again
      frame_ = std::exchange(other.frame_, nullptr);
    }
    return *this;
  }

  /// Closes the generator. What `close` would throw goes to the unraisable hook instead. If the body yields
  /// in answer, that is reported, and the stack is not reused, as its frames are alive. If it is running,
  /// that is reported, its next `yield` raises generator_exit, and it is freed when it ends. Python:
  /// finalisation.
  ~generator() { drop(); }

  /// Runs the body to the next `yield` and returns what that yields. Python: `next(g)`.
  ///
  /// Throws stop_iteration<Return> when the body returns (without a value if it had ended before); what
  /// leaves the body; runtime_error if that is a stop_iteration or another language's exception; type_error,
  /// with nothing changed, at a `yield` that cannot be sent None.
  [[gnu::always_inline]] Yield next() { return yielded(advance()); }

  /// Resumes the pending `yield`, which returns `value`. Python: `g.send(value)`.
  ///
  /// Throws as next(); type_error if the generator has not started (only None can be sent then).
  template <class S = Send>
  requires(!std::is_void_v<S>) [[gnu::always_inline]] Yield send(std::type_identity_t<S> value) {
    return yielded(advance_with_value(value));
  }

  /// Raises `exception` at the pending `yield`, and runs on to the next. Python: `g.throw(exception)`.
  ///
  /// Throws as next(). Before the start and after the end nothing of the body runs: the generator is closed,
  /// and `exception` itself comes out. type_error if it is null.
  Yield throw_(std::exception_ptr exception) { return yielded(raise(std::move(exception))); }

  template <class Exception>
  requires(!std::convertible_to<Exception, std::exception_ptr>) Yield throw_(Exception&& exception) {
    return throw_(std::make_exception_ptr(std::forward<Exception>(exception)));
  }

  /// Raises generator_exit at the pending `yield`, for the body to clean up and end. Returns what the body
  /// returned, if it did: in a std::optional, unless Return is one. Python: `g.close()`.
  ///
  /// Throws runtime_error `generator ignored GeneratorExit` if the body yields instead; it stays suspended
  /// there, and usable. Whatever else leaves the body comes out.
  close_type close();

  /// As next(), send() and throw_(), but the end is a result and no exception. Python: PyIter_Send.
  [[gnu::always_inline]] step_type resume() { return stepped(advance()); }

  template <class S = Send>
  requires(!std::is_void_v<S>) [[gnu::always_inline]] step_type resume(std::type_identity_t<S> value) {
    return stepped(advance_with_value(value));
  }

  step_type resume_with(std::exception_ptr exception) { return stepped(raise(std::move(exception))); }

  template <class Exception>
  requires(!std::convertible_to<Exception, std::exception_ptr>) step_type resume_with(Exception&& exception) {
    return resume_with(std::make_exception_ptr(std::forward<Exception>(exception)));
  }

  /// A loop goes on where the generator stands. The body runs when the iterator is compared or read, not
  /// before: breaking off, or `std::views::take(n)`, computes no item too many. Python: `for x in g`.
  iterator begin() requires(!std::is_void_v<Yield> && detail::has_none<Send>) { return iterator(checked()); }
  // clang-format off
  iterator begin() requires(!std::is_void_v<Yield> && !detail::has_none<Send>) = delete;  // a loop sends None, which this Send cannot say: send(), or a Send of std::optional
  // clang-format on

  std::default_sentinel_t end() const noexcept requires(!std::is_void_v<Yield>) {
    return std::default_sentinel;
  }

  /// Python: inspect.getgeneratorstate(g).
  generator_state state() const { return checked().state(); }
  bool running() const { return state() == generator_state::running; }
  bool suspended() const { return state() == generator_state::suspended; }
  bool done() const { return state() == generator_state::closed; }

  /// What the body returned; null if it has not. Stays valid until the generator is moved to or destroyed. A
  /// Return that cannot be copied is no longer here after next(), send(), throw_() or close() have delivered
  /// it.
  const Return* result() const requires(!std::is_void_v<Return>) {
    const frame_type& self = checked();
    return self.result.has_value() ? &*self.result : nullptr;
  }

  /// Is it suspended within a `yield.from`? Python: `g.gi_yieldfrom is not None`.
  bool yielding_from() const {
    const frame_type& self = checked();
    return self.rest().delegate != nullptr && self.state() == generator_state::suspended;
  }

  /// How many bytes of its stack this has used at the deepest, with its frame and captures: what of
  /// stack_options::size it takes, but for the up to 1 KiB that spreads stacks. Found by looking for what is
  /// not zero, so never less than was written to; but a stack that is used again shows its former users, too,
  /// unless KRAIT_STACK_USED=exact is in the environment (then each stack is cleared before it is used, which
  /// takes time), or it is of a source of one's own. Asked while it runs, it is what it has been so far.
  std::size_t stack_used() const { return detail::used_of(checked().rest().memory); }

  /// Python: `g.__name__`.
  std::string_view name() const { return checked().rest().name; }

  /// Throws std::bad_alloc.
  void set_name(std::string_view name) { checked().rename(name); }

  /// "<generator object NAME at 0x...>". Python: repr(g).
  std::string repr() const { return checked().repr(); }

 private:
  template <detail::misfit<yielder<Yield, Send>, Return> Body>
  generator(Body&& body, const char* = "")  // NOLINT(google-explicit-constructor)
      : generator(detail::refused<generator, yielder<Yield, Send>, Return, Body>(body)) {}

  template <class, class>
  friend class yielder;
  template <class, class, class>
  friend class coroutine;
  template <class, class, class, class>
  friend class async_generator;
  template <class, detail::async_method>
  friend class async_operation;

  struct nothing {};
  static constexpr bool returns = !std::is_void_v<Return>;

  struct frame_type : yielder<Yield, Send> {
    using yielder<Yield, Send>::yielder;
    [[no_unique_address]] std::conditional_t<returns, std::optional<Return>, nothing> result;
  };

  template <class Body>
  struct frame_with_body;

  template <class Body>
  static frame_type* make(stack_source* source, Body&& body, const char* name);

  /// Frees a frame that has ended.
  static void destroy(frame_type& self) noexcept;

  void drop() noexcept {
    if (frame_ != nullptr) {
      frame_type& self = static_cast<frame_type&>(*std::exchange(frame_, nullptr));
      if (self.stage > detail::stage::started || end_unfinished(self)) {
        destroy(self);
      }
    }
  }

  /// Ends what has not ended, as a destructor may. False if it cannot be freed now.
  [[gnu::noinline]] static bool end_unfinished(frame_type& self) noexcept;
  static void drop_running(frame_type& self) noexcept;

  void check_moved_from(detail::kind kind) const {
    if (frame_ == nullptr) [[unlikely]] {
      detail::throw_moved_from(kind);
    }
  }
  frame_type& checked() const {
    check_moved_from(detail::kind::generator);
    return static_cast<frame_type&>(*frame_);
  }

  void set_kind(detail::kind kind) noexcept { frame_->rest().kind = kind; }

  /// Whom it is suspended in a delegation to, for coroutine::awaiting().
  std::string delegate_repr() const {
    detail::frame* const* const delegate = yielding_from() ? checked().rest().delegate : nullptr;
    return delegate == nullptr    ? std::string()
           : *delegate == nullptr ? std::string("<iterator>")
                                  : (*delegate)->repr();
  }

  /// What the resumption functions have in common: the address of what was yielded, or null at the end. The
  /// generator may be gone afterwards, destroyed by its own body, so what follows is up to the frame.
  struct outcome {
    frame_type* self;
    void* item;
  };

  [[gnu::always_inline]] static outcome advance(frame_type& self, detail::context*& last) {
    if constexpr (!detail::has_none<Send>) {
      if (self.state() == generator_state::suspended) [[unlikely]] {
        detail::throw_cannot_send_none(self);
      }
    }
    return {&self, detail::advance(self, nullptr, last)};
  }

  /// Of an async_generator, at a `yield` that looks elsewhere for what is sent.
  outcome advance_with_none() {
    frame_type& self = checked();
    detail::context* last = &self;
    return {&self, detail::advance(self, nullptr, last)};
  }
  std::exception_ptr ignored_exit() const { return detail::ignored_exit(*frame_); }

  [[gnu::always_inline]] outcome advance() {
    frame_type& self = checked();
    detail::context* last = &self;
    return advance(self, last);
  }

  template <class S>
  [[gnu::always_inline]] outcome advance_with_value(S& value) {
    frame_type& self = checked();
    if (self.stage == detail::stage::created && !detail::is_none(value)) [[unlikely]] {
      detail::throw_not_just_started(self);
    }
    detail::context* last = &self;
    return {&self, detail::advance(self, &value, last)};
  }

  outcome raise(std::exception_ptr exception);

  [[gnu::always_inline]] static Yield yielded(outcome made) {
    if (made.item == nullptr) [[unlikely]] {
      raise_end(*made.self);
    }
    if constexpr (!std::is_void_v<Yield>) {
      return static_cast<Yield&&>(*static_cast<std::remove_reference_t<Yield>*>(made.item));
    }
  }

  [[gnu::always_inline]] static step_type stepped(outcome made) {
    const Return* result = nullptr;
    if (made.item == nullptr) [[unlikely]] {
      const bool fresh = made.self->outcome_pending;
      const bool orphaned = made.self->orphaned;
      take_end(*made.self);
      if constexpr (returns) {
        result = fresh && !orphaned ? &*made.self->result : nullptr;
      }
    }
    if constexpr (std::is_void_v<Yield>) {
      return {static_cast<std::byte*>(made.item), result};
    } else {
      return {static_cast<std::remove_reference_t<Yield>*>(made.item), result};
    }
  }

  /// Takes note of an end: throws what the body raised, does nothing if it returned or had ended before. An
  /// orphan is freed.
  [[gnu::always_inline]] static void take_end(frame_type& self) {
    self.outcome_pending = false;
    if (self.rest().exception != nullptr || self.orphaned) [[unlikely]] {
      take_rare_end(self);
    }
  }
  [[gnu::noinline, gnu::cold]] static void take_rare_end(frame_type& self);

  /// The end as an exception: what the body raised, or stop_iteration with what it returned.
  [[noreturn, gnu::noinline, gnu::cold]] static void raise_end(frame_type& self);

  /// What a delegation to `self`, which has ended, evaluates to. `fresh`: it has ended just now.
  static Return delegated_value(frame_type& self, bool fresh);

  detail::frame* frame_;  // a frame_type; at such an address, whatever the type, whoever delegates looks
};

/// Move-only, and lazy: see generator::begin().
template <class Yield, class Send, class Return>
class generator<Yield, Send, Return>::iterator {
  using object = std::conditional_t<std::is_void_v<Yield>, std::byte, std::remove_reference_t<Yield>>;

 public:
  using iterator_concept = std::input_iterator_tag;
  using value_type = std::remove_cv_t<object>;
  using reference = std::conditional_t<std::is_void_v<Yield>, std::byte&, std::add_rvalue_reference_t<Yield>>;
  using difference_type = std::ptrdiff_t;

  /// Of no generator, and at its end: for views that make their iterators before they have one.
  iterator() noexcept : due_(false) {}
  iterator(iterator&& other) noexcept = default;
  iterator& operator=(iterator&& other) noexcept = default;

  /// Throws what leaves the body.
  [[gnu::always_inline]] reference operator*() const {
    fetch_if_due();
    return static_cast<reference>(*item_);
  }

  [[gnu::always_inline]] iterator& operator++() {
    fetch_if_due();
    due_ = true;
    return *this;
  }
  void operator++(int) { ++*this; }

  /// Runs the body, if the next item has not been computed yet. Throws what leaves the body.
  [[gnu::always_inline]] friend bool operator==(const iterator& it, std::default_sentinel_t) {
    it.fetch_if_due();
    return it.item_ == nullptr;
  }

 private:
  friend class generator;
  explicit iterator(frame_type& self) noexcept : frame_(&self), last_(&self) {}

  [[gnu::always_inline]] void fetch_if_due() const {
    if (due_) {
      due_ = false;
      item_ = static_cast<object*>(advance(*frame_, last_).item);
      if (item_ == nullptr) [[unlikely]] {
        take_end(*frame_);
      }
    }
  }

  frame_type* frame_ = nullptr;
  mutable detail::context* last_ = nullptr;  // whom the last item came from: a guess at the next one's origin
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
requires(!std::is_void_v<Y>) Y next(generator<Y, S, R>& self, std::type_identity_t<Y> fallback) {
  auto step = self.resume();
  return step.yielded() ? static_cast<Y>(*step) : static_cast<Y>(static_cast<Y&&>(fallback));
}

/// The same of a generator that is closed with that, so of values only: `next(words())`.
template <class Y, class S, class R>
requires(!std::is_reference_v<Y>) Y next(generator<Y, S, R>&& self) {
  return self.next();
}
template <class Y, class S, class R>
requires(!std::is_void_v<Y> && !std::is_reference_v<Y>) Y
    next(generator<Y, S, R>&& self, std::type_identity_t<Y> fallback) {
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

/// Writes a line for every live generator: name, state, how much stack it has used (as stack_used() tells),
/// and whom it delegates to. No other thread may create, resume or destroy generators meanwhile.
void dump_generators(std::ostream& out);

}  // namespace krait

template <class Y, class S, class R>
inline constexpr bool std::ranges::enable_view<krait::generator<Y, S, R>> = true;

#include "krait/detail/delegation.hpp"
#include "krait/detail/generator.hpp"
