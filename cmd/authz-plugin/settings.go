package main

import (
	"cmp"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"vitrine/internal/authz/audit"
	"vitrine/internal/authz/decide"
	"vitrine/internal/authz/gateway"
	"vitrine/internal/authz/policy"
	"vitrine/internal/command"
	"vitrine/internal/engine/operation"
	"vitrine/internal/otlp"
)

// settings is the configuration of serve, checked.
type settings struct {
	pluginSocket  string // "" for none
	listeners     []listener
	upstream      string // path of a Unix socket
	policy        policy.Options
	stateDir      string // "" for none
	grants        string // "" for none
	mode          decide.Mode
	candidate     string // "" for none
	record        string // a file, "" for memory alone
	audit         string // "stderr", "stdout" or a file
	auditFormat   audit.Format
	otlp          otlp.Config
	adminSocket   string // "" for none
	adminAllow    []string
	requirePlugin bool
	passwd        string
	proc          string
	hostRoot      string // "" for that of the process behind upstream
	ownContainer  string // "": it is found out
	logLevel      slog.Level
	limits        gateway.Limits
}

// listener is one of the gateway's.
type listener struct {
	name  string
	path  string       // of a Unix socket
	host  string       // where the host has it, if not there
	fd    string       // its name, if another program listens for us …
	taken net.Listener // … once it was taken over
	addr  string       // host:port, for TCP
	mode  os.FileMode
	gid   int // -1: leave it
	tls   *tls.Config
	// denials is what a denial of the policy does here, "" for what it does everywhere.
	denials decide.Mode
	given   string
}

const (
	defaultConfig = "/etc/docker/vitrine/config.yaml"
	defaultGrants = "/etc/docker/vitrine/grants.yaml"
	defaultAdmin  = "/run/vitrine-admin/admin.sock"
	defaultListen = "agents=unix:///run/vitrine/docker/docker.sock,mode=0666"
)

