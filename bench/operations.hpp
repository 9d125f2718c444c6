// SPDX-License-Identifier: BSL-1.0
#pragma once

// What is measured, once for everybody: the same loops, the same results checked, whoever makes the items.
//
//      next              one item of a generator that counts, through a range-for
//      next_call         the same through the call that an implementation has for it: g.next()
//      send              an int to a running sum, and the sum back
//      throw             an exception into a generator that catches it, and the next item back
//      spawn             create, one item, run to the end, destroy
//      spawn_cold        create and one item, on a stack never used before
//      close             create, one item, destroy while suspended; what lives in the body must be destroyed
//      close_plain       the same where nothing in the body must be destroyed
//      close_deep        the same, suspended four calls below the body
//      close_string      the same where the body has a std::string
//      break             create, and leave a loop over it at the fourth item
//      delegate/D        one item across D levels of delegation
//      delegate_shared/D the same by reference, which others might advance as well
//      await/D           one item of an awaitable, through D coroutines that await each other, to the driver
//      coroutine_spawn   create a coroutine that awaits nothing, drive it to its end, destroy
//      walk_tree         one node of a million, in order, each node delegating to its children's generators
//      walk_tree_calls   the same by plain recursion, with the right to yield handed down
//      round_robin/N     one item of N live generators in turn
//      threads/T         T threads that do `close`: wall-clock time for each generator
//      live/N/P          N generators alive: bytes for each; then P items from each (counters in the JSON)
//
// An implementation is a struct with some of the functions
//
//      counter(n)          a range of 0, 1, ... n - 1
//      next(range)         its next item
//      running_sum()       what send(running_sum, value) takes
//      catching()          what throw_in(catching) takes, which raises bench::error in it
//      single()            a range of 0
//      first_uses(n)       makes n generators on fresh stacks, one item each; the number of items
//      guarded(count)      an endless range whose body holds a destruction_counter
//      deep()              an endless range whose body yields four calls further down
//      with_string()       an endless range whose body has a std::string on the heap
//      nested(depth)       an endless range 0, 1, ... through `depth` levels of delegation
//      nested_shared(depth)
//      awaiting(depth)     what resume(awaiting) takes, for the next of the items 0, 1, ...
//      returning(value)    a coroutine, which run(coroutine) drives for its value
//      walk(tree)          the values of a tree, in order
//      walk_calls(tree)
//
// and takes part in the operations whose functions it has. One iteration is one item.
//
// Generators are made through opaque() pointers, so no compiler sees, at the place where a generator is used,
// how it was made. Otherwise Clang may inline a C++20 coroutine into its consumer and do without its
// allocation and its switches (HALO), and what is measured would be a loop.

#include <benchmark/benchmark.h>

#include <algorithm>
#include <cstddef>
#include <cstdlib>
#include <iterator>
#include <limits>
#include <optional>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "memory.hpp"
#include "tree.hpp"

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
// depend on what else a benchmark keeps in registers. An implementation may ask for more of the compiler;
// `Self` keeps apart those that share a type.
#if !defined(KRAIT_BENCH_LOOP)
#define KRAIT_BENCH_LOOP gnu::noinline
#endif

template <class Self, class Range>
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
    sum += sum_of<Self>(make(batch));
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

/// `make()` is an endless range.
template <class Make>
[[KRAIT_BENCH_LOOP]] void close_unseen(benchmark::State& state, Make make) {
  long items = 0;
  for (auto _ : state) {
    auto range = make();
    using std::begin;
    static_cast<void>(*begin(range));
    ++items;
  }
  check(state, items, state.iterations());
}

template <class Self>
[[KRAIT_BENCH_LOOP]] void break_(benchmark::State& state) {
  const auto make = opaque(&Self::counter);
  long sum = 0;
  for (auto _ : state) {
    for (const long item : make(endless)) {
      sum += item;
      if (item == 3) {
        break;
      }
    }
  }
  check(state, sum, 6 * state.iterations());
}

struct error {};

template <class Self>
[[KRAIT_BENCH_LOOP]] void throw_(benchmark::State& state) {
  auto catching = opaque(&Self::catching)();
  long sum = 0;
  for (auto _ : state) {
    sum += Self::throw_in(catching);
  }
  check(state, sum, state.iterations());
}

