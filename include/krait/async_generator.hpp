// SPDX-License-Identifier: BSL-1.0
#pragma once

// Asynchronous generators: bodies that both yield items to who iterates and await, in which case values
// go to who drives. Two kinds of value leave one stack, and it is the operations that tell them apart:
//
//      driver              consumer                    operation g.anext()          body
//        | send() ---------->| co.await(g.anext()) ------->| resume ---------------->|
//        |<-------------------------------- a raw value, passed on -- co.await(...) --|
//        | send(v) ----------------------------------------------------------------->|
//        |                   |<------- returned: an item ----|<-------- yield(item) --|
//
// For most purposes a plain generator is all that is needed, as its body may await wherever its resumer
// may (docs/coroutines.md). This is Python's protocol to the letter, for driving by hand.

#include <concepts>
#include <cstddef>
#include <exception>
#include <functional>
#include <iterator>
#include <memory>
#include <new>
#include <optional>
#include <string>
#include <string_view>
#include <tuple>
#include <type_traits>
#include <utility>

#include "krait/coroutine.hpp"

namespace krait {

// What hooks are given is told apart by its type, in other shared objects, too.
#pragma GCC visibility push(default)
/// An async_generator of any type, as hooks see it: `aclose<DriverYield, DriverSend>(object)` closes it.
/// Who wants to remember it keeps its weak_from_this().
class async_generator_object : public std::enable_shared_from_this<async_generator_object> {
 public:
  async_generator_object() = default;
  async_generator_object(const async_generator_object&) = delete;
  async_generator_object& operator=(const async_generator_object&) = delete;
  virtual ~async_generator_object() = default;

  virtual std::string_view name() const = 0;
  /// "<async_generator object NAME at 0x...>".
  virtual std::string repr() const = 0;
};
#pragma GCC visibility pop

/// What an event loop wants to know of asynchronous generators. Each generator remembers those that
/// were set in the thread where its first operation was made.
struct async_generator_hooks {
  /// Called once per generator, when its first operation is made; what it throws comes out there.
  std::function<void(async_generator_object&)> firstiter;

