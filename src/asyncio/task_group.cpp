// SPDX-License-Identifier: BSL-1.0
#include "krait/asyncio/task_group.hpp"

#include <algorithm>

namespace krait::asyncio {
inline namespace KRAIT_BACKEND {

task_group_scope::child::child(task_group_scope& group) : of(&group) {
  if (const std::size_t needed = group.errors_.size() + group.living_ + 1;
      needed > group.errors_.capacity()) {
    group.errors_.reserve(std::max(needed, 2 * group.errors_.capacity()));
  }
  group.parent_.loop->ready.reserve();
  ++group.living_;
  on_behalf_of = &group.parent_;
  run = [](callback& self) {
    const std::unique_ptr<child> ended(static_cast<child*>(&self));
    ended->of->child_done(*ended);
  };
  drop = [](callback& self) noexcept { delete static_cast<child*>(&self); };
}

task_group_scope::child::~child() {
  --of->living_;
  of->parent_.loop->ready.unreserve();
}

void task_group_scope::check_open() const {
  if (exiting_ && children_ == nullptr) {
    throw runtime_error("TaskGroup is finished");
  }
  if (aborting_) {
    throw runtime_error("TaskGroup is shutting down");
  }
}

void task_group_scope::adopt(std::unique_ptr<child> made, const any_future& of) {
  child& adopted = *made.release();
  adopted.future = of;
  adopted.after = children_;
  if (children_ != nullptr) {
    children_->before = &adopted;
  }
  children_ = &adopted;
  detail::future_state& state = detail::access::state_of(of);
  if (state.done()) {
    state.loop->queue(adopted);
    state.loop->notice();
  } else {
    state.waiters.push_back(adopted);
  }
}

void task_group_scope::child_done(child& ended) {
  (ended.before != nullptr ? ended.before->after : children_) = ended.after;
  if (ended.after != nullptr) {
    ended.after->before = ended.before;
  }
  if (children_ == nullptr && waiting_ != nullptr && waiting_->state == detail::waiter::stage::waiting) {
    parent_.loop->wake(*waiting_);
  }
  if (ended.future.cancelled()) {
    return;
  }
  const std::exception_ptr error = ended.future.exception();
  if (error == nullptr) {
    return;
  }
  errors_.push_back(error);
  if (leaves_loop_ == nullptr && detail::leaves_loop(error)) {
    leaves_loop_ = error;
  }
  if (!aborting_ && !parent_cancel_requested_) {
    abort();
    parent_cancel_requested_ = true;
    parent_.cancel({});
  }
}

void task_group_scope::abort() {
  aborting_ = true;
  // The first comes last in the list.
  child* each = children_;
  while (each != nullptr && each->after != nullptr) {
    each = each->after;
  }
  for (; each != nullptr; each = each->before) {
    if (!each->future.done()) {
      each->future.cancel();
    }
  }
}

void task_group_scope::cancel() {
  if (aborting_) {
    return;
  }
  abort();
  if (!exiting_) {
    parent_cancel_requested_ = true;
    parent_.cancel({});
  }
}

void task_group_scope::body_failed(std::exception_ptr why) {
  if (detail::leaves_loop(why)) {
    leaves_loop_ = leaves_loop_ != nullptr ? leaves_loop_ : why;
  }
  if (krait::detail::holds<cancelled_error>(why)) {
    cancelled_ = std::move(why);
  } else {
    body_error_ = std::move(why);
  }
  if (!aborting_) {
    abort();
  }
}

void task_group_scope::leave() {
  exiting_ = true;
  while (children_ != nullptr) {
    try {
      detail::parked here(parent_);
      waiting_ = &here;
      here.wait();
    } catch (const cancelled_error&) {
      if (!aborting_) {
        cancelled_ = std::current_exception();
        abort();
      }
    }
    waiting_ = nullptr;
  }
  if (leaves_loop_ != nullptr) {
    std::rethrow_exception(leaves_loop_);
  }
  if (parent_cancel_requested_ && parent_.uncancel() == 0) {
    cancelled_ = nullptr;
  }
  if (cancelled_ != nullptr && errors_.empty()) {
    std::rethrow_exception(cancelled_);
  }
  if (body_error_ != nullptr) {
    errors_.push_back(body_error_);
  }
  if (!errors_.empty()) {
    if (parent_.cancelling > 0) {  // who has cancelled it from outside is not forgotten: at the next wait
      parent_.uncancel();
      parent_.cancel({});
    }
    throw exception_group("unhandled errors in a TaskGroup", std::move(errors_));
  }
}

}  // namespace KRAIT_BACKEND
}  // namespace krait::asyncio
