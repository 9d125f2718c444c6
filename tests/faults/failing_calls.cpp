// SPDX-License-Identifier: BSL-1.0

// What if the system says no? A long scenario is run again and again, and each time one more of its calls of
// mmap, mprotect, madvise or malloc fails: the first, the second, and so on, until none is left. Whatever
// fails, what comes out is std::bad_alloc, nothing is lost, every stack is guarded, and all works afterwards.

#include <doctest/doctest.h>

#include <fcntl.h>
#include <sys/uio.h>
#include <unistd.h>

#include <climits>
#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <new>
#include <optional>
#include <sstream>
#include <stdexcept>
#include <string>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>

#include <krait/krait.hpp>

#include "fault.hpp"
#include "scenario.hpp"

namespace {

using krait::generator;
using krait::stack;
using krait::stack_options;
using probes::counted;
using process::readable;

[[noreturn]] void wrong(const char* what) {
  std::fprintf(stderr, "wrong: %s\n", what);
  std::_Exit(1);
}
void expect(bool right, const char* what) {
  if (!right) {
    wrong(what);
  }
}

/// Long enough to be allocated.
const char* const long_text = "a text that does not fit into a string object";

/// What must be zero in the end.
struct balance {
  probes::tally objects;
  int reports = 0;
};

generator<int, std::optional<int>> sums(balance& all) {
  return [&all, token = counted(all.objects)](krait::yielder<int, std::optional<int>>& yield) {
    const counted local(all.objects);
    for (int total = 0;;) {
      try {
        total += yield(total).value_or(0);
      } catch (const std::runtime_error&) {
        total = -1;
      }
    }
  };
}

/// A pool that knows how many of its stacks are out.
class counting_pool final : public krait::stack_source {
 public:
  stack allocate() override {
    const stack memory = pool_.allocate();
    ++out;
    return memory;
  }
  void deallocate(stack memory) noexcept override {
    --out;
    pool_.deallocate(memory);
  }

  int out = 0;

