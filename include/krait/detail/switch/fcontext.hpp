// SPDX-License-Identifier: BSL-1.0
#pragma once

// The portable switch: Boost.Context's jump_fcontext, out of line, saving every callee-saved register and the
// floating-point control words.
//
// jump_fcontext tells the side that is *entered* how to get back to the side that left, and carries one word.
// krait's jump() wants that written to the record of the side that left. So the word is the address of that
// record, and what is to be told besides stands in record words that only the native backend needs.

#include <boost/context/detail/fcontext.hpp>

#include "krait/detail/switch/registers.hpp"

namespace krait::detail {
inline namespace fcontext {

/// On arrival: completes the record of the side that left, and returns the word it sent.
[[gnu::always_inline]] inline void* arrive(boost::context::detail::transfer_t from) noexcept {
  auto* const left = static_cast<registers*>(from.data);
  left->resume_at = from.fctx;
  return left->stack_pointer;  // "word"
}

/// Leaves here, to be continued through the record at `save + save_at`, and continues the one at `load +
/// load_at` at `target`. Returns what the jump sent that comes back.
template <std::size_t save_at, std::size_t load_at>
[[gnu::always_inline]] inline arrival jump(void* save, void* load, void* target, void* word) noexcept {
  auto* const from = reinterpret_cast<registers*>(static_cast<std::byte*>(save) + save_at);
  from->stack_pointer = word;
  from->base = static_cast<std::byte*>(load) + load_at;  // read by start() only
  return {arrive(boost::context::detail::jump_fcontext(target, from)), load};
}

/// Continues `load` at `target` for good: there is no way back. `scratch` is what the other side will write
/// the way back into all the same; it must outlive the jump, so no variable of this stack will do. Inlined
/// always, as ThreadSanitizer would count a function entered here on the stack that is entered.
[[noreturn, gnu::always_inline]] inline void jump_for_good(registers& scratch, registers& load, void* target,
                                                           void* word) noexcept {
  jump<0, 0>(&scratch, &load, target, word);
  __builtin_unreachable();
}

/// Where a new stack begins. Its own record holds the entry function and the record to hand it.
[[noreturn]] inline void start(boost::context::detail::transfer_t from) noexcept {
  const auto& self = *static_cast<const registers*>(static_cast<registers*>(from.data)->base);
  auto& caller = *static_cast<registers*>(self.frame_pointer);
  const auto entry = reinterpret_cast<void (*)(registers&)>(self.base);
  arrive(from);
  entry(caller);
  __builtin_unreachable();
}

/// Makes `self` such that the first jump to it calls `entry(caller)` on the stack that ends below `top`
/// (16-byte aligned). `caller` is the record that jump will save to.
inline void prepare(registers& self, registers& caller, void* top, std::size_t size,
                    void (*entry)(registers&)) noexcept {
  self.frame_pointer = &caller;
  self.resume_at = boost::context::detail::make_fcontext(top, size, &start);
  self.base = reinterpret_cast<void*>(entry);
}

/// The record of who resumes a stack that nobody resumes.
inline registers nobody() noexcept {
  return {};
}

}  // namespace fcontext
}  // namespace krait::detail
