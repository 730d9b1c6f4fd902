package sender

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"testing/fstest"
	"time"

	"vitrine/internal/caller/attest"
	"vitrine/internal/engine/docker"
	"vitrine/internal/kernel/peercred"
	"vitrine/internal/kernel/procfs"
)

const inner = "cccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccc"

// later says that the answer may be another one in a moment.
func later(at attest.Attestation) bool { return errors.Is(at.Err, attest.ErrNotYet) }

// cgroups makes a tree of folders, and gives the ids of all.
func cgroups(t *testing.T, folders ...string) (mount fs.FS, id func(string) uint64) {
	t.Helper()
	dir := t.TempDir()
	for _, f := range folders {
		if err := os.MkdirAll(filepath.Join(dir, f), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	mount = os.DirFS(dir)
	return mount, func(path string) uint64 {
		t.Helper()
		n, ok := inode(mount, path)
		if !ok {
			t.Fatalf("no folder %s", path)
		}
		return n
	}
}

func TestInCgroup(t *testing.T) {
	w := newWorld(t)
	w.Container(web, 1000, "/docker/"+web, containerNS(1))
	w.Container(mon, 2000, "/docker/"+web+"/docker/"+mon, containerNS(2)) // nested by --cgroup-parent
	mount, id := cgroups(t, "docker/"+web+"/app/worker", "docker/"+web+"/docker/"+mon+"/deep", "docker/"+web+"/docker/"+inner,
		"docker/"+evil, "system.slice/ssh.service", "user.slice/docker-"+web+".scope")
	a := w.begin(map[string]fs.FS{"": mount})
	for folder, want := range map[string]string{
		"/docker/" + web:                              web,
		"/docker/" + web + "/app":                     web,
		"/docker/" + web + "/app/worker":              web,
		"/docker/" + web + "/docker/" + mon:           mon,
		"/docker/" + web + "/docker/" + mon + "/deep": mon,
		"/docker/" + web + "/docker/" + inner:         "no such container", // not web's for certain
		"/docker/" + evil:                             "is not known",      // a folder with a container-like name
		"/docker":                                     "no such container",
		"/system.slice/ssh.service":                   "no such container",
		"/user.slice/docker-" + web + ".scope":        "no such container",
	} {
		t.Run(strings.NewReplacer("/", "_", web, "web", mon, "mon", evil, "evil", inner, "inner").Replace(folder), func(t *testing.T) {
			for range 2 { // also from memory
				got := a.inCgroup(id(folder))
				for later(got) && errors.Is(got.Err, errNoSuch) { // walks are rationed
					got = a.inCgroup(id(folder))
				}
				w.is(got, want)
			}
		})
	}
}

// TestInCgroupBesideAnUnconfinedOneClosed: a container that may write to the cgroup file system
// can have moved whoever is in another's cgroup there, a moment ago too.
func TestInCgroupBesideAnUnconfinedOneClosed(t *testing.T) {
	w := newWorld(t)
	w.Container(web, 1000, "/docker/"+web, containerNS(1))
	w.Container(mon, 2000, "/docker/"+mon, containerNS(2))
	c := w.Engine[mon]
	c.Detail = &docker.Detail{Rights: docker.Rights{Privileged: true}}
	w.Held[mon] = c
	mount, id := cgroups(t, "docker/"+web, "docker/"+mon)
	a := w.begin(map[string]fs.FS{"": mount})
	w.is(a.inCgroup(id("/docker/"+web)), "may move processes")
	w.is(a.inCgroup(id("/docker/"+mon)), mon)
	c.Running, c.Pid = false, 0
	w.Tell(c)
	w.is(a.inCgroup(id("/docker/"+web)), "may move processes")
}

// TestInCgroupBesideOurOwnContainer: the monitor with CAP_SYS_PTRACE and the host's
// PIDs may move processes, and does not.
func TestInCgroupBesideOurOwnContainer(t *testing.T) {
	w := newWorld(t)
	w.Container(web, 1000, "/docker/"+web, containerNS(1))
	const own = "user:[1] pid:[2] mnt:[77]"
	w.Container(mon, 41, "/docker/"+mon, own)
	w.Process(500, "/docker/"+mon, own)
	c := w.Engine[mon]
	c.Detail = &docker.Detail{Rights: docker.Rights{Privileged: true}}
	w.Held[mon] = c
	mount, id := cgroups(t, "docker/"+web, "docker/"+mon)
	a := w.begin(map[string]fs.FS{"": mount})
	w.is(a.inCgroup(id("/docker/"+web)), web)
	c.ID = evil
	w.Tell(c)
	w.is(a.inCgroup(id("/docker/"+web)), "may move processes")
}

// TestInCgroupBesideAnUnconfinedOneThatIsNotKnownToRunClosed: a container can move somebody
// before the Engine tells that it runs, and have ended by then.
func TestInCgroupBesideAnUnconfinedOneThatIsNotKnownToRunClosed(t *testing.T) {
	ago := func(d time.Duration) string { return time.Now().Add(-d).Format(time.RFC3339Nano) }
	for name, tt := range map[string]struct {
		detail docker.Detail
		moves  bool
	}{
		"created":          {docker.Detail{State: "created", FinishedAt: "0001-01-01T00:00:00Z"}, true},
		"ended":            {docker.Detail{State: "exited", FinishedAt: ago(time.Second)}, true},
		"removed":          {docker.Detail{State: "running", FinishedAt: "0001-01-01T00:00:00Z"}, true},
		"ended long since": {docker.Detail{State: "exited", FinishedAt: ago(time.Hour)}, false},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.Container(web, 1000, "/docker/"+web, containerNS(1))
			mount, id := cgroups(t, "docker/"+web)
			a := w.begin(map[string]fs.FS{"": mount})
			w.is(a.inCgroup(id("/docker/"+web)), web)
			tt.detail.Rights.Privileged = true
			w.Tell(docker.Container{ID: evil, Name: "evil", Detail: &tt.detail})
			if tt.moves {
				w.is(a.inCgroup(id("/docker/"+web)), "may move processes")
			} else {
				w.is(a.inCgroup(id("/docker/"+web)), web)
			}
		})
	}
}

