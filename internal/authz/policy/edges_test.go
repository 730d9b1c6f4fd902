package policy

import (
	"strings"
	"testing"

	"github.com/open-policy-agent/opa/v1/ast"
)

// TestCheckSpellings: what is written so that it never means what it says is named, with what to write.
func TestCheckSpellings(t *testing.T) {
	t.Parallel()
	dir := policyDir(t, "data.yaml", `bindings: {admin: ["unix:root", local], paths: ["tls:a"], labels: ["tls:b"]}
roles:
  admin: {operations: ["*"], hazards: ["*"], image_names: ["z"]}
  paths: {access: [ping, write], hazards: [host-path], host_paths: ["/srv//app", "/srv/data/", "/srv/$user/x"]}
  labels: {access: [ping], where: {"": x}}
`)
	var said strings.Builder
	for _, p := range Check(t.Context(), Options{Paths: []string{dir}}) {
		said.WriteString(p.Error() + "\n")
	}
	for text, times := range map[string]int{
		"is compared with canonical paths: write /srv/app\n": 1, "is compared with canonical paths": 1,
		`"" is no label that the daemon can be asked for`: 1, "gives images whatever names it likes": 0,
	} {
		if n := strings.Count(said.String(), text); n != times {
			t.Errorf("%q comes %d times, want %d, in\n%s", text, n, times, said.String())
		}
	}
}

// TestRegoVersionOfAModule is that in which it can be read.
func TestRegoVersionOfAModule(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]ast.RegoVersion{
		"package a\nallow = true {\n\tinput.x\n}\n": ast.RegoV0, "package a\nallow if input.x\n": ast.RegoV1,
	} {
		if got, err := RegoVersion("a.rego", []byte(text)); got != want || err != nil {
			t.Errorf("%q: %v, %v", text, got, err)
		}
	}
	if _, err := RegoVersion("a.rego", []byte("package a\nallow {")); err == nil {
		t.Error("what cannot be read has a version")
	}
}

// TestRevision: whatever is changed, it is another policy.
func TestRevision(t *testing.T) {
	t.Parallel()
	x, y, z := file{name: "a", raw: []byte("x")}, file{name: "a", raw: []byte("y")}, file{name: "b", raw: []byte("x")}
	seen := map[string]int{}
	for i, s := range []sources{
		{},
		{claims: []file{x}},
		{claims: []file{y}},
		{claims: []file{z}},
		{modules: []file{x}},
		{modules: []file{y}},
		{modules: []file{z}},
		{modules: []file{x}, tests: []file{z}},
		{modules: []file{x, z}},
		{data: [][]file{{y, z}}},
		{data: [][]file{{y}, {z}}},
		{data: [][]file{{z}, {y}}},
	} {
		if other, has := seen[s.digest()]; has {
			t.Errorf("%d and %d have one revision", other, i)
		}
		seen[s.digest()] = i
	}
}

// TestWordsForTheShell stand as they are if nothing in them means something to it.
func TestWordsForTheShell(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{"Ab-9_./:=@,z": "Ab-9_./:=@,z", "": "''", "a b": "'a b'", "it's": `'it'\''s'`, "$x": "'$x'", "é": "'é'"} {
		if got := quoted(text); got != want {
			t.Errorf("%q is %s", text, got)
		}
	}
}

// TestCounts are of the built-in rules' data; without a policy, and of other rules, there is nothing to count.
func TestCounts(t *testing.T) {
	t.Parallel()
	builtin := loaded(t, Options{Paths: []string{policyDir(t, "data.yaml", `bindings: {admin: [local, "unix:root"], ci: ["tls:a"]}
roles:
  ci: {access: [ping], mode: audit}
`)}})
	if n := builtin.Counts(); n.Bindings != 3 || n.Roles < 2 || len(n.Audit) != 1 || n.Audit[0] != "ci" {
		t.Errorf("%+v", n)
	}
	own := loaded(t, Options{Paths: []string{policyDir(t, "a.rego", "package docker.authz\ndefault allow := false\nadmin if input.caller.kind == \"local\"\n")}})
	for _, e := range []*Engine{own, {}} {
		if n := e.Counts(); n.Bindings != 0 || n.Roles != 0 || n.Audit != nil {
			t.Errorf("%+v", n)
		}
	}
}
