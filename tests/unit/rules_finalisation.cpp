// SPDX-License-Identifier: BSL-1.0
#include <doctest/doctest.h>

#include <exception>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <utility>

#include <krait/krait.hpp>

#include "support/probes.hpp"
#include "support/support.hpp"

// What a generator's destructor does.

namespace {

using krait::generator;
using support::at_end;
using support::given;
using support::handled;
using support::journal;
using support::lent;
using support::state;
using support::text_of;
using support::unraisables;

constexpr auto fresh_exit = "krait::generator_exit: GeneratorExit";

/// Notes its start, how it is told to end, and its end.
generator<int> noting(journal& log, std::string name) {
  return [&log, name](auto& yield) {
    const at_end finally(log, name + " finally");
    log(name + " start");
    try {
      for (int i = 1;; ++i) {
        yield(i);
      }
    } catch (...) {
      log(name + " " + handled());
      throw;
    }
  };
}

/// Answers GeneratorExit with `answer`.
template <class Answer>
generator<int> answering(Answer answer) {
  return [answer](auto& yield) {
    try {
      yield(1);
    } catch (const krait::generator_exit&) {
      answer();
    }
  };
}

/// Starts a generator and destroys it.
void start_and_drop(generator<int> g) {
  g.next();
}

}  // namespace

TEST_CASE("R61: destroying a created or closed generator runs nothing and reports nothing") {
  const unraisables reports;
  journal log;
  {
    const generator<int> created = noting(log, "created");
  }
  CHECK(log.text() == "");
  {
    generator<int> closed = noting(log, "closed");
    closed.next();
    closed.close();
    log.clear();
  }
  {
    generator<int> returned = [](auto&) {};
    CHECK_THROWS_AS(returned.next(), krait::stop_iteration<>);
    generator<int> raised = [](auto&) { throw std::runtime_error("x"); };
    CHECK_THROWS_AS(raised.next(), std::runtime_error);
  }
  CHECK(log.text() == "");
  CHECK(reports.count() == 0);
}

TEST_CASE("R61: destroying a created generator destroys its captures") {
  const auto argument = std::make_shared<int>();
  {
    const generator<int> g = [argument](auto& yield) { yield(*argument); };
    CHECK(argument.use_count() == 2);
  }
  CHECK(argument.use_count() == 1);
}

TEST_CASE("R62: destroying a suspended generator closes it") {
  const unraisables reports;
  journal log;
  {
    generator<int> g = noting(log, "g");
    g.next();
    log("leaving");
  }
  CHECK(log.text() == std::string("g start, leaving, g ") + fresh_exit + ", g finally");
  CHECK(reports.count() == 0);
}

TEST_CASE("R62: an exception of the body goes to the hook, itself") {
  const unraisables reports;
  const std::exception_ptr raised = std::make_exception_ptr(std::out_of_range("fin"));
  start_and_drop(answering([&] { std::rethrow_exception(raised); }));
  REQUIRE(reports.count() == 1);
  CHECK(reports.at(0).exception == raised);
}

TEST_CASE("R62: a StopIteration of the body goes to the hook as RuntimeError") {
  const unraisables reports;
  start_and_drop(answering([] { throw krait::stop_iteration<>(); }));
  REQUIRE(reports.count() == 1);
  CHECK_THROWS_WITH_AS(std::rethrow_exception(reports.at(0).exception), "generator raised StopIteration",
                       krait::runtime_error);
}

TEST_CASE("R62: a yield in answer goes to the hook, once, and nothing more of the body runs") {
  const unraisables reports;
  journal log;
  start_and_drop([&](auto& yield) {
    try {
      yield(1);
    } catch (const krait::generator_exit&) {
      log("ignored");
    }
    yield(2);
    log("not reached");
  });
  CHECK(reports.text() == "krait::runtime_error: generator ignored GeneratorExit");
  CHECK(log.text() == "ignored");
}

TEST_CASE("R62: a generator that has ignored one close can still be closed by its destructor") {
  const unraisables reports;
  journal log;
  {
    generator<int> g = [&](auto& yield) {
      const at_end finally(log, "finally");
      try {
        yield(1);
      } catch (const krait::generator_exit&) {
        log("ignored");
      }
      yield(2);
    };
    g.next();
    CHECK_THROWS_AS(g.close(), krait::runtime_error);
  }
  CHECK(log.text() == "ignored, finally");
  CHECK(reports.count() == 0);
}

