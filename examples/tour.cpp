// SPDX-License-Identifier: BSL-1.0
//
// A tour of generators: well-known Python programs, in C++ with krait, under their Python names.
// Each section is a few generator functions and one function that runs them.
//
// A generator function returns a lambda, whose parameter is the keyword: `yield(x)` is Python's `yield x`.
// The lambda outlives the call, so it captures what it needs by value; only `out` is there for the whole
// tour.

#include "tour.hpp"

#include <array>
#include <cstddef>
#include <krait/krait.hpp>
#include <optional>
#include <ostream>
#include <stdexcept>
#include <string>
#include <string_view>
#include <tuple>
#include <utility>
#include <vector>

#include "database.hpp"
#include "python.hpp"

namespace tour {
namespace {

// ------------------------------------------------------------------- subroutines, which return and are gone

std::vector<int> fibonacci_list(int n) {
  int a = 1, b = 1;
  std::vector<int> result;
  for (int i = 0; i < n; ++i) {
    result.push_back(a);
    std::tie(a, b) = std::tuple(b, a + b);
  }
  return result;
}

int subfoo(int bar) {
  int qux = 3;
  return qux * bar;
}

void subroutines(std::ostream& out) {
  print(out, repr(fibonacci_list(7)));
  for (int number : fibonacci_list(7)) {
    print(out, number);
  }
  print(out, subfoo(14));
}

// ------------------------------------------------------------------------------------- finite Fibonacci

krait::generator<int> fibonacci_generator(int n) {
  return [n](auto& yield) {
    int a = 1, b = 1;
    for (int i = 0; i < n; ++i) {
      yield(a);
      std::tie(a, b) = std::tuple(b, a + b);
    }
  };
}

void fibonacci(std::ostream& out) {
  auto generator = fibonacci_generator(7);
  print(out, generator.repr());  // nothing has run so far
  try {
    for (;;) {
      print(out, next(generator));
    }
  } catch (const krait::stop_iteration<>& end) {
    print(out, end.what());
  }

  for (int number : fibonacci_generator(7)) {  // calls next() until StopIteration
    print(out, number);
  }
}

// ----------------------------------------------------------------------------------- infinite Fibonacci

krait::generator<int> fibonacci_infinite() {
  return [](auto& yield) {
    int a = 1, b = 1;
    while (true) {
      yield(a);
      std::tie(a, b) = std::tuple(b, a + b);
    }
  };
}

void fibonacci_for_ever(std::ostream& out) {
  for (int number : fibonacci_infinite()) {
    if (number > 100) {
      break;  // destroys the generator, which closes it: `while (true)` ends here
    }
    print(out, number);
  }
}

// ------------------------------------------------------------------------------- a running sum, by send

krait::generator<int, int> sum_generator() {  // yields int, is sent int
  return [](auto& yield) {
    int total = 0;
    while (true) {
      int value = yield(total);
      total += value;
    }
  };
}

void running_sum(std::ostream& out) {
  auto generator = sum_generator();
  print(out, next(generator));  // runs to the first `yield`, which then waits for a value
  print(out, generator.send(1));
  print(out, generator.send(2));
  print(out, generator.send(3));
}

// ---------------------------------------------------------------------- inserting rows, all at one time

/// Yields the response to the resumer while the database is at work. In Python both generators below have
/// this loop in full, as only they can yield; here a `yield` may come from any depth of ordinary calls.
template <class Yielder>
db_response wait_for_response(Yielder& yield, database_connection& db) {
  db_response response = db.get_response();
  do {
    yield(response);
    response = db.get_response();
  } while (response.status == "pending");
  return response;
}

// Is sent None only, which is what nullptr is; its return value comes into play in the next section.
krait::generator<db_response, std::nullptr_t, db_response> insert_into_database(std::ostream& out,
                                                                                std::string row) {
  return [&out, row = std::move(row)](auto& yield) {
    auto db = get_database_connection(out);
    db.insert(row);
    db_response response = wait_for_response(yield, db);
    print(out, response.status == "success" ? "success" : "failure");
    return response;
  };
}

/// An event loop in its simplest form: starts every coroutine, then resumes one after the other until all
/// have ended.
template <class Generator>
void round_robin(std::vector<Generator>& coroutines) {
  std::vector<std::optional<db_response>> responses;
  for (auto& coroutine : coroutines) {
    responses.push_back(next(coroutine));
  }
  std::size_t completed_coroutines = 0;

  while (completed_coroutines < coroutines.size()) {
    for (std::size_t i = 0; i < coroutines.size(); ++i) {
      if (responses[i]) {
        try {
          responses[i] = coroutines[i].send(nullptr);
        } catch (const krait::stop_iteration<>&) {
          responses[i] = std::nullopt;
          completed_coroutines += 1;
        }
      }
    }
  }
}

void row_inserter(std::ostream& out) {
  std::vector<krait::generator<db_response, std::nullptr_t, db_response>> coroutines;
  for (const char* row : {"row 3", "row 1", "duplicate row 2"}) {
    coroutines.push_back(insert_into_database(out, row));
  }
  round_robin(coroutines);
}

// ------------------------------------------------------------------------- delegation and return values

krait::generator<db_response, std::nullptr_t, db_response> select_from_database(std::ostream& out,
                                                                                std::string query) {
  return [&out, query = std::move(query)](auto& yield) {
    auto db = get_database_connection(out);
    db.select(query);
    db_response response = wait_for_response(yield, db);
    print(out, response.status == "success" ? "success" : "failure");
    return response;
  };
}

using two_responses = std::pair<db_response, db_response>;

krait::generator<db_response, std::nullptr_t, two_responses> insert_and_select_from_database(
    std::ostream& out, std::string row, std::string query) {
  return [&out, row = std::move(row), query = std::move(query)](auto& yield) {
    db_response insert_response = yield.from(insert_into_database(out, row));
    db_response select_response = yield.from(select_from_database(out, query));
    return std::pair(insert_response, select_response);
  };
}

void delegation(std::ostream& out) {
  std::vector<krait::generator<db_response, std::nullptr_t, two_responses>> coroutines;
  coroutines.push_back(insert_and_select_from_database(out, "row 1", "query 2"));
  coroutines.push_back(insert_and_select_from_database(out, "duplicate row 2", "query 1"));
  round_robin(coroutines);

  for (const auto& coroutine : coroutines) {
    const auto& [insert_response, select_response] = *coroutine.result();
    print(out, "insert:", insert_response.status, "select:", select_response.status);
  }
}

// ---------------------------------------------------------------------------------- the first coroutine

krait::generator<std::string, char> my_coroutine(std::ostream& out, std::size_t multiplier) {
  return [&out, multiplier](auto& yield) {
    print(out, "my_coroutine started with multiplier", multiplier);
    std::vector<char> received;
    while (true) {
      std::string value_to_produce;
      for (char c : received) {
        value_to_produce.append(multiplier, c);
      }
      print(out, "my_coroutine will produce", repr(value_to_produce));
      char data_received = yield(value_to_produce);
      print(out, "my_coroutine received", repr({&data_received, 1}));
      received.push_back(data_received);
    }
  };
}

void first_coroutine(std::ostream& out) {
  auto coro = my_coroutine(out, 2);
  next(coro);  // "start" coroutine: a char cannot be None, and nothing else may be sent yet

  for (char c : {'A', 'B', 'C'}) {
    print(out, "main sends to coroutine", repr({&c, 1}));
    std::string received = coro.send(c);
    print(out, "main received from coroutine", repr(received));
  }
}

// ---------------------------------------------------------------------------- throwing into a generator

/// Infinite Fibonacci generator, starts at 0
krait::generator<int> fib() {
  return [](auto& yield) {
    int a = 0, b = 1;
    while (true) {
      yield(a);  // thrown exception originates from here
      std::tie(a, b) = std::tuple(b, a + b);
    }
  };
}

void print_fib_throw_after(std::ostream& out, int n) {
  auto fib_instance = fib();
  for (int i = 0; i < n; ++i) {
    int fib_number = next(fib_instance);
    print(out, fib_number);
    if (fib_number == n) {
      fib_instance.throw_(std::runtime_error("I don't like " + std::to_string(n)));
    }
  }
}

void throw_into(std::ostream& out) {
  try {
    print_fib_throw_after(out, 89);
  } catch (const std::exception& error) {
    print(out, "Exception:", error.what());
  }
}

// ---------------------------------------------------------------------------------- closing a generator

krait::generator<std::string_view> well_behaved(std::ostream& out) {
  return [&out](auto& yield) {
    try {
      yield("at work");
    } catch (const krait::generator_exit& exit) {
      print(out, "cleaning up after", exit.what());  // a destructor would do as well
      throw;
    }
  };
}

krait::generator<std::string_view> stubborn() {
  return [](auto& yield) {
    try {
      yield("at work");
    } catch (const krait::generator_exit&) {
      yield("still at work");  // the only valid thing to do is to re-raise, or to return
    }
  };
}

void close(std::ostream& out) {
  auto first = well_behaved(out);
  print(out, next(first));
  first.close();

  auto second = stubborn();
  print(out, next(second));
  try {
    second.close();
  } catch (const krait::runtime_error& error) {
    print(out, "RuntimeError:", error.what());
  }
}

// --------------------------------------------------------------- up and down the call stack: yield from

// `const char*` is a str or None in each of the three places: yielded, sent, returned.
krait::generator<const char*, const char*, const char*> cofoo(const char* bar) {
  return [bar](auto& yield) {
    const char* qux = yield(bar);  // yield marks a break point
    return qux;
  };
}

krait::generator<const char*, const char*> wrap() {
  return [](auto& yield) {
    yield("before");
    yield.from(cofoo("bar"));
    yield("after");
  };
}

void wrapped(std::ostream& out) {
  auto generator = cofoo("bar");
  print(out, next(generator));
  try {
    generator.send("qux");
  } catch (const krait::stop_iteration<const char*>& end) {
    print(out, "StopIteration:", end.value());
  }

  for (const char* item : wrap()) {
    print(out, item);
  }
}

// ---------------------------------------------------------------------- a generator that yields nothing

krait::generator<void> genfunction(std::ostream& out) {
  return [&out](auto& yield) {
    print(out, "in the generator");
    yield();
  };
}

void generator_function(std::ostream& out) {
  auto g = genfunction(out);
  next(g);
  try {
    next(g);
  } catch (const krait::stop_iteration<>& end) {
    print(out, end.what());
  }
}

constexpr std::array<example, 11> table = {{
    {"subroutines", "what generators are not: all numbers at once", subroutines},
    {"fibonacci", "the first 7 Fibonacci numbers, by next() and by a loop", fibonacci},
    {"infinite", "Fibonacci numbers without end, until the loop breaks off", fibonacci_for_ever},
    {"sum", "a running sum of what is sent", running_sum},
    {"insert", "rows inserted concurrently, in turns", row_inserter},
    {"delegate", "yield from, twice, and a pair of return values", delegation},
    {"coroutine", "the first coroutine", first_coroutine},
    {"throw", "an exception thrown into a generator", throw_into},
    {"close", "GeneratorExit, heeded and ignored", close},
    {"wrap", "a generator wrapped in another", wrapped},
    {"genfunction", "a generator function that yields None", generator_function},
}};

}  // namespace

std::span<const example> examples() {
  return table;
}

}  // namespace tour
