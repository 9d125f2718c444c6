// SPDX-License-Identifier: BSL-1.0
#pragma once

// `async for`, aiter() and anext(), over whatever has anext().

#include <cstddef>
#include <iterator>
#include <memory>
#include <optional>
#include <tuple>
#include <type_traits>
#include <utility>

#include "krait/async_generator.hpp"
#include "krait/awaitable.hpp"
#include "krait/detail/deferred.hpp"
#include "krait/detail/lazy_iterator.hpp"
#include "krait/exceptions.hpp"
#include "krait/none.hpp"

namespace krait {

/// Has `anext()`, which returns something to await for the next item; at the end it, or that, throws
/// stop_async_iteration. Python: collections.abc.AsyncIterator.
template <class T>
concept async_iterator = requires(std::remove_reference_t<T>& object) {
  { object.anext() } -> awaitable;
};

/// Has `aiter()`, which returns an asynchronous iterator. Python: collections.abc.AsyncIterable.
template <class T>
concept async_iterable = requires(std::remove_reference_t<T>& object) {
  { object.aiter() } -> async_iterator;
};

/// Python: `aiter(iterable)`.
template <async_iterable T>
decltype(auto) aiter(T& iterable) {
  return iterable.aiter();
}

/// Python: `anext(iterator)`.
template <async_iterator T>
decltype(auto) anext(T& iterator) {
  return iterator.anext();
}

/// To be awaited: the next item, or `fallback` at the end. What `iterator.anext()` itself throws comes
/// out of this call. Python: `anext(iterator, fallback)`.
template <async_iterator T, class Fallback>
auto anext(T& iterator, Fallback fallback) {
  using awaited = decltype(iterator.anext());  // perhaps a reference
  return detail::deferred(
      [operation = std::tuple<awaited>(iterator.anext()), fallback = std::move(fallback)](auto& co) mutable {
        using item = std::remove_cvref_t<decltype(co.await(std::get<0>(std::move(operation))))>;
        try {
          return static_cast<item>(co.await(std::get<0>(std::move(operation))));
        } catch (const stop_async_iteration&) {
          return static_cast<item>(std::move(fallback));
        }
      });
}

namespace detail {

/// Could a loop over it come to its second item?
template <class T>
inline constexpr bool can_be_sent_none = true;
template <class Y, class S, class DriverY, class DriverS>
inline constexpr bool can_be_sent_none<async_generator<Y, S, DriverY, DriverS>> = has_none<S>;

/// What async_for() returns.
template <class Awaiter, class Iterable>
class async_range {
  using returned_type = decltype(std::declval<std::remove_reference_t<Iterable>&>().aiter());
  using async_iterator = std::remove_reference_t<returned_type>;
  static constexpr bool by_reference = std::is_reference_v<returned_type>;
  using awaited_type = decltype(std::declval<Awaiter&>().await(std::declval<async_iterator&>().anext()));
  // Nothing, as in a loop over a generator<void>.
  using item_type = std::conditional_t<std::is_void_v<awaited_type>, std::byte, awaited_type>;

 public:
  async_range(Awaiter& co, Iterable&& iterable) : co_(&co), iterable_(kept(iterable)) {}

  class iterator : public detail::lazy_iterator<iterator, std::remove_cvref_t<item_type>,
                                                std::remove_reference_t<item_type>&> {
    using stored_type = std::conditional_t<by_reference, async_iterator*, async_iterator>;

   public:
    /// Of no iterable, and at its end: for views that make their iterators before they have one.
    iterator()
      requires std::default_initializable<stored_type>
    = default;
    iterator(Awaiter& co, std::remove_reference_t<Iterable>& iterable)
        : co_(&co), iterator_(begin(iterable)), due_(true) {}

   private:
    friend typename iterator::lazy_iterator;

    static stored_type begin(std::remove_reference_t<Iterable>& iterable) {
      if constexpr (by_reference) {
        return std::addressof(iterable.aiter());
      } else {
        return iterable.aiter();
      }
    }

    item_type fetch() const {
      async_iterator* each;
      if constexpr (by_reference) {
        each = iterator_;
      } else {
        each = std::addressof(iterator_);
      }
      if constexpr (std::is_void_v<awaited_type>) {
        co_->await(each->anext());
        return {};
      } else {
        return co_->await(each->anext());
      }
    }

    bool& due() const noexcept { return due_; }
    auto& look() const {
      if (due_) {
        due_ = false;
        item_.clear();
        try {
          item_.fill([this]() -> item_type { return fetch(); });
        } catch (const stop_async_iteration&) {
        }
      }
      return item_;
    }

    Awaiter* co_ = nullptr;
    mutable stored_type iterator_{};
    mutable detail::lazy_slot<item_type> item_{};
    mutable bool due_ = false;
  };

  iterator begin() {
    if constexpr (by_pointer) {
      return iterator(*co_, *iterable_);
    } else {
      return iterator(*co_, iterable_);
    }
  }
  std::default_sentinel_t end() const noexcept { return std::default_sentinel; }

 private:
  static constexpr bool by_pointer =
      std::is_reference_v<Iterable>;  // so that it can be assigned, as views are

  static decltype(auto) kept(std::remove_reference_t<Iterable>& iterable) noexcept {
    if constexpr (by_pointer) {
      return std::addressof(iterable);
    } else {
      return std::move(iterable);
    }
  }

  Awaiter* co_;
  std::conditional_t<by_pointer, std::remove_reference_t<Iterable>*, Iterable> iterable_;
};

}  // namespace detail

// GCC 14 takes a class that holds a pointer and needs no destructor for a view, and warns that one which is
// made of a temporary dangles. This one keeps the temporary.
#if __has_cpp_attribute(gnu::no_dangling)
#define KRAIT_NO_DANGLING [[gnu::no_dangling]]
#else
#define KRAIT_NO_DANGLING
#endif

/// A range of the items of an asynchronous iterable, each awaited when the loop comes to it. Python:
/// `async for`.
///
///     for (auto& row : krait::async_for(co, remote_table)) { ... }
///
/// Throws, at the beginning and with each item, what leaves the iterable's functions and what is
/// awaited, but for stop_async_iteration, which ends the loop. To leave the loop early does not close
/// an async_generator: see aclosing.
template <class Awaiter, class Iterable>
KRAIT_NO_DANGLING auto async_for(Awaiter& co, Iterable&& iterable) {
  static_assert(
      requires { iterable.aiter(); },
      "'async for' requires an object with aiter(); over a range or a generator, loop with a plain for");
  if constexpr (requires { iterable.aiter(); }) {
    static_assert(
        requires { iterable.aiter().anext(); },
        "'async for' received an object from aiter() that does not implement anext()");
    if constexpr (requires { iterable.aiter().anext(); }) {
      static_assert(awaitable<decltype(iterable.aiter().anext())>,
                    "'async for' received an invalid object from anext(): it cannot be awaited");
      static_assert(detail::can_be_sent_none<std::remove_cvref_t<decltype(iterable.aiter())>>,
                    "'async for' sends None, which this generator's Send cannot say: asend(), or a Send of "
                    "std::optional");
      return detail::async_range<Awaiter, Iterable>(co, std::forward<Iterable>(iterable));
    }
  }
}

#undef KRAIT_NO_DANGLING

}  // namespace krait
