// SPDX-License-Identifier: BSL-1.0
#include <doctest/doctest.h>

#include <exception>
#include <functional>
#include <list>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include <krait/krait.hpp>

#include "support/support.hpp"

// yield.from, in its four forms: a generator given away, a generator lent, any object with next(), a range.

namespace delegation_rules {

/// An iterator of PEP 380 with all of its functions. Each does what the test says; by default it notes the
/// call, next() yields 1, 2, 3 ..., send() and throw_() yield 70 and 80.
struct foreign {
  using return_type = std::optional<std::string>;

  explicit foreign(support::journal& log)
      : on_next([&log, i = 0]() mutable {
          log("next");
          return ++i;
        }),
        on_send([&log](int sent) {
          log("send " + std::to_string(sent));
          return 70;
        }),
        on_throw([&log](const std::exception_ptr& exception) {
          log("throw " + support::text_of(exception));
          return 80;
        }),
        on_close([&log] { log("close"); }) {}

  int next() { return on_next(); }
  int send(std::optional<int> value) { return on_send(value.value()); }
  int throw_(const std::exception_ptr& exception) { return on_throw(exception); }
  void close() { on_close(); }

  std::function<int()> on_next;
  std::function<int(int)> on_send;
  std::function<int(std::exception_ptr)> on_throw;
  std::function<void()> on_close;
};

/// Has next() and nothing else.
struct only_next {
  int next() { return ++i; }
  int i = 0;
};

struct next_and_throw {
  int next() { return 1; }
  int throw_(const std::exception_ptr&) { return 80; }
};

struct next_and_close {
  int next() { return 1; }
  void close() { ++closed; }
  int closed = 0;
};

/// A range of 1, 2, 3.
struct numbers {
  const int* begin() const { return all; }
  const int* end() const { return all + 3; }
  int all[3] = {1, 2, 3};
};

/// A range that cannot be begun.
template <class Exception>
struct unbeginnable {
  const int* begin() const { throw Exception(exception); }
  const int* end() const { return nullptr; }
  Exception exception;
};

}  // namespace delegation_rules

namespace {

using namespace delegation_rules;
using krait::generator;
using support::at_end;
using support::given;
using support::journal;
using support::lent;
using support::raised_by;
using support::state;
using support::stop_value;
using support::text_of;

using optional_int = std::optional<int>;
using optional_text = std::optional<std::string>;
/// Sends and returns None or a value, as Python's do.
using generator_of_all = generator<int, optional_int, optional_text>;

constexpr auto ignored = "generator ignored GeneratorExit";

struct my_exit : krait::generator_exit {};

std::exception_ptr an_error() {
  return std::make_exception_ptr(std::runtime_error("v"));
}

/// Yields 1 and 2, notes what it gets, and returns "inner".
generator_of_all noting_inner(journal& log) {
  return [&log](auto& yield) -> optional_text {
    const at_end finally(log, "inner finally");
    try {
      for (const int i : {1, 2}) {
        const optional_int got = yield(i);
        log("got " + (got ? std::to_string(*got) : "none"));
      }
    } catch (...) {
      log("inner: " + support::handled());
      throw;
    }
    return "inner";
  };
}

/// Delegates to `inner`, notes how that comes out, and returns it.
template <class How = lent, class Inner>
generator_of_all noting_outer(journal& log, Inner& inner) {
  return [&log, &inner](auto& yield) -> optional_text {
    const at_end finally(log, "outer finally");
    try {
      const optional_text result = yield.from(How::pass(inner));
      log("result " + result.value_or("none"));
      return result;
    } catch (...) {
      log("outer: " + support::handled());
      throw;
    }
  };
}

template <class T>
concept can_be_delegated_to = requires(krait::yielder<int>& yield, T object) { yield.from(object); };

}  // namespace

TEST_CASE("R24: the iterator is obtained at the yield.from, and its first element at once") {
  journal log;
  foreign inner(log);
  generator_of_all outer = noting_outer(log, inner);
  CHECK(log.text() == "");
  CHECK(outer.next() == 1);
  CHECK(log.text() == "next");
}

TEST_CASE("R24: a range is begun once, and its error is raised at the yield.from") {
  unbeginnable<std::out_of_range> range{std::out_of_range("begin")};
  generator<int> outer = [&](auto& yield) {
    try {
      yield.from(range);
    } catch (const std::out_of_range&) {
      yield(-1);
    }
  };
  CHECK(outer.next() == -1);

  struct counting : numbers {
    int& begun;
    explicit counting(int& count) : begun(count) {}
    const int* begin() const { return ++begun, numbers::begin(); }
  };
  int begun = 0;
  const counting elements(begun);
  generator<int> counted = [&](auto& yield) { yield.from(elements); };
  CHECK(counted.next() == 1);
  CHECK(counted.next() == 2);
  CHECK(begun == 1);
}

