package attest

import (
	"fmt"
	"strings"
	"testing"

	"vitrine/internal/kernel/procfs"
	"vitrine/test/host"
)

const (
	hostNS = host.Namespaces
	mon    = host.Mon
	web    = host.Web
	evil   = host.Evil
)

func containerNS(n int) string { return host.ContainerNS(n) }

// world is a host, and what the kernel says of its processes beside what /proc does.
type world struct {
	*host.Host
	t       *testing.T
	parents map[string]string // of PID namespaces
	roots   map[int]string    // root directories, by process; the host's is ""
}

func newWorld(t *testing.T) *world {
	return &world{Host: host.New(), t: t, parents: map[string]string{}, roots: map[int]string{}}
}

// begin makes the attestor, with the inventory filled.
func (w *world) begin(opts Options) *Attestor {
	p := procfs.New(w.Proc)
	if opts.Proc == nil {
		opts.Proc = &p
	}
	a := New(w, opts)
	a.withinPIDs = func(pid int, outer string) (bool, error) {
		ns, err := p.Namespace(pid, "pid")
		for err == nil && ns != outer && ns != "" {
			ns = w.parents[ns]
		}
		return ns == outer, err
	}
	a.sameRoot = func(pid, other int) (bool, error) { return w.roots[pid] == w.roots[other], nil }
	for _, c := range w.Held {
		w.Tell(c)
	}
	return a
}

// is holds the attestation of process pid, who it is, against want: "host",
// "peer", a container's id, or else a part of why it is unknown.
func (w *world) is(a Attestation, want string) {
	w.t.Helper()
	got := fmt.Sprint(a.Err)
	switch a.Kind {
	case Host:
		got = "host"
	case Peer:
		got = "peer"
	case Container:
		got = a.Container.ID
	case Unknown:
		if want != "host" && want != "peer" && len(want) != 64 && strings.Contains(got, want) {
			return
		}
	}
	if got != want {
		w.t.Errorf("attested %q, want %q", got, want)
	}
	if a.Kind == Unknown && a.Err == nil {
		w.t.Error("unknown, and no why")
	}
}
