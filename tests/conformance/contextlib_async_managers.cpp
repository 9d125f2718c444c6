// SPDX-License-Identifier: BSL-1.0
#include <doctest/doctest.h>

#include <exception>
#include <functional>
#include <optional>
#include <stdexcept>
#include <string>
#include <utility>

#include <krait/krait.hpp>

#include "managers.hpp"
#include "support/driver.hpp"
#include "support/probes.hpp"

// CPython's test_contextlib_async.py, but for its stack of exits, and what of test_with.py is about `async
// with`.

namespace {

using driver::run_async;
using driver::sleep;
using krait::async_with;
using krait::asynccontextmanager;
using managers::zero_division_error;
using support::is_a;
using support::journal;
using support::raised_by;

using stop_iteration = krait::stop_iteration<std::string>;
using krait::stop_async_iteration;

struct runtime_error_subclass : krait::runtime_error {
  using krait::runtime_error::runtime_error;
};
struct stop_iteration_subclass : stop_iteration {
  using stop_iteration::stop_iteration;
};
struct stop_async_iteration_subclass : stop_async_iteration {};
struct name_error : std::runtime_error {
  using std::runtime_error::runtime_error;
};
struct type_error : std::runtime_error {
  using std::runtime_error::runtime_error;
};

/// Nothing but a `yield`.
asynccontextmanager<void> bare() {
  return [](auto& co) { co(); };
}

/// Is `error`, raised in the block of a bare manager, the very object that comes out?
template <class Exception>
bool comes_out(const Exception& error) {
  const Exception* raised = nullptr;
  bool same = false;
  run_async([&](auto& co) {
    try {
      async_with(co, bare(), [&] {
        try {
          throw error;
        } catch (const Exception& e) {
          raised = &e;
          throw;
        }
      });
    } catch (const Exception& e) {
      same = &e == raised;
    }
  });
  return same;
}

/// Notes when it is entered and left.
asynccontextmanager<void> tracking(bool& entered) {
  return [&](auto& co) {
    const probes::at_exit leave([&] { entered = false; });
    co.await(sleep());
    entered = true;
    co();
    co.await(sleep());
  };
}

struct async_manager {
  krait::coroutine<void> aenter();
  krait::coroutine<void> aexit(const std::exception_ptr&);
};
struct lacks_aenter {
  krait::coroutine<void> aexit(const std::exception_ptr&);
};
struct lacks_aexit {
  krait::coroutine<void> aenter();
};
struct returns_no_awaitables {
  int aenter() { return 1; }
  void aexit(const std::exception_ptr&) {}
};

}  // namespace

TEST_CASE("contextlib_async::TestAbstractAsyncContextManager.test_async_gen_propagates_generator_exit") {
  krait::async_generator<int> g = [](auto& co) { async_with(co, bare(), [&] { co(11); }); };
  run_async([&](auto& co) {
    for (const int value : krait::async_for(co, g)) {
      CHECK(value == 11);
      break;
    }
    CHECK_NOTHROW(co.await(g.aclose()));
  });
  CHECK(g.done());
}

TEST_CASE("contextlib_async::TestAbstractAsyncContextManager.test_exit_is_abstract") {
  CHECK(krait::async_context_manager<async_manager>);
  CHECK_FALSE(krait::async_context_manager<lacks_aexit>);
}

TEST_CASE("contextlib_async::TestAbstractAsyncContextManager.test_structural_subclassing") {
  CHECK(krait::async_context_manager<async_manager>);
  CHECK(krait::async_context_manager<asynccontextmanager<int>>);
  CHECK_FALSE(krait::async_context_manager<lacks_aenter>);
  CHECK_FALSE(krait::async_context_manager<lacks_aexit>);
  CHECK_FALSE(krait::async_context_manager<returns_no_awaitables>);
}

TEST_CASE("contextlib_async::AsyncContextManagerTestCase.test_contextmanager_plain") {
  journal state;
  asynccontextmanager<int> woohoo = [&](auto& co) {
    state("1");
    co.await(sleep());
    co(42);
    co.await(sleep());
    state("999");
  };
  run_async([&](auto& co) {
    async_with(co, woohoo, [&](int x) {
      CHECK(state.text() == "1");
      state(std::to_string(x));
    });
  });
  CHECK(state.text() == "1, 42, 999");
}

TEST_CASE("contextlib_async::AsyncContextManagerTestCase.test_contextmanager_finally") {
  journal state;
  asynccontextmanager<int> woohoo = [&](auto& co) {
    state("1");
    krait::try_finally([&] { co(42); },
                       [&] {
                         co.await(sleep());
                         state("999");
                       });
  };
  run_async([&](auto& co) {
    CHECK_THROWS_AS(async_with(co, woohoo,
                               [&](int x) {
                                 CHECK(state.text() == "1");
                                 state(std::to_string(x));
                                 throw zero_division_error();
                               }),
                    zero_division_error);
  });
  CHECK(state.text() == "1, 42, 999");
}

