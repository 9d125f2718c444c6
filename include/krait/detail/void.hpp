// SPDX-License-Identifier: BSL-1.0
#pragma once

// What stands in for void where an object is wanted.

#include <cstddef>
#include <type_traits>

namespace krait::detail {

struct nothing {};

/// What a reference or a value is an object of.
template <class T>
using object_of = std::conditional_t<std::is_void_v<T>, std::byte, std::remove_reference_t<T>>;

}  // namespace krait::detail
