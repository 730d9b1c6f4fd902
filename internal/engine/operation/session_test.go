package operation

import (
	"net/http"
	"testing"
)

// TestSessionNamesClosed: by no name that its caller chose does the daemon get to know a session, a build or what a session keeps files by.
func TestSessionNamesClosed(t *testing.T) {
	own := func(kind, name string) string { return kind + "<" + name + ">" }
	header := http.Header{
		"Upgrade": {"h2c"}, "X-Docker-Expose-Session-Uuid": {"u"}, "X-Docker-Expose-Session-Name": {"n"}, "X-Docker-Expose-Session-Name-Encoded": {"1"},
		"X-Docker-Expose-Session-Sharedkey": {"k"}, "X-Docker-Expose-Session-Sharedkey-Encoded": {"1"}, "X-Docker-Expose-Session-Grpc-Method": {"/a", "/b"},
	}
	session := func(h http.Header) (http.Header, error) {
		op, err := mustParse(t, &Request{Method: "POST", URI: "/session", Header: h}).WithSession(own)
		if err != nil {
			return nil, err
		}
		return ForwardHeader(op, h), nil
	}
	got, err := session(header)
	for key, want := range map[string]string{
		"Uuid": "session<u>", "Sharedkey": "key<k>", "Name": "", "Name-Encoded": "", "Sharedkey-Encoded": "", "Grpc-Method": "/a",
	} {
		if is := got.Get("X-Docker-Expose-Session-" + key); err != nil || is != want {
			t.Errorf("%s is %q, %v", key, is, err)
		}
	}
	if got, err = session(http.Header{"Upgrade": {"h2c"}, "x-docker-expose-session-uuid": {"u"}}); err != nil || got.Get("X-Docker-Expose-Session-Sharedkey") != "key<>" || got.Get("X-Docker-Expose-Session-Uuid") != "session<u>" {
		t.Errorf("a session without a shared key has %v, %v", got, err)
	}
	for name, h := range map[string]http.Header{
		"none": {}, "an empty one": {"X-Docker-Expose-Session-Uuid": {""}}, "two": {"X-Docker-Expose-Session-Uuid": {"u", "v"}},
		"two spellings": {"X-Docker-Expose-Session-Uuid": {"u"}, "X-Docker-Expose-Session-UUID": {"v"}},
	} {
		if got, err := session(h); err == nil {
			t.Errorf("a session with %s is %v", name, got)
		}
	}
	for uri, want := range map[string]string{
		"/v1.41/build?session=u&version=2":                   "/v1.41/build?session=session%3Cu%3E&version=2",
		"/build?session=u&session=v":                         "/build?session=session%3Cu%3E",
		"/build?buildid=b":                                   "/build?buildid=build%3Cb%3E",
		"/build?buildid=upload-request:b":                    "/build?buildid=upload-request%3Abuild%3Cb%3E",
		"/build?buildid=upload-request:":                     "/build?buildid=upload-request%3Abuild%3C%3E",
		"/build?buildid=upload-request:upload-request:b&t=x": "/build?buildid=upload-request%3Abuild%3Cupload-request%3Ab%3E&t=x",
	} {
		if op, err := mustParse(t, request("POST", uri, "")).WithSession(own); err != nil || op.URI != want {
			t.Errorf("%s is %s, %v", uri, op.URI, err)
		}
	}
	for _, uri := range []string{"/build?version=2&session=&buildid=", "/build?t=x", "/build/prune?session=u&buildid=b"} {
		if op := mustParse(t, request("POST", uri, "")); op.NamesSession() {
			t.Errorf("%s names a session", uri)
		} else if same, err := op.WithSession(own); err != nil || same != op {
			t.Errorf("%s became %+v, %v", uri, same, err)
		}
	}
}
