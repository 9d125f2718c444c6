// SPDX-License-Identifier: BSL-1.0

// Go: goroutines on one processor. What bench/asyncio/operations.hpp has.
//
//	tasks [--repetitions R] [--seconds S] OPERATION...
package main

import (
	"io"
	"log"
	"math/rand"
	"net"
	"runtime"
	"sync"
	"time"
)

const (
	batch  = 1000
	leaves = 1000 // of skynet
)

func turns(tasks int) func(int) {
	return func(n int) {
		count, stop := 0, false
		var others sync.WaitGroup
		others.Add(tasks - 1)
		for i := 1; i < tasks; i++ {
			go func() {
				defer others.Done()
				for {
					runtime.Gosched()
					if stop {
						return
					}
					count++
				}
			}()
		}
		runtime.Gosched()
		for i := 0; i < n; i++ {
			count++
			runtime.Gosched()
		}
		stop = true
		others.Wait()
		if count < n { // its turns are not quite fair
			log.Fatalf("%d turns of %d", count, n)
		}
	}
}

func spawn(n int) {
	results := make(chan int)
	sum := 0
	for i := 0; i < n; i++ {
		i := i
		go func() { results <- i }()
		sum += <-results
	}
	check(sum, sumBelow(n))
}

func spawn1000(n int) {
	for ; n > 0; n-- {
		var all sync.WaitGroup
		all.Add(batch)
		sum := 0
		for i := 0; i < batch; i++ {
			i := i
			go func() {
				sum += i
				all.Done()
			}()
		}
		all.Wait()
		check(sum, sumBelow(batch))
	}
}

func pingPong(n int) {
	there, back := make(chan int), make(chan int)
	go func() {
		for i := 0; i < n; i++ {
			back <- <-there
		}
	}()
	sum := 0
	for i := 0; i < n; i++ {
		there <- i
		sum += <-back
	}
	check(sum, sumBelow(n))
}

func queue(n int) {
	items := make(chan int, 64)
	go func() {
		for i := 0; i < n; i++ {
			items <- i
		}
	}()
	sum := 0
	for i := 0; i < n; i++ {
		sum += <-items
	}
	check(sum, sumBelow(n))
}

func tree(result chan<- int, first, leaves int) {
	if leaves == 1 {
		result <- first
		return
	}
	results := make(chan int)
	for i := 0; i < 10; i++ {
		go tree(results, first+i*(leaves/10), leaves/10)
	}
	sum := 0
	for i := 0; i < 10; i++ {
		sum += <-results
	}
	result <- sum
}

func skynet(n int) {
	for ; n > 0; n-- {
		result := make(chan int)
		go tree(result, 0, leaves)
		check(<-result, sumBelow(leaves))
	}
}

func timer(n int) {
	for i := 0; i < n; i++ {
		time.AfterFunc(5*time.Second, func() {}).Stop()
	}
}

func timers(n int) {
	all := make([]*time.Timer, batch)
	for ; n > 0; n-- {
		for i := range all {
			all[i] = time.AfterFunc(5*time.Second+time.Duration(rand.Int63n(1e9)), func() {})
		}
		for _, each := range all {
			each.Stop()
		}
	}
}

func echo(connections int) func(int) {
	return func(n int) {
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			log.Fatal(err)
		}
		var all sync.WaitGroup
		all.Add(connections)
		for i := 0; i < connections; i++ {
			client, err := net.Dial("tcp", listener.Addr().String())
			if err != nil {
				log.Fatal(err)
			}
			server, err := listener.Accept()
			if err != nil {
				log.Fatal(err)
			}
			go func() {
				buffer := make([]byte, 64)
				for {
					size, err := server.Read(buffer)
					if err != nil {
						return
					}
					if _, err := server.Write(buffer[:size]); err != nil {
						return
					}
				}
			}()
			go func() {
				buffer := make([]byte, 64)
				for j := 0; j < n; j++ {
					if _, err := client.Write(buffer); err != nil {
						log.Fatal(err)
					}
					if _, err := io.ReadFull(client, buffer); err != nil {
						log.Fatal(err)
					}
				}
				client.Close()
				all.Done()
			}()
		}
		all.Wait()
		listener.Close()
	}
}

func main() {
	runtime.GOMAXPROCS(1)
	type operation struct {
		run  func(int)
		unit int
	}
	operations := map[string]operation{
		"turn/1": {turns(1), 1}, "turn/100": {turns(100), 100}, "turn/10000": {turns(10000), 10000},
		"task_spawn": {spawn, 1}, "task_spawn_1000": {spawn1000, batch}, "ping_pong": {pingPong, 1}, "queue": {queue, 1},
		"skynet": {skynet, (10*leaves - 1) / 9}, "timer": {timer, 1}, "timers": {timers, batch},
		"echo/1": {echo(1), 1}, "echo/100": {echo(100), 100},
	}
	report("go_tasks", func(name string) (func(int), int) {
		found, known := operations[name]
		if !known {
			log.Fatalf("no operation %s", name)
		}
		return found.run, found.unit
	}, nil)
}
