package policy

import (
	"bytes"
	"context"
	"errors"
	"os"
	"slices"
	"strings"
	"testing"

	"vitrine/internal/engine/operation"
	"vitrine/test/long"
)

const casedData = "bindings: {admin: [local], look: ['tls:x']}"

// A policy whose cases fail does not load, whether they say too much or too little; the last good one goes on.
func TestCasesThatFailClosed(t *testing.T) {
	long.Alone(t)
	t.Parallel()
	for name, tc := range map[string]struct{ cases, says string }{
		"allowed by mistake": {"# a comment\n\ndeny tls:x GET /containers/json", "look.cases:3: GET /containers/json by tls:x is allowed, and the case says deny: role look"},
		"denied":             {"allow tls:x POST /containers/web/kill", "is denied, and the case says allow: role look allows"},
		"refused at parsing": {"allow tls:x GET /v1.41//containers/json", "the path holds //"},
		"a rail":             {"allow tls:x POST /plugins/x/disable", "[not-granted]"},
		"no such line":       {"allow tls:x GET", "look.cases:1: a word is missing"},
		"neither":            {"Allow tls:x GET /_ping", `"Allow" is neither allow nor deny`},
		"no principal":       {"deny x GET /_ping", "look.cases:1: "},
		"no path":            {"deny tls:x GET http://x/", "is no path"},
		"no method":          {"deny tls:x get /_ping", "is no method"},
		"nothing":            {"# nothing\n", "holds no case"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := policyDir(t, "data.yaml", casedData, "look.cases", tc.cases)
			wantContains(t, refused(t, Options{Paths: []string{dir}, Once: true}), tc.says)
		})
	}
	dir := policyDir(t, "data.yaml", casedData, "look.cases", "allow tls:x GET /containers/json")
	e := loaded(t, Options{Paths: []string{dir}})
	was := e.Status().Revision
	write(t, dir, "more.cases", "deny tls:x GET /containers/json")
	if err := e.Load(t.Context()); err == nil || e.Status().Revision != was {
		t.Errorf("%v, revision %s", err, e.Status().Revision)
	}
}

// Cases that there was no time to decide hold of nothing, though who asks too late is denied. What a request enters is sorted, as at the gateway.
func TestCasesThatAreNotDecidedClosed(t *testing.T) {
	t.Parallel()
	opts := Options{Paths: []string{policyDir(t, "data.yaml", casedData, "look.cases", "deny tls:x POST /containers/web/kill")}}
	g := loaded(t, opts).current.Load()
	src, err := readSources(opts.Paths, false)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := vetCases(ctx, g, src); err == nil || !strings.Contains(err.Error(), "not decided within") {
		t.Errorf("got %v", err)
	}
	if got := entersNamed(&operation.Operation{Enters: []string{"b", "a"}}); !slices.Equal(got, []string{"container:a", "container:b"}) {
		t.Errorf("it enters %v", got)
	}
	for _, ref := range []string{"exec:1", "*"} {
		if got := entersNamed(&operation.Operation{Enters: []string{ref}}); !slices.Equal(got, []string{"*"}) {
			t.Errorf("%s: it enters %v", ref, got)
		}
	}
}

// The mint, a stream that cannot be blanked and rails count as at the gateway, also where the rules allow.
func TestCasesAreAnsweredAsTheGatewayClosed(t *testing.T) {
	t.Parallel()
	dir := policyDir(t, "data.yaml", `roles:
  all: {operations: ["*"], hazards: ["*"]}
  stats: {operations: [ContainerStats], redact: {ContainerStats: [/name]}}
bindings: {admin: [local], all: ["tls:all"], look: ["container:agent"], stats: ["tls:stats"]}
`, "x.cases", `deny tls:all POST /plugins/x/disable
deny tls:all POST /containers/agent/exec {"Cmd":["sh"]}
allow tls:all POST /containers/web/exec {"Cmd":["sh"]}
deny tls:stats GET /containers/web/stats
allow tls:stats GET /containers/web/stats?stream=0
allow local POST /plugins/x/disable
`)
	loaded(t, Options{Paths: []string{dir}})
}

