// SPDX-License-Identifier: BSL-1.0
#include <krait/asyncio.hpp>
#include <krait/contextlib.hpp>

#include <doctest/doctest.h>

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <exception>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "support/tasks.hpp"

// CPython's test_locks.py. What Python writes as `async with lock` is a std::lock_guard, or krait::with.

namespace {

namespace asyncio = krait::asyncio;
using namespace std::chrono_literals;
using asyncio_tests::thrown_by;
using support::is_a;
using support::raised_by;
using numbers = std::vector<int>;
using tasks = std::vector<asyncio::task<void>>;

void turn() {
  asyncio::sleep(0s);
}
bool contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}
bool cancelled(const std::exception_ptr& raised) {
  return is_a<asyncio::cancelled_error>(raised);
}
/// "[HOW]" of what prints as "<KIND object at 0x... [HOW]>".
template <class T>
std::string how(const T& of, const std::string& kind) {
  const std::string text = of.repr();
  CHECK(text.rfind("<" + kind + " object at 0x", 0) == 0);
  CHECK(text.back() == '>');
  const auto begin = text.find('[');
  return text.substr(begin, text.size() - 1 - begin);
}
/// A task that acquires something.
template <class T>
auto acquiring(T& of) {
  return asyncio::create_task([&of] { of.acquire(); });
}
/// A task that acquires something, and notes that.
template <class T>
auto acquiring(T& of, numbers& result, int number) {
  return asyncio::create_task([&of, &result, number] {
    of.acquire();
    result.push_back(number);
    return true;
  });
}
/// A task that waits for a condition, and notes that; with the lock released in the end, or not.
auto waiting(asyncio::condition& of, numbers& result, int number, bool release = true) {
  return asyncio::create_task([&of, &result, number, release] {
    of.acquire();
    of.wait();
    result.push_back(number);
    if (release) {
      of.release();
    }
    return true;
  });
}
tasks made(int count, const std::function<void()>& function) {
  tasks all;
  for (int i = 0; i < count; ++i) {
    all.push_back(asyncio::create_task(function));
  }
  return all;
}
void run_all(int count, const std::function<void()>& function) {
  asyncio::await(asyncio::gather(made(count, function)));
}
template <class T>
concept can_be_awaited = requires(T& of) { asyncio::await(of); };
template <class T>
concept can_be_told = requires(T& of) { static_cast<bool>(of); };

}  // namespace

// ---------------------------------------------------------------------------------------------------------- Lock

TEST_CASE("AIO-LOCK-001 repr of a mutex") {
  asyncio::mutex lock;  // what still waits in the end refers to it
  asyncio::run([&] {
    CHECK(how(lock, "mutex") == "[unlocked]");
    lock.acquire();
    CHECK(how(lock, "mutex") == "[locked]");
    const auto t = acquiring(lock);
    turn();
    CHECK(how(lock, "mutex") == "[locked, waiters:1]");
  });
}

TEST_CASE("AIO-LOCK-002 one at a time, first come, first served, each in the turn after a release") {
  asyncio::run([] {
    asyncio::mutex lock;
    numbers result;
    lock.acquire();
    const auto t1 = acquiring(lock, result, 1);
    const auto t2 = acquiring(lock, result, 2);
    turn();
    CHECK(result == numbers{});
    lock.release();
    turn();
    CHECK(result == numbers{1});
    turn();
    CHECK(result == numbers{1});
    const auto t3 = acquiring(lock, result, 3);
    lock.release();
    turn();
    CHECK(result == numbers{1, 2});
    lock.release();
    turn();
    CHECK(result == numbers{1, 2, 3});
    CHECK(t1.result());
    CHECK(t2.result());
    CHECK(t3.result());
  });
}

TEST_CASE("AIO-LOCK-003 a waiter that is cancelled waits no more") {
  asyncio::run([] {
    asyncio::mutex lock;
    lock.acquire();
    const auto t = acquiring(lock);
    asyncio::get_running_loop().call_soon([t] { t.cancel(); });
    CHECK(cancelled(raised_by([&] { asyncio::await(t); })));
    CHECK(how(lock, "mutex") == "[locked]");
  });
}

TEST_CASE("AIO-LOCK-004 released while the first who waits is being cancelled, it goes to the next") {
  asyncio::run([] {
    asyncio::mutex lock;
    support::journal result;
    const auto locking = [&](const char* name, asyncio::future<void> blocker) {
      return asyncio::create_task([&, name, blocker] {
        const std::lock_guard guard(lock);
        if (blocker) {
          asyncio::await(blocker);
        }
        result(name);
      });
    };
    const auto blocker = asyncio::create_future<void>();
    const auto a = locking("A", blocker);
    turn();
    CHECK(lock.locked());
    const auto b = locking("B", {});
    turn();
    const auto c = locking("C", {});
    turn();
    CHECK(how(lock, "mutex") == "[locked, waiters:2]");
    blocker.set_result();
    b.cancel();
    turn();
    CHECK_FALSE(lock.locked());
    CHECK(result.text() == "A");
    CHECK(b.cancelled());
    asyncio::await(c);
    CHECK(result.text() == "A, C");
  });
}

