package main

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strconv"
	"sync/atomic"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"vitrine/internal/caller/attest"
	"vitrine/internal/engine/docker"
	"vitrine/internal/kernel/unixsocket"
	"vitrine/internal/monitor/dogstatsd"
	"vitrine/internal/monitor/messages"
	"vitrine/internal/monitor/sender"
)

// done is what a server says when it has all lines.
const done = "done\n"

func parseArgs(args []string) (path string, size, lines int) {
	size, _ = strconv.Atoi(args[1])
	lines, _ = strconv.Atoi(args[2])
	return args[0], size, lines
}

// packets are the load: each of the 1000 contexts in its turn, as many lines to
// a packet as fit into size, at least one.
type packets struct {
	ready []packet
	at    int
}

type packet struct {
	bytes []byte
	lines int
}

func newPackets(size int) *packets {
	p := &packets{}
	line := 0
	next := func() []byte {
		i := line % 1000
		line++
		return fmt.Appendf(nil, "bench.requests.%d:%d|c|#env:prod,service:shop,route:r%d,zone:z%d\n", i, i%7+1, i%10, i%3)
	}
	for range 1000 { // packets of many lines begin with another context each
		b := next()
		n := 1
		for l := next(); len(b)+len(l) <= size; l = next() {
			b = append(b, l...)
			n++
		}
		line--
		p.ready = append(p.ready, packet{b, n})
	}
	return p
}

func (p *packets) next(most int) ([]byte, int) {
	q := p.ready[p.at%len(p.ready)]
	p.at++
	if q.lines <= most {
		return q.bytes, q.lines
	}
	end, n := 0, 0
	for i, c := range q.bytes {
		if c == '\n' {
			if n++; n == most {
				end = i + 1
				break
			}
		}
	}
	return q.bytes[:end], n
}

// send sends lines with one blocking write(2) a datagram.
func send(args []string) error {
	path, size, lines := parseArgs(args)
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	if err := unix.Connect(fd, &unix.SockaddrUnix{Name: path}); err != nil {
		return fmt.Errorf("connect: %w", err)
	}
	p := newPackets(size)
	for lines > 0 {
		b, n := p.next(lines)
		if _, err := unix.Write(fd, b); err != nil {
			return fmt.Errorf("send: %w", err)
		}
		lines -= n
	}
	return nil
}

// bare receives without looking.
func bare(args []string) error {
	path, size, lines := parseArgs(args)
	bytes := 0
	p := newPackets(size)
	for left := lines; left > 0; {
		b, n := p.next(left)
		bytes += len(b)
		left -= n
	}
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_PASSCRED, 1); err != nil {
		return err
	}
	if err := unix.Bind(fd, &unix.SockaddrUnix{Name: path}); err != nil {
		return err
	}
	const batch, most, oob = 64, 8192, 32
	type mmsghdr struct {
		hdr unix.Msghdr
		n   uint32
	}
	var (
		msgs [batch]mmsghdr
		iovs [batch]unix.Iovec
		bufs = make([]byte, batch*most)
		oobs [batch * oob]byte
	)
	for bytes > 0 {
		for i := range msgs {
			iovs[i].Base = &bufs[i*most]
			iovs[i].SetLen(most)
			msgs[i].hdr.Iov = &iovs[i]
			msgs[i].hdr.SetIovlen(1)
			msgs[i].hdr.Control = &oobs[i*oob]
			msgs[i].hdr.SetControllen(oob)
		}
		n, _, errno := unix.Syscall6(unix.SYS_RECVMMSG, uintptr(fd), uintptr(unsafe.Pointer(&msgs[0])), batch, unix.MSG_WAITFORONE, 0, 0)
		if errno == unix.EINTR {
			continue
		}
		if errno != 0 {
			return fmt.Errorf("recvmmsg: %w", errno)
		}
		for i := range int(n) {
			bytes -= int(msgs[i].n)
		}
	}
	return say()
}

func say() error {
	if _, err := os.Stdout.WriteString(done); err != nil {
		return err
	}
	for { // until killed, so that leaving costs nobody time
		time.Sleep(time.Hour)
	}
}

// noContainers is an inventory without any, so that the sender is a process of
// the host: attested, and pinned, all the same.
type noContainers struct{}

func (noContainers) OnChange(func(docker.Container)) {}
func (noContainers) Has(string) bool                 { return false }
func (noContainers) Running() []docker.Container     { return nil }
func (noContainers) Refresh(context.Context, string) (docker.Container, error) {
	return docker.Container{}, docker.ErrNotFound
}
func (noContainers) Lookup(string) (docker.Container, bool) { return docker.Container{}, false }
func (noContainers) Recall(string) (docker.Container, bool) { return docker.Container{}, false }
func (noContainers) Ready() bool                            { return true }
func (noContainers) Changed() <-chan struct{}               { return nil }

// counting says when the Aggregator has all lines.
type counting struct {
	*messages.Aggregator
	left atomic.Int64
	done chan struct{}
}

func (c *counting) Metric(o *dogstatsd.Origin, m *dogstatsd.Metric) {
	c.Aggregator.Metric(o, m)
	if c.left.Add(-1) == 0 {
		close(c.done)
	}
}

// vitrine is the product's receiver and aggregation, origin detection on.
func vitrine(args []string) error {
	path, _, lines := parseArgs(args)
	sink := &counting{Aggregator: messages.New(messages.Config{}), done: make(chan struct{})}
	sink.left.Store(int64(lines))
	attestor := sender.New(noContainers{}, nil, attest.Options{})
	srv := dogstatsd.New(dogstatsd.Config{Datagram: unixsocket.File{Path: path}}, attestor, sink)
	if err := srv.Listen(); err != nil {
		return err
	}
	ctx := context.Background()
	go sink.Run(ctx)
	failed := make(chan error, 1)
	go func() { failed <- srv.Serve(ctx) }()
	select {
	case err := <-failed:
		return err
	case <-sink.done:
	}
	for _, s := range srv.Telemetry() {
		if s.Name == "dogstatsd.processed" && slices.Contains(s.Tags, "origin:none") && s.Value > float64(lines)/100 {
			return fmt.Errorf("%v of %d lines have no origin", s.Value, lines)
		}
	}
	return say()
}
