package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
)

// peerBench is a simulated Engine and what stands in front of it.
type peerBench struct {
	binary, beside, haproxy, wollomatic, sockguard string
	quick                                          bool
	containers                                     int
	only                                           string

	dir       string
	processes []*exec.Cmd
	variants  []*peer
	rows      map[string]map[string]row // by title and variant
}

// peer is one way to ask.
type peer struct {
	name, socket string
	pids         []int  // what stands in front of the Engine
	absent       string // why it cannot be asked
	lets         bool   // it lets everything through
	denies       int    // the status of its denials, if it is not 403
	floor        bool   // what the following are held against
}

// startOf is how a peer is started.
type startOf struct {
	peer
	program string
	args    func(v *peer) (args []string, err error)
}

const (
	haproxyName    = "HAProxy"
	wollomaticName = "wollomatic"
	sockguardName  = "sockguard"
	ours           = "our gateway"
)

// open starts all of it in a folder of its own.
func (p *peerBench) open() (err error) {
	if p.dir, err = os.MkdirTemp("", "peers-"); err != nil {
		return err
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	engine := p.socket("engine")
	if err := p.start(&peer{name: "engine", socket: engine}, self, "simulated", engine, strconv.Itoa(p.containers)); err != nil {
		return err
	}
	p.variants = []*peer{{name: "bare socket", socket: engine, lets: true}}
	starts := []startOf{
		{peer{name: "empty proxy", lets: true}, self, func(v *peer) ([]string, error) { return []string{"proxy", v.socket, engine}, nil }},
		{peer{name: haproxyName, floor: true}, p.haproxy, func(v *peer) ([]string, error) { return p.haproxyConfig(v, "http-server-close") }},
		{peer{name: haproxyName + " that keeps"}, p.haproxy, func(v *peer) ([]string, error) { return p.haproxyConfig(v, "http-keep-alive") }},
		{peer{name: wollomaticName, denies: 405}, p.wollomatic, p.wollomaticFlags},
		{peer{name: sockguardName}, p.sockguard, p.sockguardConfig},
		{peer{name: ours}, p.binary, p.ourFlags},
	}
	if p.beside != "" {
		starts = append(starts, startOf{peer{name: ours + " beside"}, p.beside, p.ourFlags})
	}
	for _, start := range starts {
		v := &start.peer
		if v.socket = p.socket(v.name); start.program == "" {
			v.absent = "no program of it was named"
		} else if program, err := exec.LookPath(start.program); err != nil {
			v.absent = err.Error()
		} else if args, err := start.args(v); err != nil {
			return err
		} else if err := p.start(v, program, args...); err != nil {
			return err
		}
		if v.name != ours+" (beside)" || v.absent == "" {
			p.variants = append(p.variants, v)
		}
	}
	return nil
}

func (p *peerBench) socket(name string) string {
	return filepath.Join(p.dir, strings.ReplaceAll(name, " ", "-")+".sock")
}

// start runs a program until it answers; what it prints goes to a file, as logs do.
func (p *peerBench) start(v *peer, program string, args ...string) error {
	log, err := os.Create(v.socket + ".log")
	if err != nil {
		return err
	}
	defer log.Close()
	cmd := exec.Command(program, args...)
	cmd.Stdout, cmd.Stderr = log, log
	for _, set := range os.Environ() {
		if !strings.HasPrefix(set, "VITRINE_") {
			cmd.Env = append(cmd.Env, set)
		}
	}
	if err := begin(cmd); err != nil {
		return err
	}
	p.processes = append(p.processes, cmd)
	v.pids = []int{cmd.Process.Pid}
	if err := v.ready(); err != nil {
		said, _ := os.ReadFile(v.socket + ".log")
		return fmt.Errorf("%s: %w: %s", v.name, err, bytes.TrimSpace(said))
	}
	return nil
}

func (p *peerBench) close() error {
	for _, cmd := range p.processes {
		_ = cmd.Process.Kill() // nothing of theirs is kept, and some wait long for idle connections
		_ = cmd.Wait()
	}
	return os.RemoveAll(p.dir)
}

// haproxyConfig is one as most people run: the sections of the API that Tecnativa's image knows, each with its switch,
// of which those for reading containers, images and networks are on. That image has http-server-close, by which each
// request connects to the Engine anew; with http-keep-alive HAProxy does what it can.
func (p *peerBench) haproxyConfig(v *peer, connections string) ([]string, error) {
	var c strings.Builder
	fmt.Fprint(&c, `global
    log stdout format raw daemon info
    maxconn 4000
defaults
    mode http
    log global
    option httplog
    option dontlognull
    option `+connections+`
    timeout http-request 10s
    timeout http-keep-alive 10s
    timeout connect 10s
    timeout client 10m
    timeout server 10m
    maxconn 3000
backend engine
    server engine unix@`+p.socket("engine")+`
frontend docker
    bind unix@`+v.socket+` mode 666
    http-request deny unless METH_GET
`)
	for _, rule := range []string{"containers/[a-zA-Z0-9_.-]+/((stop)|(restart)|(kill))", "containers/[a-zA-Z0-9_.-]+/start"} {
		fmt.Fprintf(&c, "    http-request allow if { path,url_dec -m reg -i ^(/v[\\d\\.]+)?(/\\w+)?/%s } { env(RESTARTS) -m bool }\n", rule)
	}
	for section := range strings.FieldsSeq("auth build commit configs containers distribution events exec grpc images info networks nodes _ping plugins secrets services session swarm system tasks version volumes") {
		fmt.Fprintf(&c, "    http-request allow if { path,url_dec -m reg -i ^(/v[\\d\\.]+)?(/\\w+)?/%s } { env(%s) -m bool }\n", section, strings.ToUpper(section))
	}
	c.WriteString("    http-request deny\n    default_backend engine\n")
	for section := range strings.FieldsSeq("CONTAINERS IMAGES INFO NETWORKS _PING VERSION EVENTS") {
		if err := os.Setenv(section, "1"); err != nil {
			return nil, err
		}
	}
	config := v.socket + ".cfg"
	return []string{"-db", "-f", config}, os.WriteFile(config, []byte(c.String()), 0o600)
}

func (p *peerBench) wollomaticFlags(v *peer) ([]string, error) {
	return []string{
		"-socketpath=" + p.socket("engine"), "-proxysocketendpoint=" + v.socket,
		`-allowGET=(/v1\..{1,2})?/(_ping|version|info|events.*|containers/.*|images/.*|networks.*)`, "-allowHEAD=/_ping",
	}, nil
}

// sockguardConfig has the rules of its own preset for reading.
func (p *peerBench) sockguardConfig(v *peer) ([]string, error) {
	config := v.socket + ".yaml"
	err := os.WriteFile(config, []byte(`upstream: {socket: `+p.socket("engine")+`}
listen: {socket: `+v.socket+`}
log: {level: info, format: json, access_log: true}
insecure_allow_read_exfiltration: true
rules:
  - {match: {method: HEAD, path: "/_ping"}, action: allow}
  - {match: {method: GET, path: "/**"}, action: allow}
  - {match: {method: "*", path: "/**"}, action: deny, reason: "only reading is allowed"}
`), 0o600)
	return []string{"serve", "--config", config}, err
}

// ourFlags are those of a gateway alone: the built-in rules with data of a folder, and the audit log in a file. Who asks
// reads what the others' rules let it read.
func (p *peerBench) ourFlags(v *peer) ([]string, error) {
	folder, err := policyFolder(v.socket, `strict: true # nobody is admin
roles:
  reader: # as the built-in role look, and logs and files
    access: [ping, list, inspect]
    operations: [SystemEvents, ContainerLogs, ContainerArchive]
    redact: {"*": [env, exec, health, build-args, volume-options, log-options, proxies, swarm-spec, config-data, errors]}
bindings: {reader: ["unix:root"]}
`)
	return []string{
		"serve", "--config", "", "--policy", folder, "--audit", v.socket + ".audit", "--upstream", "unix://" + p.socket("engine"), "--state-dir", "", "--grants", "",
		"--plugin-socket", "", "--admin-socket", "", "--listen", "agents=unix://" + v.socket + ",mode=0600",
	}, err
}

// policyFolder is one with that data. It lies in a folder of its own, as the one in which it lies is watched: the audit log there
// would wake the program with each record.
func policyFolder(socket, data string) (string, error) {
	folder := filepath.Join(socket+".etc", "policy")
	return folder, errors.Join(os.MkdirAll(folder, 0o755), os.WriteFile(filepath.Join(folder, "data.yaml"), []byte(data), 0o600))
}
