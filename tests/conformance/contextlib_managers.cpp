// SPDX-License-Identifier: BSL-1.0
#include <doctest/doctest.h>

#include <exception>
#include <functional>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <type_traits>
#include <utility>

#include <krait/krait.hpp>

#include "managers.hpp"
#include "support/support.hpp"

// CPython's test_contextlib.py, but for its stack of exits.

namespace {

using krait::contextmanager;
using krait::suppress;
using krait::with;
using managers::chain_of;
using managers::dummy;
using managers::zero_division_error;
using support::is_a;
using support::journal;
using support::raised_by;

struct name_error : std::runtime_error {
  using std::runtime_error::runtime_error;
};

struct runtime_error_subclass : krait::runtime_error {
  using krait::runtime_error::runtime_error;
};

using stop_iteration = krait::stop_iteration<std::string>;

struct stop_iteration_subclass : stop_iteration {
  using stop_iteration::stop_iteration;
};

/// Nothing but a `yield`.
contextmanager<void> bare() {
  return [](auto& yield) { yield(); };
}

/// Is `error`, raised in the block of a bare manager, the very object that comes out?
template <class Exception>
bool comes_out(const Exception& error) {
  const Exception* raised = nullptr;
  try {
    with(bare(), [&] {
      try {
        throw error;
      } catch (const Exception& e) {
        raised = &e;
        throw;
      }
    });
  } catch (const Exception& e) {
    return &e == raised;
  }
  return false;
}

/// Makes a RuntimeError of what the block raises. Python: `raise RuntimeError(...) from exc`.
contextmanager<void> wrapping(std::string text) {
  return [text = std::move(text)](auto& yield) {
    try {
      yield();
    } catch (const std::exception&) {
      std::throw_with_nested(krait::runtime_error(text));
    }
  };
}

/// What comes out of the block of such a manager, if `error` is raised there.
std::exception_ptr wrapped(const std::string& text, const std::exception_ptr& error) {
  return raised_by([&] { with(wrapping(text), [&] { std::rethrow_exception(error); }); });
}

/// Counts how often it is closed.
struct closable {
  void close() { ++closed; }
  int closed = 0;
};

}  // namespace

TEST_CASE("contextlib::TestAbstractContextManager.test_exit_is_abstract") {
  CHECK(krait::context_manager<managers::lacks_nothing>);
  CHECK_FALSE(krait::context_manager<managers::lacks_exit>);
  CHECK_FALSE(krait::has_exit<managers::lacks_exit>);
}

TEST_CASE("contextlib::TestAbstractContextManager.test_structural_subclassing") {
  CHECK(krait::context_manager<managers::lacks_nothing>);
  CHECK(krait::context_manager<dummy>);
  CHECK_FALSE(krait::context_manager<managers::lacks_enter>);
  CHECK_FALSE(krait::context_manager<managers::lacks_exit>);
}

TEST_CASE("contextlib::ContextManagerTestCase.test_contextmanager_plain") {
  journal state;
  contextmanager<int> woohoo = [&](auto& yield) {
    state("1");
    yield(42);
    state("999");
  };
  with(woohoo, [&](int x) {
    CHECK(state.text() == "1");
    state(std::to_string(x));
  });
  CHECK(state.text() == "1, 42, 999");
}

TEST_CASE("contextlib::ContextManagerTestCase.test_contextmanager_finally") {
  journal state;
  contextmanager<int> woohoo = [&](auto& yield) {
    state("1");
    const support::at_end finally(state, "999");
    yield(42);
    state("not reached");
  };
  const auto block = [&](int x) {
    CHECK(state.text() == "1");
    state(std::to_string(x));
    throw zero_division_error();
  };
  CHECK_THROWS_AS(with(woohoo, block), zero_division_error);
  CHECK(state.text() == "1, 42, 999");
}

TEST_CASE("contextlib::ContextManagerTestCase.test_contextmanager_traceback") {
  CHECK(comes_out(zero_division_error()));
  CHECK(comes_out(runtime_error_subclass("42")));
  CHECK(comes_out(stop_iteration("spam")));
  CHECK(comes_out(stop_iteration_subclass("spam")));
}

