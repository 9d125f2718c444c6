// SPDX-License-Identifier: BSL-1.0
#include <krait/detail/switch/context.hpp>

#include <doctest/doctest.h>

#include <array>
#include <cstdint>
#include <cstring>
#include <exception>
#include <functional>
#include <memory>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

namespace {

namespace layer = krait::detail;

/// How a flow ends: with a word for its resumer.
struct ending {
  layer::word word = nullptr;
};

/// A context with a stack, and a function to run there.
class flow : public layer::context {
 public:
  using function = std::function<ending(flow&)>;

  explicit flow(krait::stack_source& source, function body)
      : context(identities_), source_(source), memory(source.allocate()), body_(std::move(body)) {
    fiber_ = layer::prepare(*this, memory, memory.top(), &enter);
  }
  ~flow() {
    layer::sanitizers_release(memory, fiber_);
    source_.deallocate(memory);
  }
  flow(const flow&) = delete;
  flow& operator=(const flow&) = delete;

 private:
  static void enter(layer::registers& caller) {
    flow& self = static_cast<flow&>(layer::context_of(caller));
    layer::sanitizers_entered(self.identities->own);
    layer::finish(self, self.body_(self).word);
  }

  krait::stack_source& source_;

 public:
  const krait::stack memory;

 private:
  layer::stack_identities identities_;
  function body_;
  void* fiber_ = nullptr;
};

/// Words to send: addresses, told apart by their index.
std::array<char, 64> words;
layer::word word(int i) {
  return layer::word::of(words[static_cast<std::size_t>(i)]);
}
int number(layer::word w) {
  return static_cast<int>(&w.as<char&>() - words.data());
}

bool within(const krait::stack& memory, const void* place) {
  const auto* const byte = static_cast<const std::byte*>(place);
  return std::less_equal<>()(memory.limit, byte) && std::less<>()(byte, memory.top());
}

}  // namespace

TEST_CASE("a context runs from its first resume to its suspend, on its own stack") {
  krait::stack_pool stacks;
  std::vector<std::string> log;
  flow one(stacks, [&](flow& self) {
    log.push_back("entered");
    CHECK(within(self.memory, layer::current_stack_pointer()));
    layer::suspend(self, nullptr);
    CHECK(within(self.memory, layer::current_stack_pointer()));
    log.push_back("resumed");
    return ending{};
  });
  CHECK(log.empty());
  layer::resume(one, nullptr);
  CHECK_FALSE(within(one.memory, layer::current_stack_pointer()));
  CHECK(log == std::vector<std::string>{"entered"});
  layer::resume(one, nullptr);
  CHECK(log == std::vector<std::string>{"entered", "resumed"});
}

TEST_CASE(
    "a context can be resumed before its first resume and while it is suspended, and at no other time") {
  krait::stack_pool stacks;
  flow one(stacks, [&](flow& self) {
    CHECK_FALSE(self.resumable());
    layer::suspend(self, nullptr);
    CHECK_FALSE(self.resumable());
    return ending{};
  });
  CHECK(one.resumable());
  layer::resume(one, nullptr);
  CHECK(one.resumable());
  layer::resume(one, nullptr);
  CHECK_FALSE(one.resumable());
}

TEST_CASE("each switch carries a word, in both directions") {
  krait::stack_pool stacks;
  flow echo(stacks, [&](flow& self) {
    layer::word got = layer::suspend(self, word(1));
    for (int i = 0; i < 20; ++i) {
      got = layer::suspend(self, word(number(got) + 1));
    }
    return ending{.word = got};
  });
  CHECK(layer::resume(echo, nullptr) == word(1));
  for (int i = 10; i < 30; ++i) {
    CHECK(layer::resume(echo, word(i)) == word(i + 1));
  }
  CHECK(layer::resume(echo, word(50)) == word(50));
}

TEST_CASE("null is a word like any other") {
  krait::stack_pool stacks;
  flow one(stacks, [&](flow& self) {
    CHECK(layer::suspend(self, nullptr) == word(2));
    CHECK(layer::suspend(self, word(3)) == layer::word());
    return ending{};
  });
  CHECK(layer::resume(one, nullptr) == layer::word());
  CHECK(layer::resume(one, word(2)) == word(3));
  CHECK(layer::resume(one, nullptr) == layer::word());
}

