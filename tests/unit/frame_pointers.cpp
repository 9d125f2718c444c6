// SPDX-License-Identifier: BSL-1.0

// Profilers walk along frame pointers. This file is compiled with -fno-omit-frame-pointer, and has a type of
// its own to yield, so that all that is instantiated for it is so too.

#include <doctest/doctest.h>

#include <pthread.h>

#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include <krait/krait.hpp>

#include "support/traced.hpp"

namespace {

using traced::expected;
using traced::names;
using traced::stay;

struct item {};
using items = krait::generator<item>;
using yielding = krait::yielder<item>;

/// Memory that a walk along frame pointers may read: those of threads and generators that take part.
struct readable {
  std::vector<std::pair<std::uintptr_t, std::uintptr_t>> stacks;

  bool operator()(std::uintptr_t place) const {
    for (const auto& [from, to] : stacks) {
      if (place >= from && place + 2 * sizeof(void*) <= to) {
        return true;
      }
    }
    return false;
  }
  void add(const krait::stack& memory) {
    stacks.emplace_back(reinterpret_cast<std::uintptr_t>(memory.limit),
                        reinterpret_cast<std::uintptr_t>(memory.top()));
  }
  void add_this_thread() {
    pthread_attr_t attributes;
    void* lowest = nullptr;
    std::size_t size = 0;
    ::pthread_getattr_np(::pthread_self(), &attributes);
    ::pthread_attr_getstack(&attributes, &lowest, &size);
    ::pthread_attr_destroy(&attributes);
    stacks.emplace_back(reinterpret_cast<std::uintptr_t>(lowest),
                        reinterpret_cast<std::uintptr_t>(lowest) + size);
  }
};

/// A return address, which on AArch64 may be signed.
const void* unsigned_address(void* address) {
#if defined(__aarch64__)
  register void* x30 asm("x30") = address;
  asm("hint #7" : "+r"(x30));  // xpaclri
  return x30;
#else
  return address;
#endif
}

/// Follows frame pointers as a profiler would, as long as they point to a stack.
[[gnu::noinline]] std::vector<const void*> by_frame_pointers(const readable& may_read) {
  std::vector<const void*> found;
  auto place = reinterpret_cast<std::uintptr_t>(__builtin_frame_address(0));
#if defined(__riscv)
  constexpr std::size_t into_record = 2 * sizeof(void*);
#else
  constexpr std::size_t into_record = 0;
#endif
  while (place % sizeof(void*) == 0 && may_read(place - into_record) && found.size() < 1000) {
    const auto* const record = reinterpret_cast<void* const*>(place - into_record);
    found.push_back(unsigned_address(record[1]));
    place = reinterpret_cast<std::uintptr_t>(record[0]);
  }
  return found;
}

readable may_read;
std::string seen;

/// Says which of its stacks are in use.
struct known_stacks final : krait::stack_source {
  krait::stack allocate() override {
    const krait::stack memory = pool.allocate();
    may_read.add(memory);
    return memory;
  }
  void deallocate(krait::stack memory) noexcept override { pool.deallocate(memory); }
  krait::stack_pool pool;
};

}  // namespace

TRACED(fp_helper) void fp_helper() {
  seen = names(by_frame_pointers(may_read));
  stay();
}
TRACED(fp_resumer) void fp_resumer(items& g) {
  g.next();
  stay();
}
TRACED(fp_other_resumer) void fp_other_resumer(items& g) {
  g.next();
  stay();
}
TRACED(fp_outermost) void fp_outermost(void (*what)(items&), items& g) {
  what(g);
  stay();
}
TRACED(fp_body) void fp_body(yielding& yield) {
  for (;;) {
    fp_helper();
    yield({});
  }
}
TRACED(fp_relay) void fp_relay(yielding& yield, items& inner) {
  for (;;) {
    inner.next();
    yield({});
  }
}

namespace {

/// What lies between fp_outermost and the thread's beginning need not have frame pointers.
void check_seen(const std::string& wanted) {
  CHECK(seen.substr(0, wanted.size()) == wanted);
  if (!traced::resumers_follow) {
    CHECK(seen.size() == wanted.size());
  }
}

/// The first switch of a thread takes another way than all that follow.
void warm_up() {
  items g([](yielding& yield) { yield({}); });
  g.next();
}

}  // namespace

TEST_SUITE("frame pointers") {
  TEST_CASE("a walk along frame pointers goes on in the resumer, through stacks and delegation") {
    warm_up();
    known_stacks stacks;
    may_read = {};
    may_read.add_this_thread();
    items inner(std::allocator_arg, stacks, [](yielding& yield) { fp_body(yield); });
    items outer(std::allocator_arg, stacks, [&inner](yielding& yield) { fp_relay(yield, inner); });
    for (int i = 0; i < 2; ++i) {
      fp_outermost(fp_resumer, outer);
      check_seen(expected("fp_helper < fp_body", "fp_relay < fp_resumer < fp_outermost"));
      fp_outermost(fp_other_resumer, outer);
      check_seen(expected("fp_helper < fp_body", "fp_relay < fp_other_resumer < fp_outermost"));
    }
    items chain(std::allocator_arg, stacks, [&stacks](yielding& yield) {
      yield.from(items(std::allocator_arg, stacks, [&stacks](yielding& middle) {
        middle.from(items(std::allocator_arg, stacks, [](yielding& innermost) { fp_body(innermost); }));
      }));
    });
    fp_outermost(fp_resumer, chain);
    check_seen(expected("fp_helper < fp_body", "fp_resumer < fp_outermost"));
    fp_outermost(fp_other_resumer, chain);
    check_seen(expected("fp_helper < fp_body", "fp_other_resumer < fp_outermost"));
  }
}
