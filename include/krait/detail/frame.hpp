// SPDX-License-Identifier: BSL-1.0
#pragma once

// The frame: all there is of a generator, at the top of its own stack, so that a generator is one allocation.
//
// Delegation (`yield.from`) to a generator that was moved in makes a chain. Its root is the generator that
// the user holds, its leaf the innermost one, which is where the chain really is suspended:
//
//      generator --> root -- delegate --> child -- delegate --> leaf
//                    | ^ <- delegator --      <- delegator --    | ^
//                    | +--------------------------- root --------+ |
//                    +------------------------------ leaf ---------+
//
// To resume the root is to resume the leaf, whose `yield` goes straight back to the root's resumer: an item
// costs the same at any depth. Only the leaf's context knows the resumer; it is handed over when the chain
// grows or shrinks. The frames between are not touched until the frame below them ends, or GeneratorExit is
// to be raised in them: that goes level by level, each closing what it delegates to first, as in Python.

#include <cstddef>
#include <exception>
#include <new>
#include <string>
#include <string_view>
#include <typeinfo>

#include "krait/context.hpp"
#include "krait/exceptions.hpp"
#include "krait/stack.hpp"

namespace krait {

/// Python: inspect.getgeneratorstate().
enum class generator_state : unsigned char {
  created,    ///< nothing of the body has run
  running,    ///< the body, or something that it called, is running
  suspended,  ///< at a `yield`
  closed,     ///< returned, raised or was closed
};

namespace detail {

struct frame;

enum class stage : unsigned char {
  created,
  started,
  returned,  ///< ended by returning a value
  raised,    ///< ended by an exception
  exited,    ///< ended by a generator_exit
  discarded  ///< ended without having started
};

/// What a frame that runs for an orphan has to do with its next `yield`.
enum class eviction : unsigned char {
  none,
  due,    ///< raises generator_exit
  raised  ///< has done so: leaves for good
};

/// Which of Python's three objects a frame is of. They differ in what their errors say, and in that a
/// coroutine that has ended cannot be resumed.
enum class kind : unsigned char { generator, coroutine, async_generator };

/// The operations on an async_generator.
enum class async_method : unsigned char { asend, athrow, aclose };

/// What of a frame is looked at only when it is made, ends, delegates or is asked about.
struct rarely_used : stack_identities {
  frame* delegator = nullptr;

  /// Where the address stands of the frame that it delegates to: in the generator, moved in or not, which may
  /// be given another frame meanwhile. `&foreign_delegate`: what it delegates to is no generator.
  frame* const* delegate = nullptr;

  /// What is to be raised at the `yield` (none: a new generator_exit) or, once ended, what the body raised.
  std::exception_ptr exception;

  const char* name = "";
  detail::kind kind = detail::kind::generator;
  stack memory;
  void* fiber = nullptr;           ///< ThreadSanitizer's
  stack_source* source = nullptr;  ///< null: the default pool
};

struct frame : context {
  frame* leaf = this;
  frame* root = this;
  detail::stage stage = stage::created;
  bool owns_name = false;
  bool outcome_pending = false;  ///< ended, and nobody has been told yet
  bool orphaned = false;         ///< its generator was destroyed while it ran: frees itself at the end
  detail::eviction eviction = eviction::none;
  bool discarded = false;  ///< its body was destroyed, or is being destroyed, without having started

  /// `place`: for what is rarely used.
  explicit frame(void* place) noexcept : context(*::new (place) rarely_used) {}
  frame(const frame&) = delete;
  frame& operator=(const frame&) = delete;
  ~frame() {
    if (owns_name) [[unlikely]] {
      free_name();
    }
    rest().~rarely_used();
  }

  rarely_used& rest() noexcept { return static_cast<rarely_used&>(*identities); }
  const rarely_used& rest() const noexcept { return static_cast<const rarely_used&>(*identities); }

  generator_state state() const noexcept {
    return stage == stage::created   ? generator_state::created
           : stage != stage::started ? generator_state::closed
           : leaf->resumable()       ? generator_state::suspended
                                     : generator_state::running;
  }

  /// Does the caller run on this frame's stack?
  [[gnu::always_inline]] bool runs_here() const noexcept {
    return static_cast<std::size_t>(reinterpret_cast<const char*>(this) -
                                    static_cast<const char*>(current_stack_pointer())) < room;
  }

  /// The same, also of an evicted frame.
  bool evicted_here() const noexcept {
    const auto* const sp = static_cast<const std::byte*>(current_stack_pointer());
    return eviction != eviction::none && sp >= rest().memory.limit && sp < rest().memory.top();
  }

  /// "<generator object NAME at 0x...>", or coroutine, or async_generator
  std::string repr() const;

