// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <concepts>
#include <cstddef>

namespace krait {

namespace detail {
/// default_stack_options().size.
std::size_t default_stack_size() noexcept;
}  // namespace detail

/// The memory a generator runs on: `size` bytes, growing down from `limit + size` towards `limit`.
struct stack {
  std::byte* limit = nullptr;  ///< lowest usable byte
  std::size_t size = 0;        ///< usable bytes, without any guard

  std::byte* top() const noexcept { return limit + size; }
};

/// What a stack is made to.
struct stack_options {
  /// Bytes; rounded up to whole pages. Up to 1 KiB goes into spreading stacks in caches. 0: the default.
  std::size_t size = detail::default_stack_size();
  /// Inaccessible bytes below, rounded up to whole pages: a frame up to this size cannot step over them. 0:
  /// the default.
  std::size_t guard = 0;

  friend bool operator==(const stack_options&, const stack_options&) = default;
};

/// What stacks are made to where nobody says: 64 KiB (512 KiB in a program with AddressSanitizer, which makes
/// frames several times larger) above a guard of 64 KiB; or the size that KRAIT_STACK_SIZE in the environment
/// says when it is first looked at, in bytes, or K, M or G of them ("256K"; what is no such size, or less
/// than 16K, is ignored with a line to stderr); or what set_default_stack_options() says. Any thread may call
/// it.
stack_options default_stack_options() noexcept;

/// Makes `options` the default, for the whole program (or, if krait is linked into several of its modules,
/// for the module that calls it); a member that is 0 leaves that as it is. To be called before the first
/// generator is made without options or source of its own: afterwards it throws runtime_error, and changes
/// nothing. value_error when `options` are beyond the address space. Any thread may call it. Python:
/// `threading.stack_size(size)`.
void set_default_stack_options(const stack_options& options);

// Told apart by their types, in other shared objects, too.
#pragma GCC visibility push(default)

/// Where stacks come from, for those who want their own: `generator(std::allocator_arg, source, body)`.
/// The source must outlive every generator made with it.
class stack_source {
 public:
  stack_source() = default;
  stack_source(const stack_source&) = delete;
  stack_source& operator=(const stack_source&) = delete;
  virtual ~stack_source() = default;

  /// Returns a stack nobody else uses, whose top is 16-byte aligned and which has room for the body and at
  /// least 8 KiB besides; else the generator's constructor gives it back and throws value_error. Throws
  /// std::bad_alloc when there is none to be had. Called on the thread that creates the generator.
  virtual stack allocate() = 0;

  /// Takes a stack back. Called on the thread that destroys the generator.
  virtual void deallocate(stack memory) noexcept = 0;
};

/// What can be said of the stack of a generator that is made: a stack_source& or stack_options.
template <class T>
concept stack_choice = std::convertible_to<T, stack_source&> || std::convertible_to<T, const stack_options&>;

/// A thread-safe pool of equal, guarded stacks. The default source of every generator is such a pool.
///
/// Stacks are cut from large mappings. Below each lies a guard, so that an overflow faults instead of writing
/// into a neighbour: by MADV_GUARD_INSTALL where the kernel has it (Linux 6.13; no mapping of its own, so a
/// million stacks fit in one), else by mprotect, which is checked. Stacks that come back are reused, the most
/// recent first; of those that have long not been needed only the address space is kept. A pool keeps its
/// mappings until it is destroyed.
class stack_pool final : public stack_source {
 public:
  /// Throws value_error when `options` are beyond the address space.
  explicit stack_pool(stack_options options = {});

  /// Every stack must have come back by now; the mappings are kept, not unmapped, if one has not
  /// (its frames may still be alive).
  ~stack_pool() override;

  /// Throws std::bad_alloc when the address space, the memory or the number of mappings is exhausted.
  /// Any thread may call it.
  stack allocate() override;

  /// Any thread may call it, not only the one that allocated.
  void deallocate(stack memory) noexcept override;

  /// Gives the memory of all free stacks back to the kernel, but for their address space. Any thread may call
  /// it.
  void trim() noexcept;

  /// The options in force, rounded up to whole pages.
  const stack_options& options() const noexcept;

  class implementation;  // src/stack/stack.cpp

 private:
  implementation* const self_;
};

#pragma GCC visibility pop

/// stack_pool::trim() for the pools behind generators that name none: that of default stacks and those by
/// options. Other threads keep up to 32 free stacks each. Any thread may call it.
void trim_stacks() noexcept;

/// How guards are made on this machine: "MADV_GUARD_INSTALL" or "mprotect".
const char* guard_method() noexcept;

namespace detail {

/// The pool behind generators that name no source; stacks of stack_options{}.
/// Throws std::bad_alloc.
stack allocate_default_stack();
void deallocate_default_stack(stack memory) noexcept;

/// The pool that all generators with these options share. Lives for ever.
stack_source& shared_pool(const stack_options& options);

inline stack_source& source_of(stack_source& source) noexcept {
  return source;
}
inline stack_source& source_of(const stack_options& options) {
  return shared_pool(options);
}

/// How many bytes of a stack have been used at the deepest: those above the lowest that is not zero.
std::size_t used_of(const stack& memory) noexcept;

/// Calls `visit(top, data)` for every stack that a pool has ever handed out, with the address just above its
/// usable memory.
void for_each_pooled_stack(void (*visit)(std::byte* top, void* data), void* data);

}  // namespace detail
}  // namespace krait
