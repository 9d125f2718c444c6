// SPDX-License-Identifier: BSL-1.0
#include <doctest/doctest.h>
#include <krait/krait.hpp>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <utility>
#include <vector>

#include "support/support.hpp"

// CPython's cases on backtracking by generators (generators.cases.tsv).

namespace {

using krait::generator;
using support::state;
using support::unraisables;

using ints = std::vector<int>;
using choice = std::function<generator<int>()>;

/// How many scopes are alive, of those that hold one of these.
class counted {
 public:
  explicit counted(int& alive) : alive_(alive) { ++alive_; }
  counted(const counted&) = delete;
  counted& operator=(const counted&) = delete;
  ~counted() { --alive_; }

 private:
  int& alive_;
};

/// Yields all ways to take one item from each choice, the first varying slowest: always the same list, with
/// other contents.
class conjunction {
 public:
  explicit conjunction(std::vector<choice> choices)
      : choices_(std::move(choices)), values_(choices_.size()) {}

  generator<ints&> from_level(std::size_t level) {
    return [this, level](auto& yield) {
      if (level == choices_.size()) {
        yield(values_);
        return;
      }
      for (int value : choices_[level]()) {
        values_[level] = value;
        yield.from(from_level(level + 1));
      }
    };
  }

 private:
  std::vector<choice> choices_;
  ints values_;
};

generator<ints&> conjoin(std::vector<choice> choices) {
  return [all = std::make_unique<conjunction>(std::move(choices))](auto& yield) {
    for (ints& values : all->from_level(0)) {
      yield(values);
    }
  };
}

generator<ints> gencopy(generator<ints&> source) {
  return [source = std::move(source)](auto& yield) mutable {
    for (ints& values : source) {
      yield(values);
    }
  };
}

std::vector<choice> bits(std::size_t n) {
  return std::vector<choice>(n, [] {
    return generator<int>([](auto& yield) {
      yield(0);
      yield(1);
    });
  });
}

/// The queens' problem: one choice for each row, of the columns that no queen above attacks.
class queens {
 public:
  explicit queens(int n) : n_(n) {}

  generator<ints&> solve() {
    std::vector<choice> rows;
    for (int row = 0; row < n_; ++row) {
      rows.emplace_back([this, row] { return columns(row); });
    }
    return conjoin(std::move(rows));
  }

  std::uint64_t attacked() const { return attacked_; }

 private:
  generator<int> columns(int row) {
    return [this, row](auto& yield) {
      for (int column = 0; column < n_; ++column) {
        const std::uint64_t lines =
            bit(column) | bit(n_ + row - column + n_ - 1) | bit(3 * n_ - 1 + row + column);
        if ((attacked_ & lines) == 0) {
          attacked_ |= lines;
          yield(column);
          attacked_ &= ~lines;
        }
      }
    };
  }

  static std::uint64_t bit(int i) { return std::uint64_t{1} << i; }

  int n_;
  std::uint64_t attacked_ = 0;
};

/// Closed knight's tours of a board, from its first corner: one choice for each move. Moves go first to where
/// the fewest ways lead on.
class knights {
 public:
  knights(int rows, int columns, int& alive) : rows_(rows), columns_(columns), alive_(alive) {
    for (int square = 0; square < rows * columns; ++square) {
      ways_.push_back(all_ways_from(square));
    }
  }

  /// Yields the squares in the order they are visited.
  generator<ints&> solve() {
    std::vector<choice> moves;
    moves.emplace_back([this] { return first(); });
    moves.emplace_back([this] { return second(); });
    for (int i = 3; i < rows_ * columns_; ++i) {
      moves.emplace_back([this] { return advance(); });
    }
    moves.emplace_back([this] { return last(); });
    return conjoin(std::move(moves));
  }

 private:
  using square_ways = std::pair<std::size_t, int>;

  int square_at(int row, int column) const { return row * columns_ + column; }
  ints& ways_from(int square) { return ways_[static_cast<std::size_t>(square)]; }

  ints all_ways_from(int square) const {
    constexpr std::array<std::pair<int, int>, 8> jumps = {
        {{1, 2}, {2, 1}, {2, -1}, {1, -2}, {-1, -2}, {-2, -1}, {-2, 1}, {-1, 2}}};
    ints ways;
    for (const auto& [down, right] : jumps) {
      const int row = square / columns_ + down;
      const int column = square % columns_ + right;
      if (row >= 0 && row < rows_ && column >= 0 && column < columns_) {
        ways.push_back(square_at(row, column));
      }
    }
    return ways;
  }

  /// Nobody goes to `square` any more. False if a square around is left without a way on, or two are left
  /// with one, as only one of those can be next.
  bool occupy(int square) {
    int dead_ends = 0;
    int forced = 0;
    for (int neighbour : ways_from(square)) {
      ints& ways = ways_from(neighbour);
      ways.erase(std::find(ways.begin(), ways.end(), square));
      dead_ends += ways.empty() ? 1 : 0;
      forced += ways.size() == 1 ? 1 : 0;
    }
    return dead_ends == 0 && forced < 2;
  }

  void vacate(int square) {
    for (int neighbour : ways_from(square)) {
      ways_from(neighbour).push_back(square);
    }
  }

  generator<int> first() {
    return [this](auto& yield) {
      const counted scope(alive_);
      occupy(0);
      at_ = 0;
      yield(0);
      vacate(0);
    };
  }

