// SPDX-License-Identifier: BSL-1.0
#include <doctest/doctest.h>

#include <functional>
#include <ranges>
#include <string>
#include <tuple>
#include <utility>
#include <vector>
#include <version>

#include <krait/krait.hpp>

// Generators in the views that C++23 has added, as far as the library at hand has them: this file is compiled
// for C++23 where the compiler can. What C++20 has is in ranges.cpp.

#if !defined(__clang__) || __clang_major__ >= 16

namespace {

using krait::generator;
using numbers = std::vector<int>;

[[maybe_unused]] generator<int> up_to(int end) {
  return [end](auto& yield) {
    for (int i = 0; i < end; ++i) {
      yield(i);
    }
  };
}

template <class Range>
[[maybe_unused]] numbers collect(Range&& range) {
  numbers items;
  for (auto&& item : range) {
    items.push_back(item);
  }
  return items;
}

/// Of a range of pairs.
template <class Range>
[[maybe_unused]] std::vector<std::pair<int, int>> collect_pairs(Range&& range) {
  std::vector<std::pair<int, int>> pairs;
  for (auto&& [first, second] : range) {
    pairs.emplace_back(static_cast<int>(first), static_cast<int>(second));
  }
  return pairs;
}

template <class Range, class Adaptor>
concept pipes = requires(Range&& range, Adaptor adaptor) { static_cast<Range&&>(range) | adaptor; };

}  // namespace

#if defined(__cpp_lib_ranges_zip)
TEST_CASE("zip takes generators, and stops with the shortest") {
  generator<int> kept = up_to(10);
  CHECK(collect_pairs(std::views::zip(up_to(3), std::ranges::ref_view(kept))) ==
        std::vector<std::pair<int, int>>{{0, 0}, {1, 1}, {2, 2}});
}

#if defined(__GLIBCXX__)
TEST_CASE("zip_transform takes generators; what wants neighbours does not") {
  CHECK(collect(std::views::zip_transform(std::plus<>(), up_to(3), up_to(4))) == numbers{0, 2, 4});
  static_assert(!pipes<generator<int>, decltype(std::views::adjacent<2>)>);
  static_assert(!pipes<generator<int>, decltype(std::views::adjacent_transform<2>(std::plus<>()))>);
}
#endif
#endif

#if defined(__cpp_lib_ranges_repeat) && defined(__cpp_lib_ranges_zip)
TEST_CASE("repeat beside a generator") {
  CHECK(collect_pairs(std::views::zip(up_to(2), std::views::repeat(7))) ==
        std::vector<std::pair<int, int>>{{0, 7}, {1, 7}});
}
#endif

#if defined(__cpp_lib_ranges_chunk)
TEST_CASE("chunk takes a generator") {
  std::vector<numbers> chunks;
  for (auto chunk : up_to(5) | std::views::chunk(2)) {
    chunks.push_back(collect(chunk));
  }
  CHECK(chunks == std::vector<numbers>{{0, 1}, {2, 3}, {4}});
}
#endif

#if defined(__cpp_lib_ranges_slide)
static_assert(!pipes<generator<int>, decltype(std::views::slide(2))>);
#endif

#if defined(__cpp_lib_ranges_chunk_by)
static_assert(!pipes<generator<int>, decltype(std::views::chunk_by(std::less<>()))>);
#endif

#if defined(__cpp_lib_ranges_join_with)
TEST_CASE("join_with takes generators of ranges, and of generators") {
  generator<std::string> words = [](auto& yield) {
    yield("ab");
    yield("");
    yield("c");
  };
  std::string text;
  for (const char c : std::move(words) | std::views::join_with('-')) {
    text += c;
  }
  CHECK(text == "ab--c");
  generator<generator<int>> rows = [](auto& yield) {
    yield(up_to(2));
    yield(up_to(1));
  };
  CHECK(collect(std::move(rows) | std::views::join_with(9)) == numbers{0, 1, 9, 0});
}
#endif

#if defined(__cpp_lib_ranges_as_rvalue)
TEST_CASE("as_rvalue takes a generator") {
  CHECK(collect(up_to(3) | std::views::as_rvalue) == numbers{0, 1, 2});
}
#endif

#if defined(__cpp_lib_ranges_as_const)
TEST_CASE("as_const takes a generator") {
  CHECK(collect(up_to(3) | std::views::as_const) == numbers{0, 1, 2});
}
#endif

#if defined(__cpp_lib_ranges_cartesian_product)
TEST_CASE("cartesian_product takes a generator in the first place") {
  CHECK(collect_pairs(std::views::cartesian_product(up_to(2), numbers{5, 6})) ==
        std::vector<std::pair<int, int>>{{0, 5}, {0, 6}, {1, 5}, {1, 6}});
}
#endif

#if defined(__cpp_lib_ranges_stride)
TEST_CASE("stride takes a generator") {
  CHECK(collect(up_to(7) | std::views::stride(3)) == numbers{0, 3, 6});
}
#endif

#if defined(__cpp_lib_ranges_enumerate)
TEST_CASE("enumerate takes a generator") {
  CHECK(collect_pairs(up_to(2) | std::views::enumerate) == std::vector<std::pair<int, int>>{{0, 0}, {1, 1}});
}
#endif

#if defined(__cpp_lib_ranges_to_container)
TEST_CASE("a container is made of a generator") {
  CHECK((up_to(3) | std::ranges::to<std::vector>()) == numbers{0, 1, 2});
  CHECK(std::ranges::to<std::vector<long>>(up_to(3)) == std::vector<long>{0, 1, 2});
  generator<int> kept = up_to(3);
  CHECK(std::ranges::to<numbers>(kept) == numbers{0, 1, 2});
  CHECK(kept.done());
}
#endif

#endif
