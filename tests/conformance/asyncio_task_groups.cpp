// SPDX-License-Identifier: BSL-1.0
#include <krait/asyncio.hpp>

#include <doctest/doctest.h>

#include <chrono>
#include <exception>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#include "support/tasks.hpp"

// CPython's test_taskgroups.py, lazy and eager: what tests/asyncio/task_groups.cpp does not have.

namespace {

namespace asyncio = krait::asyncio;
using namespace std::chrono_literals;
using asyncio_tests::group_of;
using asyncio_tests::lazy_and_eager;
using asyncio_tests::thrown_by;
using asyncio_tests::turns;
using support::journal;
using options = asyncio::task_options;

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

/// An exception that is counted.
struct counted : std::runtime_error {
  counted() : std::runtime_error("counted") { ++alive; }
  counted(const counted& other) : std::runtime_error(other) { ++alive; }
  ~counted() override { --alive; }
  static inline int alive = 0;
};
/// One that is no std::exception.
struct base_exception {};

asyncio::context_var<int> number("number", 0);

}  // namespace

TEST_CASE("AIO-TG-012: a long task of the outer group is cancelled, too, and adds nothing") {
  lazy_and_eager([](const options& how) {
    asyncio::task<void> longer;
    const auto runner = asyncio::create_task([&] {
      asyncio::task_group([&](auto& outer) {
        longer = outer.create_task(sleep_long, how);
        asyncio::task_group([&](auto& inner) {
          for (int i = 0; i < 5; ++i) {
            static_cast<void>(inner.create_task([] { fail_in_cleanup("z"); }, how));
          }
          sleep_long();
        });
      });
    });
    turns(3);
    CHECK_FALSE(runner.done());
    runner.cancel();
    CHECK(group_of([&] { asyncio::await(runner); }) == "[z, z, z, z, z]");
    CHECK(longer.cancelled());
  });
}

TEST_CASE(
    "AIO-TG-015, AIO-TG-016: a task that fails while the body cleans up interrupts that, and comes out, also "
    "to one who "
    "awaits it") {
  lazy_and_eager([](const options& how) {
    for (const bool awaited : {false, true}) {
      journal log;
      const auto body = [&] {
        asyncio::task_group([&](auto& group) {
          const auto crash = asyncio::create_future<void>();
          static_cast<void>(group.create_task(
              [crash] {
                asyncio::await(crash);
                fail("soon");
              },
              how));
          try {
            sleep_long();
          } catch (const asyncio::cancelled_error&) {
            crash.set_result();
            log(thrown_by(sleep_long));
            throw;
          }
        });
      };
      const auto runner = asyncio::create_task([&] {
        if (awaited) {
          asyncio::await(asyncio::create_task(body, how));
        } else {
          body();
        }
      });
      turns(4);
      runner.cancel("outside");
      CHECK(group_of([&] { asyncio::await(runner); }) == "soon");
      CHECK(log.text() == "cancelled: ");
    }
  });
}

TEST_CASE("AIO-TG-018: a body that makes another error of the cancellation") {
  lazy_and_eager([](const options&) {
    const auto runner =
        asyncio::create_task([] { asyncio::task_group([](auto&) { fail_in_cleanup("instead"); }); });
    turns(2);
    CHECK_FALSE(runner.done());
    runner.cancel();
    CHECK(group_of([&] { asyncio::await(runner); }) == "instead");
  });
}

TEST_CASE("AIO-TG-021, AIO-TG-022: what is no std::exception is in the group, of the body or of a task") {
  lazy_and_eager([](const options& how) {
    for (const bool of_body : {true, false}) {
      const auto raise = [](bool base) {
        if (base) {
          throw base_exception();
        }
        fail("error");
      };
      const std::exception_ptr raised = support::raised_by([&] {
        asyncio::task_group([&](auto& group) {
          static_cast<void>(group.create_task([&] { raise(!of_body); }, how));
          try {
            sleep_long();
          } catch (const asyncio::cancelled_error&) {
            raise(of_body);
          }
        });
      });
      try {
        std::rethrow_exception(raised);
      } catch (const asyncio::exception_group& group) {
        REQUIRE(group.exceptions().size() == 2);
        CHECK(support::is_a<base_exception>(group.exceptions()[of_body ? 1 : 0]));
        CHECK(support::is_a<std::runtime_error>(group.exceptions()[of_body ? 0 : 1]));
      }
    }
  });
}

TEST_CASE("AIO-TG-023: cancelled from outside while the tasks sleep") {
  lazy_and_eager([](const options& how) {
    const auto runner = asyncio::create_task([&] {
      asyncio::task_group([&](auto& group) {
        static_cast<void>(group.create_task(sleep_long, how));
        static_cast<void>(group.create_task(sleep_long, how));
      });
    });
    turns(3);
    runner.cancel();
    CHECK(group_of([&] { asyncio::await(runner); }) == "cancelled");
  });
}

