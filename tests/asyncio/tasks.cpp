// SPDX-License-Identifier: BSL-1.0
#include <krait/asyncio.hpp>

#include <doctest/doctest.h>

#include <chrono>
#include <memory>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include <krait/generator.hpp>

#include "support/tasks.hpp"

// Futures (F), tasks (T), sleep (SL) and cancellation (C).

namespace {

namespace asyncio = krait::asyncio;
using namespace std::chrono_literals;
using asyncio_tests::reports;
using asyncio_tests::text_of;
using asyncio_tests::thrown_by;
using support::journal;

long cube(long n) {
  for (long i = 0; i < n; ++i) {
    asyncio::sleep(1ms);
  }
  return n * n * n;
}

krait::generator<long> ticks(long n) {
  return [n](auto& yield) {
    for (long i = 0; i < n; ++i) {
      asyncio::sleep(0s);
      yield(i);
    }
  };
}
krait::generator<long> doubled(long n) {
  return [n](auto& yield) {
    for (const long x : ticks(n)) {
      yield(2 * x);
    }
  };
}

/// The message of the cancelled_error that `call` throws; "none" if it throws none.
template <class Call>
std::string cancelled_by(Call call) {
  try {
    call();
  } catch (const asyncio::cancelled_error& error) {
    return error.message();
  }
  return "none";
}

}  // namespace

TEST_CASE("the seed's example: run_until_complete(cube(5)) is 125") {
  asyncio::event_loop loop;
  CHECK(loop.run_until_complete([] { return cube(5); }) == 125);
}

TEST_CASE("AIO-FUT: F1, F2: a future is pending, then finished, failed or cancelled") {
  asyncio::event_loop loop;
  const auto f = loop.create_future<std::string>();
  CHECK_FALSE(f.done());
  CHECK_THROWS_AS(static_cast<void>(f.result()), asyncio::invalid_state_error);
  CHECK_THROWS_AS(static_cast<void>(f.exception()), asyncio::invalid_state_error);
  f.set_result("x");
  CHECK(f.result() == "x");
  CHECK(f.result() == "x");
  CHECK(f.exception() == nullptr);
  CHECK_THROWS_AS(f.set_result("y"), asyncio::invalid_state_error);
  CHECK_FALSE(f.cancel());

  const auto failed = loop.create_future<void>();
  CHECK_THROWS_AS(failed.set_exception(nullptr), krait::type_error);
  failed.set_exception(std::make_exception_ptr(std::runtime_error("no")));
  CHECK(text_of(failed.exception()) == "no");
  CHECK(thrown_by([&] { failed.result(); }) == "no");

  const auto cancelled = loop.create_future<int&>();
  CHECK(cancelled.cancel("why"));
  CHECK(cancelled.cancelled());
  CHECK(cancelled_by([&] { static_cast<void>(cancelled.result()); }) == "why");
  CHECK(cancelled_by([&] { static_cast<void>(cancelled.exception()); }) == "why");
}

TEST_CASE("F4: done callbacks are called by the loop, in order, and can be removed") {
  asyncio::event_loop loop;
  journal log;
  const auto f = loop.create_future<int>();
  f.add_done_callback([&] { log("one"); });
  const auto two = f.add_done_callback([&] { log("two"); });
  f.add_done_callback([&] { log("three"); });
  CHECK(f.remove_done_callback(two));
  CHECK_FALSE(f.remove_done_callback(two));
  f.set_result(1);
  f.add_done_callback([&] { log("four"); });
  CHECK(log.text().empty());
  loop.run_until_complete(f);
  CHECK(log.text() == "one, three, four");
}

TEST_CASE("F5: to await what is done does not wait; else one turn passes after it is set") {
  asyncio::event_loop loop;
  journal log;
  loop.run_until_complete([&] {
    const auto f = asyncio::create_future<int>();
    const auto waiting = asyncio::create_task([&] {
      asyncio::await(f);
      log("woken");
    });
    asyncio::sleep(0s);
    loop.call_soon([&] { log("before"); });
    f.set_result(1);
    loop.call_soon([&] { log("behind"); });
    log("set");
    CHECK(asyncio::await(f) == 1);
    log("not waited");
    asyncio::await(waiting);
  });
  CHECK(log.text() == "set, not waited, before, woken, behind");
}

