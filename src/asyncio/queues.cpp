// SPDX-License-Identifier: BSL-1.0
#include "krait/asyncio/queues.hpp"

#include <string>

#include "krait/asyncio/detail/repr.hpp"

namespace krait::asyncio::detail {
inline namespace KRAIT_BACKEND {

void queue_base::task_done() {
  if (unfinished_ == 0) {
    throw value_error("task_done() called too many times");
  }
  if (--unfinished_ == 0) {
    finished_.set();
  }
}

void queue_base::wake_first(wait_list& list) noexcept {
  if (waiter* const next = list.first_waiting()) {
    next->unlink();
    next->task->loop->wake(*next);
    next->task->loop->notice();
  }
}

void queue_base::wake_all(wait_list& list) noexcept {
  while (list.first_waiting() != nullptr) {
    wake_next(list);
  }
}

std::string queue_base::repr_of(const char* kind, std::size_t size) const {
  std::string how = "maxsize=" + std::to_string(maxsize_);
  const auto count = [&](const char* before, std::size_t number, const char* after) {
    if (number != 0) {
      how += before + std::to_string(number) + after;
    }
  };
  count(" size=", size, "");
  count(" getters[", getters_.size(), "]");
  count(" putters[", putters_.size(), "]");
  count(" tasks=", unfinished_, "");
  return detail::repr_of(kind, this, how + (shut_down_ ? " shutdown" : ""));
}

void queue_base::drained(std::size_t count) noexcept {
  unfinished_ -= std::min(unfinished_, count);
  if (unfinished_ == 0) {
    finished_.set();
  }
}

}  // namespace KRAIT_BACKEND
}  // namespace krait::asyncio::detail
