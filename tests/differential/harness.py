# SPDX-License-Identifier: BSL-1.0
"""Runs the Python form of programs (transpiler.py) and records what is observed.

It runs in the oracle: CPython 3.14 within node (oracle.mjs), or any python3, as a program of its own.

No exception, traceback or frame local of this file may hold on to a generator, or that would be finalised late: hence
expressions such as `slots[i].send(v)` without a local variable.
"""

import contextlib
import gc
import inspect
import json
import re
import sys
import types
import warnings
import weakref

warnings.simplefilter("ignore")  # of `return` in `finally`
warnings.filterwarnings("always", category=RuntimeWarning)
gc.disable()  # C++ has no collector of cycles: they are collected between batches

MODERN = sys.version_info >= (3, 14)
LONGEST_TRACE = 1000
MOST_STEPS = 4  # of an asynchronous generator's operation that is driven to its end


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
    for c in (GeneratorExit, StopIteration, RuntimeError, ValueError, TypeError, AttributeError, A, B, C, GX, SX,
              StopAsyncIteration)
}

trace_entries = []
trace = trace_entries.append
slots = []
weak_references = []
frames = {}
counters = {"generators": 0, "exceptions": 0, "interrupted": 0, "uncollected": 0}
revived = []  # asynchronous generators that the finalizer hook was given
managed = set()  # names of generators that belong to managers
version_dependent = set()  # names of known differences between this version and 3.14 that the program has met


def describe(e):
    text = ""
    while e is not None:
        if text:
            text += " from "
        text += type(e).__name__
        if isinstance(e, StopIteration):
            text += "(" + repr(e.value) + ")"
        elif type(e) not in (GeneratorExit, StopAsyncIteration):
            text += "(" + re.sub("^.*' object has no attribute ", "'?' object has no attribute ", str(e)) + ")"
        e = e.__cause__
    return text


def unraisable(event):
    message = event.err_msg or "Exception ignored while closing generator " + repr(event.object)
    if isinstance(event.exc_value, StopAsyncIteration) and "<async_generator object" in message:
        return  # an asynchronous generator returned while it was destroyed
    trace(re.sub(" at 0x[^>]*", "", message) + ": " + describe(event.exc_value))


sys.unraisablehook = unraisable


def show_warning(message, *_, **__):
    trace("warning: " + str(message))


warnings.showwarning = show_warning


# What the bodies use.

def keep_frame():
    """A generator that ignores GeneratorExit while it is destroyed stays as it is, with what it delegates to."""
    frames[id(sys._getframe(1))] = sys._getframe(1)


def let_frame_go():
    """At a body's end: a kept frame keeps the one that it returned to, and what that has."""
    frames.pop(id(sys._getframe(1)), None)


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


class Gives:
    """Its __await__() gives the iterator that it was made of."""

    def __init__(self, iterable):
        self.iterable = iterable

    def __await__(self):
        return iter(self.iterable)


@types.coroutine
def pause(v):
    return (yield v)


def is_marked(object):
    return inspect.isgenerator(object) and object.gi_code.co_flags & inspect.CO_ITERABLE_COROUTINE


# What a body that is to delegate to the object in a slot delegates to: a generator, one that is marked as awaitable, and a
# coroutine or an asynchronous generator.

def shared_by_marked(i):
    if inspect.isasyncgen(slots[i]):
        return slots[i].__anext__()
    if inspect.iscoroutine(slots[i]) and slots[i].cr_suspended:
        raise RuntimeError("coroutine is being awaited already")  # krait awaits it
    return shared(i)


def shared_by_generator(i):
    if inspect.iscoroutine(slots[i]):
        return slots[i].__await__()
    return shared_by_marked(i)


def shared_by_coroutine(i):
    if inspect.isasyncgen(slots[i]):
        return slots[i].__anext__()
    if inspect.iscoroutine(slots[i]) or is_marked(slots[i]) or isinstance(slots[i], Operation):
        return slots[i]
    return Gives(shared(i))


class Nothing:
    """Asynchronously iterated, nothing."""

    def __aiter__(self):
        return self

    async def __anext__(self):
        raise StopAsyncIteration


