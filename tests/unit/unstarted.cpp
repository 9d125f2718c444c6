// SPDX-License-Identifier: BSL-1.0
#include <doctest/doctest.h>

#include <functional>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <utility>

#include <krait/krait.hpp>

#include "support/recorded_warnings.hpp"
#include "support/support.hpp"

// A body that never starts is destroyed with all that it owns: perhaps the very generator that it belongs to,
// or a pipeline of others that have not started either.

namespace {

using krait::coroutine;
using krait::generator;
using support::journal;
using support::unraisables;

/// Owned by its own captures: the last reference goes when the body is destroyed.
template <class Object>
struct self_owner {
  std::shared_ptr<Object> self;
  journal* log;

  self_owner(std::shared_ptr<Object> owned, journal& events) : self(std::move(owned)), log(&events) {}
  self_owner(self_owner&&) = default;
  ~self_owner() {
    if (self != nullptr) {
      (*log)(self->running() ? "destroyed while running" : "destroyed");
      CHECK_THROWS_AS(static_cast<void>(self->resume()), krait::value_error);
    }
  }

  void operator()(auto&) { FAIL("it must not run"); }
};

template <class Object>
Object* owning_itself(journal& log) {
  auto shared = std::make_shared<Object>([](auto&) {});
  Object* const object = shared.get();
  if constexpr (std::is_same_v<Object, coroutine<int>>) {
    const support::recorded_warnings warnings;
    *object = Object(self_owner<Object>(std::move(shared), log));
  } else {
    *object = Object(self_owner<Object>(std::move(shared), log));
  }
  return object;
}

/// A stage of a pipeline that owns the stage before it.
generator<int> stage(std::optional<generator<int>> source) {
  return [source = std::move(source)](auto& yield) mutable {
    if (source.has_value()) {
      for (const int item : *source) {
        yield(item + 1);
      }
    } else {
      yield(0);
    }
  };
}

generator<int> pipeline(int stages) {
  generator<int> last = stage(std::nullopt);
  for (int i = 1; i < stages; ++i) {
    last = stage(std::move(last));
  }
  return last;
}

}  // namespace

TEST_CASE_TEMPLATE("what its own captures own can be closed before it starts", Object, generator<int>,
                   coroutine<int>) {
  journal log;
  unraisables reported;
  owning_itself<Object>(log)->close();
  CHECK(log.text() == "destroyed while running");
  CHECK(reported.count() == 0);
}

TEST_CASE_TEMPLATE("and thrown into: a task that is cancelled before its first step", Object, generator<int>,
                   coroutine<int>) {
  journal log;
  unraisables reported;
  Object* const object = owning_itself<Object>(log);
  CHECK_THROWS_WITH_AS(object->throw_(std::runtime_error("cancelled")), "cancelled", std::runtime_error);
  CHECK(log.text() == "destroyed while running");
  CHECK(reported.count() == 0);
}

TEST_CASE("what it captured may use other generators, and throw and catch, as it is destroyed") {
  journal log;
  struct uses_another {
    journal* log;
    explicit uses_another(journal& events) : log(&events) {}
    uses_another(uses_another&& other) noexcept : log(std::exchange(other.log, nullptr)) {}
    ~uses_another() {
      if (log != nullptr) {
        (*log)(std::to_string(pipeline(3).next()));
        (*log)(std::to_string(std::uncaught_exceptions()));
        try {
          throw std::runtime_error("caught");
        } catch (const std::runtime_error& error) {
          (*log)(error.what());
        }
      }
    }
    void operator()(krait::yielder<int>&) {}
  };
  SUBCASE("dropped") {
    generator<int> g = uses_another(log);
  }
  SUBCASE("closed") {
    generator<int> g = uses_another(log);
    g.close();
    CHECK(g.done());
    CHECK(log.text() == "2, 0, caught");
  }
  SUBCASE("dropped as another exception passes") {
    CHECK_THROWS_AS(
        [&] {
          generator<int> g = uses_another(log);
          throw std::logic_error("passing");
        }(),
        std::logic_error);
  }
  CHECK(log.text() == "2, 0, caught");
}

TEST_CASE("a pipeline that never started costs no stack to drop, however many stages it has") {
  constexpr int stages =
      5000;  // each would take a hundred bytes and more of the dropper's stack, which has 64 KiB
  generator<int> dropper = [](auto& yield) {
    {
      const generator<int> dropped = pipeline(stages);
    }
    yield(1);
    pipeline(stages).close();
    yield(2);
    generator<int> thrown_into = pipeline(stages);
    try {
      thrown_into.throw_(std::runtime_error("thrown in"));
    } catch (const std::runtime_error&) {
      yield(3);
    }
  };
  CHECK(dropper.next() == 1);
  CHECK(dropper.next() == 2);
  CHECK(dropper.next() == 3);
  CHECK(dropper.resume().returned());
}
