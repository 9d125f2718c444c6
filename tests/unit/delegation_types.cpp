// SPDX-License-Identifier: BSL-1.0
#include <doctest/doctest.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <optional>
#include <string>
#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>

#include <krait/krait.hpp>

#include "support/support.hpp"

// Every chain of delegation of two and three generators, each of one of fifteen kinds (of Yield, Send and
// Return), attached in every order: what is sent to the outermost arrives at the innermost as it would if
// each level handed it on, and items and results come back likewise. Whether two levels may be
// short-circuited is a question of their types, and has to be right for any two of a chain.

namespace {

using krait::generator;

template <std::size_t number>
struct kind {
  using yield = std::tuple_element_t<number % 3, std::tuple<int, long, const int&>>;
  using send = std::tuple_element_t<number / 3, std::tuple<void, int, long, const char*, std::optional<int>>>;
  using result = std::tuple_element_t<(number + number / 3) % 3, std::tuple<void, int, std::optional<long>>>;
  using type = generator<yield, send, result>;
};
constexpr std::size_t kinds = 15;

template <std::size_t number>
using of_kind = typename kind<number>::type;

/// What can be sent on, by Python's rules and C++'s conversions; told independently of krait.
template <class From, class To>
constexpr bool sends_on = std::is_void_v<To> || std::is_same_v<From, To>;
template <>
constexpr bool sends_on<void, const char*> = true;
template <>
constexpr bool sends_on<void, std::optional<int>> = true;
template <>
constexpr bool sends_on<int, long> = true;
template <>
constexpr bool sends_on<long, int> = true;
template <>
constexpr bool sends_on<int, std::optional<int>> = true;
template <>
constexpr bool sends_on<long, std::optional<int>> = true;
template <>
constexpr bool sends_on<std::optional<int>, int> = true;
template <>
constexpr bool sends_on<std::optional<int>, long> = true;

template <std::size_t outer, std::size_t inner>
constexpr bool delegates = sends_on<typename kind<outer>::send, typename kind<inner>::send>;

template <class S>
constexpr bool says_none = std::is_void_v<S> || std::is_pointer_v<S> || std::is_same_v<S, std::optional<int>>;

/// How a chain is put together, one bit a joint: is the delegate given away, or lent? And had it started
/// before?
struct chain {
  std::vector<std::size_t> kinds;  // outermost first
  unsigned lent = 0;
  unsigned started = 0;
};

std::string shown(const char* value) {
  return value == nullptr ? "None" : value;
}
std::string shown(std::optional<int> value) {
  return value.has_value() ? std::to_string(*value) : "None";
}
std::string shown(long value) {
  return std::to_string(value);
}

std::string received;  // by the innermost generator

/// A generator of a chain's kinds from `level` on.
template <std::size_t number>
of_kind<number> made(const chain& whole, std::size_t level);

template <std::size_t number>
struct innermost {
  using send = typename kind<number>::send;
  using result = typename kind<number>::result;

