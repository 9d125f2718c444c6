// SPDX-License-Identifier: BSL-1.0
// Boost.Coroutine2. It has no delegation, so that is a loop at every level. Values go one way, so an answer
// to a sent one comes back through a variable.
//
// Its switch ends in a jump, so every return from a function that contains one is mispredicted: an item takes
// twice as long when the compiler does not inline Coroutine2's functions into the loop and into the body. In
// a small program they may be, in a larger one not all are. So this file is compiled twice: with the best
// asked for (BODY, KRAIT_BENCH_LOOP), and as it is.
//
// By default its stacks come from malloc and have no guard. `coroutine2_pooled` keeps them, which is what
// krait does (with guards); only creation and destruction differ.
#include <boost/coroutine2/coroutine.hpp>
#include <boost/coroutine2/fixedsize_stack.hpp>
#include <boost/coroutine2/pooled_fixedsize_stack.hpp>
#include <boost/coroutine2/protected_fixedsize_stack.hpp>
#include <memory>
#include <string>

#if defined(KRAIT_BENCH_AS_IS)
#define BODY
#else
#define KRAIT_BENCH_LOOP gnu::noinline, gnu::flatten
#define BODY __attribute__((flatten))
#endif
#include "operations.hpp"

namespace {

using range = boost::coroutines2::coroutine<long>::pull_type;
using sink = boost::coroutines2::coroutine<long>::push_type;

class accumulator {
 public:
  accumulator()
      : in_([this](boost::coroutines2::coroutine<int>::pull_type& sent) BODY {
          int total = 0;
          for (const int value : sent) {
            total += value;
            item_ = &total;
          }
        }) {}
  accumulator(const accumulator&) = delete;
  accumulator& operator=(const accumulator&) = delete;

  int send(int value) {
    in_(value);
    if (!in_) [[unlikely]] {
      bench::exhausted();
    }
    return *item_;
  }

 private:
  int* item_ = nullptr;
  boost::coroutines2::coroutine<int>::push_type in_;
};

struct with_items {
  static range counter(long n) {
    return range([n](sink& yield) BODY {
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
    items();
    return item;
  }

  static accumulator running_sum() { return {}; }
  static int send(accumulator& running_sum, int value) { return running_sum.send(value); }
};

#if !defined(KRAIT_BENCH_AS_IS)
template <class Stacks>
struct lifetimes {
  static range single() {
    return range(stacks(), [](sink& yield) BODY { yield(0); });
  }

  static range guarded(long& destroyed) {
    return range(stacks(), [&destroyed](sink& yield) BODY {
      const bench::destruction_counter guard(destroyed);
      for (long i = 0; i < bench::endless; ++i) {
        yield(i);
      }
    });
  }

  static range deep() {
    return range(stacks(), [](sink& yield) BODY { yield_below(yield, 4); });
  }

  static range with_string() {
    return range(stacks(), [](sink& yield) BODY {
      const std::string text(100, 'x');
      for (long i = 0; i < bench::endless; ++i) {
        yield(i + static_cast<long>(text.size()));
      }
    });
  }

 private:
  BODY static void yield_below(sink& yield, int calls) {
    if (calls > 0) {
      yield_below(yield, calls - 1);
      asm volatile("" ::: "memory");
    } else {
      for (long i = 0; i < bench::endless; ++i) {
        yield(i);
      }
    }
  }

  static Stacks& stacks() {
    thread_local Stacks source;  // the pool knows no threads
    return source;
  }
};

struct coroutine2 : with_items, lifetimes<boost::coroutines2::fixedsize_stack> {
  static range nested(int depth) {
    if (depth == 0) {
      return counter(bench::endless);
    }
    return range([depth](sink& yield) BODY {
      for (long& item : nested(depth - 1)) {
        yield(item);
      }
    });
  }

  static range walk_calls(const bench::node* root) {
    return range([root](sink& yield) BODY { visit(root, yield); });
  }

  static long first_uses(int count) {
    boost::coroutines2::protected_fixedsize_stack fresh(64 * 1024);
    std::vector<range> alive;
    alive.reserve(static_cast<std::size_t>(count));
    long items = 0;
    for (int i = 0; i < count; ++i) {
      alive.emplace_back(fresh, [](sink& yield) BODY { yield(1); });
      items += alive.back().get();
    }
    // To the end: what it costs to be closed is another matter. Coroutine2 throws once even so.
    for (range& one : alive) {
      one();
    }
    return items;
  }

 private:
  BODY static void visit(const bench::node* here, sink& yield) {
    if (here->left != nullptr) {
      visit(here->left, yield);
    }
    yield(here->value);
    if (here->right != nullptr) {
      visit(here->right, yield);
    }
  }
};

[[maybe_unused]] const bool entered =
    bench::enter<coroutine2>("coroutine2") &&
    bench::enter<lifetimes<boost::coroutines2::pooled_fixedsize_stack>>("coroutine2_pooled");

#else
[[maybe_unused]] const bool entered = bench::enter<with_items>("coroutine2_as_is");
#endif

}  // namespace
