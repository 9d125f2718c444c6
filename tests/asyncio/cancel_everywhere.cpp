// SPDX-License-Identifier: BSL-1.0
#include "cancel_everywhere.hpp"

#include <krait/asyncio/use_await.hpp>

#include <boost/asio/experimental/channel.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/local/connect_pair.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/read.hpp>
#include <boost/asio/read_until.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/write.hpp>

#include <doctest/doctest.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <krait/asyncio.hpp>
#include <krait/krait.hpp>

// Whatever waits, and wherever it is cancelled: no wake-up, permit, lock, item, task or byte is lost.

namespace {

namespace asio = boost::asio;
namespace asyncio = krait::asyncio;
using namespace std::chrono_literals;
using asyncio::use_await;
using asyncio_tests::attacks;
using asyncio_tests::cancel_everywhere;
using asyncio_tests::scene;
using asyncio_tests::turns;
using tasks = std::vector<asyncio::task<void>>;

int total = 0;

/// How often the victim of a scenario waits when it is left alone. Each of its waits was cancelled, in four ways.
template <class Scenario>
int waits_of(Scenario scenario) {
  const attacks all = cancel_everywhere(scenario);
  CHECK(all.cancellations >= 4 * all.waits);
  total += all.cancellations;
  return all.waits;
}

/// Two more who do the same as the victim, before and after it.
template <class F>
void among_others(scene& here, F body) {
  tasks others{asyncio::create_task(body)};
  const auto victim = here.victim(body);
  others.push_back(asyncio::create_task(body));
  here.until_done();
  for (const auto& each : others) {
    asyncio::await(each);
  }
}

}  // namespace

TEST_CASE("cancelled at every wait: sleep") {
  CHECK(waits_of([](scene& here) {
          int rounds = 0;
          here.victim([&] {
            for (int i = 0; i < 3; ++i) {
              asyncio::sleep(0s);
              ++rounds;
            }
            asyncio::sleep(100us);
            asyncio::sleep_until(asyncio::clock::now() + 100us);
            ++rounds;
          });
          here.until_done();
          CHECK((here.cancelled() || rounds == 4));
        }) == 5);
}

TEST_CASE("cancelled at every wait: a mutex is locked by nobody in the end, and everybody else has had it") {
  CHECK(waits_of([](scene& here) {
          asyncio::mutex mutex;
          int had = 0;
          among_others(here, [&] {
            for (int i = 0; i < 2; ++i) {
              const std::lock_guard guard(mutex);
              asyncio::sleep(0s);
              ++had;
            }
          });
          CHECK(had >= 4);
          CHECK(mutex.try_acquire());
        }) == 4);
}

TEST_CASE("cancelled at every wait: an event wakes all others") {
  CHECK(waits_of([](scene& here) {
          asyncio::event event;
          const auto setter = asyncio::create_task([&] {
            turns(3);
            event.set();
          });
          among_others(here, [&] { event.wait(); });
          asyncio::await(setter);
        }) == 1);
}

TEST_CASE("cancelled at every wait: a condition is locked by nobody, and a notification goes to somebody") {
  CHECK(waits_of([](scene& here) {
          asyncio::condition condition;
          int tokens = 0;
          int taken = 0;
          const auto take = [&] {
            const std::lock_guard guard(condition);
            condition.wait_for([&] { return tokens > 0; });
            --tokens;
            ++taken;
            asyncio::sleep(0s);
          };
          const auto victim = here.victim(take);
          const tasks others{asyncio::create_task(take), asyncio::create_task(take)};
          const auto giver = asyncio::create_task([&] {  // two for three, or for two
            for (int i = 0; i < 2; ++i) {
              turns(1);
              const std::lock_guard guard(condition);
              ++tokens;
              condition.notify();
              asyncio::sleep(0s);
            }
          });
          asyncio::await(giver);
          turns(9);
          CHECK(taken == 2);
          CHECK(tokens == 0);
          CHECK_FALSE(condition.locked());
          for (const auto& each : {victim, others[0], others[1]}) {
            each.cancel();
          }
          asyncio::wait(others);
          here.until_done();
        }) >= 2);
}

