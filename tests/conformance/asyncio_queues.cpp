// SPDX-License-Identifier: BSL-1.0
#include <krait/asyncio.hpp>

#include <doctest/doctest.h>

#include <algorithm>
#include <chrono>
#include <exception>
#include <string>
#include <utility>
#include <vector>

#include "support/tasks.hpp"

// CPython's test_queues.py.

namespace {

namespace asyncio = krait::asyncio;
using namespace std::chrono_literals;
using support::is_a;
using support::raised_by;
using numbers = std::vector<int>;

void turn() {
  asyncio::sleep(0s);
}
bool contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}
bool cancelled(const std::exception_ptr& raised) {
  return is_a<asyncio::cancelled_error>(raised);
}
template <class Call>
bool shut_down(Call call) {
  return is_a<asyncio::queue_shut_down>(raised_by(call));
}
/// What prints as "<KIND object at 0x... HOW>", KIND and HOW.
template <class Queue>
std::string how(const Queue& q) {
  const std::string text = q.repr();
  const auto object = text.find(" object at 0x");
  REQUIRE(object != std::string::npos);
  const auto behind = text.find(' ', object + 12);
  return text.substr(1, object - 1) + text.substr(behind, text.size() - 1 - behind);
}
template <class Queue>
auto getter(Queue& q) {
  return asyncio::create_task([&q] { return q.get(); });
}
template <class Queue, class T>
auto putter(Queue& q, T item) {
  return asyncio::create_task([&q, item] { q.put(item); });
}
/// Does `call()` let no other task run?
template <class Call>
bool does_not_wait(Call call) {
  const auto other = asyncio::create_task([] {});
  call();
  return !other.done();
}

}  // namespace

TEST_CASE("AIO-QUE-001 repr of a queue: what waits, and how much is in it") {
  asyncio::run([] {
    asyncio::queue<int> q;
    CHECK(how(q) == "queue maxsize=0");
    const auto get = getter(q);
    turn();
    CHECK(how(q) == "queue maxsize=0 getters[1]");
    q.put_nowait(0);
    CHECK(asyncio::await(get) == 0);

    asyncio::queue<int> bounded(1);
    bounded.put_nowait(1);
    const auto put = putter(bounded, 2);
    turn();
    CHECK(how(bounded) == "queue maxsize=1 size=1 putters[1] tasks=1");
    CHECK(bounded.get_nowait() == 1);
    asyncio::await(put);
  });
}

TEST_CASE("AIO-QUE-002 AIO-QUE-003 AIO-QUE-004 empty, full, and first in, first out") {
  asyncio::run([] {
    asyncio::queue<int> q;
    CHECK(q.empty());
    q.put(1);
    CHECK_FALSE(q.empty());
    CHECK_FALSE(q.full());
    CHECK(q.get() == 1);
    CHECK(q.empty());

    asyncio::queue<int> bounded(1);
    CHECK_FALSE(bounded.full());
    bounded.put(1);
    CHECK(bounded.full());

    for (const int each : {1, 3, 2}) {
      q.put(each);
    }
    CHECK(numbers{q.get(), q.get(), q.get()} == numbers{1, 3, 2});
  });
}

TEST_CASE("AIO-QUE-005 who puts more than there is room for waits until something is taken") {
  asyncio::run([] {
    asyncio::queue<int> q(2);
    CHECK(q.maxsize() == 2);
    numbers put;
    const auto t = asyncio::create_task([&] {
      for (int i = 0; i < 3; ++i) {
        q.put(i);
        put.push_back(i);
      }
      return true;
    });
    turn();
    turn();
    CHECK(put == numbers{0, 1});
    CHECK(q.get() == 0);
    turn();
    CHECK(put == numbers{0, 1, 2});
    CHECK(q.get() == 1);
    CHECK(q.get() == 2);
    CHECK(t.result());
  });
}

TEST_CASE("AIO-QUE-006 AIO-QUE-009 AIO-QUE-010 what is there is had without waiting") {
  asyncio::run([] {
    asyncio::queue<int> q;
    q.put_nowait(1);
    CHECK(does_not_wait([&] { CHECK(q.get() == 1); }));
    q.put_nowait(2);
    CHECK(q.get_nowait() == 2);
    CHECK(is_a<asyncio::queue_empty>(raised_by([&] { q.get_nowait(); })));
  });
}

