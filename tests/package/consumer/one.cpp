// SPDX-License-Identifier: BSL-1.0
// Prints the backend and the first squares.
#include <iostream>
#include <krait/krait.hpp>

krait::generator<int> squares() {
  return [](auto& yield) {
    for (int i = 1;; ++i) {
      yield(i * i);
    }
  };
}

int main() {
  std::cout << krait::backend_name;
  for (const int square : squares() | std::views::take(5)) {
    std::cout << ' ' << square;
  }
  std::cout << '\n';
}
