package policy

import (
	"bytes"
	"path/filepath"
	"strings"
	"testing"

	"vitrine/test/long"
)

const closedTest = "package docker.authz_test\n\nimport data.docker.authz\n\ntest_closed if not authz.allow with input as {}\n"

// TestBuiltinTests: the built-in policy passes its own tests, which reach every
// line of it.
func TestBuiltinTests(t *testing.T) {
	long.Alone(t)
	t.Parallel()
	var out bytes.Buffer
	whole := long.Of(0, 1) > 0 // what they reach takes ten times as long to see
	ok, err := RunTests(t.Context(), nil, &out, whole)
	if err != nil {
		t.Fatal(err)
	}
	if !ok {
		t.Errorf("not ok:\n%s", out.String())
	}
	wantContains(t, out.String(), "pass  docker.authz_test.test_look_lists", ", 0 failed")
	if whole {
		wantContains(t, out.String(), "coverage: 100.0 %")
	}
}

func TestRunTests(t *testing.T) {
	long.Alone(t)
	t.Parallel()
	dir := policyDir(t, "authz.rego", module(allowList), "authz_test.rego", closedTest+
		"\ntest_wrong if {\n\tprint(\"seen\")\n\tauthz.allow with input as {}\n}\n")
	var out bytes.Buffer
	ok, err := RunTests(t.Context(), []string{dir}, &out, true)
	if err != nil {
		t.Fatal(err)
	}
	if ok {
		t.Error("ok, though a test fails")
	}
	wantContains(t, out.String(), "pass  docker.authz_test.test_closed", "FAIL  docker.authz_test.test_wrong",
		"authz_test.rego:7", "seen", "2 tests, 1 failed", "coverage: ")

	out.Reset()
	write(t, dir, "authz_test.rego", closedTest)
	if ok, err := RunTests(t.Context(), []string{dir}, &out, false); err != nil || !ok {
		t.Errorf("%v, %v: %s", ok, err, out.String())
	}

	out.Reset()
	none := policyDir(t, "authz.rego", module(allowList))
	if ok, err := RunTests(t.Context(), []string{none}, &out, false); err != nil || ok {
		t.Errorf("without tests: %v, %v", ok, err)
	}
	wantContains(t, out.String(), "no tests")

	if _, err := RunTests(t.Context(), []string{filepath.Join(dir, "missing")}, &out, false); err == nil {
		t.Error("a path that does not exist is tested")
	}

	out.Reset()
	data := policyDir(t, "data.yaml", "bindings: {look: ['tls:x'], admin: [local]}")
	if ok, err := RunTests(t.Context(), []string{data}, &out, false); err != nil || !ok {
		t.Errorf("data alone: %v, %v: %s", ok, err, out.String())
	}
}

func TestCheck(t *testing.T) {
	long.Alone(t)
	t.Parallel()
	if found := Check(t.Context(), Options{}); len(found) > 0 {
		t.Errorf("the built-in policy: %v", found)
	}
	dir := policyDir(t, "authz.rego", module("default allow := false\nallow if input.operation.idd == \"x\"\n"))
	found := Check(t.Context(), Options{Paths: []string{dir}})
	if len(found) != 1 || found[0].Warning || found[0].Line != 4 || found[0].File != filepath.Join(dir, "authz.rego") {
		t.Errorf("a typo: %v", found)
	}
	found = Check(t.Context(), Options{Paths: []string{filepath.Join(dir, "missing")}})
	if len(found) != 1 || found[0].Warning {
		t.Errorf("a missing path: %v", found)
	}
}

// TestCheckAdmin: admin is objected to unless it is bound to what nobody can
// give himself through Docker.
func TestCheckAdmin(t *testing.T) {
	long.Alone(t)
	t.Parallel()
	tests := map[string]string{
		`["unix:root", "local", "tls:boss", "tls-sha256:f", ["unix:x", "gid:5"]]`: "",
		`["unix:root", "container:web"]`:                                          "data.yaml:3: bindings.admin.1: warning: admin is bound to container:web",
		`["unix:root", "label:admin=1"]`:                                          "bindings.admin.1: warning: admin is bound to label:admin=1",
		`["local", "image:x"]`:                                                    "admin is bound to image:x",
		`["local", "uid:0"]`:                                                      "admin is bound to uid:0",
		`["local", "peer-uid:0"]`:                                                 "admin is bound to peer-uid:0",
		`["local", ["container:x", "image:y"]]`:                                   "admin is bound to container:x and image:y",
	}
	for bound, want := range tests {
		t.Run(bound, func(t *testing.T) {
			dir := policyDir(t, "data.yaml", "bindings:\n  admin:\n    "+bound+"\n")
			found := Check(t.Context(), Options{Paths: []string{dir}, Once: true})
			var all []string
			for _, p := range found {
				all = append(all, p.Error())
			}
			if want == "" && len(found) > 0 {
				t.Errorf("got %v", all)
			}
			wantContains(t, strings.Join(all, "\n"), want)
		})
	}
}

