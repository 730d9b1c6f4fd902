package attest

import (
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"testing"
	"testing/fstest"

	"vitrine/internal/engine/docker"
	"vitrine/internal/kernel/procfs"
)

// Most of what is tested here is hidden elsewhere by a guard behind it; so each is asked alone.

// changing is a /proc in which a file reads differently from the second time on.
type changing struct {
	files        fstest.MapFS
	name, second string
	opened       int
}

func (c *changing) Open(name string) (fs.File, error) {
	if name == c.name {
		if c.opened++; c.opened == 2 {
			c.files[name] = &fstest.MapFile{Data: []byte(c.second)}
		}
	}
	return c.files.Open(name)
}
func (c *changing) ReadLink(name string) (string, error)   { return c.files.ReadLink(name) }
func (c *changing) Lstat(name string) (fs.FileInfo, error) { return c.files.Lstat(name) }

// TestInitThatIsAProcessOfTheHostGetsNoCgroupClosed: the Engine's number is that of a process of the host by now, which may
// be in any cgroup. What cannot be read is no such proof.
func TestInitThatIsAProcessOfTheHostGetsNoCgroupClosed(t *testing.T) {
	for namespaces, roots := range map[string]int{hostNS: 0, "user:[1] pid:[2] mnt:[201]": 3, "": 3} {
		w := newWorld(t)
		w.Container(mon, 41, "/docker/"+mon, namespaces)
		if got := w.begin(Options{CgroupsAlone: namespaces == ""}).known.containers[mon].roots; len(got) != roots {
			t.Errorf("in %q: %v", namespaces, got)
		}
	}
}

// TestNumberGivenAwayBetweenTwoLooksClosed: nothing is known of such a container.
func TestNumberGivenAwayBetweenTwoLooksClosed(t *testing.T) {
	w := newWorld(t)
	w.Container(mon, 41, "/docker/"+mon, containerNS(1))
	p := procfs.New(&changing{files: w.Proc, name: "41/stat", second: strings.Replace(string(w.Proc["41/stat"].Data), " 410 ", " 999 ", 1)})
	a := w.begin(Options{Proc: &p})
	if k, known := a.known.containers[mon]; known || !errors.Is(a.known.cannotRead(mon), procfs.ErrChanged) {
		t.Errorf("known as %+v; %v", k, a.known.cannotRead(mon))
	}
}

// TestInitIsLookedAtAgainClosed, unless it is the very process of the last time: by number, start, life, and the Engine's word.
func TestInitIsLookedAtAgainClosed(t *testing.T) {
	moved := "/docker/" + mon + "/further" // where a new look would see it
	for name, tc := range map[string]struct {
		change func(w *world)
		anew   bool
	}{
		"nothing has changed": {func(*world) {}, false},
		"another start time": {func(w *world) {
			w.Proc["41/stat"].Data = []byte(strings.Replace(string(w.Proc["41/stat"].Data), " 410 ", " 411 ", 1))
		}, true},
		"it has exited": {func(w *world) { w.Stat(41, "Z", 0) }, true},
		"it is gone":    {func(w *world) { delete(w.Proc, "41/stat") }, true},
		"another number, of one that began at the same time": {func(w *world) {
			w.File("43/stat", strings.Replace(string(w.Proc["41/stat"].Data), "41 (x)", "43 (x)", 1))
			w.Engine[mon] = docker.Container{ID: mon, Running: true, Pid: 43, StartedAt: "once"}
		}, true},
		"another number":             {func(w *world) { w.Engine[mon] = docker.Container{ID: mon, Running: true, Pid: 43, StartedAt: "once"} }, true},
		"started again, same number": {func(w *world) { w.Engine[mon] = docker.Container{ID: mon, Running: true, Pid: 41, StartedAt: "twice"} }, true},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.Container(mon, 41, "/docker/"+mon, containerNS(1))
			a := w.begin(Options{})
			before := a.known.containers[mon]
			w.File("41/cgroup", fmt.Sprintf("4:memory:%s\n3:cpu,cpuacct:/\n0::/\n", moved))
			tc.change(w)
			w.Tell(w.Engine[mon])
			after, known := a.known.containers[mon]
			if anew := !known || len(after.roots) != len(before.roots) || after.pid != before.pid; anew != tc.anew {
				t.Errorf("looked at again: %v; %+v, then %+v", anew, before, after)
			}
			if !known && a.known.cannotRead(mon) == nil {
				t.Error("nothing is known, and no why")
			}
		})
	}
}

