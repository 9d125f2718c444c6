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

/// Switches at any depth, `items` of them, and `made` generators that end by themselves. Was all right?
bool switches(int items = 300, int made = 100) {
  bool right = true;
  generator<int> deep = [items](auto& yield) {
    yield.from(generator<int>([items](auto& inner) {
      for (int i = 0; i < items; ++i) {
        inner(i);
      }
    }));
  };
  for (int i = 0; i < items; ++i) {
    right &= deep.next() == i;
  }
  right &= deep.resume().returned();
  for (int i = 0; i < made; ++i) {
    generator<int> ends = [](auto& yield) { yield(1); };
    right &= ends.next() == 1;
    right &= ends.resume().returned();
  }
  return right;
}

/// The same, and all that takes exceptions.
bool storm() {
  bool right = switches();
  for (int i = 0; i < 10; ++i) {
    auto closed = count_up();
    right &= closed.next() == 0;
    right &= closed.next() == 1;
    generator<int> catches = [](auto& yield) {
      try {
        yield(1);
      } catch (const std::runtime_error&) {
        yield(2);
        throw;
      }
    };
    right &= catches.next() == 1;
    right &= catches.throw_(std::runtime_error("")) == 2;
    try {
      catches.next();
      right = false;
    } catch (const std::runtime_error&) {
    }
  }
  return right;
}

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
        wrong += walking ? !switches() : !storm();
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
        wrong += !storm();
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

// Few of each: a step at the same place for the hundredth time shows nothing new.
const scenario walked("walks at each step",
                      [] { return with_single_steps(true, [] { return switches(10, 5); }); });

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
    CHECK(signals > 1'000);
  }
}

#endif
