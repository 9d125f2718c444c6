// SPDX-License-Identifier: BSL-1.0
#include <doctest/doctest.h>

#include <concepts>
#include <exception>
#include <optional>
#include <stdexcept>
#include <string>
#include <tuple>
#include <vector>

#include <krait/krait.hpp>

#include "managers.hpp"
#include "support/driver.hpp"

// CPython's test_asyncgen.py: how an asynchronous generator is iterated, and what comes out of it.

namespace {

using driver::told;
using driver::waiting;
using krait::try_finally;
using managers::zero_division_error;
using support::journal;
using support::raised_by;

/// Its items are texts, and so is what goes to the driver.
template <class Yield>
using async_generator = krait::async_generator<Yield, std::optional<int>, std::string>;

struct await_error : std::runtime_error {
  await_error() : std::runtime_error("await") {}
};

/// All items, to the end, which may be an exception; what is awaited is resumed at once.
template <class Generator>
std::string iterate(Generator g) {
  journal log;
  krait::coroutine<std::string> all = [&](auto& co) {
    try {
      for (const auto& item : krait::async_for(co, g)) {
        log(driver::text_of(item));
      }
      log("STOP");
    } catch (...) {
      log(support::handled());
    }
  };
  driver::run(std::move(all));
  return log.text();
}

/// The same of a generator that cannot await, its items fetched one by one after its end too.
std::string iterate_plain(krait::generator<int> g) {
  journal log;
  try {
    for (const int item : g) {
      log(driver::text_of(item));
    }
    log("STOP");
  } catch (...) {
    log(support::handled());
  }
  return log.text();
}

constexpr const char* division = "managers::zero_division_error: division by zero";

}  // namespace

TEST_CASE("asyncgen::test_async_gen_iteration_01") {
  async_generator<int> gen = [](auto& co) {
    co.await(waiting("a"));
    CHECK(co(123) == std::nullopt);
    co.await(waiting("b"));
    co(456);
    co.await(waiting("c"));
    co(789);
  };
  CHECK(iterate(std::move(gen)) == "123, 456, 789, STOP");
}

TEST_CASE("asyncgen::test_async_gen_iteration_02") {
  async_generator<int> g = [](auto& co) {
    co.await(waiting("result"));
    co(123);
    co.await(waiting("result"));
  };
  CHECK(&g.aiter() == &g);

  auto first = g.aiter().anext();
  CHECK(told([&] { return first.next(); }) == "-> result");
  CHECK(told([&] { return first.next(); }) == "StopIteration(123)");

  auto second = g.aiter().anext();
  CHECK(told([&] { return second.next(); }) == "-> result");
  CHECK(told([&] { return second.next(); }) == "StopAsyncIteration");
}

TEST_CASE("asyncgen::test_async_gen_exception_03") {
  async_generator<int> gen = [](auto& co) {
    co.await(waiting("result"));
    co(123);
    co.await(waiting("throw"));
    co(456);
  };
  journal log;
  krait::coroutine<std::string> all = [&](auto& co) {
    for (const int item : krait::async_for(co, gen)) {
      log(driver::text_of(item));
    }
  };
  CHECK(all.send() == "result");
  CHECK(all.send() == "throw");
  const auto error = std::make_exception_ptr(await_error());
  CHECK(raised_by([&] { all.throw_(error); }) == error);
  CHECK(log.text() == "123");
}

TEST_CASE("asyncgen::test_async_gen_exception_04") {
  async_generator<int> gen = [](auto& co) {
    co.await(waiting("result"));
    co(123);
    throw zero_division_error();
  };
  auto first = gen.aiter().anext();
  CHECK(told([&] { return first.next(); }) == "-> result");
  CHECK(told([&] { return first.next(); }) == "StopIteration(123)");
  auto second = gen.aiter().anext();
  CHECK(told([&] { return second.next(); }) == division);
}

TEST_CASE("asyncgen::test_async_gen_exception_05") {
  async_generator<int> gen = [](auto& co) {
    co(123);
    throw krait::stop_async_iteration();
  };
  CHECK(iterate(std::move(gen)) == "123, krait::runtime_error: async generator raised StopAsyncIteration");
}

TEST_CASE("asyncgen::test_async_gen_exception_06") {
  async_generator<int> gen = [](auto& co) {
    co(123);
    throw krait::stop_iteration<>();
  };
  CHECK(iterate(std::move(gen)) == "123, krait::runtime_error: async generator raised StopIteration");
}

TEST_CASE("asyncgen::test_async_gen_exception_07") {
  const auto body = [](auto& yield) {
    try_finally(
        [&] {
          yield(1);
          throw zero_division_error();
        },
        [&] {
          yield(2);
          yield(3);
        });
    yield(100);
  };
  CHECK(iterate_plain(body) == std::string("1, 2, 3, ") + division);
  CHECK(iterate(async_generator<int>(body)) == std::string("1, 2, 3, ") + division);
}

TEST_CASE("asyncgen::test_async_gen_exception_08") {
  const auto body = [](auto& yield, auto wait) {
    try_finally(
        [&] {
          wait();
          yield(1);
        },
        [&] {
          wait();
          yield(2);
          throw zero_division_error();
        });
    yield(100);
  };
  CHECK(iterate_plain([&](auto& yield) { body(yield, [] {}); }) == std::string("1, 2, ") + division);
  CHECK(iterate(async_generator<int>([&](auto& co) { body(co, [&] { co.await(waiting("result")); }); })) ==
        std::string("1, 2, ") + division);
}

