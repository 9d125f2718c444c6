// SPDX-License-Identifier: BSL-1.0

// To cancel a thread, or to let it exit, is to unwind its stack: with a generator running there are several,
// and an unwinding ends at the base of each. A thread that ends inside a body is therefore an error, which
// krait names before the process is aborted. Outside bodies, threads may be cancelled as ever.

#include <doctest/doctest.h>

#include <pthread.h>
#include <unistd.h>

#include <atomic>
#include <string>
#include <thread>

#include <krait/krait.hpp>

#include "scenario.hpp"

namespace {

using krait::generator;

/// The result of a thread that runs `body`, which ends the thread itself.
template <class Body>
void* result_of(Body body) {
  pthread_t thread;
  const auto run = [](void* argument) -> void* {
    (*static_cast<Body*>(argument))();
    return nullptr;
  };
  REQUIRE(::pthread_create(&thread, nullptr, run, &body) == 0);
  void* result = nullptr;
  REQUIRE(::pthread_join(thread, &result) == 0);
  return result;
}

void cancel_here() {
  ::pthread_cancel(::pthread_self());
  ::pthread_testcancel();
}

const scenario exits("pthread_exit", [] {
  std::thread([] {
    generator<int> g = [](auto& yield) {
      yield(1);
      ::pthread_exit(nullptr);
    };
    g.set_name("leaving");
    g.next();
    g.next();
  }).join();
  return 0;
});

const scenario cancelled("pthread_cancel", [] {
  std::thread([] {
    generator<int> g = [](auto& yield) {
      const probes::at_exit unwound([] { static_cast<void>(!::write(STDERR_FILENO, "unwound\n", 8)); });
      cancel_here();
      yield(1);
    };
    g.set_name("cancelled");
    g.next();
  }).join();
  return 0;
});

generator<int> innermost() {
  return [](auto& yield) {
    yield(1);
    try {
      cancel_here();
    } catch (const std::exception&) {
      yield(2);  // a forced unwinding is no std::exception
    }
  };
}
generator<int> middle() {
  return [](auto& yield) { yield.from(innermost()); };
}
const scenario in_delegate("cancelled in a delegation", [] {
  std::thread([] {
    generator<int> g = [](auto& yield) { yield.from(middle()); };
    g.next();
    g.next();
  }).join();
  return 0;
});

const scenario in_lent_delegate("cancelled in a lent delegation", [] {
  std::thread([] {
    auto inner = middle();
    generator<int> g = [&inner](auto& yield) { yield.from(inner); };
    g.next();
    g.next();
  }).join();
  return 0;
});

/// While it unwinds from the cancellation, a body waits for another generator.
const scenario uses_while_unwinding("uses generators while it unwinds", [] {
  std::thread([] {
    generator<int> g = [](auto& yield) {
      const probes::at_exit use([] {
        generator<int> other = [](auto& inner) { inner(5); };
        static_cast<void>(!::write(STDERR_FILENO, other.next() == 5 ? "five\n" : "none\n", 5));
      });
      cancel_here();
      yield(1);
    };
    g.set_name("unwound");
    g.next();
  }).join();
  return 0;
});

void aborted_naming(const ending& end, const std::string& name) {
  CAPTURE(end.text);
  if (probes::sanitized && end.says("__forced_unwind")) {
    return;  // libstdc++ has one catch a null reference for a cancellation; UndefinedBehaviorSanitizer ends
             // it there
  }
  CHECK(end.status.killed_by(SIGABRT));
#if defined(__GLIBCXX__)
  CHECK(
      end.says("krait: a thread was cancelled or exited while running <generator object " + name + " at 0x"));
#else
  static_cast<void>(name);  // another runtime does not say what it is that unwinds
#endif
}

}  // namespace

TEST_CASE("a thread that exits inside a body: that is named, and the process aborted") {
  aborted_naming(exits.run(), "leaving");
}

TEST_CASE(
    "a thread that is cancelled inside a body: the body is unwound, that is named, and the process aborted") {
  const ending end = cancelled.run();
  aborted_naming(end, "cancelled");
  CHECK(end.says("unwound\n"));
}

TEST_CASE("in a delegation, the generator that ran is named") {
  aborted_naming(in_delegate.run(), "innermost");
  aborted_naming(in_lent_delegate.run(), "innermost");
}

TEST_CASE("a body that is unwound by a cancellation may use other generators meanwhile") {
  const ending end = uses_while_unwinding.run();
  CHECK(end.text.starts_with("five\n"));
  aborted_naming(end, "unwound");
}

TEST_CASE("a thread that exits or is cancelled outside bodies closes its generators") {
  for (const bool exits_itself : {true, false}) {
    probes::tally objects;
    void* const result = result_of([&] {
      generator<int> g = [&objects](auto& yield) {
        const probes::counted local(objects);
        yield(1);
      };
      g.next();
      generator<int> closing = [&objects](auto& yield) {
        const probes::counted local(objects);
        try {
          yield(1);
        } catch (const krait::generator_exit&) {
          generator<int> other = [](auto& inner) { inner(5); };
          other.next();
        }
      };
      closing.next();
      if (exits_itself) {
        ::pthread_exit(&objects);
      }
      cancel_here();
    });
    CHECK(result == (exits_itself ? static_cast<void*>(&objects) : PTHREAD_CANCELED));
    CHECK(objects.live == 0);
  }
}

TEST_CASE("a cancellation that is pending while bodies run takes place behind them") {
  probes::tally objects;
  int items = 0;
  void* const result = result_of([&] {
    int before = 0;
    ::pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &before);
    generator<int> g = [&objects](auto& yield) {
      const probes::counted local(objects);
      for (int i = 0; i < 3; ++i) {
        ::pthread_testcancel();
        yield(i);
      }
    };
    ::pthread_cancel(::pthread_self());
    for (int item : g) {
      items += item;
    }
    ::pthread_setcancelstate(before, nullptr);
    ::pthread_testcancel();
  });
  CHECK(result == PTHREAD_CANCELED);
  CHECK(items == 3);
  CHECK(objects.live == 0);
}
