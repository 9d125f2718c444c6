// SPDX-License-Identifier: BSL-1.0
#include "stack/unloading.hpp"

// krait may be part of a library that is loaded and unloaded while the program runs. When its code goes, all
// that it has mapped goes, and nobody may be left who would call it: the handler of overflows, the ends of
// threads.
//
// The end of a program must not be taken for an unloading, though: other threads may be running then, and
// take stacks to the very last moment. In both cases the same destructors run. What is different is that
// exit() calls first what the *program* has registered for its end, which unloading a library does not. But
// what is registered so must be there for ever, and no function in here is. One of the C library is, and so
// is memory on the heap: exit() posts a semaphore. (Some sixty bytes are what an unloaded library leaves
// behind.)

#include <semaphore.h>

#include <atomic>
#include <new>

#include "stack/overflow.hpp"

extern "C" int __cxa_atexit(void (*function)(void*), void* argument, void* library);  // NOLINT

namespace krait::detail {
namespace {

/// Null if nothing is to be done, or it could not be found out when.
std::atomic<sem_t*> exit_begun = nullptr;

sem_t* posted_by_exit() noexcept {
  auto* const semaphore = new (std::nothrow) sem_t;
  if (semaphore != nullptr) {
    ::sem_init(semaphore, 0, 0);
    auto* const post = reinterpret_cast<void (*)()>(&::sem_post);
    // For a library that is none, so never unloaded: for none at all, ThreadSanitizer would forget the
    // argument.
    if (::__cxa_atexit(reinterpret_cast<void (*)(void*)>(post), semaphore, semaphore) == 0) {
      return semaphore;
    }
  }
  delete semaphore;
  return nullptr;
}

bool is_unloaded() noexcept {
  int posted = 1;
  return exit_begun != nullptr && ::sem_getvalue(exit_begun, &posted) == 0 && posted == 0;
}

/// Of the destructors in a library, those of the least number run last, after those of static objects.
[[gnu::destructor(101)]] void clear_away() noexcept {
  stop_watching_for_overflows();
  if (is_unloaded()) {
    forget_hooks();
    forget_threads();
    unmap_stacks();
  }
}

}  // namespace

void expect_unloading() noexcept {
  static const bool once = (exit_begun = posted_by_exit(), true);
  static_cast<void>(once);
}

}  // namespace krait::detail
