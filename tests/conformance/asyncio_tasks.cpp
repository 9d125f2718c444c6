// SPDX-License-Identifier: BSL-1.0
#include <krait/asyncio.hpp>

#include <doctest/doctest.h>

#include <chrono>
#include <concepts>
#include <exception>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>

#include <krait/async_generator.hpp>
#include <krait/coroutine.hpp>

#include "support/tasks.hpp"

// CPython's test_tasks.py: tasks, cancellation, sleep, context, introspection. (What waits for several is in
// asyncio_combining.cpp.)

namespace {

namespace asyncio = krait::asyncio;
using namespace std::chrono_literals;
using asyncio_tests::reports;
using asyncio_tests::text_of;
using asyncio_tests::thrown_by;
using asyncio_tests::turns;
using support::journal;

template <class Task>
std::string thrown_by_awaiting(const Task& of) {
  return thrown_by([&] { static_cast<void>(asyncio::await(of)); });
}

/// Runs a loop for a turn.
void run_briefly(asyncio::event_loop& loop) {
  loop.run_until_complete([] { asyncio::sleep(0s); });
}

asyncio::context_var<int> number("number", -1);

template <class X>
concept can_be_a_task = requires(X x) { asyncio::create_task(x); };

}  // namespace

TEST_CASE("AIO-TASK-001: cancel's message is the cancelled_error's") {
  asyncio::run([] {
    const auto t = asyncio::create_task([] { asyncio::sleep(1h); });
    asyncio::sleep(0s);
    CHECK_FALSE(t.done());
    t.cancel("my message");
    CHECK(thrown_by_awaiting(t) == "cancelled: my message");
  });
}

TEST_CASE("AIO-TASK-002: a hundred tasks whose results have destructors") {
  const auto shared = std::make_shared<int>(1);
  asyncio::run([&] {
    const auto give = [&] {
      asyncio::sleep(0s);
      return shared;
    };
    const std::vector many(100, give);
    CHECK(asyncio::await(asyncio::gather(many)).size() == 100);
  });
  CHECK(shared.use_count() == 1);
}

TEST_CASE("AIO-TASK-005: a task is of the loop that it was made on; on two loops in turn") {
  for (int i = 0; i < 2; ++i) {
    asyncio::event_loop loop;
    const auto t = loop.create_task([] { return std::string("ok"); });
    CHECK(&t.get_loop() == &loop);
    CHECK_FALSE(t.done());
    loop.run_until_complete(t);
    CHECK(t.done());
    CHECK(t.result() == "ok");
    CHECK(&t.get_loop() == &loop);
  }
}

TEST_CASE("AIO-TASK-006: a callable becomes a task of the loop that is named, or of the running one") {
  const auto give = [] { return 3; };
  CHECK(thrown_by([&] { static_cast<void>(asyncio::ensure_future(give)); }) == "no running event loop");
  asyncio::event_loop other;
  const auto elsewhere = asyncio::ensure_future(give, other);
  CHECK(&elsewhere.get_loop() == &other);
  CHECK(other.run_until_complete(elsewhere) == 3);
  asyncio::event_loop loop;
  CHECK(loop.run_until_complete([&] {
    const auto t = asyncio::ensure_future(give);
    CHECK(&t.get_loop() == &loop);
    return asyncio::await(t);
  }) == 3);
}

TEST_CASE("AIO-TASK-007, AIO-TASK-008, AIO-TASK-011: a future or task is itself, and only on its own loop") {
  asyncio::event_loop loop;
  asyncio::event_loop other;
  const auto check = [&](const auto& x) {
    const std::same_as<std::remove_cvref_t<decltype(x)>> auto same = asyncio::ensure_future(x);
    CHECK(same == x);
    CHECK(asyncio::ensure_future(x, loop) == x);
    CHECK_THROWS_AS(static_cast<void>(asyncio::ensure_future(x, other)), krait::value_error);
    CHECK(thrown_by([&] { static_cast<void>(asyncio::ensure_future(x, other)); }) ==
          "The future belongs to a different loop than the one specified as the loop argument");
  };
  SUBCASE("a future") {
    const auto f = loop.create_future<std::string>();
    check(f);
    f.set_result("ok");
    check(f);
    CHECK(f.result() == "ok");
  }
  SUBCASE("a task") {
    const auto t = loop.create_task([] { return std::string("ok"); });
    check(t);
    loop.run_until_complete(t);
    check(t);
    CHECK(t.result() == "ok");
  }
}

TEST_CASE("AIO-TASK-009, AIO-TASK-010: what can be awaited becomes a task, and has its value") {
  const auto three = []() -> krait::coroutine<void, void, int> {
    return [](auto&) {
      asyncio::sleep(0s);
      return 3;
    };
  };
  const auto items = []() -> krait::async_generator<int> {
    return [](auto& yield) {
      asyncio::sleep(0s);
      yield(7);
    };
  };
  asyncio::event_loop loop;
  const auto elsewhere = asyncio::ensure_future(three(), loop);
  static_assert(std::same_as<decltype(elsewhere), const asyncio::task<int>>);
  CHECK(loop.run_until_complete(elsewhere) == 3);
  loop.run_until_complete([&] {
    const std::same_as<asyncio::task<int>> auto t = asyncio::ensure_future(three());
    CHECK(asyncio::all_tasks().size() == 2);
    CHECK(t.name().rfind("Task-", 0) == 0);
    CHECK(asyncio::await(t) == 3);
    auto generator = items();
    CHECK(asyncio::await(asyncio::ensure_future(generator.anext())) == 7);
    CHECK(asyncio::await(asyncio::gather(three(), [] { return 4; })) == std::tuple{3, 4});
    CHECK(asyncio::await(asyncio::shield(three())) == 3);
    CHECK(asyncio::wait_for(three(), 1h) == 3);
  });
}

