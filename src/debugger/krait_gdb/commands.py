# SPDX-License-Identifier: BSL-1.0
"""krait generators, krait bt."""

import gdb

from .backtraces import backtrace_of_left, backtrace_of_thread, selection_kept, thread_on, where
from .generators import Generator, Table, addresses, chain


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


Krait()
Generators()
Backtrace()
