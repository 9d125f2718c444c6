// SPDX-License-Identifier: BSL-1.0
#include <krait/asyncio.hpp>

#include <doctest/doctest.h>

#include <algorithm>
#include <chrono>
#include <functional>
#include <stdexcept>
#include <string>
#include <vector>

#include "support/tasks.hpp"

// CPython's test_eager_task_factory.py: tasks that run before create_task returns.

namespace {

namespace asyncio = krait::asyncio;
using namespace std::chrono_literals;
using asyncio_tests::thrown_by;

/// In a loop whose tasks are eager.
template <class Test>
void run_eagerly(Test test) {
  asyncio::run([&] {
    asyncio::get_running_loop().set_eager_tasks(true);
    test();
  });
}

bool among(const asyncio::any_future& task, const std::vector<asyncio::any_task>& all) {
  return std::ranges::find(all, task) != all.end();
}

int chain(int depth) {
  return depth == 0 ? 0 : 1 + chain(depth - 1);
}

/// A tree of groups, or of gathers. Returns how many of its tasks did not begin before create_task returned.
int recursive_groups(int width, int depth) {
  int scheduled = 0;
  int begun = 0;
  if (depth > 0) {
    asyncio::task_group([&](auto& group) {
      for (int i = 0; i < width; ++i) {
        static_cast<void>(group.create_task([&, width, depth] {
          ++begun;
          scheduled += recursive_groups(width, depth - 1);
        }));
      }
      scheduled += width - begun;
    });
  }
  return scheduled;
}

int recursive_gathers(int width, int depth) {
  int scheduled = 0;
  int begun = 0;
  if (depth > 0) {
    const std::vector<std::function<void()>> functions(static_cast<std::size_t>(width), [&] {
      ++begun;
      scheduled += recursive_gathers(width, depth - 1);
    });
    const auto all = asyncio::gather(functions);
    scheduled += width - begun;
    asyncio::await(all);
  }
  return scheduled;
}

asyncio::context_var<int> number("number", 0);

}  // namespace

TEST_CASE("AIO-EAG-001: a loop may have eager tasks, then they are so however they are made") {
  asyncio::event_loop loop;
  CHECK_FALSE(loop.get_eager_tasks());
  loop.set_eager_tasks(true);
  CHECK(loop.get_eager_tasks());
  loop.run_until_complete([&] {
    int ran = 0;
    const auto a = loop.create_task([&] { ++ran; });
    CHECK(ran == 1);
    const auto b = asyncio::create_task([&] { ++ran; });
    CHECK(ran == 2);
    CHECK(a.done());
    CHECK(b.done());
    loop.set_eager_tasks(false);
    const auto c = asyncio::create_task([&] { ++ran; });
    CHECK(ran == 2);
    asyncio::await(c);
  });
}

TEST_CASE("AIO-EAG-002: an eager task sets a future, and its maker has that at once") {
  run_eagerly([] {
    const auto f = asyncio::create_future<std::string>();
    const auto t = asyncio::create_task([&] { f.set_result("my message"); });
    CHECK(t.done());
    CHECK(asyncio::await(f) == "my message");
  });
}

TEST_CASE("AIO-EAG-003: an eager task that does not wait is done") {
  run_eagerly([] {
    const auto t = asyncio::create_task([] { return std::string("hello"); });
    CHECK(t.done());
    CHECK(asyncio::await(t) == "hello");
  });
}

TEST_CASE("AIO-EAG-004: one that waits is pending from then on") {
  run_eagerly([] {
    bool ran = false;
    const auto t = asyncio::create_task([&] {
      ran = true;
      asyncio::sleep(1ms);
      return std::string("finished after blocking");
    });
    CHECK(ran);
    CHECK_FALSE(t.done());
    CHECK(asyncio::await(t) == "finished after blocking");
    CHECK(t.done());
  });
}

TEST_CASE("AIO-EAG-005: to cancel one that is done does nothing") {
  run_eagerly([] {
    const auto t = asyncio::create_task([] { return std::string("finished without blocking"); });
    CHECK_FALSE(t.cancel());
    CHECK(asyncio::await(t) == "finished without blocking");
    CHECK_FALSE(t.cancelled());
  });
}