TEST_CASE("AIO-TASK-013: what a task prints as: pending, cancelling, cancelled, finished, with its name") {
  asyncio::event_loop loop;
  const auto shape = [](const asyncio::any_future& task) {
    const std::string text = task.repr();
    const std::size_t address = text.find(" at 0x");
    return text.substr(0, address) + text.substr(text.find(' ', address + 4));
  };
  loop.run_until_complete([&] {
    const auto sleeps = asyncio::create_task([] { asyncio::sleep(1h); }, {.name = "TestTask"});
    CHECK(shape(sleeps) == "<task object TestTask [pending]>");
    asyncio::sleep(0s);
    sleeps.add_done_callback([] {});
    CHECK(shape(sleeps) == "<task object TestTask [pending, waiters:1]>");
    sleeps.cancel();
    CHECK(shape(sleeps) == "<task object TestTask [cancelling, waiters:1]>");
    CHECK(thrown_by_awaiting(sleeps) == "cancelled: ");
    CHECK(shape(sleeps) == "<task object TestTask [cancelled]>");
    const auto fails = asyncio::create_task([] { throw std::runtime_error("x"); }, {.name = "F"});
    const auto ends = asyncio::create_task([] { return 1; }, {.name = "E"});
    asyncio::sleep(0s);
    CHECK(shape(fails) == "<task object F [finished, exception: std::runtime_error: x]>");
    CHECK(shape(ends) == "<task object E [finished]>");
    CHECK(fails.exception() != nullptr);
  });
}

TEST_CASE("AIO-TASK-012: a task tells its stack, of a limited depth, from within and while it waits") {
  asyncio::run([] {
    struct functions {
      [[gnu::noinline]] static std::size_t inner(int limit) {
        return asyncio::capture_call_graph({.limit = limit})->call_stack.size();
      }
      [[gnu::noinline]] static std::size_t outer(int limit) {
        const std::size_t depth = inner(limit);
        asm volatile("" ::: "memory");  // a call, and no jump
        return depth;
      }
      [[gnu::noinline]] static void waits() {
        asyncio::sleep(0s);
        asyncio::sleep(0s);
      }
      [[gnu::noinline]] static void lets_wait() {
        waits();
        asm volatile("" ::: "memory");
      }
    };
    const auto within = asyncio::create_task([] {
      CHECK(functions::outer(1) == 1);
      CHECK(functions::outer(2) == 2);
      CHECK(asyncio::capture_call_graph()->future == asyncio::current_task());
    });
    asyncio::await(within);
    const auto waiting = asyncio::create_task(&functions::lets_wait);
    CHECK(asyncio::capture_call_graph(waiting).call_stack.empty());
    asyncio::sleep(0s);
    CHECK(asyncio::capture_call_graph(waiting).call_stack.size() >= 2);
    CHECK(asyncio::capture_call_graph(waiting, {.limit = 1}).call_stack.size() == 1);
    asyncio::await(waiting);
    CHECK(asyncio::capture_call_graph(waiting).call_stack.empty());
  });
}

TEST_CASE("AIO-TASK-016: a task that waits for a future prints that") {
  asyncio::run([] {
    const auto f = asyncio::create_future<int>();
    const auto inner = asyncio::create_task([&] { return asyncio::await(f); }, {.name = "inner"});
    const auto outer = asyncio::create_task([&] { return asyncio::await(inner); }, {.name = "outer"});
    asyncio::sleep(0s);
    CHECK(inner.repr().find(" [pending, waiters:1, waits for " + f.repr() + "]>") != std::string::npos);
    CHECK(outer.repr().find(" [pending, waits for <task object inner at 0x") != std::string::npos);
    f.set_result(1);
    CHECK(asyncio::await(outer) == 1);
    CHECK(inner.repr().find("waits for") == std::string::npos);
    // Two that wait for each other.
    asyncio::task<void> a, b;
    a = asyncio::create_task([&] { asyncio::await(b); }, {.name = "a"});
    b = asyncio::create_task([&] { asyncio::await(a); }, {.name = "b"});
    asyncio::sleep(0s);
    CHECK(a.repr().find("waits for <task object b at 0x") != std::string::npos);
    a.cancel();
    asyncio::wait(std::vector{a, b});
    a = b = {};
  });
}

TEST_CASE("AIO-TASK-092: in debug mode a task knows where it was made") {
  for (const bool debug : {false, true}) {
    asyncio::event_loop loop;
    loop.set_debug(debug);
    std::string here = "created at " + std::string(__FILE__) + ":";
    const auto t = loop.create_task([] {});
    here += std::to_string(__LINE__ - 1);
    CHECK((t.repr().find(here) != std::string::npos) == debug);
    loop.run_until_complete([&] {
      asyncio::await(t);
      here = "created at " + std::string(__FILE__) + ":" + std::to_string(__LINE__ + 1);
      const auto inner = asyncio::create_task([] {});
      CHECK((inner.repr().find(here) != std::string::npos) == debug);
      asyncio::task_group([&](auto& group) {
        here = "created at " + std::string(__FILE__) + ":" + std::to_string(__LINE__ + 1);
        const auto child = group.create_task([] {});
        CHECK((child.repr().find(here) != std::string::npos) == debug);
      });
      asyncio::await(inner);
    });
  }
}

