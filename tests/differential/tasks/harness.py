# SPDX-License-Identifier: BSL-1.0
"""Random programs of tasks, and CPython's asyncio that runs them. Runs in CPython 3.14 (Pyodide) and in what generates.

A program is a line: bodies of tasks, each `[ operations ]`. An operation is a word, numbers, blocks of operations, and
a semicolon. The trace is what each operation came to, in order. Time is virtual: it passes when nothing can run.
"""

import asyncio
import collections
import contextvars
import itertools
import random
import sys

LIMIT = 24  # tasks of a program
TICK = 1 / 512  # seconds: sums of it are exact, in floating point and in nanoseconds
DELAYS = (0, None, 1000, 2 * TICK)


def parse(line):
    tokens = line.split()
    at = 0

    def block():
        nonlocal at
        at += 1  # [
        operations = []
        while tokens[at] != "]":
            word, numbers, blocks = tokens[at], [], []
            at += 1
            while tokens[at] not in ("[", ";"):
                numbers.append(int(tokens[at]))
                at += 1
            while tokens[at] == "[":
                blocks.append(block())
            at += 1  # ;
            operations.append((word, numbers, blocks))
        at += 1
        return operations

    bodies = []
    while at < len(tokens):
        bodies.append(block())
    return bodies


# ---- the generator

SIMPLE = [("s", 0), ("y", 2), ("aw", 1), ("ca", 2), ("un", 0), ("cg", 0), ("fs", 1), ("fe", 1), ("fc", 1), ("fa", 1),
          ("la", 1), ("lr", 1), ("es", 1), ("ec", 1), ("ew", 1), ("sa", 0), ("sr", 0), ("qp", 1), ("qg", 0), ("ga", 3),
          ("wt", 3), ("sh", 1), ("wf", 2), ("ra", 1), ("rt", 1), ("cs", 1), ("cw", 1), ("cn", 1), ("vs", 1), ("vg", 0),
          ("ge", 2), ("nc", 0), ("as", 2), ("sl", 1), ("gn", 2)]
WEIGHTS = {"s": 5, "sl": 4, "gn": 3, "y": 6, "ca": 5, "aw": 4, "fa": 3, "ra": 1, "rt": 1, "gs": 6}


def generate(seed, index):
    r = random.Random(f"{seed}/{index}")
    bodies = r.randint(2, 6)
    simple = [o for o in SIMPLE if o[0] not in ("nc",)]

    def number(word, i):
        if word in ("y", "gs") and i == 0:
            return r.randrange(bodies)
        if word in ("y", "gs"):
            return int(r.random() < 0.35)
        if word in ("aw", "sh", "ga", "wt", "wf", "ca", "as"):
            if word == "wf" and i == 1:
                return r.randrange(len(DELAYS))
            if (word == "ga" and i == 2) or (word == "wt" and i == 2):
                return r.randrange(3)
            return r.randrange(8)
        return r.randrange(3)

    def operation(depth, in_group):
        pick = r.random()
        if depth < 3 and pick < 0.22:
            kind = r.choice(("tr", "to", "gr", "gr", "fi"))
            blocks = [ops(depth + 1, in_group or kind == "gr")]
            numbers = []
            if kind == "tr":
                blocks.append(ops(depth + 1, in_group, 2))
                numbers = [int(r.random() < 0.6)]
            if kind == "fi":
                blocks.append(ops(depth + 1, in_group, 2))
            if kind == "to":
                numbers = [r.randrange(len(DELAYS))]
            return kind, numbers, blocks
        choices = simple + ([("gs", 2)] * 1 if in_group else [])
        word, count = r.choices(choices, [WEIGHTS.get(c[0], 2) for c in choices])[0]
        return word, [number(word, i) for i in range(count)], []

    def ops(depth, in_group, most=6):
        return [operation(depth, in_group) for _ in range(r.randint(1, most))]

    def text(block):
        return "[ " + " ".join(
            " ".join([w, *map(str, n), *map(text, b), ";"]) for w, n, b in block) + " ]" if block else "[ ]"

    return " ".join(text(ops(0, False)) for _ in range(bodies))


# ---- CPython

class Refused(Exception):
    pass


class Selector:
    """Nobody ever waits for it: the loop never sleeps, as something is always ready or its time has come."""

    def __init__(self, loop):
        self.loop = loop

    def select(self, timeout):
        if timeout is None:
            raise Refused("nothing can go on")
        if timeout:
            self.loop.now += timeout
        return []

    def close(self):
        pass


made = itertools.count()


