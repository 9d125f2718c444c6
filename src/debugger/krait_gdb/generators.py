# SPDX-License-Identifier: BSL-1.0
"""All generators and coroutines there are, found through krait_debugger_table (debugger.cpp)."""

import gdb

from .machines import registers
from .memory import symbol, word, words


class Table:
    """krait_debugger_table, whose members are words."""

    MEMBERS = """version size arenas arena_base arena_used arena_guard arena_size arena_next arena_colours arena_colour
        unpooled_frames unpooled_frame_self unpooled_frame_next
        frame_caller frame_own frame_rest frame_root frame_stage
        rest_delegator rest_delegate rest_name rest_limit
        frameless_delegate stage_created stage_started
        rest_kind kind_coroutine kind_async_generator
        rest_size""".split()

    def __init__(self):
        address = symbol("krait_debugger_table")
        if address is None:
            raise gdb.GdbError("There is no krait in this program, or it was stripped of its symbols.")
        try:
            vars(self).update(zip(self.MEMBERS, words(address, len(self.MEMBERS))))
        except gdb.MemoryError:
            raise gdb.GdbError("There is neither a process nor a core dump.") from None
        if self.version != 4:
            raise gdb.GdbError("krait_debugger_table has version %d, which this script does not know." % self.version)


class Generator:
    """A frame, which the generator's user holds."""

    def __init__(self, table, address):
        self.table = table
        self.address = address
        rest = word(address + table.frame_rest)
        self.name = gdb.Value(word(rest + table.rest_name)).cast(gdb.lookup_type("char").pointer()).string(
            errors="replace")
        self.limit = word(rest + table.rest_limit)
        self.size = word(rest + table.rest_size)
        self.delegator = word(rest + table.rest_delegator)
        delegate = word(rest + table.rest_delegate)  # where the address of that frame stands
        kind = gdb.selected_inferior().read_memory(rest + table.rest_kind, 1)[0][0]
        self.kind = {table.kind_coroutine: "coroutine ", table.kind_async_generator: "async_generator "}.get(kind, "")
        self.delegates_to_iterator = delegate == table.frameless_delegate
        self.delegate = word(delegate) if delegate else 0
        # Who delegates to what was given to it waits as that one's resumer; else, who is suspended is so in its root.
        self.root = word(address + table.frame_root)
        given = self.delegate and word(word(self.delegate + table.frame_rest) + table.rest_delegator) == address
        self.record = self.delegate + table.frame_caller if given else self.root + table.frame_own
        self.resume_at = word(self.record + 8)

    def started(self):
        return self.stage() == self.table.stage_started

    def stage(self):
        return gdb.selected_inferior().read_memory(self.address + self.table.frame_stage, 1)[0][0]

    def state(self):
        """Python's inspect.getgeneratorstate()."""
        if self.stage() == self.table.stage_created:
            return "created"
        if not self.started():
            return "closed"
        # Who delegates is running while its delegate is.
        return "suspended" if word(self.root + self.table.frame_own + 8) else "running"

    def left(self):
        """Is its stack one that has been left, to be continued? Also of one that delegates, running or not."""
        return self.started() and self.resume_at != 0

    def stack_used(self):
        """generator::stack_used()"""
        return used_of(self.limit, self.size)

    def holds(self, sp):
        return self.limit <= sp < self.address

    covers = holds

    def registers(self, machine):
        # Where to continue is an address in code on the native backend, and one on the stack itself with Boost.Context.
        return registers(machine, self.record, self.holds(self.resume_at))

    def __str__(self):
        return "%s%s at %#x" % (self.kind, self.name, self.address)


def used_of(limit, size):
    """How many bytes of a stack lie above the lowest that is not zero."""
    end = limit + size
    for place in range(limit, end, 4096):
        try:
            page = gdb.selected_inferior().read_memory(place, min(4096, end - place)).tobytes()
        except gdb.MemoryError:  # of a page that was never touched, a core dump may have nothing
            continue
        used = page.lstrip(b"\0")
        if used:
            return end - place - len(page) + len(used)
    return 0


def residents(table):
    """Who lives on the stacks of pools: the addresses of frames, and of lodgers, plus one (detail/resident.hpp)."""
    arena = word(table.arenas)
    while arena:
        for top in tops(table, arena):
            try:
                resident = word(top)
            except gdb.MemoryError:  # a page that a core dump lacks
                continue
            if resident:
                yield resident
        arena = word(arena + table.arena_next)


def lodgers(table):
    """Who lives on a stack, and is no frame."""
    return (resident - 1 for resident in residents(table) if resident & 1)


def addresses(table):
    """The frames of all generators."""
    yield from (resident for resident in residents(table) if not resident & 1)
    entry = word(table.unpooled_frames)
    while entry:
        yield word(entry + table.unpooled_frame_self)
        entry = word(entry + table.unpooled_frame_next)


def tops(table, arena):
    """The ends of an arena's stacks."""
    base, used, guard, size = (word(arena + offset) for offset in (table.arena_base, table.arena_used,
                                                                   table.arena_guard, table.arena_size))
    for slot in range(used if base else 0):
        colour = slot % table.arena_colours * table.arena_colour
        yield base + (slot + 1) * (guard + size) - colour - table.arena_colour


def chain(table, address):
    """The generators that delegate to each other, the innermost first."""
    outermost = Generator(table, address)
    while outermost.delegator:
        outermost = Generator(table, outermost.delegator)
    generators = [outermost]
    while generators[0].delegate:
        generators.insert(0, Generator(table, generators[0].delegate))
    return generators
