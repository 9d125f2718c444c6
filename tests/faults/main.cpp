// SPDX-License-Identifier: BSL-1.0
#include <doctest/doctest.h>

#include <sys/resource.h>
#include <unistd.h>

#include <climits>
#include <cstdlib>
#include <cstring>

#include "scenario.hpp"

namespace {
const scenario* all = nullptr;
}

scenario::scenario(const char* name, int (*body)()) : name_(name), body_(body), next_(all) {
  all = this;
}

int (*scenario::asked_for(int argc, char** argv))() {
  if (argc == 3 && std::strcmp(argv[1], "--scenario") == 0) {
    for (const scenario* each = all; each != nullptr; each = each->next_) {
      if (std::strcmp(each->name_, argv[2]) == 0) {
        return each->body_;
      }
    }
    return [] { return 202; };
  }
  return nullptr;
}

ending scenario::run(std::initializer_list<const char*> environment) const {
  int ends[2];
  REQUIRE(::pipe(ends) == 0);
  char program[PATH_MAX] = {};
  REQUIRE(::readlink("/proc/self/exe", program, sizeof program - 1) > 0);
  std::cout.flush();
  std::fflush(nullptr);
  const pid_t child = ::fork();
  if (child == 0) {
    for (const int signal : {SIGSEGV, SIGABRT, SIGTERM}) {
      std::signal(signal, SIG_DFL);
    }
    const rlimit no_core{0, 0};
    ::setrlimit(RLIMIT_CORE, &no_core);
    ::alarm(300);
    for (const char* each : environment) {
      ::putenv(const_cast<char*>(each));
    }
    ::dup2(ends[1], STDERR_FILENO);
    ::close(ends[0]);
    ::close(ends[1]);
    ::execl(program, program, "--scenario", name_, static_cast<char*>(nullptr));
    std::_Exit(201);
  }
  ::close(ends[1]);
  std::string text;
  char part[1024];
  for (ssize_t n; (n = ::read(ends[0], part, sizeof part)) > 0 || (n < 0 && errno == EINTR);) {
    text.append(part, n > 0 ? static_cast<std::size_t>(n) : 0);
  }
  ::close(ends[0]);
  return {probes::wait_for(child), text};
}

int main(int argc, char** argv) {
  if (int (*const body)() = scenario::asked_for(argc, argv)) {
    return body();
  }
  return doctest::Context(argc, argv).run();
}
