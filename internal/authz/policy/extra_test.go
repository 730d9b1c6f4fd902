package policy

import (
	"bytes"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"testing"

	"vitrine/test/long"
)

const (
	extraTop  = "package docker.authz.extra\n\nimport rego.v2\n"
	extraData = "roles: {lister: {access: [list]}}\nbindings: {admin: [local], lister: ['label:vitrine.role=look']}\n"
)

// withExtra is a policy of data and a rule beside the built-in ones.
func withExtra(t testing.TB, rule string) Options {
	t.Helper()
	return Options{Paths: []string{policyDir(t, "data.yaml", extraData, "extra.rego", extraTop+"\n"+rule)}}
}

func TestExtraRules(t *testing.T) {
	long.Alone(t)
	t.Parallel()
	e := loaded(t, withExtra(t, `
deny contains "no volumes" if input.operation.id == "VolumeList"

where.team := "blue" if input.caller.kind == "container"

where[label] := "sre" if label := "pool"

stamp.team := "blue"`))
	in := listing()
	d := e.Decide(t.Context(), in)
	if !d.Allows() || len(d.Where) != 2 || d.Where["team"] != "blue" || d.Where["pool"] != "sre" || len(d.Stamp) != 1 || d.Stamp["team"] != "blue" {
		t.Errorf("got %+v", d)
	}
	in.Operation.ID = "VolumeList"
	if d := e.Decide(t.Context(), in); d.Allow || d.Failed || !slices.Equal(d.Reasons, []string{"no volumes"}) {
		t.Errorf("got %+v", d)
	}
	in.Caller.Principals = []string{"local"}
	if d := e.Decide(t.Context(), in); !d.Allow || len(d.Where)+len(d.Stamp) > 0 {
		t.Errorf("an admin: %+v", d)
	}
}

// TestExtraRulesThatMisbehaveClosed: a rule that fails, or says something of another type,
// denies what the roles grant; but not an admin's way out.
func TestExtraRulesThatMisbehaveClosed(t *testing.T) {
	long.Alone(t)
	t.Parallel()
	const (
		asked = ` if input.request.uri == "/v1.41/containers/json"`
		fails = ` if { input.request.uri == "/v1.41/containers/json"; to_number(input.request.method) > 1 }`
	)
	for name, test := range map[string]struct{ rule, reason string }{
		"deny fails":              {`deny contains "x"` + fails, "to_number"},
		"deny says a number":      {"deny contains 1" + asked, "only strings"},
		"where fails":             {`where.a := "b"` + fails, "to_number"},
		"where of a number":       {"where.a := 1" + asked, "more than strings"},
		"where twice":             {"where.a := \"b\"" + asked + "\n\nwhere[x] := \"c\" if { x := \"a\"; input.request.uri == \"/v1.41/containers/json\" }", "conflict"},
		"stamp of an object":      {"stamp.a.b := \"c\"" + asked, "more than strings"},
		"a library of them fails": {"deny contains \"x\" if n\n\nn" + fails, "to_number"},
	} {
		t.Run(name, func(t *testing.T) {
			e := loaded(t, withExtra(t, test.rule))
			in := listing()
			d := e.Decide(t.Context(), in)
			if d.Allows() || !d.Failed {
				t.Errorf("got %+v", d)
			}
			wantContains(t, strings.Join(d.Reasons, "; "), test.reason)
			in.Caller.Principals = []string{"local"}
			if d := e.Decide(t.Context(), in); !d.Allows() {
				t.Errorf("an admin: %+v", d)
			}
		})
	}
}

