// SPDX-License-Identifier: BSL-1.0
#pragma once

// Bytes as a program of the differential tests (../differential/README.md), as JSON.
//
// Every sequence of bytes is a program, and each byte is one choice of what comes next, so that a small
// change to the bytes is a small change to the program. Past their end, all choices are 0: a block ends.
// encode.py is the way back.
//
// A program ends after a bounded number of steps: each body's cost is known before bodies that make
// generators of it are decoded (from the last to the first), and what would cost too much is left out.

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

namespace fuzz {

std::string decode(std::span<const std::uint8_t> bytes);

}  // namespace fuzz
