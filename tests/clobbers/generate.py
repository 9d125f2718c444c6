#!/usr/bin/env python3
# SPDX-License-Identifier: BSL-1.0
"""Writes the tests of clobbers: one function for each place of a switch and each kind of value kept across it.

A function sets more values than there are registers of a class, hides where they come from, switches to somebody
who leaves junk in all registers, and looks at the values again. So whatever the switch forgets to declare
clobbered, or to carry, shows as a value that has changed. support.hpp is the other side, machine.hpp the machine.

usage: generate.py [START]: only places whose names start so
"""

import random
import re
import sys

choose = random.Random(20)  # fixed, so the tests are always the same

# Where the switch is. "resumer" functions return how many values were wrong; "body" functions are bodies of generators
# that add to wrong_in_body; "bare" functions call nothing but the switch, on the resumer's or on a stack of their own.
PLACES = {
    "first resume": ("resumer", "", "g.next();"),
    "resume": ("resumer", "g.next();", "g.next();"),
    "loop": ("resumer", "auto at = g.begin(); static_cast<void>(*at);", "++at; static_cast<void>(*at);"),
    "resume in a handler": ("resumer", "g.next(); try { throw 1; } catch (int) {", "g.next();", "}"),
    "throw": ("resumer", "g.next(); const auto thrown = std::make_exception_ptr(1);", "g.throw_(thrown);"),
    "close": ("resumer", "g.next();", "g.close();"),
    "destroy": ("resumer", "auto gone = std::make_unique<generator>(std::move(g)); gone->next();", "gone.reset();"),
    "yield": ("body", "", "yield(1);"),
    "yield in a handler": ("body", "try { throw 1; } catch (int) {", "yield(1);", "}"),
    "yield that raises": ("thrown at", "", "try { yield(1); } catch (int) {}"),
    "first yield, nested": ("nested", "", "yield(1);"),
    "from a new generator": ("body", "generator inner(&brief_wrecker);", "yield.from(std::move(inner));"),
    "from a started generator": ("body", "generator inner = started_wrecker();", "yield.from(std::move(inner));"),
    "from a generator by reference": ("body", "generator inner = started_wrecker();", "yield.from(inner);"),
    "bare resume": ("bare resumer", "", "bare_resume(other);"),
    "bare suspend": ("bare body", "", "bare_suspend(self);"),
    "bare jump": ("bare body", "", "bare_jump(self, other);"),
    "bare jump for good": ("bare body", "bare_jump(self, other);", "bare_jump(self, other);"),
}

# Callee-saved registers, and some of the others that the switch declares clobbered.
NAMED = {
    "__x86_64__": (["rax", "rbx", "r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15"],
                   [f"xmm{n}" for n in range(16)]),
    "__aarch64__": ([f"x{n}" for n in [*range(4, 18), *range(19, 29)]], [f"v{n}" for n in range(32)]),
    "__riscv": ([f"s{n}" for n in range(1, 12)] + [f"t{n}" for n in range(7)] + [f"a{n}" for n in range(4, 8)],
                [f"f{kind}{n}" for kind, count in (("s", 12), ("t", 12), ("a", 8)) for n in range(count)]),
}


class Values:
    """Some values of one class: how to set them before the switch, and to look at them after it."""

    def __init__(self, kind, constraint, count, guard="", attributes="", prefix="v"):
        self.guard, self.attributes = guard, attributes
        self.before, self.after = [], []
        self.condition = None
        for n in range(count):
            self.add(kind, constraint, f"{prefix}{n}")

    def add(self, kind, constraint, name):
        number = choose.randrange(1, 1 << 14)
        hide = f'asm volatile("" : "+" {constraint}({name}));'
        lanes = int(m.group(1)) // (4 if kind == "vector8" else 8) if (m := re.match(r"vector(\d+)", kind)) else 0
        if lanes:
            first = f"{{{', '.join(str(number + lane) for lane in range(lanes))}}}"
            differs = " || ".join(f"{name}[{lane}] != {number + lane}" for lane in sorted({0, lanes - 1}))
        else:
            first = f"{number}.5" if "double" in kind else f"{number}"
            differs = f"{name} != {first}"
        self.before.append(f"{kind} {name} = {first}; {hide}")
        self.after.append(f"{hide} wrong += {differs};")

    def shuffled(self):
        choose.shuffle(self.before)
        choose.shuffle(self.after)
        return self


