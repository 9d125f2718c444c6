// SPDX-License-Identifier: BSL-1.0
#pragma once

// Small managers: closing, nullcontext, suppress.

#include <exception>
#include <type_traits>
#include <utility>

#include "krait/contextlib/context_manager.hpp"
#include "krait/exceptions.hpp"

namespace krait {

/// Calls `close()` of an object at the end. Python: contextlib.closing.
template <class T>
  requires requires(std::remove_reference_t<T>& object) { object.close(); }
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

nullcontext() -> nullcontext<void>;
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

}  // namespace krait