TEST_CASE("R24: a StopIteration raised by a range is an ordinary exception") {
  unbeginnable<krait::stop_iteration<>> range{};
  generator<int> outer = [&](auto& yield) { yield.from(range); };
  const std::exception_ptr error = raised_by([&] { outer.next(); });
  CHECK_THROWS_WITH_AS(std::rethrow_exception(error), "generator raised StopIteration", krait::runtime_error);
  CHECK_THROWS_AS(std::rethrow_exception(support::cause_of(error)), krait::stop_iteration<>);
}

TEST_CASE("R24: what is no iterator and no range does not compile") {
  static_assert(!can_be_delegated_to<int>);
  static_assert(!can_be_delegated_to<std::optional<int>>);
  static_assert(can_be_delegated_to<only_next>);
  static_assert(can_be_delegated_to<numbers>);
  static_assert(can_be_delegated_to<generator<int>>);
}

TEST_CASE_TEMPLATE("R25: what a generator yields goes to the driver, past its delegator", How, given, lent) {
  int values[] = {1, 2};
  journal log;
  generator<int&> inner = [&](auto& yield) {
    yield(values[0]);
    yield(values[1]);
  };
  generator<int&> outer = [&](auto& yield) {
    log("before");
    yield.from(How::pass(inner));
    log("after");
  };
  CHECK(&outer.next() == &values[0]);
  CHECK(&outer.next() == &values[1]);
  CHECK(log.text() == "before");
  CHECK_THROWS_AS(outer.next(), krait::stop_iteration<>);
  CHECK(log.text() == "before, after");
}

TEST_CASE_TEMPLATE("R25: a value that can only be moved passes", How, given, lent) {
  generator<std::unique_ptr<int>> inner = [](auto& yield) { yield(std::make_unique<int>(4)); };
  generator<std::unique_ptr<int>> middle = [&](auto& yield) { yield.from(How::pass(inner)); };
  generator<std::unique_ptr<int>> outer = [&](auto& yield) { yield.from(How::pass(middle)); };
  CHECK(*outer.next() == 4);
}

TEST_CASE("R25: what an object or a range yields goes to the driver unchanged") {
  int value = 0;
  struct reference {
    int& next() { return target; }
    int& target;
  };
  generator<int&> from_object = [&](auto& yield) { yield.from(reference{value}); };
  CHECK(&from_object.next() == &value);

  std::vector<int> elements = {5, 6};
  generator<int&> from_range = [&](auto& yield) { yield.from(elements); };
  CHECK(&from_range.next() == &elements[0]);
  CHECK(&from_range.next() == &elements[1]);
  CHECK_THROWS_AS(from_range.next(), krait::stop_iteration<>);

  std::vector<std::unique_ptr<int>> pointers;
  pointers.push_back(std::make_unique<int>(7));
  generator<std::unique_ptr<int>> moved = [&](auto& yield) { yield.from(std::move(pointers)); };
  CHECK(*moved.next() == 7);
}

TEST_CASE_TEMPLATE("R26: what is sent goes to the innermost generator", How, given, lent) {
  journal log;
  generator_of_all inner = noting_inner(log);
  generator_of_all middle = noting_outer<How>(log, inner);
  generator_of_all outer = noting_outer<How>(log, middle);
  CHECK(outer.next() == 1);
  CHECK(outer.send(5) == 2);
  CHECK(stop_value<optional_text>([&] { outer.next(); }).value() == optional_text("inner"));
  CHECK(log.text() ==
        "got 5, got none, inner finally, result inner, outer finally, result inner, "
        "outer finally");
}

TEST_CASE_TEMPLATE("R26: a generator that takes nothing lets drop what is sent", How, given, lent) {
  generator<int> inner = [](auto& yield) {
    yield(1);
    yield(2);
  };
  generator<int, int> outer = [&](auto& yield) { yield.from(How::pass(inner)); };
  CHECK(outer.next() == 1);
  CHECK(outer.send(5) == 2);
}

TEST_CASE("R26: None goes to an object's next, a value to its send") {
  journal log;
  foreign inner(log);
  generator_of_all outer = noting_outer(log, inner);
  CHECK(outer.next() == 1);
  CHECK(outer.send(7) == 70);
  CHECK(outer.send(std::nullopt) == 2);
  CHECK(outer.next() == 3);
  CHECK(log.text() == "next, send 7, next, next");
}

TEST_CASE("R26: an object without send raises AttributeError at the yield.from") {
  constexpr auto text = "'delegation_rules::only_next' object has no attribute 'send'";
  only_next inner;
  generator<int, optional_int> passes = [&](auto& yield) { yield.from(inner); };
  CHECK(passes.next() == 1);
  CHECK(passes.send(std::nullopt) == 2);
  CHECK_THROWS_WITH_AS(passes.send(1), text, krait::attribute_error);
  CHECK(passes.state() == state::closed);

  generator<int, optional_int> catches = [&](auto& yield) {
    try {
      yield.from(inner);
    } catch (const krait::attribute_error&) {
      yield(-1);
    }
  };
  CHECK(catches.next() == 3);
  CHECK(catches.send(1) == -1);
}

