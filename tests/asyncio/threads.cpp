// SPDX-License-Identifier: BSL-1.0
#include <krait/asyncio.hpp>

#include <doctest/doctest.h>

#include <signal.h>

#include <atomic>
#include <chrono>
#include <memory>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "support/tasks.hpp"

// Threads (TH), signals (RN4, RN5), context variables (T8), debug mode (DBG).

namespace {

namespace asyncio = krait::asyncio;
using namespace std::chrono_literals;
using asyncio_tests::reports;
using asyncio_tests::thrown_by;
using support::journal;

/// doctest has a handler of its own, with which Ctrl-C is not the loop's.
struct default_interrupt {
  struct sigaction before{};
  default_interrupt() {
    struct sigaction by_default{};
    by_default.sa_handler = SIG_DFL;
    ::sigaction(SIGINT, &by_default, &before);
  }
  ~default_interrupt() { ::sigaction(SIGINT, &before, nullptr); }
};

asyncio::context_var<int> number("number");
asyncio::context_var<std::string> word("word", "default");

}  // namespace

TEST_CASE("TH1: to_thread runs in another thread, in a copy of the context, while others run") {
  asyncio::run([] {
    const auto here = std::this_thread::get_id();
    number.set(3);
    std::atomic<bool> go = false;
    const auto other = asyncio::create_task([&] { go = true; });
    CHECK(asyncio::to_thread(
              [&](int n) {
                while (!go) {
                  std::this_thread::yield();
                }
                CHECK(std::this_thread::get_id() != here);
                const int seen = number.get();
                number.set(n);
                return seen + number.get();
              },
              4) == 7);
    CHECK(number.get() == 3);
    CHECK(thrown_by([] { asyncio::to_thread([] { throw std::runtime_error("there"); }); }) == "there");
    int x = 0;
    CHECK(&asyncio::to_thread([&]() -> int& { return x; }) == &x);
    CHECK(*asyncio::to_thread([p = std::make_unique<int>(5)]() mutable { return std::move(p); }) == 5);
  });
}

TEST_CASE("TH1: a cancelled wait leaves the thread alone") {
  std::atomic<bool> ended = false;
  asyncio::run([&] {
    std::atomic<bool> started = false;
    std::atomic<bool> go = false;
    const auto t = asyncio::create_task([&] {
      asyncio::to_thread([&] {
        started = true;
        while (!go) {
          std::this_thread::yield();
        }
        ended = true;
      });
    });
    while (!started) {
      asyncio::sleep(0s);
    }
    t.cancel();
    CHECK(thrown_by([&] { asyncio::await(t); }).rfind("cancelled", 0) == 0);
    go = true;
    asyncio::shutdown_default_executor();
    CHECK(ended);
    CHECK(thrown_by([] { asyncio::to_thread([] {}); }) == "Executor shutdown has been called");
  });
}

TEST_CASE("TH2, TH5: a pool of one's own; run waits for the loop's") {
  std::atomic<int> count = 0;
  asyncio::thread_pool pool(2);
  asyncio::run([&] {
    std::vector<asyncio::future<int>> all;
    for (int i = 0; i < 50; ++i) {
      all.push_back(asyncio::run_in_executor(pool, [&, i] {
        ++count;
        return i;
      }));
    }
    const auto got = asyncio::await(asyncio::gather(all));
    for (int i = 0; i < 50; ++i) {
      CHECK(got[static_cast<std::size_t>(i)] == i);
    }
    static_cast<void>(asyncio::run_in_executor([&] {
      std::this_thread::sleep_for(5ms);
      ++count;
    }));
  });
  CHECK(count == 51);
  pool.shutdown();
  CHECK(thrown_by([&] { pool.post([] {}); }) == "cannot schedule new futures after shutdown");
}

TEST_CASE("a thread that outlives its loop is no harm") {
  asyncio::thread_pool pool(1);
  std::atomic<bool> go = false;
  {
    asyncio::event_loop loop;
    loop.run_until_complete([&] {
      static_cast<void>(asyncio::run_in_executor(pool, [&] {
        while (!go) {
          std::this_thread::yield();
        }
        return std::string("dropped");
      }));
    });
  }
  go = true;
}

