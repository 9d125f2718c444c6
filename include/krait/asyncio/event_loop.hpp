// SPDX-License-Identifier: BSL-1.0
#pragma once

// The loop, on an io_context of Boost.Asio: its own, or the application's.

#include <chrono>
#include <concepts>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "krait/asyncio/await.hpp"
#include "krait/asyncio/detail/site.hpp"

namespace krait::asyncio {

class thread_pool;

/// How a loop is made.
struct run_options {
  /// How many turns are taken before the reactor is polled again. Python's loop polls each time.
  unsigned turns_per_poll = 1;
  /// The application's, which must outlive the loop, and be run by one thread. Null: the loop has its own.
  boost::asio::io_context* context = nullptr;
  /// For tests of what waits: time stands still while anything can run, and then goes at once to the next deadline,
  /// however late; it begins at zero. Threads and operations of Asio's are not waited for. Trio's MockClock, with
  /// autojump.
  bool virtual_time = false;
  /// Debug mode, which is slower; none: if KRAIT_DEBUG=1 is in the environment. A callback, or a step of a task, is
  /// reported that takes slow_callback_duration or longer. call_soon(), call_later(), call_at() and all_tasks() throw
  /// runtime_error when another thread runs the loop. And a loop that runs ends with a runtime_error, instead of
  /// waiting for ever, when there are tasks and nothing could wake one: no timer, operation, thread of
  /// run_in_executor() or handler of add_signal_handler(); Ctrl-C, which asyncio::run() watches for, is none of these.
  /// (Who will call call_soon_threadsafe() later is to hold a work guard of the io_context.)
  std::optional<bool> debug = {};
};

inline namespace KRAIT_BACKEND {

class event_loop;

/// A callback that was scheduled. Dropped, that is called all the same. Only the loop's thread may use it. Python:
/// asyncio.Handle, asyncio.TimerHandle.
class handle {
 public:
  handle() noexcept = default;  ///< of none: only to be assigned to
  handle(const handle& other) noexcept;
  handle(handle&& other) noexcept : scheduled_(std::exchange(other.scheduled_, nullptr)) {}
  handle& operator=(handle other) noexcept {
    std::swap(scheduled_, other.scheduled_);
    return *this;
  }
  ~handle() {
    if (scheduled_ != nullptr) {
      release();
    }
  }

  /// If it has not been called yet, it will not be, and is destroyed. Python: `handle.cancel()`.
  void cancel() const noexcept;
  /// Has cancel() been called? Python: `handle.cancelled()`.
  bool cancelled() const noexcept;

  /// When it is due, by the loop's time(); none: it is call_soon()'s. Python: `handle.when()`.
  std::optional<time_point> when() const noexcept;

  /// "<handle object at 0x... cancelled when=12.345 created at FILE:LINE>". Python: repr(handle).
  std::string repr() const;

 private:
  friend event_loop;
  struct scheduled;
  /// Takes over a reference.
  explicit handle(scheduled* of) noexcept : scheduled_(of) {}
  void release() const noexcept;

  scheduled* scheduled_ = nullptr;
};

/// The same of call_soon_threadsafe(): any thread may use it. While the callback runs, other threads wait for its end
/// in all of this, so once cancel() has returned it does not run. It may cancel itself, which has no effect then.
class threadsafe_handle {
 public:
  void cancel() const;
  bool cancelled() const;
  /// As handle::repr(). Throws std::bad_alloc.
  std::string repr() const;

 private:
  friend event_loop;
  struct scheduled;
  explicit threadsafe_handle(std::shared_ptr<scheduled> of) noexcept : scheduled_(std::move(of)) {}

  std::shared_ptr<scheduled> scheduled_;
};

}  // namespace KRAIT_BACKEND

namespace detail {
inline namespace KRAIT_BACKEND {

/// Can it be waited for, and not be called? A future, a coroutine, an operation of an asynchronous generator.
template <class T>
concept awaited =
    !std::invocable<std::decay_t<T>&> && requires(std::decay_t<T>& of) { await(std::move(of)); };

template <awaited T>
auto waiting_for(T&& of) {
  return [of = std::decay_t<T>(std::forward<T>(of))]() mutable -> decltype(auto) {
    return await(std::move(of));
  };
}

}  // namespace KRAIT_BACKEND
}  // namespace detail

inline namespace KRAIT_BACKEND {

/// Runs tasks and callbacks by turns, on one thread at a time. Python: asyncio.AbstractEventLoop.
class event_loop {
 public:
  /// One that does not run yet. Throws std::bad_alloc, and what making an io_context throws. Python:
  /// `asyncio.new_event_loop()`.
  explicit event_loop(run_options options = {});
  event_loop(const event_loop&) = delete;
  event_loop& operator=(const event_loop&) = delete;

  /// Closes it; what close() throws is reported. It must not be running.
  ~event_loop();

  /// Runs `function()` in a task, and the loop until that has ended; or until a future is done. Returns what it
  /// returns.
  ///
  /// Throws what leaves it; cancelled_error if it was cancelled; runtime_error if this or another loop runs on this
  /// thread, if it is closed, if it was stopped before, or, in debug mode, if no task can go on; std::bad_alloc.
  /// keyboard_interrupt and system_exit leave it from whatever task or callback they come. Then it can be run again.
  /// Python: `loop.run_until_complete(f())`.
  template <class F>
    requires std::invocable<std::decay_t<F>&>
  auto run_until_complete(F&& function, detail::site created = detail::site::here()) {
    return complete(detail::create_task_on(*state_, std::forward<F>(function), {}, created));
  }
  /// Throws, too, value_error if the future is another loop's.
  template <class T>
  T run_until_complete(const future<T>& of) {
    if (detail::access::state_of(of).loop != state_) {
      throw value_error("The future belongs to a different loop than the one that is to complete it");
    }
    return complete(of);
  }
  /// Of a coroutine, or an operation of an asynchronous generator: as a function that awaits it.
  template <detail::awaited T>
    requires(!std::derived_from<std::decay_t<T>, any_future>)
  auto run_until_complete(T&& of) {
    return run_until_complete(detail::waiting_for(std::forward<T>(of)));
  }

  /// Runs until stop(). Throws as run_until_complete(). Python: `loop.run_forever()`.
  void run_forever() { state_->run(); }

  /// Ends run_until_complete() or run_forever(): at the end of this turn, or, if it does not run, after the next one.
  /// Only the loop's thread may call it. Python: `loop.stop()`.
  void stop() noexcept { state_->stop(); }

  /// Is it in run_until_complete() or run_forever()? Python: `loop.is_running()`.
  bool is_running() const noexcept { return state_->running; }
  /// Python: `loop.is_closed()`.
  bool is_closed() const noexcept { return state_->closed; }

  /// Cancels all tasks and runs until none is left, closes asynchronous generators, and forgets what was scheduled.
  /// Does nothing the second time.
  ///
  /// Throws runtime_error if it runs, and as run_until_complete(): then it is not closed, and may be once more. Python:
  /// `loop.close()`, which cancels nothing.
  void close() { state_->close(); }

  /// As asyncio::create_task(), whether this loop runs or not; if it takes no turns just now, no task is eager. Throws,
  /// too, runtime_error if it is closed. Python: `loop.create_task(f())`.
  template <class F>
  [[nodiscard]] auto create_task(F&& function, task_options options = {},
                                 detail::site created = detail::site::here()) {
    return detail::create_task_on(*state_, std::forward<F>(function), std::move(options), created);
  }
  /// As asyncio::create_future(), whether this loop runs or not. Python: `loop.create_future()`.
  template <class T>
  future<T> create_future(detail::site created = detail::site::here()) {
    return detail::make_future<T>(*state_, created);
  }

  /// Are tasks eager whose maker does not say? Not at first. Python:
  /// `loop.set_task_factory(asyncio.eager_task_factory)`.
  bool get_eager_tasks() const noexcept { return state_->eager; }
  void set_eager_tasks(bool on) noexcept { state_->eager = on; }

  /// Calls `function` in the next turn, in the order in which they were given, in a copy of the present context. An
  /// exception goes to the exception handler. Only the loop's thread may call it. Throws runtime_error if the loop is
  /// closed; std::bad_alloc. Python: `loop.call_soon(f)`.
  handle call_soon(std::function<void()> function, detail::site created = detail::site::here());
  /// The same after `delay`, of any length, or when time() is `when`. Python: `loop.call_later(delay, f)`,
  /// `loop.call_at(when, f)`.
  handle call_later(duration delay, std::function<void()> function,
                    detail::site created = detail::site::here());
  handle call_at(time_point when, std::function<void()> function,
                 detail::site created = detail::site::here());

  /// As call_soon(), but any thread may call it; it wakes the loop. Python: `loop.call_soon_threadsafe(f)`.
  threadsafe_handle call_soon_threadsafe(std::function<void()> function,
                                         detail::site created = detail::site::here());

  /// Whose threads run_in_executor(function) and to_thread() have call functions, from now on; the one before is shut
  /// down, without waiting, as this one is when the loop closes. Throws runtime_error if the loop is closed. Python:
  /// `loop.set_default_executor(pool)`.
  void set_default_executor(std::shared_ptr<thread_pool> pool);

  /// For what is built on loops: their inside.
  detail::loop_state& state() noexcept { return *state_; }

  /// What deadlines are compared with: clock::now(), unless its time is virtual. Python: `loop.time()`.
  time_point time() const noexcept { return state_->time(); }

  /// Who is told of exceptions that nobody can catch; empty: stderr. What the handler throws is told there, too.
  /// Python: `loop.set_exception_handler(handler)`.
  void set_exception_handler(std::function<void(const error_report&)> handler) {
    state_->handler = std::move(handler);
  }
  /// Tells it of one. Python: `loop.call_exception_handler(context)`.
  void call_exception_handler(const error_report& report) noexcept { state_->report(report); }

  /// See run_options::debug. Before it runs, or in a callback. Python: `loop.get_debug()`, `loop.set_debug(on)`.
  bool get_debug() const noexcept { return state_->debug; }
  void set_debug(bool on) noexcept { state_->set_debug(on); }
  /// What takes as long is reported in debug mode; 100 ms at first. Python: `loop.slow_callback_duration`.
  duration slow_callback_duration() const noexcept {
    return std::chrono::duration_cast<duration>(std::chrono::nanoseconds(state_->slow));
  }
  void set_slow_callback_duration(duration least) noexcept {
    state_->slow = least / std::chrono::nanoseconds(1);
  }

  /// Has the loop call `function` whenever the signal comes, in place of another such function. Only the loop's thread
  /// may call it. Throws boost::system::system_error if the signal cannot be caught, or if there is none of that
  /// number; runtime_error if the loop is closed; std::bad_alloc. Python: `loop.add_signal_handler(signal, f)`.
  void add_signal_handler(int signal, std::function<void()> function);
  /// The signal does what it does by default. Was there a function? Python: `loop.remove_signal_handler(signal)`.
  bool remove_signal_handler(int signal) { return state_->reactor.unwatch_signal(signal); }

  /// Closes all asynchronous generators that have begun, and not ended, and runs until no task is left; close() does
  /// that, too. Throws runtime_error if it runs, and as run_until_complete(). Python:
  /// `await loop.shutdown_asyncgens()`.
  void shutdown_asyncgens() { state_->shut_async_generators(); }

  /// What it hangs on: for sockets, timers and whatever else is Asio's.
  boost::asio::io_context& io_context() noexcept { return state_->reactor.context(); }

 private:
  friend event_loop& get_running_loop();

  template <class Future>
  auto complete(Future of) -> typename Future::value_type {
    // It may be queued already when something else ends this run: it is not to stop the next.
    const callback_id id = of.add_done_callback([state = state_, run = state_->runs + 1] {
      if (state->runs == run) {
        state->stop();
      }
    });
    try {
      state_->run();
    } catch (...) {
      of.remove_done_callback(id);
      if (of.done() && !of.cancelled()) {
        static_cast<void>(of.exception());  // is on its way
      }
      throw;
    }
    of.remove_done_callback(id);
    if (!of.done()) {
      throw runtime_error("Event loop stopped before Future completed.");
    }
    return detail::take(std::move(of));
  }

  detail::loop_state* state_;
};

/// The loop that runs on this thread. Throws runtime_error if none does. Python: `asyncio.get_running_loop()`.
event_loop& get_running_loop();

/// The task of a loop that runs; none if it runs none. Only the loop's thread may call it. Python:
/// `asyncio.current_task(loop)`.
any_task current_task(event_loop& on);

/// A loop's tasks that have not ended. Only the loop's thread may call it, whether it runs or not; to another the loop
/// tells it by run_threadsafe(). Python: `asyncio.all_tasks(loop)`.
std::vector<any_task> all_tasks(event_loop& of);

}  // namespace KRAIT_BACKEND
}  // namespace krait::asyncio
