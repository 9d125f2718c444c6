// SPDX-License-Identifier: BSL-1.0
#include <krait/asyncio.hpp>

#include <doctest/doctest.h>

#include <chrono>
#include <exception>
#include <functional>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "support/tasks.hpp"

// CPython's test_asyncgen.py, what of it needs an event loop: asynchronous generators in tasks, whose bodies wait as any
// function does. What Python writes as `finally` is a destructor.

namespace {

namespace asyncio = krait::asyncio;
using namespace std::chrono_literals;
using asyncio_tests::finally;
using asyncio_tests::reports;
using asyncio_tests::text_of;
using asyncio_tests::thrown_by;
using support::is_a;
using support::raised_by;
using generator = krait::async_generator<int>;
using two_way_generator = krait::async_generator<int, int>;

struct zero_division : std::runtime_error {
  zero_division() : std::runtime_error("division by zero") {}
};
struct foo_error : std::runtime_error {
  foo_error() : std::runtime_error("foo") {}
};

void nap() {
  asyncio::sleep(std::chrono::microseconds(100));
}
void turn() {
  asyncio::sleep(0s);
}
/// `[i async for i in g]`
template <class Generator>
std::vector<int> list(Generator& g) {
  std::vector<int> all;
  for (;;) {
    try {
      all.push_back(asyncio::await(g.anext()));
    } catch (const krait::stop_async_iteration&) {
      return all;
    }
  }
}
template <class Operation>
bool ends(Operation operation) {
  return is_a<krait::stop_async_iteration>(raised_by([&] { asyncio::await(std::move(operation)); }));
}
/// Waits for a task that is cancelled meanwhile.
void sleep_and_be_cancelled() {
  const auto sleeps = asyncio::create_task([] { asyncio::sleep(1h); });
  asyncio::get_running_loop().call_later(1ms, [sleeps] { sleeps.cancel(); });
  asyncio::await(sleeps);
}

}  // namespace

TEST_CASE("AIO-AGEN-001 AIO-AGEN-002 one that waits gives its items in order, to its end or its error") {
  asyncio::run([] {
    generator two = [](auto& yield) {
      yield(1);
      nap();
      yield(2);
      nap();
    };
    CHECK(list(two) == std::vector{1, 2});
    generator fails = [](auto& yield) {
      yield(1);
      nap();
      yield(2);
      throw zero_division();
    };
    CHECK(is_a<zero_division>(raised_by([&] { list(fails); })));
    CHECK(ends(fails.anext()));
  });
}

TEST_CASE("AIO-AGEN-003 step by step, and no further; or with an error in place of a step") {
  const auto make = []() -> generator {
    return [](auto& yield) {
      yield(1);
      nap();
      try {
        yield(2);
        yield(3);
      } catch (const zero_division&) {
        yield(1000);
      }
      nap();
      yield(4);
    };
  };
  asyncio::run([&] {
    generator it = make();
    for (const int expected : {1, 2, 3, 4}) {
      CHECK(asyncio::await(it.anext()) == expected);
    }
    CHECK(ends(it.anext()));
    CHECK(ends(it.anext()));

    generator thrown = make();
    CHECK(asyncio::await(thrown.anext()) == 1);
    CHECK(asyncio::await(thrown.anext()) == 2);
    auto step = thrown.anext();
    CHECK(support::stop_value<int>([&] { step.throw_(zero_division()); }) == 1000);
    CHECK(asyncio::await(thrown.anext()) == 4);
    CHECK(ends(thrown.anext()));
  });
}

TEST_CASE("AIO-AGEN-004 what is sent is what `yield` returns") {
  asyncio::run([] {
    two_way_generator it = [](auto& yield) {
      int v = yield(1);
      v = yield(v);
      yield(v * 100);
    };
    CHECK(asyncio::await(it.anext()) == 1);
    CHECK(asyncio::await(it.asend(10)) == 10);
    CHECK(asyncio::await(it.asend(12)) == 1200);
    CHECK(ends(it.asend(0)));
  });
}

