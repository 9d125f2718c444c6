// SPDX-License-Identifier: BSL-1.0
// Compiled once per backend; the two have nothing in common but krait's archive.
#include <iostream>
#include <krait/krait.hpp>

inline namespace KRAIT_BACKEND {

krait::generator<int> squares() {
  return [](auto& yield) {
    for (int i = 1; i <= 3; ++i) {
      yield(i * i);
    }
  };
}

void print_squares() {
  std::cout << krait::backend_name;
  for (const int square : squares()) {
    std::cout << ' ' << square;
  }
  std::cout << '\n';
}

}  // namespace KRAIT_BACKEND
