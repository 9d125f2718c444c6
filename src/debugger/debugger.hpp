// SPDX-License-Identifier: BSL-1.0
#pragma once

// What is kept in a form that a debugger can read, beside the arenas (arena.hpp). src/debugger/debugger.cpp
// tells how.

#include "krait/detail/frame/frame.hpp"
#include "stack/valgrind.hpp"

namespace krait::detail {

/// A frame on a stack that is no pool's.
struct foreign_frame {
  const frame* self;
  foreign_frame* next;
  foreign_frame** link;  ///< what points to this one
  valgrind::stack_id stack;
};

/// The first of them. src/frame/frame.cpp has the lock.
extern constinit foreign_frame* foreign_frames;

}  // namespace krait::detail
