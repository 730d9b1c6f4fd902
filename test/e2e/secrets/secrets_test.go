package secrets

import (
	"fmt"
	"net"
	"os"
	"strings"
	"testing"

	"vitrine/test/engine"
	"vitrine/test/vitrine"
)

func TestMain(m *testing.M) {
	vitrine.Main()
	os.Exit(m.Run())
}

const (
	secret = "s3cr3t"

	lookUID, bothUID, starterUID = 4301, 4302, 4303
)

// data binds a user to the built-in role; one to two roles that blank the same in
// different words, the one by name and the other by place; and one to starting
// containers without being shown why that failed.
const data = `
roles:
  names:
    access: [ping, list, inspect]
    operations: [SystemEvents]
    redact: {"*": ["*"]}
  places:
    access: [ping, list, inspect]
    operations: [SystemEvents]
    redact:
      ContainerInspect: [/config, /*/Health/*, /STATE/error, /HostConfig/LogConfig, /hostconfig/mounts]
      ImageInspect: [""]
      ImageHistory: ["/*"]
      VolumeList: [/volumes/*/*]
      VolumeInspect: ["/*"]
      SystemInfo: [/Swarm/Cluster, /HTTPPROXY]
      SystemDataUsage: ["/*/*", "/*/Items/*/*"]
      SystemEvents: ["/*"]
  starter:
    operations: [ContainerStart, ContainerRestart]
    redact: {"*": [errors]}
bindings:
  admin: [local]
  look: ["uid:4301"]
  names: ["uid:4302"]
  places: ["uid:4302"]
  starter: ["uid:4303"]
`

