// SPDX-License-Identifier: BSL-1.0
#include <doctest/doctest.h>

#include <algorithm>
#include <concepts>
#include <exception>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>

#include <krait/krait.hpp>

#include "support/support.hpp"

// Generator objects: states, next and send, the value returned.

namespace {

using krait::generator;
using support::journal;
using support::raised_by;
using support::state;
using support::stop_value;

generator<int> count_to(int n) {
  return [n](auto& yield) {
    for (int i = 0; i < n; ++i) {
      yield(i);
    }
  };
}

std::vector<int> rest_of(generator<int>& numbers) {
  std::vector<int> all;
  for (const int number : numbers) {
    all.push_back(number);
  }
  return all;
}

constexpr auto just_started = "can't send non-None value to a just-started generator";

}  // namespace

TEST_CASE("R1: making a generator runs none of its body") {
  journal log;
  generator<int> g = [&](auto& yield) {
    log("start");
    yield(1);
  };
  CHECK(log.text() == "");
  CHECK(g.state() == state::created);
  CHECK(g.next() == 1);
  CHECK(log.text() == "start");
}

TEST_CASE("R1: a generator owns its body's captures, from its making to its end") {
  const auto argument = std::make_shared<int>(7);
  {
    const generator<int> never_started = [argument](auto& yield) { yield(*argument); };
    CHECK(argument.use_count() == 2);
  }
  CHECK(argument.use_count() == 1);

  generator<int> g = [argument](auto& yield) { yield(*argument); };
  CHECK(g.next() == 7);
  CHECK(argument.use_count() == 2);
  CHECK_THROWS_AS(g.next(), krait::stop_iteration<>);
  CHECK(argument.use_count() == 1);
}

TEST_CASE("R2: created, running, suspended and closed exclude each other") {
  const auto frame = std::make_shared<int>();
  std::vector<state> seen_inside;
  std::vector<bool> flags_inside;
  generator<int>* self = nullptr;
  generator<int> g = [&](auto& yield) {
    const auto local = frame;
    seen_inside.push_back(self->state());
    flags_inside = {self->running(), self->suspended(), self->done()};
    yield(1);
    seen_inside.push_back(self->state());
  };
  self = &g;

  CHECK(g.state() == state::created);
  CHECK_FALSE(g.running());
  CHECK_FALSE(g.suspended());
  CHECK_FALSE(g.done());

  g.next();
  CHECK(g.state() == state::suspended);
  CHECK_FALSE(g.running());
  CHECK(g.suspended());
  CHECK_FALSE(g.done());
  CHECK(frame.use_count() == 2);

  CHECK_THROWS_AS(g.next(), krait::stop_iteration<>);
  CHECK(g.state() == state::closed);
  CHECK_FALSE(g.running());
  CHECK_FALSE(g.suspended());
  CHECK(g.done());
  CHECK(frame.use_count() == 1);  // the frame is gone

  CHECK(seen_inside == std::vector<state>{state::running, state::running});
  CHECK(flags_inside == std::vector<bool>{true, false, false});
}

TEST_CASE("R3: a body that returns at once takes the generator from created to closed") {
  generator<int> g = [](auto&) {};
  CHECK_THROWS_AS(g.next(), krait::stop_iteration<>);
  CHECK(g.state() == state::closed);
}

TEST_CASE("R3: throw_ and close take a created generator to closed without running its body") {
  bool ran = false;
  const auto body = [&](auto& yield) {
    ran = true;
    yield(1);
  };
  generator<int> thrown = body;
  CHECK_THROWS_AS(thrown.throw_(std::runtime_error("x")), std::runtime_error);
  CHECK(thrown.state() == state::closed);

  generator<int> closed = body;
  closed.close();
  CHECK(closed.state() == state::closed);
  CHECK_FALSE(ran);
}

