package sender

import (
	"io/fs"
	"testing"
	"testing/fstest"
	"testing/synctest"
	"time"

	"vitrine/internal/caller/attest"
	"vitrine/internal/engine/docker"
	"vitrine/internal/kernel/procfs"
)

// TestWhereTheEngineMakesCgroupsIsLearntClosed: from a confirmed container's own cgroup of version 2 that bears its id, and from
// nothing else.
func TestWhereTheEngineMakesCgroupsIsLearntClosed(t *testing.T) {
	for name, tt := range map[string]struct {
		id    string
		roots map[string]string
		learn bool
	}{
		"its own":                    {web, map[string]string{"": "/shop.slice/docker-" + web + ".scope"}, true},
		"its own, and it has moved":  {web, map[string]string{"": "/shop.slice/" + web}, true},
		"of version 1":               {web, map[string]string{"memory": "/shop.slice/docker-" + web + ".scope"}, false},
		"another's":                  {web, map[string]string{"": "/shop.slice/docker-" + evil + ".scope"}, false},
		"in another container":       {web, map[string]string{"": "/shop.slice/" + evil + "/" + web}, false},
		"without a container's name": {web, map[string]string{"": "/shop.slice/x.service"}, false},
	} {
		table := newTable(map[string]fs.FS{"": fstest.MapFS{}, "memory": fstest.MapFS{}})
		table.observe(docker.Container{ID: tt.id, Running: true}, tt.roots)
		if got := table.engines("/shop.slice/x"); got != tt.learn {
			t.Errorf("%s: learnt %v", name, got)
		}
	}
	table := newTable(map[string]fs.FS{"": fstest.MapFS{}})
	table.observe(docker.Container{ID: web}, map[string]string{"": "/shop.slice/docker-" + web + ".scope"})
	if table.engines("/shop.slice/x") {
		t.Error("learnt from a container that does not run")
	}
	for i := range 2 * slicesMost {
		table.observe(docker.Container{ID: web, Running: true}, map[string]string{"": "/" + string(rune('a'+i%26)) + time.Duration(i).String() + "/" + web})
	}
	if n := len(table.slices); n > slicesMost {
		t.Errorf("%d folders are remembered", n)
	}
}

// TestUnconfinedContainersAreForgottenClosed: a minute after they ended, and not before; one that runs never is.
func TestUnconfinedContainersAreForgottenClosed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		table := newTable(nil)
		privileged := &docker.Detail{State: "running", Rights: docker.Rights{Privileged: true}}
		table.observe(docker.Container{ID: web, Running: true, Detail: &docker.Detail{}}, nil)
		if got := table.unconfinedBut(); got != "" {
			t.Errorf("%s is, without any right", got)
		}
		table.observe(docker.Container{ID: evil, Running: true, Detail: privileged}, nil)
		time.Sleep(time.Hour)
		if table.unconfinedBut() != evil || table.unconfinedBut(evil) != "" || table.unconfinedBut(web) != evil {
			t.Error("one that runs is not")
		}
		table.observe(docker.Container{ID: evil, Detail: privileged}, nil)
		time.Sleep(docker.Afterlife)
		if table.unconfinedBut() != evil {
			t.Error("one that has just ended is not")
		}
		time.Sleep(time.Second)
		if got := table.unconfinedBut(); got != "" {
			t.Errorf("%s is for ever", got)
		}
		table.observe(docker.Container{ID: web}, nil)
		if n := len(table.unconfined); n != 0 {
			t.Errorf("%d are remembered", n)
		}
	})
}

// TestWhenAContainerEnded: the Engine's word counts if the Engine says that it has ended, and else it may have run until now.
func TestWhenAContainerEnded(t *testing.T) {
	now := time.Unix(1_700_000_000, 0)
	at := func(d time.Duration) string { return now.Add(d).Format(time.RFC3339Nano) }
	for _, tt := range []struct {
		c    docker.Container
		want time.Time
	}{
		{docker.Container{Running: true, Detail: &docker.Detail{State: "exited", FinishedAt: at(-time.Hour)}}, time.Time{}},
		{docker.Container{Detail: &docker.Detail{State: "exited", FinishedAt: at(-time.Hour)}}, now.Add(-time.Hour)},
		{docker.Container{Detail: &docker.Detail{State: "exited", FinishedAt: at(time.Hour)}}, now},
		{docker.Container{Detail: &docker.Detail{State: "exited", FinishedAt: "nonsense"}}, now},
		{docker.Container{Detail: &docker.Detail{State: "created", FinishedAt: at(-time.Hour)}}, now},
	} {
		if got := ended(tt.c, now); !got.Equal(tt.want) {
			t.Errorf("%+v: %v, want %v", tt.c, got, tt.want)
		}
	}
}

