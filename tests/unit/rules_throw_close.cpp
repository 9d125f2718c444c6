// SPDX-License-Identifier: BSL-1.0
#include <doctest/doctest.h>

#include <exception>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <type_traits>
#include <utility>

#include <krait/krait.hpp>

#include "support/support.hpp"

// throw_ and close, on a generator that delegates to nobody.

namespace {

using krait::generator;
using support::at_end;
using support::given;
using support::journal;
using support::lent;
using support::raised_by;
using support::state;
using support::stop_value;
using support::text_of;

constexpr auto ignored = "generator ignored GeneratorExit";

/// Like KeyboardInterrupt: no std::exception.
struct interrupt {};

struct my_exit : krait::generator_exit {
  const char* what() const noexcept override { return "my own"; }
};

/// Answers every exception but GeneratorExit by yielding it.
generator<std::exception_ptr> catcher() {
  return [](auto& yield) {
    for (std::exception_ptr caught;;) {
      try {
        yield(std::exchange(caught, nullptr));
      } catch (const krait::generator_exit&) {
        throw;
      } catch (...) {
        caught = std::current_exception();
      }
    }
  };
}

}  // namespace

TEST_CASE("R13: throw_ takes an exception, or a pointer to one") {
  generator<std::exception_ptr> g = catcher();
  g.next();
  CHECK(text_of(g.throw_(krait::value_error("xyz"))) == "krait::value_error: xyz");

  const krait::value_error kept("kept");
  CHECK(text_of(g.throw_(kept)) == "krait::value_error: kept");

  const std::exception_ptr pointer = std::make_exception_ptr(krait::value_error("pointed to"));
  CHECK(g.throw_(pointer) == pointer);
}

TEST_CASE("R13: each throw_ of an object raises an exception of its own") {
  generator<std::exception_ptr> g = catcher();
  g.next();
  const krait::value_error same("x");
  const std::exception_ptr first = g.throw_(same);
  const std::exception_ptr second = g.throw_(same);
  CHECK(first != second);
}

TEST_CASE("R14: no exception is a type_error that leaves the generator untouched") {
  constexpr auto text = "exceptions must be classes or instances deriving from BaseException, not NoneType";
  generator<int> g = [](auto& yield) {
    yield(1);
    yield(2);
  };
  CHECK_THROWS_WITH_AS(g.throw_(std::exception_ptr()), text, krait::type_error);
  CHECK(g.state() == state::created);
  CHECK(g.next() == 1);
  CHECK_THROWS_WITH_AS(g.throw_(nullptr), text, krait::type_error);
  CHECK_THROWS_WITH_AS(static_cast<void>(g.resume_with(nullptr)), text, krait::type_error);
  CHECK(g.state() == state::suspended);
  CHECK(g.next() == 2);
}

TEST_CASE("R15: throw_ raises at the yield, and returns what is yielded next") {
  journal log;
  generator<int> g = [&](auto& yield) {
    try {
      yield(1);
      log("not reached");
    } catch (const std::runtime_error& e) {
      log(e.what());
    }
    yield(2);
  };
  g.next();
  CHECK(g.throw_(std::runtime_error("thrown")) == 2);
  CHECK(log.text() == "thrown");
  CHECK(g.state() == state::suspended);
}

TEST_CASE("R15: throw_ raises StopIteration(v) if the body returns v") {
  const auto body = [](auto& yield) {
    try {
      yield(1);
    } catch (const std::runtime_error&) {
      return 4;
    }
    return 0;
  };
  generator<int, void, int> g = body;
  g.next();
  CHECK(stop_value<int>([&] { g.throw_(std::runtime_error("x")); }) == 4);

  generator<int, void, int> h = body;
  h.next();
  const auto finished = h.resume_with(std::make_exception_ptr(std::runtime_error("x")));
  REQUIRE(finished.returned());
  CHECK(*finished.result() == 4);
}

TEST_CASE("R15: the object that comes out is the one that was thrown in") {
  const std::exception_ptr thrown = std::make_exception_ptr(std::runtime_error("x"));
  generator<int> passes = [](auto& yield) { yield(1); };
  passes.next();
  CHECK(raised_by([&] { passes.throw_(thrown); }) == thrown);
  CHECK(passes.state() == state::closed);

  generator<int> rethrows = [](auto& yield) {
    try {
      yield(1);
    } catch (...) {
      throw;
    }
  };
  rethrows.next();
  CHECK(raised_by([&] { static_cast<void>(rethrows.resume_with(thrown)); }) == thrown);
  CHECK(rethrows.state() == state::closed);
}

