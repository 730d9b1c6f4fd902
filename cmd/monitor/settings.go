package main

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/pflag"
	"go.yaml.in/yaml/v3"

	"vitrine/internal/aggregate"
	"vitrine/internal/dogstatsd"
	"vitrine/internal/tag"
)

// settings is the configuration, checked.
type settings struct {
	docker   string // path of a Unix socket
	proc     string
	cgroup   string
	interval time.Duration
	http     string // "" for none
	tags     tag.Config
	logLevel slog.Level

	dogstatsd dogstatsd.Config
	messages  aggregate.MessagesConfig
}

func (s *settings) logger(std streams) *slog.Logger {
	return slog.New(slog.NewTextHandler(std.err, &slog.HandlerOptions{Level: s.logLevel}))
}

// option is one setting: a flag, a key of the YAML file and an environment
// variable of the same name.
type option struct {
	key   string // YAML key; the flag has dashes for its underscores
	def   string
	help  string
	other string // another environment variable with this meaning, of Datadog's agent
	set   func(s *settings, value string) error
}

func (o option) flag() string { return strings.ReplaceAll(o.key, "_", "-") }
func (o option) env() string  { return "VITRINE_" + strings.ToUpper(o.key) }

// options is the table of all settings.
func options() []option {
	return []option{
		{"docker", "unix:///run/vitrine/docker/docker.sock", "the gateway's socket by `ADDR`, or any socket of the Engine API", "", setDocker},
		{"proc", "/proc", "the host's processes by `DIR`; in a container with pid=host its own /proc has them", "", setFolder(func(s *settings) *string { return &s.proc })},
		{"cgroup", "/sys/fs/cgroup", "the host's cgroups by `DIR`", "", setFolder(func(s *settings) *string { return &s.cgroup })},
		{"interval", "10s", "time between two collections by `DURATION`", "", setDuration(func(s *settings) *time.Duration { return &s.interval })},
		{"http", "127.0.0.1:9780", "/metrics and /healthz on `HOST:PORT`; \"\" for none", "", setHTTP},
		{"labels_as_tags", "", "labels that become tags by `JSON`, such as {\"com.example.team\":\"team\"}", "DD_CONTAINER_LABELS_AS_TAGS", setMappings(func(s *settings) *[]tag.Mapping { return &s.tags.Labels })},
		{"env_as_tags", "", "environment variables that become tags by `JSON`", "DD_CONTAINER_ENV_AS_TAGS", setMappings(func(s *settings) *[]tag.Mapping { return &s.tags.Env })},
		{"dogstatsd_socket", defaultSocket, "DogStatsD datagrams on a Unix socket at `PATH`; \"\" for none, and so is the default where its folder cannot be written", "", setSocket(func(s *settings) *string { return &s.dogstatsd.Datagram.Path })},
		{"dogstatsd_stream_socket", "", "DogStatsD on a Unix stream socket at `PATH`; \"\" for none", "", setSocket(func(s *settings) *string { return &s.dogstatsd.Stream.Path })},
		{"dogstatsd_socket_mode", "0722", "mode of both sockets by `MODE`; senders need to write", "", setMode},
		{"dogstatsd_socket_group", "", "group of both sockets by `GROUP`, a name or a number; \"\" leaves it", "", setGroup},
		{"dogstatsd_udp", "", "DogStatsD over UDP on `HOST:PORT`, such as 127.0.0.1:8125, where senders can't be known; \"\" for none", "", setUDP},
		{"dogstatsd_so_rcvbuf", "0", "`BYTES` that the kernel keeps for UDP until they are read; 0 leaves net.core.rmem_default", "DD_DOGSTATSD_SO_RCVBUF", setReceiveBuffer},
		{"dogstatsd_interval", "10s", "time over which DogStatsD messages are added up by `DURATION`", "", setDuration(func(s *settings) *time.Duration { return &s.messages.Interval })},
		{"dogstatsd_expiry", "5m", "time after which a silent DogStatsD series ends by `DURATION`", "", setDuration(func(s *settings) *time.Duration { return &s.messages.Expiry })},
		{"dogstatsd_cardinality", "low", "tags of its container that a message gets unless it asks for others by `LEVEL`: none, low, orchestrator or high", "DD_DOGSTATSD_TAG_CARDINALITY", setCardinality},
		{"dogstatsd_quota", "20000", "contexts of one sender by `NUMBER`; all together may have ten times as many", "", setQuota},
		{"dogstatsd_ignore_claims", "false", "true: where the kernel does not say who sent a message, do not believe the message either", "", setBool(func(s *settings) *bool { return &s.dogstatsd.IgnoreClaims })},
		{"dogstatsd_refuse_mismatch", "false", "true: refuse messages that claim another container than the kernel says", "", setBool(func(s *settings) *bool { return &s.dogstatsd.RefuseMismatch })},
		{"log_level", "info", "debug, info, warn or error by `LEVEL`", "", setLogLevel},
	}
}

