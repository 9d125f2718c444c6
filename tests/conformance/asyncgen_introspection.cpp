// SPDX-License-Identifier: BSL-1.0
#include <doctest/doctest.h>

#include <exception>
#include <optional>
#include <sstream>
#include <string>
#include <vector>

#include <krait/krait.hpp>

#include "managers.hpp"
#include "support/driver.hpp"

// CPython's tests of what coroutines and asynchronous generators look like from outside: test_inspect.py,
// test_collections.py.

namespace {

using krait::async_generator;
using krait::coroutine;
using support::state;

coroutine<int> number_coroutine() {
  return [](auto& co) {
    for (int number = 0; number < 5; ++number) {
      co.await(krait::awaitable_generator<int>([&](auto& yield) { yield(number); }));
    }
  };
}

async_generator<int> number_asyncgen() {
  return [](auto& co) {
    for (int number = 0; number < 5; ++number) {
      co(number);
    }
  };
}

/// What dump_generators() writes of an object: its name and state.
template <class Object>
std::string line_of(const Object& object) {
  std::ostringstream out;
  krait::dump_generators(out);
  const std::string text = out.str();
  const std::size_t begin = text.find(object.repr());
  return begin == std::string::npos
             ? "nothing"
             : probes::without_stack_used(text.substr(begin, text.find('\n', begin) - begin));
}

struct with_await {
  std::vector<int> await() { return {}; }
};
struct await_is_no_function {
  int await;
};

template <class T>
concept speaks_coroutine_protocol =
    krait::awaitable<T&> && requires(T object, std::optional<int> value, std::exception_ptr exception) {
      object.send(value);
      object.throw_(exception);
      object.close();
    };
struct coroutine_by_hand : with_await {
  int send(std::optional<int>) { return 0; }
  int throw_(std::exception_ptr) { return 0; }
  void close() {}
};
struct without_throw : with_await {
  int send(std::optional<int>) { return 0; }
  void close() {}
};
struct without_await {
  int send(std::optional<int>) { return 0; }
  int throw_(std::exception_ptr) { return 0; }
  void close() {}
};

struct only_anext {
  with_await anext() { return {}; }
};
struct iterable_only {
  only_anext aiter() { return {}; }
};
struct iterator : only_anext {
  iterator& aiter() { return *this; }
};
struct aiter_of_nothing {
  int aiter() { return 0; }
};

template <class T>
concept speaks_async_generator_protocol =
    krait::async_iterable<T> && krait::async_iterator<T> &&
    requires(T object, std::optional<int> value, std::exception_ptr exception) {
      { object.asend(value) } -> krait::awaitable;
      { object.athrow(exception) } -> krait::awaitable;
      { object.aclose() } -> krait::awaitable;
    };

/// Gives back what it is sent.
struct echoing {
  using answer = coroutine<void, void, std::optional<int>>;
  echoing& aiter() { return *this; }
  answer anext() { return asend(std::nullopt); }
  answer asend(std::optional<int> value) {
    return [value](auto&) { return value; };
  }
  answer athrow(std::exception_ptr exception) {
    return [exception](auto&) -> std::optional<int> { std::rethrow_exception(exception); };
  }
  coroutine<void> aclose() {
    return [](auto&) {};
  }
};
struct without_athrow {
  without_athrow& aiter() { return *this; }
  with_await anext() { return {}; }
  with_await asend(std::optional<int>) { return {}; }
  with_await aclose() { return {}; }
};

}  // namespace

TEST_CASE("inspect::TestGetGeneratorState.test_types_coroutine_wrapper_state") {
  krait::awaitable_generator<int> wrapped = [](auto& yield) { yield(1); };
  CHECK(wrapped.state() == state::created);
  CHECK(wrapped.next() == 1);
  CHECK(wrapped.state() == state::suspended);
}

TEST_CASE("inspect::TestGetCoroutineState.test_created") {
  coroutine<int> c = number_coroutine();
  CHECK(c.state() == state::created);
  c.close();
}

TEST_CASE("inspect::TestGetCoroutineState.test_suspended") {
  coroutine<int> c = number_coroutine();
  c.send();
  CHECK(c.state() == state::suspended);
}