TEST_CASE("F5: to await a future holds it, whatever becomes of the handle meanwhile") {
  asyncio::run([] {
    auto f = asyncio::create_future<std::string>();
    const auto t = asyncio::create_task([&] { return asyncio::await(f); });
    asyncio::sleep(0s);
    const std::string text(100, 'x');
    std::exchange(f, {}).set_result(text);
    CHECK(asyncio::await(t) == text);

    f = asyncio::create_future<std::string>();
    const asyncio::future<std::string> same = f;
    const auto moved = asyncio::create_task([&] { return asyncio::await(std::move(f)); });
    asyncio::sleep(0s);
    f = {};
    same.set_result(text);
    CHECK(asyncio::await(moved) == text);
  });
}

TEST_CASE("F6: an exception that nobody has looked at is reported when the last handle goes") {
  asyncio::event_loop loop;
  journal log;
  loop.set_exception_handler(
      [&](const asyncio::error_report& told) { log(told.message + ": " + text_of(told.exception)); });
  const auto failing = [] { throw std::runtime_error("x"); };
  loop.run_until_complete([&] {
    {
      const auto seen = asyncio::create_task(failing);
      const auto silenced = asyncio::create_task(failing);
      const auto unseen = asyncio::create_task(failing);
      asyncio::sleep(0s);
      CHECK(seen.exception() != nullptr);
      CHECK_FALSE(silenced.cancel());
      log("dropped");
    }
    log("and");
    asyncio::create_future<int>().set_exception(std::make_exception_ptr(std::runtime_error("y")));
  });
  CHECK(log.text() ==
        "dropped, Task exception was never retrieved: x, and, Future exception was never retrieved: y");
}

TEST_CASE("F7: a stop_iteration cannot be stored") {
  asyncio::event_loop loop;
  const auto f = loop.create_future<int>();
  f.set_exception(std::make_exception_ptr(krait::stop_iteration<>()));
  CHECK(text_of(f.exception()) ==
        "StopIteration interacts badly with generators and cannot be raised into a Future");
}

TEST_CASE("AIO-TASK-003: F8: a future of another loop cannot be awaited") {
  asyncio::event_loop other;
  const auto f = other.create_future<int>();
  CHECK(asyncio::run([&] {
          asyncio::current_task().set_name("T");
          return thrown_by([&] { asyncio::await(f); });
        }) == "Task T got Future attached to a different loop");
}

TEST_CASE("a future outlives its loop") {
  asyncio::future<int> f;
  asyncio::task<int> t;
  {
    asyncio::event_loop loop;
    f = loop.create_future<int>();
    f.add_done_callback([] {});
    t = loop.create_task([] { return 3; });
    loop.run_until_complete(t);
  }
  CHECK(t.result() == 3);
  CHECK(f.cancel());
}

TEST_CASE("T1: tasks start in the turn after, in the order in which they were made") {
  journal log;
  asyncio::run([&] {
    static_cast<void>(asyncio::create_task([&] { log("one"); }));
    static_cast<void>(asyncio::create_task([&] { log("two"); }));
    log("made");
    asyncio::sleep(0s);
    log("slept");
  });
  CHECK(log.text() == "made, one, two, slept");
  CHECK(thrown_by([] { static_cast<void>(asyncio::create_task([] {})); }) == "no running event loop");
}

TEST_CASE("AIO-TASK-107: T2: an eager task runs before create_task returns") {
  journal log;
  asyncio::run([&] {
    const auto me = asyncio::current_task();
    const auto quick = asyncio::create_task([&] { return 3; }, {.eager = true});
    CHECK(quick.done());
    CHECK(quick.result() == 3);
    const auto failed = asyncio::create_task([] { throw std::runtime_error("x"); }, {.eager = true});
    CHECK(text_of(failed.exception()) == "x");
    const auto outer = asyncio::create_task(
        [&] {
          const auto its = asyncio::current_task();
          CHECK_FALSE(its == me);
          const auto inner = asyncio::create_task(
              [&] {
                log("inner");
                CHECK(asyncio::all_tasks().size() == 3);
                asyncio::sleep(0s);
                log("inner again");
              },
              {.eager = true});
          CHECK(asyncio::current_task() == its);
          log("outer");
          asyncio::await(inner);
          log("outer again");
        },
        {.name = "outer", .eager = true});
    CHECK(asyncio::current_task() == me);
    CHECK(outer.name() == "outer");
    log("main");
    asyncio::await(outer);
  });
  CHECK(log.text() == "inner, outer, main, inner again, outer again");
}

