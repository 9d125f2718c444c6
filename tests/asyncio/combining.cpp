// SPDX-License-Identifier: BSL-1.0
#include <krait/asyncio.hpp>

#include <doctest/doctest.h>

#include <chrono>
#include <functional>
#include <stdexcept>
#include <string>
#include <tuple>
#include <utility>
#include <variant>
#include <vector>

#include "support/tasks.hpp"

// gather (G), wait (W), wait_for (WF), shield (SH), timeouts (TO).

namespace {

namespace asyncio = krait::asyncio;
using namespace std::chrono_literals;
using asyncio_tests::reports;
using asyncio_tests::text_of;
using asyncio_tests::thrown_by;
using support::journal;

long cube(long n) {
  for (long i = 0; i < n; ++i) {
    asyncio::sleep(0s);
  }
  return n * n * n;
}

std::exception_ptr error(const char* text) {
  return std::make_exception_ptr(std::runtime_error(text));
}

}  // namespace

TEST_CASE("the seed's example: gather(cube(3), cube(4), cube(5)) is 27, 64, 125") {
  journal log;
  const auto results = asyncio::run([&] {
    const auto all = [](long n) { return [n] { return cube(n); }; };
    // One after the other they would take 12 turns and more, at once 5, and two to tell.
    const auto clock = asyncio::create_task([&] {
      for (int i = 0; i < 9; ++i) {
        asyncio::sleep(0s);
      }
      log("clock");
    });
    auto got = asyncio::await(asyncio::gather(all(3), all(4), all(5)));
    log("gathered");
    asyncio::await(clock);
    return got;
  });
  CHECK(results == std::tuple{27L, 64L, 125L});
  CHECK(log.text() == "gathered, clock");
}

TEST_CASE("AIO-TASK-126: G1: results are in the order of the arguments") {
  asyncio::run([] {
    const auto a = asyncio::create_future<int>();
    const auto b = asyncio::create_future<std::string>();
    const auto c = asyncio::create_future<void>();
    const auto all = asyncio::gather(a, b, c);
    c.set_result();
    b.set_result("b");
    asyncio::sleep(0s);
    asyncio::sleep(0s);
    CHECK_FALSE(all.done());
    a.set_result(1);
    asyncio::sleep(0s);
    CHECK(all.done());
    CHECK(all.result() == std::tuple{1, std::string("b"), std::monostate()});
  });
}

TEST_CASE("AIO-TASK-138: G1: the same future twice") {
  asyncio::run([] {
    int runs = 0;
    const auto t = asyncio::create_task([&] { return ++runs; });
    CHECK(asyncio::await(asyncio::gather(t, t)) == std::tuple{1, 1});
    CHECK(asyncio::await(asyncio::gather(std::vector{t, t})) == std::vector{1, 1});
  });
}

TEST_CASE("C9: cancelling a gather cancels each child as often as it was given") {
  asyncio::run([] {
    int count = 0;
    const auto t = asyncio::create_task([&] {
      try {
        asyncio::sleep(1h);
      } catch (const asyncio::cancelled_error&) {
        count = asyncio::current_task().cancelling();
        throw;
      }
    });
    const auto both = asyncio::gather(t, t);
    asyncio::sleep(0s);
    CHECK(both.cancel("both"));
    CHECK(thrown_by([&] { asyncio::await(both); }) == "cancelled: both");
    CHECK(count == 2);
  });
}

TEST_CASE("AIO-TASK-130, AIO-TASK-131: G1: of nothing, it is done") {
  asyncio::run([] {
    CHECK(asyncio::gather().done());
    CHECK(asyncio::gather(std::vector<asyncio::future<int>>()).result().empty());
  });
  CHECK(thrown_by([] { static_cast<void>(asyncio::gather()); }) == "no running event loop");
}

TEST_CASE(
    "AIO-TASK-128, AIO-TASK-140: G2: the first failure is the gather's; the others go on, and are not "
    "reported") {
  asyncio::event_loop loop;
  reports told(loop);
  loop.run_until_complete([] {
    const auto a = asyncio::create_future<int>();
    const auto b = asyncio::create_future<int>();
    const auto c = asyncio::create_future<int>();
    {
      const auto all = asyncio::gather(a, b, c);
      b.set_exception(error("b"));
      asyncio::sleep(0s);
      CHECK(text_of(all.exception()) == "b");
    }
    CHECK_FALSE(a.done());
    a.set_exception(error("a"));
    c.set_result(1);
    asyncio::sleep(0s);
  });
  CHECK(told.log.text().empty());
}

