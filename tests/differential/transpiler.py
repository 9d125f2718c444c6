# SPDX-License-Identifier: BSL-1.0
"""Translates programs to the Python source that harness.py runs."""

OPERATIONS = {"new": "new", "next": "nxt", "send": "snd", "throw": "thr", "close": "cls", "drop": "drp", "state": "sta",
              "for": "lop"}


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


def block(statements, indent, lines):
    for s in statements:
        statement(s, indent, lines)
    if not statements:
        lines.append(indent + "pass")


def statement(s, indent, lines):
    kind = s[0]
    inner = indent + " "

    def line(text):
        lines.append(indent + text)

    if kind == "trace":
        line(f"T('{s[1]}')")
    elif kind == "received":
        line("R(r)")
    elif kind == "caught":
        line("H()")
    elif kind == "yield":
        line(f"r = yield {s[1]!r}")
    elif kind == "yield_received":
        line("r = yield r")
    elif kind == "own":
        line(f"r = yield from N(d{s[1]})")
    elif kind == "share":
        line(f"r = yield from S({s[1]})")
    elif kind == "list":
        line(f"yield from {s[1]!r}")
        line("r = None")
    elif kind == "foreign":
        scripts = ", ".join(f"{method}=[{', '.join(map(action, script))}]" for method, script in s[1].items())
        line(f"r = yield from F({scripts})")
    elif kind == "try":
        _, body, handlers, otherwise, final = s
        line("try:")
        block(body, inner, lines)
        for name, handler in handlers:
            line(f"except {name}:")
            block(handler, inner, lines)
        if otherwise is not None:
            if handlers:
                line("else:")
                block(otherwise, inner, lines)
            else:
                raise ValueError("else without except")
        if final is not None:
            line("finally:")
            block(final, inner, lines)
    elif kind == "scope":
        line("try:")
        block(s[2], inner, lines)
        line("finally:")
        line(f" Z({', '.join([str(s[1])] + (operation(s[3]) if len(s) > 3 else []))})")
    elif kind == "raise":
        line("raise " + exception(s[1]) + (" from " + exception(s[2]) if len(s) > 2 else ""))
    elif kind == "raise_from":
        line(f"raise {exception(s[1])} from X()")
    elif kind == "reraise":
        line("raise")
    elif kind == "return":
        line(f"return {s[1]!r}")
    elif kind == "return_received":
        line("return r")
    elif kind == "loop":
        line(f"for _ in range({s[1]}):")
        block(s[2], inner, lines)
    elif kind in ("break", "continue"):
        line(kind)
    elif kind == "call":
        line("r = " + call(s[1]))
    else:
        raise ValueError(f"unknown statement: {kind}")


def transpile(program):
    lines = []
    for i, body in enumerate(program["defs"]):
        lines += [f"def d{i}():", " K()", " r = None"]
        block(body, " ", lines)
        lines.append(" if 0: yield")
    lines.append(f"slots = {program['slots']}")
    lines.append("driver = [" + ", ".join(map(as_list, program["driver"])) + "]")
    return "\n".join(lines) + "\n"
