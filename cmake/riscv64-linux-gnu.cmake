# SPDX-License-Identifier: BSL-1.0
# Cross-compiling for RISC-V 64 with Debian's compiler; programs run under qemu-user. The machine's own Boost must not be
# found. Its headers are, if `./dev test --arch riscv64` has unpacked them; Debian has no library for this architecture.
set(CMAKE_SYSTEM_NAME Linux)
set(CMAKE_SYSTEM_PROCESSOR riscv64)
set(CMAKE_C_COMPILER riscv64-linux-gnu-gcc)
set(CMAKE_CXX_COMPILER riscv64-linux-gnu-g++)
set(CMAKE_CROSSCOMPILING_EMULATOR qemu-riscv64;-L;/usr/riscv64-linux-gnu)

file(GLOB Boost_DIR ${CMAKE_CURRENT_LIST_DIR}/../build/sysroot/riscv64/usr/lib/*/cmake/Boost-*)
if(NOT Boost_DIR)
  set(CMAKE_DISABLE_FIND_PACKAGE_Boost ON)
endif()