TEST_CASE("R15: throw_ raises what leaves the body instead") {
  generator<int> g = [](auto& yield) {
    try {
      yield(1);
    } catch (const std::runtime_error&) {
      throw std::out_of_range("another");
    }
  };
  g.next();
  CHECK_THROWS_WITH_AS(g.throw_(std::runtime_error("x")), "another", std::out_of_range);
  CHECK_THROWS_AS(g.next(), krait::stop_iteration<>);
}

TEST_CASE("R15: throw_ reaches a yield in a clean-up that an earlier one has begun") {
  generator<int> g = [](auto& yield) {
    try {
      yield(1);
    } catch (const std::runtime_error&) {
      yield(2);
    }
  };
  g.next();
  CHECK(g.throw_(std::runtime_error("a")) == 2);
  CHECK_THROWS_WITH_AS(g.throw_(std::logic_error("b")), "b", std::logic_error);
}

TEST_CASE("R16: throw_ on a created generator closes it, releases its captures and raises the same object") {
  bool ran = false;
  const auto argument = std::make_shared<int>();
  const std::exception_ptr thrown = std::make_exception_ptr(std::runtime_error("x"));
  generator<int> g = [&ran, argument](auto& yield) {
    ran = true;
    yield(*argument);
  };
  CHECK(raised_by([&] { g.throw_(thrown); }) == thrown);
  CHECK(g.state() == state::closed);
  CHECK(argument.use_count() == 1);
  CHECK_FALSE(ran);
  CHECK_THROWS_AS(g.next(), krait::stop_iteration<>);
}

TEST_CASE("R16: StopIteration thrown into a created generator comes out as it is") {
  generator<int, void, int> g = [](auto& yield) {
    yield(1);
    return 0;
  };
  CHECK(stop_value<int>([&] { g.throw_(krait::stop_iteration<int>(3)); }) == 3);
  CHECK(g.state() == state::closed);
}

TEST_CASE("R17: throw_ on a closed generator raises the same object, StopIteration and GeneratorExit too") {
  generator<int> g = [](auto&) {};
  CHECK_THROWS_AS(g.next(), krait::stop_iteration<>);

  for (const std::exception_ptr& thrown :
       {std::make_exception_ptr(std::runtime_error("x")), std::make_exception_ptr(krait::generator_exit()),
        std::make_exception_ptr(krait::stop_iteration<int>(7))}) {
    CHECK(raised_by([&] { g.throw_(thrown); }) == thrown);
    CHECK(raised_by([&] { static_cast<void>(g.resume_with(thrown)); }) == thrown);
  }
  CHECK(g.state() == state::closed);
}

TEST_CASE("R18: a GeneratorExit that was thrown in and not caught comes out") {
  const std::exception_ptr thrown = std::make_exception_ptr(krait::generator_exit());
  generator<int> g = [](auto& yield) { yield(1); };
  g.next();
  CHECK(raised_by([&] { g.throw_(thrown); }) == thrown);
  CHECK(g.state() == state::closed);
}

TEST_CASE("R18: a yield in answer to a GeneratorExit thrown in is an item like others") {
  generator<int, void, int> g = [](auto& yield) {
    for (int i = 1;; ++i) {
      try {
        yield(i);
      } catch (const krait::generator_exit&) {
        if (i == 2) {
          return 20;
        }
      }
    }
  };
  g.next();
  CHECK(g.throw_(krait::generator_exit()) == 2);
  CHECK(g.state() == state::suspended);
  CHECK(stop_value<int>([&] { g.throw_(krait::generator_exit()); }) == 20);
}

TEST_CASE("R19: exceptions that are no std::exception are delivered like any other") {
  generator<std::string> g = [](auto& yield) {
    std::string caught;
    for (int i = 0; i < 5; ++i) {
      try {
        yield(caught);
      } catch (const std::exception&) {
        caught = "a std::exception";
      } catch (const interrupt&) {
        caught = "an interrupt";
      } catch (int number) {
        caught = "int " + std::to_string(number);
      } catch (const krait::generator_exit&) {
        caught = "a generator_exit";
      }
    }
  };
  g.next();
  CHECK(g.throw_(interrupt()) == "an interrupt");
  CHECK(g.throw_(42) == "int 42");
  CHECK(g.throw_(my_exit()) == "a generator_exit");
  CHECK(g.throw_(std::bad_alloc()) == "a std::exception");
  CHECK_THROWS_AS(g.next(), krait::stop_iteration<>);
}

