// SPDX-License-Identifier: BSL-1.0
#pragma once

// What is measured, once for everybody: the same loops, the same results checked, whoever makes the items.
//
//      next           one item of a generator that counts, through a range-for
//      next_call      the same through the call that an implementation has for it: g.next()
//      send           an int to a running sum, and the sum back
//      spawn          create, one item, run to the end, destroy
//      close          create, one item, destroy while suspended; what lives in the body must be destroyed
//      delegate/D     one item across D levels of delegation
//
// An implementation is a struct with some of the functions
//
//      counter(n)          a range of 0, 1, ... n - 1
//      next(range)         its next item
//      running_sum()       what send(running_sum, value) takes
//      single()            a range of 0
//      guarded(count)      an endless range whose body holds a destruction_counter
//      nested(depth)       an endless range 0, 1, ... through `depth` levels of delegation
//
// and takes part in the operations whose functions it has. One iteration is one item.
//
// Generators are made through opaque() pointers, so no compiler sees, at the place where a generator is used,
// how it was made. Otherwise Clang may inline a C++20 coroutine into its consumer and do without its
// allocation and its switches (HALO), and what is measured would be a loop.

#include <benchmark/benchmark.h>

#include <cstddef>
#include <iterator>
#include <limits>
#include <stdexcept>
#include <string>

namespace bench {

/// Items per generator where one is made per batch: what making it costs is lost among them.
inline constexpr int batch = 10'000;

inline constexpr long endless = std::numeric_limits<long>::max();

/// `function`, but the compiler does not know that.
template <class Function>
Function* opaque(Function* function) {
  asm volatile("" : "+r"(function));
  return function;
}

/// The sum of 0, 1, ... n - 1.
constexpr long sum_below(long n) {
  return n * (n - 1) / 2;
}

inline void check(benchmark::State& state, long got, long expected) {
  if (got != expected) {
    const std::string message = "got " + std::to_string(got) + ", expected " + std::to_string(expected);
    state.SkipWithError(message.c_str());
  }
}

/// An iterator for ranges with `long* advance()`, which returns null at the end.
template <class Range>
class iterator {
 public:
  using value_type = long;
  using difference_type = std::ptrdiff_t;

  explicit iterator(Range& range) : range_(&range), item_(range.advance()) {}

  long& operator*() const { return *item_; }
  iterator& operator++() {
    item_ = range_->advance();
    return *this;
  }
  void operator++(int) { ++*this; }
  bool operator==(std::default_sentinel_t) const { return item_ == nullptr; }

 private:
  Range* range_;
  long* item_;
};

/// Where `next` ends that has no item.
[[noreturn, gnu::noinline, gnu::cold]] inline long exhausted() {
  throw std::out_of_range("no more items");
}

// The loops around the measured operations are functions of their own, so that what is measured does not
// depend on what else a benchmark keeps in registers. An implementation may ask for more of the compiler.
#if !defined(KRAIT_BENCH_LOOP)
#define KRAIT_BENCH_LOOP gnu::noinline
#endif

template <class Range>
[[KRAIT_BENCH_LOOP]] long sum_of(Range range) {
  long sum = 0;
  for (const long item : range) {
    sum += item;
  }
  return sum;
}

template <class Self, class Range>
[[KRAIT_BENCH_LOOP]] long sum_of_calls(Range& range, int items) {
  long sum = 0;
  for (int i = 0; i < items; ++i) {
    sum += Self::next(range);
  }
  return sum;
}

template <class Self, class RunningSum>
[[KRAIT_BENCH_LOOP]] int send_all(RunningSum& running_sum, int items) {
  int sum = 0;
  for (int i = 0; i < items; ++i) {
    sum = Self::send(running_sum, i);
  }
  return sum;
}

template <class Self>
void next(benchmark::State& state) {
  const auto make = opaque(&Self::counter);
  long sum = 0;
  while (state.KeepRunningBatch(batch)) {
    sum += sum_of(make(batch));
  }
  check(state, sum, sum_below(batch) * (state.iterations() / batch));
}

template <class Self>
void next_call(benchmark::State& state) {
  const auto make = opaque(&Self::counter);
  auto range = make(endless);
  long sum = 0;
  while (state.KeepRunningBatch(batch)) {
    sum += sum_of_calls<Self>(range, batch);
  }
  check(state, sum, sum_below(state.iterations()));
}

template <class Self>
void send(benchmark::State& state) {
  const auto make = opaque(&Self::running_sum);
  long sum = 0;
  while (state.KeepRunningBatch(batch)) {
    auto running_sum = make();
    sum += send_all<Self>(running_sum, batch);
  }
  check(state, sum, sum_below(batch) * (state.iterations() / batch));
}

template <class Self>
[[KRAIT_BENCH_LOOP]] void spawn(benchmark::State& state) {
  const auto make = opaque(&Self::single);
  long items = 0;
  for (auto _ : state) {
    for (const long item : make()) {
      items += item + 1;
    }
  }
  check(state, items, state.iterations());
}

template <class Self>
[[KRAIT_BENCH_LOOP]] void close(benchmark::State& state) {
  const auto make = opaque(&Self::guarded);
  long items = 0;
  long destroyed = 0;
  for (auto _ : state) {
    auto range = make(destroyed);
    using std::begin;
    items += *begin(range) + 1;
  }
  check(state, items, state.iterations());
  check(state, destroyed, state.iterations());
}

/// Once per item, as a level-by-level implementation takes microseconds each, and building a chain of a
/// thousand would show. So the chain and its iterator outlive the iterations.
template <class Self>
[[KRAIT_BENCH_LOOP]] void delegate(benchmark::State& state) {
  const auto make = opaque(&Self::nested);
  auto range = make(static_cast<int>(state.range(0)));
  using std::begin;
  auto iterator = begin(range);
  long sum = 0;
  for (auto _ : state) {
    sum += *iterator;
    ++iterator;
  }
  check(state, sum, sum_below(state.iterations()));
}

/// What a body holds that is to be destroyed when its generator is.
class destruction_counter {
 public:
  explicit destruction_counter(long& count) : count_(count) {}
  ~destruction_counter() { ++count_; }
  destruction_counter(const destruction_counter&) = delete;
  destruction_counter& operator=(const destruction_counter&) = delete;

 private:
  long& count_;
};

/// Registers the operations that `Self` has functions for, as `operation/name`.
template <class Self>
bool enter(const std::string& name) {
  if constexpr (requires { &Self::counter; }) {
    benchmark::RegisterBenchmark(("next/" + name).c_str(), next<Self>);
    if constexpr (requires { &Self::next; }) {
      benchmark::RegisterBenchmark(("next_call/" + name).c_str(), next_call<Self>);
    }
  }
  if constexpr (requires { &Self::running_sum; }) {
    benchmark::RegisterBenchmark(("send/" + name).c_str(), send<Self>);
  }
  if constexpr (requires { &Self::single; }) {
    benchmark::RegisterBenchmark(("spawn/" + name).c_str(), spawn<Self>);
  }
  if constexpr (requires { &Self::guarded; }) {
    benchmark::RegisterBenchmark(("close/" + name).c_str(), close<Self>);
  }
  if constexpr (requires { &Self::nested; }) {
    benchmark::RegisterBenchmark(("delegate/" + name).c_str(), delegate<Self>)
        ->Arg(1)
        ->Arg(10)
        ->Arg(100)
        ->Arg(1000);
  }
  return true;
}

}  // namespace bench