// TestExited: a process of which only the id of its cgroup is left is told from
// one that is merely not known.
func TestExited(t *testing.T) {
	for _, tt := range []struct {
		name  string
		build func(w *world, p *peercred.Peer)
		want  bool
	}{
		{"exited before the look", func(w *world, _ *peercred.Peer) { w.Stat(42, "Z", 0) }, true},
		{"exited and reaped", func(w *world, _ *peercred.Peer) { delete(w.Proc, "42/stat") }, true},
		{"its number is another's", func(w *world, _ *peercred.Peer) {
			w.File("42/stat", strings.Replace(string(w.Proc["42/stat"].Data), " 420 ", " 421 ", 1))
		}, true},
		{"about to exit, and has no namespaces any more", func(w *world, _ *peercred.Peer) {
			w.Stat(42, "R", procfs.FlagExiting)
			delete(w.Proc, "42/ns/mnt")
		}, true},
		{"no longer pinned", func(_ *world, p *peercred.Peer) { p.Close() }, true},
		{"exits while the Engine is asked", func(w *world, _ *peercred.Peer) { w.OnAsk = func() { w.Stat(42, "Z", 0) } }, true},
		{"its container is not known", func(w *world, _ *peercred.Peer) { delete(w.Engine, mon) }, false},
		{"the Engine does not answer", func(w *world, _ *peercred.Peer) { w.Down = true }, false},
		{"its namespaces cannot be read", func(w *world, _ *peercred.Peer) { delete(w.Proc, "42/ns/mnt") }, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(t)
			w.Container(mon, 41, "/docker/"+mon, containerNS(1))
			w.Process(42, "/docker/"+mon, containerNS(1))
			w.Late(mon)
			a, p := w.begin(nil), w.Peer(42)
			tt.build(w, p)
			at := a.Attestor.Attest(t.Context(), p)
			if exited := a.exited(p, at.Err); at.Kind != attest.Unknown || exited != tt.want {
				t.Errorf("kind %v, exited %v (%s), want it unknown and exited %v", at.Kind, exited, at.Err, tt.want)
			}
			if at := a.Attest(t.Context(), p); at.Kind != attest.Unknown || tt.want && later(at) {
				t.Errorf("kind %v, later %v", at.Kind, later(at))
			}
		})
	}
}

