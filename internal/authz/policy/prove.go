package policy

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"vitrine/internal/authz/obligation"
	"vitrine/internal/engine/operation"
	"vitrine/internal/engine/principal"
)

// Prover says who can do an operation, of a policy: with a proof that nobody else can, with a request that shows that
// somebody can, or that it is not decided. It never guesses.
//
// Of the built-in rules it asks the rules themselves, for each role by itself, about the least request that has the hazard:
// no paths, nothing that is made or entered, no other hazard but what the operation has in any case. More of these only ever takes away, and so
// do an operator's extra rules, which are left out; a test holds the rules to that. So a role that
// is denied the least request is denied each one. A role that is allowed it may still be denied all that there are, so it is only said to
// be able to when the whole policy allows one of the catalogue's examples to an entry of its binding.
//
// Of other rules OPA evaluates what is known, the operation, and leaves what is not: if nothing is left, nobody can.
type Prover struct {
	g     *generation
	least *generation // each role bound to a principal of its own, without extra rules; nil for rules of the operator's own
	model *Model
	roles []string
}

// NewProver loads the policy of opts. The error says why it does not load.
func NewProver(ctx context.Context, opts Options) (*Prover, error) {
	src, err := readSources(opts.Paths, opts.BuiltinIfAbsent)
	if err != nil {
		return nil, err
	}
	src.vetted, opts.Positions = true, false // its claims are what is asked here
	g, _, err := build(ctx, src, opts)
	if err != nil {
		return nil, err
	}
	return newProver(ctx, g, src)
}

func newProver(ctx context.Context, g *generation, src *sources) (*Prover, error) {
	p := &Prover{g: g}
	if !src.builtin {
		return p, nil
	}
	var err error
	if p.model, err = src.model(time.Now()); err != nil {
		return nil, err
	}
	p.roles = p.model.Roles()
	own, err := builtinRules()
	if err != nil {
		return nil, err
	}
	data, bindings := maps.Clone(g.vetted.data), map[string]any{}
	for i, role := range p.roles {
		bindings[role] = []any{probeOf(i)}
	}
	data["bindings"] = bindings
	least := &vetted{compiler: own, data: data, builtin: true, revision: g.revision}
	p.least, err = least.generation(ctx, moment{})
	return p, err
}

// probeOf is a principal that nobody has.
func probeOf(i int) string { return principal.TLSSHA256.With(fmt.Sprintf("proof-%d", i)) }

// State is how far a question is answered.
type State string

// The states.
const (
	Proved     State = "proved"      // those who are named can, and nobody else
	NotDecided State = "not decided" // there may be others
)

// Finding is who can do an operation with a hazard.
type Finding struct {
	Operation string           `json:"operation"`
	Hazard    operation.Hazard `json:"hazard,omitempty"`
	State     State            `json:"state"`
	Can       []Witness        `json:"can"`            // with a request that shows it
	Open      []string         `json:"open,omitempty"` // what is not decided
	open      []Holding        // of whom it is not decided
	lendable  []string         // roles that may be lent, to anybody, whoever holds them now
}

// Witness is somebody who can, and the request that shows it.
type Witness struct {
	Holding
	As      []string `json:"as"` // principals that were enough
	Method  string   `json:"method"`
	URI     string   `json:"uri"`
	Body    string   `json:"body,omitempty"`
	Objects []string `json:"objects,omitempty"`  // what the request names, as eval's --object
	OwnExec bool     `json:"own_exec,omitempty"` // on an exec that it has made itself, of which eval knows nothing
}

// WhoCan answers for one operation, with one hazard or, if that is "", whatever it carries. The error says that there is
// no such operation.
func (p *Prover) WhoCan(ctx context.Context, id string, h operation.Hazard) (Finding, error) {
	id = operation.Alias(id)
	examples := operation.Examples()[id]
	if len(examples) == 0 {
		return Finding{}, fmt.Errorf("there is no operation %q: authz-plugin operations lists them", id)
	}
	f := Finding{Operation: id, Hazard: h, State: Proved, Can: []Witness{}}
	if h != "" && !slices.Contains(operation.MayHave(id), h) {
		return f, nil // no request of it has the hazard
	}
	if p.least == nil {
		p.partly(ctx, &f)
		return f, nil
	}
	roles, _ := p.model.data["roles"].(map[string]any)
	able := p.able(ctx, id, h)
	for _, role := range able {
		for _, holding := range p.model.Holdings() {
			if holding.Role != role {
				continue
			}
			if w := p.witness(ctx, holding, p.named(role, holding.Principals), id, h); w != nil {
				f.Can = append(f.Can, *w)
				continue
			}
			f.open = append(f.open, holding)
			f.Open = append(f.Open, fmt.Sprintf("%s, by role %s (%s): the rules may allow it, and no example of the catalogue shows it",
				strings.Join(holding.Principals, " and "), role, holding.At))
		}
		if _, err := lendable(roles, role); err == nil {
			f.lendable = append(f.lendable, role)
			f.Open = append(f.Open, fmt.Sprintf("role %s, which may be lent (grant.max): whom it is lent, it may allow it", role))
		}
	}
	if len(f.open)+len(f.lendable) > 0 {
		f.State = NotDecided
	}
	return f, nil
}

