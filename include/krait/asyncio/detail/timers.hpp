// SPDX-License-Identifier: BSL-1.0
#pragma once

// Deadlines, the earliest first; equal ones in the order in which they were set. Most programs set them in few
// distances from now, each of which is a monotone sequence: so there are four lanes, queues of deadlines that do not
// decrease, and a heap for what fits into none. To cancel leaves a tombstone.

#include <array>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <vector>

#include "krait/asyncio/detail/waiter.hpp"

namespace krait::asyncio::detail {
inline namespace KRAIT_BACKEND {

class timers {
 public:
  static constexpr std::int64_t never = std::numeric_limits<std::int64_t>::max();
  static constexpr std::int64_t forever = never - 1;  ///< a deadline that does not come

  /// With memory for a few. Throws std::bad_alloc.
  timers();

  /// `when`: nanoseconds of steady_clock. Returns what cancel() is told. Throws std::bad_alloc.
  std::uint32_t add(std::int64_t when, callback& what);
  void cancel(std::uint32_t slot) noexcept;

  /// Not later than the first; exact after pop_due() has returned null.
  std::int64_t earliest() const noexcept { return earliest_; }

  /// Takes the first, if that is not later than `now`. Null: there is none.
  callback* pop_due(std::int64_t now) noexcept;

  /// How many are set.
  std::size_t size() const noexcept { return live_; }

 private:
  static constexpr std::size_t initial = 64;

  struct entry {
    std::int64_t when;
    std::uint32_t sequence;
    std::uint32_t slot;

    bool before(const entry& other) const noexcept {
      return when != other.when ? when < other.when
                                : static_cast<std::int32_t>(sequence - other.sequence) < 0;
    }
  };

  /// A ring.
  class lane {
   public:
    bool empty() const noexcept { return head_ == tail_; }
    bool full() const noexcept { return tail_ - head_ == ring_.size(); }
    std::size_t size() const noexcept { return tail_ - head_; }
    entry& at(std::size_t i) noexcept { return ring_[(head_ + i) & (ring_.size() - 1)]; }
    entry& front() noexcept { return at(0); }
    entry& back() noexcept { return at(size() - 1); }
    void pop() noexcept { ++head_; }
    void shrink(std::size_t size) noexcept { tail_ = head_ + size; }
    void push(const entry& last) noexcept { ring_[tail_++ & (ring_.size() - 1)] = last; }
    void grow();

   private:
    std::vector<entry> ring_ = std::vector<entry>(initial);
    std::size_t head_ = 0;
    std::size_t tail_ = 0;
  };

  entry* first(lane*& of) noexcept;
  void pop_heap() noexcept;
  void sift_down(std::size_t i, entry moved) noexcept;
  void rebuild() noexcept;
  void free(std::uint32_t slot) noexcept { free_.push_back(slot); }

  std::array<lane, 4> lanes_;
  std::vector<entry> heap_;
  std::vector<callback*> slots_;     // null: free, or cancelled
  std::vector<std::uint32_t> free_;  // of no less capacity than slots_
  std::uint32_t sequence_ = 0;
  std::size_t live_ = 0;
  std::size_t dead_ = 0;
  std::int64_t earliest_ = never;
};

}  // namespace KRAIT_BACKEND
}  // namespace krait::asyncio::detail
