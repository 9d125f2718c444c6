// SPDX-License-Identifier: BSL-1.0
#include <doctest/doctest.h>

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <exception>
#include <iterator>
#include <list>
#include <memory>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include <krait/krait.hpp>

#include "support/probes.hpp"
#include "support/support.hpp"

// What C++23 promises of std::generator ([coro.generator]), of krait::generator: nesting (`yield.from` is
// std::ranges::elements_of), exceptions and destruction.

namespace {

using krait::generator;
using probes::counted;
using probes::tally;
using support::at_end;
using support::given;
using support::journal;
using support::lent;
using support::raised_by;
using support::text_of;

// As many levels as one likes, but ThreadSanitizer knows 8,128 stacks at most.
#if defined(__SANITIZE_THREAD__)
#define MANY 2'000
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define MANY 2'000
#endif
#endif
#if !defined(MANY)
#define MANY 10'000
#endif
constexpr int many = MANY;

struct nested_error : std::runtime_error {
  using std::runtime_error::runtime_error;
};

template <class Items>
std::vector<int> list(Items& items) {
  std::vector<int> all;
  for (const int item : items) {
    all.push_back(item);
  }
  return all;
}

/// Yields n, n - 1 ... 1, one a level.
generator<int> countdown(int n) {
  return [n](auto& yield) {
    yield(n);
    if (n > 1) {
      yield.from(countdown(n - 1));
    }
  };
}

/// `depth` levels, of which the innermost yields without end.
generator<int> deep(int depth) {
  return [depth](auto& yield) {
    if (depth > 1) {
      yield.from(deep(depth - 1));
    }
    for (int item = 0;; ++item) {
      yield(item);
    }
  };
}

/// Three levels, each with two locals; the innermost yields 1.
generator<int> three_levels(journal& log, int level = 1) {
  return [&log, level](auto& yield) {
    const std::string name = std::to_string(level);
    const at_end first(log, name + "a");
    const at_end second(log, name + "b");
    if (level < 3) {
      yield.from(three_levels(log, level + 1));
    } else {
      yield(1);
    }
  };
}

}  // namespace

TEST_CASE("std_generator: the elements of a nested generator come in its place") {
  const auto check = [](auto how) {
    generator<int> inner = [](auto& yield) {
      yield(2);
      yield(3);
    };
    generator<int> outer = [&](auto& yield) {
      yield(1);
      yield.from(how.pass(inner));
      yield(4);
    };
    CHECK(list(outer) == std::vector{1, 2, 3, 4});
  };
  SUBCASE("given away") {
    check(given());
  }
  SUBCASE("lent") {
    check(lent());
  }
}

TEST_CASE("std_generator: the elements of a range come in its place") {
  const std::list<int> constant = {3, 4};
  const int array[] = {5, 6};
  generator<int> g = [&](auto& yield) {
    yield.from(std::vector{1, 2});
    yield.from(constant);
    yield.from(array);
    yield.from(std::vector<int>());
  };
  CHECK(list(g) == std::vector{1, 2, 3, 4, 5, 6});
}

TEST_CASE("std_generator: the elements of a range are references to them, if the generator yields such") {
  std::vector<int> numbers = {1, 2, 3};
  generator<int&> g = [&](auto& yield) { yield.from(numbers); };
  for (int& number : g) {
    number *= 10;
  }
  CHECK(numbers == std::vector{10, 20, 30});
}

TEST_CASE("std_generator: an item passes any number of levels without a copy or a move") {
  tally all;
  generator<counted> outer = [&](auto& yield) {
    yield.from(generator<counted>([&](auto& middle) {
      middle.from(generator<counted>([&](auto& inner) { inner(counted(all, 5)); }));
    }));
  };
  std::vector<int> values;
  for (counted&& item : outer) {
    values.push_back(item.value);
  }
  CHECK(values == std::vector{5});
  CHECK(all.copies == 0);
  CHECK(all.moves == 0);
}

TEST_CASE("std_generator: a nested generator does not start before its turn, and is gone when it has ended") {
  journal log;
  generator<int> outer = [&](auto& yield) {
    generator<int> inner = [&, owned = std::make_unique<at_end>(log, "captures gone")](auto& nested) {
      const at_end finally(log, "locals gone");
      log("inner starts");
      nested(1);
    };
    log("outer starts");
    yield.from(std::move(inner));
    log("inner ended");
    yield(2);
  };
  CHECK(log.text() == "");
  CHECK(outer.next() == 1);
  CHECK(log.text() == "outer starts, inner starts");
  CHECK(outer.next() == 2);
  CHECK(log.text() == "outer starts, inner starts, locals gone, captures gone, inner ended");
}

