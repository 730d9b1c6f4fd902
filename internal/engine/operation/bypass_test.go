package operation

import (
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"
)

// bypass is one way to get round an authorization plugin that has been seen,
// as a request, with what must be noticed of it.
type bypass struct {
	name   string
	method string
	uri    string
	body   string
	header http.Header
	// One or more of these must hold.
	code   string // refused so
	access Access
	hazard Hazard
	rail   bool
	enters string
	mints  string
	check  func(op *Operation) bool
}

var jsonHeader = http.Header{"Content-Type": {"application/json"}}

var bypasses = []bypass{
	{name: "1 HTTP/2 preface", method: "PRI", uri: "*", code: "http2-preface"},
	{name: "1 h2c upgrade", method: "GET", uri: "/info", header: http.Header{"Connection": {"Upgrade, HTTP2-Settings"}, "Upgrade": {"h2c"}}, code: "http2-upgrade"},
	{name: "1 h2c upgrade in a list", method: "POST", uri: "/containers/x/attach", header: http.Header{"Upgrade": {"tcp", "h2c"}}, code: "http2-upgrade"},
	{name: "2 gRPC", method: "POST", uri: "/grpc", header: http.Header{"Upgrade": {"h2c"}}, rail: true},
	{name: "2 session", method: "POST", uri: "/session", header: http.Header{"Upgrade": {"h2c"}}, hazard: HazardBuildKit},
	{name: "2 BuildKit without a session", method: "POST", uri: "/build?version=2", hazard: HazardBuildKit},
	{name: "5 charset", method: "POST", uri: "/containers/create", header: http.Header{"Content-Type": {"Application/JSON; charset=utf-8"}}, body: `{"HostConfig":{"Privileged":true}}`, hazard: HazardPrivileged},
	{name: "5 two types", method: "POST", uri: "/containers/create", header: http.Header{"Content-Type": {"application/json", "text/plain"}}, body: `{}`, code: "content-type"},
	{name: "5 another type", method: "POST", uri: "/containers/create", header: http.Header{"Content-Type": {"text/plain"}}, body: `{}`, code: "body-type"},
	{name: "5 no type", method: "POST", uri: "/containers/create", header: http.Header{"X": {"y"}}, body: `{}`, code: "body-type"},
	{name: "5 encoded", method: "POST", uri: "/containers/create", header: http.Header{"Content-Type": {"application/json"}, "Content-Encoding": {"gzip"}}, body: `{}`, code: "content-encoding"},
	{name: "6 auth suffix", method: "POST", uri: "/containers/create?x=/auth", body: `{}`, hazard: HazardUnknownInput},
	{name: "7 image twice", method: "POST", uri: "/containers/create", body: `{"Image":"good","image":"evil"}`, code: "body-duplicate-key"},
	{name: "7 merged objects", method: "POST", uri: "/containers/create", body: `{"hostconfig":{"privileged":true},"HostConfig":{"Binds":[]}}`, code: "body-duplicate-key"},
	{name: "7 lower case", method: "POST", uri: "/containers/create", body: `{"hostconfig":{"privileged":true}}`, hazard: HazardPrivileged},
	{name: "8 long s", method: "POST", uri: "/containers/create", body: `{"Image":"good","ho` + "\u017f" + `tconfig":{"Privileged":true}}`, hazard: HazardPrivileged},
	{name: "8 Kelvin", method: "POST", uri: "/containers/create", body: `{"HostConfig":{"Networ\u212aMode":"host"}}`, hazard: HazardHostNamespace},
	{name: "5 two types in one", method: "POST", uri: "/containers/create", header: http.Header{"Content-Type": {"application/json, text/plain"}}, body: `{}`, code: "content-type"},
	{name: "5 two spellings", method: "POST", uri: "/containers/create", header: http.Header{"Content-Type": {"application/json"}, "content-type": {"text/plain"}}, body: `{}`, code: "content-type"},
	{name: "9 second document", method: "POST", uri: "/containers/create", body: `{}{"HostConfig":{"Privileged":true}}`, code: "body-trailing"},
	{name: "9 brace", method: "POST", uri: "/containers/create", body: `{}}`, code: "body-trailing"},
	{name: "9 bracket", method: "POST", uri: "/containers/create", body: `{} ]`, code: "body-trailing"},
	{name: "10 form", method: "POST", uri: "/images/create?fromImage=docker.io/good", header: http.Header{"Content-Type": {"application/x-www-form-urlencoded"}}, body: "fromImage=127.0.0.2:2/evil", code: "body-form"},
	{name: "10 form on build", method: "POST", uri: "/build", header: http.Header{"Content-Type": {"application/x-www-form-urlencoded; charset=x"}}, body: "remote=x", code: "body-form"},
	{name: "10 multipart", method: "POST", uri: "/build", header: http.Header{"Content-Type": {"multipart/form-data; boundary=x"}}, body: "--x", code: "body-form"},
	{name: "10 form on rename", method: "POST", uri: "/containers/x/rename?name=a", header: http.Header{"Content-Type": {"application/x-www-form-urlencoded"}}, body: "name=b", code: "body-form"},
	{name: "11 encoded path", method: "POST", uri: "/%63ontainers/create", body: `{"HostConfig":{"Privileged":true}}`, hazard: HazardPrivileged},
	{name: "11 encoded twice", method: "POST", uri: "/%2563ontainers/create", body: `{}`, code: "path-encoding"},
	{name: "12 absolute form", method: "GET", uri: "http://evil.example/v1.44/containers/web/export", access: Content},
	{name: "13 version", method: "GET", uri: "/v1.044/containers/json", code: "path-version"},
	{name: "13 version with parts", method: "GET", uri: "/v1.44.0.0/containers/json", code: "path-version"},
	{name: "14 slashes", method: "GET", uri: "//containers/json", code: "path-not-canonical"},
	{name: "14 dots", method: "GET", uri: "/v1.41/../containers/json", code: "path-not-canonical"},
	{name: "15 greedy name", method: "GET", uri: "/containers/a/archive/json", check: func(op *Operation) bool { return op.ID == "ContainerInspect" && op.Target == "a/archive" }},
	{name: "15 list with a slash", method: "GET", uri: "/networks/", rail: true},
	{name: "16 HEAD is not GET", method: "HEAD", uri: "/containers/json", code: "unknown-route"},
	{name: "16 HEAD archive", method: "HEAD", uri: "/containers/x/archive?path=/etc", access: Content},
	{name: "17 websocket attach", method: "GET", uri: "/containers/web/attach/ws?stream=1&stdin=1", header: http.Header{"Upgrade": {"websocket"}}, access: Interactive},
	{name: "17 attach by another protocol", method: "POST", uri: "/containers/web/attach", header: http.Header{"Upgrade": {"websocket"}}, code: "upgrade"},
	{name: "1 HTTP/2 by proto", method: "GET", uri: "/info", header: http.Header{"Http2-Settings": {"AAMAAABkAAQAoAAAAAIAAAAA"}}, code: "http2-upgrade"},
	{name: "18 options", method: "OPTIONS", uri: "/containers/json", rail: true},
	{name: "18 options star", method: "OPTIONS", uri: "*", code: "uri-form"},
	{name: "19 repeated, the first counts", method: "POST", uri: "/images/x/tag?repo=evil&repo=ok", mints: "image:evil"},
	{name: "19 repeated, the second is gone", method: "POST", uri: "/images/x/tag?repo=ok&repo=evil", check: func(op *Operation) bool {
		return op.URI == "/images/x/tag?repo=ok" && len(op.Query["repo"]) == 1 && !slices.Contains(op.Mints, "image:evil")
	}},
	{name: "19 an unknown one repeated", method: "POST", uri: "/images/x/tag?repository=ok&repository=evil", code: "query-repeated"},
	{name: "19 semicolon", method: "POST", uri: "/images/x/tag?repo=ok;repo=evil", code: "query-semicolon"},
	{name: "19 case", method: "POST", uri: "/images/x/tag?Repo=ok", hazard: HazardUnknownInput},
	{name: "20 old start", method: "POST", uri: "/v1.23/containers/x/start", body: `{"Privileged":true,"Binds":["/:/host"]}`, rail: true},
	{name: "20 start with a body", method: "POST", uri: "/v1.41/containers/x/start", body: `{"Privileged":true}`, rail: true},
	{name: "20 old start with an empty one", method: "POST", uri: "/v1.23/containers/x/start", body: `{}`, rail: true},
	{name: "21 local driver", method: "POST", uri: "/volumes/create", body: `{"Driver":"local","DriverOpts":{"type":"none","o":"bind","device":"/"}}`, hazard: HazardEngineSocket},
	{name: "21 overlay", method: "POST", uri: "/volumes/create", body: `{"DriverOpts":{"type":"overlay","o":"lowerdir=/etc:/run,upperdir=/x"}}`, hazard: HazardEngineSocket},
	{name: "21 mount's driver", method: "POST", uri: "/containers/create", body: `{"HostConfig":{"Mounts":[{"Type":"volume","Source":"v","VolumeOptions":{"DriverConfig":{"Options":{"device":"/etc","o":"bind"}}}}]}}`, hazard: HazardHostPath},
	{name: "21 volumes from", method: "POST", uri: "/containers/create", body: `{"HostConfig":{"VolumesFrom":["web:ro"]}}`, enters: "web"},
	{name: "21 devices", method: "POST", uri: "/containers/create", body: `{"HostConfig":{"Devices":[{"PathOnHost":"/dev/sda"}]}}`, hazard: HazardDevices},
	{name: "22 disable", method: "POST", uri: "/plugins/vitrine:latest/disable", rail: true},
	{name: "22 remove", method: "DELETE", uri: "/plugins/vitrine?force=1", rail: true},
	{name: "22 set", method: "POST", uri: "/plugins/vitrine/set", body: `["A=b"]`, rail: true},
	{name: "22 upgrade", method: "POST", uri: "/plugins/vitrine/upgrade?remote=x", body: `[]`, rail: true},
	{name: "22 pull", method: "POST", uri: "/plugins/pull?remote=x", body: `[]`, rail: true},
	{name: "26 ps_args", method: "GET", uri: "/containers/x/top?ps_args=axewww", access: Secret},
	{name: "27 environment", method: "GET", uri: "/containers/x/json", hazard: HazardEnv},
	{name: "28 join tokens", method: "GET", uri: "/swarm", access: Secret},
	{name: "29 exfiltration", method: "GET", uri: "/images/get?names=a&names=b", access: Content},
	{name: "30 outbound", method: "GET", uri: "/distribution/127.0.0.1:5000/x/json", access: Write},
	{name: "31 debug", method: "GET", uri: "/v1.44/debug/pprof/profile?seconds=60", rail: true},
	{name: "31 debug index", method: "GET", uri: "/debug/pprof/", rail: true},
	{name: "32 stats", method: "GET", uri: "/containers/x/stats", access: Stream},
	{name: "33 exec", method: "POST", uri: "/containers/web/exec", body: `{"Cmd":["sh"]}`, enters: "web"},
	{name: "33 exec start", method: "POST", uri: "/exec/abc/start", body: `{}`, enters: "exec:abc"},
	{name: "36 empty body", method: "POST", uri: "/containers/create", header: jsonHeader, code: "body-missing"},
	{name: "41 flat", method: "POST", uri: "/v1.41/containers/create", body: `{"Image":"x","Privileged":true,"Binds":["/:/host"]}`, hazard: HazardUnknownInput},
	{name: "42 build cgroup", method: "POST", uri: "/build?cgroupparent=/docker/x", hazard: HazardCgroupParent},
	{name: "42 build securityopt", method: "POST", uri: "/build?securityopt=seccomp=unconfined", hazard: HazardSecurityOpt},
	{name: "42 checkpoint", method: "POST", uri: "/containers/x/start?checkpoint=a&checkpoint-dir=/x", rail: true},
	{name: "42 rollback of a service", method: "POST", uri: "/services/x/update?version=1&rollback=previous", body: `{"Name":"x"}`, rail: true},
	{name: "42 cluster options", method: "POST", uri: "/containers/create", body: `{"HostConfig":{"Mounts":[{"Type":"cluster","Source":"v","ClusterOptions":{}}]}}`, hazard: HazardVolumeDriver},
	{name: "46 cgroup parent", method: "POST", uri: "/containers/create", body: `{"HostConfig":{"CgroupParent":"/docker/` + id64 + `"}}`, enters: id64},
	{name: "46 cgroup parent of systemd", method: "POST", uri: "/containers/x/update", body: `{"cgroupparent":"system.slice/docker-` + id64 + `.scope"}`, enters: id64},
	{name: "50 joined", method: "POST", uri: "/containers/create", body: `{"HostConfig":{"PidMode":"container:monitor"}}`, enters: "monitor"},
	{name: "50 mint", method: "POST", uri: "/containers/create?name=/monitor", body: `{"Labels":{"vitrine.role":"look"}}`, mints: "label:vitrine.role=look"},
}

