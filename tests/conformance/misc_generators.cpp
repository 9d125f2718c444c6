// SPDX-License-Identifier: BSL-1.0
#include <doctest/doctest.h>

#include <atomic>
#include <chrono>
#include <concepts>
#include <cstddef>
#include <exception>
#include <iterator>
#include <memory>
#include <optional>
#include <ranges>
#include <sstream>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <krait/krait.hpp>

#include "support/probes.hpp"
#include "support/support.hpp"

// CPython's test_inspect.py, test_sys.py, test_collections.py, test_gc.py, test_threading.py and
// test_iter.py, as far as they are about generators.

namespace conformance {

struct error_of_namespace : std::runtime_error {
  error_of_namespace() : std::runtime_error("42") {}
};

struct error_without_text {};

}  // namespace conformance

namespace {

using krait::generator;
using support::raised_by;
using support::state;
using support::text_of;

using optional_int = std::optional<int>;

generator<int> numbers(int size) {
  return [size](auto& yield) {
    for (int number = 0; number < size; ++number) {
      yield(number);
    }
  };
}

template <class Item>
std::vector<Item> list(generator<Item>& items) {
  std::vector<Item> all;
  for (Item&& item : items) {
    all.push_back(std::move(item));
  }
  return all;
}

/// Destroys a generator that answers with an exception. Returns how it called itself.
template <class Exception>
std::string drop_with(Exception exception) {
  generator<int> g = [&](auto& yield) {
    try {
      yield(1);
    } catch (const krait::generator_exit&) {
      throw exception;
    }
  };
  g.next();
  return g.repr();
}

/// Generator's protocol. Python: collections.abc.Generator.
template <class T>
concept speaks_protocol = requires(T& g, std::exception_ptr exception) {
  { g.next() } -> std::same_as<optional_int>;
  { g.send(optional_int(1)) } -> std::same_as<optional_int>;
  { g.throw_(exception) } -> std::same_as<optional_int>;
  g.close();
};

template <class T>
concept can_be_delegated_to =
    requires(krait::yielder<optional_int, optional_int>& yield, T& object) { yield.from(object); };

struct without_send {
  optional_int next() { return {}; }
  optional_int throw_(const std::exception_ptr&) { return {}; }
  void close() {}
};
struct without_throw {
  optional_int next() { return {}; }
  optional_int send(optional_int value) { return value; }
  void close() {}
};
struct without_next {
  optional_int send(optional_int value) { return value; }
  optional_int throw_(const std::exception_ptr&) { return {}; }
  void close() {}
};
struct by_hand : without_send {
  optional_int send(optional_int value) { return value; }
};

/// What is given to it comes back.
generator<optional_int, optional_int> echo() {
  return [](auto& yield) {
    for (optional_int value;;) {
      value = yield(value);
    }
  };
}

}  // namespace

TEST_CASE("inspect::TestGetGeneratorState.test_created") {
  const auto g = numbers(5);
  CHECK(g.state() == state::created);
  CHECK_FALSE(g.running());
  CHECK_FALSE(g.suspended());
  CHECK_FALSE(g.done());
}

TEST_CASE("inspect::TestGetGeneratorState.test_suspended") {
  auto g = numbers(5);
  CHECK(g.next() == 0);
  CHECK(g.state() == state::suspended);
  CHECK(g.suspended());
}

TEST_CASE("inspect::TestGetGeneratorState.test_closed_after_exhaustion") {
  auto g = numbers(5);
  CHECK(list(g).size() == 5);
  CHECK(g.state() == state::closed);
  CHECK(g.done());
}

TEST_CASE("inspect::TestGetGeneratorState.test_closed_after_immediate_exception") {
  auto g = numbers(5);
  CHECK_THROWS_AS(g.throw_(krait::runtime_error("")), krait::runtime_error);
  CHECK(g.state() == state::closed);
}

TEST_CASE("inspect::TestGetGeneratorState.test_closed_after_close") {
  auto g = numbers(5);
  g.close();
  CHECK(g.state() == state::closed);
}

TEST_CASE("inspect::TestGetGeneratorState.test_running") {
  generator<int>* self = nullptr;
  std::vector<state> seen;
  generator<int> g = [&](auto& yield) {
    for (int number = 0; number < 5; ++number) {
      seen.push_back(self->state());
      yield(number);
      seen.push_back(self->state());
    }
  };
  self = &g;
  CHECK(g.next() == 0);
  CHECK(seen == std::vector{state::running});
  CHECK(g.next() == 1);
  CHECK(seen == std::vector{state::running, state::running, state::running});
  CHECK(g.state() == state::suspended);
}

