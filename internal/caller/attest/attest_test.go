package attest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"vitrine/internal/engine/docker"
	"vitrine/internal/kernel/peercred"
	"vitrine/internal/kernel/procfs"
)

// Situations in which a process is what it looks like. Each builds a host on
// which process 42 connects.
func TestWho(t *testing.T) {
	for name, s := range map[string]struct {
		build func(w *world)
		want  string
	}{
		"a shell of the host, before the containers are known": {func(w *world) {
			w.Unready = true
			w.Process(42, "/user.slice", hostNS)
		}, "host"},
		"before Linux 4.6, without cgroup namespaces": {func(w *world) {
			delete(w.Proc, "500/ns/cgroup")
			w.Process(42, "/user.slice", hostNS)
		}, "host"},
		"kthreadd stands for the host where PID 1 cannot be read": {func(w *world) {
			delete(w.Proc, "1/ns/mnt")
			w.Process(42, "/user.slice", hostNS)
		}, "host"},
		"before Linux 4.1, which numbers nobody in its own namespace": {func(w *world) {
			w.File("500/status", "Uid:\t0\t0\t0\t0\n")
			w.Process(42, "/user.slice", hostNS)
		}, "host"},
		"a path that tells nothing contradicts nothing": {func(w *world) {
			w.Container(mon, 41, "/docker/"+mon, containerNS(1))
			w.Process(42, "4:memory:/docker/"+mon+"\n3:cpu,cpuacct:/\n0::/\n", containerNS(1))
		}, mon},
		"a shell of the host": {func(w *world) {
			w.Process(42, "/user.slice/user-1000.slice/session-2.scope", hostNS)
		}, "host"},
		"the root of every hierarchy": {func(w *world) { w.Process(42, "/", hostNS) }, "host"},
		"a service with mounts of its own": {func(w *world) {
			w.Process(42, "/system.slice/ntp.service", "user:[1] pid:[2] mnt:[77]")
		}, "host"},
		"containerd-shim in the daemon's cgroup": {func(w *world) {
			w.Process(42, "/system.slice/docker.service", hostNS)
		}, "host"},
		"kthreadd cannot be read, PID 1 stands in": {func(w *world) {
			delete(w.Proc, "2/ns/mnt")
			w.Process(42, "/user.slice", hostNS)
		}, "host"},
		"a container's init": {func(w *world) { w.Container(mon, 42, "/docker/"+mon, containerNS(1)) }, mon},
		"a process of a container": {func(w *world) {
			w.Container(mon, 41, "/docker/"+mon, containerNS(1))
			w.Process(42, "/docker/"+mon, containerNS(1))
		}, mon},
		"docker exec with --cgroup-parent": {func(w *world) {
			w.Container(mon, 41, "/vitrine-test/"+mon, containerNS(1))
			w.Process(42, "/vitrine-test/"+mon, containerNS(1))
		}, mon},
		"systemd's driver": {func(w *world) {
			w.Container(mon, 41, "/system.slice/docker-"+mon+".scope", containerNS(1))
			w.Process(42, "/system.slice/docker-"+mon+".scope", containerNS(1))
		}, mon},
		"systemd in a container: init is further down": {func(w *world) {
			w.Container(mon, 41, "/docker/"+mon+"/init.scope", containerNS(1))
			w.Process(42, "/docker/"+mon+"/system.slice/x.service", containerNS(1))
		}, mon},
		"init lies in / of some hierarchies": {func(w *world) {
			w.Container(mon, 41, "4:memory:/docker/"+mon+"\n3:cpu,cpuacct:/\n0::/\n", containerNS(1))
			w.Process(42, "4:memory:/docker/"+mon+"\n3:cpu,cpuacct:/elsewhere\n0::/\n", containerNS(1))
		}, mon},
		"nested by --cgroup-parent, it is itself": {func(w *world) {
			w.Container(web, 41, "/docker/"+web, containerNS(1))
			w.Container(evil, 42, "/docker/"+web+"/"+evil, containerNS(2))
		}, evil},
		"the outer of two nested": {func(w *world) {
			w.Container(web, 42, "/docker/"+web, containerNS(1))
			w.Container(evil, 41, "/docker/"+web+"/"+evil, containerNS(2))
		}, web},
		"another's init moved into its cgroup": {func(w *world) {
			w.Container(mon, 42, "/docker/"+mon, containerNS(1))
			w.Container(evil, 41, "/docker/"+mon+"/x", containerNS(2))
		}, mon},
		"Podman's cgroupfs manager": {func(w *world) {
			w.Container(mon, 41, "/libpod_parent/libpod-"+mon, containerNS(1))
			w.Process(42, "/libpod_parent/libpod-"+mon, containerNS(1))
		}, mon},
		"Podman under systemd": {func(w *world) {
			w.Container(mon, 41, "/machine.slice/libpod-"+mon+".scope/container", containerNS(1))
			w.Process(42, "/machine.slice/libpod-"+mon+".scope/container", containerNS(1))
		}, mon},
		"a rootless engine's, in a slice that systemd delegates": {func(w *world) {
			at := "0::/user.slice/user-1000.slice/user@1000.service/user.slice/docker-" + mon + ".scope\n"
			w.Container(mon, 41, at, "user:[8] pid:[101] mnt:[201]")
			w.Process(42, at, "user:[8] pid:[101] mnt:[201]")
		}, mon},
		"Podman in a pod": {func(w *world) {
			w.Container(mon, 41, "/libpod_parent/"+web+"/libpod-"+mon, containerNS(1))
			w.Process(42, "/libpod_parent/"+web+"/libpod-"+mon, containerNS(1))
		}, mon},
		"Podman on a hybrid host: only version 2 bears the id": {func(w *world) {
			w.Container(mon, 41, "4:memory:/user.slice/x.scope\n3:cpu,cpuacct:/\n0::/libpod_parent/libpod-"+mon+"\n", containerNS(1))
			w.Process(42, "4:memory:/user.slice/x.scope\n3:cpu,cpuacct:/\n0::/libpod_parent/libpod-"+mon+"\n", containerNS(1))
		}, mon},
		"a shell in the version 1 cgroup in which Podman left a container": {func(w *world) {
			w.Container(mon, 41, "4:memory:/user.slice/x.scope\n3:cpu,cpuacct:/\n0::/libpod_parent/libpod-"+mon+"\n", containerNS(1))
			w.Process(42, "4:memory:/user.slice/x.scope\n3:cpu,cpuacct:/\n0::/user.slice/x.scope\n", hostNS)
		}, "host"},
		"a service into whose folder a container's init moved": {func(w *world) {
			w.Container(evil, 41, "/system.slice/ssh.service", containerNS(1))
			w.Process(42, "/system.slice/ssh.service", hostNS)
		}, "host"},
		"a shell in the only cgroup of a container that has none of its own": {func(w *world) {
			w.Container(mon, 41, "/user.slice/x.scope", containerNS(1))
			w.Process(42, "/user.slice/x.scope", hostNS)
		}, "host"},
		"nested, and the inventory does not hold it yet": {func(w *world) {
			w.Container(web, 41, "/docker/"+web, containerNS(1))
			w.Container(evil, 42, "/docker/"+web+"/"+evil, containerNS(2))
			w.Late(evil)
		}, evil},
		"Docker in Docker: the inner one is the outer one's": {func(w *world) {
			w.Container(web, 41, "/docker/"+web, containerNS(1))
			w.Process(42, "/docker/"+web+"/docker/"+evil, "user:[1] pid:[190] mnt:[290]")
			w.parents["pid:[190]"] = "pid:[101]"
		}, web},
		"a sandbox with mounts of its own": {func(w *world) {
			w.Container(web, 41, "/docker/"+web, containerNS(1))
			w.Process(42, "/docker/"+web, "user:[8] pid:[190] mnt:[290]")
			w.parents["pid:[190]"] = "pid:[180]"
			w.parents["pid:[180]"] = "pid:[101]"
		}, web},
		"mounts of its own": {func(w *world) {
			w.Container(web, 41, "/docker/"+web, containerNS(1))
			w.Process(42, "/docker/"+web, "user:[1] pid:[101] mnt:[290]")
		}, web},
		"started a moment ago": {func(w *world) {
			w.Container(mon, 41, "/docker/"+mon, containerNS(1))
			w.Process(42, "/docker/"+mon, containerNS(1))
			w.Late(mon)
		}, mon},
		"restarted a moment ago": {func(w *world) {
			w.Container(mon, 41, "/docker/"+mon, containerNS(1))
			w.Process(42, "/docker/"+mon, containerNS(2))
			w.OnAsk = func() { w.Container(mon, 40, "/docker/"+mon, containerNS(2)) }
			w.Process(40, "/docker/"+mon, containerNS(2))
			w.Held[mon] = docker.Container{ID: mon, Running: true, Pid: 39, StartedAt: "before"}
		}, mon},
		"we are in a container with pid: host and a cgroup namespace": {func(w *world) {
			w.Container(web, 500, "/", "user:[1] pid:[2] mnt:[201] cgroup:[10]")
			w.File("500/ns/cgroup", "cgroup:[10]")
			w.Process(42, "/../../user.slice", hostNS)
		}, "host"},
		"a neighbour, seen from within a cgroup namespace": {func(w *world) {
			w.Container(web, 500, "/", "user:[1] pid:[2] mnt:[201]")
			w.File("500/ns/cgroup", "cgroup:[10]")
			w.Container(mon, 41, "/../"+mon, containerNS(2))
			w.Process(42, "/../"+mon, containerNS(2))
		}, mon},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			s.build(w)
			a := w.begin(Options{})
			w.is(a.Attest(t.Context(), w.Peer(42)), s.want)
		})
	}
}

