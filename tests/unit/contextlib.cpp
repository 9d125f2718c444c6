// SPDX-License-Identifier: BSL-1.0
#include <doctest/doctest.h>
#include <pthread.h>

#include <concepts>
#include <exception>
#include <functional>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <utility>

#include <krait/krait.hpp>

#include "support/probes.hpp"
#include "support/support.hpp"

// What CPython's tests of context managers leave open: destructors, types, cancelled threads.

namespace {

using krait::contextmanager;
using krait::entered;
using krait::exit_stack;
using krait::generator;
using krait::with;
using probes::text_of;
using support::journal;
using support::raised_by;

std::runtime_error error(const std::string& text) {
  return std::runtime_error(text);
}

/// Notes what it is called with.
struct noting {
  void enter() { log("enter"); }
  void exit(const std::exception_ptr& exception) { log("exit " + text_of(exception)); }
  journal& log;
};

/// Notes it, and swallows.
struct swallowing : noting {
  bool exit(const std::exception_ptr& exception) {
    noting::exit(exception);
    return true;
  }
};

/// Notes it, and raises another.
struct raising : noting {
  void exit(const std::exception_ptr& exception) {
    noting::exit(exception);
    throw error("from exit");
  }
};

struct giving_int {
  int enter() { return 1; }
  void exit(const std::exception_ptr&) {}
};
struct giving_int_swallowing : giving_int {
  bool exit(const std::exception_ptr&) { return true; }
};

/// Gives a reference to itself.
struct giving_itself {
  giving_itself& enter() { return *this; }
  void exit(const std::exception_ptr&) {}
  int value = 1;
};

contextmanager<void> noting_manager(journal& log, const std::string& name = "") {
  return [&log, name](auto& yield) {
    log("enter" + name);
    try {
      yield();
    } catch (...) {
      log("exit" + name + " " + probes::handled());
      throw;
    }
    log("exit" + name);
  };
}

contextmanager<std::unique_ptr<int>> making_pointer() {
  return [](auto& yield) { yield(std::make_unique<int>(1)); };
}

template <class Manager, class Body>
using result_of_with = decltype(with(std::declval<Manager>(), std::declval<Body>()));

}  // namespace

TEST_CASE("an exit_stack looks at the exceptions that pass where it is, not where it was made") {
  journal log;
  const auto moved_out = [&](auto make_new) {
    std::optional<exit_stack> kept;
    struct maker {
      journal& log;
      std::optional<exit_stack>& kept;
      ~maker() {
        exit_stack made;
        made.push(noting{log});
        kept.emplace(std::move(made));
      }
    };
    try {
      const maker within{log, kept};
      throw error("one");
    } catch (const std::runtime_error&) {
    }
    make_new(*kept);
  };
  SUBCASE("moved out of a destructor that ran while one was passing, destroyed while another is") {
    moved_out([](exit_stack& kept) {
      CHECK_THROWS_AS(
          [&] {
            const exit_stack mine = std::move(kept);
            throw error("two");
          }(),
          std::runtime_error);
    });
    CHECK(log.text() == "exit GeneratorExit");
  }
  SUBCASE("destroyed in order") {
    moved_out([](exit_stack& kept) { const exit_stack mine = std::move(kept); });
    CHECK(log.text() == "exit none");
  }
}

TEST_CASE("what enter() returned lives until the manager has exited, whatever it is") {
  journal log;
  struct value {
    explicit value(journal& j) : log(j) {}
    value(const value&) = delete;
    value& operator=(const value&) = delete;
    ~value() { log("gone"); }
    journal& log;
  };
  struct manager {
    value enter() { return value(log); }
    void exit(const std::exception_ptr&) { log("exit"); }
    journal& log;
  };
  SUBCASE("with") {
    with(manager{log}, [](value& made) { made.log("inside"); });
    CHECK(log.text() == "inside, exit, gone");
  }
  SUBCASE("entered") {
    {
      (*entered(manager{log})).log("inside");
    }
    CHECK(log.text() == "inside, exit, gone");
  }
}

