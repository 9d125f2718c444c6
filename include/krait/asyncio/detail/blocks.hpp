// SPDX-License-Identifier: BSL-1.0
#pragma once

// Memory for futures and tasks. A program makes and drops a few kinds of them all the time, on one thread: what one
// gives back, the next of that size takes. Of each size so many are kept, until the loop goes. Where a tool watches
// memory, none is.

#include <array>
#include <cstddef>
#include <new>

namespace krait::asyncio::detail {

class blocks {
 public:
  blocks() noexcept;
  blocks(const blocks&) = delete;
  blocks& operator=(const blocks&) = delete;
  ~blocks();

  /// Throws std::bad_alloc.
  void* take(std::size_t size) {
    if (size > largest) {
      return ::operator new(size);
    }
    shelf& from = shelves_[(size - 1) / unit];
    if (from.first == nullptr) [[unlikely]] {
      return ::operator new((size - 1) / unit * unit + unit);
    }
    --from.count;
    block* const taken = from.first;
    from.first = taken->next;
    return taken;
  }

  /// Of the same size as it was taken.
  void give(void* memory, std::size_t size) noexcept {
    if (size > largest) {
      return ::operator delete(memory);
    }
    shelf& to = shelves_[(size - 1) / unit];
    if (to.count >= most_) [[unlikely]] {
      return ::operator delete(memory);
    }
    ++to.count;
    to.first = ::new (memory) block{to.first};
  }

 private:
  static constexpr std::size_t unit = 64;
  static constexpr std::size_t largest = 1024;
  struct block {
    block* next;
  };
  struct shelf {
    block* first = nullptr;
    std::size_t count = 0;
  };

  std::array<shelf, largest / unit> shelves_;
  std::size_t most_;
};

}  // namespace krait::asyncio::detail
