# SPDX-License-Identifier: BSL-1.0
# Cross-compiling for AArch64 with Debian's compiler; programs run under qemu-user. KRAIT_SYSROOT: a directory with the
# arm64 packages of Boost unpacked (`./dev test --arch aarch64` makes it); without it there is the native backend only.
set(CMAKE_SYSTEM_NAME Linux)
set(CMAKE_SYSTEM_PROCESSOR aarch64)
set(CMAKE_C_COMPILER aarch64-linux-gnu-gcc)
set(CMAKE_CXX_COMPILER aarch64-linux-gnu-g++)
set(CMAKE_CROSSCOMPILING_EMULATOR qemu-aarch64;-L;/usr/aarch64-linux-gnu)

list(APPEND CMAKE_TRY_COMPILE_PLATFORM_VARIABLES KRAIT_SYSROOT)
if(KRAIT_SYSROOT)
  file(GLOB Boost_DIR ${KRAIT_SYSROOT}/usr/lib/aarch64-linux-gnu/cmake/Boost-*)
  set(Boost_USE_STATIC_LIBS ON)
else()
  set(CMAKE_DISABLE_FIND_PACKAGE_Boost ON)
endif()