// table is the only list of serve's settings; plugin/config.json is compared with
// it by a test.
var table = command.Settings[settings]{File: defaultConfig, Options: slices.Concat([]command.Option[settings]{
	{Key: "plugin_socket", Default: []string{"/run/docker/plugins/vitrine.sock"}, Help: "`PATH` of dockerd's plugin socket; \"\" for a gateway alone", Set: command.Value(absolute, func(s *settings) *string { return &s.pluginSocket })},
	{Key: "listen", List: true, Default: []string{defaultListen}, Help: "`SPEC` of a gateway listener: NAME=unix:///PATH[,mode=0666][,group=G], NAME=fd://NAME of a Unix socket that systemd listens on, either with [,host=PATH] if the host has it elsewhere, or NAME=tcp://HOST:PORT, all with [,denials=audit|enforce] for a mode of its own and ,cert=FILE,key=FILE,ca=FILE for mutual TLS; \"\" for none", Set: setListen},
	{Key: "upstream", Default: []string{"unix:///run/docker.sock"}, Help: "`ADDR` of dockerd's own socket", Set: command.Value(upstream, func(s *settings) *string { return &s.upstream })},
	{Key: "policy", List: true, Help: "`PATH` of a policy: a folder, a .rego or data file, a bundle (.tar.gz), or preset:NAME; default /etc/docker/vitrine if it holds one, else the built-in policy", Set: setPolicy},
	{Key: "state_dir", Default: []string{"/var/lib/vitrine"}, Help: "keep the last good policy in `DIR`, for a start at which its files are broken or gone, and which rights have ended; the folder must be there, and be ours alone; \"\" for none", Set: command.Value(absolute, func(s *settings) *string { return &s.stateDir })},
	{Key: "grants", Default: []string{defaultGrants}, Help: "`FILE` of the rights that are lent, which grant and revoke write; it must be ours alone, as its folder must; \"\" for none", Set: command.Value(absolute, func(s *settings) *string { return &s.grants })},
	{Key: "allow_by_default", Default: []string{"false"}, Help: "`BOOL`: accept a policy that allows an empty input", Set: command.Value(command.Bool, func(s *settings) *bool { return &s.policy.AllowByDefault })},
	{Key: "mode", Default: []string{"enforce"}, Help: "`MODE`: enforce, or audit, in which the policy's denials are recorded and lifted", Set: command.Value(mode, func(s *settings) *decide.Mode { return &s.mode })},
	{Key: "audit", Default: []string{"stderr"}, Help: "append records of decisions to `FILE`, or to stderr or stdout", Set: command.Value(given, func(s *settings) *string { return &s.audit })},
	{Key: "audit_format", Default: []string{"json"}, Help: "`FORMAT` of records, in the file and by OTLP: json, or ocsf (API Activity of the Open Cybersecurity Schema Framework)", Set: command.Value(auditFormat, func(s *settings) *audit.Format { return &s.auditFormat })},
	{Key: "candidate", Default: []string{""}, Help: "decide beside the policy what another one at `PATH` would make of each request, and count what differs; \"\" for none", Set: command.Value(absolute, func(s *settings) *string { return &s.candidate })},
	{Key: "record", Default: []string{""}, Help: "keep the shapes of what was asked in `FILE` over restarts, for learn and policy diff; \"\" keeps them in memory alone", Set: command.Value(absolute, func(s *settings) *string { return &s.record })},
	{Key: "admin_socket", Default: []string{defaultAdmin}, Help: "metrics, health and recent decisions on a socket at `PATH`; \"\" for none", Set: command.Value(absolute, func(s *settings) *string { return &s.adminSocket })},
	{Key: "admin_allow", List: true, Default: []string{"unix:root", "unix:vitrine-monitor", "container:monitor"}, Help: "`PRINCIPAL` that may read the admin socket", Set: func(s *settings, v []string) error { s.adminAllow = nonEmpty(v); return nil }},
	{Key: "require_plugin", Default: []string{"false"}, Help: "`BOOL`: answer 503 while dockerd does not ask the plugin", Set: command.Value(command.Bool, func(s *settings) *bool { return &s.requirePlugin })},
	{Key: "passwd", Default: []string{"/etc/passwd"}, Help: "`FILE` with the host's users, for unix: principals", Set: command.Value(given, func(s *settings) *string { return &s.passwd })},
	{Key: "proc", Default: []string{"/proc"}, Help: "`DIR` with the host's processes", Set: command.Value(given, func(s *settings) *string { return &s.proc })},
	{Key: "own_container", Help: "`NAME` or id of the container that this runs in, \"none\" if in none; default: it is found out", Set: command.One(func(s *settings, v string) error { s.ownContainer = strings.TrimPrefix(v, "/"); return nil })},
	{Key: "host_root", Default: []string{""}, Help: "`DIR` that is the host's root directory, below which host paths are looked up; \"\" for that of the process that listens at upstream", Set: command.Value(absolute, func(s *settings) *string { return &s.hostRoot })},
	{Key: "limits", List: true, Help: "limit `NAME=N` on what callers may use; docs/install.md lists them", Set: setLimits},
	{Key: "log_level", Default: []string{"info"}, Help: "log from `LEVEL` on: debug, info, warn or error", Set: command.Value(command.LogLevel, func(s *settings) *slog.Level { return &s.logLevel })},
}, otlp.Options(func(s *settings) *otlp.Config { return &s.otlp }))}

// readSettings reads what serve was told.
func readSettings(flags *pflag.FlagSet, environ []string) (*settings, error) {
	s := &settings{}
	if wrong := append(s.otlp.Meant(table.Read(s, flags, environ)), s.check()...); len(wrong) > 0 {
		return nil, command.ExitError{Code: command.Usage, Err: wrong}
	}
	return s, nil
}