// TestExtraRulesRefusedClosed: what may not be meant is not loaded.
func TestExtraRulesRefusedClosed(t *testing.T) {
	long.Alone(t)
	t.Parallel()
	for name, test := range map[string]struct{ file, says string }{
		"another form":               {extraTop + "deny if true", "rego_type_error"},
		"a whole set":                {extraTop + "deny := {\"no\"}", "conflicting rules data.docker.authz.extra.deny"},
		"a whole object":             {extraTop + "where := {\"a\": \"b\"}", "conflicting rules data.docker.authz.extra.where"},
		"a default":                  {extraTop + "default where := {}\nwhere.a := \"b\"", "data.docker.authz.extra.where"},
		"an older version":           {"package docker.authz.extra\n\ndeny contains \"x\" if input.request.body == null", "import rego.v2"},
		"the oldest version":         {"package docker.authz.extra\n\ndeny[\"x\"] { input.request.body == null }", "import rego.v2"},
		"a typo alone":               {extraTop + "denny contains \"x\" if true", "no rule that is read"},
		"nothing":                    {extraTop, "no rule that is read"},
		"another package":            {"package docker.authz.extras\n\nimport rego.v2\n\ndeny contains \"x\" if true", "no rule allow in package docker.authz"},
		"what the input has not":     {extraTop + "deny contains \"x\" if input.operation.idd == \"x\"", "undefined ref: input.operation.idd"},
		"a clock":                    {extraTop + "deny contains \"x\" if time.now_ns() > 0", "undefined function time.now_ns"},
		"the answer it is part of":   {extraTop + "deny contains \"x\" if data.docker.authz.allow", "recursive"},
		"fails for an empty body":    {extraTop + "deny contains \"x\" if count(input.request.body) > 1", "the rules of docker.authz.extra: self-test with no caller"},
		"answers something else":     {extraTop + "deny contains 1", "only strings"},
		"stands in the rules' way":   {"package docker.authz.extra.deny\n\nimport rego.v2\n\nx := 1", "no rule allow"},
		"is half written":            {extraTop + "deny contains \"x\" if {", "rego_parse_error"},
		"a library of version 1":     {"", "lib.rego:1: write `import rego.v2`"},
		"and rules that are yours":   {"", "no rule allow"},
		"a library that is a role":   {"", "docker.authz.roles"},
		"data for more than is read": {"", "unknown key"},
	} {
		t.Run(name, func(t *testing.T) {
			files := []string{"data.yaml", extraData, "extra.rego", test.file}
			switch name {
			case "a library of version 1":
				files = []string{"data.yaml", extraData, "extra.rego", extraTop + "deny contains \"x\" if data.lib.x", "lib.rego", "package lib\n\nx if not input.request.body"}
			case "and rules that are yours":
				files = []string{"extra.rego", extraTop + "deny contains \"x\" if true", "authz.rego", module("x := 1")}
			case "a library that is a role":
				files = []string{"data.yaml", extraData, "extra.rego", extraTop + "deny contains \"x\" if true", "lib.rego", "package docker.authz.roles\n\nimport rego.v2\n\nx := 1"}
			case "data for more than is read":
				files = []string{"data.yaml", extraData + "docker: {nothing: [a]}\n", "extra.rego", extraTop + "deny contains \"x\" if true"}
			}
			wantContains(t, refused(t, Options{Paths: []string{policyDir(t, files...)}}), test.says)
		})
	}
}

// TestRulesOfOnesOwnBesideExtra: package docker.authz of one's own is the whole policy, and reads what it likes.
func TestRulesOfOnesOwnBesideExtra(t *testing.T) {
	t.Parallel()
	dir := policyDir(t, "extra.rego", extraTop+"deny contains \"no\"", "authz.rego", module(allowList))
	if d := loaded(t, Options{Paths: []string{dir}}).Decide(t.Context(), listing()); !d.Allow || d.Admin {
		t.Errorf("got %+v", d)
	}
}

