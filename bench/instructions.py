# SPDX-License-Identifier: BSL-1.0
"""Counts instructions with valgrind's callgrind: the same figures on every run.

A benchmark is run with a number of items and with twice as many; the difference is what the items cost.
"""

import os
import re
import subprocess
import sys

ITEMS = 20_000
# A batch each.
ITEMS_OF = {"skynet": 111_111, "skynet_eager": 111_111, "timers": 100_000, "turn/100000": 100_000}
FEW = ("throw", "close", "break", "task_", "gather", "timer", "timeout", "operation", "echo", "ping_pong", "queue")


def instructions(binary, benchmark, items):
    run = subprocess.run(
        ["valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null", binary,
         f"--benchmark_filter=^{benchmark}/iterations:{items}$"],
        env={**os.environ, "KRAIT_BENCH_ITERATIONS": str(items)}, capture_output=True, text=True)
    if run.returncode != 0 or "ERROR OCCURRED" in run.stdout:
        sys.exit(f"{run.stdout}\n{run.stderr}\n{benchmark} failed")
    return int(re.search(r"Collected : (\d+)", run.stderr).group(1))


class Counted(dict):
    """(operation, implementation) to instructions an item, counted when first asked for."""

    def __init__(self, *binaries):
        super().__init__()
        self.benchmarks = {}
        for binary in binaries:
            listed = subprocess.run([binary, "--benchmark_list_tests=true"], check=True, capture_output=True, text=True)
            for name in listed.stdout.split():
                operation, implementation, *depth = name.split("/")
                self.benchmarks["/".join([operation, *depth]), implementation] = binary, name

    def __missing__(self, key):
        binary, benchmark = self.benchmarks[key]
        few = next((items for name, items in ITEMS_OF.items() if key[0] == name or key[0].startswith(f"{name}/")), None)
        if few is None:
            few = ITEMS // 10 if benchmark.startswith(FEW) or benchmark.endswith("1000") else ITEMS
        self[key] = (instructions(binary, benchmark, 2 * few) - instructions(binary, benchmark, few)) / few
        return self[key]
