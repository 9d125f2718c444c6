// SPDX-License-Identifier: BSL-1.0
#pragma once

// Exceptions belong to the stack they are on.
//
// The C++ runtime keeps two words per thread (`__cxa_eh_globals`): the chain of exceptions whose handlers are
// running, and the number of exceptions in flight. `throw;`, the end of a handler and
// std::uncaught_exceptions() go by them. Leave a stack inside a handler, run another one, and the two mix up
// their exceptions.
//
// krait keeps one rule: whenever control passes from one stack to another, both words are zero. Whoever
// leaves looks at them first, which costs a load and a test as nothing is nearly always there. If something
// is, the words are set aside on the stack being left, and put back when it is resumed, on whatever thread
// that is. So a stack that is entered never has to look, and a new stack starts clean.
//
// The words' address is the thread's. It must be fetched anew after each switch, but compilers take both
// `__cxa_get_globals` and the address of a thread_local for constant within a function. Hence the assembly
// in machine.hpp, and functions that are never inlined in src/switch/exception_state.cpp.
//
// Frameworks that keep these words for each task of theirs define `__cxa_get_globals` themselves. There the
// address is not even the thread's, so it is not kept, and each switch asks for it.

#include <cstddef>
#include <cstdint>
#include <cstring>

#include "krait/detail/switch/machine.hpp"

namespace krait::detail {

/// The runtime's own words, in libstdc++ and libc++abi alike.
struct exception_state {
  void* caught = nullptr;
  unsigned uncaught = 0;

  bool empty() const noexcept {
#if (defined(__x86_64__) || defined(__aarch64__)) && defined(__LP64__) && \
    __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
    // In one load, of all but the lowest 16 bits of the one and the upper 16 of the other: nothing is caught that lies
    // in the first 64 KiB of memory, where nothing is, nor are 64 Ki exceptions in flight.
    std::uint64_t most;
    std::memcpy(&most, reinterpret_cast<const std::byte*>(this) + 2, sizeof most);
    return most == 0;
#else
    return (reinterpret_cast<std::uintptr_t>(caught) | uncaught) == 0;
#endif
  }
};
static_assert(sizeof(void*) != 8 || offsetof(exception_state, uncaught) == 8);

/// Takes this thread's exception state away, leaving none.
[[gnu::visibility("hidden")]] exception_state set_exceptions_aside() noexcept;

/// Gives this thread the state that set_exceptions_aside() took, perhaps from another thread.
[[gnu::visibility("hidden")]] void put_exceptions_back(exception_state state) noexcept;

/// Is there anything on this thread that a switch would mix up?
[[gnu::always_inline]] inline bool exceptions_active() noexcept {
  return !current_exception_state()->empty();
}

}  // namespace krait::detail
