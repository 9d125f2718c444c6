// SPDX-License-Identifier: BSL-1.0
#include "krait/asyncio/call_graph.hpp"

// Nothing is noted down while tasks run: who waits for a future stands in its list, or has put a callback there on
// behalf of itself; and where a task is, its stack says.

#include <unwind.h>

#include <algorithm>
#include <cstdio>
#include <ostream>
#include <string_view>
#include <utility>

#include "asyncio/call_graph.hpp"
#include "asyncio/symbols.hpp"
#include "krait/detail/frame/residence.hpp"
#include "krait/detail/switch/call_from.hpp"

namespace krait::asyncio {
namespace detail {
inline namespace KRAIT_BACKEND {

namespace {

/// A walk from the innermost function outwards.
struct walk {
  std::vector<const void*> found;
  const void* base = nullptr;  ///< of the outermost

  static _Unwind_Reason_Code note(_Unwind_Context* context, void* data) {
    auto& self = *static_cast<walk*>(data);
    int before = 0;  // is the address that of what comes next, and so not to be taken for the call's?
    const auto address = static_cast<std::uintptr_t>(_Unwind_GetIPInfo(context, &before));
    self.base = reinterpret_cast<const void*>(_Unwind_GetCFA(context));
    if (address == 0 || self.found.size() >= most) {
      return _URC_END_OF_STACK;
    }
    try {
      self.found.push_back(reinterpret_cast<const void*>(address - (before == 0 ? 1 : 0)));
    } catch (...) {
      return _URC_END_OF_STACK;
    }
    return _URC_NO_REASON;
  }

  static void look(void* self) { _Unwind_Backtrace(&note, self); }

  /// What is below the base of a generator's stack: there, Boost.Context leads nowhere.
  void go_on() {
#if !defined(KRAIT_NATIVE)
    const void* before = nullptr;
    while (base != before && found.size() < most) {
      const krait::detail::frame* const at_base = krait::detail::frame_around(base);
      if (at_base == nullptr) {
        return;
      }
      before = base;
      krait::detail::call_from(at_base->caller, &look, this);
    }
#endif
  }

  static constexpr std::size_t most = 10'000;
};

/// A name without template arguments, what is returned, and parameters.
std::string plain(std::string_view name) {
  std::string text;
  int depth = 0;
  for (std::size_t i = 0; i < name.size() && (depth > 0 || name[i] != '(' || i == 0); ++i) {
    if (name[i] == '<') {
      ++depth;
    } else if (name[i] == '>') {
      --depth;
    } else if (depth == 0) {
      text = name[i] == ' ' ? std::string() : text + name[i];
    }
  }
  return text;
}

/// What nobody wants to see who looks for where a task is.
bool is_inside(std::string_view function) {
  const std::string name = plain(function);
  return name.starts_with("krait::detail::") || name.starts_with("krait::asyncio::detail::") ||
         name == "krait_native_start" || name == "krait_native_end" || name == "make_fcontext" ||
         name == "jump_fcontext" || name == "ontop_fcontext";
}

std::vector<call_graph_entry> described(const std::vector<const void*>& stack, std::optional<int> limit,
                                        symbols& names) {
  std::vector<call_graph_entry> all;
  for (const void* const address : stack) {
    symbol its = names.at(address);
    if (!is_inside(its.function)) {
      all.push_back({address, std::move(its.function), std::move(its.module), its.offset});
    }
  }
  if (limit && *limit >= 0 && static_cast<std::size_t>(*limit) < all.size()) {
    all.resize(static_cast<std::size_t>(*limit));
  } else if (limit && *limit < 0 && static_cast<std::size_t>(-static_cast<long>(*limit)) < all.size()) {
    all.erase(all.begin(), all.end() + *limit);
  }
  return all;
}

/// Those who wait for it; of who do so by a future, such as gather()'s, those who wait for that.
void collect_awaiting(future_state& of, std::vector<task_state*>& found) {
  for (const waiter* each = of.waiters.begin(); each != of.waiters.end(); each = each->next) {
    future_state* const by =
        each->task != nullptr ? each->task : static_cast<const callback*>(each)->on_behalf_of;
    if (by == nullptr) {
      continue;
    }
    if (!by->is_task) {
      collect_awaiting(*by, found);
    } else if (auto* const task = static_cast<task_state*>(by);
               std::ranges::find(found, task) == found.end()) {
      found.push_back(task);
    }
  }
}

any_future handle_of(future_state& of) noexcept {
  of.retain();
  return access::make<any_future>(of);
}

/// The stack of the task that runs, from the function on that `caller` returns to.
std::vector<const void*> stack_here(const void* caller, int depth) {
  walk whole;
  walk::look(&whole);
  whole.go_on();
  auto& all = whole.found;
  const auto first = std::ranges::find(all, static_cast<const void*>(static_cast<const char*>(caller) - 1));
  all.erase(all.begin(), first);
  all.erase(all.begin(), all.begin() + std::clamp<std::ptrdiff_t>(depth - 1, 0, std::ssize(all)));
  return std::move(all);
}

struct capture {
  std::optional<int> limit;
  const void* caller;  ///< from where on the stack of the task that runs is shown
  detail::symbols symbols = {};
  std::vector<const future_state*> path = {};  ///< from the one that was asked for: they may wait in a circle

  std::vector<const void*> stack_of(future_state& of) {
    walk whole;
    if (of.is_task && !of.done()) {
      auto& task = static_cast<task_state&>(of);
      if (task.loop->current == &task) {
        return stack_here(caller, 1);
      }
      if (task.at.resume_at != nullptr) {
        krait::detail::call_from(task.at, &walk::look, &whole);
        whole.go_on();
      }
    }
    return std::move(whole.found);
  }

  call_graph graph_of(future_state& of, const std::vector<const void*>& stack) {
    call_graph graph{handle_of(of),
                     of.is_task ? static_cast<task_state&>(of).name : std::string(),
                     described(stack, limit, symbols),
                     {}};
    path.push_back(&of);
    std::vector<task_state*> awaiting;
    collect_awaiting(of, awaiting);
    for (task_state* const each : awaiting) {
      if (std::ranges::find(path, each) == path.end()) {
        graph.awaited_by.push_back(graph_of(*each, stack_of(*each)));
      }
    }
    path.pop_back();
    return graph;
  }
};

call_graph graph_of(const any_future& of, const call_graph_options& options, const void* caller) {
  future_state& state = access::state_of(of);
  capture all{options.limit, caller};
  const bool runs = state.is_task && state.loop->current == &state;
  return all.graph_of(state, runs ? stack_here(caller, options.depth) : all.stack_of(state));
}

std::optional<call_graph> graph_of_current(const call_graph_options& options, const void* caller) {
  const any_task current = current_task();
  return current ? std::optional(graph_of(current, options, caller)) : std::nullopt;
}

void write_stack(const std::vector<call_graph_entry>& stack, const std::string& indent, std::string& text) {
  if (!stack.empty()) {
    text += indent + "  + Call stack:\n";
  }
  for (const call_graph_entry& each : stack) {
    char offset[2 + 2 * sizeof(void*) + 1];
    std::snprintf(offset, sizeof offset, "%#zx", static_cast<std::size_t>(each.offset));
    text += indent + "  |   " + (each.function.empty() ? "?" : each.function) + " in " +
            each.module.substr(each.module.rfind('/') + 1) + "+" + offset + "\n";
  }
}

std::string title_of(const any_future& of) {
  future_state& state = access::state_of(of);
  char address[2 + 2 * sizeof(void*) + 1];
  std::snprintf(address, sizeof address, "%#zx", reinterpret_cast<std::size_t>(&state));
  return (state.is_task ? "Task(name='" + static_cast<task_state&>(state).name + "', id="
                        : std::string("Future(id=")) +
         address + ")";
}

void write(const call_graph& graph, const std::string& indent, std::string& text) {
  text += indent + "* " + title_of(graph.future) + "\n";
  write_stack(graph.call_stack, indent, text);
  if (!graph.awaited_by.empty()) {
    text += indent + "  + Awaited by:\n";
    for (const call_graph& each : graph.awaited_by) {
      write(each, indent + "    ", text);
    }
  }
}

std::string written(const std::optional<call_graph>& graph) {
  std::string text;
  if (graph) {
    write(*graph, "", text);
    text.pop_back();
  }
  return text;
}

}  // namespace

std::string describe_waiting(task_state& of) {
  capture all{{}, nullptr};
  std::string text;
  write_stack(described(all.stack_of(of), {}, all.symbols), "", text);
  if (const future_state* const awaited = progress_of(of).awaited) {
    text += "  + Awaits:\n      * " + title_of(handle_of(const_cast<future_state&>(*awaited))) + "\n";
  }
  if (!text.empty()) {
    text.pop_back();
  }
  return text;
}

}  // namespace KRAIT_BACKEND
}  // namespace detail

inline namespace KRAIT_BACKEND {

// Each is a function of its own, as it says where it was called from.
#define KRAIT_CALLED_FROM __builtin_extract_return_addr(__builtin_return_address(0))

[[gnu::noinline]] std::optional<call_graph> capture_call_graph(const call_graph_options& options) {
  return detail::graph_of_current(options, KRAIT_CALLED_FROM);
}

[[gnu::noinline]] call_graph capture_call_graph(const any_future& of, const call_graph_options& options) {
  return detail::graph_of(of, options, KRAIT_CALLED_FROM);
}

[[gnu::noinline]] std::string format_call_graph(const call_graph_options& options) {
  return detail::written(detail::graph_of_current(options, KRAIT_CALLED_FROM));
}

[[gnu::noinline]] std::string format_call_graph(const any_future& of, const call_graph_options& options) {
  return detail::written(detail::graph_of(of, options, KRAIT_CALLED_FROM));
}

[[gnu::noinline]] void print_call_graph(std::ostream& out, const call_graph_options& options) {
  out << detail::written(detail::graph_of_current(options, KRAIT_CALLED_FROM)) << '\n';
}

[[gnu::noinline]] void print_call_graph(std::ostream& out, const any_future& of,
                                        const call_graph_options& options) {
  out << detail::written(detail::graph_of(of, options, KRAIT_CALLED_FROM)) << '\n';
}

}  // namespace KRAIT_BACKEND
}  // namespace krait::asyncio