// TestWalksAreRationed: who makes cgroups for senders that exit at once cannot keep
// us walking, and what is not looked for is asked again.
func TestWalksAreRationed(t *testing.T) {
	w, f := newWorld(t), newTree("/docker")
	w.Container(web, 1000, "/docker/"+web, containerNS(1))
	f.make("/docker/"+web, 100, 0, 0o755)
	for i := range 500 {
		f.make(fmt.Sprintf("/docker/%s/%d", web, i), uint64(1000+i), 0, 0o755)
	}
	a := w.begin(f.mounts())
	began, walked := time.Now(), 0
	for i := range 500 {
		if got := a.inCgroup(uint64(1000000 + i)); !later(got) {
			walked++
		}
	}
	if walked > 250 {
		t.Errorf("%d of 500 walks in %v", walked, time.Since(began))
	}
}

func TestInCgroupOfAnEndedContainer(t *testing.T) {
	w := newWorld(t)
	w.Container(web, 1000, "/docker/"+web, containerNS(1))
	mount, id := cgroups(t, "docker/"+web)
	a := w.begin(map[string]fs.FS{"": mount})
	was := id("/docker/" + web)
	c := w.Engine[web]
	c.Running, c.Pid = false, 0
	w.Tell(c)
	w.is(a.inCgroup(was), web)
}

// tree is a version 2 hierarchy that the test changes as the kernel would. All
// folders are root's unless they say otherwise.
type tree fstest.MapFS

// make makes a folder, owned by uid, whose cgroup has the id.
func (f tree) make(path string, id uint64, uid uint32, mode fs.FileMode) {
	f[strings.TrimPrefix(path, "/")] = &fstest.MapFile{Mode: fs.ModeDir | mode, Sys: &syscall.Stat_t{Ino: id, Uid: uid}}
}

func (f tree) remove(path string) { delete(f, strings.TrimPrefix(path, "/")) }

func newTree(parents ...string) tree {
	f := tree{}
	f.make(".", 1, 0, 0o755)
	for i, p := range parents {
		f.make(p, uint64(i)+2, 0, 0o755)
	}
	return f
}

func (f tree) mounts() map[string]fs.FS { return map[string]fs.FS{"": fstest.MapFS(f)} }

// created makes a container one that the inventory holds, without a process.
func (w *world) created(id string) {
	w.Engine[id] = docker.Container{ID: id, Name: id[:3]}
	w.Held[id] = w.Engine[id]
}

// starts makes a container run as process pid.
func (w *world) starts(id string, pid int, path string) {
	w.Container(id, pid, path, containerNS(7))
	w.Tell(w.Held[id])
}

// TestEndedBeforeItWasListed: a container's only process sends and exits, and
// container and cgroup are gone before the Engine has told that it ran.
func TestEndedBeforeItWasListed(t *testing.T) {
	for _, name := range []string{"/docker/" + web, "/system.slice/docker-" + web + ".scope"} {
		w, f := newWorld(t), newTree("/docker", "/system.slice")
		a := w.begin(f.mounts())
		f.make(name, 100, 0, 0o755)
		f.make(name+"/app", 101, 70000, 0o777) // what is below is the container's
		for _, id := range []uint64{100, 101} {
			if got := a.inCgroup(id); got.Kind != attest.Unknown || !later(got) {
				t.Fatalf("%s: kind %v, later %v before the Engine has told", name, got.Kind, later(got))
			}
		}
		f.remove(name)
		f.remove(name + "/app")
		before := a.Changed()
		w.created(web)
		w.Tell(w.Held[web])
		select {
		case <-before:
		default:
			t.Error("nobody is told to ask again")
		}
		w.is(a.inCgroup(100), web)
		w.is(a.inCgroup(101), web)
	}
}