// A state has a name in what dump_generators() writes.
TEST_CASE("inspect::TestGetGeneratorState.test_easy_debugging") {
  const auto line_of = [](const generator<int>& g) {
    std::ostringstream out;
    krait::dump_generators(out);
    const std::string text = out.str();
    const std::size_t begin = text.find(g.repr());
    return begin == std::string::npos
               ? "nothing"
               : probes::without_stack_used(text.substr(begin, text.find('\n', begin) - begin));
  };
  generator<int>* self = nullptr;
  std::string line;
  generator<int> g = [&](auto& yield) {
    line = line_of(*self);
    yield(1);
  };
  self = &g;
  CHECK(line_of(g) == g.repr() + " created");
  CHECK(g.next() == 1);
  CHECK(line == g.repr() + " running");
  CHECK(line_of(g) == g.repr() + " suspended");
  g.close();
  CHECK(line_of(g) == g.repr() + " closed");
}

TEST_CASE("sys::UnraisableHookTest.test_original_unraisablehook") {
  std::string repr;
  const std::string report = probes::stderr_of([&] { repr = drop_with(krait::value_error("42")); });
  CHECK(report == "Exception ignored while closing generator " + repr + ":\nkrait::value_error: 42\n");
}

// The text of an exception cannot fail in C++, but there may be none.
TEST_CASE("sys::UnraisableHookTest.test_original_unraisablehook_err") {
  std::string repr;
  std::string report;
  SUBCASE("an exception with a text") {
    report = probes::stderr_of([&] { repr = drop_with(krait::value_error("del is broken")); });
    CHECK(report.ends_with(":\nkrait::value_error: del is broken\n"));
  }
  SUBCASE("an exception without a text") {
    report = probes::stderr_of([&] { repr = drop_with(conformance::error_without_text()); });
    CHECK(report.ends_with(":\nconformance::error_without_text\n"));
  }
  CHECK(report.starts_with("Exception ignored while closing generator " + repr));
}

TEST_CASE("sys::UnraisableHookTest.test_original_unraisablehook_exception_qualname") {
  const std::string report = probes::stderr_of([] { drop_with(conformance::error_of_namespace()); });
  CHECK(report.ends_with(":\nconformance::error_of_namespace: 42\n"));
}

TEST_CASE("sys::UnraisableHookTest.test_custom_unraisablehook") {
  const std::exception_ptr exception = std::make_exception_ptr(krait::value_error("42"));
  std::string repr;
  std::vector<krait::unraisable> events;
  krait::unraisable_hook previous =
      krait::set_unraisable_hook([&](const krait::unraisable& event) { events.push_back(event); });
  const std::string written = probes::stderr_of([&] {
    generator<int> g = [&](auto& yield) {
      try {
        yield(1);
      } catch (...) {
        std::rethrow_exception(exception);
      }
    };
    g.next();
    repr = g.repr();
  });
  krait::set_unraisable_hook(std::move(previous));
  REQUIRE(events.size() == 1);
  CHECK(events[0].exception == exception);
  CHECK(events[0].message == "Exception ignored while closing generator " + repr);
  CHECK(written == "");
}

TEST_CASE("sys::UnraisableHookTest.test_custom_unraisablehook_fail") {
  krait::unraisable_hook previous = krait::set_unraisable_hook(
      [](const krait::unraisable&) { throw std::runtime_error("hook_func failed"); });
  const std::string report = probes::stderr_of([] { drop_with(krait::value_error("42")); });
  krait::set_unraisable_hook(std::move(previous));
  CHECK(report == "Exception ignored in krait's unraisable hook:\nstd::runtime_error: hook_func failed\n");
}

TEST_CASE("collections_abc::TestOneTrickPonyABCs.test_Iterator") {
  CHECK_FALSE(std::ranges::range<int>);
  CHECK_FALSE(std::ranges::range<optional_int>);
  CHECK_FALSE(std::ranges::range<without_send>);
  CHECK(std::ranges::input_range<generator<int>>);
  CHECK(std::ranges::input_range<generator<const std::string&>>);
  CHECK(std::ranges::input_range<generator<std::unique_ptr<int>>>);
  CHECK(std::ranges::input_range<generator<int, optional_int, std::string>>);
  CHECK(std::input_iterator<std::ranges::iterator_t<generator<int>>>);
  CHECK_FALSE(std::ranges::forward_range<generator<int>>);
  CHECK_FALSE(std::ranges::range<generator<void>>);
}

