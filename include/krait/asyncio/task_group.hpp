// SPDX-License-Identifier: BSL-1.0
#pragma once

// Tasks that end together.

#include <cstddef>
#include <exception>
#include <memory>
#include <optional>
#include <type_traits>
#include <utility>
#include <vector>

#include "krait/asyncio/await.hpp"

namespace krait::asyncio {
inline namespace KRAIT_BACKEND {

/// What the body of a task_group() is given. Only the loop's thread may use it. Python: asyncio.TaskGroup.
class task_group_scope {
 public:
  task_group_scope(const task_group_scope&) = delete;
  task_group_scope& operator=(const task_group_scope&) = delete;

  /// Makes a task of the group. Any of its tasks may, while one of them has not ended. Throws as
  /// asyncio::create_task(); runtime_error if the group is shutting down, or has ended. Python:
  /// `group.create_task(f())`.
  template <class F>
  auto create_task(F&& function, task_options options = {}, detail::site created = detail::site::here()) {
    check_open();
    auto place = std::make_unique<child>(*this);
    auto made = asyncio::create_task(std::forward<F>(function), std::move(options), created);
    adopt(std::move(place), made);
    return made;
  }

  /// The same of `function(started)`, and waits until that calls `started()`: returns the task then. Cancelled
  /// meanwhile, so is the task. Throws, too, cancelled_error; runtime_error if it ends without having called it.
  /// Python: trio's `await nursery.start(f)`.
  template <class F>
  auto start(F&& function, task_options options = {}) {
    const auto ready = create_future<void>();
    const auto started = [ready] {
      if (!ready.done()) {
        ready.set_result();
      }
    };
    auto made =
        create_task([function = std::forward<F>(function), started]() mutable { return function(started); },
                    std::move(options));
    made.add_done_callback([ready] {
      if (!ready.done()) {
        ready.set_exception(
            std::make_exception_ptr(runtime_error("the task has ended and not called started()")));
      }
    });
    try {
      await(ready);
    } catch (const cancelled_error&) {
      made.cancel();
      throw;
    }
    return made;
  }

  /// Cancels all tasks of the group, and the body, if that has not ended: then the group ends without an exception,
  /// unless something fails meanwhile; a body that was to return something, by cancelled_error. Whoever else cancels
  /// the task is heard. Does nothing the second time. Python: `group.cancel()`, of 3.15.
  void cancel();

  /// Calls the body, then waits for all.
  template <class Body>
  static auto run(Body& body) {
    task_group_scope self;
    using result = std::invoke_result_t<Body&, task_group_scope&>;
    if constexpr (std::is_void_v<result>) {
      try {
        body(self);
      } catch (...) {
        self.body_failed(std::current_exception());
      }
      self.leave();
    } else {
      std::optional<result> returned;
      try {
        returned.emplace(body(self));
      } catch (...) {
        self.body_failed(std::current_exception());
      }
      self.leave();
      if (!returned) {
        throw cancelled_error();  // by cancel()
      }
      return std::move(*returned);
    }
  }

 private:
  struct child : detail::callback {
    task_group_scope* of;
    any_future future;
    child *before = nullptr, *after = nullptr;  // of the group's that have not ended

    explicit child(task_group_scope& group);
    ~child();
  };

  task_group_scope() : parent_(detail::this_task()) {}
  ~task_group_scope() = default;

  void check_open() const;
  void adopt(std::unique_ptr<child> made, const any_future& of);
  void child_done(child& ended);
  void abort();
  void body_failed(std::exception_ptr why);
  void leave();

  detail::task_state& parent_;
  child* children_ = nullptr;
  std::size_t living_ = 0;  ///< children; errors_ has room for what each may fail with
  std::vector<std::exception_ptr> errors_;
  std::exception_ptr leaves_loop_;
  std::exception_ptr cancelled_;   ///< to be thrown in the end
  std::exception_ptr body_error_;  ///< unless it is cancelled
  bool aborting_ = false;
  bool exiting_ = false;
  bool parent_cancel_requested_ = false;
  detail::waiter* waiting_ = nullptr;
};

/// Calls `body(task_group_scope&)`, then waits for all tasks that were made in the group, however it ends: so they may
/// refer to variables of whoever calls this. Returns what the body returned. If one of them fails, or the body, all
/// others are cancelled, and so is the body; when all have ended, an exception_group says what has failed.
///
/// Throws exception_group; cancelled_error if the task was cancelled and nothing failed; runtime_error outside of a
/// task; keyboard_interrupt and system_exit as they are. Python: `async with asyncio.TaskGroup() as group`.
template <class Body>
auto task_group(Body&& body) {
  return task_group_scope::run(body);
}

}  // namespace KRAIT_BACKEND
}  // namespace krait::asyncio
