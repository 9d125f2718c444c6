// SPDX-License-Identifier: BSL-1.0
#include <doctest/doctest.h>

#include <array>
#include <cstddef>
#include <iterator>
#include <map>
#include <numeric>
#include <set>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include <krait/krait.hpp>

#include "coroutines.hpp"

// CPython's test_coroutines.py: comprehensions that await, as loops. An asynchronous generator
// expression is an asynchronous generator.

namespace {

using coroutines::outcome;
using coroutines::run;
using krait::async_for;
using krait::async_generator;
using krait::coroutine;

/// Drivers are given ints, but nothing here gives them any.
template <class Return>
using coro = coroutine<int, void, Return>;
template <class Item>
using agen = async_generator<Item, void, int>;

using ints = std::vector<int>;
using lists = std::vector<ints>;
using int_set = std::set<int>;
using int_map = std::map<int, int>;

template <class T>
coro<T> f(T value) {
  return [value = std::move(value)](auto&) mutable { return std::move(value); };
}

template <class... T>
std::array<coro<std::common_type_t<T...>>, sizeof...(T)> several(T... value) {
  return {f<std::common_type_t<T...>>(std::move(value))...};
}

template <class Items>
agen<typename Items::value_type> asynchronous(Items items) {
  return [items = std::move(items)](auto& co) {
    for (const auto& each : items) {
      co(each);
    }
  };
}

ints range(int n) {
  ints all(static_cast<std::size_t>(n));
  std::iota(all.begin(), all.end(), 0);
  return all;
}

/// [item async for item in items]
template <class Co, class Items>
auto list_of(Co& co, Items&& items) {
  using item = std::remove_cvref_t<decltype(*async_for(co, std::forward<Items>(items)).begin())>;
  std::vector<item> list;
  for (auto& each : async_for(co, std::forward<Items>(items))) {
    list.push_back(each);
  }
  return list;
}

/// Drives a coroutine that yields nothing, and returns what it returns.
template <class Return, class Body>
Return result_of(Body body) {
  auto ended = run(coro<Return>(std::move(body)));
  CHECK(ended.yielded.empty());
  return std::move(ended.returned);
}

/// Loops over those items for which `wanted` holds: to a list and a set of i + step, a map from that to
/// i + value_step, and a generator of i + step, to whose items 100 is added.
template <class Wanted>
void check_four(const ints& items, int step, int value_step, Wanted wanted, const ints& expected) {
  const auto loop = [&](auto& co, auto take) {
    for (const int i : async_for(co, asynchronous(items))) {
      if (wanted(i)) {
        take(i);
      }
    }
  };
  int_set expected_set(expected.begin(), expected.end());
  int_map expected_map;
  ints expected_of_generator;
  for (const int each : expected) {
    expected_map[each] = each - step + value_step;
    expected_of_generator.push_back(each + 100);
  }

  CHECK(result_of<ints>([&](auto& co) {
          ints list;
          loop(co, [&](int i) { list.push_back(i + step); });
          return list;
        }) == expected);
  CHECK(result_of<int_set>([&](auto& co) {
          int_set set;
          loop(co, [&](int i) { set.insert(i + step); });
          return set;
        }) == expected_set);
  CHECK(result_of<int_map>([&](auto& co) {
          int_map map;
          loop(co, [&](int i) { map[i + step] = i + value_step; });
          return map;
        }) == expected_map);
  CHECK(result_of<ints>([&](auto& co) {
          agen<int> gen = [&](auto& yield) { loop(yield, [&](int i) { yield(i + step); }); };
          ints list;
          for (const int g : async_for(co, gen)) {
            list.push_back(g + 100);
          }
          return list;
        }) == expected_of_generator);
}

}  // namespace

