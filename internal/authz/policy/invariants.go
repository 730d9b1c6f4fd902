package policy

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"path"
	"slices"
	"strings"

	yaml "go.yaml.in/yaml/v3"

	"vitrine/internal/engine/operation"
	"vitrine/internal/spelling"
)

const invariantsFile = "invariants.yaml"

// invariant is what must hold of a policy for each request: who may do an operation with a hazard.
type invariant struct {
	Only []string `yaml:"only"` // roles, and principals; none: nobody
	May  []string `yaml:"may"`  // operations
	With []string `yaml:"with"` // hazards, each by itself; none: whatever the request carries
	line int
}

// parseInvariants reads a list of invariants. The error names each that is none, with its line.
func parseInvariants(f file) (list []invariant, err error) {
	problem := func(line int, format string, args ...any) error {
		return Problem{File: f.name, Line: line, Message: printable(fmt.Sprintf(format, args...))}
	}
	var nodes []yaml.Node
	dec := yaml.NewDecoder(bytes.NewReader(f.raw))
	if err := dec.Decode(&nodes); err != nil || len(nodes) == 0 {
		return nil, problem(0, "must be a list of {only: [ROLE], may: [OPERATION], with: [HAZARD]}, and is none: %v", err)
	}
	if err := dec.Decode(new(yaml.Node)); !errors.Is(err, io.EOF) {
		return nil, problem(0, "holds more than one document: put all into one, without a line ---")
	}
	var errs []error
	for i := range nodes {
		in := invariant{line: nodes[i].Line}
		if err := decodeInvariant(&nodes[i], &in); err != nil {
			errs = append(errs, problem(in.line, "%v; an invariant is {only: [ROLE], may: [OPERATION], with: [HAZARD]}", err))
			continue
		}
		for j, id := range in.May {
			in.May[j] = operation.Alias(id)
			if !slices.Contains(operationIDs(), in.May[j]) {
				errs = append(errs, problem(in.line, "there is no operation %q%s", id, spelling.Hint(id, operationIDs())))
			}
		}
		for _, h := range in.With {
			if !slices.Contains(hazards(), h) {
				errs = append(errs, problem(in.line, "there is no hazard %q%s", h, spelling.Hint(h, hazards())))
			}
		}
		list = append(list, in)
	}
	return list, errors.Join(errs...)
}

// decodeInvariant takes no key that it does not know, and none twice or of another type.
func decodeInvariant(node *yaml.Node, into *invariant) error {
	if node.Kind != yaml.MappingNode {
		return errors.New("it is no mapping")
	}
	keys := map[string]bool{}
	for i := 0; i < len(node.Content); i += 2 {
		keys[node.Content[i].Value] = true
	}
	for key := range keys {
		if !slices.Contains([]string{"only", "may", "with"}, key) {
			return fmt.Errorf("there is no key %q", key)
		}
	}
	if !keys["only"] || !keys["may"] {
		return errors.New("it needs only (an empty list is nobody) and may")
	}
	if err := node.Decode(into); err != nil {
		return err
	}
	if len(into.May) == 0 {
		return errors.New("may names no operation")
	}
	if slices.Contains(into.May, "*") {
		if len(into.May) > 1 {
			return errors.New(`"*" stands alone`)
		}
		into.May = operationIDs()
	}
	return nil
}

// invariants are the files of them among the claims.
func (s *sources) invariants() (files []file) {
	for _, f := range s.claims {
		if path.Base(f.name) == invariantsFile {
			files = append(files, f)
		}
	}
	return files
}

// vetInvariants refuses a policy of which an invariant does not hold, or of which it cannot be told.
func vetInvariants(ctx context.Context, g *generation, src *sources) error {
	var errs []error
	var p *Prover
	ctx, cancel := context.WithTimeout(ctx, testsTimeout)
	defer cancel()
	for _, f := range src.invariants() {
		list, err := parseInvariants(f)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		if p == nil {
			if p, err = newProver(ctx, g, src); err != nil {
				return fmt.Errorf("prove the invariants: %w", err)
			}
		}
		for _, in := range list {
			if why := p.breaks(ctx, in, src.label); why != "" {
				errs = append(errs, Problem{File: f.name, Line: in.line, Message: why})
			}
		}
	}
	return errors.Join(errs...)
}

