// SPDX-License-Identifier: BSL-1.0
#include <krait/asyncio.hpp>

#include <doctest/doctest.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <exception>
#include <future>
#include <mutex>
#include <optional>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "support/tasks.hpp"

// CPython's test_free_threading.py, with lazy and with eager tasks, test_threads.py and test_context.py.

namespace {

namespace asyncio = krait::asyncio;
using namespace std::chrono_literals;
using asyncio_tests::lazy_and_eager;
using asyncio_tests::text_of;
using asyncio_tests::thrown_by;
using support::raised_by;

template <class Function>
void in_threads(int count, Function function) {
  std::vector<std::thread> all;
  for (int i = 0; i < count; ++i) {
    all.emplace_back(function);
  }
  for (std::thread& each : all) {
    each.join();
  }
}

asyncio::context_var<std::string> variable("test_ctx", "default");
asyncio::context_var<int> precision("precision", 28);

}  // namespace

TEST_CASE("AIO-THR-001 the tasks of loops in several threads are each loop's own") {
  for (const bool eager : {false, true}) {
    std::atomic<int> wrong = 0;
    in_threads(10, [&] {
      asyncio::runner runner;
      runner.get_loop().set_eager_tasks(eager);
      runner.run([&] {
        asyncio::event_loop& loop = asyncio::get_running_loop();
        const auto future = asyncio::create_future<void>();
        asyncio::task_group([&](auto& group) {
          std::vector<asyncio::any_future> made{asyncio::current_task()};
          for (int i = 0; i < 100; ++i) {
            made.push_back(group.create_task([&] { asyncio::await(future); }));
          }
          const auto all = asyncio::all_tasks(loop);
          wrong += all.size() != 101;
          wrong += asyncio::all_tasks().size() != 101;
          for (const auto& each : all) {
            wrong += &each.get_loop() != &loop;
            wrong += each.done();
            wrong += std::count(made.begin(), made.end(), static_cast<const asyncio::any_future&>(each)) != 1;
          }
          wrong += &asyncio::current_task().get_loop() != &loop;
          future.set_result();
        });
      });
    });
    CHECK(wrong == 0);
  }
}

TEST_CASE("AIO-THR-002 another thread asks the loop for its tasks while it makes them") {
  asyncio::event_loop loop;
  std::atomic<int> asked = 0;
  std::atomic<int> wrong = 0;
  std::thread askers([&] {
    in_threads(10, [&] {
      std::size_t before = 0;
      for (int i = 0; i < 20; ++i) {
        const std::size_t count =
            asyncio::run_threadsafe(loop, [&] { return asyncio::all_tasks(loop).size(); }).get();
        wrong += count < before;
        before = count > 11 ? count - 11 : 0;  // as that counts those who ask, too
      }
      ++asked;
    });
  });
  loop.run_until_complete([&] {
    for (int made = 0; asked < 10; ++made) {
      if (made < 1000) {
        static_cast<void>(asyncio::create_task([] { asyncio::await(asyncio::create_future<void>()); }));
      }
      asyncio::sleep(0s);
    }
  });
  askers.join();
  CHECK(wrong == 0);
  CHECK(asyncio::all_tasks(loop).size() > 0);
}

TEST_CASE("AIO-THR-003 the last handle of a task may be dropped by another thread, once the loop has ended") {
  asyncio::any_task task;
  std::thread other([&] { asyncio::run([&] { task = asyncio::current_task(); }); });
  other.join();
  CHECK(task.done());
  task = {};
  // Of what another thread has a loop run, any thread may have the handle, at any time.
  asyncio::event_loop loop;
  std::thread runs([&] { loop.run_forever(); });
  in_threads(4, [&] {
    for (int i = 0; i < 50; ++i) {
      auto dropped =
          asyncio::run_threadsafe(loop, [i] { return std::string(100, static_cast<char>('a' + i % 26)); });
      if (i % 2 == 0) {
        static_cast<void>(dropped.get());
      }
    }
  });
  loop.call_soon_threadsafe([&] { loop.stop(); });
  runs.join();
}

