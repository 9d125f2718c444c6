// SPDX-License-Identifier: BSL-1.0
#include <doctest/doctest.h>

#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <krait/krait.hpp>

#include "scenario.hpp"

namespace {

/// ThreadSanitizer does not follow fibers into a forked process.
const auto not_followed = doctest::skip(probes::thread_sanitized);

krait::generator<int> count_up(probes::tally& objects) {
  return [token = probes::counted(objects)](auto& yield) {
    for (int i = 0;; ++i) {
      yield(i);
    }
  };
}

/// Suspended in a handler, which it goes on in.
krait::generator<std::string> in_handler() {
  return [](auto& yield) {
    try {
      throw std::string("kept");
    } catch (const std::string&) {
      yield(probes::handled());
      try {
        throw;
      } catch (const std::string& again) {
        yield(again);
      }
    }
  };
}

}  // namespace

TEST_CASE("after fork(), parent and child go on with their own copies of a suspended generator" *
          not_followed) {
  probes::tally objects;
  {
    auto g = count_up(objects);
    auto outer = krait::generator<int>([&objects](auto& yield) { yield.from(count_up(objects)); });
    auto handling = in_handler();
    handling.next();
    for (int i = 0; i < 3; ++i) {
      CHECK(g.next() == i);
      CHECK(outer.next() == i);
    }
    CHECK(probes::in_child([&] {
            const bool same = g.next() == 3 && outer.next() == 3 && handling.next() == "kept";
            g.close();
            {
              const auto gone = std::move(outer);
            }
            std::vector<krait::generator<int>> more;
            for (int i = 0; i < 200; ++i) {
              more.push_back(count_up(objects));
              more.back().next();
            }
            more.clear();
            return same && g.done() && objects.live == 0 ? 0 : 1;
          }).exited_with(0));
    CHECK(g.next() == 3);
    CHECK(outer.next() == 3);
    CHECK(handling.next() == "kept");
  }
  CHECK(objects.live == 0);
}

TEST_CASE("fork() inside a body: both processes run on, on the same stack" * not_followed) {
  krait::generator<int> g = [](auto& yield) {
    yield(1);
    int first = 0;
    const auto status = probes::in_child([&] {
      yield(2);
      yield(first + 3);
      return 9;
    });
    static_cast<void>(status);
    yield(status.exited_with(9) ? 4 : 5);
  };
  CHECK(g.next() == 1);
  const int second = g.next();
  if (second == 2) {  // the child
    std::_Exit(g.next() == 3 && g.next() == 0 ? 9 : 10);
  }
  CHECK(second == 4);
}

TEST_CASE("a child of fork() may use generators that other threads were using, as those threads are gone" *
          not_followed) {
  // What another thread holds in its magazine is lost to the child, nothing else.
  probes::tally objects;
  std::vector<krait::generator<int>> made_there;
  std::thread([&] {
    for (int i = 0; i < 50; ++i) {
      made_there.push_back(count_up(objects));
      made_there.back().next();
    }
  }).join();
  CHECK(probes::in_child([&] {
          int right = 0;
          for (auto& each : made_there) {
            right += each.next() == 1;
          }
          made_there.clear();
          return right == 50 && objects.live == 0 ? 0 : 1;
        }).exited_with(0));
  CHECK(made_there.front().next() == 1);
}
