// SPDX-License-Identifier: BSL-1.0
#include "krait/asyncio/detail/reactor.hpp"

#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/signal_set.hpp>
#include <boost/asio/steady_timer.hpp>

#include <chrono>
#include <limits>
#include <map>
#include <optional>
#include <utility>

namespace krait::asyncio::detail {

namespace asio = boost::asio;

// Handlers may be called after the loop has gone, where the io_context is the application's: they share this.
struct reactor::shared {
  std::unique_ptr<asio::io_context> own;
  asio::io_context& context;
  std::optional<asio::steady_timer> alarm;
  std::int64_t alarm_at = std::numeric_limits<std::int64_t>::max();
  struct signal {
    asio::signal_set set;
    std::function<void()> function;

    signal(asio::io_context& of, int number, std::function<void()> called)
        : set(of, number), function(std::move(called)) {}
  };
  std::map<int, signal> signals;
  bool scheduled = false;
  void (*turns)(void*);
  void* loop;  ///< null: gone

  shared(asio::io_context* given, void (*run)(void*), void* of)
      : own(given == nullptr ? std::make_unique<asio::io_context>(1) : nullptr),
        context(given == nullptr ? *own : *given),
        alarm(std::in_place, context),
        turns(run),
        loop(of) {}

  void take_turns() {
    if (loop != nullptr) {
      turns(loop);
    }
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

void reactor::schedule() {
  if (!shared_->scheduled && shared_->loop != nullptr) {
    asio::post(shared_->context, [self = shared_] {
      self->scheduled = false;
      self->take_turns();
    });
    shared_->scheduled = true;
  }
}

void reactor::schedule_threadsafe() {
  asio::post(shared_->context, [self = shared_] { self->take_turns(); });
}

void reactor::wake_at(std::int64_t when) {
  using clock = std::chrono::steady_clock;
  if (when >= shared_->alarm_at || shared_->loop == nullptr) {
    return;  // the alarm is set anew when it rings
  }
  shared_->alarm_at = when;
  shared_->alarm->expires_at(clock::time_point(std::chrono::nanoseconds(when)));
  shared_->alarm->async_wait([self = shared_](boost::system::error_code error) {
    if (!error) {
      self->alarm_at = std::numeric_limits<std::int64_t>::max();
      self->take_turns();
    }
  });
}

void reactor::run() {
  const auto work = asio::make_work_guard(shared_->context);
  shared_->context.restart();
  shared_->context.run();
}

void reactor::run_while_there_is_work() {
  shared_->context.restart();
  shared_->context.run();
}

void reactor::watch_signal(int number, std::function<void()> function) {
  shared_->signals.erase(number);
  const auto at = shared_->signals.try_emplace(number, shared_->context, number, std::move(function)).first;
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
  at->second.set.async_wait(handler{shared_, &at->second});
}

bool reactor::unwatch_signal(int number) {
  return shared_->signals.erase(number) != 0;
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
