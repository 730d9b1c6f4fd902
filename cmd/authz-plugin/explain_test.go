package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"vitrine/internal/authz/explain"
	"vitrine/internal/authz/policy"
	"vitrine/internal/command"
	"vitrine/internal/engine/operation"
	"vitrine/test/long"
)

// TestDocsExplain: what the docs show of explain and who-can is what they say of the docs' own examples.
func TestDocsExplain(t *testing.T) {
	long.Alone(t)
	t.Parallel()
	for page, tc := range map[string]struct {
		example string
		exit    int
	}{"policy-guide.md": {"team", command.Failed}, "proofs.md": {"proved", 0}} {
		text, err := os.ReadFile("../../docs/" + page)
		if err != nil {
			t.Fatal(err)
		}
		dir := t.TempDir()
		for _, m := range regexp.MustCompile("(?s)<!-- example: "+tc.example+" (\\S+) -->\n```yaml\n(.*?)```").FindAllSubmatch(text, -1) {
			if err := os.WriteFile(filepath.Join(dir, string(m[1])), m[2], 0o600); err != nil {
				t.Fatal(err)
			}
		}
		shown := regexp.MustCompile("(?s)\n\\$ authz-plugin ([^\n]*--policy DIR[^\n]*)\n(.*?)```").FindStringSubmatch(string(text))
		if shown == nil {
			t.Fatalf("%s shows nothing", page)
		}
		out, code := runOnce(t, strings.Fields(strings.NewReplacer("DIR", dir, "'", "").Replace(shown[1])))
		if code != tc.exit {
			t.Errorf("%s: exit %d", page, code)
		}
		said := strings.ReplaceAll(out, dir, "DIR")
		for line := range strings.Lines(shown[2]) {
			if line != "…\n" && !strings.Contains(said, line) {
				t.Errorf("%s: it does not say %q:\n%s", page, line, said)
			}
		}
	}
}

func runOnce(t *testing.T, args []string) (out string, code int) {
	t.Helper()
	var b bytes.Buffer
	code = run(t.Context(), args, command.Streams{In: strings.NewReader(""), Out: &b, Err: &b})
	return b.String(), code
}

// TestWitnessesReplay: the line that who-can shows for somebody is a request that eval allows him.
func TestWitnessesReplay(t *testing.T) {
	long.Alone(t)
	t.Parallel()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "data.yaml"), []byte(`roles:
  maker: {access: [ping, list, write], hazards: ["*"], host_paths: [/srv/app, "volume:v*"]}
  own: {access: [list, inspect, write, content], hazards: [env, named-volume], own: true}
  team: {access: [list, inspect, interactive], operations: [ContainerRestart], hazards: [env], where: {team: blue}}
bindings: {admin: [local, "unix:root"], maker: [["unix:ci", "gid:7"]], own: ["container:runner"], team: ["tls:blue"], look: ["label:a=b"]}
`), 0o600); err != nil {
		t.Fatal(err)
	}
	p, err := policy.NewProver(t.Context(), policy.Options{Paths: []string{dir}})
	if err != nil {
		t.Fatal(err)
	}
	engine := policy.New(policy.Options{Paths: []string{dir}})
	if err := engine.Load(t.Context()); err != nil {
		t.Fatal(err)
	}
	replayed := 0
	for i, info := range operation.Operations() {
		if i%long.Of(4, 1) > 0 {
			continue
		}
		for _, h := range append(operation.MayHave(info.ID), "") {
			f, err := p.WhoCan(t.Context(), info.ID, h)
			if err != nil {
				t.Fatal(err)
			}
			for j, w := range f.Can {
				if w.OwnExec || w.Role == "admin" && (i+j)%8 > 0 { // an admin can everything: a few are enough
					continue
				}
				asked := evalFlags{as: w.As, objects: w.Objects, policy: []string{dir}}
				if w.Body != "" {
					asked.body = "-"
				}
				if slices.Contains(w.As, "local") {
					asked.door = "plugin"
				}
				q, err := asked.question(w.Method, w.URI, strings.NewReader(w.Body))
				if err != nil {
					t.Fatal(err)
				}
				q.Options.Policy = engine
				if v, _ := explain.Ask(t.Context(), q.Options, q.Caller, q.Request()); !v.Allow || explain.Hidden(v) {
					t.Errorf("%s: %s", w.Command([]string{dir}), v.Message)
				}
				replayed++
			}
		}
	}
	if replayed < long.Of(20, 100) {
		t.Errorf("only %d were replayed", replayed)
	}
}