def mixed():
    made = Values("long", "GENERAL", 9)
    for kind, constraint, count, prefix in [("double", "FLOATING", 12, "d"), ("int", "GENERAL", 8, "i")]:
        more = Values(kind, constraint, count, prefix=prefix)
        made.before += more.before
        made.after += more.after
    return made.shuffled()


def named(machine):
    """Values that have just been in a certain register, and are wanted there again: the compiler's first choice."""
    made = Values("long", "GENERAL", 0, guard=f"defined({machine})")
    for kind, constraint, names in zip(("long", "double"), ("GENERAL", "FLOATING"), NAMED[machine]):
        for name in names:
            number = choose.randrange(1, 1 << 14)
            pin = (f'{{ register {kind} pinned asm("{name}") = {name}_; '
                   f'asm volatile("" : "+" {constraint}(pinned)); {name}_ = pinned; }}')
            made.before.append(f"{kind} {name}_ = {number}; {pin}")
            made.after.append(f"{pin} wrong += {name}_ != {number};")
    return made.shuffled()


def red_zone():
    """An array whose address does not escape. The index is hidden, so it is in memory: below the stack pointer, in a
    function that calls nothing."""
    made = Values("long", "GENERAL", 0)
    made.before.append('long first = 0; asm volatile("" : "+" GENERAL(first)); long array[14];'
                       "for (long n = 0; n < 14; ++n) { array[first + n] = 100 + n; }")
    made.after.append('asm volatile("" : "+" GENERAL(first));'
                      "for (long n = 0; n < 14; ++n) { wrong += array[first + n] != 100 + n; }")
    return made


def realigned():
    """A frame that is both realigned and of variable size, so that it is addressed by a base pointer."""
    made = Values("long", "GENERAL", 12)
    made.before.insert(0, """
      alignas(64) long aligned[8];
      unsigned long size = 200; asm volatile("" : "+" GENERAL(size));
      long* const variable = static_cast<long*>(__builtin_alloca_with_align(size * sizeof(long), 64 * 8));
      for (long n = 0; n < 200; ++n) { variable[n] = n; aligned[n % 8] = n; }
      long* escaped[2] = {aligned, variable}; asm volatile("" : : "r"(escaped) : "memory");""")
    made.after.append("""
      wrong += reinterpret_cast<std::uintptr_t>(aligned) % 64 != 0;
      for (long n = 0; n < 200; ++n) { wrong += variable[n] != n; }
      for (long n = 0; n < 8; ++n) { wrong += aligned[n] != 192 + n; }""")
    return made


def memory():
    """What each side writes, the other sees."""
    made = Values("long", "GENERAL", 0)
    made.before.append("shared_number = 1000;")
    made.after.append("wrong += shared_number <= 1000 || shared_number >= 1100;")
    return made


def wide(*arguments):
    made = Values(*arguments, guard="defined(WIDE)", attributes="WIDE_TARGET ")
    made.condition = "wide_here"
    return made


def mmx():
    made = Values("vector8", "MMX", 10, guard="defined(MMX)")
    made.after.append('asm volatile("emms");')
    return made


