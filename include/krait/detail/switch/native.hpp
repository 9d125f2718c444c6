// SPDX-License-Identifier: BSL-1.0
#pragma once

// The native backend: a file for each machine says how to jump. x86-64 is the reference; the others comment
// on what differs.
//
//   jump<save_at, load_at>(save, load, target, word)
//       leaves, to be continued through the record at save + save_at, and continues the one at load + load_at
//       at `target`. Returns what the jump sent that comes back
//   jump_for_good(scratch, load, target, word)
//       the same, but there is no way back
//   frame_pointer_at
//       how far into a frame record this machine's frame pointer points

#include "krait/detail/switch/registers.hpp"

extern "C" [[noreturn]] void krait_native_start() noexcept;  // asm/; jumped to, never called
extern "C" void krait_native_end() noexcept;                 // asm/; neither

#if defined(__x86_64__)
#include "krait/detail/switch/native_x86_64.hpp"
#elif defined(__aarch64__)
#include "krait/detail/switch/native_aarch64.hpp"
#elif defined(__riscv)
#include "krait/detail/switch/native_riscv64.hpp"
#endif

namespace krait::detail {
inline namespace native {

/// Makes `start` such that the first jump to it calls `entry(caller)` on the stack that ends below `top`
/// (16-byte aligned). `caller` is the record that jump will save to.
inline void prepare(registers& start, registers& caller, void* top, std::size_t,
                    void (*entry)(registers&)) noexcept {
  start.frame_pointer = reinterpret_cast<std::byte*>(&caller) + frame_pointer_at;
  start.resume_at = reinterpret_cast<void*>(&krait_native_start);
  start.stack_pointer = top;
  start.base = reinterpret_cast<void*>(entry);
}

/// The record of who resumes a stack that nobody resumes: backtraces end there.
inline registers nobody() noexcept {
  registers none;
  none.resume_at = reinterpret_cast<void*>(&krait_native_end);
  return none;
}

}  // namespace native
}  // namespace krait::detail
