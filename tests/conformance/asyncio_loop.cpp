// SPDX-License-Identifier: BSL-1.0
#include <krait/asyncio.hpp>
#include <krait/asyncio/use_await.hpp>

#include <boost/asio/buffer.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/local/connect_pair.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/post.hpp>

#include <doctest/doctest.h>

#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <exception>
#include <functional>
#include <future>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <thread>
#include <type_traits>
#include <utility>
#include <vector>

#include "support/tasks.hpp"

// CPython's test_base_events.py and test_events.py.

namespace {

namespace asio = boost::asio;
namespace asyncio = krait::asyncio;
using namespace std::chrono_literals;
using asyncio::use_await;
using asyncio_tests::reports;
using asyncio_tests::text_of;
using asyncio_tests::thrown_by;
using support::is_a;
using support::journal;
using support::raised_by;

const char* const closed = "Event loop is closed";

void turn() {
  asyncio::sleep(0s);
}
/// One turn of a loop that does not run.
void run_once(asyncio::event_loop& loop) {
  loop.call_soon([&loop] { loop.stop(); });
  loop.run_forever();
}
bool contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}
template <class T>
concept can_be_run = requires(asyncio::event_loop& loop, T object) { loop.run_until_complete(object); };
template <class T>
concept can_be_called_soon =
    requires(asyncio::event_loop& loop, T object) { loop.call_soon(std::move(object)); };

/// KRAIT_DEBUG in the environment, while it lives.
struct debug_variable {
  explicit debug_variable(const char* value) { ::setenv("KRAIT_DEBUG", value, 1); }
  ~debug_variable() { ::unsetenv("KRAIT_DEBUG"); }
};

struct connected {
  asio::local::stream_protocol::socket near{asyncio::get_running_loop().io_context()};
  asio::local::stream_protocol::socket far{asyncio::get_running_loop().io_context()};
  connected() { asio::local::connect_pair(near, far); }
};

}  // namespace

// ---------------------------------------------------------------------------------------------------- base_events

TEST_CASE("AIO-LOOP-001 a loop is closed once, and does not run then") {
  asyncio::event_loop loop;
  CHECK_FALSE(loop.is_closed());
  loop.close();
  CHECK(loop.is_closed());
  loop.close();
  loop.close();
  CHECK(thrown_by([&] { loop.run_forever(); }) == closed);
  const auto future = loop.create_future<int>();
  CHECK(thrown_by([&] { loop.run_until_complete(future); }) == closed);
}

TEST_CASE("AIO-LOOP-002 whose threads call functions can be chosen") {
  const auto pool = std::make_shared<asyncio::thread_pool>(1);
  std::promise<std::thread::id> whose;
  pool->post([&] { whose.set_value(std::this_thread::get_id()); });
  asyncio::event_loop loop;
  loop.set_default_executor(pool);
  const auto id = whose.get_future().get();
  loop.run_until_complete([&] {
    CHECK(asyncio::await(asyncio::run_in_executor([] { return std::this_thread::get_id(); })) == id);
    CHECK(asyncio::to_thread([] { return std::this_thread::get_id(); }) == id);
  });
  loop.close();
  CHECK(thrown_by([&] { pool->post([] {}); }) == "cannot schedule new futures after shutdown");
  CHECK(thrown_by([&] { loop.set_default_executor(pool); }) == closed);
}

TEST_CASE("AIO-LOOP-003 threads that do not end in time are waited for no longer, and that is reported") {
  std::promise<void> go;
  asyncio::event_loop loop;
  reports told(loop);
  loop.run_until_complete([&] {
    static_cast<void>(asyncio::run_in_executor([waits = go.get_future().share()] { waits.wait(); }));
    asyncio::shutdown_default_executor(1ms);
  });
  CHECK(told.log.text() == "The executor did not finish joining its threads in time");
  go.set_value();
}

TEST_CASE("AIO-LOOP-004 AIO-LOOP-005 what is scheduled is called, now or later") {
  asyncio::event_loop loop;
  journal log;
  const asyncio::handle soon = loop.call_soon([&] { log("soon"); });
  const asyncio::handle later = loop.call_later(10s, [&] { log("later"); });
  CHECK_FALSE(soon.cancelled());
  CHECK_FALSE(soon.when());
  CHECK(later.when() > loop.time() + 9s);
  run_once(loop);
  CHECK(log.text() == "soon");
  CHECK_FALSE(later.cancelled());
}