TEST_CASE("T2: an eager task of a callback") {
  asyncio::event_loop loop;
  journal log;
  loop.call_soon([&] {
    const auto t = loop.create_task(
        [&] {
          log("task");
          asyncio::sleep(0s);
          log("task again");
          loop.stop();
        },
        {.eager = true});
    log("callback");
    CHECK_FALSE(t.done());
  });
  loop.call_soon([&] { log("next callback"); });
  loop.run_forever();
  CHECK(log.text() == "task, callback, next callback, task again");
}

TEST_CASE("T4: a task that ends by cancelled_error is cancelled, whoever asked") {
  asyncio::run([] {
    const auto t = asyncio::create_task([] { throw asyncio::cancelled_error("mine"); });
    CHECK(cancelled_by([&] { asyncio::await(t); }) == "mine");
    CHECK(t.cancelled());
    const auto late = asyncio::create_task([] {
      asyncio::current_task().cancel("late");
      return std::string("dropped");
    });
    CHECK(cancelled_by([&] { asyncio::await(late); }) == "late");
  });
}

TEST_CASE("AIO-TASK-004: T7: a task that awaits itself is told so") {
  asyncio::run([] {
    asyncio::task<void> t;
    t = asyncio::create_task(
        [&] { CHECK(thrown_by([&] { asyncio::await(t); }) == "Task cannot await on itself: me"); },
        {.name = "me"});
    asyncio::await(t);
    t = {};
  });
}

TEST_CASE("T9: a task cannot be set; names count up") {
  asyncio::run([] {
    const auto t = asyncio::create_task([] { return 1; });
    CHECK(t.name().rfind("Task-", 0) == 0);
    t.set_name("x");
    CHECK(t.name() == "x");
    CHECK_THROWS_AS(t.set_result(2), krait::runtime_error);
    CHECK_THROWS_AS(t.set_exception(std::make_exception_ptr(1)), krait::runtime_error);
    CHECK(asyncio::await(t) == 1);
  });
}

TEST_CASE("T9: default names are numbers that rise, nearly always by one") {
  asyncio::run([] {
    long before = 0;
    int by_one = 0;
    for (int i = 0; i < 3000; ++i) {
      const auto t = asyncio::create_task([] {});
      const long number = std::stol(t.name().substr(5));
      REQUIRE(t.name() == "Task-" + std::to_string(number));
      REQUIRE(number > before);
      by_one += number == before + 1;
      before = number;
    }
    CHECK(by_one >= 2990);
  });
}

TEST_CASE("T10: a task whose handle is dropped goes on") {
  journal log;
  asyncio::run([&] {
    static_cast<void>(asyncio::create_task([&] {
      asyncio::sleep(1ms);
      log("done");
    }));
    while (log.text().empty()) {
      asyncio::sleep(0s);
    }
  });
  CHECK(log.text() == "done");
}

TEST_CASE("a task's value may be moved only, a reference, or void") {
  asyncio::run([] {
    int x = 0;
    CHECK(&asyncio::await(asyncio::create_task([&]() -> int& { return x; })) == &x);
    const auto t = asyncio::create_task([p = std::make_unique<int>(4)]() mutable { return std::move(p); });
    asyncio::sleep(0s);
    CHECK(*t.result() == 4);
    asyncio::await(asyncio::create_task([] {}));
  });
}

