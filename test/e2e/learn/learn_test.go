package learn

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"vitrine/internal/authz/record"
	"vitrine/test/engine"
	"vitrine/test/vitrine"
	"vitrine/test/wait"
)

func TestMain(m *testing.M) {
	vitrine.Main()
	os.Exit(m.Run())
}

const (
	cli    = 4501 // docker's command line
	python = 4502
	prober = 4503 // asks as Prometheus does
)

const nobody = `
bindings:
  admin: ["unix:root", "local"]
`

type world struct {
	*testing.T
	e *engine.Engine
	p *vitrine.Process
}

// as runs a command of a host user in the Engine's namespaces, at the gateway's socket.
func (w *world) as(uid int, args ...string) (string, error) {
	w.Helper()
	id := fmt.Sprint(uid)
	run := append([]string{"setpriv", "--reuid=" + id, "--regid=" + id, "--clear-groups", "env", "HOME=/tmp", "DOCKER_HOST=unix:///run/vitrine/docker/docker.sock"}, args...)
	out, err := w.e.Command(run[0], run[1:]...).CombinedOutput()
	return string(out), err
}

// plugin runs authz-plugin, and gives its output and exit status.
func (w *world) plugin(args ...string) (stdout string, code int) {
	w.Helper()
	var out, errs bytes.Buffer
	cmd := w.e.Command(vitrine.Binary(w), args...)
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil && cmd.ProcessState == nil {
		w.Fatal(err)
	}
	if errs.Len() > 0 {
		w.Logf("authz-plugin %s: %s", args[0], &errs)
	}
	return out.String(), cmd.ProcessState.ExitCode()
}

// clients do what they do; the error is of the first that could not.
func (w *world) clients() error {
	w.Helper()
	for _, c := range []struct {
		uid  int
		args []string
	}{
		{cli, []string{"docker", "ps", "-a"}},
		{cli, []string{"docker", "volume", "create", "cache"}},
		{cli, []string{"docker", "run", "--name", "job", "-d", "-v", "cache:/cache", "-e", "TOKEN=hunter2", "bb:1", "sleep", "100000"}},
		{cli, []string{"docker", "exec", "job", "true"}},
		{cli, []string{"docker", "inspect", "job"}},
		{cli, []string{"docker", "rm", "-f", "job"}},
		{python, []string{"/usr/bin/python3", "-c", "import docker,sys\nc=docker.DockerClient(base_url='unix:///run/vitrine/docker/docker.sock',version='auto')\nc.containers.list(all=True); c.info(); c.volumes.list(); c.images.list()"}},
	} {
		if out, err := w.as(c.uid, c.args...); err != nil {
			return fmt.Errorf("%v: %w: %s", c.args, err, out)
		}
	}
	user := vitrine.As(w, prober)
	for _, path := range []string{"/v1.41/containers/json?limit=0", "/v1.41/networks"} {
		conn, err := user.Dial(w.p.Socket)
		if err != nil {
			return err
		}
		answer, err := vitrine.Ask(conn, "GET", path, "")
		_ = conn.Close()
		if err != nil || answer.Status != 200 {
			return errors.Join(fmt.Errorf("%s: %v", path, answer), err)
		}
	}
	return nil
}

// TestLearnt is the whole way: nobody may anything, in audit mode; what is learnt is put in force; the same again passes.
func TestLearnt(t *testing.T) {
	engine.Require(t)
	w := &world{T: t, e: engine.Start(t, engine.Options{})}
	if err := w.e.ImportBusybox(); err != nil {
		t.Fatal(err)
	}
	kept := filepath.Join(w.e.Dir, "state/record")
	w.p = vitrine.Start(t, vitrine.Options{Engine: w.e, Data: nobody, Args: []string{"--mode", "audit", "--record", kept}})
	if err := w.clients(); err != nil {
		t.Fatal(err)
	}
	data := "roles:\n"
	bindings := "bindings:\n  admin: [\"unix:root\", \"local\"]\n"
	for _, uid := range []int{cli, python, prober} {
		out, code := w.plugin("learn", "--as", fmt.Sprintf("uid:%d", uid), "--name", fmt.Sprintf("role%d", uid))
		if code != 0 || strings.Contains(out, "hunter2") {
			t.Fatalf("exit %d\n%s", code, out)
		}
		_, roles, _ := strings.Cut(out, "roles:\n")
		roles, binding, _ := strings.Cut(roles, "bindings:\n")
		data, bindings = data+roles, bindings+binding
	}
	w.p.Stop()
	lines, problems, err := record.ReadFile(kept)
	text, _ := os.ReadFile(kept)
	if err != nil || len(problems) > 0 || len(lines) < 10 || bytes.Contains(text, []byte("hunter2")) {
		t.Fatalf("%d shapes: %v %v", len(lines), err, problems)
	}

	full := filepath.Join(w.e.Dir, "state/new")
	write := func(dir, text string) {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, "data.yaml"), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(full, data+bindings)
	less := filepath.Join(w.e.Dir, "state/less")
	write(less, strings.Replace(data, "      - VolumeCreate ", "      - NetworkPrune ", 1)+bindings)

	// The role in force, and one with less beside it.
	w.p = vitrine.Start(t, vitrine.Options{Engine: w.e, Data: data + bindings, Args: []string{"--record", kept, "--candidate", less}})
	if err := w.clients(); err != nil {
		t.Fatalf("under the learnt role: %v", err)
	}
	w.p.Eventually("the candidate's difference", func() error {
		if !strings.Contains(w.p.Metrics(), `vitrine_candidate_differs_total{direction="allow-deny"} 1`) {
			return errors.New("there is none")
		}
		return nil
	})
	out, code := w.plugin("policy", "diff", full, less)
	if code != 1 || !strings.Contains(out, fmt.Sprintf("would deny 2 requests of uid:%d (VolumeCreate;", cli)) || strings.Count(out, "would") != 1 {
		t.Errorf("exit %d: %s", code, out)
	}
	if out, code := w.plugin("policy", "diff", full, full); code != 0 {
		t.Errorf("exit %d: %s", code, out)
	}
	if out, code := w.plugin("policy", "unused", less); code != 1 || !strings.Contains(out, "NetworkPrune was never used") {
		t.Errorf("exit %d: %s", code, out)
	}
	w.p.WritePolicy("data.yaml", strings.Replace(data, "      - VolumeCreate ", "      - NetworkPrune ", 1)+bindings)
	wait.Until(t, "the policy denies what was foretold", func() bool {
		_, err := w.as(cli, "docker", "volume", "create", "cache")
		return err != nil
	})
	if out, err := w.as(cli, "docker", "ps"); err != nil {
		t.Errorf("more is denied than was foretold: %s", out)
	}
}
