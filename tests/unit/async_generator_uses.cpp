// SPDX-License-Identifier: BSL-1.0
#include <doctest/doctest.h>

#include <concepts>
#include <exception>
#include <functional>
#include <memory>
#include <optional>
#include <ranges>
#include <string>
#include <string_view>
#include <thread>
#include <type_traits>
#include <utility>
#include <vector>

#include <krait/krait.hpp>

#include "support/driver.hpp"
#include "support/probes.hpp"
#include "support/support.hpp"

// How asynchronous generators and managers are used: awaited, looped over, dropped with hooks.

namespace {

using driver::run_async;
using driver::sleep;
using driver::told;
using driver::waiting;
using krait::async_generator;
using krait::async_generator_object;
using krait::generator_exit;
using krait::stop_async_iteration;
using support::at_end;
using support::journal;
using support::raised_by;
using support::state;
using optional_int = std::optional<int>;

struct key_error : krait::runtime_error {
  explicit key_error(const std::string& text = "key") : krait::runtime_error(text) {}
};

/// Yields 1 and 2.
async_generator<int> counting(journal& log) {
  return {[&log](auto& co) {
            const at_end end(log, "end");
            co(1);
            co(2);
          },
          "counting"};
}

/// Makes it yield its first item.
template <class Generator>
Generator started(Generator g) {
  CHECK_THROWS_AS(g.anext().next(), krait::stop_iteration<int>);
  return g;
}

/// Calls `function` on another thread, and waits for it.
template <class Function>
void in_thread(Function function) {
  std::thread(std::move(function)).join();
}

}  // namespace

TEST_CASE("hooks belong to a thread, and a generator remembers those of its first operation (R99)") {
  journal log;
  const auto hooks = [&](const std::string& name) -> krait::async_generator_hooks {
    return {[&log, name](async_generator_object& made) { log(name + " begins " + std::string(made.name())); },
            [&log, name](const auto& dropped) { log(name + " ends " + std::string(dropped->name())); }};
  };
  const driver::hooked here(hooks("here"));
  in_thread([&] {
    CHECK(krait::get_asyncgen_hooks().firstiter == nullptr);
    const driver::hooked there(hooks("there"));
    journal ignored;
    static_cast<void>(started(counting(ignored)));
  });
  CHECK(log.text() == "there begins counting, there ends counting");
  log.clear();

  journal ends;
  {
    async_generator<int> g = counting(ends);
    CHECK(log.text().empty());
    auto operation = g.anext();
    CHECK(log.text() == "here begins counting");
    in_thread([&] {
      const driver::hooked there(hooks("there"));
      CHECK_THROWS_AS(operation.next(), krait::stop_iteration<int>);
      CHECK_THROWS_AS(g.anext().next(), krait::stop_iteration<int>);
    });
  }
  CHECK(log.text() == "here begins counting, here ends counting");
  CHECK(ends.text() == "end");
}

TEST_CASE("any operation is the first one for hooks") {
  journal log;
  journal ends;
  const driver::warnings warnings;
  const driver::hooked hooked({[&](async_generator_object&) { log("begins"); }, nullptr});
  {
    static_cast<void>(counting(ends));
  }
  CHECK(log.text().empty());
  {
    static_cast<void>(counting(ends).aclose());
  }
  {
    static_cast<void>(counting(ends).athrow(key_error()));
  }
  CHECK(log.text() == "begins, begins");
}

TEST_CASE("what firstiter throws comes out of the operation's making, once (R99)") {
  journal ends;
  const driver::hooked hooked({[](async_generator_object&) { throw key_error("first"); }, nullptr});
  async_generator<int> g = counting(ends);
  CHECK_THROWS_WITH_AS(static_cast<void>(g.anext()), "first", key_error);
  CHECK(told([&] { g.anext().next(); }) == "StopIteration(1)");
}

TEST_CASE("a hook that sets hooks, and one that is set for a while only") {
  journal ends;
  bool called = false;
  krait::async_generator_hooks none = krait::set_asyncgen_hooks({[&](async_generator_object&) {
                                                                   called = true;
                                                                   krait::set_asyncgen_hooks({});
                                                                 },
                                                                 nullptr});
  async_generator<int> g = started(counting(ends));
  CHECK(called);
  CHECK(krait::get_asyncgen_hooks().firstiter == nullptr);
  krait::set_asyncgen_hooks(std::move(none));
}

