// SPDX-License-Identifier: BSL-1.0
// krait. Compiled once per backend; the names in the table say which.
#include <krait/krait.hpp>

#include "operations.hpp"

namespace {

struct krait_peer {
  static krait::generator<long> counter(long n) {
    return [n](auto& yield) {
      for (long i = 0; i < n; ++i) {
        yield(i);
      }
    };
  }

  static long next(krait::generator<long>& range) { return range.next(); }

  static krait::generator<int, int> running_sum() {
    krait::generator<int, int> started = [](auto& yield) {
      for (int total = 0;;) {
        total += yield(total);
      }
    };
    started.next();
    return started;
  }

  static int send(krait::generator<int, int>& running_sum, int value) { return running_sum.send(value); }

  static krait::generator<long> single() { return counter(1); }

  static krait::generator<long> guarded(long& destroyed) {
    return [&destroyed](auto& yield) {
      const bench::destruction_counter guard(destroyed);
      for (long i = 0; i < bench::endless; ++i) {
        yield(i);
      }
    };
  }

  static krait::generator<long> nested(int depth) {
    if (depth == 0) {
      return counter(bench::endless);
    }
    return [depth](auto& yield) { yield.from(nested(depth - 1)); };
  }
};

[[maybe_unused]] const bool entered = bench::enter<krait_peer>(std::string("krait_") + krait::backend_name);

}  // namespace
