// SPDX-License-Identifier: BSL-1.0
#include "krait/contextlib/exit_stack.hpp"

#include <exception>
#include <memory>
#include <utility>

namespace krait {

exit_stack& exit_stack::operator=(exit_stack&& other) {
  if (this != &other) {
    const exit_stack old(std::move(*this));
    exits_ = std::move(other.exits_);
  }
  return *this;
}

std::unique_ptr<exit_stack::exit_base> exit_stack::pop() noexcept {
  std::unique_ptr<exit_base> last = std::move(exits_.back());
  exits_.pop_back();
  return last;
}

void exit_stack::leave_by(exit_base& last, std::exception_ptr& passing) {
  try {
    std::rethrow_exception(passing);
  } catch (...) {
    if (last.exit(passing)) {
      passing = nullptr;
    }
  }
}

bool exit_stack::exit(const std::exception_ptr& exception) {
  std::exception_ptr passing = exception;
  while (!exits_.empty()) {
    const std::unique_ptr<exit_base> last = pop();
    try {
      if (passing == nullptr) {
        last->exit(nullptr);
      } else {
        leave_by(*last, passing);
      }
    } catch (...) {
      passing = std::current_exception();
      if (passing == nullptr) {
        throw;  // no C++ exception: a thread is cancelled
      }
    }
  }
  if (passing != nullptr && passing != exception) {
    std::rethrow_exception(std::move(passing));
  }
  return exception != nullptr && passing == nullptr;
}

void exit_stack::release() noexcept {
  while (!exits_.empty()) {
    pop();
  }
}

}  // namespace krait
