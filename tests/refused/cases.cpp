// SPDX-License-Identifier: BSL-1.0
// What does not compile, and what krait says then. tests/refused/run compiles each part by itself: it must
// fail with the text that its first line has.

#include <krait/asyncio.hpp>
#include <krait/krait.hpp>

#include <exception>
#include <memory>
#include <optional>
#include <ranges>
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

//! 'async for' sends None, which this generator's Send cannot say: asend(), or a Send of std::optional
krait::coroutine<int> refused(krait::async_generator<int, int, int>& g) {
  return [&g](auto& co) {
    for (const int i : krait::async_for(co, g)) {
      static_cast<void>(i);
    }
  };
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

//! this body takes nothing: it takes by reference what it yields or awaits with
krait::generator<int> refused() {
  return [] {};
}

//! this body takes nothing: it takes by reference
krait::coroutine<int> refused() {
  return [] {};
}

//! this body takes nothing: it takes by reference
krait::async_generator<int> refused() {
  return [] {};
}

//! this body takes nothing: it takes by reference
krait::contextmanager<int> refused() {
  return [] {};
}

//! this body takes nothing: it takes by reference
krait::asynccontextmanager<int> refused() {
  return [] {};
}

//! this body takes nothing: it takes by reference
krait::awaitable_generator<int> refused() {
  return [] {};
}

//! this body takes by value what it yields or awaits with: write [](auto& yield), with &
krait::generator<int> refused() {
  return [](auto yield) {
    yield(1);
    yield.from(std::vector<int>());
  };
}

//! this body takes by value what it yields or awaits with: write [](auto& yield), with &
krait::coroutine<int> refused(krait::coroutine<int>& other) {
  return [&other](auto co) { co.await(other); };
}

//! this body takes by value what it yields or awaits with: write [](auto& yield), with &
krait::async_generator<int> refused() {
  return [](auto co) { co(1); };
}

//! this body returns a value, and Return is void: return nothing, or make Return its type
krait::generator<int> refused() {
  return [](auto& yield) {
    yield(1);
    return 1;
  };
}

//! this body returns nothing, and Return is not void: return a value on every path
krait::generator<int, void, int> refused() {
  return [](auto& yield) { yield(1); };
}

//! this body returns what does not convert to Return: make that its type, or say which type it returns
krait::coroutine<int, void, std::string> refused() {
  return [](auto&) { return 5; };
}

//! this body cannot be copied: give it away with std::move
krait::generator<int> refused() {
  const auto body = [box = std::make_unique<int>()](auto& yield) { yield(*box); };
  return krait::generator<int>(body);
}

//! it cannot be copied: std::move it, or refer to it
krait::generator<int> refused(krait::generator<int>& g) {
  return krait::generator<int>(g);
}

//! it cannot be copied: std::move it, or refer to it
void refused(krait::coroutine<int>& c) {
  const auto copied = c;
}

//! a const generator cannot be advanced: if a lambda has captured it, make that mutable
krait::generator<int> refused(krait::generator<int> g) {
  return [g = std::move(g)](auto& yield) { yield.from(g); };
}

//! a loop sends None, which this Send cannot say: send(), or a Send of std::optional
void refused(krait::generator<int, int>& g) {
  for (const int item : g) {
    static_cast<void>(item);
  }
}

//! yield.from: a range takes only None, which this generator's Send cannot say
krait::generator<int, int> refused() {
  return [](auto& yield) { yield.from(std::vector<int>()); };
}

//! iter: what the function returns cannot be compared with the sentinel
void refused() {
  static_cast<void>(krait::iter([] { return 1; }, std::string()));
}

//! iter: the function returns something, to be compared with the sentinel
void refused() {
  static_cast<void>(krait::iter([] {}, 1));
}

//! its exit returns bool or, if its body never swallows exceptions, void
krait::contextmanager<int, int> refused() {
  return [](auto& yield) { yield(1); };
}

//! give it away, `std::move(g) | ...`, or keep it and lend it, `std::ranges::ref_view(g) | ...`
void refused(krait::generator<int>& g) {
  g | std::views::take(1);
}

//! -fno-exceptions: krait needs exceptions

//! -fno-rtti: krait needs run-time type information

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

//! bad yield: what a coroutine yields to the event loop must be void or a future
void refused(krait::coroutine<std::string>&& yields_text) {
  krait::asyncio::await(std::move(yields_text));
}

//! bad yield: what a coroutine yields to the event loop must be void or a future, and its Send void
void refused(krait::coroutine<void, std::optional<int>>&& wants_a_number) {
  krait::asyncio::await(std::move(wants_a_number));
}

//! bad yield: an asynchronous generator's DriverYield must be void or a future for the event loop
void refused(krait::async_generator<int, void, std::string>& g) {
  krait::asyncio::await(g.anext());
}
