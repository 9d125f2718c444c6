// SPDX-License-Identifier: BSL-1.0
#include <doctest/doctest.h>

#include <cerrno>
#include <exception>
#include <memory>
#include <stdexcept>
#include <string>
#include <thread>
#include <type_traits>
#include <utility>
#include <vector>

#include <krait/detail/switch/shadow_stack.hpp>
#include <krait/krait.hpp>

#include "support/probes.hpp"

// A generator is resumed by one thread after the other. What belongs to the thread (errno, thread_local
// variables, the exceptions being handled) is asked for through on_this_thread(), as the guide tells users to
// do.

namespace {

using krait::generator;

thread_local int mark = 0;

int mark_of_this_thread() {
  return krait::on_this_thread([] { return mark; });
}
void set_errno(int value) {
  krait::on_this_thread([value] { errno = value; });
}
int get_errno() {
  return krait::on_this_thread([] { return errno; });
}

/// Calls `function` on a thread of its own whose mark is `number`.
template <class Function>
void on_thread(int number, Function function) {
  std::thread([&] {
    mark = number;
    function();
  }).join();
}

constexpr int threads = 20;

}  // namespace

TEST_CASE("a body that is resumed by many threads sees the thread_local variables of each") {
  generator<int> g = [](auto& yield) {
    for (;;) {
      yield(mark_of_this_thread());
    }
  };
  for (int i = 1; i <= threads; ++i) {
    on_thread(i, [&] { CHECK(g.next() == i); });
  }
}

TEST_CASE("errno is that of the thread that runs the body, and a switch leaves it alone") {
  generator<int, int> g = [](auto& yield) {
    for (int sent = yield(0);;) {
      const int found = get_errno();
      set_errno(sent);
      sent = yield(found);
    }
  };
  g.next();
  set_errno(-1);
  for (int i = 1; i <= threads; ++i) {
    on_thread(i, [&] {
      set_errno(1000 + i);
      CHECK(g.send(2000 + i) == 1000 + i);
      CHECK(get_errno() == 2000 + i);
    });
  }
  CHECK(get_errno() == -1);
}

namespace {

/// What a body may ask for of its thread. Each is asked twice by one function, on two threads, and twice on
/// one.
template <class Asked>
void check_asked_anew(Asked asked) {
  using answer = std::decay_t<decltype(asked())>;
  generator<answer> g = [asked](auto& yield) {
    for (int i = 0; i < 2; ++i) {
      yield(krait::on_this_thread(asked));
      yield(krait::on_this_thread(asked));
      yield(krait::on_this_thread(asked));
    }
  };
  for (int i = 0; i < 3; ++i) {
    const answer here = asked();
    CHECK(g.next() == here);
    on_thread(1, [&] {
      const answer there = asked();
      CHECK(there != here);
      CHECK(g.next() == there);
    });
  }
}

}  // namespace

TEST_CASE("on_this_thread: what belongs to a thread is that of the thread which runs the body") {
  check_asked_anew([] { return &mark; });
  check_asked_anew([] { return &errno; });
  check_asked_anew([] { return std::this_thread::get_id(); });
}

TEST_CASE("on_this_thread hands on what the function returns, and throws") {
  int variable = 1;
  int& same = krait::on_this_thread([&]() -> int& { return variable; });
  CHECK(&same == &variable);
  CHECK(*krait::on_this_thread([own = std::make_unique<int>(2)]() mutable { return std::move(own); }) == 2);
  CHECK_THROWS_AS(krait::on_this_thread([] { throw std::runtime_error(""); }), std::runtime_error);
}

#if defined(__OPTIMIZE__)
TEST_CASE("without on_this_thread, a body may go on with what belongs to another thread") {
  generator<int*> g = [](auto& yield) {
    yield(&errno);
    yield(&errno);
  };
  int* const here = g.next();
  CHECK(here == &errno);
  on_thread(1, [&] {
    CHECK(&errno != here);
    CHECK(g.next() == here);  // if this fails, the compiler has become careful
  });
}
#endif

TEST_CASE("an event loop's hooks are those of the thread that asks") {
  const auto count_in = [](int& calls) { krait::set_asyncgen_hooks({nullptr, [&calls](auto) { ++calls; }}); };
  generator<int> g = [](auto& yield) {
    for (;;) {
      krait::get_asyncgen_hooks().finalizer(nullptr);
      yield(0);
      krait::get_asyncgen_hooks().finalizer(nullptr);
      yield(0);
    }
  };
  int calls_here = 0;
  count_in(calls_here);
  for (int i = 1; i <= 10; ++i) {
    g.next();
    CHECK(calls_here == i);
    on_thread(i, [&] {
      int calls_there = 0;
      count_in(calls_there);
      g.next();
      CHECK(calls_there == 1);
    });
  }
  krait::set_asyncgen_hooks({});
}

TEST_CASE(
    "a body in the midst of nested handlers goes on in thread after thread, which have handlers of their "
    "own") {
  generator<std::string> g = [](auto& yield) {
    for (int round = 0;; ++round) {
      try {
        throw std::runtime_error("outer " + std::to_string(round));
      } catch (const std::exception&) {
        yield(probes::handled());
        try {
          throw std::logic_error("inner " + std::to_string(round));
        } catch (...) {
          yield(probes::handled());
          try {
            throw;
          } catch (const std::logic_error& again) {
            yield(again.what());
          }
        }
        yield(probes::handled());
      }
      yield(std::current_exception() == nullptr ? "none" : "left over");
    }
  };
  std::vector<std::string> seen;
  for (int i = 0; i < 10; ++i) {
    on_thread(i, [&] {
      try {
        throw i;
      } catch (int) {
        seen.push_back(g.next());
        CHECK(probes::handled() == "int " + std::to_string(i));
      }
      CHECK(std::current_exception() == nullptr);
    });
  }
  CHECK(seen == std::vector<std::string>{"outer 0", "inner 0", "inner 0", "outer 0", "none", "outer 1",
                                         "inner 1", "inner 1", "outer 1", "none"});
}

TEST_CASE("a chain of delegation moves to another thread as a whole") {
  const auto leaf = []() -> generator<int, void, int> {
    return [](auto& yield) {
      try {
        yield(mark_of_this_thread());
        yield(mark_of_this_thread());
      } catch (const std::runtime_error&) {
        yield(100 + mark_of_this_thread());
      }
      return mark_of_this_thread();
    };
  };
  generator<int, void, int> root = [&leaf](auto& yield) {
    generator<int, void, int> middle = [&leaf](auto& inner) { return inner.from(leaf()) + 1000; };
    const int result = yield.from(std::move(middle));
    yield(mark_of_this_thread());
    return result;
  };
  on_thread(1, [&] { CHECK(root.next() == 1); });
  on_thread(2, [&] { CHECK(root.next() == 2); });
  on_thread(3, [&] { CHECK(root.throw_(std::runtime_error("")) == 103); });
  on_thread(4, [&] { CHECK(root.next() == 4); });
  on_thread(5, [&] {
    CHECK(root.resume().returned());
    CHECK(*root.result() == 1004);
  });
}

TEST_CASE("with a shadow stack, krait refuses to start") {
  CHECK_FALSE(krait::detail::has_shadow_stack());
  CHECK(probes::in_child([] {
          krait::detail::refuse_shadow_stack(true);
          return 0;
        }).killed_by(SIGABRT));
}
