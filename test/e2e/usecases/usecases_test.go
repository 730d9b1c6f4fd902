package usecases

import (
	"crypto/tls"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"vitrine/test/engine"
	"vitrine/test/vitrine"
)

func TestMain(m *testing.M) {
	vitrine.Main()
	os.Exit(shared.Run(m))
}

var shared = engine.Shared{Prepare: func(e *engine.Engine) error {
	if err := e.ImportBusybox(); err != nil {
		return err
	}
	_, err := e.ImportGo("caller:1", "vitrine/test/caller")
	return err
}}

// There are users of these names, each in a group of the page's; and images, all of them the same.
var (
	users  = map[string]int{"ann": 4301, "ben": 4302}
	images = []string{"alpine", "golang", "docker"}
)

// folder and tlsAddress are where the gateway listens, inside.
const (
	folder     = "/run/vitrine/docker"
	tlsAddress = "127.0.0.1:2376"
)

// useCase is a section of the page.
type useCase struct {
	files    map[string]string
	requests string
}

func useCases(t *testing.T) map[string]*useCase {
	t.Helper()
	page, err := os.ReadFile("../../../docs/use-cases.md")
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]*useCase{}
	block := regexp.MustCompile("(?s)<!-- (example|engine): (\\S+) ?(\\S*) -->\n```\\w*\n(.*?)```\n")
	for _, m := range block.FindAllStringSubmatch(string(page), -1) {
		if all[m[2]] == nil {
			all[m[2]] = &useCase{files: map[string]string{}}
		}
		if m[1] == "example" {
			all[m[2]].files[m[3]] = m[4]
		} else {
			all[m[2]].requests = m[4]
		}
	}
	return all
}

// world is the Engine with the containers of others, the gateway, and who asks it.
type world struct {
	*testing.T
	e       *engine.Engine
	p       *vitrine.Process
	ca      *engine.CA
	home    string            // stands for /home and /srv
	callers map[string]string // containers that ask, and the socket that each has
}

// TestUseCases asks what the page says is asked, and is answered as it says.
func TestUseCases(t *testing.T) {
	e := shared.For(t)
	for _, image := range images {
		e.Docker("tag", "bb:1", image)
	}
	e.Docker("tag", "caller:1", "testcontainers/ryuk") // it asks for itself
	cases := useCases(t)
	if len(cases) < 8 {
		t.Fatalf("%d use cases", len(cases))
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			if len(strings.Fields(c.requests)) == 0 {
				t.Fatal("the page asks nothing of an Engine")
			}
			w := begin(t, e.For(t), c)
			for line := range strings.Lines(c.requests) {
				w.request(strings.TrimSpace(line))
			}
		})
	}
}

func begin(t *testing.T, e *engine.Engine, c *useCase) *world {
	t.Helper()
	w := &world{T: t, e: e, callers: map[string]string{}}
	w.home = filepath.Join(e.Dir, "homes")
	passwd := "root:x:0:0::/root:/bin/sh\n"
	for name, uid := range users {
		must(t, os.MkdirAll(filepath.Join(w.home, "home", name), 0o755))
		passwd += fmt.Sprintf("%s:x:%d:%d::/home/%s:/bin/sh\n", name, uid, uid, name)
	}
	must(t, os.MkdirAll(filepath.Join(w.home, "srv/project"), 0o755))
	must(t, os.WriteFile(filepath.Join(w.home, "passwd"), []byte(passwd), 0o644))
	var err error
	w.ca, err = engine.NewCA(t.TempDir())
	must(t, err)
	server, err := w.ca.Server("127.0.0.1")
	must(t, err)
	for file, text := range c.files {
		path := filepath.Join(e.Path("/etc/docker/vitrine"), file)
		must(t, os.MkdirAll(filepath.Dir(path), 0o755))
		must(t, os.WriteFile(path, []byte(w.placed(text)), 0o644))
		t.Cleanup(func() { must(t, os.Remove(path)) })
	}
	w.p = vitrine.Start(t, vitrine.Options{Engine: e, Alone: true, Args: []string{
		"--state-dir", "", // that of the case before is another policy
		"--passwd", filepath.Join(w.home, "passwd"),
		"--listen", "agents=unix://" + folder + "/docker.sock,mode=0666",
		"--listen", "tls=tcp://" + tlsAddress + ",cert=" + server.CertFile + ",key=" + server.KeyFile + ",ca=" + w.ca.File,
	}})
	for _, name := range []string{"edge", "inner"} {
		e.Docker("network", "create", name)
		t.Cleanup(func() { must(t, e.DockerCommand(e.Socket, "network", "rm", name).Run()) })
	}
	for name, flags := range map[string][]string{
		"routed":   {"--network", "edge"},
		"claims":   {"--network", "inner", "--label", "vitrine.network=edge"},
		"shop":     {"--label", "team=blue", "--label", "traefik.enable=true"},
		"other":    {"--label", "team=red"},
		"db":       nil,
		"web":      nil,
		"crowdsec": nil,
		"blog":     {"--label", "com.centurylinklabs.watchtower.enable=true", "--pid", "host"},
	} {
		w.container(name, "bb:1", flags...)
	}
	return w
}

