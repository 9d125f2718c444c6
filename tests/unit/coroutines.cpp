// SPDX-License-Identifier: BSL-1.0
#include <doctest/doctest.h>

#include <exception>
#include <functional>
#include <memory>
#include <optional>
#include <ranges>
#include <stdexcept>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include <krait/krait.hpp>

#include "support/probes.hpp"
#include "support/recorded_warnings.hpp"
#include "support/support.hpp"

// Coroutine objects, beyond what CPython's own tests look at (tests/conformance/coroutines_*.cpp).

namespace {

using krait::awaitable_generator;
using krait::coroutine;
using support::at_end;
using support::handled;
using support::journal;
using support::raised_by;
using support::recorded_warnings;
using support::state;
using support::stop_value;
using support::text_of;

constexpr const char* cannot_reuse = "cannot reuse already awaited coroutine";
constexpr const char* moved_from = "coroutine was moved from";
constexpr const char* already_executing = "coroutine already executing";

using maybe = std::optional<int>;
/// With every kind of resumption.
using full_coroutine = coroutine<int, maybe, int>;

awaitable_generator<int> counting(int from, int to) {
  return [=](auto& yield) {
    for (int i = from; i <= to; ++i) {
      yield(i);
    }
  };
}

/// Yields a question and returns the answer.
awaitable_generator<int, maybe, int> asking(int question) {
  return [=](auto& yield) { return yield(question).value(); };
}

full_coroutine adding(int question) {
  return [=](auto& co) { return co.await(asking(question)) + co.await(asking(question + 1)); };
}

coroutine<int> never_awaited() {
  return [](auto& co) { co.await(counting(1, 1)); };
}

const std::vector<std::string> one_warning = {"coroutine 'never_awaited' was never awaited"};

/// Tries all that a coroutine offers; `text` is the error.
void check_that_all_is_refused(full_coroutine& co, const char* text) {
  CHECK_THROWS_WITH_AS(co.send(), text, krait::value_error);
  CHECK_THROWS_WITH_AS(co.send(1), text, krait::value_error);
  CHECK_THROWS_WITH_AS(co.send(std::nullopt), text, krait::value_error);
  CHECK_THROWS_WITH_AS(co.throw_(std::make_exception_ptr(1)), text, krait::value_error);
  CHECK_THROWS_WITH_AS(co.throw_(krait::generator_exit()), text, krait::value_error);
  CHECK_THROWS_WITH_AS(co.close(), text, krait::value_error);
  CHECK_THROWS_WITH_AS(static_cast<void>(co.resume()), text, krait::value_error);
  CHECK_THROWS_WITH_AS(static_cast<void>(co.resume(1)), text, krait::value_error);
  CHECK_THROWS_WITH_AS(static_cast<void>(co.resume_with(std::make_exception_ptr(1))), text,
                       krait::value_error);
  CHECK_THROWS_WITH_AS(co.await().next(), text, krait::value_error);
  CHECK_THROWS_WITH_AS(co.await().send(1), text, krait::value_error);
  CHECK_THROWS_WITH_AS(co.await().throw_(1), text, krait::value_error);
  CHECK_THROWS_WITH_AS(co.await().close(), text, krait::value_error);
}

}  // namespace

TEST_CASE("coroutine: whatever is done to one that was moved from is refused") {
  const recorded_warnings warnings;
  full_coroutine co = adding(1);
  full_coroutine taken = std::move(co);
  check_that_all_is_refused(co, moved_from);
  CHECK_THROWS_WITH_AS(static_cast<void>(co.state()), moved_from, krait::value_error);
  CHECK_THROWS_WITH_AS(static_cast<void>(co.running()), moved_from, krait::value_error);
  CHECK_THROWS_WITH_AS(static_cast<void>(co.suspended()), moved_from, krait::value_error);
  CHECK_THROWS_WITH_AS(static_cast<void>(co.done()), moved_from, krait::value_error);
  CHECK_THROWS_WITH_AS(static_cast<void>(co.result()), moved_from, krait::value_error);
  CHECK_THROWS_WITH_AS(static_cast<void>(co.awaiting()), moved_from, krait::value_error);
  CHECK_THROWS_WITH_AS(static_cast<void>(co.name()), moved_from, krait::value_error);
  CHECK_THROWS_WITH_AS(static_cast<void>(co.repr()), moved_from, krait::value_error);
  CHECK_THROWS_WITH_AS(co.set_name("other"), moved_from, krait::value_error);

  full_coroutine outer = [&](auto& self) {
    CHECK_THROWS_WITH_AS(self.await(co), moved_from, krait::value_error);
    CHECK_THROWS_WITH_AS(self.await(std::move(co)), moved_from, krait::value_error);
    return self.await(std::move(taken));
  };
  CHECK(outer.send() == 1);
  CHECK(outer.send(10) == 2);
  CHECK(stop_value<int>([&] { outer.send(20); }) == 30);
  CHECK(warnings.none());
}