// breaks says why an invariant does not hold, or that it is not decided, "" if it is proved.
func (p *Prover) breaks(ctx context.Context, in invariant, label string) string {
	with := []operation.Hazard{""}
	if len(in.With) > 0 {
		with = with[:0]
		for _, h := range in.With {
			with = append(with, operation.Hazard(h))
		}
	}
	if p.model != nil {
		for _, who := range in.Only {
			if !slices.Contains(p.roles, who) && !strings.Contains(who, ":") && who != "local" {
				return fmt.Sprintf("there is no role %s%s", who, spelling.Hint(who, p.roles))
			}
		}
	}
	for _, id := range in.May {
		for _, h := range with {
			if ctx.Err() != nil {
				return fmt.Sprintf("not decided within %s, so the policy is not taken", testsTimeout)
			}
			if why := p.breaksFor(ctx, in, id, h, label); why != "" {
				return why
			}
		}
	}
	return ""
}

func (p *Prover) breaksFor(ctx context.Context, in invariant, id string, h operation.Hazard, label string) string {
	what := id
	if h != "" {
		what += " with hazard " + string(h)
	}
	only := strings.Join(in.Only, ", ")
	if only == "" {
		only = "nobody"
	}
	f, err := p.WhoCan(ctx, id, h)
	if err != nil {
		return err.Error()
	}
	outside := func(holding Holding) bool {
		return !slices.Contains(in.Only, holding.Role) &&
			!slices.ContainsFunc(holding.Principals, func(s string) bool { return slices.Contains(in.Only, s) })
	}
	var paths []string
	if label != builtinLabel {
		paths = strings.Fields(label)
	}
	for _, w := range f.Can {
		if outside(w.Holding) && (p.model != nil || !p.isAdmin(ctx, w, in.Only)) {
			return fmt.Sprintf("only %s may %s, but %s can: %s", only, what, strings.Join(w.As, " and "), w.Command(paths))
		}
	}
	if p.model == nil {
		return p.leftOver(ctx, f, in.Only, fmt.Sprintf("only %s may %s: not decided, so the policy is not taken", only, what))
	}
	for _, holding := range f.open {
		if outside(holding) {
			return fmt.Sprintf("only %s may %s: not decided for %s (%s), so the policy is not taken; the rules do not deny it, and no example of the catalogue shows it",
				only, what, holding.Role, holding.At)
		}
	}
	for _, role := range f.lendable {
		if !slices.Contains(in.Only, role) {
			return fmt.Sprintf("only %s may %s, but role %s, which can be lent, allows it: name it in only", only, what, role)
		}
	}
	return ""
}

// isAdmin: under rules of the operator's own, admin in only is whom the rule admin holds for.
func (p *Prover) isAdmin(ctx context.Context, w Witness, only []string) bool {
	if !slices.Contains(only, adminRole) {
		return false
	}
	op, err := operation.Parse(operation.ExampleRequest(w.Method, w.URI, w.Body))
	if err != nil {
		return false
	}
	d := p.g.decide(ctx, &Input{Caller: callerNamed(w.As), Operation: op, Enters: entersNamed(op), Objects: objectsNamed(op)})
	return d.Admin
}

// leftOver says what is left to allow an operation to others than only, under rules of the operator's own: "" for nothing.
func (p *Prover) leftOver(ctx context.Context, f Finding, only []string, what string) string {
	if f.State == Proved {
		return ""
	}
	var but strings.Builder
	for _, who := range only {
		if who != adminRole {
			fmt.Fprintf(&but, "; not %q in input.caller.principals", who)
		} else if p.has(adminOfRego) {
			but.WriteString("; not data.docker.authz.admin")
		}
	}
	conditions, err := p.left(ctx, f.Operation, but.String())
	switch {
	case err != nil:
		return what + ": " + err.Error()
	case len(conditions) > 0:
		return printable(what + ": it is left that whoever " + conditions[0].String())
	}
	return ""
}
