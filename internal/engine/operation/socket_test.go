package operation

import (
	"encoding/json"
	"reflect"
	"slices"
	"strings"
	"testing"
)

var sockets = &Sockets{
	Gateway: []Socket{
		{Listener: "agents", Path: "/run/vitrine/docker/docker.sock"},
		{Listener: "ci", Path: "/var/lib/docker/volumes/vitrine-ci/_data/docker.sock"},
		{Listener: "srv", Path: "/srv/ci/x.sock"},
	},
	Engine: []string{"/run/docker.sock", "/srv/engine/api.sock"},
	Own:    []string{"/srv/ours/policy.yaml", "/var/run/ours"},
}

func socketed(t *testing.T, method, uri, body string) *Operation {
	t.Helper()
	req := request(method, uri, body)
	req.Sockets = sockets
	return mustParse(t, req)
}

// TestWhatDecidesElsewhereThanUsualClosed: where the settings have the engine's socket and our files, and where the engine says that it
// keeps all that it has.
func TestWhatDecidesElsewhereThanUsualClosed(t *testing.T) {
	for path, want := range map[string]string{
		"/srv/engine/api.sock": "engine-socket host-path", "/srv/engine": "engine-socket host-path", "/srv/engine2": "host-path", "/srv/engine/x": "host-path",
		"/srv/ours": "host-path vitrine-files", "/srv/ours/policy.yaml": "host-path vitrine-files", "/srv/ours/x": "host-path", "/run/ours/x": "host-path vitrine-files",
		"/data/docker/volumes": "host-path vitrine-files", "/data": "host-path vitrine-files", "/data/dockers": "host-path",
		"/var/lib/vitrine": "host-path vitrine-files", "/var/lib/vitrine/grants.json": "host-path vitrine-files",
	} {
		req := post("/containers/create", `{"Image":"x","HostConfig":{"Binds":["`+path+`:/x"]}}`)
		req.Sockets, req.Engine = sockets, &Engine{Root: "/data/docker/"}
		if got := hazards(mustParse(t, req)); got != want {
			t.Errorf("%s: %q, want %q", path, got, want)
		}
	}
}

// TestWhoeverMountsASocketOfOursMintsItsListenerClosed: the file, the folder that holds it, its volume.
func TestWhoeverMountsASocketOfOursMintsItsListenerClosed(t *testing.T) {
	for host, want := range map[string]string{
		`"Binds":["/run/vitrine/docker/docker.sock:/s"]`:                              "agents",
		`"Binds":["/run/vitrine/docker:/s:ro"]`:                                       "agents",
		`"Binds":["/var/run/vitrine/:/s"]`:                                            "agents",
		`"Binds":["/run:/s"]`:                                                         "agents",
		`"Binds":["/var/run:/s"]`:                                                     "agents",
		`"Binds":["/srv/ci/../ci:/s"]`:                                                "srv",
		`"Binds":["/srv/ci/x.sock:/s"]`:                                               "srv",
		`"Binds":["/srv/other:/s","/run/vitrine/dsd:/d","/srv/ci/x.sock2:/e"]`:        "",
		`"Binds":["vitrine-ci:/s"]`:                                                   "ci",
		`"Binds":["vitrine:/s","ci:/t"]`:                                              "",
		`"Mounts":[{"Type":"volume","Source":"vitrine-ci","Target":"/s"}]`:            "ci",
		`"Mounts":[{"Type":"bind","Source":"/var/lib/docker/volumes","Target":"/s"}]`: "ci",
		`"Mounts":[{"Type":"bind","Source":"/srv","Target":"/s"}]`:                    "srv",
		`"Mounts":[{"Type":"bind","Source":"/","Target":"/s"}]`:                       "agents ci srv",
		`"Binds":["/proc/1/root/run:/s"]`:                                             "agents ci srv",
		`"Binds":["relative/../x:/s"]`:                                                "",
		`"Mounts":[{"Type":"volume","VolumeOptions":{"DriverConfig":{"Options":{"type":"none","o":"bind","device":"/srv"}}}}]`: "srv",
	} {
		op := socketed(t, "POST", "/containers/create", `{"Image":"x","HostConfig":{`+host+`}}`)
		var got []string
		for _, m := range op.Mints {
			if name, is := strings.CutPrefix(m, "listener:"); is {
				got = append(got, name)
			}
		}
		if strings.Join(got, " ") != want {
			t.Errorf("%s mints %q, want %q", host, got, want)
		}
	}
	if op := socketed(t, "POST", "/volumes/create", `{"Name":"v","DriverOpts":{"type":"none","o":"bind","device":"/srv/ci"}}`); !slices.Contains(op.Mints, "listener:srv") {
		t.Errorf("a volume: %q", op.Mints)
	}
	if names := (*Sockets)(nil).Listeners("/"); names != nil {
		t.Error(names)
	}
}

