package policy

import (
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/open-policy-agent/opa/v1/ast"

	"vitrine/internal/engine/operation"
	"vitrine/rego"
	"vitrine/test/long"
)

// everyKey is data in which each key of a role stands once at least, in ways that meet.
const everyKey = `
roles:
  ci: {access: [ping, list, inspect, write, interactive], own: true, image_names: ["ci/$owner/*"], hazards: [env, host-path], host_paths: [/srv, "$mounts"], ceilings: {memory: 1GiB, containers: 3}}
  each: {access: [list, inspect, write], own: container, except: [ContainerDelete], shared: {images: [alpine]}}
  home: {access: [write], resources: [containers], hazards: ["*"], host_paths: ["/home/$user", "volume:x*"], unresolved: true, engine_socket: substitute}
  team: {access: [list, inspect, stream, write], where: {team: blue}, stamp: {team: blue}, ceilings: {cpus: 2, pids: 9}, redact: {"*": [env, errors]}, keep_env: [A]}
  other: {access: [list, inspect], where: {team: red}, stamp: {team: red}, shared: {networks: [bridge]}, redact: {"*": [env]}}
  open: {operations: ["*"], without_redaction: true}
  quiet: {access: [list], mode: audit}
  update: {access: [list, inspect], operations: [ContainerCreate], recreate: {where: {update: "yes"}}}
bindings:
  admin: [local, ["unix:root", "unix:a"]]
  ci: ["container:runner", "owner:container:runner", ["container:a", "label:pool=x"]]
  each: ["image:i"]
  home: ["unix:a", "peer-uid:7"]
  team: ["label:pool=x", ["unix:b", "container-uid:0"]]
  other: ["label:pool=y"]
  open: ["unix:c"]
  quiet: ["unix:d"]
  update: ["unix:d", "image:u"]
`

// oddRules use what the built-in ones do not: rules of one name in two files, chains, defaults, functions of several bodies, heads that
// are paths, and conditions over nothing, of each kind.
const oddRules = extraTop + `
nothing := set()

few := {"ContainerList", "ImageList"}

nested := {"a": {"b": set()}}

deny contains "never" if {
	some x in nothing
	x == input.operation.id
}

deny contains "none of nothing is it" if {
	not known
	input.operation.id == "VolumeList"
}

known if {
	some x in nothing
	x == input.operation.id
}

deny contains "each of nothing" if {
	every x in nothing { x == input.operation.id }
	input.operation.id in few
}

deny contains "the chain" if chain == "c"

chain := "a" if {
	some x in nothing
	x == input.operation.id
} else := "b" if {
	input.operation.access == "inspect"
} else := "c" if {
	input.operation.access == "write"
}

default level := 1

level := 2 if {
	nested.a.b[input.operation.id]
}

deny contains "the default" if {
	level == 1
	input.caller.kind == "host"
	input.operation.access == "stream"
}

default rank(_) := 0

rank(o) := 1 if o == "ContainerList"

deny contains sprintf("rank %d", [rank(input.operation.id)]) if rank(input.operation.id) > 0

same(x, x) if true

deny contains "the same" if same(input.operation.access, "admin")

deny contains "how many" if {
	count([x | some x in nothing; x == input.operation.id]) == 0
	input.operation.access == "interactive"
}

label[input.operation.resource].of := "x" if not input.operation.id in nothing

deny contains "a path" if label.volumes.of == "x"

where[k] := "v" if {
	some k, _ in nested
	input.operation.resource == "networks"
}
`

// Rules that are made ready for their data decide, and say, what they decide as they are written: over each example of the
// catalogue, with more hazards, paths and names than it has, by callers of all kinds.
func TestReadyRulesDecideTheSameClosed(t *testing.T) {
	long.Alone(t)
	t.Parallel()
	policies := map[string]Options{
		"built-in": {}, "every key": {Paths: []string{policyDir(t, "data.yaml", everyKey)}},
		"extra": {Paths: []string{policyDir(t, "data.yaml", everyKey, "extra.rego", `package docker.authz.extra

import rego.v2

deny contains "not on Sundays" if input.operation.target == "sunday"

where["team"] := "blue" if input.caller.kind == "host"
`)}},
	}
	policies["odd rules"] = Options{Paths: []string{policyDir(t, "data.yaml", everyKey, "a.rego", oddRules, "b.rego", extraTop+`
deny contains "in another file" if input.operation.access == "list"

rank(o) := 2 if o == "ImageList"
`)}}
	presets := rego.Presets()
	for _, name := range presets[:long.Of(2, len(presets))] {
		policies[name] = Options{Paths: []string{"preset:" + name}}
	}
	var examples []operation.Example
	for _, of := range operation.Examples() {
		examples = append(examples, of...)
	}
	for name, opts := range policies {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g := loaded(t, opts).current.Load()
			if slices.Contains(names(g.compiler), "data.docker.authz.capping[role]") {
				t.Error("the rules were not made ready")
			}
			asWritten, err := newGeneration(t.Context(), g.vetted.compiler, g.vetted.dataIn(g.moment))
			if err != nil {
				t.Fatal(err)
			}
			asWritten.revision = g.revision
			r := rand.New(rand.NewPCG(1, uint64(len(name))))
			allowed := 0
			for range long.Of(40, 400) {
				in := somethingAsked(r, examples, boundPrincipals(g.vetted.data))
				got, want := g.fresh(t.Context(), in), asWritten.fresh(t.Context(), in)
				if !reflect.DeepEqual(got, want) {
					t.Fatalf("%v asks %s with %v, %v, makes %v, enters %v:\n%+v\nas the rules are written:\n%+v", in.Caller.Principals, in.Operation.ID,
						in.Operation.Hazards, in.Operation.HostPath, in.Operation.Mints, in.Enters, got, want)
				}
				if got.Allow {
					allowed++
				}
			}
			if allowed == 0 {
				t.Error("nothing was allowed")
			}
		})
	}
}

