// SPDX-License-Identifier: BSL-1.0
#include <doctest/doctest.h>

#include <exception>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <type_traits>
#include <utility>
#include <vector>

#include <krait/krait.hpp>

#include "support/driver.hpp"
#include "support/probes.hpp"
#include "support/support.hpp"

// What holds of asynchronous generators besides what CPython's own tests look at.

namespace {

using driver::told;
using driver::waiting;
using krait::generator_exit;
using krait::stop_async_iteration;
using support::at_end;
using support::is_a;
using support::journal;
using support::raised_by;
using support::state;
using optional_int = std::optional<int>;

/// Its items and what it is sent are numbers; to the driver it gives texts, and receives numbers.
using async_generator = krait::async_generator<int, optional_int, std::string, optional_int>;

struct key_error : krait::runtime_error {
  explicit key_error(const std::string& text = "key") : krait::runtime_error(text) {}
};

constexpr const char* key = "(anonymous namespace)::key_error: key";
constexpr const char* used_asend = "krait::runtime_error: cannot reuse already awaited __anext__()/asend()";
constexpr const char* used_athrow = "krait::runtime_error: cannot reuse already awaited aclose()/athrow()";
constexpr const char* anext_running =
    "krait::runtime_error: anext(): asynchronous generator is already running";
constexpr const char* athrow_running =
    "krait::runtime_error: athrow(): asynchronous generator is already running";
constexpr const char* aclose_running =
    "krait::runtime_error: aclose(): asynchronous generator is already running";
constexpr const char* ignored = "krait::runtime_error: async generator ignored GeneratorExit";
constexpr const char* exited = "krait::generator_exit: GeneratorExit";
constexpr const char* not_just_started =
    "krait::type_error: can't send non-None value to a just-started async generator";
constexpr const char* started_with_value =
    "krait::runtime_error: can't send non-None value to a just-started coroutine";

/// Yields 1 and 2.
async_generator counting(journal& log) {
  return {[&log](auto& co) {
            const at_end end(log, "end");
            co(1);
            co(2);
          },
          "counting"};
}

/// Answers generator_exit with 2, goes on to 3.
async_generator ignoring() {
  return {[](auto& co) {
            try {
              co(1);
            } catch (const generator_exit&) {
              co(2);
            }
            co(3);
          },
          "ignoring"};
}

/// Waits, then yields what it was resumed with.
async_generator asking() {
  return [](auto& co) {
    for (;;) {
      const optional_int answer =
          co.await(krait::awaitable_generator<std::string, optional_int, optional_int>(
              [](auto& yield) { return yield("what?"); }));
      co(answer.value_or(-1));
    }
  };
}

/// Waits for ever, and lets go of nothing but generator_exit.
async_generator busy() {
  return [](auto& co) {
    for (;;) {
      try {
        co.await(waiting("busy"));
      } catch (const key_error&) {
      }
    }
  };
}

/// Makes it yield its first item.
template <class Generator>
Generator started(Generator g) {
  CHECK_THROWS_AS(g.anext().next(), krait::stop_iteration<int>);
  return g;
}

}  // namespace

TEST_CASE("an async_generator that was moved from refuses everything, and the new one goes on") {
  journal log;
  async_generator g = started(counting(log));
  async_generator other = std::move(g);
  const auto refused = [](auto call) { return told([&] { static_cast<void>(call()); }); };
  constexpr const char* moved = "krait::value_error: async generator was moved from";
  CHECK(refused([&] { return g.anext(); }) == moved);
  CHECK(refused([&] { return g.asend(1); }) == moved);
  CHECK(refused([&] { return g.athrow(key_error()); }) == moved);
  CHECK(refused([&] { return g.aclose(); }) == moved);
  CHECK(refused([&] { return g.state(); }) == moved);
  CHECK(refused([&] { return g.name(); }) == moved);
  CHECK(refused([&] { return g.repr(); }) == moved);
  CHECK(refused([&] { return g.awaiting(); }) == moved);
  CHECK(refused([&] {
          g.set_name("x");
          return 0;
        }) == moved);

  CHECK(told([&] { return other.anext().next(); }) == "StopIteration(2)");
  g = std::move(other);
  CHECK(told([&] { return g.anext().next(); }) == "StopAsyncIteration");
  CHECK(log.text() == "end");
}

