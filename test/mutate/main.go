// Command mutate asks whether the tests of the decision path hold what they say. It makes single changes to a package
// (a guard that never bites, a condition without one of its halves, a call left out, a yes for a no), runs that
// package's own tests on each, and lists the changes that no test notices: survivors.
//
// A survivor is a missing test, or a change that changes nothing: equivalents.txt lists those of the second kind, each with its
// reason, and is reviewed like code. The exit status is 1 if a survivor is not in it.
//
// It changes no file: the compiler is given each change as an overlay. The order of changes depends on what they are and
// on nothing else, so that the first N of them (-sample) are the same from run to run. It knows nothing of end-to-end tests: what only they
// notice is a survivor here, on purpose.
package main

import (
	"bufio"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"
)

// decisionPath is every package that a caller's request goes through until it is forwarded.
var decisionPath = []string{
	"internal/kernel/peercred", "internal/caller/attest", "internal/caller/identity", "internal/engine/operation", "internal/kernel/hostpath", "internal/authz/obligation",
	"internal/authz/policy", "internal/authz/decide", "internal/authz/ticket", "internal/authz/redact", "internal/authz/gateway", "internal/authz/plugin", "internal/kernel/unixsocket",
}

const equivalentsFile = "test/mutate/equivalents.txt"

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	sample := flag.Int("sample", 0, "test only the first `N` changes, in an order that looks random and stays the same; 0: all")
	packages := flag.String("packages", strings.Join(decisionPath, ","), "`LIST` of packages, separated by commas")
	workers := flag.Int("workers", 2, "changes tested at one time")
	flag.Parse()
	survivors, err := run(ctx, strings.Split(*packages, ","), *sample, *workers)
	if err != nil {
		fmt.Fprintln(os.Stderr, "mutate:", err)
		os.Exit(2)
	}
	if survivors > 0 {
		os.Exit(1)
	}
}

func run(ctx context.Context, packages []string, sample, workers int) (survivors int, err error) {
	known, err := readEquivalents(equivalentsFile)
	if err != nil {
		return 0, err
	}
	var all []mutant
	for _, dir := range packages {
		found, err := mutants(dir)
		if err != nil {
			return 0, err
		}
		all = append(all, found...)
	}
	slices.SortFunc(all, func(a, b mutant) int { return cmp.Compare(a.order(), b.order()) })
	if sample > 0 && sample < len(all) {
		all = all[:sample]
	}
	scratch, err := os.MkdirTemp("", "mutate-")
	if err != nil {
		return 0, err
	}
	defer os.RemoveAll(scratch)

	work := make(chan int)
	results := make([]result, len(all))
	var group sync.WaitGroup
	for range workers {
		group.Go(func() {
			for i := range work {
				results[i] = all[i].test(ctx, filepath.Join(scratch, fmt.Sprint(i)))
			}
		})
	}
	for i := range all {
		if ctx.Err() == nil && !known[all[i].key()] {
			work <- i
		}
	}
	close(work)
	group.Wait()
	if ctx.Err() != nil {
		return 0, context.Cause(ctx)
	}
	counts := map[result]int{}
	for i, m := range all {
		if results[i] == untested {
			results[i] = equivalent
		}
		counts[results[i]]++
		if results[i] == survived {
			fmt.Printf("survived %s:%d\n%s\n", m.file, m.line, m.key())
		}
	}
	fmt.Printf("%d changes: %d noticed, %d did not compile, %d are known to change nothing, %d survived\n",
		len(all), counts[noticed], counts[broken], counts[equivalent], counts[survived])
	return counts[survived], nil
}

// result is what became of a change.
type result int

const (
	untested   result = iota
	noticed           // a test failed
	survived          // no test failed
	broken            // it does not compile
	equivalent        // it is in the list
)

// test runs the tests of the mutant's package on it.
func (m mutant) test(ctx context.Context, scratch string) result {
	source, overlay := scratch+".go", scratch+".json"
	defer os.Remove(source)
	defer os.Remove(overlay)
	path, err := filepath.Abs(m.file)
	if err != nil {
		return broken
	}
	replace, err := json.Marshal(map[string]any{"Replace": map[string]string{path: source}})
	if err != nil || os.WriteFile(source, m.source, 0o600) != nil || os.WriteFile(overlay, replace, 0o600) != nil {
		return broken
	}
	// A change may make a test wait for ever.
	ctx, cancel := context.WithTimeout(ctx, 5*time.Minute)
	defer cancel()
	pkg := "./" + filepath.Dir(m.file)
	if exec.CommandContext(ctx, "go", "test", "-overlay", overlay, "-vet=off", "-run", "^$", pkg).Run() != nil {
		return broken
	}
	if exec.CommandContext(ctx, "go", "test", "-overlay", overlay, "-vet=off", "-failfast", "-timeout", "2m", pkg).Run() != nil {
		return noticed
	}
	return survived
}

// readEquivalents reads the list: a line that a survivor's report has, above it its reason as a comment.
func readEquivalents(name string) (map[string]bool, error) {
	file, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	known, reason := map[string]bool{}, false
	in := bufio.NewScanner(file)
	for in.Scan() {
		switch line := strings.TrimSpace(in.Text()); {
		case line == "":
			reason = false
		case strings.HasPrefix(line, "#"):
			reason = true
		case !reason:
			return nil, fmt.Errorf("%s: no reason above %s", name, line)
		default:
			known[line] = true
		}
	}
	return known, in.Err()
}

// order is where a change stands among the others: anywhere, and always there.
func (m mutant) order() string { return fmt.Sprintf("%x", sha256.Sum256([]byte(m.key()))) }
