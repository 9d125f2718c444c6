// SPDX-License-Identifier: BSL-1.0
#include <doctest/doctest.h>

// AArch64 with -mbranch-protection=bti: an indirect jump must land on a marked instruction, where that is
// enforced. The system's start-up code and libraries may not be marked, so it is enforced here for this
// program's own code, and for a while.

#if defined(__ARM_FEATURE_BTI_DEFAULT)

#include <sys/auxv.h>
#include <sys/mman.h>

#include <cstdint>
#include <stdexcept>

#include <krait/krait.hpp>

#include "support/probes.hpp"

extern "C" char __executable_start;  // NOLINT: the linker's names
extern "C" char etext;

namespace {

constexpr unsigned long hwcap2_bti = 1ul << 17;
constexpr int prot_bti = 0x10;

/// Via writable, as emulators keep their translation of code otherwise, and what it had checked.
bool protect_code(int protection) {
  const auto page = static_cast<std::uintptr_t>(::sysconf(_SC_PAGESIZE));
  const auto first = reinterpret_cast<std::uintptr_t>(&__executable_start) & ~(page - 1);
  const auto last = (reinterpret_cast<std::uintptr_t>(&etext) + page - 1) & ~(page - 1);
  auto* const code = reinterpret_cast<void*>(first);
  return ::mprotect(code, last - first, PROT_READ | PROT_WRITE | PROT_EXEC) == 0 &&
         ::mprotect(code, last - first, protection) == 0;
}

krait::generator<int> nested(int depth) {
  return [depth](auto& yield) {
    yield(depth);
    if (depth > 0) {
      yield.from(nested(depth - 1));
    }
    try {
      yield(0);
    } catch (const std::logic_error&) {
      yield(100);
    }
  };
}

}  // namespace

asm(".text\n.globl krait_test_unmarked\nkrait_test_unmarked: ret");
extern "C" void krait_test_unmarked();

TEST_CASE("landing pads: every kind of switch lands on one") {
  if ((::getauxval(AT_HWCAP2) & hwcap2_bti) == 0) {
    MESSAGE("this processor does not have them");
    return;
  }
  CHECK(probes::in_child([] {
          void (*volatile jump)() = krait_test_unmarked;
          jump();  // not enforced
          return protect_code(PROT_READ | PROT_EXEC | prot_bti) ? (jump(), 1) : 2;
        }).killed_by(SIGILL));
  REQUIRE(protect_code(PROT_READ | PROT_EXEC | prot_bti));
  int sum = 0;
  for (const int item : nested(3)) {
    sum += item;
  }
  krait::generator<int> g = nested(0);
  g.next();
  g.next();
  sum += g.throw_(std::logic_error(""));
  {
    krait::generator<int> dropped = nested(2);
    dropped.next();
  }
  CHECK(protect_code(PROT_READ | PROT_EXEC));
  CHECK(sum == 106);
}

#endif
