// SPDX-License-Identifier: BSL-1.0
#pragma once

// Tasks: functions that run by turns on one thread, each on a stack of its own. Any function that a task calls, at any
// depth, through any generator, may wait.

#include <concepts>
#include <optional>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "krait/asyncio/context.hpp"
#include "krait/asyncio/future.hpp"

namespace krait::asyncio {
inline namespace KRAIT_BACKEND {

/// How a task is made.
struct task_options {
  std::string name = {};  ///< empty: "Task-1", "Task-2", ...
  std::optional<bool> eager =
      {};  ///< run it to where it first waits, before create_task() returns; none: as the loop has it
  std::optional<asyncio::context> context =
      {};  ///< to run in this very one; none: in a copy of the present one
};

}  // namespace KRAIT_BACKEND

namespace detail {
inline namespace KRAIT_BACKEND {

/// What a stop_iteration becomes that leaves a task's function, in its handler: a runtime_error, of which it is the
/// cause.
std::exception_ptr stop_raised_by_task() noexcept;

/// What a task has of itself: the callable, and its result.
template <class T, class F>
struct task_with_body final : task_state {
  [[no_unique_address]] slot<T> held;
  union {
    F function;
  };

  template <class G>
  task_with_body(loop_state& of, G&& made)
      : task_state(ways, of, &run, &drop), function(std::forward<G>(made)) {
    value = held.place();
  }
  ~task_with_body() {
    if (status == status::finished) {
      held.destroy();
    }
  }

 private:
  static void drop(task_state& state) noexcept { static_cast<task_with_body&>(state).function.~F(); }

  static void run(task_state& state) noexcept {
    auto& self = static_cast<task_with_body&>(state);
    detail::status how = status::finished;
    try {
      if constexpr (std::is_void_v<T>) {
        self.function();
        self.held.emplace();
      } else if constexpr (std::is_reference_v<T>) {
        self.held.emplace(static_cast<std::remove_reference_t<T>&>(self.function()));
      } else {
        self.held.emplace(self.function());
      }
      if (self.must_cancel) [[unlikely]] {
        self.held.destroy();
        self.exception = cancellation(self.message);
        how = status::cancelled;
      }
    } catch (const cancelled_error&) {
      self.exception = std::current_exception();
      how = status::cancelled;
    } catch (const stop_iteration<>&) {
      self.exception = stop_raised_by_task();
      how = status::failed;
    } catch (...) {
      self.exception = std::current_exception();
      how = status::failed;
    }
    self.function.~F();
    if (how == status::failed) [[unlikely]] {
      self.failed();
    }
    self.complete(how);
  }

  static constexpr operations ways{&destroy_future<task_with_body>, &cancel_task};
};

/// A task has been made: the loop has it from now on. Throws std::bad_alloc, and has dropped the body then.
void launch(task_state& made, task_options&& options, const site& created);

}  // namespace KRAIT_BACKEND
}  // namespace detail

inline namespace KRAIT_BACKEND {

/// What can be asked of any task. Only the loop's thread may use it.
template <class Future>
class task_handle : public Future {
 public:
  task_handle() noexcept = default;

  /// How many requests to cancel it have not been taken back. Python: `task.cancelling()`.
  int cancelling() const noexcept { return state().cancelling; }
  /// Takes one back; at none, what has not been delivered is forgotten. Returns how many are left. Python:
  /// `task.uncancel()`.
  int uncancel() const noexcept { return state().uncancel(); }

  /// Python: `task.get_name()`, `task.set_name(name)`.
  const std::string& name() const noexcept { return state().name; }
  void set_name(std::string name) const { state().name = std::move(name); }

  /// Its context variables: the very context that it runs in. Throws std::bad_alloc. Python: `task.get_context()`.
  context get_context() const { return detail::access::context_of(state().context); }

 protected:
  friend detail::access;
  explicit task_handle(detail::future_state& made) noexcept : Future(made) {}

 private:
  detail::task_state& state() const noexcept { return static_cast<detail::task_state&>(*this->state_); }
};

/// A task, whatever it returns.
using any_task = task_handle<any_future>;

/// A function that runs by turns with others. A handle: dropped, the task goes on, as the loop owns it until it ends.
/// Python: asyncio.Task.
template <class T>
using task = task_handle<future<T>>;

}  // namespace KRAIT_BACKEND

namespace detail {
inline namespace KRAIT_BACKEND {

template <class Task>
auto access::as_any_task(const Task& of) noexcept {
  of.state_->retain();
  return make<any_task>(*of.state_);
}

template <class F>
auto create_task_on(loop_state& loop, F&& function, task_options&& options, const site& created) {
  using body = std::decay_t<F>;
  using result = std::invoke_result_t<body&>;
  loop.check_open();
  task_state& made = make_state<task_with_body<result, body>>(loop, std::forward<F>(function));
  auto handle = access::make<task<result>>(made);
  launch(made, std::move(options), created);
  return handle;
}

}  // namespace KRAIT_BACKEND
}  // namespace detail

inline namespace KRAIT_BACKEND {

/// Has the running loop call `function()` in a task. None of it runs before the caller waits, unless options.eager:
/// then it runs to where it first waits. The task holds what it returns, or throws.
///
/// Throws runtime_error if no loop runs, std::bad_alloc, and what moving the function throws; the function is not
/// called then. Python: `asyncio.create_task(f())`.
template <class F>
  requires std::invocable<std::decay_t<F>&>
[[nodiscard]] auto create_task(F&& function, task_options options = {},
                               detail::site created = detail::site::here()) {
  return detail::create_task_on(detail::running_loop_state(), std::forward<F>(function), std::move(options),
                                created);
}

/// The task that runs; none in a callback. Throws runtime_error if no loop runs. Python: `asyncio.current_task()`.
any_task current_task();

/// The running loop's tasks that have not ended, in the order in which they were made. Throws runtime_error if no loop
/// runs. Python: `asyncio.all_tasks()`.
std::vector<any_task> all_tasks();

}  // namespace KRAIT_BACKEND
}  // namespace krait::asyncio
