// SPDX-License-Identifier: BSL-1.0
#include <doctest/doctest.h>

#include <array>
#include <cstring>
#include <exception>
#include <functional>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include <krait/krait.hpp>

#include "support/probes.hpp"

namespace {

constexpr const char* already_executing = "generator already executing";
constexpr const char* moved_from = "generator was moved from";
constexpr const char* elsewhere = "yield called outside the generator it belongs to";

/// With every kind of resumption: Send can say None, and there is something to return.
using full_generator = krait::generator<int, std::optional<int>, int>;

/// Tries every way to resume, finish or take the place of a generator that is running.
void check_that_all_is_refused(full_generator& g) {
  CHECK_THROWS_WITH_AS(g.next(), already_executing, krait::value_error);
  CHECK_THROWS_WITH_AS(next(g), already_executing, krait::value_error);
  CHECK_THROWS_WITH_AS(next(g, 7), already_executing, krait::value_error);
  CHECK_THROWS_WITH_AS(g.send(1), already_executing, krait::value_error);
  CHECK_THROWS_WITH_AS(g.send(std::nullopt), already_executing, krait::value_error);
  CHECK_THROWS_WITH_AS(g.throw_(std::make_exception_ptr(1)), already_executing, krait::value_error);
  CHECK_THROWS_WITH_AS(g.throw_(std::runtime_error("thrown")), already_executing, krait::value_error);
  CHECK_THROWS_WITH_AS(g.throw_(krait::generator_exit()), already_executing, krait::value_error);
  CHECK_THROWS_WITH_AS(g.close(), already_executing, krait::value_error);
  CHECK_THROWS_WITH_AS(static_cast<void>(g.resume()), already_executing, krait::value_error);
  CHECK_THROWS_WITH_AS(static_cast<void>(g.resume(1)), already_executing, krait::value_error);
  CHECK_THROWS_WITH_AS(static_cast<void>(g.resume_with(std::make_exception_ptr(1))), already_executing,
                       krait::value_error);
  const auto loop = [&g] {
    for (const int item : g) {
      FAIL("a running generator yielded ", item);
    }
  };
  CHECK_THROWS_WITH_AS(loop(), already_executing, krait::value_error);
  CHECK_THROWS_WITH_AS(g = full_generator([](auto&) { return 0; }), already_executing, krait::value_error);

  CHECK(g.state() == krait::generator_state::running);
  CHECK(g.running());
  CHECK_FALSE(g.suspended());
  CHECK_FALSE(g.done());
  CHECK_FALSE(g.yielding_from());
  CHECK(g.result() == nullptr);
}

}  // namespace

TEST_CASE("a body that resumes its own generator gets an error, and can go on") {
  std::optional<full_generator> g;
  g = full_generator([&g](auto& yield) {
    check_that_all_is_refused(*g);
    std::optional<int> sent = yield(1);
    CHECK(sent == 10);
    check_that_all_is_refused(*g);
    sent = yield(2);
    CHECK(sent == 20);
    return 3;
  });
  CHECK(g->next() == 1);
  CHECK(g->send(10) == 2);
  CHECK_THROWS_AS(g->send(20), krait::stop_iteration<int>);
  CHECK(*g->result() == 3);
}

TEST_CASE("a body that does not handle the error of resuming itself ends with it") {
  std::optional<krait::generator<int>> g;
  g = krait::generator<int>([&g](auto& yield) {
    yield(1);
    yield(g->next());
  });
  CHECK(g->next() == 1);
  CHECK_THROWS_WITH_AS(g->next(), already_executing, krait::value_error);
  CHECK(g->done());
}

TEST_CASE("a body that resumes its own generator through a helper on another stack gets the same error") {
  std::optional<full_generator> g;
  g = full_generator([&g](auto& yield) {
    krait::generator<int> helper = [&g](auto& helper_yield) {
      check_that_all_is_refused(*g);
      helper_yield(5);
      check_that_all_is_refused(*g);
    };
    yield(helper.next());
    CHECK_THROWS_AS(helper.next(), krait::stop_iteration<>);
    return 0;
  });
  CHECK(g->next() == 5);
  CHECK_THROWS_AS(g->next(), krait::stop_iteration<int>);
}

TEST_CASE("a generator delegated to cannot resume its delegators") {
  std::optional<full_generator> outermost;
  std::optional<full_generator> inner;
  int refused = 0;
  const auto innermost_body = [&](auto& yield) {
    check_that_all_is_refused(*outermost);
    ++refused;
    const std::optional<int> sent = yield(1);
    CHECK(sent == 7);
    check_that_all_is_refused(*outermost);
    ++refused;
    return 2;
  };

  SUBCASE("given away") {
    outermost = full_generator([&](auto& yield) { return yield.from(full_generator(innermost_body)) * 10; });
  }
  SUBCASE("given away twice") {
    outermost = full_generator([&](auto& yield) {
      return yield.from(full_generator([&](auto& middle_yield) {
        const int result = middle_yield.from(full_generator(innermost_body));
        check_that_all_is_refused(*outermost);
        return result;
      })) * 10;
    });
  }
  SUBCASE("by reference") {
    inner = full_generator([&](auto& yield) {
      check_that_all_is_refused(*inner);
      return innermost_body(yield);
    });
    outermost = full_generator([&](auto& yield) { return yield.from(*inner) * 10; });
  }
  SUBCASE("by reference, then given away") {
    inner = full_generator([&](auto& yield) {
      const int result = yield.from(full_generator(innermost_body));
      check_that_all_is_refused(*inner);
      return result;
    });
    outermost = full_generator([&](auto& yield) { return yield.from(*inner) * 10; });
  }

  CHECK(outermost->next() == 1);
  CHECK(outermost->yielding_from());
  try {
    outermost->send(7);
    FAIL("it has nothing more to yield");
  } catch (const krait::stop_iteration<int>& stop) {
    CHECK(stop.value() == 20);
  }
  CHECK(refused == 2);
}