TEST_CASE("std_generator: a nested generator that yields nothing is passed at once") {
  generator<int> g = [](auto& yield) {
    yield.from(generator<int>([](auto&) {}));
    yield(1);
    yield.from(generator<int>([](auto&) {}));
  };
  CHECK(list(g) == std::vector{1});
}

TEST_CASE("std_generator: recursion of 10,000 levels") {
  int expected = many;
  for (const int item : countdown(many)) {
    if (item != expected--) {
      FAIL("got " << item << " for " << expected + 1);
    }
  }
  CHECK(expected == 0);
}

TEST_CASE("std_generator: an item costs the same 10,000 levels down") {
  using clock = std::chrono::steady_clock;
  constexpr int items = 2'000;
  constexpr int runs = 5;
  const auto time_of_items = [](int depth) {
    auto g = deep(depth);
    CHECK(g.next() == 0);
    clock::duration least = clock::duration::max();
    for (int run = 0; run < runs; ++run) {
      const auto start = clock::now();
      for (int i = 0; i < items; ++i) {
        g.next();
      }
      least = std::min(least, clock::now() - start);
    }
    CHECK(g.next() == runs * items + 1);
    return least;
  };
  const auto shallow = time_of_items(1);
  const auto far_down = time_of_items(many);
  CHECK(far_down < 100 * shallow);
}

TEST_CASE("std_generator: an exception comes out of the loop; here where the item is looked at") {
  generator<int> g = [](auto& yield) {
    yield(1);
    throw nested_error("body");
  };
  auto it = g.begin();
  CHECK(*it == 1);
  ++it;
  CHECK_THROWS_WITH_AS(static_cast<void>(it == g.end()), "body", nested_error);
  CHECK(it == g.end());
  CHECK(g.begin() == g.end());
}

TEST_CASE("std_generator: an exception before the first item comes out of the first look at it") {
  generator<int> g = [](auto&) { throw nested_error("first"); };
  auto it = g.begin();
  CHECK_THROWS_WITH_AS(static_cast<void>(*it), "first", nested_error);
  CHECK(g.done());
}

TEST_CASE("std_generator: an exception passes every level of nesting, innermost first") {
  const auto check = [](auto how) {
    journal log;
    const auto level = [&](const std::string& name, generator<int>* inner) -> generator<int> {
      return [&log, how, name, inner](auto& yield) {
        const at_end finally(log, "end of " + name);
        try {
          yield(1);
          if (inner != nullptr) {
            yield.from(how.pass(*inner));
          } else {
            throw nested_error("inner");
          }
        } catch (const nested_error& error) {
          log(name + " sees " + error.what());
          throw;
        }
      };
    };
    generator<int> c = level("c", nullptr);
    generator<int> b = level("b", &c);
    generator<int> a = level("a", &b);
    std::vector<int> items;
    CHECK_THROWS_WITH_AS(for (const int item : a) { items.push_back(item); }, "inner", nested_error);
    CHECK(items == std::vector{1, 1, 1});
    CHECK(log.text() == "c sees inner, end of c, b sees inner, end of b, a sees inner, end of a");
  };
  SUBCASE("given away") {
    check(given());
  }
  SUBCASE("lent") {
    check(lent());
  }
}

TEST_CASE("std_generator: an exception of a nested generator can be caught where it is nested") {
  const auto check = [](auto how) {
    generator<int> inner = [](auto& yield) {
      yield(1);
      throw nested_error("inner");
    };
    generator<int> outer = [&](auto& yield) {
      try {
        yield.from(how.pass(inner));
      } catch (const nested_error&) {
        yield(-1);
      }
      yield(2);
    };
    CHECK(list(outer) == std::vector{1, -1, 2});
  };
  SUBCASE("given away") {
    check(given());
  }
  SUBCASE("lent") {
    check(lent());
  }
}

