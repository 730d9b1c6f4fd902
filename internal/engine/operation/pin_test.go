package operation

import (
	"slices"
	"strings"
	"testing"
)

// TestClosedEveryContainerIsGivenByTheIDThatWasJudged: wherever a request enters a container, the id can
// stand in the place of the name, and what the daemon reads then is otherwise the same.
func TestClosedEveryContainerIsGivenByTheIDThatWasJudged(t *testing.T) {
	const id = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
	host := func(s string) *Request { return post("/v1.41/containers/create?name=x", `{"HostConfig":{`+s+`}}`) }
	endpoints := func(s string) *Request {
		return post("/containers/create", `{"NetworkingConfig":{"EndpointsConfig":{"n":{`+s+`},"m":null}}}`)
	}
	for _, tc := range []struct {
		req       *Request
		uri, body string // with ID for the id; "" is as before
	}{
		{host(`"NetworkMode":"container:db"`), "", `{"HostConfig":{"NetworkMode":"container:ID"}}`},
		{host(`"networkmode":"container:/db"`), "", `{"HostConfig":{"NetworkMode":"container:ID"}}`},
		{host(`"PidMode":"container:db","IpcMode":"container:db"`), "", `{"HostConfig":{"PidMode":"container:ID","IpcMode":"container:ID"}}`},
		{host(`"UTSMode":"container:db","Cgroup":"container:db"`), "", `{"HostConfig":{"UTSMode":"container:ID","Cgroup":"container:ID"}}`},
		{host(`"VolumesFrom":["db:ro","/db"]`), "", `{"HostConfig":{"VolumesFrom":["ID:ro","ID"]}}`},
		{host(`"Links":["db","db:alias","/db:/web/alias","/db"]`), "", `{"HostConfig":{"Links":["ID:db","ID:alias","/ID:/web/alias","ID:/db"]}}`},
		{endpoints(`"Links":["db:alias"]`), "", `{"NetworkingConfig":{"EndpointsConfig":{"n":{"Links":["ID:alias"]},"m":null}}}`},
		{post("/networks/n/connect", `{"Container":"db","EndpointConfig":{"Links":["db:x"]}}`), "", `{"Container":"ID","EndpointConfig":{"Links":["ID:x"]}}`},
		{post("/networks/n/disconnect", `{"Container":"/db","Force":true}`), "", `{"Container":"ID","Force":true}`},
		{post("/commit?repo=r&container=db&author=a%26b", `{"Cmd":["x"]}`), "/commit?author=a%26b&container=ID&repo=r", ""},
		{post("/v1.41/build?networkmode=container:db&t=a&t=b", ""), "/v1.41/build?networkmode=container%3AID&t=a&t=b", ""},
		{post("/containers/db/exec", `{"Cmd":["sh"]}`), "/containers/ID/exec", ""},
		{post("/v1.41/containers/db/update", `{"Memory":1.5e9}`), "/v1.41/containers/ID/update", ""},
		{post("/containers/db/rename?name=db", ""), "/containers/ID/rename?name=db", ""},
		{post("/containers/db/attach?stream=1", ""), "/containers/ID/attach?stream=1", ""},
		{&Request{Method: "GET", URI: "/containers/db/archive?path=/db", Proto: "HTTP/1.1"}, "/containers/ID/archive?path=%2Fdb", ""},
		{&Request{Method: "GET", URI: "/containers/db/export", Proto: "HTTP/1.1"}, "/containers/ID/export", ""},
		// What is no name of a container is left.
		{host(`"NetworkMode":"db","Binds":["db:/db"],"PidMode":"host","IpcMode":"db"`), "", ""},
		{post("/containers/create?name=db", `{"Image":"db","Labels":{"db":"db"},"Hostname":"db","Cmd":["db"]}`), "", ""},
		{post("/networks/db/connect", `{"Container":"other"}`), "", ""},
		{post("/images/db/tag?repo=db", ""), "", ""},
		{post("/volumes/create", `{"Name":"db"}`), "", ""},
	} {
		op := mustParse(t, tc.req)
		uri, body := op.URI, string(op.Canonical)
		if tc.uri != "" {
			uri = strings.ReplaceAll(tc.uri, "ID", id)
		}
		if tc.body != "" {
			body = strings.ReplaceAll(tc.body, "ID", id)
		}
		before, enters := string(op.Canonical), slices.Clone(op.Enters)
		with, ok := op.WithContainers(Pins{{"db", id}})
		if !ok {
			t.Errorf("%s %s: not written", tc.req.Method, tc.req.URI)
			continue
		}
		if with.BodyState == BodyJSON {
			want, err := encode(mustParse(t, post(with.URI, body)).Body)
			got, err2 := encode(mustParse(t, post(with.URI, string(with.Canonical))).Body)
			if err != nil || err2 != nil || string(got) != string(want) {
				t.Errorf("%s %s: %s, want %s", tc.req.Method, tc.req.URI, got, want)
			}
		}
		if with.URI != uri || !slices.Equal(with.Enters, enters) || with.Target != op.Target {
			t.Errorf("%s %s: %s, want %s; %v, %s", tc.req.Method, tc.req.URI, with.URI, uri, with.Enters, with.Target)
		}
		if string(op.Canonical) != before || string(mustParse(t, tc.req).Canonical) != before {
			t.Errorf("%s %s: was changed", tc.req.Method, tc.req.URI)
		}
		// Read once more, it enters the id and nothing else.
		if len(enters) > 0 {
			again := mustParse(t, &Request{
				Method: tc.req.Method, URI: with.URI, Proto: "HTTP/1.1", Header: tc.req.Header,
				ContentLength: int64(len(with.Canonical)), ReadBody: func() ([]byte, error) { return with.Canonical, nil },
			})
			if want := []string{id}; slices.Equal(enters, []string{"db"}) && !slices.Equal(again.Enters, want) {
				t.Errorf("%s %s: enters %v", tc.req.Method, with.URI, again.Enters)
			}
		}
	}
	op := mustParse(t, host(`"VolumesFrom":["db"]`))
	for _, bad := range []string{"", "a:b", "a/b", "a,b"} {
		if _, ok := op.WithContainers(Pins{{"db", bad}}); ok {
			t.Errorf("%q stands for a container", bad)
		}
	}
}

