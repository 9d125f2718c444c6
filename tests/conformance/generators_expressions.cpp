// SPDX-License-Identifier: BSL-1.0
#include <doctest/doctest.h>
#include <krait/krait.hpp>

#include <concepts>
#include <cstddef>
#include <iterator>
#include <optional>
#include <ranges>
#include <set>
#include <stdexcept>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "support/support.hpp"

// CPython's cases on generator expressions (generators.cases.tsv). A generator expression is a generator
// whose body owns the outermost source, and looks at all the rest as items are asked for.

namespace {

using krait::generator;
using support::journal;
using support::state;

using pair = std::pair<int, int>;
using pairs = std::vector<pair>;

struct zero_division_error : std::domain_error {
  zero_division_error() : std::domain_error("division by zero") {}
};

struct always {
  bool operator()(const auto&) const { return true; }
};

template <class Source, class Element>
using element_of = std::decay_t<std::invoke_result_t<Element&, decltype(*std::declval<Source&>().begin())>>;

/// Python: (element(x) for x in source if condition(x)).
template <class Source, class Element, class Condition = always>
generator<element_of<Source, Element>> genexpr(Source source, Element element, Condition condition = {}) {
  return {[iterable = std::move(source), element, condition](auto& yield) mutable {
            for (auto&& x : iterable) {
              if (condition(x)) {
                yield(element(x));
              }
            }
          },
          "<genexpr>"};
}

/// Python: (element(x, y) for x in source for y in inner(x)).
template <class Source, class Inner, class Element>
auto nested_genexpr(Source source, Inner inner, Element element) {
  using item = std::decay_t<std::invoke_result_t<Element&, int, int>>;
  return generator<item>(
      [iterable = std::move(source), inner, element](auto& yield) mutable {
        for (int x : iterable) {
          for (int y : inner(x)) {
            yield(element(x, y));
          }
        }
      },
      "<genexpr>");
}

generator<int> range(int n) {
  return [n](auto& yield) {
    for (int i = 0; i < n; ++i) {
      yield(i);
    }
  };
}

/// Python: (i for i in range(n)).
generator<int> yrange(int n) {
  return genexpr(range(n), [](int i) { return i; });
}

int squared(int i) {
  return i * i;
}

pair make_pair(int i, int j) {
  return {i, j};
}

/// Python: list(g).
template <class Generator>
auto list(Generator&& g) {
  std::vector<typename std::remove_cvref_t<Generator>::yield_type> all;
  for (auto&& item : g) {
    all.push_back(std::forward<decltype(item)>(item));
  }
  return all;
}

const pairs three_by_four = {{0, 0}, {0, 1}, {0, 2}, {0, 3}, {1, 0}, {1, 1},
                             {1, 2}, {1, 3}, {2, 0}, {2, 1}, {2, 2}, {2, 3}};
const std::vector ten_squares = {0, 1, 4, 9, 16, 25, 36, 49, 64, 81};

/// Counts how often it is asked for an iterator; those cannot be asked for one.
class counting_iterable {
 public:
  explicit counting_iterable(int& asked) : asked_(&asked) {}

  class iterator {
   public:
    using value_type = int;
    using difference_type = std::ptrdiff_t;

    int operator*() const { return value_; }
    iterator& operator++() {
      ++value_;
      return *this;
    }
    void operator++(int) { ++value_; }
    friend bool operator==(const iterator& it, std::default_sentinel_t) { return it.value_ == 3; }

   private:
    int value_ = 1;
  };

  iterator begin() const {
    ++*asked_;
    return {};
  }
  std::default_sentinel_t end() const { return {}; }

 private:
  int* asked_;
};

template <class Source>
concept iterable = requires(krait::yielder<int>& yield, Source source) { yield.from(source); };

template <class Generator>
concept has_running = requires(const Generator& g) {
  { g.running() } -> std::same_as<bool>;
  { g.state() } -> std::same_as<krait::generator_state>;
};

}  // namespace