  /// From the corner two squares can be reached: one is next, the other must come last.
  generator<int> second() {
    return [this](auto& yield) {
      const counted scope(alive_);
      const int low = square_at(1, 2);
      const int high = square_at(2, 1);
      for (int square : {low, high}) {
        final_ = square == low ? high : low;
        occupy(square);
        ways_from(final_).push_back(0);
        at_ = square;
        yield(square);
        ints& ways = ways_from(final_);
        ways.erase(std::find(ways.begin(), ways.end(), 0));
        vacate(square);
      }
    };
  }

  generator<int> advance() {
    return [this](auto& yield) {
      const counted scope(alive_);
      std::vector<square_ways> candidates;
      for (int square : ways_from(at_)) {
        const std::size_t ways = ways_from(square).size();
        if (ways == 1) {
          candidates = {{ways, square}};
          break;
        }
        candidates.emplace_back(ways, square);
      }
      std::sort(candidates.begin(), candidates.end());
      for (const auto& [ways, square] : candidates) {
        if (square != final_) {
          if (occupy(square)) {
            at_ = square;
            yield(square);
          }
          vacate(square);
        }
      }
    };
  }

  generator<int> last() {
    return [this](auto& yield) {
      const counted scope(alive_);
      yield(final_);
    };
  }

  int rows_;
  int columns_;
  int& alive_;
  std::vector<ints> ways_;
  int at_ = 0;
  int final_ = 0;
};

/// The number of the move to each square.
ints board_of(const ints& tour) {
  ints board(tour.size());
  int move = 0;
  for (int square : tour) {
    board[static_cast<std::size_t>(square)] = ++move;
  }
  return board;
}

}  // namespace

TEST_CASE("generators::doc.conjoin.binary") {
  const ints* same = nullptr;
  std::vector<ints> all;
  for (ints& values : conjoin(bits(3))) {
    CHECK((same == nullptr || same == &values));
    same = &values;
    all.push_back(values);
  }
  CHECK(all == std::vector<ints>{
                   {0, 0, 0}, {0, 0, 1}, {0, 1, 0}, {0, 1, 1}, {1, 0, 0}, {1, 0, 1}, {1, 1, 0}, {1, 1, 1}});
}

TEST_CASE("generators::doc.conjoin.gencopy") {
  for (std::size_t n = 0; n < 10; ++n) {
    CAPTURE(n);
    std::vector<ints> all;
    for (ints&& values : gencopy(conjoin(bits(n)))) {
      all.push_back(std::move(values));
    }
    REQUIRE(all.size() == std::size_t{1} << n);
    CHECK(all.front() == ints(n, 0));
    CHECK(all.back() == ints(n, 1));
  }
}

TEST_CASE("generators::doc.conjoin.queens") {
  queens problem(8);
  int count = 0;
  std::vector<ints> first;
  for (ints& columns : problem.solve()) {
    if (++count <= 2) {
      first.push_back(columns);
    }
  }
  CHECK(count == 92);
  CHECK(first == std::vector<ints>{{0, 4, 7, 5, 2, 6, 1, 3}, {0, 5, 7, 2, 6, 3, 1, 4}});
  CHECK(problem.attacked() == 0);
}

TEST_CASE("generators::doc.conjoin.knights") {
  // clang-format off
  const std::vector<ints> expected = {
      { 1,  58,  27,  34,   3,  40,  29,  10,   5,   8,
       26,  35,   2,  57,  28,  33,   4,   7,  30,  11,
       59, 100,  73,  36,  41,  56,  39,  32,   9,   6,
       74,  25,  60,  55,  72,  37,  42,  49,  12,  31,
       61,  86,  99,  76,  63,  52,  47,  38,  43,  50,
       24,  75,  62,  85,  54,  71,  64,  51,  48,  13,
       87,  98,  91,  80,  77,  84,  53,  46,  65,  44,
       90,  23,  88,  95,  70,  79,  68,  83,  14,  17,
       97,  92,  21,  78,  81,  94,  19,  16,  45,  66,
       22,  89,  96,  93,  20,  69,  82,  67,  18,  15},
      { 1,  58,  27,  34,   3,  40,  29,  10,   5,   8,
       26,  35,   2,  57,  28,  33,   4,   7,  30,  11,
       59, 100,  73,  36,  41,  56,  39,  32,   9,   6,
       74,  25,  60,  55,  72,  37,  42,  49,  12,  31,
       61,  86,  99,  76,  63,  52,  47,  38,  43,  50,
       24,  75,  62,  85,  54,  71,  64,  51,  48,  13,
       87,  98,  89,  80,  77,  84,  53,  46,  65,  44,
       90,  23,  92,  95,  70,  79,  68,  83,  14,  17,
       97,  88,  21,  78,  81,  94,  19,  16,  45,  66,
       22,  91,  96,  93,  20,  69,  82,  67,  18,  15}};
  // clang-format on
  const unraisables reported;
  int alive = 0;
  knights problem(10, 10, alive);
  std::vector<ints> boards;
  {
    auto tours = problem.solve();
    for (ints& tour : tours) {
      boards.push_back(board_of(tour));
      if (boards.size() == 2) {
        break;
      }
    }
    CHECK(tours.state() == state::suspended);
    CHECK(alive == 100);
  }
  CHECK(alive == 0);
  CHECK(reported.count() == 0);
  REQUIRE(boards.size() == 2);
  CHECK(boards[0] == expected[0]);
  CHECK(boards[1] == expected[1]);
}
