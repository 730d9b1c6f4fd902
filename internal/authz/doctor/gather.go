package doctor

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"vitrine/internal/authz/policy"
	"vitrine/internal/kernel/peercred"
	"vitrine/internal/kernel/procfs"
)

// Config says where to look.
type Config struct {
	Socket string // the Engine's own
	Admin  string // authz-plugin's admin socket; "" for none
	Proc   string // the host's /proc
	Etc    string // the host's /etc
	Policy policy.Options
}

// patience is for one question. The Engine may be busy; it must not keep the doctor.
const patience = 5 * time.Second

// Gather looks at the host. Whatever cannot be told has its cause in the facts, so there is no error.
func Gather(ctx context.Context, cfg Config) *Facts {
	g := gatherer{cfg: cfg, proc: procfs.New(os.DirFS(cfg.Proc)), engine: client(cfg.Socket)}
	f := &Facts{}
	f.Socket.Is, f.Socket.Err = g.socket()
	f.Probe.Is, f.Probe.Err = g.probe(ctx)
	f.HTTP2.Is, f.HTTP2.Err = g.http2(ctx)
	f.Engine.Is, f.Engine.Err = g.engineFacts(ctx)
	if pid, args, err := g.process(ctx); err != nil {
		f.Daemon.Err, f.TCP.Err = err, err
	} else {
		f.Daemon.Is, f.Daemon.Err = g.daemon(pid, args)
		f.TCP.Is, f.TCP.Err = g.tcp(ctx, pid)
	}
	f.NRI.Is, f.NRI.Err = g.nri(f.Daemon.Is.FilePath)
	var own int
	f.Vitrine.Is, own, f.Vitrine.Err = g.vitrine(ctx)
	f.Containers.Is, f.Containers.Err = g.containers(ctx, own)
	f.AdminRoles.Is, f.AdminRoles.Err = g.admins(ctx)
	return f
}

type gatherer struct {
	cfg    Config
	proc   procfs.FS
	engine *http.Client
}

func client(socket string) *http.Client {
	return &http.Client{Timeout: patience, Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext:       func(ctx context.Context, _, _ string) (net.Conn, error) { return dial(ctx, socket) },
	}}
}

func dial(ctx context.Context, socket string) (net.Conn, error) {
	d := net.Dialer{Timeout: patience}
	return d.DialContext(ctx, "unix", socket)
}

const maxAnswer = 32 << 20

// get asks for a document. An answer other than 200 is an error with what it says, but the document is read all the same.
func get(ctx context.Context, c *http.Client, uri string, to any) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://docker"+uri, http.NoBody)
	if err != nil {
		return err
	}
	res, err := c.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	body, err := io.ReadAll(io.LimitReader(res.Body, maxAnswer))
	if err != nil {
		return fmt.Errorf("read the answer to %s: %w", uri, err)
	}
	wrong := json.Unmarshal(body, to)
	if res.StatusCode != http.StatusOK {
		return &statusError{uri, res.StatusCode, string(bytes.TrimSpace(body))}
	}
	if wrong != nil {
		return fmt.Errorf("read the answer to %s: %w", uri, wrong)
	}
	return nil
}

type statusError struct {
	uri    string
	status int
	body   string
}

func (e *statusError) Error() string {
	return fmt.Sprintf("%s answered %d: %.300s", e.uri, e.status, e.body)
}

// refusal is how our parser refuses that parameter. Another plugin may quote the request, and with it our name.
const refusal = "is not known, and may be given once"

// probe asks what the plugin refuses to everybody: a parameter that nobody knows, given twice.
func (g *gatherer) probe(ctx context.Context) (probe, error) {
	err := get(ctx, g.engine, "/_ping?vitrine=1&vitrine=2", new(any))
	var answered *statusError
	switch {
	case errors.As(err, &answered):
		return probe{Status: answered.status, Ours: strings.Contains(answered.body, refusal)}, nil
	case isNetwork(err):
		return probe{}, err
	}
	return probe{Status: http.StatusOK}, nil // its body is "OK", which is no JSON
}

func isNetwork(err error) bool {
	var n net.Error
	return errors.As(err, &n) || errors.Is(err, io.EOF)
}

// http2 says hello in HTTP/2, and looks whether SETTINGS come back.
func (g *gatherer) http2(ctx context.Context) (bool, error) {
	const frame, settings = 9, 4 // the length of a frame's head; its type, in byte 3
	c, err := dial(ctx, g.cfg.Socket)
	if err != nil {
		return false, err
	}
	defer c.Close()
	if err := c.SetDeadline(time.Now().Add(patience)); err != nil {
		return false, err
	}
	if _, err := io.WriteString(c, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00"); err != nil {
		return false, err
	}
	head := make([]byte, frame)
	switch _, err := io.ReadFull(c, head); {
	case errors.Is(err, os.ErrDeadlineExceeded):
		return false, fmt.Errorf("wait for an answer to the preface of HTTP/2: %w", err)
	case err != nil:
		return false, nil // it hung up: no HTTP/2
	}
	return head[3] == settings && !bytes.HasPrefix(head, []byte("HTTP/")), nil
}

