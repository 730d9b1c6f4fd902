package bypass

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"vitrine/internal/authz/audit"
	"vitrine/test/engine"
	"vitrine/test/vitrine"
)

// secret is in every place from which a caller that may only look must not get it.
const secret = "s3cr3t"

// swarmToken begins the tokens with which a host joins the swarm.
const swarmToken = "SWMTKN"

// policyData binds each role to a Unix user and to a certificate. `local` may
// only look, so that dockerd's own socket is a third way in.
const policyData = `
roles:
  creator:
    access: [ping, list, inspect]
    operations: [SystemEvents, ContainerCreate, ContainerStart, ContainerRename, ContainerUpdate, VolumeCreate,
      NetworkCreate, NetworkConnect, NetworkDisconnect, ImageCreate, ImageTag, ImageBuild, ImagePrune, ServiceCreate, ServiceUpdate]
    hazards: [env, outbound]
  operator: {operations: ["*"], hazards: ["*"]}
bindings:
  admin: ["unix:root", "tls:admin"]
  look: ["unix:look", "tls:look", "local"]
  creator: ["unix:creator", "tls:creator"]
  operator: ["unix:operator", "tls:operator"]
  monitor: ["container:monitor", "label:vitrine.role=monitor"]
`

var uids = map[role]int{look: 4201, creator: 4202, operator: 4203}

// world is an Engine that asks our plugin, with things in it worth an attack,
// as one test sees it.
type world struct {
	*testing.T
	*things
}

// on is the world of a subtest.
func (w world) on(t *testing.T) world { return world{t, w.things} }

type things struct {
	e       *engine.Engine
	p       *vitrine.Process
	ca      *engine.CA
	users   map[role]*vitrine.User
	certs   map[string]*engine.Pair // by common name
	admin   *http.Client            // by certificate; unrestricted, to see what happened
	names   *strings.Replacer       // of the ids that requests name as {web} and so on
	web     string                  // id of the container with an open standard input
	webRoot string                  // its files
	calls   atomic.Int64            // connections to 127.0.0.1:5000, where nobody may make the daemon connect
	audited int64                   // bytes of the audit log that have been read
}

func newWorld(t *testing.T, args ...string) world {
	t.Helper()
	engine.Require(t)
	ca, err := engine.NewCA(t.TempDir())
	check(t, err)
	settings := map[string]any{"experimental": true} // checkpoints
	w := world{t, &things{ca: ca, users: map[role]*vitrine.User{}, certs: map[string]*engine.Pair{}}}
	w.e = engine.Start(t, engine.Options{TLS: ca, DaemonJSON: settings})
	w.fill()
	w.listen()
	for role, uid := range uids {
		w.addUser(string(role), uid)
		w.users[role] = vitrine.As(t, uid)
	}
	w.p = vitrine.Start(t, vitrine.Options{Engine: w.e, Data: policyData, Args: args})
	w.p.Plug(settings)
	w.admin = &http.Client{Transport: &http.Transport{
		DialContext: func(context.Context, string, string) (net.Conn, error) { return w.dialTLS("admin") },
	}}
	t.Cleanup(w.admin.CloseIdleConnections)
	return w
}

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// fill makes containers, images and a swarm, before anybody is asked.
func (w world) fill() {
	w.Helper()
	check(w, w.e.ImportBusybox())
	w.stdin("FROM bb:1\nENV TOKEN="+secret+"\n", "build", "--quiet", "--tag", "secret:1", "-")
	w.e.Docker("volume", "create", "--opt", "type=tmpfs", "--opt", "device=tmpfs", "--opt", "o=size=4k,uid="+secret, "data")
	w.web = w.e.Docker("run", "--detach", "--interactive", "--name", "web", "--env", "TOKEN="+secret,
		"bb:1", "sh", "-c", `echo "$TOKEN"; echo "$TOKEN" >/etc/token; exec cat >/in`)
	monitor := w.e.Docker("run", "--detach", "--name", "monitor", "bb:1", "sleep", "1000")
	w.e.Docker("create", "--name", "debug", "--pid", "container:monitor", "bb:1", "true")
	w.e.Docker("create", "--name", "old", "bb:1", "touch", "/evil")
	fat := []string{"create", "--name", "fat", "--env", "TOKEN=" + secret}
	for i := range 40 {
		fat = append(fat, "--label", fmt.Sprintf("l%d=%s", i, strings.Repeat("x", 2048)))
	}
	w.e.Docker(append(fat, "bb:1")...)
	w.webRoot = "/proc/" + w.e.Docker("inspect", "--format", "{{.State.Pid}}", "web") + "/root"
	w.e.Docker("swarm", "init", "--advertise-addr", "127.0.0.1", "--autolock")
	w.stdin(secret, "config", "create", "conf", "-")
	w.e.Docker("service", "create", "--detach", "--no-resolve-image", "--replicas", "0", "--name", "svc", "--env", "TOKEN="+secret, "bb:1")
	w.eventually("the swarm to be made", w.swarmIsMade)
	w.names = strings.NewReplacer("{web}", w.web, "{monitor}", monitor, "{moni}", monitor[:12], "{debug}", "debug", "{exec}", w.exec())
}

