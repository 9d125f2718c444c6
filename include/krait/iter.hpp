// SPDX-License-Identifier: BSL-1.0
#pragma once

// Python's iter() of two arguments: a function that is called again and again, as a range. No generator is
// needed for that, and without one the function runs on the stack of whoever loops: it may yield or await.
//
//     for (const std::string& chunk : krait::iter([&] { return co.await(connection.read()); }, "")) { ... }

#include <functional>
#include <iterator>
#include <memory>
#include <ranges>
#include <type_traits>
#include <utility>

#include "krait/detail/lazy_iterator.hpp"
#include "krait/exceptions.hpp"

namespace krait {

/// What iter() returns: an input range and a view, move-only. Python: callable_iterator.
template <class Function, class Sentinel>
class [[nodiscard]] callable_iterator {
  using item_type = std::invoke_result_t<Function&>;

  struct state {
    Function function;
    Sentinel sentinel;
    detail::lazy_slot<item_type> item{};
    bool due = true;

    /// If the function throws, the next look calls it again.
    auto& look() {
      if (due) {
        item.clear();
        try {
          item.fill([this]() -> item_type { return std::invoke(function); });
          if (*item == sentinel) {
            item.clear();
          }
        } catch (const stop_iteration<>&) {
          item.clear();
        }
        due = false;  // and stays so at the end
      }
      return item;
    }
  };

 public:
  callable_iterator(Function function, Sentinel sentinel)
      : state_(new state{std::move(function), std::move(sentinel)}) {}

  class iterator : public detail::lazy_iterator<iterator, std::remove_cvref_t<item_type>,
                                                std::remove_reference_t<item_type>&> {
   public:
    iterator() = default;
    explicit iterator(state& of) noexcept : state_(&of) {}

   private:
    friend typename iterator::lazy_iterator;
    auto& look() const { return state_->look(); }
    bool& due() const noexcept { return state_->due; }
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
