// SPDX-License-Identifier: BSL-1.0
#include <doctest/doctest.h>

#include <exception>
#include <optional>
#include <stdexcept>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include <krait/krait.hpp>

#include "managers.hpp"
#include "support/driver.hpp"
#include "support/probes.hpp"

// CPython's test_asyncgen.py: anext() and aiter().

namespace {

using driver::told;
using managers::zero_division_error;
using support::is_a;
using support::raised_by;
using support::stop_value;

template <class Return>
using coroutine = krait::coroutine<void, void, Return>;

struct my_error : std::runtime_error {
  explicit my_error(const std::string& text = "") : std::runtime_error(text) {}
};
struct syntax_error : std::runtime_error {
  syntax_error() : std::runtime_error("syntax") {}
};

krait::async_generator<std::string> generated() {
  return [](auto& co) {
    co("1");
    co("2");
  };
}

struct iterated {
  iterated& aiter() { return *this; }
  coroutine<std::string> anext() {
    return [this](auto&) {
      if (yielded >= 2) {
        throw krait::stop_async_iteration();
      }
      return std::to_string(++yielded);
    };
  }
  int yielded = 0;
};

struct iterated_by_generators {
  iterated_by_generators& aiter() { return *this; }
  krait::awaitable_generator<void, void, std::string> anext() {
    return [this](auto& yield) {
      if (false) {
        yield();
      }
      if (yielded >= 2) {
        throw krait::stop_async_iteration();
      }
      return std::to_string(++yielded);
    };
  }
  int yielded = 0;
};

constexpr auto library_anext = [](auto& it, const auto&... fallback) {
  return krait::anext(it, fallback...);
};

/// anext() as a user might write it.
constexpr auto anext_by_hand = [](auto& it, const auto&... fallback) -> coroutine<std::string> {
  return [&it, fallback...](auto& co) {
    if constexpr (sizeof...(fallback) == 0) {
      return co.await(it.anext());
    } else {
      try {
        return co.await(it.anext());
      } catch (const krait::stop_async_iteration&) {
        return std::string(fallback...);
      }
    }
  };
};

/// A coroutine that does nothing but await what `make` makes, for that to be driven by hand.
template <class Make>
coroutine<std::string> awaiting(Make make) {
  return [make](auto& co) { return co.await(make()); };
}

template <class Make, class Anext>
void check_anext(Make make, Anext anext) {
  driver::run_async([&](auto& co) {
    auto p = make();
    CHECK(co.await(anext(p)) == "1");
    CHECK(co.await(anext(p)) == "2");
    CHECK(co.await(anext(p, "default")) == "default");
    CHECK_THROWS_AS(co.await(anext(p)), krait::stop_async_iteration);
    CHECK_THROWS_AS(co.await(anext(p)), krait::stop_async_iteration);
    CHECK(co.await(anext(p, "default")) == "default");
    CHECK(co.await(anext(p, "default")) == "default");
  });
  driver::run_async([&](auto& co) {
    auto p = make();
    std::vector<std::string> items;
    for (const std::string& item : krait::async_for(co, p)) {
      items.push_back(item);
    }
    CHECK(items == std::vector<std::string>{"1", "2"});
    CHECK_THROWS_AS(co.await(anext(p)), krait::stop_async_iteration);
  });

  auto p = make();
  auto c = awaiting([&] { return anext(p, "default"); });
  CHECK(told([&] { c.send(); }) == "StopIteration(1)");
  auto thrown = awaiting([&] { return anext(p, "default"); });
  CHECK_THROWS_AS(thrown.throw_(syntax_error()), syntax_error);
}

template <class Make>
void check_both(Make make) {
  check_anext(make, library_anext);
  check_anext(make, anext_by_hand);
}

/// Asynchronous iterators whose items are `T`.
template <class T>
struct iterator_of {
  iterator_of& aiter() { return *this; }
  T anext() { return T(); }
};
struct awaits_to_int {
  int await() { return 42; }
};
struct await_raises {
  std::vector<int> await() { throw zero_division_error(); }
};

}  // namespace

TEST_CASE("asyncgen::test_async_generator_anext") {
  check_both([] { return generated(); });
}

TEST_CASE("asyncgen::test_python_async_iterator_anext") {
  check_both([] { return iterated(); });
}

TEST_CASE("asyncgen::test_python_async_iterator_types_coroutine_anext") {
  check_both([] { return iterated_by_generators(); });
}

TEST_CASE("asyncgen::test_async_gen_aiter") {
  krait::async_generator<std::string> g = generated();
  driver::run_async([&](auto& co) {
    std::vector<std::string> items;
    for (const std::string& item : krait::async_for(co, krait::aiter(g))) {
      items.push_back(item);
    }
    CHECK(items == std::vector<std::string>{"1", "2"});
  });
}

TEST_CASE("asyncgen::test_async_gen_aiter_class") {
  struct gen {
    krait::async_generator<std::string> aiter() { return generated(); }
  };
  driver::run_async([&](auto& co) {
    gen g;
    auto it = krait::aiter(g);
    CHECK(co.await(krait::anext(it)) == "1");
    CHECK(co.await(krait::anext(it)) == "2");
    CHECK_THROWS_AS(co.await(krait::anext(it)), krait::stop_async_iteration);
  });
}

