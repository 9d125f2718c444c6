// SPDX-License-Identifier: BSL-1.0
#pragma once

// A stack that runs tasks, one after the other; it lies at the stack's top.

#include <cstddef>

#include "krait/asyncio/detail/loop.hpp"
#include "krait/detail/resident.hpp"
#include "krait/detail/switch/flow.hpp"
#include "krait/stack.hpp"

namespace krait::asyncio::detail {
inline namespace KRAIT_BACKEND {

struct alignas(64) worker : krait::detail::registers,  // nobody's: where backtraces end
                            krait::detail::lodger {
  krait::detail::flow here;
  void* fiber = nullptr;
  loop_state* loop;
  task_state* runs = nullptr;
  worker* next = nullptr;  ///< idle, too

  /// Throws std::bad_alloc.
  static worker& make(loop_state& loop);

  /// One that is idle: nothing is on its stack but enter().
  void destroy() noexcept;

 private:
  worker(loop_state& of, const krait::stack& where) noexcept
      : krait::detail::registers(krait::detail::nobody()), krait::detail::lodger{&ways, where}, loop(&of) {}
  ~worker() = default;

  static void enter(krait::detail::registers& above) noexcept;
  static const manners ways;
};

/// "<task object NAME at 0x...>": see krait::detail::introduce().
std::size_t introduce(const task_state& of, char* text, std::size_t size) noexcept;

/// All loops that there are, linked.
extern constinit loop_state* loops;

}  // namespace KRAIT_BACKEND
}  // namespace krait::asyncio::detail
