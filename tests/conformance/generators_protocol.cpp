// SPDX-License-Identifier: BSL-1.0
#include <doctest/doctest.h>
#include <krait/krait.hpp>

#include <concepts>
#include <exception>
#include <functional>
#include <optional>
#include <string>
#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>

#include "support/support.hpp"

// CPython's cases on making a generator, next, send and return (generators.cases.tsv).

namespace {

using krait::generator;
using krait::try_finally;
using support::journal;
using support::raised_by;
using support::state;
using support::stop_value;
using support::text_of;

constexpr auto just_started = "can't send non-None value to a just-started generator";
constexpr auto stopped = "StopIteration";

/// Python: list(g).
template <class Generator>
auto list(Generator&& g) {
  std::vector<typename std::remove_cvref_t<Generator>::yield_type> all;
  for (auto&& item : g) {
    all.push_back(std::forward<decltype(item)>(item));
  }
  return all;
}

/// Does `call` raise a StopIteration without a value?
template <class Return = void, class Call>
bool stops(Call call) {
  if constexpr (std::is_void_v<Return>) {
    try {
      call();
    } catch (const krait::stop_iteration<>& stop) {
      return stop.what() == std::string(stopped);
    }
    return false;
  } else {
    return !stop_value<Return>(call).has_value();
  }
}

generator<int> one_two() {
  return [](auto& yield) {
    yield(1);
    yield(2);
  };
}

generator<int> yrange(int n) {
  return [n](auto& yield) {
    for (int i = 0; i < n; ++i) {
      yield(i);
    }
  };
}

generator<int> zrange(int n) {
  return [n](auto& yield) {
    for (int i : yrange(n)) {
      yield(i);
    }
  };
}

/// return within try, with a handler for everything that yields.
generator<int> returns_in_try() {
  return [](auto& yield) {
    try {
      return;
    } catch (...) {
      yield(1);
    }
  };
}

/// raise StopIteration within try, with a handler for everything that yields.
generator<int> stops_in_try() {
  return [](auto& yield) {
    try {
      throw krait::stop_iteration<>();
    } catch (...) {
      yield(42);
    }
  };
}

/// Yields 1, and returns what it is sent.
using echo = generator<int, int, int>;

int named_body(krait::yielder<int, int>& yield) {
  return yield(1);
}
echo named() {
  return &named_body;
}
echo anonymous() {
  return [](auto& yield) { return yield(1); };
}
int named_over_named(krait::yielder<int, int>& yield) {
  return yield.from(named());
}
int named_over_anonymous(krait::yielder<int, int>& yield) {
  return yield.from(anonymous());
}

}  // namespace

TEST_CASE("generators::lambda_generator") {
  const std::vector<std::function<echo()>> makers = {
      anonymous,
      named,
      [] { return echo([](auto& yield) { return yield.from(named()); }); },
      [] { return echo(&named_over_named); },
      [] { return echo([](auto& yield) { return yield.from(anonymous()); }); },
      [] { return echo(&named_over_anonymous); },
  };
  CHECK(makers.size() == 6);
  for (std::size_t i = 0; i < makers.size(); ++i) {
    CAPTURE(i);
    echo g = makers[i]();
    CHECK(g.next() == 1);
    CHECK(stop_value<int>([&] { g.send(2); }) == 2);
    CHECK(g.state() == state::closed);
  }
}

TEST_CASE("generators::send_non_none_to_new_gen") {
  int runs = 0;
  generator<int, std::optional<int>> g = [&](auto& yield) {
    ++runs;
    yield(1);
  };
  const std::exception_ptr error = raised_by([&] { g.send(0); });
  CHECK(text_of(error) == std::string("krait::type_error: ") + just_started);
  CHECK(runs == 0);
  CHECK(g.state() == state::created);
  CHECK(g.next() == 1);
  CHECK(runs == 1);
}

TEST_CASE("generators::return_tuple") {
  using tuple = std::tuple<int>;
  generator<int, tuple, tuple> g = [](auto& yield) { return yield(1); };
  CHECK(g.next() == 1);
  const std::optional<tuple> value = stop_value<tuple>([&] { g.send(tuple(2)); });
  REQUIRE(value.has_value());
  CHECK(*value == tuple(2));
}

