package operation

import (
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"reflect"
	"slices"
	"strings"
	"testing"

	"vitrine/internal/engine/principal"
)

// Each guard here stands alone: what else would have noticed is out of the way.

func create(t *testing.T, body string) *Operation {
	t.Helper()
	return mustParse(t, post("/containers/create", body))
}

// TestNoBodyHasNoKeys: an operation that takes no body of JSON has a schema in which every key is unknown.
func TestNoBodyHasNoKeysClosed(t *testing.T) {
	for i := range catalogue {
		if e := &catalogue[i]; (e.body == bodyNone || e.body == bodyOpaque) && e.schema != nodeEmpty {
			t.Errorf("%s has schema %d", e.id, e.schema)
		}
	}
}

// TestEachCeilingStandsAlone: what has none is as it was asked for.
func TestEachCeilingStandsAlone(t *testing.T) {
	const body = `{"HostConfig":{"Memory":8589934592,"NanoCpus":8000000000,"PidsLimit":800}}`
	for field, c := range map[string]Ceilings{"Memory": {Memory: 1 << 20}, "8 processors": {NanoCPUs: 1e9}, "PidsLimit": {Pids: 8}} {
		if _, err := create(t, body).WithCeilings(c); err == nil || !strings.HasPrefix(err.Error(), field) {
			t.Errorf("%s: %v", field, err)
		}
		if with, err := create(t, `{"Image":"x"}`).WithCeilings(c); err != nil || len(with.Set) != 1 {
			t.Errorf("%s: %v, %v", field, with.Set, err)
		}
	}
	for body, want := range map[string]int64{`{"HostConfig":{"CpuPeriod":1000000}}`: 1_000_000, `{"HostConfig":{"CpuPeriod":1000}}`: 1000} {
		with, err := create(t, body).WithCeilings(Ceilings{NanoCPUs: 1e9})
		if err != nil || len(with.Set) != 1 || with.Set[0].Value != want {
			t.Errorf("%s: %v", body, err)
		}
	}
	with, err := create(t, `{"HostConfig":{"CpuPeriod":200000}}`).WithCeilings(Ceilings{NanoCPUs: 5e6})
	if err != nil || !slices.Contains(with.Hazards, HazardLimits) {
		t.Errorf("what is set is judged, too: %v", err)
	}
}

// TestExamplesAreOfTheirOperation: none is behind another rail than it, and none is twice.
func TestExamplesAreOfTheirOperation(t *testing.T) {
	for i := range catalogue {
		e := &catalogue[i]
		seen := map[string]bool{}
		for _, x := range Examples()[e.id] {
			is := string(x.Operation.Access) + strings.Join(texted(x.Operation.Hazards), " ")
			if x.Operation.Rail != e.rail || seen[is] {
				t.Errorf("%s: %s %s with %s, rail %q", e.id, x.URI, x.Body, is, x.Operation.Rail)
			}
			seen[is] = true
		}
		if !slices.IsSortedFunc(Examples()[e.id], func(a, b Example) int { return len(a.Operation.Hazards) - len(b.Operation.Hazards) }) {
			t.Errorf("%s: those with fewest hazards are not first", e.id)
		}
		if may := MayHave(e.id); !slices.IsSorted(may) || slices.Contains(may, "") {
			t.Errorf("%s may have %q", e.id, may)
		}
	}
}

// TestNoHeadersAreAnEmptyObject to a policy, and not null.
func TestNoHeadersAreAnEmptyObject(t *testing.T) {
	if op := mustParse(t, &Request{Method: "GET", URI: "/info", Proto: "HTTP/1.1"}); op.Headers == nil {
		t.Error("they are null")
	}
	if op := mustParse(t, &Request{Method: "GET", URI: "/info", Proto: "HTTP/1.1", Header: http.Header{"accept": {"a"}}}); op.Headers.Get("Accept") != "a" {
		t.Errorf("a name is spelt as it came: %v", op.Headers)
	}
}

