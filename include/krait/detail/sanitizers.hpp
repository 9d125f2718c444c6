// SPDX-License-Identifier: BSL-1.0
#pragma once

// What AddressSanitizer, LeakSanitizer and ThreadSanitizer must be told about stacks. All of it is in
// headers, so that a program built with a sanitizer is served by a krait library built without one.

#include <cstddef>

#include "krait/stack.hpp"

#if defined(__SANITIZE_ADDRESS__)
#define KRAIT_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define KRAIT_ASAN 1
#endif
#endif

#if defined(__SANITIZE_THREAD__)
#define KRAIT_TSAN 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define KRAIT_TSAN 1
#endif
#endif

#if defined(KRAIT_ASAN)
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#include <sanitizer/lsan_interface.h>
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
  void* fiber;

#if defined(KRAIT_ASAN) || defined(KRAIT_TSAN)
  stack_identity() noexcept : bottom(nullptr), size(0), fiber(nullptr) {}
#else
  stack_identity() noexcept {}
#endif
};

#if defined(KRAIT_ASAN)
// The stack that was just left learns its bounds from the one that is entered, the only one to be told them.
// Reached through functions, as the thread may have changed over a switch.
[[gnu::noinline]] inline stack_identity*& stack_being_left() noexcept {
  static thread_local stack_identity* identity;
  return identity;
}
#endif

/// First thing on a stack that is entered for the first time.
inline void sanitizers_entered(void* fake_stack = nullptr) noexcept {
#if defined(KRAIT_ASAN)
  stack_identity ignored;
  stack_identity* const left = stack_being_left() != nullptr ? stack_being_left() : &ignored;
  __sanitizer_finish_switch_fiber(fake_stack, &left->bottom, &left->size);
#else
  static_cast<void>(fake_stack);
#endif
}

/// Tells the sanitizers of one switch: construct before leaving, call `returned` on coming back.
class switch_announcement {
 public:
  /// `from` is null when nobody comes back.
  [[gnu::always_inline]] switch_announcement([[maybe_unused]] stack_identity* from,
                                             [[maybe_unused]] const stack_identity& to) noexcept {
#if defined(KRAIT_ASAN)
    stack_being_left() = from;
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
    sanitizers_entered(fake_stack_);
#endif
  }

#if defined(KRAIT_ASAN)
 private:
  void* fake_stack_ = nullptr;
#endif
};

/// A stack comes into use, perhaps not for the first time. Returns ThreadSanitizer's fiber.
inline void* sanitizers_acquire([[maybe_unused]] const stack& memory,
                                [[maybe_unused]] stack_identity& identity) noexcept {
#if defined(KRAIT_ASAN)
  identity.bottom = memory.limit;
  identity.size = memory.size;
  __asan_unpoison_memory_region(memory.limit, memory.size);
  __lsan_register_root_region(memory.limit, memory.size);
#endif
#if defined(KRAIT_TSAN)
  identity.fiber = __tsan_create_fiber(0);
  return identity.fiber;
#else
  return nullptr;
#endif
}

/// `heir` will be left for the stack that `former` would have been left for.
inline void sanitizers_inherit([[maybe_unused]] stack_identity& heir,
                               [[maybe_unused]] const stack_identity& former) noexcept {
#if defined(KRAIT_ASAN) || defined(KRAIT_TSAN)
  heir = former;
#endif
}

/// A stack goes out of use. `fiber` is what sanitizers_acquire() returned.
inline void sanitizers_release([[maybe_unused]] const stack& memory, [[maybe_unused]] void* fiber) noexcept {
#if defined(KRAIT_ASAN)
  __asan_unpoison_memory_region(memory.limit, memory.size);
  __lsan_unregister_root_region(memory.limit, memory.size);
#endif
#if defined(KRAIT_TSAN)
  __tsan_destroy_fiber(fiber);
#endif
}

}  // namespace krait::detail
