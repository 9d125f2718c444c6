// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <functional>
#include <string>

namespace krait {

using warning_hook = std::function<void(const std::string& message)>;

/// Sets what is called with warnings ("coroutine 'NAME' was never awaited"), and returns the hook that
/// was set before (empty: the default). An empty hook restores the default, which writes
/// `RuntimeWarning: ` and the message to stderr. An exception out of the hook, a warning made an error,
/// goes to the unraisable hook, as it is a destructor that warns. Any thread may call it; the hook runs
/// on the thread that warns. Python: warnings.showwarning.
warning_hook set_warning_hook(warning_hook hook);

namespace detail {

/// Calls the warning hook. Throws what that throws, and std::bad_alloc.
void warn(const std::string& message);

}  // namespace detail
}  // namespace krait
