// SPDX-License-Identifier: BSL-1.0
#include <doctest/doctest.h>

#include <algorithm>
#include <cstdint>
#include <exception>
#include <functional>
#include <stdexcept>
#include <string>
#include <utility>

#include <krait/krait.hpp>

#include "managers.hpp"
#include "support/driver.hpp"

// CPython's test_contextlib_async.py: its stack of exits. It is krait's one stack of exits, in a coroutine:
// what waits there is called with the coroutine's awaiter, or is an awaited() manager.

namespace {

using driver::run_async;
using driver::sleep;
using krait::asynccontextmanager;
using krait::awaited;
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

/// What exits do besides: CPython tests most of them as functions and as coroutine functions.
constexpr auto at_once = [](auto&) {};
constexpr auto with_a_wait = [](auto& co) { co.await(sleep()); };

/// An exit that raises, with what is being handled as the cause.
template <class Awaiter, class Wait>
auto raising(Awaiter& co, Wait wait, const char* text) {
  return [&co, wait, text](const std::exception_ptr&) {
    wait(co);
    std::throw_with_nested(error(text));
  };
}

/// Raises in a coroutine of its own, where nothing is being handled but what is raised there.
template <class Awaiter>
void raise_from(Awaiter& co, const std::exception_ptr& cause, const char* text) {
  try {
    co.await(sleep());
    std::rethrow_exception(cause);
  } catch (const std::exception&) {
    raising(co, with_a_wait, text)(cause);
  }
}

/// A manager of such an exit.
struct raises {
  krait::coroutine<void> aenter() {
    return [](auto& co) { co.await(sleep()); };
  }
  krait::coroutine<void> aexit(const std::exception_ptr& passing) {
    return [this, passing](auto& co) { raise_from(co, passing, text); };
  }
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
template <class Manager>
concept can_be_entered_async = requires(exit_stack& stack, Manager manager, krait::awaiter<void, void>& co) {
  stack.enter_context(awaited(co, manager));
};
template <class... Arguments>
concept can_be_registered =
    requires(exit_stack& stack, Arguments... arguments) { stack.callback(arguments...); };

struct lacks_aenter {
  krait::coroutine<void> aexit(const std::exception_ptr&) {
    return [](auto&) {};
  }
};
struct lacks_aexit {
  krait::coroutine<void> aenter() {
    return [](auto&) {};
  }
};
struct lacks_nothing : lacks_aenter, lacks_aexit {};

template <class Wait>
void check_callback(Wait wait) {
  run_async([&](auto& co) {
    journal result;
    const auto note = [&](auto... arguments) {
      wait(co);
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
  });
  CHECK(can_be_registered<void (*)(int), int>);
  CHECK_FALSE(can_be_registered<>);
  CHECK_FALSE(can_be_registered<int>);
  CHECK_FALSE(can_be_registered<void (*)(), int>);
}

template <class Wait>
void check_exit_exception_chaining(Wait wait) {
  run_async([&](auto& co) {
    std::exception_ptr saved;
    const auto fill = [&](exit_stack& stack) {
      stack.push(raising(co, wait, "IndexError"));
      stack.push(raising(co, wait, "KeyError"));
      stack.push(raising(co, wait, "AttributeError"));
      stack.push([&](const std::exception_ptr& passing) {
        wait(co);
        saved = passing;
        return true;
      });
      stack.push(raising(co, wait, "ValueError"));
    };
    const auto raised = division_by_zero();
    CHECK(chain_of(out_of_stack(fill, raised)) == "IndexError <- KeyError <- AttributeError");
    CHECK(chain_of(saved) == "ValueError <- division by zero");
    CHECK(support::cause_of(saved) == raised);
  });
}

/// Puts another exception in the place of what the block raised, and keeps no cause.
krait::contextmanager<void> replacing() {
  return [](auto& yield) {
    try {
      yield();
    } catch (const std::exception&) {
      throw error("MyException");
    }
  };
}
asynccontextmanager<void> replacing_async() {
  return [](auto& co) {
    try {
      co();
    } catch (const std::exception&) {
      co.await(sleep());
      throw error("MyException");
    }
  };
}

}  // namespace

TEST_CASE("contextlib_async::TestAsyncExitStack.test_no_resources") {
  bool called = false;
  run_async([&](auto&) { CHECK_NOTHROW(with(exit_stack(), [&] { called = true; })); });
  CHECK(called);
}

TEST_CASE("contextlib_async::TestAsyncExitStack.test_callback") {
  check_callback(at_once);
}

TEST_CASE("contextlib_async::TestAsyncExitStack.test_async_callback") {
  check_callback(with_a_wait);
}

TEST_CASE("contextlib_async::TestAsyncExitStack.test_push") {
  struct exit_only {
    void enter() { FAIL("Should not be called!"); }
    void exit(const std::exception_ptr& passing) { log("manager " + chain_of(passing)); }
    journal& log;
  };
  run_async([](auto&) {
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
  });
}

TEST_CASE("contextlib_async::TestAsyncExitStack.test_async_push") {
  struct exit_only {
    krait::coroutine<void> aenter() {
      return [](auto&) { FAIL("Should not be called!"); };
    }
    krait::coroutine<void> aexit(const std::exception_ptr& passing) {
      return [&log = log, passing](auto& co) {
        co.await(sleep());
        log("manager " + chain_of(passing));
      };
    }
    journal& log;
  };
  run_async([](auto& co) {
    journal log;
    const auto expect = [&](const std::exception_ptr& passing) {
      co.await(sleep());
      log("function " + chain_of(passing));
    };
    const auto swallow_after_wait = [&](const std::exception_ptr&) {
      co.await(sleep());
      return true;
    };
    exit_only manager{log};
    const auto fill = [&](exit_stack& stack) {
      stack.push(expect);
      stack.push(awaited(co, manager));
      stack.push(swallow_after_wait);
      stack.push(awaited(co, exit_only{log}));
      stack.push(expect);
      stack.push(expect);
    };
    CHECK(out_of_stack(fill, division_by_zero()) == nullptr);
    CHECK(log.text() ==
          "function division by zero, function division by zero, manager division by zero, "
          "manager none, function none");
  });
}

TEST_CASE("contextlib_async::TestAsyncExitStack.test_enter_context") {
  struct test_manager {
    void enter() { log("1"); }
    void exit(const std::exception_ptr&) { log("3"); }
    journal& log;
  };
  journal result;
  run_async([&](auto&) {
    test_manager manager{result};
    with(exit_stack(), [&](exit_stack& stack) {
      stack.callback(std::ref(result), "4");
      stack.enter_context(manager);
      result("2");
    });
  });
  CHECK(result.text() == "1, 2, 3, 4");
}

TEST_CASE("contextlib_async::TestAsyncExitStack.test_enter_async_context") {
  struct test_manager {
    krait::coroutine<void, void, int> aenter() {
      return [this](auto& co) {
        co.await(sleep());
        log("1");
        return 5;
      };
    }
    krait::coroutine<void> aexit(const std::exception_ptr&) {
      return [this](auto& co) {
        co.await(sleep());
        log("3");
      };
    }
    journal& log;
  };
  journal result;
  run_async([&](auto& co) {
    test_manager manager{result};
    with(exit_stack(), [&](exit_stack& stack) {
      stack.callback([&] {
        co.await(sleep());
        result("4");
      });
      CHECK(stack.enter_context(awaited(co, manager)) == 5);
      result("2");
    });
  });
  CHECK(result.text() == "1, 2, 3, 4");
}

TEST_CASE("contextlib_async::TestAsyncExitStack.test_enter_context_errors") {
  CHECK(can_be_entered<managers::lacks_nothing>);
  CHECK_FALSE(can_be_entered<managers::lacks_both>);
  CHECK_FALSE(can_be_entered<managers::lacks_enter>);
  CHECK_FALSE(can_be_entered<managers::lacks_exit>);
  CHECK_FALSE(can_be_entered<lacks_nothing>);
}

TEST_CASE("contextlib_async::TestAsyncExitStack.test_enter_async_context_errors") {
  CHECK(can_be_entered_async<lacks_nothing>);
  CHECK_FALSE(can_be_entered_async<lacks_aenter>);
  CHECK_FALSE(can_be_entered_async<lacks_aexit>);
  CHECK_FALSE(can_be_entered_async<managers::lacks_both>);
  CHECK_FALSE(can_be_entered_async<managers::lacks_nothing>);
}

TEST_CASE("contextlib_async::TestAsyncExitStack.test_close") {
  journal result;
  run_async([&](auto&) {
    with(exit_stack(), [&](exit_stack& stack) {
      stack.callback(std::ref(result), "1");
      stack.close();
      result("2");
    });
  });
  CHECK(result.text() == "1, 2");
}

TEST_CASE("contextlib_async::TestAsyncExitStack.test_pop_all") {
  journal result;
  run_async([&](auto&) {
    exit_stack new_stack;
    with(exit_stack(), [&](exit_stack& stack) {
      stack.callback(std::ref(result), "3");
      new_stack = stack.pop_all();
      result("1");
    });
    result("2");
    new_stack.close();
  });
  CHECK(result.text() == "1, 2, 3");
}

TEST_CASE("contextlib_async::TestAsyncExitStack.test_exit_raise") {
  run_async([](auto&) {
    const auto raised = division_by_zero();
    const auto fill = [](exit_stack& stack) { stack.push([](const std::exception_ptr&) { return false; }); };
    CHECK(out_of_stack(fill, raised) == raised);
  });
}

TEST_CASE("contextlib_async::TestAsyncExitStack.test_exit_suppress") {
  run_async([](auto&) {
    const auto fill = [](exit_stack& stack) { stack.push([](const std::exception_ptr&) { return true; }); };
    CHECK(out_of_stack(fill, division_by_zero()) == nullptr);
  });
}

TEST_CASE("contextlib_async::TestAsyncExitStack.test_exit_exception_chaining_reference") {
  // The exception and its context are raised by one exit.
  struct raises_with_context {
    krait::coroutine<void> aenter() {
      return [](auto& co) { co.await(sleep()); };
    }
    krait::coroutine<void> aexit(const std::exception_ptr& passing) {
      return [passing](auto& co) {
        CHECK(passing == nullptr);
        try {
          raising(co, with_a_wait, "AttributeError")(passing);
        } catch (const error&) {
          raising(co, with_a_wait, "KeyError")(std::current_exception());
        }
      };
    }
  };
  struct swallows {
    krait::coroutine<void> aenter() {
      return [](auto& co) { co.await(sleep()); };
    }
    krait::coroutine<void, void, bool> aexit(const std::exception_ptr& passing) {
      return [this, passing](auto& co) {
        co.await(sleep());
        saved = passing;
        return true;
      };
    }
    std::exception_ptr saved;
  };
  run_async([](auto& co) {
    swallows swallowing;
    const auto raised = raised_by([&] {
      async_with(co, raises{"IndexError"}, [&] {
        async_with(co, raises_with_context(), [&] {
          async_with(co, swallowing,
                     [&] { async_with(co, raises{"ValueError"}, [] { throw zero_division_error(); }); });
        });
      });
    });
    CHECK(chain_of(raised) == "IndexError <- KeyError <- AttributeError");
    CHECK(chain_of(swallowing.saved) == "ValueError <- division by zero");
  });
}

TEST_CASE("contextlib_async::TestAsyncExitStack.test_exit_exception_chaining") {
  check_exit_exception_chaining(at_once);
}

TEST_CASE("contextlib_async::TestAsyncExitStack.test_async_exit_exception_chaining") {
  check_exit_exception_chaining(with_a_wait);
}

TEST_CASE("contextlib_async::TestAsyncExitStack.test_exit_exception_explicit_none_context") {
  const auto replacing_with_stack = []() -> krait::contextmanager<exit_stack&> {
    return [](auto& yield) {
      with(exit_stack(), [&](exit_stack& stack) {
        stack.enter_context(replacing());
        yield(stack);
      });
    };
  };
  run_async([&](auto&) {
    const auto raised_with = [](auto manager) {
      return raised_by([&] { with(manager, [] { throw error("IndexError"); }); });
    };
    CHECK(chain_of(raised_with(replacing())) == "MyException");
    CHECK(chain_of(raised_with(replacing_with_stack())) == "MyException");
  });
}

TEST_CASE("contextlib_async::TestAsyncExitStack.test_async_exit_exception_explicit_none_context") {
  const auto replacing_with_stack = []() -> asynccontextmanager<exit_stack*> {
    return [](auto& co) {
      with(exit_stack(), [&](exit_stack& stack) {
        stack.enter_context(awaited(co, replacing_async()));
        co(&stack);
      });
    };
  };
  run_async([&](auto& co) {
    const auto raised_with = [&](auto manager) {
      return raised_by([&] { async_with(co, manager, [] { throw error("IndexError"); }); });
    };
    CHECK(chain_of(raised_with(replacing_async())) == "MyException");
    CHECK(chain_of(raised_with(replacing_with_stack())) == "MyException");
  });
}

TEST_CASE("contextlib_async::TestAsyncExitStack.test_exit_exception_non_suppressing") {
  run_async([](auto&) {
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
  });
}

TEST_CASE("contextlib_async::TestAsyncExitStack.test_exit_exception_with_correct_context") {
  const auto replacing_from = [](const char* text) -> asynccontextmanager<void> {
    return [text](auto& co) {
      try {
        co();
      } catch (const error&) {
        co.await(sleep());
        std::throw_with_nested(error(text));
      }
    };
  };
  run_async([&](auto& co) {
    const auto fill = [&](exit_stack& stack) {
      stack.enter_context(awaited(co, replacing_from("4")));
      stack.enter_context(awaited(co, replacing_from("3")));
      stack.enter_context(awaited(co, replacing_from("2")));
    };
    const auto first = std::make_exception_ptr(error("1"));
    const auto last = out_of_stack(fill, first);
    CHECK(chain_of(last) == "4 <- 3 <- 2 <- 1");
    CHECK(support::cause_of(support::cause_of(support::cause_of(last))) == first);
  });
}

TEST_CASE("contextlib_async::TestAsyncExitStack.test_exit_exception_with_existing_context") {
  run_async([](auto& co) {
    const auto raise_nested = [&](const char* inner, const char* outer) {
      try {
        co.await(sleep());
        std::throw_with_nested(error(inner));
      } catch (const error&) {
        co.await(sleep());
        std::throw_with_nested(error(outer));
      }
    };
    const auto fill = [&](exit_stack& stack) {
      stack.callback(raise_nested, "4", "5");
      stack.callback(raise_nested, "2", "3");
    };
    CHECK(chain_of(out_of_stack(fill, std::make_exception_ptr(error("1")))) == "5 <- 4 <- 3 <- 2 <- 1");
  });
}

TEST_CASE("contextlib_async::TestAsyncExitStack.test_body_exception_suppress") {
  run_async([](auto&) {
    CHECK(out_of_stack([](exit_stack& stack) { stack.push(swallow); }, division_by_zero()) == nullptr);
  });
}

TEST_CASE("contextlib_async::TestAsyncExitStack.test_exit_exception_chaining_suppress") {
  journal log;
  run_async([&](auto& co) {
    const auto fill = [&](exit_stack& stack) {
      stack.push([&](const std::exception_ptr& passing) {
        log(chain_of(passing));
        return true;
      });
      stack.push([&](const std::exception_ptr& passing) {
        co.await(sleep());
        log(chain_of(passing));
        throw zero_division_error();
      });
      stack.push([&](const std::exception_ptr& passing) {
        log(chain_of(passing));
        throw error("KeyError");
      });
    };
    CHECK(out_of_stack(fill) == nullptr);
  });
  CHECK(log.text() == "none, KeyError, division by zero");
}

TEST_CASE("contextlib_async::TestAsyncExitStack.test_excessive_nesting") {
  int calls = 0;
  std::uintptr_t lowest = UINTPTR_MAX;
  std::uintptr_t highest = 0;
  run_async([&](auto& co) {
    const auto note_depth = [&] {
      const auto here = reinterpret_cast<std::uintptr_t>(__builtin_frame_address(0));
      lowest = std::min(lowest, here);
      highest = std::max(highest, here);
      co.await(sleep());
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
  });
  CHECK(calls == 20'000);
  // None is called from within another.
  CHECK(highest - lowest < 4096);
}

TEST_CASE("contextlib_async::TestAsyncExitStack.test_dont_reraise_RuntimeError") {
  const auto second = []() -> asynccontextmanager<int> {
    return [](auto& co) {
      try {
        co(1);
      } catch (const std::exception&) {
        std::throw_with_nested(unique_exception());
      }
    };
  };
  const auto first = []() -> asynccontextmanager<int> {
    return [](auto& co) {
      try {
        co(1);
      } catch (const std::exception&) {
        throw;
      }
    };
  };
  run_async([&](auto& co) {
    const auto fill = [&](exit_stack& stack) {
      CHECK(stack.enter_context(awaited(co, second())) == 1);
      CHECK(stack.enter_context(awaited(co, first())) == 1);
    };
    const auto error = std::make_exception_ptr(unique_runtime_error());
    const auto raised = out_of_stack(fill, error);
    CHECK(is_a<unique_exception>(raised));
    CHECK(support::cause_of(raised) == error);
    CHECK(support::cause_of(error) == nullptr);
  });
}