TEST_CASE("AIO-LOCK-005 of a cancellation and a release in one turn, just one other gets it") {
  asyncio::run([] {
    asyncio::mutex lock;
    int locked = 0;
    int called = 0;
    const auto locking = [&] {
      ++called;
      lock.acquire();
      ++locked;
    };
    lock.acquire();
    const auto t1 = asyncio::create_task(locking);
    const auto t2 = asyncio::create_task(locking);
    const auto t3 = asyncio::create_task(locking);
    turn();
    asyncio::get_running_loop().call_soon([&] {
      t1.cancel();
      lock.release();
    });
    CHECK(cancelled(raised_by([&] { asyncio::await(t1); })));
    CHECK(locked == 1);
    CHECK(called == 3);
    CHECK(t1.cancelled());
    CHECK(t2.done());
    t3.cancel();
    turn();
    CHECK(t3.cancelled());
  });
}

TEST_CASE("AIO-LOCK-006 one that was to be woken, and is cancelled, hands it to the next") {
  for (const bool woken_first : {false, true}) {
    asyncio::run([&] {
      asyncio::mutex lock;
      lock.acquire();
      const auto b = acquiring(lock);
      turn();
      CHECK(how(lock, "mutex") == "[locked, waiters:1]");
      const auto c = acquiring(lock);
      if (woken_first) {
        lock.release();
        b.cancel();
      } else {
        b.cancel();
        lock.release();
      }
      turn();
      if (woken_first) {
        turn();  // as c has come to wait after b was woken
      }
      CHECK(lock.locked());
      CHECK(b.cancelled());
      asyncio::await(c);
    });
  }
}

TEST_CASE("AIO-LOCK-007 AIO-LOCK-008 what is not locked cannot be released; else it is unlocked") {
  asyncio::run([] {
    asyncio::mutex lock;
    const auto raised = raised_by([&] { lock.release(); });
    CHECK(is_a<krait::runtime_error>(raised));
    CHECK(asyncio_tests::text_of(raised) == "Lock is not acquired.");
    lock.acquire();
    CHECK(lock.locked());
    lock.release();
    CHECK_FALSE(lock.locked());
  });
}

TEST_CASE("AIO-LOCK-009 a scope locks and unlocks") {
  asyncio::run([] {
    asyncio::mutex lock;
    {
      const std::lock_guard guard(lock);
      CHECK(lock.locked());
    }
    CHECK_FALSE(lock.locked());
  });
}

TEST_CASE("AIO-LOCK-010 none of them is a value that could be taken for acquiring it") {
  CHECK_FALSE(can_be_awaited<asyncio::mutex>);
  CHECK_FALSE(can_be_awaited<asyncio::semaphore>);
  CHECK_FALSE(can_be_awaited<asyncio::condition>);
  CHECK_FALSE(can_be_told<asyncio::mutex>);
  CHECK_FALSE(std::is_copy_constructible_v<asyncio::mutex>);
  CHECK_FALSE(std::is_move_constructible_v<asyncio::mutex>);
}

// --------------------------------------------------------------------------------------------------------- Event

TEST_CASE("AIO-LOCK-011 repr of an event") {
  asyncio::event event;  // what still waits in the end refers to it
  asyncio::run([&] {
    CHECK(how(event, "event") == "[unset]");
    event.set();
    CHECK(how(event, "event") == "[set]");
    event.clear();
    const auto t = asyncio::create_task([&] { event.wait(); });
    turn();
    CHECK(how(event, "event") == "[unset, waiters:1]");
  });
}

TEST_CASE("AIO-LOCK-012 AIO-LOCK-013 it wakes all in order; who finds it set does not wait") {
  asyncio::run([] {
    asyncio::event event;
    CHECK_FALSE(event.is_set());
    numbers result;
    const auto waiter = [&](int number) {
      return asyncio::create_task([&, number] {
        event.wait();
        result.push_back(number);
      });
    };
    const auto t1 = waiter(1);
    const auto t2 = waiter(2);
    turn();
    CHECK(result == numbers{});
    const auto t3 = waiter(3);
    event.set();
    turn();
    CHECK(result == numbers{3, 1, 2});
    CHECK(t1.done());
    CHECK(t2.done());
    CHECK(t3.done());
    const auto other = asyncio::create_task([] {});
    event.wait();
    CHECK_FALSE(other.done());
  });
}

TEST_CASE("AIO-LOCK-014 a waiter that is cancelled waits no more") {
  asyncio::run([] {
    asyncio::event event;
    const auto t = asyncio::create_task([&] { event.wait(); });
    asyncio::get_running_loop().call_soon([t] { t.cancel(); });
    CHECK(cancelled(raised_by([&] { asyncio::await(t); })));
    CHECK(how(event, "event") == "[unset]");
  });
}

TEST_CASE("AIO-LOCK-015 AIO-LOCK-016 cleared, it is not set; but who waited when it was is woken") {
  asyncio::run([] {
    asyncio::event event;
    event.set();
    CHECK(event.is_set());
    event.clear();
    CHECK_FALSE(event.is_set());
    numbers result;
    const auto t = asyncio::create_task([&] {
      event.wait();
      result.push_back(1);
    });
    turn();
    CHECK(result == numbers{});
    event.set();
    event.clear();
    CHECK_FALSE(event.is_set());
    event.set();
    event.set();
    turn();
    CHECK(result == numbers{1});
    CHECK(t.done());
    CHECK(how(event, "event") == "[set]");
  });
}

// ----------------------------------------------------------------------------------------------------- Condition

