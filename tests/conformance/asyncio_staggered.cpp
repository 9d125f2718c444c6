// SPDX-License-Identifier: BSL-1.0
#include <krait/asyncio.hpp>

#include <doctest/doctest.h>

#include <chrono>
#include <cstddef>
#include <functional>
#include <optional>
#include <stdexcept>
#include <string>
#include <vector>

#include "support/tasks.hpp"

// CPython's test_staggered.py, lazy and eager, and what test_eager_task_factory.py says of the same.

namespace {

namespace asyncio = krait::asyncio;
using namespace std::chrono_literals;
using asyncio_tests::lazy_and_eager;
using asyncio_tests::text_of;
using asyncio_tests::thrown_by;
using support::journal;

using candidates = std::vector<std::function<std::string()>>;

std::string result_of(std::size_t index) {
  return "Res: " + std::to_string(index);
}

/// "WINNER, INDEX, [EXCEPTION, ...]", with none where there is none.
std::string race(const candidates& all, std::optional<asyncio::duration> delay) {
  const auto came = asyncio::staggered_race(all, delay);
  std::string text = came.winner.value_or("none") + ", " +
                     (came.index ? std::to_string(*came.index) : std::string("none")) + ", [";
  for (std::size_t i = 0; i < came.exceptions.size(); ++i) {
    text += (i == 0 ? "" : ", ") + text_of(came.exceptions[i]);
  }
  return text + "]";
}

[[noreturn]] void fail(std::size_t index) {
  throw std::runtime_error(std::to_string(index));
}

}  // namespace

TEST_CASE("AIO-STAG-001: nobody: no winner, no index, no errors") {
  lazy_and_eager([](const asyncio::task_options&) { CHECK(race({}, {}) == "none, none, []"); });
}

TEST_CASE("AIO-STAG-002: the first succeeds, and the second is never started") {
  lazy_and_eager([](const asyncio::task_options&) {
    bool started = false;
    const candidates both{[] { return result_of(0); },
                          [&] {
                            started = true;
                            return result_of(1);
                          }};
    CHECK(race(both, {}) == "Res: 0, 0, [none]");
    CHECK(race(both, 1h) == "Res: 0, 0, [none]");
    CHECK_FALSE(started);
  });
}

TEST_CASE("AIO-STAG-003, AIO-EAG-012: a failure starts the next at once, without a delay or before it") {
  lazy_and_eager([](const asyncio::task_options&) {
    bool waited = false;
    const candidates both{[&]() -> std::string {
                            asyncio::sleep(0s);
                            asyncio::sleep(0s);
                            waited = true;
                            fail(0);
                          },
                          [&] {
                            CHECK(waited);
                            return result_of(1);
                          }};
    CHECK(race(both, {}) == "Res: 1, 1, [0, none]");
    waited = false;
    CHECK(race(both, 1h) == "Res: 1, 1, [0, none]");
  });
}

TEST_CASE("AIO-STAG-004, AIO-EAG-011: after the delay the second starts, and its success cancels the first") {
  lazy_and_eager([](const asyncio::task_options&) {
    journal log;
    const candidates both{[&]() -> std::string {
                            const support::at_end end(log, "first ends");
                            asyncio::sleep(1h);
                            fail(0);
                          },
                          [&] {
                            log("second");
                            return result_of(1);
                          }};
    CHECK(race(both, 1ms) == "Res: 1, 1, [cancelled: , none]");
    CHECK(log.text() == "second, first ends");
    const candidates failing{[]() -> std::string { fail(0); },
                             []() -> std::string {
                               asyncio::sleep(1h);
                               fail(1);
                             },
                             [] {
                               asyncio::sleep(0s);
                               return result_of(2);
                             }};
    CHECK(race(failing, 1ms) == "Res: 2, 2, [0, cancelled: , none]");
  });
}

TEST_CASE("AIO-STAG-005: all fail: no winner, and all errors, in the order in which they were started") {
  lazy_and_eager([](const asyncio::task_options&) {
    const candidates all{[]() -> std::string { fail(0); },
                         []() -> std::string {
                           asyncio::sleep(3ms);
                           fail(1);
                         },
                         []() -> std::string { fail(2); }};
    CHECK(race(all, {}) == "none, none, [0, 1, 2]");
    CHECK(race(all, 1ms) == "none, none, [0, 1, 2]");
  });
}

TEST_CASE("AIO-STAG-006: of two that are woken in the same turn the first wins, and the other is cancelled") {
  lazy_and_eager([](const asyncio::task_options&) {
    asyncio::event event;
    asyncio::event never;
    const auto waiting = [&](std::size_t index) {
      return [&event, index] {
        event.wait();
        return result_of(index);
      };
    };
    CHECK(race({waiting(0), waiting(1),
                [&] {
                  event.set();
                  never.wait();
                  return result_of(2);
                }},
               1ms) == "Res: 0, 0, [none, cancelled: , cancelled: ]");
  });
}

TEST_CASE("AIO-STAG-007: cancelled again, so is the candidate; cancelled_error comes when it has ended") {
  lazy_and_eager([](const asyncio::task_options&) {
    journal log;
    CHECK_THROWS_AS(asyncio::timeout(std::nullopt,
                                     [&](asyncio::timeout_scope& outer) {
                                       asyncio::timeout(std::nullopt, [&](asyncio::timeout_scope& inner) {
                                         const candidates one{[&] {
                                           inner.reschedule(asyncio::clock::now() - 1s);
                                           log(thrown_by([] { asyncio::sleep(1h); }).substr(0, 9) + " 1");
                                           outer.reschedule(asyncio::clock::now() - 1s);
                                           log(thrown_by([] { asyncio::sleep(1h); }).substr(0, 9) + " 2");
                                           return result_of(0);
                                         }};
                                         log(thrown_by([&] { race(one, {}); }).substr(0, 9) + " 3");
                                         throw asyncio::cancelled_error();
                                       });
                                     }),
                    asyncio::timeout_error);
    CHECK(log.text() == "cancelled 1, cancelled 2, cancelled 3");
  });
}

TEST_CASE("a candidate that is cancelled before it has begun is none") {
  asyncio::run([] {
    asyncio::event event;
    const auto first = [&] {
      event.wait();
      return result_of(0);
    };
    // In the turn in which the second is made, the first wins.
    asyncio::get_running_loop().call_later(1ms, [&] { event.set(); });
    const auto both = race({first, [] { return result_of(1); }}, 1ms);
    CHECK(both.find(", [") != std::string::npos);
    const auto racing = asyncio::create_task([&] { return race({[] { return result_of(0); }}, {}); });
    asyncio::get_running_loop().call_soon([&] { racing.cancel("early"); });
    CHECK(thrown_by([&] { static_cast<void>(asyncio::await(racing)); }) == "cancelled: early");
  });
}
