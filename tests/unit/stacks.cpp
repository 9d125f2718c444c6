// SPDX-License-Identifier: BSL-1.0
#include <doctest/doctest.h>

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <climits>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <functional>
#include <memory>
#include <mutex>
#include <new>
#include <optional>
#include <set>
#include <stdexcept>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include <krait/krait.hpp>

#include "support/probes.hpp"

namespace {

using krait::generator;
using krait::stack;
using krait::stack_options;
using krait::stack_pool;

const std::size_t page = static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));

/// Frames are larger with AddressSanitizer.
constexpr std::size_t default_size = std::size_t{probes::address_sanitized ? 512 : 64} * 1024;

/// Up to 1 KiB of each stack goes into spreading them in caches.
constexpr std::size_t spread = 1024;

/// Calls itself until `bytes` of stack are used, writing to all of it.
[[gnu::noinline]] std::size_t use_stack(std::size_t bytes) {
  volatile char local[1024];
  for (volatile char& each : local) {
    each = 1;
  }
  const std::size_t used = bytes > sizeof local ? use_stack(bytes - sizeof local) : 0;
  return used + sizeof local * static_cast<std::size_t>(local[bytes % sizeof local]);
}

/// Can this process read the byte? Asks the kernel, as a fault would be the end.
bool readable(const std::byte* place) {
  static const std::array<int, 2> ends = [] {
    std::array<int, 2> made{};
    REQUIRE(::pipe(made.data()) == 0);
    return made;
  }();
  const probes::valgrind_silenced silence;
  std::byte copy;
  return ::write(ends[1], place, 1) == 1 && ::read(ends[0], &copy, 1) == 1;
}

/// Is all below the stack, as far as the guard goes, out of reach, and the stack itself not?
bool guarded(const stack& memory, std::size_t guard) {
  for (std::size_t offset = 1; offset <= guard; offset += page / 4) {
    if (readable(memory.limit - offset)) {
      return false;
    }
  }
  return !readable(memory.limit - guard) && readable(memory.limit) && readable(memory.top() - 1);
}

/// Where the stack of a generator is: an address within it, the same for each on the same stack.
const void* place_of(generator<const void*>& g) {
  return g.next();
}
generator<const void*> placed() {
  return [](krait::yielder<const void*>& yield) { yield(&yield); };
}

}  // namespace

TEST_CASE("a default stack has room for 48 KiB of locals") {
  generator<int> g = [](auto& yield) {
    char local[48 * 1024];
    std::memset(local, 'x', sizeof local);
    yield(1);
    CHECK(std::string_view(local, sizeof local).find_first_not_of('x') == std::string_view::npos);
  };
  CHECK(g.next() == 1);
  CHECK_THROWS_AS(g.next(), krait::stop_iteration<>);
}

TEST_CASE("a stack of 1 MiB has room for 900 KiB of locals") {
  generator<int> g(std::allocator_arg, stack_options{.size = 1 << 20}, [](auto& yield) {
    char local[900 * 1024];
    std::memset(local, 'x', sizeof local);
    yield(1);
    CHECK(std::string_view(local, sizeof local).find_first_not_of('x') == std::string_view::npos);
  });
  CHECK(g.next() == 1);
  CHECK_THROWS_AS(g.next(), krait::stop_iteration<>);
}

TEST_CASE("many stacks of 1 MiB do not get into each other's way") {
  std::vector<generator<std::size_t>> all;
  for (int i = 0; i < 40; ++i) {
    all.emplace_back(std::allocator_arg, stack_options{.size = 1 << 20},
                     [](auto& yield) { yield(use_stack(400 * 1024)); });
  }
  for (auto& each : all) {
    CHECK(each.next() == 400 * 1024);
  }
}

TEST_CASE("everything that runs on a stack of its own can be told which") {
  constexpr std::size_t large = std::size_t{1} << 20;
  constexpr std::size_t deep = 400 * 1024;
  const auto with = [](auto&& where, std::size_t bytes) {
    const auto sync = [bytes](auto& yield) { yield(use_stack(bytes)); };
    const auto async = [bytes](auto& co) { co(use_stack(bytes)); };

    generator<std::size_t> g(std::allocator_arg, where, sync);
    CHECK(g.next() == bytes);
    krait::awaitable_generator<std::size_t> a(std::allocator_arg, where, sync);
    CHECK(a.next() == bytes);
    krait::coroutine<void, void, std::size_t> c(std::allocator_arg, where,
                                                [bytes](auto&) { return use_stack(bytes); });
    CHECK(*c.resume().result() == bytes);
    krait::async_generator<std::size_t> items(std::allocator_arg, where, async, "items");
    CHECK(items.name() == "items");
    auto first = items.anext();
    CHECK_THROWS_AS(first.next(), krait::stop_iteration<std::size_t>);
    krait::with(krait::contextmanager<std::size_t>(std::allocator_arg, where, sync),
                [bytes](std::size_t used) { CHECK(used == bytes); });
    krait::asynccontextmanager<std::size_t> manager(std::allocator_arg, where, async);
    CHECK(*manager.aenter().resume().result() == bytes);
  };
  with(stack_options{.size = large}, deep);
  const stack_options constant{.size = large};
  with(constant, deep);
  stack_pool pool({.size = large});
  with(pool, deep);
  probes::counting_source counted;
  with(static_cast<krait::stack_source&>(counted), 1024);
  CHECK(counted.allocated == 6);
  CHECK(counted.live() == 0);
  generator<std::size_t> braced(std::allocator_arg, {.size = large},
                                [](auto& yield) { yield(use_stack(deep)); });
  CHECK(braced.next() == deep);
  static_assert(!std::is_constructible_v<krait::async_generator<int>, std::allocator_arg_t, int,
                                         void (*)(krait::async_yielder<int>&)>);
}

