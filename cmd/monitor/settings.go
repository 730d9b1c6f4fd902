package main

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"vitrine/internal/command"
	"vitrine/internal/monitor/dogstatsd"
	"vitrine/internal/monitor/messages"
	"vitrine/internal/monitor/tag"
	"vitrine/internal/otlp"
)

// settings is the configuration, checked.
type settings struct {
	docker   string // path of a Unix socket
	proc     string
	cgroup   string
	kmsg     string // "" for none
	interval time.Duration
	http     []string // each HOST:PORT or unix://PATH
	token    string   // that the page wants; "" for none
	admin    string   // authz-plugin's admin socket; "" for none
	tags     tag.Config
	okExits  []int
	logLevel slog.Level

	dogstatsd dogstatsd.Config
	otlp      otlp.Config
	messages  messages.Config
}

func (s *settings) logger(std command.Streams) *slog.Logger {
	return slog.New(slog.NewTextHandler(std.Err, &slog.HandlerOptions{Level: s.logLevel}))
}

// table is the only list of the settings.
var table = command.Settings[settings]{File: "/etc/vitrine/monitor.yaml", Options: slices.Concat([]command.Option[settings]{
	{Key: "docker", Default: []string{"unix:///run/vitrine/docker/docker.sock"}, Help: "ask the Engine at `ADDR`: the gateway's socket, or any other of the Engine API", Set: command.Value(socket, func(s *settings) *string { return &s.docker })},
	{Key: "proc", Default: []string{"/proc"}, Help: "`DIR` with the host's processes; a container with pid=host has them in its own /proc", Set: command.Value(folder, func(s *settings) *string { return &s.proc })},
	{Key: "cgroup", Default: []string{"/sys/fs/cgroup"}, Help: "`DIR` with the host's cgroups", Set: command.Value(folder, func(s *settings) *string { return &s.cgroup })},
	{Key: "kmsg", Default: []string{"/dev/kmsg"}, Help: "`PATH` of the kernel's log, which names the victims of the OOM killer where it may be read; \"\" for none", Set: command.Value(absolute, func(s *settings) *string { return &s.kmsg })},
	{Key: "interval", Default: []string{"10s"}, Help: "collect every `DURATION`, 1s to 1h", Set: command.Value(duration, func(s *settings) *time.Duration { return &s.interval })},
	{Key: "http", List: true, Default: []string{"127.0.0.1:9780"}, Help: "the page, /metrics, /dogstatsd and /healthz on `ADDR`: HOST:PORT or unix:///PATH; \"\" for none. The page is shown on loopback, on Unix sockets, and elsewhere with a token", Set: setHTTP},
	{Key: "page_token_file", Help: "`FILE` with a token of 20 characters or more, which the page then wants on every HOST:PORT; \"\" for none", Set: command.Value(token, func(s *settings) *string { return &s.token })},
	{Key: "admin_socket", Default: []string{"/run/vitrine-admin/admin.sock"}, Help: "authz-plugin's admin socket at `PATH`, for who asks Docker on the page, where the monitor may read it; \"\" for none", Set: command.Value(absolute, func(s *settings) *string { return &s.admin })},
	{Key: "labels_as_tags", Help: "labels that become tags, as `JSON` such as {\"com.example.team\":\"team\"}", Also: "DD_CONTAINER_LABELS_AS_TAGS", Set: command.Value(tag.ParseMappings, func(s *settings) *[]tag.Mapping { return &s.tags.Labels })},
	{Key: "env_as_tags", Help: "environment variables that become tags, as `JSON` such as {\"SHARD\":\"shard\"}", Also: "DD_CONTAINER_ENV_AS_TAGS", Set: command.Value(tag.ParseMappings, func(s *settings) *[]tag.Mapping { return &s.tags.Env })},
	{Key: "ok_exit_codes", Default: []string{"0,143"}, Help: "`LIST` of exit codes that the service check docker.exit takes for success; SIGTERM gives 143", Set: command.Value(exitCodes, func(s *settings) *[]int { return &s.okExits })},
	{Key: "dogstatsd_socket", Default: []string{defaultSocket}, Help: "DogStatsD datagrams on a Unix socket at `PATH`; \"\" for none, and so is the default where its folder cannot be written", Set: command.Value(absolute, func(s *settings) *string { return &s.dogstatsd.Datagram.Path })},
	{Key: "dogstatsd_stream_socket", Help: "DogStatsD on a Unix stream socket at `PATH`; \"\" for none", Set: command.Value(absolute, func(s *settings) *string { return &s.dogstatsd.Stream.Path })},
	{Key: "dogstatsd_socket_mode", Default: []string{"0722"}, Help: "`MODE` of both sockets; senders need to write", Set: command.One(setMode)},
	{Key: "dogstatsd_socket_group", Help: "`GROUP` of both sockets, a name or a number; \"\" leaves it", Set: command.One(setGroup)},
	{Key: "dogstatsd_udp", Help: "DogStatsD over UDP on `HOST:PORT`, such as 127.0.0.1:8125, where senders can't be known; \"\" for none", Set: command.Value(udp, func(s *settings) *string { return &s.dogstatsd.UDP })},
	{Key: "dogstatsd_buffer_size", Default: []string{"8192"}, Help: "`BYTES` of the longest packet, 512 to 262144; of a longer one the last line is lost", Also: "DD_DOGSTATSD_BUFFER_SIZE", Set: command.Value(number(512, 256<<10, "number of bytes from 512 to 262144"), func(s *settings) *int { return &s.dogstatsd.MaxPacket })},
	{Key: "dogstatsd_so_rcvbuf", Default: []string{"0"}, Help: "`BYTES` that the kernel keeps for UDP until they are read; 0 leaves net.core.rmem_default", Also: "DD_DOGSTATSD_SO_RCVBUF", Set: command.Value(number(0, 1<<30, "number of bytes up to 1 GiB"), func(s *settings) *int { return &s.dogstatsd.ReceiveBuffer })},
	{Key: "dogstatsd_interval", Default: []string{"10s"}, Help: "add DogStatsD messages up over `DURATION`, 1s to 1h", Set: command.Value(duration, func(s *settings) *time.Duration { return &s.messages.Interval })},
	{Key: "dogstatsd_expiry", Default: []string{"5m"}, Help: "end a DogStatsD series after a silence of `DURATION`, 1s to 1h", Set: command.Value(duration, func(s *settings) *time.Duration { return &s.messages.Expiry })},
	{Key: "dogstatsd_cardinality", Default: []string{"low"}, Help: "give a message its container's tags up to `LEVEL` unless it asks for others: none, low, orchestrator or high", Also: "DD_DOGSTATSD_TAG_CARDINALITY", Set: command.Value(cardinality, func(s *settings) *tag.Cardinality { return &s.messages.Cardinality })},
	{Key: "dogstatsd_quota", Default: []string{"20000"}, Help: "`NUMBER` of units that one sender may have: a unit is 240 bytes of /metrics, which a short count takes; all together may have ten times as many", Set: command.Value(number(1, 10_000_000, "number from 1 to 10000000"), func(s *settings) *int { return &s.messages.Quota })},
	{Key: "dogstatsd_ignore_claims", Default: []string{"false"}, Help: "`BOOL`: where the kernel does not say who sent a message, do not believe the message either", Set: command.Value(command.Bool, func(s *settings) *bool { return &s.dogstatsd.IgnoreClaims })},
	{Key: "dogstatsd_refuse_mismatch", Default: []string{"false"}, Help: "`BOOL`: refuse messages that claim another container than the kernel says", Set: command.Value(command.Bool, func(s *settings) *bool { return &s.dogstatsd.RefuseMismatch })},
	{Key: "log_level", Default: []string{"info"}, Help: "log from `LEVEL` on: debug, info, warn or error", Set: command.Value(command.LogLevel, func(s *settings) *slog.Level { return &s.logLevel })},
}, otlp.Options(func(s *settings) *otlp.Config { return &s.otlp }))}

