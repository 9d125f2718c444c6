# SPDX-License-Identifier: BSL-1.0
#
# krait's generators in gdb (12 or later), in a live process or a core dump:
#
#      krait generators   all generators and coroutines: number, address, state, name, where suspended, how much
#                         stack they have used, what they delegate to or await
#      krait bt N         the backtrace of one, by its number or its address
#      krait bt           the backtrace of the selected thread, through all resumers
#
# What else is given is handed to gdb's bt: `krait bt 3 -full`.
#
# A suspended generator is a few registers in its frame. To print its stack, an unwinder tells gdb that whoever called
# the innermost function of the selected thread had those registers. Nothing is changed or called in the process, so
# a core dump will do. Then bt is run, and what is not on the generator's own stack is left out: beyond its base, its
# call frame information names who resumed it last, and that one has gone on since.
#
# Of a delegation the whole chain is printed, each generator's own stack, from the innermost one, where the chain
# really is suspended, to the one that the user holds. Put together, that is the order of calls.
#
# A running generator is part of its thread's backtrace. On the native backend plain bt shows all of it: the call
# frame information at a stack's base says that the resumer called it. Boost.Context's says nothing, so an unwinder
# leads bt on. But gdb allows only signal frames a caller at lower addresses, and an unwinder in Python cannot make
# one, so there bt may stop with "previous frame inner to this frame". `krait bt` prints the rest.
#
# All is found through the symbol krait_debugger_table (src/debugger/debugger.cpp); krait need not be compiled with -g.
#
# Tested on x86-64. What is here for AArch64 (both backends) and RISC-V 64 (native) is not.

import contextlib
import functools
import re
import struct

import gdb
import gdb.unwinder


def words(address, count):
    return struct.unpack("<%dQ" % count, gdb.selected_inferior().read_memory(address, 8 * count))


def word(address):
    return words(address, 1)[0]


class Table:
    """krait_debugger_table, whose members are words."""

    MEMBERS = """version size arenas arena_base arena_used arena_guard arena_size arena_next arena_colours arena_colour
        unpooled_frames unpooled_frame_self unpooled_frame_next
        frame_caller frame_own frame_rest frame_leaf frame_root frame_stage
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
        if self.version != 2:
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
        self.resume_at = word(address + table.frame_own + 8)

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
        leaf = word(word(self.address + self.table.frame_root) + self.table.frame_leaf)
        return "suspended" if word(leaf + self.table.frame_own + 8) else "running"

    def left(self):
        """Is its stack one that has been left, to be continued? Also of one that delegates, running or not."""
        return self.started() and self.resume_at != 0

    def stack_used(self):
        """generator::stack_used(): how many bytes lie above the lowest that is not zero."""
        end = self.limit + self.size
        for place in range(self.limit, end, 4096):
            try:
                page = gdb.selected_inferior().read_memory(place, min(4096, end - place)).tobytes()
            except gdb.MemoryError:  # of a page that was never touched, a core dump may have nothing
                continue
            used = page.lstrip(b"\0")
            if used:
                return end - place - len(page) + len(used)
        return 0

    def holds(self, sp):
        return self.limit <= sp < self.address

    def registers(self, machine):
        # Where to continue is an address in code on the native backend, and one on the stack itself with Boost.Context.
        return registers(machine, self.address + self.table.frame_own, self.holds(self.resume_at))

    def __str__(self):
        return "%s%s at %#x" % (self.kind, self.name, self.address)


def addresses(table):
    """The frames of all generators."""
    arena = word(table.arenas)
    while arena:
        for top in tops(table, arena):
            try:
                frame = word(top)
            except gdb.MemoryError:  # a page that a core dump lacks
                continue
            if frame:
                yield frame
        arena = word(arena + table.arena_next)
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


# Registers

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


def registers(machine, record, fcontext):
    """What a flow of control that was left will go on with, as {register: value}."""
    if not fcontext:
        return dict(zip(machine.native, words(record, 4)))
    place = word(record + 8)
    saved, size = machine.fcontext()
    values = {name: word(place + offset) for name, offset in saved.items()}
    values[machine.sp] = place + size
    return values


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
    if sp % 64 != 0:  # the stack begins at the generator's frame
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


# Commands

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


def own_frames(generator, machine, skipped):
    for frame in frames(skipped):
        if not generator.holds(int(frame.read_register(machine.sp))):
            return
        yield frame


def backtrace_of_thread(options):
    """Prints the stack of the selected thread, further than gdb itself goes."""
    machine = machine_of(gdb.newest_frame())
    number = 0
    resumer = None
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
            number = backtrace(options, skipped, skipped + count, number)
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


def where(generator):
    """The innermost function that is not krait's own."""
    machine = machine_of(gdb.newest_frame())
    with unwinder.forging(machine, generator.registers(machine)) as skipped:
        innermost = None
        for frame in own_frames(generator, machine, skipped):
            innermost = innermost or frame
            if not is_krait(frame):
                break
        else:
            return "%#x" % (innermost.pc() if innermost else generator.resume_at)
        sal = frame.find_sal()
        if sal.symtab is None:
            return plain_name(frame) or frame.name() or "%#x" % frame.pc()
        return "%s at %s:%d" % (frame.name(), sal.symtab.filename, sal.line)


class Krait(gdb.Command):
    """Generators: krait generators, krait bt."""

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


class Backtrace(gdb.Command):
    """Prints the backtrace of a generator, and of those that delegate to it or that it delegates to.

Usage: krait bt [NUMBER | ADDRESS] [OPTION OF BT]...

NUMBER is as `krait generators` lists it. Without it: the backtrace of the selected thread, through all resumers."""

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
        table = Table()
        wanted = int(gdb.parse_and_eval(which))
        address = next((address for number, address in enumerate(addresses(table), 1)
                        if wanted == (number if wanted < self.LEAST_ADDRESS else address)), None)
        if address is None:
            raise gdb.GdbError("There is no such generator: see `krait generators`.")
        with selection_kept():
            self.print_chain(chain(table, address), options)

    @staticmethod
    def print_chain(generators, options):
        thread = None
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
            else:
                thread = thread_on(generator)
                print("%s, running in %s" % (generator, "thread %d:" % thread.num if thread else "no thread known"))
                if thread is not None:
                    backtrace_of_thread(options)


def chain(table, address):
    """The generators that delegate to each other, the innermost first."""
    outermost = Generator(table, address)
    while outermost.delegator:
        outermost = Generator(table, outermost.delegator)
    generators = [outermost]
    while generators[0].delegate:
        generators.insert(0, Generator(table, generators[0].delegate))
    return generators


Krait()
Generators()
Backtrace()
