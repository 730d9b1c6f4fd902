package operation

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"reflect"
	"slices"
	"strings"
	"testing"

	"vitrine/test/long"
)

// rereads holds that an outline, read again, does what its operation did, and is its own outline.
func rereads(t *testing.T, op *Operation) {
	t.Helper()
	s := op.Outline()
	again, err := s.Operation(op.engine)
	if err != nil {
		t.Errorf("%s %s %s: %v", op.Method, op.URI, op.Canonical, err)
		return
	}
	is := again.Outline()
	is.Dropped, s.Dropped = nil, nil
	if !reflect.DeepEqual(s, is) {
		t.Errorf("%s %s %s:\nwas %+v\nis  %+v", op.Method, op.URI, op.Canonical, s, is)
	}
}

// TestOutlineOfEveryKeyRereads: with its value blanked or not, the request is judged as it was.
func TestOutlineOfEveryKeyRereads(t *testing.T) {
	long.Alone(t)
	for _, k := range everyKey() {
		set, zero := k.values()
		for _, value := range []string{set, zero} {
			rereads(t, k.with(t, value))
		}
	}
}

// TestSecretNeverComesOutClosed plants a text at each key of each operation. Only what is classed as
// a name, or known by its value, keeps it.
func TestSecretNeverComesOutClosed(t *testing.T) {
	const secret = "hunter2-hunter2"
	for _, k := range everyKey() {
		n := &nodeTable[k.node]
		value := `"` + secret + `"`
		switch n.kind {
		case kindStrings:
			value = `["a=` + secret + `"]`
		case kindArray:
			if nodeTable[n.elem].kind != kindString {
				continue
			}
			value = `["a=` + secret + `"]`
		case kindMap:
			if nodeTable[n.elem].kind != kindString {
				continue
			}
			value = `{"a":"` + secret + `"}`
		case kindString, kindAny:
		case kindBool, kindNumber, kindObject:
			continue
		}
		op := k.with(t, value)
		op.Headers = nil
		s := op.Outline()
		said := strings.Contains(s.URI, secret) || strings.Contains(string(s.Body), secret)
		if hidden := len(s.Dropped) > 0; said == hidden && k.e.id != "SystemAuth" /* shows a policy nothing of it */ {
			t.Errorf("%s %s: said %t, and dropped %v", k.e.id, k.field(), said, s.Dropped)
		}
		if may := k.class.kept() || k.class == part || slices.ContainsFunc(namings[k.e.id], func(n naming) bool { return n.field() == k.field() }); said && !may {
			t.Errorf("%s %s keeps its text: %s %s", k.e.id, k.field(), s.URI, s.Body)
		}
	}
	for _, c := range []struct{ method, uri, body string }{
		{"POST", "/containers/create", `{"Image":"a","Env":["A=hunter2"],"Cmd":["-p","hunter2"],"Entrypoint":"hunter2","Healthcheck":{"Test":["hunter2"]}}`},
		{"POST", "/containers/create", `{"Image":"a","Nope":{"x":["hunter2",{"y":"hunter2"}]},"HostConfig":{"LogConfig":{"Type":"splunk","Config":{"splunk-token":"hunter2"}}}}`},
		{"POST", "/containers/create", `{"HostConfig":{"Mounts":[{"Type":"volume","Source":"v","VolumeOptions":{"DriverConfig":{"Name":"local","Options":{"type":"cifs","o":"password=hunter2"}}}}]}}`},
		{"POST", "/volumes/create", `{"Name":"v","DriverOpts":{"type":"cifs","device":"//x/hunter2","o":"password=hunter2"}}`},
		{"POST", "/networks/create", `{"Name":"n","Options":{"token":"hunter2"},"IPAM":{"Options":{"token":"hunter2"}}}`},
		{"POST", "/networks/n/connect", `{"Container":"x","EndpointConfig":{"DriverOpts":{"token":"hunter2"}}}`},
		{"POST", "/containers/x/exec", `{"Cmd":["mysql","-phunter2"],"Env":["A=hunter2"]}`},
		{"POST", "/secrets/create", `{"Name":"s","Data":"hunter2"}`},
		{"POST", "/configs/create", `{"Name":"s","Data":"hunter2"}`},
		{"POST", "/services/create", `{"Name":"s","TaskTemplate":{"ContainerSpec":{"Image":"a","Env":["A=hunter2"],"Command":["hunter2"],"Args":["hunter2"]},"LogDriver":{"Name":"x","Options":{"a":"hunter2"}}}}`},
		{"POST", "/auth", `{"username":"a","password":"hunter2","serveraddress":"https://a:hunter2@x"}`},
		{"POST", "/swarm/join", `{"JoinToken":"hunter2","RemoteAddrs":["x"]}`},
		{"POST", "/swarm/unlock", `{"UnlockKey":"hunter2"}`},
		{"POST", "/plugins/x/set", `["A=hunter2"]`},
		{"POST", "/build?buildargs=%7B%22A%22%3A%22hunter2%22%7D&remote=https%3A%2F%2Fa%3Ahunter2%40x%2Fy.git", ""},
		{"POST", "/build?labels=%7B%22NPM_TOKEN%22%3A%22hunter2%22%7D", ""},
		{"POST", "/build?cachefrom=%5B%22hunter2%22%5D&nope=hunter2", ""},
		{"POST", "/images/create?fromSrc=https%3A%2F%2Fa%3Ahunter2%40x%2Fy.tar", ""},
		{"POST", "/commit?container=x&changes=ENV+A%3Dhunter2&changes=CMD+hunter2&comment=hunter2", `{"Env":["A=hunter2"]}`},
		{"GET", "/_ping?a=hunter2", ""},
	} {
		req := request(c.method, c.uri, c.body)
		req.Header.Set("User-Agent", "hunter2")
		req.Header.Set("X-Registry-Auth", "hunter2")
		op := mustParse(t, req)
		s := op.Outline()
		if strings.Contains(s.URI+string(s.Body), "hunter2") {
			t.Errorf("%s %s: %s %s", c.method, c.uri, s.URI, s.Body)
		}
		rereads(t, op)
	}
}

