#!/usr/bin/env python3
# SPDX-License-Identifier: BSL-1.0
"""Programs of the differential tests as bytes that decode.cpp makes nearly the same programs of: a corpus to begin with.

usage: encode.py DIRECTORY COUNT CORPUS.jsonl...     writes a file for each of the first COUNT programs of each corpus
"""

import json
import pathlib
import sys

# The order of these is the encoding: decode.cpp has the same.
STATEMENTS = ["end", "trace", "received", "caught", "yield", "yield_received", "own", "share", "list", "foreign", "try",
              "scope", "raise", "raise_from", "reraise", "return", "return_received", "loop", "break", "continue", "call",
              "raise_with_cause", "pause", "async_for", "with", "async_with", "manage", "async_manage"]
OPERATIONS = ["end", "new", "next", "send", "throw", "close", "drop", "state", "for", "anext", "asend", "athrow",
              "aclose", "wrap"]
KINDS = ["generator", "coroutine", "asyncgen", "awaitable"]
ACTIONS = ["item", "stop", "raise", "echo", "rethrow", "call"]
CLASSES = ["GeneratorExit", "StopIteration", "RuntimeError", "ValueError", "TypeError", "AttributeError", "A", "B", "C", "GX",
           "SX", "StopAsyncIteration", "Exception", "BaseException"]
MANAGED = {"with": "generator", "async_with": "asyncgen", "async_manage": "coroutine"}
LOOP_COUNTS = [1, 2, 3, 4, 99]
MOST_SLOTS, MOST_BODIES, MOST_STATEMENTS, MOST_OPERATIONS = 4, 6, 8, 24


class Encoder:
    def __init__(self, program):
        self.made = bytearray()
        bodies = program["defs"][:MOST_BODIES]
        self.put(min(program["slots"], MOST_SLOTS) - 1, len(bodies) - 1)
        self.kinds = program.get("kinds", ["generator"] * len(bodies))[:MOST_BODIES]
        for self.body in reversed(range(len(bodies))):
            self.put(KINDS.index(self.kinds[self.body]))
            self.block(bodies[self.body])
        self.body = -1
        driver = program["driver"][:MOST_OPERATIONS]
        for operation in driver:
            self.operation(operation)
        if len(driver) < MOST_OPERATIONS:
            self.put(0)

    def put(self, *choices):
        self.made.extend(choices)

    def value(self, value):
        self.put(0 if value is None else {"a": 11, "b": 12}.get(value, 0) if isinstance(value, str) else 1 + value % 10)

    def exception(self, exception):
        self.put(CLASSES.index(exception[0]) + (0 if len(exception) > 1 else 12))

    def operation(self, operation):
        kind, slot, *more = operation
        self.put(OPERATIONS.index(kind), slot)
        if kind == "new":
            self.put(more[0] - self.body - 1)
        elif kind == "send":
            self.value(more[0])
        elif kind == "throw":
            self.put(len(more) - 1)
            for exception in more:
                self.exception(exception)
        elif kind == "for":
            self.put(more[0] - 1)
        elif kind in ("anext", "asend", "athrow", "aclose", "wrap"):
            self.put(more[0])
            if kind == "asend":
                self.value(more[1])
            elif kind == "athrow":
                self.exception(more[1])

    def action(self, kind, *more):
        self.put(ACTIONS.index(kind))
        if kind in ("item", "stop"):
            self.value(more[0])
        elif kind == "raise":
            self.exception(more[0])
        elif kind == "call":
            self.operation(more[0])

    def script(self, script):
        self.put(len(script[:3]))
        for action in script[:3]:
            self.action(*action)

    def block(self, block):
        for statement in block[:MOST_STATEMENTS]:
            self.statement(*statement)
        if len(block) < MOST_STATEMENTS:
            self.put(0)

    def statement(self, kind, *more):
        if kind == "raise" and len(more) > 1:
            kind = "raise_with_cause"
        if kind in ("closing", "aclosing"):  # which keep themselves alive, if they close what they stand in
            for statement in more[1]:
                self.statement(*statement)
            return
        self.put(STATEMENTS.index(kind))
        if kind in ("yield", "return", "pause"):
            self.value(more[0])
        elif kind == "own":
            self.put(more[0] - self.body - 1)
        elif kind == "share":
            self.put(more[0])
        elif kind == "list":
            self.put(len(more[0][:3]))
            for value in more[0][:3]:
                self.value(value)
        elif kind == "foreign":
            self.script(more[0]["next"])
            for method in ("send", "throw", "close"):
                self.put(method in more[0])
                if method in more[0]:
                    self.script(more[0][method])
        elif kind == "try":
            tried, handlers, otherwise, final = more
            self.put(len(handlers[:3]), otherwise is not None, final is not None)
            self.block(tried)
            for caught, block in handlers[:3]:
                self.put(CLASSES.index(caught))
                self.block(block)
            for block in (otherwise, final):
                if block is not None:
                    self.block(block)
        elif kind == "scope":
            self.put(len(more) > 2)
            self.block(more[1])
            if len(more) > 2:
                self.operation(more[2])
        elif kind in ("raise", "raise_from", "raise_with_cause"):
            for exception in more:
                self.exception(exception)
        elif kind == "loop":
            self.put(LOOP_COUNTS.index(more[0]))
            self.block(more[1])
        elif kind == "call":
            self.operation(more[0])
        elif kind == "async_for":
            self.put(more[0], max(more[1], 1) - 1)
            self.block(more[2])
        elif kind == "manage":
            self.action(*more[0])
            self.action(*more[1])
            self.block(more[2])
        elif kind in MANAGED:
            later = [k for k in range(self.body + 1, len(self.kinds)) if self.kinds[k] == MANAGED[kind]]
            for body in more[:-1]:
                self.put(later.index(body) if body in later else 0)
            self.block(more[-1])


def main():
    directory = pathlib.Path(sys.argv[1])
    directory.mkdir(parents=True, exist_ok=True)
    count = int(sys.argv[2])
    for corpus in map(pathlib.Path, sys.argv[3:]):
        for number, line in enumerate(corpus.read_text().splitlines()[:count]):
            recorded = json.loads(line)
            if "program" in recorded:
                (directory / f"{corpus.stem}-{number}").write_bytes(Encoder(recorded["program"]).made)


main()
