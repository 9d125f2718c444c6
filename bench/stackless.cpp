// SPDX-License-Identifier: BSL-1.0
// A generator of C++20 coroutines, written by hand: what the language does without a stack. It can yield from
// its outermost function only, so delegation is a loop at every level.
#include <coroutine>
#include <exception>
#include <memory>
#include <string>
#include <utility>

#include "operations.hpp"

namespace {

template <class Promise>
class owner {
 public:
  explicit owner(Promise& promise) : handle_(std::coroutine_handle<Promise>::from_promise(promise)) {}
  owner(owner&& other) noexcept : handle_(std::exchange(other.handle_, {})) {}
  owner& operator=(owner&& other) = delete;
  ~owner() {
    if (handle_) {
      handle_.destroy();
    }
  }

 protected:
  std::coroutine_handle<Promise> handle_;
};

struct basic_promise {
  std::suspend_always initial_suspend() const noexcept { return {}; }
  std::suspend_always final_suspend() const noexcept { return {}; }
  void return_void() const noexcept {}
  [[noreturn]] void unhandled_exception() const { throw; }
};

struct generator_promise : basic_promise {
  long* item = nullptr;

  class generator get_return_object();
  std::suspend_always yield_value(long& value) noexcept {
    item = &value;
    return {};
  }
};

class generator : public owner<generator_promise> {
 public:
  using promise_type = generator_promise;
  using owner::owner;

  class iterator {
   public:
    using value_type = long;
    using difference_type = std::ptrdiff_t;

    explicit iterator(std::coroutine_handle<generator_promise> handle) : handle_(handle) { handle_.resume(); }

    long& operator*() const { return *handle_.promise().item; }
    iterator& operator++() {
      handle_.resume();
      return *this;
    }
    void operator++(int) { ++*this; }
    bool operator==(std::default_sentinel_t) const { return handle_.done(); }

   private:
    std::coroutine_handle<generator_promise> handle_;
  };

  iterator begin() { return iterator(handle_); }
  std::default_sentinel_t end() const { return {}; }

  long next() {
    handle_.resume();
    if (handle_.done()) [[unlikely]] {
      bench::exhausted();
    }
    return *handle_.promise().item;
  }
};

generator generator_promise::get_return_object() {
  return generator(*this);
}

struct accumulator_promise;

class accumulator : public owner<accumulator_promise> {
 public:
  using promise_type = accumulator_promise;
  explicit accumulator(accumulator_promise& promise);

  int send(int value);
};

struct accumulator_promise : basic_promise {
  int* item = nullptr;
  int* sent = nullptr;

  struct exchange : std::suspend_always {
    accumulator_promise& self;
    int await_resume() const noexcept { return *self.sent; }
  };

  accumulator get_return_object() { return accumulator(*this); }
  std::suspend_never initial_suspend() const noexcept { return {}; }
  exchange yield_value(int& value) noexcept {
    item = &value;
    return {{}, *this};
  }
};

accumulator::accumulator(accumulator_promise& promise) : owner(promise) {}

int accumulator::send(int value) {
  handle_.promise().sent = &value;
  handle_.resume();
  if (handle_.done()) [[unlikely]] {
    bench::exhausted();
  }
  return *handle_.promise().item;
}

struct stackless {
  static generator counter(long n) {
    for (long i = 0; i < n; ++i) {
      co_yield i;
    }
  }

  static long next(generator& range) { return range.next(); }

  static accumulator running_sum() {
    for (int total = 0;;) {
      total += co_yield total;
    }
  }

  static int send(accumulator& running_sum, int value) { return running_sum.send(value); }

  static generator single() { return counter(1); }

  static generator guarded(long& destroyed) {
    const bench::destruction_counter guard(destroyed);
    for (long i = 0; i < bench::endless; ++i) {
      co_yield i;
    }
  }

  static generator with_string() {
    const std::string text(100, 'x');
    for (long i = 0; i < bench::endless; ++i) {
      long item = i + static_cast<long>(text.size());
      co_yield item;
    }
  }

  static generator nested(int depth) {
    if (depth == 0) {
      return counter(bench::endless);
    }
    return level(depth - 1);
  }

  static generator level(int depth) {
    for (long& item : bench::opaque (&nested)(depth)) {
      co_yield item;
    }
  }
};

[[maybe_unused]] const bool entered = bench::enter<stackless>("stackless");

}  // namespace
