// SPDX-License-Identifier: BSL-1.0
#pragma once

// One operation on an asynchronous generator: it tells what the body awaits, which is for the driver, from
// what it yields, which is the operation's result.

#include <concepts>
#include <cstddef>
#include <exception>
#include <memory>
#include <optional>
#include <type_traits>
#include <utility>

#include "krait/detail/async_state.hpp"
#include "krait/detail/delegation.hpp"
#include "krait/detail/resumable.hpp"
#include "krait/detail/void.hpp"
#include "krait/exceptions.hpp"
#include "krait/none.hpp"

namespace krait {
inline namespace KRAIT_BACKEND {

/// What anext(), asend(), athrow() and aclose() of an async_generator return: to be awaited, or driven
/// by hand with next(), send(), throw_() and close(). Python: async_generator_asend,
/// async_generator_athrow.
///
/// Driven, it gives what its generator's body awaits; it ends with a stop_iteration of the result, with
/// stop_async_iteration, or with what left the body. It can be used once: then, runtime_error `cannot
/// reuse already awaited ...`. While another operation is in flight: runtime_error `...: asynchronous
/// generator is already running`, and this one is used up. Called by the body that it runs: value_error
/// `async generator already executing`, and nothing changes. Dropped before it was used, it warns that it
/// was never awaited. It must not be destroyed by the body that it runs.
template <class Yield, class Send, class DriverYield, class DriverSend, detail::async_method method>
class [[nodiscard]] async_operation {
  using shared_state = detail::async_state<Yield, Send, DriverYield, DriverSend>;
  static constexpr bool is_asend = method == detail::async_method::asend;
  static constexpr bool is_athrow = method == detail::async_method::athrow;
  static constexpr bool is_aclose = method == detail::async_method::aclose;
  static constexpr bool has_item = !is_aclose && !std::is_void_v<Yield>;

  using sent_type = std::conditional_t<std::is_void_v<DriverSend>, detail::nothing, DriverSend>;
  /// What it resumes the body with, the first time.
  using input_type = std::conditional_t<
      is_athrow, std::exception_ptr,
      std::conditional_t<is_asend && !std::is_void_v<Send>,
                         std::optional<std::conditional_t<std::is_void_v<Send>, char, Send>>,
                         detail::nothing>>;

 public:
  using awaits_itself = void;
  /// Of asend() and anext() an item; of athrow() an item or, from a generator that had ended, none; of
  /// aclose() void.
  using return_type =
      std::conditional_t<!has_item, void, std::conditional_t<is_athrow, std::optional<Yield>, Yield>>;

  /// Throws value_error `async generator already executing`, with nothing moved, if it is running its body.
  async_operation(async_operation&& other)
      : shared_(std::move(other.movable().shared_)), use_(other.use_), input_(std::move(other.input_)) {}
  async_operation& operator=(async_operation&&) = delete;
  ~async_operation() {
    if (shared_ != nullptr && use_ == use::none) {
      detail::warn_operation_never_awaited(method, shared_->name());
    }
  }

  /// Runs the body to what it awaits, and returns what that yields. Python: `next(operation)`,
  /// `operation.send(None)`.
  DriverYield next() { return driven(resume(nullptr)); }
  DriverYield send() { return next(); }

  /// The same, and what is awaited receives `value`. The first time, an asend()'s value goes to the
  /// body's `yield` instead of its own, if it is of that type (type_error if not); the others take only
  /// None then (runtime_error).
  template <class S = DriverSend>
    requires(!std::is_void_v<S>)
  DriverYield send(std::type_identity_t<S> value) {
    return driven(resume(detail::is_none(value) ? nullptr : std::addressof(value)));
  }

  /// Raises `exception` in what is awaited; the first time, at the body's `yield`, in place of what the
  /// operation was to do. Throws type_error if it is null.
  template <class Exception>
  DriverYield throw_(Exception&& exception) {
    return driven(raise(detail::to_exception_ptr(std::forward<Exception>(exception))));
  }

  /// Raises generator_exit as throw_() does. Throws runtime_error `coroutine ignored GeneratorExit` if
  /// the body awaits something in answer.
  void close() {
    if (shared_ == nullptr || use_ == use::over) {
      return;
    }
    progress reached;
    try {
      reached = raise(std::make_exception_ptr(generator_exit()));
    } catch (const generator_exit&) {
      return;
    }
    if (reached.came_to == end::not_yet) {
      throw runtime_error("coroutine ignored GeneratorExit");
    }
  }

  /// Runs it to its end, and returns what a coroutine would that awaits it; `between()`, or `between(value)`, is called
  /// where that would yield to its driver. Throws what a coroutine would be thrown; what `between` throws is raised in
  /// the body.
  template <class Between>
  return_type drive(Between between)
    requires std::is_void_v<DriverSend>
  {
    progress reached = resume(nullptr);
    while (reached.came_to == end::not_yet) {
      std::exception_ptr raised;
      try {
        if constexpr (std::is_void_v<DriverYield>) {
          between();
        } else {
          between(driven(reached));
        }
      } catch (...) {
        raised = std::current_exception();
      }
      reached = raised == nullptr ? resume(nullptr) : raise(std::move(raised));
    }
    return result(reached);
  }

  /// Itself. Python: `operation.__await__()`.
  async_operation& await() & noexcept { return *this; }

  /// How a coroutine awaits it.
  template <class Y, class S>
  return_type await_in(yielder<Y, S>& yield) {
    static_assert(
        detail::can_send_on<S, DriverSend>,
        "await: what is sent to this coroutine cannot be sent on to what the async_generator awaits: "
        "make its Send the generator's DriverSend");
    static_assert(detail::can_yield_on<Y, DriverYield>(),
                  "await: what the async_generator awaits yields what this coroutine cannot yield: make its "
                  "Yield the generator's DriverYield");
    detail::frame& self = detail::access::frame_of(yield);
    detail::check_stack(self);
    const detail::delegation_scope scope(self, detail::frameless_delegate);
    try {
      progress reached = resume(nullptr);
      while (reached.came_to == end::not_yet) {
        reached = pass_on<Y, S>(self, reached.item);
      }
      return result(reached);
    } catch (stop_iteration<>& stop) {
      // Of an iterator, this is the end. Only an athrow() can raise it: before the generator has started.
      return detail::value_of_stop<return_type>(stop);
    }
  }

 private:
  friend class async_generator<Yield, Send, DriverYield, DriverSend>;

  enum class use : unsigned char { none, begun, over };
  enum class end : unsigned char { not_yet, item, none, stop_async_iteration };
  struct progress {
    detail::word item;  ///< what was yielded: to the driver before the end, to the consumer at it
    end came_to = end::none;
  };

  template <class... Input>
  explicit async_operation(std::shared_ptr<shared_state> shared, Input&&... input)
      : shared_(std::move(shared)), input_(std::forward<Input>(input)...) {}

  /// A run goes on in this very object.
  async_operation& movable() {
    if (shared_ != nullptr && use_ == use::begun && shared_->frame().state() == generator_state::running) {
      detail::throw_already_executing(shared_->frame());
    }
    return *this;
  }

  void check_reuse() const {
    if (shared_ == nullptr || use_ == use::over) {
      detail::throw_cannot_reuse_operation(method);
    }
  }
  void start_alone() {
    if (shared_->running) {
      use_ = use::over;
      detail::throw_async_generator_running(method);
    }
    use_ = use::begun;
  }

  /// Goes on, with what the driver sent (null: None).
  progress resume(sent_type* sent) {
    check_reuse();
    shared_state& self = *shared_;
    if (!is_asend && self.frame().state() == generator_state::closed) {
      use_ = use::over;
      return {detail::word(), end::none};
    }
    if (use_ == use::begun) {
      if constexpr (!detail::has_none<DriverSend>) {
        if (sent == nullptr && self.frame().state() == generator_state::suspended) {
          detail::throw_cannot_send_none(self.frame());
        }
      }
      return run([&] {
        if constexpr (!std::is_void_v<DriverSend>) {
          if (sent != nullptr) {
            return self.body.advance_with_value(*sent);
          }
        }
        return self.body.advance();
      });
    }
    if constexpr (is_asend) {
      start_alone();
      return run([&] {
        send_to_yield(sent);
        return self.body.advance_with_none();
      });
    } else {
      start_alone();
      if (self.ended) {
        use_ = use::over;
        return {detail::word(), end::stop_async_iteration};
      }
      if (sent != nullptr) {
        use_ = use::none;
        detail::throw_started_with_value();
      }
      self.ended = self.ended || is_aclose;
      return run([&] {
        if constexpr (is_athrow) {
          return self.body.raise(std::move(input_));
        } else {
          return self.body.raise(std::make_exception_ptr(generator_exit()));
        }
      });
    }
  }

  /// Leaves for the body's `yield` what the driver sent, or else the asend()'s own value.
  void send_to_yield(sent_type* sent) {
    shared_state& self = *shared_;
    if constexpr (std::is_void_v<Send>) {
      if (sent != nullptr) {
        detail::throw_cannot_be_sent();
      }
    } else {
      if (sent != nullptr) {
        if constexpr (std::convertible_to<sent_type, Send>) {
          input_.emplace(std::move(*sent));
        } else {
          detail::throw_cannot_be_sent();
        }
      }
      const bool none = !input_.has_value() || detail::is_none(*input_);
      if (!none && self.frame().state() == generator_state::created) {
        detail::throw_async_not_just_started();
      }
      if constexpr (!detail::has_none<Send>) {
        if (none && self.frame().state() == generator_state::suspended) {
          detail::throw_async_cannot_send_none();
        }
      }
      self.exchange.sent = none ? detail::word() : detail::word::of(*input_);
    }
  }

  /// Goes on with an exception.
  progress raise(std::exception_ptr exception) {
    check_reuse();
    if (exception == nullptr) {
      detail::throw_no_exception();
    }
    if (use_ == use::none) {
      start_alone();
    }
    return run([&] { return shared_->body.raise(std::move(exception)); });
  }

  /// Resumes the body, and finds out what that has come to.
  template <class Resume>
  progress run(Resume resume_body) {
    shared_state& self = *shared_;
    if (self.frame().state() ==
        generator_state::running) {  // and has called this operation, whose run of it goes on
      detail::throw_already_executing(self.frame());
    }
    self.running = true;
    self.exchange.item = detail::word();
    detail::word item;
    try {
      auto came = resume_body();
      item = came.item;
      if (came.ended()) {
        self.body.take_end(*came.of);
      }
    } catch (const generator_exit&) {
      return ended_by_exception();
    } catch (const stop_async_iteration&) {
      return ended_by_exception();
    } catch (...) {
      leave();
      throw;
    }
    if (item.is_none()) {
      leave();
      return {detail::word(), is_aclose ? end::none : end::stop_async_iteration};
    }
    if (self.exchange.item.is_none()) {
      return {item, end::not_yet};
    }
    leave();
    if (is_aclose) {
      std::rethrow_exception(detail::ignored_exit(self.frame()));
    }
    return {self.exchange.item, end::item};
  }

  /// Within a handler of what an aclose() takes for the end that it asked for.
  progress ended_by_exception() {
    leave();
    if (!is_aclose) {
      throw;
    }
    return {detail::word(), end::none};
  }

  void leave() noexcept {
    shared_->running = false;
    use_ = use::over;
  }

  /// If what is to be passed on cannot be converted, or this coroutine was destroyed while it ran, nobody
  /// will go on.
  template <class Pass>
  auto or_close(Pass pass) {
    try {
      return pass();
    } catch (...) {
      close();
      throw;
    }
  }

  /// Yields what the body awaits, and goes on with what this coroutine is resumed with.
  template <class Y, class S>
  progress pass_on(detail::frame& self, detail::word item) {
    const detail::word sent = or_close([&] { return detail::pass_on<Y, DriverYield>(self, item); });
    if (!sent.raises()) {
      if constexpr (std::is_void_v<S> || std::is_void_v<DriverSend>) {
        return resume(nullptr);
      } else {
        if (!detail::is_sent<S>(sent)) {
          return resume(nullptr);
        }
        DriverSend value = or_close([&] { return detail::sent_on<DriverSend>(sent.as<S&>()); });
        return resume(std::addressof(value));
      }
    }
    std::exception_ptr thrown = detail::take_pending(self);
    if (detail::is_generator_exit(thrown)) {
      close();
      std::rethrow_exception(std::move(thrown));
    }
    return raise(std::move(thrown));
  }

  /// What the operation evaluates to.
  static return_type result(progress reached) {
    if (reached.came_to == end::stop_async_iteration) {
      throw stop_async_iteration();
    }
    if constexpr (has_item) {
      if constexpr (is_athrow) {
        return reached.came_to == end::none ? return_type() : return_type(reached.item.template as<Yield>());
      } else {
        return reached.item.template as<Yield>();
      }
    }
  }

  static DriverYield driven(progress reached) {
    if (reached.came_to == end::not_yet) {
      return reached.item.template as<DriverYield>();
    }
    if constexpr (std::is_void_v<return_type>) {
      result(reached);
      throw stop_iteration<>();
    } else {
      static_assert(alignof(return_type) <= alignof(std::max_align_t),
                    "an exception cannot carry an item of such alignment: await the operation");
      throw stop_iteration<return_type>(result(reached));
    }
  }

  std::shared_ptr<shared_state> shared_;
  use use_ = use::none;
  [[no_unique_address]] input_type input_{};
};

}  // namespace KRAIT_BACKEND
}  // namespace krait
