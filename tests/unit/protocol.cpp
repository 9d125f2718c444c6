// SPDX-License-Identifier: BSL-1.0
#include <doctest/doctest.h>

#include <krait/krait.hpp>

TEST_CASE("a finite generator ends with StopIteration") {
  krait::generator<int> numbers = [](auto& yield) { yield(1); };
  CHECK(numbers.next() == 1);
  CHECK_THROWS_AS(numbers.next(), krait::stop_iteration<>);
}