TEST_CASE("C1, C2: a cancel reaches the innermost wait, and unwinds outwards") {
  journal log;
  asyncio::run([&] {
    const auto inner = asyncio::create_task([&] {
      try {
        asyncio::sleep(1h);
      } catch (const asyncio::cancelled_error& e) {
        log("inner " + e.message());
        throw;
      }
    });
    const auto outer = asyncio::create_task([&] {
      try {
        asyncio::await(inner);
      } catch (const asyncio::cancelled_error& e) {
        log("outer " + e.message());
        throw;
      }
    });
    asyncio::sleep(0s);
    CHECK(outer.cancelling() == 0);
    CHECK(outer.cancel("stop"));
    CHECK(outer.cancelling() == 1);
    CHECK(cancelled_by([&] { asyncio::await(outer); }) == "stop");
    CHECK(inner.cancelled());
    CHECK_FALSE(outer.cancel());
  });
  CHECK(log.text() == "inner stop, outer stop");
}

TEST_CASE("C3: a task that is woken already, or cancels itself, is told at its next wait") {
  asyncio::run([] {
    const auto f = asyncio::create_future<int>();
    const auto t = asyncio::create_task([&] { return asyncio::await(f); });
    asyncio::sleep(0s);
    f.set_result(1);
    t.cancel("late");
    CHECK(cancelled_by([&] { asyncio::await(t); }) == "late");

    const auto self = asyncio::create_task([] {
      asyncio::current_task().cancel("self");
      const auto done = asyncio::create_future<int>();
      done.set_result(1);
      CHECK(asyncio::await(done) == 1);  // does not wait
      const auto pending = asyncio::create_future<int>();
      CHECK(cancelled_by([&] { asyncio::await(pending); }) == "self");
      CHECK(pending.cancelled());
      asyncio::sleep(0s);  // delivered once
    });
    asyncio::await(self);
  });
}

TEST_CASE("C4: a task that is cancelled before its first step never runs, and lets its captures go") {
  asyncio::run([] {
    const auto owned = std::make_shared<int>();
    bool ran = false;
    const auto t = asyncio::create_task([&, owned] { ran = true; });
    t.cancel("no");
    CHECK(cancelled_by([&] { asyncio::await(t); }) == "no");
    CHECK_FALSE(ran);
    CHECK(owned.use_count() == 1);
  });
}

TEST_CASE("C4: such a task may own its own handle") {
  asyncio::run([] {
    const auto box = std::make_shared<asyncio::task<void>>();
    const std::weak_ptr<asyncio::task<void>> gone = box;
    *box = asyncio::create_task([box] {});
    box->cancel();
    const_cast<std::shared_ptr<asyncio::task<void>>&>(box).reset();
    asyncio::sleep(0s);
    CHECK(gone.expired());
  });
}

TEST_CASE("C5: a request is delivered once; several before it runs are one") {
  journal log;
  asyncio::run([&] {
    const auto t = asyncio::create_task([&] {
      for (int i = 0; i < 2; ++i) {
        log(cancelled_by([] { asyncio::sleep(1h); }));
      }
      asyncio::sleep(0s);
      return asyncio::current_task().cancelling();
    });
    asyncio::sleep(0s);
    t.cancel("a");
    t.cancel("b");
    asyncio::sleep(0s);
    t.cancel("c");
    CHECK(asyncio::await(t) == 3);
  });
  CHECK(log.text() == "a, c");
}

TEST_CASE("C6: uncancel at none left forgets what was not delivered") {
  asyncio::run([] {
    const auto me = asyncio::current_task();
    me.cancel();
    me.cancel();
    CHECK(me.uncancel() == 1);
    CHECK(me.uncancel() == 0);
    CHECK(me.uncancel() == 0);
    asyncio::sleep(0s);
  });
}

TEST_CASE("C11: cancelled_error is no std::exception") {
  static_assert(!std::is_base_of_v<std::exception, asyncio::cancelled_error>);
}

TEST_CASE("SL2: a cancel that meets the expiry wins") {
  asyncio::event_loop loop({.virtual_time = true});
  loop.run_until_complete([&] {
    const auto when = loop.time() + 1ms;
    const auto t = asyncio::create_task([&] { asyncio::sleep_until(when); });
    asyncio::sleep(0s);
    loop.call_at(when, [&] { t.cancel("both"); });
    CHECK(cancelled_by([&] { asyncio::await(t); }) == "both");
  });
}