TEST_CASE("generators::genexpr_calls_iter_once") {
  static_assert(!std::ranges::range<counting_iterable::iterator>);
  int asked = 0;
  auto g = genexpr(counting_iterable(asked), [](int x) { return x; });
  CHECK(list(g) == std::vector{1, 2});
  CHECK(asked == 1);

  asked = 0;
  generator<int> delegating = [&](auto& yield) { yield.from(counting_iterable(asked)); };
  CHECK(asked == 0);
  CHECK(list(delegating) == std::vector{1, 2});
  CHECK(asked == 1);
}

TEST_CASE("genexps::conditional_loop") {
  int evaluated = 0;
  auto squares = genexpr(
      range(100),
      [&](int i) {
        ++evaluated;
        return i * i;
      },
      [](int i) { return (i & 1) == 1; });
  CHECK(evaluated == 0);
  int sum = squares.next();
  CHECK(evaluated == 1);
  for (int square : squares) {
    sum += square;
  }
  CHECK(sum == 166650);
  CHECK(evaluated == 50);
}

TEST_CASE("genexps::nesting") {
  auto g = nested_genexpr(range(3), [](int) { return range(4); }, make_pair);
  CHECK(list(g) == three_by_four);
}

TEST_CASE("genexps::dependent_nesting") {
  auto g = nested_genexpr(range(4), range, make_pair);
  CHECK(list(g) == pairs{{1, 0}, {2, 0}, {2, 1}, {3, 0}, {3, 1}, {3, 2}});
}

TEST_CASE("genexps::temporary_idiom") {
  const auto plus_one = [](int i) { return std::vector{i + 1}; };
  CHECK(list(nested_genexpr(range(4), plus_one, [](int, int j) { return j * j; })) ==
        std::vector{1, 4, 9, 16});

  generator<int> three_loops = [&](auto& yield) {
    for (int i : range(4)) {
      for (int j : plus_one(i)) {
        for (int k : plus_one(j)) {
          yield(j * k);
        }
      }
    }
  };
  CHECK(list(three_loops) == std::vector{2, 6, 12, 20});

  generator<int> two_at_once = [&](auto& yield) {
    for (int i : range(4)) {
      for (auto [j, k] : {pair(i + 1, i + 2)}) {
        yield(j * k);
      }
    }
  };
  CHECK(list(two_at_once) == std::vector{2, 6, 12, 20});
}

TEST_CASE("genexps::first_class") {
  auto g = genexpr(range(4), squared);
  static_assert(std::same_as<decltype(g), generator<int>>);
  std::vector<generator<int>> kept;
  kept.push_back(std::move(g));
  CHECK(list(kept.front()) == std::vector{0, 1, 4, 9});
}

TEST_CASE("genexps::direct_next") {
  auto g = genexpr(range(3), squared);
  CHECK(g.next() == 0);
  CHECK(g.next() == 1);
  CHECK(g.next() == 4);
  CHECK_THROWS_AS(g.next(), krait::stop_iteration<>);
}

TEST_CASE("genexps::stays_stopped") {
  auto g = genexpr(range(3), squared);
  CHECK(list(g).size() == 3);
  CHECK_THROWS_AS(g.next(), krait::stop_iteration<>);
  CHECK_THROWS_AS(g.next(), krait::stop_iteration<>);
  CHECK(list(g).empty());
}

TEST_CASE("genexps::defining_function_out_of_scope") {
  const auto squares = [](int n) { return genexpr(range(n), squared); };
  CHECK(list(squares(10)) == ten_squares);

  const auto inner_uses_argument = [](int n) {
    return nested_genexpr(range(3), [n](int) { return range(n); }, make_pair);
  };
  CHECK(list(inner_uses_argument(4)) == three_by_four);

  const auto condition_uses_argument = [](int n) {
    return nested_genexpr(
        range(3),
        [n](int) {
          return genexpr(range(4), [](int j) { return j; }, [n](int j) { return 0 <= j && j < n; });
        },
        make_pair);
  };
  CHECK(list(condition_uses_argument(4)) == three_by_four);
  CHECK(list(condition_uses_argument(2)) == pairs{{0, 0}, {0, 1}, {1, 0}, {1, 1}, {2, 0}, {2, 1}});
}

TEST_CASE("genexps::early_binding") {
  int x = 10;
  auto g = genexpr(range(x), squared);
  x = 5;
  CHECK(list(g) == ten_squares);
}

