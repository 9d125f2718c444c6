// SPDX-License-Identifier: BSL-1.0
#include <doctest/doctest.h>
#include <krait/krait.hpp>

#include <concepts>
#include <exception>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "support/support.hpp"

// CPython's cases on close and on finalisation (generators.cases.tsv).

namespace {

using krait::generator;
using krait::generator_exit;
using support::at_end;
using support::journal;
using support::raised_by;
using support::state;
using support::stop_value;
using support::text_of;
using support::unraisables;

/// Answers GeneratorExit by returning 0.
generator<void, void, int> zero_on_exit(journal* log = nullptr) {
  return [log](auto& yield) {
    if (log != nullptr) {
      (*log)("body");
    }
    try {
      yield();
    } catch (const generator_exit&) {
      return 0;
    }
    return -1;
  };
}

/// Answers GeneratorExit by yielding.
generator<std::string> ill_behaved() {
  return [](auto& yield) {
    try {
      yield("started");
    } catch (const generator_exit&) {
      yield("foo!");
    }
  };
}

generator<void> prints_exiting(journal& printed) {
  return [&printed](auto& yield) {
    try {
      yield();
    } catch (const generator_exit&) {
      printed("exiting");
    }
  };
}

/// Tells when it is destroyed.
class with_destructor {
 public:
  explicit with_destructor(bool& destroyed) : destroyed_(&destroyed) {}
  with_destructor(with_destructor&& other) noexcept : destroyed_(std::exchange(other.destroyed_, nullptr)) {}
  with_destructor& operator=(with_destructor&&) = delete;
  ~with_destructor() {
    if (destroyed_ != nullptr) {
      *destroyed_ = true;
    }
  }

 private:
  bool* destroyed_;
};

generator<void> owns(with_destructor argument) {
  return [owned = std::move(argument)](auto& yield) {
    static_cast<void>(owned);
    yield();
  };
}

constexpr auto ignored = "krait::runtime_error: generator ignored GeneratorExit";

}  // namespace

TEST_CASE("generators::close_clears_frame") {
  bool destroyed = false;
  generator<void> created = owns(with_destructor(destroyed));
  CHECK_FALSE(destroyed);
  created.close();
  CHECK(destroyed);
  CHECK(created.state() == state::closed);

  destroyed = false;
  generator<void> suspended = owns(with_destructor(destroyed));
  suspended.next();
  CHECK_FALSE(destroyed);
  suspended.close();
  CHECK(destroyed);
  CHECK(suspended.state() == state::closed);
}

TEST_CASE("generators::close_no_return_value") {
  journal log;
  generator<void> g = [&](auto& yield) {
    const at_end unwound(log, "unwound");
    yield();
    log("went on");
  };
  static_assert(std::same_as<decltype(g.close()), void>);
  g.next();
  CHECK(raised_by([&] { g.close(); }) == nullptr);
  CHECK(g.state() == state::closed);
  CHECK(log.text() == "unwound");
}

TEST_CASE("generators::close_return_value") {
  auto g = zero_on_exit();
  g.next();
  CHECK(g.close() == 0);
  CHECK(g.state() == state::closed);
}

TEST_CASE("generators::close_not_catching_exit") {
  generator<void, void, int> g = [](auto& yield) {
    yield();
    return 0;
  };
  g.next();
  CHECK(g.close() == std::nullopt);
  CHECK(g.state() == state::closed);
}

TEST_CASE("generators::close_not_started") {
  journal log;
  auto g = zero_on_exit(&log);
  CHECK(g.close() == std::nullopt);
  CHECK(log.text() == "");
  CHECK(g.state() == state::closed);
}

TEST_CASE("generators::close_exhausted") {
  auto g = zero_on_exit();
  g.next();
  CHECK(stop_value<int>([&] { g.next(); }) == -1);
  CHECK(g.close() == std::nullopt);
}

TEST_CASE("generators::close_closed") {
  auto g = zero_on_exit();
  g.next();
  CHECK(g.close() == 0);
  CHECK(g.close() == std::nullopt);
}

TEST_CASE("generators::close_raises") {
  generator<void> g = [](auto& yield) {
    try {
      yield();
    } catch (const generator_exit&) {
    }
    throw krait::runtime_error("after the handler");
  };
  g.next();
  CHECK(text_of(raised_by([&] { g.close(); })) == "krait::runtime_error: after the handler");
  CHECK(g.state() == state::closed);
}