func (g *gatherer) engineFacts(ctx context.Context) (dockerd, error) {
	var v struct {
		Version    string
		Components []struct{ Name string }
	}
	if err := get(ctx, g.engine, "/version", &v); err != nil {
		return dockerd{}, err
	}
	var i struct {
		Plugins         struct{ Authorization []string }
		SecurityOptions []string
		NRI             json.RawMessage
		Swarm           struct{ LocalNodeState string }
	}
	if err := get(ctx, g.engine, "/info", &i); err != nil {
		return dockerd{}, err
	}
	e := dockerd{Name: "Docker", Version: v.Version, Plugins: i.Plugins.Authorization}
	if len(v.Components) > 0 && v.Components[0].Name != "Engine" {
		e.Name = v.Components[0].Name
	}
	e.Rootless = slices.ContainsFunc(i.SecurityOptions, func(s string) bool { return strings.HasPrefix(s, "name=rootless") })
	e.NRI = len(i.NRI) > 0 && !slices.Contains([]string{"null", "{}"}, string(i.NRI))
	e.SwarmNode = i.Swarm.LocalNodeState != "" && i.Swarm.LocalNodeState != "inactive"
	return e, nil
}

// listenerOf is the process that made a socket to listen at.
func listenerOf(ctx context.Context, socket string) (int, error) {
	c, err := dial(ctx, socket)
	if err != nil {
		return 0, err
	}
	defer c.Close()
	peer, err := peercred.FromConn(c)
	if err != nil {
		return 0, err
	}
	defer peer.Close()
	if peer.PID == 0 {
		return 0, fmt.Errorf("the process that listens at %s is in a PID namespace that cannot be seen from here", socket)
	}
	return peer.PID, nil
}

func (g *gatherer) args(pid int) ([]string, error) {
	b, err := os.ReadFile(filepath.Join(g.cfg.Proc, strconv.Itoa(pid), "cmdline"))
	return strings.Split(strings.TrimRight(string(b), "\x00"), "\x00"), err
}

// process is the Engine's: who listens at its socket, or, where systemd does so in its place, who has written the pid file.
func (g *gatherer) process(ctx context.Context) (pid int, args []string, err error) {
	const pidFile = "/run/docker.pid"
	if pid, err = listenerOf(ctx, g.cfg.Socket); err != nil {
		return 0, nil, err
	}
	if pid == 1 {
		text, err := os.ReadFile(pidFile)
		if err != nil {
			return 0, nil, fmt.Errorf("process 1 listens at %s, and the Engine was not found: %w", g.cfg.Socket, err)
		}
		if pid, err = strconv.Atoi(strings.TrimSpace(string(text))); err != nil {
			return 0, nil, fmt.Errorf("read %s: %w", pidFile, err)
		}
	}
	args, err = g.args(pid)
	return pid, args, err
}

func (g *gatherer) daemon(pid int, args []string) (daemon, error) {
	if filepath.Base(args[0]) != "dockerd" {
		return daemon{}, fmt.Errorf("%s (pid %d) listens at %s, which is no dockerd", args[0], pid, g.cfg.Socket)
	}
	d := daemon{PID: pid, FilePath: "/etc/docker/daemon.json"}
	for i, a := range args {
		name, value, joined := strings.Cut(a, "=")
		if !joined && i+1 < len(args) {
			value = args[i+1]
		}
		switch name {
		case "--authorization-plugin":
			d.FlagPlugins = append(d.FlagPlugins, strings.Split(value, ",")...)
		case "--config-file":
			d.FilePath = value
		}
	}
	// As dockerd sees it: in its own mount namespace.
	text, err := os.ReadFile(filepath.Join(g.cfg.Proc, strconv.Itoa(pid), "root", d.FilePath))
	if errors.Is(err, fs.ErrNotExist) {
		return d, nil
	}
	if err != nil {
		return daemon{}, err
	}
	var file struct {
		Plugins []string `json:"authorization-plugins"`
	}
	if err := json.Unmarshal(text, &file); err != nil {
		return daemon{}, fmt.Errorf("read %s: %w", d.FilePath, err)
	}
	d.FilePlugins = file.Plugins
	return d, nil
}

