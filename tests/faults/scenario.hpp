// SPDX-License-Identifier: BSL-1.0
#pragma once

// A scenario runs in a new process, from the start: no test framework's signal handlers, no pool that has
// stacks, an environment of its own. Declared at namespace scope, started by a test case:
//
//      const scenario lost("lost", [] { return find_out() ? 0 : 1; });
//
//      TEST_CASE("...") { CHECK(lost.run().status.exited_with(0)); }

#include <initializer_list>
#include <string>

#include <krait/krait.hpp>

#include "support/probes.hpp"
#include "support/process.hpp"

/// How a scenario ended, and what it wrote to stderr.
struct ending {
  probes::child_status status;
  std::string text;

  bool says(const std::string& part) const { return text.find(part) != std::string::npos; }
};

/// Has krait take a stack of default size, and so prepare this thread.
inline void take_a_stack() {
  krait::generator<int> g = [](auto& yield) { yield(1); };
  g.next();
}

class scenario {
 public:
  /// `body` returns the exit status.
  scenario(const char* name, int (*body)());
  scenario(const scenario&) = delete;
  scenario& operator=(const scenario&) = delete;

  /// With more environment variables: "NAME=value".
  ending run(std::initializer_list<const char*> environment = {}) const;

  /// The body of the scenario that the command line asks for; null if it asks for none.
  static int (*asked_for(int argc, char** argv))();

 private:
  const char* name_;
  int (*body_)();
  const scenario* next_;
};