TEST_CASE("AIO-TASK-014: tasks without a name are Task-1, Task-2 and so on") {
  asyncio::run([] {
    const auto number_of = [](const auto& task) {
      CHECK(task.name().rfind("Task-", 0) == 0);
      return std::stoul(task.name().substr(5));
    };
    const auto a = asyncio::create_task([] {});
    const auto b = asyncio::create_task([] {});
    CHECK(number_of(b) > number_of(a));
    b.set_name("x");
    CHECK(b.name() == "x");
    asyncio::await(asyncio::gather(a, b));
  });
}

TEST_CASE("AIO-TASK-017: to call a function in a task takes no turn") {
  bool turned = false;
  asyncio::run([&] {
    asyncio::get_running_loop().call_soon([&] { turned = true; });
    const auto inner = [] { return 1; };
    const auto outer = [&] { return 10 * inner() + inner(); };
    CHECK(outer() == 11);
    CHECK_FALSE(turned);
  });
}

TEST_CASE(
    "AIO-TASK-018, AIO-TASK-019: the exception that is handled stays that, whatever a task raises "
    "meanwhile") {
  asyncio::run([] {
    const auto raising = [](const std::exception_ptr& what) {
      asyncio::await(asyncio::create_task([what] {
        asyncio::sleep(0s);
        std::rethrow_exception(what);
      }));
    };
    try {
      throw std::runtime_error("first");
    } catch (const std::runtime_error&) {
      const std::exception_ptr first = std::current_exception();
      CHECK(thrown_by([&] { raising(std::make_exception_ptr(std::logic_error("second"))); }) == "second");
      CHECK(std::current_exception() == first);
      // By hand, what is handled is noted as the cause.
      const std::exception_ptr both = support::raised_by([&] {
        try {
          raising(std::make_exception_ptr(std::logic_error("second")));
        } catch (const std::logic_error&) {
          std::throw_with_nested(std::runtime_error("third"));
        }
      });
      CHECK(text_of(support::cause_of(both)) == "second");
      // The same one through a task: it is no cause of itself.
      const std::exception_ptr again = support::raised_by([&] { raising(first); });
      CHECK(again == first);
      CHECK(support::cause_of(again) == nullptr);
      CHECK(std::current_exception() == first);
    }
    CHECK(std::current_exception() == nullptr);
  });
}

TEST_CASE("AIO-TASK-020: cancelling counts the requests") {
  asyncio::run([] {
    const auto t = asyncio::create_task([] { asyncio::sleep(1h); });
    CHECK(t.cancelling() == 0);
    CHECK(t.cancel());
    CHECK(t.cancelling() == 1);
    CHECK(t.cancel());
    CHECK(t.cancelling() == 2);
    CHECK(thrown_by_awaiting(t) == "cancelled: ");
  });
}

TEST_CASE(
    "AIO-TASK-021: a request that is caught and taken back lets the task go on; a second one is another") {
  asyncio::run([] {
    const auto t = asyncio::create_task([] {
      const auto me = asyncio::current_task();
      try {
        asyncio::sleep(1h);
      } catch (const asyncio::cancelled_error&) {
        me.uncancel();
      }
      asyncio::sleep(1h);
    });
    asyncio::sleep(0s);
    CHECK(t.cancel());
    CHECK(t.cancelling() == 1);
    CHECK_FALSE(t.cancelled());
    turns(2);
    CHECK(t.cancelling() == 0);
    CHECK_FALSE(t.cancelled());
    CHECK(t.cancel());
    CHECK(t.cancelling() == 1);
    turns(2);
    CHECK(t.cancelled());
    CHECK(t.done());
    CHECK(t.uncancel() == 0);
    CHECK(t.cancelled());
    CHECK(t.cancelling() == 0);
  });
}

TEST_CASE("AIO-TASK-022: a deadline by hand, of cancel and uncancel, cuts only its own block short") {
  const auto make_request = [](asyncio::duration after, asyncio::duration block) {
    std::string text;
    asyncio::run([&] {
      auto& loop = asyncio::get_running_loop();
      const auto t = asyncio::create_task([&] {
        const auto me = asyncio::current_task();
        bool timed_out = false;
        const auto alarm = loop.call_later(after, [&] {
          timed_out = true;
          me.cancel();
        });
        try {
          asyncio::sleep(block);
          text += "block ";
        } catch (const asyncio::cancelled_error&) {
          if (!timed_out || me.uncancel() > 0) {
            throw;
          }
        }
        alarm.cancel();
        if (timed_out) {
          text += "timed out ";
        }
        asyncio::sleep(0s);
        text += "outer";
        CHECK(me.cancelling() == 0);
      });
      asyncio::await(t);
    });
    return text;
  };
  CHECK(make_request(1ms, 1h) == "timed out outer");
  CHECK(make_request(1h, 1ms) == "block outer");
}

TEST_CASE("AIO-TASK-023: a request that is taken back before the task runs is not delivered") {
  asyncio::run([] {
    const auto f = asyncio::create_future<int>();
    const auto t = asyncio::create_task([&] {
      asyncio::await(f);
      return 43;
    });
    asyncio::sleep(0s);
    f.set_result(42);
    CHECK(t.cancel());
    CHECK(t.cancelling() == 1);
    CHECK(t.uncancel() == 0);
    CHECK(asyncio::await(t) == 43);
    CHECK_FALSE(t.cancelled());
  });
}

TEST_CASE("AIO-TASK-024: a sleeping task that is cancelled") {
  asyncio::run([] {
    const auto t = asyncio::create_task([] {
      asyncio::sleep(1h);
      return 12;
    });
    asyncio::sleep(0s);
    t.cancel();
    CHECK_THROWS_AS(asyncio::await(t), asyncio::cancelled_error);
    CHECK(t.done());
    CHECK(t.cancelled());
    CHECK_FALSE(t.cancel());
  });
}