TEST_CASE("generators::close_releases_frame_locals") {
  auto object = std::make_shared<int>(1);
  const std::weak_ptr<int> watched = object;
  generator<void> g = [&](auto& yield) {
    const std::shared_ptr<int> local = object;
    yield();
  };
  g.next();
  object.reset();
  CHECK_FALSE(watched.expired());
  g.close();
  CHECK(watched.expired());
  CHECK(g.state() == state::closed);
}

TEST_CASE("generators::doc.coroutine.close_prints") {
  journal printed;
  auto g = prints_exiting(printed);
  g.next();
  g.close();
  CHECK(printed.text() == "exiting");
  g.close();
  CHECK(printed.text() == "exiting");
}

TEST_CASE("generators::doc.coroutine.close_new") {
  journal printed;
  auto with_handler = prints_exiting(printed);
  generator<void> without = [&](auto& yield) {
    printed("body");
    yield();
  };
  CHECK(raised_by([&] { with_handler.close(); }) == nullptr);
  CHECK(raised_by([&] { without.close(); }) == nullptr);
  CHECK(printed.text() == "");
  CHECK(with_handler.state() == state::closed);
  CHECK(without.state() == state::closed);
}

TEST_CASE("generators::doc.coroutine.close_simple") {
  const unraisables reported;
  {
    generator<void> g = [](auto& yield) { yield(); };
    g.next();
    CHECK(g.state() == state::suspended);
    CHECK(raised_by([&] { g.close(); }) == nullptr);
    CHECK(g.state() == state::closed);
  }
  CHECK(reported.count() == 0);
}

TEST_CASE("generators::doc.coroutine.finalize") {
  const unraisables reported;
  journal printed;
  {
    generator<void> g = [&](auto& yield) {
      const at_end finally(printed, "exiting");
      yield();
      printed("went on");
    };
    g.next();
    printed("dropping");
  }
  CHECK(printed.text() == "dropping, exiting");
  CHECK(reported.count() == 0);
}

TEST_CASE("generators::doc.coroutine.exit_not_exception") {
  journal printed;
  {
    generator<void> g = [&](auto& yield) {
      const at_end finally(printed, "finally");
      try {
        yield();
      } catch (const std::exception&) {
        printed("except");
      }
    };
    g.next();
  }
  CHECK(printed.text() == "finally");
}

TEST_CASE("generators::doc.coroutine.ignore_exit") {
  auto g = ill_behaved();
  g.next();
  CHECK(text_of(raised_by([&] { g.close(); })) == ignored);
  CHECK(g.state() == state::suspended);
  CHECK(raised_by([&] { g.close(); }) == nullptr);
  CHECK(g.state() == state::closed);
}

TEST_CASE("generators::doc.coroutine.ignore_exit_on_gc") {
  const unraisables reported;
  std::string repr;
  {
    auto g = ill_behaved();
    g.next();
    repr = g.repr();
    CHECK(repr.starts_with("<generator object ill_behaved at 0x"));
  }
  REQUIRE(reported.count() == 1);
  CHECK(text_of(reported.at(0).exception) == ignored);
  CHECK(reported.at(0).message == "Exception ignored while closing generator " + repr);
}

TEST_CASE("generators::doc.coroutine.close_error") {
  generator<void> g = [](auto& yield) {
    try {
      yield();
    } catch (const generator_exit&) {
      throw krait::type_error("fie!");
    }
  };
  g.next();
  CHECK(text_of(raised_by([&] { g.close(); })) == "krait::type_error: fie!");
}

TEST_CASE("generators::doc.refleaks.del_raises") {
  const unraisables reported;
  std::string repr;
  {
    generator<void> leaker = [](auto& yield) {
      const auto invoke = [](const std::string& message) { throw krait::runtime_error(message); };
      try {
        yield();
      } catch (const generator_exit&) {
        invoke("del failed");
      }
    };
    leaker.next();
    repr = leaker.repr();
  }
  CHECK(reported.text() == "krait::runtime_error: del failed");
  REQUIRE(reported.count() == 1);
  CHECK(reported.at(0).message == "Exception ignored while closing generator " + repr);
}
