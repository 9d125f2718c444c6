// SPDX-License-Identifier: BSL-1.0
// krait in a shared library, with a copy of krait in it beside that of the program.
#include <krait/krait.hpp>

#include "operations.hpp"

namespace {

struct krait_module_peer {
  static krait::generator<long> counter(long n) {
    return [n](auto& yield) {
      for (long i = 0; i < n; ++i) {
        yield(i);
      }
    };
  }
};

[[maybe_unused]] const bool entered =
    bench::enter<krait_module_peer>(std::string("krait_") + krait::backend_name + "_module");

}  // namespace