TEST_CASE("AIO-QUE-007 AIO-QUE-012 what is taken lets one go on who waits to put, in order") {
  asyncio::run([] {
    asyncio::queue<int> q(1);
    q.put(1);
    const auto second = putter(q, 2);
    const auto third = putter(q, 3);
    turn();
    CHECK(q.get() == 1);
    turn();
    CHECK(second.done());
    CHECK_FALSE(third.done());
    CHECK(q.get() == 2);
    CHECK(q.get() == 3);
    CHECK(third.done());

    asyncio::queue<std::string> words(1);
    const auto a = putter(words, std::string("a"));
    const auto b = putter(words, std::string("b"));
    CHECK(words.get() == "a");
    CHECK(words.get() == "b");
  });
}

TEST_CASE("AIO-QUE-008 AIO-QUE-016 it waits for what a callback takes or puts") {
  asyncio::run([] {
    auto& loop = asyncio::get_running_loop();
    asyncio::queue<int> q;
    const auto get = getter(q);
    turn();
    CHECK_FALSE(get.done());
    loop.call_later(1ms, [&] { q.put_nowait(1); });
    CHECK(asyncio::await(get) == 1);

    asyncio::queue<int> bounded(1);
    loop.call_later(1ms, [&] { bounded.get_nowait(); });
    const auto put = asyncio::create_task([&] {
      bounded.put(1);
      bounded.put(2);
    });
    turn();
    CHECK_FALSE(put.done());
    asyncio::await(put);
    CHECK(bounded.get_nowait() == 2);
  });
}

TEST_CASE("AIO-QUE-011 one that is cancelled takes nothing") {
  asyncio::run([] {
    asyncio::queue<std::string> q;
    const auto t1 = getter(q);
    const auto t2 = getter(q);
    turn();
    t1.cancel();
    turn();
    CHECK(t1.done());
    q.put("a");
    turn();
    CHECK(asyncio::await(t2) == "a");
  });
}

TEST_CASE("AIO-QUE-013 a producer and a consumer come to an end") {
  asyncio::run([] {
    asyncio::queue<int> q(1);
    numbers got;
    asyncio::task_group([&](auto& group) {
      static_cast<void>(group.create_task([&] {
        for (int i = 0; i < 5; ++i) {
          q.put(i);
        }
      }));
      static_cast<void>(group.create_task([&] {
        for (int i = 0; i < 5; ++i) {
          got.push_back(q.get());
        }
      }));
    });
    CHECK(got == numbers{0, 1, 2, 3, 4});
  });
}

TEST_CASE("AIO-QUE-014 AIO-QUE-026 who has given up waits no more") {
  asyncio::run([] {
    asyncio::queue<int> q(5);
    CHECK(is_a<asyncio::timeout_error>(raised_by([&] { asyncio::wait_for([&] { return q.get(); }, 1ms); })));
    CHECK(how(q) == "queue maxsize=5");

    asyncio::queue<int> full(1);
    full.put_nowait(1);
    const auto put = putter(full, 1);
    turn();
    CHECK(contains(how(full), "putters[1]"));
    put.cancel();
    CHECK(cancelled(raised_by([&] { asyncio::await(put); })));
    CHECK_FALSE(contains(how(full), "putters"));
  });
}

TEST_CASE(
    "AIO-QUE-015 AIO-QUE-017 AIO-QUE-021 AIO-QUE-022 where there is room, nobody waits, and what is put is "
    "put") {
  asyncio::run([] {
    asyncio::queue<int> q;
    CHECK(does_not_wait([&] { q.put(1); }));
    CHECK(q.get() == 1);
    q.put_nowait(1);
    CHECK(q.get_nowait() == 1);
    asyncio::queue<int> bounded(1);
    bounded.put_nowait(1);
    CHECK(is_a<asyncio::queue_full>(raised_by([&] { bounded.put_nowait(2); })));

    const auto put = asyncio::create_task([&] {
      q.put(1);
      return true;
    });
    CHECK(q.get() == 1);
    CHECK(put.done());
    CHECK_FALSE(put.cancel());
    CHECK(put.result());
  });
}