// able are the roles that the rules do not deny the least request of an operation with a hazard.
func (p *Prover) able(ctx context.Context, id string, h operation.Hazard) (roles []string) {
	unmet := map[string]bool{}
	for i, role := range p.roles {
		met := false
		has := h
		if p.model.role(role)["recreate"] != nil && h != operation.HazardUnknownInput && (id == "ContainerCreate" || id == "NetworkConnect") {
			has = "" // what the container before had is no hazard of the one that is made in its place
		}
		for _, in := range leastRequests(id, has) {
			in.Caller = callerNamed(p.named(role, []string{probeOf(i)}))
			d := p.least.decide(ctx, in)
			code := no(&d, in)
			if code == "" || d.Failed || lifted(&d, in) {
				met = true
			} else if code == "obligation" {
				unmet[role] = true
			}
		}
		if met || unmet[role] {
			unmet[role] = !met
			roles = append(roles, role)
		}
	}
	// What one role blanks, another may show: a demand that no door meets keeps out only whom nobody else helps.
	others := slices.DeleteFunc(slices.Clone(roles), func(r string) bool { return r == adminRole })
	if len(others) == 1 && unmet[others[0]] {
		return slices.DeleteFunc(roles, func(r string) bool { return r == others[0] })
	}
	return roles
}

// named adds the name that a role asks of its holders: each container, or user, has its own things.
func (p *Prover) named(role string, principals []string) []string {
	kind := map[any]principal.Kind{"container": principal.Container, "user": principal.Unix}[p.model.role(role)["own"]]
	if kind == "" || slices.ContainsFunc(principals, func(s string) bool { return principal.Split(s).Kind == kind }) {
		return principals
	}
	return append(slices.Clone(principals), kind.With("somebody"))
}

// leastRequests have the hazard and what the operation has in any case, and nothing else, one for each class that the
// operation can be of, and of what follows an exec also as on an exec of one's own.
func leastRequests(id string, h operation.Hazard) (all []*Input) {
	seen := map[operation.Access]bool{}
	for _, example := range operation.Examples()[id] {
		if op := *example.Operation; !seen[op.Access] {
			seen[op.Access] = true
			hazards := inAnyCase(id)
			if h != "" && !slices.Contains(hazards, h) {
				hazards = append(hazards, h)
			}
			op.Hazards, op.HazardFields = hazards, nil
			op.HostPath, op.Mints, op.Enters, op.Unknown, op.Params = nil, nil, nil, nil, nil
			op.Body, op.Canonical, op.BodyState = nil, nil, operation.BodyNone
			all = append(all, &Input{Operation: &op}, &Input{Operation: &op, OwnExec: true})
		}
	}
	return all
}

// inAnyCase are the hazards that each request of an operation has: they come from none of its fields, in no example.
func inAnyCase(id string) []operation.Hazard {
	examples := operation.Examples()[id]
	return slices.DeleteFunc(slices.Clone(examples[0].Operation.Hazards), func(h operation.Hazard) bool {
		return slices.ContainsFunc(examples, func(e operation.Example) bool {
			return !slices.Contains(e.Operation.Hazards, h) || len(e.Operation.HazardFields[h]) > 0
		})
	})
}