// There is no base class to derive from: an object with the functions will do.
TEST_CASE("collections_abc::TestOneTrickPonyABCs.test_Generator") {
  CHECK(speaks_protocol<generator<optional_int, optional_int>>);
  CHECK(speaks_protocol<by_hand>);
  CHECK_FALSE(speaks_protocol<without_send>);
  CHECK_FALSE(speaks_protocol<without_throw>);
  CHECK_FALSE(speaks_protocol<without_next>);
  CHECK_FALSE(speaks_protocol<generator<optional_int>>);
  CHECK_FALSE(speaks_protocol<std::vector<int>>);

  CHECK(can_be_delegated_to<generator<optional_int, optional_int>>);
  CHECK(can_be_delegated_to<by_hand>);
  CHECK(can_be_delegated_to<without_send>);
  CHECK(can_be_delegated_to<without_throw>);
  CHECK_FALSE(can_be_delegated_to<without_next>);
  CHECK_FALSE(can_be_delegated_to<int>);

  auto g = echo();
  CHECK(g.send(std::nullopt) == std::nullopt);
  CHECK(g.next() == std::nullopt);
  CHECK(g.send(2) == 2);
  CHECK(*g.begin() == std::nullopt);
  CHECK(g.send(3) == 3);
  g.close();
  CHECK_THROWS_AS(g.throw_(krait::value_error("")), krait::value_error);
  const std::exception_ptr huhu = std::make_exception_ptr(krait::value_error("huhu"));
  CHECK(raised_by([&] { g.throw_(huhu); }) == huhu);
  CHECK_THROWS_AS(g.throw_(krait::stop_iteration<>()), krait::stop_iteration<>);

  generator<int> fails_on_close = [](auto& yield) {
    try {
      yield(1);
    } catch (const krait::generator_exit&) {
      throw krait::value_error("fails");
    }
  };
  fails_on_close.next();
  CHECK_THROWS_WITH_AS(fails_on_close.close(), "fails", krait::value_error);

  generator<int> ignores_exit = [](auto& yield) {
    try {
      yield(1);
    } catch (const krait::generator_exit&) {
      yield(2);
    }
  };
  ignores_exit.next();
  CHECK_THROWS_WITH_AS(ignores_exit.close(), "generator ignored GeneratorExit", krait::runtime_error);
}

TEST_CASE("gc::GCTests.test_trashcan_threads") {
  static std::atomic<int> made;
  static std::atomic<int> destroyed;
  static std::atomic<int> slept;
  made = destroyed = slept = 0;
  constexpr int nesting = 60;
  constexpr int rounds = 20;

  struct sleeper {
    ~sleeper() {
      std::this_thread::sleep_for(std::chrono::microseconds(1));
      ++slept;
    }
  };
  struct container {
    explicit container(std::unique_ptr<container> inner) : content(std::move(inner)) { ++made; }
    container(const container&) = delete;
    container& operator=(const container&) = delete;
    ~container() {
      ++destroyed;
      generator<int> g = [](auto& yield) {
        const sleeper finally;
        yield(1);
      };
      g.next();
    }
    std::unique_ptr<container> content;
  };
  const auto run_thread = [] {
    for (int round = 0; round < rounds; ++round) {
      auto nested = std::make_unique<container>(nullptr);
      for (int i = 0; i < nesting; ++i) {
        nested = std::make_unique<container>(std::move(nested));
      }
    }
  };
  std::thread first(run_thread);
  std::thread second(run_thread);
  first.join();
  second.join();
  CHECK(made == 2 * rounds * (nesting + 1));
  CHECK(destroyed == made);
  CHECK(slept == made);
}

TEST_CASE("threading::ThreadTests.test_frame_tstate_tracing") {
  std::optional<generator<std::string>> gen;
  std::vector<std::string> items;
  const auto callback = [&] {
    if (!gen.has_value()) {
      gen.emplace([](auto& yield) {
        for (int i = 0;; ++i) {
          yield("generator " + std::to_string(i));
        }
      });
    }
    items.push_back(gen->next());
  };
  std::thread(callback).join();
  CHECK(items == std::vector<std::string>{"generator 0"});
  std::thread([&] {
    for (int test = 0; test < 3; ++test) {
      callback();
    }
  }).join();
  CHECK(items == std::vector<std::string>{"generator 0", "generator 1", "generator 2", "generator 3"});
  gen.reset();
}

TEST_CASE("iter::TestCase.test_sinkstate_yield") {
  auto b = numbers(5);
  CHECK(list(b) == std::vector{0, 1, 2, 3, 4});
  CHECK(list(b) == std::vector<int>());
}

TEST_CASE("iter::TestCase.test_extending_list_with_iterator_does_not_segfault") {
  std::vector<int> lst(500, -1);
  lst.erase(lst.begin(), lst.begin() + 240);
  auto gen = numbers(500);
  for (const int number : gen) {
    lst.push_back(number);
  }
  CHECK(lst.size() == 760);
  CHECK(lst[259] == -1);
  CHECK(lst[260] == 0);
  CHECK(lst.back() == 499);
}
