// SPDX-License-Identifier: BSL-1.0
// What does not compile, and what krait says then. tests/refused/run compiles each part by itself: it must
// fail with the text that its first line has.

#include <krait/krait.hpp>

#include <exception>
#include <optional>
#include <string>
#include <vector>

struct waiting_manager {
  krait::coroutine<int> aenter();
  krait::coroutine<int, void, bool> aexit(const std::exception_ptr&);
};

struct plain_manager {
  void enter();
  void exit(const std::exception_ptr&);
};

//! this object can't be awaited: it is no coroutine, no awaitable_generator, and has no await()
krait::coroutine<int> refused() {
  return [](auto& co) { co.await(5); };
}

//! a plain generator is not awaitable
krait::coroutine<int> refused(krait::generator<int>& g) {
  return [&g](auto& co) { co.await(g); };
}

//! the object's await() returned a coroutine: return an iterator of it, `c.await()`
struct wrong {
  krait::coroutine<int> await();
};
krait::coroutine<int> refused() {
  return [](auto& co) { co.await(wrong()); };
}

//! the object's await() returned a non-iterator: a generator, an object with next() or a range is wanted
struct wrong {
  int await();
};
krait::coroutine<int> refused() {
  return [](auto& co) { co.await(wrong()); };
}

//! cannot yield: make its Yield the same
krait::coroutine<int> refused(krait::coroutine<std::string>&& other) {
  return [&other](auto& co) { co.await(std::move(other)); };
}

//! delegates to or awaits: make its Send the same
krait::coroutine<int, std::string> refused(krait::coroutine<int, std::vector<int>>&& other) {
  return [&other](auto& co) { co.await(std::move(other)); };
}

//! Yield the generator's DriverYield
krait::coroutine<int> refused(krait::async_generator<int, void, std::string>& g) {
  return [&g](auto& co) { co.await(g.anext()); };
}

//! make its Send the generator's DriverSend
krait::coroutine<int, std::string> refused(krait::async_generator<int, void, int, std::vector<int>>& g) {
  return [&g](auto& co) { co.await(g.anext()); };
}

//! a coroutine is awaited, or delegated to by its await()
krait::generator<int> refused(krait::coroutine<int>& c) {
  return [&c](auto& yield) { yield.from(c); };
}

//! use a pointer or std::reference_wrapper
krait::async_generator<int&> refused() {
  return [](auto&) {};
}

//! 'async for' requires an object with aiter(); over a range or a generator, loop with a plain for
krait::coroutine<int> refused() {
  return [](auto& co) {
    for (const int i : krait::async_for(co, std::vector<int>())) {
      static_cast<void>(i);
    }
  };
}

//! 'async for' received an object from aiter() that does not implement anext()
struct wrong {
  std::string aiter();
};
krait::coroutine<int> refused() {
  return [](auto& co) { krait::async_for(co, wrong()); };
}

//! 'async for' received an invalid object from anext(): it cannot be awaited
struct wrong {
  wrong& aiter();
  int anext();
};
krait::coroutine<int> refused() {
  return [](auto& co) { krait::async_for(co, wrong()); };
}

//! does not support the context manager protocol: enter(), and exit(std::exception_ptr)
void refused() {
  krait::with(5, [] {});
}

//! Did you mean to use async_with?
void refused() {
  krait::with(waiting_manager(), [] {});
}

//! Did you mean to use with?
krait::coroutine<int> refused() {
  return [](auto& co) { krait::async_with(co, plain_manager(), [] {}); };
}

//! with: the body takes nothing, as the manager's enter() returns nothing
void refused() {
  krait::with(plain_manager(), [](int) {});
}

//! with: a body returns a value or nothing
int& refused(int& object) {
  return krait::with(plain_manager(), [&]() -> int& { return object; });
}

//! did you mean enter_context(awaited(co, manager))?
void refused() {
  krait::exit_stack stack;
  stack.enter_context(waiting_manager());
}

//! -std=c++17: krait needs C++20: compile with -std=c++20

//! the object's send() does not take what is sent to this generator
struct stubborn {
  int next();
  int send(std::vector<int>);
};
krait::generator<int, std::optional<int>> refused() {
  return [](auto& yield) { yield.from(stubborn()); };
}

//! the object's send() does not take what is sent to this generator
struct stubborn final {
  int next();
  int send(std::vector<int>);
};
krait::generator<int, std::optional<int>> refused() {
  return [](auto& yield) { yield.from(stubborn()); };
}

//! the object's throw_() cannot be called with a std::exception_ptr
struct stubborn {
  int next();
  int throw_(int);
};
krait::generator<int> refused() {
  return [](auto& yield) { yield.from(stubborn()); };
}

//! what is sent to this generator or coroutine cannot be sent on to what it delegates to or awaits
krait::generator<int, std::optional<int>> refused(krait::generator<int, std::string>& inner) {
  return [&](auto& yield) { yield.from(inner); };
}
