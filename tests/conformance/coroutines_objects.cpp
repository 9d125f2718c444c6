// SPDX-License-Identifier: BSL-1.0
#include <doctest/doctest.h>

#include <concepts>
#include <exception>
#include <optional>
#include <ranges>
#include <stdexcept>
#include <string>
#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>

#include <krait/krait.hpp>

#include "coroutines.hpp"
#include "support/recorded_warnings.hpp"
#include "support/support.hpp"

// CPython's test_coroutines.py: CoroutineTest, on coroutine objects: how they are driven, closed, asked
// and dropped.

namespace {

using coroutines::cannot_reuse;
using coroutines::nop;
using coroutines::outcome;
using coroutines::run;
using coroutines::run_through_await;
using coroutines::zero_division_error;
using krait::awaitable_generator;
using krait::coroutine;
using support::raised_by;
using support::recorded_warnings;
using support::state;
using support::text_of;

/// Can a generator with this yielder delegate to it?
template <class T, class Yielder>
concept delegable = requires(Yielder& yield, T&& object) { yield.from(std::forward<T>(object)); };

template <class T>
concept iterator_by_next = requires(T& object) { object.next(); };

using nothing = coroutine<int>;

nothing foo() {
  return [](auto&) {};
}

/// A coroutine that ends in a way that would be wrong, if it ever started.
nothing raising_stop_iteration() {
  return [](auto&) { throw krait::stop_iteration<>(); };
}

coroutine<int, void, std::string> spam() {
  return [](auto&) { return "spam"; };
}

template <class T>
coroutine<int, void, T> returning(T value) {
  return [value](auto&) { return value; };
}

/// Awaits what somebody else keeps.
coroutine<int, void, std::string> reader(coroutine<int, void, std::string>& co_read) {
  return [&](auto& co) { return co.await(co_read); };
}

}  // namespace

TEST_CASE("coroutines::CoroutineTest.test_gen_1") {
  static_assert(!krait::awaitable<krait::generator<int>>);
  static_assert(!krait::awaitable<krait::generator<int>&>);
  static_assert(!krait::awaitable<krait::generator<void, int, int>>);
}

TEST_CASE("coroutines::CoroutineTest.test_func_1") {
  using type = decltype(returning(10));
  static_assert(std::same_as<type, coroutine<int, void, int>>);
  static_assert(!std::derived_from<type, krait::generator<int, void, int>>);
  static_assert(!std::convertible_to<type, krait::generator<int, void, int>>);
  CHECK(run(returning(10)) == outcome<int, int>{{}, 10});
  CHECK(run_through_await(returning(10)) == outcome<int, int>{{}, 10});
}

TEST_CASE("coroutines::CoroutineTest.test_func_2") {
  CHECK_THROWS_WITH_AS(run(raising_stop_iteration()), "coroutine raised StopIteration", krait::runtime_error);
}

TEST_CASE("coroutines::CoroutineTest.test_func_3") {
  const recorded_warnings warnings;
  {
    nothing co = raising_stop_iteration();
    const std::string text = co.repr();
    CHECK(text.starts_with("<coroutine object raising_stop_iteration at 0x"));
    CHECK(text.ends_with(">"));
    co.close();
  }
  CHECK(warnings.none());
}

TEST_CASE("coroutines::CoroutineTest.test_func_4") {
  static_assert(!std::ranges::range<nothing&>);
  static_assert(!std::input_iterator<nothing>);
  static_assert(!iterator_by_next<nothing>);
  const recorded_warnings warnings;
  {
    nothing co = raising_stop_iteration();
    co.close();
  }
  CHECK(warnings.none());
}

TEST_CASE("coroutines::CoroutineTest.test_func_5") {
  const auto bar = []() -> awaitable_generator<int> { return [](auto& yield) { yield(1); }; };
  const auto awaiting_bar = [&]() -> nothing { return [&](auto& co) { co.await(bar()); }; };
  static_assert(!std::ranges::range<decltype(awaiting_bar())&>);
  awaiting_bar().close();

  std::vector<int> items;
  for (const int item : bar()) {
    items.push_back(item);
  }
  CHECK(items == std::vector{1});
  auto generator = bar();
  auto it = generator.begin();
  CHECK(*it == 1);
  CHECK(++it == generator.end());
}

TEST_CASE("coroutines::CoroutineTest.test_func_6") {
  const auto bar = []() -> awaitable_generator<int> {
    return [](auto& yield) {
      yield(1);
      yield(2);
    };
  };
  nothing f = [&](auto& co) { co.await(bar()); };
  CHECK(f.send() == 1);
  CHECK(f.send() == 2);
  CHECK_THROWS_AS(f.send(), krait::stop_iteration<>);
}

TEST_CASE("coroutines::CoroutineTest.test_func_7") {
  using coro = coroutine<int, void, int>;
  static_assert(!delegable<coro, krait::yielder<int>>);
  static_assert(!delegable<coro&, krait::yielder<int>>);
  static_assert(delegable<krait::generator<int, void, int>, krait::yielder<int>>);
  static_assert(delegable<awaitable_generator<int, void, int>, krait::yielder<int>>);
}

