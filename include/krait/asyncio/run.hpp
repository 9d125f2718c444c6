// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <utility>

#include "krait/asyncio/event_loop.hpp"
#include "krait/asyncio/threads.hpp"

namespace krait::asyncio {
namespace detail {
inline namespace KRAIT_BACKEND {

/// While it lives, Ctrl-C cancels the task; the second one leaves the loop. That is so on the main thread, and where
/// SIGINT does what it does by default; else nothing is.
class interruptible_scope {
 public:
  interruptible_scope(event_loop& loop, any_task main);
  interruptible_scope(const interruptible_scope&) = delete;
  interruptible_scope& operator=(const interruptible_scope&) = delete;
  ~interruptible_scope();

  /// The task has ended cancelled: by Ctrl-C, and nobody else?
  bool interrupted() const noexcept { return *count_ > 0 && main_.uncancel() == 0; }

 private:
  event_loop& loop_;
  any_task main_;
  std::shared_ptr<int> count_ = std::make_shared<int>(0);
  bool installed_ = false;
};

}  // namespace KRAIT_BACKEND
}  // namespace detail

inline namespace KRAIT_BACKEND {

/// Makes a loop: one that is prepared, or whose lifetime is somebody else's concern.
using loop_factory = std::function<std::unique_ptr<event_loop>(const run_options&)>;

/// A loop, and a context, that run several functions, one after the other. For one thread. Python: asyncio.Runner.
class runner {
 public:
  /// `make`: who makes the loop, of these options; empty: it is one with these.
  explicit runner(run_options options = {}, loop_factory make = {})
      : options_(options), make_(std::move(make)) {}
  runner(const runner&) = delete;
  runner& operator=(const runner&) = delete;
  /// As close(), but what that throws is reported.
  ~runner();

  /// As event_loop::run_until_complete(), of a task in this context; none: in the runner's, which its functions share.
  /// Throws, too, runtime_error if this is closed; keyboard_interrupt if Ctrl-C has ended the task: see
  /// docs/asyncio.md. Python: `runner.run(main(), context=variables)`.
  template <class F>
    requires std::invocable<std::decay_t<F>&>
  auto run(F&& main, std::optional<context> variables = {}) {
    if (detail::loop_state::running_here() != nullptr) {
      throw runtime_error("Runner.run() cannot be called from a running event loop");
    }
    event_loop& loop = get_loop();
    task_options options;
    options.context = variables ? std::move(variables) : context_;
    const auto task = loop.create_task(std::forward<F>(main), std::move(options));
    const detail::interruptible_scope ctrl_c(loop, detail::access::as_any_task(task));
    try {
      return loop.run_until_complete(task);
    } catch (const cancelled_error&) {
      if (ctrl_c.interrupted()) {
        throw keyboard_interrupt();
      }
      throw;
    }
  }

  /// The same of what can be awaited: a future of the loop, a coroutine, an operation of an asynchronous generator.
  template <detail::awaited T>
  auto run(T&& of, std::optional<context> variables = {}) {
    return run(detail::waiting_for(std::forward<T>(of)), std::move(variables));
  }

  /// Made when it is first asked for. Throws runtime_error if this is closed, and what making it throws. Python:
  /// `runner.get_loop()`.
  event_loop& get_loop();

  /// Cancels all tasks and waits for them, closes asynchronous generators, waits for the threads of run_in_executor(),
  /// for five minutes at most, and closes the loop. Does nothing if that is closed. Throws as event_loop::close().
  /// Python: `runner.close()`.
  void close();

 private:
  run_options options_;
  loop_factory make_;
  std::unique_ptr<event_loop> loop_;
  std::optional<context> context_;
  bool closed_ = false;
};

/// Runs `main()`, or what can be awaited, in a task of a new loop and returns what comes of it. In the end, all other
/// tasks are cancelled and waited for: they must not refer to variables of main. `make`: who makes the loop.
///
/// Throws what leaves main; keyboard_interrupt; runtime_error if a loop runs on this thread, or, in debug mode, if no
/// task can go on; std::bad_alloc. Python: `asyncio.run(main(), loop_factory=make)`.
template <class F>
  requires(std::invocable<std::decay_t<F>&> || detail::awaited<F>)
auto run(F&& main, run_options options = {}, loop_factory make = {}) {
  if (detail::loop_state::running_here() != nullptr) {
    throw runtime_error("asyncio.run() cannot be called from a running event loop");
  }
  runner once(options, std::move(make));
  return once.run(std::forward<F>(main));
}

}  // namespace KRAIT_BACKEND
}  // namespace krait::asyncio
