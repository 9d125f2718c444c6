# SPDX-License-Identifier: BSL-1.0
"""What krait promises of its speed, as ratios of figures from one run; `report --check` says which hold."""


class Target:
    """`because`: why no more is promised. `counted`: of instructions, which do not depend on what else the machine does."""

    def __init__(self, what, compute, at_most=None, at_least=None, counted=False, because=None):
        self.what, self.compute, self.at_most, self.at_least = what, compute, at_most, at_least
        self.counted, self.because = counted, because

    def verdict(self, figures):
        """(holds or None, text); `figures` maps (operation, implementation) to one."""
        try:
            value = self.compute(figures)
        except KeyError as missing:
            return None, f"not measured: {'/'.join(missing.args[0])}"
        if self.at_most is not None:
            limit, holds, off = f"at most {self.at_most:g}", value <= self.at_most, value / self.at_most
        else:
            limit, holds, off = f"at least {self.at_least:g}", value >= self.at_least, self.at_least / max(value, 1e-9)
        return holds, f"{value:.2f}, {limit}" + ("" if holds else f": short by {100 * (off - 1):.0f} %")


def ratio(operation, one, other, other_operation=None):
    """`other_operation`: of `other`, where it is not the same."""
    return lambda ns: ns[operation, one] / ns[other_operation or operation, other]


def per_level(depth, one):
    """What one level of delegation by reference adds, in `next`."""
    return lambda ns: ((ns[f"delegate_shared/{depth}", one] - ns["delegate_shared/1", one])
                       / (depth - 1) / ns["next", one])


NATIVE, FCONTEXT = "krait_native", "krait_fcontext"


def targets_of_both(one):
    return [
        Target("delegate/1000 / delegate/1", ratio("delegate/1000", one, one, "delegate/1"), at_most=1.1),
        Target("await/1000 / await/1", ratio("await/1000", one, one, "await/1"), at_most=1.1),
        *(Target(f"delegate_shared/{depth}, per level / next", per_level(depth, one), at_most=1, counted=True,
                 because="in time a level costs more, as each has a stack of its own that has to come into the cache")
          for depth in (10, 100, 1000)),
        Target("walk_tree / recursive stackless", ratio("walk_tree", one, "recursive_stackless"), at_most=1.3),
        Target("walk_tree_calls / recursive stackless",
               ratio("walk_tree_calls", one, "recursive_stackless", "walk_tree"), at_most=0.5),
        Target("spawn_cold / page faults", ratio("spawn_cold", one, "page_faults"), at_most=1.2),
        Target("spawn_cold / page faults and guards", ratio("spawn_cold", one, "page_faults_guarded"), at_most=1.2),
        Target("throw / a throw and catch", ratio("throw", one, "throw_catch"), at_most=1.3),
        Target("round_robin/10000: Boost.Coroutine2 / krait", ratio("round_robin/10000", "coroutine2", one),
               at_least=2),
        Target("threads: one / two", ratio("threads/1", one, one, "threads/2"), at_least=1.7),
        Target("live: KiB for each of a million", lambda ns: ns["live_bytes", one] / 1024, at_most=4.4),
        Target("live: an item in the last 100 rounds / in the first", ratio("live_last", one, one, "live_first"), at_most=1.1),
    ]


