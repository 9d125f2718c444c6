// SPDX-License-Identifier: BSL-1.0
#include <krait/asyncio.hpp>

#include <doctest/doctest.h>

#include <algorithm>
#include <chrono>
#include <concepts>
#include <exception>
#include <functional>
#include <list>
#include <memory>
#include <ranges>
#include <stdexcept>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include <krait/generator.hpp>

#include "support/tasks.hpp"

// CPython's test_tasks.py: wait, as_completed, shield, gather.

namespace {

namespace asyncio = krait::asyncio;
using namespace std::chrono_literals;
using asyncio::return_when;
using asyncio_tests::reports;
using asyncio_tests::text_of;
using asyncio_tests::thrown_by;
using asyncio_tests::turns;
using support::journal;

template <class Task>
std::string thrown_by_awaiting(const Task& of) {
  return thrown_by([&] { static_cast<void>(asyncio::await(of)); });
}

void run_briefly(asyncio::event_loop& loop) {
  loop.run_until_complete([] { asyncio::sleep(0s); });
}
std::exception_ptr error(const char* text) {
  return std::make_exception_ptr(std::runtime_error(text));
}

/// A task that takes so many turns, and returns their number.
asyncio::task<int> takes(int count) {
  return asyncio::create_task([count] {
    turns(count);
    return count;
  });
}
asyncio::task<int> fails_after(int count) {
  return asyncio::create_task([count]() -> int {
    turns(count);
    throw std::runtime_error(std::to_string(count));
  });
}
asyncio::task<int> takes_for_ever() {
  return asyncio::create_task([] {
    asyncio::sleep(1h);
    return 0;
  });
}

using tasks = std::vector<asyncio::task<int>>;

std::vector<int> results_of(asyncio::completions<asyncio::task<int>>&& all) {
  std::vector<int> results;
  for (const auto& each : all) {
    results.push_back(each.result());
  }
  return results;
}

template <class X>
concept can_be_waited_for = requires(X x) { asyncio::wait(x); };
template <class X>
concept can_be_completed = requires(X x) { asyncio::as_completed(x); };

/// Cannot be copied when it is told so.
struct no_copy {
  bool refuse = false;
  explicit no_copy(bool refuses) : refuse(refuses) {}
  no_copy(const no_copy& other) : refuse(other.refuse) {
    if (refuse) {
      throw std::runtime_error("no copy");
    }
  }
  int operator()() const { return 1; }
};

}  // namespace

TEST_CASE("AIO-TASK-040: wait takes as long as the slowest, and nothing when all are done") {
  asyncio::run([] {
    journal log;
    const tasks both{takes(3), takes(6)};
    const auto clock = asyncio::create_task([&] {
      turns(6);
      log("6");
      turns(9);
      log("15");
    });
    for (int i = 0; i < 2; ++i) {
      const auto [done, pending] = asyncio::wait(both);
      CHECK(done == both);
      CHECK(pending.empty());
      log("waited");
    }
    asyncio::await(clock);
    CHECK(log.text() == "6, waited, waited, 15");
  });
}

TEST_CASE("AIO-TASK-041: the same task twice is one") {
  asyncio::run([] {
    const auto a = takes(1);
    const auto b = takes(1);
    const auto [done, pending] = asyncio::wait(tasks{a, b, a, a});
    CHECK(done == tasks{a, b});
    CHECK(pending.empty());
  });
}

TEST_CASE("AIO-TASK-042: wait of none is a value_error") {
  asyncio::run([] {
    CHECK_THROWS_AS(asyncio::wait(tasks()), krait::value_error);
    CHECK(thrown_by([] { asyncio::wait(tasks()); }) == "Set of Tasks/Futures is empty.");
  });
  static_assert(!std::convertible_to<int, return_when>);
}

TEST_CASE("AIO-TASK-043: first_completed: the other is pending, and untouched") {
  asyncio::run([] {
    const auto a = takes_for_ever();
    const auto b = takes(2);
    const auto [done, pending] = asyncio::wait(tasks{b, a}, {}, return_when::first_completed);
    CHECK(done == tasks{b});
    CHECK(pending == tasks{a});
    CHECK_FALSE(a.done());
    CHECK(a.cancelling() == 0);
  });
}

