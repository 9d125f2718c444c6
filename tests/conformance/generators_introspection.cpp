// SPDX-License-Identifier: BSL-1.0
#include <doctest/doctest.h>
#include <krait/krait.hpp>

#include <concepts>
#include <exception>
#include <optional>
#include <sstream>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>

#include "support/probes.hpp"
#include "support/support.hpp"

// CPython's cases on what a generator tells of itself (generators.cases.tsv).

namespace {

using krait::generator;
using support::given;
using support::journal;
using support::lent;
using support::state;

generator<int> func() {
  return [](auto& yield) { yield(1); };
}

generator<int> f() {
  return [](auto& yield) { yield(5); };
}

std::string name_of(state value) {
  switch (value) {
    case state::created:
      return "created";
    case state::running:
      return "running";
    case state::suspended:
      return "suspended";
    case state::closed:
      return "closed";
  }
  return "?";
}

/// State, and whether it delegates, as the generator itself says.
std::string report(const auto& g) {
  return name_of(g.state()) + (g.yielding_from() ? " delegating" : " not delegating");
}

/// What follows `repr` in the line that dump_generators() writes on it.
std::string dumped(const std::string& repr) {
  std::ostringstream out;
  krait::dump_generators(out);
  std::istringstream lines(out.str());
  for (std::string line; std::getline(lines, line);) {
    if (line.starts_with(repr + " ")) {
      return probes::without_stack_used(line).substr(repr.size() + 1);
    }
  }
  return "not there";
}

template <class Generator, class Name>
concept can_be_named = requires(Generator& g, Name name) { g.set_name(name); };

template <class Generator>
concept has_generator_members = requires(Generator& g, const Generator& constant, std::exception_ptr error) {
  { g.next() } -> std::same_as<int>;
  { g.send(1) } -> std::same_as<int>;
  { g.throw_(error) } -> std::same_as<int>;
  { g.close() } -> std::same_as<void>;
  { constant.running() } -> std::same_as<bool>;
  { constant.suspended() } -> std::same_as<bool>;
  { constant.yielding_from() } -> std::same_as<bool>;
};

template <class Generator>
concept running_can_be_set = requires(Generator& g) { g.running() = true; };

}  // namespace

TEST_CASE("generators::name") {
  generator<int> gen = func();
  CHECK(gen.name() == "func");
  {
    const std::string replaced = "na" + std::string("me");
    gen.set_name(replaced);
  }
  CHECK(gen.name() == "name");
  CHECK(gen.repr().starts_with("<generator object name at 0x"));

  // A name is a string, and is always there.
  static_assert(can_be_named<generator<int>, std::string_view>);
  static_assert(!can_be_named<generator<int>, int>);
  static_assert(!can_be_named<generator<int>, std::optional<std::string>>);
  static_assert(!std::is_assignable_v<decltype(gen.name()), int>);

  // The maker's name, whenever it makes one.
  const char* makers_name = "func";
  const auto make = [&] { return generator<int>([](auto& yield) { yield(1); }, makers_name); };
  generator<int> earlier = make();
  makers_name = "func_name";
  generator<int> later = make();
  CHECK(earlier.name() == "func");
  CHECK(later.name() == "func_name");

  generator<int> expression([](auto& yield) { yield(1); }, "<genexpr>");
  CHECK(expression.name() == "<genexpr>");
}

TEST_CASE("generators::copy") {
  static_assert(!std::copy_constructible<generator<int>>);
  static_assert(!std::is_copy_constructible_v<generator<int>>);
  static_assert(!std::is_copy_assignable_v<generator<int>>);
  static_assert(!std::is_constructible_v<generator<int>, generator<int>&>);
  static_assert(!std::is_constructible_v<generator<int>, const generator<int>&>);
  generator<int> g = func();
  generator<int> moved = std::move(g);
  CHECK_THROWS_AS(g.next(), krait::value_error);
  CHECK(moved.next() == 1);
}

TEST_CASE("generators::gi_yieldfrom") {
  const auto check = [](auto way) {
    journal inside;
    generator<void>* b_itself = nullptr;
    const auto note = [&](const std::string& where) { inside(where + ": " + report(*b_itself)); };

    generator<void> a(
        [&](auto& yield) {
          note("a");
          yield();
          note("a again");
        },
        "a");
    const std::string a_repr = a.repr();
    generator<void> b(
        [&](auto& yield) {
          note("b");
          yield.from(way.pass(a));
          note("b after a");
          yield();
          note("b again");
        },
        "b");
    b_itself = &b;

    CHECK(report(b) == "created not delegating");
    CHECK(dumped(b.repr()) == "created");

    b.next();
    CHECK(report(b) == "suspended delegating");
    CHECK(dumped(b.repr()) == "suspended, delegating to " + a_repr);

    b.next();
    CHECK(report(b) == "suspended not delegating");
    CHECK(dumped(b.repr()) == "suspended");

    CHECK(b.resume().returned());
    CHECK(report(b) == "closed not delegating");
    CHECK(inside.text() ==
          "b: running not delegating, a: running not delegating, a again: running not delegating, "
          "b after a: running not delegating, b again: running not delegating");
  };
  check(given());
  check(lent());
}

TEST_CASE("generators::doc.email.types_and_members") {
  using type = generator<int, std::optional<int>>;
  const auto g = [] { return type([](auto& yield) { yield(1); }); };
  static_assert(!std::same_as<std::remove_const_t<decltype(g)>, type>);
  static_assert(std::same_as<decltype(g()), type>);
  static_assert(has_generator_members<type>);
  type i = g();
  CHECK_FALSE(i.running());
  CHECK_FALSE(i.suspended());
  CHECK_FALSE(i.yielding_from());
  CHECK(i.next() == 1);
  CHECK_FALSE(i.running());
  CHECK(i.suspended());
  CHECK_FALSE(i.yielding_from());
  i.close();
  CHECK_FALSE(i.running());
  CHECK_FALSE(i.suspended());
  CHECK_FALSE(i.yielding_from());
}

TEST_CASE("generators::doc.email.gi_running") {
  static_assert(!running_can_be_set<generator<bool>>);
  generator<bool>* me = nullptr;
  generator<bool> g = [&](auto& yield) { yield(me->running()); };
  me = &g;
  CHECK_FALSE(g.running());
  CHECK(g.next());
  CHECK_FALSE(g.running());
}

TEST_CASE("generators::doc.syntax.name_repr") {
  generator<int> g = f();
  CHECK(g.name() == "f");
  const std::string repr = g.repr();
  const std::string start = "<generator object f at 0x";
  CHECK(repr.starts_with(start));
  CHECK(repr.ends_with(">"));
  const std::string address = repr.substr(start.size(), repr.size() - start.size() - 1);
  CHECK_FALSE(address.empty());
  CHECK(address.find_first_not_of("0123456789abcdef") == std::string::npos);
  CHECK(f().repr() != repr);
}