TEST_CASE("asyncgen::test_async_gen_exception_09") {
  const auto body = [](auto& yield, auto wait) {
    try_finally(
        [&] {
          yield(1);
          wait();
          throw zero_division_error();
        },
        [&] {
          yield(2);
          wait();
          yield(3);
        });
    wait();
    yield(100);
  };
  CHECK(iterate_plain([&](auto& yield) { body(yield, [] {}); }) == std::string("1, 2, 3, ") + division);
  CHECK(iterate(async_generator<int>([&](auto& co) { body(co, [&] { co.await(waiting("result")); }); })) ==
        std::string("1, 2, 3, ") + division);
}

TEST_CASE("asyncgen::test_async_gen_exception_10") {
  krait::async_generator<int, std::optional<int>, std::string, std::optional<int>> gen = [](auto& co) {
    co(123);
  };
  auto anext = gen.anext();
  CHECK(told([&] { return anext.send(100); }) ==
        "krait::type_error: can't send non-None value to a just-started async generator");
  CHECK(gen.state() == support::state::created);
}

TEST_CASE("asyncgen::test_async_gen_exception_11") {
  const auto inner = [](auto& yield) {
    yield(10);
    yield(20);
  };

  krait::generator<int> plain = [&](auto& yield) {
    yield(1);
    try {
      krait::generator<int> g = inner;
      g.next();
      try {
        g.throw_(krait::generator_exit());
      } catch (const krait::generator_exit&) {
        yield(2);
        throw;
      }
    } catch (const krait::generator_exit&) {
      yield(3);
    }
  };
  CHECK(iterate_plain(std::move(plain)) == "1, 2, 3, STOP");

  async_generator<int> asynchronous = [&](auto& co) {
    co(1);
    try {
      async_generator<int> g = inner;
      CHECK(co.await(g.asend(std::nullopt)) == 10);
      try {
        co.await(g.athrow(krait::generator_exit()));
      } catch (const krait::generator_exit&) {
        co(2);
        throw;
      }
    } catch (const krait::generator_exit&) {
      co(3);
    }
  };
  CHECK(iterate(std::move(asynchronous)) == "1, 2, 3, STOP");
}

TEST_CASE("asyncgen::test_async_gen_asyncio_01") {
  krait::async_generator<int> gen = [](auto& co) {
    co(1);
    co.await(driver::sleep());
    co(2);
    co.await(driver::sleep());
    return;
    co(3);
  };
  std::vector<int> items;
  driver::run_async([&](auto& co) {
    for (const int item : krait::async_for(co, gen)) {
      items.push_back(item);
    }
  });
  CHECK(items == std::vector{1, 2});
}

TEST_CASE("asyncgen::test_async_gen_asyncio_02") {
  krait::async_generator<int> gen = [](auto& co) {
    co(1);
    co.await(driver::sleep());
    co(2);
    throw zero_division_error();
    co(3);
  };
  std::vector<int> items;
  CHECK(support::is_a<zero_division_error>(raised_by([&] {
    driver::run_async([&](auto& co) {
      for (const int item : krait::async_for(co, gen)) {
        items.push_back(item);
      }
    });
  })));
  CHECK(items == std::vector{1, 2});
}

TEST_CASE("asyncgen::test_async_gen_asyncio_03") {
  struct gen {
    krait::async_generator<int> aiter() {
      return [](auto& co) {
        co(1);
        co.await(driver::sleep());
        co(2);
      };
    }
  };
  std::vector<int> items;
  driver::run_async([&](auto& co) {
    for (const int item : krait::async_for(co, gen())) {
      items.push_back(item);
    }
  });
  CHECK(items == std::vector{1, 2});
}

// Asynchronous generator expressions are written as functions.

namespace {

krait::async_generator<int> arange(int n) {
  return [n](auto& co) {
    for (int i = 0; i < n; ++i) {
      co.await(driver::sleep());
      co(i);
    }
  };
}

template <class T>
concept can_be_iterated = krait::async_iterable<T>;

}  // namespace

TEST_CASE("asyncgen::test_async_gen_expression_01") {
  krait::async_generator<int> doubled = [source = arange(10)](auto& co) mutable {
    for (const int item : krait::async_for(co, source)) {
      co(item * 2);
    }
  };
  std::vector<int> items;
  driver::run_async([&](auto& co) {
    for (const int item : krait::async_for(co, doubled)) {
      items.push_back(item);
    }
  });
  CHECK(items == std::vector{0, 2, 4, 6, 8, 10, 12, 14, 16, 18});
}

TEST_CASE("asyncgen::test_async_gen_expression_02") {
  const auto wrap = [](int n) -> krait::coroutine<void, void, int> {
    return [n](auto& co) {
      co.await(driver::sleep());
      return n;
    };
  };
  krait::async_generator<int> doubled = [&, source = arange(10)](auto& co) mutable {
    for (const int item : krait::async_for(co, source)) {
      if (co.await(wrap(item)) != 0) {
        co(item * 2);
      }
    }
  };
  std::vector<int> items;
  driver::run_async([&](auto& co) {
    for (const int item : krait::async_for(co, doubled)) {
      items.push_back(item);
    }
  });
  CHECK(items == std::vector{2, 4, 6, 8, 10, 12, 14, 16, 18});
}

TEST_CASE("asyncgen::test_async_gen_expression_incorrect") {
  CHECK(can_be_iterated<krait::async_generator<int>>);
  CHECK_FALSE(can_be_iterated<std::nullptr_t>);
  CHECK_FALSE(can_be_iterated<std::vector<int>>);
  CHECK_FALSE(can_be_iterated<krait::generator<int>>);
}
