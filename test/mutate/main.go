// Command mutate asks whether the tests of the decision path hold what they say. It makes single changes to a package
// (a guard that never bites, a condition without one of its halves, a call left out, a yes for a no), runs that
// package's own tests on each, and lists the changes that no test notices: survivors.
//
// A survivor is a missing test, or a change that changes nothing: equivalents.txt lists those of the second kind, each with its
// reason, and is reviewed like code. The exit status is 1 if a survivor is not in it.
//
// All changes to a package are compiled into one test binary, each behind a switch, so that a change costs a run of tests and no
// compilation; and of the package's tests only those run that come by the change (each test is run alone once to
// see which those are), the quick ones first, and those that have noticed a change to the same function. It changes no file: the compiler is given what it should read instead as an overlay. What is only logged
// is left alone: nothing is decided by it. End-to-end tests do not count: what only they notice is a survivor here,
// on purpose. A change under which the tests hang is noticed.
//
// The order of changes depends on what they are and on -seed, so that the first N of them (-sample) are the same from run to run.
package main

import (
	"bufio"
	"context"
	"crypto/sha256"
	"errors"
	"flag"
	"fmt"
	"maps"
	"os"
	"os/signal"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// decisionPath is every package that decides about a caller's request, or about what a decision rests on, from the
// socket on which it comes until it is forwarded and recorded. Small ones first.
var decisionPath = []string{
	"internal/authz/ticket", "internal/authz/obligation", "internal/authz/object", "internal/authz/redact",
	"internal/authz/answer", "internal/engine/principal", "internal/kernel/cgroupname", "internal/fair", "internal/lane", "internal/kernel/unixsocket", "internal/kernel/peercred",
	"internal/kernel/procfs", "internal/kernel/hostpath", "internal/caller/attest", "internal/caller/identity",
	"internal/authz/view", "internal/authz/audit", "internal/authz/plugin", "internal/authz/decide", "internal/authz/gateway",
	"internal/authz/policy/plan", "internal/authz/policy", "internal/engine/operation",
}

// unheld are those that have survivors nobody has looked at yet, but for the files that are heldFiles: -held leaves them out, so
// that a sample fails by what is new.
var unheld = []string{
	"internal/authz/gateway", "internal/authz/policy",
}

// heldFiles are files of unheld packages in which every change has been looked at.
var heldFiles = []string{
	"internal/authz/policy/accident.go", "internal/authz/policy/can.go", "internal/authz/policy/cases.go", "internal/authz/policy/catalogue.go",
	"internal/authz/policy/ceilings.go", "internal/authz/policy/check.go", "internal/authz/policy/claims.go", "internal/authz/policy/codes.go",
	"internal/authz/policy/compat.go", "internal/authz/policy/decision.go", "internal/authz/policy/extra.go", "internal/authz/policy/file_linux.go",
	"internal/authz/policy/kept.go", "internal/authz/policy/load.go", "internal/authz/policy/locked.go", "internal/authz/policy/memory.go",
	"internal/authz/policy/misnamed.go", "internal/authz/policy/model.go", "internal/authz/policy/positions.go", "internal/authz/policy/reads.go",
	"internal/authz/policy/recreate.go", "internal/authz/policy/relevant.go", "internal/authz/policy/sequences.go", "internal/authz/policy/show.go",
	"internal/authz/policy/streams.go", "internal/authz/policy/summary.go", "internal/authz/policy/value.go", "internal/authz/policy/words.go",
	"internal/authz/policy/would.go",
}

// held says whether every change to a file is known to be noticed or to change nothing.
func held(file string) bool {
	return !slices.Contains(unheld, filepath.Dir(file)) || slices.Contains(heldFiles, file)
}

const equivalentsFile = "test/mutate/equivalents.txt"

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	var o options
	packages := flag.String("packages", strings.Join(decisionPath, ","), "`LIST` of packages, separated by commas")
	flag.IntVar(&o.sample, "sample", 0, "test only the first `N` changes; 0: all")
	flag.StringVar(&o.seed, "seed", "", "the order of packages and of changes, by any `WORD`")
	flag.IntVar(&o.most, "most", 0, "test changes of the first `N` packages only; 0: all")
	flag.IntVar(&o.workers, "workers", 2, "changes tested at one time")
	only := flag.String("only", "", "test only changes whose file and report (FILE: KEY) this `REGEXP` matches, those in the list of equivalents too")
	flag.BoolVar(&o.held, "held", false, "only packages and files in which every change is known to be noticed or to change nothing")
	flag.Parse()
	if *only != "" {
		o.only = regexp.MustCompile(*only)
	}
	o.packages = strings.Split(*packages, ",")
	if o.held {
		o.packages = slices.DeleteFunc(o.packages, func(p string) bool {
			return slices.Contains(unheld, p) && !slices.ContainsFunc(heldFiles, func(file string) bool { return filepath.Dir(file) == p })
		})
	}
	survivors, err := o.run(ctx)
	if err != nil {
		fmt.Fprintln(os.Stderr, "mutate:", err)
		os.Exit(2)
	}
	if survivors > 0 {
		os.Exit(1)
	}
}

