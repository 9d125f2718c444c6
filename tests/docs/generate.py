#!/usr/bin/env python3
# SPDX-License-Identifier: BSL-1.0
"""Turns the examples of Markdown files into doctest cases.

Usage: generate.py FILE.md... >cases.cpp

A ```cpp block with a main() is an example; the ```text block right behind it is what it prints. A ```cpp include
block holds the includes. Other blocks with the info string cpp are declarations shown out of context: not compiled.
"""
import os
import re
import sys

BLOCK = re.compile(r"^```(cpp include|cpp|text)\n(.*?)^```$", re.M | re.S)


def cases(path):
    text = open(path, encoding="utf-8").read()
    heading = lambda at: (re.findall(r"^#+ (.*)$", text[:at], re.M) or [path])[-1]
    blocks = [(m.group(1), m.group(2), m.start()) for m in BLOCK.finditer(text)]
    for (kind, code, at), following in zip(blocks, blocks[1:] + [("", "", 0)]):
        if kind == "cpp" and "int main()" in code:
            if following[0] != "text":
                sys.exit(f"{path}: an example under '{heading(at)}' does not say what it prints")
            yield heading(at), code, following[1]


def main(paths):
    print("// Generated from", ", ".join(map(os.path.basename, paths)))
    print("#include <doctest/doctest.h>\n#include <krait/krait.hpp>\n#include <iostream>\n#include <optional>")
    print("#include <sstream>\n#include <string>\n#include <vector>\n")
    print("""namespace {
std::string printed_by(int (*example)()) {
  std::ostringstream out;
  auto* const before = std::cout.rdbuf(out.rdbuf());
  example();
  std::cout.rdbuf(before);
  std::string text = out.str();
  text.erase(text.find_last_not_of(" \\n") + 1);
  return text;
}
}  // namespace
""")
    count = 0
    for path in paths:
        for heading, code, output in cases(path):
            count += 1
            code = re.sub(r"^#include .*\n", "", code, flags=re.M)
            code = re.sub(r"\n}\n\Z", "\n  return 0;\n}\n", code)
            title = f"{os.path.basename(path)}: {heading} ({count})"
            print(f"namespace example_{count} {{\nnamespace {{\n{code}}}  // namespace\n}}\n")
            print(f'TEST_CASE("{title}") {{\n  CHECK(printed_by(&example_{count}::main) == R"---({output.rstrip()})---");\n}}\n')
    if count == 0:
        sys.exit("no examples found")


main(sys.argv[1:])
