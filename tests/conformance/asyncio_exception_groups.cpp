// SPDX-License-Identifier: BSL-1.0
#include <krait/asyncio.hpp>

#include <doctest/doctest.h>

#include <algorithm>
#include <chrono>
#include <exception>
#include <functional>
#include <stdexcept>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "support/tasks.hpp"

// CPython's test_exception_group.py and test_except_star.py. What Python writes as `except* T` is a clause of
// exception_group::handle() and except_star(); its `as e` is a parameter of the handler, sys.exception() is
// std::current_exception().

namespace {

namespace asyncio = krait::asyncio;
using asyncio::except_star;
using asyncio::exception_group;
using krait::type_error;
using krait::value_error;
using support::is_a;
using support::journal;
using support::raised_by;

struct os_error : std::runtime_error {
  using std::runtime_error::runtime_error;
};
struct blocking_io_error : os_error {
  using os_error::os_error;
};
struct syntax_error : std::runtime_error {
  using std::runtime_error::runtime_error;
};

template <class E>
std::exception_ptr made(const E& exception) {
  return std::make_exception_ptr(exception);
}
std::exception_ptr ve(const char* text) {
  return made(value_error(text));
}
std::exception_ptr te(const char* text) {
  return made(type_error(text));
}
std::exception_ptr oe(const char* text) {
  return made(os_error(text));
}
std::exception_ptr group(const char* message, std::vector<std::exception_ptr> exceptions) {
  return made(exception_group(message, std::move(exceptions)));
}
const exception_group& of(const std::exception_ptr& exception) {
  REQUIRE(exception != nullptr);
  const exception_group* const found = exception_group::in(exception);
  REQUIRE(found != nullptr);
  return *found;
}

/// "V(1)" of a value_error "1", "eg[V(1), O(2)]" of a group; "none" of null.
std::string shape(const std::exception_ptr& exception);
std::string shape(const exception_group& of) {
  journal members;
  for (const std::exception_ptr& each : of.exceptions()) {
    members(shape(each));
  }
  return of.message() + "[" + members.text() + "]";
}
std::string shape(const std::exception_ptr& exception) {
  if (exception == nullptr) {
    return "none";
  }
  try {
    std::rethrow_exception(exception);
  } catch (const exception_group& inner) {
    return shape(inner);
  } catch (const value_error& error) {
    return std::string("V(") + error.what() + ")";
  } catch (const type_error& error) {
    return std::string("T(") + error.what() + ")";
  } catch (const blocking_io_error& error) {
    return std::string("B(") + error.what() + ")";
  } catch (const os_error& error) {
    return std::string("O(") + error.what() + ")";
  } catch (const syntax_error& error) {
    return std::string("S(") + error.what() + ")";
  } catch (const asyncio::keyboard_interrupt&) {
    return "K";
  } catch (const std::exception& error) {
    return error.what();
  } catch (...) {
    return "?";
  }
}

/// "MATCH | REST"
std::string shape(const exception_group::parts& parts) {
  return shape(parts.first) + " | " + shape(parts.second);
}

/// What `except* T...` sees of it, and what is left, "MATCH | REST"; however that is written, and in whatever handler.
template <class... T>
std::string split_by_handling(const std::exception_ptr& exception) {
  std::string all;
  const auto once = [&] {
    std::exception_ptr named, unnamed;
    const std::exception_ptr before = std::current_exception();
    const std::exception_ptr rest = raised_by([&] {
      try {
        std::rethrow_exception(exception);
      } catch (...) {
        except_star<T...>([&](const exception_group& match) {
          unnamed = std::current_exception();
          named = made(match);
        });
      }
    });
    CHECK(std::current_exception() == before);
    CHECK(shape(named) == shape(unnamed));
    const std::string text = shape(named) + " | " + shape(rest);
    CHECK((all.empty() || all == text));
    all = text;
  };
  once();
  try {
    throw exception_group("eg", {te("1"), ve("2")});
  } catch (const exception_group&) {
    once();
  }
  try {
    throw exception_group("eg", {te("1"), ve("2")});
  } catch (...) {
    except_star<std::exception>([&](const exception_group&) { once(); });
  }
  // The member does the same; and leaf by leaf.
  if (const exception_group* const as_group = exception_group::in(exception)) {
    std::string leaves;
    const std::exception_ptr rest = raised_by([&] {
      as_group->handle<T...>([&](const auto& leaf) {
        leaves += shape(std::current_exception());
        CHECK(std::string(leaf.what()) != "");
      });
    });
    CHECK(shape(rest) == all.substr(all.find(" | ") + 3));
    std::string expected;
    if (const auto match = as_group->subgroup<T...>()) {
      for (const std::exception_ptr& leaf : of(match).leaves()) {
        expected += shape(leaf);
      }
    }
    CHECK(leaves == expected);
  }
  return all;
}

/// Called in a handler: what leaves `handle(...)`, as in Python's `try: raise e; except* ...: ...`.
template <class Handle>
std::string thrown_of(const std::exception_ptr& exception, Handle handle) {
  return shape(raised_by([&] {
    try {
      std::rethrow_exception(exception);
    } catch (...) {
      handle();
    }
  }));
}

std::exception_ptr simple() {
  return group("simple eg", {ve("1"), te("int"), ve("2")});
}
const char* const whole = "simple eg[V(1), T(int), V(2)]";
const char* const values = "simple eg[V(1), V(2)]";

/// One that keeps what it is.
struct coded : exception_group {
  int code;
  coded(const std::string& message, std::vector<std::exception_ptr> exceptions, int number)
      : exception_group(message, std::move(exceptions)), code(number) {}
  std::exception_ptr derive(std::vector<std::exception_ptr> some) const override {
    return made(coded(message(), std::move(some), code));
  }
};
const coded& coded_of(const std::exception_ptr& exception) {
  const auto* const found = dynamic_cast<const coded*>(&of(exception));
  REQUIRE(found != nullptr);
  return *found;
}
struct plain_subclass : exception_group {
  using exception_group::exception_group;
};

}  // namespace