TEST_CASE("an exit_stack within an exit_stack") {
  journal log;
  {
    exit_stack outer;
    exit_stack& inner = outer.enter_context(exit_stack());
    inner.push(noting{log});
    exit_stack other;
    other.callback([&] { log("callback"); });
    outer.push(other.pop_all());
  }
  CHECK(log.text() == "callback, exit none");
}

TEST_CASE("with returns what its body does, in an optional if the manager can swallow exceptions") {
  using body = int (*)(int&);
  using void_body = void (*)(int&);
  CHECK(std::same_as<result_of_with<giving_int, body>, int>);
  CHECK(std::same_as<result_of_with<giving_int_swallowing, body>, std::optional<int>>);
  CHECK(std::same_as<result_of_with<giving_int, void_body>, void>);
  CHECK(std::same_as<result_of_with<giving_int_swallowing, void_body>, void>);

  CHECK(with(giving_int(), [](int value) { return value + 1; }) == 2);
  CHECK(with(giving_int_swallowing(), [](int value) { return value + 1; }) == 2);
  CHECK(with(giving_int_swallowing(), [](int value) { return value == 1 ? throw error("") : value; }) ==
        std::nullopt);
}

TEST_CASE("what a with returns may be something that can only be moved") {
  const auto made = with(giving_int(), [](int value) { return std::make_unique<int>(value); });
  CHECK(*made == 1);
  const auto optionally =
      with(giving_int_swallowing(), [](int value) { return std::make_unique<int>(value); });
  CHECK(**optionally == 1);
}

TEST_CASE("the body of a with takes the value by reference, by value, moved, or not at all") {
  CHECK(with(giving_int(), [] { return 5; }) == 5);
  CHECK(with(giving_int(), [](const int& value) { return value; }) == 1);
  CHECK(with(giving_int(), [](int&& value) { return value; }) == 1);

  giving_itself manager;
  with(manager, [](giving_itself& self) { self.value = 2; });
  CHECK(manager.value == 2);
}

TEST_CASE("an exit is called in the handler of the exception that passes") {
  struct handling {
    void enter() {}
    void exit(const std::exception_ptr& exception) { same = exception == std::current_exception(); }
    bool same = false;
  };
  handling manager;
  CHECK_THROWS_WITH(with(manager, [] { throw error("block"); }), "block");
  CHECK(manager.same);
  manager.same = false;
  with(manager, [] {});
  CHECK(manager.same);
}

TEST_CASE("an exit that throws takes the exception's place") {
  journal log;
  CHECK_THROWS_WITH(with(raising{log}, [] { throw error("block"); }), "from exit");
  CHECK_THROWS_WITH(with(raising{log}, [] {}), "from exit");
  CHECK(log.text() == "enter, exit block, enter, exit none");
}

TEST_CASE("an entered manager is exited at the end of the scope") {
  journal log;
  {
    const entered block(noting{log});
    log("block");
  }
  CHECK(log.text() == "enter, block, exit none");
}

TEST_CASE("an entered manager that an exception leaves sees generator_exit, and cannot swallow it") {
  journal log;
  const auto raised = raised_by([&] {
    const entered block(swallowing{log});
    throw error("block");
  });
  CHECK(text_of(raised) == "block");
  CHECK(log.text() == "enter, exit GeneratorExit");
}

TEST_CASE("an entered manager is as good in a destructor that runs while an exception passes") {
  journal log;
  const auto raised = raised_by([&] {
    const probes::at_exit cleanup([&] { const entered block(noting{log}); });
    throw error("block");
  });
  CHECK(text_of(raised) == "block");
  CHECK(log.text() == "enter, exit none");
}

TEST_CASE("what the exit of an entered manager raises leaves the destructor") {
  const support::unraisables reported;
  journal log;
  CHECK_THROWS_WITH([&] { const entered block(raising{log}); }(), "from exit");
  CHECK(log.text() == "enter, exit none");
  CHECK(reported.count() == 0);
}

