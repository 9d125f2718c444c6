// SPDX-License-Identifier: BSL-1.0
#pragma once

// Context managers, and the statement that uses them. Python: `with`, and its module contextlib.
//
// A destructor does what the exit of most managers does. It cannot see the exception that is passing,
// swallow it, or put another in its place: that is what `with` is for. `entered` is for the rest.

#include <concepts>
#include <exception>
#include <functional>
#include <memory>
#include <optional>
#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>

#include "krait/exceptions.hpp"
#include "krait/generator.hpp"
#include "krait/hooks.hpp"

namespace krait {

/// Has `exit(std::exception_ptr)`: what to do when a block is left, by that exception, or in order if it is
/// null. It returns whether the exception is swallowed: bool, or void for never. An exception of its own
/// takes the other's place. Python: `__exit__`.
template <class T>
concept has_exit = requires(std::remove_reference_t<T>& manager, std::exception_ptr exception) {
  requires std::is_void_v<decltype(manager.exit(exception))> ||
      std::same_as<decltype(manager.exit(exception)), bool>;
};

/// Has `exit`, and `enter()`, which returns what the block is to work with. Python:
/// contextlib.AbstractContextManager.
template <class T>
concept context_manager = has_exit<T> && requires(std::remove_reference_t<T>& manager) {
  manager.enter();
};

class exit_stack;

namespace detail {

/// For an error's text.
template <class T>
concept asynchronous_only =
    !context_manager<T> && requires(std::remove_reference_t<T> & manager, std::exception_ptr exception) {
  manager.aenter();
  manager.aexit(exception);
};

template <class Manager>
using entered_type = decltype(std::declval<std::remove_reference_t<Manager>&>().enter());

template <class Manager>
inline constexpr bool swallows =
    !std::is_void_v<decltype(std::declval<std::remove_reference_t<Manager>&>().exit(nullptr))>;

/// Within a handler: is that of `exception`, which was raised in a generator, or of the runtime_error that a
/// generator makes of it, if it is one of these Ends of an iteration?
template <class... Ends>
bool came_back(const std::exception_ptr& exception) {
  const std::exception_ptr handled = std::current_exception();
  if (handled == nullptr || handled == exception) {
    return handled != nullptr;  // no C++ exception: a thread is cancelled
  }
  try {
    std::rethrow_exception(handled);
  } catch (const runtime_error& raised) {
    const auto* const nested = dynamic_cast<const std::nested_exception*>(&raised);
    return nested != nullptr && exception != nullptr && nested->nested_ptr() == exception &&
           (holds<Ends>(exception) || ...);
  } catch (...) {
    return false;
  }
}

/// What the exit of a manager made from a generator returns whose body has swallowed `exception`.
template <class Exit>
Exit swallowed(const std::exception_ptr& exception) {
  if constexpr (!std::is_void_v<Exit>) {
    return true;
  } else if (!is_generator_exit(exception)) {
    try {
      std::rethrow_exception(exception);
    } catch (...) {
      std::throw_with_nested(
          runtime_error("generator swallowed an exception, and its manager's Exit is void"));
    }
  }
}

/// Calls `manager.exit`; was the exception swallowed?
template <class Manager>
bool exit_from(Manager& manager, std::exception_ptr exception) {
  if constexpr (swallows<Manager>) {
    return manager.exit(std::move(exception));
  } else {
    manager.exit(std::move(exception));
    return false;
  }
}

/// The same within a handler, for what is being handled. What is not a C++ exception (a thread being
/// cancelled, say) exits as a generator that is closed, and cannot be swallowed.
template <class Manager>
bool exit_from_handler(Manager& manager, std::exception_ptr exception) {
  if (exception == nullptr) {
    exit_from(manager, std::make_exception_ptr(generator_exit()));
    return false;
  }
  return exit_from(manager, std::move(exception));
}

/// The same in a destructor, where an exception that is passing cannot be seen.
template <class Manager>
void exit_from_destructor(Manager& manager, int exceptions_before) {
  if (std::uncaught_exceptions() <= exceptions_before) {
    exit_from(manager, nullptr);
    return;
  }
  try {
    exit_from(manager, std::make_exception_ptr(generator_exit()));
  } catch (const generator_exit&) {
  } catch (...) {
    report_unraisable(std::current_exception(), "Exception ignored while leaving a context");
  }
}

/// What a `with` makes of what its body returns.
template <class Manager, class R>
using with_result = std::conditional_t<std::is_void_v<R> || !swallows<Manager>, R, std::optional<R>>;

/// What a manager's enter() returned.
template <class Manager>
class entered_value {
  using value_type = entered_type<Manager>;
  using stored_type = std::conditional_t<
      std::is_void_v<value_type>, char,
      std::conditional_t<std::is_reference_v<value_type>, std::remove_reference_t<value_type>*, value_type>>;

