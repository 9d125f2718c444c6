// SPDX-License-Identifier: BSL-1.0
#include "krait/asyncio/detail/reactor.hpp"

#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/signal_set.hpp>
#include <boost/asio/steady_timer.hpp>

#include <atomic>
#include <chrono>
#include <limits>
#include <map>
#include <optional>
#include <utility>

#include "krait/asyncio/detail/handler_memory.hpp"

namespace krait::asyncio::detail {

namespace asio = boost::asio;

namespace {

constexpr auto never = std::numeric_limits<std::int64_t>::max();

/// A handler for which there is memory, as there is one at a time.
template <class Function>
struct handler_in_place {
  using allocator_type = handler_allocator<void>;
  handler_memory* memory;
  Function function;

  allocator_type get_allocator() const noexcept { return allocator_type(*memory); }
  template <class... Args>
  void operator()(Args... arguments) {
    function(arguments...);
  }
};
template <class Function>
handler_in_place<Function> in_place(handler_memory& memory, Function function) {
  return {&memory, std::move(function)};
}

}  // namespace

// Handlers may be called after the loop has gone, where the io_context is the application's: they share this.
struct reactor::shared {
  std::unique_ptr<asio::io_context> own;
  asio::io_context& context;
  std::optional<asio::steady_timer> alarm;
  std::int64_t alarm_at = never;
  bool alarm_waits = false;
  handler_memory alarm_memory;
  struct signal {
    asio::signal_set set;
    std::function<void()> function;
    bool expected;

    signal(asio::io_context& of, int number, std::function<void()> called, bool counts)
        : set(of, number), function(std::move(called)), expected(counts) {}
  };
  std::map<int, signal> signals;
  bool only_expected = false;  ///< run until there is no other work; see below
  handler_memory scheduled_memory;
  bool scheduled = false;
  handler_memory told_memory;
  std::atomic<unsigned> told = 0;  ///< by another thread? (RISC-V 64 exchanges no bytes.)
  void (*turns)(void*);
  void* loop;  ///< null: gone

  shared(asio::io_context* given, void (*run)(void*), void* of)
      : own(given == nullptr ? std::make_unique<asio::io_context>(1) : nullptr),
        context(given == nullptr ? *own : *given),
        alarm(std::in_place, context),
        turns(run),
        loop(of) {}

  /// One wait at a time, for which there is memory: where the alarm is set anew, the wait that there is ends, and another
  /// begins then.
  void wait_for_alarm(const std::shared_ptr<shared>& self) {
    if (std::exchange(alarm_waits, true)) {
      return;
    }
    try {
      alarm->async_wait(in_place(alarm_memory, [self](boost::system::error_code error) {
        self->alarm_waits = false;
        if (self->loop != nullptr && error) {
          self->wait_for_alarm(self);
        } else {
          self->alarm_at = never;
          self->take_turns();
        }
      }));
    } catch (...) {
      alarm_waits = false;
      alarm_at = never;
      throw;
    }
  }

  void take_turns() {
    if (loop != nullptr) {
      turns(loop);
    }
  }

  /// Asio takes each wait for a signal for work, and counts. While this is on, the unexpected ones are taken off its
  /// count.
  void count_only_expected(bool on) noexcept {
    if (only_expected != on) {
      for (auto& [number, each] : signals) {
        count(each, !on);
      }
      only_expected = on;
    }
  }
  void count(const signal& of, bool as_work) noexcept {
    if (!of.expected) {
      const auto executor = context.get_executor();
      as_work ? executor.on_work_started() : executor.on_work_finished();
    }
  }
  bool forget_signal(int number) noexcept {
    const auto found = signals.find(number);
    if (found == signals.end()) {
      return false;
    }
    if (only_expected) {
      count(found->second, true);
    }
    signals.erase(found);
    return true;
  }
};

reactor::reactor(asio::io_context* context, void (*turns)(void*), void* loop)
    : shared_(std::make_shared<shared>(context, turns, loop)) {}

reactor::~reactor() {
  shut();
}

void reactor::shut() noexcept {
  shared_->loop = nullptr;
  shared_->signals.clear();
  shared_->alarm.reset();
  shared_->own.reset();  // destroys what is still posted, which shares this
}

void reactor::schedule() noexcept {
  if (!shared_->scheduled && shared_->loop != nullptr) {
    shared_->scheduled = true;
    asio::post(shared_->context, in_place(shared_->scheduled_memory, [self = shared_] {
                 self->scheduled = false;
                 self->take_turns();
               }));
  }
}

void reactor::schedule_threadsafe() noexcept {
  if (shared_->told.exchange(1, std::memory_order_acq_rel) == 0) {
    asio::post(shared_->context, in_place(shared_->told_memory, [self = shared_] {
                 self->told.store(0, std::memory_order_release);
                 self->take_turns();
               }));
  }
}

void reactor::wake_at(std::int64_t when) {
  if (when < shared_->alarm_at && shared_->loop != nullptr) {  // else it is set anew when it rings
    shared_->alarm_at = when;
    shared_->alarm->expires_at(std::chrono::steady_clock::time_point(std::chrono::nanoseconds(when)));
    shared_->wait_for_alarm(shared_);
  }
}

void reactor::run() {
  const auto work = asio::make_work_guard(shared_->context);
  shared_->context.restart();
  shared_->context.run();
}

void reactor::run_while_there_is_work() {
  const struct scope {
    std::shared_ptr<shared> self;
    explicit scope(std::shared_ptr<shared> of) : self(std::move(of)) { self->count_only_expected(true); }
    ~scope() { self->count_only_expected(false); }
  } counting(shared_);
  shared_->context.restart();
  shared_->context.run();
}

void reactor::watch_signal(int number, std::function<void()> function, bool expected) {
  shared_->forget_signal(number);
  const auto at =
      shared_->signals.try_emplace(number, shared_->context, number, std::move(function), expected).first;
  struct handler {
    std::shared_ptr<shared> self;
    shared::signal* of;
    void operator()(boost::system::error_code error, int) const {
      if (!error) {
        of->set.async_wait(*this);
        const std::function<void()> called = of->function;  // which may put another in its place
        called();
      }
    }
  };
  try {
    at->second.set.async_wait(handler{shared_, &at->second});
  } catch (...) {
    shared_->signals.erase(at);
    throw;
  }
  if (shared_->only_expected) {
    shared_->count(at->second, false);
  }
}

bool reactor::unwatch_signal(int number) {
  return shared_->forget_signal(number);
}

void reactor::stop() noexcept {
  shared_->context.stop();
}

bool reactor::runs_here() const noexcept {
  return shared_->context.get_executor().running_in_this_thread();
}

asio::io_context& reactor::context() noexcept {
  return shared_->context;
}

}  // namespace krait::asyncio::detail
