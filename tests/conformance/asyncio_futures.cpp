// SPDX-License-Identifier: BSL-1.0
#include <krait/asyncio.hpp>

#include <doctest/doctest.h>

#include <chrono>
#include <memory>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "support/tasks.hpp"

// CPython's test_futures.py and test_futures2.py.

namespace {

namespace asyncio = krait::asyncio;
using namespace std::chrono_literals;
using asyncio_tests::reports;
using asyncio_tests::text_of;
using asyncio_tests::thrown_by;
using support::journal;

const std::string not_ready = "Result is not ready.";
const std::string already_done = "invalid state: the future is done already";

std::exception_ptr error(const char* text) {
  return std::make_exception_ptr(std::runtime_error(text));
}

template <class Future>
std::string result_thrown_by(const Future& of) {
  return thrown_by([&] { static_cast<void>(of.result()); });
}
template <class Future>
std::string exception_thrown_by(const Future& of) {
  return thrown_by([&] { static_cast<void>(of.exception()); });
}
std::string set_result_thrown_by(const asyncio::future<int>& of) {
  return thrown_by([&] { of.set_result(1); });
}
std::string set_exception_thrown_by(const asyncio::future<int>& of) {
  return thrown_by([&] { of.set_exception(error("x")); });
}

/// Runs a loop for a turn, or two.
void run_briefly(asyncio::event_loop& loop) {
  loop.run_until_complete([] { asyncio::sleep(0s); });
}

struct derived_stop : krait::stop_iteration<int> {};

/// What a future's end is told: when it is destroyed.
struct told_at_end {
  journal& log;
  std::shared_ptr<void> operator()(const char* text) const {
    return {nullptr, [to = &log, text](std::nullptr_t) { (*to)(text); }};
  }
};

asyncio::context_var<std::string> where("where", "nowhere");

}  // namespace

TEST_CASE("AIO-FUT-001: a new future is not done; cancelled, it is") {
  asyncio::event_loop loop;
  const auto f = loop.create_future<int>();
  CHECK_FALSE(f.done());
  CHECK_FALSE(f.cancelled());
  CHECK(f.cancel());
  CHECK(f.done());
  CHECK(f.cancelled());
}

TEST_CASE("AIO-FUT-002, AIO-FUT-003: a future is made on the running loop, and not without one") {
  CHECK(thrown_by([] { static_cast<void>(asyncio::create_future<int>()); }) == "no running event loop");
  asyncio::event_loop loop;
  loop.run_until_complete([&] { CHECK(&asyncio::create_future<int>().get_loop() == &loop); });
  CHECK(&loop.create_future<int>().get_loop() == &loop);
  asyncio::future<int> left;
  {
    asyncio::event_loop gone;
    left = gone.create_future<int>();
  }
  CHECK(thrown_by([&] { static_cast<void>(left.get_loop()); }) == "the event loop does not exist any more");
}

TEST_CASE("AIO-FUT-004: cancel keeps the message") {
  asyncio::event_loop loop;
  const auto f = loop.create_future<int>();
  f.cancel("my message");
  CHECK(result_thrown_by(f) == "cancelled: my message");
  CHECK(exception_thrown_by(f) == "cancelled: my message");
}

TEST_CASE("AIO-FUT-005: a cancelled future has no result, and cannot be set") {
  asyncio::event_loop loop;
  const auto f = loop.create_future<int>();
  CHECK(f.cancel());
  CHECK(result_thrown_by(f) == "cancelled: ");
  CHECK(exception_thrown_by(f) == "cancelled: ");
  CHECK_THROWS_AS(f.set_result(1), asyncio::invalid_state_error);
  CHECK(set_result_thrown_by(f) == already_done);
  CHECK(set_exception_thrown_by(f) == already_done);
  CHECK_FALSE(f.cancel());
}

TEST_CASE("AIO-FUT-006: a result, before and after") {
  asyncio::event_loop loop;
  const auto f = loop.create_future<int>();
  CHECK_THROWS_AS(static_cast<void>(f.result()), asyncio::invalid_state_error);
  CHECK(result_thrown_by(f) == not_ready);
  f.set_result(42);
  CHECK_FALSE(f.cancelled());
  CHECK(f.done());
  CHECK(f.result() == 42);
  CHECK(f.exception() == nullptr);
  CHECK(set_result_thrown_by(f) == already_done);
  CHECK(set_exception_thrown_by(f) == already_done);
  CHECK_FALSE(f.cancel());
  CHECK(f.result() == 42);
}

