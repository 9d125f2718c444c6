// SPDX-License-Identifier: BSL-1.0

// What the guide warns of, where the process ends, or all its memory is locked.

#include <doctest/doctest.h>
#include <sys/mman.h>

#include <csetjmp>
#include <csignal>
#include <fstream>
#include <string>

#include <krait/krait.hpp>

#include "scenario.hpp"

namespace {

const scenario closed_in_destructor("closed in a destructor that is noexcept", [] {
  struct waiting {
    krait::yielder<int>& yield;
    ~waiting() { yield(2); }
  };
  krait::generator<int> g = [](auto& yield) { const waiting last{yield}; };
  g.next();
  g.close();
  return 0;
});

#if defined(__GLIBC__)
extern "C" [[noreturn]] void __longjmp_chk(jmp_buf, int) noexcept(false);  // what _FORTIFY_SOURCE calls

std::jmp_buf inside;

const scenario jumps_into_body("longjmp into a body's stack", []() -> int {
  krait::generator<int> g = [](auto& yield) {
    if (setjmp(inside) == 0) {
      yield(1);
    }
  };
  g.next();
  __longjmp_chk(inside, 1);
});
#endif

/// In KiB, from /proc/self/status.
long resident() {
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);) {
    if (line.starts_with("VmRSS:")) {
      return std::stol(line.substr(6));
    }
  }
  return -1;
}

constexpr int cannot_lock = 77;
constexpr int grew = 78;

/// Locks what there is and will be, and makes a generator.
template <int on_fault>
int locked() {
  if (::mlockall(MCL_CURRENT | MCL_FUTURE | on_fault) != 0) {
    return cannot_lock;
  }
  const long before = resident();
  krait::generator<int> g = [](auto& yield) { yield(1); };
  if (g.next() != 1) {
    return 1;
  }
  return resident() - before > 4096 ? grew : 0;
}
const scenario all_locked("all memory locked", locked<0>);
const scenario locked_on_fault("all memory locked when it is touched", locked<MCL_ONFAULT>);

}  // namespace

TEST_CASE("a destructor that is noexcept, yields and is closed there: std::terminate") {
  const ending end = closed_in_destructor.run();
  CHECK(end.status.killed_by(SIGABRT));
  CHECK(end.says("terminat"));  // "terminate called ...", "terminating ..."
}

#if defined(__GLIBC__)
TEST_CASE("longjmp into a body's stack: glibc aborts where _FORTIFY_SOURCE is on") {
  if (!probes::sanitized) {
    const ending end = jumps_into_body.run();
    CHECK(end.status.killed_by(SIGABRT));
    CHECK(end.says("longjmp causes uninitialized stack frame"));
  }
}
#endif

TEST_CASE("mlockall: MCL_FUTURE takes a whole mapping of stacks, MCL_ONFAULT what is touched") {
  const ending all = all_locked.run(), on_fault = locked_on_fault.run();
  if (all.status.exited_with(cannot_lock)) {
    MESSAGE("not allowed to lock memory");
  } else {
    CHECK((all.status.exited_with(grew) || all.status.exited_with(0)));  // a smaller one if that is too much
    CHECK(on_fault.status.exited_with(0));
  }
}