TEST_CASE("AIO-LOCK-017 notify(n) wakes so many, in order; each goes on when it has the lock") {
  asyncio::run([] {
    asyncio::condition condition;
    numbers result;
    const auto t1 = waiting(condition, result, 1, false);
    const auto t2 = waiting(condition, result, 2, false);
    const auto t3 = waiting(condition, result, 3, false);
    turn();
    CHECK(result == numbers{});
    CHECK_FALSE(condition.locked());
    condition.acquire();
    condition.notify();
    turn();
    CHECK(result == numbers{});
    CHECK(condition.locked());
    condition.release();
    turn();
    CHECK(result == numbers{1});
    CHECK(condition.locked());
    condition.notify(2);
    turn();
    CHECK(result == numbers{1});
    CHECK(condition.locked());
    condition.release();
    turn();
    CHECK(result == numbers{1, 2});
    CHECK(condition.locked());
    condition.release();
    turn();
    CHECK(result == numbers{1, 2, 3});
    CHECK(condition.locked());
    CHECK(t1.result());
    CHECK(t2.result());
    CHECK(t3.result());
  });
}

TEST_CASE("AIO-LOCK-018 cancelled, it has the lock, and nobody waits") {
  asyncio::run([] {
    asyncio::condition condition;
    condition.acquire();
    const auto t = asyncio::create_task([&] { condition.wait(); });
    asyncio::get_running_loop().call_soon([t] { t.cancel(); });
    CHECK(cancelled(raised_by([&] { asyncio::await(t); })));
    CHECK(how(condition, "condition") == "[locked]");
  });
}

TEST_CASE("AIO-LOCK-019 also if somebody else has the lock meanwhile") {
  asyncio::run([] {
    asyncio::condition condition;
    condition.acquire();
    const auto t = asyncio::create_task([&] { condition.wait(); });
    turn();
    CHECK_FALSE(condition.locked());
    condition.acquire();
    condition.notify();
    asyncio::get_running_loop().call_soon([t] { t.cancel(); });
    asyncio::get_running_loop().call_soon([&] { condition.release(); });
    raised_by([&] { asyncio::await(t); });
    CHECK(condition.locked());
  });
}

TEST_CASE("AIO-LOCK-020 cancelled while it waits for the lock again, it is told when it has that") {
  asyncio::run([] {
    asyncio::condition condition;
    bool waited = false;
    const auto t = asyncio::create_task([&] {
      const std::lock_guard guard(condition);
      waited = true;
      condition.wait();
    });
    turn();
    condition.acquire();
    condition.notify();
    turn();
    t.cancel();
    turn();
    CHECK_FALSE(t.done());
    condition.release();
    turn();
    CHECK(t.cancelled());
    CHECK(waited);
    CHECK_FALSE(condition.locked());
  });
}

TEST_CASE("AIO-LOCK-021 AIO-LOCK-026 AIO-LOCK-027 without the lock nobody waits, or is notified") {
  asyncio::run([] {
    asyncio::condition condition;
    CHECK(is_a<krait::runtime_error>(raised_by([&] { condition.wait(); })));
    CHECK(is_a<krait::runtime_error>(raised_by([&] { condition.notify(); })));
    CHECK(is_a<krait::runtime_error>(raised_by([&] { condition.notify_all(); })));
  });
}

TEST_CASE("AIO-LOCK-022 wait_for() waits until its predicate is true") {
  asyncio::run([] {
    asyncio::condition condition;
    bool ready = false;
    numbers result;
    const auto t = asyncio::create_task([&] {
      condition.acquire();
      if (condition.wait_for([&] { return ready; })) {
        result.push_back(1);
        condition.release();
      }
      return true;
    });
    turn();
    CHECK(result == numbers{});
    condition.acquire();
    condition.notify();
    condition.release();
    turn();
    CHECK(result == numbers{});
    ready = true;
    condition.acquire();
    condition.notify();
    condition.release();
    turn();
    CHECK(result == numbers{1});
    CHECK(t.result());
  });
}

TEST_CASE("AIO-LOCK-023 it returns what the predicate does, without the lock if that is true at once") {
  asyncio::run([] {
    asyncio::condition condition;
    numbers three{1, 2, 3};
    CHECK(condition.wait_for([&] { return &three; }) == &three);
    CHECK(is_a<krait::runtime_error>(raised_by([&] { condition.wait_for([] { return false; }); })));
  });
}

TEST_CASE("AIO-LOCK-024 AIO-LOCK-025 notify() wakes one, and no more than there are; notify_all() all") {
  asyncio::run([] {
    asyncio::condition condition;
    numbers result;
    const auto t1 = waiting(condition, result, 1);
    const auto t2 = waiting(condition, result, 2);
    const auto t3 = waiting(condition, result, 3);
    turn();
    CHECK(result == numbers{});
    condition.acquire();
    condition.notify(1);
    condition.release();
    turn();
    CHECK(result == numbers{1});
    condition.acquire();
    condition.notify(1);
    condition.notify(2048);
    condition.release();
    turn();
    CHECK(result == numbers{1, 2, 3});
    CHECK(t1.result());
    CHECK(t2.result());
    CHECK(t3.result());

    const auto t4 = waiting(condition, result, 4);
    const auto t5 = waiting(condition, result, 5);
    turn();
    condition.acquire();
    condition.notify_all();
    condition.release();
    turn();
    CHECK(result == numbers{1, 2, 3, 4, 5});
    CHECK(t4.result());
    CHECK(t5.result());
  });
}

