package testcontainers

import (
	"bufio"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"vitrine/rego"
	"vitrine/test/engine"
	"vitrine/test/vitrine"
	"vitrine/test/wait"
)

func TestMain(m *testing.M) {
	vitrine.Main()
	os.Exit(m.Run())
}

// ryuk is the image that the library's version starts.
const ryuk = "testcontainers/ryuk:0.14.0"

// session is what the program of that name says that it has.
type session struct{ Session, Container, Network string }

// begin starts an Engine with the images, and the gateway with the preset.
func begin(t *testing.T) (*engine.Engine, *vitrine.Process) {
	t.Helper()
	e := engine.Start(t, engine.Options{})
	policy, _, err := rego.Preset("testcontainers")
	if err != nil {
		t.Fatal(err)
	}
	if err := e.ImportBusybox(); err != nil {
		t.Fatal(err)
	}
	e.Docker("tag", "bb:1", "alpine")
	if _, err := e.ImportGo("session:1", "vitrine/test/oracle/testcontainers/session"); err != nil {
		t.Fatal(err)
	}
	return e, vitrine.Start(t, vitrine.Options{Engine: e, Data: string(policy)})
}

// run has the container tests run the library, which ends when end is called.
func run(t *testing.T, e *engine.Engine, env ...string) (has session, end func()) {
	t.Helper()
	args := []string{"run", "--rm", "--interactive", "--name", "tests", "--network", "host", "--volume", "/run/vitrine/docker:/var/run:ro", "--env", "DOCKER_HOST=unix:///var/run/docker.sock"}
	for _, v := range env {
		args = append(args, "--env", v)
	}
	cmd := e.DockerCommand(e.Socket, append(args, "session:1", "session")...)
	cmd.Stderr = &wait.Buffer{}
	in, err1 := cmd.StdinPipe()
	out, err2 := cmd.StdoutPipe()
	if err1 != nil || err2 != nil || cmd.Start() != nil {
		t.Fatal(err1, err2)
	}
	line, err := bufio.NewReader(out).ReadBytes('\n')
	if err != nil || json.Unmarshal(line, &has) != nil {
		_ = in.Close()
		t.Fatalf("%v, %q, %v\n%s", err, line, cmd.Wait(), cmd.Stderr)
	}
	return has, func() {
		_ = in.Close()
		if err := cmd.Wait(); err != nil {
			t.Errorf("%v\n%s", err, cmd.Stderr)
		}
	}
}

// TestLibrary: what the library does passes unchanged, and what it made is its own.
func TestLibrary(t *testing.T) {
	e, _ := begin(t)
	has, end := run(t, e, "TESTCONTAINERS_RYUK_DISABLED=true")
	defer end()
	for _, object := range []string{has.Container, has.Network} {
		if got := e.Docker("inspect", object); !strings.Contains(got, `"vitrine.owner": "container:tests"`) {
			t.Errorf("it is not its own: %s", got)
		}
	}
}

// TestRyuk: the library's reaper, its own program, is given the gateway's socket in place of the Engine's, and with that removes what the session left, and
// nothing of another's with the same labels.
func TestRyuk(t *testing.T) {
	program := os.Getenv("VITRINE_RYUK")
	if program == "" {
		t.Skip("VITRINE_RYUK is not set: Ryuk is no module that can be had, and its program is named, built from a checkout of github.com/testcontainers/moby-ryuk with CGO_ENABLED=0")
	}
	e, p := begin(t)
	local := filepath.Join(t.TempDir(), "ryuk")
	if out, err := exec.Command("cp", program, local).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	if err := e.ImportImage("reaper:1", local); err != nil {
		t.Fatal(err)
	}
	e.Docker("create", "--name", "model", "reaper:1")
	e.Docker("commit", "--change", `CMD ["ryuk"]`, "model", ryuk)
	e.Docker("rm", "model")
	has, end := run(t, e, "TESTCONTAINERS_RYUK_CONTAINER_PRIVILEGED=false")
	reaper := "reaper_" + has.Session
	if binds := e.Docker("inspect", "--format", "{{.HostConfig.Binds}} {{.HostConfig.Privileged}}", reaper); !strings.Contains(binds, "[/run/vitrine/docker/docker.sock:/var/run/docker.sock] false") {
		t.Errorf("Ryuk has %s", binds)
	}
	label := "org.testcontainers.sessionId=" + has.Session
	e.Docker("run", "--detach", "--name", "its", "--label", label, "--label", "org.testcontainers=true", "alpine", "sleep", "1000")
	e.Docker("network", "create", "--label", label, "its")
	end()
	gone := func(id string) func() bool {
		return func() bool { return e.DockerCommand(e.Socket, "inspect", id).Run() != nil }
	}
	wait.Until(t, "the session's container is removed", gone(has.Container))
	wait.Until(t, "the session's network is removed", gone(has.Network))
	wait.Until(t, "Ryuk is gone", gone(reaper))
	for _, kind := range []string{"container", "network"} {
		if out, err := e.DockerCommand(e.Socket, kind, "inspect", "its").CombinedOutput(); err != nil {
			t.Errorf("another's %s is gone too: %s", kind, out)
		}
	}
	asked := 0
	for _, r := range p.Audit() {
		if slices.Contains(r.Caller.Principals, "owner:container:tests") {
			asked++
			if !r.Allow {
				t.Errorf("Ryuk is refused %s %s: %v", r.Method, r.URI, r.Reasons)
			}
		}
	}
	if asked < 4 {
		t.Errorf("Ryuk asked %d times", asked)
	}
}
