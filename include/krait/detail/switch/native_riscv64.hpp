// SPDX-License-Identifier: BSL-1.0
#pragma once

// The native switch on RISC-V 64 (LP64D). What differs from native_x86_64.hpp:
//
// * The frame pointer, s0, points behind its record, not to it. s1 is what LLVM addresses realigned frames by.
//   These two are carried by hand.
// * fcsr is left alone, as mxcsr is.
// * The byte before a landing is a nop's here, too.
// * On arrival: a0 holds the word that was sent, a2 the address of the object that the other side loaded from.

#include <cstddef>

#include "krait/detail/switch/call_frame.hpp"
#include "krait/detail/switch/registers.hpp"

#if defined(__riscv_flen)
#define KRAIT_CLOBBERS_FLOAT                                                                            \
  , "ft0", "ft1", "ft2", "ft3", "ft4", "ft5", "ft6", "ft7", "ft8", "ft9", "ft10", "ft11", "fa0", "fa1", \
      "fa2", "fa3", "fa4", "fa5", "fa6", "fa7", "fs0", "fs1", "fs2", "fs3", "fs4", "fs5", "fs6", "fs7", \
      "fs8", "fs9", "fs10", "fs11"
#else
#define KRAIT_CLOBBERS_FLOAT
#endif

#if defined(__riscv_vector)
#define KRAIT_CLOBBERS_VECTOR                                                                             \
  , "v0", "v1", "v2", "v3", "v4", "v5", "v6", "v7", "v8", "v9", "v10", "v11", "v12", "v13", "v14", "v15", \
      "v16", "v17", "v18", "v19", "v20", "v21", "v22", "v23", "v24", "v25", "v26", "v27", "v28", "v29",   \
      "v30", "v31", "vl", "vtype"
#else
#define KRAIT_CLOBBERS_VECTOR
#endif

// "Called by `target` (a3), with the registers in the record at a2 + at": DW_CFA_def_cfa_expression { DW_OP_breg12 at +
// 16; DW_OP_deref }; DW_CFA_expression { DW_OP_breg12 at + 0 } for s0 (8), at + 24 for s1 (9).
#define KRAIT_CALLED_BY(at)               \
  KRAIT_CALL_FRAME_INFORMATION(           \
      ".cfi_remember_state\n\t"           \
      ".cfi_escape 0x0f, 3, 0x7c, " at    \
      " + 16, 0x06\n\t"                   \
      ".cfi_escape 0x10, 8, 2, 0x7c, " at \
      " + 0\n\t"                          \
      ".cfi_escape 0x10, 9, 2, 0x7c, " at \
      " + 24\n\t"                         \
      ".cfi_register 1, 13\n\t")

namespace krait::detail {
inline namespace native {

inline constexpr std::size_t frame_pointer_at = 16;

template <std::size_t save_at, std::size_t load_at>
[[gnu::always_inline]] inline arrival jump(void* save, void* load, void* target, void* word) noexcept {
  static_assert(load_at + 24 < 64, "one byte of a LEB128 number");
  KRAIT_HAS_CALL_FRAME_INFORMATION();
  register void* a0 asm("a0") = word;
  register void* a1 asm("a1");  // undefined afterwards, and may hold `save` before
  register void* a2 asm("a2") = load;
  register void* a3 asm("a3") = target;
  asm volatile(
      "lla t0, 1f\n\t"
      "sd s0, %[save]+0(%[from])\n\t"
      "sd t0, %[save]+8(%[from])\n\t"
      "sd sp, %[save]+16(%[from])\n\t"
      "sd s1, %[save]+24(%[from])\n\t"
      KRAIT_CALLED_BY("%c[load]")
      "ld s0, %[load]+0(a2)\n\t"
      "ld s1, %[load]+24(a2)\n\t"
      "ld sp, %[load]+16(a2)\n\t"
      "jr a3\n\t"
      KRAIT_CALLED_BY_END
      "nop\n"
      "1:"
      : "+r"(a0), "=r"(a1), "+r"(a2), "+r"(a3)
      : [from] "r"(save), [save] "i"(save_at), [load] "i"(load_at)
      : "ra", "t0", "t1", "t2", "t3", "t4", "t5", "t6", "a4", "a5", "a6", "a7", "s2", "s3", "s4", "s5", "s6",
        "s7", "s8", "s9", "s10", "s11", "memory" KRAIT_CLOBBERS_FLOAT KRAIT_CLOBBERS_VECTOR);
  return {a0, a2};
}

[[noreturn, gnu::always_inline]] inline void jump_for_good(registers&, registers& load, void* target,
                                                           void* word) noexcept {
  KRAIT_HAS_CALL_FRAME_INFORMATION();
  register void* a0 asm("a0") = word;
  register void* a2 asm("a2") = &load;
  register void* a3 asm("a3") = target;
  asm volatile(
      KRAIT_CALLED_BY("0")
      "ld s0, 0(a2)\n\t"
      "ld s1, 24(a2)\n\t"
      "ld sp, 16(a2)\n\t"
      "jr a3\n\t"
      KRAIT_CALLED_BY_END
      :
      : "r"(a0), "r"(a2), "r"(a3)
      : "memory");
  __builtin_unreachable();
}

}  // namespace native
}  // namespace krait::detail

#undef KRAIT_CALLED_BY
#undef KRAIT_CLOBBERS_FLOAT
#undef KRAIT_CLOBBERS_VECTOR
