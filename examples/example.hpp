// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <iosfwd>
#include <span>
#include <string_view>

struct example {
  std::string_view name;
  std::string_view title;
  void (*run)(std::ostream& out);
};

/// The main function of a program of examples: runs one, or all of them. Returns the exit status.
int run_examples(std::string_view program, std::span<const example> examples, int argc, char** argv);
