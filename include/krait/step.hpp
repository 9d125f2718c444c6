// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <type_traits>

#include "krait/detail/void.hpp"

namespace krait {

/// What one resumption of a generator came to: a value yielded, or the end. Python: the result of
/// PyIter_Send.
///
/// It points into the generator: valid until that is resumed, moved from or destroyed.
template <class Yield, class Return>
class [[nodiscard]] step {
  using yielded_type = detail::object_of<Yield>;

 public:
  step(yielded_type* yielded, const Return* result) noexcept : yielded_(yielded), result_(result) {}

  /// Did the body yield? If not, it has returned.
  bool yielded() const noexcept { return yielded_ != nullptr; }
  bool returned() const noexcept { return yielded_ == nullptr; }
  explicit operator bool() const noexcept { return yielded(); }

  /// The yielded object itself: an rvalue if the generator yields values, so that it can be moved from.
  /// Only if yielded().
  template <class Y = Yield>
    requires(!std::is_void_v<Y>)
  Y&& operator*() const noexcept {
    return static_cast<Y&&>(*yielded_);
  }

  template <class Y = Yield>
    requires(!std::is_void_v<Y>)
  yielded_type* operator->() const noexcept {
    return yielded_;
  }

  /// What the body returned. Null if it yielded, had finished before, or returns nothing.
  const Return* result() const noexcept { return result_; }

 private:
  yielded_type* yielded_;
  const Return* result_;
};

}  // namespace krait