TEST_CASE_TEMPLATE("cancelled at every wait: a semaphore has all its permits in the end", Semaphore,
                   asyncio::semaphore, asyncio::bounded_semaphore) {
  for (const int permits : {1, 2}) {
    CHECK(waits_of([permits](scene& here) {
            Semaphore semaphore(permits);
            int had = 0;
            among_others(here, [&] {
              for (int i = 0; i < 2; ++i) {
                const std::lock_guard guard(semaphore);
                asyncio::sleep(0s);
                ++had;
              }
            });
            CHECK(had >= 4);
            for (int i = 0; i < permits; ++i) {
              CHECK(semaphore.try_acquire());
            }
            CHECK(semaphore.locked());
          }) >= 3);
  }
}

TEST_CASE("cancelled at every wait: whoever leaves a barrier can be replaced, and it can be used again") {
  CHECK(waits_of([](scene& here) {
          asyncio::barrier barrier(3);
          const auto pass = [&] { barrier.wait(); };
          const tasks others{asyncio::create_task(pass), asyncio::create_task([&] {
                               turns(3);
                               barrier.wait();
                             })};
          here.victim(pass);
          here.until_done();
          turns(9);
          if (!others[0].done()) {
            CHECK(barrier.n_waiting() == 2);
            barrier.wait();
          }
          asyncio::await(others[0]);
          asyncio::await(others[1]);
          CHECK(barrier.n_waiting() == 0);
          CHECK_FALSE(barrier.broken());
          const auto a = asyncio::create_task(pass);
          const auto b = asyncio::create_task(pass);
          barrier.wait();
          asyncio::await(a);
          asyncio::await(b);
        }) >= 1);
}

TEST_CASE("cancelled at every wait: a barrier that is reset, or aborted") {
  for (const bool abort : {false, true}) {
    CHECK(waits_of([abort](scene& here) {
            asyncio::barrier barrier(3);
            int broken = 0;
            const auto pass = [&] {
              try {
                barrier.wait();
              } catch (const asyncio::broken_barrier_error&) {
                ++broken;
              }
            };
            const auto other = asyncio::create_task(pass);
            const auto ends = asyncio::create_task([&] {
              turns(3);
              abort ? barrier.abort() : barrier.reset();
            });
            here.victim(pass);
            here.until_done();
            asyncio::await(other);
            asyncio::await(ends);
            CHECK(broken >= 1);
            CHECK(barrier.broken() == abort);
            barrier.reset();
            CHECK_FALSE(barrier.broken());
          }) >= 1);
  }
}

namespace {

/// What was put, and what was taken, each exactly once.
template <class Queue>
struct traffic {
  Queue queue{2};
  std::vector<int> sent;
  std::vector<int> taken;

  void produce(int from, int count) {
    for (int i = from; i < from + count; ++i) {
      queue.put(i);
      sent.push_back(i);
    }
  }
  void consume() {
    for (;;) {
      taken.push_back(queue.get());
      asyncio::sleep(0s);
      queue.task_done();
    }
  }
  void check() {
    while (const auto left = queue.try_get()) {
      taken.push_back(*left);
    }
    std::ranges::sort(sent);
    std::ranges::sort(taken);
    CHECK(sent == taken);
  }
};

}  // namespace

TEST_CASE_TEMPLATE("cancelled at every wait: no item of a queue is lost, nor there twice", Queue,
                   asyncio::queue<int>, asyncio::priority_queue<int>, asyncio::lifo_queue<int>) {
  SUBCASE("a producer") {
    CHECK(waits_of([](scene& here) {
            traffic<Queue> all;
            const auto consumer = asyncio::create_task([&] { all.consume(); });
            const auto other = asyncio::create_task([&] { all.produce(100, 6); });
            here.victim([&] { all.produce(0, 6); });
            here.until_done();
            asyncio::await(other);
            all.queue.join();
            consumer.cancel();
            asyncio::wait(std::vector{consumer});
            CHECK(all.sent.size() >= 6);
            all.check();
          }) >= 2);
  }
  SUBCASE("a consumer") {
    CHECK(waits_of([](scene& here) {
            traffic<Queue> all;
            const auto consume = [&] {
              try {
                all.consume();
              } catch (const asyncio::queue_shut_down&) {
              }
            };
            here.victim(consume);
            const auto other = asyncio::create_task(consume);
            asyncio::sleep(0s);
            all.produce(0, 5);
            turns(2);
            all.produce(5, 2);
            all.queue.shutdown();
            here.until_done();
            asyncio::await(other);
            CHECK(all.sent.size() == 7);
            all.check();
          }) >= 3);
  }
  SUBCASE("shut down at once") {
    CHECK(waits_of([](scene& here) {
            traffic<Queue> all;
            int told = 0;
            const auto produce = [&] {
              try {
                all.produce(0, 9);
              } catch (const asyncio::queue_shut_down&) {
                ++told;
              }
            };
            here.victim(produce);
            const auto other = asyncio::create_task(produce);
            turns(4);
            all.queue.shutdown(true);
            here.until_done();
            asyncio::await(other);
            CHECK(told >= 1);
            CHECK(all.queue.empty());
            all.queue.join();
          }) == 1);
  }
  SUBCASE("join") {
    CHECK(waits_of([](scene& here) {
            traffic<Queue> all;
            all.produce(0, 2);
            const auto consumer = asyncio::create_task([&] { all.consume(); });
            among_others(here, [&] { all.queue.join(); });
            consumer.cancel();
            asyncio::wait(std::vector{consumer});
            all.check();
          }) == 1);
  }
  SUBCASE("a generator of what is in it") {
    CHECK(waits_of([](scene& here) {
            traffic<Queue> all;
            const auto consume = [&] {
              for (const int n : all.queue.items()) {
                all.taken.push_back(n);
                asyncio::sleep(0s);
              }
            };
            here.victim(consume);
            const auto other = asyncio::create_task(consume);
            all.produce(0, 7);
            all.queue.shutdown();
            here.until_done();
            asyncio::await(other);
            all.check();
          }) >= 4);
  }
}

