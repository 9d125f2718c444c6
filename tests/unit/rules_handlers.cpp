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

// The exceptions being handled: each generator has its own, from one resumption to the next.

namespace {

using krait::generator;
using support::given;
using support::handled;
using support::journal;
using support::lent;
using support::raised_by;
using support::state;
using support::stop_value;
using support::text_of;

constexpr auto fresh_exit = "krait::generator_exit: GeneratorExit";

/// An exception that tells how long it lives.
struct tracked : std::runtime_error {
  tracked(const char* text, std::shared_ptr<int> token)
      : std::runtime_error(text), lifetime(std::move(token)) {}
  std::shared_ptr<int> lifetime;
};

/// Yields what it is handling, from inside a handler for `text`, then after it.
generator<std::string> handler_of(const char* text) {
  return [text](auto& yield) {
    yield(handled());
    try {
      throw std::runtime_error(text);
    } catch (const std::runtime_error&) {
      yield(handled());
      yield(handled());
    }
    yield(handled());
  };
}

/// Calls `function` in a handler for `text`, and checks that the handler's exception is the same afterwards.
template <class Function>
void while_handling(const char* text, Function function) {
  try {
    throw std::logic_error(text);
  } catch (const std::logic_error&) {
    const std::exception_ptr before = std::current_exception();
    function();
    CHECK(std::current_exception() == before);
    const std::exception_ptr rethrown = raised_by([] { throw; });
    CHECK(rethrown == before);
  }
}

}  // namespace

TEST_CASE("R48: a body sees its own handlers, whatever its resumer is handling") {
  generator<std::string> g = handler_of("own");
  while_handling("caller 1", [&] { CHECK(g.next() == "none"); });
  while_handling("caller 2", [&] { CHECK(g.next() == "std::runtime_error: own"); });
  CHECK(g.next() == "std::runtime_error: own");
  while_handling("caller 3", [&] { CHECK(g.next() == "none"); });
  while_handling("caller 4", [&] { CHECK_THROWS_AS(g.next(), krait::stop_iteration<>); });
}

TEST_CASE("R48: nothing is inherited from an earlier resumption") {
  generator<std::string> g = handler_of("own");
  while_handling("first", [&] { g.next(); });
  CHECK(handled() == "none");
  CHECK(g.next() == "std::runtime_error: own");
  CHECK(handled() == "none");
}

TEST_CASE_TEMPLATE("R48: a generator delegated to sees its own handlers, not its delegator's", How, given,
                   lent) {
  generator<std::string> inner = handler_of("inner");
  generator<std::string> outer = [&](auto& yield) {
    try {
      throw std::runtime_error("outer");
    } catch (const std::runtime_error&) {
      yield.from(How::pass(inner));
      yield(handled());
    }
    yield(handled());
  };
  while_handling("caller", [&] { CHECK(outer.next() == "none"); });
  CHECK(outer.next() == "std::runtime_error: inner");
  while_handling("caller", [&] { CHECK(outer.next() == "std::runtime_error: inner"); });
  CHECK(outer.next() == "none");
  CHECK(outer.next() == "std::runtime_error: outer");
  CHECK(outer.next() == "none");
}

TEST_CASE("R48: an object delegated to is called by the delegator, and sees its handlers") {
  struct looking {
    std::string next() { return handled(); }
  };
  generator<std::string> outer = [](auto& yield) {
    try {
      throw std::runtime_error("outer");
    } catch (const std::runtime_error&) {
      yield.from(looking());
    }
  };
  while_handling("caller", [&] { CHECK(outer.next() == "std::runtime_error: outer"); });
  CHECK(outer.next() == "std::runtime_error: outer");
}