TEST_CASE("contextlib::ContextManagerTestCase.test_contextmanager_no_reraise") {
  auto manager = bare();
  manager.enter();
  bool swallowed = true;
  CHECK_NOTHROW(swallowed = manager.exit(std::make_exception_ptr(krait::type_error("foo"))));
  CHECK_FALSE(swallowed);
}

TEST_CASE("contextlib::ContextManagerTestCase.test_contextmanager_trap_yield_after_throw") {
  journal log;
  contextmanager<void> manager = [&](auto& yield) {
    const support::at_end finally(log, "closed");
    try {
      yield();
    } catch (const krait::type_error& error) {
      log(error.what());
      yield();
    }
  };
  manager.enter();
  CHECK_THROWS_WITH_AS(manager.exit(std::make_exception_ptr(krait::type_error("foo"))),
                       "generator didn't stop after throw()", krait::runtime_error);
  CHECK(log.text() == "foo, closed");
}

TEST_CASE("contextlib::ContextManagerTestCase.test_contextmanager_trap_no_yield") {
  contextmanager<void> manager = [](auto& yield) {
    if (false) {
      yield();
    }
  };
  CHECK_THROWS_WITH_AS(manager.enter(), "generator didn't yield", krait::runtime_error);
}

TEST_CASE("contextlib::ContextManagerTestCase.test_contextmanager_trap_second_yield") {
  journal log;
  contextmanager<void> manager = [&](auto& yield) {
    const support::at_end finally(log, "closed");
    yield();
    log("again");
    yield();
  };
  manager.enter();
  CHECK_THROWS_WITH_AS(manager.exit(nullptr), "generator didn't stop", krait::runtime_error);
  CHECK(log.text() == "again, closed");
}

TEST_CASE("contextlib::ContextManagerTestCase.test_contextmanager_except") {
  journal state;
  contextmanager<int> woohoo = [&](auto& yield) {
    state("1");
    try {
      yield(42);
    } catch (const zero_division_error& error) {
      state(error.what());
    }
  };
  const auto block = [&](int x) {
    CHECK(state.text() == "1");
    state(std::to_string(x));
    throw zero_division_error("999");
  };
  CHECK_NOTHROW(with(woohoo, block));
  CHECK(state.text() == "1, 42, 999");
}

TEST_CASE("contextlib::ContextManagerTestCase.test_contextmanager_except_stopiter") {
  CHECK(comes_out(stop_iteration("spam")));
  CHECK(comes_out(stop_iteration_subclass("spam")));
}

// There is no other mode than that of PEP 479.
TEST_CASE("contextlib::ContextManagerTestCase.test_contextmanager_except_pep479") {
  CHECK(comes_out(stop_iteration("spam")));
  CHECK(comes_out(stop_iteration_subclass("spam")));
}

TEST_CASE(
    "contextlib::ContextManagerTestCase.test_contextmanager_do_not_unchain_non_stopiteration_exceptions") {
  const auto error = std::make_exception_ptr(zero_division_error());
  const auto chained = wrapped("issue29692:Chained", error);
  CHECK(is_a<krait::runtime_error>(chained));
  CHECK(chain_of(chained) == "issue29692:Chained <- division by zero");
  CHECK(support::cause_of(chained) == error);

  const auto stop = std::make_exception_ptr(stop_iteration("issue29692:Unchained"));
  const auto unchained = wrapped("issue29692:Chained", stop);
  CHECK(unchained == stop);
  CHECK(support::cause_of(unchained) == nullptr);
}

TEST_CASE("contextlib::ContextManagerTestCase.test_contextmanager_wrap_runtimeerror") {
  const auto error = std::make_exception_ptr(zero_division_error());
  CHECK(chain_of(wrapped("caught", error)) == "caught <- division by zero");
  CHECK(is_a<krait::runtime_error>(wrapped("caught", error)));

  const auto stop = std::make_exception_ptr(krait::stop_iteration<>());
  CHECK(wrapped("caught", stop) == stop);
}

