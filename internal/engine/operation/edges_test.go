package operation

import (
	"net/http"
	"slices"
	"strings"
	"testing"
)

// TestUpgradesClosed: each operation speaks its own protocol and no other one, and HTTP/2 only what is nothing else.
func TestUpgradesClosed(t *testing.T) {
	for _, tc := range []struct{ method, uri, upgrade, code string }{
		{"POST", "/exec/x/start", "tcp", ""},
		{"POST", "/exec/x/start", "h2c", "http2-upgrade"},
		{"POST", "/exec/x/start", "websocket", "upgrade"},
		{"POST", "/containers/x/attach", "h2c", "http2-upgrade"},
		{"POST", "/session", "h2c", ""},
		{"POST", "/session", "H2C", ""},
		{"POST", "/session", "tcp", "upgrade"},
		{"POST", "/session", "websocket", "upgrade"},
		{"GET", "/containers/x/attach/ws", "websocket", ""},
		{"GET", "/containers/x/attach/ws", "tcp", "upgrade"},
		{"GET", "/containers/x/attach/ws", "h2c", "http2-upgrade"},
		{"POST", "/containers/create", "h2c", "http2-upgrade"},
		{"GET", "/info", "tcp", ""}, // it is not forwarded
	} {
		req := request(tc.method, tc.uri, "")
		if tc.method == http.MethodPost && tc.uri != "/session" && !strings.HasSuffix(tc.uri, "attach") {
			req = request(tc.method, tc.uri, "{}")
		}
		req.Header.Set("Upgrade", tc.upgrade)
		if tc.code == "" {
			mustParse(t, req)
		} else if code := refused(t, req); code != tc.code {
			t.Errorf("%+v: %s", tc, code)
		}
	}
}

// TestHeadersAreForwardedOnce in their one spelling, whatever theirs was, and a body of JSON with its own type.
func TestHeadersAreForwardedOnce(t *testing.T) {
	req := request("POST", "/containers/create", `{"Image":"x"}`)
	req.Header.Set("Content-Type", "application/json; charset=utf-8")
	op := mustParse(t, req)
	got := ForwardHeader(op, http.Header{"accept": {"a"}, "Accept": {"b"}, "Content-Type": req.Header["Content-Type"]})
	accepts := slices.Sorted(slices.Values(got["Accept"]))
	if !slices.Equal(accepts, []string{"a", "b"}) || got.Get("Content-Type") != "application/json" || len(got) != 2 {
		t.Errorf("%v", got)
	}
}

// TestTypeThatIsNotThere is no type, and hides no form.
func TestTypeThatIsNotThere(t *testing.T) {
	for _, values := range [][]string{nil, {""}} {
		req := request("GET", "/info", "")
		req.Header["Content-Type"] = values
		mustParse(t, req)
	}
	for contentType, state := range map[string]BodyState{"": BodyNone, "text/plain": BodyWithheld} {
		req := request("POST", "/containers/x/stop", "")
		req.Withheld, req.ContentLength = true, 5
		if contentType != "" {
			req.Header.Set("Content-Type", contentType)
		}
		if op := mustParse(t, req); op.BodyState != state {
			t.Errorf("%q: %s", contentType, op.BodyState)
		}
	}
}

// TestBodiesOfWhatHasNoneClosed: they are not read where nothing can be done about them, and mean nothing that anybody has judged.
func TestBodiesOfWhatHasNoneClosed(t *testing.T) {
	unread := func() ([]byte, error) { t.Error("it is read"); return nil, nil }
	empty := func() ([]byte, error) { return nil, nil }
	for name, tc := range map[string]struct {
		method, uri, proto string
		length             int64
		read               func() ([]byte, error)
		code               string
	}{
		"announced":                     {"GET", "/info", "HTTP/1.1", 5, unread, "body-unexpected"},
		"of unknown length, and empty":  {"GET", "/info", "HTTP/1.1", -1, empty, ""},
		"none":                          {"GET", "/info", "HTTP/1.1", 0, unread, ""},
		"before a tunnel":               {"POST", "/session", "HTTP/1.1", -1, unread, "body-unexpected"},
		"before a tunnel, as dockerd":   {"POST", "/session", "", -1, empty, ""},
		"a stream, of unknown length":   {"POST", "/containers/x/attach", "HTTP/1.1", -1, unread, ""},
		"a stream, that is a body":      {"POST", "/containers/x/attach", "HTTP/1.1", 2, func() ([]byte, error) { return []byte("hi"), nil }, "body-type"},
		"an import that has its source": {"POST", "/images/create?fromSrc=http://x/y.tar", "HTTP/1.1", 2, func() ([]byte, error) { return []byte("hi"), nil }, "body-type"},
		"a pull":                        {"POST", "/images/create?fromImage=x&fromSrc=-", "HTTP/1.1", 2, func() ([]byte, error) { return []byte("hi"), nil }, "body-type"},
	} {
		req := request(tc.method, tc.uri, "")
		req.Proto, req.ContentLength, req.ReadBody = tc.proto, tc.length, tc.read
		if tc.code == "" {
			if op := mustParse(t, req); op.BodyState != BodyNone {
				t.Errorf("%s: %s", name, op.BodyState)
			}
		} else if code := refused(t, req); code != tc.code {
			t.Errorf("%s: %s, want %s", name, code, tc.code)
		}
	}
	req := request("POST", "/exec/x/start", `{"Tty":true}`)
	req.ContentLength = -1
	if op := mustParse(t, req); op.BodyState != BodyJSON || string(op.Canonical) != `{"Tty":true}` {
		t.Errorf("an exec's, of unknown length: %s %s", op.BodyState, op.Canonical)
	}
	if op := mustParse(t, request("POST", "/containers/x/start", `{"Privileged":true}`)); op.Rail == "" {
		t.Error("start takes a host configuration")
	}
}

