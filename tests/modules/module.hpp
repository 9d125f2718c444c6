// SPDX-License-Identifier: BSL-1.0
#pragma once

// What each module of this test can do: the program, a library linked to it, and plugins, each with a copy of
// the same functions and of krait, or with less (./run). Whatever one makes, any other must be able to drive.

#include <memory>
#include <optional>
#include <string>

#include <krait/krait.hpp>

using numbers = krait::generator<int, void, std::string>;

struct module_functions {
  /// Yields 0, 1, ... n - 1, each within a handler of its own, and returns "done".
  numbers (*make)(int n);
  /// The items of `inner`, given away to a generator of this module; what that returns, with a '!'.
  numbers (*delegating)(numbers inner);
  /// The items and what ends them, caught by its type: "0 1 2 done".
  std::string (*drain)(numbers& given);
  /// One item, with a handler active meanwhile that must be found again.
  int (*next_in_handler)(numbers& given);

  /// Writes into `log` what it catches by type: generator_exit, krait::value_error, which it answers with 1,
  /// and std::out_of_range, which it answers with a krait::type_error.
  krait::generator<int> (*catching)(std::string& log);
  void (*close)(krait::generator<int>& given);
  int (*raise_value_error)(krait::generator<int>& given);
  /// Raises std::out_of_range; what comes out, if it is a krait::type_error.
  std::string (*raise_out_of_range)(krait::generator<int>& given);
  /// Its body lets a stop_iteration out.
  krait::generator<int> (*escaping)();
  /// Is that a krait::runtime_error with a stop_iteration<> as its cause?
  bool (*is_escape)(krait::generator<int>& given);

  /// Swallows a krait::value_error, and writes into `log`.
  krait::contextmanager<int> (*manager)(std::string& log);
  /// With the manager: its value; or raises a krait::value_error, and what `with` says of that.
  std::optional<int> (*with)(krait::contextmanager<int> manager, bool raise);

  /// An asynchronous generator that was started and dropped, as this module's finalizer hook got it.
  std::shared_ptr<krait::async_generator_object> (*dropped)();
  /// Is it what it was?
  bool (*reclaim)(const std::shared_ptr<krait::async_generator_object>& object);

  /// Of `n` switches to a generator and back, how many took the slow path on the calling thread?
  int (*slow_switches)(int n);
};

/// The functions of one module, which each defines under a name of its own (entry.cpp).
using module_entry = const module_functions*();
