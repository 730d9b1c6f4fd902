package policy

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"vitrine/internal/authz/answer"
	"vitrine/internal/engine/operation"
	"vitrine/test/long"
)

// twoRoles are roles and their bindings: container:0 holds two that blank what the first pair says, container:1 two of the second, and so on.
// They are one policy, as it takes a tenth of a second to load.
func twoRoles(grants string, redact ...[2]string) (roles, bindings string) {
	for n, pair := range redact {
		for i, name := range []string{"a", "b"} {
			roles += fmt.Sprintf("  %s%d: {%s, redact: %s}\n", name, n, grants, pair[i])
			bindings += fmt.Sprintf("  %s%d: ['container:%d']\n", name, n, n)
		}
	}
	return "roles:\n" + roles, "bindings:\n" + bindings
}

// redacted is what container:n is not shown.
func redacted(t testing.TB, e *Engine, n int, uri string) []string {
	t.Helper()
	d := e.Decide(t.Context(), ask(t, []string{fmt.Sprint("container:", n)}, "GET", uri, ""))
	if !d.Allow || d.Failed {
		t.Fatalf("%d, %s: %+v", n, uri, d)
	}
	return d.Redact
}

// TestRolesThatBlankTheSameClosed: what two roles blank is blanked, however each
// of them says it; and what one of them shows is shown.
func TestRolesThatBlankTheSameClosed(t *testing.T) {
	long.Alone(t)
	t.Parallel()
	tests := []struct{ a, b, both string }{
		{"/Config/Env/*", "/Config/Env", "/Config/Env/*"},
		{"/Config/Env/*", "/Config", "/Config/Env/*"},
		{"/Config/Env/*", "/config/env/*", "/Config/Env/*"},
		{"/Config/Env/*", "/*/Env/*", "/Config/Env/*"},
		{"/*/Env/*", "/*/env", "/*/Env/*"},
		{`""`, "/Config/Env/*", "/Config/Env/*"},
		{`""`, `""`, ""},
		{"env", "/config", "/Config/Env/*"},
		{"/Config/*", "env, health", "/Config/Env/* /Config/Healthcheck/Test"},
		{`"*"`, "/State", "/State/Error /State/Health/Log/*/Output"},
		{"/Config/Labels/*", "/config/labels/token", "/Config/Labels/token"},
		{"/Config/Labels/KEY", "/Config/Labels/key", "/Config/Labels/KEY"},
		{"/NetworkSettings/Networks/*/DriverOpts/psk", "/NetworkSettings/Networks/lan/DriverOpts/*", "/NetworkSettings/Networks/lan/DriverOpts/psk"},
		{"/Mounts/0/Source", "/Mounts/*", "/Mounts/0/Source"},
		{"/Config/Labels/a", "/Config/Labels/b", "none"},
		{"/Config/Env/*", "/HostConfig/LogConfig/Config/*", "none"},
		{"/Mounts/0", "/Mounts/1", "none"},
	}
	var redact [][2]string
	for _, tc := range tests {
		redact = append(redact, [2]string{"{ContainerInspect: [" + tc.a + "]}", "{ContainerInspect: [" + tc.b + "]}"})
	}
	several := len(redact)
	redact = append(redact, [2]string{`{"*": [env], ContainerList: [/*/Labels]}`, `{"*": [health], ContainerInspect: [health]}`})
	roles, bindings := twoRoles("access: [list, inspect], hazards: [env]", redact...)
	e := loaded(t, Options{Paths: []string{policyDir(t, "data.yaml", roles+bindings+"  admin: [local]\n")}})
	for n, tc := range tests {
		got := redacted(t, e, n, "/containers/web/json")
		if tc.both == "none" && len(got) != 0 || tc.both != "none" && (len(got) == 0 || strings.Join(got, " ") != tc.both) {
			t.Errorf("%s and %s: %q, want %s", tc.a, tc.b, got, tc.both)
		}
	}
	for uri, want := range map[string]string{
		"/images/x/history":  "/*/CreatedBy", // each role has another secret of it
		"/containers/json":   "none",         // one role shows all of it
		"/containers/x/json": "none",
	} {
		got := redacted(t, e, several, uri)
		if want == "none" && len(got) != 0 || want != "none" && strings.Join(got, " ") != want {
			t.Errorf("%s: %q, want %s", uri, got, want)
		}
	}
}

