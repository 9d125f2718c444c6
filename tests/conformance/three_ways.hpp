// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <doctest/doctest.h>

#include <exception>
#include <type_traits>
#include <utility>

#include "support/support.hpp"

namespace support {

/// An iterator with all of the protocol, which passes on every call to a generator.
struct by_hand {
  template <class Generator>
  struct iterator {
    using return_type = typename Generator::return_type;
    auto next() { return inner.next(); }
    template <class Value>
      requires(!std::is_void_v<typename Generator::send_type>)
    auto send(Value value) {
      return inner.send(std::move(value));
    }
    auto throw_(std::exception_ptr exception) { return inner.throw_(std::move(exception)); }
    void close() { static_cast<void>(inner.close()); }
    Generator& inner;
  };
  template <class Generator>
  static iterator<Generator> pass(Generator& generator) {
    return {generator};
  }
};

/// Runs `check` for each way to delegate to a generator.
template <class Check>
void each_way(Check check) {
  SUBCASE("given away") {
    check(given());
  }
  SUBCASE("lent") {
    check(lent());
  }
  SUBCASE("by hand") {
    check(by_hand());
  }
}

}  // namespace support
