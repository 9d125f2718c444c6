// SPDX-License-Identifier: BSL-1.0
#include <krait/asyncio.hpp>

#include <doctest/doctest.h>

#include <chrono>
#include <cstdio>
#include <exception>
#include <optional>
#include <stdexcept>
#include <string>
#include <vector>

#include "support/tasks.hpp"

// CPython's test_timeouts.py and test_waitfor.py.

namespace {

namespace asyncio = krait::asyncio;
using namespace std::chrono_literals;
using asyncio::timeout_scope;
using asyncio_tests::group_of;
using asyncio_tests::text_of;
using asyncio_tests::thrown_by;
using support::journal;

template <class Task>
std::string thrown_by_awaiting(const Task& of) {
  return thrown_by([&] { static_cast<void>(asyncio::await(of)); });
}

void sleep_long() {
  asyncio::sleep(1h);
}

void be_busy_until(asyncio::time_point when) {
  while (asyncio::clock::now() < when) {
  }
}

/// Calls `body` at the end of a scope, whatever ends it. Python: finally.
template <class Call, class Body>
void finally(Call call, Body body) {
  try {
    call();
  } catch (...) {
    body();
    throw;
  }
  body();
}

/// What a scope is when it ends: "expired, when it was to".
struct seen {
  bool expired = false;
  std::optional<asyncio::time_point> when;
};

/// Sleeps in a timeout, and tells how that was.
template <class Timeout>
std::string sleep_in(Timeout timeout, asyncio::duration how_long, seen& told) {
  return thrown_by([&] {
    timeout([&](timeout_scope& scope) {
      finally([&] { asyncio::sleep(how_long); }, [&] { told = {scope.expired(), scope.when()}; });
    });
  });
}

/// Goes on for some turns, however often it is cancelled.
struct stubborn {
  int cancelled = 0;
  bool ended = false;

  int run() {
    for (int left = 5; left > 0;) {
      try {
        asyncio::sleep(1ms);
        --left;
      } catch (const asyncio::cancelled_error&) {
        ++cancelled;
      }
    }
    ended = true;
    return 3;
  }
};

}  // namespace

TEST_CASE("AIO-TMO-001: a block that takes longer ends by timeout_error") {
  asyncio::run([] {
    seen told;
    CHECK(sleep_in([](auto body) { asyncio::timeout(1ms, body); }, 1h, told) == "timeout");
    CHECK(told.expired);
    CHECK_THROWS_AS(asyncio::timeout(1ms, sleep_long), asyncio::timeout_error);
  });
}

TEST_CASE("AIO-TMO-002: a deadline") {
  asyncio::run([] {
    seen told;
    const auto deadline = asyncio::clock::now() + 1ms;
    CHECK(sleep_in([&](auto body) { asyncio::timeout_at(deadline, body); }, 1h, told) == "timeout");
    CHECK(told.expired);
    CHECK(told.when == deadline);
  });
}

TEST_CASE("AIO-TMO-003: of two with one deadline the inner one passes the cancellation on") {
  asyncio::run([] {
    journal log;
    const auto deadline = asyncio::clock::now() + 1ms;
    CHECK(thrown_by([&] {
            asyncio::timeout_at(deadline, [&](timeout_scope& outer) {
              CHECK(thrown_by([&] {
                      asyncio::timeout_at(deadline, [&](timeout_scope& inner) {
                        finally(sleep_long,
                                [&] { log(inner.expired() && outer.expired() ? "both expired" : "one"); });
                      });
                    }) == "cancelled: ");
              throw asyncio::cancelled_error();
            });
          }) == "timeout");
    CHECK(log.text() == "both expired");
    CHECK(asyncio::current_task().cancelling() == 0);
  });
}

TEST_CASE("AIO-TMO-004: the block sees the cancellation") {
  asyncio::run([] {
    std::string seen_in_block;
    CHECK(thrown_by([&] {
            asyncio::timeout(1ms, [&] {
              seen_in_block = thrown_by(sleep_long);
              throw asyncio::cancelled_error();
            });
          }) == "timeout");
    CHECK(seen_in_block == "cancelled: ");
  });
}

TEST_CASE("AIO-TMO-005: a block that ends in time") {
  asyncio::run([] {
    seen told;
    CHECK(sleep_in([](auto body) { asyncio::timeout(1h, body); }, 1ms, told) == "none");
    CHECK_FALSE(told.expired);
    CHECK(told.when > asyncio::clock::now());
  });
}

