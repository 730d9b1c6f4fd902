package policy

import (
	"encoding/json"
	"errors"
	"slices"
	"strings"

	"github.com/open-policy-agent/opa/v1/ast"

	"vitrine/internal/authz/object"
	"vitrine/internal/caller/identity"
)

// field is one value of the input: its place, and how it is taken from an Input.
type field struct {
	section string // "caller", "operation", "request"; "" for the top level
	name    string
	value   func(*Input) value
}

// fields is the whole input, and the only place that says so: what a policy
// sees, what a remembered decision is keyed on and what InputJSON prints.
func fields() []field {
	return slices.Concat(callerFields(), operationFields(), requestFields(), []field{objectsField()}, compatFields())
}

func callerFields() []field {
	caller := func(name string, of func(*identity.Identity) value) field {
		return field{"caller", name, func(in *Input) value { return of(in.caller()) }}
	}
	return []field{
		caller("kind", func(c *identity.Identity) value { return str(c.Kind) }),
		caller("principals", func(c *identity.Identity) value { return strs(c.Principals) }),
		caller("uid", func(c *identity.Identity) value { return numberOrNull(c.UID) }),
		caller("gid", func(c *identity.Identity) value { return numberOrNull(c.GID) }),
		caller("groups", func(c *identity.Identity) value {
			groups := make([]any, len(c.Groups))
			for i, g := range c.Groups {
				groups[i] = number(g)
			}
			return tree(groups)
		}),
		caller("pid", func(c *identity.Identity) value { return tree(number(c.PID)) }),
		caller("user", func(c *identity.Identity) value { return str(c.User) }),
		caller("door", func(c *identity.Identity) value { return str(c.Door) }),
		caller("listener", func(c *identity.Identity) value { return str(c.Listener) }),
		caller("container", func(c *identity.Identity) value { return tree(containerTree(c.Container)) }),
		caller("certificate", func(c *identity.Identity) value { return tree(certificateTree(c.Certificate)) }),
	}
}

func containerTree(c *identity.ContainerInfo) any {
	if c == nil {
		return nil
	}
	return map[string]any{
		"id": c.ID, "name": c.Name, "image": c.Image, "image_id": c.ImageID,
		"labels": orEmpty(c.Labels), "mounts": nonNil(c.Mounts),
	}
}

func certificateTree(c *identity.Certificate) any {
	if c == nil {
		return nil
	}
	return map[string]any{
		"cn": c.CommonName, "o": nonNil(c.Organization), "ou": nonNil(c.OrgUnit),
		"sans": nonNil(c.SANs), "sha256": c.SHA256, "serial": c.Serial,
	}
}

func operationFields() []field {
	operation := func(name string, of func(*Input) value) field { return field{"operation", name, of} }
	return []field{
		operation("id", func(in *Input) value { return str(in.Operation.ID) }),
		operation("resource", func(in *Input) value { return str(in.Operation.Resource) }),
		operation("target", func(in *Input) value { return str(in.Operation.Target) }),
		operation("access", func(in *Input) value { return str(in.Operation.Access) }),
		operation("hazards", func(in *Input) value {
			list := make([]string, len(in.Operation.Hazards))
			for i, h := range in.Operation.Hazards {
				list[i] = string(h)
			}
			return strs(list)
		}),
		operation("hazard_fields", func(in *Input) value { return tree(orEmpty(in.Operation.HazardFields)) }),
		operation("host_paths", func(in *Input) value { return strs(in.Operation.HostPath) }),
		operation("unresolved", func(in *Input) value { return strs(in.Unresolved) }),
		operation("substituted", func(in *Input) value { return strs(in.Operation.SubstitutedIn) }),
		operation("replaced", func(in *Input) value { return strs(in.Operation.Replaced) }),
		operation("mints", func(in *Input) value { return strs(in.Operation.Mints) }),
		operation("enters", func(in *Input) value { return strs(in.Enters) }),
		operation("own_exec", func(in *Input) value { return tree(in.OwnExec) }),
		operation("unknown", func(in *Input) value { return strs(in.Operation.Unknown) }),
		operation("params", func(in *Input) value { return tree(orEmpty(in.Operation.Params)) }),
		operation("version", func(in *Input) value { return str(in.Operation.Version) }),
	}
}

