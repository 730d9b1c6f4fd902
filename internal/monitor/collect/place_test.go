package collect

import (
	"fmt"
	"os"
	"strings"
	"testing"
)

// TestOwnCgroupNamespace: as cgroup v2 engines run containers, so the monitor's own
// path is "/", and others' are beside it.
func TestOwnCgroupNamespace(t *testing.T) {
	w := newWorld(t)
	w.run("monitor", 100, "bridge")
	w.run("web", 200, "bridge")
	w.process(100, "/", "net:[100]")
	w.process(200, "/../"+id("web"), "net:[200]")
	w.write(w.cgroup, "cgroup.procs", "1\n")
	w.write(w.cgroup, cgroupOf("monitor")+"/cgroup.procs", fmt.Sprintln(os.Getpid()))
	s := w.collect(w.collector())
	for _, name := range []string{"monitor", "web"} {
		if find(t, s, name).Read.IsZero() {
			t.Errorf("%s is not read: %s", name, &w.log)
		}
	}
}

// TestOwnPIDNamespace: what there is to do is said, once, and not because a
// container has just ended.
func TestOwnPIDNamespace(t *testing.T) {
	w := newWorld(t)
	w.run("web", 100, "bridge")
	if err := os.Rename(w.proc+"/100", w.proc+"/hidden"); err != nil {
		t.Fatal(err)
	}
	c := w.collector()
	w.collect(c)
	if w.log.Len() > 0 {
		t.Errorf("at the first collection: %s", &w.log)
	}
	w.collect(c)
	w.collect(c)
	if n := strings.Count(w.log.String(), "--pid host"); n != 1 {
		t.Errorf("said %d times: %s", n, &w.log)
	}
	if err := os.Rename(w.proc+"/hidden", w.proc+"/100"); err != nil {
		t.Fatal(err)
	}
	w.collect(c)
	if s := w.collect(c); find(t, s, "web").Read.IsZero() || !strings.Contains(w.log.String(), "works again") {
		t.Errorf("not read when it can be: %s", &w.log)
	}
}
