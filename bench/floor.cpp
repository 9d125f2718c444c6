// SPDX-License-Identifier: BSL-1.0
// What nobody can be faster than: the bare switch of Boost.Context, and a call through a pointer.
// Both know neither exceptions nor errors, and the switch runs on a stack that is always there,
// unguarded. Where an exception is thrown or new memory touched: that alone.
#include <sys/mman.h>

#include <array>
#include <boost/context/detail/fcontext.hpp>
#include <cstddef>
#include <new>

#include "operations.hpp"

#if !defined(MADV_GUARD_INSTALL)
#define MADV_GUARD_INSTALL 102
#endif

namespace {

using boost::context::detail::fcontext_t;
using boost::context::detail::jump_fcontext;
using boost::context::detail::make_fcontext;
using boost::context::detail::transfer_t;

fcontext_t on_the_stack(void (*body)(transfer_t)) {
  alignas(16) static std::array<std::byte, 64 * 1024> stack;
  return make_fcontext(stack.data() + stack.size(), stack.size(), body);
}

struct raw_fcontext {
  class range {
   public:
    explicit range(long n) : body_(on_the_stack(&count)), n_(n) {}
    range(const range&) = delete;
    range& operator=(const range&) = delete;

    long* advance() {
      const transfer_t left = jump_fcontext(body_, &n_);
      body_ = left.fctx;
      return static_cast<long*>(left.data);
    }

    bench::iterator<range> begin() { return bench::iterator<range>(*this); }
    std::default_sentinel_t end() const { return {}; }

   private:
    static void count(transfer_t consumer) {
      const long n = *static_cast<long*>(consumer.data);
      for (long i = 0; i < n; ++i) {
        consumer = jump_fcontext(consumer.fctx, &i);
      }
      jump_fcontext(consumer.fctx, nullptr);
    }

    fcontext_t body_;
    long n_;
  };

  static range counter(long n) { return range(n); }
  static range single() { return range(1); }

  class accumulator {
   public:
    accumulator() : body_(jump_fcontext(on_the_stack(&add_up), nullptr).fctx) {}
    accumulator(const accumulator&) = delete;
    accumulator& operator=(const accumulator&) = delete;

    int send(int value) {
      const transfer_t left = jump_fcontext(body_, &value);
      body_ = left.fctx;
      return *static_cast<int*>(left.data);
    }

   private:
    static void add_up(transfer_t sender) {
      for (int total = 0;;) {
        sender = jump_fcontext(sender.fctx, &total);
        total += *static_cast<int*>(sender.data);
      }
    }

    fcontext_t body_;
  };

  static accumulator running_sum() { return {}; }
  static int send(accumulator& running_sum, int value) { return running_sum.send(value); }
};

struct indirect_call {
  class range {
   public:
    explicit range(long n) : n_(n) {}

    long* advance() { return body_(*this); }

    bench::iterator<range> begin() { return bench::iterator<range>(*this); }
    std::default_sentinel_t end() const { return {}; }

   private:
    static long* count(range& self) {
      if (self.i_ == self.n_) {
        return nullptr;
      }
      self.item_ = self.i_++;
      return &self.item_;
    }

    long* (*body_)(range&) = bench::opaque(&count);
    long i_ = 0;
    long n_;
    long item_ = 0;
  };

  static range counter(long n) { return range(n); }
  static long next(range& items) {
    const long* const item = items.advance();
    return item != nullptr ? *item : bench::exhausted();
  }

  class accumulator {
   public:
    int send(int value) { return *body_(*this, value); }

   private:
    static int* add_up(accumulator& self, int value) {
      self.total_ += value;
      return &self.total_;
    }

    int* (*body_)(accumulator&, int) = bench::opaque(&add_up);
    int total_ = 0;
  };

  static accumulator running_sum() { return {}; }
  static int send(accumulator& running_sum, int value) { return running_sum.send(value); }
};

/// One exception, thrown by a call and caught by the caller.
struct throw_catch {
  static int catching() { return 1; }

  static long throw_in(int caught) {
    try {
      raise();
    } catch (const bench::error&) {
      return caught;
    }
  }

 private:
  [[noreturn, gnu::noinline]] static void raise() { throw bench::error(); }
};

/// What the kernel does for stacks that are first used: one page out of 33, and perhaps 17 as a guard.
template <bool guarded>
struct page_faults {
  static long first_uses(int count) {
    constexpr std::size_t page = 4096;
    constexpr std::size_t slot = 33 * page;
    constexpr std::size_t guard = 17 * page;
    const std::size_t size = static_cast<std::size_t>(count) * slot;
    void* const memory =
        ::mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (memory == MAP_FAILED) {
      throw std::bad_alloc();
    }
    ::madvise(memory, size, MADV_NOHUGEPAGE);
    for (std::size_t at = 0; at < size; at += slot) {
      std::byte* const stack = static_cast<std::byte*>(memory) + at;
      if (guarded && ::madvise(stack, guard, MADV_GUARD_INSTALL) != 0) {
        ::mprotect(stack, guard, PROT_NONE);
      }
      *static_cast<volatile std::byte*>(stack + slot - page) = std::byte{1};
    }
    ::munmap(memory, size);
    return count;
  }
};

[[maybe_unused]] const bool entered =
    bench::enter<raw_fcontext>("raw_fcontext") && bench::enter<indirect_call>("indirect_call") &&
    bench::enter<throw_catch>("throw_catch") && bench::enter<page_faults<false>>("page_faults") &&
    bench::enter<page_faults<true>>("page_faults_guarded");

}  // namespace
