// SPDX-License-Identifier: BSL-1.0
#include <krait/asyncio.hpp>

#include <array>
#include <cctype>
#include <chrono>
#include <deque>
#include <exception>
#include <fstream>
#include <iostream>
#include <memory>
#include <optional>
#include <sstream>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include <krait/generator.hpp>

// Runs random programs of tasks, a line each, as harness.py does, and prints their traces. With --corpus FILE, lines of
// a program and of CPython's trace, in turn: it prints where they differ, and how many do not.

namespace {

namespace asyncio = krait::asyncio;
using namespace std::chrono_literals;

constexpr asyncio::duration tick = 1953125ns;  // 1/512 s: exact in floating point, too

struct operation {
  std::string word;
  std::vector<std::size_t> n;
  std::vector<std::vector<operation>> blocks;
};
using block = std::vector<operation>;

block parse_block(std::istream& in) {
  block operations;
  std::string token;
  while (in >> token && token != "]") {
    operation made{token, {}, {}};
    while (in >> token && token != ";") {
      if (token == "[") {
        made.blocks.push_back(parse_block(in));
      } else {
        made.n.push_back(std::stoul(token));
      }
    }
    operations.push_back(std::move(made));
  }
  return operations;
}

std::vector<block> parse(const std::string& line) {
  std::istringstream in(line);
  std::vector<block> bodies;
  for (std::string token; in >> token;) {
    bodies.push_back(parse_block(in));
  }
  return bodies;
}

/// Python's ValueError of the programs.
struct program_error : std::runtime_error {
  using std::runtime_error::runtime_error;
};

std::string shown(const std::exception_ptr& exception) {
  try {
    std::rethrow_exception(exception);
  } catch (const asyncio::cancelled_error&) {
    return "C";  // the message reaches, in CPython, only the first who asks
  } catch (const asyncio::exception_group& e) {
    std::string text = "G[";
    for (const std::exception_ptr& each : e.exceptions()) {
      text += (text.size() > 2 ? "," : "") + shown(each);
    }
    return text + "]";
  } catch (const program_error& e) {
    return std::string("V:") + e.what();
  } catch (const krait::value_error&) {
    return "ValueError";
  } catch (const asyncio::timeout_error&) {
    return "TimeoutError";
  } catch (const asyncio::invalid_state_error&) {
    return "InvalidStateError";
  } catch (const krait::runtime_error&) {
    return "RuntimeError";
  }
}

const asyncio::context_var<int> variable("variable", 0);

using result = std::optional<std::string>;

struct world {
  static constexpr std::size_t limit = 24;

  std::vector<block> bodies;
  std::string log;
  std::deque<std::optional<asyncio::task<int>>> tasks;
  std::vector<asyncio::future<int>> futures;
  std::array<asyncio::mutex, 2> locks;
  std::array<asyncio::event, 2> events;
  std::array<asyncio::condition, 2> conditions{asyncio::condition(locks[0]), asyncio::condition(locks[1])};
  asyncio::semaphore semaphore{1};
  asyncio::queue<int> queue{2};

  explicit world(std::vector<block> of) : bodies(std::move(of)) {
    for (int i = 0; i < 3; ++i) {
      futures.push_back(asyncio::create_future<int>());
    }
  }

  void put(const std::string& me, const std::string& what) {
    log += (log.empty() ? "" : " ") + me + "." + what;
  }
  void put(std::size_t me, const std::string& what) { put(std::to_string(me), what); }

  template <class Create>
  void make(Create create, std::size_t body, std::size_t eager) {
    if (tasks.size() >= limit) {
      return;
    }
    const std::size_t index = tasks.size();
    tasks.emplace_back();
    asyncio::task_options options;
    options.eager = eager != 0;
    tasks[index] = create([this, index, body] { return run_body(index, body % bodies.size()); }, options);
  }

  int run_body(std::size_t me, std::size_t body) {
    put(me, "(");
    result returned;
    try {
      returned = run(bodies[body], me, nullptr);
    } catch (...) {
      put(me, ")" + shown(std::current_exception()));
      throw;
    }
    put(me, ")" + returned.value_or("None"));
    return returned ? std::stoi(*returned) : 0;
  }

  asyncio::task<int>* after(std::size_t me, std::size_t i) {
    i = me + 1 + i;
    return i < tasks.size() && tasks[i] ? &*tasks[i] : nullptr;
  }

  result run(const block& operations, std::size_t me, asyncio::task_group_scope* group) {
    for (const operation& each : operations) {
      result came;
      try {
        came = one(each, me, group);
      } catch (...) {
        put(me, each.word + "!" + shown(std::current_exception()));
        throw;
      }
      put(me, each.word + (came && each.blocks.empty() ? "=" + *came : ""));
      if (each.word == "rt" || (!each.blocks.empty() && came)) {
        return came;
      }
    }
    return {};
  }

