// SPDX-License-Identifier: BSL-1.0
#pragma once

// What is measured of event loops, once for everybody: the same work, the same results checked.
//
//      turn/N                 to let the others have a turn, of N tasks: sleep(0)
//      turn_polled/N          the same where the kernel is asked for news after each turn
//      turn_in_generator/D    the same in a generator's body that a task iterates, D deep; and the item
//      task_spawn             create a task and wait for its result
//      task_spawn_eager       the same where it runs at once, until it first waits
//      task_spawn_1000        one of a thousand that are created first and then waited for
//      task_done              wait for a task that has ended
//      ping_pong              an item to another task, and one back
//      queue                  one item through a queue of at most 64
//      skynet/N, skynet_eager/N
//                             one task of a tree of tasks in which each has ten, with N leaves
//      gather                 three tasks, and wait for all
//      timer                  set, and cancelled
//      timers/N               one of N set at random, then all cancelled
//      timeout                a deadline around a turn
//      task_cancel            create a task that waits, cancel it, wait for its end
//      operation              one operation of Asio's that is over at once: post()
//      echo/C                 64 bytes over TCP and back, on C connections at once
//      sleeping/N             N tasks that sleep: bytes for each; time from their making to their end (counters)
//
// An implementation is a struct with some of the functions below, and takes part in the operations whose functions it
// has:
//
//      in(f)                  calls f where the others may be called, in a task if need be
//      turns(n, more)         n tasks that take turns; more() begins a round; how many turns were taken
//      turns_polled(n, more)
//      turns_in_generator(depth, n)
//      spawn(n), spawn_eager(n), spawn_1000(n), done(n), ping_pong(n), queue(n), skynet(leaves), skynet_eager(leaves),
//      gather(n), timer(n), timers(n), timeout(n), cancel(n), operation(n)
//                             does it n times, and returns a sum
//      echo(connections, each, more)
//                             while more(): `each` round trips on each; how many there were
//
// One iteration is one item: one turn, one task, one round trip.

#include <benchmark/benchmark.h>

#include <cstdint>
#include <cstdlib>
#include <string>

#include "../memory.hpp"
#include "../operations.hpp"

