package attest

import (
	"cmp"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"vitrine/internal/engine/docker"
)

// TestUnseenContainerLocksNoServiceOut: a service of the host that has mounts of its own (PrivateTmp=yes) is known only
// while every container's mount namespace is. Of a container whose first process could not be read just when the Engine
// told of it, the Engine is asked again, and the service waits: for a while.
func TestUnseenContainerLocksNoServiceOut(t *testing.T) {
	for name, tc := range map[string]struct {
		asked func(w *world, times int) // while the Engine is asked
		want  string
		lost  string // the file that cannot be read; 41/stat if empty
	}{
		"its first process can be read a moment later": {func(w *world, times int) {
			if times == 2 {
				w.Stat(41, "S", 0)
			}
		}, "host", ""},
		"it has ended, which the Engine notices later": {func(w *world, times int) {
			if times == 3 {
				w.Engine[mon] = docker.Container{ID: mon}
			}
		}, "host", ""},
		"it is about to end, and has given its namespaces back": {func(w *world, times int) {
			if times == 2 {
				w.Engine[mon] = docker.Container{ID: mon}
			}
		}, "host", "41/ns/mnt"},
		"it can never be read":    {func(*world, int) {}, "the first process of container " + mon + " is not known yet", ""},
		"the daemon is blocked":   {func(w *world, _ int) { w.Down = true }, "look up container " + mon, ""},
		"the service is in it":    {func(w *world, _ int) { w.File("41/ns/mnt", "mnt:[77]"); w.Stat(41, "S", 0) }, "the mount namespace of container " + mon, ""},
		"no namespaces are shown": {func(w *world, _ int) { delete(w.Proc, "41/ns/mnt"); w.Stat(41, "S", 0) }, "CAP_SYS_PTRACE", ""},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				w.Container(mon, 41, "/docker/"+mon, containerNS(1))
				delete(w.Proc, cmp.Or(tc.lost, "41/stat"))
				w.Process(42, "/system.slice/runner.service", "user:[1] pid:[2] mnt:[77]")
				a := w.begin(Options{})
				w.OnAsk = func() { tc.asked(w, len(w.Asked)) }
				began := time.Now()
				got := a.Attest(t.Context(), w.Peer(42))
				w.is(got, tc.want)
				if name != "the service is in it" && got.Kind == Unknown && !errors.Is(got.Err, ErrNotYet) {
					t.Errorf("nobody would ask again: %v", got.Err)
				}
				if waited := time.Since(began); waited > patience {
					t.Errorf("waited %v", waited)
				}
			})
		})
	}
}

// TestUnseenContainerIsAskedAboutForServicesAloneClosed: who has another root directory than the host's makes the Engine do nothing.
func TestUnseenContainerIsAskedAboutForServicesAloneClosed(t *testing.T) {
	w := newWorld(t)
	w.Container(mon, 41, "/docker/"+mon, containerNS(1))
	delete(w.Proc, "41/stat")
	w.Process(42, "/system.slice/runner.service", "user:[1] pid:[2] mnt:[77]")
	w.roots[42] = "elsewhere"
	w.is(w.begin(Options{}).Attest(t.Context(), w.Peer(42)), "a root directory that is not the host's")
	if len(w.Asked) > 0 {
		t.Errorf("asked about %v", w.Asked)
	}
}

// TestFirstThreadThatEndsLocksNoServiceOutClosed: a container whose first thread ends while another one goes on runs, and shows no mount namespace any
// more, for as long as it likes. Nobody waits for one that has a PID namespace of its own.
func TestFirstThreadThatEndsLocksNoServiceOutClosed(t *testing.T) {
	for pids, want := range map[string]string{containerNS(1): "host", hostNS: "is not known yet"} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t)
			w.Container(mon, 41, "/docker/"+mon, pids)
			w.Stat(41, "Z", 0)
			delete(w.Proc, "41/ns/mnt")
			w.Process(42, "/system.slice/runner.service", "user:[1] pid:[2] mnt:[77]")
			w.Process(43, "/docker/"+mon, pids)
			a := w.begin(Options{})
			began := time.Now()
			w.is(a.Attest(t.Context(), w.Peer(42)), want)
			if waited := time.Since(began); want == "host" && waited > 0 {
				t.Errorf("waited %v", waited)
			}
			w.is(a.Attest(t.Context(), w.Peer(43)), "not known yet")
		})
	}
}
