// SPDX-License-Identifier: BSL-1.0
#include <krait/asyncio.hpp>

#include <doctest/doctest.h>

#include <algorithm>
#include <chrono>
#include <string>
#include <vector>

#include <krait/async_generator.hpp>
#include <krait/generator.hpp>

#include "asyncio/asyncio_tests.hpp"

// CPython's test_graph.py: who waits for whom. (What stands in the stacks is seen in tests/asyncio/call_graph.cpp.)

namespace {

namespace asyncio = krait::asyncio;
using namespace std::chrono_literals;

std::string name_of(const asyncio::any_future& of) {
  const std::string text = of.repr();
  const std::string task = "<task object ";
  return text.rfind(task, 0) == 0 ? text.substr(task.size(), text.find(" at 0x") - task.size()) : "future";
}

/// "NAME", or "NAME(WHO AWAITS IT, ...)", in the order of the alphabet. Who awaits main is of no interest.
std::string shown(const asyncio::call_graph& graph) {
  if (name_of(graph.future) == "main") {
    return "main";
  }
  std::vector<std::string> parents;
  for (const asyncio::call_graph& each : graph.awaited_by) {
    parents.push_back(shown(each));
  }
  std::ranges::sort(parents);
  std::string text = name_of(graph.future);
  for (std::size_t i = 0; i < parents.size(); ++i) {
    text += (i == 0 ? "(" : ", ") + parents[i];
  }
  return text + (parents.empty() ? "" : ")");
}

/// Of the task that runs; it has a stack.
std::string captured() {
  const auto graph = asyncio::capture_call_graph();
  CHECK_FALSE(graph->call_stack.empty());
  return shown(*graph);
}

template <class F>
auto named(const char* name, F function) {
  return asyncio::create_task(std::move(function), {.name = name});
}
void run_main(auto main) {
  asyncio::run([&] { asyncio::await(named("main", main)); });
}

}  // namespace

TEST_CASE("AIO-GRAPH-001: from a task of a group: those that await it, and whoever made the group") {
  std::string seen;
  run_main([&] {
    asyncio::task_group([&](auto& group) {
      const auto root = group.create_task(
          [&] {
            asyncio::sleep(1ms);
            seen = captured();
          },
          {.name = "root"});
      static_cast<void>(group.create_task([root] { asyncio::await(root); }, {.name = "sub 1"}));
      static_cast<void>(group.create_task([root] { asyncio::await(root); }, {.name = "sub 2"}));
    });
  });
  CHECK(seen == "root(main, sub 1(main), sub 2(main))");
}

TEST_CASE("AIO-GRAPH-002: through generators, asynchronous or not") {
  std::string seen;
  run_main([&] {
    krait::async_generator<int> asynchronous = [&](auto& yield) {
      asyncio::sleep(0s);
      seen = captured();
      yield(1);
    };
    CHECK(asyncio::await(asynchronous.anext()) == 1);
    CHECK(seen == "main");
    const auto inner = named("inner", [&] {
      krait::generator<int> plain = [&](auto& yield) {
        asyncio::sleep(0s);
        seen = captured();
        yield(1);
      };
      CHECK(plain.next() == 1);
    });
    asyncio::await(inner);
    asyncio::await(asynchronous.aclose());
  });
  CHECK(seen == "inner(main)");
}

TEST_CASE("AIO-GRAPH-003: a task that is gathered shows whoever awaits the gather") {
  std::string seen;
  run_main([&] {
    const auto deep = named("deep", [&] {
      asyncio::sleep(0s);
      seen = captured();
    });
    const auto other = named("other", [] { asyncio::sleep(0s); });
    asyncio::await(asyncio::gather(deep, other));
  });
  CHECK(seen == "deep(main)");
}

TEST_CASE("AIO-GRAPH-004: a task that is shielded shows whoever awaits the shield") {
  std::string seen;
  run_main([&] {
    asyncio::await(asyncio::shield(named("deep", [&] {
      asyncio::sleep(0s);
      seen = captured();
    })));
  });
  CHECK(seen == "deep(main)");
}

TEST_CASE("AIO-GRAPH-005: a timeout hides nothing") {
  std::string seen;
  run_main([&] {
    const auto inner = named("inner", [&] {
      asyncio::timeout(1h, [&] {
        asyncio::sleep(0s);
        seen = captured();
      });
    });
    asyncio::timeout(1h, [&] { asyncio::await(inner); });
  });
  CHECK(seen == "inner(main)");
}

TEST_CASE("AIO-GRAPH-006: tasks that are waited for show who waits") {
  std::string first, second;
  run_main([&] {
    const auto a = named("a", [&] {
      asyncio::sleep(0s);
      first = captured();
    });
    const auto b = named("b", [&] {
      asyncio::sleep(0s);
      second = captured();
    });
    asyncio::wait(std::vector{a, b});
  });
  CHECK(first == "a(main)");
  CHECK(second == "b(main)");
}

TEST_CASE("AIO-GRAPH-007: a task that is awaited shows by whom, and by whom that is") {
  std::string seen;
  run_main([&] {
    const auto inner = named("there there", [&] {
      asyncio::sleep(1ms);
      seen = captured();
    });
    const auto outer = named("outer", [&] { asyncio::await(inner); });
    asyncio::await(outer);
  });
  CHECK(seen == "there there(outer(main))");
}

TEST_CASE("AIO-GRAPH-008: a future shows all tasks that await it") {
  std::string seen;
  run_main([&] {
    const auto f = asyncio::create_future<int>();
    asyncio::task_group([&](auto& group) {
      static_cast<void>(group.create_task([&] { asyncio::await(f); }, {.name = "a"}));
      static_cast<void>(group.create_task([&] { asyncio::await(f); }, {.name = "b"}));
      static_cast<void>(group.create_task(
          [&] {
            asyncio::sleep(0s);
            const auto graph = asyncio::capture_call_graph(f);
            CHECK(graph.call_stack.empty());
            seen = shown(graph);
            f.set_result(1);
          },
          {.name = "c"}));
    });
  });
  CHECK(seen == "future(a(main), b(main))");
}