TEST_CASE("AIO-LOCK-028 repr of a condition") {
  asyncio::condition condition;  // what still waits in the end refers to it
  asyncio::run([&] {
    numbers result;
    CHECK(how(condition, "condition") == "[unlocked]");
    condition.acquire();
    CHECK(how(condition, "condition") == "[locked]");
    condition.release();
    const auto t1 = waiting(condition, result, 1);
    turn();
    condition.acquire();
    CHECK(how(condition, "condition") == "[locked, waiters:1]");
    condition.release();
    const auto t2 = waiting(condition, result, 2);
    turn();
    CHECK(how(condition, "condition") == "[unlocked, waiters:2]");
    condition.acquire();
    condition.notify_all();
    condition.release();
    asyncio::wait(std::vector{t1, t2});
  });
}

TEST_CASE("AIO-LOCK-029 AIO-LOCK-030 a scope, of its own lock or of one that is given") {
  asyncio::run([] {
    asyncio::condition own;
    CHECK_FALSE(own.locked());
    {
      const std::lock_guard guard(own);
      CHECK(own.locked());
    }
    CHECK_FALSE(own.locked());

    asyncio::mutex lock;
    asyncio::condition condition(lock);
    const auto both = [&](bool locked) {
      CHECK(lock.locked() == locked);
      CHECK(condition.locked() == locked);
    };
    both(false);
    {
      const std::lock_guard guard(condition);
      both(true);
    }
    both(false);
    {
      const std::lock_guard guard(lock);
      both(true);
    }
    both(false);
  });
}

TEST_CASE("AIO-LOCK-031 where one loop's tasks have waited, those of another cannot") {
  const std::string told = "the tasks that wait here are of one loop: it is bound to a different event loop";
  asyncio::event_loop first;
  asyncio::event_loop second;
  asyncio::mutex lock;
  asyncio::mutex free;
  asyncio::condition condition(free);
  asyncio::semaphore semaphore(0);
  asyncio::event event;
  asyncio::queue<int> queue;
  first.run_until_complete([&] {
    lock.acquire();
    const auto t = acquiring(lock);
    turn();
    lock.release();
    asyncio::await(t);
    lock.release();
    numbers result;
    const auto waiter = waiting(condition, result, 1);
    turn();
    condition.acquire();
    condition.notify();
    condition.release();
    asyncio::await(waiter);
    static_cast<void>(asyncio::create_task([&] { semaphore.acquire(); }));
    static_cast<void>(asyncio::create_task([&] { event.wait(); }));
    static_cast<void>(asyncio::create_task([&] { queue.get(); }));
    turn();
  });
  second.run_until_complete([&] {
    const std::lock_guard guard(lock);  // nobody waits: whose it is does not matter
    asyncio::condition of_it(lock);
    CHECK(thrown_by([&] { of_it.acquire(); }) == told);
    const std::lock_guard also(condition);
    CHECK(thrown_by([&] { condition.wait(); }) == told);
    CHECK(condition.locked());
    CHECK(how(condition, "condition") == "[locked]");
    CHECK(thrown_by([&] { semaphore.acquire(); }) == told);
    CHECK(thrown_by([&] { event.wait(); }) == told);
    CHECK(thrown_by([&] { queue.get(); }) == told);
  });
}

TEST_CASE("AIO-LOCK-032 a deadline for wait() leaves it locked") {
  asyncio::run([] {
    asyncio::condition condition;
    const std::lock_guard guard(condition);
    CHECK(
        is_a<asyncio::timeout_error>(raised_by([&] { asyncio::wait_for([&] { condition.wait(); }, 2ms); })));
    CHECK(condition.locked());
  });
}

TEST_CASE("AIO-LOCK-033 AIO-LOCK-034 the very cancelled_error comes out, whichever wait it came to") {
  for (const bool locking_again : {false, true}) {
    asyncio::run([&] {
      asyncio::condition condition;
      bool ready = false;
      const asyncio::cancelled_error* raised = nullptr;
      const auto t = asyncio::create_task([&] {
        const std::lock_guard guard(condition);
        try {
          condition.wait_for([&] { return ready; });
        } catch (const asyncio::cancelled_error& error) {
          raised = &error;
          throw;
        }
      });
      turn();
      if (locking_again) {
        condition.acquire();
        ready = true;
        condition.notify();
        turn();
      }
      t.cancel("foo");
      if (locking_again) {
        condition.release();
      }
      try {
        asyncio::await(t);
        FAIL("it was cancelled");
      } catch (const asyncio::cancelled_error& error) {
        CHECK(error.message() == "foo");
        CHECK(&error == raised);
      }
    });
  }
}

TEST_CASE("AIO-LOCK-035 AIO-LOCK-036 a notification of one that is cancelled goes to another") {
  for (const bool locking_again : {false, true}) {
    asyncio::run([&] {
      asyncio::condition condition;
      int state = 0;
      const auto consumer = [&] {
        const std::lock_guard guard(condition);
        for (;;) {
          condition.wait_for([&] { return state != 0; });
          if (state < 0) {
            return;
          }
          --state;
        }
      };
      const auto first = asyncio::create_task(consumer);
      const auto second = asyncio::create_task(consumer);
      turn();
      {
        const std::lock_guard guard(condition);
        ++state;
        condition.notify(1);
        if (locking_again) {
          turn();
        }
        first.cancel();
        asyncio::move_on_after(100ms,
                               [&] { condition.wait_for([&] { return state == 0; }); });  // nobody tells
        CHECK(state == 0);
        state = -1;
        condition.notify_all();
      }
      asyncio::await(second);
    });
  }
}

