package policy

import (
	"strings"
	"testing"

	"vitrine/internal/authz/object"
	"vitrine/internal/caller/identity"
	"vitrine/internal/engine/operation"
	"vitrine/test/long"
)

const ofTeam = `package docker.authz
import rego.v1
default allow := false
allow if {
	every o in input.objects { o.known == true; o.labels.team == "blue" }
	count(input.objects) > 0
}
`

// TestObjectsDecide: they are asked for only by a policy that reads them, each time, and
// what was remembered of other objects is not true of these.
func TestObjectsDecide(t *testing.T) {
	e := loaded(t, Options{Paths: []string{write(t, t.TempDir(), "policy.rego", ofTeam)}})
	if !e.ReadsObjects() {
		t.Fatal("it reads them")
	}
	yes, team, asked := true, "blue", 0
	in := &Input{
		Caller: &identity.Identity{Kind: identity.Host}, Operation: &operation.Operation{ID: "ContainerStop", Target: "web"},
		Objects: func() []object.Object {
			asked++
			return []object.Object{{Role: "target", Kind: "container", Ref: "web", Known: &yes, Labels: map[string]string{"team": team}}}
		},
	}
	for range 2 {
		if d := e.Decide(t.Context(), in); !d.Allow || asked == 0 {
			t.Errorf("%+v after %d questions", d, asked)
		}
	}
	team = "red"
	if d := e.Decide(t.Context(), in); d.Allow || d.Failed {
		t.Errorf("%+v", d)
	}
}

// TestObjectsThatNobodyCanTellClosed: without them such a policy fails.
func TestObjectsThatNobodyCanTellClosed(t *testing.T) {
	e := loaded(t, Options{Paths: []string{write(t, t.TempDir(), "policy.rego", strings.ReplaceAll(ofTeam, "count(input.objects) > 0", "true"))}})
	d := e.Decide(t.Context(), &Input{Caller: &identity.Identity{Kind: identity.Host}, Operation: &operation.Operation{ID: "ContainerStop", Target: "web"}})
	if d.Allow || !d.Failed {
		t.Errorf("%+v", d)
	}
}

// TestNobodyAsksForObjectsThatThePolicyDoesNotRead.
func TestNobodyAsksForObjectsThatThePolicyDoesNotRead(t *testing.T) {
	long.Alone(t)
	if New(Options{}).ReadsObjects() {
		t.Error("there is no policy")
	}
	if builtin().ReadsObjects() {
		t.Error("the built-in policy reads them")
	}
}

// TestCheckSaysThatATargetIsWhatWasTyped.
func TestCheckSaysThatATargetIsWhatWasTyped(t *testing.T) {
	long.Alone(t)
	for rule, warned := range map[string]bool{
		`input.operation.target == "web"`:             true,
		`input.operation.target != "web"`:             true,
		`"web" == input.operation.target`:             true,
		`startswith(input.operation.target, "web")`:   true,
		`input.operation.target in {"web", "db"}`:     true,
		`not input.operation.target == "web"`:         true,
		`input.operation.target == ""`:                false,
		`input.operation.target == input.caller.user`: false,
		`input.operation.id == "ContainerStop"`:       false,
		`some o in input.objects; o.name == "web"`:    false,
	} {
		found := Check(t.Context(), Options{Paths: []string{write(t, t.TempDir(), "policy.rego", "package docker.authz\nimport rego.v1\ndefault allow := false\nallow if { "+rule+" }\n")}})
		var text []string
		for _, p := range found {
			text = append(text, p.Message)
		}
		if got := strings.Contains(strings.Join(text, "\n"), "input.objects[_].name"); got != warned {
			t.Errorf("%s: %q, want a warning: %v", rule, text, warned)
		}
	}
}

// TestObjectsThatDifferAreDecidedAnew: no two objects of which a policy can tell one from the other are remembered as one.
func TestObjectsThatDifferAreDecidedAnew(t *testing.T) {
	yes, no := true, false
	of := func(o ...object.Object) string {
		b, ok := tree(o).appendKey(nil, nil)
		if !ok {
			t.Fatal("it has no key")
		}
		return string(b)
	}
	plain := object.Object{Role: "target", Kind: "container", Ref: "a", Known: &yes, ID: "1", Name: "a", Names: []string{"a"}, Labels: map[string]string{"k": "v", "l": ""}, Image: "i"}
	seen := map[string]int{of(): -2, of(plain): -1, of(plain, plain): -3}
	for i, edit := range []func(o *object.Object){
		func(o *object.Object) { o.Role = "uses" }, func(o *object.Object) { o.Kind = "volume" }, func(o *object.Object) { o.Ref = "b" },
		func(o *object.Object) { o.Known = nil }, func(o *object.Object) { o.Known = &no }, func(o *object.Object) { o.Why = "x" }, func(o *object.Object) { o.ID = "2" },
		func(o *object.Object) { o.Name = "b" }, func(o *object.Object) { o.Names = nil }, func(o *object.Object) { o.Names = []string{"a", "b"} },
		func(o *object.Object) { o.Labels = nil }, func(o *object.Object) { o.Labels = map[string]string{"k": "vl", "": ""} }, func(o *object.Object) { o.Labels = map[string]string{"k": "v"} },
		func(o *object.Object) { o.Labels = map[string]string{"k": "", "l": "v"} }, func(o *object.Object) { o.Image = "" }, func(o *object.Object) { o.Name, o.Image = "ai", "" },
	} {
		o := plain
		edit(&o)
		if was, twice := seen[of(o)]; twice {
			t.Errorf("%d is the same as %d", i, was)
		}
		seen[of(o)] = i
	}
	again := plain
	again.Labels = map[string]string{"l": "", "k": "v"}
	if of(again) != of(plain) {
		t.Error("the same labels in another order")
	}
}
