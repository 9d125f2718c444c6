// SPDX-License-Identifier: BSL-1.0
#include <doctest/doctest.h>

#include <exception>
#include <optional>
#include <stdexcept>
#include <string>
#include <tuple>
#include <utility>

#include <krait/krait.hpp>

#include "managers.hpp"
#include "support/driver.hpp"

// CPython's test_asyncgen.py: asend(), athrow() and aclose() as coroutines await them. Where CPython's tests
// cancel a future, these raise an exception in what is awaited.

namespace {

using driver::run_async;
using driver::sleep;
using krait::async_generator;
using krait::stop_async_iteration;
using krait::try_finally;
using managers::zero_division_error;
using support::raised_by;
using optional_int = std::optional<int>;

struct foo_error : std::runtime_error {
  foo_error() : std::runtime_error("foo") {}
};

/// Waits twice.
template <class Awaiter>
void sleep_twice(Awaiter& co) {
  co.await(sleep());
  co.await(sleep());
}

/// The message that awaiting `make()` raises.
template <class Awaiter, class Operation>
std::string raised_in(Awaiter& co, Operation operation) {
  return support::text_of(raised_by([&] { static_cast<void>(co.await(std::move(operation))); }));
}

constexpr const char* ignored = "krait::runtime_error: async generator ignored GeneratorExit";

/// Waits long, unless it is cancelled.
krait::coroutine<void> sleep_long() {
  return [](auto& co) {
    for (int i = 0; i < 1000; ++i) {
      co.await(sleep());
    }
  };
}

/// Runs a coroutine until a generator sets `waiting`, and cancels it then.
std::exception_ptr cancelled_when(const bool& waiting, krait::coroutine<void> c) {
  while (!waiting) {
    c.send();
  }
  const auto error = std::make_exception_ptr(driver::cancelled_error());
  return raised_by([&] {
    for (bool going_on = c.resume_with(error).yielded(); going_on;) {
      going_on = c.resume().yielded();
    }
  });
}

}  // namespace

TEST_CASE("asyncgen::test_async_gen_asyncio_aclose_06") {
  async_generator<int> gen = [](auto& co) {
    try_finally(
        [&] {
          co(1);
          throw zero_division_error();
        },
        [&] {
          co.await(sleep());
          co(12);
        });
  };
  run_async([&](auto& co) {
    CHECK(co.await(gen.aiter().anext()) == 1);
    CHECK(raised_in(co, gen.aclose()) == ignored);
  });
}

TEST_CASE("asyncgen::test_async_gen_asyncio_aclose_07") {
  int done = 0;
  async_generator<int> gen = [&](auto& co) {
    try_finally(
        [&] {
          co(1);
          throw zero_division_error();
        },
        [&] {
          sleep_twice(co);
          ++done;
        });
    done += 1000;
  };
  run_async([&](auto& co) {
    CHECK(co.await(gen.aiter().anext()) == 1);
    co.await(gen.aclose());
  });
  CHECK(done == 1);
}

TEST_CASE("asyncgen::test_async_gen_asyncio_aclose_08") {
  int done = 0;
  async_generator<int> gen = [&](auto& co) {
    try_finally(
        [&] {
          co(1);
          co.await(sleep_long());
          done += 1000;
          co(2);
        },
        [&] {
          sleep_twice(co);
          ++done;
        });
    done += 1000;
  };
  run_async([&](auto& co) {
    CHECK(co.await(gen.aiter().anext()) == 1);
    co.await(gen.aclose());
  });
  CHECK(done == 1);
}

TEST_CASE("asyncgen::test_async_gen_asyncio_aclose_10") {
  const auto swallowing = [](auto& yield) {
    try {
      yield();
    } catch (...) {
    }
  };
  krait::generator<void> plain = swallowing;
  plain.next();
  plain.close();

  int done = 0;
  async_generator<void> g = [&](auto& co) {
    swallowing(co);
    done = 1;
  };
  run_async([&](auto& co) {
    co.await(g.anext());
    co.await(g.aclose());
    done += 10;
  });
  CHECK(done == 11);
}