type options struct {
	packages              []string
	sample, most, workers int
	seed                  string
	only                  *regexp.Regexp
	held                  bool
}

func (o options) run(ctx context.Context) (survivors int, err error) {
	known, err := readEquivalents(equivalentsFile)
	if err != nil {
		return 0, err
	}
	packages := map[string]*instrumented{}
	for _, dir := range o.packages {
		if packages[dir], err = instrument(dir); err != nil {
			return 0, err
		}
	}
	if err := stale(packages, known); err != nil {
		return 0, err
	}
	if o.seed != "" {
		slices.SortFunc(o.packages, func(a, b string) int { return strings.Compare(o.order(a), o.order(b)) })
	}
	if o.most > 0 && o.most < len(o.packages) {
		o.packages = o.packages[:o.most]
	}
	changes := map[string][]change{}
	left := o.sample
	for i, dir := range o.packages {
		c := slices.DeleteFunc(slices.Clone(packages[dir].changes), func(c change) bool {
			switch {
			case o.held && !held(c.file):
				return true
			case o.only != nil:
				return !o.only.MatchString(c.file + ": " + c.key)
			}
			return known[c.key]
		})
		slices.SortFunc(c, func(a, b change) int { return strings.Compare(o.order(a.key), o.order(b.key)) })
		if o.sample > 0 { // as many of one package as of another, and what one has not got is the others'
			c = c[:min(len(c), left/(len(o.packages)-i))]
			left -= len(c)
		}
		changes[dir] = c
	}
	scratch, err := os.MkdirTemp("", "mutate-")
	if err != nil {
		return 0, err
	}
	defer os.RemoveAll(scratch)
	var all, survived int
	for _, dir := range o.packages {
		begin := time.Now()
		found, err := o.try(ctx, packages[dir], changes[dir], scratch)
		if err != nil {
			return 0, err
		}
		all, survived = all+len(changes[dir]), survived+found
		fmt.Printf("%s: %d of %d changes tried in %s, %d survived\n", dir, len(changes[dir]), len(packages[dir].changes), time.Since(begin).Round(time.Second), found)
	}
	fmt.Printf("%d changes tried, %d known to change nothing, %d survived\n", all, len(known), survived)
	return survived, nil
}

// try runs the tests of one package on changes to it, and says which survived.
func (o options) try(ctx context.Context, pkg *instrumented, changes []change, scratch string) (survivors int, err error) {
	if len(changes) == 0 {
		return 0, nil
	}
	suite, err := pkg.build(ctx, scratch)
	if err != nil {
		return 0, err
	}
	if err := suite.trace(ctx, o.workers); err != nil {
		return 0, err
	}
	work := make(chan change)
	var found atomic.Int64
	var group sync.WaitGroup
	for range o.workers {
		group.Go(func() {
			for c := range work {
				if why := suite.survives(ctx, c); why != "" && ctx.Err() == nil {
					found.Add(1)
					fmt.Printf("survived (%s) %s:%d\n%s\n", why, c.file, c.line, c.key)
				}
			}
		})
	}
	for _, c := range changes {
		if ctx.Err() == nil {
			work <- c
		}
	}
	close(work)
	group.Wait()
	return int(found.Load()), context.Cause(ctx)
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

// stale says which equivalents are of code that is no more: the reason was given for another line.
func stale(packages map[string]*instrumented, known map[string]bool) error {
	gone := maps.Clone(known)
	maps.DeleteFunc(gone, func(key string, _ bool) bool { // a list of fewer packages says nothing about the rest
		return !slices.ContainsFunc(slices.Collect(maps.Keys(packages)), func(dir string) bool { return strings.HasPrefix(key, filepath.Base(dir)+".") })
	})
	for _, p := range packages {
		for _, c := range p.changes {
			delete(gone, c.key)
		}
	}
	if len(gone) == 0 {
		return nil
	}
	return errors.New(equivalentsFile + " has what is not in the code:\n" + strings.Join(slices.Sorted(maps.Keys(gone)), "\n"))
}

// order is where something stands among others: anywhere, and for one seed always there.
func (o options) order(key string) string {
	return fmt.Sprintf("%x", sha256.Sum256([]byte(o.seed+"\n"+key)))
}
