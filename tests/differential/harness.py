# SPDX-License-Identifier: BSL-1.0
"""Runs the Python form of programs (transpiler.py) and records what is observed.

It runs in the oracle: CPython 3.14 within node (oracle.mjs), or any python3, as a program of its own.

No exception, traceback or frame local of this file may hold on to a generator, or that would be finalised late: hence
expressions such as `slots[i].send(v)` without a local variable.
"""

import gc
import inspect
import json
import re
import sys
import warnings
import weakref

warnings.simplefilter("ignore")  # of `return` in `finally`
gc.disable()  # C++ has no collector of cycles: they are collected between batches

MODERN = sys.version_info >= (3, 14)
LONGEST_TRACE = 1000


class A(Exception):
    pass


class B(A):
    pass


class C(BaseException):
    pass


class GX(GeneratorExit):
    pass


class SX(StopIteration):
    pass


CLASSES = {
    c.__name__: c
    for c in (GeneratorExit, StopIteration, RuntimeError, ValueError, TypeError, AttributeError, A, B, C, GX, SX)
}

trace_entries = []
trace = trace_entries.append
slots = []
weak_references = []
frames = []
counters = {"generators": 0, "exceptions": 0, "interrupted": 0, "uncollected": 0}
version_dependent = set()  # names of known differences between this version and 3.14 that the program has met


def describe(e):
    text = ""
    while e is not None:
        if text:
            text += " from "
        text += type(e).__name__
        if isinstance(e, StopIteration):
            text += "(" + repr(e.value) + ")"
        elif type(e) is not GeneratorExit:
            text += "(" + re.sub("^.*' object has no attribute ", "'?' object has no attribute ", str(e)) + ")"
        e = e.__cause__
    return text


def unraisable(event):
    message = event.err_msg or "Exception ignored while closing generator " + repr(event.object)
    trace(re.sub(" at 0x[^>]*", "", message) + ": " + describe(event.exc_value))


sys.unraisablehook = unraisable


# What the bodies use.

def keep_frame():
    """K1: a generator that ignores GeneratorExit while it is destroyed stays as it is, with what it delegates to."""
    frames.append(sys._getframe(1))


def make(body):
    counters["generators"] += 1
    made = body()
    made.__qualname__ = body.__name__ + "." + str(counters["generators"])
    return made


def exception(name, label=None, *, cause=None):
    if label is None:
        made = CLASSES[name]()
    else:
        counters["exceptions"] += 1
        made = CLASSES[name](f"{label}.{counters['exceptions']}")
    if cause is not None:
        made.__cause__ = exception(*cause)
    return made


def received(r):
    trace("r=" + repr(r))


def caught():
    trace("caught " + describe(sys.exception()))


def shared(i):
    if slots[i] is None:
        trace(f"empty {i}")
        return ()
    check_chain(i)
    return slots[i]


def leave_scope(number, operation=None, *arguments):
    trace(f"~{number}")
    if operation is not None:
        try:
            operation(*arguments)
        except BaseException as e:
            trace(f"~{number} ! " + describe(e))


# The operations.

def is_empty(i):
    if slots[i] is None:
        trace(f"empty {i}")
        return True
    check_chain(i)
    return False


def watched(made):
    weak_references.append(weakref.ref(made, lambda _, name=made.__qualname__: trace("del " + name)))
    return made


def op_new(i, body):
    made = watched(make(body))
    slots[i] = made  # the old one goes while the new one has two owners
    made = None


def op_next(i):
    if is_empty(i):
        return None
    v = next(slots[i])
    trace(f"next {i} = {v!r}")
    return v


def op_send(i, sent):
    if is_empty(i):
        return None
    v = slots[i].send(sent)
    trace(f"send {i} {sent!r} = {v!r}")
    return v


def op_throw(i, what, cause=None):
    if is_empty(i):
        return None
    if not MODERN and what[0] in ("StopIteration", "SX") and (
            slots[i].gi_yieldfrom is not None or inspect.getgeneratorstate(slots[i]) == "GEN_CREATED"):
        version_dependent.add("throw(StopIteration) before the start or in a delegation")
    by_class = len(what) == 1 and cause is None
    v = slots[i].throw(CLASSES[what[0]] if by_class else exception(*what, cause=cause))
    trace(f"throw {i} = {v!r}")
    return v


def op_close(i):
    if is_empty(i):
        return None
    v = slots[i].close()
    trace(f"close {i} = {v!r}")
    return v


def op_drop(i):
    slots[i] = None


def op_state(i):
    trace(f"state {i} = " + state(i))


def op_for(i, most):
    if is_empty(i):
        return None
    for v in slots[i]:
        trace(f"for {i}: {v!r}")
        most -= 1
        if most == 0:
            break
    else:
        trace(f"for {i} end")