const id64 = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

func (b *bypass) request() *Request {
	req := request(b.method, b.uri, b.body)
	if b.header != nil {
		req.Header = b.header
	}
	return req
}

func TestBypassesClosed(t *testing.T) {
	for _, b := range bypasses {
		t.Run(b.name, func(t *testing.T) {
			if b.code != "" {
				if code := refused(t, b.request()); code != b.code {
					t.Errorf("refused as %s, want %s", code, b.code)
				}
				return
			}
			op := mustParse(t, b.request())
			switch {
			case b.access != "" && op.Access != b.access,
				b.hazard != "" && !slices.Contains(op.Hazards, b.hazard),
				b.rail && op.Rail == "",
				b.enters != "" && !slices.Contains(op.Enters, b.enters),
				b.mints != "" && !slices.Contains(op.Mints, b.mints),
				b.check != nil && !b.check(op):
				t.Errorf("not noticed: %+v", op)
			}
		})
	}
}

// TestWithheldBodyClosed: bodies that dockerd did not show the plugin
// (bypasses 3 and 4: more than 1 MiB, chunked).
func TestWithheldBodyClosed(t *testing.T) {
	for i := range catalogue {
		e := &catalogue[i]
		path := strings.NewReplacer("{id}", "x", "{name}", "x", "{checkpoint}", "x").Replace(e.path)
		for _, length := range []int64{-1, 0, 2 << 20} {
			op, err := Parse(&Request{Method: e.method, URI: path, Header: jsonHeader, ContentLength: length, Withheld: true})
			if err != nil {
				t.Errorf("%s: %v", e.id, err)
				continue
			}
			takes := e.body == bodyOptional || e.body == bodyRequired
			// Of two Content-Types the daemon shows the last: the first may be a form's.
			hides := (e.method == "POST" || e.method == "PUT") && length != 0
			if (takes || hides) != (op.BodyState == BodyWithheld) || op.Body != nil || op.Canonical != nil {
				t.Errorf("%s, length %d: body %s", e.id, length, op.BodyState)
			}
		}
	}
	packed := http.Header{"Content-Type": {"application/tar"}, "Content-Encoding": {"gzip"}}
	if op := mustParse(t, &Request{Method: "POST", URI: "/build", Header: packed, ContentLength: -1, Withheld: true}); op.BodyState != BodyWithheld {
		t.Errorf("a compressed context that is not shown: %s", op.BodyState)
	}
	packed = http.Header{"Content-Type": {"application/json"}, "Content-Encoding": {"gzip"}}
	if code := refused(t, &Request{Method: "POST", URI: "/containers/create", Header: packed, ContentLength: -1, Withheld: true}); code != "content-encoding" {
		t.Errorf("JSON with an encoding that is not shown: %s", code)
	}
	form := http.Header{"Content-Type": {"application/x-www-form-urlencoded"}}
	if code := refused(t, &Request{Method: "POST", URI: "/images/x/tag?repo=a", Header: form, ContentLength: -1, Withheld: true}); code != "body-form" {
		t.Errorf("a form that is not shown: %s", code)
	}
}

