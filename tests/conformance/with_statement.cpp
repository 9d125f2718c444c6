// SPDX-License-Identifier: BSL-1.0
#include <doctest/doctest.h>

#include <algorithm>
#include <cstddef>
#include <exception>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <krait/krait.hpp>

#include "managers.hpp"
#include "support/probes.hpp"
#include "support/support.hpp"

// CPython's test_with.py.

namespace {

using krait::contextmanager;
using krait::entered;
using krait::generator;
using krait::with;
using managers::dummy;
using managers::recorded;
using managers::zero_division_error;
using support::is_a;
using support::raised_by;

struct resource {
  bool active() const { return yielded && !stopped; }

  bool yielded = false;
  bool stopped = false;
};

using shared_resource = std::shared_ptr<resource>;
using mock = recorded<contextmanager<shared_resource>>;

mock make_mock() {
  return mock([](auto& yield) {
    const auto made = std::make_shared<resource>();
    const probes::at_exit stop([&] { made->stopped = true; });
    made->yielded = true;
    yield(made);
  });
}

/// Managers combined into one, which gives their resources.
class nested {
 public:
  explicit nested(std::vector<mock*> managers) : managers_(std::move(managers)) {}

  std::vector<shared_resource> enter() {
    std::vector<shared_resource> resources;
    for (mock* manager : managers_) {
      resources.push_back(stack_.enter_context(*manager));
    }
    return resources;
  }
  bool exit(const std::exception_ptr& exception) { return stack_.exit(exception); }

 private:
  std::vector<mock*> managers_;
  krait::exit_stack stack_;
};

std::exception_ptr test_exception() {
  return std::make_exception_ptr(krait::runtime_error("test exception"));
}

/// Enters a mock, and gives what it made to `target`, which outlives the block.
void check_bound(shared_resource& target) {
  with(make_mock(), [&](shared_resource& made) {
    target = made;
    CHECK(target->active());
  });
  CHECK(target->yielded);
  CHECK(target->stopped);
}

/// Combines `count` mocks in a manager, whose block raises `raised`, unless that is null.
void check_combination(std::size_t count, const std::exception_ptr& raised = nullptr) {
  std::vector<mock> mocks;
  std::vector<mock*> addresses;
  mocks.reserve(count);
  while (mocks.size() < count) {
    addresses.push_back(&mocks.emplace_back(make_mock()));
  }
  recorded combination(nested(std::move(addresses)));
  std::vector<shared_resource> resources;
  const auto block = [&](const std::vector<shared_resource>& made) {
    resources = made;
    CHECK(std::ranges::all_of(resources, [](const shared_resource& used) { return used->active(); }));
    CHECK(std::ranges::all_of(mocks, &mock::inside));
    CHECK(combination.inside());
    if (raised != nullptr) {
      std::rethrow_exception(raised);
    }
  };
  CHECK(raised_by([&] { with(combination, block); }) == raised);
  CHECK(combination.left_once_by(raised));
  CHECK(resources.size() == count);
  CHECK(std::ranges::all_of(mocks, [&](const mock& manager) { return manager.left_once_by(raised); }));
  CHECK(std::ranges::all_of(resources, [](const shared_resource& used) { return used->stopped; }));
}

contextmanager<void> generator_manager() {
  return [](auto& yield) { yield(); };
}

struct class_manager {
  void enter() {}
  void exit(const std::exception_ptr&) {}
};

std::exception_ptr stop_iteration() {
  return std::make_exception_ptr(krait::stop_iteration<std::string>("from with"));
}
std::exception_ptr generator_exit() {
  return std::make_exception_ptr(krait::generator_exit());
}

/// `raised`, raised in the block of `manager`, comes out as it was.
template <class Manager>
void check_comes_out(Manager manager, const std::exception_ptr& raised) {
  CHECK(raised_by([&] { with(manager, [&] { std::rethrow_exception(raised); }); }) == raised);
}

struct init_raises : class_manager {
  init_raises() { throw krait::runtime_error(""); }
};
struct enter_raises : class_manager {
  void enter() { throw krait::runtime_error(""); }
};
struct exit_raises : class_manager {
  void exit(const std::exception_ptr&) { throw krait::runtime_error(""); }
};

}  // namespace

