// SPDX-License-Identifier: BSL-1.0
#include <krait/detail/switch/flow.hpp>

#include <doctest/doctest.h>

#include <array>
#include <exception>
#include <functional>
#include <memory>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include <krait/detail/switch/machine.hpp>

namespace {

namespace layer = krait::detail;

/// A flow with a stack, and a function to run there, which names the flow to leave for in the end.
struct strand : layer::registers {
  using function = std::function<layer::flow&(strand&)>;

  strand(krait::stack_source& from, function to_run)
      : source(from), memory(from.allocate()), body(std::move(to_run)) {
    fiber = layer::prepare(here, *this, memory, memory.top(), &enter);
  }
  ~strand() {
    layer::sanitizers_release(memory, fiber);
    source.deallocate(memory);
  }
  strand(const strand&) = delete;
  strand& operator=(const strand&) = delete;

  static void enter(layer::registers& above) {
    auto& self = static_cast<strand&>(above);
    layer::sanitizers_entered(self.here.known);
    layer::flow& next = self.body(self);
    layer::leave_for_good(next, self);
  }

  bool within(const void* address) const {
    const auto* const at = static_cast<const std::byte*>(address);
    return at >= memory.limit && at < memory.top();
  }

  krait::stack_source& source;
  const krait::stack memory;
  layer::flow here;
  function body;
  void* fiber;
};

std::string handled() {
  if (const std::exception_ptr current = std::current_exception()) {
    try {
      std::rethrow_exception(current);
    } catch (const std::exception& error) {
      return error.what();
    }
  }
  return "none";
}

}  // namespace

TEST_CASE("flow: control goes from flow to flow, and comes back where it left") {
  krait::stack_pool stacks;
  layer::flow outside;
  std::vector<std::string> log;
  std::unique_ptr<strand> second;
  strand first(stacks, [&](strand& self) -> layer::flow& {
    log.emplace_back("first");
    layer::switch_to(self.here, second->here);
    log.emplace_back("first again");
    CHECK(self.within(layer::current_stack_pointer()));
    return outside;
  });
  second = std::make_unique<strand>(stacks, [&](strand& self) -> layer::flow& {
    log.emplace_back("second");
    layer::switch_to(self.here, outside);
    log.emplace_back("second again");
    return first.here;
  });
  layer::switch_to(outside, first.here);
  log.emplace_back("outside");
  layer::switch_to(outside, second->here);
  CHECK(log == std::vector<std::string>{"first", "second", "outside", "second again", "first again"});
}

TEST_CASE("flow: what is left is the stack that runs, whichever that is") {
  krait::stack_pool stacks;
  layer::flow outside;
  layer::flow task;  // of no stack of its own
  std::unique_ptr<strand> inner;
  const strand* went_on = nullptr;
  strand outer(stacks, [&](strand& self) -> layer::flow& {
    layer::switch_to(self.here, inner->here);
    layer::switch_to(task, outside);
    went_on = self.within(layer::current_stack_pointer()) ? &self : nullptr;
    return outside;
  });
  inner = std::make_unique<strand>(stacks, [&](strand& self) -> layer::flow& {
    layer::switch_to(task, outside);
    went_on = self.within(layer::current_stack_pointer()) ? &self : nullptr;
    return outer.here;
  });
  layer::switch_to(outside, outer.here);
  layer::switch_to(outside, task);
  CHECK(went_on == inner.get());
  layer::switch_to(outside, task);
  CHECK(went_on == &outer);
}

TEST_CASE("flow: the exceptions being handled stay with the stack") {
  krait::stack_pool stacks;
  layer::flow outside;
  const auto body = [&](const char* text) {
    return [&outside, text](strand& self) -> layer::flow& {
      CHECK(handled() == "none");
      try {
        throw std::runtime_error(text);
      } catch (const std::exception&) {
        layer::switch_to(self.here, outside);
        CHECK(handled() == text);
      }
      CHECK(handled() == "none");
      return outside;
    };
  };
  strand one(stacks, body("one"));
  strand two(stacks, body("two"));
  try {
    throw std::runtime_error("outside");
  } catch (const std::exception&) {
    layer::switch_to(outside, one.here);
    CHECK(handled() == "outside");
    layer::switch_to(outside, two.here);
    CHECK(handled() == "outside");
  }
  CHECK(handled() == "none");
  layer::switch_to(outside, one.here);
  layer::switch_to(outside, two.here);
  CHECK(handled() == "none");
}

TEST_CASE("flow: a stack left for good can be used again") {
  krait::stack_pool stacks;
  layer::flow outside;
  int runs = 0;
  for (int i = 0; i < 100; ++i) {
    strand one(stacks, [&](strand&) -> layer::flow& {
      ++runs;
      return outside;
    });
    layer::switch_to(outside, one.here);
  }
  CHECK(runs == 100);
}