func TestBodyLengthClosed(t *testing.T) {
	for name, c := range map[string]struct {
		length int64
		want   string
	}{"short": {3, "body-length"}, "long": {1, "body-length"}} {
		req := request("POST", "/containers/create", `{}`)
		req.ContentLength = c.length
		if code := refused(t, req); code != c.want {
			t.Errorf("%s: %s", name, code)
		}
	}
	req := request("POST", "/containers/create", "")
	req.ContentLength = 7
	if code := refused(t, req); code != "body-length" {
		t.Errorf("announced and absent: %s", code)
	}
	req = request("POST", "/containers/create", "{}")
	req.ReadBody = func() ([]byte, error) { return nil, &Refusal{Status: 413, Code: "body-large", Reason: "too large"} }
	if code := refused(t, req); code != "body-large" {
		t.Errorf("the door's refusal becomes %s", code)
	}
	for _, req := range []*Request{
		{Method: "GET", URI: "/info", ContentLength: 5, Header: jsonHeader, ReadBody: func() ([]byte, error) { return []byte("{   }"), nil }},
		{Method: "GET", URI: "/info", ContentLength: -1, Proto: "HTTP/1.1", ReadBody: func() ([]byte, error) { return []byte("x"), nil }},
		{Method: "POST", URI: "/session", ContentLength: -1, Proto: "HTTP/1.1", ReadBody: func() ([]byte, error) { t.Error("a body in front of a tunnel is waited for"); return nil, nil }},
		{Method: "HEAD", URI: "/_ping", ContentLength: -1, ReadBody: func() ([]byte, error) { return []byte("x"), nil }},
	} {
		if code := refused(t, req); code != "body-unexpected" {
			t.Errorf("%s with a body: %s", req.Method, code)
		}
	}
}