// Situations in which a process pretends, or nothing can be said.
func TestWhoClosed(t *testing.T) {
	for name, s := range map[string]struct {
		build func(w *world)
		why   string
	}{
		"an imitated container folder": {func(w *world) {
			w.Process(42, "/user.slice/"+mon, hostNS)
		}, "no such object"},
		"an unknown container's cgroup, and one of that name below a known one's": {func(w *world) {
			w.Container(web, 41, "4:memory:/docker/"+web+"\n0::/\n", containerNS(1))
			w.Process(42, "4:memory:/docker/"+web+"/"+evil+"\n0::/docker/"+evil+"\n", containerNS(1))
		}, "does not confirm"},
		"the host's root moved into a container's cgroup": {func(w *world) {
			w.Container(mon, 41, "/docker/"+mon, containerNS(1))
			w.Process(42, "/docker/"+mon, hostNS)
		}, "with the mount namespace of the host"},
		"the Engine answers about another": {func(w *world) {
			w.Container(web, 41, "/docker/"+web, containerNS(1))
			w.Process(42, "/docker/"+mon, containerNS(1))
			w.Engine[mon] = w.Engine[web]
		}, "container " + mon + " is not confirmed"},
		"whether we are in a cgroup namespace cannot be read": {func(w *world) {
			delete(w.Proc, "1/ns/cgroup")
			delete(w.Proc, "2/ns/cgroup")
			w.Process(42, "/user.slice", hostNS)
		}, "our own container"},
		"an imitated folder of a container that runs": {func(w *world) {
			w.Container(mon, 41, "/docker/"+mon, containerNS(1))
			w.Process(42, "/user.slice/docker/"+mon, hostNS)
		}, "does not confirm"},
		"an imitated scope": {func(w *world) {
			w.Process(42, "/user.slice/docker-"+mon+".scope/x", hostNS)
		}, "no such object"},
		"another runtime's container": {func(w *world) {
			w.Process(42, "/machine.slice/libpod-"+mon+".scope/container", containerNS(1))
		}, "no such object"},
		"a pod": {func(w *world) {
			w.Process(42, "/kubepods.slice/kubepods-besteffort.slice/x", hostNS)
		}, "looks like"},
		"a build's step": {func(w *world) { w.Process(42, "/docker/buildkit/abc", hostNS) }, "looks like"},
		"a managed plugin": {func(w *world) {
			w.Process(42, "4:memory:/x/"+evil+"\n3:cpu,cpuacct:/"+evil+"\n0::/\n", "user:[1] pid:[2] mnt:[88]")
		}, "no such object"},
		"cgroups mounted rw: it moved itself to /": {func(w *world) {
			w.Container(evil, 41, "/docker/"+evil, containerNS(1))
			w.Process(42, "/", containerNS(1))
		}, "PID namespace"},
		"cgroups mounted rw: its init moved itself to /": {func(w *world) {
			w.Container(evil, 42, "/", containerNS(1))
		}, "PID namespace"},
		"moved to /, with the host's PID namespace": {func(w *world) {
			w.Container(evil, 42, "/", "user:[1] pid:[2] mnt:[201]")
		}, "mount namespace of container"},
		"its init moved to /, and confirms nobody": {func(w *world) {
			w.Container(evil, 41, "/", containerNS(1))
			w.Process(42, "/docker/"+evil, containerNS(1))
		}, "does not confirm"},
		"moved into another container's cgroup": {func(w *world) {
			w.Container(mon, 40, "/docker/"+mon, containerNS(1))
			w.Container(evil, 41, "/docker/"+evil, containerNS(2))
			w.Process(42, "/docker/"+mon, containerNS(2))
		}, "with the mount namespace of container " + evil},
		"its init moved into another container's cgroup": {func(w *world) {
			w.Container(mon, 40, "/docker/"+mon, containerNS(1))
			w.Container(evil, 42, "/docker/"+mon, containerNS(2))
		}, "with the mount namespace of container " + evil},
		"moved into another container's cgroup before we heard of it": {func(w *world) {
			w.Container(mon, 40, "/docker/"+mon, containerNS(1))
			w.Container(evil, 42, "/docker/"+mon, containerNS(2))
			w.Late(evil)
			w.parents["pid:[102]"] = "pid:[2]"
		}, "from elsewhere"},
		"moved into another's with mounts of its own": {func(w *world) {
			w.Container(mon, 40, "/docker/"+mon, containerNS(1))
			w.Container(evil, 41, "/docker/"+evil, containerNS(2))
			w.Process(42, "/docker/"+mon, "user:[8] pid:[102] mnt:[290]")
			w.parents["pid:[102]"] = "pid:[2]"
		}, "from elsewhere"},
		"moved into another's, both with the host's PIDs": {func(w *world) {
			w.Container(mon, 40, "/docker/"+mon, "user:[1] pid:[2] mnt:[201]")
			w.Container(evil, 42, "/docker/"+mon, "user:[1] pid:[2] mnt:[202]")
			w.Late(evil)
		}, "whose PID namespace is the host's"},
		"moved into another's, with PIDs in common": {func(w *world) {
			w.Container(mon, 40, "/docker/"+mon, containerNS(1))
			w.Container(evil, 41, "/docker/"+evil, "user:[1] pid:[101] mnt:[202]")
			w.Process(42, "/docker/"+mon, "user:[8] pid:[101] mnt:[290]")
		}, "that of container " + evil + " too"},
		"moved to / with the host's PIDs before we heard of it": {func(w *world) {
			w.Container(evil, 42, "/", "user:[1] pid:[2] mnt:[201]")
			w.Late(evil)
			w.roots[42] = "overlay"
		}, "root directory"},
		"its init's cgroup bears no id": {func(w *world) {
			w.Container(mon, 41, "/machine/monitor", containerNS(1))
			w.Process(42, "/machine/monitor/x", containerNS(1))
		}, "PID namespace"},
		"its init's cgroup bears no id, with the host's PIDs": {func(w *world) {
			w.Container(mon, 41, "/machine/monitor", "user:[1] pid:[2] mnt:[201]")
			w.Process(42, "/machine/monitor/x", "user:[1] pid:[2] mnt:[201]")
		}, "mount namespace of container"},
		"a rootless engine's, without a cgroup of its own": {func(w *world) {
			w.Container(mon, 41, "/user.slice/user-1000.slice/x.scope", "user:[8] pid:[101] mnt:[201]")
			w.Process(42, "/user.slice/user-1000.slice/x.scope", "user:[8] pid:[101] mnt:[201]")
		}, "user namespace"},
		"the monitor beside Podman's container": {func(w *world) {
			w.Container(mon, 41, "/machine.slice/libpod-"+mon+".scope/container", containerNS(1))
			w.Process(42, "/machine.slice/libpod-conmon-"+mon+".scope", hostNS)
		}, "does not confirm"},
		"the Engine numbers processes otherwise: its init is a service": {func(w *world) {
			w.Container(mon, 42, "/system.slice/ntp.service", "user:[1] pid:[2] mnt:[77]")
		}, "mount namespace of container"},
		"moved in one hierarchy only": {func(w *world) {
			w.Container(mon, 41, "/docker/"+mon, containerNS(1))
			w.Process(42, "4:memory:/docker/"+mon+"\n3:cpu,cpuacct:/other\n0::/docker/"+mon+"\n", containerNS(1))
		}, "but not in hierarchy"},
		"in two containers at once": {func(w *world) {
			w.Container(mon, 40, "/docker/"+mon, containerNS(1))
			w.Container(web, 41, "/docker/"+web, containerNS(2))
			w.Process(42, "4:memory:/docker/"+mon+"\n3:cpu,cpuacct:/\n0::/docker/"+web+"\n", containerNS(1))
		}, "at once"},
		"a name that only begins like the container's": {func(w *world) {
			w.Container(mon, 41, "/docker/"+mon, containerNS(1))
			w.Process(42, "/docker/"+mon+"x", containerNS(1))
		}, "does not confirm"},
		"a zombie": {func(w *world) {
			w.Process(42, "/", hostNS)
			w.Stat(42, "Z", 0)
		}, "exited"},
		"a user namespace of its own": {func(w *world) {
			w.Process(42, "/user.slice", "user:[7] pid:[2] mnt:[3]")
		}, "user namespace"},
		"a PID namespace of its own": {func(w *world) {
			w.Process(42, "/user.slice", "user:[1] pid:[7] mnt:[3]")
		}, "PID namespace"},
		"namespaces that cannot be read": {func(w *world) {
			w.Process(42, "/user.slice", hostNS)
			delete(w.Proc, "42/ns/pid")
		}, "CAP_SYS_PTRACE"},
		"a container whose namespaces cannot be read": {func(w *world) {
			w.Container(mon, 41, "/docker/"+mon, containerNS(1))
			delete(w.Proc, "41/ns/mnt")
			w.Process(42, "/docker/"+mon, containerNS(1))
		}, "read mnt namespace of pid 41"},
		"a cgroup file that cannot be read": {func(w *world) {
			w.Process(42, "/user.slice", hostNS)
			delete(w.Proc, "42/cgroup")
		}, "read cgroup membership"},
		"mounts of its own, before the containers are known": {func(w *world) {
			w.Process(42, "/user.slice", "user:[1] pid:[2] mnt:[77]")
			w.Unready = true
		}, "not known"},
		"the daemon is blocked": {func(w *world) {
			w.Container(mon, 41, "/docker/"+mon, containerNS(1))
			w.Process(42, "/docker/"+mon, containerNS(1))
			w.Late(mon)
			w.Down = true
		}, "deadline"},
		"nested in another's cgroup while the daemon is blocked": {func(w *world) {
			w.Container(web, 41, "/docker/"+web, containerNS(1))
			w.Container(evil, 42, "/docker/"+web+"/"+evil, containerNS(2))
			w.Late(evil)
			w.Down = true
		}, "deadline"},
		"the container's init is another process by now": {func(w *world) {
			w.Container(mon, 41, "/docker/"+mon, containerNS(1))
			w.Process(42, "/docker/"+mon, containerNS(1))
			w.Held[mon] = docker.Container{ID: mon, Running: true, Pid: 500, StartedAt: "once"}
			w.Engine[mon] = w.Held[mon] // the Engine has not noticed
		}, "does not confirm"},
		"it is our own container's, seen from within a cgroup namespace": {func(w *world) {
			w.File("500/ns/cgroup", "cgroup:[10]")
			w.Process(42, "/", hostNS)
		}, "our own container"},
		"a folder that looks like a way out of our cgroup namespace": {func(w *world) {
			w.File("500/ns/cgroup", "cgroup:[10]")
			w.Process(42, "/..foo", hostNS)
		}, "our own container"},
		"we are in another user namespace": {func(w *world) {
			w.Process(500, "/", "user:[5] pid:[2] mnt:[3]")
			w.Process(42, "/user.slice", hostNS)
		}, "user namespace"},
		"the host's namespaces cannot be read": {func(w *world) {
			delete(w.Proc, "1/ns/mnt")
			delete(w.Proc, "2/ns/mnt")
			w.Process(42, "/user.slice", hostNS)
		}, "CAP_SYS_PTRACE"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			s.build(w)
			a := w.begin(Options{})
			w.is(a.Attest(t.Context(), w.Peer(42)), s.why)
			if len(w.Asked) > 3 {
				t.Errorf("asked the daemon %d times", len(w.Asked))
			}
		})
	}
}