namespace {

/// Tasks that count how many of them have been begun and not ended.
struct alive {
  int count = 0;
  int ended = 0;
  auto waiting(int for_turns) {
    return [this, for_turns] {
      struct scope {
        alive& of;
        explicit scope(alive& all) : of(all) { ++of.count; }
        ~scope() { --of.count; }
      } begun(*this);
      turns(for_turns);
      ++ended;
      return for_turns;
    };
  }
  /// Would never end if the victim is cancelled, unless that cancels it, too.
  auto waiting_for(scene& here) {
    return [this, &here] {
      waiting(4)();
      while (here.cancelled()) {
        asyncio::sleep(1h);
      }
      return 4;
    };
  }
};

}  // namespace

TEST_CASE("cancelled at every wait: gather leaves none of its children behind") {
  for (const bool keep : {false, true}) {
    CHECK(waits_of([keep](scene& here) {
            alive all;
            here.victim([&] {
              if (keep) {
                asyncio::await(asyncio::gather(asyncio::return_exceptions, all.waiting(1),
                                               all.waiting_for(here), all.waiting(2)));
              } else {
                asyncio::await(asyncio::gather(all.waiting(1), all.waiting_for(here), all.waiting(2)));
              }
            });
            here.until_done();
            turns(1);  // a child may have been ready to go on
            CHECK(all.count == 0);
            CHECK((here.cancelled() || all.ended == 3));
          }) == 1);
  }
}

TEST_CASE("cancelled at every wait: what fails that was awaited is not reported as never looked at") {
  CHECK(waits_of([](scene& here) {
          const auto fails = [] {
            turns(2);
            throw std::runtime_error("no");
          };
          here.victim([&] {
            try {
              asyncio::await(asyncio::gather(fails));
            } catch (const std::runtime_error&) {
            }
            try {
              asyncio::await(asyncio::create_task(fails));
            } catch (const std::runtime_error&) {
            }
          });
          here.until_done();
          turns(3);
        }) == 2);
}

TEST_CASE("cancelled at every wait: wait cancels nothing of what it waits for") {
  for (const auto when : {asyncio::return_when::all_completed, asyncio::return_when::first_completed,
                          asyncio::return_when::first_exception}) {
    CHECK(waits_of([when](scene& here) {
            alive all;
            std::vector<asyncio::task<int>> waited;
            for (const int n : {1, 3, 2}) {
              waited.push_back(asyncio::create_task(all.waiting(n)));
            }
            here.victim([&] { asyncio::wait(waited, 1h, when); });
            here.until_done();
            int sum = 0;
            for (const auto& each : waited) {
              sum += asyncio::await(each);
            }
            CHECK(sum == 6);
          }) == 1);
  }
}

TEST_CASE("cancelled at every wait: wait_for has ended what it waits for") {
  CHECK(waits_of([](scene& here) {
          alive all;
          here.victim([&] {
            CHECK(asyncio::wait_for(all.waiting(2), 1h) == 2);
            try {
              asyncio::wait_for(all.waiting(9), 0s);
              FAIL("it was in time");
            } catch (const asyncio::timeout_error&) {
            }
            CHECK(asyncio::wait_for(all.waiting(1), {}) == 1);
          });
          here.until_done();
          CHECK(all.count == 0);
        }) == 3);
}

