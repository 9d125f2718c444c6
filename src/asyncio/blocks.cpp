// SPDX-License-Identifier: BSL-1.0
#include "krait/asyncio/detail/blocks.hpp"

#include "stack/sanitizers.hpp"
#include "stack/valgrind.hpp"

namespace krait::asyncio::detail {

blocks::blocks() noexcept : most_(valgrind::checks_memory() || sanitizers::watching() ? 0 : 1024) {}

blocks::~blocks() {
  for (shelf& each : shelves_) {
    while (each.first != nullptr) {
      block* const next = each.first->next;
      ::operator delete(each.first);
      each.first = next;
    }
  }
}

}  // namespace krait::asyncio::detail