TEST_CASE("AIO-LOOP-006 what is overdue is called in the order in which it was due") {
  asyncio::event_loop loop;
  journal log;
  loop.call_later(-1s, [&] { log("-1"); });
  loop.call_later(-2s, [&] { log("-2"); });
  loop.call_later(1ms, [&] { loop.stop(); });
  loop.run_forever();
  CHECK(log.text() == "-2, -1");
}

TEST_CASE("AIO-LOOP-007 nothing is called before its time") {
  asyncio::event_loop loop;
  const auto when = loop.time() + 5ms;
  std::optional<asyncio::time_point> called;
  loop.call_at(when, [&] {
    called = loop.time();
    loop.stop();
  });
  loop.run_forever();
  CHECK(*called >= when);
}

TEST_CASE("AIO-LOOP-008 in debug mode, what belongs to the loop's thread tells others so") {
  for (const bool debug : {false, true}) {
    asyncio::event_loop loop;
    loop.set_debug(debug);
    std::vector<std::string> thrown;
    loop.call_soon([&] {
      std::thread other([&] {
        thrown.push_back(thrown_by([&] { loop.call_soon([] {}); }));
        thrown.push_back(thrown_by([&] { loop.call_later(60s, [] {}); }));
        thrown.push_back(thrown_by([&] { loop.call_at(loop.time() + 60s, [] {}); }));
      });
      other.join();  // nothing else runs meanwhile
      loop.stop();
    });
    loop.run_forever();
    for (const std::string& each : thrown) {
      CHECK(each == (debug ? "Non-thread-safe operation invoked on an event loop other than the current one"
                           : "none"));
    }
  }
}

TEST_CASE("AIO-LOOP-009 a deadline that was cancelled is not waited for") {
  asyncio::event_loop loop;
  journal log;
  const auto first = loop.call_later(1h, [&] { log("first"); });
  const auto second = loop.call_later(2ms, [&] {
    log("second");
    loop.stop();
  });
  const auto early = loop.call_later(1ms, [&] { log("early"); });
  first.cancel();
  early.cancel();
  CHECK(loop.state().timers.size() == 1);
  loop.run_forever();
  CHECK(log.text() == "second");
}

TEST_CASE("AIO-LOOP-010 what a deadline schedules is called in the turn after") {
  asyncio::event_loop loop;
  journal log;
  loop.call_at(loop.time() - 1s, [&] {
    log("timer");
    loop.call_soon([&] { log("callback"); });
    loop.stop();
  });
  loop.run_forever();
  CHECK(log.text() == "timer");
  run_once(loop);
  CHECK(log.text() == "timer, callback");
}

TEST_CASE("AIO-LOOP-011 many cancelled deadlines are cleared away at once, and the others kept") {
  asyncio::event_loop loop;
  const auto base = loop.time() + 1ms;
  const auto held = std::make_shared<int>(0);
  std::vector<asyncio::handle> cancelled;
  std::vector<int> called;
  for (int i = 0; i < 300; ++i) {
    if (i % 3 == 0) {
      loop.call_at(base - std::chrono::microseconds(i), [&, i] { called.push_back(i); });
    } else {
      cancelled.push_back(loop.call_later(1h + std::chrono::seconds(i * 7 % 100), [held] { ++*held; }));
    }
  }
  CHECK(held.use_count() == 201);
  for (const auto& each : cancelled) {
    each.cancel();
  }
  CHECK(held.use_count() == 1);
  CHECK(loop.state().timers.size() == 100);
  loop.call_later(2ms, [&] { loop.stop(); });
  loop.run_forever();
  CHECK(called.size() == 100);
  CHECK(std::is_sorted(called.rbegin(), called.rend()));
}

TEST_CASE("AIO-LOOP-012 debug mode can be set") {
  asyncio::event_loop loop;
  loop.set_debug(true);
  CHECK(loop.get_debug());
  loop.set_debug(false);
  CHECK_FALSE(loop.get_debug());
}

