// SPDX-License-Identifier: BSL-1.0
#include "krait/detail/switch/shadow_stack.hpp"

#include <cstdio>
#include <cstdlib>

// A shadow stack is a second, protected stack of return addresses, kept by the processor; a return that does
// not match it is a fault. It belongs to the thread. Switching would need one for each generator, and a
// privileged way to change over, so krait says no before the first switch rather than let the first return
// fault. (Programs that link krait do not ask for shadow stacks: the linker drops the mark unless every
// object has it, and asm/ has it not. A system may insist all the same.)

namespace krait::detail {

bool has_shadow_stack() noexcept {
#if defined(__x86_64__)
  // rdsspq: where there is no shadow stack, it does nothing.
  unsigned long pointer = 0;
  asm volatile("rdsspq %0" : "+r"(pointer));
  return pointer != 0;
#elif defined(__aarch64__)
  // chkfeat: clears the bit of what is enabled, here of the guarded control stack. Does nothing where it is
  // not known.
  register unsigned long features asm("x16") = 1;
  asm volatile("hint #40" : "+r"(features));
  return features == 0;
#else
  return false;
#endif
}

void refuse_shadow_stack(bool enabled) noexcept {
  if (enabled) {
    std::fputs(
        "krait: this thread has a shadow stack, which generators cannot run with; "
        "disable it for this program\n",
        stderr);
    std::abort();
  }
}

}  // namespace krait::detail