TEST_CASE("R3: next, send and throw_ take a suspended generator to its next yield, or close it") {
  generator<int, std::optional<int>> g = [](auto& yield) {
    for (int i = 0; i < 3; ++i) {
      try {
        yield(i);
      } catch (const std::runtime_error&) {
      }
    }
  };
  g.next();
  CHECK(g.send(1) == 1);
  CHECK(g.state() == state::suspended);
  CHECK(g.throw_(std::runtime_error("x")) == 2);
  CHECK(g.state() == state::suspended);
  CHECK_THROWS_AS(g.send(1), krait::stop_iteration<>);
  CHECK(g.state() == state::closed);
}

TEST_CASE("R3: an exception of any type that leaves the body closes the generator") {
  const auto check_closed_by = [](auto exception) {
    generator<int> g = [&](auto& yield) {
      yield(1);
      throw exception;
    };
    g.next();
    CHECK_THROWS_AS(g.next(), decltype(exception));
    CHECK(g.state() == state::closed);
    CHECK_THROWS_AS(g.next(), krait::stop_iteration<>);
  };
  check_closed_by(std::runtime_error("x"));
  check_closed_by(42);
  check_closed_by(std::string("no exception class at all"));
  check_closed_by(krait::generator_exit());
}

TEST_CASE("R3: closed is for ever") {
  bool ran_again = false;
  generator<int, std::optional<int>> g = [&, runs = 0](auto&) mutable { ran_again = ++runs > 1; };
  CHECK_THROWS_AS(g.next(), krait::stop_iteration<>);

  CHECK_THROWS_AS(g.next(), krait::stop_iteration<>);
  CHECK_THROWS_AS(g.send(1), krait::stop_iteration<>);
  CHECK_THROWS_AS(g.throw_(std::runtime_error("x")), std::runtime_error);
  g.close();
  CHECK(g.resume().returned());
  CHECK(g.begin() == g.end());
  CHECK(g.state() == state::closed);
  CHECK_FALSE(ran_again);
}

TEST_CASE("R4: next is send(none)") {
  std::vector<std::optional<int>> received;
  generator<int, std::optional<int>> g = [&](auto& yield) {
    received.push_back(yield(1));
    received.push_back(yield(2));
    received.push_back(yield(3));
  };
  CHECK(g.send(std::nullopt) == 1);  // None may be sent to a just-started generator
  CHECK(g.next() == 2);
  CHECK(g.send(std::nullopt) == 3);
  CHECK(krait::next(g, -1) == -1);
  CHECK(received == std::vector<std::optional<int>>{std::nullopt, std::nullopt, std::nullopt});
}

TEST_CASE("R4: a loop goes on where the generator stands, in every state") {
  generator<int> g = count_to(5);
  auto from_the_start = g.begin();
  CHECK(*from_the_start == 0);
  CHECK(g.next() == 1);
  CHECK(*g.begin() == 2);
  CHECK(rest_of(g) == std::vector<int>{3, 4});
  CHECK(g.begin() == g.end());
  CHECK(rest_of(g).empty());
}

TEST_CASE("R4: what a generator tells of itself cannot be written") {
  using numbers = const generator<int, int, int>;
  static_assert(std::same_as<decltype(std::declval<numbers&>().state()), state>);
  static_assert(std::same_as<decltype(std::declval<numbers&>().running()), bool>);
  static_assert(std::same_as<decltype(std::declval<numbers&>().suspended()), bool>);
  static_assert(std::same_as<decltype(std::declval<numbers&>().yielding_from()), bool>);
  static_assert(std::same_as<decltype(std::declval<numbers&>().result()), const int*>);
}

TEST_CASE("R5: a value cannot be sent to a just-started generator, which stays created and usable") {
  bool ran = false;
  generator<int, std::optional<int>> g = [&](auto& yield) {
    ran = true;
    yield(1);
  };
  CHECK_THROWS_WITH_AS(g.send(0), just_started, krait::type_error);
  CHECK_THROWS_WITH_AS(static_cast<void>(g.resume(0)), just_started, krait::type_error);
  CHECK(g.state() == state::created);
  CHECK_FALSE(ran);
  CHECK(g.send(std::nullopt) == 1);
  CHECK(g.state() == state::suspended);
}