  /// Given a generator that was dropped before its end, still alive, for it to be closed by and by: with
  /// krait::aclose(), or as what it was, which async_generator<...>::from_object() makes of it again. It
  /// is called once; dropped a second time, it is closed on the spot. What it throws goes to the
  /// unraisable hook.
  std::function<void(std::shared_ptr<async_generator_object>)> finalizer;
};

/// Sets this thread's hooks, and returns what they were. Python: sys.set_asyncgen_hooks.
async_generator_hooks set_asyncgen_hooks(async_generator_hooks hooks);
/// Python: sys.get_asyncgen_hooks.
async_generator_hooks get_asyncgen_hooks();

inline namespace KRAIT_BACKEND {
template <class Yield, class Send, class DriverYield, class DriverSend>
class async_generator;
}

namespace detail {

[[noreturn]] void throw_cannot_reuse_operation(async_method method);
[[noreturn]] void throw_async_generator_running(async_method method);
[[noreturn]] void throw_started_with_value();
[[noreturn]] void throw_cannot_be_sent();
[[noreturn]] void throw_async_not_just_started();
[[noreturn]] void throw_async_cannot_send_none();
[[noreturn]] void throw_of_another_type();

/// Within a handler of a stop_async_iteration that left a body.
[[noreturn]] void throw_stop_async_iteration_escaped();

void warn_operation_never_awaited(async_method method, std::string_view name) noexcept;
void warn_call_never_awaited(std::string_view name) noexcept;

/// This thread's hooks; null if none are set.
std::shared_ptr<const async_generator_hooks> current_asyncgen_hooks();

/// Gives a dropped generator to the finalizer; what that throws is reported.
void finalize(const async_generator_hooks& hooks, std::shared_ptr<async_generator_object> object) noexcept;

inline namespace KRAIT_BACKEND {

#pragma GCC visibility push(default)
/// An async_generator of any items.
template <class DriverYield, class DriverSend>
class driven_async_generator_object : public async_generator_object {
 public:
  virtual coroutine<DriverYield, DriverSend> closing() = 0;
};
#pragma GCC visibility pop

}  // namespace KRAIT_BACKEND

/// What an asynchronous generator and its body share. `item` and `sent` point to objects on each
/// other's stacks.
struct async_exchange {
  void* item = nullptr;  ///< what the body has yielded, in this run of it
  void* sent = nullptr;  ///< a Send for the body's pending `yield`; null: None
};

}  // namespace detail

inline namespace KRAIT_BACKEND {

/// What an asynchronous generator's body is given: call it to yield, `await` to await.
template <class Yield, class Send = void, class DriverYield = void, class DriverSend = void>
class async_yielder : public awaiter<DriverYield, DriverSend> {
 public:
  async_yielder(yielder<DriverYield, DriverSend>& yield, detail::async_exchange& exchange) noexcept
      : awaiter<DriverYield, DriverSend>(yield), yield_(yield), exchange_(exchange) {}

  /// Suspends the generator; `value` is what the operation that resumed it evaluates to. Returns what
  /// the next one sends. Throws what athrow() and aclose() raise here. Python: `yield value`.
  template <class Y = Yield>
  requires(!std::is_void_v<Y>) Send operator()(std::type_identity_t<Y> value) {
    return suspend(std::addressof(value));
  }

  template <class Y = Yield>
  requires std::is_void_v<Y> Send operator()() { return suspend(this); }

 private:
  Send suspend(void* item) {
    detail::check_stack(yield_);
    exchange_.item = item;
    if (detail::yield_word(yield_, item) == static_cast<void*>(&yield_)) {
      detail::raise_pending(yield_);
    }
    if constexpr (!std::is_void_v<Send>) {
      if constexpr (detail::has_none<Send>) {
        if (exchange_.sent == nullptr) {
          return none_traits<Send>::none();
        }
      }
      return std::move(*static_cast<Send*>(exchange_.sent));
    }
  }

  yielder<DriverYield, DriverSend>& yield_;
  detail::async_exchange& exchange_;
};

template <class Generator, detail::async_method method>
class async_operation;

/// A generator whose body may also await. Python: an asynchronous generator object,
/// typing.AsyncGenerator[Yield, Send].
///
/// * Yield: its items, a value or void. Send: what asend() takes and `yield` returns.
/// * DriverYield, DriverSend: what goes out to and comes in from whoever drives, as a coroutine's Yield
///   and Send.
///
/// asend(), anext(), athrow() and aclose() run nothing: they make operations, to be awaited or driven
/// by hand, once each and one after the other. An operation shares in the generator, which lives as
/// long as one of them does.
///
/// Made from a callable that takes an `async_yielder<Yield, Send, DriverYield, DriverSend>&`.
/// Move-only. All throws value_error after it was moved from. Dropped while suspended, it goes to the
/// finalizer hook of the thread in which it was first iterated; without one it is closed on the spot,
/// and what that raises goes to the unraisable hook.
template <class Yield, class Send = void, class DriverYield = void, class DriverSend = void>
class [[nodiscard]] async_generator {
  static_assert(!std::is_reference_v<Yield> && !std::is_reference_v<Send>,
                "an async_generator yields and is sent values: use a pointer or std::reference_wrapper");

  using handle = async_yielder<Yield, Send, DriverYield, DriverSend>;
  using asend_type = async_operation<async_generator, detail::async_method::asend>;
  using athrow_type = async_operation<async_generator, detail::async_method::athrow>;
  using aclose_type = async_operation<async_generator, detail::async_method::aclose>;

 public:
  using yield_type = Yield;
  using send_type = Send;

  /// `name` and errors as for a generator.
  template <detail::body_of<handle, void> Body>
  async_generator(Body&& body,
                  const char* name = __builtin_FUNCTION())  // NOLINT(google-explicit-constructor)
      : object_(new object(std::forward<Body>(body), name), dropped) {}

  /// On a stack from `where`, as for a generator.
  template <stack_choice Stack = stack_options, detail::body_of<handle, void> Body>
  async_generator(std::allocator_arg_t, Stack&& where, Body&& body, const char* name = __builtin_FUNCTION())
      : object_(new object(std::forward<Body>(body), name, std::allocator_arg, std::forward<Stack>(where)),
                dropped) {}

  async_generator(async_generator&&) noexcept = default;
  async_generator& operator=(async_generator&&) noexcept = default;

  /// What a hook was given, as it was. Throws value_error if it is of another type.
  static async_generator from_object(const std::shared_ptr<async_generator_object>& given) {
    auto same = std::dynamic_pointer_cast<object>(given);
    if (same == nullptr) {
      detail::throw_of_another_type();
    }
    return async_generator(std::move(same));
  }

  /// Resumes the body; what that yields next is the result. Throws stop_async_iteration at the end;
  /// type_error at a `yield` that cannot be sent None. Python: `g.__anext__()`.
  asend_type anext() { return asend_type(first_checked()); }

  /// The same, the pending `yield` returning `value`. Python: `g.asend(value)`.
  template <class S = Send>
  requires(!std::is_void_v<S>) asend_type asend(std::type_identity_t<S> value) {
    return asend_type(first_checked(), std::move(value));
  }

  /// Raises `exception` at the pending `yield`; what the body yields next is the result, or none if it
  /// had ended. Throws type_error if it is null. Python: `g.athrow(exception)`.
  athrow_type athrow(std::exception_ptr exception) {
    if (exception == nullptr) {
      detail::throw_no_exception();
    }
    return athrow_type(first_checked(), std::move(exception));
  }

  template <class Exception>
  requires(!std::convertible_to<Exception, std::exception_ptr>) athrow_type athrow(Exception&& exception) {
    return athrow(std::make_exception_ptr(std::forward<Exception>(exception)));
  }

  /// Raises generator_exit at the pending `yield`, for the body to clean up and end. Throws
  /// runtime_error `async generator ignored GeneratorExit` if it yields instead. Python: `g.aclose()`.
  aclose_type aclose() { return aclose_type(first_checked()); }

  /// Itself. Python: `g.__aiter__()`.
  async_generator& aiter() noexcept { return *this; }

  /// Python: inspect.getasyncgenstate(g). It is running, too, while an operation waits for something.
  generator_state state() const {
    const object& self = *checked();
    return self.running ? generator_state::running : self.body.state();
  }
  bool running() const { return state() == generator_state::running; }
  bool suspended() const { return state() == generator_state::suspended; }
  bool done() const { return state() == generator_state::closed; }

  /// What its body awaits, as coroutine::awaiting(). Python: `g.ag_await`.
  std::string awaiting() const { return checked()->body.delegate_repr(); }

  /// As generator::stack_used().
  std::size_t stack_used() const { return checked()->body.stack_used(); }

  std::string_view name() const { return checked()->body.name(); }
  /// Throws std::bad_alloc.
  void set_name(std::string_view name) { checked()->body.set_name(name); }
  /// "<async_generator object NAME at 0x...>". Python: repr(g).
  std::string repr() const { return checked()->body.repr(); }

 private:
  template <detail::misfit<handle, void> Body>
  async_generator(Body&& body, const char* = "")  // NOLINT(google-explicit-constructor)
      : async_generator(detail::refused<async_generator, handle, void, Body>(body)) {}

  template <class, detail::async_method>
  friend class async_operation;

  template <class Body>
  struct body_with_exchange {
    Body body;
    detail::async_exchange& exchange;

    void operator()(yielder<DriverYield, DriverSend>& yield) {
      handle co(yield, exchange);
      try {
        body(co);
      } catch (const stop_async_iteration&) {
        detail::throw_stop_async_iteration_escaped();
      }
    }
  };

#pragma GCC visibility push(default)
  struct object final : detail::driven_async_generator_object<DriverYield, DriverSend> {
    template <class Body, class... Where>
    object(Body&& callable, const char* name, Where&&... where)
        : body(std::forward<Where>(where)...,
               body_with_exchange<std::decay_t<Body>>{std::forward<Body>(callable), exchange}, name) {
      body.set_kind(detail::kind::async_generator);
    }
    std::string_view name() const override { return body.name(); }
    std::string repr() const override { return body.repr(); }
    coroutine<DriverYield, DriverSend> closing() override {
      return {[self = this->shared_from_this()](auto& co) { co.await(from_object(self).aclose()); },
              "aclose"};
    }

    detail::async_exchange exchange;
    generator<DriverYield, DriverSend> body;
    std::shared_ptr<const async_generator_hooks> hooks;
    bool iterated = false;  ///< hooks have been looked up
    bool running = false;   ///< an operation is in flight
    bool ended = false;     ///< was to be closed by an aclose(), though the body may have ignored it
  };
#pragma GCC visibility pop

  explicit async_generator(std::shared_ptr<object> taken) noexcept : object_(std::move(taken)) {}

  const std::shared_ptr<object>& checked() const {
    if (object_ == nullptr) [[unlikely]] {
      detail::throw_moved_from(detail::kind::async_generator);
    }
    return object_;
  }

  /// The same, for an operation.
  std::shared_ptr<object> first_checked() const {
    std::shared_ptr<object> kept = checked();  // whatever the hook does with this
    object& self = *kept;
    if (!self.iterated) {
      self.iterated = true;
      self.hooks = detail::current_asyncgen_hooks();
      if (self.hooks != nullptr && self.hooks->firstiter) {
        self.hooks->firstiter(self);
      }
    }
    return kept;
  }

  /// Nobody holds it any more.
  static void dropped(object* self) noexcept {
    const auto hooks = std::exchange(self->hooks, nullptr);
    if (hooks == nullptr || !hooks->finalizer || self->ended || self->body.done() || self->body.running()) {
      delete self;
      return;
    }
    try {
      detail::finalize(*hooks, std::shared_ptr<object>(self, dropped));
    } catch (const std::bad_alloc&) {  // then it was dropped again
    }
  }

  std::shared_ptr<object> object_;
};

/// What anext(), asend(), athrow() and aclose() of an async_generator return: to be awaited, or driven
/// by hand with next(), send(), throw_() and close(). Python: async_generator_asend,
/// async_generator_athrow.
///
/// Driven, it gives what its generator's body awaits; it ends with a stop_iteration of the result, with
/// stop_async_iteration, or with what left the body. It can be used once: then, runtime_error `cannot
/// reuse already awaited ...`. While another operation is in flight: runtime_error `...: asynchronous
/// generator is already running`, and this one is used up. Called by the body that it runs: value_error
/// `async generator already executing`, and nothing changes. Dropped before it was used, it warns that it
/// was never awaited. It must not be destroyed by the body that it runs.
template <class Yield, class Send, class DriverYield, class DriverSend, detail::async_method method>
class [[nodiscard]] async_operation<async_generator<Yield, Send, DriverYield, DriverSend>, method> {
  using generator_type = async_generator<Yield, Send, DriverYield, DriverSend>;
  using object = typename generator_type::object;
  static constexpr bool is_asend = method == detail::async_method::asend;
  static constexpr bool is_athrow = method == detail::async_method::athrow;
  static constexpr bool is_aclose = method == detail::async_method::aclose;
  static constexpr bool has_item = !is_aclose && !std::is_void_v<Yield>;

  struct nothing {};
  using sent_type = std::conditional_t<std::is_void_v<DriverSend>, nothing, DriverSend>;
  /// What it resumes the body with, the first time.
  using input_type = std::conditional_t<
      is_athrow, std::exception_ptr,
      std::conditional_t<is_asend && !std::is_void_v<Send>,
                         std::optional<std::conditional_t<std::is_void_v<Send>, char, Send>>, nothing>>;

 public:
  using awaits_itself = void;
  /// Of asend() and anext() an item; of athrow() an item or, from a generator that had ended, none; of
  /// aclose() void.
  using return_type =
      std::conditional_t<!has_item, void, std::conditional_t<is_athrow, std::optional<Yield>, Yield>>;

  /// Throws value_error `async generator already executing`, with nothing moved, if it is running its body.
  async_operation(async_operation&& other)
      : object_(std::move(other.movable().object_)), stage_(other.stage_), input_(std::move(other.input_)) {}
  async_operation& operator=(async_operation&&) = delete;
  ~async_operation() {
    if (object_ != nullptr && stage_ == stage::created) {
      detail::warn_operation_never_awaited(method, object_->name());
    }
  }

  /// Runs the body to what it awaits, and returns what that yields. Python: `next(operation)`,
  /// `operation.send(None)`.
  DriverYield next() { return driven(resume(nullptr)); }
  DriverYield send() { return next(); }

  /// The same, and what is awaited receives `value`. The first time, an asend()'s value goes to the
  /// body's `yield` instead of its own, if it is of that type (type_error if not); the others take only
  /// None then (runtime_error).
  template <class S = DriverSend>
  requires(!std::is_void_v<S>) DriverYield send(std::type_identity_t<S> value) {
    return driven(resume(detail::is_none(value) ? nullptr : std::addressof(value)));
  }

  /// Raises `exception` in what is awaited; the first time, at the body's `yield`, in place of what the
  /// operation was to do. Throws type_error if it is null.
  DriverYield throw_(std::exception_ptr exception) { return driven(raise(std::move(exception))); }

  template <class Exception>
  requires(!std::convertible_to<Exception, std::exception_ptr>) DriverYield throw_(Exception&& exception) {
    return throw_(std::make_exception_ptr(std::forward<Exception>(exception)));
  }

  /// Raises generator_exit as throw_() does. Throws runtime_error `coroutine ignored GeneratorExit` if
  /// the body awaits something in answer.
  void close() {
    if (object_ == nullptr || stage_ == stage::closed) {
      return;
    }
    outcome made;
    try {
      made = raise(std::make_exception_ptr(generator_exit()));
    } catch (const generator_exit&) {
      return;
    }
    if (made.came_to == end::not_yet) {
      throw runtime_error("coroutine ignored GeneratorExit");
    }
  }

  /// Itself. Python: `operation.__await__()`.
  async_operation& await() & noexcept { return *this; }

  /// How a coroutine awaits it.
  template <class Y, class S>
  return_type await_in(yielder<Y, S>& yield) {
    static_assert(
        detail::can_send_on<S, DriverSend>,
        "await: what is sent to this coroutine cannot be sent on to what the async_generator awaits: "
        "make its Send the generator's DriverSend");
    static_assert(detail::can_yield_on<Y, DriverYield>(),
                  "await: what the async_generator awaits yields what this coroutine cannot yield: make its "
                  "Yield the generator's DriverYield");
    detail::check_stack(yield);
    const detail::delegation_scope scope(yield, detail::foreign_delegate);
    try {
      outcome made = resume(nullptr);
      while (made.came_to == end::not_yet) {
        made = pass_on(yield, made.item);
      }
      return result(made);
    } catch (stop_iteration<>& stop) {
      // Of an iterator, this is the end. Only an athrow() can raise it: before the generator has started.
      return detail::value_of_stop<return_type>(stop);
    }
  }

 private:
  friend generator_type;

  enum class stage : unsigned char { created, started, closed };
  enum class end : unsigned char { not_yet, item, none, stop_async_iteration };
  struct outcome {
    void* item = nullptr;  ///< what was yielded: to the driver before the end, to the consumer at it
    end came_to = end::none;
  };

  template <class... Input>
  explicit async_operation(std::shared_ptr<object> shared, Input&&... input)
      : object_(std::move(shared)), input_(std::forward<Input>(input)...) {}

  /// A run goes on in this very object.
  async_operation& movable() {
    if (object_ != nullptr && stage_ == stage::started && object_->body.running()) {
      detail::throw_already_executing(object_->body.checked());
    }
    return *this;
  }

  void check_reuse() const {
    if (object_ == nullptr || stage_ == stage::closed) {
      detail::throw_cannot_reuse_operation(method);
    }
  }
  void start_alone() {
    if (object_->running) {
      stage_ = stage::closed;
      detail::throw_async_generator_running(method);
    }
    stage_ = stage::started;
  }

  /// Goes on, with what the driver sent (null: None).
  outcome resume(sent_type* sent) {
    check_reuse();
    object& self = *object_;
    if (!is_asend && self.body.done()) {
      stage_ = stage::closed;
      return {nullptr, end::none};
    }
    if (stage_ == stage::started) {
      if constexpr (!detail::has_none<DriverSend>) {
        if (sent == nullptr && self.body.suspended()) {
          detail::throw_cannot_send_none(self.body.checked());
        }
      }
      return run([&] {
        if constexpr (!std::is_void_v<DriverSend>) {
          if (sent != nullptr) {
            return self.body.advance_with_value(*sent);
          }
        }
        return self.body.advance();
      });
    }
    if constexpr (is_asend) {
      start_alone();
      return run([&] {
        send_to_yield(sent);
        return self.body.advance_with_none();
      });
    } else {
      start_alone();
      if (self.ended) {
        stage_ = stage::closed;
        return {nullptr, end::stop_async_iteration};
      }
      if (sent != nullptr) {
        stage_ = stage::created;
        detail::throw_started_with_value();
      }
      self.ended = self.ended || is_aclose;
      return run([&] {
        if constexpr (is_athrow) {
          return self.body.raise(std::move(input_));
        } else {
          return self.body.raise(std::make_exception_ptr(generator_exit()));
        }
      });
    }
  }

  /// Leaves for the body's `yield` what the driver sent, or else the asend()'s own value.
  void send_to_yield(sent_type* sent) {
    object& self = *object_;
    if constexpr (std::is_void_v<Send>) {
      if (sent != nullptr) {
        detail::throw_cannot_be_sent();
      }
    } else {
      if (sent != nullptr) {
        if constexpr (std::convertible_to<sent_type, Send>) {
          input_.emplace(std::move(*sent));
        } else {
          detail::throw_cannot_be_sent();
        }
      }
      const bool none = !input_.has_value() || detail::is_none(*input_);
      if (!none && self.body.state() == generator_state::created) {
        detail::throw_async_not_just_started();
      }
      if constexpr (!detail::has_none<Send>) {
        if (none && self.body.suspended()) {
          detail::throw_async_cannot_send_none();
        }
      }
      self.exchange.sent = none ? nullptr : std::addressof(*input_);
    }
  }

  /// Goes on with an exception.
  outcome raise(std::exception_ptr exception) {
    check_reuse();
    if (exception == nullptr) {
      detail::throw_no_exception();
    }
    if (stage_ == stage::created) {
      start_alone();
    }
    return run([&] { return object_->body.raise(std::move(exception)); });
  }

  /// Resumes the body, and finds out what that has come to.
  template <class Resume>
  outcome run(Resume resume_body) {
    object& self = *object_;
    if (self.body.running()) {  // and has called this operation, whose run of it goes on
      detail::throw_already_executing(self.body.checked());
    }
    self.running = true;
    self.exchange.item = nullptr;
    void* item = nullptr;
    try {
      auto made = resume_body();
      item = made.item;
      if (item == nullptr) {
        self.body.take_end(*made.self);
      }
    } catch (const generator_exit&) {
      return ended_by_exception();
    } catch (const stop_async_iteration&) {
      return ended_by_exception();
    } catch (...) {
      leave();
      throw;
    }
    if (item == nullptr) {
      leave();
      return {nullptr, is_aclose ? end::none : end::stop_async_iteration};
    }
    if (self.exchange.item == nullptr) {
      return {item, end::not_yet};
    }
    leave();
    if (is_aclose) {
      std::rethrow_exception(self.body.ignored_exit());
    }
    return {self.exchange.item, end::item};
  }

  /// Within a handler of what an aclose() takes for the end that it asked for.
  outcome ended_by_exception() {
    leave();
    if (!is_aclose) {
      throw;
    }
    return {nullptr, end::none};
  }

  void leave() noexcept {
    object_->running = false;
    stage_ = stage::closed;
  }

  /// If what is to be passed on cannot be converted, or this coroutine was destroyed while it ran, nobody
  /// will go on.
  template <class Pass>
  auto or_close(Pass pass) {
    try {
      return pass();
    } catch (...) {
      close();
      throw;
    }
  }

  /// Yields what the body awaits, and goes on with what this coroutine is resumed with.
  template <class Y, class S>
  outcome pass_on(yielder<Y, S>& yield, void* item) {
    void* const word = or_close([&] {
      if constexpr (std::same_as<Y, DriverYield>) {
        return detail::yield_word(yield, item);
      } else {
        detail::item_slot<Y> slot;
        return detail::yield_word(
            yield, slot.fill([&]() -> decltype(auto) { return detail::passed_on<Y, DriverYield>(item); }));
      }
    });
    if (word != static_cast<void*>(&yield)) {
      if constexpr (std::is_void_v<S> || std::is_void_v<DriverSend>) {
        return resume(nullptr);
      } else {
        S* const sent = static_cast<S*>(word);
        if (sent == nullptr || detail::is_none(*sent)) {
          return resume(nullptr);
        }
        DriverSend value = or_close([&] { return detail::sent_on<DriverSend>(*sent); });
        return resume(std::addressof(value));
      }
    }
    std::exception_ptr thrown = detail::take_pending(yield);
    if (detail::is_generator_exit(thrown)) {
      close();
      std::rethrow_exception(std::move(thrown));
    }
    return raise(std::move(thrown));
  }

  template <class T>
  static T raw(void* item) {
    if constexpr (!std::is_void_v<T>) {
      return static_cast<T&&>(*static_cast<std::remove_reference_t<T>*>(item));
    }
  }

  /// What the operation evaluates to.
  static return_type result(outcome made) {
    if (made.came_to == end::stop_async_iteration) {
      throw stop_async_iteration();
    }
    if constexpr (has_item) {
      if constexpr (is_athrow) {
        return made.came_to == end::none ? return_type() : return_type(raw<Yield>(made.item));
      } else {
        return raw<Yield>(made.item);
      }
    }
  }

  static DriverYield driven(outcome made) {
    if (made.came_to == end::not_yet) {
      return raw<DriverYield>(made.item);
    }
    if constexpr (std::is_void_v<return_type>) {
      result(made);
      throw stop_iteration<>();
    } else {
      static_assert(alignof(return_type) <= alignof(std::max_align_t),
                    "an exception cannot carry an item of such alignment: await the operation");
      throw stop_iteration<return_type>(result(made));
    }
  }

  std::shared_ptr<object> object_;
  stage stage_ = stage::created;
  [[no_unique_address]] input_type input_{};
};

/// A coroutine that awaits the aclose() of a generator of any items, and keeps that alive meanwhile: for
/// an event loop, which only knows what those yield and are sent that it drives. Throws value_error if the
/// generator's DriverYield and DriverSend are others.
template <class DriverYield, class DriverSend = void>
coroutine<DriverYield, DriverSend> aclose(async_generator_object& object) {
  auto* const driven = dynamic_cast<detail::driven_async_generator_object<DriverYield, DriverSend>*>(&object);
  if (driven == nullptr) {
    detail::throw_of_another_type();
  }
  return driven->closing();
}

}  // namespace KRAIT_BACKEND

namespace detail {

/// An awaitable made of a function that awaits.
template <class Function>
class deferred {
 public:
  using awaits_itself = void;
  explicit deferred(Function function) : function_(std::move(function)) {}

