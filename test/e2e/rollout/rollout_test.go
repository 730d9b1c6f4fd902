package rollout

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"vitrine/test/engine"
	"vitrine/test/transcript"
	"vitrine/test/vitrine"
)

func TestMain(m *testing.M) { vitrine.Main(); os.Exit(m.Run()) }

// The tools of the page, by their users.
const (
	prometheus = 4501
	script     = 4502
	compose    = 4503
	socket     = "unix:///run/vitrine/docker/docker.sock"
)

type world struct {
	*testing.T
	e    *engine.Engine
	p    *vitrine.Process
	page []transcript.Block
	dir  string // of the tools
}

// blocks are those of a language below a heading of the page.
func (w *world) blocks(heading, lang string) []string {
	w.Helper()
	var found []string
	for _, b := range w.page {
		if b.Heading == heading && b.Lang == lang {
			found = append(found, b.Text)
		}
	}
	if len(found) == 0 {
		w.Fatalf("no %s below %q", lang, heading)
	}
	return found
}

// as is a command of a tool's user on the Engine's host.
func (w *world) as(uid int, args ...string) *exec.Cmd {
	id := fmt.Sprint(uid)
	cmd := w.e.Command("setpriv", append([]string{"--reuid=" + id, "--regid=" + id, "--clear-groups"}, args...)...)
	cmd.Env = append(engine.Environ(), "HOME=/nonexistent", "DOCKER_HOST="+socket, "DOCKER_CONFIG="+w.dir)
	cmd.Dir = "/"
	return cmd
}

func (w *world) works(cmd *exec.Cmd) {
	w.Helper()
	if out, err := cmd.CombinedOutput(); err != nil {
		w.Errorf("%s: %v\n%s", strings.Join(cmd.Args, " "), err, out)
	}
}

// work is the day of all tools.
func (w *world) work() {
	w.Helper()
	w.works(w.as(script, "/usr/bin/python3", "-c", `
import docker
client = docker.DockerClient(base_url="`+socket+`", version="auto")
web = client.containers.get("web")
web.restart(timeout=0)
assert "web" in [c.name for c in client.containers.list()]
`))
	program, flags := "docker-compose", []string{"--no-ansi"}
	if own := filepath.Join(w.e.Dir, "state/docker/cli-plugins/docker-compose"); exists(own) {
		program, flags = own, []string{"--ansi=never", "--progress=plain"}
	}
	for _, args := range [][]string{{"up", "--detach"}, {"ps"}, {"stop", "--timeout", "0"}, {"up", "--detach"}, {"down", "--timeout", "0"}} {
		w.works(w.as(compose, slices.Concat([]string{program}, flags, []string{"--file", w.dir + "/compose.yaml", "--project-name", "shop"}, args)...))
	}
	w.discover()
}

func exists(name string) bool { _, err := os.Stat(name); return err == nil }

// discover starts Debian's Prometheus anew, and waits until it has found web.
func (w *world) discover() {
	w.Helper()
	cmd := w.as(prometheus, "prometheus", "--config.file="+w.dir+"/prometheus.yml", "--storage.tsdb.path="+w.dir+"/data", "--web.listen-address=127.0.0.1:9090")
	log := &strings.Builder{}
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		w.Fatal(err)
	}
	defer func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		if strings.Contains(log.String(), "vitrine:") {
			w.Errorf("Prometheus:\n%s", log)
		}
	}()
	client := &http.Client{Transport: &http.Transport{DialContext: w.e.Dial, DisableKeepAlives: true}}
	w.p.Eventually("Prometheus to find web", func() error {
		res, err := client.Get("http://127.0.0.1:9090/api/v1/targets")
		if err != nil {
			return err
		}
		defer res.Body.Close()
		var answer struct {
			Data struct {
				ActiveTargets []struct{ DiscoveredLabels map[string]string }
			}
		}
		if err := json.NewDecoder(res.Body).Decode(&answer); err != nil {
			return err
		}
		for _, t := range answer.Data.ActiveTargets {
			if t.DiscoveredLabels["__meta_docker_container_name"] == "/web" {
				return nil
			}
		}
		return errors.New("no target for web")
	})
}

