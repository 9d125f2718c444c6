#!/usr/bin/env ruby
# SPDX-License-Identifier: BSL-1.0
# Ruby: fibers. fibers.rb [--repetitions R] [--seconds S] OPERATION...

require 'json'

BATCH = 10_000 # as in bench/operations.hpp
# Each fiber's stack and its guard are two mappings, of which Linux by default allows a process 65,530.
ALIVE = 20_000

def sum_below(n) = n * (n - 1) / 2

def check(got, expected)
  abort "got #{got}, expected #{expected}" if got != expected
end

def counter(n)
  Fiber.new do
    n.times { |i| Fiber.yield i }
    nil
  end
end

def running_sum
  Fiber.new do
    total = 0
    loop { total += Fiber.yield(total) }
  end
end

# Ruby has no delegation of fibers: each level yields each item on.
def nested(depth)
  Fiber.new do
    if depth.zero?
      0.step { |i| Fiber.yield i }
    else
      inner = nested(depth - 1)
      while (item = inner.resume)
        Fiber.yield item
      end
    end
  end
end

def next_(n)
  total = 0
  n.times do
    fiber = counter(BATCH)
    while (item = fiber.resume)
      total += item
    end
  end
  check(total, sum_below(BATCH) * n)
end

def send_(n)
  n.times do
    fiber = running_sum
    total = fiber.resume
    BATCH.times { |i| total = fiber.resume(i) }
    check(total, sum_below(BATCH))
  end
end

def spawn_(n)
  items = 0
  n.times do
    fiber = counter(1)
    while (item = fiber.resume)
      items += item + 1
    end
  end
  check(items, n)
end

# What says "end" to a suspended fiber: Fiber#kill from Ruby 3.3 on, an exception before.
class Closed < StandardError; end

def close(n)
  closed = 0
  items = 0
  kill = Fiber.method_defined?(:kill)
  n.times do
    fiber = Fiber.new do
      loop { Fiber.yield 0 }
    rescue Closed
      nil
    ensure
      closed += 1
    end
    items += fiber.resume + 1
    kill ? fiber.kill : fiber.raise(Closed)
  end
  check(items, n)
  check(closed, n)
end

def delegate(depth)
  chain = nested(depth)
  check(chain.resume, 0) # builds it
  taken = 1
  lambda do |n|
    total = 0
    n.times { total += chain.resume }
    check(total, sum_below(taken + n) - sum_below(taken))
    taken += n
  end
end

def resident = File.read('/proc/self/status')[/^VmRSS:\s*(\d+)/, 1].to_i * 1024

def memory
  alive = Array.new(ALIVE)
  GC.start
  before = resident
  ALIVE.times do |i|
    alive[i] = counter(2)
    check(alive[i].resume, 0)
  end
  GC.start
  (resident - before).fdiv(alive.size)
end

def processor_time = Process.clock_gettime(Process::CLOCK_PROCESS_CPUTIME_ID, :nanosecond)

def timed(run, n)
  start = processor_time
  run.call(n)
  processor_time - start
end

def repeat(run, unit, seconds, repetitions)
  n = 1
  n *= 2 while timed(run, n) < seconds * 1e9 # warms up, too
  Array.new(repetitions) { timed(run, n).fdiv(n * unit) }
end

OPERATIONS = { 'next' => method(:next_), 'send' => method(:send_), 'spawn' => method(:spawn_),
               'close' => method(:close) }.freeze

names = []
repetitions = 3
seconds = 0.05
while (argument = ARGV.shift)
  case argument
  when '--repetitions' then repetitions = Integer(ARGV.shift)
  when '--seconds' then seconds = Float(ARGV.shift)
  else names << argument
  end
end

names.each do |name|
  result = { operation: name, peer: 'ruby', version: RUBY_VERSION }
  begin
    if name == 'memory'
      result.update(bytes: memory, count: ALIVE)
    else
      run = name.start_with?('delegate/') ? delegate(Integer(name.delete_prefix('delegate/'))) : OPERATIONS.fetch(name)
      result[:ns] = repeat(run, %w[next send].include?(name) ? BATCH : 1, seconds, repetitions)
    end
  rescue FiberError, SystemStackError, NoMemoryError => e
    result[:skipped] = e.message
  end
  puts JSON.generate(result)
  $stdout.flush
end
