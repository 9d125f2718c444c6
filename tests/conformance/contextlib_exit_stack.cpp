// SPDX-License-Identifier: BSL-1.0
#include <doctest/doctest.h>

#include <algorithm>
#include <cstdint>
#include <exception>
#include <functional>
#include <stdexcept>
#include <string>

#include <krait/krait.hpp>

#include "managers.hpp"
#include "support/support.hpp"

// CPython's test_contextlib.py: its stack of exits.

namespace {

using krait::contextmanager;
using krait::exit_stack;
using krait::with;
using managers::chain_of;
using managers::zero_division_error;
using support::is_a;
using support::journal;
using support::raised_by;

/// Raised by exits. Its text stands for its type in Python.
struct error : std::runtime_error {
  using std::runtime_error::runtime_error;
};

struct unique_exception : std::runtime_error {
  unique_exception() : std::runtime_error("new exception") {}
};
struct unique_runtime_error : krait::runtime_error {
  unique_runtime_error() : krait::runtime_error("please no infinite loop.") {}
};

bool swallow(const std::exception_ptr&) {
  return true;
}

/// An exit that raises, with what is being handled as the cause.
auto raising(const char* text) {
  return [text](const std::exception_ptr&) { std::throw_with_nested(error(text)); };
}

/// A manager of such an exit.
struct raises {
  void enter() {}
  void exit(const std::exception_ptr& passing) { raising(text)(passing); }
  const char* text;
};

/// What leaves a stack filled by `fill`, if the block raises `raised` (null: nothing).
template <class Fill>
std::exception_ptr out_of_stack(Fill fill, const std::exception_ptr& raised = nullptr) {
  return raised_by([&] {
    with(exit_stack(), [&](exit_stack& stack) {
      fill(stack);
      if (raised != nullptr) {
        std::rethrow_exception(raised);
      }
    });
  });
}

std::exception_ptr division_by_zero() {
  return std::make_exception_ptr(zero_division_error());
}

template <class Manager>
concept can_be_entered = requires(exit_stack& stack, Manager manager) { stack.enter_context(manager); };
template <class... Arguments>
concept can_be_registered =
    requires(exit_stack& stack, Arguments... arguments) { stack.callback(arguments...); };

}  // namespace

TEST_CASE("contextlib::TestExitStack.test_no_resources") {
  bool called = false;
  CHECK_NOTHROW(with(exit_stack(), [&] { called = true; }));
  CHECK(called);
}

TEST_CASE("contextlib::TestExitStack.test_callback") {
  journal result;
  const auto note = [&](auto... arguments) {
    std::string text = "called";
    ((text += " " + std::to_string(arguments)), ...);
    result(text);
  };
  with(exit_stack(), [&](exit_stack& stack) {
    stack.callback(note, 1, 2);
    stack.callback(note, 1);
    stack.callback(note);
    CHECK(result.text().empty());
  });
  CHECK(result.text() == "called, called 1, called 1 2");

  CHECK(can_be_registered<void (*)(int), int>);
  CHECK_FALSE(can_be_registered<>);
  CHECK_FALSE(can_be_registered<int>);
  CHECK_FALSE(can_be_registered<void (*)(), int>);
}

TEST_CASE("contextlib::TestExitStack.test_push") {
  struct exit_only {
    void enter() { FAIL("Should not be called!"); }
    void exit(const std::exception_ptr& passing) { log("manager " + chain_of(passing)); }
    journal& log;
  };
  journal log;
  const auto expect = [&](const std::exception_ptr& passing) { log("function " + chain_of(passing)); };
  exit_only manager{log};
  const auto fill = [&](exit_stack& stack) {
    stack.push(expect);
    stack.push(manager);
    stack.push(swallow);
    stack.push(exit_only{log});
    stack.push(expect);
    stack.push(expect);
  };
  CHECK(out_of_stack(fill, division_by_zero()) == nullptr);
  CHECK(log.text() ==
        "function division by zero, function division by zero, manager division by zero, "
        "manager none, function none");
}

TEST_CASE("contextlib::TestExitStack.test_enter_context") {
  struct test_manager {
    void enter() { log("1"); }
    void exit(const std::exception_ptr&) { log("3"); }
    journal& log;
  };
  journal result;
  test_manager manager{result};
  with(exit_stack(), [&](exit_stack& stack) {
    stack.callback(std::ref(result), "4");
    stack.enter_context(manager);
    result("2");
  });
  CHECK(result.text() == "1, 2, 3, 4");
}