TEST_CASE("AIO-TMO-006, AIO-TMO-007: none: it never ends") {
  asyncio::run([] {
    seen told;
    CHECK(sleep_in([](auto body) { asyncio::timeout(std::nullopt, body); }, 1ms, told) == "none");
    CHECK_FALSE(told.expired);
    CHECK_FALSE(told.when);
    told = {true, asyncio::clock::now()};
    CHECK(sleep_in([](auto body) { asyncio::timeout_at(std::nullopt, body); }, 1ms, told) == "none");
    CHECK_FALSE(told.expired);
    CHECK_FALSE(told.when);
  });
}

TEST_CASE(
    "AIO-TMO-008, AIO-TMO-009, AIO-TMO-010: of no time, or less, it ends a long sleep, and one of a turn") {
  asyncio::run([] {
    for (const asyncio::duration delay : {asyncio::duration(0s), asyncio::duration(-11s)}) {
      for (const asyncio::duration sleep : {asyncio::duration(1h), asyncio::duration(0s)}) {
        seen told;
        const auto before = asyncio::clock::now();
        CHECK(sleep_in([&](auto body) { asyncio::timeout(delay, body); }, sleep, told) == "timeout");
        CHECK(told.expired);
        CHECK(*told.when <= asyncio::clock::now());
        CHECK((*told.when >= before) == (delay == 0s));
      }
    }
  });
}

TEST_CASE("AIO-TMO-011: another exception comes out as it is") {
  asyncio::run([] {
    CHECK(thrown_by([] {
            asyncio::timeout(1ms, [](timeout_scope& scope) {
              CHECK_FALSE(scope.expired());
              throw std::logic_error("key");
            });
          }) == "key");
  });
}

TEST_CASE(
    "AIO-TMO-012: the cause of the timeout_error is the cancelled_error, raised while another is handled") {
  asyncio::run([] {
    const std::exception_ptr raised = support::raised_by([] {
      asyncio::timeout(1ms, [] {
        try {
          throw std::runtime_error("division by zero");
        } catch (const std::runtime_error&) {
          CHECK(thrown_by(sleep_long) == "cancelled: ");
          CHECK(text_of(std::current_exception()) == "division by zero");
          throw asyncio::cancelled_error("of the block");
        }
      });
    });
    CHECK(support::is_a<asyncio::timeout_error>(raised));
    CHECK(text_of(support::cause_of(raised)) == "cancelled: of the block");
  });
}

TEST_CASE("AIO-TMO-013, AIO-TMO-014: an error in cleaning up comes out itself") {
  asyncio::run([] {
    CHECK(thrown_by([] {
            asyncio::timeout(1ms, [] { finally(sleep_long, [] { throw std::runtime_error("crash"); }); });
          }) == "crash");
    CHECK(thrown_by([] {
            asyncio::timeout(1ms, [] {
              finally([] { finally([] { throw std::runtime_error("value"); }, sleep_long); },
                      [] {
                        finally([] { throw std::runtime_error("key"); },
                                [] { throw std::runtime_error("zero"); });
                      });
            });
          }) == "zero");
    CHECK(asyncio::current_task().cancelling() == 0);
    asyncio::sleep(0s);
  });
}

TEST_CASE("AIO-TMO-015: cancelled by somebody else before the deadline, it is cancelled") {
  asyncio::run([] {
    const auto t = asyncio::create_task([] {
      asyncio::timeout(1h, [](timeout_scope& scope) {
        finally(
            [] {
              asyncio::current_task().cancel();
              sleep_long();
            },
            [&] { CHECK_FALSE(scope.expired()); });
      });
    });
    CHECK(thrown_by_awaiting(t) == "cancelled: ");
    CHECK(t.cancelled());
  });
}

TEST_CASE("AIO-TMO-016: a timeout that is handled leaves the task not cancelled") {
  asyncio::run([] {
    const auto t = asyncio::create_task(
        [] { CHECK_THROWS_AS(asyncio::timeout(1ms, sleep_long), asyncio::timeout_error); });
    asyncio::await(t);
    CHECK_FALSE(t.cancelled());
    CHECK(t.done());
  });
}

