// SPDX-License-Identifier: BSL-1.0
#include <krait/asyncio.hpp>

#include <doctest/doctest.h>

#include <signal.h>
#include <stdlib.h>

#include <chrono>
#include <exception>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <thread>
#include <type_traits>
#include <utility>
#include <vector>

#include "support/tasks.hpp"

// CPython's test_runners.py.

namespace {

namespace asyncio = krait::asyncio;
using namespace std::chrono_literals;
using asyncio_tests::reports;
using asyncio_tests::thrown_by;
using support::is_a;
using support::journal;
using support::raised_by;

void turn() {
  asyncio::sleep(0s);
}
template <class T>
concept can_be_run = requires(T object) { asyncio::run(object); };
template <class T>
concept a_runner_runs = requires(asyncio::runner& runner, T object) { runner.run(object); };

/// KRAIT_DEBUG in the environment, while it lives.
struct debug_variable {
  explicit debug_variable(const char* value) { ::setenv("KRAIT_DEBUG", value, 1); }
  ~debug_variable() { ::unsetenv("KRAIT_DEBUG"); }
};

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

asyncio::context_var<int> variable("cvar", -1);

}  // namespace

// ------------------------------------------------------------------------------------------------------------- run

TEST_CASE("AIO-RUN-001 AIO-RUN-002 run returns what main does, or throws it") {
  CHECK(asyncio::run([] {
          turn();
          return 42;
        }) == 42);
  CHECK(thrown_by([] {
          asyncio::run([] {
            turn();
            throw std::logic_error("spam");
          });
        }) == "spam");
}

TEST_CASE("AIO-RUN-003 only what can be called, or awaited, is run") {
  CHECK(can_be_run<int (*)()>);
  CHECK_FALSE(can_be_run<int>);
  CHECK_FALSE(can_be_run<const char*>);
  CHECK_FALSE(can_be_run<void (*)(int)>);
  CHECK_FALSE(a_runner_runs<int>);
}

TEST_CASE("AIO-RUN-004 AIO-RUN-010 AIO-RUN-011 debug mode as it is asked for, else as the environment says") {
  const auto debug = [](std::optional<bool> asked) {
    asyncio::runner runner({.debug = asked});
    const bool in_runner = runner.get_loop().get_debug();
    CHECK(asyncio::run([] { return asyncio::get_running_loop().get_debug(); }, {.debug = asked}) ==
          in_runner);
    return in_runner;
  };
  CHECK_FALSE(debug({}));
  CHECK_FALSE(debug(false));
  CHECK(debug(true));
  const debug_variable set("1");
  CHECK(debug({}));
  CHECK_FALSE(debug(false));
  CHECK(debug(true));
}

TEST_CASE("AIO-RUN-005 AIO-RUN-020 nothing is run within a run") {
  asyncio::runner runner;
  runner.run([&] {
    bool called = false;
    CHECK(thrown_by([&] { asyncio::run([&] { called = true; }); }) ==
          "asyncio.run() cannot be called from a running event loop");
    CHECK(thrown_by([&] { runner.run([&] { called = true; }); }) ==
          "Runner.run() cannot be called from a running event loop");
    CHECK_FALSE(called);
  });
}

TEST_CASE("AIO-RUN-006 AIO-RUN-007 what is left is cancelled and waited for; what fails then is reported") {
  journal log;
  std::unique_ptr<reports> told;
  CHECK(asyncio::run([&] {
          told = std::make_unique<reports>(asyncio::get_running_loop());
          static_cast<void>(asyncio::create_task([&] {
            const support::at_end end(log, "ended");
            asyncio::sleep(1h);
          }));
          static_cast<void>(asyncio::create_task([&] {
            try {
              asyncio::sleep(1h);
            } catch (const asyncio::cancelled_error&) {
              turn();
              throw std::runtime_error("in its cleaning up");
            }
          }));
          turn();
          return 123;
        }) == 123);
  CHECK(log.text() == "ended");
  CHECK(told->log.text() == "unhandled exception during asyncio.run() shutdown: in its cleaning up");
}

TEST_CASE("AIO-RUN-008 then asynchronous generators are closed, also when main has failed") {
  journal log;
  std::optional<krait::async_generator<int>> fidget;
  const auto fidgets = [&] {
    fidget.emplace([&](auto& yield) {
      struct at_end {
        journal& log;
        ~at_end() {
          turn();
          log("generator closed");
        }
      } end{log};
      for (int i = 0;; ++i) {
        yield(i);
        turn();
      }
    });
  };
  fidgets();
  CHECK(thrown_by([&] {
          asyncio::run([&] {
            const auto spins = asyncio::create_task([&] {
              const support::at_end end(log, "task ended");
              for (;;) {
                asyncio::await(fidget->anext());
                turn();
              }
            });
            asyncio::sleep(1ms);
            log("main fails");
            throw std::runtime_error("main");
          });
        }) == "main");
  CHECK(log.text().rfind("main fails, ", 0) == 0);
  CHECK(log.text().find("task ended") != std::string::npos);
  CHECK(log.text().find("generator closed") != std::string::npos);

  // One that is suspended at a `yield`, when the tasks have ended.
  log.clear();
  fidgets();
  CHECK(thrown_by([&] {
          asyncio::run([&] {
            static_cast<void>(asyncio::create_task([&] {
              const support::at_end end(log, "task ended");
              asyncio::await(fidget->anext());
              asyncio::sleep(1h);
            }));
            asyncio::sleep(1ms);
            throw std::runtime_error("main");
          });
        }) == "main");
  CHECK(log.text() == "task ended, generator closed");
}