// TestCopyOfTheBuiltInPolicyBlanksTheSameClosed: whoever edits a copy of the built-in rules
// has what several roles blank compared by what it covers, secrets by their names, and the hazard
// env taken by who blanks all environments.
func TestCopyOfTheBuiltInPolicyBlanksTheSameClosed(t *testing.T) {
	long.Alone(t)
	rules, err := os.ReadFile("../../../rego/authz.rego")
	if err != nil {
		t.Fatal(err)
	}
	tests := []struct{ a, b, uri, both string }{
		{"{ContainerInspect: [/Config/Env/*]}", "{ContainerInspect: [/config/env]}", "/containers/web/json", "/Config/Env/*"},
		{"{ContainerInspect: [/Config/Env/*]}", "{ContainerInspect: [/Config]}", "/containers/web/json", "/Config/Env/*"},
		{`{"*": [env, errors]}`, "{ContainerInspect: [/*/Env]}", "/containers/web/json", "/Config/Env/*"},
		{`{"*": [env]}`, `{"*": [env, health]}`, "/containers/web/json", "/Config/Env/*"},
		{"{ContainerInspect: [/Config/Env/*, /State]}", "{ContainerInspect: [env]}", "/containers/web/json", "/Config/Env/*"},
		{`{"*": [exec, env]}`, "{SystemEvents: [exec], ContainerInspect: [env]}", "/events", "/Action /status"},
	}
	var redact [][2]string
	for _, tc := range tests {
		redact = append(redact, [2]string{tc.a, tc.b})
	}
	roles, bindings := twoRoles("access: [list, inspect], operations: [SystemEvents]", redact...)
	dir := policyDir(t, "authz.rego", string(rules), "data.yaml", roles+"  admin: {operations: ['*']}\n"+bindings+"  admin: [local, 'unix:root']\n")
	e := loaded(t, Options{Paths: []string{dir}})
	for n, tc := range tests {
		if got := strings.Join(redacted(t, e, n, tc.uri), " "); got != tc.both {
			t.Errorf("%s and %s: %q, want %s", tc.a, tc.b, got, tc.both)
		}
	}
	if found := fmt.Sprint(Check(t.Context(), Options{Paths: []string{dir}})); strings.Contains(found, "roles blank") {
		t.Error(found)
	}
}

// TestRolesOfAnotherMeaningStayAsTheyAreWritten: a policy of one's own may read redact in
// ways of its own; it is said that nobody else reads it.
func TestRolesOfAnotherMeaningStayAsTheyAreWritten(t *testing.T) {
	long.Alone(t)
	for redact, warned := range map[string]bool{
		"{ContainerInspect: [$.Config.Env]}": true,
		"{ContainerInspect: [/Config/Evn]}":  true,
		"{ContainerInspect: {a: b}}":         true,
		"{ContainerInspect: [1]}":            true,
		"[env]":                              true,
		"{ContainerInspect: [env]}":          false,
		"null":                               false,
	} {
		dir := policyDir(t, "authz.rego", module(`
default allow := false
allow if {
	input.operation.id
	data.roles.a
}
reasons contains json.marshal(data.roles.a)
default admin := true
`), "data.yaml", "roles: {a: {redact: "+redact+", other: 1}, b: [1]}")
		e := loaded(t, Options{Paths: []string{dir}})
		warning := fmt.Sprint(Check(t.Context(), Options{Paths: []string{dir}}))
		said := fmt.Sprint(e.Decide(t.Context(), ask(t, []string{"local"}, "GET", "/info", "")).Reasons)
		if got := strings.Contains(warning, "left to the policy as it is written"); got != warned || strings.Contains(said, "blanks") != (redact == "{ContainerInspect: [env]}") {
			t.Errorf("%s: %s, %s", redact, warning, said)
		}
	}
}