TEST_CASE("R26: and so does a range") {
  const numbers elements;
  generator<int, optional_int> outer = [&](auto& yield) { yield.from(elements); };
  CHECK(outer.next() == 1);
  CHECK(outer.send(std::nullopt) == 2);
  CHECK_THROWS_WITH_AS(outer.send(1), "'delegation_rules::numbers' object has no attribute 'send'",
                       krait::attribute_error);
  CHECK(outer.state() == state::closed);
}

TEST_CASE_TEMPLATE("R27: yield.from evaluates to what the generator returns", How, given, lent) {
  generator<int, void, std::unique_ptr<int>> inner = [](auto& yield) {
    yield(1);
    return std::make_unique<int>(5);
  };
  generator<int, void, int> outer = [&](auto& yield) {
    const std::unique_ptr<int> result = yield.from(How::pass(inner));
    yield(2);
    return *result;
  };
  CHECK(outer.next() == 1);
  CHECK(outer.next() == 2);
  CHECK(stop_value<int>([&] { outer.next(); }) == 5);
}

TEST_CASE_TEMPLATE("R27: a generator that returns without a yield ends the delegation", How, given, lent) {
  generator<int, void, int> inner = [](auto&) { return 5; };
  generator<int, void, int> outer = [&](auto& yield) { return yield.from(How::pass(inner)); };
  CHECK(stop_value<int>([&] { outer.next(); }) == 5);
}

TEST_CASE_TEMPLATE("R27: what leaves the generator is raised at the yield.from", How, given, lent) {
  generator<int> inner = [](auto& yield) {
    yield(1);
    throw std::out_of_range("from inner");
  };
  generator<int, void, std::string> outer = [&](auto& yield) -> std::string {
    try {
      yield.from(How::pass(inner));
    } catch (const std::out_of_range& e) {
      return e.what();
    }
    return "nothing raised";
  };
  CHECK(outer.next() == 1);
  CHECK(stop_value<std::string>([&] { outer.next(); }) == std::string("from inner"));
}

TEST_CASE("R27: a StopIteration raised by an object's next or send ends the delegation with its value") {
  struct derived : krait::stop_iteration<optional_text> {
    using stop_iteration::stop_iteration;
  };
  journal log;
  foreign inner(log);

  inner.on_next = []() -> int { throw krait::stop_iteration<optional_text>("nv"); };
  generator_of_all by_next = noting_outer(log, inner);
  CHECK(stop_value<optional_text>([&] { by_next.next(); }).value() == optional_text("nv"));

  inner.on_next = []() -> int { throw derived("derived"); };
  generator_of_all by_derived = noting_outer(log, inner);
  CHECK(stop_value<optional_text>([&] { by_derived.next(); }).value() == optional_text("derived"));

  inner.on_next = []() -> int { throw krait::stop_iteration<>(); };
  generator_of_all without_value = noting_outer(log, inner);
  CHECK(stop_value<optional_text>([&] { without_value.next(); }).value() == optional_text());

  inner.on_next = [] { return 1; };
  inner.on_send = [](int) -> int { throw krait::stop_iteration<optional_text>("sv"); };
  generator_of_all by_send = noting_outer(log, inner);
  by_send.next();
  CHECK(stop_value<optional_text>([&] { by_send.send(1); }).value() == optional_text("sv"));

  CHECK(log.text() ==
        "result nv, outer finally, result derived, outer finally, result none, outer finally, "
        "result sv, outer finally");
}

TEST_CASE("R27: any other exception of an object is raised at the yield.from") {
  journal log;
  foreign inner(log);
  inner.on_next = []() -> int { throw std::out_of_range("nk"); };
  generator_of_all outer = noting_outer(log, inner);
  CHECK_THROWS_WITH_AS(outer.next(), "nk", std::out_of_range);
  CHECK(log.text() == "outer: std::out_of_range: nk, outer finally");
}

TEST_CASE("R27: the end of a range ends the delegation") {
  generator<int, void, std::string> outer = [](auto& yield) {
    yield.from(std::vector<int>{1, 2});
    yield.from(std::list<int>{});
    yield(3);
    return "end";
  };
  CHECK(outer.next() == 1);
  CHECK(outer.next() == 2);
  CHECK(outer.next() == 3);
  CHECK(stop_value<std::string>([&] { outer.next(); }) == std::string("end"));
}