 public:
  explicit entered_value(Manager& manager) : stored_(enter(manager)) {}

  auto& operator*() noexcept {
    if constexpr (std::is_reference_v<value_type>) {
      return *stored_;
    } else {
      return stored_;
    }
  }

  /// Calls `body` with it, if it takes it.
  template <class Body>
  decltype(auto) pass_to(Body& body) {
    if constexpr (std::is_void_v<value_type>) {
      static_assert(std::invocable<Body&>,
                    "with: the body takes nothing, as the manager's enter() returns nothing");
      return body();
    } else if constexpr (std::invocable<Body&, std::remove_reference_t<value_type>&>) {
      return body(**this);
    } else if constexpr (std::invocable<Body&, value_type>) {
      return body(static_cast<value_type&&>(**this));
    } else {
      static_assert(std::invocable<Body&>,
                    "with: the body takes nothing, or what the manager's enter() returns");
      return body();
    }
  }

 private:
  static stored_type enter(Manager& manager) {
    if constexpr (std::is_void_v<value_type>) {
      manager.enter();
      return {};
    } else if constexpr (std::is_reference_v<value_type>) {
      return std::addressof(manager.enter());
    } else {
      return manager.enter();
    }
  }

  stored_type stored_;
};

}  // namespace detail

/// Enters `manager`, calls `body` with what that made (or with nothing, if it takes nothing), and exits,
/// however the body was left. Python: `with manager as value:`.
///
/// Returns what the body returns; if the manager is one that can swallow exceptions (its exit returns bool),
/// that in a std::optional, empty when it did. Throws what leaves `enter` (the body is not run and exit not
/// called), the body (if exit does not swallow it) or exit, which takes the place of the body's. exit is
/// called within the handler of the body's exception, so that std::throw_with_nested keeps that as a cause.
/// What enter() returned lives until exit has been called.
template <class Manager, class Body>
auto with(Manager&& manager, Body&& body) {
  static_assert(!detail::asynchronous_only<Manager>,
                "with: the object does not support the context manager protocol, but it supports the "
                "asynchronous one. Did you mean to use async_with?");
  static_assert(context_manager<Manager> || detail::asynchronous_only<Manager>,
                "with: the object does not support the context manager protocol: enter(), and "
                "exit(std::exception_ptr) that returns bool or void");
  using plain_manager = std::remove_reference_t<Manager>;
  std::optional<detail::entered_value<plain_manager>> entered;
  using returned = decltype(entered->pass_to(body));
  using result = detail::with_result<Manager, returned>;
  static_assert(!std::is_reference_v<returned>, "with: a body returns a value or nothing");

  using stored = std::conditional_t<std::is_void_v<returned>, char, returned>;
  std::optional<stored> made;
  std::exception_ptr passing;
  try {
    entered.emplace(manager);
    if constexpr (std::is_void_v<returned>) {
      entered->pass_to(body);
    } else {
      made.emplace(entered->pass_to(body));
    }
  } catch (...) {
    passing = std::current_exception();
    const bool inside = entered.has_value();
    if (!inside || passing == nullptr || !std::same_as<std::remove_cvref_t<Manager>, exit_stack>) {
      if (!inside || !detail::exit_from_handler(manager, passing)) {
        throw;
      }
      if constexpr (detail::swallows<Manager>) {
        return result();
      }
    }
  }
  if (passing == nullptr) {
    detail::exit_from(manager, nullptr);
  } else if (!detail::exit_from(manager, passing)) {  // an exit_stack, which handles it for each exit anew
    std::rethrow_exception(std::move(passing));
  }
  if constexpr (std::same_as<result, returned> && !std::is_void_v<returned>) {
    return result(std::move(*made));
  } else if constexpr (!std::is_void_v<returned>) {
    return result(std::move(made));
  }
}

namespace detail {

template <class Cleanup>
struct cleaning_up {
  void enter() noexcept {}
  void exit(const std::exception_ptr&) { static_cast<void>(std::invoke(cleanup)); }
  Cleanup& cleanup;
};

}  // namespace detail

/// Calls `body()`, then `cleanup()`, however the body was left; both may yield, wait or raise, as anywhere.
/// Python: `try: ... finally: ...`.
///
/// Returns what the body returns. Throws what leaves the body or the cleanup; what leaves that takes the
/// place of the body's exception, in whose handler it is called, so that std::throw_with_nested keeps it as a
/// cause.
template <class Body, class Cleanup>
auto try_finally(Body&& body, Cleanup&& cleanup) {
  return with(detail::cleaning_up<std::remove_reference_t<Cleanup>>{cleanup}, body);
}

/// A `with` that lasts as long as this object, for managers whose exit need not see the exception: left by
/// one, exit is called with generator_exit, as when a generator is closed.
///
/// What exit raises leaves the destructor, or goes to the unraisable hook if another exception is passing. A
/// thread that is cancelled, and an exception of another language, look to a destructor as if all went well:
/// `with` sees them.
template <context_manager Manager>
class [[nodiscard]] entered {
  static constexpr bool has_value = !std::is_void_v<detail::entered_type<Manager>>;

