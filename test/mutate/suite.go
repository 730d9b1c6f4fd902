package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

// suite is the test binary of a package with every change to it.
type suite struct {
	dir, binary, scratch string
	tests                []string
	took                 map[string]time.Duration // by test, run alone, without a change
	by                   map[int][]string         // change → the tests that come by it
}

// build compiles the package's tests.
func (p *instrumented) build(ctx context.Context, scratch string) (*suite, error) {
	scratch = filepath.Join(scratch, strings.ReplaceAll(p.dir, "/", "_"))
	if err := os.Mkdir(scratch, 0o700); err != nil {
		return nil, err
	}
	replace := map[string]string{}
	for file, source := range p.files {
		path, err := filepath.Abs(file)
		if err != nil {
			return nil, err
		}
		replace[path] = filepath.Join(scratch, filepath.Base(file))
		if err := os.WriteFile(replace[path], []byte(source), 0o600); err != nil {
			return nil, err
		}
	}
	overlay, err := json.Marshal(map[string]any{"Replace": replace})
	if err != nil {
		return nil, err
	}
	name := filepath.Join(scratch, "overlay.json")
	if err := os.WriteFile(name, overlay, 0o600); err != nil {
		return nil, err
	}
	s := &suite{dir: p.dir, binary: filepath.Join(scratch, "tests"), scratch: scratch, took: map[string]time.Duration{}, by: map[int][]string{}}
	out, err := exec.CommandContext(ctx, "go", "test", "-c", "-o", s.binary, "-overlay", name, "-vet=off", "./"+p.dir).CombinedOutput()
	if err != nil {
		return nil, fmt.Errorf("compile the tests of %s with every change: %w\n%s", p.dir, err, out)
	}
	return s, nil
}

// trace runs each test alone, without a change, to see which changes it comes by, and how long it takes.
func (s *suite) trace(ctx context.Context, workers int) error {
	list, err := s.command(ctx, "-test.list", ".").Output()
	if err != nil {
		return fmt.Errorf("list the tests of %s: %w", s.dir, err)
	}
	for name := range strings.FieldsSeq(string(list)) {
		if !strings.HasPrefix(name, "Benchmark") {
			s.tests = append(s.tests, name)
		}
	}
	var mu sync.Mutex
	var failed error
	var group sync.WaitGroup
	work := make(chan string)
	for range workers {
		group.Go(func() {
			for test := range work {
				came, took, err := s.traceOne(ctx, test)
				mu.Lock()
				if s.took[test] = took; err != nil && failed == nil {
					failed = err
				}
				for _, id := range came {
					s.by[id] = append(s.by[id], test)
				}
				mu.Unlock()
			}
		})
	}
	for _, test := range s.tests {
		work <- test
	}
	close(work)
	group.Wait()
	return failed
}

func (s *suite) traceOne(ctx context.Context, test string) (came []int, took time.Duration, err error) {
	trace := filepath.Join(s.scratch, test+".trace")
	cmd := s.command(ctx, "-test.run", "^"+test+"$", "-test.timeout", "5m")
	cmd.Env = append(os.Environ(), "MUTATE_TRACE="+trace)
	begin := time.Now()
	out, err := cmd.CombinedOutput()
	killGroup(cmd)
	if err != nil {
		return nil, 0, fmt.Errorf("%s: %s fails without a change: %w\n%s", s.dir, test, err, out)
	}
	took = time.Since(begin)
	ids, err := os.ReadFile(trace)
	if err != nil && !os.IsNotExist(err) {
		return nil, 0, err
	}
	for line := range bytes.FieldsSeq(ids) {
		if id, err := strconv.Atoi(string(line)); err == nil && !slices.Contains(came, id) {
			came = append(came, id)
		}
	}
	return came, took, nil
}

// quick is what a test takes that is run before others, which may then not be needed.
const quick = 150 * time.Millisecond

// survives says, of a change that no test notices, in what way.
func (s *suite) survives(ctx context.Context, c change) string {
	if len(s.by[c.id]) == 0 {
		return "no test comes by"
	}
	var soon, late []string
	for _, test := range s.by[c.id] {
		if s.took[test] <= quick {
			soon = append(soon, test)
		} else {
			late = append(late, test)
		}
	}
	slices.SortFunc(late, func(a, b string) int { return int(s.took[a] - s.took[b]) })
	if s.notice(ctx, c, soon) {
		return ""
	}
	for chunk := range slices.Chunk(late, 4) {
		if s.notice(ctx, c, chunk) {
			return ""
		}
	}
	if s.notice(ctx, c, s.tests) { // which tests come by may be another one's doing, or chance
		return ""
	}
	return fmt.Sprintf("%d tests come by", len(soon)+len(late))
}

// notice runs tests on a change. A test that takes much longer than it did has noticed.
func (s *suite) notice(ctx context.Context, c change, tests []string) bool {
	if len(tests) == 0 {
		return false
	}
	patience := 5 * time.Second
	for _, test := range tests {
		patience += 4 * s.took[test]
	}
	ctx, cancel := context.WithTimeout(ctx, patience+5*time.Second)
	defer cancel()
	cmd := s.command(ctx, "-test.failfast", "-test.timeout", patience.String(), "-test.run", "^("+strings.Join(tests, "|")+")$")
	cmd.Env = append(os.Environ(), "MUTATE_ON="+strconv.Itoa(c.id))
	err := cmd.Run()
	killGroup(cmd)
	return err != nil
}

// killGroup ends what a test has started and left behind, as it may under a change.
func killGroup(cmd *exec.Cmd) {
	if cmd.Process != nil {
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
	}
}

// command runs the test binary where go test would. What a change makes it start ends with it, and what a change makes it
// allocate is bounded.
func (s *suite) command(ctx context.Context, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, "sh", append([]string{"-c", `ulimit -v 8000000; exec "$@"`, "sh", s.binary}, args...)...)
	cmd.Dir = s.dir
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { killGroup(cmd); return nil }
	cmd.WaitDelay = time.Second
	return cmd
}