  static std::optional<asyncio::duration> delay(std::size_t which) {
    return which == 0   ? std::optional<asyncio::duration>(0s)
           : which == 1 ? std::nullopt
           : which == 2 ? std::optional<asyncio::duration>(1000s)
                        : std::optional<asyncio::duration>(2 * tick);
  }

  krait::generator<int> ticks(std::size_t depth, int count, std::size_t me) {
    return [this, depth, count, me](auto& yield) {
      const ending told{*this, me, depth};
      if (depth == 0) {
        for (int i = 0; i < count; ++i) {
          asyncio::sleep(i % 2 * tick);
          yield(i + 1);
        }
      } else if (depth == 1) {
        for (const int v : ticks(0, count, me)) {
          yield(v);
        }
      } else {
        yield.from(ticks(depth - 1, count, me));
      }
    };
  }
  struct ending {
    world& self;
    std::size_t me;
    std::size_t depth;
    ~ending() { self.put(me, "end" + std::to_string(depth)); }
  };

  result one(const operation& what, std::size_t me, asyncio::task_group_scope* group) {
    const std::string& word = what.word;
    const auto n = [&](std::size_t i) { return what.n.at(i); };
    const auto text = [](auto number) { return result(std::to_string(number)); };
    const auto create = [](auto function, const asyncio::task_options& options) {
      return asyncio::create_task(std::move(function), options);
    };
    if (word == "s") {
      asyncio::sleep(0s);
    } else if (word == "sl") {
      asyncio::sleep((static_cast<int>(n(0)) + 1) * tick);
    } else if (word == "gn") {
      int total = 0;
      for (const int v : ticks(n(0), static_cast<int>(n(1)), me)) {
        total += v;
      }
      return text(total);
    } else if (word == "y") {
      make(create, n(0), n(1));
    } else if (word == "gs") {
      if (group != nullptr) {
        make(
            [&](auto function, const asyncio::task_options& options) {
              return group->create_task(std::move(function), options);
            },
            n(0), n(1));
      }
    } else if (word == "aw") {
      if (const auto* const t = after(me, n(0))) {
        const asyncio::task<int> kept = *t;
        return text(asyncio::await(kept));
      }
    } else if (word == "ca") {
      if (n(0) < tasks.size() && tasks[n(0)]) {
        return text(int{tasks[n(0)]->cancel("m" + std::to_string(n(1)))});
      }
    } else if (word == "un") {
      return text(asyncio::current_task().uncancel());
    } else if (word == "cg") {
      return text(asyncio::current_task().cancelling());
    } else if (word == "fs") {
      futures[n(0)].set_result(static_cast<int>(n(0)));
    } else if (word == "fe") {
      futures[n(0)].set_exception(std::make_exception_ptr(program_error("7")));
    } else if (word == "fc") {
      return text(int{futures[n(0)].cancel("f")});
    } else if (word == "fa") {
      return text(asyncio::await(futures[n(0)]));
    } else if (word == "la") {
      locks[n(0) % 2].acquire();
    } else if (word == "lr") {
      locks[n(0) % 2].release();
    } else if (word == "es") {
      events[n(0) % 2].set();
    } else if (word == "ec") {
      events[n(0) % 2].clear();
    } else if (word == "ew") {
      events[n(0) % 2].wait();
    } else if (word == "sa") {
      semaphore.acquire();
    } else if (word == "sr") {
      semaphore.release();
    } else if (word == "qp") {
      queue.put(static_cast<int>(n(0)));
    } else if (word == "qg") {
      return text(queue.get());
    } else if (word == "cw") {
      conditions[n(0) % 2].wait();
    } else if (word == "cn") {
      conditions[n(0) % 2].notify(1);
    } else if (word == "cs") {
      conditions[n(0) % 2].notify_all();
    } else if (word == "vs") {
      variable.set(static_cast<int>(n(0)));
    } else if (word == "vg") {
      return text(variable.get());
    } else if (word == "ga" || word == "ge") {
      const auto *const a = after(me, n(0)), *const b = after(me, n(1));
      if (a == nullptr || b == nullptr) {
        return {};
      }
      if (word == "ga" && n(2) == 0) {
        const auto [x, y] = asyncio::await(asyncio::gather(*a, *b));
        return text(10 * x + y);
      }
      const auto [x, y] = asyncio::await(asyncio::gather(asyncio::return_exceptions, *a, *b));
      const auto told = [](const asyncio::outcome<int>& o) {
        return o.has_value() ? std::to_string(o.value()) : shown(o.exception());
      };
      return told(x) + "/" + told(y);
    } else if (word == "wt") {
      const auto *const a = after(me, n(0)), *const b = after(me, n(1));
      if (a == nullptr || b == nullptr) {
        return {};
      }
      constexpr std::array how{asyncio::return_when::first_completed, asyncio::return_when::first_exception,
                               asyncio::return_when::all_completed};
      const auto [done, pending] = asyncio::wait(std::vector{*a, *b}, {}, how[n(2)]);
      return text(10 * done.size() + pending.size());
    } else if (word == "as") {
      const auto *const a = after(me, n(0)), *const b = after(me, n(1));
      if (a == nullptr || b == nullptr) {
        return {};
      }
      if (a->done() && b->done()) {
        return {};
      }
      std::string order;
      for (const auto& each : asyncio::as_completed(std::vector{*a, *b})) {
        for (std::size_t i = 0; i < tasks.size(); ++i) {
          if (tasks[i] && *tasks[i] == each) {
            order += (order.empty() ? "" : "/") + std::to_string(i);
          }
        }
      }
      return order;
    } else if (word == "sh") {
      if (const auto* const t = after(me, n(0))) {
        return text(asyncio::await(asyncio::shield(*t)));
      }
    } else if (word == "wf") {
      if (const auto* const t = after(me, n(0))) {
        const asyncio::task<int> kept = *t;
        return text(asyncio::wait_for(kept, delay(n(1))));
      }
    } else if (word == "ra") {
      throw program_error(std::to_string(n(0)));
    } else if (word == "rt") {
      return std::to_string(n(0));
    } else if (word == "tr") {
      try {
        return run(what.blocks[0], me, group);
      } catch (const asyncio::cancelled_error&) {
        put(me, "caught");
        result came = run(what.blocks[1], me, group);
        if (n(0) != 0) {
          throw;
        }
        return came;
      }
    } else if (word == "fi") {
      try {
        return run(what.blocks[0], me, group);
      } catch (const program_error&) {
        put(me, "caught");
        return run(what.blocks[1], me, group);
      } catch (const krait::value_error&) {
        put(me, "caught");
        return run(what.blocks[1], me, group);
      }
    } else if (word == "to") {
      try {
        return asyncio::timeout(delay(n(0)), [&] { return run(what.blocks[0], me, group); });
      } catch (const asyncio::timeout_error&) {
        put(me, "late");
      }
    } else if (word == "gr") {
      try {
        return asyncio::task_group(
            [&](asyncio::task_group_scope& made) { return run(what.blocks[0], me, &made); });
      } catch (const asyncio::exception_group&) {
        put(me, shown(std::current_exception()));
      }
    }
    return {};
  }