def is_of(kind, i):
    if is_empty(i):
        return False
    if kind(slots[i]):
        return True
    trace(f"of another kind: {i}")
    return False


def asynchronous(i):
    return slots[i] if is_of(inspect.isasyncgen, i) else Nothing()


class Operation:
    """An operation on an asynchronous generator, but that it does not change when the body that it runs calls it (CPython's
    takes itself for ended then, and the generator for idle), and that an athrow() which has ended is used up (CPython's
    is not if something was awaited before)."""

    def __init__(self, operation, is_athrow=False):
        self.operation, self.is_athrow = operation, is_athrow
        self.executing = self.started = self.used_up = False

    def __iter__(self):
        return self

    __await__ = __iter__

    def send(self, v=None):
        try:
            if v is None:
                self.started = True
            return self.call(self.operation.send, v)
        except BaseException:
            if self.is_athrow and self.started and not self.executing:
                self.used_up = True
            raise
        finally:
            del self

    __next__ = send

    def throw(self, e):
        try:
            self.started = True
            return self.call(self.operation.throw, e)
        finally:
            del self, e

    def close(self):
        try:
            if not self.used_up:
                self.started = True
                self.call(self.operation.close)
        finally:
            del self

    def call(self, method, *arguments):
        try:
            if self.executing:
                raise ValueError("async generator already executing")
            if self.used_up:
                raise RuntimeError("cannot reuse already awaited aclose()/athrow()")
            self.executing = True
            try:
                return method(*arguments)
            finally:
                self.executing = False
        finally:
            del self, method, arguments




# Managers. When they have exited they let go what they manage: frames of contextlib may live as long as an exception does.

class Manager(contextlib._GeneratorContextManager):
    def __enter__(self):
        try:
            return super().__enter__()
        except BaseException:
            del self.gen
            raise

    def __exit__(self, *passing):
        try:
            return super().__exit__(*passing)
        finally:
            del self.gen, passing


class AsyncManager(contextlib._AsyncGeneratorContextManager):
    async def __aenter__(self):
        try:
            return await super().__aenter__()
        except BaseException:
            del self.gen
            raise

    async def __aexit__(self, *passing):
        try:
            return await super().__aexit__(*passing)
        finally:
            del self.gen, passing


class Closing(contextlib.closing):
    def __exit__(self, *passing):
        try:
            super().__exit__(*passing)
        finally:
            del self.thing, passing


class AsyncClosing(contextlib.aclosing):
    async def __aexit__(self, *passing):
        try:
            await super().__aexit__(*passing)
        finally:
            del self.thing, passing


def manager(body):
    return Manager(make, (body,), {})


def async_manager(body):
    made = AsyncManager(make, (body,), {})
    managed.add(made.gen.__qualname__)
    return made


def closing(i):
    return contextlib.nullcontext() if is_empty(i) or inspect.isasyncgen(slots[i]) else Closing(slots[i])


def async_closing(i):
    return AsyncClosing(slots[i]) if is_of(inspect.isasyncgen, i) else contextlib.nullcontext()


class HandWrittenManager:
    def __init__(self, enter, exit):
        self.actions = enter, exit

    def act(self, which, passing):
        kind, *arguments = self.actions[which]
        if kind == "raise":
            raise exception(*arguments[0])
        if kind == "rethrow" and passing is not None:
            try:
                raise passing
            finally:
                del passing
        if kind == "call":
            return arguments[0][0](*arguments[0][1:])
        return arguments[0] if kind in ("item", "stop") else None

    def __enter__(self):
        trace("enter")
        return self.act(0, None)

    def __exit__(self, _, passing, __):
        trace("exit " + ("None" if passing is None else describe(passing)))
        try:
            return self.act(1, passing)
        finally:
            del passing, __


class HandWrittenAsyncManager:
    def __init__(self, enter, exit):
        self.bodies = enter, exit

    def __aenter__(self):
        return make(self.bodies[0])

    def __aexit__(self, _, passing, __):
        trace("exit " + ("None" if passing is None else describe(passing)))
        return make(self.bodies[1])


# Hooks.

