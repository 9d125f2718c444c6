// SPDX-License-Identifier: BSL-1.0
#include <krait/asyncio.hpp>

#include <doctest/doctest.h>

#include <chrono>
#include <exception>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include <krait/generator.hpp>

#include "support/tasks.hpp"

// The order of turns (L), and what runs them.

namespace {

namespace asyncio = krait::asyncio;
using namespace std::chrono_literals;
using asyncio_tests::reports;
using asyncio_tests::text_of;
using asyncio_tests::thrown_by;
using support::journal;

}  // namespace

TEST_CASE("L1: callbacks run in the turn after, timers after what is ready") {
  asyncio::event_loop loop;
  journal log;
  loop.call_later(0s, [&] { log("timer0"); });
  loop.call_soon([&] {
    log("A");
    loop.call_soon([&] { log("A2"); });
  });
  loop.call_soon([&] {
    log("B");
    loop.call_soon([&] {
      log("B2");
      loop.call_soon([&] { log("B3"); });
      loop.call_soon([&] { loop.stop(); });
    });
  });
  loop.run_forever();
  // A timer that is due before the first turn stands behind what is ready then.
  CHECK(log.text() == "A, B, timer0, A2, B2, B3");
}

TEST_CASE("L1: a timer that is set in a turn stands behind what is ready then") {
  asyncio::event_loop loop;
  journal log;
  loop.call_soon([&] {
    log("A");
    loop.call_soon([&] { log("A2"); });
    loop.call_later(0s, [&] { log("timer0"); });
  });
  loop.call_soon([&] {
    log("B");
    loop.call_soon([&] { log("B2"); });
  });
  loop.call_later(20ms, [&] { loop.stop(); });
  loop.run_forever();
  CHECK(log.text() == "A, B, A2, B2, timer0");
}

TEST_CASE("L2: a cancelled callback is skipped, and destroyed at once") {
  asyncio::event_loop loop;
  journal log;
  const auto owned = std::make_shared<int>();
  const asyncio::handle one = loop.call_soon([&log, owned] { log("cancelled"); });
  const asyncio::handle later = loop.call_later(1ms, [&log, owned] { log("cancelled"); });
  CHECK(owned.use_count() == 3);
  one.cancel();
  later.cancel();
  later.cancel();
  CHECK(one.cancelled());
  CHECK(owned.use_count() == 1);
  loop.call_later(5ms, [&] { loop.stop(); });
  loop.run_forever();
  CHECK(log.text().empty());
}

TEST_CASE("L3: equal deadlines are kept in order, whichever they are set in") {
  asyncio::event_loop loop;
  journal log;
  const auto start = loop.time();
  for (const int at : {5, 3, 9, 1, 7, 3, 5, 1}) {
    loop.call_at(start + std::chrono::milliseconds(at), [&log, at] { log(std::to_string(at)); });
  }
  loop.call_at(start + 10ms, [&] { loop.stop(); });
  loop.run_forever();
  CHECK(log.text() == "1, 1, 3, 3, 5, 5, 7, 9");
}

TEST_CASE("delays may be as long as can be, and deadlines as late") {
  constexpr auto ever = asyncio::duration::max();
  asyncio::event_loop loop;
  loop.call_later(ever, [] { CHECK(false); });
  loop.call_at(asyncio::time_point::max(), [] { CHECK(false); });
  loop.run_until_complete([&] {
    const auto slow = asyncio::create_task([&] { asyncio::sleep(ever); });
    const auto later = asyncio::create_task([] { asyncio::sleep_until(asyncio::time_point::max()); });
    asyncio::sleep_until(asyncio::time_point::min());
    CHECK(asyncio::timeout(ever, [] {
            asyncio::sleep(1ms);
            return 1;
          }) == 1);
    CHECK(asyncio::move_on_after(ever, [] { asyncio::sleep(1ms); }));
    CHECK_FALSE(asyncio::move_on_after(asyncio::duration::min(), [] { asyncio::sleep(1ms); }));
    CHECK(asyncio::wait_for([] { return 2; }, ever) == 2);
    const auto quick = asyncio::create_task([] { asyncio::sleep(1ms); });
    CHECK(asyncio::wait(std::vector{quick}, ever).pending.empty());
    CHECK_FALSE(slow.done());
    CHECK_FALSE(later.done());
    slow.cancel();
    later.cancel();
  });
}

