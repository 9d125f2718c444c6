// SPDX-License-Identifier: BSL-1.0
#include <doctest/doctest.h>

#include <exception>
#include <stdexcept>
#include <string>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

#include <krait/krait.hpp>

#include "coroutines.hpp"
#include "managers.hpp"
#include "support/support.hpp"

// CPython's test_coroutines.py: `async with`.

namespace {

using coroutines::outcome;
using coroutines::run;
using coroutines::yielding_from;
using coroutines::zero_division_error;
using krait::async_context_manager;
using krait::async_with;
using krait::coroutine;
using managers::chain_of;
using support::journal;
using support::raised_by;

using none = std::monostate;
template <class Return = void>
using talking = coroutine<std::string, void, Return>;

/// Waits twice when it is entered and when it is left; B swallows.
struct named {
  talking<named*> aenter() {
    return [this](auto& co) {
      co.await(yielding_from<std::string>{{"enter-1-" + name, "enter-2-" + name}});
      return this;
    };
  }
  talking<bool> aexit(const std::exception_ptr&) {
    return [this](auto& co) {
      co.await(yielding_from<std::string>{{"exit-1-" + name, "exit-2-" + name}});
      return name == "B";
    };
  }
  std::string name;
};

/// `async with A as a, second as b`, whose body tells who is there and then fails.
talking<> within_two(std::string second) {
  return [second](auto& co) {
    async_with(co, named{"A"}, [&](named* a) {
      async_with(co, named{second}, [&](named* b) {
        co.await(yielding_from<std::string>{{"managers " + a->name + " " + b->name}});
        throw zero_division_error();
      });
    });
  };
}

/// What most managers do when they are entered, and when they are left.
struct quiet {
  coroutine<int, void, quiet*> aenter() {
    return [this](auto&) { return this; };
  }
  coroutine<int> aexit(const std::exception_ptr&) {
    return [](auto&) {};
  }
};

/// Fails when it is left, because of what it is left by.
struct failing_at_exit : quiet {
  coroutine<int> aexit(const std::exception_ptr& exception) {
    return [exception](auto&) {
      if (exception == nullptr) {
        throw zero_division_error();
      }
      try {
        std::rethrow_exception(exception);
      } catch (...) {
        std::throw_with_nested(zero_division_error());
      }
    };
  }
};

struct bad_enter {
  int aenter() { return 123; }
  int aexit(const std::exception_ptr&) { return 456; }
};
struct bad_exit : quiet {
  int aexit(const std::exception_ptr&) { return 456; }
};

}  // namespace

TEST_CASE("coroutines::CoroutineTest.test_with_1") {
  CHECK(run(within_two("B")) ==
        outcome<std::string, none>{{"enter-1-A", "enter-2-A", "enter-1-B", "enter-2-B", "managers A B",
                                    "exit-1-B", "exit-2-B", "exit-1-A", "exit-2-A"},
                                   {}});
  CHECK_THROWS_AS(run(within_two("C")), zero_division_error);
}

TEST_CASE("coroutines::CoroutineTest.test_with_2") {
  struct lacks_exit {
    coroutine<int> aenter() {
      return [](auto&) {};
    }
  };
  static_assert(async_context_manager<quiet>);
  static_assert(!async_context_manager<lacks_exit>);
}

TEST_CASE("coroutines::CoroutineTest.test_with_3") {
  struct lacks_enter {
    coroutine<int> aexit(const std::exception_ptr&) {
      return [](auto&) {};
    }
  };
  static_assert(!async_context_manager<lacks_enter>);
}

TEST_CASE("coroutines::CoroutineTest.test_with_4") {
  static_assert(!async_context_manager<managers::lacks_both>);
  static_assert(!async_context_manager<managers::lacks_nothing>);
}

TEST_CASE("coroutines::CoroutineTest.test_with_5") {
  struct assertion_error {};
  coroutine<int> func = [](auto& co) { async_with(co, quiet(), [] { throw assertion_error(); }); };
  CHECK_THROWS_AS(run(func), assertion_error);
}

TEST_CASE("coroutines::CoroutineTest.test_with_6") {
  static_assert(!async_context_manager<bad_enter>);
}

TEST_CASE("coroutines::CoroutineTest.test_with_7") {
  static_assert(!async_context_manager<bad_exit>);
}

