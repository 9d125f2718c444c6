# SPDX-License-Identifier: BSL-1.0
"""Makes random programs. Program `index` of `seed` is always the same."""

import bisect
import itertools
import random


class Weighted:
    def __init__(self, **weights):
        self.weights = weights
        self.items = list(weights)
        self.sums = list(itertools.accumulate(weights.values()))

    def pick(self, random):
        return self.items[bisect.bisect(self.sums, random() * self.sums[-1])]


RAISED = Weighted(A=6, B=6, C=3, GX=2, SX=2, GeneratorExit=4, StopIteration=3, RuntimeError=2, ValueError=1, TypeError=2,
                  AttributeError=1)
THROWN = Weighted(**{**RAISED.weights, "StopIteration": 9})
CAUGHT = Weighted(Exception=12, BaseException=12, GeneratorExit=6, StopIteration=3, RuntimeError=4, ValueError=3, TypeError=3,
                  AttributeError=2, A=6, B=3, C=3, GX=2, SX=1.5)
OPERATIONS = Weighted(new=12, next=32, send=12, throw=18, close=10, drop=6, state=1, **{"for": 6})
CALLS = Weighted(new=4, next=10, send=5, throw=5, close=6, drop=5, state=4, **{"for": 3})
ACTIONS = Weighted(item=10, stop=2, **{"raise": 3}, echo=2, rethrow=2, call=3)
STATEMENTS = dict(trace=4, received=5, **{"yield": 20}, yield_received=4, own=9, share=7, list=3, foreign=5, **{"try": 26},
                  scope=5, **{"raise": 2.5}, raise_with_cause=1, **{"return": 1.5}, return_received=2, loop=5, call=6,
                  stubborn=1)
IN_LOOP = {"break": 4, "continue": 4}
IN_HANDLER = dict(caught=15, reraise=8, raise_from=5)
KINDS = {
    (in_loop, in_handler): Weighted(**STATEMENTS, **(IN_LOOP if in_loop else {}), **(IN_HANDLER if in_handler else {}))
    for in_loop in (False, True) for in_handler in (False, True)
}
LIFE = {"throw": 2, "close": 3, "drop": 4, "for": 2, "state": 0}  # how much sooner it leaves a generator finished than next()
AWAITING = ("coroutine", "asyncgen")
BODIES = Weighted(coroutine=35, asyncgen=32, generator=18, awaitable=15)
MANAGERS = {"with": 7, "manage": 3, "closing": 2}
ASYNC_STATEMENTS = dict(async_for=8, async_with=10, async_manage=6, aclosing=3)
ASYNC_OPERATIONS = dict(anext=6, asend=3, athrow=3, aclose=3, wrap=2)
ASYNC_CALLS = dict(anext=2, asend=1, athrow=1, aclose=1, wrap=1)
MADE = Weighted(anext=2, asend=1, athrow=3, aclose=1.5, wrap=0.5)
USES = Weighted(next=2, throw=1, close=1)
BLOCK_AT = {"loop": 2, "scope": 2, "with": 2, "async_with": 2, "closing": 2, "aclosing": 2, "async_for": 3, "manage": 3,
            "async_manage": 3}
LAST = ("raise", "raise_with_cause", "return", "return_received", "break", "continue", "reraise", "raise_from")


