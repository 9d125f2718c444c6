// SPDX-License-Identifier: BSL-1.0
#include <doctest/doctest.h>

#include <cstdlib>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <thread>

#include <krait/krait.hpp>

#include "scenario.hpp"

namespace {

using process::say;

krait::generator<int> speaking(const char* farewell) {
  return [farewell](auto& yield) {
    const probes::at_exit last([farewell] { say(farewell); });
    for (int i = 0;; ++i) {
      yield(i);
    }
  };
}

/// Made before krait is used for the first time, so destroyed after all that krait might have made.
struct holder {
  std::optional<krait::generator<int>> kept;
  ~holder() {
    if (kept.has_value()) {
      say(kept->next() == 1 ? "resumed " : "wrong ");
      auto late = speaking("late ");
      late.next();
    }
  }
};
holder static_storage;

void keep_to_the_end() {
  static_storage.kept = speaking("static ");
  static_storage.kept->next();
}

const scenario returns_from_main("return from main", [] {
  keep_to_the_end();
  static auto local = speaking("local ");
  local.next();
  static thread_local auto of_thread = speaking("thread ");
  of_thread.next();
  return 0;
});

const scenario exits_inside("exit inside a body", [] {
  keep_to_the_end();
  krait::generator<int> g = [](auto& yield) {
    yield(1);
    std::exit(3);
  };
  g.next();
  return g.next();
});

/// What waits for the body owns something, of which nobody else knows. By pointers that nobody refers to, so that they
/// lie on the stack itself also where AddressSanitizer has moved other variables away (detect_stack_use_after_return).
const scenario exits_while_owning("exit inside bodies, while their resumers own memory", [] {
  krait::generator<int> outer = [](auto& yield) {
    krait::generator<int> inner = [](auto& deeper) {
      deeper(1);
      std::exit(5);
    };
    auto* const owned = new std::string(1000, 'x');
    for (int item : inner) {
      yield(item + static_cast<int>(owned->size()) / 1000);
    }
    delete owned;
  };
  auto* const owned = new std::string(1000, 'x');
  outer.next();
  return outer.next() + static_cast<int>(owned->size());
});

/// Destroyed at the end of the program while its body runs, as that has called exit().
const scenario running_at_exit("running at exit", [] {
  static std::optional<krait::generator<int>> g;
  g = [](auto& yield) {
    yield(1);
    std::exit(4);
  };
  g->next();
  return g->next();
});

const scenario raises_at_exit("raises at exit", [] {
  static krait::generator<int> g = [](auto& yield) {
    const probes::at_exit last([] { say("unwound "); });
    try {
      yield(1);
    } catch (const krait::generator_exit&) {
      throw std::runtime_error("too late");
    }
  };
  g.next();
  return 0;
});

const scenario uncaught("uncaught exception", [] {
  krait::generator<int> g = [](auto& yield) {
    yield(1);
    throw std::runtime_error("nobody catches this");
  };
  g.next();
  return g.next();
});

}  // namespace

TEST_CASE("generators with static storage are closed when the program ends, and may be used until then") {
  const ending end = returns_from_main.run();
  CHECK(end.status.exited_with(0));
  CHECK(end.text == "thread local resumed late static ");
}

TEST_CASE("exit() inside a body ends the program in order") {
  const ending end = exits_inside.run();
  CHECK(end.status.exited_with(3));
  CHECK(end.text == "resumed late static ");
}

TEST_CASE("exit() inside a body is no leak of what its resumers own") {
  const ending end = exits_while_owning.run();
  CHECK(end.status.exited_with(5));
  CHECK(end.text == "");
}

TEST_CASE("a generator that is destroyed at exit while it runs says so, and the program ends") {
  const ending end = running_at_exit.run();
  CHECK(end.status.exited_with(4));
  CHECK(end.says("Exception ignored while closing generator"));
  CHECK(end.says("value_error: generator already executing"));
}

TEST_CASE("what a body raises at the end of the program is reported") {
  const ending end = raises_at_exit.run();
  CHECK(end.status.exited_with(0));
  CHECK(end.says("unwound "));
  CHECK(end.says("std::runtime_error: too late"));
}

TEST_CASE("an exception out of a body that nobody catches terminates the program with its text") {
  const ending end = uncaught.run();
  CHECK(end.status.killed_by(SIGABRT));
  CHECK(end.says("nobody catches this"));
}
