// Package doctor has authz-plugin doctor look at a real Engine, whole and then weakened.
package doctor

import (
	"encoding/json"
	"os"
	"slices"
	"strings"
	"testing"

	"vitrine/internal/authz/doctor"
	"vitrine/test/engine"
	"vitrine/test/vitrine"
)

func TestMain(m *testing.M) {
	vitrine.Main()
	os.Exit(m.Run())
}

// look runs the doctor on the engine's host. high are the checks with a high finding.
func look(t *testing.T, p *vitrine.Process) (high []string, all []doctor.Finding) {
	t.Helper()
	cmd := p.Engine.Command(vitrine.Binary(t), "doctor", "--json", "--state-dir", p.StateDir)
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if wrong := json.Unmarshal(out, &all); wrong != nil {
		t.Fatalf("%v, %v\n%s%s", err, wrong, out, stderr.String())
	}
	for _, f := range all {
		if f.Untold {
			t.Errorf("could not be told: %+v", f)
		}
		if f.Severity == doctor.High {
			high = append(high, f.Check)
		}
	}
	slices.Sort(high)
	want := 0
	if len(high) > 0 {
		want = 1
	}
	if code := cmd.ProcessState.ExitCode(); code != want {
		t.Errorf("exit code %d, want %d: %s", code, want, stderr.String())
	}
	return high, all
}

// TestDoctor: an Engine that asks has nothing high; each weakness that is added is found, and stays the only news.
func TestDoctor(t *testing.T) {
	e := engine.Start(t, engine.Options{})
	if err := e.ImportBusybox(); err != nil {
		t.Fatal(err)
	}
	p := vitrine.Start(t, vitrine.Options{Engine: e, Data: "bindings:\n  admin: [\"unix:root\", local]\n"})
	p.Plug(nil)
	wants := func(what string, want ...string) {
		t.Helper()
		high, all := look(t, p)
		if slices.Sort(want); !slices.Equal(high, want) {
			t.Errorf("%s: high are %v, want %v of\n%+v", what, high, want, all)
		}
	}
	wants("as it should be")

	e.Docker("run", "--detach", "--name", "ci", "--volume", "/run/docker.sock:/run/docker.sock:ro", "bb:1", "sleep", "1000")
	wants("the socket in a container", "socket-mounted")
	e.Docker("run", "--detach", "--name", "node", "--pid", "host", "--volume", "/sys/fs/cgroup:/sys/fs/cgroup", "bb:1", "sleep", "1000")
	wants("the host in a container", "socket-mounted", "host-in-all-but-name")
	e.Docker("rm", "--force", "ci", "node")

	p.WritePolicy("data.yaml", "bindings:\n  admin: [\"unix:root\", local, \"label:a=b\"]\n")
	wants("an admin by label", "admin-too-wide")
	p.WritePolicy("data.yaml", "bindings:\n  admin: [\"unix:root\", local]\n")

	if err := e.WriteDaemonJSON(nil); err != nil {
		t.Fatal(err)
	}
	e.SetFlags("--authorization-plugin=vitrine", "--host=tcp://127.0.0.1:2375", "--tls=false")
	if err := e.Restart(); err != nil {
		t.Fatal(err)
	}
	p.WaitReady()
	wants("plugin by flag, and a TCP port", "plugin-by-flag", "plain-tcp")
	if err := e.Hangup(); err != nil {
		t.Fatal(err)
	}
	wants("after a reload", "plugin-by-flag", "plain-tcp", "not-asked")
}

// TestDoctorOfAGatewayAlone: it is told as one.
func TestDoctorOfAGatewayAlone(t *testing.T) {
	e := engine.Start(t, engine.Options{})
	p := vitrine.Start(t, vitrine.Options{Engine: e, Data: "bindings:\n  admin: [\"unix:root\"]\n", Alone: true})
	high, all := look(t, p)
	if len(high) > 0 || !slices.ContainsFunc(all, func(f doctor.Finding) bool { return f.Check == "not-asked" && f.Severity == doctor.Medium }) {
		t.Errorf("high are %v of %+v", high, all)
	}
}