TEST_CASE(
    "AIO-TASK-025, AIO-TASK-026: result() and exception() of a cancelled task raise it, with the message") {
  for (const char* const message : {"", "my message"}) {
    asyncio::run([&] {
      const auto t = asyncio::create_task([] { asyncio::sleep(1h); });
      asyncio::sleep(0s);
      if (*message == '\0') {
        t.cancel();
      } else {
        t.cancel(message);
      }
      const std::vector all{t};
      CHECK(asyncio::wait(all).done.size() == 1);
      CHECK(thrown_by([&] { t.result(); }) == std::string("cancelled: ") + message);
      CHECK(thrown_by([&] { static_cast<void>(t.exception()); }) == std::string("cancelled: ") + message);
    });
  }
}

TEST_CASE("AIO-TASK-027: an error in the handler of a cancellation can carry that as its cause") {
  asyncio::run([] {
    const auto inner = asyncio::create_task([] { asyncio::sleep(1h); });
    const auto outer = asyncio::create_task([&] {
      try {
        asyncio::await(inner);
      } catch (const asyncio::cancelled_error&) {
        std::throw_with_nested(std::runtime_error("instead"));
      }
    });
    asyncio::sleep(0s);
    inner.cancel("msg");
    CHECK(thrown_by_awaiting(outer) == "instead");
    CHECK(text_of(support::cause_of(outer.exception())) == "cancelled: msg");
    CHECK_FALSE(outer.cancelled());
  });
}

TEST_CASE("AIO-TASK-028: cancelled before its first step a task never runs") {
  asyncio::run([] {
    bool ran = false;
    const auto t = asyncio::create_task([&] { ran = true; });
    t.cancel("my message");
    CHECK(thrown_by_awaiting(t) == "cancelled: my message");
    CHECK(t.cancelled());
    CHECK_FALSE(ran);
  });
}

TEST_CASE("AIO-TASK-029: cancelled in a bare turn") {
  asyncio::run([] {
    bool behind = false;
    const auto t = asyncio::create_task([&] {
      turns(2);
      behind = true;
      return 12;
    });
    asyncio::sleep(0s);
    t.cancel();
    CHECK(thrown_by_awaiting(t) == "cancelled: ");
    CHECK(t.cancelled());
    CHECK_FALSE(t.cancel());
    CHECK_FALSE(behind);
  });
}

TEST_CASE("AIO-TASK-030, AIO-TASK-031: the awaited future is cancelled, by itself or with the task") {
  for (const bool both : {false, true}) {
    asyncio::run([&] {
      const auto f = asyncio::create_future<int>();
      int deliveries = 0;
      const auto t = asyncio::create_task([&] {
        try {
          asyncio::await(f);
        } catch (const asyncio::cancelled_error&) {
          ++deliveries;
          throw;
        }
        return 12;
      });
      asyncio::sleep(0s);
      f.cancel();
      if (both) {
        t.cancel();
      }
      CHECK_THROWS_AS(asyncio::await(t), asyncio::cancelled_error);
      CHECK(f.cancelled());
      CHECK(t.cancelled());
      CHECK(deliveries == 1);
    });
  }
}

TEST_CASE("AIO-TASK-032: a task that catches it and returns has a result") {
  asyncio::run([] {
    const auto a = asyncio::create_future<int>();
    const auto b = asyncio::create_future<int>();
    const auto t = asyncio::create_task([&] {
      asyncio::await(a);
      try {
        asyncio::await(b);
      } catch (const asyncio::cancelled_error&) {
        return 42;
      }
      return 0;
    });
    asyncio::sleep(0s);
    a.set_result(1);
    asyncio::sleep(0s);
    t.cancel();
    CHECK(asyncio::await(t) == 42);
    CHECK_FALSE(t.cancelled());
    CHECK(b.cancelled());
  });
}

TEST_CASE("AIO-TASK-033: a task that swallows it and waits again is not cancelled again") {
  asyncio::run([] {
    const auto a = asyncio::create_future<int>();
    const auto b = asyncio::create_future<int>();
    const auto c = asyncio::create_future<int>();
    const auto t = asyncio::create_task([&] {
      asyncio::await(a);
      try {
        asyncio::await(b);
      } catch (const asyncio::cancelled_error&) {
      }
      return asyncio::await(c);
    });
    asyncio::sleep(0s);
    a.set_result(1);
    asyncio::sleep(0s);
    t.cancel();
    turns(2);
    CHECK_FALSE(t.done());
    c.set_result(42);
    CHECK(asyncio::await(t) == 42);
    CHECK_FALSE(c.cancelled());
    CHECK(b.cancelled());
  });
}

TEST_CASE("AIO-TASK-034: a task that cancels itself is told at its next wait, once") {
  asyncio::run([] {
    const auto t = asyncio::create_task([] {
      asyncio::current_task().cancel();
      CHECK_THROWS_AS(asyncio::sleep(1h), asyncio::cancelled_error);
      asyncio::sleep(0s);
      return 12;
    });
    CHECK(asyncio::await(t) == 12);
    CHECK_FALSE(t.cancelled());
    const auto ends = asyncio::create_task([] {
      asyncio::current_task().cancel();
      asyncio::sleep(1h);
      return 12;
    });
    CHECK(thrown_by_awaiting(ends) == "cancelled: ");
    CHECK(ends.cancelled());
  });
}

TEST_CASE("AIO-TASK-035: a task that cancels itself and returns is cancelled") {
  asyncio::run([] {
    const auto t = asyncio::create_task([] {
      asyncio::current_task().cancel();
      return 12;
    });
    CHECK(thrown_by_awaiting(t) == "cancelled: ");
    CHECK(t.done());
    CHECK(t.cancelled());
  });
}