TEST_CASE("AIO-EAG-006: to cancel one that waits is delivered there, with its message") {
  run_eagerly([] {
    const auto t = asyncio::create_task([] { asyncio::sleep(1h); });
    t.cancel("cancellation message");
    CHECK(t.cancelling() == 1);
    CHECK(thrown_by([&] { asyncio::await(t); }) == "cancelled: cancellation message");
  });
}

TEST_CASE("AIO-EAG-007: the current task is the eager one while that runs") {
  run_eagerly([] {
    const auto me = asyncio::current_task();
    asyncio::any_task seen;
    const auto t = asyncio::create_task([&] {
      seen = asyncio::current_task();
      asyncio::sleep(1ms);
      CHECK(asyncio::current_task() == seen);
    });
    CHECK(seen == t);
    CHECK(asyncio::current_task() == me);
    asyncio::await(t);
  });
}

TEST_CASE("AIO-EAG-008: it is among all tasks while it runs, and not when it is done") {
  run_eagerly([] {
    std::vector<asyncio::any_task> seen;
    const auto t = asyncio::create_task([&] { seen = asyncio::all_tasks(); });
    CHECK(among(t, seen));
    CHECK_FALSE(among(t, asyncio::all_tasks()));
  });
}

TEST_CASE("AIO-EAG-009: one that waits is among them until it is done") {
  run_eagerly([] {
    const auto a = asyncio::create_future<void>();
    const auto b = asyncio::create_future<void>();
    std::vector<asyncio::any_task> seen;
    const auto t = asyncio::create_task([&] {
      seen = asyncio::all_tasks();
      asyncio::await(a);
      b.set_result();
    });
    CHECK(among(t, seen));
    CHECK(among(t, asyncio::all_tasks()));
    a.set_result();
    asyncio::await(b);
    CHECK_FALSE(among(t, asyncio::all_tasks()));
  });
}

TEST_CASE("AIO-EAG-010: context variables that it sets are its own") {
  run_eagerly([] {
    number.set(1);
    const auto t = asyncio::create_task([] {
      CHECK(number.get() == 1);
      number.set(2);
      asyncio::sleep(1ms);
      CHECK(number.get() == 2);
      number.set(3);
    });
    CHECK(number.get() == 1);
    asyncio::await(t);
    CHECK(number.get() == 1);
  });
}

TEST_CASE("AIO-EAG-013, AIO-EAG-018: a task's own option beats the loop's") {
  for (const bool eager : {false, true}) {
    asyncio::run([&] {
      asyncio::get_running_loop().set_eager_tasks(!eager);
      bool ran = false;
      const auto t = asyncio::create_task([&] { ran = true; }, {.eager = eager});
      CHECK(ran == eager);
      CHECK(t.done() == eager);
      asyncio::await(t);
      CHECK(ran);
    });
  }
}

TEST_CASE("AIO-EAG-014: its name is set before it runs") {
  run_eagerly([] {
    std::string name;
    const auto t =
        asyncio::create_task([&] { name = asyncio::current_task().name(); }, {.name = "test name"});
    CHECK(name == "test name");
  });
}

TEST_CASE("AIO-EAG-015: calls, however deep, make no tasks") {
  for (const bool eager : {false, true}) {
    asyncio::run([&] {
      asyncio::get_running_loop().set_eager_tasks(eager);
      CHECK(chain(100) == 100);
      CHECK(asyncio::all_tasks().size() == 1);
    });
  }
}

TEST_CASE("AIO-EAG-016, AIO-EAG-017: a tree of 781 tasks: all are scheduled, or, eager, none") {
  for (const bool eager : {false, true}) {
    asyncio::run([&] {
      asyncio::get_running_loop().set_eager_tasks(eager);
      const int root = eager ? 0 : 1;
      CHECK(root + recursive_groups(5, 4) == (eager ? 0 : 781));
      CHECK(root + recursive_gathers(5, 4) == (eager ? 0 : 781));
    });
  }
}
