// SPDX-License-Identifier: BSL-1.0
#include <krait/asyncio.hpp>
#include <krait/krait.hpp>

#include <doctest/doctest.h>

#include <chrono>
#include <string>
#include <vector>

#include "support/tasks.hpp"

// CPython's test_graph.py. A stack is "[innermost < its caller < ...]", of this file's functions, which are found by their
// names. Whoever awaits comes behind, in parentheses.

namespace call_graph_rows {

namespace asyncio = krait::asyncio;
using namespace std::chrono_literals;

#define KNOWN [[gnu::noinline]]
void stay() {
  asm volatile("");
}

std::string shown(const asyncio::call_graph& graph) {
  const std::string mine = "call_graph_rows::";
  std::string text;
  for (const asyncio::call_graph_entry& each : graph.call_stack) {
    if (each.function.starts_with(mine) && each.function.find("{lambda") == std::string::npos) {
      text += (text.empty() ? "" : " < ") +
              each.function.substr(mine.size(), each.function.find('(') - mine.size());
    }
  }
  text = graph.name + "[" + text + "]";
  for (const asyncio::call_graph& each : graph.awaited_by) {
    text += " (" + shown(each) + ")";
  }
  return text;
}

std::string captured;

KNOWN void captures() {
  captured = shown(*asyncio::capture_call_graph());
  stay();
}
/// Calls it in a task of that name.
void in_main(void (*main)()) {
  asyncio::run([main] {
    asyncio::current_task().set_name("main");
    main();
  });
}

KNOWN void deep() {
  asyncio::sleep(0s);
  captures();
  stay();
}
KNOWN void c1() {
  asyncio::sleep(0s);
  deep();
  stay();
}
KNOWN void c2() {
  asyncio::sleep(0s);
  stay();
}

KNOWN void awaits(const asyncio::future<void>& of) {
  asyncio::await(of);
  stay();
}

KNOWN void grouping() {
  asyncio::task_group([](auto& group) {
    const auto task = group.create_task(c1, {.name = "c1_root"});
    static_cast<void>(group.create_task([task] { awaits(task); }, {.name = "sub_main_1"}));
    static_cast<void>(group.create_task([task] { awaits(task); }, {.name = "sub_main_2"}));
  });
  stay();
}
TEST_CASE("AIO-GRAPH-001: from deep inside a task of a group: who awaits it, and the group's task") {
  in_main(grouping);
  CHECK(captured ==
        "c1_root[captures < deep < c1] (main[grouping]) (sub_main_1[awaits] (main[grouping])) "
        "(sub_main_2[awaits] (main[grouping]))");
}

KNOWN void generates(krait::async_yielder<int>& yield) {
  for (int i = 0; i < 2; ++i) {
    yield(i);
    if (i == 1) {
      deep();
    }
  }
  stay();
}
KNOWN void iterating() {
  krait::async_generator<int> g = [](auto& yield) { generates(yield); };
  for (int i = 0; i < 2; ++i) {
    CHECK(asyncio::await(g.anext()) == i);
  }
  CHECK_THROWS_AS(asyncio::await(g.anext()), krait::stop_async_iteration);
  stay();
}
TEST_CASE("AIO-GRAPH-002: through an asynchronous generator") {
  in_main(iterating);
  CHECK(captured == "main[captures < deep < generates < iterating]");
}

KNOWN void gathering() {
  asyncio::await(asyncio::gather(asyncio::create_task(c1, {.name = "c1"}), asyncio::create_task(c2)));
  stay();
}
TEST_CASE("AIO-GRAPH-003: a task that is gathered is awaited by who gathers") {
  in_main(gathering);
  CHECK(captured == "c1[captures < deep < c1] (main[gathering])");
}

KNOWN void shielding() {
  asyncio::await(asyncio::shield(asyncio::create_task(deep, {.name = "deep"})));
  stay();
}
TEST_CASE("AIO-GRAPH-004: a task that is shielded is awaited by who shields it") {
  in_main(shielding);
  CHECK(captured == "deep[captures < deep] (main[shielding])");
}

KNOWN void c1_in_time() {
  asyncio::timeout(1h, [] {
    asyncio::sleep(0s);
    deep();
  });
  stay();
}
KNOWN void timing() {
  asyncio::await(asyncio::gather(asyncio::create_task(c1_in_time, {.name = "c1"}),
                                 asyncio::create_task([] { asyncio::timeout(1h, c2); })));
  stay();
}
TEST_CASE("AIO-GRAPH-005: deadlines do not hide anything") {
  in_main(timing);
  CHECK(captured == "c1[captures < deep < c1_in_time] (main[timing])");
}

KNOWN void waiting() {
  asyncio::wait(std::vector{asyncio::create_task(c1, {.name = "c1"}), asyncio::create_task(c2)});
  stay();
}
TEST_CASE("AIO-GRAPH-006: a task under wait() is awaited by who waits") {
  in_main(waiting);
  CHECK(captured == "c1[captures < deep < c1] (main[waiting])");
}

KNOWN void c2_awaits() {
  awaits(asyncio::create_task(c1, {.name = "there there"}));
  stay();
}
KNOWN void awaiting() {
  c2_awaits();
  stay();
}
TEST_CASE("AIO-GRAPH-007: a task that is awaited knows by whom, with names") {
  in_main(awaiting);
  CHECK(captured == "there there[captures < deep < c1] (main[awaits < c2_awaits < awaiting])");
}

KNOWN void awaiting_future() {
  const auto future = asyncio::create_future<void>();
  asyncio::task_group([&](auto& group) {
    static_cast<void>(group.create_task([&] { awaits(future); }, {.name = "foo"}));
    static_cast<void>(group.create_task([&] { awaits(future); }, {.name = "bar"}));
    asyncio::sleep(0s);
    captured = shown(asyncio::capture_call_graph(future));
    future.set_result();
  });
  stay();
}
TEST_CASE("AIO-GRAPH-008: a bare future shows all that await it") {
  in_main(awaiting_future);
  CHECK(captured == "[] (foo[awaits] (main[awaiting_future])) (bar[awaits] (main[awaiting_future]))");
}

}  // namespace call_graph_rows
