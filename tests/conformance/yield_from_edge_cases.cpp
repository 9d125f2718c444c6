// SPDX-License-Identifier: BSL-1.0
#include <doctest/doctest.h>

#include <exception>
#include <optional>
#include <stdexcept>
#include <string>
#include <utility>

#include <krait/krait.hpp>

#include "support/support.hpp"
#include "three_ways.hpp"

// CPython's test_yield_from.py: TestInterestingEdgeCases. A generator delegates to another that is closed or
// thrown into, and answers in a way of its own. Where CPython looks at the implicit context of an exception,
// these look at what the handler that raised it was handling: C++ keeps no such context.

namespace {

using support::cause_of;
using support::given;
using support::lent;
using support::raised_by;
using support::stop_value;
using support::text_of;

using text = std::optional<std::string>;
using generator = krait::generator<int, void, text>;

constexpr char raised_stop_iteration[] = "generator raised StopIteration";
constexpr char ignored_exit[] = "generator ignored GeneratorExit";
constexpr char generator_exit[] = "krait::generator_exit: GeneratorExit";

/// Neither an Exception nor a GeneratorExit. Python: BaseException.
struct base_exception {};

struct an_exception : std::runtime_error {
  an_exception() : std::runtime_error("an exception") {}
};

/// The text of a RuntimeError.
std::string runtime_error(const std::exception_ptr& exception) {
  if (exception == nullptr) {
    return "none";
  }
  try {
    std::rethrow_exception(exception);
  } catch (const krait::runtime_error& error) {
    return error.what();
  } catch (...) {
    return "no RuntimeError";
  }
}

using support::by_hand;
using support::each_way;

/// A generator that has delegated to `inner`, which has yielded its first item, 1.
template <class How>
class delegation {
 public:
  delegation(How, generator inner)
      : inner_(std::move(inner)),
        outer([this](auto& yield) -> text { return yield.from(How::pass(inner_)); }) {
    CHECK(outer.next() == 1);
  }
  ~delegation() { CHECK(reported_.text() == ""); }

  /// Afterwards: StopIteration without a value.
  void check_ended() {
    CHECK(stop_value<text>([this] { outer.next(); }) == std::nullopt);
    CHECK(outer.state() == support::state::closed);
  }

 private:
  support::unraisables reported_;
  generator inner_;