TEST_CASE("assigning to an async_generator drops what it was") {
  journal log;
  async_generator g = started(counting(log));
  g = ignoring();
  CHECK(log.text() == "end");
  CHECK(g.state() == state::created);
}

TEST_CASE("an operation outlives its generator object, and keeps the generator alive (R86)") {
  journal log;
  auto g = std::make_unique<async_generator>(counting(log));
  auto operation = g->anext();
  auto last = g->aclose();
  g.reset();
  CHECK(told([&] { return operation.next(); }) == "StopIteration(1)");
  CHECK(log.text().empty());
  CHECK(told([&] { last.next(); }) == "StopIteration()");
  CHECK(log.text() == "end");
}

TEST_CASE("a dropped operation drops the generator with it") {
  journal log;
  {
    auto operation = started(counting(log)).asend(std::nullopt);
    const driver::warnings warnings;
    CHECK(log.text().empty());
    operation.close();
    CHECK(log.text() == "end");
  }
  log.clear();
  const driver::warnings warnings;
  {
    auto operation = started(counting(log)).aclose();
  }
  CHECK(log.text() == "end");
  CHECK(warnings.text() == "coroutine method 'aclose' of 'counting' was never awaited");
}

TEST_CASE("making an operation runs nothing (R86)") {
  const driver::warnings warnings;
  bool run = false;
  async_generator g = [&](auto&) { run = true; };
  {
    auto a = g.anext();
    auto b = g.asend(1);
    auto c = g.athrow(key_error());
    auto d = g.aclose();
    CHECK_FALSE(run);
    CHECK(g.state() == state::created);
    CHECK(&a.await() == &a);
  }
  CHECK(g.state() == state::created);
}

TEST_CASE("null is no exception") {
  journal log;
  const driver::warnings warnings;
  async_generator g = counting(log);
  CHECK_THROWS_AS(static_cast<void>(g.athrow(std::exception_ptr())), krait::type_error);
  auto operation = g.anext();
  CHECK_THROWS_AS(operation.throw_(std::exception_ptr()), krait::type_error);
  CHECK(told([&] { return operation.next(); }) == "StopIteration(1)");
}

TEST_CASE("states while an operation waits, and what is awaited (R85)") {
  async_generator g = asking();
  CHECK(g.state() == state::created);
  auto operation = g.anext();
  CHECK(operation.next() == "what?");
  CHECK(g.state() == state::running);
  CHECK(g.running());
  CHECK_FALSE(g.suspended());
  CHECK(g.awaiting().starts_with("<generator object "));
  CHECK(told([&] { return operation.send(7); }) == "StopIteration(7)");
  CHECK(g.state() == state::suspended);
  CHECK(g.awaiting().empty());
  CHECK(told([&] { g.aclose().next(); }) == "StopIteration()");
  CHECK(g.state() == state::closed);
  CHECK(g.done());
}

TEST_CASE("a used up operation refuses all but close (R87)") {
  journal log;
  async_generator g = counting(log);
  auto item = g.anext();
  CHECK(told([&] { return item.next(); }) == "StopIteration(1)");
  CHECK(told([&] { return item.next(); }) == used_asend);
  CHECK(told([&] { return item.send(1); }) == used_asend);
  CHECK(told([&] { return item.throw_(key_error()); }) == used_asend);
  CHECK_NOTHROW(item.close());
  CHECK(g.state() == state::suspended);

  auto unused = g.asend(1);
  unused.close();
  CHECK(told([&] { return unused.next(); }) == used_asend);
  CHECK(told([&] { return unused.throw_(key_error()); }) == used_asend);
  CHECK_NOTHROW(unused.close());

  auto closing = g.aclose();
  CHECK(told([&] { closing.next(); }) == "StopIteration()");
  CHECK(told([&] { closing.next(); }) == used_athrow);
  CHECK(told([&] { closing.throw_(key_error()); }) == used_athrow);
  CHECK_NOTHROW(closing.close());

  auto moved = g.aclose();
  auto other = std::move(moved);
  CHECK(told([&] { moved.next(); }) == used_athrow);
  CHECK(told([&] { other.next(); }) == "StopIteration()");
}