TEST_CASE("AIO-RUN-009 AIO-RUN-012 somebody else may make the loop") {
  asyncio::event_loop* made = nullptr;
  const asyncio::loop_factory factory = [&](const asyncio::run_options& options) {
    auto loop = std::make_unique<asyncio::event_loop>(options);
    loop->set_eager_tasks(true);
    made = loop.get();
    return loop;
  };
  asyncio::run(
      [&] {
        CHECK(&asyncio::get_running_loop() == made);
        CHECK(made->get_debug());
        CHECK(asyncio::create_task([] { return 1; }).result() == 1);
      },
      {.debug = true}, factory);
  asyncio::runner runner({}, factory);
  CHECK(&runner.get_loop() == made);
  CHECK(&runner.get_loop() == made);
}

// ---------------------------------------------------------------------------------------------------------- Runner

TEST_CASE("AIO-RUN-013 AIO-RUN-016 AIO-RUN-017 AIO-RUN-018 one loop, until it is closed, which is once") {
  std::vector<int> ran;
  asyncio::runner runner;
  asyncio::event_loop& loop = runner.get_loop();
  CHECK(runner.run([&] {
    turn();
    CHECK(&asyncio::get_running_loop() == &loop);
    ran.push_back(1);
    return std::string("done");
  }) == "done");
  CHECK(runner.run([&] { return &asyncio::get_running_loop() == &loop; }));
  runner.close();
  CHECK(loop.is_closed());
  CHECK(thrown_by([&] { runner.get_loop(); }) == "Runner is closed");
  runner.close();
  CHECK(loop.is_closed());
  CHECK(thrown_by([&] { runner.run([&] { ran.push_back(2); }); }) == "Runner is closed");
  CHECK(ran == std::vector{1});
}

TEST_CASE("AIO-RUN-014 AIO-RUN-015 it runs a future, a coroutine, or a step of an asynchronous generator") {
  asyncio::runner runner;
  const auto future = runner.get_loop().create_future<std::string>();
  future.set_result("done");
  CHECK(runner.run(future) == "done");
  const auto task = runner.get_loop().create_task([] {
    turn();
    return 5;
  });
  CHECK(runner.run(task) == 5);
  CHECK(runner.run(krait::coroutine<void, void, int>([](auto&) {
    turn();
    return 6;
  })) == 6);
  krait::async_generator<int> items = [](auto& yield) {
    turn();
    yield(7);
  };
  CHECK(runner.run(items.anext()) == 7);
  CHECK(asyncio::run(krait::coroutine<void, void, int>([](auto&) { return 8; })) == 8);
  asyncio::event_loop loop;
  CHECK(loop.run_until_complete(krait::coroutine<void, void, int>([](auto&) { return 9; })) == 9);
}

TEST_CASE("AIO-RUN-019 its functions share context variables") {
  asyncio::runner runner;
  const auto set = [](int value) {
    return [value] {
      const int old = variable.get();
      turn();
      variable.set(value);
      return old;
    };
  };
  CHECK(runner.run(set(1)) == -1);
  CHECK(runner.run(set(2)) == 1);
  CHECK(runner.run([] { return asyncio::copy_context(); }).run([] { return variable.get(); }) == 2);
  CHECK(variable.get() == -1);
}

TEST_CASE(
    "AIO-RUN-021 AIO-RUN-022 Ctrl-C cancels main, however that waits; ended so, it is a keyboard_interrupt") {
  const default_interrupt scope;
  for (const bool by_future : {false, true}) {
    asyncio::runner runner;
    const auto future = runner.get_loop().create_future<void>();
    runner.get_loop().call_later(1ms, [] { ::raise(SIGINT); });
    const auto raised = raised_by([&] {
      runner.run([&] {
        try {
          for (;;) {
            by_future ? asyncio::await(future) : turn();
          }
        } catch (const asyncio::cancelled_error&) {
        }
        throw asyncio::cancelled_error();
      });
    });
    CHECK(is_a<asyncio::keyboard_interrupt>(raised));
    CHECK(future.cancelled() == by_future);
  }
}

TEST_CASE("AIO-RUN-023 Ctrl-C of a main that somebody has cancelled is not an interrupt") {
  const default_interrupt scope;
  asyncio::runner runner;
  CHECK(is_a<asyncio::cancelled_error>(raised_by([&] {
    runner.run([] {
      static_cast<void>(asyncio::create_task([main = asyncio::current_task()] {
        turn();
        main.cancel();
        ::raise(SIGINT);
      }));
      asyncio::sleep(10s);
    });
  })));
}

TEST_CASE("AIO-RUN-024 where Ctrl-C cannot be the loop's, it runs without") {
  const default_interrupt scope;
  bool ran = false;
  std::thread other([&] {
    asyncio::run([&] {
      struct sigaction present{};
      ::sigaction(SIGINT, nullptr, &present);
      CHECK((present.sa_handler == SIG_DFL));
      ran = true;
    });
  });
  other.join();
  CHECK(ran);
}

TEST_CASE("AIO-RUN-025 nothing but moving is asked of what main returns") {
  struct result {
    explicit result(int number) : value(number) {}
    result(result&&) = default;
    result(const result&) = delete;
    int value;
  };
  CHECK(asyncio::run([] { return std::make_unique<result>(3); })->value == 3);
}