// TestPointerThatCoversNothingClosed: it is refused, and says what was meant.
func TestPointerThatCoversNothingClosed(t *testing.T) {
	long.Alone(t)
	t.Parallel()
	for redact, want := range map[string]string{
		"{ContainerInspect: [/Config/Enviroment/*]}": `"/Config/Enviroment/*" covers nothing: ContainerInspect's answer has no Config.Enviroment; is it Config.Env?`,
		"{ContainerInspect: [/Config/Evn]}":          `has no Config.Evn; is it Config.Env?`,
		"{ContainerInspect: [/Env/*]}":               `has no Env; is it /Config/Env?`,
		"{ContainerInspect: [/Config/Env/*/x]}":      `Config.Env.* is a string: nothing is below it`,
		"{ContainerInspect: [/Config/Env/x]}":        `Config.Env is a list: below it is an index, or *`,
		"{ContainerList: [/Labels]}":                 `the answer is a list: below it is an index, or *; is it /*/Labels?`,
		"{ContainerInspect: [/State/Pid/*]}":         `State.Pid is a number or boolean`,
		"{ContainerLogs: [/x]}":                      `ContainerLogs answers with no document`,
		"{ContainerInspect: [envv]}":                 `"envv" is no JSON pointer: it must begin with a slash, e.g. /Config/Env/*; nor is it the name of a secret; is it env? (there are env, commands,`,
		"{ContainerInspect: [build-args]}":           `ContainerInspect's answer holds no build-args (those of ImageAttestations, ImageHistory, ImageInspect, SystemDataUsage do)`,
		"{ContainerInspect: [/Config/Labels/a/b]}":   `Config.Labels.a is a string: nothing is below it`,
		`{"*": [/Config/Env]}`:                       `a pointer belongs under the operation`,
		`{"*": [Env]}`:                               `"Env" is no JSON pointer`,
		"{ContainerInspect: [/a~2]}":                 `neither ~0 nor ~1`,
		"[env]":                                      `must be a mapping, not a list`,
	} {
		dir := policyDir(t, "data.yaml", "roles: {r: {access: [list], redact: "+redact+"}}")
		wantContains(t, refused(t, Options{Paths: []string{dir}}), "data.yaml:1: roles.r.redact", want)
	}
	// A free key may be anything, and an error's text is in every operation.
	var roles strings.Builder
	for i, redact := range []string{
		"{ContainerInspect: [/Config/Labels/whatever]}", "{ContainerStart: [/message], ContainerLogs: [/message]}",
		`{"*": ["*"]}`, `{ContainerInspect: ["", "*", /HostConfig/PortBindings/80~1tcp/0/HostIp]}`, "{}",
	} {
		fmt.Fprintf(&roles, "  r%d: {access: [list], redact: %s}\n", i, redact)
	}
	loaded(t, Options{Paths: []string{policyDir(t, "data.yaml", "roles:\n"+roles.String())}})
}

// TestEnvironmentBlankedInPartClosed: the hazard is taken only by what leaves
// nothing of the environments in the answer.
func TestEnvironmentBlankedInPartClosed(t *testing.T) {
	long.Alone(t)
	t.Parallel()
	tests := []struct {
		uri, redact string
		allow       bool
	}{
		{"/containers/x/json", "{ContainerInspect: [/Config/Env/*]}", true},
		{"/containers/x/json", "{ContainerInspect: [/config]}", true},
		{"/containers/x/json", "{ContainerInspect: [env]}", true},
		{"/containers/x/json", `{"*": [env]}`, true},
		{"/containers/x/json", "{ContainerInspect: [/Config/Env/0]}", false},
		{"/containers/x/json", "{ContainerInspect: [/HostConfig/LogConfig/Config/*]}", false},
		{"/containers/x/json", "{ImageInspect: [env]}", false},
		{"/containers/x/json", `{"*": [health]}`, false},
		{"/images/x/json", "{ImageInspect: [/Config/Env/*]}", false}, // ContainerConfig has them too
		{"/images/x/json", "{ImageInspect: [env]}", true},
		{"/images/x/history", "{ImageHistory: [/*/Comment]}", false},
		{"/images/x/history", "{ImageHistory: [build-args]}", true},
		{"/services/x", `{ServiceInspect: [/Spec/TaskTemplate/ContainerSpec/Env/*]}`, false}, // PreviousSpec
		{"/services/x", `{"*": [env]}`, true},
		{"/plugins/x/json", "{PluginInspect: [/Settings/Env/*]}", false},
		{"/plugins/x/json", `{"*": [env]}`, true},
	}
	roles, bindings := "roles:\n", "bindings:\n  admin: [local]\n"
	for n, tc := range tests {
		roles += fmt.Sprintf("  r%d: {access: [inspect], redact: %s}\n", n, tc.redact)
		bindings += fmt.Sprintf("  r%d: ['container:%d']\n", n, n)
	}
	e := loaded(t, Options{Paths: []string{policyDir(t, "data.yaml", roles+bindings)}})
	for n, tc := range tests {
		if d := e.Decide(t.Context(), ask(t, []string{fmt.Sprint("container:", n)}, "GET", tc.uri, "")); d.Allow != tc.allow || d.Failed {
			t.Errorf("%s, %s: %+v", tc.uri, tc.redact, d)
		}
	}
}

