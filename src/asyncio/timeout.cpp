// SPDX-License-Identifier: BSL-1.0
#include "krait/asyncio/timeout.hpp"

#include <chrono>
#include <cstdio>

namespace krait::asyncio {
namespace detail {
inline namespace KRAIT_BACKEND {

void cancel_and_wait(const any_future& of) {
  const auto ended = create_future<void>();
  struct scope {
    const any_future& waited;
    callback_id id;
    ~scope() { waited.remove_done_callback(id); }
  } registered{of, add_done_callback(
                       access::state_of(of),
                       [ended] {
                         if (!ended.done()) {
                           ended.set_result();
                         }
                       },
                       &this_task())};
  of.cancel();
  await(ended);
}

}  // namespace KRAIT_BACKEND
}  // namespace detail

inline namespace KRAIT_BACKEND {

void timeout_scope::arm(std::optional<time_point> when, bool due) {
  alarm_.disarm();
  when_ = when;
  if (!when) {
    return;
  }
  alarm_.reserve();
  if (due) {
    task_.loop->queue(alarm_);  // in the next turn
  } else {
    alarm_.arm(when->time_since_epoch() / std::chrono::nanoseconds(1));
  }
}

std::string timeout_scope::repr() const {
  if (!when_) {
    return "<timeout [active] when=none>";
  }
  char seconds[32];
  std::snprintf(seconds, sizeof seconds, "%.3f",
                std::chrono::duration<double>(when_->time_since_epoch()).count());
  return std::string(expiring_ ? "<timeout [expiring] when=" : "<timeout [active] when=") + seconds + ">";
}

void timeout_scope::reschedule(std::optional<time_point> when) {
  if (expiring_) {
    throw runtime_error("Cannot change state of expiring Timeout");
  }
  arm(when, when && *when <= task_.loop->time());
}

}  // namespace KRAIT_BACKEND
}  // namespace krait::asyncio
