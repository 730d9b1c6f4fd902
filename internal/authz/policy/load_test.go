package policy

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"errors"
	"flag"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"testing/fstest"

	"vitrine/internal/engine/operation"
	"vitrine/test/long"
)

var update = flag.Bool("update", false, "rewrite golden files")

const (
	allowList = `default allow := false

allow if input.operation.id == "ContainerList"
`
	allowByData = `default allow := false

allow if input.operation.id in data.allowed
`
)

func TestBuiltin(t *testing.T) {
	t.Parallel()
	e := loaded(t, Options{})
	d := e.Decide(t.Context(), listing())
	if !d.Allow || d.Failed || !slices.Equal(d.Reasons, []string{"role look"}) {
		t.Fatalf("got %+v", d)
	}
	s := e.Status()
	if s.Source != "built-in" || s.Revision == "" || s.Revision != d.Revision || s.LoadedAt.IsZero() || s.LastError != "" {
		t.Errorf("status %+v", s)
	}
}

// TestBuiltins holds the builtins that a policy may call against a list that was
// looked through by hand: none may read anything but its arguments.
func TestBuiltins(t *testing.T) {
	t.Parallel()
	var names []string
	for _, b := range capabilities().Builtins {
		names = append(names, b.Name)
	}
	golden := filepath.Join("testdata", "builtins.txt")
	got := strings.Join(names, "\n") + "\n"
	if *update {
		if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("the builtins changed: look at each new one, then run this test with -update\n%s", got)
	}
}

func TestSources(t *testing.T) {
	t.Parallel()
	list := module(allowList)
	tests := map[string]struct {
		files   []string // of the folder
		paths   []string // below it; the folder itself if none
		allowed []operation.Hazard
	}{
		"a folder":              {files: []string{"authz.rego", list}},
		"a file":                {files: []string{"x.rego", list}, paths: []string{"x.rego"}},
		"folders in it":         {files: []string{"docker/authz/authz.rego", list, "README.md", "x"}},
		"data beside it":        {files: []string{"authz.rego", module(allowByData), "data.yaml", "allowed: [ContainerList]"}},
		"data in JSON":          {files: []string{"authz.rego", module(allowByData), "data.json", `{"allowed": ["ContainerList"]}`}},
		"data below":            {files: []string{"authz.rego", module(strings.ReplaceAll(allowByData, "data.allowed", "data.a.b.allowed")), "a/b/data.yml", "allowed: [ContainerList]"}},
		"data given by path":    {files: []string{"p/authz.rego", module(allowByData), "who.yaml", "allowed: [ContainerList]"}, paths: []string{"p", "who.yaml"}},
		"the last path wins":    {files: []string{"p/authz.rego", module(allowByData), "p/data.yaml", "allowed: [Nothing]", "who.yaml", "allowed: [ContainerList]"}, paths: []string{"p", "who.yaml"}},
		"configuration ignored": {files: []string{"authz.rego", list, "config.yaml", "mode: enforce", ".hidden.rego", "x", "..data/x.rego", "x"}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			dir := policyDir(t, test.files...)
			paths := []string{dir}
			if test.paths != nil {
				paths = nil
				for _, p := range test.paths {
					paths = append(paths, filepath.Join(dir, p))
				}
			}
			e := loaded(t, Options{Paths: paths})
			in := listing()
			if d := e.Decide(t.Context(), in); !d.Allow {
				t.Errorf("ContainerList: %+v", d)
			}
			in.Operation.ID = "ContainerCreate"
			if d := e.Decide(t.Context(), in); d.Allow || d.Failed {
				t.Errorf("ContainerCreate: %+v", d)
			}
		})
	}
}

