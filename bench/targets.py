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