// nri looks into the files that switch it on.
func (g *gatherer) nri(daemonFile string) (string, error) {
	for _, file := range []struct {
		path string
		on   func([]byte) bool
	}{
		{daemonFile, func(b []byte) bool {
			var v struct {
				NRI struct{ Enable bool } `json:"nri-opts"`
			}
			return json.Unmarshal(b, &v) == nil && v.NRI.Enable
		}},
		{"/etc/containerd/config.toml", nriInContainerd},
	} {
		if file.path == "" {
			continue
		}
		at := file.path
		if inEtc, ok := strings.CutPrefix(at, "/etc/"); ok {
			at = filepath.Join(g.cfg.Etc, inEtc)
		}
		b, err := os.ReadFile(at)
		switch {
		case errors.Is(err, fs.ErrNotExist):
		case err != nil:
			return "", err
		case file.on(b):
			return file.path, nil
		}
	}
	return "", nil
}

// nriInContainerd reads just enough of containerd's TOML.
func nriInContainerd(b []byte) bool {
	section := ""
	for line := range strings.Lines(string(b)) {
		line = strings.TrimSpace(line)
		if strings.HasPrefix(line, "[") {
			section = line
		}
		key, value, _ := strings.Cut(line, "=")
		if strings.Contains(section, "io.containerd.nri.v1.nri") && strings.TrimSpace(key) == "disable" {
			return strings.HasPrefix(strings.TrimSpace(value), "false")
		}
	}
	return false
}

// vitrine asks the admin socket. pid is serve's process.
func (g *gatherer) vitrine(ctx context.Context) (v vitrine, pid int, err error) {
	if g.cfg.Admin == "" {
		return v, 0, errors.New("there is no admin socket (key admin_socket)")
	}
	var health struct{ Checks map[string]string }
	err = get(ctx, client(g.cfg.Admin), "/healthz", &health)
	var answered *statusError
	if err != nil && (!errors.As(err, &answered) || answered.status != http.StatusServiceUnavailable) {
		return v, 0, err
	}
	v.Failing = map[string]string{}
	for name, said := range health.Checks {
		if said != "ok" {
			v.Failing[name] = said
		}
	}
	if pid, err = listenerOf(ctx, g.cfg.Admin); err != nil {
		return v, 0, err
	}
	host, err := g.proc.Namespace(kthreadd, "pid")
	if err != nil {
		return v, pid, err
	}
	own, err := g.proc.Namespace(pid, "pid")
	v.SeesPID = own == host
	return v, pid, err
}

// kthreadd is the kernel thread with this number, which is in the host's namespaces for ever. In another PID namespace
// there is another process, or none: package attest looks at that more closely.
const kthreadd = 2

func (g *gatherer) containers(ctx context.Context, vitrine int) ([]container, error) {
	var list []struct{ ID string }
	if err := get(ctx, g.engine, "/containers/json", &list); err != nil {
		return nil, err
	}
	var ours []procfs.Cgroup // where authz-plugin is
	if vitrine != 0 {
		var err error
		if ours, err = g.proc.Cgroups(vitrine); err != nil {
			return nil, err
		}
	}
	out := []container{}
	for _, one := range list {
		var i struct {
			Name       string
			HostConfig struct {
				Privileged bool
				PidMode    string
			}
			Mounts []struct {
				Source string
				RW     bool
			}
		}
		err := get(ctx, g.engine, "/containers/"+one.ID+"/json", &i)
		var answered *statusError
		if errors.As(err, &answered) && answered.status == http.StatusNotFound {
			continue // it has ended meanwhile
		}
		if err != nil {
			return nil, err
		}
		c := container{
			ID: one.ID, Name: strings.TrimPrefix(i.Name, "/"), Privileged: i.HostConfig.Privileged, HostPID: i.HostConfig.PidMode == "host",
			Ours: slices.ContainsFunc(ours, func(l procfs.Cgroup) bool { return one.ID != "" && strings.Contains(l.Path, one.ID) }),
		}
		for _, m := range i.Mounts {
			c.Mounts = append(c.Mounts, mount{Source: m.Source, Writable: m.RW})
		}
		out = append(out, c)
	}
	return out, nil
}

// admins has the policy's own check look at who is admin.
func (g *gatherer) admins(ctx context.Context) ([]string, error) {
	var out []string
	var broken error
	for _, p := range policy.Check(ctx, g.cfg.Policy) {
		switch {
		case strings.HasPrefix(p.Key, "bindings.admin"):
			p.Warning = false // else it says so too
			out = append(out, p.Error())
		case !p.Warning && broken == nil:
			broken = p
		}
	}
	if len(out) > 0 {
		return out, nil
	}
	return nil, broken
}
