// SPDX-License-Identifier: BSL-1.0

// From inside a running generator, backtraces go on in its resumer. Boost.Context's stacks end at their base
// instead: its assembly has no call frame information, so there the backtrace must end, cleanly.
//
// Functions are recognised without symbols: each lies in a section of its own, whose bounds the linker knows.

#include <doctest/doctest.h>

#include <execinfo.h>
#include <sys/mman.h>
#include <unistd.h>
#include <unwind.h>

#include <array>
#include <cstddef>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <krait/krait.hpp>

#include "support/traced.hpp"

namespace {

using traced::expected;
using traced::names;
using traced::stay;

using items = krait::generator<int>;
using yielding = krait::yielder<int>;

// Two ways to see who called.

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

/// What was seen where a generator looked.
struct sight {
  std::string backtrace;
  std::string unwound;
  bool ended = false;

  void look() {
    backtrace = names(by_backtrace());
    unwinding all = by_unwinder();
    unwound = names(all.found);
    ended = all.ended;
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
TRACED(closer) void closer(items& g) {
  g.close();
  stay();
}
TRACED(outermost) void outermost(void (*what)(items&), items& g) {
  what(g);
  stay();
}

TRACED(body) void body(yielding& yield) {
  for (;;) {
    helper();
    yield(1);
  }
}

/// Looks when it is closed.
TRACED(guarded) void guarded(yielding& yield) {
  struct guard {
    ~guard() { looks(); }
  };
  const guard looking;
  yield(1);
}

/// Delegates, `levels` deep.
TRACED(gives) void gives(yielding& yield, int levels, bool guarding = false) {
  if (levels == 0) {
    guarding ? guarded(yield) : body(yield);
  }
  yield.from(items([=](yielding& inner) { gives(inner, levels - 1, guarding); }));
  stay();
}
TRACED(takes) void takes(yielding& yield, items& given) {
  yield.from(std::move(given));
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
    yield(1);
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

  TEST_CASE("through generators given away, a backtrace shows each of them, then the resumer of the chain") {
    items chain([](yielding& yield) { gives(yield, 3); });
    // The first time, the innermost is entered by who delegates; later, by the resumer.
    outermost(resumer, chain);
    check_seen(expected("looks < helper < body < gives", "gives < gives < gives < resumer < outermost"));
    outermost(other_resumer, chain);
    check_seen(
        expected("looks < helper < body < gives", "gives < gives < gives < other_resumer < outermost"));
  }

  TEST_CASE("a chain may begin before it is given away: a backtrace shows who delegates then") {
    items started([](yielding& yield) { gives(yield, 1); });
    outermost(other_resumer, started);
    check_seen(expected("looks < helper < body < gives", "gives < other_resumer < outermost"));
    items chain([&started](yielding& yield) { relay(yield, started); });
    resumer(chain);
    check_seen(expected("looks < helper < body < gives", "gives < relay < resumer"));
    items owner([&started](yielding& yield) { takes(yield, started); });
    for (int i = 0; i < 2; ++i) {
      outermost(resumer, owner);
      check_seen(expected("looks < helper < body < gives", "gives < takes < resumer < outermost"));
    }
  }

  TEST_CASE("while a chain is closed, a backtrace goes from the innermost to who closes it") {
    items chain([](yielding& yield) { gives(yield, 2, true); });
    resumer(chain);
    outermost(closer, chain);
    check_seen(expected("looks < guarded < gives", "gives < gives < closer < outermost"));
  }

  TEST_CASE("when the innermost has ended, a backtrace goes from who delegated to the resumer of the chain") {
    items chain([](yielding& yield) {
      yield.from(items([](yielding& inner) {
        inner.from(items([](yielding& innermost) { innermost(1); }));
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
      items g(std::allocator_arg, source, [](yielding& yield) { body(yield); });
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