TEST_CASE("AIO-FUT-007: an exception, before and after") {
  asyncio::event_loop loop;
  const auto f = loop.create_future<int>();
  CHECK_THROWS_AS(static_cast<void>(f.exception()), asyncio::invalid_state_error);
  CHECK(exception_thrown_by(f) == not_ready);
  const std::exception_ptr raised = error("why");
  f.set_exception(raised);
  CHECK_FALSE(f.cancelled());
  CHECK(f.done());
  CHECK(result_thrown_by(f) == "why");
  CHECK(f.exception() == raised);
  CHECK(set_result_thrown_by(f) == already_done);
  CHECK(set_exception_thrown_by(f) == already_done);
  CHECK_FALSE(f.cancel());
  CHECK_THROWS_AS(loop.create_future<int>().set_exception(nullptr), krait::type_error);
}

TEST_CASE("AIO-FUT-008, AIO-FUT-009: a stop_iteration becomes a runtime_error, of which it is the cause") {
  asyncio::event_loop loop;
  for (const std::exception_ptr& stop :
       {std::make_exception_ptr(krait::stop_iteration<>()),
        std::make_exception_ptr(krait::stop_iteration<int>(3)), std::make_exception_ptr(derived_stop())}) {
    const auto f = loop.create_future<int>();
    f.set_exception(stop);
    CHECK(support::is_a<krait::runtime_error>(f.exception()));
    CHECK(text_of(f.exception()) ==
          "StopIteration interacts badly with generators and cannot be raised into a Future");
    CHECK(support::cause_of(f.exception()) == stop);
    const auto t = loop.create_task([&] { std::rethrow_exception(stop); });
    CHECK(thrown_by([&] { loop.run_until_complete(t); }) == "task raised StopIteration");
    CHECK(support::is_a<krait::runtime_error>(t.exception()));
    CHECK(support::is_a<krait::stop_iteration<>>(support::cause_of(t.exception())));
  }
}

TEST_CASE("AIO-FUT-010: to await what is done does not wait, and gives the same again") {
  bool turned = false;
  asyncio::run([&] {
    const auto f = asyncio::create_future<std::string>();
    f.set_result("abc");
    asyncio::get_running_loop().call_soon([&] { turned = true; });
    CHECK(asyncio::await(f) == "abc");
    CHECK(asyncio::await(f) == "abc");
    CHECK_FALSE(turned);
  });
}

TEST_CASE("AIO-FUT-011: what a future prints as: pending, cancelled, finished, how many wait") {
  asyncio::event_loop loop;
  const auto shape = [](const asyncio::any_future& f) {
    const std::string text = f.repr();
    return "<future object" + text.substr(text.find(' ', text.find(" at 0x") + 4));
  };
  const auto pending = loop.create_future<int>();
  CHECK(pending.repr().rfind("<future object at 0x", 0) == 0);
  CHECK(shape(pending) == "<future object [pending]>");
  pending.add_done_callback([] {});
  CHECK(shape(pending) == "<future object [pending, waiters:1]>");
  pending.add_done_callback([] {});
  CHECK(shape(pending) == "<future object [pending, waiters:2]>");
  pending.cancel();
  CHECK(shape(pending) == "<future object [cancelled]>");
  const auto set = loop.create_future<int>();
  set.set_result(4);
  CHECK(shape(set) == "<future object [finished]>");
  const auto failed = loop.create_future<int>();
  failed.set_exception(error("boom"));
  CHECK(shape(failed) == "<future object [finished, exception: std::runtime_error: boom]>");
  CHECK(failed.exception() != nullptr);
}

TEST_CASE(
    "AIO-FUT-025, AIO-FUT-027: in debug mode a future knows where it was made, and so does what is "
    "reported") {
  for (const bool debug : {false, true}) {
    asyncio::event_loop loop;
    loop.set_debug(debug);
    journal log;
    loop.set_exception_handler([&](const asyncio::error_report& told) {
      log(told.message);
      CHECK(told.source.rfind("<future object at 0x", 0) == 0);
      CHECK((told.source.find(", created at " __FILE__ ":") != std::string::npos) == debug);
    });
    const std::string here = "created at " + std::string(__FILE__) + ":" + std::to_string(__LINE__ + 1);
    auto f = loop.create_future<int>();
    CHECK((f.repr().find(here) != std::string::npos) == debug);
    loop.run_until_complete([&] {
      const std::string inner = "created at " + std::string(__FILE__) + ":" + std::to_string(__LINE__ + 1);
      const auto g = asyncio::create_future<int>();
      CHECK((g.repr().find(inner) != std::string::npos) == debug);
    });
    f.set_exception(error("boom"));
    f = {};
    CHECK(log.text() == "Future exception was never retrieved");
    CHECK(loop.state().created.empty());
  }
}

