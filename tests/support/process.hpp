// SPDX-License-Identifier: BSL-1.0
#pragma once

// What tests ask of their process, with or without krait in it: memory, handlers of signals, stacks for them.

#include <signal.h>
#include <sys/uio.h>
#include <unistd.h>

#include <cstddef>
#include <cstring>

namespace process {

/// Can the byte be read? The kernel is asked, so there is no fault.
inline bool readable(const void* place) {
  char copy;
  const iovec to{&copy, 1};
  const iovec from{const_cast<void*>(place), 1};
  return ::process_vm_readv(::getpid(), &to, 1, &from, 1, 0) == 1;
}

/// Writes to stderr, also from a handler.
inline void say(const char* text) {
  static_cast<void>(!::write(STDERR_FILENO, text, std::strlen(text)));
}

/// Has SIGSEGV handled.
inline void on_fault(void (*handler)(int), int flags = 0) {
  struct sigaction action = {};
  action.sa_flags = flags;
  action.sa_handler = handler;
  ::sigaction(SIGSEGV, &action, nullptr);
}
inline void on_fault(void (*handler)(int, siginfo_t*, void*), int flags = 0) {
  struct sigaction action = {};
  action.sa_flags = flags | SA_SIGINFO;
  action.sa_sigaction = handler;
  ::sigaction(SIGSEGV, &action, nullptr);
}

/// This thread's stack for signals.
inline stack_t signal_stack() {
  stack_t current = {};
  ::sigaltstack(nullptr, &current);
  return current;
}
/// Gives this thread a stack for its signals.
inline void set_signal_stack(void* memory, std::size_t size) {
  const stack_t given{memory, 0, size};
  ::sigaltstack(&given, nullptr);
}

inline bool within(const void* place, const void* start, std::size_t size) {
  const auto* const byte = static_cast<const std::byte*>(place);
  const auto* const first = static_cast<const std::byte*>(start);
  return byte >= first && byte < first + size;
}

}  // namespace process
