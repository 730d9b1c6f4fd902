// Sender is a program that tests put into containers and run on the host: it
// sends DogStatsD messages as a client would, and as an attacker.
//
//	sender everything ADDRESS NAMESPACE   something of everything, by Datadog's own client
//	sender steady ADDRESS NAME            a count every millisecond, by Datadog's own client, see everyMillisecond
//	sender raw TO [LINE…]                 one packet with these lines, or with its input, and exit at once; TO is
//	                                      a datagram socket's path, or unixstream://PATH
//	sender stay TO LINE…                  likewise, but stay until its input ends
//	sender numbers PATH NAME              numbered messages, likewise
//	sender contexts PATH NAME COUNT       as many counts of different names
//	sender forks PATH LINE COUNT          as many children that each send the line and exit at once
//	sender turns PATH                     children with PIDs of one's choice, see turns
//	sender as PID PATH LINE…              one datagram with the credentials of another process
//
// It is linked without libc, and needs nothing of the image.
package main

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strconv"
	"strings"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "sender:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	if len(args) < 2 {
		return errors.New("want a command, where to, and what")
	}
	command, to, rest := args[0], args[1], args[2:]
	switch {
	case command == "everything" && len(rest) == 1:
		return everything(to, rest[0])
	case command == "steady" && len(rest) == 1:
		return steady(to, rest[0])
	case command == "raw":
		return raw(to, rest)
	case command == "stay" && len(rest) > 0:
		return stay(to, rest)
	case command == "numbers" && len(rest) == 1:
		return numbers(to, rest[0])
	case command == "contexts" && len(rest) == 2:
		return contexts(to, rest[0], rest[1])
	case command == "forks" && len(rest) == 2:
		return forks(to, rest[0], rest[1])
	case command == "turns" && len(rest) == 0:
		return turns(to)
	case command == "as" && len(rest) > 1:
		return as(to, rest[0], rest[1:])
	}
	return fmt.Errorf("do not understand %q", args)
}

func raw(to string, lines []string) error {
	packet := []byte(strings.Join(lines, "\n"))
	if len(lines) == 0 {
		var err error
		if packet, err = io.ReadAll(os.Stdin); err != nil {
			return err
		}
	}
	network := "unixgram"
	if path, ok := strings.CutPrefix(to, "unixstream://"); ok {
		network, to = "unix", path
		packet = append(binary.LittleEndian.AppendUint32(nil, uint32(len(packet))), packet...)
	}
	c, err := net.Dial(network, to)
	if err != nil {
		return err
	}
	_, err = c.Write(packet)
	return err
}

func stay(to string, lines []string) error {
	if err := raw(to, lines); err != nil {
		return err
	}
	_, err := io.Copy(io.Discard, os.Stdin)
	return err
}

// contexts fills packets of 8 KiB.
func contexts(path, name, count string) error {
	n, err := strconv.Atoi(count)
	if err != nil {
		return err
	}
	c, err := net.Dial("unixgram", path)
	if err != nil {
		return err
	}
	var packet bytes.Buffer
	for i := range n {
		fmt.Fprintf(&packet, "%s.%d:1|c\n", name, i)
		if packet.Len() > 8100 || i == n-1 {
			if _, err := c.Write(packet.Bytes()); err != nil {
				return err
			}
			packet.Reset()
		}
	}
	return nil
}
