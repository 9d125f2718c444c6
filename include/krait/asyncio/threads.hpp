// SPDX-License-Identifier: BSL-1.0
#pragma once

// Between the loop's thread and others: functions that block, run by threads of a pool while the tasks go on; and
// functions that other threads have a loop run.

#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <exception>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <tuple>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>
#include <version>

#if defined(__cpp_lib_jthread)
#include <stop_token>
#endif

#include "krait/asyncio/event_loop.hpp"
#include "krait/asyncio/thread_pool.hpp"

namespace krait::asyncio {

namespace detail {

/// What came of a call: nothing yet, a value, or an exception.
template <class T>
class came_of {
  using stored =
      std::conditional_t<std::is_void_v<T>, std::monostate,
                         std::conditional_t<std::is_reference_v<T>, std::remove_reference_t<T>*, T>>;

 public:
  template <class F>
  void call(F& function) noexcept {
    try {
      if constexpr (std::is_void_v<T>) {
        function();
        value_.emplace();
      } else if constexpr (std::is_reference_v<T>) {
        value_.emplace(std::addressof(function()));
      } else {
        value_.emplace(function());
      }
    } catch (...) {
      exception_ = std::current_exception();
    }
  }
  void fail(std::exception_ptr why) noexcept { exception_ = std::move(why); }
  bool there() const noexcept { return value_.has_value() || exception_ != nullptr; }
  const std::exception_ptr& exception() const noexcept { return exception_; }

  std::add_lvalue_reference_t<T> get() {
    if (exception_ != nullptr) {
      std::rethrow_exception(exception_);
    }
    if constexpr (std::is_reference_v<T>) {
      return **value_;
    } else if constexpr (!std::is_void_v<T>) {
      return *value_;
    }
  }

