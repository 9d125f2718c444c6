// SPDX-License-Identifier: BSL-1.0
#include <doctest/doctest.h>

#include <algorithm>
#include <concepts>
#include <cstddef>
#include <iterator>
#include <memory>
#include <ranges>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include <krait/krait.hpp>

#include "support/probes.hpp"
#include "support/support.hpp"

// What C++23 promises of std::generator ([coro.generator]), of krait::generator: its types, and how it
// behaves as a range.

namespace {

using krait::generator;
using probes::counted;
using probes::tally;
using support::journal;
using support::raised_by;
using support::text_of;

template <class T>
using iterator_of = std::ranges::iterator_t<T>;

generator<int> numbers(int size) {
  return [size](auto& yield) {
    for (int number = 1; number <= size; ++number) {
      yield(number);
    }
  };
}

/// 1, 2, 3 ... with notes of what is computed.
generator<int> noting(journal& log) {
  return [&log](auto& yield) {
    log("start");
    for (int number = 1;; ++number) {
      log("compute " + std::to_string(number));
      yield(number);
    }
  };
}

template <class Item>
std::vector<std::remove_cvref_t<Item>> list(generator<Item>& items) {
  std::vector<std::remove_cvref_t<Item>> all;
  for (auto&& item : items) {
    all.push_back(std::forward<decltype(item)>(item));
  }
  return all;
}

template <class Iterator>
concept has_iterator_category = requires { typename std::iterator_traits<Iterator>::iterator_category; };

}  // namespace

TEST_CASE("std_generator: it is a view and an input range, and no more") {
  CHECK(std::ranges::view<generator<int>>);
  CHECK(std::ranges::input_range<generator<int>>);
  CHECK_FALSE(std::ranges::forward_range<generator<int>>);
  CHECK_FALSE(std::ranges::common_range<generator<int>>);
  CHECK_FALSE(std::ranges::sized_range<generator<int>>);
  CHECK_FALSE(std::ranges::borrowed_range<generator<int>>);
  CHECK_FALSE(std::ranges::range<const generator<int>>);
  CHECK(std::ranges::view<generator<std::unique_ptr<int>>>);
  CHECK(std::ranges::view<generator<const std::string&>>);
}

TEST_CASE("std_generator: it can be moved, not copied, and has no default") {
  CHECK(std::movable<generator<int>>);
  CHECK(std::is_nothrow_move_constructible_v<generator<int>>);
  CHECK_FALSE(std::copy_constructible<generator<int>>);
  CHECK_FALSE(std::is_copy_assignable_v<generator<int>>);
  CHECK_FALSE(std::is_default_constructible_v<generator<int>>);
}

TEST_CASE("std_generator: an iterator can be moved, not copied, and is of C++20 only") {
  using iterator = iterator_of<generator<int>>;
  CHECK(std::input_iterator<iterator>);
  CHECK_FALSE(std::forward_iterator<iterator>);
  CHECK(std::is_nothrow_move_constructible_v<iterator>);
  CHECK(std::is_nothrow_move_assignable_v<iterator>);
  CHECK_FALSE(std::copy_constructible<iterator>);
  CHECK_FALSE(std::is_copy_assignable_v<iterator>);
  // Here krait differs: GCC 12's views, join above all, make empty iterators of what they stand on.
  CHECK(std::is_default_constructible_v<iterator>);
  CHECK_FALSE(has_iterator_category<iterator>);
  CHECK(std::same_as<decltype(std::declval<iterator&>()++), void>);
  CHECK(std::same_as<decltype(++std::declval<iterator&>()), iterator&>);
}

TEST_CASE("std_generator: the end is std::default_sentinel, also of a const generator") {
  const auto g = numbers(1);
  CHECK(std::same_as<decltype(g.end()), std::default_sentinel_t>);
  CHECK(noexcept(g.end()));
  CHECK(std::sentinel_for<std::default_sentinel_t, iterator_of<generator<int>>>);
}

TEST_CASE("std_generator: reference is T&&, T& or const T&; value_type is T") {
  using values = iterator_of<generator<std::string>>;
  CHECK(std::same_as<std::iter_reference_t<values>, std::string&&>);
  CHECK(std::same_as<std::iter_value_t<values>, std::string>);
  CHECK(std::same_as<std::iter_rvalue_reference_t<values>, std::string&&>);
  CHECK(std::same_as<std::iter_difference_t<values>, std::ptrdiff_t>);

  using references = iterator_of<generator<std::string&>>;
  CHECK(std::same_as<std::iter_reference_t<references>, std::string&>);
  CHECK(std::same_as<std::iter_value_t<references>, std::string>);
  CHECK(std::same_as<std::iter_rvalue_reference_t<references>, std::string&&>);

  using const_references = iterator_of<generator<const std::string&>>;
  CHECK(std::same_as<std::iter_reference_t<const_references>, const std::string&>);
  CHECK(std::same_as<std::iter_value_t<const_references>, std::string>);
}

