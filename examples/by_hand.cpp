// SPDX-License-Identifier: BSL-1.0
//
// Coroutines run by hand: what `async`, `await`, `async for` and `async with` do when there is no event loop,
// only somebody who calls send(). Well-known Python programs, in C++ with krait, under their Python names.
//
// A coroutine function returns a lambda, whose parameter is the keyword: `co.await(x)` is Python's `await x`.

#include "by_hand.hpp"

#include <chrono>
#include <exception>
#include <krait/krait.hpp>
#include <map>
#include <optional>
#include <ostream>
#include <string>
#include <thread>
#include <type_traits>
#include <utility>
#include <vector>

#include "database.hpp"
#include "python.hpp"

namespace by_hand {
namespace {

/// What whoever drives a coroutine is told.
using message = std::string;

/// Sends None, and prints what comes back, as an interactive Python does.
template <class Coroutine>
void send_none(std::ostream& out, Coroutine& coro) {
  try {
    print(out, repr(coro.send()));
  } catch (const krait::stop_iteration<int>& end) {
    print(out, "StopIteration:", end.value());
  } catch (const krait::stop_iteration<>& end) {
    print(out, end.what());
  }
}

/// While alive, warnings go to `out`.
class warnings_to {
 public:
  explicit warnings_to(std::ostream& out)
      : before_(
            krait::set_warning_hook([&out](const message& text) { print(out, "RuntimeWarning:", text); })) {}
  warnings_to(const warnings_to&) = delete;
  warnings_to& operator=(const warnings_to&) = delete;
  ~warnings_to() { krait::set_warning_hook(std::move(before_)); }

