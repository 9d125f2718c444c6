// SPDX-License-Identifier: BSL-1.0
#include "krait/contextlib/contextmanager.hpp"

#include <exception>

#include "krait/exceptions.hpp"

namespace krait::detail {

bool is_handled(const std::exception_ptr& exception) noexcept {
  return exception != nullptr && std::current_exception() == exception;
}

bool is_cause_of_handled(const std::exception_ptr& exception) {
  const std::exception_ptr handled = std::current_exception();
  if (exception == nullptr || handled == nullptr) {
    return false;  // no C++ exception: a thread is cancelled
  }
  try {
    std::rethrow_exception(handled);
  } catch (const runtime_error& raised) {
    const auto* const nested = dynamic_cast<const std::nested_exception*>(&raised);
    return nested != nullptr && nested->nested_ptr() == exception;
  } catch (...) {
    return false;
  }
}

void check_not_swallowed(const std::exception_ptr& exception) {
  if (!is_generator_exit(exception)) {
    try {
      std::rethrow_exception(exception);
    } catch (...) {
      std::throw_with_nested(
          runtime_error("generator swallowed an exception, and its manager's Exit is void"));
    }
  }
}

}  // namespace krait::detail
