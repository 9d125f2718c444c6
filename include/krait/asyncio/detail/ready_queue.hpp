// SPDX-License-Identifier: BSL-1.0
#pragma once

// What is to run next: a ring of tagged pointers. Whoever may come to stand in it reserves a place when it is made, so
// that to be woken cannot fail.

#include <cstddef>
#include <cstdint>
#include <memory>

namespace krait::asyncio::detail {

class ready_queue {
 public:
  enum tag : std::uintptr_t {
    parked,
    unstarted,
    called,
    outside,
    watched,
    mask = 7
  };  // watched: parked, in debug mode
  using entry = std::uintptr_t;  ///< zero: erased

  ready_queue() : ring_(std::make_unique<entry[]>(initial)), mask_(initial - 1) {}

  /// One place more. Throws std::bad_alloc.
  void reserve() {
    if (reserved_ > mask_) [[unlikely]] {
      grow();
    }
    ++reserved_;
  }
  void unreserve() noexcept { --reserved_; }

  /// Returns the place.
  std::size_t push(const void* what, tag kind) noexcept {
    ring_[tail_ & mask_] = reinterpret_cast<entry>(what) | kind;
    return tail_++;
  }
  void push_front(const void* what, tag kind) noexcept {
    ring_[--head_ & mask_] = reinterpret_cast<entry>(what) | kind;
  }

  bool empty() const noexcept { return head_ == tail_; }
  std::size_t head() const noexcept { return head_; }
  std::size_t tail() const noexcept { return tail_; }
  entry front() const noexcept { return ring_[head_ & mask_]; }
  void pop() noexcept { ++head_; }

  /// Leaves nothing at a place. It stays reserved until its turn comes, whatever becomes of who stood there.
  void erase(std::size_t place) noexcept { ring_[place & mask_] = 0; }

 private:
  static constexpr std::size_t initial = 64;

  void grow() {
    const std::size_t size = 2 * (mask_ + 1);
    auto larger = std::make_unique<entry[]>(size);
    for (std::size_t i = head_; i != tail_; ++i) {
      larger[i & (size - 1)] = ring_[i & mask_];
    }
    ring_ = std::move(larger);
    mask_ = size - 1;
  }

  std::unique_ptr<entry[]> ring_;
  std::size_t mask_;
  std::size_t head_ = 0;
  std::size_t tail_ = 0;
  std::size_t reserved_ = 1;  // `outside` stands there at most once
};

}  // namespace krait::asyncio::detail
