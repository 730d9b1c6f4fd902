package main

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http/httputil"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
)

// client asks on a kept connection, and reads whole answers at the least cost.
type client struct {
	socket string
	conn   net.Conn
	r      *bufio.Reader
}

// ask sends one request. If the other end has closed the connection since the last answer, or says that it will, the
// next is asked on a new one: that is part of what an answer takes.
func (c *client) ask(request []byte) (status int, err error) {
	if c.conn != nil {
		if status, err = c.exchange(request); err == nil || !gone(err) {
			return status, err
		}
		c.hangUp()
	}
	if c.conn, err = net.Dial("unix", c.socket); err != nil {
		return 0, err
	}
	if c.r == nil {
		c.r = bufio.NewReaderSize(c.conn, 64<<10)
	} else {
		c.r.Reset(c.conn)
	}
	return c.exchange(request)
}

// errGone says that a connection ended before an answer began.
var errGone = errors.New("the connection was closed")

func gone(err error) bool { return errors.Is(err, errGone) }

func (c *client) hangUp() {
	if c.conn != nil {
		_ = c.conn.Close()
		c.conn = nil
	}
}

func (c *client) exchange(request []byte) (status int, err error) {
	_, sent := c.conn.Write(request) // one that was refused by its head alone has an answer all the same
	line, err := c.r.ReadSlice('\n')
	if err != nil {
		return 0, errors.Join(errGone, err, sent)
	}
	if len(line) < 12 {
		return 0, fmt.Errorf("answer begins with %q", line)
	}
	if status, err = strconv.Atoi(string(line[9:12])); err != nil {
		return 0, err
	}
	length, closes := int64(-1), false
	for {
		line, err := c.r.ReadSlice('\n')
		if err != nil {
			return 0, err
		}
		if line = bytes.TrimRight(line, "\r\n"); len(line) == 0 {
			break
		}
		switch key, value, _ := bytes.Cut(line, []byte(":")); {
		case bytes.EqualFold(key, []byte("Content-Length")):
			if length, err = strconv.ParseInt(string(bytes.TrimSpace(value)), 10, 64); err != nil {
				return 0, err
			}
		case bytes.EqualFold(key, []byte("Connection")):
			closes = bytes.EqualFold(bytes.TrimSpace(value), []byte("close"))
		}
	}
	err = c.skip(length)
	if closes || sent != nil {
		c.hangUp()
	}
	return status, err
}

// skip reads a body: of a known length, or in chunks.
func (c *client) skip(length int64) error {
	if length >= 0 {
		_, err := io.CopyN(io.Discard, c.r, length)
		return err
	}
	if _, err := io.Copy(io.Discard, httputil.NewChunkedReader(c.r)); err != nil {
		return err
	}
	_, err := c.r.ReadSlice('\n') // no trailers
	return err
}

// callers are so many clients of one variant, and what they have seen.
type callers struct {
	clients []*client
	pids    []int // what stands in front of the Engine, for its processor time

	times []time.Duration
	took  time.Duration
	cpu   time.Duration
}

func newCallers(socket string, n int, pids []int) *callers {
	c := &callers{pids: pids}
	for range n {
		c.clients = append(c.clients, &client{socket: socket})
	}
	return c
}

func (c *callers) hangUp() {
	for _, one := range c.clients {
		one.hangUp()
	}
}

// slice asks for a while, all callers at once, and expects that status.
func (c *callers) slice(request []byte, status int, during time.Duration, count bool) error {
	before, err := c.used()
	if err != nil {
		return err
	}
	var wg sync.WaitGroup
	times, failures := make([][]time.Duration, len(c.clients)), make([]error, len(c.clients))
	start := time.Now()
	for i, one := range c.clients {
		wg.Go(func() { times[i], failures[i] = one.keepAsking(request, status, start.Add(during)) })
	}
	wg.Wait()
	took := time.Since(start)
	after, err := c.used()
	if err = errors.Join(append(failures, err)...); err != nil || !count {
		return err
	}
	for _, t := range times {
		c.times = append(c.times, t...)
	}
	c.took += took
	c.cpu += after - before
	return nil
}

// numbered stands in a request for a number that is another one each time.
const numbered = "job0000000000"

var numbers atomic.Uint64

func (c *client) keepAsking(request []byte, status int, until time.Time) (times []time.Duration, err error) {
	request = bytes.Clone(request)
	number := bytes.Index(request, []byte(numbered))
	for from := time.Now(); from.Before(until) || len(times) == 0; {
		if number >= 0 {
			copy(request[number:], fmt.Sprintf("job%010d", numbers.Add(1)))
		}
		got, err := c.ask(request)
		if err == nil && got != status {
			err = fmt.Errorf("status %d, not %d", got, status)
		}
		if err != nil {
			return nil, err
		}
		now := time.Now()
		times = append(times, now.Sub(from))
		from = now
	}
	return times, nil
}

// used is the processor time of the processes so far.
func (c *callers) used() (sum time.Duration, err error) {
	for _, pid := range c.pids {
		one, err := cpuTime(pid)
		if err != nil {
			return 0, err
		}
		sum += one
	}
	return sum, nil
}