TEST_CASE("AIO-AGEN-005 AIO-AGEN-010 AIO-AGEN-018 a body that swallows everything at its `yield` ends") {
  enum class by { next, close, error };
  for (const by way : {by::next, by::close, by::error}) {
    int done = 0;
    asyncio::run([&] {
      generator g = [&](auto& yield) {
        try {
          yield(0);
        } catch (...) {
        }
        done = 1;
      };
      CHECK(asyncio::await(g.anext()) == 0);
      if (way == by::next) {
        CHECK(ends(g.anext()));
      } else if (way == by::close) {
        asyncio::await(g.aclose());
      } else {
        CHECK(ends(g.athrow(krait::value_error("x"))));
      }
      done += 10;
    });
    CHECK(done == 11);
  }
}

TEST_CASE("AIO-AGEN-006 AIO-AGEN-011 one that yields while it is closed is told that") {
  asyncio::run([] {
    const auto ignored = [](generator& g) {
      const auto raised = raised_by([&] { asyncio::await(g.aclose()); });
      CHECK(is_a<krait::runtime_error>(raised));
      CHECK(text_of(raised) == "async generator ignored GeneratorExit");
    };
    generator waits = [](auto& yield) {
      try {
        yield(1);
      } catch (const krait::generator_exit&) {
        nap();
        yield(12);
      }
    };
    asyncio::await(waits.anext());
    ignored(waits);
    bool behind = false;
    generator swallows = [&](auto& yield) {
      try {
        yield(0);
      } catch (...) {
      }
      yield(0);
      behind = true;
    };
    asyncio::await(swallows.anext());
    ignored(swallows);
    CHECK_FALSE(behind);
  });
}

TEST_CASE(
    "AIO-AGEN-007 AIO-AGEN-008 closed, it waits in its cleaning up, and nothing behind its `yield` is run") {
  asyncio::run([] {
    int done = 0;
    const auto future = asyncio::create_future<void>();
    generator g = [&](auto& yield) {
      {
        const finally end([&] {
          nap();
          nap();
          done += 1;
        });
        yield(1);
        asyncio::await(future);
        done += 1000;
        yield(2);
      }
      done += 1000;
    };
    CHECK(asyncio::await(g.anext()) == 1);
    asyncio::await(g.aclose());
    CHECK(done == 1);
    CHECK_FALSE(future.done());
  });
}

TEST_CASE("AIO-AGEN-009 dropped, it is closed by the loop within two turns") {
  int done = 0;
  asyncio::event_loop loop;
  loop.run_until_complete([&] {
    std::optional<generator> g(std::in_place, [&](auto& yield) {
      const finally end([&] {
        turn();
        done = 1;
      });
      for (;;) {
        yield(1);
      }
    });
    asyncio::await(g->anext());
    asyncio::await(g->anext());
    g.reset();
    turn();
    turn();
  });
  CHECK(done == 1);
}

TEST_CASE("AIO-AGEN-012 in its cleaning up it may await a task, which may fail") {
  asyncio::run([] {
    int done = 0;
    generator g = [&](auto& yield) {
      const auto task = asyncio::create_task([] {
        nap();
        throw zero_division();
      });
      const finally end([&] {
        try {
          asyncio::await(task);
        } catch (const zero_division&) {
          done = 1;
        }
      });
      yield(1);
    };
    asyncio::await(g.anext());
    asyncio::await(g.aclose());
    CHECK(done == 1);
  });
}

namespace {
/// Waits, yields 1, receives v, does something, yields v * 2, and cleans up.
two_way_generator receiving(int& done, std::function<void()> between) {
  return [&done, between = std::move(between)](auto& yield) {
    const finally end([&] {
      nap();
      nap();
      done += 1;
    });
    nap();
    int v = 0;
    try {
      v = yield(1);
    } catch (const foo_error&) {
      v = 1000;
      between();
    }
    if (v != 1000) {
      between();
    }
    yield(v * 2);
    nap();
  };
}
}  // namespace