TEST_CASE("a generator cannot delegate to itself, and is not taken") {
  std::optional<full_generator> g;
  g = full_generator([&g](auto& yield) {
    CHECK_THROWS_WITH_AS(yield.from(*g), already_executing, krait::value_error);
    CHECK_THROWS_WITH_AS(yield.from(std::move(*g)), already_executing, krait::value_error);
    CHECK(g->running());
    yield(1);
    CHECK_THROWS_WITH_AS(yield.from(std::move(*g)), already_executing, krait::value_error);
    return 2;
  });
  CHECK(g->next() == 1);
  CHECK_FALSE(g->yielding_from());
  CHECK_THROWS_AS(g->next(), krait::stop_iteration<int>);
}

TEST_CASE("a generator cannot delegate to one of its delegators, and that is not taken") {
  std::optional<full_generator> outer;
  std::optional<full_generator> inner;
  const auto body = [&](auto& yield) {
    CHECK_THROWS_WITH_AS(yield.from(*outer), already_executing, krait::value_error);
    CHECK_THROWS_WITH_AS(yield.from(std::move(*outer)), already_executing, krait::value_error);
    CHECK(outer->running());
    yield(1);
    return 2;
  };
  SUBCASE("given away") {
    outer = full_generator([&](auto& yield) { return yield.from(full_generator(body)); });
  }
  SUBCASE("by reference") {
    inner = full_generator(body);
    outer = full_generator([&](auto& yield) { return yield.from(*inner); });
  }
  CHECK(outer->next() == 1);
  CHECK(outer->yielding_from());
  CHECK_THROWS_AS(outer->next(), krait::stop_iteration<int>);
  CHECK(*outer->result() == 2);
}

TEST_CASE("delegation to a generator of another type is refused likewise while it runs") {
  using other_generator = krait::generator<short>;
  std::optional<other_generator> g;
  krait::generator<int> helper = [&g](auto& yield) {
    CHECK_THROWS_WITH_AS(yield.from(std::move(*g)), already_executing, krait::value_error);
    CHECK_THROWS_WITH_AS(yield.from(*g), already_executing, krait::value_error);
    CHECK(g->running());
    yield(4);
  };
  g = other_generator([&](auto& yield) { yield(static_cast<short>(helper.next())); });
  CHECK(g->next() == 4);
  CHECK_FALSE(helper.yielding_from());
}

TEST_CASE("delegation to a generator that was moved from is an error") {
  full_generator empty = [](auto&) { return 0; };
  full_generator taken = std::move(empty);
  full_generator g = [&empty](auto& yield) {
    CHECK_THROWS_WITH_AS(yield.from(empty), moved_from, krait::value_error);
    CHECK_THROWS_WITH_AS(yield.from(std::move(empty)), moved_from, krait::value_error);
    yield(1);
    return 2;
  };
  CHECK(g.next() == 1);
  CHECK_FALSE(g.yielding_from());
  CHECK_THROWS_AS(g.next(), krait::stop_iteration<int>);
}

TEST_CASE(
    "on a generator that was moved from, every member function is an error, and assignment makes it whole") {
  full_generator g = [](auto& yield) {
    yield(1);
    return 2;
  };
  full_generator taken = std::move(g);
  for (int round = 0; round < 2; ++round) {
    CHECK_THROWS_WITH_AS(g.next(), moved_from, krait::value_error);
    CHECK_THROWS_WITH_AS(next(g), moved_from, krait::value_error);
    CHECK_THROWS_WITH_AS(next(g, 7), moved_from, krait::value_error);
    CHECK_THROWS_WITH_AS(g.send(1), moved_from, krait::value_error);
    CHECK_THROWS_WITH_AS(g.throw_(std::make_exception_ptr(1)), moved_from, krait::value_error);
    CHECK_THROWS_WITH_AS(g.throw_(1), moved_from, krait::value_error);
    CHECK_THROWS_WITH_AS(g.close(), moved_from, krait::value_error);
    CHECK_THROWS_WITH_AS(static_cast<void>(g.resume()), moved_from, krait::value_error);
    CHECK_THROWS_WITH_AS(static_cast<void>(g.resume(1)), moved_from, krait::value_error);
    CHECK_THROWS_WITH_AS(static_cast<void>(g.resume_with(std::make_exception_ptr(1))), moved_from,
                         krait::value_error);
    CHECK_THROWS_WITH_AS(g.begin(), moved_from, krait::value_error);
    CHECK_THROWS_WITH_AS(g.state(), moved_from, krait::value_error);
    CHECK_THROWS_WITH_AS(g.running(), moved_from, krait::value_error);
    CHECK_THROWS_WITH_AS(g.suspended(), moved_from, krait::value_error);
    CHECK_THROWS_WITH_AS(g.done(), moved_from, krait::value_error);
    CHECK_THROWS_WITH_AS(g.result(), moved_from, krait::value_error);
    CHECK_THROWS_WITH_AS(g.yielding_from(), moved_from, krait::value_error);
    CHECK_THROWS_WITH_AS(g.name(), moved_from, krait::value_error);
    CHECK_THROWS_WITH_AS(g.set_name("g"), moved_from, krait::value_error);
    CHECK_THROWS_WITH_AS(g.repr(), moved_from, krait::value_error);
  }
  CHECK(taken.next() == 1);
  g = std::move(taken);
  CHECK_THROWS_WITH_AS(taken.next(), moved_from, krait::value_error);
  CHECK_THROWS_AS(g.next(), krait::stop_iteration<int>);
  CHECK(*g.result() == 2);
}

TEST_CASE("a running generator may be moved, but not assigned to") {
  full_generator* current = nullptr;
  std::optional<full_generator> elsewhere_now;
  probes::tally assigned;
  full_generator g = [&](auto& yield) {
    full_generator other = [token = probes::counted(assigned)](auto& other_yield) {
      other_yield(9);
      return 0;
    };
    CHECK_THROWS_WITH_AS(*current = std::move(other), already_executing, krait::value_error);
    CHECK(other.next() == 9);
    elsewhere_now.emplace(std::move(*current));
    current = &*elsewhere_now;
    yield(1);
    CHECK_THROWS_WITH_AS(*current = std::move(other), already_executing, krait::value_error);
    CHECK(current->running());
    CHECK(other.suspended());
    yield(2);
    return 3;
  };
  current = &g;
  CHECK(g.next() == 1);
  CHECK_THROWS_WITH_AS(g.next(), moved_from, krait::value_error);
  CHECK(elsewhere_now->next() == 2);
  CHECK(assigned.live == 1);
  CHECK_THROWS_AS(elsewhere_now->next(), krait::stop_iteration<int>);
  CHECK(assigned.live == 0);
}