TEST_CASE("L5: stop lets the turn finish; before a run it makes one turn") {
  asyncio::event_loop loop;
  journal log;
  loop.stop();
  loop.call_soon([&] {
    log("one");
    loop.call_soon([&] { log("two"); });
  });
  loop.run_forever();
  CHECK(log.text() == "one");
  loop.call_soon([&] { loop.stop(); });
  loop.call_soon([&] { log("three"); });
  loop.run_forever();
  CHECK(log.text() == "one, two, three");
}

TEST_CASE("L6: a loop does not run in a loop, nor once it is closed") {
  asyncio::event_loop loop;
  asyncio::event_loop other;
  loop.run_until_complete([&] {
    CHECK(&asyncio::get_running_loop() == &loop);
    CHECK(loop.is_running());
    CHECK(thrown_by([&] { loop.run_forever(); }) == "This event loop is already running");
    CHECK(thrown_by([&] { other.run_forever(); }) ==
          "Cannot run the event loop while another loop is running");
    CHECK(thrown_by([&] { asyncio::run([] {}); }) ==
          "asyncio.run() cannot be called from a running event loop");
    CHECK(thrown_by([&] { loop.close(); }) == "Cannot close a running event loop");
  });
  CHECK_FALSE(loop.is_running());
  loop.close();
  loop.close();
  CHECK(loop.is_closed());
  CHECK(thrown_by([&] { loop.run_forever(); }) == "Event loop is closed");
  CHECK(thrown_by([&] { loop.call_soon([] {}); }) == "Event loop is closed");
  CHECK(thrown_by([&] { loop.call_soon_threadsafe([] {}); }) == "Event loop is closed");
  CHECK(thrown_by([&] { static_cast<void>(loop.create_task([] {})); }) == "Event loop is closed");
  CHECK(thrown_by([&] { asyncio::get_running_loop(); }) == "no running event loop");
  CHECK(thrown_by([&] { asyncio::sleep(0s); }) == "no running task: only a task can wait");
}

TEST_CASE("L7: a loop that is stopped before its end says so") {
  asyncio::event_loop loop;
  const auto never = loop.create_future<int>();
  loop.call_soon([&] { loop.stop(); });
  CHECK(thrown_by([&] { loop.run_until_complete(never); }) == "Event loop stopped before Future completed.");
  loop.call_soon([&] { never.set_result(3); });
  CHECK(loop.run_until_complete(never) == 3);
}

TEST_CASE("L8: what a callback throws is reported, and the loop goes on") {
  asyncio::event_loop loop;
  reports told(loop);
  loop.call_soon([] { throw std::runtime_error("one"); });
  loop.call_soon([&] { loop.stop(); });
  loop.run_forever();
  CHECK(told.log.text() == "Exception in callback: one");
}

TEST_CASE("L8, T4: keyboard_interrupt and system_exit leave the loop, which can be run again") {
  asyncio::event_loop loop;
  reports told(loop);
  journal log;
  loop.call_soon([] { throw asyncio::keyboard_interrupt(); });
  loop.call_soon([&] { log("next time"); });
  CHECK_THROWS_AS(loop.run_forever(), asyncio::keyboard_interrupt);
  const auto task = loop.create_task([] { throw asyncio::system_exit(3); });
  CHECK_THROWS_AS(loop.run_forever(), asyncio::system_exit);
  CHECK(task.done());
  CHECK(log.text() == "next time");
  loop.run_until_complete([&] { log("again"); });
  CHECK(log.text() == "next time, again");
  CHECK(told.log.text().empty());
}

