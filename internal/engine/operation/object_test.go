package operation

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"vitrine/test/long"
)

func names(list []Object) string {
	var out []string
	for _, o := range list {
		text := fmt.Sprintf("%s %s %s", o.Role, o.Kind, o.Ref)
		if o.Swarm {
			text += " (swarm)"
		}
		out = append(out, text)
	}
	return strings.Join(out, ", ")
}

func post(uri, body string) *Request {
	return &Request{
		Method: "POST", URI: uri, Proto: "HTTP/1.1", Header: map[string][]string{"Content-Type": {"application/json"}},
		ContentLength: int64(len(body)), ReadBody: func() ([]byte, error) { return []byte(body), nil },
	}
}

// TestObjects: what each place of a request names.
func TestObjects(t *testing.T) {
	get := func(uri string) *Request { return &Request{Method: "GET", URI: uri, Proto: "HTTP/1.1"} }
	for _, tc := range []struct {
		req  *Request
		want string
	}{
		{get("/_ping"), ""},
		{get("/containers/web/json"), "target container web"},
		{get("/images/shop/web:1/json"), "target image shop/web:1"},
		{get("/distribution/shop/web:1/json"), ""},
		{get("/networks/front"), "target network front"},
		{get("/volumes/data"), "target volume data"},
		{get("/services/s"), "target service s"},
		{get("/tasks/t/logs?stdout=1"), "target task t"},
		{get("/secrets/s"), "target secret s"},
		{get("/configs/c"), "target config c"},
		{get("/nodes/n"), "target node n"},
		{get("/plugins/p/json"), "target plugin p"},
		{get("/exec/e/json"), "enters exec e, target exec e"},
		{get(`/containers/json?filters={"network":["n"],"ancestor":{"a":true,"b":true},"before":["c"],"label":["x=y"]}`), "uses container c, uses image a, uses image b, uses network n"},
		{get(`/events?filters={"container":["c"],"type":["container"],"volume":{"v":true}}`), "uses container c, uses volume v"},
		{get("/images/get?names=a&names=b"), "uses image a, uses image b"},
		{post("/containers/web/exec", `{"Cmd":["sh"]}`), "enters container web, target container web"},
		{
			post("/containers/create", `{"Image":"app","HostConfig":{"NetworkMode":"front","VolumesFrom":["db:ro"],"Binds":["data:/d","/host:/h","/anonymous"],
			"Mounts":[{"Type":"volume","Source":"v"},{"Type":"bind","Source":"/x"},{"Type":"image","Source":"i"},{"Type":"tmpfs"}]},
			"NetworkingConfig":{"EndpointsConfig":{"back":{"NetworkID":"0f"},"bridge":null}}}`),
			"enters container db, uses image app, uses image i, uses network 0f, uses network back, uses network front, uses volume data, uses volume v",
		},
		{post("/containers/create", `{"HostConfig":{"NetworkMode":"container:web"}}`), "enters container web"},
		{post("/networks/front/connect", `{"Container":"web","EndpointConfig":{"NetworkID":"0f"}}`), "enters container web, target network 0f, uses network 0f, uses network front"},
		{post("/networks/bridge/connect", `{"Container":"web","EndpointConfig":{"NetworkID":"0f"}}`), "enters container web, target network bridge, uses network 0f"},
		{post("/networks/front/connect", `{"Container":"web","EndpointConfig":{"NetworkID":""}}`), "enters container web, target network front"},
		{post("/networks/front/disconnect", `{"Container":"web"}`), "enters container web, target network front"},
		{post("/networks/create", `{"Name":"x","ConfigFrom":{"Network":"base"}}`), "uses network base, uses network x"},
		{
			post("/services/create", `{"Name":"s","Networks":[{"Target":"old"}],"TaskTemplate":{"Networks":[{"Target":"new"}],"ContainerSpec":{"Image":"app",
			"Mounts":[{"Type":"volume","Source":"v"}],"Secrets":[{"SecretID":"s1","SecretName":"x"}],"Configs":[{"ConfigID":"c1"}]}}}`),
			"uses config c1 (swarm), uses image app, uses network new (swarm), uses network old (swarm), uses secret s1 (swarm), uses volume v",
		},
	} {
		if got := names(mustParse(t, tc.req).Objects()); got != tc.want {
			t.Errorf("%s %s names\n%s, want\n%s", tc.req.Method, tc.req.URI, got, tc.want)
		}
	}
}

