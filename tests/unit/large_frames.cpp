// SPDX-License-Identifier: BSL-1.0

// Compiled without -fstack-clash-protection (tests/CMakeLists.txt), as many programs are: a frame then moves
// the stack pointer by its whole size, and what is written first may lie below a guard.

#include <doctest/doctest.h>

#include <alloca.h>

#include <cstddef>
#include <cstring>
#include <vector>

#include <krait/krait.hpp>

#include "support/probes.hpp"

namespace {

constexpr std::size_t frame_size = 8 * 1024;

/// Writes to the lowest bytes of a large frame alone.
[[gnu::noinline]] int write_low() {
  char local[frame_size];
  local[0] = 'x';
  asm volatile("" : : "r"(&local[0]) : "memory");
  return local[0];
}

/// The same, with `left` bytes of stack to go.
[[gnu::noinline]] int write_low_near(const std::byte* limit, std::size_t left) {
  const auto here = reinterpret_cast<std::uintptr_t>(__builtin_frame_address(0));
  void* const skipped = alloca(here - left - reinterpret_cast<std::uintptr_t>(limit));  // not written to
  asm volatile("" : : "r"(skipped) : "memory");
  return write_low();
}

}  // namespace

TEST_CASE("a large frame that is not probed faults at the guard, wherever it begins") {
  if (probes::sanitized || probes::on_valgrind()) {
    return;  // these look at such frames themselves
  }
  krait::stack_pool pool;
  std::vector<krait::stack> all;
  for (int i = 0; i < 3; ++i) {
    all.push_back(pool.allocate());
    std::memset(all.back().limit, 0, all.back().size);
  }
  struct middle_one final : krait::stack_source {
    krait::stack memory;
    krait::stack allocate() override { return memory; }
    void deallocate(krait::stack) noexcept override {}
  } source;
  source.memory = all[1];
  const auto ends = [&](std::size_t left) {
    return probes::in_child([&] {
      krait::generator<int> g(std::allocator_arg, source,
                              [&](auto& yield) { yield(write_low_near(source.memory.limit, left)); });
      return g.next() == 'x' ? 0 : 1;
    });
  };
  CHECK(ends(frame_size + 4096).exited_with(0));
  // Where a frame begins is not known to the last word: machines keep its record at either end.
  for (std::size_t left = 128; left + 128 <= frame_size; left += 504) {
    CAPTURE(left);
    CHECK(ends(left).killed_by(SIGSEGV));
  }
  for (const krait::stack& each : all) {
    pool.deallocate(each);
  }
}
