// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <exception>
#include <type_traits>
#include <utility>

#include "krait/awaitable.hpp"
#include "krait/contextlib/context_manager.hpp"
#include "krait/contextlib/with.hpp"

namespace krait {

/// Has `aenter()` and `aexit(std::exception_ptr)`, as enter() and exit() of a context_manager, but that
/// what these return is the result of awaiting what aenter() and aexit() return. Python:
/// contextlib.AbstractAsyncContextManager.
template <class T>
concept async_context_manager = requires(std::remove_reference_t<T>& manager, std::exception_ptr exception) {
  { manager.aenter() } -> awaitable;
  { manager.aexit(exception) } -> awaitable;
};

/// An asynchronous manager as a plain one, for use in the coroutine that `co` belongs to: entering and
/// leaving await there. Of an lvalue it keeps a reference.
template <class Awaiter, async_context_manager Manager>
class [[nodiscard]] awaited {
 public:
  awaited(Awaiter& co, Manager&& manager) : co_(&co), manager_(std::forward<Manager>(manager)) {}

  decltype(auto) enter() { return co_->await(manager_.aenter()); }
  decltype(auto) exit(std::exception_ptr exception) {
    return co_->await(manager_.aexit(std::move(exception)));
  }

 private:
  Awaiter* co_;
  Manager manager_;
};

template <class Awaiter, class Manager>
awaited(Awaiter&, Manager&&) -> awaited<Awaiter, Manager>;

/// As with(), of an asynchronous manager. (Where aexit() returns a coroutine, its body handles nothing: to
/// keep the block's exception as a cause, rethrow and catch it there.) Python: `async with manager as
/// value:`.
template <class Awaiter, class Manager, class Body>
auto async_with(Awaiter& co, Manager&& manager, Body&& body) {
  static_assert(async_context_manager<Manager> || !context_manager<Manager>,
                "async_with: the object does not support the asynchronous context manager protocol, but it "
                "supports the context manager protocol. Did you mean to use with?");
  static_assert(
      async_context_manager<Manager> || context_manager<Manager>,
      "async_with: the object does not support the asynchronous context manager protocol: aenter() and "
      "aexit(std::exception_ptr), both of which return something to await");
  return with(awaited(co, std::forward<Manager>(manager)), std::forward<Body>(body));
}

}  // namespace krait