// TestStoppedContainerIsForgotten, with why it could not be read.
func TestStoppedContainerIsForgotten(t *testing.T) {
	w := newWorld(t)
	w.Container(mon, 41, "/docker/"+mon, containerNS(1))
	w.Container(web, 42, "/docker/"+web, containerNS(2))
	delete(w.Proc, "42/stat")
	a := w.begin(Options{})
	if a.known.cannotRead(web) == nil {
		t.Fatal("it was read")
	}
	for _, id := range []string{mon, web} {
		w.Tell(docker.Container{ID: id})
	}
	if len(a.known.containers) > 0 || a.known.cannotRead(web) != nil || len(a.known.unread) > 0 {
		t.Errorf("%+v, %v", a.known.containers, a.known.unread)
	}
}

// TestConfirmedIsTheSameRunClosed: a container is known if the Engine names the very process, of the very start.
func TestConfirmedIsTheSameRunClosed(t *testing.T) {
	x := index{containers: map[string]confirmed{mon: {id: mon, pid: 41, startedAt: "once"}}}
	for c, want := range map[struct {
		id, startedAt string
		pid           int
	}]bool{{mon, "once", 41}: true, {web, "once", 41}: false, {mon, "twice", 41}: false, {mon, "once", 42}: false} {
		if x.has(docker.Container{ID: c.id, Pid: c.pid, StartedAt: c.startedAt}) != want {
			t.Errorf("%v: not %v", c, want)
		}
	}
	if (&index{}).has(docker.Container{}) {
		t.Error("a container of which nothing is known is known")
	}
}

// TestTwoContainersClaimOneCgroupClosed: neither has it, in whatever order they are looked at; the one further in still has its own.
func TestTwoContainersClaimOneCgroupClosed(t *testing.T) {
	root := func(id, path string) confirmed { return confirmed{id: id, roots: map[string]string{"memory": path}} }
	for range 20 { // maps have no order
		x := index{containers: map[string]confirmed{mon: root(mon, "/a/b"), web: root(web, "/a/b"), evil: root(evil, "/a")}}
		if k, err := x.innermost(procfs.Cgroup{Hierarchy: "memory", Path: "/a/b/c"}); err == nil {
			t.Fatalf("it is %s's", k.id)
		}
		if k, err := x.innermost(procfs.Cgroup{Hierarchy: "memory", Path: "/a/x"}); err != nil || k.id != evil {
			t.Fatalf("%s, %v", k.id, err)
		}
		if k, err := x.innermost(procfs.Cgroup{Hierarchy: "cpu", Path: "/a/b"}); err != nil || k.id != "" {
			t.Fatalf("in another hierarchy: %s, %v", k.id, err)
		}
		if k, err := x.surrounding([]procfs.Cgroup{{Hierarchy: "memory", Path: "/a/b/c"}}, nil); err == nil {
			t.Fatalf("around it is %s", k.id)
		}
		x.containers["innermost"] = root("innermost", "/a/b/c")
		if k, err := x.innermost(procfs.Cgroup{Hierarchy: "memory", Path: "/a/b/c/d"}); err != nil || k.id != "innermost" {
			t.Fatalf("%s, %v", k.id, err)
		}
	}
}

// TestInitDiesBeforeTheVerdictClosed: the container must be asked about anew, whatever its inventory says.
func TestInitDiesBeforeTheVerdictClosed(t *testing.T) {
	for name, damage := range map[string]func(w *world){
		"another process": func(w *world) {
			w.Proc["41/stat"].Data = []byte(strings.Replace(string(w.Proc["41/stat"].Data), " 410 ", " 411 ", 1))
		},
		"a zombie":     func(w *world) { w.Stat(41, "Z", 0) },
		"gone":         func(w *world) { delete(w.Proc, "41/stat") },
		"not readable": func(w *world) { w.File("41/stat", "nonsense") },
	} {
		w := newWorld(t)
		w.Container(mon, 41, "/docker/"+mon, containerNS(1))
		w.Process(42, "/docker/"+mon, containerNS(1))
		a := w.begin(Options{})
		facts, err := a.proc.Process(42)
		if err != nil {
			t.Fatal(err)
		}
		if id, kind, err := a.weigh(facts, nil); id != mon || kind != Container || err != nil {
			t.Fatal(id, kind, err)
		}
		damage(w)
		id, kind, err := a.weigh(facts, nil)
		_, again := errors.AsType[*askError](err)
		if kind != Unknown || id != "" || err == nil || again == (name == "not readable") {
			t.Errorf("%s: %v, %s, %v", name, kind, id, err)
		}
	}
}

// TestContainerThatHasStoppedClosed: its cgroup and its init are still there, and the inventory knows better.
func TestContainerThatHasStoppedClosed(t *testing.T) {
	for name, c := range map[string]*docker.Container{"stopped": {ID: mon, Pid: 41, StartedAt: "once"}, "gone": nil} {
		w := newWorld(t)
		w.Container(mon, 41, "/docker/"+mon, containerNS(1))
		w.Process(42, "/docker/"+mon, containerNS(1))
		a := w.begin(Options{})
		if delete(w.Held, mon); c != nil {
			w.Held[mon] = *c
		}
		t.Log(name)
		w.is(a.Attest(t.Context(), w.Peer(42)), "has stopped")
	}
}