KINDS = {
    "general": lambda: Values("long", "GENERAL", 32).shuffled(),
    "floating": lambda: Values("double", "FLOATING", 36, guard="defined(FLOATING)").shuffled(),
    "vectors": lambda: Values("vector16", "VECTOR", 18, guard="defined(VECTOR)"),
    "wide vectors": lambda: wide("vector32", "WIDE", 18),
    "wider vectors": lambda: Values("vector64", "WIDER", 36, guard="defined(WIDER)"),
    "masks": lambda: Values("unsigned short", "MASK", 10, guard="defined(MASK)"),
    "x87": lambda: Values("long double", "X87", 10, guard="defined(X87)").shuffled(),
    "mmx": mmx,
    "named registers, x86-64": lambda: named("__x86_64__"),
    "named registers, aarch64": lambda: named("__aarch64__"),
    "named registers, riscv64": lambda: named("__riscv"),
    "mixed": mixed,
    "mixed otherwise": mixed,
    "red zone": red_zone,
    "realigned frame": realigned,
    "memory": memory,
}

TEMPLATES = {
    "resumer": """
{attributes}[[gnu::noinline]] long {name}() {{
  long wrong = 0;
  generator g(&wrecker);
  {first}
  {before}
  {switch}
  {after}
  {last}
  return wrong;
}}
""",
    "body": """
{attributes}void {name}_body(yielder& yield) {{
  long wrong = 0;
  {first}
  {before}
  {switch}
  {after}
  {last}
  wrong_in_body += wrong;
}}
long {name}() {{ return drive(&{name}_body{throwing}); }}
""",
    "nested": """
{attributes}[[gnu::noinline]] void {name}_nested(yielder& yield) {{
  long wrong = 0;
  {before}
  {switch}
  {after}
  wrong_in_body += wrong;
}}
{attributes}void {name}_body(yielder& yield) {{
  long wrong = 0;
  {before}
  {name}_nested(yield);
  {after}
  wrong_in_body += wrong;
}}
long {name}() {{ return drive(&{name}_body); }}
""",
    "bare resumer": """
{attributes}[[gnu::noinline]] long {name}_alone(layer::context& other) {{
  long wrong = 0;
  {before}
  {switch}
  {after}
  return wrong;
}}
long {name}() {{
  flow other(&suspending_flow);
  const long first = {name}_alone(other);
  return first + {name}_alone(other);
}}
""",
    "bare body": """
{attributes}[[gnu::noinline]] long {name}_alone(flow& self, [[maybe_unused]] flow& other) {{
  long wrong = 0;
  {first}
  {before}
  {switch}
  {after}
  return wrong;
}}
long {name}() {{ return on_own_stack(&{name}_alone); }}
""",
}


def main():
    print("// Written by generate.py.\n#include <memory>\n\n#include \"support.hpp\"\n#include \"tests.hpp\"\n\n"
          "namespace clobbers {\nnamespace {")
    table = []
    wanted = sys.argv[1] if len(sys.argv) > 1 else ""
    for place, (template, first, switch, *last) in PLACES.items():
        if not place.startswith(wanted):
            continue
        for kind, make in KINDS.items():
            if kind == "red zone" and "bare" not in template:
                continue  # of a function that calls something, there is none
            values = make()
            name = re.sub(r"\W+", "_", f"{place} {kind}")
            parts = {
                "name": name, "attributes": values.attributes, "first": first, "switch": switch,
                "last": "".join(last), "before": "\n  ".join(values.before), "after": "\n  ".join(values.after),
                "throwing": ", true" if template == "thrown at" else "",
            }
            entry = f'    {{"{kind}: {place}", &{name}, {"&" + values.condition if values.condition else "nullptr"}}},\n'
            text = TEMPLATES["body" if template == "thrown at" else template].format(**parts)
            guarded = (lambda code: f"#if {values.guard}\n{code}#endif\n") if values.guard else lambda code: code
            print(guarded(text))
            table.append(guarded(entry))
    print(f"const test list[] = {{\n{''.join(table)}}};\n\n}}  // namespace\n\n"
          "const std::span<const test> tests = list;\n\n}  // namespace clobbers")


main()
