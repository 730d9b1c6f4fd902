package policy

import (
	"strings"
	"testing"

	"vitrine/internal/authz/object"
	"vitrine/internal/caller/identity"
	"vitrine/internal/engine/operation"
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
	if loaded(t, Options{}).ReadsObjects() {
		t.Error("the built-in policy reads them")
	}
}

// TestCheckSaysThatATargetIsWhatWasTyped.
func TestCheckSaysThatATargetIsWhatWasTyped(t *testing.T) {
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