TEST_CASE("contextlib::ContextManagerTestCase.test_nokeepref") {
  bool entered = false;
  const auto woohoo = [&](std::shared_ptr<int> a, std::shared_ptr<int> b) -> contextmanager<void> {
    return [&entered, a = std::move(a), b = std::move(b)](auto& yield) mutable {
      const std::weak_ptr<int> weak_a = std::exchange(a, nullptr);
      const std::weak_ptr<int> weak_b = std::exchange(b, nullptr);
      CHECK(weak_a.expired());
      CHECK(weak_b.expired());
      entered = true;
      yield();
    };
  };
  with(woohoo(std::make_shared<int>(1), std::make_shared<int>(2)), [] {});
  CHECK(entered);
}

TEST_CASE("contextlib::ContextManagerTestCase.test_recursive") {
  int depth = 0;
  int entries = 0;
  const auto woohoo = [&]() -> contextmanager<void> {
    return [&](auto& yield) {
      const int before = depth;
      ++depth;
      ++entries;
      yield();
      --depth;
      CHECK(depth == before);
    };
  };
  std::function<void()> recursive;
  recursive = krait::context_decorator(woohoo, [&] {
    if (depth < 10) {
      recursive();
    }
  });
  recursive();
  CHECK(depth == 0);
  CHECK(entries == 10);
}

TEST_CASE("contextlib::ClosingTestCase.test_closing") {
  closable x;
  with(krait::closing(x), [&](closable& y) {
    CHECK(&y == &x);
    CHECK(x.closed == 0);
  });
  CHECK(x.closed == 1);
}

TEST_CASE("contextlib::ClosingTestCase.test_closing_error") {
  closable x;
  const auto block = [&](closable& y) {
    CHECK(&y == &x);
    throw zero_division_error();
  };
  CHECK_THROWS_AS(with(krait::closing(x), block), zero_division_error);
  CHECK(x.closed == 1);
}

TEST_CASE("contextlib::NullcontextTestCase.test_nullcontext") {
  closable c;
  const closable* given = nullptr;
  with(krait::nullcontext(c), [&](closable& c_in) { given = &c_in; });
  CHECK(given == &c);
  CHECK(c.closed == 0);
}

TEST_CASE("contextlib::TestContextDecorator.test_contextdecorator") {
  dummy context;
  with(context, [&](dummy& result) {
    CHECK(&result == &context);
    CHECK(context.inside());
  });
  CHECK(context.left_once_by(nullptr));
}

TEST_CASE("contextlib::TestContextDecorator.test_contextdecorator_with_exception") {
  const auto error = std::make_exception_ptr(name_error("foo"));
  const auto block = [&] { std::rethrow_exception(error); };
  dummy context;
  CHECK(raised_by([&] { with(context, block); }) == error);
  CHECK(context.left_once_by(error));

  dummy swallowing(true);
  CHECK(raised_by([&] { with(swallowing, block); }) == nullptr);
  CHECK(swallowing.left_once_by(error));
}

TEST_CASE("contextlib::TestContextDecorator.test_decorator") {
  dummy context;
  int calls = 0;
  auto test = krait::context_decorator([&]() -> dummy& { return context; },
                                       [&] {
                                         CHECK(context.inside());
                                         ++calls;
                                       });
  CHECK(context.entered == 0);
  test();
  CHECK(calls == 1);
  CHECK(context.left_once_by(nullptr));
}

TEST_CASE("contextlib::TestContextDecorator.test_decorator_with_exception") {
  const auto error = std::make_exception_ptr(name_error("foo"));
  dummy context;
  auto test = krait::context_decorator([&]() -> dummy& { return context; },
                                       [&] {
                                         CHECK(context.inside());
                                         std::rethrow_exception(error);
                                       });
  CHECK(raised_by(test) == error);
  CHECK(context.left_once_by(error));
}

