// SPDX-License-Identifier: BSL-1.0
#include "by_hand.hpp"

#include <doctest/doctest.h>

#include <string>
#include <string_view>

#include "output.hpp"

namespace {

/// With "0x..." for addresses.
std::string output_of(std::string_view name) {
  std::string output = output_of(name, by_hand::examples());
  for (std::size_t at = 0; (at = output.find("0x", at)) != std::string::npos; at += 2) {
    output.replace(at, output.find_first_not_of("x0123456789abcdef", at) - at, "0x...");
  }
  return output;
}

}  // namespace

// What each example must print is what the document that it was taken from shows, where it shows something
// (of an error, the last line of the traceback).

TEST_CASE("by hand: every example has a test here") {
  CHECK(by_hand::examples().size() == 11);
}

TEST_CASE("by hand: plain functions") {
  CHECK(output_of("functions") == R"(Starting square with argument 4!
Finishing square with argument 4!
16
Starting cube with argument 3!
Starting square with argument 3!
Finishing square with argument 3!
Finishing cube with argument 3!
27
Starting cube with argument 1!
Starting square with argument 1!
Finishing square with argument 1!
Finishing cube with argument 1!
1
Starting cube with argument 2!
Starting square with argument 2!
Finishing square with argument 2!
Finishing cube with argument 2!
8
Starting cube with argument 3!
Starting square with argument 3!
Finishing square with argument 3!
Finishing cube with argument 3!
27
)");
}

TEST_CASE("by hand: a coroutine object that is never awaited") {
  CHECK(output_of("never_awaited") == R"(<coroutine object square at 0x...>
RuntimeWarning: coroutine 'square' was never awaited
)");
}

TEST_CASE("by hand: a coroutine run by send()") {
  CHECK(output_of("driven") == R"(Starting square with argument 4!
Finishing square with argument 4!
StopIteration: 16
)");
}

TEST_CASE("by hand: a coroutine that awaits another") {
  CHECK(output_of("awaited") == R"(Starting cube with argument 3!
Starting square with argument 3!
Finishing square with argument 3!
Finishing cube with argument 3!
StopIteration: 27
)");
}

TEST_CASE("by hand: manual_sleep yields to the scheduler") {
  CHECK(output_of("sleeping") == R"(Starting cube with argument 3!
'Please do not continue until 3 seconds have elapsed.'
Starting square with argument 3!
'Please do not continue until 3 seconds have elapsed.'
Finishing square with argument 3!
Finishing cube with argument 3!
StopIteration: 27
)");
}

TEST_CASE("by hand: two cubes in turns: 125 and 1000") {
  CHECK(output_of("interleaved") == R"(Starting cube with argument 5!
'Please do not continue until 3 seconds have elapsed.'
Starting cube with argument 10!
'Please do not continue until 3 seconds have elapsed.'
Starting square with argument 5!
'Please do not continue until 3 seconds have elapsed.'
Starting square with argument 10!
'Please do not continue until 3 seconds have elapsed.'
Finishing square with argument 5!
Finishing cube with argument 5!
StopIteration: 125
Finishing square with argument 10!
Finishing cube with argument 10!
StopIteration: 1000
)");
}

TEST_CASE("by hand: a coroutine by itself") {
  CHECK(output_of("corout") == R"(<coroutine object corout at 0x...>
RuntimeWarning: coroutine 'corout' was never awaited
running corout
StopIteration
)");
}

TEST_CASE("by hand: await is the yield from of coroutines") {
  CHECK(output_of("foo") == R"(foofoo
foofoo
StopIteration
)");
}

TEST_CASE("by hand: rows and queries in turns, with async and await") {
  CHECK(output_of("round_robin") == R"(  database: insert row 1 is pending
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

TEST_CASE("by hand: async for over a remote container") {
  CHECK(output_of("async_for") == R"(do_stuff 'pig'
do_more_stuff 'pig'
scheduler: fetching item 0
do_stuff 'cow'
do_more_stuff 'cow'
scheduler: fetching item 1
do_stuff 'hen'
do_more_stuff 'hen'
)");
}

TEST_CASE("by hand: async with on a connection") {
  CHECK(output_of("async_with") == R"(pig: Oink!
scheduler: connecting to proto://db.somedomain.net
scheduler: sending cow
scheduler: disconnecting
cow: Moo!
scheduler: connecting to proto://db.somedomain.net
scheduler: hanging up
KeyError: 'hen'
)");
}