TEST_CASE("the finalizer is given what is dropped before its end, and only that (R100)") {
  journal log;
  const driver::warnings warnings;
  const driver::hooked hooked({nullptr, [&](const std::shared_ptr<async_generator_object>& dropped) {
                                 log("given " + std::string(dropped->name()));
                               }});
  SUBCASE("suspended: it is alive, and dropped a second time it is closed") {
    static_cast<void>(started(counting(log)));
    CHECK(log.text() == "given counting, end");
  }
  SUBCASE("an operation was made, and not used") {
    static_cast<void>(counting(log).anext());
    CHECK(log.text() == "given counting");
  }
  SUBCASE("an operation was dropped in flight") {
    async_generator<int, void, std::string> g = {[&](auto& co) {
                                                   const at_end end(log, "end");
                                                   co.await(waiting("a"));
                                                 },
                                                 "waiting"};
    CHECK(g.anext().next() == "a");
    {
      const auto dropped = std::move(g);
    }
    CHECK(log.text() == "given waiting, end");
  }
  SUBCASE("not what was never iterated") {
    static_cast<void>(counting(log));
    CHECK(log.text().empty());
  }
  SUBCASE("not what has ended") {
    for (const bool by_close : {false, true}) {
      async_generator<int> g = started(counting(log));
      run_async([&](auto& co) {
        if (by_close) {
          co.await(g.aclose());
        } else {
          co.await(g.anext());
          CHECK_THROWS_AS(co.await(g.anext()), stop_async_iteration);
        }
      });
    }
    async_generator<int> raised = started(counting(log));
    CHECK_THROWS_AS(raised.athrow(key_error()).next(), key_error);
    {
      const auto dropped = std::move(raised);
    }
    CHECK(log.text() == "end, end, end");
  }
  SUBCASE("not what has ignored an aclose") {
    const probes::unraisables unraisables;
    async_generator<int> g = started(async_generator<int>([&](auto& co) {
      try {
        co(1);
      } catch (const generator_exit&) {
        const at_end end(log, "end");
        co(2);
      }
    }));
    CHECK_THROWS_AS(g.aclose().next(), krait::runtime_error);
    {
      const auto dropped = std::move(g);
    }
    CHECK(log.text() == "end");
    CHECK(unraisables.count() == 0);
  }
}

TEST_CASE("a finalizer may keep the generator, close it later, or make of it what it was") {
  journal log;
  std::shared_ptr<async_generator_object> kept;
  const driver::hooked hooked({nullptr, [&](auto dropped) { kept = std::move(dropped); }});
  const auto drop = [&] { static_cast<void>(started(counting(log))); };

  drop();
  REQUIRE(kept != nullptr);
  CHECK(kept->name() == "counting");
  CHECK(kept->repr().starts_with("<async_generator object counting at 0x"));
  CHECK(log.text().empty());
  run_async([&](auto& co) { co.await(krait::aclose<void>(*kept)); });
  CHECK(log.text() == "end");
  kept.reset();
  log.clear();

  drop();
  CHECK_THROWS_AS(static_cast<void>(async_generator<std::string>::from_object(kept)), krait::value_error);
  CHECK_THROWS_AS(static_cast<void>(async_generator<int, optional_int>::from_object(kept)),
                  krait::value_error);
  CHECK_THROWS_AS(static_cast<void>(krait::aclose<int>(*kept)), krait::value_error);
  CHECK_THROWS_AS(static_cast<void>(async_generator<int>::from_object(nullptr)), krait::value_error);
  REQUIRE(kept != nullptr);
  {
    async_generator<int> again = async_generator<int>::from_object(std::exchange(kept, nullptr));
    CHECK(told([&] { again.anext().next(); }) == "StopIteration(2)");
    CHECK(log.text().empty());
  }
  // Not given a second time.
  CHECK(kept == nullptr);
  CHECK(log.text() == "end");
}

TEST_CASE("the coroutine that closes a generator keeps it alive") {
  journal log;
  async_generator_object* seen = nullptr;
  const driver::hooked hooked({[&](async_generator_object& made) { seen = &made; }, nullptr});
  auto g = std::make_unique<async_generator<int>>(started(counting(log)));
  const std::weak_ptr<async_generator_object> remembered = seen->weak_from_this();
  {
    krait::coroutine<void> closing = krait::aclose<void>(*seen);
    g.reset();
    CHECK_FALSE(remembered.expired());
    driver::run(std::move(closing));
    CHECK(log.text() == "end");
  }
  CHECK(remembered.expired());
}

