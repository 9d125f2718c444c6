# SPDX-License-Identifier: BSL-1.0
#
# The native backend on RISC-V 64 (LP64D): where a new stack begins. asm/x86_64_sysv.S is the reference and has the
# essay; this file says what differs.
#
# krait::detail::prepare() fills the record that the first jump loads:
#
#      frame_pointer  ->  s0 = 16 bytes into the record in which the jump saves its origin ("caller")
#      base           ->  s1 = the C++ function to run
#      stack_pointer  ->  sp = top of the new stack, 16-byte aligned
#
#      high addresses
#      +----------------------------+
#      | the generator's frame      |      caller:  +0  frame pointer of the resumer
#      |   caller, own, result,     |               +8  address to return to
#      |   body, ...                |               +16 stack pointer of the resumer  <-- s0
#      +----------------------------+ <- sp         +24 s1 of the resumer
#      | frames of the body         |
#      |            v               |      ra = the trap below: nothing is pushed
#
# A frame pointer points behind its record here, in which a walker finds the two words it follows.

        .text
        .globl  krait_native_start
        .hidden krait_native_start
        .type   krait_native_start, @function
        .p2align 4
        .cfi_startproc
        .cfi_signal_frame
        # CFA = *(s0 + 0)
        .cfi_escape 0x0f, 0x03, 0x78, 0x00, 0x06
        # s0, ra and s1 are saved at s0 - 16, - 8 and + 8
        .cfi_escape 0x10, 0x08, 0x02, 0x78, 0x70
        .cfi_escape 0x10, 0x01, 0x02, 0x78, 0x78
        .cfi_escape 0x10, 0x09, 0x02, 0x78, 0x08
        nop                             # for who walks the stack amid the first jump, as on x86-64
krait_native_start:
        addi    a0, s0, -16             # entry(caller)
        lla     ra, 1f
        jr      s1
1:      ebreak                          # entry does not return
        .cfi_endproc
        .size   krait_native_start, . - krait_native_start

        # Never executed. A stack that nobody resumes looks as if this function had resumed it, which nobody has called:
        # there, backtraces end.
        .globl  krait_native_end
        .hidden krait_native_end
        .type   krait_native_end, @function
        .p2align 4
krait_native_end:
        .cfi_startproc
        .cfi_undefined 1
        ebreak
        .cfi_endproc
        .size   krait_native_end, . - krait_native_end

        .globl  krait_way_out
        .hidden krait_way_out
        .type   krait_way_out, @function
        .p2align 4
krait_way_out:
        .cfi_startproc
        mv      a1, sp
        mv      a2, s0
        mv      a3, ra
        tail    krait_way_out_at
        .cfi_endproc
        .size   krait_way_out, . - krait_way_out

        .section .note.GNU-stack, "", @progbits
