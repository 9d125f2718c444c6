// SPDX-License-Identifier: BSL-1.0
#pragma once

// What the loop has of Boost.Asio, which is included in src/asyncio/reactor.cpp alone: an io_context, a handler that
// runs the loop's turns and posts itself, and a timer for the earliest deadline. All that waits besides is the loop's.

#include <cstdint>
#include <functional>
#include <memory>

namespace boost::asio {
class io_context;
}

namespace krait::asyncio::detail {

class reactor {
 public:
  /// `turns(loop)` runs the loop's turns. Null: an io_context of its own.
  reactor(boost::asio::io_context* context, void (*turns)(void*), void* loop);
  reactor(const reactor&) = delete;
  reactor& operator=(const reactor&) = delete;
  ~reactor();

  /// The loop is gone, and perhaps the io_context: nothing is done any more.
  void shut() noexcept;

  /// Has turns() called from the io_context, once. Any thread may call the second.
  void schedule() noexcept;
  void schedule_threadsafe() noexcept;

  /// Has turns() called at `when`, nanoseconds of steady_clock, unless it is to be called before that. Throws
  /// std::bad_alloc.
  void wake_at(std::int64_t when);

  /// Runs the io_context until stop(). What leaves turns() comes out.
  void run();
  /// The same, but also until nothing is pending any more that is expected.
  void run_while_there_is_work();
  void stop() noexcept;

  /// Has `function` called, on the thread that runs the io_context, whenever the signal comes; instead of what was
  /// there before. Throws boost::system::system_error where that cannot be. `expected`: it counts as work that is
  /// pending.
  void watch_signal(int signal, std::function<void()> function, bool expected = true);
  /// Was it watched?
  bool unwatch_signal(int signal);

  /// Does this thread run the io_context?
  bool runs_here() const noexcept;

  boost::asio::io_context& context() noexcept;

 private:
  struct shared;
  std::shared_ptr<shared> shared_;
};

}  // namespace krait::asyncio::detail
