// SPDX-License-Identifier: BSL-1.0
#include <doctest/doctest.h>

#include <algorithm>
#include <iterator>
#include <list>
#include <memory>
#include <optional>
#include <ranges>
#include <stdexcept>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include <krait/krait.hpp>

#include "support/probes.hpp"

// libc++ 14 has neither the algorithms nor the views that this file is about.
#if !defined(_LIBCPP_VERSION) || _LIBCPP_VERSION >= 16000

namespace {

using krait::generator;
using numbers = std::vector<int>;

template <class G, class Reference, class Value>
constexpr bool is_input_view_of =
    std::ranges::input_range<G> && std::ranges::view<G> && std::input_iterator<std::ranges::iterator_t<G>> &&
    !std::ranges::forward_range<G> &&
    std::sentinel_for<std::default_sentinel_t, std::ranges::iterator_t<G>> &&
    std::is_same_v<std::ranges::range_reference_t<G>, Reference> &&
    std::is_same_v<std::ranges::range_value_t<G>, Value>;

static_assert(is_input_view_of<generator<int>, int&&, int>);
static_assert(is_input_view_of<generator<int&>, int&, int>);
static_assert(is_input_view_of<generator<const int&>, const int&, int>);
static_assert(is_input_view_of<generator<std::string>, std::string&&, std::string>);
static_assert(
    is_input_view_of<generator<std::unique_ptr<int>>, std::unique_ptr<int>&&, std::unique_ptr<int>>);
static_assert(is_input_view_of<generator<int, std::optional<int>, std::string>, int&&, int>);
static_assert(!std::ranges::range<generator<void>>);
// A loop would fail at the second item, as it sends None.
static_assert(!std::ranges::range<generator<int, int>>);
static_assert(!std::ranges::range<generator<int, std::string, std::string>>);
static_assert(!std::ranges::range<krait::awaitable_generator<int, int>>);
static_assert(!std::ranges::range<const generator<int>>);
static_assert(!std::ranges::common_range<generator<int>>);
static_assert(!std::ranges::sized_range<generator<int>>);
static_assert(!std::copyable<std::ranges::iterator_t<generator<int>>>);
static_assert(std::default_initializable<std::ranges::iterator_t<generator<int>>>);
static_assert(std::is_nothrow_move_constructible_v<std::ranges::iterator_t<generator<int>>>);
static_assert(std::is_nothrow_move_assignable_v<std::ranges::iterator_t<generator<int>>>);
static_assert(std::is_same_v<decltype(std::declval<generator<int>&>().end()), std::default_sentinel_t>);

generator<int> fibonacci(int count, int* computed) {
  return [=](auto& yield) {
    for (int i = 0, a = 1, b = 1; i < count; ++i) {
      ++*computed;
      yield(a);
      a = std::exchange(b, a + b);
    }
  };
}

generator<int> counting(int from = 0) {
  return [from](auto& yield) {
    for (int i = from;; ++i) {
      yield(i);
    }
  };
}

/// What is piped to it, by any reference, is added up.
struct sum_of {};
template <class Range>
int operator|(Range&& range, sum_of) {
  int sum = 0;
  for (const int item : range) {
    sum += item;
  }
  return sum;
}

template <class Range, class Adaptor>
concept pipes = requires(Range&& range, Adaptor adaptor) { static_cast<Range&&>(range) | adaptor; };

generator<int> up_to(int end) {
  return [end](auto& yield) {
    for (int i = 0; i < end; ++i) {
      yield(i);
    }
  };
}

[[maybe_unused]] generator<generator<int>> triangle() {
  return [](auto& yield) {
    for (int i = 1; i <= 3; ++i) {
      yield(up_to(i));
    }
  };
}

template <class Range>
numbers collect(Range&& range) {
  numbers items;
  for (auto&& item : range) {
    items.push_back(item);
  }
  return items;
}

}  // namespace