// TestSocketStandsInPlaceOfTheEngines: and all else of the mount stays.
func TestSocketStandsInPlaceOfTheEngines(t *testing.T) {
	given := sockets.Gateway[0]
	op := socketed(t, "POST", "/containers/create", `{"Image":"x","HostConfig":{
		"Binds":["/var/run/docker.sock:/var/run/docker.sock:ro","/run/docker.sock:/a","//run//docker.sock:/b:z","/srv/engine/api.sock:/c","/srv/data:/d","cache:/e"],
		"Mounts":[{"Type":"bind","Source":"/var/run/docker.sock","Target":"/f","ReadOnly":true,"BindOptions":{"Propagation":"private"}},{"Type":"bind","Source":"/opt","Target":"/g"}]}}`)
	if !op.NamesSocket(given) {
		t.Fatal("it names none")
	}
	before := string(op.Canonical)
	with, err := op.WithSocket(given)
	if err != nil {
		t.Fatal(err)
	}
	if string(op.Canonical) != before {
		t.Error("the operation itself was changed")
	}
	var got, want any
	if err := json.Unmarshal(with.Canonical, &got); err != nil {
		t.Fatal(err)
	}
	const ours = "/run/vitrine/docker/docker.sock"
	text := `{"Image":"x","HostConfig":{
		"Binds":["` + ours + `:/var/run/docker.sock:ro","` + ours + `:/a","` + ours + `:/b:z","` + ours + `:/c","/srv/data:/d","cache:/e"],
		"Mounts":[{"Type":"bind","Source":"` + ours + `","Target":"/f","ReadOnly":true,"BindOptions":{"Propagation":"private"}},{"Type":"bind","Source":"/opt","Target":"/g"}]}}`
	if err := json.Unmarshal([]byte(text), &want); err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("forwarded %s", with.Canonical)
	}
	if slices.Contains(with.Hazards, HazardEngineSocket) || slices.Contains(with.Hazards, HazardVitrineFiles) || !slices.Contains(with.Hazards, HazardHostPath) {
		t.Errorf("hazards %q: of the others alone", with.Hazards)
	}
	if want := []string{"/opt", "/srv/data", "volume:cache"}; !slices.Equal(with.HostPath, want) {
		t.Errorf("host paths %q", with.HostPath)
	}
	if !slices.Contains(with.Mints, "listener:agents") || slices.Contains(with.Mints, "listener:ci") {
		t.Errorf("mints %q", with.Mints)
	}
	if want := []string{"HostConfig.Binds", "HostConfig.Mounts[].Source"}; !slices.Equal(with.SubstitutedIn, want) {
		t.Errorf("in %q", with.SubstitutedIn)
	}
	if want := (ResolvedPath{"/var/run/docker.sock", ours}); with.Substituted[0] != want || len(with.Substituted) != 4 {
		t.Errorf("substituted %+v", with.Substituted)
	}
	// What is written anew later is still judged so.
	resolved, err := with.ResolveHostPaths(func(p string) (string, error) {
		if p == ours {
			t.Error("the gateway's socket was looked up")
		}
		return strings.Replace(p, "/srv/data", "/srv/real", 1), nil
	})
	if err != nil || slices.Contains(resolved.Hazards, HazardEngineSocket) || !slices.Contains(resolved.HostPath, "/srv/real") {
		t.Errorf("%v, %+v", err, resolved)
	}
	labelled, err := resolved.WithLabels(map[string]string{OwnerLabel: "x"})
	if err != nil || slices.Contains(labelled.Hazards, HazardEngineSocket) || !slices.Contains(labelled.Mints, "listener:agents") || with.NamesSocket(given) {
		t.Errorf("%v, %+v", err, labelled)
	}
}