// somethingAsked is an example of the catalogue, mostly with more to it, asked by whom roles are bound to.
func somethingAsked(r *rand.Rand, examples []operation.Example, bound map[string]bool) *Input {
	op := *examples[r.IntN(len(examples))].Operation
	principals := make([]string, 0, len(bound))
	for p := range bound {
		principals = append(principals, p)
	}
	slices.Sort(principals)
	some := func(most int, from ...string) (list []string) {
		for range r.IntN(most + 1) {
			list = append(list, from[r.IntN(len(from))])
		}
		slices.Sort(list)
		return slices.Compact(list)
	}
	callers := append(some(3, principals...), "container-id:0")
	if r.IntN(3) == 0 {
		op.Hazards = nil
		for _, h := range some(2, hazards()...) {
			op.Hazards = append(op.Hazards, operation.Hazard(h))
		}
		op.HostPath = some(2, "/", "/srv", "/srv/x", "/srv/../etc", "/home/a", "/home/a/x", "volume:xy", "/m/n")
	}
	names := append(principals, "*", "container:*", "container-uid:*", "image:j", "label:*", "owner:*", "peer-uid:8", "container-uid:7")
	if r.IntN(2) == 0 {
		op.Mints = some(2, names...)
	}
	in := &Input{Caller: callerNamed(callers), Operation: &op, OwnExec: r.IntN(4) == 0}
	if r.IntN(4) == 0 {
		in.Enters = some(2, names...)
	}
	if r.IntN(6) == 0 {
		in.Unresolved = op.HostPath
	}
	if r.IntN(10) == 0 {
		op.SubstitutedIn = []string{"HostConfig.Binds"}
	}
	if r.IntN(10) == 0 {
		op.Replaced = []string{"HostConfig.Binds"}
	}
	if r.IntN(10) == 0 {
		op.Unknown = []string{"New"}
	}
	if r.IntN(20) == 0 {
		op.BodyState = "withheld"
	}
	return in
}

// names are the heads of a compiler's rules, as they are written.
func names(c *ast.Compiler) (all []string) {
	for _, rule := range allRules(c) {
		all = append(all, rule.Head.Ref().String())
	}
	return all
}

// What no data has is not asked: of the built-in data neither views nor ceilings. What some have is.
func TestReadyRulesAskWhatThereIsClosed(t *testing.T) {
	long.Alone(t)
	t.Parallel()
	for _, tt := range []struct {
		opts  Options
		asked []string
	}{
		{Options{}, []string{"admin", "allow", "codes", "keep_env", "reasons", "redact"}},
		{Options{Paths: []string{policyDir(t, "data.yaml", everyKey)}}, rules()},
	} {
		g := loaded(t, tt.opts).current.Load()
		c, nothing, err := makeReady(t.Context(), g.vetted.compiler, g.store, g.txn)
		if err != nil {
			t.Fatal(err)
		}
		q := query(c, nothing).String()
		for _, name := range rules() {
			if is := strings.Contains(q, "data.docker.authz."+name); is != slices.Contains(tt.asked, name) {
				t.Errorf("%s is asked: %v", name, is)
			}
		}
	}
}

// TestReadyRulesOfOnePackageInTwoFilesClosed: that nothing can hold in one file says nothing of the other.
func TestReadyRulesOfOnePackageInTwoFilesClosed(t *testing.T) {
	long.Alone(t)
	t.Parallel()
	const (
		never = extraTop + "\nblocked := set()\n\ndeny contains \"blocked\" if {\n\tsome b in blocked\n\tb == input.operation.id\n}\n"
		holds = extraTop + "\ndeny contains \"no lists\" if input.operation.id == \"ContainerList\"\n"
	)
	for _, files := range [][2]string{{never, holds}, {holds, never}} {
		e := loaded(t, Options{Paths: []string{policyDir(t, "data.yaml", extraData, "a.rego", files[0], "b.rego", files[1])}})
		if d := e.Decide(t.Context(), listing()); d.Allow || !slices.Equal(d.Reasons, []string{"no lists"}) {
			t.Errorf("got %+v", d)
		}
	}
}