TEST_CASE("a second operation is refused while one is in flight, however it is driven (R88)") {
  const driver::warnings warnings;
  const auto refused = [](auto make, auto drive, const char* running, const char* used) {
    async_generator g = busy();
    auto first = g.anext();
    CHECK(first.next() == "busy");
    {
      auto second = make(g);
      CHECK(told([&] { drive(second); }) == running);
      CHECK(told([&] { second.next(); }) == used);
      CHECK(told([&] { second.throw_(key_error()); }) == used);
      CHECK_NOTHROW(second.close());
    }
    CHECK(g.running());
    CHECK(first.next() == "busy");
    first.close();
    CHECK(g.done());
  };
  const auto each_way = [&](auto make, const char* running, const char* used) {
    refused(make, [](auto& operation) { operation.next(); }, running, used);
    refused(make, [](auto& operation) { operation.send(5); }, running, used);
    refused(make, [](auto& operation) { operation.throw_(key_error()); }, running, used);
    refused(make, [](auto& operation) { operation.close(); }, running, used);
  };
  each_way([](auto& g) { return g.anext(); }, anext_running, used_asend);
  each_way([](auto& g) { return g.asend(1); }, anext_running, used_asend);
  each_way([](auto& g) { return g.athrow(key_error()); }, athrow_running, used_athrow);
  each_way([](auto& g) { return g.aclose(); }, aclose_running, used_athrow);
  CHECK(warnings.text().empty());
}

TEST_CASE("an operation that is called by the body that it runs is refused, and nothing changes (R37)") {
  std::optional<decltype(std::declval<async_generator&>().anext())> operation;
  journal log;
  async_generator g = [&](auto& co) {
    log(told([&] { operation->next(); }));
    log(told([&] { operation->throw_(key_error()); }));
    log(told([&] { operation->close(); }));
    co.await(waiting("a"));
    co(1);
  };
  operation.emplace(g.anext());
  CHECK(operation->next() == "a");
  const std::string refused = "krait::value_error: async generator already executing";
  CHECK(log.text() == refused + ", " + refused + ", " + refused);
  CHECK(g.running());
  CHECK(told([&] { g.anext().next(); }) ==
        "krait::runtime_error: anext(): asynchronous generator is already running");
  CHECK(told([&] { operation->next(); }) == "StopIteration(1)");
  CHECK(g.suspended());
}

TEST_CASE("what cannot be sent to what the body awaits is refused, and nothing changes") {
  krait::async_generator<int, void, int, int> g = [](auto& co) {
    co(co.await(krait::awaitable_generator<int, int, int>([](auto& yield) { return yield(1); })));
  };
  auto operation = g.anext();
  CHECK(told([&] { operation.next(); }) == "-> None");
  CHECK(told([&] { operation.next(); }) ==
        "krait::type_error: can't send None to an async generator whose Send type has no None: use send()");
  CHECK(g.running());
  CHECK(told([&] { operation.send(5); }) == "StopIteration(5)");
}

TEST_CASE("a hook may drop the generator that is first iterated, or move it") {
  std::optional<async_generator> g = async_generator([](auto& co) { co(1); });
  std::optional<async_generator> moved;
  SUBCASE("dropped") {
    const driver::hooked hooked({[&](krait::async_generator_object&) { g.reset(); }, nullptr});
    auto operation = g->anext();
    CHECK(told([&] { operation.next(); }) == "StopIteration(1)");
  }
  SUBCASE("moved") {
    const driver::hooked hooked({[&](krait::async_generator_object&) { moved = std::move(g); }, nullptr});
    auto operation = g->anext();
    CHECK(told([&] { operation.next(); }) == "StopIteration(1)");
    CHECK(moved->suspended());
  }
}

namespace {

/// Iterates a generator at the thread's end, when the hooks are gone.
struct late {
  std::string& log;
  ~late() {
    krait::async_generator<int> g = [](auto& co) { co(1); };
    auto operation = g.anext();
    log += told([&] { operation.next(); });
    krait::set_asyncgen_hooks({[](krait::async_generator_object&) {}, nullptr});
    log += krait::get_asyncgen_hooks().firstiter ? " hooks" : " no hooks";
  }
};

}  // namespace

TEST_CASE("a generator is iterated while its thread's variables are destroyed") {
  std::string log;
  std::thread([&log] {
    thread_local const late last{log};
    krait::set_asyncgen_hooks({[&log](krait::async_generator_object&) { log += "firstiter "; }, nullptr});
  }).join();
  CHECK(log == "StopIteration(1) no hooks");
}