TEST_CASE_TEMPLATE("R28: throw_ raises the same object in the innermost generator first", How, given, lent) {
  journal log;
  const std::exception_ptr thrown = an_error();
  generator_of_all inner = noting_inner(log);
  generator_of_all outer = noting_outer<How>(log, inner);
  outer.next();
  CHECK(raised_by([&] { outer.throw_(thrown); }) == thrown);
  CHECK(log.text() ==
        "inner: std::runtime_error: v, inner finally, outer: std::runtime_error: v, "
        "outer finally");
  CHECK(outer.state() == state::closed);
}

TEST_CASE_TEMPLATE("R28: a yield in answer is what throw_ returns; the delegation goes on", How, given,
                   lent) {
  generator<int, void, optional_text> inner = [](auto& yield) -> optional_text {
    try {
      yield(1);
    } catch (const std::runtime_error&) {
      yield(2);
    }
    yield(3);
    return "inner";
  };
  journal log;
  generator_of_all outer = noting_outer<How>(log, inner);
  outer.next();
  CHECK(outer.throw_(an_error()) == 2);
  CHECK(outer.yielding_from());
  CHECK(outer.next() == 3);
  CHECK(stop_value<optional_text>([&] { outer.next(); }).value() == optional_text("inner"));
}

TEST_CASE_TEMPLATE("R28: a return in answer is what yield.from evaluates to", How, given, lent) {
  generator<int, void, int> inner = [](auto& yield) {
    try {
      yield(1);
    } catch (const std::runtime_error&) {
    }
    return 5;
  };
  generator<int, void, int> outer = [&](auto& yield) {
    const int result = yield.from(How::pass(inner));
    yield(2);
    return result;
  };
  outer.next();
  CHECK(outer.throw_(an_error()) == 2);
  CHECK(stop_value<int>([&] { outer.next(); }) == 5);
}

TEST_CASE_TEMPLATE("R28: another exception in answer is raised at the yield.from", How, given, lent) {
  generator<int> inner = [](auto& yield) {
    try {
      yield(1);
    } catch (const std::runtime_error&) {
      throw std::out_of_range("another");
    }
  };
  generator<int> outer = [&](auto& yield) {
    try {
      yield.from(How::pass(inner));
    } catch (const std::out_of_range&) {
      yield(2);
    }
  };
  outer.next();
  CHECK(outer.throw_(an_error()) == 2);
  CHECK_FALSE(outer.yielding_from());
}

TEST_CASE("R28: an object's throw_ is given the same exception, and decides") {
  journal log;
  const std::exception_ptr thrown = an_error();
  std::exception_ptr received;
  foreign inner(log);
  inner.on_throw = [&](const std::exception_ptr& exception) {
    received = exception;
    return 80;
  };
  generator_of_all outer = noting_outer(log, inner);
  outer.next();
  CHECK(outer.throw_(thrown) == 80);
  CHECK(received == thrown);
  CHECK(outer.next() == 2);  // the delegation goes on

  inner.on_throw = [](const std::exception_ptr&) -> int { throw krait::stop_iteration<optional_text>("tv"); };
  CHECK(stop_value<optional_text>([&] { outer.throw_(thrown); }).value() == optional_text("tv"));

  inner.on_throw = [](const std::exception_ptr&) -> int { throw std::out_of_range("tk"); };
  log.clear();
  generator_of_all another = noting_outer(log, inner);
  another.next();
  CHECK_THROWS_WITH_AS(another.throw_(thrown), "tk", std::out_of_range);
  CHECK(log.text() == "next, outer: std::out_of_range: tk, outer finally");
}

TEST_CASE("R28: an object without throw_, or a range, has it raised at the yield.from") {
  const std::exception_ptr thrown = an_error();
  const auto check = [&](auto inner) {
    std::exception_ptr caught;
    generator<int> outer = [&](auto& yield) {
      try {
        yield.from(inner);
      } catch (...) {
        caught = std::current_exception();
      }
      yield(-1);
    };
    CHECK(outer.next() == 1);
    CHECK(outer.throw_(thrown) == -1);
    CHECK(caught == thrown);
  };
  check(only_next());
  check(next_and_close());
  check(numbers());
}

TEST_CASE("R28: that leaves an iterator's position alone, so a delegator may catch it and delegate again") {
  only_next inner;
  generator<int> outer = [&](auto& yield) {
    for (;;) {
      try {
        yield.from(inner);
      } catch (const std::runtime_error&) {
        yield(-1);
      }
    }
  };
  CHECK(outer.next() == 1);
  CHECK(outer.throw_(an_error()) == -1);
  CHECK(outer.next() == 2);
}