TEST_CASE("AIO-TASK-036: a task that cancels itself cancels what it awaits next, and what that awaits") {
  asyncio::run([] {
    const auto f = asyncio::create_future<int>();
    asyncio::task<int> nested;
    const auto t = asyncio::create_task([&] {
      nested = asyncio::create_task([&] { return asyncio::await(f); });
      asyncio::sleep(0s);
      asyncio::current_task().cancel();
      asyncio::await(nested);
    });
    CHECK(thrown_by_awaiting(t) == "cancelled: ");
    CHECK(t.cancelled());
    CHECK(nested.cancelled());
    CHECK(f.cancelled());
  });
}

TEST_CASE("AIO-TASK-039: stop within run_until_complete: the task stays pending, and can be run later") {
  asyncio::event_loop loop;
  int x = 0;
  const auto t = loop.create_task([&] {
    while (x < 10) {
      asyncio::sleep(0s);
      ++x;
      if (x == 2) {
        loop.stop();
      }
    }
  });
  CHECK(thrown_by([&] { loop.run_until_complete(t); }) == "Event loop stopped before Future completed.");
  CHECK_FALSE(t.done());
  CHECK(x == 2);
  t.cancel();
  CHECK_THROWS_AS(loop.run_until_complete(t), asyncio::cancelled_error);
  CHECK(x <= 3);
}

TEST_CASE("AIO-TASK-062: two sleeps take the time of both; sleep returns a value") {
  asyncio::run([] {
    journal log;
    const auto t = asyncio::create_task([&] {
      const auto got = asyncio::sleep(5ms, std::string("yeah"));
      log("half");
      asyncio::sleep(5ms);
      log("whole");
      return got;
    });
    // Each deadline is set before the one that it is compared with.
    const auto before = asyncio::create_task([&] {
      asyncio::sleep(5ms);
      log("5");
    });
    CHECK(asyncio::await(t) == "yeah");
    asyncio::await(before);
    CHECK(log.text() == "half, 5, whole");
    static_assert(std::same_as<decltype(asyncio::sleep(0s, std::declval<const int&>())), int>);
  });
}

TEST_CASE("AIO-TASK-063: a delay is a whole number of nanoseconds") {
  static_assert(!std::convertible_to<std::chrono::duration<double>, asyncio::duration>);
}

TEST_CASE("AIO-TASK-064: a sleep that is cancelled leaves no timer behind") {
  asyncio::run([] {
    const auto& timers = asyncio::get_running_loop().state().timers;
    const auto t = asyncio::create_task([] { asyncio::sleep(1h); });
    asyncio::sleep(0s);
    CHECK(timers.size() == 1);
    t.cancel();
    CHECK_THROWS_AS(asyncio::await(t), asyncio::cancelled_error);
    CHECK(timers.size() == 0);
  });
}

TEST_CASE("AIO-TASK-065: whoever awaits a task that a timer cancels is told then") {
  asyncio::run([] {
    const auto sleeper = asyncio::create_task([] { asyncio::sleep(1h); });
    asyncio::get_running_loop().call_later(1ms, [=] { sleeper.cancel("timer"); });
    CHECK(thrown_by_awaiting(sleeper) == "cancelled: timer");
  });
}

TEST_CASE("AIO-TASK-066: cancelled while it waits for a future, a task cancels that, and waits for nothing") {
  asyncio::run([] {
    const auto f = asyncio::create_future<int>();
    const auto t = asyncio::create_task([&] { asyncio::await(f); });
    auto& state = static_cast<asyncio::detail::task_state&>(asyncio::detail::access::state_of(t));
    asyncio::sleep(0s);
    CHECK(state.waiting != nullptr);
    t.cancel();
    CHECK(f.cancelled());
    asyncio::sleep(0s);
    CHECK(state.waiting == nullptr);
    CHECK(t.cancelled());
  });
}

TEST_CASE("AIO-TASK-067: a task cannot be set") {
  asyncio::run([] {
    const auto t = asyncio::create_task([] { return 1; });
    CHECK_THROWS_AS(t.set_result(2), krait::runtime_error);
    CHECK_THROWS_AS(t.set_exception(std::make_exception_ptr(1)), krait::runtime_error);
    CHECK(thrown_by([&] { t.set_result(2); }) == "only a future that was made by create_future() can be set");
    CHECK(asyncio::await(t) == 1);
    CHECK_THROWS_AS(t.set_result(2), krait::runtime_error);
  });
}

TEST_CASE(
    "AIO-TASK-068, AIO-TASK-110: to await a future is one entry in its list, and gives the very object") {
  asyncio::run([] {
    struct counts {
      static std::size_t of(const asyncio::any_future& future) {
        auto& all = asyncio::detail::access::state_of(future).waiters;
        std::size_t count = 0;
        for (auto* each = all.begin(); each != all.end(); each = each->next) {
          ++count;
        }
        return count;
      }
    };
    int object = 3;
    const auto f = asyncio::create_future<int&>();
    const auto t = asyncio::create_task([&]() -> int& { return asyncio::await(f); });
    CHECK(counts::of(f) == 0);
    asyncio::sleep(0s);
    CHECK(counts::of(f) == 1);
    f.set_result(object);
    CHECK(&asyncio::await(t) == &object);
    CHECK(counts::of(f) == 0);
  });
}

TEST_CASE("AIO-TASK-069: what leaves the loop does so out of the handler of a cancellation, too") {
  asyncio::event_loop loop;
  const auto t = loop.create_task([] {
    try {
      asyncio::sleep(1h);
    } catch (const asyncio::cancelled_error&) {
      throw asyncio::system_exit(3);
    }
  });
  run_briefly(loop);
  t.cancel();
  CHECK_FALSE(t.done());
  CHECK_THROWS_AS(run_briefly(loop), asyncio::system_exit);
  CHECK(t.done());
  CHECK_FALSE(t.cancelled());
  CHECK(support::is_a<asyncio::system_exit>(t.exception()));
}

