// SPDX-License-Identifier: BSL-1.0
#pragma once

// The loop's inside, and how tasks take turns on it.
//
//      ready     the ring: [ task | task | callback | unstarted task | ... ]
//                            ^ head                   ^ end of this turn    ^ tail
//
//      outside   the thread's own stack: runs callbacks, and waits for the reactor
//      workers   stacks that run tasks, one after the other; those with nothing to do are idle
//
// A task that waits takes the next entry itself and switches to it: one switch for each wake-up. Only callbacks and
// the end of a turn go by way of the outside.
//
// Who refers to it: the event_loop, and each future. So a future outlives its loop.

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <exception>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <unordered_map>
#include <vector>

#include "krait/asyncgen_hooks.hpp"
#include "krait/asyncio/context.hpp"
#include "krait/asyncio/detail/blocks.hpp"
#include "krait/asyncio/detail/reactor.hpp"
#include "krait/asyncio/detail/ready_queue.hpp"
#include "krait/asyncio/detail/site.hpp"
#include "krait/asyncio/detail/timers.hpp"
#include "krait/asyncio/detail/waiter.hpp"
#include "krait/asyncio/errors.hpp"
#include "krait/detail/config.hpp"
#include "krait/detail/switch/flow.hpp"
#include "krait/detail/switch/running_loop.hpp"