TEST_CASE("generators go through the algorithms of the standard library") {
  SUBCASE("copy") {
    numbers items;
    std::ranges::copy(up_to(4), std::back_inserter(items));
    CHECK(items == numbers{0, 1, 2, 3});
  }
  SUBCASE("for_each") {
    int sum = 0;
    std::ranges::for_each(up_to(5), [&sum](int i) { sum += i; });
    CHECK(sum == 10);
  }
  SUBCASE("find stops where it found, and the item is consumed") {
    generator<int> g = counting();
    CHECK(*std::ranges::find(g, 5) == 5);
    CHECK(g.next() == 6);
  }
  SUBCASE("count_if") {
    CHECK(std::ranges::count_if(up_to(10), [](int i) { return i % 3 == 0; }) == 4);
  }
  SUBCASE("equal") {
    CHECK(std::ranges::equal(up_to(3), numbers{0, 1, 2}));
  }
  SUBCASE("transform of two") {
    numbers items;
    std::ranges::transform(up_to(3), counting(10), std::back_inserter(items), std::plus<>());
    CHECK(items == numbers{10, 12, 14});
  }
}

TEST_CASE("a loop that was broken off is continued by whatever comes next") {
  generator<int> g = counting(1);
  for (const int item : g) {
    if (item == 3) {
      break;
    }
  }
  CHECK(g.suspended());
  SUBCASE("another loop") {
    int expected = 4;
    for (const int item : g) {
      CHECK(item == expected++);
      if (expected == 7) {
        break;
      }
    }
    CHECK(g.next() == 7);
  }
  SUBCASE("next") {
    CHECK(g.next() == 4);
    CHECK(next(g) == 5);
    CHECK(*g.resume() == 6);
  }
  SUBCASE("after a move") {
    generator<int> moved = std::move(g);
    CHECK(*moved.begin() == 4);
  }
}

TEST_CASE("a loop over a generator that has ended does nothing") {
  generator<int> g = up_to(2);
  CHECK(collect(g) == numbers{0, 1});
  CHECK(collect(g).empty());
  CHECK(g.done());
}

TEST_CASE("a loop over an empty generator does nothing") {
  generator<int> g = [](auto&) {};
  CHECK(collect(g).empty());
  CHECK(g.done());
}

TEST_CASE("a loop goes on after what next has taken") {
  generator<int> g = up_to(4);
  CHECK(g.next() == 0);
  CHECK(collect(g) == numbers{1, 2, 3});
}

TEST_CASE("a loop over a temporary closes it, also when it is broken off") {
  bool closed = false;
  const auto watched = [&closed] {
    return generator<int>([&closed](auto& yield) {
      const probes::at_exit note([&closed] { closed = true; });
      yield(1);
      yield(2);
    });
  };
  for (const int item : watched()) {
    CHECK(item == 1);
    CHECK_FALSE(closed);
    break;
  }
  CHECK(closed);
}

TEST_CASE("an iterator runs the body when it is compared or read, once, and at no other time") {
  int computed = 0;
  generator<int> g = fibonacci(3, &computed);
  auto it = g.begin();
  CHECK(computed == 0);
  CHECK(g.state() == krait::generator_state::created);
  CHECK(it != g.end());
  CHECK(computed == 1);
  CHECK(it != std::default_sentinel);
  CHECK(*it == 1);
  CHECK(*it == 1);
  CHECK(computed == 1);
  ++it;
  CHECK(computed == 1);
  CHECK(*it == 1);
  CHECK(computed == 2);
  it++;
  CHECK(computed == 2);
  auto moved = std::move(it);
  CHECK(computed == 2);
  CHECK(*moved == 2);
  CHECK(computed == 3);
  CHECK(g.suspended());
  ++moved;
  CHECK(g.suspended());
  CHECK(moved == g.end());
  CHECK(g.done());
  CHECK(moved == g.end());
}

TEST_CASE("an increment skips an item that was not looked at") {
  generator<int> g = counting();
  auto it = g.begin();
  ++it;
  ++it;
  ++it;
  CHECK(*it == 3);
}

TEST_CASE("an iterator outlives the moving of its generator") {
  generator<int> g = counting();
  auto it = g.begin();
  CHECK(*it == 0);
  generator<int> moved = std::move(g);
  ++it;
  CHECK(*it == 1);
  CHECK(moved.next() == 2);
}

