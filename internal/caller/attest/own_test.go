package attest

import (
	"errors"
	"strings"
	"testing"

	"vitrine/internal/engine/docker"
	"vitrine/internal/kernel/peercred"
	"vitrine/internal/kernel/procfs"
)

func TestOwnContainer(t *testing.T) {
	hostname := func(w *world, id string) {
		w.File("500/mountinfo", "9 8 0:1 / / rw - overlay o rw\n10 9 8:1 /var/lib/docker/containers/"+id+"/hostname /etc/hostname ro - ext4 /dev/x rw\n")
	}
	const never, later = false, true
	for name, s := range map[string]struct {
		build func(w *world)
		own   string // as the operator says
		id    string
		why   string // it cannot be told
		later bool   // it may be told later
	}{
		"a service of the host":                                  {build: func(*world) {}},
		"a service of the host, before the containers are known": {build: func(w *world) { w.Unready = true }},
		"who we are cannot be read":                              {build: func(w *world) { delete(w.Proc, "self") }, why: "read own pid: ", later: never},
		"in a container, beside one that cannot be read": {build: func(w *world) {
			w.Container(mon, 41, "/docker/"+mon, "user:[1] pid:[2] mnt:[201]")
			w.Process(500, "/docker/"+mon, "user:[1] pid:[2] mnt:[201]")
			w.Container(web, 42, "/docker/"+web, "")
		}, id: mon},
		"without the host's PIDs, and our mounts cannot be read": {build: func(w *world) {
			w.Container(web, 42, "/docker/"+web, containerNS(2))
			delete(w.Proc, "2/stat")
			w.Process(500, "/", containerNS(1))
		}, why: "read mounts of pid 500", later: never},
		"beside a container with a network of its own, without the host's PIDs": {build: func(w *world) {
			w.Container(web, 42, "/docker/"+web, containerNS(2))
			w.Container(mon, 41, "/docker/"+mon, containerNS(1))
			c := w.Held[mon]
			c.Detail = &docker.Detail{NetworkMode: "bridge"}
			w.Held[mon] = c
			delete(w.Proc, "2/stat")
			w.Process(500, "/", containerNS(1))
			hostname(w, web)
		}, id: web},
		"in a container": {build: func(w *world) {
			w.Container(mon, 41, "/docker/"+mon, "user:[1] pid:[2] mnt:[201]")
			w.Process(500, "/docker/"+mon, "user:[1] pid:[2] mnt:[201]")
		}, id: mon},
		"in a container with a cgroup namespace, where every path reads /": {build: func(w *world) {
			w.Container(mon, 41, "/../"+mon, "user:[1] pid:[2] mnt:[201]")
			w.Process(500, "/", "user:[1] pid:[2] mnt:[201]")
		}, id: mon},
		"with mounts of our own, in no container": {build: func(w *world) {
			w.Process(500, "/system.slice/vitrine.service", "user:[1] pid:[2] mnt:[77]")
		}},
		"before the containers are known": {build: func(w *world) {
			w.Unready = true
			w.Process(500, "/docker/"+mon, "user:[1] pid:[2] mnt:[201]")
		}, why: "containers are not known yet", later: later},
		"in a container, without the host's PIDs": {build: func(w *world) {
			w.Container(mon, 41, "/docker/"+mon, containerNS(1))
			w.Container(web, 42, "/docker/"+web, containerNS(2))
			delete(w.Proc, "2/stat")
			w.Process(500, "/", containerNS(1))
			hostname(w, mon)
		}, id: mon},
		"in a container that has only begun, without the host's PIDs": {build: func(w *world) {
			w.Container(mon, 41, "/docker/"+mon, containerNS(1))
			w.Held[mon] = docker.Container{ID: mon}
			delete(w.Proc, "2/stat")
			w.Process(500, "/", containerNS(1))
			hostname(w, mon)
		}, why: "not known yet", later: later},
		"in a container that joins another's network, without the host's PIDs": {build: func(w *world) {
			w.Container(web, 42, "/docker/"+web, containerNS(2))
			w.Container(mon, 41, "/docker/"+mon, containerNS(1))
			c := w.Held[mon]
			c.Detail = &docker.Detail{NetworkMode: "container:" + web}
			w.Held[mon] = c
			delete(w.Proc, "2/stat")
			w.Process(500, "/", containerNS(1))
			hostname(w, web)
		}, why: "has the hostname file of container", later: never},
		"without the host's PIDs, another container's folder somewhere": {build: func(w *world) {
			w.Container(web, 42, "/docker/"+web, containerNS(2))
			delete(w.Proc, "2/stat")
			w.Process(500, "/", containerNS(1))
			w.File("500/mountinfo", "10 9 8:1 /var/lib/docker/containers/"+web+"/hostname /x rw - ext4 /dev/x rw\n")
		}, why: "own_container", later: never},
		"a unit, without the host's PIDs": {build: func(w *world) {
			delete(w.Proc, "2/stat")
			w.File("500/mountinfo", "9 8 0:1 / / rw - ext4 /dev/x rw\n")
		}, why: "pid: host; name our container in own_container", later: never},
		"a unit, without the host's PIDs, which says so": {build: func(w *world) { delete(w.Proc, "2/stat") }, own: noContainer},
		"without the host's PIDs, in no container that Docker knows": {build: func(w *world) {
			delete(w.Proc, "2/stat")
			w.Process(500, "/", containerNS(1))
			hostname(w, mon)
		}, why: "the Engine has no container " + mon, later: never},
		"with mounts of our own, and containers that cannot be read": {build: func(w *world) {
			w.Container(web, 42, "/docker/"+web, "")
			w.Process(500, "/", "user:[1] pid:[2] mnt:[201]")
			w.File("500/mountinfo", "")
		}, why: "CAP_SYS_PTRACE", later: later},
		"our own namespaces cannot be read": {build: func(w *world) { delete(w.Proc, "500/ns/mnt") }, why: "own_container", later: never},
		"named":                             {build: func(w *world) { w.Container(web, 42, "/docker/"+web, containerNS(2)) }, own: web, id: web},
		"named, and not there":              {build: func(*world) {}, own: "shop", why: `own_container is "shop"`, later: later},
		"named, before the containers are known": {build: func(w *world) {
			w.Unready = true
			w.Container(web, 42, "/docker/"+web, containerNS(2))
			w.Late(web)
		}, own: web, why: "not known yet", later: later},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			s.build(w)
			id, err := w.begin(Options{Own: s.own}).OwnContainer()
			w.Tell(docker.Container{ID: evil}) // it must leave the index free
			switch {
			case s.why == "" && (err != nil || id != s.id):
				t.Errorf("own container = %q, %v; want %q", id, err, s.id)
			case s.why != "" && (err == nil || id != "" || !strings.Contains(err.Error(), s.why) || errors.Is(err, ErrNotYet) != s.later):
				t.Errorf("own container = %q, %v (later: %v); want an error with %q, later: %v", id, err, errors.Is(err, ErrNotYet), s.why, s.later)
			}
		})
	}
}

