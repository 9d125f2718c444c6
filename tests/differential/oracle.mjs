// SPDX-License-Identifier: BSL-1.0
// CPython 3.14 as a filter: node oracle.mjs DIRECTORY-OF-PYODIDE. Each line of stdin goes to harness.run_batch(),
// whose answer is a line of stdout.

import { readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath, pathToFileURL } from "node:url";

const { loadPyodide } = await import(pathToFileURL(join(process.argv[2], "pyodide.mjs")));
const python = await loadPyodide({ stdout: console.error });
const harness = join(dirname(fileURLToPath(import.meta.url)), "harness.py");
python.FS.writeFile("/harness.py", readFileSync(harness));
const runBatch = python.runPython("import sys; sys.path.insert(0, '/'); import harness; harness.run_batch");
process.stdout.on("error", () => process.exit());  // nobody listens any more
for await (const line of createInterface({ input: process.stdin, crlfDelay: Infinity })) {
  if (!line.endsWith("]")) break;  // cut off: who asked is gone
  process.stdout.write(runBatch(line) + "\n");
}
process.exit();  // without a last look at what Python has left
