// SPDX-License-Identifier: BSL-1.0
#pragma once

namespace krait::detail {

/// Does the processor keep a shadow stack for this thread?
bool has_shadow_stack() noexcept;

/// If so: says that generators cannot run with one, and aborts.
void refuse_shadow_stack(bool enabled) noexcept;

}  // namespace krait::detail
