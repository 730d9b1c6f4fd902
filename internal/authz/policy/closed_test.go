package policy

import (
	"context"
	"errors"
	"reflect"
	"runtime"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/open-policy-agent/opa/v1/topdown"

	"vitrine/internal/authz/obligation"
	"vitrine/internal/caller/identity"
	"vitrine/internal/engine/operation"
	"vitrine/internal/fair"
	"vitrine/test/long"
	"vitrine/test/wait"
)

// TestAnswersClosed: anything but allow == true denies, says that the policy
// failed, and why. The rules misbehave only for a real request, so that they
// pass the vetting.
func TestAnswersClosed(t *testing.T) {
	long.Alone(t)
	t.Parallel()
	const asked = `input.operation.id == "ContainerList"; input.request.uri == "/v1.41/containers/json"`
	tests := map[string]struct{ policy, reason string }{
		"undefined": {
			"allow := false if not x\n x if { " + asked + " }",
			"data.docker.authz.allow is undefined",
		},
		"string": {
			"default allow := false\nallow := \"true\" if { " + asked + " }",
			"data.docker.authz.allow is string, not a boolean",
		},
		"number": {
			"default allow := false\nallow := 1 if { " + asked + " }",
			"data.docker.authz.allow is number, not a boolean",
		},
		"null": {
			"default allow := false\nallow := null if { " + asked + " }",
			"data.docker.authz.allow is null, not a boolean",
		},
		"conflict": {
			"default allow := false\nallow if { " + asked + " }\nallow := false if { " + asked + " }",
			"conflicting values",
		},
		"error in a builtin": {
			"default allow := false\nallow if { " + asked + "; not deny }\ndeny if to_number(input.request.method) > 1",
			"to_number",
		},
		"error in reasons": {
			"default allow := false\nallow if { " + asked + " }\nreasons contains r if { " + asked + "; r := to_number(input.request.method) }",
			"to_number",
		},
		"admin is no boolean": {
			"default allow := false\nallow if { " + asked + " }\nadmin := \"yes\" if { " + asked + " }",
			"data.docker.authz.admin is string, not a boolean",
		},
		"redact is no set": {
			"default allow := false\nallow if { " + asked + " }\nredact := true",
			"data.docker.authz.redact is boolean, not a set of strings",
		},
		"redact is no pointer": {
			"default allow := false\nallow if { " + asked + " }\nredact contains \"Config.Env\"",
			"no JSON pointer",
		},
		"keep_env holds numbers": {
			"default allow := false\nallow if { " + asked + " }\nkeep_env contains 1",
			"data.docker.authz.keep_env holds number",
		},
		"where is no object": {
			"default allow := false\nallow if { " + asked + " }\nwhere := [\"a\"]",
			"data.docker.authz.where is array",
		},
		"admin is a folder of rules": {
			"default allow := false\nallow if { " + asked + " }\nadmin[\"x\"] := true",
			"data.docker.authz.admin is object, not a boolean",
		},
		"redact is written as an object": {
			"default allow := false\nallow if { " + asked + " }\nredact[\"/Config/Env/*\"] := true",
			"data.docker.authz.redact is object, not a set of strings",
		},
		"where holds numbers": {
			"default allow := false\nallow if { " + asked + " }\nwhere := {\"a\": 1}",
			"data.docker.authz.where maps labels to more than strings",
		},
		"where by numbers": {
			"default allow := false\nallow if { " + asked + " }\nwhere := {1: \"a\"}",
			"data.docker.authz.where maps labels to more than strings",
		},
		"shared is no object": {
			"default allow := false\nallow if { " + asked + " }\nshared := [\"a\"]",
			"data.docker.authz.shared is array, not an object of lists of names",
		},
		"shared holds texts": {
			"default allow := false\nallow if { " + asked + " }\nshared := {\"images\": \"a\"}",
			"data.docker.authz.shared maps kinds to more than lists of names",
		},
		"shared holds a number and a text": {
			"default allow := false\nallow if { " + asked + " }\nshared := {\"images\": [1, \"a\"]}",
			"data.docker.authz.shared maps kinds to more than lists of names",
		},
		"shared holds a text and a number": {
			"default allow := false\nallow if { " + asked + " }\nshared := {\"images\": [\"a\", 1]}",
			"data.docker.authz.shared maps kinds to more than lists of names",
		},
		"shared by numbers": {
			"default allow := false\nallow if { " + asked + " }\nshared := {1: [\"a\"]}",
			"data.docker.authz.shared maps kinds to more than lists of names",
		},
		"recreate is no set": {
			"default allow := false\nallow if { " + asked + " }\nrecreate := {\"a\": \"b\"}",
			"data.docker.authz.recreate is object, not a set of objects of labels",
		},
		"recreate holds what is all": {
			"default allow := false\nallow if { " + asked + " }\nrecreate contains {}",
			"data.docker.authz.recreate holds what is no object of labels",
		},
		"recreate holds texts": {
			"default allow := false\nallow if { " + asked + " }\nrecreate contains \"a\"",
			"data.docker.authz.recreate holds what is no object of labels",
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			e := loadedUnvetted(t, test.policy)
			for range 2 { // the second time it might be remembered
				d := e.Decide(t.Context(), listing())
				if d.Allow || d.Admin || !d.Failed || d.Revision == "" {
					t.Fatalf("got %+v, want a failed denial", d)
				}
				wantContains(t, strings.Join(d.Reasons, "; "), test.reason)
			}
			if n := len(e.current.Load().memory.young); n != 0 {
				t.Errorf("%d failures are remembered", n)
			}
		})
	}
}