// ----------------------------------------------------------------------------------------------------- Semaphore

TEST_CASE("AIO-LOCK-037 AIO-LOCK-039 AIO-LOCK-040 how many permits there are at first") {
  CHECK(asyncio::semaphore(0).locked());
  const asyncio::semaphore one;
  CHECK_FALSE(one.locked());
  CHECK(contains(one.repr(), "value:1"));
  CHECK(is_a<krait::value_error>(raised_by([] { asyncio::semaphore negative(-1); })));
  CHECK(is_a<krait::value_error>(raised_by([] { asyncio::bounded_semaphore negative(-1); })));
}

TEST_CASE("AIO-LOCK-038 repr of a semaphore") {
  asyncio::semaphore semaphore;  // what still waits in the end refers to it
  asyncio::run([&] {
    CHECK(how(semaphore, "semaphore") == "[unlocked, value:1]");
    semaphore.acquire();
    CHECK(how(semaphore, "semaphore") == "[locked]");
    const auto t1 = acquiring(semaphore);
    turn();
    CHECK(how(semaphore, "semaphore") == "[locked, waiters:1]");
    const auto t2 = acquiring(semaphore);
    turn();
    CHECK(how(semaphore, "semaphore") == "[locked, waiters:2]");
  });
}

TEST_CASE("AIO-LOCK-041 so many at a time; each release lets one go on") {
  asyncio::run([] {
    asyncio::semaphore semaphore(3);
    numbers result;
    semaphore.acquire();
    semaphore.acquire();
    CHECK_FALSE(semaphore.locked());
    const auto t1 = acquiring(semaphore, result, 1);
    const auto t2 = acquiring(semaphore, result, 2);
    const auto t3 = acquiring(semaphore, result, 3);
    turn();
    CHECK(result == numbers{1});
    CHECK(how(semaphore, "semaphore") == "[locked, waiters:2]");
    const auto t4 = acquiring(semaphore, result, 4);
    semaphore.release();
    semaphore.release();
    CHECK(semaphore.locked());
    turn();
    CHECK(result.size() == 3);
    CHECK(how(semaphore, "semaphore") == "[locked, waiters:1]");
    CHECK(t1.result());
    CHECK(t2.done() + t3.done() + t4.done() == 2);
    semaphore.release();
    asyncio::await(asyncio::gather(std::vector{t2, t3, t4}));
    semaphore.release();
    CHECK(how(semaphore, "semaphore") == "[unlocked, value:1]");
  });
}

TEST_CASE("AIO-LOCK-042 a waiter that is cancelled waits no more") {
  asyncio::run([] {
    asyncio::semaphore semaphore;
    semaphore.acquire();
    const auto t = acquiring(semaphore);
    asyncio::get_running_loop().call_soon([t] { t.cancel(); });
    CHECK(cancelled(raised_by([&] { asyncio::await(t); })));
    CHECK(how(semaphore, "semaphore") == "[locked]");
  });
}

TEST_CASE("AIO-LOCK-043 AIO-LOCK-044 a permit goes past those who are being cancelled, to the next alone") {
  asyncio::run([] {
    asyncio::semaphore semaphore(0);
    const auto t1 = acquiring(semaphore);
    const auto t2 = acquiring(semaphore);
    const auto t3 = acquiring(semaphore);
    const auto t4 = acquiring(semaphore);
    turn();
    t1.cancel();
    t2.cancel();
    semaphore.release();
    turn();
    turn();
    CHECK(t3.done());
    CHECK_FALSE(t4.done());
    t4.cancel();
    turn();

    const auto t5 = acquiring(semaphore);
    const auto t6 = acquiring(semaphore);
    turn();
    t5.cancel();
    semaphore.release();
    turn();
    turn();
    CHECK(semaphore.locked());
    CHECK(t6.done());
  });
}

TEST_CASE("AIO-LOCK-045 one that has been woken and is cancelled gives its permit back") {
  asyncio::run([] {
    asyncio::semaphore semaphore(1);
    asyncio::task<void> second;
    const auto first = asyncio::create_task([&] {
      {
        const std::lock_guard guard(semaphore);
        turn();
      }
      second.cancel();
    });
    second = asyncio::create_task([&] {
      const std::lock_guard guard(semaphore);
      FAIL("it was cancelled");
    });
    asyncio::wait(std::vector{first, second});
    CHECK_FALSE(first.cancelled());
    CHECK(second.cancelled());
    asyncio::timeout(1s, [&] { semaphore.acquire(); });
  });
}

TEST_CASE(
    "AIO-LOCK-046 AIO-LOCK-047 a bounded one is not released above its bound; else a release is a permit "
    "more") {
  asyncio::run([] {
    asyncio::bounded_semaphore bounded;
    CHECK(is_a<krait::value_error>(raised_by([&] { bounded.release(); })));
    asyncio::semaphore semaphore;
    semaphore.acquire();
    CHECK(semaphore.locked());
    semaphore.release();
    CHECK_FALSE(semaphore.locked());
  });
}