TEST_CASE("std_generator: nothing runs before begin(); here begin() runs nothing either") {
  journal log;
  auto g = noting(log);
  CHECK(log.text() == "");
  auto it = g.begin();
  CHECK(log.text() == "");
  CHECK(it != g.end());
  CHECK(log.text() == "start, compute 1");
}

TEST_CASE("std_generator: reading and comparing an iterator again computes nothing") {
  journal log;
  auto g = noting(log);
  auto it = g.begin();
  int&& first = *it;
  CHECK(first == 1);
  CHECK(it != std::default_sentinel);
  CHECK(std::default_sentinel != it);
  const auto& same = it;
  int&& again = *same;
  CHECK(&again == &first);
  CHECK(log.text() == "start, compute 1");
}

TEST_CASE("std_generator: ++ moves on by one; here it does so when the item is looked at") {
  journal log;
  auto g = noting(log);
  auto it = g.begin();
  CHECK(*it == 1);
  CHECK(&++it == &it);
  CHECK(log.text() == "start, compute 1");
  CHECK(*it == 2);
  CHECK(log.text() == "start, compute 1, compute 2");
  it++;
  CHECK(*it == 3);
}

TEST_CASE("std_generator: ++ on an item that was not looked at passes it by") {
  journal log;
  auto g = noting(log);
  auto it = g.begin();
  ++it;
  CHECK(log.text() == "start, compute 1");
  ++it;
  CHECK(log.text() == "start, compute 1, compute 2");
  CHECK(*it == 3);
}

TEST_CASE("std_generator: begin() may be called only once; here again, and goes on where it stands") {
  auto g = numbers(4);
  {
    auto it = g.begin();
    CHECK(*it == 1);
  }
  auto again = g.begin();
  CHECK(*again == 2);
  CHECK(list(g) == std::vector{3, 4});
  CHECK(g.begin() == g.end());
}

TEST_CASE("std_generator: the end stays the end") {
  auto g = numbers(0);
  auto it = g.begin();
  CHECK(it == g.end());
  CHECK(it == g.end());
  CHECK(list(g).empty());
}

TEST_CASE("std_generator: an iterator that is moved goes on") {
  auto g = numbers(3);
  auto it = g.begin();
  CHECK(*it == 1);
  auto other = std::move(it);
  CHECK(*other == 1);
  ++other;
  auto last = g.begin();
  last = std::move(other);
  CHECK(*last == 2);
}

TEST_CASE("std_generator: a generator that is moved goes on, and iterators with it") {
  auto g = numbers(3);
  auto it = g.begin();
  CHECK(*it == 1);
  auto moved = std::move(g);
  ++it;
  CHECK(*it == 2);
  CHECK(list(moved) == std::vector{3});
}

TEST_CASE(
    "std_generator: what was moved from can be destroyed or assigned; here anything else is value_error") {
  auto g = numbers(3);
  {
    const auto taken = std::move(g);
  }
  CHECK(text_of(raised_by([&] { g.begin(); })) == "krait::value_error: generator was moved from");
  g = numbers(1);
  CHECK(list(g) == std::vector{1});
}

TEST_CASE("std_generator: assignment destroys what was there") {
  journal log;
  const auto open = [&](const std::string& name) -> generator<int> {
    return [&log, name](auto& yield) {
      const support::at_end finally(log, "end of " + name);
      yield(1);
      yield(2);
    };
  };
  auto g = open("a");
  CHECK(g.next() == 1);
  auto other = open("b");
  CHECK(other.next() == 1);
  g = std::move(other);
  CHECK(log.text() == "end of a");
  CHECK(g.next() == 2);
  g.close();
  CHECK(log.text() == "end of a, end of b");
}

TEST_CASE("std_generator: a yield of an lvalue copies it, one of an rvalue does not") {
  tally all;
  counted kept(all, 1);
  generator<counted> g = [&](auto& yield) {
    yield(kept);
    yield(counted(all, 2));
    yield(std::move(kept));
  };
  auto it = g.begin();
  counted&& first = *it;
  CHECK(first.value == 1);
  CHECK(&first != &kept);
  CHECK(all.copies == 1);
  CHECK(all.moves == 0);
  ++it;
  CHECK((*it).value == 2);
  CHECK(all.copies == 1);
  CHECK(all.moves == 0);
  ++it;
  CHECK((*it).value == 1);
  CHECK(all.copies == 1);
}