 public:
  /// Throws what `enter` throws; exit is not called then.
  explicit entered(std::type_identity_t<Manager> manager)
      : manager_(std::forward<Manager>(manager)), value_(manager_) {}
  entered(const entered&) = delete;
  entered& operator=(const entered&) = delete;

  ~entered() noexcept(false) { detail::exit_from_destructor(manager_, passing_); }

  /// What `enter` returned.
  auto& operator*() noexcept requires has_value { return *value_; }
  auto* operator->() noexcept requires has_value { return std::addressof(**this); }

 private:
  int passing_ = std::uncaught_exceptions();
  Manager manager_;
  detail::entered_value<std::remove_reference_t<Manager>> value_;
};

template <class Manager>
entered(Manager&&) -> entered<Manager>;

inline namespace KRAIT_BACKEND {

/// A manager made from a generator that yields once: what is before the `yield` enters, what is yielded is
/// the value, the exception of the block is raised at the `yield`, and what is after it exits. It swallows
/// the exception by catching it. Python: contextlib.contextmanager.
///
/// Exit is what its exit() returns: bool, or void if the body never swallows, so that `with` returns what the
/// block does, and no std::optional. Python's typing has it likewise: AbstractContextManager[T, None].
///
///     krait::contextmanager<transaction&> begin(database& db) {
///       return [&db](auto& yield) {
///         transaction t(db);
///         yield(t);
///         t.commit();
///       };
///     }
template <class T, class Exit = bool>
class [[nodiscard]] contextmanager {
  static_assert(std::same_as<Exit, bool> || std::is_void_v<Exit>,
                "contextmanager: its exit returns bool or, if its body never swallows exceptions, void");

 public:
  /// Makes a manager of `body(yielder)`, as a generator is made. Throws what making a generator throws.
  template <detail::body_of<yielder<T, void>, void> Body>
  contextmanager(Body&& body,  // NOLINT(google-explicit-constructor)
                 const char* name = __builtin_FUNCTION())
      : generator_(std::forward<Body>(body), name) {}

  /// On a stack from `where`, as for a generator.
  template <stack_choice Stack = stack_options, detail::body_of<yielder<T, void>, void> Body>
  contextmanager(std::allocator_arg_t, Stack&& where, Body&& body, const char* name = __builtin_FUNCTION())
      : generator_(std::allocator_arg, std::forward<Stack>(where), std::forward<Body>(body), name) {}

  /// Takes a generator that has not started.
  explicit contextmanager(generator<T>&& given) noexcept : generator_(std::move(given)) {}

  /// Runs the body to its `yield`. Throws what leaves the body; runtime_error `generator didn't yield` if it
  /// ends; value_error if this was entered before: it is good for one `with`.
  T enter() {
    if (generator_.state() != generator_state::created) {
      throw value_error("a contextmanager can be entered once");
    }
    auto step = generator_.resume();
    if (!step.yielded()) {
      throw runtime_error("generator didn't yield");
    }
    if constexpr (!std::is_void_v<T>) {
      return *step;
    }
  }

  /// Runs the body to its end, with `exception` raised at the `yield`, if there is one. Returns whether the
  /// body swallowed it. Throws what leaves the body, but for `exception` itself (or the runtime_error into
  /// which a generator turns it, if it is a stop_iteration); runtime_error `generator didn't stop` if it
  /// yields again. Where Exit is void, runtime_error with `exception` as its cause if the body swallowed it,
  /// unless that is a generator_exit, to which a body may answer by returning, and which goes on all the
  /// same.
  Exit exit(std::exception_ptr exception) {
    if (exception == nullptr) {
      if (generator_.resume().yielded()) {
        close_and_throw("generator didn't stop");
      }
      return Exit();
    }
    bool yielded = false;
    try {
      yielded = generator_.resume_with(exception).yielded();
    } catch (...) {
      if (!detail::came_back<stop_iteration<>>(exception)) {
        throw;
      }
      return Exit();
    }
    if (yielded) {
      close_and_throw("generator didn't stop after throw()");
    }
    return detail::swallowed<Exit>(exception);
  }

 private:
  template <detail::misfit<yielder<T, void>, void> Body>
  contextmanager(Body&& body, const char* = "")  // NOLINT(google-explicit-constructor)
      : contextmanager(detail::refused<contextmanager, yielder<T, void>, void, Body>(body)) {}

  [[noreturn]] void close_and_throw(const char* what) {
    generator_.close();
    throw runtime_error(what);
  }

  generator<T> generator_;
};

}  // namespace KRAIT_BACKEND

/// Calls `close()` of an object at the end. Python: contextlib.closing.
template <class T>
requires requires(std::remove_reference_t<T>& object) {
  object.close();
}
class [[nodiscard]] closing {
 public:
  explicit closing(std::type_identity_t<T> object) : object_(std::forward<T>(object)) {}
  std::remove_reference_t<T>& enter() noexcept { return object_; }
  void exit(const std::exception_ptr&) { static_cast<void>(object_.close()); }

