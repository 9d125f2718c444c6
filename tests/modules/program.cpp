// SPDX-License-Identifier: BSL-1.0
// Usage: program PLUGIN...   each is loaded; a name that ends in .global.so with RTLD_GLOBAL.
#include <dlfcn.h>
#include <pthread.h>

#include <cstddef>
#include <cstdio>
#include <cstring>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include "module.hpp"

extern "C" module_entry krait_test_program, krait_test_library;

namespace {

int passed = 0;
int failed = 0;

struct module {
  std::string name;
  const module_functions* functions;

  const module_functions* operator->() const { return functions; }
};

void check(bool good, const std::string& what) {
  ++(good ? passed : failed);
  if (!good) {
    std::fprintf(stderr, "FAILED: %s\n", what.c_str());
  }
}

template <class Got, class Wanted>
void check_equal(const Got& got, const Wanted& wanted, const std::string& what) {
  check(got == wanted, what);
}

/// What `maker` makes, `driver` drives.
void check_pair(const module& maker, const module& driver) {
  const std::string pair = maker.name + " -> " + driver.name + ": ";

  auto g = maker->make(3);
  check_equal(driver->drain(g), "0 1 2 done", pair + "stop_iteration by its type");
  check_equal(maker->drain(g = driver->delegating(maker->make(2))), "0 1 done!", pair + "delegation");
  check_equal(driver->drain(g = driver->delegating(maker->make(2))), "0 1 done!",
              pair + "delegation, driven there");

  std::string log;
  auto catching = maker->catching(log);
  catching.next();
  check_equal(driver->raise_value_error(catching), 1, pair + "an exception that the body knows");
  driver->close(catching);
  check_equal(log, "value_error generator_exit ", pair + "generator_exit by its type");
  catching = maker->catching(log);
  catching.next();
  check_equal(driver->raise_out_of_range(catching), "not in range", pair + "an exception of the body's");
  auto escaping = maker->escaping();
  check(driver->is_escape(escaping), pair + "a stop_iteration that leaves a body");

  log = "";
  check(driver->with(maker->manager(log), false) == 42, pair + "with");
  check(!driver->with(maker->manager(log), true).has_value(), pair + "with, an exception swallowed");
  check_equal(log, "left swallowed ", pair + "with, as the manager saw it");

  const auto object = maker->dropped();
  check(object != nullptr, pair + "the finalizer hook");
  check(driver->reclaim(object), pair + "from_object");

  g = maker->make(4);
  check_equal(driver->next_in_handler(g), 0, pair + "a handler on either side");
  check_equal(maker->next_in_handler(g), 1, pair + "a handler on either side, back again");
  std::thread([&] { check_equal(driver->next_in_handler(g), 2, pair + "on another thread"); }).join();
  check_equal(driver->drain(g), "3 done", pair + "and to the end on this one");
}

/// Runs `function` on a thread with a stack much larger than this one's.
template <class Function>
void on_large_thread(Function function) {
  pthread_attr_t attributes;
  ::pthread_attr_init(&attributes);
  ::pthread_attr_setstacksize(&attributes, std::size_t{128} << 20);
  pthread_t thread;
  const int error = ::pthread_create(
      &thread, &attributes,
      [](void* data) -> void* {
        (*static_cast<Function*>(data))();
        return nullptr;
      },
      &function);
  if (error == 0) {
    ::pthread_join(thread, nullptr);
  }
  check(error == 0, "a thread with a large stack");
  ::pthread_attr_destroy(&attributes);
}

}  // namespace

int main(int argc, char** argv) {
  std::vector<module> modules{{"program", krait_test_program()}, {"library", krait_test_library()}};
  for (int i = 1; i < argc; ++i) {
    const bool global = std::string_view(argv[i]).ends_with(".global.so");
    void* const plugin = ::dlopen(argv[i], RTLD_NOW | (global ? RTLD_GLOBAL : RTLD_LOCAL));
    void* const entry = plugin == nullptr ? nullptr : ::dlsym(plugin, "krait_test_plugin");
    check(entry != nullptr, argv[i] + std::string(": ") + (entry == nullptr ? ::dlerror() : ""));
    if (entry != nullptr) {
      modules.push_back({argv[i], reinterpret_cast<module_entry*>(entry)()});
    }
  }

  for (const module& each : modules) {
    check(each->slow_switches(100) <= 1, each.name + ": the exception state is found once");
  }
  std::thread([&] {
    for (const module& each : modules) {
      check(each->slow_switches(100) <= 1, each.name + ": the exception state is found once by a thread");
    }
  }).join();

  for (const module& maker : modules) {
    for (const module& driver : modules) {
      check_pair(maker, driver);

      // The thread that was left last is gone, with a stack of another size, when the body goes on.
      auto g = maker->delegating(maker->make(4));
      on_large_thread([&] { check_equal(driver->next_in_handler(g), 0, "on a large thread"); });
      check_equal(driver->next_in_handler(g), 1, "after a large thread");
      on_large_thread([&] { check_equal(driver->next_in_handler(g), 2, "on another large thread"); });
      check_equal(driver->drain(g), "3 done!", "after another large thread");
    }
  }
  std::printf("%d passed, %d failed\n", passed, failed);
  return failed == 0 ? 0 : 1;
}
