package main

import (
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"os"
	"os/user"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"time"

	"vitrine/internal/authz"
	"vitrine/internal/gateway"
)

// settings is the configuration of serve, checked.
type settings struct {
	pluginSocket string // "" for none
	listeners    []listener
	upstream     string // path of a Unix socket
	policy       []string
	// builtinIfAbsent: the built-in policy stands in while policy does not exist.
	builtinIfAbsent bool
	allowByDefault  bool
	mode            authz.Mode
	audit           string // "stderr", "stdout" or a file
	adminSocket     string // "" for none
	adminAllow      []string
	requirePlugin   bool
	passwd          string
	proc            string
	logLevel        slog.Level
	limits          gateway.Limits
}

// listener is one of the gateway's.
type listener struct {
	name  string
	path  string // of a Unix socket
	addr  string // host:port, for TCP
	mode  os.FileMode
	gid   int // -1: leave it
	tls   *tls.Config
	given string
}

// options is the table of serve's settings.
var options = []option{
	{"plugin_socket", false, []string{"/run/docker/plugins/vitrine.sock"}, "dockerd's plugin socket by `PATH`; \"\" for a gateway alone", setPath(func(s *settings) *string { return &s.pluginSocket }, true)},
	{"listen", true, []string{"agents=unix:///run/vitrine/docker/docker.sock,mode=0666"}, "gateway listener by `SPEC`: NAME=unix:///PATH[,mode=0666][,group=G] or NAME=tcp://HOST:PORT, either with ,cert=FILE,key=FILE,ca=FILE for mutual TLS; \"\" for none", setListen},
	{"upstream", false, []string{"unix:///run/docker.sock"}, "dockerd's own socket by `ADDR`", setUpstream},
	{"policy", true, nil, "policy by `PATH`: a folder, a .rego or data file, or a bundle (.tar.gz); default /etc/docker/vitrine if it holds one, else the built-in policy", setPolicy},
	{"allow_by_default", false, []string{"false"}, "accept a policy that allows an empty input by `BOOL`", setBool(func(s *settings) *bool { return &s.allowByDefault })},
	{"mode", false, []string{"enforce"}, "enforce, or audit: denials of the policy are recorded and lifted, by `MODE`", setMode},
	{"audit", false, []string{"stderr"}, "where records of decisions go by `FILE`: stderr, stdout or a file that is appended to", setPath(func(s *settings) *string { return &s.audit }, false)},
	{"admin_socket", false, []string{"/run/vitrine-admin/admin.sock"}, "metrics, health and recent decisions on this socket by `PATH`; \"\" for none", setPath(func(s *settings) *string { return &s.adminSocket }, true)},
	{"admin_allow", true, []string{"unix:root", "unix:vitrine-monitor", "container:monitor"}, "`PRINCIPAL` that may read the admin socket", setList(func(s *settings) *[]string { return &s.adminAllow })},
	{"require_plugin", false, []string{"false"}, "answer 503 while dockerd does not ask the plugin, by `BOOL`", setBool(func(s *settings) *bool { return &s.requirePlugin })},
	{"passwd", false, []string{"/etc/passwd"}, "the host's users by `FILE`, for unix: principals", setPath(func(s *settings) *string { return &s.passwd }, false)},
	{"proc", false, []string{"/proc"}, "the host's processes by `DIR`", setPath(func(s *settings) *string { return &s.proc }, false)},
	{"limits", true, nil, "bound on what callers may use by `NAME=N`; docs/install.md lists them", setLimits},
	{"log_level", false, []string{"info"}, "debug, info, warn or error, by `LEVEL`", setLogLevel},
}

