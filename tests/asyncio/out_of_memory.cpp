// SPDX-License-Identifier: BSL-1.0
#include <krait/asyncio/use_await.hpp>

#include <boost/asio/local/connect_pair.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/read.hpp>
#include <boost/asio/thread_pool.hpp>
#include <boost/asio/write.hpp>

#include <doctest/doctest.h>

#include <array>
#include <chrono>
#include <csignal>
#include <cstddef>
#include <functional>
#include <limits>
#include <memory>
#include <new>
#include <stdexcept>
#include <stop_token>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <krait/asyncio.hpp>
#include <krait/krait.hpp>

#include "counted_memory.hpp"
#include "support/probes.hpp"
#include "support/tasks.hpp"

// Memory runs out at the n-th time that it is asked for, for every n: for that once, or from then on until the loop has
// been left. What becomes of it: either all goes well, or std::bad_alloc comes out, or a task has failed with it. Then the
// loop can be run again, and nothing is lost, kept, or waited for in vain.
//
// What a task refers to is shared with it, as it may go on when whoever has made it has failed.

namespace {

namespace asio = boost::asio;
namespace asyncio = krait::asyncio;
using namespace std::chrono_literals;
using asyncio::use_await;
using asyncio_tests::turns;
using counted_memory::shortage;

const std::string long_text(100, 'x');

bool holds_bad_alloc(const std::exception_ptr& exception) {
  try {
    std::rethrow_exception(exception);
  } catch (const std::bad_alloc&) {
    return true;
  } catch (const asyncio::exception_group& group) {
    for (const std::exception_ptr& each : group.exceptions()) {
      if (holds_bad_alloc(each)) {
        return true;
      }
    }
    return false;
  } catch (...) {
    return false;
  }
}

/// `scenario(loop)` says whether all went well. Before memory runs out, `prepare(loop)` is called.
template <class Scenario>
void run_out_everywhere(Scenario scenario, asyncio::run_options options = {},
                        void (*prepare)(asyncio::event_loop&) = nullptr) {
  if (probes::on_valgrind()) {
    return;  // it has an operator new of its own, which does not fail
  }
  int shortages = 0;
  int survived = 0;
  for (const long more : {0L, std::numeric_limits<long>::max() / 2}) {
    bool again = false;
    for (long n = 0;; n += again ? 0 : 1) {  // at first, it is as it should be
      CAPTURE(more);
      CAPTURE(n);
      const long before = counted_memory::blocks();
      bool reached = false;
      bool well = false;
      bool runs_again = false;
      std::exception_ptr raised;
      {
        asyncio::event_loop loop(options);
        loop.set_exception_handler([](const asyncio::error_report&) {});
        if (prepare != nullptr) {
          prepare(loop);
        }
        {
          const shortage here(n == 0 ? std::numeric_limits<long>::max() / 4 : n, more);
          try {
            well = scenario(loop);
          } catch (...) {
            raised = std::current_exception();
          }
          reached = here.reached();
        }
        runs_again = loop.run_until_complete([] {
          asyncio::shutdown_default_executor();  // its threads hold memory until they have ended
          asyncio::sleep(0s);
          return true;
        });
      }
      CHECK(runs_again);
      if (raised != nullptr) {
        CHECK(holds_bad_alloc(raised));
      }
      CHECK(well == (raised == nullptr));
      raised = nullptr;
      if (n != 0) {
        // Threads give back theirs when they have ended; and what is made once, and kept, may have been.
        for (int i = 0; i < 1000 && counted_memory::blocks() != before; ++i) {
          std::this_thread::sleep_for(1ms);
        }
        again = !again && counted_memory::blocks() != before;
        if (again) {
          continue;
        }
        CHECK(counted_memory::blocks() == before);
        if (!reached) {
          CHECK(well);
          break;
        }
        ++shortages;
        survived += well;
      } else {
        CHECK(well);
      }
    }
  }
  MESSAGE("ran out ", shortages, " times, of which ", survived, " made no difference");
  CHECK(shortages > 0);
}

}  // namespace

TEST_CASE("out of memory: tasks, gather, and what they are given") {
  for (const bool debug : {false, true}) {
    asyncio::run_options options;
    options.debug = debug;
    run_out_everywhere(
        [](asyncio::event_loop& loop) {
          return loop.run_until_complete([] {
            const auto cube = [text = long_text](int n) {
              turns(n);
              return n * n * n + static_cast<int>(text.size()) - 100;
            };
            const auto [a, b] =
                asyncio::await(asyncio::gather([=] { return cube(1); }, [=] { return cube(2); }));
            const auto c = asyncio::create_task([=] { return cube(3); }, {.name = long_text});
            const auto d = asyncio::create_task([=] { return cube(4); }, {.eager = true});
            const std::vector all = asyncio::await(asyncio::gather(std::vector{c, d}));
            return a + b + all[0] + all[1] == 100;
          });
        },
        options);
  }
}

