# SPDX-License-Identifier: BSL-1.0
"""Can the comparison fail? Breaks krait in small ways, one at a time, and expects each to be noticed."""

import concurrent.futures
import platform
import shutil
import subprocess
import sys

from backends import SOURCE

OWNER = "include/krait/detail/frame/owner.hpp"
DELEGATION = "include/krait/detail/delegation.hpp"
OPERATION = "include/krait/async_operation.hpp"
ASYNC_STATE = "include/krait/detail/async_state.hpp"
ASYNC_CONTEXTLIB = "include/krait/contextlib/asynccontextmanager.hpp"
CONTEXTLIB = "include/krait/contextlib/contextmanager.hpp"

# Name, file, what is replaced (its only occurrence), and by what.
MUTANTS = [
    ("close() swallows RuntimeError", OWNER,
     "    std::rethrow_exception(ignored_exit(self));", "    return close_type();"),
    ("throw_() does not reach the delegate", OWNER,
     "  if (self.given_delegate() != nullptr && is_generator_exit(exception)) {",
     "  if (self.given_delegate() != nullptr) {"),
    ("throw_() does not reach a shared delegate", DELEGATION,
     "came = inner.raise(std::move(thrown));", "std::rethrow_exception(std::move(thrown));"),
    ("PEP 479 is off", OWNER,
     "self.rest().exception = stop_iteration_escaped(self);", "self.rest().exception = std::current_exception();"),
    ("close() loses its value", OWNER,
     "return returned ? close_type(copy_or_take(result_of(self))) : std::nullopt;",
     "return returned ? std::nullopt : close_type();"),
    ("what a destructor cannot raise is not reported", OWNER,
     "      if (self.stage == stage::raised) {\n", "      if (false) {\n"),
    ("exceptions are not isolated", "include/krait/detail/switch/exception_state.hpp",
     "return !current_exception_state()->empty();", "return current_exception_state() == nullptr;"),
    ("generator_exit passes by a delegate", DELEGATION,
     "      static_cast<void>(owned.close());\n", ""),
    ("a shared delegate is not closed", DELEGATION,
     "      static_cast<void>(inner.close());\n", ""),
    ("yielding_from() is wrong for generators by reference", DELEGATION,
     "  const delegation_scope scope(self, inner.place());\n", ""),
    ("a generator that has not started takes any value", OWNER,
     "self.stage == stage::created && !is_none(value)", "false"),
    ("throw_() before the start does not close", OWNER,
     "      discard(self);\n      take_end(self);\n      std::rethrow_exception",
     "      std::rethrow_exception"),
    ("a value returned is delivered twice", OWNER,
     "  const bool fresh = self.end_untold && !self.orphaned;\n  take_end(self);\n",
     "  const bool fresh = result_of(self).has_value();\n  take_end(self);\n"),
    ("a coroutine that has ended can be resumed", "include/krait/detail/frame/errors.hpp",
     "  if (self.rest().kind == kind::coroutine) {", "  if (false) {"),
    ("a suspended coroutine can be awaited", "include/krait/detail/frame/errors.hpp",
     "      throw_being_awaited();\n", "      break;\n"),
    ("nobody is warned of a coroutine", OWNER,
     "      if constexpr (which == kind::coroutine) {", "      if constexpr (false) {"),
    ("nobody is warned of an operation", OPERATION,
     "shared_ != nullptr && use_ == use::none", "false"),
    ("operations go side by side", OPERATION, "    if (shared_->running) {", "    if (false) {"),
    ("aclose() takes a yield for an answer", OPERATION,
     "    if (is_aclose) {\n      std::rethrow_exception(detail::ignored_exit(self.frame()));", "    if (false) {"),
    ("asend() loses its value", OPERATION,
     "self.exchange.sent = none ? detail::word() : detail::word::of(*input_);", "self.exchange.sent = detail::word();"),
    ("close() of an operation only marks it", OPERATION,
     "      reached = raise(std::make_exception_ptr(generator_exit()));", "      use_ = use::over;"),
    ("the finalizer is given what has ended", ASYNC_STATE,
     "|| self->ended || state == generator_state::closed ||", "||"),
    ("StopAsyncIteration leaves a body", ASYNC_STATE,
     "      throw_stop_async_iteration_escaped();", "      throw;"),
    ("an asynccontextmanager swallows nothing", ASYNC_CONTEXTLIB,
     "                   ? detail::swallowed<Exit>(exception)", "                   ? Exit()"),
    ("the value of an operation's end is lost", OPERATION,
     "      return detail::value_of_stop<return_type>(stop);", "      return detail::none_or_throw<return_type>();"),
    ("the value of an iterator's end is lost if it has another type", DELEGATION,
     "        if (auto value = stop_value::take<result_type>(stop)) {\n",
     "        if (auto* same = dynamic_cast<stop_iteration<result_type>*>(&stop);\n"
     "            auto value = same == nullptr ? std::nullopt : stop_value::take<result_type>(stop)) {\n"),
    ("a contextmanager may yield twice", CONTEXTLIB,
     "        close_and_throw(\"generator didn't stop\");", "        generator_.close();"),
]

