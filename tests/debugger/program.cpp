// SPDX-License-Identifier: BSL-1.0
// What tests/debugger/run looks at: generators in all states, and a thread in stop_here().
//
//      program               generators in all states; stops while a chain of three runs
//      program abort         the same, and aborts there
//      program lower-first   stops in a generator resumed by another, whose stack lies below
//      program upper-first   the same, the resumer's stack lying above
//      program spin          spends a while in a chain of three, for a profiler

#include <krait/krait.hpp>

#include <array>
#include <cstddef>
#include <cstdlib>
#include <string_view>
#include <utility>
#include <vector>

using krait::generator;
using krait::yielder;

namespace {

/// Neither inlined nor called as the last thing, so that it has a frame and its caller too.
#define REAL_FRAME [[gnu::noinline]]
inline void not_the_last_thing() {
  asm volatile("");
}

/// Hands out the halves of a block, so that it is known which stack lies above which.
class halves final : public krait::stack_source {
 public:
  explicit halves(bool upper_first) : next_(upper_first ? 1 : 0) {}
  krait::stack allocate() override {
    const std::size_t half = block_.size() / 2;
    return {block_.data() + half * std::exchange(next_, 1 - next_), half};
  }
  void deallocate(krait::stack) noexcept override {}

 private:
  alignas(64) static inline std::array<std::byte, 512 * 1024> block_;
  std::size_t next_;
};

}  // namespace

// Not in the unnamed namespace: their names are looked for.

bool abort_there = false;

REAL_FRAME void stop_here() {
  not_the_last_thing();
  if (abort_there) {
    std::abort();
  }
}

REAL_FRAME void yields_in_a_call(yielder<int>& yield) {
  yield(1);
  not_the_last_thing();
}

REAL_FRAME void stops_in_a_call() {
  stop_here();
  not_the_last_thing();
}

// Three levels, each given away to the one above.

REAL_FRAME void body_of_inner(yielder<int>& yield) {
  volatile int known_local = 4711;
  known_local = known_local + 1;
  yields_in_a_call(yield);
  stops_in_a_call();
  not_the_last_thing();
}
generator<int> inner() {
  return [](yielder<int>& yield) { body_of_inner(yield); };
}

REAL_FRAME void body_of_middle(yielder<int>& yield) {
  yield.from(inner());
  not_the_last_thing();
}
generator<int> middle() {
  return [](yielder<int>& yield) { body_of_middle(yield); };
}

REAL_FRAME void body_of_outer(yielder<int>& yield) {
  yield.from(middle());
  not_the_last_thing();
}
generator<int> outer() {
  return [](yielder<int>& yield) { body_of_outer(yield); };
}

// Delegation by reference, and to what is no generator.

REAL_FRAME void body_of_borrower(yielder<int>& yield, generator<int>& lent) {
  yield.from(lent);
  not_the_last_thing();
}
generator<int> borrower(generator<int>& lent) {
  return [&lent](yielder<int>& yield) { body_of_borrower(yield, lent); };
}
generator<int> lent() {
  return [](yielder<int>& yield) { yields_in_a_call(yield); };
}

struct no_generator {
  int next() { return 1; }
};
generator<int> iterating() {
  return [](yielder<int>& yield) { yield.from(no_generator()); };
}

generator<int> simple() {
  return [](yielder<int>& yield) { yields_in_a_call(yield); };
}

/// Wherever the switch in it comes to lie: the landing behind it is aligned, with nothing to fill up or much.
template <int shift>
generator<int> crowd() {
  return [](yielder<int>& yield) {
    asm volatile(".skip %c0, 0x90" : : "i"(shift + 1));
    yield(1);
  };
}
template <int... shifts>
void add_crowd(std::vector<generator<int>>& all, std::integer_sequence<int, shifts...>) {
  (all.push_back(crowd<shifts>()), ...);
}

// Coroutines.