// check finds what is wrong between settings that are right by themselves.
func (s *settings) check() command.SettingErrors {
	var wrong command.SettingErrors
	if s.pluginSocket == "" && len(s.listeners) == 0 {
		wrong = append(wrong, command.SettingError{Where: "listen", Err: errors.New("there is neither a plugin socket nor a listener: nothing to serve; give one of plugin_socket and listen")})
	}
	if s.requirePlugin && s.pluginSocket == "" {
		wrong = append(wrong, command.SettingError{Where: "require_plugin", Err: errors.New("needs plugin_socket: without it dockerd never asks")})
	}
	wrong = append(wrong, s.otlp.Check()...)
	if s.otlp.Network() && onlyLoopback() {
		wrong = append(wrong, command.SettingError{Where: "otlp_endpoint", Err: errors.New("this network namespace has only lo (a managed plugin has no network); have the receiver listen on a Unix socket below /run, and give unix:///run/…")})
	}
	seen := map[string]string{}
	for _, l := range s.listeners {
		for kind, value := range map[string]string{"name": l.name, "address": l.path + l.addr + l.fd} {
			if other, ok := seen[kind+value]; ok {
				wrong = append(wrong, command.SettingError{Where: "listen", Err: fmt.Errorf("%q and %q have the same %s %s", other, l.given, kind, value)})
			}
			seen[kind+value] = l.given
		}
		if l.path != "" && l.path == s.upstream {
			wrong = append(wrong, command.SettingError{Where: "listen", Err: fmt.Errorf("%q is dockerd's own socket; agents need another path", l.given)})
		}
		if l.addr != "" && onlyLoopback() {
			wrong = append(wrong, command.SettingError{Where: "listen", Err: fmt.Errorf("%q: this network namespace has only lo (a managed plugin has no network); use a Unix socket, or run the gateway as a service or a container", l.given)})
		}
	}
	return wrong
}

// given reads a file's name, which is always needed.
func given(v string) (string, error) {
	if v == "" {
		return "", errors.New("is empty; give a path")
	}
	return v, nil
}

// absolute reads an absolute path, "" for none.
func absolute(v string) (string, error) {
	if v != "" && !filepath.IsAbs(v) {
		return "", fmt.Errorf("%q is not an absolute path, such as /run/vitrine/x.sock", v)
	}
	return v, nil
}

func setPolicy(s *settings, v []string) error {
	of := policyAt(v)
	s.policy.Paths, s.policy.BuiltinIfAbsent = of.Paths, of.BuiltinIfAbsent
	return nil
}

// policyAt is the policy of some paths; without any, that of the usual folder, and while that does not exist the built-in one.
func policyAt(paths []string) policy.Options {
	if paths = nonEmpty(paths); len(paths) == 0 {
		return policy.Options{Paths: []string{filepath.Dir(defaultConfig)}, BuiltinIfAbsent: true}
	}
	return policy.Options{Paths: paths}
}

func mode(v string) (decide.Mode, error) {
	switch m := decide.Mode(v); m {
	case decide.Enforce, decide.Audit:
		return m, nil
	}
	return "", fmt.Errorf("%q is no mode; there are enforce and audit", v)
}

func auditFormat(v string) (audit.Format, error) {
	if f := audit.FormatOf(v); f != nil {
		return f, nil
	}
	return nil, fmt.Errorf("%q is no format; there are json and ocsf", v)
}

func upstream(v string) (string, error) {
	path, ok := strings.CutPrefix(v, "unix://")
	if !ok || !filepath.IsAbs(path) {
		return "", fmt.Errorf("%q is not the address of a Unix socket, such as unix:///run/docker.sock", v)
	}
	return path, nil
}