TEST_CASE("assigning a generator to itself changes nothing") {
  krait::generator<int> g = [](auto& yield) {
    yield(1);
    yield(2);
  };
  CHECK(g.next() == 1);
  krait::generator<int>& alias = g;
  g = std::move(alias);
  CHECK(g.next() == 2);
}

namespace {

using returning_generator = krait::generator<int, std::optional<int>, probes::counted>;

/// A generator that its own body destroys after the first yield, and all that it owns.
struct destroyed_by_itself {
  probes::unraisables reports;
  probes::counting_source stacks;
  probes::tally captured;
  probes::tally locals;
  probes::tally results;
  bool exit_was_raised = false;
  std::optional<returning_generator> g;

  enum class then { yields, yields_in_vain, returns, throws };

  returning_generator make(then what) {
    return returning_generator(
        std::allocator_arg, stacks,
        [this, what, token = probes::counted(captured)](auto& yield) -> probes::counted {
          const probes::counted local(locals);
          try {
            yield(1);
          } catch (int) {
          } catch (const krait::generator_exit&) {
          }
          g.reset();
          CHECK(reports.count() == 1);
          CHECK(locals.live == 1);
          CHECK(captured.live == 1);
          switch (what) {
            case then::yields_in_vain:
              try {
                yield(2);
                FAIL("a destroyed generator was resumed");
              } catch (const krait::generator_exit&) {
                exit_was_raised = true;
              }
              break;
            case then::yields:
              try {
                yield(2);
                FAIL("a destroyed generator was resumed");
              } catch (const krait::generator_exit&) {
                exit_was_raised = true;
                throw;
              }
            case then::returns:
              break;
            case then::throws:
              throw std::runtime_error("last words");
          }
          return probes::counted(results, 5);
        });
  }

  void check_that_nothing_is_left() {
    CHECK(captured.live == 0);
    CHECK(locals.live == 0);
    CHECK(results.live == 0);
    CHECK(stacks.live() == 0);
    REQUIRE(reports.count() == 1);
    CHECK(reports.text(0) == already_executing);
    CHECK(reports.message(0).starts_with("Exception ignored while closing generator <generator object "));
  }
};

using then = destroyed_by_itself::then;

}  // namespace

TEST_CASE(
    "destroying a running generator is reported, its next yield raises GeneratorExit, its resumer sees the "
    "end") {
  destroyed_by_itself scene;
  scene.g = scene.make(then::yields);
  CHECK(scene.g->next() == 1);
  SUBCASE("next") {
    CHECK_THROWS_AS(scene.g->next(), krait::stop_iteration<>);
  }
  SUBCASE("next with a fallback") {
    CHECK(next(*scene.g, 7) == 7);
  }
  SUBCASE("send") {
    CHECK_THROWS_AS(scene.g->send(4), krait::stop_iteration<probes::counted>);
  }
  SUBCASE("throw_") {
    CHECK_THROWS_AS(scene.g->throw_(4), krait::stop_iteration<>);
  }
  SUBCASE("close") {
    CHECK_FALSE(scene.g->close().has_value());
  }
  SUBCASE("resume") {
    const auto step = scene.g->resume();
    CHECK(step.returned());
    CHECK(step.result() == nullptr);
  }
  SUBCASE("resume with a value") {
    const auto step = scene.g->resume(4);
    CHECK(step.returned());
    CHECK(step.result() == nullptr);
  }
  SUBCASE("resume_with") {
    const auto step = scene.g->resume_with(std::make_exception_ptr(4));
    CHECK(step.returned());
    CHECK(step.result() == nullptr);
  }
  SUBCASE("a loop") {
    for (const int item : *scene.g) {
      FAIL("a destroyed generator yielded ", item);
    }
  }
  CHECK_FALSE(scene.g.has_value());
  CHECK(scene.exit_was_raised);
  scene.check_that_nothing_is_left();
}

TEST_CASE("a body that destroyed its own generator may swallow GeneratorExit, return or throw") {
  destroyed_by_itself scene;
  SUBCASE("swallows it and returns") {
    scene.g = scene.make(then::yields_in_vain);
    CHECK(scene.g->next() == 1);
    try {
      scene.g->next();
      FAIL("a destroyed generator yielded");
    } catch (const krait::stop_iteration<probes::counted>& stop) {
      CHECK_FALSE(stop.has_value());
    }
    CHECK(scene.exit_was_raised);
  }
  SUBCASE("returns without another yield") {
    scene.g = scene.make(then::returns);
    CHECK(scene.g->next() == 1);
    try {
      scene.g->next();
      FAIL("a destroyed generator yielded");
    } catch (const krait::stop_iteration<probes::counted>& stop) {
      CHECK_FALSE(stop.has_value());
    }
  }
  SUBCASE("throws") {
    scene.g = scene.make(then::throws);
    CHECK(scene.g->next() == 1);
    CHECK_THROWS_WITH_AS(scene.g->next(), "last words", std::runtime_error);
  }
  SUBCASE("throws while it is being closed") {
    scene.g = scene.make(then::throws);
    CHECK(scene.g->next() == 1);
    CHECK_THROWS_WITH_AS(scene.g->close(), "last words", std::runtime_error);
  }
  scene.check_that_nothing_is_left();
}

TEST_CASE("a generator may be destroyed in its first resumption") {
  probes::unraisables reports;
  probes::counting_source stacks;
  probes::tally captured;
  std::optional<krait::generator<int>> g;
  g = krait::generator<int>(std::allocator_arg, stacks, [&g, token = probes::counted(captured)](auto& yield) {
    g.reset();
    yield(1);
    FAIL("a destroyed generator was resumed");
  });
  CHECK_THROWS_AS(g->next(), krait::stop_iteration<>);
  CHECK(captured.live == 0);
  CHECK(stacks.live() == 0);
  CHECK(reports.count() == 1);
}

