// SPDX-License-Identifier: BSL-1.0
#include "tasks.hpp"

#include <doctest/doctest.h>

#include <string_view>

#include "output.hpp"

namespace {
std::string output_of(std::string_view name) {
  return output_of(name, tasks::examples());
}
}  // namespace

TEST_CASE("tasks: every example has a test here") {
  CHECK(tasks::examples().size() == 6);
}

TEST_CASE("tasks: run_until_complete(cube(5)) is 125") {
  CHECK(output_of("run_until_complete") == R"(Starting cube with argument 5!
Starting square with argument 5!
Finishing square with argument 5!
Finishing cube with argument 5!
125
)");
}

TEST_CASE("tasks: gather(cube(3), cube(4), cube(5)) is [27, 64, 125], each waiting while the others do") {
  CHECK(output_of("gather") == R"(Starting cube with argument 3!
Starting cube with argument 4!
Starting cube with argument 5!
Starting square with argument 3!
Starting square with argument 4!
Starting square with argument 5!
Finishing square with argument 3!
Finishing cube with argument 3!
Finishing square with argument 4!
Finishing cube with argument 4!
Finishing square with argument 5!
Finishing cube with argument 5!
[27, 64, 125]
)");
}

TEST_CASE("tasks: a producer and consumers on a queue, with a display of progress") {
  CHECK(output_of("pipeline") == R"([#.....] 1/6
[##....] 2/6
[###...] 3/6
[####..] 4/6
[#####.] 5/6
[######] 6/6
income: 210
)");
}

TEST_CASE("tasks: a task group of which one fails") {
  CHECK(output_of("failing_child") == R"(quick.example answers
first: quick.example
slow.example is cancelled
body.example is cancelled
unhandled errors in a TaskGroup (1 sub-exception)
* broken.example does not answer
)");
}

TEST_CASE("tasks: a generator that waits, one in the other") {
  CHECK(output_of("waiting_generator") == R"(3
2
1
lift-off
1
lift-off
and somebody else had a turn
)");
}

TEST_CASE("tasks: a deadline") {
  CHECK(output_of("deadline") == "timeout!\n");
}
