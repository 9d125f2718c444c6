// SPDX-License-Identifier: BSL-1.0
#include <doctest/doctest.h>

#include <exception>
#include <stdexcept>
#include <string>
#include <vector>

#include <krait/krait.hpp>

#include "support/support.hpp"

// PEP 479: a StopIteration that leaves a body is an error.

namespace {

using krait::generator;
using support::cause_of;
using support::given;
using support::journal;
using support::lent;
using support::raised_by;
using support::state;
using support::stop_value;

constexpr auto raised_stop = "generator raised StopIteration";

struct derived_stop : krait::stop_iteration<int> {
  using stop_iteration::stop_iteration;
};

/// Checks that `call` raises the RuntimeError of PEP 479, and returns its cause.
template <class Call>
std::exception_ptr cause_of_leak(Call call) {
  const std::exception_ptr error = raised_by(call);
  REQUIRE(error != nullptr);
  CHECK_THROWS_WITH_AS(std::rethrow_exception(error), raised_stop, krait::runtime_error);
  const std::exception_ptr cause = cause_of(error);
  REQUIRE(cause != nullptr);
  return cause;
}

}  // namespace

TEST_CASE("R44: a StopIteration that leaves the body becomes a RuntimeError, caused by that very object") {
  const std::exception_ptr stop = std::make_exception_ptr(krait::stop_iteration<int>(1));
  generator<int> g = [&](auto& yield) {
    yield(1);
    std::rethrow_exception(stop);
  };
  g.next();
  CHECK(cause_of_leak([&] { g.next(); }) == stop);
  CHECK(g.state() == state::closed);
  CHECK_THROWS_WITH_AS(g.next(), "StopIteration", krait::stop_iteration<>);
}

TEST_CASE("R44: so does one without a value, with a value of any type, and of a derived class") {
  const auto check = [](auto stop) {
    generator<int> g = [&](auto&) { throw stop; };
    const std::exception_ptr cause = cause_of_leak([&] { g.next(); });
    CHECK_THROWS_AS(std::rethrow_exception(cause), decltype(stop));
  };
  check(krait::stop_iteration<>());
  check(krait::stop_iteration<std::string>("value"));
  check(derived_stop(1));
}

TEST_CASE("R44: it does not matter how it got there: from a helper, or from next() on what has ended") {
  generator<int> by_helper = [](auto&) { [] { throw krait::stop_iteration<>(); }(); };
  cause_of_leak([&] { by_helper.next(); });
  CHECK(by_helper.state() == state::closed);

  generator<int> empty = [](auto&) {};
  generator<int> by_next = [&](auto& yield) { yield(empty.next()); };
  cause_of_leak([&] { by_next.next(); });
  CHECK(by_next.state() == state::closed);
}

TEST_CASE("R44: nor whether it was thrown in") {
  const std::exception_ptr stop = std::make_exception_ptr(krait::stop_iteration<int>(1));
  generator<int> g = [](auto& yield) { yield(1); };
  g.next();
  CHECK(cause_of_leak([&] { g.throw_(stop); }) == stop);

  generator<int> h = [](auto& yield) { yield(1); };
  h.next();
  CHECK(cause_of_leak([&] { static_cast<void>(h.resume_with(stop)); }) == stop);
}

TEST_CASE("R44: resume raises it, too") {
  generator<int> g = [](auto&) { throw krait::stop_iteration<>(); };
  cause_of_leak([&] { static_cast<void>(g.resume()); });
  CHECK(g.resume().returned());
}

TEST_CASE("R44: raised while the body is closed or destroyed, it is converted as well") {
  const auto body = [](auto& yield) {
    try {
      yield(1);
    } catch (const krait::generator_exit&) {
      throw krait::stop_iteration<int>(2);
    }
  };
  generator<int> closed = body;
  closed.next();
  const std::exception_ptr cause = cause_of_leak([&] { closed.close(); });
  CHECK(stop_value<int>([&] { std::rethrow_exception(cause); }) == 2);

  const support::unraisables reports;
  {
    generator<int> destroyed = body;
    destroyed.next();
  }
  REQUIRE(reports.count() == 1);
  cause_of_leak([&] { std::rethrow_exception(reports.at(0).exception); });
}