func TestSourcesClosed(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	missing := filepath.Join(dir, "missing")
	wantContains(t, refused(t, Options{Paths: []string{missing}}), missing+": there is no such file or folder")
	wantContains(t, refused(t, Options{Paths: []string{dir}}), dir, "holds no policy")

	config := policyDir(t, "config.yaml", "mode: enforce")
	wantContains(t, refused(t, Options{Paths: []string{config}}), "holds no policy")

	strange := write(t, dir, "policy.txt", "x")
	wantContains(t, refused(t, Options{Paths: []string{strange}}), "not a directory, .rego, .yaml, .json or .tar.gz")

	twice := policyDir(t, "authz.rego", module(allowByData), "data.yaml", "allowed: [x]", "data.json", `{"allowed": ["y"]}`)
	wantContains(t, refused(t, Options{Paths: []string{twice}}), "allowed is set in another file too")

	broken := policyDir(t, "authz.rego", module(allowByData), "data.yaml", "allowed: [x")
	wantContains(t, refused(t, Options{Paths: []string{broken}}), "data.yaml")

	hiding := policyDir(t, "authz.rego", module(allowList), "data.yaml", "docker: {authz: {allow: true}}")
	wantContains(t, refused(t, Options{Paths: []string{hiding}}), "conflict")

	wantContains(t, refused(t, Options{Paths: []string{strange + "/x"}}), "not a directory")
	none := filepath.Join(dir, "none.tgz")
	if err := os.Symlink("/dev/null", none); err != nil {
		t.Fatal(err)
	}
	wantContains(t, refused(t, Options{Paths: []string{none}}), "is not a regular file")

	if err := os.Symlink("nowhere", filepath.Join(hiding, "notes")); err != nil { // no file of a policy's, nor is it looked at
		t.Fatal(err)
	}
	wantContains(t, refused(t, Options{Paths: []string{hiding}}), "conflict")

	deep := strings.Repeat("a/", maxDepth)
	wantContains(t, refused(t, Options{Paths: []string{policyDir(t, deep+"a/authz.rego", module(allowList))}}), "folders nested deeper than 8")
	loaded(t, Options{Paths: []string{policyDir(t, deep+"authz.rego", module(allowList))}})

	// Every path is named, not only the first.
	wantContains(t, refused(t, Options{Paths: []string{missing, strange}}), missing, strange)
}

// racing is a folder whose file is another one, or gone, after it was looked at.
type racing struct {
	fstest.MapFS
	looked fs.FileInfo
	gone   error
}

func (r racing) Stat(string) (fs.FileInfo, error) { return r.looked, nil }

func (r racing) Open(name string) (fs.File, error) {
	if r.gone != nil {
		return nil, r.gone
	}
	return r.MapFS.Open(name)
}

// TestFileThatChangesWhileItIsReadClosed: half of a policy, or two halves, is none.
func TestFileThatChangesWhileItIsReadClosed(t *testing.T) {
	t.Parallel()
	one := func(ino uint64, size int) fstest.MapFS {
		return fstest.MapFS{"a": {Data: make([]byte, size), Sys: &syscall.Stat_t{Ino: ino}}}
	}
	looked, err := one(1, 10).Stat("a")
	if err != nil {
		t.Fatal(err)
	}
	for name, tt := range map[string]struct {
		at   racing
		want error
	}{
		"the same": {racing{one(1, 10), looked, nil}, nil}, "another": {racing{one(2, 10), looked, nil}, errBeingWritten},
		"as long as it may be":  {racing{one(1, maxSourceFile), looked, nil}, nil},
		"longer than it may be": {racing{one(1, maxSourceFile+1), looked, nil}, errBeingWritten}, "gone": {racing{nil, looked, fs.ErrNotExist}, fs.ErrNotExist},
		"a folder by now": {racing{fstest.MapFS{"a/b": {}}, looked, nil}, fs.ErrInvalid},
	} {
		if _, err := readLimited(tt.at, "a"); !errors.Is(err, tt.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := new(group).readDir(fstest.MapFS{}, "policy", "gone", 0); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a folder that is gone: %v", err)
	}
}

func TestBuiltinIfAbsent(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "vitrine")
	e := loaded(t, Options{Paths: []string{dir}, BuiltinIfAbsent: true})
	if s := e.Status(); s.Source != "built-in" {
		t.Errorf("source %q", s.Source)
	}
	write(t, dir, "config.yaml", "mode: enforce")
	if err := e.Load(t.Context()); err != nil {
		t.Fatalf("with configuration alone: %v", err)
	}
	write(t, dir, "authz.rego", module(allowList))
	if err := e.Load(t.Context()); err != nil {
		t.Fatal(err)
	}
	revision := e.Status().Revision
	if s := e.Status(); s.Source != dir {
		t.Errorf("source %q", s.Source)
	}
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	// A policy that disappears is not replaced by a more generous one.
	if err := e.Load(t.Context()); err == nil || e.Status().Revision != revision || e.Status().LastError == "" {
		t.Errorf("the policy is gone: %v, status %+v", err, e.Status())
	}
}