def state(i):
    if slots[i] is None:
        return "-"
    check_chain(i)
    if slots[i].gi_running:
        return "R" if MODERN and slots[i].gi_yieldfrom is not None else "r"  # 3.11 shows it now and then
    if slots[i].gi_suspended:
        return "s" if slots[i].gi_yieldfrom is None else "d"
    return "x" if slots[i].gi_frame is None else "c"


def check_chain(i):
    """Before 3.13 a delegator was not always marked as running while its delegate's close() or throw() was."""
    if MODERN:
        return
    if not slots[i].gi_running:
        inner = slots[i].gi_yieldfrom
        while inspect.isgenerator(inner) and not inner.gi_running:
            inner = inner.gi_yieldfrom
        if inspect.isgenerator(inner):
            version_dependent.add("running during close() or throw() of the delegate")
    if counters["interrupted"]:
        version_dependent.add("running during close() or throw() of the delegate")


# Foreign iterators.

class Foreign:
    def __init__(self, scripts):
        self.scripts = {method: iter(script) for method, script in scripts.items()}

    def __iter__(self):
        return self

    def act(self, method, sent, thrown):
        kind, *arguments = next(self.scripts[method], ("end",))
        if kind == "item":
            return arguments[0]
        if kind == "stop":
            raise StopIteration(arguments[0])
        if kind == "raise":
            raise exception(*arguments[0])
        if kind == "echo":
            return sent
        if kind == "call":
            return arguments[0][0](*arguments[0][1:])
        if thrown is not None:
            try:
                raise thrown
            finally:
                del thrown
        if kind == "rethrow":
            return sent
        if method != "close":
            raise StopIteration

    def __next__(self):
        trace("f.next")
        return self.act("next", None, None)


def foreign_send(self, v):
    trace(f"f.send {v!r}")
    return self.act("send", v, None)


def foreign_throw(self, e):
    trace("f.throw " + describe(e() if isinstance(e, type) else e))
    counters["interrupted"] += 1
    try:
        return self.act("throw", None, e)
    finally:
        counters["interrupted"] -= 1
        del e  # whose traceback has this frame


def foreign_close(self):
    trace("f.close")
    counters["interrupted"] += 1
    try:
        self.act("close", None, None)
    except StopIteration:
        if not MODERN:
            version_dependent.add("close() of a foreign iterator raises StopIteration")
        raise
    finally:
        counters["interrupted"] -= 1


FOREIGN = {
    methods: type("Foreign", (Foreign,), {name: method for name, method in (
        ("send", foreign_send), ("throw", foreign_throw), ("close", foreign_close)) if name in methods})
    for methods in ((), ("send",), ("throw",), ("close",), ("send", "throw"), ("send", "close"), ("throw", "close"),
                    ("send", "throw", "close"))
}


def foreign(**scripts):
    return FOREIGN[tuple(m for m in ("send", "throw", "close") if m in scripts)](scripts)


# Programs.

NAMES = {
    "K": keep_frame, "N": make, "E": exception, "T": trace, "R": received, "H": caught, "X": sys.exception,
    "S": shared, "F": foreign, "Z": leave_scope, "new": op_new, "nxt": op_next, "snd": op_send, "thr": op_throw,
    "cls": op_close, "drp": op_drop, "sta": op_state, "lop": op_for, "A": A, "B": B, "C": C, "GX": GX, "SX": SX,
}


def label(operation, arguments):
    return " ".join([operation.__name__[3:], str(arguments[0])] + ([repr(arguments[1])] if operation is op_send else []))


def clear_slots():
    while slots.count(None) < len(slots):  # what a body does while it is finalised may fill a slot anew
        for i in range(len(slots)):
            slots[i] = None


def forget():
    """Nothing that a program left shall be seen in the next one: not even what its finalisers make when all goes."""
    clear_slots()
    frames.clear()
    clear_slots()
    weak_references.clear()
    trace_entries.clear()


def run(source):
    """Runs one program: Python source that defines its bodies, `slots` and `driver`."""
    forget()
    defined = dict(NAMES)
    exec(compile(source, "program", "exec"), defined)
    slots[:] = [None] * defined["slots"]
    counters.update(generators=0, exceptions=0)
    for operation, *arguments in defined["driver"]:
        try:
            operation(*arguments)
        except BaseException as e:
            trace(label(operation, arguments) + " ! " + describe(e))
        trace("".join(map(state, range(len(slots)))))
    trace("end")
    clear_slots()
    observed = "; ".join(trace_entries[:LONGEST_TRACE])
    forget()
    if version_dependent:
        observed = "skipped: " + min(version_dependent)
        version_dependent.clear()
    return observed


def run_batch(batch):
    """JSON to JSON: a list of programs to the list of their traces."""
    traces = [run(source) for source in json.loads(batch)]
    counters["uncollected"] += len(traces)
    if counters["uncollected"] >= 250:
        counters["uncollected"] = 0
        gc.collect()
    return json.dumps(traces)


if __name__ == "__main__":
    for line in sys.stdin:
        print(run_batch(line), flush=True)