// TestSubstitutedSocketIsRecorded: what was judged is read again from the record.
func TestSubstitutedSocketIsRecorded(t *testing.T) {
	with, err := socketed(t, "POST", "/containers/create", `{"Image":"x","HostConfig":{"Binds":["/run/docker.sock:/x","/srv/data:/d"]}}`).WithSocket(sockets.Gateway[0])
	if err != nil {
		t.Fatal(err)
	}
	text, err := json.Marshal(with.Outline())
	if err != nil {
		t.Fatal(err)
	}
	var outline Outline
	if err := json.Unmarshal(text, &outline); err != nil {
		t.Fatal(err)
	}
	again, err := outline.Operation(nil)
	if err != nil {
		t.Fatal(err)
	}
	for what, same := range map[string][2]any{
		"hazards": {with.Hazards, again.Hazards}, "host paths": {with.HostPath, again.HostPath},
		"mints": {with.Mints, again.Mints}, "fields": {with.SubstitutedIn, again.SubstitutedIn},
	} {
		if !reflect.DeepEqual(same[0], same[1]) {
			t.Errorf("%s: %v, and again %v", what, same[0], same[1])
		}
	}
}

// TestWhatIsNotTheEnginesSocketStaysClosed: its folder, a path that climbs, a link to it, what is not mounted, others' sockets.
func TestWhatIsNotTheEnginesSocketStaysClosed(t *testing.T) {
	given := sockets.Gateway[0]
	for _, host := range []string{
		`"Binds":["/var/run:/var/run"]`, `"Binds":["/run:/x"]`, `"Binds":["/run/x/../docker.sock:/x"]`, `"Binds":["/run/docker.sock.bak:/x"]`,
		`"Binds":["/run/docker.sock/x:/x"]`, `"Binds":["/run/containerd/containerd.sock:/x"]`, `"Binds":["docker.sock:/x"]`, `"Binds":["/srv/ci/x.sock:/x"]`,
		`"Binds":["/run/docker.sock"]`, `"Binds":["/run/docker.sock:/x:ro,Z"]`, `"Mounts":[{"Type":"volume","Source":"/run/docker.sock","Target":"/x"}]`,
		`"Mounts":[{"Type":"volume","VolumeOptions":{"DriverConfig":{"Options":{"type":"none","o":"bind","device":"/run/docker.sock"}}}}]`,
		`"Devices":[{"PathOnHost":"/run/docker.sock","PathInContainer":"/x"}]`, `"LogConfig":{"Type":"syslog","Config":{"syslog-address":"unix:///run/docker.sock"}}`,
	} {
		if op := socketed(t, "POST", "/containers/create", `{"Image":"x","HostConfig":{`+host+`}}`); op.NamesSocket(given) {
			t.Errorf("%s is taken for the engine's socket", host)
		}
	}
	for uri, body := range map[string]string{
		"/volumes/create":    `{"Name":"v","DriverOpts":{"type":"none","o":"bind","device":"/run/docker.sock"}}`,
		"/services/create":   `{"TaskTemplate":{"ContainerSpec":{"Mounts":[{"Type":"bind","Source":"/run/docker.sock","Target":"/x"}]}}}`,
		"/containers/create": `{"Image":"x","Volumes":{"/run/docker.sock:/x":{}}}`,
	} {
		if op := socketed(t, "POST", uri, body); op.NamesSocket(given) || !slices.Contains(op.Hazards, HazardEngineSocket) {
			t.Errorf("%s %s: %+v", uri, body, op.Hazards)
		}
	}
	if op := mustParse(t, request("POST", "/containers/create", `{"Image":"x","HostConfig":{"Binds":["/run/docker.sock:/x"]}}`)); op.NamesSocket(given) {
		t.Error("nobody has said which socket is whose")
	}
	// Beside one that was put in, the others are what they were.
	with, err := socketed(t, "POST", "/containers/create", `{"Image":"x","HostConfig":{"Binds":["/run/docker.sock:/x","/run:/y","/run/vitrine/docker/docker.sock:/w:Z"],"Privileged":true,
		"Mounts":[{"Type":"bind","Source":"/run/docker.sock","Target":"/z","BindOptions":{"Propagation":"rshared"}}]}}`).WithSocket(given)
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Contains(with.HostPath, "/run/vitrine/docker/docker.sock") {
		t.Errorf("the gateway's socket is labelled anew: %q", with.HostPath)
	}
	for _, h := range []Hazard{HazardEngineSocket, HazardVitrineFiles, HazardHostPath, HazardPrivileged, HazardPropagation} {
		if !slices.Contains(with.Hazards, h) {
			t.Errorf("%s is not told any longer: %q", h, with.Hazards)
		}
	}
}

