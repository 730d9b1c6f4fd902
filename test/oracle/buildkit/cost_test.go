package buildkit

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"vitrine/test/engine"
	"vitrine/test/vitrine"
)

// TestCost: what BuildKit asks for passes through the gateway without being kept, and without being slowed down.
func TestCost(t *testing.T) {
	e := engine.Start(t, engine.Options{})
	if err := e.ImportBusybox(); err != nil {
		t.Fatal(err)
	}
	p := vitrine.Start(t, vitrine.Options{Engine: e, Data: policyData, Alone: true})
	t.Run("500 MB of context leave nothing in memory", func(t *testing.T) { large(t, e, p) })
	t.Run("50 steps", func(t *testing.T) { steps(t, e, p) })
}

func large(t *testing.T, e *engine.Engine, p *vitrine.Process) {
	const size, most = 500 << 20, 32 << 20
	dir := folder(t)
	blob, err := os.Create(filepath.Join(dir, "blob"))
	if err != nil {
		t.Fatal(err)
	}
	defer blob.Close()
	if err := blob.Truncate(size); err != nil { // zeros are sent like anything else
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "Dockerfile"), []byte("FROM bb:1\nCOPY blob /blob\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(fmt.Sprintf("/proc/%d/clear_refs", p.Pid()), []byte("5"), 0); err != nil { // the peak begins anew
		t.Fatal(err)
	}
	before := memory(t, p, "VmRSS")
	cmd := e.DockerCommand(p.Socket, "build", "--tag", "large:1", dir)
	cmd.Env = append(cmd.Env, "DOCKER_BUILDKIT=1")
	run(t, cmd)
	if grown := memory(t, p, "VmHWM") - before; grown > most {
		t.Errorf("the gateway grew by %d MiB", grown>>20)
	}
	if got := e.For(t).Docker("run", "--rm", "large:1", "stat", "-c", "%s", "/blob"); got != fmt.Sprint(size) {
		t.Errorf("%s bytes arrived", got)
	}
}

// memory is a line of /proc/PID/status, in bytes.
func memory(t *testing.T, p *vitrine.Process, line string) int {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.Pid()))
	if err != nil {
		t.Fatal(err)
	}
	var kib int
	_, rest, _ := strings.Cut(string(text), line+":")
	if _, err := fmt.Sscan(rest, &kib); err != nil {
		t.Fatalf("%s of the gateway: %v", line, err)
	}
	return kib << 10
}

// steps compares the best of some builds each way, in turn. What is wanted is 1.1 times; the test allows for a busy machine.
func steps(t *testing.T, e *engine.Engine, p *vitrine.Process) {
	const most = 1.5
	dir := folder(t)
	file := "FROM bb:1\nARG RUN\n" + strings.Repeat("RUN echo $RUN >>/log\n", 50)
	if err := os.WriteFile(filepath.Join(dir, "Dockerfile"), []byte(file), 0o600); err != nil {
		t.Fatal(err)
	}
	best := map[string]time.Duration{}
	for round := range 2 {
		for _, socket := range []string{e.Socket, p.Socket} {
			cmd := e.DockerCommand(socket, "build", "--no-cache", "--build-arg", fmt.Sprintf("RUN=%d", round), "--tag", "steps:1", dir)
			cmd.Env = append(cmd.Env, "DOCKER_BUILDKIT=1")
			began := time.Now()
			run(t, cmd)
			if took := time.Since(began); best[socket] == 0 || took < best[socket] {
				best[socket] = took
			}
		}
	}
	ratio := best[p.Socket].Seconds() / best[e.Socket].Seconds()
	t.Logf("direct %v, through the gateway %v: %.2f times", best[e.Socket], best[p.Socket], ratio)
	if ratio > most {
		t.Errorf("%.2f times as long through the gateway, want at most %.1f", ratio, most)
	}
}