def targets_of_loops(one):
    """The event loop. `asio_without_reactor` is Asio at its best: it never asks the kernel for news."""
    return [
        Target("turn/1 / a chained post", ratio("turn/1", one, "asio"), at_most=0.35, counted=True),
        Target("turn/100 / a chained post", ratio("turn/100", one, "asio"), at_most=0.3, counted=True),
        Target("turn/100 / Boost.Fiber", ratio("turn/100", one, "boost_fiber"), at_most=0.3),
        Target("turn/100000 / a chained post", ratio("turn/100000", one, "asio"), at_most=0.7),
        Target("turn_in_generator/3 - /1 / two items of a generator",
               lambda figures: (figures["turn_in_generator/3", one] - figures["turn_in_generator/1", one]) / 96,
               at_most=1.1, counted=True),
        Target("task_spawn / Boost.Fiber", ratio("task_spawn", one, "boost_fiber"), at_most=0.25),
        Target("task_spawn_eager / Boost.Fiber", ratio("task_spawn_eager", one, "boost_fiber", "task_spawn"), at_most=0.15),
        Target("task_spawn_1000 / Boost.Fiber", ratio("task_spawn_1000", one, "boost_fiber"), at_most=0.15),
        Target("task_done / a call through a pointer", ratio("task_done", one, "indirect_call"), at_most=1),
        Target("ping_pong: Boost.Fiber / krait", ratio("ping_pong", "boost_fiber", one), at_least=5),
        Target("queue: Boost.Fiber / krait", ratio("queue", "boost_fiber", one), at_least=5),
        Target("skynet: Boost.Fiber / krait", ratio("skynet/100000", "boost_fiber", one), at_least=5),
        Target("skynet_eager: Boost.Fiber's skynet / krait",
               lambda ns: ns["skynet/100000", "boost_fiber"] / ns["skynet_eager/100000", one], at_least=25),
        Target("gather of three: instructions", lambda counts: counts["gather", one], at_most=1200, counted=True),
        Target("timer: Asio / krait", ratio("timer", "asio", one), at_least=20),
        Target("timers: Asio / krait", ratio("timers/100000", "asio", one), at_least=8),
        Target("timeout: ns", lambda ns: ns["timeout", one], at_most=80),
        Target("task_cancel / a throw and catch", ratio("task_cancel", one, "throw_catch", "throw"), at_most=4,
               because="two are thrown: in the task, and by who waits for it"),
        Target("operation / a chained post", ratio("operation", one, "asio"), at_most=1.2),
        Target("echo/1, written first / callbacks", ratio("echo/1", f"{one}_written_first", "asio"), at_most=0.9, counted=True),
        Target("echo/1: callbacks / written first", ratio("echo/1", "asio", f"{one}_written_first"), at_least=0.95),
        Target("echo/100: callbacks / written first", ratio("echo/100", "asio", f"{one}_written_first"), at_least=0.95),
        Target("sleeping: bytes for each", lambda ns: ns["sleeping_bytes", one], at_most=4700),
        Target("sleeping, new stacks / page faults and guards",
               ratio("sleeping_cold", one, "page_faults_guarded", "spawn_cold"), at_most=1.3),
        Target("sleeping, used stacks: ns", lambda ns: ns["sleeping_warm", one], at_most=1200),
    ]


TARGETS = {
    "native": [
        Target("next / stackless", ratio("next", NATIVE, "stackless"), at_most=1.5),
        Target("next: Boost.Coroutine2 / krait", ratio("next", "coroutine2", NATIVE), at_least=3,
               because="flattened into its loop; a sixth of that is less than a stackless generator takes"),
        Target("next: Boost.Coroutine2 as it is / krait", ratio("next", "coroutine2_as_is", NATIVE), at_least=4,
               because="a sixth of it is hardly more than a stackless generator takes, which switches no stack"),
        Target("send / stackless", ratio("send", NATIVE, "stackless"), at_most=1.7),
        Target("next, Clang / stackless, Clang", ratio("next, Clang", NATIVE, "stackless"), at_most=1.9),
        Target("next, Clang / GCC", ratio("next, Clang", NATIVE, NATIVE, "next"), at_most=1.05),
        Target("spawn / stackless", ratio("spawn", NATIVE, "stackless"), at_most=1, counted=True,
               because="in time 0.9 to 1.4: a stack's lines lie farther apart than those of a block on the heap"),
        Target("close: Boost.Coroutine2 / krait", ratio("close", "coroutine2", NATIVE), at_least=1.8),
        Target("close_plain / spawn", ratio("close_plain", NATIVE, NATIVE, "spawn"), at_most=2),
        *targets_of_both(NATIVE),
    ],
    "native, event loop": targets_of_loops(NATIVE),
    "fcontext": [
        Target("next / raw fcontext", ratio("next", FCONTEXT, "raw_fcontext"), at_most=1.15),
        Target("next: Boost.Coroutine2 / krait", ratio("next", "coroutine2", FCONTEXT), at_least=1),
        Target("send / raw fcontext", ratio("send", FCONTEXT, "raw_fcontext"), at_most=1.15),
        Target("send: Boost.Coroutine2 / krait", ratio("send", "coroutine2", FCONTEXT), at_least=1),
        Target("spawn / native", ratio("spawn", FCONTEXT, NATIVE), at_most=3),
        Target("close: Boost.Coroutine2 / krait", ratio("close", "coroutine2", FCONTEXT), at_least=1.3),
        Target("close_plain / native", ratio("close_plain", FCONTEXT, NATIVE), at_most=1.5, counted=True,
               because="in time 1.7: each of its four switches saves and loads the floating-point control words"),
        *targets_of_both(FCONTEXT),
    ],
    "fcontext, event loop": targets_of_loops(FCONTEXT),
}


def print_targets(ns, instructions):
    """Returns how many were met and how many not."""
    met = missed = 0
    for backend, targets in TARGETS.items():
        print(f"targets, {backend}")
        for target in targets:
            holds, text = target.verdict(instructions if target.counted else ns)
            met += holds is True
            missed += holds is not True
            print(f"  {'met    ' if holds else 'NOT MET' if holds is False else '-      '} {target.what}{', instructions' if target.counted else ''}: {text}")
            if target.because:
                print(f"          ({target.because})")
    print(f"{met} met, {missed} not met")
    return met, missed
