// SPDX-License-Identifier: BSL-1.0
// Tasks of C++20 coroutines, written by hand: started lazily, awaiting each other by symmetric transfer, and
// the innermost one resumed directly by who drives them.
#include <coroutine>
#include <exception>
#include <utility>

#include "operations.hpp"

namespace {

/// Between a chain of tasks and who drives it.
struct channel {
  std::coroutine_handle<> innermost;
  long item = 0;
};

class task {
 public:
  struct promise_type {
    channel* out = nullptr;
    std::coroutine_handle<> awaiting = std::noop_coroutine();
    long value = 0;

    task get_return_object() { return task(std::coroutine_handle<promise_type>::from_promise(*this)); }
    std::suspend_always initial_suspend() const noexcept { return {}; }
    auto final_suspend() const noexcept {
      struct back {
        bool await_ready() const noexcept { return false; }
        std::coroutine_handle<> await_suspend(std::coroutine_handle<promise_type> self) const noexcept {
          return self.promise().awaiting;
        }
        void await_resume() const noexcept {}
      };
      return back{};
    }
    void return_value(long result) noexcept { value = result; }
    [[noreturn]] void unhandled_exception() const { throw; }
  };
  using handle = std::coroutine_handle<promise_type>;

  explicit task(handle self) noexcept : self_(self) {}
  task(task&& other) noexcept : self_(std::exchange(other.self_, {})) {}
  task& operator=(task&&) = delete;
  ~task() {
    if (self_) {
      self_.destroy();
    }
  }

  bool await_ready() const noexcept { return false; }
  handle await_suspend(handle awaiting) const noexcept {
    self_.promise().out = awaiting.promise().out;
    self_.promise().awaiting = awaiting;
    return self_;
  }
  long await_resume() const noexcept { return self_.promise().value; }

  handle self() const noexcept { return self_; }

 private:
  handle self_;
};

/// Awaited, hands an item to who drives.
struct yielded {
  long item;

  bool await_ready() const noexcept { return false; }
  void await_suspend(task::handle self) const noexcept {
    channel& out = *self.promise().out;
    out.innermost = self;
    out.item = item;
  }
  void await_resume() const noexcept {}
};

task counting() {
  for (long i = 0; i < bench::endless; ++i) {
    co_await yielded{i};
  }
  co_return 0;
}

task nested(int depth) {
  co_return depth == 0 ? co_await counting() : co_await nested(depth - 1);
}

struct chain {
  task outermost;
  channel out;
};

struct stackless_peer {
  static chain awaiting(int depth) {
    chain made{nested(depth - 1), {}};
    made.out.innermost = made.outermost.self();
    return made;
  }

  static long resume(chain& awaiting) {
    awaiting.outermost.self().promise().out = &awaiting.out;
    awaiting.out.innermost.resume();
    return awaiting.out.item;
  }

  static task returning(long value) { co_return value; }

  static long run(task& one) {
    one.self().resume();
    return one.self().promise().value;
  }
};

[[maybe_unused]] const bool entered = bench::enter<stackless_peer>("stackless");

}  // namespace
