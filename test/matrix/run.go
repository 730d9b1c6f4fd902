package main

import (
	"bufio"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"
)

// Result is what came of one suite on one engine: a line of results.jsonl.
type Result struct {
	Engine  string            `json:"engine"`  // its name, such as 28c
	Suite   string            `json:"suite"`   // the folder's name
	Holds   string            `json:"holds"`   // what its package comment says that it does
	Stock   string            `json:"stock"`   // what the test process was told by its engine and command line
	Passed  int               `json:"passed"`  // tests and subtests
	Failed  []string          `json:"failed"`  // their names; "the package" where it did not even start
	Skipped map[string]string `json:"skipped"` // name → reason
	Seconds int               `json:"seconds"`

	said []string // the messages of those that failed, in lines, long ones cut
}

// event is a line of what `go test -json` prints.
type event struct {
	Action, Test, Output string
	ImportPath           string // of what did not compile
}

// stock is how test/engine introduces the engine that it has started.
var stock = regexp.MustCompile(`^engine: (.+)$`)

// reason is a message of t.Skip in the output of a test.
var reason = regexp.MustCompile(`^\s+\w+\.go:\d+: (.+)$`)

func runSuite(root, engine, suite string) (Result, error) {
	called := cmp.Or(engine, "(the installed one)")
	fmt.Printf("== %s on engine %s\n", suite, called)
	cmd := exec.Command("go", "test", "-json", "-race", "-count=1", "-timeout", "30m", "./test/e2e/"+suite)
	cmd.Dir = root
	cmd.Env = append(os.Environ(), "VITRINE_REQUIRE=1", "VITRINE_ENGINE="+engine)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		return Result{}, err
	}
	begin := time.Now()
	if err := cmd.Start(); err != nil {
		return Result{}, err
	}
	result, err := read(out, os.Stdout)
	if err != nil {
		return Result{}, err
	}
	if err := cmd.Wait(); err != nil && len(result.Failed) == 0 {
		result.Failed = []string{"the package"}
	}
	if result.Stock == "" && len(result.Failed) == 0 {
		return Result{}, errors.New(suite + " passed, and no engine has said which it is")
	}
	if result.Holds, err = firstSentence(filepath.Join(root, "test/e2e", suite)); err != nil {
		return Result{}, err
	}
	result.Engine, result.Suite, result.Seconds = engine, suite, int(time.Since(begin).Seconds()+0.5)
	fmt.Printf("== %s on engine %s (%s): %d passed, %d skipped, %d failed, %d s\n",
		suite, called, result.Stock, result.Passed, len(result.Skipped), len(result.Failed), result.Seconds)
	return result, nil
}

// read counts what go test says of its tests, and shows what those that failed have printed.
func read(from io.Reader, show io.Writer) (Result, error) {
	r := Result{Failed: []string{}, Skipped: map[string]string{}}
	printed := map[string][]string{}
	lines := bufio.NewReader(from)
	for {
		line, err := lines.ReadBytes('\n')
		if errors.Is(err, io.EOF) {
			return r, nil
		}
		if err != nil {
			return r, err
		}
		var e event
		if json.Unmarshal(line, &e) != nil {
			fmt.Fprintf(show, "%s", line)
			continue
		}
		switch e.Action {
		case "output", "build-output":
			text := strings.TrimRight(e.Output, "\n")
			if m := stock.FindStringSubmatch(text); m != nil && r.Stock == "" {
				r.Stock = m[1]
				fmt.Fprintln(show, text)
			}
			printed[e.Test] = append(printed[e.Test], text)
		case "pass":
			if e.Test != "" {
				r.Passed++
			}
		case "skip":
			if e.Test != "" {
				r.Skipped[e.Test] = why(printed[e.Test])
			}
		case "fail":
			name := e.Test
			if name == "" && len(r.Failed) == 0 {
				name = "the package"
			}
			if name != "" {
				r.Failed = append(r.Failed, name)
			}
			more := 0 // lines of a message; of a log, none
			for _, line := range printed[e.Test] {
				if reason.MatchString(line) {
					r.said, more = append(r.said, fmt.Sprintf("%s: %.400s", name, strings.TrimSpace(line))), 12
					if strings.HasSuffix(line, "log:") {
						more = 0
					}
				} else if more > 0 && strings.HasPrefix(line, "        ") { // the message goes on
					r.said, more = append(r.said, fmt.Sprintf("\t%.400s", strings.TrimSpace(line))), more-1
				}
			}
			fmt.Fprintln(show, strings.Join(printed[e.Test], "\n"))
		}
	}
}

// why is the last message of a test that was skipped.
func why(printed []string) string {
	for _, line := range slices.Backward(printed) {
		if m := reason.FindStringSubmatch(line); m != nil {
			return m[1]
		}
	}
	return ""
}

func resultsFile(root string) string { return filepath.Join(root, "test/matrix/results.jsonl") }

func results(root string) (map[string]Result, error) {
	data, err := os.ReadFile(resultsFile(root))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	all := map[string]Result{}
	for line := range strings.Lines(string(data)) {
		var r Result
		if err := json.Unmarshal([]byte(line), &r); err != nil {
			return nil, fmt.Errorf("read results.jsonl: %w", err)
		}
		all[r.Suite+" "+r.Engine] = r
	}
	return all, nil
}

func keepResult(root string, r Result) error {
	all, err := results(root)
	if err != nil {
		return err
	}
	all[r.Suite+" "+r.Engine] = r
	var text strings.Builder
	for _, key := range slices.Sorted(maps.Keys(all)) {
		line, err := json.Marshal(all[key])
		if err != nil {
			return err
		}
		text.Write(append(line, '\n'))
	}
	return os.WriteFile(resultsFile(root), []byte(text.String()), 0o644)
}
