// SPDX-License-Identifier: BSL-1.0
#pragma once

// Python's iter() of two arguments: a function that is called again and again, as a range. No generator is
// needed for that, and without one the function runs on the stack of whoever loops: it may yield or await.
//
//     for (const std::string& chunk : krait::iter([&] { return co.await(connection.read()); }, "")) { ... }

#include <cstddef>
#include <functional>
#include <iterator>
#include <memory>
#include <optional>
#include <ranges>
#include <type_traits>
#include <utility>

#include "krait/exceptions.hpp"

namespace krait {

/// What iter() returns: an input range and a view, move-only. Python: callable_iterator.
template <class Function, class Sentinel>
class [[nodiscard]] callable_iterator {
  using item_type = std::invoke_result_t<Function&>;
  using slot_type = std::conditional_t<std::is_reference_v<item_type>, std::remove_reference_t<item_type>*,
                                       std::optional<item_type>>;

  struct state {
    Function function;
    Sentinel sentinel;
    slot_type item{};
    bool due = true;

    /// Calls the function, if the next item has not been looked at yet. If it throws, the next look calls it
    /// again.
    void fetch_if_due() {
      if (!due) {
        return;
      }
      item = slot_type();
      try {
        call();
        if (*item == sentinel) {
          item = slot_type();
        }
      } catch (const stop_iteration<>&) {
        item = slot_type();
      }
      due = false;  // and stays so at the end
    }
    void call() {
      if constexpr (std::is_reference_v<item_type>) {
        item = std::addressof(std::invoke(function));
      } else {
        item.emplace(std::invoke(function));
      }
    }
  };

 public:
  callable_iterator(Function function, Sentinel sentinel)
      : state_(new state{std::move(function), std::move(sentinel)}) {}

  class iterator {
   public:
    using iterator_concept = std::input_iterator_tag;
    using value_type = std::remove_cvref_t<item_type>;
    using reference = std::remove_reference_t<item_type>&;
    using difference_type = std::ptrdiff_t;

    iterator() = default;

    reference operator*() const {
      state_->fetch_if_due();
      return *state_->item;
    }
    iterator& operator++() {
      state_->fetch_if_due();
      state_->due = true;
      return *this;
    }
    void operator++(int) { ++*this; }

    friend bool operator==(const iterator& it, std::default_sentinel_t) {
      it.state_->fetch_if_due();
      return !it.state_->item;
    }

   private:
    friend class callable_iterator;
    explicit iterator(state& of) noexcept : state_(&of) {}
    state* state_ = nullptr;
  };

  /// Goes on where the loop before has left off. Throws value_error after it was moved from.
  iterator begin() {
    if (state_ == nullptr) {
      throw value_error("this iter() was moved from");
    }
    return iterator(*state_);
  }
  std::default_sentinel_t end() const noexcept { return std::default_sentinel; }

 private:
  std::unique_ptr<state> state_;
};

/// The results of `function()`, called when the loop comes to them, up to the first that equals `sentinel`;
/// or to a stop_iteration out of it. What else it throws comes out, and does not end the range. Python:
/// `iter(callable, sentinel)`.
///
/// Throws std::bad_alloc, and what copying or moving the arguments throws.
template <class Function, class Sentinel>
auto iter(Function function, Sentinel sentinel) {
  using item = std::invoke_result_t<Function&>;
  static_assert(!std::is_void_v<item>,
                "iter: the function returns something, to be compared with the sentinel");
  static_assert(
      std::is_void_v<item> || requires(item object) { object == sentinel ? 1 : 0; },
      "iter: what the function returns cannot be compared with the sentinel");
  return callable_iterator<Function, Sentinel>(std::move(function), std::move(sentinel));
}

}  // namespace krait

template <class Function, class Sentinel>
inline constexpr bool std::ranges::enable_view<krait::callable_iterator<Function, Sentinel>> = true;
