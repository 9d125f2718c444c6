#!/usr/bin/env -S python3 -B
# SPDX-License-Identifier: BSL-1.0
"""CPython's asyncio: what bench/asyncio/operations.hpp has. tasks.py [--repetitions R] [--seconds S] OPERATION..."""

import asyncio
import functools
import platform
import random

from measure import check, main, sum_below

BATCH = 1000
LEAVES = 1000  # of skynet


async def turns(tasks, n):
    count = 0
    stop = False

    async def other():
        nonlocal count
        while True:
            await asyncio.sleep(0)
            if stop:
                return
            count += 1

    others = [asyncio.create_task(other()) for _ in range(tasks - 1)]
    await asyncio.sleep(0)
    for _ in range(n):
        count += 1
        await asyncio.sleep(0)
    stop = True
    for each in others:
        await each
    check(count, n * tasks)


async def turns_in_generator(depth, n):
    async def waiting():
        for i in range(n):
            await asyncio.sleep(0)
            yield i

    async def nested(levels):
        async for item in waiting() if levels == 1 else nested(levels - 1):
            yield item

    total = 0
    async for item in waiting() if depth == 1 else nested(depth):
        total += item
    check(total, sum_below(n))


async def returning(value):
    return value


async def spawn(n):
    total = 0
    for i in range(n):
        total += await asyncio.create_task(returning(i))
    check(total, sum_below(n))


async def spawn_1000(n):
    for _ in range(n):
        total = 0
        for each in [asyncio.create_task(returning(i)) for i in range(BATCH)]:
            total += await each
        check(total, sum_below(BATCH))


async def done(n):
    ended = asyncio.create_task(returning(1))
    await ended
    total = 0
    for _ in range(n):
        total += await ended
    check(total, n)


async def ping_pong(n):
    there, back = asyncio.Queue(), asyncio.Queue()

    async def other():
        for _ in range(n):
            await back.put(await there.get())

    task = asyncio.create_task(other())
    total = 0
    for i in range(n):
        await there.put(i)
        total += await back.get()
    await task
    check(total, sum_below(n))


async def queue(n):
    items = asyncio.Queue(64)

    async def produce():
        for i in range(n):
            await items.put(i)

    task = asyncio.create_task(produce())
    total = 0
    for _ in range(n):
        total += await items.get()
    await task
    check(total, sum_below(n))


async def tree(first, leaves):
    if leaves == 1:
        return first
    below = leaves // 10
    children = [asyncio.create_task(tree(first + i * below, below)) for i in range(10)]
    total = 0
    for each in children:
        total += await each
    return total


async def skynet(n):
    for _ in range(n):
        check(await tree(0, LEAVES), sum_below(LEAVES))


async def gather(n):
    for _ in range(n):
        check(sum(await asyncio.gather(returning(1), returning(2), returning(3))), 6)


def nothing():
    pass


async def timer(n):
    loop = asyncio.get_running_loop()
    for _ in range(n):
        loop.call_later(5, nothing).cancel()


async def timers(n):
    loop = asyncio.get_running_loop()
    for _ in range(n):
        start = loop.time() + 5
        for handle in [loop.call_at(start + random.random(), nothing) for _ in range(BATCH)]:
            handle.cancel()


async def timeout(n):
    for _ in range(n):
        async with asyncio.timeout(5):
            await asyncio.sleep(0)


async def cancel(n):
    cancelled = 0
    for _ in range(n):
        sleeper = asyncio.create_task(asyncio.sleep(10))
        await asyncio.sleep(0)
        sleeper.cancel()
        try:
            await sleeper
        except asyncio.CancelledError:
            cancelled += 1
    check(cancelled, n)


async def echo(connections, n):
    async def serve(reader, writer):
        while data := await reader.read(64):
            writer.write(data)
            await writer.drain()
        writer.close()

    async def ask(reader, writer):
        for _ in range(n):
            writer.write(bytes(64))
            await writer.drain()
            await reader.readexactly(64)

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        where = server.sockets[0].getsockname()
        pairs = [await asyncio.open_connection(*where) for _ in range(connections)]
        await asyncio.gather(*(ask(*pair) for pair in pairs))
        for _, writer in pairs:
            writer.close()
        await asyncio.sleep(0.01)


# What is done n times, and how many items that are.
OPERATIONS = {
    "turn/1": (functools.partial(turns, 1), 1),
    "turn/100": (functools.partial(turns, 100), 100),
    "turn_in_generator/1": (functools.partial(turns_in_generator, 1), 1),
    "turn_in_generator/3": (functools.partial(turns_in_generator, 3), 1),
    "task_spawn": (spawn, 1),
    "task_spawn_1000": (spawn_1000, BATCH),
    "task_done": (done, 1),
    "ping_pong": (ping_pong, 1),
    "queue": (queue, 1),
    "skynet": (skynet, (10 * LEAVES - 1) // 9),
    "gather": (gather, 1),
    "timer": (timer, 1),
    "timers": (timers, BATCH),
    "timeout": (timeout, 1),
    "task_cancel": (cancel, 1),
    "echo/1": (functools.partial(echo, 1), 1),
    "echo/100": (functools.partial(echo, 100), 100),
}


def operation(name):
    # asyncio.timeout is of 3.11.
    run, unit = OPERATIONS[name]
    return (lambda n: asyncio.run(run(n))), unit


main("asyncio", platform.python_version(), operation)
