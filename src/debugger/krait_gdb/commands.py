# SPDX-License-Identifier: BSL-1.0
"""krait generators, krait tasks, krait bt."""

import re

import gdb

from .backtraces import (backtrace_of_left, backtrace_of_task, backtrace_of_thread, selection_kept, task_around, thread_on,
                         where)
from .generators import Generator, Table, addresses, chain
from .memory import byte
from .tasks import all_tasks


class Krait(gdb.Command):
    """Generators and tasks: krait generators, krait tasks, krait bt."""

    def __init__(self):
        super().__init__("krait", gdb.COMMAND_STACK, gdb.COMPLETE_NONE, prefix=True)


class Generators(gdb.Command):
    """Lists all generators and coroutines: number, address, state, name, where it is suspended, how much stack it has
used, and what it delegates to or awaits."""

    def __init__(self):
        super().__init__("krait generators", gdb.COMMAND_STACK, gdb.COMPLETE_NONE)

    def invoke(self, argument, from_tty):
        self.dont_repeat()
        table = Table()
        numbers = {address: number for number, address in enumerate(addresses(table), 1)}
        with selection_kept():
            for address, number in numbers.items():
                generator = Generator(table, address)
                line = "%-4d %#018x  %-9s  %s%s" % (number, address, generator.state(), generator.kind, generator.name)
                delegates_to = ", awaits " if generator.kind else ", delegates to "
                if generator.left():
                    line += ", in " + where(generator)
                line += ", %d bytes of stack used" % generator.stack_used()
                if generator.delegates_to_iterator:
                    line += delegates_to + "an iterator"
                elif generator.delegate:
                    line += delegates_to + "%s" % numbers.get(generator.delegate, "%#x" % generator.delegate)
                print(line, flush=True)
        if not numbers:
            print("No generators.")


class Tasks(gdb.Command):
    """Lists all tasks that have not ended: number, address, state, name, where it waits, how much of its stack it has
used, and what it awaits."""

    def __init__(self):
        super().__init__("krait tasks", gdb.COMMAND_STACK, gdb.COMPLETE_NONE)

    def invoke(self, argument, from_tty):
        self.dont_repeat()
        tasks = all_tasks()
        numbers = {task.address: "T%d" % number for number, task in enumerate(tasks, 1)}
        with selection_kept():
            for task in tasks:
                line = "%-4s %#018x  %-9s  %s" % (numbers[task.address], task.address, task.state, task.name)
                if task.left():
                    line += ", in " + where(task)
                if task.size:
                    line += ", %d bytes of stack used" % task.stack_used()
                if task.awaited:
                    is_task = byte(task.awaited + task.table.future_is_task)
                    line += ", awaits " + (numbers.get(task.awaited, "%#x" % task.awaited) if is_task else
                                           "a future at %#x" % task.awaited)
                print(line, flush=True)
        if not tasks:
            print("No tasks.")


class Backtrace(gdb.Command):
    """Prints the backtrace of a generator, and of those that delegate to it or that it delegates to; or of a task.

Usage: krait bt [NUMBER | ADDRESS] [OPTION OF BT]...

NUMBER is as `krait generators` or `krait tasks` (T1, T2, ...) lists it. Without it: the backtrace of the selected thread,
through all resumers."""

    LEAST_ADDRESS = 4096

    def __init__(self):
        super().__init__("krait bt", gdb.COMMAND_STACK, gdb.COMPLETE_NONE)

    def invoke(self, argument, from_tty):
        self.dont_repeat()
        which, _, options = argument.strip().partition(" ")
        if which == "" or which.startswith("-"):
            with selection_kept():
                backtrace_of_thread(argument)
            return
        tasks = all_tasks()
        if re.fullmatch("[tT][0-9]+", which):
            task = tasks[int(which[1:]) - 1] if 0 < int(which[1:]) <= len(tasks) else None
            if task is None:
                raise gdb.GdbError("There is no such task: see `krait tasks`.")
            wanted = task.address
        else:
            wanted = int(gdb.parse_and_eval(which))
            task = next((each for each in tasks if each.address == wanted), None)
        if task is not None:
            with selection_kept():
                self.print_task(task, options)
            return
        table = Table()
        address = next((address for number, address in enumerate(addresses(table), 1)
                        if wanted == (number if wanted < self.LEAST_ADDRESS else address)), None)
        if address is None:
            raise gdb.GdbError("There is no such generator: see `krait generators`.")
        with selection_kept():
            self.print_chain(chain(table, address), tasks, options)

    @staticmethod
    def print_task(task, options):
        if task.left():
            print("%s, %s:" % (task, task.state))
            backtrace_of_task(task, options)
        elif task.state == "running":
            thread = thread_on(task)
            print("%s, running in %s" % (task, "thread %d:" % thread.num if thread else "no thread known"))
            if thread is not None:
                backtrace_of_thread(options)
        else:
            print("%s, %s" % (task, task.state))

    @staticmethod
    def print_chain(generators, tasks, options):
        thread = task = None
        for generator in generators:
            if generator.left():
                delegating = "awaiting" if generator.kind else "delegating"
                print("%s, %s:" % (generator, delegating if generator.delegate else "suspended"))
                backtrace_of_left(generator, options)
                continue
            state = generator.state()
            if state != "running":
                print("%s, %s" % (generator, state))
            elif thread is not None:
                print("%s, running in thread %d: see above" % (generator, thread.num))
            elif task is not None:
                print("%s, running in %s: see above" % (generator, task))
            else:
                task = task_around(generator, tasks)
                thread = None if task else thread_on(generator)
                print("%s, running in %s" % (generator, "%s, %s:" % (task, task.state) if task else
                                             "thread %d:" % thread.num if thread else "no thread known"))
                if task is not None:
                    backtrace_of_task(task, options)
                elif thread is not None:
                    backtrace_of_thread(options)


Krait()
Generators()
Tasks()
Backtrace()
