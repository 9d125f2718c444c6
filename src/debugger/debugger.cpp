// SPDX-License-Identifier: BSL-1.0
#include "debugger/debugger.hpp"

// What a debugger needs to know to find all generators in memory alone, be it a process's or a core dump's:
// the symbol `krait_debugger_table`. It says where lists begin and at which offsets members lie, all in words
// of the machine, so that it can be read where krait was compiled without debug information.
// src/debugger/krait-gdb.py is its reader; that this object names it in a section is how gdb comes to load
// it.

#include <cstddef>

#include "stack/arena.hpp"

// A frame is no standard-layout class. Both compilers support the question all the same.
#pragma GCC diagnostic ignored "-Winvalid-offsetof"

namespace krait::detail {

constinit unpooled_frame* unpooled_frames = nullptr;

/// All members are words. They may become more, at the end; any other change is a new version.
struct debugger_table {
  std::size_t version = 4;
  std::size_t size = sizeof(debugger_table);

  arena** arenas = &krait_arenas;
  std::size_t arena_base = offsetof(arena, base);
  std::size_t arena_used = offsetof(arena, used);
  std::size_t arena_guard = offsetof(arena, guard);
  std::size_t arena_size = offsetof(arena, size);
  std::size_t arena_next = offsetof(arena, next);
  std::size_t arena_colours = 16;  // arena::stack_in()
  std::size_t arena_colour = 64;

  unpooled_frame** unpooled_frames = &detail::unpooled_frames;
  std::size_t unpooled_frame_self = offsetof(unpooled_frame, self);
  std::size_t unpooled_frame_next = offsetof(unpooled_frame, next);

  std::size_t frame_caller = offsetof(frame, caller);
  std::size_t frame_own = offsetof(frame, own);
  std::size_t frame_rest = offsetof(frame, identities);
  std::size_t frame_root = offsetof(frame, root);
  std::size_t frame_stage = offsetof(frame, stage);  // a byte

  std::size_t rest_delegator = offsetof(rarely_used, delegator);
  std::size_t rest_delegate = offsetof(rarely_used, delegate);
  std::size_t rest_name = offsetof(rarely_used, name);
  std::size_t rest_limit = offsetof(rarely_used, memory) + offsetof(stack, limit);

  frame* const* frameless_delegate =
      &detail::frameless_delegate;  // what rest_delegate points to, if no generator
  std::size_t stage_created = static_cast<std::size_t>(detail::stage::created);
  std::size_t stage_started = static_cast<std::size_t>(detail::stage::started);

  std::size_t rest_kind = offsetof(rarely_used, kind);  // a byte
  std::size_t kind_coroutine = static_cast<std::size_t>(kind::coroutine);
  std::size_t kind_async_generator = static_cast<std::size_t>(kind::async_generator);

  std::size_t rest_size = offsetof(rarely_used, memory) + offsetof(stack, size);
};

}  // namespace krait::detail

extern "C" {
[[gnu::visibility("hidden")]] extern const krait::detail::debugger_table krait_debugger_table;
// Nobody refers to it: it is the list above that brings this object into a program.
[[gnu::retain]] constinit const krait::detail::debugger_table krait_debugger_table;
}

// A file to be loaded (entry of type 1), if the user's gdb trusts the place: docs/debugging.md.
#if defined(KRAIT_GDB_SCRIPT) && defined(__ELF__)
asm(".pushsection \".debug_gdb_scripts\", \"MS\", %progbits, 1\n\t"
    ".byte 1\n\t"
    ".asciz \"" KRAIT_GDB_SCRIPT
    "\"\n\t"
    ".popsection");
#endif