// world is an Engine with the secret in it.
type world struct {
	*testing.T
	e *engine.Engine
	p *vitrine.Process
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func newWorld(t *testing.T) *world {
	t.Helper()
	engine.Require(t)
	w := &world{T: t, e: engine.Start(t, engine.Options{})}
	must(t, w.e.ImportBusybox())
	w.stdin("FROM bb:1\nENV TOKEN="+secret+"\nHEALTHCHECK CMD echo "+secret+"\n", "build", "--quiet", "--tag", "secret:1", "-")
	w.e.Docker("volume", "create", "--opt", "type=tmpfs", "--opt", "device=tmpfs", "--opt", "o=size=4k,uid="+secret, "data")
	w.e.Docker("run", "--detach", "--name", "web", "--env", "TOKEN="+secret, "--health-interval", "1s", "--health-cmd", "echo "+secret,
		"--log-opt", "tag="+secret, "bb:1", "sleep", "1000")
	// A share that cannot be mounted, whose options are in the error.
	share := "type=volume,dst=/x,volume-driver=local,volume-opt=type=cifs,volume-opt=device=//127.0.0.1/x,\"volume-opt=o=username=u,pass=" + secret + "\""
	w.e.Docker("create", "--name", "broken", "--mount", share, "bb:1", "true")
	_, _ = w.e.DockerCommand(w.e.Socket, "start", "broken").CombinedOutput()
	w.e.Docker("swarm", "init", "--advertise-addr", "127.0.0.1")
	w.swarm()
	w.p = vitrine.Start(t, vitrine.Options{Engine: w.e, Data: data, Alone: true})
	return w
}

// swarm puts the secret into the swarm's specification.
func (w *world) swarm() {
	w.Helper()
	version := w.e.Docker("info", "--format", "{{.Swarm.Cluster.Version.Index}}")
	var d net.Dialer
	conn, err := d.DialContext(w.Context(), "unix", w.e.Socket)
	must(w.T, err)
	defer conn.Close()
	got, err := vitrine.Ask(conn, "POST", "/swarm/update?version="+version,
		`{"Name":"default","Labels":{"a":"`+secret+`"},"TaskDefaults":{"LogDriver":{"Name":"json-file","Options":{"tag":"`+secret+`"}}}}`)
	if err != nil || got.Status != 200 {
		w.Fatal(got, err)
	}
}

func (w *world) stdin(text string, arg ...string) {
	w.Helper()
	cmd := w.e.DockerCommand(w.e.Socket, arg...)
	cmd.Stdin = strings.NewReader(text)
	if out, err := cmd.CombinedOutput(); err != nil {
		w.Fatalf("docker %s: %v\n%s", strings.Join(arg, " "), err, out)
	}
}

// asks is what a user is answered through the gateway; uid 0 asks the Engine.
func (w *world) asks(u *vitrine.User, method, path string) vitrine.Answer {
	w.Helper()
	socket := w.p.Socket
	if u.UID == 0 {
		socket = w.e.Socket
	}
	conn, err := u.Dial(socket)
	must(w.T, err)
	defer conn.Close()
	got, err := vitrine.Ask(conn, method, path, "")
	must(w.T, err)
	return got
}

func TestSecretIsInNoAnswerClosed(t *testing.T) {
	w := newWorld(t)
	root, look, both, starter := vitrine.As(t, 0), vitrine.As(t, lookUID), vitrine.As(t, bothUID), vitrine.As(t, starterUID)
	w.p.Eventually("the health check to run", func() error {
		if got := w.asks(root, "GET", "/containers/web/json"); !strings.Contains(got.Body, `"Output":"`+secret) {
			return fmt.Errorf("%.400s", got.Body)
		}
		return nil
	})
	for _, path := range []string{
		"/containers/web/json", "/containers/broken/json", "/v1.24/containers/web/json", "/images/secret:1/json", "/v1.25/images/secret:1/json",
		"/images/secret:1/history", "/volumes", "/volumes/data", "/info", "/v1.30/info", "/system/df",
		"/events?since=1&until=" + w.now(),
	} {
		if got := w.asks(root, "GET", path); got.Status != 200 || !strings.Contains(got.Body, secret) && path != "/system/df" { // not on every engine
			t.Errorf("%s as root: %.300s: want the secret, or this test shows nothing", path, got)
		}
		for name, u := range map[string]*vitrine.User{"look": look, "two roles": both} {
			if got := w.asks(u, "GET", path); got.Status != 200 || strings.Contains(got.Body, secret) {
				t.Errorf("%s as %s: %s", path, name, got)
			}
		}
	}
	w.failures(root, look, starter)
}

// now is the Engine's time in seconds and nanoseconds: the health check may have run in this very second.
func (w *world) now() string {
	w.Helper()
	out, err := w.e.Command("date", "+%s.%N").Output()
	must(w.T, err)
	return strings.TrimSpace(string(out))
}

// failures: the text of an error quotes the share's password.
func (w *world) failures(root, look, starter *vitrine.User) {
	w.Helper()
	if got := w.asks(root, "POST", "/containers/broken/start"); got.Status != 500 || !strings.Contains(got.Body, secret) {
		w.Errorf("a start that fails, as root: %s: want the secret, or this test shows nothing", got)
	}
	for _, verb := range []string{"start", "restart"} {
		got := w.asks(starter, "POST", "/containers/broken/"+verb)
		if got.Status != 500 || strings.Contains(got.Body, secret) || !strings.Contains(got.Body, "not shown") {
			w.Errorf("%s: %s", verb, got)
		}
	}
	if got := w.asks(starter, "POST", "/containers/web/start"); got.Status != 304 {
		w.Errorf("a start of what runs: %s", got)
	}
	for path, u := range map[string]*vitrine.User{
		"POST /containers/nope/start": starter, "GET /containers/nope/json": look, "GET /images/nope/json": look,
		"GET /volumes/nope": look, "GET /images/nope/history": look,
	} {
		method, uri, _ := strings.Cut(path, " ")
		if got, plain := w.asks(u, method, uri), w.asks(root, method, uri); got.Status != 404 || strings.TrimSpace(got.Body) != strings.TrimSpace(plain.Body) {
			w.Errorf("%s: %s, want the Engine's own %s", path, got, plain)
		}
	}
}