TEST_CASE("AIO-TASK-134: G2: a child that is cancelled is a failure; the gather is not cancelled") {
  asyncio::run([] {
    const auto a = asyncio::create_future<int>();
    const auto b = asyncio::create_future<int>();
    const auto all = asyncio::gather(a, b);
    a.cancel("a");
    asyncio::sleep(0s);
    CHECK(all.done());
    CHECK_FALSE(all.cancelled());
    CHECK(text_of(all.exception()) == "cancelled: a");
    CHECK_FALSE(b.done());
  });
}

TEST_CASE("AIO-TASK-129, AIO-TASK-135: G3: exceptions as results") {
  asyncio::run([] {
    const auto a = asyncio::create_future<int>();
    const auto b = asyncio::create_future<int>();
    const auto c = asyncio::create_future<void>();
    const auto all = asyncio::gather(asyncio::return_exceptions, a, b, c);
    a.set_exception(error("a"));
    b.cancel("b");
    c.set_result();
    const auto [of_a, of_b, of_c] = asyncio::await(all);
    CHECK(text_of(of_a.exception()) == "a");
    CHECK(text_of(of_b.exception()) == "cancelled: b");
    CHECK(of_c.has_value());
    CHECK(thrown_by([&, x = of_a] { static_cast<void>(x.value()); }) == "a");
  });
}

TEST_CASE("G3: exceptions as results, of a range") {
  asyncio::run([] {
    std::vector<std::function<int()>> all{[] { return 1; }, []() -> int { throw std::runtime_error("no"); }};
    const auto outcomes = asyncio::await(asyncio::gather(asyncio::return_exceptions, all));
    CHECK(outcomes[0].value() == 1);
    CHECK(text_of(outcomes[1].exception()) == "no");
  });
}

TEST_CASE("AIO-TASK-139, AIO-TASK-094: G4: to cancel it cancels all; it fails even with return_exceptions") {
  asyncio::run([] {
    const auto a = asyncio::create_future<int>();
    const auto b = asyncio::create_future<int>();
    const auto all = asyncio::gather(asyncio::return_exceptions, a, b);
    const auto waiting = asyncio::create_task([&] { static_cast<void>(asyncio::await(all)); });
    asyncio::sleep(0s);
    waiting.cancel("all");
    CHECK(thrown_by([&] { asyncio::await(waiting); }) == "cancelled: all");
    CHECK(waiting.cancelled());
    CHECK_FALSE(all.cancel());
    CHECK(a.cancelled());
    CHECK(b.cancelled());
  });
}

TEST_CASE("AIO-TASK-093: G4: one that is done is not cancelled") {
  asyncio::run([] {
    const auto all = asyncio::gather([] { return 1; });
    asyncio::await(all);
    CHECK_FALSE(all.cancel());
    CHECK(std::get<0>(all.result()) == 1);
  });
}

TEST_CASE("AIO-TASK-132: G6: futures of different loops") {
  asyncio::event_loop one;
  asyncio::event_loop two;
  const auto a = one.create_future<int>();
  const auto b = two.create_future<int>();
  CHECK_THROWS_AS(static_cast<void>(asyncio::gather(a, b)), krait::value_error);
}

TEST_CASE("W1, W2: wait returns which are done, by what it is to wait for") {
  asyncio::run([] {
    std::vector<asyncio::future<int>> all;
    for (int i = 0; i < 3; ++i) {
      all.push_back(asyncio::create_future<int>());
    }
    auto& loop = asyncio::get_running_loop();
    loop.call_soon([&] { all[1].set_result(1); });
    auto first = asyncio::wait(all, {}, asyncio::return_when::first_completed);
    CHECK(first.done == std::vector{all[1]});
    CHECK(first.pending == std::vector{all[0], all[2]});

    loop.call_soon([&] { all[0].cancel(); });
    loop.call_later(1ms, [&] { all[2].set_exception(error("x")); });
    CHECK(asyncio::wait(first.pending, {}, asyncio::return_when::first_exception).done.size() == 2);

    const std::vector never{asyncio::create_future<int>()};
    CHECK(asyncio::wait(never, 1ms).pending.size() == 1);
    const auto waiting = asyncio::create_task([&] { asyncio::wait(never); });
    asyncio::sleep(0s);
    waiting.cancel("w");
    CHECK(thrown_by([&] { asyncio::await(waiting); }) == "cancelled: w");
    CHECK_FALSE(never[0].done());
    CHECK(asyncio::wait(all).done.size() == 3);
  });
}

