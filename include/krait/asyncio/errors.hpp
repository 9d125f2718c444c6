// SPDX-License-Identifier: BSL-1.0
#pragma once

// What the event loop raises. Python's RuntimeError and ValueError are krait::runtime_error and krait::value_error.

#include <exception>
#include <optional>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

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

/// Several exceptions, of any type. Python: BaseExceptionGroup.
class exception_group : public std::runtime_error {
 public:
  exception_group(const std::string& message, std::vector<std::exception_ptr> exceptions)
      : std::runtime_error(message + " (" + std::to_string(exceptions.size()) +
                           (exceptions.size() == 1 ? " sub-exception)" : " sub-exceptions)")),
        message_(message),
        exceptions_(std::move(exceptions)) {}

  const std::string& message() const noexcept { return message_; }
  const std::vector<std::exception_ptr>& exceptions() const noexcept { return exceptions_; }

  /// The group of those that are a T, and that of the rest, each with groups within it split likewise; none where
  /// there would be nothing in it. Python: `group.split(T)`.
  template <class T>
  std::pair<std::optional<exception_group>, std::optional<exception_group>> split() const {
    std::vector<std::exception_ptr> matching, rest;
    for (const std::exception_ptr& each : exceptions_) {
      try {
        std::rethrow_exception(each);
      } catch (const exception_group& inner) {
        auto [in, out] = inner.split<T>();
        if (in) {
          matching.push_back(std::make_exception_ptr(*std::move(in)));
        }
        if (out) {
          rest.push_back(std::make_exception_ptr(*std::move(out)));
        }
      } catch (const T&) {
        matching.push_back(each);
      } catch (...) {
        rest.push_back(each);
      }
    }
    return {derive(std::move(matching)), derive(std::move(rest))};
  }

  /// Calls `handler(const T&)` with each exception that is a T, also within groups, then throws the group of the
  /// rest, if there is any. Python: `except* T`.
  template <class T, class Handler>
  void handle(Handler handler) const {
    visit<T>(handler);
    if (auto rest = split<T>().second) {
      throw *std::move(rest);
    }
  }

 private:
  std::optional<exception_group> derive(std::vector<std::exception_ptr> some) const {
    return some.empty() ? std::nullopt : std::optional(exception_group(message_, std::move(some)));
  }

  template <class T, class Handler>
  void visit(Handler& handler) const {
    for (const std::exception_ptr& each : exceptions_) {
      try {
        std::rethrow_exception(each);
      } catch (const exception_group& inner) {
        inner.visit<T>(handler);
      } catch (const T& error) {
        handler(error);
      } catch (...) {
      }
    }
  }

  std::string message_;
  std::vector<std::exception_ptr> exceptions_;
};

#pragma GCC visibility pop

namespace detail {
/// Does it leave the loop?
bool leaves_loop(const std::exception_ptr& exception) noexcept;
}  // namespace detail

}  // namespace krait::asyncio
