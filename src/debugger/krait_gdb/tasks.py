# SPDX-License-Identifier: BSL-1.0
"""All tasks of krait::asyncio there are, found through the tables of its two builds (src/asyncio/debugger.cpp)."""

import gdb

from .generators import Table, lodgers, used_of
from .machines import registers
from .memory import byte, symbol, word, words


class TasksTable:
    """krait_native_tasks_table or krait_fcontext_tasks_table, whose members are words."""

    MEMBERS = """version size loops loop_next loop_tasks loop_current
        task_next task_name task_registers task_waiting future_is_task
        waiter_stage stage_waiting waiter_cancel cancel_awaited waiter_future
        worker_lodger worker_runs worker_limit worker_size
        names_are_libcpps""".split()

    def __init__(self, address, fcontext):
        vars(self).update(zip(self.MEMBERS, words(address, len(self.MEMBERS))))
        self.fcontext = fcontext
        if self.version != 1:
            raise gdb.GdbError("The table of tasks has version %d, which this script does not know." % self.version)

    def tasks(self):
        """(loop, task) of all that have not ended."""
        loop = word(self.loops)
        while loop:
            first = task = word(loop + self.loop_tasks)
            while task:
                yield loop, task
                task = word(task + self.task_next)
                if task == first:
                    break
            loop = word(loop + self.loop_next)

    def stacks(self):
        """Of tasks that have started: {task: (limit, size)}."""
        found = {}
        for lodger in lodgers(Table()):
            worker = lodger - self.worker_lodger
            try:
                found[word(worker + self.worker_runs)] = words(worker + self.worker_limit, 2)
            except gdb.MemoryError:  # the other build's
                pass
        return found


class Task:
    def __init__(self, table, loop, address, stack):
        self.table = table
        self.loop = loop
        self.address = address
        self.name = self.read_name()
        self.limit, self.size = stack or (0, 0)
        self.record = address + table.task_registers
        waiting = word(address + table.task_waiting)
        waits = waiting and byte(waiting + table.waiter_stage) == table.stage_waiting
        self.awaited = 0  # the future that it waits for
        if word(loop + table.loop_current) == address:
            self.state = "running"
        elif word(self.record + 8) == 0:
            self.state = "created"
        elif waits:
            self.state = "waiting"
            if word(waiting + table.waiter_cancel) == table.cancel_awaited:
                self.awaited = word(waiting + table.waiter_future)
        else:
            self.state = "ready"

    def read_name(self):
        """A std::string, of libstdc++ or libc++."""
        place = self.address + self.table.task_name
        data, size = words(place, 2)
        if self.table.names_are_libcpps:
            data, size = (word(place + 16), size) if byte(place) & 1 else (place + 1, byte(place) >> 1)
        return gdb.selected_inferior().read_memory(data, size).tobytes().decode(errors="replace") if size else ""

    def left(self):
        """Is there a stack that has been left, to be continued?"""
        return self.state in ("waiting", "ready")

    def holds(self, sp):
        return self.limit <= sp < self.limit + self.size

    def covers(self, sp):
        """Is what is called there the task's? It may be in the midst of generators, which have stacks of their own."""
        return True

    def stack_used(self):
        return used_of(self.limit, self.size)

    def registers(self, machine):
        return registers(machine, self.record, self.table.fcontext)

    def __str__(self):
        return "task %s at %#x" % (self.name, self.address)


def all_tasks():
    """All tasks there are, in the order in which they were made."""
    found = []
    for name, fcontext in (("krait_native_tasks_table", False), ("krait_fcontext_tasks_table", True)):
        address = symbol(name)
        if address is not None:
            table = TasksTable(address, fcontext)
            stacks = table.stacks()
            found += [Task(table, loop, task, stacks.get(task)) for loop, task in table.tasks()]
    return found
