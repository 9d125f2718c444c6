// SPDX-License-Identifier: BSL-1.0
#include <doctest/doctest.h>

#include <exception>
#include <functional>
#include <map>
#include <optional>
#include <stdexcept>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include <krait/krait.hpp>

#include "coroutines.hpp"
#include "support/support.hpp"

// CPython's test_coroutines.py: CoroutineTest, on what can be awaited, and what comes of it.

namespace {

using coroutines::nop;
using coroutines::outcome;
using coroutines::run;
using coroutines::run_through_await;
using coroutines::yielding_from;
using coroutines::zero_division_error;
using krait::awaitable;
using krait::coroutine;

using none = std::monostate;
using integer = coroutine<int, void, int>;

integer answer() {
  return [](auto&) { return 42; };
}

/// A coroutine that returns what it awaits.
template <class Return, class MakeAwaitable>
coroutine<int, void, Return> returning_awaited(MakeAwaitable make) {
  return [make](auto& co) { return co.await(make()); };
}

}  // namespace

TEST_CASE("coroutines::CoroutineTest.test_await_1") {
  static_assert(!awaitable<int>);
}

TEST_CASE("coroutines::CoroutineTest.test_await_2") {
  static_assert(!awaitable<std::vector<int>>);
}

TEST_CASE("coroutines::CoroutineTest.test_await_3") {
  const auto foo = []() -> coroutine<int> {
    return [](auto& co) { co.await(yielding_from<int>{{1, 2, 3}}); };
  };
  CHECK(run(foo()) == outcome<int, none>{{1, 2, 3}, {}});
  CHECK(run_through_await(foo()) == outcome<int, none>{{1, 2, 3}, {}});
}

TEST_CASE("coroutines::CoroutineTest.test_await_4") {
  CHECK(run(returning_awaited<int>(answer)) == outcome<int, int>{{}, 42});
}

TEST_CASE("coroutines::CoroutineTest.test_await_5") {
  struct awaits_nothing {
    void await() {}
  };
  static_assert(!awaitable<awaits_nothing>);
}

TEST_CASE("coroutines::CoroutineTest.test_await_6") {
  struct iterator {
    int next() { return done++ ? throw krait::stop_iteration<>() : 52; }
    int done = 0;
  };
  struct by_iterator {
    iterator await() { return {}; }
  };
  struct by_range {
    std::vector<int> await() { return {52}; }
  };
  const auto foo = [](auto awaited) -> coroutine<int> {
    return [awaited](auto& co) mutable { co.await(awaited); };
  };
  CHECK(run(foo(by_iterator())) == outcome<int, none>{{52}, {}});
  CHECK(run(foo(by_range())) == outcome<int, none>{{52}, {}});
}

TEST_CASE("coroutines::CoroutineTest.test_await_7") {
  struct by_generator {
    krait::generator<int, void, int> await() {
      return [](auto& yield) {
        yield(42);
        return 100;
      };
    }
  };
  CHECK(run(returning_awaited<int>([] { return by_generator(); })) == outcome<int, int>{{42}, 100});
}

TEST_CASE("coroutines::CoroutineTest.test_await_8") {
  struct lacks_await {};
  static_assert(!awaitable<lacks_await>);
}

TEST_CASE("coroutines::CoroutineTest.test_await_9") {
  using bar_type = integer (*)();
  const auto wrap = []() -> bar_type { return answer; };
  const std::map<char, std::function<std::function<bar_type()>()>> db = {{'b', [&] { return wrap; }}};
  struct database {
    std::function<bar_type()> b;
  } const object{wrap};

  integer foo = [&](auto& co) {
    return co.await(answer()) + co.await(wrap()()) + co.await(db.at('b')()()()) + co.await(answer()) * 1000 +
           co.await(object.b()());
  };
  integer negative = [](auto& co) { return -co.await(answer()); };
  CHECK(run(foo) == outcome<int, int>{{}, 42168});
  CHECK(run(negative) == outcome<int, int>{{}, -42});
}

TEST_CASE("coroutines::CoroutineTest.test_await_10") {
  const auto bar = []() -> coroutine<int, void, integer> { return [](auto&) { return answer(); }; };
  integer foo = [&](auto& co) { return co.await(co.await(bar())); };
  CHECK(run(foo) == outcome<int, int>{{}, 42});
}

TEST_CASE("coroutines::CoroutineTest.test_await_11") {
  const auto ident = [](std::string value) { return value; };
  const auto bar = []() -> coroutine<int, void, std::string> { return [](auto&) { return "spam"; }; };
  using pair = std::pair<std::string, std::string>;
  coroutine<int, void, std::string> as_argument = [&](auto& co) { return ident(co.await(bar())); };
  coroutine<int, void, pair> in_a_pair = [&](auto& co) { return pair(co.await(bar()), "ham"); };
  CHECK(run(as_argument) == outcome<int, std::string>{{}, "spam"});
  CHECK(run(in_a_pair) == outcome<int, pair>{{}, {"spam", "ham"}});
}

TEST_CASE("coroutines::CoroutineTest.test_await_12") {
  struct by_coroutine {
    integer await() { return answer(); }
  };
  struct by_reference {
    integer& await() { return *kept; }
    integer* kept;
  };
  static_assert(!awaitable<by_coroutine>);
  static_assert(!awaitable<by_reference>);
}

TEST_CASE("coroutines::CoroutineTest.test_await_13") {
  struct awaits_itself {
    awaits_itself& await() { return *this; }
  };
  static_assert(!awaitable<awaits_itself>);
}

TEST_CASE("coroutines::CoroutineTest.test_await_14") {
  using optional = std::optional<std::string>;
  using coro = coroutine<void, optional, optional>;
  struct wrapper {
    auto await() { return wrapped.await(); }
    coro wrapped;
  };
  struct future_like {
    krait::generator<void, optional, optional> await() {
      return [](auto& yield) { return yield(); };
    }
  };
  struct marker {};

  const auto coro1 = []() -> coro {
    return [](auto& co) {
      try {
        return co.await(future_like());
      } catch (const zero_division_error&) {
        throw marker();
      }
    };
  };
  const auto coro2 = [&]() -> coro { return [&](auto& co) { return co.await(wrapper{coro1()}); }; };

  coro c = coro2();
  c.send();
  CHECK(support::stop_value<optional>([&] { c.send("spam"); }) == optional("spam"));

  c = coro2();
  c.send();
  CHECK_THROWS_AS(c.throw_(zero_division_error()), marker);
}

TEST_CASE("coroutines::CoroutineTest.test_await_15") {
  coroutine<void> awaited = [](auto& co) { co.await(nop()); };
  awaited.send();
  coroutine<void> waiter = [&](auto& co) { co.await(awaited); };
  CHECK_THROWS_WITH_AS(waiter.send(), "coroutine is being awaited already", krait::runtime_error);
}

TEST_CASE("coroutines::CoroutineTest.test_await_16") {
  struct key_error {};
  const auto f = []() -> coroutine<int, void, std::exception_ptr> {
    return [](auto&) { return std::make_exception_ptr(krait::value_error("")); };
  };
  coroutine<int, void, std::exception_ptr> g = [&](auto& co) {
    try {
      throw key_error();
    } catch (const key_error&) {
      return co.await(f());
    }
  };
  const auto result = run(g).returned;
  CHECK(support::is_a<krait::value_error>(result));
  CHECK(support::cause_of(result) == nullptr);
}
