// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <span>

#include "example.hpp"

namespace tour {

/// All examples, in the order of the tour.
std::span<const example> examples();

}  // namespace tour
