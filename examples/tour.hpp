// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <iosfwd>
#include <span>
#include <string_view>

namespace tour {

struct example {
  std::string_view name;
  std::string_view title;
  void (*run)(std::ostream& out);
};

/// All examples, in the order of the tour.
std::span<const example> examples();

}  // namespace tour