TEST_CASE("an iterator of no generator is at its end, and may become one of a generator") {
  std::ranges::iterator_t<generator<int>> it;
  CHECK(it == std::default_sentinel);
  generator<int> g = counting(7);
  it = g.begin();
  CHECK(it != std::default_sentinel);
  CHECK(*it == 7);
}

TEST_CASE("iter calls a function until it returns the sentinel") {
  int calls = 0;
  const auto count = [&calls] { return ++calls; };
  SUBCASE("a loop") {
    CHECK(collect(krait::iter(count, 4)) == numbers{1, 2, 3});
    CHECK(calls == 4);
  }
  SUBCASE("no call too many, and the end is kept") {
    auto numbers_before_three = krait::iter(count, 3);
    auto it = numbers_before_three.begin();
    CHECK(calls == 0);
    CHECK(*it == 1);
    CHECK(*it == 1);
    ++it;
    CHECK(calls == 1);
    CHECK(*it == 2);
    ++it;
    CHECK(it == std::default_sentinel);
    CHECK(numbers_before_three.begin() == std::default_sentinel);
    CHECK(calls == 3);
  }
  SUBCASE("a stop_iteration ends it, and for good (CPython: calliter_iternext)") {
    auto ended = krait::iter(
        [&calls]() -> int {
          if (++calls == 3) {
            throw krait::stop_iteration<>();
          }
          return calls;
        },
        10);
    CHECK(collect(ended) == numbers{1, 2});
    CHECK(collect(ended).empty());
    CHECK(calls == 3);
  }
  SUBCASE("what else is thrown comes out, and does not end it") {
    auto failing =
        krait::iter([&calls]() -> int { return ++calls == 2 ? throw std::runtime_error("call") : calls; }, 4);
    CHECK_THROWS_WITH_AS(collect(failing), "call", std::runtime_error);
    CHECK(collect(failing) == numbers{3});
  }
  SUBCASE("references") {
    std::string texts[] = {"a", "b", ""};
    std::string* next = texts;
    for (std::string& text : krait::iter([&]() -> std::string& { return *next++; }, "")) {
      text += '!';
    }
    CHECK(texts[0] == "a!");
    CHECK(texts[1] == "b!");
    CHECK(next == texts + 3);
  }
  SUBCASE("what can only be moved") {
    numbers items;
    for (auto& box :
         krait::iter([&] { return ++calls < 3 ? std::make_unique<int>(calls) : nullptr; }, nullptr)) {
      const std::unique_ptr<int> taken = std::move(box);
      items.push_back(*taken);
    }
    CHECK(items == numbers{1, 2});
  }
  SUBCASE("moved, and moved from") {
    auto first = krait::iter(count, 3);
    static_assert(std::ranges::view<decltype(first)>);
    auto second = krait::iter(count, 0);
    second = std::move(first);
    CHECK(collect(second) == numbers{1, 2});
    CHECK_THROWS_AS(static_cast<void>(first.begin()), krait::value_error);
  }
}

TEST_CASE("the function of an iter may yield, as it runs on the stack of whoever loops") {
  generator<int, std::optional<int>> g = [](auto& yield) {
    int sum = 0;
    for (const int sent : krait::iter([&] { return yield(sum).value_or(0); }, 0)) {
      sum += sent;
    }
    yield(-sum);
  };
  CHECK(g.next() == 0);
  CHECK(g.send(5) == 5);
  CHECK(g.send(6) == 11);
  CHECK(g.next() == -11);
}

TEST_CASE("an iter can be delegated to") {
  generator<int> g = [n = 0](auto& yield) mutable { yield.from(krait::iter([&n] { return ++n; }, 4)); };
  CHECK(collect(g) == numbers{1, 2, 3});
}

