# SPDX-License-Identifier: BSL-1.0
#
# The native backend on x86-64 System V: where a new stack begins.
#
# The switch itself is inlined into its callers (include/krait/detail/switch/native_x86_64.hpp has the essay). What cannot
# be inlined is the first function on a stack, because it is reached by a jump and must look to everybody (the
# unwinder, a debugger, a profiler walking frame pointers) as if the resumer had called it.
#
# krait::detail::prepare() fills the record that the first jump loads:
#
#      frame_pointer  ->  rbp = the record in which the jump saves its origin ("caller")
#      base           ->  rbx = the C++ function to run
#      stack_pointer  ->  rsp = top of the new stack, 16-byte aligned
#
#      high addresses
#      +----------------------------+
#      | the generator's frame      |      caller:  +0  frame pointer of the resumer  <-- rbp
#      |   caller, own, result,     |               +8  address to return to
#      |   body, ...                |               +16 stack pointer of the resumer
#      +----------------------------+ <- rsp        +24 rbx of the resumer
#      | return address into start  |
#      | frames of the body         |
#      |            v               |
#
# rbp points to a record of exactly the two words that frame-pointer walkers follow, so they go on in whoever
# resumed the generator last, or delegates to it. The call frame information below says the same to unwinders.

        .text
        .globl  krait_native_start
        .hidden krait_native_start
        .type   krait_native_start, @function
        .p2align 4
        .cfi_startproc
        # Frames of the two stacks need not lie in address order, which debuggers allow for signal frames only.
        .cfi_signal_frame
        # CFA = *(rbp + 16): DW_CFA_def_cfa_expression { DW_OP_breg6 16; DW_OP_deref }
        .cfi_escape 0x0f, 0x03, 0x76, 0x10, 0x06
        # rbp, rip and rbx are saved at rbp + 0, + 8 and + 24: DW_CFA_expression reg { DW_OP_breg6 offset }
        .cfi_escape 0x10, 0x06, 0x02, 0x76, 0x00
        .cfi_escape 0x10, 0x10, 0x02, 0x76, 0x08
        .cfi_escape 0x10, 0x03, 0x02, 0x76, 0x18
        # Never executed. Who walks the stack amid the first jump takes this function for a caller, whom it looks up by
        # the byte before the address to continue at.
        nop
        .p2align 4, 0x90                # by more of them
krait_native_start:
        endbr64                         # reached by an indirect jump; a no-op where that is not enforced
        movq    %rbp, %rdi              # entry(caller)
        # A call, spelt out: rsp is 16-byte aligned before the return address is pushed, as the ABI has it. A real one
        # would leave an entry in the processor's stack of return addresses that no return ever takes, so that a
        # return in the resumer would be mispredicted for each generator.
        leaq    1f(%rip), %rax
        pushq   %rax
        jmpq    *%rbx
1:      ud2                             # entry does not return. Also: for a signal frame the debugger looks up
                                        # the return address itself, so it must still lie in this function.
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
        .cfi_undefined 16
        ud2
        .cfi_endproc
        .size   krait_native_end, . - krait_native_end

        # krait_way_out(self) (chain.hpp) says where it was called: krait_way_out_at(self, stack pointer,
        # frame pointer, address to return to).
        .globl  krait_way_out
        .hidden krait_way_out
        .type   krait_way_out, @function
        .p2align 4
krait_way_out:
        .cfi_startproc
        endbr64
        leaq    8(%rsp), %rsi
        movq    %rbp, %rdx
        movq    (%rsp), %rcx
        jmp     krait_way_out_at
        .cfi_endproc
        .size   krait_way_out, . - krait_way_out

        # Jumped to with the address to return to in rax (machine.hpp): pushes it, and goes on to what rsi points to.
        .globl  krait_call_for_good
        .hidden krait_call_for_good
        .type   krait_call_for_good, @function
        .p2align 4
krait_call_for_good:
        .cfi_startproc
        .cfi_def_cfa_offset 0
        .cfi_register 16, 0
        pushq   %rax
        .cfi_def_cfa_offset 8
        .cfi_offset 16, -8
        jmpq    *%rsi
        .cfi_endproc
        .size   krait_call_for_good, . - krait_call_for_good

        .section .note.GNU-stack, "", @progbits

        # This file honours indirect branch tracking.
        .section .note.gnu.property, "a", @note
        .p2align 3
        .long   4, 16, 5                # name size, descriptor size, NT_GNU_PROPERTY_TYPE_0
        .asciz  "GNU"
        .long   0xc0000002, 4, 1        # GNU_PROPERTY_X86_FEATURE_1_AND: IBT
        .long   0