TEST_CASE("AIO-EXG-001: a group is an exception") {
  CHECK(std::is_base_of_v<std::exception, exception_group>);
  CHECK(std::is_base_of_v<std::runtime_error, exception_group>);
  CHECK(exception_group::in(ve("1")) == nullptr);
  CHECK(exception_group::in(nullptr) == nullptr);
}

TEST_CASE("AIO-EXG-006 AIO-EXG-007: there is something in a group, and nothing that is no exception") {
  CHECK(asyncio_tests::thrown_by([] { exception_group("eg", {}); }) ==
        "a group needs exceptions: there are none");
  CHECK(is_a<value_error>(raised_by([] { exception_group("eg", {}); })));
  CHECK(asyncio_tests::thrown_by([] { exception_group("eg", {ve("1"), nullptr}); }) ==
        "item 1 of a group is not an exception");
  CHECK(is_a<value_error>(raised_by([] { exception_group("eg", {nullptr}); })));
}

TEST_CASE("AIO-EXG-008 AIO-EXG-009 AIO-EXG-011: a group is of whatever can be thrown") {
  CHECK(shape(group("eg", {ve("1"), te("2")})) == "eg[V(1), T(2)]");
  CHECK(shape(group("beg", {ve("1"), made(asyncio::keyboard_interrupt())})) == "beg[V(1), K]");
  CHECK(shape(group("any", {made(5), made(asyncio::cancelled_error())})) == "any[?, ?]");
}

TEST_CASE(
    "AIO-EXG-012 AIO-EXG-015 AIO-EXG-016 AIO-EXG-017: so is a derived class, which may have another base") {
  struct tagged {};
  struct both : exception_group, tagged {
    using exception_group::exception_group;
  };
  const std::exception_ptr one = made(plain_subclass("eg", {ve("12"), te("42")}));
  CHECK(is_a<plain_subclass>(one));
  CHECK(is_a<exception_group>(one));
  const std::exception_ptr two = made(both("eg", {ve("12"), made(asyncio::keyboard_interrupt())}));
  CHECK(is_a<tagged>(two));
  CHECK(shape(two) == "eg[V(12), K]");
}

