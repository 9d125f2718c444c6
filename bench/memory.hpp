// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <chrono>
#include <fstream>
#include <string>
#include <utility>

namespace bench {

/// What this process has in memory, in bytes.
struct resident_memory {
  long data = 0;
  long page_tables = 0;

  static resident_memory now() {
    resident_memory found;
    std::ifstream status("/proc/self/status");
    for (std::string word; status >> word;) {
      long* const figure = word == "VmRSS:" ? &found.data : word == "VmPTE:" ? &found.page_tables : nullptr;
      if (figure != nullptr && status >> *figure) {
        *figure *= 1024;
      }
    }
    return found;
  }

  /// What the machine has to spare, in bytes.
  static long available() {
    std::ifstream machine("/proc/meminfo");
    for (std::string word; machine >> word;) {
      if (long kib; word == "MemAvailable:" && machine >> kib) {
        return kib * 1024;
      }
    }
    return 0;
  }
};

class stopwatch {
 public:
  /// Seconds since the last lap.
  double lap() {
    const auto last = std::exchange(last_, clock::now());
    return std::chrono::duration<double>(last_ - last).count();
  }

 private:
  using clock = std::chrono::steady_clock;
  clock::time_point last_ = clock::now();
};

}  // namespace bench