// TestReasonsArePresentable: they may quote what a caller sent.
func TestReasonsArePresentable(t *testing.T) {
	t.Parallel()
	most := strings.Repeat("a", maxReason)
	for reason, want := range map[string]string{
		"a b\u00a0é\u2027\u202a~": "a b\u00a0é\u2027\u202a~", "a\nb": "a b", "\x1f": " ", "\x7f": " ", "\u0080\u009f": "  ", "\u2028\u2029": "  ", "\xff": "\uFFFD",
		most: most, most + "a": most + "…", most[1:] + "é": most[1:] + "…",
	} {
		if got := printable(reason); got != want {
			t.Errorf("%q is shown as %q, want %q", reason, got, want)
		}
	}
	many := slices.Repeat([]string{"a\n"}, maxReasons)
	if got := presentable(slices.Clone(many)); len(got) != maxReasons || got[maxReasons-1] != "a " {
		t.Errorf("%q", got)
	}
	if got := presentable(append(many, "b", "c")); len(got) != maxReasons+1 || got[maxReasons] != "and 2 more reasons" {
		t.Errorf("%q", got)
	}
}

// loadedUnvetted loads a policy past the self-test: what is wrong with it then
// shows in its decisions.
func loadedUnvetted(t *testing.T, policy string) *Engine {
	t.Helper()
	dir := policyDir(t, "authz.rego", module(policy))
	src, err := readSources([]string{dir}, false)
	if err != nil {
		t.Fatal(err)
	}
	caps := capabilities()
	p, err := parse(src.modules, caps)
	if err != nil {
		t.Fatal(err)
	}
	c, _, err := p.compile(caps)
	if err != nil {
		t.Fatal(err)
	}
	g, err := newGeneration(t.Context(), c, nil)
	if err != nil {
		t.Fatal(err)
	}
	g.revision = src.revision
	e := New(Options{})
	e.current.Store(g)
	return e
}

func TestZeroDecisionClosed(t *testing.T) {
	t.Parallel()
	if (Decision{}).Allow || failed("", "").Allow || (&Decision{Allow: true, Diagnostics: Diagnostics{Failed: true}}).Allows() {
		t.Fatal("allowed")
	}
	if demand := (&Decision{}).Demand(); !reflect.DeepEqual(demand, obligation.Demand{Sessions: true}) { // as of everybody who is no administrator
		t.Errorf("it demands %+v", demand)
	}
}

