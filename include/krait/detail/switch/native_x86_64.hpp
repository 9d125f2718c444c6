// SPDX-License-Identifier: BSL-1.0
#pragma once

// The native switch on x86-64 System V, inlined into its callers.
//
// There is no saving and restoring of the eleven registers an out-of-line switch would have to care for. The
// asm statement declares them clobbered, and the compiler spills the few that hold something live. What is
// left is to write down where and with which stack to continue here, and to jump to where the other side
// wrote the same:
//
//        save  ->  frame_pointer  resume_at  stack_pointer  base          load  ->  ...
//                    rbp            1f          rsp          rbx                     `-> rbp rbx rsp, jmp
//
// * Nothing is pushed, neither on the old stack nor on the new: no red zone to step over, nothing to align.
// * rbp cannot be declared clobbered (it may be the frame pointer). rbx may be the base pointer of a
//   realigned frame in LLVM, which then ignores the clobber without a word. So both are carried by hand.
// * mxcsr and the x87 control word, which the ABI calls callee-saved, are left alone: a rounding mode set
//   in a generator stays set in its resumer, as it does across a function call.
// * The landing is aligned, as it is never fallen into: where it happens to lie was seen to change an
//   item's time by a tenth and more.
// * A signal may arrive in its midst, and its handler walk the stack, while the registers are partly the
//   other side's. So from the first to the last of the loads, the call frame information says that this is a
//   frame which the other side has called. It costs nothing. A walker looks up whom it takes for a caller by
//   the byte before the address to continue at: that is a nop, never executed, which lies outside.
// * On arrival: rdi holds the word that was sent, rdx the address of the object that the other side loaded
//   from; rbp, rbx and rsp are as they were left; all else is undefined.

#include <cstddef>

#include "krait/detail/switch/call_frame.hpp"
#include "krait/detail/switch/registers.hpp"

// Clang knows these registers in any file; and a function may be compiled for AVX-512 in a file that is not.
// GCC knows them where the whole file is: there, such a function must not switch; nor must a file that is not
// be inlined, by LTO, into one that is.
#if defined(__AVX512F__) || defined(__clang__)
#define KRAIT_CLOBBERS_AVX512                                                                          \
  , "xmm16", "xmm17", "xmm18", "xmm19", "xmm20", "xmm21", "xmm22", "xmm23", "xmm24", "xmm25", "xmm26", \
      "xmm27", "xmm28", "xmm29", "xmm30", "xmm31", "k0", "k1", "k2", "k3", "k4", "k5", "k6", "k7"
#else
#define KRAIT_CLOBBERS_AVX512
#endif

// Sixteen more general registers; known to Clang since 19 in any file, as above.
#if defined(__APX_F__) || (defined(__clang__) && __clang_major__ >= 19)
#define KRAIT_CLOBBERS_APX                                                                                   \
  , "r16", "r17", "r18", "r19", "r20", "r21", "r22", "r23", "r24", "r25", "r26", "r27", "r28", "r29", "r30", \
      "r31"
#else
#define KRAIT_CLOBBERS_APX
#endif

// Clang keeps values in tiles; with GCC they are the program's to care for, as across any call. How they are
// configured cannot be declared clobbered: a value in a tile does not survive a switch to somebody who uses
// tiles. But it faults then, instead of being another.
#if defined(__clang__)
#define KRAIT_CLOBBERS_AMX , "tmm0", "tmm1", "tmm2", "tmm3", "tmm4", "tmm5", "tmm6", "tmm7"
#else
#define KRAIT_CLOBBERS_AMX
#endif

// With -fcf-protection every target of an indirect jump must be marked. A no-op without the hardware.
#if defined(__CET__) && (__CET__ & 1)
#define KRAIT_LANDING_PAD "endbr64\n\t"
#else
#define KRAIT_LANDING_PAD ""
#endif