// TestDataOverBuiltin: a folder with data alone amends the built-in roles, and
// replaces the built-in bindings.
func TestDataOverBuiltin(t *testing.T) {
	long.Alone(t)
	t.Parallel()
	dir := policyDir(t, "data.yaml", `
strict: true
roles:
  look: {access: [ping]}
  ci: {operations: [ContainerList]}
bindings:
  ci: ["tls:ci"]
  monitor: ["tls:agent"]
  look: ["tls:look"]
`)
	e := loaded(t, Options{Paths: []string{dir}})
	for principal, allow := range map[string]bool{
		"tls:ci":                  true,
		"tls:agent":               true,  // a built-in role
		"tls:look":                false, // replaced whole
		"unix:root":               false, // its binding is gone
		"label:vitrine.role=look": false,
	} {
		in := listing()
		in.Caller.Principals = []string{principal}
		if d := e.Decide(t.Context(), in); d.Allow != allow || d.Failed {
			t.Errorf("%s: %+v, want %v", principal, d, allow)
		}
	}
	rolesOnly := policyDir(t, "data.yaml", "roles: {ci: {access: [list]}}")
	e = loaded(t, Options{Paths: []string{rolesOnly}})
	if d := e.Decide(t.Context(), listing()); !d.Allow {
		t.Errorf("without bindings the built-in ones hold: %+v", d)
	}
}

func TestBrokenPolicyChangesNothing(t *testing.T) {
	t.Parallel()
	dir := policyDir(t, "authz.rego", module(allowList))
	e := loaded(t, Options{Paths: []string{dir}})
	before := e.Status()
	write(t, dir, "authz.rego", module("allow if {"))
	err := e.Load(t.Context())
	if err == nil {
		t.Fatal("loaded")
	}
	s := e.Status()
	if s.Revision != before.Revision || s.LastError != err.Error() || s.LastErrorAt.IsZero() || !s.LoadedAt.Equal(before.LoadedAt) {
		t.Errorf("status %+v", s)
	}
	if d := e.Decide(t.Context(), listing()); !d.Allow {
		t.Errorf("got %+v", d)
	}
	write(t, dir, "authz.rego", module(allowList))
	if err := e.Load(t.Context()); err != nil || e.Status().LastError != "" || e.Status().Revision != before.Revision {
		t.Errorf("mended: %v, %+v", err, e.Status())
	}
}

func TestOwnTestsAreRun(t *testing.T) {
	t.Parallel()
	const good = "package docker.authz_test\n\nimport data.docker.authz\n\ntest_closed if not authz.allow with input as {}\n"
	e := loaded(t, Options{Paths: []string{policyDir(t, "authz.rego", module(allowList), "authz_test.rego", good)}})
	for name := range e.current.Load().compiler.Modules {
		if strings.HasSuffix(name, "_test.rego") {
			t.Errorf("%s takes part in decisions", name)
		}
	}
	bad := strings.Replace(good, "not authz", "authz", 1)
	dir := policyDir(t, "authz.rego", module(allowList), "authz_test.rego", bad)
	wantContains(t, refused(t, Options{Paths: []string{dir}}), "authz_test.rego:5", "test_closed fails")
}

func TestBundle(t *testing.T) {
	t.Parallel()
	tests := map[string]map[string]string{
		"version 1":          {"/.manifest": `{"roots": ["docker", "allowed"], "rego_version": 1}`, "/docker/authz.rego": module(allowByData), "/data.json": `{"allowed": ["ContainerList"]}`},
		"without a manifest": {"/docker/authz.rego": module(allowByData), "/data.yaml": `allowed: [ContainerList]`},
		"version 0":          {"/authz.rego": "package docker.authz\ndefault allow = false\nallow { input.operation.id == \"ContainerList\" }"},
	}
	for name, files := range tests {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "policy.tar.gz")
			if err := os.WriteFile(path, archive(t, files), 0o644); err != nil {
				t.Fatal(err)
			}
			e := loaded(t, Options{Paths: []string{path}})
			if d := e.Decide(t.Context(), listing()); !d.Allow {
				t.Errorf("got %+v", d)
			}
		})
	}
	path := write(t, t.TempDir(), "policy.tar.gz", "no archive")
	wantContains(t, refused(t, Options{Paths: []string{path}}), "policy.tar.gz")
	if err := os.WriteFile(path, archive(t, map[string]string{"/authz.rego": module("allow if {")}), 0o644); err != nil {
		t.Fatal(err)
	}
	wantContains(t, refused(t, Options{Paths: []string{path}}), "rego_parse_error")
}

