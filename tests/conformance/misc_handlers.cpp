// SPDX-License-Identifier: BSL-1.0
#include <doctest/doctest.h>

#include <exception>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <utility>

#include <krait/krait.hpp>

#include "support/support.hpp"

// CPython's test_raise.py and test_exceptions.py, as far as they are about generators: handlers within a body
// and handlers around its resumptions do not get in each other's way.

namespace {

using krait::generator;
using support::handled;
using support::is_a;
using support::raised_by;
using support::text_of;
using support::unraisables;

struct key_error : std::runtime_error {
  key_error() : std::runtime_error("caught") {}
};

struct zero_division_error : std::runtime_error {
  zero_division_error() : std::runtime_error("division by zero") {}
};

/// Yields the exception being handled: twice in a handler, and once after it.
generator<std::exception_ptr> yield_raise() {
  return [](auto& yield) {
    try {
      throw key_error();
    } catch (const key_error&) {
      yield(std::current_exception());
      yield(std::current_exception());
    }
    yield(std::current_exception());
  };
}

/// An exception that owns something.
struct owning_exception {
  std::shared_ptr<int> object;
};

/// Suspends a generator in the handler of an exception that is the only owner of an object, and calls `end`
/// with it. Is the object gone then?
template <class End>
bool frees_exception(End end) {
  std::weak_ptr<int> object;
  generator<int, std::optional<int>> g = [&object](auto& yield) {
    try {
      auto owned = std::make_shared<int>(1);
      object = owned;
      throw owning_exception{std::move(owned)};
    } catch (const owning_exception&) {
      yield(1);
    }
  };
  CHECK(g.next() == 1);
  CHECK(object.use_count() == 1);
  end(g);
  return object.expired();
}

}  // namespace

TEST_CASE("raise::TestRaise.test_yield_reraise") {
  const void* thrown = nullptr;
  generator<int> g = [&](auto& yield) {
    try {
      throw krait::type_error("foo");
    } catch (const krait::type_error& error) {
      thrown = &error;
      yield(1);
      throw;
    }
  };
  CHECK(g.next() == 1);
  try {
    g.next();
    FAIL("it went on");
  } catch (const krait::type_error& error) {
    CHECK(&error == thrown);
  }
  CHECK_THROWS_AS(g.next(), krait::stop_iteration<>);
}

TEST_CASE("raise::TestContext.test_3118") {
  std::optional<generator<int>> g(std::in_place, [](auto& yield) { yield(1); });
  CHECK(g->next() == 1);
  const std::exception_ptr outer = std::make_exception_ptr(krait::value_error("outer"));
  std::exception_ptr context;
  const std::exception_ptr inner = raised_by([&] {
    try {
      std::rethrow_exception(outer);
    } catch (const krait::value_error&) {
      g.reset();
      context = std::current_exception();
      std::throw_with_nested(key_error());
    }
  });
  CHECK(context == outer);
  CHECK(is_a<key_error>(inner));
  CHECK(support::cause_of(inner) == outer);
  CHECK(std::current_exception() == nullptr);
}

TEST_CASE("raise::TestContext.test_3611") {
  const unraisables reported;
  std::optional<generator<int>> x(std::in_place, [](auto& yield) {
    try {
      yield(1);
    } catch (const krait::generator_exit&) {
      try {
        throw zero_division_error();
      } catch (const zero_division_error&) {
        throw;
      }
    }
  });
  CHECK(x->next() == 1);
  const std::exception_ptr outer = std::make_exception_ptr(krait::attribute_error("f.x"));
  std::exception_ptr context;
  const std::exception_ptr inner = raised_by([&] {
    try {
      std::rethrow_exception(outer);
    } catch (const krait::attribute_error&) {
      x.reset();
      context = std::current_exception();
      std::throw_with_nested(krait::type_error("inner"));
    }
  });
  CHECK(context == outer);
  CHECK(is_a<krait::type_error>(inner));
  CHECK(support::cause_of(inner) == outer);
  CHECK(reported.count() == 1);
  CHECK(is_a<zero_division_error>(reported.at(0).exception));
}

// Where CPython's generator sees the TypeError of its resumer after its own handler, krait's sees none.
TEST_CASE("exceptions::ExceptionTests.test_generator_leaking") {
  {
    auto g = yield_raise();
    CHECK(is_a<key_error>(g.next()));
    CHECK(std::current_exception() == nullptr);
    CHECK(is_a<key_error>(g.next()));
    CHECK(std::current_exception() == nullptr);
    CHECK(g.next() == nullptr);
  }
  try {
    throw krait::type_error("foo");
  } catch (const krait::type_error&) {
    const std::exception_ptr error = std::current_exception();
    {
      auto g = yield_raise();
      CHECK(is_a<key_error>(g.next()));
      CHECK(std::current_exception() == error);
      CHECK(is_a<key_error>(g.next()));
      CHECK(std::current_exception() == error);
      CHECK(g.next() == nullptr);
      CHECK(std::current_exception() == error);
    }
    CHECK(std::current_exception() == error);
  }
  CHECK(std::current_exception() == nullptr);
}

