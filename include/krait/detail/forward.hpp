// SPDX-License-Identifier: BSL-1.0
#pragma once

// The classes that users hold, by name, for those below that tell them apart; and the way to what they own.

#include "krait/detail/config.hpp"

namespace krait {
inline namespace KRAIT_BACKEND {

template <class Yield, class Send>
class yielder;
template <class Yield, class Send, class Return>
class generator;
template <class Yield, class Send, class Return>
class awaitable_generator;
template <class Yield, class Send, class Return>
class coroutine;

}  // namespace KRAIT_BACKEND

namespace detail {

struct frame;

/// A generator, also one that is awaitable.
template <class T>
inline constexpr bool is_generator = false;
template <class Y, class S, class R>
inline constexpr bool is_generator<generator<Y, S, R>> = true;
template <class Y, class S, class R>
inline constexpr bool is_generator<awaitable_generator<Y, S, R>> = true;

template <class T>
inline constexpr bool is_awaitable_generator = false;
template <class Y, class S, class R>
inline constexpr bool is_awaitable_generator<awaitable_generator<Y, S, R>> = true;

template <class T>
inline constexpr bool is_coroutine = false;
template <class Y, class S, class R>
inline constexpr bool is_coroutine<coroutine<Y, S, R>> = true;

/// The friend of the faces, by whom the layers above come at what these own.
struct access {
  template <class Face>
  static auto& owner_of(Face& face) noexcept {
    return face.owner_;
  }
  template <class Yield, class Send>
  static frame& frame_of(yielder<Yield, Send>& handle) noexcept {
    return handle;
  }
};

}  // namespace detail
}  // namespace krait