class Generator:
    RAISED, THROWN, CAUGHT, OPERATIONS, CALLS = RAISED, THROWN, CAUGHT, OPERATIONS, CALLS

    def __init__(self, seed, index):
        self.random = random.Random(f"{seed}/{index}").random
        self.labels = itertools.count(1)

    def below(self, n):
        return int(self.random() * n)

    def chance(self, p):
        return self.random() < p

    def value(self):
        r = self.random()
        return None if r < 0.3 else self.below(10) if r < 0.8 else "ab"[self.below(2)]

    def exception(self, plain=0.15):
        return self.exception_of(self.RAISED, plain)

    def exception_of(self, kinds, plain):
        name = kinds.pick(self.random)
        return [name] if self.chance(plain) else [name, next(self.labels)]

    def slot(self, body):
        """In a body rather one that is not the driver's first, so that fewer generators touch themselves."""
        if body >= 0 and self.slots > 1 and self.chance(0.75):
            return 1 + self.below(self.slots - 1)
        return self.below(self.slots)

    def operation(self, kinds, body):
        """An operation in a body (which may make those after it only, so that no program recurses), or in the driver."""
        return self.plain_operation(kinds.pick(self.random), body)

    def plain_operation(self, kind, body):
        slot = self.slot(body)
        if kind == "new":
            if body + 1 == self.bodies:
                return ["next", slot]
            return [kind, slot, body + 1 + self.below(self.bodies - body - 1)]
        if kind == "send":
            return [kind, slot, self.value()]
        if kind == "throw":
            op = [kind, slot, self.exception_of(self.THROWN, 0.3)]
            return op + [self.exception()] if self.chance(0.15) else op
        if kind == "for":
            return [kind, slot, 1 + self.below(4)]
        return [kind, slot]

    def foreign(self, body):
        def script():
            return [self.action(body) for _ in range(self.below(4))]

        methods = {"next": [["item", self.value()] for _ in range(self.below(2))] + script()}
        for method in ("send", "throw", "close"):
            if self.chance(0.5):
                methods[method] = script()
        return methods

    def action(self, body):
        kind = ACTIONS.pick(self.random)
        if kind in ("item", "stop"):
            return [kind, self.value()]
        if kind == "raise":
            return [kind, self.exception()]
        if kind == "call":
            return [kind, self.operation(self.CALLS, body)]
        return [kind]

    def block(self, body, depth, in_loop, in_handler, most=5):
        made = []
        for _ in range(1 + self.below(most)):
            if self.budget <= 0 and made:
                break
            made.append(self.statement(body, depth, in_loop, in_handler))
            if made[-1][0] in LAST:
                break
        return made

    def statement(self, body, depth, in_loop, in_handler):
        self.budget -= 1
        return self.plain_statement(KINDS[in_loop, in_handler].pick(self.random), body, depth, in_loop, in_handler)

    def plain_statement(self, kind, body, depth, in_loop, in_handler):
        if kind in ("try", "loop", "scope", "stubborn") and (depth == 4 or self.budget < 3):
            kind = "yield"
        if kind == "own":
            if body + 1 == self.bodies:
                kind = "yield"
            else:
                return [kind, body + 1 if self.chance(0.6) else body + 1 + self.below(self.bodies - body - 1)]
        if kind == "trace":
            return [kind, next(self.labels)]
        if kind in ("yield", "return"):
            return [kind, self.value()]
        if kind == "share":
            return [kind, self.slot(body)]
        if kind == "list":
            return [kind, [self.value() for _ in range(self.below(4))]]
        if kind == "foreign":
            return [kind, self.foreign(body)]
        if kind == "try":
            return self.try_statement(body, depth + 1, in_loop, in_handler)
        if kind == "scope":
            made = [kind, next(self.labels), self.block(body, depth + 1, in_loop, in_handler)]
            return made + [self.operation(self.CALLS, body)] if self.chance(0.3) else made
        if kind == "raise_with_cause":
            return ["raise", self.exception(), self.exception()]
        if kind in ("raise", "raise_from"):
            return [kind, self.exception()]
        if kind == "loop":
            return [kind, 1 + self.below(3), self.block(body, depth + 1, True, in_handler)]
        if kind == "call":
            return [kind, self.operation(self.CALLS, body)]
        if kind == "stubborn":
            handler = ["GeneratorExit" if self.chance(0.6) else "BaseException", [["trace", next(self.labels)]]]
            return ["loop", 99, [["try", [["yield", self.value()]], [handler], None, None]]]
        return [kind]

    def try_statement(self, body, depth, in_loop, in_handler):
        tried = self.block(body, depth, in_loop, in_handler, 4)
        if self.chance(0.5):
            tried.insert(0, ["yield", self.value()])
        handlers, otherwise, final = [], None, None
        if self.chance(0.8):
            for _ in range(1 + self.chance(0.3) + self.chance(0.1)):
                handlers.append([self.CAUGHT.pick(self.random), self.block(body, depth, in_loop, True, 4)])
            if self.chance(0.15):
                otherwise = self.block(body, depth, in_loop, in_handler, 3)
        if not handlers or self.chance(0.3):
            final = self.block(body, depth, in_loop, in_handler, 3)
        return ["try", tried, handlers, otherwise, final]

    def hardened(self, body, made):
        """Often inside handlers and loops, so that most generators outlive the first exception thrown in."""
        if self.chance(0.4):
            handlers = [[self.CAUGHT.pick(self.random), self.block(body, 1, False, True, 2)] for _ in range(1 + self.below(2))]
            made = [["try", made, handlers, None, None], ["yield", self.value()]]
        if self.chance(0.3):
            made = [["loop", 2 + self.below(2), made]]
        return made

    def body(self, body):
        return self.block(body, 0, False, False, 6)

    def begin(self):
        """Which bodies the slots hold at first, if that is to be known to the bodies."""
        self.bodies = 1 + self.below(4) + (self.below(4) if self.chance(0.4) else 0)
        self.slots = 1 + self.below(4)

    def first_use(self, slot, body, defs):
        """Of what the driver has just made of a body."""
        if self.chance(0.8):
            return [["next", slot]]
        return [["throw", slot, self.exception_of(self.THROWN, 0.3)]] if self.chance(0.3) else []

    def delegated_to(self, slot, defs):
        """Of what is in the slot: runs a body that delegates to it, if there is one."""
        bodies = [k for k, body in enumerate(defs) if f"['share', {slot}]" in str(body)]
        others = [s for s in range(self.slots) if s != slot]
        if not bodies or not others:
            return []
        other = others[self.below(len(others))]
        return [["new", other, bodies[self.below(len(bodies))]], ["next", other]]

    def program(self):
        first = self.begin()
        tower = self.chance(0.3)
        defs = []
        for body in range(self.bodies):
            self.budget = 2 + self.below(8 if self.bodies > 3 else 16)
            made = self.body(body)
            if tower and body + 1 < self.bodies:
                made.insert(self.below(2), ["own", body + 1])
            defs.append(self.hardened(body, made))
        driver = []
        for slot in range(self.slots):
            driver.append(["new", slot, first[slot] if first else 0 if slot == 0 else self.below(self.bodies)])
            if self.chance(0.6):
                driver.append(["next", slot])
        used = [0] * self.slots
        for _ in range(3 + self.below(10)):
            op = self.operation(self.OPERATIONS, -1)
            kind, slot = op[:2]
            if used[slot] > 3 + self.below(4) and self.chance(0.8):
                op = ["new", slot, self.below(self.bodies)]
                kind = "new"
            driver.append(op)
            used[slot] = 0 if kind == "new" else used[slot] + LIFE.get(kind, 1)
            if kind == "new":
                driver += self.first_use(slot, op[2], defs)
            elif kind in ASYNC_OPERATIONS and self.chance(0.5):
                driver += self.delegated_to(slot, defs)
        return {"slots": self.slots, "defs": defs, "driver": driver}


