# SPDX-License-Identifier: BSL-1.0
"""Makes a program as small as it can be while something holds of it."""

import copy
import itertools


MAKING = ("anext", "asend", "athrow", "aclose", "wrap")  # operations that fill a slot from another
AWAITING = ("async_for", "async_with", "async_manage", "aclosing")  # statements of coroutines and asynchronous generators
MANAGED = {"with": "generator", "async_with": "asyncgen", "async_manage": "coroutine"}
SMALLER = ("loop", "scope", "with", "async_with", "manage", "async_manage", "closing", "aclosing", "async_for")


def valid(program):
    """Is it a program by README.md? What generate.py makes is; what is left of it may not be."""
    if not program["defs"]:
        return False

    kinds = program.get("kinds") or ["generator"] * len(program["defs"])
    if program.get("finalizer", -1) >= program["slots"]:
        return False

    def operation_is_valid(op, body):
        return (op[1] < program["slots"] and (op[0] != "new" or body < op[2] < len(program["defs"]))
                and (op[0] not in MAKING or op[2] < program["slots"]))

    def action_is_valid(action, body):
        return action[0] != "call" or operation_is_valid(action[1], body)

    def statement_is_valid(s, body, in_loop, in_handler):
        kind = s[0]
        if kind in ("break", "continue"):
            return in_loop
        if kind in ("reraise", "raise_from", "caught"):
            return in_handler
        if kind == "own":
            return body < s[1] < len(program["defs"])
        if kind == "share":
            return s[1] < program["slots"]
        if kind == "call":
            return operation_is_valid(s[1], body)
        if kind == "foreign":
            return all(action_is_valid(a, body) for script in s[1].values() for a in script)
        if kind in AWAITING and kinds[body] not in ("coroutine", "asyncgen"):
            return False
        if kind in MANAGED:
            return (all(body < k < len(kinds) and kinds[k] == MANAGED[kind] for k in s[1:-1])
                    and block_is_valid(s[-1], body, in_loop, in_handler))
        if kind == "manage":
            return all(action_is_valid(a, body) for a in s[1:3]) and block_is_valid(s[3], body, in_loop, in_handler)
        if kind in ("async_for", "closing", "aclosing"):
            return s[1] < program["slots"] and block_is_valid(s[-1], body, in_loop or kind == "async_for", in_handler)
        if kind == "loop":
            return block_is_valid(s[2], body, True, in_handler)
        if kind == "scope":
            return (len(s) < 4 or operation_is_valid(s[3], body)) and block_is_valid(s[2], body, in_loop, in_handler)
        if kind == "try":
            _, tried, handlers, otherwise, final = s
            return ((handlers or final is not None) and (handlers or otherwise is None)
                    and all(block_is_valid(b, body, in_loop, in_handler)
                            for b in (tried, otherwise, final) if b is not None)
                    and all(block_is_valid(b, body, in_loop, True) for _, b in handlers))
        return True

    def block_is_valid(block, body, in_loop, in_handler):
        return all(statement_is_valid(s, body, in_loop, in_handler) for s in block)

    return (all(block_is_valid(b, i, False, False) for i, b in enumerate(program["defs"]))
            and all(operation_is_valid(op, -1) for op in program["driver"]))


def simpler(node):
    """Smaller versions of a statement, operation, or any other part of a program."""
    kind = node[0] if node else None
    if kind == "try":
        _, tried, handlers, otherwise, final = node
        yield [kind, tried, handlers, None, final]
        yield [kind, tried, handlers, otherwise, None]
        for i in range(len(handlers)):
            yield [kind, tried, handlers[:i] + handlers[i + 1:], None, final]
    elif kind == "scope" and len(node) > 3:
        yield node[:3]
    elif kind == "foreign":
        for method in ("send", "throw", "close"):
            if method in node[1]:
                yield [kind, {m: s for m, s in node[1].items() if m != method}]
    elif kind in ("throw", "raise") and isinstance(node[-1], list) and len(node) > (3 if kind == "throw" else 2):
        yield node[:-1]
    elif kind == "loop" and node[1] > 1:
        yield [kind, 1, node[2]]
        yield [kind, node[1] - 1 if node[1] < 4 else 3, node[2]]
    elif kind == "async_for" and node[2] > 0:
        yield [*node[:2], node[2] - 1, node[3]]
    elif kind == "manage":
        for i in (1, 2):
            yield [*node[:i], ["item", None], *node[i + 1:]]
    if kind in (*SMALLER, "own", "share", "foreign", "list", "yield_received", "pause"):
        yield ["yield", 0]


