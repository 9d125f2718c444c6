// SPDX-License-Identifier: BSL-1.0
// CPython 3.14's asyncio: node oracle.mjs DIRECTORY-OF-PYODIDE SEED FIRST COUNT programs|traces
import { readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";

const [, , directory, seed, first, count, what] = process.argv;
const { loadPyodide } = await import(pathToFileURL(join(directory, "pyodide.mjs")));
const python = await loadPyodide({ stdout: console.error });
python.FS.writeFile("/harness.py", readFileSync(join(dirname(fileURLToPath(import.meta.url)), "harness.py")));
python.runPython("import sys; sys.path.insert(0, '/'); import harness");
for (let i = Number(first); i < Number(first) + Number(count); i += 50) {
  const n = Math.min(50, Number(first) + Number(count) - i);
  process.stdout.write(python.runPython(`harness.run_batch(${JSON.stringify(seed)}, ${i}, ${n})`) + "\n");
}
process.stdout.write("", () => process.exit()); // not before all is written