 private:
  krait::warning_hook before_;
};

// ---------------------------------------------------------------------------------- just functions to start

namespace functions {

void time_sleep(int n) {
  std::this_thread::sleep_for(std::chrono::milliseconds(n));  // nobody likes to wait for an example
}

int square(std::ostream& out, int x) {
  out << "Starting square with argument " << x << "!\n";
  time_sleep(3);
  out << "Finishing square with argument " << x << "!\n";
  return x * x;
}

int cube(std::ostream& out, int x) {
  out << "Starting cube with argument " << x << "!\n";
  time_sleep(3);
  int y = square(out, x);
  out << "Finishing cube with argument " << x << "!\n";
  return x * y;
}

void run(std::ostream& out) {
  print(out, square(out, 4));
  print(out, cube(out, 3));
  for (int x = 1; x < 4; ++x) {
    print(out, cube(out, x));
  }
}

}  // namespace functions

// -------------------------------------------------------------------------------------- on to coroutines

namespace coroutines {

krait::coroutine<message, void, int> square(std::ostream& out, int x) {
  return [&out, x](auto&) {
    out << "Starting square with argument " << x << "!\n";
    functions::time_sleep(3);
    out << "Finishing square with argument " << x << "!\n";
    return x * x;
  };
}

krait::coroutine<message, void, int> cube(std::ostream& out, int x) {
  return [&out, x](auto& co) {
    out << "Starting cube with argument " << x << "!\n";
    functions::time_sleep(3);
    int y = co.await(square(out, x));
    out << "Finishing cube with argument " << x << "!\n";
    return x * y;
  };
}

// Of a cube() that forgets to await Python finds out when it multiplies by a coroutine object. In C++ that
// does not compile.
template <class T>
concept can_be_multiplied = requires(T x) { 3 * x; };
static_assert(!can_be_multiplied<krait::coroutine<message, void, int>>);

void never_awaited(std::ostream& out) {
  const warnings_to here(out);
  auto coro = square(out, 2);
  print(out, coro.repr());  // nothing has run, and nothing will
}

void driven(std::ostream& out) {
  const warnings_to here(out);  // there are none
  auto coro = square(out, 4);
  send_none(out, coro);
}

void awaited(std::ostream& out) {
  const warnings_to here(out);
  auto coro = cube(out, 3);
  send_none(out, coro);
}

}  // namespace coroutines

// ------------------------------------------------------------------------------- yielding to the scheduler

// Python: @types.coroutine
krait::awaitable_generator<message> manual_sleep(int n) {
  return [n](auto& yield) {
    yield("Please do not continue until " + std::to_string(n) + " seconds have elapsed.");
  };
}

krait::coroutine<message, void, int> square(std::ostream& out, int x) {
  return [&out, x](auto& co) {
    out << "Starting square with argument " << x << "!\n";
    co.await(manual_sleep(3));
    out << "Finishing square with argument " << x << "!\n";
    return x * x;
  };
}

krait::coroutine<message, void, int> cube(std::ostream& out, int x) {
  return [&out, x](auto& co) {
    out << "Starting cube with argument " << x << "!\n";
    co.await(manual_sleep(3));
    int y = co.await(square(out, x));
    out << "Finishing cube with argument " << x << "!\n";
    return x * y;
  };
}

void sleeping(std::ostream& out) {
  auto coro = cube(out, 3);
  send_none(out, coro);
  send_none(out, coro);
  send_none(out, coro);
}

void interleaved(std::ostream& out) {
  auto coro1 = cube(out, 5);
  auto coro2 = cube(out, 10);
  for (int round = 0; round < 3; ++round) {
    send_none(out, coro1);
    send_none(out, coro2);
  }
}

// ---------------------------------------------------------------------------------- coroutines by themselves

krait::coroutine<message> corout(std::ostream& out) {
  return [&out](auto&) { print(out, "running corout"); };
}

void by_themselves(std::ostream& out) {
  const warnings_to here(out);
  print(out, corout(out).repr());  // a coroutine object; it is dropped
  auto cr = corout(out);
  send_none(out, cr);
}

krait::coroutine<message> foofoo(std::ostream& out) {
  return [&out](auto&) { print(out, "foofoo"); };
}

namespace subroutine {
void foo() {}
}  // namespace subroutine

// Python: def foo(): yield from foofoo(). What it delegates to would be a generator; a coroutine has to be
// awaited, in Python by a function that is marked.
namespace generator {
krait::generator<message> foo(std::ostream& out) {
  return [&out](auto& yield) { krait::awaiter(yield).await(foofoo(out)); };
}
}  // namespace generator

krait::coroutine<message> foo(std::ostream& out) {
  return [&out](auto& co) { co.await(foofoo(out)); };
}

void nested(std::ostream& out) {
  subroutine::foo();
  for (const message& each : generator::foo(out)) {
    print(out, each);  // there are none
  }
  auto coro = foo(out);
  send_none(out, coro);
}

// -------------------------------------------------------------- rows and queries in turns, with async and
// await

/// Hands each response to the driver while the database is at work; returns the last.
krait::awaitable_generator<db_response, void, db_response> response_of(database_connection& db) {
  return [&db](auto& yield) {
    db_response response = db.get_response();
    while (response.status == "pending") {
      yield(response);
      response = db.get_response();
    }
    return response;
  };
}

krait::coroutine<db_response, void, db_response> insert_into_database(std::ostream& out, message row) {
  return [&out, row = std::move(row)](auto& co) {
    auto db = get_database_connection(out);
    db.insert(row);
    db_response response = co.await(response_of(db));
    print(out, response.status == "success" ? "success" : "failure");
    return response;
  };
}

krait::coroutine<db_response, void, db_response> select_from_database(std::ostream& out, message query) {
  return [&out, query = std::move(query)](auto& co) {
    auto db = get_database_connection(out);
    db.select(query);
    db_response response = co.await(response_of(db));
    print(out, response.status == "success" ? "success" : "failure");
    return response;
  };
}

using two_responses = std::pair<db_response, db_response>;

krait::coroutine<db_response, void, two_responses> insert_and_select_from_database(std::ostream& out,
                                                                                   message row,
                                                                                   message query) {
  return [&out, row = std::move(row), query = std::move(query)](auto& co) {
    db_response insert_response = co.await(insert_into_database(out, row));
    db_response select_response = co.await(select_from_database(out, query));
    return std::pair(insert_response, select_response);
  };
}

/// The event loop: what is yielded at any depth comes here.
void round_robin(std::ostream& out) {
  std::vector<krait::coroutine<db_response, void, two_responses>> coroutines;
  coroutines.push_back(insert_and_select_from_database(out, "row 1", "query 2"));
  coroutines.push_back(insert_and_select_from_database(out, "duplicate row 2", "query 1"));
  std::size_t completed_coroutines = 0;

  while (completed_coroutines < coroutines.size()) {
    for (auto& coroutine : coroutines) {
      if (!coroutine.done()) {
        completed_coroutines += coroutine.resume().returned();  // send(None), without exceptions
      }
    }
  }
  for (const auto& coroutine : coroutines) {
    const auto& [insert_response, select_response] = *coroutine.result();
    print(out, "insert:", insert_response.status, "select:", select_response.status);
  }
}

// ------------------------------------------------------------------------------ async for, async with

/// Its items are elsewhere: each is fetched when the loop comes to it.
class remote_container {
 public:
  explicit remote_container(std::vector<message> items) : items_(std::move(items)) {}

