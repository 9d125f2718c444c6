// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <string>

#include "krait/asyncio/detail/loop.hpp"

namespace krait::asyncio::detail {
inline namespace KRAIT_BACKEND {

/// Lines: where a task is that has been left, and the future that it waits for. Throws std::bad_alloc.
std::string describe_waiting(task_state& of);

}  // namespace KRAIT_BACKEND
}  // namespace krait::asyncio::detail