// TestOwnContainerMustRunClosed, and be the one that its folder names.
func TestOwnContainerMustRunClosed(t *testing.T) {
	for name, s := range map[string]struct {
		held  docker.Container
		own   string
		known bool
	}{
		"named, and running":             {docker.Container{ID: mon, Running: true}, mon, true},
		"named, and stopped":             {docker.Container{ID: mon}, mon, false},
		"by its folder, and running":     {docker.Container{ID: mon, Running: true}, "", true},
		"by its folder, and stopped":     {docker.Container{ID: mon}, "", false},
		"by its folder, of another's id": {docker.Container{ID: web, Running: true}, "", false},
	} {
		w := newWorld(t)
		delete(w.Proc, "2/stat")
		w.Process(500, "/", containerNS(1))
		w.File("500/mountinfo", "10 9 8:1 /var/lib/docker/containers/"+mon+"/hostname /etc/hostname ro - ext4 /dev/x rw\n")
		a := w.begin(Options{Own: s.own})
		w.Held[mon] = s.held
		if id, err := a.OwnContainer(); (err == nil) != s.known || (id == mon) != s.known || !s.known && !errors.Is(err, ErrNotYet) {
			t.Errorf("%s: %q, %v", name, id, err)
		}
		w.Unready = true
		if id, err := w.begin(Options{Own: s.own}).OwnContainer(); err == nil || id != "" {
			t.Errorf("%s, before the containers are known: %q", name, id)
		}
	}
}

// TestMountsOfItsOwnClosed: what the kernel does not say of PID namespaces and of root directories is why, and no yes.
func TestMountsOfItsOwnClosed(t *testing.T) {
	cannot := errors.New("the kernel does not say")
	c := confirmed{id: mon, pids: "pid:[101]"}
	inside := procfs.Process{Namespaces: procfs.Namespaces{PID: "pid:[190]"}}
	for name, s := range map[string]struct {
		within bool
		err    error
		why    string
	}{
		"made within": {true, nil, ""}, "made elsewhere": {false, nil, "from elsewhere"}, "not to be told": {false, cannot, "does not say"},
	} {
		a := newWorld(t).begin(Options{})
		a.withinPIDs = func(int, string) (bool, error) { return s.within, s.err }
		if err := a.ownMounts(inside, c); (err == nil) != (s.why == "") || err != nil && !strings.Contains(err.Error(), s.why) {
			t.Errorf("a PID namespace %s: %v", name, err)
		}
	}
	a := newWorld(t).begin(Options{})
	a.withinPIDs = func(int, string) (bool, error) { return false, cannot }
	if err := a.ownMounts(procfs.Process{Namespaces: procfs.Namespaces{PID: c.pids}}, c); err != nil {
		t.Errorf("in the container's own PID namespace, of which nothing is to be asked: %v", err)
	}

	type told struct {
		same bool
		err  error
	}
	for name, s := range map[string]struct {
		of1, of2 told
		why      string
	}{
		"PID 1's":                              {told{true, nil}, told{false, cannot}, ""},
		"another one":                          {told{false, nil}, told{true, nil}, "not the host's"},
		"kthreadd's, where PID 1 is not shown": {told{false, cannot}, told{true, nil}, ""},
		"not kthreadd's either":                {told{false, cannot}, told{false, nil}, "not the host's"},
		"not to be told":                       {told{false, cannot}, told{false, cannot}, "does not say"},
	} {
		a.sameRoot = func(_, other int) (bool, error) {
			if other == 1 {
				return s.of1.same, s.of1.err
			}
			return s.of2.same, s.of2.err
		}
		if err := a.hostRoot(42); (err == nil) != (s.why == "") || err != nil && !strings.Contains(err.Error(), s.why) {
			t.Errorf("a root directory that is %s: %v", name, err)
		}
	}
}

// TestRoots: of who is confirmed, and nobody else; and the index can be changed afterwards.
func TestRoots(t *testing.T) {
	w := newWorld(t)
	w.Container(mon, 41, "/docker/"+mon+"/init.scope", containerNS(1))
	a := w.begin(Options{})
	if got := a.Roots(mon); len(got) != 3 || got["memory"] != "/docker/"+mon {
		t.Error(got)
	}
	w.Tell(docker.Container{ID: mon})
	if got := a.Roots(mon); got != nil {
		t.Errorf("of one that has stopped: %v", got)
	}
}