TEST_CASE("what a finalizer throws is reported, and the generator closed (R100)") {
  journal log;
  const probes::unraisables unraisables;
  const driver::hooked hooked({nullptr, [](const auto&) { throw key_error("finalizer"); }});
  static_cast<void>(started(counting(log)));
  REQUIRE(unraisables.count() == 1);
  CHECK(unraisables.text(0) == "finalizer");
  CHECK(unraisables.message(0).starts_with(
      "Exception ignored while finalizing generator <async_generator object counting at 0x"));
  CHECK(log.text() == "end");
}

TEST_CASE("without a finalizer a dropped generator is closed on the spot (R100)") {
  const probes::unraisables unraisables;
  SUBCASE("to wait in answer is an error that is reported") {
    static_cast<void>(started(async_generator<int>([](auto& co) {
      try {
        co(1);
      } catch (const generator_exit&) {
        co.await(sleep());
      }
    })));
    REQUIRE(unraisables.count() == 1);
    CHECK(unraisables.text(0) == "async generator ignored GeneratorExit");
    CHECK(unraisables.message(0).starts_with(
        "Exception ignored while closing generator <async_generator object"));
  }
  SUBCASE("what it raises is reported") {
    static_cast<void>(started(async_generator<int>([](auto& co) {
      try {
        co(1);
      } catch (const generator_exit&) {
        throw key_error();
      }
    })));
    REQUIRE(unraisables.count() == 1);
    CHECK(unraisables.text(0) == "key");
  }
}

TEST_CASE("an async_generator of void") {
  int runs = 0;
  async_generator<void, optional_int, std::string> g = [&](auto& co) {
    static_assert(std::same_as<decltype(co()), optional_int>);
    runs = co().value_or(0);
    co.await(waiting("a"));
    co();
  };
  CHECK(told([&] { g.anext().next(); }) == "StopIteration()");
  auto second = g.asend(5);
  CHECK(told([&] { return second.next(); }) == "-> a");
  CHECK(runs == 5);
  CHECK(told([&] { return second.next(); }) == "StopIteration()");
  krait::coroutine<std::string> c = [&](auto& co) {
    static_assert(std::is_void_v<decltype(co.await(g.anext()))>);
    co.await(g.anext());
  };
  CHECK(told([&] { c.send(); }) == "StopAsyncIteration");
}

TEST_CASE("a loop over an async_generator of void") {
  async_generator<void> g = [](auto& co) {
    co();
    co();
  };
  int items = 0;
  run_async([&](auto& co) {
    for ([[maybe_unused]] auto& item : krait::async_for(co, g)) {
      ++items;
    }
  });
  CHECK(items == 2);
}

TEST_CASE("a Send that has no None: anext() begins, asend() goes on") {
  async_generator<int, int> g = [](auto& co) {
    int total = 0;
    for (;;) {
      total += co(total);
    }
  };
  CHECK(told([&] { g.asend(5).next(); }) ==
        "krait::type_error: can't send non-None value to a just-started async generator");
  CHECK(told([&] { g.anext().next(); }) == "StopIteration(0)");
  CHECK(told([&] { g.asend(5).next(); }) == "StopIteration(5)");
  CHECK(told([&] { g.anext().next(); }) ==
        "krait::type_error: can't send None to an async generator whose Send type has no None: use asend()");
  CHECK(g.suspended());
  run_async([&](auto& co) {
    CHECK(co.await(g.asend(2)) == 7);
    co.await(g.aclose());
    CHECK_THROWS_AS(co.await(g.anext()), stop_async_iteration);
  });
}

TEST_CASE("values that can only be moved are yielded, sent and thrown through") {
  using number = std::unique_ptr<int>;
  async_generator<number, number> g = [](auto& co) {
    number received = co(std::make_unique<int>(1));
    co(std::move(received));
  };
  run_async([&](auto& co) {
    CHECK(*co.await(g.anext()) == 1);
    CHECK(*co.await(g.asend(std::make_unique<int>(2))) == 2);
    CHECK_THROWS_AS(co.await(g.asend(nullptr)), stop_async_iteration);
  });
}

TEST_CASE("what a generator gives to its driver becomes what the awaiting coroutine gives") {
  async_generator<int, void, const char*, optional_int> g = [](auto& co) {
    const optional_int answer = co.await(krait::awaitable_generator<const char*, optional_int, optional_int>(
        [](auto& yield) { return yield("text"); }));
    co(answer.value_or(-1));
  };
  krait::coroutine<std::string, optional_int, int> c = [&](auto& co) { return co.await(g.anext()); };
  CHECK(c.send() == "text");
  CHECK(told([&] { c.send(7); }) == "StopIteration(7)");

  // A driver that can send nothing sends None.
  async_generator<int, void, std::string, optional_int> asking = [](auto& co) {
    const optional_int answer = co.await(krait::awaitable_generator<std::string, optional_int, optional_int>(
        [](auto& yield) { return yield("text"); }));
    co(answer.value_or(-1));
  };
  krait::coroutine<std::string_view, void, int> silent = [&](auto& co) { return co.await(asking.anext()); };
  CHECK(silent.send() == "text");
  CHECK(told([&] { silent.send(); }) == "StopIteration(-1)");
}

