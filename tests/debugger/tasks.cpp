// SPDX-License-Identifier: BSL-1.0
// What tests/debugger/run looks at of tasks: some in each state, while one of them is in stop_here().
//
//      tasks           stops there
//      tasks abort     the same, and aborts there

#include <krait/asyncio.hpp>
#include <krait/krait.hpp>

#include <chrono>
#include <cstdlib>
#include <string_view>
#include <vector>

namespace asyncio = krait::asyncio;
using namespace std::chrono_literals;

/// As in program.cpp.
#define REAL_FRAME [[gnu::noinline]]
inline void not_the_last_thing() {
  asm volatile("");
}

bool abort_there = false;

REAL_FRAME void stop_here() {
  not_the_last_thing();
  if (abort_there) {
    std::abort();
  }
}

REAL_FRAME void body_of_sleeper() {
  volatile int known_local = 4711;
  known_local = known_local + 1;
  asyncio::sleep(1h);
  not_the_last_thing();
}
REAL_FRAME void body_of_joiner(const asyncio::task<void>& of) {
  asyncio::await(of);
  not_the_last_thing();
}
REAL_FRAME void body_of_waiter(const asyncio::future<void>& of) {
  asyncio::await(of);
  not_the_last_thing();
}
REAL_FRAME void body_of_ready() {
  for (;;) {
    asyncio::sleep(0s);
  }
}

// In the midst of generators.

REAL_FRAME void body_of_inner(krait::yielder<int>& yield) {
  body_of_sleeper();
  yield(1);
}
krait::generator<int> inner() {
  return [](krait::yielder<int>& yield) { body_of_inner(yield); };
}
REAL_FRAME void body_of_outer(krait::yielder<int>& yield) {
  yield.from(inner());
  not_the_last_thing();
}
krait::generator<int> outer() {
  return [](krait::yielder<int>& yield) { body_of_outer(yield); };
}
REAL_FRAME void body_of_generating() {
  krait::generator<int> g = outer();
  krait::next(g, 0);
  not_the_last_thing();
}

REAL_FRAME void body_of_stopping(krait::yielder<int>& yield) {
  stop_here();
  yield(1);
}
krait::generator<int> stopping() {
  return [](krait::yielder<int>& yield) { body_of_stopping(yield); };
}
REAL_FRAME void body_of_main() {
  krait::generator<int> g = stopping();
  g.next();
  not_the_last_thing();
}

int main(int, char** arguments) {
  abort_there = std::string_view(arguments[1] == nullptr ? "" : arguments[1]) == "abort";
  asyncio::run([] {
    asyncio::current_task().set_name("main task of a name that is long");
    const auto future = asyncio::create_future<void>();
    const auto sleeper = asyncio::create_task(body_of_sleeper, {.name = "sleeper"});
    const auto joiner = asyncio::create_task([&] { body_of_joiner(sleeper); }, {.name = "joiner"});
    const auto waiter = asyncio::create_task([&] { body_of_waiter(future); }, {.name = "waiter"});
    const auto generating = asyncio::create_task(body_of_generating, {.name = "generating"});
    const auto ready = asyncio::create_task(body_of_ready, {.name = "ready"});
    asyncio::await(asyncio::create_task([] {}));  // whose worker is idle then
    const auto unstarted = asyncio::create_task([] {}, {.name = "unstarted"});
    body_of_main();
    for (const asyncio::any_future& each :
         std::vector<asyncio::any_future>{joiner, waiter, generating, ready}) {
      each.cancel();
    }
    asyncio::wait(std::vector<asyncio::any_future>{joiner, waiter, generating, ready});
  });
  return 0;
}