// TestImagesFromNowhereClosed: of what an image is made without saying so the daemon says.
func TestImagesFromNowhereClosed(t *testing.T) {
	for query, want := range map[string]bool{"": true, "?fromImage=x": true, "?fromSrc=-": false, "?fromSrc=http://x/y.tar": true} {
		if op := mustParse(t, post("/images/create"+query, "")); slices.Contains(op.Hazards, HazardOutbound) != want {
			t.Errorf("%q: %v", query, op.Hazards)
		}
	}
}

// TestWhatIsLeftEmptyIsNoRail: neither a service's runtime, nor its rollback.
func TestWhatIsLeftEmptyIsNoRail(t *testing.T) {
	for uri, rail := range map[string]bool{"": false, "&rollback=": false, "&rollback=none": false, "&rollback=previous": true} {
		if op := mustParse(t, post("/services/s/update?version=1"+uri, `{"Name":"s","TaskTemplate":{"Runtime":""}}`)); (op.Rail != "") != rail {
			t.Errorf("%q: %q", uri, op.Rail)
		}
	}
	for runtime, rail := range map[string]bool{"container": false, "types.docker.com/RuntimeContainer": false, "plugin": true} {
		if op := mustParse(t, post("/services/create", `{"TaskTemplate":{"Runtime":"`+runtime+`"}}`)); (op.Rail != "") != rail {
			t.Errorf("%s: %q", runtime, op.Rail)
		}
	}
	for runtime, hazard := range map[string]bool{"": false, "runc": false, "kata": true} {
		req := post("/containers/create", `{"HostConfig":{"Runtime":"`+runtime+`"}}`)
		req.Engine = &Engine{Runtime: "runc"}
		if op := mustParse(t, req); (len(op.Hazards) > 0) != hazard {
			t.Errorf("runtime %q: %v", runtime, op.Hazards)
		}
	}
}

// TestGroupOfAnExec is the number that was asked for, and 0 is one.
func TestGroupOfAnExec(t *testing.T) {
	req := post("/containers/x/exec", `{"Cmd":["id"],"User":"1000:0"}`)
	req.Engine = &Engine{HostUsers: true}
	if op := mustParse(t, req); !slices.Contains(op.Mints, "container-gid:0") || slices.Contains(op.Mints, "container-uid:*") {
		t.Errorf("%v", op.Mints)
	}
	req = post("/containers/x/exec", `{"Cmd":["id"],"User":"1000:0","Privileged":true}`)
	req.Engine = &Engine{HostUsers: true}
	if op := mustParse(t, req); !slices.Contains(op.Mints, "container-uid:*") {
		t.Errorf("a privileged one becomes anybody: %v", op.Mints)
	}
}

// TestAnotherNameInFilters stands in place of one, in either form of filters; nothing else is changed, and what is named in another place
// cannot be.
func TestAnotherNameInFiltersClosed(t *testing.T) {
	for _, tc := range []struct {
		uri, filters string
		kind         Kind
		want         string // "": it cannot be
	}{
		{"/containers/json", `{"before":["db","web"],"ancestor":["db"]}`, KindContainer, `{"ancestor":["db"],"before":["none","web"]}`},
		{"/containers/json", `{"since":{"db":true,"web":true}}`, KindContainer, `{"since":{"none":true,"web":true}}`},
		{"/containers/json", `{"ancestor":["db"],"volume":["db"]}`, KindVolume, `{"ancestor":["db"],"volume":["none"]}`},
		{"/containers/json", `{"before":["web"]}`, KindContainer, ""},
		{"/containers/json", `{"before":["web"],"label":["db"]}`, KindContainer, ""},
		{"/images/get?names=db", "", KindImage, ""},
	} {
		uri := tc.uri
		if tc.filters != "" {
			uri += "?filters=" + url.QueryEscape(tc.filters)
		}
		op := parsed(t, http.MethodGet, uri)
		with, ok := op.WithoutNaming(tc.kind, "db", "none")
		if ok != (tc.want != "") || ok != (with != nil) {
			t.Errorf("%s %s: %v", uri, tc.kind, ok)
		} else if ok && (with.Query.Get("filters") != tc.want || op.URI == with.URI) {
			t.Errorf("%s: %s", tc.filters, with.Query.Get("filters"))
		}
	}
}

