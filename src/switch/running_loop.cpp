// SPDX-License-Identifier: BSL-1.0
#include "krait/detail/switch/running_loop.hpp"

namespace krait::detail {

// The header's assembly reads these by name.
extern "C" {
[[gnu::used, gnu::tls_model("initial-exec")]] constinit __thread void* krait_running_loop_native = nullptr;
[[gnu::used, gnu::tls_model("initial-exec")]] constinit __thread void* krait_running_loop_fcontext = nullptr;
}

[[gnu::noinline]] void*& running_loop_native() noexcept {
  asm volatile("" ::: "memory");  // not to be taken for constant
  return krait_running_loop_native;
}
[[gnu::noinline]] void*& running_loop_fcontext() noexcept {
  asm volatile("" ::: "memory");
  return krait_running_loop_fcontext;
}

}  // namespace krait::detail