  template <class Y, class S>
  decltype(auto) await_in(yielder<Y, S>& yield) {
    awaiter<Y, S> co(yield);
    return function_(co);
  }

 private:
  Function function_;
};

}  // namespace detail

/// Has `anext()`, which returns something to await for the next item; at the end it, or that, throws
/// stop_async_iteration. Python: collections.abc.AsyncIterator.
template <class T>
concept async_iterator = requires(std::remove_reference_t<T>& object) {
  { object.anext() } -> awaitable;
};

/// Has `aiter()`, which returns an asynchronous iterator. Python: collections.abc.AsyncIterable.
template <class T>
concept async_iterable = requires(std::remove_reference_t<T>& object) {
  { object.aiter() } -> async_iterator;
};

/// Python: `aiter(iterable)`.
template <async_iterable T>
decltype(auto) aiter(T& iterable) {
  return iterable.aiter();
}

/// Python: `anext(iterator)`.
template <async_iterator T>
decltype(auto) anext(T& iterator) {
  return iterator.anext();
}

/// To be awaited: the next item, or `fallback` at the end. What `iterator.anext()` itself throws comes
/// out of this call. Python: `anext(iterator, fallback)`.
template <async_iterator T, class Fallback>
auto anext(T& iterator, Fallback fallback) {
  using awaited = decltype(iterator.anext());  // perhaps a reference
  return detail::deferred(
      [operation = std::tuple<awaited>(iterator.anext()), fallback = std::move(fallback)](auto& co) mutable {
        using item = std::remove_cvref_t<decltype(co.await(std::get<0>(std::move(operation))))>;
        try {
          return static_cast<item>(co.await(std::get<0>(std::move(operation))));
        } catch (const stop_async_iteration&) {
          return static_cast<item>(std::move(fallback));
        }
      });
}

namespace detail {

/// Could a loop over it come to its second item?
template <class T>
inline constexpr bool can_be_sent_none = true;
template <class Y, class S, class DriverY, class DriverS>
inline constexpr bool can_be_sent_none<async_generator<Y, S, DriverY, DriverS>> = has_none<S>;

/// What async_for() returns.
template <class Awaiter, class Iterable>
class async_range {
  using returned_type = decltype(std::declval<std::remove_reference_t<Iterable>&>().aiter());
  using async_iterator = std::remove_reference_t<returned_type>;
  static constexpr bool by_reference = std::is_reference_v<returned_type>;
  using awaited_type = decltype(std::declval<Awaiter&>().await(std::declval<async_iterator&>().anext()));
  // Nothing, as in a loop over a generator<void>.
  using item_type = std::conditional_t<std::is_void_v<awaited_type>, std::byte, awaited_type>;
  using slot_type = std::conditional_t<std::is_reference_v<item_type>, std::remove_reference_t<item_type>*,
                                       std::optional<item_type>>;

