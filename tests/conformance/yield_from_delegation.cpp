// SPDX-License-Identifier: BSL-1.0
#include <doctest/doctest.h>

#include <exception>
#include <optional>
#include <stdexcept>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include <krait/krait.hpp>

#include "support/probes.hpp"
#include "support/support.hpp"
#include "three_ways.hpp"

// CPython's test_yield_from.py: TestPEP380Operation, on next, send, throw and close. What delegates to a
// generator does so in three ways: it is given away, lent, or behind an iterator written by hand.

namespace {

using krait::generator;
using support::at_end;
using support::given;
using support::journal;
using support::lent;
using support::raised_by;
using support::text_of;

/// Takes a number or None.
using listener = generator<std::string, std::optional<int>>;

struct zero_division_error : std::runtime_error {
  zero_division_error() : std::runtime_error("division by zero") {}
};

using support::by_hand;
using support::each_way;

/// Notes each item of a generator.
template <class Generator>
void loop_over(Generator& items, journal& trace) {
  for (auto&& item : items) {
    if constexpr (std::is_same_v<std::decay_t<decltype(item)>, std::string>) {
      trace("Yielded " + item);
    } else {
      trace("Yielded " + std::to_string(item));
    }
  }
}

/// A range of numbers.
std::vector<int> range(int size) {
  std::vector<int> numbers;
  for (int i = 0; i < size; ++i) {
    numbers.push_back(i);
  }
  return numbers;
}

/// Yields "g2 spam" and "g2 more spam".
generator<std::string> spam(journal& trace) {
  return [&trace](auto& yield) {
    const at_end finally(trace, "Finishing g2");
    trace("Starting g2");
    yield("g2 spam");
    yield("g2 more spam");
  };
}

/// Yields "g1 ham", delegates to `inner` and yields "g1 eggs".
template <class How>
generator<std::string> ham_and_eggs(journal& trace, generator<std::string>& inner) {
  return [&](auto& yield) {
    const at_end finally(trace, "Finishing g1");
    trace("Starting g1");
    yield("g1 ham");
    yield.from(How::pass(inner));
    yield("g1 eggs");
  };
}

/// As ham_and_eggs(), with notes of what is received.
template <class How>
listener listening_to(journal& trace, listener& inner) {
  return [&](auto& yield) {
    trace("Starting g1");
    trace("g1 received " + std::to_string(yield("g1 ham").value()));
    yield.from(How::pass(inner));
    trace("g1 received " + std::to_string(yield("g1 eggs").value()));
    trace("Finishing g1");
  };
}

/// Sends 1, 2, 3 ... until StopIteration.
void send_numbers(listener& g, journal& trace) {
  g.next();
  try {
    for (int x = 1;; ++x) {
      trace("Yielded " + g.send(x));
    }
  } catch (const krait::stop_iteration<>&) {
  }
}

/// Advances twice, with notes.
void next_twice(generator<std::string>& g, journal& trace) {
  for (int i = 0; i < 2; ++i) {
    trace("Yielded " + g.next());
  }
}

constexpr char until_spam[] = "Starting g1, Yielded g1 ham, Starting g2, Yielded g2 spam, ";

}  // namespace

TEST_CASE("yield_from::test_delegation_of_initial_next_to_subgenerator") {
  each_way([](auto how) {
    journal trace;
    generator<int> g2 = [&](auto& yield) {
      trace("Starting g2");
      yield(42);
      trace("Finishing g2");
    };
    generator<int> g1 = [&](auto& yield) {
      trace("Starting g1");
      yield.from(how.pass(g2));
      trace("Finishing g1");
    };
    loop_over(g1, trace);
    CHECK(trace.text() == "Starting g1, Starting g2, Yielded 42, Finishing g2, Finishing g1");
  });
}

TEST_CASE("yield_from::test_raising_exception_in_initial_next_call") {
  each_way([](auto how) {
    journal trace;
    generator<int> g2 = [&](auto&) {
      const at_end finally(trace, "Finishing g2");
      trace("Starting g2");
      throw krait::value_error("spanish inquisition occurred");
    };
    generator<int> g1 = [&](auto& yield) {
      const at_end finally(trace, "Finishing g1");
      trace("Starting g1");
      yield.from(how.pass(g2));
    };
    const std::exception_ptr error = raised_by([&] { loop_over(g1, trace); });
    CHECK(text_of(error) == "krait::value_error: spanish inquisition occurred");
    CHECK(trace.text() == "Starting g1, Starting g2, Finishing g2, Finishing g1");
  });
}

