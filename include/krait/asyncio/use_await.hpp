// SPDX-License-Identifier: BSL-1.0
#pragma once

// Any asynchronous operation of Boost.Asio, waited for by a task:
//
//      std::size_t n = socket.async_read_some(buffer, asyncio::use_await);
//
// The operation is started on the task's own stack, where its state lies, too, and memory for its handler: one that
// waits allocates nothing. The task goes on in the very call of the handler.
//
// A cancellation is passed on to the operation, and the task waits until that has ended, as it may use the task's
// variables. If it was aborted, cancelled_error is raised. If it has succeeded after all, or failed by itself, that is
// what the task is told, so no byte is lost; the cancellation stays pending, for the next wait. (Of an operation that
// is made of several, as async_read() is, the first of them may have succeeded when it is aborted; nobody is told of
// that.)

#include <boost/asio/async_result.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/error.hpp>
#include <boost/system/error_code.hpp>
#include <boost/system/system_error.hpp>

#include <cstddef>
#include <exception>
#include <optional>
#include <tuple>
#include <type_traits>
#include <utility>

#include "krait/asyncio/detail/handler_memory.hpp"
#include "krait/asyncio/detail/loop.hpp"

namespace krait::asyncio {
namespace detail {
inline namespace KRAIT_BACKEND {

/// What an operation's handler is given: where it goes, and what a function returns that was told.
template <class... Args>
struct completion {
  std::tuple<Args...> arguments;

  template <class... Given>
  explicit completion(Given&&... given) : arguments(std::forward<Given>(given)...) {}

  /// Throws what says that it has failed; stores an error_code in `where`, if that is not null, instead.
  auto value(boost::system::error_code* where) && {
    if constexpr (sizeof...(Args) == 0) {
      return;
    } else {
      using first = std::tuple_element_t<0, std::tuple<Args...>>;
      if constexpr (std::is_same_v<first, boost::system::error_code>) {
        if (where != nullptr) {
          *where = std::get<0>(arguments);
        } else if (std::get<0>(arguments)) {
          throw boost::system::system_error(std::get<0>(arguments));
        }
        return rest<1>();
      } else if constexpr (std::is_same_v<first, std::exception_ptr>) {
        if (std::get<0>(arguments) != nullptr) {
          std::rethrow_exception(std::get<0>(arguments));
        }
        return rest<1>();
      } else {
        return rest<0>();
      }
    }
  }

  bool aborted() const noexcept {
    if constexpr (sizeof...(Args) != 0) {
      using first = std::tuple_element_t<0, std::tuple<Args...>>;
      if constexpr (std::is_same_v<first, boost::system::error_code>) {
        return std::get<0>(arguments) == boost::asio::error::operation_aborted;
      } else if constexpr (std::is_same_v<first, std::exception_ptr>) {
        try {
          if (std::get<0>(arguments) != nullptr) {
            std::rethrow_exception(std::get<0>(arguments));
          }
        } catch (const boost::system::system_error& error) {
          return error.code() == boost::asio::error::operation_aborted;
        } catch (...) {
        }
      }
    }
    return false;
  }

 private:
  template <std::size_t from>
  auto rest() {
    if constexpr (sizeof...(Args) == from) {
      return;
    } else if constexpr (sizeof...(Args) == from + 1) {
      return std::get<from>(std::move(arguments));
    } else {
      return [&]<std::size_t... i>(std::index_sequence<i...>) {
        return std::tuple<std::tuple_element_t<from + i, std::tuple<Args...>>...>(
            std::get<from + i>(std::move(arguments))...);
      }(std::make_index_sequence<sizeof...(Args) - from>());
    }
  }
};

/// An operation that a task waits for, on the task's stack.
template <class... Args>
struct operation : operation_base {
  std::optional<completion<Args...>> outcome;
  boost::asio::cancellation_signal signal;
  handler_memory memory;
  std::exception_ptr failure;  ///< what copying the outcome has thrown
  bool cancel_requested = false;

  explicit operation(task_state& self) noexcept {
    task = &self;
    cancel = [](waiter& me, const std::string& message) {
      auto& its = static_cast<operation&>(me);
      if (its.over) {
        return false;
      }
      its.cancel_requested = true;
      its.task->message = message;
      its.signal.emit(boost::asio::cancellation_type::terminal | boost::asio::cancellation_type::partial |
                      boost::asio::cancellation_type::total);
      return true;
    };
  }

  struct handler {
    using allocator_type = handler_allocator<void>;
    using cancellation_slot_type = boost::asio::cancellation_slot;
    operation* of;

    allocator_type get_allocator() const noexcept { return allocator_type(of->memory); }
    cancellation_slot_type get_cancellation_slot() const noexcept { return of->signal.slot(); }

    template <class... Given>
    void operator()(Given&&... given) {
      try {
        of->outcome.emplace(std::forward<Given>(given)...);
      } catch (...) {
        of->failure = std::current_exception();
      }
      of->end();
    }
  };

  /// Starts it, waits, and returns what it has come to.
  template <class Start>
  auto wait(boost::system::error_code* where, Start start) {
    // Where the task is cancelled already, it is not even started.
    if (task->must_cancel && interruptible(*task)) {
      deliver(*task, true);
    }
    start(handler{this});
    if (!over) {
      parked = true;
      suspend(*task, *this);
    }
    if (cancel_requested) {
      if (outcome.has_value() && outcome->aborted()) {
        throw cancelled_error(task->message);
      }
      task->must_cancel = task->cancelling > 0;  // for the next wait
    }
    if (failure != nullptr) {
      std::rethrow_exception(failure);
    }
    return std::move(*outcome).value(where);
  }
};

}  // namespace KRAIT_BACKEND
}  // namespace detail

inline namespace KRAIT_BACKEND {

/// The completion token by which a task waits for an operation of Boost.Asio, on the loop's io_context or any other.
/// What the operation's handler is given comes back: nothing, a value, or a std::tuple; an error_code that is set is
/// thrown as boost::system::system_error, an exception_ptr as what it is.
///
/// Throws, too, cancelled_error, if the task was cancelled and the operation did not happen, or not to its end;
/// runtime_error outside of a task. Of an operation that knows no cancellation, such as resolving a name, the end is
/// waited for.
struct use_await_t {
  boost::system::error_code* where = nullptr;  ///< for the error; null: it is thrown

  /// Has an error_code stored, instead of thrown, so what comes beside it is known: how many bytes were written
  /// before it failed.
  constexpr use_await_t operator()(boost::system::error_code& error) const noexcept { return {&error}; }
};
inline constexpr use_await_t use_await{};

}  // namespace KRAIT_BACKEND
}  // namespace krait::asyncio

template <class Result, class... Args>
class boost::asio::async_result<krait::asyncio::use_await_t, Result(Args...)> {
 public:
  template <class Initiation, class... Given>
  static auto initiate(Initiation&& initiation, krait::asyncio::use_await_t token, Given&&... given) {
    krait::asyncio::detail::operation<std::decay_t<Args>...> self(krait::asyncio::detail::this_task());
    return self.wait(token.where, [&](auto handler) {
      std::forward<Initiation>(initiation)(std::move(handler), std::forward<Given>(given)...);
    });
  }
};
