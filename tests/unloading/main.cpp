// SPDX-License-Identifier: BSL-1.0

// Libraries with krait in them are loaded and unloaded: what they mapped is gone, nothing is left that would
// call them. Each has a krait of its own. The program itself has none.

#include <dlfcn.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <functional>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "support/process.hpp"

#if __has_include(<valgrind/valgrind.h>)
#include <valgrind/valgrind.h>
#else
#define RUNNING_ON_VALGRIND 0
#endif

namespace {

const std::filesystem::path scratch = KRAIT_PLUGIN ".copies";

/// Copies of the plugin: to the loader, these are as many.
std::string path_of(int number) {
  const std::filesystem::path copy = scratch / (std::to_string(number) + ".so");
  if (!std::filesystem::exists(copy)) {
    std::filesystem::copy_file(KRAIT_PLUGIN, copy);
  }
  return copy;
}

class plugin {
 public:
  explicit plugin(int number = 0)
      : path_(path_of(number)), handle_(::dlopen(path_.c_str(), RTLD_NOW | RTLD_LOCAL)) {
    if (handle_ == nullptr) {
      throw std::runtime_error(::dlerror());
    }
  }
  plugin(plugin&& other) noexcept : path_(other.path_), handle_(std::exchange(other.handle_, nullptr)) {}
  ~plugin() {
    if (handle_ != nullptr) {
      ::dlclose(handle_);
    }
  }

  template <class Function>
  Function* function(const char* name) const {
    return reinterpret_cast<Function*>(::dlsym(handle_, name));
  }
  bool works() const { return function<int(int)>("plugin_sum")(10) == 4 * 45; }