TEST_CASE("a generator may be destroyed by a generator it delegates to") {
  probes::unraisables reports;
  probes::counting_source stacks;
  probes::tally locals;
  std::vector<std::string> log;
  std::optional<krait::generator<int>> outer;
  std::optional<krait::generator<int>> inner;
  const auto inner_body = [&](auto& yield) {
    const probes::counted local(locals);
    yield(1);
    outer.reset();
    log.push_back("destroyed");
    try {
      yield(2);
      FAIL("a destroyed generator was resumed");
    } catch (const krait::generator_exit&) {
      log.push_back("exit in inner");
      throw;
    }
  };
  const auto outer_body = [&](auto delegate) {
    return krait::generator<int>(std::allocator_arg, stacks, [&, delegate](auto& yield) {
      const probes::counted local(locals);
      try {
        delegate(yield);
        log.push_back("inner ended");
        yield(3);
        FAIL("a destroyed generator was resumed");
      } catch (const krait::generator_exit&) {
        log.push_back("exit in outer");
        throw;
      }
    });
  };
  SUBCASE("given away: both are on their way out") {
    outer = outer_body(
        [&](auto& yield) { yield.from(krait::generator<int>(std::allocator_arg, stacks, inner_body)); });
    CHECK(outer->next() == 1);
    CHECK_THROWS_AS(outer->next(), krait::stop_iteration<>);
    CHECK(log == std::vector<std::string>{"destroyed", "exit in inner", "exit in outer"});
  }
  SUBCASE("given away through a level between") {
    outer = outer_body([&](auto& yield) {
      yield.from(krait::generator<int>(std::allocator_arg, stacks, [&](auto& middle) {
        const probes::counted local(locals);
        middle.from(krait::generator<int>(std::allocator_arg, stacks, inner_body));
      }));
    });
    CHECK(outer->next() == 1);
    CHECK_THROWS_AS(outer->next(), krait::stop_iteration<>);
    CHECK(log == std::vector<std::string>{"destroyed", "exit in inner", "exit in outer"});
  }
  SUBCASE("given away, and returns instead of yielding") {
    outer = outer_body([&](auto& yield) {
      yield.from(krait::generator<int>(std::allocator_arg, stacks, [&](auto& inner_yield) {
        inner_yield(1);
        outer.reset();
      }));
    });
    CHECK(outer->next() == 1);
    CHECK_THROWS_AS(outer->next(), krait::stop_iteration<>);
    CHECK(log == std::vector<std::string>{"inner ended", "exit in outer"});
  }
  SUBCASE("by reference: the inner one has an owner, and lives on") {
    inner = krait::generator<int>(std::allocator_arg, stacks, [&](auto& yield) {
      const probes::counted local(locals);
      yield(1);
      outer.reset();
      yield(2);
      yield(3);
    });
    outer = outer_body([&](auto& yield) { yield.from(*inner); });
    CHECK(outer->next() == 1);
    CHECK_THROWS_AS(outer->next(), krait::stop_iteration<>);
    CHECK(log == std::vector<std::string>{"exit in outer"});
    CHECK(inner->next() == 3);
    inner.reset();
  }
  CHECK(locals.live == 0);
  CHECK(stacks.live() == 0);
  REQUIRE(reports.count() == 1);
  CHECK(reports.text(0) == already_executing);
}

TEST_CASE("a generator delegated to by reference may be destroyed by its own body") {
  probes::unraisables reports;
  probes::counting_source stacks;
  std::optional<krait::generator<int>> inner;
  inner = krait::generator<int>(std::allocator_arg, stacks, [&](auto& yield) {
    yield(1);
    inner.reset();
    yield(2);
  });
  krait::generator<int> outer = [&](auto& yield) {
    yield.from(*inner);
    yield(3);
  };
  CHECK(outer.next() == 1);
  CHECK(outer.next() == 3);
  CHECK(stacks.live() == 0);
  CHECK(reports.count() == 1);
}

TEST_CASE("a generator delegated to by reference may be destroyed by its own body, and return a value") {
  probes::unraisables reports;
  std::optional<krait::generator<int, void, std::optional<std::string>>> inner;
  inner = [&](auto& yield) {
    yield(1);
    inner.reset();
    return std::optional<std::string>("a value which is long enough to be kept on the heap");
  };
  krait::generator<int, void, std::optional<std::string>> outer = [&](auto& yield) {
    return yield.from(*inner);
  };
  CHECK(outer.next() == 1);
  CHECK(*outer.resume().result() == std::nullopt);  // nobody is there to be given it
}

TEST_CASE("what an assignment drops may destroy what is assigned, or assign itself") {
  using krait::generator;
  struct at_exit {
    std::function<void()> function;
    ~at_exit() { function(); }
  };
  const auto one = [](auto& yield) { yield(1); };
  SUBCASE("destroy") {
    auto other = std::make_unique<generator<int>>(one);
    generator<int> g = [&](auto& yield) {
      const at_exit guard{[&] { other.reset(); }};
      yield(0);
    };
    g.next();
    g = std::move(*other);
    CHECK(other == nullptr);
    CHECK(g.next() == 1);
  }
  SUBCASE("assign") {
    const auto token = std::make_shared<int>();
    generator<int> g = [&](auto& yield) {
      const at_exit guard{[&] { g = [token](auto& again) { again(2); }; }};
      yield(0);
    };
    g.next();
    g = one;
    CHECK(g.next() == 2);  // the later one
    g = one;
    CHECK(g.next() == 1);
    CHECK(token.use_count() == 1);
  }
}