def firstiter(generator):
    trace("firstiter " + generator.__qualname__)


def finalizer(generator):
    trace("finalizer " + generator.__qualname__)
    revived.append(generator)  # dropped a second time, its frame would go without running any of it
    if counters["finalizer"] >= 0 and generator.__qualname__ not in managed:
        slots[counters["finalizer"]] = generator


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


def put(i, made):
    slots[i] = made  # the old one goes while the new one has two owners
    made = None


def op_new(i, body):
    put(i, watched(make(body)))


def op_anext(i, of):
    if is_of(inspect.isasyncgen, of):
        put(i, Operation(slots[of].__anext__()))


def op_asend(i, of, v):
    if is_of(inspect.isasyncgen, of):
        put(i, Operation(slots[of].asend(v)))


def op_athrow(i, of, what):
    if is_of(inspect.isasyncgen, of):
        put(i, Operation(slots[of].athrow(exception(*what)), is_athrow=True))


def op_aclose(i, of):
    if is_of(inspect.isasyncgen, of):
        put(i, Operation(slots[of].aclose()))


def op_wrap(i, of):
    if is_of(inspect.iscoroutine, of):
        put(i, slots[of].__await__())


def drive(operation):
    """Drives an asynchronous generator's operation until it ends, or for some steps."""
    try:
        for _ in range(MOST_STEPS):
            trace(f"raw {operation.send(None)!r}")
        return "unfinished"
    except StopIteration as e:
        return e.value
    finally:
        del operation


def op_next(i):
    if is_empty(i):
        return None
    if inspect.isasyncgen(slots[i]):
        v = drive(slots[i].__anext__())
    elif inspect.iscoroutine(slots[i]):
        v = slots[i].send(None)
    else:
        v = next(slots[i])
    trace(f"next {i} = {v!r}")
    return v


def op_send(i, sent):
    if is_empty(i):
        return None
    v = drive(slots[i].asend(sent)) if inspect.isasyncgen(slots[i]) else slots[i].send(sent)
    trace(f"send {i} {sent!r} = {v!r}")
    return v


def op_throw(i, what, cause=None):
    if is_empty(i):
        return None
    if not MODERN and what[0] in ("StopIteration", "SX") and (
            slots[i].gi_yieldfrom is not None or inspect.getgeneratorstate(slots[i]) == "GEN_CREATED"):
        version_dependent.add("throw(StopIteration) before the start or in a delegation")
    by_class = len(what) == 1 and cause is None
    thrown = CLASSES[what[0]] if by_class else exception(*what, cause=cause)
    try:
        v = drive(slots[i].athrow(thrown)) if inspect.isasyncgen(slots[i]) else slots[i].throw(thrown)
    finally:
        del thrown
    trace(f"throw {i} = {v!r}")
    return v


def op_close(i):
    if is_empty(i):
        return None
    v = drive(slots[i].aclose()) if inspect.isasyncgen(slots[i]) else slots[i].close()
    trace(f"close {i} = {v!r}")
    return v


def op_drop(i):
    slots[i] = None


def op_state(i):
    trace(f"state {i} = " + state(i) + awaiting(i))


class Items:
    """The items of an asynchronous generator."""

    def __init__(self, generator):
        self.generator = generator

    def __iter__(self):
        return self

    def __next__(self):
        try:
            return drive(self.generator.__anext__())
        except StopAsyncIteration:
            raise StopIteration from None
        finally:
            del self


def items(i):
    if inspect.isasyncgen(slots[i]):
        return Items(slots[i])
    return slots[i].__await__() if inspect.iscoroutine(slots[i]) else slots[i]