class TimerHandle(asyncio.TimerHandle):
    """Of those that are due at the same time, the first comes first; CPython's heap has no such order."""

    def __init__(self, *arguments):
        super().__init__(*arguments)
        self.number = next(made)

    def __lt__(self, other):
        return (self._when, self.number) < (other._when, other.number)


asyncio.events.TimerHandle = TimerHandle


class VirtualLoop(asyncio.base_events.BaseEventLoop):
    def __init__(self):
        super().__init__()
        self._clock_resolution = 1e-9
        self.now = 0.0
        self._selector = Selector(self)

    def time(self):
        return self.now

    def _process_events(self, events):
        pass

    def _write_to_self(self):
        pass


def shown(e):
    if isinstance(e, asyncio.CancelledError):
        return "C"
    if isinstance(e, BaseExceptionGroup):
        return "G[" + ",".join(map(shown, e.exceptions)) + "]"
    if isinstance(e, ValueError):
        return f"V:{e}" if str(e).isdigit() else "ValueError"
    for kind in (TimeoutError, asyncio.InvalidStateError, RuntimeError):
        if isinstance(e, kind):
            return kind.__name__
    raise Refused(repr(e))


class Ordered(dict):
    """In place of a TaskGroup's set, whose order nobody knows."""

    def add(self, task):
        self[task] = None

    def discard(self, task):
        self.pop(task, None)


variable = contextvars.ContextVar("variable", default=0)


class World:
    def __init__(self, bodies):
        self.bodies = bodies
        self.log = []
        self.tasks = []
        self.running = 0
        self.futures = [asyncio.get_running_loop().create_future() for _ in range(3)]
        self.locks = [asyncio.Lock() for _ in range(2)]
        self.events = [asyncio.Event() for _ in range(2)]
        self.conditions = [asyncio.Condition(self.locks[0]), asyncio.Condition(self.locks[1])]
        self.semaphore = asyncio.Semaphore(1)
        self.queue = asyncio.Queue(2)

    def put(self, me, what):
        self.log.append(f"{me}.{what}")

    def make(self, create, body, eager):
        if len(self.tasks) >= LIMIT:
            return
        index = len(self.tasks)
        self.tasks.append(None)
        kwargs = {"eager_start": True} if eager else {}
        coroutine = self.body(index, body % len(self.bodies))
        try:
            self.tasks[index] = create(coroutine, **kwargs)
        except RuntimeError:
            coroutine.close()
            raise

    async def body(self, me, body):
        self.put(me, "(")
        try:
            result = await self.run(self.bodies[body], me, None)
        except BaseException as e:
            self.put(me, ")" + shown(e))
            raise
        self.put(me, f"){result}")
        return 0 if result is None else result

    def after(self, me, i):
        """A task that was made after this one: nobody waits in a circle."""
        i = me + 1 + i
        return self.tasks[i] if i < len(self.tasks) else None

    async def run(self, operations, me, group):
        for word, n, blocks in operations:
            try:
                result = await self.one(word, n, blocks, me, group)
            except BaseException as e:
                self.put(me, word + "!" + shown(e))
                raise
            self.put(me, word + ("" if result is None or blocks else f"={result}"))
            if word == "rt" or (blocks and result is not None):
                return result
        return None

    async def ticks(self, depth, count, me):
        """In krait a plain generator."""
        try:
            if depth > 0:
                async for v in self.ticks(depth - 1, count, me):
                    yield v
            else:
                for i in range(count):
                    await asyncio.sleep(i % 2 * TICK)
                    yield i + 1
        finally:
            self.put(me, f"end{depth}")

    async def one(self, word, n, blocks, me, group):
        loop = asyncio.get_running_loop()
        current = asyncio.current_task()
        match word:
            case "s":
                await asyncio.sleep(0)
            case "sl":
                await asyncio.sleep((n[0] + 1) * TICK)
            case "gn":
                total = 0
                async for v in self.ticks(n[0], n[1], me):
                    total += v
                return total
            case "y":
                self.make(loop.create_task, *n)
            case "gs":
                if group is not None:
                    self.make(group.create_task, *n)
            case "aw":
                if (t := self.after(me, n[0])) is not None:
                    return await t
            case "ca":
                i = n[0]
                if i < len(self.tasks) and self.tasks[i] is not None:
                    return int(self.tasks[i].cancel(f"m{n[1]}"))
            case "un":
                return current.uncancel()
            case "cg":
                return current.cancelling()
            case "fs":
                self.futures[n[0]].set_result(n[0])
            case "fe":
                self.futures[n[0]].set_exception(ValueError("7"))
            case "fc":
                return int(self.futures[n[0]].cancel("f"))
            case "fa":
                return await self.futures[n[0]]
            case "la":
                await self.locks[n[0] % 2].acquire()
            case "lr":
                self.locks[n[0] % 2].release()
            case "es":
                self.events[n[0] % 2].set()
            case "ec":
                self.events[n[0] % 2].clear()
            case "ew":
                await self.events[n[0] % 2].wait()
            case "sa":
                await self.semaphore.acquire()
            case "sr":
                self.semaphore.release()
            case "qp":
                await self.queue.put(n[0])
            case "qg":
                return await self.queue.get()
            case "cw":
                await self.conditions[n[0] % 2].wait()
            case "cn":
                self.conditions[n[0] % 2].notify(1)
            case "cs":
                self.conditions[n[0] % 2].notify_all()
            case "vs":
                variable.set(n[0])
            case "vg":
                return variable.get()
            case "ga" | "ge":
                a, b = self.after(me, n[0]), self.after(me, n[1])
                if a is None or b is None:
                    return None
                if word == "ga" and n[2] == 0:
                    x, y = await asyncio.gather(a, b)
                    return 10 * x + y
                results = await asyncio.gather(a, b, return_exceptions=True)
                return "/".join(shown(x) if isinstance(x, BaseException) else str(x) for x in results)
            case "wt":
                a, b = self.after(me, n[0]), self.after(me, n[1])
                if a is None or b is None:
                    return None
                how = (asyncio.FIRST_COMPLETED, asyncio.FIRST_EXCEPTION, asyncio.ALL_COMPLETED)[n[2]]
                done, pending = await asyncio.wait([a, b], return_when=how)
                return 10 * len(done) + len(pending)
            case "as":
                a, b = self.after(me, n[0]), self.after(me, n[1])
                if a is None or b is None:
                    return None
                if a.done() and b.done():
                    return None  # CPython takes them from a set
                order = []
                async for t in asyncio.as_completed([a, b]):
                    order.append(str(self.tasks.index(t)))
                return "/".join(order)
            case "sh":
                if (t := self.after(me, n[0])) is not None:
                    return await asyncio.shield(t)
            case "wf":
                if (t := self.after(me, n[0])) is not None:
                    return await asyncio.wait_for(t, DELAYS[n[1]])
            case "ra":
                raise ValueError(str(n[0]))
            case "rt":
                return n[0]
            case "tr":
                try:
                    return await self.run(blocks[0], me, group)
                except asyncio.CancelledError:
                    self.put(me, "caught")
                    result = await self.run(blocks[1], me, group)
                    if n[0]:
                        raise
                    return result
            case "fi":
                try:
                    return await self.run(blocks[0], me, group)
                except ValueError as e:
                    self.put(me, "caught")
                    return await self.run(blocks[1], me, group)
            case "to":
                try:
                    async with asyncio.timeout(DELAYS[n[0]]):
                        return await self.run(blocks[0], me, group)
                except TimeoutError:
                    self.put(me, "late")
            case "gr":
                try:
                    made = asyncio.TaskGroup()
                    made._tasks = Ordered()
                    async with made:
                        return await self.run(blocks[0], me, made)
                except BaseExceptionGroup as e:
                    self.put(me, shown(e))


