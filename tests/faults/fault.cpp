// SPDX-License-Identifier: BSL-1.0
#include "fault.hpp"

#include <dlfcn.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <climits>
#include <cstddef>
#include <exception>

namespace faults {
namespace {

std::atomic<int> counted = -1;
std::atomic<int> calls = 0;
int first_failing = 0;
int last_failing = 0;
std::atomic<long> blocks_out = 0;

bool fails(call kind) noexcept {
  if (counted != kind) {
    return false;
  }
  const int number = ++calls;
  if (number < first_failing || number > last_failing) {
    return false;
  }
  errno = ENOMEM;
  return true;
}

}  // namespace

fault::fault(call kind, int n, int in_all) noexcept {
  calls = 0;
  first_failing = n;
  last_failing = in_all > INT_MAX - n ? INT_MAX : n + in_all - 1;
  counted = kind;
}

fault::~fault() {
  counted = -1;
}

bool fault::reached() const noexcept {
  return calls >= first_failing;
}

long blocks() noexcept {
  return blocks_out;
}

}  // namespace faults

#if !defined(KRAIT_TSAN)  // which has all of them itself, and does not start without

extern "C" {

void* mmap(void* address, std::size_t size, int protection, int flags, int file, off_t offset) noexcept {
  return faults::fails(faults::mmap)
             ? MAP_FAILED
             : reinterpret_cast<void*>(::syscall(SYS_mmap, address, size, protection, flags, file, offset));
}

int mprotect(void* address, std::size_t size, int protection) noexcept {
  return faults::fails(faults::mprotect)
             ? -1
             : static_cast<int>(::syscall(SYS_mprotect, address, size, protection));
}

int madvise(void* address, std::size_t size, int what) noexcept {
  return faults::fails(faults::madvise) ? -1 : static_cast<int>(::syscall(SYS_madvise, address, size, what));
}

void* __cxa_allocate_exception(std::size_t size) noexcept {
  static const auto real =
      reinterpret_cast<void* (*)(std::size_t)>(::dlsym(RTLD_NEXT, "__cxa_allocate_exception"));
  if (faults::fails(faults::exception)) {
    std::terminate();  // as the real one, when there is no memory and the reserve is used up
  }
  return real(size);
}

#if defined(KRAIT_MALLOC_CAN_FAIL)

void* __libc_malloc(std::size_t size) noexcept;
void* __libc_calloc(std::size_t count, std::size_t size) noexcept;
void* __libc_realloc(void* block, std::size_t size) noexcept;
void* __libc_memalign(std::size_t alignment, std::size_t size) noexcept;
void __libc_free(void* block) noexcept;

namespace {
void* entered(void* block) noexcept {
  faults::blocks_out += block != nullptr;
  return block;
}
}  // namespace

void* malloc(std::size_t size) noexcept {
  return faults::fails(faults::malloc) ? nullptr : entered(__libc_malloc(size));
}

void* calloc(std::size_t count, std::size_t size) noexcept {
  return faults::fails(faults::malloc) ? nullptr : entered(__libc_calloc(count, size));
}

void* realloc(void* block, std::size_t size) noexcept {
  if (faults::fails(faults::malloc)) {
    return nullptr;
  }
  faults::blocks_out -= block != nullptr;
  return entered(__libc_realloc(block, size));
}

void* memalign(std::size_t alignment, std::size_t size) noexcept {
  return faults::fails(faults::malloc) ? nullptr : entered(__libc_memalign(alignment, size));
}

void* aligned_alloc(std::size_t alignment, std::size_t size) noexcept {
  return memalign(alignment, size);
}

int posix_memalign(void** place, std::size_t alignment, std::size_t size) noexcept {
  *place = memalign(alignment, size);
  return *place != nullptr ? 0 : ENOMEM;
}

void free(void* block) noexcept {
  faults::blocks_out -= block != nullptr;
  __libc_free(block);
}

#endif

}  // extern "C"

#endif
