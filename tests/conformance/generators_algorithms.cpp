// SPDX-License-Identifier: BSL-1.0
#include <doctest/doctest.h>
#include <krait/krait.hpp>

#include <algorithm>
#include <array>
#include <cstddef>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include "support/support.hpp"

// CPython's cases that are whole algorithms made of generators (generators.cases.tsv).

namespace {

using krait::generator;
using support::state;

using ints = std::vector<int>;

/// Python: list(g).
template <class Generator>
auto list(Generator&& g) {
  std::vector<typename std::remove_cvref_t<Generator>::yield_type> all;
  for (auto&& item : g) {
    all.push_back(std::forward<decltype(item)>(item));
  }
  return all;
}

template <class Generator>
ints firstn(Generator&& g, int n) {
  ints items;
  for (int i = 0; i < n; ++i) {
    items.push_back(g.next());
  }
  return items;
}

// A binary tree.

struct tree {
  char label;
  std::unique_ptr<tree> left;
  std::unique_ptr<tree> right;
};

constexpr std::string_view alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZ";

std::unique_ptr<tree> balanced(std::string_view labels) {
  if (labels.empty()) {
    return nullptr;
  }
  const std::size_t middle = labels.size() / 2;
  return std::make_unique<tree>(
      tree{labels[middle], balanced(labels.substr(0, middle)), balanced(labels.substr(middle + 1))});
}

generator<char> in_order(const tree* node) {
  return [node](auto& yield) {
    if (node != nullptr) {
      for (char label : in_order(node->left.get())) {
        yield(label);
      }
      yield(node->label);
      for (char label : in_order(node->right.get())) {
        yield(label);
      }
    }
  };
}

generator<char> in_order_without_recursion(const tree* root) {
  return [root](auto& yield) {
    std::vector<const tree*> waiting;
    for (const tree* node = root; node != nullptr; node = node->right.get()) {
      for (; node->left != nullptr; node = node->left.get()) {
        waiting.push_back(node);
      }
      yield(node->label);
      while (node->right == nullptr) {
        if (waiting.empty()) {
          return;
        }
        node = waiting.back();
        waiting.pop_back();
        yield(node->label);
      }
    }
  };
}

/// All combinations of k elements of `items`.
generator<ints> gcomb(ints items, std::size_t k) {
  return [items = std::move(items), k](auto& yield) {
    if (k > items.size()) {
      return;
    }
    if (k == 0) {
      yield({});
      return;
    }
    const ints rest(items.begin() + 1, items.end());
    for (ints&& with_first : gcomb(rest, k - 1)) {
      with_first.insert(with_first.begin(), items.front());
      yield(std::move(with_first));
    }
    for (ints&& without_first : gcomb(rest, k)) {
      yield(std::move(without_first));
    }
  };
}

/// A set among disjoint sets: its generator yields its root, for ever.
class disjoint_set {
 public:
  explicit disjoint_set(char name) : name_(name) {}
  disjoint_set(const disjoint_set&) = delete;
  disjoint_set& operator=(const disjoint_set&) = delete;

  char name() const { return name_; }
  disjoint_set& find() { return generator_.next(); }
  void merge_into(disjoint_set& parent) { parent_ = &parent; }

 private:
  generator<disjoint_set&> generate() {
    return [this](auto& yield) {
      while (parent_ == nullptr) {
        yield(*this);
      }
      for (disjoint_set& root : parent_->generator_) {
        yield(root);
      }
    };
  }

  char name_;
  disjoint_set* parent_ = nullptr;
  generator<disjoint_set&> generator_ = generate();
};

// Streams of numbers.

generator<int> intsfrom(int first) {
  return [first](auto& yield) {
    for (int i = first;; ++i) {
      yield(i);
    }
  };
}

generator<int> exclude_multiples(int n, generator<int> source) {
  return [n, source = std::move(source)](auto& yield) mutable {
    for (int i : source) {
      if (i % n != 0) {
        yield(i);
      }
    }
  };
}

generator<int> sieve(generator<int> source) {
  return [source = std::move(source)](auto& yield) mutable {
    const int prime = source.next();
    yield(prime);
    for (int p : sieve(exclude_multiples(prime, std::move(source)))) {
      yield(p);
    }
  };
}

generator<int> times(int n, generator<int> source) {
  return [n, source = std::move(source)](auto& yield) mutable {
    for (int i : source) {
      yield(n * i);
    }
  };
}

/// Merges two increasing, endless streams, and yields what is in both once.
generator<int> merge(generator<int> left, generator<int> right) {
  return [left = std::move(left), right = std::move(right)](auto& yield) mutable {
    int l = left.next();
    int r = right.next();
    for (;;) {
      const int least = std::min(l, r);
      yield(least);
      if (l == least) {
        l = left.next();
      }
      if (r == least) {
        r = right.next();
      }
    }
  };
}

generator<int> sums(generator<int> left, generator<int> right) {
  return [left = std::move(left), right = std::move(right)](auto& yield) mutable {
    for (;;) {
      yield(left.next() + right.next());
    }
  };
}

generator<int> m235_naive() {
  return [](auto& yield) {
    yield(1);
    for (int i : merge(merge(times(2, m235_naive()), times(3, m235_naive())), times(5, m235_naive()))) {
      yield(i);
    }
  };
}

/// A list that fetches its elements from a generator, when they are first looked at.
class lazy_list {
 public:
  /// `make` is given the list itself.
  explicit lazy_list(const std::function<generator<int>(lazy_list&)>& make) : source_(make(*this)) {}
  lazy_list(const lazy_list&) = delete;
  lazy_list& operator=(const lazy_list&) = delete;