  result operator()(krait::yielder<typename kind<number>::yield, send>& yield) const {
    const int items[] = {1, 2, 3};
    for (const int& item : items) {
      if constexpr (std::is_void_v<send>) {
        yield(item);
        received = "None";
      } else {
        received = shown(yield(item));
      }
    }
    return static_cast<result>(4);
  }
};

template <std::size_t outer, std::size_t inner, class Yield>
void delegate(const chain& whole, std::size_t level, Yield& yield) {
  if constexpr (delegates<outer, inner>) {
    of_kind<inner> g = made<inner>(whole, level + 1);
    if ((whole.started >> level & 1) != 0) {
      static_cast<void>(g.next());
    }
    const auto check = [](const auto& result) { CHECK(shown(result) == "4"); };
    const bool is_lent = (whole.lent >> level & 1) != 0;
    if constexpr (std::is_void_v<typename kind<inner>::result>) {
      is_lent ? yield.from(g) : yield.from(std::move(g));
    } else {
      is_lent ? check(yield.from(g)) : check(yield.from(std::move(g)));
    }
  }
}

template <std::size_t outer, class Yield, std::size_t... inner>
void delegate_to_next(const chain& whole, std::size_t level, Yield& yield, std::index_sequence<inner...>) {
  static_cast<void>(
      ((whole.kinds[level + 1] == inner && (delegate<outer, inner>(whole, level, yield), true)) || ...));
}

template <std::size_t number>
of_kind<number> made(const chain& whole, std::size_t level) {
  if (level + 1 == whole.kinds.size()) {
    return innermost<number>();
  }
  return [&whole, level](auto& yield) {
    delegate_to_next<number>(whole, level, yield, std::make_index_sequence<kinds>());
    return static_cast<typename kind<number>::result>(4);
  };
}

/// Can the chain be made? No level may be resumed with None that cannot say it: `next` is what starts one,
/// and what a delegation goes on with that finds it started.
template <std::size_t... n>
bool possible(const chain& whole, std::index_sequence<n...>) {
  static constexpr std::size_t width = sizeof...(n);
  static constexpr std::array<bool, width> none = {says_none<typename kind<n>::send>...};
  static constexpr auto row = []<std::size_t outer, std::size_t... inner>(std::index_sequence<inner...>) {
    return std::array<bool, width>{delegates<outer, inner>...};
  };
  static constexpr std::array<std::array<bool, width>, width> joins = {
    row.template operator()<n>(std::make_index_sequence<width>())...
  };
  bool must_say_none = false;
  for (std::size_t level = 0; level + 1 < whole.kinds.size(); ++level) {
    must_say_none = must_say_none || (whole.started >> level & 1) != 0;
    if (!joins[whole.kinds[level]][whole.kinds[level + 1]] ||
        (must_say_none && !none[whole.kinds[level + 1]])) {
      return false;
    }
  }
  return true;
}

/// Can None be sent through all of it?
template <std::size_t... n>
bool passes_none(const chain& whole, std::index_sequence<n...>) {
  static constexpr std::array<bool, sizeof...(n)> none = {says_none<typename kind<n>::send>...};
  return std::all_of(whole.kinds.begin(), whole.kinds.end(), [](std::size_t each) { return none[each]; });
}

/// What arrives of 7 or "seven", sent to the outermost; None becomes of it where a level takes nothing.
template <std::size_t... n>
std::string arriving(const chain& whole, std::index_sequence<n...>) {
  static constexpr std::array<bool, sizeof...(n)> is_void = {std::is_void_v<typename kind<n>::send>...};
  static constexpr std::array<bool, sizeof...(n)> is_text = {
      std::is_same_v<typename kind<n>::send, const char*>...};
  static constexpr std::array<bool, sizeof...(n)> none = {says_none<typename kind<n>::send>...};
  std::string value = is_text[whole.kinds.front()] ? "seven" : "7";
  for (const std::size_t each : whole.kinds) {
    if (is_void[each]) {
      value = "None";
    } else if (value == "None" && !none[each]) {
      return "TypeError";
    }
  }
  return value;
}

template <class Generator>
long send_seven(Generator& g) {
  using send = typename Generator::send_type;
  if constexpr (std::is_void_v<send>) {
    return g.next();
  } else if constexpr (std::is_same_v<send, const char*>) {
    return g.send("seven");
  } else {
    return g.send(7);
  }
}

/// Drives a chain to its end, or nearly so.
template <std::size_t outermost>
void drive(const chain& whole, const std::string& expected, int started) {
  using send = typename kind<outermost>::send;
  of_kind<outermost> g = made<outermost>(whole, 0);
  received = "";
  long item = static_cast<long>(g.next());
  CHECK(item == 1 + started);
  if (expected == "TypeError") {
    CHECK_THROWS_AS(send_seven(g), krait::type_error);
    return;
  }
  while (item < 3) {
    item = send_seven(g);
    CHECK(received == expected);
  }
  if constexpr (says_none<send>) {
    if (passes_none(whole, std::make_index_sequence<kinds>())) {
      static_cast<void>(g.resume());
      CHECK(received == "None");
      CHECK(g.done());
    }
  }
}

template <std::size_t... n>
void drive_any(const chain& whole, const std::string& expected, int started, std::index_sequence<n...>) {
  static_cast<void>(((whole.kinds.front() == n && (drive<n>(whole, expected, started), true)) || ...));
}

void check_all_of(std::size_t length, int& checked) {
  constexpr auto all = std::make_index_sequence<kinds>();
  chain whole;
  whole.kinds.assign(length, 0);
  const unsigned orders = 1U << (length - 1);
  for (bool more = true; more;) {
    for (whole.lent = 0; whole.lent < orders; ++whole.lent) {
      for (whole.started = 0; whole.started < orders; ++whole.started) {
        // One that starts the next at once would do so twice.
        if ((whole.started & (whole.started - 1)) == 0 && possible(whole, all)) {
          INFO("kinds ", whole.kinds.size(), ": ", whole.kinds[0], " ", whole.kinds[1], " ",
               whole.kinds.back(), ", lent ", whole.lent, ", started ", whole.started);
          drive_any(whole, arriving(whole, all), whole.started != 0 ? 1 : 0, all);
          ++checked;
        }
      }
    }
    more = false;
    for (std::size_t& each : whole.kinds) {
      if (++each < kinds) {
        more = true;
        break;
      }
      each = 0;
    }
  }
}

}  // namespace

TEST_CASE("what is sent arrives through delegations of any types, attached in any order") {
  int checked = 0;
  check_all_of(2, checked);
  check_all_of(3, checked);
  MESSAGE(checked, " chains");
  CHECK(checked > 10000);
}
