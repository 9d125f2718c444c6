// SPDX-License-Identifier: BSL-1.0
#pragma once

// What a context manager is, and how one is left.

#include <concepts>
#include <exception>
#include <type_traits>
#include <utility>

#include "krait/exceptions.hpp"
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
concept context_manager = has_exit<T> && requires(std::remove_reference_t<T>& manager) { manager.enter(); };

namespace detail {

/// For an error's text.
template <class T>
concept asynchronous_only =
    !context_manager<T> && requires(std::remove_reference_t<T>& manager, std::exception_ptr exception) {
      manager.aenter();
      manager.aexit(exception);
    };

template <class Manager>
using entered_type = decltype(std::declval<std::remove_reference_t<Manager>&>().enter());

template <class Manager>
inline constexpr bool swallows =
    !std::is_void_v<decltype(std::declval<std::remove_reference_t<Manager>&>().exit(nullptr))>;

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

}  // namespace detail

}  // namespace krait
