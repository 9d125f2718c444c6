// SPDX-License-Identifier: BSL-1.0
#include "tour.hpp"

int main(int argc, char** argv) {
  return run_examples("tour", tour::examples(), argc, argv);
}