  void main() {
    const auto create = [](auto function, const asyncio::task_options& options) {
      return asyncio::create_task(std::move(function), options);
    };
    make(create, 0, 0);
    make(create, 1, 0);
    for (int i = 0; i < 12; ++i) {
      asyncio::sleep(i / 8 * tick);
    }
    for (int round = 0; round < 200; ++round) {
      std::vector<asyncio::task<int>> left;
      for (const auto& each : tasks) {
        if (each && !each->done()) {
          left.push_back(*each);
        }
      }
      if (left.empty()) {
        break;
      }
      put("-", "cancel " + std::to_string(left.size()));
      for (const auto& each : left) {
        each.cancel("end");
      }
      for (int i = 0; i < 6; ++i) {
        asyncio::sleep(i / 5 * tick);
      }
    }
    std::string states;
    for (const auto& each : tasks) {
      std::string state = !each               ? "none"
                          : !each->done()     ? "pending"
                          : each->cancelled() ? "cancelled"
                          : each->exception() ? shown(each->exception())
                                              : std::to_string(each->result());
      states += (states.empty() ? "" : " ") + state;
    }
    put("-", states);
  }

  /// A task that waits for a lock in a condition cannot be cancelled: it is given the lock.
  void end() {
    while (asyncio::all_tasks().size() > 1) {
      for (const auto& each : tasks) {
        if (each) {
          each->cancel();
        }
      }
      for (asyncio::mutex& each : locks) {
        if (each.locked()) {
          each.release();
        }
      }
      asyncio::sleep(0s);
    }
  }
};

std::string trace_of(const std::string& program) {
  std::string trace;
  asyncio::event_loop loop({.virtual_time = true});
  loop.set_exception_handler([](const asyncio::error_report&) {});
  loop.run_until_complete([&] {
    const auto all = std::make_unique<world>(parse(program));
    all->main();
    trace = all->log;
    all->end();
  });
  return trace;
}

int check(const char* corpus) {
  std::ifstream in(corpus);
  int passed = 0;
  int failed = 0;
  for (std::string program, expected; std::getline(in, program) && std::getline(in, expected);) {
    const std::string trace = trace_of(program);
    ++(trace == expected ? passed : failed);
    if (trace != expected) {
      std::cout << "differs: " << program << "\n  CPython " << expected << "\n  krait   " << trace << '\n';
    }
  }
  std::cout << passed << " passed, " << failed << " failed\n";
  return failed == 0 && passed > 0 ? 0 : 1;
}

}  // namespace

int main(int count, char** arguments) {
  if (count > 2 && arguments[1] == std::string("--corpus")) {
    return check(arguments[2]);
  }
  std::ios::sync_with_stdio(false);
  for (std::string line; std::getline(std::cin, line);) {
    std::cout << trace_of(line) << '\n';
  }
}
