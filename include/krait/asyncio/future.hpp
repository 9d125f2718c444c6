// SPDX-License-Identifier: BSL-1.0
#pragma once

// Futures: what is not there yet, and can be waited for. They belong to a loop and to its thread; handles to one
// future share it.

#include <cstdint>
#include <exception>
#include <functional>
#include <memory>
#include <new>
#include <string>
#include <type_traits>
#include <utility>

#include "krait/asyncio/detail/loop.hpp"
#include "krait/asyncio/errors.hpp"
#include "krait/exceptions.hpp"
#include "krait/yielder.hpp"

namespace krait::asyncio {
namespace detail {
inline namespace KRAIT_BACKEND {

/// Where a T is going to be. Of a reference, its address.
template <class T>
class slot {
  using stored = std::conditional_t<std::is_reference_v<T>, std::remove_reference_t<T>*, T>;

 public:
  template <class... Args>
  void emplace(Args&&... args) {
    if constexpr (std::is_reference_v<T>) {
      ::new (memory_) stored(std::addressof(args)...);
    } else {
      ::new (memory_) stored(std::forward<Args>(args)...);
    }
  }
  static std::add_lvalue_reference_t<T> get(void* at) noexcept {
    if constexpr (std::is_reference_v<T>) {
      return **static_cast<stored*>(at);
    } else {
      return *static_cast<stored*>(at);
    }
  }
  void destroy() noexcept { reinterpret_cast<stored*>(memory_)->~stored(); }
  void* place() noexcept { return memory_; }

 private:
  alignas(stored) std::byte memory_[sizeof(stored)];
};
template <>
class slot<void> {
 public:
  void emplace() noexcept {}
  void destroy() noexcept {}
  void* place() noexcept { return this; }
};

/// A future that somebody sets.
template <class T>
struct set_future final : future_state {
  [[no_unique_address]] slot<T> held;

  explicit set_future(loop_state& of) noexcept : future_state(ways, of) { value = held.place(); }
  ~set_future() {
    if (status == status::finished) {
      held.destroy();
    }
  }

  static constexpr operations ways{&destroy_future<set_future>, &cancel_plain};
};

/// What add_done_callback() adds.
struct done_callback : callback {
  std::function<void()> function;
  std::uint64_t id;
  loop_state& loop;
  context_pointer context = copy_of(context_here());

  done_callback(loop_state& of, std::function<void()> what, std::uint64_t number)
      : function(std::move(what)), id(number), loop(of) {
    loop.ready.reserve();
    run = &call;
    drop = [](callback& self) noexcept { delete static_cast<done_callback*>(&self); };
  }
  ~done_callback() { loop.ready.unreserve(); }

  static void call(callback& self) {
    const std::unique_ptr<done_callback> me(static_cast<done_callback*>(&self));
    me->loop.callback_context = std::move(me->context);
    me->function();
  }
};

[[noreturn]] void throw_no_value(future_state& of);
[[noreturn]] void throw_already_done();
/// Itself, or the runtime_error that a stop_iteration becomes.
std::exception_ptr without_stop(std::exception_ptr exception) noexcept;
loop_state& running_loop_state();

/// Which callback: see any_future::remove_done_callback(). `on_behalf_of`: who waits by it, for call graphs.
std::uint64_t add_done_callback(future_state& of, std::function<void()> function,
                                future_state* on_behalf_of = nullptr);
bool remove_done_callback(future_state& of, std::uint64_t id) noexcept;

struct access;

}  // namespace KRAIT_BACKEND
}  // namespace detail

inline namespace KRAIT_BACKEND {

class event_loop;

/// Which callback: what add_done_callback() returns.
using callback_id = std::uint64_t;

/// A future, whatever it is of. A handle: copies are of the same future. Only the loop's thread may use it.
class any_future {
 public:
  any_future() noexcept = default;  ///< of none: only to be assigned to
  any_future(const any_future& other) noexcept : state_(other.state_) {
    if (state_ != nullptr) {
      state_->retain();
    }
  }
  any_future(any_future&& other) noexcept : state_(std::exchange(other.state_, nullptr)) {}
  any_future& operator=(any_future other) noexcept {
    std::swap(state_, other.state_);
    return *this;
  }
  ~any_future() {
    if (state_ != nullptr) {
      state_->release();
    }
  }

  /// Is it of a future? One that is of none has nothing else to be asked.
  explicit operator bool() const noexcept { return state_ != nullptr; }
  /// Are they of the same future?
  friend bool operator==(const any_future& a, const any_future& b) noexcept { return a.state_ == b.state_; }

  /// Has it a value, or an exception, or was it cancelled? Python: `future.done()`.
  bool done() const noexcept { return state_->done(); }
  /// Was it cancelled? Of a task: has it ended by that? Python: `future.cancelled()`.
  bool cancelled() const noexcept { return state_->status == detail::status::cancelled; }

  /// Whose it is. Throws runtime_error if there is no such loop any more. Python: `future.get_loop()`.
  event_loop& get_loop() const;

  /// "<future object at 0x... [pending, waiters:1]>", cancelled, finished, or "finished, exception: ...". Of a task,
  /// "<task object NAME at 0x... [pending, waits for <future object ...>]>", or cancelling. In debug mode with where it
  /// was created. Python: repr(future).
  std::string repr() const;

  /// False if it is done. Else it is cancelled, or a task asked to end: cancelled_error, with this message, is raised
  /// where it waits. That is later: what a task refers to must outlive it. Throws std::bad_alloc. Python:
  /// `future.cancel(msg)`.
  bool cancel(const std::string& message = {}) const { return state_->does->cancel(*state_, message); }

  /// Null if it has a value. Throws invalid_state_error if it is not done, cancelled_error if it was cancelled. Python:
  /// `future.exception()`.
  std::exception_ptr exception() const {
    if (state_->status == detail::status::finished) {
      return nullptr;
    }
    state_->retrieved = true;
    if (state_->status == detail::status::failed) {
      return state_->exception;
    }
    detail::throw_no_value(*state_);
  }

  /// `function()` is called by the loop once this is done, in the turn after, also if it is already; in a copy of the
  /// present context. Throws std::bad_alloc. Python: `future.add_done_callback(f)`.
  callback_id add_done_callback(std::function<void()> function) const {
    return detail::add_done_callback(*state_, std::move(function));
  }
  /// It will not be called, if this is not done yet. Was it there still? Python: `future.remove_done_callback(f)`.
  bool remove_done_callback(callback_id id) const noexcept {
    return detail::remove_done_callback(*state_, id);
  }

 protected:
  friend detail::access;
  /// Takes over a reference.
  explicit any_future(detail::future_state& state) noexcept : state_(&state) {}

  detail::future_state* state_ = nullptr;
};

/// A T that is not there yet. T may be void, or a reference. Python: asyncio.Future.
template <class T>
class [[nodiscard]] future : public any_future {
 public:
  using value_type = T;
  using awaits_itself = void;  // co.await(future), in a krait::coroutine

  future() noexcept = default;

  /// The value, any number of times: a const reference, which is good as long as the future has a handle. Throws what
  /// the future has failed with; cancelled_error; invalid_state_error if it is not done. Python: `future.result()`.
  decltype(auto) result() const {
    if (state_->status != detail::status::finished) [[unlikely]] {
      detail::throw_no_value(*state_);
    }
    if constexpr (std::is_void_v<T>) {
      return;
    } else if constexpr (std::is_reference_v<T>) {
      return static_cast<T>(detail::slot<T>::get(state_->value));
    } else {
      return static_cast<const T&>(detail::slot<T>::get(state_->value));
    }
  }

  /// Makes its value of these, and wakes who waits. Throws invalid_state_error if it is done; runtime_error if it is
  /// not of create_future(), but a task, or gather()'s; what making the value throws. Python:
  /// `future.set_result(value)`.
  template <class... Value>
  void set_result(Value&&... value) const {
    auto& self = settable();
    self.held.emplace(std::forward<Value>(value)...);
    self.complete(detail::status::finished);
  }

  /// The same of an exception. Throws, too, type_error if that is null. A stop_iteration becomes a runtime_error, of
  /// which it is the cause (std::nested_exception). Python: `future.set_exception(e)`.
  void set_exception(std::exception_ptr exception) const {
    auto& self = settable();
    if (exception == nullptr) {
      throw type_error("no exception to set");
    }
    self.fail(detail::without_stop(std::move(exception)));
  }

  /// What co.await(future) does, in a coroutine that a task runs: as asyncio::await().
  template <class Y, class S>
  T await_in(yielder<Y, S>&) const;

 protected:
  friend detail::access;
  explicit future(detail::future_state& state) noexcept : any_future(state) {}

 private:
  detail::set_future<T>& settable() const {
    if (state_->does != &detail::set_future<T>::ways) {
      throw runtime_error("only a future that was made by create_future() can be set");
    }
    if (state_->done()) {
      detail::throw_already_done();
    }
    return static_cast<detail::set_future<T>&>(*state_);
  }
};

}  // namespace KRAIT_BACKEND

namespace detail {
inline namespace KRAIT_BACKEND {

struct access {
  static future_state& state_of(const any_future& of) noexcept { return *of.state_; }
  /// Takes over a reference.
  template <class Handle>
  static Handle make(future_state& state) noexcept {
    return Handle(state);
  }
  template <class Task>
  static auto as_any_task(const Task& of) noexcept;
  /// What is known to be one of a T.
  template <class T>
  static future<T> as(const any_future& of) noexcept {
    of.state_->retain();
    return future<T>(*of.state_);
  }
  static context context_of(context_pointer& of) {
    if (of == nullptr) {
      of = std::make_shared<context_state>();
    }
    return context(of);
  }
};

template <class T>
future<T> make_future(loop_state& of, const site& created) {
  auto made = access::make<future<T>>(make_state<set_future<T>>(of));
  if (of.debug) [[unlikely]] {
    note_creation(access::state_of(made), created);
  }
  return made;
}

}  // namespace KRAIT_BACKEND
}  // namespace detail

inline namespace KRAIT_BACKEND {

/// A future of the running loop, to be set by whoever has its handle. Throws runtime_error if no loop runs;
/// std::bad_alloc. Python: `asyncio.get_running_loop().create_future()`.
template <class T>
future<T> create_future(detail::site created = detail::site::here()) {
  return detail::make_future<T>(detail::running_loop_state(), created);
}

}  // namespace KRAIT_BACKEND
}  // namespace krait::asyncio
