// SPDX-License-Identifier: BSL-1.0
#pragma once

// What the event loop raises. Python's RuntimeError and ValueError are krait::runtime_error and krait::value_error.

#include <exception>
#include <stdexcept>
#include <string>
#include <utility>

#include "krait/asyncio/exception_group.hpp"

namespace krait::asyncio {

// Of default visibility, as in krait/exceptions.hpp.
#pragma GCC visibility push(default)

/// Raised where a task waits that is cancelled. No std::exception, as Python's derives from BaseException: a handler
/// for errors must not swallow it. Whoever catches it by `catch (...)` is to rethrow it. Python:
/// asyncio.CancelledError.
class cancelled_error {
 public:
  explicit cancelled_error(std::string message = {}) : message_(std::move(message)) {}
  const std::string& message() const noexcept { return message_; }

 private:
  std::string message_;
};

/// Ctrl-C. No std::exception. Out of a task or a callback, it leaves the loop. Python: KeyboardInterrupt.
class keyboard_interrupt {};

/// Asks the program to end. No std::exception. Out of a task or a callback, it leaves the loop. Python: SystemExit.
class system_exit {
 public:
  explicit system_exit(int code = 0) noexcept : code_(code) {}
  int code() const noexcept { return code_; }

 private:
  int code_;
};

/// Python: TimeoutError.
class timeout_error : public std::runtime_error {
 public:
  explicit timeout_error(const std::string& message = "timeout") : std::runtime_error(message) {}
};

/// A future is not in the state that was needed. Python: asyncio.InvalidStateError.
class invalid_state_error : public std::logic_error {
 public:
  using std::logic_error::logic_error;
};

#pragma GCC visibility pop

namespace detail {
/// Does it leave the loop?
bool leaves_loop(const std::exception_ptr& exception) noexcept;
}  // namespace detail

}  // namespace krait::asyncio