 private:
  T object_;
};

template <class T>
closing(T&&) -> closing<T>;

namespace detail {

/// An awaitable that waits for nothing.
template <class Function>
struct at_once {
  using awaits_itself = void;
  template <class Yielder>
  decltype(auto) await_in(Yielder&) {
    return function();
  }
  Function function;
};
template <class Function>
at_once(Function) -> at_once<Function>;

}  // namespace detail

/// Does nothing; also as an asynchronous manager. Python: contextlib.nullcontext.
template <class T = void>
class [[nodiscard]] nullcontext {
 public:
  explicit nullcontext(std::type_identity_t<T> value) : value_(std::forward<T>(value)) {}
  std::remove_reference_t<T>& enter() noexcept { return value_; }
  void exit(const std::exception_ptr&) noexcept {}
  auto aenter() noexcept {
    return detail::at_once{[this]() -> std::remove_reference_t<T>& { return value_; }};
  }
  auto aexit(const std::exception_ptr&) noexcept {
    return detail::at_once{[] {}};
  }

 private:
  T value_;
};

template <>
class [[nodiscard]] nullcontext<void> {
 public:
  void enter() noexcept {}
  void exit(const std::exception_ptr&) noexcept {}
  auto aenter() noexcept {
    return detail::at_once{[] {}};
  }
  auto aexit(const std::exception_ptr&) noexcept {
    return detail::at_once{[] {}};
  }
};

nullcontext()->nullcontext<void>;
template <class T>
nullcontext(T&&) -> nullcontext<T>;

/// Swallows exceptions of these types. Python: contextlib.suppress.
template <class... Exceptions>
class [[nodiscard]] suppress {
 public:
  void enter() noexcept {}
  bool exit(const std::exception_ptr& exception) {
    return exception != nullptr && (detail::holds<Exceptions>(exception) || ...);
  }
};

namespace detail {

/// What context_decorator() returns; const, it can be called if what it is made of can.
template <class MakeManager, class Function>
class decorated {
 public:
  decorated(MakeManager make_manager, Function function)
      : make_manager_(std::move(make_manager)), function_(std::move(function)) {}

