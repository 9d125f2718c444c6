// SPDX-License-Identifier: BSL-1.0
#include "krait/warnings.hpp"

#include <cstdio>
#include <utility>

#include "hook.hpp"

namespace krait {

namespace {

// Never destroyed: coroutines with static storage may still warn.
detail::hook<warning_hook>& the_hook() {
  static auto& hook = *new detail::hook<warning_hook>;
  return hook;
}

}  // namespace

warning_hook set_warning_hook(warning_hook hook) {
  return the_hook().exchange(std::move(hook));
}

void detail::warn(const std::string& message) {
  if (const warning_hook hook = the_hook().get()) {
    hook(message);
  } else {
    std::fputs(("RuntimeWarning: " + message + "\n").c_str(), stderr);
  }
}

}  // namespace krait
