package operation

import (
	"net/http"
	"net/url"
	"path"
	"strings"
	"testing"
)

func TestURIForms(t *testing.T) {
	for uri, want := range map[string]struct{ id, target, canonical string }{
		"/v1.41/containers/json":                          {"ContainerList", "", "/v1.41/containers/json"},
		"/containers/json?all=1":                          {"ContainerList", "", "/containers/json?all=1"},
		"/%63ontainers/json":                              {"ContainerList", "", "/containers/json"},
		"/v1.44%2Fcontainers/json":                        {"ContainerList", "", "/v1.44/containers/json"},
		"/%76%31.44/containers/json":                      {"ContainerList", "", "/v1.44/containers/json"},
		"http://evil.example/v1.44/containers/json?all=1": {"ContainerList", "", "/v1.44/containers/json?all=1"},
		"http:///info":                                    {"SystemInfo", "", "/info"},
		"HTTPS://u:p@evil/containers/json":                {"ContainerList", "", "/containers/json"},
		"/containers/a/archive/json":                      {"ContainerInspect", "a/archive", "/containers/a/archive/json"},
		"/images/localhost:5000/a/b:1/json":               {"ImageInspect", "localhost:5000/a/b:1", "/images/localhost:5000/a/b:1/json"},
		"/images/a%2Fb/json":                              {"ImageInspect", "a/b", "/images/a/b/json"},
		"/images/a@sha256:12/json":                        {"ImageInspect", "a@sha256:12", "/images/a@sha256:12/json"},
		"/volumes/a%20b":                                  {"VolumeInspect", "a b", "/volumes/a%20b"},
		"/volumes/%C3%A9":                                 {"VolumeInspect", "é", "/volumes/%C3%A9"},
		"/volumes/a%3Fb":                                  {"VolumeInspect", "a?b", "/volumes/a%3Fb"},
		"/networks/":                                      {"NetworkListSlash", "", "/networks/"},
		"/v1.999/info":                                    {"SystemInfo", "", "/v1.999/info"},
		"/v1.0/info":                                      {"SystemInfo", "", "/v1.0/info"},
		"/volumes/a~b-c_d":                                {"VolumeInspect", "a~b-c_d", "/volumes/a~b-c_d"},
		"/volumes/v1.41":                                  {"VolumeInspect", "v1.41", "/volumes/v1.41"},
		"/version?":                                       {"SystemVersion", "", "/version"},
		"/containers/json?&all=1&&":                       {"ContainerList", "", "/containers/json?all=1"},
		"/containers/json?=x&=&all=1":                     {"ContainerList", "", "/containers/json?all=1"},
		"/containers/json?all":                            {"ContainerList", "", "/containers/json?all="},
		"/containers/json?all=+1%201":                     {"ContainerList", "", "/containers/json?all=+1+1"},
		"/containers/json?all=1&all=2&since=a":            {"ContainerList", "", "/containers/json?all=1&since=a"},
		"/images/get?names=a&names=b":                     {"ImageGetAll", "", "/images/get?names=a&names=b"},
		"/events?since=1&filters=%7B%22a%22%3A%5B%5D%7D":  {"SystemEvents", "", "/events?filters=%7B%22a%22%3A%5B%5D%7D&since=1"},
	} {
		op := mustParse(t, request("GET", uri, ""))
		if op.ID != want.id || op.Target != want.target || op.URI != want.canonical {
			t.Errorf("%s: %s of %q as %s", uri, op.ID, op.Target, op.URI)
		}
	}
}