TEST_CASE("what the exit of an entered manager raises is reported if another exception passes") {
  const support::unraisables reported;
  journal log;
  const auto raised = raised_by([&] {
    const entered block(raising{log});
    throw error("block");
  });
  CHECK(text_of(raised) == "block");
  CHECK(log.text() == "enter, exit GeneratorExit");
  REQUIRE(reported.count() == 1);
  CHECK(text_of(reported.at(0).exception) == "from exit");
  CHECK(reported.at(0).message == "Exception ignored while leaving a context");
}

TEST_CASE("a generator_exit that an exit raises again while another exception passes is not reported") {
  struct raising_again {
    void enter() {}
    void exit(const std::exception_ptr& exception) { std::rethrow_exception(exception); }
  };
  const support::unraisables reported;
  const auto raised = raised_by([] {
    const entered block(raising_again{});
    throw error("block");
  });
  CHECK(text_of(raised) == "block");
  CHECK(reported.count() == 0);
}

TEST_CASE("an entered manager that could not be entered is not exited") {
  struct raising_enter : noting {
    void enter() { throw error("from enter"); }
  };
  journal log;
  CHECK_THROWS_WITH([&] { const entered block(raising_enter{{log}}); }(), "from enter");
  CHECK(log.text().empty());
}

TEST_CASE("an entered manager gives what enter returned") {
  entered<giving_int> value(giving_int{});
  CHECK(*value == 1);
  *value = 2;
  CHECK(*value == 2);

  giving_itself manager;
  entered lvalue(manager);
  CHECK(&*lvalue == &manager);
  CHECK(lvalue->value == 1);
  CHECK(std::same_as<decltype(lvalue), entered<giving_itself&>>);

  entered made(making_pointer());
  CHECK(**made == 1);
}

TEST_CASE("a contextmanager can be entered once") {
  auto manager = contextmanager<int>([](auto& yield) { yield(1); });
  with(manager, [] {});
  bool called = false;
  CHECK_THROWS_WITH_AS(with(manager, [&] { called = true; }), "a contextmanager can be entered once",
                       krait::value_error);
  CHECK_FALSE(called);
}

TEST_CASE("a contextmanager made of a generator that has started cannot be entered") {
  generator<int> g = [](auto& yield) { yield(1); };
  g.next();
  contextmanager<int> manager(std::move(g));
  CHECK_THROWS_AS(manager.enter(), krait::value_error);
}

TEST_CASE("a contextmanager gives a reference to the very object that its body yields") {
  int object = 1;
  with(contextmanager<int&>([&](auto& yield) { yield(object); }), [&](int& given) {
    CHECK(&given == &object);
    given = 2;
  });
  CHECK(object == 2);
}

TEST_CASE("a contextmanager gives what can only be moved") {
  CHECK(with(making_pointer(), [](std::unique_ptr<int>& made) { return *made; }) == 1);
  const auto kept = with(making_pointer(), [](std::unique_ptr<int> made) { return made; });
  CHECK(**kept == 1);
}

TEST_CASE("a contextmanager that was entered and is dropped closes its generator") {
  journal log;
  {
    auto manager = noting_manager(log);
    manager.enter();
  }
  CHECK(log.text() == "enter, exit GeneratorExit");
}

TEST_CASE("a contextmanager whose Exit is void gives what the block returns, in no optional") {
  journal log;
  const auto manager = [&log] {
    return contextmanager<int, void>([&log](auto& yield) {
      try {
        yield(3);
      } catch (...) {
        log("exit " + probes::handled());
        throw;
      }
      log("exit");
    });
  };
  CHECK(std::same_as<result_of_with<contextmanager<int, void>, int (*)(int)>, int>);
  CHECK(std::same_as<result_of_with<contextmanager<int>, int (*)(int)>, std::optional<int>>);
  CHECK(with(manager(), [](int value) { return value + 1; }) == 4);
  CHECK_THROWS_WITH_AS(with(manager(), [](int value) { return value == 3 ? throw error("block") : 1; }),
                       "block", std::runtime_error);
  CHECK(log.text() == "exit, exit block");
}