// TestTheGatewaysSocketByItsOwnName: what inspect shows of such a container can be sent back.
func TestTheGatewaysSocketByItsOwnName(t *testing.T) {
	op := socketed(t, "POST", "/containers/create", `{"Image":"x","HostConfig":{"Binds":["/run/vitrine/docker/docker.sock:/var/run/docker.sock"]}}`)
	if !op.NamesSocket(sockets.Gateway[0]) || op.NamesSocket(sockets.Gateway[2]) {
		t.Error("it is that of the caller's listener alone")
	}
	with, err := op.WithSocket(sockets.Gateway[0])
	if err != nil || len(with.Hazards) != 0 {
		t.Errorf("%v, %q", err, with.Hazards)
	}
}

// TestSocketThatLiftsIsAHazardClosed: who could connect there would be let through what the policy denies, wherever the socket is. A path is a hazard
// of each socket: who writes there can put another in its place.
func TestSocketThatLiftsIsAHazardClosed(t *testing.T) {
	ours := &Sockets{Gateway: []Socket{{Listener: "learn", Path: "/srv/learn/l.sock", Lifts: true}, {Listener: "ci", Path: "/srv/ci/c.sock"}, {Listener: "old", Path: "/data/volumes/v/_data/o.sock", Lifts: true}}}
	for bind, is := range map[string]bool{"/srv": true, "/srv/learn": true, "/srv/learn/l.sock": true, "/srv/ci": true, "/srv/other": false, "v": true, "w": false} {
		body := `{"Image":"x","HostConfig":{"Binds":["` + bind + `:/x"]}}`
		req := request("POST", "/containers/create", body)
		req.Sockets = ours
		if op := mustParse(t, req); slices.Contains(op.Hazards, HazardVitrineFiles) != is {
			t.Errorf("%s: %v", bind, op.Hazards)
		}
	}
}

func TestSocketOfTheCallersListener(t *testing.T) {
	for listener, want := range map[string]string{"ci": "ci", "agents": "agents", "": "agents", "tls": "agents"} {
		if got, ok := sockets.For(listener); !ok || got.Listener != want {
			t.Errorf("%q: %+v", listener, got)
		}
	}
	lifting := &Sockets{Gateway: []Socket{{Listener: "learn", Path: "/srv/learn.sock", Lifts: true}, {Listener: "ci", Path: "/run/ci.sock"}}}
	for listener, want := range map[string]string{"learn": "learn", "tls": "ci", "": "ci"} {
		if got, ok := lifting.For(listener); !ok || got.Listener != want {
			t.Errorf("%q: %+v", listener, got)
		}
	}
	if got, ok := (&Sockets{Gateway: lifting.Gateway[:1]}).For("tls"); ok {
		t.Errorf("who did not come by it is given %+v", got)
	}
	if _, ok := (&Sockets{}).For("ci"); ok {
		t.Error("there is none")
	}
	if _, ok := (*Sockets)(nil).For("ci"); ok {
		t.Error("there is none")
	}
}

// TestSocketIsGivenByABindAlone: what else leads there is judged as ever.
func TestSocketIsGivenByABindAloneClosed(t *testing.T) {
	given := sockets.Gateway[0]
	op := socketed(t, "POST", "/containers/create", `{"HostConfig":{"Binds":["/run/docker.sock:/s"],"Mounts":[{"Type":"volume","Target":"/v","VolumeOptions":{"DriverConfig":{"Options":{"type":"none","o":"bind","device":"`+given.Path+`"}}}}]}}`)
	with, err := op.WithSocket(given)
	if err != nil || !slices.Contains(with.HostPath, given.Path) {
		t.Errorf("%v, %v", with.HostPath, err)
	}
	if with.NamesSocket(given) {
		t.Error("there is one more to give")
	}
	rereads(t, with)
}
