// SPDX-License-Identifier: BSL-1.0
#include "krait/asyncio/future.hpp"

#include <cstddef>
#include <string>

#include "krait/asyncio/detail/repr.hpp"
#include "krait/asyncio/event_loop.hpp"

namespace krait::asyncio {
namespace detail {
inline namespace KRAIT_BACKEND {

void note_creation(const future_state& of, const site& where) {
  of.loop->created.insert_or_assign(&of, where);
}

namespace {

/// `whole`: with what it waits for; but not of that again, as tasks may wait in a circle.
std::string repr_of_future(const future_state& of, bool whole) {
  const task_state* const task = of.is_task ? static_cast<const task_state*>(&of) : nullptr;
  std::string how;
  switch (of.status) {
    case status::pending:
      how = task != nullptr && task->cancelling > 0 ? "[cancelling" : "[pending";
      break;
    case status::finished:
      how = "[finished";
      break;
    case status::failed:
      how = "[finished, exception: " + describe(of.exception);
      break;
    case status::cancelled:
      how = "[cancelled";
      break;
  }
  std::size_t waiters = 0;
  auto& all = const_cast<wait_list&>(of.waiters);
  for (const waiter* each = all.begin(); each != all.end(); each = each->next) {
    ++waiters;
  }
  if (waiters > 0) {
    how += ", waiters:" + std::to_string(waiters);
  }
  if (task != nullptr && whole) {
    if (const future_state* const awaited = progress_of(*task).awaited) {
      how += ", waits for " + repr_of_future(*awaited, false);
    }
  }
  if (const auto found = of.loop->created.find(&of); found != of.loop->created.end()) {
    how += ", " + found->second.text();
  }
  how += "]";
  return task != nullptr ? repr_of("task", &of, how, task->name) : repr_of("future", &of, how);
}

}  // namespace

std::string repr(const future_state& of) {
  return repr_of_future(of, true);
}

}  // namespace KRAIT_BACKEND
}  // namespace detail

inline namespace KRAIT_BACKEND {

event_loop& any_future::get_loop() const {
  if (state_->loop->face == nullptr) {
    throw runtime_error("the event loop does not exist any more");
  }
  return *static_cast<event_loop*>(state_->loop->face);
}

std::string any_future::repr() const {
  return detail::repr(*state_);
}

}  // namespace KRAIT_BACKEND
}  // namespace krait::asyncio
