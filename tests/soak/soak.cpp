// SPDX-License-Identifier: BSL-1.0

// Endurance: random generators on several threads, for minutes, while memory runs out now and then.
//
//   soak [--minutes N] [--threads N] [--seed S]     ends with "N passed, N failed": scenarios
//
// A scenario is a generator, or a chain of them, used in a random way for a while, and then ended or left to
// another thread. It has failed if anything came out but what was thrown in and the std::bad_alloc that was
// injected. In the end no generator, stack or object on a stack may be left, and memory must not have grown
// since the program had warmed up.

#include <unistd.h>

#include <atomic>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <deque>
#include <functional>
#include <krait/krait.hpp>
#include <mutex>
#include <new>
#include <optional>
#include <random>
#include <sstream>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

namespace {

using clock = std::chrono::steady_clock;
using generator = krait::generator<long, std::optional<long>, long>;
using yielder = krait::yielder<long, std::optional<long>>;

/// What may have grown by the end: caches of allocators, stacks that more threads held at once.
constexpr long permitted_growth = 32L << 20;

// Faults: while a thread is armed, one in so many of its allocations fails.

thread_local unsigned fault_every = 0;
thread_local std::uint32_t fault_state = 1;
std::atomic<long> faults_injected = 0;

/// Not inlined, as a generator may go on in another thread, and the address of what is a thread's own must be
/// fetched anew.
[[gnu::noinline]] bool fault_due() noexcept {
  if (fault_every == 0) {
    return false;
  }
  fault_state = fault_state * 1664525 + 1013904223;
  if ((fault_state >> 8) % fault_every != 0) {
    return false;
  }
  faults_injected.fetch_add(1, std::memory_order_relaxed);
  return true;
}
[[gnu::noinline]] void arm(unsigned every, std::uint32_t seed) noexcept {
  fault_every = every;
  fault_state = seed;
}

}  // namespace

// Not inlined, or GCC sees what new and free() do with each other's memory.
[[gnu::noinline]] void* operator new(std::size_t size) {
  void* const memory = fault_due() ? nullptr : std::malloc(size == 0 ? 1 : size);
  if (memory == nullptr) {
    throw std::bad_alloc();
  }
  return memory;
}
[[gnu::noinline]] void operator delete(void* memory) noexcept {
  std::free(memory);
}
[[gnu::noinline]] void operator delete(void* memory, std::size_t) noexcept {
  std::free(memory);
}

namespace {

/// A pool whose stacks are counted, and are sometimes not to be had.
class counted_pool final : public krait::stack_source {
 public:
  explicit counted_pool(krait::stack_options options) : pool_(options) {}

  krait::stack allocate() override {
    if (fault_due()) {
      throw std::bad_alloc();
    }
    const krait::stack made = pool_.allocate();
    live.fetch_add(1, std::memory_order_relaxed);
    return made;
  }
  void deallocate(krait::stack memory) noexcept override {
    live.fetch_sub(1, std::memory_order_relaxed);
    pool_.deallocate(memory);
  }

  std::atomic<long> live = 0;

 private:
  krait::stack_pool pool_;
};

counted_pool& own_pool() {
  static counted_pool& pool = *new counted_pool({128 * 1024, 8192});
  return pool;
}

/// Objects on generators' stacks.
std::atomic<long> objects_live = 0;
struct object {
  object() noexcept { objects_live.fetch_add(1, std::memory_order_relaxed); }
  ~object() { objects_live.fetch_sub(1, std::memory_order_relaxed); }
  object(const object&) = delete;
  object& operator=(const object&) = delete;
};

struct thrown_in {
  long number;
};

struct counters {
  long passed = 0;
  long failed = 0;
  long generators = 0;
  long switches = 0;
  long moved = 0;  ///< taken over from another thread
};

/// The numbers from `first` on; what is sent is added. Survives a thrown_in, which it then yields from within
/// the handler.
long count(yielder& yield, long first, long items) {
  const object witness;
  const std::size_t length = 20 + static_cast<std::size_t>(first) % 50;
  const std::string text(length, 'x');  // on the heap
  for (long n = 0; n < items; ++n) {
    try {
      if (const std::optional<long> sent = yield(first + n)) {
        first += *sent;
      }
    } catch (const thrown_in& thrown) {
      const object in_handler;
      const long before = thrown.number;
      yield(-before);
      if (thrown.number != before) {
        throw std::logic_error("the exception being handled has changed");
      }
    }
  }
  if (text != std::string(length, 'x')) {
    throw std::logic_error("a local variable has changed");
  }
  return first;
}

/// The same, from a deep call.
long count_deep(yielder& yield, long first, long items, int depth) {
  volatile char room[300];
  room[depth % 300] = static_cast<char>(depth);
  const long result = depth == 0 ? count(yield, first, items) : count_deep(yield, first, items, depth - 1);
  return result + (room[depth % 300] - static_cast<char>(depth));
}

class player {
 public:
  player(std::uint64_t seed, counters& counts) : random_(seed), counts_(counts) {}