TEST_CASE("contextlib::TestExitStack.test_enter_context_errors") {
  CHECK(can_be_entered<managers::lacks_nothing>);
  CHECK_FALSE(can_be_entered<managers::lacks_both>);
  CHECK_FALSE(can_be_entered<managers::lacks_enter>);
  CHECK_FALSE(can_be_entered<managers::lacks_exit>);
}

TEST_CASE("contextlib::TestExitStack.test_close") {
  journal result;
  with(exit_stack(), [&](exit_stack& stack) {
    stack.callback(std::ref(result), "1");
    stack.close();
    result("2");
  });
  CHECK(result.text() == "1, 2");
}

TEST_CASE("contextlib::TestExitStack.test_pop_all") {
  journal result;
  exit_stack new_stack;
  with(exit_stack(), [&](exit_stack& stack) {
    stack.callback(std::ref(result), "3");
    new_stack = stack.pop_all();
    result("1");
  });
  result("2");
  new_stack.close();
  CHECK(result.text() == "1, 2, 3");
}

TEST_CASE("contextlib::TestExitStack.test_exit_raise") {
  const auto raised = division_by_zero();
  const auto fill = [](exit_stack& stack) { stack.push([](const std::exception_ptr&) { return false; }); };
  CHECK(out_of_stack(fill, raised) == raised);
}

TEST_CASE("contextlib::TestExitStack.test_exit_suppress") {
  const auto fill = [](exit_stack& stack) { stack.push([](const std::exception_ptr&) { return true; }); };
  CHECK(out_of_stack(fill, division_by_zero()) == nullptr);
}

TEST_CASE("contextlib::TestExitStack.test_exit_exception_chaining_reference") {
  // The exception and its context are raised by one exit.
  struct raises_with_context {
    void enter() {}
    void exit(const std::exception_ptr& passing) {
      try {
        raising("AttributeError")(passing);
      } catch (const error&) {
        raising("KeyError")(std::current_exception());
      }
    }
  };
  struct swallows {
    void enter() {}
    bool exit(const std::exception_ptr& passing) {
      saved = passing;
      return true;
    }
    std::exception_ptr saved;
  };
  swallows swallowing;
  const auto raised = raised_by([&] {
    with(raises{"IndexError"}, [&] {
      with(raises_with_context(), [&] {
        with(swallowing, [] { with(raises{"ValueError"}, [] { throw zero_division_error(); }); });
      });
    });
  });
  CHECK(chain_of(raised) == "IndexError <- KeyError <- AttributeError");
  CHECK(chain_of(swallowing.saved) == "ValueError <- division by zero");
}

TEST_CASE("contextlib::TestExitStack.test_exit_exception_chaining") {
  std::exception_ptr saved;
  const auto fill = [&](exit_stack& stack) {
    stack.push(raising("IndexError"));
    stack.push(raising("KeyError"));
    stack.push(raising("AttributeError"));
    stack.push([&](const std::exception_ptr& passing) {
      saved = passing;
      return true;
    });
    stack.push(raising("ValueError"));
  };
  const auto raised = division_by_zero();
  CHECK(chain_of(out_of_stack(fill, raised)) == "IndexError <- KeyError <- AttributeError");
  CHECK(chain_of(saved) == "ValueError <- division by zero");
  CHECK(support::cause_of(saved) == raised);
}

TEST_CASE("contextlib::TestExitStack.test_exit_exception_explicit_none_context") {
  const auto replacing = []() -> contextmanager<void> {
    return [](auto& yield) {
      try {
        yield();
      } catch (const std::exception&) {
        throw error("MyException");
      }
    };
  };
  const auto replacing_with_stack = [&]() -> contextmanager<exit_stack&> {
    return [&](auto& yield) {
      with(exit_stack(), [&](exit_stack& stack) {
        stack.enter_context(replacing());
        yield(stack);
      });
    };
  };
  const auto raised_with = [](auto manager) {
    return raised_by([&] { with(manager, [] { throw error("IndexError"); }); });
  };
  CHECK(chain_of(raised_with(replacing())) == "MyException");
  CHECK(chain_of(raised_with(replacing_with_stack())) == "MyException");
}