func setDocker(s *settings, v string) error {
	path, ok := strings.CutPrefix(v, "unix://")
	if !ok || !filepath.IsAbs(path) {
		return fmt.Errorf("%q is no address such as unix:///run/vitrine/docker/docker.sock", v)
	}
	s.docker = path
	return nil
}

func setFolder(field func(*settings) *string) func(*settings, string) error {
	return func(s *settings, v string) error {
		if !filepath.IsAbs(v) {
			return fmt.Errorf("%q is no absolute path", v)
		}
		fi, err := os.Stat(v)
		if err != nil {
			return err
		}
		if !fi.IsDir() {
			return fmt.Errorf("%s is no folder", v)
		}
		*field(s) = v
		return nil
	}
}

func setDuration(field func(*settings) *time.Duration) func(*settings, string) error {
	return func(s *settings, v string) error {
		d, err := time.ParseDuration(v)
		if err != nil || d < time.Second || d > time.Hour {
			return fmt.Errorf("%q is no duration from 1s to 1h", v)
		}
		*field(s) = d
		return nil
	}
}

func setHTTP(s *settings, v string) error {
	if _, _, err := net.SplitHostPort(v); v != "" && err != nil {
		return fmt.Errorf("%q is no address such as 127.0.0.1:9780", v)
	}
	s.http = v
	return nil
}

func setSocket(field func(*settings) *string) func(*settings, string) error {
	return func(s *settings, v string) error {
		if v != "" && !filepath.IsAbs(v) {
			return fmt.Errorf("%q is no absolute path", v)
		}
		*field(s) = v
		return nil
	}
}

func setMode(s *settings, v string) error {
	n, err := strconv.ParseUint(v, 8, 32)
	if err != nil || n == 0 || n > 0o777 {
		return fmt.Errorf("%q is no mode such as 0722", v)
	}
	s.dogstatsd.Datagram.Mode, s.dogstatsd.Stream.Mode = fs.FileMode(n), fs.FileMode(n)
	return nil
}

func setGroup(s *settings, v string) error {
	gid := 0
	if v != "" {
		n, err := strconv.ParseUint(v, 10, 31)
		if err != nil {
			g, err := user.LookupGroup(v)
			if err != nil {
				return fmt.Errorf("%w; a number works where /etc/group is not the host's", err)
			}
			if n, err = strconv.ParseUint(g.Gid, 10, 31); err != nil {
				return fmt.Errorf("group %q has no number that can be used", v)
			}
		}
		if gid = int(n); gid == 0 { //nolint:gosec // 31 bits
			return errors.New("give another group than root: its members need no group to write")
		}
	}
	s.dogstatsd.Datagram.GID, s.dogstatsd.Stream.GID = gid, gid
	return nil
}

func setReceiveBuffer(s *settings, v string) error {
	n, err := strconv.Atoi(v)
	if err != nil || n < 0 || n > 1<<30 {
		return fmt.Errorf("%q is no number of bytes up to 1 GiB", v)
	}
	s.dogstatsd.ReceiveBuffer = n
	return nil
}

func setUDP(s *settings, v string) error {
	if _, _, err := net.SplitHostPort(v); v != "" && err != nil {
		return fmt.Errorf("%q is no address such as 127.0.0.1:8125", v)
	}
	s.dogstatsd.UDP = v
	return nil
}