TEST_CASE("AIO-EXG-018 AIO-EXG-019 AIO-EXG-020: the text tells how many there are") {
  const std::exception_ptr flat = group("flat", {ve("1"), te("2")});
  CHECK(krait::describe(flat) == "krait::asyncio::exception_group: flat (2 sub-exceptions)");
  CHECK(std::string(exception_group("nested", {flat, ve("1"), flat, te("2")}).what()) ==
        "nested (4 sub-exceptions)");
  CHECK(std::string(exception_group("one", {ve("1")}).what()) == "one (1 sub-exception)");
  CHECK(std::string(plain_subclass("flat", {ve("1"), made(asyncio::keyboard_interrupt())}).what()) ==
        "flat (2 sub-exceptions)");
}

TEST_CASE("AIO-EXG-021 AIO-EXG-024: what it was made of may change: it does not") {
  std::vector<std::exception_ptr> exceptions{te("1"), oe("2")};
  const exception_group eg("eg", exceptions);
  exceptions.clear();
  CHECK(shape(eg) == "eg[T(1), O(2)]");
  CHECK(std::is_same_v<decltype(eg.exceptions()), const std::vector<std::exception_ptr>&>);
  CHECK(std::is_same_v<decltype(eg.message()), const std::string&>);
}

TEST_CASE("AIO-EXG-023: its message, and what is in it, with their causes") {
  const std::exception_ptr first = raised_by([] {
    try {
      throw std::bad_alloc();
    } catch (const std::bad_alloc&) {
      std::throw_with_nested(value_error("1"));
    }
  });
  const exception_group eg("simple eg", {first, te("int"), ve("2")});
  CHECK(eg.message() == "simple eg");
  CHECK(eg.exceptions()[0] == first);
  CHECK(is_a<std::bad_alloc>(support::cause_of(eg.exceptions()[0])));
  CHECK(support::cause_of(eg.exceptions()[1]) == nullptr);
}

TEST_CASE("AIO-EXG-026 AIO-EXG-032: of a type that the group itself is, all of it") {
  const std::exception_ptr eg = simple();
  CHECK(shape(of(eg).subgroup<std::exception>()) == whole);
  CHECK(shape(of(eg).subgroup<exception_group>()) == whole);
  CHECK(shape(of(eg).split<std::exception>()) == std::string(whole) + " | none");
  CHECK(shape(of(eg).split<exception_group>()) == std::string(whole) + " | none");
  // The leaves are the very objects.
  CHECK(of(of(eg).subgroup<std::exception>()).exceptions() == of(eg).exceptions());
  // A std::exception is what the leaves are, not their group.
  CHECK(shape(exception_group("beg", {ve("1"), made(5)}).split<std::exception>()) == "beg[V(1)] | beg[?]");
}

TEST_CASE("AIO-EXG-027 AIO-EXG-033: of a type that nothing is, nothing") {
  CHECK(of(simple()).subgroup<os_error>() == nullptr);
  CHECK(shape(of(simple()).split<os_error>()) == std::string("none | ") + whole);
}

TEST_CASE("AIO-EXG-028 AIO-EXG-034: of a type, or of several") {
  const std::exception_ptr kept = simple();
  const exception_group& eg = of(kept);
  CHECK(shape(eg.subgroup<value_error>()) == values);
  CHECK(shape(eg.subgroup<type_error>()) == "simple eg[T(int)]");
  CHECK(shape(eg.subgroup<value_error, type_error>()) == whole);
  CHECK(shape(eg.split<value_error>()) == std::string(values) + " | simple eg[T(int)]");
  CHECK(shape(eg.split<type_error>()) == std::string("simple eg[T(int)] | ") + values);
  CHECK(shape(eg.split<value_error, type_error>()) == std::string(whole) + " | none");
  CHECK(shape(eg.split<os_error, value_error>()) == std::string(values) + " | simple eg[T(int)]");
}

