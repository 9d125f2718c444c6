// SPDX-License-Identifier: BSL-1.0
#include "module.hpp"

[[gnu::visibility("hidden")]] extern const module_functions functions_here;

extern "C" [[gnu::visibility("default")]] module_entry KRAIT_TEST_ENTRY;
const module_functions* KRAIT_TEST_ENTRY() {
  return &functions_here;
}
