// SPDX-License-Identifier: BSL-1.0
#include <krait/asyncio.hpp>

#include <doctest/doctest.h>

#include <chrono>
#include <stdexcept>
#include <string>
#include <vector>

#include "support/tasks.hpp"

// CPython's test_taskgroups.py, lazy and eager.

namespace {

namespace asyncio = krait::asyncio;
using namespace std::chrono_literals;
using asyncio_tests::group_of;
using asyncio_tests::lazy_and_eager;
using asyncio_tests::members;
using asyncio_tests::text_of;
using asyncio_tests::thrown_by;
using support::journal;

[[noreturn]] void fail(const char* text) {
  throw std::runtime_error(text);
}
void sleep_long() {
  asyncio::sleep(1h);
}
/// Fails when it is cancelled.
void fail_in_cleanup(const char* text) {
  try {
    sleep_long();
  } catch (const asyncio::cancelled_error&) {
    fail(text);
  }
}

}  // namespace

TEST_CASE("AIO-TG-001, AIO-TG-002: the group waits for all, also for one that is added later") {
  lazy_and_eager([](const asyncio::task_options& how) {
    asyncio::task<int> a, b;
    CHECK(asyncio::task_group([&](auto& group) {
            a = group.create_task(
                [] {
                  asyncio::sleep(2ms);
                  return 42;
                },
                how);
            asyncio::sleep(1ms);
            b = group.create_task([] { return 11; }, how);
            return 3;
          }) == 3);
    CHECK(a.result() == 42);
    CHECK(b.result() == 11);
  });
}

TEST_CASE("AIO-TG-003: a child that is cancelled alone is no failure") {
  lazy_and_eager([](const asyncio::task_options& how) {
    asyncio::task<void> a, b;
    asyncio::task_group([&](auto& group) {
      a = group.create_task(sleep_long, how);
      b = group.create_task([] { asyncio::sleep(2ms); }, how);
      asyncio::sleep(1ms);
      a.cancel();
    });
    CHECK(a.cancelled());
    CHECK_FALSE(b.cancelled());
  });
}

TEST_CASE("AIO-TG-004, AIO-TG-005: a child that fails cancels the others, and the body") {
  lazy_and_eager([](const asyncio::task_options& how) {
    asyncio::task<void> other;
    bool behind = false;
    CHECK(group_of([&] {
            asyncio::task_group([&](auto& group) {
              static_cast<void>(group.create_task([] { fail("a"); }, how));
              other = group.create_task(sleep_long, how);
              sleep_long();
              behind = true;
            });
          }) == "a");
    CHECK(other.cancelled());
    CHECK_FALSE(behind);
    CHECK(asyncio::current_task().cancelling() == 0);
    CHECK(group_of([&] {
            asyncio::task_group([&](auto& group) {
              static_cast<void>(group.create_task([] { fail("a"); }, how));
              static_cast<void>(group.create_task([] { fail_in_cleanup("b"); }, how));
              static_cast<void>(group.create_task(sleep_long, how));
              asyncio::sleep(0s);
            });
          }) == "a, b");
  });
}

TEST_CASE("AIO-TG-006, AIO-TG-007, AIO-TG-017: cancelled from outside, all are, and so is the group") {
  lazy_and_eager([](const asyncio::task_options& how) {
    for (const bool in_body : {false, true}) {
      std::vector<asyncio::task<void>> children;
      const auto runner = asyncio::create_task([&] {
        asyncio::task_group([&](auto& group) {
          for (int i = 0; i < 5; ++i) {
            children.push_back(group.create_task(sleep_long, how));
          }
          if (in_body) {
            sleep_long();
          }
        });
      });
      asyncio::sleep(1ms);
      runner.cancel();
      CHECK(group_of([&] { asyncio::await(runner); }) == "cancelled");
      for (const auto& each : children) {
        CHECK(each.cancelled());
      }
    }
    const auto empty = asyncio::create_task([] { asyncio::task_group([](auto&) { sleep_long(); }); });
    asyncio::sleep(0s);
    empty.cancel();
    CHECK(group_of([&] { asyncio::await(empty); }) == "cancelled");
  });
}

