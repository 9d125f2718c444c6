// SPDX-License-Identifier: BSL-1.0
#include <doctest/doctest.h>

#include <exception>
#include <list>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include <krait/krait.hpp>

#include "support/probes.hpp"
#include "support/recorded_warnings.hpp"
#include "support/support.hpp"

// Awaiting: what can be awaited, and what happens along a chain of coroutines.

namespace {

using krait::as_awaitable;
using krait::awaitable;
using krait::awaitable_generator;
using krait::coroutine;
using support::at_end;
using support::given;
using support::handled;
using support::journal;
using support::lent;
using support::raised_by;
using support::stop_value;
using support::text_of;

constexpr const char* cannot_reuse = "cannot reuse already awaited coroutine";
constexpr const char* elsewhere = "yield called outside the generator it belongs to";

using maybe = std::optional<int>;

awaitable_generator<int> counting(int from, int to) {
  return [=](auto& yield) {
    for (int i = from; i <= to; ++i) {
      yield(i);
    }
  };
}

coroutine<int, void, int> counting_to(int last) {
  return [=](auto& co) {
    co.await(counting(1, last));
    return last;
  };
}

/// Awaits what somebody else keeps, and notes what that raises.
coroutine<int, void, int> awaiting(coroutine<int, void, int>& inner, journal& log) {
  return [&](auto& co) {
    try {
      return co.await(inner);
    } catch (...) {
      log(handled());
      throw;
    }
  };
}

/// A chain of coroutines, each of which adds 1 to what the next returns; the last one returns what
/// it is sent.
coroutine<int, maybe, int> chain(int depth, journal* log = nullptr) {
  return [=](auto& co) -> int {
    std::optional<at_end> end;
    if (log != nullptr) {
      end.emplace(*log, std::to_string(depth));
    }
    if (depth > 0) {
      return co.await(chain(depth - 1, log)) + 1;
    }
    return co.await(awaitable_generator<int, maybe, int>([](auto& yield) {
      yield(1);
      return yield(2).value();
    }));
  };
}

/// The same, each awaited by reference.
coroutine<int, maybe, int> lent_chain(int depth) {
  return [=](auto& co) -> int {
    if (depth == 0) {
      return co.await(chain(0));
    }
    auto inner = lent_chain(depth - 1);
    return co.await(inner) + 1;
  };
}

template <class Awaitable>
coroutine<int, maybe> awaiting_once(Awaitable object, journal& log) {
  return [object = std::move(object), &log](auto& co) mutable {
    try {
      co.await(object);
      log("went on");
    } catch (...) {
      log(handled());
      throw;
    }
  };
}

}  // namespace

namespace elsewhere_defined {

/// Awaited through a function that is found by its argument.
struct future {
  int value;
};
inline krait::generator<int, void, int> await(const future& awaited) {
  return [value = awaited.value](auto& yield) {
    yield(value);
    return value + 1;
  };
}

}  // namespace elsewhere_defined

TEST_CASE("await: what can be awaited is known at compile time") {
  static_assert(awaitable<coroutine<int>> && awaitable<coroutine<int>&>);
  static_assert(awaitable<awaitable_generator<int>> && awaitable<awaitable_generator<int>&>);
  static_assert(awaitable<elsewhere_defined::future> && awaitable<const elsewhere_defined::future&>);
  static_assert(!awaitable<krait::generator<int>> && !awaitable<int> && !awaitable<std::string>);
  static_assert(std::ranges::view<awaitable_generator<int>>);
  struct only_lvalue {
    krait::generator<int> await() & { return counting(1, 1); }
  };
  static_assert(awaitable<only_lvalue&> && !awaitable<only_lvalue>);
}

TEST_CASE("await: an object whose await() is a free function") {
  coroutine<int, void, int> co = [](auto& self) { return self.await(elsewhere_defined::future{1}); };
  CHECK(co.send() == 1);
  CHECK(stop_value<int>([&] { co.send(); }) == 2);
}

