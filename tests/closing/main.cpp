// SPDX-License-Identifier: BSL-1.0

// Each body is closed twice, in processes of their own: with the exception thrown always, as KRAIT_CLOSE=throw says, and
// as krait would have it. Nobody may see a difference; and the exception is thrown where it must be, and not where nobody
// would see it. That a body with a destructor is dropped, and that one without is not, are failures alike.

#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "bodies.hpp"

namespace {

std::string events;
std::atomic<int> thrown = 0;

}  // namespace

namespace closing {

volatile std::size_t one_hundred = 100;

void note(const char* event) {
  events += event;
  events += ' ';
}

void call_back(void (*function)(void*), void* argument) {
  function(argument);
  barrier();
}

void caller::call_virtually(caller& somebody) {
  somebody.call();
  barrier();
}

}  // namespace closing

// The linker has krait's calls of std::rethrow_exception() come here.
#if defined(_LIBCPP_VERSION)
#define RETHROW(prefix) prefix##_ZSt17rethrow_exceptionSt13exception_ptr
#else
#define RETHROW(prefix) prefix##_ZSt17rethrow_exceptionNSt15__exception_ptr13exception_ptrE
#endif
extern "C" [[noreturn]] void RETHROW(__real_)(std::exception_ptr);
extern "C" [[noreturn]] void RETHROW(__wrap_)(std::exception_ptr exception) {
  ++thrown;
  RETHROW(__real_)(std::move(exception));
}

namespace {

enum class way { close, destroy };

struct outcome {
  std::string seen;
  int thrown = 0;
};

void write_out(int to) {
  const int times = thrown;
  static_cast<void>(!::write(to, &times, sizeof times));
  static_cast<void>(!::write(to, events.data(), events.size()));
}
int output = -1;

/// The third time is by what was found out before.
void close_thrice(const closing::test& test, way how, int items) {
  for (int round = 0; round < 3; ++round) {
    thrown = 0;
    try {
      krait::generator<long> generator = test.make();
      for (int i = 0; i < items; ++i) {
        if (!generator.resume()) {
          return closing::note("over");
        }
      }
      thrown = 0;
      if (how == way::close) {
        generator.close();
        closing::note(generator.state() == krait::generator_state::closed ? "closed" : "not closed");
        closing::note(generator.resume() ? "goes on" : "ended");
      } else {
        const krait::generator<long> dropped = std::move(generator);
      }
    } catch (const std::exception& e) {
      closing::note(e.what());
    }
    closing::note(std::uncaught_exceptions() == 0 && std::current_exception() == nullptr ? "|"
                                                                                         : "not clean |");
  }
}

outcome observe(const closing::test& test, way how, int items, bool throws) {
  int ends[2];
  if (::pipe(ends) != 0) {
    std::abort();
  }
  std::fflush(stdout);
  const pid_t child = ::fork();
  if (child == 0) {
    output = ends[1];
    ::setenv("KRAIT_CLOSE", throws ? "throw" : "", 1);
    std::set_terminate([] {
      closing::note("terminated");
      write_out(output);
      ::_exit(3);
    });
    krait::set_unraisable_hook(
        [](const krait::unraisable& report) { closing::note(report.message.substr(0, 30).c_str()); });
    close_thrice(test, how, items);
    write_out(output);
    ::_exit(0);
  }
  ::close(ends[1]);
  outcome result;
  static_cast<void>(!::read(ends[0], &result.thrown, sizeof result.thrown));
  char part[4096];
  for (ssize_t size; (size = ::read(ends[0], part, sizeof part)) > 0;) {
    result.seen.append(part, static_cast<std::size_t>(size));
  }
  ::close(ends[0]);
  int status = 0;
  ::waitpid(child, &status, 0);
  result.seen += "status " + std::to_string(status);
  return result;
}

// ThreadSanitizer has something to do wherever an exception passes; of signed return addresses only what is inlined into the
// end of a stack is understood. So it may be thrown although nobody would see it, but not the other way.
constexpr bool throws_more =
#if defined(KRAIT_TSAN) || defined(__ARM_FEATURE_PAC_DEFAULT) || !defined(KRAIT_HAS_ASSEMBLY)
    true;
#else
    false;
#endif

/// Closes generators in more places than are remembered: twice, and then in several threads at once. No destructor is left
/// out, and where there is none nothing is thrown.
bool close_in_many_places() {
  const auto close_all = [] {
    for (int place = 0; place < closing::places; ++place) {
      krait::generator<long> generator(closing::yield_in_places);
      for (int i = 0; i <= place; ++i) {
        generator.next();
      }
    }
  };
  const auto each_seen = [](int times) {
    const int expected = times * closing::places / 2;
    return closing::counter::destroyed == expected && (throws_more || thrown == expected);
  };
  closing::counter::destroyed = 0;
  thrown = 0;
  close_all();
  close_all();
  const bool alone = each_seen(2);
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back(close_all);
  }
  for (std::thread& each : threads) {
    each.join();
  }
  return alone && each_seen(6);
}

}  // namespace

int main() {
  int passed = 0, failed = 0, dropped = 0;
  for (const closing::test& test : closing::tests) {
    bool fine = true;
    for (const way how : {way::close, way::destroy}) {
      for (const int items : {1, 2}) {
        const outcome expected = observe(test, how, items, true);
        const outcome seen = observe(test, how, items, false);
        const bool ended = expected.seen.find("over status") != std::string::npos;
        const int most = throws_more ? expected.thrown : test.most;
        const bool counts = ended || (seen.thrown >= test.least && seen.thrown <= most);
        const bool terminated = expected.seen.find("terminated") != std::string::npos;
        const bool ends = ended || test.ending == closing::ending::perhaps ||
                          terminated == (test.ending == closing::ending::terminates);
        dropped += seen.thrown < expected.thrown;
        if (seen.seen != expected.seen || !counts || !ends) {
          fine = false;
          std::printf("%s, %s after %d:\n  thrown always, %d times: %s\n  %d times (%d to %d expected): %s\n",
                      test.name, how == way::close ? "close()" : "destroyed", items, expected.thrown,
                      expected.seen.c_str(), seen.thrown, test.least, most, seen.seen.c_str());
        }
      }
    }
    ++(fine ? passed : failed);
  }
  const bool many_places = close_in_many_places();
  ++(many_places ? passed : failed);
  if (!many_places) {
    std::printf("many places: %d destructors, %d thrown\n", closing::counter::destroyed.load(),
                thrown.load());
  }
  if (dropped == 0 && !throws_more) {
    std::printf("nothing was ever dropped\n");
    ++failed;
  }
  std::printf("seed %lu: %d closings threw less\n%d passed, %d failed\n", closing::seed, dropped, passed,
              failed);
  return failed == 0 && passed > 0 ? 0 : 1;
}
