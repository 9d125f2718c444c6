// SPDX-License-Identifier: BSL-1.0
#include <krait/asyncio/use_await.hpp>

#include <boost/asio/io_context.hpp>
#include <boost/asio/local/connect_pair.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/read.hpp>
#include <boost/asio/write.hpp>

#include <doctest/doctest.h>

#include <array>
#include <chrono>
#include <cstddef>
#include <new>
#include <utility>

#include <krait/asyncio.hpp>
#include <krait/generator.hpp>

#include "counted_memory.hpp"
#include "support/probes.hpp"
#include "support/tasks.hpp"

// To wait takes no memory, in steady state: what is counted is each call of operator new, of this whole program.

namespace {

namespace asio = boost::asio;
namespace asyncio = krait::asyncio;
using namespace std::chrono_literals;
using asyncio::use_await;

constexpr int warm_up = 100;
constexpr int rounds = 1000;

/// How often memory is taken while `step()` is done a thousand times, when all has been done a hundred times before.
template <class Step>
long allocations_of(Step step) {
  for (int i = 0; i < warm_up; ++i) {
    step();
  }
  const long before = counted_memory::taken();
  for (int i = 0; i < rounds; ++i) {
    step();
  }
  return counted_memory::taken() - before;
}

/// The same in a task, while another does `other()` as often.
template <class Step, class Other>
long allocations_of(Step step, Other other) {
  long count = -1;
  asyncio::run([&] {
    const auto beside = asyncio::create_task([&] {
      for (int i = 0; i < warm_up + rounds; ++i) {
        other();
      }
    });
    count = allocations_of(step);
    asyncio::await(beside);
  });
  return count;
}

/// The same in a task that is alone.
template <class Step>
long allocations_alone(Step step) {
  long count = -1;
  asyncio::run([&] { count = allocations_of(step); });
  return count;
}

/// By a tool, for which the loop keeps no memory.
bool memory_is_watched() {
  return probes::on_valgrind() || probes::address_sanitized;
}

krait::generator<int> waiting_items() {
  return [](auto& yield) {
    for (;;) {
      asyncio::sleep(0s);
      yield(1);
    }
  };
}

}  // namespace

TEST_CASE("allocations are counted") {
  if (probes::on_valgrind()) {
    return;  // it has an operator new of its own
  }
  CHECK(allocations_of([] { ::operator delete(::operator new(4)); }) == rounds);
  CHECK(allocations_alone([] { static_cast<void>(asyncio::create_future<std::array<char, 5000>>()); }) >=
        rounds);
}

TEST_CASE("a turn takes no memory, nor does one in a generator") {
  CHECK(allocations_alone([] { asyncio::sleep(0s); }) == 0);
  CHECK(allocations_of([] { asyncio::sleep(0s); }, [] { asyncio::sleep(0s); }) == 0);
  asyncio::run([] {
    auto items = waiting_items();
    auto item = items.begin();
    CHECK(allocations_of([&] { ++item; }) == 0);
  });
}

TEST_CASE("to sleep takes no memory, nor does a deadline that does not pass") {
  CHECK(allocations_alone([] { asyncio::sleep(1ns); }) == 0);
  // The first time that the loop has nothing to do until a deadline, Asio takes memory for that.
  const auto short_sleep = [first = true]() mutable {
    asyncio::sleep(std::exchange(first, false) ? 1ms : 1ns);
  };
  CHECK(allocations_of(short_sleep, [] { asyncio::sleep(2us); }) == 0);
  CHECK(allocations_alone([] { asyncio::timeout(5s, [] { asyncio::sleep(0s); }); }) == 0);
}

TEST_CASE("queues, locks, events, semaphores and conditions take no memory for a wait") {
  asyncio::queue<long> there;
  asyncio::queue<long> back;
  CHECK(allocations_of(
            [&] {
              there.put(1);
              back.get();
            },
            [&] { back.put(there.get()); }) == 0);

  asyncio::queue<long> few(4);
  CHECK(allocations_of([&] { few.put(1); }, [&] { few.get(); }) == 0);

  const auto with_lock = [](auto& lock) {
    return [&lock] {
      lock.acquire();
      asyncio::sleep(0s);
      lock.release();
    };
  };
  asyncio::lock lock;
  CHECK(allocations_of(with_lock(lock), with_lock(lock)) == 0);
  asyncio::semaphore semaphore(1);
  CHECK(allocations_of(with_lock(semaphore), with_lock(semaphore)) == 0);

  asyncio::event ping;
  asyncio::event pong;
  CHECK(allocations_of(
            [&] {
              ping.set();
              pong.wait();
              pong.clear();
            },
            [&] {
              ping.wait();
              ping.clear();
              pong.set();
            }) == 0);

  asyncio::condition changed;
  bool full = false;
  const auto turned = [&](bool to) {
    return [&, to] {
      changed.acquire();
      changed.wait_for([&] { return full != to; });
      full = to;
      changed.notify();
      changed.release();
    };
  };
  CHECK(allocations_of(turned(true), turned(false)) == 0);
}

TEST_CASE("to wait for what is done takes no memory, nor do tasks whose memory is there from others") {
  asyncio::run([] {
    const auto ended = asyncio::create_task([] { return 1; });
    asyncio::await(ended);
    CHECK(allocations_of([&] { asyncio::await(ended); }) == 0);
  });
  if (!memory_is_watched()) {
    CHECK(allocations_alone([] { asyncio::await(asyncio::create_task([] { return 1; })); }) == 0);
    CHECK(allocations_alone([] { asyncio::await(asyncio::gather([] { return 1; }, [] { return 2; })); }) ==
          0);
    CHECK(allocations_alone([] { asyncio::get_running_loop().call_later(5s, [] {}).cancel(); }) == 0);
  }
}

TEST_CASE("an operation of Asio's takes no memory") {
  asyncio::run([] {
    asio::io_context& context = asyncio::get_running_loop().io_context();
    CHECK(allocations_of([&] { asio::post(context, use_await); }) == 0);
    asio::local::stream_protocol::socket near(context);
    asio::local::stream_protocol::socket far(context);
    asio::local::connect_pair(near, far);
    std::array<char, 8> buffer{};
    CHECK(allocations_of([&] {
            asio::async_write(near, asio::buffer(buffer), use_await);
            asio::async_read(far, asio::buffer(buffer), use_await);
          }) == 0);
  });
}