func requestFields() []field {
	request := func(name string, of func(*Input) value) field { return field{"request", name, of} }
	return []field{
		request("method", func(in *Input) value { return str(in.Operation.Method) }),
		request("uri", func(in *Input) value { return str(in.Operation.URI) }),
		request("path", func(in *Input) value { return str(in.Operation.Path) }),
		request("query", func(in *Input) value { return tree(orEmpty(map[string][]string(in.Operation.Query))) }),
		request("headers", func(in *Input) value { return tree(headers(in)) }),
		request("body", func(in *Input) value { return tree(in.Operation.Body) }),
		request("body_state", func(in *Input) value { return str(in.Operation.BodyState) }),
	}
}

const objectsName = "objects"

// objectsField is what the request names. It is resolved when it is read.
func objectsField() field {
	return field{"", objectsName, func(in *Input) value {
		if in.Objects == nil {
			return tree(errNoObjects) // which is no value: the decision fails
		}
		return tree(in.Objects())
	}}
}

var errNoObjects = errors.New("nobody can say what the request names")

func objectTrees(list []object.Object) []any {
	out := make([]any, len(list))
	for i, o := range list {
		var known any
		if o.Known != nil {
			known = *o.Known
		}
		out[i] = map[string]any{
			"role": string(o.Role), "kind": string(o.Kind), "ref": o.Ref, "known": known, "why": o.Why,
			"id": o.ID, "name": o.Name, "names": nonNil(o.Names), "labels": orEmpty(o.Labels), "image": o.Image, "networks": nonNil(o.Networks),
		}
	}
	return out
}

// headers are the request's, several values of one joined as HTTP allows.
func headers(in *Input) map[string]string {
	out := make(map[string]string, len(in.Operation.Headers))
	for name, values := range in.Operation.Headers {
		out[name] = strings.Join(values, ", ")
	}
	return out
}

// caller is never nil: without one the caller is unknown.
func (in *Input) caller() *identity.Identity {
	if in.Caller == nil {
		return &identity.Identity{Kind: identity.Unknown}
	}
	return in.Caller
}

// InputJSON is the input as a policy sees it, without the fields that exist only
// for policies written for opa-docker-authz.
func InputJSON(in *Input) ([]byte, error) {
	sections := map[string]map[string]any{}
	out := map[string]any{objectsName: []any{}}
	if in.Objects != nil {
		out[objectsName] = objectTrees(in.Objects())
	}
	for _, f := range fields() {
		if f.section == "" {
			continue
		}
		if sections[f.section] == nil {
			sections[f.section] = map[string]any{}
			out[f.section] = sections[f.section]
		}
		sections[f.section][f.name] = f.value(in).native()
	}
	return json.Marshal(out)
}

// projection is the part of the input that a policy can read.
type projection []projected

type projected struct {
	field
	at    *ast.Term  // the section
	key   *ast.Term  // the name
	paths [][]string // below the field; none: all of it
}

// project finds every reference to the input in the rules, reachable or not.
// The compiler has resolved imports and local names by then, so that input is
// read through references alone; one that is not constant counts for all below
// its constant part, and the bare input for everything.
func project(rules []*ast.Rule) projection {
	refs := inputRefs(rules)
	var out projection
	for _, f := range fields() {
		if p, read := f.readBy(refs); read {
			out = append(out, p)
		}
	}
	return out
}

// inputRefs are the constant parts of all references to the input, without "input" itself.
func inputRefs(rules []*ast.Rule) (refs [][]string) {
	var collect func(*ast.Term) bool
	collect = func(t *ast.Term) bool {
		switch v := t.Value.(type) {
		case ast.Ref:
			if v[0].Equal(ast.InputRootDocument) {
				refs = append(refs, constantPath(v[1:]))
				v = v[1:]
			}
			for _, part := range v {
				ast.WalkTerms(part, collect)
			}
			return true
		case ast.Var:
			if t.Equal(ast.InputRootDocument) {
				refs = append(refs, nil)
			}
		}
		return false
	}
	for _, rule := range rules {
		ast.WalkTerms(rule, collect)
	}
	return refs
}

func allRules(c *ast.Compiler) (all []*ast.Rule) {
	for _, m := range c.Modules {
		all = append(all, m.Rules...)
	}
	return all
}

// reached are the rules of a name, those below it (where.team := "blue"), and those that they depend on.
func reached(c *ast.Compiler, ref string) []*ast.Rule { return reachedFrom(c, ast.MustParseRef(ref)) }