TEST_CASE("what cannot be passed on to the driver ends the operation") {
  struct picky {
    explicit picky(int given) {
      if (given == 2) {
        throw key_error();
      }
    }
  };
  journal log;
  async_generator<int, void, int> g = [&](auto& co) {
    try {
      co.await(krait::awaitable_generator<int>([](auto& yield) {
        yield(1);
        yield(2);
      }));
    } catch (const generator_exit&) {
      log("closed");
      throw;
    }
  };
  krait::coroutine<picky> c = [&](auto& co) {
    CHECK_THROWS_AS(co.await(g.anext()), key_error);
    CHECK_FALSE(g.running());
  };
  static_cast<void>(c.resume());
  CHECK(c.resume().returned());
  CHECK(log.text() == "closed");
}

TEST_CASE("an operation ends when the coroutine that awaits it was destroyed while it ran") {
  const probes::unraisables reports;
  journal log;
  std::optional<krait::coroutine<int>> c;
  async_generator<int, void, int> g = [&](auto& co) {
    c.reset();
    try {
      co.await(krait::awaitable_generator<int>([](auto& yield) { yield(1); }));
    } catch (const generator_exit&) {
      log("closed");
      throw;
    }
  };
  c = krait::coroutine<int>([&](auto& co) { co.await(g.anext()); });
  c->resume().returned();
  CHECK(log.text() == "closed");
  CHECK_FALSE(g.running());
}

TEST_CASE("references go through to the driver") {
  int value = 1;
  async_generator<int, void, int&> g = [&](auto& co) {
    co.await(krait::awaitable_generator<int&>([&](auto& yield) { yield(value); }));
    co(value);
  };
  krait::coroutine<int&, void, int> c = [&](auto& co) { return co.await(g.anext()); };
  CHECK(&c.send() == &value);
  value = 2;
  CHECK(told([&] { c.send(); }) == "StopIteration(2)");
  auto operation = g.aclose();
  CHECK(told([&] { operation.next(); }) == "StopIteration()");
}

// To await an operation is to delegate to the iterator that it is.

namespace {

using driven = krait::coroutine<std::string, optional_int, std::string>;

/// Hides what it is.
template <class Operation>
struct as_iterator {
  Operation operation;
  Operation& await() { return operation; }
};
template <class Operation>
as_iterator(Operation) -> as_iterator<Operation>;

/// Waits twice at a time, answers exceptions and generator_exit in all ways that there are.
async_generator<int, optional_int, std::string, optional_int> versatile(journal& log) {
  return [&](auto& co) {
    const auto ask = [&](const char* text) {
      return co.await(krait::awaitable_generator<std::string, optional_int, optional_int>(
          [text](auto& yield) { return yield(text); }));
    };
    const at_end end(log, "body ends");
    for (int i = 0;; ++i) {
      try {
        log("asked " + driver::text_of(ask("first")));
        log("asked " + driver::text_of(ask("second")));
        log("received " + driver::text_of(co(i)));
      } catch (const key_error& e) {
        log(e.what());
        ask("handling");
        if (std::string(e.what()) == "return") {
          return;
        }
        if (std::string(e.what()) == "raise") {
          throw;
        }
        if (std::string(e.what()) == "yield") {
          co(-i);
        }
      } catch (const generator_exit&) {
        log("exit");
        if (i == 1) {
          ask("ignoring");
        }
        if (i == 2) {
          throw key_error("at exit");
        }
        throw;
      }
    }
  };
}

/// Awaits operations, one after the other, each made into what `pass` makes of it.
template <class Pass>
std::string journal_of(Pass pass, const std::vector<std::string>& script) {
  journal log;
  {
    const probes::unraisables unraisables;
    auto g = versatile(log);
    driven c = [&](auto& co) -> std::string {
      for (int i = 0; i < 6; ++i) {
        try {
          if (i == 4) {
            log("athrow " + driver::text_of(co.await(pass(g.athrow(key_error("yield"))))));
          } else if (i == 5) {
            co.await(pass(g.aclose()));
            log("aclose");
          } else {
            log("item " + driver::text_of(co.await(pass(g.asend(10 * i == 0 ? optional_int() : 10 * i)))));
          }
        } catch (const generator_exit&) {
          log("driver is closed");
          throw;
        } catch (...) {
          log(support::handled());
        }
      }
      return "done";
    };
    for (const std::string& step : script) {
      log("| " + step);
      if (step == "close") {
        log(told([&] { c.close(); }));
      } else if (step == "throw") {
        log(told([&] { return c.throw_(key_error("yield")); }));
      } else if (step == "raise") {
        log(told([&] { return c.throw_(key_error("raise")); }));
      } else if (step == "return") {
        log(told([&] { return c.throw_(key_error("return")); }));
      } else if (step == "exit") {
        log(told([&] { return c.throw_(generator_exit()); }));
      } else if (step == "7") {
        log(told([&] { return c.send(7); }));
      } else {
        log(told([&] { return c.send(); }));
      }
    }
    log(driver::text_of(static_cast<int>(g.state())));
  }
  return log.text();
}

}  // namespace

