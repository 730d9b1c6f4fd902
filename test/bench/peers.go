package main

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"net/http"
	"os"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"vitrine/test/wait"
)

// peers measures our gateway beside other proxies in front of a simulated Engine, and our plugin beside
// none and one that says yes in real ones. In each table the variants take turns, a moment each, so that only
// ratios need be believed.
func peers(args []string) (err error) {
	flags := flag.NewFlagSet("peers", flag.ExitOnError)
	p := &peerBench{}
	flags.StringVar(&p.binary, "binary", "build/authz-plugin", "the authz-plugin to measure")
	flags.StringVar(&p.haproxy, "haproxy", "haproxy", "HAProxy's program")
	flags.StringVar(&p.wollomatic, "wollomatic", "", "the program of github.com/wollomatic/socket-proxy")
	flags.StringVar(&p.sockguard, "sockguard", "", "the program of github.com/CodesWhat/sockguard")
	flags.BoolVar(&p.quick, "quick", false, "fewer tables, and less time for each: two minutes in all")
	flags.StringVar(&p.only, "only", "", "the tables whose title has this, such as \"_ping, 1 caller\"")
	flags.StringVar(&p.beside, "beside", "", "one more build of authz-plugin, to compare with")
	flags.IntVar(&p.containers, "containers", 1000, "how many the simulated Engine has")
	doors := flags.Bool("plugins", true, "measure plugins too, in real Engines (as root)")
	if err := flags.Parse(args); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, p.close()) }()
	if err := p.open(); err != nil {
		return err
	}
	for _, v := range p.variants {
		if v.absent != "" {
			fmt.Printf("absent: %s: %s\n", v.name, v.absent)
		}
	}
	if err := p.proxies(); err != nil {
		return err
	}
	if len(p.rows) > 0 {
		p.memory()
		p.goals()
	}
	if !*doors {
		return nil
	}
	return p.plugins()
}

// question is what is asked, and what is expected of each variant.
type question struct {
	name    string
	request []byte
	status  int
	bare    bool // it can be asked of the Engine itself, and of what lets everything through
	quick   bool
	bytes   int // of the answer, if it is a stream
}

func get(uri string) []byte {
	return []byte("GET " + uri + " HTTP/1.1\r\nHost: docker\r\nUser-Agent: Docker-Client/20.10.24 (linux)\r\n\r\n")
}

// createOf is a request of about so many bytes to make a container.
func createOf(size int) []byte {
	body := `{"Image":"bb:1","Cmd":["sleep","1000"],"Labels":{"com.example.team":"blue"},"HostConfig":{"NetworkMode":"default","RestartPolicy":{"Name":"no"}},"Env":["A=` +
		strings.Repeat("x", 100) + `"`
	for i := 0; len(body) < size-120; i++ {
		body += fmt.Sprintf(`,"B%d=%s"`, i, strings.Repeat("y", 100))
	}
	body += "]}"
	return fmt.Appendf(nil, "POST /v1.41/containers/create?name=job HTTP/1.1\r\nHost: docker\r\nUser-Agent: Docker-Client/20.10.24 (linux)\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", len(body), body)
}

const pingName, denyName = "GET /_ping", "denied create of 0.5 KB"

// another returns a request like one of createOf, of which each caller puts a number of its own in each time.
func another(create []byte) []byte {
	return bytes.Replace(create, []byte("name=job "), []byte("name="+numbered+" "), 1)
}

func questions() []question {
	return []question{
		{name: pingName, request: get("/_ping"), status: 200, bare: true, quick: true},
		{name: "list of 0", request: get("/v1.41/containers/json"), status: 200, bare: true},
		{name: "list of 20", request: get("/v1.41/containers/json?limit=20"), status: 200, bare: true, quick: true},
		{name: "list of 1000", request: get("/v1.41/containers/json?limit=1000"), status: 200, bare: true},
		{name: "inspect", request: get("/v1.41/containers/web7/json"), status: 200, bare: true, quick: true},
		{name: denyName, request: createOf(512), status: 403, quick: true},
		{name: "denied creates of 0.5 KB that differ", request: another(createOf(512)), status: 403, quick: true},
		{name: "denied create of 64 KB", request: createOf(64 << 10), status: 403},
		{name: "logs -f of 100 MB", request: get("/v1.41/containers/web7/logs?stdout=1&follow=1"), status: 200, bare: true, bytes: logBytes, quick: true},
		{name: "cp of 500 MB", request: get("/v1.41/containers/web7/archive?path=/data"), status: 200, bare: true, bytes: copyBytes},
	}
}

