// SPDX-License-Identifier: BSL-1.0
#include "by_hand.hpp"

int main(int argc, char** argv) {
  return run_examples("by_hand", by_hand::examples(), argc, argv);
}
