// SPDX-License-Identifier: BSL-1.0
#pragma once

// What an asynchronous generator and the operations on it share.

#include <memory>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>

#include "krait/asyncgen_hooks.hpp"
#include "krait/awaitable.hpp"
#include "krait/coroutine.hpp"
#include "krait/detail/frame/owner.hpp"
#include "krait/yielder.hpp"

namespace krait {
inline namespace KRAIT_BACKEND {

template <class Yield, class Send, class DriverYield, class DriverSend>
class async_generator;

}  // namespace KRAIT_BACKEND

namespace detail {

/// The operations on an async_generator.
enum class async_method : unsigned char { asend, athrow, aclose };

[[noreturn]] void throw_cannot_reuse_operation(async_method method);
[[noreturn]] void throw_async_generator_running(async_method method);
[[noreturn]] void throw_started_with_value();
[[noreturn]] void throw_cannot_be_sent();
[[noreturn]] void throw_async_not_just_started();
[[noreturn]] void throw_async_cannot_send_none();
[[noreturn]] void throw_of_another_type();

/// Within a handler of a stop_async_iteration that left a body.
[[noreturn]] void throw_stop_async_iteration_escaped();

void warn_operation_never_awaited(async_method method, std::string_view name) noexcept;
void warn_call_never_awaited(std::string_view name) noexcept;

/// What an asynchronous generator and its body share. Both are objects on each
/// other's stacks.
struct async_exchange {
  word item;  ///< what the body has yielded, in this run of it
  word sent;  ///< a Send for the body's pending `yield`
};

inline namespace KRAIT_BACKEND {

#pragma GCC visibility push(default)
/// An async_generator of any items.
template <class DriverYield, class DriverSend>
class driven_async_generator_object : public async_generator_object {
 public:
  virtual coroutine<DriverYield, DriverSend> closing() = 0;
};
#pragma GCC visibility pop

}  // namespace KRAIT_BACKEND
}  // namespace detail

inline namespace KRAIT_BACKEND {

/// What an asynchronous generator's body is given: call it to yield, `await` to await.
template <class Yield, class Send = void, class DriverYield = void, class DriverSend = void>
class async_yielder : public awaiter<DriverYield, DriverSend> {
 public:
  async_yielder(yielder<DriverYield, DriverSend>& yield, detail::async_exchange& exchange) noexcept
      : awaiter<DriverYield, DriverSend>(yield), exchange_(exchange) {}

  /// Suspends the generator; `value` is what the operation that resumed it evaluates to. Returns what
  /// the next one sends. Throws what athrow() and aclose() raise here. Python: `yield value`.
  template <class Y = Yield>
    requires(!std::is_void_v<Y>)
  Send operator()(std::type_identity_t<Y> value) {
    return suspend(detail::word::of(value));
  }

  template <class Y = Yield>
    requires std::is_void_v<Y>
  Send operator()() {
    return suspend(detail::word::of(*this));
  }

 private:
  Send suspend(detail::word item) {
    detail::frame& self = detail::access::frame_of(this->yield_);
    detail::check_stack(self);
    exchange_.item = item;
    if (detail::yield_word(self, item).raises()) {
      detail::raise_pending(self);
    }
    return detail::received<Send>(self, exchange_.sent);
  }

  detail::async_exchange& exchange_;
};

}  // namespace KRAIT_BACKEND

namespace detail {

/// The body of an asynchronous generator as that of a frame.
template <class Handle, class Body>
struct body_with_exchange {
  Body body;
  async_exchange& exchange;

  template <class Yielder>
  void operator()(Yielder& yield) {
    Handle co(yield, exchange);
    try {
      body(co);
    } catch (const stop_async_iteration&) {
      throw_stop_async_iteration_escaped();
    }
  }
};

inline namespace KRAIT_BACKEND {

#pragma GCC visibility push(default)
template <class Yield, class Send, class DriverYield, class DriverSend>
struct async_state final : driven_async_generator_object<DriverYield, DriverSend> {
  using handle = async_yielder<Yield, Send, DriverYield, DriverSend>;

  template <class Body>
  async_state(stack_source* source, Body&& callable, const char* name)
      : body(source, body_with_exchange<handle, std::decay_t<Body>>{std::forward<Body>(callable), exchange},
             name) {}

  detail::frame& frame() const { return body.checked(); }
  std::string_view name() const override { return frame().rest().name; }
  std::string repr() const override { return frame().repr(); }
  coroutine<DriverYield, DriverSend> closing() override {
    using face = async_generator<Yield, Send, DriverYield, DriverSend>;
    return {[self = this->shared_from_this()](auto& co) { co.await(face::from_object(self).aclose()); },
            "aclose"};
  }

  /// Nobody holds it any more.
  static void dropped(async_state* self) noexcept {
    const auto hooks = std::exchange(self->hooks, nullptr);
    const generator_state state = self->frame().state();
    if (hooks == nullptr || !hooks->finalizer || self->ended || state == generator_state::closed ||
        state == generator_state::running) {
      delete self;
      return;
    }
    try {
      finalize(*hooks, std::shared_ptr<async_state>(self, dropped));
    } catch (const std::bad_alloc&) {  // then it was dropped again
    }
  }

  async_exchange exchange;
  owner<yielder<DriverYield, DriverSend>, void, kind::async_generator> body;
  std::shared_ptr<const async_generator_hooks> hooks;
  bool iterated = false;  ///< hooks have been looked up
  bool running = false;   ///< an operation is in flight
  bool ended = false;     ///< was to be closed by an aclose(), though the body may have ignored it
};
#pragma GCC visibility pop

}  // namespace KRAIT_BACKEND
}  // namespace detail
}  // namespace krait