// TestEveryEnvironmentHazardCanBeBlanked: the table of secrets knows where the
// environments are in each answer that has the hazard.
func TestEveryEnvironmentHazardCanBeBlanked(t *testing.T) {
	t.Parallel()
	holding := answer.Holding("env")
	for _, info := range operation.Operations() {
		if info.Method != "GET" || info.Access != operation.List && info.Access != operation.Inspect {
			continue
		}
		path := strings.NewReplacer("{id}", "x", "{name}", "x", "{checkpoint}", "x", "{anyroute}", "x").Replace(info.Path)
		in := ask(t, nil, info.Method, path, "")
		if has := slices.Contains(in.Operation.Hazards, operation.HazardEnv); has != slices.Contains(holding, info.ID) {
			t.Errorf("%s: hazard env %v, and in the table of secrets %v", info.ID, has, !has)
		}
	}
}

// TestNamesOfSecretsInRego: a policy of one's own may answer names and pointers.
func TestNamesOfSecretsInRego(t *testing.T) {
	t.Parallel()
	e := loaded(t, Options{Paths: []string{policyDir(t, "authz.rego", module(`default allow := false
allow if input.operation.access in {"list", "inspect"}
redact contains secret if some secret in ["env", "health", "/Config/Env", "/config/env/*"]
redact contains "Env" if input.operation.id == "ImageList"`))}})
	if got := redacted(t, e, 0, "/containers/x/json"); strings.Join(got, " ") != "/Config/Env /Config/Healthcheck/Test /State/Health/Log/*/Output" {
		t.Errorf("%q", got)
	}
	for range 2 {
		d := e.Decide(t.Context(), ask(t, nil, "GET", "/images/json", ""))
		if d.Allow || !d.Failed || len(d.Redact) != 0 {
			t.Errorf("a name that is none: %+v", d)
		}
		wantContains(t, d.Reasons[0], `"Env", which is no JSON pointer`)
	}
}

// TestCheckOfRedaction: what loads, and is probably not meant.
func TestCheckOfRedaction(t *testing.T) {
	long.Alone(t)
	t.Parallel()
	dir := policyDir(t, "data.yaml", "roles:\n  r:\n    access: [list]\n    redact:\n      ImageInspect: [/Config/Env/*]\n"+
		"      ContainerInspect: [env]\nbindings: {admin: [local], r: [\"tls:x\"]}")
	found := Check(t.Context(), Options{Paths: []string{dir}})
	if len(found) != 1 || !found[0].Warning || found[0].Line != 5 {
		t.Fatalf("%v", found)
	}
	wantContains(t, found[0].Message, "/ContainerConfig/Cmd/*, /ContainerConfig/Env/*, /ContainerConfig/OnBuild shows them too")

	dir = policyDir(t, "authz.rego", module(`default allow := false
redact contains "/Config/Env/*"
redact contains "/*/Env/*" if input.operation.id == "ContainerInspect"
redact contains "/Config/Enviroment/*" if input.operation.access == "inspect"
other contains "/Config/Enviroment/*" if input.operation.access == "inspect"
redact contains concat("/", ["/Config", input.operation.target])`), "data.yaml", "strict: true")
	found = Check(t.Context(), Options{Paths: []string{dir}})
	if len(found) != 1 || !found[0].Warning || !strings.Contains(found[0].Error(), `"/Config/Enviroment/*" covers nothing`) {
		t.Fatalf("%v", found)
	}
}

// TestBuiltinRedactionIsReviewed holds what the built-in roles blank against
// testdata/redacted.txt.
func TestBuiltinRedactionIsReviewed(t *testing.T) {
	long.Alone(t)
	t.Parallel()
	e := builtin()
	var b strings.Builder
	for _, role := range []struct{ name, principal string }{{"look", "label:vitrine.role=look"}, {"monitor", "container:monitor"}} {
		for _, info := range operation.Operations() {
			if info.Method != "GET" && info.Method != "HEAD" {
				continue
			}
			path := strings.NewReplacer("{id}", "x", "{name}", "x", "{checkpoint}", "x", "{anyroute}", "x").Replace(info.Path)
			if info.ID == "ContainerStats" {
				path += "?stream=false"
			}
			in := ask(t, []string{role.principal}, info.Method, path, "")
			if d := e.Decide(t.Context(), in); d.Allow {
				fmt.Fprintf(&b, "%s %s %s\n", role.name, info.ID, strings.Join(d.Redact, " "))
			}
		}
	}
	name := filepath.Join("testdata", "redacted.txt")
	if *update {
		if err := os.WriteFile(name, []byte(b.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal([]byte(b.String()), want) {
		t.Error("testdata/redacted.txt is not what the built-in roles blank: run this test with -update, and read what changed")
	}
}