 private:
  krait::stack_pool pool_{{.size = 48 * 1024}};
};

generator<std::string, void, std::string> nested(balance& all, krait::stack_source& stacks, int depth) {
  return {std::allocator_arg, stacks,
          [&all, &stacks, depth, token = counted(all.objects)](auto& yield) -> std::string {
            const counted local(all.objects);
            std::string text = long_text;
            yield(text);
            if (depth > 0) {
              if (depth % 2 == 0) {
                text += yield.from(nested(all, stacks, depth - 1));
              } else {
                auto lent = nested(all, stacks, depth - 1);
                text += yield.from(lent);
              }
            }
            return text;
          }};
}

/// Raises, or refuses to end, when it is closed.
generator<int> unruly(balance& all, bool refuse) {
  return [&all, refuse, token = counted(all.objects)](auto& yield) {
    try {
      const counted local(all.objects);
      yield(1);
    } catch (const krait::generator_exit&) {
      if (!refuse) {
        throw std::logic_error(long_text);
      }
      yield(2);
    }
  };
}

void use_generators(balance& all) {
  auto g = sums(all);
  expect(g.next() == 0 && g.send(5) == 5 && g.send(6) == 11, "sums");
  expect(g.throw_(std::runtime_error(long_text)) == -1, "what is thrown in");
  try {
    g.throw_(std::logic_error(long_text));
    wrong("what is thrown in, and not caught");
  } catch (const std::logic_error&) {
  }
  expect(g.done(), "done");
  auto moved = sums(all);
  moved.next();
  moved = sums(all);
  moved.set_name(long_text);
  expect(moved.name() == long_text && moved.repr().find(long_text) != std::string::npos, "name");
  moved.next();
}

void delegate(balance& all) {
  counting_pool stacks;
  const probes::at_exit check([&stacks] { expect(stacks.out == 0, "a stack is out"); });
  std::size_t items = 0;
  for (const std::string& text : nested(all, stacks, 5)) {
    expect(text == long_text, "item");
    ++items;
  }
  expect(items == 6, "items");
  auto closed = nested(all, stacks, 3);
  closed.next();
  closed.next();
  closed.next();
  std::ostringstream dump;
  krait::dump_generators(dump);
  closed.close();
  auto dropped = nested(all, stacks, 3);
  dropped.next();
  dropped.next();
  auto thrown_into = nested(all, stacks, 3);
  thrown_into.next();
  thrown_into.next();
  try {
    thrown_into.throw_(7);
    wrong("an int is thrown in");
  } catch (int) {
  }
}

void report(balance& all) {
  const krait::unraisable_hook before =
      krait::set_unraisable_hook([&all](const krait::unraisable&) { ++all.reports; });
  const probes::at_exit restore([&before] { krait::set_unraisable_hook(before); });
  {
    unruly(all, false).next();
  }
  {
    auto g = unruly(all, true);
    g.next();
    try {
      g.close();
      wrong("a generator that refuses to end");
    } catch (const krait::runtime_error&) {
    }
    expect(g.suspended(), "refused");
  }
  // Destroyed by its own body.
  std::optional<generator<int>> self;
  self = [&all, &self, token = counted(all.objects)](auto& yield) {
    const counted local(all.objects);
    self.reset();
    yield(1);
  };
  generator<int>& running = *self;
  try {
    running.next();
  } catch (const krait::stop_iteration<>&) {
  }
}

void use_pools(balance& all) {
  for (const stack_options& options :
       {stack_options{.size = 1}, stack_options{.size = 80'000, .guard = 10'000}}) {
    krait::stack_pool pool(options);
    std::vector<stack> out;
    const probes::at_exit give_back([&] {
      for (const stack& each : out) {
        pool.deallocate(each);
      }
    });
    out.reserve(8);
    for (int i = 0; i < 8; ++i) {
      out.push_back(pool.allocate());
      const stack& newest = out.back();
      expect(!readable(newest.limit - 1) && !readable(newest.limit - pool.options().guard),
             "a stack without a guard");
      expect(readable(newest.limit) && readable(newest.top() - 1), "a stack out of reach");
    }
  }
  generator<int> g(std::allocator_arg, stack_options{.size = 200'000},
                   [token = counted(all.objects)](auto& yield) { yield(3); });
  expect(g.next() == 3, "own options");
}

void use_threads(balance& all) {
  std::vector<generator<int, std::optional<int>>> made_there;
  std::exception_ptr failure;
  std::thread([&] {
    try {
      for (int i = 0; i < 3; ++i) {
        made_there.push_back(sums(all));
        made_there.back().next();
      }
      sums(all).next();
    } catch (...) {
      failure = std::current_exception();
    }
  }).join();
  if (failure != nullptr) {
    std::rethrow_exception(failure);
  }
  for (auto& each : made_there) {
    expect(each.send(4) == 4, "made on another thread");
  }
}

/// Returns whether it ran to its end; else what came out was what is documented.
bool everything() {
  balance all;
  bool complete = false;
  try {
    use_generators(all);
    delegate(all);
    report(all);
    use_pools(all);
    use_threads(all);
    complete = true;
  } catch (const std::bad_alloc&) {
  } catch (const std::system_error&) {  // std::thread
  } catch (const std::exception& other) {
    wrong(other.what());
  } catch (...) {
    wrong("something else than bad_alloc comes out");
  }
  expect(all.objects.live == 0, "an object is lost");
  return complete;
}

/// The whole scenario with its n-th call failing, for each n. Returns the number of failures.
int fail_each(faults::call kind, int in_all) {
  for (int n = 1;; ++n) {
    // In a new process, where nothing is at hand yet.
    const auto status = probes::in_child([&] {
      bool reached = false;
      {
        const faults::fault fault(kind, n, in_all);
        const bool complete = everything();
        reached = fault.reached();
        expect(complete || reached, "a failure that was not asked for");
      }
      expect(everything(), "afterwards");
      return reached ? 0 : 42;
    });
    if (status.exited_with(42)) {
      return n - 1;
    }
    if (!status.exited_with(0)) {
      std::fprintf(stderr, "call %d of %s\n", n, faults::names[kind]);
      wrong("the scenario failed");
    }
  }
}

/// Of the address space, in pages.
long mapped() {
  char text[64] = {};
  const int file = ::open("/proc/self/statm", O_RDONLY);
  expect(::read(file, text, sizeof text - 1) > 0, "statm");
  ::close(file);
  return std::atol(text);
}

/// The same in one process. When a failure happens again, no more may be allocated or mapped after it than
/// before.
int fail_each_without_leak(faults::call kind) {
  expect(everything() && everything(), "without failures");
  const auto reached = [kind](int n) {
    const faults::fault fault(kind, n);
    everything();
    return fault.reached();
  };
  for (int n = 1;; ++n) {
    reached(n);
    const long before = faults::blocks();
    const long mapped_before = mapped();
    const bool again = reached(n);
    const long lost = faults::blocks() - before;
    if (lost != 0) {
      std::fprintf(stderr, "call %d of %s: %ld blocks\n", n, faults::names[kind], lost);
      wrong("a block is lost");
    }
    expect(mapped() == mapped_before || probes::sanitized,
           "a mapping is lost");  // a sanitizer maps for itself
    if (!again) {
      expect(everything(), "afterwards");
      return n - 1;
    }
  }
}

template <int (*count)()>
int printed() {
  std::fprintf(stderr, "%d", count());
  return 0;
}

const scenario mmap_fails("mmap fails", &printed<[] { return fail_each(faults::mmap, 1); }>);
const scenario mmap_keeps_failing("mmap keeps failing",
                                  &printed<[] { return fail_each(faults::mmap, INT_MAX); }>);
const scenario mprotect_fails("mprotect fails", &printed<[] { return fail_each(faults::mprotect, 1); }>);
const scenario madvise_fails("madvise fails", &printed<[] { return fail_each(faults::madvise, 1); }>);
const scenario madvise_keeps_failing("madvise keeps failing",
                                     &printed<[] { return fail_each(faults::madvise, INT_MAX); }>);
const scenario malloc_fails("malloc fails", &printed<[] { return fail_each(faults::malloc, 1); }>);
const scenario malloc_keeps_failing("malloc keeps failing",
                                    &printed<[] { return fail_each(faults::malloc, INT_MAX); }>);
const scenario mmap_leaks("mmap leaks", &printed<[] { return fail_each_without_leak(faults::mmap); }>);
const scenario mprotect_leaks("mprotect leaks",
                              &printed<[] { return fail_each_without_leak(faults::mprotect); }>);
const scenario malloc_leaks("malloc leaks", &printed<[] { return fail_each_without_leak(faults::malloc); }>);

/// How many failures a scenario has survived; 0 if it has not.
int survived(const scenario& which, std::initializer_list<const char*> environment = {}) {
  const ending end = which.run(environment);
  CAPTURE(end.text);
  CHECK(end.status.exited_with(0));
  return end.status.exited_with(0) ? std::atoi(end.text.c_str()) : 0;
}

}  // namespace

TEST_CASE("whichever call of the system fails, that is bad_alloc, and nothing is lost") {
  if (probes::thread_sanitized) {
    return;  // these functions are its own
  }
  const int mappings = survived(mmap_fails) + survived(mmap_keeps_failing) + survived(mmap_leaks);
  const int protections = survived(mprotect_fails, {"KRAIT_GUARDS=mprotect"}) +
                          survived(mprotect_leaks, {"KRAIT_GUARDS=mprotect"});
  const int advice = survived(madvise_fails) + survived(madvise_keeps_failing);
  MESSAGE(mappings << " failures of mmap, " << protections << " of mprotect, " << advice << " of madvise");
  CHECK(mappings > 10);
  CHECK(protections > 10);
  CHECK(advice > 0);  // many, where guards are made by madvise
}

TEST_CASE("whichever allocation fails, that is bad_alloc, and nothing is lost") {
  if (!faults::malloc_can_fail) {
    return;
  }
  const int once = survived(malloc_fails);
  const int from_then_on = survived(malloc_keeps_failing);
  const int without_leak = survived(malloc_leaks);
  MESSAGE(once << " failures of malloc, " << from_then_on << " from which on it failed for good, "
               << without_leak << " with blocks counted");
  CHECK(once > 50);
  CHECK(from_then_on > 50);
  CHECK(without_leak > 50);
}

namespace {

/// There is no memory for an exception, and no reserve: the C++ runtime ends the process.
const scenario no_exception("no memory for an exception", [] {
  for (int n = 1;; ++n) {
    const auto status = probes::in_child([n] {
      const faults::fault fault(faults::exception, n);
      everything();
      return fault.reached() ? 1 : 42;
    });
    if (status.exited_with(42)) {
      std::fprintf(stderr, "=%d", n - 1);
      return 0;
    }
    expect(status.killed_by(SIGABRT), "not terminated");
  }
});

}  // namespace

TEST_CASE("where there is not even memory for an exception, the process is terminated") {
  if (probes::thread_sanitized) {
    return;  // these functions are its own
  }
  const ending end = no_exception.run();
  CHECK(end.status.exited_with(0));
  CHECK(end.says("terminate called"));
  const auto equals = end.text.rfind('=');
  REQUIRE(equals != std::string::npos);
  const int ended = std::atoi(end.text.c_str() + equals + 1);
  MESSAGE(ended << " exceptions without memory");
  CHECK(ended > 5);
}