 private:
  std::optional<stored> value_;
  std::exception_ptr exception_;
};

inline namespace KRAIT_BACKEND {

/// The loop's own, made when it is first asked for. Throws runtime_error if it was shut down.
thread_pool& default_executor(loop_state& of);

/// A future of what a thread is doing, held by the loop until that comes by the inbox, or the loop closes. The thread
/// shares what has come of it, as it may go on when the loop is closed.
template <class T>
struct awaited_elsewhere final : elsewhere {
  future<T> waiting;
  std::shared_ptr<came_of<T>> came;

  awaited_elsewhere(loop_state& of, future<T> shown, std::shared_ptr<came_of<T>> shared) noexcept
      : elsewhere(of), waiting(std::move(shown)), came(std::move(shared)) {
    run = [](callback& self) {
      const std::unique_ptr<awaited_elsewhere> ended(static_cast<awaited_elsewhere*>(&self));
      ended->settle();
    };
  }

 private:
  void settle() {
    if (waiting.done()) {
      return;  // cancelled meanwhile
    }
    if (came->exception() != nullptr) {
      waiting.set_exception(came->exception());
    } else if constexpr (std::is_void_v<T>) {
      waiting.set_result();
    } else if constexpr (std::is_reference_v<T>) {
      waiting.set_result(came->get());
    } else {
      waiting.set_result(std::move(came->get()));
    }
  }
};

}  // namespace KRAIT_BACKEND
}  // namespace detail

inline namespace KRAIT_BACKEND {

/// Has a thread of `pool` call `function()`, in a copy of the present context; a future of what comes of it. To cancel
/// that does not stop the thread: what comes of it is dropped. Anything may be the pool that has `post(function)`.
///
/// Throws what post() throws; runtime_error if no loop runs; std::bad_alloc. Python: `loop.run_in_executor(pool, f)`.
template <class Pool, class F>
[[nodiscard]] auto run_in_executor(Pool& pool, F&& function) {
  using result = std::invoke_result_t<std::decay_t<F>&>;
  struct job {
    std::decay_t<F> function;
    context variables;
    detail::came_of<result> came;
  };
  detail::loop_state& loop = detail::running_loop_state();
  auto shown = create_future<result>();
  const std::shared_ptr<job> made(new job{std::forward<F>(function), copy_context(), {}});
  auto waiting = std::make_unique<detail::awaited_elsewhere<result>>(
      loop, shown, std::shared_ptr<detail::came_of<result>>(made, &made->came));
  pool.post([made, box = loop.inbox, place = waiting.get()] {
    made->variables.run([&] { made->came.call(made->function); });
    box->post(*place);
  });
  waiting.release();  // is the loop's
  return shown;
}
/// The same in the loop's own pool, which is made when it is first needed. Throws, too, runtime_error if that was shut
/// down. Python: `loop.run_in_executor(None, f)`.
template <class F>
[[nodiscard]] auto run_in_executor(F&& function) {
  return run_in_executor(detail::default_executor(detail::running_loop_state()), std::forward<F>(function));
}

/// Calls `function(arguments...)` in a thread of the loop's own pool, and waits for what comes of it. Throws what that
/// throws, and as run_in_executor(); cancelled_error, and then the thread goes on; runtime_error outside of a task.
/// Python: `await asyncio.to_thread(f)`.
template <class F, class... Args>
decltype(auto) to_thread(F&& function, Args&&... arguments) {
  return await(
      run_in_executor([function = std::forward<F>(function),
                       given = std::tuple(std::forward<Args>(arguments)...)]() mutable -> decltype(auto) {
        return std::apply(function, std::move(given));
      }));
}

/// What was begun in the loop's own pool is waited for, but no longer than `most` (none: for ever): then, that is
/// reported. Nothing can be begun any more. Throws cancelled_error; runtime_error outside of a task; std::bad_alloc;
/// std::system_error if there is no thread to wait in. Python: `await loop.shutdown_default_executor(timeout)`.
void shutdown_default_executor(std::optional<duration> most = {});

/// What comes of a function that a loop runs for another thread. A handle: copies share it; any thread may use it.
/// Python: concurrent.futures.Future.
template <class T>
class thread_future {
 public:
  /// Python: `future.done()`.
  bool done() const {
    const std::lock_guard guard(shared_->lock);
    return shared_->came.there();
  }

  /// Waits, blocking this thread, and returns what lives as long as a handle. Throws what the function has thrown;
  /// cancelled_error if it was cancelled; runtime_error if the loop was closed before it was called. It must not be
  /// called by the loop's thread while this is not done. Python: `future.result()`.
  std::add_lvalue_reference_t<T> get() const {
    std::unique_lock guard(shared_->lock);
    shared_->changed.wait(guard, [&] { return shared_->came.there(); });
    return shared_->came.get();
  }
  /// The same, but for so long: then, timeout_error, and nothing is cancelled. Python: `future.result(timeout)`.
  std::add_lvalue_reference_t<T> get(duration most) const {
    const time_point now = clock::now();
    if (most > time_point::max() - now) {
      return get();
    }
    std::unique_lock guard(shared_->lock);
    if (!shared_->changed.wait_until(guard, now + most, [&] { return shared_->came.there(); })) {
      throw timeout_error();
    }
    return shared_->came.get();
  }

  /// Asks the task to end, as task.cancel() does. False if it is done, or the loop closed. Throws std::bad_alloc.
  /// Python: `future.cancel()`.
  bool cancel(std::string message = {}) const {
    if (done()) {
      return false;
    }
    return shared_->box->post([asked = shared_, message = std::move(message)] {
      asked->cancel_requested = true;
      if (asked->runs) {
        asked->runs.cancel(message);
      }
    });
  }

  /// `function()` is called once this is done, by the loop's thread, or at once if it is already. It must not throw.
  /// Throws std::bad_alloc. Python: `future.add_done_callback(f)`.
  void add_done_callback(std::function<void()> function) const {
    {
      const std::lock_guard guard(shared_->lock);
      if (!shared_->came.there()) {
        shared_->callbacks.push_back(std::move(function));
        return;
      }
    }
    function();
  }

 private:
  template <class F>
  friend auto run_threadsafe(event_loop& loop, F&& function);

  struct state {
    std::mutex lock;
    std::condition_variable changed;
    detail::came_of<T> came;
    std::vector<std::function<void()>> callbacks;
    std::shared_ptr<detail::inbox> box;
    any_task runs;  ///< the loop's thread only
    bool cancel_requested = false;

    template <class Settle>
    void settle(Settle how) {
      std::vector<std::function<void()>> called;
      {
        const std::lock_guard guard(lock);
        if (came.there()) {
          return;
        }
        how(came);
        called.swap(callbacks);
      }
      changed.notify_all();
      for (const std::function<void()>& each : called) {
        each();
      }
    }
  };

  /// Where the loop closes before it has run the function, that is told.
  struct promise {
    std::shared_ptr<state> to;

    explicit promise(std::shared_ptr<state> of) noexcept : to(std::move(of)) {}
    promise(const promise&) = delete;
    promise& operator=(const promise&) = delete;
    ~promise() {
      to->settle([](auto& came) {
        const auto closed = []() -> T { throw runtime_error("Event loop is closed"); };
        came.call(closed);
      });
    }
  };

  explicit thread_future(std::shared_ptr<state> of) noexcept : shared_(std::move(of)) {}

  std::shared_ptr<state> shared_;
};

/// Has `loop` call `function()` in a task. Any thread may call it. Throws runtime_error if the loop is closed;
/// std::bad_alloc. Python: `asyncio.run_coroutine_threadsafe(f(), loop)`.
template <class F>
auto run_threadsafe(event_loop& loop, F&& function) {
  using result = std::invoke_result_t<std::decay_t<F>&>;
  using state = typename thread_future<result>::state;
  using promise = typename thread_future<result>::promise;
  auto shared = std::make_shared<state>();
  shared->box = loop.state().inbox;
  auto kept = std::make_shared<promise>(shared);
  auto body = std::make_shared<std::decay_t<F>>(std::forward<F>(function));
  loop.call_soon_threadsafe([kept, body]() mutable {
    state& its = *kept->to;
    try {
      const auto made = create_task([body] { return (*body)(); });
      its.runs = detail::access::as_any_task(made);
      made.add_done_callback([kept, made] {
        state& ended = *kept->to;
        ended.runs = {};
        ended.settle([&](auto& came) {
          const auto take = [&]() -> decltype(auto) { return made.result(); };
          came.call(take);
        });
      });
      if (its.cancel_requested) {
        made.cancel();
      }
    } catch (...) {
      its.settle([](auto& came) { came.fail(std::current_exception()); });
    }
  });
  return thread_future<result>(std::move(shared));
}

/// A future of the running loop that is done as `of` is; to cancel it cancels that. Throws runtime_error if no loop
/// runs; std::bad_alloc. Python: `asyncio.wrap_future(of)`.
template <class T>
[[nodiscard]] future<T> wrap_future(const thread_future<T>& of) {
  detail::loop_state& loop = detail::running_loop_state();
  auto shown = create_future<T>();
  const auto came = std::make_shared<detail::came_of<T>>();
  auto waiting = std::make_unique<detail::awaited_elsewhere<T>>(loop, shown, came);
  of.add_done_callback([of, came, place = waiting.get(), box = loop.inbox] {
    const auto take = [&]() -> decltype(auto) { return of.get(); };
    came->call(take);
    box->post(*place);
  });
  waiting.release();                     // is the loop's
  shown.add_done_callback([shown, of] {  // comes last: until it is called, it holds what it is of
    if (shown.cancelled()) {
      of.cancel();
    }
  });
  return shown;
}

/// Of a future of a loop it is that.
template <class T>
[[nodiscard]] future<T> wrap_future(future<T> of) {
  return of;
}

#if defined(__cpp_lib_jthread)
/// Cancels the task when a stop is requested, by whatever thread. Only the loop's thread may call it; the standard
/// library must have std::stop_token. Throws std::bad_alloc.
void cancel_on_stop(const any_task& task, std::stop_token token);
template <class T>
void cancel_on_stop(const task<T>& of, std::stop_token token) {
  cancel_on_stop(detail::access::as_any_task(of), std::move(token));
}
#endif

}  // namespace KRAIT_BACKEND
}  // namespace krait::asyncio