// proxies measures what stands in front of the simulated Engine.
func (p *peerBench) proxies() error {
	for _, q := range questions() {
		for _, n := range []int{1, 16, 200} {
			title := fmt.Sprintf("%s, %s", q.name, plural(n))
			if p.quick && (!q.quick || n == 200 && q.name != pingName) || q.bytes > 0 && n > 1 || !strings.Contains(title, p.only) {
				continue
			}
			if err := p.table(title, q, n, p.variants); err != nil {
				return fmt.Errorf("%s: %w", title, err)
			}
		}
	}
	return nil
}

func plural(callers int) string {
	if callers == 1 {
		return "1 caller"
	}
	return fmt.Sprintf("%d callers", callers)
}

// table measures one question at every variant that can be asked it.
func (p *peerBench) table(title string, q question, n int, variants []*peer) error {
	moment, rounds := 100*time.Millisecond, 20
	if q.bytes > 0 {
		rounds = 5
	}
	if p.quick {
		rounds = (rounds + 2) / 3
	}
	asked := map[string]*callers{}
	for _, v := range variants {
		if v.absent != "" || !q.bare && v.lets {
			continue
		}
		asked[v.name] = newCallers(v.socket, n, v.pids)
		defer asked[v.name].hangUp()
	}
	for begin, round := time.Now(), 0; round <= rounds && (round < enough || time.Since(begin) < longest); round++ { // the first is to warm up
		for i := range variants {
			v := variants[(i+round)%len(variants)] // nobody is always behind the same one
			c := asked[v.name]
			if c == nil {
				continue
			}
			status := q.status
			if status == http.StatusForbidden && v.denies != 0 {
				status = v.denies
			}
			if err := c.slice(q.request, status, moment, round > 0); err != nil {
				return fmt.Errorf("%s: %w", v.name, err)
			}
		}
	}
	p.report(title, q, variants, asked)
	return nil
}

// A table of answers that take long ends after longest, with so many rounds at least.
const (
	longest = 20 * time.Second
	enough  = 3
)

// row is what was seen of one variant in one table.
type row struct{ rate, p50, p99, cpu float64 }

func (c *callers) row() row {
	slices.Sort(c.times)
	n := len(c.times)
	return row{
		rate: float64(n) / c.took.Seconds(), p50: micro(c.times[n/2]), p99: micro(c.times[min(n-1, n*99/100)]), cpu: micro(c.cpu) / float64(n),
	}
}

func micro(d time.Duration) float64 { return float64(d.Nanoseconds()) / 1000 }

// report prints a table, each variant beside the first that another is held against.
func (p *peerBench) report(title string, q question, variants []*peer, asked map[string]*callers) {
	fmt.Printf("\n%s\n", title)
	w := tabwriter.NewWriter(os.Stdout, 0, 8, 2, ' ', tabwriter.AlignRight)
	unit := ""
	if q.bytes > 0 {
		unit = "MB/s\t"
	}
	fmt.Fprintf(w, "variant\trequests/s\tp50 µs\tp99 µs\tCPU µs a request\t%sp50 ÷ floor\trequests/s ÷ floor\t\n", unit)
	var floor *row
	for _, v := range variants {
		c := asked[v.name]
		switch {
		case v.absent != "":
			fmt.Fprintf(w, "%s\tabsent\t\t\t\t\t\t\n", v.name)
			continue
		case c == nil:
			continue
		}
		r := c.row()
		p.seen(title, v.name, r)
		if v.floor {
			floor = &r
		}
		fmt.Fprintf(w, "%s\t%.0f\t%.0f\t%.0f\t%s\t", v.name, r.rate, r.p50, r.p99, cpuText(v, r))
		if q.bytes > 0 {
			fmt.Fprintf(w, "%.0f\t", r.rate*float64(q.bytes)/1e6)
		}
		if floor == nil {
			fmt.Fprintln(w, "-\t-\t")
			continue
		}
		fmt.Fprintf(w, "%.2f\t%.2f\t\n", r.p50/floor.p50, r.rate/floor.rate)
	}
	_ = w.Flush()
}

func cpuText(v *peer, r row) string {
	if len(v.pids) == 0 {
		return "-"
	}
	return fmt.Sprintf("%.1f", r.cpu)
}

func (p *peerBench) seen(title, variant string, r row) {
	if p.rows == nil {
		p.rows = map[string]map[string]row{}
	}
	if p.rows[title] == nil {
		p.rows[title] = map[string]row{}
	}
	p.rows[title][variant] = r
}

