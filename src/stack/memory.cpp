// SPDX-License-Identifier: BSL-1.0
#include "stack/memory.hpp"

#include <sys/mman.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>

#include "stack/valgrind.hpp"

#ifndef MADV_GUARD_INSTALL
#define MADV_GUARD_INSTALL 102
#endif
#ifndef MADV_POPULATE_READ
#define MADV_POPULATE_READ 22
#endif

namespace krait {
namespace detail {

std::size_t page_size() noexcept {
  static const auto size = static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
  return size;
}

std::byte* map_memory(std::size_t size) noexcept {
  void* const memory = ::mmap(nullptr, size, PROT_READ | PROT_WRITE,
                              MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_STACK, -1, 0);
  if (memory == MAP_FAILED) {
    return nullptr;
  }
  // A huge page would make a single stack 2 MiB resident. Fails where there are none, which is as good.
  ::madvise(memory, size, MADV_NOHUGEPAGE);
  return static_cast<std::byte*>(memory);
}

bool guards_are_markers() noexcept {
  static const bool answer = [] {
    const char* const wish = std::getenv("KRAIT_GUARDS");
    if (valgrind::running() || (wish != nullptr && std::strcmp(wish, "mprotect") == 0)) {
      return false;
    }
    std::byte* const probe = map_memory(page_size());
    if (probe == nullptr) {
      return false;
    }
    // Some emulators of a kernel take any advice and do nothing. A guard cannot be populated.
    const bool works = ::madvise(probe, page_size(), MADV_GUARD_INSTALL) == 0 &&
                       ::madvise(probe, page_size(), MADV_POPULATE_READ) != 0;
    ::munmap(probe, page_size());
    return works;
  }();
  return answer;
}

bool install_guard(std::byte* place, std::size_t size) noexcept {
  // Memory that is locked (mlockall) takes no markers.
  return (guards_are_markers() && ::madvise(place, size, MADV_GUARD_INSTALL) == 0) ||
         ::mprotect(place, size, PROT_NONE) == 0;
}

bool used_exactly() noexcept {
  static const bool answer = [] {
    const char* const wish = std::getenv("KRAIT_STACK_USED");
    return wish != nullptr && std::strcmp(wish, "exact") == 0;
  }();
  return answer;
}

void give_back(const stack& memory, std::size_t kept) noexcept {
  if (memory.size > kept) {
    // Whole pages: the lowest address is one's start, and the top, coloured, is rounded down.
    const std::size_t surplus = (memory.size - kept) / page_size() * page_size();
    ::madvise(memory.limit, surplus, MADV_DONTNEED);
  }
}

}  // namespace detail

const char* guard_method() noexcept {
  return detail::guards_are_markers() ? "MADV_GUARD_INSTALL" : "mprotect";
}

}  // namespace krait
