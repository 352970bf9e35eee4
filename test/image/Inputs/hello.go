// SPDX-License-Identifier: BSD-3-Clause
// Go hello: goroutines, channels, time.Sleep, timers, GC forced by allocation, a recovered fault, preemption of a busy loop.
package main

import (
	"fmt"
	"os"
	"runtime"
	"sort"
	"strings"
	"sync"
	"time"
)

type node struct {
	next *node
	data [64]byte
}

func allocate(n int) (last *node) {
	for i := 0; i < n; i++ {
		last = &node{next: nil}
		last.data[i%64] = byte(i)
	}
	return
}

func recovered() (what interface{}) {
	defer func() { what = recover() }()
	var p *node
	p.data[0] = 1 // SIGSEGV, which the runtime turns into a panic
	return nil
}

func main() {
	rounds := 20
	if len(os.Args) == 2 && os.Args[1] == "small" { // for a machine whose memory is hardly more than the least heap of Go
		rounds = 1
	}
	fmt.Println("hello from Go", len(os.Args), strings.Join(os.Args[1:], "|"))
	squares := make(chan int)
	var group sync.WaitGroup
	for i := 0; i < 20; i++ {
		group.Add(1)
		go func(n int) {
			defer group.Done()
			time.Sleep(time.Millisecond)
			allocate(100 * rounds)
			squares <- n * n
		}(i)
	}
	go func() { group.Wait(); close(squares) }()
	var all []int
	for square := range squares {
		all = append(all, square)
	}
	sort.Ints(all)
	fmt.Println(all)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	for i := 0; i < rounds; i++ {
		allocate(5000)
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	fmt.Println("collected:", after.NumGC > before.NumGC)
	fmt.Println("recovered:", recovered())
	stop := false
	go func() {
		for !stop { // only a preemption signal ends this one's turn
		}
	}()
	start := time.Now()
	time.Sleep(5 * time.Millisecond)
	stop = true
	select {
	case <-time.After(2 * time.Millisecond):
		fmt.Println("slept:", time.Since(start) >= 7*time.Millisecond)
	}
	fmt.Fprintln(os.Stderr, "to stderr")
	os.Exit(9)
}
