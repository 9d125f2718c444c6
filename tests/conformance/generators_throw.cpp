// SPDX-License-Identifier: BSL-1.0
#include <doctest/doctest.h>
#include <krait/krait.hpp>

#include <exception>
#include <optional>
#include <stdexcept>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "support/support.hpp"

// CPython's cases on throw, on exceptions that leave a body (PEP 479 too), and on the exceptions that a body
// handles (generators.cases.tsv).

namespace {

using krait::generator;
using krait::try_finally;
using krait::value_error;
using support::at_end;
using support::cause_of;
using support::given;
using support::handled;
using support::journal;
using support::lent;
using support::raised_by;
using support::state;
using support::stop_value;
using support::text_of;

/// No std::exception, as KeyboardInterrupt is no Exception.
struct keyboard_interrupt {};

struct key_error : std::out_of_range {
  using std::out_of_range::out_of_range;
};
constexpr auto key_error_a = "(anonymous namespace)::key_error: a";

struct zero_division_error : std::domain_error {
  zero_division_error() : std::domain_error("division by zero") {}
};

int divide(int a, int b) {
  if (b == 0) {
    throw zero_division_error();
  }
  return a / b;
}

/// Python: list(g).
template <class Generator>
auto list(Generator&& g) {
  std::vector<typename std::remove_cvref_t<Generator>::yield_type> all;
  for (auto&& item : g) {
    all.push_back(std::forward<decltype(item)>(item));
  }
  return all;
}

/// Notes, when an exception passes, within which handler that was raised: what Python keeps as the
/// exception's __context__ is in C++ the handled exception of the moment.
class raised_within {
 public:
  explicit raised_within(journal& log) : log_(log) {}
  raised_within(const raised_within&) = delete;
  raised_within& operator=(const raised_within&) = delete;
  ~raised_within() {
    if (std::uncaught_exceptions() > before_) {
      log_(handled());
    }
  }

 private:
  journal& log_;
  int before_ = std::uncaught_exceptions();
};

bool is_linked(const std::exception& error) {
  return dynamic_cast<const std::nested_exception*>(&error) != nullptr;
}

/// The generator that CPython's cases on throw() use: prints what it is sent, and each ValueError.
generator<void, std::optional<int>> printer(journal& printed) {
  return [&printed](auto& yield) {
    for (;;) {
      try {
        const std::optional<int> sent = yield();
        printed(sent.has_value() ? std::to_string(*sent) : "none");
      } catch (const value_error& error) {
        printed(std::string("caught ValueError (") + error.what() + ")");
      }
    }
  };
}

}  // namespace

TEST_CASE("generators::sigint_into_yield_from") {
  using interruptible = generator<void, void, std::string>;
  const auto check = [](auto way) {
    journal log;
    interruptible inner = [](auto& yield) {
      try {
        yield();
      } catch (const keyboard_interrupt&) {
        return "PASSED";
      }
      return "FAILED";
    };
    interruptible outer = [&](auto& yield) {
      try {
        std::string answer = yield.from(way.pass(inner));
        log("inner returned");
        return answer;
      } catch (const keyboard_interrupt&) {
        log("interrupted in outer");
        throw;
      }
    };
    outer.next();
    CHECK(stop_value<std::string>([&] { outer.throw_(keyboard_interrupt()); }) == "PASSED");
    CHECK(log.text() == "inner returned");
  };
  check(given());
  check(lent());
}

TEST_CASE("generators::issue103488") {
  journal log;
  bool leave_early = false;
  const auto loop = [&]() -> std::string {
    try {
      generator<void> yields_and_raises = [](auto& yield) {
        yield();
        throw value_error("on resuming");
      };
      while (yields_and_raises.resume().yielded()) {
        log("item");
        if (leave_early) {
          return "left early";
        }
      }
      return "fell off the end";
    } catch (const value_error& error) {
      return error.what();
    }
  };
  CHECK(loop() == "on resuming");
  CHECK(log.text() == "item");

  const auto ranged_loop = [&]() -> std::string {
    generator<int> yields_and_raises = [](auto& yield) {
      yield(1);
      throw value_error("on resuming");
    };
    try {
      for (int i : yields_and_raises) {
        log(std::to_string(i));
        if (leave_early) {
          return "left early";
        }
      }
      return "fell off the end";
    } catch (const value_error& error) {
      return error.what();
    }
  };
  CHECK(ranged_loop() == "on resuming");
  CHECK(log.text() == "item, 1");
}

