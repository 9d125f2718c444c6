// SPDX-License-Identifier: BSL-1.0
#include <doctest/doctest.h>

#include <exception>
#include <functional>
#include <future>
#include <list>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <krait/krait.hpp>

#include "support/support.hpp"

// What happens to a generator that is touched while it runs; where a generator can be seen to stand; depth.

namespace {

using krait::generator;
using support::given;
using support::journal;
using support::lent;
using support::raised_by;
using support::state;
using support::stop_value;
using support::text_of;

using optional_int = std::optional<int>;
using numbers = generator<int, optional_int>;

constexpr auto already = "generator already executing";
constexpr auto already_executing = "krait::value_error: generator already executing";

/// Whatever can be called to drive a generator.
struct operation {
  const char* name;
  std::function<void(numbers&)> call;
};
const operation operations[] = {
    {"next", [](numbers& g) { g.next(); }},
    {"send None", [](numbers& g) { g.send(std::nullopt); }},
    {"send a value", [](numbers& g) { g.send(5); }},
    {"throw_", [](numbers& g) { g.throw_(std::runtime_error("x")); }},
    {"throw_ GeneratorExit", [](numbers& g) { g.throw_(krait::generator_exit()); }},
    {"close", [](numbers& g) { g.close(); }},
    {"resume", [](numbers& g) { static_cast<void>(g.resume()); }},
    {"resume with a value", [](numbers& g) { static_cast<void>(g.resume(5)); }},
    {"resume_with",
     [](numbers& g) { static_cast<void>(g.resume_with(std::make_exception_ptr(std::runtime_error("x")))); }},
    {"next with a fallback", [](numbers& g) { krait::next(g, -1); }},
    {"loop",
     [](numbers& g) {
       for (const int i : g) {
         static_cast<void>(i);
       }
     }},
};

}  // namespace

TEST_CASE("R37: a running generator refuses every operation, and can catch the error and go on") {
  for (const operation& each : operations) {
    CAPTURE(each.name);
    numbers* self = nullptr;
    std::string error;
    state during{};
    numbers g = [&](auto& yield) {
      yield(1);
      error = text_of(raised_by([&] { each.call(*self); }));
      during = self->state();
      yield(2);
      yield(3);
    };
    self = &g;
    g.next();
    CHECK(g.next() == 2);
    CHECK(error == already_executing);
    CHECK(during == state::running);
    CHECK(g.state() == state::suspended);
    CHECK(g.next() == 3);
  }
}

TEST_CASE("R37: so it does in its first run, even if a value is sent") {
  for (const operation& each : operations) {
    CAPTURE(each.name);
    numbers* self = nullptr;
    std::string error;
    numbers g = [&](auto& yield) {
      error = text_of(raised_by([&] { each.call(*self); }));
      yield(1);
    };
    self = &g;
    CHECK(g.next() == 1);
    CHECK(error == already_executing);
  }
}

TEST_CASE("R37: an object of a type without None is refused alike") {
  generator<int, int>* self = nullptr;
  journal errors;
  generator<int, int> g = [&](auto& yield) {
    yield(1);
    errors(text_of(raised_by([&] { self->next(); })));
    errors(text_of(raised_by([&] { self->send(1); })));
    yield(2);
  };
  self = &g;
  g.next();
  CHECK(g.send(0) == 2);
  CHECK(errors.text() == std::string(already_executing) + ", " + already_executing);
}

TEST_CASE("R37: the error is an ordinary exception of the body, and closes it if not caught") {
  numbers* self = nullptr;
  numbers g = [&](auto& yield) { yield(self->next()); };
  self = &g;
  CHECK_THROWS_WITH_AS(g.next(), already, krait::value_error);
  CHECK(g.state() == state::closed);
  CHECK_THROWS_AS(g.next(), krait::stop_iteration<>);
}

TEST_CASE("R37: a generator that another one drives from within itself is refused there") {
  generator<int>* a_self = nullptr;
  generator<std::string> catches = [&](auto& yield) { yield(text_of(raised_by([&] { a_self->next(); }))); };
  generator<std::string> passes = [&](auto& yield) {
    a_self->next();
    yield("not reached");
  };
  journal log;
  generator<int> a = [&](auto& yield) {
    log(catches.next());
    passes.next();
    yield(1);
  };
  a_self = &a;
  CHECK_THROWS_WITH_AS(a.next(), already, krait::value_error);
  CHECK(log.text() == already_executing);
  CHECK(catches.state() == state::suspended);
  CHECK(passes.state() == state::closed);
  CHECK(a.state() == state::closed);
}