def op_for(i, most):
    if is_empty(i):
        return None
    for v in items(i):
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
    if inspect.iscoroutine(slots[i]):
        return {"CORO_RUNNING": "r" if slots[i].cr_await is None else "R", "CORO_CREATED": "c", "CORO_CLOSED": "x",
                "CORO_SUSPENDED": "s" if slots[i].cr_await is None else "d"}[inspect.getcoroutinestate(slots[i])]
    if inspect.isasyncgen(slots[i]):
        return {"AGEN_RUNNING": "r" if slots[i].ag_await is None else "w", "AGEN_CREATED": "c", "AGEN_CLOSED": "x",
                "AGEN_SUSPENDED": "s" if slots[i].ag_await is None else "d"}[inspect.getasyncgenstate(slots[i])]
    if not inspect.isgenerator(slots[i]):
        return "o"
    if slots[i].gi_running:
        return "R" if MODERN and slots[i].gi_yieldfrom is not None else "r"  # 3.11 shows it now and then
    if slots[i].gi_suspended:
        return "s" if slots[i].gi_yieldfrom is None else "d"
    return "x" if slots[i].gi_frame is None else "c"


def awaiting(i):
    """What a coroutine or an asynchronous generator awaits."""
    text = "None"
    if inspect.iscoroutine(slots[i]):
        text = repr(slots[i].cr_await)
    elif inspect.isasyncgen(slots[i]):
        text = repr(slots[i].ag_await)
    if text == "None":
        return ""
    text = re.sub(r"AsyncManager\.__(aenter|aexit)__", r"\1", re.sub(" at 0x[^>]*", "", text))
    return " " + (text if re.match("<(generator|coroutine) object (d|pause|aenter|aexit)", text) else "<iterator>")


def check_chain(i):
    """Before 3.13 a delegator was not always marked as running while its delegate's close() or throw() was; and where it
    was, it could be thrown into."""
    if MODERN:
        return
    inner = slots[i].gi_yieldfrom
    if slots[i].gi_running:
        if inner is not None:
            version_dependent.add("running during close() or throw() of the delegate")
    else:
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
    "K": keep_frame, "L": let_frame_go, "N": make, "E": exception, "T": trace, "R": received, "H": caught, "X": sys.exception,
    "F": foreign, "Z": leave_scope, "new": op_new, "nxt": op_next, "snd": op_send, "thr": op_throw,
    "cls": op_close, "drp": op_drop, "sta": op_state, "lop": op_for, "oan": op_anext, "oas": op_asend, "oat": op_athrow,
    "oac": op_aclose, "owr": op_wrap, "A": A, "B": B, "C": C, "GX": GX, "SX": SX, "S": shared_by_generator,
    "SA": shared_by_marked, "SC": shared_by_coroutine, "W": Gives, "P": pause, "AG": types.coroutine, "AF": asynchronous,
    "CM": manager, "AM": async_manager, "CL": closing, "AC": async_closing, "HM": HandWrittenManager,
    "HA": HandWrittenAsyncManager,
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
    while revived:
        revived.pop()
        clear_slots()
    weak_references.clear()
    managed.clear()
    trace_entries.clear()


def run(source, number_of_slots, finalizer_slot, driver):
    """Runs one program: Python source that defines its bodies, and the operations of its driver, by name."""
    forget()
    defined = dict(NAMES)
    exec(compile(source, "program", "exec"), defined)
    slots[:] = [None] * number_of_slots
    counters.update(generators=0, exceptions=0, finalizer=finalizer_slot)
    if finalizer_slot is not None:
        sys.set_asyncgen_hooks(firstiter, finalizer)
    for name, *arguments in driver:
        operation = defined[name]
        if operation is op_new:
            arguments[1] = defined[f"d{arguments[1]}"]
        try:
            operation(*arguments)
        except BaseException as e:
            trace(label(operation, arguments) + " ! " + describe(e))
        trace("".join(map(state, range(len(slots)))))
    trace("end")
    clear_slots()
    sys.set_asyncgen_hooks(None, None)
    observed = "; ".join(trace_entries[:LONGEST_TRACE])
    forget()
    if version_dependent:
        observed = "skipped: " + min(version_dependent)
        version_dependent.clear()
    return observed


def run_batch(batch):
    """JSON to JSON: a list of programs to the list of their traces."""
    traces = [run(*program) for program in json.loads(batch)]
    counters["uncollected"] += len(traces)
    if counters["uncollected"] >= 250:
        counters["uncollected"] = 0
        gc.collect()
    return json.dumps(traces)


if __name__ == "__main__":
    for line in sys.stdin:
        print(run_batch(line), flush=True)