TEST_CASE("a running generator destroyed on another generator's stack leaves that one alone") {
  probes::unraisables reports;
  probes::counting_source stacks;
  std::optional<krait::generator<int>> g;
  krait::generator<int> helper = [&g](auto& yield) {
    yield(1);
    g.reset();
    yield(2);
    yield(3);
  };
  bool exit_was_raised = false;
  g = krait::generator<int>(std::allocator_arg, stacks, [&](auto& yield) {
    yield(helper.next());
    CHECK(helper.next() == 2);
    try {
      yield(0);
      FAIL("a destroyed generator was resumed");
    } catch (const krait::generator_exit&) {
      exit_was_raised = true;
      throw;
    }
  });
  CHECK(g->next() == 1);
  CHECK_THROWS_AS(g->next(), krait::stop_iteration<>);
  CHECK(exit_was_raised);
  CHECK(stacks.live() == 0);
  CHECK(helper.next() == 3);
  CHECK(reports.count() == 1);
}

TEST_CASE("every form of yield and delegation raises GeneratorExit once the generator was destroyed") {
  probes::unraisables reports;
  probes::counting_source stacks;
  std::optional<krait::generator<int>> g;
  krait::generator<int> other = [](auto& yield) { yield(5); };
  const std::vector<int> numbers{1, 2, 3};
  const auto run = [&](auto attempt) {
    int raised = 0;
    g = krait::generator<int>(std::allocator_arg, stacks, [&](auto& yield) {
      g.reset();
      try {
        attempt(yield);
        FAIL("a destroyed generator went on");
      } catch (const krait::generator_exit&) {
        ++raised;
      }
    });
    CHECK_THROWS_AS(g->next(), krait::stop_iteration<>);
    CHECK(raised == 1);
  };
  SUBCASE("yield") {
    run([](auto& yield) { yield(1); });
  }
  SUBCASE("from a generator given away") {
    run([&](auto& yield) { yield.from(std::move(other)); });
  }
  SUBCASE("from a generator by reference") {
    run([&](auto& yield) { yield.from(other); });
  }
  SUBCASE("from a range") {
    run([&](auto& yield) { yield.from(numbers); });
  }
  SUBCASE("from an iterator") {
    struct endless {
      int next() { return 1; }
    };
    run([&](auto& yield) { yield.from(endless()); });
  }
  CHECK(stacks.live() == 0);
  CHECK(reports.count() == 1);
}

namespace {

/// Yields for ever, whatever is raised.
template <class Yielder>
[[noreturn]] void insist(Yielder& yield) {
  for (;;) {
    try {
      yield(0);
    } catch (...) {
    }
  }
}

}  // namespace

TEST_CASE(
    "a destroyed generator that swallows GeneratorExit and yields is left where it is, its resumer sees the "
    "end") {
  probes::unraisables reports;
  std::optional<krait::generator<int>> g;
  std::optional<krait::generator<int>> inner;
  SUBCASE("itself") {
    g = krait::generator<int>([&g](auto& yield) {
      g.reset();
      insist(yield);
    });
  }
  SUBCASE("in a delegation") {
    g = krait::generator<int>([&g](auto& yield) {
      yield.from(krait::generator<int>([&g](auto& inner_yield) {
        g.reset();
        insist(inner_yield);
      }));
    });
  }
  SUBCASE("a generator delegated to by reference") {
    inner = krait::generator<int>([&inner](auto& yield) {
      inner.reset();
      insist(yield);
    });
    g = krait::generator<int>([&inner](auto& yield) { yield.from(*inner); });
  }
  SUBCASE("in a handler") {
    g = krait::generator<int>([&g](auto& yield) {
      try {
        throw std::runtime_error("handled");
      } catch (const std::exception&) {
        g.reset();
        insist(yield);
      }
    });
  }
  CHECK_THROWS_AS(g->next(), krait::stop_iteration<>);
  REQUIRE(reports.count() == 2);
  CHECK(reports.text(0) == already_executing);
  CHECK(reports.text(1) == "generator ignored GeneratorExit");
  CHECK(std::current_exception() == nullptr);
}

