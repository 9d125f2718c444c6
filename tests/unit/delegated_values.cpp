// SPDX-License-Identifier: BSL-1.0
#include <doctest/doctest.h>

#include <memory>
#include <optional>
#include <sstream>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <variant>

#include <krait/krait.hpp>

#include "support/support.hpp"

// What is sent to an iterator, and what a StopIteration carries, in types that are not the ones wanted but
// convert.

namespace {

using krait::coroutine;
using krait::generator;
using krait::stop_iteration;
using support::raised_by;
using support::text_of;

/// An iterator whose send takes a Sent and yields it.
template <class Sent>
struct echo {
  Sent next() { return Sent(); }
  Sent send(Sent value) { return value; }
};

/// An iterator that ends at once, by a StopIteration of this value; wanted is a Result.
template <class Result, class Value>
struct ending {
  using return_type = Result;
  Value value;
  int next() { throw stop_iteration<Value>(std::move(value)); }
};

/// What a delegation to it evaluates to.
template <class Result, class Value>
Result delegated(Value value) {
  std::optional<Result> result;
  generator<int> g = [&](auto& yield) {
    result.emplace(yield.from(ending<Result, Value>{std::move(value)}));
  };
  static_cast<void>(g.resume());
  return std::move(*result);
}

template <class Result>
struct plain {
  using return_type = Result;
  int next() { return 1; }
};

/// The same, when the StopIteration is thrown into an iterator that has no throw_.
template <class Result, class Value>
Result thrown_in(Value value) {
  std::optional<Result> result;
  generator<int> g = [&](auto& yield) { result.emplace(yield.from(plain<Result>())); };
  g.next();
  static_cast<void>(g.resume_with(std::make_exception_ptr(stop_iteration<Value>(std::move(value)))));
  return std::move(*result);
}

template <class Result, class Value>
Result both_ways(const Value& value) {
  CHECK(delegated<Result>(value) == thrown_in<Result>(value));
  return delegated<Result>(value);
}

template <class Result, class Value>
std::string refused(const Value& value) {
  return text_of(raised_by([&] { delegated<Result>(value); }));
}

template <class T>
struct constrained {
  int next() { return 1; }
  int send(int)
    requires std::is_void_v<T>;
};

struct named {
  std::string name;
};

}  // namespace

TEST_CASE("a delegate's send takes what the optional holds that is sent, and its next takes None") {
  generator<int, std::optional<int>> g = [](auto& yield) { yield.from(echo<int>()); };
  CHECK(g.next() == 0);
  CHECK(g.send(5) == 5);
  CHECK(g.next() == 0);
  CHECK(g.send(std::nullopt) == 0);
}

TEST_CASE("so does one that takes what that converts to, or the optional itself") {
  generator<long, std::optional<int>> g = [](auto& yield) { yield.from(echo<long>()); };
  g.next();
  CHECK(g.send(5) == 5);
  generator<int, std::optional<int>> whole = [](auto& yield) {
    struct takes_all {
      int next() { return 0; }
      int send(std::optional<int> value) { return value.value() + 1; }
    };
    yield.from(takes_all());
  };
  whole.next();
  CHECK(whole.send(5) == 6);
}

TEST_CASE_TEMPLATE("and so does a generator's or a coroutine's Send", How, support::given, support::lent) {
  generator<int, std::optional<int>> g = [](auto& yield) {
    generator<int, int> inner = [](auto& inner_yield) { inner_yield(inner_yield(inner_yield(0))); };
    yield.from(How::pass(inner));
  };
  CHECK(g.next() == 0);
  CHECK(g.send(5) == 5);
  CHECK_THROWS_WITH_AS(g.next(), "can't send None to a generator whose Send type has no None: use send()",
                       krait::type_error);
}