// TestStartedBeforeItWasListed: as above, but the container runs on, and is confirmed.
func TestStartedBeforeItWasListed(t *testing.T) {
	w, f := newWorld(t), newTree("/elsewhere")
	a := w.begin(f.mounts())
	f.make("/elsewhere/"+web, 100, 0, 0o755)
	w.is(a.inCgroup(100), "is not known")
	f.remove("/elsewhere/" + web) // so that nothing but what was seen tells
	w.Engine[web] = docker.Container{ID: web, Name: "web", Running: true, Pid: 4711}
	w.Held[web] = w.Engine[web]
	if got := a.inCgroup(100); got.Kind != attest.Unknown || !later(got) {
		t.Errorf("kind %v, later %v of a container that is not confirmed", got.Kind, later(got))
	}
	w.starts(web, 41, "/elsewhere/"+web)
	w.is(a.inCgroup(100), web)
}

// TestNoticedWhileAlive: what a living process shows is remembered before the Engine is asked.
func TestNoticedWhileAlive(t *testing.T) {
	w, f := newWorld(t), newTree("/docker")
	a := w.begin(f.mounts())
	w.Process(42, "/docker/"+web, containerNS(1))
	f.make("/docker/"+web, 100, 0, 0o755)
	w.OnAsk = func() { f.remove("/docker/" + web); w.Stat(42, "Z", 0); w.created(web) }
	if got := a.Attest(t.Context(), w.Peer(42)); got.Kind != attest.Unknown {
		t.Errorf("kind %v", got.Kind)
	}
	w.is(a.inCgroup(100), web)
}

// TestNamedCgroupsClosed: what looks like the cgroup of a container that has ended, and is not.
func TestNamedCgroupsClosed(t *testing.T) {
	for name, build := range map[string]func(w *world, f tree) string{
		"a user's own folder": func(_ *world, f tree) string {
			f.make("/user.slice", 10, 0, 0o755)
			f.make("/user.slice/user@1000.service", 11, 1000, 0o755)
			return "/user.slice/user@1000.service/docker-" + web + ".scope"
		},
		"where others may write": func(_ *world, f tree) string {
			f.make("/docker", 10, 0, 0o777)
			return "/docker/" + web
		},
		"where a user owns a folder above": func(_ *world, f tree) string {
			f.make("/system.slice", 10, 1000, 0o755)
			return "/system.slice/docker-" + web + ".scope"
		},
		"root's, but not where the Engine makes its own": func(_ *world, f tree) string {
			f.make("/machine.slice", 10, 0, 0o755)
			return "/machine.slice/" + web
		},
		"in another container, which may write there": func(_ *world, f tree) string {
			f.make("/docker", 10, 0, 0o755)
			f.make("/docker/"+evil, 11, 0, 0o755)
			return "/docker/" + evil + "/" + web
		},
		"in a folder of another runtime": func(_ *world, f tree) string {
			f.make("/kubepods", 10, 0, 0o755)
			return "/kubepods/" + web
		},
		"a name around the id": func(_ *world, f tree) string {
			f.make("/docker", 10, 0, 0o755)
			return "/docker/x" + web
		},
		"another container in it": func(_ *world, f tree) string {
			f.make("/docker", 10, 0, 0o755)
			f.make("/docker/"+web, 11, 0, 0o755)
			return "/docker/" + web + "/" + inner
		},
		"a user's folder, where the container then starts": func(w *world, f tree) string {
			f.make("/mine", 10, 1000, 0o755)
			path := "/mine/" + web
			w.OnAsk = func() { w.starts(web, 41, path) }
			return path
		},
	} {
		t.Run(name, func(t *testing.T) {
			w, f := newWorld(t), newTree()
			path := build(w, f)
			f.make(path, 100, 0, 0o755)
			w.created(web)
			w.created(evil)
			a := w.begin(f.mounts())
			w.is(a.inCgroup(100), "no such container")
			f.remove(path)
			if w.OnAsk != nil {
				w.OnAsk()
			}
			w.is(a.inCgroup(100), "no such container")
		})
	}
}

