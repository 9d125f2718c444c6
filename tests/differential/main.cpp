// SPDX-License-Identifier: BSL-1.0

// Runs programs on krait. Without arguments: reads batches from stdin, each the number of its lines and then
// as many programs, and writes as many traces; closes with what was covered. See README.md.

#include <unistd.h>

#include <cstring>
#include <fstream>
#include <iostream>
#include <string>
#include <vector>

#include "interpreter.hpp"

namespace {

using namespace differential;

constexpr unsigned longest_run = 10;  // seconds; a program that hangs is killed by SIGALRM

std::string run_text(const std::string& text, coverage& counts) {
  alarm(longest_run);
  return run(parse_program(text), counts);
}

int serve() {
  coverage counts;
  std::string line;
  while (std::getline(std::cin, line)) {
    std::vector<std::string> batch(std::stoul(line));
    for (std::string& text : batch) {
      std::getline(std::cin, text);
    }
    for (const std::string& text : batch) {
      std::cout << run_text(text, counts) << '\n';
    }
    std::cout << std::flush;
  }
  for (const auto& [feature, count] : counts) {
    std::cout << count << ' ' << feature << '\n';
  }
  return 0;
}

int replay(int files, char** names) {
  coverage counts;
  int passed = 0, failed = 0;
  for (int i = 0; i < files; ++i) {
    std::ifstream corpus(names[i]);
    for (std::string line; std::getline(corpus, line);) {
      const auto expected = parse_recorded(line);
      const std::string trace = expected ? run_text(expected->program, counts) : "not a line of a corpus";
      if (expected && trace == expected->trace) {
        ++passed;
      } else {
        ++failed;
        std::cout << line << "\nkrait: " << trace << "\n\n";
      }
    }
  }
  std::cout << passed << " passed, " << failed << " failed" << std::endl;
  return failed == 0 && passed > 0 ? 0 : 1;
}

}  // namespace

int main(int argc, char** argv) try {
  std::ios::sync_with_stdio(false);
  if (argc > 2 && std::strcmp(argv[1], "--corpus") == 0) {
    return replay(argc - 2, argv + 2);
  }
  if (argc != 1) {
    std::cerr << "usage: " << argv[0] << " [--corpus FILE...]\n";
    return 2;
  }
  return serve();
} catch (const std::exception& error) {
  std::cerr << argv[0] << ": " << error.what() << '\n';
  return 2;
}
