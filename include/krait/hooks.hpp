// SPDX-License-Identifier: BSL-1.0
#pragma once

// Where krait goes with what cannot be raised, and with what is worth a warning: functions that a program
// sets.

#include <exception>
#include <functional>
#include <string>
#include <string_view>

namespace krait {

/// An exception that had nowhere to go: raised while a destructor was closing a generator.
struct unraisable {
  std::exception_ptr exception;
  std::string message;  ///< "Exception ignored while closing generator <generator object NAME at 0x...>"
};

using unraisable_hook = std::function<void(const unraisable&)>;

/// Sets what is called with exceptions that a destructor cannot raise, and returns the hook that was
/// set before (empty: the default). An empty hook restores the default, which writes the message and
/// the exception to stderr. An exception out of the hook is reported to stderr and goes no further. Any
/// thread may call it; the hook runs on the thread that destroys the generator. Python:
/// sys.unraisablehook.
unraisable_hook set_unraisable_hook(unraisable_hook hook);

using warning_hook = std::function<void(const std::string& message)>;

/// Sets what is called with warnings ("coroutine 'NAME' was never awaited"), and returns the hook that
/// was set before (empty: the default). An empty hook restores the default, which writes
/// `RuntimeWarning: ` and the message to stderr. An exception out of the hook, a warning made an error,
/// goes to the unraisable hook, as it is a destructor that warns. Any thread may call it; the hook runs
/// on the thread that warns. Python: warnings.showwarning.
warning_hook set_warning_hook(warning_hook hook);

namespace detail {

/// Reports `exception` to the unraisable hook; for null, which is another language's, a runtime_error that
/// says so. Never throws.
void report_unraisable(std::exception_ptr exception, std::string message) noexcept;

/// An event loop's, asked before the hook: does it keep the exception, to raise it later?
using keeper = bool (*)(const std::exception_ptr& exception) noexcept;
/// Each backend has a loop of its own. Any thread may call it.
enum class keeper_of { native, fcontext };
void set_keeper(keeper_of which, keeper asked) noexcept;

/// The same: "Exception ignored while ACTION OBJECT".
void report_ignored(std::exception_ptr exception, std::string_view action, std::string_view object) noexcept;

/// Warns that WHAT 'NAME' was never awaited; what the hook throws is reported as ignored while finalizing `object`.
void warn_never_awaited(std::string_view what, std::string_view name, std::string_view object) noexcept;

}  // namespace detail
}  // namespace krait
