// SPDX-License-Identifier: BSL-1.0
#pragma once

// Input iterators that fetch an item when it is looked at, and not before: breaking off a loop computes no
// item too many.

#include <cstddef>
#include <iterator>
#include <memory>
#include <optional>
#include <type_traits>
#include <utility>

#include "krait/detail/config.hpp"

namespace krait::detail {

/// All of such an iterator but where its items come from. Self has `look()`, which fetches the item if that is due and
/// returns something like a pointer to it (null at the end), and `due()`, which is to be fetched by the next look.
template <class Self, class Value, class Reference>
class lazy_iterator {
 public:
  using iterator_concept = std::input_iterator_tag;
  using value_type = Value;
  using reference = Reference;
  using difference_type = std::ptrdiff_t;

  KRAIT_ALWAYS_INLINE reference operator*() const { return static_cast<reference>(*self().look()); }

  KRAIT_ALWAYS_INLINE Self& operator++() {
    static_cast<void>(self().look());
    self().due() = true;
    return static_cast<Self&>(*this);
  }
  void operator++(int) { ++*this; }

  KRAIT_ALWAYS_INLINE friend bool operator==(const Self& it, std::default_sentinel_t) { return it.ended(); }

 private:
  KRAIT_ALWAYS_INLINE bool ended() const { return !self().look(); }
  KRAIT_ALWAYS_INLINE const Self& self() const noexcept { return static_cast<const Self&>(*this); }
};

/// Where an item is until the next is fetched, or none: a value of its own, or a reference to what belongs to others.
template <class Item>
class lazy_slot {
  using slot_type =
      std::conditional_t<std::is_reference_v<Item>, std::remove_reference_t<Item>*, std::optional<Item>>;

 public:
  template <class Fetch>
  void fill(Fetch fetch) {
    if constexpr (std::is_reference_v<Item>) {
      slot_ = std::addressof(fetch());
    } else {
      slot_.emplace(fetch());
    }
  }
  void clear() noexcept {
    if constexpr (std::is_reference_v<Item>) {
      slot_ = nullptr;
    } else {
      slot_.reset();
    }
  }

  auto& operator*() noexcept { return *slot_; }
  explicit operator bool() const noexcept { return static_cast<bool>(slot_); }

 private:
  slot_type slot_{};
};

}  // namespace krait::detail
