package upstreams

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"vitrine/test/vitrine"
)

// podman starts `podman system service` of a user.
func (w *world) podman(uid int) {
	w.Helper()
	at, home, run := "/run/podman", "/root", "/run"
	if uid != 0 {
		w.owned("/run/home")
		w.owned("/run/user/4300")
		at, home, run = "/run/user/4300", "/run/home", "/run/user/4300"
	} else {
		w.check(os.MkdirAll(w.e.Path(at), 0o755))
	}
	w.inside = at + "/podman.sock"
	w.file("/etc/containers/policy.json", `{"default":[{"type":"insecureAcceptAnything"}]}`)
	w.file("/etc/containers/registries.conf", "unqualified-search-registries = []\n")
	w.file("/etc/containers/containers.conf", fmt.Sprintf(`
[containers]
seccomp_profile = "%[1]s/etc/seccomp.json"
[engine]
cgroup_manager = "cgroupfs"
events_logger = "file"
helper_binaries_dir = ["%[1]s/bin"]
conmon_path = ["%[1]s/bin/conmon"]
runtime = "runc" # crun refuses hybrid cgroups
[engine.runtimes]
runc = ["%[1]s/bin/runc"]
[network]
firewall_driver = "none"
`, w.tools))
	w.file("/etc/containers/storage.conf", fmt.Sprintf("[storage]\ndriver = \"vfs\"\ngraphroot = %q\nrunroot = %q\n", run+"/containers-data", run+"/containers-run"))
	w.serve(uid, []string{"HOME=" + home, "XDG_RUNTIME_DIR=" + run, "CONTAINERS_STORAGE_CONF=/etc/containers/storage.conf"},
		w.tools+"/bin/podman", "system", "service", "--time=0", "unix://"+w.inside)
	w.check(w.direct("import", w.archive(), "caller:1"))
}

// TestPodman: rootful. Its containers are known as callers, roles hold, and what is Podman's own is refused.
func TestPodman(t *testing.T) {
	w := begin(t)
	w.podman(0)
	w.gateway()
	w.warned("the Engine is Podman")
	parent := []string{"--cgroup-parent", w.cgroup}
	w.run("monitor", parent...)
	w.run("agent", append(parent, "--label", "vitrine.role=look")...)
	w.run("stranger", parent...)
	w.known("stranger")

	t.Run("root is admin, though Podman leaves containers in its version 1 cgroups", func(t *testing.T) {
		w := w.on(t)
		w.wants("list", w.as(0, "GET", "/containers/json"), 200, "/monitor")
		w.wants("inspect", w.as(0, "GET", "/containers/agent/json"), 200, secret)
		w.wants("write", w.as(0, "POST", "/containers/stranger/rename?name=renamed"), 204)
		w.wants("write", w.as(0, "POST", "/containers/renamed/rename?name=stranger"), 204)
	})
	t.Run("a user that may look", func(t *testing.T) {
		w := w.on(t)
		w.wants("list", w.as(lookUID, "GET", "/containers/json"), 200, "/agent")
		w.wants("inspect", w.as(lookUID, "GET", "/containers/agent/json"), 200, "agent", "!"+secret)
		for _, path := range []string{"/version", "/info", "/images/json", "/networks", "/volumes", "/system/df"} {
			w.wants(path, w.as(lookUID, "GET", path), 200)
		}
		w.wants("write", w.as(lookUID, "POST", "/containers/agent/stop"), 403)
	})
	t.Run("a user that nobody bound", func(t *testing.T) {
		w := w.on(t)
		w.wants("list", w.as(ownerUID, "GET", "/containers/json"), 403)
	})
	t.Run("containers are told apart", func(t *testing.T) {
		w := w.on(t)
		for name, status := range map[string]int{"monitor": 200, "agent": 200, "stranger": 403} {
			a, r := w.in(name, "GET", "/containers/json")
			w.wants(name, a, status)
			if r.Caller.Kind != "container" {
				w.Errorf("%s is of kind %q: %+v", name, r.Caller.Kind, r.Caller)
			}
		}
		a, _ := w.in("agent", "GET", "/containers/agent/json")
		w.wants("inspect", a, 200, "!"+secret)
		a, _ = w.in("agent", "POST", "/containers/stranger/stop")
		w.wants("write", a, 403)
	})
	t.Run("the doctor knows it", func(t *testing.T) {
		out, _ := w.e.Command(vitrine.Binary(t), "doctor", "--upstream=unix://"+w.inside, "--state-dir", w.p.StateDir).Output() // it finds something
		for _, want := range []string{"not-docker\n       the Engine is Podman Engine 5", "medium not-asked (CIS 2.12)\n       a gateway alone"} {
			if !strings.Contains(string(out), want) {
				t.Errorf("no %q in\n%s", want, out)
			}
		}
	})
	t.Run("Podman's own API is refused to everybody", func(t *testing.T) {
		w := w.on(t)
		for _, path := range []string{"/libpod/info", "/v5.0.0/libpod/containers/json", "/libpod/_ping", "/v1.41/libpod/generate/kube?names=agent", "/libpod/../containers/json", "/%6cibpod/info"} {
			for _, uid := range []int{0, lookUID} {
				if a := w.as(uid, "GET", path); a.Status != 400 && a.Status != 403 {
					w.Errorf("%s as %d: %v", path, uid, a)
				}
			}
		}
	})
}

// TestPodmanRootless: an engine of a user's own. Users of the host are known; containers are not, where their cgroups do not
// bear their ids: they are nobody, never somebody else.
func TestPodmanRootless(t *testing.T) {
	w := begin(t)
	w.subordinate()
	w.podman(ownerUID)
	w.gateway()
	w.warned("the Engine is Podman")
	w.warned("the Engine is rootless")
	w.run("agent", "--label", "vitrine.role=look")
	w.run("monitor")
	w.known("monitor")
	w.rootless()
}

// rootless is what holds of every rootless engine here.
func (w *world) rootless() {
	w.wants("root lists", w.as(0, "GET", "/containers/json"), 200, "/agent")
	w.wants("a user looks", w.as(lookUID, "GET", "/containers/agent/json"), 200, "agent", "!"+secret)
	w.wants("a user writes", w.as(lookUID, "POST", "/containers/agent/stop"), 403)
	w.wants("its owner is not bound", w.as(ownerUID, "GET", "/containers/json"), 403)
	for _, name := range []string{"agent", "monitor"} {
		a, r := w.in(name, "GET", "/containers/json")
		if a.Status == 200 && r.Caller.Kind != "container" || r.Caller.Kind == "host" {
			w.Errorf("%s is taken for another: %v, %+v", name, a, r.Caller)
		}
		w.Logf("%s is %s: %v", name, r.Caller.Kind, a)
	}
}

// subordinate gives the owner of a rootless engine ids of his own, as useradd does.
func (w *world) subordinate() {
	w.Helper()
	for _, file := range []string{"/etc/subuid", "/etc/subgid"} {
		w.file(file, "owner:400000:65536\n")
	}
	for file, line := range map[string]string{"/etc/passwd": "owner:x:4300:4300::/run/home:/bin/sh\n", "/etc/group": "owner:x:4300:\n"} {
		f, err := os.OpenFile(w.e.Path(file), os.O_APPEND|os.O_WRONLY, 0)
		w.check(err)
		_, err = f.WriteString(line)
		w.check(err)
		w.check(f.Close())
	}
}

func (w *world) on(t *testing.T) *world {
	on := *w
	on.T, on.e = t, w.e.For(t)
	return &on
}