TEST_CASE("AIO-EXG-029 AIO-EXG-030 AIO-EXG-031 AIO-EXG-035 AIO-EXG-036 AIO-EXG-037: by a predicate") {
  const std::exception_ptr kept = simple();
  const exception_group& eg = of(kept);
  const auto always = [](const std::exception_ptr&) { return true; };
  const auto never = [](const std::exception_ptr&) { return false; };
  struct counting {
    int calls = 0;
    bool is_value(const std::exception_ptr& leaf) {
      ++calls;
      return is_a<value_error>(leaf);
    }
  } object;
  const exception_group::predicate method = std::bind_front(&counting::is_value, &object);
  CHECK(shape(eg.subgroup(always)) == whole);
  CHECK(eg.subgroup(never) == nullptr);
  CHECK(shape(eg.subgroup(method)) == values);
  CHECK(object.calls == 3);
  CHECK(shape(eg.split(always)) == std::string(whole) + " | none");
  CHECK(shape(eg.split(never)) == std::string("none | ") + whole);
  CHECK(shape(eg.split(method)) == std::string(values) + " | simple eg[T(int)]");
}

TEST_CASE("AIO-EXG-040 AIO-EXG-041 AIO-EXG-042: what is within, and its leaves") {
  const std::exception_ptr inner = raised_by([] {
    try {
      throw type_error("bytes");
    } catch (const type_error&) {
      std::throw_with_nested(exception_group("nested", {std::current_exception()}));
    }
  });
  const std::exception_ptr second = raised_by([] {
    try {
      throw std::bad_alloc();
    } catch (const std::bad_alloc&) {
      std::throw_with_nested(value_error("1"));
    }
  });
  const std::exception_ptr root = group("root", {inner, second});
  CHECK(shape(root) == "root[nested[T(bytes)], V(1)]");
  const auto leaves = of(root).leaves();
  REQUIRE(leaves.size() == 2);
  CHECK(leaves[0] == of(inner).exceptions()[0]);
  CHECK(leaves[1] == second);
  CHECK(is_a<type_error>(support::cause_of(inner)));
  CHECK(is_a<std::bad_alloc>(support::cause_of(leaves[1])));
  CHECK(of(simple()).leaves().size() == 3);
}

TEST_CASE("AIO-EXG-045: groups within are split likewise, and taken whole by a type of their own") {
  const auto level1 = [](const char* a, const char* b) { return group("msg1", {ve(a), te("int"), ve(b)}); };
  const std::exception_ptr level2 =
      made(plain_subclass("msg2", {level1("6", "7"), level1("7", "8"), ve("8")}));
  const exception_group eg("msg3", {level2, ve("7")});
  const std::string all = "msg3[msg2[msg1[V(6), T(int), V(7)], msg1[V(7), T(int), V(8)], V(8)], V(7)]";
  const std::string only_values = "msg3[msg2[msg1[V(6), V(7)], msg1[V(7), V(8)], V(8)], V(7)]";
  const std::string only_types = "msg3[msg2[msg1[T(int)], msg1[T(int)]]]";
  CHECK(shape(eg) == all);
  CHECK(shape(eg.split<syntax_error>()) == "none | " + all);
  CHECK(shape(eg.split<std::exception>()) == all + " | none");
  CHECK(shape(eg.split<value_error, type_error>()) == all + " | none");
  CHECK(shape(eg.split<value_error>()) == only_values + " | " + only_types);
  CHECK(shape(eg.split<type_error, syntax_error>()) == only_types + " | " + only_values);
  CHECK(shape(eg.split<exception_group>()) == all + " | none");
  const auto [match, rest] = eg.split<plain_subclass>();
  CHECK(of(match).exceptions() == std::vector{level2});
  CHECK(shape(rest) == "msg3[V(7)]");
  // Each leaf is in exactly one of them.
  const auto parts = eg.split<value_error>();
  auto leaves = of(parts.first).leaves();
  const auto others = of(parts.second).leaves();
  leaves.insert(leaves.end(), others.begin(), others.end());
  CHECK(leaves.size() == eg.leaves().size());
  for (const std::exception_ptr& leaf : eg.leaves()) {
    CHECK(std::ranges::count(leaves, leaf) == 1);
  }
}