TEST_CASE("asyncgen::test_async_gen_asyncio_aclose_11") {
  const auto ignoring = [](auto& yield) {
    try {
      yield();
    } catch (...) {
    }
    yield();
  };
  krait::generator<void> plain = ignoring;
  plain.next();
  CHECK_THROWS_WITH_AS(plain.close(), "generator ignored GeneratorExit", krait::runtime_error);

  int done = 0;
  async_generator<void> g = [&](auto& co) {
    ignoring(co);
    ++done;
  };
  run_async([&](auto& co) {
    co.await(g.anext());
    CHECK(raised_in(co, g.aclose()) == ignored);
    done += 10;
  });
  CHECK(done == 10);
}

TEST_CASE("asyncgen::test_async_gen_asyncio_aclose_12") {
  int done = 0;
  const auto target = []() -> krait::coroutine<void> {
    return [](auto& co) {
      co.await(sleep());
      throw zero_division_error();
    };
  };
  async_generator<int> gen = [&](auto& co) {
    krait::coroutine<void> task = target();
    try_finally([&] { co(1); },
                [&] {
                  try {
                    co.await(task);
                  } catch (const zero_division_error&) {
                    done = 1;
                  }
                });
  };
  run_async([&](auto& co) {
    co.await(gen.aiter().anext());
    co.await(gen.aclose());
  });
  CHECK(done == 1);
}

TEST_CASE("asyncgen::test_async_gen_asyncio_asend_01") {
  krait::generator<int, optional_int> plain = [](auto& yield) {
    const optional_int v = yield(1);
    yield(*v * 2);
  };
  CHECK(plain.send(std::nullopt) == 1);
  CHECK(plain.send(100) == 200);

  int done = 0;
  async_generator<int, optional_int> g = [&](auto& co) {
    try_finally(
        [&] {
          co.await(sleep());
          const optional_int v = co(1);
          co.await(sleep());
          co(*v * 2);
          co.await(sleep());
        },
        [&] {
          sleep_twice(co);
          ++done;
        });
  };
  run_async([&](auto& co) {
    CHECK(co.await(g.asend(std::nullopt)) == 1);
    CHECK(co.await(g.asend(100)) == 200);
    CHECK_THROWS_AS(co.await(g.asend(std::nullopt)), stop_async_iteration);
  });
  CHECK(done == 1);
}

TEST_CASE("asyncgen::test_async_gen_asyncio_asend_02") {
  int done = 0;
  const auto sleep_and_crash = []() -> krait::coroutine<void> {
    return [](auto& co) {
      co.await(sleep());
      throw zero_division_error();
    };
  };
  async_generator<int, optional_int> g = [&](auto& co) {
    try_finally(
        [&] {
          co.await(sleep());
          const optional_int v = co(1);
          co.await(sleep_and_crash());
          done += 1000;
          co(*v * 2);
        },
        [&] {
          sleep_twice(co);
          ++done;
        });
  };
  run_async([&](auto& co) {
    CHECK(co.await(g.asend(std::nullopt)) == 1);
    CHECK_THROWS_AS(co.await(g.asend(100)), zero_division_error);
  });
  CHECK(done == 1);
}

TEST_CASE("asyncgen::test_async_gen_asyncio_asend_03") {
  int done = 0;
  bool waiting = false;
  async_generator<int, optional_int> g = [&](auto& co) {
    try_finally(
        [&] {
          co.await(sleep());
          const optional_int v = co(1);
          waiting = true;
          co.await(sleep_long());
          done += 1000;
          co(*v * 2);
        },
        [&] {
          sleep_twice(co);
          ++done;
        });
  };
  const auto raised = cancelled_when(waiting, [&](auto& co) {
    CHECK(co.await(g.asend(std::nullopt)) == 1);
    co.await(g.asend(100));
    done += 1000;
  });
  CHECK(support::is_a<driver::cancelled_error>(raised));
  CHECK(done == 1);
}