func TestURIClosed(t *testing.T) {
	for uri, want := range map[string]string{
		"":                                 "uri-form",
		"*":                                "uri-form",
		"containers/json":                  "uri-form",
		"host:80":                          "uri-form",
		"ftp://x/containers/json":          "uri-form",
		"http":                             "uri-form",
		"/v":                               "unknown-route",
		"/v-1/info":                        "unknown-route",
		"/v9.1/info":                       "path-version",
		"/info?a=\x7f":                     "uri-bytes",
		"/volumes/a%7Fb":                   "path-not-canonical",
		"http://x":                         "unknown-route",
		"/":                                "unknown-route",
		"/nope":                            "unknown-route",
		"/v1.41":                           "path-version",
		"/v1.41/":                          "unknown-route",
		"/V1.44/containers/json":           "unknown-route",
		"/containers/json/":                "unknown-route",
		"/containers":                      "unknown-route",
		"/libpod/info":                     "unknown-route",
		"/v2.0/info":                       "path-version",
		"/v1/info":                         "path-version",
		"/v1./info":                        "path-version",
		"/v1.41./info":                     "path-version",
		"/v1.41.0.0/info":                  "path-version",
		"/v01.41/info":                     "path-version",
		"/v1.041/info":                     "path-version",
		"/v1.1234/info":                    "path-version",
		"/v1.4x/info":                      "path-version",
		"/v.../info":                       "path-version",
		"//info":                           "path-not-canonical",
		"/v1.41//info":                     "path-not-canonical",
		"http://x//info":                   "path-not-canonical",
		"/./info":                          "path-not-canonical",
		"/v1.41/../info":                   "path-not-canonical",
		"/v1.41/%2e%2E/info":               "path-not-canonical",
		"/images/..":                       "path-not-canonical",
		"/containers/a%2F%2Fb/json":        "path-not-canonical",
		"/volumes/a%00b":                   "path-not-canonical",
		"/volumes/a%0d%0aX:1":              "path-not-canonical",
		"/volumes/%C2%85":                  "path-not-canonical",
		"/volumes/a%E2%80%AEb":             "path-not-canonical",
		"/containers/%2563/json":           "path-encoding",
		"/containers/%zz/json":             "path-encoding",
		"/containers/%":                    "path-encoding",
		"/volumes/%ff":                     "path-encoding",
		"/info#x":                          "uri-bytes",
		"/info x":                          "uri-bytes",
		"/info\r\nX: y":                    "uri-bytes",
		"/info?a=\x00":                     "uri-bytes",
		"/info?a=1;b=2":                    "query-semicolon",
		"/info?a=%zz":                      "query-encoding",
		"/info?a=%ff":                      "query-encoding",
		"/info?%ff=a":                      "query-encoding",
		"/info?a=%00":                      "query-encoding",
		"/containers/json?filters=x":       "query-json",
		"/containers/json?filters={}{}":    "query-json",
		"/containers/json?filters=[]":      "query-json",
		`/events?filters={"a":[],"a":[1]}`: "query-json",
		"/build/x?t":                       "unknown-route",
	} {
		if code := refused(t, request("GET", uri, "")); code != want {
			t.Errorf("%q: %s, want %s", uri, code, want)
		}
	}
	for _, method := range []string{"TRACE", "CONNECT", "PATCH", "get", "", "PROPFIND"} {
		if code := refused(t, request(method, "/info", "")); code != "unknown-route" {
			t.Errorf("%s: %s", method, code)
		}
	}
}

func TestQueryJSON(t *testing.T) {
	op := mustParse(t, request("POST", `/build?buildargs={"A":null}&labels={"a":"b"}&cachefrom=["x"]&ulimits=[{"NAME":"n","X":1}]&outputs=`, ""))
	args := op.Params["buildargs"].(map[string]any)
	if v, ok := args["A"]; !ok || v != nil {
		t.Errorf("buildargs: %v", args)
	}
	if got := op.Params["ulimits"].([]any)[0].(map[string]any)["Name"]; got != "n" {
		t.Errorf("ulimits: %v", op.Params["ulimits"])
	}
	if _, ok := op.Params["outputs"]; ok {
		t.Errorf("outputs: %v", op.Params)
	}
	if len(op.Unknown) != 1 || op.Unknown[0] != "?ulimits/*/X" {
		t.Errorf("unknown: %v", op.Unknown)
	}
	if op := mustParse(t, request("GET", "/images/x/json?platform=linux/amd64", "")); op.Params["platform"] != "linux/amd64" {
		t.Errorf("platform: %v", op.Params)
	}
}

// readByDaemon is what a daemon's handlers read of a query: lists as r.Form["…"],
// anything else as r.Form.Get("…"), and nothing without a name.
func readByDaemon(op *Operation, query url.Values) string {
	e, _ := find(op.Method, op.Path)
	for name, list := range query {
		if p := e.param(name); p == nil || !p.list {
			query[name] = list[:1]
		}
	}
	delete(query, "")
	return query.Encode()
}

// FuzzParseURI holds our reading of a target against net/http's and mux's.
func FuzzParseURI(f *testing.F) {
	for _, uri := range []string{"/v1.41/containers/json?all=1", "/%63ontainers/a%2Fb/json", "http://x/info", "/images/a@sha256:1/json?a=b&c=%20", "/networks/", "/v1.24/volumes/a%20b", "/containers/json?all=1&all=2&=3", "/images/get?names=a&names=b"} {
		f.Add(uri)
	}
	router := daemonRouter(f)
	f.Fuzz(func(t *testing.T, uri string) {
		op, err := Parse(request(http.MethodGet, uri, ""))
		if err != nil {
			if op != nil {
				t.Fatal("an operation comes with a refusal")
			}
			return
		}
		for _, target := range []string{uri, op.URI} {
			u, err := url.ParseRequestURI(target)
			if err != nil {
				t.Fatalf("%q: the daemon cannot parse %q: %v", uri, target, err)
			}
			want := op.Path
			if op.Version != "" {
				want = "/v" + op.Version + want
			}
			if u.Path != want {
				t.Fatalf("%q: the daemon's path is %q, ours %q", target, u.Path, want)
			}
			if clean := path.Clean(u.Path); clean != strings.TrimSuffix(u.Path, "/") && u.Path != "/" {
				t.Fatalf("%q: the mux would redirect to %q", target, clean)
			}
			if got := readByDaemon(op, u.Query()); got != op.Query.Encode() {
				t.Fatalf("%q: the daemon's query is %q, ours %q", target, got, op.Query.Encode())
			}
		}
		compareRoutes(t, router, http.MethodGet, op.Path)
		again := mustParse(t, request(http.MethodGet, op.URI, ""))
		if again.URI != op.URI || again.ID != op.ID || again.Target != op.Target {
			t.Fatalf("%q: %s, and again %s", uri, op.URI, again.URI)
		}
	})
}
