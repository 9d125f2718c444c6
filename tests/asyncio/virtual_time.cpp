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