TEST_CASE("to await an operation is the same as to delegate to it step by step") {
  using script = std::vector<std::string>;
  const auto directly = [](auto operation) { return operation; };
  const auto by_steps = [](auto operation) { return as_iterator{std::move(operation)}; };
  for (const script& each : {
           script{"next", "next", "next", "7", "next", "next", "next", "next", "next", "next", "next",
                  "next"},
           script{"next", "7", "7", "7", "7", "7", "7", "7", "7", "7", "7", "7", "7", "7"},
           script{"next", "throw", "next", "next", "next", "throw", "7", "next", "next", "next"},
           script{"next", "raise", "next", "next", "next", "next", "next"},
           script{"next", "7", "return", "next", "next", "next", "next"},
           script{"next", "close", "next"},
           script{"next", "7", "7", "7", "close", "next"},
           script{"next", "7", "7", "7", "exit", "next"},
           script{"next", "7", "7", "7", "7", "7", "close", "next"},
           script{"next", "7", "7", "7", "7", "7", "exit", "7"},
           script{"next", "throw", "exit"},
           script{"next"},
           script{"next", "7", "7"},
       }) {
    const std::string expected = journal_of(by_steps, each);
    CHECK(journal_of(directly, each) == expected);
    CHECK(expected.find("first") != std::string::npos);
  }
}

TEST_CASE("what is being awaited is told, though an operation is between") {
  async_generator<int, void, std::string> g = [](auto& co) { co.await(waiting("a")); };
  krait::coroutine<std::string> c = [&](auto& co) { co.await(g.anext()); };
  CHECK(c.send() == "a");
  CHECK(c.awaiting() == "<iterator>");
  CHECK(g.awaiting().starts_with("<generator object waiting at 0x"));
}

TEST_CASE("an operation is awaited on its coroutine's own stack only") {
  const driver::warnings warnings;
  journal log;
  async_generator<int> g = counting(log);
  krait::coroutine<void> c = [&](auto& co) {
    krait::generator<int> elsewhere = [&](auto&) { co.await(g.anext()); };
    CHECK_THROWS_WITH_AS(elsewhere.next(), "yield called outside the generator it belongs to",
                         krait::runtime_error);
  };
  CHECK_THROWS_AS(c.send(), krait::stop_iteration<>);
  CHECK(warnings.text() == "coroutine method 'asend' of 'counting' was never awaited");
  CHECK(g.state() == state::created);
}

TEST_CASE("one async_generator iterates another") {
  journal log;
  async_generator<int> inner = counting(log);
  async_generator<int> outer = [&](auto& co) {
    for (const int item : krait::async_for(co, inner)) {
      co.await(sleep());
      co(10 * item);
    }
  };
  run_async([&](auto& co) {
    for (const int item : krait::async_for(co, outer)) {
      log(driver::text_of(item));
    }
  });
  CHECK(log.text() == "10, 20, end");
}

TEST_CASE("to leave a loop early does not close the generator; aclosing does") {
  journal log;
  async_generator<int> g = counting(log);
  run_async([&](auto& co) {
    for (const int item : krait::async_for(co, g)) {
      CHECK(item == 1);
      break;
    }
    CHECK(g.suspended());
    CHECK(log.text().empty());
    // The next loop goes on.
    for (const int item : krait::async_for(co, g)) {
      CHECK(item == 2);
      break;
    }
    CHECK_THROWS_AS(
        [&] {
          for ([[maybe_unused]] const int item : krait::async_for(co, g)) {
          }
          throw key_error();
        }(),
        key_error);
    CHECK(log.text() == "end");
    log.clear();

    krait::async_with(co, krait::aclosing(counting(log)), [&](auto& each) {
      for (const int item : krait::async_for(co, each)) {
        CHECK(item == 1);
        break;
      }
      log("left");
    });
    CHECK(log.text() == "left, end");
  });
}