namespace {

using vector_register [[gnu::vector_size(16)]] = float;

/// Moves aligned vectors through memory, which faults if the stack is not aligned.
[[gnu::noinline]] float sum_through_memory(float seed) {
  vector_register kept[8];
  for (int i = 0; i < 8; ++i) {
    const float f = static_cast<float>(i);
    kept[i] = vector_register{seed + f, f, seed, 1};
  }
  asm volatile("" : : "r"(kept) : "memory");
  float sum = 0;
  for (const vector_register& each : kept) {
    sum += each[0] + each[1] + each[2] + each[3];
  }
  return sum;
}

[[gnu::noinline]] std::uintptr_t frame_misalignment() {
  return reinterpret_cast<std::uintptr_t>(__builtin_frame_address(0)) % 16;
}

template <std::size_t Alignment>
[[gnu::noinline]] std::uintptr_t local_misalignment() {
  alignas(Alignment) char local[Alignment];
  const char* place = local;
  asm volatile("" : "+r"(place) : : "memory");
  return reinterpret_cast<std::uintptr_t>(place) % Alignment;
}

}  // namespace

TEST_CASE("stacks are aligned as the ABI has it, at entry and after every switch") {
  krait::stack_pool stacks;
  const auto check_alignment = [] {
    CHECK(frame_misalignment() == 0);
    CHECK(local_misalignment<16>() == 0);
    CHECK(local_misalignment<32>() == 0);
    CHECK(local_misalignment<64>() == 0);
    CHECK(sum_through_memory(2) == 8 * 2 + 28 + 28 + 8 * 2 + 8);
  };
  for (int i = 0; i < 20; ++i) {  // the tops of stacks differ
    flow one(stacks, [&](flow& self) {
      check_alignment();
      layer::suspend(self, nullptr);
      check_alignment();
      return ending{};
    });
    layer::resume(one, nullptr);
    check_alignment();
    layer::resume(one, nullptr);
    check_alignment();
  }
}

TEST_CASE("a resume keeps the context in the register that the jump leaves it in") {
  krait::stack_pool stacks;
  flow one(stacks, [&](flow& self) {
    layer::suspend(self, word(1));
    layer::suspend(self, word(2));
    return ending{};
  });
  layer::context* resumed = &one;
  layer::resume(resumed, nullptr);
  CHECK(resumed == &one);
  // Inside a handler, where the jump is out of line; then also from a stack that ends.
  try {
    throw 1;
  } catch (int) {
    layer::resume(resumed, nullptr);
  }
  CHECK(resumed == &one);
  layer::resume(resumed, nullptr);
  CHECK(resumed == &one);
}

TEST_CASE("who is resumed by another may suspend that one, and goes straight to its resumer") {
  krait::stack_pool stacks;
  flow* root = nullptr;
  flow inner(stacks, [&](flow&) {
    CHECK(layer::suspend(*root, word(1)) == word(2));
    CHECK(layer::suspend(*root, word(3)) == word(4));
    return ending{.word = word(5)};
  });
  flow outer(stacks, [&](flow& self) {
    CHECK(layer::resume(inner, nullptr) == word(5));
    CHECK(layer::suspend(self, word(6)) == word(7));
    return ending{.word = word(8)};
  });
  root = &outer;
  CHECK(layer::resume(outer, nullptr) == word(1));
  CHECK(outer.resumable());
  CHECK_FALSE(inner.resumable());
  flow another_resumer(stacks, [&](flow&) {
    CHECK(layer::resume(outer, word(2)) == word(3));
    return ending{};
  });
  layer::resume(another_resumer, nullptr);
  CHECK(layer::resume(outer, word(4)) == word(6));
  CHECK(layer::resume(outer, word(7)) == word(8));
  CHECK_FALSE(outer.resumable());
}