TEST_CASE("TH3: another thread has the loop run a function") {
  asyncio::event_loop loop;
  const auto here = std::this_thread::get_id();
  std::thread other([&] {
    const auto sum = asyncio::run_threadsafe(loop, [&] {
      CHECK(std::this_thread::get_id() == here);
      asyncio::sleep(1ms);
      return 3;
    });
    CHECK(sum.get(asyncio::duration::max()) == 3);
    CHECK(sum.done());
    CHECK_FALSE(sum.cancel());
    const auto fails = asyncio::run_threadsafe(loop, [] { throw std::runtime_error("x"); });
    CHECK(thrown_by([&] { fails.get(); }) == "x");
    const auto never = asyncio::run_threadsafe(loop, [] { asyncio::sleep(1h); });
    CHECK_THROWS_AS(never.get(1ms), asyncio::timeout_error);
    CHECK_FALSE(never.done());
    CHECK(never.cancel("enough"));
    CHECK(thrown_by([&] { never.get(); }) == "cancelled: enough");
    loop.call_soon_threadsafe([&] { loop.stop(); });
  });
  loop.run_forever();
  other.join();
}

TEST_CASE("TH3: a loop that is closed before it has run the function says so") {
  auto loop = std::make_unique<asyncio::event_loop>();
  const auto lost = asyncio::run_threadsafe(*loop, [] { return 1; });
  const auto cancelled = asyncio::run_threadsafe(*loop, [] { asyncio::sleep(1h); });
  loop.reset();
  CHECK(thrown_by([&] { lost.get(); }) == "Event loop is closed");
  CHECK(thrown_by([&] { cancelled.get(); }) == "Event loop is closed");
}

TEST_CASE("TH4: wrap_future: one loop waits for what another runs") {
  asyncio::event_loop far;
  std::thread other([&] { far.run_forever(); });
  asyncio::run([&] {
    CHECK(asyncio::await(asyncio::wrap_future(asyncio::run_threadsafe(far, [] {
            asyncio::sleep(1ms);
            return 4;
          }))) == 4);
    const auto endless = asyncio::run_threadsafe(far, [] { asyncio::sleep(1h); });
    const auto wrapped = asyncio::wrap_future(endless);
    CHECK_THROWS_AS(asyncio::wait_for(wrapped, 1ms), asyncio::timeout_error);
    while (!endless.done()) {
      asyncio::sleep(1ms);
    }
    CHECK(thrown_by([&] { endless.get(); }).rfind("cancelled", 0) == 0);
  });
  far.call_soon_threadsafe([&] { far.stop(); });
  other.join();
}

#if defined(__cpp_lib_jthread)
TEST_CASE("a stop_token cancels a task, whichever thread asks, also too late") {
  std::stop_source source;
  asyncio::run([&] {
    const auto t = asyncio::create_task([] { asyncio::sleep(1h); });
    asyncio::cancel_on_stop(t, source.get_token());
    const auto quick = asyncio::create_task([] { return 1; });
    asyncio::cancel_on_stop(quick, source.get_token());
    CHECK(asyncio::await(quick) == 1);
    std::thread other([&] { source.request_stop(); });
    CHECK(thrown_by([&] { asyncio::await(t); }).rfind("cancelled", 0) == 0);
    other.join();
    CHECK(quick.result() == 1);
    const auto late = asyncio::create_task([] { asyncio::sleep(1h); });
    asyncio::cancel_on_stop(late, source.get_token());
    CHECK(thrown_by([&] { asyncio::await(late); }).rfind("cancelled", 0) == 0);
  });
}
#endif

TEST_CASE(
    "T8: each task has its own variables, a copy of its maker's; a callback those of whoever scheduled it") {
  journal log;
  CHECK(thrown_by([] { number.get(); }) == "context variable 'number' is not set");
  CHECK(number.get(7) == 7);
  CHECK(word.get() == "default");
  asyncio::run([&] {
    number.set(1);
    const auto child = asyncio::create_task([&] {
      log(std::to_string(number.get()));
      number.set(2);
      asyncio::sleep(0s);
      log(std::to_string(number.get()));
    });
    asyncio::get_running_loop().call_soon([&] {
      log("callback " + std::to_string(number.get()));
      number.set(9);
    });
    number.set(3);
    asyncio::await(child);
    log(std::to_string(number.get()));
    const auto eager = asyncio::create_task(
        [&] {
          number.set(4);
          return number.get();
        },
        {.eager = true});
    CHECK(eager.result() == 4);
    CHECK(number.get() == 3);
  });
  CHECK(log.text() == "1, callback 1, 2, 3");
  CHECK(number.get(7) == 7);
}

