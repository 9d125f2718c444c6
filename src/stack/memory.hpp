// SPDX-License-Identifier: BSL-1.0
#pragma once

// What stacks are made of: memory from the kernel, and guards in it.

#include <cstddef>

#include "krait/stack.hpp"

namespace krait::detail {

std::size_t page_size() noexcept;

/// Null if there is none.
std::byte* map_memory(std::size_t size) noexcept;

/// Are guards to be page-table markers, which need no mapping of their own? KRAIT_GUARDS=mprotect says no.
bool guards_are_markers() noexcept;

/// False where the kernel has no mapping left for it.
bool install_guard(std::byte* place, std::size_t size) noexcept;

/// Are stacks to be without a trace of their former users, so that stack_pool::used_of() is exact?
bool used_exactly() noexcept;

/// Gives all but the topmost bytes of a free stack back to the kernel.
void give_back(const stack& memory, std::size_t kept) noexcept;

}  // namespace krait::detail