TEST_CASE("the value of an asend is what the body receives, unless the driver sends one (R89)") {
  journal log;
  async_generator g = started(async_generator([&](auto& co) {
    for (;;) {
      log(driver::text_of(co(0)));
    }
  }));
  CHECK(told([&] { return g.asend(1).next(); }) == "StopIteration(0)");
  CHECK(told([&] { return g.asend(1).send(2); }) == "StopIteration(0)");
  CHECK(told([&] { return g.asend(std::nullopt).send(3); }) == "StopIteration(0)");
  CHECK(told([&] { return g.anext().send(4); }) == "StopIteration(0)");
  CHECK(told([&] { return g.asend(5).send(std::nullopt); }) == "StopIteration(0)");
  CHECK(told([&] { return g.anext().send(std::nullopt); }) == "StopIteration(0)");
  CHECK(log.text() == "1, 2, 3, 4, 5, None");
}

TEST_CASE("a value sent to a generator that has not started uses the operation up, and nothing else (R89)") {
  journal log;
  async_generator g = counting(log);
  auto operation = g.asend(5);
  CHECK(told([&] { return operation.next(); }) == not_just_started);
  CHECK(told([&] { return operation.next(); }) == used_asend);
  CHECK(told([&] { return g.anext().send(5); }) == not_just_started);
  CHECK(g.state() == state::created);
  CHECK(told([&] { return g.anext().next(); }) == "StopIteration(1)");
}

TEST_CASE("what a resumption comes to, for asend and for athrow (R90)") {
  async_generator g = [](auto& co) {
    co.await(waiting("a"));
    try {
      co(1);
    } catch (const key_error&) {
      co.await(waiting("b"));
      co(2);
    }
  };
  auto item = g.anext();
  CHECK(told([&] { return item.next(); }) == "-> a");
  CHECK(told([&] { return item.next(); }) == "StopIteration(1)");
  auto thrown = g.athrow(key_error());
  CHECK(told([&] { return thrown.next(); }) == "-> b");
  CHECK(told([&] { return thrown.next(); }) == "StopIteration(2)");
  CHECK(told([&] { return g.anext().next(); }) == "StopAsyncIteration");
  CHECK(told([&] { return g.anext().next(); }) == "StopAsyncIteration");
  CHECK(told([&] { return g.asend(5).next(); }) == "StopAsyncIteration");
}

TEST_CASE("the ends of iterations that leave a body become runtime errors, with their cause (R91)") {
  const auto stop = std::make_exception_ptr(stop_async_iteration());
  async_generator g = [&](auto& co) {
    co(1);
    std::rethrow_exception(stop);
  };
  CHECK(told([&] { return g.anext().next(); }) == "StopIteration(1)");
  const auto raised = raised_by([&] { g.anext().next(); });
  CHECK(support::text_of(raised) == "krait::runtime_error: async generator raised StopAsyncIteration");
  CHECK(support::cause_of(raised) == stop);
  CHECK(told([&] { return g.anext().next(); }) == "StopAsyncIteration");

  journal log;
  async_generator thrown = started(counting(log));
  CHECK(told([&] { return thrown.athrow(krait::stop_iteration<>()).next(); }) ==
        "krait::runtime_error: async generator raised StopIteration");
  async_generator closed = [&](auto& co) {
    try {
      co(1);
    } catch (const generator_exit&) {
      std::rethrow_exception(stop);
    }
  };
  closed = started(std::move(closed));
  CHECK(told([&] { closed.aclose().next(); }) ==
        "krait::runtime_error: async generator raised StopAsyncIteration");
}

