// SPDX-License-Identifier: BSL-1.0
// krait's event loop. Compiled once per backend; the names in the table say which.
//
// Its loop polls after each turn by default, as CPython's does. Here it takes 64 turns meanwhile, where not said
// otherwise.
#include <krait/asyncio.hpp>
#include <krait/asyncio/use_await.hpp>

#include <sys/socket.h>

#include <boost/asio/post.hpp>
#include <boost/asio/read.hpp>
#include <boost/asio/write.hpp>

#include <array>
#include <chrono>
#include <cstddef>
#include <string>
#include <utility>
#include <vector>

#include "operations.hpp"
#include "sockets.hpp"

namespace {

namespace asio = boost::asio;
namespace asyncio = krait::asyncio;
using namespace std::chrono_literals;
using asyncio::use_await;
using bench::tasks::message_size;
using bench::tasks::socket;

constexpr unsigned turns_per_poll = 64;
constexpr asyncio::task_options eagerly{.eager = true};

template <class F>
void run(F f, unsigned turns = turns_per_poll) {
  asyncio::run([&] { f(); }, {.turns_per_poll = turns});
}

krait::generator<long> waiting(long n) {
  return [n](auto& yield) {
    for (long i = 0; i < n; ++i) {
      asyncio::sleep(0s);
      yield(i);
    }
  };
}

/// `levels` deep.
krait::generator<long> nested(long levels, long n) {
  if (levels == 1) {
    return waiting(n);
  }
  return [levels, n](auto& yield) {
    for (const long item : nested(levels - 1, n)) {
      yield(item);
    }
  };
}

template <bool eager>
long tree(long first, long leaves) {
  if (leaves == 1) {
    return first;
  }
  std::vector<asyncio::task<long>> children;
  children.reserve(10);
  for (long i = 0; i < 10; ++i) {
    children.push_back(asyncio::create_task(
        [below = first + i * (leaves / 10), leaves] { return tree<eager>(below, leaves / 10); },
        {.eager = eager}));
  }
  long sum = 0;
  for (const auto& each : children) {
    sum += asyncio::await(each);
  }
  return sum;
}

/// One that lies beside others: what they wait for is written at once, if there is room.
template <bool written_first>
void write_all(socket& to, const char* data, std::size_t size) {
  if constexpr (written_first) {
    const ssize_t written = ::send(to.native_handle(), data, size, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (written == static_cast<ssize_t>(size)) {
      return;
    }
    if (written > 0) {
      data += written;
      size -= static_cast<std::size_t>(written);
    }
  }
  asio::async_write(to, asio::buffer(data, size), use_await);
}

template <bool written_first>
void serve(socket& with) {
  std::array<char, message_size> buffer;
  boost::system::error_code error;
  for (;;) {
    const std::size_t size = with.async_read_some(asio::buffer(buffer), use_await(error));
    if (error) {
      return;
    }
    write_all<written_first>(with, buffer.data(), size);
  }
}

template <bool written_first>
long ask(socket& whom, long times) {
  std::array<char, message_size> buffer{};
  for (long i = 0; i < times; ++i) {
    write_all<written_first>(whom, buffer.data(), buffer.size());
    asio::async_read(whom, asio::buffer(buffer), use_await);
  }
  return times;
}

template <bool written_first, class More>
long echo(int count, long each, More more) {
  long trips = 0;
  run([&] {
    bench::tasks::connections pairs(asyncio::get_running_loop().io_context(), count);
    std::vector<asyncio::task<void>> servers;
    for (socket& one : pairs.servers) {
      servers.push_back(asyncio::create_task([&one] { serve<written_first>(one); }));
    }
    std::vector<asyncio::task<long>> clients;
    while (more()) {
      clients.clear();
      for (socket& one : pairs.clients) {
        clients.push_back(asyncio::create_task([&one, each] { return ask<written_first>(one, each); }));
      }
      for (const auto& one : clients) {
        trips += asyncio::await(one);
      }
    }
    for (socket& one : pairs.clients) {
      one.close();
    }
    for (const auto& one : servers) {
      asyncio::await(one);
    }
  });
  return trips;
}

struct krait_tasks {
  template <class F>
  static void in(F f) {
    run(f);
  }

  template <class More>
  static long turns(long tasks, More more) {
    return turns_of(tasks, more, turns_per_poll);
  }

  template <class More>
  static long turns_polled(long tasks, More more) {
    return turns_of(tasks, more, 1);
  }

  static long turns_in_generator(long depth, long n) {
    long sum = 0;
    for (const long item : nested(depth, n)) {
      sum += item;
    }
    return sum;
  }

  static long spawn(long n) {
    long sum = 0;
    for (long i = 0; i < n; ++i) {
      sum += asyncio::await(asyncio::create_task([i] { return i; }));
    }
    return sum;
  }

  static long spawn_eager(long n) {
    long sum = 0;
    for (long i = 0; i < n; ++i) {
      sum += asyncio::await(asyncio::create_task([i] { return i; }, eagerly));
    }
    return sum;
  }

  static long spawn_1000(long n) {
    std::vector<asyncio::task<long>> all;
    all.reserve(static_cast<std::size_t>(n));
    for (long i = 0; i < n; ++i) {
      all.push_back(asyncio::create_task([i] { return i; }));
    }
    long sum = 0;
    for (const auto& each : all) {
      sum += asyncio::await(each);
    }
    return sum;
  }

  static long done(long n) {
    static thread_local asyncio::task<long> ended;
    ended = asyncio::create_task([] { return 1L; });
    asyncio::await(ended);
    long sum = 0;
    for (long i = 0; i < n; ++i) {
      sum += asyncio::await(ended);
      asm volatile("" : "+r"(sum) : : "memory");
    }
    ended = {};
    return sum;
  }

  static long ping_pong(long n) {
    asyncio::queue<long> there;
    asyncio::queue<long> back;
    const auto other = asyncio::create_task([&] {
      for (long i = 0; i < n; ++i) {
        back.put(there.get());
      }
    });
    long sum = 0;
    for (long i = 0; i < n; ++i) {
      there.put(i);
      sum += back.get();
    }
    asyncio::await(other);
    return sum;
  }

  static long queue(long n) {
    asyncio::queue<long> items(64);
    const auto producer = asyncio::create_task([&] {
      for (long i = 0; i < n; ++i) {
        items.put(i);
      }
    });
    long sum = 0;
    for (long i = 0; i < n; ++i) {
      sum += items.get();
    }
    asyncio::await(producer);
    return sum;
  }

  static long skynet(long leaves) { return tree<false>(0, leaves); }
  static long skynet_eager(long leaves) { return tree<true>(0, leaves); }

  static long gather(long n) {
    long sum = 0;
    for (long i = 0; i < n; ++i) {
      const auto [a, b, c] =
          asyncio::await(asyncio::gather([] { return 1; }, [] { return 2; }, [] { return 3; }));
      sum += a + b + c;
    }
    return sum;
  }

  static long timer(long n) {
    asyncio::event_loop& loop = asyncio::get_running_loop();
    long set = 0;
    for (; set < n; ++set) {
      loop.call_later(5s, [] {}).cancel();
    }
    return set;
  }

  static long timers(long n) {
    asyncio::event_loop& loop = asyncio::get_running_loop();
    bench::tasks::random_times random;
    const auto from = asyncio::clock::now() + 5s;
    std::vector<asyncio::handle> all;
    all.reserve(static_cast<std::size_t>(n));
    for (long i = 0; i < n; ++i) {
      all.push_back(loop.call_at(from + std::chrono::nanoseconds(random.next()), [] {}));
    }
    long cancelled = 0;
    for (const asyncio::handle& each : all) {
      each.cancel();
      cancelled += each.cancelled() ? 1 : 0;
    }
    return cancelled;
  }

  static long timeout(long n) {
    long ended = 0;
    for (long i = 0; i < n; ++i) {
      asyncio::timeout(5s, [&] {
        asyncio::sleep(0s);
        ++ended;
      });
    }
    return ended;
  }

  static long cancel(long n) {
    long cancelled = 0;
    for (long i = 0; i < n; ++i) {
      const auto sleeper = asyncio::create_task([] { asyncio::sleep(10s); });
      asyncio::sleep(0s);
      sleeper.cancel();
      try {
        asyncio::await(sleeper);
      } catch (const asyncio::cancelled_error&) {
        ++cancelled;
      }
    }
    return cancelled;
  }

  static long operation(long n) {
    asio::io_context& context = asyncio::get_running_loop().io_context();
    long over = 0;
    for (; over < n; ++over) {
      asio::post(context, use_await);
    }
    return over;
  }

  template <class More>
  static long echo(int count, long each, More more) {
    return ::echo<false>(count, each, more);
  }

  static void sleeping(benchmark::State& state) {
    const long count = state.range(0);
    const auto per_task = [&](double total) { return total / static_cast<double>(count); };
    for (auto _ : state) {
      // The first time on stacks that were never used before, the second time on the same ones.
      for (const char* const stacks : {"cold", "warm"}) {
        run([&] {
          const bench::resident_memory before = bench::resident_memory::now();
          std::vector<asyncio::task<void>> all;
          all.reserve(static_cast<std::size_t>(count));
          asyncio::event awake;
          bench::stopwatch watch;
          for (long i = 0; i < count; ++i) {
            all.push_back(asyncio::create_task([&] { asyncio::sleep_until(asyncio::clock::now() + 1h); }));
          }
          asyncio::sleep(0s);
          asyncio::sleep(0s);
          state.counters[std::string("ns_") + stacks] = per_task(watch.lap() * 1e9);
          const bench::resident_memory after = bench::resident_memory::now();
          state.counters["bytes_resident"] = per_task(static_cast<double>(after.data - before.data));
          state.counters["bytes_page_tables"] =
              per_task(static_cast<double>(after.page_tables - before.page_tables));
        });
      }
    }
  }

 private:
  template <class More>
  static long turns_of(long tasks, More more, unsigned turns) {
    long count = 0;
    bool stop = false;
    run(
        [&] {
          std::vector<asyncio::task<void>> others;
          for (long i = 1; i < tasks; ++i) {
            others.push_back(asyncio::create_task([&] {
              for (;;) {
                asyncio::sleep(0s);
                if (stop) {
                  return;
                }
                ++count;
              }
            }));
          }
          asyncio::sleep(0s);
          while (more()) {
            ++count;
            asyncio::sleep(0s);
          }
          stop = true;
          for (const auto& each : others) {
            asyncio::await(each);
          }
        },
        turns);
    return count;
  }
};

/// What is written is given to the kernel at once, and to Asio only if there is no room.
struct krait_written_first {
  template <class F>
  static void in(F f) {
    run(f);
  }

  template <class More>
  static long echo(int count, long each, More more) {
    return ::echo<true>(count, each, more);
  }
};

[[maybe_unused]] const bool entered =
    bench::tasks::enter<krait_tasks>(std::string("krait_") + krait::backend_name) &&
    bench::tasks::enter<krait_written_first>(std::string("krait_") + krait::backend_name + "_written_first");

}  // namespace