TEST_CASE("R48: exceptions in flight are counted for each generator by itself") {
  struct counter {
    int& in_flight;
    ~counter() { in_flight = std::uncaught_exceptions(); }
  };
  struct resumer {
    generator<int>& g;
    int& seen;
    ~resumer() { seen = g.next(); }
  };
  int in_flight_inside = -1;
  generator<int> g = [&](auto& yield) {
    yield(std::uncaught_exceptions());
    try {
      const counter at_last{in_flight_inside};
      throw std::runtime_error("x");
    } catch (const std::runtime_error&) {
    }
    yield(std::uncaught_exceptions());
  };
  int seen = -1;
  int in_flight_outside = -1;
  try {
    const counter at_last{in_flight_outside};
    const resumer second{g, seen};
    const resumer first{g, seen};
    throw std::logic_error("y");
  } catch (const std::logic_error&) {
  }
  CHECK(seen == 0);
  CHECK(in_flight_inside == 1);
  CHECK(in_flight_outside == 1);
  CHECK(std::uncaught_exceptions() == 0);
}

TEST_CASE("R49: a generator that suspends in a handler takes its exception away with it") {
  generator<std::string> g = handler_of("own");
  g.next();
  CHECK(g.next() == "std::runtime_error: own");
  CHECK(handled() == "none");
  while_handling("caller", [&] {
    CHECK(g.next() == "std::runtime_error: own");
    CHECK(handled() == "std::logic_error: caller");
  });
  CHECK(handled() == "none");
}

TEST_CASE("R49: also if the resumption raises, throws or closes") {
  const auto in_handler = [](auto& yield) {
    try {
      throw std::runtime_error("own");
    } catch (const std::runtime_error&) {
      yield(1);
    }
    throw std::out_of_range("raised");
  };
  while_handling("caller", [&] {
    generator<int> raises = in_handler;
    raises.next();
    CHECK_THROWS_AS(raises.next(), std::out_of_range);
    CHECK(handled() == "std::logic_error: caller");

    generator<int> thrown_into = in_handler;
    thrown_into.next();
    CHECK_THROWS_AS(thrown_into.throw_(std::bad_alloc()), std::bad_alloc);
    CHECK(handled() == "std::logic_error: caller");

    generator<int> closed = in_handler;
    closed.next();
    closed.close();
    CHECK(handled() == "std::logic_error: caller");

    {
      generator<int> destroyed = in_handler;
      destroyed.next();
    }
    CHECK(handled() == "std::logic_error: caller");
  });
}

TEST_CASE("R49: two generators interleaved keep their handlers apart") {
  generator<std::string> a = handler_of("a");
  generator<std::string> b = handler_of("b");
  a.next();
  b.next();
  CHECK(a.next() == "std::runtime_error: a");
  CHECK(b.next() == "std::runtime_error: b");
  CHECK(a.next() == "std::runtime_error: a");
  CHECK(b.next() == "std::runtime_error: b");
  CHECK(a.next() == "none");
  CHECK(b.next() == "none");
  CHECK(handled() == "none");
}

TEST_CASE("R50: throw; after a resumption rethrows the same object, in any interleaving") {
  const std::exception_ptr thrown[] = {std::make_exception_ptr(std::runtime_error("first")),
                                       std::make_exception_ptr(std::runtime_error("second"))};
  const auto rethrowing = [](const std::exception_ptr& exception) -> generator<int> {
    return [&exception](auto& yield) {
      try {
        std::rethrow_exception(exception);
      } catch (...) {
        yield(1);
        throw;
      }
    };
  };
  generator<int> first = rethrowing(thrown[0]);
  generator<int> second = rethrowing(thrown[1]);
  first.next();
  second.next();
  while_handling("caller", [&] { CHECK(raised_by([&] { first.next(); }) == thrown[0]); });
  CHECK(raised_by([&] { second.next(); }) == thrown[1]);
}