TEST_CASE("in a chain of flows, the innermost goes straight to the resumer, and they end in turn") {
  constexpr int depth = 100;
  krait::stack_pool stacks;
  std::vector<std::unique_ptr<flow>> chain(depth);
  int woken = 0;
  for (int i = 0; i < depth; ++i) {
    const auto level = static_cast<std::size_t>(i);
    chain[level] = std::make_unique<flow>(stacks, [&, level](flow&) {
      if (level + 1 == depth) {
        for (int n = 0; n < 10; ++n) {
          CHECK(layer::suspend(*chain[0], word(n)) == word(n + 20));
        }
      } else {
        CHECK(layer::resume(*chain[level + 1], nullptr) == word(40));
        ++woken;
      }
      return ending{.word = level == 0 ? word(50) : word(40)};
    });
  }
  CHECK(layer::resume(*chain[0], nullptr) == word(0));
  for (int n = 1; n < 10; ++n) {
    CHECK(layer::resume(*chain[0], word(n + 19)) == word(n));
  }
  CHECK(woken == 0);
  CHECK(layer::resume(*chain[0], word(29)) == word(50));
  CHECK(woken == depth - 1);
}

TEST_CASE("flows that resume flows each come back to their own resumer") {
  krait::stack_pool stacks;
  flow inner(stacks, [&](flow& self) {
    layer::suspend(self, word(1));
    layer::suspend(self, word(2));
    return ending{.word = word(3)};
  });
  flow outer(stacks, [&](flow& self) {
    CHECK(layer::resume(inner, nullptr) == word(1));
    CHECK(layer::suspend(self, word(11)) == word(20));
    CHECK(layer::resume(inner, nullptr) == word(3));
    return ending{.word = word(12)};
  });
  CHECK(layer::resume(outer, nullptr) == word(11));
  CHECK(layer::resume(inner, nullptr) == word(2));
  CHECK(layer::resume(outer, word(20)) == word(12));
}

TEST_CASE("a context can be suspended from a deeper stack, and goes on there") {
  krait::stack_pool stacks;
  flow* task = nullptr;
  std::vector<std::string> log;
  flow deepest(stacks, [&](flow& self) {
    log.push_back("deepest parks the task");
    CHECK(layer::suspend(*task, word(1)) == word(2));
    CHECK(within(self.memory, layer::current_stack_pointer()));
    log.push_back("deepest yields");
    CHECK(layer::suspend(self, word(3)) == word(6));
    log.push_back("deepest parks the task again");
    CHECK(layer::suspend(*task, word(7)) == word(8));
    return ending{.word = word(9)};
  });
  flow middle(stacks, [&](flow& self) {
    CHECK(layer::resume(deepest, nullptr) == word(3));
    log.push_back("middle yields");
    CHECK(layer::suspend(self, word(4)) == word(5));
    CHECK(layer::resume(deepest, word(6)) == word(9));
    log.push_back("middle parks the task");
    CHECK(layer::suspend(*task, word(10)) == word(11));
    return ending{.word = word(12)};
  });
  flow outer(stacks, [&](flow& self) {
    CHECK(layer::resume(middle, nullptr) == word(4));
    log.push_back("the task parks itself");
    CHECK(layer::suspend(self, word(20)) == word(21));
    CHECK(layer::resume(middle, word(5)) == word(12));
    log.push_back("the task ends");
    return ending{.word = word(30)};
  });
  task = &outer;

  CHECK(layer::resume(outer, nullptr) == word(1));
  CHECK(outer.resumable());
  CHECK_FALSE(middle.resumable());
  CHECK_FALSE(deepest.resumable());
  CHECK(layer::resume(outer, word(2)) == word(20));
  CHECK(middle.resumable());
  CHECK(deepest.resumable());
  CHECK(layer::resume(outer, word(21)) == word(7));
  CHECK(layer::resume(outer, word(8)) == word(10));
  CHECK(layer::resume(outer, word(11)) == word(30));
  CHECK(log == std::vector<std::string>{"deepest parks the task", "deepest yields", "middle yields",
                                        "the task parks itself", "deepest parks the task again",
                                        "middle parks the task", "the task ends"});
}