TEST_CASE("out of memory: many tasks at once") {
  run_out_everywhere([](asyncio::event_loop& loop) {
    return loop.run_until_complete([] {
      const auto sum = std::make_shared<int>();
      std::vector<asyncio::task<void>> all;
      for (int i = 0; i < 100; ++i) {
        all.push_back(asyncio::create_task([sum, i] {
          asyncio::sleep(0s);
          *sum += i;
        }));
      }
      asyncio::wait(all);
      return *sum == 4950;
    });
  });
}

TEST_CASE("out of memory: what fails, and is told to nobody") {
  run_out_everywhere([](asyncio::event_loop& loop) {
    loop.run_until_complete([] {
      static_cast<void>(
          asyncio::create_task([] { throw std::runtime_error(long_text); }, {.name = long_text}));
      asyncio::create_future<int>().set_exception(std::make_exception_ptr(7));
      asyncio::get_running_loop().call_soon([] { throw 8; });
      turns(3);
    });
    return true;
  });
}

TEST_CASE("out of memory: sleeps, deadlines, and what they cancel") {
  run_out_everywhere([](asyncio::event_loop& loop) {
    return loop.run_until_complete([] {
      asyncio::sleep(1us);
      const bool in_time = asyncio::move_on_after(1h, [] { asyncio::sleep(1us); });
      const bool late = asyncio::move_on_after(10us, [] { asyncio::sleep(1h); });
      bool timed_out = false;
      try {
        asyncio::timeout(10us, [] { asyncio::sleep(1h); });
      } catch (const asyncio::timeout_error&) {
        timed_out = true;
      }
      return in_time && !late && timed_out &&
             asyncio::wait_for(
                 [] {
                   asyncio::sleep(1us);
                   return 3;
                 },
                 1h) == 3;
    });
  });
}

TEST_CASE("out of memory: cancellations, with long messages") {
  run_out_everywhere([](asyncio::event_loop& loop) {
    return loop.run_until_complete([] {
      const auto inner = asyncio::create_task([] { asyncio::sleep(1h); });
      const auto outer = asyncio::create_task([=] { asyncio::await(inner); });
      const auto all = asyncio::gather(outer);
      const auto unstarted = asyncio::create_task([] {});
      unstarted.cancel(long_text);
      turns(2);
      all.cancel(long_text);
      try {
        asyncio::await(all);
      } catch (const asyncio::cancelled_error& error) {
        const bool told = error.message() == long_text;
        const auto plain = asyncio::create_future<int>();
        return plain.cancel(long_text) && unstarted.cancelled() && inner.cancelled() && told;
      }
      return false;
    });
  });
}

TEST_CASE("out of memory: a group with a task that fails") {
  run_out_everywhere([](asyncio::event_loop& loop) {
    return loop.run_until_complete([] {
      int ended = 0;
      try {
        asyncio::task_group([&](auto& group) {
          for (int i = 0; i < 5; ++i) {
            group.create_task([&ended, i] {
              const std::shared_ptr<void> end(nullptr, [&](std::nullptr_t) { ++ended; });
              asyncio::sleep(i == 3 ? 0s : 1h);
              throw std::logic_error("x");
            });
          }
        });
      } catch (const asyncio::exception_group& group) {
        if (holds_bad_alloc(std::current_exception())) {
          throw;
        }
        return group.exceptions().size() == 1 && ended == 5;
      }
      return false;
    });
  });
}

TEST_CASE("out of memory: queues, locks, semaphores, conditions, barriers") {
  run_out_everywhere([](asyncio::event_loop& loop) {
    return loop.run_until_complete([] {
      struct state {
        asyncio::queue<std::string> few{2};
        asyncio::mutex mutex;
        asyncio::semaphore semaphore{1};
        asyncio::barrier barrier{2};
        std::size_t taken = 0;
      };
      const auto shared = std::make_shared<state>();
      const auto consumer = asyncio::create_task([shared] {
        shared->barrier.wait();
        for (int i = 0; i < 20; ++i) {
          const std::string item = shared->few.get();
          const std::lock_guard guard(shared->mutex);
          const std::unique_lock permit(shared->semaphore);
          asyncio::sleep(0s);
          shared->taken += item.size();
        }
      });
      shared->barrier.wait();
      for (int i = 0; i < 20; ++i) {
        shared->few.put(long_text);
        const std::lock_guard guard(shared->mutex);
        const std::unique_lock permit(shared->semaphore);
        asyncio::sleep(0s);
      }
      asyncio::await(consumer);
      return shared->taken == 2000;
    });
  });
}

TEST_CASE("out of memory: callbacks, handles, context variables") {
  static const asyncio::context_var<std::string> name("name", "nobody");
  run_out_everywhere([](asyncio::event_loop& loop) {
    return loop.run_until_complete([] {
      asyncio::event_loop& here = asyncio::get_running_loop();
      struct counts {
        int all = 0;
        int right = 0;
      };
      const auto calls = std::make_shared<counts>();
      const auto token = name.set(long_text);
      const auto called = [calls, text = long_text] {
        ++calls->all;
        calls->right += name.get() == text;  // a copy
      };
      here.call_soon(called);
      here.call_later(1us, called);
      here.call_later(1h, called).cancel();
      here.call_soon_threadsafe(called);
      const auto done = asyncio::create_future<void>();
      done.add_done_callback(called);
      done.set_result();
      while (calls->all < 4) {
        asyncio::sleep(100us);
      }
      if (calls->right != 4) {
        throw std::bad_alloc();
      }
      return true;
    });
  });
}

