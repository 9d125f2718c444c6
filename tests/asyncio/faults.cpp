// SPDX-License-Identifier: BSL-1.0
#include <krait/asyncio.hpp>

#include <doctest/doctest.h>

#include <chrono>
#include <csignal>
#include <exception>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include <krait/krait.hpp>

#include "support/probes.hpp"
#include "support/tasks.hpp"

// What goes wrong with tasks, and what becomes of it: docs/asyncio.md, "When something is wrong".

namespace {

namespace asyncio = krait::asyncio;
using namespace std::chrono_literals;
using asyncio_tests::finally;
using asyncio_tests::reports;
using asyncio_tests::text_of;
using asyncio_tests::thrown_by;
using asyncio_tests::turns;
using support::journal;

/// Does the process end by std::terminate?
template <class F>
bool terminates(F body) {
  return probes::in_child([&] {
           std::signal(SIGABRT, SIG_DFL);  // doctest's handler is not for a task's stack
           std::fclose(stderr);
           asyncio::run(body);
           return 0;
         })
      .killed_by(SIGABRT);
}

}  // namespace

TEST_CASE("a task that refuses cancellation is waited for when the loop closes") {
  journal log;
  {
    asyncio::event_loop loop;
    const reports told(loop);
    loop.run_until_complete([&] {
      static_cast<void>(asyncio::create_task([&] {
        for (int i = 0; i < 3; ++i) {
          try {
            asyncio::sleep(i == 0 ? 1h : 1ms);
          } catch (const asyncio::cancelled_error&) {
            log("no");
          }
        }
        log("done");
      }));
      asyncio::sleep(0s);
    });
    loop.close();
    CHECK(told.log.text().empty());
  }
  CHECK(log.text() == "no, done");
}

TEST_CASE(
    "a task that refuses, and waits for what never comes: in debug mode close() says so, and can be called "
    "again") {
  asyncio::run_options options;
  options.debug = true;
  asyncio::event_loop loop(options);
  const reports told(loop);
  const auto never = loop.create_future<void>();
  const auto refuses = loop.create_task([&] { asyncio::await(asyncio::shield(never)); }, {.name = "refuses"});
  static_cast<void>(refuses);
  loop.run_until_complete([] { asyncio::sleep(0s); });
  const auto stubborn =
      loop.create_task([&] { asyncio::no_cancel([&] { asyncio::await(never); }); }, {.name = "stubborn"});
  loop.run_until_complete([] { asyncio::sleep(0s); });
  CHECK(thrown_by([&] { loop.close(); }) ==
        "deadlock: no task can go on, and nothing that could wake one is pending");
  CHECK(told.log.text().starts_with("task stubborn waits for what nobody can do\n  + "));
  CHECK_FALSE(loop.is_closed());
  CHECK(refuses.cancelled());
  never.set_result();
  loop.close();
  CHECK(loop.is_closed());
  CHECK(stubborn.done());
}

TEST_CASE(
    "what is noexcept, and a destructor, cannot be cancelled: that is std::terminate, but for no_cancel") {
  const auto waits = []() noexcept { asyncio::sleep(1h); };
  const auto cancelled = [](auto body) {
    return [body] {
      const auto t = asyncio::create_task(body);
      turns(2);
      t.cancel();
      turns(2);
    };
  };
  CHECK(terminates(cancelled(waits)));
  CHECK(terminates(cancelled([] { const finally scope{[] { asyncio::sleep(1h); }}; })));

  asyncio::run([&] {
    journal log;
    const auto t = asyncio::create_task([&] {
      [&]() noexcept {
        asyncio::no_cancel([] { turns(3); });
        log("noexcept");
      }();
      {
        const finally scope{[&] {
          asyncio::no_cancel([] { turns(3); });
          log("destructor");
        }};
      }
      asyncio::sleep(0s);
      log("never");
    });
    turns(2);
    t.cancel();
    CHECK(thrown_by([&] { asyncio::await(t); }) == "cancelled: ");
    CHECK(log.text() == "noexcept, destructor");
  });
}

TEST_CASE("in a destructor that an exception calls nothing is cancelled, also in a try, nor by a deadline") {
  asyncio::run([] {
    journal log;
    const auto slow = asyncio::create_task([] { asyncio::sleep(1h); });
    const auto t = asyncio::create_task([&] {
      try {
        const finally scope{[&] {
          try {
            turns(3);
            log("whole");
            CHECK(asyncio::move_on_after(100us, [] { asyncio::sleep(300us); }));
            log("also whole");
          } catch (const asyncio::cancelled_error&) {
            log("cancelled");
          }
          // So is one bounded.
          CHECK(asyncio::wait(std::vector{slow}, 100us).pending.size() == 1);
        }};
        throw std::runtime_error("x");
      } catch (const std::runtime_error&) {
        log("caught");
      }
      asyncio::sleep(0s);
      log("never");
    });
    turns(2);
    t.cancel();
    CHECK(thrown_by([&] { asyncio::await(t); }) == "cancelled: ");
    CHECK(log.text() == "whole, also whole, caught");
    slow.cancel();
  });
}

TEST_CASE("a generator has a stack of its own: in one that such a destructor iterates, waits are cancelled") {
  asyncio::run([] {
    journal log;
    const auto ticks = []() -> krait::generator<int> {
      return [](auto& yield) {
        for (int i = 0; i < 2; ++i) {
          turns(2);
          yield(i);
        }
      };
    };
    const auto t = asyncio::create_task([&] {
      try {
        const finally scope{[&] {
          asyncio::no_cancel([&] {
            for (const int i : ticks()) {
              log(std::to_string(i));
            }
          });
          try {
            for (const int i : ticks()) {
              log("no " + std::to_string(i));
            }
          } catch (const asyncio::cancelled_error& error) {
            log(error.message());
          }
        }};
        throw std::runtime_error("x");
      } catch (const std::runtime_error&) {
        log("caught");
      }
    });
    turns(2);
    t.cancel("cancelled");
    asyncio::await(t);
    CHECK(log.text() == "0, 1, cancelled, caught");
  });
}

