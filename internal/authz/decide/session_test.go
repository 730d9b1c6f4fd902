package decide

import (
	"net/http"
	"strings"
	"testing"

	"vitrine/internal/authz/policy"
	"vitrine/internal/caller/identity"
	"vitrine/internal/engine/operation"
)

// TestSessionsAreTheirCallersClosed: one name is another session for each caller, and the same for all requests of one. An admin's stay as they are.
func TestSessionsAreTheirCallersClosed(t *testing.T) {
	s, restarted := New(Options{}), New(Options{})
	parse := func(uri string, header http.Header) *operation.Operation {
		op, err := operation.Parse(&operation.Request{Method: http.MethodPost, URI: uri, Header: header})
		if err != nil {
			t.Fatal(err)
		}
		return op
	}
	header := http.Header{"Upgrade": {"h2c"}, "X-Docker-Expose-Session-Uuid": {"one"}, "X-Docker-Expose-Session-Sharedkey": {"one"}}
	uid := func(n uint32) *uint32 { return &n }
	ask := func(s *Steps, who *identity.Identity, admin bool) (session, key, build, upload string) {
		t.Helper()
		opens := &Verdict{Allow: true, steps: s, Caller: who, Operation: parse("/session", header), Decision: policy.Decision{Allow: true, Admin: admin}}
		builds := &Verdict{Allow: true, steps: s, Caller: who, Operation: parse("/build?session=one&buildid=upload-request:one", nil), Decision: opens.Decision}
		who.Door = "gateway"
		for _, v := range []*Verdict{opens, builds} {
			if v.OwnSession(); !v.Allow || v.sessioned == admin || len(v.Changes()) == 0 != admin {
				t.Fatalf("%v: %s, changes %v", who, v.Message, v.Changes())
			}
		}
		sent := operation.ForwardHeader(opens.Carried(), header)
		if named := builds.Carried().Query.Get("session"); named != sent.Get("X-Docker-Expose-Session-Uuid") {
			t.Errorf("%v opens %v, and builds in %s", who, sent, named)
		}
		return sent.Get("X-Docker-Expose-Session-Uuid"), sent.Get("X-Docker-Expose-Session-Sharedkey"), builds.Carried().URI, builds.Carried().Query.Get("buildid")
	}
	alice := &identity.Identity{Kind: identity.Host, UID: uid(1000)}
	seen := map[string]string{}
	for name, who := range map[string]*identity.Identity{
		"alice": alice, "bob": {Kind: identity.Host, UID: uid(1001)},
		"web": {Kind: identity.Container, UID: uid(1000), Container: &identity.ContainerInfo{ID: "c1"}}, "db": {Kind: identity.Container, UID: uid(1000), Container: &identity.ContainerInfo{ID: "c2"}},
	} {
		session, key, build, upload := ask(s, who, false)
		again, _, same, _ := ask(s, who, false)
		if session != again || build != same || !strings.HasPrefix(upload, "upload-request:") {
			t.Errorf("%s opens %s and %s, builds %s and %s", name, session, again, build, same)
		}
		for _, is := range []string{session, key, strings.TrimPrefix(upload, "upload-request:")} {
			if other := seen[is]; other != "" || is == "one" || len(is) != 64 {
				t.Errorf("%s has %q as %q has", name, is, other)
			}
			seen[is] = name
		}
	}
	if session, _, _, _ := ask(restarted, alice, false); seen[session] != "" {
		t.Error("the names can be told")
	}
	if session, key, build, _ := ask(s, alice, true); session != "one" || key != "one" || build != "/build?buildid=upload-request%3Aone&session=one" {
		t.Errorf("an admin opens %s with %s, and builds %s", session, key, build)
	}

	for name, c := range map[string]struct {
		who    *identity.Identity
		header http.Header
		uri    string
		code   string
	}{
		"nobody":                   {&identity.Identity{Kind: identity.Unknown}, header, "/session", "unknown-caller"},
		"nobody's build":           {&identity.Identity{Kind: identity.Unknown}, nil, "/build?session=one", "unknown-caller"},
		"a session without a name": {alice, http.Header{"Upgrade": {"h2c"}}, "/session", "bad-request"},
		"a build without either":   {&identity.Identity{Kind: identity.Unknown}, nil, "/build?t=x", ""},
	} {
		v := &Verdict{Allow: true, steps: s, Caller: c.who, Operation: parse(c.uri, c.header)}
		if v.OwnSession(); v.Allow != (c.code == "") || v.Code != c.code || v.sessioned {
			t.Errorf("%s: %v %s %v", name, v.Allow, v.Code, v.sessioned)
		}
	}
}