TEST_CASE("with::FailureTestCase.testEnterAttributeError") {
  CHECK_FALSE(krait::context_manager<managers::lacks_enter>);
  CHECK_FALSE(krait::context_manager<managers::lacks_both>);
}

TEST_CASE("with::FailureTestCase.testExitAttributeError") {
  CHECK_FALSE(krait::context_manager<managers::lacks_exit>);
  CHECK_FALSE(krait::has_exit<managers::lacks_exit>);
}

TEST_CASE("with::FailureTestCase.testEnterThrows") {
  struct enter_throws {
    int enter() { throw krait::runtime_error("Enter threw"); }
    void exit(const std::exception_ptr&) { exited = true; }
    bool exited = false;
  };
  enter_throws manager;
  std::optional<int> foo;
  CHECK_THROWS_WITH_AS(with(manager, [&](int made) { foo = made; }), "Enter threw", krait::runtime_error);
  CHECK(foo == std::nullopt);
  CHECK_FALSE(manager.exited);
}

TEST_CASE("with::FailureTestCase.testExitThrows") {
  struct exit_throws {
    void enter() {}
    void exit(const std::exception_ptr&) { throw krait::runtime_error("42"); }
  };
  bool called = false;
  CHECK_THROWS_WITH_AS(with(exit_throws(), [&] { called = true; }), "42", krait::runtime_error);
  CHECK(called);
}

TEST_CASE("with::NonexceptionalTestCase.testInlineGeneratorSyntax") {
  bool called = false;
  CHECK_NOTHROW(with(make_mock(), [&] { called = true; }));
  CHECK(called);
}

TEST_CASE("with::NonexceptionalTestCase.testUnboundGenerator") {
  mock manager = make_mock();
  with(manager, [] {});
  CHECK(manager.left_once_by(nullptr));
}

TEST_CASE("with::NonexceptionalTestCase.testInlineGeneratorBoundSyntax") {
  shared_resource foo;
  check_bound(foo);
}

TEST_CASE("with::NonexceptionalTestCase.testInlineGeneratorBoundToExistingVariable") {
  auto foo = std::make_shared<resource>();
  check_bound(foo);
}

TEST_CASE("with::NonexceptionalTestCase.testInlineGeneratorBoundToDottedVariable") {
  struct {
    shared_resource foo;
  } self;
  check_bound(self.foo);
}

TEST_CASE("with::NonexceptionalTestCase.testBoundGenerator") {
  mock manager = make_mock();
  shared_resource foo;
  with(manager, [&](shared_resource& made) {
    foo = made;
    CHECK(foo->active());
    CHECK(manager.inside());
  });
  CHECK(foo->stopped);
  CHECK(manager.left_once_by(nullptr));
}

TEST_CASE("with::NonexceptionalTestCase.testNestedSingleStatements") {
  mock a = make_mock();
  mock b = make_mock();
  shared_resource foo;
  with(a, [&](shared_resource& made) {
    foo = made;
    with(b, [&](shared_resource& bar) {
      CHECK(a.inside());
      CHECK(b.inside());
      CHECK(foo->active());
      CHECK(bar->active());
    });
    CHECK(b.left_once_by(nullptr));
    CHECK(a.inside());
    CHECK(foo->active());
  });
  CHECK(a.left_once_by(nullptr));
  CHECK(foo->stopped);
}

TEST_CASE("with::NestedNonexceptionalTestCase.testSingleArgInlineGeneratorSyntax") {
  mock manager = make_mock();
  bool called = false;
  CHECK_NOTHROW(with(nested({&manager}), [&] { called = true; }));
  CHECK(called);
  CHECK(manager.left_once_by(nullptr));
}

TEST_CASE("with::NestedNonexceptionalTestCase.testSingleArgBoundToNonTuple") {
  check_combination(1);
}

TEST_CASE("with::NestedNonexceptionalTestCase.testSingleArgBoundToSingleElementParenthesizedList") {
  check_combination(1);
}

TEST_CASE("with::NestedNonexceptionalTestCase.testSingleArgUnbound") {
  check_combination(1);
}