TEST_CASE("a generator that is dropped half-run may wait to clean up, and a cancellation then is not lost") {
  journal log;
  const auto numbers = [&](const char* how) -> krait::generator<int> {
    return [&log, how](auto& yield) {
      const finally scope{[&] {
        asyncio::no_cancel([] { turns(1); });
        log(how);
      }};
      try {
        yield(1);
      } catch (...) {
        turns(3);  // cancelled here
        log("never");
        throw;
      }
    };
  };
  const support::unraisables ignored;
  asyncio::run([&] {
    const auto t = asyncio::create_task([&] {
      for (const int i : numbers("left")) {
        CHECK(i == 1);
        break;
      }
      log("behind");
      asyncio::sleep(0s);
      log("never");
    });
    turns(2);
    t.cancel("kept");
    CHECK(thrown_by([&] { asyncio::await(t); }) == "cancelled: kept");
  });
  CHECK(log.text() == "left, behind");
  CHECK(ignored.count() == 0);
}

TEST_CASE("a generator that another task drops while one waits in it goes on to its next yield") {
  journal log;
  const support::unraisables ignored;
  asyncio::run([&] {
    auto shared = std::make_optional<krait::generator<int>>([&](auto& yield) {
      const support::at_end end(log, "ended");
      turns(3);
      yield(1);
      log("never");
    });
    const auto t = asyncio::create_task([&] { shared->next(); });
    turns(2);
    CHECK(thrown_by([&] { shared->next(); }) == "generator already executing");
    shared.reset();
    log("dropped");
    asyncio::wait(std::vector{t});
    log(text_of(t.exception()));
  });
  CHECK(log.text() == "dropped, ended, task raised StopIteration");
  CHECK(ignored.text() == "krait::value_error: generator already executing");
}

TEST_CASE("AG3: an asynchronous generator in which one task waits is busy to all others") {
  asyncio::run([] {
    krait::async_generator<int> g = [](auto& yield) {
      turns(3);
      yield(1);
      turns(3);
      yield(2);
    };
    const auto t = asyncio::create_task([&] { return asyncio::await(g.anext()); });
    turns(2);
    const std::string busy = "asynchronous generator is already running";
    CHECK(thrown_by([&] { asyncio::await(g.anext()); }) == "anext(): " + busy);
    CHECK(thrown_by([&] { asyncio::await(g.athrow(std::runtime_error("x"))); }) == "athrow(): " + busy);
    CHECK(thrown_by([&] { asyncio::await(g.aclose()); }) == "aclose(): " + busy);
    CHECK(asyncio::await(t) == 1);
    asyncio::await(g.aclose());
    CHECK_THROWS_AS(static_cast<void>(asyncio::await(g.anext())), krait::stop_async_iteration);
    krait::async_generator<int> ignores = [](auto& yield) {
      try {
        yield(1);
      } catch (const krait::generator_exit&) {
        yield(2);
      }
    };
    static_cast<void>(asyncio::await(ignores.anext()));
    CHECK(thrown_by([&] { asyncio::await(ignores.aclose()); }) == "async generator ignored GeneratorExit");
  });
}

namespace {

/// Yields a future to whoever drives, and takes its value then. Python: Future.__await__.
template <class T>
krait::awaitable_generator<asyncio::any_future, void, T> yielded(asyncio::future<T> of) {
  return [of](auto& yield) -> T {
    yield(of);
    return of.result();
  };
}

}  // namespace

TEST_CASE("what a coroutine yields to the loop: a future is waited for, nothing is a turn") {
  using coroutine = krait::coroutine<asyncio::any_future, void, int>;
  journal log;
  asyncio::run([&] {
    const auto three = asyncio::create_task([&] {
      turns(4);
      log("three");
      return 3;
    });
    const auto fails = asyncio::create_task([]() -> int { throw std::runtime_error("no"); });
    const auto sum = [&](asyncio::future<int> a) -> coroutine {
      return [&, a](auto& co) {
        const int first = co.await(yielded(a));
        const int again = co.await(yielded(a));
        try {
          co.await(yielded<int>(fails));
        } catch (const std::runtime_error& error) {
          log(error.what());
        }
        co.await(krait::awaitable_generator<asyncio::any_future>([](auto& yield) { yield({}); }));
        return first + again;
      };
    };
    const auto t = asyncio::create_task([&] { return asyncio::await(sum(three)); });
    CHECK(asyncio::await(t) == 6);

    // Cancelled there, so is what it waits for.
    const auto slow = asyncio::create_task([]() -> int {
      asyncio::sleep(1h);
      return 0;
    });
    const auto cancelled = asyncio::create_task([&] { return asyncio::await(sum(slow)); });
    turns(2);
    cancelled.cancel("enough");
    CHECK(thrown_by([&] { asyncio::await(cancelled); }) == "cancelled: enough");
    CHECK(slow.cancelled());

    // And an asynchronous generator.
    krait::async_generator<int, void, asyncio::any_future> numbers = [&](auto& yield) {
      yield(yield.await(yielded<int>(three)));
    };
    CHECK(asyncio::await(numbers.anext()) == 3);
    CHECK_THROWS_AS(static_cast<void>(asyncio::await(numbers.anext())), krait::stop_async_iteration);
  });
  CHECK(log.text() == "three, no");
}