TEST_CASE("AIO-LOCK-048 who releases and acquires again stands behind all who wait") {
  asyncio::run([] {
    asyncio::semaphore semaphore(1);
    support::journal result;
    asyncio::task_group([&](auto& group) {
      for (const std::string tag : {"c1", "c2", "c3"}) {
        static_cast<void>(group.create_task([&, tag] {
          for (const char* each : {"_1", "_2"}) {
            semaphore.acquire();
            result(tag + each);
            asyncio::sleep(1ms);
            semaphore.release();
          }
        }));
      }
    });
    CHECK(result.text() == "c1_1, c2_1, c3_1, c1_2, c2_2, c3_2");
  });
}

TEST_CASE(
    "AIO-LOCK-049 AIO-LOCK-050 the order is kept: behind who has been woken, and past who was cancelled") {
  asyncio::run([] {
    asyncio::semaphore semaphore(1);
    numbers result;
    const auto t1 = acquiring(semaphore, result, 1);
    const auto t2 = asyncio::create_task([&] {
      semaphore.acquire();
      result.push_back(2);
      semaphore.release();
      semaphore.acquire();
      result.push_back(4);
      return true;
    });
    const auto t3 = acquiring(semaphore, result, 3);
    turn();
    semaphore.release();
    semaphore.release();
    asyncio::await(asyncio::gather(std::vector{t1, t2, t3}));
    CHECK(result == numbers{1, 2, 3, 4});

    asyncio::semaphore none(0);
    numbers rest;
    const auto c1 = acquiring(none, rest, 1);
    const auto c2 = acquiring(none, rest, 2);
    const auto c3 = acquiring(none, rest, 3);
    turn();
    c1.cancel();
    turn();
    none.release();
    none.release();
    asyncio::wait(std::vector{c1, c2, c3});
    CHECK(rest == numbers{2, 3});
  });
}

TEST_CASE(
    "AIO-LOCK-051 one who is woken wakes as many as there are permits, before tasks that are made then") {
  asyncio::run([] {
    asyncio::semaphore semaphore(0);
    numbers result;
    asyncio::task<void> t4;
    const auto t1 = asyncio::create_task([&] {
      CHECK(semaphore.locked());
      semaphore.acquire();
      CHECK(semaphore.locked());
      t4 = asyncio::create_task([&] { result.push_back(4); });
      result.push_back(1);
    });
    const auto t2 = asyncio::create_task([&] {
      semaphore.release();
      semaphore.release();
      semaphore.release();
      CHECK(semaphore.locked());  // as the first has not been woken yet
      semaphore.acquire();
      result.push_back(2);
    });
    const auto t3 = asyncio::create_task([&] {
      semaphore.acquire();
      CHECK(semaphore.locked());
      result.push_back(3);
    });
    turn();
    CHECK(how(semaphore, "semaphore") == "[locked, waiters:3]");
    turn();
    asyncio::await(asyncio::gather(std::vector{t1, t2, t3, t4}));
    CHECK(result == numbers{1, 2, 3, 4});
  });
}

// ------------------------------------------------------------------------------------------------------- Barrier

TEST_CASE(
    "AIO-LOCK-052 AIO-LOCK-054 a new barrier is filling; it is of one party at least, and is not awaited "
    "itself") {
  const asyncio::barrier barrier(5);
  CHECK(how(barrier, "barrier") == "[filling, waiters:0/5]");
  CHECK_FALSE(can_be_awaited<asyncio::barrier>);
  CHECK(is_a<krait::value_error>(raised_by([] { asyncio::barrier none(0); })));
  CHECK(is_a<krait::value_error>(raised_by([] { asyncio::barrier negative(-4); })));
}

TEST_CASE("AIO-LOCK-053 repr of a barrier") {
  asyncio::barrier barrier(5);  // what still waits in the end refers to it
  asyncio::run([&] {
    tasks waiters;
    const auto more = [&](int count) {
      for (auto& each : made(count, [&] { barrier.wait(); })) {
        waiters.push_back(each);
      }
      turn();
    };
    more(2);
    CHECK(how(barrier, "barrier") == "[filling, waiters:2/5]");
    more(3);
    CHECK(how(barrier, "barrier") == "[draining, waiters:0/5]");
    more(2);
    barrier.reset();
    CHECK(how(barrier, "barrier") == "[resetting, waiters:0/5]");
    more(2);
    barrier.abort();
    CHECK(how(barrier, "barrier") == "[broken]");
    CHECK(barrier.broken());
    for (std::size_t i = 0; i < waiters.size(); ++i) {
      const auto raised = raised_by([&] { asyncio::await(waiters[i]); });
      CAPTURE(i);
      CHECK((i < 5 ? raised == nullptr : is_a<asyncio::broken_barrier_error>(raised)));
    }
  });
}

TEST_CASE("AIO-LOCK-055 a scope has each party's index") {
  asyncio::run([] {
    asyncio::barrier barrier(3);
    std::vector<std::size_t> results;
    run_all(3, [&] { krait::with(barrier, [&](std::size_t i) { results.push_back(i); }); });
    std::ranges::sort(results);
    CHECK(results == std::vector<std::size_t>{0, 1, 2});
    CHECK(barrier.n_waiting() == 0);
    CHECK_FALSE(barrier.broken());
  });
}