TEST_CASE("await: an iterator, to which only None can be sent") {
  journal log;
  struct iterator {
    int next() { return ++i; }
    int i = 0;
  };
  auto co = awaiting_once(as_awaitable(iterator()), log);
  CHECK(co.send() == 1);
  CHECK(co.send(std::nullopt) == 2);
  SUBCASE("a value is refused where it is awaited") {
    CHECK_THROWS_AS(co.send(5), krait::attribute_error);
    CHECK(log.text().ends_with("object has no attribute 'send'"));
  }
  SUBCASE("an exception is raised where it is awaited") {
    CHECK_THROWS_WITH_AS(co.throw_(std::runtime_error("thrown")), "thrown", std::runtime_error);
    CHECK(log.text() == "std::runtime_error: thrown");
  }
  SUBCASE("and GeneratorExit too") {
    co.close();
    CHECK(log.text() == "krait::generator_exit: GeneratorExit");
  }
  CHECK(co.done());
}

TEST_CASE("await: ranges, marked as awaitable") {
  journal log;
  auto co = awaiting_once(as_awaitable(std::list<int>{1, 2}), log);
  CHECK(co.send() == 1);
  CHECK(co.send() == 2);
  CHECK_THROWS_AS(co.send(), krait::stop_iteration<>);
  std::vector<int> kept = {1};
  auto lent_range = awaiting_once(as_awaitable(kept), log);
  kept.push_back(2);
  CHECK(lent_range.send() == 1);
  CHECK(lent_range.send() == 2);
  CHECK_THROWS_AS(lent_range.send(), krait::stop_iteration<>);
  CHECK(log.text() == "went on, went on");
}

TEST_CASE("await: by reference, while another driver advances what is awaited") {
  journal log;
  auto inner = counting_to(4);
  auto outer = awaiting(inner, log);
  CHECK(outer.send() == 1);
  CHECK(inner.send() == 2);
  CHECK(outer.send() == 3);
  CHECK(inner.send() == 4);

  SUBCASE("to its end, and the value is the other driver's") {
    CHECK(stop_value<int>([&] { inner.send(); }) == 4);
    SUBCASE("then to go on is an error") {
      CHECK_THROWS_WITH_AS(outer.send(), cannot_reuse, krait::runtime_error);
      CHECK(log.text() == "krait::runtime_error: " + std::string(cannot_reuse));
    }
    SUBCASE("and to throw, whatever was to be thrown") {
      CHECK_THROWS_WITH_AS(outer.throw_(std::runtime_error("thrown")), cannot_reuse, krait::runtime_error);
      CHECK(log.text() == "krait::runtime_error: " + std::string(cannot_reuse));
    }
    SUBCASE("but not to close") {
      outer.close();
      CHECK(log.text() == "krait::generator_exit: GeneratorExit");
    }
  }
  SUBCASE("and it is closed") {
    inner.close();
    CHECK_THROWS_WITH_AS(outer.send(), cannot_reuse, krait::runtime_error);
  }
  SUBCASE("and nobody else may await it") {
    auto other = awaiting(inner, log);
    CHECK_THROWS_WITH_AS(other.send(), "coroutine is being awaited already", krait::runtime_error);
    CHECK(stop_value<int>([&] { outer.send(); }) == 4);
  }
  SUBCASE("and it is not taken by who may not await it") {
    coroutine<int, void, int> thief = [&](auto& co) { return co.await(std::move(inner)); };
    CHECK_THROWS_WITH_AS(thief.send(), "coroutine is being awaited already", krait::runtime_error);
    CHECK(stop_value<int>([&] { outer.send(); }) == 4);
  }
  CHECK((outer.done() && inner.done()));
}

TEST_CASE("await: an awaited coroutine stays with its owner when who awaits it is dropped") {
  journal log;
  auto inner = counting_to(2);
  {
    auto outer = awaiting(inner, log);
    CHECK(outer.send() == 1);
  }
  CHECK(log.text() == "krait::generator_exit: GeneratorExit");
  CHECK(inner.done());
}