func reachedFrom(c *ast.Compiler, ref ast.Ref) []*ast.Rule {
	all := c.GetRulesWithPrefix(ref)
	for i := 0; i < len(all); i++ {
		for next := range c.Graph.Dependencies(all[i]) {
			if r, ok := next.(*ast.Rule); ok && !slices.Contains(all, r) {
				all = append(all, r)
			}
		}
	}
	return all
}

func constantPath(ref ast.Ref) []string {
	var path []string
	for _, t := range ref {
		s, ok := t.Value.(ast.String)
		if !ok {
			break
		}
		path = append(path, string(s))
	}
	return path
}

// readBy says whether one of refs reads the field, and which parts of it.
func (f field) readBy(refs [][]string) (projected, bool) {
	at := []string{f.section, f.name}
	if f.section == "" {
		at = at[1:]
	}
	out := projected{field: f, at: ast.StringTerm(f.section), key: ast.StringTerm(f.name)}
	read, whole := false, false
	for _, ref := range refs {
		n := min(len(ref), len(at))
		if !slices.Equal(ref[:n], at[:n]) {
			continue
		}
		read = true
		if len(ref) <= len(at) {
			whole = true
		} else {
			out.paths = append(out.paths, ref[len(at):])
		}
	}
	if whole {
		out.paths = nil
	}
	slices.SortFunc(out.paths, slices.Compare)
	out.paths = slices.CompactFunc(out.paths, slices.Equal)
	return out, read
}

// of are the fields that are in another projection, too.
func (p projection) of(other projection) projection {
	return slices.DeleteFunc(slices.Clone(p), func(f projected) bool {
		return !slices.ContainsFunc(other, func(o projected) bool { return o.section == f.section && o.name == f.name })
	})
}

func (p projection) objects() bool {
	return slices.ContainsFunc(p, func(f projected) bool { return f.section == "" && f.name == objectsName })
}

// places are where the fields are, below "input".
func (p projection) places() (out [][]string) {
	for _, f := range p {
		if f.section == "" {
			out = append(out, []string{f.name})
		} else {
			out = append(out, []string{f.section, f.name})
		}
	}
	return out
}

// given is an input as rules are given it.
type given struct {
	projection projection
	fields     []*ast.Term // of the projection; nil: undefined
	whole      *ast.Term   // nil: no more than the fields
}

// give is the part of the input that the policy can read, for Rego.
func (p projection) give(in *Input) (_ *given, err error) {
	g := &given{projection: p, fields: make([]*ast.Term, len(p))}
	for i, f := range p {
		if g.fields[i], err = f.value(in).term(); err != nil {
			return nil, err
		}
	}
	return g, nil
}

// giveWhole is an input that is there already.
func (p projection) giveWhole(input *ast.Term) *given {
	g := &given{projection: p, fields: make([]*ast.Term, len(p)), whole: input}
	for i, f := range p {
		at := input
		if f.section != "" {
			at = at.Get(f.at)
		}
		if at != nil {
			g.fields[i] = at.Get(f.key)
		}
	}
	return g
}

// term is all of it.
func (g *given) term() *ast.Term {
	if g.whole != nil {
		return g.whole
	}
	var top, section [][2]*ast.Term
	for i, f := range g.projection {
		pair := [2]*ast.Term{f.key, g.fields[i]}
		if f.section == "" {
			top = append(top, pair)
			continue
		}
		section = append(section, pair)
		if i+1 == len(g.projection) || g.projection[i+1].section != f.section {
			top = append(top, [2]*ast.Term{f.at, ast.ObjectTerm(section...)})
			section = nil
		}
	}
	return ast.ObjectTerm(top...)
}

// appendKey appends what a remembered decision is keyed on.
func (p projection) appendKey(b []byte, in *Input) ([]byte, bool) {
	for i := range p {
		var ok bool
		if b, ok = p[i].value(in).appendKey(b, p[i].paths); !ok || len(b) > maxKey {
			return b, false
		}
	}
	return b, true
}

func orEmpty[M ~map[K]V, K comparable, V any](m M) M {
	if m == nil {
		return M{}
	}
	return m
}

func nonNil(list []string) []string {
	if list == nil {
		return []string{}
	}
	return list
}