// TestClosedEveryFieldThatEntersIsPinned: a new field that names a container has its line in
// containerRefs, or its reason here.
func TestClosedEveryFieldThatEntersIsPinned(t *testing.T) {
	naming := func(c class) bool {
		return slices.Contains([]class{byContainer, byLinks, byVolumesFrom, byNamespace, byIpc, byNetworkMode}, c)
	}
	without := map[string]string{
		"ServiceCreate": "tasks cannot join a container's namespace", "ServiceUpdate": "tasks cannot join a container's namespace",
	}
	pinned := func(id, at string) bool {
		return slices.ContainsFunc(containerRefs[id], func(r containerRef) bool { return strings.TrimSuffix(r.at, "/*") == at })
	}
	fields := 0
	for i := range catalogue {
		e := &catalogue[i]
		found := func(at string) {
			if fields++; !pinned(e.id, at) && without[e.id] == "" {
				t.Errorf("%s: %s names a container, and is forwarded as it is typed", e.id, at)
			}
		}
		for p := e.params.lo; p < e.params.hi; p++ {
			if naming(paramTable[p].class) {
				found("?" + paramTable[p].name)
			}
		}
		var walk func(node uint16, at string, depth int)
		walk = func(node uint16, at string, depth int) {
			n := &nodeTable[node]
			if depth > 8 {
				return
			}
			if n.kind == kindArray || n.kind == kindMap {
				walk(n.elem, at+"/*", depth+1)
			}
			for p := n.props.lo; p < n.props.hi; p++ {
				if naming(propTable[p].class) {
					found(at + "/" + propTable[p].name)
				}
				walk(propTable[p].node, at+"/"+propTable[p].name, depth+1)
			}
		}
		walk(e.schema, "", 0)
	}
	if fields < 12 {
		t.Errorf("only %d fields", fields)
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