TEST_CASE("coroutines::CoroutineTest.test_func_8") {
  auto co_spam = spam();
  awaitable_generator<int, void, std::string> bar = [&](auto& yield) {
    krait::awaiter co(yield);
    return co.await(co_spam);
  };
  CHECK(coroutines::outcome_of<decltype(bar)>([&] { return bar.next(); }) ==
        outcome<int, std::string>{{}, "spam"});
  co_spam.close();
}

TEST_CASE("coroutines::CoroutineTest.test_func_9") {
  const recorded_warnings warnings;
  static_cast<void>(foo());
  CHECK(warnings.texts() == std::vector<std::string>{"coroutine 'foo' was never awaited"});
  {
    // All that was ever asked of this one is whether it can be iterated.
    [[maybe_unused]] const nothing co = foo();
    static_assert(!std::ranges::range<decltype(co)>);
  }
  CHECK(warnings.texts() ==
        std::vector<std::string>{"coroutine 'foo' was never awaited", "coroutine 'foo' was never awaited"});
}

TEST_CASE("coroutines::CoroutineTest.test_func_10") {
  using optional = std::optional<int>;
  int n = 0;
  const auto gen = [&]() -> awaitable_generator<optional, optional> {
    return [&](auto& yield) {
      struct finally {
        ~finally() { ++n; }
        int& n;
      } const at_end{n};
      try {
        const optional a = yield(std::nullopt);
        yield(*a * *a);
      } catch (const zero_division_error&) {
        n += 100;
        throw;
      }
    };
  };
  const auto awaiting = [&]() -> coroutine<optional, optional> { return [&](auto& co) { co.await(gen()); }; };
  {
    auto co = awaiting();
    auto iterator = co.await();
    CHECK(iterator.next() == std::nullopt);
    CHECK(iterator.send(10) == 100);
    CHECK(n == 0);
    iterator.close();
    CHECK(n == 1);
  }
  {
    auto co = awaiting();
    auto iterator = co.await();
    iterator.next();
    CHECK_THROWS_AS(iterator.throw_(zero_division_error()), zero_division_error);
    CHECK(n == 102);
  }
}

TEST_CASE("coroutines::CoroutineTest.test_func_11") {
  using iterator = decltype(std::declval<nothing&>().await());
  static_assert(iterator_by_next<iterator>);
  static_assert(std::same_as<iterator, krait::coroutine_wrapper<int, void, void>>);
}

TEST_CASE("coroutines::CoroutineTest.test_func_12") {
  std::optional<nothing> me;
  me.emplace([&](auto& co) {
    me->send();
    co.await(nop<int>());
  });
  CHECK_THROWS_WITH_AS(me->send(), "coroutine already executing", krait::value_error);
}

TEST_CASE("coroutines::CoroutineTest.test_func_13") {
  const recorded_warnings warnings;
  {
    coroutine<int, std::optional<std::string>> co = [](auto&) {};
    CHECK_THROWS_WITH_AS(co.send("spam"), "can't send non-None value to a just-started coroutine",
                         krait::type_error);
    co.close();
  }
  CHECK(warnings.none());
}

TEST_CASE("coroutines::CoroutineTest.test_func_14") {
  coroutine<void> c = [](auto& co) {
    try {
      co.await(nop());
    } catch (const krait::generator_exit&) {
      co.await(nop());
    }
  };
  c.send();
  CHECK_THROWS_WITH_AS(c.close(), "coroutine ignored GeneratorExit", krait::runtime_error);
}

TEST_CASE("coroutines::CoroutineTest.test_func_15") {
  auto spammer = spam();
  CHECK(support::stop_value<std::string>([&] { reader(spammer).send(); }) == "spam");
  CHECK_THROWS_WITH_AS(reader(spammer).send(), cannot_reuse, krait::runtime_error);
}

TEST_CASE("coroutines::CoroutineTest.test_func_16") {
  using spam_type = coroutine<void, void, std::string>;
  spam_type spammer = [](auto& co) {
    co.await(nop());
    return "spam";
  };
  const auto read = [&]() -> spam_type {
    return [&](auto& co) {
      co.await(nop());
      return co.await(spammer);
    };
  };
  auto first = read();
  first.send();
  first.send();
  CHECK_THROWS_WITH_AS(first.throw_(std::runtime_error("ham")), "ham", std::runtime_error);

  auto second = read();
  second.send();
  CHECK_THROWS_WITH_AS(second.send(), cannot_reuse, krait::runtime_error);
  CHECK_THROWS_WITH_AS(second.throw_(std::runtime_error("wat")), cannot_reuse, krait::runtime_error);
}

TEST_CASE("coroutines::CoroutineTest.test_func_17") {
  auto co = spam();
  CHECK(support::stop_value<std::string>([&] { co.send(); }) == "spam");
  CHECK_THROWS_WITH_AS(co.send(), cannot_reuse, krait::runtime_error);
  CHECK_THROWS_WITH_AS(co.throw_(std::runtime_error("wat")), cannot_reuse, krait::runtime_error);
  CHECK_NOTHROW(co.close());
  CHECK_NOTHROW(co.close());
}