TEST_CASE("AIO-TASK-044: what has ended before the one who waits goes on is done, too") {
  asyncio::run([] {
    const auto a = takes(1);
    const auto b = takes(2);
    const auto [done, pending] = asyncio::wait(tasks{b, a}, {}, return_when::first_completed);
    CHECK(done == tasks{b, a});
    CHECK(pending.empty());
  });
}

TEST_CASE("AIO-TASK-045, AIO-TASK-046: first_exception: of one that has failed already, or fails meanwhile") {
  for (const int when : {0, 3}) {
    asyncio::run([&] {
      const auto a = takes_for_ever();
      const auto b = fails_after(when);
      if (when == 0) {
        asyncio::sleep(0s);
        CHECK(b.done());
      }
      const auto [done, pending] = asyncio::wait(tasks{b, a}, {}, return_when::first_exception);
      CHECK(done == tasks{b});
      CHECK(pending == tasks{a});
      CHECK(text_of(b.exception()) == std::to_string(when));
    });
  }
}

TEST_CASE("AIO-TASK-047: all_completed does not raise") {
  asyncio::run([] {
    const auto a = takes(1);
    const auto b = fails_after(3);
    const auto [done, pending] = asyncio::wait(tasks{b, a});
    CHECK(done == tasks{b, a});
    CHECK(pending.empty());
    CHECK(std::ranges::count_if(done, [](const auto& each) { return each.exception() != nullptr; }) == 1);
  });
}

TEST_CASE("AIO-TASK-048: when the time is over, what has not ended is pending, and is not cancelled") {
  asyncio::run([] {
    const auto a = takes(0);
    asyncio::await(a);
    const auto b = takes_for_ever();
    const auto [done, pending] = asyncio::wait(tasks{b, a}, 2ms);
    CHECK(done == tasks{a});
    CHECK(pending == tasks{b});
    CHECK(b.cancelling() == 0);
  });
}

TEST_CASE("AIO-TASK-049: what ends just when the time is over is done") {
  asyncio::run([] {
    auto& loop = asyncio::get_running_loop();
    const auto when = loop.time() + 2ms;
    const auto a = asyncio::create_task([&] {
      asyncio::sleep_until(when);
      return 1;
    });
    const auto b = takes_for_ever();
    asyncio::sleep(0s);
    loop.call_soon([&] {
      while (loop.time() < when + 2ms) {  // both timers ring in the same turn
      }
    });
    const auto [done, pending] = asyncio::wait(tasks{b, a}, when - loop.time());
    CHECK(done == tasks{a});
    CHECK(pending == tasks{b});
  });
}

TEST_CASE(
    "AIO-TASK-050, AIO-TASK-051: wait takes any range, once, also one that makes the tasks as it is read") {
  asyncio::run([] {
    const std::list listed{takes(1), takes(2)};
    CHECK(asyncio::wait(listed).done.size() == 2);
    int made = 0;
    auto lazily = std::views::iota(1, 4) | std::views::transform([&](int count) {
                    ++made;
                    return takes(count);
                  });
    CHECK(asyncio::wait(lazily).done.size() == 3);
    CHECK(made == 3);
    const auto generated = []() -> krait::generator<asyncio::task<int>> {
      return [](auto& yield) {
        yield(takes(1));
        yield(takes(2));
      };
    };
    const auto [done, pending] = asyncio::wait(generated());
    CHECK(done.size() == 2);
    CHECK(pending.empty());
  });
}

TEST_CASE("AIO-TASK-052: as_completed: values in the order in which they come") {
  asyncio::run([] {
    CHECK(results_of(asyncio::as_completed(tasks{takes(9), takes(1), takes(5)})) == std::vector{1, 5, 9});
    auto one_by_one = asyncio::as_completed(tasks{takes(9), takes(1), takes(5)});
    std::vector<int> results;
    while (one_by_one.size() != 0) {
      results.push_back(asyncio::await(one_by_one.next()));
    }
    CHECK(results == std::vector{1, 5, 9});
  });
}

