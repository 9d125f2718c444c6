// SPDX-License-Identifier: BSL-1.0
// boost::context::fiber, which Coroutine2 is made of. It switches and no more: items and exceptions
// are passed by hand, the quickest way there is. An exception that left the fiber would end the
// program. Stacks are kept, per thread, and have no guard. To inline more than the compiler does
// (see coroutine2.cpp) gains nothing.
#include <boost/context/fiber.hpp>
#include <boost/context/pooled_fixedsize_stack.hpp>
#include <exception>
#include <memory>
#include <utility>

#include "operations.hpp"

namespace {

using boost::context::fiber;
using boost::context::pooled_fixedsize_stack;

pooled_fixedsize_stack& stacks() {
  thread_local pooled_fixedsize_stack source(64 * 1024);
  return source;
}

/// What a body yields through; lives on its stack.
struct sink {
  void operator()(long& value) {
    item = &value;
    consumer = std::move(consumer).resume();
    if (raise != nullptr) [[unlikely]] {
      std::exchange(raise, nullptr)();
    }
  }

  fiber consumer;
  long* item = nullptr;
  void (*raise)() = nullptr;
};

struct closed {};

/// Is at its first item when constructed.
class range {
 public:
  template <class Body>
  explicit range(Body body)
      : body_(std::allocator_arg, stacks(), [this, body](fiber&& consumer) {
          sink yield{std::move(consumer)};
          yield_ = &yield;
          std::exception_ptr error;
          try {
            body(yield);
          } catch (const closed&) {
          } catch (...) {
            error = std::current_exception();
          }
          if (error) [[unlikely]] {
            return std::move(yield.consumer).resume_with([&error](fiber&&) -> fiber {
              std::rethrow_exception(std::move(error));
            });
          }
          return std::move(yield.consumer);
        }) {
    advance();
  }
  range(range&&) noexcept = default;
  range& operator=(range&&) = delete;
  ~range() {
    // A fiber's own destructor would throw as well, and what it throws must be caught twice.
    if (body_) {
      raise<closed>();
    }
  }

  explicit operator bool() const { return static_cast<bool>(body_); }
  long& get() const { return *yield_->item; }
  void advance() { body_ = std::move(body_).resume(); }

  /// Throws `Error` where the body yields.
  template <class Error>
  void raise() {
    yield_->raise = [] { throw Error(); };
    advance();
  }

  class iterator {
   public:
    using value_type = long;
    using difference_type = std::ptrdiff_t;

    explicit iterator(range& items) : items_(&items) {}

    long& operator*() const { return items_->get(); }
    iterator& operator++() {
      items_->advance();
      return *this;
    }
    void operator++(int) { ++*this; }
    bool operator==(std::default_sentinel_t) const { return !*items_; }

   private:
    range* items_;
  };

  iterator begin() { return iterator(*this); }
  std::default_sentinel_t end() const { return {}; }

 private:
  sink* yield_ = nullptr;
  fiber body_;
};

class accumulator {
 public:
  accumulator()
      : body_(std::allocator_arg, stacks(), [this](fiber&& sender) {
          for (int total = 0;;) {
            total += *sent_;
            item_ = &total;
            sender = std::move(sender).resume();
          }
          return std::move(sender);
        }) {}
  accumulator(const accumulator&) = delete;
  accumulator& operator=(const accumulator&) = delete;

  int send(int value) {
    sent_ = &value;
    body_ = std::move(body_).resume();
    if (!body_) [[unlikely]] {
      bench::exhausted();
    }
    return *item_;
  }

 private:
  int* sent_ = nullptr;
  int* item_ = nullptr;
  fiber body_;
};

struct context_fiber {
  static range counter(long n) {
    return range([n](sink& yield) {
      for (long i = 0; i < n; ++i) {
        yield(i);
      }
    });
  }

  static long next(range& items) {
    if (!items) [[unlikely]] {
      bench::exhausted();
    }
    const long item = items.get();
    items.advance();
    return item;
  }

  static accumulator running_sum() { return {}; }
  static int send(accumulator& running_sum, int value) { return running_sum.send(value); }

  static range catching() {
    return range([](sink& yield) {
      for (long one = 1;;) {
        try {
          yield(one);
        } catch (const bench::error&) {
        }
      }
    });
  }

  static long throw_in(range& catching) {
    catching.raise<bench::error>();
    if (!catching) [[unlikely]] {
      bench::exhausted();
    }
    return catching.get();
  }

  static range single() { return counter(1); }

  static range guarded(long& destroyed) {
    return range([&destroyed](sink& yield) {
      const bench::destruction_counter guard(destroyed);
      for (long i = 0; i < bench::endless; ++i) {
        yield(i);
      }
    });
  }

  static range nested(int depth) {
    if (depth == 0) {
      return counter(bench::endless);
    }
    return range([depth](sink& yield) {
      for (long& item : nested(depth - 1)) {
        yield(item);
      }
    });
  }
};

[[maybe_unused]] const bool entered = bench::enter<context_fiber>("context_fiber");

}  // namespace