TEST_CASE("AIO-TASK-089: W1: wait of nothing") {
  asyncio::run([] {
    CHECK(thrown_by([] { asyncio::wait(std::vector<asyncio::future<int>>()); }) ==
          "Set of Tasks/Futures is empty.");
  });
}

TEST_CASE("WF1: wait_for without a delay, or with none left") {
  asyncio::run([] {
    bool ran = false;
    CHECK(asyncio::wait_for([] { return 1; }, {}) == 1);
    CHECK_THROWS_AS(asyncio::wait_for([&] { ran = true; }, 0s), asyncio::timeout_error);
    CHECK_FALSE(ran);
    const auto done = asyncio::create_future<int>();
    done.set_result(2);
    CHECK(asyncio::wait_for(done, 0s) == 2);
  });
}

TEST_CASE("WF2: wait_for cancels what is too late, waits for its end, and takes what it returns after all") {
  asyncio::run([] {
    journal log;
    const auto cleaning = [&] {
      try {
        asyncio::sleep(1h);
      } catch (const asyncio::cancelled_error&) {
        asyncio::sleep(2ms);
        log("cleaned up");
        throw;
      }
    };
    CHECK_THROWS_AS(asyncio::wait_for(cleaning, 1ms), asyncio::timeout_error);
    CHECK(log.text() == "cleaned up");
    CHECK(asyncio::wait_for(
              [] {
                try {
                  asyncio::sleep(1h);
                } catch (const asyncio::cancelled_error&) {
                }
                return 3;
              },
              1ms) == 3);
    CHECK(thrown_by([] {
            asyncio::wait_for(
                [] {
                  try {
                    asyncio::sleep(1h);
                  } catch (const asyncio::cancelled_error&) {
                    throw std::runtime_error("instead");
                  }
                },
                1ms);
          }) == "instead");
  });
}

TEST_CASE("WF3: cancelled from outside, wait_for is cancelled") {
  asyncio::run([] {
    const auto inner = asyncio::create_future<int>();
    const auto t = asyncio::create_task([&] { return asyncio::wait_for(inner, 1h); });
    asyncio::sleep(0s);
    t.cancel("out");
    CHECK(thrown_by([&] { asyncio::await(t); }) == "cancelled: out");
    CHECK(inner.cancelled());
  });
}

TEST_CASE("SH1: what is shielded goes on when the shield is cancelled") {
  asyncio::event_loop loop;
  reports told(loop);
  loop.run_until_complete([] {
    const auto inner = asyncio::create_future<int>();
    const auto t = asyncio::create_task([&] { return asyncio::await(asyncio::shield(inner)); });
    asyncio::sleep(0s);
    t.cancel("outer");
    CHECK(thrown_by([&] { asyncio::await(t); }) == "cancelled: outer");
    CHECK_FALSE(inner.done());
    inner.set_exception(error("late"));
    asyncio::sleep(0s);

    const auto kept = asyncio::create_task([] { return 5; });
    CHECK(asyncio::await(asyncio::shield(kept)) == 5);
    CHECK(asyncio::shield(kept) == kept);
    const auto lost = asyncio::create_future<void>();
    const auto shown = asyncio::shield(lost);
    lost.cancel();
    asyncio::sleep(0s);
    CHECK(shown.cancelled());
  });
  CHECK(told.log.text() == "exception in shielded future: late");
}

TEST_CASE("TO2, TO3: what is too late ends by timeout_error, and the count is as before") {
  asyncio::run([] {
    CHECK_THROWS_AS(asyncio::timeout(1ms, [] { asyncio::sleep(1h); }), asyncio::timeout_error);
    CHECK(asyncio::current_task().cancelling() == 0);
    CHECK_THROWS_AS(asyncio::timeout(0s, [] { asyncio::sleep(1h); }), asyncio::timeout_error);
    CHECK_THROWS_AS(asyncio::timeout_at(asyncio::clock::now() - 1s,
                                        [] {
                                          asyncio::sleep(1h);
                                          return 1;
                                        }),
                    asyncio::timeout_error);
    CHECK(asyncio::timeout(1h, [] { return 1; }) == 1);
    CHECK(asyncio::timeout(std::nullopt,
                           [](asyncio::timeout_scope& scope) { return scope.when().has_value(); }) == false);
    asyncio::sleep(0s);
  });
}

