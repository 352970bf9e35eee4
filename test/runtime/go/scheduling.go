// SPDX-License-Identifier: BSD-3-Clause

// What Go's scheduler needs of the system: preemption signals that reach a loop without calls, signals that the program sends itself, and a
// collector that stops eight processors on two CPUs. Prints the same lines wherever it runs.
package main

import (
	"fmt"
	"hash/crc32"
	"os"
	"os/signal"
	"runtime"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// A loop that makes no call and no safe point leaves only when SIGURG interrupts it.
func spinning() {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	var started, steps int32
	go func() {
		atomic.StoreInt32(&started, 1)
		for {
		}
	}()
	for atomic.LoadInt32(&started) == 0 {
		runtime.Gosched()
	}
	var group sync.WaitGroup
	for worker := 0; worker < 4; worker++ {
		group.Add(1)
		go func() {
			defer group.Done()
			for i := 0; i < 10; i++ {
				atomic.AddInt32(&steps, 1)
				runtime.Gosched()
			}
		}()
	}
	group.Wait()
	<-time.After(time.Millisecond)
	runtime.GC()
	fmt.Println("for {}:", steps, "steps beside it")
}

func signals() {
	wanted := []syscall.Signal{syscall.SIGUSR1, syscall.SIGUSR2, syscall.SIGHUP, syscall.SIGTERM, syscall.SIGINT, syscall.SIGWINCH}
	for _, number := range wanted {
		received := make(chan os.Signal, 1)
		signal.Notify(received, number)
		for i := 0; i < 20; i++ {
			if err := syscall.Kill(syscall.Getpid(), number); err != nil {
				fmt.Println("kill:", err)
			}
			if got := <-received; got != number {
				fmt.Println("received", got, "for", number)
			}
		}
		signal.Stop(received)
	}
	// Ignored, it must reach nobody; to the default of SIGWINCH the same holds.
	nobody := make(chan os.Signal, 1)
	signal.Notify(nobody, syscall.SIGUSR1)
	signal.Ignore(syscall.SIGUSR1)
	fmt.Println("kill of an ignored signal:", syscall.Kill(os.Getpid(), syscall.SIGUSR1), len(nobody))
	fmt.Println("signal 0:", syscall.Kill(os.Getpid(), 0), "signal 99:", syscall.Kill(os.Getpid(), 99))
	fmt.Println("signals:", len(wanted), "kinds received")
}

// A fault is a panic with its address, and on whichever thread it happens.
func faults() {
	debug.SetPanicOnFault(true)
	var group sync.WaitGroup
	var caught int32
	for worker := 0; worker < 8; worker++ {
		group.Add(1)
		go func() {
			defer group.Done()
			for i := 0; i < 50; i++ {
				func() {
					defer func() {
						if _, is := recover().(runtime.Error); is {
							atomic.AddInt32(&caught, 1)
						}
					}()
					var none *[4]int
					none[i&3] = i
				}()
			}
		}()
	}
	group.Wait()
	fmt.Println("faults:", caught)
}

type node struct {
	left, right *node
	payload     []byte
}

func grow(depth int, seed uint32) *node {
	n := &node{payload: make([]byte, 16+seed%64)}
	for i := range n.payload {
		n.payload[i] = byte(seed >> (uint(i) % 24))
	}
	if depth > 0 {
		n.left, n.right = grow(depth-1, seed*1664525+1013904223), grow(depth-1, seed*22695477+1)
	}
	return n
}

func (n *node) sum(crc uint32) uint32 {
	if n == nil {
		return crc
	}
	return n.right.sum(n.left.sum(crc32.Update(crc, crc32.IEEETable, n.payload)))
}

// Each worker builds and drops trees, keeps one, and checks that the collector has left it alone.
func collecting() {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(8))
	defer debug.SetGCPercent(debug.SetGCPercent(20))
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	var group sync.WaitGroup
	sums := make([]uint32, 8)
	for worker := range sums {
		group.Add(1)
		go func(worker int) {
			defer group.Done()
			kept := grow(9, uint32(worker))
			want := kept.sum(0)
			for round := 0; round < 12; round++ {
				sums[worker] ^= grow(8, uint32(worker*100+round)).sum(0)
				if got := kept.sum(0); got != want {
					fmt.Println("worker", worker, "round", round, "has", got, "not", want)
				}
			}
			sums[worker] ^= want
		}(worker)
	}
	group.Wait()
	runtime.ReadMemStats(&after)
	fmt.Printf("collected while running: %v, sums %08x\n", after.NumGC > before.NumGC, sums)
}

func main() {
	signals()
	faults()
	collecting()
	spinning()
}