TEST_CASE("await: what is yielded and sent is converted on the way") {
  SUBCASE("yielded") {
    coroutine<std::string> co = [](auto& self) {
      self.await(awaitable_generator<const char*>([](auto& yield) { yield("from char"); }));
      self.await(coroutine<std::string_view>([](auto& inner) {
        inner.await(awaitable_generator<std::string_view>([](auto& yield) { yield("from view"); }));
      }));
    };
    CHECK(co.send() == "from char");
    CHECK(co.send() == "from view");
    CHECK_THROWS_AS(co.send(), krait::stop_iteration<>);
  }
  SUBCASE("sent") {
    using text = std::optional<std::string>;
    coroutine<int, const char*, text> co = [](auto& self) {
      return self.await(awaitable_generator<int, text, text>([](auto& yield) {
        CHECK(yield(1) == std::nullopt);
        return yield(2);
      }));
    };
    CHECK(co.send() == 1);
    CHECK(co.send(nullptr) == 2);
    CHECK(stop_value<text>([&] { co.send("sent"); }) == text("sent"));
  }
  SUBCASE("yielded to a driver that is given nothing, and sent by one that sends nothing") {
    coroutine<void, void, int> co = [](auto& self) {
      return self.await(awaitable_generator<int, maybe, int>([](auto& yield) {
        CHECK(yield(1) == std::nullopt);
        return 5;
      }));
    };
    co.send();
    CHECK(stop_value<int>([&] { co.send(); }) == 5);
  }
  SUBCASE("None, of what yields nothing") {
    coroutine<maybe> co = [](auto& self) {
      self.await(awaitable_generator<void>([](auto& yield) { yield(); }));
      krait::async_generator<int> waits = [](auto& inner) {
        inner.await(awaitable_generator<void>([](auto& yield) { yield(); }));
        inner(1);
      };
      CHECK(self.await(waits.anext()) == 1);
    };
    CHECK(co.send() == std::nullopt);
    CHECK(co.send() == std::nullopt);
    CHECK_THROWS_AS(co.send(), krait::stop_iteration<>);
  }
  SUBCASE("references are passed on") {
    std::string kept = "a";
    coroutine<std::string&> co = [&](auto& self) {
      self.await(coroutine<std::string&>([&](auto& inner) {
        inner.await(awaitable_generator<std::string&>([&](auto& yield) { yield(kept); }));
      }));
    };
    CHECK(&co.send() == &kept);
  }
}

TEST_CASE("await: values that can only be moved are yielded, sent and returned") {
  using pointer = std::unique_ptr<int>;
  coroutine<pointer, pointer*, pointer> co = [](auto& self) {
    return self.await(coroutine<pointer, pointer*, pointer>([](auto& inner) {
      return inner.await(awaitable_generator<pointer, pointer*, pointer>([](auto& yield) {
        pointer* const sent = yield(std::make_unique<int>(1));
        return std::move(*sent);
      }));
    }));
  };
  CHECK(*co.send() == 1);
  pointer two = std::make_unique<int>(2);
  try {
    co.send(&two);
    FAIL("it went on");
  } catch (krait::stop_iteration<pointer>& stop) {
    CHECK(*stop.value() == 2);
  }
}

TEST_CASE("await: a thousand levels deep") {
  constexpr int depth = 1000;
  const auto check = [](coroutine<int, maybe, int> co) {
    CHECK(co.send() == 1);
    CHECK(co.send() == 2);
    CHECK(stop_value<int>([&] { co.send(5); }) == depth + 5);
  };
  SUBCASE("given away") {
    check(chain(depth));
  }
  SUBCASE("lent") {
    check(lent_chain(depth));
  }
  SUBCASE("an exception leaves all of them") {
    auto co = chain(depth);
    co.send();
    CHECK_THROWS_WITH_AS(co.throw_(std::runtime_error("thrown")), "thrown", std::runtime_error);
    CHECK(co.done());
  }
  SUBCASE("all are closed") {
    probes::tally captured;
    {
      coroutine<int, maybe, int> co = [&, token = probes::counted(captured)](auto& self) {
        return self.await(chain(depth));
      };
      co.send();
      CHECK(captured.live == 1);
      CHECK(co.close() == std::nullopt);
      CHECK(co.done());
      CHECK(captured.live == 0);
    }
  }
}

TEST_CASE("await: a chain ends from the inside out") {
  journal log;
  auto co = chain(3, &log);
  co.send();
  SUBCASE("dropped") {
    const auto dropped = std::move(co);
    CHECK(log.text().empty());
  }
  SUBCASE("closed") {
    co.close();
  }
  SUBCASE("thrown into") {
    CHECK_THROWS_AS(co.throw_(1), int);
  }
  SUBCASE("run to its end") {
    co.send();
    CHECK(stop_value<int>([&] { co.send(1); }) == 4);
  }
  CHECK(log.text() == "0, 1, 2, 3");
}

