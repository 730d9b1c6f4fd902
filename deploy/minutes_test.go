package deploy_test

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"

	"vitrine/test/engine"
	"vitrine/test/transcript"
	"vitrine/test/wait"
)

// fiveMinutes follows README's first screen word for word, with a stopwatch: from the packages to a policy that was learned and is
// enforced, on a host with Docker that has nothing of ours.
func fiveMinutes(t *testing.T, packages string) {
	h := newHost(t)
	if err := h.e.ImportBusybox(); err != nil {
		t.Fatal(err)
	}
	h.sh("getent passwd backup || useradd --system --user-group backup")
	h.e.Docker("tag", "bb:1", "alpine:latest")
	h.e.Docker("run", "-d", "--name", "web", "--stop-signal", "KILL", "bb:1", "sleep", "10000")
	r := h.newReader(packages)
	begin := time.Now()
	for _, heading := range []string{"Install", "Five minutes"} {
		for _, block := range blocks(t, "../README.md", heading) {
			r.follow(block)
			if block.Lang == "yaml" {
				eventually(t, h.e, func() error { // within a second it is in force
					out, err := h.try("authz-plugin status")
					return has(out, "who holds watched", err)
				})
			}
		}
	}
	took := time.Since(begin)
	t.Logf("it took %s", took.Round(time.Second))
	if took > wait.Patience(5*time.Minute) {
		t.Errorf("it took %s", took)
	}
	// The page tells of it.
	eventually(t, h.e, func() error {
		code, board, err := get(h.e, "/api/board", "")
		if code != http.StatusOK {
			err = fmt.Errorf("status %d", code)
		}
		return has(board, `"name":"unix:backup"`, err)
	})
}

// commandsOfREADME runs what README begins with, as the visitor, and the rest of its commands of the operator's, behind the gateway of the package.
func commandsOfREADME(t *testing.T, packages string) {
	h := newHost(t)
	if err := h.e.ImportBusybox(); err != nil {
		t.Fatal(err)
	}
	h.e.Docker("run", "-d", "--name", "web", "--env", "PASSWORD=hunter2", "bb:1", "sleep", "10000")
	h.sh("useradd --system --user-group visitor; getent passwd backup || useradd --system --user-group backup")
	r := h.newReader(packages)
	r.follow(blocks(t, "../README.md", "Install")[0])
	r.follow(transcript.Block{Lang: "yaml", Text: `bindings: {admin: ["unix:root", "local"], look: ["unix:visitor"]}`})
	h.newReaderAs("visitor", "/", "2 minutes", "…").follow(blocks(t, "../README.md", "Vitrine")[0])
	for _, block := range blocks(t, "../README.md", "Say who may do what") {
		r.follow(block)
		if block.Lang == "yaml" {
			eventually(t, h.e, func() error {
				out, err := h.try("authz-plugin status")
				return has(out, "4 roles", err) // restarter is the fourth
			})
			r.shell.Type("cd $(mktemp -d) && cp -r /etc/docker/vitrine new")
			h.newReaderAs("backup", "/").shell.Type("docker -H unix:///run/vitrine/docker/docker.sock restart web")
		}
	}
}

// TestFromSources: the ways of README and docs/install.md that begin with a build.
func TestFromSources(t *testing.T) {
	engine.Require(t)
	dir := sources(t)
	t.Run("managed plugin, by README", func(t *testing.T) {
		r := newHost(t).newReader(dir)
		if err := r.e.ImportImage("my/agent", r.e.CLI()); err != nil {
			t.Fatal(err)
		}
		mine := blocks(t, "../README.md", "As a managed plugin")
		r.follow(mine[0])
		r.asked()
		r.follow(mine[1])
		r.done()
		r.e.Docker("plugin", "disable", "--force", "vitrine")
	})
	t.Run("managed plugin, from a registry", func(t *testing.T) {
		h := newHost(t)
		registry, err := h.e.RunRegistry(5000)
		if err != nil {
			t.Fatal(err)
		}
		r := h.newReader(dir, "registry.example", registry)
		for _, block := range blocks(t, "../docs/install.md", "Managed plugin") {
			r.follow(block)
		}
		r.asked()
		r.done()
		r.e.Docker("plugin", "disable", "--force", "vitrine")
	})
	t.Run("legacy plugin and monitor", func(t *testing.T) {
		h := newHost(t)
		for _, folder := range []string{"/etc/systemd/system", "/etc/tmpfiles.d", "/etc/sysctl.d"} {
			if err := os.MkdirAll(h.e.Path(folder), 0o755); err != nil {
				t.Fatal(err)
			}
		}
		r := h.newReader(dir)
		r.follow(blocks(t, "../docs/install.md", "Legacy plugin")[0])
		r.asked()
		monitor := blocks(t, "../docs/install.md", "Monitor")
		r.follow(monitor[len(monitor)-1])
		r.follow(blocks(t, "../docs/install.md", "The queue of the DogStatsD socket")[0])
		eventually(t, h.e, func() error { return pageShowsWhoAsks(h.e, "") })
		r.done()
	})
}

// packagesOfInstall runs what docs/install.md says of packages and archives.
func packagesOfInstall(t *testing.T, packages string) {
	mine := blocks(t, "../docs/install.md", "Packages")
	r := newHost(t).newReader(packages)
	r.follow(mine[0])
	r.asked()
	r.done()
	r.units["vitrine"]()
	for _, block := range mine[1:2] { // the third is oras, see pluginByARegistry
		r.follow(block)
	}
	eventually(t, r.e, func() error { return status(r.e.Path(socket), "/_ping", http.StatusOK) })
	r.e.Docker("plugin", "disable", "--force", "vitrine")
	if err := os.RemoveAll(filepath.Join(packages, "plugin")); err != nil {
		t.Fatal(err)
	}
}