TEST_CASE_TEMPLATE("R38: every delegator on the active chain is running", How, given, lent) {
  numbers* outer_self = nullptr;
  journal errors;
  state during{};
  numbers inner = [&](auto& yield) {
    yield(1);
    during = outer_self->state();
    for (const operation& each : operations) {
      errors(text_of(raised_by([&] { each.call(*outer_self); })));
    }
    yield(2);
  };
  numbers middle = [&](auto& yield) { yield.from(How::pass(inner)); };
  numbers outer = [&](auto& yield) { yield.from(How::pass(middle)); };
  outer_self = &outer;
  outer.next();
  CHECK(outer.next() == 2);
  CHECK(during == state::running);
  std::string all = already_executing;
  for (std::size_t i = 1; i < std::size(operations); ++i) {
    all += std::string(", ") + already_executing;
  }
  CHECK(errors.text() == all);
  CHECK(outer.state() == state::suspended);
}

TEST_CASE("R38: so are the generators lent along the chain") {
  generator<int>* middle_self = nullptr;
  std::string error;
  generator<int> inner = [&](auto& yield) {
    error = text_of(raised_by([&] { middle_self->next(); }));
    yield(1);
  };
  generator<int> middle = [&](auto& yield) { yield.from(inner); };
  middle_self = &middle;
  generator<int> outer = [&](auto& yield) { yield.from(middle); };
  CHECK(outer.next() == 1);
  CHECK(error == already_executing);
}

TEST_CASE_TEMPLATE("R38: a delegator runs while what it delegates to is thrown into or closed", How, given,
                   lent) {
  generator<int>* outer_self = nullptr;
  std::string error;
  state during{};
  generator<int> inner = [&](auto& yield) {
    try {
      yield(1);
    } catch (...) {
      during = outer_self->state();
      error = text_of(raised_by([&] { outer_self->next(); }));
      throw;
    }
  };
  generator<int> outer = [&](auto& yield) { yield.from(How::pass(inner)); };
  outer_self = &outer;
  outer.next();
  SUBCASE("throw_") {
    CHECK_THROWS_AS(outer.throw_(std::runtime_error("x")), std::runtime_error);
  }
  SUBCASE("throw_ of GeneratorExit") {
    CHECK_THROWS_AS(outer.throw_(krait::generator_exit()), krait::generator_exit);
  }
  SUBCASE("close") {
    outer.close();
  }
  CHECK(during == state::running);
  CHECK(error == already_executing);
  CHECK(outer.state() == state::closed);
}

TEST_CASE("R38: and while an object's next, send, throw_ or close runs") {
  struct prying {
    int next() { return pry("next"); }
    int send(optional_int) { return pry("send"); }
    int throw_(const std::exception_ptr&) { return pry("throw_"); }
    void close() { pry("close"); }
    int pry(const std::string& where) {
      log(where + " " + text_of(raised_by([&] { outer->close(); })));
      return outer->state() == state::running ? 1 : 0;
    }
    journal& log;
    numbers* outer;
  };
  journal log;
  prying inner{log, nullptr};
  numbers outer = [&](auto& yield) { yield.from(inner); };
  inner.outer = &outer;
  CHECK(outer.next() == 1);
  CHECK(outer.send(1) == 1);
  CHECK(outer.throw_(std::runtime_error("x")) == 1);
  outer.close();
  const std::string error = already_executing;
  CHECK(log.text() == "next " + error + ", send " + error + ", throw_ " + error + ", close " + error);
}

TEST_CASE_TEMPLATE("R38: a generator cannot delegate to itself", How, given, lent) {
  generator<int>* self = nullptr;
  generator<int> passes = [&](auto& yield) { yield.from(How::pass(*self)); };
  self = &passes;
  CHECK_THROWS_WITH_AS(passes.next(), already, krait::value_error);
  CHECK(passes.state() == state::closed);

  generator<int> catches = [&](auto& yield) {
    try {
      yield.from(How::pass(*self));
    } catch (const krait::value_error&) {
      yield(1);
    }
    yield(2);
  };
  self = &catches;
  CHECK(catches.next() == 1);
  CHECK(catches.next() == 2);
}