// limits are the names of gateway.Limits' fields.
var limits = []struct {
	name string
	set  func(*gateway.Limits, int64)
}{
	{"connections", func(l *gateway.Limits, n int64) { l.Connections = int(n) }},
	{"connections_per_caller", func(l *gateway.Limits, n int64) { l.ConnectionsPerCaller = int(n) }},
	{"streams_per_caller", func(l *gateway.Limits, n int64) { l.StreamsPerCaller = int(n) }},
	{"header_bytes", func(l *gateway.Limits, n int64) { l.HeaderBytes = int(n) }},
	{"json_bytes", func(l *gateway.Limits, n int64) { l.JSONBytes = n }},
	{"redact_bytes", func(l *gateway.Limits, n int64) { l.RedactBytes = n }},
	{"header_seconds", func(l *gateway.Limits, n int64) { l.HeaderTimeout = time.Duration(n) * time.Second }},
	{"body_seconds", func(l *gateway.Limits, n int64) { l.BodyTimeout = time.Duration(n) * time.Second }},
	{"idle_seconds", func(l *gateway.Limits, n int64) { l.IdleTimeout = time.Duration(n) * time.Second }},
}

func setLimits(s *settings, v []string) error {
	var wrong []error
	for _, pair := range nonEmpty(v) {
		if err := setLimit(&s.limits, pair); err != nil {
			wrong = append(wrong, err)
		}
	}
	return errors.Join(wrong...)
}

func setLimit(l *gateway.Limits, pair string) error {
	name, value, _ := strings.Cut(pair, "=")
	n, err := strconv.ParseInt(value, 10, 32)
	if err != nil || n <= 0 {
		return fmt.Errorf("%q: want NAME=N with N > 0, such as connections=4096", pair)
	}
	var names []string
	for _, limit := range limits {
		if limit.name == name {
			limit.set(l, n)
			return nil
		}
		names = append(names, limit.name)
	}
	return fmt.Errorf("%q is no limit; there are %s", name, strings.Join(names, ", "))
}