// TestPlatformIsTextOrObject: in the words of old engines, or of new ones.
func TestPlatformIsTextOrObject(t *testing.T) {
	for text, want := range map[string]string{"linux/amd64": "", `%7B%22os%22%3A%22linux%22%7D`: "linux"} {
		op := mustParse(t, request("GET", "/images/x/json?platform="+text, ""))
		platform, _ := op.Params["platform"].(map[string]any)
		if list, is := op.Params["platform"].([]any); is && len(list) == 1 {
			platform, _ = list[0].(map[string]any)
		}
		os, _ := platform["os"].(string)
		if os != want {
			t.Errorf("%s: %#v", text, op.Params)
		}
	}
}

// TestWhatIsRead changes nothing, and nothing else is read.
func TestWhatIsRead(t *testing.T) {
	for access, reads := range map[Access]bool{
		Ping: true, List: true, Inspect: true, Stream: true,
		Content: false, Secret: false, Interactive: false, Write: false, Build: false, Admin: false, "": false, "new": false,
	} {
		if access.Reads() != reads {
			t.Errorf("%q: %v", access, !reads)
		}
	}
}

// TestPlainOperations are carried plainly, and have what the catalogue says of them.
func TestPlainOperations(t *testing.T) {
	op := mustParse(t, request("GET", "/events", ""))
	if op.Carry != CarryPlain || !op.Documented || !op.Has(AnswersEvents) || op.Has(AnswersVersion) || new(Operation).Has(AnswersEvents) {
		t.Errorf("%+v", op)
	}
	if op = mustParse(t, request("OPTIONS", "/containers/x", "")); op.Target != "" || op.Documented {
		t.Errorf("of any path: %q, documented %v", op.Target, op.Documented)
	}
	if code := refused(t, &Request{Method: "GET", URI: "/info", Refused: refuse("malformed", "it is none")}); code != "malformed" {
		t.Error(code)
	}
	if !IsHazard(string(HazardDevices)) || IsHazard("device") || IsHazard("") {
		t.Error("hazards are known by their names")
	}
}

// TestSocketsByTheirNamesClosed: those of engines, wherever they are, and the folders that hold a user's.
func TestSocketsByTheirNamesClosed(t *testing.T) {
	for path, is := range map[string]bool{
		"/srv/docker.sock": true, "/srv/my-containerd.sock": true, "/srv/buildkitd.sock": true, "/srv/other.sock": false, "/srv/docker.conf": false,
		"/run/user": true, "/run/user/1000": true, "/var/run/user/1000": true, "/run/user/1000/bus": false, "/": true, "/proc/1/root": true, "/srv": false,
	} {
		op := mustParse(t, request("POST", "/containers/create", `{"Image":"x","HostConfig":{"Binds":["`+path+`:/x"]}}`))
		if got := slices.Contains(op.Hazards, HazardEngineSocket); got != is {
			t.Errorf("%s: %v", path, op.Hazards)
		}
	}
	for path, is := range map[string]bool{"/home": true, "/home/alice": false, "/etc/x": true, "/": true, "/srv": false, "/var": true, "/var/lib/data": false} {
		if OwnsHost(path) != is {
			t.Errorf("%s: who writes there has the host: %v", path, !is)
		}
	}
}