TEST_CASE("AIO-TASK-053: as_completed gives the very tasks that it is given; new ones of functions") {
  asyncio::run([] {
    const auto a = takes(2);
    const auto b = takes(1);
    tasks seen;
    for (const auto& each : asyncio::as_completed(tasks{a, b})) {
      CHECK(each.done());
      seen.push_back(each);
    }
    CHECK(seen == tasks{b, a});
    std::vector<int> values;
    const std::vector<std::function<int()>> functions{[] { return 3; }, [] { return 4; }};
    for (const auto& each : asyncio::as_completed(functions)) {
      static_assert(std::same_as<decltype(each), const asyncio::task<int>&>);
      values.push_back(each.result());
    }
    CHECK(values == std::vector{3, 4});
  });
}

TEST_CASE(
    "AIO-TASK-054: when the time is over, the next is a timeout_error; what came before it has been given") {
  asyncio::run([] {
    const auto quick = takes(0);
    asyncio::await(quick);
    const auto slow = takes_for_ever();
    journal log;
    CHECK(thrown_by([&] {
            for (const auto& each : asyncio::as_completed(tasks{quick, slow}, 2ms)) {
              log(std::to_string(each.result()));
            }
          }) == "timeout");
    CHECK(log.text() == "0");
    CHECK_FALSE(slow.done());
    CHECK(slow.cancelling() == 0);
  });
}

TEST_CASE("AIO-TASK-055: a time that is not over leaves no timer behind") {
  asyncio::run([] {
    const auto& timers = asyncio::get_running_loop().state().timers;
    CHECK(results_of(asyncio::as_completed(tasks{takes(1)}, 1h)) == std::vector{1});
    CHECK(timers.size() == 0);
  });
}

TEST_CASE("AIO-TASK-056: to iterate may stop, and go on later") {
  asyncio::run([] {
    auto all = asyncio::as_completed(tasks{takes(3), takes(1), takes(2), takes(4)});
    std::vector<int> results;
    for (const auto& each : all) {
      results.push_back(each.result());
      if (results.size() == 2) {
        break;
      }
    }
    turns(2);
    for (const auto& each : all) {
      results.push_back(each.result());
    }
    CHECK(results == std::vector{1, 2, 3, 4});
  });
}

TEST_CASE("AIO-TASK-057, AIO-TASK-058: whoever asks first has what is done first; several may ask at once") {
  asyncio::run([] {
    auto all = asyncio::as_completed(tasks{takes(5), takes(9)});
    journal log;
    const auto asks = [&](const char* who) {
      return asyncio::create_task([&, who] { log(who + std::to_string(all.next().result())); });
    };
    const auto second_made_first = asks("a ");
    const auto b = asks("b ");
    asyncio::await(asyncio::gather(second_made_first, b));
    CHECK(log.text() == "a 5, b 9");
  });
}

TEST_CASE("AIO-TASK-059: as_completed of the same twice gives it once") {
  asyncio::run([] {
    const auto a = takes(1);
    const auto b = takes(2);
    CHECK(results_of(asyncio::as_completed(tasks{a, a, b, a, b})) == std::vector{1, 2});
  });
}

TEST_CASE("AIO-TASK-060, AIO-TASK-061: as_completed of functions needs the running loop, and uses it") {
  const std::vector<std::function<int()>> functions{[] { return 42; }};
  CHECK(thrown_by([&] { static_cast<void>(asyncio::as_completed(functions)); }) == "no running event loop");
  asyncio::run([&] {
    auto all = asyncio::as_completed(functions);
    const auto t = all.next();
    CHECK(&t.get_loop() == &asyncio::get_running_loop());
    CHECK(t.result() == 42);
  });
}

TEST_CASE("AIO-TASK-074: wait is cancelled at once, and what it waits for is not") {
  asyncio::run([] {
    const auto f = takes_for_ever();
    bool behind = false;
    const auto t = asyncio::create_task([&] {
      asyncio::wait(tasks{f});
      behind = true;
    });
    asyncio::sleep(0s);
    t.cancel();
    asyncio::sleep(0s);
    CHECK(t.cancelled());
    CHECK_FALSE(f.done());
    CHECK_FALSE(behind);
  });
}

