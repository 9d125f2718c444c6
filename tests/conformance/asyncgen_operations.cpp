// SPDX-License-Identifier: BSL-1.0
#include <doctest/doctest.h>

#include <exception>
#include <optional>
#include <stdexcept>
#include <string>

#include <krait/krait.hpp>

#include "support/driver.hpp"
#include "support/probes.hpp"

// CPython's test_asyncgen.py: the objects that anext(), asend(), athrow() and aclose() return.

namespace {

using driver::told;
using driver::waiting;
using krait::generator_exit;
using support::raised_by;
using support::state;

using async_generator = krait::async_generator<int, std::optional<int>, std::string>;

struct my_exception : std::runtime_error {
  my_exception() : std::runtime_error("mine") {}
};
constexpr const char* mine = "(anonymous namespace)::my_exception: mine";

constexpr const char* anext_running =
    "krait::runtime_error: anext(): asynchronous generator is already running";
constexpr const char* athrow_running =
    "krait::runtime_error: athrow(): asynchronous generator is already running";
constexpr const char* cannot_reuse_asend =
    "krait::runtime_error: cannot reuse already awaited __anext__()/asend()";
constexpr const char* cannot_reuse_athrow =
    "krait::runtime_error: cannot reuse already awaited aclose()/athrow()";

/// Waits for ever, whatever is raised there, but for generator_exit.
template <class Awaiter>
[[noreturn]] void wait_for_ever(Awaiter& co) {
  for (;;) {
    try {
      co.await(waiting("waiting"));
    } catch (const my_exception&) {
    }
  }
}

async_generator waiting_for_ever() {
  return [](auto& co) { wait_for_ever(co); };
}

/// The same once something has been raised at its `yield`.
async_generator waiting_after_throw() {
  return [](auto& co) {
    try {
      co(1);
    } catch (const my_exception&) {
    }
    wait_for_ever(co);
  };
}

async_generator yielding_once() {
  return [](auto& co) { co(1); };
}

}  // namespace

TEST_CASE("asyncgen::test_async_gen_exception_12") {
  const driver::warnings warnings;
  async_generator* self = nullptr;
  async_generator me = [&](auto& co) {
    co.await(krait::anext(*self));
    co(123);
  };
  self = &me;
  auto an = me.aiter().anext();
  CHECK(told([&] { return an.next(); }) == anext_running);
  CHECK(told([&] { return an.send(); }) == cannot_reuse_asend);
  CHECK(warnings.text().empty());
}

TEST_CASE("asyncgen::test_async_gen_asend_throw_concurrent_with_send") {
  async_generator agen = waiting_for_ever();
  auto first = agen.asend(std::nullopt);
  first.send();
  auto second = agen.asend(std::nullopt);
  CHECK(told([&] { return second.throw_(my_exception()); }) == anext_running);
  CHECK(told([&] { return second.send(); }) == cannot_reuse_asend);
}

TEST_CASE("asyncgen::test_async_gen_athrow_throw_concurrent_with_send") {
  async_generator agen = waiting_for_ever();
  auto first = agen.asend(std::nullopt);
  first.send();
  auto second = agen.athrow(my_exception());
  CHECK(told([&] { return second.throw_(my_exception()); }) == athrow_running);
  CHECK(told([&] { return second.send(); }) == cannot_reuse_athrow);
}

TEST_CASE("asyncgen::test_async_gen_asend_throw_concurrent_with_throw") {
  async_generator agen = waiting_after_throw();
  CHECK(told([&] { return agen.asend(std::nullopt).send(); }) == "StopIteration(1)");
  auto first = agen.athrow(my_exception());
  CHECK(first.throw_(my_exception()) == "waiting");
  auto second = agen.asend(std::nullopt);
  CHECK(told([&] { return second.throw_(my_exception()); }) == anext_running);
  CHECK(told([&] { return second.send(); }) == cannot_reuse_asend);
}

