package policy

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/open-policy-agent/opa/v1/ast"

	"vitrine/internal/authz/object"
	"vitrine/internal/caller/identity"
	"vitrine/internal/engine/operation"
	"vitrine/rego"
)

// full is an input with something everywhere.
func full() *Input {
	uid, gid := uint32(1000), uint32(100)
	return &Input{
		Caller: &identity.Identity{
			Kind: identity.TLS, Principals: []string{"tls:ci"}, UID: &uid, GID: &gid, Groups: []uint32{100, 4294967295},
			PID: 42, User: "ci", Door: "gateway", Listener: "agents",
			Container:   &identity.ContainerInfo{ID: "c", Name: "web", Image: "nginx", ImageID: "sha256:0", Labels: map[string]string{"a": "b"}, Mounts: []string{"/srv"}},
			Certificate: &identity.Certificate{CommonName: "ci", Organization: []string{"o"}, OrgUnit: []string{"u"}, SANs: []string{"s"}, SHA256: "f", Serial: "1"},
		},
		Operation: &operation.Operation{
			ID: "ContainerCreate", Resource: "containers", Target: "t", Access: operation.Write, Hazards: []operation.Hazard{"cap"},
			HazardFields: map[operation.Hazard][]string{"cap": {"HostConfig.CapAdd"}},
			HostPath:     []string{"/x"}, Mints: []string{"container:new"}, Enters: []string{"web"}, Unknown: []string{"/Foo"},
			Params: map[string]any{"filters": map[string]any{"label": []any{"a"}}}, Version: "1.41",
			Method: "POST", URI: "/v1.41/containers/create?name=new", Path: "/containers/create",
			Query: map[string][]string{"name": {"new"}}, Headers: map[string][]string{"Accept": {"a", "b"}},
			Body: map[string]any{
				"Image": "nginx", "HostConfig": map[string]any{
					"Memory": json.Number("1e3"), "Binds": []any{"/a/../b:/c:ro", "vol:/d", "/e:/f", "/anonymous"},
					"Mounts": []any{map[string]any{"Type": "bind", "Source": "/g", "ReadOnly": true}, map[string]any{"Type": "volume", "Source": "v"}},
				},
			},
			BodyState: operation.BodyJSON,
		},
		Enters: []string{"container:web"}, OwnExec: true,
		Objects: func() []object.Object {
			known := true
			return []object.Object{
				{Role: "uses", Kind: "image", Ref: "nginx", Known: &known, ID: "sha256:0", Name: "nginx:1", Names: []string{"nginx:1"}, Labels: map[string]string{"a": "b"}},
				{Role: "uses", Kind: "volume", Ref: "vol", Why: "no answer"},
			}
		},
	}
}

