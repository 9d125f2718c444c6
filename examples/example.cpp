// SPDX-License-Identifier: BSL-1.0
#include "example.hpp"

#include <iostream>

namespace {

int usage(std::ostream& out, std::string_view program, std::span<const example> examples, int status) {
  out << "usage: " << program << " [NAME]\nRuns one example, or all of them:\n";
  for (const example& each : examples) {
    out << "  " << each.name << ": " << each.title << '\n';
  }
  return status;
}

void run(const example& which) {
  std::cout << "== " << which.name << ": " << which.title << " ==\n";
  which.run(std::cout);
}

}  // namespace

int run_examples(std::string_view program, std::span<const example> examples, int argc, char** argv) {
  if (argc == 1) {
    for (const example& each : examples) {
      run(each);
    }
    return 0;
  }
  const std::string_view name = argv[1];
  if (name == "--help") {
    return usage(std::cout, program, examples, 0);
  }
  for (const example& each : examples) {
    if (argc == 2 && each.name == name) {
      run(each);
      return 0;
    }
  }
  return usage(std::cerr, program, examples, 2);
}