TEST_CASE("a stop_async_iteration of the loop's own body is no end of the loop (R83)") {
  journal log;
  async_generator<int> g = counting(log);
  run_async([&](auto& co) {
    CHECK_THROWS_AS(
        [&] {
          for ([[maybe_unused]] const int item : krait::async_for(co, g)) {
            throw stop_async_iteration();
          }
        }(),
        stop_async_iteration);
  });
  CHECK(g.suspended());
}

namespace {

/// Its items are its own numbers.
struct cells {
  struct cell {
    cells& all;
    using awaits_itself = void;
    template <class Yielder>
    int& await_in(Yielder&) {
      if (all.at == 3) {
        throw stop_async_iteration();
      }
      return all.values[all.at++];
    }
  };
  cells& aiter() { return *this; }
  cell anext() { return {*this}; }
  int values[3] = {1, 2, 3};
  int at = 0;
};

}  // namespace

TEST_CASE("a loop over an iterator by hand, whose items are references") {
  cells all;
  run_async([&](auto& co) {
    for (int& item : krait::async_for(co, all)) {
      item *= 10;
    }
  });
  CHECK(all.values[0] == 10);
  CHECK(all.values[2] == 30);
}

TEST_CASE("anext with a fallback that is converted, and what anext() itself throws (R84)") {
  async_generator<std::string> g = [](auto& co) { co("one"); };
  run_async([&](auto& co) {
    CHECK(co.await(krait::anext(g, "none")) == "one");
    const auto fallback = co.await(krait::anext(g, "none"));
    static_assert(std::same_as<decltype(fallback), const std::string>);
    CHECK(fallback == "none");
  });
  const driver::warnings warnings;
  CHECK_THROWS_AS(
      [&] {
        const driver::hooked hooked({[](async_generator_object&) { throw key_error(); }, nullptr});
        async_generator<int> other = [](auto&) {};
        static_cast<void>(krait::anext(other, 1));
      }(),
      key_error);
}

namespace {

/// Keeps what it gives to be awaited.
struct keeping {
  struct step {
    int made = 0;
    krait::awaitable_generator<int, void, int> await() {
      return [this](auto&) { return made == 3 ? throw stop_async_iteration() : ++made; };
    }
    step() = default;
    step(const step&) = delete;
    step& operator=(const step&) = delete;
  };
  step each;
  step& anext() { return each; }
  keeping& aiter() { return *this; }
};

struct cannot_be_assigned {
  const int number;
};

}  // namespace

TEST_CASE("anext gives what the iterator's anext() gives, itself (R84)") {
  run_async([](auto& co) {
    keeping first;
    CHECK(&krait::anext(first) == &first.each);
    CHECK(co.await(krait::anext(first)) == 1);
    CHECK(co.await(krait::anext(first)) == 2);
    keeping second;
    for (const int expected : {1, 2, 3, -1}) {
      CHECK(co.await(krait::anext(second, -1)) == expected);
    }
  });
}

TEST_CASE("what async_for returns is a view; its items need not be assigned") {
  async_generator<cannot_be_assigned> g = [](auto& co) {
    co(cannot_be_assigned{1});
    co(cannot_be_assigned{2});
  };
  run_async([&](auto& co) {
    int sum = 0;
    for (const cannot_be_assigned& item : krait::async_for(co, g)) {
      sum += item.number;
    }
    CHECK(sum == 3);
#ifndef __clang__  // 14 compiles no views of GCC's library
    async_generator<int> numbers = [](auto& inner) {
      for (int i = 1;; ++i) {
        inner(i);
      }
    };
    for (const int number : krait::async_for(co, numbers) | std::views::take(3)) {
      sum += number;
    }
    CHECK(sum == 3 + 1 + 2 + 3);
#endif
  });
}

// Managers.

namespace {

/// Waits to note when it is entered and left.
krait::asynccontextmanager<int> noting(journal& log, int number) {
  return [&log, number](auto& co) {
    co.await(sleep());
    log("enter " + std::to_string(number));
    try {
      co(number);
    } catch (...) {
      co.await(sleep());
      log("left by " + support::handled());
      throw;
    }
    co.await(sleep());
    log("exit " + std::to_string(number));
  };
}

}  // namespace

