package engine

import (
	"context"
	"fmt"
	"net"
	"os"
	"runtime"

	"golang.org/x/sys/unix"
)

// Dial connects from inside the engine's network namespace: to its TLS listener, its registry, a container's address.
// The connection stays usable everywhere.
func (e *Engine) Dial(ctx context.Context, network, address string) (net.Conn, error) {
	pid, err := e.holderPid()
	if err != nil {
		return nil, err
	}
	return DialFrom(ctx, pid, network, address)
}

// DialFrom connects from inside a process's network namespace: to what a container without a network listens on.
func DialFrom(ctx context.Context, pid int, network, address string) (net.Conn, error) {
	var conn net.Conn
	err := inNetwork(pid, func() (err error) {
		var d net.Dialer
		conn, err = d.DialContext(ctx, network, address)
		return err
	})
	return conn, err
}

// Listen listens inside the engine's network namespace: for what the daemon, or a container on the host's network, is to
// call.
func (e *Engine) Listen(ctx context.Context, network, address string) (net.Listener, error) {
	pid, err := e.holderPid()
	if err != nil {
		return nil, err
	}
	var l net.Listener
	err = inNetwork(pid, func() (err error) {
		var c net.ListenConfig
		l, err = c.Listen(ctx, network, address)
		return err
	})
	return l, err
}

// inNetwork calls f on a thread that is in a process's network namespace and is given up afterwards. A socket belongs
// to the namespace of the thread that makes it; a literal address is dialled on the calling thread.
func inNetwork(pid int, f func() error) error {
	ns, err := os.Open(fmt.Sprintf("/proc/%d/ns/net", pid))
	if err != nil {
		return err
	}
	defer ns.Close()
	done := make(chan error)
	go func() {
		runtime.LockOSThread() // never unlocked: the thread ends with the goroutine
		if err := unix.Setns(int(ns.Fd()), unix.CLONE_NEWNET); err != nil {
			done <- fmt.Errorf("enter the network namespace of pid %d: %w", pid, err)
			return
		}
		done <- f()
	}()
	return <-done
}