TEST_CASE("contextlib_async::AsyncContextManagerTestCase.test_contextmanager_traceback") {
  CHECK(comes_out(zero_division_error()));
  CHECK(comes_out(runtime_error_subclass("issue29692")));
  CHECK(comes_out(stop_iteration("issue29692")));
  CHECK(comes_out(stop_iteration_subclass("issue29692")));
  CHECK(comes_out(stop_async_iteration()));
  CHECK(comes_out(stop_async_iteration_subclass()));
}

TEST_CASE("contextlib_async::AsyncContextManagerTestCase.test_contextmanager_no_reraise") {
  asynccontextmanager<void> whee = bare();
  run_async([&](auto& co) {
    co.await(whee.aenter());
    // Not raised anew, but reported as not swallowed.
    CHECK_FALSE(co.await(whee.aexit(std::make_exception_ptr(type_error("foo")))));
  });
}

TEST_CASE("contextlib_async::AsyncContextManagerTestCase.test_contextmanager_trap_yield_after_throw") {
  bool closed = false;
  asynccontextmanager<void> whoo = [&](auto& co) {
    const probes::at_exit note([&] { closed = true; });
    try {
      co();
    } catch (const type_error&) {
      co();
    }
  };
  run_async([&](auto& co) {
    co.await(whoo.aenter());
    CHECK_THROWS_WITH_AS(co.await(whoo.aexit(std::make_exception_ptr(type_error("foo")))),
                         "generator didn't stop after athrow()", krait::runtime_error);
    CHECK(closed);
  });
}

TEST_CASE("contextlib_async::AsyncContextManagerTestCase.test_contextmanager_trap_no_yield") {
  asynccontextmanager<void> whoo = [](auto&) {};
  run_async([&](auto& co) {
    CHECK_THROWS_WITH_AS(co.await(whoo.aenter()), "generator didn't yield", krait::runtime_error);
  });
}

TEST_CASE("contextlib_async::AsyncContextManagerTestCase.test_contextmanager_trap_second_yield") {
  bool closed = false;
  asynccontextmanager<void> whoo = [&](auto& co) {
    const probes::at_exit note([&] { closed = true; });
    co();
    co();
  };
  run_async([&](auto& co) {
    co.await(whoo.aenter());
    CHECK_THROWS_WITH_AS(co.await(whoo.aexit(nullptr)), "generator didn't stop", krait::runtime_error);
    CHECK(closed);
  });
}

TEST_CASE("contextlib_async::AsyncContextManagerTestCase.test_contextmanager_except") {
  journal state;
  asynccontextmanager<int> woohoo = [&](auto& co) {
    state("1");
    try {
      co(42);
    } catch (const zero_division_error& e) {
      co.await(sleep());
      state(e.what());
    }
  };
  run_async([&](auto& co) {
    async_with(co, woohoo, [&](int x) {
      CHECK(state.text() == "1");
      state(std::to_string(x));
      throw zero_division_error("999");
    });
  });
  CHECK(state.text() == "1, 42, 999");
}

TEST_CASE("contextlib_async::AsyncContextManagerTestCase.test_contextmanager_except_stopiter") {
  CHECK(comes_out(stop_iteration("spam")));
  CHECK(comes_out(stop_iteration_subclass("spam")));
  CHECK(comes_out(stop_async_iteration()));
  CHECK(comes_out(stop_async_iteration_subclass()));
}

TEST_CASE("contextlib_async::AsyncContextManagerTestCase.test_contextmanager_wrap_runtimeerror") {
  const auto woohoo = []() -> asynccontextmanager<void> {
    return [](auto& co) {
      try {
        co();
      } catch (const std::exception& e) {
        std::throw_with_nested(krait::runtime_error(std::string("caught ") + e.what()));
      }
    };
  };
  run_async([&](auto& co) {
    const auto division = std::make_exception_ptr(zero_division_error());
    const auto raised =
        raised_by([&] { async_with(co, woohoo(), [&] { std::rethrow_exception(division); }); });
    CHECK(is_a<krait::runtime_error>(raised));
    CHECK(managers::chain_of(raised) == "caught division by zero <- division by zero");
    CHECK(support::cause_of(raised) == division);

    const auto stop = std::make_exception_ptr(stop_async_iteration());
    CHECK(raised_by([&] { async_with(co, woohoo(), [&] { std::rethrow_exception(stop); }); }) == stop);
  });
}

TEST_CASE("contextlib_async::AsyncContextManagerTestCase.test_recursive") {
  int depth = 0;
  int managers_made = 0;
  const auto woohoo = [&]() -> asynccontextmanager<void> {
    return [&](auto& co) {
      ++managers_made;
      const int before = depth;
      ++depth;
      co();
      --depth;
      CHECK(depth == before);
    };
  };
  std::function<krait::coroutine<void>()> recursive;
  auto decorated = krait::async_context_decorator(woohoo, [&]() -> krait::coroutine<void> {
    return [&](auto& co) {
      if (depth < 10) {
        co.await(recursive());
      }
    };
  });
  recursive = [&]() -> krait::coroutine<void> { return [&](auto& co) { co.await(decorated()); }; };
  driver::run(recursive());
  CHECK(managers_made == 10);
  CHECK(depth == 0);
}