TEST_CASE("R50: nested handlers are back, one after the other") {
  journal log;
  generator<int> g = [&](auto& yield) {
    try {
      throw std::runtime_error("outer");
    } catch (const std::runtime_error&) {
      try {
        throw std::runtime_error("inner");
      } catch (const std::runtime_error&) {
        yield(1);
        log(handled());
      }
      yield(2);
      log(handled());
    }
    yield(3);
    log(handled());
  };
  while_handling("caller", [&] {
    g.next();
    g.next();
  });
  g.next();
  CHECK_THROWS_AS(g.next(), krait::stop_iteration<>);
  CHECK(log.text() == "std::runtime_error: inner, std::runtime_error: outer, none");
}

TEST_CASE("R51: the resumer's exception is out of the body's reach") {
  std::exception_ptr seen;
  generator<int> g = [&](auto& yield) {
    seen = std::current_exception();
    yield(1);
    seen = std::current_exception();
    yield(2);
  };
  while_handling("caller", [&] {
    g.next();
    CHECK(seen == nullptr);
    g.next();
    CHECK(seen == nullptr);
  });
}

TEST_CASE("R52: the exception of a suspended handler lives as long as the handler") {
  const auto token = std::make_shared<int>();
  const auto make = [&token]() -> generator<int> {
    return [&token](auto& yield) {
      try {
        throw tracked("x", token);
      } catch (const tracked&) {
        yield(1);
      }
      yield(2);
    };
  };
  generator<int> g = make();
  g.next();
  CHECK(token.use_count() == 2);

  SUBCASE("left") {
    g.next();
    CHECK(g.state() == state::suspended);
  }
  SUBCASE("closed") {
    g.close();
  }
  SUBCASE("thrown out of") {
    CHECK_THROWS_AS(g.throw_(std::out_of_range("y")), std::out_of_range);
  }
  SUBCASE("destroyed") {
    g = make();
  }
  CHECK(token.use_count() == 1);
}

TEST_CASE("R52: the exception that leaves a body is not kept") {
  const auto token = std::make_shared<int>();
  generator<int> g = [&](auto&) { throw tracked("x", token); };
  CHECK_THROWS_AS(g.next(), tracked);
  CHECK(token.use_count() == 1);

  generator<int> thrown_into = [](auto& yield) { yield(1); };
  thrown_into.next();
  CHECK_THROWS_AS(thrown_into.throw_(tracked("y", token)), tracked);
  CHECK(token.use_count() == 1);
}

TEST_CASE("R54: an exception thrown into a handler takes its place for the while it is handled") {
  journal log;
  generator<int> g = [&](auto& yield) {
    try {
      throw std::runtime_error("own");
    } catch (const std::runtime_error&) {
      try {
        yield(1);
      } catch (const std::logic_error&) {
        log(handled());
        yield(2);
        log(handled());
      }
      log(handled());
    }
    log(handled());
  };
  g.next();
  while_handling("caller", [&] { CHECK(g.throw_(std::logic_error("thrown")) == 2); });
  CHECK_THROWS_AS(g.next(), krait::stop_iteration<>);
  CHECK(log.text() == "std::logic_error: thrown, std::logic_error: thrown, std::runtime_error: own, none");
}

TEST_CASE("R54: the exception being handled may itself be thrown in, by its handler or from outside") {
  const std::exception_ptr same = std::make_exception_ptr(std::runtime_error("same"));
  generator<int> g = [&](auto& yield) {
    try {
      std::rethrow_exception(same);
    } catch (const std::runtime_error&) {
      yield(1);
    }
  };
  g.next();
  CHECK(raised_by([&] { g.throw_(same); }) == same);

  generator<int> h = [](auto& yield) { yield(1); };
  h.next();
  try {
    std::rethrow_exception(same);
  } catch (const std::runtime_error&) {
    CHECK(raised_by([&] { h.throw_(std::current_exception()); }) == same);
    CHECK(std::current_exception() == same);
  }
}

