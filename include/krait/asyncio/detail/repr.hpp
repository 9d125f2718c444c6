// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <string>

namespace krait::asyncio::detail {

/// "<KIND object NAME at 0x... HOW>", as Python prints objects. Throws std::bad_alloc.
std::string repr_of(const char* kind, const void* at, const std::string& how, const std::string& name = {});

}  // namespace krait::asyncio::detail