// verdicts counts what the audit log says of the tools since a record.
func (w *world) verdicts(from int) (allowed, denied, wouldDeny int, what []string) {
	for _, r := range w.p.Audit()[from:] {
		switch uid := r.Caller.UID; {
		case uid == nil || *uid < prometheus || *uid > compose:
		case r.Allow && r.Mode == "":
			allowed++
		case r.Allow:
			wouldDeny++
		default:
			denied++
			what = append(what, fmt.Sprintf("%s %s: %v", r.Operation, r.URI, r.Reasons))
		}
	}
	return allowed, denied, wouldDeny, what
}

func (w *world) write(name, text string) {
	w.Helper()
	if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
		w.Fatal(err)
	}
}

func TestDayInAudit(t *testing.T) {
	engine.Require(t)
	w := &world{T: t, e: engine.Start(t, engine.Options{}), page: transcript.Blocks(t, "../../../docs/rollout.md")}
	if err := w.e.ImportBusybox(); err != nil {
		t.Fatal(err)
	}
	w.e.Docker("run", "-d", "--name", "web", "--expose", "8080", "bb:1", "sleep", "100000")
	w.dir = filepath.Join(w.e.Dir, "rollout")
	if err := os.Mkdir(w.dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(os.Mkdir(w.dir+"/data", 0o777), os.Chmod(w.dir+"/data", 0o777)); err != nil {
		t.Fatal(err)
	}
	w.write(w.dir+"/prometheus.yml", "scrape_configs:\n- job_name: docker\n  docker_sd_configs:\n  - {host: \""+socket+"\", refresh_interval: 1s}\n")
	w.write(w.dir+"/compose.yaml", "version: \"3\"\nservices:\n  cart:\n    image: bb:1\n    command: sleep 1000\n")

	const audit, learn, enforce = "A day in audit", "Learn", "Enforce"
	first := w.blocks(audit, "yaml")[0]
	w.p = vitrine.Start(t, vitrine.Options{Engine: w.e, Data: first, Alone: true})
	bin := vitrine.OpenDir(t)
	if err := os.Symlink(vitrine.Binary(t), bin+"/authz-plugin"); err != nil {
		t.Fatal(err)
	}
	cmd := w.e.Command("bash", "-s")
	cmd.Env = append(engine.Environ(), "PATH="+bin+":"+filepath.Dir(w.e.CLI())+":"+os.Getenv("PATH"), "DOCKER_CONFIG="+w.dir)
	cmd.Dir = "/"
	shell := transcript.Start(t, cmd)

	shell.Run(w.blocks(audit, "console")[0])
	w.work()
	if allowed, denied, would, what := w.verdicts(0); denied != 0 || would == 0 {
		t.Errorf("in audit: %d allowed, %d denied (%v), %d would be", allowed, denied, what, would)
	}
	if t.Failed() {
		t.FailNow()
	}
	shell.Run(w.blocks(learn, "console")[0])
	shell.Run(w.blocks(learn, "console")[1])

	files := w.blocks(enforce, "yaml")
	head, _, _ := strings.Cut(first, "bindings:")
	w.p.WritePolicy("data.yaml", head+files[0])
	w.p.WritePolicy("config.yaml", files[1])
	shell.Run(w.blocks(enforce, "console")[0])
	w.p.Stop()
	w.p.Run()
	w.p.WaitReady()
	before := len(w.p.Audit())
	w.work()
	if allowed, denied, would, what := w.verdicts(before); denied != 0 || would != 0 || allowed == 0 {
		t.Errorf("enforced: %d allowed, %d denied (%v), %d would be", allowed, denied, what, would)
	}
	shell.Run(w.blocks(enforce, "console")[1])
	if _, denied, _, _ := w.verdicts(before); denied == 0 {
		t.Error("nothing was denied to docker run")
	}
}
