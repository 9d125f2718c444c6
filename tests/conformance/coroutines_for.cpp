// SPDX-License-Identifier: BSL-1.0
#include <doctest/doctest.h>

#include <array>
#include <exception>
#include <stdexcept>
#include <string>
#include <tuple>
#include <utility>
#include <variant>
#include <vector>

#include <krait/krait.hpp>

#include "coroutines.hpp"
#include "support/recorded_warnings.hpp"
#include "support/support.hpp"

// CPython's test_coroutines.py: `async for`. C++ has no `else` of a loop: a flag stands for it.

namespace {

using coroutines::outcome;
using coroutines::run;
using coroutines::yielding_from;
using coroutines::zero_division_error;
using krait::async_for;
using krait::async_generator;
using krait::async_iterable;
using krait::async_with;
using krait::coroutine;
using support::cause_of;
using support::is_a;
using support::raised_by;

using none = std::monostate;
using pair = std::pair<int, int>;

/// 100 pairs; with every tenth it waits.
struct hundred_pairs {
  hundred_pairs& aiter() {
    ++aiter_calls;
    return *this;
  }
  coroutine<int, void, pair> anext() {
    return [this](auto& co) {
      ++i;
      if (i % 10 == 0) {
        co.await(yielding_from<int>{{i * 10}});
      }
      if (i > 100) {
        throw krait::stop_async_iteration();
      }
      return pair(i, i);
    };
  }
  int& aiter_calls;
  int i = 0;
};

/// first, first + step, ... last
std::vector<int> steps(int first, int last, int step) {
  std::vector<int> all;
  for (int i = first; i <= last; i += step) {
    all.push_back(i);
  }
  return all;
}

/// What the counters of test_for_6 count with.
struct counting_manager {
  coroutine<int> aenter() {
    return [this](auto&) { i += 10000; };
  }
  coroutine<int> aexit(const std::exception_ptr&) {
    return [this](auto&) { i += 100000; };
  }
  int& i;
};
struct eleven {
  eleven& aiter() { return *this; }
  coroutine<int, void, int> anext() {
    return [this](auto&) {
      if (i > 10) {
        throw krait::stop_async_iteration();
      }
      return ++i;
    };
  }
  int i = 0;
};

/// Fails before there is anything to iterate.
struct failing_aiter {
  failing_aiter& aiter() { throw zero_division_error(); }
  coroutine<int, void, int> anext() {
    return [](auto&) { return 1; };
  }
};

coroutine<int> iterating_failing_aiter(int& cnt) {
  return [&](auto& co) {
    for ([[maybe_unused]] const int i : async_for(co, failing_aiter())) {
      cnt += 1;
    }
    cnt += 10;
  };
}

struct done {};

struct stop_async_iteration_42 : krait::stop_async_iteration {
  int value = 42;
};

async_generator<int> source() {
  return [](auto& co) { co(10); };
}

/// A loop, a list and a generator of zeros over `make_items()`, in each of which `take(item)` fails.
template <class MakeItems, class Take>
void check_stop_async_iteration_of_a_body(MakeItems make_items, Take take) {
  using ending = coroutine<void, void, std::string>;
  const auto send_to_end = [](ending co) { return support::stop_value<std::string>([&] { co.send(); }); };
  const auto check_raises_42 = [](auto call) {
    try {
      call();
    } catch (const stop_async_iteration_42& raised) {
      CHECK(raised.value == 42);
      return;
    }
    FAIL("it went on");
  };

  CHECK(send_to_end([&](auto& co) {
          check_raises_42([&] {
            for (auto& item : async_for(co, make_items())) {
              take(item);
            }
          });
          return "end";
        }) == "end");

  CHECK(send_to_end([&](auto& co) {
          check_raises_42([&] {
            std::vector<int> list;
            for (auto& item : async_for(co, make_items())) {
              take(item);
              list.push_back(0);
            }
          });
          return "end";
        }) == "end");

  CHECK(send_to_end([&](auto& co) {
          async_generator<int> gen = [&](auto& yield) {
            for (auto& item : async_for(yield, make_items())) {
              take(item);
              yield(0);
            }
          };
          auto a = gen.anext();
          const auto raised = raised_by([&] { co.await(std::move(a)); });
          CHECK(is_a<krait::runtime_error>(raised));
          CHECK(is_a<stop_async_iteration_42>(cause_of(raised)));
          check_raises_42([&] { std::rethrow_exception(cause_of(raised)); });
          return "end";
        }) == "end");
}

}  // namespace

TEST_CASE("coroutines::CoroutineTest.test_for_1") {
  int aiter_calls = 0;
  std::vector<int> buffer;
  bool to_the_end = false;
  bool after = false;

  coroutine<int> sums = [&](auto& co) {
    for (const auto& [i1, i2] : async_for(co, hundred_pairs{aiter_calls})) {
      buffer.push_back(i1 + i2);
    }
  };
  CHECK(run(sums) == outcome<int, none>{steps(100, 1000, 100), {}});
  CHECK(aiter_calls == 1);
  CHECK(buffer == steps(2, 200, 2));

  buffer.clear();
  coroutine<int> with_break = [&](auto& co) {
    to_the_end = true;
    for (const auto& i : async_for(co, hundred_pairs{aiter_calls})) {
      buffer.push_back(i.first);
      if (i.first == 20) {
        to_the_end = false;
        break;
      }
    }
    after = true;
  };
  CHECK(run(with_break) == outcome<int, none>{{100, 200}, {}});
  CHECK(aiter_calls == 2);
  CHECK(buffer == steps(1, 20, 1));
  CHECK_FALSE(to_the_end);
  CHECK(after);

  buffer.clear();
  after = false;
  coroutine<int> with_continue = [&](auto& co) {
    for (const auto& i : async_for(co, hundred_pairs{aiter_calls})) {
      if (i.first > 20) {
        continue;
      }
      buffer.push_back(i.first);
    }
    to_the_end = true;
    after = true;
  };
  CHECK(run(with_continue) == outcome<int, none>{steps(100, 1000, 100), {}});
  CHECK(aiter_calls == 3);
  CHECK(buffer == steps(1, 20, 1));
  CHECK(to_the_end);
  CHECK(after);
}

