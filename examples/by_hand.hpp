// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <span>

#include "example.hpp"

namespace by_hand {

/// All examples, in the order of the story.
std::span<const example> examples();

}  // namespace by_hand
