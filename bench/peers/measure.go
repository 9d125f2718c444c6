// SPDX-License-Identifier: BSL-1.0

// What the programs in Go share: the clock, and how results are printed.
package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"log"
	"os"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"
)

func sumBelow(n int) int { return n * (n - 1) / 2 }

func check(got, expected int) {
	if got != expected {
		log.Fatalf("got %d, expected %d", got, expected)
	}
}

func resident() int {
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		log.Fatal(err)
	}
	kib, err := strconv.Atoi(regexp.MustCompile(`VmRSS:\s*(\d+)`).FindStringSubmatch(string(status))[1])
	if err != nil {
		log.Fatal(err)
	}
	return kib * 1024
}

func processorTime() time.Duration {
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		log.Fatal(err)
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}

func repeat(run func(int), unit int, least time.Duration, repetitions int) []float64 {
	timed := func(n int) time.Duration {
		start := processorTime()
		run(n)
		return processorTime() - start
	}
	n := 1
	for timed(n) < least { // warms up, too
		n *= 2
	}
	ns := make([]float64, repetitions)
	for i := range ns {
		ns[i] = float64(timed(n).Nanoseconds()) / float64(n*unit)
	}
	return ns
}

// report prints what each operation of the command line takes. of gives what is run n times, and how many items once
// is; memory, if any, how many bytes of so many alive.
func report(peer string, of func(name string) (run func(int), unit int), memory func() (bytes float64, count int)) {
	repetitions := flag.Int("repetitions", 3, "")
	seconds := flag.Float64("seconds", 0.05, "")
	flag.Parse()
	for _, name := range flag.Args() {
		result := map[string]any{"operation": name, "peer": peer, "version": strings.TrimPrefix(runtime.Version(), "go")}
		if name == "memory" {
			result["bytes"], result["count"] = memory()
		} else {
			run, unit := of(name)
			result["ns"] = repeat(run, unit, time.Duration(*seconds*float64(time.Second)), *repetitions)
		}
		line, err := json.Marshal(result)
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(string(line))
	}
}