TEST_CASE(
    "a generator that yields for ever when closed is reported once by its destructor, and its frames stay") {
  probes::unraisables reports;
  using pattern = std::array<unsigned char, 4096>;
  const pattern* witness = nullptr;
  pattern expected;
  expected.fill(0xa5);
  std::string repr;
  {
    krait::generator<int> stubborn = [&witness](auto& yield) {
      pattern local;
      local.fill(0xa5);
      witness = &local;
      insist(yield);
    };
    CHECK(stubborn.next() == 0);
    CHECK_THROWS_WITH_AS(stubborn.close(), "generator ignored GeneratorExit", krait::runtime_error);
    CHECK(stubborn.next() == 0);
    repr = stubborn.repr();
  }
  REQUIRE(reports.count() == 1);
  CHECK(reports.text(0) == "generator ignored GeneratorExit");
  CHECK(reports.message(0) == "Exception ignored while closing generator " + repr);

  const auto overwrite = [](auto& yield) {
    volatile char local[32'000];
    for (volatile char& each : local) {
      each = 0x11;
    }
    yield(0);
  };
  for (int i = 0; i < 100; ++i) {
    krait::generator<int> one = overwrite;
    one.next();
  }
  std::vector<krait::generator<int>> many;
  for (int i = 0; i < 100; ++i) {
    many.emplace_back(overwrite).next();
  }
  many.clear();
  REQUIRE(witness != nullptr);
  CHECK(*witness == expected);
  CHECK(reports.count() == 1);
}

TEST_CASE("a delegate that yields for ever when its delegator is destroyed is reported once") {
  probes::unraisables reports;
  {
    krait::generator<int> g = [](auto& yield) {
      yield.from(krait::generator<int>([](auto& inner_yield) { insist(inner_yield); }));
    };
    CHECK(g.next() == 0);
  }
  for (std::size_t i = 0; i < reports.count(); ++i) {
    CHECK(reports.text(i) == "generator ignored GeneratorExit");
  }
  CHECK(reports.count() >= 1);
  CHECK(reports.count() <= 2);  // the delegate's and, as it was closed in vain, the delegator's own end
}

TEST_CASE("what is thrown while a destructor closes a generator goes to the hook") {
  probes::unraisables reports;
  std::string repr;
  {
    krait::generator<int> g = [](auto& yield) {
      try {
        yield(1);
      } catch (const krait::generator_exit&) {
        throw std::runtime_error("while closing");
      }
    };
    g.next();
    repr = g.repr();
  }
  REQUIRE(reports.count() == 1);
  CHECK(reports.text(0) == "while closing");
  CHECK(reports.message(0) == "Exception ignored while closing generator " + repr);
}

TEST_CASE("without a hook, what cannot be raised is written to stderr") {
  krait::unraisable_hook previous = krait::set_unraisable_hook(nullptr);
  const std::string text = probes::stderr_of([] {
    krait::generator<int> g(
        [](auto& yield) {
          try {
            yield(1);
          } catch (const krait::generator_exit&) {
            throw std::runtime_error("while closing");
          }
        },
        "noisy");
    g.next();
  });
  krait::set_unraisable_hook(std::move(previous));
  CHECK(text.starts_with("Exception ignored while closing generator <generator object noisy at 0x"));
  CHECK(text.ends_with(">:\nstd::runtime_error: while closing\n"));
}

TEST_CASE("an exception out of the unraisable hook is written to stderr, and goes no further") {
  int calls = 0;
  krait::unraisable_hook previous = krait::set_unraisable_hook([&calls](const krait::unraisable&) {
    ++calls;
    throw std::logic_error("the hook failed");
  });
  const std::string text = probes::stderr_of([] {
    krait::generator<int> g = [](auto& yield) {
      try {
        yield(1);
      } catch (const krait::generator_exit&) {
        throw std::runtime_error("while closing");
      }
    };
    g.next();
  });
  krait::set_unraisable_hook(std::move(previous));
  CHECK(calls == 1);
  CHECK(text.find("unraisable hook") != std::string::npos);
  CHECK(text.find("std::logic_error: the hook failed") != std::string::npos);
  CHECK(std::current_exception() == nullptr);
}

TEST_CASE("an unraisable hook may use generators and set another hook") {
  int first = 0;
  int second = 0;
  krait::unraisable_hook previous = krait::set_unraisable_hook([&](const krait::unraisable&) {
    ++first;
    krait::generator<int> g = [](auto& yield) { yield(1); };
    CHECK(g.next() == 1);
    krait::set_unraisable_hook([&](const krait::unraisable&) { ++second; });
  });
  for (int i = 0; i < 3; ++i) {
    krait::generator<int> g = [](auto& yield) {
      try {
        yield(1);
      } catch (const krait::generator_exit&) {
        throw 1;
      }
    };
    g.next();
  }
  krait::set_unraisable_hook(std::move(previous));
  CHECK(first == 1);
  CHECK(second == 2);
}

TEST_CASE("setting the unraisable hook returns the one before") {
  int calls = 0;
  krait::unraisable_hook previous =
      krait::set_unraisable_hook([&calls](const krait::unraisable&) { ++calls; });
  krait::unraisable_hook mine = krait::set_unraisable_hook(std::move(previous));
  REQUIRE(mine);
  mine({std::make_exception_ptr(1), "message"});
  CHECK(calls == 1);
}

TEST_CASE("a yield on another generator's stack is an error, and both stay usable") {
  krait::generator<int> outer = [](auto& yield) {
    krait::generator<int> careless = [&yield](auto&) { yield(1); };
    CHECK_THROWS_WITH_AS(careless.next(), elsewhere, krait::runtime_error);
    CHECK(careless.done());

    krait::generator<int> careful = [&yield](auto& own_yield) {
      CHECK_THROWS_WITH_AS(yield(1), elsewhere, krait::runtime_error);
      own_yield(2);
      CHECK_THROWS_WITH_AS(yield(1), elsewhere, krait::runtime_error);
      own_yield(3);
    };
    yield(careful.next());
    yield(careful.next());
    yield(4);
  };
  CHECK(outer.next() == 2);
  CHECK(outer.next() == 3);
  CHECK(outer.next() == 4);
  CHECK_THROWS_AS(outer.next(), krait::stop_iteration<>);
}

TEST_CASE(
    "a yield outside its generator is an error whether that runs, delegates, is suspended or has not begun") {
  krait::yielder<int>* leaked = nullptr;
  krait::generator<int> g = [&leaked](krait::yielder<int>& yield) {
    leaked = &yield;
    yield(1);
    yield(2);
  };
  CHECK(g.next() == 1);
  REQUIRE(leaked != nullptr);
  CHECK_THROWS_WITH_AS((*leaked)(5), elsewhere, krait::runtime_error);
  krait::generator<int> other = [&leaked](auto& yield) {
    CHECK_THROWS_WITH_AS((*leaked)(5), elsewhere, krait::runtime_error);
    yield(3);
  };
  CHECK(other.next() == 3);
  CHECK(g.suspended());
  CHECK(g.next() == 2);
  CHECK_THROWS_WITH_AS((*leaked)(5), elsewhere, krait::runtime_error);
  CHECK_THROWS_AS(g.next(), krait::stop_iteration<>);
  CHECK_THROWS_WITH_AS((*leaked)(5), elsewhere, krait::runtime_error);
}

namespace {

/// Every way to delegate, on a stack where that is an error.
void check_that_delegation_is_refused(krait::yielder<int>& yield) {
  CHECK_THROWS_WITH_AS(yield(1), elsewhere, krait::runtime_error);
  krait::generator<int> other = [](auto& other_yield) { other_yield(5); };
  CHECK_THROWS_WITH_AS(yield.from(other), elsewhere, krait::runtime_error);
  CHECK_THROWS_WITH_AS(yield.from(std::move(other)), elsewhere, krait::runtime_error);
  CHECK(other.state() == krait::generator_state::created);
  krait::generator<short> converted = [](auto& other_yield) { other_yield(5); };
  CHECK_THROWS_WITH_AS(yield.from(converted), elsewhere, krait::runtime_error);
  CHECK_THROWS_WITH_AS(yield.from(std::move(converted)), elsewhere, krait::runtime_error);
  CHECK(converted.state() == krait::generator_state::created);
  const std::vector<int> numbers{1, 2};
  CHECK_THROWS_WITH_AS(yield.from(numbers), elsewhere, krait::runtime_error);
  struct endless {
    int next() { return 1; }
  };
  CHECK_THROWS_WITH_AS(yield.from(endless()), elsewhere, krait::runtime_error);
}

}  // namespace

TEST_CASE("delegation on another stack is an error, and nothing is taken") {
  krait::yielder<int>* leaked = nullptr;
  krait::generator<int> g = [&leaked](krait::yielder<int>& yield) {
    leaked = &yield;
    krait::generator<int> helper = [&yield](auto& own_yield) {
      check_that_delegation_is_refused(yield);
      own_yield(1);
    };
    yield(helper.next());
    yield(2);
  };
  CHECK(g.next() == 1);
  check_that_delegation_is_refused(*leaked);
  CHECK(g.suspended());
  CHECK_FALSE(g.yielding_from());
  CHECK(g.next() == 2);
  CHECK_THROWS_AS(g.next(), krait::stop_iteration<>);
}

TEST_CASE("a delegator's yield used by its delegate is an error, and the delegation goes on") {
  bool given_away = true;
  SUBCASE("given away") {
    given_away = true;
  }
  SUBCASE("by reference") {
    given_away = false;
  }
  std::optional<krait::generator<int>> by_reference;
  krait::generator<int> outer = [&](krait::yielder<int>& yield) {
    krait::generator<int> inner = [&yield](krait::yielder<int>& own_yield) {
      check_that_delegation_is_refused(yield);
      own_yield(1);
      check_that_delegation_is_refused(yield);
      own_yield(2);
    };
    if (given_away) {
      yield.from(std::move(inner));
    } else {
      by_reference = std::move(inner);
      yield.from(*by_reference);
    }
    yield(3);
  };
  CHECK(outer.next() == 1);
  CHECK(outer.yielding_from());
  CHECK(outer.next() == 2);
  CHECK(outer.yielding_from());
  CHECK(outer.next() == 3);
  CHECK_FALSE(outer.yielding_from());
}

TEST_CASE("a delegator whose yield was misused from elsewhere can still be closed, innermost first") {
  const auto misuse_and_close = [](auto misuse) {
    std::string log;
    krait::yielder<int>* leaked = nullptr;
    krait::generator<int> outer = [&](krait::yielder<int>& yield) {
      const probes::at_exit note([&log] { log += "outer "; });
      leaked = &yield;
      yield.from(krait::generator<int>([&log](auto& inner_yield) {
        const probes::at_exit inner_note([&log] { log += "inner "; });
        inner_yield(1);
      }));
    };
    outer.next();
    try {
      misuse(*leaked);
      return 1;
    } catch (const krait::runtime_error&) {
    }
    outer.close();
    return log == "inner outer " ? 0 : 2;
  };
  // In child processes, as what is tested for is a crash.
  CHECK(probes::in_child([&] { return misuse_and_close([](auto& yield) { yield(1); }); }).exited_with(0));
  CHECK(probes::in_child([&] {
          return misuse_and_close([](auto& yield) { yield.from(std::vector<int>{1}); });
        }).exited_with(0));
  CHECK(probes::in_child([&] {
          return misuse_and_close([](auto& yield) {
            krait::generator<int> other = [](auto& other_yield) { other_yield(5); };
            yield.from(other);
          });
        }).exited_with(0));
}

TEST_CASE("a destroyed generator's yield is still an error on another stack") {
  // In child processes, as what is tested for is a crash.
  const auto status = [](auto use_leaked_yield) {
    return probes::in_child([&] {
      krait::set_unraisable_hook([](const krait::unraisable&) {});
      krait::yielder<int>* leaked = nullptr;
      std::optional<krait::generator<int>> g;
      int code = 1;
      g = krait::generator<int>([&](krait::yielder<int>& yield) {
        leaked = &yield;
        g.reset();
        code = use_leaked_yield(yield);
        insist(yield);
      });
      if (next(*g, -1) != -1) {
        return 2;
      }
      if (code != 0) {
        return code;
      }
      try {
        (*leaked)(1);
        return 3;
      } catch (const krait::runtime_error&) {
        return 0;
      }
    });
  };
  CHECK(status([](auto&) { return 0; }).exited_with(0));
  CHECK(status([](auto& yield) {
          krait::generator<int> helper = [&yield](auto& own_yield) {
            for (int refused = 0; refused < 3;) {
              try {
                yield(1);
              } catch (const krait::runtime_error&) {
                own_yield(++refused);
              }
            }
          };
          for (int i = 1; i <= 3; ++i) {
            if (next(helper, -1) != i) {
              return 10 + i;
            }
          }
          return 0;
        }).exited_with(0));
}

TEST_CASE("a body that throws before its first yield ends its generator") {
  probes::tally captured;
  krait::generator<int> g = [token = probes::counted(captured)](auto& yield) {
    if (token.value == 0) {
      throw std::runtime_error("early");
    }
    yield(1);
  };
  SUBCASE("next") {
    CHECK_THROWS_WITH_AS(g.next(), "early", std::runtime_error);
  }
  SUBCASE("resume") {
    CHECK_THROWS_WITH_AS(static_cast<void>(g.resume()), "early", std::runtime_error);
  }
  SUBCASE("next with a fallback") {
    CHECK_THROWS_WITH_AS(next(g, 1), "early", std::runtime_error);
  }
  SUBCASE("a loop") {
    const auto loop = [&g] {
      for (const int item : g) {
        FAIL("it yielded ", item);
      }
    };
    CHECK_THROWS_WITH_AS(loop(), "early", std::runtime_error);
  }
  SUBCASE("delegation by reference") {
    krait::generator<int> outer = [&g](auto& yield) { yield.from(g); };
    CHECK_THROWS_WITH_AS(outer.next(), "early", std::runtime_error);
  }
  CHECK(g.done());
  CHECK(captured.live == 0);
  CHECK_THROWS_AS(g.next(), krait::stop_iteration<>);
  CHECK_THROWS_AS(g.next(), krait::stop_iteration<>);
}

TEST_CASE("a delegate that throws before its first yield ends its delegator in the same resumption") {
  krait::generator<int> outer = [](auto& yield) {
    yield.from(krait::generator<int>([](auto&) { throw std::runtime_error("early"); }));
  };
  CHECK_THROWS_WITH_AS(outer.next(), "early", std::runtime_error);
  CHECK(outer.done());
}

TEST_CASE("sending to a generator that has just been started is an error, and it stays just started") {
  bool begun = false;
  full_generator g = [&begun](auto& yield) {
    begun = true;
    yield(1);
    return 2;
  };
  const char* const text = "can't send non-None value to a just-started generator";
  CHECK_THROWS_WITH_AS(g.send(1), text, krait::type_error);
  CHECK_THROWS_WITH_AS(static_cast<void>(g.resume(1)), text, krait::type_error);
  CHECK(g.state() == krait::generator_state::created);
  CHECK_FALSE(begun);
  CHECK(g.send(std::nullopt) == 1);
  CHECK(begun);
}

TEST_CASE("sending anything to a just-started generator whose Send has no None is an error") {
  krait::generator<int, int> g = [](auto& yield) { yield(yield(1)); };
  CHECK_THROWS_AS(g.send(0), krait::type_error);
  CHECK(g.state() == krait::generator_state::created);
  CHECK(g.next() == 1);
  CHECK(g.send(0) == 0);
}

TEST_CASE("resuming with None where Send has no None is an error, and the generator stays as it was") {
  krait::generator<int, std::string> g = [](auto& yield) {
    for (;;) {
      const std::string text = yield(static_cast<int>(yield(1).size()));
      CHECK(text == "text");
    }
  };
  const auto check_that_none_is_refused = [&g] {
    CHECK_THROWS_AS(g.next(), krait::type_error);
    CHECK_THROWS_AS(next(g), krait::type_error);
    CHECK_THROWS_AS(next(g, 5), krait::type_error);
    CHECK_THROWS_AS(static_cast<void>(g.resume()), krait::type_error);
    CHECK(g.suspended());
  };
  CHECK(g.next() == 1);
  check_that_none_is_refused();
  CHECK(g.send("four") == 4);
  check_that_none_is_refused();
  CHECK(g.send("text") == 1);
  CHECK(g.send("") == 0);
  g.close();
  CHECK_THROWS_AS(g.next(), krait::stop_iteration<>);
  CHECK(next(g, 5) == 5);
}

TEST_CASE("None cannot be sent through a delegation either, where Send has no None") {
  krait::generator<int, int> inner = [](auto& yield) { CHECK(yield(1) == 10); };
  krait::generator<int, int> g = [&inner](auto& yield) {
    yield.from(inner);
    krait::generator<int, int> given = [](auto& given_yield) { CHECK(given_yield(2) == 20); };
    yield.from(std::move(given));
    CHECK(yield(3) == 30);
  };
  CHECK(g.next() == 1);
  CHECK_THROWS_AS(g.next(), krait::type_error);
  CHECK(g.yielding_from());
  CHECK(g.send(10) == 2);
  CHECK_THROWS_AS(g.next(), krait::type_error);
  CHECK(g.yielding_from());
  CHECK(g.send(20) == 3);
  CHECK_THROWS_AS(g.send(30), krait::stop_iteration<>);
}

TEST_CASE(
    "a generator that waits for a value is not taken by a delegation, which would resume it with None") {
  krait::generator<int, int> started = [](auto& yield) { CHECK(yield(1) == 10); };
  CHECK(started.next() == 1);
  krait::generator<int, int> g = [&started](auto& yield) {
    CHECK_THROWS_AS(yield.from(std::move(started)), krait::type_error);
    CHECK_THROWS_AS(yield.from(started), krait::type_error);
    yield(2);
  };
  CHECK(g.next() == 2);
  CHECK_FALSE(g.yielding_from());
  CHECK(started.suspended());
  CHECK_THROWS_AS(started.send(10), krait::stop_iteration<>);
}

TEST_CASE("no exception cannot be thrown into a generator, and changes nothing") {
  const char* const text =
      "exceptions must be classes or instances deriving from BaseException, not NoneType";
  full_generator g = [](auto& yield) {
    yield(1);
    yield(2);
    return 3;
  };
  const auto check_that_null_is_refused = [&] {
    const krait::generator_state before = g.state();
    CHECK_THROWS_WITH_AS(g.throw_(std::exception_ptr()), text, krait::type_error);
    CHECK_THROWS_WITH_AS(g.throw_(nullptr), text, krait::type_error);
    CHECK_THROWS_WITH_AS(static_cast<void>(g.resume_with(nullptr)), text, krait::type_error);
    CHECK_THROWS_WITH_AS(static_cast<void>(g.resume_with(std::exception_ptr())), text, krait::type_error);
    CHECK(g.state() == before);
  };
  check_that_null_is_refused();
  CHECK(g.next() == 1);
  check_that_null_is_refused();
  CHECK(g.next() == 2);
  CHECK_THROWS_AS(g.next(), krait::stop_iteration<int>);
  check_that_null_is_refused();
}

TEST_CASE("a generator being closed by its destructor is out of reach of its own body") {
  probes::unraisables reports;
  full_generator* address = nullptr;
  bool refused = false;
  {
    full_generator g = [&](auto& yield) {
      const probes::at_exit note([&] {
        try {
          address->next();
        } catch (const krait::value_error&) {
          refused = true;
        }
      });
      yield(1);
      return 0;
    };
    address = &g;
    g.next();
  }
  CHECK(refused);
  CHECK(reports.count() == 0);
}

TEST_CASE("a body that is being closed cannot resume its own generator") {
  std::optional<full_generator> g;
  int refused = 0;
  const auto body = [&](auto& yield) {
    const probes::at_exit note([&] {
      check_that_all_is_refused(*g);
      ++refused;
    });
    yield(1);
    return 0;
  };
  SUBCASE("itself") {
    g = full_generator(body);
  }
  SUBCASE("while its delegate is being closed") {
    g = full_generator([&](auto& yield) { return yield.from(full_generator(body)); });
  }
  SUBCASE("while its delegate, which others keep, is being closed") {
    g = full_generator([&](auto& yield) {
      full_generator inner = body;
      return yield.from(inner);
    });
  }
  g->next();
  CHECK_FALSE(g->close().has_value());
  CHECK(refused == 1);
  CHECK(g->done());
}
