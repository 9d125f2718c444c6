// SPDX-License-Identifier: BSL-1.0

// A signal handler is a function that runs on whatever stack the thread was on, between any two instructions:
// amid a switch, amid the making of a generator. What it may do with generators (docs/guide.md):
//
//   * resume one that was made for it, and that nobody else resumes;
//   * make and destroy its own on a stack_pool that is the handler's alone and has a stack at hand, if their
//   bodies
//     end by themselves: to close one throws, and that allocates;
//
// and, as any handler, nothing that allocates. The default pool's magazine has no lock, and is not for
// handlers.

#include <doctest/doctest.h>

#include <execinfo.h>
#include <signal.h>
#include <sys/time.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <optional>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <krait/krait.hpp>

#include "scenario.hpp"

namespace {

using krait::generator;

generator<int> count_up() {
  return [](auto& yield) {
    for (int i = 0;; ++i) {
      yield(i);
    }
  };
}

/// How deep the stack is here.
int walk() {
  std::array<void*, 64> frames;
  return ::backtrace(frames.data(), static_cast<int>(frames.size()));
}

/// What the handler uses.
struct tools {
  krait::stack_pool pool{{.size = 32 * 1024}};
  std::optional<generator<int>> counter;
  std::atomic<int> signals = 0;
  std::atomic<int> wrong = 0;
  std::atomic<int> deepest = 0;
  std::atomic<bool> backtraces = false;
};
tools* the_tools = nullptr;

void use_generators(int) {
  tools& mine = *the_tools;
  const int error = errno;
  const int number = mine.signals;
  mine.wrong += mine.counter->next() != number;
  {
    generator<int> fresh(std::allocator_arg, mine.pool, [](auto& yield) {
      yield(1);
      yield(2);
    });
    mine.wrong += fresh.next() != 1 || fresh.next() != 2 || !fresh.resume().returned();
  }
  if (mine.backtraces) {
    const int depth = walk();
    mine.wrong += depth < 2;
    mine.deepest = std::max<int>(mine.deepest, depth);
  }
  ++mine.signals;
  errno = error;
}

/// While alive, a thousand times a second of the process's time, SIGPROF is handled so.
class profiler {
 public:
  explicit profiler(tools& mine) {
    the_tools = &mine;
    mine.counter = count_up();
    mine.pool.deallocate(mine.pool.allocate());
    walk();  // the first time allocates
    struct sigaction action = {};
    action.sa_handler = &use_generators;
    action.sa_flags = SA_RESTART;
    ::sigaction(SIGPROF, &action, &before_);
    every(1000);
  }
  ~profiler() {
    every(0);
    ::sigaction(SIGPROF, &before_, nullptr);
  }
  profiler(const profiler&) = delete;
  profiler& operator=(const profiler&) = delete;

 private:
  static void every(int microseconds) {
    const itimerval timer{{0, microseconds}, {0, microseconds}};
    ::setitimer(ITIMER_PROF, &timer, nullptr);
  }

  struct sigaction before_ = {};
};

/// Switches, at any depth, and generators that are made and end by themselves.
int switches() {
  static constexpr int items = 300;
  int sum = 0;
  generator<int> deep = [](auto& yield) {
    yield.from(generator<int>([](auto& inner) {
      for (int i = 0; i < items; ++i) {
        inner(i);
      }
    }));
  };
  for (int i = 0; i < items; ++i) {
    sum += deep.next() == i;
  }
  sum += deep.resume().returned();
  for (int i = 0; i < 100; ++i) {
    generator<int> ends = [](auto& yield) { yield(1); };
    sum += ends.next() == 1;
    sum += ends.resume().returned();
  }
  return sum;
}
constexpr int all_switches = 501;

/// The same, and all that takes exceptions.
int storm() {
  int sum = switches();
  for (int i = 0; i < 10; ++i) {
    auto closed = count_up();
    sum += closed.next() == 0;
    sum += closed.next() == 1;
    generator<int> catches = [](auto& yield) {
      try {
        yield(1);
      } catch (const std::runtime_error&) {
        yield(2);
        throw;
      }
    };
    sum += catches.next() == 1;
    sum += catches.throw_(std::runtime_error("")) == 2;
    try {
      catches.next();
    } catch (const std::runtime_error&) {
      ++sum;
    }
  }
  return sum;
}
constexpr int whole_storm = all_switches + 50;

}  // namespace

