package policy

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/storage"
	"github.com/open-policy-agent/opa/v1/topdown"
)

// build makes a generation of src and vets it. The error lists every problem
// found; the warnings are for a policy that loads.
func build(ctx context.Context, src *sources, opts Options) (*generation, []Problem, error) {
	c, warnings, errRules := src.rules()
	data, terms, errData := readTerms(src)
	if err := errors.Join(errRules, errData); err != nil {
		return nil, nil, err
	}
	v := &vetted{compiler: c, data: data, terms: terms, builtin: src.builtin, extra: len(src.extra) > 0, revision: src.revision, positions: opts.Positions, once: opts.Once || opts.Positions}
	g, err := v.generation(ctx, v.momentAt(opts.now(), opts.Lent))
	if err != nil {
		return nil, nil, err
	}
	if err := dataConflicts(ctx, g); err != nil {
		return nil, nil, err
	}
	found, err := selfTest(ctx, g, opts.AllowByDefault)
	if err != nil {
		return nil, nil, err
	}
	extra, err := vetExtra(ctx, g, src)
	if err != nil {
		return nil, nil, err
	}
	found = append(append(found, extra...), misnamed(src)...)
	if opts.NoGateway && src.builtin {
		found = append(found, byGateway(data)...)
	}
	if !src.builtin {
		found = append(found, lockedOut(ctx, g, data)...)
		found = append(found, checkRedaction(data)...)
	}
	if !src.tested {
		if err := vetTests(ctx, src); err != nil {
			return nil, nil, err
		}
	}
	if !src.vetted {
		if err := errors.Join(vetCases(ctx, g, src), vetInvariants(ctx, g, src)); err != nil {
			return nil, nil, err
		}
	}
	return g, append(warnings, found...), nil
}

// dataConflicts refuses data that hides behind a rule's name.
func dataConflicts(ctx context.Context, g *generation) error {
	exists := storage.NonEmpty(ctx, g.store, g.txn)
	if errs := ast.CheckPathConflicts(g.vetted.compiler, exists); len(errs) > 0 {
		return errs
	}
	return nil
}

// probe is an input that any policy must have an answer to.
type probe struct {
	name  string
	input string
}

func probes() []probe {
	const operation = `"operation": {"id": "%s", "resource": "containers", "target": "", "access": "%s", "hazards": [],
		"host_paths": [], "mints": [], "enters": [], "unknown": [], "params": {}, "version": ""}`
	const request = `"request": {"method": "%s", "uri": "%s", "path": "%s", "query": {}, "headers": {}, "body": null, "body_state": "%s"}`
	const nobody = `"caller": {"kind": "unknown", "principals": [], "uid": null, "gid": null, "groups": [], "pid": 0,
		"user": "", "door": "gateway", "listener": "", "container": null, "certificate": null}`
	list := fmt.Sprintf(operation, "ContainerList", "list")
	get := fmt.Sprintf(request, "GET", "/containers/json", "/containers/json", "none")
	return []probe{
		{"an empty input", `{}`},
		{"no caller", `{"caller": null, ` + list + `, ` + get + `}`},
		{"an unknown caller", `{` + nobody + `, ` + list + `, ` + get + `}`},
		{"an unknown operation", `{` + nobody + `, ` + fmt.Sprintf(operation, "Unheard", "admin") + `, ` +
			fmt.Sprintf(request, "POST", "/unheard", "/unheard", "none") + `}`},
		{"a body that is missing", `{` + nobody + `, ` + fmt.Sprintf(operation, "ContainerCreate", "write") + `, ` +
			fmt.Sprintf(request, "POST", "/containers/create", "/containers/create", "withheld") + `}`},
	}
}

// selfTest asks the policy what any policy must have an answer to. The answer may
// allow, except for an empty input: a policy that allows that allows whatever its
// author forgot to think of.
func selfTest(ctx context.Context, g *generation, allowByDefault bool) ([]Problem, error) {
	var errs []error
	var warnings []Problem
	for _, p := range probes() {
		value, err := ast.ValueFromReader(strings.NewReader(p.input))
		if err != nil {
			return nil, fmt.Errorf("self-test with %s: %w", p.name, err)
		}
		input := g.asks.giveWhole(ast.NewTerm(value))
		d, err := g.bounded(ctx, func(cancel topdown.Cancel) (Decision, error) { return g.evaluate(ctx, input, cancel) })
		switch {
		case errors.Is(err, errUndefined): // it denies, each time anew: what is undefined is not remembered
			warnings = append(warnings, Problem{Message: "allow is undefined for " + p.name + ", which denies; say so: add `default allow := false`", Warning: true})
		case err != nil:
			errs = append(errs, fmt.Errorf("self-test with %s: %w", p.name, err))
		case d.Allow && p.input == "{}" && !allowByDefault:
			errs = append(errs, errors.New("self-test: the policy allows an empty input; "+
				"deny unless something is proven, or set allow_by_default: true"))
		}
	}
	return warnings, errors.Join(errs...)
}