TEST_CASE("the value of an iterator's end arrives in whatever it converts to") {
  CHECK(both_ways<std::string>("lift-off") == "lift-off");
  CHECK(both_ways<std::string>(std::string("lift-off")) == "lift-off");
  CHECK(both_ways<std::optional<std::string>>("lift-off") == "lift-off");
  CHECK(both_ways<std::string_view>("lift-off") == "lift-off");
  CHECK(both_ways<std::optional<int>>(42) == 42);
  CHECK(both_ways<std::optional<long>>(42) == 42);
  CHECK(both_ways<int>(std::optional<int>(42)) == 42);
  CHECK(both_ways<long>(42) == 42);
  CHECK(both_ways<int>(42L) == 42);
  CHECK(both_ways<int>(std::size_t{42}) == 42);
  CHECK(both_ways<double>(42) == 42.0);
  CHECK(both_ways<double>(0.5F) == 0.5);
  CHECK(both_ways<bool>(1) == true);
  CHECK(both_ways<std::variant<int, std::string>>(42) == std::variant<int, std::string>(42));
  CHECK(both_ways<std::variant<int, std::string>>("text") == std::variant<int, std::string>("text"));
  CHECK(delegated<named>(named{"itself"}).name == "itself");
  CHECK(*delegated<std::unique_ptr<int>>(std::make_unique<int>(42)) == 42);
  CHECK(**delegated<std::optional<std::unique_ptr<int>>>(std::make_unique<int>(42)) == 42);
}

TEST_CASE("where it does not, or would be another value, the error says so") {
  CHECK(refused<int>(std::string("text")).ends_with(", which does not convert to 'int'"));
  CHECK(
      refused<int>(4.5) ==
      "krait::type_error: the value of a StopIteration is of type 'double', which does not convert to 'int'");
  CHECK(refused<signed char>(300) ==
        "krait::type_error: the value of a StopIteration is of type 'int', which does not convert to 'signed "
        "char'");
  CHECK(refused<unsigned>(-1) ==
        "krait::type_error: the value of a StopIteration is of type 'int', which does not convert to "
        "'unsigned int'");
  CHECK(refused<bool>("text") ==
        "krait::type_error: the value of a StopIteration is of type 'char const*', which does not convert to "
        "'bool'");
  CHECK(refused<std::optional<int>>(4.5).starts_with("krait::type_error: "));
}

TEST_CASE("an end without a value is None, or an error where that cannot be said") {
  CHECK(delegated<int>(std::optional<int>(1)) == 1);
  CHECK(refused<int>(std::optional<int>()) ==
        "krait::type_error: what was delegated to ended without a value, and there is no None to return");
  CHECK(delegated<std::optional<int>>(std::optional<int>()) == std::nullopt);
  struct valueless {
    using return_type = int;
    int next() { throw stop_iteration<>(); }
  };
  generator<int> g = [](auto& yield) { static_cast<void>(yield.from(valueless())); };
  CHECK(text_of(raised_by([&] { g.next(); })) ==
        "krait::type_error: what was delegated to ended without a value, and there is no None to return");
}

TEST_CASE("whoever catches a StopIteration of unknown type may ask for its value as another") {
  generator<int, void, int> g = [](auto&) { return 42; };
  try {
    g.next();
  } catch (const stop_iteration<>& end) {
    CHECK(end.value_as<int>() == 42);
    CHECK(end.value_as<long>() == 42);
    CHECK(end.value_as<double>() == 42.0);
    CHECK_THROWS_AS(end.value_as<std::string>(), krait::type_error);
  }
  CHECK_FALSE(stop_iteration<>().value_as<int>().has_value());
  CHECK_FALSE(stop_iteration<int>().value_as<int>().has_value());
  CHECK(static_cast<const stop_iteration<>&>(stop_iteration("text")).value_as<std::string>() == "text");
}

TEST_CASE("a StopIteration that is raised in several places keeps its value") {
  const std::exception_ptr shared = std::make_exception_ptr(stop_iteration<std::string>("kept"));
  for (int i = 0; i < 2; ++i) {
    std::string result;
    generator<int> g = [&](auto& yield) { result = yield.from(plain<std::string>()); };
    g.next();
    static_cast<void>(g.resume_with(shared));
    CHECK(result == "kept");
  }
}