TEST_CASE("AIO-EXG-046: what is no std::exception is split as others are") {
  const exception_group beg("beg", {ve("1"), made(asyncio::keyboard_interrupt())});
  CHECK(shape(beg.split<type_error>()) == "none | beg[V(1), K]");
  CHECK(shape(beg.split<value_error, asyncio::keyboard_interrupt>()) == "beg[V(1), K] | none");
  CHECK(shape(beg.split<value_error>()) == "beg[V(1)] | beg[K]");
  CHECK(shape(beg.split<asyncio::keyboard_interrupt>()) == "beg[K] | beg[V(1)]");
}

TEST_CASE("AIO-EXG-049: derive() that returns no group") {
  struct wrong : exception_group {
    using exception_group::exception_group;
    std::exception_ptr derive(std::vector<std::exception_ptr>) const override { return made(42); }
  };
  const wrong eg("eg", {te("1"), ve("2")});
  const auto check = [](auto call) {
    const std::exception_ptr raised = raised_by(call);
    CHECK(is_a<type_error>(raised));
    CHECK(asyncio_tests::text_of(raised) == "derive must return an exception_group");
  };
  check([&] { static_cast<void>(eg.split<type_error>()); });
  check([&] { static_cast<void>(eg.subgroup<type_error>()); });
}

TEST_CASE("AIO-EXG-050 AIO-EXG-051: a derived class without derive() is split into plain groups") {
  const std::exception_ptr inner = made(plain_subclass("nested", {te("2")}));
  const plain_subclass eg("eg", {ve("1"), inner});
  for (const auto& [match, rest] : {eg.split<os_error>(), eg.split<value_error, type_error>(),
                                    eg.split<value_error>(), eg.split<type_error>()}) {
    CHECK_FALSE(is_a<plain_subclass>(match));
    CHECK_FALSE(is_a<plain_subclass>(rest));
  }
  CHECK(shape(eg.split<value_error>()) == "eg[V(1)] | eg[nested[T(2)]]");
  CHECK(shape(eg.split<type_error>()) == "eg[nested[T(2)]] | eg[V(1)]");
  // Its own constructor is not asked.
  struct odd : exception_group {
    odd(const std::string& message, std::vector<std::exception_ptr> exceptions, const char*)
        : exception_group(message, std::move(exceptions)) {}
  };
  CHECK(shape(odd("eg", {ve("1"), made(asyncio::keyboard_interrupt())}, "unused").split<value_error>()) ==
        "eg[V(1)] | eg[K]");
}

TEST_CASE("AIO-EXG-052: derive() keeps what a derived class is, at each level") {
  const std::exception_ptr inner = made(coded("nested", {te("2")}, 101));
  const coded eg("eg", {ve("1"), inner}, 42);
  const auto nothing = eg.split<os_error>();
  CHECK(nothing.first == nullptr);
  CHECK(coded_of(nothing.second).code == 42);
  CHECK(coded_of(of(nothing.second).exceptions()[1]).code == 101);
  const auto everything = eg.split<value_error, type_error>();
  CHECK(coded_of(everything.first).code == 42);
  CHECK(coded_of(of(everything.first).exceptions()[1]).code == 101);
  CHECK(everything.second == nullptr);
  const auto some = eg.split<value_error>();
  CHECK(shape(some) == "eg[V(1)] | eg[nested[T(2)]]");
  CHECK(coded_of(some.first).code == 42);
  CHECK(coded_of(some.second).code == 42);
  CHECK(coded_of(of(some.second).exceptions()[0]).code == 101);
}

namespace {
template <class... T>
concept handled = requires(const exception_group& eg, void (*handler)(const exception_group&)) {
  eg.handle<T...>(handler);
  except_star<T...>(handler);
};
}  // namespace

TEST_CASE("AIO-EXG-054 AIO-EXG-055: what is in groups is handled, never a group itself") {
  CHECK(handled<value_error>);
  CHECK(handled<std::exception, int>);
  CHECK_FALSE(handled<exception_group>);
  CHECK_FALSE(handled<type_error, exception_group>);
  CHECK_FALSE(handled<plain_subclass>);
}

TEST_CASE("AIO-EXG-060 AIO-EXG-061: a handler is a function, in which anything may be done") {
  std::exception_ptr seen;
  try {
    throw value_error("42");
  } catch (...) {
    except_star<std::exception>([&](const exception_group& match) {
      int count = 0;
      for (int i = 0; i < 5; ++i) {
        if (i == 0) {
          continue;
        }
        if (i == 4) {
          break;
        }
        ++count;
      }
      CHECK(count == 3);
      seen = made(match);
      return;
    });
  }
  CHECK(shape(seen) == "[V(42)]");
}

