// SPDX-License-Identifier: BSL-1.0
#pragma once

// What can be wrong with a frame, and with what is asked of it: the texts are Python's, and lie in
// src/frame/errors.cpp, apart from the code that they would crowd.

#include <cstddef>
#include <exception>
#include <typeinfo>

#include "krait/detail/frame/frame.hpp"
#include "krait/stack.hpp"

namespace krait::detail {

[[noreturn]] void throw_already_executing(const frame& self);
[[noreturn]] void throw_moved_from(kind kind);
[[noreturn]] void throw_not_just_started(const frame& self);
[[noreturn]] void throw_cannot_send_none(const frame& self);
[[noreturn]] void throw_cannot_reuse_coroutine();
[[noreturn]] void throw_being_awaited();
[[noreturn]] void throw_no_value();
[[noreturn]] void throw_no_exception();
[[noreturn]] void throw_yield_elsewhere();
[[noreturn]] void throw_unusable_stack(std::size_t needed, stack memory);
[[noreturn]] void throw_has_no_send(const std::type_info& type);

std::exception_ptr already_executing(const frame& self);
std::exception_ptr ignored_exit(const frame& self);

/// The exception being handled. C++ knows nothing of another language's, and calls it null: then
/// "generator raised a foreign exception".
std::exception_ptr raised_exception(const frame& self) noexcept;

/// "generator raised StopIteration", caused by the exception being handled (PEP 479).
std::exception_ptr stop_iteration_escaped(const frame& self) noexcept;

/// What has ended is resumed all the same: throws, if it is a coroutine.
inline void check_reuse(const frame& self) {
  if (self.rest().kind == kind::coroutine) {
    throw_cannot_reuse_coroutine();
  }
}

/// A coroutine is awaited from its beginning. (Of one that is running, a delegation says so.)
inline void check_not_begun(const frame& self) {
  switch (self.state()) {
    case generator_state::suspended:
      throw_being_awaited();
    case generator_state::closed:
      throw_cannot_reuse_coroutine();
    case generator_state::running:
    case generator_state::created:
      break;
  }
}

/// Tells the warning hook of a coroutine that is dropped before it has started.
void warn_never_awaited(const frame& self) noexcept;

/// Is it a generator_exit?
bool is_generator_exit(const std::exception_ptr& exception) noexcept;

/// A thread was cancelled or exited inside a body. Says so and aborts.
[[noreturn]] void forced_unwind_reached_base(const frame& self) noexcept;

/// Tells the unraisable hook of what came up while a destructor closed `self`.
void report_ignored_while_closing(const frame& self, std::exception_ptr exception) noexcept;

}  // namespace krait::detail