func socket(v string) (string, error) {
	path, ok := strings.CutPrefix(v, "unix://")
	if !ok || !filepath.IsAbs(path) {
		return "", fmt.Errorf("%q is no address such as unix:///run/vitrine/docker/docker.sock", v)
	}
	return path, nil
}

func folder(v string) (string, error) {
	if !filepath.IsAbs(v) {
		return "", fmt.Errorf("%q is no absolute path", v)
	}
	fi, err := os.Stat(v)
	if err == nil && !fi.IsDir() {
		err = fmt.Errorf("%s is no folder", v)
	}
	return v, err
}

// absolute reads an absolute path, "" for none.
func absolute(v string) (string, error) {
	if v != "" && !filepath.IsAbs(v) {
		return "", fmt.Errorf("%q is no absolute path", v)
	}
	return v, nil
}

func duration(v string) (time.Duration, error) {
	d, err := time.ParseDuration(v)
	if err != nil || d < time.Second || d > time.Hour {
		return 0, fmt.Errorf("%q is no duration from 1s to 1h", v)
	}
	return d, nil
}

// number reads one from least to most; what says so in the error.
func number(least, most int, what string) func(string) (int, error) {
	return func(v string) (int, error) {
		n, err := strconv.Atoi(v)
		if err != nil || n < least || n > most {
			return 0, fmt.Errorf("%q is no %s", v, what)
		}
		return n, nil
	}
}

