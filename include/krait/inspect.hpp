// SPDX-License-Identifier: BSL-1.0
#pragma once

// What can be found out about generators: the state of one, and all that are alive.

#include <iosfwd>

namespace krait {

/// Python: inspect.getgeneratorstate().
enum class generator_state : unsigned char {
  created,    ///< nothing of the body has run
  running,    ///< the body, or something that it called, is running
  suspended,  ///< at a `yield`
  closed,     ///< returned, raised or was closed
};

/// Writes a line for every live generator: name, state, how much stack it has used (as stack_used() tells),
/// and whom it delegates to; and for every task of krait::asyncio that has started: name, whether it runs, is ready
/// or waits, and for which future. No other thread may create, resume or destroy generators, or run tasks, meanwhile.
void dump_generators(std::ostream& out);

}  // namespace krait
