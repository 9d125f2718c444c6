// SPDX-License-Identifier: BSL-1.0

// What was found out about a call holds while its code is there. Two libraries (guest.cpp) are loaded in turn, to the
// same place, with a call at the same address: what the one lacks, the other has.

#include <dlfcn.h>

#include <cstdio>

#include "krait/krait.hpp"

namespace {

int told = 0;
const void* called_from = nullptr;

void yield_for_ever(void* yielder) {
  called_from = __builtin_return_address(0);
  for (;;) {
    (*static_cast<krait::yielder<long>*>(yielder))(1);
  }
}

/// What the guest's destructor said while a generator was closed, which called it.
int close_within(const char* path) {
  void* const library = ::dlopen(path, RTLD_NOW | RTLD_LOCAL);
  if (library == nullptr) {
    std::printf("%s\n", ::dlerror());
    return -1;
  }
  using guest_function = void (*)(void (*)(void*), void*, void (*)());
  const auto guest = reinterpret_cast<guest_function>(::dlsym(library, "guest"));
  told = 0;
  for (int i = 0; i < 2; ++i) {  // the second time by what is known
    krait::generator<long> generator = [guest](krait::yielder<long>& yield) {
      guest(yield_for_ever, &yield, [] { ++told; });
    };
    generator.next();
    generator.close();
  }
  ::dlclose(library);
  return told;
}

}  // namespace

int main() {
  int passed = 0, failed = 0, same = 0;
  for (int round = 0; round < 10; ++round) {
    const int unseen = close_within(KRAIT_GUEST);
    const void* const before = called_from;
    const int seen = close_within(KRAIT_GUEST_SEES);
    same += called_from == before;
    const bool fine = unseen == 0 && seen == 2;
    ++(fine ? passed : failed);
    if (!fine) {
      std::printf("without a destructor %d times, with one %d times of 2\n", unseen, seen);
    }
  }
  if (same == 0) {
    std::printf("the libraries never were at one place\n");
    ++failed;
  }
  std::printf("%d passed, %d failed\n", passed, failed);
  return failed == 0 ? 0 : 1;
}