func setCardinality(s *settings, v string) error {
	s.messages.Cardinality = dogstatsd.ParseCardinality(v)
	if s.messages.Cardinality == dogstatsd.CardinalityDefault {
		return fmt.Errorf("%q is none of none, low, orchestrator, high", v)
	}
	return nil
}

func setQuota(s *settings, v string) error {
	n, err := strconv.Atoi(v)
	if err != nil || n < 1 || n > 10_000_000 {
		return fmt.Errorf("%q is no number from 1 to 10000000", v)
	}
	s.messages.Quota, s.messages.Most = n, 10*n
	return nil
}

func setBool(field func(*settings) *bool) func(*settings, string) error {
	return func(s *settings, v string) error {
		b, err := strconv.ParseBool(v)
		if err != nil {
			return fmt.Errorf("%q is neither true nor false", v)
		}
		*field(s) = b
		return nil
	}
}

func setMappings(field func(*settings) *[]tag.Mapping) func(*settings, string) error {
	return func(s *settings, v string) error {
		m, err := tag.ParseMappings(v)
		*field(s) = m
		return err
	}
}

func setLogLevel(s *settings, v string) error {
	if err := s.logLevel.UnmarshalText([]byte(v)); err != nil {
		return fmt.Errorf("%q is no level; there are debug, info, warn and error", v)
	}
	return nil
}

const defaultConfig = "/etc/vitrine/monitor.yaml"

func addFlags(flags *pflag.FlagSet) {
	flags.String("config", defaultConfig, "YAML file with these settings by `FILE`; the default may be absent (VITRINE_CONFIG)")
	for _, o := range options() {
		env := o.env()
		if o.other != "" {
			env += ", " + o.other
		}
		flags.String(o.flag(), o.def, fmt.Sprintf("%s (%s)", o.help, env))
	}
}

// readSettings merges flags, environment, file and defaults, in this order of
// precedence, and reports every problem that it finds.
func readSettings(flags *pflag.FlagSet, getenv func(string) string) (*settings, error) {
	var wrong []error
	name, file, err := readFile(flags, getenv)
	if err != nil {
		wrong = append(wrong, err)
	}
	s := &settings{}
	for _, o := range options() {
		where, value := pick(o, flags, getenv, name, file)
		delete(file, o.key)
		if err := o.set(s, value); err != nil {
			wrong = append(wrong, fmt.Errorf("%s: %w", where, err))
		}
	}
	var unknown []string
	for key := range file {
		unknown = append(unknown, key)
	}
	slices.Sort(unknown)
	for _, key := range unknown {
		wrong = append(wrong, fmt.Errorf("%s: %s: no such key", name, key))
	}
	if len(wrong) > 0 {
		return nil, usageError{errors.Join(wrong...)}
	}
	return s, nil
}

// pick finds the strongest source of a setting.
func pick(o option, flags *pflag.FlagSet, getenv func(string) string, name string, file map[string]string) (where, value string) {
	if f := flags.Lookup(o.flag()); f.Changed {
		return "--" + o.flag(), f.Value.String()
	}
	for _, variable := range []string{o.env(), o.other} {
		if v := getenv(variable); variable != "" && v != "" {
			return variable, v
		}
	}
	if v, ok := file[o.key]; ok {
		return name + ": " + o.key, v
	}
	return "--" + o.flag(), o.def
}

// readFile reads the YAML file. One that was named must exist.
func readFile(flags *pflag.FlagSet, getenv func(string) string) (name string, values map[string]string, err error) {
	name, named := defaultConfig, false
	if v := getenv("VITRINE_CONFIG"); v != "" {
		name, named = v, true
	}
	if f := flags.Lookup("config"); f.Changed {
		name, named = f.Value.String(), true
	}
	b, err := os.ReadFile(name)
	if errors.Is(err, fs.ErrNotExist) && !named {
		return name, nil, nil
	}
	if err != nil {
		return name, nil, fmt.Errorf("config: %w", err)
	}
	if err := yaml.Unmarshal(b, &values); err != nil {
		return name, nil, fmt.Errorf("%s: %w", name, err)
	}
	return name, values, nil
}