TEST_CASE("an iterator whose send is constrained away has none") {
  generator<int, std::optional<int>> g = [](auto& yield) { yield.from(constrained<int>()); };
  g.next();
  CHECK_THROWS_AS(g.send(1), krait::attribute_error);
}

TEST_CASE("what is sent to an operation's driver and does not convert closes the operation") {
  struct unwilling {
    unwilling(const std::optional<int>&) { throw std::runtime_error("unwilling"); }  // NOLINT
  };
  krait::async_generator<int, void, int, unwilling> items = [](auto& co) {
    co.await(krait::awaitable_generator<int, unwilling>([](auto& yield) { yield(1); }));
    co(2);
  };
  coroutine<int, std::optional<int>> co = [&](auto& self) { self.await(items.anext()); };
  co.send();
  CHECK_THROWS_WITH_AS(co.send(5), "unwilling", std::runtime_error);
  CHECK(items.done());
}

TEST_CASE("a StopIteration with a value, thrown by athrow() before the start, gives it to a yield.from") {
  const auto driven = [](auto value) {
    std::string result;
    krait::generator<int> g = [&](auto& yield) {
      krait::async_generator<std::string, void, int> items = [](auto& co) { co("never"); };
      auto operation = items.athrow(stop_iteration(value));
      const std::optional<std::string> evaluated = yield.from(operation);
      result = evaluated.value_or("None");
    };
    static_cast<void>(g.resume());
    return result;
  };
  CHECK(driven(std::string("six")) == "six");
  CHECK(driven("six") == "six");
  CHECK(driven(std::optional<std::string>()) == "None");
}

TEST_CASE("and to who awaits it") {
  std::string result;
  coroutine<int> co = [&](auto& self) {
    krait::async_generator<std::string, void, int> items = [](auto& inner) { inner("never"); };
    result = self.await(items.athrow(stop_iteration("six"))).value_or("None");
  };
  static_cast<void>(co.resume());
  CHECK(result == "six");
}

TEST_CASE("what delegates says to whom, though its lent generator has been given another body, or away") {
  const auto line_of = [](const std::string& name) {
    std::ostringstream all;
    krait::dump_generators(all);
    const std::string text = all.str();
    const std::size_t start = text.find("<generator object " + name + " at ");
    return text.substr(start, text.find('\n', start) - start);
  };
  const auto body = [](auto& yield) {
    for (;;) {
      yield(1);
    }
  };
  const auto delegator = [](generator<int>& inner) {
    return generator<int>([&inner](auto& yield) { yield.from(inner); }, "delegator");
  };

  auto lent = std::make_unique<generator<int>>(body, "first");
  auto outer = delegator(*lent);
  outer.next();
  CHECK(line_of("delegator").find(", delegating to <generator object first at ") != std::string::npos);
  *lent = generator<int>(body, "second");
  CHECK(line_of("delegator").find(", delegating to <generator object second at ") != std::string::npos);
  CHECK(outer.next() == 1);
  const generator<int> taken = std::move(*lent);
  CHECK(line_of("delegator").find("delegating") == std::string::npos);
  CHECK_THROWS_WITH_AS(outer.next(), "generator was moved from", krait::value_error);
}

TEST_CASE("a coroutine says what it awaits, though that has been replaced") {
  const auto body = [](auto& yield) { yield(1); };
  krait::awaitable_generator<int> lent(body, "first");
  coroutine<int> co = [&](auto& self) { self.await(lent); };
  co.send();
  CHECK(co.awaiting().starts_with("<generator object first at "));
  lent = krait::awaitable_generator<int>(body, "second");
  CHECK(co.awaiting().starts_with("<generator object second at "));
  co.close();
}

TEST_CASE("an operation that its own body moves refuses that, and goes on") {
  using items = krait::async_generator<int, void, int>;
  std::optional<decltype(std::declval<items&>().anext())> operation;
  std::string error;
  items g = [&](auto& co) {
    error = text_of(raised_by([&] { const auto moved = std::move(*operation); }));
    co(7);
  };
  operation.emplace(g.anext());
  CHECK(support::stop_value<int>([&] { operation->next(); }) == 7);
  CHECK(error == "krait::value_error: async generator already executing");
}