func archive(t *testing.T, files map[string]string) []byte {
	t.Helper()
	var buf bytes.Buffer
	gz := gzip.NewWriter(&buf)
	tw := tar.NewWriter(gz)
	for name, content := range files {
		header := &tar.Header{Name: name, Mode: 0o644, Size: int64(len(content))}
		if to, is := strings.CutPrefix(content, "link:"); is {
			header, content = &tar.Header{Name: name, Typeflag: tar.TypeSymlink, Linkname: to}, ""
		}
		if err := tw.WriteHeader(header); err != nil {
			t.Fatal(err)
		}
		if _, err := tw.Write([]byte(content)); err != nil {
			t.Fatal(err)
		}
	}
	if err := tw.Close(); err != nil {
		t.Fatal(err)
	}
	if err := gz.Close(); err != nil {
		t.Fatal(err)
	}
	return buf.Bytes()
}

// TestData: what is wrong in roles and bindings is listed, each with its key,
// line and what would be right.
func TestDataProblems(t *testing.T) {
	long.Alone(t)
	t.Parallel()
	tests := map[string]struct{ data, want string }{
		"no such role":         {"bindings: {lok: [local]}", "data.yaml:1: bindings.lok: there is no role lok; is it look?"},
		"no such class":        {"roles:\n  r:\n    access: [lst]", `data.yaml:3: roles.r.access.0: there is no access class "lst"; is it list?`},
		"no such operation":    {"roles: {r: {operations: [ContainrList]}}", `there is no operation "ContainrList"; is it ContainerList?`},
		"no such resource":     {"roles: {r: {access: [list], resources: [container]}}", `there is no resource "container"; is it containers?`},
		"no such hazard":       {"roles: {r: {access: [list], hazards: [privilegd]}}", `there is no hazard "privilegd"; is it privileged?`},
		"unknown input":        {"roles: {r: {access: [list], hazards: [unknown-input]}}", "for admin alone"},
		"typo at the top":      {"role: {}", "role: unknown key; is it roles?"},
		"typo in a role":       {"roles: {r: {operation: [ContainerList]}}", "roles.r.operation: unknown key; is it operations?"},
		"typo with a mapping":  {"roles:\n  r:\n    access: [ping]\n    hazzards:\n      a: b", "data.yaml:4: roles.r.hazzards: unknown key; is it hazards?"},
		"no list":              {"roles: {r: {operations: ContainerList}}", "roles.r.operations: must be a list, not a string"},
		"no string":            {"roles: {r: {operations: [1]}}", "roles.r.operations.0: must be a string, not a number"},
		"no mapping":           {"roles: [look]", "roles: must be a mapping, not a list"},
		"no boolean":           {"roles: {r: {access: [list], without_redaction: 'yes'}}", "must be true or false, not a string"},
		"no pointer":           {"roles: {r: {access: [list], redact: {ContainerInspect: [Config.Env]}}}", "no JSON pointer"},
		"redact what":          {"roles: {r: {access: [list], redact: {ContainrInspect: [/Config/Env]}}}", `no operation "ContainrInspect"; is it ContainerInspect?`},
		"a view of all":        {"roles: {r: {access: [list], where: {}}}", "roles.r.where: is empty, and so limits nothing: leave it out"},
		"no label's value":     {"roles: {r: {access: [list], stamp: {team: 1}}}", "roles.r.stamp.team: must be a string, not a number"},
		"no label":             {"roles: {r: {access: [list], where: {a=b: c}}}", `"a=b" is no label`},
		"network as a stamp":   {"roles: {r: {access: [list], stamp: {vitrine.network: edge}}}", "vitrine.network is no label"},
		"network to make anew": {"roles: {r: {access: [list], recreate: {where: {vitrine.network: edge}}}}", "vitrine.network is no label"},
		"network that is all":  {"roles: {r: {access: [list], where: {vitrine.network: host}}}", "must be the name of a network"},
		"network without name": {"roles: {r: {access: [list], where: {vitrine.network: ''}}}", "must be the name of a network"},
		"network, and a label": {"roles: {r: {access: [list], where: {vitrine.network: edge, '': x}}}", "is no label that the daemon can be asked for"},
		"owner by hand":        {"roles: {r: {access: [list], stamp: {vitrine.owner: me}}}", "vitrine.owner is what own gives: write own"},
		"whose own":            {"roles: {r: {access: [list], own: false}}", "roles.r.own: must be true"},
		"shared what":          {"roles: {r: {access: [list], shared: {image: [a]}}}", "roles.r.shared.image: unknown key; is it images?"},
		"shared by no pattern": {"roles: {r: {access: [list], shared: {images: ['a*b']}}}", "with one * at its end"},
		"a tag in a name":      {"roles: {r: {access: [list], where: {a: b}, image_names: ['ci/x:1']}}", "must be a repository as docker images shows it"},
		"a registry's default": {"roles: {r: {access: [list], where: {a: b}, image_names: ['docker.io/ci/x']}}", "must be a repository as docker images shows it"},
		"all names":            {"roles: {r: {access: [list], where: {a: b}, image_names: ['*']}}", "must be a repository as docker images shows it"},
		"half a name":          {"roles: {r: {access: [list], where: {a: b}, image_names: ['ci*']}}", "must be a repository as docker images shows it"},
		"names of all owners":  {"roles: {r: {access: [list], own: true, image_names: ['ci/*']}}", "$owner, between slashes"},
		"half an owner":        {"roles: {r: {access: [list], own: true, image_names: ['ci/x$owner/*']}}", "$owner, between slashes"},
		"an owner of nothing":  {"roles: {r: {access: [list], where: {a: b}, image_names: ['ci/$owner/*']}}", "$owner, between slashes"},
		"strict is a string":   {"strict: 'yes'", "strict: must be true or false, not a string"},
		"a $ in a path":        {"roles: {r: {access: [list], host_paths: ['/home/$USER']}}", "roles.r.host_paths.0: \"$USER\": $user stands for"},
		"$user within a part":  {"roles: {r: {access: [list], host_paths: ['/home/x$user']}}", "$user stands for"},
		"below $mounts":        {"roles: {r: {access: [list], host_paths: ['$mounts/a']}}", "$mounts alone"},
		"a * within a volume":  {"roles: {r: {access: [list], host_paths: ['volume:a*b']}}", "one * at its end"},
		"a ceiling of nothing": {"roles: {r: {access: [list], ceilings: {pids: 0}}}", "ceilings.pids: must be a number of processes, not 0"},
		"part of a process":    {"roles: {r: {access: [list], ceilings: {pids: 1.5}}}", "ceilings.pids: must be"},
		"a size that is none":  {"roles: {r: {access: [list], ceilings: {memory: lots}}}", "ceilings.memory: must be bytes, or a size such as 512MiB, not lots"},
		"a negative size":      {"roles: {r: {access: [list], ceilings: {memory: -1}}}", "ceilings.memory: must be"},
		"too little of a cpu":  {"roles: {r: {access: [list], ceilings: {cpus: 0.001}}}", "ceilings.cpus: must be a number of processors"},
		"cpus as a text":       {"roles: {r: {access: [list], ceilings: {cpus: '2'}}}", "ceilings.cpus: must be"},
		"another ceiling":      {"roles: {r: {access: [list], ceilings: {cpu: 2}}}", "ceilings.cpu: unknown key; is it cpus?"},
		"no ceilings":          {"roles: {r: {access: [list], ceilings: {}}}", "ceilings: is empty"},
		"how many networks":    {"roles: {r: {access: [list], ceilings: {networks: 2}}}", "ceilings.networks: counts the holder's own networks"},
		"how many volumes":     {"roles: {r: {access: [list], ceilings: {volumes: 2}}}", "ceilings.volumes: counts the holder's own volumes"},
		"how many, of whom":    {"roles: {r: {access: [list], ceilings: {containers: 2}}}", "ceilings.containers: counts the holder's own"},
		"relative host path":   {"roles: {r: {access: [list], host_paths: [srv]}}", "must be an absolute path"},
		"empty role":           {"roles: {r: {hazards: [cap]}}", "roles.r: grants nothing"},
		"resources alone":      {"roles: {r: {operations: [ContainerList], resources: [containers]}}", "limits access"},
		"except alone":         {"roles: {r: {operations: ['*'], except: [ContainerList]}}", "limits access"},
		"except beside all":    {"roles: {r: {access: [list], operations: ['*'], except: [ContainerExec]}}", "grants everything beside it"},
		"resources beside all": {"roles: {r: {access: [list], operations: ['*'], resources: [images]}}", "grants everything beside it"},
		"except of a listed":   {"roles: {r: {access: [interactive], operations: [ContainerExec], except: [ContainerExec]}}", "grants ContainerExec all the same"},
		"a path with a star":   {"roles: {r: {access: [write], host_paths: ['/srv/app*']}}", "stands for nothing in a path"},
		"admin limited":        {"roles: {admin: {access: [list]}}", "admin may do everything"},
		"no kind":              {"bindings: {look: [web]}", `"web": there is no kind of principal "web"`},
		"typo in the kind":     {"bindings: {look: ['contaner:web']}", `is it container?`},
		"nobody":               {"bindings: {look: ['unix:']}", "names nobody: write e.g. unix:root"},
		"wildcard":             {"bindings: {look: ['container:web-*']}", "* stands for nothing"},
		"uid of a name":        {"bindings: {look: ['uid:root']}", "uid takes a number"},
		"label without value":  {"bindings: {look: ['label:team']}", "label:team=sre"},
		"container with slash": {"bindings: {look: ['container:/web']}", "write container:web"},
		"owner's label":        {"bindings: {look: ['label:vitrine.owner=tls:x']}", "write owner:tls:x"},
		"owner of nobody":      {"bindings: {look: ['owner:x']}", "whose it is is said by a principal"},
		"two owners":           {"bindings: {look: [['owner:tls:x', 'owner:tls:y']]}", "nothing has two owners"},
		"admin's things":       {"bindings: {admin: [local, ['owner:unix:root', 'unix:root']]}", "data.yaml:1: bindings.admin.1: what somebody has made is never admin"},
		"empty list":           {"bindings: {look: [[]]}", "held by nobody"},
		"number":               {"bindings: {look: [1000]}", "must be a principal, a list of them, or {principal: P, until: TIME}, not a number"},
		"without an end":       {"bindings: {look: [{principal: local}]}", "bindings.look.0: has no until"},
		"an end of nobody":     {"bindings: {look: [{until: 2026-11-27T12:00Z}]}", "bindings.look.0: must name a principal, or all"},
		"an end of both":       {"bindings: {look: [{principal: local, all: [local], until: 2026-11-27T12:00Z}]}", "must name a principal, or all"},
		"an end in no zone":    {"bindings: {look: [{principal: local, until: 2026-11-27T12:00}]}", `until: "2026-11-27T12:00" is no time with its zone`},
		"an end that is none":  {"bindings: {look: [{principal: local, until: 5}]}", "until: must be a string, not a number"},
		"an end of a typo":     {"bindings: {look: [{principal: 'contaner:web', until: 2026-11-27T12:00Z}]}", "is it container?"},
		"an end of none":       {"bindings: {look: [{all: [], until: 2026-11-27T12:00Z}]}", "held by nobody"},
		"an end misspelt":      {"bindings: {look: [{principal: local, util: 2026-11-27T12:00Z}]}", "util: unknown key; is it until?"},
		"admin that ends":      {"bindings: {admin: [{principal: local, until: 2036-11-27T12:00Z}]}", "neither local nor a user of the host is admin"},
		"two owners that end":  {"bindings: {look: [{all: ['owner:tls:a', 'owner:tls:b'], until: 2036-11-27T12:00Z}]}", "nothing has two owners"},
		"admin of an owner":    {"bindings: {admin: [local, {principal: 'owner:tls:a', until: 2036-11-27T12:00Z}]}", "what somebody has made is never admin"},
		"no mode":              {"roles: {r: {access: [list], mode: adit}}", `there is no mode "adit"; is it audit?`},
		"lent for ever":        {"roles: {r: {access: [list], grant: {}}}", "grant: {max: 1h}"},
		"lent for no time":     {"roles: {r: {access: [list], grant: {max: 0s}}}", `roles.r.grant.max: "0s" is no duration`},
		"lent for too long":    {"roles: {r: {access: [list], grant: {max: 9999h}}}", `roles.r.grant.max: "9999h" is no duration up to`},
		"admin lent":           {"roles: {admin: {operations: ['*'], grant: {max: 1h}}}", "admin may do everything"},
		"one principal":        {"bindings: {look: local}", "bindings.look: must be a list of principals, not a string"},
		"a role that is none":  {"roles: {r: [list]}", "roles.r: must be a mapping, not a list"},
		"admin of one thing":   {"roles: {admin: {operations: [ContainerList]}}", "admin may do everything"},
		"a volume of no name":  {"roles: {r: {access: [list], host_paths: ['volume:']}}", "must be an absolute path without .., or volume:NAME"},
		"a volume's end":       {"roles: {r: {access: [list], host_paths: ['volume:*a']}}", "one * at its end"},
		"a path back up":       {"roles: {r: {access: [list], host_paths: ['/srv/../etc']}}", "must be an absolute path without .."},
		"labels in a list":     {"roles: {r: {access: [list], where: [a]}}", "roles.r.where: must be a mapping of labels to their values, not a list"},
		"no name of a network": {"roles: {r: {access: [list], where: {vitrine.network: 5}}}", "must be the name of a network that containers are in, not 5"},
		"a label's value":      {"roles: {r: {access: [list], where: {a: \"b\\0\"}}}", `"b\x00" is no value of a label`},
		"another socket":       {"roles: {r: {access: [list], engine_socket: other}}", "roles.r.engine_socket: must be substitute"},
		"shared of no name":    {"roles: {r: {access: [list], shared: {images: ['']}}}", "must be a name, or the beginning of names"},
		"shared by an end":     {"roles: {r: {access: [list], shared: {images: ['*a']}}}", "with one * at its end"},
		"principals as one":    {"bindings: {look: [{all: local, until: 2026-11-27T12:00Z}]}", "bindings.look.0.all: must be a list, not a string"},
		"recreate what":        {"roles: {r: {access: [list], recreate: {}}}", "does not say which containers may be made anew"},
		"admin of nobody":      {"bindings: {admin: [[]]}", "neither local nor a user of the host is admin"},
		"key twice":            {"roles: {}\nroles: {}", "already defined"},
		"keys that are none":   {"roles: {1: {}}", "keys must be strings"},
		"top level":            {"[1]", "the top level must be a mapping"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			dir := policyDir(t, "data.yaml", test.data)
			wantContains(t, refused(t, Options{Paths: []string{dir}}), test.want)
		})
	}
	for data, want := range map[string]string{
		"roles: {r: null}":                          "roles.r: must be a mapping, not nothing",
		"roles: {r: {access: [list], ceilings: 5}}": "roles.r.ceilings: must be a mapping, not a number",
		"roles: {r: {access: [list], recreate: 5}}": "roles.r.recreate: must be a mapping, not a number",
	} {
		dir := policyDir(t, "data.yaml", data)
		if said := refused(t, Options{Paths: []string{dir}}); said != dir+"/data.yaml:1: "+want {
			t.Errorf("of %s it says more than is wrong: %s", data, said)
		}
	}
	all := refused(t, Options{Paths: []string{policyDir(t, "data.yaml", "role: {}\nbindings: {lok: [x]}")}})
	wantContains(t, all, "role: unknown key", "bindings.lok: there is no role", "no kind of principal")
}

// TestOldOperationNames: names of older API descriptions go on working.
func TestOldOperationNames(t *testing.T) {
	long.Alone(t)
	t.Parallel()
	dir := policyDir(t, "data.yaml", `
roles: {copy: {operations: [ContainerGetArchive], redact: {ContainerArchiveHead: [/message]}}}
bindings: {copy: ["tls:x"], admin: [local]}
`)
	e := loaded(t, Options{Paths: []string{dir}})
	if d := e.Decide(t.Context(), ask(t, []string{"tls:x"}, "GET", "/containers/web/archive?path=/", "")); !d.Allow {
		t.Errorf("got %+v", d)
	}
}
