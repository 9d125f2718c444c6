// SPDX-License-Identifier: BSL-1.0
#pragma once

// To wait. These are plain functions, for any function that a task calls.

#include <chrono>
#include <type_traits>
#include <utility>

#include "krait/asyncio/task.hpp"
#include "krait/coroutine.hpp"

namespace krait::asyncio {

using clock = std::chrono::steady_clock;
using duration = clock::duration;
using time_point = clock::time_point;

inline namespace KRAIT_BACKEND {

/// Waits until the future is done and returns its value, or throws its exception. One that is done does not wait.
///
/// Throws cancelled_error if this task, or the future, was cancelled; runtime_error outside of a task, of oneself, or
/// of a future of another loop. Python: `await future`.
template <class T>
KRAIT_ALWAYS_INLINE inline T await(const future<T>& of) {
  detail::future_state& state = detail::access::state_of(of);
  if (!state.done()) {
    detail::wait_done(state);
  }
  return of.result();
}

/// Runs a coroutine to its end, in this task, and returns what it returns. It and what it awaits may wait as any
/// function may; where it yields nothing to its driver, it lets the others have a turn.
///
/// Throws what leaves the coroutine; runtime_error outside of a task. Python: `await coroutine`.
template <class R>
R await(coroutine<void, void, R>&& of) {
  for (;;) {
    const auto step = of.resume();
    if (step.returned()) {
      if constexpr (std::is_void_v<R>) {
        return;
      } else {
        return std::move(*const_cast<R*>(step.result()));
      }
    }
    detail::sleep_turn();
  }
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
  detail::sleep_until(detail::loop_state::now() + delay / std::chrono::nanoseconds(1));
}

/// Waits until then, or a turn if that has been.
inline void sleep_until(time_point when) {
  sleep(when - clock::now());
}

}  // namespace KRAIT_BACKEND
}  // namespace krait::asyncio