TEST_CASE("athrow (R92)") {
  journal log;
  SUBCASE("before the start nothing runs, and the exception comes out") {
    async_generator g = counting(log);
    const auto error = std::make_exception_ptr(key_error());
    CHECK(raised_by([&] { g.athrow(error).next(); }) == error);
    CHECK(g.done());
    CHECK(log.text().empty());
    CHECK(told([&] { return g.anext().next(); }) == "StopAsyncIteration");
  }
  SUBCASE("an end of iteration too") {
    async_generator g = counting(log);
    CHECK(told([&] { return g.athrow(stop_async_iteration()).next(); }) == "StopAsyncIteration");
    CHECK(g.done());
  }
  SUBCASE("on one that has ended it does not raise, but completes with none") {
    async_generator g = counting(log);
    CHECK(told([&] { g.aclose().next(); }) == "StopIteration()");
    CHECK(told([&] { return g.athrow(key_error()).next(); }) == "StopIteration(None)");
    CHECK(told([&] { return g.athrow(generator_exit()).next(); }) == "StopIteration(None)");
    krait::coroutine<std::string, optional_int> c = [&](auto& co) {
      CHECK(co.await(g.athrow(key_error())) == std::nullopt);
    };
    CHECK(told([&] { c.send(); }) == "StopIteration()");
  }
  SUBCASE("after an ignored aclose it is the end, and nothing is raised in the body") {
    async_generator g = started(ignoring());
    CHECK(told([&] { g.aclose().next(); }) == ignored);
    CHECK(told([&] { return g.athrow(key_error()).next(); }) == "StopAsyncIteration");
    CHECK(told([&] { g.aclose().next(); }) == "StopAsyncIteration");
    CHECK(g.suspended());
  }
  SUBCASE("a generator_exit that is answered delivers the item, one that is not comes out") {
    async_generator answering = started(ignoring());
    CHECK(told([&] { return answering.athrow(generator_exit()).next(); }) == "StopIteration(2)");
    async_generator g = started(counting(log));
    CHECK(told([&] { return g.athrow(generator_exit()).next(); }) == exited);
    CHECK(g.done());
    CHECK(told([&] { return g.athrow(key_error()).next(); }) == "StopIteration(None)");
  }
  SUBCASE("a body that returns in answer") {
    async_generator g = started(async_generator([](auto& co) {
      try {
        co(1);
      } catch (const key_error&) {
      }
    }));
    CHECK(told([&] { return g.athrow(key_error()).next(); }) == "StopAsyncIteration");
  }
}

TEST_CASE("aclose (R93)") {
  journal log;
  SUBCASE("before the start nothing runs") {
    async_generator g = counting(log);
    CHECK(told([&] { g.aclose().next(); }) == "StopIteration()");
    CHECK(g.done());
    CHECK(log.text().empty());
  }
  SUBCASE("raises generator_exit at the yield, and again does nothing") {
    async_generator g = started(counting(log));
    CHECK(told([&] { g.aclose().next(); }) == "StopIteration()");
    CHECK(log.text() == "end");
    CHECK(g.done());
    CHECK(told([&] { g.aclose().next(); }) == "StopIteration()");
  }
  SUBCASE("an item in answer is an error, and the body goes on") {
    async_generator g = started(ignoring());
    auto operation = g.aclose();
    CHECK(told([&] { operation.next(); }) == ignored);
    CHECK(told([&] { operation.next(); }) == used_athrow);
    CHECK(g.suspended());
    CHECK(told([&] { return g.anext().next(); }) == "StopIteration(3)");
    CHECK(told([&] { return g.anext().next(); }) == "StopAsyncIteration");
  }
  SUBCASE("what is awaited in answer is driven, by one operation at a time") {
    async_generator g = started(async_generator([&](auto& co) {
      krait::try_finally([&] { co(1); },
                         [&] {
                           co.await(waiting("a"));
                           co.await(waiting("b"));
                           log("end");
                         });
    }));
    auto operation = g.aclose();
    CHECK(operation.next() == "a");
    CHECK(g.running());
    CHECK(told([&] { return g.anext().next(); }) == anext_running);
    CHECK(operation.send(1) == "b");
    CHECK(told([&] { operation.next(); }) == "StopIteration()");
    CHECK(log.text() == "end");
  }
  SUBCASE("an error comes out") {
    async_generator g = started(async_generator([](auto& co) {
      try {
        co(1);
      } catch (const generator_exit&) {
        throw key_error();
      }
    }));
    CHECK(told([&] { g.aclose().next(); }) == key);
    CHECK(g.done());
  }
}

TEST_CASE("aclose and athrow begin with None only, and are not used up by a value (R94)") {
  journal log;
  async_generator g = started(counting(log));
  auto closing = g.aclose();
  CHECK(told([&] { closing.send(5); }) == started_with_value);
  CHECK(g.suspended());
  CHECK(log.text().empty());
  CHECK(told([&] { closing.send(std::nullopt); }) == "StopIteration()");
  CHECK(log.text() == "end");

  g = started(counting(log));
  auto throwing = g.athrow(key_error());
  CHECK(told([&] { return throwing.send(5); }) == started_with_value);
  CHECK(told([&] { return throwing.next(); }) == key);

  g = started(counting(log));
  const driver::warnings warnings;
  CHECK(told([&] { g.aclose().send(5); }) == started_with_value);
  CHECK(warnings.text() == "coroutine method 'aclose' of 'counting' was never awaited");
}

