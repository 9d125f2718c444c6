// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <span>

namespace clobbers {

struct test {
  const char* name;
  long (*run)();       ///< returns how many values had changed
  bool (*possible)();  ///< on this processor; null: on all
};

/// What generate.py has written.
extern const std::span<const test> tests;

}  // namespace clobbers