TEST_CASE("generators::except_throw") {
  journal seen;
  generator<void> make = [&](auto& yield) {
    try {
      seen(handled());
      yield();
    } catch (const std::exception& error) {
      seen(handled());
      seen(is_linked(error) ? "with a context" : "no context");
      yield();
      seen(handled());
      yield();
      throw;
    }
  };
  make.next();
  std::exception_ptr thrown;
  try {
    throw value_error("kept");
  } catch (...) {
    thrown = std::current_exception();
    make.throw_(thrown);
    CHECK(std::current_exception() == thrown);
  }
  make.next();
  std::exception_ptr back;
  try {
    make.next();
  } catch (const value_error& error) {
    back = std::current_exception();
    CHECK_FALSE(is_linked(error));
  }
  CHECK(back == thrown);
  CHECK(handled() == "none");
  CHECK(seen.text() == "none, krait::value_error: kept, no context, krait::value_error: kept");
}

TEST_CASE("generators::except_throw_exception_context") {
  // Of what is handled, a body sees its own part: its resumer's ValueError is not there once its own handlers
  // are left. The context is explicit.
  journal seen;
  generator<std::string> g = [&](auto& yield) {
    try {
      try {
        seen(handled());
        yield("started");
      } catch (const value_error&) {
        seen(handled());
        std::throw_with_nested(krait::type_error("new"));
      }
    } catch (const krait::type_error& error) {
      seen(error.what());
      seen("from " + text_of(cause_of(std::current_exception())));
    }
    seen(handled());
    yield("handled");
    seen(handled());
    yield("done");
  };
  g.next();
  try {
    throw value_error("thrown");
  } catch (...) {
    CHECK(g.throw_(std::current_exception()) == "handled");
    CHECK(handled() == "krait::value_error: thrown");
  }
  CHECK(g.next() == "done");
  CHECK(handled() == "none");
  CHECK(seen.text() ==
        "none, krait::value_error: thrown, new, from krait::value_error: thrown, none, "
        "none");
}

TEST_CASE("generators::stopiteration_error") {
  generator<int> g = [](auto&) { throw krait::stop_iteration<>(); };
  CHECK_THROWS_WITH_AS(g.next(), "generator raised StopIteration", krait::runtime_error);
  CHECK(g.state() == state::closed);
}

TEST_CASE("generators::tutorial_stopiteration") {
  generator<int> g = [](auto& yield) {
    yield(1);
    throw krait::stop_iteration<>();
    yield(2);
  };
  CHECK(g.next() == 1);
  CHECK_THROWS_WITH_AS(g.next(), "generator raised StopIteration", krait::runtime_error);
  CHECK(g.state() == state::closed);
}

TEST_CASE("generators::throw_context_yield") {
  journal log;
  generator<void> g = [&](auto& yield) {
    try {
      throw key_error("a");
    } catch (const std::exception&) {
      const raised_within context(log);
      yield();
    }
  };
  g.next();
  const std::exception_ptr thrown = std::make_exception_ptr(value_error("thrown"));
  CHECK(raised_by([&] { g.throw_(thrown); }) == thrown);
  CHECK(log.text() == key_error_a);
}

TEST_CASE("generators::throw_context_yield_inside") {
  journal log;
  generator<std::string> g = [&](auto& yield) {
    try {
      throw key_error("a");
    } catch (const std::exception&) {
      try {
        const raised_within context(log);
        yield("a");
      } catch (const std::exception&) {
        log(handled());
        yield("b");
        log(handled());
      }
      log(handled());
    }
  };
  CHECK(g.next() == "a");
  CHECK(g.throw_(value_error("thrown")) == "b");
  CHECK(log.text() == std::string(key_error_a) + ", krait::value_error: thrown");
  log.clear();
  CHECK(g.resume().returned());
  CHECK(log.text() == std::string("krait::value_error: thrown, ") + key_error_a);
}

