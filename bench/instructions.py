# SPDX-License-Identifier: BSL-1.0
"""Counts instructions with valgrind's callgrind: the same figures on every run.

A benchmark is run with a number of items and with twice as many; the difference is what the items cost.
"""

import os
import re
import subprocess
import sys

ITEMS = 20_000


def instructions(binary, benchmark, items):
    run = subprocess.run(
        ["valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null", binary,
         f"--benchmark_filter=^{benchmark}/iterations:{items}$"],
        env={**os.environ, "KRAIT_BENCH_ITERATIONS": str(items)}, capture_output=True, text=True)
    if run.returncode != 0 or "error_occurred" in run.stdout:
        sys.exit(f"{run.stdout}\n{run.stderr}\n{benchmark} failed")
    return int(re.search(r"Collected : (\d+)", run.stderr).group(1))


class Counted(dict):
    """(operation, implementation) to instructions an item, counted when first asked for."""

    def __init__(self, binary):
        super().__init__()
        self.binary = binary
        listed = subprocess.run([binary, "--benchmark_list_tests=true"], check=True, capture_output=True, text=True)
        self.benchmarks = {}
        for name in listed.stdout.split():
            operation, implementation, *depth = name.split("/")
            self.benchmarks["/".join([operation, *depth]), implementation] = name

    def __missing__(self, key):
        benchmark = self.benchmarks[key]
        few = ITEMS // 10 if benchmark.startswith(("throw", "close", "break")) or benchmark.endswith("1000") else ITEMS
        self[key] = (instructions(self.binary, benchmark, 2 * few) - instructions(self.binary, benchmark, few)) / few
        return self[key]
