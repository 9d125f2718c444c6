// SPDX-License-Identifier: BSL-1.0
#pragma once

namespace krait::detail {

/// Installs the handler that says whose stack overflowed, unless it is or KRAIT_OVERFLOW_HANDLER=off says no.
/// Not to be called by two threads at once.
void watch_for_overflows() noexcept;

/// The handler goes, and whoever remembers it is to remember what was there before. Called when the library
/// that it is in is unloaded.
void stop_watching_for_overflows() noexcept;

/// Gives the calling thread a stack for its signal handlers, which have none to run on when the thread's own
/// is full. Returns it; or null, if the thread has one from somebody else, or none can be had.
void* install_signal_stack() noexcept;

/// Takes back what install_signal_stack() returned to the same thread.
void remove_signal_stack(void* given) noexcept;

}  // namespace krait::detail