TEST_CASE("a token sets what there was before; contexts can be run in, and given to tasks") {
  asyncio::run([] {
    auto first = number.set(1);
    auto second = number.set(2);
    CHECK(second.old_value() == 1);
    CHECK_FALSE(first.old_value());
    number.reset(second);
    CHECK(number.get() == 1);
    CHECK(thrown_by([&] { number.reset(second); }) == "the token has already been used once");
    number.reset(first);
    CHECK(number.get(0) == 0);

    const asyncio::context mine = asyncio::copy_context();
    mine.run([] { number.set(5); });
    CHECK(number.get(0) == 0);
    asyncio::task_options in_mine;
    in_mine.context = mine;
    const auto t = asyncio::create_task(
        [] {
          const int before = number.get();
          number.set(6);
          return before;
        },
        in_mine);
    CHECK(asyncio::await(t) == 5);
    CHECK(mine.run([] { return number.get(); }) == 6);
    auto elsewhere = mine.run([] { return number.set(8); });
    CHECK(thrown_by([&] { number.reset(elsewhere); }) == "the token was created in a different context");
  });
}

TEST_CASE("RN3: the functions of a runner share a context") {
  asyncio::runner runner;
  runner.run([] { number.set(3); });
  CHECK(runner.run([] { return number.get(); }) == 3);
  CHECK(number.get(0) == 0);
}

TEST_CASE("RN5: signal handlers are called by the loop") {
  asyncio::event_loop loop;
  journal log;
  loop.add_signal_handler(SIGUSR1, [&] { log("replaced"); });
  loop.add_signal_handler(SIGUSR1, [&] {
    log("signal");
    loop.stop();
  });
  loop.call_soon([] { ::raise(SIGUSR1); });
  loop.run_forever();
  loop.call_soon([] { ::raise(SIGUSR1); });
  loop.run_forever();
  CHECK(loop.remove_signal_handler(SIGUSR1));
  CHECK_FALSE(loop.remove_signal_handler(SIGUSR1));
  CHECK(log.text() == "signal, signal");
  CHECK_THROWS(loop.add_signal_handler(SIGKILL, [] {}));
  CHECK_THROWS(loop.add_signal_handler(-3, [] {}));
}

TEST_CASE("RN4: Ctrl-C cancels the main task, which may clean up") {
  const default_interrupt scope;
  journal log;
  CHECK_THROWS_AS(asyncio::run([&] {
                    asyncio::get_running_loop().call_later(1ms, [] { ::raise(SIGINT); });
                    try {
                      asyncio::sleep(1h);
                    } catch (const asyncio::cancelled_error&) {
                      asyncio::sleep(1ms);
                      log("cleaned up");
                      throw;
                    }
                  }),
                  asyncio::keyboard_interrupt);
  CHECK(log.text() == "cleaned up");
  // Swallowed, it is as if nothing had been.
  CHECK(asyncio::run([] {
          asyncio::get_running_loop().call_later(1ms, [] { ::raise(SIGINT); });
          try {
            asyncio::sleep(1h);
          } catch (const asyncio::cancelled_error&) {
          }
          return 3;
        }) == 3);
  struct sigaction after{};
  ::sigaction(SIGINT, nullptr, &after);
  CHECK((after.sa_handler == SIG_DFL));
}

TEST_CASE("RN4: cancelled by somebody else, too, it is cancelled; a second Ctrl-C leaves at once") {
  const default_interrupt scope;
  CHECK(thrown_by([] {
          asyncio::run([] {
            const auto me = asyncio::current_task();
            asyncio::get_running_loop().call_later(1ms, [me] {
              me.cancel("other");
              ::raise(SIGINT);
            });
            asyncio::sleep(1h);
          });
        }).rfind("cancelled", 0) == 0);
  asyncio::runner runner;
  bool enough = false;
  CHECK_THROWS_AS(runner.run([&] {
    const auto me = asyncio::current_task();
    const auto presses = asyncio::create_task([me] {
      for (int i = 0; i < 2; ++i) {
        ::raise(SIGINT);
        while (me.cancelling() == i) {
          asyncio::sleep(0s);
        }
      }
    });
    asyncio::no_cancel([&] {
      while (!enough) {
        asyncio::sleep(1ms);
      }
    });
  }),
                  asyncio::keyboard_interrupt);
  enough = true;
}