TEST_CASE("coroutines::CoroutineTest.test_comp_1") {
  CHECK(result_of<ints>([](auto& co) {
          ints list;
          for (auto& c : several(1, 41)) {
            list.push_back(co.await(std::move(c)));
          }
          return list;
        }) == ints{1, 41});
  CHECK(result_of<int_set>([](auto& co) {
          int_set set;
          for (auto& c : several(1, 41)) {
            set.insert(co.await(std::move(c)));
          }
          return set;
        }) == int_set{1, 41});
  using char_map = std::map<int, char>;
  CHECK(result_of<char_map>([](auto& co) {
          char_map map;
          for (auto& c : several(1, 41)) {
            map[co.await(std::move(c))] = 'a';
          }
          return map;
        }) == char_map{{1, 'a'}, {41, 'a'}});
  CHECK(result_of<int_map>([](auto& co) {
          int_map map;
          for (int i = 0; auto& c : several(1, 41)) {
            map[i++] = co.await(std::move(c));
          }
          return map;
        }) == int_map{{0, 1}, {1, 41}});
}

TEST_CASE("coroutines::CoroutineTest.test_comp_2") {
  using strings = std::vector<std::string>;
  CHECK(result_of<strings>([](auto& co) {
          strings list;
          for (auto& c : several(strings(), strings{"a", "b", "c"}, strings(), strings{"de", "fg"})) {
            for (auto& s : co.await(std::move(c))) {
              list.push_back(s);
            }
          }
          return list;
        }) == strings{"a", "b", "c", "de", "fg"});
  CHECK(result_of<int_set>([](auto& co) {
          int_set set;
          for (auto& c : several(several(ints{10, 30}, ints{20}))) {
            for (auto& s : co.await(std::move(c))) {
              for (const int d : co.await(std::move(s))) {
                set.insert(d);
              }
            }
          }
          return set;
        }) == int_set{10, 20, 30});
  CHECK(result_of<int_set>([](auto& co) {
          int_set set;
          for (auto& c : several(several(10, 20))) {
            for (auto& s : co.await(std::move(c))) {
              set.insert(co.await(std::move(s)));
            }
          }
          return set;
        }) == int_set{10, 20});
}

TEST_CASE("coroutines::CoroutineTest.test_comp_3") {
  check_four({10, 20}, 1, 2, [](int) { return true; }, {11, 21});
}

TEST_CASE("coroutines::CoroutineTest.test_comp_4") {
  check_four({10, 20}, 1, 2, [](int i) { return i > 10; }, {21});
}

TEST_CASE("coroutines::CoroutineTest.test_comp_4_2") {
  check_four(range(5), 10, 100, [](int i) { return 0 < i && i < 4; }, {11, 12, 13});
}

TEST_CASE("coroutines::CoroutineTest.test_comp_5") {
  CHECK(result_of<ints>([](auto& co) {
          ints list;
          for (const ints& pair : {ints{10, 20}, ints{30, 40}}) {
            if (pair[0] > 10) {
              for (const int i : async_for(co, asynchronous(pair))) {
                if (i > 30) {
                  list.push_back(i + 1);
                }
              }
            }
          }
          return list;
        }) == ints{41});
}

TEST_CASE("coroutines::CoroutineTest.test_comp_6") {
  CHECK(result_of<ints>([](auto& co) {
          ints list;
          for (const ints& seq : async_for(co, asynchronous(lists{{10, 20}, {30}}))) {
            for (const int i : seq) {
              list.push_back(i + 1);
            }
          }
          return list;
        }) == ints{11, 21, 31});
}

TEST_CASE("coroutines::CoroutineTest.test_comp_7") {
  const auto failing = []() -> agen<int> {
    return [](auto& co) {
      co(1);
      co(2);
      throw std::runtime_error("aaa");
    };
  };
  CHECK_THROWS_WITH_AS(result_of<ints>([&](auto& co) { return list_of(co, failing()); }), "aaa",
                       std::runtime_error);
}

TEST_CASE("coroutines::CoroutineTest.test_comp_9") {
  CHECK(result_of<ints>([](auto& co) {
          const ints l = list_of(co, asynchronous(ints{1, 2}));
          ints copy;
          for (const int i : l) {
            copy.push_back(i);
          }
          return copy;
        }) == ints{1, 2});
}