FLAGS = ["-std=c++20", "-O1", "-fstack-clash-protection"]


def mutate(library, directory, file, old, new):
    """A copy of krait, with a change. Fails if the change does not fit."""
    for part in ("include", "src", "asm"):
        shutil.copytree(library / part, directory / part, dirs_exist_ok=True)
    if file is not None:
        text = (directory / file).read_text()
        if text.count(old) != 1:
            raise SystemExit(f"oracle: a mutant no longer applies to {file}: {old.strip()!r}")
        (directory / file).write_text(text.replace(old, new))


def compile(backend, directory, arguments):
    """Runs the compiler, with the headers of the krait in `directory`."""
    flags = FLAGS + ["-I", str(directory / "include"), "-I", str(directory / "src")] + (["-DKRAIT_NATIVE"] if backend == "native" else [])
    subprocess.run(["g++", *flags, *map(str, arguments)], check=True)


def build(backend, directory, objects):
    """The program of the tests, against the krait in `directory`. `objects`: what does not depend on that."""
    sources = [SOURCE / "interpreter.cpp"] + sorted((directory / "src").rglob("*.cpp"))
    last = [directory / "asm" / "x86_64_sysv.S"] if backend == "native" else ["-lboost_context"]
    program = directory / "program"
    compile(backend, directory, [*sources, *objects, *last, "-o", program])
    return program


def check(options, search):
    backends = ("native", "fcontext") if options.backend == "both" else (options.backend,)
    if platform.machine() != "x86_64":
        backends = ("fcontext",)
    return max([check_backend(backend, options, search) for backend in backends])


def check_backend(backend, options, search):
    library = options.library
    directories = [options.build_dir / "mutants" / backend / str(i) for i in range(len(MUTANTS) + 1)]
    print(f"{backend}: building {len(MUTANTS)} mutants and krait as it is", file=sys.stderr)
    for directory, change in zip(directories, [(None, None, None)] + [m[1:] for m in MUTANTS]):
        mutate(library, directory, *change)
    objects = [directories[0] / f"{name}.o" for name in ("main", "exceptions", "program")]
    for made in objects:
        compile(backend, directories[0], ["-c", SOURCE / f"{made.stem}.cpp", "-o", made])
    with concurrent.futures.ThreadPoolExecutor(options.lanes) as pool:
        programs = list(pool.map(lambda directory: build(backend, directory, objects), directories))

    survivors = 0
    for i, program in enumerate(programs):
        options.programs = {backend: program}
        different = search(options, first_only=True)[0]
        if i == 0:
            if different:
                print("krait itself differs from the oracle: first of all, ./dev oracle")
                return 1
            continue
        name = MUTANTS[i - 1][0]
        print(f"{'caught' if different else 'SURVIVED'}: {name}", flush=True)
        survivors += not different
    print(f"{backend}: {len(MUTANTS) - survivors} of {len(MUTANTS)} mutants caught within {options.count} programs of seed {options.seeds[0]}")
    return 1 if survivors else 0
