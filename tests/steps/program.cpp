// SPDX-License-Identifier: BSL-1.0

// Generators of all kinds switch, and between any two instructions of that a signal's handler walks the stack. It must
// get from wherever it is to main() and what called that, by the same addresses each time.
//
// x86-64 has a trap flag, which sends a SIGTRAP behind each instruction. On other machines somebody else sends them
// (run): it is told where this program's code lies, and by two more signals when to begin and when to end.

#include <execinfo.h>
#include <signal.h>

#include <algorithm>
#include <array>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <vector>

#include <krait/krait.hpp>

extern "C" {
const void* _Unwind_Find_FDE(const void* place, void* bases);  // what any unwinder begins with
extern const char __executable_start, etext;                   // the linker's
}

namespace {

using krait::generator;

std::array<void*, 64> frames;
std::array<void*, 64> outer_frames;  // of who calls the scenario
int outer_depth = 0;
volatile std::sig_atomic_t active = 0;
int walks = 0;
int unknown = 0;  // where nobody could begin: in a procedure linkage table
int wrong = 0;
int deepest = 0;

int walk() {
  return ::backtrace(frames.data(), static_cast<int>(frames.size()));
}

const void* interrupted_at(void* context) {
  const mcontext_t& machine = static_cast<const ucontext_t*>(context)->uc_mcontext;
#if defined(__x86_64__)
  return reinterpret_cast<const void*>(machine.gregs[REG_RIP]);
#elif defined(__aarch64__)
  return reinterpret_cast<const void*>(machine.pc);
#elif defined(__riscv)
  return reinterpret_cast<const void*>(machine.__gregs[REG_PC]);
#endif
}

void check_walk(int, siginfo_t*, void* context) {
  const void* const place = interrupted_at(context);
  if (active == 0 || place < &__executable_start || place >= &etext) {
    return;
  }
  std::array<void*, 4> bases;
  if (_Unwind_Find_FDE(place, bases.data()) == nullptr) {
    ++unknown;
    return;
  }
  ++walks;
  const int depth = walk();
  deepest = std::max(deepest, depth);
  const bool whole =
      depth > outer_depth && std::equal(outer_frames.begin(), outer_frames.begin() + outer_depth,
                                        frames.begin() + (depth - outer_depth));
  if (!whole && ++wrong <= 10) {
    std::fprintf(stderr, "wrong at %#zx, %d frames:",
                 static_cast<std::size_t>(static_cast<const char*>(place) - &__executable_start), depth);
    for (int i = 0; i < depth; ++i) {
      std::fprintf(stderr, " %p", frames[static_cast<std::size_t>(i)]);
    }
    std::fprintf(stderr, "\n");
  }
}

void single_steps(bool on) {
#if defined(__x86_64__)
  constexpr unsigned long long trap_flag = 0x100;
  const auto flags = __builtin_ia32_readeflags_u64();
  __builtin_ia32_writeeflags_u64(on ? flags | trap_flag : flags & ~trap_flag);
#else
  ::raise(on ? SIGUSR1 : SIGUSR2);
#endif
}

/// Entered and left in all ways: to a body and back, through delegation by value and by reference, to the end, to an
/// exception, and by being closed.
bool all_kinds() {
  bool right = true;
  for (int round = 0; round < 2; ++round) {
    generator<int, int> echoes = [](auto& yield) {
      for (int got = 0;;) {
        got = yield(got);
      }
    };
    right &= echoes.next() == 0 && echoes.send(7) == 7 && echoes.send(8) == 8;
    generator<int> deep = [](auto& yield) {
      yield.from(generator<int>([](auto& inner) {
        inner(1);
        inner(2);
      }));
      generator<int> shared = [](auto& inner) {
        inner(3);
        inner(4);
      };
      yield.from(shared);
    };
    int sum = 0;
    for (const int each : deep) {
      sum += each;
    }
    right &= sum == 10;
  }
  return right;
}

/// Walked is in here only: what sets the trap flag is assembly that no unwinder knows.
[[gnu::noinline]] bool watched() {
  active = 1;
  const bool right = all_kinds();
  active = 0;
  return right;
}

[[gnu::noinline]] bool scenario() {
  const int depth = walk();
  outer_depth = depth - 2;  // without those of walk() and of this function
  std::copy(frames.begin() + 2, frames.begin() + depth, outer_frames.begin());
  single_steps(true);
  const bool right = watched();
  single_steps(false);
  return right;
}

}  // namespace

int main() {
  struct sigaction action = {};
  action.sa_sigaction = &check_walk;
  action.sa_flags = SA_SIGINFO;
  ::sigaction(SIGTRAP, &action, nullptr);
  all_kinds();  // the first time allocates, and has the loader look for functions
  walk();
  std::printf("%#zx %#zx\n", reinterpret_cast<std::size_t>(&__executable_start),
              reinterpret_cast<std::size_t>(&etext));
  std::fflush(stdout);
  const bool right = scenario();
  std::printf("%d walks, %d wrong, %d frames at the most; %d places without call frame information\n", walks,
              wrong, deepest, unknown);
  if (!right || outer_depth < 2 || deepest < outer_depth + 8) {
    std::printf("not what was to be walked\n");
    return 1;
  }
  return wrong == 0 ? 0 : 1;
}