TEST_CASE("R44: a loop over the generator does not take it for the end") {
  generator<int> g = [](auto& yield) {
    yield(1);
    throw krait::stop_iteration<>();
  };
  std::vector<int> seen;
  cause_of_leak([&] {
    for (const int i : g) {
      seen.push_back(i);
    }
  });
  CHECK(seen == std::vector<int>{1});
}

TEST_CASE("R45: a StopIteration caught in the body is an ordinary exception") {
  generator<int, void, int> g = [](auto& yield) -> int {
    try {
      yield(1);
    } catch (const krait::stop_iteration<int>& stop) {
      return stop.value();
    }
    return 0;
  };
  g.next();
  CHECK(stop_value<int>([&] { g.throw_(krait::stop_iteration<int>(6)); }) == 6);
}

TEST_CASE_TEMPLATE("R45: through yield.from it is converted once", How, given, lent) {
  const std::exception_ptr stop = std::make_exception_ptr(krait::stop_iteration<>());
  std::exception_ptr outer_saw;
  generator<int> inner = [&](auto& yield) {
    yield(1);
    std::rethrow_exception(stop);
  };
  generator<int> outer = [&](auto& yield) {
    try {
      yield.from(How::pass(inner));
    } catch (...) {
      outer_saw = std::current_exception();
      throw;
    }
  };
  outer.next();
  std::exception_ptr error;
  const std::exception_ptr cause = cause_of_leak([&] {
    error = raised_by([&] { outer.next(); });
    std::rethrow_exception(error);
  });
  CHECK(cause == stop);
  CHECK(outer_saw == error);  // the object of the inner generator
}

TEST_CASE_TEMPLATE("R45: thrown into a delegator it does not end the delegation, but the inner body", How,
                   given, lent) {
  journal log;
  generator<int> inner = [](auto& yield) { yield(1); };
  generator<int> outer = [&](auto& yield) {
    try {
      yield.from(How::pass(inner));
      log("ended");
    } catch (const krait::runtime_error& e) {
      log(e.what());
      throw;
    }
  };
  outer.next();
  cause_of_leak([&] { outer.throw_(krait::stop_iteration<>()); });
  CHECK(log.text() == raised_stop);
}

TEST_CASE("R46: GeneratorExit is never converted") {
  generator<int> g = [](auto& yield) {
    yield(1);
    throw krait::generator_exit();
  };
  g.next();
  CHECK_THROWS_AS(g.next(), krait::generator_exit);
  CHECK(g.state() == state::closed);
}

TEST_CASE("R46: and a RuntimeError of the body's own stays what it is") {
  generator<int> g = [](auto&) { throw krait::runtime_error("my own"); };
  const std::exception_ptr error = raised_by([&] { g.next(); });
  CHECK_THROWS_WITH_AS(std::rethrow_exception(error), "my own", krait::runtime_error);
  CHECK(cause_of(error) == nullptr);
}

TEST_CASE("R47: a StopIteration is not converted where nothing of the body runs") {
  const std::exception_ptr stop = std::make_exception_ptr(krait::stop_iteration<int>(3));
  generator<int> g = [](auto& yield) { yield(1); };
  CHECK(raised_by([&] { g.throw_(stop); }) == stop);                          // created
  CHECK(raised_by([&] { g.throw_(stop); }) == stop);                          // closed
  CHECK(raised_by([&] { static_cast<void>(g.resume_with(stop)); }) == stop);  // closed
  generator<int> h = [](auto& yield) { yield(1); };
  CHECK(raised_by([&] { static_cast<void>(h.resume_with(stop)); }) == stop);  // created
  CHECK(h.state() == state::closed);
}

// Not here, for a fact about C++:
//
// R44  __suppress_context__: C++ keeps no implicit context that could be suppressed.
