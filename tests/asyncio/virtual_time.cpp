// SPDX-License-Identifier: BSL-1.0
#include <doctest/doctest.h>

#include <chrono>

#include <krait/asyncio.hpp>

#include "support/tasks.hpp"

namespace {

namespace asyncio = krait::asyncio;
using namespace std::chrono_literals;

}  // namespace

TEST_CASE("deadlines go by the loop's time, also where that is virtual") {
  asyncio::event_loop loop({.virtual_time = true});
  loop.run_until_complete([&] {
    const auto start = loop.time();
    CHECK_THROWS_AS(asyncio::timeout_at(start + 1h, [] { asyncio::sleep(2h); }), asyncio::timeout_error);
    CHECK(loop.time() - start == 1h);
    asyncio::timeout(1h, [&](asyncio::timeout_scope& scope) {
      scope.reschedule(loop.time() + 3h);
      asyncio::sleep(2h);
    });
    CHECK(loop.time() - start == 3h);
    CHECK_THROWS_AS(asyncio::timeout_at(start, [] { asyncio::sleep(0s); }), asyncio::timeout_error);
    CHECK(loop.time() - start == 3h);
  });
}

TEST_CASE("what sleeps for ever does so, however time passes: in debug mode that is a deadlock") {
  for (const bool is_virtual : {false, true}) {
    asyncio::run_options options;
    options.virtual_time = is_virtual;
    options.debug = true;
    asyncio::event_loop loop(options);
    const asyncio_tests::reports told(loop);
    const auto forever =
        loop.create_task([] { asyncio::sleep(asyncio::duration::max()); }, {.name = "forever"});
    CHECK(asyncio_tests::thrown_by([&] { loop.run_until_complete(forever); }) ==
          "deadlock: no task can go on, and nothing that could wake one is pending");
    CHECK(told.log.text().starts_with("task forever waits for what nobody can do"));
    CHECK_FALSE(forever.done());
  }
}
