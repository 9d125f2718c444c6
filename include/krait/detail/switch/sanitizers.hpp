// SPDX-License-Identifier: BSL-1.0
#pragma once

// What AddressSanitizer and ThreadSanitizer must be told about switches. All of it is in headers, so that a
// program built with a sanitizer is served by a krait library built without one. (Of the memory that stacks
// are made of, AddressSanitizer and LeakSanitizer are told by the library: src/stack/sanitizers.hpp.)

#include <cstddef>
#include <cstdlib>

#include "krait/detail/config.hpp"
#include "krait/stack.hpp"

#if defined(KRAIT_ASAN)
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#endif
#if defined(KRAIT_TSAN)
#include <sanitizer/tsan_interface.h>
#endif

namespace krait::detail {

/// How the sanitizers know the stack on which a flow of control was left. Always there, so that the layout of
/// a context does not depend on compiler flags; used, and so initialised, only under a sanitizer.
struct stack_identity {
  const void* bottom;
  std::size_t size;
  union {
    void* fiber;            ///< ThreadSanitizer's
    stack_identity** left;  ///< AddressSanitizer: where who goes on here will look for whom was left for it
  };

#if defined(KRAIT_ASAN) || defined(KRAIT_TSAN)
  stack_identity() noexcept : bottom(nullptr), size(0), fiber(nullptr) {}
#else
  stack_identity() noexcept {}
#endif
};

/// The two flows of control of a context, by name.
enum class side { caller, own };

/// That of a flow of control which begins on a stack of its own.
struct own_stack_identity : stack_identity {
  stack_identity* entered_from;  ///< AddressSanitizer: where a new stack looks for the same
};

struct stack_identities {
  stack_identity caller;
  own_stack_identity own;

  template <side which>
  stack_identity& of() noexcept {
    return which == side::own ? own : caller;
  }
};

// Only who arrives on a stack is told the bounds of the one that was left, and they belong into the identity
// that the leaver knows. Which that is, the leaver writes where the arriver will look: among the variables of
// the flow that waits, or beside the identities of a new one. A thread_local would not do: compilers take its
// address for constant although a switch may change the thread, and each shared object might have its own.

#if defined(KRAIT_ASAN)
inline void sanitizers_arrived(void* fake_stack, stack_identity* left) noexcept {
  stack_identity nobody;
  left = left != nullptr ? left : &nobody;
  __sanitizer_finish_switch_fiber(fake_stack, &left->bottom, &left->size);
}
#endif

/// First thing on a stack that is entered for the first time.
inline void sanitizers_entered([[maybe_unused]] const own_stack_identity& known) noexcept {
#if defined(KRAIT_ASAN)
  sanitizers_arrived(nullptr, known.entered_from);
#endif
}

/// Tells the sanitizers of one switch: construct before leaving, call `returned` on coming back.
class switch_announcement {
 public:
  /// `from` is null when nobody comes back.
  [[gnu::always_inline]] switch_announcement([[maybe_unused]] stack_identity* from,
                                             [[maybe_unused]] stack_identity& to) noexcept {
#if defined(KRAIT_ASAN)
    *to.left = from;
    if (from != nullptr) {
      from->left = &left_;
    }
    __sanitizer_start_switch_fiber(from != nullptr ? &fake_stack_ : nullptr, to.bottom, to.size);
#endif
#if defined(KRAIT_TSAN)
    if (from != nullptr) {
      from->fiber = __tsan_get_current_fiber();
    }
    __tsan_switch_to_fiber(to.fiber, 0);
#endif
  }

  [[gnu::always_inline]] void returned() noexcept {
#if defined(KRAIT_ASAN)
    sanitizers_arrived(fake_stack_, left_);
#endif
  }

#if defined(KRAIT_ASAN)
 private:
  void* fake_stack_ = nullptr;
  stack_identity* left_ = nullptr;
#endif
};

/// To LeakSanitizer, a thread has one stack: that which it runs on. Shows it those where bodies' resumers
/// wait, for when the program is ended by a body.
void show_waiting_stacks() noexcept;

/// A stack comes into use, perhaps not for the first time. Returns ThreadSanitizer's fiber.
inline void* sanitizers_acquire([[maybe_unused]] const stack& memory,
                                [[maybe_unused]] own_stack_identity& known) noexcept {
#if defined(KRAIT_ASAN)
  known.bottom = memory.limit;
  known.size = memory.size;
  known.left = &known.entered_from;
  __asan_unpoison_memory_region(memory.limit, memory.size);
  static const bool remembered = std::atexit([] { show_waiting_stacks(); }) == 0;
  static_cast<void>(remembered);
#endif
#if defined(KRAIT_TSAN)
  known.fiber = __tsan_create_fiber(0);
  return known.fiber;
#else
  return nullptr;
#endif
}

/// A stack goes out of use. `fiber` is what sanitizers_acquire() returned.
inline void sanitizers_release([[maybe_unused]] const stack& memory, [[maybe_unused]] void* fiber) noexcept {
#if defined(KRAIT_ASAN)
  __asan_unpoison_memory_region(memory.limit, memory.size);
#endif
#if defined(KRAIT_TSAN)
  __tsan_destroy_fiber(fiber);
#endif
}

}  // namespace krait::detail
