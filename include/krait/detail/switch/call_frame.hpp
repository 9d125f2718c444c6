// SPDX-License-Identifier: BSL-1.0
#pragma once

// What the machines' switches say in the midst of their assembly to who walks the stack; where the compiler leaves call
// frame information to itself, nothing. It begins by .cfi_remember_state, which KRAIT_CALLED_BY_END undoes.
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