TEST_CASE("AIO-LOCK-056 AIO-LOCK-057 of one party, it waits for nobody, any number of times") {
  asyncio::run([] {
    asyncio::barrier barrier(1);
    CHECK(krait::with(barrier, [](std::size_t) { return true; }));
    CHECK(barrier.n_waiting() == 0);
    const auto t1 = asyncio::create_task([&] { return barrier.wait(); });
    turn();
    CHECK(barrier.n_waiting() == 0);
    const auto t2 = asyncio::create_task([&] { return barrier.wait(); });
    turn();
    CHECK(t1.result() == 0);
    CHECK(t2.result() == 0);
    CHECK(barrier.n_waiting() == 0);
    CHECK_FALSE(barrier.broken());
  });
}

TEST_CASE("AIO-LOCK-058 it fills, one by one, and the last lets all go") {
  asyncio::run([] {
    asyncio::barrier barrier(3);
    tasks all;
    for (const std::size_t waiting : {1U, 2U}) {
      all.push_back(asyncio::create_task([&] { barrier.wait(); }));
      turn();
      CHECK(barrier.n_waiting() == waiting);
      CHECK(contains(barrier.repr(), "filling"));
    }
    all.push_back(asyncio::create_task([&] { barrier.wait(); }));
    turn();
    asyncio::wait(all);
    CHECK(barrier.n_waiting() == 0);
    CHECK_FALSE(barrier.broken());
  });
}

TEST_CASE("AIO-LOCK-059 AIO-LOCK-060 the same tasks may wait twice, with an index each time") {
  asyncio::run([] {
    asyncio::barrier barrier(5);
    numbers results;
    std::vector<std::size_t> indices;
    run_all(5, [&] {
      krait::with(barrier, [&](std::size_t) {
        results.push_back(1);
        krait::with(barrier, [&](std::size_t i) {
          results.push_back(0);
          indices.push_back(i);
        });
      });
    });
    CHECK(results.size() == 10);
    CHECK(std::ranges::count(results, 1) == 5);
    std::ranges::sort(indices);
    CHECK(indices == std::vector<std::size_t>{0, 1, 2, 3, 4});
    CHECK(barrier.n_waiting() == 0);
    CHECK_FALSE(barrier.broken());
  });
}

TEST_CASE("AIO-LOCK-061 all but the last to leave see that it drains") {
  asyncio::run([] {
    asyncio::barrier barrier(5);
    std::vector<bool> results;
    run_all(5, [&] {
      krait::with(barrier, [&](std::size_t) { results.push_back(contains(barrier.repr(), "draining")); });
    });
    CHECK(results == std::vector{true, true, true, true, false});
    CHECK(barrier.n_waiting() == 0);
    CHECK_FALSE(barrier.broken());
  });
}

TEST_CASE("AIO-LOCK-062 who waits again while it drains waits for the next time") {
  asyncio::run([] {
    asyncio::barrier barrier(5);
    asyncio::barrier others(3);
    int again = 2;
    int passed = 0;
    run_all(5, [&] {
      barrier.wait();
      if (again > 0) {
        --again;
      } else {
        others.wait();
      }
      barrier.wait();
      ++passed;
    });
    CHECK(passed == 5);
  });
}

TEST_CASE("AIO-LOCK-063 a waiter that is cancelled is not counted, and another comes in its place") {
  asyncio::run([] {
    asyncio::barrier barrier(3);
    int passed = 0;
    const auto waits = [&] {
      barrier.wait();
      ++passed;
    };
    const auto t1 = asyncio::create_task(waits);
    turn();
    CHECK(barrier.n_waiting() == 1);
    const auto t2 = asyncio::create_task(waits);
    turn();
    CHECK(barrier.n_waiting() == 2);
    t1.cancel();
    turn();
    CHECK(barrier.n_waiting() == 1);
    CHECK(cancelled(raised_by([&] { asyncio::await(t1); })));
    CHECK(t1.cancelled());
    const auto t3 = asyncio::create_task(waits);
    turn();
    CHECK(barrier.n_waiting() == 2);
    const auto t4 = asyncio::create_task(waits);
    asyncio::await(asyncio::gather(std::vector{t2, t3, t4}));
    CHECK(passed == 3);
    CHECK(barrier.n_waiting() == 0);
    CHECK_FALSE(barrier.broken());
  });
}

TEST_CASE("AIO-LOCK-064 AIO-LOCK-070 where nobody waits, reset() does nothing, and abort() breaks it") {
  asyncio::run([] {
    asyncio::barrier barrier(1);
    const auto resets = asyncio::create_task([&] { barrier.reset(); });
    turn();
    CHECK(barrier.n_waiting() == 0);
    CHECK_FALSE(barrier.broken());
    const auto aborts = asyncio::create_task([&] { barrier.abort(); });
    turn();
    CHECK(barrier.n_waiting() == 0);
    CHECK(barrier.broken());
  });
}

TEST_CASE("AIO-LOCK-065 reset() tells all who wait, and then it is as new") {
  asyncio::run([] {
    asyncio::barrier barrier(5);
    int broken = 0;
    const tasks all = made(4, [&] {
      try {
        barrier.wait();
      } catch (const asyncio::broken_barrier_error&) {
        ++broken;
      }
    });
    turn();
    const auto resets = asyncio::create_task([&] { barrier.reset(); });
    asyncio::await(asyncio::gather(all));
    CHECK(broken == 4);
    CHECK(how(barrier, "barrier") == "[filling, waiters:0/5]");
    CHECK_FALSE(barrier.broken());
  });
}