TEST_CASE("R62: a return value and a GeneratorExit are silent") {
  const unraisables reports;
  {
    generator<int, void, int> g = [](auto& yield) {
      try {
        yield(1);
      } catch (const krait::generator_exit&) {
      }
      return 5;
    };
    g.next();
  }
  struct my_exit : krait::generator_exit {};
  start_and_drop(answering([] { throw; }));
  start_and_drop(answering([] { throw my_exit(); }));
  CHECK(reports.count() == 0);
}

TEST_CASE("R62: assigning to a generator destroys the one it was") {
  journal log;
  generator<int> g = noting(log, "first");
  g.next();
  g = noting(log, "second");
  CHECK(log.text() == std::string("first start, first ") + fresh_exit + ", first finally");
  CHECK(g.state() == state::created);
}

TEST_CASE("R63: the hook is told which generator it was") {
  const unraisables reports;
  std::string repr;
  {
    generator<int> g = answering([] { throw std::out_of_range("fin"); });
    g.set_name("bad");
    repr = g.repr();
    g.next();
  }
  CHECK(repr.starts_with("<generator object bad at 0x"));
  REQUIRE(reports.count() == 1);
  CHECK(reports.at(0).message == "Exception ignored while closing generator " + repr);
  CHECK(text_of(reports.at(0).exception) == "std::out_of_range: fin");
}

TEST_CASE("R63: the default hook writes that, with the exception, to stderr") {
  std::string repr;
  const auto drop = [&](auto answer) {
    return probes::stderr_of([&] {
      generator<int> g = answering(answer);
      repr = g.repr();
      start_and_drop(std::move(g));
    });
  };
  std::string text = drop([] { throw std::out_of_range("fin"); });
  CHECK(text == "Exception ignored while closing generator " + repr + ":\nstd::out_of_range: fin\n");

  text = drop([] { throw krait::stop_iteration<>(); });
  CHECK(text == "Exception ignored while closing generator " + repr +
                    ":\nkrait::runtime_error: generator raised StopIteration\n");
}

TEST_CASE("R63: an exception of the hook itself is written to stderr and goes no further") {
  const krait::unraisable_hook previous =
      krait::set_unraisable_hook([](const krait::unraisable&) { throw std::logic_error("hook failed"); });
  const std::string text =
      probes::stderr_of([] { start_and_drop(answering([] { throw std::out_of_range("fin"); })); });
  krait::set_unraisable_hook(previous);
  CHECK(text == "Exception ignored in krait's unraisable hook:\nstd::logic_error: hook failed\n");
}

TEST_CASE("R64: destruction leaves the exception in flight alone") {
  journal log;
  const unraisables reports;
  try {
    generator<int> quiet = noting(log, "g");
    quiet.next();
    generator<int> loud = answering([] { throw std::out_of_range("fin"); });
    loud.next();
    throw std::runtime_error("in flight");
  } catch (const std::runtime_error& e) {
    log(e.what());
    log(handled());
  }
  CHECK(log.text() ==
        std::string("g start, g ") + fresh_exit + ", g finally, in flight, std::runtime_error: in flight");
  CHECK(reports.text() == "std::out_of_range: fin");
  CHECK(std::uncaught_exceptions() == 0);
}

TEST_CASE("R64: destruction leaves the exception being handled alone") {
  journal log;
  const unraisables reports;
  try {
    throw std::runtime_error("being handled");
  } catch (const std::runtime_error&) {
    start_and_drop(noting(log, "g"));
    log(handled());
    start_and_drop(answering([] { throw std::out_of_range("fin"); }));
    log(handled());
  }
  CHECK(log.text() ==
        std::string("g start, g ") + fresh_exit +
            ", g finally, std::runtime_error: being handled, std::runtime_error: being handled");
  CHECK(reports.text() == "std::out_of_range: fin");
}

TEST_CASE_TEMPLATE("R65: the generator delegated to is closed before the delegator unwinds", How, given,
                   lent) {
  journal log;
  generator<int> inner = noting(log, "inner");
  {
    generator<int> outer = [&](auto& yield) {
      const at_end finally(log, "outer finally");
      try {
        yield.from(How::pass(inner));
      } catch (...) {
        log("outer " + handled());
        throw;
      }
    };
    outer.next();
  }
  CHECK(log.text() == std::string("inner start, inner ") + fresh_exit + ", inner finally, outer " +
                          fresh_exit + ", outer finally");
}

