// SPDX-License-Identifier: BSL-1.0

// How often a lock is taken for stacks: counted at the C library's function.

#include <doctest/doctest.h>

#include <dlfcn.h>
#include <pthread.h>

#include <atomic>
#include <cstddef>
#include <vector>

#include <krait/krait.hpp>

#include "support/probes.hpp"

namespace {
std::atomic<int> locks = 0;
}

#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)

extern "C" {
int pthread_mutex_lock(pthread_mutex_t* mutex) noexcept {
  static const auto real = reinterpret_cast<int (*)(pthread_mutex_t*)>(::dlsym(RTLD_NEXT, __func__));
  ++locks;
  return real(mutex);
}
}

namespace {

template <class Function>
int locks_in(Function function) {
  const int before = locks;
  function();
  return locks - before;
}

}  // namespace

TEST_CASE("a stack from a pool takes no lock, but for one in sixteen where many are taken at once") {
  if (probes::sanitized || probes::on_valgrind()) {
    return;  // each stack passes the depot there
  }
  constexpr int rounds = 1000;
  krait::stack_pool pool;
  const auto body = [](auto& yield) { yield(1); };
  const auto one_by_one = [&] {
    for (int i = 0; i < rounds; ++i) {
      pool.deallocate(pool.allocate());
    }
  };
  const auto many_at_once = [&] {
    std::vector<krait::stack> all;
    for (int i = 0; i < rounds; ++i) {
      all.push_back(pool.allocate());
    }
    for (const krait::stack& each : all) {
      pool.deallocate(each);
    }
  };
  const auto generators = [&] {
    for (int i = 0; i < rounds; ++i) {
      krait::generator<int> g(std::allocator_arg, pool, body);
      krait::generator<int> by_default = body;
    }
  };
  many_at_once();  // cuts all stacks
  one_by_one();
  generators();
  CHECK(locks_in(one_by_one) <= 2);
  CHECK(locks_in(generators) <= 2);
  const int for_many = locks_in(many_at_once);
  CHECK(for_many > 0);  // they are counted
  CHECK(for_many <= 2 * rounds / 16 + 4);
}

#endif
