// SPDX-License-Identifier: BSL-1.0
#include "krait/asyncio/timeout.hpp"

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

void timeout_scope::arm(std::optional<time_point> when) {
  alarm_.disarm();
  when_ = when;
  if (!when) {
    return;
  }
  alarm_.reserve();
  if (*when <= clock::now()) {
    task_.loop->queue(alarm_);  // in the next turn
  } else {
    alarm_.arm(when->time_since_epoch() / std::chrono::nanoseconds(1));
  }
}

void timeout_scope::reschedule(std::optional<time_point> when) {
  if (left_) {
    throw runtime_error("Cannot change state of finished Timeout");
  }
  if (expiring_) {
    throw runtime_error("Cannot change state of expiring Timeout");
  }
  arm(when);
}

}  // namespace KRAIT_BACKEND
}  // namespace krait::asyncio