TEST_CASE("AIO-TG-008: TG6: errors beat cancellation, which is not lost") {
  lazy_and_eager([](const asyncio::task_options& how) {
    journal log;
    const auto runner = asyncio::create_task([&] {
      log(group_of([&] {
        asyncio::task_group([&](auto& group) {
          static_cast<void>(group.create_task([] { fail_in_cleanup("a"); }, how));
          sleep_long();
        });
      }));
      CHECK(asyncio::current_task().cancelling() == 1);
      asyncio::sleep(0s);
    });
    asyncio::sleep(1ms);
    runner.cancel();
    CHECK(thrown_by([&] { asyncio::await(runner); }).rfind("cancelled", 0) == 0);
    CHECK(log.text() == "a");
  });
}

TEST_CASE("AIO-TG-009, AIO-TG-010, AIO-TG-019: an error of the body cancels the children") {
  lazy_and_eager([](const asyncio::task_options& how) {
    asyncio::task<void> child;
    CHECK(group_of([&] {
            asyncio::task_group([&](auto& group) {
              child = group.create_task(sleep_long, how);
              asyncio::sleep(1ms);
              fail("body");
            });
          }) == "body");
    CHECK(child.cancelled());
    CHECK(group_of([&] {
            asyncio::task_group([&](auto& group) {
              child = group.create_task(sleep_long, how);
              fail("body");
            });
          }) == "body");
    CHECK(child.cancelled());
    CHECK(group_of([&] {
            asyncio::task_group([&](auto& group) {
              static_cast<void>(group.create_task([] { fail("child"); }, how));
              fail_in_cleanup("body");
            });
          }) == "child, body");
  });
}

TEST_CASE("AIO-TG-011, AIO-TG-013, AIO-TG-014: groups in groups") {
  lazy_and_eager([](const asyncio::task_options& how) {
    CHECK(group_of([&] {
            asyncio::task_group([&](auto& outer) {
              static_cast<void>(outer.create_task(sleep_long, how));
              asyncio::task_group([&](auto& inner) {
                static_cast<void>(inner.create_task([] { fail("inner"); }, how));
                sleep_long();
              });
            });
          }) == "[inner]");
    CHECK(group_of([&] {
            asyncio::task_group([&](auto& outer) {
              static_cast<void>(outer.create_task(
                  [] {
                    asyncio::sleep(0s);
                    fail("outer");
                  },
                  how));
              asyncio::task_group(
                  [&](auto& inner) { static_cast<void>(inner.create_task(sleep_long, how)); });
            });
          }) == "outer");
    const auto runner = asyncio::create_task([&] {
      asyncio::task_group([&](auto&) {
        asyncio::task_group(
            [&](auto& inner) { static_cast<void>(inner.create_task([] { fail_in_cleanup("deep"); }, how)); });
      });
    });
    asyncio::sleep(1ms);
    runner.cancel();
    CHECK(group_of([&] { asyncio::await(runner); }) == "[deep]");
  });
}

TEST_CASE("AIO-TG-020: system_exit comes out bare") {
  asyncio::event_loop loop;
  CHECK_THROWS_AS(
      loop.run_until_complete([] { asyncio::task_group([](auto&) { throw asyncio::system_exit(1); }); }),
      asyncio::system_exit);
}

TEST_CASE("AIO-TG-025, AIO-TG-029: children may add children, but not while the group shuts down") {
  lazy_and_eager([](const asyncio::task_options& how) {
    int ran = 0;
    asyncio::task_group([&](auto& group) {
      static_cast<void>(group.create_task(
          [&] {
            asyncio::sleep(0s);
            static_cast<void>(group.create_task([&] { ++ran; }, how));
          },
          how));
    });
    CHECK(ran == 1);
    journal log;
    CHECK(group_of([&] {
            asyncio::task_group([&](auto& group) {
              static_cast<void>(group.create_task(
                  [&] {
                    try {
                      sleep_long();
                    } catch (const asyncio::cancelled_error&) {
                      log(thrown_by([&] { static_cast<void>(group.create_task([] {}, how)); }));
                      throw;
                    }
                  },
                  how));
              asyncio::sleep(0s);
              fail("x");
            });
          }) == "x");
    CHECK(log.text() == "TaskGroup is shutting down");
  });
}

