package clients

import (
	"strings"
)

// named: what a client that is no admin does to containers by their names is done to the ids that
// were judged, and works as it did.
func (w *world) named() {
	run := func(arg ...string) string { return w.output(as(w.command(arg...), operatorUID)) }
	id := w.e.Docker("inspect", "--format", "{{.Id}}", "web")
	shows := func(container, format, want string) {
		w.Helper()
		if got := w.e.Docker("inspect", "--format", format, container); got != want {
			w.Errorf("%s of %s is %q, want %q", format, container, got, want)
		}
	}

	run("run", "--detach", "--name", "joined", "--network", "container:web", "--pid", "container:web", "--volumes-from", "web:ro", "bb:1", "sleep", "1000")
	shows("joined", "{{.HostConfig.NetworkMode}} {{.HostConfig.PidMode}} {{.HostConfig.VolumesFrom}}", "container:"+id+" container:"+id+" ["+id+":ro]")
	run("run", "--detach", "--name", "linked", "--link", "web", "--link", "web:alias", "bb:1", "sleep", "1000")
	if links := w.e.Docker("inspect", "--format", "{{.HostConfig.Links}}", "linked"); !strings.Contains(links, "/web:/linked/web") || !strings.Contains(links, "/web:/linked/alias") {
		w.Errorf("links are %s", links)
	}
	run("network", "create", "named")
	run("network", "connect", "named", "web")
	shows("web", `{{(index .NetworkSettings.Networks "named").NetworkID | len}}`, "64")
	run("network", "disconnect", "named", "web")
	run("network", "rm", "named")
	if got := strings.TrimSpace(run("exec", id[:12], "echo", "done")); got != "done" {
		w.Errorf("exec says %q", got)
	}
	run("commit", "web", "named:1")
	run("cp", "web:/etc/hostname", "-")
	run("rename", "linked", "relinked")
	run("stop", "--time", "0", "relinked")
	run("rm", "--force", "joined", "relinked")
	run("rmi", "named:1")

	changed := map[string]bool{}
	for _, r := range w.p.Audit() {
		for _, c := range r.Changed {
			if c.What == "container" && c.To == id && (c.From == "web" || c.From == id[:12]) {
				changed[r.Operation] = true
			}
		}
	}
	for _, operation := range []string{"ContainerCreate", "ContainerExec", "ImageCommit", "NetworkConnect", "NetworkDisconnect", "ContainerArchive"} {
		if !changed[operation] {
			w.Errorf("the record of %s does not say that the id stands for the name", operation)
		}
	}
}