TEST_CASE("sizes are rounded up to whole pages, and are what is there to use") {
  constexpr std::size_t guard = 64 * 1024;
  CHECK(stack_pool().options() == stack_options{.size = default_size, .guard = guard});
  CHECK(stack_pool({.size = 1}).options() == stack_options{.size = page, .guard = guard});
  CHECK(stack_pool({.size = 0}).options() == stack_options{.size = default_size, .guard = guard});
  CHECK(stack_pool({.size = 5 * page + 1, .guard = page + 1}).options() ==
        stack_options{.size = 6 * page, .guard = 2 * page});
  for (const std::size_t size : {std::size_t{1}, page, 64 * 1024 + page, std::size_t{5} << 20}) {
    stack_pool pool({.size = size});
    for (int i = 0; i < 20; ++i) {
      const stack memory = pool.allocate();
      CHECK(memory.size <= pool.options().size);
      CHECK(memory.size >= pool.options().size - spread);
      CHECK(reinterpret_cast<std::uintptr_t>(memory.limit) % page == 0);
      CHECK(reinterpret_cast<std::uintptr_t>(memory.top()) % 64 == 0);
      *memory.limit = std::byte{1};
      *(memory.top() - 1) = std::byte{1};
      pool.deallocate(memory);
    }
  }
}

TEST_CASE("stacks of a pool do not overlap") {
  stack_pool pool({.size = 3 * page, .guard = 2 * page});
  std::vector<stack> all;
  for (int i = 0; i < 200; ++i) {
    all.push_back(pool.allocate());
  }
  std::sort(all.begin(), all.end(), [](const stack& a, const stack& b) { return a.limit < b.limit; });
  for (std::size_t i = 1; i < all.size(); ++i) {
    CHECK(all[i].limit - all[i - 1].top() >= static_cast<std::ptrdiff_t>(2 * page));
  }
  for (const stack& each : all) {
    pool.deallocate(each);
  }
}

TEST_CASE("options beyond the address space are an error") {
  CHECK_THROWS_AS(stack_pool({.size = SIZE_MAX}), krait::value_error);
  CHECK_THROWS_AS(stack_pool({.size = page, .guard = SIZE_MAX}), krait::value_error);
  CHECK_THROWS_AS(stack_pool({.size = SIZE_MAX / 2, .guard = SIZE_MAX / 2}), krait::value_error);
  probes::tally captured;
  const auto create = [&captured] {
    return generator<int>(std::allocator_arg, stack_options{.size = SIZE_MAX},
                          [token = probes::counted(captured)](auto& yield) { yield(token.value); });
  };
  CHECK_THROWS_AS(static_cast<void>(create()), krait::value_error);
  CHECK(captured.live == 0);
}

TEST_CASE("a stack larger than there is memory to map is bad_alloc, and nothing is leaked") {
  probes::tally captured;
  const auto create = [&captured] {
    return generator<int>(std::allocator_arg, stack_options{.size = std::size_t{1} << 60},
                          [token = probes::counted(captured)](auto& yield) { yield(token.value); });
  };
  CHECK_THROWS_AS(static_cast<void>(create()), std::bad_alloc);
  CHECK_THROWS_AS(static_cast<void>(create()), std::bad_alloc);
  CHECK(captured.live == 0);
}