TEST_CASE("R5: nor can one of a type that has no None") {
  generator<int, int> g = [](auto& yield) { yield(yield(1) * 10); };
  CHECK_THROWS_WITH_AS(g.send(0), just_started, krait::type_error);
  CHECK(g.state() == state::created);
  CHECK(g.next() == 1);
  CHECK(g.send(4) == 40);
}

TEST_CASE("R6: send makes the pending yield evaluate to the value") {
  generator<int, std::optional<int>> g = [](auto& yield) {
    for (std::optional<int> got = yield(0);;) {
      got = yield(got.value_or(-1));
    }
  };
  g.next();
  CHECK(g.send(3) == 3);
  CHECK(g.send(std::nullopt) == -1);
  CHECK(*g.resume(5) == 5);
}

TEST_CASE("R6: a tuple that is sent arrives as a tuple") {
  using pair = std::tuple<int, std::string>;
  std::optional<pair> received;
  generator<int, std::optional<pair>> g = [&](auto& yield) {
    received = yield(1);
    yield(2);
  };
  g.next();
  g.send(pair(3, "x"));
  CHECK((received == pair(3, "x")));
}

TEST_CASE("R6: an exception object that is sent is not raised") {
  const std::exception_ptr sent = std::make_exception_ptr(std::runtime_error("not raised"));
  std::exception_ptr received;
  generator<int, std::exception_ptr> g = [&](auto& yield) {
    received = yield(1);
    received = yield(2);
  };
  g.next();
  CHECK(g.send(sent) == 2);
  CHECK(received == sent);

  std::optional<krait::stop_iteration<int>> stop;
  generator<int, std::optional<krait::stop_iteration<int>>> h = [&](auto& yield) {
    stop = yield(1);
    yield(2);
  };
  h.next();
  CHECK(h.send(krait::stop_iteration<int>(7)) == 2);
  CHECK(stop.value().value() == 7);
}

TEST_CASE("R7: next and send on a closed generator raise a new StopIteration without a value") {
  generator<int, std::optional<int>, int> g = [](auto& yield) {
    yield(1);
    return 5;
  };
  g.next();
  CHECK(stop_value<int>([&] { g.next(); }) == 5);
  CHECK(stop_value<int>([&] { g.next(); }) == std::nullopt);
  CHECK(stop_value<int>([&] { g.send(std::nullopt); }) == std::nullopt);
  CHECK(stop_value<int>([&] { g.send(5); }) == std::nullopt);
  CHECK(raised_by([&] { g.next(); }) != raised_by([&] { g.next(); }));
}

TEST_CASE("R7: the return value is delivered once by resume, too") {
  generator<int, std::optional<int>, std::string> g = [](auto&) { return "value"; };
  const auto finished = g.resume();
  REQUIRE(finished.result() != nullptr);
  CHECK(*finished.result() == "value");

  CHECK(g.resume().returned());
  CHECK(g.resume().result() == nullptr);
  CHECK(g.resume(5).result() == nullptr);
  CHECK(stop_value<std::string>([&] { g.next(); }) == std::nullopt);
}

TEST_CASE("R7: a generator without a None to send ends in the same way") {
  generator<int, int, int> g = [](auto&) { return 5; };
  CHECK(stop_value<int>([&] { g.next(); }) == 5);
  CHECK(stop_value<int>([&] { g.next(); }) == std::nullopt);
  CHECK(stop_value<int>([&] { g.send(1); }) == std::nullopt);
}

