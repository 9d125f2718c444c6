// SPDX-License-Identifier: BSL-1.0
#include "krait/asyncio/detail/timers.hpp"

#include <algorithm>
#include <utility>

namespace krait::asyncio::detail {
inline namespace KRAIT_BACKEND {

timers::timers() {
  heap_.reserve(initial);
  slots_.reserve(initial);
  free_.reserve(initial);
}

void timers::lane::grow() {
  std::vector<entry> larger(ring_.size() * 2);
  const std::size_t count = size();
  for (std::size_t i = 0; i < count; ++i) {
    larger[i] = at(i);
  }
  ring_ = std::move(larger);
  head_ = 0;
  tail_ = count;
}

std::uint32_t timers::add(std::int64_t when, callback& what) {
  // All that takes memory comes first.
  if (free_.empty()) {
    if (slots_.size() == slots_.capacity()) {
      free_.reserve(slots_.size() * 2);
      slots_.reserve(slots_.size() * 2);
    }
    slots_.push_back(nullptr);
    free_.push_back(static_cast<std::uint32_t>(slots_.size() - 1));
  }
  lane* best = nullptr;
  for (lane& each : lanes_) {
    if (each.empty()) {
      best = best != nullptr ? best : &each;
    } else if (each.back().when <= when &&
               (best == nullptr || best->empty() || best->back().when < each.back().when)) {
      best = &each;
    }
  }
  if (best == nullptr) {
    heap_.push_back({});
  } else if (best->full()) {
    best->grow();
  }

  const std::uint32_t slot = free_.back();
  free_.pop_back();
  slots_[slot] = &what;
  const entry made{when, sequence_++, slot};
  ++live_;
  earliest_ = std::min(earliest_, when);
  if (best != nullptr) {
    best->push(made);
    return slot;
  }
  std::size_t i = heap_.size() - 1;
  while (i != 0 && made.before(heap_[(i - 1) / 4])) {
    heap_[i] = heap_[(i - 1) / 4];
    i = (i - 1) / 4;
  }
  heap_[i] = made;
  return slot;
}

void timers::cancel(std::uint32_t slot) noexcept {
  slots_[slot] = nullptr;
  --live_;
  ++dead_;
  if (dead_ > 100 && dead_ > live_) {
    rebuild();
  }
}

callback* timers::pop_due(std::int64_t now) noexcept {
  for (;;) {
    lane* of;
    entry* const next = first(of);
    earliest_ = next == nullptr ? never : next->when;
    if (next == nullptr || next->when > now) {
      return nullptr;
    }
    const std::uint32_t slot = next->slot;
    callback* const what = std::exchange(slots_[slot], nullptr);
    of != nullptr ? of->pop() : pop_heap();
    free(slot);
    if (what != nullptr) {
      --live_;
      return what;
    }
    --dead_;
  }
}

/// The first, dead or alive; of: its lane, null for the heap. Dead ones before it are gone.
timers::entry* timers::first(lane*& of) noexcept {
  entry* best = nullptr;
  of = nullptr;
  for (lane& each : lanes_) {
    while (!each.empty() && slots_[each.front().slot] == nullptr) {
      free(each.front().slot);
      each.pop();
      --dead_;
    }
    if (!each.empty() && (best == nullptr || each.front().before(*best))) {
      best = &each.front();
      of = &each;
    }
  }
  while (!heap_.empty() && slots_[heap_[0].slot] == nullptr) {
    free(heap_[0].slot);
    pop_heap();
    --dead_;
  }
  if (!heap_.empty() && (best == nullptr || heap_[0].before(*best))) {
    best = &heap_[0];
    of = nullptr;
  }
  return best;
}

void timers::pop_heap() noexcept {
  const entry last = heap_.back();
  heap_.pop_back();
  if (!heap_.empty()) {
    sift_down(0, last);
  }
}

void timers::sift_down(std::size_t i, entry moved) noexcept {
  for (std::size_t child; (child = 4 * i + 1) < heap_.size();) {
    std::size_t least = child;
    for (std::size_t other = child + 1; other < std::min(child + 4, heap_.size()); ++other) {
      least = heap_[other].before(heap_[least]) ? other : least;
    }
    if (!heap_[least].before(moved)) {
      break;
    }
    heap_[i] = heap_[least];
    i = least;
  }
  heap_[i] = moved;
}

/// Without the dead.
void timers::rebuild() noexcept {
  const auto alive = [&](const entry& each) {
    if (slots_[each.slot] != nullptr) {
      return true;
    }
    free(each.slot);
    return false;
  };
  for (lane& each : lanes_) {
    std::size_t kept = 0;
    for (std::size_t i = 0; i < each.size(); ++i) {
      if (const entry moved = each.at(i); alive(moved)) {
        each.at(kept++) = moved;
      }
    }
    each.shrink(kept);
  }
  std::erase_if(heap_, [&](const entry& each) { return !alive(each); });
  for (std::size_t i = heap_.size() / 4 + 1; i-- > 0;) {
    if (i < heap_.size()) {
      sift_down(i, heap_[i]);
    }
  }
  dead_ = 0;
}

}  // namespace KRAIT_BACKEND
}  // namespace krait::asyncio::detail
