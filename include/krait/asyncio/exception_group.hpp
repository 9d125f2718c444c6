// SPDX-License-Identifier: BSL-1.0
#pragma once

// Several exceptions that are raised at once, and how they are told apart. A group is an exception as others are, so
// groups may be in groups; those in them that are none are its leaves.

#include <algorithm>
#include <exception>
#include <functional>
#include <stdexcept>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "krait/exceptions.hpp"

namespace krait::asyncio {
namespace detail {
struct handling;
}

// Of default visibility, as in krait/exceptions.hpp.
#pragma GCC visibility push(default)

/// Several exceptions, of any type. Python: BaseExceptionGroup.
class exception_group : public std::runtime_error {
 public:
  /// What matches, and the rest: each holds a group; null: nothing is in it.
  using parts = std::pair<std::exception_ptr, std::exception_ptr>;
  /// Asked of what is no group.
  using predicate = std::function<bool(const std::exception_ptr& leaf)>;

  /// Throws value_error if there are none, or if one of them is null. what() is the message, and how many there are.
  exception_group(const std::string& message, std::vector<std::exception_ptr> exceptions);

  /// Python: `group.message`, `group.exceptions`.
  const std::string& message() const noexcept { return message_; }
  const std::vector<std::exception_ptr>& exceptions() const noexcept { return exceptions_; }

  /// Those that are no groups, also of groups within, in order.
  std::vector<std::exception_ptr> leaves() const;

  /// A group like this of some of what is in it: what split() and subgroup() make. A derived class has them make groups
  /// of its own by overriding this. Python: `group.derive(exceptions)`.
  virtual std::exception_ptr derive(std::vector<std::exception_ptr> some) const;

  /// The group of what is one of those types, and that of the rest; groups within are split likewise. That a group is a
  /// std::exception does not count, only if a T derives from exception_group: then a group that is one is taken whole.
  ///
  /// Throws type_error if derive() has returned no group. Python: `group.split(T)`.
  template <class... T>
    requires(sizeof...(T) > 0)
  parts split() const {
    return split_by({&is_one<T...>, &is_whole<T...>});
  }
  /// By what is asked of each leaf.
  parts split(predicate matches) const { return split_by({std::move(matches), nullptr}); }

  /// Only the first of these; null: there is none. Python: `group.subgroup(T)`.
  template <class... T>
    requires(sizeof...(T) > 0)
  std::exception_ptr subgroup() const {
    return split<T...>().first;
  }
  std::exception_ptr subgroup(predicate matches) const { return split(std::move(matches)).first; }

  /// As clauses `except* T` one after the other: of each handler its T, or of a single one all of them. A handler is
  /// called with each leaf that is a T, as `const T&`; or, if it takes that, once with the group of them, as
  /// `const exception_group&`. Groups themselves are not handled: no T may be one.
  ///
  /// What none has handled, or what they raise again by `throw;`, is thrown: a group as this one is of it. What they
  /// raise besides is thrown, or, if there is more than one, a group of all.
  template <class... T, class... Handlers>
    requires(sizeof...(T) > 0 && (!std::is_base_of_v<exception_group, T> && ...))
  void handle(Handlers... handlers) const;

  /// The group that an exception is; null: it is none. It lives as long as that.
  static const exception_group* in(const std::exception_ptr& exception) noexcept;

 private:
  friend detail::handling;

  struct matcher {
    predicate leaf;
    std::function<bool(const exception_group&)> whole;  ///< may be empty: none
  };

  template <class... T>
  static bool is_one(const std::exception_ptr& leaf) {
    return (krait::detail::holds<T>(leaf) || ...);
  }
  template <class... T>
  static bool is_whole(const exception_group& group) {
    const auto is = [&]<class Each>(std::type_identity<Each>) {
      if constexpr (std::is_base_of_v<exception_group, Each>) {
        return dynamic_cast<const Each*>(&group) != nullptr;
      } else {
        return false;
      }
    };
    return (is(std::type_identity<T>()) || ...);
  }