// TestClosedNamedOwnContainerStaysTheSame: who gets its name later is another one.
func TestClosedNamedOwnContainerStaysTheSame(t *testing.T) {
	w := newWorld(t)
	w.Container(mon, 41, "/docker/"+mon, containerNS(1))
	a := w.begin(Options{Own: "vitrine"})
	w.Held["vitrine"] = w.Held[mon]
	if id, err := a.OwnContainer(); id != mon {
		t.Fatal(id, err)
	}
	w.Held["vitrine"] = docker.Container{ID: web, Running: true}
	if id, err := a.OwnContainer(); id != mon {
		t.Errorf("own container = %q, %v", id, err)
	}
}

func TestGroup(t *testing.T) {
	w := newWorld(t)
	w.Container(mon, 41, "/docker/"+mon, containerNS(1))
	w.Process(42, "/docker/"+mon+"/deeper", containerNS(1))
	w.Process(43, "/user.slice", hostNS)
	w.Process(44, "/docker/"+web, containerNS(2)) // has just begun
	a := w.begin(Options{})
	claim := map[string]string{"memory": "/docker/" + evil} // of two, so that it is neither's
	a.known.containers["one"], a.known.containers["other"] = confirmed{id: "one", roots: claim}, confirmed{id: "other", roots: claim}
	w.Process(45, "4:memory:/docker/"+evil+"\n", containerNS(3))
	defer w.Tell(docker.Container{ID: mon}) // the index is left free
	for pid, want := range map[int]string{41: "container:" + mon, 42: "container:" + mon, 43: "uid:0", 0: "uid:0", 44: "container-uid:0", 45: "container-uid:0"} {
		if got := a.Group(w.Peer(pid)); got != want {
			t.Errorf("group of process %d = %q, want %q", pid, got, want)
		}
	}
}

// TestNobodysPeersAreNoUsersClosed: what has the id of a user of the host, and is none of its processes, takes nothing of that user's, nor has it
// as much as there are ids: what has exited, or its first thread, and what is in another user namespace.
func TestNobodysPeersAreNoUsersClosed(t *testing.T) {
	w := newWorld(t)
	w.Container(mon, 41, "/docker/"+mon, containerNS(1))
	a := w.begin(Options{})
	peers := map[int]*peercred.Peer{}
	for pid, namespaces := range map[int]string{42: containerNS(1), 43: hostNS, 44: hostNS} {
		w.Process(pid, "/", namespaces)
		peers[pid] = w.Peer(pid)
	}
	w.Stat(42, "Z", 0)                  // of version 1 every line reads /
	w.Stat(43, "D", procfs.FlagExiting) // it gives its cgroups back
	delete(w.Proc, "44/stat")           // it was waited for
	delete(w.Proc, "44/cgroup")
	w.Process(45, "/user.slice", "user:[7] pid:[2] mnt:[3]")
	w.Process(46, "/docker/"+mon, "user:[7] pid:[8] mnt:[9]")
	w.Process(47, "/user.slice", hostNS)
	delete(w.Proc, "47/ns/user") // cannot be read
	for pid, want := range map[int]string{
		42: "exited", 43: "exited", 44: "exited", 45: "user-namespaces", 46: "container:" + mon, 47: "uid:0",
	} {
		p := peers[pid]
		if p == nil {
			p = w.Peer(pid)
		}
		if got := a.Group(p); got != want {
			t.Errorf("group of process %d = %q, want %q", pid, got, want)
		}
	}
	a.here.ref.User = "" // nobody can say what the host's is
	if got := a.Group(w.Peer(45)); got != "uid:0" {
		t.Errorf("without the host's to compare it with: %q", got)
	}
}