/// As many as share a mapping, which takes part in the time.
template <class Self>
void spawn_cold(benchmark::State& state) {
  constexpr int together = 900;
  long items = 0;
  while (state.KeepRunningBatch(together)) {
    items += Self::first_uses(together);
  }
  check(state, items, state.iterations());
}

/// Once per item, as a level-by-level implementation takes microseconds each, and building a chain of a
/// thousand would show. So the chain and its iterator outlive the iterations.
template <class Make>
[[KRAIT_BENCH_LOOP]] void delegate(benchmark::State& state, Make make) {
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

template <class Self>
[[KRAIT_BENCH_LOOP]] void await(benchmark::State& state) {
  auto awaiting = opaque(&Self::awaiting)(static_cast<int>(state.range(0)));
  long sum = 0;
  for (auto _ : state) {
    sum += Self::resume(awaiting);
  }
  check(state, sum, sum_below(state.iterations()));
}

template <class Self>
[[KRAIT_BENCH_LOOP]] void coroutine_spawn(benchmark::State& state) {
  const auto make = opaque(&Self::returning);
  long sum = 0;
  long count = 0;
  for (auto _ : state) {
    auto one = make(count++);
    sum += Self::run(one);
  }
  check(state, sum, sum_below(state.iterations()));
}

/// Whole walks; the sum says whether it was the whole tree.
template <class Self, class Make>
void walk(benchmark::State& state, Make make) {
  const tree& nodes = tree::of_a_million();
  long sum = 0;
  while (state.KeepRunningBatch(tree::size)) {
    sum += sum_of<Self>(make(nodes.root()));
  }
  check(state, sum, sum_below(tree::size) * (state.iterations() / tree::size));
}

template <class Self>
void round_robin(benchmark::State& state) {
  const auto make = opaque(&Self::counter);
  std::vector<decltype(make(endless))> ranges;
  const auto count = static_cast<std::size_t>(state.range(0));
  ranges.reserve(count);
  for (std::size_t i = 0; i < count; ++i) {
    ranges.push_back(make(endless));
  }
  long sum = 0;
  while (state.KeepRunningBatch(state.range(0))) {
    for (auto& range : ranges) {
      sum += Self::next(range);
    }
  }
  check(state, sum, sum_below(state.iterations() / state.range(0)) * state.range(0));
}

/// A round of all threads is long, so that to start them is nothing.
template <class Self>
void threads(benchmark::State& state) {
  constexpr long each = 50'000;
  const auto make = opaque(&Self::guarded);
  const long count = state.range(0);
  std::vector<long> destroyed(static_cast<std::size_t>(count) * 64);  // far apart
  while (state.KeepRunningBatch(count * each)) {
    std::vector<std::thread> all;
    for (long thread = 0; thread < count; ++thread) {
      all.emplace_back([&, thread] {
        long& mine = destroyed[static_cast<std::size_t>(thread) * 64];
        for (long i = 0; i < each; ++i) {
          auto range = make(mine);
          using std::begin;
          benchmark::DoNotOptimize(*begin(range));
        }
      });
    }
    for (std::thread& one : all) {
      one.join();
    }
  }
  long sum = 0;
  for (const long one : destroyed) {
    sum += one;
  }
  check(state, sum, state.iterations());
}

/// Reported beside the time: bytes for each, of stack and of page tables; and what an item takes in the first
/// and in the last rounds.
template <class Self>
void live(benchmark::State& state) {
  const auto make = opaque(&Self::counter);
  const auto count = static_cast<std::size_t>(state.range(0));
  const long rounds = state.range(1);
  std::vector<decltype(make(endless))> ranges;
  ranges.reserve(count);
  long sum = 0;
  for (auto _ : state) {
    const resident_memory before = resident_memory::now();
    for (std::size_t i = 0; i < count; ++i) {
      sum += Self::next(ranges.emplace_back(make(endless)));
    }
    const resident_memory after = resident_memory::now();
    stopwatch watch;
    std::vector<double> seconds;
    for (long round = 1; round < rounds; ++round) {
      for (auto& range : ranges) {
        sum += Self::next(range);
      }
      seconds.push_back(watch.lap());
    }
    ranges.clear();
    const auto number = static_cast<double>(count);
    state.counters["bytes_resident"] = static_cast<double>(after.data - before.data) / number;
    state.counters["bytes_page_tables"] =
        static_cast<double>(after.page_tables - before.page_tables) / number;
    // The median of a tenth of the rounds; what slows down a single round is the machine's other work.
    const auto tenth = static_cast<std::ptrdiff_t>(seconds.size() / 10);
    const auto median = [&](auto first) {
      std::nth_element(first, first + tenth / 2, first + tenth);
      return first[tenth / 2] / number * 1e9;
    };
    state.counters["ns_next_first"] = median(seconds.begin());
    state.counters["ns_next_last"] = median(seconds.end() - tenth);
  }
  check(state, sum, sum_below(rounds) * state.range(0));
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
  // `count` runs a known number of items, to count the instructions for each.
  static const char* const iterations = std::getenv("KRAIT_BENCH_ITERATIONS");
  const auto enter_one = [&](const char* operation, auto function) {
    auto* const one = benchmark::RegisterBenchmark((operation + name).c_str(), function);
    return iterations == nullptr ? one : one->Iterations(std::atol(iterations));
  };
  const auto at_depths = [](auto* one) { one->Arg(1)->Arg(10)->Arg(100)->Arg(1000); };
  if constexpr (requires { &Self::counter; }) {
    enter_one("next/", next<Self>);
    if constexpr (requires { &Self::next; }) {
      enter_one("next_call/", next_call<Self>);
      enter_one("round_robin/", round_robin<Self>)->Arg(10'000);
      if constexpr (requires { &Self::lives; }) {
        enter_one("live/", live<Self>)
            ->Args({1'000'000, Self::lives})
            ->Iterations(1)
            ->Unit(benchmark::kSecond);
      }
    }
  }
  if constexpr (requires { &Self::running_sum; }) {
    enter_one("send/", send<Self>);
  }
  if constexpr (requires { &Self::catching; }) {
    enter_one("throw/", throw_<Self>);
  }
  if constexpr (requires { &Self::single; }) {
    enter_one("spawn/", spawn<Self>);
  }
  if constexpr (requires { &Self::first_uses; }) {
    enter_one("spawn_cold/", spawn_cold<Self>);
  }
  if constexpr (requires { &Self::guarded; }) {
    enter_one("close/", close<Self>);
    enter_one("threads/", threads<Self>)->Arg(1)->Arg(2)->UseRealTime();
  }
  if constexpr (requires { &Self::guarded, &Self::counter; }) {
    enter_one("close_plain/", [](auto& state) {
      close_unseen(state, [make = opaque(&Self::counter)] { return make(endless); });
    });
    enter_one("break/", break_<Self>);
  }
  if constexpr (requires { &Self::deep; }) {
    enter_one("close_deep/", [](auto& state) { close_unseen(state, opaque(&Self::deep)); });
  }
  if constexpr (requires { &Self::with_string; }) {
    enter_one("close_string/", [](auto& state) { close_unseen(state, opaque(&Self::with_string)); });
  }
  if constexpr (requires { &Self::nested; }) {
    at_depths(enter_one("delegate/", [](auto& state) { delegate(state, opaque(&Self::nested)); }));
  }
  if constexpr (requires { &Self::nested_shared; }) {
    at_depths(
        enter_one("delegate_shared/", [](auto& state) { delegate(state, opaque(&Self::nested_shared)); }));
  }
  if constexpr (requires { &Self::awaiting; }) {
    at_depths(enter_one("await/", await<Self>));
  }
  if constexpr (requires { &Self::returning; }) {
    enter_one("coroutine_spawn/", coroutine_spawn<Self>);
  }
  if constexpr (requires { &Self::walk; }) {
    enter_one("walk_tree/", [](auto& state) { walk<Self>(state, opaque(&Self::walk)); });
  }
  if constexpr (requires { &Self::walk_calls; }) {
    enter_one("walk_tree_calls/", [](auto& state) { walk<Self>(state, opaque(&Self::walk_calls)); });
  }
  return true;
}

}  // namespace bench