// TestRunsElsewhereClosed: the container whose name a folder bears has another one.
func TestRunsElsewhereClosed(t *testing.T) {
	w, f := newWorld(t), newTree("/docker")
	a := w.begin(f.mounts())
	f.make("/docker/"+web, 100, 0, 0o755)
	w.starts(web, 41, "/elsewhere/"+web)
	w.is(a.inCgroup(100), "no such container")
}

// TestRemovedAndMadeAgainClosed: a cgroup of the same name is another one, and
// its id was never seen.
func TestRemovedAndMadeAgainClosed(t *testing.T) {
	w, f := newWorld(t), newTree("/docker")
	a := w.begin(f.mounts())
	f.make("/docker/"+web, 100, 0, 0o755)
	a.inCgroup(100)
	f.remove("/docker/" + web)
	f.make("/docker/"+evil, 101, 0, 0o755)
	w.created(web)
	w.created(evil)
	w.is(a.inCgroup(100), web)
	w.is(a.inCgroup(102), "no such container")
}

// TestNamesAreBounded: who makes cgroups without end costs neither memory nor time.
func TestNamesAreBounded(t *testing.T) {
	w, f := newWorld(t), newTree("/docker")
	a := w.begin(f.mounts())
	for i := range uint64(namesMost) {
		a.cgroups.names[1000+i] = bearing{at: time.Now()}
	}
	f.make("/docker/"+web, 100, 0, 0o755)
	a.inCgroup(100)
	if n := len(a.cgroups.names); n > namesMost {
		t.Errorf("%d cgroups are remembered", n)
	}
	if a.cgroups.rested.IsZero() {
		t.Error("nobody rests after a search")
	}
	a.cgroups.rested = time.Now().Add(time.Hour) // the search was short, and this machine may be slow
	if got := a.inCgroup(8); got.Kind != attest.Unknown || !later(got) {
		t.Errorf("kind %v, later %v: the tree was searched again at once", got.Kind, later(got))
	}
}

func TestInCgroupWithoutHierarchyClosed(t *testing.T) {
	w := newWorld(t)
	w.Container(web, 1000, "/docker/"+web, containerNS(1))
	w.is(w.begin(nil).inCgroup(1), "no such container")
}

func TestClaimed(t *testing.T) {
	w := newWorld(t)
	w.Container(web, 1000, "/docker/"+web, containerNS(1))
	w.Container(mon, 2000, "/docker/"+mon, containerNS(2))
	c := w.Held[mon]
	c.Labels = map[string]string{"io.kubernetes.pod.uid": "pod", "io.kubernetes.container.name": "agent"}
	w.Held[mon] = c
	c = w.Held[web]
	c.Labels = map[string]string{"io.kubernetes.pod.uid": "pod", "io.kubernetes.container.name": "POD"}
	w.Held[web] = c
	memory, id := cgroups(t, "docker/"+web, "docker/"+mon)
	unified, _ := cgroups(t, "x/y", "docker/"+web)
	a := w.begin(map[string]fs.FS{"": unified, "memory": memory})
	for _, tt := range []struct {
		claim Claim
		want  string
	}{
		{Claim{ID: web}, web},
		{Claim{ID: web[:12]}, "no such container"},
		{Claim{ID: evil}, "no such container"},
		{Claim{Inode: id("/docker/" + mon)}, mon},
		{Claim{Inode: 1}, "no such container"},
		{Claim{PodUID: "pod", Name: "agent"}, mon},
		{Claim{PodUID: "pod"}, web},
		{Claim{PodUID: "pod", Name: "other"}, "no such container"},
		{Claim{}, "no claim"},
	} {
		w.is(a.Claimed(tt.claim), tt.want)
	}
}