func TestInputJSON(t *testing.T) {
	got, err := InputJSON(full())
	if err != nil {
		t.Fatal(err)
	}
	const want = `{"caller":{
"certificate":{"cn":"ci","o":["o"],"ou":["u"],"sans":["s"],"serial":"1","sha256":"f"},
"container":{"id":"c","image":"nginx","image_id":"sha256:0","labels":{"a":"b"},"mounts":["/srv"],"name":"web"},
"door":"gateway","gid":100,"groups":[100,4294967295],"kind":"tls","listener":"agents","pid":42,"principals":["tls:ci"],"uid":1000,"user":"ci"},
"objects":[{"id":"sha256:0","image":"","kind":"image","known":true,"labels":{"a":"b"},"name":"nginx:1","names":["nginx:1"],"networks":[],"ref":"nginx","role":"uses","why":""},
{"id":"","image":"","kind":"volume","known":null,"labels":{},"name":"","names":[],"networks":[],"ref":"vol","role":"uses","why":"no answer"}],
"operation":{"access":"write","enters":["container:web"],"hazard_fields":{"cap":["HostConfig.CapAdd"]},"hazards":["cap"],"host_paths":["/x"],"id":"ContainerCreate",
"mints":["container:new"],"own_exec":true,"params":{"filters":{"label":["a"]}},"replaced":[],"resource":"containers","substituted":[],"target":"t","unknown":["/Foo"],"unresolved":[],"version":"1.41"},
"request":{"body":{"HostConfig":{"Binds":["/a/../b:/c:ro","vol:/d","/e:/f","/anonymous"],"Memory":1e3,
"Mounts":[{"ReadOnly":true,"Source":"/g","Type":"bind"},{"Source":"v","Type":"volume"}]},"Image":"nginx"},
"body_state":"json","headers":{"Accept":"a, b"},"method":"POST","path":"/containers/create","query":{"name":["new"]},
"uri":"/v1.41/containers/create?name=new"}}`
	if string(got) != strings.ReplaceAll(want, "\n", "") {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

// TestEmptyInput: what is not there is [], {} or null, and never missing.
func TestEmptyInput(t *testing.T) {
	got, err := InputJSON(&Input{Operation: &operation.Operation{}})
	if err != nil {
		t.Fatal(err)
	}
	wantContains(t, string(got), `"kind":"unknown"`, `"principals":[]`, `"uid":null`, `"groups":[]`, `"container":null`,
		`"hazards":[]`, `"hazard_fields":{}`, `"enters":[]`, `"params":{}`, `"query":{}`, `"headers":{}`, `"body":null`)
}

// TestRegoSeesInputJSON: what a policy is given is what InputJSON prints.
func TestRegoSeesInputJSON(t *testing.T) {
	for _, in := range []*Input{full(), {Operation: &operation.Operation{}}, listing()} {
		var all projection
		for _, f := range fields() {
			if f.section != "" || f.name == objectsName && in.Objects != nil {
				all = append(all, projected{field: f, at: ast.StringTerm(f.section), key: ast.StringTerm(f.name)})
			}
		}
		if in.Objects == nil {
			in.Objects = func() []object.Object { return nil }
			all = append(all, projected{field: objectsField(), key: ast.StringTerm(objectsName)})
		}
		given, err := all.give(in)
		if err != nil {
			t.Fatal(err)
		}
		text, err := InputJSON(in)
		if err != nil {
			t.Fatal(err)
		}
		printed, err := ast.ValueFromReader(strings.NewReader(string(text)))
		if err != nil {
			t.Fatal(err)
		}
		if ast.Compare(given.term().Value, printed) != 0 {
			t.Errorf("given   %s\nprinted %s", given.term(), printed)
		}
		if from := all.giveWhole(ast.NewTerm(printed)); !slices.EqualFunc(given.fields, from.fields, (*ast.Term).Equal) {
			t.Errorf("given   %s\nprinted %s", given.fields, from.fields)
		}
	}
}

// TestSchema: the closed schema names exactly what an input has.
func TestSchema(t *testing.T) {
	schema, err := rego.InputSchema()
	if err != nil {
		t.Fatal(err)
	}
	var closed func(path string, node any)
	closed = func(path string, node any) {
		object, ok := node.(map[string]any)
		if !ok {
			return
		}
		if object["properties"] != nil && object["additionalProperties"] != false {
			t.Errorf("%s is open", path)
		}
		for k, v := range object {
			closed(path+"/"+k, v)
		}
	}
	closed("", schema)

	top := map[string]any{}
	for _, f := range fields() {
		if f.section == "" {
			top[f.name] = f.value(full()).native()
			continue
		}
		section, _ := top[f.section].(map[string]any)
		if section == nil {
			section = map[string]any{}
			top[f.section] = section
		}
		section[f.name] = f.value(full()).native()
	}
	compare(t, "input", top, schema)
}

// compare walks a value and its schema side by side.
func compare(t *testing.T, path string, v any, node any) {
	t.Helper()
	schema, _ := node.(map[string]any)
	properties, isObject := schema["properties"].(map[string]any)
	object, ok := v.(map[string]any)
	if isObject != ok && schema["type"] != nil && schema["additionalProperties"] != true {
		t.Errorf("%s: object %v, in the schema %v", path, ok, isObject)
	}
	if !isObject {
		return
	}
	has, says := slices.Sorted(maps.Keys(object)), slices.Sorted(maps.Keys(properties))
	if !slices.Equal(has, says) {
		t.Errorf("%s has %v, the schema says %v", path, has, says)
	}
	for k := range object {
		if list, ok := object[k].([]any); ok && len(list) > 0 {
			items, _ := properties[k].(map[string]any)
			compare(t, path+"."+k+"[]", list[0], items["items"])
			continue
		}
		if _, free := object[k].(map[string]string); !free {
			compare(t, path+"."+k, object[k], properties[k])
		}
	}
}

// TestOpaDockerAuthzFields: the input of policies written for opa-docker-authz.
func TestOpaDockerAuthzFields(t *testing.T) {
	got := map[string]any{}
	for _, f := range compatFields() {
		got[f.name] = f.value(full()).native()
	}
	text, err := json.Marshal(got)
	if err != nil {
		t.Fatal(err)
	}
	wantContains(t, string(text),
		`"AuthMethod":"TLS"`, `"User":"ci"`, `"Method":"POST"`, `"Path":"/v1.41/containers/create?name=new"`,
		`"PathPlain":"/v1.41/containers/create"`, `"PathArr":["","v1.41","containers","create"]`, `"Query":{"name":["new"]}`,
		`"BindMounts":[{"ReadOnly":true,"Resolved":"/b","Source":"/a/../b"},{"ReadOnly":false,"Resolved":"/e","Source":"/e"},{"ReadOnly":true,"Resolved":"/g","Source":"/g"}]`)

	// A Unix user is no certificate's name.
	in := full()
	in.Caller.Kind = identity.Host
	if name := certificateName(in); name != "" {
		t.Errorf("user %q", name)
	}
}

// TestClosedResolvedBindMounts: Resolved is what the host says, and Source what
// was typed.
func TestClosedResolvedBindMounts(t *testing.T) {
	binds := ask(t, nil, "POST", "/containers/create", `{"HostConfig":{"Binds":["/a/../b:/c:ro","/e:/f"]}}`)
	op, err := binds.Operation.ResolveHostPaths(func(p string) (string, error) { return "/run" + p, nil })
	if err != nil {
		t.Fatal(err)
	}
	text, err := json.Marshal(bindMounts(op))
	if err != nil {
		t.Fatal(err)
	}
	wantContains(t, string(text), `"Resolved":"/run/b","Source":"/a/../b"`, `"Resolved":"/run/e","Source":"/e"`)
}

// TestOpaDockerAuthzPolicy: such a policy runs unchanged, in the syntax of its
// time; what is strict about ours is a warning.
func TestOpaDockerAuthzPolicy(t *testing.T) {
	const policy = `package docker.authz

default allow = false

unused = x { x := 1; y := 2 }

allow {
	valid_user_role
	not seccomp_unconfined
	not privileged
}

privileged {
	input.Body.HostConfig.Privileged == true
}

seccomp_unconfined {
	input.Body.HostConfig.SecurityOpt[_] == "seccomp:unconfined"
}

valid_user_role {
	users[input.User].readOnly == false
}

valid_user_role {
	users[input.User]
	input.Method == "GET"
	input.NoSuchField != "x"
}

valid_user_role {
	users[input.User]
	input.Method == "GET"
	input.PathArr[2] == "containers"
}

users = {
	"alice": {"readOnly": false},
	"bob": {"readOnly": true},
}
`
	dir := policyDir(t, "authz.rego", policy)
	e := loaded(t, Options{Paths: []string{dir}})
	for _, test := range []struct {
		user, method, uri, body string
		allow                   bool
	}{
		{"alice", "POST", "/v1.41/containers/create", `{"Image": "x"}`, true},
		{"alice", "POST", "/v1.41/containers/create", `{"Image": "x", "HostConfig": {"privileged": true}}`, false},
		{"alice", "POST", "/v1.41/containers/create", `{"Image": "x", "HostConfig": {"SecurityOpt": ["seccomp:unconfined"]}}`, false},
		{"bob", "POST", "/v1.41/containers/create", `{"Image": "x"}`, false},
		{"bob", "GET", "/v1.41/containers/json", "", true},
		{"eve", "GET", "/v1.41/containers/json", "", false},
		{"", "GET", "/v1.41/containers/json", "", false},
	} {
		in := ask(t, nil, test.method, test.uri, test.body)
		in.Caller = &identity.Identity{Kind: identity.TLS, Certificate: &identity.Certificate{CommonName: test.user}}
		if d := e.Decide(t.Context(), in); d.Allow != test.allow || d.Failed {
			t.Errorf("%s %s %s %s: %+v", test.user, test.method, test.uri, test.body, d)
		}
	}
	var warnings []string
	for _, p := range Check(t.Context(), Options{Paths: []string{dir}}) {
		if !p.Warning {
			t.Errorf("not a warning: %v", p)
		}
		warnings = append(warnings, p.Error())
	}
	wantContains(t, strings.Join(warnings, "\n"), "input.NoSuchField", "authz.rego:5: warning: rego_compile_error: assigned var y unused")
}