TEST_CASE("AIO-TASK-075, AIO-TASK-076: shield passes the result on, and the very exception") {
  asyncio::event_loop loop;
  const auto a = loop.create_future<int>();
  const auto b = loop.create_future<int>();
  const auto of_a = asyncio::shield(a);
  const auto of_b = asyncio::shield(b);
  run_briefly(loop);
  a.set_result(42);
  b.set_exception(error("boom"));
  CHECK_FALSE(of_a.done());
  run_briefly(loop);
  CHECK(of_a.result() == 42);
  CHECK(of_b.exception() == b.exception());
}

TEST_CASE("AIO-TASK-077: what is shielded and cancelled otherwise cancels the shield") {
  asyncio::event_loop loop;
  const auto inner = loop.create_future<int>();
  const auto outer = asyncio::shield(inner);
  run_briefly(loop);
  inner.cancel();
  run_briefly(loop);
  CHECK(outer.cancelled());
}

TEST_CASE(
    "AIO-TASK-078, AIO-TASK-079: a shield that is cancelled leaves what it shields alone, and a result is no "
    "news") {
  asyncio::event_loop loop;
  reports told(loop);
  const auto inner = loop.create_future<int>();
  const auto outer = asyncio::shield(inner);
  run_briefly(loop);
  CHECK(outer.cancel());
  run_briefly(loop);
  CHECK(outer.cancelled());
  CHECK_FALSE(inner.done());
  inner.set_result(1);
  run_briefly(loop);
  CHECK(told.log.text().empty());
}

TEST_CASE("AIO-TASK-080, AIO-TASK-081: what fails when its shields have been cancelled is reported, once") {
  for (const int shields : {1, 2}) {
    asyncio::event_loop loop;
    reports told(loop);
    const auto inner = loop.create_future<int>();
    for (int i = 0; i < shields; ++i) {
      const auto outer = asyncio::shield(inner);
      run_briefly(loop);
      outer.cancel();
      run_briefly(loop);
    }
    inner.set_exception(error("foo"));
    run_briefly(loop);
    CHECK(told.log.text() == "exception in shielded future: foo");
  }
}

TEST_CASE("AIO-TASK-082: shield of what is done is that") {
  asyncio::event_loop loop;
  const auto f = loop.create_future<int>();
  f.set_result(42);
  const auto shown = asyncio::shield(f);
  CHECK(shown == f);
  CHECK(loop.run_until_complete(shown) == 42);
}

TEST_CASE("AIO-TASK-083: the caller is cancelled, and the work goes on") {
  asyncio::run([] {
    int proof = 0;
    const auto go = asyncio::create_future<void>();
    const auto done = asyncio::create_future<void>();
    const auto inner = [&] {
      asyncio::await(go);
      ++proof;
      done.set_result();
    };
    const auto outer = asyncio::create_task([&] {
      asyncio::await(asyncio::shield(inner));
      proof += 100;
    });
    turns(2);
    outer.cancel();
    CHECK(thrown_by_awaiting(outer) == "cancelled: ");
    go.set_result();
    asyncio::await(done);
    CHECK(proof == 1);
  });
}

TEST_CASE("AIO-TASK-084: shield of a gather") {
  asyncio::event_loop loop;
  const auto a = loop.create_future<int>();
  const auto b = loop.create_future<int>();
  const auto parent = asyncio::gather(a, b);
  const auto outer = asyncio::shield(parent);
  run_briefly(loop);
  outer.cancel();
  run_briefly(loop);
  CHECK(outer.cancelled());
  a.set_result(1);
  b.set_result(2);
  run_briefly(loop);
  CHECK(parent.result() == std::tuple{1, 2});
}

