// SPDX-License-Identifier: BSL-1.0

// Go: a goroutine that sends its items over an unbuffered channel, as generators are written there.
//
//	channels [--repetitions R] [--seconds S] OPERATION...
package main

import (
	"log"
	"math"
	"runtime"
	"strconv"
	"strings"
)

const (
	batch = 10_000 // as in bench/operations.hpp
	alive = 100_000
)

func counter(n int) <-chan int {
	out := make(chan int)
	go func() {
		for i := 0; i < n; i++ {
			out <- i
		}
		close(out)
	}()
	return out
}

// runningSum ends when `in` is closed.
func runningSum() (in chan<- int, out <-chan int) {
	values, sums := make(chan int), make(chan int)
	go func() {
		total := 0
		for value := range values {
			total += value
			sums <- total
		}
	}()
	return values, sums
}

// nested has a goroutine per level, which sends each item on: Go has no delegation.
func nested(depth int) <-chan int {
	if depth == 0 {
		return counter(math.MaxInt)
	}
	out := make(chan int)
	go func() {
		for item := range nested(depth - 1) {
			out <- item
		}
		close(out)
	}()
	return out
}

func next(n int) {
	for ; n > 0; n-- {
		sum := 0
		for item := range counter(batch) {
			sum += item
		}
		check(sum, sumBelow(batch))
	}
}

func send(n int) {
	for ; n > 0; n-- {
		in, out := runningSum()
		total := 0
		for i := 0; i < batch; i++ {
			in <- i
			total = <-out
		}
		close(in)
		check(total, sumBelow(batch))
	}
}

func spawn(n int) {
	items := 0
	for i := 0; i < n; i++ {
		for item := range counter(1) {
			items += item + 1
		}
	}
	check(items, n)
}

// closeSuspended asks goroutines to end, by a channel made for that, and waits until they have: there is no other way.
func closeSuspended(n int) {
	items, closed := 0, 0
	for i := 0; i < n; i++ {
		out, quit, ended := make(chan int), make(chan struct{}), make(chan struct{})
		go func() {
			defer close(ended)
			defer func() { closed++ }()
			for {
				select {
				case out <- 0:
				case <-quit:
					return
				}
			}
		}()
		items += <-out + 1
		close(quit)
		<-ended
	}
	check(items, n)
	check(closed, n)
}

// delegate takes n * depth items: the goroutines of a chain run ahead of each other, one item each, by turns,
// and only over as many items as there are levels do all work equally much.
func delegate(depth int) func(int) {
	chain := nested(depth)
	check(<-chain, 0) // builds it
	taken := 1
	return func(n int) {
		total, items := 0, n*depth
		for i := 0; i < items; i++ {
			total += <-chain
		}
		check(total, sumBelow(taken+items)-sumBelow(taken))
		taken += items
	}
}

func memory() float64 {
	generators := make([]<-chan int, alive)
	runtime.GC()
	before := resident()
	for i := range generators {
		generators[i] = counter(2)
		check(<-generators[i], 0)
	}
	runtime.GC()
	after := resident()
	runtime.KeepAlive(generators)
	return float64(after-before) / alive
}

func main() {
	operations := map[string]func(int){"next": next, "send": send, "spawn": spawn, "close": closeSuspended}
	report("go", func(name string) (func(int), int) {
		if depth := strings.TrimPrefix(name, "delegate/"); depth != name {
			levels, err := strconv.Atoi(depth)
			if err != nil {
				log.Fatal(err)
			}
			return delegate(levels), levels
		}
		if name == "next" || name == "send" {
			return operations[name], batch
		}
		return operations[name], 1
	}, func() (float64, int) { return memory(), alive })
}