// goals says what the tables make of the goals, as far as they were made.
func (p *peerBench) goals() {
	one, many, deny := p.rows[pingName+", 1 caller"], p.rows[pingName+", 16 callers"], p.rows[denyName+", 16 callers"]
	p50 := func(r row) float64 { return r.p50 }
	rate := func(r row) float64 { return r.rate }
	fmt.Println("\nthe gateway ÷ others")
	w := tabwriter.NewWriter(os.Stdout, 0, 8, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, "what\t÷ HAProxy\tgoal\t÷ wollomatic\t÷ sockguard\tgoal\t")
	for _, g := range []struct {
		what             string
		rows             map[string]row
		of               func(row) float64
		haproxy, goProxy string
	}{
		{pingName + " p50, 1 caller", one, p50, "≤ 1.15", "≤ 0.8"},
		{pingName + " requests/s, 16 callers", many, rate, "≥ 0.95", "≥ 1.6"},
		{"denials/s, 16 callers", deny, rate, "≥ 0.8", "≥ 1.2 (sockguard)"},
	} {
		against := func(name string) string {
			r, ok := g.rows[name]
			if mine, measured := g.rows[ours]; ok && measured {
				return fmt.Sprintf("%.2f", g.of(mine)/g.of(r))
			}
			return "-"
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\t\n", g.what, against(haproxyName), g.haproxy, against(wollomaticName), against(sockguardName), g.goProxy)
	}
	_ = w.Flush()
}

// memory prints what each variant's processes hold after all of it.
func (p *peerBench) memory() {
	fmt.Println("\nmemory after all that (VmRSS), and at most (VmHWM), kB")
	w := tabwriter.NewWriter(os.Stdout, 0, 8, 2, ' ', tabwriter.AlignRight)
	for _, v := range p.variants {
		if len(v.pids) == 0 {
			continue
		}
		var now, most int
		for _, pid := range v.pids {
			now += statusOf(pid, "VmRSS")
			most += statusOf(pid, "VmHWM")
		}
		fmt.Fprintf(w, "%s\t%d\t%d\t\n", v.name, now, most)
	}
	_ = w.Flush()
}

// statusOf is a number of /proc/PID/status.
func statusOf(pid int, name string) (n int) {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(status)) {
		if rest, ok := strings.CutPrefix(line, name+":"); ok {
			_, _ = fmt.Sscan(rest, &n)
		}
	}
	return n
}

// plugins measures what dockerd's plugins cost in real Engines.
func (p *peerBench) plugins() error {
	b, err := open(p.binary)
	if err != nil {
		return errors.Join(err, b.close())
	}
	defer b.close()
	var variants []*peer
	for _, v := range b.variants {
		switch v.name {
		case "bare socket":
			variants = append(variants, &peer{name: "no plugin", socket: v.socket})
		case "yes plugin":
			variants = append(variants, &peer{name: v.name, socket: v.socket, pids: []int{b.yesPlugin.Process.Pid}, floor: true})
		case "our plugin":
			variants = append(variants, &peer{name: v.name, socket: v.socket, pids: []int{b.plugin.Process.Pid}})
		}
	}
	for _, t := range []struct {
		containers int
		quick      bool
		question
	}{
		{0, true, question{name: pingName, request: get("/_ping"), status: 200}},
		{0, false, question{name: "list of 0", request: get("/containers/json?all=1"), status: 200}},
		{20, true, question{name: "list of 20", request: get("/containers/json?all=1"), status: 200}},
		{20, false, question{name: "inspect", request: get("/containers/c7/json"), status: 200}},
		{1000, false, question{name: "list of 1000", request: get("/containers/json?all=1"), status: 200}},
	} {
		for _, n := range []int{1, 16, 200} {
			title := fmt.Sprintf("%s as dockerd's plugin, %s", t.name, plural(n))
			dockerd := n == 200 && t.containers == 1000 // a minute of its own work for each
			if p.quick && (!t.quick || n == 200) || dockerd || !strings.Contains(title, p.only) {
				continue
			}
			if err := b.fill(t.containers); err != nil {
				return err
			}
			if err := p.table(title, t.question, n, variants); err != nil {
				return fmt.Errorf("%s: %w", title, err)
			}
		}
	}
	return nil
}

// ready waits until a variant answers, and has nothing else to do, such as to learn of containers.
func (v *peer) ready() error {
	err := wait.NoError(patience, func() error {
		c := &client{socket: v.socket}
		defer c.hangUp()
		status, err := c.ask(get("/v1.41/containers/json"))
		if err == nil && status != http.StatusOK {
			err = fmt.Errorf("status %d", status)
		}
		return err
	})
	if err != nil {
		return err
	}
	c := &callers{pids: v.pids}
	return wait.NoError(patience, func() error {
		before, err := c.used()
		if err != nil {
			return err
		}
		time.Sleep(300 * time.Millisecond)
		if after, err := c.used(); err != nil || after > before {
			return errors.Join(err, errors.New("it is busy with itself"))
		}
		return nil
	})
}