TEST_CASE("inspect::TestGetCoroutineState.test_closed_after_exhaustion") {
  coroutine<int> c = number_coroutine();
  for (int i = 0; i < 5; ++i) {
    CHECK(c.send() == i);
  }
  CHECK_THROWS_AS(c.send(), krait::stop_iteration<>);
  CHECK(c.state() == state::closed);
}

TEST_CASE("inspect::TestGetCoroutineState.test_closed_after_immediate_exception") {
  coroutine<int> c = number_coroutine();
  CHECK_THROWS_AS(c.throw_(krait::runtime_error("")), krait::runtime_error);
  CHECK(c.state() == state::closed);
}

TEST_CASE("inspect::TestGetCoroutineState.test_closed_after_close") {
  coroutine<int> c = number_coroutine();
  c.close();
  CHECK(c.state() == state::closed);
}

TEST_CASE("inspect::TestGetCoroutineState.test_easy_debugging") {
  coroutine<int>* self = nullptr;
  std::string line;
  coroutine<int> c = [&](auto& co) {
    line = line_of(*self);
    co.await(krait::awaitable_generator<int>([](auto& yield) { yield(1); }));
  };
  self = &c;
  CHECK(line_of(c) == c.repr() + " created");
  c.send();
  CHECK(line == c.repr() + " running");
  CHECK(line_of(c).starts_with(c.repr() + " suspended"));
  c.close();
  CHECK(line_of(c) == c.repr() + " closed");
}

TEST_CASE("inspect::TestGetAsyncGenState.test_created") {
  async_generator<int> g = number_asyncgen();
  CHECK(g.state() == state::created);
}

TEST_CASE("inspect::TestGetAsyncGenState.test_suspended") {
  async_generator<int> g = number_asyncgen();
  driver::run_async([&](auto& co) { CHECK(co.await(krait::anext(g)) == 0); });
  CHECK(g.state() == state::suspended);
}

TEST_CASE("inspect::TestGetAsyncGenState.test_closed_after_exhaustion") {
  async_generator<int> g = number_asyncgen();
  driver::run_async([&](auto& co) {
    for (int i = 0; i < 5; ++i) {
      CHECK(co.await(krait::anext(g)) == i);
    }
    CHECK_THROWS_AS(co.await(krait::anext(g)), krait::stop_async_iteration);
  });
  CHECK(g.state() == state::closed);
}

TEST_CASE("inspect::TestGetAsyncGenState.test_closed_after_immediate_exception") {
  async_generator<int> g = number_asyncgen();
  driver::run_async(
      [&](auto& co) { CHECK_THROWS_AS(co.await(g.athrow(krait::runtime_error(""))), krait::runtime_error); });
  CHECK(g.state() == state::closed);
}

TEST_CASE("inspect::TestGetAsyncGenState.test_running") {
  async_generator<int>* self = nullptr;
  async_generator<int> g = [&](auto& co) {
    for (int number = 0; number < 5; ++number) {
      CHECK(self->state() == state::running);
      co(number);
      CHECK(self->state() == state::running);
    }
  };
  self = &g;
  driver::run_async([&](auto& co) {
    CHECK(co.await(krait::anext(g)) == 0);
    CHECK(g.state() == state::suspended);
    CHECK(co.await(krait::anext(g)) == 1);
    CHECK(g.state() == state::suspended);
  });
}

TEST_CASE("inspect::TestGetAsyncGenState.test_easy_debugging") {
  async_generator<int>* self = nullptr;
  std::string line;
  async_generator<int> g = [&](auto& co) {
    line = line_of(*self);
    co(1);
  };
  self = &g;
  CHECK(line_of(g) == g.repr() + " created");
  driver::run_async([&](auto& co) { co.await(g.anext()); });
  CHECK(line == g.repr() + " running");
  CHECK(line_of(g) == g.repr() + " suspended");
  driver::run_async([&](auto& co) { co.await(g.aclose()); });
  CHECK(line_of(g) == g.repr() + " closed");
}