TEST_CASE("R8: a body that returns v finishes with StopIteration(v)") {
  const auto check_delivers = []<class Return>(const Return& value) {
    generator<int, void, Return> g = [&](auto& yield) {
      yield(1);
      return value;
    };
    g.next();
    CHECK((stop_value<Return>([&] { g.next(); }).value() == value));
    CHECK((*g.result() == value));
  };
  check_delivers(false);
  check_delivers(0);
  check_delivers(std::string());
  check_delivers(std::tuple<>());
  check_delivers(std::tuple<int>(2));
  check_delivers(std::tuple<int, int, int>(1, 2, 3));
  check_delivers(std::vector<int>{1});
  check_delivers(std::optional<int>());
}

TEST_CASE("R8: a bare return and the end of the body give StopIteration without a value") {
  generator<int> bare = [](auto& yield) {
    if (yield(1); true) {
      return;
    }
    yield(2);
  };
  bare.next();
  CHECK_THROWS_WITH_AS(bare.next(), "StopIteration", krait::stop_iteration<>);

  generator<int> falls_off = [](auto& yield) { yield(1); };
  falls_off.next();
  CHECK_THROWS_WITH_AS(falls_off.next(), "StopIteration", krait::stop_iteration<>);
}

TEST_CASE("R8: an exception object that is returned is a value") {
  const std::exception_ptr value = std::make_exception_ptr(std::runtime_error("not raised"));
  generator<int, void, std::exception_ptr> g = [&](auto&) { return value; };
  CHECK(stop_value<std::exception_ptr>([&] { g.next(); }) == value);
}

TEST_CASE("R8: a StopIteration that is returned is a value, and so is one of a derived class") {
  using stop = krait::stop_iteration<int>;
  generator<int, void, stop> g = [](auto&) { return stop(3); };
  CHECK(stop_value<stop>([&] { g.next(); }).value().value() == 3);

  struct derived : stop {
    using stop::stop;
  };
  generator<int, void, derived> h = [](auto&) { return derived(4); };
  CHECK(stop_value<derived>([&] { h.next(); }).value().value() == 4);
}

TEST_CASE("R8: a value that can only be moved is delivered") {
  generator<int, void, std::unique_ptr<int>> g = [](auto&) { return std::make_unique<int>(9); };
  const std::optional<std::unique_ptr<int>> value = stop_value<std::unique_ptr<int>>([&] { g.next(); });
  CHECK(*value.value() == 9);
}

TEST_CASE("R8: whatever the value, StopIteration can be caught without knowing its type") {
  generator<int, void, std::string> g = [](auto&) { return "x"; };
  CHECK_THROWS_AS(g.next(), krait::stop_iteration<>);
  generator<int, void, std::string> h = [](auto&) { return "x"; };
  CHECK_THROWS_AS(h.next(), std::exception);
}

TEST_CASE("R9: the StopIteration of a return is linked to no other exception") {
  generator<int, void, int> g = [](auto&) { return 1; };
  try {
    throw std::runtime_error("being handled");
  } catch (const std::runtime_error&) {
    const std::exception_ptr stop = raised_by([&] { g.next(); });
    CHECK_THROWS_AS(std::rethrow_exception(stop), krait::stop_iteration<int>);
    CHECK(support::cause_of(stop) == nullptr);
  }
}

TEST_CASE("R10: a loop takes StopIteration for the end and drops its value") {
  generator<int, void, std::string> g = [](auto& yield) {
    yield(1);
    yield(2);
    return "dropped";
  };
  std::vector<int> all;
  for (const int i : g) {
    all.push_back(i);
  }
  CHECK(all == std::vector<int>{1, 2});
  CHECK(g.state() == state::closed);
}