// witness looks for an example that the policy allows to an entry of a binding, as eval would.
func (p *Prover) witness(ctx context.Context, h Holding, as []string, id string, hazard operation.Hazard) *Witness {
	examples := operation.Examples()[id]
	if hazard == operation.HazardUnknownInput {
		examples = unheard(examples[0])
	}
	for _, example := range examples {
		if hazard != "" && !slices.Contains(example.Operation.Hazards, hazard) {
			continue
		}
		for _, of := range p.elsewhere(h.Role, example) {
			if hazard != "" && !slices.Contains(of.Operation.Hazards, hazard) {
				continue
			}
			if objects, ok := p.allows(ctx, as, &Input{Operation: of.Operation, Enters: entersNamed(of.Operation)}); ok {
				return &Witness{Holding: h, As: as, Method: of.Method, URI: of.URI, Body: of.Body, Objects: objects}
			}
		}
	}
	if plain := operation.Examples()[id][0]; plain.Operation.Resource == "exec" && p.witness(ctx, h, as, "ContainerExec", "") != nil {
		if _, ok := p.allows(ctx, as, &Input{Operation: plain.Operation, OwnExec: true}); ok {
			return &Witness{Holding: h, As: as, Method: plain.Method, URI: plain.URI, Body: plain.Body, OwnExec: true}
		}
	}
	return nil
}

// unheard is an example with a parameter that nobody knows.
func unheard(of operation.Example) []operation.Example {
	of.URI += "?unheard=1"
	op, err := operation.Parse(operation.ExampleRequest(of.Method, of.URI, of.Body))
	if err != nil {
		return nil
	}
	of.Operation = op
	return []operation.Example{of}
}

// elsewhere is the example, and it with paths that the role allows in the place of its own.
func (p *Prover) elsewhere(role string, example operation.Example) []operation.Example {
	out := []operation.Example{example}
	if role == "" || len(example.Operation.HostPath) == 0 {
		return out
	}
	allowed, _, _ := p.model.Has(role, "host_paths")
	for _, path := range allowed {
		path = strings.TrimSuffix(strings.TrimPrefix(path, "volume:"), "*")
		if strings.Contains(path, "$") {
			continue
		}
		for _, was := range example.Operation.HostPath {
			body := strings.ReplaceAll(example.Body, `"`+strings.TrimPrefix(was, "volume:"), `"`+path)
			op, err := operation.Parse(operation.ExampleRequest(example.Method, example.URI, body))
			if err == nil && body != example.Body {
				out = append(out, operation.Example{Method: example.Method, URI: example.URI, Body: body, Operation: op})
			}
		}
	}
	return out
}

// allows decides a request as the gateway would. objects are what it has to name for that, as a caller with a view sees it.
func (p *Prover) allows(ctx context.Context, as []string, in *Input) (objects []string, ok bool) {
	op := in.Operation
	in.Caller, in.Objects = callerNamed(as), objectsNamed(op)
	d := p.g.decide(ctx, in)
	d.Allow = d.Allow || lifted(&d, in)
	if no(&d, in) != "" || len(d.Where) > 0 && op.Resource == "images" {
		return nil, false
	}
	for _, o := range op.Objects() {
		if len(d.Where) > 0 && o.Kind == operation.KindImage { // which are shared by name, or not at all
			return nil, false
		}
		words := []string{string(o.Kind) + ":" + o.Ref}
		for _, label := range slices.Sorted(maps.Keys(d.Where)) {
			words = append(words, "label="+label+"="+d.Where[label])
		}
		if len(d.Where) > 0 || p.g.reads.objects() {
			objects = append(objects, strings.Join(words, ","))
		}
	}
	return objects, true
}

// Command is the line that asks eval the same; paths are those of the policy.
func (w *Witness) Command(paths []string) string {
	words := []string{"authz-plugin", "eval"}
	add := func(flag string, values []string) {
		for _, v := range values {
			words = append(words, flag, quoted(v))
		}
	}
	add("--policy", paths)
	add("--as", w.As)
	add("--object", w.Objects)
	if slices.Equal(w.As, []string{"local"}) {
		add("--door", []string{string(obligation.Plugin)})
	}
	words = append(words, w.Method, quoted(w.URI))
	line := strings.Join(words, " ")
	if w.OwnExec {
		return w.Method + " " + w.URI + ", of an exec that it has made itself"
	}
	if w.Body != "" {
		line = "echo " + quoted(w.Body) + " | " + line + " --body -"
	}
	return line
}

// quoted is a word for the shell.
func quoted(s string) string {
	plain := func(r rune) bool {
		return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("-_./:=@,", r)
	}
	if s != "" && strings.IndexFunc(s, func(r rune) bool { return !plain(r) }) < 0 {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}