TEST_CASE("what leaves the body comes out of the loop") {
  const auto body = [](auto& yield) {
    yield(1);
    yield(2);
    throw std::runtime_error("in the body");
  };
  numbers items;
  generator<int> g = body;
  SUBCASE("a loop") {
    const auto loop = [&] {
      for (const int item : g) {
        items.push_back(item);
      }
    };
    CHECK_THROWS_WITH_AS(loop(), "in the body", std::runtime_error);
  }
  SUBCASE("an algorithm") {
    CHECK_THROWS_WITH_AS(std::ranges::copy(g, std::back_inserter(items)), "in the body", std::runtime_error);
  }
  CHECK(items == numbers{1, 2});
  CHECK(g.done());
  CHECK(collect(g).empty());
}

TEST_CASE("an exception in the loop does not reach the generator") {
  generator<int> g = counting();
  const auto loop = [&g] {
    for (const int item : g) {
      if (item == 2) {
        throw std::runtime_error("in the loop");
      }
    }
  };
  CHECK_THROWS_WITH_AS(loop(), "in the loop", std::runtime_error);
  CHECK(g.suspended());
  CHECK(g.next() == 3);
}

namespace {

generator<std::unique_ptr<int>> boxes() {
  return [](auto& yield) {
    for (int i = 0; i < 4; ++i) {
      yield(std::make_unique<int>(i));
    }
  };
}

}  // namespace

TEST_CASE("move-only items go through loops and algorithms") {
  std::vector<std::unique_ptr<int>> kept;
  SUBCASE("a loop by value") {
    for (std::unique_ptr<int> box : boxes()) {
      kept.push_back(std::move(box));
    }
  }
  SUBCASE("a loop by reference") {
    for (auto&& box : boxes()) {
      static_assert(std::is_same_v<decltype(box), std::unique_ptr<int>&&>);
      kept.push_back(std::move(box));
    }
  }
  SUBCASE("an algorithm") {
    std::ranges::move(boxes(), std::back_inserter(kept));
  }
  REQUIRE(kept.size() == 4);
  CHECK(*kept.back() == 3);
}

TEST_CASE("a loop over references changes what they refer to") {
  numbers items{1, 2, 3};
  generator<int&> g = [&items](auto& yield) {
    for (int& item : items) {
      yield(item);
    }
  };
  for (int& item : g) {
    item *= 2;
  }
  CHECK(items == numbers{2, 4, 6});
}

TEST_CASE("an item that the loop changes is changed in the body") {
  std::vector<std::string> seen;
  generator<std::string> g = [&seen](auto& yield) {
    for (int i = 0; i < 2; ++i) {
      std::string item = "item";
      yield(std::move(item));
      seen.push_back(item);
    }
  };
  for (std::string&& item : g) {
    item += '!';
  }
  CHECK(seen.size() == 2);
}

TEST_CASE("a delegation takes any range") {
  const auto items_of = [](auto delegate) {
    return collect(generator<int>([delegate](auto& yield) {
      yield(-1);
      delegate(yield);
      yield(-2);
    }));
  };
  SUBCASE("a vector") {
    CHECK(items_of([](auto& yield) { yield.from(numbers{1, 2}); }) == numbers{-1, 1, 2, -2});
  }
  SUBCASE("an empty vector") {
    CHECK(items_of([](auto& yield) { yield.from(numbers{}); }) == numbers{-1, -2});
  }
  SUBCASE("an array") {
    const int array[] = {3, 4, 5};
    CHECK(items_of([&array](auto& yield) { yield.from(array); }) == numbers{-1, 3, 4, 5, -2});
  }
  SUBCASE("elements that convert") {
    CHECK(items_of([](auto& yield) { yield.from(std::list<short>{1, 2}); }) == numbers{-1, 1, 2, -2});
  }
}

TEST_CASE("the elements of a container that is given away are moved out of it") {
  std::vector<std::unique_ptr<int>> boxes;
  for (int i = 0; i < 3; ++i) {
    boxes.push_back(std::make_unique<int>(i));
  }
  generator<std::unique_ptr<int>> g = [&boxes](auto& yield) { yield.from(std::move(boxes)); };
  for (int i = 0; i < 3; ++i) {
    CHECK(*g.next() == i);
  }
  CHECK_THROWS_AS(g.next(), krait::stop_iteration<>);
}