TEST_CASE("AIO-QUE-018 one that has been woken, and is cancelled, loses nothing") {
  asyncio::run([] {
    asyncio::queue<int> q;
    const auto reader = getter(q);
    turn();
    q.put_nowait(1);
    q.put_nowait(2);
    reader.cancel();
    CHECK(cancelled(raised_by([&] { asyncio::await(reader); })));
    CHECK(asyncio::await(getter(q)) == 1);
    CHECK(q.get_nowait() == 2);
  });
}

TEST_CASE("AIO-QUE-019 and hands its turn on") {
  asyncio::run([] {
    asyncio::queue<int> q;
    const auto first = getter(q);
    const auto second = getter(q);
    const auto third = getter(q);
    turn();
    q.put_nowait(1);
    q.put_nowait(2);
    first.cancel();
    CHECK(cancelled(raised_by([&] { asyncio::await(first); })));
    asyncio::await(third);
    asyncio::await(second);
    CHECK(second.result() + third.result() == 3);
  });
}

TEST_CASE(
    "AIO-QUE-020 AIO-QUE-027 one that was to put, and is cancelled, puts nothing, and is in nobody's way") {
  asyncio::run([] {
    asyncio::queue<int> q(1);
    q.put_nowait(1);
    const auto writer = putter(q, 2);
    turn();
    CHECK(q.get_nowait() == 1);
    writer.cancel();
    CHECK(cancelled(raised_by([&] { asyncio::await(writer); })));
    asyncio::await(putter(q, 2));
    CHECK(q.get_nowait() == 2);
    CHECK(q.qsize() == 0);
  });
}

TEST_CASE("AIO-QUE-023 nor does it disturb those before it") {
  asyncio::run([] {
    asyncio::queue<std::string> q(1);
    const auto a = putter(q, std::string("a"));
    const auto b = putter(q, std::string("b"));
    const auto c = putter(q, std::string("X"));
    turn();
    CHECK(a.done());
    CHECK_FALSE(b.done());
    c.cancel();
    turn();
    CHECK(c.done());
    CHECK(q.get_nowait() == "a");
    turn();
    CHECK(q.get_nowait() == "b");
    asyncio::await(b);
  });
}

TEST_CASE("AIO-QUE-024 what is put goes to who waits for it") {
  asyncio::run([] {
    asyncio::queue<std::string> q;
    const auto t = getter(q);
    turn();
    q.put("a");
    CHECK(asyncio::await(t) == "a");
  });
}

TEST_CASE("AIO-QUE-025 when all is taken at once, all who wait to put go on") {
  asyncio::run([] {
    asyncio::queue<int> q(2);
    asyncio::task_group([&](auto& group) {
      static_cast<void>(group.create_task([&] {
        turn();
        for (auto count = q.qsize(); count > 0; --count) {
          q.get_nowait();
        }
      }));
      for (int i = 0; i < 4; ++i) {
        static_cast<void>(group.create_task([&, i] { q.put(i); }));
      }
    });
    CHECK(q.qsize() == 2);
  });
}

TEST_CASE("AIO-QUE-028 AIO-QUE-029 the last, or the least, comes first") {
  asyncio::run([] {
    asyncio::lifo_queue<int> last;
    asyncio::priority_queue<int> least;
    for (const int each : {1, 3, 2}) {
      last.put(each);
      least.put(each);
    }
    CHECK(numbers{last.get(), last.get(), last.get()} == numbers{2, 3, 1});
    CHECK(numbers{least.get(), least.get(), least.get()} == numbers{1, 2, 3});
  });
}

TEST_CASE_TEMPLATE(
    "AIO-QUE-030 AIO-QUE-031 AIO-QUE-032 join() waits until all that was put has been dealt with", Queue,
    asyncio::queue<int>, asyncio::lifo_queue<int>, asyncio::priority_queue<int>) {
  asyncio::run([] {
    Queue q;
    CHECK(is_a<krait::value_error>(raised_by([&] { q.task_done(); })));
    CHECK(does_not_wait([&] {
      q.join();
      q.join();
    }));
    int expected = 0;
    for (int i = 0; i < 100; ++i) {
      q.put_nowait(i);
      expected += i;
    }
    int sum = 0;
    bool running = true;
    asyncio::task_group([&](auto& group) {
      for (int i = 0; i < 2; ++i) {
        static_cast<void>(group.create_task([&] {
          while (running) {
            sum += q.get();
            turn();
            q.task_done();
          }
        }));
      }
      q.join();
      CHECK(sum == expected);
      running = false;
      q.put_nowait(0);
      q.put_nowait(0);
    });
  });
}

