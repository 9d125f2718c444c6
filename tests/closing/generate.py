#!/usr/bin/env python3
# SPDX-License-Identifier: BSL-1.0
"""Bodies of generators to be closed, each a `yield` within nested scopes, for main.cpp. All single scopes and, by
chance, COUNT nests of two to four; and PLACES to close one in. Usage: generate.py [SEED [COUNT [PLACES]]]"""

import random
import sys

# What a scope does to an exception that reaches it:
#   passes   nothing: nobody sees it
#   may      a compiler may find that out, or not
#   seen     something is run, or could be
#   ends     std::terminate() is called
#   new      what is inside is another generator's body, and the delegation to that sees the exception
SCOPES = {
    "block": ("passes", "{ @ }"),
    "call": ("passes", "out_of_line([&] { @ barrier(); });"),
    "recursion": ("passes", "recurse(5, [&] { @ barrier(); });"),
    "callback": ("passes", "auto inner = [&] { @ barrier(); }; call_back(run<decltype(inner)>, &inner);"),
    "virtual_call": ("passes", "auto inner = [&] { @ barrier(); }; caller_of<decltype(inner)> object(inner);"
                     " caller::call_virtually(object);"),
    "array": ("passes", "auto* const array = static_cast<volatile char*>(__builtin_alloca(some_size())); array[0] = 1;"
              " @ array[0] = 2;"),
    "aligned": ("passes", "alignas(128) volatile char array[256]; array[0] = 1; @ array[0] = 2;"),
    "aligned_array": ("passes", "alignas(64) volatile char a[64]; a[0] = 1; auto* const b ="
                      " static_cast<volatile char*>(__builtin_alloca(some_size())); b[0] = a[0]; @ b[0] = a[0];"),
    "large": ("passes", "volatile char array[5000]; array[0] = 1; array[4999] = 2; @ array[0] = 2;"),
    "arguments": ("passes", "many_arguments(1, 2, 3, 4, 5, 6, 7, 8, 9, 10, [&] { @ barrier(); });"),
    "destroyed_before": ("passes", "{ noisy object(\"before\"); barrier(); } @"),
    "destroyed_after": ("passes", "@ noisy object(\"after\"); barrier();"),
    "loop": ("passes", "for (int i = 0; i < 3; ++i) { @ barrier(); }"),
    "handler_of_int": ("may", "try { @ barrier(); } catch (int) { note(\"int\"); }"),
    "handler_of_std": ("may", "try { @ barrier(); } catch (const std::exception&) { note(\"std\"); }"),
    "function": ("may", "std::function<void()> f = [&] { @ barrier(); }; f();"),
    "null_pointer": ("may", "std::unique_ptr<noisy> object; if (some_size() == 0) { object.reset(new noisy(\"p\")); } @"),
    "temporary": ("may", "take(std::string(some_size(), 'x'), [&] { @ });"),
    "object": ("seen", "noisy object(\"object\"); @ barrier();"),
    "optional": ("seen", "std::optional<noisy> object; if (some_size() != 0) { object.emplace(\"optional\"); } @"),
    "handler_of_all": ("seen", "try { @ barrier(); } catch (...) { note(\"all\"); throw; }"),
    "handler_of_exit": ("seen", "try { @ barrier(); } catch (const krait::generator_exit&) { note(\"exit\"); throw; }"),
    "handler_by_value": ("seen", "try { @ barrier(); } catch (krait::generator_exit) { note(\"value\"); throw; }"),
    "swallowed": ("seen", "try { @ barrier(); } catch (...) { note(\"swallowed\"); return; }"),
    "two_handlers": ("seen", "try { @ barrier(); } catch (int) { note(\"int\"); } catch (...) { note(\"b\"); throw; }"),
    "in_handler": ("seen", "try { throw 1; } catch (int) { @ barrier(); }"),
    "in_handler_of_object": ("seen", "try { throw noisy(\"thrown\"); } catch (noisy&) { @ barrier(); }"),
    "cleanup": ("seen", "[[gnu::cleanup(clean_up)]] int cleaned = 0; @ cleaned = 1;"),
    "with": ("seen", "krait::with(noting_manager(), [&] { @ barrier(); });"),
    "nothrow_call": ("ends", "out_of_line_nothrow([&] { @ barrier(); });"),
    "nothrow_block": ("ends", "[&]() noexcept { @ barrier(); }();"),
    "in_destructor": ("ends", "auto inner = [&] { @ barrier(); }; { runs_when_destroyed object(inner); }"),
    "given": ("new", "yield.from(krait::generator<long>([](auto& yield) { @ barrier(); }));"),
    "given_function": ("new", "yield.from(krait::generator<long>([](krait::yielder<long>& yield) -> void { @ }));"),
    "lent": ("new", "krait::generator<long> lent([](auto& yield) { @ barrier(); }); yield.from(lent);"),
    "iterated": ("new", "krait::generator<long> inner([](auto& yield) { @ barrier(); });"
                 " for (const long item : inner) { yield(item); }"),
}
ENDS = {None: "ending::perhaps", False: "ending::never", True: "ending::terminates"}

