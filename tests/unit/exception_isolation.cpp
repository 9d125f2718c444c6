// SPDX-License-Identifier: BSL-1.0
#include <doctest/doctest.h>

#include <algorithm>
#include <array>
#include <exception>
#include <functional>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <krait/krait.hpp>

#include "support/probes.hpp"

namespace {

using probes::handled;

/// Nothing is being handled and nothing is in flight, as far as the caller's stack is concerned.
bool clean() {
  return std::current_exception() == nullptr && std::uncaught_exceptions() == 0;
}

std::runtime_error error(const std::string& text) {
  return std::runtime_error(text);
}

/// Suspended in two handlers, one within the other; then rethrows each with `throw;`. Yields what it handles.
krait::generator<std::string> rethrower(std::string name) {
  return [name](auto& yield) {
    try {
      try {
        throw error(name + " outer");
      } catch (const std::exception&) {
        yield(handled());
        try {
          throw error(name + " inner");
        } catch (const std::exception&) {
          yield(handled());
          try {
            throw;
          } catch (const std::exception& e) {
            yield(std::string("again ") + e.what());
          }
        }
        yield(handled());
        throw;
      }
    } catch (const std::exception& e) {
      yield(std::string("finally ") + e.what());
      throw;
    }
  };
}

}  // namespace

TEST_CASE("two generators that are suspended in a handler each rethrow their own exception") {
  const auto body = [](const char* text) {
    return krait::generator<int>([text](auto& yield) {
      try {
        throw error(text);
      } catch (const std::exception&) {
        yield(1);
        throw;
      }
    });
  };
  krait::generator<int> first = body("first");
  krait::generator<int> second = body("second");
  first.next();
  second.next();
  SUBCASE("in the order they were suspended") {
    CHECK_THROWS_WITH_AS(first.next(), "first", std::runtime_error);
    CHECK_THROWS_WITH_AS(second.next(), "second", std::runtime_error);
  }
  SUBCASE("in the opposite order") {
    CHECK_THROWS_WITH_AS(second.next(), "second", std::runtime_error);
    CHECK_THROWS_WITH_AS(first.next(), "first", std::runtime_error);
  }
  CHECK(clean());
}

