# SPDX-License-Identifier: BSL-1.0
"""Programs as they would be written by hand, to be run without the tools of this directory."""

import json
import re

from transpiler import transpile

NOT_BY_HAND = "anext|asend|athrow|aclose|wrap|pause|with|manage|closing|StopAsyncIteration"

PYTHON = """\
# Run from the top of the repository.
import sys
sys.path.insert(0, "tests/differential")
import harness
print(harness.run('''
{}''', {}, {}, {}))
"""

CPP = """\
#include <krait/krait.hpp>

#include <cstdio>
#include <memory>
#include <string>
#include <vector>

using value = std::optional<std::string>;
using generator = krait::generator<value, value, value>;
template <class Base>
struct named : Base {{
  named(std::string t) : text(t) {{}}
  const char* what() const noexcept override {{ return text.c_str(); }}
  std::string text;
}};
struct A : named<std::exception> {{ using named::named; }};
struct B : A {{ using A::A; }};
struct C {{ C(std::string t) : text(t) {{}} std::string text; }};
struct GX : named<krait::generator_exit> {{ using named::named; }};
struct SX : krait::stop_iteration<value> {{ using stop_iteration::stop_iteration; }};
template <class E>
struct caused : E, std::nested_exception {{ caused(E e) : E(e) {{}} }};
template <class E, class F>
std::exception_ptr from(E e, F cause) {{ try {{ throw cause; }} catch (...) {{ return std::make_exception_ptr(caused<E>(e)); }} }}

std::vector<std::shared_ptr<generator>> slots({slots});
void trace(std::string text) {{ std::puts(text.c_str()); }}
value traced(const char* what, value v) {{ return trace(std::string(what) + " = " + v.value_or("None")), v; }}
template <class F>
value with(int i, F use) {{ auto held = slots[i]; return held ? use(*held) : value(); }}
template <class F>
void attempt(const char* what, F operation) {{
  try {{
    operation();
  }} catch (...) {{
    trace(std::string(what) + " ! " + krait::describe(std::current_exception()));
  }}
}}
template <bool sends, bool throws, bool closes>
struct foreign {{
  using return_type = value;
  std::vector<std::function<value(value, std::exception_ptr)>> on_next, on_send, on_throw, on_close;
  static value act(auto& script, value v, std::exception_ptr e) {{
    if (script.empty()) {{
      if (e) std::rethrow_exception(e);
      throw krait::stop_iteration<value>();
    }}
    auto step = script.front();
    script.erase(script.begin());
    return step(v, e);
  }}
  value next() {{ return act(on_next, {{}}, nullptr); }}
  value send(value v) requires sends {{ return act(on_send, v, nullptr); }}
  value throw_(std::exception_ptr e) requires throws {{ return act(on_throw, {{}}, e); }}
  void close() requires closes {{ if (!on_close.empty()) act(on_close, {{}}, nullptr); }}
}};
struct token {{ std::function<void()> leave; ~token() {{ leave(); }} }};
{declarations}
{bodies}
int main() {{
{driver}  slots.clear();
}}
"""

TYPES = {"GeneratorExit": "krait::generator_exit", "StopIteration": "krait::stop_iteration<value>",
         "RuntimeError": "krait::runtime_error", "ValueError": "krait::value_error", "TypeError": "krait::type_error",
         "AttributeError": "krait::attribute_error", "Exception": "std::exception"}


def value(v):
    return "value()" if v is None else f'value("{v}")'


def exception(spec):
    name, *label = spec
    made = TYPES.get(name, name)
    if name == "GeneratorExit":
        return made + "()"
    if name in ("StopIteration", "SX"):
        return f"{made}({value(label[0])})" if label else made + "()"
    return f'{made}("{label[0] if label else ""}")'


def operation(op):
    """An expression of type value."""
    kind, slot, *rest = op
    if kind == "new":
        return f"(slots[{slot}] = std::make_shared<generator>(d{rest[0]}()), value())"
    if kind == "drop":
        return f"(std::exchange(slots[{slot}], nullptr), value())"
    if kind == "state":
        return f'traced("state {slot}", slots[{slot}] ? std::to_string(int(slots[{slot}]->state())) : "none")'
    if kind == "for":
        body = (f'int n = {rest[0]}; for (const value& v : g) {{ traced("for {slot}", v); if (--n == 0) break; }} '
                "return value();")
    elif kind == "throw":
        thrown = f"from({exception(rest[0])}, {exception(rest[1])})" if len(rest) > 1 else exception(rest[0])
        body = f'return traced("throw {slot}", g.throw_({thrown}));'
    else:
        call = {"next": "g.next()", "close": "g.close().value_or(value())"}.get(kind) or f"g.send({value(rest[0])})"
        body = f'return traced("{kind} {slot}", {call});'
    return f"with({slot}, [&](generator& g) {{ {body} }})"


def action(step):
    kind, *rest = step
    does = {"item": lambda: f"return {value(rest[0])};",
            "stop": lambda: f"throw krait::stop_iteration<value>({value(rest[0])});",
            "raise": lambda: f"throw {exception(rest[0])};",
            "echo": lambda: "return v;",
            "rethrow": lambda: "if (e) std::rethrow_exception(e); return v;",
            "call": lambda: f"return {operation(rest[0])};"}[kind]()
    return f"[&]([[maybe_unused]] value v, [[maybe_unused]] std::exception_ptr e) -> value {{ {does} }}"