TEST_CASE("AIO-LOOP-013 AIO-LOOP-014 only what can be awaited is run, and only of this loop") {
  CHECK(can_be_run<int (*)()>);
  CHECK(can_be_run<asyncio::future<int>>);
  CHECK_FALSE(can_be_run<int>);
  CHECK_FALSE(can_be_run<const char*>);
  asyncio::event_loop loop;
  asyncio::event_loop other;
  const auto future = other.create_future<int>();
  const auto raised = raised_by([&] { loop.run_until_complete(future); });
  CHECK(is_a<krait::value_error>(raised));
  CHECK(contains(text_of(raised), "different loop"));
}

TEST_CASE("AIO-LOOP-015 what leaves a run is no concern of the next") {
  asyncio::event_loop loop;
  loop.call_soon([] { throw asyncio::system_exit(); });
  CHECK(is_a<asyncio::system_exit>(raised_by([&] { loop.run_until_complete([] { asyncio::sleep(1ms); }); })));
  bool ended = false;
  loop.run_until_complete([&] {
    asyncio::sleep(3ms);  // the function before ends meanwhile, which stops nothing
    ended = true;
  });
  CHECK(ended);
}

TEST_CASE("AIO-LOOP-016 what fails is reported, and the loop goes on") {
  asyncio::event_loop loop;
  reports told(loop);
  loop.call_soon([] { throw std::runtime_error("soon"); });
  run_once(loop);
  loop.call_later(0s, [] { throw std::runtime_error("later"); });
  loop.call_later(1ms, [&] { loop.stop(); });
  loop.run_forever();
  CHECK(told.log.text() == "Exception in callback: soon, Exception in callback: later");
}

TEST_CASE("AIO-LOOP-017 a task that has failed, and that nobody awaits, is reported when it is dropped") {
  asyncio::event_loop loop;
  reports told(loop);
  {
    const auto task = loop.create_task([] { throw std::runtime_error("nobody looks"); });
    run_once(loop);
    CHECK(task.done());
    CHECK(told.log.text().empty());
  }
  CHECK(told.log.text() == "Task exception was never retrieved: nobody looks");
}

TEST_CASE(
    "AIO-LOOP-018 AIO-EVT-037 a handler is told what has failed, and where that was scheduled, until it is "
    "reset") {
  asyncio::event_loop loop;
  std::vector<asyncio::error_report> told;
  loop.set_exception_handler([&](const asyncio::error_report& what) { told.push_back(what); });
  const auto fails = [] { throw std::runtime_error("expected on stderr"); };
  const int line = __LINE__ + 1;
  const auto handle = loop.call_soon(fails);
  run_once(loop);
  REQUIRE(told.size() == 1);
  CHECK(told[0].message == "Exception in callback");
  CHECK(text_of(told[0].exception) == "expected on stderr");
  CHECK(told[0].source == handle.repr());
  CHECK(contains(told[0].source, std::string("created at ") + __FILE__ + ":" + std::to_string(line)));
  const auto threadsafe = loop.call_soon_threadsafe(fails);
  run_once(loop);
  run_once(loop);
  REQUIRE(told.size() == 2);
  CHECK(told[1].source == threadsafe.repr());
  loop.set_exception_handler({});
  loop.call_soon(fails);
  run_once(loop);
  CHECK(told.size() == 2);
}

TEST_CASE("AIO-LOOP-019 AIO-LOOP-020 a handler that fails itself is reported, and goes no further") {
  asyncio::event_loop loop;
  int calls = 0;
  loop.set_exception_handler([&](const asyncio::error_report&) {
    ++calls;
    throw 5;  // of which nobody can tell more
  });
  bool ended = false;
  loop.call_soon([] { throw std::runtime_error("expected on stderr"); });
  loop.call_soon([&] { ended = true; });
  run_once(loop);
  CHECK(calls == 1);
  CHECK(ended);
  loop.call_exception_handler({"expected on stderr", nullptr});
  CHECK(calls == 2);
}