func setHTTP(s *settings, values []string) error {
	s.http = nil
	for _, v := range values {
		path, unix := strings.CutPrefix(v, "unix://")
		_, _, err := net.SplitHostPort(v)
		switch {
		case v == "":
			continue
		case unix && filepath.IsAbs(path):
		case unix || err != nil:
			return fmt.Errorf("%q is no address such as 127.0.0.1:9780 or unix:///run/vitrine-page/page.sock", v)
		}
		s.http = append(s.http, v)
	}
	return nil
}

// tokenLeast is the least length of a token that nobody guesses.
const tokenLeast = 20

func token(v string) (string, error) {
	if v == "" {
		return "", nil
	}
	b, err := os.ReadFile(v)
	if err != nil {
		return "", err
	}
	one := strings.TrimSpace(string(b))
	if len(one) < tokenLeast || strings.ContainsAny(one, " \t\r\n") {
		return "", fmt.Errorf("%s holds no token: one line of %d characters or more, for example from: openssl rand -hex 20", v, tokenLeast)
	}
	return one, nil
}

func exitCodes(v string) (codes []int, err error) {
	for code := range strings.SplitSeq(v, ",") {
		n, err := strconv.ParseUint(strings.TrimSpace(code), 10, 8)
		if err != nil {
			return nil, fmt.Errorf("%q is no list of exit codes such as 0,143", v)
		}
		codes = append(codes, int(n))
	}
	return codes, nil
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
		var err error
		if gid, err = command.GroupID(v); err != nil {
			return err
		}
		if gid == 0 {
			return errors.New("give another group than root: its members need no group to write")
		}
	}
	s.dogstatsd.Datagram.GID, s.dogstatsd.Stream.GID = gid, gid
	return nil
}

func udp(v string) (string, error) {
	if _, _, err := net.SplitHostPort(v); v != "" && err != nil {
		return "", fmt.Errorf("%q is no address such as 127.0.0.1:8125", v)
	}
	return v, nil
}

func cardinality(v string) (tag.Cardinality, error) {
	level := tag.ParseCardinality(v)
	if level == tag.Unset {
		return level, fmt.Errorf("%q is none of none, low, orchestrator, high", v)
	}
	return level, nil
}

// readSettings reads what a command was told.
func readSettings(flags *pflag.FlagSet, environ []string) (*settings, error) {
	s := &settings{}
	if wrong := append(s.otlp.Meant(table.Read(s, flags, environ)), s.otlp.Check()...); len(wrong) > 0 {
		return nil, command.ExitError{Code: command.Usage, Err: wrong}
	}
	return s, nil
}
