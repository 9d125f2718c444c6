# SPDX-License-Identifier: BSL-1.0
# Cross-compiling for AArch64 with Debian's compiler; programs run under qemu-user. The machine's own Boost must not be
# found. One for arm64 is, if `./dev test --arch aarch64` has unpacked it; else there is the native backend only.
set(CMAKE_SYSTEM_NAME Linux)
set(CMAKE_SYSTEM_PROCESSOR aarch64)
set(CMAKE_C_COMPILER aarch64-linux-gnu-gcc)
set(CMAKE_CXX_COMPILER aarch64-linux-gnu-g++)
set(CMAKE_CROSSCOMPILING_EMULATOR qemu-aarch64;-L;/usr/aarch64-linux-gnu)

file(GLOB Boost_DIR ${CMAKE_CURRENT_LIST_DIR}/../build/sysroot/aarch64/usr/lib/aarch64-linux-gnu/cmake/Boost-*)
if(Boost_DIR)
  set(Boost_USE_STATIC_LIBS ON)
else()
  set(CMAKE_DISABLE_FIND_PACKAGE_Boost ON)
endif()
# The system's start-up code has no marked branch targets, so the linker leaves lazy binding without: bind at once.
set(CMAKE_EXE_LINKER_FLAGS_INIT -Wl,-z,now)
