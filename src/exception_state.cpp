// SPDX-License-Identifier: BSL-1.0
#include "krait/detail/exception_state.hpp"

#include <utility>

#include "krait/detail/shadow_stack.hpp"

namespace krait::detail {

// The Itanium C++ ABI's function, declared by hand: <cxxabi.h> has it in libstdc++ only, and as a constant
// one.
extern "C" exception_state* __cxa_get_globals() noexcept;  // NOLINT(bugprone-reserved-identifier)

namespace {

// What a thread's pointer says before the thread first asks: something seems to be active, so that the
// question goes to find_exception_state(), which finds out where the state really is.
constinit exception_state not_yet_found{.caught = nullptr, .uncaught = 1};

}  // namespace

// The header's assembly reads this by name. __thread, unlike thread_local, is a plain variable to other
// files.
extern "C" {
[[gnu::used, gnu::visibility("hidden"),
  gnu::tls_model("initial-exec")]] constinit __thread exception_state* krait_exception_state = &not_yet_found;
}

// A thread comes here before its first switch.
[[gnu::noinline]] exception_state* find_exception_state() noexcept {
  refuse_shadow_stack(has_shadow_stack());
  return krait_exception_state = __cxa_get_globals();
}

[[gnu::noinline]] exception_state set_exceptions_aside() noexcept {
  return std::exchange(*find_exception_state(), {});
}

[[gnu::noinline]] void put_exceptions_back(exception_state state) noexcept {
  *find_exception_state() = state;
}

}  // namespace krait::detail
