package clients

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"vitrine/test/engine"
	"vitrine/test/vitrine"
)

// step is something that people do with a client. Steps follow on each other, and
// the last ones leave nothing.
type step struct {
	name  string
	cmd   func(s *session) *exec.Cmd
	input string
	// coarse: of its exchanges, only which they are and how they end is compared: python3-docker prints what it reads of the answers, and the
	// rest depends on which layers were made in one second.
	coarse bool
}

// session is one way to the Engine.
type session struct {
	*testing.T
	e      *engine.Engine
	way    string
	rec    *recorder
	folder string
	cli    string // a docker command line
}

// seen is what a step showed: to who ran it, and on the wire.
type seen struct {
	code   int
	output string
	wire   []string
}

// explained are the differences that are meant, each with its reason: by which
// way, in which step (the end of its name), and of which line or exchange.
var explained = []struct {
	way, step string
	line      *regexp.Regexp
	reason    string
}{
	{
		"gateway", "", regexp.MustCompile(`^POST /v1[.]\d+/containers/ID/wait[?]condition=next-exit`),
		"the client has left: dockerd then writes that the context was canceled, to nobody",
	},
}

// TestOrchestratorsNoticeNothing: what the clients that people have ask of an Engine directly, they ask of
// one that asks us, and of our gateway, with the same requests, answers, output and exit codes.
func TestOrchestratorsNoticeNothing(t *testing.T) {
	t.Parallel()
	e := engine.Start(t, engine.Options{})
	if err := e.ImportBusybox(); err != nil {
		t.Fatal(err)
	}
	folder := contextFolder(t)
	clis := commandLines(t, e)
	ways := map[string]map[string]seen{}
	walk := func(way, socket string) {
		ways[way] = map[string]seen{}
		e.Docker("image", "prune", "--force") // containerd's image store keeps what the way before has built and untagged
		for i, cli := range clis {
			s := &session{T: t, e: e, way: way, rec: record(t, socket), folder: folder, cli: cli}
			s.run(ways[way], fmt.Sprintf("docker %d: ", i), dockerSteps())
			if i == 0 {
				s.run(ways[way], "", otherSteps(t, e))
			}
		}
	}
	walk("direct", e.Socket)
	p := vitrine.Start(t, vitrine.Options{Engine: e, Data: policyData})
	p.Plug(nil)
	walk("plugin", e.Socket)
	walk("gateway", p.Socket)
	for _, way := range []string{"plugin", "gateway"} {
		if len(ways[way]) != len(ways["direct"]) {
			t.Errorf("%s: %d steps of %d", way, len(ways[way]), len(ways["direct"]))
		}
		for name, want := range ways["direct"] {
			compare(t, way, name, want, ways[way][name])
		}
	}
}

// commandLines are the engine's own docker command line and, where that is the distribution's old one, a newer one
// that this machine has.
func commandLines(t *testing.T, e *engine.Engine) []string {
	t.Helper()
	clis := []string{e.CLI()}
	own, err := filepath.EvalSymlinks(e.CLI())
	if err != nil {
		t.Fatal(err)
	}
	if newer := "/usr/local/bin/docker"; own == "/usr/bin/docker" && exists(newer) {
		clis = append(clis, newer)
	}
	return clis
}

func exists(name string) bool { _, err := os.Stat(name); return err == nil }

func (s *session) run(into map[string]seen, prefix string, steps []step) {
	for _, one := range steps {
		cmd := one.cmd(s)
		if cmd == nil {
			continue
		}
		var out bytes.Buffer
		cmd.Stdout, cmd.Stderr = &out, &out
		if one.input != "" {
			cmd.Stdin = strings.NewReader(one.input)
		}
		if err := cmd.Start(); err != nil {
			s.Fatal(err)
		}
		kill := time.AfterFunc(2*time.Minute, func() { _ = cmd.Process.Kill() })
		err := cmd.Wait()
		kill.Stop()
		if _, ok := errors.AsType[*exec.ExitError](err); err != nil && !ok {
			s.Fatalf("%s: %v", one.name, err)
		}
		var wire []string
		for _, e := range s.rec.take() {
			if one.coarse {
				wire = append(wire, fmt.Sprintf("%s %s -> %d", e.method, e.uri, e.status))
				continue
			}
			wire = append(wire, e.String())
		}
		slices.Sort(wire)
		output := strings.ReplaceAll(out.String(), s.rec.socket, "SOCKET")
		into[prefix+one.name] = seen{cmd.ProcessState.ExitCode(), normalOutput(output), wire}
	}
}