TEST_CASE("the elements of a container that is kept stay as they are") {
  const std::vector<std::string> constant{"a", "b"};
  std::vector<std::string> kept{"c", "d"};
  generator<std::string> g = [&](auto& yield) {
    yield.from(constant);
    yield.from(kept);
  };
  for (std::string&& item : g) {
    const std::string taken = std::move(item);
    CHECK(taken.size() == 1);
  }
  CHECK(constant == std::vector<std::string>{"a", "b"});
  CHECK(kept == std::vector<std::string>{"c", "d"});
}

TEST_CASE("a delegation of references passes on the very elements") {
  std::vector<int> items{1, 2, 3};
  generator<int&> g = [&items](auto& yield) { yield.from(items); };
  for (int& item : g) {
    item = -item;
  }
  CHECK(items == numbers{-1, -2, -3});
  generator<const int&> constant = [&items](auto& yield) { yield.from(std::as_const(items)); };
  CHECK(&constant.next() == &items[0]);
  CHECK(&constant.next() == &items[1]);
}

TEST_CASE("a value sent to a range is an error where it delegates, and None is not") {
  generator<int, std::optional<int>> g = [](auto& yield) {
    try {
      yield.from(numbers{1, 2, 3});
    } catch (const krait::attribute_error& e) {
      CHECK(std::string(e.what()).ends_with("' object has no attribute 'send'"));
      yield(-1);
    }
  };
  CHECK(g.next() == 1);
  CHECK(g.send(std::nullopt) == 2);
  CHECK(g.send(5) == -1);
}

TEST_CASE("a generator may be made of another, which it owns") {
  const auto squares = [](generator<int> source) {
    return generator<int>([source = std::move(source)](auto& yield) mutable {
      for (const int item : source) {
        yield(item * item);
      }
    });
  };
  CHECK(collect(squares(squares(up_to(4)))) == numbers{0, 1, 16, 81});
}

// Clang before 16 cannot compile libstdc++'s views, not even over a vector.
#if !defined(__clang__) || __clang_major__ >= 16

TEST_CASE("taking seven items computes exactly seven") {
  int computed = 0;
  CHECK(collect(fibonacci(100, &computed) | std::views::take(7)) == numbers{1, 1, 2, 3, 5, 8, 13});
  CHECK(computed == 7);
}

TEST_CASE("taking as many items as there are does not ask for one more") {
  bool ended = false;
  generator<int> g = [&ended](auto& yield) {
    yield(1);
    yield(2);
    ended = true;
  };
  CHECK(collect(std::ranges::ref_view(g) | std::views::take(2)) == numbers{1, 2});
  CHECK_FALSE(ended);
  CHECK(collect(g).empty());
  CHECK(ended);
}

TEST_CASE("taking none computes none") {
  int computed = 0;
  CHECK(collect(fibonacci(100, &computed) | std::views::take(0)).empty());
  CHECK(computed == 0);
}

