// SPDX-License-Identifier: BSL-1.0
// Boost.Fiber, with its own scheduler (round_robin). Stacks are kept, and have no guard. To run a new fiber at once is
// launch::dispatch.
#include <boost/fiber/buffered_channel.hpp>
#include <boost/fiber/fiber.hpp>
#include <boost/fiber/future.hpp>
#include <boost/fiber/operations.hpp>
#include <boost/fiber/pooled_fixedsize_stack.hpp>
#include <boost/fiber/unbuffered_channel.hpp>

#include <memory>
#include <utility>
#include <vector>

#include "operations.hpp"

namespace {

namespace fibers = boost::fibers;

fibers::pooled_fixedsize_stack& stacks() {
  static fibers::pooled_fixedsize_stack source(64 * 1024);
  return source;
}

template <class F>
fibers::fiber spawned(fibers::launch how, F&& f) {
  return {how, std::allocator_arg, stacks(), std::forward<F>(f)};
}

long by_futures(long first, long leaves) {
  if (leaves == 1) {
    return first;
  }
  std::vector<fibers::future<long>> children;
  children.reserve(10);
  for (long i = 0; i < 10; ++i) {
    fibers::packaged_task<long()> child(
        [below = first + i * (leaves / 10), leaves] { return by_futures(below, leaves / 10); });
    children.push_back(child.get_future());
    spawned(fibers::launch::post, std::move(child)).detach();
  }
  long sum = 0;
  for (auto& each : children) {
    sum += each.get();
  }
  return sum;
}

void by_channels(fibers::buffered_channel<long>& to, long first, long leaves) {
  if (leaves == 1) {
    to.push(first);
    return;
  }
  fibers::buffered_channel<long> from(16);
  for (long i = 0; i < 10; ++i) {
    spawned(fibers::launch::dispatch, [&from, below = first + i * (leaves / 10), leaves] {
      by_channels(from, below, leaves / 10);
    }).detach();
  }
  long sum = 0;
  for (int i = 0; i < 10; ++i) {
    sum += from.value_pop();
  }
  to.push(sum);
}

struct boost_fiber {
  template <class F>
  static void in(F f) {
    f();
  }

  template <class More>
  static long turns(long tasks, More more) {
    long count = 0;
    bool stop = false;
    std::vector<fibers::fiber> others;
    for (long i = 1; i < tasks; ++i) {
      others.push_back(spawned(fibers::launch::post, [&] {
        for (;;) {
          boost::this_fiber::yield();
          if (stop) {
            return;
          }
          ++count;
        }
      }));
    }
    boost::this_fiber::yield();
    while (more()) {
      ++count;
      boost::this_fiber::yield();
    }
    stop = true;
    for (fibers::fiber& each : others) {
      each.join();
    }
    return count;
  }
  static constexpr bool few = true;

  static long spawn(long n) { return spawned_one_by_one(fibers::launch::post, n); }
  static long spawn_eager(long n) { return spawned_one_by_one(fibers::launch::dispatch, n); }

  static long spawn_1000(long n) {
    long sum = 0;
    std::vector<fibers::fiber> all;
    all.reserve(static_cast<std::size_t>(n));
    for (long i = 0; i < n; ++i) {
      all.push_back(spawned(fibers::launch::post, [&sum, i] { sum += i; }));
    }
    for (fibers::fiber& each : all) {
      each.join();
    }
    return sum;
  }

  static long ping_pong(long n) {
    fibers::unbuffered_channel<long> there;
    fibers::unbuffered_channel<long> back;
    fibers::fiber other = spawned(fibers::launch::post, [&] {
      for (long i = 0; i < n; ++i) {
        back.push(there.value_pop());
      }
    });
    long sum = 0;
    for (long i = 0; i < n; ++i) {
      there.push(i);
      sum += back.value_pop();
    }
    other.join();
    return sum;
  }

  static long queue(long n) {
    fibers::buffered_channel<long> items(64);
    fibers::fiber producer = spawned(fibers::launch::post, [&] {
      for (long i = 0; i < n; ++i) {
        items.push(i);
      }
    });
    long sum = 0;
    for (long i = 0; i < n; ++i) {
      sum += items.value_pop();
    }
    producer.join();
    return sum;
  }

  static long skynet(long leaves) { return by_futures(0, leaves); }

  static long skynet_eager(long leaves) {
    fibers::buffered_channel<long> result(16);
    spawned(fibers::launch::dispatch, [&] { by_channels(result, 0, leaves); }).detach();
    return result.value_pop();
  }

 private:
  static long spawned_one_by_one(fibers::launch how, long n) {
    long sum = 0;
    for (long i = 0; i < n; ++i) {
      spawned(how, [&sum, i] { sum += i; }).join();
    }
    return sum;
  }
};

[[maybe_unused]] const bool entered = bench::tasks::enter<boost_fiber>("boost_fiber");

}  // namespace