  template <class... Arguments>
  requires std::invocable<Function&, Arguments...>
  auto operator()(Arguments&&... arguments) {
    return call(make_manager_, function_, std::forward<Arguments>(arguments)...);
  }
  template <class... Arguments>
  requires std::invocable<const MakeManager&> && std::invocable<const Function&, Arguments...>
  auto operator()(Arguments&&... arguments) const {
    return call(make_manager_, function_, std::forward<Arguments>(arguments)...);
  }

 private:
  template <class... Arguments>
  static auto call(auto& make_manager, auto& function, Arguments&&... arguments) {
    return with(make_manager(), [&] { return std::invoke(function, std::forward<Arguments>(arguments)...); });
  }

  MakeManager make_manager_;
  Function function_;
};

}  // namespace detail

/// A function each call of which runs within a manager of its own, made by `make_manager()`. It
/// returns and throws what with() does. Python: contextlib.ContextDecorator.
template <class MakeManager, class Function>
auto context_decorator(MakeManager make_manager, Function function) {
  return detail::decorated(std::move(make_manager), std::move(function));
}

/// Managers and functions, as many as turn out to be needed, whose exits run in reverse order, each with what
/// those after it left: as that many nested `with`. Python: contextlib.ExitStack.
///
/// Move-only. Destroyed before exit() or close() was called, it exits as `entered` does.
class [[nodiscard]] exit_stack {
 public:
  exit_stack() = default;
  exit_stack(exit_stack&& other) noexcept : exits_(std::move(other.exits_)) {}
  /// Exits what was in here before. Throws what that raises, with `other` moved here.
  exit_stack& operator=(exit_stack&& other) {
    if (this != &other) {
      const exit_stack old(std::move(*this));
      exits_ = std::move(other.exits_);
    }
    return *this;
  }
  ~exit_stack() noexcept(false) { detail::exit_from_destructor(*this, passing_); }

  exit_stack& enter() noexcept { return *this; }

  /// Runs all exits. Returns whether `exception` was swallowed; throws what an exit raised and none before it
  /// swallowed.
  bool exit(const std::exception_ptr& exception) {
    std::exception_ptr passing = exception;
    while (!exits_.empty()) {
      const std::unique_ptr<exit_base> last = std::move(exits_.back());
      exits_.pop_back();
      try {
        if (passing == nullptr) {
          last->exit(nullptr);
        } else {
          leave_by(*last, passing);
        }
      } catch (...) {
        passing = std::current_exception();
        if (passing == nullptr) {
          throw;  // no C++ exception: a thread is cancelled
        }
      }
    }
    if (passing != nullptr && passing != exception) {
      std::rethrow_exception(std::move(passing));
    }
    return exception != nullptr && passing == nullptr;
  }

  /// Runs all exits, as at the end of a block. Throws what exit() throws.
  void close() { exit(nullptr); }