TEST_CASE("asyncgen::test_async_gen_athrow_throw_concurrent_with_throw") {
  async_generator agen = waiting_after_throw();
  CHECK(told([&] { return agen.asend(std::nullopt).send(); }) == "StopIteration(1)");
  auto first = agen.athrow(my_exception());
  CHECK(first.throw_(my_exception()) == "waiting");
  auto second = agen.athrow(my_exception());
  CHECK(told([&] { return second.throw_(my_exception()); }) == athrow_running);
  CHECK(told([&] { return second.send(); }) == cannot_reuse_athrow);
}

TEST_CASE("asyncgen::test_async_gen_api_01") {
  async_generator g([](auto& co) { co(123); }, "gen");
  CHECK(g.name() == "gen");
  g.set_name("hello");
  CHECK(g.name() == "hello");
  CHECK(g.repr().starts_with("<async_generator object hello at 0x"));
  CHECK(g.awaiting().empty());
  CHECK_FALSE(g.running());

  auto aclosed = g.aclose();
  CHECK(krait::awaitable<decltype(aclosed)>);
  aclosed.close();
}

TEST_CASE("asyncgen::test_async_gen_asend_close_runtime_error") {
  async_generator agen = [](auto& co) {
    try {
      co.await(waiting("first"));
    } catch (const generator_exit&) {
      co.await(waiting("second"));
    }
  };
  auto operation = agen.asend(std::nullopt);
  CHECK(operation.send() == "first");
  CHECK(told([&] { operation.close(); }) == "krait::runtime_error: coroutine ignored GeneratorExit");
}

TEST_CASE("asyncgen::test_async_gen_athrow_close_runtime_error") {
  async_generator agen = [](auto& co) {
    try {
      co(1);
    } catch (const my_exception&) {
      try {
        co.await(waiting("first"));
      } catch (const generator_exit&) {
        co.await(waiting("second"));
      }
    }
  };
  CHECK(told([&] { return agen.asend(std::nullopt).send(); }) == "StopIteration(1)");
  auto operation = agen.athrow(my_exception());
  CHECK(operation.send() == "first");
  CHECK(told([&] { operation.close(); }) == "krait::runtime_error: coroutine ignored GeneratorExit");
}

TEST_CASE("asyncgen::test_async_gen_await_same_anext_coro_twice") {
  krait::async_generator<int> it = [](auto& co) {
    co(1);
    co(2);
  };
  driver::run_async([&](auto& co) {
    auto operation = it.anext();
    CHECK(co.await(operation) == 1);
    CHECK(told([&] { co.await(operation); }) == cannot_reuse_asend);
    co.await(it.aclose());
  });
}

TEST_CASE("asyncgen::test_async_gen_await_same_aclose_coro_twice") {
  krait::async_generator<int> it = [](auto& co) {
    co(1);
    co(2);
  };
  driver::run_async([&](auto& co) {
    auto operation = it.aclose();
    co.await(operation);
    CHECK(told([&] { co.await(operation); }) == cannot_reuse_athrow);
  });
}

TEST_CASE("asyncgen::test_async_gen_throw_same_aclose_coro_twice") {
  async_generator it = yielding_once();
  auto operation = it.aclose();
  CHECK(told([&] { operation.throw_(generator_exit()); }) == "StopIteration()");
  CHECK(told([&] { operation.throw_(generator_exit()); }) == cannot_reuse_athrow);
}

TEST_CASE("asyncgen::test_async_gen_throw_custom_same_aclose_coro_twice") {
  async_generator it = yielding_once();
  auto operation = it.aclose();
  CHECK(told([&] { operation.throw_(my_exception()); }) == mine);
  CHECK(told([&] { operation.throw_(my_exception()); }) == cannot_reuse_athrow);
}