  void rename(std::string_view new_name);
  void free_name() noexcept;

  /// Splits the chain below this root: what it delegates to becomes a root itself. Constant in depth, as the
  /// frames further down are left with a stale root: the caller must raise_exit() in the child, which splits
  /// in turn.
  void detach_delegate() noexcept;

  /// Makes `child`, a suspended or new root whose address stands at `place`, the delegate of this leaf.
  void attach_delegate(frame& child, frame* const& place) noexcept {
    rest().delegate = &place;
    child.rest().delegator = this;
    root->leaf = child.leaf;
    for (frame* inner = child.leaf; inner != this; inner = inner->rest().delegator) {
      inner->root = root;
    }
  }
};

/// Whatever is delegated to and is no generator has no frame: null.
extern frame* const foreign_delegate;

/// Takes what rarely_used::exception says is to be raised.
std::exception_ptr take_pending(frame& self);

/// Raises what rarely_used::exception says, on the frame's own stack. Inlined, as every frame that an
/// exception leaves costs as much as ten switches.
[[noreturn, gnu::always_inline]] inline void raise_pending(frame& self) {
  std::rethrow_exception(take_pending(self));
}

[[noreturn]] void throw_already_executing(const frame& self);
[[noreturn]] void throw_moved_from(kind kind);
[[noreturn]] void throw_not_just_started(const frame& self);
[[noreturn]] void throw_cannot_send_none(const frame& self);
[[noreturn]] void throw_cannot_reuse_coroutine();
[[noreturn]] void throw_being_awaited();
[[noreturn]] void throw_no_value();
[[noreturn]] void throw_no_exception();
[[noreturn]] void throw_yield_elsewhere();
[[noreturn]] void throw_unusable_stack(std::size_t needed, stack memory);
[[noreturn]] void throw_has_no_send(const std::type_info& type);

std::exception_ptr already_executing(const frame& self);
std::exception_ptr ignored_exit(const frame& self);

/// The exception being handled. C++ knows nothing of another language's, and calls it null: then
/// "generator raised a foreign exception".
std::exception_ptr raised_exception(const frame& self) noexcept;

/// "generator raised StopIteration", caused by the exception being handled (PEP 479).
std::exception_ptr stop_iteration_escaped(const frame& self) noexcept;

/// What has ended is resumed all the same: throws, if it is a coroutine.
inline void check_reuse(const frame& self) {
  if (self.rest().kind == kind::coroutine) {
    throw_cannot_reuse_coroutine();
  }
}

/// Tells the warning hook of a coroutine that is dropped before it has started.
void warn_never_awaited(const frame& self) noexcept;

/// Is it a generator_exit?
bool is_generator_exit(const std::exception_ptr& exception) noexcept;

/// A thread was cancelled or exited inside a body. Says so and aborts.
[[noreturn]] void forced_unwind_reached_base(const frame& self) noexcept;

/// Tells the unraisable hook of what came up while a destructor closed `self`.
void report_ignored_while_closing(const frame& self, std::exception_ptr exception) noexcept;

/// "Exception ignored while WHILE_DOING <... object NAME at 0x...>".
void report_ignored(const frame& self, const char* while_doing, std::exception_ptr exception) noexcept;

/// Where dump_generators() finds out who lives on a stack of a pool: in a word that the pool keeps above it.
inline const frame*& resident_above(std::byte* top) noexcept {
  return *reinterpret_cast<const frame**>(top);
}

/// enlist() and delist() for a stack that is not the default pool's: from another pool, or a user's own
/// source.
void enlist_at(frame& self, const stack_source& source);
void delist_from(frame& self, const stack_source& source) noexcept;

/// dump_generators() knows of `self` from now on, or no longer.
inline void enlist(frame& self) {
  if (self.rest().source != nullptr) [[unlikely]] {
    enlist_at(self, *self.rest().source);
  } else {
    __atomic_store_n(&resident_above(self.rest().memory.top()), &self, __ATOMIC_RELEASE);
  }
}
inline void delist(frame& self) noexcept {
  if (self.rest().source != nullptr) [[unlikely]] {
    delist_from(self, *self.rest().source);
  } else {
    __atomic_store_n(&resident_above(self.rest().memory.top()), nullptr, __ATOMIC_RELAXED);
  }
}

stack allocate_stack_from(stack_source& source);

inline stack allocate_stack(stack_source* source) {
  return source == nullptr ? allocate_default_stack() : allocate_stack_from(*source);
}

/// Gives the memory of a frame, already destroyed, back to where it came from.
inline void release_stack(stack memory, stack_source* source) noexcept {
  if (source == nullptr) [[likely]] {
    deallocate_default_stack(memory);
  } else {
    source->deallocate(memory);
  }
}

}  // namespace detail
}  // namespace krait