TEST_CASE("AIO-FUT-012: what stands for another future copies its result, exception or cancellation") {
  asyncio::event_loop loop;
  const auto a = loop.create_future<int>();
  const auto b = loop.create_future<int>();
  const auto c = loop.create_future<int>();
  const auto of_a = asyncio::shield(a);
  const auto of_b = asyncio::shield(b);
  const auto of_c = asyncio::shield(c);
  a.set_result(42);
  b.set_exception(error("boo"));
  c.cancel();
  run_briefly(loop);
  CHECK(of_a.result() == 42);
  CHECK(text_of(of_b.exception()) == "boo");
  CHECK(of_b.exception() == b.exception());
  CHECK(of_c.cancelled());
}

TEST_CASE(
    "AIO-FUT-013, AIO-FUT-014, AIO-FUT-015, AIO-FUT-016, AIO-FUT-018, AIO-FUT-019: nothing is reported of a "
    "future "
    "that is pending, has a result, was cancelled after it failed, or whose exception was seen") {
  asyncio::event_loop loop;
  reports told(loop);
  SUBCASE("pending") {
    static_cast<void>(loop.create_future<int>());
  }
  SUBCASE("cancelled after it has failed") {
    const auto f = loop.create_future<int>();
    f.set_exception(error("boom"));
    CHECK_FALSE(f.cancel());
  }
  SUBCASE("a result nobody looks at") {
    loop.create_future<int>().set_result(42);
  }
  SUBCASE("a result somebody looks at") {
    const auto f = loop.create_future<int>();
    f.set_result(42);
    CHECK(f.result() == 42);
  }
  SUBCASE("exception()") {
    const auto f = loop.create_future<int>();
    f.set_exception(error("boom"));
    CHECK(text_of(f.exception()) == "boom");
  }
  SUBCASE("result()") {
    const auto f = loop.create_future<int>();
    f.set_exception(error("boom"));
    CHECK(result_thrown_by(f) == "boom");
  }
  run_briefly(loop);
  CHECK(told.log.text().empty());
}

TEST_CASE(
    "AIO-FUT-017, AIO-FUT-026: an exception that nobody has seen is reported once, with the last handle") {
  asyncio::event_loop loop;
  reports told(loop);
  auto f = loop.create_future<int>();
  auto other = f;
  f.set_exception(error("boom"));
  run_briefly(loop);
  f = {};
  CHECK(told.log.text().empty());
  other = {};
  CHECK(told.log.text() == "Future exception was never retrieved: boom");
}

TEST_CASE("AIO-FUT-020: what a thread does is a future of the loop") {
  asyncio::run([] {
    std::thread::id there;
    const auto f = asyncio::run_in_executor([&] {
      there = std::this_thread::get_id();
      return std::string("oi");
    });
    CHECK(&f.get_loop() == &asyncio::get_running_loop());
    CHECK(asyncio::await(f) == "oi");
    CHECK(there != std::this_thread::get_id());
  });
}

TEST_CASE("AIO-FUT-021: a future of a loop is its own") {
  asyncio::event_loop loop;
  const auto f = loop.create_future<int>();
  CHECK(asyncio::wrap_future(f) == f);
}

TEST_CASE("AIO-FUT-022, AIO-FUT-023: wrapped for the running loop; cancelled, so is what has not begun") {
  asyncio::event_loop far;
  bool ran = false;
  const auto there = asyncio::run_threadsafe(far, [&] { ran = true; });
  asyncio::event_loop loop;
  loop.run_until_complete([&] {
    const auto here = asyncio::wrap_future(there);
    CHECK(&here.get_loop() == &loop);
    CHECK(here.cancel());
    asyncio::sleep(0s);
    CHECK(here.cancelled());
  });
  run_briefly(far);
  run_briefly(far);
  CHECK(there.done());
  CHECK_THROWS_AS(there.get(), asyncio::cancelled_error);
  CHECK_FALSE(ran);
}

