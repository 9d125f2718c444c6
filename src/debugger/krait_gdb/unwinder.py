# SPDX-License-Identifier: BSL-1.0
"""Leads gdb on from a frame to one that did not call it."""

import contextlib

import gdb
import gdb.unwinder

from .generators import Table
from .machines import MACHINES, registers
from .memory import symbol, word


class FrameId:
    def __init__(self, sp, pc):
        self.sp = sp
        self.pc = pc


class Unwinder(gdb.unwinder.Unwinder):
    """Leads on from a frame to one that did not call it."""

    def __init__(self):
        super().__init__("krait")
        self.forged = None  # (sp, pc) of a frame, and the registers of its caller

    def __call__(self, frame):
        machine = MACHINES.get(frame.architecture().name())
        if machine is None:
            return None
        sp = frame.read_register(machine.sp)
        pc = frame.read_register(machine.pc)
        if self.forged is not None and self.forged[0] == (int(sp), int(pc)):
            # With an address at which its caller, wherever it is, does not seem to lie below.
            return self.unwound(frame, FrameId(gdb.Value(0).cast(sp.type), pc), self.forged[1])
        resumer = resumer_of_base(machine, int(sp), int(pc))
        return resumer and self.unwound(frame, FrameId(sp, pc), resumer)

    @staticmethod
    def unwound(frame, identity, values):
        info = frame.create_unwind_info(identity)
        for name, value in values.items():
            info.add_saved_register(name, gdb.Value(value).cast(frame.read_register(name).type))
        return info

    @contextlib.contextmanager
    def forging(self, machine, values):
        """Within, the selected thread's innermost function seems to have been called with these registers. Yields
        how many frames are to be skipped."""
        frame = gdb.newest_frame()
        skipped = 1
        while frame.type() == gdb.INLINE_FRAME:
            frame = frame.older()
            skipped += 1
        self.forged = (int(frame.read_register(machine.sp)), int(frame.read_register(machine.pc))), values
        gdb.invalidate_cached_frames()
        try:
            yield skipped
        finally:
            self.forged = None
            gdb.invalidate_cached_frames()


def resumer_of_base(machine, sp, pc):
    """The resumer's registers, if this frame is where Boost.Context begins a generator's stack; else None."""
    start = symbol("make_fcontext")
    if start is None or not 0 <= pc - start < 128:
        return None
    if sp % 64 != 0:  # the stack begins at the generator's frame; or at a task's worker, whom nobody has resumed
        return None
    try:
        table = Table()
        limit = word(word(sp + table.frame_rest) + table.rest_limit)
        if limit < sp and word(sp + table.frame_own + 8) == 0:  # else it is some other user of Boost.Context
            return registers(machine, sp + table.frame_caller, True)
    except (gdb.error, gdb.GdbError):
        pass
    return None


unwinder = Unwinder()
gdb.unwinder.register_unwinder(None, unwinder, replace=True)