TEST_CASE("AIO-EXG-062 AIO-EXG-063 AIO-EXG-064: none, all, or some of a group is handled") {
  CHECK(split_by_handling<syntax_error>(group("test1", {ve("V"), te("T")})) == "none | test1[V(V), T(T)]");
  CHECK(split_by_handling<value_error>(group("test2", {ve("V1"), ve("V2")})) == "test2[V(V1), V(V2)] | none");
  CHECK(split_by_handling<value_error>(group("test3", {ve("V1"), oe("OS"), ve("V2")})) ==
        "test3[V(V1), V(V2)] | test3[O(OS)]");
}

TEST_CASE("AIO-EXG-065 AIO-EXG-066 AIO-EXG-067 AIO-EXG-068: groups within, of which nothing empty is left") {
  const std::exception_ptr nested =
      group("g1", {ve("V1"), oe("OS1"), group("g2", {oe("OS2"), ve("V2"), te("T")})});
  CHECK(split_by_handling<value_error>(nested) == "g1[V(V1), g2[V(V2)]] | g1[O(OS1), g2[O(OS2), T(T)]]");
  CHECK(split_by_handling<value_error, type_error>(nested) ==
        "g1[V(V1), g2[V(V2), T(T)]] | g1[O(OS1), g2[O(OS2)]]");
  CHECK(split_by_handling<type_error>(group(
            "eg", {group("i1", {ve("V1")}), group("i2", {ve("V2"), te("T1")}), group("i3", {te("T2")})})) ==
        "eg[i2[T(T1)], i3[T(T2)]] | eg[i1[V(V1)], i2[V(V2)]]");
  CHECK(split_by_handling<type_error>(
            group("j1", {group("j2", {group("j3", {ve("V1")}), group("j4", {te("T")})})})) ==
        "j1[j2[j4[T(T)]]] | j1[j2[j3[V(V1)]]]");
}

TEST_CASE(
    "AIO-EXG-069 AIO-EXG-070 AIO-EXG-072: an exception that is no group is handled as one, or thrown as it "
    "was") {
  CHECK(split_by_handling<value_error>(ve("V")) == "[V(V)] | none");
  CHECK(split_by_handling<std::exception>(ve("V")) == "[V(V)] | none");
  CHECK(split_by_handling<type_error>(ve("V")) == "none | V(V)");
  const std::exception_ptr plain = ve("V");
  CHECK(raised_by([&] {
          try {
            std::rethrow_exception(plain);
          } catch (...) {
            except_star<type_error>([](const type_error&) {});
          }
        }) == plain);
  CHECK(asyncio_tests::thrown_by([] { except_star<type_error>([](const type_error&) {}); }) ==
        "no exception is being handled");
}

TEST_CASE(
    "AIO-EXG-071 AIO-EXG-073: a base class handles what derives from it, and a group is not made a group "
    "of") {
  CHECK(split_by_handling<std::exception>(group("eg", {ve("V")})) == "eg[V(V)] | none");
  CHECK(split_by_handling<os_error>(group("st", {made(blocking_io_error("io")), te("T")})) ==
        "st[B(io)] | st[T(T)]");
}

TEST_CASE(
    "AIO-EXG-074 AIO-EXG-075 AIO-EXG-076 AIO-EXG-077: clauses one after the other: the first that fits") {
  journal log;
  const auto note = [&](const exception_group& match) {
    CHECK(shape(match) == shape(std::current_exception()));
    log(shape(match));
  };
  exception_group("mmn", {oe("os"), made(blocking_io_error("io"))})
      .handle<blocking_io_error, os_error>(note, note);
  CHECK(log.text() == "mmn[B(io)], mmn[O(os)]");
  log.clear();
  exception_group("fst", {made(blocking_io_error("io"))})
      .handle<os_error, blocking_io_error>(note, [](const blocking_io_error&) { FAIL("handled already"); });
  CHECK(log.text() == "fst[B(io)]");
}

