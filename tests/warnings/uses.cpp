// SPDX-License-Identifier: BSL-1.0
//
// What users write that compilers have warned of, or might: for `run`, which only compiles it.

#include <exception>
#include <iostream>
#include <krait/krait.hpp>
#include <stdexcept>
#include <string>

namespace {

struct row {
  std::string name;
};

// An asynchronous iterable without a destructor: GCC 14 took a range of it for a view of a temporary.
struct no_rows {
  struct iterator {
    krait::coroutine<int, std::string, row> anext() const {
      return [](auto&) -> row { throw krait::stop_async_iteration(); };
    }
  };
  iterator aiter() const { return {}; }
};

krait::generator<const row&> rows() {
  return [](auto& yield) {
    for (const char* name : {"first", "second", "third"}) {
      yield(row{name});
    }
  };
}

krait::generator<const row&, std::string> renamed(row each) {
  return [each](auto& yield) mutable {
    for (;;) {
      each.name = yield(each);
    }
  };
}

krait::async_generator<row, void, int, std::string> sent_rows() {
  return [](auto& yield) {
    for (int n = 0; n < 3; ++n) {
      yield(row{yield.await(krait::coroutine<int, std::string, std::string>([](auto&) { return "x"; }))});
    }
  };
}

struct manager {
  row value{"entered"};
  row& enter() { return value; }
  void exit(std::exception_ptr) {}
};

void loops_and_references() {
  auto g = renamed(row{"first"});
  const row& first = g.next();
  const row& second = g.send(std::string("x"));
  std::cout << first.name << second.name;
  for (const row& each : rows()) {
    std::cout << each.name;
  }
  for (auto&& each : rows()) {
    std::cout << each.name;
  }
  auto h = rows();
  const auto step = h.resume();
  const row& item = *step;
  std::cout << item.name;
  const row& raised = h.throw_(std::runtime_error("x"));
  std::cout << raised.name;
  krait::exit_stack stack;
  const row& kept = stack.enter_context(manager());
  krait::entered inside(manager{});
  const row& value = *inside;
  std::cout << kept.name << value.name;
  krait::with(manager(), [](row& entered) { std::cout << entered.name; });
}

krait::coroutine<int, std::string> asynchronous_loops() {
  return [](auto& co) {
    for (const row& each : krait::async_for(co, no_rows())) {
      std::cout << each.name;
    }
    for (auto&& each : krait::async_for(co, sent_rows())) {
      std::cout << each.name;
    }
    auto&& range = krait::async_for(co, no_rows());
    for (auto& each : range) {
      std::cout << each.name;
    }
    const no_rows none;
    for (auto each : krait::async_for(co, none)) {
      std::cout << each.name;
    }
  };
}

}  // namespace

int main() {
  loops_and_references();
  auto c = asynchronous_loops();
  c.close();
}