TEST_CASE("genexps::late_binding_condition") {
  std::set<int> include = {2, 4, 6, 8};
  auto g = genexpr(range(10), squared, [&](int i) { return include.contains(i); });
  include = {1, 3, 5, 7, 9};
  CHECK(list(g) == std::vector{1, 9, 25, 49, 81});
}

TEST_CASE("genexps::iterability_check") {
  static_assert(iterable<std::vector<int>>);
  static_assert(iterable<generator<int>>);
  static_assert(!iterable<int>);
  static_assert(!iterable<double>);
  static_assert(!iterable<std::nullptr_t>);
  static_assert(!iterable<always>);
  generator<int> g = [](auto& yield) { yield.from(std::vector{6}); };
  CHECK(list(g) == std::vector{6});
}

TEST_CASE("genexps::late_binding_inner") {
  int x = 5;
  auto g = nested_genexpr(range(3), [&](int) { return range(x); }, make_pair);
  x = 4;
  CHECK(list(g) == three_by_four);
}

TEST_CASE("genexps::yrange") {
  CHECK(list(yrange(10)) == std::vector{0, 1, 2, 3, 4, 5, 6, 7, 8, 9});
}

TEST_CASE("genexps::most_recent_caller") {
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

TEST_CASE("genexps::generators_call_generators") {
  generator<int> zrange = [](auto& yield) {
    for (int i : yrange(5)) {
      yield(i);
    }
  };
  CHECK(list(zrange) == std::vector{0, 1, 2, 3, 4});
}

TEST_CASE("genexps::reentrancy") {
  generator<int>* me = nullptr;
  auto g = genexpr(range(10), [&](int) { return me->next(); });
  me = &g;
  CHECK_THROWS_WITH_AS(g.next(), "generator already executing", krait::value_error);
  CHECK(g.state() == state::closed);
}

TEST_CASE("genexps::exception_propagation") {
  journal divided_by;
  auto g = genexpr(std::vector{5, 0, 2}, [&](int i) {
    divided_by(std::to_string(i));
    return i == 0 ? throw zero_division_error() : 10 / i;
  });
  CHECK(g.next() == 2);
  CHECK_THROWS_WITH_AS(g.next(), "division by zero", zero_division_error);
  CHECK_THROWS_AS(g.next(), krait::stop_iteration<>);
  CHECK(divided_by.text() == "5, 0");
}

TEST_CASE("genexps::none_elements") {
  auto g = genexpr(range(10), [](int) { return std::optional<int>(); });
  CHECK(list(g) == std::vector<std::optional<int>>(10));
}

TEST_CASE("genexps::attributes") {
  auto g = genexpr(range(3), squared);
  static_assert(has_running<decltype(g)>);
  CHECK_FALSE(g.running());
  CHECK(g.state() == state::created);
}

TEST_CASE("genexps::type") {
  static_assert(std::same_as<decltype(genexpr(range(3), squared)), generator<int>>);
  static_assert(std::same_as<decltype(genexpr(std::vector<int>(), squared)), decltype(range(3))>);
  static_assert(std::same_as<decltype(nested_genexpr(range(3), range, make_pair)), generator<pair>>);
  CHECK(genexpr(range(3), squared).repr().starts_with("<generator object <genexpr> at 0x"));
}

TEST_CASE("genexps::iter_self") {
  auto g = genexpr(range(4), squared);
  auto first = g.begin();
  CHECK(*first == 0);
  auto second = g.begin();
  CHECK(*second == 1);
  CHECK(g.next() == 4);
  ++first;
  CHECK(*first == 9);
  ++second;
  CHECK(second == g.end());
}

TEST_CASE("genexps::running_flag") {
  generator<bool>* me = nullptr;
  auto g = genexpr(std::vector{0, 1}, [&](int) { return me->running(); });
  me = &g;
  CHECK_FALSE(g.running());
  CHECK(g.next());
  CHECK_FALSE(g.running());
  CHECK(g.next());
  CHECK_FALSE(g.running());
  CHECK_THROWS_AS(g.next(), krait::stop_iteration<>);
  CHECK_FALSE(g.running());
}
