// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <utility>

#include "krait/awaitable.hpp"
#include "krait/yielder.hpp"

namespace krait::detail {

/// An awaitable made of a function that awaits.
template <class Function>
class deferred {
 public:
  using awaits_itself = void;
  explicit deferred(Function function) : function_(std::move(function)) {}

  template <class Y, class S>
  decltype(auto) await_in(yielder<Y, S>& yield) {
    awaiter<Y, S> co(yield);
    return function_(co);
  }

 private:
  Function function_;
};

}  // namespace krait::detail
