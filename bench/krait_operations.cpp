// SPDX-License-Identifier: BSL-1.0
// krait. Compiled once per backend; the names in the table say which.
#include <krait/krait.hpp>

#include <string>

#include "operations.hpp"

namespace {

struct krait_peer {
  static krait::generator<long> counter(long n) {
    return [n](auto& yield) {
      for (long i = 0; i < n; ++i) {
        yield(i);
      }
    };
  }

  static long next(krait::generator<long>& range) { return range.next(); }

  static krait::generator<int, int> running_sum() {
    krait::generator<int, int> started = [](auto& yield) {
      for (int total = 0;;) {
        total += yield(total);
      }
    };
    started.next();
    return started;
  }

  static int send(krait::generator<int, int>& running_sum, int value) { return running_sum.send(value); }

  static krait::generator<long> catching() {
    krait::generator<long> started = [](auto& yield) {
      for (;;) {
        try {
          yield(1);
        } catch (const bench::error&) {
        }
      }
    };
    started.next();
    return started;
  }

  static long throw_in(krait::generator<long>& catching) { return catching.throw_(bench::error()); }

  static krait::generator<long> single() { return counter(1); }

  static krait::generator<long> guarded(long& destroyed) {
    return [&destroyed](auto& yield) {
      const bench::destruction_counter guard(destroyed);
      for (long i = 0; i < bench::endless; ++i) {
        yield(i);
      }
    };
  }

  static krait::generator<long> deep() {
    return [](auto& yield) { yield_below(yield, 4); };
  }

  static krait::generator<long> with_string() {
    return [](auto& yield) {
      const std::string text(100, 'x');
      for (long i = 0; i < bench::endless; ++i) {
        yield(i + static_cast<long>(text.size()));
      }
    };
  }

  static krait::generator<long> nested(int depth) {
    if (depth == 0) {
      return counter(bench::endless);
    }
    return [depth](auto& yield) { yield.from(nested(depth - 1)); };
  }

  static krait::generator<long> nested_shared(int depth) {
    if (depth == 0) {
      return counter(bench::endless);
    }
    return [depth](auto& yield) {
      krait::generator<long> inner = nested_shared(depth - 1);
      yield.from(inner);
    };
  }

  static krait::coroutine<long> awaiting(int depth) {
    return [depth](auto& co) {
      if (depth == 1) {
        co.await(krait::awaitable_generator<long>(counter(bench::endless)));
      } else {
        co.await(awaiting(depth - 1));
      }
    };
  }

  static long resume(krait::coroutine<long>& awaiting) { return awaiting.send(); }

  static krait::coroutine<long, void, long> returning(long value) {
    return [value](auto&) { return value; };
  }

  static long run(krait::coroutine<long, void, long>& one) { return *one.resume().result(); }

  static krait::generator<const long&> walk(const bench::node* root) {
    return [root](auto& yield) {
      if (root->left != nullptr) {
        yield.from(walk(root->left));
      }
      yield(root->value);
      if (root->right != nullptr) {
        yield.from(walk(root->right));
      }
    };
  }

  static krait::generator<const long&> walk_calls(const bench::node* root) {
    return [root](auto& yield) { visit(root, yield); };
  }

  static long first_uses(int count) {
    krait::stack_pool fresh;
    std::vector<krait::generator<long>> alive;
    alive.reserve(static_cast<std::size_t>(count));
    long items = 0;
    for (int i = 0; i < count; ++i) {
      alive.emplace_back(std::allocator_arg, fresh, [](auto& yield) { yield(1); });
      items += alive.back().next();
    }
    // To the end without an exception: what it costs to be closed is another matter.
    for (auto& one : alive) {
      static_cast<void>(one.resume());
    }
    return items;
  }

  static constexpr long lives = 1000;  // items from each of `live`

 private:
  template <class Yielder>
  [[gnu::noinline]] static void yield_below(Yielder& yield, int calls) {
    if (calls > 0) {
      yield_below(yield, calls - 1);
      asm volatile("" ::: "memory");  // no tail call
    } else {
      for (long i = 0; i < bench::endless; ++i) {
        yield(i);
      }
    }
  }

  static void visit(const bench::node* here, krait::yielder<const long&>& yield) {
    if (here->left != nullptr) {
      visit(here->left, yield);
    }
    yield(here->value);
    if (here->right != nullptr) {
      visit(here->right, yield);
    }
  }
};

[[maybe_unused]] const bool entered = bench::enter<krait_peer>(std::string("krait_") + krait::backend_name);

}  // namespace