// TestOwnCgroupsAreForgotten: a minute after their own container has ended, and not another one.
func TestOwnCgroupsAreForgotten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newTree("/docker")
		f.make("/docker/"+web, 100, 0, 0o755)
		f.make("/docker/"+evil, 101, 0, 0o755)
		table := newTable(f.mounts())
		for _, id := range []string{web, evil} {
			table.observe(docker.Container{ID: id, Running: true}, map[string]string{"": "/docker/" + id})
		}
		is := func(web, evil bool) {
			t.Helper()
			_, a := table.own(place{"", 100})
			_, b := table.own(place{"", 101})
			if a != web || b != evil {
				t.Errorf("known: %v, %v; want %v, %v", a, b, web, evil)
			}
		}
		is(true, true)
		table.observe(docker.Container{ID: web}, nil)
		time.Sleep(docker.Afterlife / 2)
		table.observe(docker.Container{ID: web}, nil) // once more, which is no later end
		is(true, true)
		time.Sleep(docker.Afterlife)
		table.observe(docker.Container{ID: mon}, nil)
		is(false, true)
	})
}

// TestWalkStaysInRunningContainersClosed: nothing below what was a container's, or looks like one's, is said to be the outer one's.
func TestWalkStaysInRunningContainersClosed(t *testing.T) {
	f := newTree("/a")
	f.make("/a/"+web, 100, 0, 0o755)
	f.make("/a/"+web+"/app", 101, 0, 0o755)
	f.make("/a/"+web+"/was", 102, 0, 0o755)
	f.make("/a/"+web+"/was/app", 103, 0, 0o755)
	f.make("/a/"+web+"/kubepods", 104, 0, 0o755)
	f.make("/a/"+web+"/kubepods/app", 105, 0, 0o755)
	f.make("/a/x", 106, 0, 0o755)
	f["a/"+web+"/file"] = &fstest.MapFile{Sys: f["a"].Sys}
	for cgroup, want := range map[uint64]string{101: web, 102: "", 103: "", 104: "", 105: "", 106: "", 999: ""} {
		table := newTable(f.mounts())
		table.owns[place{"", 100}] = &ownCgroup{container: docker.Container{ID: web}}
		table.owns[place{"", 102}] = &ownCgroup{container: docker.Container{ID: evil}, ended: time.Now()}
		c, walked := table.walk(cgroup)
		if c.ID != want || !walked {
			t.Errorf("cgroup %d is in %q, want %q (walked: %v)", cgroup, c.ID, want, walked)
		}
		if _, again := table.walk(cgroup); again {
			t.Errorf("cgroup %d: and again at once", cgroup)
		}
	}
	if c, walked := (&table{}).walk(1); c.ID != "" || !walked {
		t.Error("without version 2 there is nothing to walk, for certain")
	}
}

// TestNoticedIsOfVersion2: other hierarchies have other ids.
func TestNoticedIsOfVersion2(t *testing.T) {
	f := newTree("/docker")
	f.make("/docker/"+web, 100, 0, 0o755)
	for name, tt := range map[string]struct {
		line procfs.Cgroup
		want int
	}{
		"version 2":            {procfs.Cgroup{Path: "/docker/" + web}, 1},
		"version 1":            {procfs.Cgroup{Hierarchy: "memory", Path: "/docker/" + web}, 0},
		"the hierarchy's root": {procfs.Cgroup{Path: "/"}, 0},
		"gone":                 {procfs.Cgroup{Path: "/docker/" + evil}, 0},
	} {
		table := newTable(f.mounts())
		table.notice([]procfs.Cgroup{tt.line})
		if n := len(table.names); n != tt.want {
			t.Errorf("%s: %d are remembered", name, n)
		}
	}
}