TEST_CASE("AIO-LOCK-066 while it drains, reset() tells those who have not left") {
  asyncio::run([] {
    asyncio::barrier barrier(5);
    int broken = 0;
    int left = 0;
    run_all(5, [&] {
      try {
        barrier.wait();
      } catch (const asyncio::broken_barrier_error&) {
        ++broken;
        return;
      }
      if (++left == 3) {
        barrier.reset();
      }
    });
    CHECK(broken == 2);
    CHECK(how(barrier, "barrier") == "[filling, waiters:0/5]");
    CHECK_FALSE(barrier.broken());
  });
}

TEST_CASE("AIO-LOCK-067 but not those who wait for the next time") {
  asyncio::run([] {
    asyncio::barrier barrier(5);
    int draining = 0;
    int blocked = 0;
    int count = 0;
    run_all(5, [&] {
      try {
        barrier.wait();
      } catch (const asyncio::broken_barrier_error&) {
        ++draining;
        barrier.wait();
        return;
      }
      if (++count > 2) {
        barrier.reset();
        barrier.wait();
        return;
      }
      try {
        barrier.wait();
      } catch (const asyncio::broken_barrier_error&) {
        ++blocked;
      }
    });
    CHECK(draining == 2);
    CHECK(blocked == 0);
    CHECK(how(barrier, "barrier") == "[filling, waiters:0/5]");
    CHECK_FALSE(barrier.broken());
  });
}

TEST_CASE("AIO-LOCK-068 who was told by reset() may wait again, and pass") {
  asyncio::run([] {
    asyncio::barrier barrier(5);
    int broken = 0;
    int passed = 0;
    const tasks all = made(4, [&] {
      try {
        barrier.wait();
      } catch (const asyncio::broken_barrier_error&) {
        ++broken;
      }
      barrier.wait();
      ++passed;
    });
    const auto resets = asyncio::create_task([&] { barrier.reset(); });
    turn();
    const auto last = asyncio::create_task([&] { krait::with(barrier, [&](std::size_t) { ++passed; }); });
    asyncio::await(asyncio::gather(all));
    CHECK(broken == 4);
    asyncio::await(last);
    CHECK(passed == 5);
    CHECK(barrier.n_waiting() == 0);
    CHECK_FALSE(barrier.broken());
  });
}

TEST_CASE("AIO-LOCK-069 reset() by the last to leave disturbs nobody") {
  asyncio::run([] {
    asyncio::barrier barrier(5);
    int again = 0;
    int disturbed = 0;
    int passed = 0;
    int count = 0;
    run_all(5, [&] {
      barrier.wait();
      if (++count == 5) {
        barrier.reset();
        barrier.wait();
      } else {
        try {
          barrier.wait();
          ++again;
        } catch (const asyncio::broken_barrier_error&) {
          ++disturbed;
        }
      }
      barrier.wait();
      ++passed;
    });
    CHECK_FALSE(barrier.broken());
    CHECK(again == 4);
    CHECK(disturbed == 0);
    CHECK(passed == 5);
    CHECK(barrier.n_waiting() == 0);
  });
}

TEST_CASE("AIO-LOCK-071 abort() tells those who drain, and those who wait for the next time") {
  asyncio::run([] {
    asyncio::barrier barrier(5);
    int draining = 0;
    int blocked = 0;
    int count = 0;
    run_all(5, [&] {
      try {
        barrier.wait();
      } catch (const asyncio::broken_barrier_error&) {
        ++draining;
        return;
      }
      if (++count > 2) {
        barrier.abort();
        return;
      }
      try {
        barrier.wait();
      } catch (const asyncio::broken_barrier_error&) {
        ++blocked;
      }
    });
    CHECK(barrier.broken());
    CHECK(draining == 2);
    CHECK(blocked == 2);
    CHECK(how(barrier, "barrier") == "[broken]");
    CHECK(barrier.n_waiting() == 0);
  });
}

TEST_CASE("AIO-LOCK-072 one that fails, and aborts it, ends the wait of all others") {
  asyncio::run([] {
    asyncio::barrier barrier(5);
    int passed = 0;
    int broken = 0;
    run_all(5, [&] {
      try {
        krait::with(barrier, [](std::size_t i) {
          if (i == 2) {
            throw krait::runtime_error("failed");
          }
        });
        krait::with(barrier, [&](std::size_t) { ++passed; });
      } catch (const asyncio::broken_barrier_error&) {
        ++broken;
      } catch (const krait::runtime_error&) {
        barrier.abort();
      }
    });
    CHECK(barrier.broken());
    CHECK(passed == 0);
    CHECK(broken == 4);
    CHECK(barrier.n_waiting() == 0);
  });
}

TEST_CASE("AIO-LOCK-073 when all have left, an aborted barrier can be reset, and used") {
  asyncio::run([] {
    asyncio::barrier first(5);
    asyncio::barrier second(5);
    int early = 0;
    int broken = 0;
    int passed = 0;
    run_all(5, [&] {
      try {
        if (first.wait() == 2) {
          throw krait::runtime_error("failed");
        }
        first.wait();
        ++early;
      } catch (const asyncio::broken_barrier_error&) {
        ++broken;
      } catch (const krait::runtime_error&) {
        first.abort();
      }
      // When everybody has left, and before anybody comes back.
      if (second.wait() == 2) {
        first.reset();
      }
      second.wait();
      first.wait();
      ++passed;
    });
    CHECK_FALSE(first.broken());
    CHECK(early == 0);
    CHECK(broken == 4);
    CHECK(passed == 5);
    CHECK(first.n_waiting() == 0);
  });
}