TEST_CASE("AIO-TASK-085: gather of shields: cancelled are those") {
  asyncio::event_loop loop;
  const auto a = loop.create_future<int>();
  const auto b = loop.create_future<int>();
  const auto of_a = asyncio::shield(a);
  const auto of_b = asyncio::shield(b);
  const auto parent = asyncio::gather(of_a, of_b);
  run_briefly(loop);
  CHECK(parent.cancel());
  run_briefly(loop);
  CHECK(parent.done());
  CHECK_FALSE(parent.cancelled());
  CHECK(support::is_a<asyncio::cancelled_error>(parent.exception()));
  CHECK(of_a.cancelled());
  CHECK(of_b.cancelled());
  CHECK_FALSE(a.done());
  CHECK_FALSE(b.done());
  a.set_result(1);
  b.set_result(2);
  run_briefly(loop);
}

TEST_CASE("AIO-TASK-086, AIO-TASK-087: shield of a function needs the running loop, and uses it") {
  const auto f = [] { return 42; };
  CHECK(thrown_by([&] { static_cast<void>(asyncio::shield(f)); }) == "no running event loop");
  asyncio::run([&] {
    const auto outer = asyncio::shield(f);
    CHECK(&outer.get_loop() == &asyncio::get_running_loop());
    CHECK(asyncio::await(outer) == 42);
  });
}

TEST_CASE("AIO-TASK-088: as_completed takes ranges only") {
  static_assert(!can_be_completed<asyncio::task<int>>);
  static_assert(!can_be_completed<asyncio::future<int>>);
  static_assert(!can_be_completed<int>);
  static_assert(can_be_completed<tasks>);
  static_assert(!can_be_waited_for<asyncio::task<int>>);
  static_assert(can_be_waited_for<tasks>);
}

TEST_CASE("AIO-TASK-127: return_exceptions makes no difference where all succeed") {
  asyncio::event_loop loop;
  const auto a = loop.create_future<int>();
  const auto b = loop.create_future<int>();
  const auto c = loop.create_future<int>();
  const auto all = asyncio::gather(asyncio::return_exceptions, a, b, c);
  b.set_result(1);
  a.set_result(2);
  run_briefly(loop);
  CHECK_FALSE(all.done());
  c.set_result(3);
  run_briefly(loop);
  const auto [of_a, of_b, of_c] = all.result();
  CHECK(std::tuple{of_a.value(), of_b.value(), of_c.value()} == std::tuple{2, 1, 3});
}

TEST_CASE("AIO-TASK-133: a gather is of the loop of its futures") {
  asyncio::event_loop loop;
  const auto a = loop.create_future<int>();
  const auto b = loop.create_future<int>();
  CHECK(&asyncio::gather(a, b).get_loop() == &loop);
  asyncio::event_loop other;
  other.run_until_complete([&] { CHECK(&asyncio::gather(a, b).get_loop() == &loop); });
  a.cancel();
  b.cancel();  // a gather and what it waits for hold each other until then
  run_briefly(loop);
}

TEST_CASE("AIO-TASK-136, AIO-TASK-137: gather of functions needs the running loop, and uses it") {
  const auto f = [](std::string text) { return [text] { return text; }; };
  CHECK(thrown_by([&] { static_cast<void>(asyncio::gather(f("abc"), f("def"))); }) ==
        "no running event loop");
  asyncio::run([&] {
    const auto all = asyncio::gather(f("abc"), f("def"));
    CHECK(&all.get_loop() == &asyncio::get_running_loop());
    CHECK(asyncio::await(all) == std::tuple{std::string("abc"), std::string("def")});
  });
}

TEST_CASE("AIO-TASK-141: where an argument cannot be made a task, those before it are tasks of their own") {
  asyncio::event_loop loop;
  reports told(loop);
  loop.run_until_complete([] {
    journal log;
    const no_copy refuses(true);
    CHECK(thrown_by([&] { static_cast<void>(asyncio::gather([&] { log("ran"); }, refuses)); }) == "no copy");
    CHECK(asyncio::all_tasks().size() == 2);
    turns(2);
    CHECK(log.text() == "ran");
    CHECK(asyncio::all_tasks().size() == 1);
    CHECK(asyncio::await(asyncio::gather(no_copy(false))) == std::tuple{1});
  });
  CHECK(told.log.text().empty());
}