class Body:
    """Writes a body. A `finally` is entered by a goto, with a note of where to go on behind it."""

    def __init__(self):
        self.lines = []
        self.labels = 0

    def line(self, depth, text):
        self.lines.append("  " * depth + text)

    def block(self, statements, depth, leave):
        """`leave` says how return, break and continue are written here."""
        for s in statements:
            self.statement(s, depth, leave)

    def statement(self, s, depth, leave):
        kind = s[0]
        simple = {"trace": lambda: f'trace("{s[1]}");', "received": lambda: 'traced("r", r);',
                  "caught": lambda: "trace(krait::describe(std::current_exception()));",
                  "yield": lambda: f"r = yield({value(s[1])});", "yield_received": lambda: "r = yield(r);",
                  "own": lambda: f"r = yield.from(d{s[1]}());",
                  "share": lambda: f"r = with({s[1]}, [&](generator& g) {{ return yield.from(g); }});",
                  "list": lambda: f"yield.from(std::vector<value>{{{', '.join(map(value, s[1]))}}}), r = value();",
                  "raise": lambda: (f"std::rethrow_exception(from({exception(s[1])}, {exception(s[2])}));"
                                    if len(s) > 2 else f"throw {exception(s[1])};"),
                  "raise_from": lambda: f"throw caused({exception(s[1])});", "reraise": lambda: "throw;",
                  "return": lambda: f"result = {value(s[1])}; {leave['return']}",
                  "return_received": lambda: f"result = r; {leave['return']}",
                  "break": lambda: leave["break"], "continue": lambda: leave["continue"],
                  "call": lambda: f"r = {operation(s[1])};"}
        if kind in simple:
            self.line(depth, simple[kind]())
        elif kind == "foreign":
            methods = [f".on_{m} = {{{', '.join(map(action, s[1][m]))}}}" for m in ("next", "send", "throw", "close") if m in s[1]]
            flags = ", ".join(str(m in s[1]).lower() for m in ("send", "throw", "close"))
            self.line(depth, f"r = yield.from(foreign<{flags}>{{{', '.join(methods)}}});")
        elif kind == "loop":
            self.line(depth, f"for (int i = 0; i < {s[1]}; ++i) {{")
            self.block(s[2], depth + 1, {**leave, "break": "break;", "continue": "continue;"})
            self.line(depth, "}")
        elif kind == "scope":
            what = f' attempt("~{s[1]}", [&] {{ {operation(s[3])}; }});' if len(s) > 3 else ""
            self.line(depth, f'{{ token guard{{[&] {{ trace("~{s[1]}");{what} }}}};')
            self.block(s[2], depth + 1, leave)
            self.line(depth, "}")
        elif s[4] is not None:
            self.with_finally(s, depth, leave)
        else:
            self.with_handlers(s, depth, leave)

    def with_finally(self, s, depth, leave):
        self.labels += 1
        label, left = f"finally_{self.labels}", f"left_{self.labels}"
        ways = {way: f"{{ {left} = {i}; goto {label}; }}" for i, way in enumerate(leave, 1)}
        self.line(depth, f"{{ int {left} = 0; try {{")
        self.with_handlers(s, depth + 1, ways)
        self.line(depth, "} catch (...) {")
        self.block(s[4], depth + 1, leave)
        self.line(depth + 1, "throw;")
        self.line(depth, f"}} {label}: value kept = result;")
        self.block(s[4], depth, leave)
        self.line(depth, "result = kept;")
        for i, way in enumerate(leave, 1):
            self.line(depth, f"if ({left} == {i}) {leave[way]}")
        self.line(depth, "}")

    def with_handlers(self, s, depth, leave):
        _, tried, handlers, otherwise, _ = s
        if not handlers:
            self.block(tried, depth, leave)
            return
        self.labels += 1
        done = f"handled_{self.labels}"
        self.line(depth, "try {")
        self.block(tried, depth + 1, leave)
        for name, handler in handlers:
            everything = name == "BaseException"
            self.line(depth, "} catch (%s) {" % ("..." if everything else f"const {TYPES.get(name, name)}&"))
            self.block(handler, depth + 1, leave)
            if otherwise:
                self.line(depth + 1, f"goto {done};")
            if everything:
                break
        self.line(depth, "}")
        if otherwise:
            self.block(otherwise, depth, leave)
            self.line(depth, f"{done}:;")


def python(program):
    return PYTHON.format(*transpile(program))


def replay(program):
    """Of what has no form by hand here: the program as the tests' own read it."""
    line = json.dumps(program, separators=(",", ":")).replace("'", "'\\''")
    return f"// printf '1\\n%s\\n' '{line}' | krait_differential_native\n"


def cpp(program):
    if set(program.get("kinds", ["generator"])) != {"generator"} or re.search(f'"({NOT_BY_HAND})"', json.dumps(program)):
        return replay(program)
    bodies = ""
    for i, statements in enumerate(program["defs"]):
        body = Body()
        body.block(statements, 2, {"return": "return result;"})
        bodies += (f"generator d{i}() {{\n  return [](auto& yield) -> value {{\n    value r, result;\n"
                   "    static_cast<void>(yield);\n" + "".join(line + "\n" for line in body.lines)
                   + "    return value();\n  };\n}\n")
    driver = "".join(f"  attempt(\"{' '.join(map(str, op[:2]))}\", [&] {{ {operation(op)}; }});\n" for op in program["driver"])
    return CPP.format(slots=program["slots"], bodies=bodies, driver=driver,
                      declarations="\n".join(f"generator d{i}();" for i in range(len(program["defs"]))))