TEST_CASE("an exit_stack exits managers that wait in reverse order") {
  journal log;
  run_async([&](auto& co) {
    krait::exit_stack stack;
    for (const int number : {1, 2, 3}) {
      CHECK(stack.enter_context(krait::awaited(co, noting(log, number))) == number);
    }
    stack.callback([&] {
      co.await(sleep());
      log("callback");
    });
  });
  CHECK(log.text() == "enter 1, enter 2, enter 3, callback, exit 3, exit 2, exit 1");
}

TEST_CASE("entered lasts as long as its object, also of a manager that waits") {
  journal log;
  run_async([&](auto& co) {
    {
      krait::entered first(krait::awaited(co, noting(log, 1)));
      CHECK(*first == 1);
      krait::entered second(krait::awaited(co, noting(log, 2)));
      log("inside");
    }
    CHECK(log.text() == "enter 1, enter 2, inside, exit 2, exit 1");
    log.clear();
    CHECK_THROWS_AS(
        [&] {
          krait::entered left(krait::awaited(co, noting(log, 3)));
          throw key_error();
        }(),
        key_error);
  });
  CHECK(log.text() == "enter 3, left by krait::generator_exit: GeneratorExit");
}

TEST_CASE("a coroutine that is closed within async_with: exit is told (R82)") {
  journal log;
  krait::asynccontextmanager<int, std::string> manager = [&](auto& co) {
    try {
      co(1);
    } catch (...) {
      log(support::handled());
      throw;
    }
  };
  krait::coroutine<std::string> c = [&](auto& co) {
    krait::async_with(co, manager, [&] { co.await(waiting("a")); });
  };
  CHECK(c.send() == "a");
  c.close();
  CHECK(log.text() == "krait::generator_exit: GeneratorExit");

  krait::asynccontextmanager<int, std::string> waits = [&](auto& co) {
    try {
      co(1);
    } catch (...) {
      co.await(waiting("b"));
      throw;
    }
  };
  krait::coroutine<std::string> ignoring = [&](auto& co) {
    krait::async_with(co, waits, [&] { co.await(waiting("a")); });
  };
  CHECK(ignoring.send() == "a");
  CHECK_THROWS_WITH_AS(ignoring.close(), "coroutine ignored GeneratorExit", krait::runtime_error);
  CHECK_THROWS_AS(ignoring.throw_(generator_exit()), generator_exit);
}

TEST_CASE("a coroutine that is closed while a manager waits to let an exception pass, is closed (R102)") {
  krait::asynccontextmanager<int, std::string> manager = [](auto& co) {
    try {
      co(1);
    } catch (const key_error&) {
      try {
        co.await(waiting("b"));
      } catch (const generator_exit&) {
      }
      throw;
    }
  };
  krait::coroutine<std::string> c = [&](auto& co) {
    krait::async_with(co, manager, [&] { co.await(waiting("a")); });
  };
  CHECK(c.send() == "a");
  CHECK(c.throw_(key_error()) == "b");
  c.close();
  CHECK(c.done());
}

namespace {

struct swallows_all {
  auto aenter() { return krait::nullcontext().aenter(); }
  auto aexit(const std::exception_ptr&) -> krait::coroutine<std::string, void, bool> {
    return [](auto&) { return true; };
  }
};

}  // namespace

TEST_CASE("a coroutine that is closed in a decorated function whose manager swallows that, is closed") {
  auto decorated = krait::async_context_decorator(
      [] { return swallows_all(); },
      []() -> krait::coroutine<std::string> { return [](auto& co) { co.await(waiting("a")); }; });
  krait::coroutine<std::string> c = [&](auto& co) {
    co.await(decorated());
    co.await(waiting("b"));
  };
  CHECK(c.send() == "a");
  c.close();
  CHECK(c.done());
}

TEST_CASE("a manager made of an asynchronous generator is driven by hand") {
  krait::asynccontextmanager<int, std::string> manager = [](auto& co) {
    co.await(waiting("entering"));
    co(1);
    co.await(waiting("leaving"));
  };
  auto entering = manager.aenter();
  CHECK(entering.send() == "entering");
  CHECK(*entering.resume().result() == 1);
  auto leaving = manager.aexit(nullptr);
  CHECK(leaving.send() == "leaving");
  CHECK_FALSE(*leaving.resume().result());
}