  std::uint32_t below(std::uint32_t n) { return static_cast<std::uint32_t>(random_() % n); }

  /// A generator, perhaps delegating to another, and so on.
  generator make(int depth) {
    const long first = below(1000);
    const long items = below(12);
    const int calls = below(4) == 0 ? static_cast<int>(below(20)) : 0;
    const std::uint32_t kind = depth == 0 ? 0 : below(4);
    ++counts_.generators;
    switch (kind) {
      case 1:
        return placed([inner = make(depth - 1)](yielder& yield) mutable {
          const object witness;
          return yield.from(std::move(inner));
        });
      case 2:
        return placed([inner = make(depth - 1)](yielder& yield) mutable {
          const object witness;
          return yield.from(inner);
        });
      case 3:
        return placed([inner = make(depth - 1), first](yielder& yield) mutable {
          const object witness;
          try {
            return yield.from(std::move(inner));
          } catch (const std::exception&) {
            yield(first);  // suspended in a handler
            throw;
          }
        });
      default:
        return placed([=](yielder& yield) { return count_deep(yield, first, items, calls); });
    }
  }

  /// Uses a generator in some random way for a while. False when it has ended.
  bool play(generator& g) {
    for (std::uint32_t left = 1 + below(10); left != 0; --left) {
      counts_.switches += 2;
      switch (below(12)) {
        case 0:
          if (!g.resume_with(std::make_exception_ptr(thrown_in{static_cast<long>(below(1000))})).yielded()) {
            return false;
          }
          break;
        case 1:
          if (g.state() == krait::generator_state::suspended) {
            if (!g.resume(std::optional<long>(1)).yielded()) {
              return false;
            }
            break;
          }
          [[fallthrough]];
        default:
          if (!g.resume().yielded()) {
            return false;
          }
      }
    }
    return true;
  }

  /// Ends it in one of several ways.
  void end(generator g) {
    counts_.switches += 2;
    switch (below(4)) {
      case 0:
        g.close();
        break;
      case 1:
        while (g.resume().yielded()) {
          counts_.switches += 2;
        }
        break;
      case 2:
        try {
          throw 1;  // dropped within a handler
        } catch (int) {
          const generator dropped = std::move(g);
        }
        break;
      default:
        break;  // dropped
    }
  }

 private:
  template <class Body>
  generator placed(Body&& body) {
    switch (below(3)) {
      case 0:
        return generator(std::allocator_arg, own_pool(), std::forward<Body>(body));
      default:
        return generator(std::forward<Body>(body));
    }
  }

  std::mt19937_64 random_;
  counters& counts_;
};

/// Suspended generators on their way to another thread.
class exchange {
 public:
  void put(generator g) {
    const std::lock_guard lock(mutex_);
    waiting_.push_back(std::move(g));
  }
  std::optional<generator> take() {
    const std::lock_guard lock(mutex_);
    if (waiting_.size() < 8) {
      return std::nullopt;
    }
    std::optional<generator> taken(std::move(waiting_.front()));
    waiting_.pop_front();
    return taken;
  }
  void clear() { waiting_.clear(); }

 private:
  std::mutex mutex_;
  std::deque<generator> waiting_;
};

/// What a scenario may come to besides an end.
bool expected(const std::exception_ptr& exception) noexcept {
  try {
    std::rethrow_exception(exception);
  } catch (const std::bad_alloc&) {
  } catch (const thrown_in&) {  // one that was not caught, as the body did not wait in `count`
  } catch (const std::exception& e) {
    std::fprintf(stderr, "soak: %s\n", e.what());
    return false;
  } catch (...) {
    return false;
  }
  return true;
}

void scenario(player& random, exchange& others, counters& counts) {
  try {
    std::optional<generator> g = random.below(4) == 0 ? others.take() : std::nullopt;
    if (g.has_value()) {
      ++counts.moved;
    } else {
      g.emplace(random.make(static_cast<int>(random.below(5))));
    }
    if (random.play(*g)) {
      if (random.below(3) == 0) {
        others.put(*std::move(g));
      } else {
        random.end(*std::move(g));
      }
    }
    ++counts.passed;
  } catch (...) {
    expected(std::current_exception()) ? ++counts.passed : ++counts.failed;
  }
}

long resident_bytes() {
  long pages = 0;
  if (std::FILE* const file = std::fopen("/proc/self/statm", "r")) {
    if (std::fscanf(file, "%*d %ld", &pages) != 1) {
      pages = 0;
    }
    std::fclose(file);
  }
  return pages * ::sysconf(_SC_PAGESIZE);
}

struct settings {
  double minutes = 10;
  unsigned threads = 4;
  std::uint64_t seed = std::random_device()();
};

/// What all threads have done so far.
class summary {
 public:
  void add(const counters& more) {
    const std::lock_guard lock(mutex_);
    sum_.passed += more.passed;
    sum_.failed += more.failed;
    sum_.generators += more.generators;
    sum_.switches += more.switches;
    sum_.moved += more.moved;
  }
  counters get() {
    const std::lock_guard lock(mutex_);
    return sum_;
  }