TEST_CASE("generators::throw_context_yield_from") {
  const auto check = [](auto way) {
    journal log;
    generator<void> inner = [&](auto& yield) {
      const raised_within context(log);
      yield();
    };
    generator<void> g = [&](auto& yield) {
      try {
        throw key_error("a");
      } catch (const std::exception&) {
        const raised_within context(log);
        yield.from(way.pass(inner));
      }
    };
    g.next();
    const std::exception_ptr thrown = std::make_exception_ptr(value_error("thrown"));
    CHECK(raised_by([&] { g.throw_(thrown); }) == thrown);
    CHECK(log.text() == std::string("none, ") + key_error_a);
  };
  check(given());
  check(lent());
}

TEST_CASE("generators::throw_context_cycle") {
  struct linked_error : key_error, std::nested_exception {
    using key_error::key_error;
  };
  const auto check = [](auto way) {
    journal log;
    std::exception_ptr caught;
    std::exception_ptr context;
    generator<void> inner = [](auto& yield) { yield(); };
    const std::exception_ptr thrown = std::make_exception_ptr(linked_error("a"));
    generator<void> g = [&](auto& yield) {
      try {
        std::rethrow_exception(thrown);
      } catch (const std::exception&) {
        try {
          yield.from(way.pass(inner));
        } catch (const linked_error& error) {
          caught = std::current_exception();
          context = error.nested_ptr();
        }
        log(std::current_exception() == thrown ? "handling it still" : "lost");
      }
      yield();
    };
    g.next();
    g.throw_(thrown);
    CHECK(caught == thrown);
    CHECK(context == nullptr);
    CHECK(log.text() == "handling it still");
    CHECK(g.resume().returned());
  };
  check(given());
  check(lent());
}

TEST_CASE("generators::throw_after_none_exc_type") {
  generator<void> g = [](auto& yield) {
    try {
      throw key_error("handled");
    } catch (const key_error&) {
    }
    try {
      yield();
    } catch (const std::exception&) {
      throw krait::runtime_error("instead");
    }
  };
  g.next();
  CHECK(text_of(raised_by([&] { g.throw_(value_error("thrown")); })) == "krait::runtime_error: instead");
}

TEST_CASE("generators::doc.pep.exception_propagation") {
  const auto f = [] { return divide(1, 0); };
  generator<int> k = [&](auto& yield) {
    yield(f());
    yield(42);
  };
  CHECK_THROWS_WITH_AS(k.next(), "division by zero", zero_division_error);
  CHECK_THROWS_AS(k.next(), krait::stop_iteration<>);
}

TEST_CASE("generators::doc.pep.try_except_finally") {
  generator<int> f = [](auto& yield) {
    try {
      yield(1);
      try {
        yield(2);
        divide(1, 0);
        yield(3);
      } catch (const zero_division_error&) {
        yield(4);
        yield(5);
        throw;
      } catch (...) {
        yield(6);
      }
      yield(7);
    } catch (...) {
      yield(8);
    }
    yield(9);
    try_finally([] {}, [&] { yield(10); });
    yield(11);
  };
  CHECK(list(f) == std::vector{1, 2, 4, 5, 8, 9, 10, 11});
}

TEST_CASE("generators::doc.syntax.nested_try_yields") {
  generator<int> f = [](auto& yield) {
    try {
      try {
        yield(12);
        divide(1, 0);
      } catch (const zero_division_error&) {
        yield(666);
      } catch (...) {
        try_finally([] {}, [&] { yield(12); });
      }
    } catch (...) {
      return;
    }
  };
  CHECK(list(f) == std::vector{12, 666});
}

