// SPDX-License-Identifier: BSL-1.0
#include <doctest/doctest.h>

#include <memory>
#include <string>
#include <utility>

#include <krait/krait.hpp>

#include "managers.hpp"
#include "support/driver.hpp"
#include "support/probes.hpp"

// CPython's test_asyncgen.py: generators that are dropped, and loops that are shut down.

namespace {

using driver::event_loop;
using driver::sleep;
using krait::async_generator;
using krait::try_finally;
using managers::zero_division_error;

async_generator<int> counting_to_two() {
  return [](auto& co) {
    co(1);
    co(2);
  };
}

async_generator<int> failing_at_the_end() {
  return [](auto& co) {
    try_finally(
        [&] {
          co(1);
          co(2);
        },
        [] { throw zero_division_error(); });
  };
}

/// Takes one item.
template <class Awaiter, class Iterable>
void iterate_once(Awaiter& co, Iterable&& iterable) {
  for (const int item : krait::async_for(co, std::forward<Iterable>(iterable))) {
    CHECK(item == 1);
    break;
  }
}

constexpr const char* division = "managers::zero_division_error: division by zero";

}  // namespace

TEST_CASE("asyncgen::test_async_gen_asyncio_gc_aclose_09") {
  int done = 0;
  event_loop loop;
  loop.run([&](auto& co) {
    {
      async_generator<int> g = [&](auto& generator) {
        try_finally(
            [&] {
              generator(1);
              generator(2);
            },
            [&] {
              generator.await(sleep());
              generator.await(sleep());
              ++done;
            });
      };
      co.await(g.anext());
      co.await(g.anext());
    }
    CHECK(done == 0);
    for (int i = 0; i < 10; ++i) {
      co.await(sleep());
    }
    CHECK(done == 1);
  });
  CHECK(done == 1);
  CHECK(loop.reports().empty());
}

TEST_CASE("asyncgen::test_async_gen_asyncio_shutdown_01") {
  int finalized = 0;
  const auto waiter = [&]() -> async_generator<int> {
    return [&](auto& co) {
      try_finally(
          [&] {
            for (int i = 0; i < 1000; ++i) {
              co.await(sleep());
            }
            co(1);
          },
          [&] {
            co.await(sleep());
            ++finalized;
          });
    };
  };
  const auto wait = [&](auto& co) {
    for ([[maybe_unused]] const int item : krait::async_for(co, waiter())) {
    }
  };
  event_loop loop;
  loop.create_task(wait);
  loop.create_task(wait);
  loop.run([](auto& co) {
    for (int i = 0; i < 10; ++i) {
      co.await(sleep());
    }
  });
  CHECK(finalized == 2);
  CHECK(loop.reports().empty());
}

TEST_CASE("asyncgen::test_async_gen_asyncio_shutdown_02") {
  event_loop loop;
  async_generator<int> it = counting_to_two();
  loop.run([&](auto& co) {
    iterate_once(co, it);
    CHECK(it.suspended());
  });
  CHECK(it.done());
  CHECK(loop.reports().empty());
}

TEST_CASE("asyncgen::test_async_gen_asyncio_shutdown_exception_01") {
  event_loop loop;
  async_generator<int> it = failing_at_the_end();
  loop.run([&](auto& co) { iterate_once(co, it); });
  CHECK(loop.reports() ==
        "an error occurred during closing of asynchronous generator " + it.repr() + ": " + division);
}

TEST_CASE("asyncgen::test_async_gen_asyncio_shutdown_exception_02") {
  event_loop loop;
  loop.run([&](auto& co) { iterate_once(co, failing_at_the_end()); });
  CHECK(loop.reports() == std::string("unhandled exception during shutdown: ") + division);
}

TEST_CASE("asyncgen::test_asyncgen_nonstarted_hooks_are_cancellable") {
  const probes::unraisables unraisables;
  event_loop loop;
  loop.run([&](auto& co) { iterate_once(co, counting_to_two()); });
  CHECK(loop.reports().empty());
  CHECK(unraisables.count() == 0);
}

TEST_CASE("sys::test_asyncgen_hooks") {
  const auto hooks_set = [] {
    const krait::async_generator_hooks hooks = krait::get_asyncgen_hooks();
    return std::pair(hooks.firstiter != nullptr, hooks.finalizer != nullptr);
  };
  const driver::hooked none({});
  CHECK(hooks_set() == std::pair(false, false));

  int begun = 0;
  int dropped = 0;
  const auto firstiter = [&](krait::async_generator_object&) { ++begun; };
  const auto finalizer = [&](const std::shared_ptr<krait::async_generator_object>&) { ++dropped; };
  krait::async_generator_hooks previous = krait::set_asyncgen_hooks({firstiter, nullptr});
  CHECK(previous.firstiter == nullptr);
  CHECK(previous.finalizer == nullptr);
  CHECK(hooks_set() == std::pair(true, false));

  previous = krait::set_asyncgen_hooks({krait::get_asyncgen_hooks().firstiter, finalizer});
  CHECK(previous.firstiter != nullptr);
  CHECK(previous.finalizer == nullptr);
  CHECK(hooks_set() == std::pair(true, true));

  // They are those that were set.
  driver::run_async([](auto& co) { iterate_once(co, counting_to_two()); });
  CHECK(begun == 1);
  CHECK(dropped == 1);

  previous = krait::set_asyncgen_hooks({});
  CHECK(previous.firstiter != nullptr);
  CHECK(previous.finalizer != nullptr);
  CHECK(hooks_set() == std::pair(false, false));
  driver::run_async([](auto& co) { iterate_once(co, counting_to_two()); });
  CHECK(begun == 1);
  CHECK(dropped == 1);
}