TEST_CASE("cancelled at every wait: what is shielded goes on") {
  CHECK(waits_of([](scene& here) {
          alive all;
          const auto inner = asyncio::create_task(all.waiting(3));
          here.victim([&] {
            CHECK(asyncio::await(asyncio::shield(inner)) == 3);
            CHECK(asyncio::await(asyncio::shield(inner)) == 3);
          });
          here.until_done();
          CHECK(asyncio::await(inner) == 3);
        }) == 1);
}

TEST_CASE("cancelled at every wait: as_completed loses none") {
  CHECK(waits_of([](scene& here) {
          alive all;
          std::vector<std::function<int()>> functions{all.waiting(2), all.waiting(6), all.waiting(4)};
          auto completed = asyncio::as_completed(functions, 1h);
          std::vector<int> got;
          const auto take = [&] {
            while (completed.size() != 0) {
              got.push_back(completed.next().result());
            }
          };
          here.victim(take);
          here.until_done();
          take();
          CHECK(got == std::vector{2, 4, 6});
        }) == 3);
}

TEST_CASE("cancelled at every wait: a staggered_race has ended all its runners") {
  for (const auto delay : {std::optional<asyncio::duration>(), std::optional<asyncio::duration>(20us)}) {
    CHECK(waits_of([delay](scene& here) {
            alive all;
            const auto fails = std::function<int()>([&]() -> int {
              all.waiting(1)();
              throw std::runtime_error("no");
            });
            const std::vector<std::function<int()>> functions{fails, all.waiting(4), all.waiting(3)};
            here.victim([&] { asyncio::staggered_race<int>(functions, delay); });
            here.until_done();
            CHECK(all.count == 0);
          }) >= 2);
  }
}

TEST_CASE("cancelled at every wait: deadlines know their own cancellation from others") {
  CHECK(waits_of([](scene& here) {
          int stage = 0;
          bool late = false;
          here.victim([&] {
            asyncio::timeout(1h, [&] {
              asyncio::sleep(0s);
              ++stage;
              try {
                asyncio::timeout(50us, [] { asyncio::sleep(1h); });
              } catch (const asyncio::timeout_error&) {
                late = true;
              }
              CHECK_FALSE(asyncio::move_on_after(0s, [] { asyncio::sleep(1h); }));
              CHECK(asyncio::move_on_after(1h, [] { asyncio::sleep(0s); }));
            });
            CHECK(asyncio::current_task().cancelling() == 0);
          });
          here.until_done();
          CHECK((here.cancelled() || late));
        }) == 4);
}

TEST_CASE("cancelled at every wait: a task group has ended all its tasks") {
  CHECK(waits_of([](scene& here) {
          alive all;
          here.victim([&] {
            asyncio::task_group([&](auto& group) {
              static_cast<void>(group.create_task(all.waiting_for(here)));
              asyncio::sleep(0s);
              static_cast<void>(group.start([&](auto started) {
                turns(2);
                started();
                all.waiting(2)();
              }));
              static_cast<void>(group.create_task(all.waiting(1)));
              asyncio::task_group([&](auto& inner) { static_cast<void>(inner.create_task(all.waiting(2))); });
            });
          });
          here.until_done();
          CHECK(all.count == 0);
          CHECK((here.cancelled() || all.ended == 4));
        }) == 3);
}

TEST_CASE("cancelled at every wait: a task group in which something fails, or that is cancelled") {
  CHECK(waits_of([](scene& here) {
          alive all;
          int failures = 0;
          here.victim([&] {
            try {
              asyncio::task_group([&](auto& group) {
                static_cast<void>(group.create_task(all.waiting(9)));
                static_cast<void>(group.create_task([] {
                  turns(1);
                  throw std::runtime_error("no");
                }));
                turns(5);
              });
            } catch (const asyncio::exception_group& group) {
              group.handle<std::runtime_error>([&](const auto&) { ++failures; });
            }
            asyncio::task_group([&](auto& group) {
              static_cast<void>(group.create_task(all.waiting(9)));
              asyncio::sleep(0s);
              group.cancel();
              turns(5);
            });
          });
          here.until_done();
          CHECK(all.count == 0);
          CHECK((here.cancelled() || failures == 1));
        }) >= 5);
}