TEST_CASE("coroutines::CoroutineTest.test_func_18") {
  auto co = spam();
  auto it = co.await();
  CHECK(support::stop_value<std::string>([&] { it.send(); }) == "spam");
  CHECK_THROWS_WITH_AS(it.send(), cannot_reuse, krait::runtime_error);
  // No stop_iteration, which whoever delegates or awaits would take for an end like any other.
  CHECK_THROWS_WITH_AS(it.next(), cannot_reuse, krait::runtime_error);
  CHECK_THROWS_WITH_AS(it.throw_(std::runtime_error("wat")), cannot_reuse, krait::runtime_error);
  CHECK_THROWS_WITH_AS(it.throw_(std::runtime_error("wat")), cannot_reuse, krait::runtime_error);
  CHECK_NOTHROW(it.close());
  CHECK_NOTHROW(it.close());
}

TEST_CASE("coroutines::CoroutineTest.test_func_19") {
  int chk = 0;
  const auto twice = [&]() -> awaitable_generator<void> {
    return [&](auto& yield) {
      yield();
      try {
        yield();
      } catch (const krait::generator_exit&) {
        ++chk;
      }
    };
  };
  coroutine<void> outer = [&](auto& co) { co.await(twice()); };
  outer.send();
  outer.send();
  CHECK(chk == 0);
  outer.close();
  CHECK(chk == 1);
  for (int i = 0; i != 3; ++i) {
    CHECK_NOTHROW(outer.close());
    CHECK(chk == 1);
  }
}

TEST_CASE("coroutines::CoroutineTest.test_coro_wrapper_send_tuple") {
  CHECK(run_through_await(returning(std::tuple(10))) == outcome<int, std::tuple<int>>{{}, std::tuple(10)});
}

TEST_CASE("coroutines::CoroutineTest.test_coro_wrapper_send_stop_iterator") {
  const auto result = run_through_await(returning(krait::stop_iteration<int>(10)));
  CHECK(result.returned.value() == 10);
}

TEST_CASE("coroutines::CoroutineTest.test_cr_await") {
  std::optional<coroutine<void>> b;
  const auto check_running = [&] {
    CHECK(b->state() == state::running);
    CHECK(b->awaiting().empty());
  };
  awaitable_generator<void> a(
      [&](auto& yield) {
        check_running();
        yield();
        check_running();
      },
      "a");
  coroutine<void> c([&](auto& co) { co.await(a); }, "c");
  b.emplace(
      [&](auto& co) {
        check_running();
        co.await(c);
        check_running();
      },
      "b");
  CHECK(b->state() == state::created);
  CHECK(b->awaiting().empty());

  b->send();
  CHECK(b->state() == state::suspended);
  CHECK(b->awaiting() == c.repr());
  CHECK(c.awaiting() == a.repr());

  CHECK_THROWS_AS(b->send(), krait::stop_iteration<>);
  CHECK(b->state() == state::closed);
  CHECK(b->awaiting().empty());
}

TEST_CASE("coroutines::CoroutineTest.test_copy") {
  static_assert(!std::copy_constructible<nothing> && !std::is_copy_assignable_v<nothing>);
  using iterator = decltype(std::declval<nothing&>().await());
  static_assert(!std::copy_constructible<iterator> && !std::is_copy_assignable_v<iterator>);
}

TEST_CASE("coroutines::CoroutineTest.test_fatal_coro_warning") {
  struct warning : std::runtime_error {
    using std::runtime_error::runtime_error;
  };
  const support::unraisables ignored;
  auto previous = krait::set_warning_hook([](const std::string& text) { throw warning(text); });
  std::string repr;
  {
    const nothing co = foo();
    repr = co.repr();
  }
  krait::set_warning_hook(std::move(previous));
  REQUIRE(ignored.count() == 1);
  CHECK(support::is_a<warning>(ignored.at(0).exception));
  CHECK(text_of(ignored.at(0).exception).ends_with("coroutine 'foo' was never awaited"));
  CHECK(ignored.at(0).message == "Exception ignored while finalizing coroutine " + repr);
}

TEST_CASE("coroutines::CoroutineTest.test_cr_frame_after_close") {
  nothing co = foo();
  CHECK(co.state() == state::created);
  CHECK_FALSE(co.done());
  co.close();
  CHECK(co.state() == state::closed);
  CHECK(co.done());
}

TEST_CASE("coroutines::OriginTrackingTest.test_unawaited_warning_when_module_broken") {
  const recorded_warnings warnings;
  {
    const support::unraisables ignored;
    auto working = krait::set_warning_hook([](const std::string&) { throw zero_division_error(); });
    std::string repr;
    {
      const nothing co = foo();
      repr = co.repr();
    }
    krait::set_warning_hook(std::move(working));
    REQUIRE(ignored.count() == 1);
    CHECK(ignored.at(0).message == "Exception ignored while finalizing coroutine " + repr);
    CHECK(support::is_a<zero_division_error>(ignored.at(0).exception));
    CHECK(warnings.none());
  }
  static_cast<void>(foo());
  CHECK(warnings.texts() == std::vector<std::string>{"coroutine 'foo' was never awaited"});
}
