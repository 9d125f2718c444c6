// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <mutex>
#include <utility>

namespace krait::detail {

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

}  // namespace krait::detail
