// SPDX-License-Identifier: BSL-1.0
#include "krait/detail/switch/exception_state.hpp"

#include <cxxabi.h>
#include <dlfcn.h>

#include <atomic>
#include <utility>

#include "krait/detail/switch/shadow_stack.hpp"

namespace krait::detail {

// The Itanium C++ ABI's function, declared by hand: <cxxabi.h> has it in libstdc++ only, and as a constant
// one.
exception_state* get_globals() noexcept asm("__cxa_get_globals");

namespace {

// What a thread's pointer says before the thread first asks: something seems to be active, so that the
// question goes to find_exception_state(), which finds out where the state really is.
constinit exception_state not_yet_found{.caught = nullptr, .uncaught = 1};

/// Is get_globals() the C++ runtime's own, which gives each thread one answer for good? It is where the rest
/// of the runtime is; a framework's comes before that, in the program or a library. (Where the runtime is
/// linked into the program itself, the two cannot be told apart.) Also asked within signal handlers, so it
/// takes no lock of its own.
bool globals_are_the_threads() noexcept {
  enum answer : signed char { unknown, yes, no };
  static constinit std::atomic<answer> known = unknown;
  answer found = known.load(std::memory_order_relaxed);
  if (found == unknown) {
    Dl_info globals;
    Dl_info runtime;
    found = ::dladdr(reinterpret_cast<void*>(&get_globals), &globals) == 0 ||
                    ::dladdr(reinterpret_cast<void*>(&abi::__cxa_begin_catch), &runtime) == 0 ||
                    globals.dli_fbase == runtime.dli_fbase
                ? yes
                : no;
    known.store(found, std::memory_order_relaxed);
  }
  return found == yes;
}

}  // namespace

// The header's assembly reads this by name. __thread, unlike thread_local, is a plain variable to other
// files.
extern "C" {
[[gnu::used, gnu::visibility("hidden"),
  gnu::tls_model("initial-exec")]] constinit __thread exception_state* krait_exception_state = &not_yet_found;
}

// A thread comes here before its first switch.
[[gnu::noinline]] exception_state* find_exception_state() noexcept {
  asm volatile("" ::: "memory");  // not to be taken for constant
  refuse_shadow_stack(has_shadow_stack());
  exception_state* const found = get_globals();
  if (globals_are_the_threads()) [[likely]] {
    krait_exception_state = found;
  }
  return found;
}

[[gnu::noinline]] exception_state set_exceptions_aside() noexcept {
  asm volatile("" ::: "memory");
  return std::exchange(*find_exception_state(), {});
}

[[gnu::noinline]] void put_exceptions_back(exception_state state) noexcept {
  asm volatile("" ::: "memory");
  *find_exception_state() = state;
}

}  // namespace krait::detail