TEST_CASE("AIO-EXG-078 AIO-EXG-079 AIO-EXG-103: a handler within a handler, and what is handled afterwards") {
  for (int i = 0; i < 2; ++i) {
    try {
      throw exception_group("n", {made(blocking_io_error("io"))});
    } catch (...) {
      except_star<blocking_io_error>([](const exception_group&) {
        try {
          throw exception_group("n", {ve("io")});
        } catch (...) {
          except_star<value_error>([](const value_error&) {});
        }
        CHECK(shape(std::current_exception()) == "n[B(io)]");
      });
    }
    CHECK(std::current_exception() == nullptr);
  }
  try {
    throw value_error("42");
  } catch (...) {
    try {
      throw type_error("int");
    } catch (...) {
      except_star<std::exception>([](const std::exception&) {});
    }
    CHECK(shape(std::current_exception()) == "V(42)");
  }
}

TEST_CASE(
    "AIO-EXG-080 AIO-EXG-081 AIO-EXG-082 AIO-EXG-083 AIO-EXG-084 AIO-EXG-085: what handlers raise again "
    "stands where it "
    "stood") {
  const std::exception_ptr eg = group("eg", {te("1"), ve("2"), oe("3")});
  const auto again = [](const exception_group&) { throw; };
  const auto leaf_again = [](const auto&) { throw; };
  const auto handled = [](const exception_group&) {};
  CHECK(thrown_of(eg, [&] { except_star<type_error, value_error>(again, again); }) == "eg[T(1), V(2), O(3)]");
  CHECK(thrown_of(eg, [&] { except_star<type_error, value_error>(leaf_again, leaf_again); }) ==
        "eg[T(1), V(2), O(3)]");
  CHECK(thrown_of(eg, [&] { except_star<type_error, value_error>(again, handled); }) == "eg[T(1), O(3)]");
  CHECK(thrown_of(eg, [&] { except_star<type_error, value_error>(leaf_again, handled); }) ==
        "eg[T(1), O(3)]");
  const std::exception_ptr two = group("eg", {te("1"), ve("2")});
  CHECK(thrown_of(two, [&] { except_star<type_error, value_error>(again, handled); }) == "eg[T(1)]");
  CHECK(thrown_of(two, [&] { except_star<value_error, type_error>(again, again); }) == "eg[T(1), V(2)]");
  CHECK(thrown_of(group("o", {group("i", {te("1"), ve("2")}), ve("3")}), [&] {
          except_star<value_error>([](const value_error& leaf) {
            if (leaf.what() == std::string("2")) {
              throw;
            }
          });
        }) == "o[i[T(1), V(2)]]");
}

TEST_CASE("AIO-EXG-086 AIO-EXG-087: also the group of an exception that was none") {
  CHECK(thrown_of(ve("42"), [] { except_star<value_error>([](const exception_group&) { throw; }); }) ==
        "[V(42)]");
  CHECK(thrown_of(ve("42"), [] { except_star<value_error>([](const value_error&) { throw; }); }) ==
        "[V(42)]");
}

TEST_CASE(
    "AIO-EXG-088 AIO-EXG-089 AIO-EXG-094 AIO-EXG-095: what a handler raises besides, with its cause, and the "
    "rest") {
  const std::exception_ptr orig = group("eg", {ve("1"), oe("2")});
  const std::exception_ptr raised = raised_by([&] {
    of(orig).handle<os_error>([](const exception_group&) { std::throw_with_nested(type_error("3")); });
  });
  CHECK(shape(raised) == "[T(3), eg[V(1)]]");
  CHECK(shape(support::cause_of(of(raised).exceptions()[0])) == "eg[O(2)]");
  CHECK(shape(raised_by([&] {
          of(orig).handle<os_error>([](const exception_group&) { throw type_error("3"); });
        })) == "[T(3), eg[V(1)]]");
}

