// SPDX-License-Identifier: BSL-1.0
#pragma once

// The frame: all there is of a generator, at the top of its own stack, so that a generator is one allocation.
//
// Delegation (`yield.from`) to a generator that was moved in makes a chain. Its root is the generator that
// the user holds, its leaf the innermost one, which is where the chain really is suspended:
//
//      generator --> root -- delegate --> child -- delegate --> leaf
//                    | ^ <- delegator --    | <- delegator --    |
//                    | +------- root -------+                    |
//                    | +------- root ----------------------------+
//                    |                      |                    |
//            caller: the resumer    caller: in root      caller: in child
//            own:    in leaf        own:    -            own:    -
//
// A chain is resumed and yields through one context, its root's: whoever is innermost suspends with it, and so an item
// goes straight from the leaf to the root's resumer, at the same cost at any depth. To delegate is to resume the
// delegate: the delegator waits in the delegate's `caller`, as any resumer does, until the delegate ends, and is not
// touched before; but what the delegate yields does not go there. generator_exit is raised level by level, each closing
// what it delegates to first, as in Python: for that, the chain is split again.

#include <cstddef>
#include <exception>
#include <new>
#include <string>
#include <string_view>

#include "krait/detail/config.hpp"
#include "krait/detail/switch/context.hpp"
#include "krait/inspect.hpp"
#include "krait/stack.hpp"

namespace krait::detail {

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

/// Never thrown. The end of a body's stack has a handler for it, by which that is known (src/frame/call_site.cpp).
class end_of_stack {
 public:
  virtual ~end_of_stack();
};

/// What of a frame is looked at only when it is made, ends, delegates or is asked about.
struct rarely_used : stack_identities {
  frame* delegator = nullptr;

  /// Where the address stands of the frame that it delegates to: in the generator, moved in or not, which may
  /// be given another frame meanwhile. `&frameless_delegate`: what it delegates to is no generator.
  frame* const* delegate = nullptr;

  /// What is to be raised at the `yield` where the chain of this root is suspended (none: a new
  /// generator_exit) or, once ended, what the body raised.
  std::exception_ptr exception;

  const char* name = "";
  detail::kind kind = detail::kind::generator;
  stack memory;
  void* fiber = nullptr;           ///< ThreadSanitizer's
  stack_source* source = nullptr;  ///< null: the default pool

  /// To be called on its own stack, as if a generator_exit had reached the end of that: destroys the body, and does not
  /// come back.
  void (*leave)(frame&) noexcept = nullptr;
};

struct frame : context {
  std::size_t room = 0;  ///< bytes of stack below this object, which lies on the stack itself; 0: nobody's
  frame* root = this;    ///< by whose context this frame suspends
  detail::stage stage = stage::created;
  bool owns_name = false;
  bool end_untold = false;  ///< ended, and nobody has been told yet
  bool orphaned = false;    ///< its generator was destroyed while it ran: frees itself at the end
  detail::eviction eviction = eviction::none;
  bool discarded = false;  ///< its body was destroyed, or is being destroyed, without having started

  /// `place`: for what is rarely used.
  explicit frame(void* place) noexcept : context(*::new(place) rarely_used) {}
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
           : root->resumable()       ? generator_state::suspended
                                     : generator_state::running;
  }

  /// Does the caller run on this frame's stack?
  KRAIT_ALWAYS_INLINE bool runs_here() const noexcept { return above_stack_pointer(this) < room; }

  /// The same, also of an evicted frame.
  bool evicted_here() const noexcept {
    const auto* const sp = static_cast<const std::byte*>(current_stack_pointer());
    return eviction != eviction::none && sp >= rest().memory.limit && sp < rest().memory.top();
  }

  /// Is it suspended in a delegation?
  bool delegating() const noexcept {
    return rest().delegate != nullptr && state() == generator_state::suspended;
  }

  /// Whom it is suspended in a delegation to, as that prints: "<iterator>" if it is no generator. Empty if it
  /// is not.
  std::string delegate_repr() const;

  /// "<generator object NAME at 0x...>", or coroutine, or async_generator
  std::string repr() const;

  void rename(std::string_view new_name);
  void free_name() noexcept;

  /// The frame that this one delegates to and that was given to it: the next of the chain. Else null.
  frame* given_delegate() const noexcept {
    frame* const delegate = rest().delegate != nullptr ? *rest().delegate : nullptr;
    return delegate != nullptr && delegate->rest().delegator == this ? delegate : nullptr;
  }

  /// Makes `child`, a suspended or new root whose address stands at `place`, the next of the chain after this
  /// leaf. It is to be resumed then.
  void attach_delegate(frame& child, frame* const& place) noexcept {
    rest().delegate = &place;
    child.rest().delegator = this;
    for (frame* each = &child; each != nullptr; each = each->given_delegate()) {
      each->root = root;
    }
  }

  /// Splits the chain below this suspended root: `child`, the next, becomes a root itself. Constant in depth, as
  /// the frames further down are left with a stale root: the caller must raise_exit() in the child, which
  /// splits in turn.
  void detach_delegate(frame& child) noexcept;
};

/// Whatever is delegated to and is no generator has no frame: null.
extern frame* const frameless_delegate;

}  // namespace krait::detail