TEST_CASE("AIO-TASK-070: of a function that returns a future, that is the result") {
  asyncio::run([] {
    const auto f = asyncio::create_future<int>();
    const std::same_as<asyncio::task<asyncio::future<int>>> auto t = asyncio::create_task([&] { return f; });
    CHECK(asyncio::await(t) == f);
    CHECK_FALSE(f.done());
  });
}

TEST_CASE("AIO-TASK-071, AIO-TASK-124: the current task, of the running loop or of this") {
  asyncio::event_loop loop;
  CHECK_FALSE(asyncio::current_task(loop));
  asyncio::task<void> t;
  t = loop.create_task([&] {
    CHECK(asyncio::current_task() == t);
    CHECK(asyncio::current_task(loop) == t);
    loop.call_soon([&] {
      CHECK_FALSE(asyncio::current_task());
      CHECK_FALSE(asyncio::current_task(loop));
    });
    asyncio::sleep(0s);
    asyncio::sleep(0s);
  });
  loop.run_until_complete(t);
  CHECK_FALSE(asyncio::current_task(loop));
  t = {};
}

TEST_CASE("AIO-TASK-072: the current task is right after each switch") {
  asyncio::event_loop loop;
  asyncio::task<void> a, b;
  const auto checks = [&](const asyncio::task<void>& me) {
    for (int i = 0; i < 3; ++i) {
      CHECK(asyncio::current_task() == me);
      asyncio::sleep(0s);
    }
    CHECK(asyncio::current_task() == me);
  };
  a = loop.create_task([&] { checks(a); });
  b = loop.create_task([&] { checks(b); });
  loop.run_until_complete([&] { asyncio::await(asyncio::gather(a, b)); });
  CHECK_FALSE(asyncio::current_task(loop));
}

TEST_CASE("AIO-TASK-073: a cancellation passes through the functions that are called") {
  asyncio::run([] {
    journal log;
    const auto f = asyncio::create_future<int>();
    const auto inner = [&] {
      try {
        asyncio::await(f);
      } catch (const asyncio::cancelled_error&) {
        log("inner");
        throw;
      }
    };
    const auto outer = asyncio::create_task([&] {
      try {
        inner();
      } catch (const asyncio::cancelled_error&) {
        log("outer");
      }
    });
    asyncio::sleep(0s);
    outer.cancel();
    asyncio::await(outer);
    CHECK(log.text() == "inner, outer");
    CHECK(f.cancelled());
    CHECK_FALSE(outer.cancelled());
  });
}

TEST_CASE("AIO-TASK-090: a task that nobody has a handle of stays the loop's, which cancels it in the end") {
  journal log;
  {
    asyncio::event_loop loop;
    const reports told(loop);
    loop.run_until_complete([&] {
      static_cast<void>(asyncio::create_task([&] {
        const support::at_end end(log, "cleaned up");
        asyncio::await(asyncio::create_future<int>());
      }));
      asyncio::sleep(0s);
    });
    CHECK(log.text().empty());
    loop.close();
    CHECK(told.log.text().empty());
  }
  CHECK(log.text() == "cleaned up");
}

TEST_CASE("AIO-TASK-091: cancel of a task that has failed silences the report") {
  asyncio::event_loop loop;
  reports told(loop);
  for (const bool cancelled : {true, false}) {
    auto t = loop.create_task([] { throw std::runtime_error("boom"); });
    run_briefly(loop);
    if (cancelled) {
      CHECK_FALSE(t.cancel());
    }
    t = {};
    CHECK(told.log.text() == (cancelled ? "" : "Task exception was never retrieved: boom"));
  }
}

TEST_CASE("AIO-TASK-096: a task that cannot be scheduled is none: its maker is told") {
  const auto owned = std::make_shared<int>();
  asyncio::event_loop loop;
  loop.close();
  for (int i = 0; i < 2; ++i) {
    CHECK(thrown_by([&] { static_cast<void>(loop.create_task([owned] {})); }) == "Event loop is closed");
    CHECK(owned.use_count() == 1);
    CHECK(loop.state().tasks == nullptr);
  }
}

TEST_CASE("AIO-TASK-097: only what can be called becomes a task") {
  static_assert(!can_be_a_task<int>);
  static_assert(!can_be_a_task<std::string>);
  static_assert(!can_be_a_task<asyncio::future<int>>);
  static_assert(!can_be_a_task<int (*)(int)>);
  static_assert(can_be_a_task<int (*)()>);
}

TEST_CASE(
    "AIO-TASK-098, AIO-TASK-099, AIO-TASK-100: create_task makes tasks, of the running loop, with a name") {
  asyncio::event_loop loop;
  const auto f = [] { return 3; };
  const std::same_as<asyncio::task<int>> auto one = loop.create_task(f);
  const auto two = loop.create_task(f);
  CHECK(one != two);
  CHECK(loop.run_until_complete(one) + loop.run_until_complete(two) == 6);
  loop.run_until_complete([&] {
    const std::same_as<asyncio::task<int>> auto t = asyncio::create_task(f, {.name = "No name"});
    CHECK(&t.get_loop() == &loop);
    CHECK(t.name() == "No name");
    CHECK(asyncio::await(t) == 3);
  });
}

