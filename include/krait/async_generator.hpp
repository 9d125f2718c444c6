// SPDX-License-Identifier: BSL-1.0
#pragma once

// Asynchronous generators: bodies that both yield items to who iterates and await, in which case values
// go to who drives. Two kinds of value leave one stack, and it is the operations that tell them apart:
//
//      driver              consumer                    operation g.anext()          body
//        | send() ---------->| co.await(g.anext()) ------->| resume ---------------->|
//        |<-------------------------------- a raw value, passed on -- co.await(...) --|
//        | send(v) ----------------------------------------------------------------->|
//        |                   |<------- returned: an item ----|<-------- yield(item) --|
//
// For most purposes a plain generator is all that is needed, as its body may await wherever its resumer
// may (docs/coroutines.md). This is Python's protocol to the letter, for driving by hand.

#include <cstddef>
#include <exception>
#include <memory>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>

#include "krait/async_operation.hpp"
#include "krait/asyncgen_hooks.hpp"
#include "krait/coroutine.hpp"
#include "krait/detail/async_state.hpp"
#include "krait/detail/body.hpp"
#include "krait/detail/resumable.hpp"
#include "krait/stack.hpp"

namespace krait {
inline namespace KRAIT_BACKEND {

/// A generator whose body may also await. Python: an asynchronous generator object,
/// typing.AsyncGenerator[Yield, Send].
///
/// * Yield: its items, a value or void. Send: what asend() takes and `yield` returns.
/// * DriverYield, DriverSend: what goes out to and comes in from whoever drives, as a coroutine's Yield
///   and Send.
///
/// asend(), anext(), athrow() and aclose() run nothing: they make operations, to be awaited or driven
/// by hand, once each and one after the other. An operation shares in the generator, which lives as
/// long as one of them does.
///
/// Made from a callable that takes an `async_yielder<Yield, Send, DriverYield, DriverSend>&`.
/// Move-only. All throws value_error after it was moved from. Dropped while suspended, it goes to the
/// finalizer hook of the thread in which it was first iterated; without one it is closed on the spot,
/// and what that raises goes to the unraisable hook.
template <class Yield, class Send = void, class DriverYield = void, class DriverSend = void>
class [[nodiscard]] async_generator {
  static_assert(!std::is_reference_v<Yield> && !std::is_reference_v<Send>,
                "an async_generator yields and is sent values: use a pointer or std::reference_wrapper");

  using handle = async_yielder<Yield, Send, DriverYield, DriverSend>;
  using shared_state = detail::async_state<Yield, Send, DriverYield, DriverSend>;

  template <detail::async_method method>
  using operation = async_operation<Yield, Send, DriverYield, DriverSend, method>;
  using asend_type = operation<detail::async_method::asend>;
  using athrow_type = operation<detail::async_method::athrow>;
  using aclose_type = operation<detail::async_method::aclose>;

 public:
  using yield_type = Yield;
  using send_type = Send;

  /// `name` and errors as for a generator.
  template <detail::body_of<handle, void> Body>
  async_generator(Body&& body,
                  const char* name = __builtin_FUNCTION())  // NOLINT(google-explicit-constructor)
      : shared_(new shared_state(nullptr, std::forward<Body>(body), name), shared_state::dropped) {}

  /// On a stack from `where`, as for a generator.
  template <stack_choice Stack = stack_options, detail::body_of<handle, void> Body>
  async_generator(std::allocator_arg_t, Stack&& where, Body&& body, const char* name = __builtin_FUNCTION())
      : shared_(new shared_state(&detail::source_of(where), std::forward<Body>(body), name),
                shared_state::dropped) {}

  async_generator(async_generator&&) noexcept = default;
  async_generator& operator=(async_generator&&) noexcept = default;

  /// What a hook was given, as it was. Throws value_error if it is of another type.
  static async_generator from_object(const std::shared_ptr<async_generator_object>& given) {
    auto same = std::dynamic_pointer_cast<shared_state>(given);
    if (same == nullptr) {
      detail::throw_of_another_type();
    }
    return async_generator(std::move(same));
  }

  /// Resumes the body; what that yields next is the result. Throws stop_async_iteration at the end;
  /// type_error at a `yield` that cannot be sent None. Python: `g.__anext__()`.
  asend_type anext() { return asend_type(first_checked()); }

  /// The same, the pending `yield` returning `value`. Python: `g.asend(value)`.
  template <class S = Send>
    requires(!std::is_void_v<S>)
  asend_type asend(std::type_identity_t<S> value) {
    return asend_type(first_checked(), std::move(value));
  }

  /// Raises `exception` at the pending `yield`; what the body yields next is the result, or none if it
  /// had ended. Throws type_error if it is null. Python: `g.athrow(exception)`.
  template <class Exception>
  athrow_type athrow(Exception&& exception) {
    std::exception_ptr thrown = detail::to_exception_ptr(std::forward<Exception>(exception));
    if (thrown == nullptr) {
      detail::throw_no_exception();
    }
    return athrow_type(first_checked(), std::move(thrown));
  }

  /// Raises generator_exit at the pending `yield`, for the body to clean up and end. Throws
  /// runtime_error `async generator ignored GeneratorExit` if it yields instead. Python: `g.aclose()`.
  aclose_type aclose() { return aclose_type(first_checked()); }

  /// Itself. Python: `g.__aiter__()`.
  async_generator& aiter() noexcept { return *this; }

  /// Python: inspect.getasyncgenstate(g). It is running, too, while an operation waits for something.
  generator_state state() const {
    const shared_state& self = *checked();
    return self.running ? generator_state::running : self.frame().state();
  }
  bool running() const { return state() == generator_state::running; }
  bool suspended() const { return state() == generator_state::suspended; }
  bool done() const { return state() == generator_state::closed; }

  /// What its body awaits, as coroutine::awaiting(). Python: `g.ag_await`.
  std::string awaiting() const { return checked()->frame().delegate_repr(); }

  /// As generator::stack_used().
  std::size_t stack_used() const { return detail::used_of(checked()->frame().rest().memory); }

  std::string_view name() const { return checked()->name(); }
  /// Throws std::bad_alloc.
  void set_name(std::string_view name) { checked()->frame().rename(name); }
  /// "<async_generator object NAME at 0x...>". Python: repr(g).
  std::string repr() const { return checked()->repr(); }

 private:
  template <detail::misfit<handle, void> Body>
  async_generator(Body&& body, const char* = "")  // NOLINT(google-explicit-constructor)
      : async_generator(detail::refused<async_generator, handle, void, Body>(body)) {}

  explicit async_generator(std::shared_ptr<shared_state> taken) noexcept : shared_(std::move(taken)) {}

  const std::shared_ptr<shared_state>& checked() const {
    if (shared_ == nullptr) [[unlikely]] {
      detail::throw_moved_from(detail::kind::async_generator);
    }
    return shared_;
  }

  /// The same, for an operation.
  std::shared_ptr<shared_state> first_checked() const {
    std::shared_ptr<shared_state> kept = checked();  // whatever the hook does with this
    shared_state& self = *kept;
    if (!self.iterated) {
      self.iterated = true;
      self.hooks = detail::current_asyncgen_hooks();
      if (self.hooks != nullptr && self.hooks->firstiter) {
        self.hooks->firstiter(self);
      }
    }
    return kept;
  }

  std::shared_ptr<shared_state> shared_;
};

/// A coroutine that awaits the aclose() of a generator of any items, and keeps that alive meanwhile: for
/// an event loop, which only knows what those yield and are sent that it drives. Throws value_error if the
/// generator's DriverYield and DriverSend are others.
template <class DriverYield, class DriverSend = void>
coroutine<DriverYield, DriverSend> aclose(async_generator_object& object) {
  auto* const driven = dynamic_cast<detail::driven_async_generator_object<DriverYield, DriverSend>*>(&object);
  if (driven == nullptr) {
    detail::throw_of_another_type();
  }
  return driven->closing();
}

}  // namespace KRAIT_BACKEND
}  // namespace krait