// TestCheckHostPaths: what is found of a folder is said where the folder is named.
func TestCheckHostPaths(t *testing.T) {
	long.Alone(t)
	t.Parallel()
	dir := policyDir(t, "data.yaml", `roles:
  r:
    access: [write]
    hazards: [host-path]
    host_paths: ["volume:v", /srv/good, /srv/bad, /srv/$user]
bindings: {admin: [local], r: ["tls:x"]}
`)
	survey := func(p string) []string {
		switch p {
		case "/srv/bad":
			return []string{"one thing", "another"}
		case "volume:v", "/srv/$user":
			t.Errorf("the host is asked of %s", p)
		}
		return nil
	}
	found := Check(t.Context(), Options{Paths: []string{dir}, Survey: survey})
	if len(found) != 2 {
		t.Fatalf("%v", found)
	}
	wantContains(t, found[0].Error()+"\n"+found[1].Error(),
		"data.yaml:5: roles.r.host_paths.2: warning: one thing\n", "warning: another")
	if found := Check(t.Context(), Options{Paths: []string{dir}}); len(found) > 0 {
		t.Errorf("without the host: %v", found)
	}
}

// TestPolicyThatNobodyCanAdministerClosed: it locks its author out with everybody
// else, so it must say that it is meant.
func TestPolicyThatNobodyCanAdministerClosed(t *testing.T) {
	long.Alone(t)
	t.Parallel()
	for bound, host := range map[string]bool{
		`["unix:root"]`: true, `["local"]`: true, `["uid:0"]`: true, `["gid:0", "tls:boss"]`: true, `[["unix:x", "gid:5"]]`: true,
		`[["local"]]`: true, `[]`: false, `["tls:boss"]`: false, `["container:x"]`: false, `["peer-uid:0"]`: false,
		`[["local", "unix:root"]]`: false, `[["unix:root", "tls:boss"]]`: false,
	} {
		data := "bindings:\n  look: [\"tls:x\"]\n  admin: " + bound + "\n"
		err := New(Options{Paths: []string{policyDir(t, "data.yaml", data)}, Once: true}).Load(t.Context())
		if (err == nil) != host {
			t.Errorf("admin: %s: %v", bound, err)
		}
		if err != nil {
			wantContains(t, err.Error(), "data.yaml:", "admin", "strict: true")
		}
		loaded(t, Options{Paths: []string{policyDir(t, "data.yaml", "strict: true\n"+data)}, Once: true})
	}
	wantContains(t, refused(t, Options{Paths: []string{policyDir(t, "data.yaml", "bindings: {look: ['tls:x']}")}}), "data.yaml:1: bindings: nobody is admin")
	refused(t, Options{Paths: []string{policyDir(t, "data.yaml", "strict: false\nbindings: {look: ['tls:x']}")}})
}

// TestRulesUnderWhichNobodyIsAdmin: rules of one's own are asked; it is a warning.
func TestRulesUnderWhichNobodyIsAdmin(t *testing.T) {
	long.Alone(t)
	t.Parallel()
	const warning = "warning: neither local nor unix:root is admin"
	for name, test := range map[string]struct {
		files []string
		warns bool
	}{
		"nobody":                 {[]string{"a.rego", module(allowList)}, true},
		"root":                   {[]string{"a.rego", module("default allow := false\nallow if admin\nadmin if \"unix:root\" in input.caller.principals\n")}, false},
		"local":                  {[]string{"a.rego", module("default allow := false\nallow if admin\nadmin if input.caller.kind == \"local\"\n")}, false},
		"allowed, and not admin": {[]string{"a.rego", module("default allow := false\nallow if input.caller.kind == \"local\"\n")}, true},
		"admin, and not allowed": {[]string{"a.rego", module("default allow := false\nadmin := true\n")}, true},
		"it is meant":            {[]string{"a.rego", module(allowList), "data.yaml", "strict: true"}, false},
	} {
		t.Run(name, func(t *testing.T) {
			found := Check(t.Context(), Options{Paths: []string{policyDir(t, test.files...)}})
			var all []string
			for _, p := range found {
				all = append(all, p.Error())
			}
			if got := strings.Contains(strings.Join(all, "\n"), warning); got != test.warns || len(found) > 1 {
				t.Errorf("found %q", all)
			}
		})
	}
}