TEST_CASE("cancelled at every wait: a thread's work is not lost") {
  std::atomic<int> begun = 0;
  int made = 0;
  int told = 0;
  const int waits = waits_of([&](scene& here) {
    asyncio::thread_pool pool(1);
    here.victim([&] {
      ++made;
      asyncio::to_thread([&] { ++begun; });
      ++told;
      ++made;
      CHECK(asyncio::await(asyncio::run_in_executor(pool, [&] { return ++begun; })) != 0);
      ++told;
    });
    here.until_done();
    asyncio::shutdown_default_executor();
  });
  CHECK(waits == 2);
  CHECK(begun == made);
  CHECK(told <= made);
}

namespace {

using socket_type = asio::local::stream_protocol::socket;

asio::io_context& context() {
  return asyncio::get_running_loop().io_context();
}

struct connected {
  socket_type near{context()};
  socket_type far{context()};
  connected() { asio::local::connect_pair(near, far); }
};

}  // namespace

TEST_CASE("cancelled at every wait: timers and channels of Asio, and no message is lost") {
  CHECK(waits_of([](scene& here) {
          asio::experimental::channel<void(boost::system::error_code, int)> channel(context(), 1);
          std::vector<int> sent, taken;
          const auto other = asyncio::create_task([&] {
            for (int i = 0; i < 3; ++i) {
              channel.async_send(boost::system::error_code(), i, use_await);
              sent.push_back(i);
            }
          });
          here.victim([&] {
            asio::steady_timer timer(context());
            timer.expires_after(50us);
            timer.async_wait(use_await);
            while (taken.size() < 3) {
              taken.push_back(channel.async_receive(use_await));
            }
          });
          here.until_done();
          while (taken.size() < 3) {
            taken.push_back(channel.async_receive(use_await));
          }
          asyncio::await(other);
          CHECK(sent == taken);
        }) >= 2);
}

TEST_CASE("cancelled at every wait: no byte that is read is lost") {
  CHECK(waits_of([](scene& here) {
          connected pair;
          const std::string sent = "one\ntwo\nthree and more\nfour\n";
          const auto writer = asyncio::create_task([&] {
            for (std::size_t at = 0; at < sent.size(); at += 5) {
              asio::async_write(pair.far, asio::buffer(sent.substr(at, 5)), use_await);
              turns(2);
            }
            pair.far.close();
          });
          std::string got;
          std::string buffer;
          bool at_end = false;  // of which Asio tells once
          const auto read = [&] {
            while (!at_end) {
              boost::system::error_code error;
              const std::size_t n =
                  asio::async_read_until(pair.near, asio::dynamic_buffer(buffer), '\n', use_await(error));
              at_end = error == asio::error::eof;
              if (at_end) {
                return;
              }
              got += buffer.substr(0, n);
              buffer.erase(0, n);
            }
          };
          const auto read_some = [&] {
            std::array<char, 3> some{};
            for (int i = 0; i < 2; ++i) {
              got.append(some.data(), pair.near.async_read_some(asio::buffer(some), use_await));
            }
          };
          here.victim([&] {
            read_some();
            read();
          });
          here.until_done();
          read();
          asyncio::await(writer);
          CHECK(got + buffer == sent);
        }) >= 4);
}

