// SPDX-License-Identifier: BSL-1.0
#pragma once

// Who waits for whom, and where.

#include <cstdint>
#include <iosfwd>
#include <optional>
#include <string>
#include <vector>

#include "krait/asyncio/task.hpp"

namespace krait::asyncio {

/// A function that has not returned. Python: asyncio.FrameCallGraphEntry.
struct call_graph_entry {
  const void* address = nullptr;  ///< in the call that it is in the midst of
  std::string function;           ///< as C++ writes it; empty where the program has no symbol for it
  std::string module;             ///< the file that it is in
  std::uintptr_t offset = 0;      ///< where in that, as addr2line and the like understand it
};

/// How a call graph is made.
struct call_graph_options {
  int depth = 1;  ///< of the task that runs, 1: from whoever asks on; 2: from its caller on, ...
  std::optional<int> limit =
      {};  ///< of each stack no more than so many, innermost; negative: outermost; 0: none
};

inline namespace KRAIT_BACKEND {

/// A task or future, where it is, and who waits for it. Python: asyncio.FutureCallGraph.
struct call_graph {
  any_future future;
  std::string name;  ///< the task's; empty: it is no task
  std::vector<call_graph_entry>
      call_stack;  ///< innermost first; of a future that is no task, and of a task that has
                   ///< not started, empty
  std::vector<call_graph> awaited_by;  ///< tasks
};

/// The graph of the task that runs; none in a callback. What is krait's own inside is left out of the stacks, the
/// functions of its interface are not. Their names come from the program's symbols.
///
/// Throws runtime_error if no loop runs, std::bad_alloc. Python: `asyncio.capture_call_graph()`.
std::optional<call_graph> capture_call_graph(const call_graph_options& options = {});

/// The same of any task or future, whose loop is this thread's, whether it runs or not. Python:
/// `asyncio.capture_call_graph(future)`.
call_graph capture_call_graph(const any_future& of, const call_graph_options& options = {});

/// As text, for humans; empty where there is none. Throws as capture_call_graph(). Python:
/// `asyncio.format_call_graph(future)`.
std::string format_call_graph(const call_graph_options& options = {});
std::string format_call_graph(const any_future& of, const call_graph_options& options = {});

/// Writes that, and the end of a line. Python: `asyncio.print_call_graph(future, file=out)`.
void print_call_graph(std::ostream& out, const call_graph_options& options = {});
void print_call_graph(std::ostream& out, const any_future& of, const call_graph_options& options = {});

}  // namespace KRAIT_BACKEND
}  // namespace krait::asyncio