 private:
  std::mutex mutex_;
  counters sum_;
};

constexpr int scenarios_of_a_thread = 2000;

/// Threads one after the other, until the end.
void lane(std::uint64_t seed, clock::time_point deadline, exchange& others, summary& all) {
  for (; clock::now() < deadline; seed += 1000) {
    std::thread([&] {
      counters counts;
      player random(seed, counts);
      for (int n = 0; n < scenarios_of_a_thread && clock::now() < deadline; ++n) {
        arm(random.below(2) == 0 ? 0 : 20 + random.below(200), random.below(1u << 30));
        scenario(random, others, counts);
        arm(0, 0);
      }
      all.add(counts);
    }).join();
  }
}

int soak(const settings& wish) {
  std::printf("seed %llu, %u threads, %.1f minutes\n", static_cast<unsigned long long>(wish.seed),
              wish.threads, wish.minutes);
  std::fflush(stdout);
  std::atomic<long> reports = 0;
  krait::set_unraisable_hook([&](const krait::unraisable& event) {
    if (!expected(event.exception)) {
      reports.fetch_add(1);
    }
  });

  const auto start = clock::now();
  const auto duration =
      std::chrono::duration_cast<clock::duration>(std::chrono::duration<double>(wish.minutes * 60));
  const auto warm = start + duration / 4;
  exchange others;
  summary all;
  std::vector<std::thread> lanes;
  for (unsigned n = 0; n < wish.threads; ++n) {
    lanes.emplace_back(lane, wish.seed + n, start + duration, std::ref(others), std::ref(all));
  }
  long first = 0, last = 0;
  while (clock::now() < start + duration) {
    std::this_thread::sleep_for(std::chrono::seconds(1));
    last = resident_bytes();
    if (first == 0 && clock::now() >= warm) {
      first = last;
    }
    if (::isatty(STDERR_FILENO)) {
      const counters now = all.get();
      std::fprintf(stderr, "\r%4.0f s: %ld scenarios, %ld failed, %ld faults, %ld KiB resident ",
                   std::chrono::duration<double>(clock::now() - start).count(), now.passed + now.failed,
                   now.failed, faults_injected.load(), last / 1024);
    }
  }
  for (std::thread& each : lanes) {
    each.join();
  }
  others.clear();
  if (::isatty(STDERR_FILENO)) {
    std::fputc('\n', stderr);
  }

  counters result = all.get();
  const auto require = [&](bool holds, const char* otherwise, long value) {
    if (!holds) {
      std::printf("%s: %ld\n", otherwise, value);
      ++result.failed;
    }
  };
  std::ostringstream left;
  krait::dump_generators(left);
  std::printf(
      "%ld generators, %ld resumed in another thread than before, %ld switches, %ld faults injected\n",
      result.generators, result.moved, result.switches, faults_injected.load());
  std::printf("resident: %ld KiB after a quarter of the time, %ld KiB at the end\n", first / 1024,
              last / 1024);
  require(left.str().empty(), "generators are left over", static_cast<long>(left.str().size()));
  require(objects_live == 0, "objects are left over", objects_live);
  require(own_pool().live == 0, "stacks are left over", own_pool().live);
  require(reports == 0, "unraisable exceptions", reports);
#if !defined(KRAIT_ASAN) && !defined(KRAIT_TSAN)  // these keep what was freed for a while
  require(last - first <= permitted_growth, "memory grows: bytes", last - first);
#endif
  std::printf("%ld passed, %ld failed\n", result.passed, result.failed);
  return result.failed == 0 && result.passed > 0 ? 0 : 1;
}

}  // namespace

int main(int argc, char** argv) {
  settings wish;
  for (int i = 1; i + 1 < argc; i += 2) {
    const std::string option = argv[i];
    if (option == "--minutes") {
      wish.minutes = std::atof(argv[i + 1]);
    } else if (option == "--threads") {
      wish.threads = static_cast<unsigned>(std::atoi(argv[i + 1]));
    } else if (option == "--seed") {
      wish.seed = std::strtoull(argv[i + 1], nullptr, 10);
    }
  }
  return soak(wish);
}