TEST_CASE("AIO-TASK-101: a task has a copy of its maker's context variables") {
  asyncio::run([] {
    number.set(1);
    const auto t = asyncio::create_task([] {
      asyncio::sleep(0s);
      CHECK(number.get() == 1);  // not what the maker has set since
      number.set(2);
      asyncio::sleep(0s);
      CHECK(number.get() == 2);
    });
    CHECK(number.get() == 1);
    number.set(3);
    asyncio::await(t);
    CHECK(number.get() == 3);
  });
}

TEST_CASE(
    "AIO-TASK-102: a callback runs in the context of whoever added it, and does not change the task's") {
  asyncio::run([] {
    journal log;
    const auto f = asyncio::create_future<int>();
    number.set(1);
    f.add_done_callback([&] {
      log(std::to_string(number.get()));
      number.set(7);
    });
    number.set(2);
    static_cast<void>(asyncio::create_task([&] {
      number.set(3);
      f.add_done_callback([&] { log(std::to_string(number.get())); });
    }));
    asyncio::sleep(0s);
    f.set_result(1);
    asyncio::sleep(0s);
    CHECK(log.text() == "1, 3");
    CHECK(number.get() == 2);
  });
}

TEST_CASE("AIO-TASK-103: a hundred tasks each see their own") {
  asyncio::run([] {
    std::vector<asyncio::task<void>> all;
    for (int i = 0; i < 100; ++i) {
      all.push_back(asyncio::create_task([i] {
        for (int j = 0; j < 10; ++j) {
          number.set(100 * i + j);
          asyncio::sleep(0s);
          CHECK(number.get() == 100 * i + j);
        }
      }));
    }
    asyncio::await(asyncio::gather(all));
    CHECK(number.get() == -1);
  });
}

TEST_CASE(
    "AIO-TASK-104, AIO-TASK-105, AIO-TASK-106, AIO-TASK-109: a task runs in the very context it is given") {
  asyncio::event_loop loop;
  const asyncio::context given;
  const auto add = [] { number.set(number.get() + 2); };
  SUBCASE("made by the loop, from outside") {
    for (const int expected : {1, 3}) {
      const auto t = loop.create_task(add, {.context = given});
      CHECK(t.get_context().state() == given.state());
      loop.run_until_complete(t);
      CHECK(given.run([] { return number.get(); }) == expected);
    }
  }
  SUBCASE("made by create_task, or by the loop, in a task") {
    loop.run_until_complete([&] {
      asyncio::await(asyncio::create_task(add, {.context = given}));
      CHECK(given.run([] { return number.get(); }) == 1);
      asyncio::await(loop.create_task(add, {.context = given}));
      CHECK(given.run([] { return number.get(); }) == 3);
      asyncio::await(asyncio::create_task(add, {.eager = true, .context = given}));
    });
    CHECK(given.run([] { return number.get(); }) == 5);
  }
  SUBCASE("a copy of the present one, if none is given: it can be asked for, before and after") {
    const auto t = loop.create_task(add);
    const asyncio::context its = t.get_context();
    loop.run_until_complete(t);
    CHECK(its.run([] { return number.get(); }) == 1);
    CHECK(t.get_context().state() == its.state());
  }
  CHECK(number.get() == -1);
}

TEST_CASE("AIO-TASK-108: a task that is not eager does not run before its maker waits") {
  asyncio::run([] {
    bool ran = false;
    const auto t = asyncio::create_task([&] { ran = true; }, {.eager = false});
    CHECK_FALSE(ran);
    asyncio::sleep(0s);
    CHECK(ran);
    asyncio::await(t);
  });
}

TEST_CASE(
    "AIO-TASK-113, AIO-TASK-114, AIO-TASK-120: a loop's tasks, from when they are made until they end") {
  asyncio::run([] {
    const auto holds = [](const asyncio::any_future& task) {
      int times = 0;
      for (const auto& each : asyncio::all_tasks()) {
        times += each == task;
      }
      return times;
    };
    const auto before = asyncio::all_tasks().size();
    const auto t = asyncio::create_task([] {});
    CHECK(holds(t) == 1);
    CHECK(holds(asyncio::current_task()) == 1);
    CHECK(asyncio::all_tasks().size() == before + 1);
    const auto ends = asyncio::create_task([&] { CHECK(holds(t) == 0); });
    asyncio::await(ends);
    CHECK(holds(ends) == 0);
    CHECK(asyncio::all_tasks().size() == before);
  });
}

TEST_CASE("AIO-TASK-115, AIO-TASK-117: a task is the current one from when it is entered until it is left") {
  asyncio::event_loop loop;
  journal log;
  const auto note = [&] { log(asyncio::current_task(loop) ? asyncio::current_task(loop).name() : "none"); };
  loop.call_soon(note);
  const auto t = loop.create_task(
      [&] {
        note();
        asyncio::sleep(0s);
        note();
      },
      {.name = "t"});
  loop.call_soon(note);
  t.add_done_callback(note);
  loop.run_until_complete(t);
  note();
  CHECK(log.text() == "none, t, none, t, none, none");
}

TEST_CASE(
    "AIO-TASK-122, AIO-TASK-123: of a loop that does not run there is no current task; without one, an "
    "error") {
  asyncio::event_loop loop;
  CHECK_FALSE(asyncio::current_task(loop));
  CHECK(thrown_by([] { asyncio::current_task(); }) == "no running event loop");
  CHECK_THROWS_AS(asyncio::current_task(), krait::runtime_error);
}