TEST_CASE("AIO-FUT-024: cancelled when the thread is done, it leaves that result alone") {
  asyncio::event_loop far;
  const auto there = asyncio::run_threadsafe(far, [] { return 42; });
  run_briefly(far);
  run_briefly(far);
  CHECK(there.done());
  asyncio::run([&] {
    const auto here = asyncio::wrap_future(there);
    CHECK(here.cancel());
    asyncio::sleep(0s);
    asyncio::sleep(0s);
    CHECK(here.cancelled());
  });
  CHECK(there.get() == 42);
}

TEST_CASE("AIO-FUT-028: a timer that rings for what was cancelled meanwhile does nothing") {
  asyncio::event_loop loop;
  reports told(loop);
  loop.run_until_complete([&] {
    const auto t = asyncio::create_task([] { asyncio::sleep(1ms); });
    asyncio::sleep(0s);
    const auto late = loop.time() + 2ms;
    while (loop.time() < late) {  // so that it rings in the turn in which it is cancelled
    }
    t.cancel("first");
    CHECK(thrown_by([&] { asyncio::await(t); }) == "cancelled: first");
  });
  CHECK(told.log.text().empty());
}

TEST_CASE("AIO-FUT-029: results are destroyed with their futures") {
  const auto shared = std::make_shared<int>(1);
  {
    asyncio::event_loop loop;
    std::vector<asyncio::future<std::shared_ptr<int>>> all;
    for (int i = 0; i < 100; ++i) {
      all.push_back(loop.create_future<std::shared_ptr<int>>());
      if (i % 2 == 0) {
        all.back().set_result(shared);
      }
    }
    run_briefly(loop);
    CHECK(shared.use_count() == 51);
    all.resize(50);
    CHECK(shared.use_count() == 26);
  }
  CHECK(shared.use_count() == 1);
}

TEST_CASE(
    "AIO-FUT-030, AIO-FUT-031: to ask a cancelled future for its result, or exception, keeps nothing of it") {
  asyncio::event_loop loop;
  journal log;
  const told_at_end when{log};
  for (const bool result : {true, false}) {
    auto f = loop.create_future<std::shared_ptr<void>>();
    f.add_done_callback([end = when("callback")] {});
    f.cancel("msg");
    CHECK((result ? result_thrown_by(f) : exception_thrown_by(f)) == "cancelled: msg");
    std::exception_ptr left = support::raised_by([&] { static_cast<void>(f.result()); });
    f = {};
    left = nullptr;
    run_briefly(loop);
    CHECK(log.text() == "callback");
    log.clear();
  }
}

TEST_CASE(
    "AIO-FUT-032, AIO-FUT-033, AIO-FUT-034: callbacks that are removed are not called, the others in order") {
  asyncio::event_loop loop;
  journal log;
  const auto f = loop.create_future<std::string>();
  const auto one = f.add_done_callback([&] { log("1"); });
  const auto two = f.add_done_callback([&] { log("2"); });
  const auto three = f.add_done_callback([&] { log("3"); });
  std::string left;
  SUBCASE("the first") {
    CHECK(f.remove_done_callback(one));
    CHECK_FALSE(f.remove_done_callback(one));
    left = "2, 3";
  }
  SUBCASE("the first and the second") {
    CHECK(f.remove_done_callback(one));
    CHECK(f.remove_done_callback(two));
    CHECK_FALSE(f.remove_done_callback(one));
    left = "3";
  }
  SUBCASE("the third") {
    CHECK(f.remove_done_callback(three));
    left = "1, 2";
  }
  f.set_result("foo");
  CHECK(log.text().empty());
  run_briefly(loop);
  CHECK(log.text() == left);
  CHECK(f.result() == "foo");
}

TEST_CASE(
    "AIO-FUT-035, AIO-FUT-036: callbacks are called in the next turn, in order, of a result or an "
    "exception") {
  asyncio::event_loop loop;
  journal log;
  for (const bool result : {true, false}) {
    log.clear();
    const auto f = loop.create_future<int>();
    f.add_done_callback([&] { log("first"); });
    f.add_done_callback([&] { log("second"); });
    if (result) {
      f.set_result(1);
    } else {
      f.set_exception(error("boom"));
    }
    f.add_done_callback([&] { log("late"); });
    CHECK(log.text().empty());
    loop.call_soon([&] { log("next turn"); });
    run_briefly(loop);
    CHECK(log.text() == "first, second, late, next turn");
    CHECK(text_of(f.exception()) == (result ? "none" : "boom"));
  }
}

