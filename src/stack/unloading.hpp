// SPDX-License-Identifier: BSL-1.0
#pragma once

namespace krait::detail {

/// From now on there is something to be cleared away, should the library that krait is in be unloaded. Called
/// with each arena.
void expect_unloading() noexcept;

/// Of an unloading: what threads would do at their ends, and the calling thread's signal stack.
void forget_threads() noexcept;

/// Of an unloading: the key by which threads find hooks for asynchronous generators.
void forget_hooks() noexcept;

/// Of an unloading: unmaps all stacks that no generator lives on, and gives back the pools by options.
void unmap_stacks() noexcept;

}  // namespace krait::detail
