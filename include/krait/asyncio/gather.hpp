// SPDX-License-Identifier: BSL-1.0
#pragma once

// Several at once: gather, wait, shield.

#include <algorithm>
#include <array>
#include <concepts>
#include <cstddef>
#include <exception>
#include <iterator>
#include <memory>
#include <optional>
#include <ranges>
#include <tuple>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

#include "krait/asyncio/event_loop.hpp"
#include "krait/asyncio/timeout.hpp"

namespace krait::asyncio {

/// Says that exceptions are wanted as results: `gather(return_exceptions, a, b)`.
struct return_exceptions_t {};
inline constexpr return_exceptions_t return_exceptions{};

/// What wait() waits for: that one is done, that one has failed, or all are done.
enum class return_when { first_completed, first_exception, all_completed };

namespace detail {
inline namespace KRAIT_BACKEND {

template <class T>
inline constexpr bool is_future = false;
template <class T>
inline constexpr bool is_future<future<T>> = true;
template <class T>
inline constexpr bool is_future<task<T>> = true;

template <class X>
concept a_future = is_future<std::remove_cvref_t<X>>;

/// Can it be made a future, or is it one?
template <class X>
concept ensurable = a_future<X> || awaited<X> || std::invocable<std::decay_t<X>&>;

}  // namespace KRAIT_BACKEND
}  // namespace detail

inline namespace KRAIT_BACKEND {

/// A future, or task, as it is; a callable in a task of its own, and so a coroutine, or an operation of an asynchronous
/// generator. If a task is to be made, throws as create_task(). Python: `asyncio.ensure_future(x)`.
template <detail::ensurable X>
[[nodiscard]] auto ensure_future(X&& x) {
  if constexpr (detail::a_future<X>) {
    return std::decay_t<X>(std::forward<X>(x));
  } else if constexpr (detail::awaited<X>) {
    return create_task(detail::waiting_for(std::forward<X>(x)));
  } else {
    return create_task(std::forward<X>(x));
  }
}
/// The same, of this loop. Throws value_error if the future is another's. Python: `asyncio.ensure_future(x, loop=of)`.
template <detail::ensurable X>
[[nodiscard]] auto ensure_future(X&& x, event_loop& of) {
  if constexpr (detail::a_future<X>) {
    if (&x.get_loop() != &of) {
      throw value_error("The future belongs to a different loop than the one specified as the loop argument");
    }
    return std::decay_t<X>(std::forward<X>(x));
  } else if constexpr (detail::awaited<X>) {
    return of.create_task(detail::waiting_for(std::forward<X>(x)));
  } else {
    return of.create_task(std::forward<X>(x));
  }
}

}  // namespace KRAIT_BACKEND

namespace detail {
inline namespace KRAIT_BACKEND {

/// Of a future, or of the task that a callable becomes: that, as a future.
template <class X>
auto future_of(X&& x) {
  auto ensured = ensure_future(std::forward<X>(x));
  return future<typename decltype(ensured)::value_type>(std::move(ensured));
}
template <class X>
using awaited_type = typename decltype(future_of(std::declval<X>()))::value_type;

/// As an element of a tuple or vector.
template <class T>
using element = std::conditional_t<
    std::is_void_v<T>, std::monostate,
    std::conditional_t<std::is_reference_v<T>, std::reference_wrapper<std::remove_reference_t<T>>, T>>;

}  // namespace KRAIT_BACKEND
}  // namespace detail

inline namespace KRAIT_BACKEND {

/// A value or an exception: what has come of a future.
template <class T>
class outcome {
 public:
  /// Throws invalid_state_error if it is not done.
  explicit outcome(const future<T>& done) : done_(done), exception_(failure_of(done)) {}

  bool has_value() const noexcept { return exception_ == nullptr; }
  /// As future::result(). Throws the exception, if it is one.
  decltype(auto) value() const { return done_.result(); }
  /// Null if it is a value.
  const std::exception_ptr& exception() const noexcept { return exception_; }

 private:
  static std::exception_ptr failure_of(const future<T>& done) {
    try {
      return done.exception();
    } catch (const cancelled_error&) {
      return std::current_exception();
    }
  }

  future<T> done_;
  std::exception_ptr exception_;
};

}  // namespace KRAIT_BACKEND

namespace detail {
inline namespace KRAIT_BACKEND {

/// What becomes of a child that is done: its value, or whatever came of it.
template <class T>
struct as_element {
  using type = element<T>;
  static type of(const any_future& done) {
    if constexpr (std::is_void_v<T>) {
      access::as<T>(done).result();
      return {};
    } else {
      return access::as<T>(done).result();
    }
  }
};
template <class T>
struct as_outcome {
  using type = outcome<T>;
  static type of(const any_future& done) { return type(access::as<T>(done)); }
};

/// What gather() returns: a future that holds its children.
struct gathering : future_state {
  struct child : callback {
    gathering* of = nullptr;
    any_future future;
  };

  child* children = nullptr;
  std::size_t count = 0;
  std::size_t left = 0;
  void (*collect)(gathering& self);  ///< all are done: makes the value
  bool keep_exceptions = false;
  bool cancel_requested = false;

  gathering(const operations& ways, loop_state& of, void (*make)(gathering&)) noexcept
      : future_state(ways, of), collect(make) {}

  /// Waits for children[0], ... children[number - 1], of which some may be the same. Throws value_error if one is
  /// another loop's.
  void begin(std::size_t number);

  static bool cancel_children(future_state& self, const std::string& message);

 protected:
  ~gathering() = default;

 private:
  static void child_done(callback& self);
  void count_down(future_state& ended);
  void finish(const future_state* last);
};

/// `Make` makes the Result of the children. `Places`: where these are.
template <class Result, class Make, class Places>
struct gathering_of final : gathering {
  slot<Result> held;
  Places places;

  gathering_of(loop_state& of, std::size_t number)
      : gathering(ways, of,
                  [](gathering& self) {
                    auto& its = static_cast<gathering_of&>(self);
                    its.held.emplace(Make()(its.places));
                  }),
        places(number) {
    value = held.place();
  }
  ~gathering_of() {
    if (status == status::finished) {
      held.destroy();
    }
  }

  static constexpr operations ways{&destroy_future<gathering_of>, &cancel_children};
};

/// Of a number that is known.
template <std::size_t number>
struct places_of {
  std::array<gathering::child, number> all;

  explicit places_of(std::size_t) {}
  gathering::child* begin() noexcept { return all.data(); }
};

/// Of any number.
struct many_places {
  std::unique_ptr<gathering::child[]> all;
  std::size_t number;

  explicit many_places(std::size_t count) : all(std::make_unique<gathering::child[]>(count)), number(count) {}
  gathering::child* begin() noexcept { return all.get(); }
};

/// A tuple, as its braces have them made from left to right.
template <template <class> class As, class... T>
struct make_tuple_of {
  template <class Places>
  auto operator()(const Places& from) const {
    return [&]<std::size_t... i>(std::index_sequence<i...>) {
      return std::tuple<typename As<T>::type...>{As<T>::of(from.all[i].future)...};
    }(std::index_sequence_for<T...>());
  }
};
template <class As>
struct make_vector_of {
  std::vector<typename As::type> operator()(const many_places& from) const {
    std::vector<typename As::type> values;
    values.reserve(from.number);
    for (std::size_t i = 0; i < from.number; ++i) {
      values.push_back(As::of(from.all[i].future));
    }
    return values;
  }
};

/// Of so many children, on this loop; null: that which runs here. `fill` puts their futures into their places.
template <class Make, class Places, class Fill>
auto start_gathering(bool keep_exceptions, loop_state* loop, std::size_t number, Fill fill) {
  using result = std::invoke_result_t<Make, const Places&>;
  auto& made =
      make_state<gathering_of<result, Make, Places>>(loop != nullptr ? *loop : running_loop_state(), number);
  auto handle = access::make<future<result>>(made);
  made.keep_exceptions = keep_exceptions;
  made.children = made.places.begin();
  fill(made.children);
  made.begin(number);
  return handle;
}

template <template <class> class As, class... T>
auto gather_these(bool keep_exceptions, std::tuple<future<T>...> all) {
  loop_state* loop = nullptr;
  if constexpr (sizeof...(T) > 0) {
    loop = access::state_of(std::get<0>(all)).loop;
  }
  return start_gathering<make_tuple_of<As, T...>, places_of<sizeof...(T)>>(
      keep_exceptions, loop, sizeof...(T), [&]([[maybe_unused]] gathering::child* to) {
        std::apply([&](future<T>&... each) { ((to++->future = std::move(each)), ...); }, all);
      });
}
template <template <class> class As, class R>
auto gather_range(bool keep_exceptions, R&& each) {
  using value = awaited_type<std::ranges::range_reference_t<R>>;
  std::vector<future<value>> all;
  for (auto&& x : each) {
    all.push_back(future_of(std::forward<decltype(x)>(x)));
  }
  return start_gathering<make_vector_of<As<value>>, many_places>(
      keep_exceptions, all.empty() ? nullptr : access::state_of(all.front()).loop, all.size(),
      [&](gathering::child* to) {
        for (future<value>& one : all) {
          to++->future = std::move(one);
        }
      });
}

/// Waits until enough of them are done, or so long; at least a turn.
void wait_some(const std::vector<any_future>& all, std::optional<duration> delay, return_when when);

template <class T>
struct shielding : done_callback {
  future<T> outer;
  future<T> inner;

  shielding(loop_state& of, future<T> shown, future<T> hidden)
      : done_callback(of, nullptr, 0), outer(std::move(shown)), inner(std::move(hidden)) {
    on_behalf_of = &access::state_of(outer);
    function = [this] { copy(); };
    run = [](callback& self) {
      const std::unique_ptr<shielding> me(static_cast<shielding*>(&self));
      me->function();
    };
    drop = [](callback& self) noexcept { delete static_cast<shielding*>(&self); };
  }

  void copy() {
    if (outer.done()) {
      if (!inner.cancelled() && !std::exchange(access::state_of(inner).shield_told, true)) {
        if (const std::exception_ptr failure = inner.exception()) {
          loop.report("exception in shielded future", failure);
        }
      }
    } else if (inner.cancelled()) {
      outer.cancel();
    } else if (const std::exception_ptr failure = inner.exception()) {
      outer.set_exception(failure);
    } else if constexpr (std::is_void_v<T>) {
      outer.set_result();
    } else {
      outer.set_result(inner.result());
    }
  }
};

}  // namespace KRAIT_BACKEND
}  // namespace detail

inline namespace KRAIT_BACKEND {

/// A future of the values of all, futures and callables (each called in a task of its own), in this order: a
/// std::tuple, in which void is std::monostate, and a reference a std::reference_wrapper. The first that fails fails it
/// at once, while the others go on; to cancel it cancels them all. Python: `asyncio.gather(a, b)`.
///
/// Throws runtime_error if a task is to be made, or there is nothing to wait for, and no loop runs; value_error if they
/// are of different loops; std::bad_alloc. Tasks that it has made before it throws go on.
template <class... X>
  requires(detail::ensurable<X> && ...)
[[nodiscard]] auto gather(X&&... each) {
  return detail::gather_these<detail::as_element>(
      false, std::tuple<future<detail::awaited_type<X>>...>{detail::future_of(std::forward<X>(each))...});
}

/// The same, but it waits for all and does not fail: a std::tuple of outcome<T>. Python: `asyncio.gather(a, b,
/// return_exceptions=True)`.
template <class... X>
  requires(detail::ensurable<X> && ...)
[[nodiscard]] auto gather(return_exceptions_t, X&&... each) {
  return detail::gather_these<detail::as_outcome>(
      true, std::tuple<future<detail::awaited_type<X>>...>{detail::future_of(std::forward<X>(each))...});
}

/// The same of a range of futures, or callables: a std::vector. Python: `asyncio.gather(*xs)`.
template <std::ranges::input_range R>
[[nodiscard]] auto gather(R&& each) {
  return detail::gather_range<detail::as_element>(false, std::forward<R>(each));
}
/// And so with exceptions as results: a std::vector of outcome<T>. Python: `asyncio.gather(*xs,
/// return_exceptions=True)`.
template <std::ranges::input_range R>
[[nodiscard]] auto gather(return_exceptions_t, R&& each) {
  return detail::gather_range<detail::as_outcome>(true, std::forward<R>(each));
}

/// What wait() returns, in the order of the range.
template <class Future>
struct wait_result {
  std::vector<Future> done;
  std::vector<Future> pending;
};

/// Waits until all, or the first, of a range of futures are done, or one has failed, but no longer than `delay` (none:
/// for ever), and at least a turn: which are done, and which not, each once. Nothing is cancelled.
///
/// Throws value_error if there are none, cancelled_error, runtime_error outside of a task, std::bad_alloc. Python:
/// `await asyncio.wait(futures, timeout=delay, return_when=when)`.
template <std::ranges::input_range R>
auto wait(R&& futures, std::optional<duration> delay = {}, return_when when = return_when::all_completed) {
  wait_result<std::ranges::range_value_t<R>> result;
  std::vector<std::ranges::range_value_t<R>> all;
  for (auto&& each : futures) {
    if (std::ranges::find(all, each) == all.end()) {
      all.push_back(each);
    }
  }
  detail::wait_some(std::vector<any_future>(all.begin(), all.end()), delay, when);
  for (auto& each : all) {
    (each.done() ? result.done : result.pending).push_back(std::move(each));
  }
  return result;
}

/// A future that is done as `x` is, a future or a callable in a task; but when it is cancelled, `x` goes on. Hold `x`,
/// to wait for it after all. If that fails later, the loop's exception handler is told. If a task is to be made, throws
/// as create_task(). Python: `asyncio.shield(x)`.
template <detail::ensurable X>
[[nodiscard]] auto shield(X&& x) {
  auto inner = detail::future_of(std::forward<X>(x));
  using value = typename decltype(inner)::value_type;
  detail::future_state& hidden = detail::access::state_of(inner);
  if (inner.done()) {
    return inner;
  }
  auto outer =
      detail::access::make<future<value>>(detail::make_state<detail::set_future<value>>(*hidden.loop));
  hidden.waiters.push_back(*new detail::shielding<value>(*hidden.loop, outer, inner));
  return outer;
}

}  // namespace KRAIT_BACKEND
}  // namespace krait::asyncio
