// SPDX-License-Identifier: BSL-1.0
#include <doctest/doctest.h>

#include <exception>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <tuple>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

#include <krait/krait.hpp>

#include "support/support.hpp"
#include "three_ways.hpp"

// CPython's test_yield_from.py: TestPEP380Operation, on return values, GeneratorExit and re-entrancy. What
// delegates to a generator does so in three ways: it is given away, lent, or behind an iterator written by
// hand.

namespace {

using krait::generator;
using support::given;
using support::journal;
using support::lent;
using support::raised_by;
using support::text_of;

/// What Python's generators return in these tests: None, 1, (2,) and StopIteration(3).
using value = std::variant<std::monostate, int, std::tuple<int>, krait::stop_iteration<int>>;

std::string repr(const value& v) {
  switch (v.index()) {
    case 0:
      return "None";
    case 1:
      return std::to_string(std::get<1>(v));
    case 2:
      return "(" + std::to_string(std::get<0>(std::get<2>(v))) + ",)";
    default:
      return "StopIteration(" + std::to_string(std::get<3>(v).value()) + ")";
  }
}

std::string repr(const krait::stop_iteration<value>& stop) {
  return !stop.has_value()           ? "StopIteration without a value"
         : stop.value().index() == 0 ? "StopIteration()"
                                     : "StopIteration(" + repr(stop.value()) + ")";
}

std::vector<value> none_and_more() {
  return {value(), 1, std::tuple(2), krait::stop_iteration<int>(3)};
}

using support::by_hand;
using support::each_way;

/// Delegates to `f` and notes whether it comes to more. Yields nothing but None.
template <class How>
generator<void> entering(journal& trace, generator<void>& f) {
  return [&](auto& yield) {
    trace("Enter g");
    yield.from(How::pass(f));
    trace("Exit g");
  };
}

std::vector<int> list(generator<int, std::optional<int>>& items) {
  std::vector<int> all;
  for (const int item : items) {
    all.push_back(item);
  }
  return all;
}

const std::vector<int> zero_to_three = {0, 1, 2, 3};

struct my_error : std::runtime_error {
  my_error() : std::runtime_error("my error") {}
};

}  // namespace

// C++ has the value of a StopIteration, and no arguments to make a text of.
TEST_CASE("yield_from::test_value_attribute_of_StopIteration_exception") {
  journal trace;
  const auto pex = [&](const krait::stop_iteration<std::string>& e) {
    trace(e.what());
    trace("value = " + (e.has_value() ? e.value() : "None"));
  };
  krait::stop_iteration<std::string> e;
  pex(e);
  CHECK_THROWS_AS(e.value(), std::bad_optional_access);
  e = krait::stop_iteration<std::string>("spam");
  pex(e);
  e.value() = "eggs";
  pex(e);
  CHECK(trace.text() ==
        "StopIteration, value = None, StopIteration, value = spam, StopIteration, value = eggs");
}

TEST_CASE("yield_from::test_exception_value_crash") {
  using result = std::unique_ptr<std::vector<int>, void (*)(std::vector<int>*)>;
  static int freed = 0;
  freed = 0;
  each_way([](auto how) {
    std::vector<std::string> items;
    {
      generator<std::string, void, result> g2 = [](auto& yield) {
        yield("g2");
        return result(new std::vector<int>{42}, [](std::vector<int>* list) {
          freed += list->at(0);
          delete list;
        });
      };
      generator<std::string> g1 = [&](auto& yield) { yield.from(how.pass(g2)); };
      for (const std::string& item : g1) {
        items.push_back(item);
      }
    }
    CHECK(items == std::vector<std::string>{"g2"});
    CHECK(freed == 42);
  });
}

TEST_CASE("yield_from::test_generator_return_value") {
  using returning = generator<std::string, void, value>;
  each_way([](auto how) {
    journal trace;
    const auto g2 = [&trace](value v = {}) -> returning {
      return [&trace, v](auto& yield) {
        trace("Starting g2");
        yield("g2 spam");
        yield("g2 more spam");
        trace("Finishing g2");
        return v;
      };
    };
    generator<std::string> g1 = [&](auto& yield) {
      trace("Starting g1");
      yield("g1 ham");
      for (const value& v : none_and_more()) {
        returning inner = g2(v);
        trace("g2 returned " + repr(yield.from(how.pass(inner))));
      }
      yield("g1 eggs");
      trace("Finishing g1");
    };
    for (const std::string& x : g1) {
      trace("Yielded " + x);
    }
    const std::string run_of_g2 =
        "Starting g2, Yielded g2 spam, Yielded g2 more spam, Finishing g2, g2 returned ";
    CHECK(trace.text() == "Starting g1, Yielded g1 ham, " + run_of_g2 + "None, " + run_of_g2 + "1, " +
                              run_of_g2 + "(2,), " + run_of_g2 +
                              "StopIteration(3), Yielded g1 eggs, Finishing g1");
  });
}

