// SPDX-License-Identifier: BSL-1.0
#pragma once

// What tasks of one loop wait for each other with. None of these may be used by two threads, or go while a task waits
// in it. Who waits for a mutex or semaphore stays in its list until it runs, woken or not, so nobody overtakes it; and
// if it is cancelled when it has been woken already, it hands on what it was woken for.
//
// Each belongs to the loop whose task is the first to wait: where one of another loop would, that is a runtime_error.

#include <cstddef>
#include <exception>
#include <optional>
#include <string>
#include <utility>

#include "krait/asyncio/await.hpp"

namespace krait::asyncio {

// Of default visibility, as in krait/exceptions.hpp.
#pragma GCC visibility push(default)
/// Raised in all who wait at a barrier that is reset or aborted. Python: asyncio.BrokenBarrierError.
class broken_barrier_error : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};
#pragma GCC visibility pop

inline namespace KRAIT_BACKEND {

/// One task at a time. Fair. A standard mutex in what it is called, for std::unique_lock and std::scoped_lock. Python:
/// asyncio.Lock.
class mutex {
 public:
  mutex() noexcept = default;
  mutex(const mutex&) = delete;
  mutex& operator=(const mutex&) = delete;

  /// Waits until it is unlocked, and locks it. Throws cancelled_error; runtime_error outside of a task, if it has to
  /// wait. Python: `await lock.acquire()`.
  void acquire();
  /// Without waiting: false if it is locked, or others wait.
  bool try_acquire() noexcept;
  /// Unlocks it, whoever has locked it. Throws runtime_error if it is not locked. Python: `lock.release()`.
  void release();
  bool locked() const noexcept { return locked_; }

  /// "<mutex object at 0x... [locked, waiters:1]>". Python: repr(lock).
  std::string repr() const;

  void lock() { acquire(); }
  bool try_lock() noexcept { return try_acquire(); }
  void unlock() { release(); }

 private:
  void wake_first() noexcept;

  bool locked_ = false;
  detail::bound_list waiters_;
};
using lock = mutex;

/// Something that happens, once for all who wait. Python: asyncio.Event.
class event {
 public:
  event() noexcept = default;
  event(const event&) = delete;
  event& operator=(const event&) = delete;

  /// Wakes all who wait, whatever becomes of it then.
  void set() noexcept;
  void clear() noexcept { set_ = false; }
  bool is_set() const noexcept { return set_; }
  /// Waits until it is set. Throws cancelled_error; runtime_error outside of a task, if it has to wait. Python:
  /// `await event.wait()`.
  void wait();

  /// "<event object at 0x... [unset, waiters:1]>". Python: repr(event).
  std::string repr() const;

 private:
  bool set_ = false;
  detail::bound_list waiters_;
};

/// A number of permits. Fair. Python: asyncio.Semaphore.
class semaphore {
 public:
  /// Throws value_error if it is negative.
  explicit semaphore(std::ptrdiff_t value = 1);
  semaphore(const semaphore&) = delete;
  semaphore& operator=(const semaphore&) = delete;

  /// Waits for a permit. Throws cancelled_error; runtime_error outside of a task, if it has to wait. Python:
  /// `await semaphore.acquire()`.
  void acquire();
  /// Without waiting: false if there is none, or others wait.
  bool try_acquire() noexcept;
  /// Gives one back, or one more. Python: `semaphore.release()`.
  void release() noexcept;
  /// Would acquire() wait?
  bool locked() const noexcept { return value_ == 0 || waiters_.any_live(); }

  /// "<semaphore object at 0x... [unlocked, value:1]>", "<... [locked, waiters:1]>". Python: repr(semaphore).
  std::string repr() const;

  void lock() { acquire(); }
  bool try_lock() noexcept { return try_acquire(); }
  void unlock() noexcept { release(); }

 protected:
  std::ptrdiff_t value_;

 private:
  bool wake_next() noexcept;

  detail::bound_list waiters_;
};

/// One that never has more permits than in the beginning. Python: asyncio.BoundedSemaphore.
class bounded_semaphore : public semaphore {
 public:
  explicit bounded_semaphore(std::ptrdiff_t value = 1) : semaphore(value), bound_(value) {}

  /// Throws value_error if it has all its permits.
  void release();
  void unlock() { release(); }

 private:
  std::ptrdiff_t bound_;
};

/// To wait until something that a mutex guards has changed. It is locked and unlocked as that. Python:
/// asyncio.Condition.
class condition {
 public:
  /// With a mutex of its own, or one that others use, too, and that must outlive it.
  condition() noexcept : mutex_(&own_.emplace()) {}
  explicit condition(mutex& guard) noexcept : mutex_(&guard) {}
  condition(const condition&) = delete;
  condition& operator=(const condition&) = delete;

  void acquire() { mutex_->acquire(); }
  void release() { mutex_->release(); }
  bool locked() const noexcept { return mutex_->locked(); }
  void lock() { acquire(); }
  void unlock() { release(); }

  /// Unlocks, waits until it is notified, and locks again, whatever happens meanwhile. May wake for nothing. Throws
  /// cancelled_error; runtime_error if it is not locked, or outside of a task. Python: `await condition.wait()`.
  void wait();
  /// Waits until `predicate()` is true, and returns what that is then; if it is at once, nothing needs to be locked.
  /// Else throws as wait(). Python: `await condition.wait_for(predicate)`.
  template <class Predicate>
  auto wait_for(Predicate predicate) {
    for (;;) {
      if (auto is = predicate()) {
        return is;
      }
      wait();
    }
  }

  /// Wakes so many, or all. Throws runtime_error if it is not locked. Python: `condition.notify(n)`.
  void notify(std::size_t count = 1);
  void notify_all() { notify(static_cast<std::size_t>(-1)); }

  /// "<condition object at 0x... [locked, waiters:1]>". Python: repr(condition).
  std::string repr() const;

 private:
  void wake(std::size_t count) noexcept;

  std::optional<mutex> own_;
  mutex* mutex_;
  detail::bound_list waiters_;
};

/// Where so many wait for each other. Python: asyncio.Barrier.
class barrier {
 public:
  /// Throws value_error if it is less than one.
  explicit barrier(std::ptrdiff_t parties);
  barrier(const barrier&) = delete;
  barrier& operator=(const barrier&) = delete;

  /// Waits until all are here, and returns which of them this is, from 0. Throws cancelled_error; broken_barrier_error
  /// if it is broken, or is reset or aborted meanwhile; runtime_error outside of a task, if it has to wait. Python:
  /// `await barrier.wait()`.
  std::size_t wait();
  /// All who wait are told that it is broken; then it is as new. May wait for its lock, and then throw cancelled_error.
  /// Python: `await barrier.reset()`.
  void reset();
  /// Breaks it until it is reset; else as that. Python: `await barrier.abort()`.
  void abort();

  /// For krait::with: each party's index. Python: `async with barrier as index`.
  std::size_t enter() { return wait(); }
  void exit(const std::exception_ptr&) const noexcept {}

  /// "<barrier object at 0x... [filling, waiters:1/3]>", or draining, or resetting; "<... [broken]>". Python:
  /// repr(barrier).
  std::string repr() const;

  /// How many wait for each other; how many wait now; must it be reset?
  std::size_t parties() const noexcept { return parties_; }
  std::size_t n_waiting() const noexcept { return stage_ == stage::filling ? count_ : 0; }
  bool broken() const noexcept { return stage_ == stage::broken; }

 private:
  enum class stage : unsigned char { filling, draining, resetting, broken };

  void leave() noexcept;

  condition changed_;
  std::size_t parties_;
  std::size_t count_ = 0;
  stage stage_ = stage::filling;
};

}  // namespace KRAIT_BACKEND
}  // namespace krait::asyncio
