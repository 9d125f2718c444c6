// SPDX-License-Identifier: BSL-1.0
#pragma once

// Which event loop runs on this thread. A generator may be on another thread after each `yield`, so it is asked in
// assembly, as in machine.hpp. Each backend has its own answer: the loop of the one cannot resume tasks of the other.

#include "krait/detail/config.hpp"

#if defined(KRAIT_NATIVE)
#define KRAIT_RUNNING_LOOP "krait_running_loop_native"
#else
#define KRAIT_RUNNING_LOOP "krait_running_loop_fcontext"
#endif

namespace krait::detail {

/// Where this thread's answer stands (src/switch/running_loop.cpp).
void*& running_loop_native() noexcept;
void*& running_loop_fcontext() noexcept;

inline namespace KRAIT_BACKEND {

/// Null: none runs.
KRAIT_ALWAYS_INLINE inline void* running_loop() noexcept {
  void* loop;
#if defined(__x86_64__) && defined(__LP64__) && defined(__ELF__)
  asm volatile("movq " KRAIT_RUNNING_LOOP
               "@gottpoff(%%rip), %0\n\t"
               "movq %%fs:(%0), %0"
               : "=r"(loop));
#elif defined(__aarch64__) && defined(__LP64__) && defined(__ELF__)
  void* thread;
  asm volatile(
      "mrs %1, tpidr_el0\n\t"
      "adrp %0, :gottprel:" KRAIT_RUNNING_LOOP
      "\n\t"
      "ldr %0, [%0, #:gottprel_lo12:" KRAIT_RUNNING_LOOP
      "]\n\t"
      "ldr %0, [%1, %0]"
      : "=&r"(loop), "=&r"(thread));
#elif defined(__riscv) && defined(__LP64__) && defined(__ELF__)
  asm volatile("la.tls.ie %0, " KRAIT_RUNNING_LOOP
               "\n\t"
               "add %0, %0, tp\n\t"
               "ld %0, 0(%0)"
               : "=r"(loop));
#elif defined(KRAIT_NATIVE)
  loop = running_loop_native();
#else
  loop = running_loop_fcontext();
#endif
  return loop;
}

/// Returns the one before.
inline void* set_running_loop(void* loop) noexcept {
#if defined(KRAIT_NATIVE)
  void*& place = running_loop_native();
#else
  void*& place = running_loop_fcontext();
#endif
  void* const before = place;
  place = loop;
  return before;
}

}  // namespace KRAIT_BACKEND
}  // namespace krait::detail

#undef KRAIT_RUNNING_LOOP