TEST_CASE("R65: it is closed even if it was lent and lives on") {
  journal log;
  generator<int> inner = noting(log, "inner");
  {
    generator<int> outer = [&](auto& yield) { yield.from(inner); };
    outer.next();
  }
  CHECK(inner.state() == state::closed);
  CHECK_THROWS_AS(inner.next(), krait::stop_iteration<>);
}

TEST_CASE("R65: locals go in reverse order, then captures") {
  journal log;
  auto body = [&log, captured = std::make_shared<at_end>(log, "captured")](auto& yield) {
    const at_end a(log, "a");
    const at_end b(log, "b");
    try {
      yield(1);
    } catch (...) {
      log("handler");
      throw;
    }
  };
  auto g = std::make_unique<generator<int>>(std::move(body));
  g->next();
  SUBCASE("destroyed") {
    g.reset();
  }
  SUBCASE("closed") {
    g->close();
  }
  log("done");
  CHECK(log.text() == "handler, b, a, captured, done");
}

TEST_CASE("R65: a generator that is merely a local goes with the locals") {
  journal log;
  start_and_drop([&](auto& yield) {
    generator<int> held = noting(log, "held");
    held.next();
    const at_end finally(log, "holder finally");
    yield(1);
  });
  CHECK(log.text() == std::string("held start, holder finally, held ") + fresh_exit + ", held finally");
}

TEST_CASE("R66: a generator is finalised once, by whoever owns it last") {
  journal log;
  {
    generator<int> first = noting(log, "g");
    first.next();
    generator<int> second = std::move(first);
    const generator<int> third = std::move(second);
    log("moved");
  }
  CHECK(log.text() == std::string("g start, moved, g ") + fresh_exit + ", g finally");
}

TEST_CASE("R66: a generator can be finalised while another runs, and use others itself") {
  journal log;
  std::optional<generator<int>> dropped = noting(log, "dropped");
  dropped->next();
  generator<int> running = [&](auto& yield) {
    const auto count_in_clean_up = [&] {
      generator<int> nested = [](auto& nested_yield) { nested_yield(7); };
      log("nested " + std::to_string(nested.next()));
    };
    dropped.reset();
    log("dropped");
    try {
      yield(1);
    } catch (const krait::generator_exit&) {
      count_in_clean_up();
    }
  };
  CHECK(running.next() == 1);
  running.close();
  CHECK(log.text() ==
        std::string("dropped start, dropped ") + fresh_exit + ", dropped finally, dropped, nested 7");
}

TEST_CASE("R67: breaking off a loop tells a generator nothing; a temporary goes before the next statement") {
  journal log;
  for (const int i : noting(log, "temporary")) {
    log(std::to_string(i));
    if (i == 2) {
      break;
    }
  }
  log("after the loop");
  CHECK(log.text() == std::string("temporary start, 1, 2, temporary ") + fresh_exit +
                          ", temporary finally, after the loop");
}

TEST_CASE("R67: one with a name goes with its scope") {
  journal log;
  {
    generator<int> named = noting(log, "named");
    for (const int i : named) {
      log(std::to_string(i));
      break;
    }
    log("after the loop");
    CHECK(named.state() == state::suspended);
  }
  CHECK(log.text() == std::string("named start, 1, after the loop, named ") + fresh_exit + ", named finally");
}

TEST_CASE("R67: an exception of the loop's body is not delivered into the generator") {
  journal log;
  generator<int> named = noting(log, "g");
  try {
    for (const int i : named) {
      log(std::to_string(i));
      throw std::runtime_error("of the loop");
    }
  } catch (const std::runtime_error& e) {
    log(e.what());
  }
  CHECK(log.text() == "g start, 1, of the loop");
  CHECK(named.state() == state::suspended);
  CHECK(named.next() == 2);
}

// Not here, for a fact about C++:
//
// R64  The context of the GeneratorExit: C++ keeps no implicit context of an exception.
// R66  A generator that owns itself is never finalised: there is no cycle collector. Nor can a destructor
//      bring its object back.