TEST_CASE("asyncgen::test_aiter_idempotent") {
  krait::async_generator<std::string> gen = generated();
  CHECK(&krait::aiter(gen) == &gen);
  CHECK(&krait::aiter(krait::aiter(gen)) == &gen);
}

TEST_CASE("asyncgen::test_anext_bad_await") {
  CHECK_FALSE(krait::awaitable<awaits_to_int>);
  CHECK_FALSE(krait::async_iterator<iterator_of<awaits_to_int>>);
  CHECK_FALSE(krait::async_iterable<iterator_of<awaits_to_int>>);
}

TEST_CASE("asyncgen::test_anext_return_iterator") {
  CHECK_FALSE(krait::async_iterator<iterator_of<std::vector<int>>>);
}

TEST_CASE("asyncgen::test_anext_return_generator") {
  struct returns_generator {
    krait::generator<int> anext() {
      return [](auto& yield) { yield(1); };
    }
  };
  CHECK_FALSE(krait::async_iterator<returns_generator>);
}

TEST_CASE("asyncgen::test_anext_await_raises") {
  iterator_of<await_raises> it;
  krait::coroutine<int> c = [&](auto& co) { co.await(krait::anext(it)); };
  CHECK_THROWS_AS(c.send(), zero_division_error);
  krait::coroutine<int> with_default = [&](auto& co) { co.await(krait::anext(it, 1)); };
  CHECK_THROWS_AS(with_default.send(), zero_division_error);
}

// anext(agen, "default"), driven by hand, of generators that wait.

namespace {

using waiting_generator = krait::async_generator<std::string, void, int>;
using driven = krait::coroutine<int, void, std::string>;

/// Gives a number to the driver.
krait::awaitable_generator<int> async_yield(int number) {
  return [number](auto& yield) { yield(number); };
}

waiting_generator waiting_twice() {
  return [](auto& co) {
    try {
      co.await(async_yield(1));
    } catch (const my_error&) {
      co.await(async_yield(2));
    }
  };
}

driven anext_by_default(waiting_generator& agen) {
  return [&](auto& co) { return co.await(krait::anext(agen, "default")); };
}

}  // namespace

TEST_CASE("asyncgen::test_anext_iter[test1]") {
  auto agen = waiting_twice();
  driven g = anext_by_default(agen);
  CHECK(g.send() == 1);
  CHECK(g.throw_(my_error()) == 2);
  CHECK(told([&] { g.send(); }) == "StopIteration(default)");
}

TEST_CASE("asyncgen::test_anext_iter[test2]") {
  auto agen = waiting_twice();
  driven g = anext_by_default(agen);
  CHECK(g.send() == 1);
  CHECK(g.throw_(my_error()) == 2);
  CHECK_THROWS_AS(g.throw_(my_error()), my_error);
}

TEST_CASE("asyncgen::test_anext_iter[test3]") {
  auto agen = waiting_twice();
  driven g = anext_by_default(agen);
  CHECK(g.send() == 1);
  g.close();
  CHECK(told([&] { g.send(); }).starts_with("krait::runtime_error: cannot reuse"));
}

TEST_CASE("asyncgen::test_anext_iter[test4]") {
  const auto tenfold = [](int number) -> krait::awaitable_generator<int> {
    return [number](auto& yield) {
      yield(number * 10);
      yield(number * 10 + 1);
    };
  };
  waiting_generator agen = [&](auto& co) {
    try {
      co.await(tenfold(1));
    } catch (const my_error&) {
      co.await(tenfold(2));
    }
    if (false) {
      co("never");
    }
  };
  driven g = anext_by_default(agen);
  CHECK(g.send() == 10);
  CHECK(g.throw_(my_error()) == 20);
  CHECK_THROWS_WITH_AS(g.throw_(my_error("val")), "val", my_error);
}

TEST_CASE("asyncgen::test_anext_iter[test5]") {
  waiting_generator agen = [](auto& co) {
    try {
      co.await(async_yield(1));
    } catch (const my_error&) {
      return;
    }
    co("aaa");
  };
  driven g = anext_by_default(agen);
  CHECK(g.send() == 1);
  CHECK(told([&] { g.throw_(my_error()); }) == "StopIteration(default)");
}

TEST_CASE("asyncgen::test_anext_iter[test6]") {
  waiting_generator agen = [](auto& co) {
    co.await(async_yield(1));
    co("aaa");
  };
  driven g = anext_by_default(agen);
  CHECK_THROWS_AS(g.throw_(my_error()), my_error);
  CHECK(agen.state() == support::state::created);
}

