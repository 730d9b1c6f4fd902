package operation

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"testing"
)

// before is a container with something of everything, as its daemon shows it.
const beforeInspect = `{
	"Image": "nginx:1.25", "User": "1000", "Cmd": ["nginx","-g","daemon off;"], "Entrypoint": ["/docker-entrypoint.sh"],
	"Env": ["PATH=/bin","MODE=safe"], "Volumes": {"/cache":{}}, "Labels": {"update":"yes"}, "Hostname": "0123456789ab", "Healthcheck": null
}`

const beforeHost = `{
	"Binds": ["/srv/link:/data:rw","cache:/cache"], "Privileged": true, "CapDrop": ["NET_RAW"], "SecurityOpt": ["no-new-privileges"],
	"NetworkMode": "shop", "PortBindings": {"80/tcp":[{"HostIp":"","HostPort":"80"}]}, "Links": ["/db:/web/base"], "MaskedPaths": null, "Memory": 0,
	"Devices": [{"PathOnHost":"/dev/kvm","PathInContainer":"/dev/kvm","CgroupPermissions":"rwm"}], "RestartPolicy": {"Name":"always","MaximumRetryCount":0}
}`

const beforeNetworks = `{"shop": {"NetworkID":"aa11","Aliases":["web","0123456789ab"],"IPAMConfig":{"IPv4Address":"10.0.0.9"},"EndpointID":"ee","MacAddress":"02:42:0a:00:00:09"}}`

const beforeImage = `{"Env":["PATH=/bin"],"Entrypoint":["/docker-entrypoint.sh"],"Cmd":["nginx","-g","daemon off;"]}`

func oldWeb() *Old {
	return &Old{Name: "web", Config: []byte(beforeInspect), Host: []byte(beforeHost), Networks: []byte(beforeNetworks), Image: []byte(beforeImage)}
}

