// SPDX-License-Identifier: BSL-1.0
#include <krait/krait.hpp>

#if defined(KRAIT_ASAN)

#include <doctest/doctest.h>

#include <optional>

#include "scenario.hpp"

// What remains of a destroyed generator is free memory, whichever pool has it, and AddressSanitizer says so.

namespace {

krait::stack_pool& pool() {
  static krait::stack_pool only;
  return only;
}

int use_after_destruction(std::optional<krait::generator<int>> g) {
  auto item = g->begin();
  const int first = *item;
  g.reset();
  ++item;
  return first + *item;
}

/// A variable of a body that has ended.
int use_of_variable(std::optional<krait::generator<int*>> g) {
  int* const variable = g->next();
  g.reset();
  return *variable;
}

const auto numbers = [](auto& yield) {
  yield(1);
  yield(2);
};
const auto variable = [](auto& yield) {
  int local = 7;
  yield(&local);
};

const scenario of_default_pool("generator used after destruction",
                               [] { return use_after_destruction(krait::generator<int>(numbers)); });
const scenario of_own_pool("generator used after destruction, own pool", [] {
  return use_after_destruction(krait::generator<int>(std::allocator_arg, pool(), numbers));
});
const scenario variable_of_default_pool("variable of a destroyed generator",
                                        [] { return use_of_variable(krait::generator<int*>(variable)); });
const scenario used_again("a stack used again", [] {
  for (int round = 0; round < 100; ++round) {
    krait::generator<int> g = numbers;
    krait::generator<int> of_pool(std::allocator_arg, pool(), numbers);
    g.next();
    of_pool.next();
    // By somebody who is no generator.
    const krait::stack memory = pool().allocate();
    *memory.limit = std::byte{1};
    pool().deallocate(memory);
  }
  {
    krait::stack_pool unmapped;
    krait::generator<int> g(std::allocator_arg, unmapped, numbers);
  }
  return 0;
});

}  // namespace

TEST_CASE("the use of a destroyed generator is reported by AddressSanitizer") {
  for (const scenario* each : {&of_default_pool, &of_own_pool}) {
    const ending end = each->run();
    CHECK(end.status.exited_with(1));
    CHECK(end.says("use-after-poison"));
  }
  const ending of_variable = variable_of_default_pool.run();
  CHECK(of_variable.status.exited_with(1));
  CHECK(of_variable.says("ERROR: AddressSanitizer: "));  // of another kind, where locals live elsewhere
  const ending end = used_again.run();
  CHECK(end.status.exited_with(0));
  CHECK(end.text == "");
}

#endif
