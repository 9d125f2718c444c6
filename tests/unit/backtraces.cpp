// SPDX-License-Identifier: BSL-1.0

// From inside a running generator, backtraces go on in its resumer. Boost.Context's stacks end at their base
// instead: its assembly has no call frame information, so there the backtrace must end, cleanly.
//
// Functions are recognised without symbols: each lies in a section of its own, whose bounds the linker knows.

#include <doctest/doctest.h>

#include <execinfo.h>
#include <pthread.h>
#include <sys/mman.h>
#include <unistd.h>
#include <unwind.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <stdexcept>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include <krait/krait.hpp>

#include "probes.hpp"

// A function that is neither inlined nor, thanks to `stay`, replaced by what it calls last.
#define TRACED(name)                                                                       \
  extern "C" {                                                                             \
  [[gnu::visibility("hidden")]] extern const char __start_bt_##name[], __stop_bt_##name[]; \
  }                                                                                        \
  namespace {                                                                              \
  const bool name##_known = know({#name, __start_bt_##name, __stop_bt_##name});            \
  }                                                                                        \
  [[gnu::noinline, gnu::section("bt_" #name)]]

namespace {

struct function {
  const char* name;
  const char* begin;
  const char* end;
};

std::vector<function>& functions() {
  static std::vector<function> all;
  return all;
}
bool know(function one) {
  functions().push_back(one);
  return true;
}

void stay() {
  asm volatile("");
}

/// "innermost < its caller < ...", of the functions that are known.
std::string names(const std::vector<const void*>& addresses_to_return_to) {
  std::string text;
  for (const void* const address : addresses_to_return_to) {
    const char* const call = static_cast<const char*>(address) - 1;
    for (const function& each : functions()) {
      if (call >= each.begin && call < each.end) {
        text += (text.empty() ? "" : " < ") + std::string(each.name);
      }
    }
  }
  return text;
}

constexpr bool resumers_follow = std::string_view(krait::backend_name) == "native";

/// What a backtrace is to show: what is on the generator's stack, and what resumed it.
std::string expected(const std::string& generator, const std::string& resumer) {
  return resumers_follow ? generator + " < " + resumer : generator;
}

/// Its own types, so that all that is inlined or instantiated for it is compiled as this file is.
struct item {};
using krait::generator;
using krait::yielder;
using items = generator<item>;
using yielding = yielder<item>;

// Three ways to see who called.

std::vector<const void*> by_backtrace() {
  std::array<void*, 256> found;
  const int count = ::backtrace(found.data(), static_cast<int>(found.size()));
  return std::vector<const void*>(found.begin(), found.begin() + count);
}

struct unwinding {
  std::vector<const void*> found;
  bool ended = false;
};
_Unwind_Reason_Code note_frame(_Unwind_Context* context, void* data) {
  auto& found = static_cast<unwinding*>(data)->found;
  found.push_back(reinterpret_cast<const void*>(_Unwind_GetIP(context)));
  return found.size() < 1000 ? _URC_NO_REASON : _URC_END_OF_STACK;
}
unwinding by_unwinder() {
  unwinding result;
  result.ended = _Unwind_Backtrace(note_frame, &result) == _URC_END_OF_STACK && result.found.size() < 1000;
  return result;
}

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
    found.push_back(record[1]);
    place = reinterpret_cast<std::uintptr_t>(record[0]);
  }
  return found;
}

/// What was seen where a generator looked.
struct sight {
  std::string backtrace;
  std::string unwound;
  std::string frame_pointers;
  bool ended = false;
  readable may_read;

  void look() {
    backtrace = names(by_backtrace());
    unwinding all = by_unwinder();
    unwound = names(all.found);
    ended = all.ended;
    frame_pointers = names(by_frame_pointers(may_read));
  }
};

sight seen;

}  // namespace

TRACED(looks) void looks() {
  seen.look();
  stay();
}
TRACED(helper) void helper() {
  looks();
  stay();
}
TRACED(resumer) void resumer(items& g) {
  g.next();
  stay();
}
TRACED(other_resumer) void other_resumer(items& g) {
  g.next();
  stay();
}
TRACED(outermost) void outermost(void (*what)(items&), items& g) {
  what(g);
  stay();
}

TRACED(body) void body(yielding& yield) {
  for (;;) {
    helper();
    yield({});
  }
}

/// Delegates, `levels` deep.
TRACED(gives) void gives(yielding& yield, int levels) {
  if (levels == 0) {
    body(yield);
  }
  yield.from(items([levels](yielding& inner) { gives(inner, levels - 1); }));
  stay();
}
TRACED(lends) void lends(yielding& yield, int levels) {
  if (levels == 0) {
    body(yield);
  }
  items inner([levels](yielding& its) { lends(its, levels - 1); });
  yield.from(inner);
  stay();
}

/// A generator in between: resumes another one.
TRACED(relay) void relay(yielding& yield, items& inner) {
  for (;;) {
    inner.next();
    yield({});
  }
}

namespace {

items simple() {
  return [](yielding& yield) { body(yield); };
}

/// Both unwinders saw this, and came to an end.
void check_seen(const std::string& wanted) {
  CHECK(seen.backtrace == wanted);
  CHECK(seen.unwound == wanted);
  CHECK(seen.ended);
}

/// The first switch of a thread takes another way than all that follow.
void warm_up() {
  items g([](yielding& yield) { yield({}); });
  g.next();
}

}  // namespace

TEST_SUITE("backtraces") {
  TEST_CASE("outside generators a backtrace is found at all") {
    items unused = simple();
    outermost([](items&) { helper(); }, unused);
    check_seen("looks < helper < outermost");
  }

  TEST_CASE("a backtrace goes on in the resumer") {
    items g = simple();
    outermost(resumer, g);
    check_seen(expected("looks < helper < body", "resumer < outermost"));
  }

  TEST_CASE("a backtrace follows when the resumer changes") {
    items g = simple();
    outermost(resumer, g);
    outermost(other_resumer, g);
    check_seen(expected("looks < helper < body", "other_resumer < outermost"));
    resumer(g);
    check_seen(expected("looks < helper < body", "resumer"));
    std::thread([&g] { outermost(other_resumer, g); }).join();
    check_seen(expected("looks < helper < body", "other_resumer < outermost"));
  }

  TEST_CASE(
      "through generators given away, a backtrace goes from the innermost to the resumer of the chain") {
    items chain([](yielding& yield) { gives(yield, 3); });
    // The first time, the innermost is entered by who delegates; later, by the resumer.
    outermost(resumer, chain);
    check_seen(expected("looks < helper < body < gives", "resumer < outermost"));
    outermost(other_resumer, chain);
    check_seen(expected("looks < helper < body < gives", "other_resumer < outermost"));
  }

  TEST_CASE("when the innermost has ended, a backtrace goes from who delegated to the resumer of the chain") {
    items chain([](yielding& yield) {
      yield.from(items([](yielding& inner) {
        inner.from(items([](yielding& innermost) { innermost({}); }));
        body(inner);
      }));
    });
    outermost(other_resumer, chain);
    outermost(resumer, chain);
    check_seen(expected("looks < helper < body", "resumer < outermost"));
  }

  TEST_CASE("through generators that are lent, a backtrace shows each of them") {
    items chain([](yielding& yield) { lends(yield, 3); });
    for (int i = 0; i < 2; ++i) {
      outermost(resumer, chain);
      check_seen(expected("looks < helper < body < lends", "lends < lends < lends < resumer < outermost"));
    }
  }

  TEST_CASE("a backtrace goes through stacks in any order of their addresses") {
    // Halves of a block, the generators on both, resumed by one another.
    struct halves final : krait::stack_source {
      explicit halves(std::size_t first) : next(first) {}
      krait::stack allocate() override {
        const std::size_t half = block.size() / 2;
        return {block.data() + half * std::exchange(next, 1 - next), half};
      }
      void deallocate(krait::stack) noexcept override {}
      std::vector<std::byte> block = std::vector<std::byte>(std::size_t{512} << 10);
      std::size_t next;
    };
    for (const std::size_t first : {0u, 1u}) {
      CAPTURE(first);
      halves source(first);
      items inner(std::allocator_arg, source, [](yielding& yield) { body(yield); });
      items outer(std::allocator_arg, source, [&inner](yielding& yield) { relay(yield, inner); });
      outermost(resumer, outer);
      check_seen(expected("looks < helper < body", "relay < resumer < outermost"));
      // And on another thread, whose stack lies elsewhere.
      std::thread([&outer] { outermost(other_resumer, outer); }).join();
      check_seen(expected("looks < helper < body", "relay < other_resumer < outermost"));
    }
  }

  TEST_CASE("a thread's outermost function is where a backtrace ends") {
    std::thread([] {
      items g = simple();
      resumer(g);
    }).join();
    check_seen(expected("looks < helper < body", "resumer"));
  }

  TEST_CASE("a walk along frame pointers goes on in the resumer") {
    warm_up();
    struct known final : krait::stack_source {
      krait::stack allocate() override {
        const krait::stack memory = pool.allocate();
        seen.may_read.add(memory);
        return memory;
      }
      void deallocate(krait::stack memory) noexcept override { pool.deallocate(memory); }
      krait::stack_pool pool;
    };
    known stacks;
    seen.may_read = {};
    seen.may_read.add_this_thread();
    items inner(std::allocator_arg, stacks, [](yielding& yield) { body(yield); });
    items outer(std::allocator_arg, stacks, [&inner](yielding& yield) { relay(yield, inner); });
    items chain(std::allocator_arg, stacks, [&](yielding& yield) {
      yield.from(items(std::allocator_arg, stacks, [](yielding& given) { body(given); }));
    });
    outermost(resumer, outer);
    CHECK(seen.frame_pointers.starts_with(expected("looks < helper < body", "relay < resumer < outermost")));
    outermost(other_resumer, outer);
    CHECK(seen.frame_pointers.starts_with(
        expected("looks < helper < body", "relay < other_resumer < outermost")));
    outermost(resumer, chain);
    outermost(other_resumer, chain);
    CHECK(seen.frame_pointers.starts_with(expected("looks < helper < body", "other_resumer < outermost")));
    seen.may_read = {};
  }

  TEST_CASE("nothing above a generator's stack is read by unwinding") {
    // Its stack ends where the next page faults.
    struct edge final : krait::stack_source {
      edge() {
        void* const place = ::mmap(nullptr, size + page, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        REQUIRE(place != MAP_FAILED);
        base = static_cast<std::byte*>(place);
        REQUIRE(::mprotect(base, size, PROT_READ | PROT_WRITE) == 0);
      }
      ~edge() override { ::munmap(base, size + page); }
      krait::stack allocate() override { return {base, size}; }
      void deallocate(krait::stack) noexcept override {}
      const std::size_t page = static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
      const std::size_t size = std::size_t{256} << 10;
      std::byte* base = nullptr;
    };
    edge source;
    std::thread([&source] {
      items g(std::allocator_arg, source, [](yielding& yield) {
        seen.may_read = {};
        body(yield);
      });
      resumer(g);
      check_seen(expected("looks < helper < body", "resumer"));
    }).join();
    std::thread([&source] {
      items g(std::allocator_arg, source, [](yielding&) { throw std::runtime_error("to the resumer"); });
      CHECK_THROWS_WITH(resumer(g), "to the resumer");
    }).join();
    // Closing unwinds a stack too.
    items g(std::allocator_arg, source, [](yielding& yield) { body(yield); });
    resumer(g);
    g.close();
  }
}