  int operator[](std::size_t i) {
    while (i >= fetched_.size()) {
      fetched_.push_back(source_.next());
    }
    return fetched_[i];
  }

  generator<int> elements() {
    return [this](auto& yield) {
      for (std::size_t i = 0;; ++i) {
        yield((*this)[i]);
      }
    };
  }

 private:
  ints fetched_;
  generator<int> source_;
};

/// Several readers of one generator, which may read from itself. Keeps an item until all have read it.
/// Python: itertools.tee.
class tee {
 public:
  explicit tee(std::size_t heads) : positions_(heads) {}
  tee(const tee&) = delete;
  tee& operator=(const tee&) = delete;

  void read_from(generator<int> source) { source_.emplace(std::move(source)); }

  generator<int> head(std::size_t index) {
    return [this, index](auto& yield) {
      for (;;) {
        yield(take(index));
      }
    };
  }

  std::size_t kept() const { return kept_.size(); }

 private:
  int take(std::size_t index) {
    if (positions_[index] == forgotten_ + kept_.size()) {
      const int item = source_->next();
      kept_.push_back(item);
    }
    const int item = kept_.at(positions_[index] - forgotten_);
    ++positions_[index];
    while (*std::min_element(positions_.begin(), positions_.end()) > forgotten_) {
      kept_.pop_front();
      ++forgotten_;
    }
    return item;
  }

  std::deque<int> kept_;
  std::size_t forgotten_ = 0;
  std::vector<std::size_t> positions_;
  std::optional<generator<int>> source_;
};

const std::vector<ints> hamming = {
    {1, 2, 3, 4, 5, 6, 8, 9, 10, 12, 15, 16, 18, 20, 24},
    {25, 27, 30, 32, 36, 40, 45, 48, 50, 54, 60, 64, 72, 75, 80},
    {81, 90, 96, 100, 108, 120, 125, 128, 135, 144, 150, 160, 162, 180, 192},
    {200, 216, 225, 240, 243, 250, 256, 270, 288, 300, 320, 324, 360, 375, 384},
    {400, 405, 432, 450, 480, 486, 500, 512, 540, 576, 600, 625, 640, 648, 675},
};
const ints fibonacci = {1, 2, 3, 5, 8, 13, 21, 34, 55, 89, 144, 233, 377, 610, 987, 1597, 2584};

}  // namespace

TEST_CASE("generators::doc.pep.binary_tree_recursive") {
  const auto t = balanced(alphabet);
  std::string visited;
  for (char label : in_order(t.get())) {
    visited += label;
  }
  CHECK(visited == alphabet);
}

TEST_CASE("generators::doc.pep.binary_tree_iterative") {
  const auto t = balanced(alphabet);
  std::string visited;
  auto g = in_order_without_recursion(t.get());
  for (char label : g) {
    visited += label;
  }
  CHECK(visited == alphabet);
  CHECK(g.state() == state::closed);
}

TEST_CASE("generators::doc.email.gcomb") {
  const std::vector<std::vector<ints>> expected = {
      {{}},
      {{1}, {2}, {3}, {4}},
      {{1, 2}, {1, 3}, {1, 4}, {2, 3}, {2, 4}, {3, 4}},
      {{1, 2, 3}, {1, 2, 4}, {1, 3, 4}, {2, 3, 4}},
      {{1, 2, 3, 4}},
      {},
  };
  for (std::size_t k = 0; k < expected.size(); ++k) {
    CAPTURE(k);
    CHECK(list(gcomb({1, 2, 3, 4}, k)) == expected[k]);
  }
}

