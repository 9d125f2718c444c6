// SPDX-License-Identifier: BSL-1.0
#include "krait/asyncio/errors.hpp"

#include <cstdio>

#include "krait/asyncio/detail/repr.hpp"

namespace krait::asyncio::detail {

std::string repr_of(const char* kind, const void* at, const std::string& how, const std::string& name) {
  char place[2 + 2 * sizeof at + 1];
  std::snprintf(place, sizeof place, "%p", at);
  return std::string("<") + kind + " object " + name + (name.empty() ? "" : " ") + "at " + place +
         (how.empty() ? "" : " ") + how + ">";
}

bool leaves_loop(const std::exception_ptr& exception) noexcept {
  try {
    std::rethrow_exception(exception);
  } catch (const keyboard_interrupt&) {
    return true;
  } catch (const system_exit&) {
    return true;
  } catch (...) {
    return false;
  }
}

}  // namespace krait::asyncio::detail
