package policy

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"vitrine/internal/authz/object"
	"vitrine/internal/authz/obligation"
	"vitrine/internal/authz/view"
	"vitrine/internal/caller/identity"
	"vitrine/internal/engine/operation"
	"vitrine/internal/engine/principal"
)

const casesSuffix = ".cases"

// testCase is one line of a file of cases: who asks what, and whether it is allowed.
type testCase struct {
	file      string
	line      int
	allow     bool
	who       []string
	method    string
	uri, body string
	told      object.Told // what there is; nil: whatever a request names
}

// parseCases reads lines of `allow|deny WHO METHOD URI [BODY]`, where WHO is principals joined by commas and BODY is
// JSON, and of `object KIND:NAME[,…]`, which hold for the cases below them; of lines that are empty or begin with # it takes no notice. The error lists each line that is none.
func parseCases(f file) (cases []testCase, err error) {
	var errs []error
	var told object.Told
	n := 0
	for line := range strings.Lines(string(f.raw)) {
		n++
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		if text, is := strings.CutPrefix(line, "object "); is {
			o, err := object.ParseTold(strings.TrimSpace(text))
			if err != nil {
				errs = append(errs, Problem{File: f.name, Line: n, Message: "object: " + err.Error()})
			}
			told = append(slices.Clip(told), o)
			continue
		}
		c, why := parseCase(line)
		if why != "" {
			errs = append(errs, Problem{File: f.name, Line: n, Message: why + "; a case is: allow|deny PRINCIPAL[,PRINCIPAL…] METHOD URI [BODY]"})
			continue
		}
		c.file, c.line, c.told = f.name, n, told
		cases = append(cases, c)
	}
	if len(cases)+len(errs) == 0 {
		errs = append(errs, Problem{File: f.name, Message: "holds no case: write one, or take the file away"})
	}
	return cases, errors.Join(errs...)
}

func parseCase(line string) (c testCase, why string) {
	var words [4]string
	for i := range words {
		word, rest := line, ""
		if at := strings.IndexAny(line, " \t"); at >= 0 {
			word, rest = line[:at], strings.TrimLeft(line[at:], " \t")
		}
		words[i], line = word, rest
	}
	c = testCase{allow: words[0] == "allow", who: strings.Split(words[1], ","), method: words[2], uri: words[3], body: line}
	switch {
	case words[0] != "allow" && words[0] != "deny":
		return c, fmt.Sprintf("%.40q is neither allow nor deny", words[0])
	case words[3] == "":
		return c, "a word is missing"
	case !strings.HasPrefix(c.uri, "/"):
		return c, fmt.Sprintf("%.40q is no path of a request: it begins with /", c.uri)
	case c.method != strings.ToUpper(c.method):
		return c, fmt.Sprintf("%.40q is no method, such as GET or POST", c.method)
	}
	for _, p := range c.who {
		if _, err := principal.Parse(p); err != nil {
			return c, err.Error()
		}
	}
	return c, ""
}

// decide asks a policy as the gateway would, without an Engine: what a request names is there, and is what it is called, unless the
// cases tell what there is. So is a caller answered that holds a role in mode audit: what is denied is lifted. why says what came of it.
func (c *testCase) decide(ctx context.Context, g *generation) (allowed bool, why string) {
	op, err := operation.Parse(operation.ExampleRequest(c.method, c.uri, c.body))
	if err != nil {
		return false, err.Error()
	}
	in := &Input{Caller: callerNamed(c.who), Operation: op, Enters: entersNamed(op), Objects: objectsNamed(op)}
	if c.told != nil {
		in.Objects = func() []object.Object { return c.told.Objects(ctx, op) }
	}
	d := g.decide(ctx, in)
	code, why := no(&d, in), strings.Join(d.Reasons, "; ")
	if code == "" && c.told != nil && len(d.Where) > 0 {
		code, why = c.outside(ctx, op, &d)
	}
	if code == "" {
		return true, why
	}
	why = strings.TrimSpace(why + " [" + code + "]")
	if lifted(&d, in) {
		return true, why + ", and lifted, as a role of the caller is in mode audit"
	}
	return false, why
}

// outside says why a request is about something that its caller does not see; no code if it is not.
func (c *testCase) outside(ctx context.Context, op *operation.Operation, d *Decision) (code, why string) {
	plan, denial := view.New(d.Where, d.Shared, d.ImageNames).Limit(ctx, op, c.told.Objects(ctx, op), c.told)
	switch {
	case denial != nil:
		return denial.Code, denial.Reason
	case slices.Contains(plan.Hidden, op.Target):
		return "view", op.Target + " is not there for the caller"
	}
	return "", strings.Join(d.Reasons, "; ")
}

// callerNamed is a caller at the gateway with these principals.
func callerNamed(principals []string) *identity.Identity {
	id := &identity.Identity{Kind: identity.KindOf(principals), Principals: principals, Groups: []uint32{}, Door: string(obligation.Gateway)}
	for _, s := range principals {
		if cn, is := strings.CutPrefix(s, principal.TLS.With("")); is {
			id.Certificate, id.User = &identity.Certificate{CommonName: cn}, cn
		}
	}
	return id
}

// objectsNamed are what an operation names: each is there, and is what it is called.
func objectsNamed(op *operation.Operation) func() []object.Object {
	return func() (all []object.Object) {
		for _, o := range op.Objects() {
			known := true
			all = append(all, object.Object{Role: o.Role, Kind: o.Kind, Ref: o.Ref, Known: &known, ID: o.Ref, Name: o.Ref, Names: []string{o.Ref}})
		}
		return all
	}
}

// entersNamed are the principals of the containers that an operation enters, as far as their names say them.
func entersNamed(op *operation.Operation) (principals []string) {
	for _, ref := range op.Enters {
		if ref == "*" || strings.HasPrefix(ref, "exec:") {
			return []string{"*"}
		}
		principals = append(principals, principal.Container.With(ref))
	}
	slices.Sort(principals)
	return principals
}

// runCases decides the cases of a policy, and calls tell for each. The error is of the files.
func runCases(ctx context.Context, g *generation, src *sources, tell func(c testCase, right bool, why string)) error {
	var errs []error
	for _, f := range src.cases() {
		cases, err := parseCases(f)
		errs = append(errs, err)
		for _, c := range cases {
			if ctx.Err() != nil {
				return errors.Join(append(errs, fmt.Errorf("cases: not decided within %s", testsTimeout))...)
			}
			allowed, why := c.decide(ctx, g)
			tell(c, allowed == c.allow, why)
		}
	}
	return errors.Join(errs...)
}

// vetCases refuses a policy whose cases fail.
func vetCases(ctx context.Context, g *generation, src *sources) error {
	ctx, cancel := context.WithTimeout(ctx, testsTimeout)
	defer cancel()
	var errs []error
	err := runCases(ctx, g, src, func(c testCase, right bool, why string) {
		if !right {
			errs = append(errs, c.problem(why))
		}
	})
	return errors.Join(append(errs, err)...)
}

func (c *testCase) problem(why string) Problem {
	want, is := "allow", "denied"
	if !c.allow {
		want, is = "deny", "allowed"
	}
	return Problem{File: c.file, Line: c.line, Message: printable(fmt.Sprintf("%s %s by %s is %s, and the case says %s: %s",
		c.method, c.uri, strings.Join(c.who, ","), is, want, why))}
}

// cases are the files of cases among the claims.
func (s *sources) cases() (files []file) {
	for _, f := range s.claims {
		if strings.HasSuffix(f.name, casesSuffix) {
			files = append(files, f)
		}
	}
	return files
}