TEST_CASE("generators go through the views of the standard library") {
  SUBCASE("drop") {
    CHECK(collect(up_to(6) | std::views::drop(4)) == numbers{4, 5});
  }
  SUBCASE("drop more than there are") {
    CHECK(collect(up_to(3) | std::views::drop(4)).empty());
  }
  SUBCASE("filter") {
    CHECK(collect(up_to(7) | std::views::filter([](int i) { return i % 3 == 0; })) == numbers{0, 3, 6});
  }
  SUBCASE("transform") {
    CHECK(collect(up_to(4) | std::views::transform([](int i) { return i * i; })) == numbers{0, 1, 4, 9});
  }
  SUBCASE("take_while") {
    CHECK(collect(counting() | std::views::take_while([](int i) { return i < 4; })) == numbers{0, 1, 2, 3});
  }
  SUBCASE("drop_while") {
    CHECK(collect(up_to(6) | std::views::drop_while([](int i) { return i < 4; })) == numbers{4, 5});
  }
  SUBCASE("several in a row") {
    CHECK(collect(counting() | std::views::filter([](int i) { return i % 2 == 1; }) |
                  std::views::transform([](int i) { return i * 10; }) | std::views::drop(1) |
                  std::views::take(3)) == numbers{30, 50, 70});
  }
  SUBCASE("all") {
    CHECK(collect(up_to(3) | std::views::all) == numbers{0, 1, 2});
  }
  SUBCASE("join of generators") {
    CHECK(collect(triangle() | std::views::join) == numbers{0, 0, 1, 0, 1, 2});
  }
  SUBCASE("join of generators of references") {
    numbers source{1, 2};
    generator<generator<int&>> twice = [&source](auto& yield) {
      for (int i = 0; i < 2; ++i) {
        yield(generator<int&>([&source](auto& inner) { inner.from(source); }));
      }
    };
    for (int& item : std::move(twice) | std::views::join) {
      item *= 10;
    }
    CHECK(source == numbers{100, 200});
  }
  SUBCASE("join of containers") {
    generator<numbers> rows = [](auto& yield) {
      yield({1, 2});
      yield({});
      yield({3});
    };
    CHECK(collect(std::move(rows) | std::views::join) == numbers{1, 2, 3});
  }
  SUBCASE("join of views over generators, which a container's elements are made to") {
    const numbers ends{2, 0, 3};
    CHECK(collect(ends | std::views::transform(up_to) | std::views::join) == numbers{0, 1, 0, 1, 2});
  }
  SUBCASE("join, and on") {
    CHECK(collect(triangle() | std::views::join | std::views::filter([](int i) { return i > 0; }) |
                  std::views::take(2)) == numbers{1, 1});
  }
  SUBCASE("lazy_split") {
    std::vector<numbers> parts;
    for (auto part : up_to(6) | std::views::lazy_split(3)) {
      parts.push_back(collect(part));
    }
    CHECK(parts == std::vector<numbers>{{0, 1, 2}, {4, 5}});
  }
  SUBCASE("elements, keys and values") {
    const auto pairs = [] {
      return generator<std::pair<int, int>>([](auto& yield) {
        yield({1, 2});
        yield({3, 4});
      });
    };
    CHECK(collect(pairs() | std::views::elements<1>) == numbers{2, 4});
    CHECK(collect(pairs() | std::views::keys) == numbers{1, 3});
    CHECK(collect(pairs() | std::views::values) == numbers{2, 4});
  }
  SUBCASE("counted and subrange, which take iterators") {
    generator<int> g = counting();
    CHECK(collect(std::views::counted(g.begin(), 3)) == numbers{0, 1, 2});
    generator<int> three = up_to(3);
    CHECK(collect(std::ranges::subrange(three.begin(), three.end())) == numbers{0, 1, 2});
  }
}

TEST_CASE("an adaptor takes over a generator that is given away, and a view of one that is kept") {
  static_assert(pipes<generator<int>, decltype(std::views::take(1))>);
  static_assert(!pipes<generator<int>&, decltype(std::views::take(1))>);
  static_assert(!pipes<const generator<int>&, decltype(std::views::take(1))>);
  static_assert(pipes<std::ranges::ref_view<generator<int>>, decltype(std::views::take(1))>);
  generator<int> g = counting();
  CHECK(collect(std::ranges::ref_view(g) | std::views::take(2)) == numbers{0, 1});
  CHECK(collect(std::ranges::ref_view(g) | std::views::drop(1) | std::views::take(2)) == numbers{3, 4});
  generator<generator<int>> rows = triangle();
  CHECK(collect(std::ranges::ref_view(rows) | std::views::join) == numbers{0, 0, 1, 0, 1, 2});
  CHECK(collect(std::move(g) | std::views::take(1)) == numbers{5});
}

TEST_CASE("views that want to look at an item twice do not take generators") {
  static_assert(!pipes<generator<int>, decltype(std::views::reverse)>);
  static_assert(!pipes<generator<int>, decltype(std::views::common)>);
  static_assert(!pipes<generator<int>, decltype(std::views::split(1))>);
}

TEST_CASE("a pipe of one's own may take a generator by reference") {
  generator<int> g = up_to(4);
  CHECK((g | sum_of{}) == 6);
}

