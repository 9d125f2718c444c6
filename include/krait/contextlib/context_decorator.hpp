// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <concepts>
#include <functional>
#include <type_traits>
#include <utility>

#include "krait/contextlib/with.hpp"

namespace krait {

namespace detail {

/// What context_decorator() returns; const, it can be called if what it is made of can.
template <class MakeManager, class Function>
class decorated {
 public:
  decorated(MakeManager make_manager, Function function)
      : make_manager_(std::move(make_manager)), function_(std::move(function)) {}

  template <class... Arguments>
    requires std::invocable<Function&, Arguments...>
  auto operator()(Arguments&&... arguments) {
    return call(make_manager_, function_, std::forward<Arguments>(arguments)...);
  }
  template <class... Arguments>
    requires std::invocable<const MakeManager&> && std::invocable<const Function&, Arguments...>
  auto operator()(Arguments&&... arguments) const {
    return call(make_manager_, function_, std::forward<Arguments>(arguments)...);
  }

 private:
  template <class... Arguments>
  static auto call(auto& make_manager, auto& function, Arguments&&... arguments) {
    return with(make_manager(), [&] { return std::invoke(function, std::forward<Arguments>(arguments)...); });
  }

  MakeManager make_manager_;
  Function function_;
};

}  // namespace detail

/// A function each call of which runs within a manager of its own, made by `make_manager()`. It
/// returns and throws what with() does. Python: contextlib.ContextDecorator.
template <class MakeManager, class Function>
auto context_decorator(MakeManager make_manager, Function function) {
  return detail::decorated(std::move(make_manager), std::move(function));
}

}  // namespace krait