// TestWhatCannotHaveLabelsHasNone, and what has no place for them yet is given one.
func TestWhatCannotHaveLabelsHasNone(t *testing.T) {
	labels := map[string]string{"team": "blue"}
	withheld := post("/containers/create", "")
	withheld.Withheld, withheld.ContentLength = true, 5
	op := mustParse(t, withheld)
	if with, err := op.WithLabels(labels); with != op || err != nil {
		t.Errorf("a body that nobody has seen: %s, %v", with.Canonical, err)
	}
	if with, err := op.WithCeilings(Ceilings{Pids: 5}); with != op || err != nil {
		t.Errorf("a body that nobody has seen: %v", err)
	}
	if again, err := op.Outline().Operation(nil); err != nil || again.BodyState != BodyWithheld {
		t.Errorf("a body that nobody has seen is none in a record: %v", err)
	}
	op = mustParse(t, post("/networks/n/connect", `{"Container":"x"}`))
	if with, err := op.WithLabels(labels); with != op || err != nil {
		t.Errorf("a connect: %v", err)
	}
	if _, err := parsed(t, http.MethodPost, "/commit?container=x").WithImageLabels(labels); err != nil {
		t.Errorf("a commit without changes: %v", err)
	}
	op = create(t, `{"HostConfig":{"Mounts":[{"Target":"/a"}]}}`)
	before := clone(op.Body)
	if op.GivenLabel("team"); !reflect.DeepEqual(op.Body, before) {
		t.Errorf("to look for labels makes a place for them: %v", op.Body)
	}
	if _, err := create(t, `null`).WithCeilings(Ceilings{Pids: 5}); err == nil {
		t.Error("what is no object has a ceiling")
	}
	for _, tc := range []struct {
		req  *Request
		want int
	}{
		{post("/services/create", `{"Name":"s"}`), 1},
		{post("/build", ""), 1},
		{post("/containers/create", `{"HostConfig":{"Mounts":[null,{"Target":"/a"},{"Type":"cluster","Target":"/b"},{"Type":"tmpfs","Target":"/c"}]}}`), 3},
	} {
		with, err := mustParse(t, tc.req).WithLabels(labels)
		if err != nil || len(with.GivenLabel("team")) != tc.want {
			t.Errorf("%s: %s, %v", with.ID, with.Canonical, err)
		}
	}
}

// TestWhatIsNoNameNamesNothing: and what is one is told of once, with its place.
func TestWhatIsNoNameNamesNothing(t *testing.T) {
	host := func(s string) *Operation { return create(t, `{"HostConfig":{`+s+`}}`) }
	for want, op := range map[string]*Operation{
		"":     host(`"Binds":["data"]`),
		"data": host(`"Mounts":[{"Source":"data","Target":"/a"},{"Type":"image","Source":"x","Target":"/b"}]`),
		"far":  host(`"Mounts":[{"Type":"cluster","Source":"far","Target":"/a"}]`),
	} {
		var got []string
		for _, obj := range op.Objects() {
			if obj.Kind == KindVolume {
				got = append(got, obj.Ref)
			}
		}
		if strings.Join(got, " ") != want {
			t.Errorf("%s names the volumes %q, want %q", op.Canonical, got, want)
		}
	}
	if all := mustParse(t, post("/containers/web/update", `{"EndpointConfig":{"NetworkID":"other"}}`)).Objects(); len(all) != 2 || all[1] != (Object{Role: RoleTarget, Kind: KindContainer, Ref: "web"}) {
		t.Errorf("an update is of %+v", all)
	}
	if n := len(parsed(t, http.MethodGet, "/events?filters="+url.QueryEscape(`{"container":["a","a"]}`)).Objects()); n != 1 {
		t.Errorf("%d objects of one name", n)
	}
	var all []string
	for i := range 3 * few {
		all = append(all, `"c`+string(rune('a'+i))+`"`)
	}
	list := strings.Join(all, ",")
	if n := len(parsed(t, http.MethodGet, "/events?filters="+url.QueryEscape(`{"container":[`+list+","+list+`]}`)).Objects()); n != len(all) {
		t.Errorf("%d objects of %d", n, len(all))
	}
	if joined := mustParse(t, post("/build?networkmode=blue", "")).JoinedNetworks(); len(joined) != 1 || joined[0].At != "?networkmode" {
		t.Errorf("%+v", joined)
	}
	if with, ok := parsed(t, http.MethodGet, "/containers/json").WithTargetName(""); ok {
		t.Errorf("what names nothing is %s with another name", with.URI)
	}
}