TEST_CASE("out of memory: wait, shield, as_completed, races") {
  run_out_everywhere([](asyncio::event_loop& loop) {
    return loop.run_until_complete([] {
      const auto slow = asyncio::create_task([] {
        asyncio::sleep(200us);
        return 1;
      });
      const auto quick = asyncio::create_task([] {
        turns(2);
        return 2;
      });
      const auto first = asyncio::wait(std::vector{slow, quick}, 1h, asyncio::return_when::first_completed);
      const int shielded = asyncio::await(asyncio::shield(slow));
      int sum = 0;
      for (const auto& each : asyncio::as_completed(std::vector{slow, quick}, 1h)) {
        sum += each.result();
      }
      const auto race = asyncio::staggered_race<int>({[]() -> int { throw 1; }, [] { return 3; }}, 1us);
      return !first.done.empty() && shielded == 1 && sum == 3 &&
             (race.winner == 3 || race.exceptions.size() == 2);
    });
  });
}

TEST_CASE("out of memory: generators that wait, and asynchronous ones that are dropped") {
  run_out_everywhere([](asyncio::event_loop& loop) {
    return loop.run_until_complete([] {
      const auto items = []() -> krait::generator<int> {
        return [](auto& yield) {
          for (int i = 0; i < 3; ++i) {
            asyncio::sleep(0s);
            yield(i);
          }
        };
      };
      int sum = 0;
      for (const int x : items()) {
        sum += x;
      }
      {
        krait::async_generator<int> dropped([](auto& yield) {
          const std::shared_ptr<void> end(nullptr, [](std::nullptr_t) {});
          yield(1);
          yield(2);
        });
        sum += asyncio::await(dropped.anext());
      }
      turns(5);
      return sum == 4;
    });
  });
}

TEST_CASE("out of memory: operations of Asio's, on this thread and another") {
  run_out_everywhere([](asyncio::event_loop& loop) {
    const auto other = std::make_shared<asio::thread_pool>(1);
    return loop.run_until_complete([other] {
      asio::io_context& context = asyncio::get_running_loop().io_context();
      asio::post(context, use_await);
      asio::post(*other, use_await);
      asio::local::stream_protocol::socket near(context);
      asio::local::stream_protocol::socket far(context);
      asio::local::connect_pair(near, far);
      std::array<char, 8> buffer{};
      asio::async_write(near, asio::buffer(buffer), use_await);
      return asio::async_read(far, asio::buffer(buffer), use_await) == 8;
    });
  });
}

TEST_CASE("out of memory: threads") {
  run_out_everywhere([](asyncio::event_loop& loop) {
    const bool well = loop.run_until_complete([] {
      asyncio::event_loop& here = asyncio::get_running_loop();
      const bool one = asyncio::to_thread([text = long_text] { return text; }) == long_text;
      const auto asked = asyncio::run_threadsafe(here, [] { return 5; });
      const bool five = asyncio::await(asyncio::wrap_future(asked)) == 5;
      std::stop_source source;
      const auto stopped = asyncio::create_task([] { asyncio::sleep(1h); });
      asyncio::cancel_on_stop(stopped, source.get_token());
      source.request_stop();
      bool cancelled = false;
      try {
        asyncio::await(stopped);
      } catch (const asyncio::cancelled_error&) {
        cancelled = true;
      }
      asyncio::shutdown_default_executor();
      return one && five && cancelled;
    });
    return well;
  });
}

TEST_CASE("out of memory: signals") {
  // Asio's service for them is made first: without memory it leaves a part of itself behind (seen with 1.81).
  const auto prepare = [](asyncio::event_loop& loop) {
    loop.add_signal_handler(SIGUSR2, [] {});
    loop.remove_signal_handler(SIGUSR2);
  };
  run_out_everywhere(
      [](asyncio::event_loop& loop) {
        struct scope {
          asyncio::event_loop& of;
          ~scope() { of.remove_signal_handler(SIGUSR1); }
        } removed{loop};
        return loop.run_until_complete([] {
          const auto came = asyncio::create_future<int>();
          asyncio::get_running_loop().add_signal_handler(SIGUSR1, [=] {
            if (!came.done()) {
              came.set_result(4);
            }
          });
          std::raise(SIGUSR1);
          return asyncio::await(came) == 4;
        });
      },
      {}, prepare);
}

TEST_CASE("out of memory: to make a loop, to run it, and to close it") {
  run_out_everywhere([](asyncio::event_loop&) {
    return asyncio::run([] {
      static_cast<void>(asyncio::create_task([] { asyncio::sleep(1h); }));
      turns(2);
      return true;
    });
  });
}