krait::awaitable_generator<int> waiting() {
  return [](yielder<int>& yield) { yields_in_a_call(yield); };
}
REAL_FRAME void body_of_fetching(krait::awaiter<int>& co) {
  co.await(waiting());
  not_the_last_thing();
}
krait::coroutine<int> fetching() {
  return [](auto& co) { body_of_fetching(co); };
}
krait::coroutine<int> working() {
  return [](auto& co) { co.await(fetching()); };
}
krait::async_generator<int, void, int> paging() {
  return [](auto& co) { co.await(waiting()); };
}

generator<int> roomy() {
  return generator<int>(std::allocator_arg, krait::stack_options{256 * 1024},
                        [](yielder<int>& yield) { yields_in_a_call(yield); });
}

// Generators that resume each other, on stacks in a given order.

REAL_FRAME void runs_the_other(yielder<int>&, krait::stack_source& source) {
  generator<int> other(
      std::allocator_arg, source, [](yielder<int>& yield) { body_of_inner(yield); }, "other");
  other.next();
  krait::next(other, 0);
  not_the_last_thing();
}
REAL_FRAME void resumes_ordered(bool upper_first) {
  halves source(upper_first);
  generator<int> one(
      std::allocator_arg, source, [&source](yielder<int>& yield) { runs_the_other(yield, source); }, "one");
  krait::next(one, 0);
  not_the_last_thing();
}

// A chain that works.

REAL_FRAME void spins() {
  asm volatile("" : : "r"(__builtin_frame_address(0)));  // with a frame pointer of its own
  for (int i = 0; i < 500'000'000; ++i) {
    not_the_last_thing();
  }
}
REAL_FRAME void body_of_spinner(yielder<int>& yield, int levels) {
  if (levels > 1) {
    yield.from(
        generator<int>([levels](yielder<int>& inner_yield) { body_of_spinner(inner_yield, levels - 1); }));
  } else {
    yield(1);
    spins();
  }
  not_the_last_thing();
}

REAL_FRAME void resumes_first(generator<int>& g) {
  g.next();
  not_the_last_thing();
}
REAL_FRAME void resumes_second(generator<int>& g) {
  krait::next(g, 0);
  not_the_last_thing();
}

int main(int, char** arguments) {
  const std::string_view mode = arguments[1] == nullptr ? "" : arguments[1];
  if (mode == "lower-first" || mode == "upper-first") {
    resumes_ordered(mode == "upper-first");
    return 0;
  }
  if (mode == "spin") {
    generator<int> chain = [](yielder<int>& yield) { body_of_spinner(yield, 3); };
    resumes_first(chain);
    resumes_second(chain);
    return 0;
  }
  abort_there = mode == "abort";

  halves source(false);
  generator<int> elsewhere(
      std::allocator_arg, source, [](yielder<int>& yield) { yields_in_a_call(yield); }, "elsewhere");
  generator<int> started = simple();
  generator<int> created = simple();
  created.set_name("created");
  generator<int> closed = simple();
  closed.set_name("closed");
  closed.close();
  generator<int> on_loan = simple();  // replaced below, while delegated to
  generator<int> borrows = borrower(on_loan);
  generator<int> iterates = iterating();
  generator<int> large = roomy();
  generator<int> suspended_chain = outer();
  suspended_chain.set_name("suspended_chain");
  for (generator<int>* each : {&elsewhere, &started, &borrows, &iterates, &large, &suspended_chain}) {
    each->next();
  }
  on_loan = lent();
  borrows.next();
  std::vector<generator<int>> many;
  add_crowd(many, std::make_integer_sequence<int, 40>());
  for (generator<int>& each : many) {
    each.next();
  }

  krait::coroutine<int> works = working();
  works.send();
  krait::async_generator<int, void, int> pages = paging();
  auto page = pages.anext();
  page.send();

  generator<int> running_chain = outer();
  running_chain.set_name("running_chain");
  resumes_first(running_chain);
  resumes_second(running_chain);  // stops in inner()
  return 0;
}
