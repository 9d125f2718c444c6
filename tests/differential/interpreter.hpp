// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <map>
#include <string>

#include "program.hpp"

namespace differential {

/// How often each feature of the format was executed, and came to what.
using coverage = std::map<std::string, long>;

/// Runs `program` on krait. Returns what was observed, on one line.
std::string run(const program& program, coverage& counts);

}  // namespace differential
