// SPDX-License-Identifier: BSL-1.0
#include "krait/asyncio/context.hpp"

#include <algorithm>

#include "krait/asyncio/detail/loop.hpp"

namespace krait::asyncio {
namespace detail {
inline namespace KRAIT_BACKEND {

namespace {

/// Outside of a loop. Not inlined, and not to be taken for constant: see detail/switch/running_loop.hpp.
[[gnu::noinline]] context_pointer& context_of_thread() noexcept {
  thread_local context_pointer here;
  asm volatile("" ::: "memory");
  return here;
}

}  // namespace

const variables::entry* variables::find(const void* key) const noexcept {
  const auto found = std::ranges::find(all, key, &entry::key);
  return found == all.end() ? nullptr : &*found;
}

context_pointer& context_here() noexcept {
  loop_state* const loop = loop_state::running_here();
  return loop == nullptr || !loop->in_turns ? context_of_thread()
         : loop->current != nullptr         ? loop->current->context
                                            : loop->callback_context;
}

context_pointer copy_of(const context_pointer& of) {
  return of == nullptr || of->set == nullptr ? nullptr : std::make_shared<context_state>(*of);
}

std::shared_ptr<const void> variable_here(const void* key) noexcept {
  const context_pointer& here = context_here();
  if (here == nullptr || here->set == nullptr) {
    return nullptr;
  }
  const variables::entry* const found = here->set->find(key);
  return found == nullptr ? nullptr : found->value;
}

void set_variable_here(const void* key, std::shared_ptr<const void> value) {
  context_pointer& here = context_here();
  if (here == nullptr) {
    here = std::make_shared<context_state>();
  }
  auto changed =
      here->set == nullptr ? std::make_shared<variables>() : std::make_shared<variables>(*here->set);
  std::erase_if(changed->all, [&](const variables::entry& each) { return each.key == key; });
  if (value != nullptr) {
    changed->all.push_back({key, std::move(value)});
  }
  here->set = std::move(changed);
}

}  // namespace KRAIT_BACKEND
}  // namespace detail

inline namespace KRAIT_BACKEND {

context copy_context() {
  detail::context_pointer copy = detail::copy_of(detail::context_here());
  return copy == nullptr ? context() : context(std::move(copy));
}

}  // namespace KRAIT_BACKEND
}  // namespace krait::asyncio
