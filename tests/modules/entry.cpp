// SPDX-License-Identifier: BSL-1.0
// How a module is entered, under a name of its own: a module_entry of module.hpp, all of which it does not need.

struct module_functions;

[[gnu::visibility("hidden")]] extern const module_functions functions_here;

extern "C" [[gnu::visibility("default")]] const module_functions* KRAIT_TEST_ENTRY();
const module_functions* KRAIT_TEST_ENTRY() {
  return &functions_here;
}
