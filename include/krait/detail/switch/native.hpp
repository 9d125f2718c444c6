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

// What machines' files say in the midst of their assembly to who walks the stack; where the compiler leaves call frame
// information to itself, nothing. It begins by .cfi_remember_state, which KRAIT_CALLED_BY_END undoes.
#if defined(__GCC_HAVE_DWARF2_CFI_ASM)
#define KRAIT_CALL_FRAME_INFORMATION(text) text
#else
#define KRAIT_CALL_FRAME_INFORMATION(text) ""
#endif
#define KRAIT_CALLED_BY_END KRAIT_CALL_FRAME_INFORMATION(".cfi_restore_state\n\t")

// Clang gives call frame information to those functions alone that an exception may leave or land in, if it
// is told -fno-asynchronous-unwind-tables; others must not contain any, and no macro tells. So each function
// that jumps calls one that is not noexcept, for whose exceptions the compiler's front end makes a landing.
// Nothing is left of both but that the function has call frame information.
#if defined(__clang__)
#define KRAIT_HAS_CALL_FRAME_INFORMATION() []() __attribute__((always_inline)) {}()
#else
#define KRAIT_HAS_CALL_FRAME_INFORMATION() static_cast<void>(0)
#endif

#if defined(__x86_64__)
#include "krait/detail/switch/native_x86_64.hpp"
#elif defined(__aarch64__)
#include "krait/detail/switch/native_aarch64.hpp"
#elif defined(__riscv)
#include "krait/detail/switch/native_riscv64.hpp"
#endif

#undef KRAIT_CALL_FRAME_INFORMATION
#undef KRAIT_CALLED_BY_END
#undef KRAIT_HAS_CALL_FRAME_INFORMATION

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

}  // namespace native
}  // namespace krait::detail