TEST_CASE("asyncgen::test_async_gen_throw_custom_same_athrow_coro_twice") {
  async_generator it = yielding_once();
  auto operation = it.athrow(my_exception());
  CHECK(told([&] { operation.throw_(my_exception()); }) == mine);
  CHECK(told([&] { operation.throw_(my_exception()); }) == cannot_reuse_athrow);
}

TEST_CASE("asyncgen::test_async_gen_aclose_twice_with_different_coros") {
  krait::async_generator<int> it = [](auto& co) {
    co(1);
    co(2);
  };
  driver::run_async([&](auto& co) {
    CHECK_NOTHROW(co.await(it.aclose()));
    CHECK_NOTHROW(co.await(it.aclose()));
  });
  CHECK(it.state() == state::closed);
}

TEST_CASE("asyncgen::test_async_gen_aclose_after_exhaustion") {
  krait::async_generator<int> it = [](auto& co) {
    co(1);
    co(2);
  };
  driver::run_async([&](auto& co) {
    int items = 0;
    for ([[maybe_unused]] const int item : krait::async_for(co, it)) {
      ++items;
    }
    CHECK(items == 2);
    CHECK_NOTHROW(co.await(it.aclose()));
  });
}

TEST_CASE("asyncgen::test_asend") {
  driver::warnings warnings;
  async_generator it([](auto& co) { co(1); }, "gen");
  static_cast<void>(it.asend(std::nullopt));
  CHECK(warnings.text() == "coroutine method 'asend' of 'gen' was never awaited");

  // Not for one that was used, but again for the next.
  warnings.clear();
  CHECK(told([&] { return it.asend(std::nullopt).send(); }) == "StopIteration(1)");
  CHECK(warnings.text().empty());
  static_cast<void>(it.asend(std::nullopt));
  CHECK(warnings.text() == "coroutine method 'asend' of 'gen' was never awaited");
}

TEST_CASE("asyncgen::test_athrow") {
  driver::warnings warnings;
  async_generator it([](auto& co) { co(1); }, "gen");
  static_cast<void>(it.athrow(my_exception()));
  CHECK(warnings.text() == "coroutine method 'athrow' of 'gen' was never awaited");

  warnings.clear();
  CHECK(told([&] { return it.athrow(my_exception()).send(); }) == mine);
  CHECK(warnings.text().empty());
  static_cast<void>(it.athrow(my_exception()));
  CHECK(warnings.text() == "coroutine method 'athrow' of 'gen' was never awaited");
}

TEST_CASE("asyncgen::test_aclose") {
  driver::warnings warnings;
  async_generator it([](auto& co) { co(1); }, "gen");
  static_cast<void>(it.aclose());
  CHECK(warnings.text() == "coroutine method 'aclose' of 'gen' was never awaited");

  warnings.clear();
  CHECK(told([&] { it.aclose().send(); }) == "StopIteration()");
  CHECK(warnings.text().empty());
  static_cast<void>(it.aclose());
  CHECK(warnings.text() == "coroutine method 'aclose' of 'gen' was never awaited");
}

TEST_CASE("asyncgen::test_aclose_throw") {
  const driver::warnings warnings;
  async_generator it = yielding_once();
  CHECK(told([&] { it.aclose().throw_(my_exception()); }) == mine);
  CHECK(warnings.text().empty());
}

TEST_CASE("asyncgen::test_asend_send_already_running") {
  const driver::warnings warnings;
  async_generator it = waiting_for_ever();
  auto first = it.asend(std::nullopt);
  first.send();
  CHECK(told([&] { it.asend(std::nullopt).send(); }) == anext_running);
  CHECK(warnings.text().empty());
}

TEST_CASE("asyncgen::test_athrow_send_already_running") {
  const driver::warnings warnings;
  async_generator it = waiting_for_ever();
  auto first = it.asend(std::nullopt);
  first.send();
  CHECK(told([&] { it.athrow(my_exception()).send(); }) == athrow_running);
  CHECK(warnings.text().empty());
}
