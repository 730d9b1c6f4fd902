package policy

import (
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"vitrine/internal/engine/operation"
	"vitrine/rego"
	"vitrine/test/long"
)

func prover(t testing.TB, opts Options) *Prover {
	t.Helper()
	p, err := NewProver(t.Context(), opts)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func whoCan(t testing.TB, p *Prover, id string, h operation.Hazard) Finding {
	t.Helper()
	f, err := p.WhoCan(t.Context(), id, h)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// who are the names of those who can, and of those of whom it is not decided.
func (f *Finding) who() string {
	var words []string
	for _, w := range f.Can {
		words = append(words, w.Role+"="+strings.Join(w.As, "+"))
	}
	for _, h := range f.open {
		words = append(words, h.Role+"="+strings.Join(h.Principals, "+")+"?")
	}
	return strings.Join(append(words, f.lendable...), " ")
}

const provedData = `roles:
  maker:
    access: [ping, list, write]
    hazards: [env, host-path]
    host_paths: [/srv/app]
    ceilings: {memory: 4GiB}
  logs: {operations: [ContainerLogs], own: container}
  team: {operations: [ContainerRestart], where: {team: blue}}
  stats: {operations: [ContainerStats], redact: {ContainerStats: [/name]}}
  lent: {operations: [ContainerKill, ContainerCreate], hazards: ["*"], grant: {max: 1h}}
  unheld: {operations: [ContainerKill, ContainerCreate], hazards: ["*"]}
  execs: {operations: [ContainerExec]}
  events: {operations: [SystemEvents]}
bindings:
  admin: ["unix:root", local]
  maker: [["unix:ci", "gid:7"], "tls:ci"]
  logs: ["label:logs=yes"]
  team: ["tls:blue"]
  stats: ["tls:stats"]
  execs: ["tls:execs"]
`

func TestWhoCan(t *testing.T) {
	long.Alone(t)
	t.Parallel()
	p := prover(t, Options{Paths: []string{policyDir(t, "data.yaml", provedData)}})
	for question, want := range map[string]string{
		"ContainerCreate":               "admin=unix:root admin=local maker=unix:ci+gid:7 maker=tls:ci lent",
		"ContainerCreate privileged":    "admin=unix:root admin=local lent",
		"ContainerCreate host-path":     "admin=unix:root admin=local maker=unix:ci+gid:7 maker=tls:ci lent",
		"ContainerCreate unknown-input": "admin=unix:root admin=local",
		"ContainerLogs":                 "admin=unix:root admin=local logs=label:logs=yes+container:somebody",
		"ContainerLogs privileged":      "",
		"ContainerRestart":              "admin=unix:root admin=local team=tls:blue maker=unix:ci+gid:7 maker=tls:ci",
		"ContainerStats":                "admin=unix:root admin=local stats=tls:stats",
		"ExecStart":                     "admin=unix:root admin=local execs=tls:execs",
		"PluginDisable":                 "admin=unix:root admin=local",
		"SystemEvents":                  "admin=unix:root admin=local",
		"ContainerExec privileged":      "admin=unix:root admin=local",
		"ContainerCreate engine-socket": "admin=unix:root admin=local lent",
	} {
		id, h, _ := strings.Cut(question, " ")
		f := whoCan(t, p, id, operation.Hazard(h))
		sorted := func(s string) string {
			words := strings.Fields(s)
			slices.Sort(words)
			return strings.Join(words, " ")
		}
		state := Proved
		if strings.HasSuffix(want, " lent") {
			state = NotDecided
		}
		if got := f.who(); sorted(got) != sorted(want) || f.State != state {
			t.Errorf("%s: %s: %s\nwant %s", question, f.State, got, want)
		}
	}
	for question, shown := range map[string]bool{
		"tls:ci ContainerCreate": true, "tls:ci ContainerLogs": false, "tls:nobody ContainerCreate": false, "unix:ci ContainerCreate": false,
	} {
		who, id, _ := strings.Cut(question, " ")
		if a, err := p.Can(t.Context(), []string{who}, id, ""); err != nil || a.State != Proved || (a.Can != nil) != shown {
			t.Errorf("can %s: %+v, %v", question, a, err)
		}
	}
	if _, err := p.Can(t.Context(), []string{"tls:ci"}, "ContainerMurder", ""); err == nil {
		t.Error("an operation that there is not")
	}
}

// TestLinesOfARole: where it says of an operation that it grants it, by name before by class.
func TestLinesOfARole(t *testing.T) {
	t.Parallel()
	dir := policyDir(t, "data.yaml", `roles:
  r:
    access:
      - list
      - write
    operations:
      - ContainerStop
  all: {operations: ["*"]}
bindings: {admin: [local]}
`)
	m, err := ReadModel(Options{Paths: []string{dir}})
	if err != nil {
		t.Fatal(err)
	}
	for question, want := range map[string]string{
		"r POST /containers/x/stop": "7", "r POST /containers/x/kill": "5", "r GET /containers/json": "4", "r GET /plugins/x/json": "2", "all GET /plugins/x/json": "8", "none GET /_ping": "",
	} {
		words := strings.Fields(question)
		at := m.Line(words[0], ask(t, nil, words[1], words[2], "").Operation)
		if _, line, _ := strings.Cut(at, "data.yaml:"); line != want {
			t.Errorf("%s: %s, want line %s", question, at, want)
		}
	}
	words, at, given := m.Has("r", "access")
	if !slices.Equal(words, []string{"list", "write"}) || !given || !strings.HasSuffix(at, "data.yaml:3") {
		t.Errorf("%v, %s, %v", words, at, given)
	}
	if words, at, given := m.Has("r", "hazards"); len(words) > 0 || given || !strings.HasSuffix(at, "data.yaml:2") {
		t.Errorf("%v, %s, %v", words, at, given)
	}
}

// What a role is not denied by the rules, and no example shows, is not decided.
func TestWhoCanNotDecidedClosed(t *testing.T) {
	long.Alone(t)
	t.Parallel()
	p := prover(t, Options{Paths: []string{policyDir(t, "data.yaml", `roles:
  r: {operations: [ContainerCreate], hazards: [engine-socket, host-path], host_paths: [/srv/app]}
bindings: {admin: [local], r: ["tls:r"]}
`)}})
	if f := whoCan(t, p, "ContainerCreate", "engine-socket"); f.State != NotDecided || !strings.Contains(f.who(), "r=tls:r?") {
		t.Errorf("%s: %s", f.State, f.who())
	}
	if a, err := p.Can(t.Context(), []string{"tls:r"}, "ContainerCreate", "engine-socket"); err != nil || a.Can != nil || a.State != NotDecided {
		t.Errorf("can: %+v, %v", a, err)
	}
}

// Who makes containers anew makes those that have a hazard, too.
func TestWhoCanMakeAnewClosed(t *testing.T) {
	long.Alone(t)
	t.Parallel()
	p := prover(t, Options{Paths: []string{policyDir(t, "data.yaml", `roles:
  r: {operations: [ContainerStop, ContainerCreate], recreate: {where: {a: b}}}
bindings: {admin: [local], r: ["tls:r"]}
`)}})
	for h, want := range map[operation.Hazard]bool{"privileged": true, "host-path": true, "unknown-input": false} {
		if f := whoCan(t, p, "ContainerCreate", h); (f.State == NotDecided) != want || strings.Contains(f.who(), "r=tls:r?") != want {
			t.Errorf("%s: %s: %s", h, f.State, f.who())
		}
	}
	if f := whoCan(t, p, "ContainerStop", "privileged"); f.State != Proved {
		t.Errorf("%s", f.State)
	}
}

// A role that may be lent can be anybody's, also if somebody holds it for good.
func TestHeldRoleThatMayBeLentClosed(t *testing.T) {
	long.Alone(t)
	t.Parallel()
	data := `roles: {deployer: {access: [write], hazards: [host-path], grant: {max: 1h}}}
bindings: {admin: [local], deployer: ["unix:ci"]}
`
	f := whoCan(t, prover(t, Options{Paths: []string{policyDir(t, "data.yaml", data)}}), "ContainerCreate", "host-path")
	if f.State != NotDecided || !strings.Contains(f.who(), "deployer=unix:ci") || !slices.Equal(f.lendable, []string{"deployer"}) ||
		!strings.Contains(strings.Join(f.Open, ""), "deployer, which may be lent") {
		t.Errorf("%s: %s %v", f.State, f.who(), f.Open)
	}
}

// Whoever holds a role in mode audit is let through, whatever the rules deny it, but by no rail.
func TestRoleInAuditCanClosed(t *testing.T) {
	long.Alone(t)
	t.Parallel()
	p := prover(t, Options{Paths: []string{policyDir(t, "data.yaml", auditData)}})
	for question, want := range map[string]string{
		"ContainerCreate privileged":    "admin=local learning=uid:4501",
		"ContainerCreate unknown-input": "admin=local learning=uid:4501",
		"ContainerList":                 "admin=local learning=uid:4501",
		"PluginDisable":                 "admin=local",
	} {
		id, h, _ := strings.Cut(question, " ")
		if f := whoCan(t, p, id, operation.Hazard(h)); f.who() != want || f.State != Proved {
			t.Errorf("%s: %s: %s", question, f.State, f.who())
		}
	}
	if a, err := p.Can(t.Context(), []string{"uid:4501"}, "ContainerCreate", "privileged"); err != nil || a.Can == nil {
		t.Errorf("can: %+v %v", a, err)
	}
	own := prover(t, Options{Paths: []string{policyDir(t, "authz.rego", auditRego)}})
	for id, want := range map[string]State{"ContainerCreate": NotDecided, "PluginDisable": Proved} {
		if f := whoCan(t, own, id, ""); f.State != want || want == NotDecided && !strings.Contains(f.who(), "=uid:4501") {
			t.Errorf("Rego, %s: %s: %s %v", id, f.State, f.who(), f.Open)
		}
	}
}

const auditData = `roles: {learning: {access: [ping], mode: audit}}
bindings: {admin: [local], learning: ["uid:4501"]}
`

const auditRego = `package docker.authz

import rego.v2

default allow := false

audit if "uid:4501" in input.caller.principals
`

// An operator's extra rules may deny the least request alone; a proof does not lean on them.
func TestProofsDoNotLeanOnExtraRulesClosed(t *testing.T) {
	long.Alone(t)
	t.Parallel()
	dir := policyDir(t, "data.yaml", "roles: {r: {operations: [ContainerKill]}}\nbindings: {admin: [local], r: ['tls:r']}\n",
		"extra.rego", "package docker.authz.extra\n\nimport rego.v2\n\ndeny contains \"no\" if input.operation.target in {\"x\", \"host\"}\n")
	p := prover(t, Options{Paths: []string{dir}})
	if f := whoCan(t, p, "ContainerKill", ""); f.State != NotDecided {
		t.Errorf("%s: %s", f.State, f.who())
	}
}

const provedRego = `package docker.authz

import rego.v2

default allow := false

allow if admin

admin if "unix:root" in input.caller.principals

allow if {
	input.operation.access in {"list", "ping"}
	"tls:reader" in input.caller.principals
}

allow if {
	input.operation.id == "ContainerKill"
	input.operation.target == "web"
	"tls:killer" in input.caller.principals
}
`

func TestWhoCanUnderOnesOwnRules(t *testing.T) {
	t.Parallel()
	p := prover(t, Options{Paths: []string{policyDir(t, "authz.rego", strings.Replace(provedRego, "allow if admin\n", "", 1))}})
	if f := whoCan(t, p, "ContainerCreate", "privileged"); f.State != Proved || len(f.Can) > 0 {
		t.Errorf("nobody may: %+v", f)
	}
	if f := whoCan(t, p, "PluginDisable", ""); f.State != Proved {
		t.Errorf("a rail: %+v", f)
	}
	f := whoCan(t, p, "ContainerList", "")
	if f.State != NotDecided || !strings.Contains(f.who(), "=tls:reader") || !strings.Contains(strings.Join(f.Open, "\n"), "tls:reader") {
		t.Errorf("a reader: %+v", f)
	}
	for who, want := range map[string]string{"tls:reader ContainerList": "shown", "tls:other ContainerList": "not decided", "tls:reader ContainerCreate": "proved"} {
		name, id, _ := strings.Cut(who, " ")
		a, err := p.Can(t.Context(), []string{name}, id, "")
		got := string(a.State)
		if a.Can != nil && a.State == Proved {
			got = "shown"
		}
		if err != nil || got != want {
			t.Errorf("%s: %+v, %v", who, a, err)
		}
	}
	if m, err := ReadModel(Options{Paths: []string{policyDir(t, "authz.rego", provedRego)}}); m != nil || err != nil {
		t.Errorf("it has a model: %+v, %v", m, err)
	}
	for _, path := range []string{filepath.Join(t.TempDir(), "missing"), policyDir(t, "data.yaml", "roles: 5")} {
		if m, err := ReadModel(Options{Paths: []string{path}}); m != nil || err == nil {
			t.Errorf("%s has a model: %+v, %v", path, m, err)
		}
	}
	whole := prover(t, Options{Paths: []string{policyDir(t, "authz.rego", module(`default allow := false
allow if object.get(input.operation, "target", "none") != "none"`))}})
	if f := whoCan(t, whole, "ContainerKill", ""); f.State != NotDecided || !strings.Contains(strings.Join(f.Open, ""), "as a whole") {
		t.Errorf("what reads the input as a whole: %+v", f)
	}
}

func TestInvariantsClosed(t *testing.T) {
	long.Alone(t)
	t.Parallel()
	for name, tc := range map[string]struct{ policy, invariants, says string }{
		"proved":             {provedData, "- {only: [admin, lent], may: [ContainerCreate, ContainerExec], with: [privileged]}", ""},
		"by a principal":     {provedData, "- {only: [admin, lent, 'tls:ci', 'unix:ci'], may: [ContainerCreate], with: [host-path]}", ""},
		"everything":         {provedData, "- {only: [admin, lent], may: ['*'], with: [privileged]}", ""},
		"a rail":             {provedData, "- {only: [admin], may: [PluginDisable]}", ""},
		"a counterexample":   {provedData, "\n- {only: [admin, lent], may: [ContainerCreate], with: [host-path]}", `invariants.yaml:2: only admin, lent may ContainerCreate with hazard host-path, but unix:ci and gid:7 can: echo '{"HostConfig":{"Binds":["/srv/app:/x"]}}' | authz-plugin eval --policy `},
		"nobody":             {provedData, "- {only: [], may: [ContainerLogs]}", "only nobody may ContainerLogs, but unix:root can"},
		"what can be lent":   {provedData, "- {only: [admin], may: [ContainerCreate], with: [privileged]}", "role lent, which can be lent, allows it"},
		"not decided":        {"roles: {r: {operations: [ContainerCreate], hazards: [engine-socket, host-path], host_paths: [/srv]}}\nbindings: {admin: [local], r: ['tls:r']}", "- {only: [admin], may: [ContainerCreate], with: [engine-socket]}", "not decided for r"},
		"held, can be lent":  {"roles: {r: {operations: [ContainerCreate], grant: {max: 1h}}}\nbindings: {admin: [local], r: ['unix:ci']}", "- {only: [admin, 'unix:ci'], may: [ContainerCreate]}", "role r, which can be lent, allows it"},
		"in audit":           {auditData, "- {only: [admin], may: [ContainerCreate], with: [privileged]}", "but uid:4501 can"},
		"in audit, a rail":   {auditData, "- {only: [admin], may: [PluginDisable]}", ""},
		"Rego, in audit":     {auditRego, "- {only: [], may: [ContainerCreate], with: [privileged]}", "but uid:4501 can"},
		"Rego, audit named":  {auditRego, "- {only: ['uid:4501'], may: [ContainerCreate], with: [privileged]}", ""},
		"Rego, audit others": {strings.Replace(auditRego, "input.caller.principals", "{input.caller.user}", 1), "- {only: ['unix:x'], may: [ContainerCreate]}", "not decided"},
		"no such role":       {provedData, "- {only: [admn], may: [ContainerKill]}", "there is no role admn"},
		"no such operation":  {provedData, "- {only: [admin], may: [ContainerMurder]}", "no operation"},
		"no such hazard":     {provedData, "- {only: [admin], may: [ContainerKill], with: [privilege]}", "no hazard"},
		"no such key":        {provedData, "- {only: [admin], may: [ContainerKill], hazards: [privileged]}", `no key "hazards"`},
		"no only":            {provedData, "- {may: [ContainerKill]}", "it needs only"},
		"no may":             {provedData, "- {only: [admin], may: []}", "names no operation"},
		"a mapping":          {provedData, "only: [admin]", "must be a list"},
		"empty":              {provedData, "# nothing", "must be a list"},
		"two documents":      {provedData, "- {only: [admin], may: [PluginDisable]}\n---\n- {}", "more than one document"},
		"Rego, proved":       {provedRego, "- {only: [admin], may: [ContainerCreate, PluginDisable], with: [privileged]}", ""},
		"Rego, broken":       {provedRego, "- {only: [admin], may: [ContainerList]}", "but tls:reader can: authz-plugin eval"},
		"Rego, not decided":  {provedRego, "- {only: [admin], may: [ContainerKill]}", "not decided, so the policy is not taken"},
		"Rego, by principal": {provedRego, "- {only: [admin, 'tls:reader'], may: [ContainerList]}", ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			file := "data.yaml"
			if strings.HasPrefix(tc.policy, "package") {
				file = "authz.rego"
			}
			opts := Options{Paths: []string{policyDir(t, file, tc.policy, "invariants.yaml", tc.invariants)}, Once: true}
			if tc.says != "" {
				wantContains(t, refused(t, opts), tc.says)
				return
			}
			loaded(t, opts)
		})
	}
}

// Invariants are read wherever the policy is named, and what looks like them is not passed over.
func TestInvariantsAreNotPassedOverClosed(t *testing.T) {
	long.Alone(t)
	t.Parallel()
	const data = "roles: {ci: {access: [write], hazards: ['*']}}\nbindings: {admin: [local], ci: ['unix:ci']}\n"
	const broken = "- {only: [admin], may: [ContainerCreate], with: [privileged]}"
	bundled := func(files map[string]string) string {
		path := filepath.Join(t.TempDir(), "policy.tar.gz")
		if err := os.WriteFile(path, archive(t, files), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	beside := bundled(map[string]string{"/data.yaml": data})
	write(t, filepath.Dir(beside), "invariants.yaml", broken)
	named := policyDir(t, "data.yaml", data, "more.yaml", "roles: {}\n", "invariants.yaml", broken)
	for name, tc := range map[string]struct {
		says  string
		paths []string
	}{
		"beside a named file": {"but unix:ci can", []string{filepath.Join(named, "data.yaml")}},
		"beside two":          {"but unix:ci can", []string{filepath.Join(named, "data.yaml"), filepath.Join(named, "more.yaml")}},
		"in a bundle":         {"invariants.yaml:1: only admin may", []string{bundled(map[string]string{"/data.yaml": data, "/invariants.yaml": broken})}},
		"cases in a bundle":   {"a.cases:1", []string{bundled(map[string]string{"data.yaml": data, "./a.cases": "deny unix:ci POST /containers/create {}"})}},
		"beside, a folder":    {"not a regular file", []string{filepath.Join(policyDir(t, "data.yaml", data, "invariants.yaml/x", ""), "data.yaml")}},
		"beside a bundle":     {"but unix:ci can", []string{beside}},
		"large in a bundle":   {"bundle file 'a.cases' size", []string{bundled(map[string]string{"data.yaml": data, "a.cases": strings.Repeat("#", maxSourceFile+1)})}},
		"a link in a bundle":  {"a.cases is not a regular file", []string{bundled(map[string]string{"data.yaml": data, "a.cases": "link:b.cases"})}},
		"deep in a bundle":    {"sub/invariants.yaml is not read", []string{bundled(map[string]string{"/data.yaml": data, "/sub/invariants.yaml": broken})}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			err := refused(t, Options{Paths: tc.paths, Once: true})
			wantContains(t, err, tc.says)
			if strings.Count(err, tc.says) != 1 {
				t.Errorf("it is said twice: %s", err)
			}
		})
	}
	loaded(t, Options{Paths: []string{filepath.Join(policyDir(t, "data.yaml", data, ".invariants.yml", broken, "invariants.md", broken), "data.yaml")}})
	loaded(t, Options{Paths: []string{filepath.Join(policyDir(t, "my-invariants.yaml", data), "my-invariants.yaml")}}) // it is named as data
	const wrong = "deny unix:ci POST /containers/create {}"
	loaded(t, Options{Paths: []string{bundled(map[string]string{"data.yaml": data, ".a.cases": wrong, "sub/a.cases": wrong, "invariants/": ""})}})
	if err := new(group).readInvariantsBeside(filepath.Join(t.TempDir(), "none", "data.yaml")); err == nil {
		t.Error("there are none in a folder that cannot be read")
	}
	for _, near := range []string{"invariants.yml", "Invariants.yaml", "invariants.json", "invariant.yaml", "my-invariants.yaml", "invariants", "sub/invariants.yaml", "sub/Invariants.yml"} {
		t.Run(near, func(t *testing.T) {
			t.Parallel()
			dir := policyDir(t, "data.yaml", data)
			if err := os.MkdirAll(filepath.Dir(filepath.Join(dir, near)), 0o755); err != nil {
				t.Fatal(err)
			}
			write(t, dir, near, broken)
			wantContains(t, refused(t, Options{Paths: []string{dir}, Once: true}), near+" is not read", "they stand in invariants.yaml")
			if !strings.Contains(near, "/") {
				wantContains(t, refused(t, Options{Paths: []string{filepath.Join(dir, "data.yaml")}}), near+" is not read")
			}
		})
	}
}

// So it is if a bundle comes without those that it had; and a file of them is no policy by itself.
func TestInvariantsThatVanishFromABundleClosed(t *testing.T) {
	long.Alone(t)
	t.Parallel()
	const data = "bindings: {admin: [local]}\n"
	path := filepath.Join(t.TempDir(), "policy.tar.gz")
	bundle := func(files map[string]string) {
		if err := os.WriteFile(path, archive(t, files), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	bundle(map[string]string{"/data.yaml": data, "/invariants.yaml": "- {only: [admin], may: [PluginDisable]}", "/x.cases": "allow local GET /_ping"})
	e := loaded(t, Options{Paths: []string{path}})
	bundle(map[string]string{"/data.yaml": data})
	if err := e.Load(t.Context()); err == nil || !strings.Contains(err.Error(), "policy.tar.gz/invariants.yaml: is gone") {
		t.Errorf("%v", err)
	}
	dir := policyDir(t, "data.yaml", data, "invariants.yaml", "- {only: [admin], may: [PluginDisable]}", "x.cases", "allow local GET /_ping")
	for _, name := range []string{"invariants.yaml", "x.cases"} {
		wantContains(t, refused(t, Options{Paths: []string{filepath.Join(dir, name)}}), name+": says what must hold of a policy, and is none")
	}
}

// A file of invariants that vanishes is an accident like others.
func TestInvariantsThatVanishClosed(t *testing.T) {
	long.Alone(t)
	t.Parallel()
	dir := policyDir(t, "data.yaml", provedData, "invariants.yaml", "- {only: [admin], may: [PluginDisable]}")
	e := loaded(t, Options{Paths: []string{dir}})
	if err := os.Remove(filepath.Join(dir, "invariants.yaml")); err != nil {
		t.Fatal(err)
	}
	if err := e.Load(t.Context()); err == nil || !strings.Contains(err.Error(), "is gone") {
		t.Errorf("%v", err)
	}
}

// randomRequest is an example of an operation with a hazard, if that is not "", and with what else there may be of paths, hazards and
// containers, asked by a caller with a few principals.
func randomRequest(r *rand.Rand, id string, h operation.Hazard, principals []string) *Input {
	examples := operation.Examples()[id]
	op := *examples[r.IntN(len(examples))].Operation
	some := func(of ...string) (out []string) {
		for _, s := range of {
			if r.IntN(4) == 0 {
				out = append(out, s)
			}
		}
		return out
	}
	op.Hazards = slices.Clone(op.Hazards)
	carry := func(h operation.Hazard) {
		if h != "" && !slices.Contains(op.Hazards, h) {
			op.Hazards = append(op.Hazards, h)
		}
	}
	carry(h)
	for range r.IntN(3) {
		carry(operation.MayHave(id)[r.IntN(len(operation.MayHave(id)))])
	}
	op.HostPath = append(slices.Clone(op.HostPath), some("/srv/app", "/srv/app/x", "/etc", "volume:v")...)
	op.Mints = append(slices.Clone(op.Mints), some(principals...)...)
	in := &Input{Operation: &op, Enters: some(append(principals, "*")...), OwnExec: op.Resource == "exec" && r.IntN(2) == 0}
	if r.IntN(3) > 0 {
		op.Mints, in.Enters = nil, nil
	}
	caller := some("container:somebody", "unix:somebody", "uid:0")
	for range r.IntN(4) {
		if one := principals[r.IntN(len(principals))]; !slices.Contains(caller, one) {
			caller = append(caller, one)
		}
	}
	in.Caller = callerNamed(caller)
	return in
}

// proofPolicies are policies with what there is of roles and rules.
func proofPolicies(t *testing.T) map[string]Options {
	t.Helper()
	presets := []string{policyDir(t, "data.yaml", "bindings: {admin: [local]}\n")}
	for _, name := range rego.Presets() {
		raw, _, err := rego.Preset(name)
		if err != nil {
			t.Fatal(err)
		}
		presets = append(presets, write(t, t.TempDir(), name+".yaml", string(raw)))
	}
	return map[string]Options{
		"built-in": {}, "data": {Paths: []string{policyDir(t, "data.yaml", provedData)}},
		"rego": {Paths: []string{policyDir(t, "authz.rego", provedRego)}}, "audit": {Paths: []string{policyDir(t, "data.yaml", auditData)}}, "presets": {Paths: presets},
	}
}

// TestProofsAgainstRandomRequestsClosed: whom a finding does not name, or leave open, is allowed no request that there is. Each is decided once, and
// held against all proofs of its operation; with VITRINE_LONG there are 10 000 of each.
func TestProofsAgainstRandomRequestsClosed(t *testing.T) {
	long.Alone(t)
	t.Parallel()
	for name, opts := range proofPolicies(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := prover(t, opts)
			r := rand.New(rand.NewPCG(1, 2))
			principals := []string{"unix:root", "tls:reader", "tls:killer"}
			if p.model != nil {
				for _, h := range p.model.Holdings() {
					principals = append(principals, h.Principals...)
				}
			}
			proofs, asked, allowed := 0, 0, 0
			for i, info := range operation.Operations() {
				if i%long.Of(6, 1) != 0 {
					continue
				}
				found := map[operation.Hazard]Finding{}
				hazards := append(operation.MayHave(info.ID), "")
				for _, h := range hazards {
					found[h] = whoCan(t, p, info.ID, h)
				}
				proofs += len(found)
				for n := range max(long.Of(4, 10_000), 4*len(hazards)) {
					asked++
					in := randomRequest(r, info.ID, hazards[n%len(hazards)], principals)
					if d := p.g.decide(t.Context(), in); no(&d, in) != "" && !lifted(&d, in) {
						continue
					}
					allowed++
					for _, h := range append(in.Operation.Hazards, "") {
						if f := found[h]; !f.names(in.Caller.Principals) {
							t.Fatalf("%s with %q is allowed to %v, and the finding is %s: %s", info.ID, h, in.Caller.Principals, f.State, f.who())
						}
					}
				}
			}
			if t.Logf("%d requests against %d proofs: %d allowed", asked, proofs, allowed); allowed < proofs/10 {
				t.Error("too few were allowed to hold the proofs against")
			}
		})
	}
}

// names says that a finding has a caller among those who can, or is open for it.
func (f *Finding) names(principals []string) bool {
	if f.State == NotDecided && len(f.open)+len(f.lendable) == 0 { // rules of one's own
		return true
	}
	has := func(h Holding) bool {
		return !slices.ContainsFunc(h.Principals, func(s string) bool { return !slices.Contains(principals, s) })
	}
	return slices.ContainsFunc(f.open, has) || slices.ContainsFunc(f.Can, func(w Witness) bool { return has(w.Holding) })
}

// TestMoreOnlyTakesAway: under the built-in rules a request with more hazards, paths, principals that it makes or
// enters, or with unknown input, is never allowed where it is not without. Proofs stand on this.
func TestMoreOnlyTakesAway(t *testing.T) {
	long.Alone(t)
	t.Parallel()
	g := loaded(t, Options{Paths: []string{policyDir(t, "data.yaml", provedData)}}).current.Load()
	r := rand.New(rand.NewPCG(3, 4))
	ids := []string{"ContainerCreate", "ContainerLogs", "ContainerRestart", "ContainerStats", "ExecStart", "ContainerExec", "ContainerInspect"}
	principals := []string{"unix:ci", "gid:7", "tls:ci", "label:logs=yes", "tls:blue", "tls:stats", "tls:execs", "unix:root"}
	allowed := 0
	for range long.Of(400, 5000) {
		more := randomRequest(r, ids[r.IntN(len(ids))], "", principals)
		op := *more.Operation
		drop := func(list []string) []string {
			return slices.DeleteFunc(slices.Clone(list), func(string) bool { return r.IntN(2) == 0 })
		}
		op.Hazards = slices.DeleteFunc(slices.Clone(op.Hazards), func(operation.Hazard) bool { return r.IntN(2) == 0 })
		op.HostPath, op.Mints = drop(op.HostPath), drop(op.Mints)
		less := &Input{Caller: more.Caller, Operation: &op, Enters: drop(more.Enters), OwnExec: more.OwnExec}
		a, b := g.decide(t.Context(), more), g.decide(t.Context(), less)
		if a.Allows() && !b.Allows() {
			t.Fatalf("%s by %v: allowed with %v %v %v %v, and denied with less: %v", op.ID, more.Caller.Principals,
				more.Operation.Hazards, more.Operation.HostPath, more.Operation.Mints, more.Enters, b.Reasons)
		}
		if a.Allows() {
			allowed++
		}
	}
	if allowed < 20 {
		t.Errorf("only %d were allowed at all", allowed)
	}
}

// BenchmarkWhoCan answers for every operation and hazard, of the built-in policy with all presets.
func BenchmarkWhoCan(b *testing.B) {
	var paths []string
	for _, name := range rego.Presets() {
		raw, _, err := rego.Preset(name)
		if err != nil {
			b.Fatal(err)
		}
		paths = append(paths, write(b, b.TempDir(), name+".yaml", string(raw)))
	}
	for b.Loop() {
		p := prover(b, Options{Paths: paths})
		from, used, n := time.Now(), processorTime(b), 0
		for _, info := range operation.Operations() {
			for _, h := range append(operation.MayHave(info.ID), "") {
				whoCan(b, p, info.ID, h)
				n++
			}
		}
		b.ReportMetric(time.Since(from).Seconds(), "s/all")
		b.ReportMetric((processorTime(b) - used).Seconds(), "cpu-s/all")
		b.ReportMetric(float64(n), "questions")
	}
}

// processorTime is what the process has used: of a machine that does other work, too, it says more than a clock.
func processorTime(tb testing.TB) time.Duration {
	tb.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		tb.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