func TestNothingLoadedClosed(t *testing.T) {
	t.Parallel()
	began := time.Now()
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	d := New(Options{}).Decide(ctx, listing())
	if d.Allow || !d.Failed {
		t.Fatalf("got %+v", d)
	}
	wantContains(t, d.Reasons[0], "no policy is loaded: none was found yet")
	if took := time.Since(began); took < 50*time.Millisecond {
		t.Errorf("denied after %s, without waiting for the first policy", took)
	}
}

// Who asks between the start and the first policy is not refused for it, and keeps no turn meanwhile. Loading takes no time here, however
// busy the machine is.
func TestFirstPolicyIsWaitedFor(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		e, queue := New(Options{}), fair.New()
		turns := make([]fair.Turn, 2*runtime.GOMAXPROCS(0)+1) // one more than a caller has who is alone
		for i := range turns {
			turns[i] = queue.Of("caller")
		}
		if err := turns[0].Take(t.Context()); err != nil {
			t.Fatal(err)
		}
		answer := make(chan Decision)
		go func() { answer <- e.Decide(fair.With(context.Background(), &turns[0]), listing()) }()
		select {
		case d := <-answer:
			t.Fatalf("decided without a policy: %+v", d)
		case <-time.After(20 * time.Millisecond):
		}
		for i := range turns[1:] {
			ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
			if err := turns[i+1].Take(ctx); err != nil {
				t.Errorf("who waits for a policy keeps a turn: %v", err)
			}
			cancel()
		}
		for i := range turns[1:] {
			turns[i+1].Give()
		}
		if err := e.Load(t.Context()); err != nil {
			t.Fatal(err)
		}
		if d := <-answer; d.Failed {
			t.Errorf("got %+v", d)
		}
	})
}

func TestNoInputClosed(t *testing.T) {
	t.Parallel()
	e := builtin()
	for _, in := range []*Input{nil, {}, {Caller: listing().Caller}} {
		if d := e.Decide(t.Context(), in); d.Allow || !d.Failed {
			t.Errorf("%+v: got %+v", in, d)
		}
	}
	nobody := listing()
	nobody.Caller = nil
	if d := e.Decide(t.Context(), nobody); d.Allow || d.Failed {
		t.Errorf("without a caller: got %+v, want an ordinary denial", d)
	}
}

func TestInputThatIsNoJSONClosed(t *testing.T) {
	t.Parallel()
	e := loadedUnvetted(t, "default allow := true\nallow := false if input.request.body.x")
	in := listing()
	in.Operation.Body = map[string]any{"x": []any{map[string]any{"y": struct{}{}}}}
	d := e.Decide(t.Context(), in)
	if d.Allow || !d.Failed {
		t.Fatalf("got %+v", d)
	}
	wantContains(t, d.Reasons[0], "a struct {} is no JSON value")
	if _, ok := e.current.Load().reads.appendKey(nil, in); ok {
		t.Error("it can be remembered")
	}
}

func TestPanicClosed(t *testing.T) {
	t.Parallel()
	e := loaded(t, Options{})
	e.current.Load().evaluate = func(context.Context, *given, topdown.Cancel) (Decision, error) { panic("boom") }
	d := e.Decide(t.Context(), listing())
	if d.Allow || !d.Failed {
		t.Fatalf("got %+v", d)
	}
	wantContains(t, d.Reasons[0], "panicked: boom")
}

func TestAllowWithErrorClosed(t *testing.T) {
	t.Parallel()
	e := loaded(t, Options{})
	e.current.Load().evaluate = func(context.Context, *given, topdown.Cancel) (Decision, error) {
		return Decision{Allow: true, Admin: true}, errors.New("and yet")
	}
	if d := e.Decide(t.Context(), listing()); d.Allow || d.Admin || !d.Failed {
		t.Fatalf("got %+v", d)
	}
}

