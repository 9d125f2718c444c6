// SPDX-License-Identifier: BSL-1.0
#include <doctest/doctest.h>

#include <cerrno>
#include <exception>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include <krait/detail/shadow_stack.hpp>
#include <krait/krait.hpp>

#include "probes.hpp"

// A generator is resumed by one thread after the other. What belongs to the thread (errno, thread_local
// variables, the exceptions being handled) is asked for through functions that are not inlined, as the guide
// tells users to do: within one function, compilers take its address for constant.

namespace {

using krait::generator;

thread_local int mark = 0;

[[gnu::noinline]] int mark_of_this_thread() {
  asm volatile("" ::: "memory");
  return mark;
}
[[gnu::noinline]] void set_errno(int value) {
  asm volatile("" ::: "memory");
  errno = value;
}
[[gnu::noinline]] int get_errno() {
  asm volatile("" ::: "memory");
  return errno;
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