TEST_CASE_TEMPLATE("R29: GeneratorExit closes the generator, then is raised, itself, at the yield.from", How,
                   given, lent) {
  for (const std::exception_ptr& thrown :
       {std::make_exception_ptr(krait::generator_exit()), std::make_exception_ptr(my_exit())}) {
    journal log;
    std::exception_ptr inner_saw;
    std::exception_ptr outer_saw;
    generator<int> inner = [&](auto& yield) {
      try {
        yield(1);
      } catch (...) {
        log("inner");
        inner_saw = std::current_exception();
        throw;
      }
    };
    generator<int> outer = [&](auto& yield) {
      try {
        yield.from(How::pass(inner));
      } catch (...) {
        log("outer");
        outer_saw = std::current_exception();
        throw;
      }
    };
    outer.next();
    CHECK(raised_by([&] { outer.throw_(thrown); }) == thrown);
    CHECK(outer_saw == thrown);
    CHECK(text_of(inner_saw) == "krait::generator_exit: GeneratorExit");  // a fresh one
    CHECK(inner_saw != thrown);
    CHECK(log.text() == "inner, outer");
    CHECK(outer.state() == state::closed);
  }
}

TEST_CASE_TEMPLATE("R29: what closing the generator raises is raised instead", How, given, lent) {
  journal log;
  generator<int> inner = [](auto& yield) {
    try {
      yield(1);
    } catch (const krait::generator_exit&) {
      throw std::out_of_range("ck");
    }
  };
  generator<int> outer = [&](auto& yield) {
    try {
      yield.from(How::pass(inner));
    } catch (...) {
      log(support::handled());
      throw;
    }
  };
  outer.next();
  CHECK_THROWS_WITH_AS(outer.throw_(krait::generator_exit()), "ck", std::out_of_range);
  CHECK(log.text() == "std::out_of_range: ck");
}

TEST_CASE_TEMPLATE("R29: a delegator that catches the GeneratorExit goes on", How, given, lent) {
  journal log;
  generator_of_all inner = noting_inner(log);
  generator<int> outer = [&](auto& yield) {
    try {
      yield.from(How::pass(inner));
    } catch (const krait::generator_exit&) {
    }
    yield(5);
  };
  outer.next();
  CHECK(outer.throw_(krait::generator_exit()) == 5);
  CHECK(log.text() == "inner: krait::generator_exit: GeneratorExit, inner finally");
  CHECK_THROWS_AS(outer.next(), krait::stop_iteration<>);
}

TEST_CASE("R29: an object is closed, not thrown into") {
  journal log;
  const std::exception_ptr thrown = std::make_exception_ptr(my_exit());
  foreign inner(log);
  generator_of_all outer = noting_outer(log, inner);
  outer.next();
  CHECK(raised_by([&] { outer.throw_(thrown); }) == thrown);
  CHECK(log.text() == "next, close, outer: " + text_of(thrown) + ", outer finally");

  inner.on_close = [] { throw std::out_of_range("ck"); };
  generator_of_all another = noting_outer(log, inner);
  another.next();
  CHECK_THROWS_WITH_AS(another.throw_(thrown), "ck", std::out_of_range);
}

TEST_CASE_TEMPLATE("R30: close closes the generator delegated to, then the delegator", How, given, lent) {
  journal log;
  generator_of_all inner = noting_inner(log);
  generator_of_all outer = noting_outer<How>(log, inner);
  outer.next();
  CHECK(outer.close() == std::nullopt);
  CHECK(log.text() ==
        "inner: krait::generator_exit: GeneratorExit, inner finally, "
        "outer: krait::generator_exit: GeneratorExit, outer finally");
  CHECK(outer.state() == state::closed);
}