TEST_CASE("R10: any other exception passes through the consumer, and the generator is closed") {
  generator<int> g = [](auto& yield) {
    yield(1);
    throw std::out_of_range("b");
  };
  std::vector<int> seen;
  const auto consume = [&] {
    for (const int i : g) {
      seen.push_back(i);
    }
  };
  CHECK_THROWS_WITH_AS(consume(), "b", std::out_of_range);
  CHECK(seen == std::vector<int>{1});
  CHECK(g.state() == state::closed);

  generator<int> with_fallback = [](auto& yield) {
    yield(1);
    throw std::out_of_range("b");
  };
  with_fallback.next();
  CHECK_THROWS_WITH_AS(krait::next(with_fallback, -1), "b", std::out_of_range);
  CHECK(krait::next(with_fallback, -1) == -1);
}

TEST_CASE("R10: a consumer that stops early leaves the generator suspended") {
  generator<int> g = count_to(6);
  for (const int i : g) {
    if (i == 1) {
      break;
    }
  }
  CHECK(g.state() == state::suspended);

  const auto contains_three = [&] {
    for (const int i : g) {
      if (i == 3) {
        return true;
      }
    }
    return false;
  };
  CHECK(contains_three());
  CHECK(g.state() == state::suspended);
  CHECK(rest_of(g) == std::vector<int>{4, 5});
}

TEST_CASE("R10: a zip takes from the first before it finds that the second has ended") {
  generator<int> a = count_to(5);
  generator<int> b = count_to(2);
  std::vector<std::pair<int, int>> pairs;
  auto i = a.begin();
  auto j = b.begin();
  while (i != a.end() && j != b.end()) {
    pairs.emplace_back(*i, *j);
    ++i;
    ++j;
  }
  CHECK((pairs == std::vector<std::pair<int, int>>{{0, 0}, {1, 1}}));
  CHECK(a.state() == state::suspended);
  CHECK(b.state() == state::closed);
  CHECK(rest_of(a) == std::vector<int>{3, 4});
}

TEST_CASE("R11: a generator cannot be copied, only moved, and is compared and tested by nothing") {
  using numbers = generator<int, int, int>;
  static_assert(!std::copy_constructible<numbers> && !std::is_copy_assignable_v<numbers>);
  static_assert(std::movable<numbers>);
  static_assert(!std::equality_comparable<numbers>);
  static_assert(!std::is_constructible_v<bool, numbers&>);
}

TEST_CASE("R12: return within a try block is not visible to its handlers") {
  bool caught = false;
  generator<int, void, int> g = [&](auto& yield) {
    try {
      yield(1);
      return 1;
    } catch (...) {
      caught = true;
      throw;
    }
  };
  g.next();
  CHECK(stop_value<int>([&] { g.next(); }) == 1);
  CHECK_FALSE(caught);
}

TEST_CASE("R12: clean-up that yields while the body returns suspends it; the value comes with the end") {
  generator<std::string, void, int> g = [](auto& yield) {
    struct cleanup {
      decltype(yield)& yielder;
      ~cleanup() noexcept(false) { yielder("cleaning up"); }
    };
    const cleanup last{yield};
    return 1;
  };
  CHECK(g.next() == "cleaning up");
  CHECK(g.state() == state::suspended);
  CHECK(g.result() == nullptr);
  CHECK(stop_value<int>([&] { g.next(); }) == 1);
}

TEST_CASE("R12: a handler that returns swallows the pending exception") {
  const auto body = [](auto& yield) -> std::string {
    try {
      yield(1);
    } catch (...) {
    }
    return "swallowed";
  };
  generator<int, void, std::string> thrown = body;
  thrown.next();
  CHECK(stop_value<std::string>([&] { thrown.throw_(std::runtime_error("x")); }) == "swallowed");

  generator<int, void, std::string> closed = body;
  closed.next();
  CHECK(closed.close() == std::string("swallowed"));
}

// Not here, for a fact about C++:
//
// R7, R9   Of contexts: C++ keeps no implicit context of an exception.
// R11      Pickling: objects cannot be serialised by reflection. Identity: two objects are one if their
//          addresses are.
// R12      A return that replaces another one: there is no finally, and a destructor cannot return for its
//          function.
