// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <concepts>
#include <exception>
#include <memory>
#include <type_traits>
#include <utility>

#include "krait/async_generator.hpp"
#include "krait/contextlib/contextmanager.hpp"
#include "krait/coroutine.hpp"
#include "krait/detail/body.hpp"
#include "krait/detail/config.hpp"
#include "krait/exceptions.hpp"
#include "krait/inspect.hpp"
#include "krait/stack.hpp"

namespace krait {

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

}  // namespace krait
