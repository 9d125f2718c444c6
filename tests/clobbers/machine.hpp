// SPDX-License-Identifier: BSL-1.0
#pragma once

// What the generated tests need to know of a machine: how to say "in a register of this class" in an asm
// statement, which registers to ask for by name, and how to destroy all of them.
//
//   GENERAL, FLOATING, VECTOR   constraints; VECTOR only where there are vectors of 16 bytes
//   WIDE, WIDE_TARGET           vectors of 32 bytes, in functions compiled for a processor that has them
//   WIDER, MASK                 vectors of 64 bytes and mask registers, if the compiler's flags have them
//   X87, MMX                    x86's older registers
//   wreck()                     leaves junk in every register but the stack and the frame pointer

#if defined(__x86_64__)

#define GENERAL "r"
#define FLOATING "x"
#define VECTOR "x"
#define WIDE "x"
#define WIDE_TARGET [[gnu::target("avx2")]]
#define X87 "t"
#define MMX "y"
#if defined(__AVX512F__)
#define WIDER "v"
#define MASK "k"
#define CLOBBERS_AVX512                                                                                \
  , "xmm16", "xmm17", "xmm18", "xmm19", "xmm20", "xmm21", "xmm22", "xmm23", "xmm24", "xmm25", "xmm26", \
      "xmm27", "xmm28", "xmm29", "xmm30", "xmm31", "k0", "k1", "k2", "k3", "k4", "k5", "k6", "k7"
#else
#define CLOBBERS_AVX512
#endif

inline bool wide_here() noexcept {
  static const bool answer = __builtin_cpu_supports("avx2");
  return answer;
}

[[gnu::always_inline]] inline void wreck() noexcept {
#if !defined(__AVX512F__)
  if (wide_here())  // all 32 bytes of each; what follows does the lower half
#endif
  {
    asm volatile(
        ".irp n,0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15\n\t"
        "vpcmpeqd %%ymm\\n,%%ymm\\n,%%ymm\\n\n\t"
        ".endr\n\t"
        "vzeroupper"
        :
        :
        : "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", "xmm9", "xmm10", "xmm11",
          "xmm12", "xmm13", "xmm14", "xmm15");
  }
  asm volatile(
#if defined(__AVX512F__)
      ".irp n,16,17,18,19,20,21,22,23,24,25,26,27,28,29,30,31\n\t"
      "vpternlogd $255,%%zmm\\n,%%zmm\\n,%%zmm\\n\n\t"
      ".endr\n\t"
      ".irp n,0,1,2,3,4,5,6,7\n\t"
      "kxnorw %%k\\n,%%k\\n,%%k\\n\n\t"
      ".endr\n\t"
#endif
      "movabsq $0x5a5b5c5d5e5f6061,%%rax\n\t"
      ".irp r,rbx,rcx,rdx,rsi,rdi,r8,r9,r10,r11,r12,r13,r14,r15\n\t"
      "movq %%rax,%%\\r\n\t"
      ".endr\n\t"
      ".irp n,0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15\n\t"
      "movq %%rax,%%xmm\\n\n\t"
      "punpcklqdq %%xmm\\n,%%xmm\\n\n\t"
      ".endr\n\t"
      ".irp n,0,1,2,3,4,5,6,7\n\t"
      "movq %%rax,%%mm\\n\n\t"
      ".endr\n\t"
      "emms\n\t"
      ".rept 8\n\tfldpi\n\t.endr\n\t"
      ".rept 8\n\tfstp %%st(0)\n\t.endr"
      :
      :
      : "rax", "rbx", "rcx", "rdx", "rsi", "rdi", "r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15", "cc",
        "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", "xmm9", "xmm10", "xmm11",
        "xmm12", "xmm13", "xmm14", "xmm15", "mm0", "mm1", "mm2", "mm3", "mm4", "mm5", "mm6", "mm7", "st",
        "st(1)", "st(2)", "st(3)", "st(4)", "st(5)", "st(6)", "st(7)" CLOBBERS_AVX512);
}

#elif defined(__aarch64__)

#define GENERAL "r"
#define FLOATING "w"
#define VECTOR "w"

[[gnu::always_inline]] inline void wreck() noexcept {
  asm volatile(
      ".irp n,0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,19,20,21,22,23,24,25,26,27,28,30\n\t"
      "movz x\\n,#0x5a5b,lsl #16\n\t"
      ".endr\n\t"
      ".irp n,0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29,30,31\n\t"
      "dup v\\n\\().2d,x0\n\t"
      ".endr\n\t"
      :
      :
      : "x0", "x1", "x2", "x3", "x4", "x5", "x6", "x7", "x8", "x9", "x10", "x11", "x12", "x13", "x14", "x15",
        "x16", "x17", "x19", "x20", "x21", "x22", "x23", "x24", "x25", "x26", "x27", "x28", "x30", "cc", "v0",
        "v1", "v2", "v3", "v4", "v5", "v6", "v7", "v8", "v9", "v10", "v11", "v12", "v13", "v14", "v15", "v16",
        "v17", "v18", "v19", "v20", "v21", "v22", "v23", "v24", "v25", "v26", "v27", "v28", "v29", "v30",
        "v31");
}

#elif defined(__riscv) && defined(__riscv_flen)

#define GENERAL "r"
#define FLOATING "f"

[[gnu::always_inline]] inline void wreck() noexcept {
  asm volatile(
      "li t0,0x5a5b5c5d\n\t"
      ".irp r,ra,t1,t2,t3,t4,t5,t6,a0,a1,a2,a3,a4,a5,a6,a7,s1,s2,s3,s4,s5,s6,s7,s8,s9,s10,s11\n\t"
      "mv \\r,t0\n\t"
      ".endr\n\t"
      ".irp n,0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29,30,31\n\t"
      "fmv.d.x f\\n,t0\n\t"
      ".endr"
      :
      :
      : "ra", "t0", "t1", "t2", "t3", "t4", "t5", "t6", "a0", "a1", "a2", "a3", "a4", "a5", "a6", "a7", "s1",
        "s2", "s3", "s4", "s5", "s6", "s7", "s8", "s9", "s10", "s11", "ft0", "ft1", "ft2", "ft3", "ft4",
        "ft5", "ft6", "ft7", "ft8", "ft9", "ft10", "ft11", "fa0", "fa1", "fa2", "fa3", "fa4", "fa5", "fa6",
        "fa7", "fs0", "fs1", "fs2", "fs3", "fs4", "fs5", "fs6", "fs7", "fs8", "fs9", "fs10", "fs11");
}

#else

// Another machine: whatever the compiler keeps in registers of its own accord.
#define GENERAL "r"

[[gnu::noinline]] inline void wreck() noexcept {}

#endif

#if !defined(WIDE)
inline bool wide_here() noexcept {
  return false;
}
#endif
