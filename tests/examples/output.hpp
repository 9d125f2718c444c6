// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <doctest/doctest.h>

#include <span>
#include <sstream>
#include <string>
#include <string_view>

#include "example.hpp"

/// The output of an example.
inline std::string output_of(std::string_view name, std::span<const example> examples) {
  for (const example& each : examples) {
    if (each.name == name) {
      std::ostringstream out;
      each.run(out);
      return out.str();
    }
  }
  FAIL("there is no example ", std::string(name));
  return {};
}
