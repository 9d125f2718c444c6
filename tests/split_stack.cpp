// SPDX-License-Identifier: BSL-1.0

// Compiled with -fsplit-stack, for which compilers define no macro. A function compares the stack pointer
// with the end of the thread's stack, takes a generator's for an overflow, and runs on a piece of stack of
// its own.

#include <doctest/doctest.h>

#include <krait/krait.hpp>
#include <string>

TEST_CASE("with -fsplit-stack, a yield raises an exception that says so") {
  krait::generator<int> g = [](auto& yield) { yield(1); };
  std::string said;
  try {
    g.next();
  } catch (const krait::runtime_error& error) {
    said = error.what();
  }
  CHECK(said ==
        "yield called outside the generator it belongs to, or by a function that is compiled with "
        "-fsplit-stack, which generators cannot run with");
  CHECK(g.done());
}

TEST_CASE("with -fsplit-stack, a body that never yields runs to its end") {
  krait::generator<int, void, int> g = [](auto&) { return 5; };
  CHECK(*g.resume().result() == 5);
}
