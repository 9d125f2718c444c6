// SPDX-License-Identifier: BSL-1.0
#include "tasks.hpp"

int main(int argc, char** argv) {
  return run_examples("tasks", tasks::examples(), argc, argv);
}
