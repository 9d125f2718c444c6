// SPDX-License-Identifier: BSL-1.0
#pragma once

// The exceptions of the programs: Python's classes and their counterparts.

#include <exception>
#include <krait/krait.hpp>
#include <string>
#include <utility>

#include "program.hpp"

namespace differential {

/// class A(Exception)
class a : public std::exception {
 public:
  explicit a(std::string text) : text_(std::move(text)) {}
  const char* what() const noexcept override { return text_.c_str(); }

 private:
  std::string text_;
};

/// class B(A)
class b : public a {
 public:
  using a::a;
};

/// class C(BaseException)
class c {
 public:
  explicit c(std::string text) : text_(std::move(text)) {}
  virtual ~c() = default;
  const char* what() const noexcept { return text_.c_str(); }

 private:
  std::string text_;
};

/// class GX(GeneratorExit)
class gx : public krait::generator_exit {
 public:
  explicit gx(std::string text) : text_(std::move(text)) {}
  const char* what() const noexcept override { return text_.c_str(); }

 private:
  std::string text_;
};

/// class SX(StopIteration)
class sx : public krait::stop_iteration<value> {
 public:
  using stop_iteration::stop_iteration;
};

/// Any of them, raised `from` the exception that is being handled when it is made.
template <class Exception>
class caused : public Exception, public std::nested_exception {
 public:
  explicit caused(Exception plain) : Exception(std::move(plain)) {}
};

/// `except type:` for the exception that is being handled. Is it one?
bool handled_is(exception_type type);

/// Type, text and causes of the exception that is being handled, as the trace has them.
std::string describe_handled();
std::string describe(const std::exception_ptr& exception);

/// Calls `use` with an exception as specified. `text` is null for what the class makes without arguments.
template <class Use>
decltype(auto) with_exception(exception_type type, const std::string* text, Use use) {
  const std::string message = text != nullptr ? *text : "";
  switch (type) {
    case exception_type::generator_exit:
      return use(krait::generator_exit());
    case exception_type::stop_iteration:
      return use(text != nullptr ? krait::stop_iteration<value>(message) : krait::stop_iteration<value>());
    case exception_type::runtime_error:
      return use(krait::runtime_error(message));
    case exception_type::value_error:
      return use(krait::value_error(message));
    case exception_type::type_error:
      return use(krait::type_error(message));
    case exception_type::attribute_error:
      return use(krait::attribute_error(message));
    case exception_type::a:
      return use(a(message));
    case exception_type::b:
      return use(b(message));
    case exception_type::c:
      return use(c(message));
    case exception_type::gx:
      return use(gx(message));
    case exception_type::sx:
      return use(text != nullptr ? sx(message) : sx());
    case exception_type::stop_async_iteration:
      return use(krait::stop_async_iteration());
    case exception_type::exception:
    case exception_type::base_exception:
      break;
  }
  throw std::logic_error("a class for `except` only");
}

}  // namespace differential
