// Package peercred says what the kernel knows of the process at the other end
// of a Unix socket: credentials, groups and a pidfd that pins the process.
package peercred

// Peer is the process that connected, pinned when the connection was accepted.
type Peer struct {
	UID, GID uint32
	Groups   []uint32
	PID      int // 0: a process of another PID namespace
}
