// SPDX-License-Identifier: BSL-1.0
#pragma once

// Which backend this translation unit switches stacks with. A user never sets this by hand: the CMake target
// krait::native defines KRAIT_NATIVE, krait::krait does not. Everything whose code depends on the choice
// lives in an inline namespace named after the backend, so that both can be linked into one program.
#if (defined(__x86_64__) || defined(__aarch64__) || defined(__riscv)) && defined(__LP64__) && defined(__ELF__)
#define KRAIT_HAS_ASSEMBLY 1
#endif
#if defined(KRAIT_NATIVE)
#if !defined(KRAIT_HAS_ASSEMBLY)
#error "krait has no native backend for this machine: link krait::krait (Boost.Context) instead"
#endif
#define KRAIT_BACKEND native
#else
#define KRAIT_BACKEND fcontext
#endif

// Exceptions are the protocol; and the value that one carries is told by its type (detail/stop_value.hpp).
#if !defined(__cpp_exceptions)
#error "krait needs exceptions: compile without -fno-exceptions"
#endif
#if !defined(__cpp_rtti)
#error "krait needs run-time type information: compile without -fno-rtti"
#endif

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

// Whatever stands between a user's code and a switch: a function that is called on one side of a switch and returns on
// the other is mispredicted, which costs more than the switch, and a sanitizer loses count of it. Where nothing is
// optimised or watched, that matters to nobody, and what is inlined would only make all that uses krait larger, slower
// to compile and harder to step through.
#if defined(__OPTIMIZE__) || defined(KRAIT_ASAN) || defined(KRAIT_TSAN)
#define KRAIT_ALWAYS_INLINE [[gnu::always_inline]]
#else
#define KRAIT_ALWAYS_INLINE
#endif

#define KRAIT_STRINGIFY_(x) #x
#define KRAIT_STRINGIFY(x) KRAIT_STRINGIFY_(x)

namespace krait {

/// The backend this translation unit was compiled for: "native" or "fcontext".
inline namespace KRAIT_BACKEND {
inline constexpr const char* backend_name = KRAIT_STRINGIFY(KRAIT_BACKEND);
}

}  // namespace krait

#undef KRAIT_STRINGIFY
#undef KRAIT_STRINGIFY_
