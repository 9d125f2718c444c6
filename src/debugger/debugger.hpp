// SPDX-License-Identifier: BSL-1.0
#pragma once

// What is kept in a form that a debugger can read, beside the arenas (arena.hpp). src/debugger/debugger.cpp
// tells how.

#include "krait/detail/frame/frame.hpp"
#include "stack/valgrind.hpp"

namespace krait::detail {

/// A frame on a stack that is no pool's.
struct unpooled_frame {
  const frame* self;
  unpooled_frame* next;
  unpooled_frame** link;  ///< what points to this one
  valgrind::stack_id stack;
};

/// The first of them. src/frame/frame.cpp has the lock.
extern constinit unpooled_frame* unpooled_frames;

}  // namespace krait::detail
