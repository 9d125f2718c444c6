// SPDX-License-Identifier: BSL-1.0
#pragma once

// Queues between tasks of one loop, for one thread. A queue must outlive the tasks that wait in it. What throws
// std::bad_alloc has put nothing.

#include <algorithm>
#include <cstddef>
#include <functional>
#include <memory>
#include <new>
#include <optional>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "krait/asyncio/locks.hpp"
#include "krait/generator.hpp"

namespace krait::asyncio {

// Of default visibility, as in krait/exceptions.hpp.
#pragma GCC visibility push(default)
/// Raised by get_nowait(). Python: asyncio.QueueEmpty.
class queue_empty : public std::runtime_error {
 public:
  queue_empty() : std::runtime_error("queue is empty") {}
};
/// Raised by put_nowait(). Python: asyncio.QueueFull.
class queue_full : public std::runtime_error {
 public:
  queue_full() : std::runtime_error("queue is full") {}
};
/// Raised by queues after shutdown(). Python: asyncio.QueueShutDown.
class queue_shut_down : public std::runtime_error {
 public:
  queue_shut_down() : std::runtime_error("queue is shut down") {}
};
#pragma GCC visibility pop

namespace detail {
inline namespace KRAIT_BACKEND {

/// What of a queue does not depend on what is in it.
class queue_base {
 public:
  queue_base(const queue_base&) = delete;
  queue_base& operator=(const queue_base&) = delete;

  /// How many may be in it; 0: as many as there is memory for. Python: `q.maxsize`.
  std::size_t maxsize() const noexcept { return maxsize_; }

  /// One that was taken has been dealt with. Throws value_error if more are than were put. Python: `q.task_done()`.
  void task_done();
  /// Waits until all that was put has been dealt with. Throws cancelled_error; runtime_error outside of a task, if it
  /// has to wait. Python: `await q.join()`.
  void join() { finished_.wait(); }

 protected:
  explicit queue_base(std::size_t maxsize) : maxsize_(maxsize) { finished_.set(); }

  /// Waits in a list; if it is cancelled and `possible()` has become true, the next one is woken instead.
  template <class Possible>
  void wait_in(bound_list& list, Possible possible) {
    parked self(this_task());
    list.push_back(self);
    try {
      self.wait();
    } catch (const cancelled_error&) {
      if (self.linked()) {
        self.unlink();
      }
      if (possible() && self.state != waiter::stage::cancelled) {
        wake_next(list);
      }
      throw;
    }
  }
  static void wake_next(wait_list& list) noexcept {
    if (!list.empty()) {
      wake_first(list);
    }
  }
  static void wake_first(wait_list& list) noexcept;
  static void wake_all(wait_list& list) noexcept;
  void has_put() noexcept {
    ++unfinished_;
    finished_.clear();
    wake_next(getters_);
  }
  void has_taken() noexcept { wake_next(putters_); }
  void drained(std::size_t count) noexcept;
  std::string repr_of(const char* kind, std::size_t size) const;

  std::size_t maxsize_;
  std::size_t unfinished_ = 0;
  bool shut_down_ = false;
  event finished_;
  bound_list getters_;
  bound_list putters_;
};

/// A ring, which takes memory only where it has never held so many before.
template <class T>
class ring {
 public:
  ring() = default;
  ring(const ring&) = delete;
  ring& operator=(const ring&) = delete;
  ~ring() {
    clear();
    std::allocator<T>().deallocate(places_, capacity_);
  }

  std::size_t size() const noexcept { return tail_ - head_; }
  bool empty() const noexcept { return head_ == tail_; }
  template <class Item>
  void push_back(Item&& item) {
    if (size() == capacity_) [[unlikely]] {
      grow();
    }
    ::new (static_cast<void*>(at(tail_))) T(std::forward<Item>(item));
    ++tail_;
  }
  T& front() noexcept { return *at(head_); }
  void pop_front() noexcept {
    at(head_)->~T();
    ++head_;
  }
  void clear() noexcept {
    while (!empty()) {
      pop_front();
    }
  }

 private:
  T* at(std::size_t index) const noexcept { return places_ + (index & (capacity_ - 1)); }
  void grow() {
    ring larger;
    larger.capacity_ = capacity_ == 0 ? 8 : 2 * capacity_;
    larger.places_ = std::allocator<T>().allocate(larger.capacity_);
    for (std::size_t i = head_; i != tail_; ++i) {
      larger.push_back(std::move_if_noexcept(*at(i)));
    }
    std::swap(places_, larger.places_);
    std::swap(capacity_, larger.capacity_);
    std::swap(head_, larger.head_);
    std::swap(tail_, larger.tail_);
  }

  T* places_ = nullptr;
  std::size_t capacity_ = 0;
  std::size_t head_ = 0;
  std::size_t tail_ = 0;
};

template <class T>
struct first_in_first_out {
  static constexpr const char* kind = "queue";
  ring<T> items;
  void push(T&& item) { items.push_back(std::move(item)); }
  T pop() {
    T item = std::move(items.front());
    items.pop_front();
    return item;
  }
};
template <class T>
struct last_in_first_out {
  static constexpr const char* kind = "lifo_queue";
  std::vector<T> items;
  void push(T&& item) { items.push_back(std::move(item)); }
  T pop() {
    T item = std::move(items.back());
    items.pop_back();
    return item;
  }
};
template <class T, class Less>
struct least_first {
  static constexpr const char* kind = "priority_queue";
  std::vector<T> items;
  [[no_unique_address]] Less less;
  auto greater() const {
    return [this](const T& a, const T& b) { return less(b, a); };
  }
  void push(T&& item) {
    items.push_back(std::move(item));
    std::push_heap(items.begin(), items.end(), greater());
  }
  T pop() {
    std::pop_heap(items.begin(), items.end(), greater());
    T item = std::move(items.back());
    items.pop_back();
    return item;
  }
};

template <class T, class Order>
class basic_queue : public queue_base {
 public:
  /// See maxsize().
  explicit basic_queue(std::size_t maxsize = 0) : queue_base(maxsize) {}

  /// How many are in it; are there none; is there no room?
  std::size_t qsize() const noexcept { return order_.items.size(); }
  bool empty() const noexcept { return order_.items.empty(); }
  bool full() const noexcept { return maxsize_ != 0 && qsize() >= maxsize_; }

  /// Waits until there is room. Throws cancelled_error, and then nothing was put; queue_shut_down; std::bad_alloc;
  /// runtime_error outside of a task, if it has to wait. Python: `await q.put(item)`.
  void put(T item) {
    while (full()) {
      if (shut_down_) {
        throw queue_shut_down();
      }
      wait_in(putters_, [this] { return !full(); });
    }
    put_nowait(std::move(item));
  }
  /// Without waiting. Throws queue_full; queue_shut_down; std::bad_alloc. Python: `q.put_nowait(item)`.
  void put_nowait(T item) {
    if (shut_down_) {
      throw queue_shut_down();
    }
    if (full()) {
      throw queue_full();
    }
    order_.push(std::move(item));
    has_put();
  }

  /// Waits until there is something, and takes it. Throws cancelled_error, and then nothing was taken; queue_shut_down
  /// if it is shut down, and empty; runtime_error outside of a task, if it has to wait. Python: `await q.get()`.
  T get() {
    while (empty()) {
      if (shut_down_) {
        throw queue_shut_down();
      }
      wait_in(getters_, [this] { return !empty(); });
    }
    return get_nowait();
  }
  /// Without waiting. Throws queue_empty; queue_shut_down if it is shut down, and empty. Python: `q.get_nowait()`.
  T get_nowait() {
    if (empty()) {
      if (shut_down_) {
        throw queue_shut_down();
      }
      throw queue_empty();
    }
    T item = order_.pop();
    has_taken();
    return item;
  }
  /// "<queue object at 0x... maxsize=2 size=1 getters[1] putters[1] tasks=1 shutdown>", without what there is none of.
  /// Python: repr(q).
  std::string repr() const { return repr_of(Order::kind, qsize()); }

  /// As get_nowait(), but none if there is nothing.
  std::optional<T> try_get() { return empty() ? std::nullopt : std::optional<T>(get_nowait()); }

  /// Nothing can be put any more, and when it is empty, nothing be taken; at once, if `immediate`: then what is in it
  /// is dropped, and counts as dealt with. Those who wait are told. Python: `q.shutdown(immediate)`.
  void shutdown(bool immediate = false) {
    shut_down_ = true;
    if (immediate) {
      const std::size_t count = qsize();
      order_.items.clear();
      drained(count);
    }
    wake_all(getters_);
    wake_all(putters_);
  }

  /// What is taken from it, until it is shut down and empty. It must outlive the generator, which waits as get() does.
  generator<T> items() {
    return [this](auto& yield) {
      for (;;) {
        std::optional<T> item;
        try {
          item.emplace(get());
        } catch (const queue_shut_down&) {
          return;
        }
        yield(std::move(*item));
      }
    };
  }

 private:
  Order order_;
};

}  // namespace KRAIT_BACKEND
}  // namespace detail

inline namespace KRAIT_BACKEND {

/// The first in is the first out. Python: asyncio.Queue.
template <class T>
class queue : public detail::basic_queue<T, detail::first_in_first_out<T>> {
 public:
  using detail::basic_queue<T, detail::first_in_first_out<T>>::basic_queue;
};

/// The least comes out first. Python: asyncio.PriorityQueue.
template <class T, class Less = std::less<T>>
class priority_queue : public detail::basic_queue<T, detail::least_first<T, Less>> {
 public:
  using detail::basic_queue<T, detail::least_first<T, Less>>::basic_queue;
};

/// The last in is the first out. Python: asyncio.LifoQueue.
template <class T>
class lifo_queue : public detail::basic_queue<T, detail::last_in_first_out<T>> {
 public:
  using detail::basic_queue<T, detail::last_in_first_out<T>>::basic_queue;
};

}  // namespace KRAIT_BACKEND
}  // namespace krait::asyncio
