// SPDX-License-Identifier: BSL-1.0
#pragma once

// What the tests of coroutines have in common: how they are driven, and what they await.

#include <stdexcept>
#include <string>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

#include <krait/krait.hpp>

namespace coroutines {

inline constexpr const char* cannot_reuse = "cannot reuse already awaited coroutine";

struct zero_division_error : std::runtime_error {
  zero_division_error() : std::runtime_error("division by zero") {}
};

/// What something yielded to its driver, and what it returned: std::monostate for None.
template <class Yield, class Return>
struct outcome {
  bool operator==(const outcome&) const = default;

  std::vector<Yield> yielded;
  Return returned;
};

/// Calls `advance` until it throws the stop_iteration that ends a coroutine or generator of this type.
template <class Driven, class Advance>
auto outcome_of(Advance advance) {
  using returned = typename Driven::return_type;
  constexpr bool returns = !std::is_void_v<returned>;
  outcome<typename Driven::yield_type, std::conditional_t<returns, returned, std::monostate>> result{};
  for (;;) {
    try {
      result.yielded.push_back(advance());
    } catch (krait::stop_iteration<returned>& stop) {
      if constexpr (returns) {
        result.returned = std::move(stop.value());
      }
      return result;
    }
  }
}

/// Drives a coroutine to its end.
template <class Coroutine>
auto run(Coroutine&& co) {
  return outcome_of<std::remove_cvref_t<Coroutine>>([&] { return co.send(); });
}

/// The same through its iterator, by turns with send() and next().
template <class Coroutine>
auto run_through_await(Coroutine&& co) {
  auto iterator = co.await();
  bool odd = false;
  return outcome_of<std::remove_cvref_t<Coroutine>>([&] {
    odd = !odd;
    return odd ? iterator.send() : iterator.next();
  });
}

/// Awaited, yields the items to the driver.
template <class T>
struct yielding_from {
  krait::generator<T> await() {
    return [this](auto& yield) { yield.from(items); };
  }
  std::vector<T> items;
};

/// Awaited, yields None once. Python: asyncio's bare `yield`.
template <class Yield = void, class Send = void>
krait::awaitable_generator<Yield, Send> nop() {
  return [](auto& yield) {
    if constexpr (std::is_void_v<Yield>) {
      static_cast<void>(yield());
    } else {
      static_cast<void>(yield(Yield()));
    }
  };
}

}  // namespace coroutines