TEST_CASE("with::NestedNonexceptionalTestCase.testMultipleArgUnbound") {
  check_combination(3);
}

TEST_CASE("with::NestedNonexceptionalTestCase.testMultipleArgBound") {
  check_combination(3);
}

TEST_CASE("with::ExceptionalTestCase.testSingleResource") {
  const auto raised = test_exception();
  mock manager = make_mock();
  shared_resource used;
  const auto block = [&](shared_resource& made) {
    used = made;
    CHECK(manager.inside());
    CHECK(used->active());
    std::rethrow_exception(raised);
  };
  CHECK(raised_by([&] { with(manager, block); }) == raised);
  CHECK(manager.left_once_by(raised));
  CHECK(used->stopped);
}

TEST_CASE("with::ExceptionalTestCase.testExceptionNormalized") {
  mock manager = make_mock();
  CHECK_THROWS_AS(with(manager, [] { throw zero_division_error(); }), zero_division_error);
  CHECK(is_a<zero_division_error>(manager.left_by.at(0)));
}

TEST_CASE("with::ExceptionalTestCase.testNestedSingleStatements") {
  const auto raised = test_exception();
  mock a = make_mock();
  mock b = make_mock();
  shared_resource foo;
  shared_resource bar;
  const auto inner = [&](shared_resource& made) {
    bar = made;
    CHECK(a.inside());
    CHECK(b.inside());
    CHECK(foo->active());
    CHECK(bar->active());
    std::rethrow_exception(raised);
  };
  const auto outer = [&](shared_resource& made) {
    foo = made;
    with(b, inner);
  };
  CHECK(raised_by([&] { with(a, outer); }) == raised);
  CHECK(a.left_once_by(raised));
  CHECK(b.left_once_by(raised));
  CHECK(foo->stopped);
  CHECK(bar->stopped);
}

TEST_CASE("with::ExceptionalTestCase.testMultipleResourcesInSingleStatement") {
  check_combination(2, test_exception());
}

TEST_CASE("with::ExceptionalTestCase.testNestedExceptionBeforeInnerStatement") {
  const auto raised = test_exception();
  mock a = make_mock();
  mock b = make_mock();
  shared_resource foo;
  shared_resource bar;
  const auto block = [&](shared_resource& made) {
    foo = made;
    CHECK(a.inside());
    CHECK(foo->active());
    std::rethrow_exception(raised);
    with(b, [&](shared_resource& inner) { bar = inner; });
  };
  CHECK(raised_by([&] { with(a, block); }) == raised);
  CHECK(a.left_once_by(raised));
  CHECK(foo->stopped);
  CHECK(bar == nullptr);
  CHECK(b.entered == 0);
  CHECK(b.left_by.empty());
}

TEST_CASE("with::ExceptionalTestCase.testNestedExceptionAfterInnerStatement") {
  const auto raised = test_exception();
  mock a = make_mock();
  mock b = make_mock();
  shared_resource foo;
  shared_resource bar;
  const auto block = [&](shared_resource& made) {
    foo = made;
    with(b, [&](shared_resource& inner) {
      bar = inner;
      CHECK(a.inside());
      CHECK(b.inside());
      CHECK(foo->active());
      CHECK(bar->active());
    });
    std::rethrow_exception(raised);
  };
  CHECK(raised_by([&] { with(a, block); }) == raised);
  CHECK(a.left_once_by(raised));
  CHECK(b.left_once_by(nullptr));
  CHECK(foo->stopped);
  CHECK(bar->stopped);
}

TEST_CASE("with::ExceptionalTestCase.testRaisedStopIteration1") {
  check_comes_out(generator_manager(), stop_iteration());
}

TEST_CASE("with::ExceptionalTestCase.testRaisedStopIteration2") {
  check_comes_out(class_manager(), stop_iteration());
}

TEST_CASE("with::ExceptionalTestCase.testRaisedStopIteration3") {
  generator<int> empty = [](auto&) {};
  CHECK_THROWS_AS(with(generator_manager(), [&] { empty.next(); }), krait::stop_iteration<>);
}

TEST_CASE("with::ExceptionalTestCase.testRaisedGeneratorExit1") {
  check_comes_out(generator_manager(), generator_exit());
}

