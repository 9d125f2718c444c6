// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <functional>
#include <tuple>
#include <type_traits>
#include <utility>

#include "krait/contextlib/async_with.hpp"
#include "krait/coroutine.hpp"
#include "krait/detail/async_state.hpp"
#include "krait/detail/config.hpp"
#include "krait/detail/frame/errors.hpp"

namespace krait {

namespace detail {
inline namespace KRAIT_BACKEND {

/// A coroutine whose Yield and Send are those of whoever awaits it: made of a function that awaits, when it
/// is awaited.
template <class Function>
class [[nodiscard]] deferred_coroutine {
 public:
  using awaits_itself = void;
  deferred_coroutine(Function function, const char* name) : function_(std::move(function)), name_(name) {}
  deferred_coroutine(deferred_coroutine&& other)
      : function_(std::move(other.function_)), name_(other.name_), used_(std::exchange(other.used_, true)) {}
  deferred_coroutine& operator=(deferred_coroutine&&) = delete;
  ~deferred_coroutine() {
    if (!used_) {
      warn_call_never_awaited(name_);
    }
  }

  template <class Y, class S>
  auto await_in(yielder<Y, S>& yield) {
    if (std::exchange(used_, true)) {
      throw_cannot_reuse_coroutine();
    }
    using result = std::invoke_result_t<Function&, awaiter<Y, S>&>;
    return awaiter<Y, S>(yield).await(coroutine<Y, S, result>(std::ref(function_), name_));
  }

 private:
  Function function_;
  const char* name_;
  bool used_ = false;
};

}  // namespace KRAIT_BACKEND
}  // namespace detail

/// A function each call of which is to be awaited, and then runs within a manager of its own, made by
/// `make_manager()`: it awaits what `function(arguments...)` returns, with the arguments as std::thread would
/// keep them (a reference by std::ref). The result is what async_with() has. A call can be awaited once, and
/// not awaited it warns, as a coroutine does; its name is that of the function which decorates. Python:
/// contextlib.AsyncContextDecorator.
template <class MakeManager, class Function>
auto async_context_decorator(MakeManager make_manager, Function function,
                             const char* name = __builtin_FUNCTION()) {
  return [make_manager = std::move(make_manager), function = std::move(function),
          name]<class... Arguments>(Arguments&&... arguments) {
    return detail::deferred_coroutine(
        [make_manager, function,
         arguments = std::tuple<std::decay_t<Arguments>...>(std::forward<Arguments>(arguments)...)](
            auto& co) mutable {
          return async_with(co, make_manager(),
                            [&] { return co.await(std::apply(function, std::move(arguments))); });
        },
        name);
  };
}

}  // namespace krait
