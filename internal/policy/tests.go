package policy

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/cover"
	"github.com/open-policy-agent/opa/v1/storage/inmem"
	"github.com/open-policy-agent/opa/v1/tester"
)

// testTimeout bounds one test.
const testTimeout = 5 * time.Second

// runTests runs the tests of src, with the coverage recorded in c if it is not
// nil. Tests see what the policy sees: the same builtins, and the same data.
func runTests(ctx context.Context, src *sources, c *cover.Cover) ([]*tester.Result, error) {
	caps := capabilities()
	p, err := parse(append(append([]file(nil), src.modules...), src.tests...), caps)
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
	compiler := newCompiler(caps).WithEnablePrintStatements(true).WithRewriteTestRules(c == nil)
	runner := tester.NewRunner().
		SetDefaultRegoVersion(ast.RegoV1).
		SetCompiler(compiler).
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

// describe says how a test ended, in one line.
func describe(r *tester.Result) string {
	switch {
	case r.Error != nil:
		return fmt.Sprintf("test %s: %v", r.Name, r.Error)
	case r.Fail:
		return strings.TrimSpace(fmt.Sprintf("test %s fails %s", r.Name, r.Output))
	default:
		return fmt.Sprintf("test %s passes", r.Name)
	}
}