TEST_CASE(
    "AIO-AGEN-013 AIO-AGEN-014 AIO-AGEN-015 it waits between what it is sent, may fail there, or be "
    "cancelled") {
  asyncio::run([] {
    int done = 0;
    two_way_generator waits = receiving(done, nap);
    CHECK(asyncio::await(waits.anext()) == 1);
    CHECK(asyncio::await(waits.asend(100)) == 200);
    CHECK(ends(waits.asend(0)));
    CHECK(done == 1);

    two_way_generator fails = receiving(done, [] {
      nap();
      throw zero_division();
    });
    CHECK(asyncio::await(fails.anext()) == 1);
    CHECK(is_a<zero_division>(raised_by([&] { asyncio::await(fails.asend(100)); })));
    CHECK(done == 2);

    two_way_generator cancelled = receiving(done, sleep_and_be_cancelled);
    CHECK(asyncio::await(cancelled.anext()) == 1);
    CHECK(is_a<asyncio::cancelled_error>(raised_by([&] { asyncio::await(cancelled.asend(100)); })));
    CHECK(done == 3);
  });
}

TEST_CASE(
    "AIO-AGEN-016 AIO-AGEN-017 an error that is thrown in may be handled, by waiting, or by being "
    "cancelled") {
  asyncio::run([] {
    int done = 0;
    two_way_generator waits = receiving(done, nap);
    CHECK(asyncio::await(waits.anext()) == 1);
    CHECK(asyncio::await(waits.athrow(foo_error())) == 2000);
    CHECK(ends(waits.asend(0)));
    CHECK(done == 1);

    two_way_generator cancelled = receiving(done, sleep_and_be_cancelled);
    CHECK(asyncio::await(cancelled.anext()) == 1);
    CHECK(is_a<asyncio::cancelled_error>(raised_by([&] { asyncio::await(cancelled.athrow(foo_error())); })));
    CHECK(done == 2);
  });
}

TEST_CASE("AIO-AGEN-019 shutdown_asyncgens closes all that have begun, and waits for their cleaning up") {
  asyncio::event_loop loop;
  int finalized = 0;
  const auto waiter = [&]() -> generator {
    return [&](auto& yield) {
      const finally end([&] {
        turn();
        ++finalized;
      });
      asyncio::sleep(100us);
      yield(1);
      asyncio::sleep(1h);
    };
  };
  // Two that are cancelled where they wait, and two that are suspended.
  std::vector<generator> all;
  for (int i = 0; i < 4; ++i) {
    all.push_back(waiter());
  }
  std::vector<asyncio::task<void>> tasks;
  for (generator& each : all) {
    tasks.push_back(loop.create_task([&] {
      asyncio::await(each.anext());
      if (&each < &all[2]) {
        asyncio::await(each.anext());
      }
    }));
  }
  loop.run_until_complete([] { asyncio::sleep(3ms); });
  for (int i = 0; i < 2; ++i) {
    tasks[static_cast<std::size_t>(i)].cancel();
    CHECK(is_a<asyncio::cancelled_error>(
        raised_by([&] { loop.run_until_complete(tasks[static_cast<std::size_t>(i)]); })));
  }
  CHECK(finalized == 2);
  loop.shutdown_asyncgens();
  CHECK(finalized == 4);
}