TEST_CASE("L9: an exception handler that throws is reported by the default one, and goes no further") {
  asyncio::event_loop loop;
  int called = 0;
  loop.set_exception_handler([&](const asyncio::error_report&) {
    ++called;
    throw std::runtime_error("from the handler (expected on stderr)");
  });
  loop.call_exception_handler({"told (expected on stderr)", nullptr});
  CHECK(called == 1);
}

TEST_CASE("L11: another thread wakes the loop") {
  asyncio::event_loop loop;
  const std::thread::id here = std::this_thread::get_id();
  std::thread other([&] {
    for (int i = 0; i < 99; ++i) {
      loop.call_soon_threadsafe([&] { CHECK(std::this_thread::get_id() == here); });
    }
    loop.call_soon_threadsafe([&] { loop.stop(); });
  });
  loop.run_forever();
  other.join();
}

TEST_CASE("L12: what is scheduled is forgotten when the loop closes, what runs is cancelled") {
  const auto owned = std::make_shared<int>();
  journal log;
  {
    asyncio::event_loop loop;
    loop.run_until_complete([&] {
      loop.call_later(1h, [owned] {});
      static_cast<void>(asyncio::create_task([&, owned] {
        const support::at_end end(log, "cleaned up");
        asyncio::sleep(1h);
      }));
      static_cast<void>(asyncio::create_task([&, owned] {
        try {
          asyncio::sleep(1h);
        } catch (const asyncio::cancelled_error&) {
          asyncio::sleep(1ms);  // cleaning up may wait
          log("waited");
          static_cast<void>(asyncio::create_task([&, owned] { log("not started"); }));
          throw;
        }
      }));
      asyncio::sleep(0s);
    });
    loop.call_soon([owned] {});
    CHECK(owned.use_count() > 1);
  }
  CHECK(owned.use_count() == 1);
  CHECK(log.text() == "cleaned up, waited");
}

TEST_CASE("RN2: run cancels what is left, and reports what fails then") {
  asyncio::event_loop loop;
  reports told(loop);
  loop.run_until_complete([] {
    static_cast<void>(asyncio::create_task([] {
      try {
        asyncio::sleep(1h);
      } catch (const asyncio::cancelled_error&) {
        throw std::runtime_error("in vain");
      }
    }));
    asyncio::sleep(0s);
  });
  loop.close();
  CHECK(told.log.text() == "unhandled exception during asyncio.run() shutdown: in vain");
}

TEST_CASE("RN3: a runner runs several functions on one loop") {
  asyncio::runner runner;
  asyncio::event_loop* first = nullptr;
  CHECK(runner.run([&] {
    first = &asyncio::get_running_loop();
    return 1;
  }) == 1);
  CHECK(runner.run([&] { return first == &asyncio::get_running_loop(); }));
  CHECK(&runner.get_loop() == first);
  runner.close();
  runner.close();
  CHECK(thrown_by([&] { runner.run([] {}); }) == "Runner is closed");
}

TEST_CASE("a callback is no task, and cannot wait") {
  asyncio::event_loop loop;
  reports told(loop);
  loop.call_soon([&] {
    CHECK_FALSE(asyncio::current_task());
    asyncio::sleep(0s);
  });
  loop.call_soon([&] { loop.stop(); });
  loop.run_forever();
  CHECK(told.log.text() == "Exception in callback: no running task: only a task can wait");
}

TEST_CASE("K turns per poll: the order within is the same") {
  asyncio::event_loop loop({.turns_per_poll = 64});
  journal log;
  loop.run_until_complete([&] {
    const auto counter = [&](const char* name) {
      return asyncio::create_task([&log, name] {
        for (int i = 0; i < 3; ++i) {
          log(name + std::to_string(i));
          asyncio::sleep(0s);
        }
      });
    };
    const auto a = counter("a");
    const auto b = counter("b");
    asyncio::await(a);
    asyncio::await(b);
  });
  CHECK(log.text() == "a0, b0, a1, b1, a2, b2");
}
