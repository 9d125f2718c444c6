// SPDX-License-Identifier: BSL-1.0
#pragma once

// What can be the body of a generator or coroutine, and what is said of that which cannot.

#include <concepts>
#include <type_traits>
#include <utility>

#include "krait/detail/forward.hpp"

namespace krait::detail {

template <class Body, class Yielder>
using body_result = decltype(std::declval<std::decay_t<Body>&>()(std::declval<Yielder&>()));

/// A callable that can be the body of a generator. That it can be called is asked first: to ask whether just
/// any type can be copied or moved may lead back to the question whether a generator can be made from it.
template <class Body, class Yielder, class Return>
concept body_of =
    !is_generator<std::remove_cvref_t<Body>> && requires { typename body_result<Body, Yielder>; } &&
    (std::is_void_v<Return> ? std::is_void_v<body_result<Body, Yielder>>
                            : std::convertible_to<body_result<Body, Yielder>, Return>) &&
    std::constructible_from<std::decay_t<Body>, Body>;

/// What the body of a Handle would be if its parameter were no reference: is given a copy.
template <class Handle>
struct passed_by_value : Handle {
  passed_by_value(const passed_by_value&);
  ~passed_by_value();
};

template <class Body>
concept takes_nothing = requires(std::decay_t<Body>& body) { body(); };
template <class Body, class Handle>
concept takes_by_value =
    requires(std::decay_t<Body>& body, passed_by_value<Handle>& handle) { body(handle); };

/// Was surely meant to be a body, and is none.
///
/// What has a body has a private constructor for such, which refuses it by a static_assert with the reason.
/// As it is private, it is no answer to std::is_constructible or std::convertible_to. It does take part in
/// overload resolution: given `[] {}`, f(generator<int>) and f(std::function<void()>) are ambiguous. So it
/// takes no more than the mistakes that are common.
template <class Body, class Handle, class Return>
concept misfit =
    !is_generator<std::remove_cvref_t<Body>> && !body_of<Body, Handle, Return> &&
    (requires { typename body_result<Body, Handle>; } || takes_nothing<Body> || takes_by_value<Body, Handle>);

/// Does not compile, and says why a misfit is no body.
template <class Object, class Handle, class Return, class Body>
Object refused(Body&) {
  if constexpr (requires { typename body_result<Body, Handle>; }) {
    using returned = body_result<Body, Handle>;
    if constexpr (std::is_void_v<Return>) {
      static_assert(std::is_void_v<returned>,
                    "this body returns a value, and Return is void: return nothing, or make Return its type");
    } else if constexpr (std::is_void_v<returned>) {
      static_assert(!std::is_void_v<returned>,
                    "this body returns nothing, and Return is not void: return a value on every path");
    } else {
      static_assert(
          std::is_convertible_v<returned, Return>,
          "this body returns what does not convert to Return: make that its type, or say which type "
          "it returns, `-> type`");
    }
    static_assert(std::constructible_from<std::decay_t<Body>, Body&&>,
                  "this body cannot be copied: give it away with std::move");
  } else {
    static_assert(!takes_nothing<Body>,
                  "this body takes nothing: it takes by reference what it yields or awaits with, as in "
                  "[](auto& yield) { ... }");
    static_assert(takes_nothing<Body> || !takes_by_value<Body, Handle>,
                  "this body takes by value what it yields or awaits with: write [](auto& yield), with &");
  }
  throw;
}

}  // namespace krait::detail
