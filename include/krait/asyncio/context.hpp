// SPDX-License-Identifier: BSL-1.0
#pragma once

// Context variables: what is a global variable to a task and all that it calls, and another one to each task. A task
// begins with a copy of its maker's, a callback with one of whoever scheduled it. Nothing is paid where none is set.

#include <concepts>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "krait/detail/config.hpp"
#include "krait/exceptions.hpp"

namespace krait::asyncio {
namespace detail {
inline namespace KRAIT_BACKEND {

/// The variables that are set, never changed once shared: so to copy a context is to share them.
struct variables {
  struct entry {
    const void* key;
    std::shared_ptr<const void> value;
  };
  std::vector<entry> all;

  const entry* find(const void* key) const noexcept;
};

struct context_state {
  std::shared_ptr<const variables> set;
};

/// Null: nothing has been set.
using context_pointer = std::shared_ptr<context_state>;

struct access;

/// Of the task, callback or thread that runs.
context_pointer& context_here() noexcept;

/// One that starts as `of` is now.
context_pointer copy_of(const context_pointer& of);

/// Null: not set.
std::shared_ptr<const void> variable_here(const void* key) noexcept;
/// Null unsets it.
void set_variable_here(const void* key, std::shared_ptr<const void> value);

}  // namespace KRAIT_BACKEND
}  // namespace detail

inline namespace KRAIT_BACKEND {

/// What context variables hold: a set of them, to run things in. A handle: copies are of the same context. Python:
/// contextvars.Context.
class context {
 public:
  /// An empty one. Throws std::bad_alloc.
  context() : state_(std::make_shared<detail::context_state>()) {}

  /// Calls `function()` with this as the context, and returns what it returns. What it sets stays in this. Throws what
  /// leaves it. Python: `context.run(f)`.
  template <class F>
  decltype(auto) run(F&& function) const {
    struct scope {
      detail::context_pointer& here;
      detail::context_pointer before;
      ~scope() { here = std::move(before); }
    };
    detail::context_pointer& here = detail::context_here();
    const scope entered{here, std::exchange(here, state_)};
    return std::forward<F>(function)();
  }

  /// For what is built on contexts: its inside.
  const detail::context_pointer& state() const noexcept { return state_; }

 private:
  friend context copy_context();
  friend detail::access;
  explicit context(detail::context_pointer of) noexcept : state_(std::move(of)) {}

  detail::context_pointer state_;
};

/// A context that starts as the present one is. Throws std::bad_alloc. Python: `contextvars.copy_context()`.
context copy_context();

/// A variable of which each task has its own. It must outlive all contexts that it is set in, as a variable at
/// namespace scope does; it may be used by several threads at once. Python: contextvars.ContextVar.
template <class T>
class context_var {
 public:
  /// What there was before a set(), for reset(). Python: contextvars.Token.
  class token {
   public:
    /// None: it was not set. Python: `token.old_value`.
    std::optional<T> old_value() const {
      return before_ == nullptr ? std::nullopt : std::optional<T>(*static_cast<const T*>(before_.get()));
    }

   private:
    friend context_var;
    token(const context_var& of, std::shared_ptr<const void> before) noexcept
        : of_(&of), where_(detail::context_here()), before_(std::move(before)) {}

    const context_var* of_;
    std::weak_ptr<detail::context_state> where_;
    std::shared_ptr<const void> before_;
    bool used_ = false;
  };

  /// One that has no value, or this one, where it is not set.
  explicit context_var(std::string name) : name_(std::move(name)) {}
  context_var(std::string name, T value) : name_(std::move(name)), default_(std::move(value)) {}
  context_var(const context_var&) = delete;
  context_var& operator=(const context_var&) = delete;

  const std::string& name() const noexcept { return name_; }

  /// What it is set to, else the default. Throws runtime_error if there is neither. Python: `var.get()`.
  T get() const {
    if (const auto found = detail::variable_here(this)) {
      return *static_cast<const T*>(found.get());
    }
    if (!default_) {
      throw runtime_error("context variable '" + name_ + "' is not set");
    }
    return *default_;
  }
  /// What it is set to, else `fallback`. Python: `var.get(fallback)`.
  T get(T fallback) const {
    const auto found = detail::variable_here(this);
    return found != nullptr ? *static_cast<const T*>(found.get()) : std::move(fallback);
  }

  /// Sets it in the present context; reset() takes what it returns. Throws std::bad_alloc. Python: `var.set(value)`.
  token set(T value) const {
    auto made = std::make_shared<const T>(std::move(value));
    auto before = detail::variable_here(this);
    detail::set_variable_here(this, std::move(made));
    return token(*this, std::move(before));
  }

  /// Sets what there was before the set() that returned `of`. Throws runtime_error if that has been used before,
  /// value_error if it is another variable's, or was made in another context. Python: `var.reset(token)`.
  void reset(token& of) const {
    if (of.used_) {
      throw runtime_error("the token has already been used once");
    }
    if (of.of_ != this) {
      throw value_error("the token was created by a different variable");
    }
    if (of.where_.lock() != detail::context_here()) {
      throw value_error("the token was created in a different context");
    }
    of.used_ = true;
    detail::set_variable_here(this, of.before_);
  }

 private:
  std::string name_;
  std::optional<T> default_;
};

}  // namespace KRAIT_BACKEND
}  // namespace krait::asyncio
