package attest

import "testing"

func TestOwnContainer(t *testing.T) {
	for name, s := range map[string]struct {
		build func(w *world)
		id    string
		known bool
	}{
		"a service of the host": {func(*world) {}, "", true},
		"in a container": {func(w *world) {
			w.container(mon, 41, "/docker/"+mon, "user:[1] pid:[2] mnt:[201]")
			w.process(500, "/docker/"+mon, "user:[1] pid:[2] mnt:[201]")
		}, mon, true},
		"in a container with a cgroup namespace, where every path reads /": {func(w *world) {
			w.container(mon, 41, "/../"+mon, "user:[1] pid:[2] mnt:[201]")
			w.process(500, "/", "user:[1] pid:[2] mnt:[201]")
		}, mon, true},
		"with mounts of our own, in no container": {func(w *world) {
			w.process(500, "/system.slice/vitrine.service", "user:[1] pid:[2] mnt:[77]")
		}, "", true},
		"before the containers are known": {func(w *world) {
			w.ready = false
			w.process(500, "/docker/"+mon, "user:[1] pid:[2] mnt:[201]")
		}, "", false},
		"in a container, without the host's PIDs": {func(w *world) {
			w.container(mon, 41, "/docker/"+mon, containerNS(1))
			w.container(web, 42, "/docker/"+web, containerNS(2))
			delete(w.proc, "2/stat")
			w.process(500, "/", containerNS(1))
			w.file("500/mountinfo", "9 8 0:1 / / rw - overlay o rw\n10 9 8:1 /var/lib/docker/containers/"+mon+"/hostname /etc/hostname ro - ext4 /dev/x rw\n")
		}, mon, true},
		"without the host's PIDs, another container's folder somewhere": {func(w *world) {
			w.container(web, 42, "/docker/"+web, containerNS(2))
			delete(w.proc, "2/stat")
			w.process(500, "/", containerNS(1))
			w.file("500/mountinfo", "10 9 8:1 /var/lib/docker/containers/"+web+"/hostname /x rw - ext4 /dev/x rw\n")
		}, "", false},
		"without the host's PIDs, in no container that Docker knows": {func(w *world) {
			delete(w.proc, "2/stat")
			w.process(500, "/", containerNS(1))
			w.file("500/mountinfo", "10 9 8:1 /containers/"+mon+"/hostname /etc/hostname rw - ext4 /dev/x rw\n")
		}, "", false},
		"with mounts of our own, and containers that cannot be read": {func(w *world) {
			w.container(web, 42, "/docker/"+web, "")
			w.process(500, "/", "user:[1] pid:[2] mnt:[201]")
		}, "", false},
		"our own namespaces cannot be read": {func(w *world) { delete(w.proc, "500/ns/mnt") }, "", false},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			s.build(w)
			if id, known := w.begin(Options{}).OwnContainer(); id != s.id || known != s.known {
				t.Errorf("own container = %q, %v; want %q, %v", id, known, s.id, s.known)
			}
		})
	}
}

func TestGroup(t *testing.T) {
	w := newWorld(t)
	w.container(mon, 41, "/docker/"+mon, containerNS(1))
	w.process(42, "/docker/"+mon+"/deeper", containerNS(1))
	w.process(43, "/user.slice", hostNS)
	w.process(44, "/docker/"+web, containerNS(2)) // has just begun
	a := w.begin(Options{})
	for pid, want := range map[int]string{41: "container:" + mon, 42: "container:" + mon, 43: "uid:0", 0: "uid:0", 44: "container-uid:0"} {
		if got := a.Group(w.peer(pid)); got != want {
			t.Errorf("group of process %d = %q, want %q", pid, got, want)
		}
	}
}