TEST_CASE("coroutines::CoroutineTest.test_with_8") {
  static_assert(!async_context_manager<bad_exit>);
  int cnt = 0;
  const auto check_fails = [&](coroutine<int> foo, int count) {
    CHECK_THROWS_AS(run(foo), zero_division_error);
    CHECK(cnt == count);
  };
  check_fails(
      [&](auto& co) {
        const krait::entered within(krait::awaited(co, failing_at_exit()));
        ++cnt;
      },
      1);
  check_fails(
      [&](auto& co) {
        for (int i = 0; i != 2; ++i) {
          const krait::entered within(krait::awaited(co, failing_at_exit()));
          ++cnt;
          break;
        }
      },
      2);
  check_fails(
      [&](auto& co) {
        for (int i = 0; i != 2; ++i) {
          const krait::entered within(krait::awaited(co, failing_at_exit()));
          ++cnt;
          continue;
        }
      },
      3);
  check_fails(
      [&](auto& co) {
        const krait::entered within(krait::awaited(co, failing_at_exit()));
        ++cnt;
        return;
      },
      4);
}

TEST_CASE("coroutines::CoroutineTest.test_with_9") {
  int cnt = 0;
  coroutine<int> foo = [&](auto& co) { async_with(co, failing_at_exit(), [&] { ++cnt; }); };
  CHECK_THROWS_AS(run(foo), zero_division_error);
  CHECK(cnt == 1);
}

TEST_CASE("coroutines::CoroutineTest.test_with_10") {
  coroutine<int> foo = [](auto& co) {
    async_with(co, failing_at_exit(),
               [&] { async_with(co, failing_at_exit(), [] { throw std::runtime_error("of the body"); }); });
  };
  const std::exception_ptr raised = raised_by([&] { run(foo); });
  CHECK(support::is_a<zero_division_error>(raised));
  CHECK(chain_of(raised) == "division by zero <- division by zero <- of the body");
}

TEST_CASE("coroutines::CoroutineTest.test_with_11") {
  struct not_implemented_error {};
  struct cm {
    coroutine<int> aenter() {
      return [](auto&) { throw not_implemented_error(); };
    }
    coroutine<int> aexit(const std::exception_ptr&) {
      return [](auto&) { throw zero_division_error(); };
    }
  };
  coroutine<int> foo = [](auto& co) {
    async_with(co, cm(), [] { throw std::runtime_error("of the body"); });
  };
  const std::exception_ptr raised = raised_by([&] { run(foo); });
  CHECK(support::is_a<not_implemented_error>(raised));
  CHECK(support::cause_of(raised) == nullptr);
}

TEST_CASE("coroutines::CoroutineTest.test_with_12") {
  struct swallowing : quiet {
    coroutine<int, void, bool> aexit(const std::exception_ptr&) {
      return [](auto&) { return true; };
    }
  };
  bool reached = false;
  coroutine<int> foo = [&](auto& co) {
    swallowing manager;
    async_with(co, manager, [&](auto cm) {
      CHECK(cm == &manager);
      reached = true;
      throw std::runtime_error("of the body");
    });
  };
  CHECK(run(foo) == outcome<int, none>());
  CHECK(reached);
}

TEST_CASE("coroutines::CoroutineTest.test_with_13") {
  struct cm {
    coroutine<int> aenter() {
      return [](auto&) { throw zero_division_error(); };
    }
    coroutine<int, void, bool> aexit(const std::exception_ptr&) {
      return [](auto&) { return true; };
    }
  };
  int cnt = 0;
  coroutine<int> foo = [&](auto& co) {
    ++cnt;
    async_with(co, cm(), [&] { cnt += 1000; });
    cnt += 10000;
  };
  CHECK_THROWS_AS(run(foo), zero_division_error);
  CHECK(cnt == 1);
}

TEST_CASE("coroutines::CoroAsyncIOCompatTest.test_asyncio_1") {
  struct my_exception : std::runtime_error {
    my_exception() : std::runtime_error("MyException") {}
  };
  using sleeping = coroutine<double>;
  const auto sleep = [](double seconds) {
    return krait::awaitable_generator<double>([seconds](auto& yield) { yield(seconds); });
  };
  journal buffer;
  struct cm {
    sleeping aenter() {
      return [this](auto& co) {
        log("1");
        co.await(wait(0.01));
        log("2");
      };
    }
    sleeping aexit(std::exception_ptr exception) {
      return [this, exception](auto& co) {
        co.await(wait(0.01));
        log(support::is_a<my_exception>(exception) ? "MyException" : "something else");
      };
    }
    journal& log;
    decltype(sleep)& wait;
  };
  sleeping f = [&](auto& co) {
    async_with(co, cm{buffer, sleep}, [&] {
      co.await(sleep(0.01));
      throw my_exception();
    });
    buffer("unreachable");
  };

  // A loop that has nobody else to run while the coroutine sleeps.
  std::vector<double> slept;
  const auto run_until_complete = [&] {
    for (;;) {
      slept.push_back(f.send());
    }
  };
  CHECK_THROWS_AS(run_until_complete(), my_exception);
  CHECK(slept == std::vector{0.01, 0.01, 0.01});
  CHECK(buffer.text() == "1, 2, MyException");
}