TEST_CASE("DBG2: debug mode reports what is slow") {
  asyncio::run_options options;
  options.debug = true;
  asyncio::event_loop loop(options);
  reports told(loop);
  CHECK(loop.get_debug());
  CHECK(loop.slow_callback_duration() == 100ms);
  loop.set_slow_callback_duration(1h);
  loop.run_until_complete([&] {
    asyncio::current_task().set_name("main");
    asyncio::sleep(0s);
    CHECK(told.log.text().empty());
    loop.set_slow_callback_duration(2ms);
    std::this_thread::sleep_for(5ms);
    asyncio::sleep(0s);
    CHECK(told.log.text().find("Executing task main took 0.0") != std::string::npos);
  });
}

TEST_CASE("L10: debug mode tells of what another thread must not call") {
  asyncio::run_options options;
  options.debug = true;
  asyncio::event_loop loop(options);
  loop.run_until_complete([&] {
    asyncio::to_thread([&] {
      CHECK(thrown_by([&] { loop.call_soon([] {}); }) ==
            "Non-thread-safe operation invoked on an event loop other than the current one");
      loop.call_soon_threadsafe([] {});
    });
  });
}

TEST_CASE("debug mode ends a loop in which nothing can go on, and says who waits") {
  asyncio::run_options options;
  options.debug = true;
  asyncio::event_loop loop(options);
  reports told(loop);
  CHECK(thrown_by([&] {
          loop.run_until_complete([] {
            asyncio::current_task().set_name("main");
            asyncio::await(asyncio::create_future<int>());
          });
        }) == "deadlock: no task can go on, and nothing that could wake one is pending");
  CHECK(told.log.text().starts_with("task main waits for what nobody can do\n  + "));
  // A timer, or a thread, can.
  CHECK(loop.run_until_complete([] {
    asyncio::sleep(2ms);
    return asyncio::to_thread([] {
      std::this_thread::sleep_for(2ms);
      return 3;
    });
  }) == 3);
}

TEST_CASE("AG1, AG2: asynchronous generators, dropped or left, are closed by the loop, and may wait in it") {
  using generator = krait::async_generator<int>;
  journal log;
  const auto counting = [&](std::string name) -> generator {
    return [&log, name](auto& yield) {
      const support::at_end told(log, name + " ended");
      struct waits {
        ~waits() { asyncio::sleep(1ms); }
      } cleaning_up;
      for (int i = 0;; ++i) {
        asyncio::sleep(0s);
        yield(i);
      }
    };
  };
  asyncio::runner runner;
  generator left = counting("left");
  runner.run([&] {
    generator dropped = counting("dropped");
    CHECK(asyncio::await(dropped.anext()) == 0);
    CHECK(asyncio::await(dropped.anext()) == 1);
    CHECK(asyncio::await(left.anext()) == 0);
    {
      const generator gone = std::move(dropped);
    }
    CHECK(log.text().empty());
    while (log.text().empty()) {
      asyncio::sleep(0s);
    }
    CHECK(log.text() == "dropped ended");
  });
  runner.close();
  CHECK(log.text() == "dropped ended, left ended");
}

TEST_CASE("a coroutine that is cancelled where it waits can catch that") {
  asyncio::run([] {
    journal log;
    const auto t = asyncio::create_task([&] {
      asyncio::await(krait::coroutine<>([&](auto&) {
        try {
          asyncio::sleep(1h);
        } catch (const asyncio::cancelled_error&) {
          log("caught");
        }
        asyncio::sleep(0s);
        log("went on");
      }));
    });
    asyncio::sleep(0s);
    t.cancel();
    asyncio::await(t);
    CHECK(log.text() == "caught, went on");
  });
}

