package main

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"text/tabwriter"
	"time"

	"vitrine/test/engine"
	"vitrine/test/wait"
)

// fairness measures what one misbehaving caller in a container costs an honest
// one, against a container that burns the same processor time and asks nobody.
// The two take turns, frozen and thawed, so that only ratios need be believed.
func fairness(args []string) (err error) {
	flags := flag.NewFlagSet("fairness", flag.ExitOnError)
	binary := flags.String("binary", "build/authz-plugin", "the authz-plugin to measure")
	rounds := flags.Int("rounds", 4, "times that each of the two is looked at, for a second")
	only := flags.String("only", "", "the one row to measure, as creates/none/0.2/32")
	if err := flags.Parse(args); err != nil {
		return err
	}
	f := &fair{bench: &bench{}, rounds: *rounds}
	defer func() { err = errors.Join(err, f.close()) }()
	if err := f.open(*binary); err != nil {
		return err
	}
	w := tabwriter.NewWriter(os.Stdout, 0, 8, 2, ' ', tabwriter.AlignRight)
	fmt.Printf("%d seconds each; medians of an honest caller's GET /_ping in microseconds, beside the misbehaving caller ÷ beside one that burns as much\n", *rounds)
	fmt.Fprintln(w, "caller\trole\tcpus\tconnections\tburns\tgateway\tratio\tnew connection\tratio\tplugin door\tratio\t")
	for _, row := range misbehaving() {
		if *only != "" && *only != fmt.Sprintf("%s/%s/%s/%d", row.kind, row.role, row.cpus, row.connections) {
			continue
		}
		if err := f.row(w, row); err != nil {
			return fmt.Errorf("%+v: %w", row, err)
		}
		_ = w.Flush()
	}
	return nil
}

type misbehaver struct {
	kind, role  string
	cpus        string
	connections int
}

func misbehaving() []misbehaver {
	return []misbehaver{
		{"creates", "none", "0.2", 1},
		{"creates", "none", "0.2", 32},
		{"creates", "none", "2", 64},
		{"creates", "look", "2", 600},
		{"lists", "none", "2", 600},
		{"lists", "look", "0.2", 64},
		{"lists", "look", "2", 600},
		{"binds", "none", "2", 64},
		{"bodies", "look", "2", 64},
		{"words", "look", "2", 64},
		{"deep", "none", "2", 600},
		{"slow", "none", "2", 600},
		{"storm", "none", "0.2", 64},
		{"storm", "none", "2", 600},
		{"visits", "look", "2", 600},
	}
}

// fair is an engine with our plugin and gateway, and the honest caller's ways in.
type fair struct {
	*bench
	rounds int
}

const fairnessPolicy = `bindings:
  admin: ["unix:root", "local"]
  look: ["container:look"]
`

func (f *fair) open(binary string) error {
	var err error
	if f.binary, err = filepath.Abs(binary); err != nil {
		return err
	}
	if f.ours, err = engine.Open(engine.Options{}); err != nil {
		return err
	}
	if _, err := f.ours.ImportGo("bench:1", "./test/bench"); err != nil {
		return err
	}
	if err := f.ours.ImportBusybox(); err != nil {
		return err
	}
	if err := f.serve(f.ours, fairnessPolicy); err != nil {
		return err
	}
	if err := usePlugin(f.ours); err != nil {
		return err
	}
	f.variants = []*variant{
		{name: "gateway", socket: f.ours.Path(gatewaySocket)},
		{name: anew, socket: f.ours.Path(gatewaySocket)},
		{name: "plugin door", socket: f.ours.Socket},
	}
	if err := f.settle(); err != nil {
		return err
	}
	for i := range 20 {
		if err := f.docker("create", "--name", fmt.Sprint("c", i), "bb:1"); err != nil {
			return err
		}
	}
	return nil
}

func (f *fair) docker(arg ...string) error {
	if out, err := f.ours.DockerCommand(f.ours.Socket, arg...).CombinedOutput(); err != nil {
		return fmt.Errorf("docker %s: %w: %s", strings.Join(arg, " "), err, out)
	}
	return nil
}

