# SPDX-License-Identifier: BSL-1.0
"""Translates programs to the Python source that harness.py runs."""

OPERATIONS = {"new": "new", "next": "nxt", "send": "snd", "throw": "thr", "close": "cls", "drop": "drp", "state": "sta",
              "for": "lop", "anext": "oan", "asend": "oas", "athrow": "oat", "aclose": "oac", "wrap": "owr"}
AWAITING = ("coroutine", "asyncgen")
# How a body of the first kind delegates to a new object of the second.
OWN = {
    **{(awaiting, kind): code for awaiting in AWAITING for kind, code in (
        ("generator", "await W(N({}))"), ("awaitable", "await N({})"), ("coroutine", "await N({})"),
        ("asyncgen", "await N({}).__anext__()"))},
    **{(kind, "asyncgen"): "yield from N({}).__anext__()" for kind in ("generator", "awaitable")},
    ("generator", "coroutine"): "yield from N({}).__await__()",
}


def operation(op):
    """The function and the arguments that perform an operation, as one list in source form."""
    kind, *arguments = op
    parts = [OPERATIONS[kind]] + [repr(a) for a in arguments]
    if kind == "new":
        parts[2] = f"d{arguments[1]}"
    return parts


def call(op):
    function, *arguments = operation(op)
    return f"{function}({', '.join(arguments)})"


def as_list(op):
    return f"[{', '.join(operation(op))}]"


def action(step):
    return f"('call', {as_list(step[1])})" if step[0] == "call" else repr(tuple(step))


def exception(spec):
    return "E(" + ", ".join(map(repr, spec)) + ")"


class Body:
    """Writes the source of a body."""

    def __init__(self, kinds, kind):
        self.kinds, self.kind, self.lines, self.loops = kinds, kind, [], 0
        self.awaits = kind in AWAITING
        self.delegate = "await" if self.awaits else "yield from"

    def block(self, statements, indent):
        for s in statements:
            self.statement(s, indent)
        if not statements:
            self.lines.append(indent + "pass")

    def statement(self, s, indent):
        kind = s[0]
        inner = indent + " "
        block = self.block

        def line(text):
            self.lines.append(indent + text)

        if kind == "trace":
            line(f"T('{s[1]}')")
        elif kind == "received":
            line("R(r)")
        elif kind == "caught":
            line("H()")
        elif kind in ("yield", "yield_received"):
            item = repr(s[1]) if kind == "yield" else "r"
            line(f"r = await P({item})" if self.kind == "coroutine" else f"r = yield {item}")
        elif kind == "pause":
            line(f"r = {self.delegate} P({s[1]!r})")
        elif kind == "own":
            line("r = " + OWN.get((self.kind, self.kinds[s[1]]), "yield from N({})").format(f"d{s[1]}"))
        elif kind == "share":
            function = {"generator": "S", "awaitable": "SA"}.get(self.kind, "SC")
            line(f"r = {self.delegate} {function}({s[1]})")
        elif kind == "list":
            line(f"{self.delegate} {f'W({s[1]!r})' if self.awaits else repr(s[1])}")
            line("r = None")
        elif kind == "foreign":
            scripts = ", ".join(f"{method}=[{', '.join(map(action, script))}]" for method, script in s[1].items())
            line(f"r = await W(F({scripts}))" if self.awaits else f"r = yield from F({scripts})")
        elif kind == "try":
            _, body, handlers, otherwise, final = s
            line("try:")
            block(body, inner)
            for name, handler in handlers:
                line(f"except {name}:")
                block(handler, inner)
            if otherwise is not None:
                if handlers:
                    line("else:")
                    block(otherwise, inner)
                else:
                    raise ValueError("else without except")
            if final is not None:
                line("finally:")
                block(final, inner)
        elif kind == "scope":
            line("try:")
            block(s[2], inner)
            line("finally:")
            line(f" Z({', '.join([str(s[1])] + (operation(s[3]) if len(s) > 3 else []))})")
        elif kind == "raise":
            line("raise " + exception(s[1]) + (" from " + exception(s[2]) if len(s) > 2 else ""))
        elif kind == "raise_from":
            line(f"raise {exception(s[1])} from X()")
        elif kind == "reraise":
            line("raise")
        elif kind == "return":
            line("return" if self.kind == "asyncgen" else f"return {s[1]!r}")
        elif kind == "return_received":
            line("return" if self.kind == "asyncgen" else "return r")
        elif kind == "loop":
            line(f"for _ in range({s[1]}):")
            block(s[2], inner)
        elif kind in ("break", "continue"):
            line(kind)
        elif kind == "call":
            line("r = " + call(s[1]))
        elif kind == "async_for":
            self.loops += 1
            line(f"n{self.loops} = {s[2]}")
            line(f"async for r in AF({s[1]}):")
            line(f" if n{self.loops} == 0: break")
            line(f" n{self.loops} -= 1")
            block(s[3], inner)
            line("else: T('async for end')")
        elif kind == "with":
            line(f"with CM(d{s[1]}) as r:")
            block(s[2], inner)
        elif kind == "async_with":
            line(f"async with AM(d{s[1]}) as r:")
            block(s[2], inner)
        elif kind == "manage":
            line(f"with HM({action(s[1])}, {action(s[2])}) as r:")
            block(s[3], inner)
        elif kind == "async_manage":
            line(f"async with HA(d{s[1]}, d{s[2]}) as r:")
            block(s[3], inner)
        elif kind == "closing":
            line(f"with CL({s[1]}):")
            line(" r = None")
            block(s[2], inner)
        elif kind == "aclosing":
            line(f"async with AC({s[1]}):")
            line(" r = None")
            block(s[2], inner)
        else:
            raise ValueError(f"unknown statement: {kind}")


def transpile(program):
    """The arguments of harness.run(). The driver is data: to compile is what costs most of a run."""
    lines = []
    kinds = program.get("kinds") or ["generator"] * len(program["defs"])
    for i, statements in enumerate(program["defs"]):
        body = Body(kinds, kinds[i])
        body.block(statements, "  ")
        lines += [f"{'async ' if body.awaits else ''}def d{i}():", " K()", " r = None", " try:", *body.lines, " finally:", "  L()"]
        if kinds[i] != "coroutine":
            lines.append(" if 0: yield")
        if kinds[i] == "awaitable":
            lines.append(f"d{i} = AG(d{i})")
    driver = [[OPERATIONS[kind], *arguments] for kind, *arguments in program["driver"]]
    return "\n".join(lines) + "\n", program["slots"], program.get("finalizer"), driver