TEST_CASE("no_cancel holds a cancellation back until it has ended") {
  asyncio::run([] {
    journal log;
    const auto t = asyncio::create_task([&] {
      CHECK(asyncio::no_cancel([&] {
              asyncio::sleep(1ms);
              asyncio::await(asyncio::create_task([] { asyncio::sleep(0s); }));
              log("whole");
              return 3;
            }) == 3);
      log("behind");
      asyncio::sleep(0s);
      log("never");
    });
    asyncio::sleep(0s);
    t.cancel("held");
    CHECK(thrown_by([&] { asyncio::await(t); }) == "cancelled: held");
    CHECK(log.text() == "whole, behind");
  });
}

TEST_CASE("AC1: as_completed: in the order in which they are done, the very tasks") {
  asyncio::run([] {
    std::vector<asyncio::task<int>> all;
    for (const int turns : {9, 1, 5}) {
      all.push_back(asyncio::create_task([turns] {
        for (int i = 0; i < turns; ++i) {
          asyncio::sleep(0s);
        }
        return turns;
      }));
    }
    all.push_back(all[0]);
    std::vector<int> order;
    for (const auto& each : asyncio::as_completed(all)) {
      CHECK(each.done());
      CHECK((each == all[0] || each == all[1] || each == all[2]));
      order.push_back(each.result());
    }
    CHECK(order == std::vector{1, 5, 9});
  });
}

TEST_CASE("AC1: when the time is over, each further step is a timeout_error, and nothing is cancelled") {
  asyncio::run([] {
    const auto quick = asyncio::create_future<int>();
    quick.set_result(1);
    const std::vector waited{quick, asyncio::create_future<int>(), asyncio::create_future<int>()};
    auto steps = asyncio::as_completed(waited, 2ms);
    CHECK(steps.size() == 3);
    CHECK(steps.next() == quick);
    CHECK_THROWS_AS(static_cast<void>(steps.next()), asyncio::timeout_error);
    CHECK_THROWS_AS(static_cast<void>(steps.next()), asyncio::timeout_error);
    CHECK_THROWS_AS(static_cast<void>(steps.next()), krait::stop_iteration<>);
    CHECK_FALSE(waited[1].done());
    // A step that is cancelled takes nothing.
    auto again = asyncio::as_completed(std::vector{waited[1]});
    const auto t = asyncio::create_task([&] { static_cast<void>(again.next()); });
    asyncio::sleep(0s);
    t.cancel();
    asyncio::sleep(0s);
    waited[1].set_result(2);
    CHECK(again.next().result() == 2);
    const auto five = [] { return 5; };
    for (const auto& each : asyncio::as_completed(std::vector{five, five})) {
      CHECK(each.result() == 5);
    }
  });
}

TEST_CASE("SR1: staggered_race: the first that returns wins, the others are cancelled and waited for") {
  asyncio::run([] {
    journal log;
    using function = std::function<int()>;
    const auto fails = function([]() -> int { throw std::runtime_error("no"); });
    int started = 0;
    const auto slow = function([&] {
      ++started;
      const support::at_end end(log, "slow ended");
      asyncio::sleep(1h);
      return 1;
    });
    const auto quick = function([] { return 2; });
    const auto won = asyncio::staggered_race<int>({fails, slow, quick, fails}, 2ms);
    CHECK(won.winner == 2);
    CHECK(won.index == 2U);
    CHECK(won.exceptions.size() == 3);
    CHECK(asyncio_tests::text_of(won.exceptions[0]) == "no");
    CHECK(asyncio_tests::text_of(won.exceptions[1]).rfind("cancelled", 0) == 0);
    CHECK(won.exceptions[2] == nullptr);
    CHECK(log.text() == "slow ended");

    const auto lost = asyncio::staggered_race<int>({fails, fails}, {});
    CHECK_FALSE(lost.winner);
    CHECK(lost.exceptions.size() == 2);
    CHECK(asyncio::staggered_race<int>({}, {}).exceptions.empty());

    const auto t = asyncio::create_task([&] { asyncio::staggered_race<int>({slow, slow}, 1ms); });
    while (started < 3) {
      asyncio::sleep(0s);
    }
    t.cancel();
    CHECK(thrown_by([&] { asyncio::await(t); }).rfind("cancelled", 0) == 0);
    CHECK(log.text() == "slow ended, slow ended, slow ended");
  });
}