 public:
  generator outer;
};

/// Yields 1 and 2 and returns "returned".
generator plain_inner() {
  return [](auto& yield) -> text {
    yield(1);
    yield(2);
    return "returned";
  };
}

/// The same, but in the end raises `exception`, whatever happened. Python: finally: raise exception. `seen`
/// is what was being raised before: the context of `exception`.
generator raising_inner(const std::exception_ptr& exception, std::exception_ptr& seen) {
  return [&](auto& yield) -> text {
    try {
      yield(1);
      yield(2);
    } catch (...) {
      seen = std::current_exception();
      std::rethrow_exception(exception);
    }
    std::rethrow_exception(exception);
  };
}

/// In the end yields 2, then goes on with what was being raised. Python: finally: yield 2.
generator yielding_inner() {
  return [](auto& yield) -> text {
    try {
      yield(1);
    } catch (...) {
      yield(2);
      throw;
    }
    yield(2);
    return "returned";
  };
}

/// Returns "returned" in answer to anything.
generator returning_inner() {
  return [](auto& yield) -> text {
    try {
      yield(1);
      yield(2);
    } catch (...) {
    }
    return "returned";
  };
}

/// `thrown` into a delegation to plain_inner() comes out itself.
void check_comes_out(const std::exception_ptr& thrown) {
  each_way([&](auto how) {
    delegation g(how, plain_inner());
    CHECK(raised_by([&] { g.outer.throw_(thrown); }) == thrown);
    g.check_ended();
  });
}

/// close(), and an inner generator that raises `raised` in answer to the GeneratorExit: `result` comes out.
void check_close_raises(const std::exception_ptr& raised, const std::exception_ptr& result) {
  each_way([&](auto how) {
    std::exception_ptr seen;
    delegation g(how, raising_inner(raised, seen));
    CHECK(raised_by([&] { static_cast<void>(g.outer.close()); }) == result);
    REQUIRE(text_of(seen) == generator_exit);
    CHECK(cause_of(seen) == nullptr);
    g.check_ended();
  });
}

/// throw_(thrown), and an inner generator that raises `raised` in answer: that comes out.
void check_throw_raises(const std::exception_ptr& thrown, const std::exception_ptr& raised) {
  each_way([&](auto how) {
    std::exception_ptr seen;
    delegation g(how, raising_inner(raised, seen));
    CHECK(raised_by([&] { g.outer.throw_(thrown); }) == raised);
    CHECK(seen == thrown);
    g.check_ended();
  });
}

/// throw_(GeneratorExit): the inner generator is closed with another one, and raises `raised`: that comes
/// out.
void check_exit_raises(const std::exception_ptr& raised) {
  each_way([&](auto how) {
    std::exception_ptr seen;
    delegation g(how, raising_inner(raised, seen));
    const std::exception_ptr thrown = std::make_exception_ptr(krait::generator_exit());
    CHECK(raised_by([&] { g.outer.throw_(thrown); }) == raised);
    CHECK(text_of(seen) == generator_exit);
    CHECK(seen != thrown);
    g.check_ended();
  });
}

/// throw_(thrown), and an inner generator that raises StopIteration in answer: PEP 479.
void check_throw_raises_stop_iteration(const std::exception_ptr& thrown) {
  each_way([&](auto how) {
    const std::exception_ptr raised = std::make_exception_ptr(krait::stop_iteration<>());
    std::exception_ptr seen;
    delegation g(how, raising_inner(raised, seen));
    const std::exception_ptr error = raised_by([&] { g.outer.throw_(thrown); });
    REQUIRE(runtime_error(error) == raised_stop_iteration);
    CHECK(cause_of(error) == raised);
    CHECK(seen == thrown);
    g.check_ended();
  });
}

/// throw_(thrown), and an inner generator that yields 2 in answer and then goes on with `thrown`.
void check_throw_yields(const std::exception_ptr& thrown) {
  each_way([&](auto how) {
    delegation g(how, yielding_inner());
    CHECK(g.outer.throw_(thrown) == 2);
    CHECK(g.outer.yielding_from());
    CHECK(raised_by([&] { g.outer.next(); }) == thrown);
    g.check_ended();
  });
}

/// throw_(thrown), and an inner generator that returns in answer: so does the outer one.
void check_throw_returns(const std::exception_ptr& thrown) {
  each_way([&](auto how) {
    delegation g(how, returning_inner());
    CHECK(stop_value<text>([&] { g.outer.throw_(thrown); }) == text("returned"));
    g.check_ended();
  });
}

std::exception_ptr a_generator_exit() {
  return std::make_exception_ptr(krait::generator_exit());
}
std::exception_ptr a_stop_iteration() {
  return std::make_exception_ptr(krait::stop_iteration<>());
}
std::exception_ptr a_base_exception() {
  return std::make_exception_ptr(base_exception());
}
std::exception_ptr some_exception() {
  return std::make_exception_ptr(an_exception());
}

}  // namespace

TEST_CASE("yield_from::test_close_and_throw_work[close]") {
  each_way([](auto how) {
    delegation g(how, plain_inner());
    CHECK(g.outer.close() == std::nullopt);
    g.check_ended();
  });
}

TEST_CASE("yield_from::test_close_and_throw_work[throw GeneratorExit]") {
  check_comes_out(a_generator_exit());
}

TEST_CASE("yield_from::test_close_and_throw_work[throw StopIteration]") {
  each_way([](auto how) {
    delegation g(how, plain_inner());
    const std::exception_ptr thrown = a_stop_iteration();
    const std::exception_ptr error = raised_by([&] { g.outer.throw_(thrown); });
    REQUIRE(runtime_error(error) == raised_stop_iteration);
    CHECK(cause_of(error) == thrown);
    CHECK(cause_of(thrown) == nullptr);
    g.check_ended();
  });
}

