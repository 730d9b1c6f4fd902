package policy

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/cover"
	"github.com/open-policy-agent/opa/v1/storage/inmem"
	"github.com/open-policy-agent/opa/v1/tester"
)

const (
	testTimeout  = 5 * time.Second  // bounds one test of a policy
	testsTimeout = 30 * time.Second // bounds all of them, when a policy is loaded
)

// RunTests runs the tests of the policy in paths, the built-in one if there are
// none, and its files of cases, and writes a line a test to w; with coverage, also which lines no test
// reaches. It is not ok if a test fails or there is none, and, of the built-in
// policy, if a line is not reached.
func RunTests(ctx context.Context, paths []string, w io.Writer, coverage bool) (ok bool, err error) {
	src, err := readSources(paths, false)
	if err != nil {
		return false, err
	}
	cases := len(src.cases()) > 0
	if cases {
		right, err := reportCases(ctx, src, w)
		if err != nil || src.tested || len(src.tests) == 0 { // of data alone: the built-in rules' own tests are no concern of its author's
			return right, err
		}
		defer func() { ok = ok && right }()
	}
	if len(src.tests) == 0 {
		fmt.Fprintf(w, "no tests in %s: there is no _test.rego file, and no file of cases\n", src.label)
		return false, nil
	}
	results, err := runTests(ctx, src, nil)
	if err != nil {
		return false, err
	}
	failures := 0
	for _, r := range results {
		state := "pass"
		switch {
		case r.Skip:
			state = "skip"
		case !r.Pass():
			state = "FAIL"
			failures++
		}
		fmt.Fprintf(w, "%s  %s.%s  (%s)\n", state, strings.TrimPrefix(r.Package, "data."), r.Name, r.Duration.Round(10*time.Microsecond))
		if state == "FAIL" {
			fmt.Fprintf(w, "      %s\n", Problem{File: r.Location.File, Line: r.Location.Row, Message: describe(r)}.Error())
		}
	}
	fmt.Fprintf(w, "%d tests, %d failed\n", len(results), failures)
	ok = failures == 0
	if coverage {
		whole, err := reportCoverage(ctx, src, w)
		if err != nil {
			return false, err
		}
		ok = ok && (whole || !src.tested)
	}
	return ok, nil
}

// reportCases writes which cases do not hold. A policy that would not load has no answers.
func reportCases(ctx context.Context, src *sources, w io.Writer) (right bool, err error) {
	src.vetted = true // they are what is told here
	g, _, err := build(ctx, src, Options{AllowByDefault: true})
	if err != nil {
		return false, err
	}
	held, failed := 0, 0
	err = runCases(ctx, g, src, func(c testCase, right bool, why string) {
		if right {
			held++
			return
		}
		failed++
		fmt.Fprintf(w, "FAIL  %s\n", c.problem(why).Error())
	})
	fmt.Fprintf(w, "%d cases, %d failed\n", held+failed, failed)
	return failed == 0, err
}

// reportCoverage writes how much of the policy's modules its tests reach.
func reportCoverage(ctx context.Context, src *sources, w io.Writer) (whole bool, err error) {
	c := cover.New()
	if _, err := runTests(ctx, src, c); err != nil {
		return false, err
	}
	p, err := parse(src.modules, capabilities())
	if err != nil {
		return false, err
	}
	report := c.Report(p.modules)
	covered, lines := 0, 0
	modules := src.modules
	if len(src.extra) > 0 {
		modules = src.extra // the built-in rules have tests of their own
	}
	for _, f := range modules {
		file := report.Files[f.name]
		if file == nil {
			continue
		}
		covered += file.CoveredLines
		lines += file.CoveredLines + file.NotCoveredLines
		last := 0
		for _, r := range file.NotCovered {
			if r.Start.Row != last {
				fmt.Fprintf(w, "not reached: %s:%d\n", f.name, r.Start.Row)
			}
			last = r.Start.Row
		}
	}
	percent := 100.0
	if lines > 0 {
		percent = 100 * float64(covered) / float64(lines)
	}
	fmt.Fprintf(w, "coverage: %.1f %% of %d lines\n", percent, lines)
	return covered == lines, nil
}

// runTests runs the tests of src, with the coverage recorded in c if it is not
// nil. Tests see what the policy sees: the same builtins, and the same data.
func runTests(ctx context.Context, src *sources, c *cover.Cover) ([]*tester.Result, error) {
	caps := capabilities()
	p, err := parse(slices.Concat(src.modules, src.tests), caps)
	if err != nil {
		return nil, err
	}
	data, err := readData(src)
	if err != nil {
		return nil, err
	}
	store := inmem.NewFromObject(data)
	txn, err := store.NewTransaction(ctx)
	if err != nil {
		return nil, err
	}
	defer store.Abort(ctx, txn)
	runner := tester.NewRunner().
		SetDefaultRegoVersion(ast.RegoV1).
		SetCompiler(newCompiler(caps).WithEnablePrintStatements(true)).
		SetStore(store).
		SetModules(p.modules).
		CapturePrintOutput(true).
		RaiseBuiltinErrors(true).
		SetTimeout(testTimeout)
	if c != nil {
		runner = runner.SetCoverageQueryTracer(c)
	}
	ch, err := runner.RunTests(ctx, txn)
	if err != nil {
		return nil, err
	}
	var results []*tester.Result
	for r := range ch {
		results = append(results, r)
	}
	return results, ctx.Err()
}

// vetTests runs the tests that come with a policy.
func vetTests(ctx context.Context, src *sources) error {
	if len(src.tests) == 0 {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, testsTimeout)
	defer cancel()
	results, err := runTests(ctx, src, nil)
	if err != nil {
		return fmt.Errorf("run the policy's tests: %w", err)
	}
	var errs []error
	for _, r := range results {
		if !r.Pass() && !r.Skip {
			errs = append(errs, Problem{File: r.Location.File, Line: r.Location.Row, Message: describe(r)})
		}
	}
	return errors.Join(errs...)
}

// describe says how a test ended, in one line.
func describe(r *tester.Result) string {
	if r.Error != nil {
		return fmt.Sprintf("test %s: %v", r.Name, r.Error)
	}
	return strings.TrimSpace(fmt.Sprintf("test %s fails %s", r.Name, r.Output))
}
