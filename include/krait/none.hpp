// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cstddef>
#include <optional>
#include <variant>

namespace krait {

/// How a type says Python's None. `next()` sends None, and a delegation that ends without a value evaluates
/// to it. Specialise this for a type of your own that has an empty state.
template <class T>
struct none_traits {
  static constexpr bool has_none = false;
};

template <>
struct none_traits<void> {
  static constexpr bool has_none = true;
};

template <class T>
struct none_traits<std::optional<T>> {
  static constexpr bool has_none = true;
  static std::optional<T> none() noexcept { return std::nullopt; }
  static bool is_none(const std::optional<T>& value) noexcept { return !value.has_value(); }
};

template <class T>
struct none_traits<T*> {
  static constexpr bool has_none = true;
  static T* none() noexcept { return nullptr; }
  static bool is_none(T* value) noexcept { return value == nullptr; }
};

template <>
struct none_traits<std::nullptr_t> {
  static constexpr bool has_none = true;
  static std::nullptr_t none() noexcept { return nullptr; }
  static bool is_none(std::nullptr_t) noexcept { return true; }
};

template <>
struct none_traits<std::monostate> {
  static constexpr bool has_none = true;
  static std::monostate none() noexcept { return {}; }
  static bool is_none(std::monostate) noexcept { return true; }
};

namespace detail {

template <class T>
concept has_none = none_traits<T>::has_none;

template <class T>
bool is_none(const T& value) noexcept {
  if constexpr (has_none<T>) {
    return none_traits<T>::is_none(value);
  } else {
    return false;
  }
}

}  // namespace detail
}  // namespace krait
