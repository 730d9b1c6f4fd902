// Sender is a program that tests put into containers and run on the host: it
// sends DogStatsD messages as a client would, and as an attacker.
//
//	sender everything ADDRESS NAMESPACE   something of everything, by Datadog's own client
//	sender raw PATH LINE…                 one datagram with these lines, and exit at once
//	sender flood PATH LINE                the line again and again, each in a datagram, until it is killed
//
// It is linked without libc, and needs nothing of the image.
package main

import (
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"time"

	"github.com/DataDog/datadog-go/v5/statsd"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "sender:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	if len(args) < 3 {
		return errors.New("want everything, raw or flood, where to, and what")
	}
	switch args[0] {
	case "everything":
		return everything(args[1], args[2])
	case "raw":
		return raw(args[1], args[2:])
	case "flood":
		return flood(args[1], args[2])
	}
	return fmt.Errorf("no command %s", args[0])
}

// Rounds is how often everything is sent.
const rounds = 100

// everything's sums are in the test of that name.
func everything(address, namespace string) error {
	c, err := statsd.New(address, statsd.WithTags([]string{"az:eu-1a"}), statsd.WithNamespace(namespace),
		statsd.WithoutTelemetry(), statsd.WithoutClientSideAggregation(), statsd.WithSenderQueueSize(8192),
		statsd.WithWriteTimeout(5*time.Second))
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
		ok(c.Set("set", fmt.Sprint(i%50), nil, 1))
	}
	event := statsd.NewEvent("a title", "a\ntext | with: things")
	event.AlertType = statsd.Error
	ok(c.Event(event))
	ok(c.ServiceCheck(statsd.NewServiceCheck(namespace+".db", statsd.Critical)))
	ok(c.Flush())
	ok(c.Close())
	return errors.Join(errs...)
}

func raw(path string, lines []string) error {
	c, err := net.Dial("unixgram", path)
	if err != nil {
		return err
	}
	_, err = c.Write([]byte(strings.Join(lines, "\n")))
	return err
}

// flood says on its output how many datagrams the kernel has taken: each time
// that it takes no more, and each time that it takes one again.
func flood(path, line string) error {
	var c net.Conn
	for sent, up := 0, false; ; time.Sleep(time.Millisecond) {
		err := errors.New("not connected")
		if c == nil {
			c, _ = net.Dial("unixgram", path)
		}
		if c != nil {
			if _, err = c.Write([]byte(line)); err != nil {
				_ = c.Close()
				c = nil
			}
		}
		if err == nil {
			sent++
		}
		if now := err == nil; now != up || sent%100 == 0 {
			up = now
			fmt.Printf("up=%t sent=%d\n", up, sent)
		}
	}
}
