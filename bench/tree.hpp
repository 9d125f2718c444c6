// SPDX-License-Identifier: BSL-1.0
#pragma once

// The tree that is walked: a million nodes, balanced, in memory in the order in which they were made (each
// before its children), so that the walk and not the memory is what is measured.

#include <cstddef>
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
  tree() {
    nodes_.reserve(size);
    root_ = grow(0, size);
  }

  /// A tree of the values from `first` up to `last`.
  const node* grow(long first, long last) {
    if (first == last) {
      return nullptr;
    }
    const long middle = first + (last - first) / 2;
    node& here = nodes_.emplace_back();
    here = {middle, grow(first, middle), grow(middle + 1, last)};
    return &here;
  }

  std::vector<node> nodes_;
  const node* root_;
};

}  // namespace bench
