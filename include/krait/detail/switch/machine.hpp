// SPDX-License-Identifier: BSL-1.0
#pragma once

// The two questions that both backends have to ask the machine in assembly, because a compiler would answer
// them from memory although the stack, or the thread, has changed since.

#include <cstddef>

#include "krait/detail/config.hpp"

#if defined(__has_feature)
#if __has_feature(safe_stack) || __has_feature(shadow_call_stack)
#error \
    "krait cannot be compiled with safe-stack or shadow-call-stack: their second stack belongs to the thread and would not be switched"
#endif
#endif

namespace krait::detail {

/// The stack pointer of the caller, good enough to tell which stack it runs on.
[[gnu::always_inline]] inline const void* current_stack_pointer() noexcept {
#if defined(__x86_64__)
  const void* sp;
  asm volatile("movq %%rsp, %0" : "=r"(sp));
  return sp;
#elif defined(__aarch64__)
  const void* sp;
  asm volatile("mov %0, sp" : "=r"(sp));
  return sp;
#elif defined(__riscv)
  const void* sp;
  asm volatile("mv %0, sp" : "=r"(sp));
  return sp;
#else
  return __builtin_frame_address(0);
#endif
}

/// How far above the stack pointer of the caller `place` lies.
[[gnu::always_inline]] inline std::size_t above_stack_pointer(const void* place) noexcept {
  auto distance = reinterpret_cast<std::size_t>(place);
#if defined(__x86_64__) && defined(__LP64__)
  asm volatile("subq %%rsp, %0" : "+r"(distance) : : "cc");  // not by way of another register
#else
  distance -= reinterpret_cast<std::size_t>(current_stack_pointer());
#endif
  return distance;
}

#if defined(KRAIT_HAS_ASSEMBLY)
/// Calls what does not return, by a jump: a call would leave an entry in the processor's stack of return addresses that
/// no return ever takes, so that each function that is still to return would be mispredicted.
template <class Argument>
[[noreturn, gnu::always_inline]] inline void call_for_good(void (*function)(Argument&) noexcept,
                                                           Argument& argument) {
#if defined(__x86_64__)
  asm volatile(
      "leaq 1f(%%rip), %%rax\n\t"
      "jmp krait_call_for_good\n\t"
      "nop\n"
      "1:"
      :
      : "D"(&argument), "S"(function)
      : "memory");
#elif defined(__aarch64__)
  register void* x0 asm("x0") = &argument;
  register void (*x16)(Argument&) noexcept asm("x16") = function;
  asm volatile(
      "adr x30, 1f\n\t"
      "br x16\n\t"
      "nop\n"
      "1:"
      :
      : "r"(x0), "r"(x16)
      : "memory");
#else
  register void* a0 asm("a0") = &argument;
  asm volatile(
      "lla ra, 1f\n\t"
      "jr %0\n\t"
      "nop\n"
      "1:"
      :
      : "r"(function), "r"(a0)
      : "memory");
#endif
  __builtin_unreachable();
}
#endif

struct exception_state;

/// Where the calling thread's exception state is (src/switch/exception_state.cpp). Slow. Hidden, as is the
/// variable that it sets: where several modules of a process have krait in them, each has a pair of its own.
[[gnu::visibility("hidden")]] exception_state* find_exception_state() noexcept;

/// The same, from the thread-local variable krait_exception_state; until that has been set, or where it
/// cannot be kept, something that seems to be active.
[[gnu::always_inline]] inline exception_state* current_exception_state() noexcept {
#if defined(__x86_64__) && defined(__LP64__) && defined(__ELF__)
  exception_state* state;
#if defined(__PIC__) && !defined(__PIE__)  // may become part of a shared object
  asm volatile(
      "movq krait_exception_state@gottpoff(%%rip), %0\n\t"
      "movq %%fs:(%0), %0"
      : "=r"(state));
#else
  asm volatile("movq %%fs:krait_exception_state@tpoff, %0" : "=r"(state));
#endif
  return state;
#elif defined(__aarch64__) && defined(__LP64__) && defined(__ELF__)
  exception_state* state;
  void* thread;
  asm volatile(
      "mrs %1, tpidr_el0\n\t"
      "adrp %0, :gottprel:krait_exception_state\n\t"
      "ldr %0, [%0, #:gottprel_lo12:krait_exception_state]\n\t"
      "ldr %0, [%1, %0]"
      : "=&r"(state), "=&r"(thread));
  return state;
#elif defined(__riscv) && defined(__LP64__) && defined(__ELF__)
  exception_state* state;
  asm volatile(
      "la.tls.ie %0, krait_exception_state\n\t"
      "add %0, %0, tp\n\t"
      "ld %0, 0(%0)"
      : "=r"(state));
  return state;
#else
  return find_exception_state();
#endif
}

}  // namespace krait::detail