func compare(t *testing.T, way, name string, want, got seen) {
	t.Helper()
	a := append([]string{fmt.Sprintf("exit code %d", want.code)}, strings.Split(want.output, "\n")...)
	b := append([]string{fmt.Sprintf("exit code %d", got.code)}, strings.Split(got.output, "\n")...)
	lacks, has := difference(append(a, want.wire...), append(b, got.wire...))
	unexplained := func(line string) bool {
		for _, e := range explained {
			if e.way == way && strings.HasSuffix(name, e.step) && e.line.MatchString(line) {
				return false
			}
		}
		return true
	}
	lacks, has = slices.DeleteFunc(lacks, func(l string) bool { return !unexplained(l) }), slices.DeleteFunc(has, func(l string) bool { return !unexplained(l) })
	if len(lacks)+len(has) > 0 {
		t.Errorf("%s, %s: directly it is\n%s\nand this way\n%s", way, name, short(lacks, has), short(has, lacks))
	}
}

// difference gives what only a and only b have.
func difference(a, b []string) (lacks, has []string) {
	has = slices.Clone(b)
	for _, line := range a {
		if i := slices.Index(has, line); i >= 0 {
			has = slices.Delete(has, i, i+1)
		} else {
			lacks = append(lacks, line)
		}
	}
	return lacks, has
}

// short writes lines from where each begins to differ from its counterpart among others.
func short(lines, others []string) string {
	var b strings.Builder
	for _, l := range lines {
		at := 0
		for _, o := range others {
			n := 0
			for n < min(len(l), len(o)) && l[n] == o[n] {
				n++
			}
			at = max(at, n)
		}
		first, _, _ := strings.Cut(l, "\n")
		from := max(0, at-200)
		fmt.Fprintf(&b, "  %.200s\n    … %.600s\n", first, l[from:])
	}
	return b.String()
}

func contextFolder(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range map[string]string{
		"context/Dockerfile": "FROM bb:1\nARG WHO\nLABEL a=b\nCOPY file /file\nRUN echo $WHO >/who\n",
		"context/file":       "content\n",
		"Outside":            "FROM bb:1\nCOPY file /outside\n",
		"bad/Dockerfile":     "FROM bb:1\nRUN exit 7\n",
		"compose/compose.yaml": `
version: "2.4"
services:
  web:
    image: bb:1
    command: ["sh", "-c", "echo up; sleep 1000"]
    environment: {A: b}
    labels: {a: b}
    networks: [front]
    volumes: ["data:/data"]
    mem_limit: 64m
    stop_grace_period: 0s
  built:
    build: {context: ../context, args: {WHO: compose}}
    image: compose-built:1
    command: ["cat", "/who"]
    depends_on: [web]
    networks: [front]
networks: {front: {}}
volumes: {data: {}}
`,
		"compose/password": "p4ssw0rd\n",
		"compose/two.yaml": `
name: two
x-quick: &quick {stop_grace_period: 0s, init: true, logging: {driver: json-file, options: {max-size: 1m}}}
services:
  db:
    <<: *quick
    image: bb:1
    command: ["sh", "-c", "cat /run/secrets/password; sleep 1000"]
    environment: {PASSWORD_FILE: /run/secrets/password}
    secrets: [password]
    volumes: [{type: volume, source: db-data, target: /var/lib/db}]
    networks: {back: {aliases: [database]}}
    ulimits: {nofile: {soft: 64, hard: 128}}
    cap_drop: [ALL]
    security_opt: ["no-new-privileges:true"]
  web:
    <<: *quick
    build: {context: ../context, args: {WHO: two}, labels: {a: b}}
    image: two-built:1
    command: ["sh", "-c", "cat /settings /who; sleep 1000"]
    depends_on: {db: {condition: service_started}}
    configs: [{source: settings, target: /settings}]
    ports: ["127.0.0.1:0:80"]
    deploy: {resources: {limits: {cpus: "0.5", memory: 64M}}}
    networks: [front, back]
    extra_hosts: ["h=127.0.0.1"]
    tmpfs: [/t]
    read_only: true
    labels: {traefik.enable: "true"}
  tool: {image: bb:1, profiles: [tools], command: ["echo", "tool"], network_mode: none}
secrets: {password: {file: ./password}}
configs: {settings: {content: "a: b"}}
networks: {front: {}, back: {internal: true, labels: {a: b}}}
volumes: {db-data: {labels: {a: b}}}
`,
	} {
		name = filepath.Join(dir, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(name), 0o755), os.WriteFile(name, []byte(text), 0o644)); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}
