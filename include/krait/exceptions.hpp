// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <exception>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <type_traits>
#include <typeinfo>
#include <utility>

#include "krait/detail/stop_value.hpp"

namespace krait {

// Of default visibility, whatever a program is compiled with: an exception is caught by its type in another
// shared object, too, and for that the two must have one description of the type.
#pragma GCC visibility push(default)

/// Raised by `next`, `send` and `throw_` when the body has returned. Python: StopIteration.
///
/// `stop_iteration<R>` carries the value that the body returned and derives from `stop_iteration<>`,
/// which can be caught without knowing R. Let out of a generator's body it becomes a runtime_error (PEP
/// 479).
template <class R = void>
class stop_iteration;

template <>
class stop_iteration<void> : public std::exception {
 public:
  const char* what() const noexcept override { return "StopIteration"; }

  /// The value as a T, whatever type it was raised with; empty if there is none. What it may have been raised
  /// with is a T, or what T is made of (an optional's value, a variant's alternative), an optional of T, or,
  /// where they convert, a number, a bool, a string.
  /// Throws type_error when it is something else. Python: `StopIteration.value`.
  template <class T>
  std::optional<T> value_as() const {
    return detail::stop_value::copy<T>(*this);
  }

 private:
  friend detail::stop_value;

  /// Where the value is, null if there is none; and what it is.
  virtual void* value_address() noexcept { return nullptr; }
  virtual const std::type_info& value_type() const noexcept { return typeid(void); }
};

template <class R>
class stop_iteration : public stop_iteration<> {
 public:
  /// Without a value: the generator had already finished. The value is delivered once.
  stop_iteration() = default;
  explicit stop_iteration(R value) : value_(std::move(value)) {}
  stop_iteration(const stop_iteration&) = default;
  stop_iteration(stop_iteration&&) = default;
  stop_iteration& operator=(const stop_iteration&) = default;
  stop_iteration& operator=(stop_iteration&&) = default;
  ~stop_iteration() noexcept override {}  // also of an R whose destructor may throw

  bool has_value() const noexcept { return value_.has_value(); }

  /// Python: `StopIteration.value`.
  /// Throws std::bad_optional_access when there is none.
  R& value() & { return value_.value(); }
  const R& value() const& { return value_.value(); }
  R&& value() && { return std::move(value_).value(); }

 private:
  void* value_address() noexcept override { return value_.has_value() ? std::addressof(*value_) : nullptr; }
  const std::type_info& value_type() const noexcept override { return typeid(R); }

  std::optional<R> value_;
};

/// The end of an asynchronous iteration. Python: StopAsyncIteration. Let out of an async_generator's
/// body it becomes a runtime_error.
class stop_async_iteration : public std::exception {
 public:
  const char* what() const noexcept override { return "StopAsyncIteration"; }
};

/// Raised at the suspended `yield` of a generator that is being closed. Python: GeneratorExit.
///
/// Not a std::exception, as GeneratorExit is no Exception: `catch (const std::exception&)` lets it
/// pass. A body may catch it to clean up, and should then return or rethrow it.
class generator_exit {
 public:
  generator_exit() = default;
  generator_exit(const generator_exit&) = default;
  generator_exit& operator=(const generator_exit&) = default;
  virtual ~generator_exit();
  virtual const char* what() const noexcept;
};

/// Python: RuntimeError. A cause (`raise ... from`) is kept as a std::nested_exception.
class runtime_error : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

/// Python: ValueError.
class value_error : public std::invalid_argument {
 public:
  using std::invalid_argument::invalid_argument;
};

/// Python: TypeError.
class type_error : public std::invalid_argument {
 public:
  using std::invalid_argument::invalid_argument;
};

/// Python: AttributeError.
class attribute_error : public std::logic_error {
 public:
  using std::logic_error::logic_error;
};

#pragma GCC visibility pop

/// "Type: text" of an exception, as the last line of a traceback has it; "Type" of what has no text; "None"
/// of null. Throws std::bad_alloc. Python: traceback.format_exception_only.
std::string describe(const std::exception_ptr& exception);

namespace detail {

/// Is `exception`, which is not null, an Exception? Python: isinstance.
template <class Exception>
bool holds(const std::exception_ptr& exception) noexcept {
  try {
    std::rethrow_exception(exception);
  } catch (const Exception&) {
    return true;
  } catch (...) {
    return false;
  }
}

/// The name of a type as a user wrote it.
std::string type_name(const std::type_info& type);

}  // namespace detail
}  // namespace krait