 public:
  async_range(Awaiter& co, Iterable&& iterable) : co_(&co), iterable_(kept(iterable)) {}

  class iterator {
    using stored_type = std::conditional_t<by_reference, async_iterator*, async_iterator>;

   public:
    using iterator_concept = std::input_iterator_tag;
    using value_type = std::remove_cvref_t<item_type>;
    using reference = std::remove_reference_t<item_type>&;
    using difference_type = std::ptrdiff_t;

    /// Of no iterable, and at its end: for views that make their iterators before they have one.
    iterator() requires std::default_initializable<stored_type>
    = default;
    iterator(Awaiter& co, std::remove_reference_t<Iterable>& iterable)
        : co_(&co), iterator_(begin(iterable)), due_(true) {}

    reference operator*() const {
      fetch_if_due();
      return *item_;
    }
    iterator& operator++() {
      fetch_if_due();
      due_ = true;
      return *this;
    }
    void operator++(int) { ++*this; }

    friend bool operator==(const iterator& it, std::default_sentinel_t) {
      it.fetch_if_due();
      return !it.item_;
    }

   private:
    static stored_type begin(std::remove_reference_t<Iterable>& iterable) {
      if constexpr (by_reference) {
        return std::addressof(iterable.aiter());
      } else {
        return iterable.aiter();
      }
    }
    async_iterator& each() const noexcept {
      if constexpr (by_reference) {
        return *iterator_;
      } else {
        return iterator_;
      }
    }