TEST_CASE("coroutine: whatever its own body does to it is refused, and changes nothing") {
  std::optional<full_coroutine> me;
  me.emplace([&](auto& co) {
    check_that_all_is_refused(*me, already_executing);
    CHECK_THROWS_WITH_AS(co.await(*me), already_executing, krait::value_error);
    CHECK_THROWS_WITH_AS(co.await(std::move(*me)), already_executing, krait::value_error);
    CHECK_THROWS_WITH_AS(*me = adding(1), already_executing, krait::value_error);
    CHECK(me->running());
    CHECK(co.await(asking(1)) == 10);
    check_that_all_is_refused(*me, already_executing);
    return 3;
  });
  const recorded_warnings warnings;  // of the ones that were to take its place
  CHECK(me->send() == 1);
  CHECK(stop_value<int>([&] { me->send(10); }) == 3);
}

TEST_CASE("coroutine: once it has ended nothing resumes it, however it ended") {
  full_coroutine co = adding(1);
  SUBCASE("by returning") {
    co.send();
    co.send(1);
    CHECK(stop_value<int>([&] { co.send(2); }) == 3);
  }
  SUBCASE("by an exception") {
    co.send();
    CHECK_THROWS_AS(co.throw_(1), int);
  }
  SUBCASE("by an exception before the start, and nothing of the body runs") {
    CHECK_THROWS_AS(co.throw_(krait::stop_iteration<>()), krait::stop_iteration<>);
  }
  SUBCASE("closed") {
    co.send();
    CHECK(co.close() == std::nullopt);
  }
  SUBCASE("closed before the start") {
    CHECK(co.close() == std::nullopt);
  }
  CHECK(co.done());
  CHECK_THROWS_WITH_AS(co.send(), cannot_reuse, krait::runtime_error);
  CHECK_THROWS_WITH_AS(co.send(1), cannot_reuse, krait::runtime_error);
  CHECK_THROWS_WITH_AS(co.throw_(1), cannot_reuse, krait::runtime_error);
  CHECK_THROWS_WITH_AS(co.throw_(krait::generator_exit()), cannot_reuse, krait::runtime_error);
  CHECK_THROWS_WITH_AS(static_cast<void>(co.resume()), cannot_reuse, krait::runtime_error);
  CHECK_THROWS_WITH_AS(static_cast<void>(co.resume(1)), cannot_reuse, krait::runtime_error);
  CHECK_THROWS_WITH_AS(static_cast<void>(co.resume_with(std::make_exception_ptr(1))), cannot_reuse,
                       krait::runtime_error);
  CHECK(co.close() == std::nullopt);

  full_coroutine outer = [&](auto& self) {
    CHECK_THROWS_WITH_AS(self.await(co), cannot_reuse, krait::runtime_error);
    CHECK_THROWS_WITH_AS(self.await(std::move(co)), cannot_reuse, krait::runtime_error);
    CHECK(co.done());  // it was not taken
    return 0;
  };
  CHECK(stop_value<int>([&] { outer.send(); }) == 0);
}

TEST_CASE("coroutine: null cannot be thrown into it") {
  full_coroutine co = adding(1);
  co.send();
  CHECK_THROWS_AS(co.throw_(nullptr), krait::type_error);
  CHECK_THROWS_AS(co.await().throw_(nullptr), krait::type_error);
  CHECK(co.send(1) == 2);
}

TEST_CASE("coroutine: its result stays with it") {
  full_coroutine co = adding(1);
  CHECK(co.result() == nullptr);
  CHECK(*co.resume() == 1);
  CHECK(*co.resume(10) == 2);
  CHECK(co.result() == nullptr);
  const auto step = co.resume(20);
  CHECK(step.returned());
  REQUIRE(step.result() != nullptr);
  CHECK(*step.result() == 30);
  REQUIRE(co.result() != nullptr);
  CHECK(*co.result() == 30);

  full_coroutine closed = [](auto& self) {
    try {
      return self.await(asking(1));
    } catch (const krait::generator_exit&) {
      return -1;
    }
  };
  closed.send();
  CHECK(closed.close() == -1);
  CHECK(*closed.result() == -1);
  CHECK(closed.close() == std::nullopt);
}