TEST_CASE("yield_from::test_next_and_return_with_value") {
  journal trace;
  const auto g = [&](const value& r) -> generator<void, void, value> {
    return [&trace, r](auto& yield) {
      trace("g starting");
      yield();
      trace("g returning " + repr(r));
      return r;
    };
  };
  for (const value& r : none_and_more()) {
    auto gi = g(r);
    gi.next();
    try {
      trace("f resuming g");
      gi.next();
      trace("f SHOULD NOT BE HERE");
    } catch (const krait::stop_iteration<value>& e) {
      trace("f caught " + repr(e));
    }
  }
  CHECK(trace.text() ==
        "g starting, f resuming g, g returning None, f caught StopIteration(), "
        "g starting, f resuming g, g returning 1, f caught StopIteration(1), "
        "g starting, f resuming g, g returning (2,), f caught StopIteration((2,)), "
        "g starting, f resuming g, g returning StopIteration(3), f caught StopIteration(StopIteration(3))");
}

TEST_CASE("yield_from::test_send_and_return_with_value") {
  journal trace;
  const auto g = [&](const value& r) -> generator<void, std::optional<std::string>, value> {
    return [&trace, r](auto& yield) {
      trace("g starting");
      trace("g received " + yield().value());
      trace("g returning " + repr(r));
      return r;
    };
  };
  for (const value& r : none_and_more()) {
    auto gi = g(r);
    gi.next();
    try {
      trace("f sending spam to g");
      gi.send("spam");
      trace("f SHOULD NOT BE HERE");
    } catch (const krait::stop_iteration<value>& e) {
      trace("f caught " + repr(e));
    }
  }
  const std::string start = "g starting, f sending spam to g, g received spam, g returning ";
  CHECK(trace.text() == start + "None, f caught StopIteration(), " + start +
                            "1, f caught StopIteration(1), " + start +
                            "(2,), f caught StopIteration((2,)), " + start +
                            "StopIteration(3), f caught StopIteration(StopIteration(3))");
}

TEST_CASE("yield_from::test_catching_exception_from_subgen_and_returning") {
  each_way([](auto how) {
    for (const value& returned : std::vector<value>{2, std::tuple(2), krait::stop_iteration<int>(2)}) {
      journal trace;
      generator<value, void, value> inner = [&](auto& yield) {
        try {
          yield(1);
        } catch (const krait::value_error&) {
          trace("inner caught ValueError");
        }
        return returned;
      };
      generator<value> g = [&](auto& yield) {
        const value v = yield.from(how.pass(inner));
        trace("inner returned " + repr(v) + " to outer");
        yield(v);
      };
      trace(repr(g.next()));
      trace(repr(g.throw_(krait::value_error(""))));
      const std::string r = repr(returned);
      CHECK(trace.text() == "1, inner caught ValueError, inner returned " + r + " to outer, " + r);
    }
  });
}

TEST_CASE("yield_from::test_throwing_GeneratorExit_into_subgen_that_returns") {
  each_way([](auto how) {
    journal trace;
    generator<void> f = [&](auto& yield) {
      try {
        trace("Enter f");
        yield();
        trace("Exit f");
      } catch (const krait::generator_exit&) {
        return;
      }
    };
    generator<void> gi = entering<decltype(how)>(trace, f);
    gi.next();
    const std::exception_ptr thrown = std::make_exception_ptr(krait::generator_exit());
    CHECK(raised_by([&] { gi.throw_(thrown); }) == thrown);
    CHECK(trace.text() == "Enter g, Enter f");
  });
}

TEST_CASE("yield_from::test_throwing_GeneratorExit_into_subgenerator_that_yields") {
  each_way([](auto how) {
    journal trace;
    generator<void> f = [&](auto& yield) {
      try {
        trace("Enter f");
        yield();
        trace("Exit f");
      } catch (const krait::generator_exit&) {
        yield();
      }
    };
    generator<void> gi = entering<decltype(how)>(trace, f);
    gi.next();
    const std::exception_ptr error = raised_by([&] { gi.throw_(krait::generator_exit()); });
    CHECK(text_of(error) == "krait::runtime_error: generator ignored GeneratorExit");
    CHECK(trace.text() == "Enter g, Enter f");
  });
}

TEST_CASE("yield_from::test_throwing_GeneratorExit_into_subgen_that_raises") {
  each_way([](auto how) {
    journal trace;
    std::string context;
    generator<void> f = [&](auto& yield) {
      try {
        trace("Enter f");
        yield();
        trace("Exit f");
      } catch (const krait::generator_exit&) {
        context = support::handled();
        throw krait::value_error("Vorpal bunny encountered");
      }
    };
    generator<void> gi = entering<decltype(how)>(trace, f);
    gi.next();
    const std::exception_ptr error = raised_by([&] { gi.throw_(krait::generator_exit()); });
    CHECK(text_of(error) == "krait::value_error: Vorpal bunny encountered");
    CHECK(context == "krait::generator_exit: GeneratorExit");
    CHECK(trace.text() == "Enter g, Enter f");
  });
}