namespace bench::tasks {

/// Items in a batch, unless it is a matter of their number.
inline constexpr long batch = 1000;

inline constexpr std::size_t message_size = 64;  // of echo

/// How many tasks a skynet of so many leaves has.
constexpr long skynet_tasks(long leaves) {
  return leaves == 1 ? 1 : 1 + 10 * skynet_tasks(leaves / 10);
}

/// xorshift64: times that come in no order.
class random_times {
 public:
  /// Nanoseconds, less than a second.
  std::int64_t next() {
    state_ ^= state_ << 13;
    state_ ^= state_ >> 7;
    state_ ^= state_ << 17;
    return static_cast<std::int64_t>(state_ % 1'000'000'000);
  }

 private:
  std::uint64_t state_ = 88172645463325252U;
};

/// `run(count)` sums up `count` items of `items` iterations each, to `expected`.
template <class Self>
void repeated(benchmark::State& state, long (*run)(long), long count, long items, long expected) {
  run = opaque(run);
  long sum = 0;
  Self::in([&] {
    while (state.KeepRunningBatch(items)) {
      sum += run(count);
    }
  });
  check(state, sum, expected * (state.iterations() / items));
}

inline constexpr auto the_number = [](long n) { return n; };

/// Registers the operations that `Self` has functions for, as `operation/name`.
template <class Self>
bool enter(const std::string& name) {
  // `count` runs a known number of items, to count the instructions for each.
  static const char* const iterations = std::getenv("KRAIT_BENCH_ITERATIONS");
  const auto enter_one = [&](const char* operation, auto function) {
    auto* const one = benchmark::RegisterBenchmark((operation + ("/" + name)).c_str(), function);
    return iterations == nullptr ? one : one->Iterations(std::atol(iterations));
  };
  const auto enter_batch = [&](const char* operation, long (*run)(long), auto expected) {
    enter_one(operation, [=](auto& state) { repeated<Self>(state, run, batch, batch, expected(batch)); });
  };
  const auto enter_turns = [&](const char* operation, auto turns) {
    return enter_one(operation, [=](auto& state) {
      const long tasks = state.range(0);
      const long taken = turns(tasks, [&] { return state.KeepRunningBatch(tasks); });
      check(state, taken, state.iterations());
    });
  };
  if constexpr (requires { Self::turns(1, [] { return true; }); }) {
    auto* const one = enter_turns("turn", [](long tasks, auto more) { return Self::turns(tasks, more); });
    one->Arg(1)->Arg(100)->Arg(10'000);
    if constexpr (!requires { Self::few; }) {
      one->Arg(100'000);
    }
  }
  if constexpr (requires { Self::turns_polled(1, [] { return true; }); }) {
    enter_turns("turn_polled", [](long tasks, auto more) { return Self::turns_polled(tasks, more); })
        ->Arg(1)
        ->Arg(100);
  }
  if constexpr (requires { &Self::turns_in_generator; }) {
    enter_one("turn_in_generator",
              [](auto& state) {
                const long depth = state.range(0);
                long sum = 0;
                Self::in([&] {
                  while (state.KeepRunningBatch(batch)) {
                    sum += Self::turns_in_generator(depth, batch);
                  }
                });
                check(state, sum, sum_below(batch) * (state.iterations() / batch));
              })
        ->Arg(1)
        ->Arg(3);
  }
  if constexpr (requires { &Self::spawn; }) {
    enter_batch("task_spawn", &Self::spawn, sum_below);
  }
  if constexpr (requires { &Self::spawn_eager; }) {
    enter_batch("task_spawn_eager", &Self::spawn_eager, sum_below);
  }
  if constexpr (requires { &Self::spawn_1000; }) {
    enter_batch("task_spawn_1000", &Self::spawn_1000, sum_below);
  }
  if constexpr (requires { &Self::done; }) {
    enter_batch("task_done", &Self::done, the_number);
  }
  if constexpr (requires { &Self::ping_pong; }) {
    enter_batch("ping_pong", &Self::ping_pong, sum_below);
  }
  if constexpr (requires { &Self::queue; }) {
    enter_batch("queue", &Self::queue, sum_below);
  }
  const auto enter_skynet = [&](const char* operation, long (*run)(long)) {
    enter_one(operation, [run](auto& state) {
      const long leaves = state.range(0);
      repeated<Self>(state, run, leaves, skynet_tasks(leaves), sum_below(leaves));
    })->Arg(100'000);
  };
  if constexpr (requires { &Self::skynet; }) {
    enter_skynet("skynet", &Self::skynet);
  }
  if constexpr (requires { &Self::skynet_eager; }) {
    enter_skynet("skynet_eager", &Self::skynet_eager);
  }
  if constexpr (requires { &Self::gather; }) {
    enter_batch("gather", &Self::gather, [](long n) { return 6 * n; });
  }
  if constexpr (requires { &Self::timer; }) {
    enter_batch("timer", &Self::timer, the_number);
  }
  if constexpr (requires { &Self::timers; }) {
    enter_one("timers", [](auto& state) {
      const long number = state.range(0);
      repeated<Self>(state, &Self::timers, number, number, number);
    })->Arg(100'000);
  }
  if constexpr (requires { &Self::timeout; }) {
    enter_batch("timeout", &Self::timeout, the_number);
  }
  if constexpr (requires { &Self::cancel; }) {
    enter_batch("task_cancel", &Self::cancel, the_number);
  }
  if constexpr (requires { &Self::operation; }) {
    enter_batch("operation", &Self::operation, the_number);
  }
  if constexpr (requires { Self::echo(1, 1, [] { return true; }); }) {
    enter_one("echo",
              [](auto& state) {
                const int connections = static_cast<int>(state.range(0));
                const long trips = Self::echo(connections, batch / connections,
                                              [&] { return state.KeepRunningBatch(batch); });
                check(state, trips, state.iterations());
              })
        ->Arg(1)
        ->Arg(100);
  }
  if constexpr (requires { &Self::sleeping; }) {
    // As many as there is memory for: 5 KiB for each.
    const long number = resident_memory::available() > 8'000'000'000 ? 1'000'000 : 100'000;
    enter_one("sleeping", [](auto& state) { Self::sleeping(state); })
        ->Arg(number)
        ->Iterations(1)
        ->Unit(benchmark::kSecond);
  }
  return true;
}

}  // namespace bench::tasks