TEST_CASE("async_with gives what its body returns, or nothing if that was swallowed") {
  krait::asynccontextmanager<int> swallowing = [](auto& co) {
    try {
      co(1);
    } catch (const key_error&) {
      co.await(sleep());
    }
  };
  run_async([&](auto& co) {
    journal log;
    CHECK(krait::async_with(co, noting(log, 5), [](int number) { return number + 1; }) == 6);
    CHECK(krait::async_with(co, swallowing, [](int number) {
            if (number == 1) {
              throw key_error();
            }
            return number;
          }) == std::nullopt);
  });
}

TEST_CASE("a manager made of an asynchronous generator is entered once (R106)") {
  journal log;
  run_async([&](auto& co) {
    auto manager = noting(log, 1);
    krait::async_with(co, manager, [] {});
    CHECK_THROWS_AS(krait::async_with(co, manager, [] {}), krait::value_error);
  });
}

TEST_CASE("a manager that is left without having been entered swallows nothing") {
  journal log;
  run_async([&](auto& co) {
    for (const auto& error :
         {std::make_exception_ptr(key_error()), std::make_exception_ptr(stop_async_iteration())}) {
      auto manager = noting(log, 1);
      CHECK_FALSE(co.await(manager.aexit(error)));
    }
  });
  CHECK(log.text().empty());
}

TEST_CASE("a decorated function's result, and the manager of each of its calls") {
  journal log;
  auto decorated = krait::async_context_decorator(
      [&] { return noting(log, 1); },
      [](int a, int b) -> krait::coroutine<void, void, int> { return [=](auto&) { return a + b; }; });
  run_async([&](auto& co) {
    CHECK(co.await(decorated(1, 2)) == 3);
    CHECK(co.await(decorated(3, 4)) == 7);
    auto call = decorated(5, 6);
    CHECK(co.await(call) == 11);
    CHECK_THROWS_WITH_AS(co.await(call), "cannot reuse already awaited coroutine", krait::runtime_error);
  });
  const driver::warnings warnings;
  {
    const auto forgotten = decorated(7, 8);
  }
  CHECK(warnings.text().ends_with("' was never awaited"));
  CHECK(log.text() == "enter 1, exit 1, enter 1, exit 1, enter 1, exit 1");
}

TEST_CASE("a decorated function's arguments are its own") {
  journal log;
  auto decorated =
      krait::async_context_decorator([&] { return noting(log, 1); },
                                     [](std::unique_ptr<int> given, int& lent) -> krait::coroutine<> {
                                       return [given = std::move(given), &lent](auto&) { lent = *given; };
                                     });
  run_async([&](auto& co) {
    int number = 0;
    co.await(decorated(std::make_unique<int>(7), std::ref(number)));
    CHECK(number == 7);
  });
}

TEST_CASE("a manager made of an asynchronous generator whose Exit is void must not swallow") {
  using never_swallows = krait::asynccontextmanager<int, std::string, void, void>;
  krait::coroutine<std::string> c = [](auto& co) {
    const auto manager = [](bool swallowing) {
      return never_swallows([swallowing](auto& inner) {
        try {
          inner(1);
        } catch (...) {
          inner.await(waiting("leaving"));
          if (!swallowing) {
            throw;
          }
        }
      });
    };
    const auto failing = [] { throw key_error(); };
    static_assert(
        std::is_same_v<decltype(krait::async_with(co, manager(false), [](int i) { return i; })), int>);
    CHECK(krait::async_with(co, manager(false), [](int number) { return number + 1; }) == 2);
    CHECK_THROWS_AS(krait::async_with(co, manager(false), failing), key_error);
    const auto raised = support::raised_by([&] { krait::async_with(co, manager(true), failing); });
    CHECK(support::text_of(raised) ==
          "krait::runtime_error: generator swallowed an exception, and its manager's Exit is void");
    CHECK(support::is_a<key_error>(support::cause_of(raised)));
  };
  CHECK(c.send() == "leaving");
  CHECK(c.send() == "leaving");
  CHECK(c.resume().returned());
}

TEST_CASE("a try_finally waits in its cleanup, also while an exception passes") {
  journal log;
  krait::coroutine<std::string> c = [&log](auto& co) {
    krait::try_finally(
        [&] {
          co.await(waiting("body"));
          throw key_error();
        },
        [&] {
          co.await(waiting("cleanup"));
          log("cleaned up");
        });
  };
  CHECK(c.send() == "body");
  CHECK(c.send() == "cleanup");
  CHECK_THROWS_AS(c.send(), key_error);
  CHECK(log.text() == "cleaned up");
}