TEST_CASE("several parked tasks are woken in any order, by whoever runs then") {
  krait::stack_pool stacks;
  struct task {
    std::unique_ptr<flow> outer;
    std::unique_ptr<flow> inner;
  };
  constexpr int count = 5;
  std::array<task, count> tasks;
  for (int t = 0; t < count; ++t) {
    task& self_task = tasks[static_cast<std::size_t>(t)];
    self_task.inner = std::make_unique<flow>(stacks, [&self_task](flow& self) {
      for (int i = 0; i < 3; ++i) {
        const layer::word got = layer::suspend(*self_task.outer, word(i));
        layer::suspend(self, got);
      }
      return ending{.word = nullptr};
    });
    self_task.outer = std::make_unique<flow>(stacks, [&self_task, t](flow&) {
      int sum = 0;
      for (layer::word item; !(item = layer::resume(*self_task.inner, nullptr)).is_none();) {
        sum += number(item);
      }
      CHECK(sum == 3 * (10 + t));
      return ending{.word = word(60)};
    });
  }
  for (const task& each : tasks) {
    CHECK(layer::resume(*each.outer, nullptr) == word(0));
  }
  // Each round wakes them from another stack, in another order.
  for (int round = 1; round <= 3; ++round) {
    flow waker(stacks, [&](flow&) {
      for (int i = 0; i < count; ++i) {
        const int t = (i * 2 + round) % count;
        const layer::word expected = round < 3 ? word(round) : word(60);
        CHECK(layer::resume(*tasks[static_cast<std::size_t>(t)].outer, word(10 + t)) == expected);
      }
      return ending{};
    });
    layer::resume(waker, nullptr);
  }
}

TEST_CASE("parking from a handler leaves the handlers of all stacks as they were") {
  krait::stack_pool stacks;
  const auto handled = []() -> std::string {
    if (const std::exception_ptr current = std::current_exception()) {
      try {
        std::rethrow_exception(current);
      } catch (const std::exception& e) {
        return e.what();
      }
    }
    return "none";
  };
  flow* task = nullptr;
  flow inner(stacks, [&](flow&) {
    CHECK(handled() == "none");
    try {
      throw std::runtime_error("inner");
    } catch (const std::exception&) {
      layer::suspend(*task, nullptr);
      CHECK(handled() == "inner");
    }
    CHECK(handled() == "none");
    return ending{};
  });
  flow outer(stacks, [&](flow&) {
    try {
      throw std::runtime_error("outer");
    } catch (const std::exception&) {
      layer::resume(inner, nullptr);
      CHECK(handled() == "outer");
    }
    return ending{};
  });
  task = &outer;
  try {
    throw std::runtime_error("resumer");
  } catch (const std::exception&) {
    layer::resume(outer, nullptr);
    CHECK(handled() == "resumer");
  }
  CHECK(handled() == "none");
  try {
    throw std::runtime_error("another resumer");
  } catch (const std::exception&) {
    layer::resume(outer, nullptr);
    CHECK(handled() == "another resumer");
  }
}

namespace {

template <std::size_t... I>
[[gnu::always_inline]] inline double mix(std::index_sequence<I...>, const double (&d)[sizeof...(I)],
                                         const std::uint64_t (&n)[sizeof...(I)]) {
  return (... + (d[I] * static_cast<double>(n[I] % 1009)));
}

/// Computes a number from many values that all live across `rounds` calls of `switch_away`.
template <class SwitchAway>
[[gnu::noinline]] double with_many_live_values(double seed, int rounds, SwitchAway switch_away) {
  const double d0 = seed, d1 = seed * 1.5, d2 = d1 - 0.25, d3 = d2 * d1, d4 = d3 + seed, d5 = d4 / 3;
  const double d6 = d5 * 7, d7 = d6 - d3, d8 = d7 + 0.125, d9 = d8 * 0.5, d10 = d9 + d2, d11 = d10 - d7;
  const auto s = static_cast<std::uint64_t>(seed);
  const std::uint64_t n0 = s + 1, n1 = n0 * 3, n2 = n1 ^ n0, n3 = n2 * 5 + 1, n4 = n3 ^ (n1 << 3),
                      n5 = n4 + n2;
  const std::uint64_t n6 = n5 * 11, n7 = n6 ^ n3, n8 = n7 + 99, n9 = n8 * 7, n10 = n9 ^ n5, n11 = n10 + n8;
  const float f0 = static_cast<float>(seed) / 3;
  long double x = static_cast<long double>(seed) / 7;
  double total = 0;
  for (int i = 0; i < rounds; ++i) {
    switch_away();
    const double d[] = {d0, d1, d2, d3, d4, d5, d6, d7, d8, d9, d10, d11};
    const std::uint64_t n[] = {n0, n1, n2, n3, n4, n5, n6, n7, n8, n9, n10, n11};
    x = x * 1.0625L - static_cast<long double>(i);
    total += mix(std::make_index_sequence<12>(), d, n) * static_cast<double>(i + 1);
    total += static_cast<double>(f0) + static_cast<double>(x);
  }
  return total;
}

}  // namespace