TEST_CASE("exceptions::ExceptionTests.test_generator_leaking2") {
  generator<int> it = [](auto& yield) { yield(1); };
  try {
    throw krait::runtime_error("");
  } catch (const krait::runtime_error&) {
    CHECK(it.next() == 1);
    CHECK(is_a<krait::runtime_error>(std::current_exception()));
  }
  CHECK_THROWS_AS(it.next(), krait::stop_iteration<>);
  CHECK(std::current_exception() == nullptr);
}

TEST_CASE("exceptions::ExceptionTests.test_generator_leaking3") {
  generator<std::exception_ptr> it = [](auto& yield) {
    try {
      yield(nullptr);
    } catch (const zero_division_error&) {
      yield(std::current_exception());
    }
  };
  CHECK(it.next() == nullptr);
  try {
    throw zero_division_error();
  } catch (const zero_division_error&) {
    const std::exception_ptr e = std::current_exception();
    CHECK(it.throw_(e) == e);
    CHECK(std::current_exception() == e);
  }
  CHECK(std::current_exception() == nullptr);
}

TEST_CASE("exceptions::ExceptionTests.test_generator_leaking4") {
  std::exception_ptr own;
  generator<std::exception_ptr> it = [&](auto& yield) {
    try {
      throw zero_division_error();
    } catch (const zero_division_error&) {
      own = std::current_exception();
      yield(own);
      throw;
    }
  };
  std::exception_ptr seen;
  try {
    throw krait::type_error("");
  } catch (const krait::type_error&) {
    seen = it.next();
    CHECK(is_a<krait::type_error>(std::current_exception()));
  }
  CHECK(is_a<zero_division_error>(seen));
  try {
    it.next();
    FAIL("it went on");
  } catch (const zero_division_error&) {
    CHECK(std::current_exception() == own);
  }
  CHECK(std::current_exception() == nullptr);
}

TEST_CASE("exceptions::ExceptionTests.test_generator_finalizing_and_sys_exception") {
  bool finalised = false;
  const auto run_gen = [&] {
    generator<int> gen = [&](auto& yield) {
      try {
        yield(1);
      } catch (const krait::generator_exit&) {
        finalised = true;
        throw;
      }
    };
    try {
      throw krait::runtime_error("");
    } catch (const krait::runtime_error&) {
      return gen.next();
    }
  };
  CHECK(run_gen() == 1);
  CHECK(finalised);
  CHECK(std::current_exception() == nullptr);
  CHECK(std::uncaught_exceptions() == 0);
}

TEST_CASE("exceptions::ExceptionTests.test_generator_throw_cleanup_exc_state") {
  CHECK(frees_exception(
      [](auto& g) { CHECK_THROWS_AS(g.throw_(krait::runtime_error("")), krait::runtime_error); }));
}

TEST_CASE("exceptions::ExceptionTests.test_generator_close_cleanup_exc_state") {
  CHECK(frees_exception([](auto& g) { g.close(); }));
}

TEST_CASE("exceptions::ExceptionTests.test_generator_del_cleanup_exc_state") {
  CHECK(frees_exception([](auto& g) { const auto dropped = std::move(g); }));
}

TEST_CASE("exceptions::ExceptionTests.test_generator_next_cleanup_exc_state") {
  CHECK(frees_exception([](auto& g) { CHECK_THROWS_AS(g.next(), krait::stop_iteration<>); }));
}

TEST_CASE("exceptions::ExceptionTests.test_generator_send_cleanup_exc_state") {
  CHECK(frees_exception([](auto& g) { CHECK_THROWS_AS(g.send(std::nullopt), krait::stop_iteration<>); }));
}

TEST_CASE("exceptions::ExceptionTests.test_yield_in_nested_try_excepts") {
  struct main_error {};
  struct sub_error {};
  bool caught = false;
  generator<void, std::optional<int>> main = [&](auto& yield) {
    try {
      throw main_error();
    } catch (const main_error&) {
      try {
        yield();
      } catch (const sub_error&) {
        caught = true;
      }
      throw;
    }
  };
  main.send(std::nullopt);
  CHECK_THROWS_AS(main.throw_(sub_error()), main_error);
  CHECK(caught);
}

TEST_CASE("exceptions::ExceptionTests.test_generator_doesnt_retain_old_exc2") {
  std::string after_handler;
  generator<int> gen = [&](auto& yield) {
    try {
      throw krait::value_error("");
    } catch (const krait::value_error&) {
      yield(1);
    }
    after_handler = handled();
    yield(2);
  };
  try {
    throw std::out_of_range("index");
  } catch (const std::out_of_range&) {
    CHECK(gen.next() == 1);
    CHECK(handled() == "std::out_of_range: index");
  }
  CHECK(gen.next() == 2);
  CHECK(after_handler == "none");
  CHECK(handled() == "none");
}