TEST_CASE("AIO-TMO-017: the outer deadline is over while the block is busy: it is the outer one's") {
  asyncio::run([] {
    std::string of_inner;
    CHECK(thrown_by([&] {
            asyncio::timeout(1ms, [&] {
              try {
                asyncio::timeout(1h, [] {
                  be_busy_until(asyncio::clock::now() + 3ms);
                  sleep_long();
                });
              } catch (...) {
                of_inner = text_of(std::current_exception());
                throw;
              }
            });
          }) == "timeout");
    CHECK(of_inner == "cancelled: ");
  });
}

TEST_CASE("AIO-TMO-018: when the inner one has been handled, one that is over meanwhile ends the next wait") {
  asyncio::run([] {
    bool handled = false;
    bool behind = false;
    CHECK(thrown_by([&] {
            asyncio::timeout(1h, [&](timeout_scope& outer) {
              try {
                asyncio::timeout(1ms, [&] {
                  be_busy_until(asyncio::clock::now() + 2ms);
                  sleep_long();
                });
              } catch (const asyncio::timeout_error&) {
                handled = true;
              }
              outer.reschedule(asyncio::clock::now() + 1ms);
              be_busy_until(*outer.when() + 1ms);
              sleep_long();
              behind = true;
            });
          }) == "timeout");
    CHECK(handled);
    CHECK_FALSE(behind);
  });
}

TEST_CASE("AIO-TMO-019: a deadline can be moved, also away") {
  asyncio::run([] {
    const auto first = asyncio::clock::now() + 1h;
    const auto given = asyncio::create_future<timeout_scope*>();
    bool expired = true;
    const auto t = asyncio::create_task([&] {
      asyncio::timeout_at(first, [&](timeout_scope& scope) {
        given.set_result(&scope);
        finally(sleep_long, [&] { expired = scope.expired(); });
      });
    });
    timeout_scope& scope = *asyncio::await(given);
    CHECK(scope.when() == first);
    scope.reschedule(first + 1h);
    CHECK(scope.when() == first + 1h);
    scope.reschedule(std::nullopt);
    CHECK_FALSE(scope.when());
    t.cancel();
    CHECK(thrown_by_awaiting(t) == "cancelled: ");
    CHECK_FALSE(expired);
  });
}

TEST_CASE(
    "AIO-TMO-020, AIO-TMO-021, AIO-TMO-023: what it prints as: active, with a deadline or without, or "
    "expiring") {
  asyncio::run([] {
    const asyncio::time_point when(1234ms);
    asyncio::timeout(1h, [&](timeout_scope& scope) {
      CHECK(scope.repr().rfind("<timeout [active] when=", 0) == 0);
      scope.reschedule(std::nullopt);
      CHECK(scope.repr() == "<timeout [active] when=none>");
    });
    asyncio::timeout_at(std::nullopt, [&](timeout_scope& scope) {
      scope.reschedule(when);  // long ago, however new the machine
      CHECK(scope.repr() == "<timeout [active] when=1.234>");
      CHECK(thrown_by(sleep_long) == "cancelled: ");
      CHECK(scope.repr() == "<timeout [expiring] when=1.234>");
    });
  });
}

TEST_CASE("AIO-TMO-024: one in the cleaning up of another; each is an error of its own") {
  asyncio::run([] {
    std::exception_ptr inner;
    const std::exception_ptr outer = support::raised_by([&] {
      asyncio::timeout(1ms, [&] {
        finally(sleep_long, [&] { inner = support::raised_by([] { asyncio::timeout(1ms, sleep_long); }); });
      });
    });
    for (const std::exception_ptr& each : {inner, outer}) {
      CHECK(support::is_a<asyncio::timeout_error>(each));
      CHECK(text_of(support::cause_of(each)) == "cancelled: ");
    }
    CHECK(inner != outer);
    CHECK(support::cause_of(inner) != support::cause_of(outer));
  });
}

TEST_CASE(
    "AIO-TMO-025, AIO-TMO-026: in a task that has swallowed a cancellation it works, and a further one is "
    "one") {
  asyncio::run([] {
    const auto t = asyncio::create_task([] {
      const auto me = asyncio::current_task();
      me.cancel();
      CHECK(thrown_by(sleep_long) == "cancelled: ");
      CHECK(me.cancelling() == 1);
      CHECK(thrown_by([] { asyncio::timeout(0s, sleep_long); }) == "timeout");
      CHECK(me.cancelling() == 1);
      CHECK(thrown_by([&] {
              asyncio::timeout(1h, [&] {
                me.cancel();
                sleep_long();
              });
            }) == "cancelled: ");
      CHECK(me.cancelling() == 2);
    });
    asyncio::await(t);
  });
}

