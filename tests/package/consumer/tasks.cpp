// SPDX-License-Identifier: BSL-1.0
#include <chrono>
#include <iostream>

#include <krait/asyncio.hpp>

namespace asyncio = krait::asyncio;

int main() {
  const auto square = [](int n) {
    asyncio::sleep(std::chrono::milliseconds(1));
    return n * n;
  };
  std::cout << krait::backend_name << ' ' << asyncio::run([&] {
    const auto three = asyncio::create_task([&] { return square(3); });
    return square(4) + asyncio::await(three);
  }) << '\n';
}