TEST_CASE("with::ExceptionalTestCase.testRaisedGeneratorExit2") {
  check_comes_out(class_manager(), generator_exit());
}

TEST_CASE("with::NonLocalFlowControlTestCase.testWithBreak") {
  mock manager = make_mock();
  int counter = 0;
  for (;;) {
    counter += 1;
    const entered block(manager);
    counter += 10;
    CHECK(manager.inside());
    break;
  }
  CHECK(counter == 11);
  CHECK(manager.left_once_by(nullptr));
}

TEST_CASE("with::NonLocalFlowControlTestCase.testWithContinue") {
  mock manager = make_mock();
  int counter = 0;
  for (;;) {
    counter += 1;
    if (counter > 2) {
      break;
    }
    {
      const entered block(manager);
      counter += 10;
      CHECK(manager.inside());
      continue;
    }
    counter += 100;
  }
  CHECK(counter == 12);
  CHECK(manager.left_once_by(nullptr));
}

TEST_CASE("with::NonLocalFlowControlTestCase.testWithReturn") {
  mock manager = make_mock();
  const auto foo = [&] {
    int counter = 0;
    for (;;) {
      counter += 1;
      const entered block(manager);
      counter += 10;
      CHECK(manager.inside());
      return counter;
    }
  };
  CHECK(foo() == 11);
  CHECK(manager.left_once_by(nullptr));
}

TEST_CASE("with::NonLocalFlowControlTestCase.testWithYield") {
  mock manager = make_mock();
  generator<int> g = [&](auto& yield) {
    with(manager, [&] {
      yield(12);
      yield(13);
    });
  };
  std::vector<int> items;
  for (const int item : g) {
    CHECK(manager.inside());
    items.push_back(item);
  }
  CHECK(items == std::vector{12, 13});
  CHECK(manager.left_once_by(nullptr));
}

TEST_CASE("with::NonLocalFlowControlTestCase.testWithRaise") {
  bool handled = false;
  int counter = 0;
  try {
    counter += 1;
    with(make_mock(), [&] {
      counter += 10;
      throw krait::runtime_error("");
    });
    counter += 100;
  } catch (const krait::runtime_error&) {
    handled = true;
  }
  CHECK(counter == 11);
  CHECK(handled);
}

TEST_CASE("with::ExitSwallowsExceptionTestCase.testExitTrueSwallowsException") {
  CHECK_NOTHROW(with(dummy(true), [] { throw zero_division_error(); }));
}

TEST_CASE("with::ExitSwallowsExceptionTestCase.testExitFalseDoesntSwallowException") {
  CHECK_THROWS_AS(with(dummy(false), [] { throw zero_division_error(); }), zero_division_error);
}

TEST_CASE("with::NestedWith.testNoExceptions") {
  dummy a;
  dummy b;
  with(a, [&] {
    with(b, [&] {
      CHECK(a.inside());
      CHECK(b.inside());
    });
  });
  CHECK(a.left_once_by(nullptr));
  CHECK(b.left_once_by(nullptr));
}

TEST_CASE("with::NestedWith.testExceptionInExprList") {
  dummy a;
  const auto block = [] { with(init_raises(), [] { FAIL("body of bad with executed"); }); };
  CHECK_THROWS_AS(with(a, block), krait::runtime_error);
  CHECK(a.entered == 1);
  CHECK(is_a<krait::runtime_error>(a.left_by.at(0)));
}

TEST_CASE("with::NestedWith.testExceptionInEnter") {
  dummy a;
  const auto block = [] { with(enter_raises(), [] { FAIL("body of bad with executed"); }); };
  CHECK_THROWS_AS(with(a, block), krait::runtime_error);
  CHECK(a.entered == 1);
  CHECK(is_a<krait::runtime_error>(a.left_by.at(0)));
}

TEST_CASE("with::NestedWith.testExceptionInExit") {
  dummy a(true);
  bool body_executed = false;
  CHECK_NOTHROW(with(a, [&] { with(exit_raises(), [&] { body_executed = true; }); }));
  CHECK(body_executed);
  CHECK(a.entered == 1);
  CHECK(is_a<krait::runtime_error>(a.left_by.at(0)));
}