TEST_CASE("AIO-LOOP-021 how tasks are made is the loop's, until that is reset") {
  asyncio::event_loop loop;
  loop.set_eager_tasks(true);
  loop.run_until_complete([&] {
    bool ran = false;
    const auto run = [&] { ran = true; };
    const auto eager = asyncio::create_task(run);
    CHECK(ran);
    loop.set_eager_tasks(false);
    ran = false;
    const auto lazy = asyncio::create_task(run);
    CHECK_FALSE(ran);
    asyncio::await(lazy);
    CHECK(ran);
  });
}

TEST_CASE("AIO-LOOP-022 the environment turns debug mode on") {
  CHECK_FALSE(asyncio::event_loop().get_debug());
  {
    const debug_variable on("1");
    CHECK(asyncio::event_loop().get_debug());
  }
  for (const char* const off : {"", "0"}) {
    const debug_variable set(off);
    CHECK_FALSE(asyncio::event_loop().get_debug());
  }
}

TEST_CASE("AIO-LOOP-023 AIO-LOOP-024 a task has the name it is given, and a closed loop makes none") {
  asyncio::event_loop loop;
  const auto named = loop.create_task([] {}, {.name = "test_task"});
  CHECK(named.name() == "test_task");
  loop.run_until_complete(named);
  loop.close();
  const auto held = std::make_shared<int>(0);
  CHECK(thrown_by([&] { static_cast<void>(loop.create_task([held] { ++*held; })); }) == closed);
  CHECK(held.use_count() == 1);
  CHECK(*held == 0);
}

TEST_CASE(
    "AIO-LOOP-025 AIO-LOOP-026 an interrupt out of the main task is reported by nobody, and stops no later "
    "run") {
  asyncio::event_loop loop;
  reports told(loop);
  CHECK(is_a<asyncio::keyboard_interrupt>(
      raised_by([&] { loop.run_until_complete([] { throw asyncio::keyboard_interrupt(); }); })));
  bool called = false;
  loop.call_soon([&] {
    loop.call_soon([&] {
      loop.stop();
      called = true;
    });
  });
  loop.run_forever();
  CHECK(called);
  loop.close();
  CHECK(told.log.text().empty());
}

TEST_CASE("AIO-LOOP-027 a handler of the reactor is called once, also where the loop stops meanwhile") {
  asyncio::event_loop loop;
  int count = 0;
  asio::post(loop.io_context(), [&] { loop.call_soon([&] { ++count; }); });
  for (int i = 0; i < 2; ++i) {
    run_once(loop);
    run_once(loop);
    CHECK(count == 1);
  }
}

TEST_CASE("AIO-LOOP-028 AIO-LOOP-029 a run that is stopped at once, or was before, is one turn") {
  asyncio::event_loop loop;
  int count = 0;
  std::function<void()> again = [&] {
    ++count;
    loop.call_soon(again);
  };
  loop.call_soon(again);
  run_once(loop);
  CHECK(count == 1);
  loop.stop();
  loop.run_forever();
  CHECK(count == 2);
}

TEST_CASE("AIO-LOOP-030 an outer loop may drive it step by step") {
  asio::io_context outer;
  asyncio::event_loop loop({.context = &outer});
  int count = 0;
  int steps = 0;
  loop.call_soon([&] {
    ++count;
    CHECK(&asyncio::get_running_loop() == &loop);
  });
  const auto task = loop.create_task([&] {
    while (steps < 5) {
      turn();
    }
    return count;
  });
  for (; !task.done(); ++steps) {
    REQUIRE(outer.run_one() == 1);
  }
  CHECK(steps >= 5);
  CHECK(task.result() == 1);
  CHECK_FALSE(loop.is_running());
  CHECK(thrown_by([] { asyncio::get_running_loop(); }) == "no running event loop");
}

