# SPDX-License-Identifier: BSL-1.0
"""Words of the process or core dump, and where its symbols are."""

import functools
import struct

import gdb


def words(address, count):
    return struct.unpack("<%dQ" % count, gdb.selected_inferior().read_memory(address, 8 * count))


def word(address):
    return words(address, 1)[0]


def byte(address):
    return gdb.selected_inferior().read_memory(address, 1)[0][0]


@functools.lru_cache(maxsize=None)
def symbol_in(program, name):
    try:
        return int(gdb.parse_and_eval("(unsigned long)&" + name))
    except gdb.error:
        return None


def symbol(name):
    """Where it is, or None. Remembered, as unwinders ask often and gdb takes long to find that there is none."""
    return symbol_in(gdb.current_progspace(), name)


for event in (gdb.events.stop, gdb.events.exited, gdb.events.new_objfile, gdb.events.clear_objfiles):
    event.connect(lambda _: symbol_in.cache_clear())
