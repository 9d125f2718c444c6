#!/usr/bin/env node
// SPDX-License-Identifier: BSL-1.0
// Node: generators. generators.js [--repetitions R] [--seconds S] OPERATION...
'use strict';

const fs = require('fs');
const util = require('util');
const v8 = require('v8');
const vm = require('vm');

const BATCH = 10_000; // as in bench/operations.hpp
const ALIVE = 100_000;

const sumBelow = (n) => n * (n - 1) / 2;

function check(got, expected) {
  if (got !== expected) {
    console.error(`got ${got}, expected ${expected}`);
    process.exit(1);
  }
}

function* counter(n) {
  for (let i = 0; i < n; ++i) {
    yield i;
  }
}

function* runningSum() {
  for (let total = 0;;) {
    total += yield total;
  }
}

const nested = (depth) => depth === 0 ? counter(Infinity) : level(depth - 1);

function* level(depth) {
  yield* nested(depth);
}

function sumOf(generator) {
  let total = 0;
  for (const item of generator) {
    total += item;
  }
  return total;
}

function next(n) {
  let total = 0;
  for (let i = 0; i < n; ++i) {
    total += sumOf(counter(BATCH));
  }
  check(total, sumBelow(BATCH) * n);
}

function send(n) {
  for (let i = 0; i < n; ++i) {
    const generator = runningSum();
    let total = generator.next().value;
    for (let j = 0; j < BATCH; ++j) {
      total = generator.next(j).value;
    }
    check(total, sumBelow(BATCH));
  }
}

function spawn(n) {
  let items = 0;
  for (let i = 0; i < n; ++i) {
    for (const item of counter(1)) {
      items += item + 1;
    }
  }
  check(items, n);
}

function close(n) {
  let closed = 0;
  function* guarded() {
    try {
      for (;;) {
        yield 0;
      }
    } finally {
      ++closed;
    }
  }
  let items = 0;
  for (let i = 0; i < n; ++i) {
    const generator = guarded();
    items += generator.next().value + 1;
    generator.return();
  }
  check(items, n);
  check(closed, n);
}

function closePlain(n) {
  let items = 0;
  for (let i = 0; i < n; ++i) {
    const generator = counter(Number.MAX_SAFE_INTEGER);
    items += generator.next().value + 1;
    generator.return();
  }
  check(items, n);
}

function breakOut(n) {
  let total = 0;
  for (let i = 0; i < n; ++i) {
    for (const item of counter(Number.MAX_SAFE_INTEGER)) {
      total += item;
      if (item === 3) {
        break;
      }
    }
  }
  check(total, 6 * n);
}

// Not for-of: leaving it would close the chain, which is to last.
function delegate(depth) {
  const chain = nested(depth);
  check(chain.next().value, 0); // builds it
  let taken = 1;
  return (n) => {
    let total = 0;
    for (let i = 0; i < n; ++i) {
      total += chain.next().value;
    }
    check(total, sumBelow(taken + n) - sumBelow(taken));
    taken += n;
  };
}

const resident = () => 1024 * fs.readFileSync('/proc/self/status', 'ascii').match(/^VmRSS:\s*(\d+)/m)[1];

function memory() {
  v8.setFlagsFromString('--expose-gc');
  const collect = vm.runInNewContext('gc');
  const alive = new Array(ALIVE).fill(null);
  collect();
  const before = resident();
  for (let i = 0; i < ALIVE; ++i) {
    alive[i] = counter(2);
    check(alive[i].next().value, 0);
  }
  collect();
  return (resident() - before) / alive.length;
}

function repeat(run, unit, seconds, repetitions) {
  const timed = (n) => {
    const start = process.cpuUsage();
    run(n);
    const {user, system} = process.cpuUsage(start);
    return (user + system) * 1e3;
  };
  let n = 1;
  while (timed(n) < seconds * 1e9) { // warms up, too
    n *= 2;
  }
  return Array.from({length: repetitions}, () => timed(n) / (n * unit));
}

const {values, positionals} = util.parseArgs({
  allowPositionals: true,
  options: {repetitions: {type: 'string', default: '3'}, seconds: {type: 'string', default: '0.05'}},
});

for (const operation of positionals) {
  const result = {operation, peer: 'node', version: process.versions.node};
  try {
    if (operation === 'memory') {
      Object.assign(result, {bytes: memory(), count: ALIVE});
    } else {
      const depth = operation.match(/^delegate\/(\d+)$/);
      const run = depth ? delegate(Number(depth[1])) : {next, send, spawn, close, close_plain: closePlain, break: breakOut}[operation];
      const unit = operation === 'next' || operation === 'send' ? BATCH : 1;
      result.ns = repeat(run, unit, Number(values.seconds), Number(values.repetitions));
    }
  } catch (error) {
    if (!(error instanceof RangeError)) {
      throw error;
    }
    result.skipped = error.message; // the stack is too small
  }
  console.log(JSON.stringify(result));
}
