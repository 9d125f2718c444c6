// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cstddef>

namespace krait {

/// The memory a generator runs on: `size` bytes, growing down from `limit + size` towards `limit`.
struct stack {
  std::byte* limit = nullptr;  ///< lowest usable byte
  std::size_t size = 0;        ///< usable bytes, without any guard

  std::byte* top() const noexcept { return limit + size; }
};

/// What a stack is made to.
struct stack_options {
  /// Bytes; rounded up to whole pages. Up to 1 KiB goes into spreading stacks in caches.
  std::size_t size = std::size_t{64} * 1024;
  std::size_t guard = 0;  ///< inaccessible bytes below; rounded up to whole pages; 0: one page

  friend bool operator==(const stack_options&, const stack_options&) = default;
};

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

/// A thread-safe pool of equal, guarded stacks. The default source of every generator is such a pool.
///
/// Stacks are cut from large mappings. Below each lies a guard, so that an overflow faults instead of writing
/// into a neighbour: by MADV_GUARD_INSTALL where the kernel has it (Linux 6.13; no mapping of its own, so a
/// million stacks fit in one), else by mprotect, which is checked. Stacks that come back are reused, the most
/// recent first. A pool keeps its mappings until it is destroyed.
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

  /// The options in force, rounded up to whole pages.
  const stack_options& options() const noexcept;

  class implementation;  // src/stack.cpp

 private:
  implementation* const self_;
};

#pragma GCC visibility pop

/// How guards are made on this machine: "MADV_GUARD_INSTALL" or "mprotect".
const char* guard_method() noexcept;

namespace detail {

/// The pool behind generators that name no source; stacks of stack_options{}.
/// Throws std::bad_alloc.
stack allocate_default_stack();
void deallocate_default_stack(stack memory) noexcept;

/// The pool that all generators with these options share. Lives for ever.
stack_source& shared_pool(const stack_options& options);

/// Calls `visit(top, data)` for every stack that a pool has ever handed out, with the address just above its
/// usable memory.
void for_each_pooled_stack(void (*visit)(std::byte* top, void* data), void* data);

}  // namespace detail
}  // namespace krait
