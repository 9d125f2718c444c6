// SPDX-License-Identifier: BSL-1.0
// A framework that keeps the exception state for each task of its own, as userver and oneTBB do: it defines
// the C++ runtime's function that says where that state is. One thread runs one task after the other.
#include <cstdio>
#include <exception>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#include <krait/krait.hpp>

struct task {
  void* caught = nullptr;
  unsigned uncaught = 0;
};

namespace {

task no_task;
task* current = &no_task;

}  // namespace

// By their names for the linker, as <cxxabi.h> may have declared them otherwise.
task* get_globals() noexcept asm("__cxa_get_globals");
task* get_globals_fast() noexcept asm("__cxa_get_globals_fast");
task* get_globals() noexcept {
  return current;
}
task* get_globals_fast() noexcept {
  return current;
}

namespace {

int passed = 0;
int failed = 0;

void check(bool good, const char* what) {
  ++(good ? passed : failed);
  if (!good) {
    std::fprintf(stderr, "FAILED: %s\n", what);
  }
}

/// Runs `function` as a task of its own.
template <class Function>
void run_task(Function function) {
  static std::vector<std::unique_ptr<task>> all;  // kept, so that each has an address of its own
  task* const own = all.emplace_back(std::make_unique<task>()).get();
  task* const before = std::exchange(current, own);
  function();
  check(own->caught == nullptr && own->uncaught == 0, "a task ends without exceptions");
  current = before;
}

/// What the exception being handled says.
std::string handled() {
  try {
    throw;
  } catch (const std::exception& exception) {
    return exception.what();
  }
}

}  // namespace

int main() {
  krait::generator<std::string> plain = [](auto& yield) {
    for (;;) {
      check(std::current_exception() == nullptr, "a body without a handler sees none of the task's");
      check(std::uncaught_exceptions() == 0, "nor what is in flight");
      yield("");
    }
  };
  krait::generator<std::string> handling = [](auto& yield) {
    for (int i = 0;; ++i) {
      try {
        throw std::logic_error("the body's " + std::to_string(i));
      } catch (const std::logic_error&) {
        yield(handled());
        yield(handled());
      }
    }
  };

  // The address that is asked for first is soon no task's any more.
  run_task([&] { plain.next(); });
  for (int i = 0; i < 20; ++i) {
    const std::string text = "task " + std::to_string(i);
    run_task([&] {
      plain.next();
      try {
        throw std::runtime_error(text);
      } catch (const std::runtime_error&) {
        plain.next();
        const std::string its = "the body's " + std::to_string(i / 2);
        check(handling.next() == its, "the body's exception, whichever task goes on with it");
        check(handled() == text, "the task's exception, whichever body has run");
      }
      // In flight while a destructor uses a generator.
      struct at_exit {
        krait::generator<std::string>& used;
        ~at_exit() { used.next(); }
      };
      try {
        const at_exit last{plain};
        throw std::runtime_error(text);
      } catch (const std::runtime_error& error) {
        check(error.what() == text, "an exception arrives that unwound through a switch");
      }
    });
  }
  run_task([&] { handling.close(); });
  std::printf("%d passed, %d failed\n", passed, failed);
  return failed == 0 ? 0 : 1;
}
