// SPDX-License-Identifier: BSL-1.0

// How large stacks are where nobody says: by the environment, by the program, before the first one. In
// processes of their own, as each has one default.

#include <doctest/doctest.h>

#include <unistd.h>

#include <cstdio>
#include <cstring>
#include <string>

#include <krait/krait.hpp>

#include "scenario.hpp"

namespace {

using krait::generator;
using krait::stack_options;

constexpr std::size_t kib = 1024;

generator<int> simple() {
  return [](auto& yield) { yield(1); };
}

/// Uses nearly so much of the stack.
template <std::size_t bytes>
generator<std::size_t> using_most_of() {
  return [](auto& yield) {
    char local[bytes - 16 * kib];
    std::memset(local, 'x', sizeof local);
    asm volatile("" : : "r"(&local[0]) : "memory");
    yield(sizeof local);
  };
}

void say_defaults() {
  const stack_options options = krait::default_stack_options();
  std::fprintf(stderr, "%zu %zu\n", options.size / kib, options.guard / kib);
}

const scenario as_it_is("defaults as they are", [] {
  say_defaults();
  take_a_stack();
  return 0;
});

const scenario set("defaults set", [] {
  krait::set_default_stack_options({.size = 1000 * kib});
  say_defaults();
  krait::set_default_stack_options({.size = 0, .guard = 200 * kib});
  say_defaults();
  // What names one of the two has the other by default.
  const krait::stack_pool guarded({.size = 16 * kib});
  const krait::stack_pool sized({.guard = 16 * kib});
  std::fprintf(stderr, "%zu %zu\n", guarded.options().guard / kib, sized.options().size / kib);
  auto g = using_most_of<1000 * kib>();
  g.next();
  std::fprintf(stderr, "%d\n", g.stack_used() > 900 * kib);
  return 0;
});

const scenario set_too_late("defaults set too late", [] {
  take_a_stack();
  try {
    krait::set_default_stack_options({.size = 1000 * kib});
  } catch (const krait::runtime_error& error) {
    std::fprintf(stderr, "%s\n", error.what());
  }
  say_defaults();
  return 0;
});

const scenario set_after_others("defaults set after others", [] {
  krait::stack_pool pool({.size = 100 * kib});
  static_cast<void>(generator<int>(std::allocator_arg, pool, [](auto& yield) { yield(1); }).next());
  const auto body = [](auto& yield) { yield(1); };
  static_cast<void>(generator<int>(std::allocator_arg, stack_options{.size = 100 * kib}, body).next());
  krait::set_default_stack_options({.size = 1000 * kib});
  say_defaults();
  return 0;
});

const scenario set_to_nonsense("defaults set to nonsense", [] {
  for (const stack_options& options : {stack_options{.size = SIZE_MAX}, stack_options{.guard = SIZE_MAX}}) {
    try {
      krait::set_default_stack_options(options);
    } catch (const krait::value_error& error) {
      std::fprintf(stderr, "%s\n", error.what());
    }
  }
  say_defaults();
  return 0;
});

const scenario from_environment("default from the environment", [] {
  say_defaults();
  static_cast<void>(using_most_of<1000 * kib>().next());
  return 0;
});

const std::string usual = probes::address_sanitized ? "512 64\n" : "64 64\n";

}  // namespace

TEST_CASE("a default stack has 64 KiB, or 512 with AddressSanitizer, above a guard of 64 KiB") {
  const ending end = as_it_is.run();
  CHECK(end.status.exited_with(0));
  CHECK(end.text == usual);
}

TEST_CASE("a program sets the size and the guard of default stacks before the first") {
  const ending end = set.run();
  CHECK(end.status.exited_with(0));
  CHECK(end.text == "1000 64\n1000 200\n200 1000\n1\n");
}

TEST_CASE("stacks of other pools do not settle the defaults") {
  const ending end = set_after_others.run();
  CHECK(end.status.exited_with(0));
  CHECK(end.text == "1000 64\n");
}

TEST_CASE("after the first default stack the defaults cannot be changed") {
  const ending end = set_too_late.run();
  CHECK(end.status.exited_with(0));
  CHECK(end.text == "set_default_stack_options: the first stack has been taken already\n" + usual);
}

TEST_CASE("defaults beyond the address space are an error, and change nothing") {
  const ending end = set_to_nonsense.run();
  CHECK(end.status.exited_with(0));
  const std::string message = "stack_options: larger than the address space\n";
  CHECK(end.text == message + message + usual);
}

TEST_CASE("KRAIT_STACK_SIZE is the default size") {
  for (const char* const wish :
       {"KRAIT_STACK_SIZE=1024000", "KRAIT_STACK_SIZE=1000K", "KRAIT_STACK_SIZE=1000k"}) {
    const ending end = from_environment.run({wish});
    CAPTURE(wish);
    CHECK(end.status.exited_with(0));
    CHECK(end.text == "1000 64\n");
  }
  CHECK(from_environment.run({"KRAIT_STACK_SIZE=2M"}).text == "2048 64\n");
  CHECK(as_it_is.run({"KRAIT_STACK_SIZE=16K"}).text == "16 64\n");
  CHECK(as_it_is.run({"KRAIT_STACK_SIZE="}).text == usual);
  CHECK(set.run({"KRAIT_STACK_SIZE=2M"}).text.starts_with("1000 64\n"));
}

TEST_CASE("what KRAIT_STACK_SIZE says is ignored, with a line, where it is no size for a stack") {
  for (const char* const wish : {"abc", "K", "64Q", "64KB", "64 K", "-1", "0", "16383", "15K", "1e6", "1G1",
                                 "99999999999999999999999", "9999999999G"}) {
    const std::string variable = std::string("KRAIT_STACK_SIZE=") + wish;
    const ending end = as_it_is.run({variable.c_str()});
    CAPTURE(wish);
    CHECK(end.status.exited_with(0));
    CHECK(end.text ==
          "krait: ignored: " + variable + ": a size is wanted, as in 256K: at least 16K\n" + usual);
  }
}

namespace {

const scenario deep_then_shallow("stack used by two", [] {
  static constexpr std::size_t deep = 40 * kib;
  {
    auto g = using_most_of<deep + 16 * kib>();
    g.next();
    std::fprintf(stderr, "%d ", g.stack_used() > deep && g.stack_used() < deep + 16 * kib);
  }
  auto g = simple();
  std::fprintf(stderr, "%d ", g.stack_used() < 8 * kib);
  g.next();
  std::fprintf(stderr, "%d\n", g.stack_used() < deep);
  return 0;
});

}  // namespace

TEST_CASE("a stack that is used again shows its former user, unless it is to be exact") {
  if (probes::address_sanitized) {
    return;  // frames are larger
  }
  CHECK(deep_then_shallow.run().text == "1 0 0\n");
  CHECK(deep_then_shallow.run({"KRAIT_STACK_USED=exact"}).text == "1 1 1\n");
}