TEST_CASE("AIO-TMO-031: between its time and its end it cannot be moved") {
  asyncio::run([] {
    asyncio::timeout(1ms, [](timeout_scope& scope) {
      CHECK(thrown_by(sleep_long) == "cancelled: ");
      CHECK_THROWS_AS(scope.reschedule(asyncio::clock::now()), krait::runtime_error);
      CHECK(thrown_by([&] { scope.reschedule({}); }) == "Cannot change state of expiring Timeout");
    });
  });
}

TEST_CASE("AIO-TMO-033: outside of a task there is none") {
  bool ran = false;
  const auto body = [&] { ran = true; };
  CHECK(thrown_by([&] { asyncio::timeout(1h, body); }) == "no running task: only a task can wait");
  asyncio::event_loop loop;
  asyncio_tests::reports told(loop);
  loop.call_soon([&] { asyncio::timeout(1h, body); });
  loop.run_until_complete([] {});
  CHECK(told.log.text() == "Exception in callback: no running task: only a task can wait");
  CHECK_FALSE(ran);
}

TEST_CASE("AIO-TMO-034: around a group whose task fails in cleaning up, the group comes out") {
  asyncio::run([] {
    CHECK(group_of([] {
            asyncio::timeout(1ms, [] {
              asyncio::task_group([](auto& group) {
                static_cast<void>(group.create_task(
                    [] { finally(sleep_long, [] { throw std::runtime_error("in cleanup"); }); }));
                finally([] { throw std::runtime_error("value"); }, sleep_long);
              });
            });
          }) == "in cleanup");
    CHECK(asyncio::current_task().cancelling() == 0);
  });
}

TEST_CASE("AIO-WF-001: cancelled, it waits for what does not want to end") {
  asyncio::run([] {
    stubborn inner;
    const auto t = asyncio::create_task([&] { return asyncio::wait_for([&] { return inner.run(); }, 1h); });
    asyncio::sleep(1ms);
    t.cancel();
    asyncio::wait(std::vector{t});
    CHECK(inner.ended);
    CHECK(inner.cancelled == 1);
  });
}

TEST_CASE("AIO-WF-002: when the time is over, it waits for what does not want to end") {
  asyncio::run([] {
    stubborn inner;
    thrown_by([&] { asyncio::wait_for([&] { return inner.run(); }, 1ms); });
    CHECK(inner.ended);
    CHECK(inner.cancelled == 1);
  });
}

TEST_CASE("AIO-WF-003: of no time, or less: what is done has its value") {
  asyncio::run([] {
    const auto f = asyncio::create_future<std::string>();
    f.set_result("done");
    CHECK(asyncio::wait_for(f, 0s) == "done");
    CHECK(asyncio::wait_for(f, -1s) == "done");
  });
}

TEST_CASE("AIO-WF-004: of no time, or less: a function is never called") {
  asyncio::run([] {
    bool called = false;
    for (const asyncio::duration delay : {asyncio::duration(0s), asyncio::duration(-1s)}) {
      CHECK(thrown_by([&] { asyncio::wait_for([&] { called = true; }, delay); }) == "timeout");
    }
    asyncio::sleep(0s);
    CHECK_FALSE(called);
  });
}

TEST_CASE("AIO-WF-005, AIO-WF-006: a task that runs is cancelled, and waited for, whatever the time is") {
  for (const asyncio::duration delay :
       {asyncio::duration(0s), asyncio::duration(-1s), asyncio::duration(1ms)}) {
    asyncio::run([&] {
      bool cleaned_up = false;
      const auto running = asyncio::create_future<void>();
      const auto t = asyncio::create_task([&] {
        running.set_result();
        finally(sleep_long, [&] { cleaned_up = true; });
      });
      asyncio::await(running);
      CHECK(thrown_by([&] { asyncio::wait_for(t, delay); }) == "timeout");
      CHECK(t.done());
      CHECK(t.cancelled());
      CHECK(cleaned_up);
    });
  }
}

TEST_CASE("AIO-WF-007: without a time it waits") {
  asyncio::run([] {
    CHECK(asyncio::wait_for(
              [] {
                asyncio::sleep(1ms);
                return std::string("done");
              },
              std::nullopt) == "done");
  });
}