// asWatchtower is the create that Watchtower makes of it: the image's own is left out, and links are written as they are asked for.
func asWatchtower(t *testing.T, change func(body, host map[string]any)) string {
	t.Helper()
	var body, host, networks map[string]any
	for text, to := range map[string]*map[string]any{beforeInspect: &body, beforeHost: &host, beforeNetworks: &networks} {
		if err := json.Unmarshal([]byte(text), to); err != nil {
			t.Fatal(err)
		}
	}
	delete(body, "Cmd")
	delete(body, "Entrypoint")
	body["Env"] = []any{"MODE=safe"}
	host["Links"] = []any{"/db:/base"}
	networks["shop"].(map[string]any)["Aliases"] = []any{"web"}
	body["HostConfig"], body["NetworkingConfig"] = host, map[string]any{"EndpointsConfig": networks}
	if change != nil {
		change(body, host)
	}
	text, err := json.Marshal(body)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestReplacing(t *testing.T) {
	op := mustParse(t, request("POST", "/containers/create?name=web", asWatchtower(t, nil)))
	if len(op.Hazards) < 6 || len(op.HostPath) < 3 {
		t.Fatalf("%v %v", op.Hazards, op.HostPath)
	}
	in, err := op.Replacing(oldWeb(), nil)
	if err != nil || !slices.Equal(in.Hazards, []Hazard{HazardLink}) || len(in.HazardFields) > 1 || len(in.HostPath) > 0 { // links are by name
		t.Fatalf("%v: %v %v %v", err, in.Hazards, in.HazardFields, in.HostPath)
	}
	if !slices.Equal(in.Mints, op.Mints) || !slices.Equal(in.Enters, op.Enters) || len(op.Enters) != 1 {
		t.Errorf("mints %v, enters %v", in.Mints, in.Enters)
	}
	want := "Env HostConfig.Binds HostConfig.Devices[].PathOnHost HostConfig.NetworkMode HostConfig.PortBindings HostConfig.Privileged"
	for field := range strings.FieldsSeq(want) {
		if !slices.Contains(in.Replaced, field) {
			t.Errorf("%s is not said to be as before: %v", field, in.Replaced)
		}
	}
	if string(in.Canonical) != string(op.Canonical) || len(op.Replaced) > 0 {
		t.Error("something was changed")
	}
	// At each start of the container the daemon followed its paths anew, and so it does now.
	resolved, err := in.ResolveHostPaths(func(string) (string, error) { return "/etc", nil })
	if err != nil || resolved != in {
		t.Errorf("%v, %v", resolved.Resolved, err)
	}
	tagged := strings.Replace(asWatchtower(t, nil), `"nginx:1.25"`, `"docker.io/library/nginx:1.26"`, 1)
	if _, err := mustParse(t, request("POST", "/containers/create?name=web", tagged)).Replacing(oldWeb(), nil); err != nil {
		t.Error(err)
	}
}

// TestClosedReplacingIsNothingMore: whoever makes a container anew decides neither what runs in it, nor as whom, nor what holds it.
func TestClosedReplacingIsNothingMore(t *testing.T) {
	for name, change := range map[string]func(body, host map[string]any){
		"another image":        func(body, _ map[string]any) { body["Image"] = "evil:1.25" },
		"an image by id":       func(body, _ map[string]any) { body["Image"] = "sha256:" + strings.Repeat("a", 64) },
		"a prefix of an id":    func(body, _ map[string]any) { body["Image"] = "beef" },
		"no image":             func(body, _ map[string]any) { delete(body, "Image") },
		"another registry":     func(body, _ map[string]any) { body["Image"] = "evil.example/nginx" },
		"another command":      func(body, _ map[string]any) { body["Cmd"] = []any{"sh", "-c", "id"} },
		"another entrypoint":   func(body, _ map[string]any) { body["Entrypoint"] = []any{"sh"} },
		"no entrypoint":        func(body, _ map[string]any) { body["Entrypoint"] = []any{} },
		"an empty entrypoint":  func(body, _ map[string]any) { body["Entrypoint"] = "" },
		"no arguments":         func(body, _ map[string]any) { body["Entrypoint"] = []any{"/docker-entrypoint.sh"} },
		"an empty argument":    func(body, _ map[string]any) { body["Cmd"] = "" },
		"open input":           func(body, _ map[string]any) { body["OpenStdin"] = true },
		"a terminal":           func(body, _ map[string]any) { body["Tty"] = true },
		"the image's own user": func(body, _ map[string]any) { delete(body, "User") },
		"root":                 func(body, _ map[string]any) { body["User"] = "0" },
		"a health check":       func(body, _ map[string]any) { body["Healthcheck"] = map[string]any{"Test": []any{"CMD", "id"}} },
		"one more variable":    func(body, _ map[string]any) { body["Env"] = []any{"MODE=safe", "LD_PRELOAD=/data/x"} },
		"one variable less":    func(body, _ map[string]any) { body["Env"] = []any{} },
		"another variable":     func(body, _ map[string]any) { body["Env"] = []any{"MODE=unsafe"} },
		"all capabilities":     func(_, host map[string]any) { delete(host, "CapDrop") },
		"one capability more":  func(_, host map[string]any) { host["CapAdd"] = []any{"SYS_ADMIN"} },
		"less confinement":     func(_, host map[string]any) { host["SecurityOpt"] = nil },
		"another bind":         func(_, host map[string]any) { host["Binds"] = []any{"/:/data"} },
		"a bind more":          func(_, host map[string]any) { host["Binds"] = append(host["Binds"].([]any), "/etc:/e") },
		"a mount": func(_, host map[string]any) {
			host["Mounts"] = []any{map[string]any{"Type": "bind", "Source": "/", "Target": "/h"}}
		},
		"no masked paths": func(_, host map[string]any) { host["MaskedPaths"] = []any{} },
		"another network": func(_, host map[string]any) { host["NetworkMode"] = "host" },
		"another device":  func(_, host map[string]any) { host["Devices"].([]any)[0].(map[string]any)["PathOnHost"] = "/dev/sda" },
		"another port": func(_, host map[string]any) {
			host["PortBindings"] = map[string]any{"22/tcp": []any{map[string]any{"HostPort": "22"}}}
		},
		"another container's secret": func(_, host map[string]any) { host["Links"] = []any{"/vault:/base"} },
		"no host configuration":      func(body, _ map[string]any) { delete(body, "HostConfig") },
	} {
		t.Run(name, func(t *testing.T) {
			op := mustParse(t, request("POST", "/containers/create?name=web", asWatchtower(t, change)))
			if in, err := op.Replacing(oldWeb(), nil); err == nil {
				t.Errorf("leaves %v", in.Hazards)
			}
		})
	}
	for name, tc := range map[string]struct {
		change func(body map[string]any)
		want   Hazard
	}{
		"another address": {func(body map[string]any) {
			shop(body)["IPAMConfig"] = map[string]any{"IPv4Address": "10.0.0.1"}
		}, HazardNetworkAddress},
		"a name in the network": {func(body map[string]any) { shop(body)["Aliases"] = []any{"web", "vault"} }, HazardNamedNetwork},
		"a network by its id":   {func(body map[string]any) { shop(body)["NetworkID"] = "ff" }, HazardNamedNetwork},
		"one network more": {func(body map[string]any) {
			body["NetworkingConfig"].(map[string]any)["EndpointsConfig"].(map[string]any)["vault"] = map[string]any{}
		}, HazardNamedNetwork},
		"a volume more":     {func(body map[string]any) { body["Volumes"] = map[string]any{"/etc:/e": map[string]any{}} }, HazardHostPath},
		"what nobody knows": {func(body map[string]any) { body["HostConfig"].(map[string]any)["Fancy"] = nil }, HazardUnknownInput},
	} {
		t.Run(name, func(t *testing.T) {
			op := mustParse(t, request("POST", "/containers/create?name=web", asWatchtower(t, func(body, _ map[string]any) { tc.change(body) })))
			in, err := op.Replacing(oldWeb(), nil)
			if err != nil || !slices.Contains(in.Hazards, tc.want) {
				t.Errorf("%v: %v", err, in.Hazards)
			}
		})
	}
}

// TestClosedReplacingAfterAnEntrypointTakenAway: the daemon would give the image's own again.
func TestClosedReplacingAfterAnEntrypointTakenAway(t *testing.T) {
	old := &Old{Name: "web", Config: []byte(`{"Image":"nginx","Cmd":["nginx"],"Entrypoint":null}`), Image: []byte(beforeImage)}
	for body, want := range map[string]bool{
		`{"Image":"nginx","Cmd":["nginx"],"Entrypoint":[]}`: true, `{"Image":"nginx","Cmd":["nginx"],"Entrypoint":""}`: true, `{"Image":"nginx","Cmd":["nginx"]}`: false,
	} {
		if _, err := mustParse(t, request("POST", "/containers/create?name=web", body)).Replacing(old, nil); err == nil != want {
			t.Errorf("%s: %v", body, err)
		}
	}
}

// TestClosedReplacingPublishesNoMore: where all exposed ports are published, more of them are more.
func TestClosedReplacingPublishesNoMore(t *testing.T) {
	old := &Old{Config: []byte(`{"Image":"web","ExposedPorts":{"80/tcp":{}}}`), Host: []byte(`{"PublishAllPorts":true}`), Image: []byte(`{"ExposedPorts":{"80/tcp":{}}}`)}
	for ports, want := range map[string]bool{`{}`: true, `{"80/tcp":{}}`: true, `{"80/tcp":{},"22/tcp":{}}`: false} {
		op := mustParse(t, request("POST", "/containers/create?name=web", `{"Image":"web:2","ExposedPorts":`+ports+`,"HostConfig":{"PublishAllPorts":true}}`))
		if _, err := op.Replacing(old, nil); err == nil != want {
			t.Errorf("%s: %v", ports, err)
		}
	}
}

// TestClosedReplacingOfWhatOthersGive: a name is another container's once that was renamed.
func TestClosedReplacingOfWhatOthersGive(t *testing.T) {
	for _, host := range []string{`{"VolumesFrom":["data"]}`, `{"PidMode":"container:data"}`, `{"IpcMode":"container:data"}`, `{"NetworkMode":"container:data"}`} {
		op := mustParse(t, request("POST", "/containers/create?name=web", `{"Image":"web:2","HostConfig":`+host+`}`))
		if _, err := op.Replacing(&Old{Config: []byte(`{"Image":"web"}`), Host: []byte(host)}, nil); err == nil {
			t.Error(host)
		}
	}
}

func shop(body map[string]any) map[string]any {
	return body["NetworkingConfig"].(map[string]any)["EndpointsConfig"].(map[string]any)["shop"].(map[string]any)
}

// TestReplacingConnects: into a network in which the container before was, in the same way.
func TestClosedReplacingConnects(t *testing.T) {
	for uri, want := range map[string]bool{"/networks/shop/connect": true, "/networks/aa11/connect": true, "/networks/aa1/connect": false, "/networks/host/connect": false, "/networks/other/connect": false} {
		op := mustParse(t, request("POST", uri, `{"Container":"x","EndpointConfig":{"NetworkID":"aa11","IPAMConfig":{"IPv4Address":"10.0.0.9"},"Aliases":["web"]}}`))
		if in, err := op.Replacing(oldWeb(), nil); err != nil || len(in.Hazards) == 0 != want {
			t.Errorf("%s: %v, %v", uri, in.Hazards, err)
		}
	}
	stopped := oldWeb()
	stopped.Networks = []byte(`{"shop":{"NetworkID":"aa11","Aliases":["web"],"IPAddress":"","EndpointID":"","MacAddress":""}}`)
	op := mustParse(t, request("POST", "/networks/shop/connect", `{"Container":"x","EndpointConfig":{"EndpointID":"ee","IPAddress":"10.0.0.9","MacAddress":"02:42:0a:00:00:09","IPPrefixLen":16}}`))
	if in, err := op.Replacing(stopped, nil); err != nil || len(in.Hazards) > 0 {
		t.Errorf("it ran when it was looked at: %v, %v", in.HazardFields, err)
	}
	for _, endpoint := range []string{`{"NetworkID":"bb22"}`, `{"MacAddress":"02:42:0a:00:00:01"}`, `{"IPAMConfig":{"IPv4Address":"10.0.0.1"}}`, `{"Aliases":["vault"]}`, `{"Links":["db:db"]}`, `{"DriverOpts":{"a":"b"}}`} {
		op := mustParse(t, request("POST", "/networks/shop/connect", `{"Container":"x","EndpointConfig":`+endpoint+`}`))
		if in, err := op.Replacing(oldWeb(), nil); err != nil || !slices.Equal(in.Hazards, op.Hazards) {
			t.Errorf("%s: %v of %v, %v", endpoint, in.Hazards, op.Hazards, err)
		}
	}
}

// TestClosedReplacingNamesImages: what gives an image a name is told from a pull.
func TestClosedReplacingNamesImages(t *testing.T) {
	for uri, want := range map[string]bool{
		"/images/create?fromImage=nginx&tag=1": false, "/images/create?fromSrc=http://x/y.tar&repo=nginx": true, "/images/create?fromImage=nginx&repo=web": true, "/images/create": true,
		"/images/evil/tag?repo=nginx": true, "/commit?container=x&repo=nginx": true, "/images/load": true, "/build?t=nginx": true,
	} {
		if got := mustParse(t, request("POST", uri, "")).NamesImage(); got != want {
			t.Errorf("%s: %v", uri, got)
		}
	}
}

func TestReplacedFieldsAreOfOutlines(t *testing.T) {
	op := mustParse(t, request("POST", "/containers/create?name=web", asWatchtower(t, nil)))
	in, err := op.Replacing(oldWeb(), nil)
	if err != nil {
		t.Fatal(err)
	}
	again, err := op.Outline().Operation(nil)
	if err != nil {
		t.Fatal(err)
	}
	if again = again.ReplacingIn(in.ReplacedFields()); !slices.Equal(again.Hazards, []Hazard{HazardLink}) || len(again.HostPath) > 0 {
		t.Errorf("%v %v of %v", again.HazardFields, again.HostPath, maps.Collect(maps.All(op.HazardFields)))
	}
}

// TestClosedReplacingByAnOlderVersion: what the version of a request cannot say, the daemon leaves out of a container that had it.
func TestClosedReplacingByAnOlderVersion(t *testing.T) {
	old25, new28 := &Engine{Version: "20.10.24+dfsg1"}, &Engine{Version: "28.5.2"}
	for _, tc := range []struct {
		version, mount string
		engine         *Engine
		same           bool
	}{
		{"/v1.39", `{"Type":"bind","Source":"/s","Target":"/t","BindOptions":{"NonRecursive":true}}`, old25, false},
		{"/v1.40", `{"Type":"bind","Source":"/s","Target":"/t","BindOptions":{"NonRecursive":true}}`, old25, true},
		{"", `{"Type":"bind","Source":"/s","Target":"/t","BindOptions":{"NonRecursive":true}}`, new28, true},
		{"/v1.25", `{"Type":"bind","Source":"/s","Target":"/t"}`, new28, true},
		{"/v1.43", `{"Type":"bind","Source":"/s","Target":"/t","ReadOnly":true}`, new28, false},
		{"/v1.43", `{"Type":"bind","Source":"/s","Target":"/t","ReadOnly":true}`, nil, false},
		{"/v1.43", `{"Type":"bind","Source":"/s","Target":"/t","ReadOnly":true,"BindOptions":{"ReadOnlyForceRecursive":true}}`, new28, false},
		{"/v1.43", `{"Type":"bind","Source":"/s","Target":"/t","ReadOnly":true,"BindOptions":{"ReadOnlyNonRecursive":true}}`, new28, true},
		{"/v1.43", `{"Type":"volume","Source":"s","Target":"/t","ReadOnly":true}`, new28, true},
		{"/v1.44", `{"Type":"bind","Source":"/s","Target":"/t","ReadOnly":true}`, new28, true},
		{"/v1.41", `{"Type":"bind","Source":"/s","Target":"/t","ReadOnly":true}`, old25, true},
		{"/v1.43", `{"Type":"bind","Source":"/s","Target":"/t","ReadOnly":true}`, &Engine{Version: "25.0.0"}, false},
		{"/v1.43", `{"Type":"bind","Source":"/s","Target":"/t","ReadOnly":true}`, &Engine{Version: "24.0.9"}, true},
	} {
		old := &Old{Name: "web", Config: []byte(`{"Image":"x"}`), Host: []byte(`{"Mounts":[` + tc.mount + `]}`)}
		req := request("POST", tc.version+"/containers/create?name=web", `{"Image":"x","HostConfig":{"Mounts":[`+tc.mount+`]}}`)
		req.Engine = tc.engine
		if _, err := mustParse(t, req).Replacing(old, nil); (err == nil) != tc.same {
			t.Errorf("%s %s: %v", tc.version, tc.mount, err)
		}
	}
}

// TestClosedReplacingLinks: a link is by name, which may be another's.
func TestClosedReplacingLinks(t *testing.T) {
	old := &Old{Name: "web", Config: []byte(`{"Image":"x"}`), Host: []byte(`{"Links":["/db:/web/db"]}`), Networks: []byte(`{"shop":{"NetworkID":"aa11","Links":["db:db"]}}`)}
	for _, body := range []string{`{"Image":"x","HostConfig":{"Links":["db:db"]}}`, `{"Image":"x","HostConfig":{"Links":["db:db"]},"NetworkingConfig":{"EndpointsConfig":{"shop":{"NetworkID":"aa11","Links":["db:db"]}}}}`} {
		op, err := mustParse(t, request("POST", "/containers/create?name=web", body)).Replacing(old, map[string]string{"shop": "aa11"})
		if err != nil || !slices.Contains(op.Hazards, HazardLink) {
			t.Errorf("%s: %v, %v", body, op.Hazards, err)
		}
	}
}

// TestWhatChangesContainersClosed, and so waits for one that is made anew: what is not a look at one, what enters one, and what
// gives an image a name of which one may be made. A pull gives none.
func TestWhatChangesContainersClosed(t *testing.T) {
	for _, tc := range []struct {
		method, uri, body string
		changes, names    bool
	}{
		{"GET", "/containers/json", "", false, false},
		{"GET", "/containers/web/json", "", false, false},
		{"GET", "/images/x/json", "", false, false},
		{"POST", "/containers/create", `{"Image":"x"}`, true, false},
		{"POST", "/containers/web/stop", "", true, false},
		{"POST", "/networks/n/connect", `{"Container":"web"}`, true, false},
		{"POST", "/volumes/create", `{"Name":"v"}`, false, false},
		{"POST", "/images/create?fromImage=x", "", false, false},
		{"POST", "/images/create?fromImage=x&repo=y", "", true, true},
		{"POST", "/images/create?fromImage=x&fromSrc=-", "", true, true},
		{"POST", "/images/create?fromSrc=http://x/y.tar", "", true, true},
		{"POST", "/images/create", "", true, true},
		{"POST", "/build?t=x", "", true, true},
		{"POST", "/commit?container=web", "", true, true},
		{"POST", "/images/load", "", true, true},
		{"POST", "/images/x/tag?repo=y", "", true, true},
		{"POST", "/images/x/push", "", false, false},
		{"DELETE", "/images/x", "", false, false},
	} {
		op := mustParse(t, request(tc.method, tc.uri, tc.body))
		if op.ChangesContainers() != tc.changes || op.NamesImage() != tc.names {
			t.Errorf("%s %s: changes containers %v, names an image %v", tc.method, tc.uri, op.ChangesContainers(), op.NamesImage())
		}
	}
}

// TestReplacedFieldsAreWholeClosed: what was spared of a field is spared of no other one whose name begins like it.
func TestReplacedFieldsAreWholeClosed(t *testing.T) {
	r := &replacement{fields: []string{"HostConfig.Privileged", "Env"}, spared: map[string]bool{}}
	for field, want := range map[string]bool{
		"Env": true, "Env[0]": true, "HostConfig.Privileged": true, "HostConfig.Privileged.x": true,
		"Environment": false, "HostConfig": false, "HostConfig.PrivilegedToo": false, "": false,
	} {
		if r.has(field, true) != want || r.spared[field] != want {
			t.Errorf("%q: %v", field, !want)
		}
	}
}

// TestDefaultNetworkHasThreeNamesClosed, and no other one is the same.
func TestDefaultNetworkHasThreeNamesClosed(t *testing.T) {
	for _, tc := range []struct {
		a, b any
		same bool
	}{
		{nil, "bridge", true},
		{"default", "bridge", true},
		{"", "default", true},
		{"shop", "shop", true},
		{"shop", "bridge", false},
		{"bridge", "shop", false},
		{"host", "default", false},
		{nil, "host", false},
	} {
		if sameIn("NetworkMode", tc.a, tc.b) != tc.same {
			t.Errorf("%v and %v are the same: %v", tc.a, tc.b, !tc.same)
		}
	}
}

// TestEmptyEntrypointIsNone: "" in a list takes the image's away, and what has more words does not.
func TestEmptyEntrypointIsNone(t *testing.T) {
	image := map[string]any{"Entrypoint": []any{"/entry"}, "Cmd": []any{"serve"}}
	for _, tc := range []struct{ body, entrypoint, cmd string }{
		{`{}`, `["/entry"]`, `["serve"]`},
		{`{"Cmd":["x"]}`, `["/entry"]`, `["x"]`},
		{`{"Entrypoint":[""],"Cmd":["x"]}`, `null`, `["x"]`},
		{`{"Entrypoint":["",""]}`, `["",""]`, `null`},
		{`{"Entrypoint":["sh"]}`, `["sh"]`, `null`},
		{`{"Entrypoint":[]}`, `[]`, `["serve"]`},
	} {
		var body map[string]any
		if err := json.Unmarshal([]byte(tc.body), &body); err != nil {
			t.Fatal(err)
		}
		entrypoint, cmd := command(body, image)
		got, _ := json.Marshal([]any{entrypoint, cmd})
		if want := "[" + tc.entrypoint + "," + tc.cmd + "]"; string(got) != want {
			t.Errorf("%s runs %s, want %s", tc.body, got, want)
		}
	}
}

// TestSpellingsOfARepository: an empty one has none.
func TestSpellingsOfARepository(t *testing.T) {
	for repository, want := range map[string]string{
		"":                          "",
		"nginx":                     "nginx library/nginx docker.io/nginx index.docker.io/nginx docker.io/library/nginx index.docker.io/library/nginx",
		"library/nginx":             "library/nginx nginx docker.io/library/nginx index.docker.io/library/nginx docker.io/nginx index.docker.io/nginx",
		"docker.io/a/b":             "a/b docker.io/a/b index.docker.io/a/b",
		"registry.example:5000/a/b": "registry.example:5000/a/b",
		"localhost/a":               "localhost/a",
		"UPPER/a":                   "UPPER/a",
	} {
		if got := strings.Join(spellings(repository), " "); got != want {
			t.Errorf("%q: %s", repository, got)
		}
	}
}

// TestReplacingCompares what is written otherwise, and takes nothing for the same that only begins so.
func TestReplacingComparesClosed(t *testing.T) {
	for _, tc := range []struct {
		key  string
		a, b any
		same bool
	}{
		{"Links", []any{"db"}, []any{"/db:/web/db"}, true},
		{"Links", []any{"db"}, []any{"/db:/web/other"}, false},
		{"Links", []any{"a:a", "b:b"}, []any{"/b:/web/b", "/a:/web/a"}, true},
	} {
		if sameIn(tc.key, tc.a, tc.b) != tc.same {
			t.Errorf("%s: %v and %v", tc.key, tc.a, tc.b)
		}
	}
	for images, want := range map[[2]string]bool{{"", ""}: false, {"beef:1", "beef:2"}: false, {"beef:1", "beef:1"}: true, {"nginx:1", "docker.io/library/nginx:2"}: true, {"docker.io", "docker.io"}: true} {
		if sameImage(images[0], images[1]) != want {
			t.Errorf("%q", images)
		}
	}
	for name, is := range map[string]bool{
		"nothing": subset(nil, map[string]any{"a": 1}), "some": subset(map[string]any{"a": 1}, map[string]any{"a": 1, "b": 2}),
		"null in place of something":     sameEndpoint(map[string]any{"DriverOpts": nil}, map[string]any{"DriverOpts": map[string]any{"a": "b"}}),
		"of an engine that nobody knows": (*Engine)(nil).recursesReadOnly(), "of one that is not numbered": (&Engine{Version: "x"}).recursesReadOnly(),
	} {
		if !is {
			t.Error(name)
		}
	}
	if subset([]any{}, map[string]any{"a": 1}) {
		t.Error("what is no object")
	}
	if !slices.Contains(spellings("docker.io"), "docker.io/library/docker.io") {
		t.Errorf("a repository that is called as the registry: %q", spellings("docker.io"))
	}
	b := before{config: map[string]any{"Volumes": map[string]any{"/a": map[string]any{"x": "y"}}}, networks: map[string]any{"n": map[string]any{"DNSNames": []any{"web", "0123"}}}}
	endpoints := func(v any, more ...string) map[string]any {
		in := map[string]any{"EndpointsConfig": map[string]any{"n": v}}
		for _, key := range more {
			in[key] = 1
		}
		return map[string]any{"NetworkingConfig": in}
	}
	for name, tc := range map[string]struct {
		body map[string]any
		want string
	}{
		"an endpoint that says nothing": {endpoints(nil), "NetworkingConfig"},
		"one name less":                 {endpoints(map[string]any{"DNSNames": []any{"web"}}), "NetworkingConfig"},
		"one name more":                 {endpoints(map[string]any{"DNSNames": []any{"vault"}}), ""},
		"something beside":              {endpoints(nil, "New"), ""},
		"another volume of the name":    {map[string]any{"Volumes": map[string]any{"/a": map[string]any{"x": "z"}}}, ""},
		"the same volume":               {map[string]any{"Volumes": b.config["Volumes"]}, "Volumes"},
	} {
		if got := strings.Join(b.inCreate(tc.body), " "); got != strings.TrimSpace("HostConfig "+tc.want) {
			t.Errorf("%s: %s", name, got)
		}
	}
}

// TestReplacingSparesWhatWasThere, in any key; what the old one had not is another container, and null is nothing.
func TestReplacingSparesWhatWasThereClosed(t *testing.T) {
	old := &Old{Name: "web", Config: []byte(`{"Image":"x","Healthcheck":{"Test":["CMD","id"],"Interval":1000}}`)}
	in, err := create(t, `{"Image":"x","Healthcheck":{"Test":["CMD","id"],"Interval":1000},"HostConfig":{"VolumesFrom":null}}`).Replacing(old, nil)
	if err != nil || len(in.Hazards) > 0 {
		t.Errorf("%v", err)
	}
	if _, err = create(t, `{"Image":"x","Healthcheck":{"Test":["CMD","id"],"Interval":1000},"HostConfig":{"Memory":5}}`).Replacing(old, nil); err == nil {
		t.Error("it has more memory than one of which no host configuration is known")
	}
	broken := &Old{Name: "web", Config: []byte(`{"Image":`)}
	if _, err := mustParse(t, post("/networks/shop/connect", `{"Container":"x"}`)).Replacing(broken, nil); err == nil {
		t.Error("a connect in the place of what cannot be read")
	}
	same := mustParse(t, request("POST", "/containers/create?name=web", asWatchtower(t, nil)))
	if err := same.Runs(broken); err == nil || !strings.Contains(err.Error(), "cannot be read") {
		t.Errorf("what the old one ran cannot be read: %v", err)
	}
	other := mustParse(t, request("POST", "/containers/create?name=web", asWatchtower(t, func(body, _ map[string]any) { body["Cmd"] = []any{"id"} })))
	if err := same.Runs(oldWeb()); err != nil || other.Runs(oldWeb()) == nil {
		t.Errorf("what runs: %v", err)
	}
	for id, want := range map[string]bool{"aa11": true, "bb22": false, "": false} {
		if _, err := same.Replacing(oldWeb(), map[string]string{"shop": id, "new": "cc"}); (err == nil) != want {
			t.Errorf("its network is %q: %v", id, err)
		}
	}
	left := &Old{Config: []byte(`{"Image":"x","WorkingDir":"/w"}`), Image: []byte(`{"WorkingDir":"/w"}`)}
	if _, err := create(t, `{"Image":"x","ExposedPorts":{"80/tcp":{}}}`).Replacing(left, nil); err != nil {
		t.Errorf("what is left to the image again, and a port that nobody publishes: %v", err)
	}
}