// TestExplainKnowsGrants: what is lent counts, is named with its end, and counts no more when that is over, or if the policy does not lend it.
func TestExplainKnowsGrants(t *testing.T) {
	long.Alone(t)
	t.Parallel()
	dir := t.TempDir()
	until := time.Now().Add(time.Hour).UTC().Truncate(time.Second)
	for name, text := range map[string]string{
		"data.yaml": "roles: {deployer: {access: [list], operations: [ContainerRestart], grant: {max: 8h}}, other: {access: [write]}}\nbindings: {admin: [local]}\n",
		"grants.yaml": fmt.Sprintf(`grants:
- {id: g-1, role: deployer, to: ["tls:alice"], from: %s, until: %s, by: root, reason: x}
- {id: g-2, role: deployer, to: ["tls:bob"], from: 2026-01-01T00:00:00Z, until: 2026-01-01T00:30:00Z, by: root, reason: x}
- {id: g-3, role: other, to: ["tls:eve"], from: %s, until: %s, by: root, reason: x}
`, until.Add(-2*time.Hour).Format(time.RFC3339), until.Format(time.RFC3339), until.Add(-2*time.Hour).Format(time.RFC3339), until.Format(time.RFC3339)),
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, tt := range []struct {
		who, grants string
		allow       bool
	}{
		{"tls:alice", filepath.Join(dir, "grants.yaml"), true},
		{"tls:alice", "", false},
		{"tls:bob", filepath.Join(dir, "grants.yaml"), false},
		{"tls:eve", filepath.Join(dir, "grants.yaml"), false},
	} {
		asked := evalFlags{as: []string{tt.who}, policy: []string{filepath.Join(dir, "data.yaml")}, grants: tt.grants}
		q, err := asked.question("POST", "/containers/web/restart", strings.NewReader(""))
		if err != nil {
			t.Fatal(err)
		}
		a, err := explain.Explain(t.Context(), *q)
		if err != nil || a.Allow != tt.allow {
			t.Errorf("%s: %+v %v", tt.who, a, err)
			continue
		}
		if tt.allow && (len(a.Holds) != 1 || a.Holds[0].At != "grant g-1, until "+until.Format(time.RFC3339)) {
			t.Errorf("it holds %+v", a.Holds)
		}
	}
}

// TestExplainAdvisesTheGatewaysSocket before the Engine's, where there is a gateway.
func TestExplainAdvisesTheGatewaysSocket(t *testing.T) {
	long.Alone(t)
	t.Parallel()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "data.yaml"), []byte("roles: {ci: {access: [ping, write]}}\nbindings: {admin: [local], ci: ['unix:ci']}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for door, want := range map[string]string{
		"gateway": "set engine_socket: substitute in role ci (" + dir + "/data.yaml:1), which puts the gateway's socket in place of the engine's",
		"plugin":  "add engine-socket to hazards of role ci (" + dir + "/data.yaml:1)",
	} {
		asked := evalFlags{as: []string{"unix:ci"}, policy: []string{dir}, door: door, body: "-"}
		q, err := asked.question("POST", "/containers/create", strings.NewReader(`{"Image":"ryuk:1","HostConfig":{"Binds":["/var/run/docker.sock:/var/run/docker.sock"]}}`))
		if err != nil {
			t.Fatal(err)
		}
		a, err := explain.Explain(t.Context(), *q)
		if err != nil || a.Allow || a.Change == nil || a.Change.Edits[0] != want || door == "gateway" && len(a.Change.Edits) > 1 {
			t.Errorf("%s: %+v, %v", door, a, err)
		}
		if a != nil && a.Change != nil {
			t.Logf("%s: %v, opens %v", door, a.Change.Edits, a.Change.Opens)
		}
	}
}
