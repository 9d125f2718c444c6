# SPDX-License-Identifier: BSL-1.0
"""What a long run of random programs must have executed, so that a thin generator of programs cannot hide."""

FROM_COUNT = 20_000

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
]

ASYNC_FEATURES = []


def features(kinds):
    return FEATURES + (ASYNC_FEATURES if kinds == "all" else [])