TEST_CASE("R19: a handler for std::exception lets the others pass") {
  generator<int> g = [](auto& yield) {
    try {
      yield(1);
    } catch (const std::exception&) {
      yield(2);
    }
  };
  g.next();
  CHECK_THROWS_AS(g.throw_(interrupt()), interrupt);
  CHECK(g.state() == state::closed);
}

TEST_CASE("R20: close on a created generator releases its captures and never runs its body") {
  bool ran = false;
  const auto argument = std::make_shared<int>();
  generator<int, void, int> g = [&ran, argument](auto& yield) {
    ran = true;
    yield(*argument);
    return 1;
  };
  CHECK(argument.use_count() == 2);
  CHECK(g.close() == std::nullopt);
  CHECK(argument.use_count() == 1);
  CHECK(g.state() == state::closed);
  CHECK_FALSE(ran);
  CHECK(stop_value<int>([&] { g.next(); }) == std::nullopt);
}

TEST_CASE("R20: close on a closed generator returns nothing, even if it has returned a value") {
  generator<int, void, int> g = [](auto&) { return 5; };
  CHECK(stop_value<int>([&] { g.next(); }) == 5);
  CHECK(g.close() == std::nullopt);
  CHECK(g.close() == std::nullopt);
}

TEST_CASE("R21a: a body that lets GeneratorExit pass is closed without a word") {
  journal log;
  generator<int, void, int> g = [&](auto& yield) {
    const at_end finally(log, "finally");
    yield(1);
    log("not reached");
    return 1;
  };
  g.next();
  CHECK(g.close() == std::nullopt);
  CHECK(g.state() == state::closed);
  CHECK(log.text() == "finally");
}

TEST_CASE("R21a: and so is one that rethrows it, or raises another GeneratorExit") {
  generator<int> rethrows = [](auto& yield) {
    try {
      yield(1);
    } catch (const krait::generator_exit&) {
      throw;
    }
  };
  rethrows.next();
  CHECK_NOTHROW(rethrows.close());
  CHECK(rethrows.state() == state::closed);

  generator<int> raises_its_own = [](auto& yield) {
    try {
      yield(1);
    } catch (const krait::generator_exit&) {
      throw my_exit();
    }
  };
  raises_its_own.next();
  CHECK_NOTHROW(raises_its_own.close());
  CHECK(raises_its_own.state() == state::closed);
}

TEST_CASE("R21a: every close raises a fresh GeneratorExit, which no handler for std::exception sees") {
  std::exception_ptr seen[2];
  for (std::exception_ptr& one : seen) {
    generator<int> g = [&](auto& yield) {
      try {
        yield(1);
      } catch (const std::exception&) {
      } catch (...) {
        one = std::current_exception();
        throw;
      }
    };
    g.next();
    g.close();
  }
  CHECK(text_of(seen[0]) == "krait::generator_exit: GeneratorExit");
  CHECK(text_of(seen[1]) == "krait::generator_exit: GeneratorExit");
  CHECK(seen[0] != seen[1]);
}

TEST_CASE("R21b: close returns what the body returns in answer") {
  generator<int, void, std::string> g = [](auto& yield) -> std::string {
    try {
      yield(1);
    } catch (const krait::generator_exit&) {
      return "caught";
    }
    return "not closed";
  };
  g.next();
  CHECK(g.close() == std::string("caught"));
  CHECK(g.state() == state::closed);
  CHECK(g.close() == std::nullopt);  // once
  CHECK(stop_value<std::string>([&] { g.next(); }) == std::nullopt);
}

TEST_CASE("R21b: close returns nothing where the body returns nothing") {
  generator<int> g = [](auto& yield) {
    try {
      yield(1);
    } catch (const krait::generator_exit&) {
    }
  };
  static_assert(std::is_void_v<decltype(g.close())>);
  g.next();
  CHECK_NOTHROW(g.close());
  CHECK(g.state() == state::closed);
}

TEST_CASE("R21b: close hands over a value that can only be moved") {
  generator<int, void, std::unique_ptr<int>> g = [](auto& yield) {
    try {
      yield(1);
    } catch (const krait::generator_exit&) {
    }
    return std::make_unique<int>(3);
  };
  g.next();
  CHECK(*g.close().value() == 3);
}

TEST_CASE("R21c: a body that answers GeneratorExit with a yield stays suspended and usable") {
  journal log;
  generator<int, std::optional<int>> g = [&](auto& yield) {
    try {
      yield(1);
    } catch (const krait::generator_exit&) {
      log("ignored");
    }
    log("got " + std::to_string(yield(2).value_or(-1)));
    yield(3);
  };
  g.next();
  CHECK_THROWS_WITH_AS(g.close(), ignored, krait::runtime_error);
  CHECK(g.state() == state::suspended);
  CHECK(g.send(9) == 3);  // goes on at the new yield; the 2 is lost
  CHECK(log.text() == "ignored, got 9");
  CHECK_THROWS_AS(g.next(), krait::stop_iteration<>);
}