// TestVolumesByTheirOptionsClosed: the local driver, named or not, mounts what its options say; others' options mean what they like.
func TestVolumesByTheirOptionsClosed(t *testing.T) {
	for _, tc := range []struct {
		driver, options string
		anywhere        bool
	}{
		{`"local"`, `{"type":"none","device":"etc","o":"bind"}`, true},
		{`""`, `{"type":"none","device":"etc","o":"bind"}`, true},
		{`"local"`, `{"type":"overlay","device":"etc","o":"bind"}`, true},
		{`"local"`, `{"type":"overlay","device":"/srv","o":"bind"}`, false},
		{`"local"`, `{"type":"overlay","device":"overlay"}`, true},
		{`"local"`, `{"type":"nfs","device":":/x"}`, false},
		{`"local"`, `{"type":"none","device":"{{x","o":"bind"}`, true},
		{`"other"`, `{"type":"none","device":"etc","o":"bind"}`, false},
		{`"other"`, `{"name":"{{.Node.Hostname}}"}`, false},
	} {
		op := mustParse(t, request("POST", "/volumes/create", `{"Name":"data","Driver":`+tc.driver+`,"DriverOpts":`+tc.options+`}`))
		if got := slices.Contains(op.HostPath, "/"); got != tc.anywhere || !slices.Contains(op.Hazards, HazardVolumeDriver) {
			t.Errorf("%s %s: %v %v", tc.driver, tc.options, op.HostPath, op.Hazards)
		}
	}
	op := mustParse(t, request("POST", "/containers/create", `{"Image":"x","HostConfig":{"Binds":["data","/data"]},"Volumes":{"cache":{}}}`))
	if slices.Contains(op.Hazards, HazardNamedVolume) || len(op.HostPath) > 0 {
		t.Errorf("volumes without names: %v %v", op.Hazards, op.HostPath)
	}
}

// TestParametersThatMayBeSecretsClosed: and those of which nobody knows anything.
func TestParametersThatMayBeSecretsClosed(t *testing.T) {
	for uri, tc := range map[string]struct{ hidden, shown []string }{
		"/build":         {[]string{"buildargs", "labels", "outputs", "remote", "nosuch", ""}, []string{"t", "dockerfile", "nocache", "networkmode"}},
		"/images/create": {[]string{"fromSrc", "changes", "nosuch"}, []string{"fromImage", "tag", "repo"}},
		"/commit":        {[]string{"changes"}, []string{"container", "repo", "author"}},
	} {
		op := mustParse(t, request("POST", uri, ""))
		for i, list := range [][]string{tc.hidden, tc.shown} {
			for _, name := range list {
				if op.HidesParam(name) != (i == 0) {
					t.Errorf("%s: %q is hidden: %v", uri, name, i != 0)
				}
			}
		}
	}
	if !new(Operation).HidesParam("t") {
		t.Error("of no operation something is shown")
	}
}

// TestPathsInOptionsOfOthersAreResolvedClosed: only the local driver's of a network file system are on another machine.
func TestPathsInOptionsOfOthersAreResolvedClosed(t *testing.T) {
	for _, tc := range []struct {
		driver, options string
		resolved        bool
	}{
		{"local", `{"type":"nfs","device":"/srv/l","o":"addr=10.0.0.1"}`, false},
		{"local", `{"type":"none","device":"/srv/l","o":"bind"}`, true},
		{"local", `{"type":"none","other":"/srv/l"}`, true},
		{"other", `{"type":"nfs","device":"/srv/l"}`, true},
		{"other", `{"type":"nfs","mountpoint":"/srv/l"}`, true},
	} {
		op := mustParse(t, request("POST", "/volumes/create", `{"Name":"data","Driver":"`+tc.driver+`","DriverOpts":`+tc.options+`}`))
		r, err := op.ResolveHostPaths(links(map[string]string{"/srv/l": "/run"}))
		if err != nil || slices.Contains(r.HostPath, "/run") != tc.resolved {
			t.Errorf("%s %s: %v, %v", tc.driver, tc.options, r.HostPath, err)
		}
	}
}

// TestNamesThatMakeAnotherRequestClosed stand for no other name.
func TestNamesThatMakeAnotherRequestClosed(t *testing.T) {
	for _, tc := range []struct{ uri, name string }{
		{"/networks/web", ""}, {"/volumes/web", ""}, {"/containers/web/json", "/x"}, {"/containers/web/json", ""}, {"/images/web/json", "a//b"},
	} {
		if with, ok := mustParse(t, request("GET", tc.uri, "")).WithTargetName(tc.name); ok {
			t.Errorf("%s with %q is %s %q", tc.uri, tc.name, with.ID, with.Path)
		}
	}
	if with, ok := mustParse(t, request("GET", "/v1.41/images/web/json", "")).WithTargetName("a/b:1"); !ok || with.URI != "/v1.41/images/a/b:1/json" {
		t.Errorf("%v", ok)
	}
}

// TestOneHiddenHeaderIsHiddenClosed though all others may be seen, and each is written as it should be.
func TestOneHiddenHeaderIsHiddenClosed(t *testing.T) {
	for _, key := range []string{"Authorization", "Cookie", "X-Registry-Auth", "X-Vitrine-Ticket", "authorization", "accept", ""} {
		req := request("GET", "/info", "")
		req.Header = http.Header{"User-Agent": {"x"}}
		if key != "" {
			req.Header[key] = []string{"secret"}
		}
		seen, want := mustParse(t, req).Headers, 1
		if key == "accept" {
			want = 2
		}
		if len(seen) != want || seen.Get("User-Agent") != "x" || want == 2 && seen.Get("Accept") != "secret" {
			t.Errorf("with %q a policy sees %v", key, seen)
		}
	}
}
