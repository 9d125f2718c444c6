// SPDX-License-Identifier: BSL-1.0
#pragma once

// What valgrind must be told about stacks. Nothing happens outside valgrind, or where its headers were not
// installed when krait was built.

#include "krait/stack.hpp"

#if __has_include(<valgrind/memcheck.h>)
#include <valgrind/memcheck.h>
#else
#define RUNNING_ON_VALGRIND 0
#define VALGRIND_STACK_REGISTER(start, end) (static_cast<void>(start), static_cast<void>(end), 0u)
#define VALGRIND_STACK_DEREGISTER(id) static_cast<void>(id)
#define VALGRIND_MAKE_MEM_UNDEFINED(start, size) (static_cast<void>(start), static_cast<void>(size))
#define VALGRIND_GET_VBITS(start, bits, size) \
  (static_cast<void>(start), static_cast<void>(bits), static_cast<void>(size), 0)
#define VALGRIND_DISABLE_ERROR_REPORTING
#define VALGRIND_ENABLE_ERROR_REPORTING
#endif

namespace krait::valgrind {

using stack_id = unsigned;

inline bool running() noexcept {
  static const bool answer = RUNNING_ON_VALGRIND != 0;
  return answer;
}

/// Is it the tool that knows which memory is defined?
inline bool checks_memory() noexcept {
  static const bool answer = [] {
    [[maybe_unused]] char probe = 0;
    [[maybe_unused]] char bits = 0;
    return running() && VALGRIND_GET_VBITS(&probe, &bits, sizeof probe) == 1;
  }();
  return answer;
}

/// This memory is a stack from now on, so that a jump into it is no huge push or pop.
inline stack_id know_stack([[maybe_unused]] const stack& memory) noexcept {
  return running() ? VALGRIND_STACK_REGISTER(memory.limit, memory.top()) : 0;
}

inline void forget_stack([[maybe_unused]] stack_id id) noexcept {
  if (running()) {
    VALGRIND_STACK_DEREGISTER(id);
  }
}

/// A stack is used again: what its former user popped is no longer out of bounds.
inline void reuse_stack([[maybe_unused]] const stack& memory) noexcept {
  if (checks_memory()) {
    VALGRIND_MAKE_MEM_UNDEFINED(memory.limit, memory.size);
  }
}

/// While alive, valgrind says nothing of what it sees on this thread.
struct silence {
  silence() noexcept { VALGRIND_DISABLE_ERROR_REPORTING; }
  ~silence() { VALGRIND_ENABLE_ERROR_REPORTING; }
  silence(const silence&) = delete;
  silence& operator=(const silence&) = delete;
};

}  // namespace krait::valgrind
