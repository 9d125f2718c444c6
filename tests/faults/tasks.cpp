// SPDX-License-Identifier: BSL-1.0
#include <doctest/doctest.h>

#include <pthread.h>

#include <chrono>
#include <csignal>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>
#include <thread>

#include <krait/asyncio.hpp>
#include <krait/krait.hpp>

#include "scenario.hpp"

// How tasks come to an end that end the process.

namespace {

namespace asyncio = krait::asyncio;
using namespace std::chrono_literals;

/// Calls itself without end, or nearly.
[[gnu::noinline]] std::size_t recurse(std::size_t depth) {
  volatile char local[200];
  local[depth % sizeof local] = 1;
  return depth == 0 ? 0 : recurse(depth - 1) + static_cast<std::size_t>(local[0]);
}

int overflow_in_task(bool parked_before) {
  return asyncio::run([=] {
    const auto bystander = asyncio::create_task([] { asyncio::sleep(1h); }, {.name = "bystander"});
    return static_cast<int>(asyncio::await(asyncio::create_task(
        [=] {
          if (parked_before) {
            asyncio::sleep(0s);
          }
          return recurse(SIZE_MAX);
        },
        {.name = "endless"})));
  });
}

const scenario in_task("overflow in a task", [] { return overflow_in_task(false); });
const scenario in_parked_task("overflow in a task that has waited", [] { return overflow_in_task(true); });
const scenario in_generator("overflow in a generator in a task", [] {
  return asyncio::run([] {
    krait::generator<std::size_t> g([](auto& yield) { yield(recurse(SIZE_MAX)); }, "in a task");
    return static_cast<int>(g.next());
  });
});

/// What of a task would be lost if only the stack that runs were looked at.
const scenario exit_in_task("exit in a task", [] {
  const auto* const here = new int(3);
  asyncio::run([here] {
    const auto* const held = new int(*here);
    static_cast<void>(asyncio::create_task([held] {
      const auto* const in_child = new int(*held);
      asyncio::sleep(0s);
      asyncio::sleep(1h);
      delete in_child;
    }));
    asyncio::sleep(0s);
    asyncio::sleep(0s);
    std::exit(*held);
  });
  delete here;
  return 0;
});

/// On the main thread, where asyncio::run() watches for Ctrl-C: that is nothing that a task waits for.
const scenario deadlock("deadlock", [] {
  asyncio::run_options options;
  options.debug = true;
  try {
    asyncio::run([] { asyncio::await(asyncio::create_future<void>()); }, options);
  } catch (const krait::runtime_error& error) {
    return std::string_view(error.what()).starts_with("deadlock: ") ? 3 : 1;
  }
  return 0;
});

/// A handler of the program's own may wake one.
const scenario awaited_signal("a signal that is waited for", [] {
  asyncio::run_options options;
  options.debug = true;
  return asyncio::run(
      [] {
        const auto came = asyncio::create_future<int>();
        asyncio::get_running_loop().add_signal_handler(SIGUSR1, [&] { came.set_result(3); });
        const std::jthread other([to = ::pthread_self()] {
          std::this_thread::sleep_for(50ms);
          ::pthread_kill(to, SIGUSR1);
        });
        return asyncio::await(came);
      },
      options);
});

/// Ended by the signal itself. A sanitizer has a handler of its own that makes a report of it.
bool ended_by_fault(const ending& end) {
  return probes::sanitized ? !end.status.exited_with(0) : end.status.killed_by(SIGSEGV);
}

}  // namespace

TEST_CASE("a stack overflow in a task names the task, its stack's size and how to raise it") {
  for (const scenario* each : {&in_task, &in_parked_task}) {
    const ending end = each->run();
    CAPTURE(end.text);
    CHECK(ended_by_fault(end));
    const std::string first_line = end.text.substr(0, end.text.find('\n') + 1);
    CHECK(first_line.starts_with("krait: stack overflow in <task object endless at 0x"));
    CHECK(first_line.ends_with(">: its stack has " + std::to_string(krait::default_stack_options().size) +
                               " bytes: raise KRAIT_STACK_SIZE, or call set_default_stack_options()\n"));
  }
}

TEST_CASE("a stack overflow in a generator that a task iterates is the generator's") {
  const ending end = in_generator.run();
  CAPTURE(end.text);
  CHECK(ended_by_fault(end));
  CHECK(end.says("krait: stack overflow in <generator object in a task at 0x"));
}

TEST_CASE("a deadlock ends the loop of the main thread, too, in debug mode") {
  const ending end = deadlock.run();
  CAPTURE(end.text);
  CHECK(end.status.exited_with(3));
  CHECK(end.says("waits for what nobody can do"));
}

TEST_CASE("to wait for a signal is no deadlock") {
  const ending end = awaited_signal.run();
  CAPTURE(end.text);
  CHECK(end.status.exited_with(3));
}

TEST_CASE("a program may be ended by a task: nothing is taken for lost that it and others hold") {
  const ending end = exit_in_task.run();
  CAPTURE(end.text);
  CHECK(end.status.exited_with(3));
  CHECK(end.text.empty());
}