TEST_CASE("a view goes on after a loop that was broken off, and leaves the rest") {
  generator<int> g = counting(1);
  for (const int item : g) {
    if (item == 3) {
      break;
    }
  }
  CHECK(collect(std::ranges::ref_view(g) | std::views::take(3)) == numbers{4, 5, 6});
  CHECK(g.next() == 7);
}

TEST_CASE("what leaves the body comes out of a loop over a view") {
  generator<int> g = [](auto& yield) {
    yield(1);
    throw std::runtime_error("in the body");
  };
  const auto loop = [&g] {
    collect(std::ranges::ref_view(g) | std::views::transform([](int i) { return i; }));
  };
  CHECK_THROWS_WITH_AS(loop(), "in the body", std::runtime_error);
  CHECK(g.done());
}

TEST_CASE("move-only items go through views") {
  numbers items;
  for (auto&& box : boxes() | std::views::drop(1) | std::views::transform([](std::unique_ptr<int> b) {
                      *b *= 10;
                      return b;
                    }) | std::views::take(2)) {
    const std::unique_ptr<int> kept = std::move(box);
    items.push_back(*kept);
  }
  CHECK(items == numbers{10, 20});
}

TEST_CASE("a delegation takes views") {
  const auto items_of = [](auto delegate) {
    return collect(generator<int>([delegate](auto& yield) {
      delegate(yield);
      yield(-1);
    }));
  };
  SUBCASE("an iota") {
    CHECK(items_of([](auto& yield) { yield.from(std::views::iota(1, 4)); }) == numbers{1, 2, 3, -1});
  }
  SUBCASE("views over a container") {
    const numbers source{1, 2, 3, 4, 5, 6};
    CHECK(items_of([&source](auto& yield) {
            yield.from(source | std::views::filter([](int i) { return i % 2 == 0; }) |
                       std::views::transform([](int i) { return i * i; }));
          }) == numbers{4, 16, 36, -1});
  }
  SUBCASE("views over a generator") {
    CHECK(items_of([](auto& yield) { yield.from(counting(5) | std::views::take(2)); }) == numbers{5, 6, -1});
  }
}

TEST_CASE("a range is read lazily by the delegation") {
  int read = 0;
  generator<int> g = [&read](auto& yield) {
    yield.from(std::views::iota(0) | std::views::transform([&read](int i) {
                 ++read;
                 return i;
               }));
  };
  CHECK(g.next() == 0);
  CHECK(read == 1);
  CHECK(g.next() == 1);
  CHECK(read == 2);
  CHECK(g.yielding_from());
  g.close();
  CHECK(read == 2);
}

TEST_CASE("a view that is given away does not give its elements away") {
  std::vector<std::string> kept{"a", "b"};
  generator<std::string> g = [&kept](auto& yield) { yield.from(std::views::all(kept)); };
  CHECK(g.next() == "a");
  CHECK(g.next() == "b");
  CHECK(kept == std::vector<std::string>{"a", "b"});
}

TEST_CASE("what is thrown by a range comes out of the delegation, and what is thrown in ends it") {
  SUBCASE("by the range") {
    generator<int> g = [](auto& yield) {
      try {
        yield.from(std::views::iota(0) | std::views::transform([](int i) {
                     if (i == 2) {
                       throw std::runtime_error("by the range");
                     }
                     return i;
                   }));
      } catch (const std::exception&) {
        CHECK(probes::handled() == "by the range");
        yield(-1);
      }
    };
    CHECK(collect(g) == numbers{0, 1, -1});
  }
  SUBCASE("thrown in") {
    generator<int> g = [](auto& yield) {
      try {
        yield.from(std::views::iota(0));
      } catch (int thrown) {
        yield(thrown);
      }
    };
    CHECK(g.next() == 0);
    CHECK(g.throw_(7) == 7);
    CHECK_FALSE(g.yielding_from());
  }
  SUBCASE("closed") {
    probes::tally elements;
    generator<int> g = [&elements](auto& yield) {
      const probes::counted local(elements);
      yield.from(std::views::iota(0));
    };
    CHECK(g.next() == 0);
    g.close();
    CHECK(elements.live == 0);
  }
}

#endif

#endif