TEST_CASE(
    "AIO-LOOP-031 AIO-LOOP-032 an asynchronous generator that is dropped half-run is closed by the loop") {
  for (const bool in_other_thread : {false, true}) {
    asyncio::event_loop loop({.debug = true});
    reports told(loop);
    std::thread::id ended_in;
    bool ended = false;
    auto items = std::make_unique<krait::async_generator<int>>([&](auto& yield) {
      struct at_end {
        std::thread::id& where;
        bool& ended;
        ~at_end() {
          where = std::this_thread::get_id();
          ended = true;
        }
      } end{ended_in, ended};
      for (int i = 0; i < 5; ++i) {
        yield(i);
      }
    });
    loop.run_until_complete([&] {
      for (int i = 0; i < 3; ++i) {
        CHECK(asyncio::await(items->anext()) == i);
      }
    });
    CHECK_FALSE(ended);
    loop.run_until_complete([&] {
      if (in_other_thread) {
        asyncio::to_thread([&] { items.reset(); });
      } else {
        items.reset();
      }
    });
    for (int i = 0; i < 3; ++i) {
      run_once(loop);
    }
    CHECK(ended);
    CHECK(ended_in == std::this_thread::get_id());
    CHECK(told.log.text().empty());
  }
}

TEST_CASE("AIO-LOOP-053 what waits is no callback") {
  CHECK(can_be_called_soon<void (*)()>);
  CHECK_FALSE(can_be_called_soon<krait::coroutine<>>);
  asyncio::event_loop loop;
  reports told(loop);
  const auto waits = [] { turn(); };
  loop.call_soon(waits);
  loop.call_soon_threadsafe(waits);
  loop.call_later(0s, waits);
  loop.call_at(loop.time(), waits);
  loop.call_later(1ms, [&] { loop.stop(); });
  loop.run_forever();
  const std::string once = "Exception in callback: no running task: only a task can wait";
  CHECK(told.log.text() == once + ", " + once + ", " + once + ", " + once);
}

TEST_CASE("AIO-LOOP-054 debug mode names what is slow") {
  asyncio::event_loop loop({.debug = true});
  loop.set_slow_callback_duration(1ns);
  reports told(loop);
  const auto handle = loop.call_soon([&] {
    std::this_thread::sleep_for(1ms);
    loop.stop();
  });
  const std::string name = handle.repr();
  loop.run_forever();
  CHECK(contains(told.log.text(), "Executing " + name + " took 0.0"));
  CHECK(contains(told.log.text(), " seconds"));
  told.log.clear();
  loop.run_until_complete(loop.create_task([] { std::this_thread::sleep_for(1ms); }, {.name = "slow"}));
  CHECK(contains(told.log.text(), "Executing task slow took 0.0"));
}

TEST_CASE("AIO-LOOP-055 AIO-EVT-001 no loop runs within a loop") {
  asyncio::event_loop outer;
  asyncio::event_loop inner;
  outer.run_until_complete([&] {
    CHECK(thrown_by([&] { inner.run_forever(); }) ==
          "Cannot run the event loop while another loop is running");
    CHECK(thrown_by([&] { inner.run_until_complete([] {}); }) ==
          "Cannot run the event loop while another loop is running");
    CHECK(thrown_by([&] { outer.run_until_complete([] {}); }) == "This event loop is already running");
    CHECK(thrown_by([&] { outer.run_forever(); }) == "This event loop is already running");
  });
}

// ---------------------------------------------------------------------------------------------------------- events

TEST_CASE("AIO-EVT-002 AIO-EVT-003 it runs until the function has returned, or it is stopped") {
  asyncio::event_loop loop;
  const auto began = loop.time();
  loop.run_until_complete([] { asyncio::sleep(5ms); });
  CHECK(loop.time() - began >= 5ms);
  const auto raised = raised_by([&] {
    loop.run_until_complete([&] {
      loop.stop();
      asyncio::sleep(1h);
    });
  });
  CHECK(is_a<krait::runtime_error>(raised));
  CHECK(text_of(raised) == "Event loop stopped before Future completed.");
}

TEST_CASE("AIO-EVT-004 AIO-EVT-005 callbacks have what they were made of") {
  asyncio::event_loop loop;
  journal log;
  const auto note = [&](const std::string& a, const std::string& b) { log(a + b); };
  loop.call_soon(std::bind_front(note, "hello ", "world"));
  loop.call_later(1ms, [&, text = std::string("!")] {
    note(text, text);
    loop.stop();
  });
  loop.run_forever();
  CHECK(log.text() == "hello world, !!");
}

