# SPDX-License-Identifier: BSL-1.0
"""What krait_bench's results are made of: for those who print them and those who draw them."""

import statistics
import sys

DEPTHS = (1, 10, 100, 1000)
OPERATIONS = ["next", "next_call", "send", "throw", "spawn", "spawn_cold", "close", "close_plain", "break", "close_deep", "close_string", *(f"delegate/{d}" for d in DEPTHS),
              *(f"delegate_shared/{d}" for d in DEPTHS), *(f"await/{d}" for d in DEPTHS), "coroutine_spawn", "walk_tree", "walk_tree_calls", "round_robin/10000",
              "threads/1", "threads/2", "next, Clang"]
IMPLEMENTATIONS = ["krait_native", "krait_native_module", "krait_fcontext", "raw_fcontext", "context_fiber", "coroutine2", "coroutine2_as_is",
                   "coroutine2_pooled", "boost_fiber", "ucontext", "stackless", "recursive_stackless", "indirect_call", "page_faults",
                   "page_faults_guarded", "throw_catch"]


def medians(results):
    """{(operation, implementation): nanoseconds}. A wrong result ends the program."""
    turns = {}
    for one in results["benchmarks"]:
        if one["run_type"] != "iteration":
            continue
        if one.get("error_occurred"):
            sys.exit(f"{one['name']}: {one['error_message']}")
        operation, implementation, *rest = one["run_name"].removesuffix("/real_time").split("/")
        if operation == "live":
            turns["live_bytes", implementation] = [one["bytes_resident"] + one.get("bytes_page_tables", 0)]
            turns["live_first", implementation] = [one["ns_next_first"]]
            turns["live_last", implementation] = [one["ns_next_last"]]
            continue
        scale = {"ns": 1, "us": 1e3, "ms": 1e6, "s": 1e9}[one["time_unit"]]
        time_ = one["real_time" if operation == "threads" else "cpu_time"]
        turns.setdefault(("/".join([operation, *rest]), implementation), []).append(time_ * scale)
    return {key: statistics.median(times) for key, times in turns.items()}
