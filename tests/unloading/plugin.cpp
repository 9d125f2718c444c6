// SPDX-License-Identifier: BSL-1.0

// A library with krait in it, as programs load and unload them.

#include <chrono>
#include <thread>
#include <vector>

#include <krait/krait.hpp>

namespace {

krait::generator<int> counting(int end) {
  return [end](auto& yield) {
    for (int i = 0; i < end; ++i) {
      yield(i);
    }
  };
}

/// Closed when the library is unloaded.
struct last {
  krait::generator<int> g;
  bool* closed;
  ~last() {
    if (closed != nullptr) {
      g = counting(1);
      *closed = g.next() == 0;
    }
  }
};
last with_static_storage{counting(3), nullptr};
krait::stack_pool pool({.size = 32 * 1024});
std::vector<krait::generator<int>>* left_alive = nullptr;

bool lingers = false;

/// Runs after krait's own, which is linked later.
[[gnu::destructor(101)]] void linger() {
  if (lingers) {
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
  }
}

}  // namespace

extern "C" {

/// 0 + ... + n - 1, on a default stack.
int plugin_simple_sum(int n) {
  int sum = 0;
  for (const int each : counting(n)) {
    sum += each;
  }
  return sum;
}

/// Uses all that there is: 0 + ... + n - 1, four times.
int plugin_sum(int n) {
  int sum = plugin_simple_sum(n);
  const auto body = [n](auto& yield) { yield.from(counting(n)); };
  for (const int each : krait::generator<int>(std::allocator_arg, pool, body)) {
    sum += each;
  }
  for (const int each :
       krait::generator<int>(std::allocator_arg, krait::stack_options{.size = 100'000}, body)) {
    sum += each;
  }
  krait::set_asyncgen_hooks(krait::get_asyncgen_hooks());
  krait::coroutine<void, void, int> co = [n](auto& self) {
    krait::async_generator<int> items = [n](auto& inner) {
      for (int i = 0; i < n; ++i) {
        inner(i);
      }
    };
    int all = 0;
    for (const int each : krait::async_for(self, items)) {
      all += each;
    }
    return all;
  };
  sum += *co.resume().result();
  try {
    auto g = counting(0);
    g.next();
  } catch (const krait::stop_iteration<>&) {
    return sum;
  }
  return -1;
}

void plugin_note_closing(bool* closed) {
  with_static_storage.closed = closed;
}

void plugin_linger_at_end() {
  lingers = true;
}

/// From now on a generator is alive; returns an address on its stack.
const void* plugin_leave_alive() {
  left_alive = new std::vector<krait::generator<int>>;
  const void* place = nullptr;
  left_alive->emplace_back([&place](auto& yield) {
    volatile int local = 4711;
    place = const_cast<const int*>(&local);
    yield(local);
  });
  left_alive->back().next();
  return place;
}
}
