// SPDX-License-Identifier: BSL-1.0
#pragma once

// The native switch on AArch64 (AAPCS64). What differs from native_x86_64.hpp:
//
// * x29 is the frame pointer, and x19 is what LLVM addresses realigned frames by: these two are carried by
//   hand.
// * The ABI lets a callee clobber only the upper halves of v8 to v15; here they are clobbered whole, as all
//   vector registers are. fpcr is left alone, as mxcsr is.
// * Return addresses may be signed (pac-ret). Those that are lie in frames of their own stack, and are checked
//   there. What a record holds is no return address: unsigned, and never returned to.
// * The byte before a landing is a nop's here, too. Who walks the stack amid the loads must not take the address that is
//   jumped to for a signed one, where the function at hand signs its own. It does if that is kept in its frame, as the
//   jumps see to. (That it is not signed could be said in so many words; libgcc understands them since GCC 13.)
// * On arrival: x0 holds the word that was sent, x2 the address of the object that the other side loaded from.

#include <cstddef>

#include "krait/detail/switch/call_frame.hpp"
#include "krait/detail/switch/registers.hpp"

#if defined(__ARM_FEATURE_SVE)
#define KRAIT_CLOBBERS_SVE \
  , "p0", "p1", "p2", "p3", "p4", "p5", "p6", "p7", "p8", "p9", "p10", "p11", "p12", "p13", "p14", "p15"
#else
#define KRAIT_CLOBBERS_SVE
#endif

// With -mbranch-protection=bti every target of an indirect jump must be marked: `bti j`. A no-op without the
// hardware.
#if defined(__ARM_FEATURE_BTI_DEFAULT)
#define KRAIT_LANDING_PAD "hint #36\n\t"
#else
#define KRAIT_LANDING_PAD ""
#endif

// Does a function that keeps its return address in its frame sign it?
#if defined(__ARM_FEATURE_PAC_DEFAULT)
#define KRAIT_UNSIGNED ".cfi_negate_ra_state\n\t"
#define KRAIT_CLOBBERS_SIGNED , "x30"
#else
#define KRAIT_UNSIGNED ""
#define KRAIT_CLOBBERS_SIGNED
#endif

// "Called by `target` (x3), with the registers in the record at x2 + at": DW_CFA_def_cfa_expression { DW_OP_breg2 at +
// 16; DW_OP_deref }; DW_CFA_expression { DW_OP_breg2 at + 0 } for x29, at + 24 for x19.
#define KRAIT_CALLED_BY(at)                \
  KRAIT_CALL_FRAME_INFORMATION(            \
      ".cfi_remember_state\n\t"            \
      ".cfi_escape 0x0f, 3, 0x72, " at     \
      " + 16, 0x06\n\t"                    \
      ".cfi_escape 0x10, 29, 2, 0x72, " at \
      " + 0\n\t"                           \
      ".cfi_escape 0x10, 19, 2, 0x72, " at \
      " + 24\n\t"                          \
      ".cfi_register 30, 3\n\t" KRAIT_UNSIGNED)

namespace krait::detail {
inline namespace native {

inline constexpr std::size_t frame_pointer_at = 0;

template <std::size_t save_at, std::size_t load_at>
[[gnu::always_inline]] inline arrival jump(void* save, void* load, void* target, void* word) noexcept {
  static_assert(load_at + 24 < 64, "one byte of a LEB128 number");
  KRAIT_HAS_CALL_FRAME_INFORMATION();
  register void* x0 asm("x0") = word;
  register void* x1 asm("x1");  // undefined afterwards, and may hold `save` before
  register void* x2 asm("x2") = load;
  register void* x3 asm("x3") = target;
  asm volatile(
      "adr x16, 1f\n\t"
      "mov x17, sp\n\t"
      "stp x29, x16, [%[from], %[save]]\n\t"
      "stp x17, x19, [%[from], %[save] + 16]\n\t"
      KRAIT_CALLED_BY("%c[load]")
      "ldp x17, x19, [x2, %[load] + 16]\n\t"
      "ldr x29, [x2, %[load]]\n\t"
      "mov sp, x17\n\t"
      "br x3\n\t"
      KRAIT_CALLED_BY_END
      "nop\n\t"
      ".p2align 4\n"
      "1:\n\t" KRAIT_LANDING_PAD
      : "+r"(x0), "=r"(x1), "+r"(x2), "+r"(x3)
      : [from] "r"(save), [save] "i"(save_at), [load] "i"(load_at)
      : "x4", "x5", "x6", "x7", "x8", "x9", "x10", "x11", "x12", "x13", "x14", "x15", "x16", "x17", "x18",
        "x20", "x21", "x22", "x23", "x24", "x25", "x26", "x27", "x28", "x30", "memory", "cc", "v0", "v1",
        "v2", "v3", "v4", "v5", "v6", "v7", "v8", "v9", "v10", "v11", "v12", "v13", "v14", "v15", "v16",
        "v17", "v18", "v19", "v20", "v21", "v22", "v23", "v24", "v25", "v26", "v27", "v28", "v29", "v30",
        "v31" KRAIT_CLOBBERS_SVE);
  return {x0, x2};
}

[[noreturn, gnu::always_inline]] inline void jump_for_good(registers&, registers& load, void* target,
                                                           void* word) noexcept {
  KRAIT_HAS_CALL_FRAME_INFORMATION();
  register void* x0 asm("x0") = word;
  register void* x2 asm("x2") = &load;
  register void* x3 asm("x3") = target;
  asm volatile(
      KRAIT_CALLED_BY("0")
      "ldp x17, x19, [x2, #16]\n\t"
      "ldr x29, [x2]\n\t"
      "mov sp, x17\n\t"
      "br x3\n\t"
      KRAIT_CALLED_BY_END
      :
      : "r"(x0), "r"(x2), "r"(x3)
      : "memory" KRAIT_CLOBBERS_SIGNED);
  __builtin_unreachable();
}

}  // namespace native
}  // namespace krait::detail

#undef KRAIT_CALLED_BY
#undef KRAIT_CLOBBERS_SIGNED
#undef KRAIT_CLOBBERS_SVE
#undef KRAIT_LANDING_PAD
#undef KRAIT_UNSIGNED