TEST_CASE("a contextmanager whose Exit is void must not swallow") {
  const auto manager = [] {
    return contextmanager<void, void>([](auto& yield) {
      try {
        yield();
      } catch (...) {
      }
    });
  };
  const char* const text = "generator swallowed an exception, and its manager's Exit is void";
  SUBCASE("an exception: an error with that as its cause") {
    const auto raised = raised_by([&] { with(manager(), [] { throw error("block"); }); });
    CHECK(support::is_a<krait::runtime_error>(raised));
    CHECK(text_of(raised) == text);
    CHECK(text_of(support::cause_of(raised)) == "block");
  }
  SUBCASE("a stop_iteration likewise") {
    const auto raised = raised_by([&] { with(manager(), [] { throw krait::stop_iteration<>(); }); });
    CHECK(text_of(raised) == text);
    CHECK(text_of(support::cause_of(raised)) == "StopIteration");
  }
  SUBCASE("an exit_stack sees that error") {
    const auto raised = raised_by([&] {
      with(exit_stack(), [&](exit_stack& stack) {
        stack.enter_context(manager());
        throw error("block");
      });
    });
    CHECK(text_of(raised) == text);
  }
  SUBCASE("generator_exit goes on, however it is answered") {
    bool went_on = false;
    generator<int> g = [&](auto& yield) {
      with(manager(), [&] { yield(1); });
      went_on = true;
    };
    CHECK(g.next() == 1);
    g.close();
    CHECK(g.done());
    CHECK_FALSE(went_on);
  }
  SUBCASE("entered") {
    const support::unraisables reported;
    const auto raised = raised_by([&] {
      const entered block(manager());
      throw error("block");
    });
    CHECK(text_of(raised) == "block");
    CHECK(reported.count() == 0);
  }
}

TEST_CASE("try_finally cleans up however the body is left, and gives what it returns") {
  journal log;
  const auto cleanup = [&log] { log("cleanup"); };
  SUBCASE("a value") {
    CHECK(krait::try_finally(
              [&] {
                log("body");
                return 5;
              },
              cleanup) == 5);
    CHECK(log.text() == "body, cleanup");
  }
  SUBCASE("what can only be moved") {
    CHECK(*krait::try_finally([] { return std::make_unique<int>(1); }, cleanup) == 1);
  }
  SUBCASE("nothing") {
    static_assert(std::is_void_v<decltype(krait::try_finally([] {}, cleanup))>);
    krait::try_finally([] {}, cleanup);
    CHECK(log.text() == "cleanup");
  }
  SUBCASE("an exception passes, which the cleanup handles meanwhile (sys.exception())") {
    CHECK_THROWS_WITH(
        krait::try_finally([] { throw error("body"); }, [&] { log("cleanup " + probes::handled()); }),
        "body");
    CHECK(log.text() == "cleanup body");
  }
  SUBCASE("the cleanup's exception takes the place of a value") {
    CHECK_THROWS_WITH(krait::try_finally([] { return 5; }, [] { throw error("cleanup"); }), "cleanup");
  }
  SUBCASE("and of an exception, which may be its cause") {
    CHECK_THROWS_WITH(krait::try_finally([] { throw error("body"); }, [] { throw error("cleanup"); }),
                      "cleanup");
    const auto raised = raised_by([] {
      krait::try_finally([] { throw error("body"); }, [] { std::throw_with_nested(error("cleanup")); });
    });
    CHECK(text_of(raised) == "cleanup");
    CHECK(text_of(support::cause_of(raised)) == "body");
  }
  SUBCASE("what the cleanup returns swallows nothing") {
    CHECK_THROWS_WITH(krait::try_finally([] { throw error("body"); }, [] { return true; }), "body");
  }
  SUBCASE("one in the other") {
    CHECK_THROWS_WITH(
        krait::try_finally([&] { krait::try_finally([] { throw error("body"); }, [&] { log("inner"); }); },
                           [&] { log("outer"); }),
        "body");
    CHECK(log.text() == "inner, outer");
  }
}