// "Called by `target` (rcx), with the registers in the record at rdx + at": DW_CFA_def_cfa_expression
// { DW_OP_breg1 at + 16; DW_OP_deref }; DW_CFA_expression { DW_OP_breg1 at + 0 } for rbp (6), at + 24 for
// rbx (3).
#define KRAIT_CALLED_BY(at)               \
  KRAIT_CALL_FRAME_INFORMATION(           \
      ".cfi_remember_state\n\t"           \
      ".cfi_escape 0x0f, 3, 0x71, " at    \
      " + 16, 0x06\n\t"                   \
      ".cfi_escape 0x10, 6, 2, 0x71, " at \
      " + 0\n\t"                          \
      ".cfi_escape 0x10, 3, 2, 0x71, " at \
      " + 24\n\t"                         \
      ".cfi_register 16, 2\n\t")

namespace krait::detail {
inline namespace native {

inline constexpr std::size_t frame_pointer_at = 0;

/// Leaves here, to be continued through the record at `save + save_at`, and continues the one at `load +
/// load_at` at `target`. Returns what the jump sent that comes back.
///
/// Mostly both records are in one object, at constant offsets. Then the compiler has one address to keep, and one
/// register does for both; where they are not, `save` is in any that is left. All is saved before anything is loaded,
/// so that may be rbp or rbx.
template <std::size_t save_at, std::size_t load_at>
[[gnu::always_inline]] inline arrival jump(void* save, void* load, void* target, void* word) noexcept {
  static_assert(load_at + 24 < 64, "one byte of a LEB128 number");
  [[maybe_unused]] void* undefined;  // rsi, which may hold `save` before
  KRAIT_HAS_CALL_FRAME_INFORMATION();
  asm volatile(
      "leaq 1f(%%rip), %%rax\n\t"
      "movq %%rbp, %c[save]+0(%[from])\n\t"
      "movq %%rax, %c[save]+8(%[from])\n\t"
      "movq %%rsp, %c[save]+16(%[from])\n\t"
      "movq %%rbx, %c[save]+24(%[from])\n\t"
      KRAIT_CALLED_BY("%c[load]")
      "movq %c[load]+0(%%rdx), %%rbp\n\t"
      "movq %c[load]+24(%%rdx), %%rbx\n\t"
      "movq %c[load]+16(%%rdx), %%rsp\n\t"
      "jmp *%%rcx\n\t"
      KRAIT_CALLED_BY_END
      "nop\n\t"
      ".p2align 4\n"
      "1:\n\t" KRAIT_LANDING_PAD
      : "+D"(word), "+d"(load), "+c"(target), "=S"(undefined)
      : [from] "r"(save), [save] "i"(save_at), [load] "i"(load_at)
      : "rax", "r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15", "memory", "cc", "xmm0", "xmm1", "xmm2",
        "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", "xmm9", "xmm10", "xmm11", "xmm12", "xmm13", "xmm14",
        "xmm15", "mm0", "mm1", "mm2", "mm3", "mm4", "mm5", "mm6", "mm7", "st", "st(1)", "st(2)", "st(3)",
        "st(4)", "st(5)", "st(6)", "st(7)" KRAIT_CLOBBERS_AVX512 KRAIT_CLOBBERS_APX KRAIT_CLOBBERS_AMX);
  return {word, load};
}

/// Continues `load` at `target` for good: there is no way back. (What the other backend needs a record for.)
[[noreturn, gnu::always_inline]] inline void jump_for_good(registers&, registers& load, void* target,
                                                           void* word) noexcept {
  KRAIT_HAS_CALL_FRAME_INFORMATION();
  asm volatile(
      KRAIT_CALLED_BY("0")
      "movq 0(%%rdx), %%rbp\n\t"
      "movq 24(%%rdx), %%rbx\n\t"
      "movq 16(%%rdx), %%rsp\n\t"
      "jmp *%%rcx\n\t"
      KRAIT_CALLED_BY_END
      :
      : "D"(word), "d"(&load), "c"(target)
      : "memory");
  __builtin_unreachable();
}

}  // namespace native
}  // namespace krait::detail

#undef KRAIT_CALLED_BY
#undef KRAIT_CLOBBERS_AMX
#undef KRAIT_CLOBBERS_APX
#undef KRAIT_CLOBBERS_AVX512
#undef KRAIT_LANDING_PAD
