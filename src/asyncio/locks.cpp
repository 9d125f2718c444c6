// SPDX-License-Identifier: BSL-1.0
#include "krait/asyncio/locks.hpp"

#include <array>
#include <exception>
#include <string>

#include "krait/asyncio/detail/repr.hpp"

namespace krait::asyncio {
inline namespace KRAIT_BACKEND {

namespace {

/// Wakes one who waits, and its loop.
void wake(detail::waiter& who) noexcept {
  who.task->loop->wake(who);
  who.task->loop->notice();
}

std::string repr_of(const char* kind, const void* at, std::string how, const detail::wait_list& waiters) {
  if (!waiters.empty()) {
    how += ", waiters:" + std::to_string(waiters.size());
  }
  return detail::repr_of(kind, at, "[" + how + "]");
}

}  // namespace

bool mutex::try_acquire() noexcept {
  if (locked_ || waiters_.any_live()) {
    return false;
  }
  return locked_ = true;
}

void mutex::acquire() {
  if (try_acquire()) {
    return;
  }
  try {
    detail::wait_in(waiters_);
  } catch (const cancelled_error&) {
    if (!locked_) {
      wake_first();
    }
    throw;
  }
  locked_ = true;
}

void mutex::release() {
  if (!locked_) {
    throw runtime_error("Lock is not acquired.");
  }
  locked_ = false;
  wake_first();
}

/// The first, unless that has been woken and has not run yet.
void mutex::wake_first() noexcept {
  if (!waiters_.empty() && waiters_.begin()->state == detail::waiter::stage::waiting) {
    wake(*waiters_.begin());
  }
}

std::string mutex::repr() const {
  return repr_of("mutex", this, locked_ ? "locked" : "unlocked", waiters_);
}

void event::set() noexcept {
  if (!set_) {
    set_ = true;
    while (detail::waiter* const next = waiters_.first_waiting()) {
      next->unlink();
      wake(*next);
    }
  }
}

void event::wait() {
  if (!set_) {
    detail::wait_in(waiters_);
  }
}

std::string event::repr() const {
  return repr_of("event", this, set_ ? "set" : "unset", waiters_);
}

semaphore::semaphore(std::ptrdiff_t value) : value_(value) {
  if (value < 0) {
    throw value_error("Semaphore initial value must be >= 0");
  }
}

bool semaphore::try_acquire() noexcept {
  if (locked()) {
    return false;
  }
  --value_;
  return true;
}

void semaphore::acquire() {
  if (try_acquire()) {
    return;
  }
  detail::parked self(detail::this_task());
  waiters_.push_back(self);
  const auto wake_others = [&] {
    while (value_ > 0 && wake_next()) {
    }
  };
  try {
    self.wait();
  } catch (const cancelled_error&) {
    self.unlink();
    if (self.state == detail::waiter::stage::woken) {
      ++value_;  // it had the permit
    }
    wake_others();
    throw;
  }
  self.unlink();
  wake_others();
}

void semaphore::release() noexcept {
  ++value_;
  wake_next();
}

/// Gives a permit to the first who waits.
bool semaphore::wake_next() noexcept {
  detail::waiter* const next = waiters_.first_waiting();
  if (next == nullptr) {
    return false;
  }
  --value_;
  wake(*next);
  return true;
}

std::string semaphore::repr() const {
  return repr_of("semaphore", this, locked() ? "locked" : "unlocked, value:" + std::to_string(value_),
                 waiters_);
}

void bounded_semaphore::release() {
  if (value_ >= bound_) {
    throw value_error("BoundedSemaphore released too many times");
  }
  semaphore::release();
}

void condition::wait() {
  if (!locked()) {
    throw runtime_error("cannot wait on un-acquired lock");
  }
  std::exception_ptr raised;
  {
    detail::parked self(detail::this_task());
    waiters_.push_back(self);
    release();
    try {
      self.wait();
    } catch (const cancelled_error&) {
      raised = std::current_exception();
    }
  }
  for (;;) {
    try {
      acquire();
      break;
    } catch (const cancelled_error&) {
      raised = std::current_exception();
    }
  }
  if (raised != nullptr) {
    wake(1);  // perhaps it has been notified: that must not be lost
    std::rethrow_exception(raised);
  }
}

void condition::notify(std::size_t count) {
  if (!locked()) {
    throw runtime_error("cannot notify on un-acquired lock");
  }
  wake(count);
}

void condition::wake(std::size_t count) noexcept {
  for (; count > 0; --count) {
    detail::waiter* const next = waiters_.first_waiting();
    if (next == nullptr) {
      return;
    }
    next->unlink();
    asyncio::wake(*next);
  }
}

std::string condition::repr() const {
  return repr_of("condition", this, locked() ? "locked" : "unlocked", waiters_);
}

barrier::barrier(std::ptrdiff_t parties) : parties_(static_cast<std::size_t>(parties)) {
  if (parties < 1) {
    throw value_error("parties must be >= 1");
  }
}

std::size_t barrier::wait() {
  struct guard {
    condition& held;
    explicit guard(condition& of) : held(of) { held.acquire(); }
    ~guard() { held.release(); }
  } held(changed_);
  changed_.wait_for([&] { return stage_ != stage::draining && stage_ != stage::resetting; });
  if (stage_ == stage::broken) {
    throw broken_barrier_error("Barrier aborted");
  }
  struct counted {
    barrier& self;
    ~counted() { self.leave(); }
  };
  const std::size_t index = count_++;
  const counted here{*this};
  if (count_ == parties_) {
    stage_ = stage::draining;
    changed_.notify_all();
  } else {
    changed_.wait_for([&] { return stage_ != stage::filling; });
    if (stage_ == stage::broken || stage_ == stage::resetting) {
      throw broken_barrier_error("Abort or reset of barrier");
    }
  }
  return index;
}

/// The last to leave makes it as new.
void barrier::leave() noexcept {
  if (--count_ == 0) {
    if (stage_ == stage::draining || stage_ == stage::resetting) {
      stage_ = stage::filling;
    }
    changed_.notify_all();
  }
}

void barrier::reset() {
  changed_.acquire();
  if (count_ > 0) {
    if (stage_ != stage::resetting) {
      stage_ = stage::resetting;
    }
  } else {
    stage_ = stage::filling;
  }
  changed_.notify_all();
  changed_.release();
}

void barrier::abort() {
  changed_.acquire();
  stage_ = stage::broken;
  changed_.notify_all();
  changed_.release();
}

std::string barrier::repr() const {
  static constexpr std::array stages{"filling", "draining", "resetting", "broken"};
  std::string how = stages[static_cast<std::size_t>(stage_)];
  if (!broken()) {
    how += ", waiters:" + std::to_string(n_waiting()) + "/" + std::to_string(parties_);
  }
  return detail::repr_of("barrier", this, "[" + how + "]");
}

}  // namespace KRAIT_BACKEND
}  // namespace krait::asyncio