// placed writes a policy or request with folders of the test in place of those of the host.
func (w *world) placed(text string) string {
	return strings.NewReplacer("/home", w.home+"/home", "/srv/project", w.home+"/srv/project", "gid:4300", `gid:4301", "gid:4302`).Replace(text)
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func (w *world) container(name, image string, flags ...string) {
	w.Helper()
	w.e.Docker(slices.Concat([]string{"run", "--detach", "--name", name}, flags, []string{image, "sleep", "1000"})...)
	w.Cleanup(func() { _ = w.e.DockerCommand(w.e.Socket, "rm", "--force", name).Run() })
}

var line = regexp.MustCompile(`^(\d{3})\s+(\S+)\s+(\S+)\s+(\S+)\s*(.*)$`)

// request asks a line of the page. ID:NAME is a container's id there, PREFIX:NAME the beginning of one.
func (w *world) request(text string) {
	w.Helper()
	m := line.FindStringSubmatch(text)
	if m == nil {
		w.Fatalf("%q is no request", text)
	}
	uri := regexp.MustCompile(`(ID|PREFIX):(\w+)`).ReplaceAllStringFunc(m[4], func(ref string) string {
		kind, name, _ := strings.Cut(ref, ":")
		id := w.e.Docker("inspect", "--format", "{{.Id}}", name)
		if kind == "PREFIX" {
			return id[:12]
		}
		return id
	})
	got := w.ask(m[2], m[3], uri, w.placed(m[5]))
	if want, _ := strconv.Atoi(m[1]); got.Status != want {
		w.Errorf("%s\nwas answered %s", text, got)
	}
	if m[3] == "POST" && strings.Contains(uri, "name=") && got.Status == 201 { // gone with the test, whatever fails
		name := uri[strings.Index(uri, "name=")+len("name="):]
		w.Cleanup(func() { _ = w.e.DockerCommand(w.e.Socket, "rm", "--force", name).Run() })
	}
}

// ask asks as a principal: a container of that name, a user, the holder of a certificate.
func (w *world) ask(as, method, uri, body string) (a vitrine.Answer) {
	w.Helper()
	kind, name, _ := strings.Cut(as, ":")
	switch kind {
	case "container":
		if w.callers[name] == "" {
			w.callers[name] = folder + "/docker.sock"
			if w.e.DockerCommand(w.e.Socket, "inspect", name).Run() == nil { // it was made by another, with the Engine's socket in mind
				w.callers[name] = "/var/run/docker.sock"
			} else {
				w.container(name, "caller:1", "--volume", folder+":"+folder+":ro")
			}
		}
		args := []string{"exec", name, "caller", "ask", w.callers[name], method, uri}
		if body != "" {
			args = append(args, body)
		}
		must(w, json.Unmarshal([]byte(w.e.Docker(args...)), &a))
		return a
	case "unix":
		c, err := vitrine.As(w, users[name]).Dial(w.p.Socket)
		must(w, err)
		return w.over(c, method, uri, body)
	case "tls":
		pair, err := w.ca.Client(name)
		must(w, err)
		c, err := w.e.Dial(w.Context(), "tcp", tlsAddress)
		must(w, err)
		return w.over(tls.Client(c, &tls.Config{RootCAs: w.ca.Pool, Certificates: []tls.Certificate{pair.TLS}, ServerName: "127.0.0.1", MinVersion: tls.VersionTLS12}), method, uri, body)
	}
	w.Fatalf("nobody asks as %s here", as)
	return a
}

func (w *world) over(c net.Conn, method, uri, body string) vitrine.Answer {
	w.Helper()
	defer c.Close()
	a, err := vitrine.Ask(c, method, uri, body)
	must(w, err)
	return a
}