TEST_CASE("AIO-WF-008: what is set in the turn in which the wait begins is its result") {
  asyncio::run([] {
    const auto f = asyncio::create_future<std::string>();
    asyncio::get_running_loop().call_soon([&] { f.set_result("ok"); });
    const auto t = asyncio::create_task([&] { return asyncio::wait_for(f, 1h); });
    CHECK(asyncio::await(t) == "ok");
  });
}

TEST_CASE("AIO-WF-009, AIO-WF-015: what returns when it is cancelled has its value") {
  asyncio::run([] {
    const auto inner = [] {
      CHECK(thrown_by(sleep_long) == "cancelled: ");
      return 42;
    };
    CHECK(asyncio::wait_for(inner, 1ms) == 42);
    const auto t = asyncio::create_task([&] { return asyncio::wait_for(inner, 1h); });
    asyncio::sleep(1ms);
    t.cancel();
    CHECK(asyncio::await(t) == 42);
  });
}

TEST_CASE(
    "AIO-WF-010, AIO-WF-011: its cleaning up is waited for; the cause of the timeout_error is its "
    "cancellation") {
  for (const asyncio::duration delay : {asyncio::duration(1ms), asyncio::duration(0s)}) {
    asyncio::run([&] {
      bool ended = false;
      const auto inner = asyncio::create_task([&] {
        finally(sleep_long, [&] {
          asyncio::sleep(2ms);
          ended = true;
        });
      });
      asyncio::sleep(0s);
      const std::exception_ptr raised = support::raised_by([&] { asyncio::wait_for(inner, delay); });
      CHECK(support::is_a<asyncio::timeout_error>(raised));
      CHECK(ended);
      CHECK(inner.cancelled());
      CHECK(support::is_a<asyncio::cancelled_error>(support::cause_of(raised)));
    });
  }
}

TEST_CASE("AIO-WF-012: an error in its cleaning up comes out instead") {
  asyncio::run([] {
    CHECK(thrown_by([] {
            asyncio::wait_for([] { finally(sleep_long, [] { throw std::runtime_error("foo"); }); }, 1ms);
          }) == "foo");
  });
}

TEST_CASE("AIO-WF-013, AIO-WF-014: cancelled, so is what it waits for") {
  for (const std::optional<asyncio::duration> delay :
       {std::optional<asyncio::duration>(), std::optional<asyncio::duration>(1h)}) {
    asyncio::run([&] {
      const auto inner = asyncio::create_task(sleep_long);
      const auto t = asyncio::create_task([&] { asyncio::wait_for(inner, delay); });
      asyncio::sleep(1ms);
      t.cancel("why");
      CHECK(thrown_by_awaiting(t) == "cancelled: why");
      CHECK(inner.cancelled());
    });
  }
}

TEST_CASE(
    "AIO-WF-016: cancelled in the turn in which the task ends, it is cancelled, and the result is kept") {
  asyncio::run([] {
    const auto inner = asyncio::create_task([] { return std::string("done"); });
    bool behind = false;
    const auto t = asyncio::create_task([&] {
      asyncio::wait_for(inner, 1h);
      sleep_long();
      behind = true;
    });
    CHECK_FALSE(t.done());
    asyncio::sleep(0s);
    t.cancel();
    CHECK(thrown_by_awaiting(t) == "cancelled: ");
    CHECK(inner.done());
    CHECK(asyncio::await(inner) == "done");
    CHECK_FALSE(behind);
  });
}

TEST_CASE(
    "AIO-WF-017, AIO-WF-018, AIO-WF-019: of a shield, for no time, for ever, and for too short a time") {
  asyncio::run([] {
    const auto go = asyncio::create_future<void>();
    const auto t = asyncio::create_task([&] {
      asyncio::await(go);
      return std::string("done");
    });
    const auto shield = asyncio::shield(t);
    CHECK(thrown_by([&] { asyncio::wait_for(shield, 0s); }) == "timeout");
    CHECK(shield.cancelled());
    CHECK_FALSE(t.done());
    CHECK(thrown_by([&] { asyncio::wait_for(asyncio::shield(t), 1ms); }) == "timeout");
    CHECK_FALSE(t.done());
    asyncio::get_running_loop().call_soon([&] { go.set_result(); });
    CHECK(asyncio::wait_for(asyncio::shield(t), std::nullopt) == "done");
    CHECK(t.done());
    CHECK_FALSE(t.cancelled());
  });
}