  parts split_by(const matcher& matches) const;
  std::exception_ptr derived(std::vector<std::exception_ptr> some) const;
  void add_leaves(std::vector<std::exception_ptr>& to) const;

  std::string message_;
  std::vector<std::exception_ptr> exceptions_;
};

#pragma GCC visibility pop

namespace detail {

/// What has become of a group in the clauses so far.
struct handling {
  const exception_group& group;
  std::exception_ptr rest;                 ///< a group; null: nothing
  std::vector<std::exception_ptr> kept;    ///< leaves that a handler has raised again
  std::vector<std::exception_ptr> raised;  ///< what handlers have raised
  bool matched = false;

  explicit handling(const exception_group& of) : group(of), rest(of.derived(of.exceptions())) {}

  template <class... T, class Handler>
  void clause(Handler& handler) {
    if (rest == nullptr) {
      return;
    }
    auto [mine, others] = exception_group::in(rest)->template split<T...>();
    if (mine == nullptr) {
      return;
    }
    matched = true;
    rest = std::move(others);
    if constexpr ((std::is_invocable_v<Handler&, const T&> && ...)) {
      for (const std::exception_ptr& leaf : exception_group::in(mine)->leaves()) {
        try {
          call<T...>(handler, leaf);
        } catch (...) {
          has_raised(std::current_exception(), leaf);
        }
      }
    } else {
      static_assert(std::is_invocable_v<Handler&, const exception_group&>,
                    "a handler takes a `const T&` or a `const exception_group&`");
      try {
        try {
          std::rethrow_exception(mine);
        } catch (const exception_group& handled) {
          handler(handled);
        }
      } catch (...) {
        has_raised(std::current_exception(), mine);
      }
    }
  }

  /// Throws what is to be thrown; of a group that no clause has matched, `unmatched`.
  void end(const std::exception_ptr& unmatched);

 private:
  /// In the handler of its exception, which `throw;` raises again.
  template <class First, class... Rest, class Handler>
  static void call(Handler& handler, const std::exception_ptr& leaf) {
    if constexpr (sizeof...(Rest) > 0) {
      if (!krait::detail::holds<First>(leaf)) {
        return call<Rest...>(handler, leaf);
      }
    }
    try {
      std::rethrow_exception(leaf);
    } catch (const First& error) {
      handler(error);
    }
  }

  void has_raised(std::exception_ptr what, const std::exception_ptr& handled);
};

template <class... T, class... Handlers>
void handle(const exception_group& group, const std::exception_ptr& unmatched, Handlers&... handlers) {
  handling all(group);
  if constexpr (sizeof...(Handlers) == 1) {
    (all.clause<T...>(handlers), ...);
  } else {
    static_assert(sizeof...(T) == sizeof...(Handlers),
                  "each handler has one type, or a single one all of them");
    (all.clause<T>(handlers), ...);
  }
  all.end(unmatched);
}

}  // namespace detail

template <class... T, class... Handlers>
  requires(sizeof...(T) > 0 && (!std::is_base_of_v<exception_group, T> && ...))
void exception_group::handle(Handlers... handlers) const {
  detail::handle<T...>(*this, nullptr, handlers...);
}

/// In a catch block: deals with what is being handled there as exception_group::handle() does, be it a group or not; of
/// one that is none, a group of it alone is made, without a message. If no clause matches, it is thrown as it was.
/// Throws, too, runtime_error if nothing is being handled. Python: `except* T`.
template <class... T, class... Handlers>
  requires(sizeof...(T) > 0 && (!std::is_base_of_v<exception_group, T> && ...))
void except_star(Handlers... handlers) {
  const std::exception_ptr raised = std::current_exception();
  if (raised == nullptr) {
    throw runtime_error("no exception is being handled");
  }
  if (const exception_group* const group = exception_group::in(raised)) {
    detail::handle<T...>(*group, raised, handlers...);
  } else {
    detail::handle<T...>(exception_group("", {raised}), raised, handlers...);
  }
}

}  // namespace krait::asyncio
