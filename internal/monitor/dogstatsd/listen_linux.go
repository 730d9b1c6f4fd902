package dogstatsd

import (
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"vitrine/internal/kernel/unixsocket"
)

func (s *Server) listenDatagram(at unixsocket.File) (*receiver, error) {
	fd, remove, err := unixsocket.Bind(unix.SOCK_DGRAM, at, func(fd int) error {
		return errors.Join(
			unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_PASSCRED, 1),
			unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_TIMESTAMPNS, 1))
	})
	if err != nil {
		return nil, err
	}
	r := s.newReceiver(fd, &s.counts.datagram)
	r.remove = remove
	r.pidfds = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_PASSPIDFD, 1) == nil
	if b, err := os.ReadFile("/proc/sys/net/unix/max_dgram_qlen"); err == nil {
		r.queue, _ = strconv.Atoi(strings.TrimSpace(string(b)))
	}
	if r.senders, err = newClients(s.cfg.MaxSenders); err != nil {
		r.close()
		return nil, fmt.Errorf("listen on %s: %w", at.Path, err)
	}
	return r, nil
}

func (s *Server) listenUDP(address string) (*receiver, error) {
	addr, err := net.ResolveUDPAddr("udp", address)
	if err != nil {
		return nil, fmt.Errorf("listen on UDP %s: %w", address, err)
	}
	domain, sa := unix.AF_INET6, unix.Sockaddr(&unix.SockaddrInet6{Port: addr.Port, Addr: [16]byte(addr.IP.To16())})
	if ip4 := addr.IP.To4(); ip4 != nil {
		domain, sa = unix.AF_INET, &unix.SockaddrInet4{Port: addr.Port, Addr: [4]byte(ip4)}
	}
	fd, err := unix.Socket(domain, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("listen on UDP %s: %w", address, err)
	}
	if err := errors.Join(unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RXQ_OVFL, 1), unix.Bind(fd, sa)); err != nil {
		_ = unix.Close(fd)
		return nil, fmt.Errorf("listen on UDP %s: %w", address, err)
	}
	if n := s.cfg.ReceiveBuffer; n > 0 && unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, n) != nil {
		_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF, n)
	}
	return s.newReceiver(fd, &s.counts.udp), nil
}

func (r *receiver) addr() string {
	sa, err := unix.Getsockname(r.fd)
	if err != nil {
		return ""
	}
	switch a := sa.(type) {
	case *unix.SockaddrInet4:
		return (&net.UDPAddr{IP: a.Addr[:], Port: a.Port}).String()
	case *unix.SockaddrInet6:
		return (&net.UDPAddr{IP: a.Addr[:], Port: a.Port}).String()
	}
	return ""
}