TEST_CASE("generators::doc.coroutine.throw_type") {
  journal printed;
  auto g = printer(printed);
  g.next();
  g.throw_(value_error(""));
  CHECK(printed.text() == "caught ValueError ()");
  CHECK(g.state() == state::suspended);
}

TEST_CASE("generators::doc.coroutine.throw_instance") {
  journal printed;
  auto g = printer(printed);
  g.next();
  g.throw_(value_error("xyz"));
  CHECK(printed.text() == "caught ValueError (xyz)");

  generator<int> counting = [](auto& yield) {
    for (int i = 0;; ++i) {
      try {
        yield(i);
      } catch (const value_error&) {
      }
    }
  };
  CHECK(counting.next() == 0);
  CHECK(counting.throw_(value_error("xyz")) == 1);
}

TEST_CASE("generators::doc.coroutine.throw_from_handler") {
  journal printed;
  auto g = printer(printed);
  g.next();
  try {
    throw value_error("");
  } catch (...) {
    g.throw_(std::current_exception());
    CHECK(handled() == "krait::value_error: ");
  }
  CHECK(printed.text() == "caught ValueError ()");
  g.send(1);
  CHECK(printed.text() == "caught ValueError (), 1");
}

TEST_CASE("generators::doc.coroutine.throw_terminates") {
  journal printed;
  auto g = printer(printed);
  g.next();
  std::exception_ptr thrown;
  std::exception_ptr back;
  try {
    throw krait::type_error("unhandled");
  } catch (...) {
    thrown = std::current_exception();
    back = raised_by([&] { g.throw_(thrown); });
    CHECK(std::current_exception() == thrown);
  }
  CHECK(back == thrown);
  CHECK(text_of(back) == "krait::type_error: unhandled");
  CHECK(g.state() == state::closed);
  CHECK_THROWS_AS(g.send(2), krait::stop_iteration<>);
  CHECK(printed.text() == "");
}

TEST_CASE("generators::doc.coroutine.throw_closed") {
  journal printed;
  auto g = printer(printed);
  g.next();
  g.close();
  const std::exception_ptr thrown = std::make_exception_ptr(value_error("6"));
  const std::exception_ptr back = raised_by([&] { g.throw_(thrown); });
  CHECK(back == thrown);
  CHECK(text_of(back) == "krait::value_error: 6");
  CHECK(printed.text() == "");
}

TEST_CASE("generators::doc.coroutine.throw_new") {
  journal ran;
  generator<int> g = [&](auto& yield) {
    ran("body");
    try {
      yield(1);
    } catch (...) {
      ran("caught");
    }
  };
  const std::exception_ptr thrown = std::make_exception_ptr(value_error("7"));
  const std::exception_ptr back = raised_by([&] { g.throw_(thrown); });
  CHECK(back == thrown);
  CHECK(text_of(back) == "krait::value_error: 7");
  CHECK(g.state() == state::closed);
  CHECK(ran.text() == "");
}

TEST_CASE("generator_stop::wrapping") {
  const auto helper = []() -> int { throw krait::stop_iteration<>(); };
  journal log;
  generator<int> g = [&](auto& yield) {
    const at_end unwound(log, "unwound");
    yield(helper());
  };
  CHECK_THROWS_WITH_AS(g.next(), "generator raised StopIteration", krait::runtime_error);
  CHECK_THROWS_AS(g.next(), krait::stop_iteration<>);
  CHECK(log.text() == "unwound");
}

TEST_CASE("generator_stop::wrapping_context") {
  // The cause is also the only context that there is.
  const std::exception_ptr stop = std::make_exception_ptr(krait::stop_iteration<int>(3));
  const auto helper = [&]() -> int { std::rethrow_exception(stop); };
  generator<int> g = [&](auto& yield) { yield(helper()); };
  const std::exception_ptr error = raised_by([&] { g.next(); });
  CHECK_THROWS_WITH_AS(std::rethrow_exception(error), "generator raised StopIteration", krait::runtime_error);
  REQUIRE(cause_of(error) == stop);
  CHECK(stop_value<int>([&] { std::rethrow_exception(cause_of(error)); }) == 3);
}
