// SPDX-License-Identifier: BSL-1.0
#pragma once

// Asynchronous context managers: those whose entering and leaving may have to wait. Python: `async
// with`, and the asynchronous half of contextlib.
//
// A stackful coroutine may await from any depth of calls, also from within `with`. So an asynchronous
// manager, together with the awaiter of the coroutine that is to wait, is a manager like any other
// (`awaited`), and whatever is made for those does: `with`, `entered`, and exit_stack, which so is
// AsyncExitStack as well:
//
//     krait::exit_stack stack;
//     auto& db = stack.enter_context(krait::awaited(co, connect("proto://db.somedomain.net")));

#include <concepts>
#include <exception>
#include <functional>
#include <tuple>
#include <type_traits>
#include <utility>

#include "krait/async_generator.hpp"
#include "krait/async_iteration.hpp"
#include "krait/contextlib.hpp"
#include "krait/detail/deferred.hpp"

namespace krait {

/// Has `aenter()` and `aexit(std::exception_ptr)`, as enter() and exit() of a context_manager, but that
/// what these return is the result of awaiting what aenter() and aexit() return. Python:
/// contextlib.AbstractAsyncContextManager.
template <class T>
concept async_context_manager = requires(std::remove_reference_t<T>& manager, std::exception_ptr exception) {
  { manager.aenter() } -> awaitable;
  { manager.aexit(exception) } -> awaitable;
};

/// An asynchronous manager as a plain one, for use in the coroutine that `co` belongs to: entering and
/// leaving await there. Of an lvalue it keeps a reference.
template <class Awaiter, async_context_manager Manager>
class [[nodiscard]] awaited {
 public:
  awaited(Awaiter& co, Manager&& manager) : co_(&co), manager_(std::forward<Manager>(manager)) {}

  decltype(auto) enter() { return co_->await(manager_.aenter()); }
  decltype(auto) exit(std::exception_ptr exception) {
    return co_->await(manager_.aexit(std::move(exception)));
  }

 private:
  Awaiter* co_;
  Manager manager_;
};

template <class Awaiter, class Manager>
awaited(Awaiter&, Manager&&) -> awaited<Awaiter, Manager>;

/// As with(), of an asynchronous manager. (Where aexit() returns a coroutine, its body handles nothing: to
/// keep the block's exception as a cause, rethrow and catch it there.) Python: `async with manager as
/// value:`.
template <class Awaiter, class Manager, class Body>
auto async_with(Awaiter& co, Manager&& manager, Body&& body) {
  static_assert(async_context_manager<Manager> || !context_manager<Manager>,
                "async_with: the object does not support the asynchronous context manager protocol, but it "
                "supports the context manager protocol. Did you mean to use with?");
  static_assert(
      async_context_manager<Manager> || context_manager<Manager>,
      "async_with: the object does not support the asynchronous context manager protocol: aenter() and "
      "aexit(std::exception_ptr), both of which return something to await");
  return with(awaited(co, std::forward<Manager>(manager)), std::forward<Body>(body));
}

inline namespace KRAIT_BACKEND {

/// A manager made from an asynchronous generator that yields once, as contextmanager from a generator; Exit
/// is what aexit() gives once awaited. Python: contextlib.asynccontextmanager.
///
///     krait::asynccontextmanager<connection*, message> connect(std::string address) {
///       return [address](auto& co) {
///         connection made(address);
///         co.await(made.handshake());
///         co(&made);
///         co.await(made.goodbye());
///       };
///     }
template <class T, class DriverYield = void, class DriverSend = void, class Exit = bool>
class [[nodiscard]] asynccontextmanager {
  static_assert(std::same_as<Exit, bool> || std::is_void_v<Exit>,
                "asynccontextmanager: its aexit gives bool or, if its body never swallows exceptions, void");
  using handle = async_yielder<T, void, DriverYield, DriverSend>;

 public:
  /// Throws what making a generator throws.
  template <detail::body_of<handle, void> Body>
  asynccontextmanager(Body&& body,  // NOLINT(google-explicit-constructor)
                      const char* name = __builtin_FUNCTION())
      : generator_(std::forward<Body>(body), name) {}

  /// On a stack from `where`, as for a generator.
  template <stack_choice Stack = stack_options,
            detail::body_of<async_yielder<T, void, DriverYield, DriverSend>, void> Body>
  asynccontextmanager(std::allocator_arg_t, Stack&& where, Body&& body,
                      const char* name = __builtin_FUNCTION())
      : generator_(std::allocator_arg, std::forward<Stack>(where), std::forward<Body>(body), name) {}

  /// Takes a generator that has not started.
  explicit asynccontextmanager(async_generator<T, void, DriverYield, DriverSend>&& given) noexcept
      : generator_(std::move(given)) {}

  /// Awaited, runs the body to its `yield`. Throws as contextmanager::enter(). The manager must stay where it
  /// is while what aenter() and aexit() return is in use.
  coroutine<DriverYield, DriverSend, T> aenter() {
    return [this](auto& co) -> T {
      if (generator_.state() != generator_state::created) {
        throw value_error("a contextmanager can be entered once");
      }
      try {
        return co.await(generator_.anext());
      } catch (const stop_async_iteration&) {
      }
      throw runtime_error("generator didn't yield");
    };
  }

  /// Awaited, runs the body to its end. Returns and throws as contextmanager::exit(), and what making a
  /// coroutine throws.
  coroutine<DriverYield, DriverSend, Exit> aexit(std::exception_ptr exception) {
    return [this, exception = std::move(exception)](auto& co) -> Exit {
      try {
        if (exception == nullptr) {
          co.await(generator_.anext());
        } else {
          co.await(generator_.athrow(exception));
        }
      } catch (const stop_async_iteration&) {
        return exception != nullptr && std::current_exception() != exception
                   ? detail::swallowed<Exit>(exception)
                   : Exit();
      } catch (...) {
        if (!detail::came_back<stop_iteration<>, stop_async_iteration>(exception)) {
          throw;
        }
        return Exit();
      }
      co.await(generator_.aclose());
      throw runtime_error(exception == nullptr ? "generator didn't stop"
                                               : "generator didn't stop after athrow()");
    };
  }

 private:
  template <detail::misfit<handle, void> Body>
  asynccontextmanager(Body&& body, const char* = "")  // NOLINT(google-explicit-constructor)
      : asynccontextmanager(detail::refused<asynccontextmanager, handle, void, Body>(body)) {}

  async_generator<T, void, DriverYield, DriverSend> generator_;
};

}  // namespace KRAIT_BACKEND

/// Awaits `aclose()` of an object at the end, however the block was left: for an async_generator that
/// is not iterated to its end. Python: contextlib.aclosing.
template <class T>
requires requires(std::remove_reference_t<T>& object) {
  { object.aclose() } -> awaitable;
}
class [[nodiscard]] aclosing {
 public:
  explicit aclosing(std::type_identity_t<T> object) : object_(std::forward<T>(object)) {}