TEST_CASE("yield_from::test_delegation_of_next_call_to_subgenerator") {
  each_way([](auto how) {
    journal trace;
    generator<std::string> g2 = spam(trace);
    generator<std::string> g1 = ham_and_eggs<decltype(how)>(trace, g2);
    loop_over(g1, trace);
    CHECK(trace.text() == until_spam + std::string("Yielded g2 more spam, Finishing g2, Yielded g1 eggs, "
                                                   "Finishing g1"));
  });
}

TEST_CASE("yield_from::test_raising_exception_in_delegated_next_call") {
  each_way([](auto how) {
    journal trace;
    generator<std::string> g2 = [&](auto& yield) {
      const at_end finally(trace, "Finishing g2");
      trace("Starting g2");
      yield("g2 spam");
      throw krait::value_error("hovercraft is full of eels");
    };
    generator<std::string> g1 = ham_and_eggs<decltype(how)>(trace, g2);
    const std::exception_ptr error = raised_by([&] { loop_over(g1, trace); });
    CHECK(text_of(error) == "krait::value_error: hovercraft is full of eels");
    CHECK(trace.text() == until_spam + std::string("Finishing g2, Finishing g1"));
  });
}

TEST_CASE("yield_from::test_delegation_of_send") {
  each_way([](auto how) {
    journal trace;
    listener g2 = [&](auto& yield) {
      trace("Starting g2");
      trace("g2 received " + std::to_string(yield("g2 spam").value()));
      trace("g2 received " + std::to_string(yield("g2 more spam").value()));
      trace("Finishing g2");
    };
    listener g1 = listening_to<decltype(how)>(trace, g2);
    send_numbers(g1, trace);
    CHECK(trace.text() ==
          "Starting g1, g1 received 1, Starting g2, Yielded g2 spam, g2 received 2, Yielded g2 more spam, "
          "g2 received 3, Finishing g2, Yielded g1 eggs, g1 received 4, Finishing g1");
  });
}

TEST_CASE("yield_from::test_handling_exception_while_delegating_send") {
  each_way([](auto how) {
    journal trace;
    listener g2 = [&](auto& yield) {
      trace("Starting g2");
      trace("g2 received " + std::to_string(yield("g2 spam").value()));
      throw krait::value_error("hovercraft is full of eels");
    };
    listener g1 = listening_to<decltype(how)>(trace, g2);
    const std::exception_ptr error = raised_by([&] { send_numbers(g1, trace); });
    CHECK(text_of(error) == "krait::value_error: hovercraft is full of eels");
    CHECK(trace.text() == "Starting g1, g1 received 1, Starting g2, Yielded g2 spam, g2 received 2");
  });
}

TEST_CASE("yield_from::test_delegating_close") {
  each_way([](auto how) {
    journal trace;
    generator<std::string> g2 = spam(trace);
    generator<std::string> g1 = ham_and_eggs<decltype(how)>(trace, g2);
    next_twice(g1, trace);
    g1.close();
    CHECK(trace.text() == until_spam + std::string("Finishing g2, Finishing g1"));
    CHECK(g1.done());
  });
}

TEST_CASE("yield_from::test_handing_exception_while_delegating_close") {
  each_way([](auto how) {
    journal trace;
    std::string context;
    generator<std::string> g2 = [&](auto& yield) {
      try {
        trace("Starting g2");
        yield("g2 spam");
      } catch (...) {
        context = support::handled();
        trace("Finishing g2");
        throw krait::value_error("nybbles have exploded with delight");
      }
    };
    generator<std::string> g1 = ham_and_eggs<decltype(how)>(trace, g2);
    next_twice(g1, trace);
    const std::exception_ptr error = raised_by([&] { g1.close(); });
    CHECK(text_of(error) == "krait::value_error: nybbles have exploded with delight");
    CHECK(context == "krait::generator_exit: GeneratorExit");
    CHECK(trace.text() == until_spam + std::string("Finishing g2, Finishing g1"));
  });
}

