# SPDX-License-Identifier: BSL-1.0
"""The processes that run programs: krait's, and CPython's."""

import collections
import json
import pathlib
import re
import subprocess
import sys

from transpiler import transpile

SOURCE = pathlib.Path(__file__).resolve().parent


def to_line(data):
    return json.dumps(data, separators=(",", ":"))


class Child:
    """A process that answers on stdout what is asked on stdin; started anew when it has died."""

    def __init__(self, command):
        self.command = [str(word) for word in command]
        self.process = None

    def start(self):
        self.process = subprocess.Popen(self.command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def ask(self, question, lines):
        """The answer, or none if the process died."""
        if self.process is None:
            self.start()
        try:
            self.process.stdin.write(question)
            self.process.stdin.flush()
        except BrokenPipeError:
            pass
        answer = [self.process.stdout.readline() for _ in range(lines)]
        return [a[:-1] for a in answer] if answer[-1].endswith("\n") else None

    def bury(self):
        """How it died."""
        self.process.communicate()
        status, self.process = self.process.returncode, None
        return f"died of signal {-status}" if status < 0 else f"ended with status {status}"

    def close(self):
        """What it still has to say."""
        return self.process.communicate()[0] if self.process is not None else ""

    def kill(self):
        if self.process is not None:
            self.process.kill()
            self.process.communicate()
            self.process = None


class Krait(Child):
    RUNS = 5000  # per process: generators that ignored GeneratorExit to the end keep their stacks

    def __init__(self, program):
        if not program.exists():
            raise FileNotFoundError(f"{program} has not been built")
        super().__init__([program])
        self.runs = 0
        self.coverage = collections.Counter()

    def traces(self, programs):
        self.runs += len(programs)
        if self.runs > self.RUNS:
            self.close()
            self.runs = len(programs)
        answer = self.ask(f"{len(programs)}\n" + "".join(to_line(p) + "\n" for p in programs), len(programs))
        if answer is not None:
            return answer
        death = self.bury()
        if len(programs) == 1:
            return [death]
        return [trace for p in programs for trace in self.traces([p])]

    def close(self):
        """What has been covered so far."""
        for line in super().close().splitlines():
            count, feature = line.split(" ", 1)
            self.coverage[feature] += int(count)
        self.process = None
        return self.coverage


class Oracle(Child):
    def __init__(self, kind, build_dir):
        if kind == "python3":
            super().__init__(["python3", SOURCE / "harness.py"])
        else:
            super().__init__(["node", SOURCE / "oracle.mjs", install_pyodide(build_dir / "oracle")])
        self.exact = kind == "pyodide"

    def traces(self, programs):
        answer = self.ask(json.dumps([transpile(p) for p in programs]) + "\n", 1)
        if answer is not None:
            return json.loads(answer[0])
        death = self.bury()
        if self.exact:
            raise RuntimeError(f"the oracle {death}")
        if len(programs) == 1:
            return [f"skipped: the oracle {death}"]
        half = len(programs) // 2
        return self.traces(programs[:half]) + self.traces(programs[half:])

    def reason_to_skip(self, expected, traces):
        """The name of a difference between the oracle's version and 3.14, if the program has met one."""
        if self.exact:
            return None
        if expected.startswith("skipped: "):
            return expected.removeprefix("skipped: ")
        if sys.version_info < (3, 13) and any(re.search(r"close \d = [^N]", t) for t in traces):
            return "close() returns a value"
        return None


def install_pyodide(directory):
    """Installs what package.json names, once; returns where it is."""
    package = directory / "node_modules" / "pyodide"
    wanted = json.loads((SOURCE / "package.json").read_text())["dependencies"]["pyodide"]
    manifest = package / "package.json"
    if not manifest.exists() or json.loads(manifest.read_text())["version"] != wanted:
        directory.mkdir(parents=True, exist_ok=True)
        (directory / "package.json").write_text((SOURCE / "package.json").read_text())
        subprocess.run(["npm", "install", "--no-package-lock", "--no-audit", "--no-fund", "--omit=optional"],
                       cwd=directory, check=True, stdout=sys.stderr)
    return package
