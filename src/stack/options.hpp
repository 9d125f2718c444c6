// SPDX-License-Identifier: BSL-1.0
#pragma once

// How large stacks are, and their guards: what is asked for, and what holds where nobody asks.

#include <cstddef>

#include "krait/stack.hpp"

namespace krait::detail {

/// In whole pages, and with defaults. Throws value_error.
stack_options rounded(const stack_options& asked);

/// The guard that makes the distance of two stacks an odd number of pages. Were it a power of two, the ends
/// of all stacks, which are what is used of them, would compete for the same few places in the TLB.
std::size_t spreading_guard(const stack_options& options) noexcept;

/// From now on the defaults are in use, and stay as they are.
void fix_default_options() noexcept;

}  // namespace krait::detail