YIELDS = {
    "once": ("passes", "yield(7);"),
    "for_ever": ("passes", "for (long i = 0;; ++i) { yield(i); }"),
    "helper": ("passes", "yield_for_ever(yield);"),
    "range": ("seen", "static const std::array<long, 9> items{}; yield.from(items);"),
    "text": ("may", "for (;;) { yield(static_cast<long>(std::string(some_size(), 'x').size())); }"),
}

PLACES_IN_FUNCTION = 20


def effects(names, last):
    """Least and most exceptions that are raised, and whether std::terminate() is called (None: perhaps): from the inside
    out."""
    if "swallowed" in names:
        return 0, len(names) + 1, None
    least = most = 0
    level = YIELDS[last][0]
    for name in reversed(names):
        effect = SCOPES[name][0]
        if effect == "ends":
            return 1, len(names) + 1, True
        if effect == "new":
            least, most = least + (level == "seen"), most + (level != "passes")
            level = "seen"
        elif effect != "passes" and level != "seen":
            level = effect
    return least + (level == "seen"), most + (level != "passes"), False


def body(names, last):
    text = YIELDS[last][1]
    for name in reversed(names):
        text = "{ " + SCOPES[name][1].replace("@", text) + " }"
    return text


def main():
    seed = int(sys.argv[1]) if len(sys.argv) > 1 else 14
    count = int(sys.argv[2]) if len(sys.argv) > 2 else 150
    places = int(sys.argv[3]) if len(sys.argv) > 3 else 1500  # more than krait remembers
    chance = random.Random(seed)
    nests = [((name,), "for_ever") for name in SCOPES] + [((), last) for last in YIELDS]
    for _ in range(count):
        names = tuple(chance.choice(list(SCOPES)) for _ in range(chance.choice((2, 2, 3, 4))))
        nests.append((names, chance.choice(list(YIELDS))))
    print('#include "bodies.hpp"\n\nnamespace {')
    print("using namespace closing;")
    rows = []
    for number, (names, last) in enumerate(nests):
        least, most, ends = effects(names, last)
        code = body(names, last)
        title = "_in_".join(reversed((*names, last)))
        # Few as lambdas, which compilers merge with what krait has at the end of a stack; a function takes less to compile.
        if len(names) < 2:
            made = f"[] {{ return krait::generator<long>([](auto& yield) {{ {code} }}); }}"
        else:
            print(f"void body_{number}(krait::yielder<long>& yield) {code}")
            made = f"[] {{ return krait::generator<long>(&body_{number}); }}"
        rows.append(f'    {{"{title}", {made}, {least}, {most}, {ENDS[ends]}}},')
    print("}  // namespace\n\nconst std::vector<closing::test> closing::tests = {")
    print("\n".join(rows))
    print("};")
    print(f"const unsigned long closing::seed = {seed};\n")
    # Not all in one function: its frame would be large, and take long to compile.
    functions = range(places // PLACES_IN_FUNCTION)
    for function in functions:
        print(f"[[gnu::noinline]] static void places_{function}(krait::yielder<long>& yield) {{")
        for _ in range(PLACES_IN_FUNCTION // 2):
            print("  yield(1); { counter object; yield(2); object.went_on = true; }")
        print("}")
    print("void closing::yield_in_places(krait::yielder<long>& yield) {")
    for function in functions:
        print(f"  places_{function}(yield);")
    print(f"}}\nconst int closing::places = {PLACES_IN_FUNCTION * len(functions)};")


main()