// TestCheckBindings: a role that nobody holds, and bindings of somebody who does not exist.
func TestCheckBindings(t *testing.T) {
	long.Alone(t)
	t.Parallel()
	dir := policyDir(t, "data.yaml", `bindings:
  admin: [local, "unix:bob", ["unix:bob", "gid:5"]]
  ci: []
  look: ["container-uid:5", ["container-uid:5", "container-gid:6"], ["container:x", "container-uid:5"], "image-id:z", "peer-uid:7"]
roles:
  ci: {access: [list]}
  unbound: {access: [list]}
`)
	never := func(principal string) string {
		if principal == "unix:bob" {
			return "no user bob"
		}
		return ""
	}
	const alone = ", so that nobody without this role may create containers (or, for a user, exec into one): bind it together with a name or a label, [container:NAME, "
	var said []string
	for _, p := range Check(t.Context(), Options{Paths: []string{dir}, Never: never}) {
		said = append(said, strings.TrimPrefix(p.Error(), dir+"/"))
	}
	want := []string{
		"data.yaml:6: roles.ci: warning: nobody holds it: bindings do not name it",
		"data.yaml:7: roles.unbound: warning: nobody holds it: bindings do not name it",
		"data.yaml:4: bindings.look.0: warning: container-uid:5 may be any container's" + alone + "container-uid:5]",
		"data.yaml:4: bindings.look.1: warning: container-uid:5 and container-gid:6 may be any container's" + alone + "container-uid:5, container-gid:6]",
		"data.yaml:4: bindings.look.3: warning: image-id:z may be any container's" + alone + "image-id:z]",
		"data.yaml:2: bindings.admin.1: warning: unix:bob is nobody: no user bob",
		"data.yaml:2: bindings.admin.2: warning: unix:bob is nobody: no user bob",
	}
	if strings.Join(said, "\n") != strings.Join(want, "\n") {
		t.Errorf("got\n%s", strings.Join(said, "\n"))
	}
	look := policyDir(t, "data.yaml", "bindings: {admin: [local]}\nroles: {look: {access: [list]}}\n")
	found := Check(t.Context(), Options{Paths: []string{look}})
	if len(found) != 1 || found[0].Key != "roles.look" {
		t.Errorf("a built-in role that is written anew, and not bound: %v", found)
	}
	none := policyDir(t, "data.yaml", "bindings: {admin: [local], look: [[]]}\n")
	if found := Check(t.Context(), Options{Paths: []string{none}}); len(found) != 1 || found[0].Warning {
		t.Errorf("an entry of nobody: %v", found)
	}
}

// TestCheckOwners: what is bound to somebody's things and can be held by nobody.
func TestCheckOwners(t *testing.T) {
	long.Alone(t)
	t.Parallel()
	dir := policyDir(t, "data.yaml", `bindings:
  admin: [local]
  ci: ["container:a", ["container:b", "label:c=d"],
    "owner:container:a", "owner:container:b+label:c=d", ["image:x", "owner:container:a"],
    "owner:container:b",
    "owner:label:c=d+container:b", ["owner:container:z", "image:x"]]
roles:
  ci: {access: [list]}
`)
	var said []string
	for _, p := range Check(t.Context(), Options{Paths: []string{dir}}) {
		said = append(said, strings.TrimPrefix(p.Error(), dir+"/"))
	}
	const because = "nobody holds this: what somebody has made holds no more than he does, and "
	want := []string{
		"data.yaml:5: bindings.ci.5: warning: " + because + "container:b is no entry of this binding itself",
		"data.yaml:6: bindings.ci.6: warning: " + because + "label:c=d and container:b is no entry of this binding itself",
		"data.yaml:6: bindings.ci.7: warning: " + because + "container:z is no entry of this binding itself",
	}
	if strings.Join(said, "\n") != strings.Join(want, "\n") {
		t.Errorf("got\n%s", strings.Join(said, "\n"))
	}
}

func TestSummary(t *testing.T) {
	long.Alone(t)
	t.Parallel()
	for want, files := range map[string][]string{
		"the built-in rules with data.yaml; 3 roles, bound are admin; 5 inputs of the self-test answered; revision ":                                 {"data.yaml", "bindings: {admin: [local]}"},
		"the built-in rules with data.yaml; 3 roles, bound are admin, look; 5 inputs of the self-test answered; its cases hold (1 files); revision ": {"data.yaml", casedData, "look.cases", "allow tls:x GET /_ping"},
		"rules of your own: authz.rego; 5 inputs of the self-test answered; its own tests pass; revision ":                                           {"authz.rego", module(allowList), "authz_test.rego", closedTest},
		"rules of your own: authz.rego, data.yaml; 5 inputs of the self-test answered; no tests of its own (*_test.rego); revision ":                 {"authz.rego", module(allowList), "data.yaml", "a: 1"},
	} {
		got, err := Summary(Options{Paths: []string{policyDir(t, files...)}})
		if err != nil || !strings.HasPrefix(got, want) {
			t.Errorf("%v, %q", err, got)
		}
	}
	if got, err := Summary(Options{}); err != nil || !strings.HasPrefix(got, "the built-in rules; 3 roles, ") {
		t.Errorf("of no files: %q, %v", got, err)
	}
	for _, path := range []string{filepath.Join(t.TempDir(), "missing"), policyDir(t, "data.yaml", "roles: 5")} {
		if got, err := Summary(Options{Paths: []string{path}}); err == nil {
			t.Errorf("%s: %q", path, got)
		}
	}
}