async def main(world):
    world.make(asyncio.get_running_loop().create_task, 0, 0)
    world.make(asyncio.get_running_loop().create_task, 1, 0)
    for i in range(12):
        await asyncio.sleep(i // 8 * TICK)
    for round in range(200):
        left = [t for t in world.tasks if t is not None and not t.done()]
        if not left:
            break
        world.put("-", f"cancel {len(left)}")
        for t in left:
            t.cancel("end")
        for i in range(6):
            await asyncio.sleep(i // 5 * TICK)
    states = []
    for t in world.tasks:
        if t is None:
            states.append("none")
        elif not t.done():
            states.append("pending")
        elif t.cancelled():
            states.append("cancelled")
        elif t.exception() is not None:
            states.append(shown(t.exception()))
        else:
            states.append(str(t.result()))
    world.put("-", " ".join(states))


sys.unraisablehook = lambda _: None  # of tasks that refuse to end


def run(line):
    asyncio._set_running_loop(None)  # Pyodide's own
    loop = VirtualLoop()
    loop.set_exception_handler(lambda *_: None)
    world = None

    async def whole():
        nonlocal world
        world = World(parse(line))
        await main(world)

    try:
        loop.run_until_complete(whole())
        return " ".join(world.log)
    except Refused as e:
        return f"refused {e}"
    finally:
        for t in asyncio.all_tasks(loop):
            t._log_destroy_pending = False
        loop.close()


def run_batch(seed, first, count):
    return "\n".join(run(generate(seed, i)) for i in range(first, first + count))