TEST_CASE("contextlib::TestContextDecorator.test_decorating_method") {
  struct test {
    void method(std::string new_a, std::string new_b, std::optional<std::string> new_c = {}) {
      a = std::move(new_a);
      b = std::move(new_b);
      c = std::move(new_c);
    }
    std::string a;
    std::string b;
    std::optional<std::string> c;
  };
  auto method = krait::context_decorator(
      [] { return dummy(); }, [](test& self, auto... arguments) { self.method(std::move(arguments)...); });
  test two;
  method(two, "1", "2");
  CHECK(two.a == "1");
  CHECK(two.b == "2");
  CHECK(two.c == std::nullopt);

  test three;
  method(three, "a", "b", "c");
  CHECK(three.a == "a");
  CHECK(three.b == "b");
  CHECK(three.c == "c");
}

TEST_CASE("contextlib::TestContextDecorator.test_typo_enter") {
  struct typo : managers::lacks_enter {
    void unter() {}
  };
  CHECK_FALSE(krait::context_manager<typo>);
  CHECK(krait::has_exit<typo>);
}

TEST_CASE("contextlib::TestContextDecorator.test_typo_exit") {
  struct typo : managers::lacks_exit {
    void uxit(const std::exception_ptr&) {}
  };
  CHECK_FALSE(krait::context_manager<typo>);
  CHECK_FALSE(krait::has_exit<typo>);
}

TEST_CASE("contextlib::TestContextDecorator.test_contextmanager_as_decorator") {
  journal state;
  const auto woohoo = [&]() -> contextmanager<void> {
    return [&](auto& yield) {
      state("1");
      yield();
      state("999");
    };
  };
  auto test = krait::context_decorator(woohoo, [&](const char* x) {
    CHECK(state.text() == "1");
    state(x);
  });
  test("something");
  CHECK(state.text() == "1, something, 999");

  state.clear();
  test("something else");
  CHECK(state.text() == "1, something else, 999");
}

TEST_CASE("contextlib::TestSuppress.test_no_result_from_enter") {
  CHECK(std::is_void_v<decltype(std::declval<suppress<krait::value_error>&>().enter())>);
  bool called = false;
  with(suppress<krait::value_error>(), [&] { called = true; });
  CHECK(called);
}

TEST_CASE("contextlib::TestSuppress.test_no_exception") {
  CHECK(with(suppress<krait::value_error>(), [] { return 1 << 5; }) == 32);
}

TEST_CASE("contextlib::TestSuppress.test_exact_exception") {
  CHECK_NOTHROW(with(suppress<krait::type_error>(), [] { throw krait::type_error("len(5)"); }));
}

TEST_CASE("contextlib::TestSuppress.test_exception_hierarchy") {
  CHECK_NOTHROW(with(suppress<std::logic_error>(), [] { static_cast<void>(std::string("Hello").at(50)); }));
}

TEST_CASE("contextlib::TestSuppress.test_other_exception") {
  CHECK_THROWS_AS(with(suppress<krait::type_error>(), [] { throw zero_division_error(); }),
                  zero_division_error);
}

TEST_CASE("contextlib::TestSuppress.test_no_args") {
  CHECK_THROWS_AS(with(suppress<>(), [] { throw zero_division_error(); }), zero_division_error);
}

TEST_CASE("contextlib::TestSuppress.test_multiple_exception_args") {
  using either = suppress<zero_division_error, krait::type_error>;
  CHECK_NOTHROW(with(either(), [] { throw zero_division_error(); }));
  CHECK_NOTHROW(with(either(), [] { throw krait::type_error("len(5)"); }));
}

TEST_CASE("contextlib::TestSuppress.test_cm_is_reentrant") {
  suppress<std::exception> ignore_exceptions;
  bool outer_continued = false;
  CHECK_NOTHROW(with(ignore_exceptions, [] {}));
  CHECK_NOTHROW(with(ignore_exceptions, [] { throw krait::type_error("len(5)"); }));
  CHECK_NOTHROW(with(ignore_exceptions, [&] {
    with(ignore_exceptions, [] { throw krait::type_error("len(5)"); });
    outer_continued = true;
    throw zero_division_error();
  }));
  CHECK(outer_continued);
}