TEST_CASE("contextlib_async::AsyncContextManagerTestCase.test_decorator") {
  bool entered = false;
  auto test = krait::async_context_decorator([&] { return tracking(entered); },
                                             [&]() -> krait::coroutine<void> {
                                               return [&](auto& co) {
                                                 co.await(sleep());
                                                 CHECK(entered);
                                               };
                                             });
  CHECK_FALSE(entered);
  run_async([&](auto& co) {
    co.await(test());
    CHECK_FALSE(entered);
    co.await(test());
  });
  CHECK_FALSE(entered);
}

TEST_CASE("contextlib_async::AsyncContextManagerTestCase.test_decorator_with_exception") {
  bool entered = false;
  auto test = krait::async_context_decorator([&] { return tracking(entered); },
                                             [&]() -> krait::coroutine<void> {
                                               return [&](auto&) {
                                                 CHECK(entered);
                                                 throw name_error("foo");
                                               };
                                             });
  CHECK_FALSE(entered);
  run_async([&](auto& co) { CHECK_THROWS_WITH_AS(co.await(test()), "foo", name_error); });
  CHECK_FALSE(entered);
}

TEST_CASE("contextlib_async::AsyncContextManagerTestCase.test_decorating_method") {
  struct test {
    krait::coroutine<void> method(int first, int second, std::optional<int> third) {
      return [=, this](auto&) {
        a = first;
        b = second;
        c = third;
      };
    }
    int a = 0;
    int b = 0;
    std::optional<int> c;
  };
  auto method = krait::async_context_decorator(bare, &test::method);
  test object;
  run_async([&](auto& co) {
    co.await(method(&object, 1, 2, std::nullopt));
    CHECK(object.a == 1);
    CHECK(object.b == 2);
    CHECK(object.c == std::nullopt);
    co.await(method(&object, 3, 4, 5));
    CHECK(object.a == 3);
    CHECK(object.b == 4);
    CHECK(object.c == 5);
  });
}

// aclosing() and nullcontext().

namespace {

struct closable {
  krait::coroutine<void> aclose() {
    return [this](auto& co) {
      co.await(sleep());
      ++closed;
    };
  }
  int closed = 0;
};

}  // namespace

TEST_CASE("contextlib_async::AclosingTestCase.test_aclosing") {
  closable x;
  run_async([&](auto& co) {
    async_with(co, krait::aclosing(x), [&](closable& y) {
      CHECK(&y == &x);
      CHECK(x.closed == 0);
    });
  });
  CHECK(x.closed == 1);
}

TEST_CASE("contextlib_async::AclosingTestCase.test_aclosing_error") {
  closable x;
  run_async([&](auto& co) {
    CHECK_THROWS_AS(async_with(co, krait::aclosing(x),
                               [&](closable& y) {
                                 CHECK(&y == &x);
                                 throw zero_division_error();
                               }),
                    zero_division_error);
  });
  CHECK(x.closed == 1);
}

TEST_CASE("contextlib_async::AclosingTestCase.test_aclosing_bpo41229") {
  journal state;
  const auto sync_resource = [&]() -> krait::contextmanager<void> {
    return [&](auto& yield) {
      const support::at_end release(state, "released");
      yield();
    };
  };
  krait::async_generator<int> x = [&](auto& co) {
    krait::with(sync_resource(), [&] {
      co(-1);
      co(-2);
    });
  };
  run_async([&](auto& co) {
    try {
      async_with(co, krait::aclosing(x), [&](auto& y) {
        CHECK(&y == &x);
        CHECK(co.await(x.anext()) == -1);
        CHECK(state.text().empty());
        throw zero_division_error();
      });
    } catch (const zero_division_error& e) {
      state(e.what());
    }
  });
  CHECK(state.text() == "released, division by zero");
}

TEST_CASE("contextlib_async::TestAsyncNullcontext.test_async_nullcontext") {
  struct content {};
  content c;
  run_async([&](auto& co) {
    content* given = nullptr;
    async_with(co, krait::nullcontext(c), [&](content& c_in) { given = &c_in; });
    CHECK(given == &c);
    bool run = false;
    async_with(co, krait::nullcontext(), [&] { run = true; });
    CHECK(run);
  });
}

// What is no manager is refused by the compiler.

TEST_CASE("with::FailureTestCase.testWithForAsyncManager") {
  CHECK(krait::async_context_manager<async_manager>);
  CHECK_FALSE(krait::context_manager<async_manager>);
}

TEST_CASE("with::FailureTestCase.testAsyncEnterAttributeError") {
  CHECK_FALSE(krait::async_context_manager<lacks_aenter>);
}

TEST_CASE("with::FailureTestCase.testAsyncExitAttributeError") {
  CHECK_FALSE(krait::async_context_manager<lacks_aexit>);
  CHECK_FALSE(krait::async_context_manager<managers::lacks_both>);
}

TEST_CASE("with::FailureTestCase.testAsyncWithForSyncManager") {
  CHECK(krait::context_manager<managers::dummy>);
  CHECK_FALSE(krait::async_context_manager<managers::dummy>);
}
