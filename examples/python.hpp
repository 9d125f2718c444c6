// SPDX-License-Identifier: BSL-1.0
#pragma once

// What of Python the examples need beside generators and coroutines.

#include <iomanip>
#include <ostream>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

/// Python's print().
template <class... Args>
void print(std::ostream& out, const Args&... args) {
  const char* separator = "";
  ((out << std::exchange(separator, " ") << args), ...);
  out << '\n';
}

/// Python's repr(), of a list of numbers.
inline std::string repr(const std::vector<int>& list) {
  std::string text = "[";
  for (const int item : list) {
    text += (text.size() > 1 ? ", " : "") + std::to_string(item);
  }
  return text + "]";
}

/// The same of a string without apostrophes.
inline auto repr(std::string_view text) {
  return std::quoted(text, '\'');
}
