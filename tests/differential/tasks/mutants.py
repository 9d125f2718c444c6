# SPDX-License-Identifier: BSL-1.0
"""Can the comparison fail? Breaks the event loop in small ways, one at a time, and expects each to be noticed."""

import concurrent.futures
import os
import pathlib
import shutil
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parent
LIBRARY = HERE.parents[2]
LOOP = "src/asyncio/loop.cpp"
LOCKS = "src/asyncio/locks.cpp"
GATHER = "src/asyncio/gather.cpp"
GROUP = "src/asyncio/task_group.cpp"

# Name, file, what is replaced (its only occurrence), and by what.
MUTANTS = [
    ("a cancellation is not counted", LOOP, "  ++cancelling;\n", "  cancelling = 1;\n"),
    ("uncancel() forgets nothing", LOOP, "--cancelling == 0) {\n    must_cancel = false;", "--cancelling == 0) {"),
    ("a cancellation does not reach what is awaited", LOOP,
     "  if (waiting != nullptr && !waiting->deaf) {", "  if (waiting != nullptr && !waiting->deaf && !waiting->linked()) {"),
    ("a task that is cancelled before it begins runs", LOOP, "        if (task.must_cancel) {", "        if (false) {"),
    ("a task of a new turn is taken in this one", LOOP, "    turn_end = ready.tail();\n    for", "    turn_end = ready.tail() + 1;\n    for"),
    ("an eager task's maker stands last", LOOP,
     "    loop.ready.push_front(static_cast<const void*>(maker), ready_queue::parked);",
     "    loop.ready.push(static_cast<const void*>(maker), ready_queue::parked);"),
    ("a sleep ends in time, cancelled or not", LOOP,
     "    cancelled = here.cancelled_waiting();\n  }\n  if (cancelled) [[unlikely]] {\n    throw cancelled_error(self.message);",
     "    cancelled = here.cancelled_waiting();\n  }\n  if (false) {\n    throw cancelled_error(self.message);"),
    ("a context is shared with who makes the task", LOOP, "      made.context = copy_of(here);", "      made.context = here;"),
    ("a future wakes the first alone", LOOP,
     "    loop->wake(waiters.pop_front());\n  } while (!waiters.empty());", "    loop->wake(waiters.pop_front());\n  } while (false);"),
    ("a mutex is not fair", LOCKS, "  if (locked_ || waiters_.any_live()) {", "  if (locked_) {"),
    ("a mutex's wake-up is lost to a cancellation", LOCKS, "    if (!locked_) {\n      wake_first();\n    }\n    throw;", "    throw;"),
    ("an event wakes the first alone", LOCKS, "    while (detail::waiter* const next = waiters_.first_waiting()) {",
     "    if (detail::waiter* const next = waiters_.first_waiting()) {"),
    ("a semaphore's permit is lost to a cancellation", LOCKS, "      ++value_;  // it had the permit\n", ""),
    ("a notification is lost to a cancellation", LOCKS, "    wake(1);  // perhaps it has been notified: that must not be lost\n", ""),
    ("a condition does not lock again", LOCKS, "      acquire();\n      break;", "      break;"),
    ("a gather goes on when a child fails", GATHER, "    if (!keep_exceptions && ended.status != status::finished) {", "    if (false) {"),
    ("a gather cancels the first alone", GATHER, "    any = self.children[i].future.cancel(message) || any;",
     "    any = any || self.children[i].future.cancel(message);"),
    ("a gather that was asked to be cancelled is not", GATHER, "  if (cancel_requested) {", "  if (false) {"),
    ("wait() waits for all", GATHER, "failed || when == return_when::first_completed) {", "failed) {"),
    ("wait() does not look at failures", GATHER, "when == return_when::first_exception && done.status == status::failed", "false"),
    ("a group's tasks are cancelled from the last on", GROUP,
     "  while (each != nullptr && each->after != nullptr) {\n    each = each->after;\n  }\n  for (; each != nullptr; each = each->before) {",
     "  for (; each != nullptr; each = each->after) {"),
    ("a group's failure does not cancel its body", GROUP,
     "    parent_cancel_requested_ = true;\n    parent_.cancel({});\n  }\n}\n\nvoid task_group_scope::abort",
     "    parent_cancel_requested_ = true;\n  }\n}\n\nvoid task_group_scope::abort"),
    ("a group keeps its cancellation of the body", GROUP, "  if (parent_cancel_requested_ && parent_.uncancel() == 0) {",
     "  if (parent_cancel_requested_) {"),
    ("who else has cancelled a group's body is forgotten", GROUP,
     "    if (parent_.cancelling > 0) {  // who", "    if (false) {  // who"),
    ("later deadlines come first", "src/asyncio/timers.cpp",
     "    if (!each.empty() && (best == nullptr || each.front().before(*best))) {", "    if (!each.empty() && best == nullptr) {"),
    ("a timeout is told of every cancellation", "include/krait/asyncio/timeout.hpp",
     "    return expiring_ && task_.uncancel() <= recorded_;", "    return expiring_ && (task_.uncancel(), true);"),
    ("a queue's wake-up is lost to a cancellation", "include/krait/asyncio/queues.hpp",
     "      if (possible() && self.state != waiter::stage::cancelled) {", "      if (false) {"),
    ("a shield is cancelled by what it shields, and then fails", "include/krait/asyncio/gather.hpp",
     "    } else if (inner.cancelled()) {\n      outer.cancel();",
     "    } else if (inner.cancelled()) {\n      outer.set_exception(std::make_exception_ptr(runtime_error(\"cancelled\")));"),
    ("a task that swallows a cancellation at its end has a result", "include/krait/asyncio/task.hpp",
     "      if (self.must_cancel) [[unlikely]] {", "      if (false) {"),
    ("what is awaited by a finished task is cancelled with it", "include/krait/asyncio/detail/loop.hpp",
     "    if (self.must_cancel && on.cancel(on, self.message)) [[unlikely]] {\n      self.must_cancel = false;\n    }", ""),
]