TEST_CASE("the cleanup of a try_finally may yield, and a generator that is closed goes through it") {
  journal log;
  const auto make = [&log] {
    return generator<int>([&log](auto& yield) {
      krait::try_finally([&] { yield(1); },
                         [&] {
                           log("cleanup " + probes::handled());
                           if (std::current_exception() == nullptr ||
                               !krait::detail::is_generator_exit(std::current_exception())) {
                             yield(2);
                             log("and on " + probes::handled());
                           }
                         });
      log("behind");
    });
  };
  SUBCASE("in order") {
    auto g = make();
    CHECK(g.next() == 1);
    CHECK(g.next() == 2);
    CHECK(g.resume().returned());
    CHECK(log.text() == "cleanup none, and on none, behind");
  }
  SUBCASE("by an exception, which is still handled after the yield") {
    auto g = make();
    CHECK(g.next() == 1);
    CHECK(g.throw_(error("thrown")) == 2);
    CHECK_THROWS_WITH(g.next(), "thrown");
    CHECK(log.text() == "cleanup thrown, and on thrown");
  }
  SUBCASE("closed") {
    auto g = make();
    CHECK(g.next() == 1);
    g.close();
    CHECK(log.text() == "cleanup GeneratorExit");
  }
}

TEST_CASE("a decorated function may be const, if what it is made of can be called so") {
  journal log;
  const auto manager = [&log] { return noting{log}; };
  SUBCASE("const") {
    const auto doubled = krait::context_decorator(manager, [](int i) { return 2 * i; });
    CHECK(doubled(3) == 6);
    CHECK(doubled(4) == 8);
    CHECK(log.text() == "enter, exit none, enter, exit none");
  }
  SUBCASE("with a state of its own") {
    auto counting = krait::context_decorator(manager, [n = 0]() mutable { return ++n; });
    static_assert(std::invocable<decltype(counting)&>);
    static_assert(!std::invocable<const decltype(counting)&>);
    CHECK(counting() == 1);
    CHECK(counting() == 2);
  }
  SUBCASE("a member, called as such") {
    struct object {
      int plus(int i) const { return value + i; }
      int value;
    };
    const auto plus = krait::context_decorator(manager, &object::plus);
    CHECK(plus(object{3}, 4) == 7);
  }
}

TEST_CASE("release forgets what an exit_stack was to do, and destroys what it keeps") {
  journal log;
  {
    exit_stack stack;
    stack.callback([&] { log("callback"); });
    stack.push(noting{log});
    stack.enter_context(noting_manager(log, " first"));
    stack.enter_context(noting_manager(log, " second"));
    log.clear();
    stack.release();
    CHECK(log.text() == "exit second GeneratorExit, exit first GeneratorExit");
    stack.callback([&] { log("registered afterwards"); });
  }
  CHECK(log.text() == "exit second GeneratorExit, exit first GeneratorExit, registered afterwards");
}

TEST_CASE("what release destroys may register again") {
  journal log;
  exit_stack stack;
  struct registering {
    registering(exit_stack& s, journal& l) : stack(&s), log(l) {}
    registering(registering&& other) noexcept : stack(std::exchange(other.stack, nullptr)), log(other.log) {}
    ~registering() {
      if (stack != nullptr) {
        stack->callback([this_log = &log] { (*this_log)("never"); });
        log("destroyed");
      }
    }
    void operator()() const {}
    exit_stack* stack;
    journal& log;
  };
  stack.callback(registering(stack, log));
  stack.release();
  stack.close();
  CHECK(log.text() == "destroyed");
}

TEST_CASE("a contextmanager that is moved while it is entered goes on in its new place") {
  journal log;
  auto manager = noting_manager(log);
  manager.enter();
  auto moved = std::move(manager);
  CHECK_FALSE(moved.exit(nullptr));
  CHECK(log.text() == "enter, exit");
}

