// SPDX-License-Identifier: BSL-1.0
#pragma once

// The value of a stop_iteration for somebody who wants another type than it was raised with, as
// `throw krait::stop_iteration("lift-off")` raises a `const char*`. Whoever catches it knows one type,
// whoever raised it the other, and nobody both: so the types that a value may reasonably have are tried in
// turn.

#include <concepts>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <typeinfo>
#include <utility>
#include <variant>

namespace krait::detail {

[[noreturn]] void throw_value_does_not_convert(const std::type_info& from, const std::type_info& to);

/// Can it really be copied? A container of what cannot says that it can.
template <class T>
inline constexpr bool copies = std::copy_constructible<T>;
template <class T>
  requires std::copy_constructible<T> && requires {
    typename T::allocator_type;
    typename T::value_type;
  }
inline constexpr bool copies<T> = copies<typename T::value_type>;

template <class T>
inline constexpr bool is_optional = false;
template <class T>
inline constexpr bool is_optional<std::optional<T>> = true;

/// Is a number another one when it is converted?
template <class To, class From>
constexpr bool loses_value(const From& from) {
  if constexpr (std::integral<To> && std::integral<From>) {
    const To to = static_cast<To>(from);
    return static_cast<From>(to) != from || (to < To{1}) != (from < From{1});
  } else {
    return std::integral<To> && std::floating_point<From>;
  }
}

struct stop_value {
  /// Of a stop_iteration, which others may hold, too: moved out only if it cannot be copied. Empty if there
  /// is none. Throws type_error if it does not convert.
  template <class To>
  static std::optional<To> take(auto& stop) {
    return converted<To>(stop, [](auto& value) -> auto&& {
      if constexpr (copies<std::remove_reference_t<decltype(value)>>) {
        return std::as_const(value);
      } else {
        return std::move(value);
      }
    });
  }

  /// Copied.
  template <class To, class Stop>
  static std::optional<To> copy(const Stop& stop) {
    return converted<To>(const_cast<Stop&>(stop), [](auto& value) -> auto& { return std::as_const(value); });
  }

 private:
  template <class... T>
  struct types {};
  using plain_types =
      types<bool, char, signed char, unsigned char, short, unsigned short, int, unsigned, long, unsigned long,
            long long, unsigned long long, float, double, const char*, char*, std::string_view, std::string>;

  template <class To, class Pass>
  static std::optional<To> converted(auto& stop, Pass pass) {
    std::optional<To> converted;
    if (stop.value_address() != nullptr && !convert(stop, pass, converted)) {
      throw_value_does_not_convert(stop.value_type(), typeid(To));
    }
    return converted;
  }

  /// False if the value is of none of the types from which a To is made.
  template <class To, class Pass>
  static bool convert(auto& stop, Pass pass, std::optional<To>& converted) {
    return convert_from<To>(stop, pass, converted) ||
           convert_from<std::optional<To>>(stop, pass, converted) || convert_part(stop, pass, converted) ||
           (!is_optional<To> && convert_from_any(stop, pass, converted, plain_types()));
  }

  /// From what an optional holds, or an alternative of a variant.
  template <class To, class Pass>
  static bool convert_part(auto&, Pass, std::optional<To>&) {
    return false;
  }
  template <class T, class Pass>
  static bool convert_part(auto& stop, Pass pass, std::optional<std::optional<T>>& converted) {
    return convert(stop, pass, converted.emplace()) || (converted.reset(), false);
  }
  template <class... T, class Pass>
  static bool convert_part(auto& stop, Pass pass, std::optional<std::variant<T...>>& converted) {
    return (convert_from<T>(stop, pass, converted) || ...);
  }

  template <class To, class Pass, class... From>
  static bool convert_from_any(auto& stop, Pass pass, std::optional<To>& converted, types<From...>) {
    return (convert_from<From>(stop, pass, converted) || ...);
  }

  template <class From, class To, class Pass>
  static bool convert_from([[maybe_unused]] auto& stop, [[maybe_unused]] Pass pass,
                           [[maybe_unused]] std::optional<To>& converted) {
    using passed = decltype(pass(std::declval<From&>()));
    if constexpr (std::same_as<From, std::optional<To>> &&
                  std::is_constructible_v<std::optional<To>, passed>) {
      if (stop.value_type() == typeid(From)) {
        if (value_in<From>(stop).has_value()) {
          converted.emplace(*pass(value_in<From>(stop)));
        }
        return true;
      }
    } else if constexpr ((std::same_as<From, To> || std::is_convertible_v<passed, To>) &&
                         std::is_constructible_v<To, passed> &&
                         !(std::is_pointer_v<From> && std::same_as<To, bool>)) {
      if (stop.value_type() == typeid(From) && !loses_value<To>(value_in<From>(stop))) {
        converted.emplace(pass(value_in<From>(stop)));
        return true;
      }
    }
    return false;
  }

  /// Where a compiler sees what was raised, it need not see that the types were compared: it would warn of
  /// the others.
  template <class From>
  static From& value_in(auto& stop) noexcept {
    void* place = stop.value_address();
    asm("" : "+r"(place));
    return *static_cast<From*>(place);
  }
};

}  // namespace krait::detail
