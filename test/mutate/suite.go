package main

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
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
	begins               time.Duration            // what the binary takes to run no test
	took                 map[string]time.Duration // by test, run alone, without a change and without that
	by                   map[int][]string         // change → the tests that come by it
	mu                   sync.Mutex
	noticed              map[string]map[string]bool // by function, the tests that have noticed a change to it
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
	s := &suite{dir: p.dir, binary: filepath.Join(scratch, "tests"), scratch: scratch, took: map[string]time.Duration{}, by: map[int][]string{}, noticed: map[string]map[string]bool{}}
	out, err := exec.CommandContext(ctx, "go", "test", "-c", "-o", s.binary, "-overlay", name, "-vet=off", "./"+p.dir).CombinedOutput()
	if err != nil {
		return nil, fmt.Errorf("compile the tests of %s with every change: %w\n%s", p.dir, err, out)
	}
	return s, nil
}

// trace runs each test alone, without a change, to see which changes it comes by, and how long it takes.
func (s *suite) trace(ctx context.Context, workers int) error {
	begin := time.Now()
	list, err := s.command(ctx, "-test.list", ".").Output()
	s.begins = time.Since(begin)
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
	took = max(0, time.Since(begin)-s.begins)
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

// survives says, of a change that no test notices, in what way.
func (s *suite) survives(ctx context.Context, c change) string {
	by := s.by[c.id]
	if len(by) == 0 {
		return "no test comes by"
	}
	for _, tests := range s.rounds(c) {
		if s.notice(ctx, c, tests) {
			return ""
		}
	}
	// Which tests come by may be another one's doing, or chance.
	if s.notice(ctx, c, slices.DeleteFunc(slices.Clone(s.tests), func(test string) bool { return slices.Contains(by, test) })) {
		return ""
	}
	return fmt.Sprintf("%d tests come by", len(by))
}

// likely is how much longer than another a test may take that goes before it as it has noticed a change to the same function.
const likely = 8

// rounds are the tests that come by a change, in the order in which they are worth asking, each round about as long as all before it together:
// most changes are noticed by the first, and those that none notices cost few runs.
func (s *suite) rounds(c change) (out [][]string) {
	s.mu.Lock()
	noticed := maps.Clone(s.noticed[c.function()])
	s.mu.Unlock()
	worth := func(test string) time.Duration {
		if noticed[test] {
			return s.took[test] / likely
		}
		return s.took[test]
	}
	tests := slices.SortedFunc(slices.Values(s.by[c.id]), func(a, b string) int { return cmp.Compare(worth(a), worth(b)) })
	before, room := time.Duration(0), s.begins
	for _, test := range tests {
		if room -= s.took[test]; len(out) == 0 || room < 0 {
			out, room = append(out, nil), before+s.begins
		}
		out[len(out)-1] = append(out[len(out)-1], test)
		before += s.took[test]
	}
	return out
}

// notice runs tests on a change. A test that takes much longer than it did has noticed.
func (s *suite) notice(ctx context.Context, c change, tests []string) bool {
	if len(tests) == 0 {
		return false
	}
	patience := 5*time.Second + 4*s.begins
	for _, test := range tests {
		patience += 4 * s.took[test]
	}
	ctx, cancel := context.WithTimeout(ctx, patience+5*time.Second)
	defer cancel()
	cmd := s.command(ctx, "-test.failfast", "-test.timeout", patience.String(), "-test.run", "^("+strings.Join(tests, "|")+")$")
	cmd.Env = append(os.Environ(), "MUTATE_ON="+strconv.Itoa(c.id))
	out, err := cmd.Output()
	killGroup(cmd)
	if err == nil {
		return false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	of := s.noticed[c.function()]
	if of == nil {
		of = map[string]bool{}
		s.noticed[c.function()] = of
	}
	for _, failed := range failures.FindAllSubmatch(out, -1) {
		of[string(failed[1])] = true
	}
	return true
}

var failures = regexp.MustCompile(`(?m)^--- FAIL: (\S+)`)

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