// TestOutlineKeepsNames, images, paths and labels, and is one for what differs by nothing else.
func TestOutlineKeepsNames(t *testing.T) {
	for _, c := range []struct{ method, uri, body, wantURI, wantBody, dropped string }{
		{
			"POST", "/v1.41/containers/create?name=web", `{"Image":"nginx:1","Labels":{"a":"b"},"Env":["A=1","B=2"],"Cmd":["a","b"],"HostConfig":{"Binds":["/srv:/srv"],"NetworkMode":"blue","CapAdd":["NET_ADMIN"],"Memory":5}}`,
			"/v1.41/containers/create?name=web", `{"Cmd":["REDACTED"],"Env":["A=REDACTED","B=REDACTED"],"HostConfig":{"Binds":["/srv:/srv"],"CapAdd":["NET_ADMIN"],"Memory":5,"NetworkMode":"blue"},"Image":"nginx:1","Labels":{"a":"b"}}`,
			"request.body.Cmd request.body.Env",
		},
		{"GET", "/containers/web/logs?since=17&tail=10&follow=1", "", "/containers/web/logs?follow=1&tail=10", "", "request.query.since"},
		{"POST", "/exec/0f3c/start", `{"Tty":true}`, "/exec/any/start", `{"Tty":true}`, "operation.target"},
		{"POST", "/exec/0f3c/resize?h=1&w=2", "", "/exec/any/resize", "", "operation.target request.query.h request.query.w"},
		{"GET", "/events?filters=%7B%22label%22%3A%5B%22a%3Db%22%5D%7D&since=5", "", "/events?filters=%7B%22label%22%3A%5B%22a%3Db%22%5D%7D", "", "request.query.since"},
		{"POST", "/build?t=a&labels=%7B%22a%22%3A%22b%22%7D", "", "/build?labels=%7B%22a%22%3A%22REDACTED%22%7D&t=a", "", "request.query.labels"},
	} {
		req := request(c.method, c.uri, c.body)
		req.Header.Del("Content-Type")
		if c.body != "" {
			req.Header.Set("Content-Type", "application/json")
		}
		s := mustParse(t, req).Outline()
		dropped := strings.Join(slices.DeleteFunc(s.Dropped, func(d string) bool { return d == "request.headers" }), " ")
		if s.URI != c.wantURI || string(s.Body) != c.wantBody || dropped != c.dropped {
			t.Errorf("%s\n%s\n%s (dropped %s)", s.URI, s.Body, c.wantBody, dropped)
		}
	}
}