    void fetch_if_due() const {
      if (due_) {
        due_ = false;
        if constexpr (std::is_reference_v<item_type>) {
          item_ = nullptr;
        } else {
          item_.reset();
        }
        try {
          if constexpr (std::is_void_v<awaited_type>) {
            co_->await(each().anext());
            item_.emplace();
          } else if constexpr (std::is_reference_v<item_type>) {
            item_ = std::addressof(co_->await(each().anext()));
          } else {
            item_.emplace(co_->await(each().anext()));
          }
        } catch (const stop_async_iteration&) {
        }
      }
    }

    Awaiter* co_ = nullptr;
    mutable stored_type iterator_{};
    mutable slot_type item_{};
    mutable bool due_ = false;
  };

  iterator begin() {
    if constexpr (by_pointer) {
      return iterator(*co_, *iterable_);
    } else {
      return iterator(*co_, iterable_);
    }
  }
  std::default_sentinel_t end() const noexcept { return std::default_sentinel; }

 private:
  static constexpr bool by_pointer =
      std::is_reference_v<Iterable>;  // so that it can be assigned, as views are

  static decltype(auto) kept(std::remove_reference_t<Iterable>& iterable) noexcept {
    if constexpr (by_pointer) {
      return std::addressof(iterable);
    } else {
      return std::move(iterable);
    }
  }

