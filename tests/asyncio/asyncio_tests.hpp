// SPDX-License-Identifier: BSL-1.0
#pragma once

// What the tests of the event loop have in common.

#include <exception>
#include <string>

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
