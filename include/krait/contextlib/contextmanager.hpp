// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <concepts>
#include <exception>
#include <memory>
#include <type_traits>
#include <utility>

#include "krait/contextlib/context_manager.hpp"
#include "krait/detail/body.hpp"
#include "krait/detail/config.hpp"
#include "krait/exceptions.hpp"
#include "krait/generator.hpp"
#include "krait/inspect.hpp"
#include "krait/stack.hpp"
#include "krait/yielder.hpp"

namespace krait {

namespace detail {

/// Within a handler: is that of `exception`?
bool is_handled(const std::exception_ptr& exception) noexcept;

/// Within a handler: is that of a runtime_error whose cause is `exception`?
bool is_cause_of_handled(const std::exception_ptr& exception);

/// Within a handler: is that of `exception`, which was raised in a generator, or of the runtime_error that a
/// generator makes of it, if it is one of these Ends of an iteration?
template <class... Ends>
bool came_back(const std::exception_ptr& exception) {
  return is_handled(exception) || (is_cause_of_handled(exception) && (holds<Ends>(exception) || ...));
}

/// Throws runtime_error with `exception` as its cause, unless that is a generator_exit.
void check_not_swallowed(const std::exception_ptr& exception);

/// What the exit of a manager made from a generator returns whose body has swallowed `exception`.
template <class Exit>
Exit swallowed(const std::exception_ptr& exception) {
  if constexpr (std::is_void_v<Exit>) {
    check_not_swallowed(exception);
  } else {
    return true;
  }
}

}  // namespace detail

inline namespace KRAIT_BACKEND {

/// A manager made from a generator that yields once: what is before the `yield` enters, what is yielded is
/// the value, the exception of the block is raised at the `yield`, and what is after it exits. It swallows
/// the exception by catching it. Python: contextlib.contextmanager.
///
/// Exit is what its exit() returns: bool, or void if the body never swallows, so that `with` returns what the
/// block does, and no std::optional. Python's typing has it likewise: AbstractContextManager[T, None].
///
///     krait::contextmanager<transaction&> begin(database& db) {
///       return [&db](auto& yield) {
///         transaction t(db);
///         yield(t);
///         t.commit();
///       };
///     }
template <class T, class Exit = bool>
class [[nodiscard]] contextmanager {
  static_assert(std::same_as<Exit, bool> || std::is_void_v<Exit>,
                "contextmanager: its exit returns bool or, if its body never swallows exceptions, void");

 public:
  /// Makes a manager of `body(yielder)`, as a generator is made. Throws what making a generator throws.
  template <detail::body_of<yielder<T, void>, void> Body>
  contextmanager(Body&& body,  // NOLINT(google-explicit-constructor)
                 const char* name = __builtin_FUNCTION())
      : generator_(std::forward<Body>(body), name) {}

  /// On a stack from `where`, as for a generator.
  template <stack_choice Stack = stack_options, detail::body_of<yielder<T, void>, void> Body>
  contextmanager(std::allocator_arg_t, Stack&& where, Body&& body, const char* name = __builtin_FUNCTION())
      : generator_(std::allocator_arg, std::forward<Stack>(where), std::forward<Body>(body), name) {}

  /// Takes a generator that has not started.
  explicit contextmanager(generator<T>&& given) noexcept : generator_(std::move(given)) {}

  /// Runs the body to its `yield`. Throws what leaves the body; runtime_error `generator didn't yield` if it
  /// ends; value_error if this was entered before: it is good for one `with`.
  T enter() {
    if (generator_.state() != generator_state::created) {
      throw value_error("a contextmanager can be entered once");
    }
    auto step = generator_.resume();
    if (!step.yielded()) {
      throw runtime_error("generator didn't yield");
    }
    if constexpr (!std::is_void_v<T>) {
      return *step;
    }
  }

  /// Runs the body to its end, with `exception` raised at the `yield`, if there is one. Returns whether the
  /// body swallowed it. Throws what leaves the body, but for `exception` itself (or the runtime_error into
  /// which a generator turns it, if it is a stop_iteration); runtime_error `generator didn't stop` if it
  /// yields again. Where Exit is void, runtime_error with `exception` as its cause if the body swallowed it,
  /// unless that is a generator_exit, to which a body may answer by returning, and which goes on all the
  /// same.
  Exit exit(std::exception_ptr exception) {
    if (exception == nullptr) {
      if (generator_.resume().yielded()) {
        close_and_throw("generator didn't stop");
      }
      return Exit();
    }
    bool yielded = false;
    try {
      yielded = generator_.resume_with(exception).yielded();
    } catch (...) {
      if (!detail::came_back<stop_iteration<>>(exception)) {
        throw;
      }
      return Exit();
    }
    if (yielded) {
      close_and_throw("generator didn't stop after throw()");
    }
    return detail::swallowed<Exit>(exception);
  }

 private:
  template <detail::misfit<yielder<T, void>, void> Body>
  contextmanager(Body&& body, const char* = "")  // NOLINT(google-explicit-constructor)
      : contextmanager(detail::refused<contextmanager, yielder<T, void>, void, Body>(body)) {}

  [[noreturn]] void close_and_throw(const char* what) {
    generator_.close();
    throw runtime_error(what);
  }

  generator<T> generator_;
};

}  // namespace KRAIT_BACKEND

}  // namespace krait