TEST_CASE(
    "AIO-AGEN-020 AIO-AGEN-021 AIO-AGEN-022 AIO-AGEN-023 run closes what is left half-run, and reports what "
    "fails") {
  enum class is { kept, dropped };
  for (const is how : {is::kept, is::dropped}) {
    for (const bool fails : {false, true}) {
      std::vector<asyncio::error_report> told;
      bool closed = false;
      std::optional<generator> it(std::in_place, [&](auto& yield) {
        try {
          yield(1);
          yield(2);
        } catch (const krait::generator_exit&) {
          closed = true;
          if (fails) {
            throw zero_division();
          }
          throw;
        }
      });
      const std::string name = it->repr();
      asyncio::run([&] {
        asyncio::get_running_loop().set_exception_handler(
            [&](const asyncio::error_report& what) { told.push_back(what); });
        CHECK(asyncio::await(it->anext()) == 1);
        if (how == is::dropped) {
          it.reset();
        }
      });
      CHECK(closed);
      REQUIRE(told.size() == (fails ? 1 : 0));
      if (fails) {
        CHECK(told[0].message == "an error occurred during closing of asynchronous generator " + name);
        CHECK(told[0].source == name);
        CHECK(is_a<zero_division>(told[0].exception));
      }
    }
  }
}

TEST_CASE("AIO-AGEN-024 AIO-AGEN-025 an operation is awaited once") {
  asyncio::run([] {
    const auto two = []() -> generator {
      return [](auto& yield) {
        yield(1);
        yield(2);
      };
    };
    generator it = two();
    auto next = it.anext();
    CHECK(asyncio::await(std::move(next)) == 1);
    CHECK(thrown_by([&] { asyncio::await(std::move(next)); }) ==
          "cannot reuse already awaited __anext__()/asend()");
    auto close = it.aclose();
    asyncio::await(std::move(close));
    CHECK(thrown_by([&] { asyncio::await(std::move(close)); }) ==
          "cannot reuse already awaited aclose()/athrow()");
  });
}

TEST_CASE("AIO-AGEN-026 AIO-AGEN-027 one may be closed twice, and after its end") {
  asyncio::run([] {
    const auto two = []() -> generator {
      return [](auto& yield) {
        yield(1);
        yield(2);
      };
    };
    generator unstarted = two();
    asyncio::await(unstarted.aclose());
    asyncio::await(unstarted.aclose());
    CHECK(ends(unstarted.anext()));
    generator exhausted = two();
    CHECK(list(exhausted) == std::vector{1, 2});
    asyncio::await(exhausted.aclose());
    asyncio::await(exhausted.aclose());
  });
}

TEST_CASE("AIO-AGEN-028 AIO-AGEN-029 while one task has it make a step, no other can") {
  asyncio::run([] {
    const auto go = asyncio::create_future<void>();
    generator g = [&](auto& yield) {
      asyncio::await(go);
      yield(1);
    };
    const auto first = asyncio::create_task([&] { return asyncio::await(g.anext()); });
    turn();
    const auto refused = [](auto operation, const std::string& name) {
      const auto raised = raised_by([&] { asyncio::await(std::move(operation)); });
      CHECK(is_a<krait::runtime_error>(raised));
      CHECK(text_of(raised) == name + "(): asynchronous generator is already running");
    };
    refused(g.anext(), "anext");
    refused(g.athrow(foo_error()), "athrow");
    refused(g.aclose(), "aclose");
    go.set_result();
    CHECK(asyncio::await(first) == 1);
    CHECK(ends(g.anext()));
  });
}

TEST_CASE(
    "one that is dropped when the loop ends is closed by the loop, in a task, though that cancels all") {
  int done = 0;
  const auto make = [&]() -> std::unique_ptr<generator> {
    return std::make_unique<generator>([&](auto& yield) {
      const finally end([&] {
        asyncio::sleep(1ms);
        ++done;
      });
      yield(1);
    });
  };
  auto at_the_end = make();
  auto a_turn_before = make();
  asyncio::run([&] {
    asyncio::await(a_turn_before->anext());
    asyncio::await(at_the_end->anext());
    a_turn_before.reset();
    turn();
    at_the_end.reset();
  });
  CHECK(done == 2);
}