TEST_CASE("a generator suspended within a with goes on there") {
  journal log;
  generator<int> g = [&](auto& yield) {
    with(noting_manager(log), [&] {
      yield(1);
      yield(2);
    });
    yield(3);
  };
  CHECK(g.next() == 1);
  CHECK(g.next() == 2);
  CHECK(log.text() == "enter");

  SUBCASE("to its end") {
    CHECK(g.next() == 3);
    CHECK(log.text() == "enter, exit");
  }
  SUBCASE("to be closed") {
    g.close();
    CHECK(g.done());
    CHECK(log.text() == "enter, exit GeneratorExit");
  }
  SUBCASE("to be thrown into") {
    CHECK_THROWS_WITH(g.throw_(error("thrown")), "thrown");
    CHECK(log.text() == "enter, exit thrown");
  }
  SUBCASE("to be destroyed") {
    g = [](auto&) {};
    CHECK(log.text() == "enter, exit GeneratorExit");
  }
}

TEST_CASE("an entered manager within a generator that is closed sees generator_exit") {
  journal log;
  generator<int> g = [&](auto& yield) {
    const entered block(noting{log});
    yield(1);
  };
  g.next();
  g.close();
  CHECK(log.text() == "enter, exit GeneratorExit");
}

TEST_CASE("a generator may be suspended within an exit") {
  struct yielding {
    void enter() {}
    bool exit(const std::exception_ptr& exception) {
      log("exit " + text_of(exception));
      const support::at_end finally(log, "end of exit");
      yield(2);
      log("handling " + probes::handled());
      return true;
    }
    journal& log;
    krait::yielder<int>& yield;
  };
  journal log;
  generator<int> g = [&](auto& yield) {
    with(yielding{log, yield}, [&] { yield(1); });
    yield(3);
  };
  CHECK(g.next() == 1);
  CHECK(g.throw_(error("thrown")) == 2);
  CHECK(log.text() == "exit thrown");
  log.clear();

  SUBCASE("and go on") {
    CHECK(g.next() == 3);
    CHECK(log.text() == "handling thrown, end of exit");
  }
  SUBCASE("and be closed") {
    g.close();
    CHECK(g.done());
    CHECK(log.text() == "end of exit");
  }
  SUBCASE("and be thrown into") {
    CHECK_THROWS_WITH(g.throw_(error("again")), "again");
    CHECK(log.text() == "end of exit");
  }
}

TEST_CASE("an exit that yields in answer to close() is an error") {
  struct yielding {
    void enter() {}
    void exit(const std::exception_ptr&) { yield(2); }
    krait::yielder<int>& yield;
  };
  generator<int> g = [](auto& yield) { with(yielding{yield}, [&] { yield(1); }); };
  CHECK(g.next() == 1);
  CHECK_THROWS_WITH_AS(g.close(), "generator ignored GeneratorExit", krait::runtime_error);
  CHECK_THROWS_AS(g.next(), krait::generator_exit);
}

TEST_CASE("an exit stack runs its exits when it is destroyed") {
  journal log;
  {
    exit_stack stack;
    stack.push(noting{log});
    stack.enter_context(noting_manager(log, " inner"));
  }
  CHECK(log.text() == "enter inner, exit inner, exit none");
}

TEST_CASE("an exit stack that an exception destroys runs its exits with generator_exit") {
  journal log;
  const auto raised = raised_by([&] {
    exit_stack stack;
    stack.push(noting{log});
    stack.push(swallowing{{log}});
    throw error("block");
  });
  CHECK(text_of(raised) == "block");
  CHECK(log.text() == "exit GeneratorExit, exit none");
}

TEST_CASE("what an exit stack raises when it is destroyed comes out, or is reported") {
  const support::unraisables reported;
  journal log;
  const auto fill = [&](exit_stack& stack) {
    stack.push(noting{log});
    stack.push(raising{{log}});
  };
  SUBCASE("out of the destructor") {
    const auto destroy = [&] {
      exit_stack stack;
      fill(stack);
    };
    CHECK_THROWS_WITH(destroy(), "from exit");
    CHECK(log.text() == "exit none, exit from exit");
    CHECK(reported.count() == 0);
  }
  SUBCASE("to the hook") {
    const auto raised = raised_by([&] {
      exit_stack stack;
      fill(stack);
      throw error("block");
    });
    CHECK(text_of(raised) == "block");
    CHECK(log.text() == "exit GeneratorExit, exit from exit");
    REQUIRE(reported.count() == 1);
    CHECK(text_of(reported.at(0).exception) == "from exit");
  }
}