// row measures the misbehaver and the burner in turn.
func (f *fair) row(w *tabwriter.Writer, row misbehaver) error {
	run := []string{"run", "--detach", "--cpus", row.cpus, "--volume", filepath.Dir(gatewaySocket) + ":/gateway"}
	if err := f.docker(append(run, "--name", row.role, "bench:1", "bench", "misbehave", row.kind, strconv.Itoa(row.connections), "/gateway/docker.sock")...); err != nil {
		return err
	}
	defer func() { _ = f.docker("rm", "--force", row.role) }()
	pid, err := f.pid(row.role)
	if err != nil {
		return err
	}
	time.Sleep(time.Second)
	share, err := shareOf(pid, 2*time.Second)
	if err != nil {
		return err
	}
	if err := f.docker("pause", row.role); err != nil {
		return err
	}
	if err := f.docker("run", "--detach", "--name", "burner", "bench:1", "bench", "burn", fmt.Sprintf("%.3f", share)); err != nil {
		return err
	}
	defer func() { _ = f.docker("rm", "--force", "burner") }()
	times := map[string][][]time.Duration{}
	for range f.rounds {
		for _, beside := range []string{"burner", row.role} {
			if err := f.ping(beside, times); err != nil {
				return err
			}
			if err := f.swap(beside, row.role); err != nil {
				return err
			}
		}
	}
	fmt.Fprintf(w, "%s\t%s\t%s\t%d\t%.2f\t", row.kind, row.role, row.cpus, row.connections, share)
	for i := range f.variants {
		mine, floor := median(times[row.role][i]), median(times["burner"][i])
		fmt.Fprintf(w, "%d ÷ %d\t%.2f\t", mine.Microseconds(), floor.Microseconds(), ratio(mine, floor))
	}
	fmt.Fprintln(w)
	return nil
}

// swap freezes the one that was looked at and thaws the other one.
func (f *fair) swap(was, role string) error {
	next := "burner"
	if was == next {
		next = role
	}
	if err := f.docker("pause", was); err != nil {
		return err
	}
	return f.docker("unpause", next)
}

func (f *fair) pid(container string) (pid int, err error) {
	out, err := f.ours.DockerCommand(f.ours.Socket, "inspect", "--format", "{{.State.Pid}}", container).Output()
	if err != nil {
		return 0, fmt.Errorf("inspect %s: %w", container, err)
	}
	return strconv.Atoi(strings.TrimSpace(string(out)))
}

func shareOf(pid int, during time.Duration) (float64, error) {
	before, err := cpuTime(pid)
	if err != nil {
		return 0, err
	}
	time.Sleep(during)
	after, err := cpuTime(pid)
	return ratio(after-before, during), err
}

// ping asks for a second, every way in turn, with a pause between.
func (f *fair) ping(beside string, times map[string][][]time.Duration) error {
	request := []byte("GET /_ping HTTP/1.1\r\nHost: docker\r\n\r\n")
	if times[beside] == nil {
		times[beside] = make([][]time.Duration, len(f.variants))
	}
	for end := time.Now().Add(time.Second); time.Now().Before(end); {
		for i, v := range f.variants {
			start := time.Now()
			if v.name == anew {
				v.hangUp()
			}
			if v.conn == nil {
				// A listener whose backlog is full turns a connection away: it counts as waiting.
				if err := wait.NoError(patience, v.dial); err != nil {
					return err
				}
			}
			if _, err := v.ask(request); err != nil {
				return fmt.Errorf("%s: %w", v.name, err)
			}
			times[beside][i] = append(times[beside][i], time.Since(start))
			time.Sleep(time.Millisecond)
		}
	}
	for _, v := range f.variants {
		v.hangUp()
	}
	return nil
}

func (v *variant) hangUp() {
	if v.conn != nil {
		_ = v.conn.Close()
		v.conn = nil
	}
}

// anew is the variant that connects for each request.
const anew = "new connection"

func median(times []time.Duration) time.Duration {
	slices.Sort(times)
	return times[len(times)/2]
}

func (f *fair) close() error {
	for _, cmd := range f.processes {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		_ = cmd.Wait()
	}
	if f.ours == nil {
		return nil
	}
	return f.ours.Close()
}