TEST_CASE("AIO-EVT-006 AIO-EVT-011 another thread wakes the loop, or its own does, in order") {
  asyncio::event_loop loop;
  journal log;
  const auto two = [&] {
    loop.call_soon_threadsafe([&] { log("hello"); });
    loop.call_soon_threadsafe([&] {
      log("world");
      loop.stop();
    });
  };
  std::thread other(two);
  loop.run_forever();
  other.join();
  CHECK(log.text() == "hello, world");
  loop.call_soon(two);
  loop.run_forever();
  CHECK(log.text() == "hello, world, hello, world");
}

TEST_CASE(
    "AIO-EVT-007 AIO-EVT-008 while such a callback runs, other threads wait for its end to ask, or to cancel "
    "it") {
  for (const bool cancel : {false, true}) {
    asyncio::event_loop loop;
    std::promise<void> started;
    std::atomic<bool> ended = false;
    int calls = 0;
    std::thread other([&] {
      const auto handle = loop.call_soon_threadsafe([&] {
        ++calls;
        started.set_value();
        std::this_thread::sleep_for(10ms);
        ended = true;
      });
      started.get_future().wait();
      if (cancel) {
        handle.cancel();
      } else {
        CHECK_FALSE(handle.cancelled());
      }
      CHECK(ended);
      loop.call_soon_threadsafe([&] { loop.stop(); });
    });
    loop.run_forever();
    other.join();
    CHECK(calls == 1);
  }
}

TEST_CASE("AIO-EVT-009 it may cancel itself, and goes on") {
  asyncio::event_loop loop;
  std::promise<asyncio::threadsafe_handle> itself;
  std::promise<void> ended;
  std::thread other([&] {
    const auto handle = loop.call_soon_threadsafe([&] {
      itself.get_future().get().cancel();
      ended.set_value();
      loop.stop();
    });
    itself.set_value(handle);
    ended.get_future().wait();
    CHECK(handle.cancelled());
  });
  loop.run_forever();
  other.join();
}

TEST_CASE("AIO-EVT-010 cancelled by another thread before it has begun, it never does") {
  asyncio::event_loop loop;
  std::promise<void> cancelled;
  bool called = false;
  const auto held = std::make_shared<int>(0);
  loop.call_soon([&] { cancelled.get_future().wait(); });
  std::thread other([&] {
    const auto handle = loop.call_soon_threadsafe([&, held] {
      called = true;
      loop.stop();
    });
    handle.cancel();
    CHECK(handle.cancelled());
    CHECK(held.use_count() == 1);
    loop.call_soon_threadsafe([&] { loop.stop(); });
    cancelled.set_value();
  });
  loop.run_forever();
  other.join();
  CHECK_FALSE(called);
}

TEST_CASE(
    "AIO-EVT-012 AIO-EVT-013 another thread calls a function; one that nobody waits for any more troubles "
    "nobody") {
  std::promise<void> go;
  std::promise<void> ended;
  {
    asyncio::event_loop loop;
    reports told(loop);
    loop.run_until_complete([&] {
      const auto value = asyncio::run_in_executor([] {
        std::this_thread::sleep_for(1ms);
        return std::pair(std::string("yo"), std::this_thread::get_id());
      });
      const auto came = asyncio::await(value);
      CHECK(came.first == "yo");
      CHECK(came.second != std::this_thread::get_id());
    });
    const auto lost = loop.run_until_complete([&] {
      return asyncio::run_in_executor([&, waits = go.get_future().share()] {
        waits.wait();
        ended.set_value();
      });
    });
    lost.cancel();
    loop.close();
    CHECK(told.log.text().empty());
    CHECK(lost.cancelled());
  }
  go.set_value();
  ended.get_future().wait();
}

