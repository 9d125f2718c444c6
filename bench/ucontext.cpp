// SPDX-License-Identifier: BSL-1.0
// The C library's swapcontext. It keeps the signal mask, so each switch is a system call,
// rt_sigprocmask; that is most of what it costs. It cannot unwind, so a body that has not ended is
// forgotten, not destroyed.
#include <ucontext.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <utility>

#include "operations.hpp"

namespace {

/// A body on a stack of its own, which is sent an `Item` when entered and yields one back.
template <class Item>
class body {
 public:
  using function = void (*)(body& self, Item& sent);

  explicit body(function run) : run_(run) {
    getcontext(&inside_);
    inside_.uc_stack.ss_sp = stack_.data();
    inside_.uc_stack.ss_size = stack_.size();
    inside_.uc_link = &outside_;
    // It takes only ints.
    const auto self = reinterpret_cast<std::uintptr_t>(this);
    makecontext(&inside_, reinterpret_cast<void (*)()>(&start), 2, static_cast<unsigned>(self >> 32),
                static_cast<unsigned>(self));
  }
  body(const body&) = delete;
  body& operator=(const body&) = delete;

  /// The next item; null at the end.
  Item* enter(Item& sent) {
    sent_ = &sent;
    swapcontext(&outside_, &inside_);
    return item_;
  }

  /// Returns what is sent.
  Item& yield(Item& item) {
    item_ = &item;
    swapcontext(&inside_, &outside_);
    return *sent_;
  }

 private:
  static void start(unsigned high, unsigned low) {
    body& self = *reinterpret_cast<body*>(std::uintptr_t{high} << 32 | low);
    self.run_(self, *self.sent_);
    self.item_ = nullptr;
  }

  function run_;
  Item* sent_ = nullptr;
  Item* item_ = nullptr;
  ucontext_t inside_{};
  ucontext_t outside_{};
  alignas(16) std::array<std::byte, 64 * 1024> stack_;  // not cleared
};

class range {
 public:
  explicit range(long n) : body_(std::make_unique<body<long>>(&count)), n_(n) {}

  long* advance() { return body_->enter(n_); }

  bench::iterator<range> begin() { return bench::iterator<range>(*this); }
  std::default_sentinel_t end() const { return {}; }

 private:
  static void count(body<long>& self, long& sent) {
    const long n = sent;
    for (long i = 0; i < n; ++i) {
      self.yield(i);
    }
  }

  std::unique_ptr<body<long>> body_;
  long n_;
};

class accumulator {
 public:
  int send(int value) {
    const int* const item = body_->enter(value);
    if (item == nullptr) [[unlikely]] {
      bench::exhausted();
    }
    return *item;
  }

 private:
  static void add_up(body<int>& self, int& sent) {
    for (int total = sent;;) {
      total += self.yield(total);
    }
  }

  std::unique_ptr<body<int>> body_ = std::make_unique<body<int>>(&add_up);
};

struct ucontext {
  static range counter(long n) { return range(n); }

  static long next(range& items) {
    const long* const item = items.advance();
    return item != nullptr ? *item : bench::exhausted();
  }

  static accumulator running_sum() { return {}; }
  static int send(accumulator& running_sum, int value) { return running_sum.send(value); }
};

[[maybe_unused]] const bool entered = bench::enter<ucontext>("ucontext");

}  // namespace