TEST_CASE("AIO-THR-004 ten threads have one loop run something, and get what it returns") {
  lazy_and_eager([](const asyncio::task_options& options) {
    asyncio::event_loop& loop = asyncio::get_running_loop();
    std::vector<int> results;
    std::mutex lock;
    asyncio::task_group([&](auto& group) {
      for (int i = 0; i < 10; ++i) {
        static_cast<void>(group.create_task(
            [&] {
              asyncio::to_thread([&] {
                const int result = asyncio::run_threadsafe(loop, [] {
                                     asyncio::sleep(2ms);
                                     return 42;
                                   }).get();
                const std::lock_guard guard(lock);
                results.push_back(result);
              });
            },
            options));
      }
    });
    CHECK(results == std::vector<int>(10, 42));
  });
}

TEST_CASE("AIO-THR-005 or what it throws") {
  lazy_and_eager([](const asyncio::task_options& options) {
    asyncio::event_loop& loop = asyncio::get_running_loop();
    std::vector<asyncio::task<void>> all;
    for (int i = 0; i < 10; ++i) {
      all.push_back(asyncio::create_task(
          [&] {
            asyncio::to_thread([&] {
              asyncio::run_threadsafe(loop, [] {
                asyncio::sleep(0s);
                throw std::runtime_error("test");
              }).get();
            });
          },
          options));
    }
    asyncio::wait(all);
    for (const auto& each : all) {
      CHECK(text_of(each.exception()) == "test");
    }
  });
}

TEST_CASE("AIO-TOTH-001 AIO-TOTH-002 to_thread returns what the function does, or throws it") {
  asyncio::run([] {
    CHECK(asyncio::to_thread([] { return 40 + 2; }) == 42);
    CHECK(thrown_by([] { asyncio::to_thread([] { throw std::runtime_error("test"); }); }) == "test");
  });
}

TEST_CASE("AIO-TOTH-003 AIO-TOTH-004 it calls it once, and several at a time") {
  asyncio::run([] {
    std::atomic<int> calls = 0;
    asyncio::to_thread([&] { ++calls; });
    CHECK(calls == 1);
    std::vector<asyncio::task<void>> all;
    for (int i = 0; i < 10; ++i) {
      all.push_back(asyncio::create_task([&] { asyncio::to_thread([&] { ++calls; }); }));
    }
    asyncio::await(asyncio::gather(all));
    CHECK(calls == 11);
  });
}

TEST_CASE("AIO-TOTH-005 AIO-TOTH-006 with arguments, and with the caller's context variables") {
  asyncio::run([] {
    CHECK(asyncio::to_thread([](const std::string& a, int b) { return a + std::to_string(b); }, "something",
                             5) == "something5");
    variable.set("parrot");
    CHECK(asyncio::to_thread([] { return variable.get(); }) == "parrot");
    CHECK(asyncio::to_thread([] {
            variable.set("another");
            return variable.get();
          }) == "another");
    CHECK(variable.get() == "parrot");
  });
  CHECK(variable.get() == "default");
}

TEST_CASE("AIO-CTX-001 what is set for a task is set wherever that goes on") {
  // As decimal's precision is: digits of x/y, with a wait between two divisions.
  const auto fractions = [](asyncio::duration delay, int digits, int x, int y) {
    const auto divide = [](int a, int b) {
      std::string text = "0.";
      for (int i = precision.get(), rest = a; i > 0; --i) {
        text += static_cast<char>('0' + rest * 10 / b);
        rest = rest * 10 % b;
      }
      return text;
    };
    auto before = precision.set(digits);
    const std::string first = divide(x, y);
    asyncio::sleep(delay);
    const std::string second = divide(x, y * y);
    precision.reset(before);
    return first + " " + second;
  };
  asyncio::run([&] {
    const auto [first, second] = asyncio::await(
        asyncio::gather([&] { return fractions(1ms, 3, 1, 3); }, [&] { return fractions(2ms, 6, 1, 3); }));
    CHECK(first == "0.333 0.111");
    CHECK(second == "0.333333 0.111111");
    CHECK(precision.get() == 28);
  });
}
