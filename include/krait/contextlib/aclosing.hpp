// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <exception>
#include <type_traits>
#include <utility>

#include "krait/awaitable.hpp"
#include "krait/contextlib/managers.hpp"
#include "krait/detail/deferred.hpp"

namespace krait {

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

}  // namespace krait