TEST_CASE("contextlib::TestExitStack.test_exit_exception_non_suppressing") {
  const auto from_callback = out_of_stack([](exit_stack& stack) {
    stack.callback([] {});
    stack.callback([] { throw error("IndexError"); });
  });
  CHECK(chain_of(from_callback) == "IndexError");

  const auto after_swallowing = out_of_stack([](exit_stack& stack) {
    stack.callback([] { throw error("KeyError"); });
    stack.push(swallow);
    stack.callback([] { throw error("IndexError"); });
  });
  CHECK(chain_of(after_swallowing) == "KeyError");
}

TEST_CASE("contextlib::TestExitStack.test_exit_exception_with_correct_context") {
  const auto replacing = [](const char* text) -> contextmanager<void> {
    return [text](auto& yield) {
      try {
        yield();
      } catch (const error&) {
        std::throw_with_nested(error(text));
      }
    };
  };
  const auto fill = [&](exit_stack& stack) {
    stack.enter_context(replacing("4"));
    stack.enter_context(replacing("3"));
    stack.enter_context(replacing("2"));
  };
  const auto first = std::make_exception_ptr(error("1"));
  const auto last = out_of_stack(fill, first);
  CHECK(chain_of(last) == "4 <- 3 <- 2 <- 1");
  CHECK(support::cause_of(support::cause_of(support::cause_of(last))) == first);
}

TEST_CASE("contextlib::TestExitStack.test_exit_exception_with_existing_context") {
  const auto raise_nested = [](const char* inner, const char* outer) {
    try {
      std::throw_with_nested(error(inner));
    } catch (const error&) {
      std::throw_with_nested(error(outer));
    }
  };
  const auto fill = [&](exit_stack& stack) {
    stack.callback(raise_nested, "4", "5");
    stack.callback(raise_nested, "2", "3");
  };
  CHECK(chain_of(out_of_stack(fill, std::make_exception_ptr(error("1")))) == "5 <- 4 <- 3 <- 2 <- 1");
}

TEST_CASE("contextlib::TestExitStack.test_body_exception_suppress") {
  CHECK(out_of_stack([](exit_stack& stack) { stack.push(swallow); }, division_by_zero()) == nullptr);
}

TEST_CASE("contextlib::TestExitStack.test_exit_exception_chaining_suppress") {
  journal log;
  const auto fill = [&](exit_stack& stack) {
    stack.push([&](const std::exception_ptr& passing) {
      log(chain_of(passing));
      return true;
    });
    stack.push([&](const std::exception_ptr& passing) {
      log(chain_of(passing));
      throw zero_division_error();
    });
    stack.push([&](const std::exception_ptr& passing) {
      log(chain_of(passing));
      throw error("KeyError");
    });
  };
  CHECK(out_of_stack(fill) == nullptr);
  CHECK(log.text() == "none, KeyError, division by zero");
}

TEST_CASE("contextlib::TestExitStack.test_excessive_nesting") {
  int calls = 0;
  std::uintptr_t lowest = UINTPTR_MAX;
  std::uintptr_t highest = 0;
  const auto note_depth = [&] {
    const auto here = reinterpret_cast<std::uintptr_t>(__builtin_frame_address(0));
    lowest = std::min(lowest, here);
    highest = std::max(highest, here);
    ++calls;
  };
  const auto fill = [&](exit_stack& stack) {
    for (int i = 0; i < 10'000; ++i) {
      stack.callback(note_depth);
    }
  };
  const auto raised = division_by_zero();
  CHECK(out_of_stack(fill) == nullptr);
  CHECK(out_of_stack(fill, raised) == raised);
  CHECK(calls == 20'000);
  // None is called from within another.
  CHECK(highest - lowest < 4096);
}

TEST_CASE("contextlib::TestExitStack.test_dont_reraise_RuntimeError") {
  const auto second = []() -> contextmanager<int> {
    return [](auto& yield) {
      try {
        yield(1);
      } catch (const std::exception&) {
        std::throw_with_nested(unique_exception());
      }
    };
  };
  const auto first = []() -> contextmanager<int> {
    return [](auto& yield) {
      try {
        yield(1);
      } catch (const std::exception&) {
        throw;
      }
    };
  };
  const auto fill = [&](exit_stack& stack) {
    CHECK(stack.enter_context(second()) == 1);
    CHECK(stack.enter_context(first()) == 1);
  };
  const auto error = std::make_exception_ptr(unique_runtime_error());
  const auto raised = out_of_stack(fill, error);
  CHECK(is_a<unique_exception>(raised));
  CHECK(support::cause_of(raised) == error);
  CHECK(support::cause_of(error) == nullptr);
}
