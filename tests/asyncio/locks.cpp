// SPDX-License-Identifier: BSL-1.0
#include <krait/asyncio.hpp>

#include <doctest/doctest.h>

#include <chrono>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "support/tasks.hpp"

// Locks (LK, EV, CV, SE, BA) and queues (Q). That nothing is lost when waits are cancelled: cancel_everywhere.cpp.

namespace {

namespace asyncio = krait::asyncio;
using namespace std::chrono_literals;
using asyncio_tests::thrown_by;
using asyncio_tests::turns;
using support::journal;

}  // namespace

TEST_CASE("LK1, LK2: a mutex is fair, and not handed over") {
  asyncio::run([] {
    asyncio::mutex mutex;
    journal log;
    std::vector<asyncio::task<void>> all;
    mutex.acquire();
    for (const char* name : {"a", "b", "c"}) {
      all.push_back(asyncio::create_task([&, name] {
        const std::lock_guard guard(mutex);
        log(name);
        asyncio::sleep(0s);
      }));
    }
    turns(1);
    mutex.release();
    CHECK_FALSE(mutex.locked());
    CHECK_FALSE(mutex.try_acquire());  // the first who waits comes before
    asyncio::wait(all);
    CHECK(log.text() == "a, b, c");
    CHECK(mutex.try_lock());
    mutex.unlock();
    CHECK(thrown_by([&] { mutex.release(); }) == "Lock is not acquired.");
  });
}

TEST_CASE("LK3: who is woken and cancelled in one turn wakes the next") {
  asyncio::run([] {
    asyncio::mutex mutex;
    mutex.acquire();
    const auto a = asyncio::create_task([&] { mutex.acquire(); });
    const auto b = asyncio::create_task([&] { mutex.acquire(); });
    turns(1);
    mutex.release();
    a.cancel();
    asyncio::await(b);
    CHECK(a.cancelled());
    CHECK(mutex.locked());
  });
}

TEST_CASE("EV1: an event wakes all, whatever becomes of it") {
  asyncio::run([] {
    asyncio::event event;
    journal log;
    std::vector<asyncio::task<void>> all;
    for (const char* name : {"a", "b"}) {
      all.push_back(asyncio::create_task([&, name] {
        event.wait();
        log(name);
      }));
    }
    turns(1);
    event.set();
    event.clear();
    CHECK_FALSE(event.is_set());
    asyncio::wait(all);
    CHECK(log.text() == "a, b");
    event.set();
    event.wait();
  });
}

TEST_CASE("CV1, CV2, CV3: a condition") {
  asyncio::run([] {
    asyncio::condition condition;
    journal log;
    int level = 0;
    std::vector<asyncio::task<void>> all;
    for (const char* name : {"a", "b", "c"}) {
      all.push_back(asyncio::create_task([&, name] {
        const std::lock_guard guard(condition);
        condition.wait_for([&] { return level > 0; });
        log(name);
      }));
    }
    turns(1);
    CHECK(thrown_by([&] { condition.wait(); }) == "cannot wait on un-acquired lock");
    CHECK(thrown_by([&] { condition.notify(); }) == "cannot notify on un-acquired lock");
    condition.acquire();
    condition.notify();  // in vain
    condition.release();
    turns(4);
    CHECK(log.text().empty());
    condition.acquire();
    level = 1;
    condition.notify(2);
    condition.release();
    turns(6);
    CHECK(log.text() == "b, c");
    condition.acquire();
    condition.notify_all();
    condition.release();
    asyncio::wait(all);
    CHECK(log.text() == "b, c, a");
  });
}

TEST_CASE("CV1, CV2: cancelled, it locks again, and hands the notification on") {
  asyncio::run([] {
    asyncio::mutex mutex;
    asyncio::condition condition(mutex);
    const auto waiting = [&] {
      return asyncio::create_task([&] {
        const std::lock_guard guard(condition);
        try {
          condition.wait();
        } catch (const asyncio::cancelled_error&) {
          CHECK(mutex.locked());
          throw;
        }
      });
    };
    const auto a = waiting();
    const auto b = waiting();
    turns(1);
    condition.acquire();
    condition.notify();
    a.cancel();
    condition.release();
    asyncio::await(b);
    CHECK(thrown_by([&] { asyncio::await(a); }).rfind("cancelled", 0) == 0);
    CHECK_FALSE(mutex.locked());
  });
}

TEST_CASE("SE1, SE2, SE3: semaphores") {
  asyncio::run([] {
    asyncio::semaphore semaphore(2);
    journal log;
    semaphore.acquire();
    CHECK_FALSE(semaphore.locked());
    CHECK(semaphore.try_acquire());
    CHECK(semaphore.locked());
    std::vector<asyncio::task<void>> all;
    for (const char* name : {"a", "b", "c"}) {
      all.push_back(asyncio::create_task([&, name] {
        semaphore.acquire();
        log(name);
      }));
    }
    turns(1);
    semaphore.release();
    all[0].cancel();  // has the permit already: it goes to the next
    semaphore.release();
    CHECK_FALSE(semaphore.try_acquire());
    turns(3);
    CHECK(log.text() == "b, c");
    CHECK_THROWS_AS(asyncio::semaphore(-1), krait::value_error);
    asyncio::bounded_semaphore bounded(1);
    bounded.acquire();
    bounded.release();
    CHECK(thrown_by([&] { bounded.release(); }) == "BoundedSemaphore released too many times");
  });
}

