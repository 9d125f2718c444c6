#!/usr/bin/env -S python3 -B
# SPDX-License-Identifier: BSL-1.0
"""CPython and PyPy: generators. generators.py [--repetitions R] [--seconds S] OPERATION..."""

import gc
import itertools
import platform
import sys

from measure import BATCH, check, main, resident, sum_below

# A chain of a thousand takes as many levels of recursion.
sys.setrecursionlimit(10_000)


def counter(n):
    for i in range(n):
        yield i


def running_sum():
    total = 0
    while True:
        total += yield total


def nested(depth):
    return level(depth - 1) if depth else counter(sys.maxsize)


def level(depth):
    yield from nested(depth)


def sum_of(generator):
    total = 0
    for item in generator:
        total += item
    return total


def next_(n):
    total = 0
    for _ in range(n):
        total += sum_of(counter(BATCH))
    check(total, sum_below(BATCH) * n)


def send(n):
    for _ in range(n):
        generator = running_sum()
        total = next(generator)
        for i in range(BATCH):
            total = generator.send(i)
        check(total, sum_below(BATCH))


def spawn(n):
    items = 0
    for _ in range(n):
        for item in counter(1):
            items += item + 1
    check(items, n)


def close(n):
    closed = 0

    def guarded():
        nonlocal closed
        try:
            while True:
                yield 0
        finally:
            closed += 1

    items = 0
    for _ in range(n):
        generator = guarded()
        items += next(generator) + 1
        generator.close()
    check(items, n)
    check(closed, n)


def close_plain(n):
    items = 0
    for _ in range(n):
        generator = counter(sys.maxsize)
        items += next(generator) + 1
        generator.close()
    check(items, n)


def break_(n):
    total = 0
    for _ in range(n):
        for item in counter(sys.maxsize):
            total += item
            if item == 3:
                break
    check(total, 6 * n)


# What PyPy needs at depth 100 depends on what its compiler happened to see first: a microsecond or a hundred.
def delegate(depth):
    chain = nested(depth)
    check(next(chain), 0)  # builds it
    taken = 1

    def run(n):
        nonlocal taken
        check(sum_of(itertools.islice(chain, n)), sum_below(taken + n) - sum_below(taken))
        taken += n

    return run


def memory(count):
    alive = [None] * count
    gc.collect()
    before = resident()
    for i in range(count):
        alive[i] = counter(2)
        check(next(alive[i]), 0)
    gc.collect()
    return (resident() - before) / count


def operation(name):
    if name.startswith("delegate/"):
        return delegate(int(name[len("delegate/"):]))
    return {"next": next_, "send": send, "spawn": spawn, "close": close, "close_plain": close_plain, "break": break_, "memory": memory}[name]


def version():
    pypy = getattr(sys, "pypy_version_info", None)
    return f"{pypy.major}.{pypy.minor}.{pypy.micro} (Python {platform.python_version()})" if pypy else (
        platform.python_version())


main(platform.python_implementation().lower(), version(), operation)
