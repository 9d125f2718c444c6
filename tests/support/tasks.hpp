// SPDX-License-Identifier: BSL-1.0
#pragma once

// What the tests of the event loop have in common.

#include <doctest/doctest.h>

#include <exception>
#include <string>
#include <utility>

#include <krait/asyncio.hpp>

#include "support/support.hpp"

namespace asyncio_tests {

namespace asyncio = krait::asyncio;

/// "cancelled: MESSAGE", or the text of a std::exception; "none" for null.
inline std::string text_of(const std::exception_ptr& exception) {
  if (exception == nullptr) {
    return "none";
  }
  try {
    std::rethrow_exception(exception);
  } catch (const asyncio::cancelled_error& error) {
    return "cancelled: " + error.message();
  } catch (const std::exception& error) {
    return error.what();
  } catch (...) {
    return "something";
  }
}

/// What `call` throws, as text.
template <class Call>
std::string thrown_by(Call call) {
  return text_of(support::raised_by(call));
}

/// "a, b, [c]": the members of the group that `call` throws, groups in brackets.
inline std::string members(const asyncio::exception_group& group) {
  std::string text;
  for (const std::exception_ptr& each : group.exceptions()) {
    text += text.empty() ? "" : ", ";
    try {
      std::rethrow_exception(each);
    } catch (const asyncio::exception_group& inner) {
      text += "[" + members(inner) + "]";
    } catch (...) {
      text += text_of(each);
    }
  }
  return text;
}
template <class Call>
std::string group_of(Call call) {
  try {
    call();
  } catch (const asyncio::exception_group& group) {
    return members(group);
  } catch (const asyncio::cancelled_error&) {
    return "cancelled";
  }
  return "none";
}

/// Lets all others that are ready have so many turns.
inline void turns(int count) {
  for (int i = 0; i < count; ++i) {
    asyncio::sleep(asyncio::duration::zero());
  }
}

/// Calls a function when it goes. Python: `finally: ...`
template <class F>
struct finally {
  F function;
  explicit finally(F called) : function(std::move(called)) {}
  finally(const finally&) = delete;
  finally& operator=(const finally&) = delete;
  ~finally() { function(); }
};

/// Calls `test` in a task, with the options of a lazy, then of an eager task, and where either is the loop's default.
template <class Test>
void lazy_and_eager(Test test) {
  for (const bool eager : {false, true}) {
    CAPTURE(eager);
    asyncio::run([&] {
      asyncio::get_running_loop().set_eager_tasks(eager);
      test(asyncio::task_options{.eager = eager});
    });
  }
}

/// What a loop tells its exception handler.
struct reports {
  explicit reports(asyncio::event_loop& loop) {
    loop.set_exception_handler([this](const asyncio::error_report& told) {
      log(told.message + (told.exception != nullptr ? ": " + text_of(told.exception) : ""));
    });
  }
  support::journal log;
};

}  // namespace asyncio_tests