TEST_CASE("std_generator: a loop may move from what a generator of values yields") {
  tally all;
  generator<counted> g = [&](auto& yield) { yield(counted(all, 7)); };
  std::vector<counted> taken;
  for (counted&& item : g) {
    taken.push_back(std::move(item));
  }
  CHECK(taken.at(0).value == 7);
  CHECK(all.copies == 0);
  CHECK(all.live == 1);
}

TEST_CASE("std_generator: generators of references yield the object itself") {
  tally all;
  counted object(all, 1);
  SUBCASE("T&") {
    generator<counted&> g = [&](auto& yield) { yield(object); };
    counted& item = g.next();
    CHECK(&item == &object);
    item.value = 2;
    CHECK(object.value == 2);
  }
  SUBCASE("const T&, of an lvalue") {
    generator<const counted&> g = [&](auto& yield) { yield(object); };
    CHECK(&*g.begin() == &object);
  }
  SUBCASE("const T&, of an rvalue") {
    generator<const counted&> g = [&](auto& yield) { yield(counted(all, 3)); };
    CHECK((*g.begin()).value == 3);
    g.close();
  }
  CHECK(all.copies == 0);
  CHECK(all.moves == 0);
  CHECK(all.live == 1);
}

TEST_CASE("std_generator: a yielded object lives until the generator is resumed") {
  tally all;
  generator<counted> g = [&](auto& yield) {
    yield(counted(all, 1));
    yield(counted(all, 2));
  };
  auto it = g.begin();
  CHECK((*it).value == 1);
  CHECK(all.live == 1);
  ++it;
  CHECK((*it).value == 2);
  CHECK(all.live == 1);
  ++it;
  CHECK(it == g.end());
  CHECK(all.live == 0);
}

TEST_CASE("std_generator: items may be of a type that can only be moved") {
  generator<std::unique_ptr<int>> g = [](auto& yield) {
    yield(std::make_unique<int>(1));
    auto two = std::make_unique<int>(2);
    yield(std::move(two));
  };
  int sum = 0;
  for (std::unique_ptr<int>&& item : g) {
    const std::unique_ptr<int> mine = std::move(item);
    sum = 10 * sum + *mine;
  }
  CHECK(sum == 12);
}

TEST_CASE("std_generator: algorithms of std::ranges work on it") {
  auto copied = numbers(4);
  std::vector<int> all;
  std::ranges::copy(copied, std::back_inserter(all));
  CHECK(all == std::vector{1, 2, 3, 4});

  auto counted_numbers = numbers(10);
  CHECK(std::ranges::count_if(counted_numbers, [](int n) { return n % 2 == 0; }) == 5);

  auto searched = numbers(10);
  CHECK(*std::ranges::find(searched, 4) == 4);
  CHECK(searched.next() == 5);

  auto measured = numbers(6);
  CHECK(std::ranges::distance(measured) == 6);

  int sum = 0;
  std::ranges::for_each(numbers(4), [&](int n) { sum += n; });
  CHECK(sum == 10);
}

// clang 14 cannot compile the views of libstdc++ 12.
#if !defined(__clang__) || __clang_major__ >= 16
TEST_CASE("std_generator: it is the start of a pipeline of views") {
  std::vector<int> all;
  for (const int n : numbers(10) | std::views::filter([](int i) { return i % 2 == 1; }) |
                         std::views::transform([](int i) { return i * i; }) | std::views::drop(1)) {
    all.push_back(n);
  }
  CHECK(all == std::vector{9, 25, 49, 81});
}

TEST_CASE("std_generator: a pipeline stores the generator that is moved in") {
  journal log;
  {
    auto squares = noting(log) | std::views::transform([](int i) { return i * i; });
    CHECK(log.text() == "");
    auto it = squares.begin();
    CHECK(*it == 1);
    ++it;
    CHECK(*it == 4);
  }
  CHECK(log.text() == "start, compute 1, compute 2");
}

TEST_CASE("std_generator: take(n) computes an item too many; here it does not") {
  journal log;
  std::vector<int> all;
  for (const int n : noting(log) | std::views::take(3)) {
    all.push_back(n);
  }
  CHECK(all == std::vector{1, 2, 3});
  CHECK(log.text() == "start, compute 1, compute 2, compute 3");
}
#endif