TEST_CASE("yield_from::test_delegating_throw") {
  each_way([](auto how) {
    journal trace;
    generator<std::string> g2 = spam(trace);
    generator<std::string> g1 = ham_and_eggs<decltype(how)>(trace, g2);
    next_twice(g1, trace);
    const std::exception_ptr e = std::make_exception_ptr(krait::value_error("tomato ejected"));
    CHECK(raised_by([&] { g1.throw_(e); }) == e);
    CHECK(trace.text() == until_spam + std::string("Finishing g2, Finishing g1"));
  });
}

TEST_CASE("yield_from::test_delegation_of_next_to_non_generator") {
  journal trace;
  SUBCASE("a range") {
    generator<int> g = [](auto& yield) { yield.from(range(3)); };
    loop_over(g, trace);
  }
  SUBCASE("an iterator that has nothing but next()") {
    struct counter {
      int next() { return i < 3 ? i++ : throw krait::stop_iteration<>(); }
      int i = 0;
    };
    generator<int> g = [](auto& yield) { yield.from(counter()); };
    loop_over(g, trace);
  }
  CHECK(trace.text() == "Yielded 0, Yielded 1, Yielded 2");
}

TEST_CASE("yield_from::test_conversion_of_sendNone_to_next") {
  journal trace;
  const auto send_none = [&](auto& gi) {
    for (int x = 0; x < 3; ++x) {
      trace("Yielded: " + std::to_string(gi.send(std::nullopt)));
    }
  };
  SUBCASE("a range") {
    generator<int, std::optional<int>> gi = [](auto& yield) { yield.from(range(3)); };
    send_none(gi);
  }
  SUBCASE("an iterator whose send() must not be called") {
    struct counter {
      int next() { return i++; }
      int send(std::optional<int>) { throw std::logic_error("send"); }
      int i = 0;
    };
    generator<int, std::optional<int>> gi = [](auto& yield) { yield.from(counter()); };
    send_none(gi);
  }
  CHECK(trace.text() == "Yielded: 0, Yielded: 1, Yielded: 2");
}

TEST_CASE("yield_from::test_delegation_of_close_to_non_generator") {
  struct endless {
    int next() { return 0; }
  };
  journal trace;
  const auto run = [&](auto iterable) {
    generator<int> gi = [&](auto& yield) {
      const at_end finally(trace, "finishing g");
      trace("starting g");
      yield.from(iterable);
      trace("g should not be here");
    };
    CHECK(gi.next() == 0);
    CHECK(probes::stderr_of([&] { gi.close(); }) == "");
  };
  SUBCASE("a range") {
    run(range(3));
  }
  SUBCASE("an iterator without close()") {
    run(endless());
  }
  CHECK(trace.text() == "starting g, finishing g");
}

TEST_CASE("yield_from::test_delegating_throw_to_non_generator") {
  struct counter {
    int next() { return i++; }
    int i = 0;
  };
  journal trace;
  const auto run = [&](auto iterable) {
    generator<int> gi = [&](auto& yield) {
      const at_end finally(trace, "Finishing g");
      trace("Starting g");
      yield.from(iterable);
    };
    for (int i = 0; i < 5; ++i) {
      trace("Yielded " + std::to_string(gi.next()));
    }
    const std::exception_ptr e = std::make_exception_ptr(krait::value_error("tomato ejected"));
    CHECK(raised_by([&] { gi.throw_(e); }) == e);
  };
  SUBCASE("a range") {
    run(range(10));
  }
  SUBCASE("an iterator without throw_()") {
    run(counter());
  }
  CHECK(trace.text() == "Starting g, Yielded 0, Yielded 1, Yielded 2, Yielded 3, Yielded 4, Finishing g");
}

