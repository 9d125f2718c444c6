# SPDX-License-Identifier: BSL-1.0
#
# The native backend on AArch64 (AAPCS64): where a new stack begins. asm/x86_64_sysv.S is the reference and has the
# essay; this file says what differs.
#
# krait::detail::prepare() fills the record that the first jump loads:
#
#      frame_pointer  ->  x29 = the record in which the jump saves its origin ("caller")
#      base           ->  x19 = the C++ function to run
#      stack_pointer  ->  sp  = top of the new stack, 16-byte aligned
#
#      high addresses
#      +----------------------------+
#      | the generator's frame      |      caller:  +0  frame pointer of the resumer  <-- x29
#      |   caller, own, result,     |               +8  address to return to
#      |   body, ...                |               +16 stack pointer of the resumer
#      +----------------------------+ <- sp         +24 x19 of the resumer
#      | frames of the body         |
#      |            v               |      x30 = the trap below: nothing is pushed
#
# x29 points to a frame record as AAPCS64 defines it, so frame-pointer walkers go on in the resumer.

        .text
        .globl  krait_native_start
        .hidden krait_native_start
        .type   krait_native_start, %function
        .p2align 4
        .cfi_startproc
        .cfi_signal_frame
        // CFA = *(x29 + 16)
        .cfi_escape 0x0f, 0x03, 0x8d, 0x10, 0x06
        // x29, x30 and x19 are saved at x29 + 0, + 8 and + 24
        .cfi_escape 0x10, 0x1d, 0x02, 0x8d, 0x00
        .cfi_escape 0x10, 0x1e, 0x02, 0x8d, 0x08
        .cfi_escape 0x10, 0x13, 0x02, 0x8d, 0x18
        nop                             // for who walks the stack amid the first jump, as on x86-64
krait_native_start:
        hint    #36                     // bti j: reached by an indirect jump
        mov     x0, x29                 // entry(caller)
        mov     x16, x19                // a function's landing pad takes jumps through x16 for calls
        adr     x30, 1f
        br      x16
1:      brk     #1                      // entry does not return
        .cfi_endproc
        .size   krait_native_start, . - krait_native_start

        // Never executed. A stack that nobody resumes looks as if this function had resumed it, which nobody has called:
        // there, backtraces end.
        .globl  krait_native_end
        .hidden krait_native_end
        .type   krait_native_end, %function
        .p2align 4
krait_native_end:
        .cfi_startproc
        .cfi_undefined 30
        brk     #1
        .cfi_endproc
        .size   krait_native_end, . - krait_native_end

        .globl  krait_way_out
        .hidden krait_way_out
        .type   krait_way_out, %function
        .p2align 4
krait_way_out:
        .cfi_startproc
        hint    #34                     // bti c
        mov     x1, sp
        mov     x2, x29
        mov     x3, x30
        b       krait_way_out_at
        .cfi_endproc
        .size   krait_way_out, . - krait_way_out

        .section .note.GNU-stack, "", %progbits

        // This file honours branch target identification.
        .section .note.gnu.property, "a", %note
        .p2align 3
        .long   4, 16, 5                // name size, descriptor size, NT_GNU_PROPERTY_TYPE_0
        .asciz  "GNU"
        .long   0xc0000000, 4, 1        // GNU_PROPERTY_AARCH64_FEATURE_1_AND: BTI
        .long   0