TEST_CASE("three generators in nested handlers keep their exceptions apart in any interleaving") {
  const std::array<std::string, 3> names{"a", "b", "c"};
  std::string schedule = "aaaabbbbcccc";
  int schedules = 0;
  int wrong = 0;
  do {
    // Every seventh of the 34,650 schedules, which is still each kind of meeting many times.
    if (schedules++ % 7 != 0) {
      continue;
    }
    std::vector<krait::generator<std::string>> generators;
    for (const std::string& name : names) {
      generators.push_back(rethrower(name));
    }
    std::array<int, 3> steps{};
    for (const char which : schedule) {
      const auto i = static_cast<std::size_t>(which - 'a');
      const std::array<std::string, 4> expected{names[i] + " outer", names[i] + " inner",
                                                "again " + names[i] + " inner", names[i] + " outer"};
      wrong += generators[i].next() != expected[static_cast<std::size_t>(steps[i]++)];
      wrong += !clean();
    }
    for (std::size_t i = 0; i < 3; ++i) {
      wrong += generators[i].next() != "finally " + names[i] + " outer";
    }
    for (std::size_t i = 0; i < 3; ++i) {
      try {
        generators[i].next();
        ++wrong;
      } catch (const std::exception& e) {
        wrong += e.what() != names[i] + " outer";
      }
    }
  } while (std::next_permutation(schedule.begin(), schedule.end()));
  CHECK(schedules == 34'650);
  CHECK(wrong == 0);
}

TEST_CASE("a generator first resumed from a handler starts clean, and the handler is intact afterwards") {
  krait::generator<int> g = [](auto& yield) {
    CHECK(clean());
    yield(1);
    CHECK(clean());
    try {
      throw error("body");
    } catch (const std::exception&) {
      CHECK(handled() == "body");
      yield(2);
      CHECK(handled() == "body");
    }
    CHECK(clean());
    yield(3);
    CHECK(clean());
  };
  try {
    try {
      throw error("resumer");
    } catch (const std::exception&) {
      CHECK(g.next() == 1);
      CHECK(handled() == "resumer");
      CHECK(g.next() == 2);
      CHECK(handled() == "resumer");
      throw;
    }
  } catch (const std::exception& e) {
    CHECK(std::string(e.what()) == "resumer");
    CHECK(g.next() == 3);
    CHECK(handled() == "resumer");
    CHECK_THROWS_AS(g.next(), krait::stop_iteration<>);
    CHECK(handled() == "resumer");
  }
  CHECK(clean());
}

TEST_CASE("a generator suspended in a handler may be resumed from any other, or from none") {
  krait::generator<std::string> g = rethrower("g");
  CHECK(g.next() == "g outer");
  CHECK(clean());
  try {
    throw error("resumer");
  } catch (const std::exception&) {
    CHECK(g.next() == "g inner");
    CHECK(handled() == "resumer");
  }
  CHECK(clean());
  try {
    throw 5;
  } catch (int) {
    CHECK(g.next() == "again g inner");
    CHECK(handled() == "int 5");
    try {
      throw error("nested");
    } catch (const std::exception&) {
      CHECK(g.next() == "g outer");
      CHECK(handled() == "nested");
    }
    CHECK(handled() == "int 5");
  }
  CHECK(g.next() == "finally g outer");
  CHECK(clean());
  CHECK_THROWS_WITH_AS(g.next(), "g outer", std::runtime_error);
}

TEST_CASE("a generator may be created, resumed, closed and destroyed in a handler that then rethrows") {
  std::string seen;
  const auto resumer = [&seen] {
    try {
      throw error("mine");
    } catch (const std::exception&) {
      krait::generator<int> closed = [&seen](auto& yield) {
        try {
          throw error("theirs");
        } catch (const std::exception&) {
          const probes::at_exit note([&seen] { seen += handled() + "; "; });
          yield(1);
        }
      };
      closed.next();
      closed.close();
      {
        krait::generator<int> destroyed = [&seen](auto& yield) {
          const probes::at_exit note([&seen] { seen += handled() + "; "; });
          yield(1);
        };
        destroyed.next();
      }
      {
        krait::generator<int> failing = [](auto& yield) {
          yield(1);
          throw error("failing");
        };
        failing.next();
        CHECK_THROWS_WITH_AS(failing.next(), "failing", std::runtime_error);
      }
      throw;
    }
  };
  CHECK_THROWS_WITH_AS(resumer(), "mine", std::runtime_error);
  CHECK(seen == "theirs; none; ");
}

TEST_CASE("uncaught_exceptions counts one in destructors of a body that unwinds, and none after") {
  std::vector<int> counts;
  krait::generator<int> g = [&counts](auto& yield) {
    const auto note = [&counts] { counts.push_back(std::uncaught_exceptions()); };
    try {
      const probes::at_exit first(note);
      yield(1);
      throw error("unwinds");
    } catch (const std::exception&) {
      note();
    }
    note();
    const probes::at_exit second(note);
    yield(2);
  };
  CHECK(g.next() == 1);
  CHECK(g.next() == 2);
  CHECK(counts == std::vector<int>{1, 0, 0});
  SUBCASE("closed") {
    g.close();
  }
  SUBCASE("destroyed") {
    const krait::generator<int> taken = std::move(g);
  }
  SUBCASE("thrown into") {
    CHECK_THROWS_AS(g.throw_(5), int);
  }
  CHECK(counts == std::vector<int>{1, 0, 0, 1});
  CHECK(std::uncaught_exceptions() == 0);
}

TEST_CASE("in a destructor that runs as a body returns, nothing is in flight") {
  int count = -1;
  krait::generator<int> g = [&count](auto& yield) {
    const probes::at_exit note([&count] { count = std::uncaught_exceptions(); });
    yield(1);
  };
  SUBCASE("from no handler") {
    g.next();
    CHECK_THROWS_AS(g.next(), krait::stop_iteration<>);
  }
  SUBCASE("resumed while the resumer unwinds") {
    g.next();
    try {
      const probes::at_exit resume([&g] { static_cast<void>(g.resume()); });
      throw error("unwinds");
    } catch (const std::exception&) {
    }
  }
  CHECK(count == 0);
}

TEST_CASE("a destructor during unwinding may create, resume, throw into and close generators") {
  std::vector<std::string> log;
  const auto note = [&log](const char* where) {
    log.push_back(std::string(where) + " " + std::to_string(std::uncaught_exceptions()));
  };
  krait::generator<int> earlier = [&](auto& yield) {
    note("earlier");
    try {
      const probes::at_exit on_exit([&] { note("earlier unwinds"); });
      yield(1);
    } catch (int) {
      note("earlier handles");
      yield(2);
    }
    note("earlier returns");
  };
  CHECK(earlier.next() == 1);
  krait::generator<int> closed = [&](auto& yield) {
    const probes::at_exit on_exit([&] { note("closed unwinds"); });
    yield(1);
  };
  CHECK(closed.next() == 1);
  try {
    const probes::at_exit on_exit([&] {
      note("resumer unwinds");
      CHECK(earlier.throw_(5) == 2);
      note("resumer unwinds");
      krait::generator<int> created = [&](auto& yield) {
        note("created");
        yield(3);
      };
      CHECK(created.next() == 3);
      closed.close();
      note("resumer unwinds");
      CHECK_THROWS_AS(earlier.next(), krait::stop_iteration<>);
      note("resumer unwinds");
    });
    throw error("unwinds");
  } catch (const std::exception&) {
    CHECK(handled() == "unwinds");
    note("resumer handles");
  }
  CHECK(log == std::vector<std::string>{"earlier 0", "resumer unwinds 1", "earlier unwinds 1",
                                        "earlier handles 0", "resumer unwinds 1", "created 0",
                                        "closed unwinds 1", "resumer unwinds 1", "earlier returns 0",
                                        "resumer unwinds 1", "resumer handles 0"});
}

TEST_CASE("a generator is closed by the unwinding of the function that holds it") {
  std::vector<int> counts;
  const auto holder = [&counts] {
    const probes::at_exit outer([&] { counts.push_back(std::uncaught_exceptions()); });
    krait::generator<int> g = [&counts](auto& yield) {
      const probes::at_exit note([&] { counts.push_back(std::uncaught_exceptions()); });
      try {
        yield(1);
      } catch (const krait::generator_exit&) {
        counts.push_back(std::uncaught_exceptions());
        throw;
      }
    };
    g.next();
    throw error("from the holder");
  };
  CHECK_THROWS_WITH_AS(holder(), "from the holder", std::runtime_error);
  CHECK(counts == std::vector<int>{0, 1, 1});
}

TEST_CASE("a generator may be unwound while it is in the midst of another's unwinding, to any depth") {
  // Each destructor, run by unwinding, resumes a generator whose body unwinds likewise.
  std::vector<int> counts;
  const std::function<void(int)> unwind = [&](int depth) {
    try {
      const probes::at_exit go_deeper([&, depth] {
        counts.push_back(std::uncaught_exceptions());
        if (depth > 0) {
          krait::generator<int> g = [&unwind, depth](auto& yield) {
            CHECK(std::uncaught_exceptions() == 0);
            unwind(depth - 1);
            yield(depth);
          };
          CHECK(g.next() == depth);
        }
        counts.push_back(std::uncaught_exceptions());
      });
      throw depth;
    } catch (int caught) {
      CHECK(caught == depth);
    }
  };
  unwind(20);
  CHECK(counts == std::vector<int>(42, 1));
  CHECK(clean());
}

TEST_CASE("a yield from a destructor during unwinding is allowed, and the unwinding goes on where it was") {
  using noting_yielder = krait::yielder<std::string>;
  struct yields_when_destroyed {
    noting_yielder& yield;
    std::string text;
    ~yields_when_destroyed() {
      yield(text + " " + std::to_string(std::uncaught_exceptions()));
      yield(text + " again " + std::to_string(std::uncaught_exceptions()));
    }
  };
  const auto body = [](std::string name) {
    return krait::generator<std::string>([name](noting_yielder& yield) {
      try {
        const yields_when_destroyed local{yield, name};
        throw error(name + " error");
      } catch (const std::exception& e) {
        yield(std::string(e.what()) + " " + std::to_string(std::uncaught_exceptions()));
        throw;
      }
    });
  };
  krait::generator<std::string> one = body("one");
  krait::generator<std::string> two = body("two");
  CHECK(one.next() == "one 1");
  CHECK(clean());
  CHECK(two.next() == "two 1");
  CHECK(clean());
  CHECK(one.next() == "one again 1");
  CHECK(one.next() == "one error 0");
  CHECK(two.next() == "two again 1");
  try {
    throw error("resumer");
  } catch (const std::exception&) {
    CHECK(two.next() == "two error 0");
    CHECK(handled() == "resumer");
  }
  CHECK_THROWS_WITH_AS(one.next(), "one error", std::runtime_error);
  CHECK_THROWS_WITH_AS(two.next(), "two error", std::runtime_error);
  CHECK(clean());
}

namespace {

struct plain {
  int number;
  const plain* self;
};

/// An exception that counts itself.
struct counted_error : std::exception {
  explicit counted_error(probes::tally& where) : counter(where) {}
  const char* what() const noexcept override { return "counted"; }
  probes::counted counter;
};

}  // namespace

TEST_CASE("an exception leaves a body as the very object that was thrown") {
  const void* thrown = nullptr;
  const auto catch_and_rethrow = [&thrown](auto throw_something) {
    return [&thrown, throw_something](auto& yield) {
      try {
        yield(1);
        throw_something();
      } catch (const std::exception& e) {
        thrown = dynamic_cast<const void*>(&e);
        throw;
      } catch (const int& e) {
        thrown = &e;
        throw;
      } catch (const plain& e) {
        thrown = &e;
        throw;
      }
    };
  };
  SUBCASE("a standard exception") {
    krait::generator<int> g = catch_and_rethrow([] { throw std::out_of_range("far"); });
    g.next();
    try {
      g.next();
      FAIL("nothing was thrown");
    } catch (const std::out_of_range& e) {
      CHECK(&e == thrown);
      CHECK(std::string(e.what()) == "far");
    }
  }
  SUBCASE("an int") {
    krait::generator<int> g = catch_and_rethrow([] { throw 42; });
    g.next();
    try {
      g.next();
      FAIL("nothing was thrown");
    } catch (const int& e) {
      CHECK(&e == thrown);
      CHECK(e == 42);
    }
  }
  SUBCASE("a struct, through delegations") {
    krait::generator<int> middle = [&](auto& yield) {
      yield.from(krait::generator<int>(catch_and_rethrow([] { throw plain{7, nullptr}; })));
    };
    krait::generator<int> g = [&middle](auto& yield) { yield.from(middle); };
    g.next();
    try {
      g.next();
      FAIL("nothing was thrown");
    } catch (const plain& e) {
      CHECK(&e == thrown);
      CHECK(e.number == 7);
    }
  }
}

TEST_CASE(
    "an exception thrown into a generator is the very object, in the body and when it comes out again") {
  probes::tally errors;
  {
    const std::exception_ptr given = std::make_exception_ptr(counted_error(errors));
    const int copies = errors.copies + errors.moves;
    const void* address = nullptr;
    try {
      std::rethrow_exception(given);
    } catch (const counted_error& e) {
      address = &e;
    }
    bool same_inside = false;
    const auto body = [&](auto& yield) {
      try {
        yield(1);
      } catch (const counted_error& e) {
        same_inside = &e == address && std::current_exception() == given;
        throw;
      }
    };
    krait::generator<int> g = body;
    SUBCASE("itself") {}
    SUBCASE("through a delegation") {
      g = [&](auto& yield) { yield.from(krait::generator<int>(body)); };
    }
    SUBCASE("through a delegation by reference") {
      g = [&](auto& yield) {
        krait::generator<int> inner = body;
        yield.from(inner);
      };
    }
    g.next();
    try {
      g.throw_(given);
      FAIL("nothing came out");
    } catch (const counted_error& e) {
      CHECK(&e == address);
      CHECK(std::current_exception() == given);
    }
    CHECK(same_inside);
    CHECK(errors.copies + errors.moves == copies);
    CHECK(errors.live == 1);
  }
  CHECK(errors.live == 0);
}

TEST_CASE("types that are no std::exception cross as they are") {
  const auto throwing = [](auto what) {
    return krait::generator<int>([what](auto& yield) {
      yield(1);
      throw what;
    });
  };
  SUBCASE("int") {
    krait::generator<int> g = throwing(3);
    g.next();
    CHECK_THROWS_AS(g.next(), int);
  }
  SUBCASE("a character pointer") {
    krait::generator<int> g = throwing("literal");
    g.next();
    CHECK_THROWS_AS(g.next(), const char*);
  }
  SUBCASE("a struct") {
    krait::generator<int> g = throwing(plain{});
    g.next();
    CHECK_THROWS_AS(g.next(), plain);
  }
  SUBCASE("generator_exit") {
    krait::generator<int> g = throwing(krait::generator_exit());
    g.next();
    CHECK_THROWS_AS(g.next(), krait::generator_exit);
  }
}

TEST_CASE("a nested exception keeps its cause across the border") {
  krait::generator<int> g = [](auto& yield) {
    try {
      try {
        yield(1);
      } catch (int) {
        std::throw_with_nested(error("effect"));
      }
    } catch (const std::exception&) {
      yield(2);
      throw;
    }
  };
  g.next();
  CHECK(g.throw_(17) == 2);
  try {
    g.next();
    FAIL("nothing was thrown");
  } catch (const std::runtime_error& e) {
    CHECK(std::string(e.what()) == "effect");
    CHECK_THROWS_AS(std::rethrow_if_nested(e), int);
  }
}

TEST_CASE("closing a generator that is suspended in handlers releases the exceptions they handle") {
  probes::tally errors;
  const auto body = [&errors](auto& yield) {
    try {
      throw counted_error(errors);
    } catch (const counted_error&) {
      try {
        throw counted_error(errors);
      } catch (const counted_error&) {
        yield(1);
      }
    }
  };
  krait::generator<int> g = body;
  SUBCASE("closed") {
    g.next();
    CHECK(errors.live == 2);
    g.close();
  }
  SUBCASE("destroyed") {
    g.next();
    const krait::generator<int> taken = std::move(g);
  }
  SUBCASE("in a delegation") {
    g = [&body](auto& yield) {
      try {
        throw error("outer");
      } catch (const std::exception&) {
        yield.from(krait::generator<int>(body));
      }
    };
    g.next();
    CHECK(errors.live == 2);
    g.close();
  }
  SUBCASE("thrown into") {
    g.next();
    CHECK_THROWS_AS(g.throw_(1), int);
  }
  CHECK(errors.live == 0);
  CHECK(clean());
}

TEST_CASE("an exception that came out of a generator lives no longer than its handler") {
  probes::tally errors;
  krait::generator<int> g = [&errors](auto& yield) {
    yield(1);
    throw counted_error(errors);
  };
  g.next();
  try {
    g.next();
    FAIL("nothing was thrown");
  } catch (const counted_error&) {
    CHECK(errors.live == 1);
  }
  CHECK(errors.live == 0);
  CHECK(g.done());
}

TEST_CASE("exceptions may be thrown into a handler that is suspended, and handled there") {
  krait::generator<std::string> g = [](auto& yield) {
    try {
      try {
        throw error("first");
      } catch (const std::exception&) {
        try {
          yield(handled());
        } catch (const std::exception&) {
          try {
            yield(handled());
          } catch (int) {
            yield(handled());
          }
          yield(handled());
        }
        yield(handled());
        throw;
      }
    } catch (const std::exception& e) {
      yield(std::string("rethrown ") + e.what());
    }
    CHECK(clean());
  };
  CHECK(g.next() == "first");
  CHECK(g.throw_(error("second")) == "second");
  CHECK(g.throw_(3) == "int 3");
  CHECK(g.next() == "second");
  CHECK(g.next() == "first");
  CHECK(g.next() == "rethrown first");
  CHECK_THROWS_AS(g.next(), krait::stop_iteration<>);
}

TEST_CASE("a delegation in a handler starts clean, and the handler is intact afterwards") {
  const auto inner_body = [](auto& yield) {
    CHECK(clean());
    try {
      throw error("inner");
    } catch (const std::exception&) {
      yield(handled());
      CHECK(handled() == "inner");
      yield(handled());
    }
    CHECK(clean());
    yield(handled());
  };
  krait::generator<std::string> by_reference = inner_body;
  const auto outer = [](auto delegate) {
    return krait::generator<std::string>([delegate](auto& yield) {
      try {
        try {
          throw error("outer");
        } catch (const std::exception&) {
          delegate(yield);
          yield(handled());
          throw;
        }
      } catch (const std::exception& e) {
        yield(std::string("rethrown ") + e.what());
      }
      CHECK(clean());
    });
  };
  krait::generator<std::string> g = [](auto&) {};
  SUBCASE("given away") {
    g = outer([=](auto& yield) { yield.from(krait::generator<std::string>(inner_body)); });
  }
  SUBCASE("by reference") {
    g = outer([&by_reference](auto& yield) { yield.from(by_reference); });
  }
  SUBCASE("through another level that handles something") {
    g = outer([=](auto& yield) {
      yield.from(krait::generator<std::string>([=](auto& middle) {
        CHECK(clean());
        try {
          throw error("middle");
        } catch (const std::exception&) {
          middle.from(krait::generator<std::string>(inner_body));
          CHECK(handled() == "middle");
        }
      }));
    });
  }
  try {
    throw error("resumer");
  } catch (const std::exception&) {
    CHECK(g.next() == "inner");
    CHECK(handled() == "resumer");
    CHECK(g.next() == "inner");
    CHECK(g.next() == "none");
    CHECK(handled() == "resumer");
  }
  CHECK(g.next() == "outer");
  CHECK(g.next() == "rethrown outer");
  CHECK_THROWS_AS(g.next(), krait::stop_iteration<>);
}

TEST_CASE(
    "an exception of a delegate is handled within the delegator's handler, which is intact afterwards") {
  const auto inner_body = [](auto& yield) {
    yield("inner");
    throw error("from inner");
  };
  krait::generator<std::string> by_reference = inner_body;
  bool given_away = true;
  SUBCASE("given away") {
    given_away = true;
  }
  SUBCASE("by reference") {
    given_away = false;
  }
  krait::generator<std::string> g = [&](auto& yield) {
    try {
      throw error("outer");
    } catch (const std::exception&) {
      try {
        if (given_away) {
          yield.from(std::move(by_reference));
        } else {
          yield.from(by_reference);
        }
      } catch (const std::exception&) {
        yield(handled());
      }
      yield(handled());
      throw;
    }
  };
  CHECK(g.next() == "inner");
  CHECK(g.next() == "from inner");
  CHECK(g.next() == "outer");
  CHECK_THROWS_WITH_AS(g.next(), "outer", std::runtime_error);
}

TEST_CASE("a delegation during unwinding keeps count") {
  std::vector<int> counts;
  krait::generator<int> g = [&counts](auto& yield) {
    try {
      const probes::at_exit delegate([&] {
        counts.push_back(std::uncaught_exceptions());
        yield.from(krait::generator<int>([&counts](auto& inner) {
          counts.push_back(std::uncaught_exceptions());
          inner(1);
          counts.push_back(std::uncaught_exceptions());
        }));
        counts.push_back(std::uncaught_exceptions());
      });
      throw error("unwinds");
    } catch (const std::exception&) {
      yield(2);
    }
  };
  CHECK(g.next() == 1);
  CHECK(clean());
  CHECK(g.next() == 2);
  CHECK(counts == std::vector<int>{1, 0, 0, 1});
}

TEST_CASE("a generator suspended in handlers may go on in another thread") {
  krait::generator<std::string> g = rethrower("g");
  const auto resume_in_thread = [&g](const std::string& expected) {
    std::thread([&] {
      CHECK(clean());
      CHECK(g.next() == expected);
      CHECK(clean());
      try {
        throw error("the thread's own");
      } catch (const std::exception&) {
        CHECK(handled() == "the thread's own");
      }
    }).join();
  };
  CHECK(g.next() == "g outer");
  resume_in_thread("g inner");
  CHECK(g.next() == "again g inner");
  resume_in_thread("g outer");
  std::thread([&g] {
    try {
      throw error("the thread's own");
    } catch (const std::exception&) {
      CHECK(g.next() == "finally g outer");
      CHECK(handled() == "the thread's own");
    }
    CHECK(clean());
  }).join();
  CHECK(clean());
  CHECK_THROWS_WITH_AS(g.next(), "g outer", std::runtime_error);
}

TEST_CASE("a generator in the midst of unwinding may go on in another thread") {
  std::vector<int> counts;
  krait::generator<int> g = [&counts](auto& yield) {
    try {
      const probes::at_exit on_exit([&] {
        counts.push_back(std::uncaught_exceptions());
        yield(1);
        counts.push_back(std::uncaught_exceptions());
      });
      throw error("unwinds");
    } catch (const std::exception& e) {
      counts.push_back(std::uncaught_exceptions());
      CHECK(std::string(e.what()) == "unwinds");
      yield(2);
    }
  };
  CHECK(g.next() == 1);
  std::thread([&g] {
    CHECK(clean());
    CHECK(g.next() == 2);
    CHECK(clean());
  }).join();
  CHECK(clean());
  CHECK(counts == std::vector<int>{1, 1, 0});
  g.close();
}

TEST_CASE("a generator suspended in a handler may be closed or destroyed by another thread") {
  probes::tally errors;
  const auto body = [&errors](auto& yield) {
    try {
      throw counted_error(errors);
    } catch (const counted_error&) {
      yield(1);
    }
  };
  krait::generator<int> closed = body;
  std::optional<krait::generator<int>> destroyed(std::in_place, body);
  closed.next();
  destroyed->next();
  CHECK(errors.live == 2);
  std::thread([&] {
    closed.close();
    destroyed.reset();
    CHECK(clean());
  }).join();
  CHECK(errors.live == 0);
}

TEST_CASE("many threads pass generators that are suspended in handlers around") {
  constexpr std::size_t count = 4;
  constexpr int rounds = 50;
  std::vector<krait::generator<std::string>> generators;
  for (std::size_t i = 0; i < count; ++i) {
    generators.emplace_back([i](auto& yield) {
      for (int round = 0; round < rounds; ++round) {
        try {
          throw error("g" + std::to_string(i) + "/" + std::to_string(round));
        } catch (const std::exception&) {
          yield(handled());
        }
      }
    });
  }
  for (int round = 0; round < rounds; ++round) {
    std::vector<std::thread> threads;
    for (std::size_t i = 0; i < count; ++i) {
      threads.emplace_back([&generators, i, round] {
        CHECK(generators[i].next() == "g" + std::to_string(i) + "/" + std::to_string(round));
        CHECK(clean());
      });
    }
    for (std::thread& thread : threads) {
      thread.join();
    }
  }
}

TEST_CASE("generators that end within nested resumptions leave every resumer's handler as it was") {
  std::vector<std::string> log;
  krait::generator<int> innermost = [&log](auto& yield) {
    try {
      throw error("innermost");
    } catch (const std::exception&) {
      yield(1);
      log.push_back(handled());
    }
  };
  krait::generator<int> middle = [&](auto& yield) {
    try {
      throw error("middle");
    } catch (const std::exception&) {
      innermost.next();
      log.push_back(handled());
      yield(2);
      CHECK_THROWS_AS(innermost.next(), krait::stop_iteration<>);
      log.push_back(handled());
    }
    throw error("middle's end");
  };
  krait::generator<int> outer = [&](auto& yield) {
    try {
      throw error("outer");
    } catch (const std::exception&) {
      middle.next();
      log.push_back(handled());
      yield(3);
      try {
        middle.next();
      } catch (const std::exception&) {
        log.push_back(handled());
      }
      log.push_back(handled());
      throw;
    }
  };
  CHECK(outer.next() == 3);
  CHECK(log == std::vector<std::string>{"middle", "outer"});
  log.clear();
  CHECK_THROWS_WITH_AS(outer.next(), "outer", std::runtime_error);
  CHECK(log == std::vector<std::string>{"innermost", "middle", "middle's end", "outer"});
  CHECK(clean());
}

TEST_CASE("a generator finished by another's stack is none the worse for the handlers it was begun under") {
  krait::generator<int> g = [](auto& yield) {
    try {
      throw error("g");
    } catch (const std::exception&) {
      yield(1);
      CHECK(handled() == "g");
      yield(2);
      CHECK(handled() == "g");
    }
  };
  try {
    throw error("main");
  } catch (const std::exception&) {
    g.next();
  }
  krait::generator<int> other = [&g](auto& yield) {
    try {
      throw error("other");
    } catch (const std::exception&) {
      yield(g.next());
      CHECK(handled() == "other");
    }
  };
  CHECK(other.next() == 2);
  CHECK_THROWS_AS(g.next(), krait::stop_iteration<>);
  CHECK_THROWS_AS(other.next(), krait::stop_iteration<>);
  CHECK(clean());
}

namespace {

/// Each level handles an exception of its own while it delegates, in turn by giving away and by reference,
/// and rethrows it in the end; the level above turns that into a number.
krait::generator<int> handling_levels(int depth) {
  return [depth](auto& yield) {
    CHECK(clean());
    const std::string mine = "level " + std::to_string(depth);
    try {
      throw error(mine);
    } catch (const std::exception&) {
      if (depth > 0) {
        try {
          if (depth % 2 == 0) {
            yield.from(handling_levels(depth - 1));
          } else {
            krait::generator<int> kept = handling_levels(depth - 1);
            yield.from(kept);
          }
          FAIL("the level below did not throw");
        } catch (const std::exception& e) {
          CHECK(std::string(e.what()) == "level " + std::to_string(depth - 1));
        }
      }
      CHECK(handled() == mine);
      yield(depth);
      CHECK(handled() == mine);
      throw;
    }
  };
}

/// Handlers and generators in turn, on ever deeper stacks: a plain resumption at each level.
int resume_in_handlers(int depth) {
  try {
    throw depth;
  } catch (int) {
    int sum = 0;
    if (depth > 0) {
      krait::generator<int> g = [depth](auto& yield) {
        CHECK(clean());
        try {
          throw error("generator " + std::to_string(depth));
        } catch (const std::exception&) {
          const int below = resume_in_handlers(depth - 1);
          CHECK(handled() == "generator " + std::to_string(depth));
          yield(below);
          CHECK(handled() == "generator " + std::to_string(depth));
          throw;
        }
      };
      sum = g.next();
      CHECK(handled() == "int " + std::to_string(depth));
      if (depth % 3 == 0) {
        CHECK_THROWS_AS(g.next(), std::runtime_error);
      } else if (depth % 3 == 1) {
        g.close();
      }
    }
    CHECK(handled() == "int " + std::to_string(depth));
    return sum + depth;
  }
}

}  // namespace

TEST_CASE(
    "a deep chain of delegations, each in a handler, unwinds level by level with the right exceptions") {
  constexpr int depth = 30;
  krait::generator<int> g = handling_levels(depth);
  std::vector<int> items;
  try {
    for (const int item : g) {
      items.push_back(item);
      CHECK(clean());
    }
    FAIL("the last level did not throw");
  } catch (const std::exception& e) {
    CHECK(std::string(e.what()) == "level 30");
  }
  REQUIRE(items.size() == depth + 1);
  for (std::size_t i = 0; i < items.size(); ++i) {
    CHECK(items[i] == static_cast<int>(i));
  }
}

TEST_CASE("resumptions from handlers nest to any depth") {
  CHECK(resume_in_handlers(30) == 465);
  CHECK(clean());
}

TEST_CASE("std::exception_ptr and std::current_exception work across a yield") {
  krait::generator<std::exception_ptr> g = [](auto& yield) {
    try {
      throw error("kept");
    } catch (const std::exception&) {
      const std::exception_ptr before = std::current_exception();
      yield(before);
      CHECK(std::current_exception() == before);
      yield(std::current_exception());
    }
  };
  const std::exception_ptr first = g.next();
  CHECK(std::current_exception() == nullptr);
  const std::exception_ptr second = g.next();
  CHECK(first == second);
  CHECK_THROWS_WITH_AS(std::rethrow_exception(first), "kept", std::runtime_error);
  g.close();
  CHECK_THROWS_WITH_AS(std::rethrow_exception(second), "kept", std::runtime_error);
}
