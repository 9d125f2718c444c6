// SPDX-License-Identifier: BSL-1.0
#include "krait/hooks.hpp"

#include <atomic>
#include <cstdio>
#include <exception>
#include <mutex>
#include <string>
#include <utility>

#include "krait/exceptions.hpp"

namespace krait {

namespace {

/// A user's function that any thread may set or call.
template <class Function>
class hook {
 public:
  Function exchange(Function function) {
    const std::lock_guard lock(mutex_);
    return std::exchange(function_, std::move(function));
  }

  /// A copy, as the function may set another one.
  Function get() {
    const std::lock_guard lock(mutex_);
    return function_;
  }

 private:
  std::mutex mutex_;
  Function function_;
};

// Never destroyed: what has static storage may still report, and warn.
hook<unraisable_hook>& on_unraisable() {
  static auto& only = *new hook<unraisable_hook>;
  return only;
}
hook<warning_hook>& on_warning() {
  static auto& only = *new hook<warning_hook>;
  return only;
}

void write_to_stderr(const unraisable& event) {
  const std::string what = event.exception == nullptr ? "a foreign exception" : describe(event.exception);
  const std::string text = event.message + ":\n" + what + "\n";
  std::fputs(text.c_str(), stderr);
}

}  // namespace

unraisable_hook set_unraisable_hook(unraisable_hook hook) {
  return on_unraisable().exchange(std::move(hook));
}

warning_hook set_warning_hook(warning_hook hook) {
  return on_warning().exchange(std::move(hook));
}

namespace detail {

namespace {
constinit std::atomic<keeper> keepers[2];
}

void set_keeper(keeper_of which, keeper asked) noexcept {
  keepers[static_cast<int>(which)].store(asked, std::memory_order_relaxed);
}

void report_unraisable(std::exception_ptr exception, std::string message) noexcept {
  for (const std::atomic<keeper>& each : keepers) {
    const keeper asked = each.load(std::memory_order_relaxed);
    if (asked != nullptr && asked(exception)) {
      return;
    }
  }
  try {
    const unraisable_hook hook = on_unraisable().get();
    if (exception == nullptr) {
      exception = std::make_exception_ptr(runtime_error("a foreign exception"));
    }
    const unraisable event{std::move(exception), std::move(message)};
    if (!hook) {
      write_to_stderr(event);
      return;
    }
    try {
      hook(event);
    } catch (...) {
      write_to_stderr({std::current_exception(), "Exception ignored in krait's unraisable hook"});
    }
  } catch (...) {
    std::fputs("krait: out of memory while reporting an exception that could not be raised\n", stderr);
  }
}

void report_ignored(std::exception_ptr exception, std::string_view action, std::string_view object) noexcept {
  std::string message;
  try {
    message.append("Exception ignored while ").append(action).append(" ").append(object);
  } catch (...) {  // out of memory: then without the message
  }
  report_unraisable(std::move(exception), std::move(message));
}

void warn_never_awaited(std::string_view what, std::string_view name, std::string_view object) noexcept {
  try {
    const std::string message = std::string(what) + " '" + std::string(name) + "' was never awaited";
    if (const warning_hook hook = on_warning().get()) {
      hook(message);
    } else {
      std::fputs(("RuntimeWarning: " + message + "\n").c_str(), stderr);
    }
  } catch (...) {
    report_ignored(std::current_exception(), "finalizing", object);
  }
}

}  // namespace detail
}  // namespace krait