// TestEndlessPolicyClosed: a policy that loops is stopped.
func TestEndlessPolicyClosed(t *testing.T) {
	t.Parallel()
	const endless = `default allow := false
allow if {
	input.operation.id == "ContainerList"
	input.request.uri == "/v1.41/containers/json"
	some a in numbers.range(1, 1000000)
	some b in numbers.range(1, 1000000)
	a * b == 0
}`
	e := loaded(t, Options{Paths: []string{policyDir(t, "authz.rego", module(endless))}})
	start := time.Now()
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	d := e.Decide(ctx, listing())
	if d.Allow || !d.Failed {
		t.Fatalf("got %+v", d)
	}
	wantContains(t, d.Reasons[0], "no answer in time")
	if took := time.Since(start); took > wait.Patience(2*time.Second) {
		t.Errorf("it took %s", took)
	}
}

// TestHungBuiltinClosed: an evaluation that does not look for its cancellation
// is left behind.
func TestHungBuiltinClosed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		e := loaded(t, Options{})
		e.current.Load().evaluate = func(context.Context, *given, topdown.Cancel) (Decision, error) {
			<-release
			return Decision{Allow: true}, nil
		}
		start := time.Now()
		d := e.Decide(t.Context(), listing())
		if d.Allow || !d.Failed {
			t.Errorf("got %+v", d)
		}
		if took := time.Since(start); took != DefaultTimeout { // as nobody gave a deadline
			t.Errorf("it took %s, want %s", took, DefaultTimeout)
		}
		wantContains(t, d.Reasons[0], "no answer in time")
		close(release)
	})
}

func TestRequestThatEndedClosed(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	d := loaded(t, Options{Once: true}).Decide(ctx, listing()) // its own: what was decided before needs no evaluation
	if d.Allow || !d.Failed {
		t.Fatalf("got %+v", d)
	}
	wantContains(t, d.Reasons[0], "the request ended before it was decided")
}

// TestRefusedPoliciesClosed: what is not loaded, and what is said about it.
func TestRefusedPoliciesClosed(t *testing.T) {
	long.Alone(t)
	t.Parallel()
	const deny = "default allow := false\n"
	tests := map[string]struct {
		policy string
		wants  []string
	}{
		"no allow":                   {"x := 1", []string{"no rule allow"}},
		"does not parse":             {"allow if {", []string{"authz.rego:3", "rego_parse_error"}},
		"does not compile":           {deny + "allow if x", []string{"authz.rego:4", "var x is unsafe"}},
		"allows an empty input":      {"allow := true", []string{"allows an empty input", "allow_by_default"}},
		"allows unless denied":       {deny + "allow if not deny\ndeny if input.request.method == \"POST\"", []string{"allows an empty input"}},
		"not boolean":                {"allow := \"yes\"", []string{"is string, not a boolean"}},
		"fails for an empty body":    {deny + "allow if count(input.request.body) > 1", []string{"self-test with an unknown caller", "count"}},
		"network":                    {deny + "allow if http.send({\"method\": \"get\", \"url\": \"http://127.0.0.1\"}).status_code == 200", []string{"undefined function http.send"}},
		"clock":                      {deny + "allow if time.now_ns() > 0", []string{"undefined function time.now_ns"}},
		"randomness":                 {deny + "allow if rand.intn(\"x\", 2) == 1", []string{"undefined function rand.intn"}},
		"process":                    {deny + "allow if opa.runtime().env.X", []string{"undefined function opa.runtime"}},
		"certificates against clock": {deny + "allow if crypto.x509.parse_and_verify_certificates(\"x\")[0]", []string{"undefined function crypto.x509.parse_and_verify_certificates"}},
		"typo in the input":          {deny + "allow if input.operation.idd == \"x\"", []string{"authz.rego:4", "undefined ref: input.operation.idd", "\"id\""}},
		"typo at the top":            {deny + "allow if input.requets.method == \"x\"", []string{"undefined ref: input.requets.method", "request"}},
		"wrong type":                 {deny + "allow if input.operation.id == 1", []string{"authz.rego:4", "rego_type_error: match error"}},
		"unused variable":            {deny + "allow if { x := 1; input.operation.id == \"x\" }", []string{"assigned var x unused"}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			dir := policyDir(t, "authz.rego", module(test.policy))
			wantContains(t, refused(t, Options{Paths: []string{dir}}), test.wants...)
		})
	}
}