func TestCheckSaysWhatOfExtraNothingReads(t *testing.T) {
	long.Alone(t)
	t.Parallel()
	var got []string
	opts := withExtra(t, "deny contains \"x\" if used\n\nused if input.request.body == null\n\ndenny contains \"x\" if input.request.body == null")
	write(t, opts.Paths[0], "lib.rego", "package lib\n\nimport rego.v2\n\nhelps := 1\n")
	for _, p := range Check(t.Context(), opts) {
		if !p.Warning {
			t.Error(p)
		}
		got = append(got, p.at()[strings.LastIndexByte(p.at(), '/')+1:]+" "+p.Message)
	}
	if len(got) != 1 || !strings.HasPrefix(got[0], `extra.rego:9 nothing reads rule denny; is it deny?`) {
		t.Errorf("got %q", got)
	}
}

// TestCheckSaysWhatAFieldNeverIs: a denial with a word that is misspelt denies nothing.
func TestCheckSaysWhatAFieldNeverIs(t *testing.T) {
	t.Parallel()
	tests := []struct{ condition, want string }{
		{`input.operation.id == "ContainerExce"`, `input.operation.id is never "ContainerExce"; is it ContainerExec?`},
		{`"ContainerExce" != input.operation.id`, `input.operation.id is never "ContainerExce"; is it ContainerExec?`},
		{`input.operation.id in {"ContainerExec", "ContainerStrat"}`, `input.operation.id is never "ContainerStrat"; is it ContainerStart?`},
		{`"priviledged" in input.operation.hazards`, `input.operation.hazards is never "priviledged"; is it privileged?`},
		{`input.operation.hazards[_] == "priviledged"`, `input.operation.hazards is never "priviledged"; is it privileged?`},
		{`not input.operation.access in ["list", "inspects"]`, `input.operation.access is never "inspects"; is it inspect?`},
		{`input.operation.resource == "container"`, `input.operation.resource is never "container"; is it containers?`},
		{`input.operation.id == "ContainerExec"`, ""},
		{`"privileged" in input.operation.hazards`, ""},
		{`input.operation.target == "ContainerExce"`, ""},
		{`startswith(input.operation.id, "ContainerExce")`, ""},
		{`input.operation.hazards == []`, ""},
		{`input.operation.id in {id | some id in data.x; id != "odd"}`, ""},
	}
	var rules strings.Builder
	for _, tc := range tests {
		fmt.Fprintf(&rules, "deny contains \"x\" if %s\n", tc.condition)
	}
	got := make([]string, len(tests))
	for _, p := range Check(t.Context(), withExtra(t, rules.String())) {
		_, line, _ := strings.Cut(p.at(), "extra.rego:")
		n, err := strconv.Atoi(line)
		if n -= strings.Count(extraTop, "\n") + 2; err != nil || n < 0 || n >= len(tests) || !p.Warning || got[n] != "" {
			t.Errorf("%s: %v", p.at(), p)
			continue
		}
		got[n] = p.Message
	}
	for n, tc := range tests {
		if (got[n] == "") != (tc.want == "") || !strings.Contains(got[n], tc.want) {
			t.Errorf("%s: %q, want %q", tc.condition, got[n], tc.want)
		}
	}
}