// swarmIsMade: a swarm goes on making things of its own for some time.
func (w world) swarmIsMade() error {
	made := w.e.Docker("network", "ls", "--format", "network made {{.Name}}") + "\n" +
		w.e.Docker("events", "--since", "10m", "--until", "0s", "--format", "{{.Type}} {{.Action}} {{.Actor.Attributes.name}}")
	for _, what := range []string{"network made docker_gwbridge", "node update", "config create conf", "service create svc", "network create ingress"} {
		if !strings.Contains(made, what) {
			return fmt.Errorf("not yet: %s", what)
		}
	}
	return nil
}

// stdin runs docker with a standard input.
func (w world) stdin(text string, arg ...string) {
	w.Helper()
	cmd := w.e.DockerCommand(w.e.Socket, arg...)
	cmd.Stdin = strings.NewReader(text)
	if out, err := cmd.CombinedOutput(); err != nil {
		w.Fatalf("docker %s: %v\n%s", strings.Join(arg, " "), err, out)
	}
}

// exec makes an exec in web that nobody has started yet.
func (w world) exec() string {
	w.Helper()
	resp, err := w.e.Client().Post("http://docker/containers/web/exec", "application/json",
		strings.NewReader(`{"Cmd":["sh","-c","touch /evil # `+secret+`"]}`))
	check(w, err)
	defer resp.Body.Close()
	var exec struct{ ID string }
	check(w, json.NewDecoder(resp.Body).Decode(&exec))
	return exec.ID
}

// listen counts who calls 127.0.0.1:5000, and hangs up.
func (w world) listen() {
	w.Helper()
	l, err := w.e.Listen(w.Context(), "tcp", "127.0.0.1:5000")
	check(w, err)
	w.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			w.calls.Add(1)
			_ = c.Close()
		}
	}()
}

// addUser gives a uid a name that Vitrine sees.
func (w world) addUser(name string, uid int) {
	w.Helper()
	f, err := os.OpenFile(w.e.Path("/etc/passwd"), os.O_APPEND|os.O_WRONLY, 0)
	check(w, err)
	_, err = fmt.Fprintf(f, "%s:x:%d:%d::/:/bin/false\n", name, uid, uid)
	check(w, errors.Join(err, f.Close()))
}

// dialTLS connects to dockerd's TLS listener with a certificate of that common name.
func (w world) dialTLS(name string) (net.Conn, error) {
	pair := w.certs[name]
	if pair == nil {
		var err error
		if pair, err = w.ca.Client(name); err != nil {
			return nil, err
		}
		w.certs[name] = pair
	}
	return w.dialCertificate(pair.TLS)
}

func (w world) dialCertificate(cert tls.Certificate) (net.Conn, error) {
	c, err := w.e.Dial(w.Context(), "tcp", engine.TLSAddress)
	if err != nil {
		return nil, err
	}
	return tls.Client(c, &tls.Config{ServerName: "127.0.0.1", RootCAs: w.ca.Pool, Certificates: []tls.Certificate{cert}, MinVersion: tls.VersionTLS12}), nil
}

// A way is how a caller reaches the daemon.
type way struct {
	name      string
	as        role
	gateway   bool
	principal string // how the audit record names the caller
	dial      func() (net.Conn, error)
}

// ways are all by which a role comes.
func (w world) ways(as role) []way {
	all := []way{
		{"gateway", as, true, "unix:" + string(as), func() (net.Conn, error) { return w.users[as].Dial(w.p.Socket) }},
		{"certificate", as, false, "tls:" + string(as), func() (net.Conn, error) { return w.dialTLS(string(as)) }},
	}
	if as == look {
		all = append(all, way{"own socket", as, false, "local", func() (net.Conn, error) {
			var d net.Dialer
			return d.DialContext(w.Context(), "unix", w.e.Socket)
		}})
	}
	return all
}

// effects are what one request can have done: what the daemon says that has
// happened, and what it need not say.
type effects struct {
	Events []string
	Files  []string // of web
	Stdin  string   // what web was sent
	Calls  int64
}

// effects are those since a time, and those that no time is known of.
func (w world) effects(since time.Time) effects {
	w.Helper()
	e := effects{Events: w.events(since), Stdin: w.input(), Calls: w.calls.Load()}
	for _, dir := range []string{"/", "/etc", "/tmp"} {
		files, err := filepath.Glob(w.webRoot + dir + "/*")
		check(w, err)
		e.Files = append(e.Files, files...)
	}
	return e
}

