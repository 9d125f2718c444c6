// SPDX-License-Identifier: BSL-1.0
#pragma once

// What of Python the examples need beside generators and coroutines.

#include <iomanip>
#include <ostream>
#include <string_view>
#include <utility>

/// Python's print().
template <class... Args>
void print(std::ostream& out, const Args&... args) {
  const char* separator = "";
  ((out << std::exchange(separator, " ") << args), ...);
  out << '\n';
}

/// Python's repr(), of a string without apostrophes.
inline auto repr(std::string_view text) {
  return std::quoted(text, '\'');
}