  remote_container& aiter() {
    next_ = 0;
    return *this;
  }
  krait::coroutine<message, void, message> anext() {
    return [this](auto& co) {
      if (next_ == items_.size()) {
        throw krait::stop_async_iteration();
      }
      co.await(fetch());
      return items_[next_++];
    };
  }

 private:
  krait::awaitable_generator<message> fetch() const {
    return [this](auto& yield) { yield("fetching item " + std::to_string(next_)); };
  }

  std::vector<message> items_;
  std::size_t next_ = 0;
};

krait::coroutine<message> loop(std::ostream& out, remote_container& remote) {
  return [&out, &remote](auto& co) {
    for (auto& item : krait::async_for(co, remote)) {  // Here we might yield to the scheduler!
      print(out, "do_stuff", repr(item));
      print(out, "do_more_stuff", repr(item));
    }
  };
}

void drive(std::ostream& out, krait::coroutine<message>& coro) {
  while (auto step = coro.resume()) {
    print(out, "scheduler:", *step);
  }
}

void async_for(std::ostream& out) {
  std::vector<message> container{"pig"};
  for (auto& item : container) {
    print(out, "do_stuff", repr(item));
    print(out, "do_more_stuff", repr(item));
  }
  remote_container remote({"cow", "hen"});
  auto coro = loop(out, remote);
  drive(out, coro);
}

/// A key-value store, and the network to it.
class database {
 public:
  void set_key_at_once(const message& key, const message& value) { keys_[key] = value; }
  krait::awaitable_generator<message> set_key(message key, message value) {
    return [this, key = std::move(key), value = std::move(value)](auto& yield) {
      yield("sending " + key);
      keys_[key] = value;
    };
  }
  const message& operator[](const message& key) const { return keys_.at(key); }

 private:
  std::map<message, message> keys_;
};

krait::awaitable_generator<message> network(message doing) {
  return [doing = std::move(doing)](auto& yield) { yield(doing); };
}

/// What is awaited before the block, and after it, however it is left.
krait::asynccontextmanager<database*, message> connect(database& db, message address) {
  return [&db, address = std::move(address)](auto& co) {
    co.await(network("connecting to " + address));
    try {
      co(&db);
    } catch (...) {
      co.await(network("hanging up"));
      throw;
    }
    co.await(network("disconnecting"));
  };
}

namespace blocking {
/// Without a scheduler: the program stands still while the network is at work.
krait::contextmanager<database&> connect(database& db) {
  return [&db](auto& yield) {
    functions::time_sleep(1);
    yield(db);
    functions::time_sleep(1);
  };
}
}  // namespace blocking

krait::coroutine<message> use_connection(std::ostream& out, database& store) {
  return [&out, &store](auto& co) {
    krait::async_with(co, connect(store, "proto://db.somedomain.net"),
                      [&](database* db) { co.await(db->set_key("cow", "Moo!")); });
    print(out, "cow:", store["cow"]);
    try {
      krait::async_with(co, connect(store, "proto://db.somedomain.net"),
                        [&](database* db) { print(out, "hen:", (*db)["hen"]); });
    } catch (const std::out_of_range&) {
      print(out, "KeyError: 'hen'");
    }
  };
}

void async_with(std::ostream& out) {
  database store;
  krait::with(blocking::connect(store), [](database& db) { db.set_key_at_once("pig", "Oink!"); });
  print(out, "pig:", store["pig"]);
  auto coro = use_connection(out, store);
  drive(out, coro);
}

constexpr example table[] = {
    {"functions", "just functions to start", functions::run},
    {"never_awaited", "a coroutine object that nobody awaits", coroutines::never_awaited},
    {"driven", "a coroutine run by send()", coroutines::driven},
    {"awaited", "a coroutine that awaits another", coroutines::awaited},
    {"sleeping", "yielding to the scheduler, who is human", sleeping},
    {"interleaved", "two coroutines, in turns", interleaved},
    {"corout", "coroutines by themselves", by_themselves},
    {"foo", "await is the yield from of coroutines", nested},
    {"round_robin", "an event loop over rows and queries", round_robin},
    {"async_for", "a loop over a remote container", async_for},
    {"async_with", "a connection that waits to be made and to be closed", async_with},
};

}  // namespace

std::span<const example> examples() {
  return table;
}

}  // namespace by_hand
