package main

import (
	"fmt"
	"io"
	"net"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// misbehave asks as much as it can over many connections, for ever: KIND
// CONNECTIONS SOCKET. It runs in a container.
func misbehave(args []string) error {
	if len(args) != 3 {
		return fmt.Errorf("want KIND CONNECTIONS SOCKET, got %q", args)
	}
	n, err := strconv.Atoi(args[1])
	if err != nil {
		return err
	}
	kind, ok := misbehaviours()[args[0]]
	if !ok {
		return fmt.Errorf("%q is no kind of misbehaviour", args[0])
	}
	var all sync.WaitGroup
	for range n {
		all.Go(func() {
			for {
				if kind(args[2]) != nil {
					time.Sleep(10 * time.Millisecond) // refused: a real client would not spin either
				}
			}
		})
	}
	all.Wait()
	return nil
}

// misbehaviours hold one connection each, until it breaks.
func misbehaviours() map[string]func(socket string) error {
	return map[string]func(string) error{
		"creates": keepAsking(func(n uint64) string { return create(n, `"Cmd":["sleep"]`) }),
		"lists":   keepAsking(func(uint64) string { return "GET /containers/json?all=1 HTTP/1.1\r\nHost: d\r\n\r\n" }),
		"binds":   keepAsking(func(n uint64) string { return create(n, binds(4_000)) }),
		"bodies":  keepAsking(func(n uint64) string { return create(n, binds(120_000)) }),
		"words": keepAsking(func(n uint64) string {
			return create(n, `"Cmd":["`+strings.Repeat(`x","`, 100_000)+`"]`)
		}),
		"deep":  keepAsking(func(n uint64) string { return create(n, `"Foo":`+strings.Repeat(`[`, 60_000)) }),
		"slow":  slowBody,
		"storm": func(socket string) error { return storm(socket, "") },
		"visits": func(socket string) error {
			return storm(socket, "GET /_ping HTTP/1.1\r\nHost: d\r\n\r\n")
		},
	}
}

var serial atomic.Uint64 // no request is like another one

func create(n uint64, more string) string {
	body := `{"Image":"bb:1","Labels":{"n":"` + strconv.FormatUint(n, 10) + `"},` + more + `}`
	return fmt.Sprintf("POST /containers/create HTTP/1.1\r\nHost: d\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", len(body), body)
}

func binds(n int) string {
	return `"HostConfig":{"Binds":["` + strings.Repeat(`/srv/a:/b:ro","`, n-1) + `/a:/b"]}`
}

func keepAsking(request func(uint64) string) func(string) error {
	return func(socket string) error {
		v := &variant{socket: socket}
		if err := v.dial(); err != nil {
			return err
		}
		defer v.conn.Close()
		for {
			if _, err := v.exchange([]byte(request(serial.Add(1)))); err != nil {
				return err
			}
		}
	}
}

func slowBody(socket string) error {
	c, err := net.Dial("unix", socket)
	if err != nil {
		return err
	}
	defer c.Close()
	request := create(serial.Add(1), binds(20_000))
	for len(request) > 0 {
		n := min(len(request), 4096)
		if _, err := io.WriteString(c, request[:n]); err != nil {
			return err
		}
		request = request[n:]
		time.Sleep(100 * time.Millisecond)
	}
	return nil
}

// storm connects, asks once at most, and leaves.
func storm(socket, request string) error {
	v := &variant{socket: socket}
	if err := v.dial(); err != nil {
		return err
	}
	defer v.conn.Close()
	if request == "" {
		return nil
	}
	_, err := v.exchange([]byte(request))
	return err
}

// burn uses the given share of all processors evenly: SHARE, 1 is one of them.
func burn(args []string) error {
	share, err := strconv.ParseFloat(args[0], 64)
	if err != nil {
		return err
	}
	const threads, slice = 2, time.Millisecond
	work := time.Duration(share / threads * float64(slice))
	for i := range threads {
		go func() {
			time.Sleep(time.Duration(i) * slice / threads)
			for {
				for start := time.Now(); time.Since(start) < work; {
				}
				if work < slice {
					time.Sleep(slice - work)
				}
			}
		}()
	}
	select {}
}

// cpuTime is what a process has used so far, of /proc/PID/stat.
func cpuTime(pid int) (time.Duration, error) {
	const tick = 10 * time.Millisecond // USER_HZ is 100 on every Linux that Go runs on
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, err
	}
	fields := strings.Fields(string(stat[strings.LastIndexByte(string(stat), ')')+1:]))
	user, err1 := strconv.Atoi(fields[11])
	system, err2 := strconv.Atoi(fields[12])
	if err1 != nil || err2 != nil {
		return 0, fmt.Errorf("cannot read %s", stat)
	}
	return time.Duration(user+system) * tick, nil
}