TEST_CASE("asyncgen::test_async_gen_asyncio_athrow_01") {
  krait::generator<int, optional_int> plain = [](auto& yield) {
    optional_int v;
    try {
      v = yield(1);
    } catch (const foo_error&) {
      v = 1000;
    }
    yield(*v * 2);
  };
  CHECK(plain.send(std::nullopt) == 1);
  CHECK(plain.throw_(foo_error()) == 2000);
  CHECK_THROWS_AS(plain.send(std::nullopt), krait::stop_iteration<>);

  int done = 0;
  async_generator<int, optional_int> g = [&](auto& co) {
    try_finally(
        [&] {
          co.await(sleep());
          optional_int v;
          try {
            v = co(1);
          } catch (const foo_error&) {
            v = 1000;
            co.await(sleep());
          }
          co(*v * 2);
          co.await(sleep());
        },
        [&] {
          sleep_twice(co);
          ++done;
        });
  };
  run_async([&](auto& co) {
    CHECK(co.await(g.asend(std::nullopt)) == 1);
    CHECK(co.await(g.athrow(foo_error())) == 2000);
    CHECK_THROWS_AS(co.await(g.asend(std::nullopt)), stop_async_iteration);
  });
  CHECK(done == 1);
}

TEST_CASE("asyncgen::test_async_gen_asyncio_athrow_02") {
  int done = 0;
  bool waiting = false;
  async_generator<int, optional_int> g = [&](auto& co) {
    try_finally(
        [&] {
          co.await(sleep());
          try {
            co(1);
          } catch (const foo_error&) {
            waiting = true;
            co.await(sleep_long());
          }
          done += 1000;
        },
        [&] {
          sleep_twice(co);
          ++done;
        });
  };
  const auto raised = cancelled_when(waiting, [&](auto& co) {
    CHECK(co.await(g.asend(std::nullopt)) == 1);
    co.await(g.athrow(foo_error()));
    done += 1000;
  });
  CHECK(support::is_a<driver::cancelled_error>(raised));
  CHECK(done == 1);
}

TEST_CASE("asyncgen::test_async_gen_asyncio_athrow_03") {
  const auto swallowing = [](auto& yield) {
    try {
      yield();
    } catch (...) {
    }
  };
  krait::generator<void> plain = swallowing;
  plain.next();
  CHECK_THROWS_AS(plain.throw_(krait::value_error("")), krait::stop_iteration<>);

  int done = 0;
  async_generator<void> g = [&](auto& co) {
    swallowing(co);
    done = 1;
  };
  run_async([&](auto& co) {
    co.await(g.anext());
    CHECK_THROWS_AS(co.await(g.athrow(krait::value_error(""))), stop_async_iteration);
    done += 10;
  });
  CHECK(done == 11);
}

TEST_CASE("asyncgen::test_async_gen_asyncio_athrow_tuple") {
  using item = std::tuple<int>;
  async_generator<item> g = [](auto& co) {
    try {
      co(item(1));
    } catch (const zero_division_error&) {
      co(item(2));
    }
  };
  run_async([&](auto& co) {
    CHECK((co.await(g.anext()) == item(1)));
    CHECK((co.await(g.athrow(zero_division_error())) == item(2)));
    CHECK_THROWS_AS(co.await(g.anext()), stop_async_iteration);
  });
}

TEST_CASE("asyncgen::test_async_gen_asyncio_athrow_stopiteration") {
  using stop = krait::stop_iteration<int>;
  async_generator<stop> g = [](auto& co) {
    try {
      co(stop(1));
    } catch (const zero_division_error&) {
      co(stop(2));
    }
  };
  run_async([&](auto& co) {
    CHECK(co.await(g.anext()).value() == 1);
    CHECK(co.await(g.athrow(zero_division_error()))->value() == 2);
    CHECK_THROWS_AS(co.await(g.anext()), stop_async_iteration);
  });
}