  /// Enters `manager` now, and will exit it. An rvalue is kept here, an lvalue must outlive that. Returns
  /// what `enter` returned; nothing is kept if that throws.
  template <context_manager Manager>
  auto enter_context(Manager&& manager) -> detail::entered_type<Manager> {
    if (exits_.size() == exits_.capacity()) {
      exits_.reserve(2 * exits_.size() + 4);  // so that nothing can fail once it has been entered
    }
    auto kept = std::make_unique<exit_of<Manager>>(std::forward<Manager>(manager));
    auto& object = kept->object;
    if constexpr (std::is_void_v<detail::entered_type<Manager>>) {
      object.enter();
      exits_.push_back(std::move(kept));
    } else {
      detail::entered_type<Manager> value = object.enter();
      exits_.push_back(std::move(kept));
      return std::forward<detail::entered_type<Manager>>(value);
    }
  }

  template <detail::asynchronous_only Manager>
  void enter_context(Manager&&) = delete;  // did you mean enter_context(awaited(co, manager))?

  /// Will exit `manager`, which is not entered here.
  template <has_exit Manager>
  void push(Manager&& manager) {
    exits_.push_back(std::make_unique<exit_of<Manager>>(std::forward<Manager>(manager)));
  }

  /// Will call `function` as the exit of a manager.
  template <std::invocable<std::exception_ptr> Function>
  requires(!has_exit<Function>) void push(Function&& function) {
    push(function_exit<std::decay_t<Function>>{std::forward<Function>(function)});
  }

  /// Will call `function(arguments...)`, which swallows nothing.
  template <class Function, class... Arguments>
  requires std::invocable < std::decay_t<Function>
  &, std::decay_t<Arguments>&... > void callback(Function&& function, Arguments&&... arguments) {
    push([function = std::decay_t<Function>(std::forward<Function>(function)),
          arguments = std::tuple<std::decay_t<Arguments>...>(std::forward<Arguments>(arguments)...)](
             const std::exception_ptr&) mutable { static_cast<void>(std::apply(function, arguments)); });
  }

  /// Moves all that has been registered to another stack. That one is dropped with its exits run, unlike
  /// Python's: release() forgets them. Python: `pop_all`.
  [[nodiscard("an exit_stack that is dropped runs its exits: release() forgets them")]] exit_stack
  pop_all() noexcept {
    return exit_stack(std::exchange(exits_, {}));
  }

  /// Forgets all that has been registered: no exit is run. Managers that are kept here are destroyed (which
  /// closes the generator of a contextmanager), the last one first. Python: `pop_all()` with its result
  /// dropped.
  void release() noexcept {
    while (!exits_.empty()) {
      const std::unique_ptr<exit_base> last = std::move(exits_.back());
      exits_.pop_back();
    }
  }

 private:
  struct exit_base {
    virtual ~exit_base() = default;
    virtual bool exit(std::exception_ptr exception) = 0;
  };

  template <class Manager>
  struct exit_of final : exit_base {
    explicit exit_of(Manager&& manager) : object(std::forward<Manager>(manager)) {}
    ~exit_of() noexcept override {}  // also of an exit_stack, whose destructor may throw; it is empty by then
    bool exit(std::exception_ptr exception) override {
      return detail::exit_from(object, std::move(exception));
    }
    Manager object;
  };

  template <class Function>
  struct function_exit {
    Function function;
    auto exit(std::exception_ptr exception) { return function(std::move(exception)); }
  };

  explicit exit_stack(std::vector<std::unique_ptr<exit_base>> exits) noexcept : exits_(std::move(exits)) {}

  /// Calls an exit while `passing` is handled, as `with` does; clears it if that is swallowed.
  static void leave_by(exit_base& last, std::exception_ptr& passing) {
    try {
      std::rethrow_exception(passing);
    } catch (...) {
      if (last.exit(passing)) {
        passing = nullptr;
      }
    }
  }

  int passing_ = std::uncaught_exceptions();
  std::vector<std::unique_ptr<exit_base>> exits_;
};

}  // namespace krait
