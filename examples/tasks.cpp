// SPDX-License-Identifier: BSL-1.0
//
// Tasks on krait's event loop: what `by_hand` does by hand, done by a scheduler. Well-known Python programs under their
// Python names; but there is no `async` and no `await` in front of a call: any function that a task calls may wait.

#include "tasks.hpp"

#include <algorithm>
#include <chrono>
#include <exception>
#include <functional>
#include <krait/asyncio.hpp>
#include <krait/krait.hpp>
#include <ostream>
#include <ranges>
#include <stdexcept>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "python.hpp"

namespace tasks {
namespace {

namespace asyncio = krait::asyncio;

/// Nobody likes to wait for an example.
constexpr auto second = std::chrono::milliseconds(5);

// -------------------------------------------------------------------------------- a real scheduler

int square(std::ostream& out, int x) {
  out << "Starting square with argument " << x << "!\n";
  asyncio::sleep(3 * second);
  out << "Finishing square with argument " << x << "!\n";
  return x * x;
}

int cube(std::ostream& out, int x) {
  out << "Starting cube with argument " << x << "!\n";
  asyncio::sleep(3 * second);
  int y = square(out, x);
  out << "Finishing cube with argument " << x << "!\n";
  return x * y;
}

void run_until_complete(std::ostream& out) {
  asyncio::event_loop loop;
  print(out, loop.run_until_complete([&] { return cube(out, 5); }));
}

// All sleep at the same time: it takes as long as the longest, not as long as all together.
void gather(std::ostream& out) {
  asyncio::event_loop loop;
  const auto [a, b, c] = loop.run_until_complete([&] {
    return asyncio::await(asyncio::gather([&] { return cube(out, 3); },  //
                                          [&] { return cube(out, 4); },  //
                                          [&] { return cube(out, 5); }));
  });
  print(out, repr({a, b, c}));
}

// --------------------------------------------------------- a producer, and consumers, with a display

/// Draws a line for each number that comes, until there are no more.
void show_progress(std::ostream& out, asyncio::queue<std::size_t>& served, std::size_t of) {
  for (const std::size_t done : served.items()) {
    out << '[' << std::string(done, '#') << std::string(of - done, '.') << "] " << done << '/' << of << '\n';
  }
}

void pipeline(std::ostream& out) {
  constexpr std::size_t guests = 6;
  asyncio::run([&] {
    asyncio::queue<int> orders(2);  // the producer waits while there are two in it
    asyncio::queue<std::size_t> served;
    int income = 0;
    std::size_t count = 0;
    const auto display = asyncio::create_task([&] { show_progress(out, served, guests); });
    asyncio::task_group([&](auto& group) {
      const auto cook = [&] {
        for (const int order : orders.items()) {  // a plain generator, that waits for the next one
          asyncio::sleep(order * second);
          income += 10 * order;
          served.put(++count);
        }
      };
      static_cast<void>(group.create_task(cook));
      static_cast<void>(group.create_task(cook));
      for (int order = 1; order <= static_cast<int>(guests); ++order) {
        orders.put(order);
      }
      orders.shutdown();  // the cooks go home when there is nothing left to do
    });
    served.shutdown();
    asyncio::await(display);
    print(out, "income:", income);
  });
}

// ------------------------------------------------------------------------ a group of which one fails

std::string fetch(std::ostream& out, const std::string& name, int seconds) {
  try {
    asyncio::sleep(seconds * second);
  } catch (const asyncio::cancelled_error&) {
    print(out, name, "is cancelled");
    throw;
  }
  if (name == "broken.example") {
    throw std::runtime_error(name + " does not answer");
  }
  print(out, name, "answers");
  return name;
}

void failing_child(std::ostream& out) {
  asyncio::run([&] {
    try {
      asyncio::task_group([&](auto& group) {
        const auto quick = group.create_task([&] { return fetch(out, "quick.example", 1); });
        static_cast<void>(group.create_task([&] { return fetch(out, "broken.example", 5); }));
        static_cast<void>(group.create_task([&] { return fetch(out, "slow.example", 3600); }));
        print(out, "first:", asyncio::await(quick));
        fetch(out, "body.example", 3600);
      });
    } catch (const asyncio::exception_group& group) {
      print(out, group.what());
      group.handle<std::runtime_error>([&](const auto& error) { print(out, "*", error.what()); });
    }
  });
}

// ------------------------------------------------------------------------------ generators that wait

/// Seconds, as they pass.
krait::generator<int> clock(int from) {
  return [from](auto& yield) {
    for (int i = from; i > 0; --i) {
      asyncio::sleep(second);
      yield(i);
    }
  };
}

/// One behind the other: what waits is two levels down.
krait::generator<std::string> countdown(std::vector<int> lengths) {
  return [lengths = std::move(lengths)](auto& yield) {
    for (const int length : lengths) {
      yield.from(clock(length) | std::views::transform([](int i) { return std::to_string(i); }));
      yield("lift-off");
    }
  };
}

void waiting_generator(std::ostream& out) {
  asyncio::run([&] {
    // Somebody else, who has his turns while it waits.
    int turns = 0;
    const auto other = asyncio::create_task([&] {
      for (;;) {
        asyncio::sleep(second / 10);
        ++turns;
      }
    });
    for (const std::string& word : countdown({3, 1})) {
      print(out, word);
    }
    print(out, turns > 0 ? "and somebody else had a turn" : "nobody else had a turn");
    other.cancel();
  });
}

// ------------------------------------------------------------------------------------- cancellation

void deadline(std::ostream& out) {
  asyncio::run([&] {
    try {
      asyncio::timeout(2 * second, [&] {
        for (const int i : clock(3600)) {  // the generator is unwound, as anything is
          static_cast<void>(i);
        }
      });
    } catch (const asyncio::timeout_error&) {
      print(out, "timeout!");
    }
  });
}

}  // namespace

std::span<const example> examples() {
  static constexpr example all[] = {
      {"run_until_complete", "cube(5), run by an event loop", run_until_complete},
      {"gather", "cube(3), cube(4) and cube(5) at once", gather},
      {"pipeline", "a producer and consumers on a queue, with a display of progress", pipeline},
      {"failing_child", "a task group in which one fails, and the others are cancelled", failing_child},
      {"waiting_generator", "generators that wait, one in the other", waiting_generator},
      {"deadline", "a deadline for what would take an hour", deadline},
  };
  return all;
}

}  // namespace tasks