TEST_CASE("coroutine: its name is that of the function it was made in, or the one it was given") {
  const auto address_of = [](const std::string& repr) { return repr.substr(repr.find(" at ")); };
  coroutine<int> co = never_awaited();
  CHECK(co.name() == "never_awaited");
  const std::string address = address_of(co.repr());
  CHECK(address.starts_with(" at 0x"));
  CHECK(co.repr() == "<coroutine object never_awaited" + address);
  co.set_name(std::string("renamed"));
  CHECK(co.name() == "renamed");
  CHECK(co.repr() == "<coroutine object renamed" + address);

  const recorded_warnings warnings;
  coroutine<int>([](auto&) {}, "named").close();
  static_cast<void>(coroutine<int>([](auto&) {}, "named"));
  co = coroutine<int>([](auto&) {}, "in its place");
  co.close();
  CHECK(warnings.texts() == std::vector<std::string>{"coroutine 'named' was never awaited",
                                                     "coroutine 'renamed' was never awaited"});
}

TEST_CASE("coroutine: what it awaits is told while it is suspended") {
  struct by_hand {
    struct iterator {
      int next() { return 1; }
    };
    iterator await() { return {}; }
  };
  coroutine<int, void, int> inner([](auto& co) { return co.await(counting(1, 1)), 0; }, "inner");
  coroutine<int> outer = [&](auto& co) {
    co.await(counting(1, 1));
    co.await(inner);
    co.await(by_hand());
  };
  CHECK(outer.awaiting().empty());
  outer.send();
  CHECK(outer.awaiting().starts_with("<generator object counting at 0x"));
  outer.send();
  CHECK(outer.awaiting() == inner.repr());
  CHECK(inner.awaiting().starts_with("<generator object counting at 0x"));
  outer.send();
  CHECK(outer.awaiting() == "<iterator>");
  CHECK(inner.awaiting().empty());
  outer.close();
  CHECK(outer.awaiting().empty());
}

TEST_CASE("warning: of a coroutine that was never awaited, once") {
  const recorded_warnings warnings;
  SUBCASE("dropped") {
    static_cast<void>(never_awaited());
  }
  SUBCASE("another took its place") {
    coroutine<int> co = never_awaited();
    co = [](auto&) {};
    co.close();
  }
  SUBCASE("moved before it was dropped") {
    coroutine<int> co = never_awaited();
    const coroutine<int> taken = std::move(co);
  }
  SUBCASE("its iterator was not used") {
    coroutine<int> co = never_awaited();
    static_cast<void>(co.await());
  }
  SUBCASE("what was sent was refused") {
    coroutine<int, maybe> co([](auto&) {}, "never_awaited");
    CHECK_THROWS_AS(co.send(5), krait::type_error);
  }
  CHECK(warnings.texts() == one_warning);
}

TEST_CASE("warning: of a coroutine that ran, or was ended before, there is none") {
  const recorded_warnings warnings;
  SUBCASE("started") {
    never_awaited().send();
  }
  SUBCASE("run to its end") {
    coroutine<int> co = never_awaited();
    co.send();
    CHECK_THROWS_AS(co.send(), krait::stop_iteration<>);
  }
  SUBCASE("closed") {
    never_awaited().close();
  }
  SUBCASE("thrown into") {
    CHECK_THROWS_AS(never_awaited().throw_(1), int);
  }
  SUBCASE("awaited") {
    coroutine<int> outer = [](auto& co) { co.await(never_awaited()); };
    outer.send();
  }
  SUBCASE("a generator that is marked, and never used") {
    static_cast<void>(counting(1, 1));
  }
  CHECK(warnings.none());
}

TEST_CASE("warning: what a dropped coroutine has captured is destroyed, after the warning") {
  journal log;
  const auto previous = krait::set_warning_hook([&](const std::string&) { log("warned"); });
  {
    const coroutine<int> co = [token = std::make_shared<at_end>(log, "destroyed")](auto&) {};
    log("made");
  }
  krait::set_warning_hook(previous);
  CHECK(log.text() == "made, warned, destroyed");
}

TEST_CASE("warning: what the hook throws goes to the unraisable hook, and the coroutine is freed") {
  const probes::unraisables reports;
  probes::counting_source stacks;
  std::string repr;
  const auto previous = krait::set_warning_hook([](const std::string&) { throw 5; });
  {
    const coroutine<int> co(std::allocator_arg, stacks, [](auto&) {});
    repr = co.repr();
  }
  krait::set_warning_hook(previous);
  REQUIRE(reports.count() == 1);
  CHECK(reports.text(0) == "int 5");
  CHECK(reports.message(0) == "Exception ignored while finalizing coroutine " + repr);
  CHECK(stacks.live() == 0);
}

TEST_CASE("warning: also within a handler, and while an exception passes") {
  const recorded_warnings warnings;
  CHECK_THROWS_AS(
      [] {
        const coroutine<int> co = never_awaited();
        throw 1;
      }(),
      int);
  CHECK(warnings.texts() == one_warning);
}