TEST_CASE("AIO-TG-024: a task that has ended is dropped from the group at once") {
  lazy_and_eager([](const options& how) {
    const auto shared = std::make_shared<int>();
    asyncio::task_group([&](auto& group) {
      for (int i = 0; i < 10; ++i) {
        static_cast<void>(group.create_task(
            [shared] {
              asyncio::sleep(0s);
              return shared;
            },
            how));
      }
      CHECK(shared.use_count() > 10);
      turns(4);
      CHECK(shared.use_count() == 1);
    });
  });
}

TEST_CASE("AIO-TG-026: tasks that make more and more are all stopped by one that fails") {
  lazy_and_eager([](const options& how) {
    struct hydras {
      const options& how;
      int count = 0;
      int refused = 0;

      void grow(asyncio::task_group_scope& group) {
        ++count;
        turns(2);
        for (int i = 0; i < 2; ++i) {
          try {
            static_cast<void>(group.create_task([&] { grow(group); }, how));
          } catch (const krait::runtime_error&) {
            ++refused;
            throw asyncio::cancelled_error();
          }
        }
      }
    } all{how};
    CHECK(group_of([&] {
            asyncio::task_group([&](auto& group) {
              static_cast<void>(group.create_task([&] { all.grow(group); }, how));
              static_cast<void>(group.create_task(
                  [&] {
                    while (all.count < 10) {
                      turns(3);
                    }
                    fail("hercules");
                  },
                  how));
            });
          }) == "hercules");
    CHECK(all.count >= 10);
  });
}

TEST_CASE("AIO-TG-027, AIO-TG-045: a task's name, and that it knows it") {
  lazy_and_eager([](options how) {
    how.name = "yolo";
    std::string seen;
    asyncio::task_group([&](auto& group) {
      const auto t = group.create_task(
          [&] {
            seen = asyncio::current_task().name();
            asyncio::sleep(0s);
          },
          how);
      CHECK(t.name() == "yolo");
    });
    CHECK(seen == "yolo");
  });
}

TEST_CASE("AIO-TG-028: a task of a group runs in the context that it is given") {
  lazy_and_eager([](options how) {
    const asyncio::context given = asyncio::copy_context();
    how.context = given;
    asyncio::task_group([&](auto& group) {
      for (const int value : {1, 2}) {
        asyncio::await(group.create_task(
            [value] {
              asyncio::sleep(0s);
              number.set(value);
            },
            how));
        CHECK(given.run([] { return number.get(); }) == value);
      }
    });
    CHECK(number.get() == 0);
  });
}

TEST_CASE("AIO-TG-030: an error in the cleaning up of the body's resources is in the group, too") {
  lazy_and_eager([](const options& how) {
    struct database {
      void enter() {}
      void exit(const std::exception_ptr&) { fail("exit"); }
    };
    CHECK(group_of([&] {
            asyncio::task_group([&](auto& group) {
              krait::with(database(), [&] {
                static_cast<void>(group.create_task([] { fail("task"); }, how));
                sleep_long();
              });
            });
          }) == "task, exit");
    CHECK(asyncio::current_task().cancelling() == 0);
  });
}

TEST_CASE(
    "AIO-TG-033, AIO-TG-036: a group whose tasks have ended takes no more, and drops what it is given") {
  lazy_and_eager([](const options& how) {
    const auto owned = std::make_shared<int>();
    journal log;
    asyncio::task_group([&](auto& group) {
      const auto last = group.create_task([] { turns(2); }, how);
      // Called when the group has heard of its end, and the one who waits has not gone on.
      last.add_done_callback([&] {
        log(thrown_by([&] { static_cast<void>(group.create_task([owned] {}, how)); }));
        CHECK(owned.use_count() == 1);
      });
    });
    CHECK(log.text() == "TaskGroup is finished");
  });
}

TEST_CASE("AIO-TG-035: outside of a task there is no group") {
  bool ran = false;
  const auto body = [&](asyncio::task_group_scope&) { ran = true; };
  CHECK(thrown_by([&] { asyncio::task_group(body); }) == "no running task: only a task can wait");
  asyncio::event_loop loop;
  asyncio_tests::reports told(loop);
  loop.call_soon([&] { asyncio::task_group(body); });
  loop.run_until_complete([] {});
  CHECK(told.log.text() == "Exception in callback: no running task: only a task can wait");
  CHECK_FALSE(ran);
}