TEST_CASE("yield_from::test_attempting_to_send_to_non_generator") {
  struct counter {
    int next() { return 0; }
  };
  journal trace;
  const auto run = [&](auto iterable) {
    generator<int, std::optional<int>> gi = [&](auto& yield) {
      const at_end finally(trace, "finishing g");
      trace("starting g");
      yield.from(iterable);
      trace("g should not be here");
    };
    CHECK(gi.next() == 0);
    std::string error;
    try {
      trace("Should not have yielded: " + std::to_string(gi.send(42)));
    } catch (const krait::attribute_error& e) {
      error = e.what();
    }
    CHECK(error.find("' object has no attribute 'send'") != std::string::npos);
    CHECK(gi.done());
  };
  SUBCASE("a range") {
    run(range(3));
  }
  SUBCASE("an iterator without send()") {
    run(counter());
  }
  CHECK(trace.text() == "starting g, finishing g");
}

// In C++ a member cannot fail to be looked up, only to be called. An error of close(), which CPython reports
// if it is one of the look-up, is reported when there is nobody to raise it in: in a destructor.
TEST_CASE("yield_from::test_broken_getattr_handling") {
  struct broken {
    int next() { return 1; }
    int send(std::optional<int>) { throw zero_division_error(); }
    int throw_(const std::exception_ptr&) { throw zero_division_error(); }
    void close() { throw zero_division_error(); }
  };
  const auto g = []() -> generator<int, std::optional<int>> {
    return [](auto& yield) { yield.from(broken()); };
  };
  {
    auto gi = g();
    CHECK(gi.next() == 1);
    CHECK_THROWS_AS(gi.send(1), zero_division_error);
    CHECK(gi.done());
  }
  {
    auto gi = g();
    CHECK(gi.next() == 1);
    CHECK_THROWS_AS(gi.throw_(krait::attribute_error("")), zero_division_error);
    CHECK(gi.done());
  }
  {
    auto gi = g();
    CHECK(gi.next() == 1);
    CHECK_THROWS_AS(gi.close(), zero_division_error);
    CHECK(gi.done());
  }
  const support::unraisables reported;
  {
    auto gi = g();
    CHECK(gi.next() == 1);
  }
  CHECK(reported.count() == 1);
  CHECK_THROWS_AS(std::rethrow_exception(reported.at(0).exception), zero_division_error);
}

TEST_CASE("yield_from::test_exception_in_initial_next_call") {
  each_way([](auto how) {
    journal trace;
    const auto divide_by_zero = []() -> int { throw zero_division_error(); };
    generator<int> g2 = [&](auto& yield) { yield(divide_by_zero()); };
    generator<int> gi = [&](auto& yield) {
      trace("g1 about to yield from g2");
      yield.from(how.pass(g2));
      trace("g1 should not be here");
    };
    CHECK_THROWS_AS(gi.next(), zero_division_error);
    CHECK(trace.text() == "g1 about to yield from g2");
  });
}

TEST_CASE("yield_from::test_returning_value_from_delegated_throw") {
  struct lunch_error : std::runtime_error {
    using std::runtime_error::runtime_error;
  };
  each_way([](auto how) {
    journal trace;
    generator<std::string> g2 = [&](auto& yield) {
      try {
        trace("Starting g2");
        yield("g2 spam");
        yield("g2 more spam");
      } catch (const lunch_error&) {
        trace("Caught LunchError in g2");
        yield("g2 lunch saved");
        yield("g2 yet more spam");
      }
    };
    generator<std::string> g1 = ham_and_eggs<decltype(how)>(trace, g2);
    next_twice(g1, trace);
    CHECK(g1.throw_(lunch_error("tomato ejected")) == "g2 lunch saved");
    loop_over(g1, trace);
    CHECK(trace.text() == until_spam + std::string("Caught LunchError in g2, Yielded g2 yet more spam, "
                                                   "Yielded g1 eggs, Finishing g1"));
  });
}

TEST_CASE("yield_from::test_yield_from_empty") {
  SUBCASE("a range") {
    generator<int> g = [](auto& yield) { yield.from(std::vector<int>()); };
    CHECK_THROWS_AS(g.next(), krait::stop_iteration<>);
  }
  SUBCASE("a generator") {
    each_way([](auto how) {
      generator<int> empty = [](auto&) {};
      generator<int> g = [&](auto& yield) { yield.from(how.pass(empty)); };
      CHECK_THROWS_AS(g.next(), krait::stop_iteration<>);
    });
  }
}
