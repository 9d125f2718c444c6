# SPDX-License-Identifier: BSL-1.0
"""What krait_bench's results are made of: for those who print them and those who draw them."""

import os
import statistics
import sys

DEPTHS = (1, 10, 100, 1000)
OPERATIONS = ["next", "next_call", "send", "throw", "spawn", "spawn_cold", "close", "close_plain", "break", "close_deep", "close_string", *(f"delegate/{d}" for d in DEPTHS),
              *(f"delegate_shared/{d}" for d in DEPTHS), *(f"await/{d}" for d in DEPTHS), "coroutine_spawn", "walk_tree", "walk_tree_calls", "round_robin/10000",
              "threads/1", "threads/2", "next, Clang"]
IMPLEMENTATIONS = ["krait_native", "krait_native_module", "krait_fcontext", "raw_fcontext", "context_fiber", "coroutine2", "coroutine2_as_is",
                   "coroutine2_pooled", "boost_fiber", "ucontext", "stackless", "recursive_stackless", "indirect_call", "page_faults",
                   "page_faults_guarded", "throw_catch"]


# Of event loops: see asyncio/operations.hpp.
LOOP_OPERATIONS = ["turn/1", "turn/100", "turn/10000", "turn/100000", "turn_polled/1", "turn_polled/100",
                   "turn_in_generator/1", "turn_in_generator/3", "task_spawn", "task_spawn_eager", "task_spawn_1000",
                   "task_done", "ping_pong", "queue", "skynet/100000", "skynet_eager/100000", "gather", "timer",
                   "timers/100000", "timeout", "task_cancel", "operation", "echo/1", "echo/100"]
LOOP_IMPLEMENTATIONS = ["krait_native", "krait_fcontext", "krait_native_written_first", "krait_fcontext_written_first",
                        "asio", "asio_without_reactor", "asio_spawn", "asio_awaitable", "boost_fiber", "indirect_call"]


def asyncio_beside(binary):
    """The program of event loops that was built with this one; None: there is none."""
    beside = os.path.join(os.path.dirname(binary), "asyncio", "krait_asyncio_bench")
    return beside if os.access(beside, os.X_OK) else None


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
        if operation == "sleeping":
            turns["sleeping_bytes", implementation] = [one["bytes_resident"] + one.get("bytes_page_tables", 0)]
            turns["sleeping_cold", implementation] = [one["ns_cold"]]
            turns["sleeping_warm", implementation] = [one["ns_warm"]]
            turns["sleeping", implementation] = [float(rest[0])]
            continue
        scale = {"ns": 1, "us": 1e3, "ms": 1e6, "s": 1e9}[one["time_unit"]]
        time_ = one["real_time" if operation == "threads" else "cpu_time"]
        turns.setdefault(("/".join([operation, *rest]), implementation), []).append(time_ * scale)
    return {key: statistics.median(times) for key, times in turns.items()}
