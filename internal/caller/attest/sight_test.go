package attest

import (
	"cmp"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"vitrine/internal/engine/docker"
	"vitrine/internal/kernel/procfs"
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
		"it is removed, of which the Engine tells when asked": {func(w *world, _ int) {
			delete(w.Engine, mon)
			w.Tell(docker.Container{ID: mon})
		}, "host", ""},
		"it can be read by the time that the Engine is asked": {func(w *world, _ int) { w.Stat(41, "S", 0) }, "host", ""},
		"it can never be read":                                {func(*world, int) {}, "the first process of container " + mon + " is not known yet", ""},
		"the daemon is blocked":                               {func(w *world, _ int) { w.Down = true }, "look up container " + mon, ""},
		"the service is in it":                                {func(w *world, _ int) { w.File("41/ns/mnt", "mnt:[77]"); w.Stat(41, "S", 0) }, "the mount namespace of container " + mon, ""},
		"no namespaces are shown":                             {func(w *world, _ int) { delete(w.Proc, "41/ns/mnt"); w.Stat(41, "S", 0) }, "CAP_SYS_PTRACE", ""},
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
				if waited := time.Since(began); waited > patience || len(w.Asked) == 1 && waited > 0 {
					t.Errorf("waited %v", waited)
				}
			})
		})
	}
}

// TestContainerThatIsNeverSeenIsNotWaitedForClosed: by its cgroups alone a container is known; that another one's mounts are not, no look will mend.
func TestContainerThatIsNeverSeenIsNotWaitedForClosed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.Container(mon, 41, "/docker/"+mon, "")
		w.Process(42, "/system.slice/runner.service", "user:[1] pid:[2] mnt:[77]")
		w.Container(web, 44, "/docker/"+web, "")
		w.Process(43, "/docker/"+mon, "user:[1] pid:[555] mnt:[556]") // whose namespaces can be read
		a := w.begin(Options{CgroupsAlone: true})
		began := time.Now()
		w.is(a.Attest(t.Context(), w.Peer(42)), "CAP_SYS_PTRACE")
		w.is(a.Attest(t.Context(), w.Peer(43)), mon)
		if waited := time.Since(began); waited > 0 || len(w.Asked) > 0 {
			t.Errorf("waited %v, asked about %v", waited, w.Asked)
		}
	})
}

// TestEndedApartClosed: only of a first process that has ended in a PID namespace which is not the host's, as far as can be seen, is it said.
func TestEndedApartClosed(t *testing.T) {
	for name, tc := range map[string]struct {
		change func(w *world)
		second string // what stat says at another look
		here   string
		want   bool
	}{
		"it has":                          {func(*world) {}, "", "", true},
		"it has not":                      {func(w *world) { w.Stat(41, "S", 0) }, "", "", false},
		"it is gone":                      {func(w *world) { delete(w.Proc, "41/stat") }, "", "", false},
		"its namespace cannot be read":    {func(w *world) { delete(w.Proc, "41/ns/pid") }, "", "", false},
		"it is a process of the host":     {func(w *world) { w.File("41/ns/pid", "pid:[2]") }, "", "", false},
		"ours is not known":               {func(*world) {}, "", "unknown", false},
		"the number is another's by then": {func(*world) {}, " 999 ", "", false},
	} {
		w := newWorld(t)
		w.Container(mon, 41, "/docker/"+mon, containerNS(1))
		w.Stat(41, "Z", 0)
		tc.change(w)
		var opts Options
		if tc.second != "" {
			p := procfs.New(&changing{files: w.Proc, name: "41/stat", second: strings.Replace(string(w.Proc["41/stat"].Data), " 410 ", tc.second, 1)})
			opts.Proc = &p
		}
		w.Held = map[string]docker.Container{}
		a := w.begin(opts)
		if tc.here != "" {
			a.here.ref.PID = ""
		}
		if got := a.endedApart(41); got != tc.want {
			t.Errorf("%s: %v", name, got)
		}
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