TEST_CASE("yield_from::test_close_and_throw_work[throw BaseException]") {
  check_comes_out(a_base_exception());
}

TEST_CASE("yield_from::test_close_and_throw_work[throw Exception]") {
  check_comes_out(some_exception());
}

TEST_CASE("yield_from::test_close_and_throw_raise_generator_exit[close]") {
  check_close_raises(a_generator_exit(), nullptr);
}

TEST_CASE("yield_from::test_close_and_throw_raise_generator_exit[throw GeneratorExit]") {
  each_way([](auto how) {
    const std::exception_ptr raised = a_generator_exit();
    const std::exception_ptr thrown = a_generator_exit();
    std::exception_ptr seen;
    delegation g(how, raising_inner(raised, seen));
    CHECK(raised_by([&] { g.outer.throw_(thrown); }) == thrown);
    CHECK(text_of(seen) == generator_exit);
    CHECK(seen != thrown);
    CHECK(seen != raised);
    g.check_ended();
  });
}

TEST_CASE("yield_from::test_close_and_throw_raise_generator_exit[throw StopIteration]") {
  check_throw_raises(a_stop_iteration(), a_generator_exit());
}

TEST_CASE("yield_from::test_close_and_throw_raise_generator_exit[throw BaseException]") {
  check_throw_raises(a_base_exception(), a_generator_exit());
}

TEST_CASE("yield_from::test_close_and_throw_raise_generator_exit[throw Exception]") {
  check_throw_raises(some_exception(), a_generator_exit());
}

TEST_CASE("yield_from::test_close_and_throw_raise_stop_iteration[close]") {
  each_way([](auto how) {
    const std::exception_ptr raised = a_stop_iteration();
    std::exception_ptr seen;
    delegation g(how, raising_inner(raised, seen));
    const std::exception_ptr error = raised_by([&] { static_cast<void>(g.outer.close()); });
    REQUIRE(runtime_error(error) == raised_stop_iteration);
    CHECK(cause_of(error) == raised);
    CHECK(text_of(seen) == generator_exit);
    g.check_ended();
  });
}

TEST_CASE("yield_from::test_close_and_throw_raise_stop_iteration[throw GeneratorExit]") {
  each_way([](auto how) {
    const std::exception_ptr raised = a_stop_iteration();
    const std::exception_ptr thrown = a_generator_exit();
    std::exception_ptr seen;
    delegation g(how, raising_inner(raised, seen));
    const std::exception_ptr error = raised_by([&] { g.outer.throw_(thrown); });
    REQUIRE(runtime_error(error) == raised_stop_iteration);
    CHECK(cause_of(error) == raised);
    CHECK(text_of(seen) == generator_exit);
    CHECK(seen != thrown);
    g.check_ended();
  });
}

TEST_CASE("yield_from::test_close_and_throw_raise_stop_iteration[throw StopIteration]") {
  check_throw_raises_stop_iteration(a_stop_iteration());
}

TEST_CASE("yield_from::test_close_and_throw_raise_stop_iteration[throw BaseException]") {
  check_throw_raises_stop_iteration(a_base_exception());
}

TEST_CASE("yield_from::test_close_and_throw_raise_stop_iteration[throw Exception]") {
  check_throw_raises_stop_iteration(some_exception());
}

TEST_CASE("yield_from::test_close_and_throw_raise_base_exception[close]") {
  const std::exception_ptr raised = a_base_exception();
  check_close_raises(raised, raised);
}

TEST_CASE("yield_from::test_close_and_throw_raise_base_exception[throw GeneratorExit]") {
  check_exit_raises(a_base_exception());
}

TEST_CASE("yield_from::test_close_and_throw_raise_base_exception[throw StopIteration]") {
  check_throw_raises(a_stop_iteration(), a_base_exception());
}

TEST_CASE("yield_from::test_close_and_throw_raise_base_exception[throw BaseException]") {
  check_throw_raises(a_base_exception(), a_base_exception());
}

TEST_CASE("yield_from::test_close_and_throw_raise_base_exception[throw Exception]") {
  check_throw_raises(some_exception(), a_base_exception());
}