TEST_CASE("BA1, BA2, BA3: a barrier") {
  asyncio::run([] {
    asyncio::barrier barrier(3);
    std::vector<asyncio::task<std::size_t>> all;
    const auto arrive = [&] { all.push_back(asyncio::create_task([&] { return barrier.wait(); })); };
    arrive();
    arrive();
    turns(1);
    CHECK(barrier.n_waiting() == 2);
    all[1].cancel();
    turns(3);
    CHECK(barrier.n_waiting() == 1);
    arrive();
    arrive();
    asyncio::wait(all);
    CHECK(all[0].result() + all[2].result() + all[3].result() == 3);
    CHECK(barrier.n_waiting() == 0);

    all.clear();
    arrive();
    turns(1);
    barrier.reset();
    CHECK(thrown_by([&] { asyncio::await(all[0]); }) == "Abort or reset of barrier");
    CHECK_FALSE(barrier.broken());
    barrier.abort();
    CHECK(barrier.broken());
    CHECK(thrown_by([&] { barrier.wait(); }) == "Barrier aborted");
    CHECK_THROWS_AS(asyncio::barrier(0), krait::value_error);
  });
}

TEST_CASE_TEMPLATE("Q1, Q2: queues wait, or say that they are full or empty", Queue, asyncio::queue<int>,
                   asyncio::priority_queue<int>, asyncio::lifo_queue<int>) {
  asyncio::run([] {
    Queue queue(2);
    CHECK(queue.maxsize() == 2);
    CHECK_THROWS_AS(queue.get_nowait(), asyncio::queue_empty);
    CHECK_FALSE(queue.try_get());
    const auto producer = asyncio::create_task([&] {
      for (int i = 0; i < 5; ++i) {
        queue.put(i);
      }
    });
    turns(1);
    CHECK(queue.full());
    CHECK_THROWS_AS(queue.put_nowait(9), asyncio::queue_full);
    int sum = 0;
    for (int i = 0; i < 5; ++i) {
      sum += queue.get();
      queue.task_done();
    }
    CHECK(sum == 10);
    CHECK(queue.empty());
    queue.join();
    CHECK_THROWS_AS(queue.task_done(), krait::value_error);
    asyncio::await(producer);
  });
}

TEST_CASE("Q5: what comes out first") {
  asyncio::run([] {
    const auto order = [](auto queue) {
      for (const int x : {3, 1, 2}) {
        queue->put(x);
      }
      queue->shutdown();
      std::vector<int> taken;
      for (const int x : queue->items()) {
        taken.push_back(x);
      }
      return taken;
    };
    CHECK(order(std::make_unique<asyncio::queue<int>>()) == std::vector{3, 1, 2});
    CHECK(order(std::make_unique<asyncio::priority_queue<int>>()) == std::vector{1, 2, 3});
    CHECK(order(std::make_unique<asyncio::lifo_queue<int>>()) == std::vector{2, 1, 3});
  });
}

TEST_CASE("Q: items may be moved only") {
  asyncio::run([] {
    asyncio::queue<std::unique_ptr<int>> queue;
    queue.put(std::make_unique<int>(1));
    CHECK(*queue.get() == 1);
  });
}

TEST_CASE_TEMPLATE("Q3, Q4: shutdown, at once or not, tells those who wait", Queue, asyncio::queue<int>,
                   asyncio::priority_queue<int>, asyncio::lifo_queue<int>) {
  for (const bool immediate : {false, true}) {
    CAPTURE(immediate);
    asyncio::run([&] {
      Queue queue(1);
      queue.put(1);
      const auto putting = asyncio::create_task([&] { queue.put(2); });
      const auto joining = asyncio::create_task([&] { queue.join(); });
      turns(1);
      queue.shutdown(immediate);
      CHECK(thrown_by([&] { asyncio::await(putting); }) == "queue is shut down");
      CHECK_THROWS_AS(queue.put_nowait(3), asyncio::queue_shut_down);
      if (!immediate) {
        CHECK(queue.get() == 1);
        CHECK_FALSE(joining.done());
        queue.task_done();
      }
      asyncio::await(joining);
      CHECK(thrown_by([&] { queue.get(); }) == "queue is shut down");
      CHECK_THROWS_AS(queue.get_nowait(), asyncio::queue_shut_down);
      queue.shutdown(true);

      Queue other;
      const auto getting = asyncio::create_task([&] { return other.get(); });
      turns(1);
      other.shutdown(immediate);
      CHECK(thrown_by([&] { asyncio::await(getting); }) == "queue is shut down");
    });
  }
}