class AsyncGenerator(Generator):
    """The same, with bodies of all kinds, managers, and operations that are objects."""

    RAISED = Weighted(**RAISED.weights, StopAsyncIteration=2)
    THROWN = Weighted(**THROWN.weights, StopAsyncIteration=2)
    CAUGHT = Weighted(**CAUGHT.weights, StopAsyncIteration=3)
    OPERATIONS = Weighted(**OPERATIONS.weights, **ASYNC_OPERATIONS)
    CALLS = Weighted(**CALLS.weights, **ASYNC_CALLS)
    KINDS = {
        (awaits, *place): Weighted(**kinds.weights, **MANAGERS, pause=8 if awaits else 2, **(ASYNC_STATEMENTS if awaits else {}))
        for place, kinds in KINDS.items() for awaits in (False, True)
    }

    def first_use(self, slot, body, defs):
        if self.kinds[body] == "asyncgen" and self.chance(0.2):
            op = self.making(MADE.pick(self.random), slot, -1)
            op[1:3] = (slot + 1) % self.slots, slot
            return [op, *self.delegated_to(op[1], defs)]
        return super().first_use(slot, body, defs)

    def later(self, body, *kinds):
        """A later body of one of these kinds, or none."""
        found = [k for k in range(body + 1, self.bodies) if self.kinds[k] in kinds]
        return found[self.below(len(found))] if found else None

    def operation(self, kinds, body):
        kind = kinds.pick(self.random)
        return self.making(kind, self.slot(body), body) if kind in ASYNC_OPERATIONS else self.plain_operation(kind, body)

    def making(self, kind, slot, body):
        """Fills the slot, or the next one, with something made of what is in another one."""
        fit = [s for s, k in enumerate(self.held) if k == ("coroutine" if kind == "wrap" else "asyncgen")]
        of = fit[self.below(len(fit))] if fit and self.chance(0.9) else self.slot(body)
        if of == slot and self.chance(0.8):
            slot = (slot + 1) % self.slots
        return [kind, slot, of] + {"asend": lambda: [self.value()], "athrow": lambda: [self.exception_of(self.THROWN, 0.3)]}.get(kind, list)()

    def block(self, body, *place):
        """Often what is delegated to is an operation that has just been made, perhaps of a generator that has, too, and
        perhaps used."""
        made = []
        for s in super().block(body, *place):
            if s[0] != "share" or not self.chance(0.35):
                made.append(s)
            else:
                op = self.making(MADE.pick(self.random), s[1], body)
                fresh = self.later(body, "coroutine" if op[0] == "wrap" else "asyncgen")
                if fresh is not None and self.chance(0.5):
                    made.append(["call", ["new", op[2], fresh]])
                made.append(["call", op])
                if self.chance(0.25):
                    use = self.plain_operation(USES.pick(self.random), body)
                    use[1] = op[1 + self.below(2)]
                    made.append(["call", use])
                made += [["share", op[1]], ["received"]]
        return made

    def statement(self, body, depth, in_loop, in_handler):
        self.budget -= 1
        awaits = self.kinds[body] in AWAITING
        kind = self.KINDS[awaits, in_loop, in_handler].pick(self.random)
        if kind in BLOCK_AT and (depth == 4 or self.budget < 3):
            kind = "pause"
        of = {"with": ["generator"], "async_with": ["asyncgen"], "async_manage": ["coroutine"]}.get(kind)
        if of and (made := self.later(body, *of)) is None:
            kind = "pause"
        if kind == "pause":
            return [kind, self.value()]
        if kind not in BLOCK_AT or kind in ("loop", "scope"):
            return self.plain_statement(kind, body, depth, in_loop, in_handler)
        if kind in ("with", "async_with"):
            return [kind, made, self.block(body, depth + 1, in_loop, in_handler)]
        if kind == "async_manage":
            return [kind, made, self.later(body, "coroutine"), self.block(body, depth + 1, in_loop, in_handler)]
        if kind == "manage":
            return [kind, self.action(body), self.action(body), self.block(body, depth + 1, in_loop, in_handler)]
        fit = [s for s, k in enumerate(self.held) if k == "asyncgen"]
        slot = fit[self.below(len(fit))] if fit and kind != "closing" and self.chance(0.9) else self.slot(body)
        if kind == "async_for":
            return [kind, slot, self.below(4), self.block(body, depth + 1, True, in_handler)]
        return [kind, slot, self.block(body, depth + 1, in_loop, in_handler)]

    def managing(self, body):
        """What a manager is to be made of: a body that yields once, mostly."""
        tried = [["yield", self.value()]]
        if self.chance(0.3):
            tried.insert(0, ["pause", self.value()])
        handlers = [[self.CAUGHT.pick(self.random), self.block(body, 1, False, True, 2)] for _ in range(self.below(3))]
        final = self.block(body, 1, False, False, 2) if not handlers or self.chance(0.3) else None
        return self.block(body, 1, False, False, 1)[:self.below(2)] + [["try", tried, handlers, None, final]]

    def body(self, body):
        if self.kinds[body] in ("generator", "asyncgen") and self.chance(0.3):
            return self.managing(body)
        made = super().body(body)
        if self.chance(0.15):  # close() has a value
            made = [["try", [["yield", self.value()], *made], [["GeneratorExit", [["return", self.value()]]]], None, None]]
        return made

    def program(self):
        made = super().program()
        made["kinds"] = self.kinds
        if self.chance(0.3):
            made["finalizer"] = self.below(self.slots + 1) - 1
        return made

    def begin(self):
        super().begin()
        self.bodies += self.below(3)
        self.kinds = [BODIES.pick(self.random) for _ in range(self.bodies)]
        first = [0] + [self.below(self.bodies) for _ in range(self.slots - 1)]
        self.held = [self.kinds[k] for k in first]
        return first


def generate(seed, index, kinds="all"):
    """Of all kinds, every third program has generators only."""
    return (Generator if kinds == "generators" or index % 3 == 0 else AsyncGenerator)(seed, index).program()
