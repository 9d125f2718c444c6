// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <utility>

namespace krait {

/// Calls `function` and returns what it returns; what it fetches that belongs to a thread is that of the
/// thread which calls now: thread_local variables, `errno`, std::this_thread::get_id().
///
///     const int error = krait::on_this_thread([] { return errno; });
///
/// For bodies that different threads resume. Within one function, compilers take the address of such things
/// for constant, and functions that return it, too, even if they are not inlined: what was fetched before a
/// `yield` may be used after it, on another thread. So do not return a pointer or a reference to such a
/// variable, either, unless it is used before the next `yield`. Throws what `function` throws. Any thread may
/// call it.
template <class Function>
[[gnu::noinline]] decltype(auto) on_this_thread(Function&& function) {
  asm volatile("" ::: "memory");  // what this returns is no constant, whatever `function` does
  return std::forward<Function>(function)();
}

}  // namespace krait
