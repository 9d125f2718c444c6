// SPDX-License-Identifier: BSL-1.0
#pragma once

// Calls of the system that fail when asked to. This program defines mmap, mprotect, madvise, malloc and
// __cxa_allocate_exception itself (fault.cpp), so that krait's calls, and libstdc++'s, come by here.

#include <krait/detail/switch/sanitizers.hpp>

namespace faults {

enum call { mmap, mprotect, madvise, malloc, exception };
constexpr const char* names[] = {"mmap", "mprotect", "madvise", "malloc", "__cxa_allocate_exception"};

/// Does malloc come by here? A sanitizer has one of its own, which must be the only one.
#if defined(__GLIBC__) && !defined(KRAIT_ASAN) && !defined(KRAIT_TSAN)
#define KRAIT_MALLOC_CAN_FAIL 1
inline constexpr bool malloc_can_fail = true;
#else
inline constexpr bool malloc_can_fail = false;
#endif

/// While alive, the n-th call of a kind fails, on whatever thread, and more behind it if asked to. (That of
/// an exception ends the process: it must not return without memory.)
class fault {
 public:
  fault(call kind, int n, int in_all = 1) noexcept;
  ~fault();
  fault(const fault&) = delete;
  fault& operator=(const fault&) = delete;

  /// Were there so many calls?
  bool reached() const noexcept;
};

/// How many blocks malloc has handed out that have not been freed.
long blocks() noexcept;

}  // namespace faults