// TestBodiesThatClientsSend: what must go on working.
func TestBodiesThatClientsSend(t *testing.T) {
	empty := func() ([]byte, error) { return nil, nil }
	for name, c := range map[string]struct {
		req  *Request
		want BodyState
	}{
		"cp with text/plain":       {&Request{Method: "PUT", URI: "/containers/x/archive?path=/", ContentLength: -1, Header: http.Header{"Content-Type": {"text/plain"}}}, BodyOpaque},
		"build":                    {&Request{Method: "POST", URI: "/build?t=a&t=b", ContentLength: -1, Header: http.Header{"Content-Type": {"application/x-tar"}}}, BodyOpaque},
		"import from stdin":        {&Request{Method: "POST", URI: "/images/create?fromSrc=-&repo=x", ContentLength: -1}, BodyOpaque},
		"pull":                     {&Request{Method: "POST", URI: "/images/create?fromImage=x", Header: http.Header{"Content-Type": {"text/plain"}}}, BodyNone},
		"empty object for nothing": {request("POST", "/containers/x/pause", "{}"), BodyJSON},
		"null for nothing":         {request("POST", "/containers/x/stop", "null"), BodyJSON},
		"null on start":            {request("POST", "/v1.41/containers/x/start", "null"), BodyNone},
		"empty object on start":    {request("POST", "/containers/x/start", "{}"), BodyNone},
		"compressed context":       {&Request{Method: "POST", URI: "/build", ContentLength: -1, Header: http.Header{"Content-Type": {"application/tar"}, "Content-Encoding": {"gzip"}}}, BodyOpaque},
		"encoding of nothing":      {&Request{Method: "GET", URI: "/info", Header: http.Header{"Content-Encoding": {"gzip"}}}, BodyNone},
		"chunks of nothing":        {&Request{Method: "GET", URI: "/info", Proto: "HTTP/1.1", ContentLength: -1, ReadBody: empty}, BodyNone},
		"chunks on stop":           {&Request{Method: "POST", URI: "/containers/x/stop", Proto: "HTTP/1.1", ContentLength: -1, ReadBody: empty}, BodyNone},
		"chunks in front of a tunnel": {&Request{Method: "POST", URI: "/containers/x/attach?stream=1", Proto: "HTTP/1.1", ContentLength: -1, ReadBody: func() ([]byte, error) {
			t.Error("attach waits for the end of what its client has to say")
			return nil, nil
		}}, BodyNone},
		"dockerode's exec start": {request("POST", "/exec/x/start", `{"hijack":true,"stdin":true,"Detach":false,"Tty":true}`), BodyJSON},
		"dockerode's create":     {request("POST", "/containers/create?name=x", `{"Image":"bb:1","name":"x"}`), BodyJSON},
		"docker-java's create":   {request("POST", "/containers/create", `{"Image":"bb:1","PortSpecs":null,"HostConfig":{"LxcConf":null}}`), BodyJSON},
		"docker-java's exec":     {request("POST", "/containers/x/exec", `{"containerId":"x","Cmd":["true"]}`), BodyJSON},
		"commit without config":  {request("POST", "/commit?container=x", ""), BodyNone},
		"empty form":             {&Request{Method: "POST", URI: "/containers/x/stop", Header: http.Header{"Content-Type": {"application/x-www-form-urlencoded"}}}, BodyNone},
		"no header at all":       {&Request{Method: "GET", URI: "/events", Proto: "HTTP/1.0"}, BodyNone},
	} {
		if op := mustParse(t, c.req); op.BodyState != c.want || len(op.Unknown) > 0 {
			t.Errorf("%s: %s, unknown %v", name, op.BodyState, op.Unknown)
		}
	}
	if code := refused(t, &Request{Method: "POST", URI: "/images/create?fromImage=x&fromSrc=-", ContentLength: 3, Header: http.Header{"Content-Type": {"text/plain"}}, ReadBody: func() ([]byte, error) { return []byte("abc"), nil }}); code != "body-type" {
		t.Errorf("a body for a pull: %s", code)
	}
}

