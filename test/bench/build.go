package main

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"vitrine/test/engine"
)

// build measures builds through the gateway against the same straight to the Engine, in turn: one of many small steps,
// where each costs a round trip, and one with a large context, whose bytes must not stay in the gateway's memory.
// VITRINE_ENGINE chooses the engine and its buildx; BuildKit's builds go by /session and /grpc, as an admin's.
func build(args []string) error {
	flags := flag.NewFlagSet("build", flag.ExitOnError)
	binary := flags.String("binary", "build/authz-plugin", "the authz-plugin to measure")
	rounds := flags.Int("rounds", 5, "builds each way")
	steps := flags.Int("steps", 50, "steps of a build")
	megabytes := flags.Int("megabytes", 500, "size of the context")
	if err := flags.Parse(args); err != nil {
		return err
	}
	path, err := filepath.Abs(*binary)
	if err != nil {
		return err
	}
	b := &bench{binary: path}
	if b.bare, err = engine.Open(engine.Options{}); err != nil {
		return err
	}
	err = b.builds(*rounds, *steps, *megabytes)
	return errors.Join(err, b.close())
}

func (b *bench) builds(rounds, steps, megabytes int) error {
	if err := b.bare.ImportBusybox(); err != nil {
		return err
	}
	if err := b.serve(b.bare, "", "--plugin-socket", ""); err != nil {
		return err
	}
	b.plugin = b.processes[0]
	gateway := &variant{name: "gateway", socket: b.bare.Path(gatewaySocket)}
	direct := &variant{name: "direct", socket: b.bare.Socket}
	b.variants = []*variant{direct, gateway}
	if err := b.settle(); err != nil {
		return err
	}
	many := "FROM bb:1\n" + strings.Repeat("RUN true\n", steps)
	if err := b.alternate(fmt.Sprintf("a build of %d steps", steps), "1", many, 0, rounds); err != nil {
		return err
	}
	for _, kit := range []string{"1", "0"} {
		title := fmt.Sprintf("a build with a context of %d MB", megabytes)
		if err := b.alternate(title, kit, "FROM bb:1\nCOPY . /context\n", megabytes, max(1, rounds/2)); err != nil {
			return err
		}
	}
	return nil
}

// alternate builds in turn, each way as often as there are rounds, and prints medians, their ratio, and how far the
// gateway's memory grew beyond what it was.
func (b *bench) alternate(title, kit, dockerfile string, megabytes, rounds int) error {
	dir, err := os.MkdirTemp("", "bench-build-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	if err := os.WriteFile(filepath.Join(dir, "Dockerfile"), []byte(dockerfile), 0o600); err != nil {
		return err
	}
	if err := os.WriteFile(fmt.Sprintf("/proc/%d/clear_refs", b.plugin.Process.Pid), []byte("5"), 0); err != nil { // forgets VmHWM
		return err
	}
	before, err := b.status("VmRSS")
	if err != nil {
		return err
	}
	for _, v := range b.variants {
		v.times = nil
	}
	for i := range rounds + 1 {
		for j := range b.variants {
			v := b.variants[(i+j)%len(b.variants)]
			if megabytes > 0 { // anew, or the session would find that it is there already
				if err := noise(filepath.Join(dir, "noise"), megabytes); err != nil {
					return err
				}
			}
			took, err := b.build(v.socket, kit, dir)
			if err != nil {
				return fmt.Errorf("%s: %w", v.name, err)
			}
			if i > 0 { // the first warms up
				v.times = append(v.times, took)
			}
		}
	}
	peak, err := b.status("VmHWM")
	if err != nil {
		return err
	}
	for _, v := range b.variants {
		slices.Sort(v.times)
	}
	direct, gateway := b.variants[0], b.variants[1]
	fmt.Printf("%s, BuildKit %s: direct %d ms (%d to %d), gateway %d ms (%d to %d), ratio %.2f; the gateway's memory was %d MiB, and %d MiB at most\n",
		title, map[string]string{"1": "yes", "0": "no"}[kit],
		direct.percentile(.5).Milliseconds(), direct.times[0].Milliseconds(), direct.times[len(direct.times)-1].Milliseconds(),
		gateway.percentile(.5).Milliseconds(), gateway.times[0].Milliseconds(), gateway.times[len(gateway.times)-1].Milliseconds(),
		ratio(gateway.percentile(.5), direct.percentile(.5)), before>>20, peak>>20)
	return nil
}

func (b *bench) build(socket, kit, dir string) (time.Duration, error) {
	cmd := b.bare.DockerCommand(socket, "build", "--no-cache", "--quiet", "--tag", "built:1", dir)
	cmd.Env = append(cmd.Env, "DOCKER_BUILDKIT="+kit)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	begin := time.Now()
	if err := cmd.Run(); err != nil {
		return 0, fmt.Errorf("docker build: %w\n%s", err, out.String())
	}
	took := time.Since(begin)
	return took, b.prune()
}

// prune takes the build's image and cache away again, so that a disk does not fill.
func (b *bench) prune() error {
	for _, arg := range [][]string{{"rmi", "--force", "built:1"}, {"builder", "prune", "--all", "--force"}} {
		if out, err := b.bare.DockerCommand(b.bare.Socket, arg...).CombinedOutput(); err != nil {
			return fmt.Errorf("docker %v: %w\n%s", arg, err, out)
		}
	}
	return nil
}

// noise writes a file that no compression makes smaller.
func noise(file string, megabytes int) error {
	f, err := os.Create(file)
	if err != nil {
		return err
	}
	_, err = io.CopyN(f, rand.NewChaCha8([32]byte{byte(time.Now().UnixNano())}), int64(megabytes)<<20)
	return errors.Join(err, f.Close())
}

// status reads a size of the plugin's /proc/<pid>/status, in bytes.
func (b *bench) status(name string) (int, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", b.plugin.Process.Pid))
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(text)) {
		if value, ok := strings.CutPrefix(line, name+":"); ok {
			kib, err := strconv.Atoi(strings.Fields(value)[0])
			return kib << 10, err
		}
	}
	return 0, errors.New(name + " is not in /proc/<pid>/status")
}