TEST_CASE("a body too large for its stack is an error, and nothing is leaked") {
  probes::tally captured;
  const auto large_body = [token = probes::counted(captured), bulk = std::array<char, 600'000>()](
                              auto& yield) { yield(bulk.front() + token.value); };
  {
    CHECK_THROWS_AS(static_cast<void>(generator<int>{large_body}), krait::value_error);
    probes::counting_source stacks;
    CHECK_THROWS_AS(static_cast<void>(generator<int>(std::allocator_arg, stacks, large_body)),
                    krait::value_error);
    CHECK(stacks.allocated == 1);
    CHECK(stacks.live() == 0);
    CHECK_THROWS_AS(
        static_cast<void>(generator<int>(std::allocator_arg, stack_options{.size = 1}, large_body)),
        krait::value_error);
    CHECK(captured.live == 1);
    generator<int> g(std::allocator_arg, stack_options{.size = 700'000}, large_body);
    CHECK(g.next() == 0);
    CHECK(captured.live == 2);
  }
  CHECK(captured.live == 1);
}

TEST_CASE("a body that was too large to move is still the caller's") {
  auto number = std::make_shared<int>(5);
  auto large_body = [number, bulk = std::array<char, 600'000>()](krait::yielder<int>& yield) {
    yield(bulk.front() + *number);
  };
  CHECK(number.use_count() == 2);
  CHECK_THROWS_AS(static_cast<void>(generator<int>{std::move(large_body)}), krait::value_error);
  CHECK(number.use_count() == 2);
  generator<int> g(std::allocator_arg, stack_options{.size = 700'000}, std::move(large_body));
  CHECK(number.use_count() == 2);
  CHECK(g.next() == 5);
}

namespace {

/// Hands out the same static buffer, to one generator at a time.
class buffer_source final : public krait::stack_source {
 public:
  stack allocate() override {
    if (in_use) {
      throw std::bad_alloc();
    }
    in_use = true;
    ++allocated;
    return {buffer, sizeof buffer};
  }
  void deallocate(stack memory) noexcept override {
    in_use = false;
    ++deallocated;
    returned = memory;
  }

  alignas(16) static inline std::byte buffer[32 * 1024];
  bool in_use = false;
  int allocated = 0;
  int deallocated = 0;
  stack returned;
};

struct cannot_be_moved {
  cannot_be_moved() = default;
  cannot_be_moved(const cannot_be_moved&) { throw std::runtime_error("not moved"); }
  void operator()(krait::yielder<int>& yield) const { yield(1); }
};

}  // namespace

namespace {

/// A stack of any size, above memory where an overflow does no harm and can be seen.
class cramped_source final : public krait::stack_source {
 public:
  stack allocate() override {
    std::memset(buffer, 0xcd, sizeof buffer);
    return {std::end(buffer) - size, size};
  }
  void deallocate(stack) noexcept override {}

  bool overflowed() const {
    return std::any_of(std::begin(buffer), std::end(buffer) - size,
                       [](std::byte b) { return b != std::byte{0xcd}; });
  }

  std::size_t size = 256;

 private:
  alignas(64) static inline std::byte buffer[128 * 1024];
};

}  // namespace

TEST_CASE("a stack that is accepted is large enough for a small body to be resumed and closed") {
  if (probes::on_valgrind()) {
    return;  // it reports the overflow itself, and the look at what was overwritten as well
  }
  cramped_source source;
  std::optional<generator<int>> g;
  while (!g.has_value()) {
    source.size += 64;
    REQUIRE(source.size < 64 * 1024);
    try {
      g = generator<int>(std::allocator_arg, source, [](auto& yield) { yield(1); });
    } catch (const krait::value_error&) {
    }
  }
  CHECK(g->next() == 1);
  CHECK_FALSE(source.overflowed());
  g->close();
  CHECK_FALSE(source.overflowed());
}

TEST_CASE("smallest: a stack of the smallest size is either refused or does for a small body") {
  CHECK(probes::in_child([] {
          std::vector<generator<int>> all;
          for (int i = 0; i < 32; ++i) {  // the tops of stacks differ
            try {
              all.emplace_back(std::allocator_arg, stack_options{.size = 1}, [i](auto& yield) { yield(i); });
            } catch (const krait::value_error&) {
              continue;
            }
            if (all.back().next() != i) {
              return 1;
            }
          }
          while (!all.empty()) {
            all.back().close();
            all.pop_back();
          }
          return 0;
        }).exited_with(0));
}

TEST_CASE("a generator runs on the memory that a user's source hands out, and gives it back") {
  buffer_source source;
  const void* place = nullptr;
  {
    generator<int> g(std::allocator_arg, source, [&place](auto& yield) {
      int local = 0;
      place = &local;
      for (int i = 0;; ++i) {
        yield(i);
      }
    });
    CHECK(source.allocated == 1);
    CHECK(g.next() == 0);
    const auto* const byte = static_cast<const std::byte*>(place);
    CHECK(byte >= std::begin(source.buffer));
    CHECK(byte < std::end(source.buffer));
    generator<int> moved = std::move(g);
    CHECK(moved.next() == 1);
    CHECK(source.deallocated == 0);
  }
  CHECK(source.deallocated == 1);
  CHECK(source.returned.limit == source.buffer);
  CHECK(source.returned.size == sizeof source.buffer);
  {
    generator<int> again(std::allocator_arg, source, [](auto& yield) { yield(use_stack(20'000) == 20'480); });
    CHECK(again.next() == 1);
  }
  CHECK(source.allocated == 2);
  CHECK(source.deallocated == 2);
}

TEST_CASE("a stack is given back when its generator is destroyed, not when the body ends") {
  probes::counting_source stacks;
  {
    generator<int> ended(std::allocator_arg, stacks, [](auto& yield) { yield(1); });
    generator<int> closed(std::allocator_arg, stacks, [](auto& yield) { yield(1); });
    generator<int> unstarted(std::allocator_arg, stacks, [](auto& yield) { yield(1); });
    static_cast<void>(ended.resume());
    static_cast<void>(ended.resume());
    closed.next();
    closed.close();
    unstarted.close();
    CHECK(stacks.live() == 3);
    CHECK(ended.name() == closed.name());
  }
  CHECK(stacks.live() == 0);
  CHECK(stacks.allocated == 3);
}

TEST_CASE("when a source has no stack, that comes out, and nothing is leaked") {
  probes::counting_source stacks;
  probes::tally captured;
  const auto create = [&] {
    return generator<int>(std::allocator_arg, stacks,
                          [token = probes::counted(captured)](auto& yield) { yield(token.value); });
  };
  stacks.failing = true;
  CHECK_THROWS_AS(static_cast<void>(create()), std::bad_alloc);
  CHECK(captured.live == 0);
  CHECK(stacks.allocated == 0);
  CHECK(stacks.deallocated == 0);
  stacks.failing = false;
  CHECK(create().next() == 0);
  CHECK(stacks.live() == 0);
}

TEST_CASE("when a body cannot be moved, that comes out, and the stack is given back") {
  probes::counting_source stacks;
  CHECK_THROWS_WITH_AS(static_cast<void>(generator<int>(std::allocator_arg, stacks, cannot_be_moved())),
                       "not moved", std::runtime_error);
  CHECK(stacks.allocated == 1);
  CHECK(stacks.live() == 0);
  CHECK_THROWS_WITH_AS(static_cast<void>(generator<int>{cannot_be_moved()}), "not moved", std::runtime_error);
}

TEST_CASE("a generator delegated to gives its stack back when the delegation ends") {
  probes::counting_source stacks;
  generator<int> g = [&stacks](auto& yield) {
    for (int i = 0; i < 3; ++i) {
      yield.from(generator<int>(std::allocator_arg, stacks, [i](auto& inner) { inner(i); }));
      CHECK(stacks.live() == 0);
    }
    yield.from(generator<int>(std::allocator_arg, stacks, [](auto& inner) { inner(3); }));
  };
  for (int i = 0; i <= 3; ++i) {
    CHECK(g.next() == i);
    CHECK(stacks.live() == 1);
  }
  g.close();
  CHECK(stacks.live() == 0);
}

TEST_CASE("a pool reuses the stack that came back last") {
  stack_pool pool;
  const stack a = pool.allocate();
  const stack b = pool.allocate();
  const stack c = pool.allocate();
  pool.deallocate(b);
  pool.deallocate(a);
  pool.deallocate(c);
  CHECK(pool.allocate().limit == c.limit);
  CHECK(pool.allocate().limit == a.limit);
  CHECK(pool.allocate().limit == b.limit);
  for (const stack& each : {a, b, c}) {
    pool.deallocate(each);
  }
}

TEST_CASE("a new generator runs on the stack of the one destroyed last") {
  const void* first = nullptr;
  const void* second = nullptr;
  {
    generator<const void*> one = placed();
    generator<const void*> two = placed();
    first = place_of(one);
    second = place_of(two);
    CHECK(first != second);
  }  // `two` goes first
  generator<const void*> three = placed();
  CHECK(place_of(three) == first);
  generator<const void*> four = placed();
  CHECK(place_of(four) == second);
}

TEST_CASE("generators with the same options share a pool") {
  const stack_options options{.size = 200'000, .guard = 3 * page};
  const auto make = [](const stack_options& these) {
    return generator<const void*>(std::allocator_arg, these,
                                  [](krait::yielder<const void*>& yield) { yield(&yield); });
  };
  const void* place = nullptr;
  {
    generator<const void*> g = make(options);
    place = place_of(g);
  }
  {
    generator<const void*> other = make({.size = 300'000});
    CHECK(place_of(other) != place);
  }
  generator<const void*> g = make({.size = 200'001, .guard = 2 * page + 1});
  CHECK(place_of(g) == place);
}

TEST_CASE("20,000 generators can be alive at once") {
  // Under valgrind fewer, as it gives up at 30,000 mappings, of which each guard costs two; and under
  // ThreadSanitizer, which knows 8,128 threads and fibers, and AddressSanitizer, whose shadows fill memory.
  const std::size_t count = probes::on_valgrind() || probes::sanitized ? 5'000 : 20'000;
  std::vector<generator<std::size_t>> all;
  all.reserve(count);
  for (std::size_t i = 0; i < count; ++i) {
    all.emplace_back([i, count](auto& yield) {
      for (std::size_t n = i;; n += count) {
        yield(n);
      }
    });
  }
  std::size_t wrong = 0;
  for (std::size_t round = 0; round < 3; ++round) {
    for (std::size_t i = 0; i < count; ++i) {
      wrong += all[i].next() != i + round * count;
    }
  }
  CHECK(wrong == 0);
}

TEST_CASE("what deep calls made resident is given back when their generators are gone") {
  constexpr long count = 1000;
  constexpr std::size_t depth = 40 * 1024;
  const auto resident = [] {
    std::ifstream statm("/proc/self/statm");
    long size = 0, pages = 0;
    statm >> size >> pages;
    return pages * ::sysconf(_SC_PAGESIZE);
  };
  const auto go_deep = [](auto& yield) {
    char deep[depth];
    for (std::size_t i = 0; i < depth; i += 1024) {
      deep[i] = 1;
    }
    asm volatile("" : : "r"(&deep[0]) : "memory");  // or Clang keeps the forty bytes alone
    yield(deep[0]);
  };
  const long before = resident();
  long deep = 0;
  {
    std::vector<krait::generator<int>> all;
    for (long i = 0; i < count; ++i) {
      all.emplace_back(go_deep).next();
    }
    deep = resident() - before;
    CHECK(deep > count * long{depth} / 2);  // some were resident from tests before
    for (auto& one : all) {
      CHECK(one.resume().returned());
    }
  }
  CHECK(resident() - before < deep / 2);
}

namespace {

/// Bytes of a stack that are in memory.
std::size_t resident(const stack& memory) {
  std::byte* const end = memory.limit + (memory.size + spread) / page * page;
  std::vector<unsigned char> pages(static_cast<std::size_t>(end - memory.limit) / page);
  REQUIRE(::mincore(memory.limit, pages.size() * page, pages.data()) == 0);
  return page * static_cast<std::size_t>(std::count_if(pages.begin(), pages.end(),
                                                       [](unsigned char bits) { return (bits & 1) != 0; }));
}

std::size_t resident(const std::vector<stack>& all) {
  std::size_t sum = 0;
  for (const stack& each : all) {
    sum += resident(each);
  }
  return sum;
}

std::vector<stack> burst(stack_pool& pool, std::size_t count) {
  std::vector<stack> all(count);
  for (stack& each : all) {
    each = pool.allocate();
    std::memset(each.limit, 1, each.size);
  }
  for (const stack& each : all) {
    pool.deallocate(each);
  }
  return all;
}

/// Takes all stacks once more: each is there, whole and guarded, and no other is.
bool usable(stack_pool& pool, const std::vector<stack>& all) {
  std::set<std::byte*> limits;
  for (const stack& each : all) {
    limits.insert(each.limit);
  }
  std::vector<stack> again(all.size());
  bool good = true;
  for (stack& each : again) {
    each = pool.allocate();
    good = good && limits.erase(each.limit) == 1 && guarded(each, pool.options().guard);
    std::memset(each.limit, 2, each.size);
  }
  for (const stack& each : again) {
    pool.deallocate(each);
  }
  return good;
}

}  // namespace

TEST_CASE("a pool that is trimmed keeps nothing of its free stacks in memory, and has them all the same") {
  if (probes::on_valgrind()) {
    return;  // its names for stacks lie in their memory
  }
  stack_pool pool({.size = 64 * 1024});
  const std::vector<stack> all = burst(pool, 200);
  CHECK(resident(all) > 200 * page);
  pool.trim();
  CHECK(resident(all) == 0);
  CHECK(usable(pool, all));
  const stack in_use = pool.allocate();
  std::memset(in_use.limit, 3, in_use.size);
  pool.trim();
  CHECK(resident(in_use) >= in_use.size);
  CHECK(std::all_of(in_use.limit, in_use.top(), [](std::byte each) { return each == std::byte{3}; }));
  pool.deallocate(in_use);
}

TEST_CASE(
    "a pool that goes on working gives back what it has not needed for long, and what it needs it keeps") {
  if (probes::on_valgrind()) {
    return;
  }
  stack_pool pool({.size = 64 * 1024});
  const std::vector<stack> all = burst(pool, 2000);
  const std::size_t before = resident(all);
  CHECK(before > 2000 * page);
  const auto work = [&](std::size_t at_once, int times) {
    for (int i = 0; i < times; ++i) {
      std::vector<stack> some(at_once);
      for (stack& each : some) {
        each = pool.allocate();
        *(each.top() - 1) = std::byte{1};
      }
      for (const stack& each : some) {
        pool.deallocate(each);
      }
    }
  };
  work(2000, 50);
  CHECK(resident(all) > before / 10 * 9);
  work(200, 2000);
  CHECK(resident(all) < before / 4);
  CHECK(usable(pool, all));
}

TEST_CASE("default stacks and those by options are trimmed together") {
  const auto make = [](std::vector<generator<const std::byte*>>& all, int count, auto... where) {
    for (int i = 0; i < count; ++i) {
      all.emplace_back(where..., [](auto& yield) {
        char deep[32 * 1024];
        std::memset(deep, 1, sizeof deep);
        asm volatile("" : : "r"(&deep[0]) : "memory");
        yield(reinterpret_cast<const std::byte*>(__builtin_frame_address(0)));
      });
    }
  };
  const auto pages_in_memory = [](const std::vector<const std::byte*>& places) {
    std::size_t count = 0;
    for (const std::byte* each : places) {
      unsigned char is = 0;
      auto* const start = reinterpret_cast<void*>(reinterpret_cast<std::uintptr_t>(each) / page * page);
      REQUIRE(::mincore(start, page, &is) == 0);
      count += is & 1;
    }
    return count;
  };
  std::vector<const std::byte*> places;
  {
    std::vector<generator<const std::byte*>> all;
    make(all, 100);
    make(all, 100, std::allocator_arg, stack_options{.size = 100'000});
    for (auto& each : all) {
      places.push_back(each.next());
    }
  }
  CHECK(pages_in_memory(places) > 100);
  krait::trim_stacks();
  if (!probes::on_valgrind()) {
    CHECK(pages_in_memory(places) == 0);
  }
  std::vector<generator<const std::byte*>> again;
  make(again, 150);
  make(again, 150, std::allocator_arg, stack_options{.size = 100'000});
  for (auto& each : again) {
    CHECK(each.next() != nullptr);
  }
}

TEST_CASE("how much of its stack a generator has used") {
  constexpr std::size_t deep = 30 * 1024;
  // Frames of krait's, and a captured array, come on top.
  const auto about = [](std::size_t used, std::size_t bytes) {
    return used >= bytes && used < bytes + 16 * 1024;
  };
  stack_pool pool({.size = 200 * 1024});
  generator<std::size_t> g(std::allocator_arg, pool, [bulk = std::array<char, 2000>{'x'}](auto& yield) {
    yield(static_cast<std::size_t>(bulk[0]));
    yield(use_stack(deep));
    yield(use_stack(100));
  });
  CHECK(about(g.stack_used(), 100));
  g.next();
  CHECK(about(g.stack_used(), 2000));
  CHECK(g.stack_used() < deep);
  g.next();
  CHECK((about(g.stack_used(), deep) || probes::address_sanitized));
  CHECK(g.stack_used() > deep);
  const std::size_t deepest = g.stack_used();
  g.next();
  CHECK(g.stack_used() == deepest);
  g.close();
  CHECK(g.stack_used() >= deepest);
  generator<int>* self = nullptr;
  generator<int> running(std::allocator_arg, pool, [&](auto&) { CHECK(self->stack_used() > 0); });
  self = &running;
  static_cast<void>(running.resume());

  krait::coroutine<void, void, std::size_t> c(std::allocator_arg, pool,
                                              [](auto&) { return use_stack(deep); });
  CHECK(c.stack_used() < deep);
  static_cast<void>(c.resume());
  CHECK(c.stack_used() > deep);
  krait::async_generator<std::size_t> a(std::allocator_arg, pool, [](auto& co) { co(use_stack(deep)); });
  CHECK(a.stack_used() < deep);
  CHECK_THROWS_AS(static_cast<void>(a.anext().next()), krait::stop_iteration<std::size_t>);
  CHECK(a.stack_used() > deep);
  generator<int> moved = std::move(running);
  CHECK_THROWS_AS(static_cast<void>(running.stack_used()), krait::value_error);
}

TEST_CASE("guard: the method is one of two, and the environment can choose mprotect") {
  const std::string method = krait::guard_method();
  CHECK((method == "MADV_GUARD_INSTALL" || method == "mprotect"));
  CHECK(krait::guard_method() == method);
  if (const char* const wish = std::getenv("KRAIT_GUARDS");
      wish != nullptr && wish == std::string("mprotect")) {
    CHECK(method == "mprotect");
  }
}

TEST_CASE("guard: below every stack of a pool there is one, of the size asked for") {
  for (const stack_options& options : {stack_options{}, stack_options{.size = 1, .guard = 1},
                                       stack_options{.size = 3 * page, .guard = 5 * page}}) {
    stack_pool pool(options);
    std::vector<stack> all;
    for (int i = 0; i < 300; ++i) {
      all.push_back(pool.allocate());
    }
    std::size_t unguarded = 0;
    for (const stack& each : all) {
      unguarded += !guarded(each, pool.options().guard);
    }
    CHECK(unguarded == 0);
    // Still so on the second use.
    for (const stack& each : all) {
      std::memset(each.limit, 1, each.size);
      pool.deallocate(each);
    }
    for (stack& each : all) {
      each = pool.allocate();
      unguarded += !guarded(each, pool.options().guard);
    }
    CHECK(unguarded == 0);
    for (const stack& each : all) {
      pool.deallocate(each);
    }
  }
}

TEST_CASE("guard: below the stacks of generators there is one") {
  std::vector<generator<const void*>> all;
  std::size_t unguarded = 0;
  for (int i = 0; i < 300; ++i) {
    all.push_back(placed());
    // The frame is in the highest page of its stack. Going down from there, all pages are the stack's, then
    // comes the guard.
    auto address = reinterpret_cast<std::uintptr_t>(place_of(all.back()));
    address -= address % page;
    std::size_t pages = 0;
    while (readable(reinterpret_cast<const std::byte*>(address))) {
      ++pages;
      address -= page;
    }
    unguarded += pages != default_size / page;
  }
  CHECK(unguarded == 0);
}

TEST_CASE("guard: writing below a stack is a fault") {
  stack_pool pool({.size = 1, .guard = 2 * page});
  std::vector<stack> all;
  for (int i = 0; i < 20; ++i) {
    all.push_back(pool.allocate());
  }
  for (const std::size_t offset : {std::size_t{1}, page, page + 1, 2 * page}) {
    CHECK(probes::in_child([&] {
            *const_cast<volatile std::byte*>(all[10].limit - offset) = std::byte{1};
            return 0;
          }).killed_by(SIGSEGV));
  }
  CHECK(probes::in_child([&] {
          *const_cast<volatile std::byte*>(all[10].limit) = std::byte{1};
          return 0;
        }).exited_with(0));
  for (const stack& each : all) {
    pool.deallocate(each);
  }
}

TEST_CASE("guard: a body that recurses without end is stopped by a fault") {
  const auto overflow = [](generator<std::size_t> g) {
    return probes::in_child([&g] {
      std::vector<generator<const void*>> neighbours;
      for (int i = 0; i < 10; ++i) {
        neighbours.push_back(placed());
      }
      return g.next() == 0 ? 1 : 2;
    });
  };
  const auto body = [](auto& yield) { yield(use_stack(std::size_t{1} << 30)); };
  CHECK(overflow(body).killed_by(SIGSEGV));
  CHECK(overflow(generator<std::size_t>(std::allocator_arg, stack_options{.size = 1 << 20}, body))
            .killed_by(SIGSEGV));
}

namespace {

/// Runs the test cases that match `filter` in a new process, with KRAIT_GUARDS=mprotect if asked for. Returns
/// what it wrote, or nothing if it failed.
std::string output_of(const char* filter, bool with_mprotect) {
  char program[PATH_MAX];
  const ssize_t length = ::readlink("/proc/self/exe", program, sizeof program - 1);
  REQUIRE(length > 0);
  program[length] = '\0';
  std::cout.flush();
  std::fflush(nullptr);
  int ends[2];
  REQUIRE(::pipe(ends) == 0);
  const std::string argument = std::string("--test-case=") + filter;
  const pid_t child = ::fork();
  if (child == 0) {
    if (with_mprotect) {
      ::setenv("KRAIT_GUARDS", "mprotect", 1);
    }
    ::dup2(ends[1], STDOUT_FILENO);
    ::close(ends[0]);
    ::close(ends[1]);
    // The variable is empty, unless another machine is emulated.
    ::execl("/bin/sh", "sh", "-c", "exec $KRAIT_TEST_EMULATOR \"$@\"", "sh", program, "--no-colors=1",
            argument.c_str(), static_cast<char*>(nullptr));
    std::_Exit(201);
  }
  ::close(ends[1]);
  std::string output;
  char part[1024];
  for (ssize_t n; (n = ::read(ends[0], part, sizeof part)) > 0;) {
    output.append(part, static_cast<std::size_t>(n));
  }
  ::close(ends[0]);
  return probes::wait_for(child).exited_with(0) ? output : "";
}

bool all_passed(const std::string& output, int count) {
  std::string squeezed;  // doctest aligns its numbers
  for (const char c : output) {
    if (c != ' ') {
      squeezed += c;
    }
  }
  const std::string number = std::to_string(count);
  return squeezed.find("testcases:" + number + "|" + number + "passed") != std::string::npos;
}

}  // namespace

TEST_CASE("the smallest stacks do also for the first exception of a process, which takes the most room") {
  CHECK(all_passed(output_of("smallest: *", false), 1));
}

TEST_CASE("with KRAIT_GUARDS=mprotect, the same holds of guards") {
  CHECK(all_passed(output_of("guard: *", true), 5));
}

TEST_CASE("mprotect: when the number of mappings is exhausted, that is bad_alloc, and all stays usable") {
  if (krait::guard_method() != std::string("mprotect")) {
    return;  // markers need no mappings; the next test runs this one with mprotect
  }
  if (probes::sanitized || probes::on_valgrind()) {
    return;  // these are the first to fail without mappings, and end the process
  }
  std::size_t most = 0;
  std::ifstream("/proc/sys/vm/max_map_count") >> most;
  REQUIRE(most > 0);
  const std::size_t enough = std::min<std::size_t>(most / 2 + 1000, 40'000);
  stack_pool pool({.size = 1});
  std::vector<stack> all;
  all.reserve(enough);
  bool exhausted = false;
  try {
    while (all.size() < enough) {
      all.push_back(pool.allocate());
    }
  } catch (const std::bad_alloc&) {
    exhausted = true;
  }
  CHECK(exhausted == (most / 2 < enough));
  CHECK(all.size() > 1000);
  CHECK(guarded(all.back(), page));
  if (exhausted) {
    CHECK_THROWS_AS(pool.allocate(), std::bad_alloc);
  }
  const stack last = all.back();
  pool.deallocate(last);
  CHECK(pool.allocate().limit == last.limit);
  for (const stack& each : all) {
    pool.deallocate(each);
  }
}

TEST_CASE("with KRAIT_GUARDS=mprotect, the limit of mappings is an error like any other") {
  CHECK(all_passed(output_of("mprotect: *,guard: the method*", true), 2));
}

TEST_CASE("generators may be created on one thread and destroyed on another") {
  std::set<const void*> places;
  for (int round = 0; round < 20; ++round) {
    std::vector<generator<const void*>> made_here;
    std::vector<generator<const void*>> made_there;
    for (int i = 0; i < 100; ++i) {
      made_here.push_back(placed());
      places.insert(place_of(made_here.back()));
    }
    std::thread([&] {
      for (int i = 0; i < 100; ++i) {
        made_there.push_back(placed());
        places.insert(place_of(made_there.back()));
      }
      made_here.clear();
    }).join();
    made_there.clear();
  }
  // Of the 4,000 none was lost, so a few hundred stacks went round.
  CHECK(places.size() < 600);
}

TEST_CASE("the stacks of a thread are used by others when it has ended") {
  std::set<const void*> places;
  for (int i = 0; i < 200; ++i) {
    std::thread([&places] {
      std::vector<generator<const void*>> some;
      for (int n = 0; n < 10; ++n) {
        some.push_back(placed());
        places.insert(place_of(some.back()));
      }
    }).join();
  }
  CHECK(places.size() < 300);
}

TEST_CASE("pools serve many threads at once, each stack one generator at a time") {
  constexpr int threads = 4;
  constexpr int rounds = 300;
  stack_pool shared({.size = 16 * 1024});
  std::mutex mutex;
  std::vector<generator<int>> exchange;  // one thread's are another's to destroy
  std::atomic<int> wrong = 0;
  std::vector<std::thread> running;
  for (int t = 0; t < threads; ++t) {
    running.emplace_back([&, t] {
      for (int round = 0; round < rounds; ++round) {
        const int mark = t * rounds + round;
        const auto body = [mark](auto& yield) {
          volatile int local[500];
          for (volatile int& each : local) {
            each = mark;
          }
          yield(mark);
          int sum = 0;
          for (const volatile int& each : local) {
            sum += each == mark;
          }
          yield(sum);
        };
        std::vector<generator<int>> mine;
        mine.emplace_back(body);
        mine.emplace_back(std::allocator_arg, shared, body);
        mine.emplace_back(std::allocator_arg, stack_options{.size = 32 * 1024}, body);
        for (generator<int>& each : mine) {
          wrong += each.next() != mark;
        }
        std::vector<generator<int>> others;
        {
          const std::lock_guard lock(mutex);
          others = std::exchange(exchange, {});
          exchange = std::move(mine);
        }
        for (generator<int>& each : others) {
          wrong += each.next() != 500;
        }
      }
    });
  }
  for (std::thread& each : running) {
    each.join();
  }
  exchange.clear();
  CHECK(wrong == 0);
}

namespace {

/// Holds generators until its thread is gone; then makes another.
struct held_by_thread {
  std::vector<generator<const void*>> generators;
  std::atomic<int>* ended = nullptr;
  ~held_by_thread() {
    if (ended != nullptr) {
      generators.clear();
      generator<const void*> late = placed();
      *ended += place_of(late) != nullptr;
    }
  }
};

generator<const void*> noting_its_end(std::atomic<int>& ended) {
  return [&ended](krait::yielder<const void*>& yield) {
    const probes::at_exit note([&ended] { ++ended; });
    yield(&yield);
  };
}

}  // namespace

TEST_CASE("generators may be destroyed and made by the destructors of thread_local objects") {
  std::atomic<int> ended = 0;
  std::set<const void*> places;
  for (int i = 0; i < 100; ++i) {
    std::thread([&] {
      // Made before the thread has used any generator, or after, so that it goes after krait's own or before.
      static thread_local held_by_thread early;
      static thread_local held_by_thread late;
      early.ended = &ended;
      early.generators.push_back(noting_its_end(ended));
      places.insert(place_of(early.generators.back()));
      {
        generator<const void*> unrelated = placed();
      }
      late.ended = &ended;
      for (int n = 0; n < 5; ++n) {
        late.generators.push_back(noting_its_end(ended));
        places.insert(place_of(late.generators.back()));
      }
    }).join();
  }
  CHECK(ended == 100 * (6 + 2));
  CHECK(places.size() < 200);
}

TEST_CASE("generators may be destroyed and made by the destructors of static objects") {
  int ends[2];
  REQUIRE(::pipe(ends) == 0);
  const probes::child_status status = probes::in_child([&]() -> int {
    struct held {
      int report;
      std::optional<generator<int>> g;
      ~held() {
        g.reset();
        generator<int> late = [](auto& yield) { yield(7); };
        const char text = late.next() == 7 ? 'l' : '?';
        static_cast<void>(::write(report, &text, 1) == 1);
      }
    };
    static held early{ends[1], std::nullopt};
    early.g = generator<int>([&](auto& yield) {
      const probes::at_exit note([&] { static_cast<void>(::write(ends[1], "e", 1) == 1); });
      yield(1);
    });
    early.g->next();
    std::exit(0);
  });
  ::close(ends[1]);
  std::string text(8, '\0');
  const ssize_t length = ::read(ends[0], text.data(), text.size());
  ::close(ends[0]);
  CHECK(status.exited_with(0));
  REQUIRE(length >= 0);
  CHECK(text.substr(0, static_cast<std::size_t>(length)) == "el");
}

namespace {

std::size_t address_space_in_use() {
  std::size_t pages = 0;
  std::ifstream("/proc/self/statm") >> pages;
  return pages * page;
}

}  // namespace

TEST_CASE("when the address space is exhausted, that is bad_alloc, and all stays usable") {
  if (probes::on_valgrind()) {
    return;  // its own memory counts as well, and it ends the process when it gets no more
  }
  const auto exhaust = [](auto make) {
    return probes::in_child([&make] {
      std::vector<generator<int>> all;
      all.reserve(100'000);  // more than other tests have left in the pool
      all.push_back(make());
      const rlim_t allowed = address_space_in_use() + (std::size_t{24} << 20);
      const rlimit limit{allowed, allowed};
      if (::setrlimit(RLIMIT_AS, &limit) != 0) {
        return 1;
      }
      bool exhausted = false;
      try {
        while (all.size() < all.capacity()) {
          all.push_back(make());
        }
      } catch (const std::bad_alloc&) {
        exhausted = true;
      }
      if (!exhausted || all.size() < 10) {
        return 2;
      }
      try {
        all.push_back(make());
        return 3;
      } catch (const std::bad_alloc&) {
      }
      for (generator<int>& each : all) {
        if (each.next() != 1 || each.next() != 2) {
          return 4;
        }
      }
      all.pop_back();
      all.push_back(make());
      if (all.back().next() != 1) {
        return 5;
      }
      return 0;
    });
  };
  const auto body = [](auto& yield) {
    yield(1);
    yield(2);
  };
  SUBCASE("default stacks") {
    CHECK(exhaust([&body] { return generator<int>(body); }).exited_with(0));
  }
  SUBCASE("stacks of 1 MiB") {
    CHECK(exhaust([&body] {
            return generator<int>(std::allocator_arg, stack_options{.size = 1 << 20}, body);
          }).exited_with(0));
  }
}

TEST_CASE("a stack from a source that ends at an odd address is refused, and given back") {
  struct crooked_source final : krait::stack_source {
    alignas(16) std::byte memory[64 * 1024 + 8];
    int given_back = 0;
    krait::stack allocate() override { return {memory, 64 * 1024 + 8}; }
    void deallocate(krait::stack) noexcept override { ++given_back; }
  };
  const auto source = std::make_unique<crooked_source>();
  const auto body = [](auto& yield) { yield(1); };
  const auto make = [&] { const krait::generator<int> refused(std::allocator_arg, *source, body); };
  CHECK_THROWS_WITH_AS(make(), "a stack must end at a multiple of 16 bytes", krait::value_error);
  CHECK(source->given_back == 1);
}
