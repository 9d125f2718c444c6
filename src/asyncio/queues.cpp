// SPDX-License-Identifier: BSL-1.0
#include "krait/asyncio/queues.hpp"

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

void queue_base::wake_next(wait_list& list) noexcept {
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

void queue_base::has_put() noexcept {
  ++unfinished_;
  finished_.clear();
  wake_next(getters_);
}

void queue_base::drained(std::size_t count) noexcept {
  unfinished_ -= std::min(unfinished_, count);
  if (unfinished_ == 0) {
    finished_.set();
  }
}

}  // namespace KRAIT_BACKEND
}  // namespace krait::asyncio::detail