TEST_CASE("a profiler's handler uses generators, amid a storm of switches and exceptions") {
  if (probes::sanitized || probes::on_valgrind()) {
    return;  // these deliver signals late, and walk stacks their own way
  }
  // GCC's unwinder cannot be walked while it enters a handler, in any program. So the stack is walked where
  // there are no exceptions.
  for (const bool walking : {true, false}) {
    tools mine;
    mine.backtraces = walking;
    int wrong = 0;
    {
      const profiler active(mine);
      while (mine.signals < 300) {
        wrong += walking ? switches() != all_switches : storm() != whole_storm;
      }
    }
    CHECK(wrong == 0);
    CHECK(mine.wrong == 0);
    CHECK((mine.deepest > 4 || !walking));
  }
}

TEST_CASE("signals amid the making of generators by several threads") {
  if (probes::sanitized || probes::on_valgrind()) {
    return;
  }
  tools mine;
  std::atomic<int> wrong = 0;
  {
    // One thread takes the signals: the generator that counts them is nobody else's meanwhile.
    sigset_t profiling;
    ::sigemptyset(&profiling);
    ::sigaddset(&profiling, SIGPROF);
    ::pthread_sigmask(SIG_BLOCK, &profiling, nullptr);
    const auto work = [&] {
      while (mine.signals < 200) {
        wrong += storm() != whole_storm;
      }
    };
    std::thread other(work);
    ::pthread_sigmask(SIG_UNBLOCK, &profiling, nullptr);
    const profiler active(mine);
    work();
    other.join();
  }
  CHECK(wrong == 0);
  CHECK(mine.wrong == 0);
}

#if defined(__x86_64__)

namespace {

/// The processor's trap flag: a SIGTRAP behind every instruction, as long as it is set.
void single_steps(bool on) {
  constexpr unsigned long long trap_flag = 0x100;
  const auto flags = __builtin_ia32_readeflags_u64();
  __builtin_ia32_writeeflags_u64(on ? flags | trap_flag : flags & ~trap_flag);
}

template <class Function>
int with_single_steps(bool backtraces, Function function) {
  static tools mine;
  the_tools = &mine;
  mine.counter = generator<int>(std::allocator_arg, mine.pool, [](auto& yield) {
    for (int i = 0;; ++i) {
      yield(i);
    }
  });
  mine.pool.deallocate(mine.pool.allocate());
  walk();  // the first time allocates
  struct sigaction action = {};
  action.sa_handler = &use_generators;
  ::sigaction(SIGTRAP, &action, nullptr);
  single_steps(true);
  mine.backtraces = backtraces;  // not before: what sets the flag is assembly that no unwinder knows
  const bool right = function();
  mine.backtraces = false;
  single_steps(false);
  std::fprintf(stderr, "%d", mine.signals.load());
  return right && mine.wrong == 0 ? 0 : 1;
}

// In a new process, so that the first use of everything is among it.
const scenario stepped("single steps", [] {
  return with_single_steps(false, [] {
    generator<int> outer = [](auto& yield) { yield.from(count_up()); };
    generator<int> catches = [](auto& yield) {
      try {
        yield(10);
      } catch (const std::runtime_error&) {
        yield(20);
      }
    };
    return outer.next() + outer.next() + outer.next() == 3 && catches.next() == 10 &&
           catches.throw_(std::runtime_error("thrown in")) == 20;
  });
});

const scenario walked("walks at each step",
                      [] { return with_single_steps(true, [] { return switches() == all_switches; }); });

}  // namespace

TEST_CASE("a signal behind every single instruction: its handler uses generators, and disturbs none") {
  if (probes::sanitized) {
    return;
  }
  for (const scenario* each : {&stepped, &walked}) {
    const ending end = each->run();
    CHECK(end.status.exited_with(0));
    const int signals = std::atoi(end.text.c_str());
    MESSAGE(signals << " signals");
    CHECK(signals > 10'000);
  }
}

#endif
