// SPDX-License-Identifier: BSL-1.0
#pragma once

// Python: `with`, and `try: ... finally: ...`. A destructor does what the exit of most managers does. It cannot see the
// exception that is passing, swallow it, or put another in its place: that is what `with` is for. `entered` is for the
// rest.

#include <concepts>
#include <exception>
#include <functional>
#include <memory>
#include <optional>
#include <type_traits>
#include <utility>

#include "krait/contextlib/context_manager.hpp"

namespace krait {

class exit_stack;

namespace detail {

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
  std::optional<stored> value;
  std::exception_ptr passing;
  try {
    entered.emplace(manager);
    if constexpr (std::is_void_v<returned>) {
      entered->pass_to(body);
    } else {
      value.emplace(entered->pass_to(body));
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
    return result(std::move(*value));
  } else if constexpr (!std::is_void_v<returned>) {
    return result(std::move(value));
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
  auto& operator*() noexcept
    requires has_value
  {
    return *value_;
  }
  auto* operator->() noexcept
    requires has_value
  {
    return std::addressof(**this);
  }

 private:
  int passing_ = std::uncaught_exceptions();
  Manager manager_;
  detail::entered_value<std::remove_reference_t<Manager>> value_;
};

template <class Manager>
entered(Manager&&) -> entered<Manager>;

}  // namespace krait