TEST_CASE("R38: nor around a cycle") {
  generator<int>* a_self = nullptr;
  journal log;
  generator<int> b = [&](auto& yield) {
    try {
      yield.from(*a_self);
    } catch (const krait::value_error& e) {
      log(e.what());
      throw;
    }
  };
  generator<int> a = [&](auto& yield) { yield.from(b); };
  a_self = &a;
  CHECK_THROWS_WITH_AS(a.next(), already, krait::value_error);
  CHECK(log.text() == already);
  CHECK(a.state() == state::closed);
  CHECK(b.state() == state::closed);
}

TEST_CASE("R39: an inner generator that touches its suspended delegator gets it closed") {
  generator<int>* outer_self = nullptr;
  journal log;
  generator<int> inner = [&](auto& yield) {
    yield(1);
    log("inner: " + text_of(raised_by([&] { outer_self->next(); })));
    log(outer_self->done() ? "outer closed" : "outer alive");
    yield(2);
  };
  generator<int> outer = [&](auto& yield) {
    try {
      yield.from(inner);
    } catch (const krait::value_error& e) {
      log(std::string("outer: ") + e.what());
      throw;
    }
  };
  outer_self = &outer;
  outer.next();
  CHECK(inner.next() == 2);
  CHECK(log.text() == std::string("outer: ") + already + ", inner: " + already_executing + ", outer closed");
}

TEST_CASE("R39: the delegator may catch the error and go on") {
  generator<int>* outer_self = nullptr;
  int seen_by_inner = 0;
  generator<int> inner = [&](auto& yield) {
    yield(1);
    seen_by_inner = outer_self->throw_(std::runtime_error("x"));
    yield(2);
  };
  generator<int> outer = [&](auto& yield) {
    try {
      yield.from(inner);
    } catch (const krait::value_error&) {
    }
    yield(10);
  };
  outer_self = &outer;
  outer.next();
  CHECK(inner.next() == 2);
  CHECK(seen_by_inner == 10);
  CHECK(outer.state() == state::suspended);
}

TEST_CASE("R40: it is the object that runs: others of the same body can be driven from within") {
  struct countdown {
    static generator<int> from(int n) {
      return [n](auto& yield) {
        yield(n);
        if (n > 0) {
          generator<int> rest = from(n - 1);
          for (const int i : rest) {
            yield(i);
          }
        }
      };
    }
  };
  std::vector<int> all;
  for (const int i : countdown::from(3)) {
    all.push_back(i);
  }
  CHECK(all == std::vector<int>{3, 2, 1, 0});
}

TEST_CASE("R40: a second thread cannot resume a running generator") {
  std::promise<void> body_runs;
  std::promise<void> second_is_done;
  generator<int> g = [&](auto& yield) {
    body_runs.set_value();
    second_is_done.get_future().wait();
    yield(1);
  };
  std::string error;
  std::thread second([&] {
    body_runs.get_future().wait();
    error = text_of(raised_by([&] { g.next(); }));
    second_is_done.set_value();
  });
  CHECK(g.next() == 1);
  second.join();
  CHECK(error == already_executing);
}

TEST_CASE("R40: a suspended generator can be resumed by any thread") {
  // Whom it runs on is not asked: compilers take std::this_thread::get_id() for constant within a function.
  generator<int, optional_int, int> g = [](auto& yield) {
    int sum = 0;
    for (int i = 0; i < 3; ++i) {
      try {
        throw std::runtime_error("handled on one thread, left on another");
      } catch (const std::runtime_error&) {
        sum += yield(sum).value_or(0);
      }
    }
    return sum;
  };
  CHECK(g.next() == 0);
  std::vector<int> sums;
  for (const int sent : {1, 2}) {
    std::thread([&] { sums.push_back(g.send(sent)); }).join();
  }
  CHECK(sums == std::vector<int>{1, 3});
  CHECK(stop_value<int>([&] { g.send(10); }) == 13);
}

TEST_CASE("R41: yielding_from is false without a delegation, in every state") {
  generator<int>* self = nullptr;
  bool during = true;
  generator<int> g = [&](auto& yield) {
    during = self->yielding_from();
    yield(1);
  };
  self = &g;
  CHECK_FALSE(g.yielding_from());
  g.next();
  CHECK_FALSE(during);
  CHECK_FALSE(g.yielding_from());
  CHECK_THROWS_AS(g.next(), krait::stop_iteration<>);
  CHECK_FALSE(g.yielding_from());
}

