package policy

import (
	"context"
	"fmt"
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"

	"github.com/open-policy-agent/opa/v1/topdown"

	"vitrine/test/long"
)

const bindingsOfManyKinds = `
roles:
  ci: {access: [ping, list, inspect, write], own: true, hazards: [env]}
  plain: {access: [ping, list, inspect, write]}
bindings:
  admin: [local]
  ci: ["container:runner", ["container:a", "label:pool=x"], "owner:container:runner", "peer-uid:1000"]
  plain: ["unix:dev", "container-uid:7", ["container:b", "container-uid:0"], ["peer-gid:5", "image:i"]]
  look: ["label:vitrine.role=look", "image-id:sha256:00"]
`

// A create reaches every user id and image id, as the Engine chooses them.
const bindingsByName = `
roles:
  ci: {access: [ping, list, inspect, write], own: true, hazards: [env]}
bindings:
  admin: [local]
  ci: ["container:runner", "owner:container:runner"]
  look: ["container:b"]
`

// Names of the caller's choice make no request new: what no role is bound to is decided once.
func TestNamesThatNothingIsBoundToAreDecidedOnce(t *testing.T) {
	t.Parallel()
	e := loaded(t, Options{Paths: []string{policyDir(t, "data.yaml", bindingsByName)}})
	g, evaluated := e.current.Load(), 0
	evaluate := g.evaluate
	g.evaluate = func(ctx context.Context, input *given, cancel topdown.Cancel) (Decision, error) {
		evaluated++
		return evaluate(ctx, input, cancel)
	}
	create := func(name string) Decision {
		return e.Decide(t.Context(), ask(t, []string{"container:runner", "container:also-" + name, "container-id:" + name, "unix:" + name}, "POST", "/containers/create?name="+name,
			`{"Image":"i`+name+`","Labels":{"l":"`+name+`"},"User":"`+name+`:5"}`))
	}
	for i := range 100 {
		if d := create(fmt.Sprint(1000 + i)); !d.Allow || d.Failed {
			t.Fatalf("%+v", d)
		}
	}
	if evaluated != 1 {
		t.Errorf("%d evaluations for 100 creates", evaluated)
	}
	if d := create("b"); d.Allow || !strings.Contains(fmt.Sprint(d.Reasons), "container:b is bound to role look") {
		t.Errorf("a name that a role is bound to: %+v", d)
	}
}

// Of who has something of his own by his name, or a folder of it, the name is shown, though nothing is bound to it.
func TestOwnNameIsShownClosed(t *testing.T) {
	long.Alone(t)
	t.Parallel()
	for role, names := range map[string][2]string{
		"own: container": {"container:x", "unix:x"}, "own: user": {"unix:x", "container:x"}, "host_paths: [/home/$user]": {"unix:x", "container:x"},
	} {
		e := loaded(t, Options{Once: true, Paths: []string{policyDir(t, "data.yaml", "roles: {r: {access: [write], hazards: [host-path], "+role+"}}\nbindings: {admin: [local], r: ['gid:5']}\n")}})
		for i, name := range names {
			in := ask(t, []string{name, "gid:5"}, "POST", "/containers/create", `{"Image":"i"}`)
			in.Operation.HostPath = []string{"/home/x"}
			if d := e.Decide(t.Context(), in); d.Allow != (i == 0) {
				t.Errorf("%s for %s: %+v", role, name, d)
			}
		}
	}
}

// What the built-in rules are not shown changes nothing: each decision is what it is with all names shown.
func TestNamesThatAreNotShownWouldChangeNothingClosed(t *testing.T) {
	long.Alone(t)
	t.Parallel()
	g := loaded(t, Options{Paths: []string{policyDir(t, "data.yaml", bindingsOfManyKinds)}}).current.Load()
	all, err := newGeneration(t.Context(), g.compiler, g.vetted.dataIn(g.moment))
	if err != nil {
		t.Fatal(err)
	}
	if err := all.usePlan(t.Context()); err != nil {
		t.Fatal(err)
	}
	names := []string{
		"container:runner", "container:a", "container:b", "container:other", "label:pool=x", "label:pool=y", "label:vitrine.role=look",
		"owner:container:runner", "owner:container:other", "container-uid:1000", "container-uid:7", "container-uid:0", "container-gid:5", "container-gid:6",
		"image:i", "image:j", "image-id:sha256:00", "image-id:sha256:01", "peer-uid:1000", "peer-uid:1", "local", "unix:dev", "",
		"*", "label:*", "container:*", "container-uid:*", "container-gid:*", "image:*", "owner:*", "peer-uid:*", "a:b:*", "container:a*",
	}
	some := func(r *rand.Rand) (list []string) {
		for range r.IntN(4) {
			list = append(list, names[r.IntN(len(names))])
		}
		return list
	}
	r := rand.New(rand.NewPCG(1, 2))
	denied := 0
	n := long.Of(300, 2000)
	for range n {
		in := ask(t, some(r), "POST", "/containers/create?name=x", `{"Image":"x"}`)
		in.Operation.Mints, in.Enters = some(r), some(r)
		got, want := g.fresh(t.Context(), in), all.fresh(t.Context(), in)
		want.Revision = got.Revision
		if !reflect.DeepEqual(got, want) {
			t.Fatalf("%v, mints %v, enters %v:\n%+v\nwith all names shown:\n%+v", in.Caller.Principals, in.Operation.Mints, in.Enters, got, want)
		}
		if strings.Contains(fmt.Sprint(want.Reasons), "is bound to role") {
			denied++
		}
	}
	if denied < n/20 {
		t.Errorf("only %d were denied for what they reach", denied)
	}
}

// An operator's rules beside the built-in ones may read every name.
func TestOperatorsRulesAreShownEveryNameClosed(t *testing.T) {
	long.Alone(t)
	t.Parallel()
	e := loaded(t, Options{Paths: []string{policyDir(t, "data.yaml", bindingsByName, "extra.rego", `package docker.authz.extra

import rego.v2

deny contains "not that one" if "container:other" in input.operation.mints
`)}})
	for name, allow := range map[string]bool{"other": false, "another": true} {
		in := ask(t, []string{"container:runner"}, "POST", "/containers/create?name="+name, `{"Image":"i"}`)
		if d := e.Decide(t.Context(), in); d.Allow != allow {
			t.Errorf("%s: %+v", name, d)
		}
	}
}
