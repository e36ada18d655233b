// The switching figures on goroutines and channels without buffer, on one processor.
//
//	figures NAME COUNT
//
// The answer is a Python literal on the last line, as from worker.py. Exit status 4: no such figure.
package main

import (
	"fmt"
	"os"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// cpuSeconds is the CPU time that this process has taken, the collector's included.
func cpuSeconds() float64 {
	var usage syscall.Rusage
	syscall.Getrusage(syscall.RUSAGE_SELF, &usage)
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano()).Seconds()
}

// resident is the resident set size in bytes after a full collection.
func resident() float64 {
	runtime.GC()
	text, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		panic(err)
	}
	pages, _ := strconv.Atoi(strings.Fields(string(text))[1])
	return float64(pages * os.Getpagesize())
}

// pair runs f in two goroutines and waits for both.
func pair(f func()) float64 {
	done := make(chan bool)
	start := cpuSeconds()
	for i := 0; i < 2; i++ {
		go func() {
			f()
			done <- true
		}()
	}
	<-done
	<-done
	return cpuSeconds() - start
}

func roundTrip(count int) float64 {
	return pair(func() {
		for i := 0; i < count; i++ {
			runtime.Gosched()
		}
	})
}

//go:noinline
func down(level, count int) int {
	if level > 0 {
		return down(level-1, count) + 1
	}
	for i := 0; i < count; i++ {
		runtime.Gosched()
	}
	return 0
}

func roundTripDeep(count int) float64 {
	return pair(func() { down(99, count) })
}

func pingPong(count int) float64 {
	there := make(chan int)
	back := make(chan int)
	start := cpuSeconds()
	go func() {
		for i := 0; i < count; i++ {
			back <- <-there
		}
	}()
	for i := 0; i < count; i++ {
		there <- i
		<-back
	}
	return cpuSeconds() - start
}

func create(count int) float64 {
	finished := 0
	start := cpuSeconds()
	for i := 0; i < count; i++ {
		go func() { finished++ }()
		for finished <= i {
			runtime.Gosched()
		}
	}
	return cpuSeconds() - start
}

func createMany(count int) float64 {
	start := cpuSeconds()
	for lap := 0; lap < count/1000; lap++ {
		finished := 0
		for i := 0; i < 1000; i++ {
			go func() { finished++ }()
		}
		for finished < 1000 {
			runtime.Gosched()
		}
	}
	return cpuSeconds() - start
}

func ring(count int) float64 {
	laps := count / 1000
	channels := make([]chan int, 1000)
	for i := range channels {
		channels[i] = make(chan int)
	}
	for i := 1; i < 1000; i++ {
		go func(source, target chan int) {
			for lap := 0; lap < laps; lap++ {
				target <- <-source
			}
		}(channels[i], channels[(i+1)%1000])
	}
	start := cpuSeconds()
	for lap := 0; lap < laps; lap++ {
		channels[1] <- lap
		<-channels[0]
	}
	return cpuSeconds() - start
}

func numbers(target chan int) {
	for value := 2; ; value++ {
		target <- value
	}
}

func strain(prime int, source, target chan int) {
	for {
		if value := <-source; value%prime != 0 {
			target <- value
		}
	}
}

func sieve(count int) float64 {
	start := cpuSeconds()
	source := make(chan int)
	go numbers(source)
	for i := 0; i < count; i++ {
		prime := <-source
		target := make(chan int)
		go strain(prime, source, target)
		source = target
	}
	return cpuSeconds() - start
}

func node(answer chan int, number, size int) {
	if size == 1 {
		answer <- number
		return
	}
	size /= 10
	answers := make(chan int)
	for index := 0; index < 10; index++ {
		go node(answers, number+index*size, size)
	}
	total := 0
	for index := 0; index < 10; index++ {
		total += <-answers
	}
	answer <- total
}

func skynet(count int) float64 {
	start := cpuSeconds()
	answer := make(chan int)
	go node(answer, 0, count)
	if total := <-answer; total != count*(count-1)/2 {
		panic(total)
	}
	return cpuSeconds() - start
}

func blocked(count int) float64 {
	gate := make(chan int)
	before := resident()
	for i := 0; i < count; i++ {
		go func() { <-gate }()
	}
	for i := 0; i < 10; i++ {
		runtime.Gosched()
	}
	return resident() - before
}

//go:noinline
func deeper(level, limit int) int {
	if level%1000 == 0 {
		os.Stdout.WriteString("depth " + strconv.Itoa(level) + "\n")
	}
	if level >= limit {
		return level
	}
	return deeper(level+1, limit) | 1
}

// depth ends with a fatal error where the stack is full: the caller sees the last depth that was written.
func depth(count int) float64 {
	deeper(1, count)
	return float64(count)
}

var figures = map[string]func(int) float64{
	"round_trip":      roundTrip,
	"round_trip_deep": roundTripDeep,
	"ping_pong":       pingPong,
	"create":          create,
	"create_many":     createMany,
	"ring":            ring,
	"sieve":           sieve,
	"skynet":          skynet,
	"blocked":         blocked,
	"depth":           depth,
}

func main() {
	runtime.GOMAXPROCS(1)
	if os.Args[1] == "version" {
		fmt.Printf("{'version': '%s'}\n", runtime.Version())
		return
	}
	count, err := strconv.Atoi(os.Args[2])
	figure := figures[os.Args[1]]
	if err != nil || figure == nil {
		fmt.Fprintln(os.Stderr, "no such figure on Go")
		os.Exit(4)
	}
	fmt.Printf("{'value': %.9f}\n", figure(count))
}
