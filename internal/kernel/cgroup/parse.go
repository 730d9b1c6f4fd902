package cgroup

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"slices"
)

// The kernel's formats, see "Format" in
// Documentation/admin-guide/cgroup-v2.rst. Nothing here allocates, but for errors.
//
// A row that cannot be read costs itself alone: the rows after it count, and the file's
// error says how many were left out.

var errNumber = errors.New("not a number")

// number reads decimal digits and nothing else.
func number(b []byte) (uint64, error) {
	if len(b) == 0 {
		return 0, errNumber
	}
	var n uint64
	for _, c := range b {
		d := uint64(c - '0')
		if c < '0' || c > '9' || n > (math.MaxUint64-d)/10 {
			return 0, errNumber
		}
		n = n*10 + d
	}
	return n, nil
}

// single reads a file of one number.
func single(b []byte, to *Value) error {
	n, err := number(bytes.TrimSpace(b))
	if err != nil {
		return fmt.Errorf("parse %.40q: %w", b, err)
	}
	*to = set(n)
	return nil
}

// noLimit: v1 writes the largest number of pages, in bytes; its exact value
// depends on the page size. No machine has an exbibyte.
const noLimit = 1 << 60

// limit reads a file of one number or "max" (v2), which means unset, as do the
// huge numbers and "-1" by which v1 says the same.
func limit(b []byte, to *Value) error {
	b = bytes.TrimSpace(b)
	if string(b) == "max" || string(b) == "-1" {
		return nil
	}
	if err := single(b, to); err != nil {
		return err
	}
	*to = asLimit(to.N)
	return nil
}

func asLimit(n uint64) Value {
	if n >= noLimit {
		return Value{}
	}
	return set(n)
}

// line cuts the first line off; more is false at the end.
func line(b []byte) (l, rest []byte, more bool) {
	if len(b) == 0 {
		return nil, nil, false
	}
	l, rest, _ = bytes.Cut(b, []byte{'\n'})
	return l, rest, true
}

// word cuts the first word off a line; an empty one is the end.
func word(l []byte) (w, rest []byte) {
	l = bytes.TrimLeft(l, " ")
	w, rest, _ = bytes.Cut(l, []byte{' '})
	return w, rest
}

// odd counts the rows of a file that were left out.
type odd struct {
	rows  int
	first error
}

func (o *odd) leaveOut(row []byte, why error) {
	if o.rows++; o.rows == 1 {
		o.first = fmt.Errorf("parse %.80q: %w", row, why)
	}
}

func (o *odd) err() error {
	if o.rows > 1 {
		return fmt.Errorf("%d rows left out, the first: %w", o.rows, o.first)
	}
	return o.first
}

// keyed calls take for each line "key number".
func keyed(b []byte, take func(key []byte, n uint64)) error {
	var odd odd
	for l, rest, more := line(b); more; l, rest, more = line(rest) {
		key, value, _ := bytes.Cut(l, []byte{' '})
		n, err := number(value)
		if err != nil {
			odd.leaveOut(l, err)
			continue
		}
		take(key, n)
	}
	return odd.err()
}

// parsePressure reads "some avg10=0.00 avg60=0.00 avg300=0.00 total=0" and the
// same for "full", which cpu.pressure has since 5.13.
func parsePressure(b []byte, to *Stall) error {
	var odd odd
	for l, rest, more := line(b); more; l, rest, more = line(rest) {
		kind, _ := word(l)
		_, total, _ := bytes.Cut(l, []byte(" total="))
		usec, err := number(total)
		if err != nil || usec > math.MaxUint64/1000 {
			odd.leaveOut(l, errNumber)
			continue
		}
		switch string(kind) {
		case "some":
			to.SomeNsec = set(usec * 1000)
		case "full":
			to.FullNsec = set(usec * 1000)
		}
	}
	return odd.err()
}

// parseList counts the numbers of a list such as "0-3,8", see cpuset(7).
func parseList(b []byte, to *Value) error {
	b = bytes.TrimSpace(b)
	var count uint64
	for len(b) > 0 {
		var item []byte
		item, b, _ = bytes.Cut(b, []byte{','})
		first, last, isRange := bytes.Cut(item, []byte{'-'})
		from, err := number(first)
		till := from
		if isRange && err == nil {
			till, err = number(last)
		}
		if err != nil || till < from || till > math.MaxUint32 {
			return fmt.Errorf("parse list item %.40q: %w", item, errNumber)
		}
		count += till - from + 1
	}
	*to = set(count)
	return nil
}

// device reads "major:minor".
func device(b []byte) (major, minor uint32, ok bool) {
	first, second, colon := bytes.Cut(b, []byte{':'})
	ma, err1 := number(first)
	mi, err2 := number(second)
	if !colon || err1 != nil || err2 != nil || ma > math.MaxUint32 || mi > math.MaxUint32 {
		return 0, 0, false
	}
	return uint32(ma), uint32(mi), true
}

// nameless is how the kernel calls a device that is gone. Its rows say nothing more, and are no error.
func nameless(b []byte) bool { return string(b) == "(unknown)" }

var errDevice = errors.New("no device")

// spoil leaves a device out of which some number could not be read: the others alone would look
// as if that one were 0.
func (s *Stats) spoil(major, minor uint32) {
	s.spoiled = append(s.spoiled, Device{Major: major, Minor: minor})
}

func (s *Stats) isSpoiled(d Device) bool {
	return slices.ContainsFunc(s.spoiled, func(x Device) bool { return x.Major == d.Major && x.Minor == d.Minor })
}

// onDevice finds a device in s, or adds it.
func (s *Stats) onDevice(major, minor uint32) *Device {
	for i := range s.IO {
		if s.IO[i].Major == major && s.IO[i].Minor == minor {
			return &s.IO[i]
		}
	}
	s.IO = append(s.IO, Device{Major: major, Minor: minor})
	return &s.IO[len(s.IO)-1]
}