TEST_CASE("yield_from::test_close_and_throw_raise_exception[close]") {
  const std::exception_ptr raised = some_exception();
  check_close_raises(raised, raised);
}

TEST_CASE("yield_from::test_close_and_throw_raise_exception[throw GeneratorExit]") {
  check_exit_raises(some_exception());
}

TEST_CASE("yield_from::test_close_and_throw_raise_exception[throw StopIteration]") {
  check_throw_raises(a_stop_iteration(), some_exception());
}

TEST_CASE("yield_from::test_close_and_throw_raise_exception[throw BaseException]") {
  check_throw_raises(a_base_exception(), some_exception());
}

TEST_CASE("yield_from::test_close_and_throw_raise_exception[throw Exception]") {
  check_throw_raises(some_exception(), some_exception());
}

TEST_CASE("yield_from::test_close_and_throw_yield[close]") {
  each_way([](auto how) {
    delegation g(how, yielding_inner());
    const std::exception_ptr error = raised_by([&] { static_cast<void>(g.outer.close()); });
    REQUIRE(runtime_error(error) == ignored_exit);
    CHECK(cause_of(error) == nullptr);
    g.check_ended();
  });
}

TEST_CASE("yield_from::test_close_and_throw_yield[throw GeneratorExit]") {
  each_way([](auto how) {
    delegation g(how, yielding_inner());
    const std::exception_ptr error = raised_by([&] { g.outer.throw_(krait::generator_exit()); });
    REQUIRE(runtime_error(error) == ignored_exit);
    CHECK(cause_of(error) == nullptr);
    g.check_ended();
  });
}

TEST_CASE("yield_from::test_close_and_throw_yield[throw StopIteration]") {
  each_way([](auto how) {
    delegation g(how, yielding_inner());
    const std::exception_ptr thrown = a_stop_iteration();
    CHECK(g.outer.throw_(thrown) == 2);
    const std::exception_ptr error = raised_by([&] { g.outer.next(); });
    REQUIRE(runtime_error(error) == raised_stop_iteration);
    CHECK(cause_of(error) == thrown);
    CHECK(cause_of(thrown) == nullptr);
    g.check_ended();
  });
}

TEST_CASE("yield_from::test_close_and_throw_yield[throw BaseException]") {
  check_throw_yields(a_base_exception());
}

TEST_CASE("yield_from::test_close_and_throw_yield[throw Exception]") {
  check_throw_yields(some_exception());
}

TEST_CASE("yield_from::test_close_and_throw_return[close]") {
  each_way([](auto how) {
    delegation g(how, returning_inner());
    CHECK(g.outer.close() == std::nullopt);
    g.check_ended();
  });
}

TEST_CASE("yield_from::test_close_and_throw_return[throw GeneratorExit]") {
  each_way([](auto how) {
    delegation g(how, returning_inner());
    const std::exception_ptr thrown = a_generator_exit();
    CHECK(raised_by([&] { g.outer.throw_(thrown); }) == thrown);
    g.check_ended();
  });
}

TEST_CASE("yield_from::test_close_and_throw_return[throw StopIteration]") {
  check_throw_returns(a_stop_iteration());
}

TEST_CASE("yield_from::test_close_and_throw_return[throw BaseException]") {
  check_throw_returns(a_base_exception());
}

TEST_CASE("yield_from::test_close_and_throw_return[throw Exception]") {
  check_throw_returns(some_exception());
}

TEST_CASE("yield_from::test_throws_in_iter") {
  struct silly {
    const int* begin() const { throw krait::runtime_error("nobody expects the spanish inquisition"); }
    const int* end() const { return nullptr; }
  };
  std::string handled;
  generator my_generator = [&](auto& yield) -> text {
    try {
      yield.from(silly());
    } catch (...) {
      handled = support::handled();
      throw;
    }
    return "returned";
  };
  const std::exception_ptr error = raised_by([&] { my_generator.next(); });
  CHECK(text_of(error) == "krait::runtime_error: nobody expects the spanish inquisition");
  CHECK(handled == text_of(error));
  CHECK(my_generator.done());
}