TEST_CASE("await: what is thrown may be replaced or answered at each level") {
  const auto check = [](auto how) {
    coroutine<int, maybe, std::string> innermost = [](auto& co) {
      try {
        co.await(counting(1, 1));
      } catch (const std::runtime_error& thrown) {
        throw std::logic_error(std::string(thrown.what()) + ", replaced");
      }
      return "";
    };
    coroutine<int, maybe, std::string> middle = [&](auto& co) {
      try {
        co.await(how.pass(innermost));
      } catch (const std::logic_error& replaced) {
        co.await(counting(10, 10));
        return std::string(replaced.what()) + ", answered";
      }
      return std::string();
    };
    coroutine<int, maybe, std::string> outer = [&](auto& co) { return co.await(how.pass(middle)); };
    CHECK(outer.send() == 1);
    CHECK(outer.throw_(std::runtime_error("thrown")) == 10);
    CHECK(stop_value<std::string>([&] { outer.send(); }) == "thrown, replaced, answered");
  };
  SUBCASE("given away") {
    check(given());
  }
  SUBCASE("lent") {
    check(lent());
  }
}

TEST_CASE("await: a StopIteration that leaves an awaited coroutine is no end, but an error") {
  const auto check = [](auto how) {
    coroutine<int> inner = [](auto& co) {
      co.await(counting(1, 1));
      throw krait::stop_iteration<>();
    };
    coroutine<int> outer = [&](auto& co) { co.await(how.pass(inner)); };
    outer.send();
    const auto raised = raised_by([&] { outer.send(); });
    CHECK(text_of(raised) == "krait::runtime_error: coroutine raised StopIteration");
    CHECK(text_of(support::cause_of(raised)) == "krait::stop_iteration<void>: StopIteration");
  };
  SUBCASE("given away") {
    check(given());
  }
  SUBCASE("lent") {
    check(lent());
  }
}

TEST_CASE("await: closed, a coroutine that awaits on is an error, and goes on") {
  const auto check = [](auto how) {
    journal log;
    coroutine<int> inner = [](auto& co) {
      try {
        co.await(counting(1, 1));
      } catch (const krait::generator_exit&) {
        co.await(counting(10, 11));
      }
    };
    SUBCASE("of the outermost: it is suspended again") {
      CHECK(inner.send() == 1);
      CHECK_THROWS_WITH_AS(inner.close(), "coroutine ignored GeneratorExit", krait::runtime_error);
      CHECK(inner.suspended());
      CHECK(inner.send() == 11);
      CHECK_THROWS_AS(inner.send(), krait::stop_iteration<>);
    }
    SUBCASE("of one that is awaited: raised where that is") {
      coroutine<int> outer = [&](auto& co) {
        try {
          co.await(how.pass(inner));
        } catch (...) {
          log(handled());
          throw;
        }
      };
      outer.send();
      CHECK_THROWS_WITH_AS(outer.close(), "coroutine ignored GeneratorExit", krait::runtime_error);
      CHECK(log.text() == "krait::runtime_error: coroutine ignored GeneratorExit");
      CHECK(outer.done());
    }
  };
  SUBCASE("given away") {
    check(given());
  }
  SUBCASE("lent") {
    check(lent());
  }
}

TEST_CASE("await: what an awaited coroutine returns when it is closed reaches nobody") {
  coroutine<int, void, int> inner = [](auto& co) {
    try {
      co.await(counting(1, 1));
    } catch (const krait::generator_exit&) {
    }
    return 5;
  };
  coroutine<int, void, int> outer = [&](auto& co) { return co.await(std::move(inner)); };
  outer.send();
  CHECK(outer.close() == std::nullopt);
  CHECK(outer.result() == nullptr);
}

TEST_CASE("await: coroutines suspended in handlers keep their own exceptions") {
  const auto failing = [](std::string text) -> coroutine<int, void, std::string> {
    return [text](auto& co) {
      try {
        throw std::runtime_error(text);
      } catch (const std::runtime_error&) {
        co.await(counting(1, 2));
        CHECK(handled() == "std::runtime_error: " + text);
        try {
          throw;
        } catch (const std::runtime_error& again) {
          return std::string(again.what());
        }
      }
    };
  };
  const auto nested = [&](std::string text) -> coroutine<int, void, std::string> {
    return [&failing, text](auto& co) {
      try {
        throw std::logic_error("around " + text);
      } catch (const std::logic_error&) {
        const std::string inner = co.await(failing(text));
        return inner + ", " + handled();
      }
    };
  };
  auto a = nested("a");
  auto b = nested("b");
  try {
    throw 1;
  } catch (int) {
    a.send();
    b.send();
    CHECK(probes::handled() == "int 1");
    a.send();
    CHECK(probes::handled() == "int 1");
  }
  CHECK(std::current_exception() == nullptr);
  b.send();
  CHECK(std::uncaught_exceptions() == 0);
  CHECK(stop_value<std::string>([&] { a.send(); }) == "a, std::logic_error: around a");
  CHECK(stop_value<std::string>([&] { b.send(); }) == "b, std::logic_error: around b");
}