// TestOutlineOfParameters: what says nothing stays, and of what may be a secret only that it was there.
func TestOutlineOfParametersClosed(t *testing.T) {
	for uri, want := range map[string]string{
		"/images/create?fromSrc=-&repo=x":                               "/images/create?fromSrc=-&repo=x",
		"/build?remote=x":                                               "/build?remote=REDACTED",
		"/containers/x/logs?tail=all&follow=Yes":                        "/containers/x/logs?follow=Yes&tail=all",
		"/containers/x/logs?tail=123456":                                "/containers/x/logs?tail=123456",
		"/containers/x/logs?tail=1234567":                               "/containers/x/logs?tail=REDACTED",
		"/containers/x/logs?tail=abc":                                   "/containers/x/logs?tail=REDACTED",
		"/commit?container=x&changes=env+A%3Db&changes=cmd+id&changes=": "/commit?changes=ENV+REDACTED&changes=CMD+REDACTED&changes=&container=x",
		"/commit?container=x&comment=cmd+id":                            "/commit?comment=REDACTED&container=x",
	} {
		method := http.MethodPost
		if strings.Contains(uri, "logs") {
			method = http.MethodGet
		}
		req := request(method, uri, "")
		if strings.Contains(uri, "fromSrc") {
			req.ContentLength, req.ReadBody = 3, nil
		}
		if got := mustParse(t, req).Outline().URI; got != want {
			t.Errorf("%s is kept as %s, want %s", uri, got, want)
		}
	}
}

// TestOutlineOfBodies: names stay, whatever their class; of what nobody knows even numbers do not, and of too much nothing does.
func TestOutlineOfBodiesClosed(t *testing.T) {
	long := strings.Repeat("x", maxOutlineBody)
	for _, tc := range []struct{ uri, body, want, dropped string }{
		{"/services/create", `{"TaskTemplate":{"ContainerSpec":{"Image":"nginx:1","Secrets":[{"SecretID":"s1"}]}}}`, `{"TaskTemplate":{"ContainerSpec":{"Image":"nginx:1","Secrets":[{"SecretID":"s1"}]}}}`, ""},
		{"/containers/create", `{"Nope":12345678}`, `{"Nope":"REDACTED"}`, "request.body.Nope"},
		{"/containers/create", `{"Nope":["hunter2",""]}`, `{"Nope":["REDACTED",""]}`, "request.body.Nope"},
		{"/containers/create", `{"HostConfig":{"Devices":[{"CgroupPermissions":"rwm"}]}}`, `{"HostConfig":{"Devices":[{"CgroupPermissions":"rwm"}]}}`, ""},
		{"/containers/create", `{"Labels":{"a":"` + long[19:] + `"}}`, `{"Labels":{"a":"` + long[19:] + `"}}`, ""},
		{"/containers/create", `{"Nope":["","hunter2","hunter3"]}`, `{"Nope":["","REDACTED"]}`, "request.body.Nope"},
		{"/containers/create", `{"Env":["` + defaultPath + `","A","PATH=/x"]}`, `{"Env":["` + defaultPath + `","A","PATH=REDACTED"]}`, "request.body.Env"},
		{"/containers/create", `{"Labels":{"a":"` + long + `"}}`, `{}`, "request.body"},
	} {
		req := post(tc.uri, tc.body)
		s := mustParse(t, req).Outline()
		if !slices.Contains(s.Dropped, "request.headers") {
			t.Errorf("%.80s: headers are left out, and %v is told", tc.body, s.Dropped)
		}
		dropped := slices.DeleteFunc(s.Dropped, func(d string) bool { return d == "request.headers" })
		if string(s.Body) != tc.want || strings.Join(dropped, " ") != tc.dropped {
			t.Errorf("%.80s is kept as %.80s without %v", tc.body, s.Body, dropped)
		}
	}
	if v := (&shaping{}).value(nodeAny, named, json.Number("5"), nil, ""); v != json.Number("5") {
		t.Errorf("a number that is a name is kept as %v", v)
	}
}