TEST_CASE("warning: a hook may itself drop a coroutine that was never awaited") {
  std::vector<std::string> texts;
  const auto previous = krait::set_warning_hook([&](const std::string& text) {
    texts.push_back(text);
    if (texts.size() == 1) {
      static_cast<void>(coroutine<int>([](auto&) {}, "within"));
    }
  });
  static_cast<void>(never_awaited());
  krait::set_warning_hook(previous);
  CHECK(texts == std::vector<std::string>{"coroutine 'never_awaited' was never awaited",
                                          "coroutine 'within' was never awaited"});
}

TEST_CASE("warning: an empty hook restores the default, which writes to stderr") {
  const recorded_warnings warnings;
  krait::warning_hook recording = krait::set_warning_hook({});
  CHECK(recording);
  const std::string written = probes::stderr_of([] { static_cast<void>(never_awaited()); });
  CHECK(written == "RuntimeWarning: coroutine 'never_awaited' was never awaited\n");
  CHECK(warnings.none());
  CHECK_FALSE(krait::set_warning_hook(std::move(recording)));
  static_cast<void>(never_awaited());
  CHECK(warnings.texts() == one_warning);
}

TEST_CASE("coroutine: on a stack of the size that is asked for") {
  const std::size_t large = 1024 * 1024;
  coroutine<int, void, char> co(std::allocator_arg, krait::stack_options{.size = large}, [](auto& self) {
    volatile char most[large - 64 * 1024];
    most[0] = 'a';
    most[sizeof most - 1] = 'b';
    self.await(counting(1, 1));
    return static_cast<char>(most[0]);
  });
  CHECK(co.send() == 1);
  CHECK(stop_value<char>([&] { co.send(); }) == 'a');
}

TEST_CASE("coroutine: on a stack of a source, which has it back in the end") {
  probes::counting_source stacks;
  {
    coroutine<int> co(std::allocator_arg, stacks, [](auto& self) { self.await(counting(1, 2)); });
    CHECK(stacks.live() == 1);
    co.send();
    const recorded_warnings warnings;
    static_cast<void>(coroutine<int>(std::allocator_arg, stacks, [](auto&) {}));
    CHECK(stacks.live() == 1);
  }
  CHECK(stacks.live() == 0);
  CHECK(stacks.allocated == 2);

  stacks.failing = true;
  CHECK_THROWS_AS(static_cast<void>(coroutine<int>(std::allocator_arg, stacks, [](auto&) {})),
                  std::bad_alloc);
  const recorded_warnings warnings;
  const krait::stack_options too_small{.size = 8192};
  CHECK_THROWS_AS(static_cast<void>(coroutine<int>(std::allocator_arg, too_small, [](auto&) {})),
                  krait::value_error);
  CHECK(warnings.none());
}

TEST_CASE("coroutine: destroyed by its own body, its next await raises GeneratorExit") {
  const probes::unraisables reports;
  probes::counting_source stacks;
  journal log;
  std::string repr;
  std::optional<coroutine<int>> me;
  SUBCASE("of a generator given away") {
    me.emplace(std::allocator_arg, stacks, [&](auto& co) {
      const at_end end(log, "left");
      me.reset();
      log("destroyed");
      co.await(counting(1, 1));
      FAIL("a destroyed coroutine was resumed");
    });
  }
  SUBCASE("of a coroutine lent") {
    me.emplace(std::allocator_arg, stacks, [&](auto& co) {
      const at_end end(log, "left");
      coroutine<int> inner = [](auto& self) { self.await(counting(1, 1)); };
      me.reset();
      log("destroyed");
      try {
        co.await(inner);
      } catch (const krait::generator_exit&) {
        inner.close();
        throw;
      }
      FAIL("a destroyed coroutine was resumed");
    });
  }
  repr = me->repr();
  CHECK_THROWS_AS(me->send(), krait::stop_iteration<>);
  CHECK(log.text() == "destroyed, left");
  REQUIRE(reports.count() == 1);
  CHECK(reports.text(0) == already_executing);
  CHECK(reports.message(0) == "Exception ignored while closing generator " + repr);
  CHECK(stacks.live() == 0);
}

TEST_CASE("coroutine: dropped while suspended it is closed, and what that raises is reported") {
  const probes::unraisables reports;
  const recorded_warnings warnings;
  std::string repr;
  {
    coroutine<int> co = [](auto& self) {
      try {
        self.await(counting(1, 2));
      } catch (const krait::generator_exit&) {
        throw std::runtime_error("at the end");
      }
    };
    co.send();
    repr = co.repr();
  }
  REQUIRE(reports.count() == 1);
  CHECK(reports.text(0) == "at the end");
  CHECK(reports.message(0) == "Exception ignored while closing generator " + repr);
  CHECK(warnings.none());
}
