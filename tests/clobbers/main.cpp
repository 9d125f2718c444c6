// SPDX-License-Identifier: BSL-1.0
#include <cstdio>

#include "tests.hpp"

int main() {
  int passed = 0, failed = 0, skipped = 0;
  for (const clobbers::test& each : clobbers::tests) {
    if (each.possible != nullptr && !each.possible()) {
      ++skipped;
      continue;
    }
    const long wrong = each.run();
    if (wrong != 0) {
      std::printf("%s: %ld values have changed\n", each.name, wrong);
      ++failed;
    } else {
      ++passed;
    }
  }
  if (skipped != 0) {
    std::printf("%d skipped: this processor has no such registers\n", skipped);
  }
  std::printf("%d passed, %d failed\n", passed, failed);
  return failed == 0 && passed > 0 ? 0 : 1;
}
