package hostpaths

import (
	"crypto/tls"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"vitrine/internal/authz/audit"
	"vitrine/test/engine"
	"vitrine/test/vitrine"
)

func TestMain(m *testing.M) {
	vitrine.Main()
	os.Exit(m.Run())
}

// deployer is who may mount what lies in one folder.
const deployer = 4301

const policyData = `
roles:
  deployer: &deployer
    access: [ping, list, inspect, write]
    hazards: [host-path, env]
    host_paths: ["%s"]
  careless:
    <<: *deployer
    unresolved: true
bindings:
  admin: ["unix:root", "local", "tls:admin"]
  deployer: ["uid:4301", "tls:deployer"]
  careless: ["uid:4302"]
`

// world is an engine that asks our plugin, and the folder that the role allows.
type world struct {
	*testing.T
	e    *engine.Engine
	p    *vitrine.Process
	ca   *engine.CA
	proj string
}

func newWorld(t *testing.T, args ...string) *world {
	t.Helper()
	engine.Require(t)
	ca, err := engine.NewCA(t.TempDir())
	must(t, err)
	w := &world{T: t, ca: ca, e: engine.Start(t, engine.Options{TLS: ca})}
	must(t, w.e.ImportBusybox())
	w.proj = filepath.Join(w.e.Dir, "alice/proj")
	must(t, os.MkdirAll(filepath.Join(w.proj, "www"), 0o755))
	must(t, os.WriteFile(filepath.Join(w.proj, "www/page"), []byte("honest\n"), 0o644))
	w.p = vitrine.Start(t, vitrine.Options{Engine: w.e, Data: fmt.Sprintf(policyData, w.proj), Args: args})
	w.p.Plug(nil)
	return w
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// gateway asks through the gateway, as a user of the host.
func (w *world) gateway(uid int, method, path, body string) vitrine.Answer {
	w.Helper()
	c, err := vitrine.As(w, uid).Dial(w.p.Socket)
	must(w, err)
	return w.ask(c, method, path, body)
}

// direct asks dockerd itself, which asks the plugin, as the holder of a certificate.
func (w *world) direct(name, method, path, body string) vitrine.Answer {
	w.Helper()
	pair, err := w.ca.Client(name)
	must(w, err)
	c, err := w.e.Dial(w.Context(), "tcp", engine.TLSAddress)
	must(w, err)
	host, _, _ := net.SplitHostPort(engine.TLSAddress)
	return w.ask(tls.Client(c, &tls.Config{
		RootCAs: w.ca.Pool, Certificates: []tls.Certificate{pair.TLS}, ServerName: host, MinVersion: tls.VersionTLS12,
	}), method, path, body)
}

func (w *world) ask(c net.Conn, method, path, body string) vitrine.Answer {
	w.Helper()
	defer c.Close()
	a, err := vitrine.Ask(c, method, path, body)
	must(w, err)
	return a
}

// bind is a create that mounts a path at /x and looks at it.
func bind(p string, command ...string) string {
	text, _ := json.Marshal(map[string]any{
		"Image": "bb:1", "Cmd": command, "HostConfig": map[string]any{"Binds": []string{p + ":/x"}},
	})
	return string(text)
}

// run creates a container through the gateway, runs it to its end, and gives what it printed.
func (w *world) run(name, body string) string {
	w.Helper()
	if a := w.gateway(deployer, "POST", "/containers/create?name="+name, body); a.Status != 201 {
		w.Fatalf("create %s: %s", name, a)
	}
	if a := w.gateway(deployer, "POST", "/containers/"+name+"/start", ""); a.Status != 204 {
		w.Fatalf("start %s: %s", name, a)
	}
	if a := w.gateway(deployer, "POST", "/containers/"+name+"/wait", ""); a.Status != 200 {
		w.Fatalf("wait for %s: %s", name, a)
	}
	return w.e.Docker("logs", name)
}

// source is what an existing container has mounted at /x.
func (w *world) source(name string) string {
	w.Helper()
	return w.e.Docker("inspect", "--format", "{{range .HostConfig.Binds}}{{.}}{{end}}", name)
}

func (w *world) denied(a vitrine.Answer, says ...string) {
	w.Helper()
	for _, want := range append(says, "vitrine: ") {
		if a.Status != 403 || !strings.Contains(a.Body, want) {
			w.Errorf("%s, want 403 with %q", a, want)
		}
	}
}

func TestClosedHostPathIsWhatItResolvesTo(t *testing.T) {
	w := newWorld(t)

	// A container that has the folder writes a link to the engine's socket into it.
	w.run("writer", bind(w.proj, "ln", "-s", "/run", "/x/r"))
	r := filepath.Join(w.proj, "r")
	if target, err := os.Readlink(r); target != "/run" {
		t.Fatalf("the link is %q, %v", target, err)
	}
	for _, p := range []string{r, filepath.Dir(w.proj) + "/proj/./r", r + "/nothing/there"} {
		w.denied(w.gateway(deployer, "POST", "/containers/create?name=attack", bind(p, "ls", "/x")), `\"/run`, "this host")
		w.denied(w.direct("deployer", "POST", "/v1.41/containers/create?name=attack", bind(p, "ls", "/x")), `\"/run`, "this host")
	}
	mount := fmt.Sprintf(`{"Image":"bb:1","HostConfig":{"Mounts":[{"Type":"bind","Source":%q,"Target":"/x"}]}}`, r)
	w.denied(w.gateway(deployer, "POST", "/containers/create?name=attack", mount), "/run")
	if all := w.e.Docker("ps", "--all", "--format", "{{.Names}}"); strings.Contains(all, "attack") {
		t.Errorf("there are containers %s", all)
	}

	// What is honest works, through both doors.
	if out := w.run("honest", bind(w.proj+"/www", "cat", "/x/page")); strings.TrimSpace(out) != "honest" {
		t.Errorf("printed %q", out)
	}
	if a := w.direct("deployer", "POST", "/v1.41/containers/create?name=direct", bind(w.proj+"/www", "true")); a.Status != 201 {
		t.Errorf("the plugin's door: %s", a)
	}
	w.run("new", bind(w.proj+"/new/folder", "touch", "/x/file"))
	if _, err := os.Stat(filepath.Join(w.proj, "new/folder/file")); err != nil {
		t.Error(err)
	}

	// A link that stays inside is forwarded as what it is, and recorded; the plugin's door cannot do that.
	inside := filepath.Join(w.proj, "latest")
	must(t, os.Symlink("www", inside))
	record := w.p.Recorded(t, func() {
		if a := w.gateway(deployer, "POST", "/containers/create?name=inside", bind(inside, "true")); a.Status != 201 {
			t.Fatalf("a link that stays inside: %s", a)
		}
	})
	if want := []audit.Change{{What: "host_path", From: inside, To: w.proj + "/www"}}; !slices.Equal(record.Changed, want) {
		t.Errorf("recorded as changed: %v, want %v", record.Changed, want)
	}
	if got := w.source("inside"); got != w.proj+"/www:/x" {
		t.Errorf("mounts %s", got)
	}
	w.denied(w.direct("deployer", "POST", "/v1.41/containers/create?name=other", bind(inside, "true")), w.proj+"/www", "/run/vitrine/docker/docker.sock")

	// An admin's request goes on as it was typed.
	if a := w.direct("admin", "POST", "/v1.41/containers/create?name=admins", bind(inside, "true")); a.Status != 201 {
		t.Errorf("an admin's: %s", a)
	}
	if a := w.gateway(0, "POST", "/containers/create?name=admins2", bind(r, "true")); a.Status != 201 {
		t.Errorf("an admin's: %s", a)
	}
	for name, want := range map[string]string{"admins": inside + ":/x", "admins2": r + ":/x"} {
		if got := w.source(name); got != want {
			t.Errorf("%s mounts %s, want %s", name, got, want)
		}
	}
}

// TestHostPathsAfterARestartOfDockerd: the root directory is that of the dockerd
// that runs.
func TestHostPathsAfterARestartOfDockerd(t *testing.T) {
	w := newWorld(t)
	must(t, os.Symlink("www", filepath.Join(w.proj, "l")))
	for i := range 2 {
		if out := w.run(fmt.Sprint("c", i), bind(w.proj+"/l", "cat", "/x/page")); strings.TrimSpace(out) != "honest" {
			t.Errorf("printed %q", out)
		}
		must(t, w.e.Restart())
		w.p.WaitReady()
	}
}

// TestClosedHostThatCannotBeSeen: a role must say that it takes paths that nobody
// has looked at, and a broken one nobody takes.
func TestClosedHostThatCannotBeSeen(t *testing.T) {
	w := newWorld(t, "--host-root", "/nonexistent")
	www := w.proj + "/www"
	w.denied(w.gateway(deployer, "POST", "/containers/create", bind(www, "true")), "it lacks unresolved: true", "cannot be seen from here")
	if a := w.gateway(4302, "POST", "/containers/create", bind(www, "true")); a.Status != 201 {
		t.Errorf("a role that takes it: %s", a)
	}
	w.denied(w.gateway(4302, "POST", "/containers/create", bind("/opt", "true")), "does not take the host paths /opt")
	if a := w.gateway(0, "POST", "/containers/create", bind(www, "true")); a.Status != 201 {
		t.Errorf("an admin: %s", a)
	}
}

// TestClosedBrokenPath is for everybody but an admin.
func TestClosedBrokenPath(t *testing.T) {
	w := newWorld(t)
	must(t, os.Symlink("loop", filepath.Join(w.proj, "loop")))
	must(t, os.Symlink("/run/later", filepath.Join(w.proj, "later")))
	must(t, os.Symlink("/proc/self/root", filepath.Join(w.proj, "magic")))
	for _, uid := range []int{deployer, 4302} {
		for name, why := range map[string]string{"loop": "go round", "later": "leads nowhere", "magic": "a link of /proc"} {
			w.denied(w.gateway(uid, "POST", "/containers/create", bind(w.proj+"/"+name, "true")), why)
		}
	}
}