var listenerName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]*$`)

func setListen(s *settings, v []string) error {
	var wrong []error
	for _, spec := range nonEmpty(v) {
		l, err := parseListener(spec)
		if err != nil {
			wrong = append(wrong, fmt.Errorf("%q: %w", spec, err))
			continue
		}
		s.listeners = append(s.listeners, l)
	}
	return errors.Join(wrong...)
}

// parseListener reads NAME=ADDRESS, and any number of ",key=value" behind it.
func parseListener(spec string) (listener, error) {
	l := listener{mode: 0o666, gid: -1, given: spec}
	head, rest, _ := strings.Cut(spec, ",")
	name, address, ok := strings.Cut(head, "=")
	if !ok || !listenerName.MatchString(name) {
		return l, errors.New("want NAME=ADDRESS, such as agents=unix:///run/vitrine/docker/docker.sock")
	}
	l.name = name
	u, err := url.Parse(address)
	switch {
	case err != nil:
		return l, fmt.Errorf("address %q: %w", address, err)
	case u.Scheme == "unix" && u.Host == "" && filepath.IsAbs(u.Path):
		l.path = filepath.Clean(u.Path)
	case u.Scheme == "tcp" && u.Port() != "" && u.Path == "":
		l.addr = u.Host
	case u.Scheme == "fd" && u.Host != "" && u.Path == "":
		l.fd = u.Host
	default:
		return l, fmt.Errorf("address %q is none of unix:///PATH, fd://NAME and tcp://HOST:PORT", address)
	}
	return l, l.options(rest)
}

// options reads the key=value pairs of a listener.
func (l *listener) options(rest string) error {
	files := map[string]string{}
	for pair := range strings.SplitSeq(rest, ",") {
		if pair == "" {
			continue
		}
		key, value, _ := strings.Cut(pair, "=")
		switch key {
		case "host":
			if l.addr != "" || !filepath.IsAbs(value) || strings.ContainsAny(value, ":,") {
				return fmt.Errorf("host=%s is not the path of a Unix socket on the host, such as /run/vitrine/docker/docker.sock", value)
			}
			l.host = filepath.Clean(value)
		case "mode", "group":
			if l.fd != "" {
				return fmt.Errorf("%s= is set by who listens for us: SocketMode= and SocketGroup= of systemd's unit", key)
			}
			if err := l.access(key, value); err != nil {
				return err
			}
		case "denials":
			if l.denials = decide.Mode(value); l.denials != decide.Audit && l.denials != decide.Enforce {
				return fmt.Errorf("denials=%s: there are enforce and audit", value)
			}
		case "cert", "key", "ca":
			files[key] = value
		default:
			return fmt.Errorf("%q is no option of a listener; there are mode, group, host, denials, cert, key and ca", key)
		}
	}
	if l.addr != "" && len(files) == 0 {
		return errors.New("TCP needs cert=, key= and ca=: a caller without a certificate has no identity")
	}
	if len(files) == 0 {
		return nil
	}
	if len(files) != 3 {
		return errors.New("mutual TLS needs all of cert=, key= and ca=")
	}
	var err error
	l.tls, err = gateway.LoadTLS(files["cert"], files["key"], files["ca"])
	return err
}

// access reads who may connect.
func (l *listener) access(key, value string) error {
	if key == "group" {
		gid, err := command.GroupID(value)
		if err != nil {
			return fmt.Errorf("group=%s: %w", value, err)
		}
		l.gid = gid
		return nil
	}
	m, err := strconv.ParseUint(value, 8, 32)
	if err != nil || m > 0o777 || m&0o111 != 0 {
		return fmt.Errorf("mode=%s is not an octal mode of a socket, such as 0660", value)
	}
	l.mode = os.FileMode(m)
	return nil
}

// plain says that a caller is known by the socket's file that it opened.
func (l listener) plain() bool { return l.path+l.fd != "" && l.tls == nil }

// sockets are those that give power over the Engine. Of ours only those count by which a caller is known to have opened them.
func (s *settings) sockets() *operation.Sockets {
	out := &operation.Sockets{Engine: []string{"/run/docker.sock", filepath.Clean(s.upstream)}}
	var resolved []operation.Socket // after all others: a caller's containers are given what was written
	for _, l := range s.listeners {
		if !l.plain() {
			continue
		}
		socket := operation.Socket{Listener: l.name, Path: cmp.Or(l.host, l.path), Lifts: l.denials == decide.Audit}
		out.Gateway = append(out.Gateway, socket)
		folder, err := filepath.EvalSymlinks(filepath.Dir(socket.Path))
		if is := filepath.Join(folder, filepath.Base(socket.Path)); err == nil && is != socket.Path {
			socket.Path = is
			resolved = append(resolved, socket)
		}
	}
	out.Gateway = append(out.Gateway, resolved...)
	out.Engine = withoutLinks(out.Engine)
	out.Own = withoutLinks(s.deciding())
	return out
}

// deciding are the paths of which whoever writes there decides.
func (s *settings) deciding() (paths []string) {
	for _, p := range append(slices.Clone(s.policy.Paths), s.stateDir, s.grants, s.adminSocket, s.pluginSocket) {
		if _, preset := strings.CutPrefix(p, "preset:"); p == "" || preset {
			continue
		}
		if whole, err := filepath.Abs(p); err == nil {
			paths = append(paths, whole)
		}
	}
	return paths
}

// withoutLinks are the paths, and what those are that lead through links, if that can be told.
func withoutLinks(paths []string) []string {
	for _, p := range paths {
		folder, err := filepath.EvalSymlinks(filepath.Dir(p))
		if is := filepath.Join(folder, filepath.Base(p)); err == nil && !slices.Contains(paths, is) {
			paths = append(paths, is)
		}
		if is, err := filepath.EvalSymlinks(p); err == nil && !slices.Contains(paths, is) {
			paths = append(paths, is)
		}
	}
	return paths
}

// onlyLoopback tells that this network namespace reaches nobody else.
func onlyLoopback() bool {
	ifaces, err := net.Interfaces()
	if err != nil {
		return false
	}
	for _, i := range ifaces {
		if i.Flags&net.FlagLoopback == 0 {
			return false
		}
	}
	return true
}

func nonEmpty(v []string) []string {
	var out []string
	for _, s := range v {
		if s = strings.TrimSpace(s); s != "" {
			out = append(out, s)
		}
	}
	return out
}
