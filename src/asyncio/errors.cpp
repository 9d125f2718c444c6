// SPDX-License-Identifier: BSL-1.0
#include "krait/asyncio/errors.hpp"

namespace krait::asyncio::detail {

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