// state is what the daemon has, whatever it says of how it came.
type state struct {
	Containers, Images, Volumes, Networks, Services []string
	Web                                             any
	effects
}

// now gives the state, with the effects since a time.
func (w world) now(since time.Time) state {
	w.Helper()
	s := state{effects: w.effects(since)}
	var containers []struct{ ID, Image, State, Names any }
	w.get("/containers/json?all=1", &containers)
	s.Containers = lines(containers)
	var images []struct{ ID, RepoTags any }
	w.get("/images/json?all=1", &images)
	s.Images = lines(images)
	var volumes struct{ Volumes []struct{ Name, Options any } }
	w.get("/volumes", &volumes)
	s.Volumes = lines(volumes.Volumes)
	var networks []struct{ ID, Name any }
	w.get("/networks", &networks)
	s.Networks = lines(networks)
	var services []struct{ ID, UpdatedAt any }
	w.get("/services", &services)
	s.Services = lines(services)
	var web struct {
		State, ExecIDs any
		HostConfig     struct{ CgroupParent string }
	}
	w.get("/containers/"+w.web+"/json", &web)
	s.Web = web
	return s
}

// input is what web has read from its standard input.
func (w world) input() string {
	w.Helper()
	in, err := os.ReadFile(w.webRoot + "/in")
	check(w, err)
	return string(in)
}

// events are what the daemon says that has happened since.
func (w world) events(since time.Time) []string {
	w.Helper()
	stamp := func(t time.Time) string {
		return strconv.FormatInt(t.Unix(), 10) + "." + fmt.Sprintf("%09d", t.Nanosecond())
	}
	resp, err := w.admin.Get("http://docker/events?" + url.Values{"since": {stamp(since)}, "until": {stamp(time.Now())}}.Encode())
	check(w, err)
	defer resp.Body.Close()
	var all []string
	for dec := json.NewDecoder(resp.Body); ; {
		var one struct {
			Type, Action string
			Actor        struct{ ID string }
		}
		err := dec.Decode(&one)
		if errors.Is(err, io.EOF) {
			return all
		}
		check(w, err)
		if one.Type == "daemon" { // its SIGHUP
			continue
		}
		all = append(all, one.Type+" "+one.Action+" "+one.Actor.ID)
	}
}

// get asks as admin.
func (w world) get(path string, into any) {
	w.Helper()
	resp, err := w.admin.Get("http://docker/v1.41" + path)
	check(w, err)
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	check(w, err)
	if resp.StatusCode != http.StatusOK {
		w.Fatalf("GET %s as admin: %s: %s", path, resp.Status, body)
	}
	check(w, json.Unmarshal(body, into))
}

func lines[T any](list []T) []string {
	var out []string
	for _, v := range list {
		text, _ := json.Marshal(v) // decoded from JSON
		out = append(out, string(text))
	}
	slices.Sort(out)
	return out
}

// records are what has been recorded since the last call, of one caller.
func (w world) records(principal string) []audit.Record {
	w.Helper()
	f, err := os.Open(w.p.AuditFile)
	check(w, err)
	defer f.Close()
	data, err := io.ReadAll(io.NewSectionReader(f, w.audited, 1<<30))
	check(w, err)
	data = data[:bytes.LastIndexByte(data, '\n')+1]
	w.audited += int64(len(data))
	var out []audit.Record
	for line := range bytes.Lines(data) {
		var r audit.Record
		check(w, json.Unmarshal(line, &r))
		if slices.Contains(r.Caller.Principals, principal) {
			out = append(out, r)
		}
	}
	return out
}

// recordsUntil gives those of the principals when the first has one.
func (w world) recordsUntil(first, other string) (out []audit.Record) {
	w.Helper()
	w.eventually("the audit record of "+first, func() error {
		from := w.audited
		if out = w.records(first); len(out) == 0 {
			return errors.New("there is none")
		}
		w.audited = from
		out = append(out, w.records(other)...)
		return nil
	})
	return out
}

// auditText is the whole audit log.
func (w world) auditText() string {
	w.Helper()
	data, err := os.ReadFile(w.p.AuditFile)
	check(w, err)
	return string(data)
}

// diff says what has changed of a state or of effects.
func diff(before, after any) string {
	var b strings.Builder
	was, is := fields(before), fields(after)
	for _, key := range slices.Sorted(maps.Keys(is)) {
		if !bytes.Equal(was[key], is[key]) {
			fmt.Fprintf(&b, "%s was\n\t%s\nand is\n\t%s\n", key, was[key], is[key])
		}
	}
	return b.String()
}

func fields(v any) (m map[string]json.RawMessage) {
	text, _ := json.Marshal(v)   // strings and numbers
	_ = json.Unmarshal(text, &m) // just written
	return m
}
