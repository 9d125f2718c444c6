// SPDX-License-Identifier: BSL-1.0
#pragma once

// What the tests of context managers have in common.

#include <exception>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include <krait/krait.hpp>

#include "support/probes.hpp"
#include "support/support.hpp"

namespace managers {

struct zero_division_error : std::runtime_error {
  explicit zero_division_error(const std::string& text = "division by zero") : std::runtime_error(text) {}
};

/// The texts of an exception and of those it names as causes: "last <- first".
inline std::string chain_of(const std::exception_ptr& exception) {
  if (exception == nullptr) {
    return "none";
  }
  const std::exception_ptr cause = support::cause_of(exception);
  return probes::text_of(exception) + (cause == nullptr ? "" : " <- " + chain_of(cause));
}

/// How a manager was used.
struct record {
  /// Entered once and not left?
  bool inside() const { return entered == 1 && left_by.empty(); }
  /// Entered and left once, by that exception, or in order if it is null?
  bool left_once_by(const std::exception_ptr& exception) const {
    return entered == 1 && left_by == std::vector{exception};
  }

  int entered = 0;
  std::vector<std::exception_ptr> left_by;
};

/// Another manager, with a record.
template <class Manager>
struct recorded : record {
  explicit recorded(Manager given) : manager(std::move(given)) {}

  decltype(auto) enter() {
    ++entered;
    return manager.enter();
  }
  auto exit(const std::exception_ptr& exception) {
    left_by.push_back(exception);
    return manager.exit(exception);
  }

  Manager manager;
};

/// A manager that does nothing else, and swallows if it is told to.
struct dummy : record {
  explicit dummy(bool swallows_exceptions = false) : swallows(swallows_exceptions) {}

  dummy& enter() {
    ++entered;
    return *this;
  }
  bool exit(const std::exception_ptr& exception) {
    left_by.push_back(exception);
    return swallows;
  }

  bool swallows;
};

struct lacks_enter {
  void exit(const std::exception_ptr&) {}
};
struct lacks_exit {
  void enter() {}
};
struct lacks_both {};
struct lacks_nothing : lacks_enter, lacks_exit {};

}  // namespace managers