TEST_CASE("values of all kinds live on over switches, on both sides") {
  krait::stack_pool stacks;
  constexpr int rounds = 50;
  const double expected_inside = with_many_live_values(17, rounds, [] {});
  const double expected_outside = with_many_live_values(1234, rounds, [] {});
  REQUIRE(expected_inside != expected_outside);
  double inside = 0;
  flow one(stacks, [&](flow& self) {
    inside = with_many_live_values(17, rounds, [&self] { layer::suspend(self, nullptr); });
    return ending{.word = word(1)};
  });
  const double outside = with_many_live_values(1234, rounds, [&one] { layer::resume(one, nullptr); });
  CHECK(layer::resume(one, nullptr) == word(1));
  CHECK(inside == expected_inside);
  CHECK(outside == expected_outside);
}

TEST_CASE("values of all kinds live on over switches of a chain, on all its stacks") {
  krait::stack_pool stacks;
  constexpr int rounds = 50;
  const double expected = with_many_live_values(5, rounds, [] {}) + with_many_live_values(8, rounds, [] {}) +
                          with_many_live_values(3, rounds, [] {});
  double sum = 0;
  flow* root = nullptr;
  flow outer(stacks, [&](flow&) {
    sum += with_many_live_values(5, rounds, [&] {
      flow inner(stacks, [&](flow&) {
        layer::suspend(*root, nullptr);
        return ending{};
      });
      layer::resume(inner, nullptr);
    });
    flow inner(stacks, [&](flow&) {
      sum += with_many_live_values(8, rounds, [&] { layer::suspend(*root, nullptr); });
      return ending{};
    });
    layer::resume(inner, nullptr);
    return ending{.word = word(1)};
  });
  root = &outer;
  sum += with_many_live_values(3, rounds, [&] {
    layer::resume(outer, nullptr);
    layer::resume(outer, nullptr);
  });
  CHECK(layer::resume(outer, nullptr) == word(1));
  CHECK(sum == expected);
}

TEST_CASE("arrays on a stack that is left stay as they were") {
  krait::stack_pool stacks;
  std::array<char*, 2> arrays{};
  const auto body = [&](std::size_t i) {
    return [&arrays, i](flow& self) {
      char local[20'000];
      std::memset(local, static_cast<int>('a' + i), sizeof local);
      arrays[i] = local;
      layer::suspend(self, nullptr);
      CHECK(std::string_view(local, sizeof local).find_first_not_of(static_cast<char>('a' + i)) ==
            std::string_view::npos);
      return ending{};
    };
  };
  flow one(stacks, body(0));
  flow two(stacks, body(1));
  layer::resume(one, nullptr);
  layer::resume(two, nullptr);
  CHECK(within(one.memory, arrays[0]));
  CHECK(within(two.memory, arrays[1]));
  layer::resume(one, nullptr);
  layer::resume(two, nullptr);
}

TEST_CASE("a stack pointer tells which stack it is of") {
  krait::stack_pool stacks;
  const void* place = nullptr;
  flow one(stacks, [&](flow&) {
    place = layer::current_stack_pointer();
    return ending{};
  });
  const void* const here = layer::current_stack_pointer();
  layer::resume(one, nullptr);
  CHECK(within(one.memory, place));
  CHECK_FALSE(within(one.memory, here));
}
