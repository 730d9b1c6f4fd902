package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"vitrine/test/engine"
	"vitrine/test/wait"
)

// bench is three Engines, the processes in front of them, and the ways to ask.
type bench struct {
	binary     string
	bare       *engine.Engine // no plugin
	yes        *engine.Engine // the plugin that says yes
	ours       *engine.Engine // our plugin
	plugin     *exec.Cmd      // our plugin's process
	yesPlugin  *exec.Cmd      // the other one's
	processes  []*exec.Cmd
	variants   []*variant
	containers int
}

const gatewaySocket = "/run/vitrine/docker/docker.sock"

// open starts all of it. What was started must be closed even after an error.
func open(binary string) (*bench, error) {
	b := &bench{}
	var err error
	if b.binary, err = filepath.Abs(binary); err != nil {
		return b, err
	}
	self, err := os.Executable()
	if err != nil {
		return b, err
	}
	for _, e := range []**engine.Engine{&b.bare, &b.yes, &b.ours} {
		if *e, err = engine.Open(engine.Options{}); err != nil {
			return b, err
		}
		if err := (*e).ImportBusybox(); err != nil {
			return b, err
		}
	}
	const proxySocket = "/run/proxy/proxy.sock"
	for _, start := range []func() error{
		func() error { return b.start(b.bare, self, "proxy", proxySocket, "/run/docker.sock") },
		func() error { return b.serve(b.bare, "", "--plugin-socket", "") },
		func() error { return b.start(b.yes, self, "yes-plugin", "/run/docker/plugins/vitrine.sock") },
		func() error { return b.start(b.yes, self, "proxy", proxySocket, "/run/docker.sock") },
		func() error { return b.serve(b.ours, "") },
	} {
		if err := start(); err != nil {
			return b, err
		}
	}
	b.plugin, b.yesPlugin = b.processes[len(b.processes)-1], b.processes[len(b.processes)-3]
	for _, e := range []*engine.Engine{b.yes, b.ours} {
		if err := usePlugin(e); err != nil {
			return b, err
		}
	}
	b.variants = []*variant{
		{name: "bare socket", socket: b.bare.Socket},
		{name: "empty proxy", socket: b.bare.Path(proxySocket), floor: "bare socket"},
		{name: "gateway alone", socket: b.bare.Path(gatewaySocket), floor: "empty proxy", goal: 1.25},
		{name: "yes plugin", socket: b.yes.Socket, floor: "bare socket"},
		{name: "yes plugin again (A/A)", socket: b.yes.Socket, floor: "yes plugin"},
		{name: "our plugin", socket: b.ours.Socket, floor: "yes plugin", goal: 1.2},
		{name: "yes plugin + empty proxy", socket: b.yes.Path(proxySocket), floor: "yes plugin"},
		{name: "gateway with ticket", socket: b.ours.Path(gatewaySocket), floor: "yes plugin + empty proxy", goal: 1.2},
	}
	return b, b.settle()
}

// start runs a program inside an engine's namespaces.
func (b *bench) start(e *engine.Engine, name string, args ...string) error {
	cmd := e.Command(name, args...)
	cmd.Stderr = os.Stderr
	if strings.HasSuffix(name, "authz-plugin") {
		var log bytes.Buffer
		cmd.Stderr = &log
	}
	if err := begin(cmd); err != nil {
		return err
	}
	b.processes = append(b.processes, cmd)
	return nil
}

// serve starts our program as users run it: its policy in a folder, which has
// more to it than what is built in if data is not empty, its audit log a file.
func (b *bench) serve(e *engine.Engine, data string, flags ...string) error {
	const folder = "/etc/docker/vitrine"
	if err := os.MkdirAll(e.Path(folder), 0o755); err != nil {
		return err
	}
	if data == "" {
		data = "bindings: {admin: [\"unix:root\", local]}\n"
	}
	if err := os.WriteFile(e.Path(folder+"/data.yaml"), []byte(data), 0o644); err != nil {
		return err
	}
	return b.start(e, b.binary, append([]string{"serve", "--policy", folder, "--audit", filepath.Join(e.Dir, "state/audit.log")}, flags...)...)
}

// patience is how long an engine or a plugin may take to come up.
const patience = 30 * time.Second

// usePlugin makes an engine ask the plugin named vitrine.
func usePlugin(e *engine.Engine) error {
	err := wait.NoError(patience, func() error { _, err := os.Stat(e.Path("/run/docker/plugins/vitrine.sock")); return err })
	if err != nil {
		return err
	}
	if err := e.WriteDaemonJSON(map[string]any{"authorization-plugins": []string{"vitrine"}}); err != nil {
		return err
	}
	if err := e.Hangup(); err != nil {
		return err
	}
	return wait.NoError(patience, func() error {
		if !strings.Contains(e.Log(), "Reloaded configuration") {
			return errors.New("dockerd has not reloaded its configuration")
		}
		return nil
	})
}