def hoisted(node):
    """The blocks of a statement, one of which might take its place."""
    kind = node[0] if node else None
    if kind == "try":
        return [b for b in (node[1], node[3], node[4], *(h[1] for h in node[2])) if b]
    return [node[3 if kind in ("async_for", "manage", "async_manage") else 2]] if kind in SMALLER else []


def lists_in(node, path=()):
    """The paths of all lists in a program that can do with fewer elements, larger ones first."""
    if isinstance(node, dict):
        for key, value in node.items():
            yield from lists_in(value, path + (key,))
    elif isinstance(node, list):
        yield path, node
        for i, value in enumerate(node):
            yield from lists_in(value, path + (i,))


def replaced(program, path, value):
    program = copy.deepcopy(program)
    place = program
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = value
    return program


def is_sequence(node):
    """Is it a block, a script or the driver, and not a statement or such?"""
    return all(isinstance(element, list) and element and isinstance(element[0], str) for element in node)


def candidates(program):
    for path, node in lists_in(program):
        if not path or path == ("defs",):
            continue
        if is_sequence(node) and node:
            size = len(node)
            while size:
                for start in range(0, len(node), size):
                    yield replaced(program, path, node[:start] + node[start + size:])
                size //= 2
            for i, element in enumerate(node):
                for block in hoisted(element):
                    yield replaced(program, path, node[:i] + block + node[i + 1:])
        elif node and isinstance(node[0], str):
            for smaller in simpler(node):
                yield replaced(program, path, smaller)
    yield from without_unused(program)


def mapped(node, change):
    """A copy of a program's part with change(statement or operation) in place of each."""
    if isinstance(node, dict):
        return {key: mapped(value, change) for key, value in node.items()}
    if isinstance(node, list):
        return change([mapped(value, change) for value in node])
    return node


def without_unused(program):
    """Drops a body that nothing refers to, or the last slot."""
    def bodies_of(node):
        return {"own": [1], "new": [2], "with": [1], "async_with": [1], "async_manage": [1, 2]}.get(
            node[0] if node and isinstance(node[0], str) else None, [])

    for dropped in reversed(range(len(program["defs"]))):
        used = []

        def renumber(node):
            for place in bodies_of(node):
                used.append(node[place])
                node[place] -= node[place] > dropped
            return node

        rest = {**program, "defs": program["defs"][:dropped] + program["defs"][dropped + 1:]}
        if "kinds" in program:
            rest["kinds"] = program["kinds"][:dropped] + program["kinds"][dropped + 1:]
        renumbered = mapped(rest, renumber)
        if dropped not in used and renumbered["defs"]:
            yield renumbered
    if "finalizer" in program:
        yield {key: part for key, part in program.items() if key != "finalizer"}
    if program["slots"] > 1:
        yield {**program, "slots": program["slots"] - 1}


def shrink(program, which_hold):
    """`which_hold(programs)`, those for which it holds, is true of the program, and is of the result."""
    smaller = [program]
    while smaller:
        program = min(smaller, key=lambda p: len(str(p)))
        tried = (p for p in candidates(program) if p != program and valid(p))
        smaller = []
        while not smaller and (some := list(itertools.islice(tried, 50))):
            smaller = which_hold(some)
    return program