// TestNamesAreKept: what was seen first counts, and what is old makes room.
func TestNamesAreKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newTree("/docker")
		f.make("/docker/"+web, 100, 0, 0o755)
		table := newTable(f.mounts())
		mount := table.mounts[""]
		table.name(mount, "/docker/"+web, 100)
		f.make("/docker", 2, 1000, 0o755)
		table.name(mount, "/docker/"+web, 100)
		if b, _ := table.named(100); !b.rootOnly {
			t.Error("the second look counts")
		}
		for i := range uint64(namesMost) {
			table.names[1000+i] = bearing{at: time.Now()}
		}
		time.Sleep(docker.Afterlife + time.Second)
		table.names[1] = bearing{at: time.Now()}
		table.name(mount, "/docker/"+web, 200)
		if _, young := table.named(1); !young || len(table.names) != 2 {
			t.Errorf("%d are remembered, the young one: %v", len(table.names), young)
		}
	})
}

// TestLivingSendersAreAttested, and not looked for by their cgroup.
func TestLivingSendersAreAttested(t *testing.T) {
	w := newWorld(t)
	w.Container(web, 1000, "/docker/"+web, containerNS(1))
	w.Process(42, "/docker/"+web, containerNS(1))
	w.Process(43, "/docker/"+evil, containerNS(2))
	a := w.begin(nil)
	w.is(a.Attest(t.Context(), w.Peer(42)), web)
	w.is(a.Attest(t.Context(), w.Peer(43)), "look up container")
	w.Stat(42, "Z", 0)
	w.is(a.Attest(t.Context(), w.Peer(42)), "kernel does not tell")
}

// TestClaimsAreOfRunningContainersClosed, and by pod of those whose init was found.
func TestClaimsAreOfRunningContainersClosed(t *testing.T) {
	w := newWorld(t)
	w.Container(web, 1000, "/docker/"+web, containerNS(1))
	w.created(evil)
	for _, id := range []string{web, evil} {
		c := w.Held[id]
		c.Labels = map[string]string{"io.kubernetes.pod.uid": "pod-" + id, "io.kubernetes.container.name": "POD"}
		w.Held[id] = c
	}
	c := docker.Container{ID: mon, Running: true, Pid: 4711, Labels: map[string]string{"io.kubernetes.pod.uid": "pod-" + mon, "io.kubernetes.container.name": "POD"}}
	w.Held[mon] = c
	a := w.begin(nil)
	w.is(a.Claimed(Claim{ID: evil}), "no such container")
	w.is(a.Claimed(Claim{PodUID: "pod-" + web}), web)
	w.is(a.Claimed(Claim{PodUID: "pod-" + evil}), "no such container")
	w.is(a.Claimed(Claim{PodUID: "pod-" + mon}), "no such container") // its init cannot be read
	w.is(a.Claimed(Claim{PodUID: "other"}), "no such container")
	if at := a.Claimed(Claim{ID: web}); at.Kind != attest.Container {
		t.Error("one that runs is none")
	}
}

// TestRunningAndNotConfirmedClosed: the name of a folder where the Engine makes them is believed of a container that has ended, and
// of one that runs only what was found of its init is.
func TestRunningAndNotConfirmedClosed(t *testing.T) {
	w, f := newWorld(t), newTree("/docker")
	a := w.begin(f.mounts())
	f.make("/docker/"+web, 100, 0, 0o755)
	a.inCgroup(100)
	w.Held[web] = docker.Container{ID: web, Running: true, Pid: 4711}
	if at := a.known(100); at.Kind == attest.Container || !later(at) {
		t.Errorf("kind %v, %v", at.Kind, at.Err)
	}
	w.Held[web] = docker.Container{ID: web}
	w.is(a.known(100), web)
}

// TestWalkIsBounded: it looks at so many folders, and no more.
func TestWalkIsBounded(t *testing.T) {
	f := newTree("/docker")
	for i := range 20 {
		f.make("/docker/"+time.Duration(i).String(), uint64(100+i), 0, 0o755)
	}
	table := newTable(f.mounts())
	for left, over := range map[int]bool{5: true, 20: true, 21: false, 100: false} {
		w := walk{table: &table, mount: table.mounts[""], cgroup: 999, left: left}
		if w.below("/", nil); (w.left < 0) != over {
			t.Errorf("with %d folders to look at, %d are left", left, w.left)
		}
	}
}