TEST_CASE("yield_from::test_attempted_yield_from_loop") {
  each_way([](auto how) {
    journal trace;
    generator<std::string>* g1 = nullptr;
    generator<std::string> g2 = [&](auto& yield) {
      trace("g2: starting");
      yield("y2");
      trace("g2: about to yield from g1");
      yield.from(how.pass(*g1));
      trace("g2 should not be here");
    };
    generator<std::string> gi = [&](auto& yield) {
      trace("g1: starting");
      yield("y1");
      trace("g1: about to yield from g2");
      yield.from(how.pass(g2));
      trace("g1 should not be here");
    };
    g1 = &gi;
    const std::exception_ptr error = raised_by([&] {
      for (const std::string& y : gi) {
        trace("Yielded: " + y);
      }
    });
    CHECK(text_of(error) == "krait::value_error: generator already executing");
    CHECK(trace.text() ==
          "g1: starting, Yielded: y1, g1: about to yield from g2, g2: starting, Yielded: y2, "
          "g2: about to yield from g1");
  });
}

TEST_CASE("yield_from::test_delegating_generators_claim_to_be_running") {
  using numbers = generator<int, std::optional<int>>;
  each_way([](auto how) {
    numbers* g1 = nullptr;
    const auto two = [&]() -> numbers {
      return [&](auto& yield) {
        yield(1);
        try {
          yield.from(how.pass(*g1));
        } catch (const krait::value_error&) {
        }
        yield(2);
      };
    };
    const auto one = [&]() -> numbers {
      return [&](auto& yield) {
        yield(0);
        numbers inner = two();
        yield.from(how.pass(inner));
        yield(3);
      };
    };
    {
      numbers g = one();
      g1 = &g;
      CHECK(list(g) == zero_to_three);
    }
    numbers g = one();
    g1 = &g;
    std::vector<int> res{g.next()};
    CHECK_THROWS_AS(for (;;) { res.push_back(g.send(42)); }, krait::stop_iteration<>);
    CHECK(res == zero_to_three);
  });
}

TEST_CASE("yield_from::test_delegating_generators_claim_to_be_running_with_throw") {
  each_way([](auto how) {
    generator<int>* g1 = nullptr;
    const auto guarded = [](auto& yield, int item) {
      try {
        yield(item);
      } catch (const my_error&) {
      }
    };
    generator<int> two = [&](auto& yield) {
      guarded(yield, 1);
      try {
        yield.from(how.pass(*g1));
      } catch (const krait::value_error&) {
      }
      guarded(yield, 2);
    };
    generator<int> one = [&](auto& yield) {
      guarded(yield, 0);
      yield.from(how.pass(two));
      guarded(yield, 3);
    };
    g1 = &one;
    std::vector<int> res{one.next()};
    CHECK_THROWS_AS(for (;;) { res.push_back(one.throw_(my_error())); }, krait::stop_iteration<>);
    CHECK(res == zero_to_three);
  });
}

TEST_CASE("yield_from::test_delegating_generators_claim_to_be_running_with_close") {
  struct my_iterator {
    int next() { return 42; }
    void close() {
      trace((*g1)->running() ? "running" : "not running");
      trace(text_of(raised_by([this] { (*g1)->next(); })));
    }
    journal& trace;
    generator<int>** g1;
  };
  journal trace;
  generator<int>* self = nullptr;
  generator<int> g1 = [&](auto& yield) { yield.from(my_iterator{trace, &self}); };
  self = &g1;
  CHECK(g1.next() == 42);
  g1.close();
  CHECK(trace.text() == "running, krait::value_error: generator already executing");
  CHECK(g1.done());
}

TEST_CASE("yield_from::test_custom_iterator_return") {
  struct my_iterator {
    using return_type = int;
    int next() { throw krait::stop_iteration<int>(42); }
  };
  std::optional<int> ret;
  generator<int> gen = [&](auto& yield) { ret = yield.from(my_iterator()); };
  for (const int item : gen) {
    FAIL("it yielded " << item);
  }
  CHECK(ret == 42);
}

TEST_CASE("yield_from::test_send_tuple_with_custom_generator") {
  using sent = std::optional<std::tuple<int, int, int, int>>;
  struct my_generator {
    std::optional<int> next() { return 42; }
    std::optional<int> send(const sent& what) {
      v = what;
      return std::nullopt;
    }
    sent& v;
  };
  sent v;
  generator<std::optional<int>, sent> outer = [&](auto& yield) { yield.from(my_generator{v}); };
  CHECK(outer.next() == 42);
  CHECK(outer.send(std::tuple(1, 2, 3, 4)) == std::nullopt);
  CHECK(v == std::tuple(1, 2, 3, 4));
}