TEST_CASE("AIO-EVT-014 AIO-EVT-015 a task is told each time that something can be read, or written") {
  asyncio::run([] {
    connected sockets;
    const auto& wait_read = asio::socket_base::wait_read;
    std::string got;
    const auto reader = asyncio::create_task([&] {
      for (;;) {
        sockets.near.async_wait(wait_read, use_await);
        std::array<char, 1024> buffer;
        got.append(buffer.data(), sockets.near.read_some(asio::buffer(buffer)));
      }
    });
    sockets.far.async_wait(asio::socket_base::wait_write, use_await);
    for (const std::string each : {"abc", "def"}) {
      sockets.far.write_some(asio::buffer(each));
      while (got.size() % 3 != 0 || !contains(got, each)) {
        asyncio::sleep(1ms);
      }
    }
    CHECK(got == "abcdef");
    CHECK(reader.cancel());
    turn();
    turn();
    sockets.far.write_some(asio::buffer("ghi", 3));
    asyncio::sleep(2ms);
    CHECK(reader.cancelled());
    CHECK_FALSE(reader.cancel());
    CHECK(got == "abcdef");
  });
}

TEST_CASE("AIO-EVT-016 AIO-EVT-017 AIO-EVT-018 signals are handled by the loop, which they wake") {
  asyncio::event_loop loop;
  for (const int bad : {-1, 100'000, SIGKILL, SIGSTOP}) {
    CHECK(raised_by([&] { loop.add_signal_handler(bad, [] {}); }) != nullptr);
  }
  CHECK_FALSE(loop.remove_signal_handler(SIGKILL));
  struct sigaction before{};
  struct sigaction during{};
  struct sigaction after{};
  ::sigaction(SIGUSR2, nullptr, &before);
  journal log;
  const auto here = std::this_thread::get_id();
  loop.add_signal_handler(SIGUSR2, [&, argument = std::string("an argument")] {
    log(argument);
    CHECK(std::this_thread::get_id() == here);
    loop.stop();
  });
  ::sigaction(SIGUSR2, nullptr, &during);
  CHECK((during.sa_handler != SIG_DFL));
  // While it waits for the reactor, and for nothing else.
  std::thread other([&] {
    std::this_thread::sleep_for(2ms);
    ::kill(::getpid(), SIGUSR2);
  });
  loop.run_forever();
  other.join();
  CHECK(log.text() == "an argument");
  CHECK(loop.remove_signal_handler(SIGUSR2));
  CHECK_FALSE(loop.remove_signal_handler(SIGUSR2));
  ::sigaction(SIGUSR2, nullptr, &after);
  CHECK((before.sa_handler == SIG_DFL));
  CHECK((after.sa_handler == SIG_DFL));
}

TEST_CASE("AIO-EVT-032 a task that waits for a socket is cancelled at once") {
  asyncio::run([] {
    connected sockets;
    std::array<char, 8> buffer;
    const auto reader =
        asyncio::create_task([&] { return sockets.near.async_read_some(asio::buffer(buffer), use_await); });
    turn();
    turn();
    CHECK(reader.cancel());
    int turns = 0;
    while (!reader.done()) {
      turn();
      ++turns;
    }
    CHECK(turns <= 2);
    CHECK(reader.cancelled());
  });
}

TEST_CASE("AIO-EVT-033 however short the sleeps, the loop does not spin") {
  asio::io_context outer;
  asyncio::event_loop loop({.context = &outer});
  const auto task = loop.create_task([] {
    for (const double seconds : {1e-2, 1e-4, 1e-6, 1e-8, 1e-10}) {
      asyncio::sleep(std::chrono::duration_cast<asyncio::duration>(std::chrono::duration<double>(seconds)));
    }
  });
  int handlers = 0;
  while (!task.done()) {
    handlers += static_cast<int>(outer.run_one());
  }
  CHECK(handlers <= 20);
}

TEST_CASE("AIO-EVT-034 a loop that runs cannot be closed") {
  asyncio::event_loop loop;
  loop.run_until_complete(
      [&] { CHECK(thrown_by([&] { loop.close(); }) == "Cannot close a running event loop"); });
}

TEST_CASE("AIO-EVT-035 a closed loop schedules nothing") {
  asyncio::event_loop loop;
  loop.close();
  const auto nothing = [] {};
  CHECK(thrown_by([&] { loop.run_forever(); }) == closed);
  CHECK(thrown_by([&] { loop.run_until_complete(nothing); }) == closed);
  CHECK(thrown_by([&] { loop.call_soon(nothing); }) == closed);
  CHECK(thrown_by([&] { loop.call_soon_threadsafe(nothing); }) == closed);
  CHECK(thrown_by([&] { loop.call_later(1s, nothing); }) == closed);
  CHECK(thrown_by([&] { loop.call_at(loop.time() + 1s, nothing); }) == closed);
  CHECK(thrown_by([&] { static_cast<void>(loop.create_task(nothing)); }) == closed);
  CHECK(thrown_by([&] { loop.add_signal_handler(SIGUSR2, nothing); }) == closed);
  CHECK(thrown_by([&] { static_cast<void>(asyncio::run_threadsafe(loop, nothing)); }) == closed);
  CHECK(thrown_by([&] { loop.set_default_executor(std::make_shared<asyncio::thread_pool>()); }) == closed);
}

TEST_CASE("AIO-EVT-036 AIO-EVT-041 a handle that is cancelled lets its function go") {
  asyncio::event_loop loop;
  const auto held = std::make_shared<int>(0);
  const auto soon = loop.call_soon([held] { ++*held; });
  const auto later = loop.call_later(1ms, [held] { ++*held; });
  CHECK_FALSE(soon.cancelled());
  CHECK(held.use_count() == 3);
  soon.cancel();
  later.cancel();
  later.cancel();
  CHECK(soon.cancelled());
  CHECK(later.cancelled());
  CHECK(held.use_count() == 1);
  loop.call_later(2ms, [&] { loop.stop(); });
  loop.run_forever();
  CHECK(*held == 0);
}

TEST_CASE("AIO-EVT-038 AIO-EVT-039 AIO-EVT-040 a handle tells when it is due, and where it was made") {
  asyncio::event_loop loop;
  const auto nothing = [] {};
  const int line = __LINE__;
  const auto soon = loop.call_soon(nothing);
  const auto threadsafe = loop.call_soon_threadsafe(nothing);
  const auto later = loop.call_later(1s, nothing);
  const auto when = asyncio::time_point(12'345ms);
  const auto at = loop.call_at(when, nothing);
  const auto created = [&](int behind) {
    return std::string("created at ") + __FILE__ + ":" + std::to_string(line + behind) + ">";
  };
  CHECK(contains(soon.repr(), created(1)));
  CHECK(contains(threadsafe.repr(), created(2)));
  CHECK(contains(later.repr(), created(3)));
  CHECK(contains(at.repr(), " when=12.345 " + created(5)));
  CHECK(soon.repr().rfind("<handle object at 0x", 0) == 0);
  CHECK_FALSE(contains(soon.repr(), "cancelled"));
  CHECK_FALSE(contains(soon.repr(), "when"));
  soon.cancel();
  at.cancel();
  threadsafe.cancel();
  CHECK(contains(soon.repr(), " cancelled " + created(1)));
  CHECK(contains(at.repr(), " cancelled when=12.345 " + created(5)));
  CHECK(contains(threadsafe.repr(), " cancelled " + created(2)));
  CHECK(at.when() == when);
  CHECK_FALSE(soon.when());
}

TEST_CASE(
    "AIO-EVT-042 callbacks are called in the order of their times, then in that in which they were made") {
  asyncio::event_loop loop;
  journal log;
  const auto when = loop.time();
  for (const auto& [name, time] :
       {std::pair("b", when), {"c", when + 1ns}, {"a", when - 1ns}, {"b2", when}}) {
    loop.call_at(time, [&, name = name] { log(name); });
  }
  loop.call_at(when + 1ms, [&] { loop.stop(); });
  loop.run_forever();
  CHECK(log.text() == "a, b, b2, c");
}

TEST_CASE("AIO-EVT-043 the running loop is known in it, and nowhere else") {
  asyncio::event_loop loop;
  CHECK(thrown_by([] { asyncio::get_running_loop(); }) == "no running event loop");
  loop.run_until_complete([&] { CHECK(&asyncio::get_running_loop() == &loop); });
  loop.call_soon([&] {
    CHECK(&asyncio::get_running_loop() == &loop);
    loop.stop();
  });
  loop.run_forever();
  CHECK(thrown_by([] { asyncio::get_running_loop(); }) == "no running event loop");
}