TEST_CASE(
    "AIO-EXG-090 AIO-EXG-091 AIO-EXG-092 AIO-EXG-093 AIO-EXG-096 AIO-EXG-097 AIO-EXG-098 AIO-EXG-099: one "
    "that is raised "
    "alone comes out as it is, several as a group") {
  const std::exception_ptr orig = group("eg", {te("1"), ve("2")});
  const auto raising = [](const char* text) {
    return [text](const exception_group&) { std::throw_with_nested(syntax_error(text)); };
  };
  const std::exception_ptr one = raised_by([&] { of(orig).handle<type_error, value_error>(raising("3")); });
  CHECK(shape(one) == "S(3)");
  CHECK(shape(support::cause_of(one)) == "eg[T(1), V(2)]");
  const std::exception_ptr two =
      raised_by([&] { of(orig).handle<type_error, value_error>(raising("3"), raising("4")); });
  CHECK(shape(two) == "[S(3), S(4)]");
  CHECK(shape(support::cause_of(of(two).exceptions()[0])) == "eg[T(1)]");
  CHECK(shape(support::cause_of(of(two).exceptions()[1])) == "eg[V(2)]");
  // Leaf by leaf, each call may raise one.
  CHECK(shape(raised_by([&] {
          of(orig).handle<type_error, value_error>([](const auto& leaf) { throw syntax_error(leaf.what()); });
        })) == "[S(1), S(2)]");
}

TEST_CASE("AIO-EXG-100 AIO-EXG-101 AIO-EXG-112: clauses split by derive() too") {
  const std::exception_ptr inner = made(coded("nested", {te("2"), oe("3")}, 101));
  int seen = 0;
  const std::exception_ptr rest = raised_by([&] {
    try {
      throw coded("eg", {ve("1"), inner}, 42);
    } catch (...) {
      except_star<value_error, os_error>(
          [&](const exception_group& match) { seen = dynamic_cast<const coded&>(match).code; },
          [](const exception_group&) { throw; });
    }
  });
  CHECK(seen == 42);
  CHECK(shape(rest) == "eg[nested[T(2), O(3)]]");
  CHECK(coded_of(rest).code == 42);
  CHECK(coded_of(of(rest).exceptions()[0]).code == 101);
}

TEST_CASE("AIO-EXG-109 AIO-EXG-110 AIO-EXG-111: some, none, and all of a derived class") {
  const std::exception_ptr eg = made(coded("eg", {te("1"), made(coded("nested", {ve("2")}, 2))}, 1));
  CHECK(split_by_handling<type_error>(eg) == "eg[T(1)] | eg[nested[V(2)]]");
  CHECK(split_by_handling<os_error>(eg) == "none | eg[T(1), nested[V(2)]]");
  CHECK(split_by_handling<std::exception>(eg) == "eg[T(1), nested[V(2)]] | none");
}

TEST_CASE(
    "AIO-EXG-104 AIO-EXG-105 AIO-EXG-106 AIO-EXG-107 AIO-EXG-108: leaves of any type, whatever can be done "
    "with them") {
  struct bad : value_error {
    using value_error::value_error;
    bool operator==(const bad&) const = delete;
  };
  const std::exception_ptr eg = group("eg", {te("1"), made(bad("2"))});
  CHECK(split_by_handling<bad>(eg) == "eg[V(2)] | eg[T(1)]");
  CHECK(split_by_handling<type_error>(eg) == "eg[T(1)] | eg[V(2)]");
  CHECK(split_by_handling<os_error>(eg) == "none | eg[T(1), V(2)]");
  CHECK(split_by_handling<std::exception>(eg) == "eg[T(1), V(2)] | none");
  CHECK(thrown_of(group("eg", {te("1"), made(bad("2")), ve("3")}), [] {
          except_star<type_error, bad>([](const type_error&) {}, [](const bad&) { throw; });
        }) == "eg[V(2), V(3)]");
}

TEST_CASE("a handler of a group may wait, and be cancelled: then both come out") {
  asyncio::run([] {
    const auto t = asyncio::create_task([] {
      exception_group("eg", {ve("1"), te("2")}).handle<value_error>([](const value_error&) {
        asyncio::sleep(std::chrono::hours(1));
      });
    });
    asyncio::sleep({});
    t.cancel();
    CHECK(shape(raised_by([&] { asyncio::await(t); })) == "[?, eg[T(2)]]");
  });
}
