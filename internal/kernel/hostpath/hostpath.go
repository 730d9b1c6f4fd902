// Package hostpath says what a path of the host is: where its symbolic links
// lead, for the daemon that is going to mount it.
//
// The kernel resolves it (openat2 with RESOLVE_IN_ROOT), below the root
// directory of dockerd, which may live in another mount namespace than we do:
// that of the process at the other end of dockerd's socket, as the kernel says, or a
// folder that the operator names. A socket that systemd holds for dockerd leads
// to systemd, whose root is the host's. What comes out is a path without a
// link in it that names the very file that the kernel found. What does not exist yet is appended
// as it is written: dockerd makes the missing folders of a bind itself.
//
// Who can write to one of the folders on the way can put a link there right
// after the answer. Nothing here can prevent that: what must not lead elsewhere
// must lie in folders that only root can write to (see Survey).
//
// Links of /proc that are no paths (magic links) and those below a /proc, which
// lead each process elsewhere, are refused. A file system that hangs, hangs a
// goroutine of ours: each caller may have a few of those, and is refused then.
package hostpath

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path"
	"strconv"
	"sync"
	"time"

	"vitrine/internal/fair"
	"vitrine/internal/kernel/peercred"
)

// ErrUnseen says that the host's files cannot be seen from here at all.
var ErrUnseen = errors.New("the host's files cannot be seen from here")

// ErrBusy says that a caller has as many paths looked up as it may, or all have.
var ErrBusy = errors.New("too many paths of the host are being looked up: one of them may be on a file system that hangs")

// Config is what a Host is made of.
type Config struct {
	// Root is the host's root directory as seen from here; "": that of the process
	// at the other end of Dial's connection.
	Root string
	Dial func(context.Context) (net.Conn, error) // to dockerd's own socket
	Proc string                                  // the host's processes; default /proc
	// Timeout of one path; default 1 s.
	Timeout time.Duration
	Logger  *slog.Logger // required
}

const (
	perCaller = 16  // paths being looked up at one time
	inAll     = 256 // a thread each, if they hang
)

// Host resolves paths.
type Host struct {
	cfg Config

	// In tests of what may go wrong these are others.
	find  func(p string) (string, error)              // resolve
	whose func(conn net.Conn) (*peercred.Peer, error) // peercred.FromConn

	mu    sync.Mutex // of root
	root  *root
	state string // what was logged last

	busy *fair.Count[string]
}

// root is the root directory of dockerd.
type root struct {
	dir    *os.File
	prefix string         // its own path, as the kernel tells us; "" if it is ours, too
	peer   *peercred.Peer // whose it is; nil: the operator named it
}

// New makes a Host. It looks at nothing yet: dockerd may not run.
func New(cfg Config) *Host {
	if cfg.Proc == "" {
		cfg.Proc = "/proc"
	}
	if cfg.Timeout <= 0 {
		cfg.Timeout = time.Second
	}
	h := &Host{cfg: cfg, whose: peercred.FromConn, busy: fair.NewCount[string](inAll, perCaller)}
	h.find = h.resolve
	return h
}

// Resolve says what an absolute, canonical path is. caller is whom it counts
// against. An error that is not ErrUnseen is about this path, or this caller.
func (h *Host) Resolve(ctx context.Context, caller, p string) (string, error) {
	if !path.IsAbs(p) || path.Clean(p) != p {
		return "", fmt.Errorf("look up %q on the host: it is no canonical path", p)
	}
	if !h.busy.Add(caller) {
		return "", ErrBusy
	}
	ctx, cancel := context.WithTimeout(ctx, h.cfg.Timeout)
	defer cancel()
	type answer struct {
		path string
		err  error
	}
	done := make(chan answer, 1)
	go func() {
		defer h.busy.Remove(caller)
		to, err := h.find(p)
		done <- answer{to, err}
	}()
	select {
	case a := <-done:
		if a.err != nil {
			return "", fmt.Errorf("look up %q on the host: %w", p, a.err)
		}
		return a.path, nil
	case <-ctx.Done():
		return "", fmt.Errorf("look up %q on the host: no answer in time: is it on a file system that hangs?", p)
	}
}

func (h *Host) resolve(p string) (string, error) {
	r, err := h.at()
	if err != nil {
		return "", fmt.Errorf("%w: %w", ErrUnseen, err)
	}
	return r.resolve(p)
}

// at is the root directory of the dockerd that runs now.
func (h *Host) at() (*root, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.root != nil && (h.root.peer == nil || h.root.peer.Alive() == nil) {
		return h.root, nil
	}
	if h.root != nil {
		h.root.close()
		h.root = nil
	}
	r, err := h.open()
	state := "visible"
	if err != nil {
		state = err.Error()
	}
	if state != h.state {
		h.state = state
		if err != nil {
			h.cfg.Logger.Warn("host paths cannot be resolved: a role must say unresolved: true to use one", "error", err)
		} else {
			h.cfg.Logger.Info("host paths are resolved", "root", r.dir.Name())
		}
	}
	h.root = r
	return r, err
}

func (h *Host) open() (*root, error) {
	if h.cfg.Root != "" {
		r := &root{}
		if err := r.open(h.cfg.Root); err != nil {
			return nil, fmt.Errorf("open the host's root directory: %w", err)
		}
		return r, nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), h.cfg.Timeout)
	defer cancel()
	conn, err := h.cfg.Dial(ctx)
	if err != nil {
		return nil, fmt.Errorf("connect to dockerd, to see whose socket it is: %w", err)
	}
	defer conn.Close()
	peer, err := h.whose(conn)
	if err != nil {
		return nil, fmt.Errorf("ask the kernel who dockerd is: %w", err)
	}
	r, err := h.rootOf(peer)
	if err != nil {
		peer.Close()
	}
	return r, err
}

// rootOf opens the root directory of a process, which must be the peer from first to last.
func (h *Host) rootOf(peer *peercred.Peer) (*root, error) {
	if peer.PID == 0 {
		return nil, errors.New("dockerd is in a PID namespace that is not visible here: share the host's (pid: host), or name the host's root directory (--host-root)")
	}
	r := &root{peer: peer}
	if err := r.open(path.Join(h.cfg.Proc, strconv.Itoa(peer.PID), "root")); err != nil {
		return nil, fmt.Errorf("open the root directory of dockerd (CAP_SYS_PTRACE is needed): %w", err)
	}
	if err := peer.Alive(); err != nil { // the number may have been another's by then
		_ = r.dir.Close()
		return nil, fmt.Errorf("dockerd (pid %d) is not the same any more: %w", peer.PID, err)
	}
	return r, nil
}

// close gives up the root directory of a dockerd that has ended. The operator's own is never given up.
func (r *root) close() {
	_ = r.dir.Close() // lookups that are still in it keep it open
	r.peer.Close()
}
