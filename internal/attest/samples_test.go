package attest

import (
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const inner = "cccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccc"

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
	w.container(web, 1000, "/docker/"+web, containerNS(1))
	w.container(mon, 2000, "/docker/"+web+"/docker/"+mon, containerNS(2)) // nested by --cgroup-parent
	mount, id := cgroups(t, "docker/"+web+"/app/worker", "docker/"+web+"/docker/"+mon+"/deep", "docker/"+web+"/docker/"+inner,
		"docker/"+evil, "system.slice/ssh.service", "user.slice/docker-"+web+".scope")
	a := w.begin(Options{Cgroups: map[string]fs.FS{"": mount}})
	for folder, want := range map[string]string{
		"/docker/" + web:                              web,
		"/docker/" + web + "/app":                     web,
		"/docker/" + web + "/app/worker":              web,
		"/docker/" + web + "/docker/" + mon:           mon,
		"/docker/" + web + "/docker/" + mon + "/deep": mon,
		"/docker/" + web + "/docker/" + inner:         "no such container", // not web's for certain
		"/docker/" + evil:                             "no such container", // a folder with a container-like name
		"/docker":                                     "no such container",
		"/system.slice/ssh.service":                   "no such container",
		"/user.slice/docker-" + web + ".scope":        "no such container",
	} {
		t.Run(strings.NewReplacer("/", "_", web, "web", mon, "mon", evil, "evil", inner, "inner").Replace(folder), func(t *testing.T) {
			for range 2 { // also from memory
				got := a.InCgroup(id(folder))
				w.is(got, want)
			}
		})
	}
}

func TestInCgroupOfAnEndedContainer(t *testing.T) {
	w := newWorld(t)
	w.container(web, 1000, "/docker/"+web, containerNS(1))
	mount, id := cgroups(t, "docker/"+web)
	a := w.begin(Options{Cgroups: map[string]fs.FS{"": mount}})
	was := id("/docker/" + web)
	c := w.engine[web]
	c.Running, c.Pid = false, 0
	w.hook(c)
	w.is(a.InCgroup(was), web)
}

func TestInCgroupWithoutHierarchyClosed(t *testing.T) {
	w := newWorld(t)
	w.container(web, 1000, "/docker/"+web, containerNS(1))
	w.is(w.begin(Options{}).InCgroup(1), "no such container")
}

func TestClaimed(t *testing.T) {
	w := newWorld(t)
	w.container(web, 1000, "/docker/"+web, containerNS(1))
	w.container(mon, 2000, "/docker/"+mon, containerNS(2))
	c := w.held[mon]
	c.Labels = map[string]string{"io.kubernetes.pod.uid": "pod", "io.kubernetes.container.name": "agent"}
	w.held[mon] = c
	c = w.held[web]
	c.Labels = map[string]string{"io.kubernetes.pod.uid": "pod", "io.kubernetes.container.name": "POD"}
	w.held[web] = c
	memory, id := cgroups(t, "docker/"+web, "docker/"+mon)
	unified, _ := cgroups(t, "x/y", "docker/"+web)
	a := w.begin(Options{Cgroups: map[string]fs.FS{"": unified, "memory": memory}})
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