func TestOwnPIDNamespaceClosed(t *testing.T) {
	older := func(w *world) { w.File("500/status", "Uid:\t0\t0\t0\t0\n") } // before Linux 4.1
	for name, build := range map[string]func(w *world){
		"our status cannot be read": func(w *world) { delete(w.Proc, "500/status") },
		"who we are cannot be read": func(w *world) { delete(w.Proc, "self") },
		"older, in another":         func(w *world) { w.Process(500, "/", "user:[1] pid:[7] mnt:[3]"); older(w) },
		"older, and nothing can be read": func(w *world) {
			older(w)
			for _, pid := range []string{"1", "2", "500"} {
				delete(w.Proc, pid+"/ns/pid")
			}
		},
		"process 2 is a user's": func(w *world) { w.Stat(2, "S", 0) },
		"process 2 is not":      func(w *world) { delete(w.Proc, "2/stat") },
		"/proc is the host's": func(w *world) {
			w.File("500/status", "Uid:\t0\t0\t0\t0\nNSpid:\t500\t7\n")
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.Container(mon, 42, "/docker/"+mon, containerNS(1))
			build(w)
			a := w.begin(Options{})
			if a.HostProvable() == nil {
				t.Error("a host can be proven")
			}
			w.is(a.Attest(t.Context(), w.Peer(42)), "peer")
		})
	}
}