// settle waits until every variant answers a list.
func (b *bench) settle() error {
	for _, v := range b.variants {
		err := wait.NoError(patience, func() error {
			resp, err := engine.SocketClient(v.socket).Get("http://docker/containers/json")
			if err != nil {
				return err
			}
			if resp.Body.Close(); resp.StatusCode != http.StatusOK {
				return fmt.Errorf("status %d", resp.StatusCode)
			}
			return nil
		})
		if err != nil {
			return fmt.Errorf("%s: %w", v.name, err)
		}
	}
	return nil
}

// fill creates containers until every engine has n. They are not started: a list
// of all costs the same, and the machine stays quiet.
func (b *bench) fill(n int) error {
	for ; b.containers < n; b.containers++ {
		for _, e := range []*engine.Engine{b.bare, b.yes, b.ours} {
			if e == nil {
				continue
			}
			body := strings.NewReader(`{"Image":"bb:1","Cmd":["sleep","1"],"Labels":{"com.example.team":"bench"}}`)
			resp, err := e.Client().Post(fmt.Sprintf("http://docker/containers/create?name=c%d", b.containers), "application/json", body)
			if err != nil {
				return err
			}
			if resp.Body.Close(); resp.StatusCode != http.StatusCreated {
				return fmt.Errorf("create container: status %d", resp.StatusCode)
			}
		}
	}
	return nil
}

// footprint prints the plugin's memory after 100 000 decisions, and how long it
// takes from its start to its first answer.
func (b *bench) footprint() error {
	v := &variant{socket: b.ours.Socket}
	if err := v.dial(); err != nil {
		return err
	}
	defer v.conn.Close()
	for range 100_000 {
		if _, err := v.ask([]byte("GET /_ping HTTP/1.1\r\nHost: docker\r\n\r\n")); err != nil {
			return err
		}
	}
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", b.plugin.Process.Pid))
	if err != nil {
		return err
	}
	for line := range strings.Lines(string(status)) {
		if name, value, ok := strings.Cut(line, ":"); ok && (name == "VmRSS" || name == "VmHWM") {
			fmt.Printf("\nplugin's %s after 100 000 decisions: %s", name, strings.TrimSpace(value))
		}
	}
	var times []time.Duration
	for range 11 {
		took, err := b.firstAnswer()
		if err != nil {
			return err
		}
		times = append(times, took)
	}
	lo, mid, hi := spread(times)
	fmt.Printf("\nfrom start to first answer: median %d ms (%d to %d)\n", mid.Milliseconds(), lo.Milliseconds(), hi.Milliseconds())
	return nil
}

func spread(times []time.Duration) (lo, mid, hi time.Duration) {
	v := variant{times: times}
	slices.Sort(v.times)
	return v.times[0], v.percentile(.5), v.times[len(v.times)-1]
}

// firstAnswer starts a plugin as dockerd does and asks it what dockerd asks
// first, until it answers.
func (b *bench) firstAnswer() (time.Duration, error) {
	dir, err := os.MkdirTemp("/tmp", "vitrine-")
	if err != nil {
		return 0, err
	}
	defer os.RemoveAll(dir)
	socket := dir + "/p.sock"
	cmd := exec.Command(b.binary, "serve", "--plugin-socket", socket, "--listen", "", "--admin-socket", "", "--audit", "/dev/null", "--upstream", "unix://"+b.bare.Socket)
	start := time.Now()
	if err := begin(cmd); err != nil {
		return 0, err
	}
	defer func() { _ = cmd.Process.Signal(syscall.SIGTERM); _ = cmd.Wait() }()
	question, err := json.Marshal(map[string]any{"RequestMethod": "GET", "RequestUri": "/_ping", "RequestHeaders": map[string]string{}})
	if err != nil {
		return 0, err
	}
	client := engine.SocketClient(socket)
	for time.Since(start) < 10*time.Second {
		resp, err := client.Post("http://plugin/AuthZPlugin.AuthZReq", "application/json", bytes.NewReader(question))
		if err != nil {
			time.Sleep(time.Millisecond)
			continue
		}
		var answer struct{ Allow bool }
		err = json.NewDecoder(resp.Body).Decode(&answer)
		_ = resp.Body.Close()
		if err == nil && answer.Allow {
			return time.Since(start), nil
		}
		time.Sleep(time.Millisecond)
	}
	return 0, errors.New("the plugin gave no answer in 10 s")
}

// close stops every process and engine.
func (b *bench) close() error {
	var errs []error
	for _, cmd := range b.processes {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		_ = cmd.Wait()
	}
	for _, e := range []*engine.Engine{b.bare, b.yes, b.ours} {
		if e != nil {
			errs = append(errs, e.Close())
		}
	}
	return errors.Join(errs...)
}