  Awaiter* co_;
  std::conditional_t<by_pointer, std::remove_reference_t<Iterable>*, Iterable> iterable_;
};

}  // namespace detail

// GCC 14 takes a class that holds a pointer and needs no destructor for a view, and warns that one which is
// made of a temporary dangles. This one keeps the temporary.
#if __has_cpp_attribute(gnu::no_dangling)
#define KRAIT_NO_DANGLING [[gnu::no_dangling]]
#else
#define KRAIT_NO_DANGLING
#endif

/// A range of the items of an asynchronous iterable, each awaited when the loop comes to it. Python:
/// `async for`.
///
///     for (auto& row : krait::async_for(co, remote_table)) { ... }
///
/// Throws, at the beginning and with each item, what leaves the iterable's functions and what is
/// awaited, but for stop_async_iteration, which ends the loop. To leave the loop early does not close
/// an async_generator: see aclosing.
template <class Awaiter, class Iterable>
KRAIT_NO_DANGLING auto async_for(Awaiter& co, Iterable&& iterable) {
  static_assert(
      requires { iterable.aiter(); },
      "'async for' requires an object with aiter(); over a range or a generator, loop with a plain for");
  if constexpr (requires { iterable.aiter(); }) {
    static_assert(
        requires { iterable.aiter().anext(); },
        "'async for' received an object from aiter() that does not implement anext()");
    if constexpr (requires { iterable.aiter().anext(); }) {
      static_assert(awaitable<decltype(iterable.aiter().anext())>,
                    "'async for' received an invalid object from anext(): it cannot be awaited");
      static_assert(detail::can_be_sent_none<std::remove_cvref_t<decltype(iterable.aiter())>>,
                    "'async for' sends None, which this generator's Send cannot say: asend(), or a Send of "
                    "std::optional");
      return detail::async_range<Awaiter, Iterable>(co, std::forward<Iterable>(iterable));
    }
  }
}

#undef KRAIT_NO_DANGLING

}  // namespace krait