TEST_CASE("std_generator: an exception keeps its identity through the levels") {
  const std::exception_ptr thrown = std::make_exception_ptr(nested_error("the one"));
  generator<int> g = [&](auto& yield) {
    yield.from(generator<int>([&](auto& middle) {
      middle.from(generator<int>([&](auto& inner) {
        inner(1);
        std::rethrow_exception(thrown);
      }));
    }));
  };
  CHECK(g.next() == 1);
  CHECK(raised_by([&] { g.next(); }) == thrown);
}

TEST_CASE("std_generator: an exception of a range's iterator comes out where it is nested") {
  struct failing {
    struct iterator {
      using difference_type = std::ptrdiff_t;
      using value_type = int;
      int operator*() const { return 1; }
      iterator& operator++() { throw nested_error("++"); }
      void operator++(int) { ++*this; }
      bool operator==(std::default_sentinel_t) const { return false; }
    };
    iterator begin() const { return {}; }
    std::default_sentinel_t end() const { return {}; }
  };
  generator<int> g = [](auto& yield) {
    try {
      yield.from(failing());
    } catch (const nested_error&) {
      yield(2);
    }
  };
  CHECK(list(g) == std::vector{1, 2});
}

TEST_CASE("std_generator: destroying one that has not started destroys its captures and runs nothing") {
  journal log;
  {
    const generator<int> g = [&log, owned = std::make_unique<at_end>(log, "captures gone")](auto& yield) {
      log("started");
      yield(1);
    };
    CHECK(log.text() == "");
  }
  CHECK(log.text() == "captures gone");
}

TEST_CASE(
    "std_generator: destroying one that is suspended destroys its locals in reverse, then its captures") {
  journal log;
  {
    generator<int> g = [&log, owned = std::make_unique<at_end>(log, "captures")](auto& yield) {
      const at_end first(log, "first");
      const at_end second(log, "second");
      {
        const at_end third(log, "third");
        yield(1);
        log("not reached");
      }
    };
    CHECK(*g.begin() == 1);
    CHECK(log.text() == "");
  }
  CHECK(log.text() == "third, second, first, captures");
}

TEST_CASE("std_generator: at a normal end the locals are destroyed in reverse, then the captures") {
  journal log;
  generator<int> g = [&log, owned = std::make_unique<at_end>(log, "captures")](auto& yield) {
    const at_end first(log, "first");
    const at_end second(log, "second");
    yield(1);
  };
  CHECK(list(g) == std::vector{1});
  CHECK(log.text() == "second, first, captures");
}

TEST_CASE("std_generator: destruction begins with the innermost level") {
  journal log;
  {
    auto g = three_levels(log);
    CHECK(g.next() == 1);
  }
  CHECK(log.text() == "3b, 3a, 2b, 2a, 1b, 1a");
}

TEST_CASE("std_generator: destroying a chain of 10,000 levels that is partly consumed") {
  tally all;
  struct level {
    tally& count;
    int depth;
    void operator()(krait::yielder<int>& yield) const {
      const counted local(count);
      if (depth > 1) {
        yield.from(generator<int>(level{count, depth - 1}));
      }
      yield(depth);
    }
  };
  {
    generator<int> g = level{all, many};
    CHECK(g.next() == 1);
    CHECK(g.next() == 2);
    CHECK(all.live == many - 1);
  }
  CHECK(all.live == 0);
}

TEST_CASE("std_generator: destroying one that has ended destroys nothing twice") {
  tally all;
  {
    generator<int> g = [owned = counted(all)](auto& yield) { yield(owned.value); };
    CHECK(list(g) == std::vector{0});
    CHECK(all.live == 0);
  }
  CHECK(all.live == 0);
}

TEST_CASE("std_generator: breaking off a loop over a temporary destroys it there") {
  journal log;
  for (const int item : three_levels(log)) {
    CHECK(item == 1);
    log("break");
    break;
  }
  log("after the loop");
  CHECK(log.text() == "break, 3b, 3a, 2b, 2a, 1b, 1a, after the loop");
}

TEST_CASE("std_generator: memory comes from where std::allocator_arg says, and goes back there") {
  probes::counting_source source;
  {
    const auto body = [](auto& yield) {
      yield(1);
      yield(2);
    };
    generator<int> g(std::allocator_arg, source, body);
    CHECK(source.live() == 1);
    CHECK(*g.begin() == 1);
    auto moved = std::move(g);
    CHECK(list(moved) == std::vector{2});
  }
  CHECK(source.allocated == 1);
  CHECK(source.live() == 0);
}