TEST_CASE("cancelled at every wait: it is known how many bytes were written") {
  CHECK(waits_of([](scene& here) {
          connected pair;
          pair.near.set_option(asio::socket_base::send_buffer_size(4096));
          const std::vector<char> block(20'000, 'x');
          std::size_t sent = 0;
          std::size_t got = 0;
          here.victim([&] {
            for (std::size_t at = 0; at < block.size();) {
              const std::size_t n =
                  pair.near.async_write_some(asio::buffer(block.data() + at, block.size() - at), use_await);
              at += n;
              sent += n;
            }
          });
          const auto reader = asyncio::create_task([&] {
            std::array<char, 3000> some{};
            for (;;) {
              boost::system::error_code error;
              got += pair.far.async_read_some(asio::buffer(some), use_await(error));
              if (error) {
                return;
              }
              turns(1);
            }
          });
          here.until_done();
          pair.near.close();
          asyncio::await(reader);
          CHECK(got == sent);
        }) >= 2);
}

TEST_CASE("cancelled at every wait: generators that wait, one in the other, are unwound") {
  CHECK(waits_of([](scene& here) {
          asyncio::mutex mutex;
          int depth = 0;
          const auto inner = [&](int count) -> krait::generator<int> {
            return [&, count](auto& yield) {
              const std::lock_guard guard(mutex);
              struct scope {
                int& of;
                explicit scope(int& all) : of(all) { ++of; }
                ~scope() { --of; }
              } begun(depth);
              for (int i = 0; i < count; ++i) {
                asyncio::sleep(0s);
                yield(i);
              }
            };
          };
          const auto outer = [&]() -> krait::generator<int> {
            return [&](auto& yield) {
              yield.from(inner(2));
              for (const int i : inner(1)) {
                asyncio::sleep(0s);
                yield(10 * i);
              }
            };
          };
          int sum = 0;
          among_others(here, [&] {
            for (const int i : outer()) {
              asyncio::sleep(0s);
              sum += i + 1;
            }
          });
          CHECK(depth == 0);
          CHECK(mutex.try_acquire());
        }) >= 8);
}

TEST_CASE("cancelled at every wait: context managers that wait at both ends") {
  CHECK(waits_of([](scene& here) {
          int entered = 0;
          const auto manager = [&]() -> krait::contextmanager<int> {
            return [&](auto& yield) {
              asyncio::sleep(0s);
              ++entered;
              try {
                yield(1);
              } catch (...) {
                asyncio::no_cancel([] { asyncio::sleep(0s); });
                --entered;
                throw;
              }
              asyncio::no_cancel([] { asyncio::sleep(0s); });
              --entered;
            };
          };
          int through = 0;
          here.victim([&] {
            krait::with(manager(), [&](int one) {
              krait::with(krait::exit_stack(), [&](krait::exit_stack& stack) {
                stack.enter_context(manager());
                asyncio::sleep(0s);
                through += one;
              });
            });
          });
          here.until_done();
          CHECK(entered == 0);
          CHECK((here.cancelled() || through == 1));
        }) == 5);
}

TEST_CASE("cancelled at every wait: coroutines and asynchronous generators") {
  CHECK(waits_of([](scene& here) {
          int begun = 0;
          struct scope {
            int& of;
            explicit scope(int& all) : of(all) { ++of; }
            ~scope() { --of; }
          };
          const auto counting = [&]() -> krait::async_generator<int> {
            return [&](auto& yield) {
              const scope inside(begun);
              for (int i = 0; i < 2; ++i) {
                asyncio::sleep(0s);
                yield(i);
              }
            };
          };
          const auto waiting = [&](int n) -> krait::coroutine<void, void, int> {
            return [&begun, n](auto&) {
              const scope inside(begun);
              turns(n);
              return n;
            };
          };
          here.victim([&] {
            CHECK(asyncio::await(waiting(2)) == 2);
            auto numbers = counting();
            CHECK(asyncio::await(numbers.anext()) == 0);
            asyncio::sleep(0s);
            CHECK(asyncio::await(numbers.anext()) == 1);
            asyncio::await(numbers.aclose());
          });
          here.until_done();
          turns(3);  // what was dropped half-run is closed by the loop
          while (begun != 0) {
            asyncio::sleep(0s);
          }
        }) == 5);
}

TEST_CASE("cancelled at every wait: no_cancel runs to its end") {
  CHECK(waits_of([](scene& here) {
          int begun = 0;
          int ended = 0;
          here.victim([&] {
            for (int i = 0; i < 2; ++i) {
              asyncio::no_cancel([&] {
                ++begun;
                turns(2);
                asyncio::sleep(20us);
                ++ended;
              });
              asyncio::sleep(0s);
            }
          });
          here.until_done();
          CHECK(begun == ended);
        }) == 8);
}

TEST_CASE("cancelled at every wait: all together") {
  CHECK(waits_of([](scene& here) {
          asyncio::semaphore permits(2);
          asyncio::queue<int> results(1);
          int sum = 0;
          const auto collector = asyncio::create_task([&] {
            for (const int n : results.items()) {
              sum += n;
            }
          });
          int put = 0;
          here.victim([&] {
            asyncio::timeout(1h, [&] {
              asyncio::task_group([&](auto& group) {
                for (int i = 1; i <= 3; ++i) {
                  static_cast<void>(group.create_task([&, i] {
                    const std::lock_guard permit(permits);
                    const auto [a, b] =
                        asyncio::await(asyncio::gather([&] { return turns(i), i; }, [] { return 1; }));
                    results.put(a + b);
                    put += a + b;
                  }));
                }
              });
            });
          });
          here.until_done();
          results.shutdown();
          asyncio::await(collector);
          CHECK(sum == put);
          CHECK(permits.try_acquire());
          CHECK(permits.try_acquire());
        }) == 1);
  MESSAGE("cancelled in all: " << total);
}
