// SPDX-License-Identifier: BSL-1.0
#pragma once

namespace krait::detail {

/// Installs the handler that says whose stack overflowed, unless that has been done or
/// KRAIT_OVERFLOW_HANDLER=off says no. Not to be called by two threads at once.
void watch_for_overflows() noexcept;

/// A stack for a thread's signal handlers, which have none to run on when the thread's own is full.
class signal_stack {
 public:
  /// For the calling thread, unless it has one.
  void install() noexcept;

  /// Called by the same thread.
  void remove() noexcept;

 private:
  void* memory_ = nullptr;
};

}  // namespace krait::detail