TEST_CASE("an operation that begins with throw_ raises that instead of its own (R95)") {
  journal log;
  const auto catching = [] {
    return started(async_generator([](auto& co) {
      try {
        co(1);
      } catch (const key_error&) {
        co(2);
      }
    }));
  };
  SUBCASE("asend and athrow deliver the item") {
    CHECK(told([&] { return catching().asend(9).throw_(key_error()); }) == "StopIteration(2)");
    CHECK(told([&] { return catching().athrow(krait::value_error("")).throw_(key_error()); }) ==
          "StopIteration(2)");
  }
  SUBCASE("aclose ignores none") {
    async_generator g = catching();
    CHECK(told([&] { g.aclose().throw_(key_error()); }) == ignored);
    CHECK(g.suspended());
    g = started(ignoring());
    CHECK(told([&] { g.aclose().throw_(generator_exit()); }) == ignored);
    CHECK(g.suspended());
    // It was not this aclose() that raised generator_exit: the generator is not marked as ended.
    CHECK(told([&] { return g.athrow(key_error()).next(); }) == key);
  }
  SUBCASE("not started") {
    async_generator g = counting(log);
    CHECK(told([&] { return g.asend(std::nullopt).throw_(key_error()); }) == key);
    CHECK(g.done());
    g = counting(log);
    CHECK(told([&] { g.aclose().throw_(generator_exit()); }) == "StopIteration()");
    CHECK(g.done());
    g = counting(log);
    CHECK(told([&] { g.aclose().throw_(stop_async_iteration()); }) == "StopIteration()");
    g = counting(log);
    CHECK(told([&] { return g.athrow(krait::value_error("")).throw_(key_error()); }) == key);
    CHECK(log.text().empty());
  }
  SUBCASE("ended") {
    async_generator g = counting(log);
    CHECK(told([&] { g.aclose().next(); }) == "StopIteration()");
    CHECK(told([&] { return g.anext().throw_(key_error()); }) == key);
    CHECK(told([&] { return g.athrow(krait::value_error("")).throw_(key_error()); }) == key);
    CHECK(told([&] { g.aclose().throw_(key_error()); }) == key);
    CHECK(told([&] { g.aclose().throw_(generator_exit()); }) == "StopIteration()");
    CHECK(told([&] { g.aclose().throw_(stop_async_iteration()); }) == "StopIteration()");
  }
  SUBCASE("in flight it goes to what is awaited") {
    async_generator g = busy();
    auto operation = g.anext();
    CHECK(operation.next() == "busy");
    CHECK(told([&] { return operation.throw_(key_error()); }) == "-> busy");
    CHECK(told([&] { return operation.throw_(krait::value_error("v")); }) == "krait::value_error: v");
    CHECK(g.done());
    CHECK(told([&] { return operation.next(); }) == used_asend);
  }
  SUBCASE("an aclose in flight") {
    async_generator g = started(async_generator([](auto& co) {
      try {
        co(1);
      } catch (const generator_exit&) {
        co.await(waiting("a"));
      }
    }));
    auto operation = g.aclose();
    CHECK(operation.next() == "a");
    CHECK(told([&] { operation.throw_(key_error()); }) == key);
    CHECK(g.done());
  }
}