func TestPeerOfAnotherPIDNamespace(t *testing.T) {
	w := newWorld(t)
	a := w.begin(Options{})
	for gid, mapped := range map[uint32]bool{1000: true, 65534: false} {
		got := a.Attest(t.Context(), &peercred.Peer{UID: 1000, GID: gid})
		w.is(got, "peer")
		if (got.GID != nil) != mapped || mapped && *got.GID != gid {
			t.Errorf("group %v of %d", got.GID, gid)
		}
	}
}

// TestWhyNobodyIsTheHosts: each by its cause, as an operator reads it.
func TestWhyNobodyIsTheHosts(t *testing.T) {
	for name, s := range map[string]struct {
		build func(w *world)
		why   string
	}{
		"who we are cannot be read":         {func(w *world) { delete(w.Proc, "self") }, "read own pid: "},
		"our own namespaces cannot be read": {func(w *world) { delete(w.Proc, "500/ns/mnt") }, "of pid 500"},
		"our PID namespace is another": {func(w *world) {
			w.Process(500, "/", "user:[1] pid:[7] mnt:[3]")
		}, "not in the host's PID namespace"},
	} {
		w := newWorld(t)
		s.build(w)
		if err := w.begin(Options{}).HostProvable(); err == nil || !strings.Contains(err.Error(), s.why) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestSeenBeforeTheEngineIsAsked: and only then.
func TestSeenBeforeTheEngineIsAsked(t *testing.T) {
	w := newWorld(t)
	w.Container(mon, 41, "/docker/"+mon, containerNS(1))
	w.Process(42, "/docker/"+mon, containerNS(1))
	w.Late(mon)
	var seen []procfs.Cgroup
	w.OnAsk = func() {
		if len(seen) != 3 || seen[0].Path != "/docker/"+mon {
			t.Errorf("before it is asked: %v", seen)
		}
		seen = nil
	}
	a := w.begin(Options{Seen: func(lines []procfs.Cgroup) { seen = lines }})
	for range 2 {
		w.is(a.Attest(t.Context(), w.Peer(42)), mon)
	}
	if seen != nil || len(w.Asked) != 1 {
		t.Errorf("of a container that is known: %v; asked about %v", seen, w.Asked)
	}
}

// TestOnlySilenceIsNotYet: what the Engine does not know it will not know in a moment either.
func TestOnlySilenceIsNotYet(t *testing.T) {
	for _, silent := range []bool{true, false} {
		w := newWorld(t)
		w.Process(42, "/docker/"+mon, containerNS(1))
		w.Down = silent
		if got := w.begin(Options{}).Attest(t.Context(), w.Peer(42)); got.Kind != Unknown || errors.Is(got.Err, ErrNotYet) != silent {
			t.Errorf("silent %v: %v", silent, got.Err)
		}
	}
}

func TestOverflowIDsClosed(t *testing.T) {
	w := newWorld(t)
	w.Process(42, "/", hostNS)
	a := w.begin(Options{})
	w.is(a.Attest(t.Context(), &peercred.Peer{UID: 65534, GID: 65534}), "not mapped")
	w.is(a.Attest(t.Context(), nil), "no peer")
	got := a.Attest(t.Context(), w.Peer(42))
	if !slices.Equal(got.Groups, []uint32{0, 10}) {
		t.Errorf("groups %v, want them without the overflow id", got.Groups)
	}
}

func TestStoppedContainerClosed(t *testing.T) {
	w := newWorld(t)
	w.Container(mon, 41, "/docker/"+mon, containerNS(1))
	w.Process(42, "/docker/"+mon, containerNS(1))
	a := w.begin(Options{})
	w.is(a.Attest(t.Context(), w.Peer(42)), mon)
	w.Engine[mon] = docker.Container{ID: mon}
	w.Held[mon] = w.Engine[mon]
	w.Tell(w.Held[mon])
	w.is(a.Attest(t.Context(), w.Peer(42)), "not confirmed")
}

func TestCgroupsAlone(t *testing.T) {
	w := newWorld(t)
	w.Container(mon, 41, "/docker/"+mon, "")
	w.Process(42, "/docker/"+mon, "")
	w.Process(43, "/user.slice", "")
	a := w.begin(Options{CgroupsAlone: true})
	w.is(a.Attest(t.Context(), w.Peer(42)), mon)
	w.is(a.Attest(t.Context(), w.Peer(43)), "read ") // what could not be read is why

	delete(w.Proc, "1/ns/mnt") // nor can the host's
	delete(w.Proc, "2/ns/mnt")
	a = w.begin(Options{CgroupsAlone: true})
	w.is(a.Attest(t.Context(), w.Peer(42)), mon)
}

func TestOwnHost(t *testing.T) {
	w := newWorld(t) // an Engine without containers; /proc is the real one
	a := New(w, Options{})
	if err := a.HostProvable(); err != nil {
		t.Logf("this machine proves nobody its own: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	if got := a.Attest(ctx, w.Peer(42)); got.Kind == Host {
		t.Error("a process that does not live is the host's")
	}
}

func FuzzWeigh(f *testing.F) {
	f.Add("/docker/"+mon, "/", "/../x")
	f.Add("/docker/"+mon+"/"+web, "/docker/"+web, "/..")
	f.Fuzz(func(t *testing.T, memory, cpu, unified string) {
		w := newWorld(t)
		w.Container(mon, 41, "/docker/"+mon, containerNS(1))
		w.Container(web, 42, "/docker/"+web, containerNS(2))
		a := w.begin(Options{})
		facts := procfs.Process{Cgroups: []procfs.Cgroup{{Hierarchy: "memory", Path: "/" + memory}, {Hierarchy: "cpu,cpuacct", Path: "/" + cpu}, {Path: "/" + unified}}}
		facts.Namespaces = procfs.Namespaces{User: "user:[1]", PID: "pid:[2]", Mount: "mnt:[3]"}
		id, kind, err := a.weigh(facts, nil)
		for _, l := range facts.Cgroups {
			if kind == Host && (strings.Contains(l.Path, mon) || strings.Contains(l.Path, web)) {
				t.Errorf("the host's in %q", l.Path)
			}
		}
		if kind == Container || id != "" {
			t.Errorf("container %s with the mount namespace of the host", id)
		}
		if (kind == Unknown) != (err != nil) {
			t.Errorf("kind %v with %v", kind, err)
		}
	})
}

func BenchmarkAttestContainer(b *testing.B) {
	w := newWorld(&testing.T{})
	w.Container(mon, 41, "/docker/"+mon, containerNS(1))
	w.Process(42, "/docker/"+mon, containerNS(1))
	for i := range 100 {
		id := fmt.Sprintf("%064x", 1+i)
		w.Container(id, 1000+i, "/docker/"+id, containerNS(10+i))
	}
	a, p := w.begin(Options{}), w.Peer(42)
	b.ReportAllocs()
	for b.Loop() {
		if a.Attest(b.Context(), p).Kind != Container {
			b.Fatal("not attested")
		}
	}
}