// TestShowIsAPolicyAgain: what is shown of a policy is data of the same policy.
func TestShowIsAPolicyAgain(t *testing.T) {
	long.Alone(t)
	t.Parallel()
	data := `
roles:
  look: {access: [ping]}   # in place of the built-in one
  "9": {access: [ping, list], hazards: ["*"], host_paths: ["volume:true", "/srv/a: b"], where: {a: "1", "yes": "no # not"}, stamp: {a: "1", "yes": "no # not"}}
bindings: {admin: [local], "9": [["unix:x", "label:vitrine.role=look"], "tls:Ünï \\ x"]}
`
	const rule = "deny contains \"x\" if input.operation.id == \"VolumeList\"\n"
	dir := policyDir(t, "p/data.yaml", data, "p/extra.rego", extraTop+rule, "q/data.yaml", "roles: {more: {access: [inspect], redact: {'*': [env]}, unresolved: true}}\n")
	opts := Options{Paths: []string{dir + "/p", dir + "/q"}}
	var out, again, rules bytes.Buffer
	if err := Show(t.Context(), opts, false, &out); err != nil {
		t.Fatal(err)
	}
	wantContains(t, out.String(), "Rules: the built-in ones, and those of "+dir+"/p/extra.rego.", "# "+dir+"/p/data.yaml:3\n  look:", "# built-in/data.yaml:", "# "+dir+"/q/data.yaml:1\n  more:")
	shown := Options{Paths: []string{policyDir(t, "data.yaml", out.String(), "extra.rego", extraTop+rule)}}
	if err := Show(t.Context(), shown, false, &again); err != nil {
		t.Fatalf("%v\n%s", err, out.String())
	}
	bare := func(s string) string {
		lines := slices.DeleteFunc(strings.Split(s, "\n"), func(l string) bool { return strings.HasPrefix(strings.TrimSpace(l), "#") })
		return strings.Join(lines, "\n")
	}
	if bare(out.String()) != bare(again.String()) {
		t.Errorf("shown\n%s\nand again\n%s", out.String(), again.String())
	}
	want, got := loaded(t, opts), loaded(t, shown)
	for _, in := range []*Input{listing(), ask(t, []string{"unix:x", "label:vitrine.role=look"}, "GET", "/containers/json", ""), ask(t, []string{"tls:Ünï \\ x"}, "GET", "/volumes", "")} {
		a, b := want.Decide(t.Context(), in), got.Decide(t.Context(), in)
		if a.Allow != b.Allow || !slices.Equal(a.Reasons, b.Reasons) || len(a.Where) != len(b.Where) {
			t.Errorf("%s: %+v, and of what is shown %+v", in.Operation.URI, a, b)
		}
	}
	if err := Show(t.Context(), opts, true, &rules); err != nil {
		t.Fatal(err)
	}
	wantContains(t, rules.String(), "# built-in/authz.rego\n", "# "+dir+"/p/extra.rego\n"+extraTop)
}

// TestShow: what is shown of rules of one's own, and of the built-in ones alone.
func TestShow(t *testing.T) {
	long.Alone(t)
	t.Parallel()
	own := policyDir(t, "authz.rego", module(allowList))
	data := policyDir(t, "authz.rego", module(allowList), "data.yaml", "a: &x {b: 1}\nc: *x\n")
	for name, tt := range map[string]struct{ dir, want string }{
		"rules alone":        {own, "Rules: " + own + "/authz.rego.\n"},
		"what is said twice": {data, "Rules: " + data + "/authz.rego.\na:\n  # " + data + "/data.yaml:1\n  b: 1\nc:\n  b: 1\n"},
	} {
		var out strings.Builder
		err := Show(t.Context(), Options{Paths: []string{tt.dir}}, false, &out)
		if _, shown, _ := strings.Cut(out.String(), ". "); err != nil || shown != tt.want {
			t.Errorf("%s: %v, %q, want %q", name, err, shown, tt.want)
		}
	}
	if from := (&sources{builtin: true}).rulesFrom(); from != "the built-in ones" {
		t.Error(from)
	}
}

// TestShowOfNoPolicyClosed: what would not load is not shown, and what cannot be written is said.
func TestShowOfNoPolicyClosed(t *testing.T) {
	long.Alone(t)
	t.Parallel()
	for dir, want := range map[string]string{t.TempDir(): "holds no policy", policyDir(t, "data.yaml", "roles: {r: {acess: [list]}}"): "unknown key"} {
		var out strings.Builder
		if err := Show(t.Context(), Options{Paths: []string{dir}}, false, &out); err == nil || !strings.Contains(err.Error(), want) || out.Len() > 0 {
			t.Errorf("%v, shown %q", err, out.String())
		}
	}
	read, write := io.Pipe()
	_ = read.Close()
	if err := Show(t.Context(), Options{Paths: []string{policyDir(t, "authz.rego", module(allowList), "data.yaml", "a: b")}}, false, write); err == nil || !strings.Contains(err.Error(), "write the data") {
		t.Error(err)
	}
}