// TestOutlineRemembersEachCause of a hazard that it shows only in part, and forgets what another container had.
func TestOutlineRemembersEachCauseClosed(t *testing.T) {
	rereads(t, mustParse(t, post("/build?outputs="+url.QueryEscape(`[{"Type":"image","Attrs":{"name":"web"}}]`), "")))
	rereads(t, create(t, `{"Cmd":["`+strings.Repeat("x", maxText+1)+`"],"HostConfig":{"CpuShares":262144}}`))
	outline := func(hazards []Hazard, fields map[Hazard][]string) *Operation {
		s := create(t, `{"Image":"x"}`).Outline()
		s.Hazards, s.HazardFields = hazards, fields
		op, err := s.Operation(nil)
		if err != nil {
			t.Fatal(err)
		}
		return op
	}
	for name, tc := range map[string]struct {
		op   *Operation
		want []Hazard
	}{
		"spared":            {outline([]Hazard{HazardLimits}, map[Hazard][]string{HazardLimits: {"Cmd"}}), nil},
		"another field":     {outline([]Hazard{HazardLimits}, map[Hazard][]string{HazardLimits: {"Cmd", "WorkingDir"}}), []Hazard{HazardLimits}},
		"of no field":       {outline([]Hazard{HazardLimits}, nil), []Hazard{HazardLimits}},
		"what nobody knows": {outline([]Hazard{HazardUnknownInput}, map[Hazard][]string{HazardUnknownInput: {"Cmd"}}), []Hazard{HazardUnknownInput}},
	} {
		if in := tc.op.ReplacingIn([]string{"Cmd"}); !slices.Equal(in.Hazards, tc.want) {
			t.Errorf("%s: %v", name, in.Hazards)
		}
	}
	start := mustParse(t, post("/containers/x/start", "")).Outline()
	start.BodyState, start.Body = BodyJSON, []byte("{}")
	if _, err := start.Operation(nil); err == nil {
		t.Error("a body that the daemon does not read is read from a record")
	}
	if fields := create(t, `{}`).ReplacedFields(); fields != nil {
		t.Errorf("%v of no other container", fields)
	}
}

// TestPinsChangeNothingElse: an operation that names none of the containers, or has their ids already, is the same one; what cannot stand in
// a path stands for nothing.
func TestPinsChangeNothingElse(t *testing.T) {
	for _, op := range []*Operation{mustParse(t, post("/containers/db/start", "")), mustParse(t, post("/networks/n/connect", `{"Container":"other"}`))} {
		if with, ok := op.WithContainers(Pins{{"db", "db"}}); with != op || !ok {
			t.Errorf("%s: %v", op.URI, ok)
		}
	}
	for _, op := range []*Operation{mustParse(t, post("/containers/other/start", "")), mustParse(t, post("/commit?repo=r", ""))} {
		if with, ok := op.WithContainers(Pins{{"db", "0123"}}); with != op || !ok {
			t.Errorf("%s: %v", op.URI, ok)
		}
	}
	op := create(t, `{"HostConfig":{"PidMode":"container:db","VolumesFrom":["other"],"Links":["db","other"]}}`)
	want := `{"HostConfig":{"Links":["0123:db","other"],"PidMode":"container:0123","VolumesFrom":["other"]}}`
	if with, ok := op.WithContainers(Pins{{"db", "0123"}}); !ok || string(with.Canonical) != want {
		t.Errorf("%s", with.Canonical)
	}
	op = create(t, `{"HostConfig":{"PidMode":"container:db","VolumesFrom":["other"]}}`)
	if with, ok := op.WithContainers(Pins{{"db", "0123"}}); !ok || with == op {
		t.Errorf("%s", with.Canonical)
	}
	if with, ok := mustParse(t, post("/containers/db/start", "")).WithContainers(Pins{{"db", ".."}}); ok {
		t.Errorf("%s", with.URI)
	}
}

