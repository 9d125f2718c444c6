// SPDX-License-Identifier: BSL-1.0
#pragma once

// Who waits: a parked task, or a callback. A waiter lies on the stack of the task, or in what waits, and is linked into
// the list of what it waits for. So to wait takes no memory.

#include <cstddef>
#include <string>

#include "krait/detail/config.hpp"

namespace krait::asyncio::detail {
inline namespace KRAIT_BACKEND {

struct future_state;
struct task_state;

struct waiter {
  enum class stage : unsigned char { waiting, woken, cancelled };

  waiter* previous = nullptr;
  waiter* next = nullptr;
  task_state* task = nullptr;  ///< null: a callback

  /// Asked by task.cancel(), with its message: is that accepted? Then the task will be woken.
  bool (*cancel)(waiter& self, const std::string& message) = nullptr;

  stage state = stage::waiting;
  bool deaf = false;  ///< not to be cancelled, whatever it says

  waiter() = default;
  waiter(const waiter&) = delete;
  waiter& operator=(const waiter&) = delete;

  bool linked() const noexcept { return next != nullptr; }
  void unlink() noexcept {
    previous->next = next;
    next->previous = previous;
    previous = next = nullptr;
  }
};

struct callback : waiter {
  void (*run)(callback& self) = nullptr;
  void (*drop)(callback& self) noexcept =
      nullptr;                           ///< instead, where it will not be run; null: its owner knows
  future_state* on_behalf_of = nullptr;  ///< in a future's list: the task or future that waits for it by this
  std::size_t place = 0;                 ///< in the ready queue, while queued
  bool queued = false;
  bool arrived = false;  ///< by the inbox, where its place in the ready queue was reserved
};

/// In the order in which they came. Those who wait refer to it: it cannot be moved.
class wait_list {
 public:
  wait_list() noexcept { head_.previous = head_.next = &head_; }
  wait_list(const wait_list&) = delete;
  wait_list& operator=(const wait_list&) = delete;

  bool empty() const noexcept { return head_.next == &head_; }
  void push_back(waiter& last) noexcept {
    last.previous = head_.previous;
    last.next = &head_;
    head_.previous->next = &last;
    head_.previous = &last;
  }
  /// Takes all of another list.
  void append(wait_list& others) noexcept {
    while (!others.empty()) {
      push_back(others.pop_front());
    }
  }
  waiter& pop_front() noexcept {
    waiter& first = *head_.next;
    first.unlink();
    return first;
  }

  /// The first that is waiting still; null: none.
  waiter* first_waiting() noexcept {
    for (waiter* each = head_.next; each != &head_; each = each->next) {
      if (each->state == waiter::stage::waiting) {
        return each;
      }
    }
    return nullptr;
  }

  /// Is there anybody who has not been cancelled?
  bool any_live() const noexcept {
    for (const waiter* each = head_.next; each != &head_; each = each->next) {
      if (each->state != waiter::stage::cancelled) {
        return true;
      }
    }
    return false;
  }

  /// How many are in it.
  std::size_t size() const noexcept {
    std::size_t count = 0;
    for (const waiter* each = head_.next; each != &head_; each = each->next) {
      ++count;
    }
    return count;
  }

  waiter* begin() noexcept { return head_.next; }
  /// end() if there is none.
  waiter* last() noexcept { return head_.previous; }
  waiter* end() noexcept { return &head_; }

 private:
  waiter head_;
};

}  // namespace KRAIT_BACKEND
}  // namespace krait::asyncio::detail
