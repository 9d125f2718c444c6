// SPDX-License-Identifier: BSL-1.0
#include "tour.hpp"

#include <doctest/doctest.h>

#include <string>
#include <string_view>

#include "output.hpp"

namespace {

std::string output_of(std::string_view name) {
  return output_of(name, tour::examples());
}

}  // namespace

// What each example must print is what Python prints for the program it was taken from.

TEST_CASE("tour: every example has a test here") {
  CHECK(tour::examples().size() == 11);
}

TEST_CASE("tour: subroutines") {
  CHECK(output_of("subroutines") == "[1, 1, 2, 3, 5, 8, 13]\n1\n1\n2\n3\n5\n8\n13\n42\n");
}

TEST_CASE("tour: a finite Fibonacci generator, by next() and by a loop") {
  std::string output = output_of("fibonacci");
  const std::string_view repr = "<generator object fibonacci_generator at 0x";
  CHECK(output.substr(0, repr.size()) == repr);
  const std::size_t end_of_repr = output.find(">\n");
  REQUIRE(end_of_repr != std::string::npos);
  CHECK(output.substr(end_of_repr + 2) == R"(1
1
2
3
5
8
13
StopIteration
1
1
2
3
5
8
13
)");
}

TEST_CASE("tour: an infinite Fibonacci generator") {
  CHECK(output_of("infinite") == R"(1
1
2
3
5
8
13
21
34
55
89
)");
}

TEST_CASE("tour: a running sum of what is sent") {
  CHECK(output_of("sum") == R"(0
1
3
6
)");
}

TEST_CASE("tour: rows inserted in turns") {
  CHECK(output_of("insert") == R"(  database: insert row 3 is pending
  database: insert row 1 is pending
  database: insert duplicate row 2 is pending
  database: insert row 3 is pending
  database: insert row 1 is success
success
  database: insert duplicate row 2 is pending
  database: insert row 3 is pending
  database: insert duplicate row 2 is failure
failure
  database: insert row 3 is success
success
)");
}

TEST_CASE("tour: delegation with return values") {
  CHECK(output_of("delegate") == R"(  database: insert row 1 is pending
  database: insert duplicate row 2 is pending
  database: insert row 1 is success
success
  database: select query 2 is pending
  database: insert duplicate row 2 is pending
  database: select query 2 is pending
  database: insert duplicate row 2 is failure
failure
  database: select query 1 is pending
  database: select query 2 is success
success
  database: select query 1 is success
success
insert: success select: success
insert: failure select: success
)");
}

TEST_CASE("tour: the first coroutine") {
  CHECK(output_of("coroutine") == R"(my_coroutine started with multiplier 2
my_coroutine will produce ''
main sends to coroutine 'A'
my_coroutine received 'A'
my_coroutine will produce 'AA'
main received from coroutine 'AA'
main sends to coroutine 'B'
my_coroutine received 'B'
my_coroutine will produce 'AABB'
main received from coroutine 'AABB'
main sends to coroutine 'C'
my_coroutine received 'C'
my_coroutine will produce 'AABBCC'
main received from coroutine 'AABBCC'
)");
}

TEST_CASE("tour: an exception thrown into a generator") {
  CHECK(output_of("throw") == R"(0
1
1
2
3
5
8
13
21
34
55
89
Exception: I don't like 89
)");
}

TEST_CASE("tour: GeneratorExit, heeded and ignored") {
  CHECK(output_of("close") == R"(at work
cleaning up after GeneratorExit
at work
RuntimeError: generator ignored GeneratorExit
)");
}

TEST_CASE("tour: a generator wrapped in another") {
  CHECK(output_of("wrap") == R"(bar
StopIteration: qux
before
bar
after
)");
}

TEST_CASE("tour: a generator that yields None") {
  CHECK(output_of("genfunction") == R"(in the generator
StopIteration
)");
}
