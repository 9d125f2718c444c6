// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <concepts>
#include <exception>
#include <functional>
#include <memory>
#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>

#include "krait/contextlib/context_manager.hpp"

namespace krait {

/// Managers and functions, as many as turn out to be needed, whose exits run in reverse order, each with what
/// those after it left: as that many nested `with`. Python: contextlib.ExitStack.
///
/// Move-only. Destroyed before exit() or close() was called, it exits as `entered` does.
class [[nodiscard]] exit_stack {
 public:
  exit_stack() = default;
  exit_stack(exit_stack&& other) noexcept : exits_(std::move(other.exits_)) {}
  /// Exits what was in here before. Throws what that raises, with `other` moved here.
  exit_stack& operator=(exit_stack&& other);
  ~exit_stack() noexcept(false) { detail::exit_from_destructor(*this, passing_); }

  exit_stack& enter() noexcept { return *this; }

  /// Runs all exits. Returns whether `exception` was swallowed; throws what an exit raised and none before it
  /// swallowed.
  bool exit(const std::exception_ptr& exception);

  /// Runs all exits, as at the end of a block. Throws what exit() throws.
  void close() { exit(nullptr); }

  /// Enters `manager` now, and will exit it. An rvalue is kept here, an lvalue must outlive that. Returns
  /// what `enter` returned; nothing is kept if that throws.
  template <context_manager Manager>
  auto enter_context(Manager&& manager) -> detail::entered_type<Manager> {
    if (exits_.size() == exits_.capacity()) {
      exits_.reserve(2 * exits_.size() + 4);  // so that nothing can fail once it has been entered
    }
    auto kept = std::make_unique<exit_of<Manager>>(std::forward<Manager>(manager));
    auto& object = kept->object;
    if constexpr (std::is_void_v<detail::entered_type<Manager>>) {
      object.enter();
      exits_.push_back(std::move(kept));
    } else {
      detail::entered_type<Manager> value = object.enter();
      exits_.push_back(std::move(kept));
      return std::forward<detail::entered_type<Manager>>(value);
    }
  }

  template <detail::asynchronous_only Manager>
  void enter_context(Manager&&) = delete;  // did you mean enter_context(awaited(co, manager))?

  /// Will exit `manager`, which is not entered here.
  template <has_exit Manager>
  void push(Manager&& manager) {
    exits_.push_back(std::make_unique<exit_of<Manager>>(std::forward<Manager>(manager)));
  }

  /// Will call `function` as the exit of a manager.
  template <std::invocable<std::exception_ptr> Function>
    requires(!has_exit<Function>)
  void push(Function&& function) {
    push(function_exit<std::decay_t<Function>>{std::forward<Function>(function)});
  }

  /// Will call `function(arguments...)`, which swallows nothing.
  template <class Function, class... Arguments>
    requires std::invocable<std::decay_t<Function>&, std::decay_t<Arguments>&...>
  void callback(Function&& function, Arguments&&... arguments) {
    push([function = std::decay_t<Function>(std::forward<Function>(function)),
          arguments = std::tuple<std::decay_t<Arguments>...>(std::forward<Arguments>(arguments)...)](
             const std::exception_ptr&) mutable { static_cast<void>(std::apply(function, arguments)); });
  }

  /// Moves all that has been registered to another stack. That one is dropped with its exits run, unlike
  /// Python's: release() forgets them. Python: `pop_all`.
  [[nodiscard("an exit_stack that is dropped runs its exits: release() forgets them")]] exit_stack
  pop_all() noexcept {
    return exit_stack(std::exchange(exits_, {}));
  }

  /// Forgets all that has been registered: no exit is run. Managers that are kept here are destroyed (which
  /// closes the generator of a contextmanager), the last one first. Python: `pop_all()` with its result
  /// dropped.
  void release() noexcept;

 private:
  struct exit_base {
    virtual ~exit_base() = default;
    virtual bool exit(std::exception_ptr exception) = 0;
  };

  template <class Manager>
  struct exit_of final : exit_base {
    explicit exit_of(Manager&& manager) : object(std::forward<Manager>(manager)) {}
    ~exit_of() noexcept override {}  // also of an exit_stack, whose destructor may throw; it is empty by then
    bool exit(std::exception_ptr exception) override {
      return detail::exit_from(object, std::move(exception));
    }
    Manager object;
  };

  template <class Function>
  struct function_exit {
    Function function;
    auto exit(std::exception_ptr exception) { return function(std::move(exception)); }
  };

  explicit exit_stack(std::vector<std::unique_ptr<exit_base>> exits) noexcept : exits_(std::move(exits)) {}

  /// Takes out the last one.
  std::unique_ptr<exit_base> pop() noexcept;

  /// Calls an exit while `passing` is handled, as `with` does; clears it if that is swallowed.
  static void leave_by(exit_base& last, std::exception_ptr& passing);

  int passing_ = std::uncaught_exceptions();
  std::vector<std::unique_ptr<exit_base>> exits_;
};

}  // namespace krait