TEST_CASE_TEMPLATE("R41: yielding_from is true only while suspended in a delegation", How, given, lent) {
  generator<int>* outer_self = nullptr;
  bool during = true;
  generator<int> inner = [&](auto& yield) {
    during = outer_self->yielding_from();
    yield(1);
  };
  generator<int> outer = [&](auto& yield) {
    yield(0);
    yield.from(How::pass(inner));
    yield(2);
    try {
      yield.from(std::vector<int>{3});
    } catch (const std::runtime_error&) {
    }
    yield(4);
  };
  outer_self = &outer;
  CHECK(outer.next() == 0);
  CHECK_FALSE(outer.yielding_from());
  CHECK(outer.next() == 1);
  CHECK_FALSE(during);
  CHECK(outer.yielding_from());
  CHECK(outer.next() == 2);
  CHECK_FALSE(outer.yielding_from());
  CHECK(outer.next() == 3);
  CHECK(outer.yielding_from());
  CHECK(outer.throw_(std::runtime_error("x")) == 4);
  CHECK_FALSE(outer.yielding_from());
}

TEST_CASE_TEMPLATE("R41: a delegation that was closed is over", How, given, lent) {
  generator<int> inner = [](auto& yield) { yield(1); };
  generator<int> outer = [&](auto& yield) { yield.from(How::pass(inner)); };
  outer.next();
  CHECK(outer.yielding_from());
  outer.close();
  CHECK_FALSE(outer.yielding_from());
}

TEST_CASE("R41: an object delegated to counts, a loop over a generator does not") {
  struct only_next {
    int next() { return 1; }
  };
  generator<int> delegates = [](auto& yield) { yield.from(only_next()); };
  delegates.next();
  CHECK(delegates.yielding_from());

  generator<int> loops = [&](auto& yield) {
    for (const int i : delegates) {
      yield(i);
    }
  };
  loops.next();
  CHECK_FALSE(loops.yielding_from());
}

TEST_CASE_TEMPLATE("R43: a chain of a thousand works", How, given, lent) {
  constexpr int depth = 1000;
  int unwound = 0;
  struct count {
    int& total;
    ~count() { ++total; }
  };
  std::list<numbers> chain;
  chain.emplace_back([](auto& yield) {
    for (optional_int got;;) {
      try {
        got = yield(got.value_or(-1));
      } catch (const std::out_of_range&) {
        got = 77;
      }
    }
  });
  for (int i = 1; i < depth; ++i) {
    numbers& inner = chain.back();
    chain.emplace_back([&unwound, &inner](auto& yield) {
      const count at_last{unwound};
      yield.from(How::pass(inner));
    });
  }
  {
    numbers outer = std::move(chain.back());
    CHECK(outer.next() == -1);
    CHECK(outer.send(5) == 5);
    CHECK(outer.throw_(std::out_of_range("caught")) == 77);
    CHECK(outer.next() == -1);
    CHECK(unwound == 0);

    SUBCASE("throw_") {
      CHECK_THROWS_WITH_AS(outer.throw_(std::runtime_error("x")), "x", std::runtime_error);
      CHECK(unwound == depth - 1);
    }
    SUBCASE("close") {
      outer.close();
      CHECK(unwound == depth - 1);
    }
    SUBCASE("drop") {}
  }
  CHECK(unwound == depth - 1);
}

TEST_CASE("R43: a chain of thousands that has not started can be dropped") {
  const auto token = std::make_shared<int>();
  {
    generator<int> chain = [token](auto& yield) { yield(*token); };
    for (int i = 0; i < 5000; ++i) {
      chain = generator<int>([inner = std::move(chain)](auto& yield) mutable {  //
        yield.from(std::move(inner));
      });
    }
    CHECK(token.use_count() == 2);
  }
  CHECK(token.use_count() == 1);
}

TEST_CASE("R43: a chain that builds itself, each level calling the next, can be thousands deep") {
  struct nested {
    static generator<int, void, int> of(int depth) {
      return [depth](auto& yield) -> int {
        if (depth == 0) {
          yield(1);
          return 0;
        }
        return 1 + yield.from(of(depth - 1));
      };
    }
  };
  generator<int, void, int> g = nested::of(5000);
  CHECK(g.next() == 1);
  CHECK(stop_value<int>([&] { g.next(); }) == 5000);
}

// Not here, for a fact about C++:
//
// R41  Which object is delegated to: there is no common type to name it by. yielding_from says whether.
// R42  Context variables: C++ has none.
// R43  RecursionError: every generator has a stack of its own, so depth is bounded by memory only.