TEST_CASE("asyncgen::test_async_gen_asyncio_anext_04") {
  const auto foo = []() -> krait::async_generator<int> {
    return [](auto& co) {
      co(1);
      co.await(driver::sleep());
      try {
        co(2);
        co(3);
      } catch (const zero_division_error&) {
        co(1000);
      }
      co.await(driver::sleep());
      co(4);
    };
  };
  driver::run_async([&](auto& co) {
    auto it = foo();
    CHECK(co.await(it.anext()) == 1);
    CHECK(co.await(it.anext()) == 2);
    CHECK(co.await(it.anext()) == 3);
    CHECK(co.await(it.anext()) == 4);
    CHECK_THROWS_AS(co.await(it.anext()), krait::stop_async_iteration);
    CHECK_THROWS_AS(co.await(it.anext()), krait::stop_async_iteration);
  });
  driver::run_async([&](auto& co) {
    auto it = foo();
    CHECK(co.await(it.anext()) == 1);
    CHECK(co.await(it.anext()) == 2);
    CHECK(told([&] { it.anext().throw_(zero_division_error()); }) == "StopIteration(1000)");
    CHECK(co.await(it.anext()) == 4);
    CHECK_THROWS_AS(co.await(it.anext()), krait::stop_async_iteration);
  });
}

TEST_CASE("asyncgen::test_async_gen_asyncio_anext_05") {
  krait::async_generator<int, std::optional<int>, int, std::optional<int>> it = [](auto& co) {
    std::optional<int> v = co(1);
    v = co(*v);
    co(*v * 100);
  };
  CHECK(told([&] { return it.anext().send(std::nullopt); }) == "StopIteration(1)");
  CHECK(told([&] { return it.anext().send(10); }) == "StopIteration(10)");
  CHECK(told([&] { return it.anext().send(12); }) == "StopIteration(1200)");
  krait::coroutine<int, std::optional<int>> rest = [&](auto& co) { co.await(it.anext()); };
  CHECK_THROWS_AS(rest.send(), krait::stop_async_iteration);
}

TEST_CASE("asyncgen::test_async_gen_asyncio_anext_06") {
  krait::generator<void> plain = [](auto& yield) {
    try {
      yield();
    } catch (...) {
    }
  };
  plain.next();
  CHECK_THROWS_AS(plain.next(), krait::stop_iteration<>);

  int done = 0;
  krait::async_generator<void, std::optional<int>> g = [&](auto& co) {
    try {
      co();
    } catch (...) {
    }
    done = 1;
  };
  driver::run_async([&](auto& co) {
    co.await(g.asend(std::nullopt));
    CHECK_THROWS_AS(co.await(g.asend(std::nullopt)), krait::stop_async_iteration);
    done += 10;
  });
  CHECK(done == 11);
}

TEST_CASE("asyncgen::test_async_gen_asyncio_anext_tuple") {
  using item = std::tuple<int>;
  krait::async_generator<item> it = [](auto& co) {
    try {
      co(item(1));
    } catch (const zero_division_error&) {
      co(item(2));
    }
  };
  driver::run_async([&](auto& co) {
    CHECK((co.await(it.anext()) == item(1)));
    CHECK((stop_value<item>([&] { it.anext().throw_(zero_division_error()); }) == item(2)));
    CHECK_THROWS_AS(co.await(it.anext()), krait::stop_async_iteration);
  });
}

TEST_CASE("asyncgen::test_async_gen_asyncio_anext_tuple_no_exceptions") {
  using item = std::pair<std::string, std::string>;
  krait::async_generator<item> agen = [](auto&) {};
  driver::run_async([&](auto& co) {
    CHECK_THROWS_AS(co.await(krait::anext(agen)), krait::stop_async_iteration);
    CHECK((co.await(krait::anext(agen, item("a", "b"))) == item("a", "b")));
    CHECK(std::current_exception() == nullptr);
  });
}

TEST_CASE("asyncgen::test_sync_anext_raises_exception") {
  struct raising {
    explicit raising(std::exception_ptr given) : exception(std::move(given)) {}
    coroutine<int> anext() { std::rethrow_exception(exception); }
    std::exception_ptr exception;
  };
  for (const auto& exception : {std::make_exception_ptr(krait::stop_async_iteration()),
                                std::make_exception_ptr(krait::stop_iteration<>()),
                                std::make_exception_ptr(krait::value_error("value")),
                                std::make_exception_ptr(std::runtime_error("custom"))}) {
    raising it(exception);
    CHECK(raised_by([&] { static_cast<void>(krait::anext(it)); }) == exception);
    CHECK(raised_by([&] { static_cast<void>(krait::anext(it, 1)); }) == exception);
  }
}

TEST_CASE("asyncgen::test_async_gen_asyncio_anext_stopiteration") {
  using stop = krait::stop_iteration<int>;
  krait::async_generator<stop> it = [](auto& co) {
    try {
      co(stop(1));
    } catch (const zero_division_error&) {
      co(stop(3));
    }
  };
  driver::run_async([&](auto& co) {
    CHECK(co.await(it.anext()).value() == 1);
    CHECK(stop_value<stop>([&] { it.anext().throw_(zero_division_error()); })->value() == 3);
    CHECK_THROWS_AS(co.await(it.anext()), krait::stop_async_iteration);
  });
}