TEST_CASE("AIO-FUT-037: remove tells whether it was there; twice added is there twice") {
  asyncio::event_loop loop;
  journal log;
  const auto f = loop.create_future<int>();
  const auto callback = [&] { log("called"); };
  const auto one = f.add_done_callback(callback);
  const auto two = f.add_done_callback(callback);
  CHECK(one != two);
  CHECK(f.remove_done_callback(two));
  CHECK_FALSE(f.remove_done_callback(two));
  f.set_result(1);
  CHECK_FALSE(f.remove_done_callback(one));  // is to be called
  run_briefly(loop);
  CHECK(log.text() == "called");
}

TEST_CASE("AIO-FUT-040: a callback may remove later ones, which have been scheduled already") {
  asyncio::event_loop loop;
  journal log;
  const auto f = loop.create_future<int>();
  asyncio::callback_id later = 0;
  f.add_done_callback([&] { log(f.remove_done_callback(later) ? "removed" : "too late"); });
  later = f.add_done_callback([&] { log("later"); });
  f.set_result(1);
  run_briefly(loop);
  CHECK(log.text() == "too late, later");
}

TEST_CASE("AIO-FUT-041: what a callback holds may add others when it is removed") {
  asyncio::event_loop loop;
  journal log;
  const auto f = loop.create_future<int>();
  f.add_done_callback([&] { log("first"); });
  const auto removed = f.add_done_callback([end = std::shared_ptr<void>(nullptr, [&](std::nullptr_t) {
                                              f.add_done_callback([&] { log("added"); });
                                            })] {});
  f.add_done_callback([&] { log("last"); });
  CHECK(f.remove_done_callback(removed));
  f.set_result(1);
  run_briefly(loop);
  CHECK(log.text() == "first, last, added");
}

TEST_CASE("AIO-FUT-042: where callbacks are dropped instead of being scheduled, one may remove the next") {
  journal log;
  asyncio::future<int> f;
  {
    asyncio::event_loop loop;
    f = loop.create_future<int>();
  }
  asyncio::callback_id next = 0;
  f.add_done_callback(
      [end = std::shared_ptr<void>(nullptr, [&](std::nullptr_t) { f.remove_done_callback(next); })] {});
  next = f.add_done_callback([end = told_at_end{log}("second")] {});
  f.add_done_callback([end = told_at_end{log}("third")] {});
  f.set_result(1);
  CHECK(log.text() == "second, third");
}

TEST_CASE("AIO-FUT2-001: to await a failed future again and again raises the very same exception") {
  asyncio::run([] {
    const auto f = asyncio::create_future<int>();
    f.set_exception(error("boom"));
    const std::exception_ptr first = f.exception();
    for (int i = 0; i < 3; ++i) {
      try {
        asyncio::await(f);
        FAIL("it went on");
      } catch (const std::runtime_error& raised) {
        CHECK(std::string(raised.what()) == "boom");
        CHECK(std::current_exception() == first);
      }
    }
  });
}

TEST_CASE("AIO-FUT2-002: of a task's exception that nobody has seen it is told in the task's context") {
  asyncio::event_loop loop;
  journal log;
  loop.set_exception_handler(
      [&](const asyncio::error_report& told) { log(told.message + " " + where.get()); });
  loop.run_until_complete([&] {
    where.set("main");
    static_cast<void>(asyncio::create_task([] {
      where.set("task");
      throw std::runtime_error("x");
    }));
    auto kept = asyncio::create_task([] {
      where.set("other");
      throw std::runtime_error("x");
    });
    asyncio::sleep(0s);
    kept = {};
    CHECK(where.get() == "main");
  });
  CHECK(log.text() == "Task exception was never retrieved task, Task exception was never retrieved other");
}

TEST_CASE("AIO-FUT2-003: of a failing callback it is told in the callback's context") {
  asyncio::event_loop loop;
  journal log;
  loop.set_exception_handler(
      [&](const asyncio::error_report& told) { log(told.message + " " + where.get()); });
  asyncio::context().run([&] {
    where.set("outside");
    loop.call_soon([] {
      where.set("callback");
      throw std::runtime_error("x");
    });
  });
  run_briefly(loop);
  CHECK(log.text() == "Exception in callback callback");
}
