// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <span>

#include "example.hpp"

namespace tasks {

/// All examples, in the order of their tour.
std::span<const example> examples();

}  // namespace tasks
