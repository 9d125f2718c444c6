// SPDX-License-Identifier: BSL-1.0

// Exceptions of another language. C++ can catch them with `catch (...)` only, and std::current_exception() is
// null then; but the body has been left by them, and whoever asked for an item is told so.

#include <doctest/doctest.h>
#include <unwind.h>

#include <cstdlib>
#include <cstring>
#include <memory>
#include <string>

#include "support/probes.hpp"
#include "support/support.hpp"

namespace {

using support::handled, support::raised_by, support::text_of;

int alive = 0;  // foreign exceptions

/// As another language's runtime would.
[[noreturn]] void raise_foreign() {
  auto* const exception = new _Unwind_Exception();
  std::memcpy(&exception->exception_class, "KRAITFOR", sizeof exception->exception_class);
  exception->exception_cleanup = [](_Unwind_Reason_Code, _Unwind_Exception* self) {
    --alive;
    delete self;
  };
  ++alive;
  _Unwind_RaiseException(exception);
  std::abort();  // nobody catches it
}

constexpr const char* raised = "krait::runtime_error: generator raised a foreign exception";

using text_generator = krait::generator<int, std::optional<int>, std::string>;

text_generator raising() {
  return [](auto& yield) -> std::string {
    yield(1);
    raise_foreign();
  };
}

}  // namespace

TEST_CASE("a foreign exception out of a body is a runtime_error, whoever asked for an item") {
  const auto started = [] {
    text_generator g = raising();
    g.next();
    return g;
  };
  const auto raises = [&](auto call) {
    text_generator g = started();
    CHECK(text_of(raised_by([&] { call(g); })) == raised);
    CHECK(g.done());
    CHECK(g.result() == nullptr);
    CHECK_THROWS_AS(g.next(), krait::stop_iteration<>);
  };
  raises([](text_generator& g) { g.next(); });
  raises([](text_generator& g) { g.send(2); });
  raises([](text_generator& g) { static_cast<void>(g.resume()); });
  raises([](text_generator& g) { static_cast<void>(g.resume(2)); });
  raises([](text_generator& g) {
    for (int item : g) {
      static_cast<void>(item);
    }
  });
  CHECK(alive == 0);
}

TEST_CASE("a foreign exception in answer to throw_() and close()") {
  const auto make = [] {
    text_generator g = [](auto& yield) -> std::string {
      try {
        yield(1);
      } catch (...) {
      }
      raise_foreign();
    };
    g.next();
    return g;
  };
  text_generator thrown_into = make(), closed = make();
  CHECK(text_of(raised_by([&] { thrown_into.throw_(std::logic_error("x")); })) == raised);
  CHECK(text_of(raised_by([&] { static_cast<void>(closed.close()); })) == raised);
  const probes::unraisables reports;
  {
    const text_generator dropped = make();
  }
  CHECK(reports.count() == 1);
  CHECK(alive == 0);
}

TEST_CASE("a foreign exception leaves a delegate as a runtime_error") {
  for (const bool given_away : {true, false}) {
    std::string caught;
    krait::generator<int, std::optional<int>> outer = [&](auto& yield) {
      try {
        if (given_away) {
          yield.from(raising());
        } else {
          text_generator inner = raising();
          yield.from(inner);
        }
      } catch (...) {
        caught = handled();
      }
    };
    for (int item : outer) {
      CHECK(item == 1);
    }
    CHECK(caught == raised);
  }
  CHECK(alive == 0);
}

TEST_CASE("a foreign exception may be caught and dropped by the body, which yields meanwhile") {
  krait::generator<int> g = [](auto& yield) {
    try {
      raise_foreign();
    } catch (...) {
      CHECK(std::current_exception() == nullptr);
      yield(alive);
    }
    yield(alive);
  };
  CHECK(g.next() == 1);
  CHECK(std::current_exception() == nullptr);
  CHECK(g.next() == 0);
}

TEST_CASE("a foreign exception out of a coroutine and out of an asynchronous generator") {
  krait::coroutine<void, void, std::string> c = [](auto&) -> std::string { raise_foreign(); };
  CHECK(text_of(raised_by([&] { c.send(); })) ==
        "krait::runtime_error: coroutine raised a foreign exception");
  krait::async_generator<std::string> g = [](auto&) { raise_foreign(); };
  CHECK(text_of(raised_by([&] { g.anext().next(); })) ==
        "krait::runtime_error: async generator raised a foreign exception");
  CHECK(alive == 0);
}

TEST_CASE("a foreign exception that a manager's exit raises in a destructor") {
  struct manager {
    void enter() {}
    void exit(const std::exception_ptr&) { raise_foreign(); }
  };
  const probes::unraisables reports;
  try {
    const krait::entered left{manager()};
    throw std::logic_error("passing");
  } catch (const std::logic_error&) {
  }
  REQUIRE(reports.count() == 1);
  CHECK(reports.text(0) == "a foreign exception");
  CHECK(alive == 0);
}