// TestUnreadBodyClosed: a body that no engine reads goes no further, where the door
// can see to it, and is named where it cannot. dockerode sends its parameters twice.
func TestUnreadBodyClosed(t *testing.T) {
	for _, c := range []struct {
		uri, body string
		named     bool // by a door that rebuilds the request too
	}{
		{"/containers/x/stop?t=5", `{"t":5}`, false},
		{"/containers/x/resize?h=1&w=2", `{"containerId":"x","height":1,"width":2}`, false},
		{"/images/create?fromImage=x", `{"fromImage":"x"}`, false},
		{"/images/x/push", `{"auth":"x"}`, true},                     // the credentials of old clients
		{"/v1.24/containers/x/start", `{"Binds":["/:/host"]}`, true}, // the host configuration of old ones
		{"/commit?container=x", `{"container":"x"}`, true},           // this one is read
	} {
		for _, rebuilt := range []bool{false, true} {
			req := request("POST", c.uri, c.body)
			req.Rebuilt = rebuilt
			op := mustParse(t, req)
			kept := op.BodyState == BodyJSON && len(op.Canonical) > 0
			if named := slices.Contains(op.Hazards, HazardUnknownInput); named != kept || named != (c.named || !rebuilt) {
				t.Errorf("%s, rebuilt %v: %v, body %s", c.uri, rebuilt, op.Hazards, op.BodyState)
			}
		}
	}
	for _, body := range []string{`[]`, `{"t":5`, `{"t":5,"T":6}`, `"t"`} {
		req := request("POST", "/containers/x/stop?t=5", body)
		req.Rebuilt = true
		if code := refused(t, req); !strings.HasPrefix(code, "body-") {
			t.Errorf("%s: %s", body, code)
		}
	}
}

