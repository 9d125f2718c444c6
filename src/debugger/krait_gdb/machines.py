# SPDX-License-Identifier: BSL-1.0
"""What a flow of control that was left will go on with, on each machine."""

import re

import gdb

from .memory import symbol, word, words


class Machine:
    """What gdb calls the registers that krait keeps: in the native backend's records, in their order; and where
    Boost.Context puts those that it saves, as {name: offset}, with the size of it all."""

    def __init__(self, native, fcontext):
        self.native = native
        self.frame_pointer, self.pc, self.sp, self.base = native
        self.fcontext = fcontext


def fcontext_x86_64():
    """Which register is saved where differs between versions, so it is read from jump_fcontext itself."""
    function = symbol("jump_fcontext")
    if function is None:
        raise gdb.GdbError("Boost.Context's jump_fcontext has no symbol here.")
    code = gdb.selected_inferior().read_memory(function, 96).tobytes()
    names = ["rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi"] + ["r%d" % i for i in range(8, 16)]
    # lea -SIZE(%rsp),%rsp; below the address to return to
    size = -int.from_bytes(re.search(rb"\x48\x8d\x64\x24(.)", code, re.DOTALL).group(1), "little", signed=True)
    saved = {"rip": size}
    # mov %REGISTER,OFFSET(%rsp)
    for prefix, what, offset in re.findall(rb"([\x48\x4c])\x89([\x44-\x7c])\x24(.)", code[:code.index(b"\x48\x89\xe0")],
                                           re.DOTALL):
        saved[names[(what[0] >> 3 & 7) + (8 if prefix == b"\x4c" else 0)]] = offset[0]
    return saved, size + 8


def fcontext_aarch64():
    saved = {"x%d" % i: 0x40 + 8 * (i - 19) for i in range(19, 31)}
    saved["pc"] = 0xa0
    return saved, 0xb0


def fcontext_unknown():
    raise gdb.GdbError("What Boost.Context saves on this machine is not known here.")


MACHINES = {
    "i386:x86-64": Machine(("rbp", "rip", "rsp", "rbx"), fcontext_x86_64),
    "aarch64": Machine(("x29", "pc", "sp", "x19"), fcontext_aarch64),
    "riscv:rv64": Machine(("fp", "pc", "sp", "s1"), fcontext_unknown),
}


def machine_of(frame):
    try:
        return MACHINES[frame.architecture().name()]
    except KeyError:
        raise gdb.GdbError("krait's switch is not known on " + frame.architecture().name() + ".") from None


def registers(machine, record, fcontext):
    """What a flow of control that was left will go on with, as {register: value}."""
    if not fcontext:
        return dict(zip(machine.native, words(record, 4)))
    place = word(record + 8)
    saved, size = machine.fcontext()
    values = {name: word(place + offset) for name, offset in saved.items()}
    values[machine.sp] = place + size
    return values