TEST_CASE("AIO-TASK-125: a task is a future, wherever one is wanted") {
  static_assert(std::derived_from<asyncio::task<int>, asyncio::future<int>>);
  static_assert(std::derived_from<asyncio::any_task, asyncio::any_future>);
  asyncio::run([] {
    const auto t = asyncio::create_task([] { return 3; });
    const asyncio::future<int> f = t;
    CHECK(f == t);
    const auto take = [](const asyncio::future<int>& of) { return asyncio::await(of); };
    CHECK(take(t) == 3);
    const std::vector<asyncio::any_future> any{t, f};
    CHECK(asyncio::wait(any).done.size() == 1);
  });
}

TEST_CASE(
    "AIO-TASK-142, AIO-TASK-143: what another thread has a loop run: its value, or exception, goes there") {
  asyncio::event_loop loop;
  for (const bool fail : {false, true}) {
    const auto there = asyncio::run_threadsafe(loop, [&, a = 1, b = 2] {
      asyncio::sleep(1ms);
      if (fail) {
        throw std::runtime_error("Fail!");
      }
      return a + b;
    });
    int got = 0;
    const std::string raised = loop.run_until_complete(
        [&] { return thrown_by([&] { got = asyncio::to_thread([&] { return there.get(); }); }); });
    CHECK(raised == (fail ? "Fail!" : "none"));
    CHECK(got == (fail ? 0 : 3));
    CHECK(there.done());
  }
}

TEST_CASE("AIO-TASK-144: that thread waits so long, and cancels: nothing is left") {
  asyncio::event_loop loop;
  const auto there = asyncio::run_threadsafe(loop, [] { asyncio::sleep(1h); });
  loop.run_until_complete([&] {
    CHECK(thrown_by([&] { asyncio::to_thread([&] { there.get(1ms); }); }) == "timeout");
    CHECK_FALSE(there.done());
    CHECK(asyncio::to_thread([&] { return there.cancel(); }));
    CHECK(thrown_by([&] { asyncio::to_thread([&] { there.get(); }); }) == "cancelled: ");
    asyncio::sleep(0s);
    CHECK(asyncio::all_tasks().size() == 1);
  });
}

TEST_CASE("AIO-TASK-145: the task cancels itself: the thread is told") {
  asyncio::event_loop loop;
  const auto there = asyncio::run_threadsafe(loop, [] {
    asyncio::current_task().cancel("self");
    asyncio::sleep(0s);
  });
  loop.run_until_complete(
      [&] { CHECK(thrown_by([&] { asyncio::to_thread([&] { there.get(); }); }) == "cancelled: self"); });
}

TEST_CASE("AIO-TASK-147: cancelled before the loop has begun it, or while it runs") {
  for (const bool begun : {false, true}) {
    asyncio::event_loop loop;
    bool ran = false;
    const auto there = asyncio::run_threadsafe(loop, [&] {
      ran = true;
      asyncio::sleep(1h);
    });
    if (!begun) {
      CHECK(there.cancel());
    }
    loop.run_until_complete([&] {
      if (begun) {
        asyncio::sleep(0s);
        asyncio::sleep(0s);
        CHECK(there.cancel());
      }
      while (!there.done()) {
        asyncio::sleep(0s);
      }
      CHECK(asyncio::all_tasks().size() == 1);
    });
    CHECK(ran == begun);
    CHECK_THROWS_AS(there.get(), asyncio::cancelled_error);
    CHECK_FALSE(there.cancel());
  }
}

TEST_CASE("AIO-TASK-148: sleep(0) is one turn, and returns its value, too") {
  asyncio::event_loop loop;
  int result = 0;
  const auto step = [&](int inc) { result += inc; };
  loop.call_soon([&] { step(1); });
  CHECK(result == 0);
  CHECK(loop.run_until_complete([] { return asyncio::sleep(0s, 10); }) == 10);
  CHECK(result == 1);
}

TEST_CASE("AIO-P492-001: what locks is held across a wait, and given back at the end of its scope") {
  asyncio::run([] {
    const auto check = [](auto& primitive, auto locked) {
      {
        const std::lock_guard guard(primitive);
        CHECK(locked());
        asyncio::sleep(0s);
        CHECK(locked());
      }
      CHECK_FALSE(locked());
    };
    asyncio::lock lock;
    check(lock, [&] { return lock.locked(); });
    asyncio::semaphore semaphore(1);
    check(semaphore, [&] { return semaphore.locked(); });
    asyncio::bounded_semaphore bounded(1);
    check(bounded, [&] { return bounded.locked(); });
    asyncio::condition condition;
    check(condition, [&] { return condition.locked(); });
  });
}

TEST_CASE("AIO-P492-003: the results are the same in debug mode") {
  for (const bool debug : {false, true}) {
    asyncio::event_loop loop;
    loop.set_debug(debug);
    const auto bar = [] {
      asyncio::sleep(0s);
      return std::string("spam");
    };
    const auto foo = [&] { return bar() + asyncio::await(asyncio::create_task(bar)); };
    CHECK(loop.run_until_complete(foo) == "spamspam");
  }
}

TEST_CASE("AIO-P492-004: a coroutine is awaited once") {
  asyncio::run([] {
    const auto once = [](asyncio::duration delay) -> krait::coroutine<void, void, int> {
      return [delay](auto&) {
        asyncio::sleep(delay);
        return 3;
      };
    };
    auto c = once(0s);
    CHECK(asyncio::await(std::move(c)) == 3);
    CHECK(thrown_by([&] { asyncio::await(std::move(c)); }) == "cannot reuse already awaited coroutine");
    auto busy = once(1h);
    const auto first = asyncio::create_task([&] { return asyncio::await(std::move(busy)); });
    asyncio::sleep(0s);
    CHECK(thrown_by([&] { asyncio::await(std::move(busy)); }) == "coroutine already executing");
    first.cancel();
    CHECK(thrown_by_awaiting(first) == "cancelled: ");
  });
}