func TestAuthBodyIsHidden(t *testing.T) {
	op := mustParse(t, request("POST", "/auth", `{"username":"u","password":"hunter2","serveraddress":"h:5000"}`))
	if m := op.Body.(map[string]any); len(m) != 1 || m["serveraddress"] != "h:5000" {
		t.Errorf("the policy sees %v", op.Body)
	}
	if !strings.Contains(string(op.Canonical), "hunter2") {
		t.Errorf("not forwarded: %s", op.Canonical)
	}
}

// TestForwardedHeadersClosed: what goes up to the daemon is a list, and this is the list. A line more is a reviewer's question: what
// does which engine do with it?
func TestForwardedHeadersClosed(t *testing.T) {
	want := strings.Fields("Accept Authorization Content-Type Cookie User-Agent Version X-Registry-Auth X-Registry-Config Traceparent Tracestate Baggage X-Meta-Anything")
	upgrades := strings.Fields("Origin Sec-Websocket-Key Sec-Websocket-Version X-Docker-Expose-Session-Uuid X-Docker-Expose-Session-Grpc-Method")
	others := strings.Fields(`Accept-Charset Accept-Encoding Accept-Language Access-Control-Request-Method Authz-User Cache-Control Connection Content-Encoding
		Content-Length Date Expect Forwarded From Host Http2-Settings If-Match If-Modified-Since Keep-Alive Max-Forwards Pragma Proxy-Authorization
		Range Referer Te Trailer Transfer-Encoding Upgrade Via X-Forwarded-For X-Http-Method-Override X-Original-Url X-Real-Ip X-Requested-With
		X-Rewrite-Url X-Vitrine-Ticket X-Registry-Other X-Docker-Other`)
	h := http.Header{}
	for _, key := range slices.Concat(want, upgrades, others) {
		h.Set(key, "1")
	}
	for carry, allowed := range map[Carry][]string{CarryPlain: want, CarryUpgrade: slices.Concat(want, upgrades)} {
		out := ForwardHeader(&Operation{Carry: carry}, h)
		delete(out, "Connection") // those of an upgrade, which are our own
		delete(out, "Upgrade")
		got := slices.Sorted(maps.Keys(out))
		slices.Sort(allowed)
		if !slices.Equal(got, allowed) {
			t.Errorf("%s: forwarded\n%q\nwant\n%q", carry, got, allowed)
		}
	}
}

