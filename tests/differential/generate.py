# SPDX-License-Identifier: BSL-1.0
"""Makes random programs. Program `index` of `seed` is always the same."""

import bisect
import itertools
import random


class Weighted:
    def __init__(self, **weights):
        self.items = list(weights)
        self.sums = list(itertools.accumulate(weights.values()))

    def pick(self, random):
        return self.items[bisect.bisect(self.sums, random() * self.sums[-1])]


RAISED = Weighted(A=6, B=6, C=3, GX=2, SX=2, GeneratorExit=4, StopIteration=3, RuntimeError=2, ValueError=1, TypeError=1,
                  AttributeError=0.5)
CAUGHT = Weighted(Exception=12, BaseException=12, GeneratorExit=6, StopIteration=3, RuntimeError=4, ValueError=3, TypeError=1,
                  AttributeError=1, A=6, B=3, C=3, GX=2, SX=1.5)
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
LAST = ("raise", "raise_with_cause", "return", "return_received", "break", "continue", "reraise", "raise_from")


class Generator:
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
        name = RAISED.pick(self.random)
        return [name] if self.chance(plain) else [name, next(self.labels)]

    def slot(self, body):
        """In a body rather one that is not the driver's first, so that fewer generators touch themselves."""
        if body >= 0 and self.slots > 1 and self.chance(0.75):
            return 1 + self.below(self.slots - 1)
        return self.below(self.slots)

    def operation(self, kinds, body):
        """An operation in a body (which may make those after it only, so that no program recurses), or in the driver."""
        kind = kinds.pick(self.random)
        slot = self.slot(body)
        if kind == "new":
            if body + 1 == self.bodies:
                return ["next", slot]
            return [kind, slot, body + 1 + self.below(self.bodies - body - 1)]
        if kind == "send":
            return [kind, slot, self.value()]
        if kind == "throw":
            op = [kind, slot, self.exception(plain=0.3)]
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
            return [kind, self.operation(CALLS, body)]
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
        kind = KINDS[in_loop, in_handler].pick(self.random)
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
            return made + [self.operation(CALLS, body)] if self.chance(0.3) else made
        if kind == "raise_with_cause":
            return ["raise", self.exception(), self.exception()]
        if kind in ("raise", "raise_from"):
            return [kind, self.exception()]
        if kind == "loop":
            return [kind, 1 + self.below(3), self.block(body, depth + 1, True, in_handler)]
        if kind == "call":
            return [kind, self.operation(CALLS, body)]
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
                handlers.append([CAUGHT.pick(self.random), self.block(body, depth, in_loop, True, 4)])
            if self.chance(0.15):
                otherwise = self.block(body, depth, in_loop, in_handler, 3)
        if not handlers or self.chance(0.3):
            final = self.block(body, depth, in_loop, in_handler, 3)
        return ["try", tried, handlers, otherwise, final]

    def hardened(self, body, made):
        """Often inside handlers and loops, so that most generators outlive the first exception thrown in."""
        if self.chance(0.4):
            handlers = [[CAUGHT.pick(self.random), self.block(body, 1, False, True, 2)] for _ in range(1 + self.below(2))]
            made = [["try", made, handlers, None, None], ["yield", self.value()]]
        if self.chance(0.3):
            made = [["loop", 2 + self.below(2), made]]
        return made

    def program(self):
        self.bodies = 1 + self.below(4) + (self.below(4) if self.chance(0.4) else 0)
        self.slots = 1 + self.below(4)
        tower = self.chance(0.3)
        defs = []
        for body in range(self.bodies):
            self.budget = 2 + self.below(8 if self.bodies > 3 else 16)
            made = self.block(body, 0, False, False, 6)
            if tower and body + 1 < self.bodies:
                made.insert(self.below(2), ["own", body + 1])
            defs.append(self.hardened(body, made))
        driver = []
        for slot in range(self.slots):
            driver.append(["new", slot, 0 if slot == 0 else self.below(self.bodies)])
            if self.chance(0.6):
                driver.append(["next", slot])
        used = [0] * self.slots
        for _ in range(3 + self.below(10)):
            op = self.operation(OPERATIONS, -1)
            kind, slot = op[:2]
            if used[slot] > 3 + self.below(4) and self.chance(0.8):
                op = ["new", slot, self.below(self.bodies)]
                kind = "new"
            driver.append(op)
            used[slot] = 0 if kind == "new" else used[slot] + LIFE.get(kind, 1)
            if kind == "new" and self.chance(0.8):
                driver.append(["next", slot])
        return {"slots": self.slots, "defs": defs, "driver": driver}


def generate(seed, index):
    return Generator(seed, index).program()