TEST_CASE("generators::doc.email.union_find") {
  constexpr std::string_view names = "ABCDEFGHIJKLM";
  std::deque<disjoint_set> sets;
  for (char name : names) {
    sets.emplace_back(name);
  }
  const auto set_named = [&](char name) -> disjoint_set& { return sets[names.find(name)]; };
  const auto roots = [&] {
    std::string all;
    for (disjoint_set& set : sets) {
      all += set.find().name();
    }
    return all;
  };
  struct merge_step {
    char from;
    char into;
    std::string_view roots;
  };
  constexpr std::array<merge_step, 12> steps = {{
      {'K', 'B', "ABCDEFGHIJBLM"},
      {'A', 'F', "FBCDEFGHIJBLM"},
      {'E', 'F', "FBCDFFGHIJBLM"},
      {'D', 'C', "FBCCFFGHIJBLM"},
      {'M', 'C', "FBCCFFGHIJBLC"},
      {'J', 'B', "FBCCFFGHIBBLC"},
      {'B', 'C', "FCCCFFGHICCLC"},
      {'F', 'G', "GCCCGGGHICCLC"},
      {'L', 'C', "GCCCGGGHICCCC"},
      {'G', 'I', "ICCCIIIHICCCC"},
      {'I', 'H', "HCCCHHHHHCCCC"},
      {'C', 'H', "HHHHHHHHHHHHH"},
  }};
  CHECK(roots() == names);
  for (const merge_step& step : steps) {
    CAPTURE(step.from);
    set_named(step.from).merge_into(set_named(step.into));
    CHECK(roots() == step.roots);
  }
  CHECK(&set_named('K').find() == &set_named('H'));
}

TEST_CASE("generators::doc.fun.intsfrom") {
  CHECK(firstn(intsfrom(5), 7) == ints{5, 6, 7, 8, 9, 10, 11});
  CHECK(firstn(exclude_multiples(3, intsfrom(1)), 6) == ints{1, 2, 4, 5, 7, 8});
}

TEST_CASE("generators::doc.fun.sieve") {
  CHECK(firstn(sieve(intsfrom(2)), 20) ==
        ints{2, 3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37, 41, 43, 47, 53, 59, 61, 67, 71});
}

TEST_CASE("generators::doc.fun.times_merge") {
  CHECK(firstn(times(10, intsfrom(1)), 10) == ints{10, 20, 30, 40, 50, 60, 70, 80, 90, 100});
  CHECK(firstn(merge(times(2, intsfrom(1)), times(3, intsfrom(1))), 8) == ints{2, 3, 4, 6, 8, 9, 10, 12});
}

TEST_CASE("generators::doc.fun.m235_naive") {
  auto result = m235_naive();
  for (std::size_t batch = 0; batch < 3; ++batch) {
    CAPTURE(batch);
    CHECK(firstn(result, 15) == hamming[batch]);
  }
}

TEST_CASE("generators::doc.fun.m235_lazylist") {
  lazy_list m235([](lazy_list& self) -> generator<int> {
    return [&self](auto& yield) {
      yield(1);
      for (int i :
           merge(merge(times(2, self.elements()), times(3, self.elements())), times(5, self.elements()))) {
        yield(i);
      }
    };
  });
  for (std::size_t batch = 0; batch < 5; ++batch) {
    CAPTURE(batch);
    ints items;
    for (std::size_t i = 15 * batch; i < 15 * (batch + 1); ++i) {
      items.push_back(m235[i]);
    }
    CHECK(items == hamming[batch]);
  }
}

TEST_CASE("generators::doc.fun.fib_lazylist") {
  const auto tail = [](generator<int> source) {
    return generator<int>([source = std::move(source)](auto& yield) mutable {
      source.next();
      for (int i : source) {
        yield(i);
      }
    });
  };
  lazy_list fib([&](lazy_list& self) -> generator<int> {
    return [&](auto& yield) {
      yield(1);
      yield(2);
      for (int sum : sums(self.elements(), tail(self.elements()))) {
        yield(sum);
      }
    };
  });
  CHECK(firstn(fib.elements(), 17) == fibonacci);
}

TEST_CASE("generators::doc.fun.m235_tee") {
  tee m235(4);
  m235.read_from([m2 = m235.head(0), m3 = m235.head(1), m5 = m235.head(2)](auto& yield) mutable {
    yield(1);
    for (int n : merge(times(2, std::move(m2)), merge(times(3, std::move(m3)), times(5, std::move(m5))))) {
      yield(n);
    }
  });
  auto result = m235.head(3);
  for (std::size_t batch = 0; batch < 5; ++batch) {
    CAPTURE(batch);
    CHECK(firstn(result, 15) == hamming[batch]);
  }
  CHECK(m235.kept() < 60);
}

TEST_CASE("generators::doc.fun.fib_tee") {
  tee fib(3);
  fib.read_from([head = fib.head(0), tail = fib.head(1)](auto& yield) mutable {
    yield(1);
    yield(2);
    tail.next();
    for (int sum : sums(std::move(head), std::move(tail))) {
      yield(sum);
    }
  });
  CHECK(firstn(fib.head(2), 17) == fibonacci);
  CHECK(fib.kept() == 2);
}
