// SPDX-License-Identifier: BSL-1.0

// What the guide warns of, and its cures: who swallows generator_exit, destructors that wait, longjmp.

#if defined(__GNUC__) && !defined(__clang__)
// Where a switch is inlined beside a setjmp(), GCC fears for registers that hold nothing any more.
#pragma GCC diagnostic ignored "-Wclobbered"
#endif

#include <doctest/doctest.h>

#include <csetjmp>
#include <ostream>
#include <streambuf>
#include <string>

#include "support/probes.hpp"
#include "support/support.hpp"

namespace {

using support::raised_by, support::text_of;

using char_yielder = krait::yielder<char>;

/// Every character that is written is yielded.
class yielding_buffer : public std::streambuf {
 public:
  explicit yielding_buffer(char_yielder& yield) : yield_(yield) {}

 private:
  int_type overflow(int_type character) override {
    yield_(traits_type::to_char_type(character));
    return character;
  }

  char_yielder& yield_;
};

}  // namespace

TEST_CASE("a stream swallows what is raised at a yield in its buffer, unless it is to pass badbit's on") {
  for (const bool cured : {false, true}) {
    bool bad = false, behind = false;
    krait::generator<char> g = [&](auto& yield) {
      yielding_buffer buffer(yield);
      std::ostream out(&buffer);
      if (cured) {
        out.exceptions(std::ios::badbit);
      }
      const probes::at_exit look([&] { bad = out.bad(); });
      out << "spam";
      behind = true;
    };
    CHECK(g.next() == 's');
    CHECK(g.next() == 'p');
    g.close();
    CHECK(g.done());
    CHECK(bad);
    CHECK(behind == !cured);  // as if nothing had been raised
  }
}

TEST_CASE("a body that yields behind a stream that has swallowed generator_exit ignores it") {
  krait::generator<char> g = [](auto& yield) {
    yielding_buffer buffer(yield);
    std::ostream out(&buffer);
    out << "a";
    yield('b');
  };
  g.next();
  CHECK(text_of(raised_by([&] { g.close(); })) == "krait::runtime_error: generator ignored GeneratorExit");
}

TEST_CASE("a destructor that is noexcept(false) may yield, and be closed there") {
  struct waiting {
    krait::yielder<int>& yield;
    ~waiting() noexcept(false) { yield(2); }
  };
  krait::generator<int> g = [](auto& yield) {
    {
      const waiting last{yield};
    }
    yield(3);
  };
  CHECK(g.next() == 2);
  g.close();
  CHECK(g.done());
}

#if !defined(KRAIT_ASAN) && !defined(KRAIT_TSAN)  // which take a generator's stack for damaged then

TEST_CASE("longjmp within a body's stack, across yields") {
  std::string log;
  krait::generator<int> g = [&log](auto& yield) {
    std::jmp_buf start;
    volatile int round = 0;
    if (setjmp(start) < 2) {
      yield(round);
      round = round + 1;
      log += "again ";
      std::longjmp(start, round);
    }
    yield(10);
  };
  CHECK(g.next() == 0);
  CHECK(g.next() == 1);
  CHECK(g.next() == 10);
  CHECK(log == "again again ");
}

TEST_CASE("longjmp out of a body: to its generator it runs for ever") {
  const probes::unraisables reports;
  {
    static std::jmp_buf outside;  // NOLINT: what a jump leaves behind must not be on its way
    krait::generator<int> g = [](auto&) { std::longjmp(outside, 1); };
    if (setjmp(outside) == 0) {
      g.next();
    }
    CHECK(g.running());
    CHECK(text_of(raised_by([&] { g.next(); })) == "krait::value_error: generator already executing");
    krait::generator<int> other = [](auto& yield) { yield(5); };
    CHECK(other.next() == 5);
  }
  CHECK(reports.count() == 1);
  CHECK(reports.text(0) == "generator already executing");
}

#endif
