# SPDX-License-Identifier: BSL-1.0
#
# krait's generators and tasks in gdb (12 or later), in a live process or a core dump:
#
#      krait generators   all generators and coroutines: number, address, state, name, where suspended, how much
#                         stack they have used, what they delegate to or await
#      krait tasks        all tasks of event loops: number, address, state, name, where, how much stack they have
#                         used, which task or future they await
#      krait bt N         the backtrace of one, by its number (of a task: T1, T2, ...) or its address
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
# A task was left as a generator is, but may be in the midst of generators; its backtrace goes through these, to the
# base of the task's own stack. Those generators are running, and part of no thread's backtrace: theirs is the task's.
#
# All is found through the symbols krait_debugger_table (src/debugger/debugger.cpp) and krait_native_tasks_table or
# krait_fcontext_tasks_table (src/asyncio/debugger.cpp); krait need not be compiled with -g.
#
# Tested on x86-64. What is here for AArch64 (both backends) and RISC-V 64 (native) is not.

import os
import sys

# Of several kraits in one gdb the last one counts.
for name in [each for each in sys.modules if each.split(".")[0] == "krait_gdb"]:
    del sys.modules[name]
sys.path.insert(0, os.path.dirname(os.path.realpath(__file__)))
bytecode, sys.dont_write_bytecode = sys.dont_write_bytecode, True
try:
    import krait_gdb.commands
finally:
    sys.dont_write_bytecode = bytecode
    sys.path.pop(0)