TEST_CASE("generators::return_stopiteration") {
  using stop = krait::stop_iteration<int>;
  generator<int, stop, stop> g = [](auto& yield) { return yield(1); };
  CHECK(g.next() == 1);
  const std::optional<stop> value = stop_value<stop>([&] { g.send(stop(2)); });
  REQUIRE(value.has_value());
  REQUIRE(value->has_value());
  CHECK(value->value() == 2);
}

TEST_CASE("generators::doc.tut.simple") {
  journal printed;
  for (int i : one_two()) {
    printed(std::to_string(i));
  }
  CHECK(printed.text() == "1, 2");
  generator<int> g = one_two();
  CHECK(g.next() == 1);
  CHECK(g.next() == 2);
}

TEST_CASE("generators::doc.tut.fall_off_end") {
  generator<int, void, int> answering = [](auto& yield) {
    yield(1);
    return 42;
  };
  generator<int> g = one_two();
  g.next();
  g.next();
  CHECK(g.state() == state::suspended);
  CHECK(stops([&] { g.next(); }));
  CHECK(g.state() == state::closed);
  answering.next();
  CHECK(stop_value<int>([&] { answering.next(); }) == 42);
  CHECK(stops<int>([&] { answering.next(); }));
}

TEST_CASE("generators::doc.tut.return_stops") {
  journal ran;
  generator<int> g = [&](auto& yield) {
    yield(1);
    ran("returning");
    return;
    yield(2);
  };
  CHECK(g.next() == 1);
  CHECK(ran.text() == "");
  CHECK(stops([&] { g.next(); }));
  CHECK(stops([&] { g.next(); }));
  CHECK(stops([&] { g.next(); }));
  CHECK(ran.text() == "returning");
}

TEST_CASE("generators::doc.tut.return_not_exception") {
  CHECK(list(returns_in_try()).empty());
}

TEST_CASE("generators::doc.tut.stopiteration_is_exception") {
  CHECK(list(stops_in_try()) == std::vector{42});
}

TEST_CASE("generators::doc.tut.return_runs_finally_yield") {
  journal log;
  generator<int> g = [&](auto& yield) {
    try_finally(
        [&] {
          log("return");
          return;
        },
        [&] {
          log("finally");
          yield(1);
          log("finally again");
        });
  };
  CHECK(g.next() == 1);
  CHECK(log.text() == "return, finally");
  CHECK(stops([&] { g.next(); }));
  CHECK(log.text() == "return, finally, finally again");
}

TEST_CASE("generators::doc.tut.yrange") {
  CHECK(list(yrange(5)) == std::vector{0, 1, 2, 3, 4});
}

TEST_CASE("generators::doc.tut.most_recent_caller") {
  journal printed;
  const auto creator = [&] {
    generator<int> r = yrange(5);
    printed("creator " + std::to_string(r.next()));
    return r;
  };
  const auto caller = [&] {
    generator<int> r = creator();
    for (int i : r) {
      printed("caller " + std::to_string(i));
    }
  };
  caller();
  CHECK(printed.text() == "creator 0, caller 1, caller 2, caller 3, caller 4");
}

TEST_CASE("generators::doc.tut.generators_call_generators") {
  CHECK(list(zrange(5)) == std::vector{0, 1, 2, 3, 4});
}

TEST_CASE("generators::doc.pep.reentrancy") {
  generator<int>* me = nullptr;
  std::exception_ptr inside;
  generator<int> g = [&](auto& yield) {
    try {
      const int i = me->next();
      yield(i);
    } catch (...) {
      inside = std::current_exception();
      throw;
    }
  };
  me = &g;
  const std::exception_ptr outside = raised_by([&] { g.next(); });
  CHECK(text_of(inside) == "krait::value_error: generator already executing");
  CHECK(outside == inside);
  CHECK(g.state() == state::closed);
}

TEST_CASE("generators::doc.pep.return_vs_stopiteration") {
  journal collected;
  for (int i : returns_in_try()) {
    collected("f1 " + std::to_string(i));
  }
  for (int i : stops_in_try()) {
    collected("f2 " + std::to_string(i));
  }
  CHECK(collected.text() == "f2 42");
}

