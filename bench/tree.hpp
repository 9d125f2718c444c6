// SPDX-License-Identifier: BSL-1.0
#pragma once

// The tree that is walked: a million nodes, balanced, lying in memory in no order, as the nodes of a tree do
// that has lived for a while.

#include <algorithm>
#include <cstddef>
#include <numeric>
#include <random>
#include <vector>

namespace bench {

struct node {
  long value = 0;
  const node* left = nullptr;
  const node* right = nullptr;
};

class tree {
 public:
  static constexpr long size = 1'000'000;

  static const tree& of_a_million() {
    static const tree nodes;
    return nodes;
  }

  const node* root() const { return root_; }

 private:
  tree() : nodes_(size) {
    std::vector<std::size_t> places(size);
    std::iota(places.begin(), places.end(), std::size_t{0});
    std::shuffle(places.begin(), places.end(),
                 std::mt19937(1));  // NOLINT(cert-msc51-cpp): the same each time
    root_ = grow(0, size, places);
  }

  /// A tree of the values from `first` up to `last`.
  const node* grow(long first, long last, const std::vector<std::size_t>& places) {
    if (first == last) {
      return nullptr;
    }
    const long middle = first + (last - first) / 2;
    node& here = nodes_[places[static_cast<std::size_t>(middle)]];
    here = {middle, grow(first, middle, places), grow(middle + 1, last, places)};
    return &here;
  }

  std::vector<node> nodes_;
  const node* root_;
};

}  // namespace bench
