# SPDX-License-Identifier: BSL-1.0
"""What a long run of random programs must have executed, so that a thin generator of programs cannot hide."""

FROM_COUNT = 50_000

_STATEMENTS = ("trace received caught yield yield_received own share list foreign try scope raise raise_from reraise return "
               "return_received loop break continue call else").split()
_CLASSES = "GeneratorExit StopIteration RuntimeError ValueError TypeError AttributeError A B C GX SX".split()
_RAISED = [c for c in _CLASSES if c != "SX"] + [
    "RuntimeError(generator raised StopIteration)", "ValueError(generator already executing)"]
_IGNORED = "RuntimeError(generator ignored GeneratorExit)"
_JUST_STARTED = "TypeError(can't send non-None value to a just-started generator)"
_NO_SEND = "AttributeError('?' object has no attribute 'send')"

FEATURES = [
    *_STATEMENTS,
    *(f"except {c}" for c in _CLASSES + ["Exception", "BaseException"]),
    *(f"foreign: {kind}" for kind in "item stop raise echo rethrow call".split()),
    *(f"{op}: {result}" for op in "next send throw close".split() for result in ("value", "None")),
    "new", "drop", "for: break", "for: end", *(f"state: {state}" for state in "crsdx-"),
    *(f"driver {op}: {e}" for op in ("next", "throw") for e in _RAISED),
    *(f"driver {op}: {e}" for op in ("send", "for") for e in ("A", "StopIteration")[:2 if op == "send" else 1]),
    "driver throw: SX", f"driver throw: {_IGNORED}",
    f"driver send: {_JUST_STARTED}", f"driver send: {_NO_SEND}",
    "driver close: A", "driver close: ValueError(generator already executing)", f"driver close: {_IGNORED}",
    "driver close: RuntimeError(generator raised StopIteration)",
    "unraisable: A", "unraisable: RuntimeError(generator raised StopIteration)", f"unraisable: {_IGNORED}",
    "foreign: sent optionals",
    *(f"throw StopIteration into {state}" for state in "crsdx"), *(f"share generator: {state}" for state in "crsdx"),
]

_REFUSED = ("{}(): asynchronous generator is already running".format(m) for m in ("anext", "athrow", "aclose"))
_REUSED = ("cannot reuse already awaited __anext__()/asend()", "cannot reuse already awaited aclose()/athrow()")

# Of programs that are not of generators alone.
ASYNC_FEATURES = [
    *"pause async_for with async_with manage async_manage closing aclosing anext asend athrow aclose wrap".split(),
    "async_for: break", "async_for: end", "except StopAsyncIteration", "firstiter", "finalizer", "drive: unfinished",
    *(f"manager: {kind}" for kind in "item raise rethrow call".split()),
    "state: w", "state: o", "warning: coroutine", "warning: coroutine method",
    *(f"driver next: RuntimeError({text})" for text in (
        *_REFUSED, *_REUSED, "cannot reuse already awaited coroutine", "coroutine is being awaited already",
        "coroutine raised StopIteration", "async generator raised StopIteration",
        "async generator raised StopAsyncIteration", "generator didn't yield", "generator didn't stop",
        "generator didn't stop after throw()", "generator didn't stop after athrow()")),
    *(f"share {kind}: {state}" for kind in ("asyncgen", "asend", "athrow", "aclose") for state in "csxwr"),
    *(f"share {kind}: {state}" for kind in ("awaitable", "coroutine", "wrapper") for state in "csxdr"
      if (kind, state) not in (("coroutine", "s"), ("wrapper", "s"))),
    "throw StopIteration into w", "throw StopIteration into o",
    "driver next: StopAsyncIteration", "driver next: ValueError(coroutine already executing)",
    "driver send: TypeError(can't send non-None value to a just-started coroutine)",
    "driver send: TypeError(can't send non-None value to a just-started async generator)",
    "driver send: RuntimeError(can't send non-None value to a just-started coroutine)",
    *(f"{where}: RuntimeError({kind} ignored GeneratorExit)" for where in ("driver close", "unraisable")
      for kind in ("coroutine", "async generator")),
]


def features(kinds):
    return FEATURES + (ASYNC_FEATURES if kinds == "all" else [])