TEST_CASE("inspect::TestPredicates.test_isawaitable") {
  CHECK(krait::awaitable<coroutine<int>>);
  CHECK(krait::awaitable<krait::awaitable_generator<int>>);
  CHECK(krait::awaitable<with_await>);
  CHECK_FALSE(krait::awaitable<krait::generator<int>>);
  CHECK_FALSE(krait::awaitable<async_generator<int>>);
  CHECK_FALSE(krait::awaitable<await_is_no_function>);
  CHECK_FALSE(krait::awaitable<decltype(number_coroutine)>);
}

TEST_CASE("collections_abc::TestOneTrickPonyABCs.test_Awaitable") {
  CHECK_FALSE(krait::awaitable<std::nullptr_t>);
  CHECK_FALSE(krait::awaitable<int>);
  CHECK_FALSE(krait::awaitable<std::vector<int>>);
  CHECK_FALSE(krait::awaitable<krait::generator<int>>);
  CHECK_FALSE(krait::awaitable<without_await>);
  CHECK(krait::awaitable<with_await>);
  CHECK(krait::awaitable<with_await&>);
  CHECK(krait::awaitable<coroutine_by_hand>);
  CHECK(krait::awaitable<coroutine<int>>);
  CHECK(krait::awaitable<coroutine<int>&>);
}

TEST_CASE("collections_abc::TestOneTrickPonyABCs.test_Coroutine") {
  CHECK(speaks_coroutine_protocol<coroutine<int, std::optional<int>>>);
  CHECK(speaks_coroutine_protocol<coroutine_by_hand>);
  CHECK_FALSE(speaks_coroutine_protocol<without_throw>);
  CHECK_FALSE(speaks_coroutine_protocol<without_await>);
  CHECK_FALSE(speaks_coroutine_protocol<krait::generator<int, std::optional<int>>>);
  CHECK_FALSE(speaks_coroutine_protocol<std::vector<int>>);

  // An object of its protocol can be awaited, whatever its class.
  coroutine<int> c = [](auto& co) { co.await(coroutine_by_hand()); };
  CHECK_THROWS_AS(c.send(), krait::stop_iteration<>);
}

TEST_CASE("collections_abc::TestOneTrickPonyABCs.test_AsyncIterable") {
  CHECK(krait::async_iterable<iterable_only>);
  CHECK(krait::async_iterable<iterator>);
  CHECK(krait::async_iterable<async_generator<int>>);
  CHECK_FALSE(krait::async_iterable<only_anext>);
  CHECK_FALSE(krait::async_iterable<aiter_of_nothing>);
  CHECK_FALSE(krait::async_iterable<std::vector<int>>);
}

TEST_CASE("collections_abc::TestOneTrickPonyABCs.test_AsyncIterator") {
  CHECK(krait::async_iterator<iterator>);
  CHECK(krait::async_iterator<async_generator<int>>);
  CHECK_FALSE(krait::async_iterator<iterable_only>);
  CHECK_FALSE(krait::async_iterator<krait::generator<int>>);
  CHECK_FALSE(krait::async_iterator<std::nullptr_t>);
}

TEST_CASE("collections_abc::TestOneTrickPonyABCs.test_AsyncGenerator") {
  CHECK(speaks_async_generator_protocol<async_generator<int, std::optional<int>>>);
  CHECK(speaks_async_generator_protocol<echoing>);
  CHECK_FALSE(speaks_async_generator_protocol<without_athrow>);
  CHECK_FALSE(speaks_async_generator_protocol<iterator>);
  CHECK_FALSE(speaks_async_generator_protocol<krait::generator<int, std::optional<int>>>);
  CHECK_FALSE(speaks_async_generator_protocol<async_generator<int>>);

  driver::run_async([](auto& co) {
    echoing g;
    CHECK(&krait::aiter(g) == &g);
    CHECK(co.await(krait::anext(g)) == std::nullopt);
    CHECK(co.await(g.asend(2)) == 2);
    CHECK_THROWS_AS(co.await(g.athrow(std::make_exception_ptr(krait::value_error("")))), krait::value_error);
    co.await(g.aclose());
    for (const auto& item : krait::async_for(co, g)) {
      CHECK(item == std::nullopt);
      break;
    }
  });
}