TEST_CASE("coroutines::CoroutineTest.test_for_2") {
  static_assert(async_iterable<hundred_pairs&>);
  static_assert(!async_iterable<std::tuple<int, int, int>&>);
}

TEST_CASE("coroutines::CoroutineTest.test_for_3") {
  struct lacks_anext {
    lacks_anext& aiter() { return *this; }
  };
  static_assert(!async_iterable<lacks_anext&>);
}

TEST_CASE("coroutines::CoroutineTest.test_for_4") {
  struct gives_tuples {
    gives_tuples& aiter() { return *this; }
    std::tuple<> anext() { return {}; }
  };
  static_assert(!async_iterable<gives_tuples&>);
}

TEST_CASE("coroutines::CoroutineTest.test_for_6") {
  const support::recorded_warnings warnings;
  int i = 0;

  counting_manager manager{i};
  eleven iterable;
  coroutine<int> lent = [&](auto& co) {
    async_with(co, manager, [&] {
      for ([[maybe_unused]] const int each : async_for(co, iterable)) {
        i += 1;
      }
    });
    i += 1000;
  };
  run(lent);
  CHECK(i == 111011);

  coroutine<int> twice = [&](auto& co) {
    for (int time = 0; time != 2; ++time) {
      async_with(co, counting_manager{i}, [&] {
        for ([[maybe_unused]] const int each : async_for(co, eleven())) {
          i += 1;
        }
      });
      i += 1000;
    }
  };
  run(twice);
  CHECK(i == 333033);

  coroutine<int> twice_with_else = [&](auto& co) {
    for (int time = 0; time != 2; ++time) {
      async_with(co, counting_manager{i}, [&] {
        i += 100;
        for ([[maybe_unused]] const int each : async_for(co, eleven())) {
          i += 1;
        }
        i += 10000000;
      });
      i += 1000;
    }
  };
  run(twice_with_else);
  CHECK(i == 20555255);
  CHECK(warnings.none());
}

TEST_CASE("coroutines::CoroutineTest.test_for_7") {
  int cnt = 0;
  CHECK_THROWS_AS(run(iterating_failing_aiter(cnt)), zero_division_error);
  CHECK(cnt == 0);
}

TEST_CASE("coroutines::CoroutineTest.test_for_8") {
  const support::recorded_warnings warnings;
  int cnt = 0;
  CHECK_THROWS_AS(run(iterating_failing_aiter(cnt)), zero_division_error);
  CHECK(cnt == 0);
  CHECK(warnings.none());
}

TEST_CASE("coroutines::CoroutineTest.test_for_11") {
  struct fails_to_await {
    fails_to_await& aiter() { return *this; }
    fails_to_await& anext() { return *this; }
    krait::generator<int, void, int> await() { throw zero_division_error(); }
  };
  coroutine<int> main = [](auto& co) {
    for ([[maybe_unused]] const int i : async_for(co, fails_to_await())) {
      FAIL("there is no item");
    }
  };
  CHECK_THROWS_AS(main.send(), zero_division_error);
}

TEST_CASE("coroutines::CoroutineTest.test_for_tuple") {
  struct async_array : std::array<int, 1> {
    async_array& aiter() { return *this; }
    coroutine<int, void, int> anext() {
      return [this](auto&) {
        if (i >= size()) {
          throw krait::stop_async_iteration();
        }
        return (*this)[i++];
      };
    }
    std::size_t i = 0;
  };
  std::vector<int> result;
  coroutine<int> foo = [&](auto& co) {
    for (const int i : async_for(co, async_array{{{42}}})) {
      result.push_back(i);
    }
    throw done();
  };
  CHECK_THROWS_AS(foo.send(), done);
  CHECK(result == std::vector{42});
}

TEST_CASE("coroutines::CoroutineTest.test_for_stop_iteration") {
  struct async_stop : krait::stop_iteration<int> {
    using krait::stop_iteration<int>::stop_iteration;
    async_stop& aiter() { return *this; }
    coroutine<int, void, int> anext() {
      return [this](auto&) {
        if (i != 0) {
          throw krait::stop_async_iteration();
        }
        ++i;
        return value();
      };
    }
    int i = 0;
  };
  std::vector<int> result;
  coroutine<int> foo = [&](auto& co) {
    for (const int i : async_for(co, async_stop(42))) {
      result.push_back(i);
    }
    throw done();
  };
  CHECK_THROWS_AS(foo.send(), done);
  CHECK(result == std::vector{42});
}

TEST_CASE("coroutines::CoroutineTest.test_for_assign_raising_stop_async_iteration") {
  struct bad_target {
    void operator=(int) const { throw stop_async_iteration_42(); }
  };
  check_stop_async_iteration_of_a_body(source, [](int item) { bad_target() = item; });
}

TEST_CASE("coroutines::CoroutineTest.test_for_assign_raising_stop_async_iteration_2") {
  struct bad_iterable {
    int* begin() const { throw stop_async_iteration_42(); }
    int* end() const { return nullptr; }
  };
  const auto bad_pairs = []() -> async_generator<bad_iterable> {
    return [](auto& co) { co(bad_iterable()); };
  };
  check_stop_async_iteration_of_a_body(bad_pairs, [](const bad_iterable& item) {
    for (const int i : item) {
      FAIL("an item: ", i);
    }
  });
}