  auto aenter() noexcept {
    return detail::at_once{[this]() -> std::remove_reference_t<T>& { return object_; }};
  }
  auto aexit(const std::exception_ptr&) {
    return detail::deferred([this](auto& co) { static_cast<void>(co.await(object_.aclose())); });
  }

 private:
  T object_;
};

template <class T>
aclosing(T&&) -> aclosing<T>;

namespace detail {
inline namespace KRAIT_BACKEND {

/// A coroutine whose Yield and Send are those of whoever awaits it: made of a function that awaits, when it
/// is awaited.
template <class Function>
class [[nodiscard]] deferred_coroutine {
 public:
  using awaits_itself = void;
  deferred_coroutine(Function function, const char* name) : function_(std::move(function)), name_(name) {}
  deferred_coroutine(deferred_coroutine&& other)
      : function_(std::move(other.function_)), name_(other.name_), used_(std::exchange(other.used_, true)) {}
  deferred_coroutine& operator=(deferred_coroutine&&) = delete;
  ~deferred_coroutine() {
    if (!used_) {
      warn_call_never_awaited(name_);
    }
  }

  template <class Y, class S>
  auto await_in(yielder<Y, S>& yield) {
    if (std::exchange(used_, true)) {
      throw_cannot_reuse_coroutine();
    }
    using result = std::invoke_result_t<Function&, awaiter<Y, S>&>;
    return awaiter<Y, S>(yield).await(coroutine<Y, S, result>(std::ref(function_), name_));
  }

 private:
  Function function_;
  const char* name_;
  bool used_ = false;
};

}  // namespace KRAIT_BACKEND
}  // namespace detail

/// A function each call of which is to be awaited, and then runs within a manager of its own, made by
/// `make_manager()`: it awaits what `function(arguments...)` returns, with the arguments as std::thread would
/// keep them (a reference by std::ref). The result is what async_with() has. A call can be awaited once, and
/// not awaited it warns, as a coroutine does; its name is that of the function which decorates. Python:
/// contextlib.AsyncContextDecorator.
template <class MakeManager, class Function>
auto async_context_decorator(MakeManager make_manager, Function function,
                             const char* name = __builtin_FUNCTION()) {
  return [make_manager = std::move(make_manager), function = std::move(function),
          name]<class... Arguments>(Arguments&&... arguments) {
    return detail::deferred_coroutine(
        [make_manager, function,
         arguments = std::tuple<std::decay_t<Arguments>...>(std::forward<Arguments>(arguments)...)](
            auto& co) mutable {
          return async_with(co, make_manager(),
                            [&] { return co.await(std::apply(function, std::move(arguments))); });
        },
        name);
  };
}

}  // namespace krait