 private:
  std::string path_;
  void* handle_;
};

bool is_loaded(int number = 0) {
  void* const handle = ::dlopen(path_of(number).c_str(), RTLD_NOW | RTLD_NOLOAD);
  return handle != nullptr && ::dlclose(handle) == 0;
}

std::size_t address_space() {
  std::size_t pages = 0;
  std::ifstream("/proc/self/statm") >> pages;
  return pages * static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
}

constexpr std::size_t mib = std::size_t{1} << 20;

int is_unloaded() {
  const struct sigaction before = [] {
    struct sigaction action = {};
    ::sigaction(SIGSEGV, nullptr, &action);
    return action;
  }();
  bool closed = false;
  {
    const plugin one;
    one.function<void(bool*)>("plugin_note_closing")(&closed);
    if (!one.works()) {
      return 1;
    }
  }
  struct sigaction after = {};
  ::sigaction(SIGSEGV, nullptr, &after);
  return is_loaded()                                            ? 2
         : !closed                                              ? 3
         : after.sa_handler != before.sa_handler                ? 4
         : (process::signal_stack().ss_flags & SS_DISABLE) == 0 ? 5
                                                                : 0;
}

int many_times() {
  std::size_t first = 0;
  for (int i = 0; i < 300; ++i) {
    if (const plugin one; !one.works()) {
      return 1;
    }
    if (i == 10) {
      first = address_space();
    }
  }
  return address_space() < first + mib || RUNNING_ON_VALGRIND ? 0 : 2;  // which keeps its own books of each
}

/// Threads that have used it live on: each keeps its signal stack, and no more.
int used_by_threads() {
  for (int round = 0; round < 3; ++round) {
    constexpr int count = 4;
    std::atomic<int> good = 0;
    std::atomic<int> done = 0;
    std::atomic<bool> unloaded = false;
    std::vector<std::thread> threads;
    std::size_t before = 0;
    {
      const plugin one;
      for (int i = 0; i < count; ++i) {
        threads.emplace_back([&] {
          good += one.works();
          ++done;
          while (!unloaded) {
            std::this_thread::yield();
          }
        });
      }
      while (done != count) {
        std::this_thread::yield();
      }
      before = address_space();
    }
    const std::size_t gone = before - address_space();
    unloaded = true;
    for (std::thread& each : threads) {
      each.join();
    }
    if (good != count || is_loaded() || gone < 3 * 60 * mib) {
      return 1;
    }
  }
  return 0;
}

int with_one_alive() {
  const void* place = nullptr;
  {
    const plugin one;
    place = one.function<const void*()>("plugin_leave_alive")();
    if (!one.works()) {
      return 1;
    }
  }
  int value = 0;
  if (is_loaded() || !process::readable(place)) {
    return 2;
  }
  std::memcpy(&value, place, sizeof value);
  return value == 4711 ? 0 : 3;
}

void host_handler(int) {
  constexpr char text[] = "the host's handler\n";
  static_cast<void>(::write(STDERR_FILENO, text, sizeof text - 1) < 0);
  ::_exit(7);
}

/// Faults after the plugins have been unloaded in some order: the host's handler is reached.
int host_is_reached(std::vector<int> order) {
  struct sigaction action = {};
  action.sa_handler = &host_handler;
  ::sigaction(SIGSEGV, &action, nullptr);
  std::vector<plugin> all;
  for (int i = 0; i < 3; ++i) {
    all.emplace_back(i);
    if (!all.back().works()) {
      return 1;
    }
  }
  for (const int number : order) {
    plugin(std::move(all[static_cast<std::size_t>(number)]));
    if (is_loaded(number)) {
      return 2;
    }
  }
  ::raise(SIGSEGV);
  return 3;
}

/// In other words, how little of the loader's scarce memory each takes.
int a_hundred_at_once() {
  std::vector<plugin> all;
  for (int i = 0; i < 100; ++i) {
    all.emplace_back(i);
    if (!all.back().works()) {
      return 1;
    }
  }
  return 0;
}

/// At the end of a program, other threads go on to the last.
int exit_while_used() {
  static const plugin& one = *new plugin;
  one.function<void()>("plugin_linger_at_end")();
  for (int i = 0; i < 3; ++i) {
    std::thread([sum = one.function<int(int)>("plugin_simple_sum")] {
      for (;;) {
        sum(10);
        // With no generator alive, but stacks at hand.
        std::this_thread::sleep_for(std::chrono::milliseconds(1));
      }
    }).detach();
  }
  std::this_thread::sleep_for(std::chrono::milliseconds(20));
  return one.works() ? 0 : 1;
}

int passed = 0;
int failed = 0;

/// `scenario` runs in a process of its own, which is to exit with `status`.
void check(const char* name, int status, const std::function<int()>& scenario) {
  std::fflush(nullptr);
  const pid_t child = ::fork();
  if (child == 0) {
    const rlimit no_core{0, 0};
    ::setrlimit(RLIMIT_CORE, &no_core);
    ::alarm(120);
    int result = 200;
    try {
      result = scenario();
    } catch (const std::exception& error) {
      std::fprintf(stderr, "%s\n", error.what());
    }
    std::exit(result);
  }
  int ended = 0;
  ::waitpid(child, &ended, 0);
  const bool good = WIFEXITED(ended) && WEXITSTATUS(ended) == status;
  std::printf("%s %s (status %#x)\n", good ? "ok" : "FAILED", name, static_cast<unsigned>(ended));
  ++(good ? passed : failed);
}

}  // namespace

int main() {
  std::filesystem::remove_all(scratch);
  std::filesystem::create_directories(scratch);
  check("a library is really unloaded, and takes all with it", 0, is_unloaded);
  check("many times", 0, many_times);
  check("while threads that used it live on", 0, used_by_threads);
  check("a generator that is still alive keeps its stack, though not its code", 0, with_one_alive);
  check("unloaded last in, first out", 7, [] { return host_is_reached({2, 1, 0}); });
  check("unloaded from the middle", 7, [] { return host_is_reached({1, 2, 0}); });
  check("only the second", 7, [] { return host_is_reached({1}); });
  check("only the last", 7, [] { return host_is_reached({2}); });
  if (!RUNNING_ON_VALGRIND) {  // which goes on using a signal stack that has been taken away
    check("unloaded first in, first out: the host's handler is reached", 7,
          [] { return host_is_reached({0, 1, 2}); });
    check("only the first", 7, [] { return host_is_reached({0}); });
  }
  check("a hundred at once", 0, a_hundred_at_once);
  check("the end of a program is no unloading", 0, exit_while_used);
  std::printf("%d passed, %d failed\n", passed, failed);
  return failed == 0 ? 0 : 1;
}
