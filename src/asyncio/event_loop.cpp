// SPDX-License-Identifier: BSL-1.0
#include "krait/asyncio/event_loop.hpp"

#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "krait/asyncio/detail/repr.hpp"

namespace krait::asyncio {
namespace detail {
inline namespace KRAIT_BACKEND {

void throw_no_value(future_state& of) {
  switch (of.status) {
    case status::pending:
      throw invalid_state_error("Result is not ready.");
    case status::failed:
    case status::cancelled:
    case status::finished:
      break;
  }
  of.retrieved = true;
  std::rethrow_exception(of.exception);
}

void throw_already_done() {
  throw invalid_state_error("invalid state: the future is done already");
}

std::exception_ptr without_stop(std::exception_ptr exception) noexcept {
  try {
    try {
      std::rethrow_exception(std::move(exception));
    } catch (const stop_iteration<>&) {
      std::throw_with_nested(
          runtime_error("StopIteration interacts badly with generators and cannot be raised into a Future"));
    }
  } catch (...) {
    return std::current_exception();
  }
}

std::exception_ptr stop_raised_by_task() noexcept {
  try {
    std::throw_with_nested(runtime_error("task raised StopIteration"));
  } catch (...) {
    return std::current_exception();
  }
}

loop_state& running_loop_state() {
  loop_state* const loop = loop_state::running_here();
  if (loop == nullptr) {
    throw runtime_error("no running event loop");
  }
  return *loop;
}

std::uint64_t add_done_callback(future_state& of, std::function<void()> function,
                                future_state* on_behalf_of) {
  static constinit std::atomic<std::uint64_t> count = 0;
  auto* const made = new done_callback(*of.loop, std::move(function), ++count);
  made->on_behalf_of = on_behalf_of;
  if (of.done()) {
    of.loop->queue(*made);
    of.loop->notice();
  } else {
    of.waiters.push_back(*made);
  }
  return made->id;
}

bool remove_done_callback(future_state& of, std::uint64_t id) noexcept {
  for (waiter* each = of.waiters.begin(); each != of.waiters.end(); each = each->next) {
    if (each->task == nullptr && static_cast<callback*>(each)->run == &done_callback::call &&
        static_cast<done_callback*>(each)->id == id) {
      each->unlink();
      delete static_cast<done_callback*>(each);
      return true;
    }
  }
  return false;
}

void task_state::failed() noexcept {
  if (leaves_loop(exception)) {
    loop->escaping = exception;
    retrieved = true;
  }
}

}  // namespace KRAIT_BACKEND
}  // namespace detail

inline namespace KRAIT_BACKEND {

namespace {
any_task task_that_runs(const detail::loop_state& on) {
  if (on.current == nullptr) {
    return {};
  }
  on.current->retain();
  return detail::access::make<any_task>(*on.current);
}
}  // namespace

any_task current_task() {
  return task_that_runs(detail::running_loop_state());
}

any_task current_task(event_loop& on) {
  return task_that_runs(on.state());
}

namespace {

std::vector<any_task> tasks_of(const detail::loop_state& loop) {
  std::vector<any_task> all;
  if (detail::task_state* const first = loop.tasks) {
    detail::task_state* each = first;
    do {
      if (!each->done()) {
        each->retain();
        all.push_back(detail::access::make<any_task>(*each));
      }
      each = each->next;
    } while (each != first);
  }
  return all;
}

std::string repr_of_handle(const void* at, bool cancelled, std::optional<time_point> when,
                           const detail::site& created) {
  std::string how = cancelled ? "cancelled " : "";
  if (when) {
    char seconds[32];
    std::snprintf(seconds, sizeof seconds, "when=%.3f ",
                  std::chrono::duration<double>(when->time_since_epoch()).count());
    how += seconds;
  }
  return detail::repr_of("handle", at, how + created.text());
}

}  // namespace

std::vector<any_task> all_tasks() {
  return tasks_of(detail::running_loop_state());
}

std::vector<any_task> all_tasks(event_loop& of) {
  of.state().check_thread();
  return tasks_of(of.state());
}

// The loop has it, too, until it has been called, or dropped.
struct handle::scheduled : detail::timer {
  std::function<void()> function;
  detail::context_pointer context = detail::copy_of(detail::context_here());
  std::uint32_t references = 1;
  bool cancelled = false;
  std::optional<time_point> when;
  detail::site created;

  scheduled(detail::loop_state& of, std::function<void()>&& what, const detail::site& where)
      : timer(of), function(std::move(what)), created(where) {
    run = [](callback& me) {
      auto& self = static_cast<scheduled&>(me);
      const handle mine(&self);  // what the loop had
      if (!self.cancelled) {
        self.loop.callback_context = std::move(self.context);
        if (self.loop.debug) [[unlikely]] {
          self.loop.name_callback(&described, &self);
        }
        const std::function<void()> called = std::move(self.function);
        try {
          called();
        } catch (...) {
          self.loop.callback_failed(&described, &self);
        }
      }
    };
    drop = [](callback& me) noexcept { static_cast<scheduled&>(me).release(); };
  }

  std::string repr() const { return repr_of_handle(this, cancelled, when, created); }
  static std::string described(const void* of) { return static_cast<const scheduled*>(of)->repr(); }

  static handle make(detail::loop_state& of, std::function<void()>&& what, const detail::site& where) {
    of.check_open();
    return handle(&detail::make_state<scheduled>(of, std::move(what), where));
  }

  void retain() noexcept { ++references; }
  void release() noexcept {
    if (--references == 0) {
      detail::destroy_state(*this, loop);
    }
  }
};

handle::handle(const handle& other) noexcept : scheduled_(other.scheduled_) {
  if (scheduled_ != nullptr) {
    scheduled_->retain();
  }
}

void handle::release() const noexcept {
  scheduled_->release();
}

void handle::cancel() const noexcept {
  if (!scheduled_->cancelled) {
    scheduled_->cancelled = true;
    const std::function<void()> dropped = std::move(scheduled_->function);
    if (scheduled_->armed) {
      scheduled_->disarm();
      scheduled_->release();
    }
  }
}

bool handle::cancelled() const noexcept {
  return scheduled_->cancelled;
}

std::optional<time_point> handle::when() const noexcept {
  return scheduled_->when;
}

std::string handle::repr() const {
  return scheduled_->repr();
}

// Locked while it is called.
struct threadsafe_handle::scheduled {
  std::recursive_mutex lock;
  std::function<void()> function;
  detail::context_pointer context = detail::copy_of(detail::context_here());
  bool cancelled = false;
  detail::site created;

  scheduled(std::function<void()> what, const detail::site& where)
      : function(std::move(what)), created(where) {}

  std::string repr() const { return repr_of_handle(this, cancelled, {}, created); }
  static std::string described(const void* of) { return static_cast<const scheduled*>(of)->repr(); }

  void call(detail::loop_state& loop) {
    const std::lock_guard guard(lock);
    if (!cancelled) {
      loop.callback_context = std::move(context);
      if (loop.debug) [[unlikely]] {
        loop.name_callback(&described, this);
      }
      const std::function<void()> called = std::move(function);
      try {
        called();
      } catch (...) {
        loop.callback_failed(&described, this);
      }
    }
  }
};

void threadsafe_handle::cancel() const {
  std::function<void()> dropped;
  const std::lock_guard guard(scheduled_->lock);
  scheduled_->cancelled = true;
  dropped.swap(scheduled_->function);
}

bool threadsafe_handle::cancelled() const {
  const std::lock_guard guard(scheduled_->lock);
  return scheduled_->cancelled;
}

std::string threadsafe_handle::repr() const {
  const std::lock_guard guard(scheduled_->lock);
  return scheduled_->repr();
}

event_loop::event_loop(run_options options) : state_(new detail::loop_state(options.context)) {
  state_->face = this;
  state_->turns_per_poll = options.turns_per_poll;
  state_->virtual_time = options.virtual_time;
  const char* const asked = std::getenv("KRAIT_DEBUG");  // NOLINT(concurrency-mt-unsafe)
  state_->set_debug(options.debug.value_or(asked != nullptr && *asked != '\0' && *asked != '0'));
}

event_loop::~event_loop() {
  try {
    state_->close();
  } catch (...) {
    state_->report("exception while the event loop was closed", std::current_exception());
  }
  state_->forget();
  state_->reactor.shut();
  state_->face = nullptr;
  state_->release();
}

handle event_loop::call_soon(std::function<void()> function, detail::site created) {
  state_->check_thread();
  handle made = handle::scheduled::make(*state_, std::move(function), created);
  made.scheduled_->reserve();
  made.scheduled_->retain();
  state_->queue(*made.scheduled_);
  state_->notice();
  return made;
}

handle event_loop::call_at(time_point when, std::function<void()> function, detail::site created) {
  state_->check_thread();
  handle made = handle::scheduled::make(*state_, std::move(function), created);
  made.scheduled_->when = when;
  made.scheduled_->arm(when.time_since_epoch() / std::chrono::nanoseconds(1));
  made.scheduled_->retain();
  return made;
}

handle event_loop::call_later(duration delay, std::function<void()> function, detail::site created) {
  return call_at(state_->time_after(delay), std::move(function), created);
}

threadsafe_handle event_loop::call_soon_threadsafe(std::function<void()> function, detail::site created) {
  auto made = std::make_shared<threadsafe_handle::scheduled>(std::move(function), created);
  state_->post([made, loop = state_] { made->call(*loop); });
  return threadsafe_handle(std::move(made));
}

void event_loop::add_signal_handler(int signal, std::function<void()> function) {
  state_->check_open();
  state_->watch_signal(signal, std::move(function), true);
}

event_loop& get_running_loop() {
  return *static_cast<event_loop*>(detail::running_loop_state().face);
}

}  // namespace KRAIT_BACKEND
}  // namespace krait::asyncio