// check finds what is wrong between settings that are right by themselves.
func (s *settings) check() problems {
	var wrong problems
	if s.pluginSocket == "" && len(s.listeners) == 0 {
		wrong = append(wrong, problem{"listen", errors.New("there is neither a plugin socket nor a listener: nothing to serve; give one of plugin_socket and listen")})
	}
	if s.requirePlugin && s.pluginSocket == "" {
		wrong = append(wrong, problem{"require_plugin", errors.New("needs plugin_socket: without it dockerd never asks")})
	}
	seen := map[string]string{}
	for _, l := range s.listeners {
		for kind, value := range map[string]string{"name": l.name, "address": l.path + l.addr} {
			if other, ok := seen[kind+value]; ok {
				wrong = append(wrong, problem{"listen", fmt.Errorf("%q and %q have the same %s %s", other, l.given, kind, value)})
			}
			seen[kind+value] = l.given
		}
		if l.path != "" && l.path == s.upstream {
			wrong = append(wrong, problem{"listen", fmt.Errorf("%q is dockerd's own socket; agents need another path", l.given)})
		}
		if l.addr != "" && onlyLoopback() {
			wrong = append(wrong, problem{"listen", fmt.Errorf("%q: this network namespace has only lo (a managed plugin has no network); use a Unix socket, or run the gateway as a service or a container", l.given)})
		}
	}
	return wrong
}

func setPath(field func(*settings) *string, mayBeEmpty bool) func(*settings, []string) error {
	return func(s *settings, v []string) error {
		value := first(v)
		if value == "" && !mayBeEmpty {
			return errors.New("is empty; give a path")
		}
		if mayBeEmpty && value != "" && !filepath.IsAbs(value) {
			return fmt.Errorf("%q is not an absolute path, such as /run/vitrine/x.sock", value)
		}
		*field(s) = value
		return nil
	}
}

func setBool(field func(*settings) *bool) func(*settings, []string) error {
	return func(s *settings, v []string) error {
		b, err := strconv.ParseBool(first(v))
		if err != nil {
			return fmt.Errorf("%q is neither true nor false", first(v))
		}
		*field(s) = b
		return nil
	}
}

func setList(field func(*settings) *[]string) func(*settings, []string) error {
	return func(s *settings, v []string) error {
		*field(s) = nonEmpty(v)
		return nil
	}
}

func setPolicy(s *settings, v []string) error {
	s.policy = nonEmpty(v)
	if len(s.policy) == 0 {
		s.policy, s.builtinIfAbsent = []string{filepath.Dir(defaultConfig)}, true
	}
	return nil
}

func setMode(s *settings, v []string) error {
	switch s.mode = authz.Mode(first(v)); s.mode {
	case authz.Enforce, authz.Audit:
		return nil
	}
	return fmt.Errorf("%q is no mode; there are enforce and audit", first(v))
}

func setLogLevel(s *settings, v []string) error {
	if err := s.logLevel.UnmarshalText([]byte(first(v))); err != nil {
		return fmt.Errorf("%q is no level; there are debug, info, warn and error", first(v))
	}
	return nil
}

func setUpstream(s *settings, v []string) error {
	path, ok := strings.CutPrefix(first(v), "unix://")
	if !ok || !filepath.IsAbs(path) {
		return fmt.Errorf("%q is not the address of a Unix socket, such as unix:///run/docker.sock", first(v))
	}
	s.upstream = path
	return nil
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
	default:
		return l, fmt.Errorf("address %q is neither unix:///PATH nor tcp://HOST:PORT", address)
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
		case "mode":
			m, err := strconv.ParseUint(value, 8, 32)
			if err != nil || m > 0o777 || m&0o111 != 0 {
				return fmt.Errorf("mode=%s is not an octal mode of a socket, such as 0660", value)
			}
			l.mode = os.FileMode(m)
		case "group":
			gid, err := lookupGroup(value)
			if err != nil {
				return err
			}
			l.gid = gid
		case "cert", "key", "ca":
			files[key] = value
		default:
			return fmt.Errorf("%q is no option of a listener; there are mode, group, cert, key and ca", key)
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

func lookupGroup(name string) (int, error) {
	if gid, err := strconv.Atoi(name); err == nil && gid >= 0 {
		return gid, nil
	}
	g, err := user.LookupGroup(name)
	if err != nil {
		return 0, fmt.Errorf("group=%s: %w; a number works where /etc/group is not the host's", name, err)
	}
	return strconv.Atoi(g.Gid)
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

func first(v []string) string {
	if len(v) == 0 {
		return ""
	}
	return v[0]
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
