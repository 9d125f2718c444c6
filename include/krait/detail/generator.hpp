// SPDX-License-Identifier: BSL-1.0
#pragma once

// The inner workings of krait::generator: birth, death and the rare paths. Included at the end of
// generator.hpp.

#if defined(__GLIBCXX__)
#include <cxxabi.h>
#endif

namespace krait {

namespace detail {

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

}  // namespace detail

inline namespace KRAIT_BACKEND {

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
template <class Yield, class Send, class Return>
template <class Body>
struct generator<Yield, Send, Return>::frame_with_body final : frame_type {
  union {
    Body body;  // destroyed when it has run, or is known never to
  };
  alignas(detail::rarely_used) std::byte rarely_used[sizeof(detail::rarely_used)];

  template <class B>
  explicit frame_with_body(B&& callable) : frame_type(rarely_used), body(std::forward<B>(callable)) {}
  ~frame_with_body() {}

  static void enter(detail::registers& caller) noexcept {
    auto& base = static_cast<detail::frame&>(reinterpret_cast<detail::context&>(caller));
    detail::sanitizers_entered(*base.identities);
    auto& self = static_cast<frame_with_body&>(static_cast<yielder<Yield, Send>&>(base));
    if (self.discarded) [[unlikely]] {
      end(self, detail::stage::discarded);
    }
    self.stage = detail::stage::started;
    end(self, run(self));
  }

  [[noreturn, gnu::always_inline]] static void end(frame_with_body& self, detail::stage ended) noexcept {
    self.body.~Body();
    self.stage = ended;
    self.outcome_pending = true;
    detail::leave_for_good(self);
  }

  /// Runs the body to its end, and keeps what that left.
  [[gnu::always_inline]] static detail::stage run(frame_with_body& self) noexcept {
    try {
      yielder<Yield, Send>& yield = self;
      if constexpr (returns) {
        self.result.emplace(self.body(yield));
      } else {
        self.body(yield);
      }
      return detail::stage::returned;
    } catch (const generator_exit&) {
      self.rest().exception = std::current_exception();
      return detail::stage::exited;
    } catch (const stop_iteration<>&) {
      self.rest().exception = detail::stop_iteration_escaped(self);
#if defined(__GLIBCXX__)
    } catch (abi::__forced_unwind&) {
      detail::forced_unwind_reached_base(self);
#endif
    } catch (...) {
      self.rest().exception = detail::raised_exception(self);
    }
    return detail::stage::raised;
  }
};

template <class Yield, class Send, class Return>
template <class Body>
auto generator<Yield, Send, Return>::make(stack_source* source, Body&& body, const char* name)
    -> frame_type* {
  using frame_with = frame_with_body<std::decay_t<Body>>;
  // For the body's own frames. Closing it takes nearly 4 KiB, if that is the first exception of the process.
  static constexpr std::size_t least_room = 8192;
  static constexpr std::size_t overhead = alignof(frame_with) + sizeof(frame_with) + least_room;

  const stack memory = detail::allocate_stack(source);
  if (memory.size < overhead || reinterpret_cast<std::uintptr_t>(memory.top()) % 16 != 0) [[unlikely]] {
    detail::release_stack(memory, source);
    detail::throw_unusable_stack(overhead, memory);
  }
  const auto top = reinterpret_cast<std::uintptr_t>(memory.top()) - sizeof(frame_with);
  std::byte* const place = memory.top() - sizeof(frame_with) - top % alignof(frame_with);

  frame_with* self;
  try {
    self = ::new (place) frame_with(std::forward<Body>(body));
  } catch (...) {
    detail::release_stack(memory, source);
    throw;
  }
  self->room = static_cast<std::size_t>(place - memory.limit);
  self->rest().name = name;
  self->rest().memory = memory;
  self->rest().source = source;
  try {
    detail::enlist(*self);
  } catch (...) {
    std::destroy_at(std::addressof(self->body));
    self->~frame_with();
    detail::release_stack(memory, source);
    throw;
  }
  self->rest().fiber = detail::prepare(*self, memory, place, &frame_with::enter);
  return self;
}

template <class Yield, class Send, class Return>
void generator<Yield, Send, Return>::destroy(frame_type& self) noexcept {
  const stack memory = self.rest().memory;
  stack_source* const source = self.rest().source;
  void* const fiber = self.rest().fiber;
  detail::delist(self);
  self.~frame_type();
  detail::sanitizers_release(memory, fiber);
  detail::release_stack(memory, source);
}

template <class Yield, class Send, class Return>
bool generator<Yield, Send, Return>::end_unfinished(frame_type& self) noexcept {
  switch (self.state()) {
    case generator_state::running:
      drop_running(self);
      return false;
    case generator_state::created:
      if (self.rest().kind == detail::kind::coroutine) {
        detail::warn_never_awaited(self);
      }
      detail::discard(self);
      break;
    case generator_state::suspended:
      if (detail::raise_exit(self) != nullptr) {
        detail::report_ignored_while_closing(self, detail::ignored_exit(self));
        return false;  // its frames live on
      }
      if (self.stage == detail::stage::raised) {
        detail::report_ignored_while_closing(self, self.rest().exception);
      }
      break;
    case generator_state::closed:
      break;
  }
  return true;
}

template <class Yield, class Send, class Return>
void generator<Yield, Send, Return>::drop_running(frame_type& self) noexcept {
  // From the frame that runs up to this one, nobody is to yield any more.
  for (detail::frame* inner = self.leaf;; inner = inner->rest().delegator) {
    inner->eviction = detail::eviction::due;
    inner->room = 0;
    if (inner == &self) {
      break;
    }
  }
  self.orphaned = true;
  if (!self.discarded) {  // then nothing is kept from running to its end
    detail::report_ignored_while_closing(self, detail::already_executing(self));
  }
}

template <class Yield, class Send, class Return>
auto generator<Yield, Send, Return>::raise(std::exception_ptr exception) -> outcome {
  frame_type& self = checked();
  if (exception == nullptr) {
    detail::throw_no_exception();
  }
  switch (self.state()) {
    case generator_state::running:
      detail::throw_already_executing(self);
    case generator_state::closed:
      detail::check_reuse(self);
      std::rethrow_exception(std::move(exception));
    case generator_state::created:
      detail::discard(self);
      take_end(self);
      std::rethrow_exception(std::move(exception));
    case generator_state::suspended:
      break;
  }
  if (self.leaf != &self && detail::is_generator_exit(exception)) {
    return {&self, detail::raise_exit(self, std::move(exception))};
  }
  return {&self, detail::raise_in_leaf(self, std::move(exception))};
}

template <class Yield, class Send, class Return>
auto generator<Yield, Send, Return>::close() -> close_type {
  frame_type& self = checked();
  switch (self.state()) {
    case generator_state::running:
      detail::throw_already_executing(self);
    case generator_state::created:
      detail::discard(self);
      take_end(self);
      return close_type();
    case generator_state::closed:
      return close_type();
    case generator_state::suspended:
      break;
  }
  if (detail::raise_exit(self) != nullptr) {
    std::rethrow_exception(detail::ignored_exit(self));
  }
  if (self.stage == detail::stage::exited) {
    self.rest().exception = nullptr;
  }
  const bool returned = self.stage == detail::stage::returned && !self.orphaned;
  take_end(self);
  if constexpr (returns) {
    return returned ? close_type(detail::copy_or_take(self.result)) : std::nullopt;
  }
}

template <class Yield, class Send, class Return>
void generator<Yield, Send, Return>::take_rare_end(frame_type& self) {
  std::exception_ptr exception = std::exchange(self.rest().exception, nullptr);
  if (self.orphaned && self.stage != detail::stage::started) {
    if (self.stage == detail::stage::exited) {
      exception = nullptr;  // as if closed
    }
    destroy(self);
  }
  if (exception != nullptr) {
    std::rethrow_exception(exception);
  }
}

template <class Yield, class Send, class Return>
Return generator<Yield, Send, Return>::delegated_value(frame_type& self, bool fresh) {
  if constexpr (returns) {
    if (fresh) {
      return detail::copy_or_take(self.result);
    }
  }
  return detail::none_or_throw<Return>();
}

template <class Yield, class Send, class Return>
void generator<Yield, Send, Return>::raise_end(frame_type& self) {
  const bool fresh = self.outcome_pending && !self.orphaned;
  take_end(self);
  if constexpr (returns) {
    static_assert(alignof(Return) <= alignof(std::max_align_t),
                  "an exception cannot carry a value of such alignment: use resume() instead of next()");
    if (fresh) {
      throw stop_iteration<Return>(detail::copy_or_take(self.result));
    }
  }
  static_cast<void>(fresh);
  throw stop_iteration<Return>();
}

}  // namespace KRAIT_BACKEND
}  // namespace krait
