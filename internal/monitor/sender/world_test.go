package sender

import (
	"fmt"
	"io/fs"
	"strings"
	"testing"

	"vitrine/internal/caller/attest"
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

// world is a host.
type world struct {
	*host.Host
	t *testing.T
}

func newWorld(t *testing.T) *world { return &world{Host: host.New(), t: t} }

// begin makes the finder, with the inventory filled.
func (w *world) begin(mounts map[string]fs.FS) *Finder {
	p := procfs.New(w.Proc)
	f := New(w, mounts, attest.Options{Proc: &p})
	for _, c := range w.Held {
		w.Tell(c)
	}
	return f
}

// is holds an attestation against want: a container's id, or else a part of why it is unknown.
func (w *world) is(at attest.Attestation, want string) {
	w.t.Helper()
	got := at.Container.ID
	if at.Kind != attest.Container {
		if got = fmt.Sprint(at.Err); len(want) != 64 && strings.Contains(got, want) {
			return
		}
	}
	if got != want {
		w.t.Errorf("attested %q, want %q", got, want)
	}
}
