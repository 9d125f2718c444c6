// SPDX-License-Identifier: BSL-1.0
#include <iostream>
#include <string_view>

#include "tour.hpp"

namespace {

int usage(std::ostream& out, int status) {
  out << "usage: tour [NAME]\nRuns one example, or all of them:\n";
  for (const tour::example& example : tour::examples()) {
    out << "  " << example.name << ": " << example.title << '\n';
  }
  return status;
}

void run(const tour::example& example) {
  std::cout << "== " << example.name << ": " << example.title << " ==\n";
  example.run(std::cout);
}

}  // namespace

int main(int argc, char** argv) {
  if (argc == 1) {
    for (const tour::example& example : tour::examples()) {
      run(example);
    }
    return 0;
  }
  const std::string_view name = argv[1];
  if (name == "--help") {
    return usage(std::cout, 0);
  }
  for (const tour::example& example : tour::examples()) {
    if (argc == 2 && example.name == name) {
      run(example);
      return 0;
    }
  }
  return usage(std::cerr, 2);
}
