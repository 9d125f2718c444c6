// SPDX-License-Identifier: BSL-1.0
#pragma once

// What generated bodies are made of, and what is expected of them.

#include <array>
#include <atomic>
#include <cstddef>
#include <cstring>
#include <exception>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "krait/krait.hpp"

namespace closing {

/// What a body that is closed did: all that anybody could see.
void note(const char* event);

enum class ending { never, perhaps, terminates };

struct test {
  const char* name;
  krait::generator<long> (*make)();
  int least, most;  ///< exceptions that are raised, in as many generators
  closing::ending ending;
};
extern const std::vector<test> tests;
extern const unsigned long seed;

struct noisy {
  const char* name;
  explicit noisy(const char* n) : name(n) {}
  noisy(const noisy&) = default;
  noisy& operator=(const noisy&) = default;
  ~noisy() { note(name); }
};

/// A `yield` in each of many places. At every other an object is alive that is counted, if the generator ends there.
void yield_in_places(krait::yielder<long>& yield);
extern const int places;

struct counter {
  static inline std::atomic<int> destroyed = 0;
  bool went_on = false;
  counter() {}
  counter(const counter&) = delete;
  counter& operator=(const counter&) = delete;
  ~counter() { destroyed += went_on ? 0 : 1; }
};

extern volatile std::size_t one_hundred;
inline std::size_t some_size() {
  return one_hundred;
}
/// So that what comes before is no tail call.
inline void barrier() {
  one_hundred = 100;
}

template <class F>
[[gnu::noinline]] void out_of_line(const F& f) {
  f();
  barrier();
}
template <class F>
[[gnu::noinline]] void out_of_line_nothrow(const F& f) noexcept {
  f();
  barrier();
}

template <class F>
[[gnu::noinline]] void recurse(int depth, const F& f) {
  if (depth == 0) {
    f();
  } else {
    recurse(depth - 1, f);
  }
  barrier();
}

template <class F>
void run(void* f) {
  (*static_cast<F*>(f))();
}
void call_back(void (*function)(void*), void* argument);

struct caller {
  virtual void call() = 0;
  static void call_virtually(caller& somebody);

 protected:
  ~caller() = default;
};
template <class F>
struct caller_of final : caller {
  F& f;
  explicit caller_of(F& given) : f(given) {}
  void call() override { f(); }
};

template <class F>
[[gnu::noinline]] void many_arguments(long a, long b, long c, long d, long e, long f, long g, long h, long i,
                                      long j, const F& inner) {
  inner();
  one_hundred = static_cast<std::size_t>(45 + a + b + c + d + e + f + g + h + i + j);
}

template <class F>
void take(const std::string& text, const F& inner) {
  inner();
  one_hundred = text.size();
}

inline void clean_up(int*) {
  note("cleanup");
}

struct noting_manager {
  void enter() {}
  void exit(std::exception_ptr exception) { note(exception != nullptr ? "exit with exception" : "exit"); }
};

template <class F>
struct runs_when_destroyed {
  F& f;
  explicit runs_when_destroyed(F& given) : f(given) {}
  runs_when_destroyed(const runs_when_destroyed&) = delete;
  runs_when_destroyed& operator=(const runs_when_destroyed&) = delete;
  ~runs_when_destroyed() { f(); }
};

template <class Yielder>
[[gnu::noinline]] void yield_for_ever(Yielder& yield) {
  for (long i = 0;; ++i) {
    yield(i);
  }
}

}  // namespace closing