TEST_CASE("R54: an explicit cause stays with an exception that is thrown in") {
  std::exception_ptr with_cause;
  try {
    try {
      throw std::out_of_range("cause");
    } catch (const std::out_of_range&) {
      std::throw_with_nested(std::runtime_error("effect"));
    }
  } catch (...) {
    with_cause = std::current_exception();
  }
  generator<int> g = [](auto& yield) { yield(1); };
  g.next();
  const std::exception_ptr out = raised_by([&] { g.throw_(with_cause); });
  CHECK(out == with_cause);
  CHECK(text_of(support::cause_of(out)) == "std::out_of_range: cause");
}

TEST_CASE_TEMPLATE("R55: an exception thrown through handlers of two levels leaves both in order", How, given,
                   lent) {
  journal log;
  generator<int> inner = [&](auto& yield) {
    try {
      throw std::runtime_error("inner handler");
    } catch (const std::runtime_error&) {
      try {
        yield(1);
      } catch (...) {
        log("inner " + handled());
        throw;
      }
    }
  };
  generator<int> outer = [&](auto& yield) {
    try {
      throw std::runtime_error("outer handler");
    } catch (const std::runtime_error&) {
      try {
        yield.from(How::pass(inner));
      } catch (...) {
        log("outer " + handled());
      }
      log(handled());
      yield(2);
    }
    log(handled());
  };
  outer.next();
  while_handling("caller", [&] { CHECK(outer.throw_(std::logic_error("v")) == 2); });
  CHECK_THROWS_AS(outer.next(), krait::stop_iteration<>);
  CHECK(log.text() ==
        "inner std::logic_error: v, outer std::logic_error: v, "
        "std::runtime_error: outer handler, none");
}

TEST_CASE("R57: within a body that is being closed, its GeneratorExit is what is handled") {
  journal log;
  generator<int> g = [&](auto& yield) {
    try {
      throw std::runtime_error("own");
    } catch (const std::runtime_error&) {
      try {
        yield(1);
      } catch (const krait::generator_exit&) {
        log(handled());
      }
      log(handled());
    }
    log(handled());
  };
  g.next();
  while_handling("closer", [&] { g.close(); });
  CHECK(log.text() == std::string(fresh_exit) + ", std::runtime_error: own, none");
}

TEST_CASE("R58: the errors of the protocol are raised in the caller, beside what it is handling") {
  generator<int, std::optional<int>> g = [](auto& yield) {
    try {
      yield(1);
    } catch (const krait::generator_exit&) {
    }
    yield(2);
  };
  while_handling("caller", [&] {
    CHECK(text_of(raised_by([&] { g.send(1); })) ==
          "krait::type_error: can't send non-None value to a just-started generator");
    g.next();
    CHECK(text_of(raised_by([&] { g.close(); })) == "krait::runtime_error: generator ignored GeneratorExit");
    g.close();
    CHECK_THROWS_AS(g.next(), krait::stop_iteration<>);
  });
}

TEST_CASE_TEMPLATE("R59: exception objects that are yielded, sent or returned are plain values", How, given,
                   lent) {
  const std::exception_ptr value = std::make_exception_ptr(std::runtime_error("a value"));
  generator<std::exception_ptr, std::exception_ptr, std::exception_ptr> inner = [&](auto& yield) {
    const std::exception_ptr sent = yield(value);
    return sent;
  };
  generator<std::exception_ptr, std::exception_ptr, std::exception_ptr> outer = [&](auto& yield) {
    return yield.from(How::pass(inner));
  };
  CHECK(outer.next() == value);
  CHECK(stop_value<std::exception_ptr>([&] { outer.send(value); }) == value);
}

// Not here, for a fact about C++:
//
// R48, R51       The resumer's exception as a fallback: an exception belongs to the stack it is on. `throw;`
//                with nothing to rethrow is std::terminate.
// R53, R56       Implicit contexts: an exception in C++ knows no other than the cause it was given. Of R54,
// (R54, R55,     R55, R57 and R58, what does not need contexts is here.
//  R57, R58)
// R60            Is about coroutines.