TEST_CASE(
    "AIO-TG-037, AIO-TG-047: when a group's error has been handled, the count is as before, and nothing "
    "leaks") {
  lazy_and_eager([](const options& how) {
    for (const int when : {0, 1}) {
      CHECK(group_of([&] {
              asyncio::task_group([&](auto& group) {
                static_cast<void>(group.create_task(
                    [when] {
                      turns(when);
                      fail("x");
                    },
                    how));
              });
            }) == "x");
      CHECK(asyncio::current_task().cancelling() == 0);
      turns(2);
    }
  });
}

TEST_CASE("AIO-TG-038: an inner and an outer group fail together: the outer one's request stands") {
  lazy_and_eager([](const options& how) {
    const auto raising = [](const char* text) {
      return [text] {
        asyncio::sleep(0s);
        fail(text);
      };
    };
    int between = -1;
    CHECK(group_of([&] {
            asyncio::task_group([&](auto& outer) {
              CHECK(group_of([&] {
                      asyncio::task_group([&](auto& inner) {
                        static_cast<void>(inner.create_task(raising("inner"), how));
                        static_cast<void>(outer.create_task(raising("outer"), how));
                      });
                    }) == "inner");
              between = asyncio::current_task().cancelling();
            });
          }) == "outer");
    CHECK(between == 1);
    CHECK(asyncio::current_task().cancelling() == 0);
  });
}

TEST_CASE(
    "AIO-TG-039: cancelled from outside when a task fails: the error comes, and the cancellation at the next "
    "wait") {
  lazy_and_eager([](const options& how) {
    asyncio::event event;
    journal log;
    const auto inner = asyncio::create_task([&] {
      log(group_of([&] {
        asyncio::task_group([&](auto& group) {
          static_cast<void>(group.create_task(
              [&] {
                event.set();
                asyncio::sleep(0s);
                fail("x");
              },
              how));
          sleep_long();
          log("behind");
        });
      }));
      CHECK(asyncio::current_task().cancelling() == 1);
      sleep_long();
      log("behind");
    });
    event.wait();
    CHECK(inner.cancelling() == 0);
    inner.cancel();
    CHECK(inner.cancelling() == 1);
    CHECK(thrown_by([&] { asyncio::await(inner); }) == "cancelled: ");
    CHECK(inner.cancelled());
    CHECK(log.text() == "x");
  });
}

TEST_CASE(
    "AIO-TG-040, AIO-TG-041, AIO-TG-042, AIO-TG-043, AIO-TG-044: of what a group has raised nothing is kept "
    "by it") {
  lazy_and_eager([](const options& how) {
    CHECK(counted::alive == 0);
    SUBCASE("by the body") {
      CHECK(group_of([] { asyncio::task_group([](auto&) { throw counted(); }); }) == "counted");
    }
    SUBCASE("by a task") {
      CHECK(group_of([&] {
              asyncio::task_group(
                  [&](auto& group) { static_cast<void>(group.create_task([] { throw counted(); }, how)); });
            }) == "counted");
      turns(1);
    }
    SUBCASE("in a group of a task of a group") {
      CHECK(group_of([&] {
              asyncio::task_group([&](auto& group) {
                static_cast<void>(
                    group.create_task([] { asyncio::task_group([](auto&) { throw counted(); }); }, how));
              });
            }) == "[counted]");
      turns(1);
    }
    SUBCASE("a cancellation that comes out, in a timeout") {
      std::weak_ptr<int> left;
      std::exception_ptr raised = support::raised_by([&] {
        asyncio::timeout(-1s, [&] {
          asyncio::task_group([&](auto&) {
            const auto owned = std::make_shared<int>();
            left = owned;
            asyncio::sleep(0s);
          });
        });
      });
      CHECK(support::is_a<asyncio::cancelled_error>(support::cause_of(raised)));
      CHECK(left.expired());
    }
    SUBCASE("what leaves the loop") {
      struct interrupt : asyncio::keyboard_interrupt, counted {};
      CHECK(support::is_a<interrupt>(
          support::raised_by([] { asyncio::task_group([](auto&) { throw interrupt(); }); })));
    }
    CHECK(counted::alive == 0);
  });
}

TEST_CASE("AIO-TG-046: a task is cancelled, by one that it has made and that fails, when it waits next") {
  lazy_and_eager([](const options& how) {
    bool ran = false;
    CHECK(group_of([&] {
            asyncio::task_group([&](auto& group) {
              static_cast<void>(group.create_task(
                  [&] {
                    static_cast<void>(group.create_task([] { fail("third"); }, how));
                    CHECK_THROWS_AS(turns(2), asyncio::cancelled_error);
                    ran = true;
                  },
                  how));
            });
          }) == "third");
    CHECK(ran);
  });
}