// TestClosedJoinedNetworks: wherever a network can be named to be joined, in whichever
// spelling of the key, and not for what is no network's name.
func TestClosedJoinedNetworks(t *testing.T) {
	for _, tc := range []struct{ uri, body, want string }{
		{"/containers/create", `{"HostConfig":{"NetworkMode":"0f"}}`, "uses network 0f"},
		{"/containers/create", `{"hostconfig":{"networkmode":"0f"}}`, "uses network 0f"},
		{"/containers/create", `{"NetworkingConfig":{"EndpointsConfig":{"0f":null}}}`, "uses network 0f"},
		{"/containers/create", `{"NetworkingConfig":{"EndpointsConfig":{"bridge":{"NetworkID":"0f"}}}}`, "uses network 0f"},
		{"/containers/create", `{"HostConfig":{"NetworkMode":"Bridge"}}`, "uses network Bridge"},
		{"/containers/create", `{"HostConfig":{"NetworkMode":"CONTAINER:0f"}}`, "uses network CONTAINER:0f"},
		{"/containers/create", `{"HostConfig":{"NetworkMode":"host"},"NetworkingConfig":{"EndpointsConfig":{"none":{},"default":{},"host":{},"bridge":{}}}}`, ""},
		{"/networks/0f/connect", `{"Container":"web"}`, "target network 0f"},
		{"/networks/0f/connect", `{"Container":"web","EndpointConfig":{"NetworkID":"0e"}}`, "target network 0f, uses network 0e"},
		{"/networks/bridge/connect", `{"Container":"web"}`, ""},
		{"/networks/0f/disconnect", `{"Container":"web"}`, "target network 0f"},
		{"/services/create", `{"Networks":[{"Target":"0f"}]}`, "uses network 0f (swarm)"},
		{"/services/create", `{"TaskTemplate":{"Networks":[{"Target":"none"}]}}`, "uses network none (swarm)"},
		{"/services/s/update?version=1", `{"TaskTemplate":{"Networks":[{"Target":"0f"}]}}`, "uses network 0f (swarm)"},
		{"/build?networkmode=0f", "", "uses network 0f"},
		{"/build?networkmode=default", "", ""},
		{"/networks/create", `{"Name":"0f"}`, ""},
	} {
		if got := names(mustParse(t, post(tc.uri, tc.body)).JoinedNetworks()); got != tc.want {
			t.Errorf("POST %s %s joins %q, want %q", tc.uri, tc.body, got, tc.want)
		}
	}
}

// TestManyObjects: a list that is as long as a body may be costs no more than reading it.
func TestManyObjects(t *testing.T) {
	long.Alone(t)
	least := func(n int) time.Duration {
		var keys []string
		for i := range n {
			keys = append(keys, fmt.Sprintf(`"n%d":{}`, i))
		}
		op := mustParse(t, post("/containers/create", `{"NetworkingConfig":{"EndpointsConfig":{`+strings.Join(keys, ",")+`}}}`))
		best := time.Hour
		for range 5 {
			began := time.Now()
			if got := len(op.JoinedNetworks()); got != n {
				t.Fatalf("%d networks of %d", got, n)
			}
			best = min(best, time.Since(began))
		}
		return best
	}
	// Eight times as many take 8 times as long, or 64 where each is held against all others; on a busy machine not always.
	few, many := least(500), least(4_000)
	for range 20 {
		if many <= 32*few {
			return
		}
		many = min(many, least(4_000))
	}
	t.Errorf("500 take %v, 4 000 take %v", few, many)
}

func TestWithHazard(t *testing.T) {
	op := mustParse(t, post("/containers/create", `{"HostConfig":{"Privileged":true}}`))
	more := op.WithHazard(HazardHostNamespace, "HostConfig.NetworkMode").WithHazard(HazardHostNamespace, "X")
	if slices.Contains(op.Hazards, HazardHostNamespace) || len(op.HazardFields[HazardHostNamespace]) > 0 {
		t.Errorf("it was changed: %v %v", op.Hazards, op.HazardFields)
	}
	if !slices.Equal(more.Hazards, []Hazard{HazardHostNamespace, HazardPrivileged}) || !slices.Equal(more.HazardFields[HazardHostNamespace], []string{"HostConfig.NetworkMode", "X"}) {
		t.Errorf("%v %v", more.Hazards, more.HazardFields)
	}
}

// TestClosedWithTarget: the id stands where the name stood, and nothing else moves.
func TestClosedWithTarget(t *testing.T) {
	const id = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
	get := func(uri string) *Request { return &Request{Method: "GET", URI: uri, Proto: "HTTP/1.1"} }
	for uri, want := range map[string]string{
		"/containers/web/json":                      "/containers/" + id + "/json",
		"/v1.41/containers/web/json?size=1":         "/v1.41/containers/" + id + "/json?size=1",
		"/v1.41/containers/json/json":               "/v1.41/containers/" + id + "/json",
		"/v1.41/containers/containers/json":         "/v1.41/containers/" + id + "/json",
		"/v1.41/containers/v1.41/json":              "/v1.41/containers/" + id + "/json",
		"/containers/" + id[:12] + "/logs?stdout=1": "/containers/" + id + "/logs?stdout=1",
		"/containers/" + id + "/json":               "/containers/" + id + "/json",
		"http://docker/v1.41/containers/web/json":   "/v1.41/containers/" + id + "/json",
		"/containers/w%65b/json":                    "/containers/" + id + "/json",
		"/networks/networks":                        "/networks/" + id,
	} {
		op := mustParse(t, get(uri))
		with, ok := op.WithTarget(id)
		if !ok || with.URI != want || with.Target != op.Target || with.ID != op.ID {
			t.Errorf("%s: %+v, %v, want %s", uri, with, ok, want)
			continue
		}
		if again := mustParse(t, get(with.URI)); again.ID != op.ID || again.Target != id || again.URI != with.URI || again.Path != with.Path {
			t.Errorf("%s reads as %+v", with.URI, again)
		}
	}
	if with, ok := mustParse(t, get("/_ping")).WithTarget(id); ok {
		t.Errorf("%+v", with)
	}
	// Beside an id in the path NetworkID would count, which was judged not to.
	for _, own := range []string{"bridge", "none", "host", "default"} {
		op := mustParse(t, post("/networks/"+own+"/connect", `{"Container":"web","EndpointConfig":{"NetworkID":"0f"}}`))
		if with, ok := op.WithTarget(id); !ok || with.URI != op.URI {
			t.Errorf("%s: %+v, %v", op.URI, with, ok)
		}
	}
}
