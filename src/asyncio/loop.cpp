// SPDX-License-Identifier: BSL-1.0
#include "krait/asyncio/detail/loop.hpp"

#include <algorithm>
#include <atomic>
#include <charconv>
#include <cstdint>
#include <cstdio>
#include <memory>
#include <mutex>
#include <new>
#include <string_view>
#include <thread>
#include <utility>

#include "asyncio/call_graph.hpp"
#include "asyncio/worker.hpp"
#include "krait/asyncio/await.hpp"
#include "krait/exceptions.hpp"
#include "krait/hooks.hpp"
#include "krait/stack.hpp"

namespace krait::asyncio::detail {
inline namespace KRAIT_BACKEND {

const char KRAIT_ASYNCIO_BUILT = 0;

worker& worker::make(loop_state& loop) {
  const krait::stack memory = krait::detail::allocate_default_stack();
  const auto top = reinterpret_cast<std::uintptr_t>(memory.top());
  std::byte* const place = memory.top() - sizeof(worker) - (top - sizeof(worker)) % alignof(worker);
  auto* const made = ::new (place) worker(loop, memory);
  made->fiber = krait::detail::prepare(made->here, *made, memory, place, &enter);
  krait::detail::move_in(memory.top(), *made);
  return *made;
}

void worker::destroy() noexcept {
  const krait::stack freed = memory;
  krait::detail::move_out(freed.top());
  krait::detail::sanitizers_release(freed, fiber);
  this->~worker();
  krait::detail::deallocate_default_stack(freed);
}

void worker::enter(krait::detail::registers& above) noexcept {
  auto& self = static_cast<worker&>(above);
  krait::detail::sanitizers_entered(self.here.known);
  loop_state& of = *self.loop;
  for (;;) {
    task_state& task = *of.starting;
    self.runs = &task;
    of.current = &task;
    task.body(task);
    self.runs = nullptr;
    of.end(task);
    krait::detail::flow* const to = of.next(&self);
    if (to != &self.here) {  // else there is a new task, which starts here without a switch
      self.next = of.idle;
      of.idle = &self;
      ++of.idle_count;
      krait::detail::switch_to(self.here, *to);
    }
  }
}

const krait::detail::lodger::manners worker::ways{
    [](const krait::detail::lodger& self, char* text, std::size_t size) noexcept {
      const task_state* const task = static_cast<const worker&>(self).runs;
      return task != nullptr ? introduce(*task, text, size)
                             : std::string_view("an event loop").copy(text, size);
    },
    [](const krait::detail::lodger& self) -> std::string {
      const task_state* const task = static_cast<const worker&>(self).runs;
      if (task == nullptr) {
        return {};
      }
      const task_progress its = progress_of(*task);
      std::string text = its.what;
      if (its.awaited != nullptr) {
        char name[512];
        text += " for ";
        text += its.awaited->is_task
                    ? std::string_view(
                          name, introduce(static_cast<const task_state&>(*its.awaited), name, sizeof name))
                    : std::string_view("a future");
      }
      return text;
    },
    []([[maybe_unused]] const krait::detail::lodger& self) noexcept -> krait::stack {
#if defined(KRAIT_ASAN)
      const auto& its = static_cast<const worker&>(self);
      if (its.runs != nullptr && its.loop->in_turns && its.loop->current == its.runs) {
        const krait::detail::stack_identity& outside = its.loop->outside.known;
        return {static_cast<std::byte*>(const_cast<void*>(outside.bottom)), outside.size};
      }
#endif
      return {};
    }};

std::size_t introduce(const task_state& of, char* text, std::size_t size) noexcept {
  std::size_t length = 0;
  const auto part = [&](std::string_view of_it) {
    length += of_it.substr(0, 300).copy(text + length, size - length);
  };
  char address[2 * sizeof(void*)];
  const auto end =
      std::to_chars(address, address + sizeof address, reinterpret_cast<std::uintptr_t>(&of), 16).ptr;
  part("<task object ");
  part(of.name);
  part(" at 0x");
  part(std::string_view(address, static_cast<std::size_t>(end - address)));
  part(">");
  return length;
}

task_progress progress_of(const task_state& of) noexcept {
  if (of.loop->current == &of) {
    return {"running"};
  }
  if (of.at.resume_at == nullptr) {
    return {"created"};
  }
  if (of.waiting == nullptr || of.waiting->state != waiter::stage::waiting) {
    return {"ready"};
  }
  return {"waiting", of.waiting->cancel == &future_waiter::cancel_awaited
                         ? &static_cast<const future_waiter*>(of.waiting)->of
                         : nullptr};
}

namespace {
std::string described(const void* of) {
  return repr(*static_cast<const future_state*>(of));
}
}  // namespace

void future_state::abandoned() noexcept {
  if (status == status::failed && !retrieved) {
    loop->report("Future exception was never retrieved", exception, &described, this);
  }
  if (!loop->created.empty()) {
    loop->created.erase(this);
  }
  while (!waiters.empty()) {
    auto& left = static_cast<callback&>(waiters.pop_front());
    left.drop(left);
  }
}

void future_state::wake_all() noexcept {
  do {
    loop->wake(waiters.pop_front());
  } while (!waiters.empty());
  loop->notice();
}

std::exception_ptr cancellation(const std::string& message) noexcept {
  try {
    return std::make_exception_ptr(cancelled_error(message));
  } catch (...) {
    return std::current_exception();
  }
}

bool cancel_plain(future_state& self, const std::string& message) {
  self.retrieved = true;
  if (self.done()) {
    return false;
  }
  self.fail(cancellation(message), status::cancelled);
  return true;
}

namespace {

/// "Task-1" and so on. A thread takes many numbers at a time, as to share a counter with others would cost each task.
[[gnu::noinline]] std::string default_name() {
  constexpr std::uint64_t together = 1024;
  static constinit std::atomic<std::uint64_t> taken = 0;
  static thread_local constinit std::uint64_t last = 0;
  if (last % together == 0) [[unlikely]] {
    last = taken.fetch_add(together, std::memory_order_relaxed);
  }
  char text[32] = "Task-";
  const char* const end = std::to_chars(text + 5, text + sizeof text, ++last).ptr;
  return std::string(text, static_cast<std::size_t>(end - text));
}

}  // namespace

// It is reported in its own context.
void task_state::report_failure() noexcept {
  retrieved = true;
  context_here().swap(context);
  loop->report("Task exception was never retrieved", exception, &described, static_cast<future_state*>(this));
  context_here().swap(context);
}

bool task_state::cancel(std::string why) {
  retrieved = true;
  if (done()) {
    return false;
  }
  retrieved = false;
  ++cancelling;
  if (waiting != nullptr && !waiting->deaf) {
    struct scope {
      task_state& self;
      bool whole = false;
      ~scope() {
        self.passing_on = false;
        self.cancelling -= whole ? 0 : 1;  // there was no memory for the message
      }
    } passed{*this};
    passing_on = true;
    const bool accepted = waiting->cancel(*waiting, why);
    passed.whole = true;
    if (accepted) {
      return true;
    }
  }
  must_cancel = true;
  if (waiting == nullptr || waiting->state != waiter::stage::cancelled) {
    message = std::move(why);
  }
  return true;
}

int task_state::uncancel() noexcept {
  if (cancelling > 0 && --cancelling == 0) {
    must_cancel = false;
  }
  return cancelling;
}

namespace {
constinit std::mutex loops_mutex;

/// A cancellation that cannot be raised, as it comes out of a generator that is destroyed, is raised at the next wait.
bool keep_cancellation(const std::exception_ptr& exception) noexcept {
  loop_state* const loop = loop_state::running_here();
  if (loop == nullptr || loop->current == nullptr || exception == nullptr) {
    return false;
  }
  try {
    std::rethrow_exception(exception);
  } catch (const cancelled_error& raised) {
    loop->current->must_cancel = true;
    try {
      loop->current->message = raised.message();
    } catch (...) {  // there is no memory: then without
      loop->current->message.clear();
    }
    return true;
  } catch (...) {
    return false;
  }
}

#if defined(KRAIT_NATIVE)
constexpr auto keeper_here = krait::detail::keeper_of::native;
#else
constexpr auto keeper_here = krait::detail::keeper_of::fcontext;
#endif

}  // namespace

loop_state::loop_state(boost::asio::io_context* context)
    : reactor(context, [](void* self) { static_cast<loop_state*>(self)->take_turns(); }, this) {
  krait::detail::set_keeper(keeper_here, &keep_cancellation);
  const std::lock_guard guard(loops_mutex);
  next_loop = loops;
  if (next_loop != nullptr) {
    next_loop->previous_loop = this;
  }
  loops = this;
}

loop_state::~loop_state() {
  {
    const std::lock_guard guard(loops_mutex);
    (previous_loop != nullptr ? previous_loop->next_loop : loops) = next_loop;
    if (next_loop != nullptr) {
      next_loop->previous_loop = previous_loop;
    }
  }
  while (idle != nullptr) {
    std::exchange(idle, idle->next)->destroy();
  }
}

namespace {

/// Called by the loop, once; nobody has a handle to it.
struct posted : callback {
  std::function<void()> function;

  explicit posted(std::function<void()>&& what) : function(std::move(what)) {
    run = [](callback& self) {
      const std::unique_ptr<posted> mine(static_cast<posted*>(&self));
      mine->function();
    };
    drop = [](callback& self) noexcept { delete static_cast<posted*>(&self); };
  }
};

}  // namespace

bool inbox::post(std::function<void()> function) {
  auto made = std::make_unique<posted>(std::move(function));
  if (!post(*made)) {
    return false;
  }
  made.release();  // the loop's
  return true;
}

bool inbox::post(waiter& what) noexcept {
  const std::lock_guard guard(lock_);
  if (loop_ == nullptr) {
    return false;
  }
  const bool first = arrived_.empty();
  arrived_.push_back(what);
  any_.store(true, std::memory_order_release);
  if (first) {
    loop_->reactor.schedule_threadsafe();
  }
  return true;
}

void inbox::take(wait_list& into) noexcept {
  const std::lock_guard guard(lock_);
  any_.store(false, std::memory_order_relaxed);
  into.append(arrived_);
}

void inbox::close(wait_list& left) noexcept {
  take(left);
  const std::lock_guard guard(lock_);
  left.append(arrived_);
  loop_ = nullptr;
}

elsewhere::elsewhere(loop_state& of) noexcept : pending_after(of.pending), loop(of) {
  if (pending_after != nullptr) {
    pending_after->pending_before = this;
  }
  of.pending = this;
}

elsewhere::~elsewhere() {
  (pending_before != nullptr ? pending_before->pending_after : loop.pending) = pending_after;
  if (pending_after != nullptr) {
    pending_after->pending_before = pending_before;
  }
}

void loop_state::check_thread() const {
  if (debug && running && std::this_thread::get_id() != thread) {
    throw runtime_error("Non-thread-safe operation invoked on an event loop other than the current one");
  }
}

[[gnu::noinline]] void loop_state::step_ended(const char* kind, const std::string& name) noexcept {
  const std::int64_t began = std::exchange(step_began, 0);
  const std::int64_t took = steady_now() - began;
  if (began != 0 && took >= slow) {
    char text[600];
    std::snprintf(text, sizeof text, "Executing %s%.500s took %.3f seconds", kind, name.c_str(),
                  static_cast<double>(took) / 1e9);
    report(text, nullptr);
  }
}

void loop_state::check_open() const {
  if (closed) {
    throw runtime_error("Event loop is closed");
  }
}

krait::detail::flow* loop_state::next(worker* here) noexcept {
  // Nearly always a parked task: nothing is called.
  if (!debug && !escaping && (ready.head() != turn_end || another_turn())) [[likely]] {
    const ready_queue::entry entry = ready.front();
    if ((entry & ready_queue::mask) == ready_queue::parked && entry != 0) [[likely]] {
      ready.pop();
      return current = reinterpret_cast<task_state*>(entry);
    }
  }
  return next_of_any_kind(here);
}

[[gnu::noinline]] krait::detail::flow* loop_state::next_of_any_kind(worker* here) noexcept {
  if (debug && current != nullptr) [[unlikely]] {
    step_ended("task ", current->name);
  }
  for (;;) {
    current = nullptr;
    if (escaping) [[unlikely]] {
      return &outside;
    }
    if (ready.head() == turn_end && !another_turn()) {
      return &outside;
    }
    const ready_queue::entry entry = ready.front();
    void* const what = reinterpret_cast<void*>(entry & ~ready_queue::mask);
    switch (entry & ready_queue::mask) {
      case ready_queue::watched:
        step_began = steady_now();
        [[fallthrough]];
      case ready_queue::parked:
        ready.pop();
        if (what == nullptr) {
          ready.unreserve();
          continue;
        }
        return current = static_cast<task_state*>(what);
      case ready_queue::unstarted: {
        auto& task = *static_cast<task_state*>(what);
        if (task.must_cancel) {
          ready.pop();
          end_unstarted(task);
          continue;
        }
        if (krait::detail::flow* const to = start(task, here)) {
          ready.pop();
          if (debug) [[unlikely]] {
            step_began = steady_now();
          }
          return to;
        }
        return &outside;  // which raises what there was no memory for
      }
      case ready_queue::outside:
        ready.pop();
        return &outside;
      default:
        return &outside;
    }
  }
}

[[gnu::noinline]] worker* loop_state::new_worker() noexcept {
  try {
    return &worker::make(*this);
  } catch (...) {
    escaping = std::current_exception();
    return nullptr;
  }
}

/// Null: there is no stack. That leaves the loop.
inline krait::detail::flow* loop_state::start(task_state& task, worker* here) noexcept {
  if (here == nullptr) {
    if (idle != nullptr) {
      here = std::exchange(idle, idle->next);
      --idle_count;
    } else if ((here = new_worker()) == nullptr) {
      return nullptr;
    }
  }
  starting = &task;
  return &here->here;
}

void loop_state::enlist(task_state& task) noexcept {
  task.retain();
  if (tasks == nullptr) {
    tasks = &task;
  } else {
    task.next = tasks;
    task.previous = tasks->previous;
    task.previous->next = &task;
    tasks->previous = &task;
  }
}

void launch(task_state& made, task_options&& options, const site& created) {
  loop_state& loop = *made.loop;
  try {
    if (options.context) {
      made.context = options.context->state();
    } else if (const context_pointer& here = context_here(); here != nullptr && here->set != nullptr) {
      made.context = copy_of(here);
    }
    made.name = options.name.empty() ? default_name() : std::move(options.name);
    if (loop.debug) [[unlikely]] {
      note_creation(made, created);
    }
    loop.ready.reserve();
  } catch (...) {
    made.drop_body(made);
    throw;
  }
  loop.enlist(made);
  if (loop.draining) {
    made.cancel({});
  }
  if (!options.eager.value_or(loop.eager) || !loop.in_turns) {
    loop.ready.push(static_cast<const void*>(&made), ready_queue::unstarted);
    loop.notice();
    return;
  }
  // Whoever makes the task stands first in the queue: so its first wait, or its end, comes back here.
  task_state* const maker = loop.current;
  krait::detail::flow* const to = loop.start(made, nullptr);
  if (to == nullptr) {
    const std::exception_ptr why = std::exchange(loop.escaping, nullptr);
    made.must_cancel = true;
    loop.end_unstarted(made);
    std::rethrow_exception(why);
  }
  if (maker != nullptr) {
    loop.ready.push_front(static_cast<const void*>(maker), ready_queue::parked);
  } else {
    loop.ready.push_front(nullptr, ready_queue::outside);
  }
  krait::detail::switch_to(maker != nullptr ? static_cast<krait::detail::flow&>(*maker) : loop.outside, *to);
}

void loop_state::end(task_state& task) noexcept {
  if (debug && current == &task) [[unlikely]] {
    step_ended("task ", task.name);
  }
  current = nullptr;
  ready.unreserve();
  if (tasks == &task) {
    tasks = task.next == &task ? nullptr : task.next;
  }
  task.previous->next = task.next;
  task.next->previous = task.previous;
  task.next = task.previous = &task;
  if (draining) {
    if (task.status == status::failed && !task.retrieved) {
      task.retrieved = true;
      report("unhandled exception during asyncio.run() shutdown", task.exception);
    }
  }
  if ((draining || stop_when_empty) && tasks == nullptr) {
    stopping = true;
  }
  task.release();
}

void loop_state::end_unstarted(task_state& task) noexcept {
  task.drop_body(task);
  task.fail(cancellation(task.message), status::cancelled);
  end(task);
}

void loop_state::run_callback(callback& what) {
  what.queued = false;
  if (what.arrived) {
    ready.unreserve();
  }
  struct scope {
    context_pointer& variables;
    std::string& name;
    ~scope() {
      variables.reset();
      name.clear();
    }
  } end{callback_context, callback_name};
  try {
    if (debug) [[unlikely]] {
      step_began = steady_now();
    }
    what.run(what);
    if (debug) [[unlikely]] {
      step_ended(callback_name.empty() ? "callback" : "", callback_name);
    }
  } catch (...) {
    callback_failed();
  }
}

void loop_state::name_callback(std::string (*describe)(const void*), const void* of) noexcept {
  try {
    callback_name = describe(of);
  } catch (...) {  // there is no memory: then it has none
    callback_name.clear();
  }
}

void loop_state::callback_failed(std::string (*describe)(const void*), const void* of) {
  const std::exception_ptr raised = std::current_exception();
  if (leaves_loop(raised)) {
    throw;
  }
  report("Exception in callback", raised, describe, of);
}

void loop_state::collect_inbox() {
  inbox->take(arrived);
  while (!arrived.empty()) {
    if (arrived.begin()->task != nullptr) {
      static_cast<operation_base&>(arrived.pop_front()).end_here();
    } else {
      ready.reserve();
      auto& first = static_cast<callback&>(arrived.pop_front());
      first.arrived = true;
      queue(first);
    }
  }
}

void loop_state::post(std::function<void()> function) {
  if (!inbox->post(std::move(function))) {
    throw runtime_error("Event loop is closed");
  }
}

void loop_state::soon(std::function<void()> function) {
  auto made = std::make_unique<posted>(std::move(function));
  ready.reserve();
  made->arrived = true;
  queue(*made.release());
  notice();
}

void loop_state::watch_signal(int signal, std::function<void()> function, bool expected) {
  reactor.watch_signal(signal, [this, called = std::move(function)] { soon(called); }, expected);
}

void loop_state::collect_timers() noexcept {
  if (timers.earliest() >= timers::forever) {
    return;
  }
  if (virtual_time && ready.empty()) {
    virtual_now = std::max(virtual_now, timers.earliest());
  }
  const std::int64_t by = now();
  while (callback* const due = timers.pop_due(by)) {
    static_cast<timer*>(due)->armed = false;
    queue(*due);
  }
}

// A poll, and turns_per_poll turns. Called by the reactor, on the thread's own stack.
void loop_state::take_turns() {
  if (closed) {
    return;
  }
  struct scope {
    loop_state& self;
    void* const before = krait::detail::set_running_loop(&self);
    ~scope() {
      self.in_turns = false;
      krait::detail::set_running_loop(before);
    }
  } turns{*this};
  in_turns = true;
  try {
    if (!inbox->empty() || !arrived.empty()) {
      collect_inbox();
    }
    collect_timers();
    turns_left = turns_per_poll;
    turn_end = ready.tail();
    for (;;) {
      krait::detail::flow* const to = next();
      if (to != &outside) {
        krait::detail::switch_to(outside, *to);
      }
      if (escaping != nullptr) {
        std::rethrow_exception(std::exchange(escaping, nullptr));
      }
      if (ready.head() == turn_end) {
        if (!another_turn()) {
          break;
        }
        continue;
      }
      if (const ready_queue::entry entry = ready.front();
          (entry & ready_queue::mask) == ready_queue::called) {
        ready.pop();
        run_callback(*reinterpret_cast<callback*>(entry & ~ready_queue::mask));
      }
    }
  } catch (...) {
    reactor.schedule();
    throw;
  }
  constexpr std::size_t idle_most = 16;
  while (idle_count > idle_most) {
    --idle_count;
    std::exchange(idle, idle->next)->destroy();
  }
  if (stopping) {
    reactor.stop();
  }
  if (!ready.empty()) {
    reactor.schedule();
  } else if (timers.earliest() < timers::forever) {
    wake_at(timers.earliest());
  }
}

void loop_state::run() {
  check_open();
  if (running) {
    throw runtime_error("This event loop is already running");
  }
  if (running_here() != nullptr) {
    throw runtime_error("Cannot run the event loop while another loop is running");
  }
  struct scope {
    loop_state& self;
    std::shared_ptr<const async_generator_hooks> hooks;
    void* const before = krait::detail::set_running_loop(&self);
    ~scope() {
      krait::detail::exchange_asyncgen_hooks(std::move(hooks));
      self.running = self.stopping = false;
      krait::detail::set_running_loop(before);
    }
  } run{*this, krait::detail::exchange_asyncgen_hooks(hooks)};
  running = true;
  ++runs;
  thread = std::this_thread::get_id();
  reactor.schedule();
  if (!debug) {
    return reactor.run();
  }
  reactor.run_while_there_is_work();
  if (!stopping) {
    if (tasks != nullptr && pending == nullptr) {
      report_deadlock();
    }
    reactor.run();
  }
}

void loop_state::report_deadlock() {
  task_state* each = tasks;
  do {
    std::string where = describe_waiting(*each);
    report({"task " + each->name + " waits for what nobody can do" + (where.empty() ? "" : "\n") + where,
            nullptr});
    each = each->next;
  } while (each != tasks);
  throw runtime_error("deadlock: no task can go on, and nothing that could wake one is pending");
}

void dropped_generators::add(std::shared_ptr<async_generator_object> one) {
  const std::lock_guard guard(lock_);
  all_.push_back(std::move(one));
}

std::shared_ptr<async_generator_object> dropped_generators::take() noexcept {
  const std::lock_guard guard(lock_);
  if (all_.empty()) {
    return nullptr;
  }
  auto first = std::move(all_.front());
  all_.pop_front();
  return first;
}

namespace {

/// In a task of its own, as the cleaning up may wait; of one that has a driver of its own, that is whose it is. If the
/// task is cancelled before it begins, the generator is still where `take` has it from.
template <class Take>
void close_async_generator(loop_state& loop, Take take) {
  const auto close = [&loop, take] {
    const std::shared_ptr<async_generator_object> left = take();
    if (left == nullptr) {
      return;
    }
    try {
      await(aclose<void>(*left));
    } catch (const cancelled_error&) {
      throw;
    } catch (...) {
      loop.report({"an error occurred during closing of asynchronous generator " + left->repr(),
                   std::current_exception(), left->repr()});
    }
  };
  static_cast<void>(create_task_on(loop, close, {}, site::here()));
}

}  // namespace

// Asynchronous generators that are dropped half-run are closed by a task of their own.
async_generator_hooks loop_state::make_hooks() {
  return {[this](async_generator_object& begun) {
            std::erase_if(async_generators, [](const auto& each) { return each.expired(); });
            async_generators.push_back(begun.weak_from_this());
          },
          [box = inbox, to = dropped, this](std::shared_ptr<async_generator_object> one) {
            to->add(std::move(one));
            if (!box->post([this] { close_async_generator(*this, [this] { return dropped->take(); }); })) {
              to->take();  // the loop is closed: it is closed on the spot
            }
          }};
}

void loop_state::shut_async_generators() {
  for (const auto& each : std::exchange(async_generators, {})) {
    if (auto left = each.lock()) {
      close_async_generator(*this, [left = std::move(left)] { return left; });
    }
  }
  while (auto left = dropped->take()) {
    close_async_generator(*this, [left = std::move(left)] { return left; });
  }
  while (tasks != nullptr) {
    stop_when_empty = true;
    run();
  }
  stop_when_empty = false;
}

void loop_state::stop() noexcept {
  stopping = true;
}

void loop_state::drain() {
  while (tasks != nullptr) {
    draining = true;
    task_state* each = tasks;
    do {
      each->cancel({});
      each = each->next;
    } while (each != tasks);
    run();
  }
  draining = false;
}

void loop_state::close() {
  if (closed) {
    return;
  }
  if (running || in_turns) {
    throw runtime_error("Cannot close a running event loop");
  }
  drain();
  shut_async_generators();
  forget();
}

void loop_state::forget() noexcept {
  if (std::exchange(closed, true)) {
    return;
  }
  inbox->close(arrived);
  const auto drop = [](callback& left) {
    if (left.drop != nullptr) {
      left.drop(left);
    }
  };
  while (!arrived.empty()) {
    drop(static_cast<callback&>(arrived.pop_front()));
  }
  while (pending != nullptr) {
    delete pending;
  }
  executor.reset();
  for (; !ready.empty(); ready.pop()) {
    const ready_queue::entry entry = ready.front();
    if ((entry & ready_queue::mask) == ready_queue::called) {
      auto& left = *reinterpret_cast<callback*>(entry & ~ready_queue::mask);
      left.queued = false;
      drop(left);
    }
  }
  while (callback* const left = timers.pop_due(timers::never)) {
    static_cast<timer*>(left)->armed = false;
    drop(*left);
  }
}

namespace {

/// On stderr.
void write_report(const char* message, const std::exception_ptr& exception, const char* source) noexcept {
  std::string text;
  try {
    text = exception != nullptr ? krait::describe(exception) : "";
  } catch (...) {
    text = "(out of memory)";
  }
  std::fprintf(stderr, "%s: %s%s%s\n", message, text.c_str(), *source == '\0' ? "" : ", of ", source);
}

}  // namespace

void loop_state::report(const error_report& what) noexcept {
  if (handler == nullptr) {
    return write_report(what.message.c_str(), what.exception, what.source.c_str());
  }
  try {
    handler(what);
  } catch (...) {
    write_report("Unhandled error in exception handler", std::current_exception(), "");
    write_report(what.message.c_str(), what.exception, what.source.c_str());
  }
}

void loop_state::report(const char* message, const std::exception_ptr& exception,
                        std::string (*describe)(const void*), const void* of) noexcept {
  try {
    report({message, exception, describe != nullptr ? describe(of) : std::string()});
  } catch (...) {
    write_report(message, exception, "");
  }
}

void throw_no_task() {
  throw runtime_error("no running task: only a task can wait");
}

void bound_list::bind(loop_state* to) {
  if (loop_ != nullptr) {
    throw runtime_error("the tasks that wait here are of one loop: it is bound to a different event loop");
  }
  loop_ = to;
}

bool future_waiter::cancel_awaited(waiter& self, const std::string& message) {
  future_state& awaited = static_cast<future_waiter&>(self).of;
  if (awaited.done() || self.state != waiter::stage::waiting) {
    return false;
  }
  if (awaited.is_task &&
      static_cast<task_state&>(awaited).passing_on) {  // they wait in a circle, which ends here
    self.task->message = message;
    self.unlink();
    self.state = waiter::stage::cancelled;
    self.task->must_cancel = true;
    self.task->loop->push(*self.task);
    self.task->loop->notice();
    return true;
  }
  return awaited.does->cancel(awaited, message);
}

void wait_done(future_state& of) {
  task_state& self = this_task();
  if (&of == &self) {
    throw runtime_error("Task cannot await on itself: " + self.name);
  }
  if (of.loop != self.loop) {
    throw runtime_error("Task " + self.name + " got Future attached to a different loop");
  }
  future_waiter here(self, of);
  if (suspend(self, here) && self.must_cancel) [[unlikely]] {
    // What it raises goes nowhere, unless that is a cancelled_error itself.
    of.retrieved = true;
    if (of.exception != nullptr && krait::detail::holds<cancelled_error>(of.exception)) {
      self.must_cancel = false;
    } else {
      deliver(self, true);
    }
  }
}

void sleep_turn() {
  task_state& self = this_task();
  const bool cancellable = interruptible(self);
  self.loop->push(self);
  self.loop->park(self);
  deliver(self, cancellable);
}

void sleep_until(std::int64_t when) {
  struct alarm : timer {
    parked& sleeper;
    alarm(loop_state& of, parked& who) : timer(of), sleeper(who) {
      run = [](callback& me) {
        parked& woken = static_cast<alarm&>(me).sleeper;
        if (woken.state == waiter::stage::waiting) {
          woken.task->loop->wake(woken);
        }
      };
    }
  };
  task_state& self = this_task();
  bool cancelled;
  {
    parked here(self);
    alarm ring(*self.loop, here);
    ring.arm(when);
    cancelled = here.cancelled_waiting();
  }
  if (cancelled) [[unlikely]] {
    throw cancelled_error(self.message);
  }
}

void operation_base::end() {
  if (loop_state& loop = *task->loop; !loop.reactor.runs_here()) {
    loop.inbox->post(*this);
  } else {
    end_here();
    if (parked && !loop.in_turns) {
      loop.take_turns();  // at once, not by way of the reactor
    }
  }
}

void operation_base::end_here() noexcept {
  over = true;
  if (parked) {
    task->loop->wake(*this);
  }
}

}  // namespace KRAIT_BACKEND
}  // namespace krait::asyncio::detail