TEST_CASE_TEMPLATE("R30: each of the two gets a GeneratorExit of its own", How, given, lent) {
  std::exception_ptr inner_saw;
  std::exception_ptr outer_saw;
  generator<int> inner = [&](auto& yield) {
    try {
      yield(1);
    } catch (...) {
      inner_saw = std::current_exception();
      throw;
    }
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
  outer.close();
  CHECK(inner_saw != nullptr);
  CHECK(outer_saw != nullptr);
  CHECK(inner_saw != outer_saw);
}

TEST_CASE_TEMPLATE("R30: what closing the inner generator raises comes out of close, if not caught", How,
                   given, lent) {
  generator<int> inner = [](auto& yield) {
    try {
      yield(1);
    } catch (const krait::generator_exit&) {
      throw std::out_of_range("ck");
    }
  };
  journal log;
  generator<int> outer = [&](auto& yield) {
    try {
      yield.from(How::pass(inner));
    } catch (...) {
      log(support::handled());
      throw;
    }
  };
  outer.next();
  CHECK_THROWS_WITH_AS(outer.close(), "ck", std::out_of_range);
  CHECK(log.text() == "std::out_of_range: ck");
  CHECK(outer.state() == state::closed);
}

TEST_CASE("R30: an object's close may raise, too") {
  journal log;
  foreign inner(log);
  inner.on_close = [] { throw std::out_of_range("ck"); };
  generator_of_all outer = noting_outer(log, inner);
  outer.next();
  CHECK_THROWS_WITH_AS(outer.close(), "ck", std::out_of_range);
  CHECK(log.text() == "next, outer: std::out_of_range: ck, outer finally");
}

TEST_CASE("R31: an object is closed by its close, once, and by nothing if it has none") {
  next_and_close closable;
  generator<int> closes = [&](auto& yield) { yield.from(closable); };
  closes.next();
  closes.close();
  CHECK(closable.closed == 1);

  const auto check_untouched = [](auto inner) {
    journal log;
    generator<int> outer = [&](auto& yield) {
      try {
        yield.from(inner);
      } catch (...) {
        log(support::handled());
        throw;
      }
    };
    outer.next();
    CHECK_NOTHROW(outer.close());
    CHECK(log.text() == "krait::generator_exit: GeneratorExit");
  };
  check_untouched(only_next());
  check_untouched(next_and_throw());
  check_untouched(numbers());
}

TEST_CASE("R31: what an object's close returns is ignored") {
  struct returns_from_close {
    using return_type = int;
    int next() { return 1; }
    int close() { return 5; }
  } inner;
  generator<int, void, int> outer = [&](auto& yield) { return yield.from(inner); };
  outer.next();
  CHECK(outer.close() == std::nullopt);
}

TEST_CASE("R31: a StopIteration raised by an object's close ends the delegation with its value") {
  journal log;
  foreign inner(log);
  inner.on_close = [] { throw krait::stop_iteration<optional_text>("ck"); };
  generator_of_all closed = noting_outer(log, inner);
  closed.next();
  CHECK(closed.close().value() == optional_text("ck"));
  CHECK(log.text() == "next, result ck, outer finally");

  generator_of_all thrown = noting_outer(log, inner);
  thrown.next();
  CHECK(stop_value<optional_text>([&] { thrown.throw_(krait::generator_exit()); }).value() ==
        optional_text("ck"));
}

TEST_CASE("R31: a GeneratorExit raised by an object's close takes the place of the one thrown") {
  journal log;
  foreign inner(log);
  const std::exception_ptr own = std::make_exception_ptr(my_exit());
  inner.on_close = [&] { std::rethrow_exception(own); };
  generator_of_all thrown = noting_outer(log, inner);
  thrown.next();
  CHECK(raised_by([&] { thrown.throw_(krait::generator_exit()); }) == own);

  generator_of_all closed = noting_outer(log, inner);
  closed.next();
  CHECK(closed.close() == std::nullopt);
}

TEST_CASE(
    "R33: an inner generator that ignores GeneratorExit stays suspended; RuntimeError is raised at the "
    "yield.from") {
  generator<int> inner = [](auto& yield) {
    try {
      yield(1);
    } catch (const krait::generator_exit&) {
    }
    yield(2);
    yield(3);
  };
  journal log;
  generator<int> outer = [&](auto& yield) {
    try {
      yield.from(inner);
    } catch (...) {
      log(support::handled());
      throw;
    }
  };
  SUBCASE("close") {
    outer.next();
    CHECK_THROWS_WITH_AS(outer.close(), ignored, krait::runtime_error);
  }
  SUBCASE("throw_") {
    outer.next();
    CHECK_THROWS_WITH_AS(outer.throw_(krait::generator_exit()), ignored, krait::runtime_error);
  }
  CHECK(log.text() == "krait::runtime_error: generator ignored GeneratorExit");
  CHECK(outer.state() == state::closed);
  CHECK(inner.state() == state::suspended);
  CHECK(inner.next() == 3);
}

TEST_CASE("R33: one that was given away is dropped, and so closed again, as the delegation unwinds") {
  journal log;
  generator<int> inner = [&](auto& yield) {
    try {
      yield(1);
    } catch (const krait::generator_exit&) {
      log("inner ignores");
    }
    const at_end finally(log, "inner finally");
    yield(2);
  };
  generator<int> outer = [&](auto& yield) {
    try {
      yield.from(std::move(inner));
    } catch (const krait::runtime_error& e) {
      log(e.what());
      throw;
    }
  };
  outer.next();
  CHECK_THROWS_WITH_AS(outer.close(), ignored, krait::runtime_error);
  CHECK(log.text() == "inner ignores, inner finally, generator ignored GeneratorExit");
  CHECK(outer.state() == state::closed);
}

TEST_CASE_TEMPLATE("R33: the RuntimeError is linked to no other exception", How, given, lent) {
  generator<int> inner = [](auto& yield) {
    try {
      yield(1);
    } catch (const krait::generator_exit&) {
    }
    yield(2);
  };
  generator<int> outer = [&](auto& yield) { yield.from(How::pass(inner)); };
  outer.next();
  const std::exception_ptr error = raised_by([&] { outer.close(); });
  CHECK(text_of(error) == "krait::runtime_error: generator ignored GeneratorExit");
  CHECK(support::cause_of(error) == nullptr);
}

TEST_CASE_TEMPLATE("R33: an outer generator that catches it and yields ignores GeneratorExit itself", How,
                   given, lent) {
  generator<int> inner = [](auto& yield) {
    try {
      yield(1);
    } catch (const krait::generator_exit&) {
    }
    yield(2);
  };
  generator<int> outer = [&](auto& yield) {
    try {
      yield.from(How::pass(inner));
    } catch (const krait::runtime_error&) {
    }
    yield(10);
    yield(11);
  };
  outer.next();
  SUBCASE("close") {
    CHECK_THROWS_WITH_AS(outer.close(), ignored, krait::runtime_error);
  }
  SUBCASE("throw_") {
    CHECK(outer.throw_(krait::generator_exit()) == 10);
  }
  CHECK(outer.state() == state::suspended);
  CHECK(outer.next() == 11);
}

TEST_CASE_TEMPLATE("R34: a delegator that catches the GeneratorExit and returns makes close return that", How,
                   given, lent) {
  generator<int, void, int> inner = [](auto& yield) {
    try {
      yield(1);
    } catch (const krait::generator_exit&) {
    }
    return 5;  // lost
  };
  generator<int, void, int> outer = [&](auto& yield) {
    try {
      return yield.from(How::pass(inner));
    } catch (const krait::generator_exit&) {
      return 6;
    }
  };
  outer.next();
  CHECK(outer.close() == 6);
  CHECK(outer.state() == state::closed);
}

TEST_CASE_TEMPLATE("R35: a chain unwinds from the inside outwards", How, given, lent) {
  journal log;
  generator<int> levels[] = {
      [](auto& yield) { yield(1); },
      [](auto&) {},
      [](auto&) {},
      [](auto&) {},
  };
  for (std::size_t i = 1; i < std::size(levels); ++i) {
    levels[i] = [&, i](auto& yield) {
      const at_end finally(log, "finally " + std::to_string(i));
      try {
        yield.from(How::pass(levels[i - 1]));
      } catch (const krait::generator_exit&) {
        log("exit " + std::to_string(i));
        throw;
      } catch (const std::runtime_error&) {
        log("error " + std::to_string(i));
        throw;
      }
    };
  }
  generator<int>& outer = levels[3];
  CHECK(outer.next() == 1);

  SUBCASE("throw_") {
    CHECK_THROWS_WITH_AS(outer.throw_(an_error()), "v", std::runtime_error);
    CHECK(log.text() == "error 1, finally 1, error 2, finally 2, error 3, finally 3");
  }
  SUBCASE("close") {
    outer.close();
    CHECK(log.text() == "exit 1, finally 1, exit 2, finally 2, exit 3, finally 3");
  }
  SUBCASE("throw_ of GeneratorExit") {
    CHECK_THROWS_AS(outer.throw_(krait::generator_exit()), krait::generator_exit);
    CHECK(log.text() == "exit 1, finally 1, exit 2, finally 2, exit 3, finally 3");
  }
  SUBCASE("destruction") {
    {
      const generator<int> dropped = std::move(outer);
    }
    CHECK(log.text() == "exit 1, finally 1, exit 2, finally 2, exit 3, finally 3");
  }
  SUBCASE("return") {
    CHECK_THROWS_AS(outer.next(), krait::stop_iteration<>);
    CHECK(log.text() == "finally 1, finally 2, finally 3");
  }
}

TEST_CASE("R35: so does a chain in which some levels are given away and some are lent") {
  journal log;
  const auto level = [&](int number, auto how, generator<int>& inner) -> generator<int> {
    return [&log, &inner, number, how](auto& yield) {
      const at_end finally(log, std::to_string(number));
      yield.from(how.pass(inner));
    };
  };
  generator<int> innermost = [](auto& yield) {
    yield(1);
    yield(2);
  };
  generator<int> a = level(1, given(), innermost);
  generator<int> b = level(2, lent(), a);
  generator<int> c = level(3, given(), b);
  generator<int> d = level(4, lent(), c);
  generator<int> outer = level(5, given(), d);
  CHECK(outer.next() == 1);
  CHECK(outer.next() == 2);

  SUBCASE("throw_") {
    CHECK_THROWS_WITH_AS(outer.throw_(an_error()), "v", std::runtime_error);
  }
  SUBCASE("close") {
    outer.close();
  }
  SUBCASE("throw_ of GeneratorExit") {
    CHECK_THROWS_AS(outer.throw_(krait::generator_exit()), krait::generator_exit);
  }
  SUBCASE("return") {
    CHECK_THROWS_AS(outer.next(), krait::stop_iteration<>);
  }
  CHECK(outer.state() == state::closed);
  CHECK(log.text() == "1, 2, 3, 4, 5");
}

TEST_CASE("R36: a generator that is lent may be driven by others; the delegator goes on where it is") {
  journal log;
  generator_of_all inner = noting_inner(log);
  generator_of_all outer = noting_outer(log, inner);
  CHECK(outer.next() == 1);
  CHECK(inner.next() == 2);
  CHECK(stop_value<optional_text>([&] { outer.next(); }).value() == optional_text("inner"));
}

TEST_CASE("R36: if others have exhausted or closed it, the delegation ends with None") {
  const auto check = [](auto finish, auto resume) {
    journal log;
    generator_of_all inner = noting_inner(log);
    generator_of_all outer = noting_outer(log, inner);
    outer.next();
    finish(inner);
    log.clear();
    CHECK(stop_value<optional_text>([&] { resume(outer); }).value() == optional_text());
    CHECK(log.text() == "result none, outer finally");
  };
  const auto exhaust = [](generator_of_all& inner) {
    inner.next();
    CHECK(stop_value<optional_text>([&] { inner.next(); }).value() == optional_text("inner"));
  };
  const auto close = [](generator_of_all& inner) { inner.close(); };
  const auto next = [](generator_of_all& outer) { outer.next(); };
  const auto send = [](generator_of_all& outer) { outer.send(5); };
  check(exhaust, next);
  check(exhaust, send);
  check(close, next);
  check(close, send);
}

TEST_CASE("R36: if others have closed it, throw_ raises at the yield.from") {
  journal log;
  const std::exception_ptr thrown = an_error();
  generator_of_all inner = noting_inner(log);
  generator_of_all outer = noting_outer(log, inner);
  outer.next();
  inner.close();
  log.clear();
  CHECK(raised_by([&] { outer.throw_(thrown); }) == thrown);
  CHECK(log.text() == "outer: std::runtime_error: v, outer finally");
}

TEST_CASE("R36: if others have closed it, close and GeneratorExit still reach the delegator") {
  journal log;
  generator_of_all inner = noting_inner(log);
  generator_of_all outer = noting_outer(log, inner);
  outer.next();
  inner.close();
  log.clear();
  outer.close();
  CHECK(log.text() == "outer: krait::generator_exit: GeneratorExit, outer finally");
}

TEST_CASE("R36: two delegators may share one generator; one gets its value, the other None") {
  journal log;
  generator_of_all inner = noting_inner(log);
  generator_of_all a = noting_outer(log, inner);
  generator_of_all b = noting_outer(log, inner);
  CHECK(a.next() == 1);
  CHECK(b.next() == 2);
  CHECK(stop_value<optional_text>([&] { a.next(); }).value() == optional_text("inner"));
  CHECK(stop_value<optional_text>([&] { b.next(); }).value() == optional_text());
}

TEST_CASE_TEMPLATE("R36: a generator that has started is resumed with None", How, given, lent) {
  journal log;
  generator_of_all inner = noting_inner(log);
  CHECK(inner.next() == 1);
  generator_of_all outer = noting_outer<How>(log, inner);
  CHECK(outer.next() == 2);
  CHECK(log.text() == "got none");
  CHECK(stop_value<optional_text>([&] { outer.next(); }).value() == optional_text("inner"));
}

TEST_CASE_TEMPLATE("R36: a generator that has started and delegates itself is resumed at its innermost", How,
                   given, lent) {
  journal log;
  generator_of_all innermost = noting_inner(log);
  generator_of_all inner = noting_outer<How>(log, innermost);
  CHECK(inner.next() == 1);
  generator_of_all outer = noting_outer<How>(log, inner);
  CHECK(outer.next() == 2);
  CHECK(stop_value<optional_text>([&] { outer.send(6); }).value() == optional_text("inner"));
  CHECK(log.text() ==
        "got none, got 6, inner finally, result inner, outer finally, result inner, "
        "outer finally");
}

TEST_CASE_TEMPLATE("R36: an exhausted or closed generator yields nothing and results in None", How, given,
                   lent) {
  journal log;
  generator_of_all exhausted = [](auto&) { return "lost"; };
  CHECK(stop_value<optional_text>([&] { exhausted.next(); }).value() == optional_text("lost"));
  generator_of_all of_exhausted = noting_outer<How>(log, exhausted);
  CHECK(stop_value<optional_text>([&] { of_exhausted.next(); }).value() == optional_text());

  generator_of_all closed = noting_inner(log);
  closed.next();
  closed.close();
  generator_of_all of_closed = noting_outer<How>(log, closed);
  CHECK(stop_value<optional_text>([&] { of_closed.next(); }).value() == optional_text());

  generator_of_all never_started = noting_inner(log);
  never_started.close();
  generator_of_all of_never_started = noting_outer<How>(log, never_started);
  CHECK(stop_value<optional_text>([&] { of_never_started.next(); }).value() == optional_text());
}

// Not here, for a fact about C++:
//
// R24, R31, R32  What looking up iter, close or throw may raise: members are looked up by the compiler.
// R28            A class passed on as a class: a class is no object.