TEST_CASE("await: from a function that the body calls, and from its destructors") {
  journal log;
  struct waits_at_end {
    ~waits_at_end() { co.await(counting(10, 10)); }
    krait::awaiter<int>& co;
  };
  struct helper {
    static int twice(krait::awaiter<int>& co) { return co.await(counting_to(1)) + co.await(counting_to(2)); }
  };
  coroutine<int> body = [&](krait::awaiter<int>& co) {
    const waits_at_end end{co};
    log(std::to_string(helper::twice(co)));
  };
  std::vector<int> yielded;
  for (auto step = body.resume(); step.yielded(); step = body.resume()) {
    yielded.push_back(*step);
  }
  CHECK(yielded == std::vector{1, 1, 2, 10});
  CHECK(log.text() == "3");
}

TEST_CASE("await: on another stack than its coroutine's it is refused") {
  krait::awaiter<int>* leaked = nullptr;
  coroutine<int> co = [&](auto& self) {
    leaked = &self;
    self.await(counting(1, 1));
  };
  co.send();
  auto object = counting_to(1);
  CHECK_THROWS_WITH_AS(leaked->await(object), elsewhere, krait::runtime_error);
  CHECK_THROWS_WITH_AS(leaked->await(std::move(object)), elsewhere, krait::runtime_error);
  CHECK_THROWS_WITH_AS(leaked->await(counting(1, 1)), elsewhere, krait::runtime_error);
  object.close();  // it was not taken
  CHECK_THROWS_AS(co.send(), krait::stop_iteration<>);
}

TEST_CASE("await: a generator lends its yielder to an awaiter, and yields and awaits by turns") {
  krait::generator<int, void, std::string> g = [](auto& yield) {
    krait::awaiter co(yield);
    yield(0);
    const int last = co.await(counting_to(2));
    yield(last + 1);
    auto inner = counting_to(1);
    return "last: " + std::to_string(co.await(inner));
  };
  std::vector<int> items;
  for (const int item : g) {
    items.push_back(item);
  }
  CHECK(items == std::vector{0, 1, 2, 3, 1});
  CHECK(*g.result() == "last: 1");

  awaitable_generator<int> marked = [](auto& yield) {
    krait::awaiter co(yield);
    co.await(counting_to(1));
    yield(2);
  };
  krait::generator<int> plain = [&](auto& yield) { yield.from(std::move(marked)); };
  CHECK(plain.next() == 1);
  CHECK(plain.next() == 2);
  CHECK_THROWS_AS(plain.next(), krait::stop_iteration<>);
}

TEST_CASE("await: a coroutine handed on by an object, which keeps it") {
  struct handing_on {
    auto await() { return inner.await(); }
    coroutine<int, void, int> inner;
  };
  handing_on object{counting_to(1)};
  coroutine<int, void, int> co = [&](auto& self) { return self.await(object); };
  CHECK(co.send() == 1);
  CHECK(co.awaiting() == "<iterator>");
  CHECK(stop_value<int>([&] { co.send(); }) == 1);
  // A second time, it is as if it had been awaited itself.
  coroutine<int, void, int> again = [&](auto& self) { return self.await(object); };
  CHECK_THROWS_WITH_AS(again.send(), cannot_reuse, krait::runtime_error);
}

TEST_CASE("await: awaited without ever being suspended, nothing goes out to the driver") {
  const support::recorded_warnings warnings;
  coroutine<int, void, int> co = [](auto& self) {
    int sum = 0;
    for (int i = 0; i != 100; ++i) {
      sum += self.await(coroutine<int, void, int>([i](auto&) { return i; }));
    }
    return sum;
  };
  CHECK(stop_value<int>([&] { co.send(); }) == 4950);
  CHECK(warnings.none());
}
