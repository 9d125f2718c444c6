// SPDX-License-Identifier: BSL-1.0
#pragma once

// What crosses a switch, in one register:
//
//   down, to a body         none         None is sent
//                           raise()      an exception is pending: raise that
//                           of(object)   a Send, alive until the body yields
//
//   up, to a resumer        none         the body has ended
//                           of(object)   what is yielded, alive until the body is resumed
//
// Objects travel as their addresses, so nothing is copied. None is 0 and raise() is 1: no object is there, and to send
// them takes no more than a constant.

#include <cstddef>
#include <cstdint>
#include <memory>
#include <type_traits>

namespace krait::detail {

class word {
 public:
  constexpr word() noexcept = default;
  constexpr word(std::nullptr_t) noexcept {}  // NOLINT(google-explicit-constructor): None

  static word raise() noexcept { return word(reinterpret_cast<void*>(std::uintptr_t{1})); }

  template <class T>
  static word of(T& object) noexcept {
    return word(const_cast<void*>(static_cast<const void*>(std::addressof(object))));
  }

  constexpr bool is_none() const noexcept { return bits_ == nullptr; }
  bool raises() const noexcept { return *this == raise(); }

  /// The object itself: an rvalue, if T is no reference. Nothing, if it is void.
  template <class T>
  T&& as() const noexcept {
    return static_cast<T&&>(*static_cast<std::remove_reference_t<T>*>(bits_));
  }
  template <class T>
    requires std::is_void_v<T>
  void as() const noexcept {}

  /// As a machine has it.
  constexpr void* bits() const noexcept { return bits_; }
  static constexpr word from_bits(void* bits) noexcept { return word(bits); }

  friend constexpr bool operator==(word, word) noexcept = default;

 private:
  explicit constexpr word(void* bits) noexcept : bits_(bits) {}

  void* bits_ = nullptr;
};

static_assert(sizeof(word) == sizeof(void*) && std::is_trivially_copyable_v<word>, "it is a register");

}  // namespace krait::detail