TEST_CASE("generators::doc.email.yield_none") {
  generator<std::optional<int>> g = [](auto& yield) {
    for (int i = 0; i < 3; ++i) {
      yield(std::nullopt);
    }
    yield(std::nullopt);
    return;
  };
  CHECK(list(g) == std::vector<std::optional<int>>(4));
}

TEST_CASE("generators::doc.email.stopiteration_in_try") {
  generator<int> g = [](auto& yield) {
    yield(1);
    try {
      throw krait::stop_iteration<>();
    } catch (...) {
      yield(2);
    }
    yield(3);
  };
  CHECK(list(g) == std::vector{1, 2, 3});
}

TEST_CASE("generators::doc.email.iter_is_self") {
  generator<int> g = yrange(4);
  static_assert(std::same_as<decltype(g), generator<int>>);
  auto first = g.begin();
  CHECK(*first == 0);
  auto second = g.begin();
  CHECK(*second == 1);
  ++first;
  CHECK(*first == 2);
  CHECK(g.next() == 3);
  ++second;
  CHECK(second == g.end());
  CHECK(g.state() == state::closed);
}

TEST_CASE("generators::doc.syntax.continue_in_finally") {
  generator<int> g = [](auto& yield) {
    for (int i = 0; i < 3; ++i) {
      try_finally(
          [] {
            return; /* continue */
          },
          [&] { yield(i); });
    }
  };
  CHECK(g.next() == 0);
  CHECK(g.next() == 1);
  CHECK(g.next() == 2);
  CHECK(stops([&] { g.next(); }));
}

TEST_CASE("generators::doc.syntax.lambda_yield") {
  const auto once = [] { return generator<int>([](auto& yield) { yield(1); }); };
  CHECK(list(once()) == std::vector{1});
  const auto twice = [] { return generator<int>([](auto& yield) { yield(1), yield(2); }); };
  CHECK(list(twice()) == std::vector{1, 2});
}

TEST_CASE("generators::doc.coroutine.send_started") {
  journal printed;
  generator<int, std::optional<int>> g = [&](auto& yield) {
    const std::optional<int> sent = yield(1);
    printed(sent.has_value() ? std::to_string(*sent) : "none");
    yield(2);
  };
  CHECK(g.next() == 1);
  CHECK(printed.text() == "");
  CHECK(g.send(42) == 2);
  CHECK(printed.text() == "42");
}

TEST_CASE("generators::doc.coroutine.send_new") {
  journal ran;
  generator<int, std::optional<std::string>> g = [&](auto& yield) {
    ran("body");
    yield(1);
  };
  CHECK(text_of(raised_by([&] { g.send("foo"); })) == std::string("krait::type_error: ") + just_started);
  CHECK(ran.text() == "");
  CHECK(g.state() == state::created);
}

TEST_CASE("generators::doc.coroutine.bare_yield") {
  generator<void> g = [](auto& yield) { yield(); };
  CHECK(g.resume().yielded());
  CHECK(g.resume().returned());

  generator<std::optional<int>> none = [](auto& yield) { yield({}); };
  CHECK(list(none) == std::vector<std::optional<int>>{std::nullopt});
}

TEST_CASE("generators::doc.coroutine.accumulate") {
  std::vector<int> seq;
  generator<void, int> c = [&](auto& yield) {
    int count = 0;
    while (count < 200) {
      count += yield();
      seq.push_back(count);
    }
  };
  static_assert(std::same_as<decltype(c.send(10)), void>);
  c.next();
  CHECK(seq.empty());
  c.send(10);
  CHECK(seq == std::vector{10});
  c.send(10);
  CHECK(seq == std::vector{10, 20});
  c.send(10);
  CHECK(seq == std::vector{10, 20, 30});
  CHECK(c.state() == state::suspended);
}

TEST_CASE("generators::doc.coroutine.double_yield_assignment") {
  std::vector<int> data = {1, 2};
  generator<std::string, std::optional<std::size_t>> g = [&](auto& yield) {
    data[yield("a").value()] = 27;
    data[yield("b").value()] = 27;
  };
  CHECK(g.next() == "a");
  CHECK(data == std::vector{1, 2});
  CHECK(g.send(0) == "b");
  CHECK(data == std::vector{27, 2});
  CHECK(stops([&] { g.send(1); }));
  CHECK(data == std::vector{27, 27});
}
