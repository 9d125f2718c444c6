#!/usr/bin/env -S python3 -B
# SPDX-License-Identifier: BSL-1.0
"""greenlet on CPython. greenlets.py [--repetitions R] [--seconds S] OPERATION..."""

import functools
import gc
import itertools
import platform
import sys

from measure import BATCH, Missing, check, main, resident, sum_below

try:
    import greenlet
except ImportError:
    greenlet = None

# A chain of a thousand takes as many levels of recursion, and more.
sys.setrecursionlimit(10_000)


def generator(body, *arguments):
    """A greenlet that runs body(yield_, ...), where yield_ switches to who made it."""
    return greenlet.greenlet(functools.partial(body, greenlet.getcurrent().switch, *arguments))


def counter(yield_, n):
    for i in range(n):
        yield_(i)


def running_sum(yield_):
    total = 0
    while True:
        total += yield_(total)


def nested(yield_, depth):
    """greenlet has no delegation: each level switches each item on."""
    if depth == 0:
        for i in itertools.count():
            yield_(i)
    for item in items_of(generator(nested, depth - 1)):
        yield_(item)


def items_of(made):
    return iter(made.switch, None)


def sum_of(items):
    total = 0
    for item in items:
        total += item
    return total


def next_(n):
    total = 0
    for _ in range(n):
        total += sum_of(items_of(generator(counter, BATCH)))
    check(total, sum_below(BATCH) * n)


def send(n):
    for _ in range(n):
        made = generator(running_sum)
        total = made.switch()
        for i in range(BATCH):
            total = made.switch(i)
        check(total, sum_below(BATCH))


def spawn(n):
    items = 0
    for _ in range(n):
        for item in items_of(generator(counter, 1)):
            items += item + 1
    check(items, n)


def close(n):
    closed = 0

    def guarded(yield_):
        nonlocal closed
        try:
            while True:
                yield_(0)
        finally:
            closed += 1

    items = 0
    for _ in range(n):
        made = generator(guarded)
        items += made.switch() + 1
        del made  # raises GreenletExit in it
    check(items, n)
    check(closed, n)


def delegate(depth):
    chain = items_of(generator(nested, depth))
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
        alive[i] = generator(counter, 2)
        check(alive[i].switch(), 0)
    gc.collect()
    return (resident() - before) / count


def operation(name):
    if greenlet is None:
        raise Missing("python3 has no module greenlet")
    if name.startswith("delegate/"):
        return delegate(int(name[len("delegate/"):]))
    return {"next": next_, "send": send, "spawn": spawn, "close": close, "memory": memory}[name]


main("greenlet", greenlet and f"{greenlet.__version__} (CPython {platform.python_version()})", operation)