namespace krait::asyncio {

/// What an exception handler is told. Python: the context of loop.call_exception_handler().
struct error_report {
  std::string message;
  std::exception_ptr exception;  ///< may be null
  std::string source =
      {};  ///< what it is about, as that prints: a handle, an asynchronous generator; may be empty
};

namespace detail {
inline namespace KRAIT_BACKEND {

// Tasks are switched by headers and by the library: a sanitizer must know of both, or of neither. Where a program was
// built with one that the library was not built with, or the other way round, the linker misses this.
#if defined(KRAIT_ASAN)
#define KRAIT_ASYNCIO_BUILT krait_asyncio_is_built_with_AddressSanitizer
#elif defined(KRAIT_TSAN)
#define KRAIT_ASYNCIO_BUILT krait_asyncio_is_built_with_ThreadSanitizer
#else
#define KRAIT_ASYNCIO_BUILT krait_asyncio_is_built_without_sanitizers
#endif
extern const char KRAIT_ASYNCIO_BUILT;
[[gnu::used]] inline const char* const library_agrees = &KRAIT_ASYNCIO_BUILT;

struct loop_state;
struct task_state;

enum class status : unsigned char { pending, finished, failed, cancelled };

struct future_state {
  struct operations {
    void (*destroy)(future_state& self) noexcept;
    bool (*cancel)(future_state& self, const std::string& message);
  };

  const operations* does;
  loop_state* loop;
  std::uint32_t references = 1;
  detail::status status = status::pending;
  bool is_task = false;
  bool retrieved = false;    ///< its exception, if it has one, need not be reported
  bool shield_told = false;  ///< its exception has been reported by a shield
  void* value = nullptr;
  wait_list waiters;
  std::exception_ptr exception;

  future_state(const operations& ways, loop_state& of) noexcept : does(&ways), loop(&of) {}
  future_state(const future_state&) = delete;
  future_state& operator=(const future_state&) = delete;
  inline ~future_state();

  bool done() const noexcept { return status != status::pending; }
  void retain() noexcept { ++references; }
  void release() noexcept {
    if (--references == 0) {
      does->destroy(*this);
    }
  }

  /// Wakes all who wait, which happens by the ready queue.
  void complete(detail::status how) noexcept {
    status = how;
    if (!waiters.empty()) {
      wake_all();
    }
  }
  void fail(std::exception_ptr why, detail::status how = status::failed) noexcept {
    exception = std::move(why);
    complete(how);
  }

 private:
  void wake_all() noexcept;
  /// Nobody has a handle any more: reports what nobody has retrieved, and drops who waits.
  void abandoned() noexcept;
};

/// Notes where it was made: in debug mode. Throws std::bad_alloc.
void note_creation(const future_state& of, const site& where);
/// See any_future::repr().
std::string repr(const future_state& of);

/// A cancelled_error of that text; if there is no memory for it, what says so.
std::exception_ptr cancellation(const std::string& message) noexcept;

/// As of a future that is nobody's task.
bool cancel_plain(future_state& self, const std::string& message);

struct task_state : future_state, krait::detail::flow {
  void (*body)(task_state& self) noexcept;
  void (*drop_body)(task_state& self) noexcept;  ///< instead
  waiter* waiting = nullptr;                     ///< what it waits for
  int cancelling = 0;
  int held_back = 0;  ///< how many no_cancel() it is in
  bool must_cancel = false;
  bool passing_on = false;  ///< a cancellation, to what it waits for
  std::string message;      ///< of the cancellation
  std::string name;
  context_pointer context;
  task_state* previous = this;  // of the loop's tasks that have not ended
  task_state* next = this;

  task_state(const operations& ways, loop_state& of, void (*run)(task_state&) noexcept,
             void (*drop)(task_state&) noexcept) noexcept
      : future_state(ways, of), body(run), drop_body(drop) {
    is_task = true;
  }
  ~task_state() {
    if (status == status::failed && !retrieved) [[unlikely]] {
      report_failure();
    }
  }

  bool cancel(std::string why);
  int uncancel() noexcept;

  /// Does what it has failed with leave the loop?
  void failed() noexcept;
  void report_failure() noexcept;

  static bool cancel_task(future_state& self, const std::string& why) {
    return static_cast<task_state&>(self).cancel(why);
  }
};

struct worker;

/// What other threads ask a loop to call, or to wake. They may outlive the loop.
class inbox {
 public:
  explicit inbox(loop_state& of) noexcept : loop_(&of) {}

  /// Has the loop call `function`. False if that is closed. Any thread may call it. Throws std::bad_alloc.
  bool post(std::function<void()> function);
  /// Has the loop run a callback, or end the operation that a task waits for. False if that is closed; then it was not
  /// even looked at.
  bool post(waiter& what) noexcept;
  void take(wait_list& into) noexcept;
  void close(wait_list& left) noexcept;

  /// Not yet, perhaps, of what is being posted: then take_turns() is called again.
  bool empty() const noexcept { return !any_.load(std::memory_order_acquire); }

 private:
  std::mutex lock_;
  std::atomic<bool> any_ = false;
  wait_list arrived_;
  loop_state* loop_;  ///< null: closed
};

/// What the loop keeps for something that goes on elsewhere, and that comes by the inbox when it has ended.
struct elsewhere : callback {
  elsewhere* pending_before = nullptr;
  elsewhere* pending_after = nullptr;
  loop_state& loop;

  explicit elsewhere(loop_state& of) noexcept;
  virtual ~elsewhere();
};

/// Asynchronous generators that were dropped half-run, by whatever thread, until the loop closes them.
class dropped_generators {
 public:
  /// Throws std::bad_alloc.
  void add(std::shared_ptr<async_generator_object> one);
  /// The first; null: there is none.
  std::shared_ptr<async_generator_object> take() noexcept;

 private:
  std::mutex lock_;
  std::deque<std::shared_ptr<async_generator_object>> all_;
};

/// What a loop has threads for; see threads.hpp.
struct executor {
  virtual ~executor() = default;
};

struct loop_state {
  ready_queue ready;
  std::size_t turn_end = 0;
  unsigned turns_left = 0;
  task_state* current = nullptr;
  krait::detail::flow outside;

  unsigned turns_per_poll = 1;
  std::uint32_t references = 1;
  bool in_turns = false;
  bool running = false;
  std::uint64_t runs = 0;  ///< how many have begun
  bool stopping = false;
  bool closed = false;
  bool draining = false;  ///< being shut down: tasks are cancelled as they are made
  bool stop_when_empty = false;
  bool eager = false;  ///< as tasks are made whose maker does not say
  task_state* starting = nullptr;
  worker* idle = nullptr;
  std::size_t idle_count = 0;
  task_state* tasks = nullptr;  ///< a ring of those that have not ended; null: none
  std::exception_ptr escaping;  ///< what leaves the loop, out of a task
  blocks memory;                ///< of futures and tasks
  context_pointer callback_context;
  std::string callback_name;  ///< of that which runs, in debug mode; may be empty

  detail::timers timers;
  detail::reactor reactor;
  std::function<void(const error_report&)> handler;

  std::shared_ptr<detail::inbox> inbox = std::make_shared<detail::inbox>(*this);
  wait_list arrived;             ///< out of the inbox, and not yet queued
  elsewhere* pending = nullptr;  ///< all there is elsewhere
  std::unique_ptr<detail::executor> executor;
  bool executor_shut = false;
  std::vector<std::weak_ptr<async_generator_object>> async_generators;  ///< that have begun
  std::shared_ptr<dropped_generators> dropped = std::make_shared<dropped_generators>();
  std::shared_ptr<const async_generator_hooks> hooks = std::make_shared<async_generator_hooks>(make_hooks());

  bool virtual_time = false;     ///< see run_options
  std::int64_t virtual_now = 0;  ///< nanoseconds

  bool debug = false;
  std::unordered_map<const future_state*, site> created;  ///< where, of those that were made in debug mode
  ready_queue::tag as_parked = ready_queue::parked;
  std::int64_t slow = 100'000'000;  ///< nanoseconds: what takes as long is reported, in debug mode
  std::int64_t step_began = 0;
  std::thread::id thread;  ///< while it runs

  void* face = nullptr;  ///< the event_loop; null: it is gone

  // Of all loops there are, for debuggers.
  loop_state* previous_loop = nullptr;
  loop_state* next_loop = nullptr;

  explicit loop_state(boost::asio::io_context* context);
  ~loop_state();
  void release() noexcept {
    if (--references == 0) {
      delete this;
    }
  }

  static loop_state* running_here() noexcept {
    return static_cast<loop_state*>(krait::detail::running_loop());
  }

  static std::int64_t steady_now() noexcept {
    return std::chrono::steady_clock::now().time_since_epoch() / std::chrono::nanoseconds(1);
  }
  /// The time that its deadlines are of: nanoseconds, or the same as of steady_clock.
  std::int64_t now() const noexcept { return virtual_time ? virtual_now : steady_now(); }
  std::chrono::steady_clock::time_point time() const noexcept {
    return std::chrono::steady_clock::time_point(std::chrono::nanoseconds(now()));
  }
  /// So long from now; never, where that is beyond all time.
  std::int64_t after(std::chrono::steady_clock::duration delay) const noexcept {
    const std::int64_t from = now();
    const std::int64_t wanted = delay / std::chrono::nanoseconds(1);
    return wanted < timers::never - from ? from + wanted : timers::never;
  }
  std::chrono::steady_clock::time_point time_after(std::chrono::steady_clock::duration delay) const noexcept {
    return std::chrono::steady_clock::time_point(std::chrono::nanoseconds(after(delay)));
  }
  /// Has its turns taken when that deadline has come, or before.
  void wake_at(std::int64_t when) {
    if (virtual_time) {
      reactor.schedule();
    } else {
      reactor.wake_at(when);
    }
  }

  void check_open() const;
  /// In debug mode: is this the thread that runs it? Throws runtime_error.
  void check_thread() const;
  void set_debug(bool on) noexcept {
    debug = on;
    as_parked = on ? ready_queue::watched : ready_queue::parked;
  }
  /// In debug mode: was it slow?
  void step_ended(const char* kind, const std::string& name) noexcept;

  void wake(waiter& who) noexcept {
    who.state = waiter::stage::woken;
    if (who.task != nullptr) {
      push(*who.task);
    } else {
      queue(static_cast<callback&>(who));
    }
  }
  void push(task_state& task) noexcept { ready.push(static_cast<const void*>(&task), as_parked); }
  void queue(callback& what) noexcept {
    if (closed) [[unlikely]] {
      if (what.drop != nullptr) {
        what.drop(what);
      }
      return;
    }
    what.queued = true;
    what.place = ready.push(&what, ready_queue::called);
  }

  /// Something has become ready outside of the turns: they are to be taken.
  void notice() noexcept {
    if (!in_turns) {
      reactor.schedule();
    }
  }

  /// Leaves the task that runs, which has been queued or will be. Inlined where it waits: see docs/internals.md.
  KRAIT_ALWAYS_INLINE void park(task_state& self) noexcept {
    krait::detail::flow* to;
    if (ready.head() != turn_end && (ready.front() & ready_queue::mask) == ready_queue::parked &&
        ready.front() != 0) [[likely]] {
      current = reinterpret_cast<task_state*>(ready.front());
      ready.pop();
      to = current;
    } else {
      to = next();
    }
    if (to != &self) {
      krait::detail::switch_to(self, *to);
    }
  }

  /// Who runs next. `here`: the worker that has ended a task and would start another.
  krait::detail::flow* next(worker* here = nullptr) noexcept;
  krait::detail::flow* next_of_any_kind(worker* here) noexcept;
  /// Begins another turn, unless the reactor is to be polled first.
  KRAIT_ALWAYS_INLINE bool another_turn() noexcept {
    if (turns_left <= 1 || ready.empty() || stopping) {
      return false;
    }
    --turns_left;
    turn_end = ready.tail();
    return true;
  }
  krait::detail::flow* start(task_state& task, worker* here) noexcept;
  worker* new_worker() noexcept;
  void end(task_state& task) noexcept;
  void end_unstarted(task_state& task) noexcept;
  void enlist(task_state& task) noexcept;
  void take_turns();
  void run_callback(callback& what);
  /// In debug mode: what is said of the callback that runs.
  void name_callback(std::string (*describe)(const void* of), const void* of) noexcept;
  /// In a handler of what a callback has raised. Rethrows that if it leaves the loop.
  void callback_failed(std::string (*describe)(const void* of) = nullptr, const void* of = nullptr);
  void collect_inbox();
  void collect_timers() noexcept;
  /// Any thread may call it. Throws runtime_error if the loop is closed.
  void post(std::function<void()> function);
  /// Queues a call; the loop's thread only.
  void soon(std::function<void()> function);

  /// See event_loop::add_signal_handler(). `expected`: may what waits be waiting for it? If not, it does not keep a
  /// deadlock from being one.
  void watch_signal(int signal, std::function<void()> function, bool expected);

  void run();
  void stop() noexcept;

  /// Cancels all tasks and runs until none is left.
  void drain();
  void close();
  /// The end of close(): drops all that is scheduled.
  void forget() noexcept;
  /// Closes all asynchronous generators that have begun and not ended.
  void shut_async_generators();
  async_generator_hooks make_hooks();
  void report_deadlock();

  void report(const error_report& what) noexcept;
  /// The same; `describe(of)` is the source. Where there is no memory for all that, stderr is told the message.
  void report(const char* message, const std::exception_ptr& exception,
              std::string (*describe)(const void* of) = nullptr, const void* of = nullptr) noexcept;
};

inline future_state::~future_state() {
  if ((status == status::failed && !retrieved) || !waiters.empty() || !loop->created.empty()) [[unlikely]] {
    abandoned();
  }
}

/// A future's state, or what else has a loop, in that loop's memory. Throws std::bad_alloc, and what making it throws.
template <class State, class... Args>
State& make_state(loop_state& of, Args&&... args) {
  if constexpr (alignof(State) > __STDCPP_DEFAULT_NEW_ALIGNMENT__) {
    State& made = *new State(of, std::forward<Args>(args)...);
    ++of.references;
    return made;
  } else {
    struct place {
      blocks& from;
      void* memory = from.take(sizeof(State));
      ~place() {
        if (memory != nullptr) {
          from.give(memory, sizeof(State));
        }
      }
    } here{of.memory};
    auto* const made = ::new (here.memory) State(of, std::forward<Args>(args)...);
    here.memory = nullptr;
    ++of.references;
    return *made;
  }
}

/// Destroys what make_state() has made, and gives its memory back.
template <class State>
void destroy_state(State& made, loop_state& of) noexcept {
  if constexpr (alignof(State) > __STDCPP_DEFAULT_NEW_ALIGNMENT__) {
    delete &made;
  } else {
    made.~State();
    of.memory.give(&made, sizeof(State));
  }
  of.release();
}
/// The same, as future_state::operations has it.
template <class State>
void destroy_future(future_state& self) noexcept {
  destroy_state(static_cast<State&>(self), *self.loop);
}

/// A deadline, for a callback.
struct timer : callback {
  loop_state& loop;
  std::uint32_t slot = 0;
  bool armed = false;
  bool reserved = false;

  explicit timer(loop_state& of) noexcept : loop(of) {}
  ~timer() {
    disarm();
    if (reserved) {
      loop.ready.unreserve();
    }
  }

  void reserve() {
    if (!reserved) {
      loop.ready.reserve();
      reserved = true;
    }
  }
  void arm(std::int64_t when) {
    when = std::min(when, timers::forever);
    reserve();
    slot = loop.timers.add(when, *this);
    armed = true;
    if (!loop.in_turns && when < timers::forever) {
      loop.wake_at(when);
    }
  }
  /// Also if it has rung, and is queued.
  void disarm() noexcept {
    if (armed) {
      loop.timers.cancel(slot);
      armed = false;
    } else if (queued) {
      loop.ready.erase(place);
      queued = false;
      reserved = false;
    }
  }
};

[[noreturn]] void throw_no_task();

/// The task that runs here. Throws runtime_error if none does.
KRAIT_ALWAYS_INLINE inline task_state& this_task() {
  loop_state* const loop = loop_state::running_here();
  if (loop == nullptr || loop->current == nullptr) [[unlikely]] {
    throw_no_task();
  }
  return *loop->current;
}

/// Can a wait here be cancelled? Not where an exception is in flight, as another must not be thrown, nor in
/// no_cancel(): there a cancellation stays for the next wait.
KRAIT_ALWAYS_INLINE inline bool interruptible(const task_state& self) noexcept {
  return self.held_back == 0 && (!krait::detail::exceptions_active() || std::uncaught_exceptions() == 0);
}

/// Parks the task until `on` is woken, or cancelled. Was that possible?
KRAIT_ALWAYS_INLINE inline bool suspend(task_state& self, waiter& on) {
  const bool can_be_cancelled = interruptible(self);
  self.waiting = &on;
  if (can_be_cancelled) [[likely]] {
    if (self.must_cancel && on.cancel(on, self.message)) [[unlikely]] {
      self.must_cancel = false;
    }
  } else {
    on.deaf = true;
  }
  self.loop->park(self);
  self.waiting = nullptr;
  return can_be_cancelled;
}

/// What a task asks that has been woken: was it cancelled meanwhile? That is raised then.
KRAIT_ALWAYS_INLINE inline bool due(task_state& self, bool can_be_cancelled) noexcept {
  if (self.must_cancel && can_be_cancelled) [[unlikely]] {
    self.must_cancel = false;
    return true;
  }
  return false;
}
KRAIT_ALWAYS_INLINE inline void deliver(task_state& self, bool can_be_cancelled) {
  if (due(self, can_be_cancelled)) [[unlikely]] {
    throw cancelled_error(self.message);
  }
}

/// A waiter of the task that runs, not in a list of a future.
struct parked : waiter {
  explicit parked(task_state& self) noexcept {
    task = &self;
    cancel = [](waiter& me, const std::string& message) {
      if (me.state != stage::waiting) {
        return false;
      }
      me.task->message = message;
      me.state = stage::cancelled;
      me.task->loop->push(*me.task);
      me.task->loop->notice();
      return true;
    };
  }
  ~parked() {
    if (linked()) {
      unlink();
    }
  }

  /// Waits. Has it been cancelled? Then that is to be raised; to raise it costs less where nothing is left to destroy.
  KRAIT_ALWAYS_INLINE bool cancelled_waiting() {
    const bool cancellable = suspend(*task, *this);
    if (state == stage::cancelled) [[unlikely]] {
      task->must_cancel = false;
      return true;
    }
    return due(*task, cancellable);
  }

  /// Throws cancelled_error.
  void wait() {
    if (cancelled_waiting()) [[unlikely]] {
      throw cancelled_error(task->message);
    }
  }
};

/// Those who wait for what belongs to no loop until somebody does: then to that of the first.
class bound_list : public wait_list {
 public:
  /// Throws runtime_error if it is another loop's.
  void push_back(parked& last) {
    if (last.task->loop != loop_) [[unlikely]] {
      bind(last.task->loop);
    }
    wait_list::push_back(last);
  }

 private:
  void bind(loop_state* to);

  loop_state* loop_ = nullptr;
};

/// Waits in a list until somebody takes it from there, or marks it as woken.
inline void wait_in(bound_list& list) {
  task_state& task = this_task();
  bool cancelled;
  {
    parked self(task);
    list.push_back(self);
    cancelled = self.cancelled_waiting();
  }
  if (cancelled) [[unlikely]] {
    throw cancelled_error(task.message);
  }
}

/// A task that waits for a future, in its list.
struct future_waiter : waiter {
  future_state& of;

  future_waiter(task_state& who, future_state& awaited) : of(awaited) {
    task = &who;
    cancel = &cancel_awaited;
    of.retain();
    of.waiters.push_back(*this);
  }
  ~future_waiter() { of.release(); }

  static bool cancel_awaited(waiter& self, const std::string& message);
};

/// Waits until a future is done. Throws cancelled_error, but not the future's own.
void wait_done(future_state& of);

/// What a task is about: running, ready, created, or waiting, and then perhaps for a future.
struct task_progress {
  const char* what;
  const future_state* awaited = nullptr;
};
task_progress progress_of(const task_state& of) noexcept;

void sleep_turn();
void sleep_until(std::int64_t when);

/// A task that waits for an operation of Asio's. What its handler does, on whatever thread.
struct operation_base : waiter {
  bool over = false;
  bool parked = false;

  /// Throws what leaves the loop.
  void end();
  /// The same on the loop's thread, in its turns.
  void end_here() noexcept;
};

}  // namespace KRAIT_BACKEND
}  // namespace detail
}  // namespace krait::asyncio
