package procfs

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
)

// Interface is one line of /proc/<pid>/net/dev, see proc_pid_net(5): counters of
// a network interface in that process's network namespace, since it was made.
type Interface struct {
	// Name is chosen by whoever administers the namespace, and need not be UTF-8.
	Name   string
	Rx, Tx Traffic
}

// Traffic is what went one way. Fifo counts overruns, which are errors too.
type Traffic struct{ Bytes, Packets, Errors, Dropped, Fifo uint64 }

// ParseNetDev reads a net/dev file into the memory of into, which may be nil.
// It allocates only for names that were not in into at the same place. A row that cannot be
// read costs itself alone; the error is of the first.
func ParseNetDev(b []byte, into []Interface) ([]Interface, error) {
	old := into[:cap(into)]
	into = into[:0]
	var odd error
rows:
	for n := 0; len(b) > 0; n++ {
		var line []byte
		line, b, _ = bytes.Cut(b, []byte{'\n'})
		if n < 2 { // the headings
			continue
		}
		name, rest, _ := bytes.Cut(line, []byte{':'}) // without a colon there are no numbers
		name = bytes.TrimLeft(name, " ")
		if len(name) == 0 {
			odd = cmp.Or(odd, fmt.Errorf("parse %.60q: no interface", line))
			continue
		}
		var f [16]uint64
		for i := range f {
			var err error
			if f[i], rest, err = nextNumber(rest); err != nil {
				odd = cmp.Or(odd, fmt.Errorf("parse %.60q: %w", line, err))
				continue rows
			}
		}
		i := Interface{
			Rx: Traffic{Bytes: f[0], Packets: f[1], Errors: f[2], Dropped: f[3], Fifo: f[4]},
			Tx: Traffic{Bytes: f[8], Packets: f[9], Errors: f[10], Dropped: f[11], Fifo: f[12]},
		}
		if at := len(into); at < len(old) && old[at].Name == string(name) {
			i.Name = old[at].Name
		} else {
			i.Name = string(name)
		}
		into = append(into, i)
	}
	return into, odd
}

var errNumber = errors.New("a number is missing")

func nextNumber(b []byte) (n uint64, rest []byte, err error) {
	b = bytes.TrimLeft(b, " ")
	end := 0
	for end < len(b) && b[end] >= '0' && b[end] <= '9' {
		d := uint64(b[end] - '0')
		if n > (1<<64-1-d)/10 {
			return 0, nil, errNumber
		}
		n = n*10 + d
		end++
	}
	if end == 0 || end < len(b) && b[end] != ' ' {
		return 0, nil, errNumber
	}
	return n, b[end:], nil
}

// Address is an address or a subnet that an interface of a namespace has.
type Address struct {
	Interface string
	Prefix    netip.Prefix // one address where the kernel shows it (IPv6), else the subnet
}

// Addresses reads /proc/<pid>/net/route and net/if_inet6: to which networks the
// interfaces of a process's namespace belong. The files are readable for all. With an error
// about a row there are the others.
func (p FS) Addresses(pid int) ([]Address, error) {
	route, err := p.read(pid, "net/route")
	if err != nil {
		return nil, fmt.Errorf("read routes of pid %d: %w", pid, err)
	}
	out, odd := parseRoutes(route)
	if inet6, err := p.read(pid, "net/if_inet6"); err == nil { // else a kernel without IPv6
		six, err := parseInet6(inet6)
		out, odd = append(out, six...), cmp.Or(odd, err)
	}
	if odd != nil {
		odd = fmt.Errorf("parse addresses of pid %d: %w", pid, odd)
	}
	return out, odd
}

// parseRoutes keeps the subnets that are reached without a gateway. The numbers
// are in hex, as the machine (a little-endian one) has them in memory.
func parseRoutes(b []byte) ([]Address, error) {
	var out []Address
	var odd error
	first := true
	for line := range strings.Lines(string(b)) {
		if first { // the heading
			first = false
			continue
		}
		f := strings.Fields(line)
		const iface, dest, gateway, mask = 0, 1, 2, 7
		if len(f) <= mask {
			odd = cmp.Or(odd, fmt.Errorf("bad line %.80q", line))
			continue
		}
		to, err1 := hexAddr(f[dest])
		via, err2 := hexAddr(f[gateway])
		m, err3 := hexAddr(f[mask])
		if err := errors.Join(err1, err2, err3); err != nil {
			odd = cmp.Or(odd, fmt.Errorf("bad line %.80q: %w", line, err))
			continue
		}
		bits := 0
		for four := m.As4(); bits < 32 && four[bits/8]&(0x80>>(bits%8)) != 0; {
			bits++
		}
		if via.IsUnspecified() && bits > 0 {
			out = append(out, Address{f[iface], netip.PrefixFrom(to, bits)})
		}
	}
	return out, odd
}

func hexAddr(s string) (netip.Addr, error) {
	n, err := strconv.ParseUint(s, 16, 32)
	if err != nil {
		return netip.Addr{}, err
	}
	var b [4]byte
	binary.NativeEndian.PutUint32(b[:], uint32(n))
	return netip.AddrFrom4(b), nil
}

// parseInet6 reads lines "fd000000000000000000000000000002 05 40 00 80 eth0".
func parseInet6(b []byte) ([]Address, error) {
	var out []Address
	var odd error
	for line := range strings.Lines(string(b)) {
		f := strings.Fields(line)
		if len(f) != 6 {
			odd = cmp.Or(odd, fmt.Errorf("bad line %.80q", line))
			continue
		}
		raw, err := hex.DecodeString(f[0])
		addr, ok := netip.AddrFromSlice(raw)
		if err != nil || !ok {
			odd = cmp.Or(odd, fmt.Errorf("bad address in line %.80q", line))
			continue
		}
		out = append(out, Address{f[5], netip.PrefixFrom(addr, addr.BitLen())})
	}
	return out, odd
}
