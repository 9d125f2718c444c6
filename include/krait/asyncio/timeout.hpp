// SPDX-License-Identifier: BSL-1.0
#pragma once

// Deadlines for whatever a function does. They are calls, not guards, as their end converts an exception and throws. A
// delay may be of any length: duration::max() never ends.
//
// A deadline cancels the task, and takes that back in the end. If the count of cancellations is then what it was,
// nobody else has cancelled the task meanwhile, and the cancelled_error is this deadline's.

#include <concepts>
#include <exception>
#include <optional>
#include <string>
#include <type_traits>
#include <utility>

#include "krait/asyncio/event_loop.hpp"

namespace krait::asyncio {
namespace detail {
inline namespace KRAIT_BACKEND {

/// Cancels it, and waits until it is done, however long that takes. Throws cancelled_error.
void cancel_and_wait(const any_future& of);

}  // namespace KRAIT_BACKEND
}  // namespace detail

inline namespace KRAIT_BACKEND {

/// What the body of a timeout() is given. Only the loop's thread may use it. Python: asyncio.Timeout.
class timeout_scope {
 public:
  timeout_scope(const timeout_scope&) = delete;
  timeout_scope& operator=(const timeout_scope&) = delete;

  /// The deadline, by the loop's time(); none: there is none. Python: `timeout.when()`.
  std::optional<time_point> when() const noexcept { return when_; }

  /// Sets another deadline, or none. Throws runtime_error if this has expired; std::bad_alloc. Python:
  /// `timeout.reschedule(when)`.
  void reschedule(std::optional<time_point> when);

  /// "<timeout [active] when=12.345>", or [expiring]. Python: repr(timeout).
  std::string repr() const;

  /// Has the deadline passed, and so cancelled the task? Python: `timeout.expired()`.
  bool expired() const noexcept { return expiring_; }

  /// `due`: that time has come. `ended`: where it is told that the deadline has ended the body; null: timeout_error is
  /// thrown.
  template <class Body>
  static auto run(std::optional<time_point> when, bool due, Body& body, bool* ended = nullptr) {
    timeout_scope self(when, due);
    const auto call = [&]() -> decltype(auto) {
      if constexpr (std::is_invocable_v<Body&, timeout_scope&>) {
        return body(self);
      } else {
        return body();
      }
    };
    using result = decltype(call());
    try {
      if constexpr (std::is_void_v<result>) {
        call();
        self.leave();
      } else {
        result returned = call();
        self.leave();
        return returned;
      }
    } catch (const cancelled_error&) {
      if (!self.leave()) {
        throw;
      }
      if constexpr (std::is_void_v<result>) {
        if (ended != nullptr) {
          *ended = true;
          return;
        }
      }
      std::throw_with_nested(timeout_error());
    } catch (...) {
      self.leave();
      throw;
    }
  }

 private:
  struct alarm : detail::timer {
    timeout_scope& scope;
    explicit alarm(detail::loop_state& of, timeout_scope& its) : timer(of), scope(its) {
      run = [](callback& self) {
        timeout_scope& expired = static_cast<alarm&>(self).scope;
        expired.expiring_ = true;
        expired.task_.cancel({});
      };
    }
  };

  timeout_scope(std::optional<time_point> when, bool due)
      : task_(detail::this_task()), recorded_(task_.cancelling), alarm_(*task_.loop, *this) {
    arm(when, due);
  }

  void arm(std::optional<time_point> when, bool due);

  /// The end of the body. Is a cancelled_error this deadline's?
  bool leave() noexcept {
    alarm_.disarm();
    return expiring_ && task_.uncancel() <= recorded_;
  }

  detail::task_state& task_;
  const int recorded_;
  std::optional<time_point> when_;
  bool expiring_ = false;
  alarm alarm_;
};

/// Calls `body()`, or `body(timeout_scope&)`, and returns what it returns. When the deadline passes, the task is
/// cancelled; if the body ends by that, however long it takes to clean up, timeout_error is thrown, of which the
/// cancelled_error is the cause (std::nested_exception). None: no deadline.
///
/// Throws what leaves the body; runtime_error outside of a task; std::bad_alloc. Python:
/// `async with asyncio.timeout_at(when)`.
template <class Body>
auto timeout_at(std::optional<time_point> when, Body&& body) {
  return timeout_scope::run(when, when && *when <= detail::this_task().loop->time(), body);
}

/// The same, so long from now. Python: `async with asyncio.timeout(delay)`.
template <class Body>
auto timeout(std::optional<duration> delay, Body&& body) {
  return timeout_scope::run(
      delay ? std::optional(detail::this_task().loop->time_after(*delay)) : std::nullopt,
      delay && *delay <= duration::zero(), body);
}

/// The same of a body that returns nothing; but no timeout_error is thrown: false if the deadline has ended the body.
/// Python: `with trio.move_on_after(delay)`.
template <class Body>
bool move_on_after(duration delay, Body&& body) {
  bool ended = false;
  timeout_scope::run(detail::this_task().loop->time_after(delay), delay <= duration::zero(), body, &ended);
  return !ended;
}

/// Waits for a future as await() does, but for so long: then it is cancelled and waited for, however long that takes;
/// and what it returned after all is returned. None: for ever.
///
/// Throws timeout_error, and as await(). Python: `await asyncio.wait_for(future, delay)`.
template <class T>
T wait_for(const future<T>& of, std::optional<duration> delay) {
  if (!delay) {
    return await(of);
  }
  if (*delay <= duration::zero()) {
    const future<T> held = of;
    if (!held.done()) {
      detail::cancel_and_wait(held);
      try {
        static_cast<void>(held.exception());
      } catch (const cancelled_error&) {
        std::throw_with_nested(timeout_error());
      }
    }
    return held.result();
  }
  return timeout(delay, [&]() -> T { return await(of); });
}

/// The same of what a function does, in a task of its own; or of a coroutine, or an operation of an asynchronous
/// generator.
template <class F>
  requires std::invocable<std::decay_t<F>&>
auto wait_for(F&& function, std::optional<duration> delay) {
  return wait_for(create_task(std::forward<F>(function)), delay);
}
template <detail::awaited T>
  requires(!std::derived_from<std::decay_t<T>, any_future>)
auto wait_for(T&& of, std::optional<duration> delay) {
  return wait_for(detail::waiting_for(std::forward<T>(of)), delay);
}

}  // namespace KRAIT_BACKEND
}  // namespace krait::asyncio
