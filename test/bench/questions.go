package main

import (
	"errors"
	"flag"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"slices"
	"text/tabwriter"
	"time"

	"vitrine/test/wait"
)

// askPlugins asks our plugin, and one that only says yes, what dockerd asks about a ping, in turn and without an Engine
// between: `bench questions`. What ours costs beyond the other shows, which in a ping of dockerd's is a small part.
func askPlugins(args []string) (err error) {
	flags := flag.NewFlagSet("questions", flag.ExitOnError)
	binary := flags.String("binary", "build/authz-plugin", "the authz-plugin to measure")
	beside := flags.String("beside", "", "one more build of authz-plugin, to compare with")
	n := flags.Int("n", 20000, "pings that each is asked about")
	if err := flags.Parse(args); err != nil {
		return err
	}
	p := &peerBench{containers: 10}
	if p.dir, err = os.MkdirTemp("", "questions-"); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, p.close()) }()
	self, err := os.Executable()
	if err != nil {
		return err
	}
	if err := p.start(&peer{name: "engine", socket: p.socket("engine")}, self, "simulated", p.socket("engine"), "10"); err != nil {
		return err
	}
	yes := &asked{name: "yes plugin"}
	variants := []*asked{yes}
	if err := yes.start(p, self, "yes-plugin", p.socket(yes.name)); err != nil {
		return err
	}
	for _, program := range []string{*binary, *beside} {
		if program == "" {
			continue
		}
		a := &asked{name: fmt.Sprintf("our plugin %d", len(variants))}
		if err := a.serve(p, program); err != nil {
			return err
		}
		variants = append(variants, a)
	}
	for i := range *n + *n/20 { // the first are to warm up
		for j := range variants {
			if err := variants[(i+j)%len(variants)].about(i >= *n/20); err != nil {
				return err
			}
		}
	}
	w := tabwriter.NewWriter(os.Stdout, 0, 8, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, "both questions about a ping\tp50 µs\tp99 µs\tCPU µs\tp50 beyond the yes plugin's\t")
	for _, a := range variants {
		r := a.row()
		fmt.Fprintf(w, "%s\t%.1f\t%.1f\t%.1f\t%.1f\t\n", a.name, r.p50, r.p99, r.cpu, r.p50-yes.row().p50)
	}
	return w.Flush()
}

// asked is a plugin that is asked.
type asked struct {
	name string
	callers
	client client
	before time.Duration // its processor time before the first that counts
}

// serve starts our plugin with the built-in rules and data of a folder, and the audit log in a file.
func (a *asked) serve(p *peerBench, program string) error {
	socket := p.socket(a.name)
	folder, err := policyFolder(socket, "bindings: {admin: [local]}\n")
	if err != nil {
		return err
	}
	return a.start(p, program, "serve", "--config", "", "--policy", folder, "--audit", socket+".audit", "--plugin-socket", socket, "--listen", "",
		"--admin-socket", "", "--state-dir", "", "--grants", "", "--upstream", "unix://"+p.socket("engine"))
}

func (a *asked) start(p *peerBench, program string, args ...string) error {
	cmd := exec.Command(program, args...)
	if err := begin(cmd); err != nil {
		return err
	}
	p.processes = append(p.processes, cmd)
	a.pids, a.client.socket = []int{cmd.Process.Pid}, p.socket(a.name)
	return wait.NoError(patience, func() error { return a.ask(pluginQuestion("AuthZReq", aboutPing)) })
}

// about asks both questions.
func (a *asked) about(counts bool) (err error) {
	if counts && len(a.times) == 0 {
		if a.before, err = a.used(); err != nil {
			return err
		}
	}
	from := time.Now()
	if err := errors.Join(a.ask(pluginQuestion("AuthZReq", aboutPing)), a.ask(pluginQuestion("AuthZRes", aboutAnswer))); err != nil {
		return err
	}
	if counts {
		a.times = append(a.times, time.Since(from))
	}
	return nil
}

func (a *asked) ask(request []byte) error {
	status, err := a.client.ask(request)
	if err == nil && status != http.StatusOK {
		err = fmt.Errorf("%s: status %d", a.name, status)
	}
	return err
}

func (a *asked) row() row {
	slices.Sort(a.times)
	n := len(a.times)
	used, _ := a.used() // it runs
	return row{p50: micro(a.times[n/2]), p99: micro(a.times[n*99/100]), cpu: micro(used-a.before) / float64(n)}
}

func pluginQuestion(name, body string) []byte {
	return fmt.Appendf(nil, "POST /AuthZPlugin.%s HTTP/1.1\r\nHost: \r\nUser-Agent: Go-http-client/1.1\r\nContent-Length: %d\r\n"+
		"Accept: application/vnd.docker.plugins.v1.2+json\r\n\r\n%s", name, len(body), body)
}

// What dockerd 20.10 asks about a ping, and about its answer.
const (
	aboutPing   = `{"RequestMethod":"GET","RequestUri":"/_ping","RequestHeaders":{"User-Agent":"Docker-Client/20.10.24 (linux)"}}`
	aboutAnswer = `{"RequestMethod":"GET","RequestUri":"/_ping","RequestHeaders":{"User-Agent":"Docker-Client/20.10.24 (linux)"},"ResponseBody":"T0s=",` +
		`"ResponseHeaders":{"Api-Version":"1.41","Content-Length":"2","Content-Type":"text/plain; charset=utf-8","Docker-Experimental":"false","Ostype":"linux","Server":"Docker/20.10.24 (linux)"},"ResponseStatusCode":200}`
)