// Versions before 1.24 cannot be judged: 1.23 is not 1.24, however it is written.
func TestOldVersionsClosed(t *testing.T) {
	for uri, railed := range map[string]bool{
		"/v1.23/containers/json": true, "/v1.24/containers/json": false, "/v1.25/containers/json": false, "/v1.3/containers/json": true,
		"/v1.9/containers/json": true, "/v1.0/containers/json": true, "/containers/json": false,
	} {
		if op := mustParse(t, &Request{Method: "GET", URI: uri}); (op.Rail != "") != railed {
			t.Errorf("%s: rail %q", uri, op.Rail)
		}
	}
}

func TestHeaders(t *testing.T) {
	h := http.Header{
		"User-Agent": {"x"}, "X-Registry-Auth": {"secret"}, "X-Registry-Config": {"secret"}, "Authorization": {"secret"},
		"Cookie": {"secret"}, "X-Vitrine-Ticket": {"forged"}, "x-vitrine-ticket": {"forged"}, "Connection": {"X-Vitrine-Ticket"}, "Upgrade": {"tcp"},
		"Transfer-Encoding": {"chunked"}, "Te": {"trailers"}, "X-Meta-A": {"b"}, "Accept-Encoding": {"gzip"}, "Authz-User": {"admin"}, "Expect": {"100-continue"},
	}
	op := mustParse(t, &Request{Method: "GET", URI: "/info", Header: h, Proto: "HTTP/1.1"})
	for _, key := range []string{"X-Registry-Auth", "X-Registry-Config", "Authorization", "Cookie", "X-Vitrine-Ticket", "x-vitrine-ticket", "Connection", "Upgrade", "Te"} {
		if op.Headers[key] != nil {
			t.Errorf("the policy sees %s", key)
		}
	}
	if op.Headers.Get("User-Agent") != "x" || op.Headers.Get("Authz-User") != "admin" {
		t.Errorf("the policy sees only %v", op.Headers)
	}
	want := []string{"Authorization", "Cookie", "User-Agent", "X-Meta-A", "X-Registry-Auth", "X-Registry-Config"}
	out := ForwardHeader(op, h)
	if len(out) != len(want) {
		t.Errorf("forwarded: %v", out)
	}
	for _, key := range want {
		if out.Get(key) == "" {
			t.Errorf("%s is not forwarded", key)
		}
	}
	op = mustParse(t, &Request{Method: "POST", URI: "/containers/x/attach", Header: h})
	if out := ForwardHeader(op, h); out.Get("Upgrade") != "tcp" || out.Get("Connection") != "Upgrade" || len(out) != len(want)+2 {
		t.Errorf("attach: %v", out)
	}
	archive := http.Header{"Content-Type": {"application/JSON; charset=utf-8"}, "Content-Encoding": {"gzip"}}
	op = mustParse(t, &Request{Method: "PUT", URI: "/containers/x/archive?path=/", Header: archive, ContentLength: -1})
	if out := ForwardHeader(op, archive); len(out) != 0 {
		t.Errorf("a stream goes up as %v", out)
	}
	ws := http.Header{"Connection": {"Upgrade"}, "Upgrade": {"WebSocket"}, "Sec-Websocket-Key": {"x"}, "Sec-Websocket-Version": {"13"}, "Origin": {"http://x"}, "X-Vitrine-Ticket": {"forged"}}
	op = mustParse(t, &Request{Method: "GET", URI: "/containers/x/attach/ws", Header: ws})
	if out := ForwardHeader(op, ws); op.Carry != CarryUpgrade || out.Get("Upgrade") != "websocket" || out.Get("Sec-Websocket-Key") != "x" || len(out) != 5 {
		t.Errorf("attach/ws: %s %v", op.Carry, out)
	}
	session := http.Header{"Upgrade": {"h2c"}, "X-Docker-Expose-Session-Uuid": {"x"}}
	op = mustParse(t, &Request{Method: "POST", URI: "/session", Header: session})
	if out := ForwardHeader(op, session); op.Carry != CarryUpgrade || out.Get("Upgrade") != "h2c" || len(out) != 3 {
		t.Errorf("session: %s %v", op.Carry, out)
	}
	if code := refused(t, &Request{Method: "GET", URI: "/info", Proto: "HTTP/2.0"}); code != "http2-preface" {
		t.Errorf("HTTP/2: %s", code)
	}
	if code := refused(t, &Request{Method: "GET", URI: "/info", Header: http.Header{"Expect": {"200-ok"}}}); code != "expect" {
		t.Errorf("Expect: %s", code)
	}
}