// TestUndefinedAllowClosed: a policy without `default allow` loads with a warning, in
// either syntax, as what is undefined denies.
func TestUndefinedAllowClosed(t *testing.T) {
	t.Parallel()
	for name, policy := range map[string]string{
		"version 1": "allow if input.Method == \"GET\"",
		"version 0": "allow { input.Method == \"GET\" }",
	} {
		t.Run(name, func(t *testing.T) {
			opts := Options{Paths: []string{policyDir(t, "authz.rego", module(policy))}}
			var said []string
			for _, p := range Check(t.Context(), opts) {
				if !p.Warning {
					t.Error(p)
				}
				said = append(said, p.Message)
			}
			wantContains(t, strings.Join(said, "\n"), "allow is undefined for an empty input, which denies", "default allow := false")
			e := loaded(t, opts)
			if d := e.Decide(t.Context(), ask(t, nil, "GET", "/containers/json", "")); !d.Allow {
				t.Errorf("got %+v", d)
			}
			if d := e.Decide(t.Context(), ask(t, nil, "POST", "/containers/web/stop", "")); d.Allow || !d.Failed {
				t.Errorf("got %+v", d)
			}
		})
	}
}

func TestAllowByDefault(t *testing.T) {
	t.Parallel()
	dir := policyDir(t, "authz.rego", module("allow := true"))
	e := loaded(t, Options{Paths: []string{dir}, AllowByDefault: true})
	if d := e.Decide(t.Context(), listing()); !d.Allow {
		t.Fatalf("got %+v", d)
	}
}

// TestMissingBodyClosed: under Rego v2, which our policies have, a condition on
// a body that is missing holds when it is negated; under v1 it would not.
func TestMissingBodyClosed(t *testing.T) {
	t.Parallel()
	const policy = `package docker.authz

import rego.v2

default allow := false

allow if {
	input.operation.id == "ContainerCreate"
	not deny
}

deny if not is_object(input.request.body.HostConfig)
`
	e := loaded(t, Options{Paths: []string{policyDir(t, "authz.rego", policy)}})
	in := listing()
	in.Operation.ID = "ContainerCreate"
	for _, body := range []any{nil, map[string]any{}, map[string]any{"HostConfig": nil}, "x"} {
		in.Operation.Body = body
		if d := e.Decide(t.Context(), in); d.Allow {
			t.Errorf("body %v: allowed", body)
		}
	}
	in.Operation.Body = map[string]any{"HostConfig": map[string]any{}}
	if d := e.Decide(t.Context(), in); !d.Allow {
		t.Errorf("a body with HostConfig: %+v", d)
	}
}

func TestUnknownCallerClosed(t *testing.T) {
	t.Parallel()
	e := builtin()
	in := listing()
	in.Caller = &identity.Identity{Kind: identity.Unknown}
	for _, op := range operation.Operations() {
		in.Operation = &operation.Operation{ID: op.ID, Resource: op.Resource, Access: op.Access, BodyState: operation.BodyNone}
		if d := e.Decide(t.Context(), in); d.Allow || d.Failed {
			t.Errorf("%s: %+v", op.ID, d)
		}
	}
}

// TestObligationBelowItsNameClosed: where["team"] is a rule by a longer name, and an
// obligation all the same.
func TestObligationBelowItsNameClosed(t *testing.T) {
	t.Parallel()
	for name, rule := range map[string]string{
		"a constant key":     `where["team"] := "sre" if true`,
		"a dotted key":       `where.team := "sre"`,
		"a package below":    "", // see the second file
		"a key that is free": `where[k] := v if { some k, v in {"team": "sre"} }`,
	} {
		t.Run(name, func(t *testing.T) {
			files := []string{"authz.rego", module("default allow := false\nallow if input.operation.id == \"ContainerList\"\n" + rule)}
			if rule == "" {
				files = append(files, "where.rego", "package docker.authz.where\n\nteam := \"sre\"\n")
			}
			if d := loaded(t, Options{Paths: []string{policyDir(t, files...)}}).Decide(t.Context(), listing()); d.Where["team"] != "sre" || d.Failed {
				t.Errorf("got %+v", d)
			}
		})
	}
}
