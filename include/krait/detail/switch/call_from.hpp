// SPDX-License-Identifier: BSL-1.0
#pragma once

// To look at the stack of a flow of control that has been left: a function is called in such a way that whoever walks
// the stack in it goes on where the flow was left, as if that had called it. The flow itself does not notice.
//
// On the native backend the function has a stack of its own, at whose base the call frame information leads to the
// record of who has resumed it; that is a copy of the flow's. With Boost.Context, whose base leads nowhere, it is
// called on the flow's own stack, by ontop_fcontext(). What that has saved there, and the function overwrites, is put
// back.

#include <cstddef>

#include "krait/detail/switch/flow.hpp"
#include "krait/stack.hpp"

namespace krait::detail {
inline namespace KRAIT_BACKEND {

#if defined(KRAIT_NATIVE)

/// Calls `look(data)` as if from where a flow was left through `left`, which must have been left. It must not throw.
/// Throws std::bad_alloc.
inline void call_from(const registers& left, void (*look)(void* data), void* data) {
  struct visit : registers {
    void (*look)(void*);
    void* data;
    flow here;
    flow back;

    visit(const registers& from, void (*function)(void*), void* its)
        : registers(from), look(function), data(its) {}

    static void enter(registers& above) noexcept {
      auto& self = static_cast<visit&>(above);
      sanitizers_entered(self.here.known);
      self.look(self.data);
      leave_for_good(self.back, self.here.at);
    }
  } self(left, look, data);
  const stack memory = allocate_default_stack();
  void* const fiber = prepare(self.here, self, memory, memory.top(), &visit::enter);
  switch_to(self.back, self.here);
  sanitizers_release(memory, fiber);
  deallocate_default_stack(memory);
}

#else

// Sanitizers need not know of it: nothing is kept on that stack.
inline void call_from(const registers& left, void (*look)(void* data), void* data) {
  using boost::context::detail::transfer_t;
  struct visit {
    void (*look)(void*);
    void* data;

    [[gnu::no_sanitize_address, gnu::no_sanitize_thread]] static transfer_t enter(transfer_t from) {
      const auto& self = *static_cast<const visit*>(from.data);
      self.look(self.data);
      return boost::context::detail::jump_fcontext(from.fctx, nullptr);  // for good
    }

    [[gnu::no_sanitize_address]] static void copy(volatile std::byte* to, const volatile std::byte* from,
                                                  std::size_t size) noexcept {
      for (std::size_t i = 0; i < size; ++i) {
        to[i] = from[i];
      }
    }
  } self{look, data};
  std::byte saved[256];  // more than is saved on any machine; what lies above stays the same
  auto* const place = static_cast<std::byte*>(left.resume_at);
  visit::copy(saved, place, sizeof saved);
  boost::context::detail::ontop_fcontext(left.resume_at, &self, &visit::enter);
  visit::copy(place, saved, sizeof saved);
}

#endif

}  // namespace KRAIT_BACKEND
}  // namespace krait::detail
