#!/usr/bin/env python3
# SPDX-License-Identifier: BSL-1.0
"""Turns the examples of a Markdown file into doctest cases.

Usage: generate.py FILE.md [with|without HEADER] >cases.cpp

A ```cpp block with a main() is an example; the ```text block right behind it is what it prints. A ```cpp include
block holds the includes, and those of the examples are added, then what else is in that block. Other blocks
with the info string cpp are declarations shown out of context: not compiled.

with HEADER: only the examples that include it themselves; without HEADER: only the others.
"""
import os
import re
import sys

BLOCK = re.compile(r"^```(cpp include|cpp|text)\n(.*?)^```$", re.M | re.S)
INCLUDE = re.compile(r"^#include .*\n", re.M)


def examples(path, text):
    heading = lambda at: (re.findall(r"^#+ (.*)$", text[:at], re.M) or [path])[-1]
    blocks = [(m.group(1), m.group(2), m.start()) for m in BLOCK.finditer(text)]
    for (kind, code, at), following in zip(blocks, blocks[1:] + [("", "", 0)]):
        if kind == "cpp" and "int main()" in code:
            if following[0] != "text":
                sys.exit(f"{path}: an example under '{heading(at)}' does not say what it prints")
            yield heading(at), code, following[1]


def main(path, choice="", header=""):
    text = open(path, encoding="utf-8").read()
    if choice:
        chosen = lambda block: block[1] != "cpp" or (f"#include <{header}>" in block[2]) == (choice == "with")
        text = BLOCK.sub(lambda block: block[0] if chosen(block) else "", text)
    includes = dict.fromkeys(line for kind, code in BLOCK.findall(text) if kind != "text" for line in INCLUDE.findall(code))
    preamble = [INCLUDE.sub("", code).strip() for kind, code in BLOCK.findall(text) if kind == "cpp include"]
    print(f"// Generated from {os.path.basename(path)}\n{''.join(includes)}\n" + "\n".join(filter(None, preamble)))
    cases = []
    for heading, code, output in examples(path, text):
        number = len(cases) + 1
        code = re.sub(r"\n}\n\Z", "\n  return 0;\n}\n", INCLUDE.sub("", code))
        print(f"namespace example_{number} {{\nnamespace {{\n{code}}}  // namespace\n}}\n")
        cases.append(f'TEST_CASE("{os.path.basename(path)}: {heading} ({number})") {{\n'
                     f'  CHECK(printed_by(&example_{number}::main) == R"---({output.rstrip()})---");\n}}\n')
    if not cases:
        sys.exit(f"{path}: no examples found")
    print("""#include <doctest/doctest.h>
#include <iostream>
#include <sstream>
#include <string>

namespace {
std::string printed_by(int (*example)()) {
  std::ostringstream out;
  std::ios format(nullptr);
  format.copyfmt(std::cout);
  auto* const before = std::cout.rdbuf(out.rdbuf());
  example();
  std::cout.rdbuf(before);
  std::cout.copyfmt(format);  // what one example sets is not the next one's
  std::cout.copyfmt(std::ios(nullptr));  // as a program finds it
  std::string text = out.str();
  text.erase(text.find_last_not_of(" \\n") + 1);
  return text;
}
}  // namespace
""")
    print("\n".join(cases))


main(*sys.argv[1:])
