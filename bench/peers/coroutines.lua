#!/usr/bin/env lua5.4
-- SPDX-License-Identifier: BSL-1.0
-- Lua 5.4 and LuaJIT: coroutines. coroutines.lua [--repetitions R] [--seconds S] OPERATION...

local BATCH = 10000 -- as in bench/operations.hpp
local ALIVE = 100000

local function sum_below(n)
  return n * (n - 1) / 2
end

local function check(got, expected)
  if got ~= expected then
    io.stderr:write(("got %s, expected %s\n"):format(got, expected))
    os.exit(1)
  end
end

local function counter(n)
  return coroutine.wrap(function()
    for i = 0, n - 1 do
      coroutine.yield(i)
    end
  end)
end

local function running_sum()
  local total = 0
  while true do
    total = total + coroutine.yield(total)
  end
end

-- Lua has no delegation: each level yields each item on.
local function nested(depth)
  if depth == 0 then
    return counter(math.huge)
  end
  return coroutine.wrap(function()
    for item in nested(depth - 1) do
      coroutine.yield(item)
    end
  end)
end

local operations = {}

operations["next"] = function(n)
  local total = 0
  for _ = 1, n do
    for item in counter(BATCH) do
      total = total + item
    end
  end
  check(total, sum_below(BATCH) * n)
end

operations["send"] = function(n)
  for _ = 1, n do
    local made = coroutine.create(running_sum)
    local _, total = coroutine.resume(made)
    for i = 0, BATCH - 1 do
      _, total = coroutine.resume(made, i)
    end
    check(total, sum_below(BATCH))
  end
end

operations["spawn"] = function(n)
  local items = 0
  for _ = 1, n do
    for item in counter(1) do
      items = items + item + 1
    end
  end
  check(items, n)
end

-- Where there is coroutine.close there is <close>, too, which others could not even parse.
operations["close"] = coroutine.close and function(n)
  local closed = 0
  local guard = setmetatable({}, { __close = function() closed = closed + 1 end })
  local guarded = load([[
    local guard = ...
    return function()
      local held <close> = guard
      while true do
        coroutine.yield(0)
      end
    end
  ]])(guard)
  local items = 0
  for _ = 1, n do
    local made = coroutine.create(guarded)
    local _, item = coroutine.resume(made)
    items = items + item + 1
    coroutine.close(made)
  end
  check(items, n)
  check(closed, n)
end

operations["close_plain"] = coroutine.close and function(n)
  local items = 0
  for _ = 1, n do
    local made = coroutine.create(function() for i = 0, 1e15 do coroutine.yield(i) end end)
    local _, item = coroutine.resume(made)
    items = items + item + 1
    coroutine.close(made)
  end
  check(items, n)
end

local function delegate(depth)
  local chain = nested(depth)
  check(chain(), 0) -- builds it
  local taken = 1
  return function(n)
    local total = 0
    for _ = 1, n do
      total = total + chain()
    end
    check(total, sum_below(taken + n) - sum_below(taken))
    taken = taken + n
  end
end

local function resident()
  for line in io.lines("/proc/self/status") do
    local kib = line:match("^VmRSS:%s*(%d+)")
    if kib then
      return kib * 1024
    end
  end
end

local function memory()
  local alive = {}
  for i = 1, ALIVE do
    alive[i] = false
  end
  collectgarbage()
  local before = resident()
  for i = 1, ALIVE do
    alive[i] = counter(2)
    check(alive[i](), 0)
  end
  collectgarbage()
  return (resident() - before) / #alive
end

-- Time of the processor.
local function timed(run, n)
  local start = os.clock()
  run(n)
  return os.clock() - start
end

local function repeat_(run, unit, seconds, repetitions)
  local n = 1
  while timed(run, n) < seconds do -- warms up, too
    n = n * 2
  end
  local ns = {}
  for i = 1, repetitions do
    ns[i] = ("%.3f"):format(timed(run, n) * 1e9 / (n * unit))
  end
  return table.concat(ns, ", ")
end

local repetitions, seconds, names = 3, 0.05, {}
local at = 1
while arg[at] do
  if arg[at] == "--repetitions" then
    repetitions, at = tonumber(arg[at + 1]), at + 1
  elseif arg[at] == "--seconds" then
    seconds, at = tonumber(arg[at + 1]), at + 1
  else
    names[#names + 1] = arg[at]
  end
  at = at + 1
end

local peer, version
if jit then
  peer, version = "luajit", jit.version:match("%S+$")
else
  -- _VERSION lacks the last number.
  peer, version = "lua", io.popen(arg[-1] .. " -v"):read("l"):match("%d[%d.]*")
end

for _, name in ipairs(names) do
  local depth = name:match("^delegate/(%d+)$")
  local result
  if name == "memory" then
    result = ('"bytes": %.1f, "count": %d'):format(memory(), ALIVE)
  elseif depth or operations[name] then
    local unit = (name == "next" or name == "send") and BATCH or 1
    local fine, figures = pcall(function()
      return repeat_(depth and delegate(tonumber(depth)) or operations[name], unit, seconds, repetitions)
    end)
    if fine then
      result = ('"ns": [%s]'):format(figures)
    elseif figures:find("stack overflow") then
      -- The error has gathered a position at every level.
      result = ('"skipped": "%s"'):format(figures:match("%a*%s?stack overflow"))
    else
      error(figures, 0)
    end
  else
    assert(name:match("^close"), name)
    result = '"skipped": "no coroutine.close"'
  end
  print(('{"operation": "%s", "peer": "%s", "version": "%s", %s}'):format(name, peer, version, result))
  io.stdout:flush()
end
