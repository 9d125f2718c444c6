// SPDX-License-Identifier: BSL-1.0

// What there is to be seen of tasks: backtraces, dump_generators().

#include <doctest/doctest.h>

#include <execinfo.h>
#include <unwind.h>

#include <array>
#include <chrono>
#include <cstddef>
#include <sstream>
#include <string>
#include <vector>

#include <krait/inspect.hpp>
#include <krait/krait.hpp>

#include "support/tasks.hpp"
#include "support/traced.hpp"

namespace {

namespace asyncio = krait::asyncio;
using namespace std::chrono_literals;

struct unwinding {
  std::vector<const void*> found;
  bool ended = false;
};
_Unwind_Reason_Code note_frame(_Unwind_Context* context, void* data) {
  auto& found = static_cast<unwinding*>(data)->found;
  found.push_back(reinterpret_cast<const void*>(_Unwind_GetIP(context)));
  return found.size() < 1000 ? _URC_NO_REASON : _URC_END_OF_STACK;
}

struct sight {
  std::string backtrace;
  std::string unwound;
  bool ended = false;

  void look() {
    std::array<void*, 256> found;
    const int count = ::backtrace(found.data(), static_cast<int>(found.size()));
    backtrace = traced::names(std::vector<const void*>(found.begin(), found.begin() + count));
    unwinding all;
    ended = _Unwind_Backtrace(note_frame, &all) == _URC_END_OF_STACK && all.found.size() < 1000;
    unwound = traced::names(all.found);
  }
};

sight seen;

}  // namespace

TRACED(task_looks) void task_looks() {
  seen.look();
  traced::stay();
}
TRACED(task_body) void task_body() {
  asyncio::sleep(0s);
  task_looks();
  traced::stay();
}
TRACED(task_generates) void task_generates(krait::yielder<int>& yield) {
  task_body();
  yield(1);
}
TRACED(task_iterates) void task_iterates() {
  krait::generator<int> g = [](auto& yield) { task_generates(yield); };
  g.next();
  traced::stay();
}
TRACED(runs_loop) void runs_loop(void (*body)()) {
  asyncio::run(body);
  traced::stay();
}

namespace {
void check_seen(const std::string& wanted) {
  CHECK(seen.backtrace == wanted);
  CHECK(seen.unwound == wanted);
  CHECK(seen.ended);
}
}  // namespace

TEST_SUITE("what is seen of tasks") {
  TEST_CASE("a backtrace of a task ends at the base of its stack") {
    runs_loop(&task_body);
    check_seen("task_looks < task_body");
  }

  TEST_CASE("a backtrace from within a generator goes on in the task that iterates it") {
    runs_loop(&task_iterates);
    check_seen(traced::expected("task_looks < task_body < task_generates", "task_iterates"));
  }

  TEST_CASE("dump_generators() tells of tasks that have started, and of generators in them") {
    std::string text;
    asyncio::run([&] {
      const auto unstarted = asyncio::create_task([] {}, {.name = "unstarted"});
      const auto future = asyncio::create_future<void>();
      const auto generating = asyncio::create_task(
          [] {
            krait::generator<int> g([](auto&) { asyncio::sleep(1h); }, "in a task");
            krait::next(g, 0);
          },
          {.name = "generating"});
      const auto waiting = asyncio::create_task([&] { asyncio::await(generating); }, {.name = "waiting"});
      const auto for_future = asyncio::create_task([&] { asyncio::await(future); }, {.name = "for a future"});
      const auto ready = asyncio::create_task(
          [] {
            for (;;) {
              asyncio::sleep(0s);
            }
          },
          {.name = "ready"});
      asyncio::sleep(0s);
      const auto unstarted_too = asyncio::create_task([] {}, {.name = "unstarted"});
      std::ostringstream out;
      krait::dump_generators(out);
      text = out.str();
      for (const asyncio::any_future& each : std::vector<asyncio::any_future>{waiting, for_future, ready}) {
        each.cancel();
      }
      asyncio::wait(std::vector<asyncio::any_future>{waiting, for_future, ready});
    });
    CAPTURE(text);
    // "<task object NAME at 0x...> STATE, N bytes of stack used"
    const auto state_of = [&](const std::string& name) {
      const auto begin = ("\n" + text).find("\n<task object " + name);
      if (begin == std::string::npos) {
        return std::string();
      }
      const auto state = text.find("> ", begin) + 2;
      return text.substr(state, text.find(", ", state) - state);
    };
    CHECK(state_of("generating") == "waiting");
    CHECK(state_of("waiting").starts_with("waiting for <task object generating at 0x"));
    CHECK(state_of("for a future") == "waiting for a future");
    CHECK(state_of("ready") == "ready");
    CHECK(state_of("Task-") == "running");
    CHECK(state_of("unstarted") == "");
    CHECK(text.find("<generator object in a task at 0x") != std::string::npos);
    const auto used = text.find(" bytes of stack used\n", text.find("<task object waiting"));
    CHECK(used != std::string::npos);
    std::ostringstream none;
    krait::dump_generators(none);
    CHECK(none.str().find("<task object") == std::string::npos);
  }
}
