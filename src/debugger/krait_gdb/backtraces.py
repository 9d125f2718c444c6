# SPDX-License-Identifier: BSL-1.0
"""Backtraces: of a generator or task that was left, and of a thread through all resumers."""

import contextlib
import re

import gdb

from .machines import machine_of
from .memory import word
from .unwinder import resumer_of_base, unwinder


@contextlib.contextmanager
def selection_kept():
    thread = gdb.selected_thread()
    if thread is None:
        raise gdb.GdbError("There is neither a process nor a core dump.")
    level = gdb.selected_frame().level()
    try:
        yield
    finally:
        thread.switch()
        frame = gdb.newest_frame()
        while level > 0 and frame.older() is not None:
            frame = frame.older()
            level -= 1
        frame.select()


def frames(skipped=0):
    frame = gdb.newest_frame()
    while frame is not None:
        if skipped == 0:
            yield frame
        else:
            skipped -= 1
        frame = frame.older()


def backtrace(options, first, last, number):
    """Prints frames number `first` to before `last`, counted from `number` on. Returns where that has come to."""
    shown = False
    for line in gdb.execute("bt -no-filters %s %d" % (options, last), to_string=True).splitlines():
        match = re.match(r"#(\d+) *", line)
        if match:
            shown = int(match.group(1)) >= first
            line = "#%-3d" % (int(match.group(1)) - first + number) + line[match.end():]
        elif line.startswith("(More stack frames"):
            break
        if shown:
            print(line)
    return number + last - first


def plain_name(frame):
    """The function's name without what it returns (gdb knows that of templates without debug information), template
    arguments and parameters."""
    name = frame.name() or ""
    while True:
        shorter = re.sub(r"<[^<>]*>", "", name)
        if shorter == name:
            return name.partition("(")[0].rpartition(" ")[2]
        name = shorter


def is_krait(frame, prefix="krait::"):
    return plain_name(frame).startswith(prefix)


def backtrace_of_left(generator, options):
    """Prints the stack of a generator that is not running, its own part."""
    machine = machine_of(gdb.newest_frame())
    with unwinder.forging(machine, generator.registers(machine)) as skipped:
        own = list(own_frames(generator, machine, skipped))
        inside = next((i for i, frame in enumerate(own) if not is_krait(frame, "krait::detail::")), 0)
        backtrace(options, skipped + inside, skipped + len(own), 0)


def own_frames(flow, machine, skipped):
    for frame in frames(skipped):
        if not flow.covers(int(frame.read_register(machine.sp))):
            return
        yield frame


def is_inside(frame):
    """Is it of what surrounds a task, and nobody looks for?"""
    return (frame.type() == gdb.SIGTRAMP_FRAME or is_krait(frame, "krait::detail::") or
            is_krait(frame, "krait::asyncio::detail::") or
            frame.name() in ("krait_native_start", "krait_native_end", "make_fcontext"))


def backtrace_of_task(task, options):
    """Prints the stack of a task that is not running, with the generators that it is in the midst of."""
    machine = machine_of(gdb.newest_frame())
    backtrace_of_thread(options, task.registers(machine))


def backtrace_of_thread(options, resumer=None):
    """Prints the stack of the selected thread, further than gdb itself goes; or that of who was left with these
    registers."""
    machine = machine_of(gdb.newest_frame())
    number = 0
    of_task = resumer is not None
    while True:
        with unwinder.forging(machine, resumer) if resumer else contextlib.nullcontext(0) as skipped:
            count = 0
            resumer = None
            for frame in frames(skipped):
                count += 1
                beyond = resumer_of_base(machine, *(int(frame.read_register(name)) for name in (machine.sp, machine.pc)))
                if beyond is not None:
                    resumer, to_base = beyond, count
            if resumer is not None and frame.unwind_stop_reason() == gdb.FRAME_UNWIND_INNER_ID:
                count = to_base
            else:
                resumer = None
            first, end = 0, count
            if of_task:
                shown = [i for i, frame in enumerate(frames(skipped)) if i < count and not is_inside(frame)]
                first = shown[0] if shown and number == 0 else 0
                end = shown[-1] + 1 if shown and resumer is None else count
            number = backtrace(options, skipped + first, skipped + end, number)
        if resumer is None:
            return


def thread_on(generator):
    """Switches to the thread that runs a generator, or has it among those that wait for whom they resumed."""
    for thread in gdb.selected_inferior().threads():
        thread.switch()
        machine = machine_of(gdb.newest_frame())
        if any(generator.holds(int(frame.read_register(machine.sp))) for frame in frames()):
            return thread
    return None


def task_around(generator, tasks):
    """The task that is parked in the midst of a generator."""
    machine = machine_of(gdb.newest_frame())
    for task in tasks:
        if task.left():
            with unwinder.forging(machine, task.registers(machine)) as skipped:
                if any(generator.holds(int(frame.read_register(machine.sp))) for frame in frames(skipped)):
                    return task
    return None


def where(flow):
    """The innermost function of a generator or task that is not krait's own."""
    machine = machine_of(gdb.newest_frame())
    with unwinder.forging(machine, flow.registers(machine)) as skipped:
        innermost = None
        for frame in own_frames(flow, machine, skipped):
            innermost = innermost or frame
            if not is_krait(frame):
                break
        else:
            return "%#x" % (innermost.pc() if innermost else word(flow.record + 8))
        sal = frame.find_sal()
        if sal.symtab is None:
            return plain_name(frame) or frame.name() or "%#x" % frame.pc()
        return "%s at %s:%d" % (frame.name(), sal.symtab.filename, sal.line)