TEST_CASE("R21c: it can be thrown into, ignore a second close, and be closed at last") {
  generator<int, void, int> g = [](auto& yield) {
    for (int exits = 0;;) {
      try {
        yield(exits);
      } catch (const krait::generator_exit&) {
        if (++exits == 3) {
          return exits;
        }
      } catch (const std::runtime_error&) {
        exits += 10;
        yield(exits);
        exits -= 10;
      }
    }
  };
  g.next();
  CHECK_THROWS_WITH_AS(g.close(), ignored, krait::runtime_error);
  CHECK(g.throw_(std::runtime_error("x")) == 11);
  CHECK(g.next() == 1);
  CHECK_THROWS_WITH_AS(g.close(), ignored, krait::runtime_error);
  CHECK(g.state() == state::suspended);
  CHECK(g.close() == 3);
  CHECK(g.state() == state::closed);
}

TEST_CASE("R21c: a yield within the handler of GeneratorExit ignores it just so") {
  journal log;
  generator<int> g = [&](auto& yield) {
    try {
      yield(1);
    } catch (const krait::generator_exit&) {
      yield(2);
      log(support::handled());
    }
    yield(3);
  };
  g.next();
  CHECK_THROWS_WITH_AS(g.close(), ignored, krait::runtime_error);
  CHECK(g.next() == 3);
  CHECK(log.text() == "krait::generator_exit: GeneratorExit");
}

TEST_CASE("R21d: a body that answers with StopIteration makes close raise RuntimeError") {
  generator<int> g = [](auto& yield) {
    try {
      yield(1);
    } catch (const krait::generator_exit&) {
      throw krait::stop_iteration<>();
    }
  };
  g.next();
  CHECK_THROWS_WITH_AS(g.close(), "generator raised StopIteration", krait::runtime_error);
  CHECK(g.state() == state::closed);
}

TEST_CASE("R21e: any other exception comes out of close") {
  std::exception_ptr raised;
  generator<int> g = [&](auto& yield) {
    try {
      yield(1);
    } catch (const krait::generator_exit&) {
      raised = std::make_exception_ptr(std::out_of_range("fie"));
      std::rethrow_exception(raised);
    }
  };
  g.next();
  const std::exception_ptr out = raised_by([&] { g.close(); });
  CHECK(text_of(out) == "std::out_of_range: fie");
  CHECK(out == raised);
  CHECK(g.state() == state::closed);
  CHECK_NOTHROW(g.close());  // raised once
  CHECK_THROWS_AS(g.next(), krait::stop_iteration<>);
}

TEST_CASE("R22: locals and captures are destroyed before close is done, however the body ends") {
  struct ending {
    std::string name;
    void (*answer)();
  };
  const ending endings[] = {
      {"GeneratorExit", [] { throw; }},
      {"return", [] {}},
      {"StopIteration", [] { throw krait::stop_iteration<>(); }},
      {"another exception", [] { throw std::out_of_range("x"); }},
  };
  for (const ending& how : endings) {
    CAPTURE(how.name);
    const auto local = std::make_shared<int>();
    const auto captured = std::make_shared<int>();
    generator<int> g = [&local, &how, captured](auto& yield) {
      const auto mine = local;
      try {
        yield(*captured);
      } catch (const krait::generator_exit&) {
        how.answer();
      }
    };
    g.next();
    CHECK(local.use_count() == 2);
    raised_by([&] { g.close(); });
    CHECK(g.state() == state::closed);
    CHECK(local.use_count() == 1);
    CHECK(captured.use_count() == 1);
  }
}

TEST_CASE_TEMPLATE("R23: what a delegatee returns in answer to GeneratorExit is lost", How, given, lent) {
  generator<int, void, int> inner = [](auto& yield) {
    try {
      yield(1);
    } catch (const krait::generator_exit&) {
    }
    return 5;
  };
  generator<int, void, int> outer = [&](auto& yield) { return yield.from(How::pass(inner)); };
  CHECK(outer.next() == 1);
  CHECK(outer.close() == std::nullopt);
  CHECK(outer.state() == state::closed);
}

// Not here, for a fact about C++:
//
// R13  Forms with a class, or with type, value and traceback: a class is no object, and an exception that
//      cannot be constructed is raised by the constructor, in the caller.
// R14  Arguments of a wrong type or number do not compile.