// TestPathsOfTheHostInOtherWordsClosed: what may mean one counts, and what cannot does not.
func TestPathsOfTheHostInOtherWordsClosed(t *testing.T) {
	for _, tc := range []struct{ uri, body, want string }{
		{"/services/create", `{"TaskTemplate":{"ContainerSpec":{"Mounts":[{"Type":"bind","Source":"{{.Node.Hostname}}"}]}}}`, "/"},
		{"/containers/create", `{"HostConfig":{"Mounts":[{"Type":"tmpfs","Source":"/etc"},{"Type":"image","Source":"/etc"},{"Type":"bind","Source":"/srv/{{x"}]}}`, "/srv/{{x"},
		{"/volumes/create", `{"Driver":"other","DriverOpts":{"device":"/srv/a,/srv/b"}}`, "/srv/a /srv/a,/srv/b /srv/b"},
		{"/containers/create", `{"HostConfig":{"LogConfig":{"Type":"syslog","Config":{"tag":"unix"}}}}`, ""},
	} {
		if got := strings.Join(mustParse(t, post(tc.uri, tc.body)).HostPath, " "); got != tc.want {
			t.Errorf("%s: %q, want %q", tc.body, got, tc.want)
		}
	}
	if op := mustParse(t, post("/volumes/create", `{"Driver":"other","DriverOpts":{"mountpoint":"/srv/a"}}`)); !slices.Contains(op.Hazards, HazardHostPath) {
		t.Errorf("an option of a driver: %v", op.Hazards)
	}
	if makesVolume(nil) {
		t.Error("null makes a volume")
	}
	if onRun("/var/runner/x") != "/var/runner/x" || onRun("/var/run") != "/run" {
		t.Error("what only begins like /var/run is elsewhere")
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

// TestOnlyWhatIsOursIsResolved: no relative path, none of another machine, and none that another container had.
func TestOnlyWhatIsOursIsResolvedClosed(t *testing.T) {
	nfs := `{"Type":"volume","VolumeOptions":{"DriverConfig":{"Options":{"type":"nfs","device":"/srv/far","o":"addr=10.0.0.1"}}}}`
	op := create(t, `{"HostConfig":{"Binds":["/srv/old:/x"],"Devices":[{"PathOnHost":"kvm"}],"Mounts":[{"Type":"bind","Source":"/srv/l","Target":"/y"},`+nfs+`]}}`)
	asked := []string{}
	r, err := op.ReplacingIn([]string{"HostConfig.Binds"}).ResolveHostPaths(func(p string) (string, error) {
		if asked = append(asked, p); p != "/srv/l" {
			return "", errors.New("nobody should ask")
		}
		return "/srv/real", nil
	})
	if err != nil || !reflect.DeepEqual(asked, []string{"/srv/l"}) || !strings.Contains(string(r.Canonical), "/srv/real") || !strings.Contains(string(r.Canonical), "/srv/old:/x") {
		t.Errorf("%v; asked for %q", err, asked)
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

// TestParametersThatMayComeTwice are all taken, and keys in any case are one.
func TestParametersThatMayComeTwice(t *testing.T) {
	op := parsed(t, http.MethodGet, "/images/get?names=a&platform="+url.QueryEscape(`{"os":"linux"}`)+"&platform="+url.QueryEscape(`{"os":"windows"}`))
	if all, _ := op.Params["platform"].([]any); len(all) != 2 {
		t.Errorf("%v", op.Params)
	}
	if op := create(t, `{"HOSTCONFIG":{"SHMSIZE":1}}`); string(op.Canonical) != `{"HostConfig":{"ShmSize":1}}` {
		t.Errorf("%s", op.Canonical)
	}
}

// TestBodyOfWhichNothingIsKnownClosed: not how long it is, nor what it holds.
func TestBodyOfWhichNothingIsKnownClosed(t *testing.T) {
	req := post("/containers/create", "")
	req.ReadBody, req.ContentLength = nil, -1
	if code := refused(t, req); code != "body-missing" {
		t.Error(code)
	}
}

// TestNoOperationHasWhatIsAnothers: neither a path below its own, nor the parameters of the next one in the table.
func TestNoOperationHasWhatIsAnothersClosed(t *testing.T) {
	if e, _ := find(http.MethodDelete, "/containers/x/checkpoints/a/b"); e.id != "ContainerDelete" {
		t.Errorf("a name with a slash is one of %s", e.id)
	}
	for i := range catalogue {
		e := &catalogue[i]
		if int(e.params.hi) == len(paramTable) {
			continue
		}
		next := paramTable[e.params.hi].name
		has := slices.ContainsFunc(paramTable[e.params.lo:e.params.hi], func(p param) bool { return p.name == next })
		if (e.param(next) != nil) != has {
			t.Errorf("%s has %s, which is another's", e.id, next)
		}
	}
}

// TestJustTheLimit is within it, and what is below it no hazard.
func TestJustTheLimit(t *testing.T) {
	tag := func(text string) string {
		return `{"HostConfig":{"LogConfig":{"Type":"syslog","Config":{"tag":"` + text + `"}}}}`
	}
	x := func(n int) string { return strings.Repeat("x", n) }
	for body, limits := range map[string]bool{
		tag(x(maxTemplate)): false, tag(x(maxTemplate + 1)): true, tag("{{.ID}}" + x(maxTemplate-7)): false,
		`{"HostConfig":{"CpuPeriod":200000}}`: false,
	} {
		if op := create(t, body); slices.Contains(op.Hazards, HazardLimits) != limits {
			t.Errorf("%.80s: %v", body, op.Hazards)
		}
	}
	for body, limits := range map[string]bool{`{"CpuPeriod":200000}`: true, `{"CpuPeriod":200000,"CpuQuota":100000}`: false} {
		if op := mustParse(t, post("/containers/x/update", body)); slices.Contains(op.Hazards, HazardLimits) != limits {
			t.Errorf("an update %s: %v", body, op.Hazards)
		}
	}
	for _, field := range []string{"Labels", "Options"} {
		if op := mustParse(t, post("/networks/create", `{"Name":"n","`+field+`":{"a":"`+x(maxText+1)+`"}}`)); slices.Contains(op.Hazards, HazardLimits) {
			t.Errorf("%s of a network, of which more may be together: %v", field, op.HazardFields)
		}
	}
	for n, long := range map[int]bool{maxText: false, maxText + 1: true} {
		if tooLong(map[string]any{x(n): 1}) != long {
			t.Errorf("a key of %d bytes", n)
		}
	}
	for version, ok := range map[string]bool{"17.6.2-ce": true, "16.0.0": false} {
		if _, is := release(version); is != ok {
			t.Errorf("%s is a release of the Engine: %v", version, is)
		}
	}
}

// TestOwnerIsToldHoweverManyLabelsThereAre.
func TestOwnerIsToldHoweverManyLabelsThereAreClosed(t *testing.T) {
	op := create(t, `{"Labels":{"`+OwnerLabel+`":"me","a":"`+strings.Repeat("x", 1<<20)+`"}}`)
	if !slices.Contains(op.Mints, principal.OfLabel(OwnerLabel, "me").String()) || !slices.Contains(op.Mints, principal.Label.Any()) {
		t.Errorf("%v", op.Mints)
	}
}

// TestWhatNobodyKnowsIsNeverSpared, though another container had it.
func TestWhatNobodyKnowsIsNeverSparedClosed(t *testing.T) {
	op := &Operation{replacement: &replacement{fields: []string{"New"}, spared: map[string]bool{}}, at: []string{"New"}}
	if op.hazard(HazardUnknownInput); len(op.Hazards) != 1 {
		t.Errorf("%v", op.Hazards)
	}
}

// TestParametersHoldNothingThatIsJudged: those that are JSON; else what is in them counts by its own keys.
func TestParametersHoldNothingThatIsJudged(t *testing.T) {
	for _, p := range paramTable {
		if nodeTable[p.json].judged {
			t.Errorf("%s", p.name)
		}
	}
}