TEST_CASE("coroutines::CoroutineTest.test_nested_comp") {
  // [i + j async for i in asynciter([1, 2])]
  const auto two_more = [](auto& co, int j) {
    ints list;
    for (const int i : async_for(co, asynchronous(ints{1, 2}))) {
      list.push_back(i + j);
    }
    return list;
  };

  CHECK(result_of<lists>([&](auto& co) {
          lists outer;
          for (const int j : {10, 20}) {
            outer.push_back(two_more(co, j));
          }
          return outer;
        }) == lists{{11, 12}, {21, 22}});

  using sets = std::vector<int_set>;
  CHECK(result_of<sets>([&](auto& co) {
          sets outer;
          for (const int j : {10, 20}) {
            int_set& inner = outer.emplace_back();
            for (const int i : async_for(co, asynchronous(ints{1, 2}))) {
              inner.insert(i + j);
            }
          }
          return outer;
        }) == sets{{11, 12}, {21, 22}});

  CHECK(result_of<int_set>([&](auto& co) {
          int_set outer;
          for (const int j : {3, 5}) {
            const ints inner = list_of(co, asynchronous(range(j)));
            outer.insert(std::accumulate(inner.begin(), inner.end(), 0));
          }
          return outer;
        }) == int_set{3, 10});

  using maps = std::map<int, int_map>;
  CHECK(result_of<maps>([&](auto& co) {
          maps outer;
          for (const int j : {10, 20}) {
            for (const int i : async_for(co, asynchronous(ints{1, 2}))) {
              outer[j][i] = i + j;
            }
          }
          return outer;
        }) == maps{{10, {{1, 11}, {2, 12}}}, {20, {{1, 21}, {2, 22}}}});

  CHECK(result_of<lists>([&](auto& co) {
          agen<ints> gen = [&](auto& yield) {
            for (const int j : {10, 20}) {
              yield(two_more(yield, j));
            }
          };
          return list_of(co, gen);
        }) == lists{{11, 12}, {21, 22}});

  CHECK(result_of<ints>([&](auto& co) {
          std::vector<agen<int>> gens;
          for (const int j : {3, 5}) {
            gens.push_back(asynchronous(range(j)));
          }
          ints list;
          for (auto& g : gens) {
            for (const int x : async_for(co, g)) {
              list.push_back(x);
            }
          }
          return list;
        }) == ints{0, 1, 2, 0, 1, 2, 3, 4});

  CHECK(result_of<ints>([&](auto& co) {
          krait::generator<agen<int>> gens = [](auto& yield) {
            for (const int j : {3, 5}) {
              yield(asynchronous(range(j)));
            }
          };
          ints list;
          for (auto&& g : gens) {
            for (const int x : async_for(co, g)) {
              list.push_back(x);
            }
          }
          return list;
        }) == ints{0, 1, 2, 0, 1, 2, 3, 4});

  using cube = std::vector<lists>;
  CHECK(result_of<cube>([&](auto& co) {
          cube outer;
          for (const int k : {100, 200}) {
            lists& middle = outer.emplace_back();
            for (const int j : {10, 20}) {
              middle.push_back(two_more(co, j + k));
            }
          }
          return outer;
        }) == cube{{{111, 112}, {121, 122}}, {{211, 212}, {221, 222}}});
}

TEST_CASE("coroutines::CoroutineTest.test_call_aiter_once_in_comprehension") {
  // An iterator without an aiter() of its own.
  struct to_two {
    coro<int> anext() {
      return [this](auto&) {
        if (val == 2) {
          throw krait::stop_async_iteration();
        }
        return ++val;
      };
    }
    int val = 0;
  };
  struct iterable {
    to_two aiter() { return {}; }
  };
  CHECK(result_of<ints>([](auto& co) { return list_of(co, iterable()); }) == ints{1, 2});
  CHECK(result_of<ints>([](auto& co) {
          agen<int> ag = [](auto& yield) {
            for (const int i : async_for(yield, iterable())) {
              yield(i);
            }
          };
          return list_of(co, ag);
        }) == ints{1, 2});
}