FLAGS = ["-std=gnu++20", "-O1", "-fstack-clash-protection", "-DKRAIT_NATIVE"]


def compile(source, made, *places):
    """With the headers of the first place that has them."""
    includes = [word for place in places for part in ("include", "src") for word in ("-I", str(place / part))]
    subprocess.run(["g++", *FLAGS, *includes, "-c", str(source), "-o", str(made)], check=True)


def sources():
    return sorted((LIBRARY / "src").rglob("*.cpp")) + [LIBRARY / "asm" / "x86_64_sysv.S", HERE / "main.cpp"]


def object_of(source, directory):
    return directory / (str(source.relative_to(LIBRARY)).replace("/", "_") + ".o")


def build(directory, change, pool):
    """The program that runs programs, with a change, or krait as it is: whose objects the others take."""
    whole = directory.parent / "0"
    shutil.rmtree(directory, ignore_errors=True)
    directory.mkdir(parents=True)
    todo = sources()
    if change is not None:
        file, old, new = change
        text = (LIBRARY / file).read_text()
        if text.count(old) != 1:
            raise SystemExit(f"oracle: a mutant no longer applies to {file}: {old.strip()!r}")
        changed = directory / file
        changed.parent.mkdir(parents=True)
        changed.write_text(text.replace(old, new))
        if file.startswith("include"):
            # The copy comes first only where all headers are found by the same path.
            shutil.copytree(LIBRARY / "include", directory / "include", dirs_exist_ok=True)
            changed.write_text(text.replace(old, new))
            todo = [source for source in todo if "asyncio" in source.parts] + [HERE / "main.cpp"]
        else:
            todo = [LIBRARY / file]
    jobs = []
    for source in todo:
        mutated = directory / source.relative_to(LIBRARY)
        jobs.append(pool.submit(compile, mutated if mutated.exists() else source, object_of(source, directory), directory, LIBRARY))
    for job in jobs:
        job.result()
    objects = [object_of(source, directory if source in todo else whole) for source in sources()]
    program = directory / "program"
    subprocess.run(["g++", *map(str, objects), "-o", str(program), "-pthread"], check=True)
    return program


def check(programs, expected, traces_of, build_dir):
    """`traces_of(program, programs)`: what it prints of them."""
    print(f"building krait as it is, and {len(MUTANTS)} mutants", file=sys.stderr, flush=True)
    survivors = 0
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        for i, mutant in enumerate([None, *MUTANTS]):
            program = build(build_dir / "task_mutants" / str(i), mutant and mutant[1:], pool)
            differ = sum(a != b for a, b in zip(expected, traces_of(program, programs)))
            if mutant is None:
                if differ:
                    print("krait itself differs from CPython: first of all, ./dev oracle --tasks")
                    return 1
                continue
            print(f"{f'caught by {differ} programs' if differ else 'SURVIVED'}: {mutant[0]}", flush=True)
            survivors += not differ
    print(f"{len(MUTANTS) - survivors} passed, {survivors} failed")
    return 1 if survivors else 0