TEST_CASE("an eager child that fails does not interrupt create_task") {
  asyncio::run([] {
    bool went_on = false;
    CHECK(group_of([&] {
            asyncio::task_group([&](auto& group) {
              static_cast<void>(group.create_task([] { fail("eager"); }, {.eager = true}));
              went_on = true;
              sleep_long();
            });
          }) == "eager");
    CHECK(went_on);
  });
}

TEST_CASE("a task group needs a task") {
  CHECK(thrown_by([] { asyncio::task_group([](auto&) {}); }) == "no running task: only a task can wait");
}

TEST_CASE("TG10: cancel ends the group, from its body or a child, and throws nothing") {
  lazy_and_eager([](const asyncio::task_options& how) {
    for (const bool by_child : {false, true}) {
      asyncio::task<void> child;
      journal log;
      asyncio::task_group([&](auto& group) {
        child = group.create_task(sleep_long, how);
        if (by_child) {
          static_cast<void>(group.create_task([&] { group.cancel(); }, how));
        } else {
          group.cancel();
          group.cancel();
        }
        CHECK(thrown_by([&] { asyncio::sleep(0s); }) == "cancelled: ");
        log("told");
        throw asyncio::cancelled_error();
      });
      CHECK(child.cancelled());
      CHECK(log.text() == "told");
      CHECK(asyncio::current_task().cancelling() == 0);
      asyncio::sleep(0s);
    }
    // In the end, where only the tasks are waited for.
    asyncio::task_group([&](auto& group) {
      static_cast<void>(group.create_task(sleep_long, how));
      static_cast<void>(group.create_task(
          [&] {
            asyncio::sleep(0s);
            asyncio::sleep(0s);
            group.cancel();
          },
          how));
    });
    CHECK(thrown_by([] {
            asyncio::task_group([](auto& group) {
              group.cancel();
              asyncio::sleep(0s);
              return 3;
            });
          }) == "cancelled: ");
    CHECK(asyncio::task_group([](auto& group) {
            group.cancel();
            return 3;
          }) == 3);
  });
}

TEST_CASE("TG10: an error, or a cancellation from outside, is not swallowed with it") {
  lazy_and_eager([](const asyncio::task_options& how) {
    CHECK(group_of([&] {
            asyncio::task_group([&](auto& group) {
              static_cast<void>(group.create_task([] { fail_in_cleanup("a"); }, how));
              asyncio::sleep(0s);
              group.cancel();
              asyncio::sleep(0s);
            });
          }) == "a");
    const auto runner = asyncio::create_task([] {
      asyncio::task_group([](auto& group) {
        asyncio::current_task().cancel("outside");
        group.cancel();
        asyncio::sleep(0s);
      });
    });
    CHECK(thrown_by([&] { asyncio::await(runner); }).rfind("cancelled", 0) == 0);
  });
}

TEST_CASE("start waits until the task says that it is ready") {
  lazy_and_eager([](const asyncio::task_options& how) {
    journal log;
    asyncio::task_group([&](auto& group) {
      const auto server = group.start(
          [&](auto started) {
            asyncio::sleep(0s);
            log("listening");
            started();
            started();
            asyncio::sleep(0s);
            log("served");
            return 3;
          },
          how);
      log("started");
      CHECK(asyncio::await(server) == 3);
      CHECK(thrown_by([&] { static_cast<void>(group.start([](auto) {}, how)); }) ==
            "the task has ended and not called started()");
    });
    CHECK(log.text() == "listening, started, served");
  });
}