TEST_CASE("the exit of an exit stack does not raise what it was given") {
  const auto given = std::make_exception_ptr(error("given"));
  journal log;
  exit_stack stack;
  CHECK_FALSE(stack.exit(given));
  stack.push(noting{log});
  CHECK_FALSE(stack.exit(given));
  CHECK(log.text() == "exit given");
  stack.push(swallowing{{log}});
  CHECK(stack.exit(given));
  CHECK_FALSE(stack.exit(nullptr));
}

TEST_CASE("an exit stack that is moved leaves nothing behind") {
  journal log;
  {
    auto from = std::make_unique<exit_stack>();
    from->push(noting{log});
    const exit_stack to = std::move(*from);
    from.reset();
    log("still there");
  }
  CHECK(log.text() == "still there, exit none");
}

TEST_CASE("an exit stack that is assigned to runs what it had") {
  journal log;
  {
    exit_stack from;
    from.callback(std::ref(log), "new");
    exit_stack to;
    to.callback(std::ref(log), "old");
    to = std::move(from);
    log("assigned");
    from.close();
  }
  CHECK(log.text() == "old, assigned, new");
}

TEST_CASE("an exit stack that is assigned to comes to have the other's exits, whatever its own raise") {
  journal log;
  exit_stack assigned, other;
  assigned.callback([] { throw std::runtime_error("old exit"); });
  other.callback([&] { log("new exit"); });
  CHECK_THROWS_WITH(assigned = std::move(other), "old exit");
  exit_stack& same = assigned;
  assigned = std::move(same);
  CHECK(log.text() == "");
  assigned.close();
  CHECK(log.text() == "new exit");
}

TEST_CASE("what an exit of a stack swallowed is not handled any more in those after it") {
  std::exception_ptr handled;
  krait::with(exit_stack(), [&](exit_stack& stack) {
    stack.callback([&] { handled = std::current_exception(); });
    stack.push([](const std::exception_ptr&) { return true; });
    throw std::runtime_error("swallowed");
  });
  CHECK(handled == nullptr);
}

TEST_CASE("an exit stack that was closed can be used again") {
  journal log;
  exit_stack stack;
  stack.callback(std::ref(log), "first");
  stack.close();
  stack.callback(std::ref(log), "second");
  stack.close();
  stack.close();
  CHECK(log.text() == "first, second");
}

TEST_CASE("an exit may add to its stack") {
  journal log;
  exit_stack stack;
  stack.callback([&] { stack.callback(std::ref(log), "added"); });
  stack.close();
  CHECK(log.text() == "added");
}

TEST_CASE("an exit stack keeps an rvalue, and refers to an lvalue") {
  struct manager : probes::counted {
    using counted::counted;
    int enter() { return value; }
    void exit(const std::exception_ptr&) { value += 1; }
  };
  probes::tally rvalues;
  probes::tally lvalues;
  manager lvalue(lvalues, 1);
  exit_stack stack;
  CHECK(stack.enter_context(manager(rvalues, 2)) == 2);
  CHECK(stack.enter_context(lvalue) == 1);
  stack.push(lvalue);
  CHECK(rvalues.live == 1);
  CHECK(rvalues.copies == 0);
  CHECK(lvalues.live == 1);
  CHECK(lvalues.moves == 0);

  stack.close();
  CHECK(rvalues.live == 0);
  CHECK(lvalues.live == 1);
  CHECK(lvalues.copies == 0);
  CHECK(lvalue.value == 3);
}