TEST_CASE("TO3: another exception comes out as it is; a cancel that is swallowed is no error") {
  asyncio::run([] {
    CHECK(thrown_by([] {
            asyncio::timeout(0s, [] {
              try {
                asyncio::sleep(1h);
              } catch (const asyncio::cancelled_error&) {
                throw std::runtime_error("other");
              }
            });
          }) == "other");
    asyncio::timeout(0s, [](asyncio::timeout_scope& scope) {
      CHECK_FALSE(scope.expired());
      try {
        asyncio::sleep(1h);
      } catch (const asyncio::cancelled_error&) {
      }
      CHECK(scope.expired());
    });
    CHECK(asyncio::current_task().cancelling() == 0);
  });
}

TEST_CASE("TO4: a deadline that has passed but was not noticed cancels nothing afterwards") {
  asyncio::run([] {
    asyncio::timeout(0s, [] {});
    asyncio::sleep(0s);
    asyncio::timeout(1ms, [] {
      const auto until = asyncio::clock::now() + 2ms;
      while (asyncio::clock::now() < until) {
      }
    });
    asyncio::sleep(0s);
    asyncio::sleep(0s);
    CHECK(asyncio::current_task().cancelling() == 0);
  });
}

TEST_CASE("TO5: a deadline can be moved while it has not passed") {
  asyncio::run([] {
    CHECK_THROWS_AS(asyncio::timeout(1h,
                                     [](asyncio::timeout_scope& scope) {
                                       scope.reschedule(asyncio::clock::now() + 1ms);
                                       asyncio::sleep(1h);
                                     }),
                    asyncio::timeout_error);
    asyncio::timeout(1ms, [](asyncio::timeout_scope& scope) {
      scope.reschedule({});
      asyncio::sleep(3ms);
      CHECK_FALSE(scope.expired());
    });
    asyncio::timeout(0s, [](asyncio::timeout_scope& scope) {
      try {
        asyncio::sleep(1h);
      } catch (const asyncio::cancelled_error&) {
      }
      CHECK(thrown_by([&] { scope.reschedule({}); }) == "Cannot change state of expiring Timeout");
    });
  });
}

TEST_CASE("TO6: of nested deadlines each converts its own") {
  asyncio::run([] {
    journal log;
    CHECK_THROWS_AS(asyncio::timeout(1ms,
                                     [&] {
                                       try {
                                         asyncio::timeout(1h, [] { asyncio::sleep(1h); });
                                       } catch (const asyncio::cancelled_error&) {
                                         log("inner passes it on");
                                         throw;
                                       }
                                     }),
                    asyncio::timeout_error);
    CHECK_THROWS_AS(asyncio::timeout(0s,
                                     [&] {
                                       try {
                                         asyncio::timeout(0s, [] { asyncio::sleep(1h); });
                                       } catch (const asyncio::cancelled_error&) {
                                         log("both expired");
                                         throw;
                                       }
                                     }),
                    asyncio::timeout_error);
    CHECK(log.text() == "inner passes it on, both expired");
  });
}

TEST_CASE("TO6: cancelled from outside when the deadline passes, it is cancelled") {
  asyncio::event_loop loop({.virtual_time = true});
  loop.run_until_complete([&] {
    const auto t = asyncio::create_task([] { asyncio::timeout(1ms, [] { asyncio::sleep(1h); }); });
    asyncio::sleep(0s);
    loop.call_later(1ms, [&] { t.cancel("outside"); });
    CHECK(thrown_by([&] { asyncio::await(t); }).rfind("cancelled", 0) == 0);
  });
}

TEST_CASE("move_on_after throws nothing") {
  asyncio::run([] {
    CHECK_FALSE(asyncio::move_on_after(1ms, [] { asyncio::sleep(1h); }));
    CHECK(asyncio::move_on_after(1h, [] { asyncio::sleep(0s); }));
  });
}