TEST_CASE("closing an operation raises generator_exit in the generator, also if it was unused (R96)") {
  journal log;
  SUBCASE("of one that was suspended") {
    async_generator g = started(counting(log));
    g.asend(1).close();
    CHECK(log.text() == "end");
    CHECK(g.done());
  }
  SUBCASE("of one that had not started") {
    async_generator g = counting(log);
    g.anext().close();
    CHECK(g.done());
    CHECK(log.text().empty());
    CHECK(told([&] { return g.anext().next(); }) == "StopAsyncIteration");
  }
  SUBCASE("an item in answer is dropped, but for aclose") {
    async_generator g = started(ignoring());
    CHECK_NOTHROW(g.asend(1).close());
    CHECK(g.suspended());
    g = started(ignoring());
    CHECK_NOTHROW(g.athrow(key_error()).close());
    CHECK(g.suspended());
    g = started(ignoring());
    CHECK(told([&] { g.aclose().close(); }) == ignored);
    CHECK(g.suspended());
  }
  SUBCASE("to wait in answer is an error") {
    async_generator g = [&](auto& co) {
      const at_end end(log, "end");
      try {
        co.await(waiting("a"));
      } catch (const generator_exit&) {
        co.await(waiting("b"));
      }
    };
    auto operation = g.anext();
    CHECK(operation.next() == "a");
    CHECK(told([&] { operation.close(); }) == "krait::runtime_error: coroutine ignored GeneratorExit");
    CHECK(g.running());
    CHECK(told([&] { return operation.next(); }) == "StopAsyncIteration");
    CHECK(log.text() == "end");
  }
  SUBCASE("an error comes out") {
    async_generator g = [](auto& co) {
      try {
        co.await(waiting("a"));
      } catch (const generator_exit&) {
        throw key_error();
      }
    };
    auto operation = g.anext();
    CHECK(operation.next() == "a");
    CHECK(told([&] { operation.close(); }) == key);
  }
  SUBCASE("merely dropped, an unused one does nothing") {
    const driver::warnings warnings;
    async_generator g = started(counting(log));
    static_cast<void>(g.asend(1));
    static_cast<void>(g.athrow(key_error()));
    static_cast<void>(g.aclose());
    CHECK(g.suspended());
    CHECK(log.text().empty());
  }
}

TEST_CASE("dropped in flight, an operation leaves the generator running, until that is dropped (R97)") {
  journal log;
  {
    async_generator g = [&](auto& co) {
      const at_end end(log, "end");
      co.await(waiting("a"));
    };
    {
      CHECK(g.anext().next() == "a");
    }
    CHECK(g.running());
    CHECK(told([&] { return g.anext().next(); }) == anext_running);
    CHECK(told([&] { g.aclose().next(); }) == aclose_running);
    CHECK(log.text().empty());
  }
  CHECK(log.text() == "end");
}

TEST_CASE("an operation that was never awaited warns (R98)") {
  journal log;
  driver::warnings warnings;
  const auto warned = [&](auto make) {
    warnings.clear();
    async_generator g = counting(log);
    static_cast<void>(make(g));
    return warnings.text();
  };
  CHECK(warned([](auto& g) { return g.anext(); }) ==
        "coroutine method 'asend' of 'counting' was never awaited");
  CHECK(warned([](auto& g) { return g.asend(1); }) ==
        "coroutine method 'asend' of 'counting' was never awaited");
  CHECK(warned([](auto& g) { return g.athrow(key_error()); }) ==
        "coroutine method 'athrow' of 'counting' was never awaited");
  CHECK(warned([](auto& g) { return g.aclose(); }) ==
        "coroutine method 'aclose' of 'counting' was never awaited");
  // Once, whoever it was moved to.
  CHECK(warned([](auto& g) {
          auto operation = g.anext();
          auto moved = std::move(operation);
          return moved;
        }) == "coroutine method 'asend' of 'counting' was never awaited");
  // Not if it was closed or driven.
  CHECK(warned([](auto& g) {
          g.anext().close();
          CHECK_THROWS_AS(g.anext().throw_(key_error()), key_error);
          CHECK_THROWS_AS(g.aclose().next(), krait::stop_iteration<>);
          return 0;
        }).empty());
}

TEST_CASE("a warning that is made an error goes to the unraisable hook") {
  const probes::unraisables unraisables;
  const krait::warning_hook before =
      krait::set_warning_hook([](const std::string& message) { throw key_error(message); });
  {
    journal log;
    async_generator g = counting(log);
    static_cast<void>(g.anext());
  }
  krait::set_warning_hook(before);
  REQUIRE(unraisables.count() == 1);
  CHECK(unraisables.text(0) == "coroutine method 'asend' of 'counting' was never awaited");
  CHECK(unraisables.message(0).starts_with("Exception ignored while finalizing coroutine method"));
}

TEST_CASE("awaited, an athrow() of StopIteration before the start is the end of an iterator") {
  const auto awaits = [](auto exception) {
    krait::coroutine<std::string, optional_int, optional_int> made = [exception](auto& co) {
      async_generator g = [](auto& yield) { yield(1); };
      return co.await(g.athrow(exception));
    };
    return *made.resume().result();
  };
  CHECK(awaits(krait::stop_iteration<int>(5)) == 5);
  CHECK(awaits(krait::stop_iteration<int>()) == std::nullopt);
  CHECK(awaits(krait::stop_iteration<>()) == std::nullopt);
}