TEST_CASE_TEMPLATE("AIO-QUE-033 AIO-QUE-034 repr tells what is not dealt with, and that it is shut down",
                   Queue, asyncio::queue<int>, asyncio::lifo_queue<int>, asyncio::priority_queue<int>) {
  Queue q;
  CHECK(contains(how(q), " maxsize=0"));
  CHECK_FALSE(contains(how(q), "tasks"));
  q.put_nowait(1);
  q.put_nowait(2);
  q.get_nowait();
  q.get_nowait();
  CHECK(contains(how(q), " maxsize=0 tasks=2"));
  q.task_done();
  q.task_done();
  q.shutdown();
  CHECK(contains(how(q), " maxsize=0 shutdown"));
}

namespace {
template <class Queue>
void all_are_refused(Queue& q) {
  CHECK(shut_down([&] { q.put("data"); }));
  CHECK(shut_down([&] { q.put_nowait("data"); }));
  CHECK(shut_down([&] { q.get(); }));
  CHECK(shut_down([&] { q.get_nowait(); }));
}
template <class Queue>
bool all_are_done(Queue& q) {
  return is_a<krait::value_error>(raised_by([&] { q.task_done(); }));
}
}  // namespace

TEST_CASE_TEMPLATE("AIO-QUE-035 AIO-QUE-036 AIO-QUE-037 AIO-QUE-038 shutdown", Queue,
                   asyncio::queue<std::string>, asyncio::lifo_queue<std::string>,
                   asyncio::priority_queue<std::string>) {
  asyncio::run([] {
    SUBCASE("AIO-QUE-035 of an empty one: who waits is told, and so is everybody then") {
      Queue q;
      const auto get = getter(q);
      turn();
      q.shutdown();
      CHECK(q.qsize() == 0);
      q.join();
      turn();
      CHECK(get.done());
      CHECK(shut_down([&] { asyncio::await(get); }));
      all_are_refused(q);
    }
    SUBCASE("AIO-QUE-036 of one that is full: what is in it can be had") {
      Queue q(1);
      q.put_nowait("data");
      const auto join = asyncio::create_task([&] { q.join(); });
      const auto put = putter(q, std::string("data2"));
      turn();
      CHECK_FALSE(put.done());
      q.shutdown();
      CHECK(q.qsize() == 1);
      turn();
      CHECK(put.done());
      CHECK(shut_down([&] { asyncio::await(put); }));
      CHECK(q.get() == "data");
      turn();
      CHECK_FALSE(join.done());
      all_are_refused(q);
      q.task_done();
      turn();
      CHECK(join.done());
      asyncio::await(join);
      CHECK(all_are_done(q));
    }
    SUBCASE("AIO-QUE-037 at once: it is empty, and nothing is left to be dealt with") {
      Queue q;
      q.put_nowait("data");
      const auto join = asyncio::create_task([&] { q.join(); });
      q.shutdown(true);
      CHECK(q.qsize() == 0);
      turn();
      CHECK(join.done());
      asyncio::await(join);
      all_are_refused(q);
      CHECK(all_are_done(q));
    }
    SUBCASE("AIO-QUE-038 at once, but what was taken before is to be dealt with") {
      Queue q;
      q.put_nowait("data");
      q.put_nowait("data");
      const auto join = asyncio::create_task([&] { q.join(); });
      CHECK(q.get() == "data");
      q.shutdown(true);
      CHECK(q.qsize() == 0);
      turn();
      CHECK_FALSE(join.done());
      all_are_refused(q);
      q.task_done();
      CHECK(all_are_done(q));
      turn();
      CHECK(join.done());
      asyncio::await(join);
    }
  });
}
