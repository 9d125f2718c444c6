// SPDX-License-Identifier: BSL-1.0
#pragma once

// To wait. These are plain functions, for any function that a task calls.

#include <chrono>
#include <cstdint>
#include <type_traits>
#include <utility>

#include "krait/async_generator.hpp"
#include "krait/asyncio/task.hpp"
#include "krait/coroutine.hpp"

namespace krait::asyncio {

/// How time is told. A delay may be of any length: duration::max() never ends.
using clock = std::chrono::steady_clock;
using duration = clock::duration;
using time_point = clock::time_point;

namespace detail {
inline namespace KRAIT_BACKEND {

/// Is it a future, or nothing, that a coroutine yields to its driver, and does it want nothing sent?
template <class Yield, class Send>
inline constexpr bool for_the_loop =
    std::is_void_v<Send> &&
    (std::is_void_v<Yield> || std::is_base_of_v<any_future, std::remove_cvref_t<Yield>>);

/// What the loop does with what is yielded to it. Throws what the future raises.
inline void wait_yielded() {
  sleep_turn();
}
inline void wait_yielded(const any_future& of) {
  if (!of) {
    return sleep_turn();
  }
  const any_future held = of;
  future_state& state = access::state_of(held);
  if (!state.done()) {
    wait_done(state);
  }
  if (state.status != status::finished) {
    throw_no_value(state);
  }
}

}  // namespace KRAIT_BACKEND
}  // namespace detail

inline namespace KRAIT_BACKEND {

/// Waits until the future is done and returns its value, or throws its exception. One that is done does not wait. It is
/// held meanwhile, whatever becomes of the handle.
///
/// Throws cancelled_error if this task, or the future, was cancelled; runtime_error outside of a task, of oneself, or
/// of a future of another loop. Python: `await future`.
template <class T>
KRAIT_ALWAYS_INLINE inline T await(const future<T>& of) {
  if (detail::future_state& state = detail::access::state_of(of); !state.done()) {
    const future<T> held = of;  // `of` may go, or be assigned to, meanwhile
    detail::wait_done(state);
    return held.result();
  }
  return of.result();
}

}  // namespace KRAIT_BACKEND

namespace detail {
inline namespace KRAIT_BACKEND {

/// What has come of a future that is done. Nobody else has a handle, or it cannot be copied: then it is moved out.
template <class T>
T take(future<T>&& of) {
  if constexpr (!std::is_void_v<T> && !std::is_reference_v<T>) {
    if (!std::is_copy_constructible_v<T> || access::state_of(of).references == 1) {
      return std::move(const_cast<T&>(of.result()));
    }
  }
  if constexpr (std::is_void_v<T> || std::is_reference_v<T> || std::is_copy_constructible_v<T>) {
    return of.result();
  }
}

}  // namespace KRAIT_BACKEND
}  // namespace detail

inline namespace KRAIT_BACKEND {

/// The same of a handle that is not needed any more: if there is no other, the value is moved out. One that cannot be
/// copied always is.
template <class T>
KRAIT_ALWAYS_INLINE inline T await(future<T>&& of) {
  future<T> held(std::move(of));
  if (detail::future_state& state = detail::access::state_of(held); !state.done()) {
    detail::wait_done(state);
  }
  return detail::take(std::move(held));
}

/// Runs a coroutine to its end, in this task, and returns what it returns. It and what it awaits may wait as any
/// function may. Of what it yields to its driver, which is the loop, a future is waited for, and raised in it what that
/// raises; to yield nothing, or a future of none, lets the others have a turn.
///
/// Throws what leaves the coroutine; runtime_error outside of a task. Python: `await coroutine`.
template <class Yield, class Send, class R>
R await(coroutine<Yield, Send, R>&& of) {
  static_assert(detail::for_the_loop<Yield, Send>,
                "await: bad yield: what a coroutine yields to the event loop must be void or a future, and "
                "its Send void");
  detail::this_task();
  std::exception_ptr raised;
  for (;;) {
    const auto step = raised == nullptr ? of.resume() : of.resume_with(std::exchange(raised, nullptr));
    if (step.returned()) {
      if constexpr (std::is_void_v<R>) {
        return;
      } else {
        return std::move(*const_cast<R*>(step.result()));
      }
    }
    try {
      if constexpr (std::is_void_v<Yield>) {
        detail::wait_yielded();
      } else {
        detail::wait_yielded(*step);
      }
    } catch (...) {
      raised = std::current_exception();
    }
  }
}

/// Runs an operation of an asynchronous generator to its end, as a coroutine. Throws, too, stop_async_iteration at the
/// generator's end. Python: `await anext(g)`.
template <class Yield, class Send, class DriverYield, class DriverSend, krait::detail::async_method method>
auto await(async_operation<Yield, Send, DriverYield, DriverSend, method>&& of) {
  static_assert(
      detail::for_the_loop<DriverYield, DriverSend>,
      "await: bad yield: an asynchronous generator's DriverYield must be void or a future for the event "
      "loop, and its DriverSend void");
  detail::this_task();
  return of.drive([](const auto&... yielded) { detail::wait_yielded(yielded...); });
}

/// Calls `body()` and returns what it returns; no wait in it is cancelled: that stays until it has ended, and is raised
/// where the task waits next. Throws what leaves it; runtime_error outside of a task.
template <class Body>
decltype(auto) no_cancel(Body&& body) {
  struct scope {
    detail::task_state& self = detail::this_task();
    scope() { ++self.held_back; }
    scope(const scope&) = delete;
    scope& operator=(const scope&) = delete;
    ~scope() { --self.held_back; }
  } held;
  return std::forward<Body>(body)();
}

template <class T>
template <class Y, class S>
T future<T>::await_in(yielder<Y, S>&) const {
  return await(*this);
}

/// Waits for so long; zero or less: lets all others that are ready have a turn. Throws cancelled_error; runtime_error
/// outside of a task. Python: `await asyncio.sleep(delay)`.
inline void sleep(duration delay) {
  if (delay <= duration::zero()) {
    return detail::sleep_turn();
  }
  detail::sleep_until(detail::this_task().loop->after(delay));
}

/// The same, and returns `value`. Python: `await asyncio.sleep(delay, value)`.
template <class T>
std::decay_t<T> sleep(duration delay, T&& value) {
  sleep(delay);
  return std::forward<T>(value);
}

/// Waits until the loop's time() is `when`, or a turn if that has been. Throws as sleep().
inline void sleep_until(time_point when) {
  const std::int64_t at = when.time_since_epoch() / std::chrono::nanoseconds(1);
  return at <= detail::this_task().loop->now() ? detail::sleep_turn() : detail::sleep_until(at);
}

}  // namespace KRAIT_BACKEND
}  // namespace krait::asyncio
