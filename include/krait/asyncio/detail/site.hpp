// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <string>

namespace krait::asyncio::detail {

/// Where something was called: for a default argument. (std::source_location is not in all compilers that krait is
/// for.)
struct site {
  const char* file;
  int line;

  static constexpr site here(const char* file = __builtin_FILE(), int line = __builtin_LINE()) noexcept {
    return {file, line};
  }
  /// "created at FILE:LINE"
  std::string text() const { return "created at " + std::string(file) + ":" + std::to_string(line); }
};

}  // namespace krait::asyncio::detail