TEST_CASE("a wait while an exception is in flight is not cancelled: the next one is") {
  journal log;
  struct waits {
    journal& log;
    ~waits() {
      asyncio::sleep(1ms);
      log("waited");
    }
  };
  asyncio::run([&] {
    const auto t = asyncio::create_task([&] {
      try {
        const waits scope{log};
        throw std::runtime_error("x");
      } catch (const std::runtime_error&) {
        log("caught");
      }
      log(cancelled_by([] { asyncio::sleep(0s); }));
    });
    asyncio::sleep(0s);
    t.cancel("pending");
    asyncio::await(t);
  });
  CHECK(log.text() == "waited, caught, pending");
}

TEST_CASE("a generator waits in its body, however deep, while others run") {
  asyncio::run([] {
    int turns = 0;
    const auto other = asyncio::create_task([&] {
      for (;;) {
        asyncio::sleep(0s);
        ++turns;
      }
    });
    std::vector<long> seen;
    for (const long x : doubled(4)) {
      seen.push_back(x);
    }
    CHECK(seen == std::vector<long>{0, 2, 4, 6});
    CHECK(turns >= 3);
    other.cancel();
  });
}

TEST_CASE("cancelled in a generator, a task unwinds all of them") {
  asyncio::run([] {
    auto g = doubled(1000);
    const auto t = asyncio::create_task([&] {
      for (const long x : g) {
        static_cast<void>(x);
      }
    });
    asyncio::sleep(0s);
    asyncio::sleep(0s);
    CHECK(thrown_by([&] { static_cast<void>(g.next()); }) == "generator already executing");
    t.cancel("enough");
    CHECK(cancelled_by([&] { asyncio::await(t); }) == "enough");
    CHECK(g.done());
  });
}

TEST_CASE("a coroutine runs in a task, and waits") {
  const auto co_cube = [](long n) -> krait::coroutine<void, void, long> {
    return [n](auto& co) {
      const auto t = asyncio::create_task([n] { return cube(n); });
      return co.await(t);
    };
  };
  CHECK(asyncio::run([&] { return asyncio::await(co_cube(3)); }) == 27);
}

TEST_CASE("the exception being handled is each task's own") {
  asyncio::run([] {
    const auto handling = [](std::string text) {
      return asyncio::create_task([text] {
        try {
          throw std::runtime_error(text);
        } catch (const std::exception&) {
          for (int i = 0; i < 3; ++i) {
            asyncio::sleep(0s);
            CHECK(text_of(std::current_exception()) == text);
          }
        }
      });
    };
    const auto a = handling("a");
    const auto b = handling("b");
    asyncio::await(a);
    asyncio::await(b);
  });
}

TEST_CASE("many tasks: stacks are used again") {
  asyncio::run([] {
    long sum = 0;
    for (int round = 0; round < 3; ++round) {
      std::vector<asyncio::task<long>> tasks;
      for (long i = 0; i < 2000; ++i) {
        tasks.push_back(asyncio::create_task([i] {
          asyncio::sleep(0s);
          return i;
        }));
      }
      for (const auto& each : tasks) {
        sum += asyncio::await(each);
      }
    }
    CHECK(sum == 3 * 1999000);
  });
}

TEST_CASE("to cancel one of several tasks that wait for each other in a circle ends them all") {
  asyncio::run([] {
    asyncio::task<void> first;
    const auto third = asyncio::create_task([&] { asyncio::await(first); });
    const auto second = asyncio::create_task([&] { asyncio::await(asyncio::gather(third)); });
    first = asyncio::create_task([&] { asyncio::await(second); });
    asyncio::sleep(0s);
    asyncio::sleep(0s);
    CHECK(first.cancel("enough"));
    CHECK(first.cancel("more than that"));
    asyncio::wait(std::vector<asyncio::any_future>{first, second, third});
    CHECK(thrown_by([&] { first.result(); }) == "cancelled: enough");
    CHECK((second.cancelled() && third.cancelled()));
  });
}
