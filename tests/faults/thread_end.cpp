// SPDX-License-Identifier: BSL-1.0
#include <doctest/doctest.h>

#include <pthread.h>

#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <krait/krait.hpp>

#include "support/probes.hpp"

namespace {

using generator = krait::generator<int>;

generator count_up(probes::tally& objects) {
  return [&objects, token = probes::counted(objects)](auto& yield) {
    const probes::counted local(objects);
    for (int i = 0;; ++i) {
      yield(i);
    }
  };
}

/// Uses generators when it is destroyed, at the very end of a thread.
struct late_user {
  probes::tally* objects = nullptr;
  std::optional<generator> kept;
  int* seen = nullptr;

  ~late_user() {
    if (objects != nullptr) {
      auto fresh = count_up(*objects);
      fresh.next();
      *seen = fresh.next() + 10 * kept->next();
    }
  }
};

void destroy_kept(void* kept) {
  delete static_cast<generator*>(kept);
}

}  // namespace

TEST_CASE("a thread_local generator is closed when its thread ends") {
  probes::tally objects;
  std::thread([&objects] {
    static thread_local std::optional<generator> mine;
    mine = count_up(objects);
    mine->next();
    CHECK(objects.live == 2);
  }).join();
  CHECK(objects.live == 0);
}

TEST_CASE("while a thread ends, its thread_local objects may still make and resume generators") {
  for (const bool used_before : {false, true}) {
    probes::tally objects;
    int seen = 0;
    std::optional<generator> made_here = count_up(objects);
    made_here->next();
    std::thread([&] {
      static thread_local late_user user;
      if (used_before) {
        made_here = count_up(objects);  // the thread's first stack is taken when the object is already there
        made_here->next();
      }
      user.objects = &objects;
      user.kept = std::move(made_here);
      user.seen = &seen;
    }).join();
    CHECK(seen == 11);
    made_here.reset();
    CHECK(objects.live == 0);
  }
}

TEST_CASE("a generator is destroyed by a destructor of thread-specific data, which runs last of all") {
  probes::tally objects;
  pthread_key_t early;
  REQUIRE(::pthread_key_create(&early, &destroy_kept) == 0);
  std::thread([&] {
    auto* const kept = new generator(count_up(objects));
    kept->next();
    ::pthread_setspecific(early, kept);
  }).join();
  CHECK(objects.live == 0);
  ::pthread_key_delete(early);
}

TEST_CASE("a generator whose thread has ended is resumed and destroyed by another") {
  probes::tally objects;
  std::vector<generator> all;
  for (int i = 0; i < 20; ++i) {
    std::thread([&] {
      all.push_back(count_up(objects));
      all.back().next();
    }).join();
  }
  std::thread([&] {
    for (auto& each : all) {
      CHECK(each.next() == 1);
    }
    all.erase(all.begin(), all.begin() + 10);
  }).join();
  CHECK(objects.live == 20);
  for (auto& each : all) {
    CHECK(each.next() == 2);
  }
  all.clear();
  CHECK(objects.live == 0);
}

TEST_CASE("a body may start threads, and end with them, and be resumed by them") {
  generator inner = [](auto& yield) {
    for (int i = 0;; ++i) {
      yield(i);
    }
  };
  generator outer = [&inner](auto& yield) {
    for (;;) {
      int item = -1;
      std::thread([&] { item = inner.next(); }).join();
      yield(item);
    }
  };
  for (int i = 0; i < 5; ++i) {
    int item = -1;
    std::thread([&] { item = outer.next(); }).join();
    CHECK(item == i);
  }
}
