// SPDX-License-Identifier: BSL-1.0
#include <doctest/doctest.h>

#include <deque>
#include <exception>
#include <optional>
#include <stdexcept>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include <krait/krait.hpp>

#include "coroutines.hpp"
#include "support/recorded_warnings.hpp"
#include "support/support.hpp"

// CPython's test_types.py: CoroutineTests, on types.coroutine, which is as_awaitable() here; and
// test_pep492.py of asyncio, with a loop of a few lines.

namespace {

using coroutines::nop;
using coroutines::outcome;
using coroutines::run;
using krait::as_awaitable;
using krait::awaitable;
using krait::awaitable_generator;
using krait::coroutine;
using support::journal;
using support::raised_by;
using support::text_of;

using none = std::monostate;
using maybe = std::optional<int>;

template <class T>
concept markable = requires(T&& object) { as_awaitable(std::forward<T>(object)); };

/// An iterator with all of the protocol, which notes its calls.
struct mock {
  int next() {
    calls("next()");
    return 1;
  }
  int send(maybe value) {
    calls("send(" + std::to_string(*value) + ")");
    return 2;
  }
  int throw_(const std::exception_ptr& exception) {
    calls("throw_(" + text_of(exception) + ")");
    if (raises != nullptr) {
      std::rethrow_exception(raises);
    }
    return 3;
  }
  void close() { calls("close()"); }

  journal& calls;
  std::exception_ptr raises = nullptr;
};

/// Has all that a coroutine has.
struct coroutine_like {
  void send() {}
  void throw_(const std::exception_ptr&) {}
  void close() {}
  krait::generator<int> await() {
    return [](auto& yield) { yield(1); };
  }
};

/// Has what an iterator has besides, so that it can be its own.
struct coroutine_and_iterator {
  int next() { return 1; }
  int send(int value) { return value; }
  int throw_(const std::exception_ptr&) { return 1; }
  void close() {}
  coroutine_and_iterator& await() { return *this; }
};

/// Yields 1, then 2, and returns what it is sent for that.
krait::generator<int, std::optional<std::string>, std::string> one_two() {
  return [](auto& yield) {
    yield(1);
    return *yield(2);
  };
}

/// An event loop: runs tasks by turns, each to its next `yield`.
class event_loop {
 public:
  using task = coroutine<void>;

  void create_task(task& co) { ready_.push_back(&co); }

  /// Runs until `main` has ended.
  void run_until_complete(task& main) {
    create_task(main);
    while (!main.done()) {
      task& next = *ready_.front();
      ready_.pop_front();
      if (next.resume().yielded()) {
        ready_.push_back(&next);
      }
    }
  }

 private:
  std::deque<task*> ready_;
};

coroutine<void, void, std::string> spam() {
  return [](auto&) { return "spam"; };
}

}  // namespace

TEST_CASE("types::CoroutineTests.test_wrong_args") {
  struct object {};
  static_assert(!markable<std::nullptr_t>);
  static_assert(!markable<int>);
  static_assert(!markable<object>);
}

TEST_CASE("types::CoroutineTests.test_non_gen_values") {
  static_assert(!markable<none>);
  struct by_hand {
    std::vector<int> await() { return {}; }
  } object;
  CHECK(&as_awaitable(object) == &object);
  CHECK(&as_awaitable(as_awaitable(object)) == &object);
}

TEST_CASE("types::CoroutineTests.test_async_def") {
  auto co = spam();
  CHECK(&as_awaitable(co) == &co);
  CHECK(&as_awaitable(as_awaitable(co)) == &co);
  const std::string repr = co.repr();
  auto moved = as_awaitable(std::move(co));
  static_assert(std::same_as<decltype(moved), decltype(co)>);
  CHECK(moved.repr() == repr);
  moved.close();
}

TEST_CASE("types::CoroutineTests.test_duck_coro") {
  coroutine_like object;
  static_assert(awaitable<coroutine_like>);
  CHECK(&as_awaitable(object) == &object);
}

TEST_CASE("types::CoroutineTests.test_duck_corogen") {
  coroutine_and_iterator object;
  static_assert(awaitable<coroutine_and_iterator>);
  CHECK(&as_awaitable(object) == &object);
  CHECK(&as_awaitable(object).await() == &object);
}

TEST_CASE("types::CoroutineTests.test_duck_gen") {
  journal calls;
  mock gen{calls};
  static_assert(!awaitable<mock> && !awaitable<mock&>);
  auto wrapper = as_awaitable(gen);
  static_assert(awaitable<decltype(wrapper)>);
  CHECK(&wrapper.await() == &gen);
  CHECK(&as_awaitable(wrapper) == &wrapper);

  coroutine<int, maybe> awaiting = [&](auto& co) { co.await(wrapper); };
  CHECK(awaiting.send() == 1);
  CHECK(calls.text() == "next()");
  calls.clear();
  CHECK(awaiting.send(1) == 2);
  CHECK(calls.text() == "send(1)");
  calls.clear();
  CHECK(awaiting.send() == 1);
  CHECK(calls.text() == "next()");
  calls.clear();

  struct thrown : std::runtime_error {
    using std::runtime_error::runtime_error;
  };
  const auto given = std::make_exception_ptr(krait::value_error("given"));
  CHECK(awaiting.throw_(given) == 3);
  CHECK(calls.text() == "throw_(krait::value_error: given)");
  calls.clear();
  gen.raises = std::make_exception_ptr(thrown("by the iterator"));
  CHECK(raised_by([&] { awaiting.throw_(given); }) == gen.raises);
  CHECK(awaiting.done());
  calls.clear();

  coroutine<int, maybe> closed = [&](auto& co) { co.await(wrapper); };
  closed.send();
  calls.clear();
  closed.close();
  CHECK(calls.text() == "close()");
}

