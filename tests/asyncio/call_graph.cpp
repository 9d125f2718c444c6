// SPDX-License-Identifier: BSL-1.0
#include <doctest/doctest.h>

#include <chrono>
#include <sstream>
#include <string>
#include <vector>

#include <krait/krait.hpp>

#include "support/tasks.hpp"

// What the program's symbols know as these is looked for. They are neither inlined nor end by a jump.
#define KNOWN [[gnu::noinline]]

namespace call_graphs {

namespace asyncio = krait::asyncio;
using namespace std::chrono_literals;
using asyncio_tests::thrown_by;

void stay() {
  asm volatile("");
}

/// The functions of this file in a stack, "innermost < its caller < ...".
std::string names(const std::vector<asyncio::call_graph_entry>& stack) {
  std::string text;
  for (const asyncio::call_graph_entry& each : stack) {
    const std::string mine = "call_graphs::known_";
    if (const auto place = each.function.find(mine); place != std::string::npos) {
      const auto begin = place + mine.size();
      text +=
          (text.empty() ? "" : " < ") + each.function.substr(begin, each.function.find('(', begin) - begin);
    }
  }
  return text;
}

/// Stacks and whoever awaits, in parentheses.
std::string shown(const asyncio::call_graph& graph) {
  std::string text = "[" + names(graph.call_stack) + "]";
  for (const asyncio::call_graph& each : graph.awaited_by) {
    text += " (" + shown(each) + ")";
  }
  return text;
}

std::string captured;

KNOWN void known_captures() {
  captured = shown(*asyncio::capture_call_graph());
  stay();
}
KNOWN void known_deep() {
  asyncio::sleep(0s);
  known_captures();
  stay();
}
KNOWN void known_waits(const asyncio::future<void>& of) {
  asyncio::await(of);
  stay();
}
KNOWN void known_sleeps() {
  asyncio::sleep(1h);
  stay();
}
KNOWN void known_reads(krait::generator<int>& from) {
  krait::next(from, 0);
  stay();
}
KNOWN void known_yields(krait::yielder<int>& yield) {
  known_sleeps();
  yield(1);
}
KNOWN void known_yields_captured(krait::yielder<int>& yield) {
  known_captures();
  yield(1);
  stay();
}

std::string of_parked(const asyncio::any_future& task) {
  asyncio::sleep(0s);
  std::string text = shown(asyncio::capture_call_graph(task));
  task.cancel();
  return text;
}

TEST_SUITE("call graphs") {
  TEST_CASE("of the task that runs: its functions, from whoever asks on") {
    asyncio::run([] { known_deep(); });
    CHECK(captured == "[captures < deep]");
  }

  TEST_CASE("of a task that is parked, as often as one asks; and it goes on as if nobody had") {
    asyncio::run([] {
      const auto gate = asyncio::create_future<void>();
      const auto waiting = asyncio::create_task([&] {
        known_waits(gate);
        return 42;
      });
      asyncio::sleep(0s);
      for (int i = 0; i < 2000; ++i) {
        CHECK(shown(asyncio::capture_call_graph(waiting)) == "[waits]");
      }
      gate.set_result();
      CHECK(asyncio::await(waiting) == 42);
    });
  }

  TEST_CASE("through the generators that a task is in the midst of, parked or not") {
    asyncio::run([] {
      krait::generator<int> inner = [](auto& yield) { known_yields_captured(yield); };
      krait::generator<int> outer = [&](auto& yield) {
        known_reads(inner);
        yield(1);
      };
      known_reads(outer);
      CHECK(captured == "[captures < yields_captured < reads < reads]");
    });
    asyncio::run([] {
      const auto waiting = asyncio::create_task([] {
        krait::generator<int> inner = [](auto& yield) { known_yields(yield); };
        krait::generator<int> outer = [&](auto& yield) { yield.from(std::move(inner)); };
        known_reads(outer);
      });
      CHECK(of_parked(waiting) == "[sleeps < yields < reads]");
    });
  }

  TEST_CASE("who waits by gather, wait, shield, wait_for or a group is known, once each") {
    asyncio::run([] {
      const auto sleeper = asyncio::create_task(known_sleeps);
      const auto gathers =
          asyncio::create_task([&] { asyncio::await(asyncio::gather(asyncio::shield(sleeper))); });
      const auto waits = asyncio::create_task([&] { asyncio::wait(std::vector{sleeper}); });
      const auto times = asyncio::create_task([&] { asyncio::wait_for(sleeper, 1h); });
      asyncio::sleep(0s);
      const asyncio::call_graph graph = asyncio::capture_call_graph(sleeper);
      CHECK(graph.future == sleeper);
      REQUIRE(graph.awaited_by.size() == 3);
      CHECK(graph.awaited_by[0].future == gathers);
      CHECK(graph.awaited_by[1].future == waits);
      CHECK(graph.awaited_by[2].future == times);
      sleeper.cancel();
    });
    asyncio::run([] {
      asyncio::task_group([](auto& group) {
        const auto child = group.create_task(known_sleeps);
        const auto graph = [&] { return asyncio::capture_call_graph(child); };
        asyncio::sleep(0s);
        REQUIRE(graph().awaited_by.size() == 1);  // by the group's task, though that does not wait yet
        CHECK(graph().awaited_by[0].future == asyncio::current_task());
        asyncio::get_running_loop().call_soon([&, graph] {
          CHECK(graph().awaited_by.size() == 1);
          child.cancel();
        });
        asyncio::wait(std::vector{child});
      });
    });
  }

  TEST_CASE("of tasks that wait in a circle it has an end") {
    asyncio::run([] {
      asyncio::task<void> first;
      const auto second = asyncio::create_task([&] { known_waits(first); });
      first = asyncio::create_task([&] { known_waits(second); });
      asyncio::sleep(0s);
      CHECK(shown(asyncio::capture_call_graph(first)) == "[waits] ([waits])");
      first.cancel();
      asyncio::wait(std::vector{first, second});
    });
  }

  TEST_CASE("IN3: no task in a callback; no loop is an error; depth and limit") {
    CHECK(thrown_by([] { asyncio::capture_call_graph(); }) == "no running event loop");
    asyncio::run([] {
      const auto done = asyncio::create_future<void>();
      asyncio::get_running_loop().call_soon([&] {
        CHECK_FALSE(asyncio::capture_call_graph().has_value());
        CHECK(asyncio::format_call_graph() == "");
        done.set_result();
      });
      asyncio::await(done);
      const auto whole = asyncio::capture_call_graph()->call_stack;
      REQUIRE(whole.size() >= 1);
      CHECK(asyncio::capture_call_graph({.depth = 2})->call_stack.size() == whole.size() - 1);
      CHECK(asyncio::capture_call_graph({.limit = 0})->call_stack.empty());
    });
    asyncio::run([] {
      const auto waiting = asyncio::create_task([] {
        krait::generator<int> inner = [](auto& yield) { known_yields(yield); };
        known_reads(inner);
      });
      asyncio::sleep(0s);
      const auto limited = [&](int limit) {
        return asyncio::capture_call_graph(waiting, {.limit = limit}).call_stack;
      };
      const auto whole = limited(100);
      CHECK(names(whole) == "sleeps < yields < reads");
      CHECK(names(limited(-100)) == names(whole));
      REQUIRE(limited(1).size() == 1);
      CHECK(limited(1).front().address == whole.front().address);
      REQUIRE(limited(-1).size() == 1);
      CHECK(limited(-1).front().address == whole.back().address);
      waiting.cancel();
    });
  }

  TEST_CASE("of a task that has not started, or has ended, and of a future there is no stack") {
    asyncio::run([] {
      const auto task = asyncio::create_task([] {});
      CHECK(asyncio::capture_call_graph(task).call_stack.empty());
      asyncio::await(task);
      CHECK(asyncio::capture_call_graph(task).call_stack.empty());
      CHECK(asyncio::capture_call_graph(asyncio::create_future<int>()).call_stack.empty());
    });
  }

  TEST_CASE("IN4: as text") {
    asyncio::run([] {
      const auto sleeper = asyncio::create_task(known_sleeps, {.name = "the sleeper"});
      const auto waiting = asyncio::create_task([&] { known_waits(sleeper); }, {.name = "who waits"});
      asyncio::sleep(0s);
      const std::string text = asyncio::format_call_graph(sleeper);
      CAPTURE(text);
      CHECK(text.starts_with("* Task(name='the sleeper', id=0x"));
      const auto part = [&](const char* wanted) { return text.find(wanted) != std::string::npos; };
      CHECK(part("\n  + Call stack:\n  |   "));
      CHECK(part("\n  |   call_graphs::known_sleeps() in "));
      CHECK(part("\n  + Awaited by:\n    * Task(name='who waits', id=0x"));
      CHECK(part("\n      + Call stack:\n      |   "));
      CHECK(text.back() != '\n');
      std::ostringstream out;
      asyncio::print_call_graph(out, sleeper);
      CHECK(out.str() == text + "\n");
      CHECK(asyncio::format_call_graph(asyncio::create_future<int>()).starts_with("* Future(id=0x"));
      sleeper.cancel();
      asyncio::wait(std::vector{waiting});
    });
  }

  TEST_CASE("a deadlock's report says where each task is, and whom it awaits") {
    asyncio::run_options options;
    options.debug = true;
    asyncio::event_loop loop(options);
    std::vector<std::string> told;
    loop.set_exception_handler([&](const asyncio::error_report& report) { told.push_back(report.message); });
    const auto never = loop.create_future<void>();
    CHECK(thrown_by([&] {
            loop.run_until_complete([&] {
              const auto first = asyncio::create_task(
                  [&] { asyncio::no_cancel([&] { known_waits(never); }); }, {.name = "first"});
              const auto second = asyncio::create_task([first] { known_waits(first); }, {.name = "second"});
              known_waits(second);
            });
          }) == "deadlock: no task can go on, and nothing that could wake one is pending");
    never.set_result();
    REQUIRE(told.size() == 3);
    for (const std::string& each : told) {
      CAPTURE(each);
      CHECK(each.find(" waits for what nobody can do\n  + Call stack:\n") != std::string::npos);
      CHECK(each.find("  |   call_graphs::known_waits(") != std::string::npos);
      const std::string whom = each.starts_with("task first ")    ? "Future(id=0x"
                               : each.starts_with("task second ") ? "Task(name='first', id=0x"
                                                                  : "Task(name='second', id=0x";
      CHECK(each.find("\n  + Awaits:\n      * " + whom) != std::string::npos);
    }
  }
}

}  // namespace call_graphs