TEST_CASE("an exit stack does not keep what could not be entered") {
  struct raising_enter : noting {
    void enter() { throw error("from enter"); }
  };
  journal log;
  exit_stack stack;
  CHECK_THROWS_WITH(stack.enter_context(raising_enter{{log}}), "from enter");
  stack.close();
  CHECK(log.text().empty());
}

TEST_CASE("an exit stack gives what the manager gives") {
  exit_stack stack;
  giving_itself manager;
  CHECK(&stack.enter_context(manager) == &manager);
  CHECK(std::same_as<decltype(stack.enter_context(noting_manager(std::declval<journal&>()))), void>);
  const std::unique_ptr<int> made = stack.enter_context(making_pointer());
  CHECK(*made == 1);
}

#if defined(__GLIBCXX__)

namespace {

/// Runs `block` on a thread of its own, which cancels itself there. Was it cancelled?
template <class Block>
bool is_cancelled(Block block) {
  pthread_t thread;
  const auto run = [](void* argument) -> void* {
    (*static_cast<Block*>(argument))();
    return nullptr;
  };
  REQUIRE(::pthread_create(&thread, nullptr, run, &block) == 0);
  void* result = nullptr;
  REQUIRE(::pthread_join(thread, &result) == 0);
  return result == PTHREAD_CANCELED;
}

/// Swallows that it is to end.
template <class Manager>
Manager swallowing_manager(journal& log) {
  return Manager([&log](auto& yield) {
    try {
      yield();
    } catch (const krait::generator_exit&) {
      log("swallowed");
    }
  });
}

void cancel_here() {
  ::pthread_cancel(::pthread_self());
  ::pthread_testcancel();
}

}  // namespace

TEST_CASE("a thread cancelled within a with exits as a generator that is closed, and stays cancelled") {
  journal log;
  SUBCASE("an object") {
    CHECK(is_cancelled([&] { with(swallowing{{log}}, cancel_here); }));
    CHECK(log.text() == "enter, exit GeneratorExit");
  }
  SUBCASE("an exit of a stack") {
    CHECK(is_cancelled([&] {
      exit_stack stack;
      stack.callback([&] { log("the rest"); });
      stack.callback(cancel_here);
      stack.close();
    }));
    CHECK(log.text() == "the rest");
  }
  SUBCASE("that returns something") {
    CHECK(is_cancelled([&] {
      with(swallowing{{log}}, [] {
        cancel_here();
        return 1;
      });
      log("went on");
    }));
    CHECK(log.text() == "enter, exit GeneratorExit");
  }
  SUBCASE("a generator") {
    CHECK(is_cancelled([&] { with(noting_manager(log), cancel_here); }));
    CHECK(log.text() == "enter, exit GeneratorExit");
  }
  SUBCASE("a generator that swallows") {
    CHECK(is_cancelled([&] {
      with(swallowing_manager<contextmanager<void>>(log), cancel_here);
      log("went on");
    }));
    CHECK(log.text() == "swallowed");
  }
  SUBCASE("a generator that swallows, and may not") {
    CHECK(is_cancelled([&] {
      with(swallowing_manager<contextmanager<void, void>>(log), cancel_here);
      log("went on");
    }));
    CHECK(log.text() == "swallowed");
  }
  SUBCASE("a try_finally") {
    CHECK(is_cancelled([&] {
      krait::try_finally(cancel_here, [&] { log("cleanup"); });
      log("went on");
    }));
    CHECK(log.text() == "cleanup");
  }
  SUBCASE("a stack") {
    CHECK(is_cancelled([&] {
      with(exit_stack(), [&](exit_stack& stack) {
        stack.push(noting{log});
        stack.push(swallowing{{log}});
        stack.enter_context(noting_manager(log, " inner"));
        cancel_here();
      });
    }));
    CHECK(log.text() == "enter inner, exit inner GeneratorExit, exit GeneratorExit, exit none");
  }
  SUBCASE("two, one within the other") {
    CHECK(is_cancelled([&] { with(noting{log}, [&] { with(swallowing{{log}}, cancel_here); }); }));
    CHECK(log.text() == "enter, enter, exit GeneratorExit, exit GeneratorExit");
  }
}

#endif