// TestOutlineFromAnywhereClosed: what is no outline is no operation.
func TestOutlineFromAnywhereClosed(t *testing.T) {
	ping := mustParse(t, request("GET", "/_ping", "")).Outline()
	create := mustParse(t, request("POST", "/containers/create", `{"Image":"a","HostConfig":{"Privileged":true}}`)).Outline()
	for why, change := range map[string]func(ping, create *Outline){
		"other operation":  func(p, _ *Outline) { p.ID = "ContainerList" },
		"other state":      func(p, _ *Outline) { p.BodyState = BodyInvalid },
		"no state":         func(p, _ *Outline) { p.BodyState = "x" },
		"no route":         func(p, _ *Outline) { p.URI = "/nope" },
		"fewer hazards":    func(_, c *Outline) { c.Hazards = nil },
		"fewer mints":      func(_, c *Outline) { c.Mints = nil },
		"body that is cut": func(_, c *Outline) { c.Body = c.Body[:9] },
	} {
		p, c := *ping, *create
		change(&p, &c)
		_, errP := p.Operation(nil)
		_, errC := c.Operation(nil)
		if errP == nil && errC == nil {
			t.Errorf("%s: read", why)
		}
	}
}

// TestSecretThatBeginsLikeAPathClosed is judged as one, and told as one by no record.
func TestSecretThatBeginsLikeAPathClosed(t *testing.T) {
	for _, c := range []struct{ uri, body, told string }{
		{"/volumes/create", `{"Name":"v","DriverOpts":{"type":"cifs","o":"username=u,password=/hunter2/abc=="}}`, "REDACTED"},
		{"/volumes/create", `{"Name":"v","DriverOpts":{"type":"cifs","device":"//nas/a","o":"addr=nas,password=/hunter2"}}`, "/nas/a REDACTED"},
		{"/volumes/create", `{"Name":"v","Driver":"sshfs","DriverOpts":{"password":"/hunter2"}}`, "REDACTED"},
		{"/volumes/create", `{"Name":"v","Driver":"sshfs","DriverOpts":{"password":"/hunter2:/x"}}`, "REDACTED"},
		{"/volumes/create", `{"Name":"v","Driver":"local-persist","DriverOpts":{"mountpoint":"/srv/a"}}`, "/srv/a"},
		{"/volumes/create", `{"Name":"v","Driver":"x","DriverOpts":{"o":"lowerdir=/srv/a:/srv/b,upperdir=/srv/c,key=/hunter2"}}`, "/srv/a /srv/b /srv/c REDACTED"},
		{"/volumes/create", `{"Name":"v","Driver":"x","DriverOpts":{"device":"/srv/a","again":"/srv/a"}}`, "/srv/a"},
		{"/containers/create", `{"HostConfig":{"Binds":["/srv/a:/x"],"Mounts":[{"Type":"volume","VolumeOptions":{"DriverConfig":{"Options":{"type":"cifs","o":"password=/hunter2"}}}}]}}`, "/srv/a REDACTED"},
	} {
		op := mustParse(t, request("POST", c.uri, c.body))
		judged := strings.Contains(strings.Join(op.HostPath, " "), "hunter2")
		s := op.Outline()
		if told := strings.Join(s.HostPaths, " "); told != c.told || judged != strings.Contains(c.body, "hunter2") {
			t.Errorf("%s: judged %v, told %s", c.body, op.HostPath, told)
		}
		if hides := strings.Contains(c.told, Blank); hides != slices.Contains(s.Dropped, "operation.host_paths") {
			t.Errorf("%s: dropped %v", c.body, s.Dropped)
		}
		if said := op.Tell(fmt.Sprintf("%v %q", op.HostPath, op.HostPath)); strings.Contains(said, "hunter2") {
			t.Error(said)
		}
		resolved, err := op.ResolveHostPaths(func(p string) (string, error) { return strings.Replace(p, "hunter2", "hunter2/there", 1), nil })
		if err == nil && strings.Contains(strings.Join(resolved.TellPaths(), " "), "hunter2") {
			t.Errorf("%s: %v", c.body, resolved.TellPaths())
		}
		rereads(t, op)
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
