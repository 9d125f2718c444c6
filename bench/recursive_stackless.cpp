// SPDX-License-Identifier: BSL-1.0
// C++20 coroutines that delegate in constant time, as std::generator (P2502) and
// cppcoro::recursive_generator do: the outermost one, the root, knows the innermost, the leaf, so
// that an item takes one resumption at any depth. Delegation makes the inner one the leaf, its end
// the outer one again; both are transfers without return. An exception passes from level to level.
// Frames come from operator new.
#include <coroutine>
#include <exception>
#include <utility>

#include "operations.hpp"

namespace {

class generator {
 public:
  class promise_type;
  using handle = std::coroutine_handle<promise_type>;

  struct elements_of {
    generator&& inner;
  };

  explicit generator(handle coroutine) : coroutine_(coroutine) {}
  generator(generator&& other) noexcept : coroutine_(std::exchange(other.coroutine_, {})) {}
  generator& operator=(generator&& other) = delete;
  ~generator() {
    if (coroutine_) {
      coroutine_.destroy();
    }
  }

  class iterator;
  iterator begin();
  std::default_sentinel_t end() const { return {}; }

  long next();

 private:
  handle coroutine_;
};

class generator::promise_type {
 public:
  generator get_return_object() { return generator(handle::from_promise(*this)); }
  std::suspend_always initial_suspend() const noexcept { return {}; }

  auto final_suspend() const noexcept {
    struct pop : std::suspend_always {
      std::coroutine_handle<> await_suspend(handle ended) const noexcept {
        const promise_type& self = ended.promise();
        if (!self.outer_) {
          return std::noop_coroutine();
        }
        self.root_->leaf_ = self.outer_;
        return self.outer_;
      }
    };
    return pop();
  }

  std::suspend_always yield_value(const long& item) noexcept {
    root_->item_ = &item;
    return {};
  }

  auto yield_value(elements_of elements) noexcept {
    struct push : std::suspend_always {
      explicit push(handle coroutine) : inner(coroutine) {}

      std::coroutine_handle<> await_suspend(handle outer) const noexcept {
        promise_type& self = inner.promise();
        self.outer_ = outer;
        self.root_ = outer.promise().root_;
        self.root_->leaf_ = inner;
        return inner;
      }
      void await_resume() const {
        if (inner.promise().error_) [[unlikely]] {
          std::rethrow_exception(std::move(inner.promise().error_));
        }
      }

      handle inner;
    };
    return push(elements.inner.coroutine_);
  }

  void return_void() const noexcept {}

  void unhandled_exception() {
    if (!outer_) {
      throw;
    }
    error_ = std::current_exception();
  }

 private:
  friend generator;
  friend iterator;

  promise_type* root_ = this;
  handle outer_;
  std::exception_ptr error_;
  // Of the root:
  handle leaf_ = handle::from_promise(*this);
  const long* item_ = nullptr;
};

class generator::iterator {
 public:
  using value_type = long;
  using difference_type = std::ptrdiff_t;

  explicit iterator(handle root) : root_(root) { ++*this; }

  const long& operator*() const { return *root_.promise().item_; }
  iterator& operator++() {
    root_.promise().leaf_.resume();
    return *this;
  }
  void operator++(int) { ++*this; }
  bool operator==(std::default_sentinel_t) const { return root_.done(); }

 private:
  handle root_;
};

generator::iterator generator::begin() {
  return iterator(coroutine_);
}

long generator::next() {
  coroutine_.promise().leaf_.resume();
  if (coroutine_.done()) [[unlikely]] {
    bench::exhausted();
  }
  return *coroutine_.promise().item_;
}

using elements_of = generator::elements_of;

struct recursive_stackless {
  static generator counter(long n) {
    for (long i = 0; i < n; ++i) {
      co_yield i;
    }
  }

  static long next(generator& range) { return range.next(); }

  static generator single() { return counter(1); }

  static generator guarded(long& destroyed) {
    const bench::destruction_counter guard(destroyed);
    for (long i = 0; i < bench::endless; ++i) {
      co_yield i;
    }
  }

  static generator nested(int depth) {
    if (depth == 0) {
      return counter(bench::endless);
    }
    return level(depth - 1);
  }

  static generator level(int depth) { co_yield elements_of{bench::opaque(&nested)(depth)}; }

  static generator walk(const bench::node* root) {
    if (root->left != nullptr) {
      co_yield elements_of{walk(root->left)};
    }
    co_yield root->value;
    if (root->right != nullptr) {
      co_yield elements_of{walk(root->right)};
    }
  }
};

[[maybe_unused]] const bool entered = bench::enter<recursive_stackless>("recursive_stackless");

}  // namespace
