// SPDX-License-Identifier: BSL-1.0
// Boost.Fiber: a producer and its consumer are two threads of control with a channel between them,
// and at every item a scheduler (round_robin, the default) decides who runs. A consumer that leaves
// closes the channel, so the producer's push fails, and it returns. There is no delegation. Stacks
// are kept, per thread, and have no guard. launch::dispatch, to run the producer at once, and BODY,
// KRAIT_BENCH_LOOP (see coroutine2.cpp) gain a little.
#include <boost/fiber/fiber.hpp>
#include <boost/fiber/pooled_fixedsize_stack.hpp>
#include <boost/fiber/unbuffered_channel.hpp>
#include <exception>
#include <memory>
#include <utility>

#define KRAIT_BENCH_LOOP gnu::noinline, gnu::flatten
#include "operations.hpp"

#define BODY __attribute__((flatten))

namespace {

namespace fibers = boost::fibers;

template <class Item>
using channel = fibers::unbuffered_channel<Item>;

template <class Item>
[[nodiscard]] bool push(channel<Item>& items, Item item) {
  return items.push(item) == fibers::channel_op_status::success;
}

template <class Item>
[[nodiscard]] bool pop(channel<Item>& items, Item& item) {
  return items.pop(item) == fibers::channel_op_status::success;
}

fibers::pooled_fixedsize_stack& stacks() {
  thread_local fibers::pooled_fixedsize_stack source(64 * 1024);
  return source;
}

class range {
 public:
  template <class Body>
  explicit range(Body body)
      : shared_(std::make_unique<shared>()),
        producer_(fibers::launch::dispatch, std::allocator_arg, stacks(), [&to = *shared_, body]() BODY {
          try {
            body(to.items);
          } catch (...) {
            to.error = std::current_exception();
          }
          to.items.close();
        }) {}
  range(range&&) noexcept = default;
  range& operator=(range&&) = delete;
  ~range() {
    if (shared_) {
      shared_->items.close();
      producer_.join();
    }
  }

  long* advance() {
    if (pop(shared_->items, item_)) [[likely]] {
      return &item_;
    }
    if (shared_->error) {
      std::rethrow_exception(std::move(shared_->error));
    }
    return nullptr;
  }

  bench::iterator<range> begin() { return bench::iterator<range>(*this); }
  std::default_sentinel_t end() const { return {}; }

 private:
  struct shared {
    channel<long> items;
    std::exception_ptr error;
  };

  std::unique_ptr<shared> shared_;
  fibers::fiber producer_;
  long item_ = 0;
};

class accumulator {
 public:
  accumulator()
      : adder_(fibers::launch::dispatch, std::allocator_arg, stacks(), [this]() BODY {
          int total = 0;
          for (int value = 0; pop(sent_, value);) {
            total += value;
            if (!push(sums_, total)) {
              break;
            }
          }
        }) {}
  accumulator(const accumulator&) = delete;
  accumulator& operator=(const accumulator&) = delete;
  ~accumulator() {
    sent_.close();
    sums_.close();
    adder_.join();
  }

  int send(int value) {
    if (!push(sent_, value) || !pop(sums_, value)) [[unlikely]] {
      bench::exhausted();
    }
    return value;
  }

 private:
  channel<int> sent_;
  channel<int> sums_;
  fibers::fiber adder_;
};

struct boost_fiber {
  static range counter(long n) {
    return range([n](channel<long>& items) BODY {
      for (long i = 0; i < n && push(items, i); ++i) {
      }
    });
  }

  static long next(range& items) {
    const long* const item = items.advance();
    return item != nullptr ? *item : bench::exhausted();
  }

  static accumulator running_sum() { return {}; }
  static int send(accumulator& running_sum, int value) { return running_sum.send(value); }

  static range single() { return counter(1); }

  static range guarded(long& destroyed) {
    return range([&destroyed](channel<long>& items) BODY {
      const bench::destruction_counter guard(destroyed);
      for (long i = 0; i < bench::endless && push(items, i); ++i) {
      }
    });
  }
};

[[maybe_unused]] const bool entered = bench::enter<boost_fiber>("boost_fiber");

}  // namespace
