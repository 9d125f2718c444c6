# SPDX-License-Identifier: BSL-1.0
"""What the programs in Python share: the command line, the clock, and how results are printed."""

import argparse
import json
import sys
import time

# As in bench/operations.hpp: items per generator where one is made per batch.
BATCH = 10_000
ALIVE = 100_000


class Missing(Exception):
    """The peer has no such operation."""


def sum_below(n):
    return n * (n - 1) // 2


def check(got, expected):
    if got != expected:
        sys.exit(f"got {got}, expected {expected}")


def resident():
    """The bytes of this process that are in memory."""
    with open("/proc/self/status", encoding="ascii") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmRSS:")) * 1024


def repeat(run, unit, seconds, repetitions):
    """Nanoseconds per operation, several times. `run(n)` does n * unit of them."""

    def timed(n):
        start = time.process_time_ns()
        run(n)
        return time.process_time_ns() - start

    n = 1
    while timed(n) < seconds * 1e9:  # warms up, too
        n *= 2
    return [timed(n) / (n * unit) for _ in range(repetitions)]


def main(peer, version, operation):
    """`operation(name)` makes what `repeat` runs, perhaps with how many operations that is; for `memory` it is a function
    that returns bytes."""
    parser = argparse.ArgumentParser()
    parser.add_argument("operations", nargs="+", metavar="OPERATION")
    parser.add_argument("--repetitions", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=0.05)
    chosen = parser.parse_args()
    for name in chosen.operations:
        result = {"operation": name, "peer": peer, "version": version}
        try:
            run = operation(name)
            if name == "memory":
                result["bytes"] = run(ALIVE)
                result["count"] = ALIVE
            else:
                run, unit = run if isinstance(run, tuple) else (run, BATCH if name in ("next", "send") else 1)
                result["ns"] = repeat(run, unit, chosen.seconds, chosen.repetitions)
        except (Missing, RecursionError, MemoryError) as reason:
            result["skipped"] = str(reason) or type(reason).__name__
        print(json.dumps(result), flush=True)
