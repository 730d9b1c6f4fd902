package main

import (
	"bufio"
	"errors"
	"fmt"
	"net"
	"os"
	"time"

	"github.com/DataDog/datadog-go/v5/statsd"
)

// Rounds is how often everything is sent.
const rounds = 100

// everything's sums are in the test of that name.
func everything(address, namespace string) error {
	c, err := statsd.New(address, statsd.WithTags([]string{"az:eu-1a"}), statsd.WithNamespace(namespace), statsd.WithCardinality(statsd.CardinalityHigh),
		statsd.WithoutTelemetry(), statsd.WithoutClientSideAggregation(), statsd.WithSenderQueueSize(8192),
		statsd.WithWriteTimeout(5*time.Second), statsd.WithBufferFlushInterval(time.Hour), statsd.WithWorkersCount(1))
	if err != nil {
		return err
	}
	var errs []error
	ok := func(err error) { errs = append(errs, err) }
	for i := range rounds {
		ok(c.Count("count", int64(i), []string{"k:v"}, 1))
		ok(c.Incr("incr", nil, 1))
		ok(c.Gauge("gauge", float64(i), nil, 1))
		ok(c.Histogram("histogram", float64(i), nil, 1))
		ok(c.Distribution("distribution", float64(i)/2, nil, 1))
		ok(c.TimeInMilliseconds("timing", float64(i), nil, 1))
		ok(c.Set("set", fmt.Sprint(i), nil, 1))
	}
	// What follows lies in one packet each, and so in one interval.
	once := func(send func(i int) error) {
		ok(c.Flush())
		for i := range 8 {
			ok(send(i))
		}
	}
	once(func(i int) error { return c.Histogram("once.histogram", float64(i+1), nil, 1) })
	once(func(i int) error { return c.TimeInMilliseconds("once.timing", float64(i+1)*10, nil, 1) })
	once(func(i int) error { return c.Set("once.set", fmt.Sprint(i%5), nil, 1) })
	event := statsd.NewEvent("a title", "a\ntext | with: things")
	event.AlertType = statsd.Error
	ok(c.Event(event))
	ok(c.ServiceCheck(statsd.NewServiceCheck(namespace+".db", statsd.Critical)))
	ok(c.Flush())
	ok(c.Close())
	return errors.Join(errs...)
}

// steady says how many messages, one a packet, the kernel has taken, and how many
// milliseconds the slowest call took. The client drops what it cannot send; calls must
// neither fail nor wait for that.
func steady(address, name string) error {
	c, err := statsd.New(address, statsd.WithTelemetryAddr("unixgram:///nowhere"), // for GetTelemetry
		statsd.WithoutClientSideAggregation(), statsd.WithMaxMessagesPerPayload(1), statsd.WithCardinality(statsd.CardinalityHigh))
	if err != nil {
		return err
	}
	var slowest time.Duration
	say := func() { fmt.Printf("sent=%d slowest=%d\n", c.GetTelemetry().TotalPayloadsSent, slowest.Milliseconds()) }
	if err := everyMillisecond(say, func() error {
		began := time.Now()
		err := c.Incr(name, nil, 1)
		slowest = max(slowest, time.Since(began))
		return err
	}); err != nil {
		return err
	}
	err = c.Close()
	say()
	return err
}

// numbers sends NAME, a count of messages, NAME.number, the sum of their numbers, and
// NAME.square, that of their squares; a number is spent when the kernel has taken
// its message. It says how many it has taken.
func numbers(path, name string) error {
	sent := 0
	var c net.Conn
	write := func(n int) (err error) {
		if c == nil {
			if c, err = net.Dial("unixgram", path); err != nil {
				c = nil // and no net.Conn that holds one
				return err
			}
		}
		if _, err = fmt.Fprintf(c, "%[1]s:1|c\n%[1]s.number:%[2]d|c\n%[1]s.square:%[3]d|c", name, n, n*n); err != nil {
			_ = c.Close()
			c = nil
		}
		return err
	}
	say := func() { fmt.Printf("sent=%d\n", sent) }
	defer say()
	return everyMillisecond(say, func() error {
		if write(sent+1) == nil {
			sent++
		}
		return nil
	})
}

// everyMillisecond does something until the input ends, and says something for each line of it.
func everyMillisecond(say func(), do func() error) error {
	asked := make(chan struct{})
	go func() {
		defer close(asked)
		for in := bufio.NewScanner(os.Stdin); in.Scan(); {
			asked <- struct{}{}
		}
	}()
	for tick := time.Tick(time.Millisecond); ; {
		select {
		case _, more := <-asked:
			if !more {
				return nil
			}
			say()
		case <-tick:
			if err := do(); err != nil {
				return err
			}
		}
	}
}
