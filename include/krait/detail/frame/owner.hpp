// SPDX-License-Identifier: BSL-1.0
#pragma once

// The one owner of a frame: makes it, on a stack of its own, with its body; resumes it, closes it, and takes
// note of its end. generator, coroutine and async_generator are faces over it.

#include <cstddef>
#include <cstdint>
#include <exception>
#include <memory>
#include <new>
#include <optional>
#include <type_traits>
#include <utility>

#if defined(__GLIBCXX__)
#include <cxxabi.h>
#endif

#include "krait/detail/config.hpp"
#include "krait/detail/frame/chain.hpp"
#include "krait/detail/frame/errors.hpp"
#include "krait/detail/frame/frame.hpp"
#include "krait/detail/frame/residence.hpp"
#include "krait/detail/void.hpp"
#include "krait/exceptions.hpp"
#include "krait/none.hpp"
#include "krait/stack.hpp"
#include "krait/step.hpp"

namespace krait::detail {

/// A value that is to be delivered and yet stay for result(), if its type allows that.
template <class T>
T copy_or_take(std::optional<T>& value) {
  if constexpr (copies<T>) {
    return *value;
  } else {
    T taken = std::move(*value);
    value.reset();
    return taken;
  }
}

/// What a delegation evaluates to that ends without a value.
template <class R>
R none_or_throw() {
  if constexpr (std::is_void_v<R>) {
    return;
  } else if constexpr (has_none<R>) {
    return none_traits<R>::none();
  } else {
    throw_no_value();
  }
}

/// What close() returns: perhaps a Return. One that is optional need not be wrapped again.
template <class Return>
struct close_type_of : std::type_identity<std::optional<Return>> {};
template <>
struct close_type_of<void> : std::type_identity<void> {};
template <class T>
struct close_type_of<std::optional<T>> : std::type_identity<std::optional<T>> {};

inline namespace KRAIT_BACKEND {

/// A frame whose body is given a Handle, which is the frame itself, and returns a Return.
template <class Handle, class Return>
struct frame_returning : Handle {
  [[no_unique_address]] std::conditional_t<std::is_void_v<Return>, nothing, std::optional<Return>> result;

  explicit frame_returning(void* place) noexcept : Handle(place) {}
  frame& base() noexcept { return *this; }
  static frame_returning& of(frame& self) noexcept { return static_cast<frame_returning&>(self); }
};

// The body lives beside its frame, at the top of the stack it runs on:
//
//                       | address of the frame      |  for dump_generators(); the pool's
//      memory.top()  -> +---------------------------+
//                       | rarely used               |
//                       | body, with its captures   |  near what is used with each item
//                       | result                    |
//                       | frame: contexts, chain    |
//                       +---------------------------+ <- the frame's address, 64-byte aligned, and the
//                       | frames of the body  v     |    first stack pointer
//      memory.limit  -> +---------------------------+
//                       | guard                     |
template <class Handle, class Return, class Body>
struct frame_with_body final : frame_returning<Handle, Return> {
  union {
    Body body;  // destroyed when it has run, or is known never to
  };
  alignas(detail::rarely_used) std::byte rarely_used[sizeof(detail::rarely_used)];

  template <class B>
  explicit frame_with_body(B&& callable)
      : frame_returning<Handle, Return>(rarely_used), body(std::forward<B>(callable)) {}
  ~frame_with_body() {}

  // What it calls of this class is inlined always: a function that no exception passes has no call frame
  // information in some builds, and backtraces from the body would end here.
  static void enter(registers& caller) noexcept {
    auto& self = static_cast<frame&>(context_of(caller));
    sanitizers_entered(self.identities->own);
    stage ended = stage::discarded;
    if (!self.discarded) [[likely]] {
      self.stage = stage::started;
      ended = run(self);
    }
    end(self, ended);
  }

  /// Does not return to the body, whoever called it: see rarely_used::leave.
  static void leave(frame& self) noexcept { end(self, stage::exited); }

 private:
  static frame_with_body& of(frame& self) noexcept { return static_cast<frame_with_body&>(self); }

  [[noreturn, gnu::always_inline]] static void end(frame& self, stage ended) noexcept {
    of(self).body.~Body();
    self.stage = ended;
    self.end_untold = true;
    finish(self, nullptr);
  }

  /// Runs the body. When it is inlined into what handles everything, GCC still says in its tables whether anything is
  /// to be done on the way there. LLVM does not.
#if defined(__clang__)
  [[gnu::noinline]]
#else
  [[gnu::always_inline]]
#endif
  static void call_body(frame& self) {
    Handle& handle = of(self);
    if constexpr (std::is_void_v<Return>) {
      of(self).body(handle);
    } else {
      of(self).result.emplace(of(self).body(handle));
    }
  }

  /// Runs the body to its end, and keeps what that left.
  [[gnu::always_inline]] static stage run(frame& self) noexcept {
    try {
      call_body(self);
      return stage::returned;
    } catch (const end_of_stack&) {  // before all others
    } catch (const generator_exit&) {
      self.rest().exception = std::current_exception();
      return stage::exited;
    } catch (const stop_iteration<>&) {
      self.rest().exception = stop_iteration_escaped(self);
#if defined(__GLIBCXX__)
    } catch (abi::__forced_unwind&) {
      forced_unwind_reached_base(self);
#endif
    } catch (...) {
      self.rest().exception = raised_exception(self);
    }
    return stage::raised;
  }
};

/// Owns a frame of a kind, or none after it was moved from. Whatever needs a frame throws value_error then.
///
/// Handle is what the body is given, a class that a frame is derived from: with the members yield_type and
/// send_type, it says what is yielded and sent.
template <class Handle, class Return, kind which>
class owner {
 public:
  using yield_type = typename Handle::yield_type;
  using send_type = typename Handle::send_type;
  using return_type = Return;
  using step_type = step<yield_type, Return>;
  using close_type = typename close_type_of<Return>::type;
  static constexpr bool returns = !std::is_void_v<Return>;

  /// What a resumption came to: an object, or the end. The owner may be gone afterwards, destroyed by its own
  /// body, so what follows is up to the frame.
  struct resumption {
    frame* of;
    word item;

    bool ended() const noexcept { return item.is_none(); }
  };

  template <class Body>
  owner(stack_source* source, Body&& body, const char* name)
      : frame_(make(source, std::forward<Body>(body), name)) {}

  owner(owner&& other) noexcept : frame_(std::exchange(other.frame_, nullptr)) {}

  /// Drops what this owned before. Throws value_error, with nothing moved, if that is running.
  owner& operator=(owner&& other) {
    if (this != &other) {
      if (frame_ != nullptr && frame_->state() == generator_state::running) {
        throw_already_executing(*frame_);
      }
      const owner old(std::move(*this));  // what that runs when it is dropped may assign to this again
      frame_ = std::exchange(other.frame_, nullptr);
    }
    return *this;
  }

  ~owner() {
    if (frame_ != nullptr) {
      frame& self = *std::exchange(frame_, nullptr);
      if (self.stage > stage::started || end_unfinished(self)) {
        destroy(self);
      }
    }
  }

  KRAIT_ALWAYS_INLINE frame& checked() const {
    if (frame_ == nullptr) [[unlikely]] {
      throw_moved_from(which);
    }
    return *frame_;
  }

  /// Where the frame's address stands, whoever is owned next: see rarely_used::delegate.
  frame* const& place() const noexcept { return frame_; }

  KRAIT_ALWAYS_INLINE static resumption advance(frame& self) {
    if constexpr (!has_none<send_type>) {
      if (self.state() == generator_state::suspended) [[unlikely]] {
        throw_cannot_send_none(self);
      }
    }
    return advanced(self, nullptr);
  }

  KRAIT_ALWAYS_INLINE resumption advance() { return advance(checked()); }

  template <class S>
  KRAIT_ALWAYS_INLINE resumption advance_with_value(S& value) {
    frame& self = checked();
    if (self.stage == stage::created && !is_none(value)) [[unlikely]] {
      throw_not_just_started(self);
    }
    return advanced(self, word::of(value));
  }

  /// At a `yield` that looks elsewhere for what is sent.
  resumption advance_with_none() { return advanced(checked(), nullptr); }

  /// Throws type_error if it is null.
  resumption raise(std::exception_ptr exception);

  close_type close();

  /// What next() and the like return of a resumption: the item, or the end as an exception.
  KRAIT_ALWAYS_INLINE static yield_type yielded(resumption came) {
    if (came.ended()) [[unlikely]] {
      raise_end(*came.of);
    }
    return came.item.template as<yield_type>();
  }

  /// The same as resume() and the like return it.
  KRAIT_ALWAYS_INLINE static step_type stepped(resumption came) {
    const Return* result = nullptr;
    if (came.ended()) [[unlikely]] {
      const bool fresh = came.of->end_untold && !came.of->orphaned;
      take_end(*came.of);
      if constexpr (returns) {
        result = fresh ? &*result_of(*came.of) : nullptr;
      }
    }
    return {static_cast<object_of<yield_type>*>(came.item.bits()), result};
  }

  /// Takes note of an end: throws what the body raised, does nothing if it returned or had ended before. An
  /// orphan is freed.
  KRAIT_ALWAYS_INLINE static void take_end(frame& self) {
    self.end_untold = false;
    if (self.rest().exception != nullptr || self.orphaned) [[unlikely]] {
      take_rare_end(self);
    }
  }

  /// What a delegation to a frame evaluates to that has ended: just now, if `fresh`.
  static Return delegated_value(frame& self, bool fresh) {
    if constexpr (returns) {
      if (fresh) {
        return copy_or_take(result_of(self));
      }
    }
    return none_or_throw<Return>();
  }

  static auto& result_of(frame& self) noexcept { return frame_returning<Handle, Return>::of(self).result; }

 private:
  KRAIT_ALWAYS_INLINE static resumption advanced(frame& self, word sent) {
    frame* resumed = &self;
    const word came = detail::advance(resumed, sent);
    return {resumed, came};
  }

  template <class Body>
  static frame* make(stack_source* source, Body&& body, const char* name);

  /// Frees a frame that has ended.
  static void destroy(frame& self) noexcept;

  /// Ends what has not ended, as a destructor may. False if it cannot be freed now.
  [[gnu::noinline]] static bool end_unfinished(frame& self) noexcept;

  [[gnu::noinline, gnu::cold]] static void take_rare_end(frame& self);

  /// The end as an exception: what the body raised, or stop_iteration with what it returned.
  [[noreturn, gnu::noinline, gnu::cold]] static void raise_end(frame& self);

  frame* frame_;
};

template <class Handle, class Return, kind which>
template <class Body>
frame* owner<Handle, Return, which>::make(stack_source* source, Body&& body, const char* name) {
  using frame_with = frame_with_body<Handle, Return, std::decay_t<Body>>;
  site home(source, sizeof(frame_with), alignof(frame_with));
  auto* const placed = ::new (home.place()) frame_with(std::forward<Body>(body));
  frame& self = placed->base();
  try {
    home.settle(self, which, name, &frame_with::enter, &frame_with::leave);
  } catch (...) {
    std::destroy_at(std::addressof(placed->body));
    placed->~frame_with();
    throw;
  }
  return &self;
}

template <class Handle, class Return, kind which>
void owner<Handle, Return, which>::destroy(frame& self) noexcept {
  const stack memory = self.rest().memory;
  stack_source* const source = self.rest().source;
  void* const fiber = self.rest().fiber;
  delist(self);
  std::destroy_at(&frame_returning<Handle, Return>::of(self));
  sanitizers_release(memory, fiber);
  release_stack(memory, source);
}

template <class Handle, class Return, kind which>
bool owner<Handle, Return, which>::end_unfinished(frame& self) noexcept {
  switch (self.state()) {
    case generator_state::running:
      abandon(self);
      return false;
    case generator_state::created:
      if constexpr (which == kind::coroutine) {
        warn_never_awaited(self);
      }
      discard(self);
      break;
    case generator_state::suspended:
      if (!raise_exit(self).is_none()) {
        report_ignored_while_closing(self, ignored_exit(self));
        return false;  // its frames live on
      }
      if (self.stage == stage::raised) {
        report_ignored_while_closing(self, self.rest().exception);
      }
      break;
    case generator_state::closed:
      break;
  }
  return true;
}

template <class Handle, class Return, kind which>
auto owner<Handle, Return, which>::raise(std::exception_ptr exception) -> resumption {
  frame& self = checked();
  if (exception == nullptr) {
    throw_no_exception();
  }
  switch (self.state()) {
    case generator_state::running:
      throw_already_executing(self);
    case generator_state::closed:
      check_reuse(self);
      std::rethrow_exception(std::move(exception));
    case generator_state::created:
      discard(self);
      take_end(self);
      std::rethrow_exception(std::move(exception));
    case generator_state::suspended:
      break;
  }
  if (self.given_delegate() != nullptr && is_generator_exit(exception)) {
    return {&self, raise_exit(self, std::move(exception))};
  }
  return {&self, raise_in_leaf(self, std::move(exception))};
}

template <class Handle, class Return, kind which>
auto owner<Handle, Return, which>::close() -> close_type {
  frame& self = checked();
  switch (self.state()) {
    case generator_state::running:
      throw_already_executing(self);
    case generator_state::created:
      discard(self);
      take_end(self);
      return close_type();
    case generator_state::closed:
      return close_type();
    case generator_state::suspended:
      break;
  }
  if (!raise_exit(self).is_none()) {
    std::rethrow_exception(ignored_exit(self));
  }
  if (self.stage == stage::exited) {
    self.rest().exception = nullptr;
  }
  const bool returned = self.stage == stage::returned && !self.orphaned;
  take_end(self);
  if constexpr (returns) {
    return returned ? close_type(copy_or_take(result_of(self))) : std::nullopt;
  }
}

template <class Handle, class Return, kind which>
void owner<Handle, Return, which>::take_rare_end(frame& self) {
  std::exception_ptr exception = std::exchange(self.rest().exception, nullptr);
  if (self.orphaned && self.stage != stage::started) {
    if (self.stage == stage::exited) {
      exception = nullptr;  // as if closed
    }
    destroy(self);
  }
  if (exception != nullptr) {
    std::rethrow_exception(exception);
  }
}

template <class Handle, class Return, kind which>
void owner<Handle, Return, which>::raise_end(frame& self) {
  const bool fresh = self.end_untold && !self.orphaned;
  take_end(self);
  if constexpr (returns) {
    static_assert(alignof(Return) <= alignof(std::max_align_t),
                  "an exception cannot carry a value of such alignment: use resume() instead of next()");
    if (fresh) {
      throw stop_iteration<Return>(copy_or_take(result_of(self)));
    }
  }
  static_cast<void>(fresh);
  throw stop_iteration<Return>();
}

}  // namespace KRAIT_BACKEND
}  // namespace krait::detail