// What there is can be told, as to eval: whose it is counts then, and what is not told of cannot be told. It holds for the lines below.
func TestObjectsOfCasesClosed(t *testing.T) {
	long.Alone(t)
	t.Parallel()
	const data = `
roles:
  blue: {access: [ping, list, inspect, stream, write], where: {team: blue}, hazards: [env], redact: {ContainerStats: [/name]}}
bindings: {admin: [local], blue: ["tls:x"]}
`
	dir := policyDir(t, "data.yaml", data, "blue.cases", `
allow tls:x POST /containers/web/restart
object container:web,id=0f3c,label=team=blue
object container:shop,label=team=red
object container:gone,none
allow tls:x POST /containers/web/restart
allow tls:x POST /containers/0f/restart
deny  tls:x POST /containers/shop/restart
deny  tls:x POST /containers/other/restart
deny  tls:x GET  /containers/web/logs
deny  tls:x GET  /containers/web/stats
allow tls:x GET  /containers/json
allow local POST /containers/shop/restart
allow local POST /images/load
`)
	loaded(t, Options{Paths: []string{dir}})
	own := module("default allow := false\n\nallow if { some o in input.objects; o.labels.team == \"blue\" }")
	loaded(t, Options{Paths: []string{policyDir(t, "authz.rego", own, "x.cases", "object container:web,label=team=blue\nallow tls:x POST /containers/web/restart\n")}})
	for line, says := range map[string]string{
		"object container:shop,label=team=red\nallow tls:x POST /containers/shop/restart":  "blue.cases:2: POST /containers/shop/restart by tls:x is denied, and the case says allow: shop is not there for the caller [view]",
		"object container:shop,label=team=red\nallow tls:x POST /containers/other/restart": "cannot be told",
		"object pod:x\nallow tls:x GET /_ping":                                             "blue.cases:1: object: there is no kind",
		"object container:web\nobject":                                                     "blue.cases:2",
	} {
		write(t, dir, "blue.cases", line+"\n")
		wantContains(t, refused(t, Options{Paths: []string{dir}}), says)
	}
}

// A case is what its caller is answered: a role in mode audit denies nothing but what rails do.
func TestCasesOfARoleInAuditClosed(t *testing.T) {
	long.Alone(t)
	t.Parallel()
	const data = "roles: {new: {access: [list], mode: audit}}\nbindings: {admin: [local], new: ['tls:x']}\n"
	dir := policyDir(t, "data.yaml", data, "new.cases", "allow tls:x POST /containers/web/kill\ndeny tls:x POST /plugins/x/disable\n")
	loaded(t, Options{Paths: []string{dir}})
	write(t, dir, "new.cases", "deny tls:x POST /containers/web/kill\n")
	wantContains(t, refused(t, Options{Paths: []string{dir}}), "is allowed, and the case says deny", "[not-granted], and lifted, as a role of the caller is in mode audit")
}

// Of a file that is given by its name the cases beside it count, and of a folder those in it, not below.
func TestWhereCasesAreFound(t *testing.T) {
	long.Alone(t)
	t.Parallel()
	wrong := "deny tls:x GET /containers/json"
	dir := policyDir(t, "team.yaml", casedData, "team.cases", wrong, "other.cases", wrong)
	wantContains(t, refused(t, Options{Paths: []string{dir + "/team.yaml"}}), "team.cases:1")
	loaded(t, Options{Paths: []string{policyDir(t, "data.yaml", casedData, "below/x.cases", wrong)}})
}

// Of data alone the cases are all that is tested; with Rego its tests too.
func TestRunCases(t *testing.T) {
	long.Alone(t)
	t.Parallel()
	dir := policyDir(t, "data.yaml", casedData, "look.cases", "allow tls:x GET /containers/json\ndeny tls:x GET /containers/json\n")
	var out bytes.Buffer
	if ok, err := RunTests(t.Context(), []string{dir}, &out, true); ok || err != nil {
		t.Errorf("%v, %v", ok, err)
	}
	wantContains(t, out.String(), "FAIL  "+dir+"/look.cases:2: ", "2 cases, 1 failed")
	if strings.Contains(out.String(), "test_look_lists") {
		t.Error("the built-in rules' own tests ran")
	}
	own := policyDir(t, "authz.rego", module(allowList), "authz_test.rego", closedTest, "x.cases", "allow tls:x GET /v1.41/containers/json\n")
	out.Reset()
	if ok, err := RunTests(t.Context(), []string{own}, &out, false); !ok || err != nil {
		t.Errorf("%v, %v: %s", ok, err, out.String())
	}
	wantContains(t, out.String(), "1 cases, 0 failed", "1 tests, 0 failed")
	write(t, own, "x.cases", "deny tls:x GET /v1.41/containers/json\n")
	if ok, _ := RunTests(t.Context(), []string{own}, &out, false); ok {
		t.Error("ok, though a case fails")
	}
}

// FuzzCases: whatever a file holds, each of its lines is a case, is nothing, or is said to be wrong by its number.
func FuzzCases(f *testing.F) {
	f.Add("allow tls:x GET /_ping")
	f.Add("deny container:a,label:a=b POST /containers/create?name=x  {\"Image\":\"x y\"}\n#\n\nx")
	f.Fuzz(func(t *testing.T, text string) {
		lines := strings.Count(text, "\n") + 1
		cases, err := parseCases(file{name: "x.cases", raw: []byte(text)})
		told := len(cases)
		for _, c := range cases {
			if c.line < 1 || c.line > lines || c.uri == "" || len(c.who) == 0 {
				t.Errorf("%+v of %d lines", c, lines)
			}
		}
		for _, p := range problems(err, false) {
			if p.File != "x.cases" || p.Line > lines || p.Line == 0 && told > 0 {
				t.Errorf("%+v of %d lines", p, lines)
			}
			told++
		}
		if told > lines || told == 0 {
			t.Errorf("%d cases and problems of %d lines: %v", told, lines, errors.Join(err, os.ErrInvalid))
		}
	})
}
