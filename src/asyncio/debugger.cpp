// SPDX-License-Identifier: BSL-1.0

// What a debugger needs to know to find all tasks in memory alone, as src/debugger/debugger.cpp has it of generators:
// the symbol `krait_native_tasks_table`, or `krait_fcontext_tasks_table`. All that it says are words.

#include <cstddef>

#include "asyncio/worker.hpp"
#include "krait/asyncio/detail/loop.hpp"

// Tasks are no standard-layout classes. Both compilers support the question all the same.
#pragma GCC diagnostic ignored "-Winvalid-offsetof"

namespace krait::asyncio::detail {
inline namespace KRAIT_BACKEND {

constinit loop_state* loops = nullptr;  // in this file: so whoever has a loop has the table, too

/// All members are words. They may become more, at the end; any other change is a new version.
struct tasks_table {
  std::size_t version = 1;
  std::size_t size = sizeof(tasks_table);

  loop_state** loops = &detail::loops;
  std::size_t loop_next = offsetof(loop_state, next_loop);
  std::size_t loop_tasks = offsetof(loop_state, tasks);
  std::size_t loop_current = offsetof(loop_state, current);

  std::size_t task_next = offsetof(task_state, next);
  std::size_t task_name = offsetof(task_state, name);
  std::size_t task_registers = offsetof(task_state, at);
  std::size_t task_waiting = offsetof(task_state, waiting);
  std::size_t future_is_task = offsetof(future_state, is_task);  // a byte

  std::size_t waiter_stage = offsetof(waiter, state);  // a byte
  std::size_t stage_waiting = static_cast<std::size_t>(waiter::stage::waiting);
  std::size_t waiter_cancel = offsetof(waiter, cancel);
  bool (*cancel_awaited)(waiter&, const std::string&) = &future_waiter::cancel_awaited;
  std::size_t waiter_future = sizeof(waiter);  // of those: a reference, the first of what they add

  // What stands above the stack of a worker is the address of its lodger, and one.
  std::size_t worker_lodger = offsetof(worker, has);
  std::size_t worker_runs = offsetof(worker, runs);
  std::size_t worker_limit = offsetof(worker, memory) + offsetof(krait::stack, limit);
  std::size_t worker_size = offsetof(worker, memory) + offsetof(krait::stack, size);

#if defined(_LIBCPP_VERSION)
  std::size_t names_are_libcpps = 1;
#else
  std::size_t names_are_libcpps = 0;
#endif
};

}  // namespace KRAIT_BACKEND
}  // namespace krait::asyncio::detail

#if defined(KRAIT_NATIVE)
#define KRAIT_TASKS_TABLE krait_native_tasks_table
#else
#define KRAIT_TASKS_TABLE krait_fcontext_tasks_table
#endif

extern "C" {
[[gnu::visibility("hidden")]] extern const krait::asyncio::detail::tasks_table KRAIT_TASKS_TABLE;
[[gnu::retain]] constinit const krait::asyncio::detail::tasks_table KRAIT_TASKS_TABLE;
}