TEST_CASE("types::CoroutineTests.test_duck_functional_gen") {
  // What a generator that returns twice what it is sent for what it yields would do.
  struct generator_like {
    using return_type = int;
    std::string next() { return send(std::nullopt); }
    std::string send(maybe value) {
      switch (i++) {
        case 0:
          CHECK(value == std::nullopt);
          return fut;
        case 1:
          throw krait::stop_iteration<int>(*value * 2);
        default:
          throw krait::stop_iteration<int>();
      }
    }
    std::string throw_(std::exception_ptr exception) {
      i = 100;
      std::rethrow_exception(std::move(exception));
    }
    void close() { i = 100; }

    std::string fut;
    int i = 0;
  };
  coroutine<std::string, maybe, int> co = [](auto& self) {
    return self.await(as_awaitable(generator_like{"spam"})) + 100;
  };
  CHECK(co.send() == "spam");
  CHECK(support::stop_value<int>([&] { co.send(20); }) == 140);
}

TEST_CASE("types::CoroutineTests.test_gen") {
  auto gen = one_two();
  auto wrapper = as_awaitable(gen);
  CHECK(&wrapper.await() == &gen);
  CHECK(wrapper.await().name() == gen.name());
  CHECK(wrapper.await().next() == 1);
  CHECK(wrapper.await().send(std::nullopt) == 2);
  CHECK(support::stop_value<std::string>([&] { wrapper.await().send("spam"); }) == "spam");

  gen = one_two();
  auto again = as_awaitable(gen);
  again.await().send(std::nullopt);
  CHECK_THROWS_WITH_AS(again.await().throw_(std::runtime_error("ham")), "ham", std::runtime_error);
  CHECK(&as_awaitable(again).await() == &gen);

  // Given away, it is marked itself.
  auto given = as_awaitable(one_two());
  static_assert(
      std::same_as<decltype(given), awaitable_generator<int, std::optional<std::string>, std::string>>);
  CHECK(given.next() == 1);
  CHECK(given.send(std::nullopt) == 2);
  CHECK(support::stop_value<std::string>([&] { given.send("spam"); }) == "spam");
}

TEST_CASE("types::CoroutineTests.test_returning_itercoro") {
  auto marked = nop();
  CHECK(&as_awaitable(marked) == &marked);
  CHECK(&as_awaitable(as_awaitable(marked)) == &marked);
}

TEST_CASE("pep492::CoroutineTests.test_iscoroutine") {
  static_assert(awaitable<decltype(spam())> && awaitable<decltype(spam())&>);
  static_assert(awaitable<coroutine_like> && awaitable<coroutine_like&>);
  static_assert(awaitable<coroutine_and_iterator>);
}

TEST_CASE("pep492::CoroutineTests.test_iscoroutine_generator") {
  static_assert(!awaitable<decltype(one_two())>);
}

TEST_CASE("pep492::CoroutineTests.test_async_def_coroutines") {
  std::string data;
  event_loop::task foo = [&](auto& co) { data = co.await(spam()); };
  event_loop().run_until_complete(foo);
  CHECK(data == "spam");
}

TEST_CASE("pep492::CoroutineTests.test_types_coroutine") {
  const auto gen = []() -> krait::generator<void, void, std::string> {
    return [](auto& yield) {
      yield.from(std::vector<int>());
      return "spam";
    };
  };
  std::string data;
  event_loop::task main = [&](auto& co) {
    auto lent = gen();
    auto wrapper = as_awaitable(lent);
    data = co.await(wrapper) + " " + co.await(as_awaitable(gen()));
  };
  event_loop().run_until_complete(main);
  CHECK(data == "spam spam");
}

TEST_CASE("pep492::CoroutineTests.test_double_await") {
  journal log;
  event_loop loop;
  event_loop::task afunc = [&](auto& co) {
    log("started");
    co.await(nop());
    co.await(nop());
    log("went on");
  };
  event_loop::task runner = [&](auto& co) {
    loop.create_task(afunc);
    co.await(nop());
    CHECK(log.text() == "started");
    co.await(afunc);
  };
  CHECK_THROWS_WITH_AS(loop.run_until_complete(runner), "coroutine is being awaited already",
                       krait::runtime_error);
  CHECK(afunc.suspended());
  CHECK(log.text() == "started");
}
